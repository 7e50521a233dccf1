//! Gathering: one datagram of several slices, over a pair of sockets.

use std::{
    hint::black_box,
    io::IoSlice,
    os::{
        fd::{AsFd, AsRawFd},
        unix::net::UnixDatagram,
    },
    time::Duration,
};

use ancillary::MsgHdr;
use nix::sys::socket::{self as nix_socket, MsgFlags};
use rustix::net::{SendAncillaryBuffer, SendFlags};
use socket2::SockRef;

use super::{Case, List, list, pattern, time};
use crate::c;

pub(super) fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for total in [64, 4096, 65536] {
        for count in [1, 4, 16, 64] {
            let mut add = |who, run: fn(usize, usize, u32) -> Duration| {
                let case =
                    Case::new("gather", format!("{total} B in {count}"), who, move |times| run(total, count, times));
                cases.push(case.bytes(total));
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

#[inline(always)]
fn trip(total: usize, count: usize, times: u32, send: impl Fn(&UnixDatagram, &[&[u8]]) -> usize) -> Duration {
    let (a, b) = UnixDatagram::pair().unwrap();
    let (data, mut arrived) = (pattern(total), vec![0; total + 1]);
    let pieces: Vec<&[u8]> = data.chunks(total / count).collect();
    assert_eq!(pieces.len(), count);
    assert_eq!((send(&a, &pieces), b.recv(&mut arrived).unwrap()), (total, total));
    assert_eq!(arrived[..total], data);
    time(times, || {
        assert_eq!(send(&a, black_box(&pieces)), total);
        assert_eq!(b.recv(&mut arrived).unwrap(), total);
    })
}

/// The list that most libraries want.
#[inline(always)]
fn slices<'a>(pieces: &[&'a [u8]]) -> List<IoSlice<'a>> {
    list(pieces.iter().map(|piece| IoSlice::new(piece)))
}

fn ours(total: usize, count: usize, times: u32) -> Duration {
    trip(total, count, times, |socket, pieces| {
        let mut message = MsgHdr::new();
        for piece in pieces {
            message.data(piece);
        }
        message.send(socket).unwrap()
    })
}

fn ours_slices(total: usize, count: usize, times: u32) -> Duration {
    trip(total, count, times, |socket, pieces| MsgHdr::new().slices(&slices(pieces)).send(socket).unwrap())
}

fn libc(total: usize, count: usize, times: u32) -> Duration {
    trip(total, count, times, |socket, pieces| {
        let iov = list(pieces.iter().map(|piece| c::iovec(piece)));
        c::send(socket.as_fd(), &iov, &[])
    })
}

fn nix(total: usize, count: usize, times: u32) -> Duration {
    trip(total, count, times, |socket, pieces| {
        let slices = &slices(pieces);
        nix_socket::sendmsg::<()>(socket.as_raw_fd(), slices, &[], MsgFlags::MSG_NOSIGNAL, None).unwrap()
    })
}

fn rustix(total: usize, count: usize, times: u32) -> Duration {
    trip(total, count, times, |socket, pieces| {
        let (slices, mut control) = (&slices(pieces), SendAncillaryBuffer::default());
        rustix::net::sendmsg(socket, slices, &mut control, SendFlags::NOSIGNAL).unwrap()
    })
}

fn socket2(total: usize, count: usize, times: u32) -> Duration {
    trip(total, count, times, |socket, pieces| SockRef::from(socket).send_vectored(&slices(pieces)).unwrap())
}
