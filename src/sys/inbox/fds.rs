//! The descriptors among the messages of an inbox: found, lent, taken, closed.

use std::os::fd::{BorrowedFd, FromRawFd, OwnedFd, RawFd};

#[cfg(apple)]
use {nix::libc, std::os::fd::AsRawFd};

use super::{Head, InboxMut};
use crate::{
    cmsg::{CmsgId, Cmsgs},
    sys::HEADER,
};

/// What stands where a descriptor was.
const TAKEN: [u8; 4] = (-1i32).to_ne_bytes();

pub(super) enum Carries {
    Fds,
    #[cfg_attr(not(linux_like), allow(dead_code, reason = "Linux has them"))]
    Pidfd,
    Nothing,
}

pub(super) fn carries(id: CmsgId) -> Carries {
    if id == CmsgId::RIGHTS {
        return Carries::Fds;
    }
    #[cfg(linux_like)]
    if id == CmsgId::PIDFD {
        return Carries::Pidfd;
    }
    Carries::Nothing
}

/// Whether a payload of descriptors holds none that is still owned.
pub(super) fn all_taken(payload: &[u8]) -> bool {
    payload.chunks_exact(4).all(|slot| slot == TAKEN)
}

/// How far a walk over the descriptors of an inbox has come.
#[derive(Clone, Copy)]
pub(crate) struct FdCursor {
    // INVARIANT: `at..end` is empty, or lies in the payload of a message that carries descriptors.
    at: usize,
    end: usize,
    /// Where the next message stands.
    next: usize,
    /// Whether a message with descriptors has been passed over.
    left_out: bool,
}

impl FdCursor {
    /// Over all messages.
    pub(crate) const fn new() -> Self {
        // INVARIANT: empty.
        Self { at: 0, end: 0, next: 0, left_out: false }
    }

    /// Over those that start at `next` or behind it.
    pub(super) const fn from(next: usize) -> Self {
        // INVARIANT: empty.
        Self { at: 0, end: 0, next, left_out: next > 0 }
    }

    /// Where the next number stands, four bytes of the message it is in.
    #[inline(always)]
    fn next_slot(&mut self) -> Option<usize> {
        let at = self.at;
        if at + 4 > self.end {
            return None;
        }
        self.at += 4;
        Some(at)
    }

    /// Moves on to the next message that carries descriptors, if there is one.
    #[inline(always)]
    fn next_message(&mut self, head: &Head, bytes: &[u8], pidfds: bool) -> bool {
        // Most often there is one message: its end is found without a call.
        if self.next >= head.len {
            return false;
        }
        // By value: a pointer to it would keep it in memory.
        let found = self.found(head, bytes, pidfds);
        *self = found;
        found.at < found.end
    }

    /// At the next message that carries a descriptor, or at the end.
    #[inline(never)]
    fn found(mut self, head: &Head, bytes: &[u8], pidfds: bool) -> Self {
        loop {
            let rest = bytes.get(self.next..head.len).unwrap_or_default();
            let mut walk = Cmsgs::new(rest);
            let Some(cmsg) = walk.next() else {
                // INVARIANT: empty.
                return Self { at: 0, end: 0, next: head.len, ..self };
            };
            let at = self.next + HEADER;
            self.next += rest.len() - walk.rest().len();
            match carries(cmsg.id()) {
                Carries::Pidfd if !pidfds => self.left_out = true,
                Carries::Fds | Carries::Pidfd if cmsg.payload().len() >= 4 => {
                    // INVARIANT: the payload of this one.
                    return Self { at, end: at + cmsg.payload().len(), ..self };
                }
                Carries::Fds | Carries::Pidfd | Carries::Nothing => {}
            }
        }
    }
}

