//! AF_UNIX sockets: addresses, credentials, timestamps, flags, scatter windows.
#![cfg(target_os = "linux")]

mod common;

use std::{
    fs,
    io::{ErrorKind, IoSlice, IoSliceMut, Read, Write},
    mem::MaybeUninit,
    os::{
        fd::{AsFd, AsRawFd},
        linux::net::SocketAddrExt,
        unix::{
            ffi::OsStrExt,
            net::{SocketAddr, UnixDatagram, UnixListener},
        },
    },
    path::{Path, PathBuf},
    sync::atomic::{AtomicU32, Ordering},
    time::{Duration, SystemTime},
};

use ancillary::{
    AddrError, ControlBuf, ControlVec, MsgFlags, MsgHdr, MsgHdrMut, RecvFlags, SendFlags, SockAddr, SocketExt,
    TruncatedError, cmsg,
    message::{Credentials, ScmRights, ScmRightsSpace, Timestamp},
    parser::ControlMessage,
};
use common::{KINDS, TIMEOUT, pair};
use nix::{
    libc,
    sys::socket::{
        AddressFamily, Backlog, SockFlag, SockType, UnixAddr, bind, connect, getsockopt, listen, socket,
        sockopt::PeerCredentials,
    },
};

fn datagrams() -> (UnixDatagram, UnixDatagram) {
    let (a, b) = UnixDatagram::pair().unwrap();
    a.set_read_timeout(TIMEOUT).unwrap();
    b.set_read_timeout(TIMEOUT).unwrap();
    (a, b)
}

/// A name that nobody else uses.
fn unique(what: &str) -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    format!("ancillary-{what}-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed))
}

/// A path for a socket, removed at the end.
struct TempPath(PathBuf);

impl TempPath {
    fn new(what: &str) -> Self {
        Self(std::env::temp_dir().join(unique(what)))
    }

    /// Of exactly so many bytes.
    fn of_len(len: usize) -> Self {
        let mut path = std::env::temp_dir().join(unique("long")).into_os_string().into_string().unwrap();
        assert!(path.len() <= len);
        path.extend(std::iter::repeat_n('x', len - path.len()));
        Self(path.into())
    }
}

