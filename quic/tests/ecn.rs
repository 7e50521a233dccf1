//! Explicit congestion notification, of datagrams cut by the sender's kernel and merged by the receiver's.

mod common;

use std::{
    fmt,
    io::IoSliceMut,
    net::{Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket},
    pin::Pin,
    sync::{Arc, Mutex},
    task::{Context, Poll},
};

use ancillary::{SocketExt, message::Timestamp};
use common::{
    Layer, connect, has_v6,
    layer::{Room, recv_bytes, send, transmit},
    pattern, run, say, there_and_back,
};
use quinn::{
    AsyncUdpSocket, UdpPoller,
    udp::{EcnCodepoint, RecvMeta, Transmit},
};

const SEGMENT: usize = 1200;
const CODEPOINTS: [Option<EcnCodepoint>; 4] =
    [None, Some(EcnCodepoint::Ect0), Some(EcnCodepoint::Ect1), Some(EcnCodepoint::Ce)];

/// From a socket bound to `from`, by way of the destination `to`, to one bound to `at`.
struct Way {
    from: &'static str,
    at: &'static str,
    to: std::net::IpAddr,
}

/// Both families, and IPv4 at either end of a dual-stack socket.
fn ways(test: &str) -> Vec<Way> {
    let (v4, v6) = (Ipv4Addr::LOCALHOST, Ipv6Addr::LOCALHOST);
    let mut ways = vec![Way { from: "127.0.0.1:0", at: "127.0.0.1:0", to: v4.into() }];
    if has_v6(test) {
        ways.push(Way { from: "[::1]:0", at: "[::1]:0", to: v6.into() });
        ways.push(Way { from: "127.0.0.1:0", at: "[::]:0", to: v4.into() });
        ways.push(Way { from: "[::]:0", at: "127.0.0.1:0", to: v4.to_ipv6_mapped().into() });
        ways.push(Way { from: "[::]:0", at: "[::]:0", to: v4.to_ipv6_mapped().into() });
        ways.push(Way { from: "[::1]:0", at: "[::]:0", to: v6.into() });
    }
    ways
}

/// Sends ten datagrams in one, and says what came.
async fn cut_and_merged(way: &Way, receiver: UdpSocket, ecn: Option<EcnCodepoint>) -> Vec<RecvMeta> {
    let sender = Layer::Ours.wrap(UdpSocket::bind(way.from).unwrap());
    let to = SocketAddr::from((way.to, receiver.local_addr().unwrap().port()));
    let (receiver, contents) = (Layer::Ours.wrap(receiver), pattern(9 * SEGMENT + 7));
    send(&sender, &transmit(to, &contents, Some(SEGMENT), ecn)).await;
    let (metas, data) = recv_bytes(&*receiver, contents.len()).await;
    assert!(data == contents, "other bytes arrived");
    metas
}

/// Says loudly where the kernel merges nothing: then nothing of this is tested.
fn merged(metas: &[RecvMeta], test: &str) -> bool {
    let merged = metas.iter().any(|meta| meta.len > meta.stride);
    if !merged {
        say(format_args!("SKIPPED {test}: this kernel delivers datagrams one by one (UDP_GRO)"));
    }
    merged
}

/// AD23
#[test]
fn merged_datagrams_keep_their_ecn_in_both_families() {
    const TEST: &str = "merged_datagrams_keep_their_ecn_in_both_families";
    for way in ways(TEST) {
        for ecn in CODEPOINTS {
            let metas = run(async { cut_and_merged(&way, UdpSocket::bind(way.at).unwrap(), ecn).await });
            assert!(metas.iter().all(|meta| meta.ecn == ecn), "{ecn:?} from {} to {}: {metas:?}", way.from, way.at);
            let local = metas.iter().map(|meta| meta.dst_ip.map(|ip| ip.to_canonical()));
            assert!(local.eq(metas.iter().map(|_| Some(way.to.to_canonical()))), "{metas:?}");
            if merged(&metas, TEST) {
                assert!(metas.iter().all(|meta| meta.stride == SEGMENT), "{metas:?}");
            }
        }
    }
}

/// A socket that somebody has made deliver timestamps: 32 bytes of control data before everything else.
#[test]
fn merged_datagrams_keep_their_ecn_beside_messages_that_others_have_enabled() {
    const TEST: &str = "merged_datagrams_keep_their_ecn_beside_messages_that_others_have_enabled";
    for way in ways(TEST) {
        let receiver = UdpSocket::bind(way.at).unwrap();
        receiver.enable::<Timestamp>().unwrap();
        let metas = run(async { cut_and_merged(&way, receiver, Some(EcnCodepoint::Ce)).await });
        assert!(metas.iter().all(|meta| meta.ecn == Some(EcnCodepoint::Ce)), "{} to {}: {metas:?}", way.from, way.at);
        merged(&metas, TEST);
    }
}

