//! One UDP datagram, sent and received: its data, its source, and what control messages say of it.

use std::{
    hint::black_box,
    io::{IoSlice, IoSliceMut},
    mem::MaybeUninit,
    net::{IpAddr, Ipv4Addr, SocketAddr, SocketAddrV4, UdpSocket},
    os::fd::{AsFd, AsRawFd},
    time::Duration,
};

use ancillary::{
    ControlBuf, MsgHdr, SockAddr, SocketExt,
    message::{IpPktInfo, IpTos, IpTtl},
};
use nix::{
    libc::{in_addr, in_pktinfo},
    sys::socket::{self as nix_socket, ControlMessage, ControlMessageOwned, MsgFlags, SockaddrIn},
};
use quinn_udp::{EcnCodepoint, RecvMeta, Transmit, UdpSockRef, UdpSocketState};
use rustix::net::{RecvAncillaryBuffer, RecvFlags, SendAncillaryBuffer, SendFlags};

use super::{Case, time};
use crate::c;

const TTL: u8 = 9;
const ECT0: u8 = 2;
const SOURCE: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 9);
const DATA: &[u8] = b"data";

pub(super) fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    let mut add = |shape: &str, who, run: fn(u32) -> Duration| {
        cases.push(Case::new("one_message", shape.into(), who, run).bytes(DATA.len()));
    };
    add("no control data", "libc", plain_libc);
    add("no control data", "ours", plain_ours);
    add("no control data", "nix", plain_nix);
    add("no control data", "rustix", plain_rustix);
    add("no control data", "std", plain_std);
    add("TTL + PKTINFO", "libc", ttl_libc);
    add("TTL + PKTINFO", "ours", ttl_ours);
    add("TTL + PKTINFO", "nix", ttl_nix);
    add("ECN + PKTINFO", "libc", ecn_libc);
    add("ECN + PKTINFO", "ours", ecn_ours);
    add("ECN + PKTINFO", "nix", ecn_nix);
    add("ECN + PKTINFO", "quinn-udp", ecn_quinn);
    cases
}

/// What arrived: bytes, the port they came from, the address they went to, and TTL or ECN.
#[derive(Debug, PartialEq)]
struct Arrived {
    len: usize,
    port: Option<u16>,
    to: Option<Ipv4Addr>,
    value: Option<u8>,
}

/// `send` sends to the address; `receive` says what arrived.
#[inline(always)]
fn trip(
    times: u32,
    value: Option<u8>,
    (a, b): (UdpSocket, UdpSocket),
    mut send: impl FnMut(&UdpSocket, SocketAddrV4, &[u8]),
    mut receive: impl FnMut(&UdpSocket, &mut [u8]) -> Arrived,
) -> Duration {
    let SocketAddr::V4(to) = b.local_addr().unwrap() else { panic!("an IPv4 socket") };
    let mut data = [0; 64];
    let port = Some(a.local_addr().unwrap().port());
    let expected = Arrived { len: DATA.len(), port, to: value.map(|_| *to.ip()), value };
    send(&a, to, DATA);
    assert_eq!(receive(&b, &mut data), expected);
    assert_eq!(&data[..DATA.len()], DATA);
    if value.is_some() {
        // The source that was asked for is the one that it comes from.
        send(&a, to, DATA);
        assert_eq!(b.recv_from(&mut data).unwrap().1.ip(), SOURCE);
    }
    time(times, || {
        send(&a, black_box(to), black_box(DATA));
        assert_eq!(receive(&b, &mut data), expected);
    })
}

fn sockets() -> (UdpSocket, UdpSocket) {
    (UdpSocket::bind("0.0.0.0:0").unwrap(), UdpSocket::bind("127.0.0.1:0").unwrap())
}

fn sockets_ttl() -> (UdpSocket, UdpSocket) {
    let (a, b) = sockets();
    b.enable::<(IpPktInfo, IpTtl)>().unwrap();
    (a, b)
}

fn sockets_ecn() -> (UdpSocket, UdpSocket) {
    let (a, b) = sockets();
    b.enable::<(IpPktInfo, IpTos)>().unwrap();
    (a, b)
}

fn port_of(peer: Option<&SockAddr>) -> Option<u16> {
    peer.and_then(SockAddr::as_inet).map(|addr| addr.port())
}

fn plain_ours(times: u32) -> Duration {
    let mut control = ControlBuf::<()>::new();
    let send = |socket: &UdpSocket, to, data: &[u8]| {
        MsgHdr::new().to(to).data(data).send(socket).unwrap();
    };
    trip(times, None, sockets(), send, |socket, data| {
        let message = socket.recv_msg(data, &mut control).unwrap();
        Arrived { len: message.len(), port: port_of(message.peer()), to: None, value: None }
    })
}

