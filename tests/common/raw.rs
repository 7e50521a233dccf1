//! Calls for addresses, options and signals that neither std nor nix nor socket2 can say.

use std::{
    io,
    os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd},
    ptr,
    sync::atomic::{AtomicUsize, Ordering},
};

use ancillary::SockAddr;
use nix::{
    libc,
    sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, sigaction},
    unistd::Pid,
};

/// The two structures that need one: `struct sockaddr_can` and `struct sockaddr_vm`.
fn name(addr: &SockAddr) -> (*const libc::sockaddr, libc::socklen_t) {
    (addr.as_bytes().as_ptr().cast(), addr.as_bytes().len() as libc::socklen_t)
}

fn checked(status: i32) -> io::Result<i32> {
    if status < 0 { Err(io::Error::last_os_error()) } else { Ok(status) }
}

/// bind(2)
pub fn bind(socket: impl AsFd, addr: &SockAddr) -> io::Result<()> {
    let (at, len) = name(addr);
    // SAFETY: the descriptor is borrowed, hence open; `at` points to `len` initialised bytes that outlive the call.
    checked(unsafe { libc::bind(socket.as_fd().as_raw_fd(), at, len) }).map(drop)
}

/// connect(2)
pub fn connect(socket: impl AsFd, addr: &SockAddr) -> io::Result<()> {
    let (at, len) = name(addr);
    // SAFETY: as in `bind`.
    checked(unsafe { libc::connect(socket.as_fd().as_raw_fd(), at, len) }).map(drop)
}

/// accept(2), without asking for the peer's address, which an AF_ALG socket cannot tell.
pub fn accept(socket: impl AsFd) -> io::Result<OwnedFd> {
    let flags = libc::SOCK_CLOEXEC;
    // SAFETY: the descriptor is borrowed, hence open; without an address there is nothing to write to.
    let fd = checked(unsafe { libc::accept4(socket.as_fd().as_raw_fd(), ptr::null_mut(), ptr::null_mut(), flags) })?;
    // SAFETY: the kernel has just made it, and nobody else knows it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// The name that a socket has got (getsockname(2)).
pub fn own_name(socket: impl AsFd) -> io::Result<SockAddr> {
    let mut bytes = [0u8; size_of::<libc::sockaddr_storage>()];
    let mut len = bytes.len() as libc::socklen_t;
    let at = bytes.as_mut_ptr().cast();
    // SAFETY: the descriptor is borrowed, hence open; `at` points to the `len` bytes that are offered, and both outlive
    // the call.
    checked(unsafe { libc::getsockname(socket.as_fd().as_raw_fd(), at, &mut len) })?;
    Ok(SockAddr::from_bytes(&bytes[..len as usize]).unwrap())
}

/// getsockopt(2) of an option that is an `int`.
pub fn int_option(socket: impl AsFd, (level, name): (i32, i32)) -> io::Result<i32> {
    let (mut value, mut len) = (-1i32, size_of::<i32>() as libc::socklen_t);
    let (socket, at) = (socket.as_fd().as_raw_fd(), (&raw mut value).cast());
    // SAFETY: the descriptor is borrowed, hence open; `value` has the `len` bytes that are offered, and both live until
    // the call returns.
    checked(unsafe { libc::getsockopt(socket, level, name, at, &mut len) })?;
    assert_eq!(len, 4);
    Ok(value)
}

/// getsockopt(2) of an option that is `N` bytes.
pub fn option_bytes<const N: usize>(socket: impl AsFd, (level, name): (i32, i32)) -> io::Result<[u8; N]> {
    let (mut value, mut len) = ([0xa5; N], N as libc::socklen_t);
    let (socket, at) = (socket.as_fd().as_raw_fd(), value.as_mut_ptr().cast());
    // SAFETY: as in `int_option`.
    checked(unsafe { libc::getsockopt(socket, level, name, at, &mut len) })?;
    assert_eq!(len as usize, N);
    Ok(value)
}

/// Whether such an option is set.
pub fn is_on(socket: &impl AsFd, option: (i32, i32)) -> bool {
    int_option(socket, option).unwrap() == 1
}

static SIGNALS: AtomicUsize = AtomicUsize::new(0);

extern "C" fn count(_: i32) {
    SIGNALS.fetch_add(1, Ordering::Relaxed);
}

/// Counts SIGUSR1 from now on, by a handler without `SA_RESTART`: what waits in the kernel ends with EINTR.
pub fn count_signals() {
    let action = SigAction::new(SigHandler::Handler(count), SaFlags::empty(), SigSet::empty());
    // SAFETY: the handler does what is allowed in one: it adds to an atomic number.
    unsafe { sigaction(Signal::SIGUSR1, &action) }.unwrap();
}

/// How many came.
pub fn signals() -> usize {
    SIGNALS.load(Ordering::Relaxed)
}

/// Sends SIGUSR1 to one thread of this process (tgkill(2)).
pub fn signal_thread(thread: Pid) {
    let process = nix::unistd::getpid().as_raw();
    // SAFETY: numbers alone; no memory is touched.
    checked(unsafe { libc::syscall(libc::SYS_tgkill, process, thread.as_raw(), libc::SIGUSR1) } as i32).unwrap();
}
