//! Many datagrams: one system call for all of them, or one for each.

mod others;

use std::{
    hint::black_box,
    net::{Ipv4Addr, SocketAddr, SocketAddrV4, UdpSocket},
    os::fd::AsFd,
    time::Duration,
};

use ancillary::{
    ControlBuf, MsgHdr, SockAddr, SocketExt,
    batch::{RecvBatch, SendBatch},
    message::IpPktInfo,
};
use nix::libc::in_pktinfo;

use super::{Case, time};
use crate::c::{self, udp::BATCH};

/// Bytes of each datagram.
const SIZE: usize = 64;
type Data = [[u8; SIZE]];

pub(super) fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for count in [1, 8, BATCH] {
        let mut add = |shape: &str, who, run: fn(usize, u32) -> Duration| {
            let case = Case::new("batch", format!("{count} {shape}"), who, move |times| run(count, times));
            cases.push(case.elements(count).bytes(count * SIZE));
        };
        add("plain", "libc, one by one", libc_loop);
        add("plain", "libc", libc);
        add("plain", "ours, one by one", ours_loop);
        add("plain", "ours", ours);
        add("plain", "nix", others::nix);
        add("plain", "rustix", others::rustix);
        add("plain", "std, one by one", others::std_loop);
        add("with PKTINFO", "libc, one by one", libc_info_loop);
        add("with PKTINFO", "libc", libc_info);
        add("with PKTINFO", "ours, one by one", ours_info_loop);
        add("with PKTINFO", "ours", ours_info);
        add("with PKTINFO", "nix", others::nix_info);
        add("with PKTINFO", "quinn-udp", others::quinn_info);
    }
    cases
}

/// One that arrived: its data, the port it came from, the address it went to.
type Arrived<'a> = (&'a [u8], Option<u16>, Option<Ipv4Addr>);

