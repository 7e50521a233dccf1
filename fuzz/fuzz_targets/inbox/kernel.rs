//! A kernel that says what the input says: recvmsg(2), recvmmsg(2) and close(2) of this program. What it writes are bytes of
//! the input, but for the numbers where a kernel installs descriptors: there it does so.

use std::{
    collections::{BTreeSet, VecDeque},
    os::fd::RawFd,
    slice,
    sync::{Mutex, MutexGuard, PoisonError},
};

use ancillary_fuzz::{Part, control, reference};
use arbitrary::Arbitrary;
use nix::libc::{self, c_int, c_uint, mmsghdr, msghdr, ssize_t, timespec};

/// What one call, or one message of a call for many, is told.
#[derive(Arbitrary, Debug)]
pub enum Answer {
    Error(Errno),
    /// Success, and nothing has been written.
    Untouched,
    Message {
        data: u16,
        flags: u16,
        control: Vec<Part>,
        /// Control data as if the buffer were shorter.
        short: u8,
    },
}

#[derive(Arbitrary, Clone, Copy, Debug)]
pub enum Errno {
    Interrupted,
    Again,
    Reset,
    Invalid,
    NoMemory,
}

/// Whose the messages are, on one socket always the same.
#[derive(Arbitrary, Clone, Copy, Debug, Eq, PartialEq)]
pub enum Peer {
    Nobody,
    Unix,
    Inet,
    Other(u16),
}

struct Kernel {
    answers: VecDeque<Answer>,
    peer: Peer,
    source: RawFd,
    /// What has been installed and not closed since.
    open: BTreeSet<RawFd>,
}

static KERNEL: Mutex<Option<Kernel>> = Mutex::new(None);

fn kernel() -> MutexGuard<'static, Option<Kernel>> {
    KERNEL.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Runs `f` under a kernel that gives these answers, whose descriptors are copies of `source`; in the end none may be open.
pub fn under(answers: Vec<Answer>, peer: Peer, source: RawFd, f: impl FnOnce()) {
    *kernel() = Some(Kernel { answers: answers.into(), peer, source, open: BTreeSet::new() });
    f();
    let left = kernel().take().unwrap().open;
    assert!(left.is_empty(), "leaked: {left:?}");
}

/// What has been installed and not closed since.
pub fn installed() -> BTreeSet<RawFd> {
    kernel().as_ref().unwrap().open.clone()
}

fn fail(number: c_int) -> c_int {
    nix::errno::Errno::from_raw(number).set();
    -1
}

impl Kernel {
    /// # Safety
    ///
    /// * the header describes memory that may be written
    unsafe fn answer(&mut self, header: &mut msghdr, flags: c_int) -> ssize_t {
        // SAFETY: the caller's promise.
        let slices = unsafe { slice::from_raw_parts(header.msg_iov, header.msg_iovlen) };
        let room: usize = slices.iter().map(|slice| slice.iov_len).sum();
        let (data, said, mut control, short) = match self.answers.pop_front() {
            None => return fail(libc::ECONNRESET) as ssize_t,
            Some(Answer::Error(errno)) => {
                let number = match errno {
                    Errno::Interrupted => libc::EINTR,
                    Errno::Again => libc::EAGAIN,
                    Errno::Reset => libc::ECONNRESET,
                    Errno::Invalid => libc::EINVAL,
                    Errno::NoMemory => libc::ENOMEM,
                };
                return fail(number) as ssize_t;
            }
            // Data that has not been written is none that may be counted: an injected success must say 0.
            Some(Answer::Untouched) => return 0,
            Some(Answer::Message { data, flags, control: parts, short }) => {
                (usize::from(data), flags, control(&parts, short & 1 != 0), short / 2)
            }
        };
        let mut left = data.min(room);
        for slice in slices {
            let len = left.min(slice.iov_len);
            if len > 0 {
                // SAFETY: the caller's promise; so many bytes are there.
                unsafe { slice.iov_base.cast::<u8>().write_bytes(0xd7, len) };
            }
            left -= len;
        }
        if !header.msg_name.is_null() {
            let name: &[u8] = match self.peer {
                Peer::Nobody => &[],
                Peer::Unix => &[1, 0],
                Peer::Inet => &[2, 0, 0, 9, 127, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0],
                Peer::Other(family) if matches!(c_int::from(family), libc::AF_INET | libc::AF_INET6) => &[16, 0],
                Peer::Other(family) => &family.to_ne_bytes(),
            };
            assert!(header.msg_namelen as usize >= name.len());
            // SAFETY: the caller's promise; so many bytes are there.
            unsafe { header.msg_name.cast::<u8>().copy_from_nonoverlapping(name.as_ptr(), name.len()) };
            header.msg_namelen = name.len() as _;
        }
        let capacity = header.msg_controllen.saturating_sub(short.into());
        header.msg_flags = c_int::from(said) | if control.len() > capacity { libc::MSG_CTRUNC } else { 0 };
        control.truncate(capacity);
        // An internet peer sends no descriptors: numbers that look like some are nobody's.
        if self.peer != Peer::Inet || header.msg_name.is_null() {
            self.install(&mut control);
        }
        if !control.is_empty() {
            // SAFETY: the caller's promise; so many bytes are there.
            unsafe { header.msg_control.cast::<u8>().copy_from_nonoverlapping(control.as_ptr(), control.len()) };
        }
        header.msg_controllen = control.len();
        if flags & libc::MSG_TRUNC != 0 { data as ssize_t } else { data.min(room) as ssize_t }
    }

