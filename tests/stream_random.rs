//! Streams that carry descriptors, by chance: messages of any length with any number of descriptors, through sockets that
//! take little at a time, in reads of any length. Every byte and every descriptor arrives once, in order and in time.

#![cfg(target_os = "linux")]

mod common;

use std::{
    io::{self, ErrorKind, IoSlice},
    os::unix::net::UnixStream,
};

use ancillary::{
    ControlBuf, SocketExt,
    message::{RecvList, ScmRightsSpace},
    set_option,
    stream::{FdReader, FdWriter},
};
use common::{
    has_descriptors, no_leak, open_count,
    pairs::stream,
    pipes::{Marks, ino},
};
use nix::libc;
use proptest::{prelude::*, test_runner::TestRunner};

/// Descriptors that there are to choose from.
const MARKS: usize = 37;

#[derive(Clone, Copy, Debug)]
enum Way {
    /// With `queue`, owned or borrowed.
    Queue { owned: bool },
    /// With `push_fd` and `write`, owned by turns.
    Write,
    /// The same in three pieces.
    Vectored,
}

#[derive(Clone, Debug)]
struct Message {
    payload: usize,
    fds: usize,
    way: Way,
    flush: bool,
}

#[derive(Clone, Debug)]
struct Plan {
    messages: Vec<Message>,
    per_message: usize,
    gather: usize,
    /// 0 leaves what the system gives.
    sndbuf: i32,
    reads: Vec<usize>,
}

fn plans() -> impl Strategy<Value = Plan> {
    let way = prop_oneof![
        2 => Just(Way::Queue { owned: true }),
        2 => Just(Way::Queue { owned: false }),
        2 => Just(Way::Write),
        1 => Just(Way::Vectored)
    ];
    let payload = prop_oneof![4 => 0..40usize, 3 => 0..3000usize, 1 => 3000..60_000usize];
    let fds = prop_oneof![3 => Just(0), 4 => 1..4usize, 2 => 4..40usize, 1 => 250..400usize];
    let message = (payload, fds, way, any::<bool>());
    let message = message.prop_map(|(payload, fds, way, flush)| Message { payload, fds, way, flush });
    let limit = prop_oneof![Just(253), Just(28), 4..10usize];
    let reads = prop_oneof![1..30usize, 30..5000usize, Just(100_000)];
    let (sndbuf, gather) = (prop_oneof![Just(1), Just(20_000), Just(0)], prop_oneof![1..100usize, Just(8192)]);
    let messages = prop::collection::vec(message, 1..25);
    (messages, limit, gather, sndbuf, prop::collection::vec(reads, 1..9)).prop_map(
        |(mut messages, per_message, gather, sndbuf, reads)| {
            for message in &mut messages {
                message.fds = message.fds.min(per_message * (HEAD + message.payload));
            }
            Plan { messages, per_message, gather, sndbuf, reads }
        },
    )
}

/// Bytes before the payload: its length, and the number of descriptors.
const HEAD: usize = 6;

/// Which descriptors a message has, if so many were sent before.
fn choose(before: usize, count: usize) -> impl ExactSizeIterator<Item = usize> {
    (0..count).map(move |k| (before + k) * 7 % MARKS)
}

/// What is to arrive.
struct Expected {
    bytes: Vec<u8>,
    /// By number in the marks.
    fds: Vec<usize>,
    /// First byte, byte behind, descriptors before, descriptors with it.
    borders: Vec<(usize, usize, usize, usize)>,
}

fn expected(plan: &Plan) -> Expected {
    let mut all = Expected { bytes: Vec::new(), fds: Vec::new(), borders: Vec::new() };
    for message in &plan.messages {
        let (start, before) = (all.bytes.len(), all.fds.len());
        all.bytes.extend((message.payload as u32).to_be_bytes());
        all.bytes.extend((message.fds as u16).to_be_bytes());
        all.bytes.extend((0..message.payload).map(|k| (((start + k) * 31) >> 3) as u8));
        all.fds.extend(choose(before, message.fds));
        all.borders.push((start, all.bytes.len(), before, message.fds));
    }
    all
}