/// `send` sends each; `receive` is asked for so many at most, hands each to a function, and says how many it had.
#[inline(always)]
fn trip(
    count: usize,
    times: u32,
    (a, b): (UdpSocket, UdpSocket),
    info: bool,
    mut send: impl FnMut(&UdpSocket, SocketAddrV4, &Data),
    mut receive: impl FnMut(&UdpSocket, usize, &mut dyn FnMut(Arrived<'_>)) -> usize,
) -> Duration {
    let SocketAddr::V4(to) = b.local_addr().unwrap() else { panic!("an IPv4 socket") };
    let data: Vec<[u8; SIZE]> = (0..count).map(|n| std::array::from_fn(|at| (n + at) as u8)).collect();
    let port = Some(a.local_addr().unwrap().port());
    let mut once = |data: &Data| {
        send(&a, to, data);
        let mut arrived = 0;
        while arrived < count {
            let mut next = arrived;
            let came = receive(&b, count - arrived, &mut |(bytes, from, at)| {
                assert_eq!((bytes, from, at), (&data[next][..], port, info.then_some(*to.ip())));
                next += 1;
            });
            assert!(came > 0 && arrived + came == next);
            arrived = next;
        }
    };
    once(&data);
    time(times, || once(black_box(&data)))
}

fn sockets() -> (UdpSocket, UdpSocket) {
    (UdpSocket::bind("127.0.0.1:0").unwrap(), UdpSocket::bind("127.0.0.1:0").unwrap())
}

fn sockets_info() -> (UdpSocket, UdpSocket) {
    let (a, b) = sockets();
    b.enable::<IpPktInfo>().unwrap();
    (a, b)
}

fn destination(info: in_pktinfo) -> Ipv4Addr {
    info.ipi_addr.s_addr.to_ne_bytes().into()
}

fn send_ours(socket: &UdpSocket, to: SocketAddrV4, data: &Data) {
    let to = &SockAddr::from(SocketAddr::V4(to));
    for data in data {
        MsgHdr::new().to(to).data(data).send(socket).unwrap();
    }
}

fn port_of(peer: Option<&SockAddr>) -> Option<u16> {
    peer.and_then(SockAddr::as_inet).map(|addr| addr.port())
}

fn ours_loop(count: usize, times: u32) -> Duration {
    let (mut data, mut control) = ([0; SIZE], ControlBuf::<()>::new());
    trip(count, times, sockets(), false, send_ours, |socket, _, each| {
        let message = socket.recv_msg(&mut data, &mut control).unwrap();
        each((message.data(), port_of(message.peer()), None));
        1
    })
}

fn ours_info_loop(count: usize, times: u32) -> Duration {
    let (mut data, mut control) = ([0; SIZE], ControlBuf::<IpPktInfo>::new());
    trip(count, times, sockets_info(), true, send_ours, |socket, _, each| {
        let message = socket.recv_msg(&mut data, &mut control).unwrap();
        each((message.data(), port_of(message.peer()), message.extract().map(|info| info.addr)));
        1
    })
}

fn send_batch(room: &mut SendBatch, socket: &UdpSocket, to: SocketAddrV4, data: &Data) {
    let to = &SockAddr::from(SocketAddr::V4(to));
    let mut batch = room.begin();
    for data in data {
        batch.message().to(to).data(data).queue().unwrap();
    }
    assert_eq!(batch.send_all(socket).unwrap(), data.len());
}

fn ours(count: usize, times: u32) -> Duration {
    let (mut room, mut arriving) = (SendBatch::new(count), RecvBatch::<()>::new(count, SIZE));
    let send = |socket: &UdpSocket, to, data: &Data| send_batch(&mut room, socket, to, data);
    trip(count, times, sockets(), false, send, |socket, _, each| {
        let messages = arriving.recv(socket).unwrap();
        let came = messages.len();
        messages.for_each(|message| each((message.data(), port_of(message.peer()), None)));
        came
    })
}

fn ours_info(count: usize, times: u32) -> Duration {
    let (mut room, mut arriving) = (SendBatch::new(count), RecvBatch::<IpPktInfo>::new(count, SIZE));
    let send = |socket: &UdpSocket, to, data: &Data| send_batch(&mut room, socket, to, data);
    trip(count, times, sockets_info(), true, send, |socket, _, each| {
        let messages = arriving.recv(socket).unwrap();
        let came = messages.len();
        for message in messages {
            each((message.data(), port_of(message.peer()), message.extract().map(|info| info.addr)));
        }
        came
    })
}

#[inline(always)]
fn batch_libc(count: usize, times: u32, sockets: (UdpSocket, UdpSocket), info: bool) -> Duration {
    let (mut headers, mut room) = (c::udp::Headers::new(), c::udp::Room::<SIZE>::new());
    let send = |socket: &UdpSocket, to, data: &Data| {
        let to = SockAddr::from(SocketAddr::V4(to));
        assert_eq!(c::udp::send_batch(socket.as_fd(), to.as_bytes(), data, &mut headers, |_, _| ()), data.len());
    };
    trip(count, times, sockets, info, send, |socket, count, each| {
        let mut found = [(0, 0, None); BATCH];
        let came = c::udp::receive_batch(socket.as_fd(), count, &mut room, |n, len, port, header| {
            found[n] = (len, port, if info { c::parse(header).0.map(destination) } else { None });
        });
        for (n, (len, port, to)) in found[..came].iter().enumerate() {
            each((&room.data[n][..*len], Some(*port), *to));
        }
        came
    })
}

fn libc(count: usize, times: u32) -> Duration {
    batch_libc(count, times, sockets(), false)
}

fn libc_info(count: usize, times: u32) -> Duration {
    batch_libc(count, times, sockets_info(), true)
}

fn libc_loop(count: usize, times: u32) -> Duration {
    loop_libc(count, times, sockets(), false)
}

fn libc_info_loop(count: usize, times: u32) -> Duration {
    loop_libc(count, times, sockets_info(), true)
}

#[inline(always)]
fn loop_libc(count: usize, times: u32, sockets: (UdpSocket, UdpSocket), info: bool) -> Duration {
    let (mut data, mut control) = ([0; SIZE], c::Aligned([0; 64]));
    let send = |socket: &UdpSocket, to, data: &Data| {
        let to = SockAddr::from(SocketAddr::V4(to));
        for data in data {
            let (mut header, iov) = (c::header(), c::iovec(data));
            c::to(&mut header, to.as_bytes());
            c::gather(&mut header, std::slice::from_ref(&iov));
            c::sendmsg(socket.as_fd(), &header);
        }
    };
    trip(count, times, sockets, info, send, |socket, _, each| {
        let (mut iov, mut name) = ([c::iovec_mut(&mut data)], c::Aligned([0; 16]));
        // SAFETY: the entry describes `data`.
        let (len, header) = unsafe { c::receive(socket.as_fd(), &mut iov, &mut control.0, &mut name.0) };
        let to = if info { c::parse(&header).0.map(destination) } else { None };
        each((&data[..len], Some(c::udp::port(&name.0)), to));
        1
    })
}
