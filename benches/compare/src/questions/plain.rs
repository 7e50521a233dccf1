//! One buffer without control data: what the simpler call saves.

use std::{
    hint::black_box,
    io::Read,
    net::{SocketAddr, UdpSocket},
    os::{
        fd::AsFd,
        unix::net::{UnixDatagram, UnixStream},
    },
    time::Duration,
};

use ancillary::{ControlBuf, MsgHdr, SockAddr, SocketExt};
use socket2::Socket;

use super::{Case, pattern, time};
use crate::c;

/// Two ends, and the receiver's address where the sender has to name it.
struct Ends {
    a: Socket,
    b: Socket,
    to: Option<SockAddr>,
}

/// A kind of socket, how many bytes, and how to make it.
type Kind = (&'static str, usize, fn() -> Ends);

const KINDS: &[Kind] = &[
    ("AF_UNIX, 64 B", 64, unix),
    ("AF_UNIX, 4096 B", 4096, unix),
    ("AF_UNIX stream, 64 B", 64, stream),
    ("UDP, connected, 64 B", 64, connected),
    ("UDP, addressed, 64 B", 64, addressed),
];

pub(super) fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for &kind in KINDS {
        let mut add = |what, who, run: fn(Kind, u32) -> Duration| {
            let shape = format!("{what} {}", kind.0);
            cases.push(Case::new("plain", shape, who, move |times| run(kind, times)).bytes(kind.1));
        };
        add("send", "libc", send_libc);
        add("send", "libc, plain call", send_plain);
        add("send", "ours", send_ours);
        add("send", "socket2", send_socket2);
        add("receive", "libc", receive_libc);
        add("receive", "libc, plain call", receive_plain);
        add("receive", "ours", receive_ours);
    }
    cases
}

fn unix() -> Ends {
    let (a, b) = UnixDatagram::pair().unwrap();
    Ends { a: a.into(), b: b.into(), to: None }
}

fn stream() -> Ends {
    let (a, b) = UnixStream::pair().unwrap();
    Ends { a: a.into(), b: b.into(), to: None }
}

fn udp() -> (UdpSocket, UdpSocket, SocketAddr) {
    let (a, b) = (UdpSocket::bind("127.0.0.1:0").unwrap(), UdpSocket::bind("127.0.0.1:0").unwrap());
    let to = b.local_addr().unwrap();
    (a, b, to)
}

fn connected() -> Ends {
    let (a, b, to) = udp();
    a.connect(to).unwrap();
    Ends { a: a.into(), b: b.into(), to: None }
}

fn addressed() -> Ends {
    let (a, b, to) = udp();
    Ends { a: a.into(), b: b.into(), to: Some(to.into()) }
}

/// Sends by `send`, receives by `receive`, both of which say how many bytes it was.
#[inline(always)]
fn trip(
    (_, size, ends): Kind,
    times: u32,
    send: impl Fn(&Ends, &[u8]) -> usize,
    mut receive: impl FnMut(&Ends, &mut [u8]) -> usize,
) -> Duration {
    let (ends, data, mut arrived) = (ends(), pattern(size), vec![0; size + 1]);
    assert_eq!((send(&ends, &data), receive(&ends, &mut arrived)), (size, size));
    assert_eq!(arrived[..size], data);
    time(times, || {
        assert_eq!(send(&ends, black_box(&data)), size);
        assert_eq!(receive(&ends, black_box(&mut arrived)), size);
    })
}

fn read(ends: &Ends, data: &mut [u8]) -> usize {
    (&ends.b).read(data).unwrap()
}

fn write(ends: &Ends, data: &[u8]) -> usize {
    c::plain::send(ends.a.as_fd(), data, name(ends))
}

fn name(ends: &Ends) -> &[u8] {
    ends.to.as_ref().map_or(&[], SockAddr::as_bytes)
}

fn send_libc(kind: Kind, times: u32) -> Duration {
    let send = |ends: &Ends, data: &[u8]| {
        let (mut header, iov) = (c::header(), c::iovec(data));
        if ends.to.is_some() {
            c::to(&mut header, name(ends));
        }
        c::gather(&mut header, std::slice::from_ref(&iov));
        c::sendmsg(ends.a.as_fd(), &header)
    };
    trip(kind, times, send, read)
}

fn send_plain(kind: Kind, times: u32) -> Duration {
    trip(kind, times, write, read)
}

fn send_ours(kind: Kind, times: u32) -> Duration {
    let send = |ends: &Ends, data: &[u8]| match &ends.to {
        Some(to) => MsgHdr::new().to(to).data(data).send(&ends.a).unwrap(),
        None => MsgHdr::new().data(data).send(&ends.a).unwrap(),
    };
    trip(kind, times, send, read)
}

fn send_socket2(kind: Kind, times: u32) -> Duration {
    let send = |ends: &Ends, data: &[u8]| match ends.to.as_ref().and_then(SockAddr::as_inet) {
        Some(to) => ends.a.send_to(data, &to.into()).unwrap(),
        None => ends.a.send(data).unwrap(),
    };
    trip(kind, times, send, read)
}

fn receive_libc(kind: Kind, times: u32) -> Duration {
    let (mut control, mut from) = (c::Aligned([0; 256]), c::Aligned([0; 128]));
    trip(kind, times, write, |ends, data| {
        // SAFETY: the entry describes `data`.
        unsafe { c::receive(ends.b.as_fd(), &mut [c::iovec_mut(data)], &mut control.0, &mut from.0) }.0
    })
}

fn receive_plain(kind: Kind, times: u32) -> Duration {
    let mut from = c::Aligned([0; 128]);
    trip(kind, times, write, |ends, data| c::plain::receive(ends.b.as_fd(), data, &mut from.0).0)
}

fn receive_ours(kind: Kind, times: u32) -> Duration {
    let mut control = ControlBuf::<()>::new();
    trip(kind, times, write, |ends, data| ends.b.recv_msg(data, &mut control).unwrap().len())
}
