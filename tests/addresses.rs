//! Names of AF_UNIX sockets: paths, abstract names, none; who sent a message.
#![cfg(target_os = "linux")]

mod common;

use std::{
    fs,
    os::{
        fd::AsRawFd,
        linux::net::SocketAddrExt,
        unix::{
            ffi::OsStrExt,
            net::{SocketAddr, UnixDatagram, UnixListener},
        },
    },
    path::{Path, PathBuf},
    sync::atomic::{AtomicU32, Ordering},
};

use ancillary::{
    AddrError, ControlBuf, MsgHdr, MsgHdrMut, RecvFlags, SendFlags, SockAddr, SocketExt, message::Credentials,
};
use common::{TIMEOUT, pairs::datagrams, raw};
use nix::{
    libc,
    sys::socket::{AddressFamily, Backlog, SockFlag, SockType, UnixAddr, bind, connect, listen, socket},
};

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
fn a_socket_bound_to_no_name_is_given_one() {
    let socket = UnixDatagram::unbound().unwrap();
    socket.set_read_timeout(TIMEOUT).unwrap();
    raw::bind(&socket, &SockAddr::from(&socket.local_addr().unwrap())).unwrap();
    let name = raw::own_name(&socket).unwrap();
    assert_eq!(name.as_abstract_name().map(<[u8]>::len), Some(5));
    MsgHdr::new().to(name).data(b"x").send(&socket).unwrap();
    assert_eq!(text(&socket), (b"x".to_vec(), Some(name)));
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
