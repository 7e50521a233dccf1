//! Both together: many messages in one call, each of many segments.

use std::{
    hint::black_box,
    io::{IoSlice, IoSliceMut},
    net::{SocketAddr, SocketAddrV4, UdpSocket},
    os::fd::{AsFd, AsRawFd},
    time::Duration,
};

use ancillary::{
    ControlBuf, MsgHdr, SockAddr, SocketExt,
    batch::{RecvBatch, SendBatch},
    message::{UdpGro, UdpSegment},
};
use nix::sys::socket::{self as nix_socket, ControlMessage, ControlMessageOwned, MsgFlags, MultiHeaders, SockaddrIn};
use quinn_udp::{RecvMeta, Transmit, UdpSockRef, UdpSocketState};

use super::{SEGMENT, sockets, sockets_gro};
use crate::{
    c,
    questions::{Case, list, pattern, time},
};

const MESSAGES: usize = 8;
const SEGMENTS: usize = 8;
/// Bytes of each message.
const SIZE: usize = SEGMENTS * SEGMENT;
type Data = [[u8; SIZE]];

pub(super) fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    let mut add = |who, run: fn(u32) -> Duration| {
        let case = Case::new("offload", format!("{MESSAGES} messages of {SEGMENTS} segments"), who, run);
        cases.push(case.elements(MESSAGES * SEGMENTS).bytes(MESSAGES * SIZE));
    };
    add("libc", libc);
    add("ours", ours);
    add("nix", nix);
    add("quinn-udp", quinn);
    add("std, one by one", std_loop);
    add("ours, unbatched", ours_loop);
    cases
}

/// Bytes of a message that arrived, and of which size its segments are.
type Arrived<'a> = (&'a [u8], Option<usize>);

