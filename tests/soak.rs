//! Many threads of two processes exchange descriptors for as long as is asked: single calls, batches and streams, whole and
//! truncated messages of any size. In the end both sides have counted the same bytes and descriptors, the same descriptors
//! are open as before, and memory has not grown.
//!
//! `cargo test --release --test soak -- --ignored` runs for a minute, or for `SOAK_SECONDS`.

#![cfg(target_os = "linux")]

mod common;

use std::{
    env, fs,
    io::{ErrorKind, Read, Write},
    net::Shutdown,
    os::{
        fd::{AsFd, OwnedFd},
        unix::net::UnixStream,
    },
    process::Stdio,
    thread,
    time::{Duration, Instant},
};

use ancillary::{
    ControlVec, MsgFlags, MsgHdr, Received, SocketExt,
    batch::{RecvBatch, SendBatch},
    message::{RecvList, ScmRights},
    stream::FdStream,
};
use common::{
    TIMEOUT,
    again::{again, is_child},
    has_descriptors, no_leak, open_count,
    pairs::pair,
    pipes::{Marks, ino},
    starting::Start,
};
use nix::{libc, sys::socket::SockType};

/// Length, number of descriptors, which one is the first.
const HEAD: usize = 12;
const LONGEST: usize = 9000;
const MOST: usize = 24;
const WAYS: [Way; 3] = [Way::Single, Way::Batch, Way::Stream];

#[derive(Clone, Copy, Debug)]
enum Way {
    Single,
    Batch,
    Stream,
}

impl Way {
    fn pair(self) -> (UnixStream, UnixStream) {
        pair(if matches!(self, Self::Stream) { SockType::Stream } else { SockType::SeqPacket })
    }
}

/// How long: so many messages for each sender, or until then.
#[derive(Clone, Copy)]
enum Bound {
    Messages(u64),
    Until(Instant),
}

impl Bound {
    const CHILD: &str = "SOAK_BOUND";

    fn reached(self, sent: u64) -> bool {
        match self {
            Self::Messages(most) => sent >= most,
            Self::Until(end) => Instant::now() >= end,
        }
    }

    fn to_text(self) -> String {
        match self {
            Self::Messages(most) => format!("messages {most}"),
            Self::Until(end) => format!("millis {}", end.saturating_duration_since(Instant::now()).as_millis()),
        }
    }

    fn from_text(text: &str) -> Self {
        let (kind, number) = text.split_once(' ').unwrap();
        let number = number.parse().unwrap();
        if kind == "messages" {
            Self::Messages(number)
        } else {
            Self::Until(Instant::now() + Duration::from_millis(number))
        }
    }
}

/// Marsaglia's xorshift.
struct Chance(u64);

impl Chance {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) as usize % limit
    }
}

#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
struct Count {
    messages: u64,
    bytes: u64,
    fds: u64,
    /// Those messages of which something was cut.
    cut: u64,
}

impl Count {
    fn add(&mut self, other: Self) {
        self.messages += other.messages;
        self.bytes += other.bytes;
        self.fds += other.fds;
        self.cut += other.cut;
    }

    fn to_text(self) -> String {
        format!("{} {} {} {}\n", self.messages, self.bytes, self.fds, self.cut)
    }

    fn from_text(text: &str) -> Self {
        let mut numbers = text.split(' ').map(|number| number.parse().unwrap());
        let mut next = || numbers.next().unwrap();
        Self { messages: next(), bytes: next(), fds: next(), cut: next() }
    }
}

/// The descriptors of a message: so many, from this one on.
fn choose(marks: &Marks, first: usize, count: usize) -> impl ExactSizeIterator<Item = &OwnedFd> + Clone {
    (0..count).map(move |k| &marks.fds[(first + k) % MOST])
}

fn message(chance: &mut Chance) -> (Vec<u8>, usize, usize) {
    let len = HEAD + if chance.below(4) == 0 { chance.below(LONGEST - HEAD) } else { chance.below(200) };
    let (count, first) = (if chance.below(3) == 0 { 0 } else { chance.below(MOST) }, chance.below(MOST));
    let mut bytes = vec![first as u8; len];
    for (at, number) in [len, count, first].into_iter().enumerate() {
        bytes[4 * at..4 * at + 4].copy_from_slice(&(number as u32).to_ne_bytes());
    }
    (bytes, count, first)
}

fn head(bytes: &[u8]) -> [usize; 3] {
    [0, 4, 8].map(|at| u32::from_ne_bytes(bytes[at..at + 4].try_into().unwrap()) as usize)
}

/// Repeats what fails for too many descriptors in flight.
fn patiently<T>(mut step: impl FnMut() -> std::io::Result<T>) -> T {
    for _ in 0..1_000_000 {
        match step() {
            Ok(value) => return value,
            Err(error) if error.raw_os_error() == Some(libc::ETOOMANYREFS) => thread::yield_now(),
            Err(error) => panic!("{error}"),
        }
    }
    panic!("nobody takes the descriptors");
}

