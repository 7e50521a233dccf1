//! Which address an answer comes from, and what is refused.

mod common;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};

use ancillary::set_option;
use common::{
    Layer, connect, has_v6,
    layer::{recv_bytes, send, transmit},
    pattern, run, there_and_back,
};
use quinn::udp::{EcnCodepoint, Transmit};

/// Nobody's own address, so that no route prefers it.
const ASKED: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 53);

fn answers_from_the_address_that_was_asked(at: &str) {
    run(async {
        let server = UdpSocket::bind(at).unwrap();
        let client = UdpSocket::bind("127.0.0.1:0").unwrap();
        client.set_read_timeout(Some(common::TIMEOUT)).unwrap();
        // Connected, so it takes answers from there alone.
        client.connect((ASKED, server.local_addr().unwrap().port())).unwrap();
        client.send(b"question").unwrap();
        let server = Layer::Ours.wrap(server);
        let (metas, _) = recv_bytes(&*server, b"question".len()).await;
        assert_eq!(metas[0].dst_ip.map(|ip| ip.to_canonical()), Some(IpAddr::from(ASKED)));
        let answer = transmit(metas[0].addr, b"answer", None, Some(EcnCodepoint::Ect0));
        send(&server, &Transmit { src_ip: metas[0].dst_ip, ..answer }).await;
        let mut data = [0; 16];
        let len = client.recv(&mut data).unwrap();
        assert_eq!(&data[..len], b"answer");
    });
}

#[test]
fn a_wildcard_socket_answers_from_the_address_that_was_asked() {
    answers_from_the_address_that_was_asked("0.0.0.0:0");
}

#[test]
fn a_dual_stack_wildcard_socket_answers_ipv4_from_the_address_that_was_asked() {
    if has_v6("a_dual_stack_wildcard_socket_answers_ipv4_from_the_address_that_was_asked") {
        answers_from_the_address_that_was_asked("[::]:0");
    }
}

/// quinn tells which address it was.
#[test]
fn a_server_on_a_wildcard_address_knows_and_keeps_the_one_that_was_asked() {
    let mut servers = vec![("0.0.0.0:0", "127.0.0.1:0", IpAddr::from(ASKED))];
    if has_v6("a_server_on_a_wildcard_address_knows_and_keeps_the_one_that_was_asked") {
        servers.push(("[::]:0", "127.0.0.1:0", ASKED.into()));
        servers.push(("[::]:0", "[::1]:0", Ipv6Addr::LOCALHOST.into()));
    }
    for (at, from, asked_for) in servers {
        let (server, client) = (UdpSocket::bind(at).unwrap(), UdpSocket::bind(from).unwrap());
        let to = SocketAddr::from((asked_for, server.local_addr().unwrap().port()));
        run(async {
            let (server, client) = (Layer::Ours.wrap(server), Layer::Ours.wrap(client));
            let (_server, answered, _client, asked) = connect(server, client, to).await;
            assert_eq!(answered.local_ip().map(|ip| ip.to_canonical()), Some(asked_for));
            let bytes = pattern(100_000);
            assert!(there_and_back(&asked, &answered, &bytes).await == bytes, "other bytes came back");
            assert_eq!(asked.remote_address(), to);
        });
    }
}

/// A probe for what the path takes, a closed port, an address that is not ours: each is a lost datagram, and the next goes.
#[test]
fn what_the_kernel_refuses_is_a_lost_datagram() {
    run(async {
        let receiver = Layer::Ours.wrap(UdpSocket::bind("127.0.0.1:0").unwrap());
        let sender = Layer::Ours.wrap(UdpSocket::bind("0.0.0.0:0").unwrap());
        let to = receiver.local_addr().unwrap();
        let too_long = vec![0; 65_508];
        send(&sender, &transmit(to, &too_long, None, None)).await;
        let elsewhere = Some(IpAddr::from(Ipv4Addr::new(192, 0, 2, 1)));
        send(&sender, &Transmit { src_ip: elsewhere, ..transmit(to, b"from elsewhere", None, None) }).await;
        send(&sender, &transmit(to, &pattern(3000), Some(1000), None)).await;
        let (_, data) = recv_bytes(&*receiver, 3000).await;
        assert!(data == pattern(3000), "other bytes arrived");
    });
}

/// Without checksums the kernel refuses to cut (EINVAL): the same datagrams go one by one, with all that goes with them.
#[test]
fn datagrams_that_the_kernel_does_not_cut_go_one_by_one() {
    run(async {
        let receiver = UdpSocket::bind("127.0.0.1:0").unwrap();
        let sender = UdpSocket::bind("0.0.0.0:0").unwrap();
        set_option(&sender, libc::SOL_SOCKET, libc::SO_NO_CHECK, 1).unwrap();
        let (receiver, sender) = (Layer::Ours.wrap(receiver), Layer::Ours.wrap(sender));
        let contents = pattern(9 * 1200 + 7);
        for round in 0..3 {
            let cut = transmit(receiver.local_addr().unwrap(), &contents, Some(1200), Some(EcnCodepoint::Ect1));
            send(&sender, &Transmit { src_ip: Some(ASKED.into()), ..cut }).await;
            let (metas, data) = recv_bytes(&*receiver, contents.len()).await;
            assert!(data == contents, "round {round}: other bytes arrived");
            assert!(metas.iter().all(|meta| meta.ecn == Some(EcnCodepoint::Ect1) && meta.addr.ip() == ASKED));
            let lens: Vec<usize> = metas.iter().map(|meta| meta.len.min(meta.stride)).collect();
            assert_eq!((lens.len(), lens[..9].iter().all(|&len| len == 1200), lens[9]), (10, true, 7));
        }
    });
}