impl Drop for TempPath {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

fn bound(path: &Path) -> UnixDatagram {
    let socket = UnixDatagram::bind(path).unwrap();
    socket.set_read_timeout(TIMEOUT).unwrap();
    socket
}

fn bound_abstract(name: &[u8]) -> UnixDatagram {
    let socket = UnixDatagram::bind_addr(&SocketAddr::from_abstract_name(name).unwrap()).unwrap();
    socket.set_read_timeout(TIMEOUT).unwrap();
    socket
}

fn text(socket: &UnixDatagram) -> (Vec<u8>, Option<SockAddr>) {
    let (mut data, mut control) = ([0; 64], ControlBuf::<()>::new());
    let message = socket.recv_msg(&mut data, &mut control).unwrap();
    (message.data().to_vec(), message.peer().copied())
}

/// AD04
#[test]
fn a_datagram_to_a_path_names_its_sender_by_path() {
    let path = TempPath::new("path");
    let socket = bound(&path.0);
    let addr = SockAddr::unix(&path.0).unwrap();
    MsgHdr::new().to(addr).data(b"to myself").send(&socket).unwrap();
    let (data, peer) = text(&socket);
    assert_eq!((data.as_slice(), peer), (&b"to myself"[..], Some(addr)));
    let peer = peer.unwrap();
    assert_eq!((peer.as_pathname(), peer.family(), peer.is_unnamed()), (Some(path.0.as_path()), libc::AF_UNIX, false));
    assert_eq!((peer.as_abstract_name(), peer.as_inet()), (None, None));
    // The standard library's address, a reference, and none of them go to the same place.
    let std_addr = socket.local_addr().unwrap();
    MsgHdr::new().to(&std_addr).data(b"std").send(&socket).unwrap();
    assert_eq!(text(&socket), (b"std".to_vec(), Some(SockAddr::from(&std_addr))));
    MsgHdr::new().to(peer).data(b"ref").send(&socket).unwrap();
    assert_eq!(text(&socket).0, b"ref");
    MsgHdr::new().to(Some(peer)).data(b"some").send(&socket).unwrap();
    assert_eq!(text(&socket).0, b"some");
}

/// AD06
#[test]
fn an_unnamed_sender_is_no_address() {
    let (a, b) = datagrams();
    a.send(b"x").unwrap();
    assert_eq!(text(&b), (b"x".to_vec(), None));
    let path = TempPath::new("unnamed");
    let socket = bound(&path.0);
    let stranger = UnixDatagram::unbound().unwrap();
    MsgHdr::new().to(SockAddr::unix(&path.0).unwrap()).data(b"y").send(&stranger).unwrap();
    assert_eq!(text(&socket), (b"y".to_vec(), None));
    let unnamed = SockAddr::from(&stranger.local_addr().unwrap());
    assert!(unnamed.is_unnamed() && unnamed.as_pathname().is_none() && unnamed.as_abstract_name().is_none());
}

/// AD07
#[test]
fn a_sender_that_wants_credentials_is_bound_to_five_digits() {
    let path = TempPath::new("autobind");
    let socket = bound(&path.0);
    let sender = UnixDatagram::unbound().unwrap();
    sender.enable::<Credentials>().unwrap();
    MsgHdr::new().to(SockAddr::unix(&path.0).unwrap()).data(b"x").send(&sender).unwrap();
    let peer = text(&socket).1.unwrap();
    let name = peer.as_abstract_name().unwrap();
    assert!(name.len() == 5 && name.iter().all(u8::is_ascii_hexdigit), "{peer:?}");
    assert_eq!(peer.as_bytes().len(), 8);
    // An answer reaches it.
    sender.set_read_timeout(TIMEOUT).unwrap();
    MsgHdr::new().to(peer).data(b"answer").send(&socket).unwrap();
    assert_eq!(text(&sender).0, b"answer");
}

/// AD08, AD11
#[test]
fn abstract_names_go_round() {
    for name in [unique("ns").into_bytes(), [unique("bytes").as_bytes(), b"\0\xff/ \n"].concat(), vec![b'n'; 107]] {
        let (one, two) = (bound_abstract(unique("one").as_bytes()), bound_abstract(&name));
        let addr = SockAddr::unix_abstract(&name).unwrap();
        MsgHdr::new().to(addr).data(b"there").send(&one).unwrap();
        let (data, peer) = text(&two);
        assert_eq!(data, b"there");
        MsgHdr::new().to(peer).data(b"back").send(&two).unwrap();
        let (data, peer) = text(&one);
        assert_eq!((data.as_slice(), peer), (&b"back"[..], Some(addr)));
        assert_eq!(peer.unwrap().as_abstract_name(), Some(name.as_slice()));
    }
}

/// AD08
#[test]
fn a_named_client_of_a_packet_socket_is_known_by_name() {
    let (server_name, client_name) = (unique("server"), unique("client"));
    let new = || socket(AddressFamily::Unix, SockType::SeqPacket, SockFlag::SOCK_CLOEXEC, None).unwrap();
    let (listener, client) = (new(), new());
    bind(listener.as_raw_fd(), &UnixAddr::new_abstract(server_name.as_bytes()).unwrap()).unwrap();
    listen(&listener, Backlog::new(1).unwrap()).unwrap();
    bind(client.as_raw_fd(), &UnixAddr::new_abstract(client_name.as_bytes()).unwrap()).unwrap();
    connect(client.as_raw_fd(), &UnixAddr::new_abstract(server_name.as_bytes()).unwrap()).unwrap();
    let (server, _) = UnixListener::from(listener).accept().unwrap();
    server.set_read_timeout(TIMEOUT).unwrap();
    MsgHdr::new().data(b"packet").flags(SendFlags::EOR).send(&client).unwrap();
    let (mut data, mut control) = ([0; 16], ControlBuf::<()>::new());
    let message = server.recv_msg(&mut data, &mut control).unwrap();
    assert_eq!(
        (message.data(), message.peer()),
        (&b"packet"[..], SockAddr::unix_abstract(client_name.as_bytes()).ok().as_ref())
    );
    MsgHdrMut::new().data(&mut data).flags(RecvFlags::DONTWAIT).recv(&server, &mut control).unwrap_err();
    assert_eq!(format!("{:?}", SockAddr::unix_abstract(client_name.as_bytes()).unwrap()), format!("@{client_name}"));
}

/// AD09
#[test]
fn the_longest_paths_keep_all_their_bytes() {
    for len in [106, 107] {
        let path = TempPath::of_len(len);
        let socket = bound(&path.0);
        let addr = SockAddr::unix(&path.0).unwrap();
        MsgHdr::new().to(addr).data(b"x").send(&socket).unwrap();
        let peer = text(&socket).1.unwrap();
        assert_eq!((peer, peer.as_pathname().unwrap().as_os_str().len()), (addr, len));
        MsgHdr::new().to(peer).data(b"y").send(&socket).unwrap();
        assert_eq!(text(&socket).0, b"y");
    }
}

/// AD09
#[test]
fn a_path_that_fills_the_address_needs_no_terminator() {
    let path = TempPath::of_len(108);
    let addr = SockAddr::unix(&path.0).unwrap();
    assert_eq!(addr.as_pathname(), Some(path.0.as_path()));
    let socket = UnixDatagram::unbound().unwrap();
    socket.set_read_timeout(TIMEOUT).unwrap();
    // std and nix refuse this length, the kernel does not.
    let name = addr.as_bytes();
    // SAFETY: the pointer and the length describe initialised bytes that live until the call returns.
    let status = unsafe { libc::bind(socket.as_raw_fd(), name.as_ptr().cast(), name.len() as libc::socklen_t) };
    assert_eq!(status, 0);
    MsgHdr::new().to(addr).data(b"x").send(&socket).unwrap();
    let (data, peer) = text(&socket);
    assert_eq!((data.as_slice(), peer.unwrap().as_pathname()), (&b"x"[..], Some(path.0.as_path())));
}

/// AD10
#[test]
fn names_that_do_not_fit_are_refused() {
    let error = SockAddr::unix_abstract(&[b'x'; 108]).unwrap_err();
    assert_eq!(error, AddrError::TooLong { found: 108, max: 107 });
    let long = "x".repeat(109);
    assert_eq!(SockAddr::unix(&long).unwrap_err(), AddrError::TooLong { found: 109, max: 108 });
    let nul = std::ffi::OsStr::from_bytes(b"a\0b");
    assert_eq!(SockAddr::unix(nul).unwrap_err(), AddrError::NulByte { position: 1 });
    assert_eq!(SockAddr::from_bytes(&[1]).unwrap_err(), AddrError::TooShort { found: 1, min: 2 });
    assert_eq!(SockAddr::from_bytes(&[1; 129]).unwrap_err(), AddrError::TooLong { found: 129, max: 128 });
}

#[test]
fn the_address_of_one_message_does_not_survive_into_the_next() {
    let path = TempPath::new("stale");
    let socket = bound(&path.0);
    let to = SockAddr::unix(&path.0).unwrap();
    let (named, unnamed) = (bound_abstract(unique("named").as_bytes()), UnixDatagram::unbound().unwrap());
    let mut control = ControlBuf::<()>::new();
    MsgHdr::new().to(to).data(b"1").send(&named).unwrap();
    assert!(socket.recv_msg(&mut [0; 1], &mut control).unwrap().peer().is_some());
    MsgHdr::new().to(to).data(b"2").send(&unnamed).unwrap();
    assert_eq!(socket.recv_msg(&mut [0; 1], &mut control).unwrap().peer(), None);
    MsgHdr::new().to(to).data(b"3").send(&named).unwrap();
    let mut data = [0; 1];
    let message = MsgHdrMut::new().data(&mut data).no_peer().recv(&socket, &mut control).unwrap();
    assert_eq!(message.peer(), None);
}

/// CR01, CR03
#[test]
fn credentials_arrive_whether_sent_or_not() {
    for kind in KINDS {
        let (a, b) = pair(kind);
        b.enable::<Credentials>().unwrap();
        let peer = getsockopt(&b, PeerCredentials).unwrap();
        let own = Credentials { pid: peer.pid(), uid: peer.uid(), gid: peer.gid() };
        assert_eq!(own, Credentials::own());
        for explicit in [Some(own), None] {
            MsgHdr::new().data(b"x").control(explicit).send(&a).unwrap();
            let (mut data, mut control) = ([0; 1], ControlBuf::<Credentials>::new());
            let message = b.recv_msg(&mut data, &mut control).unwrap();
            assert_eq!((message.extract(), message.cmsgs().count()), (Some(own), 1), "{kind:?}");
            assert!(message.require_complete().is_ok());
            assert_eq!(message.messages().next(), Some(ControlMessage::Credentials(own)));
        }
        b.disable::<Credentials>().unwrap();
        MsgHdr::new().data(b"x").send(&a).unwrap();
        let (mut data, mut control) = ([0; 1], ControlBuf::<Credentials>::new());
        assert_eq!(b.recv_msg(&mut data, &mut control).unwrap().extract(), None);
    }
}

/// CR02, TR30
#[test]
fn credentials_come_before_rights_whatever_the_order_sent() {
    for kind in KINDS {
        let (a, b) = pair(kind);
        b.enable::<Credentials>().unwrap();
        let (own, rights) = (Credentials::own(), ScmRights::new([&a]));
        for rights_first in [false, true] {
            let mut header = MsgHdr::new();
            header.data(b"x");
            if rights_first {
                header.control((&rights, own));
            } else {
                header.control((own, &rights));
            }
            header.send(&a).unwrap();
            let mut data = [0; 1];
            let mut control = ControlVec::<(Credentials, ScmRightsSpace<1>)>::with_capacity(1024);
            let mut message = b.recv_msg(&mut data, &mut control).unwrap();
            assert_eq!(message.extract(), (Some(own), Some(ScmRightsSpace { count: 1 })));
            let ids: Vec<_> = message.cmsgs().map(|cmsg| (cmsg.id().level(), cmsg.id().ty())).collect();
            let expected = [libc::SCM_CREDENTIALS, libc::SCM_RIGHTS].map(|ty| (libc::SOL_SOCKET, ty));
            assert_eq!(ids, expected, "{kind:?}, rights first: {rights_first}");
            assert!(message.require_complete().is_ok());
            assert!(message.take_fds_exact::<1>().is_ok());
        }
    }
}

/// CR04
#[test]
fn credentials_arrive_over_named_datagram_sockets() {
    let (one, two) = (TempPath::new("cred1"), TempPath::new("cred2"));
    let (sender, receiver) = (bound(&one.0), bound(&two.0));
    receiver.enable::<Credentials>().unwrap();
    let mut header = MsgHdr::new();
    header.to(SockAddr::unix(&two.0).unwrap()).data(b"who am I").control(Credentials::own()).send(&sender).unwrap();
    let (mut data, mut control) = ([0; 16], ControlBuf::<Credentials>::new());
    let message = receiver.recv_msg(&mut data, &mut control).unwrap();
    assert_eq!((message.data(), message.extract()), (&b"who am I"[..], Some(Credentials::own())));
    assert_eq!((message.cmsgs().count(), message.peer()), (1, SockAddr::unix(&one.0).ok().as_ref()));
    assert!(message.require_complete().is_ok());
}

/// CR06
#[test]
fn credentials_that_nobody_wants_are_dropped_silently() {
    for kind in KINDS {
        let (a, b) = pair(kind);
        MsgHdr::new().data(b"x").control(Credentials::own()).send(&a).unwrap();
        let (mut data, mut control) = ([0; 1], ControlBuf::<Credentials>::new());
        let message = b.recv_msg(&mut data, &mut control).unwrap();
        assert_eq!((message.extract(), message.control_bytes().len()), (None, 0));
        assert!(message.require_complete().is_ok());
    }
}

/// CR07
#[test]
fn credentials_of_nobody_are_refused_by_the_kernel() {
    let (a, b) = datagrams();
    let own = Credentials::own();
    for (forged, errno) in
        [(Credentials { pid: i32::MAX, ..own }, libc::ESRCH), (Credentials { uid: u32::MAX, ..own }, libc::EINVAL)]
    {
        let error = MsgHdr::new().data(b"x").control(forged).send(&a).unwrap_err();
        // Who lacks the privilege is told that first.
        assert!([errno, libc::EPERM].contains(&error.raw_os_error().unwrap()), "{error}");
    }
    let error = MsgHdrMut::new().flags(RecvFlags::DONTWAIT).recv(&b, &mut ControlBuf::<()>::new()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::WouldBlock);
}

#[test]
fn a_stream_read_does_not_mix_what_two_writers_sent() {
    // Messages with descriptors are borders in a stream: one read never passes one that it did not begin with.
    let (a, b) = pair(SockType::Stream);
    MsgHdr::new().data(b"plain").send(&a).unwrap();
    a.send_fds(b"fd", [&a]).unwrap();
    MsgHdr::new().data(b"after").send(&a).unwrap();
    let (mut data, mut control) = ([0; 64], ControlBuf::<()>::new());
    let mut seen = Vec::new();
    while seen.iter().map(|(len, _)| len).sum::<usize>() < 12 {
        let mut message = b.recv_msg(&mut data, &mut control).unwrap();
        seen.push((message.len(), message.take_fds().count()));
    }
    assert_eq!(seen, [(7, 1), (5, 0)]);
}

#[test]
fn a_timestamp_comes_with_datagrams_and_packets() {
    for kind in [SockType::Datagram, SockType::SeqPacket] {
        let (a, b) = pair(kind);
        b.enable::<Timestamp>().unwrap();
        for _ in 0..2 {
            MsgHdr::new().data(b"x").send(&a).unwrap();
            let (mut data, mut control) = ([0; 1], ControlBuf::<Timestamp>::new());
            let message = b.recv_msg(&mut data, &mut control).unwrap();
            let stamp = message.extract().unwrap();
            assert_eq!(message.get::<Timestamp>(), Some(stamp));
            let (now, then) = (SystemTime::now(), stamp.to_system_time().unwrap());
            let apart = now.duration_since(then).unwrap_or_else(|error| error.duration());
            assert!(apart < Duration::from_secs(60), "{stamp}");
            assert!(stamp.subsec_nanos() < 1_000_000_000);
        }
        b.disable::<Timestamp>().unwrap();
        MsgHdr::new().data(b"x").send(&a).unwrap();
        let (mut data, mut control) = ([0; 1], ControlBuf::<Timestamp>::new());
        assert_eq!(b.recv_msg(&mut data, &mut control).unwrap().extract(), None);
    }
}

/// FD51
#[test]
fn an_empty_packet_with_descriptors_is_not_the_end() {
    let (a, b) = pair(SockType::SeqPacket);
    a.send_fds(b"", [&a, &b]).unwrap();
    let (mut data, mut control) = ([0; 4], ControlBuf::<ScmRightsSpace<2>>::new());
    let mut message = b.recv_msg(&mut data, &mut control).unwrap();
    assert_eq!((message.len(), message.is_empty(), message.is_eof()), (0, true, false));
    assert_eq!((message.extract(), message.take_fds().count()), (Some(ScmRightsSpace { count: 2 }), 2));
}

/// FL03
#[test]
fn what_is_peeked_stays() {
    for kind in KINDS {
        let (a, b) = pair(kind);
        b.enable::<Credentials>().unwrap();
        MsgHdr::new().data(b"a message").send(&a).unwrap();
        let mut control = ControlBuf::<Credentials>::new();
        let mut part = [0; 6];
        let mut header = MsgHdrMut::new();
        let message = header.data(&mut part).flags(RecvFlags::PEEK).recv(&b, &mut control).unwrap();
        assert_eq!((message.len(), message.extract()), (6, Some(Credentials::own())));
        assert_eq!(message.flags().contains(MsgFlags::TRUNC), kind != SockType::Stream);
        assert_eq!(&part, b"a mess");
        let mut all = [0; 32];
        let mut header = MsgHdrMut::new();
        assert_eq!(header.data(&mut all).flags(RecvFlags::PEEK).recv(&b, &mut control).unwrap().len(), 9);
        let mut data = [0; 32];
        let message = b.recv_msg(&mut data, &mut control).unwrap();
        assert_eq!((message.data(), message.extract()), (&b"a message"[..], Some(Credentials::own())));
        let mut header = MsgHdrMut::new();
        let error = header.data(&mut all).flags(RecvFlags::DONTWAIT).recv(&b, &mut control).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::WouldBlock);
    }
}