fn send(way: Way, socket: &UnixStream, bound: Bound, marks: &Marks, seed: u64) -> Count {
    let (mut chance, mut count) = (Chance(seed), Count::default());
    let mut stream = FdStream::new(socket);
    let mut room = SendBatch::with_room(8, 8, 8 * 128);
    while !bound.reached(count.messages) {
        let messages: Vec<_> = (0..1 + chance.below(8)).map(|_| message(&mut chance)).collect();
        match way {
            Way::Single => {
                for (bytes, fds, first) in &messages {
                    let (one, two) = bytes.split_at(bytes.len() / 3);
                    let fds = ScmRights::new(choose(marks, *first, *fds));
                    let mut header = MsgHdr::new();
                    header.data(one).data(two).control(fds);
                    assert_eq!(patiently(|| header.send(socket)), bytes.len());
                }
            }
            Way::Batch => {
                let mut batch = room.begin();
                for (bytes, fds, first) in &messages {
                    batch.message().data(bytes).control(ScmRights::new(choose(marks, *first, *fds))).queue().unwrap();
                }
                patiently(|| batch.send_all(socket));
                assert_eq!(batch.sent(), messages.len());
            }
            Way::Stream => {
                for (bytes, fds, first) in &messages {
                    let fds = choose(marks, *first, *fds);
                    if chance.below(2) == 0 {
                        stream.queue(bytes, fds.map(|fd| fd.try_clone().unwrap())).unwrap();
                    } else {
                        stream.queue(bytes, fds).unwrap();
                    }
                }
                patiently(|| stream.flush());
            }
        }
        for (bytes, fds, _) in &messages {
            count.add(Count { messages: 1, bytes: bytes.len() as u64, fds: *fds as u64, cut: 0 });
        }
    }
    socket.shutdown(Shutdown::Write).unwrap();
    count
}

/// Counts what a message had when it was sent, after a look at what is here of it.
fn look<L: RecvList, D>(message: &mut Received<'_, L, D>, bytes: &[u8], inos: &[u64], chance: &mut Chance) -> Count {
    let [len, fds, first] = head(bytes);
    let flags = message.flags();
    let (trunc, ctrunc) = (flags.contains(MsgFlags::TRUNC), flags.contains(MsgFlags::CTRUNC));
    assert!(if trunc { bytes.len() < len } else { bytes.len() == len });
    assert!(bytes[HEAD..].iter().all(|byte| usize::from(*byte) == first));
    let here = message.fds().count();
    assert!(if ctrunc { here < fds } else { here == fds }, "{here} of {fds}, {flags:?}");
    let take = if chance.below(3) == 0 { chance.below(MOST) } else { MOST };
    let taken: Vec<_> = message.take_fds().take(take).collect();
    assert_eq!(taken.len(), here.min(take));
    for (k, fd) in taken.iter().enumerate() {
        assert_eq!(ino(fd), inos[(first + k) % MOST]);
    }
    Count { messages: 1, bytes: len as u64, fds: fds as u64, cut: (trunc || ctrunc).into() }
}

fn receive(way: Way, socket: &UnixStream, inos: &[u64], seed: u64) -> Count {
    let (mut chance, mut count) = (Chance(seed), Count::default());
    let mut data = vec![0; LONGEST];
    let sizes = |chance: &mut Chance| match chance.below(3) {
        0 => (HEAD + chance.below(100), chance.below(130)),
        _ => (LONGEST, 16 + 4 * MOST),
    };
    if let Way::Stream = way {
        let mut stream = FdStream::new(socket);
        loop {
            let whole = stream.buffer().len() >= HEAD && stream.buffer().len() >= head(stream.buffer())[0];
            if whole {
                let [len, fds, first] = head(stream.buffer());
                let (bytes, fds_here) = stream.take_message(len, fds).unwrap();
                assert!(bytes[HEAD..].iter().all(|byte| usize::from(*byte) == first));
                assert!(fds_here.enumerate().all(|(k, fd)| ino(fd) == inos[(first + k) % MOST]));
                count.add(Count { messages: 1, bytes: len as u64, fds: fds as u64, cut: 0 });
            } else if stream.fill().unwrap() == 0 {
                assert!(stream.buffer().is_empty() && stream.pop_fd().is_none());
                return count;
            }
        }
    }
    loop {
        let (room, control) = sizes(&mut chance);
        match way {
            Way::Single => {
                let mut control = ControlVec::<()>::with_capacity(control);
                for _ in 0..8 {
                    let mut message = socket.recv_msg(&mut data[..room], &mut control).unwrap();
                    if message.is_empty() {
                        return count;
                    }
                    let bytes = message.data();
                    count.add(look(&mut message, bytes, inos, &mut chance));
                }
            }
            _ => {
                let mut batch = RecvBatch::<()>::with_control(1 + chance.below(12), room, control);
                for _ in 0..4 {
                    for mut message in batch.recv(socket).unwrap() {
                        if message.is_empty() {
                            return count;
                        }
                        let bytes = message.data();
                        count.add(look(&mut message, bytes, inos, &mut chance));
                    }
                }
            }
        }
    }
}

/// `VmRSS` in KiB.
fn resident() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

/// What one process does: sends and receives on these ends, all at once.
struct End {
    way: Way,
    socket: UnixStream,
    sends: bool,
}

