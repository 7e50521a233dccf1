//! Many small pieces: a list of slices, or one copy into a buffer that is kept?

use std::{
    hint::black_box,
    os::{fd::AsFd, unix::net::UnixDatagram},
    time::Duration,
};

use ancillary::MsgHdr;

use super::{Case, list, pattern, time};
use crate::c;

pub(super) fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for (count, size) in [(16, 16), (64, 16), (16, 256), (64, 256), (16, 1024), (64, 1024)] {
        let mut add = |who, run: fn(usize, usize, u32) -> Duration| {
            let shape = format!("{count} pieces of {size} B");
            cases.push(
                Case::new("copy_or_gather", shape, who, move |times| run(count, size, times)).bytes(count * size),
            );
        };
        add("libc", libc);
        add("libc, copied", libc_copied);
        add("libc, copied, send", libc_sent);
        add("ours", ours);
        add("ours, copied", ours_copied);
    }
    cases
}

/// So many pieces of this size: gathered, and copied.
pub(crate) fn pair(count: usize, size: usize) -> Vec<Case> {
    let case = |who, run: fn(usize, usize, u32) -> Duration| {
        Case::new("threshold", format!("{count} of {size}"), who, move |times| run(count, size, times))
    };
    vec![case("libc", libc), case("libc, copied", libc_copied)]
}

#[inline(always)]
fn trip(count: usize, size: usize, times: u32, mut send: impl FnMut(&UnixDatagram, &[Vec<u8>]) -> usize) -> Duration {
    let (a, b) = UnixDatagram::pair().unwrap();
    let (data, mut arrived, total) = (pattern(count * size), vec![0; count * size + 1], count * size);
    let pieces: Vec<Vec<u8>> = data.chunks(size).map(Vec::from).collect();
    assert_eq!((send(&a, &pieces), b.recv(&mut arrived).unwrap()), (total, total));
    assert_eq!(arrived[..total], data);
    time(times, || {
        assert_eq!(send(&a, black_box(&pieces)), total);
        assert_eq!(b.recv(&mut arrived).unwrap(), total);
    })
}

/// All pieces, in a buffer that is kept.
#[inline(always)]
fn copy<'a>(pieces: &[Vec<u8>], buffer: &'a mut Vec<u8>) -> &'a [u8] {
    buffer.clear();
    for piece in pieces {
        buffer.extend_from_slice(piece);
    }
    buffer
}

fn ours(count: usize, size: usize, times: u32) -> Duration {
    trip(count, size, times, |socket, pieces| {
        let mut message = MsgHdr::new();
        for piece in pieces {
            message.data(piece);
        }
        message.send(socket).unwrap()
    })
}

fn ours_copied(count: usize, size: usize, times: u32) -> Duration {
    let mut buffer = Vec::new();
    trip(count, size, times, |socket, pieces| MsgHdr::new().data(copy(pieces, &mut buffer)).send(socket).unwrap())
}

fn libc(count: usize, size: usize, times: u32) -> Duration {
    trip(count, size, times, |socket, pieces| {
        let iov = list(pieces.iter().map(|piece| c::iovec(piece)));
        c::send(socket.as_fd(), &iov, &[])
    })
}

fn libc_copied(count: usize, size: usize, times: u32) -> Duration {
    let mut buffer = Vec::new();
    trip(count, size, times, |socket, pieces| c::send(socket.as_fd(), &[c::iovec(copy(pieces, &mut buffer))], &[]))
}

/// By send(2) instead of sendmsg(2).
fn libc_sent(count: usize, size: usize, times: u32) -> Duration {
    let mut buffer = Vec::new();
    trip(count, size, times, |socket, pieces| c::plain::send(socket.as_fd(), copy(pieces, &mut buffer), &[]))
}