/// What the newest quinn-udp tells of the same datagrams is printed, since it may change; what we tell is asserted.
#[test]
fn the_same_datagrams_at_quinn_udp_and_here() {
    for way in ways("the_same_datagrams_at_quinn_udp_and_here") {
        let theirs = UdpSocket::bind(way.at).unwrap();
        theirs.set_read_timeout(Some(common::TIMEOUT)).unwrap();
        let state = quinn_udp::UdpSocketState::new((&theirs).into()).unwrap();
        // It has made the socket non-blocking.
        theirs.set_nonblocking(false).unwrap();
        run(async {
            let sender = Layer::Ours.wrap(UdpSocket::bind(way.from).unwrap());
            let to = SocketAddr::from((way.to, theirs.local_addr().unwrap().port()));
            let contents = pattern(9 * SEGMENT + 7);
            send(&sender, &transmit(to, &contents, Some(SEGMENT), Some(EcnCodepoint::Ce))).await;
        });
        let (mut data, mut metas) = (vec![0; 1 << 16], [quinn_udp::RecvMeta::default()]);
        state.recv((&theirs).into(), &mut [IoSliceMut::new(&mut data)], &mut metas).unwrap();
        let [theirs] = metas;
        let metas = run(async { cut_and_merged(&way, UdpSocket::bind(way.at).unwrap(), Some(EcnCodepoint::Ce)).await });
        let ours = metas[0];
        assert_eq!(ours.ecn, Some(EcnCodepoint::Ce));
        say(format_args!(
            "sent with CE from {} to {} at {}, read as (bytes, stride, ECN): quinn-udp {:?}, here {:?}",
            way.from,
            way.to,
            way.at,
            (theirs.len, theirs.stride, theirs.ecn),
            (ours.len, ours.stride, ours.ecn),
        ));
    }
}

/// Keeps what every receive said.
struct Recording {
    socket: Arc<dyn AsyncUdpSocket>,
    metas: Mutex<Vec<RecvMeta>>,
}

impl fmt::Debug for Recording {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.socket.fmt(f)
    }
}

impl AsyncUdpSocket for Recording {
    fn create_io_poller(self: Arc<Self>) -> Pin<Box<dyn UdpPoller>> {
        Arc::clone(&self.socket).create_io_poller()
    }

    fn try_send(&self, transmit: &Transmit<'_>) -> std::io::Result<()> {
        self.socket.try_send(transmit)
    }

    fn poll_recv(
        &self,
        cx: &mut Context<'_>,
        bufs: &mut [IoSliceMut<'_>],
        metas: &mut [RecvMeta],
    ) -> Poll<std::io::Result<usize>> {
        let result = self.socket.poll_recv(cx, bufs, metas);
        if let Poll::Ready(Ok(count)) = result {
            self.metas.lock().unwrap().extend_from_slice(&metas[..count]);
        }
        result
    }

    fn local_addr(&self) -> std::io::Result<SocketAddr> {
        self.socket.local_addr()
    }

    fn max_transmit_segments(&self) -> usize {
        self.socket.max_transmit_segments()
    }

    fn max_receive_segments(&self) -> usize {
        self.socket.max_receive_segments()
    }

    fn may_fragment(&self) -> bool {
        self.socket.may_fragment()
    }
}

/// quinn marks what it sends with ECT(0), unless it finds that marks do not arrive.
#[test]
fn a_peer_sees_the_ecn_of_every_datagram_of_a_transfer() {
    const TEST: &str = "a_peer_sees_the_ecn_of_every_datagram_of_a_transfer";
    for way in ways(TEST) {
        let (server, client) = (UdpSocket::bind(way.at).unwrap(), UdpSocket::bind(way.from).unwrap());
        let to = SocketAddr::from((way.to, server.local_addr().unwrap().port()));
        let metas = run(async {
            let server = Arc::new(Recording { socket: Layer::Ours.wrap(server), metas: Mutex::default() });
            let (_server, answered, _client, asked) =
                connect(Arc::<Recording>::clone(&server), Layer::Ours.wrap(client), to).await;
            let bytes = pattern(1_000_000);
            assert!(there_and_back(&asked, &answered, &bytes).await == bytes, "other bytes came back");
            server.metas.lock().unwrap().clone()
        });
        let unmarked = metas.iter().filter(|meta| meta.ecn != Some(EcnCodepoint::Ect0)).count();
        assert_eq!(unmarked, 0, "of {}, from {} to {}", metas.len(), way.from, way.at);
        merged(&metas, TEST);
    }
}

/// A datagram of no bytes is one, and comes with the others.
#[test]
fn one_receive_brings_all_that_wait() {
    run(async {
        let (sender, receiver) = (UdpSocket::bind("127.0.0.1:0").unwrap(), UdpSocket::bind("127.0.0.1:0").unwrap());
        for datagram in [&b"first"[..], b"", b"third"] {
            sender.send_to(datagram, receiver.local_addr().unwrap()).unwrap();
        }
        let (receiver, mut room) = (Layer::Ours.wrap(receiver), Room::new());
        assert_eq!(room.recv(&*receiver).await.unwrap(), 3);
        assert_eq!(room.metas[..3].iter().map(|meta| meta.len).collect::<Vec<_>>(), [5, 0, 5]);
        assert!(room.metas[..3].iter().all(|meta| meta.addr == sender.local_addr().unwrap()));
        assert_eq!((&room.data[0][..5], &room.data[2][..5]), (&b"first"[..], &b"third"[..]));
    });
}
