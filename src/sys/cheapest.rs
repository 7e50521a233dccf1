//! The cheapest call for what a message holds.

use std::{
    io::{self, IoSlice},
    mem::MaybeUninit,
    os::fd::{AsFd, AsRawFd, BorrowedFd},
    ptr,
};

use nix::libc::{self, c_int};

use super::{
    MAX_SLICES, MSG_ZEROCOPY, SockAddr,
    io::{retried, sendmsg},
};

/// The most bytes that are copied into one buffer: as much of the stack it takes.
const COPIED: usize = 16384;

/// The most bytes of a piece, on average: beyond, a copy costs as much as the kernel's work on one more slice (`benches/report
/// threshold`).
const PIECE: usize = 1024;

/// With control messages the call stays sendmsg(2), and less is won.
const PIECE_BESIDE_CONTROL: usize = 512;
const PIECES_BESIDE_CONTROL: usize = 4;

/// Sends a message: by sendto(2) if it is one buffer, with small pieces copied into one, else by sendmsg(2). What goes is
/// the same.
#[inline(always)]
pub(crate) fn send(
    socket: &(impl AsFd + ?Sized),
    name: Option<&SockAddr>,
    slices: &[IoSlice<'_>],
    control: &[u8],
    flags: c_int,
) -> io::Result<usize> {
    match slices {
        [data] if control.is_empty() => sendto(socket.as_fd(), name, data, flags),
        [_, _, ..] if are_small(slices, control, flags) => send_copied(socket.as_fd(), name, slices, control, flags),
        _ => sendmsg(socket, name, slices, control, flags),
    }
}

/// Whether to copy them is faster.
#[inline(always)]
fn are_small(slices: &[IoSlice<'_>], control: &[u8], flags: c_int) -> bool {
    let (fewest, piece) = if control.is_empty() { (2, PIECE) } else { (PIECES_BESIDE_CONTROL, PIECE_BESIDE_CONTROL) };
    // With MSG_ZEROCOPY the kernel reads the caller's memory when the call has long returned: a copy on the stack is none.
    if slices.len() < fewest || slices.len() > MAX_SLICES || flags & MSG_ZEROCOPY != 0 {
        return false;
    }
    let most = COPIED.min(slices.len() * piece);
    let mut total = 0;
    for slice in slices {
        // A slice has `isize::MAX` bytes at most, and `most` is small.
        total += slice.len();
        if total > most {
            return false;
        }
    }
    true
}

/// As [`sendmsg`], with the slices copied into one buffer.
#[inline(never)]
fn send_copied(
    socket: BorrowedFd<'_>,
    name: Option<&SockAddr>,
    slices: &[IoSlice<'_>],
    control: &[u8],
    flags: c_int,
) -> io::Result<usize> {
    let mut copy = [const { MaybeUninit::<u8>::uninit() }; COPIED];
    let mut len = 0;
    for slice in slices {
        let to = &mut copy[len..len + slice.len()];
        // SAFETY: 1. the source is a slice; 2. the destination has its length; 3. it is this function's own.
        unsafe { ptr::copy_nonoverlapping(slice.as_ptr(), to.as_mut_ptr().cast(), slice.len()) };
        len += slice.len();
    }
    // SAFETY: the loop has written the first `len` bytes, without a gap.
    let data = unsafe { std::slice::from_raw_parts(copy.as_ptr().cast(), len) };
    if control.is_empty() {
        return sendto(socket, name, data, flags);
    }
    sendmsg(&socket, name, &[IoSlice::new(data)], control, flags)
}

/// sendto(2), retried when a signal interrupts it.
#[inline(always)]
fn sendto(socket: BorrowedFd<'_>, name: Option<&SockAddr>, data: &[u8], flags: c_int) -> io::Result<usize> {
    let (name, namelen) = name.map_or((ptr::null(), 0), |name| (name.as_ptr().cast(), name.len()));
    retried(|| {
        // SAFETY: 1. the descriptor is borrowed, hence open; 2. the pointers and lengths come from references that outlive
        // the call, and sendto only reads through them.
        unsafe {
            libc::sendto(socket.as_raw_fd(), data.as_ptr().cast(), data.len(), flags, name, namelen as libc::socklen_t)
        }
    })
}
