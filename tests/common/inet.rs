//! Pairs of internet sockets on loopback.

use std::{
    io,
    net::{TcpListener, TcpStream, UdpSocket},
    os::fd::AsFd,
};

use ancillary::{MsgHdr, SendControl};

use super::{TIMEOUT, has_v6};

pub const V4: &str = "127.0.0.1:0";
pub const V6: &str = "[::1]:0";

/// The addresses of both families, or of IPv4 alone where there is no other.
pub fn addrs(test: &str) -> &'static [&'static str] {
    if has_v6(test) { &[V4, V6] } else { &[V4] }
}

/// A receiver, and a sender connected to it.
pub fn udp(addr: &str) -> (UdpSocket, UdpSocket) {
    let (receiver, sender) = (UdpSocket::bind(addr).unwrap(), UdpSocket::bind(addr).unwrap());
    receiver.set_read_timeout(TIMEOUT).unwrap();
    sender.set_read_timeout(TIMEOUT).unwrap();
    sender.connect(receiver.local_addr().unwrap()).unwrap();
    (receiver, sender)
}

/// Both ends of a connection, the second one opened it.
pub fn tcp(addr: &str) -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind(addr).unwrap();
    let sender = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let receiver = listener.accept().unwrap().0;
    for socket in [&receiver, &sender] {
        socket.set_read_timeout(TIMEOUT).unwrap();
        socket.set_write_timeout(TIMEOUT).unwrap();
    }
    (receiver, sender)
}

/// Sends `data` with these messages.
pub fn send(socket: &impl AsFd, control: impl for<'fd> SendControl<'fd>) -> io::Result<usize> {
    MsgHdr::new().data(b"data").control(control).send(socket)
}

/// The errno of a send that must fail.
pub fn errno(result: io::Result<usize>) -> i32 {
    let error = result.unwrap_err();
    error.raw_os_error().unwrap_or_else(|| panic!("expected an errno, found {error:?}"))
}
