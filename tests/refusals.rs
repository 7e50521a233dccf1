//! What the kernel refuses: its errno, or our name for it; nothing sent, nothing left open. And addresses.
//!
//! EFAULT, negative lengths and pointers without a length cannot be said in safe Rust, and a borrowed descriptor is
//! open: EBADF is left for one that stands for a path alone (`O_PATH`), or where `unsafe` has promised too much.
#![cfg(target_os = "linux")]

mod common;

use std::{
    fs::{self, File},
    io::{self, ErrorKind, Read},
    net::{Ipv4Addr, Ipv6Addr, Shutdown, SocketAddr, TcpStream, UdpSocket},
    os::{
        fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd},
        unix::{
            net::{UnixDatagram, UnixStream},
            process::CommandExt,
        },
    },
    process::Command,
};

use ancillary::{
    ControlBuf, ControlVec, FamilyError, MsgFlags, MsgHdr, MsgHdrMut, RawCmsg, RecvFlags, SendFlags, SockAddr,
    SocketExt,
    cmsg::CmsgId,
    message::{
        Credentials, HopLimit, IpPktInfo, IpTos, IpTtl, Ipv6HopLimit, Ipv6PktInfo, PktInfo, RecvList, ScmRights,
        TClass, Timestamp, TrafficClass,
    },
    set_option,
};
use common::{
    has_v6, no_leak,
    pairs::{self, KINDS, V4, bound, errno, pair, udp_lite},
    skipped,
    starting::Start,
};
use nix::{
    libc,
    sys::socket::{AddressFamily, SockFlag, SockType, socket},
};

fn tcp() -> (TcpStream, TcpStream) {
    let (server, client) = pairs::tcp(V4);
    (client, server)
}

fn local(socket: &UdpSocket) -> SocketAddr {
    socket.local_addr().unwrap()
}

/// A descriptor that is open and good for nothing.
fn path_only() -> File {
    // Not by OpenOptions: on musl O_PATH is part of O_ACCMODE, which custom_flags drops.
    nix::fcntl::open("/dev/null", nix::fcntl::OFlag::O_PATH, nix::sys::stat::Mode::empty()).unwrap().into()
}

/// A number beyond every limit, so that nobody's file is meant.
fn absent() -> BorrowedFd<'static> {
    // SAFETY: the promise that it is open is broken on purpose; the kernel looks it up and finds nothing.
    unsafe { BorrowedFd::borrow_raw(i32::MAX) }
}

fn receive_now(flags: RecvFlags, socket: &impl AsFd) -> io::Result<usize> {
    let (mut data, mut control) = ([0; 64], ControlBuf::<()>::new());
    let mut header = MsgHdrMut::new();
    header.data(&mut data).flags(flags | RecvFlags::DONTWAIT).recv(socket, &mut control).map(|message| message.len())
}

fn nothing_arrived(peer: &impl AsFd) {
    assert_eq!(receive_now(RecvFlags::empty(), peer).unwrap_err().kind(), ErrorKind::WouldBlock);
}

/// The data of the next message and where it comes from.
fn next(socket: &impl AsFd) -> (Vec<u8>, Option<SockAddr>) {
    let (mut data, mut control) = ([0; 64], ControlBuf::<()>::new());
    let message = socket.recv_msg(&mut data, &mut control).unwrap();
    (message.data().to_vec(), message.peer().copied())
}

/// Both kinds of send give this errno, and nothing arrives.
fn refuses(header: &mut MsgHdr<'_>, from: &impl AsFd, to: &impl AsFd, expected: i32) {
    assert_eq!((errno(header.send(from)), errno(header.send_all(from))), (expected, expected), "{header:?}");
    nothing_arrived(to);
}

/// The error names what has the wrong family, what would do, and what was found.
fn names_family<T>(result: io::Result<T>, what: &str, expected: &str, found: i32, name: &str) {
    let Err(error) = result else { panic!("expected a FamilyError for {name}") };
    let cause = error.get_ref().and_then(|cause| cause.downcast_ref::<FamilyError>());
    let cause = cause.unwrap_or_else(|| panic!("expected a FamilyError, found {error:?}"));
    assert_eq!((cause.what, cause.expected, cause.found), (what, expected, found));
    assert_eq!(error.to_string(), format!("{what}: expected {expected}, found {name}"));
    assert_eq!((error.kind(), error.raw_os_error()), (ErrorKind::InvalidInput, None));
}