    /// Installs a descriptor for each number that is not negative, where messages carry them.
    fn install(&mut self, control: &mut [u8]) {
        let mut room = 48;
        for message in reference(control).messages {
            // SCM_RIGHTS and SCM_PIDFD of SOL_SOCKET.
            if !matches!(message.id, (1, 1 | 4)) {
                continue;
            }
            for slot in control[message.payload].chunks_exact_mut(4) {
                if slot[3] & 0x80 != 0 {
                    continue;
                }
                let mut number = -1;
                if room > 0 {
                    room -= 1;
                    // SAFETY: the source stays open while this kernel lasts.
                    number = unsafe { libc::fcntl(self.source, libc::F_DUPFD_CLOEXEC, 0) };
                    assert!(number >= 0 && self.open.insert(number), "{number} was free");
                }
                slot.copy_from_slice(&number.to_ne_bytes());
            }
        }
    }
}

/// recvmsg(2)
///
/// # Safety
///
/// * that of recvmsg(2)
#[unsafe(no_mangle)]
pub unsafe extern "C" fn recvmsg(socket: c_int, header: *mut msghdr, flags: c_int) -> ssize_t {
    match kernel().as_mut() {
        Some(kernel) => {
            // SAFETY: the caller's promise: nobody else uses it.
            let header = unsafe { &mut *header };
            // SAFETY: the caller's promises.
            unsafe { kernel.answer(header, flags) }
        }
        // SAFETY: the caller's promises.
        None => unsafe { libc::syscall(libc::SYS_recvmsg, socket, header, flags) as ssize_t },
    }
}

/// recvmmsg(2): the first error ends it, and is told if no message came before it.
///
/// # Safety
///
/// * that of recvmmsg(2)
#[unsafe(no_mangle)]
pub unsafe extern "C" fn recvmmsg(
    socket: c_int,
    messages: *mut mmsghdr,
    count: c_uint,
    flags: c_int,
    wait: *mut timespec,
) -> c_int {
    let mut kernel = kernel();
    let Some(kernel) = kernel.as_mut() else {
        // SAFETY: the caller's promises.
        return unsafe { libc::syscall(libc::SYS_recvmmsg, socket, messages, count, flags, wait) as c_int };
    };
    // SAFETY: the caller's promise.
    let messages = unsafe { slice::from_raw_parts_mut(messages, count as usize) };
    for (index, message) in messages.iter_mut().enumerate() {
        if index > 0 && kernel.answers.is_empty() {
            return index as c_int;
        }
        // Each message of a call has its header written.
        if let Some(Answer::Untouched) = kernel.answers.front() {
            (message.msg_hdr.msg_namelen, message.msg_hdr.msg_controllen) = (0, 0);
        }
        // SAFETY: the caller's promise.
        let len = unsafe { kernel.answer(&mut message.msg_hdr, flags) };
        if len < 0 {
            return if index > 0 { index as c_int } else { -1 };
        }
        message.msg_len = len as c_uint;
    }
    count as c_int
}

/// close(2), of what has been installed alone: anything else is closed twice, or was never ours.
///
/// # Safety
///
/// * that of close(2)
#[unsafe(no_mangle)]
pub unsafe extern "C" fn close(number: c_int) -> c_int {
    // Without the lock: a panic prints a backtrace, which closes files.
    let ours = kernel().as_mut().is_none_or(|kernel| kernel.open.remove(&number));
    if !ours {
        *kernel() = None;
        panic!("{number} is not open, or not ours");
    }
    // SAFETY: the caller's promise.
    unsafe { libc::syscall(libc::SYS_close, number) as c_int }
}