/// Queues and flushes as far as it goes.
struct Sender<'p, 'fd> {
    plan: &'p Plan,
    expected: &'p Expected,
    marks: &'fd Marks,
    out: FdWriter<'fd>,
    message: usize,
    /// Bytes of it that have been written, once its descriptors have been queued.
    written: Option<usize>,
    flush: bool,
}

fn later(error: &io::Error) -> bool {
    error.kind() == ErrorKind::WouldBlock || error.raw_os_error() == Some(libc::ETOOMANYREFS)
}

impl Sender<'_, '_> {
    /// Whether all has gone.
    fn step(&mut self, socket: &UnixStream) -> bool {
        loop {
            if self.flush {
                match self.out.flush(socket) {
                    Ok(()) => assert_eq!((self.out.pending(), self.out.pending_fds()), (0, 0)),
                    Err(error) => {
                        assert!(later(&error), "{error}");
                        return false;
                    }
                }
                self.flush = false;
            }
            let Some(message) = self.plan.messages.get(self.message) else { return true };
            let (start, end, before, count) = self.expected.borders[self.message];
            let bytes = &self.expected.bytes[start..end];
            let fds = choose(before, count).map(|k| &self.marks.fds[k]);
            match message.way {
                Way::Queue { owned: false } => self.out.queue(bytes, fds).unwrap(),
                Way::Queue { owned: true } => {
                    self.out.queue(bytes, fds.map(|fd| fd.try_clone().unwrap())).unwrap();
                }
                Way::Write | Way::Vectored => {
                    if self.written.is_none() {
                        for (k, fd) in fds.enumerate() {
                            match k % 2 {
                                0 => self.out.push_fd(fd),
                                _ => self.out.push_fd(fd.try_clone().unwrap()),
                            }
                        }
                    }
                    let written = self.written.get_or_insert(0);
                    while *written < bytes.len() {
                        let rest = &bytes[*written..];
                        let pieces = [&rest[..rest.len() / 3], &rest[rest.len() / 3..], b""].map(IoSlice::new);
                        let taken = match message.way {
                            Way::Vectored => self.out.write_vectored(socket, &pieces),
                            _ => self.out.write(socket, rest),
                        };
                        match taken {
                            Ok(0) => panic!("nothing taken of {} bytes", rest.len()),
                            Ok(taken) => *written += taken,
                            Err(error) => {
                                assert!(later(&error), "{error}");
                                return false;
                            }
                        }
                    }
                    self.written = None;
                }
            }
            self.message += 1;
            self.flush = message.flush || self.message == self.plan.messages.len();
        }
    }
}

fn run(plan: &Plan, marks: &Marks, mut receive: impl FnMut(&UnixStream, usize) -> io::Result<bool>) {
    let before = open_count();
    {
        let (a, b) = stream();
        a.set_nonblocking(true).unwrap();
        b.set_nonblocking(true).unwrap();
        if plan.sndbuf > 0 {
            set_option(&a, libc::SOL_SOCKET, libc::SO_SNDBUF, plan.sndbuf).unwrap();
        }
        let expected = &expected(plan);
        let out = FdWriter::new().with_fds_per_message(plan.per_message).with_capacity(plan.gather);
        let mut sender = Sender { plan, expected, marks, out, message: 0, written: None, flush: false };
        let (mut reads, mut done) = (plan.reads.iter().cycle(), false);
        loop {
            done = done || sender.step(&a);
            match receive(&b, *reads.next().unwrap()) {
                Ok(true) => break,
                Ok(false) => {}
                Err(error) => assert!(!done && error.kind() == ErrorKind::WouldBlock, "nothing more comes: {error}"),
            }
        }
        assert!(done, "all has arrived before all was sent");
        assert_eq!(open_count(), before + 2, "all has gone, so nothing but the sockets is open");
    }
    assert_eq!(open_count(), before);
}