/// AD17, AD19
#[test]
fn a_destination_of_another_family_is_named() {
    no_leak(|| {
        let (v4, (a, unix), unbound) = (bound(V4), pair(SockType::Datagram), UnixDatagram::unbound().unwrap());
        let port = local(&v4).port();
        let to_v4 = SockAddr::from(local(&v4));
        let to_v6 = SockAddr::from(SocketAddr::from((Ipv6Addr::LOCALHOST, port)));
        let to_unix = SockAddr::unix("/nowhere").unwrap();
        let of_family = |family: u16| SockAddr::from_bytes(&[&family.to_ne_bytes()[..], &[0; 14]].concat()).unwrap();
        let unnamed = SockAddr::from_bytes(&(libc::AF_UNIX as u16).to_ne_bytes()).unwrap();
        // A mapped address that is cut says no IPv4 address.
        let mapped = SockAddr::from(SocketAddr::from((Ipv4Addr::LOCALHOST.to_ipv6_mapped(), port)));
        let cut = SockAddr::from_bytes(&mapped.as_bytes()[..24]).unwrap();
        let (inet, inet6, af_unix) =
            ((libc::AF_INET, "AF_INET"), (libc::AF_INET6, "AF_INET6"), (libc::AF_UNIX, "AF_UNIX"));
        let unknown = (99, "address family 99");
        let refused = |from: &dyn AsFd, to: &dyn AsFd, expected: &str, addr: SockAddr, (found, name): (i32, &str)| {
            let mut header = MsgHdr::new();
            header.to(addr).data(b"x").control(HopLimit(9));
            names_family(header.send(from.as_fd()), "destination address", expected, found, name);
            names_family(header.send_all(from.as_fd()), "destination address", expected, found, name);
            nothing_arrived(&to.as_fd());
        };
        for (addr, found) in [(to_v6, inet6), (cut, inet6), (to_unix, af_unix), (unnamed, af_unix)] {
            refused(&v4, &v4, "AF_INET", addr, found);
        }
        refused(&v4, &v4, "AF_INET", of_family(99), unknown);
        refused(&v4, &v4, "AF_INET", of_family(libc::AF_NETLINK as u16), (libc::AF_NETLINK, "AF_NETLINK"));
        for (addr, found) in [(to_v4, inet), (to_v6, inet6), (of_family(99), unknown)] {
            refused(&a, &unix, "AF_UNIX", addr, found);
            refused(&unbound, &unix, "AF_UNIX", addr, found);
        }
        if has_v6("a_destination_of_another_family_is_named") {
            let v6 = bound("[::]:0");
            for (addr, found) in [(to_unix, af_unix), (of_family(99), unknown)] {
                refused(&v6, &v6, "AF_INET6 or AF_INET", addr, found);
            }
        }
        // The error is of that send: the same header reaches a right one.
        let mut header = MsgHdr::new();
        header.to(to_v6).data(b"x");
        assert!(header.send(&v4).is_err());
        header.to(to_v4).send(&v4).unwrap();
        assert_eq!(next(&v4), (b"x".to_vec(), Some(to_v4)));
    });
}

/// AD18, AD19: by `send_all` too
#[test]
fn a_mapped_destination_is_the_same_from_both_families() {
    no_leak(|| {
        let (receiver, v4) = (bound(V4), bound(V4));
        let mapped = SocketAddr::from((Ipv4Addr::LOCALHOST.to_ipv6_mapped(), local(&receiver).port()));
        let mut header = MsgHdr::new();
        header.to(mapped).data(b"ma").data(b"pped");
        assert_eq!(header.send_all(&v4).unwrap(), 6);
        assert_eq!(next(&receiver), (b"mapped".to_vec(), Some(local(&v4).into())));
        if has_v6("a_mapped_destination_is_the_same_from_both_families") {
            let v6 = bound("[::]:0");
            for plain in [mapped, local(&receiver)] {
                assert_eq!(header.to(plain).send_all(&v6).unwrap(), 6);
                assert_eq!(next(&receiver).0, b"mapped");
            }
            // One that is bound to an IPv6 address is for IPv6 alone.
            refuses(header.to(mapped), &bound("[::1]:0"), &receiver, libc::ENETUNREACH);
        }
    });
}

