//! The error queue: closed ports, packets that are too large, hop limits that run out, timestamps of what was sent.

#![cfg(target_os = "linux")]

mod common;

use std::{
    io::{self, ErrorKind},
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream, UdpSocket},
    os::fd::AsFd,
    time::Duration,
};

use ancillary::{
    ControlBuf, ControlVec, EncodeError, FamilyError, MsgFlags, MsgHdr, MsgHdrMut, RecvFlags, SocketExt,
    TruncatedError, cmsg,
    message::{ExtendedError, HopLimit, Meaning, Origin, PktInfo, TimestampPoint},
    set_option,
};
use common::{
    TIMEOUT,
    again::{again, is_child, works},
    alone,
    batches::{self, wait_for_entry},
    cause, has_v6,
    namespace::{Namespace, routed, v4},
    pairs::{DUAL, V4, addrs, bound, closed, datagrams, errno, tcp, udp},
    skipped,
    starting::Start,
};
use nix::{
    libc,
    poll::{PollFd, PollFlags, PollTimeout, poll},
};
use socket2::SockRef;

type Control = ControlBuf<(ExtendedError, PktInfo, HopLimit)>;

/// A socket here, and an address where nobody listens while the last one lives.
fn asker(ip: IpAddr) -> (UdpSocket, SocketAddr, UdpSocket) {
    let (nobody, closed) = closed(ip);
    (bound((ip, 0)), nobody, closed)
}

fn is_empty(socket: &impl AsFd) -> bool {
    let error = socket.recv_error(&mut [0; 9], &mut Control::new()).map(drop).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::WouldBlock);
    true
}

/// EQ01, EQ02, EQ03, EQ05
#[test]
fn a_closed_port_says_so_with_the_datagram_and_the_offender() {
    for (ip, origin, ty, code) in
        [(IpAddr::from([127, 0, 0, 1]), Origin::Icmp, 3, 3), (Ipv6Addr::LOCALHOST.into(), Origin::Icmp6, 1, 4)]
    {
        if ip.is_ipv6() && !has_v6("a_closed_port_says_so_with_the_datagram_and_the_offender") {
            continue;
        }
        let (socket, nobody, _closed) = asker(ip);
        socket.enable::<ExtendedError>().unwrap();
        assert!(is_empty(&socket));
        MsgHdr::new().to(nobody).data(b"anyone?").send(&socket).unwrap();
        wait_for_entry(&socket);

        let (mut data, mut control) = ([0; 64], Control::new());
        let entry = socket.recv_error(&mut data, &mut control).unwrap();
        let error = *entry.error();
        assert_eq!((entry.data(), entry.peer().unwrap().as_inet()), (&b"anyone?"[..], Some(nobody)));
        assert_eq!((error.errno, error.origin), (libc::ECONNREFUSED as u32, origin));
        assert_eq!((error.ty, error.code, error.info), (ty, code, 0));
        assert_eq!(error.meaning(), Meaning::PortUnreachable);
        assert_eq!(error.offender, Some((ip, 0).into()));
        assert_eq!(error.to_io_error().kind(), ErrorKind::ConnectionRefused);
        assert_eq!(error.to_string(), format!("port unreachable, says {ip}"));
        assert!(entry.flags().contains(MsgFlags::ERRQUEUE) && !entry.is_eof());
        assert_eq!(entry.get::<ExtendedError>(), Some(error));
        assert!(is_empty(&socket));
    }
}

