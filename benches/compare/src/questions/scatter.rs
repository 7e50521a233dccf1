//! Scattering: one datagram into several slices, over a pair of sockets. The list of slices is made for each message.

use std::{
    hint::black_box,
    io::{IoSliceMut, Read},
    os::{
        fd::{AsFd, AsRawFd},
        unix::net::UnixDatagram,
    },
    time::Duration,
};

use ancillary::{ControlBuf, MsgHdrMut};
use nix::sys::socket::{self as nix_socket, MsgFlags, UnixAddr};
use rustix::net::{RecvAncillaryBuffer, RecvFlags};
use socket2::SockRef;

use super::{Case, pattern, time};
use crate::c;

pub(super) fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for total in [64, 4096, 65536] {
        for count in [1, 4, 16, 64] {
            let mut add = |who, run: fn(usize, usize, u32) -> Duration| {
                let shape = format!("{total} B in {count}");
                cases.push(Case::new("scatter", shape, who, move |times| run(total, count, times)).bytes(total));
            };
            add("libc", libc);
            add("ours", ours);
            add("nix", nix);
            add("rustix", rustix);
            add("socket2", socket2);
        }
    }
    cases
}

/// `receive` fills the buffer in pieces of so many bytes.
#[inline(always)]
fn trip(
    total: usize,
    count: usize,
    times: u32,
    mut receive: impl FnMut(&UnixDatagram, &mut [u8], usize) -> usize,
) -> Duration {
    let (a, b) = UnixDatagram::pair().unwrap();
    let (data, mut arrived, piece) = (pattern(total), vec![0; total], total / count);
    assert_eq!((a.send(&data).unwrap(), receive(&b, &mut arrived, piece)), (total, total));
    assert_eq!(arrived, data);
    time(times, || {
        assert_eq!(a.send(&data).unwrap(), total);
        assert_eq!(receive(&b, black_box(&mut arrived), piece), total);
    })
}

/// The list that most libraries want: how many, and they.
#[inline(always)]
fn slices(data: &mut [u8], piece: usize) -> (usize, [IoSliceMut<'_>; 64]) {
    let mut pieces = data.chunks_mut(piece);
    let count = pieces.len();
    (count, std::array::from_fn(|_| IoSliceMut::new(pieces.next().unwrap_or_default())))
}

fn ours(total: usize, count: usize, times: u32) -> Duration {
    let mut control = ControlBuf::<()>::new();
    trip(total, count, times, |socket, data, piece| {
        let mut header = MsgHdrMut::new();
        for piece in data.chunks_mut(piece) {
            header.data(piece);
        }
        header.recv(socket, &mut control).unwrap().len()
    })
}

fn libc(total: usize, count: usize, times: u32) -> Duration {
    let (mut control, mut name) = (c::Aligned([0; 256]), c::Aligned([0; 128]));
    // The closure owns them, so that each run of a case has its own.
    trip(total, count, times, move |socket, data, piece| {
        let (pieces, mut iov) = (data.chunks_mut(piece), [c::iovec(&[]); 64]);
        let count = pieces.len();
        for (entry, piece) in iov.iter_mut().zip(pieces) {
            *entry = c::iovec_mut(piece);
        }
        // SAFETY: the entries describe distinct pieces of `data`.
        unsafe { c::receive(socket.as_fd(), &mut iov[..count], &mut control.0, &mut name.0) }.0
    })
}

fn nix(total: usize, count: usize, times: u32) -> Duration {
    let mut control = [0; 256];
    trip(total, count, times, |socket, data, piece| {
        let (count, mut slices) = slices(data, piece);
        let (slices, flags) = (&mut slices[..count], MsgFlags::MSG_CMSG_CLOEXEC);
        nix_socket::recvmsg::<UnixAddr>(socket.as_raw_fd(), slices, Some(&mut control), flags).unwrap().bytes
    })
}

fn rustix(total: usize, count: usize, times: u32) -> Duration {
    let mut room = [std::mem::MaybeUninit::uninit(); 256];
    trip(total, count, times, |socket, data, piece| {
        let (count, mut slices) = slices(data, piece);
        let mut control = RecvAncillaryBuffer::new(&mut room);
        rustix::net::recvmsg(socket, &mut slices[..count], &mut control, RecvFlags::CMSG_CLOEXEC).unwrap().bytes
    })
}

fn socket2(total: usize, count: usize, times: u32) -> Duration {
    trip(total, count, times, |socket, data, piece| {
        let (count, mut slices) = slices(data, piece);
        (&*SockRef::from(socket)).read_vectored(&mut slices[..count]).unwrap()
    })
}