/// FL06, FL07, FL08
#[test]
fn dontwait_does_not_wait() {
    for kind in KINDS {
        let (a, b) = pair(kind);
        let mut data = [0; 1];
        let mut header = MsgHdrMut::new();
        let mut control = ControlBuf::<()>::new();
        let error = header.data(&mut data).flags(RecvFlags::DONTWAIT).recv(&b, &mut control).unwrap_err();
        assert_eq!(error.raw_os_error(), Some(libc::EAGAIN));
        let big = vec![0; 4096];
        let mut header = MsgHdr::new();
        header.data(&big).flags(SendFlags::DONTWAIT);
        let (mut sent, error) = (
            0,
            loop {
                match header.send(&a) {
                    Ok(_) => {}
                    Err(error) => break error,
                }
            },
        );
        assert_eq!(error.raw_os_error(), Some(libc::EAGAIN));
        // All of it arrives.
        let mut room = vec![0; 8192];
        while let Ok(message) =
            MsgHdrMut::new().data(&mut room).flags(RecvFlags::DONTWAIT).recv(&b, &mut ControlBuf::<()>::new())
        {
            sent += message.len();
        }
        assert!(sent > 0 && sent % 4096 == 0 && sent < 8 << 20, "{kind:?} {sent}");
    }
}