/// EQ05, EQ12
#[test]
fn where_there_is_no_extension_none_is_told() {
    let test = "where_there_is_no_extension_none_is_told";
    const IP_RECVERR_RFC4884: i32 = 26;
    const IPV6_RECVERR_RFC4884: i32 = 31;
    let v4 = (libc::IPPROTO_IP, IP_RECVERR_RFC4884, 32);
    let v6 = (libc::IPPROTO_IPV6, IPV6_RECVERR_RFC4884, 44);
    for (addr, (level, option, len)) in addrs(test).iter().zip([v4, v6]) {
        let (socket, nobody, _closed) = asker(addr.parse::<SocketAddr>().unwrap().ip());
        socket.enable::<ExtendedError>().unwrap();
        for on in [0, 1] {
            if let Err(error) = set_option(&socket, level, option, on) {
                return skipped(format_args!("SKIPPED {test}: RFC 4884 (Linux 5.9): {error}"));
            }
            socket.send_to(b"x", nobody).unwrap();
            wait_for_entry(&socket);
            let (mut data, mut control) = ([0; 9], Control::new());
            let entry = socket.recv_error(&mut data, &mut control).unwrap();
            assert_eq!((entry.error().data, entry.error().extension_at()), (0, None));
            let lens: Vec<_> = entry.cmsgs().map(|cmsg| cmsg.payload().len()).collect();
            assert_eq!(lens, [len]);
        }
    }
}

/// EQ10
#[test]
fn without_enabling_a_closed_port_leaves_the_queue_empty() {
    let (socket, nobody, _closed) = asker([127, 0, 0, 1].into());
    socket.send_to(b"x", nobody).unwrap();
    assert!(is_empty(&socket));
    socket.enable::<ExtendedError>().unwrap();
    socket.disable::<ExtendedError>().unwrap();
    socket.send_to(b"x", nobody).unwrap();
    assert!(is_empty(&socket));
}

/// EQ10
#[test]
fn a_connected_socket_hears_of_a_closed_port_once_and_by_any_receive() {
    let (socket, nobody, _closed) = asker([127, 0, 0, 1].into());
    socket.connect(nobody).unwrap();
    for enabled in [false, true] {
        if enabled {
            socket.enable::<ExtendedError>().unwrap();
        }
        socket.send(b"x").unwrap();
        batches::wait(&socket, PollFlags::POLLIN);
        let receive = || {
            let (mut data, mut control) = ([0; 9], ControlBuf::<()>::new());
            let mut header = MsgHdrMut::new();
            errno(header.data(&mut data).flags(RecvFlags::DONTWAIT).recv(&socket, &mut control).map(drop))
        };
        assert_eq!((receive(), receive()), (libc::ECONNREFUSED, libc::EAGAIN));
        if enabled {
            assert_eq!(socket.recv_error(&mut [0; 9], &mut Control::new()).unwrap().len(), 1);
        }
        assert!(is_empty(&socket));
    }
}

/// EQ10
#[test]
fn reading_the_queue_takes_the_error_from_the_next_call() {
    let (socket, nobody, _closed) = asker([127, 0, 0, 1].into());
    socket.enable::<ExtendedError>().unwrap();
    socket.send_to(b"x", nobody).unwrap();
    wait_for_entry(&socket);
    assert_eq!(socket.recv_error(&mut [0; 9], &mut Control::new()).unwrap().len(), 1);
    assert!(socket.take_error().unwrap().is_none());
    socket.send_to(b"x", nobody).unwrap();
    wait_for_entry(&socket);
    assert_eq!(socket.take_error().unwrap().unwrap().kind(), ErrorKind::ConnectionRefused);
}

/// On a dual-stack socket the error of an IPv4 peer comes as an IPv6 message with an IPv4 origin.
#[test]
fn a_mapped_peer_is_reported_on_an_ipv6_socket() {
    if !has_v6("a_mapped_peer_is_reported_on_an_ipv6_socket") {
        return;
    }
    let (nobody, _closed) = closed([127, 0, 0, 1].into());
    let socket = bound(DUAL);
    socket.enable::<ExtendedError>().unwrap();
    MsgHdr::new().to(nobody).data(b"x").send(&socket).unwrap();
    wait_for_entry(&socket);
    let (mut data, mut control) = ([0; 9], Control::new());
    let entry = socket.recv_error(&mut data, &mut control).unwrap();
    assert_eq!(entry.error().origin, Origin::Icmp);
    let mapped = Ipv4Addr::LOCALHOST.to_ipv6_mapped();
    assert_eq!(entry.error().offender.map(|offender| offender.ip()), Some(mapped.into()));
    assert!(format!("{entry:?}").contains("{IPV6_RECVERR port unreachable, says ::ffff:127.0.0.1}"), "{entry:?}");
}

