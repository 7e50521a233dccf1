//! The socket.

use std::{
    fmt,
    io::{self, ErrorKind, IoSliceMut},
    net::SocketAddr,
    pin::Pin,
    sync::{
        Arc, Mutex, OnceLock, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, ready},
    time::{Duration, Instant},
};

use ancillary::{
    MsgHdr, Received, SockAddr, SocketExt,
    batch::{RecvBatch, SendBatch, Storage},
    message::{Ecn, Ipv6DontFrag, PktInfo, RecvList, TrafficClass, UdpGro, UdpSegment},
    rfc3542::PathMtuDiscovery,
};
use quinn::{
    AsyncUdpSocket, UdpPoller,
    udp::{BATCH_SIZE, EcnCodepoint, RecvMeta, Transmit},
};
use tokio::io::Interest;

use crate::poller::Poller;

/// What every datagram brings.
type Meta = (TrafficClass, PktInfo, UdpGro);

/// Datagrams in one send: what every kernel with `UDP_SEGMENT` takes (net/ipv4/udp.c, `UDP_MAX_SEGMENTS`: 64 before
/// Linux 6.9), and one receive (include/linux/udp.h, `UDP_GRO_CNT_MAX`).
const SEGMENTS: usize = 64;

/// Errors of sends are told no more often.
const QUIET: Duration = Duration::from_secs(60);

/// A UDP socket of tokio for quinn.
///
/// A send that fails is told by `tracing`, once a minute at most, and counts as sent: for QUIC it is a lost datagram. What
/// is longer than the path takes (EMSGSIZE) is not told, since quinn probes for it.
///
/// Where a route cannot cut datagrams (`UDP_SEGMENT`: EIO, EINVAL) they go one by one, in one sendmmsg(2).
pub struct UdpSocket {
    io: tokio::net::UdpSocket,
    arriving: Mutex<Arriving>,
    /// Whether the kernel cuts; where it does not, `leaving` sends them.
    cuts: AtomicBool,
    leaving: OnceLock<Mutex<SendBatch>>,
    merges: bool,
    may_fragment: bool,
    told: Mutex<Option<Instant>>,
}

struct Arriving {
    batch: RecvBatch<Meta>,
    /// Messages to ask for: each costs something to ask for, and where the kernel merges there is mostly one.
    ask: usize,
}

impl Arriving {
    /// As many again where all came, fewer where few did.
    fn learn(&mut self, asked: usize, arrived: usize) {
        if arrived == asked {
            self.ask = (asked * 2).min(BATCH_SIZE);
        } else if arrived * 4 <= asked {
            self.ask = asked.div_ceil(2);
        }
    }
}

impl UdpSocket {
    /// Sets the options of a bound socket, and makes it non-blocking; inside a tokio runtime.
    ///
    /// # Errors
    ///
    /// Those of setsockopt(2) for ECN and packet information; what else the kernel lacks is done without.
    ///
    /// # Panics
    ///
    /// Outside a tokio runtime.
    pub fn new(socket: std::net::UdpSocket) -> io::Result<Self> {
        socket.set_nonblocking(true)?;
        socket.enable::<(TrafficClass, PktInfo)>()?;
        let merges = socket.try_enable::<UdpGro>()?;
        let cuts = UdpSegment::is_supported(&socket);
        let probes = PathMtuDiscovery::Probe.set(&socket).is_ok();
        let whole = socket.local_addr()?.is_ipv4() || Ipv6DontFrag(true).set_sticky(&socket).is_ok();
        Ok(Self {
            io: tokio::net::UdpSocket::from_std(socket)?,
            arriving: Mutex::new(Arriving {
                batch: RecvBatch::with_control(BATCH_SIZE, 0, Meta::SPACE.max(256)),
                ask: BATCH_SIZE,
            }),
            cuts: AtomicBool::new(cuts),
            leaving: OnceLock::new(),
            merges,
            may_fragment: !(probes && whole),
            told: Mutex::new(None),
        })
    }

    fn send(&self, transmit: &Transmit<'_>) -> io::Result<()> {
        let contents = transmit.contents;
        let Some(size) = transmit.segment_size.filter(|&size| size > 0 && size < contents.len()) else {
            return describe(&mut MsgHdr::new(), transmit, contents).send(&self.io).map(drop);
        };
        if !self.cuts.load(Ordering::Relaxed) {
            return self.send_apart(transmit, size);
        }
        let segment = u16::try_from(size).map(UdpSegment).ok();
        match describe(&mut MsgHdr::new(), transmit, contents).control(segment).send(&self.io) {
            Err(error) if matches!(error.raw_os_error(), Some(libc::EIO | libc::EINVAL)) => {
                self.send_apart(transmit, size)?;
                self.cuts.store(false, Ordering::Relaxed);
                Ok(())
            }
            result => result.map(drop),
        }
    }

