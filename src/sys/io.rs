//! The calls that send, and socket options.

use std::{
    io::{self, IoSlice},
    os::fd::{AsFd, AsRawFd, BorrowedFd},
    ptr,
};

use nix::libc::{self, c_int};

use super::SockAddr;

/// A `msghdr` of these fields. With glibc all there are, and nothing is written twice; elsewhere every other byte is zero,
/// the pads that musl adds included.
macro_rules! msghdr {
    ($($field:ident: $value:expr),+ $(,)?) => {{
        #[cfg(all(target_os = "linux", target_env = "gnu"))]
        {
            nix::libc::msghdr { $($field: $value,)+ msg_flags: 0 }
        }
        #[cfg(not(all(target_os = "linux", target_env = "gnu")))]
        {
            let mut header = $crate::sys::io::zeroed_msghdr();
            $(header.$field = $value;)+
            header
        }
    }};
}
pub(super) use msghdr;

#[inline(always)]
pub(super) const fn zeroed_msghdr() -> libc::msghdr {
    // SAFETY: msghdr is integers and raw pointers; all zero is a value of each.
    unsafe { std::mem::MaybeUninit::zeroed().assume_init() }
}

/// Builds the header in the C layout and hands it to `f`; it is valid during that call alone.
#[inline(always)]
pub(crate) fn with_msghdr<R>(
    name: Option<&SockAddr>,
    slices: &[IoSlice<'_>],
    control: &[u8],
    f: impl FnOnce(&libc::msghdr) -> R,
) -> R {
    let (name, namelen) = name.map_or((ptr::null_mut(), 0), |name| (name.as_ptr().cast_mut(), name.len()));
    let control_at = if control.is_empty() { ptr::null_mut() } else { control.as_ptr().cast_mut().cast() };
    f(&msghdr! {
        msg_name: name,
        msg_namelen: namelen as libc::socklen_t,
        msg_iov: slices.as_ptr().cast::<libc::iovec>().cast_mut(),
        msg_iovlen: slices.len() as _,
        msg_control: control_at,
        msg_controllen: control.len() as _,
    })
}

#[cfg(not(all(any(target_env = "musl", target_env = "ohos"), target_pointer_width = "64")))]
pub(super) use libc::sendmsg as raw_sendmsg;

/// musl copies the control data to clear the pads in it, which are clear here, and has room for 1,024 bytes: 252
/// descriptors. The system call itself takes what Linux takes.
///
/// # Safety
///
/// * as sendmsg(2), and the pads of the header and of its control messages are zero
#[cfg(all(any(target_env = "musl", target_env = "ohos"), target_pointer_width = "64"))]
#[inline(always)]
pub(super) unsafe fn raw_sendmsg(socket: c_int, header: *const libc::msghdr, flags: c_int) -> isize {
    // SAFETY: the caller's promise; the arguments have the system call's types.
    unsafe { libc::syscall(libc::SYS_sendmsg, socket, header, flags) as isize }
}

/// sendmsg(2), retried when a signal interrupts it.
///
/// `as_fd` may be a call that the compiler cannot look into (those of the standard library's sockets are): it comes
/// last, so that what is known of the message until there needs no second look.
#[inline(always)]
pub(crate) fn sendmsg(
    socket: &(impl AsFd + ?Sized),
    name: Option<&SockAddr>,
    slices: &[IoSlice<'_>],
    control: &[u8],
    flags: c_int,
) -> io::Result<usize> {
    with_msghdr(name, slices, control, |header| {
        let socket = socket.as_fd();
        retried(|| {
            // SAFETY: 1. the descriptor is borrowed, hence open; 2. the header's pointers and lengths come from
            // references that outlive the call; 3. sendmsg only reads through them (POSIX sendmsg), and IoSlice
            // is guaranteed to be ABI compatible with iovec on Unix; 4. the header was zeroed, pads included, and
            // the encoder writes a `cmsg_len` as wide as the kernel reads it.
            unsafe { raw_sendmsg(socket.as_raw_fd(), header, flags) }
        })
    })
}

/// A call that sends, retried when a signal interrupts it.
#[inline(always)]
pub(super) fn retried(mut call: impl FnMut() -> isize) -> io::Result<usize> {
    loop {
        let sent = call();
        if sent >= 0 {
            return Ok(sent as usize);
        }
        let error = last_error();
        if error.kind() != io::ErrorKind::Interrupted {
            return Err(error);
        }
    }
}

#[cold]
#[inline(never)]
pub(super) fn last_error() -> io::Error {
    io::Error::last_os_error()
}

/// Whether a stream gives nothing more (recv(2) with `MSG_PEEK`, without waiting): its end, or an error, which is one
/// too; but for EIO, by which a TLS record says that it needs room for its type.
fn is_at_end(socket: BorrowedFd<'_>) -> bool {
    let mut byte = 0u8;
    let flags = libc::MSG_PEEK | libc::MSG_DONTWAIT;
    // SAFETY: 1. the descriptor is borrowed, hence open; 2. `byte` is one byte that outlives the call; 3. without a
    // control buffer no descriptor is installed.
    let found = unsafe { libc::recv(socket.as_raw_fd(), ptr::from_mut(&mut byte).cast(), 1, flags) };
    let waits = |error: io::Error| {
        error.kind() == io::ErrorKind::WouldBlock || (cfg!(linux_like) && error.raw_os_error() == Some(libc::EIO))
    };
    found == 0 || (found < 0 && !waits(last_error()))
}

/// Whether a receive of no bytes, from nobody, that came with these flags, means that a stream has ended.
#[cold]
#[inline(never)]
pub(crate) fn ends_stream(socket: BorrowedFd<'_>, flags: c_int, control: bool) -> bool {
    #[cfg(linux_like)]
    if flags & libc::MSG_ERRQUEUE != 0 {
        return false;
    }
    // A TLS record may be empty. Mostly it says that it is whole; if not, with control data, look whether anything follows.
    flags & libc::MSG_EOR == 0 && is_stream(socket).unwrap_or(false) && (!control || is_at_end(socket))
}

/// Whether no bytes from a stream, that came with these flags, are a record that is empty.
#[cold]
#[inline(never)]
pub(crate) fn is_whole_record(socket: BorrowedFd<'_>, flags: c_int) -> bool {
    flags & libc::MSG_EOR != 0 && is_stream(socket).unwrap_or(false)
}

/// Whether calls on it return at once (`O_NONBLOCK`).
#[cfg(feature = "tokio")]
pub(crate) fn is_nonblocking(socket: BorrowedFd<'_>) -> bool {
    // SAFETY: 1. the descriptor is borrowed, hence open; 2. F_GETFL takes no argument and touches no memory.
    let flags = unsafe { libc::fcntl(socket.as_raw_fd(), libc::F_GETFL) };
    flags >= 0 && flags & libc::O_NONBLOCK != 0
}

/// setsockopt(2). Never for an option whose value holds descriptors or addresses: nothing here vouches for them.
pub(crate) fn set_option_bytes(socket: BorrowedFd<'_>, level: c_int, name: c_int, value: &[u8]) -> io::Result<()> {
    let (at, len) = (value.as_ptr().cast(), value.len() as libc::socklen_t);
    // SAFETY: 1. the descriptor is borrowed, hence open; 2. `at` points to `len` initialised bytes that live until the
    // call returns (a length that a `socklen_t` cannot say becomes a smaller one), and setsockopt only reads them; 3.
    // the values that this crate gives hold numbers alone, no address that the kernel would follow.
    let status = unsafe { libc::setsockopt(socket.as_raw_fd(), level, name, at, len) };
    if status == 0 { Ok(()) } else { Err(last_error()) }
}

/// setsockopt(2) with an `int`.
pub(crate) fn set_int_option(socket: BorrowedFd<'_>, level: c_int, name: c_int, value: c_int) -> io::Result<()> {
    set_option_bytes(socket, level, name, &value.to_ne_bytes())
}

/// getsockopt(2); how many bytes of the value the kernel has.
pub(crate) fn option_bytes(socket: BorrowedFd<'_>, level: c_int, name: c_int, value: &mut [u8]) -> io::Result<usize> {
    let mut len = value.len() as libc::socklen_t;
    // SAFETY: 1. the descriptor is borrowed, hence open; 2. `value` has the `len` bytes that are offered, and both
    // live until the call returns; 3. what the kernel writes there is plain bytes.
    let status = unsafe { libc::getsockopt(socket.as_raw_fd(), level, name, value.as_mut_ptr().cast(), &mut len) };
    if status == 0 { Ok((len as usize).min(value.len())) } else { Err(last_error()) }
}

/// getsockopt(2) with an `int`.
pub(crate) fn int_option(socket: BorrowedFd<'_>, level: c_int, name: c_int) -> io::Result<c_int> {
    let mut value = [0; size_of::<c_int>()];
    option_bytes(socket, level, name, &mut value)?;
    Ok(c_int::from_ne_bytes(value))
}

/// Whether the socket speaks TCP.
pub(crate) fn is_tcp(socket: BorrowedFd<'_>) -> bool {
    #[cfg(linux_like)]
    {
        const IPPROTO_MPTCP: c_int = 262; // include/uapi/linux/in.h
        let protocol = int_option(socket, libc::SOL_SOCKET, libc::SO_PROTOCOL);
        matches!(protocol, Ok(libc::IPPROTO_TCP | IPPROTO_MPTCP))
    }
    #[cfg(not(linux_like))]
    {
        is_stream(socket).unwrap_or(false) && matches!(domain(socket), Ok(libc::AF_INET | libc::AF_INET6))
    }
}

/// Whether the socket is of type `SOCK_STREAM`.
pub(crate) fn is_stream(socket: BorrowedFd<'_>) -> io::Result<bool> {
    Ok(int_option(socket, libc::SOL_SOCKET, libc::SO_TYPE)? == libc::SOCK_STREAM)
}

/// Whether the socket may take a part of a message: streams do, and some of type `SOCK_SEQPACKET` (AF_ALG, KCM).
pub(crate) fn takes_parts(socket: BorrowedFd<'_>) -> io::Result<bool> {
    Ok(matches!(int_option(socket, libc::SOL_SOCKET, libc::SO_TYPE)?, libc::SOCK_STREAM | libc::SOCK_SEQPACKET))
}

/// The address family of the socket (`SO_DOMAIN`; elsewhere the family of its own name).
pub(crate) fn domain(socket: BorrowedFd<'_>) -> io::Result<c_int> {
    #[cfg(any(linux_like, target_os = "freebsd"))]
    {
        int_option(socket, libc::SOL_SOCKET, libc::SO_DOMAIN)
    }
    #[cfg(not(any(linux_like, target_os = "freebsd")))]
    {
        use nix::sys::socket::{SockaddrLike, SockaddrStorage, getsockname};
        let name: SockaddrStorage = getsockname(socket.as_raw_fd())?;
        Ok(name.family().map_or(libc::AF_UNSPEC, |family| family as c_int))
    }
}