/// A socket, with the number and the name of its family.
type Known = (OwnedFd, i32, &'static str);

/// One of each family that there is.
fn sockets(name: &str) -> Vec<Known> {
    let families = [
        (AddressFamily::Unix, SockType::Datagram, libc::AF_UNIX, "AF_UNIX"),
        (AddressFamily::Inet, SockType::Datagram, libc::AF_INET, "AF_INET"),
        (AddressFamily::Inet6, SockType::Datagram, libc::AF_INET6, "AF_INET6"),
        (AddressFamily::Netlink, SockType::Raw, libc::AF_NETLINK, "AF_NETLINK"),
        (AddressFamily::Vsock, SockType::Stream, libc::AF_VSOCK, "AF_VSOCK"),
        (AddressFamily::Packet, SockType::Datagram, libc::AF_PACKET, "AF_PACKET"),
    ];
    let mut sockets = Vec::new();
    for (family, kind, number, known) in families {
        match socket(family, kind, SockFlag::SOCK_CLOEXEC, None) {
            Ok(socket) => sockets.push((socket, number, known)),
            Err(error) if number != libc::AF_UNIX => skipped(format_args!("SKIPPED {name}, {known}: {error}")),
            Err(error) => panic!("{error}"),
        }
    }
    sockets
}

/// Every family but `good` is refused, and so is what is no socket.
fn only_on<L: RecvList>(sockets: &[Known], good: &[i32], expected: &str) {
    for (socket, found, name) in sockets {
        if good.contains(found) {
            socket.enable::<L>().unwrap();
            socket.disable::<L>().unwrap();
        } else {
            names_family(socket.enable::<L>(), "socket", expected, *found, name);
            names_family(socket.disable::<L>(), "socket", expected, *found, name);
        }
    }
    let (null, path) = (File::open("/dev/null").unwrap(), path_only());
    for (fd, expected) in [(null.as_fd(), libc::ENOTSOCK), (path.as_fd(), libc::EBADF), (absent(), libc::EBADF)] {
        assert_eq!((errno(fd.enable::<L>()), errno(fd.disable::<L>())), (expected, expected));
    }
}

#[test]
fn messages_of_another_family_are_not_enabled() {
    no_leak(|| {
        let all = sockets("messages_of_another_family_are_not_enabled");
        let (v4, both, v6) = ("AF_INET or AF_INET6", [libc::AF_INET, libc::AF_INET6], [libc::AF_INET6]);
        only_on::<IpTtl>(&all, &both, v4);
        only_on::<IpTos>(&all, &both, v4);
        only_on::<IpPktInfo>(&all, &both, v4);
        only_on::<HopLimit>(&all, &both, v4);
        only_on::<TrafficClass>(&all, &both, v4);
        only_on::<PktInfo>(&all, &both, v4);
        only_on::<(HopLimit, TrafficClass, PktInfo)>(&all, &both, v4);
        only_on::<Ipv6HopLimit>(&all, &v6, "AF_INET6");
        only_on::<TClass>(&all, &v6, "AF_INET6");
        only_on::<Ipv6PktInfo>(&all, &v6, "AF_INET6");
        only_on::<Credentials>(&all, &[libc::AF_UNIX, libc::AF_NETLINK], "AF_UNIX or AF_NETLINK");
        // Every family has timestamps.
        let families: Vec<_> = all.iter().map(|(_, family, _)| *family).collect();
        only_on::<Timestamp>(&all, &families, "");
    });
}

#[test]
fn what_was_enabled_before_the_first_error_stays() {
    no_leak(|| {
        let (a, b) = (bound(V4), bound(V4));
        let result = b.enable::<(HopLimit, Credentials, PktInfo)>();
        names_family(result, "socket", "AF_UNIX or AF_NETLINK", libc::AF_INET, "AF_INET");
        MsgHdr::new().to(local(&b)).data(b"x").send(&a).unwrap();
        let (mut data, mut control) = ([0; 1], ControlBuf::<(HopLimit, PktInfo)>::new());
        let (hops, info) = b.recv_msg(&mut data, &mut control).unwrap().extract();
        assert_eq!((hops.is_some(), info), (true, None));
    });
}

/// ER03, ER05, ER06, ER07, ER13: control data or none
#[test]
fn a_descriptor_that_is_no_open_socket_is_an_errno() {
    no_leak(|| {
        let (null, path) = (File::open("/dev/null").unwrap(), path_only());
        let fds = [(null.as_fd(), libc::ENOTSOCK), (path.as_fd(), libc::EBADF), (absent(), libc::EBADF)];
        for (file, expected) in fds {
            let rights = ScmRights::new([&null]);
            for header in [
                MsgHdr::new().data(b"x"),
                MsgHdr::new().data(b"x").control(&rights),
                MsgHdr::new().control(&rights),
                MsgHdr::new().to(SockAddr::unix("/nowhere").unwrap()).data(b"x"),
            ] {
                assert_eq!((errno(header.send(file)), errno(header.send_all(file))), (expected, expected));
            }
            let (mut data, mut control) = ([0; 4], ControlBuf::<()>::new());
            assert_eq!(errno(file.recv_msg(&mut data, &mut control)), expected);
            assert_eq!(errno(MsgHdrMut::new().recv(file, &mut control)), expected);
            assert_eq!(errno(file.recv_fds::<1>(&mut data)), expected);
            assert_eq!(errno(file.recv_exact(&mut data, &mut control)), expected);
        }
    });
}

/// FD52
#[test]
fn a_descriptor_that_is_not_open_sends_nothing() {
    no_leak(|| {
        let null = File::open("/dev/null").unwrap();
        for (a, b) in KINDS.map(pair) {
            for fds in [&[absent()][..], &[null.as_fd(), absent()], &[absent(), null.as_fd()]] {
                refuses(MsgHdr::new().data(b"x").control(ScmRights::new(fds)), &a, &b, libc::EBADF);
            }
            a.send_fds(b"x", [&null]).unwrap();
            assert_eq!(b.recv_fds::<1>(&mut [0; 1]).unwrap().fds().count(), 1);
        }
    });
}

#[test]
fn an_iterator_that_counts_wrongly_sends_no_descriptor_of_others() {
    /// Every clone gives one more than what it was cloned from.
    struct Growing<'a>(usize, &'a File);
    impl Clone for Growing<'_> {
        fn clone(&self) -> Self {
            Self(self.0 + 1, self.1)
        }
    }
    impl<'a> Iterator for Growing<'a> {
        type Item = &'a File;
        fn next(&mut self) -> Option<&'a File> {
            self.0 = self.0.checked_sub(1)?;
            Some(self.1)
        }
    }
    no_leak(|| {
        let zero = File::open("/dev/zero").unwrap();
        let is_zero =
            |fd: BorrowedFd<'_>| fs::read_link(format!("/proc/self/fd/{}", fd.as_raw_fd())).unwrap().ends_with("zero");
        for (a, b) in KINDS.map(pair) {
            for count in 0..4 {
                let mut header = MsgHdr::new();
                header.data(b"x").control((ScmRights::new([&zero]), ScmRights::new(Growing(count, &zero))));
                header.send(&a).unwrap();
                a.send_fds(b"x", Growing(count, &zero)).unwrap();
                for sent in [count + 2, count + 1] {
                    let message = b.recv_fds::<8>(&mut [0; 1]).unwrap();
                    assert!(message.fds().count() == sent && message.fds().all(is_zero));
                }
            }
        }
    });
}

