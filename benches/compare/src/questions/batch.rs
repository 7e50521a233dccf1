//! Many datagrams: one system call for all of them, or one for each.

use std::{
    hint::black_box,
    io::{IoSlice, IoSliceMut},
    mem::MaybeUninit,
    net::{IpAddr, Ipv4Addr, SocketAddr, SocketAddrV4, UdpSocket},
    os::fd::{AsFd, AsRawFd},
    time::Duration,
};

use ancillary::{ControlBuf, MsgHdr, SockAddr, SocketExt, message::IpPktInfo};
use nix::{
    libc::in_pktinfo,
    sys::socket::{self as nix_socket, ControlMessageOwned, MsgFlags, MultiHeaders, SockaddrIn},
};
use quinn_udp::{RecvMeta, Transmit, UdpSockRef, UdpSocketState};
use rustix::net::{MMsgHdr, RecvAncillaryBuffer, RecvFlags, SendAncillaryBuffer, SendFlags, SocketAddrAny};

use super::{Case, list, time};
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
        add("plain", "nix", nix);
        add("plain", "rustix", rustix);
        add("plain", "std, one by one", std_loop);
        add("with PKTINFO", "libc, one by one", libc_info_loop);
        add("with PKTINFO", "libc", libc_info);
        add("with PKTINFO", "ours, one by one", ours_info_loop);
        add("with PKTINFO", "nix", nix_info);
        add("with PKTINFO", "quinn-udp", quinn_info);
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

#[inline(always)]
fn batch_libc(count: usize, times: u32, sockets: (UdpSocket, UdpSocket), info: bool) -> Duration {
    let (mut headers, mut room) = (c::udp::Headers::new(), c::udp::Room::<SIZE>::new());
    let send = |socket: &UdpSocket, to, data: &Data| {
        let to = SockAddr::from(SocketAddr::V4(to));
        assert_eq!(c::udp::send_batch(socket.as_fd(), to.as_bytes(), data, &mut headers), data.len());
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

#[inline(always)]
fn batch_nix(count: usize, times: u32, sockets: (UdpSocket, UdpSocket), room: Option<Vec<u8>>) -> Duration {
    let info = room.is_some();
    let mut headers = MultiHeaders::<SockaddrIn>::preallocate(BATCH, None);
    let mut rooms = MultiHeaders::<SockaddrIn>::preallocate(BATCH, room);
    let mut buffers = [[0; SIZE]; BATCH];
    let send = |socket: &UdpSocket, to, data: &Data| {
        let to = list(data.iter().map(|_| Some(SockaddrIn::from(to))));
        let slices = list(data.iter().map(|data| [IoSlice::new(data)]));
        let flags = MsgFlags::MSG_NOSIGNAL;
        let sent = nix_socket::sendmmsg(socket.as_raw_fd(), &mut headers, slices.iter(), &to[..], [], flags).unwrap();
        assert_eq!(sent.count(), data.len());
    };
    trip(count, times, sockets, info, send, |socket, count, each| {
        let mut slices = list(buffers[..count].iter_mut().map(|data| [IoSliceMut::new(data)]));
        let (fd, flags, mut came) = (socket.as_raw_fd(), MsgFlags::MSG_DONTWAIT, 0);
        for message in nix_socket::recvmmsg(fd, &mut rooms, slices.iter_mut(), flags, None).unwrap() {
            let mut to = None;
            if info {
                for message in message.cmsgs().unwrap() {
                    if let ControlMessageOwned::Ipv4PacketInfo(info) = message {
                        to = Some(destination(info));
                    }
                }
            }
            let port = message.address.map(|from| from.port());
            each((message.iovs().next().unwrap(), port, to));
            came += 1;
        }
        came
    })
}

fn nix(count: usize, times: u32) -> Duration {
    batch_nix(count, times, sockets(), None)
}

fn nix_info(count: usize, times: u32) -> Duration {
    batch_nix(count, times, sockets_info(), Some(nix::cmsg_space!(in_pktinfo)))
}

/// Sends by sendmmsg; it has no recvmmsg.
fn rustix(count: usize, times: u32) -> Duration {
    let (mut data, mut room) = ([0; SIZE], [MaybeUninit::uninit(); 64]);
    let send = |socket: &UdpSocket, to: SocketAddrV4, data: &Data| {
        let to = SocketAddrAny::from(SocketAddr::V4(to));
        let slices = list(data.iter().map(|data| [IoSlice::new(data)]));
        let mut none = list(data.iter().map(|_| SendAncillaryBuffer::default()));
        let mut headers =
            list(slices.iter().zip(none.iter_mut()).map(|(slices, none)| MMsgHdr::new_with_addr(&to, slices, none)));
        let sent = rustix::net::sendmmsg(socket, &mut headers, SendFlags::NOSIGNAL).unwrap();
        assert_eq!(sent, data.len());
    };
    trip(count, times, sockets(), false, send, |socket, _, each| {
        let (mut control, flags) = (RecvAncillaryBuffer::new(&mut room), RecvFlags::CMSG_CLOEXEC);
        let message = rustix::net::recvmsg(socket, &mut [IoSliceMut::new(&mut data)], &mut control, flags).unwrap();
        let from: Option<SocketAddr> = message.address.and_then(|from| from.try_into().ok());
        each((&data[..message.bytes], from.map(|from| from.port()), None));
        1
    })
}

fn std_loop(count: usize, times: u32) -> Duration {
    let mut data = [0; SIZE];
    let send = |socket: &UdpSocket, to, bytes: &Data| {
        for data in bytes {
            socket.send_to(data, SocketAddr::V4(to)).unwrap();
        }
    };
    trip(count, times, sockets(), false, send, |socket, _, each| {
        let (len, from) = socket.recv_from(&mut data).unwrap();
        each((&data[..len], Some(from.port()), None));
        1
    })
}

/// Receives by recvmmsg; it sends one by one (many only as segments of one size).
fn quinn_info(count: usize, times: u32) -> Duration {
    let (a, b) = sockets();
    let sender = UdpSocketState::new(UdpSockRef::from(&a)).unwrap();
    let receiver = UdpSocketState::new(UdpSockRef::from(&b)).unwrap();
    let (mut buffers, mut meta) = ([[0; SIZE]; BATCH], [RecvMeta::default(); BATCH]);
    let send = |socket: &UdpSocket, to, data: &Data| {
        for contents in data {
            let destination = SocketAddr::V4(to);
            let transmit = Transmit { destination, ecn: None, contents, segment_size: None, src_ip: None };
            sender.try_send(socket.into(), &transmit).unwrap();
        }
    };
    trip(count, times, (a, b), true, send, |socket, count, each| {
        let mut slices = list(buffers[..count].iter_mut().map(|data| IoSliceMut::new(data)));
        let came = receiver.recv(socket.into(), &mut slices, &mut meta).unwrap();
        for (meta, data) in meta[..came].iter().zip(&buffers) {
            let to = match meta.dst_ip {
                Some(IpAddr::V4(to)) => Some(to),
                _ => None,
            };
            each((&data[..meta.len], Some(meta.addr.port()), to));
        }
        came
    })
}