fn cases(test: &str, count: u32, f: impl Fn(&Plan, &Marks)) {
    if !has_descriptors(test) {
        return;
    }
    no_leak(|| {
        let marks = Marks::new(MARKS);
        let config = ProptestConfig { cases: count, failure_persistence: None, ..ProptestConfig::default() };
        TestRunner::new(config)
            .run(&plans(), |plan| {
                f(&plan, &marks);
                Ok(())
            })
            .unwrap();
    });
}

#[test]
fn every_descriptor_arrives_once_with_its_byte_and_none_earlier() {
    cases("every_descriptor_arrives_once_with_its_byte_and_none_earlier", 150, |plan, marks| {
        let expected = expected(plan);
        let (mut bytes, mut fds) = (Vec::new(), Vec::new());
        type Most = ScmRightsSpace<253>;
        let mut control = ControlBuf::<Most, { Most::SPACE }>::new();
        run(plan, marks, |socket, room| {
            let mut data = vec![0; room];
            let mut message = socket.recv_msg(&mut data, &mut control)?;
            message.require_complete().unwrap();
            bytes.extend_from_slice(message.data());
            let came: Vec<_> = message.take_fds().map(ino).collect();
            assert!(came.len() <= plan.per_message);
            fds.extend(came);
            for &(start, end, before, count) in &expected.borders {
                if bytes.len() <= start {
                    assert!(fds.len() <= before, "descriptors of a message before its first byte");
                }
                if bytes.len() > start {
                    let due = plan.per_message * (bytes.len() - start);
                    assert!(fds.len() >= before + count.min(due), "{} descriptors late", before + count - fds.len());
                }
                if bytes.len() >= end {
                    assert!(fds.len() >= before + count, "the message is there without its descriptors");
                }
            }
            Ok(bytes.len() == expected.bytes.len())
        });
        assert!(bytes == expected.bytes);
        assert!(fds.into_iter().eq(expected.fds.iter().map(|&k| marks.inos[k])));
    });
}

#[test]
fn every_message_is_read_with_its_descriptors_and_no_others() {
    cases("every_message_is_read_with_its_descriptors_and_no_others", 150, |plan, marks| {
        let expected = expected(plan);
        let mut incoming = FdReader::new().with_capacity(plan.gather).with_max_fds(700);
        let (mut next, mut whole) = (0, Vec::new());
        // Into its own buffer, or, where all lengths are odd, into the caller's.
        let own = plan.reads[0] % 2 == 0;
        run(plan, marks, |socket, room| {
            if own {
                assert!(incoming.fill(socket)? > 0);
            } else {
                let (at, mut data) = (whole.len(), vec![0; room]);
                let came = incoming.recv(socket, &mut data)?;
                assert!(came > 0 && incoming.buffer().is_empty());
                whole.extend_from_slice(&data[..came]);
                assert!(whole[at..] == expected.bytes[at..at + came]);
            }
            while let Some(&(start, end, before, count)) = expected.borders.get(next) {
                let there = if own { incoming.buffer().len() } else { whole.len().saturating_sub(start) };
                if there < end - start {
                    break;
                }
                let inos: Vec<_> = if own {
                    let (message, fds) = incoming.take_message(end - start, count).unwrap();
                    assert!(*message == expected.bytes[start..end]);
                    fds.map(ino).collect()
                } else {
                    incoming.pop_fds(count).unwrap().map(ino).collect()
                };
                assert!(inos.iter().copied().eq(expected.fds[before..before + count].iter().map(|&k| marks.inos[k])));
                next += 1;
            }
            Ok(next == expected.borders.len())
        });
        assert_eq!((incoming.buffer().len(), incoming.fds().len(), incoming.error()), (0, 0, None));
    });
}
