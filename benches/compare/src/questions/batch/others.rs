//! The other libraries.

use std::{
    io::{IoSlice, IoSliceMut},
    mem::MaybeUninit,
    net::{IpAddr, SocketAddr, SocketAddrV4, UdpSocket},
    os::fd::AsRawFd,
    time::Duration,
};

use nix::{
    libc::in_pktinfo,
    sys::socket::{self as nix_socket, ControlMessageOwned, MsgFlags, MultiHeaders, SockaddrIn},
};
use quinn_udp::{RecvMeta, Transmit, UdpSockRef, UdpSocketState};
use rustix::net::{MMsgHdr, RecvAncillaryBuffer, RecvFlags, SendAncillaryBuffer, SendFlags, SocketAddrAny};

use super::{Data, SIZE, destination, sockets, sockets_info, trip};
use crate::{c::udp::BATCH, questions::list};

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

pub(super) fn nix(count: usize, times: u32) -> Duration {
    batch_nix(count, times, sockets(), None)
}

pub(super) fn nix_info(count: usize, times: u32) -> Duration {
    batch_nix(count, times, sockets_info(), Some(nix::cmsg_space!(in_pktinfo)))
}

/// Sends by sendmmsg; it has no recvmmsg.
pub(super) fn rustix(count: usize, times: u32) -> Duration {
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

pub(super) fn std_loop(count: usize, times: u32) -> Duration {
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
pub(super) fn quinn_info(count: usize, times: u32) -> Duration {
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