/// NB02, NB09
#[test]
fn a_timeout_is_would_block() {
    for kind in KINDS {
        let (_a, b) = pair(kind);
        b.set_read_timeout(Some(Duration::from_millis(30))).unwrap();
        let error = b.recv_msg(&mut [0; 1], &mut ControlBuf::<()>::new()).unwrap_err();
        assert_eq!((error.kind(), error.raw_os_error()), (ErrorKind::WouldBlock, Some(libc::EAGAIN)));
    }
}

/// FL11
#[test]
fn end_of_record_is_accepted_and_not_delivered() {
    let (a, b) = pair(SockType::SeqPacket);
    MsgHdr::new().data(b"record").flags(SendFlags::EOR).send(&a).unwrap();
    let (mut data, mut control) = ([0; 16], ControlBuf::<()>::new());
    let message = b.recv_msg(&mut data, &mut control).unwrap();
    assert_eq!((message.data(), message.flags().contains(MsgFlags::EOR)), (&b"record"[..], false));
}

/// FL01, FL02, FL05
#[test]
fn only_messages_with_borders_are_truncated() {
    for kind in KINDS {
        let (a, b) = pair(kind);
        MsgHdr::new().data(b"message").send(&a).unwrap();
        let (mut data, mut control) = ([0; 4], ControlVec::<()>::with_capacity(1));
        let message = b.recv_msg(&mut data, &mut control).unwrap();
        assert_eq!((message.data(), message.len(), message.full_len()), (&b"mess"[..], 4, 4));
        assert!(!message.flags().contains(MsgFlags::CTRUNC));
        if kind == SockType::Stream {
            assert!(message.require_complete().is_ok());
            let (mut rest, mut control) = ([0; 4], ControlVec::<()>::with_capacity(10240));
            let message = b.recv_msg(&mut rest, &mut control).unwrap();
            assert_eq!((message.data(), message.flags().contains(MsgFlags::TRUNC)), (&b"age"[..], false));
        } else {
            assert!(message.flags().contains(MsgFlags::TRUNC));
            let error = message.require_complete().unwrap_err();
            assert_eq!((error.data, error.control, error.len, error.control_len), (true, false, 4, 0));
        }
    }
}

