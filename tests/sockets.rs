//! Everything that is a socket, whoever made it: std, nix, socket2, tokio; UDP, TCP, raw; many threads at once.
#![cfg(target_os = "linux")]

mod common;

use std::{
    io::{self, ErrorKind},
    net::{Ipv4Addr, SocketAddr, UdpSocket},
    os::fd::{AsFd, OwnedFd},
    sync::{Mutex, mpsc},
    thread,
    time::{Duration, SystemTime},
};

use ancillary::{
    ControlBuf, MsgHdr, MsgHdrMut, RecvFlags, SockAddr, SocketExt,
    message::{Ecn, HopLimit, IpTtl, Ipv6HopLimit, PktInfo, ScmRights, Timestamp, TrafficClass},
    set_option,
};
use common::{
    TIMEOUT, has_v6,
    pairs::{V4, addrs, bound, tcp, udp},
    raw, skipped,
};
use nix::{
    libc,
    sys::socket::{AddressFamily, SockFlag, SockProtocol, SockType, socket},
};

type Meta = (PktInfo, HopLimit, TrafficClass);

const CLASS: TrafficClass = TrafficClass::new(46, Ecn::Ect0);

/// A question with everything set, from one socket to the other, whatever they are.
fn exchange(from: &impl AsFd, to: &impl AsFd, addr: SocketAddr) {
    to.enable::<Meta>().unwrap();
    let mut message = MsgHdr::new();
    message.to(addr).data(b"whoever ").data(b"you are").control((HopLimit(9), CLASS));
    assert_eq!(message.send(from).unwrap(), 15);
    let (mut data, mut control) = ([0; 64], ControlBuf::<Meta>::new());
    let message = to.recv_msg(&mut data, &mut control).unwrap();
    assert_eq!(message.data(), b"whoever you are");
    let (info, hops, class) = message.extract();
    assert_eq!((info.map(|info| info.addr()), hops, class), (Some(addr.ip()), Some(HopLimit(9)), Some(CLASS)));
}

#[test]
fn sockets_of_std_nix_and_socket2_are_the_same() {
    for host in addrs("sockets_of_std_nix_and_socket2_are_the_same") {
        let (std_socket, ours) = (bound(host), bound(host));
        let of_nix: OwnedFd = bound(host).into();
        let domain = socket2::Domain::for_address(ours.local_addr().unwrap());
        let of_socket2 = socket2::Socket::new(domain, socket2::Type::DGRAM, None).unwrap();
        of_socket2.bind(&host.parse::<SocketAddr>().unwrap().into()).unwrap();
        of_socket2.set_read_timeout(TIMEOUT).unwrap();
        let addr = ours.local_addr().unwrap();
        exchange(&std_socket, &ours, addr);
        exchange(&of_nix, &ours, addr);
        exchange(&of_socket2, &ours, addr);
        exchange(&ours, &of_socket2, of_socket2.local_addr().unwrap().as_socket().unwrap());
        exchange(&ours, &of_nix, UdpSocket::from(of_nix.try_clone().unwrap()).local_addr().unwrap());
    }
}

#[test]
fn a_socket_of_tokio_waits_and_then_reads() {
    use tokio::io::Interest;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build().unwrap();
    runtime.block_on(async {
        let server = tokio::net::UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let (client, addr) = (bound(V4), server.local_addr().unwrap());
        server.enable::<Meta>().unwrap();
        let (mut data, mut control) = ([0; 64], ControlBuf::<Meta>::new());
        let early = server.try_io(Interest::READABLE, || server.recv_msg(&mut data, &mut control).map(|m| m.len()));
        assert_eq!(early.unwrap_err().kind(), ErrorKind::WouldBlock);
        let asks = thread::spawn(move || {
            MsgHdr::new().to(addr).data(b"hello").control((HopLimit(7), CLASS)).send(&client).unwrap();
            client.recv(&mut [0; 9]).unwrap()
        });
        // The closure may run many times and cannot lend what it received: the buffer keeps it.
        let read = || server.recv_msg(&mut data, &mut control).map(|message| message.len());
        let len = server.async_io(Interest::READABLE, read).await.unwrap();
        let (info, hops, class) = control.extract();
        assert_eq!((&data[..len], hops, class), (&b"hello"[..], Some(HopLimit(7)), Some(CLASS)));
        let mut answer = MsgHdr::new();
        answer.to(control.peer()).data(b"hi").control(info.and_then(|info| info.reply()));
        server.async_io(Interest::WRITABLE, || answer.send(&server)).await.unwrap();
        assert_eq!(asks.join().unwrap(), 2);
    });
}