fn ttl_ours(times: u32) -> Duration {
    let mut control = ControlBuf::<(IpPktInfo, IpTtl)>::new();
    let send = |socket: &UdpSocket, to, data: &[u8]| {
        MsgHdr::new().to(to).data(data).control((IpTtl(TTL), IpPktInfo::source(SOURCE))).send(socket).unwrap();
    };
    trip(times, Some(TTL), sockets_ttl(), send, |socket, data| {
        let message = socket.recv_msg(data, &mut control).unwrap();
        let (info, ttl) = message.extract();
        let (len, port) = (message.len(), port_of(message.peer()));
        Arrived { len, port, to: info.map(|info| info.addr), value: ttl.map(|ttl| ttl.0) }
    })
}

fn ecn_ours(times: u32) -> Duration {
    let mut control = ControlBuf::<(IpPktInfo, IpTos)>::new();
    let send = |socket: &UdpSocket, to, data: &[u8]| {
        MsgHdr::new().to(to).data(data).control((IpTos(ECT0), IpPktInfo::source(SOURCE))).send(socket).unwrap();
    };
    trip(times, Some(ECT0), sockets_ecn(), send, |socket, data| {
        let message = socket.recv_msg(data, &mut control).unwrap();
        let (info, class) = message.extract();
        let (len, port) = (message.len(), port_of(message.peer()));
        Arrived { len, port, to: info.map(|info| info.addr), value: class.map(|class| class.0) }
    })
}

/// Sends by hand: `build` writes the control messages, if any.
#[inline(always)]
fn send_libc(
    socket: &UdpSocket,
    to: SocketAddrV4,
    data: &[u8],
    build: impl Fn(&mut c::Aligned<56>, &mut nix::libc::msghdr),
) {
    let to = SockAddr::from(SocketAddr::V4(to));
    let (mut control, mut header, iov) = (c::Aligned([0; 56]), c::header(), c::iovec(data));
    c::to(&mut header, to.as_bytes());
    c::gather(&mut header, std::slice::from_ref(&iov));
    build(&mut control, &mut header);
    c::sendmsg(socket.as_fd(), &header);
}

/// Receives by hand: `parse` reads the control messages.
#[inline(always)]
fn receive_libc(
    socket: &UdpSocket,
    data: &mut [u8],
    room: &mut c::Aligned<256>,
    parse: impl Fn(&nix::libc::msghdr) -> (Option<in_pktinfo>, Option<u8>),
) -> Arrived {
    let mut name = c::Aligned([0; 16]);
    // SAFETY: the entry describes `data`.
    let (len, header) = unsafe { c::receive(socket.as_fd(), &mut [c::iovec_mut(data)], &mut room.0, &mut name.0) };
    let (info, value) = parse(&header);
    Arrived { len, port: Some(c::udp::port(&name.0)), to: info.map(destination), value }
}

fn destination(info: in_pktinfo) -> Ipv4Addr {
    info.ipi_addr.s_addr.to_ne_bytes().into()
}

fn plain_libc(times: u32) -> Duration {
    let mut room = c::Aligned([0; 256]);
    let send = |socket: &UdpSocket, to, data: &[u8]| send_libc(socket, to, data, |_, _| ());
    trip(times, None, sockets(), send, |socket, data| receive_libc(socket, data, &mut room, |_| (None, None)))
}

fn ttl_libc(times: u32) -> Duration {
    let mut room = c::Aligned([0; 256]);
    let send = |socket: &UdpSocket, to, data: &[u8]| {
        send_libc(socket, to, data, |control, header| assert!(c::build(control, header, TTL, None, SOURCE)));
    };
    trip(times, Some(TTL), sockets_ttl(), send, |socket, data| {
        receive_libc(socket, data, &mut room, |header| {
            let (info, ttl) = c::parse(header);
            (info, ttl.map(|ttl| ttl as u8))
        })
    })
}

fn ecn_libc(times: u32) -> Duration {
    let mut room = c::Aligned([0; 256]);
    let send = |socket: &UdpSocket, to, data: &[u8]| {
        send_libc(socket, to, data, |control, header| c::udp::build_class(control, header, ECT0, SOURCE));
    };
    trip(times, Some(ECT0), sockets_ecn(), send, |socket, data| {
        receive_libc(socket, data, &mut room, c::udp::parse_class)
    })
}