/// AD01, AD05, AD16
#[test]
fn the_sender_is_named_with_its_real_length() {
    let name = "the_sender_is_named_with_its_real_length";
    no_leak(|| {
        let mut pairs = vec![(bound(V4), bound(V4), 16)];
        if has_v6(name) {
            pairs.push((bound("[::1]:0"), bound("[::1]:0"), 28));
        }
        match (udp_lite(), udp_lite()) {
            (Ok(one), Ok(two)) => pairs.push((one, two, 16)),
            (Err(error), _) | (_, Err(error)) => skipped(format_args!("SKIPPED {name}, UDP-Lite: {error}")),
        }
        for (sender, receiver, len) in pairs {
            MsgHdr::new().to(local(&receiver)).data(b"x").send(&sender).unwrap();
            let (data, peer) = next(&receiver);
            let peer = peer.unwrap();
            assert_eq!((data.as_slice(), peer.as_inet()), (&b"x"[..], Some(local(&sender))));
            let family = if len == 16 { libc::AF_INET } else { libc::AF_INET6 };
            assert_eq!((peer.family(), peer.as_bytes().len()), (family, len));
        }
        // An empty request is acknowledged by the kernel, port 0.
        let netlink = socket(AddressFamily::Netlink, SockType::Raw, SockFlag::SOCK_CLOEXEC, None).unwrap();
        // Length, NLMSG_NOOP, NLM_F_REQUEST | NLM_F_ACK, sequence, port.
        let mut request = 16u32.to_ne_bytes().to_vec();
        request.extend([1u16, 5].iter().flat_map(|half| half.to_ne_bytes()));
        request.extend([7u32, 0].iter().flat_map(|word| word.to_ne_bytes()));
        MsgHdr::new().data(&request).send(&netlink).unwrap();
        let peer = next(&netlink).1.unwrap();
        assert_eq!((peer.family(), peer.as_bytes().len()), (libc::AF_NETLINK, 12));
    });
}

