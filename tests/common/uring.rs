//! A ring of io_uring, and requests for the messages of `pinned`.

use std::os::fd::{AsFd, AsRawFd};

use ancillary::{
    Received,
    message::RecvList,
    pinned::{RecvMsg, RecvMsgMulti, SendMsg},
};
use io_uring::{
    IoUring, opcode,
    squeue::Entry,
    types::{Fd, SubmitArgs, Timespec},
};
use nix::libc;

use super::{TIMEOUT, skipped};

/// What a request ended with.
#[derive(Clone, Copy, Debug)]
pub struct Done {
    pub id: u64,
    pub result: i32,
    pub flags: u32,
}

impl Done {
    /// Whether its request goes on.
    pub fn more(self) -> bool {
        io_uring::cqueue::more(self.flags)
    }
}

#[repr(align(4096))]
struct Page([u8; 4096]);

pub struct Ring(pub IoUring);

impl Ring {
    /// `None` where there can be none, which is said.
    pub fn new(test: &str) -> Option<Self> {
        match IoUring::new(64) {
            Ok(ring) => Some(Self(ring)),
            Err(error) => {
                skipped(format_args!("SKIPPED {test}: io_uring: {error}"));
                None
            }
        }
    }

    /// Submits one request. Who calls it reports its completions to the message that the entry names, once each and no
    /// others, and keeps the socket open.
    pub fn submit(&mut self, entry: Entry, id: u64) {
        // SAFETY: the caller does as is said above; until then the message keeps what the entry names where it is, dropped
        // or not.
        unsafe { self.0.submission().push(&entry.user_data(id)) }.unwrap();
        self.0.submit().unwrap();
    }

    pub fn send<B>(&mut self, socket: impl AsFd, message: &mut SendMsg<B>, id: u64)
    where
        B: ancillary::ZeroCopyBuf,
    {
        let header = message.start().unwrap();
        self.submit(opcode::SendMsg::new(fd(&socket), header).flags(message.flags()).build(), id);
    }

    pub fn recv<L: RecvList>(&mut self, socket: impl AsFd, message: &mut RecvMsg<L>, id: u64) {
        let header = message.start().unwrap();
        self.submit(opcode::RecvMsg::new(fd(&socket), header).flags(message.flags()).build(), id);
    }

    /// Of the buffer group 0.
    pub fn recv_multi<L: RecvList>(&mut self, socket: impl AsFd, messages: &mut RecvMsgMulti<L>, id: u64) {
        let header = messages.start().unwrap();
        self.submit(opcode::RecvMsgMulti::new(fd(&socket), header, 0).flags(messages.flags()).build(), id);
    }

    /// Registers buffers as the group 0; says so where the kernel cannot.
    pub fn register<L: RecvList>(&self, test: &str, messages: &mut RecvMsgMulti<L>) -> bool {
        let (address, entries) = messages.register().unwrap();
        // SAFETY: the buffers stay where they are until they are released, which comes after `unregister`, or for ever.
        let done = unsafe { self.0.submitter().register_buf_ring_with_flags(address, entries, 0, 0) };
        if let Err(error) = &done {
            messages.release().unwrap();
            assert!(!self.knows_rings_of_buffers(), "{test}: {error}");
            skipped(format_args!("SKIPPED {test}: rings of buffers: {error}"));
        }
        done.is_ok()
    }

    /// Whether the kernel has them, asked with memory of this test's own: a page, for one buffer.
    fn knows_rings_of_buffers(&self) -> bool {
        let page = Box::leak(Box::new(Page([0; 4096])));
        // SAFETY: the page is never freed.
        let done = unsafe { self.0.submitter().register_buf_ring_with_flags(page.0.as_ptr() as u64, 1, 99, 0) };
        done.and_then(|()| self.0.submitter().unregister_buf_ring(99)).is_ok()
    }

    pub fn unregister(&self) {
        self.0.submitter().unregister_buf_ring(0).unwrap();
    }

    /// The next completion.
    pub fn next(&mut self) -> Done {
        let limit = Timespec::from(TIMEOUT.unwrap());
        if self.0.completion().is_empty() {
            let arguments = SubmitArgs::new().timespec(&limit);
            self.0.submitter().submit_with_args(1, &arguments).unwrap();
        }
        let done = self.0.completion().next().expect("a completion in time");
        Done { id: done.user_data(), result: done.result(), flags: done.flags() }
    }

    /// The completion of this request, which is the only one in flight.
    pub fn wait(&mut self, id: u64) -> Done {
        let done = self.next();
        assert_eq!(done.id, id, "{done:?}");
        done
    }

    /// Cancels a request: its last completion, ECANCELED.
    pub fn cancel(&mut self, id: u64) -> Done {
        const OWN: u64 = u64::MAX;
        self.submit(opcode::AsyncCancel::new(id).build(), OWN);
        let mut both = [self.next(), self.next()];
        both.sort_by_key(|done| done.id);
        assert_eq!((both[0].id, both[1].id), (id, OWN), "{both:?}");
        assert_eq!((both[0].result, both[0].more()), (-libc::ECANCELED, false), "{both:?}");
        both[0]
    }

    /// Nothing has come.
    pub fn is_quiet(&mut self) -> bool {
        self.0.submit().unwrap();
        self.0.completion().is_empty()
    }
}

pub fn fd(socket: &impl AsFd) -> Fd {
    Fd(socket.as_fd().as_raw_fd())
}

/// Whether the kernel knows receives that go on; says so if not.
pub fn goes_on(test: &str, done: Done) -> bool {
    if done.result == -libc::EINVAL {
        skipped(format_args!("SKIPPED {test}: receives that go on (multishot): EINVAL"));
    }
    done.result != -libc::EINVAL
}

/// Data and declared messages.
pub fn text<L: RecvList>(message: &Received<'_, L, &[u8]>) -> String {
    String::from_utf8(message.data().to_vec()).unwrap()
}