/// TR29
#[test]
fn a_control_buffer_of_four_bytes_is_an_explicit_error() {
    for kind in KINDS {
        let (a, b) = pair(kind);
        b.enable::<Credentials>().unwrap();
        MsgHdr::new().data(b"x").control((Credentials::own(), ScmRights::new([&a]))).send(&a).unwrap();
        let (mut data, mut control) = ([0; 1], ControlVec::<Credentials>::with_capacity(4));
        let mut message = b.recv_msg(&mut data, &mut control).unwrap();
        let error: TruncatedError = message.require_complete().map(drop).unwrap_err();
        assert_eq!((error.data, error.control, error.len, error.control_len), (false, true, 1, 0));
        assert_eq!((message.extract(), message.fds().count(), message.messages().count()), (None, 0, 0));
        assert_eq!(message.take_fds_exact::<1>().unwrap_err().found, 0);
        assert!(format!("{error}").contains("control data truncated"), "{error}");
    }
}

/// TR31
#[test]
fn the_real_length_is_told_to_who_asks() {
    for kind in [SockType::Datagram, SockType::SeqPacket] {
        for (room, asked, full_len, truncated) in
            [(5, true, 15, true), (30, true, 15, false), (30, false, 15, false), (5, false, 5, true)]
        {
            let (a, b) = pair(kind);
            MsgHdr::new().data(b"fifteen letters").send(&a).unwrap();
            let flags = if asked { RecvFlags::TRUNC } else { RecvFlags::empty() };
            let (mut data, mut control) = (vec![b'.'; 30], ControlBuf::<()>::new());
            let mut header = MsgHdrMut::new();
            let message = header.data(&mut data[..room]).flags(flags).recv(&b, &mut control).unwrap();
            let len = room.min(15);
            assert_eq!((message.len(), message.full_len()), (len, full_len));
            assert_eq!(message.flags().contains(MsgFlags::TRUNC), truncated);
            assert_eq!(message.require_complete().is_err(), truncated);
            assert_eq!(header.filled().map(<[u8]>::len).sum::<usize>(), len);
            assert_eq!(&data[..len], &b"fifteen letters"[..len]);
            assert!(data[len..].iter().all(|&byte| byte == b'.' || asked && byte == 0));
        }
    }
}