    /// After a `WouldBlock` in the middle quinn sends all of them again, and its peer sees some twice.
    #[cold]
    fn send_apart(&self, transmit: &Transmit<'_>, size: usize) -> io::Result<()> {
        let room = self.leaving.get_or_init(|| Mutex::new(SendBatch::new(SEGMENTS)));
        let mut room = room.lock().unwrap_or_else(PoisonError::into_inner);
        for datagrams in transmit.contents.chunks(size * SEGMENTS) {
            let mut batch = room.begin();
            for datagram in datagrams.chunks(size) {
                describe(&mut batch.message(), transmit, datagram).queue()?;
            }
            batch.send_all(&self.io)?;
        }
        Ok(())
    }

    #[cold]
    fn tell(&self, error: &io::Error, transmit: &Transmit<'_>) {
        if error.raw_os_error() == Some(libc::EMSGSIZE) {
            return;
        }
        let (mut told, now) = (self.told.lock().unwrap_or_else(PoisonError::into_inner), Instant::now());
        if told.is_none_or(|last| now.duration_since(last) > QUIET) {
            *told = Some(now);
            let Transmit { destination, ecn, segment_size, src_ip, contents } = transmit;
            tracing::warn!(
                "{error}: {} bytes to {destination} from {src_ip:?}, in segments of {segment_size:?}, ECN {ecn:?}",
                contents.len()
            );
        }
    }
}

/// Where it goes, and what goes with it.
fn describe<'m, 'a, S: Storage<'a>>(
    header: &'m mut MsgHdr<'a, S>,
    transmit: &Transmit<'a>,
    datagram: &'a [u8],
) -> &'m mut MsgHdr<'a, S> {
    let class = transmit.ecn.map(|ecn| TrafficClass::new(0, Ecn::from_bits(ecn as u8)));
    header.to(transmit.destination).data(datagram).control((class, transmit.src_ip.map(PktInfo::source)))
}

fn meta(message: &Received<'_, Meta>) -> RecvMeta {
    let (class, info, merged) = message.extract();
    let mut meta = RecvMeta::default();
    // A datagram of no address, which there is not, would be one of no bytes.
    if let Some(peer) = message.peer().and_then(SockAddr::as_inet) {
        (meta.addr, meta.len) = (peer, message.len());
    }
    meta.stride = merged.map_or(meta.len, UdpGro::size);
    meta.ecn = class.and_then(|class| EcnCodepoint::from_bits(class.ecn().bits()));
    // As it stands in the header: mapped, where the peer's address is.
    meta.dst_ip = info.map(|info| match info {
        PktInfo::V4(info) => info.addr.into(),
        PktInfo::V6(info) => info.addr.into(),
    });
    meta
}

/// Told by the socket of a peer, by ICMP: nothing that ends an endpoint.
fn is_of_a_peer(error: &io::Error) -> bool {
    let number = error.raw_os_error();
    matches!(number, Some(libc::ECONNREFUSED | libc::EHOSTUNREACH | libc::ENETUNREACH | libc::EMSGSIZE | libc::EPROTO))
}

impl AsyncUdpSocket for UdpSocket {
    fn create_io_poller(self: Arc<Self>) -> Pin<Box<dyn UdpPoller>> {
        Box::pin(Poller::new(move || {
            let socket = Arc::clone(&self);
            async move { socket.io.writable().await }
        }))
    }

    fn try_send(&self, transmit: &Transmit<'_>) -> io::Result<()> {
        match self.io.try_io(Interest::WRITABLE, || self.send(transmit)) {
            Err(error) if error.kind() != ErrorKind::WouldBlock => {
                self.tell(&error, transmit);
                Ok(())
            }
            result => result,
        }
    }

    fn poll_recv(
        &self,
        cx: &mut Context<'_>,
        bufs: &mut [IoSliceMut<'_>],
        metas: &mut [RecvMeta],
    ) -> Poll<io::Result<usize>> {
        let mut arriving = self.arriving.lock().unwrap_or_else(PoisonError::into_inner);
        let asked = arriving.ask.min(bufs.len()).min(metas.len());
        let (bufs, batch) = (&mut bufs[..asked], &mut arriving.batch);
        loop {
            ready!(self.io.poll_recv_ready(cx))?;
            match self.io.try_io(Interest::READABLE, || batch.recv_into(&self.io, bufs, 1).map(drop)) {
                Ok(()) => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock || is_of_a_peer(&error) => continue,
                Err(error) => return Poll::Ready(Err(error)),
            }
            let messages = batch.received_into();
            let arrived = messages.len();
            for (place, message) in metas.iter_mut().zip(messages) {
                *place = meta(&message);
            }
            arriving.learn(asked, arrived);
            return Poll::Ready(Ok(arrived));
        }
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.io.local_addr()
    }

    fn max_transmit_segments(&self) -> usize {
        SEGMENTS
    }

    fn max_receive_segments(&self) -> usize {
        if self.merges { SEGMENTS } else { 1 }
    }

    fn may_fragment(&self) -> bool {
        self.may_fragment
    }
}

/// Prints the socket, and what the kernel does with its datagrams.
impl fmt::Debug for UdpSocket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let cuts = self.cuts.load(Ordering::Relaxed);
        write!(f, "UdpSocket {{ {:?}, cuts: {cuts}, merges: {} }}", self.io, self.merges)
    }
}