/// AD15: the room for the name is always enough for any; none can be asked for
#[test]
fn a_name_that_nobody_asked_for_is_none() {
    no_leak(|| {
        let socket = bound(V4);
        let mut control = ControlBuf::<()>::new();
        for no_peer in [false, true] {
            MsgHdr::new().to(local(&socket)).data(b"x").send(&socket).unwrap();
            let mut data = [0; 1];
            let mut header = MsgHdrMut::new();
            header.data(&mut data);
            if no_peer {
                header.no_peer();
            }
            let message = header.recv(&socket, &mut control).unwrap();
            assert_eq!((message.len(), message.peer().is_none()), (1, no_peer));
        }
    });
}

/// AD02
#[test]
fn a_destination_is_needed_where_nobody_is_connected() {
    no_leak(|| {
        let socket = bound(V4);
        refuses(MsgHdr::new().data(b"x"), &socket, &socket, libc::EDESTADDRREQ);
        refuses(MsgHdr::new().to(None::<SocketAddr>).data(b"x"), &socket, &socket, libc::EDESTADDRREQ);
        refuses(MsgHdr::new().data(b"x").control(HopLimit(9)), &socket, &socket, libc::EDESTADDRREQ);
        let unix = UnixDatagram::unbound().unwrap();
        refuses(MsgHdr::new().data(b"x"), &unix, &unix, libc::ENOTCONN);
    });
}

/// AD03
#[test]
fn no_destination_is_the_connected_peer() {
    no_leak(|| {
        let ((client, server), (one, two)) = (tcp(), (bound(V4), bound(V4)));
        one.connect(local(&two)).unwrap();
        MsgHdr::new().to(None::<SocketAddr>).data(b"tcp").send(&client).unwrap();
        assert_eq!(next(&server), (b"tcp".to_vec(), None));
        // None takes back an address that was given.
        MsgHdr::new().to(local(&one)).to(None::<SocketAddr>).data(b"udp").send(&one).unwrap();
        assert_eq!(next(&two).0, b"udp");
        for (a, b) in KINDS.map(pair) {
            MsgHdr::new().to(None::<SockAddr>).data(b"unix").send(&a).unwrap();
            assert_eq!(next(&b), (b"unix".to_vec(), None));
        }
    });
}

/// AD17, ER11: lengths of 1 and 129 cannot be built
#[test]
fn a_destination_of_an_odd_length_is_the_kernels_business() {
    no_leak(|| {
        let socket = bound(V4);
        let mut bytes = [0; 128];
        bytes[..16].copy_from_slice(SockAddr::from(local(&socket)).as_bytes());
        let of_len = |len: usize| SockAddr::from_bytes(&bytes[..len]).unwrap();
        for len in [2, 8, 15] {
            refuses(MsgHdr::new().to(of_len(len)).data(b"x"), &socket, &socket, libc::EINVAL);
        }
        for len in [16, 17, 28, 128] {
            MsgHdr::new().to(of_len(len)).data(b"x").send(&socket).unwrap();
            assert_eq!(next(&socket).1, Some(local(&socket).into()));
        }
        let mut unspecified = bytes;
        unspecified[..2].copy_from_slice(&(libc::AF_UNSPEC as u16).to_ne_bytes());
        let unspecified = SockAddr::from_bytes(&unspecified[..16]).unwrap();
        MsgHdr::new().to(unspecified).data(b"x").control(HopLimit(9)).send(&socket).unwrap();
        assert_eq!(next(&socket).0, b"x");
        let port_zero = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        refuses(MsgHdr::new().to(port_zero).data(b"x"), &socket, &socket, libc::EINVAL);
    });
}