impl InboxMut<'_> {
    /// Takes the next descriptor of `SCM_RIGHTS`.
    #[inline]
    pub(crate) fn take_fd(&mut self, cursor: &mut FdCursor) -> Option<OwnedFd> {
        self.take_any(cursor, false)
    }

    #[inline(always)]
    pub(super) fn take_any(&mut self, cursor: &mut FdCursor, pidfds: bool) -> Option<OwnedFd> {
        loop {
            while let Some(at) = cursor.next_slot() {
                let slot = self.bytes.get_mut(at..)?.first_chunk_mut()?;
                let fd = RawFd::from_ne_bytes(*slot);
                if fd >= 0 {
                    // Given away exactly once: the number goes before the owner is made.
                    *slot = TAKEN;
                    // SAFETY: 1. the slot lies in a message that carries descriptors (the cursor's invariant), and the
                    // inbox owns them: no walk moves on to a message else (below), and only the end of one takes that
                    // back; so the kernel installed this one for us and nobody else owns it; 2. it is not negative; 3. its
                    // slot holds -1 now, so it is not given twice.
                    return Some(unsafe { OwnedFd::from_raw_fd(fd) });
                }
            }
            if !self.head.owns {
                return None;
            }
            if !cursor.next_message(self.head, self.bytes, pidfds) {
                // INVARIANT: every number has been taken, unless a message was left out.
                self.head.owns = cursor.left_out;
                return None;
            }
        }
    }

    /// Takes the descriptor of the sender's process, if one arrived; a negative number that is not -1, which says that it
    /// has been taken, is the reason why there is none.
    #[cfg(linux_like)]
    pub(crate) fn take_pidfd(&mut self) -> Option<Result<OwnedFd, RawFd>> {
        let mut at = 0;
        let slot = loop {
            let rest = self.received().get(at..)?;
            let mut walk = Cmsgs::new(rest);
            let cmsg = walk.next()?;
            match (carries(cmsg.id()), cmsg.payload().first_chunk::<4>()) {
                (Carries::Pidfd, Some(&slot)) if slot != TAKEN => break (at + HEADER, RawFd::from_ne_bytes(slot)),
                _ => at += rest.len() - walk.rest().len(),
            }
        };
        let (at, fd) = slot;
        if fd < 0 {
            return Some(Err(fd));
        }
        if !self.head.owns {
            return None;
        }
        // Given away exactly once: the number goes before the owner is made.
        *self.bytes.get_mut(at..)?.first_chunk_mut()? = TAKEN;
        // SAFETY: 1. `owns` is true and the slot is the payload of a message that carries a descriptor, among the bytes
        // of the last receive, so the kernel installed this one for us and nobody else owns it; 2. it is not negative;
        // 3. its slot holds -1 now, so it is not given twice.
        Some(Ok(unsafe { OwnedFd::from_raw_fd(fd) }))
    }

    /// Closes what nobody took from the messages at `start` and behind.
    pub(super) fn close_from(&mut self, start: usize) {
        let mut cursor = FdCursor::from(start);
        while let Some(fd) = self.take_any(&mut cursor, true) {
            drop(fd);
        }
    }

    /// Closes what the message at `start`, one that carries descriptors, holds, if the inbox owns any.
    pub(super) fn close_one(&mut self, start: usize) {
        // The cursor would not ask before the message after this one.
        if !self.head.owns {
            return;
        }
        let mut cursor = FdCursor::from(start);
        // One that is cut has no number, and the cursor would pass it over.
        if !cursor.next_message(self.head, self.bytes, true) || cursor.at != start + HEADER {
            return;
        }
        // The others are left out: the cursor finds no further message.
        (cursor.next, cursor.left_out) = (self.head.len, true);
        while let Some(fd) = self.take_any(&mut cursor, true) {
            drop(fd);
        }
    }

    /// The numbers in the messages at `start` and behind are nobody's, though the inbox owns others, or will.
    #[cold]
    pub(super) fn disown(&mut self, start: usize) {
        let mut cursor = FdCursor::from(start);
        while cursor.next_message(self.head, self.bytes, true) {
            while let Some(slot) = cursor.next_slot().and_then(|at| self.bytes.get_mut(at..)?.first_chunk_mut()) {
                *slot = TAKEN;
            }
        }
    }

    #[cfg(apple)]
    pub(super) fn set_cloexec(&mut self, start: usize) {
        let all = Fds { cursor: FdCursor::from(start), pidfds: true, ..Fds::new(self.head, self.bytes) };
        for fd in all {
            // SAFETY: fcntl with F_SETFD takes an int; the descriptor is borrowed, hence open.
            let _ = unsafe { libc::fcntl(fd.as_raw_fd(), libc::F_SETFD, libc::FD_CLOEXEC) };
        }
    }
}

