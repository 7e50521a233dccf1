//! The buffers that own received descriptors, under a kernel that writes anything into them: every descriptor that it
//! installs is closed once, by whoever has it, and no other is.

#![no_main]

mod kernel;

use std::{
    collections::BTreeSet,
    fs::File,
    mem::MaybeUninit,
    os::{
        fd::{AsFd, AsRawFd, OwnedFd, RawFd},
        unix::net::UnixDatagram,
    },
    sync::OnceLock,
};

use ancillary::{
    ControlBuf, ControlVec, MsgHdrMut, RecvExact, RecvFlags,
    batch::RecvBatch,
    message::{PktInfo, ScmPidfd, ScmRightsSpace},
};
use arbitrary::Arbitrary;
use kernel::{Answer, Peer, installed, under};
use libfuzzer_sys::fuzz_target;

#[derive(Arbitrary, Debug)]
enum Op {
    Receive { room: u8, flags: u8, no_peer: bool, inheritable: bool },
    Uninit { first: u8, second: u8 },
    Exact { room: u8, again: bool },
    Take(u8),
    TakeExact,
    TakePidfd,
    Lend,
    Print,
    Move,
    Clear,
    LetGo(u8),
    BatchReceive,
    BatchTake(u8),
    BatchClear,
}

#[derive(Arbitrary, Debug)]
struct Input {
    capacity: u8,
    peer: Peer,
    answers: Vec<Answer>,
    ops: Vec<Op>,
}

/// Those that were taken.
#[derive(Default)]
struct Held(Vec<OwnedFd>);

impl Held {
    fn numbers(&self) -> BTreeSet<RawFd> {
        let numbers: BTreeSet<_> = self.0.iter().map(AsRawFd::as_raw_fd).collect();
        assert_eq!(numbers.len(), self.0.len(), "given twice");
        numbers
    }

    fn extend(&mut self, fds: impl IntoIterator<Item = OwnedFd>) {
        for fd in fds {
            assert!(installed().contains(&fd.as_raw_fd()) && !self.numbers().contains(&fd.as_raw_fd()));
            self.0.push(fd);
        }
    }
}

/// The two kinds of buffer have the same methods.
macro_rules! run {
    ($ops:expr, $socket:expr, $control:expr, $move:expr) => {{
        let (socket, mut held, mut exact) = ($socket, Held::default(), RecvExact::new());
        let mut control = $control;
        let mut batch = None;
        for op in $ops {
            match op {
                Op::Receive { room, flags, no_peer, inheritable } => {
                    let mut data = vec![0; usize::from(*room)];
                    let mut header = MsgHdrMut::new();
                    header.data(&mut data);
                    let flags = RecvFlags::from_bits_truncate(i32::from(*flags) & !nix::libc::MSG_OOB);
                    header.flags(flags);
                    if *no_peer {
                        header.no_peer();
                    }
                    if *inheritable {
                        header.inheritable();
                    }
                    if let Ok(mut message) = header.recv(socket, &mut control) {
                        let _ = (message.extract(), message.require_complete().is_ok(), message.peer().is_some());
                        held.extend(message.take_fds().take(1));
                        assert!(message.fds().all(|fd| !held.numbers().contains(&fd.as_raw_fd())));
                    }
                }
                Op::Uninit { first, second } => {
                    let mut data = [[MaybeUninit::uninit(); 256], [MaybeUninit::uninit(); 256]];
                    let [one, two] = &mut data;
                    let mut header = MsgHdrMut::new();
                    header.uninit(&mut one[..usize::from(*first)]).uninit(&mut two[..usize::from(*second)]);
                    let came = header.recv(socket, &mut control).map(|message| message.len());
                    if let Ok(len) = came {
                        assert_eq!(header.filled().map(<[u8]>::len).sum::<usize>(), len);
                        assert!(header.filled().flatten().all(|byte| *byte == 0xd7));
                    }
                }
                Op::Exact { room, again } => {
                    if *again {
                        exact = RecvExact::new();
                    }
                    let mut data = vec![0; usize::from(*room)];
                    if let Ok(mut message) = exact.recv(socket, &mut data, &mut control) {
                        held.extend(message.take_fds().take(2));
                    }
                }
                Op::Take(count) => held.extend(control.take_fds().take(usize::from(*count))),
                Op::TakeExact => {
                    if let Ok(fds) = control.take_fds_exact::<2>() {
                        held.extend(fds);
                    }
                }
                Op::TakePidfd => {
                    if let Ok(Some(fd)) = control.take_pidfd() {
                        held.extend([fd]);
                    }
                }
                Op::Lend => {
                    let (numbers, open) = (held.numbers(), installed());
                    for fd in control.fds() {
                        assert!(open.contains(&fd.as_raw_fd()) && !numbers.contains(&fd.as_raw_fd()));
                        assert!(fd.as_fd().try_clone_to_owned().map(OwnedFd::into_raw).is_ok());
                    }
                }
                Op::Print => {
                    assert!(!format!("{control:?}").is_empty());
                    let _ = control.extract();
                }
                Op::Move => control = $move(control),
                Op::Clear => {
                    control.clear();
                    assert_eq!((control.fds().count(), control.cmsgs().count()), (0, 0));
                }
                Op::LetGo(count) => held.0.truncate(held.0.len().saturating_sub(usize::from(*count))),
                Op::BatchReceive => {
                    let batch = batch.get_or_insert_with(|| RecvBatch::<()>::with_control(3, 40, 104));
                    if let Ok(messages) = batch.recv(socket) {
                        for mut message in messages.take(2) {
                            held.extend(message.take_fds().take(1));
                        }
                    }
                }
                Op::BatchTake(count) => {
                    if let Some(batch) = &mut batch {
                        for mut message in batch.received() {
                            let _ = message.take_pidfd().map(|fd| held.extend(fd));
                            held.extend(message.take_fds().take(usize::from(*count)));
                        }
                    }
                }
                Op::BatchClear => {
                    if let Some(batch) = &mut batch {
                        batch.clear();
                    }
                }
            }
        }
        drop((control, batch));
        assert_eq!(installed(), held.numbers(), "what was not taken is closed");
    }};
}

/// The copy is nobody's but this test's.
trait IntoRaw {
    fn into_raw(self);
}

impl IntoRaw for OwnedFd {
    fn into_raw(self) {
        use std::os::fd::IntoRawFd;
        // Past the kernel that counts: it has not installed this one.
        // SAFETY: it is owned here, and gone with this.
        let closed = unsafe { nix::libc::syscall(nix::libc::SYS_close, self.into_raw_fd()) };
        assert_eq!(closed, 0);
    }
}

fuzz_target!(|input: Input| {
    static SOCKET: OnceLock<(UnixDatagram, File)> = OnceLock::new();
    let (socket, null) = SOCKET.get_or_init(|| (UnixDatagram::unbound().unwrap(), File::open("/dev/null").unwrap()));
    let Input { capacity, peer, answers, ops } = input;
    under(answers, peer, null.as_raw_fd(), || match capacity {
        255 => {
            type Meta = (PktInfo, ScmPidfd, ScmRightsSpace<9>);
            run!(&ops, socket, ControlBuf::<Meta>::new(), |control| *std::hint::black_box(Box::new(control)));
        }
        capacity => run!(&ops, socket, ControlVec::<()>::with_capacity(capacity.into()), |control| control),
    });
});