/// TR32
#[test]
fn uninitialised_memory_is_initialised_as_far_as_bytes_arrived() {
    for kind in KINDS {
        for room in [5, 15, 30] {
            let (a, b) = pair(kind);
            let len = room.min(15);
            let (mut control, mut data) = (ControlBuf::<()>::new(), [MaybeUninit::uninit(); 30]);
            MsgHdr::new().data(b"fifteen letters").send(&a).unwrap();
            let message = b.recv_msg_uninit(&mut data[..room], &mut control).unwrap();
            assert_eq!((message.len(), message.data()), (len, &b"fifteen letters"[..len]));

            let (a, b) = pair(kind);
            MsgHdr::new().data(b"fifteen letters").send(&a).unwrap();
            let (mut head, mut tail) = ([MaybeUninit::uninit(); 2], [MaybeUninit::uninit(); 28]);
            let mut header = MsgHdrMut::new();
            header.uninit(&mut head).uninit(&mut tail[..room - 2]).flags(RecvFlags::TRUNC);
            let message = header.recv(&b, &mut control).unwrap();
            let full = if kind == SockType::Stream { len } else { 15 };
            assert_eq!((message.len(), message.full_len()), (len, full), "{kind:?}");
            let filled: Vec<u8> = header.filled().flatten().copied().collect();
            assert_eq!(filled, &b"fifteen letters"[..len]);
        }
    }
}

/// IO03
#[test]
fn windows_are_filled_and_nothing_else() {
    for kind in KINDS {
        let (a, b) = pair(kind);
        MsgHdr::new().data(b"0123456789abcdefghijkl").send(&a).unwrap();
        let (mut one, mut two, mut three) = ([b'.'; 4], [b'.'; 10], [b'.'; 14]);
        let mut control = ControlBuf::<()>::new();
        let mut header = MsgHdrMut::new();
        let message = header.data(&mut one).data(&mut two[2..9]).data(&mut three).recv(&b, &mut control).unwrap();
        assert_eq!(message.len(), 22);
        let pieces: Vec<_> = header.filled().map(<[u8]>::to_vec).collect();
        assert_eq!(pieces, [&b"0123"[..], b"456789a", b"bcdefghijkl"]);
        assert_eq!((&one, &two, &three), (b"0123", b"..456789a.", b"bcdefghijkl..."));
    }
}

/// IO01, IO05
#[test]
fn empty_slices_may_stand_anywhere() {
    for kind in KINDS {
        let (a, b) = pair(kind);
        let sent = MsgHdr::new().data(b"abc").data(b"de").data(b"").data(b"fghi").data(b"j").send(&a).unwrap();
        assert_eq!(sent, 10);
        let (mut one, mut two, mut none, mut control) = ([0; 5], [0; 5], [0; 0], ControlBuf::<()>::new());
        let mut header = MsgHdrMut::new();
        let message = header.data(&mut one).data(&mut none).data(&mut two).recv(&b, &mut control).unwrap();
        assert_eq!((message.len(), message.control_bytes().len()), (10, 0));
        assert!(message.require_complete().is_ok());
        assert_eq!((&one, &two), (b"abcde", b"fghij"));
        // First and alone.
        assert_eq!(MsgHdr::new().data(b"").data(b"x").data(b"").send(&a).unwrap(), 1);
        let mut none = [0; 0];
        let mut header = MsgHdrMut::new();
        assert_eq!(header.data(&mut none).data(&mut one).recv(&b, &mut control).unwrap().len(), 1);
    }
}

/// IO02, IO04
#[test]
fn lists_of_slices_are_gathered_and_scattered() {
    for kind in KINDS {
        let (a, b) = pair(kind);
        let bytes: Vec<u8> = (0..200).collect();
        let list: Vec<_> = bytes.chunks(1).map(IoSlice::new).collect();
        assert_eq!(MsgHdr::new().slices(&list).send(&a).unwrap(), 200);
        let mut room = [0; 210];
        let mut list: Vec<_> = room.chunks_mut(2).map(IoSliceMut::new).collect();
        let mut control = ControlBuf::<()>::new();
        let mut header = MsgHdrMut::new();
        assert_eq!(header.slices(&mut list).recv(&b, &mut control).unwrap().len(), 200);
        assert_eq!(header.filled().flatten().copied().collect::<Vec<_>>(), bytes);
        // A short list may stand between other buffers.
        let (x, y) = ([IoSlice::new(b"b"), IoSlice::new(b"c")], [IoSlice::new(b"e")]);
        MsgHdr::new().data(b"a").slices(&x).data(b"d").slices(&y).send(&a).unwrap();
        let mut data = [0; 9];
        assert_eq!(b.recv_msg(&mut data, &mut control).unwrap().data(), b"abcde");
    }
}

