//! The functions themselves.

use std::sync::atomic::Ordering;

use nix::{
    errno::Errno,
    libc::{self, c_int, c_uint, c_ulong, c_void, iovec, mmsghdr, msghdr, nfds_t, pollfd, size_t, sockaddr, socklen_t},
};

use super::{Call, Fault, told};

fn fail(number: c_int) -> c_int {
    Errno::from_raw(number).set();
    -1
}

/// The first bytes of what a header describes.
///
/// # Safety
///
/// * the entries of the header may be read
unsafe fn cut(header: &msghdr, mut most: usize) -> Vec<iovec> {
    // SAFETY: the caller's promise.
    let slices = unsafe { std::slice::from_raw_parts(header.msg_iov, header.msg_iovlen) };
    let mut list = Vec::new();
    for slice in slices {
        let len = slice.iov_len.min(most);
        if len > 0 {
            list.push(iovec { iov_len: len, ..*slice });
        }
        most -= len;
    }
    list
}

/// # Safety
///
/// * that of sendto(2)
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sendto(
    socket: c_int,
    data: *const c_void,
    len: size_t,
    flags: c_int,
    name: *const sockaddr,
    namelen: socklen_t,
) -> isize {
    let len = match told(Call::SendTo) {
        Some(Fault::Error(number)) => return fail(number) as isize,
        Some(Fault::Short(most)) => len.min(most),
        _ => len,
    };
    // SAFETY: the caller's promise.
    unsafe { libc::syscall(libc::SYS_sendto, socket, data, len, flags, name, namelen) as isize }
}

/// # Safety
///
/// * that of sendmsg(2)
unsafe fn send_some(socket: c_int, header: &msghdr, most: usize, flags: c_int) -> isize {
    // SAFETY: the caller's promise.
    let mut list = unsafe { cut(header, most) };
    let short = msghdr { msg_iov: list.as_mut_ptr(), msg_iovlen: list.len(), ..*header };
    // SAFETY: the caller's promise; the list outlives the call.
    unsafe { libc::syscall(libc::SYS_sendmsg, socket, &raw const short, flags) as isize }
}

/// # Safety
///
/// * that of sendmsg(2)
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sendmsg(socket: c_int, header: *const msghdr, flags: c_int) -> isize {
    match told(Call::SendMsg) {
        Some(Fault::Error(number)) => fail(number) as isize,
        Some(Fault::Short(most)) => {
            // SAFETY: the caller's promise.
            let header = unsafe { &*header };
            // SAFETY: the caller's promise.
            unsafe { send_some(socket, header, most, flags) }
        }
        // SAFETY: the caller's promise.
        _ => unsafe { libc::syscall(libc::SYS_sendmsg, socket, header, flags) as isize },
    }
}

/// # Safety
///
/// * that of sendmmsg(2)
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sendmmsg(socket: c_int, messages: *mut mmsghdr, count: c_uint, flags: c_int) -> c_int {
    let (few, rest) = match told(Call::SendMmsg) {
        Some(Fault::Error(number)) => return fail(number),
        Some(Fault::Few(most)) => (count.min(most as c_uint), None),
        Some(Fault::Cut(whole, bytes)) if whole < count as usize => (whole as c_uint, Some(bytes)),
        _ => (count, None),
    };
    let mut sent = 0;
    if few > 0 {
        // SAFETY: the caller's promise.
        sent = unsafe { libc::syscall(libc::SYS_sendmmsg, socket, messages, few, flags) as c_int };
    }
    let Some(bytes) = rest.filter(|_| sent == few as c_int) else { return sent };
    // SAFETY: there is one more than `few`.
    let message = unsafe { messages.add(few as usize) };
    // SAFETY: the caller's promise.
    let message = unsafe { &mut *message };
    // SAFETY: the caller's promise.
    let len = unsafe { send_some(socket, &message.msg_hdr, bytes, flags) };
    if len < 0 {
        return if sent > 0 { sent } else { -1 };
    }
    message.msg_len = len as c_uint;
    sent + 1
}

/// # Safety
///
/// * that of recv(2)
#[unsafe(no_mangle)]
pub unsafe extern "C" fn recv(socket: c_int, data: *mut c_void, len: size_t, flags: c_int) -> isize {
    if let Some(Fault::Error(number)) = told(Call::Recv) {
        return fail(number) as isize;
    }
    // SAFETY: the caller's promise.
    unsafe { libc::syscall(libc::SYS_recvfrom, socket, data, len, flags, 0, 0) as isize }
}