/// The descriptors that an inbox still owns, borrowed.
#[derive(Clone)]
pub(super) struct Fds<'i> {
    head: &'i Head,
    bytes: &'i [u8],
    cursor: FdCursor,
    /// Also those of `SCM_PIDFD`.
    pidfds: bool,
}

impl<'i> Fds<'i> {
    /// Those of `SCM_RIGHTS`.
    pub(super) fn new(head: &'i Head, bytes: &'i [u8]) -> Self {
        Self { head, bytes, cursor: FdCursor::new(), pidfds: false }
    }
}

impl<'i> Iterator for Fds<'i> {
    type Item = BorrowedFd<'i>;

    fn next(&mut self) -> Option<BorrowedFd<'i>> {
        if !self.head.owns {
            return None;
        }
        loop {
            while let Some(at) = self.cursor.next_slot() {
                let fd = RawFd::from_ne_bytes(*self.bytes.get(at..)?.first_chunk()?);
                if fd >= 0 {
                    // SAFETY: `owns` is true and the slot lies in a message that carries descriptors (the cursor's
                    // invariant), so it is open and ours; taking it needs an exclusive borrow of the inbox, so it stays
                    // open for 'i.
                    return Some(unsafe { BorrowedFd::borrow_raw(fd) });
                }
            }
            if !self.cursor.next_message(self.head, self.bytes, self.pidfds) {
                return None;
            }
        }
    }
}

const _: () = assert!(size_of::<RawFd>() == 4);

#[cfg(all(test, linux_like))]
mod tests {
    use std::{
        fs::File,
        io::Read,
        os::fd::{AsRawFd, IntoRawFd},
    };

    use nix::{fcntl::OFlag, unistd::pipe2};

    use super::{super::Recv, *};
    use crate::cmsg::{self, RawCmsg};

    /// Writes two messages of `SCM_PIDFD`: how many bytes they have.
    fn two(numbers: [RawFd; 2], bytes: &mut [u8]) -> usize {
        let payloads = numbers.map(i32::to_ne_bytes);
        let messages = payloads.each_ref().map(|payload| RawCmsg::new(CmsgId::PIDFD, payload));
        cmsg::encode(&messages, bytes).unwrap()
    }

    /// Two messages of `SCM_PIDFD`, of which the second replaces the first, in a frame of several calls.
    fn compacted(numbers: [RawFd; 2], owns: bool) {
        let mut bytes = [0; 64];
        let len = two(numbers, &mut bytes);
        let mut head = Head::new();
        // INVARIANT: that of the caller: descriptors of its own, given away, or nobody's numbers.
        (head.len, head.owns) = (len, owns);
        let mut inbox = InboxMut { head: &mut head, bytes: &mut bytes };
        inbox.compact();
        assert_eq!(Cmsgs::new(inbox.received()).count(), 1);
        inbox.close_from(0);
        assert!(!head.owns);
    }

    #[test]
    fn a_number_that_is_not_owned_is_never_closed() {
        let files = [(); 2].map(|()| File::open("/dev/null").unwrap());
        compacted(files.each_ref().map(AsRawFd::as_raw_fd), false);
        assert!(files.iter().all(|file| file.metadata().is_ok()));
    }

    #[test]
    fn one_that_is_replaced_is_closed() {
        let (reader, writers) = {
            let (reader, writer) = pipe2(OFlag::O_NONBLOCK | OFlag::O_CLOEXEC).unwrap();
            let again = writer.try_clone().unwrap();
            (File::from(reader), [writer, again])
        };
        compacted(writers.map(IntoRawFd::into_raw_fd), true);
        assert_eq!((&reader).read(&mut [0]).unwrap(), 0, "nobody can write any more");
    }