/// EQ04, ER13
#[test]
fn an_empty_queue_never_blocks() {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap(); // blocking, without a time limit
    assert!(is_empty(&socket));
    let drained = socket.error_queue().unwrap().drain(&mut [0; 9], &mut Control::new(), |_| panic!("nothing is there"));
    assert_eq!(drained.unwrap(), 0);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    assert!(is_empty(&listener));
}

#[test]
fn waiting_ends_with_an_entry_or_with_the_time() {
    let (socket, nobody, _closed) = asker([127, 0, 0, 1].into());
    socket.enable::<ExtendedError>().unwrap();
    let queue = socket.error_queue().unwrap();
    assert!(!queue.wait(Duration::ZERO).unwrap() && !queue.wait(Duration::from_micros(1500)).unwrap());
    socket.send_to(b"x", nobody).unwrap();
    assert!(queue.wait(Duration::MAX).unwrap());
    assert!(queue.wait(Duration::ZERO).unwrap(), "it is still there");
    let (mut data, mut control) = ([0; 9], Control::new());
    let entry = queue.recv(&mut data, &mut control).unwrap();
    assert_eq!(entry.peer().unwrap().as_inet_canonical(), Some(nobody));
    assert!(format!("{entry:?}").starts_with("QueuedError(Received { 1 bytes"), "{entry:?}");
    assert!(!queue.wait(Duration::ZERO).unwrap());
}

/// Connections that are reported for ever, though nothing is in the queue: one reset, one ended on both sides.
fn reported_for_ever() -> [TcpStream; 2] {
    let (peer, reset) = tcp(V4);
    reset.set_nonblocking(true).unwrap();
    SockRef::from(&peer).set_linger(Some(Duration::ZERO)).unwrap();
    drop(peer);
    let (peer, ended) = tcp(V4);
    ended.shutdown(std::net::Shutdown::Write).unwrap();
    drop(peer);
    let sockets = [reset, ended];
    for socket in &sockets {
        let queue = socket.error_queue().unwrap();
        assert!(queue.wait(TIMEOUT.unwrap()).unwrap() && is_empty(socket));
        assert!(queue.wait(Duration::ZERO).unwrap(), "it is reported although there is nothing");
    }
    sockets
}

/// Asked again and again, as a loop of `wait` and `drain` would, it would make thousands of calls.
#[test]
fn a_wait_for_entries_does_not_spin_on_what_has_ended() {
    const NAME: &str = "a_wait_for_entries_does_not_spin_on_what_has_ended";
    const CALLS: &str = "trace=recvmsg,poll,ppoll,epoll_wait,epoll_pwait,nanosleep,clock_nanosleep";
    let strace = ["strace", "-f", "-qq", "-e", "signal=none", "-e", CALLS];
    if is_child() {
        for socket in reported_for_ever() {
            let queue = socket.error_queue().unwrap();
            let drained = queue.drain_for(Duration::from_millis(100), &mut [], &mut Control::new(), |_| panic!());
            assert_eq!(drained.unwrap(), 0);
            assert!(queue.wait(Duration::ZERO).unwrap(), "still");
        }
        return;
    }
    if works(NAME, "strace", &["-o", "/dev/null", "true"]) {
        let output = alone(|| again(NAME, &strace).finish()).unwrap();
        let log = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{log}");
        let calls = log.lines().filter(|line| line.contains("recvmsg(")).count();
        assert!((4..40).contains(&calls), "{calls} calls in\n{log}");
    }
}