/// # Safety
///
/// * that of recvmsg(2)
#[unsafe(no_mangle)]
pub unsafe extern "C" fn recvmsg(socket: c_int, header: *mut msghdr, flags: c_int) -> isize {
    let most = match told(Call::RecvMsg) {
        Some(Fault::Error(number)) => return fail(number) as isize,
        Some(Fault::Short(most)) => most,
        Some(Fault::Claims(bytes)) => return bytes as isize,
        // SAFETY: the caller's promise.
        _ => return unsafe { libc::syscall(libc::SYS_recvmsg, socket, header, flags) as isize },
    };
    // SAFETY: the caller's promise.
    let header = unsafe { &mut *header };
    // SAFETY: the caller's promise.
    let mut list = unsafe { cut(header, most) };
    let all = (header.msg_iov, header.msg_iovlen);
    (header.msg_iov, header.msg_iovlen) = (list.as_mut_ptr(), list.len());
    // SAFETY: the caller's promise; the list outlives the call.
    let received = unsafe { libc::syscall(libc::SYS_recvmsg, socket, &raw mut *header, flags) as isize };
    (header.msg_iov, header.msg_iovlen) = all;
    received
}

/// # Safety
///
/// * that of recvmmsg(2)
#[unsafe(no_mangle)]
pub unsafe extern "C" fn recvmmsg(
    socket: c_int,
    messages: *mut mmsghdr,
    count: c_uint,
    flags: c_int,
    wait: *mut libc::timespec,
) -> c_int {
    let count = match told(Call::RecvMmsg) {
        Some(Fault::Error(number)) => return fail(number),
        Some(Fault::Few(most)) => count.min(most as c_uint),
        Some(Fault::Claims(messages)) => return messages as c_int,
        Some(Fault::ClaimsMore(more)) => {
            // SAFETY: the caller's promise.
            let came = unsafe { libc::syscall(libc::SYS_recvmmsg, socket, messages, count, flags, wait) as c_int };
            return if came > 0 { (came + more as c_int).min(count as c_int) } else { came };
        }
        _ => count,
    };
    // SAFETY: the caller's promise.
    unsafe { libc::syscall(libc::SYS_recvmmsg, socket, messages, count, flags, wait) as c_int }
}

/// # Safety
///
/// * that of getsockopt(2)
#[unsafe(no_mangle)]
pub unsafe extern "C" fn getsockopt(
    socket: c_int,
    level: c_int,
    name: c_int,
    value: *mut c_void,
    len: *mut socklen_t,
) -> c_int {
    if let Some(Fault::Error(number)) = told(Call::GetSockOpt) {
        return fail(number);
    }
    // SAFETY: the caller's promise.
    unsafe { libc::syscall(libc::SYS_getsockopt, socket, level, name, value, len) as c_int }
}

/// # Safety
///
/// * that of setsockopt(2)
#[unsafe(no_mangle)]
pub unsafe extern "C" fn setsockopt(
    socket: c_int,
    level: c_int,
    name: c_int,
    value: *const c_void,
    len: socklen_t,
) -> c_int {
    if let Some(Fault::Error(number)) = told(Call::SetSockOpt) {
        return fail(number);
    }
    // SAFETY: the caller's promise.
    unsafe { libc::syscall(libc::SYS_setsockopt, socket, level, name, value, len) as c_int }
}

/// # Safety
///
/// * that of poll(2)
#[unsafe(no_mangle)]
pub unsafe extern "C" fn poll(fds: *mut pollfd, count: nfds_t, millis: c_int) -> c_int {
    if let Some(Fault::Error(number)) = told(Call::Poll) {
        return fail(number);
    }
    let mut time = libc::timespec { tv_sec: i64::from(millis / 1000), tv_nsec: i64::from(millis % 1000) * 1_000_000 };
    let time = if millis < 0 { std::ptr::null_mut() } else { &raw mut time };
    // SAFETY: the caller's promise; no set of signals is given.
    unsafe { libc::syscall(libc::SYS_ppoll, fds, count, time, 0, 0) as c_int }
}

/// fcntl(2), whose argument is a number or an address. Only to duplicate a descriptor fails: the standard library looks at
/// those that it closes.
///
/// # Safety
///
/// * that of fcntl(2)
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fcntl(number: c_int, what: c_int, argument: c_ulong) -> c_int {
    if what == libc::F_DUPFD_CLOEXEC {
        if let Some(Fault::Error(number)) = told(Call::Fcntl) {
            return fail(number);
        }
    }
    // SAFETY: the caller's promise.
    unsafe { libc::syscall(libc::SYS_fcntl, number, what, argument) as c_int }
}

/// close(2), of what is open alone.
///
/// # Safety
///
/// * that of close(2)
#[unsafe(no_mangle)]
pub unsafe extern "C" fn close(number: c_int) -> c_int {
    // SAFETY: the caller's promise.
    let status = unsafe { libc::syscall(libc::SYS_close, number) as c_int };
    if status < 0 && Errno::last() == Errno::EBADF {
        super::BAD_CLOSES.fetch_add(1, Ordering::Relaxed);
    }
    status
}