#[test]
fn tcp_gathers_and_scatters_both_ways() {
    for host in addrs("tcp_gathers_and_scatters_both_ways") {
        let (server, client) = tcp(host);
        for (from, to) in [(&client, &server), (&server, &client)] {
            assert_eq!(MsgHdr::new().data(b"two ").data(b"pieces").send_all(from).unwrap(), 10);
            let (mut data, mut control) = ([0; 10], ControlBuf::<()>::new());
            let message = to.recv_exact(&mut data, &mut control).unwrap();
            assert_eq!((message.len(), message.peer(), message.control_bytes().len()), (10, None, 0));
            assert_eq!(&data, b"two pieces");
        }
    }
}

/// RFC 1071
fn checksum(bytes: &[u8]) -> u16 {
    let words = bytes.chunks(2).map(|pair| u32::from(pair[0]) << 8 | u32::from(*pair.get(1).unwrap_or(&0)));
    let sum: u32 = words.sum();
    !((sum & 0xffff) + (sum >> 16)) as u16
}

fn raw(family: AddressFamily, protocol: SockProtocol, test: &str) -> Option<OwnedFd> {
    match socket(family, SockType::Raw, SockFlag::SOCK_CLOEXEC, protocol) {
        Ok(socket) => Some(socket),
        Err(error) => {
            skipped(format_args!("SKIPPED {test}: a raw socket needs CAP_NET_RAW ({error})"));
            None
        }
    }
}

/// The first message of this socket that `is` ours; other traffic on the machine is passed over.
fn wait_for<R>(mut receive: impl FnMut() -> io::Result<Option<R>>) -> R {
    for _ in 0..1000 {
        if let Some(found) = receive().unwrap() {
            return found;
        }
    }
    panic!("a thousand other messages");
}

#[test]
fn a_raw_icmp_socket_sets_and_sees_the_ttl() {
    let test = "a_raw_icmp_socket_sets_and_sees_the_ttl";
    let Some(socket) = raw(AddressFamily::Inet, SockProtocol::Icmp, test) else { return };
    socket2::SockRef::from(&socket).set_read_timeout(TIMEOUT).unwrap();
    socket.enable::<(IpTtl, PktInfo)>().unwrap();
    let (to, id) = (Ipv4Addr::new(127, 0, 0, 77), std::process::id() as u16);
    let mut echo = [8, 0, 0, 0, (id >> 8) as u8, id as u8, 0, 1, b'p', b'i', b'n', b'g'];
    let sum = checksum(&echo).to_be_bytes();
    echo[2..4].copy_from_slice(&sum);
    let sent = MsgHdr::new().to((to, 0)).data(&echo[..8]).data(&echo[8..]).control(IpTtl(33)).send(&socket);
    assert_eq!(sent.unwrap(), 12);
    // The request itself arrives here too, over the loopback interface; the IPv4 header comes with it.
    let (mut data, mut control) = ([0; 256], ControlBuf::<(IpTtl, PktInfo)>::new());
    let (ttl, info) = wait_for(|| {
        let message = socket.recv_msg(&mut data, &mut control)?;
        Ok((message.data().get(20..) == Some(&echo[..])).then(|| message.extract()))
    });
    assert_eq!((ttl, info.map(|info| info.addr())), (Some(IpTtl(33)), Some(to.into())));
}

#[test]
fn a_raw_icmpv6_socket_sets_and_sees_the_hop_limit() {
    let test = "a_raw_icmpv6_socket_sets_and_sees_the_hop_limit";
    if !has_v6(test) {
        return;
    }
    let Some(socket) = raw(AddressFamily::Inet6, SockProtocol::IcmpV6, test) else { return };
    socket2::SockRef::from(&socket).set_read_timeout(TIMEOUT).unwrap();
    socket.enable::<(Ipv6HopLimit, PktInfo)>().unwrap();
    let id = std::process::id() as u16;
    let echo = [128, 0, 0, 0, (id >> 8) as u8, id as u8, 0, 1, b'p', b'i', b'n', b'g']; // the kernel sums it
    let to: SocketAddr = "[::1]:0".parse().unwrap();
    MsgHdr::new().to(to).data(&echo).control(Ipv6HopLimit(33)).send(&socket).unwrap();
    let (mut data, mut control) = ([0; 256], ControlBuf::<(Ipv6HopLimit, PktInfo)>::new());
    let (hops, info) = wait_for(|| {
        let message = socket.recv_msg(&mut data, &mut control)?;
        let ours = message.data().first() == Some(&128) && message.data().get(4..) == Some(&echo[4..]);
        Ok(ours.then(|| message.extract()))
    });
    assert_eq!((hops, info.map(|info| info.addr())), (Some(Ipv6HopLimit(33)), Some(to.ip())));
}