#[test]
fn a_wait_for_entries_ends_with_them_or_with_the_time() {
    let (socket, nobody, _closed) = asker([127, 0, 0, 1].into());
    socket.enable::<ExtendedError>().unwrap();
    let queue = socket.error_queue().unwrap();
    let drain = |time| queue.drain_for(time, &mut [0; 9], &mut Control::new(), |entry| assert_eq!(entry.data(), b"x"));
    assert_eq!((drain(Duration::ZERO).unwrap(), drain(Duration::from_micros(1500)).unwrap()), (0, 0));
    for _ in 0..3 {
        socket.send_to(b"x", nobody).unwrap();
        assert_eq!(drain(Duration::MAX).unwrap(), 1);
        let _ = socket.take_error();
    }
    let mut small = ControlVec::<()>::with_capacity(8);
    let refused = queue.drain_for(Duration::MAX, &mut [], &mut small, |_| ()).unwrap_err();
    assert!(matches!(cause(&refused), Some(EncodeError::ControlSpace { available: 8, .. })));
}

#[test]
fn a_drain_gives_all_in_order_and_leaves_nothing() {
    let (socket, nobody, _closed) = asker([127, 0, 0, 1].into());
    socket.enable::<ExtendedError>().unwrap();
    let mut sent = Vec::new();
    for i in 0..20u8 {
        // A queued error fails the next send once, which is then not sent.
        while let Err(error) = socket.send_to(&[i], nobody) {
            assert_eq!(error.kind(), ErrorKind::ConnectionRefused);
        }
        sent.push(i);
    }
    let (mut count, mut found) = (0, Vec::new());
    let queue = socket.error_queue().unwrap();
    let (mut data, mut control) = ([0; 9], Control::new());
    while count < sent.len() {
        wait_for_entry(&socket);
        count += queue.drain(&mut data, &mut control, |entry| found.extend_from_slice(entry.data())).unwrap();
        assert_eq!(count, found.len());
    }
    assert_eq!(found, sent);
    assert!(is_empty(&socket));
}

#[test]
fn sockets_without_an_error_queue_are_refused_and_lose_nothing() {
    let (a, b) = datagrams();
    a.send(b"ordinary").unwrap();
    let error = b.error_queue().unwrap_err();
    let expected = "AF_INET, AF_INET6, AF_PACKET, AF_CAN or AF_VSOCK";
    assert_eq!(cause::<FamilyError>(&error).unwrap().expected, expected);
    assert!(b.recv_error(&mut [0; 9], &mut Control::new()).is_err());
    assert!(b.enable::<ExtendedError>().is_err());
    assert_eq!(b.recv(&mut [0; 9]).unwrap(), 8);
}

#[test]
fn a_control_buffer_without_room_is_refused_before_the_entry_is_read() {
    let (socket, nobody, _closed) = asker([127, 0, 0, 1].into());
    socket.enable::<ExtendedError>().unwrap();
    socket.send_to(b"x", nobody).unwrap();
    wait_for_entry(&socket);
    const NEEDED: usize = cmsg::space(44).unwrap();
    const AVAILABLE: usize = NEEDED - 8;
    let error = socket.recv_error(&mut [0; 9], &mut ControlBuf::<(), AVAILABLE>::new()).map(drop).unwrap_err();
    assert_eq!(cause(&error), Some(EncodeError::ControlSpace { needed: NEEDED, available: AVAILABLE }));
    assert_eq!(socket.recv_error(&mut [0; 9], &mut Control::new()).unwrap().len(), 1, "it is still there");
}

