//! Many datagrams of one size in one buffer (GSO, GRO), against one call for each.

mod batched;

use std::{
    hint::black_box,
    io::{IoSlice, IoSliceMut},
    net::{SocketAddr, SocketAddrV4, UdpSocket},
    os::fd::{AsFd, AsRawFd},
    time::Duration,
};

use ancillary::{
    ControlBuf, MsgHdr, SockAddr, SocketExt,
    message::{UdpGro, UdpSegment},
};
use nix::sys::socket::{self as nix_socket, ControlMessage, ControlMessageOwned, MsgFlags, SockaddrIn};
use quinn_udp::{RecvMeta, Transmit, UdpSockRef, UdpSocketState};

use super::{Case, pattern, time};
use crate::c;

const SEGMENT: usize = 1200;

pub(super) fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for count in [2, 8, 32] {
        let mut add = |who, run: fn(usize, u32) -> Duration| {
            let shape = format!("{count} segments of {SEGMENT} B");
            let case = Case::new("offload", shape, who, move |times| run(count, times));
            cases.push(case.elements(count).bytes(count * SEGMENT));
        };
        add("libc", libc);
        add("ours", ours);
        add("nix", nix);
        add("quinn-udp", quinn);
        add("std, one by one", std_loop);
    }
    cases.extend(batched::cases());
    cases
}

/// `receive` says how many bytes arrived, and of which size the segments are.
#[inline(always)]
fn trip(
    count: usize,
    times: u32,
    (a, b): (UdpSocket, UdpSocket),
    mut send: impl FnMut(&UdpSocket, SocketAddrV4, &[u8]),
    mut receive: impl FnMut(&UdpSocket, &mut [u8]) -> (usize, Option<usize>),
) -> Duration {
    let SocketAddr::V4(to) = b.local_addr().unwrap() else { panic!("an IPv4 socket") };
    let (data, mut arrived) = (pattern(count * SEGMENT), vec![0; 65536]);
    send(&a, to, &data);
    assert_eq!(receive(&b, &mut arrived), (data.len(), Some(SEGMENT)));
    assert_eq!(arrived[..data.len()], data);
    time(times, || {
        send(&a, to, black_box(&data));
        assert_eq!(receive(&b, black_box(&mut arrived)), (data.len(), Some(SEGMENT)));
    })
}

fn sockets() -> (UdpSocket, UdpSocket) {
    (UdpSocket::bind("127.0.0.1:0").unwrap(), UdpSocket::bind("127.0.0.1:0").unwrap())
}

fn sockets_gro() -> (UdpSocket, UdpSocket) {
    let (a, b) = sockets();
    b.enable::<UdpGro>().unwrap();
    (a, b)
}

fn ours(count: usize, times: u32) -> Duration {
    let mut control = ControlBuf::<UdpGro>::new();
    let send = |socket: &UdpSocket, to, data: &[u8]| {
        MsgHdr::new().to(to).data(data).control(UdpSegment(SEGMENT as u16)).send(socket).unwrap();
    };
    trip(count, times, sockets_gro(), send, |socket, data| {
        let message = socket.recv_msg(data, &mut control).unwrap();
        (message.len(), message.extract().map(UdpGro::size))
    })
}

fn libc(count: usize, times: u32) -> Duration {
    let mut room = c::Aligned([0; 256]);
    let send = |socket: &UdpSocket, to, data: &[u8]| {
        let to = SockAddr::from(SocketAddr::V4(to));
        let (mut control, mut header, iov) = (c::Aligned([0; 24]), c::header(), c::iovec(data));
        c::to(&mut header, to.as_bytes());
        c::gather(&mut header, std::slice::from_ref(&iov));
        c::udp::build_segment(&mut control, &mut header, SEGMENT as u16);
        c::sendmsg(socket.as_fd(), &header);
    };
    trip(count, times, sockets_gro(), send, |socket, data| {
        let mut name = c::Aligned([0; 16]);
        // SAFETY: the entry describes `data`.
        let (len, header) = unsafe { c::receive(socket.as_fd(), &mut [c::iovec_mut(data)], &mut room.0, &mut name.0) };
        (len, c::udp::parse_gro(&header).map(|size| size as usize))
    })
}

fn nix(count: usize, times: u32) -> Duration {
    let mut room = [0; 256];
    let send = |socket: &UdpSocket, to: SocketAddrV4, data: &[u8]| {
        let (slices, to) = ([IoSlice::new(data)], SockaddrIn::from(to));
        let control = [ControlMessage::UdpGsoSegments(&(SEGMENT as u16))];
        nix_socket::sendmsg(socket.as_raw_fd(), &slices, &control, MsgFlags::MSG_NOSIGNAL, Some(&to)).unwrap();
    };
    trip(count, times, sockets_gro(), send, |socket, data| {
        let (mut slices, flags) = ([IoSliceMut::new(data)], MsgFlags::MSG_CMSG_CLOEXEC);
        let message =
            nix_socket::recvmsg::<SockaddrIn>(socket.as_raw_fd(), &mut slices, Some(&mut room), flags).unwrap();
        let mut size = None;
        for message in message.cmsgs().unwrap() {
            if let ControlMessageOwned::UdpGroSegments(found) = message {
                size = Some(found as usize);
            }
        }
        (message.bytes, size)
    })
}

fn quinn(count: usize, times: u32) -> Duration {
    let (a, b) = sockets();
    let sender = UdpSocketState::new(UdpSockRef::from(&a)).unwrap();
    let receiver = UdpSocketState::new(UdpSockRef::from(&b)).unwrap();
    let send = |socket: &UdpSocket, to, contents: &[u8]| {
        let (destination, segment_size) = (SocketAddr::V4(to), Some(SEGMENT));
        let transmit = Transmit { destination, ecn: None, contents, segment_size, src_ip: None };
        sender.try_send(socket.into(), &transmit).unwrap();
    };
    trip(count, times, (a, b), send, |socket, data| {
        let mut meta = [RecvMeta::default()];
        assert_eq!(receiver.recv(socket.into(), &mut [IoSliceMut::new(data)], &mut meta).unwrap(), 1);
        (meta[0].len, Some(meta[0].stride))
    })
}

/// What it costs without offload.
fn std_loop(count: usize, times: u32) -> Duration {
    let send = |socket: &UdpSocket, to, data: &[u8]| {
        for segment in data.chunks(SEGMENT) {
            socket.send_to(segment, SocketAddr::V4(to)).unwrap();
        }
    };
    trip(count, times, sockets(), send, |socket, data| {
        let (mut len, mut size) = (0, None);
        for segment in data[..count * SEGMENT].chunks_mut(SEGMENT) {
            let (came, _) = socket.recv_from(segment).unwrap();
            len += came;
            size = Some(came);
        }
        (len, size)
    })
}