/// TS02, TS17
#[test]
fn a_timestamp_lies_between_sending_and_receiving() {
    for host in addrs("a_timestamp_lies_between_sending_and_receiving") {
        let (a, b) = (bound(host), bound(host));
        b.enable::<Timestamp>().unwrap();
        for _ in 0..5 {
            let before = SystemTime::now();
            MsgHdr::new().to(b.local_addr().unwrap()).data(b"tick").send(&a).unwrap();
            let (mut data, mut control) = ([0; 8], ControlBuf::<Timestamp>::new());
            let stamp = b.recv_msg(&mut data, &mut control).unwrap().extract().unwrap().to_system_time().unwrap();
            let after = SystemTime::now();
            // The clock may be stepped while the test runs; a second is more than it is slewed by.
            let slack = Duration::from_secs(1);
            assert!(before - slack <= stamp && stamp <= after + slack, "{before:?} {stamp:?} {after:?}");
        }
    }
}

/// FL16: the offset of peeks grows with what is peeked and shrinks with what is read.
#[test]
fn a_peek_goes_on_behind_the_last_one() {
    let name = "a_peek_goes_on_behind_the_last_one";
    const SO_PEEK_OFF: (i32, i32) = (libc::SOL_SOCKET, libc::SO_PEEK_OFF);
    for addr in addrs(name) {
        let (stream, datagrams) = (tcp(addr), udp(addr));
        let pairs: [(OwnedFd, OwnedFd); 2] =
            [(stream.0.into(), stream.1.into()), (datagrams.0.into(), datagrams.1.into())];
        for (receiver, sender) in pairs {
            let offset = || raw::int_option(&receiver, SO_PEEK_OFF).unwrap();
            assert_eq!(offset(), -1, "off");
            if let Err(error) = set_option(&receiver, SO_PEEK_OFF.0, SO_PEEK_OFF.1, 0) {
                skipped(format_args!("SKIPPED {name}, {addr}: SO_PEEK_OFF: {error}"));
                continue;
            }
            MsgHdr::new().data(b"abc").send(&sender).unwrap();
            for (expected, behind) in [(b'a', 1), (b'b', 2)] {
                let (mut data, mut control) = ([0; 1], ControlBuf::<()>::new());
                let mut header = MsgHdrMut::new();
                let message = header.data(&mut data).flags(RecvFlags::PEEK).recv(&receiver, &mut control).unwrap();
                assert_eq!((message.len(), data[0], offset()), (1, expected, behind), "{addr}");
            }
            let (mut data, mut control) = ([0; 3], ControlBuf::<()>::new());
            let mut header = MsgHdrMut::new();
            let message = header.data(&mut data).flags(RecvFlags::TRUNC).recv(&receiver, &mut control).unwrap();
            assert_eq!((message.full_len(), offset()), (3, 0), "{addr}: read to the end");
        }
    }
}

/// TH01
#[test]
fn many_threads_share_a_socket() {
    const EACH: usize = 200;
    const WRITERS: usize = 4;
    let receiver = bound(V4);
    let sender = bound(V4);
    receiver.enable::<Meta>().unwrap();
    let to = SockAddr::from(receiver.local_addr().unwrap());
    // So many datagrams are on the way at most: the socket's buffer holds more.
    let (on_the_way, arrived) = mpsc::sync_channel(64);
    let arrived = Mutex::new(arrived);
    let answered = thread::scope(|scope| {
        let read = || {
            let (mut data, mut control, mut count) = ([0; 64], ControlBuf::<Meta>::new(), 0);
            for _ in 0..WRITERS * EACH / 2 {
                let message = receiver.recv_msg(&mut data, &mut control).unwrap();
                arrived.lock().unwrap().recv().unwrap();
                let (info, hops, class) = message.extract();
                // Every part of a message says the same number.
                let number = message.data()[0];
                assert_eq!((message.len(), message.data()[1]), (2, number));
                assert_eq!((hops, class), (Some(HopLimit(number)), Some(TrafficClass(number))));
                count += usize::from(info.is_some());
            }
            count
        };
        let readers = [scope.spawn(read), scope.spawn(read)];
        for writer in 0..WRITERS {
            let (sender, to, on_the_way) = (&sender, &to, on_the_way.clone());
            scope.spawn(move || {
                for n in 0..EACH {
                    on_the_way.send(()).unwrap();
                    let number = (1 + (writer * 50 + n % 50)) as u8;
                    let control = (HopLimit(number), TrafficClass(number));
                    MsgHdr::new().to(to).data(&[number; 2]).control(control).send(sender).unwrap();
                }
            });
        }
        readers.map(|reader| reader.join().unwrap())
    });
    assert_eq!(answered.iter().sum::<usize>(), WRITERS * EACH);
}

/// Sockets of other families take no descriptors, and say nothing: that is the kernel's way.
#[test]
fn descriptors_over_udp_go_nowhere() {
    let (a, b) = (bound(V4), bound(V4));
    MsgHdr::new().to(b.local_addr().unwrap()).data(b"x").control(ScmRights::new([&a])).send(&a).unwrap();
    let message = b.recv_fds::<1>(&mut [0; 1]).unwrap();
    assert_eq!((message.len(), message.fds().count()), (1, 0));
}