/// EQ05
#[test]
fn what_pushes_the_entry_out_is_an_error_and_stays_readable() {
    let (socket, nobody, _closed) = asker([127, 0, 0, 1].into());
    socket.enable::<(ExtendedError, PktInfo, HopLimit)>().unwrap();
    socket.send_to(b"four", nobody).unwrap();
    wait_for_entry(&socket);
    let mut control = ControlBuf::<ExtendedError, 64>::new();
    let error = socket.recv_error(&mut [0; 2], &mut control).map(drop).unwrap_err();
    let truncated = cause::<TruncatedError>(&error).unwrap();
    assert_eq!((truncated.control, truncated.len), (true, 2));
    assert_eq!(control.get::<PktInfo>().map(|info| info.addr()), Some(Ipv4Addr::LOCALHOST.into()));
    assert!(control.flags().contains(MsgFlags::CTRUNC | MsgFlags::TRUNC));

    socket.send_to(b"four", nobody).unwrap();
    wait_for_entry(&socket);
    let (mut data, mut control) = ([0; 2], Control::new());
    let entry = socket.recv_error(&mut data, &mut control).unwrap();
    let (error, info, hops) = entry.extract();
    assert_eq!((error.as_ref(), info.map(|info| info.ifindex() > 0)), (Some(entry.error()), Some(true)));
    assert!(hops.is_some() && entry.flags().contains(MsgFlags::TRUNC));
}

/// TS12
#[test]
fn a_queue_that_is_not_empty_shows_as_pollerr_alone() {
    let (socket, nobody, _closed) = asker([127, 0, 0, 1].into());
    socket.enable::<ExtendedError>().unwrap();
    let events = || {
        let mut fds = [PollFd::new(socket.as_fd(), PollFlags::POLLIN)];
        poll(&mut fds, PollTimeout::ZERO).unwrap();
        fds[0].revents().unwrap()
    };
    assert_eq!(events(), PollFlags::empty());
    socket.send_to(b"x", nobody).unwrap();
    wait_for_entry(&socket);
    assert_eq!(events(), PollFlags::POLLERR);
    assert_eq!(socket.error_queue().unwrap().drain(&mut [], &mut Control::new(), |_| ()).unwrap(), 1);
    assert_eq!(events(), PollFlags::empty());
}

/// A datagram larger than the interface, not to be fragmented: this host says so itself.
#[test]
fn a_packet_too_large_for_this_host_names_the_mtu() {
    let Some(namespace) = Namespace::new("a_packet_too_large_for_this_host_names_the_mtu") else { return };
    namespace.ip("link set lo mtu 1500");
    namespace.run(|| {
        let (socket, nobody, _closed) = asker([127, 0, 0, 1].into());
        socket.enable::<ExtendedError>().unwrap();
        dont_fragment(&socket);
        let error = socket.send_to(&[7; 2000], nobody).unwrap_err();
        assert_eq!(error.raw_os_error(), Some(libc::EMSGSIZE));
        let (mut data, mut control) = ([0; 9], Control::new());
        let entry = socket.recv_error(&mut data, &mut control).unwrap();
        assert_eq!(entry.error().meaning(), Meaning::PacketTooBig { mtu: 1500 });
        assert_eq!((entry.error().origin, entry.error().offender), (Origin::Local, None));
        assert!(is_empty(&socket));
    });
}

fn dont_fragment(socket: &UdpSocket) {
    set_option(socket, libc::IPPROTO_IP, libc::IP_MTU_DISCOVER, libc::IP_PMTUDISC_DO).unwrap();
}

#[test]
fn a_router_names_itself_and_the_mtu_behind_it() {
    let Some([here, _router, _far]) = routed("a_router_names_itself_and_the_mtu_behind_it", 1400) else { return };
    here.run(|| {
        let socket = bound((v4(1, 1), 0));
        socket.enable::<ExtendedError>().unwrap();
        dont_fragment(&socket);
        let far = SocketAddr::from((v4(2, 2), 9));
        MsgHdr::new().to(far).data(&[7; 1450]).send(&socket).unwrap();
        wait_for_entry(&socket);
        let (mut data, mut control) = ([0; 2000], Control::new());
        let entry = socket.recv_error(&mut data, &mut control).unwrap();
        assert_eq!(entry.error().meaning(), Meaning::PacketTooBig { mtu: 1400 });
        assert_eq!(entry.error().to_string(), "packet too big for an MTU of 1400, says 10.66.1.2");
        assert_eq!(entry.peer().unwrap().as_inet(), Some(far));
        assert!(entry.data().starts_with(&[7; 500]), "{}", entry.len());
    });
}