/// IO10
#[test]
fn an_empty_datagram_is_a_message() {
    for kind in [SockType::Datagram, SockType::SeqPacket] {
        let (a, b) = pair(kind);
        assert_eq!(MsgHdr::new().send(&a).unwrap(), 0);
        assert_eq!(MsgHdr::new().data(b"").send(&a).unwrap(), 0);
        for _ in 0..2 {
            let (mut data, mut control) = ([0; 4], ControlBuf::<()>::new());
            let message = b.recv_msg(&mut data, &mut control).unwrap();
            assert_eq!((message.len(), message.is_eof(), message.data()), (0, false, &b""[..]));
            assert!(message.require_complete().is_ok());
        }
    }
}

/// IO11
#[test]
fn an_empty_buffer_truncates() {
    for kind in [SockType::Datagram, SockType::SeqPacket] {
        let (a, b) = pair(kind);
        for data in [b"x", b"y"] {
            MsgHdr::new().data(data).send(&a).unwrap();
        }
        let mut control = ControlBuf::<()>::new();
        let message = b.recv_msg(&mut [], &mut control).unwrap();
        assert_eq!((message.len(), message.is_eof()), (0, false));
        assert!(message.flags().contains(MsgFlags::TRUNC));
        let message = MsgHdrMut::new().recv(&b, &mut control).unwrap();
        assert_eq!((message.len(), message.flags().contains(MsgFlags::TRUNC)), (0, true));
    }
    let (a, b) = pair(SockType::Stream);
    MsgHdr::new().data(b"x").send(&a).unwrap();
    let mut control = ControlBuf::<()>::new();
    assert!(!b.recv_msg(&mut [], &mut control).unwrap().is_eof());
}

/// IO07, IO12
#[test]
fn no_control_data_and_no_room_for_it_work() {
    for kind in KINDS {
        let (a, b) = pair(kind);
        assert_eq!(MsgHdr::new().data(b"x").control(()).control(None::<Credentials>).send(&a).unwrap(), 1);
        let (mut data, mut control) = ([0; 1], ControlVec::<()>::with_capacity(0));
        let message = b.recv_msg(&mut data, &mut control).unwrap();
        assert_eq!((message.data(), message.control_bytes().len(), message.cmsgs().count()), (&b"x"[..], 0, 0));
        assert!(message.require_complete().is_ok());
    }
}

/// FL04
#[test]
fn a_closed_stream_is_the_end() {
    let (mut a, b) = pair(SockType::Stream);
    a.write_all(b"last").unwrap();
    drop(a);
    let (mut data, mut control) = ([0; 8], ControlBuf::<()>::new());
    let message = b.recv_msg(&mut data, &mut control).unwrap();
    assert_eq!((message.data(), message.is_eof()), (&b"last"[..], false));
    for _ in 0..2 {
        let message = b.recv_msg(&mut data, &mut control).unwrap();
        assert_eq!((message.len(), message.is_eof(), message.cmsgs().count()), (0, true, 0));
        assert!(message.require_complete().is_ok());
    }
}

/// FL12
#[test]
fn out_of_band_data_is_a_byte_of_its_own() {
    let (a, b) = pair(SockType::Stream);
    let (mut data, mut control) = ([0; 8], ControlBuf::<()>::new());
    let mut header = MsgHdrMut::new();
    let error = header.data(&mut data).flags(RecvFlags::OOB).recv(&b, &mut control).unwrap_err();
    assert_eq!(error.raw_os_error(), Some(libc::EINVAL));
    // AF_UNIX has it since Linux 5.15, if configured.
    if MsgHdr::new().data(b"ab").flags(SendFlags::OOB).send(&a).is_err() {
        return;
    }
    let mut header = MsgHdrMut::new();
    let message = header.data(&mut data).flags(RecvFlags::OOB).recv(&b, &mut control).unwrap();
    assert_eq!((message.len(), message.flags().contains(MsgFlags::OOB)), (1, true));
    assert_eq!(data[0], b'b');
}

/// ER21
#[test]
fn a_closed_peer_is_an_error_without_a_signal() {
    for (kind, errno) in
        [(SockType::Stream, libc::EPIPE), (SockType::Datagram, libc::ECONNREFUSED), (SockType::SeqPacket, libc::EPIPE)]
    {
        let (a, b) = pair(kind);
        drop(b);
        let error = MsgHdr::new().data(b"x").send(&a).unwrap_err();
        assert_eq!(error.raw_os_error(), Some(errno), "{kind:?}");
    }
}

