//! Sockets and pairs of them, with limits that keep a test from hanging.

use std::{
    io,
    net::{IpAddr, SocketAddr, TcpListener, TcpStream, ToSocketAddrs, UdpSocket},
    os::{fd::AsFd, unix::net::UnixDatagram},
};

#[cfg(target_os = "linux")]
use std::os::unix::net::UnixStream;

use ancillary::{ControlVec, MsgHdr, SendControl, SocketExt, message::RecvList};
#[cfg(target_os = "linux")]
use nix::sys::socket::{AddressFamily, SockFlag, SockType, socketpair};

use super::{TIMEOUT, has_v6};

pub const V4: &str = "127.0.0.1:0";
pub const V6: &str = "[::1]:0";
/// Both families at once.
pub const DUAL: &str = "[::]:0";

/// The types of AF_UNIX sockets.
#[cfg(target_os = "linux")]
pub const KINDS: [SockType; 3] = [SockType::Stream, SockType::Datagram, SockType::SeqPacket];

/// The addresses of both families, or of IPv4 alone where there is no other.
pub fn addrs(test: &str) -> &'static [&'static str] {
    if has_v6(test) { &[V4, V6] } else { &[V4] }
}

/// A pair of any type; std's `UnixStream` does for all three, what matters here is the timeout.
#[cfg(target_os = "linux")]
pub fn pair(kind: SockType) -> (UnixStream, UnixStream) {
    let (a, b) = socketpair(AddressFamily::Unix, kind, None, SockFlag::SOCK_CLOEXEC).unwrap();
    let (a, b) = (UnixStream::from(a), UnixStream::from(b));
    for socket in [&a, &b] {
        socket.set_read_timeout(TIMEOUT).unwrap();
        socket.set_write_timeout(TIMEOUT).unwrap();
    }
    (a, b)
}

/// A connected pair of streams.
#[cfg(target_os = "linux")]
pub fn stream() -> (UnixStream, UnixStream) {
    pair(SockType::Stream)
}

/// Likewise of datagrams.
pub fn datagrams() -> (UnixDatagram, UnixDatagram) {
    let (a, b) = UnixDatagram::pair().unwrap();
    for socket in [&a, &b] {
        socket.set_read_timeout(TIMEOUT).unwrap();
        socket.set_write_timeout(TIMEOUT).unwrap();
    }
    (a, b)
}

/// A UDP socket.
pub fn bound(addr: impl ToSocketAddrs) -> UdpSocket {
    let socket = UdpSocket::bind(addr).unwrap();
    socket.set_read_timeout(TIMEOUT).unwrap();
    socket.set_write_timeout(TIMEOUT).unwrap();
    socket
}

/// One of UDP-Lite over IPv4, where this kernel has it.
#[cfg(target_os = "linux")]
pub fn udp_lite() -> io::Result<UdpSocket> {
    use socket2::{Domain, Protocol, Socket, Type};
    let socket = Socket::new(Domain::IPV4, Type::DGRAM, Some(Protocol::from(nix::libc::IPPROTO_UDPLITE)))?;
    socket.bind(&V4.parse::<SocketAddr>().unwrap().into())?;
    socket.set_read_timeout(TIMEOUT)?;
    socket.set_write_timeout(TIMEOUT)?;
    Ok(socket.into())
}

/// A receiver, and a sender connected to it.
pub fn udp(addr: impl ToSocketAddrs + Copy) -> (UdpSocket, UdpSocket) {
    let (receiver, sender) = (bound(addr), bound(addr));
    sender.connect(receiver.local_addr().unwrap()).unwrap();
    (receiver, sender)
}

/// An address where nobody listens, and what keeps everybody else from it: a socket that hears itself alone.
pub fn closed(ip: IpAddr) -> (SocketAddr, UdpSocket) {
    let socket = bound((ip, 0));
    let addr = socket.local_addr().unwrap();
    socket.connect(addr).unwrap();
    (addr, socket)
}

/// The same as [`udp`], these messages enabled.
pub fn asked<L: RecvList>(addr: impl ToSocketAddrs + Copy) -> (UdpSocket, UdpSocket) {
    let (receiver, sender) = udp(addr);
    receiver.enable::<L>().unwrap();
    (receiver, sender)
}

/// Both ends of a connection, the second one opened it.
pub fn tcp(addr: impl ToSocketAddrs) -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind(addr).unwrap();
    let sender = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let receiver = listener.accept().unwrap().0;
    for socket in [&receiver, &sender] {
        socket.set_read_timeout(TIMEOUT).unwrap();
        socket.set_write_timeout(TIMEOUT).unwrap();
    }
    (receiver, sender)
}

/// Sends four bytes with these messages.
pub fn send<'fd>(socket: &impl AsFd, control: impl SendControl<'fd>) -> io::Result<usize> {
    MsgHdr::new().data(b"data").control(control).send(socket)
}

/// The errno of a call that must fail.
pub fn errno<T>(result: io::Result<T>) -> i32 {
    let Err(error) = result else { panic!("expected an error") };
    error.raw_os_error().unwrap_or_else(|| panic!("expected an errno, found {error:?}"))
}

/// The call says that it would have to wait.
pub fn would_block<T>(result: io::Result<T>) {
    match result {
        Ok(_) => panic!("expected WouldBlock"),
        Err(error) => assert_eq!(error.kind(), io::ErrorKind::WouldBlock, "{error}"),
    }
}

/// Levels, types and lengths of what comes with the next four bytes.
pub fn shape(socket: &UdpSocket) -> Vec<(i32, i32, usize)> {
    let (mut data, mut control) = ([0; 64], ControlVec::<()>::with_capacity(1024));
    let message = socket.recv_msg(&mut data, &mut control).unwrap();
    message.require_complete().unwrap();
    assert_eq!(message.data(), b"data");
    message.cmsgs().map(|cmsg| (cmsg.id().level(), cmsg.id().ty(), cmsg.payload().len())).collect()
}

/// Whether SIGPIPE is pending for this thread.
#[cfg(target_os = "linux")]
pub fn sigpipe_is_pending() -> bool {
    let status = std::fs::read_to_string("/proc/thread-self/status").unwrap();
    let pending = status.lines().find_map(|line| line.strip_prefix("SigPnd:")).unwrap();
    u64::from_str_radix(pending.trim(), 16).unwrap() & (1 << (nix::libc::SIGPIPE - 1)) != 0
}