#[inline(always)]
fn send_nix(socket: &UdpSocket, to: SocketAddrV4, data: &[u8], control: &[ControlMessage<'_>]) {
    let (slices, flags, to) = ([IoSlice::new(data)], MsgFlags::MSG_NOSIGNAL, SockaddrIn::from(to));
    nix_socket::sendmsg(socket.as_raw_fd(), &slices, control, flags, Some(&to)).unwrap();
}

#[inline(always)]
fn receive_nix(socket: &UdpSocket, data: &mut [u8], room: &mut [u8]) -> Arrived {
    let (mut slices, flags) = ([IoSliceMut::new(data)], MsgFlags::MSG_CMSG_CLOEXEC);
    let message = nix_socket::recvmsg::<SockaddrIn>(socket.as_raw_fd(), &mut slices, Some(room), flags).unwrap();
    let mut arrived = Arrived { len: message.bytes, port: message.address.map(|a| a.port()), to: None, value: None };
    for message in message.cmsgs().unwrap() {
        match message {
            ControlMessageOwned::Ipv4PacketInfo(info) => arrived.to = Some(destination(info)),
            ControlMessageOwned::Ipv4Ttl(ttl) => arrived.value = Some(ttl as u8),
            ControlMessageOwned::Ipv4Tos(class) => arrived.value = Some(class),
            _ => {}
        }
    }
    arrived
}

fn source() -> in_pktinfo {
    let source = in_addr { s_addr: u32::from_ne_bytes(SOURCE.octets()) };
    in_pktinfo { ipi_ifindex: 0, ipi_spec_dst: source, ipi_addr: in_addr { s_addr: 0 } }
}

fn plain_nix(times: u32) -> Duration {
    let send = |socket: &UdpSocket, to, data: &[u8]| send_nix(socket, to, data, &[]);
    let mut room = [0; 256];
    trip(times, None, sockets(), send, |socket, data| receive_nix(socket, data, &mut room))
}

fn ttl_nix(times: u32) -> Duration {
    let send = |socket: &UdpSocket, to, data: &[u8]| {
        let control = [ControlMessage::Ipv4Ttl(&TTL.into()), ControlMessage::Ipv4PacketInfo(&source())];
        send_nix(socket, to, data, &control);
    };
    let mut room = [0; 256];
    trip(times, Some(TTL), sockets_ttl(), send, |socket, data| receive_nix(socket, data, &mut room))
}

fn ecn_nix(times: u32) -> Duration {
    let send = |socket: &UdpSocket, to, data: &[u8]| {
        let control = [ControlMessage::Ipv4Tos(&ECT0), ControlMessage::Ipv4PacketInfo(&source())];
        send_nix(socket, to, data, &control);
    };
    let mut room = [0; 256];
    trip(times, Some(ECT0), sockets_ecn(), send, |socket, data| receive_nix(socket, data, &mut room))
}

fn plain_rustix(times: u32) -> Duration {
    let send = |socket: &UdpSocket, to, data: &[u8]| {
        let mut none = SendAncillaryBuffer::default();
        rustix::net::sendmsg_addr(socket, &to, &[IoSlice::new(data)], &mut none, SendFlags::NOSIGNAL).unwrap();
    };
    let mut room = [MaybeUninit::uninit(); 256];
    trip(times, None, sockets(), send, |socket, data| {
        let (mut control, flags) = (RecvAncillaryBuffer::new(&mut room), RecvFlags::CMSG_CLOEXEC);
        let message = rustix::net::recvmsg(socket, &mut [IoSliceMut::new(data)], &mut control, flags).unwrap();
        let from: Option<SocketAddr> = message.address.and_then(|from| from.try_into().ok());
        Arrived { len: message.bytes, port: from.map(|from| from.port()), to: None, value: None }
    })
}

fn plain_std(times: u32) -> Duration {
    let send = |socket: &UdpSocket, to, data: &[u8]| {
        socket.send_to(data, SocketAddr::V4(to)).unwrap();
    };
    trip(times, None, sockets(), send, |socket, data| {
        let (len, from) = socket.recv_from(data).unwrap();
        Arrived { len, port: Some(from.port()), to: None, value: None }
    })
}

fn ecn_quinn(times: u32) -> Duration {
    let (a, b) = sockets();
    let sender = UdpSocketState::new(UdpSockRef::from(&a)).unwrap();
    let receiver = UdpSocketState::new(UdpSockRef::from(&b)).unwrap();
    let send = |socket: &UdpSocket, to, contents: &[u8]| {
        let (destination, ecn, src_ip) = (SocketAddr::V4(to), Some(EcnCodepoint::Ect0), Some(IpAddr::V4(SOURCE)));
        let transmit = Transmit { destination, ecn, contents, segment_size: None, src_ip };
        sender.try_send(socket.into(), &transmit).unwrap();
    };
    trip(times, Some(ECT0), (a, b), send, |socket, data| {
        let mut meta = [RecvMeta::default()];
        assert_eq!(receiver.recv(socket.into(), &mut [IoSliceMut::new(data)], &mut meta).unwrap(), 1);
        let [meta] = meta;
        let to = match meta.dst_ip {
            Some(IpAddr::V4(to)) => Some(to),
            _ => None,
        };
        Arrived { len: meta.len, port: Some(meta.addr.port()), to, value: meta.ecn.map(|ecn| ecn as u8) }
    })
}