fn exchange(ends: Vec<End>, bound: Bound, marks: &Marks) -> Vec<Count> {
    let one = |(k, end): (usize, &End)| {
        let (way, socket, seed) = (end.way, &end.socket, 0x9e37_79b9_7f4a_7c15 ^ (k as u64 + 1));
        if end.sends { send(way, socket, bound, marks, seed) } else { receive(way, socket, &marks.inos, seed) }
    };
    let counts = thread::scope(|scope| {
        let threads: Vec<_> = ends.iter().enumerate().map(|end| scope.spawn(move || one(end))).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    drop(ends);
    counts
}

/// The other process: it gets its ends, and the descriptors to send, through its standard input.
fn child() {
    let parent = UnixStream::from(std::io::stdin().as_fd().try_clone_to_owned().unwrap());
    parent.set_read_timeout(TIMEOUT).unwrap();
    let before = open_count();
    let resident_before = resident();
    let bound = Bound::from_text(&env::var(Bound::CHILD).unwrap());
    let fds = parent.recv_fds::<MOST>(&mut [0; 1]).unwrap().exact().unwrap();
    let inos = fds.iter().map(ino).collect();
    let marks = Marks { fds: fds.into(), inos };
    let sockets = parent.recv_fds::<{ 2 * WAYS.len() }>(&mut [0; 1]).unwrap().exact().unwrap();
    let end = |(k, socket): (usize, OwnedFd)| {
        let socket = UnixStream::from(socket);
        End { way: WAYS[k / 2], socket, sends: k % 2 == 1 }
    };
    let counts = exchange(sockets.into_iter().enumerate().map(end).collect(), bound, &marks);
    drop(marks);
    assert_eq!(open_count(), before);
    let text: String = counts.into_iter().map(Count::to_text).collect();
    flat(resident_before);
    (&parent).write_all(text.as_bytes()).unwrap();
}

/// Threads, their stacks and what the allocator keeps are some megabytes; a leak of a minute would be more.
fn flat(before: u64) {
    let (now, most) = (resident(), before + 32 * 1024);
    assert!(now < most, "{now} KiB are resident, {before} before");
}

fn soak(test: &str, bound: Bound) {
    if is_child() {
        return child();
    }
    if !has_descriptors(test) {
        return;
    }
    no_leak(|| {
        let marks = Marks::new(MOST);
        let resident_before = resident();
        let (parent, other) = common::pairs::stream();
        let mut process = again(test, &[])
            .args(["--include-ignored"])
            .env(Bound::CHILD, bound.to_text())
            .stdin(Stdio::from(OwnedFd::from(other)))
            .stdout(Stdio::null())
            .start()
            .unwrap();

        // To the other process and from it, and from thread to thread in this one.
        let (mut ends, mut theirs) = (Vec::new(), Vec::new());
        for way in WAYS {
            for sends in [true, false] {
                let (ours, other) = way.pair();
                ends.push(End { way, socket: ours, sends });
                theirs.push(other);
            }
        }
        for way in WAYS {
            let (a, b) = way.pair();
            ends.extend([End { way, socket: a, sends: true }, End { way, socket: b, sends: false }]);
        }
        parent.send_fds(b"m", &marks.fds).unwrap();
        parent.send_fds(b"s", &theirs).unwrap();
        drop(theirs);
        let counts = exchange(ends, bound, &marks);

        let mut text = String::new();
        let read = (&parent).read_to_string(&mut text);
        assert!(process.wait().unwrap().success(), "the other process: {text}");
        assert!(read.is_ok() || read.is_err_and(|error| error.kind() == ErrorKind::ConnectionReset));
        let counts_there: Vec<_> = text.lines().map(Count::from_text).collect();
        assert_eq!(counts_there.len(), 2 * WAYS.len());
        let within = counts[2 * WAYS.len()..].chunks(2).map(|both| (both[0], both[1]));
        let (mut all, mut cut) = (Count::default(), 0);
        for (one, other) in counts.iter().copied().zip(counts_there).chain(within) {
            let same = |count: Count| Count { cut: 0, ..count };
            assert_eq!(same(one), same(other), "both sides have counted the same");
            assert!(one.messages > 0);
            all.add(same(one));
            cut += one.cut + other.cut;
        }
        assert!(cut > 0, "some were truncated");
        let (now, fds) = (resident(), open_count());
        println!(
            "{all:?}, {cut} of them cut; resident {resident_before} KiB before, {now} after; {fds} descriptors open"
        );
        flat(resident_before);
    });
}

#[test]
fn threads_and_processes_exchange_descriptors_and_count_the_same() {
    soak("threads_and_processes_exchange_descriptors_and_count_the_same", Bound::Messages(300));
}

#[test]
#[ignore = "takes a minute: cargo test --release --test soak -- --ignored"]
fn they_do_for_a_minute_and_memory_stays_flat() {
    let seconds = env::var("SOAK_SECONDS").map_or(60, |seconds| seconds.parse().unwrap());
    let end = Instant::now() + Duration::from_secs(seconds);
    soak("they_do_for_a_minute_and_memory_stays_flat", Bound::Until(end));
}