    /// What an internet socket delivers is never a descriptor, also behind a message whose descriptors are owned.
    #[test]
    fn a_number_behind_owned_ones_is_not_owned_with_them() {
        let (reader, writer) = pipe2(OFlag::O_NONBLOCK | OFlag::O_CLOEXEC).unwrap();
        let (file, mut bytes) = (File::open("/dev/null").unwrap(), [0; 64]);
        let len = two([writer.into_raw_fd(), file.as_raw_fd()], &mut bytes);
        let mut head = Head::new();
        // INVARIANT: the first number has been given away.
        (head.len, head.owns) = (len / 2, true);
        let mut inbox = InboxMut { head: &mut head, bytes: &mut bytes };
        let mut header = crate::sys::io::zeroed_msghdr();
        header.msg_controllen = (len / 2) as _;
        let ask = Recv { append: true, ..Recv::PLAIN };
        inbox.arrived(&header, 64 - len / 2, (len / 2, len / 2, 0), true, ask);
        assert_eq!(inbox.received().len(), len);
        inbox.close_from(0);
        assert_eq!(File::from(reader).read(&mut [0]).unwrap(), 0, "nobody can write any more");
        assert!(file.metadata().is_ok());
    }

    #[test]
    fn a_number_before_owned_ones_is_not_owned_with_them() {
        let (reader, writer) = pipe2(OFlag::O_NONBLOCK | OFlag::O_CLOEXEC).unwrap();
        let (file, mut bytes) = (File::open("/dev/null").unwrap(), [0; 64]);
        let len = two([file.as_raw_fd(), writer.into_raw_fd()], &mut bytes);
        let (mut head, ask) = (Head::new(), Recv { append: true, ..Recv::PLAIN });
        let mut inbox = InboxMut { head: &mut head, bytes: &mut bytes };
        let mut header = crate::sys::io::zeroed_msghdr();
        header.msg_controllen = (len / 2) as _;
        inbox.arrived(&header, 64, (0, 0, 0), true, ask);
        // INVARIANT: the second number has been given away.
        inbox.arrived(&header, 64 - len / 2, (len / 2, len / 2, 0), false, ask);
        inbox.close_from(0);
        assert_eq!(File::from(reader).read(&mut [0]).unwrap(), 0, "nobody can write any more");
        assert!(file.metadata().is_ok());
    }

    #[test]
    fn an_empty_message_hides_no_descriptor_behind_it() {
        let (reader, writer) = pipe2(OFlag::O_NONBLOCK | OFlag::O_CLOEXEC).unwrap();
        let (number, mut bytes) = (writer.into_raw_fd().to_ne_bytes(), [0; 64]);
        let len = cmsg::encode(&[RawCmsg::new(CmsgId::PIDFD, &[]), RawCmsg::new(CmsgId::PIDFD, &number)], &mut bytes);
        let mut head = Head::new();
        // INVARIANT: the number has been given away.
        (head.len, head.owns) = (len.unwrap(), true);
        InboxMut { head: &mut head, bytes: &mut bytes }.close_from(0);
        assert_eq!(File::from(reader).read(&mut [0]).unwrap(), 0, "nobody can write any more");
    }

    #[test]
    fn one_that_replaces_a_cut_one_stays_open() {
        let (reader, writer) = pipe2(OFlag::O_NONBLOCK | OFlag::O_CLOEXEC).unwrap();
        let (mut reader, mut bytes) = (File::from(reader), [0; 64]);
        let number = writer.into_raw_fd().to_ne_bytes();
        let messages = [RawCmsg::new(CmsgId::PIDFD, &number[..2]), RawCmsg::new(CmsgId::PIDFD, &number)];
        let len = cmsg::encode(&messages, &mut bytes);
        let mut head = Head::new();
        // INVARIANT: the number has been given away.
        (head.len, head.owns) = (len.unwrap(), true);
        let mut inbox = InboxMut { head: &mut head, bytes: &mut bytes };
        inbox.compact();
        assert!(reader.read(&mut [0]).is_err(), "somebody can write");
        inbox.close_from(0);
        assert_eq!(reader.read(&mut [0]).unwrap(), 0, "nobody can write any more");
    }

    #[test]
    fn no_number_is_taken_that_is_not_owned_and_0_is_no_error() {
        let mut bytes = [0; 64];
        let len = cmsg::encode(&RawCmsg::new(CmsgId::PIDFD, &[0; 4]), &mut bytes);
        let mut head = Head::new();
        head.len = len.unwrap();
        assert!(InboxMut { head: &mut head, bytes: &mut bytes }.take_pidfd().is_none());
    }
}