/// ER08
#[test]
fn tcp_ignores_a_name_and_needs_a_connection() {
    no_leak(|| {
        let (client, mut server) = tcp();
        let elsewhere = [SockAddr::from(SocketAddr::from(([127, 0, 0, 9], 9))), SockAddr::unix("/nowhere").unwrap()];
        for name in elsewhere {
            MsgHdr::new().to(name).data(b"named").send(&client).unwrap();
            server.read_exact(&mut [0; 5]).unwrap();
        }
        client.shutdown(Shutdown::Write).unwrap();
        for socket in
            [client.into(), socket(AddressFamily::Inet, SockType::Stream, SockFlag::SOCK_CLOEXEC, None).unwrap()]
        {
            for ttl in [None, Some(IpTtl(1))] {
                let mut header = MsgHdr::new();
                header.data(b"x").control(ttl);
                assert_eq!((errno(header.send(&socket)), errno(header.send_all(&socket))), (libc::EPIPE, libc::EPIPE));
            }
        }
        assert_eq!(receive_now(RecvFlags::empty(), &server).unwrap(), 0, "the end and nothing else");
    });
}

/// ER09, ER10, ER23
#[test]
fn what_a_datagram_socket_cannot_do_is_an_errno() {
    no_leak(|| {
        let (sender, receiver) = (bound("0.0.0.0:0"), bound(V4));
        let (to, big) = (local(&receiver), vec![b'x'; 128 << 10]);
        for len in [65508, 128 << 10] {
            refuses(MsgHdr::new().to(to).data(&big[..len]), &sender, &receiver, libc::EMSGSIZE);
        }
        let (half, rest) = big[..65507].split_at(9);
        assert_eq!(MsgHdr::new().to(to).data(half).data(rest).send(&sender).unwrap(), 65507);
        let (mut data, mut control) = (vec![0; 65507], ControlBuf::<()>::new());
        assert_eq!(receiver.recv_msg(&mut data, &mut control).unwrap().len(), 65507);

        refuses(MsgHdr::new().to(to).data(b"x").flags(SendFlags::OOB), &sender, &receiver, libc::EOPNOTSUPP);
        let broadcast = SocketAddr::from(([127, 255, 255, 255], to.port()));
        refuses(MsgHdr::new().to(broadcast).data(b"x"), &sender, &receiver, libc::EACCES);

        for kind in [SockType::Datagram, SockType::SeqPacket] {
            let (a, b) = pair(kind);
            set_option(a.as_fd(), libc::SOL_SOCKET, libc::SO_SNDBUF, 8192).unwrap();
            refuses(MsgHdr::new().data(&big), &a, &b, libc::EMSGSIZE);
            refuses(MsgHdr::new().data(&big).control(ScmRights::new([&b])), &a, &b, libc::EMSGSIZE);
        }
    });
}

/// ER13: what is not there is no wait, and no control buffer is too large.
#[test]
fn a_receive_of_what_is_not_there_is_an_errno() {
    no_leak(|| {
        let ((_client, server), socket, (_a, b)) = (tcp(), bound(V4), pair(SockType::Stream));
        assert_eq!(errno(receive_now(RecvFlags::OOB, &server)), libc::EINVAL);
        for fd in [server.as_fd(), socket.as_fd(), b.as_fd()] {
            let (mut data, mut control) = ([0; 64], ControlVec::<()>::with_capacity(128 << 10));
            let mut header = MsgHdrMut::new();
            header.data(&mut data).flags(RecvFlags::ERRQUEUE);
            assert_eq!(errno(header.recv(fd, &mut control)), libc::EAGAIN);
        }
        MsgHdr::new().to(local(&socket)).data(b"x").send(&socket).unwrap();
        let (mut data, mut control) = ([0; 1], ControlVec::<()>::with_capacity(128 << 10));
        assert_eq!(socket.recv_msg(&mut data, &mut control).unwrap().data(), b"x");
    });
}

