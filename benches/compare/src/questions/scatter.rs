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

use super::{Case, List, list, pattern, time};
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
            add("ours, slices", ours_slices);
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

/// The list that most libraries want.
#[inline(always)]
fn slices(data: &mut [u8], piece: usize) -> List<IoSliceMut<'_>> {
    list(data.chunks_mut(piece).map(IoSliceMut::new))
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

fn ours_slices(total: usize, count: usize, times: u32) -> Duration {
    let mut control = ControlBuf::<()>::new();
    trip(total, count, times, |socket, data, piece| {
        let mut slices = slices(data, piece);
        MsgHdrMut::new().slices(&mut slices).recv(socket, &mut control).unwrap().len()
    })
}

fn libc(total: usize, count: usize, times: u32) -> Duration {
    let (mut control, mut name) = (c::Aligned([0; 256]), c::Aligned([0; 128]));
    trip(total, count, times, |socket, data, piece| {
        let mut iov = list(data.chunks_mut(piece).map(c::iovec_mut));
        // SAFETY: the entries describe distinct pieces of `data`.
        unsafe { c::receive(socket.as_fd(), &mut iov, &mut control.0, &mut name.0) }.0
    })
}

fn nix(total: usize, count: usize, times: u32) -> Duration {
    let mut control = [0; 256];
    trip(total, count, times, |socket, data, piece| {
        let (mut slices, flags) = (slices(data, piece), MsgFlags::MSG_CMSG_CLOEXEC);
        nix_socket::recvmsg::<UnixAddr>(socket.as_raw_fd(), &mut slices, Some(&mut control), flags).unwrap().bytes
    })
}

fn rustix(total: usize, count: usize, times: u32) -> Duration {
    let mut room = [std::mem::MaybeUninit::uninit(); 256];
    trip(total, count, times, |socket, data, piece| {
        let mut slices = slices(data, piece);
        let mut control = RecvAncillaryBuffer::new(&mut room);
        rustix::net::recvmsg(socket, &mut slices, &mut control, RecvFlags::CMSG_CLOEXEC).unwrap().bytes
    })
}

fn socket2(total: usize, count: usize, times: u32) -> Duration {
    trip(total, count, times, |socket, data, piece| {
        let mut slices = slices(data, piece);
        (&*SockRef::from(socket)).read_vectored(&mut slices).unwrap()
    })
}
