//! The only room with `unsafe`: system calls, uninitialised storage, ownership of descriptors.
//!
//! It knows the layout of a header and which messages carry descriptors, and no other protocol.

#![allow(unsafe_code)]
// The widths of C fields differ between systems.
#![allow(clippy::unnecessary_cast)]

mod array;
mod cheapest;
mod inbox;
mod io;
mod mmsg;
mod name;
mod out_batch;
mod outbox;
#[cfg(linux_like)]
mod pinned;
mod side_by_side;
mod slices;

pub(crate) use cheapest::send;
#[cfg(feature = "bytes")]
pub(crate) use inbox::recv_buf_mut;
pub(crate) use inbox::{Arrival, FdCursor, HeapStorage, InBatch, InMessages, Inbox, InboxMut, InlineStorage, Recv};
#[cfg(linux_like)]
pub(crate) use inbox::{CONTROL_AT, Out, Provided, RecvPinned, Template};
#[cfg(feature = "tokio")]
pub(crate) use io::is_nonblocking;
pub(crate) use io::{domain, ends_stream, is_stream, is_whole_record, set_int_option, takes_parts, with_msghdr};
#[cfg(linux_like)]
pub(crate) use io::{int_option, option_bytes, sendmsg, set_option_bytes};
pub use name::SockAddr;
pub(crate) use name::{FAMILY_AT, FAMILY_LEN};
pub(crate) use out_batch::{OutBatch, OutSession, QueueError, Slot, rest_of};
pub(crate) use outbox::{ByteRoom, ByteSink, InlineBytes, Outbox};
#[cfg(linux_like)]
pub(crate) use pinned::{F_MORE, SendPinned};
pub(crate) use side_by_side::numbers;
pub(crate) use slices::{INLINE_SLICES, InlineSlices, IoSlices, IoSlicesMut, SharedSlices, SliceRoom, total};

use nix::libc::{self, c_int};

/// Bytes from the start of a header to its payload (`CMSG_LEN(0)`).
// SAFETY: CMSG_LEN is arithmetic on its argument; it is `unsafe` only because libc declares it so.
pub(crate) const HEADER: usize = unsafe { libc::CMSG_LEN(0) } as usize;

// SAFETY: CMSG_SPACE is arithmetic on its argument; it is `unsafe` only because libc declares it so.
const SPACE_1: usize = unsafe { libc::CMSG_SPACE(1) } as usize;

/// To what headers and payloads are padded.
pub(crate) const ALIGN: usize = SPACE_1 - HEADER;

/// The largest total length (`socklen_t` that stays positive as an int).
pub(crate) const MAX_LEN: usize = i32::MAX as usize;

/// `SCM_MAX_FD` of the Linux kernel (include/net/scm.h; 255 before 2.6.38).
pub(crate) const MAX_FDS: usize = 253;

/// The most slices the kernel takes in one call (`UIO_MAXIOV`, `IOV_MAX`).
pub(crate) const MAX_SLICES: usize = 1024;

// NetBSD and OpenBSD have it; nix's libc lacks it on some targets.
#[cfg(not(apple))]
pub(crate) const MSG_CMSG_CLOEXEC: c_int = {
    #[cfg(not(solarish))]
    {
        libc::MSG_CMSG_CLOEXEC
    }
    #[cfg(solarish)]
    {
        0x1000
    }
};
#[cfg(apple)]
pub(crate) const MSG_CMSG_CLOEXEC: c_int = 0;

/// include/linux/socket.h; libc lacks it on Android. No flag elsewhere.
pub(crate) const MSG_ZEROCOPY: c_int = if cfg!(linux_like) { 0x0400_0000 } else { 0 };

/// The type of `cmsg_len` as the kernel reads it: Linux a `size_t` whatever the C library declares (musl splits it
/// into a length and a pad), the others a `socklen_t`.
#[cfg(linux_like)]
pub(crate) type CmsgLen = usize;
#[cfg(not(linux_like))]
pub(crate) type CmsgLen = u32;

/// Where `cmsg_level` stands; `cmsg_type` follows it.
pub(crate) const LEVEL_AT: usize = size_of::<CmsgLen>();
const TYPE_AT: usize = LEVEL_AT + size_of::<c_int>();

const _: () = assert!(ALIGN.is_power_of_two() && HEADER % ALIGN == 0);
const _: () = assert!(TYPE_AT + size_of::<c_int>() <= HEADER);
const _: () = assert!(TYPE_AT == std::mem::offset_of!(libc::cmsghdr, cmsg_type));
const _: () = assert!(LEVEL_AT == std::mem::offset_of!(libc::cmsghdr, cmsg_level));

/// The next multiple of [`ALIGN`]; `n` is at most `isize::MAX`, the length of a slice.
#[inline(always)]
pub(crate) const fn align_up(n: usize) -> usize {
    (n + ALIGN - 1) & !(ALIGN - 1)
}