/// ER04, ER19
#[test]
fn an_unknown_type_is_refused_and_an_unknown_level_ignored() {
    const SCM_SECURITY: i32 = 3;
    const SCM_PIDFD: i32 = 4;
    no_leak(|| {
        let ((client, server), (one, two)) = (tcp(), (bound(V4), bound(V4)));
        one.connect(local(&two)).unwrap();
        let mut pairs: Vec<(OwnedFd, OwnedFd)> = vec![(client.into(), server.into()), (one.into(), two.into())];
        pairs.extend(KINDS.map(pair).map(|(a, b)| (a.into(), b.into())));
        for (a, b) in &pairs {
            for ty in [12345, SCM_SECURITY, SCM_PIDFD] {
                let raw = RawCmsg::new(CmsgId::new(libc::SOL_SOCKET, ty), &[0; 4]);
                refuses(MsgHdr::new().data(b"x").control(raw), a, b, libc::EINVAL);
                let rights = ScmRights::new([a]);
                refuses(MsgHdr::new().data(b"x").control((rights, raw)), a, b, libc::EINVAL);
            }
            let ignored = RawCmsg::new(CmsgId::new(12345, 1), b"of any length");
            MsgHdr::new().data(b"x").control([ignored; 20]).send(a).unwrap();
            assert_eq!(next(b).0, b"x");
        }
    });
}

/// TR34
#[test]
fn a_buffer_one_byte_short_loses_that_byte_and_says_so() {
    no_leak(|| {
        let socket = bound(V4);
        MsgHdr::new().to(local(&socket)).data(b"eleven byte").send(&socket).unwrap();
        let (mut data, mut control) = ([0; 10], ControlBuf::<()>::new());
        let message = socket.recv_msg(&mut data, &mut control).unwrap();
        assert_eq!((message.data(), message.flags().contains(MsgFlags::TRUNC)), (&b"eleven byt"[..], true));
        let error = message.require_complete().unwrap_err();
        assert_eq!((error.data, error.control, error.len, error.control_len), (true, false, 10, 0));
        nothing_arrived(&socket);
    });
}

/// Whether this process has any capability.
fn privileged() -> bool {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("CapEff:")).unwrap();
    line.trim().bytes().any(|digit| digit != b'0')
}

/// CR08: whoever may forge runs it again as nobody.
#[test]
fn credentials_of_others_are_refused() {
    const NAME: &str = "credentials_of_others_are_refused";
    const NOBODY: u32 = 65534;
    no_leak(|| {
        if !privileged() {
            return KINDS.map(pair).iter().for_each(|(a, b)| forge(a, b));
        }
        if Credentials::own().uid == NOBODY {
            return skipped(format_args!("SKIPPED {NAME}: an ordinary user with capabilities"));
        }
        let mut again = Command::new("/proc/self/exe");
        again.args(["--exact", NAME, "--nocapture", "--test-threads=1"]).uid(NOBODY).gid(NOBODY);
        let output = match again.finish() {
            Ok(output) => output,
            Err(error) => return skipped(format_args!("SKIPPED {NAME}: as user {NOBODY}: {error}")),
        };
        let (text, errors) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        if errors.contains("SKIPPED") {
            return eprint!("{errors}");
        }
        assert!(output.status.success() && text.contains("1 passed"), "{text}{errors}");
    });
}

fn forge(a: &UnixStream, b: &UnixStream) {
    let (own, other) = (Credentials::own(), |id: u32| if id == 0 { 1 } else { 0 });
    b.enable::<Credentials>().unwrap();
    for forged in [
        Credentials { uid: other(own.uid), ..own },
        Credentials { gid: other(own.gid), ..own },
        Credentials { pid: std::os::unix::process::parent_id() as i32, ..own },
    ] {
        refuses(MsgHdr::new().data(b"x").control(forged), a, b, libc::EPERM);
        refuses(MsgHdr::new().data(b"x").control((own, ScmRights::new([a]), forged)), a, b, libc::EPERM);
    }
    MsgHdr::new().data(b"x").control(own).send(a).unwrap();
    let (mut data, mut control) = ([0; 1], ControlBuf::<Credentials>::new());
    assert_eq!(b.recv_msg(&mut data, &mut control).unwrap().extract(), Some(own));
}