/// `receive` hands each message to a function and says how many came.
#[inline(always)]
fn trip(
    times: u32,
    (a, b): (UdpSocket, UdpSocket),
    mut send: impl FnMut(&UdpSocket, SocketAddrV4, &Data),
    mut receive: impl FnMut(&UdpSocket, &mut dyn FnMut(Arrived<'_>)) -> usize,
) -> Duration {
    let SocketAddr::V4(to) = b.local_addr().unwrap() else { panic!("an IPv4 socket") };
    let bytes = pattern(MESSAGES * SIZE);
    let data: Vec<[u8; SIZE]> = bytes.chunks(SIZE).map(|data| data.try_into().unwrap()).collect();
    let mut all = 0;
    send(&a, to, &data);
    while all < bytes.len() {
        receive(&b, &mut |(came, size)| {
            assert_eq!((came, size), (&bytes[all..][..came.len()], Some(SEGMENT)));
            all += came.len();
        });
    }
    time(times, || {
        send(&a, to, black_box(&data));
        let mut all = 0;
        while all < bytes.len() {
            let came = receive(&b, &mut |(came, size)| {
                assert_eq!(size, Some(SEGMENT));
                all += came.len();
            });
            assert!(came > 0);
        }
    })
}

fn ours(times: u32) -> Duration {
    let (mut room, mut arriving) = (SendBatch::new(MESSAGES), RecvBatch::<UdpGro>::new(MESSAGES, SIZE));
    let send = |socket: &UdpSocket, to, data: &Data| {
        let to = &SockAddr::from(SocketAddr::V4(to));
        let mut batch = room.begin();
        for data in data {
            batch.message().to(to).data(data).control(UdpSegment(SEGMENT as u16)).queue().unwrap();
        }
        assert_eq!(batch.send_all(socket).unwrap(), MESSAGES);
    };
    trip(times, sockets_gro(), send, |socket, each| {
        let messages = arriving.recv(socket).unwrap();
        let came = messages.len();
        messages.for_each(|message| each((message.data(), message.extract().map(UdpGro::size))));
        came
    })
}

fn ours_loop(times: u32) -> Duration {
    let (mut control, mut buffer) = (ControlBuf::<UdpGro>::new(), vec![0; SIZE]);
    let send = |socket: &UdpSocket, to, data: &Data| {
        let to = &SockAddr::from(SocketAddr::V4(to));
        for data in data {
            MsgHdr::new().to(to).data(data).control(UdpSegment(SEGMENT as u16)).send(socket).unwrap();
        }
    };
    trip(times, sockets_gro(), send, |socket, each| {
        let message = socket.recv_msg(&mut buffer, &mut control).unwrap();
        each((message.data(), message.extract().map(UdpGro::size)));
        1
    })
}

fn libc(times: u32) -> Duration {
    let mut headers = c::udp::Headers::new();
    let mut controls = [const { c::Aligned([0; 24]) }; MESSAGES];
    let mut room = Box::new(c::udp::Room::<SIZE>::new());
    let send = |socket: &UdpSocket, to, data: &Data| {
        let to = SockAddr::from(SocketAddr::V4(to));
        let sent = c::udp::send_batch(socket.as_fd(), to.as_bytes(), data, &mut headers, |n, header| {
            c::udp::build_segment(&mut controls[n], header, SEGMENT as u16);
        });
        assert_eq!(sent, MESSAGES);
    };
    trip(times, sockets_gro(), send, |socket, each| {
        let mut found = [(0, None); MESSAGES];
        let came = c::udp::receive_batch(socket.as_fd(), MESSAGES, &mut room, |n, len, _, header| {
            found[n] = (len, c::udp::parse_gro(header).map(|size| size as usize));
        });
        found[..came].iter().zip(&room.data).for_each(|((len, size), data)| each((&data[..*len], *size)));
        came
    })
}

fn nix(times: u32) -> Duration {
    let mut headers = MultiHeaders::<SockaddrIn>::preallocate(MESSAGES, Some(nix::cmsg_space!(u16)));
    let mut rooms = MultiHeaders::<SockaddrIn>::preallocate(MESSAGES, Some(nix::cmsg_space!(i32)));
    let mut buffers = vec![[0; SIZE]; MESSAGES];
    let send = |socket: &UdpSocket, to, data: &Data| {
        let to = list(data.iter().map(|_| Some(SockaddrIn::from(to))));
        let slices = list(data.iter().map(|data| [IoSlice::new(data)]));
        let (control, flags) = ([ControlMessage::UdpGsoSegments(&(SEGMENT as u16))], MsgFlags::MSG_NOSIGNAL);
        let sent = nix_socket::sendmmsg(socket.as_raw_fd(), &mut headers, slices.iter(), &to[..], control, flags);
        assert_eq!(sent.unwrap().count(), MESSAGES);
    };
    trip(times, sockets_gro(), send, |socket, each| {
        let mut slices = list(buffers.iter_mut().map(|data| [IoSliceMut::new(data)]));
        let (fd, flags, mut came) = (socket.as_raw_fd(), MsgFlags::MSG_DONTWAIT, 0);
        for message in nix_socket::recvmmsg(fd, &mut rooms, slices.iter_mut(), flags, None).unwrap() {
            let mut size = None;
            for message in message.cmsgs().unwrap() {
                if let ControlMessageOwned::UdpGroSegments(found) = message {
                    size = Some(found as usize);
                }
            }
            each((message.iovs().next().unwrap(), size));
            came += 1;
        }
        came
    })
}

/// Receives all in one call; it sends each message in its own.
fn quinn(times: u32) -> Duration {
    let (a, b) = sockets();
    let sender = UdpSocketState::new(UdpSockRef::from(&a)).unwrap();
    let receiver = UdpSocketState::new(UdpSockRef::from(&b)).unwrap();
    let (mut buffers, mut meta) = (vec![[0; SIZE]; MESSAGES], [RecvMeta::default(); MESSAGES]);
    let send = |socket: &UdpSocket, to, data: &Data| {
        for contents in data {
            let (destination, segment_size) = (SocketAddr::V4(to), Some(SEGMENT));
            let transmit = Transmit { destination, ecn: None, contents, segment_size, src_ip: None };
            sender.try_send(socket.into(), &transmit).unwrap();
        }
    };
    trip(times, (a, b), send, |socket, each| {
        let mut slices = list(buffers.iter_mut().map(|data| IoSliceMut::new(data)));
        let came = receiver.recv(socket.into(), &mut slices, &mut meta).unwrap();
        meta[..came].iter().zip(&buffers).for_each(|(meta, data)| each((&data[..meta.len], Some(meta.stride))));
        came
    })
}

fn std_loop(times: u32) -> Duration {
    let mut buffer = [0; SEGMENT];
    let send = |socket: &UdpSocket, to, data: &Data| {
        for segment in data.iter().flat_map(|data| data.chunks(SEGMENT)) {
            socket.send_to(segment, SocketAddr::V4(to)).unwrap();
        }
    };
    trip(times, sockets(), send, |socket, each| {
        let (len, _) = socket.recv_from(&mut buffer).unwrap();
        each((&buffer[..len], Some(len)));
        1
    })
}