/// ER22
#[test]
fn a_path_without_a_listener_is_an_error() {
    let socket = UnixDatagram::unbound().unwrap();
    let (missing, plain, closed) = (TempPath::new("missing"), TempPath::new("plain"), TempPath::new("closed"));
    fs::write(&plain.0, "").unwrap();
    drop(bound(&closed.0));
    for (path, errno) in [(&missing, libc::ENOENT), (&plain, libc::ECONNREFUSED), (&closed, libc::ECONNREFUSED)] {
        let error = MsgHdr::new().to(SockAddr::unix(&path.0).unwrap()).data(b"x").send(&socket).unwrap_err();
        assert_eq!(error.raw_os_error(), Some(errno));
    }
}

/// FD13
#[test]
fn a_descriptor_rides_on_the_last_packet() {
    let (a, b) = pair(SockType::SeqPacket);
    let (reader, writer) = nix::unistd::pipe().unwrap();
    for text in [&b"one"[..], b"two"] {
        MsgHdr::new().data(text).send(&a).unwrap();
    }
    MsgHdr::new().data(b"three").control(ScmRights::new([writer.as_fd()])).flags(SendFlags::EOR).send(&a).unwrap();
    drop((writer, a));
    let (mut control, mut counts) = (ControlBuf::<()>::new(), Vec::new());
    let mut last = None;
    for _ in 0..3 {
        let mut data = [0; 8];
        let mut message = b.recv_msg(&mut data, &mut control).unwrap();
        counts.push((message.len(), message.fds().count()));
        last = message.take_fds().next().or(last);
    }
    assert_eq!(counts, [(3, 0), (3, 0), (5, 1)]);
    fs::File::from(last.unwrap()).write_all(b"after the end").unwrap();
    let mut text = String::new();
    fs::File::from(reader).read_to_string(&mut text).unwrap();
    assert_eq!(text, "after the end");
}

#[test]
fn what_arrived_prints_in_one_line() {
    let (a, b) = pair(SockType::Datagram);
    b.enable::<Credentials>().unwrap();
    MsgHdr::new().data(b"x").send(&a).unwrap();
    let (mut data, mut control) = ([0; 1], ControlBuf::<Credentials>::new());
    let message = b.recv_msg(&mut data, &mut control).unwrap();
    let own = Credentials::own();
    let text = format!("{message:?}");
    assert!(text.contains(&format!("control: [{{SCM_CREDENTIALS {own}}}]")), "{text}");
    assert_eq!(message.control_bytes().len(), cmsg::space(12).unwrap());
}

#[cfg(feature = "bytes")]
mod with_bytes {
    use super::*;
    use bytes::{Buf, BufMut, Bytes, BytesMut};

    #[test]
    fn a_chain_of_buffers_is_one_message() {
        for kind in KINDS {
            let (a, b) = pair(kind);
            let mut head = Bytes::from_static(b"head-tail");
            let tail = head.split_off(5);
            let chain = head.chain(Bytes::new()).chain(tail).chain(&b"!"[..]);
            let sent = MsgHdr::new().data(b"<").buf(&chain).data(b">").send(&a).unwrap();
            assert_eq!((sent, chain.remaining()), (12, 10));
            let (mut data, mut control) = ([0; 32], ControlBuf::<()>::new());
            assert_eq!(b.recv_msg(&mut data, &mut control).unwrap().data(), b"<head-tail!>");
        }
    }

    #[test]
    fn a_growable_buffer_grows_by_what_arrived() {
        for kind in KINDS {
            let (a, b) = pair(kind);
            b.enable::<Credentials>().unwrap();
            let mut buffer = BytesMut::with_capacity(64);
            let mut control = ControlBuf::<Credentials>::new();
            for text in [&b"one "[..], b"two "] {
                MsgHdr::new().data(text).send(&a).unwrap();
                let message = b.recv_msg_buf(&mut buffer, &mut control).unwrap();
                assert_eq!((message.len(), message.extract()), (4, Some(Credentials::own())));
            }
            assert_eq!((&buffer[..], buffer.capacity()), (&b"one two "[..], 64));
        }
    }

    /// TR31
    #[test]
    fn a_full_buffer_truncates_and_a_failed_receive_adds_nothing() {
        let (a, b) = pair(SockType::Datagram);
        MsgHdr::new().data(b"too long").send(&a).unwrap();
        let mut control = ControlBuf::<()>::new();
        let mut buffer = BytesMut::with_capacity(16).limit(3);
        let message = b.recv_msg_buf(&mut buffer, &mut control).unwrap();
        assert_eq!((message.len(), message.flags().contains(MsgFlags::TRUNC)), (3, true));
        let mut buffer = buffer.into_inner();
        assert_eq!(&buffer[..], b"too");
        b.set_nonblocking(true).unwrap();
        assert_eq!(b.recv_msg_buf(&mut buffer, &mut control).unwrap_err().kind(), ErrorKind::WouldBlock);
        assert_eq!(&buffer[..], b"too");
        let mut vec = vec![1, 2];
        vec.reserve(8);
        MsgHdr::new().data(&[3, 4]).send(&a).unwrap();
        b.recv_msg_buf(&mut vec, &mut control).unwrap();
        assert_eq!(vec, [1, 2, 3, 4]);
    }
}