/// What traceroute does.
#[test]
fn each_hop_answers_when_the_hop_limit_runs_out_there() {
    let Some([here, _router, _far]) = routed("each_hop_answers_when_the_hop_limit_runs_out_there", 1400) else {
        return;
    };
    here.run(|| {
        let socket = bound((v4(1, 1), 0));
        socket.enable::<ExtendedError>().unwrap();
        let far = SocketAddr::from((v4(2, 2), 9));
        let mut hops = Vec::new();
        for hop in 1..=2 {
            MsgHdr::new().to(far).data(b"probe").control(HopLimit(hop)).send(&socket).unwrap();
            wait_for_entry(&socket);
            let (mut data, mut control) = ([0; 64], Control::new());
            let entry = socket.recv_error(&mut data, &mut control).unwrap();
            hops.push((entry.error().meaning(), entry.error().offender.unwrap().ip()));
        }
        assert_eq!(hops[0], (Meaning::HopLimitExceeded, v4(1, 2).into()));
        assert_eq!(hops[1], (Meaning::PortUnreachable, v4(2, 2).into()));
    });
}

const SO_TIMESTAMPING: i32 = 37;
const TX_SOFTWARE: i32 = 1 << 1;
const SOFTWARE: i32 = 1 << 4;
const OPT_ID: i32 = 1 << 7;
const TX_SCHED: i32 = 1 << 8;
const TX_ACK: i32 = 1 << 9;
const OPT_TSONLY: i32 = 1 << 11;

fn sent_entries(socket: &impl AsFd, want: usize) -> io::Result<Vec<(TimestampPoint, u32)>> {
    let (mut found, mut control) = (Vec::new(), Control::new());
    while found.len() < want {
        let mut fds = [PollFd::new(socket.as_fd(), PollFlags::empty())];
        assert_eq!(poll(&mut fds, PollTimeout::try_from(TIMEOUT.unwrap()).unwrap())?, 1, "only {found:?} came");
        socket.error_queue()?.drain(&mut [0; 64], &mut control, |entry| match entry.error().meaning() {
            Meaning::Sent { point, id } => found.push((point, id)),
            other => panic!("{other}"),
        })?;
    }
    Ok(found)
}

/// TS09
#[test]
fn timestamps_of_sent_datagrams_count_datagrams() {
    let (_peer, socket) = udp(V4);
    let flags = TX_SOFTWARE | TX_SCHED | SOFTWARE | OPT_ID | OPT_TSONLY;
    set_option(&socket, libc::SOL_SOCKET, SO_TIMESTAMPING, flags).unwrap();
    let mut found = Vec::new();
    for _ in 0..2 {
        MsgHdr::new().data(b"ten bytes!").send(&socket).unwrap();
        found.extend(sent_entries(&socket, 2).unwrap());
    }
    found.sort_by_key(|&(point, id)| (id, point == TimestampPoint::Sent));
    let expected = [0, 1].map(|id| [(TimestampPoint::Scheduled, id), (TimestampPoint::Sent, id)]);
    assert_eq!(found, expected.concat());
}

/// TS09
#[test]
fn timestamps_of_a_stream_count_bytes() {
    let (_peer, socket) = tcp(V4);
    let flags = TX_SOFTWARE | TX_ACK | SOFTWARE | OPT_ID | OPT_TSONLY;
    set_option(&socket, libc::SOL_SOCKET, SO_TIMESTAMPING, flags).unwrap();
    let mut found = Vec::new();
    for data in [&b"ten bytes!"[..], b"five!"] {
        MsgHdr::new().data(data).send(&socket).unwrap();
        found.extend(sent_entries(&socket, 2).unwrap());
    }
    found.sort_by_key(|&(point, id)| (id, point == TimestampPoint::Acknowledged));
    let expected = [9, 14].map(|id| [(TimestampPoint::Sent, id), (TimestampPoint::Acknowledged, id)]);
    assert_eq!(found, expected.concat());
}
