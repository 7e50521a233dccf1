//! Peers that are killed in the middle: of a long message, a frame, queues of a stream, a batch, a send without a copy. What
//! they took and what is left are together what was said to have gone; what they sent arrives up to where they were.

#![cfg(target_os = "linux")]

mod common;

use std::{
    fs,
    io::{self, ErrorKind, Read},
    net::TcpStream,
    os::{
        fd::{AsFd, OwnedFd},
        unix::net::UnixStream,
    },
    process::{Child, Stdio},
    thread,
    time::Instant,
};

use ancillary::{
    ControlBuf, MsgHdr, RecvExact, ShortReadError, SocketExt, ZeroCopy,
    batch::{RecvBatch, SendBatch},
    message::{ScmRights, ScmRightsSpace},
    stream::{FdReader, FdWriter},
};
use common::{
    TIMEOUT,
    again::{again, is_child},
    cause, no_leak, open_count,
    pairs::{KINDS, V4, pair, stream, tcp},
    pipes::{contents, names, numbered},
    starting::Start,
};
use nix::{
    libc,
    sys::{
        signal::{Signal, raise},
        socket::SockType,
        wait::{WaitPidFlag, WaitStatus, waitpid},
    },
    unistd::Pid,
};

/// The other process: the same test once more. It is killed with the test, whatever happens.
struct Peer(Child);

impl Peer {
    fn start(name: &str, socket: impl Into<OwnedFd>) -> Self {
        Self(again(name, &[]).stdin(socket.into()).stdout(Stdio::null()).start().unwrap())
    }

    fn pid(&self) -> Pid {
        Pid::from_raw(self.0.id() as i32)
    }

    /// Waits until it has stopped itself, where it was told to.
    fn stopped(&self) {
        let status = waitpid(self.pid(), Some(WaitPidFlag::WUNTRACED));
        assert_eq!(status, Ok(WaitStatus::Stopped(self.pid(), Signal::SIGSTOP)));
    }

    /// Waits until a call of its that sends has to wait: all its threads sleep, one of them in a call on a socket.
    fn full(&self) {
        let start = Instant::now();
        let tasks = format!("/proc/{}/task", self.pid());
        let waits = |task: io::Result<fs::DirEntry>| {
            let stat = fs::read_to_string(task.unwrap().path().join("stat")).unwrap_or_default();
            stat.rsplit_once(')').is_some_and(|(_, state)| state.starts_with(" S"))
        };
        // It says when it begins, and makes no other call that waits from then on.
        while !fs::read_dir(&tasks).unwrap().all(waits) {
            assert!(start.elapsed() < TIMEOUT.unwrap(), "it does not wait");
            thread::yield_now();
        }
    }

    /// SIGKILL.
    fn kill(mut self) {
        self.0.kill().unwrap();
        assert!(!self.0.wait().unwrap().success());
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The socket that the parent has made our standard input.
fn parent<S: From<OwnedFd>>() -> S {
    io::stdin().as_fd().try_clone_to_owned().unwrap().into()
}

fn stop() {
    raise(Signal::SIGSTOP).unwrap();
}

/// That the peer is there no longer: with ECONNRESET first, if it had not read everything.
fn is_gone(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::BrokenPipe | ErrorKind::ConnectionReset)
}

fn pattern(len: usize) -> Vec<u8> {
    (0..len as u32).map(|i| (i.wrapping_mul(0x9e37_79b1) >> 23) as u8).collect()
}

const LEN: usize = 1_000_000;

#[test]
fn a_reader_that_is_killed_ends_a_long_message() {
    const TAKES: usize = 10_000;
    let name = "a_reader_that_is_killed_ends_a_long_message";
    if is_child() {
        let socket: UnixStream = parent();
        let (mut data, mut control) = (vec![0; TAKES], ControlBuf::<()>::new());
        assert_eq!(socket.recv_exact(&mut data, &mut control).unwrap().fds().count(), 3);
        return stop();
    }
    let data = pattern(LEN);
    // With a copy of its socket here, what it did not read can be looked at.
    for copy in [false, true] {
        no_leak(|| {
            let ((a, b), fds) = (stream(), numbered(3));
            let copied = copy.then(|| b.try_clone().unwrap());
            let peer = Peer::start(name, b);
            let mut header = MsgHdr::new();
            header.data(&data[..LEN / 3]).data(&data[LEN / 3..]).control(ScmRights::new(&fds));
            let result = thread::scope(|scope| {
                let sends = scope.spawn(|| header.send_all(&a));
                peer.stopped();
                peer.kill();
                if let Some(mut rest) = copied {
                    let mut all = vec![0; LEN - TAKES];
                    let mut control = ControlBuf::<()>::new();
                    assert_eq!(rest.recv_exact(&mut all, &mut control).unwrap().fds().count(), 0);
                    assert!(all == data[TAKES..], "from where it was killed, and nothing twice");
                    a.shutdown(std::net::Shutdown::Write).unwrap();
                    assert_eq!(rest.read(&mut [0]).unwrap(), 0);
                }
                sends.join().unwrap()
            });
            if copy {
                return assert_eq!(result.unwrap(), LEN);
            }
            assert!(is_gone(&result.unwrap_err()));
            assert!((TAKES..LEN).contains(&header.sent()), "{}", header.sent());
        });
    }
}

#[test]
fn a_writer_that_is_killed_leaves_a_part_of_a_frame() {
    const PART: usize = 7_000;
    let name = "a_writer_that_is_killed_leaves_a_part_of_a_frame";
    if is_child() {
        let socket: UnixStream = parent();
        let (data, fds) = (pattern(PART), numbered(4));
        let mut header = MsgHdr::new();
        header.data(&data[..5_000]).control(ScmRights::new(&fds[..2])).send_all(&socket).unwrap();
        header = MsgHdr::new();
        header.data(&data[5_000..]).control(ScmRights::new(&fds[2..])).send_all(&socket).unwrap();
        return stop();
    }
    no_leak(|| {
        let (a, b) = stream();
        let peer = Peer::start(name, b);
        let (mut data, mut control, mut exact) = (vec![0; 2 * PART], ControlBuf::<()>::new(), RecvExact::new());
        let error = thread::scope(|scope| {
            let receives = scope.spawn(|| exact.recv(&a, &mut data, &mut control).map(drop).unwrap_err());
            peer.stopped();
            peer.kill();
            receives.join().unwrap()
        });
        let short: ShortReadError = cause(&error).unwrap();
        assert_eq!((short.expected, short.received, exact.received()), (2 * PART, PART, PART));
        assert_eq!(error.kind(), ErrorKind::UnexpectedEof);
        assert!(data[..PART] == pattern(PART));
        assert_eq!(contents(control.take_fds()), names(0..4));
    });
}

/// Messages of this length, each with a descriptor, that says its number.
const QUEUED: usize = 3_000;
const MESSAGES: usize = 200;

fn queue<'fd>(fds: impl IntoIterator<Item = OwnedFd>) -> FdWriter<'fd> {
    let (mut out, data) = (FdWriter::new(), pattern(QUEUED * MESSAGES));
    for (message, fd) in data.chunks(QUEUED).zip(fds) {
        out.queue(message, [fd]).unwrap();
    }
    out
}

#[test]
fn queues_end_where_the_writer_was_killed() {
    let name = "queues_end_where_the_writer_was_killed";
    if is_child() {
        let socket: UnixStream = parent();
        let mut out = queue(numbered(MESSAGES));
        MsgHdr::new().data(b"!").send(&socket).unwrap();
        return out.flush(&socket).unwrap();
    }
    no_leak(|| {
        for reads in [0, 5, 50] {
            let (a, b) = stream();
            let peer = Peer::start(name, b);
            a.recv_exact(&mut [0], &mut ControlBuf::<()>::new()).unwrap();
            let (mut incoming, mut fds) = (FdReader::new(), Vec::new());
            let mut take = |incoming: &mut FdReader| fds.extend(std::iter::from_fn(|| incoming.pop_fd()));
            for _ in 0..reads {
                assert!(incoming.fill(&a).unwrap() > 0);
                take(&mut incoming);
            }
            peer.full();
            peer.kill();
            while incoming.fill(&a).unwrap() > 0 {
                take(&mut incoming);
            }
            let came = incoming.buffer();
            assert!(incoming.is_eof() && came.len() > 10 * QUEUED && came.len() < MESSAGES * QUEUED);
            assert!(*came == pattern(came.len()), "in order, without a gap");
            assert_eq!(contents(fds), names(0..came.len().div_ceil(QUEUED)), "one with each first byte");
        }
    });
}

#[test]
fn queues_tell_that_the_reader_was_killed() {
    const TAKES: usize = 10;
    let name = "queues_tell_that_the_reader_was_killed";
    if is_child() {
        let (socket, mut incoming) = (parent::<UnixStream>(), FdReader::new());
        while incoming.buffer().len() < TAKES * QUEUED {
            assert!(incoming.fill(&socket).unwrap() > 0);
            while incoming.pop_fd().is_some() {}
        }
        return stop();
    }
    no_leak(|| {
        let (a, b) = stream();
        let peer = Peer::start(name, b);
        let mut out = queue(numbered(MESSAGES));
        let before = open_count();
        thread::scope(|scope| {
            let sends = scope.spawn(|| out.flush(&a).unwrap_err());
            peer.stopped();
            peer.kill();
            assert!(is_gone(&sends.join().unwrap()));
        });
        let gone = QUEUED * MESSAGES - out.pending();
        assert!(gone >= TAKES * QUEUED);
        // Those that have gone are closed, those that wait are open until they are given up.
        let went = gone.div_ceil(QUEUED);
        assert_eq!(out.pending_fds(), MESSAGES - went);
        for _ in 0..2 {
            assert_eq!(out.flush(&a).unwrap_err().raw_os_error(), Some(libc::EPIPE));
            assert_eq!((out.pending_fds(), QUEUED * MESSAGES - out.pending()), (MESSAGES - went, gone));
        }
        out.clear();
        // All are closed, and what there was of the child too.
        assert!(open_count() + MESSAGES <= before);
    });
}

#[test]
fn a_batch_ends_where_its_peer_was_killed() {
    const TAKES: usize = 3;
    let name = "a_batch_ends_where_its_peer_was_killed";
    if is_child() {
        let (socket, mut received) = (parent::<UnixStream>(), RecvBatch::<ScmRightsSpace<1>>::new(TAKES, 6_000));
        let mut count = 0;
        while count < TAKES {
            let mut some = RecvBatch::<ScmRightsSpace<1>>::new(TAKES - count, 6_000);
            count += some.recv(&socket).unwrap().map(|m| assert_eq!(m.fds().count(), 1)).count();
        }
        received.clear();
        return stop();
    }
    for kind in KINDS {
        for copy in [false, true] {
            no_leak(|| {
                let ((a, b), fds, data) = (pair(kind), numbered(100), pattern(5_000));
                let copied = copy.then(|| b.try_clone().unwrap());
                let peer = Peer::start(name, b);
                let mut room = SendBatch::new(100);
                let mut batch = room.begin();
                for fd in &fds {
                    batch.message().data(&data).control(ScmRights::new([fd])).queue().unwrap();
                }
                let (mut found, mut received) = (0, RecvBatch::<ScmRightsSpace<1>>::new(9, 6_000));
                let result = thread::scope(|scope| {
                    let sends = scope.spawn(|| batch.send_all(&a));
                    peer.stopped();
                    peer.kill();
                    let mut texts = Vec::new();
                    while copy && found < (100 - TAKES) * 5_000 {
                        for mut m in received.recv(copied.as_ref().unwrap()).unwrap() {
                            found += m.len();
                            texts.extend(contents(m.take_fds()));
                        }
                    }
                    if copy {
                        assert_eq!(texts, names(TAKES..100));
                    }
                    sends.join().unwrap()
                });
                if copy {
                    return assert_eq!((result.unwrap(), batch.sent()), (100, 100));
                }
                let error = result.unwrap_err();
                let unconnected = [Some(libc::ECONNREFUSED), Some(libc::ENOTCONN)];
                let datagram = kind == SockType::Datagram && unconnected.contains(&error.raw_os_error());
                assert!(datagram || is_gone(&error), "{kind:?}: {error}");
                assert!((TAKES..100).contains(&batch.sent()), "{kind:?} {batch:?}");
            });
        }
    }
}

#[test]
fn messages_arrive_up_to_where_the_sender_was_killed() {
    let name = "messages_arrive_up_to_where_the_sender_was_killed";
    if is_child() {
        let (socket, fds) = (parent::<UnixStream>(), numbered(300));
        let texts: Vec<_> = (0..300).map(|k| format!("{k:04}")).collect();
        let mut room = SendBatch::new(300);
        let mut batch = room.begin();
        for (text, fd) in texts.iter().zip(&fds) {
            batch.message().data(text.as_bytes()).control(ScmRights::new([fd])).queue().unwrap();
        }
        socket.send_fds(b"!", [&socket]).unwrap();
        return drop(batch.send_all(&socket));
    }
    no_leak(|| {
        let (a, b) = pair(SockType::SeqPacket);
        let peer = Peer::start(name, b);
        drop(a.recv_fds::<1>(&mut [0]).unwrap());
        peer.full();
        peer.kill();
        let (mut batch, mut texts, mut fds, mut end) =
            (RecvBatch::<ScmRightsSpace<1>>::new(7, 4), vec![], vec![], false);
        while !end {
            for mut message in batch.recv(&a).unwrap() {
                // The end, which is none of a stream's.
                end |= message.is_empty();
                if !end {
                    texts.push(String::from_utf8(message.data().to_vec()).unwrap());
                    fds.extend(message.take_fds());
                }
            }
        }
        assert!(!texts.is_empty() && texts.len() < 300);
        assert_eq!(texts, (0..texts.len()).map(|k| format!("{k:04}")).collect::<Vec<_>>());
        assert_eq!(contents(fds), names(0..texts.len()));
    });
}

#[test]
fn buffers_come_back_when_the_peer_was_killed() {
    let name = "buffers_come_back_when_the_peer_was_killed";
    if is_child() {
        let mut socket: TcpStream = parent();
        socket.read_exact(&mut [0; 1_000]).unwrap();
        return stop();
    }
    no_leak(|| {
        let (peer, socket) = tcp(V4);
        let peer = Peer::start(name, peer);
        socket.set_nonblocking(true).unwrap();
        let mut out = ZeroCopy::new(&socket).unwrap();
        let (mut taken, mut back) = (Vec::new(), Vec::new());
        for number in 0..200u8 {
            match out.send(vec![number; 50_000]) {
                Ok(_) => taken.push(number),
                Err(error) => {
                    assert_eq!(error.buffer, Some(vec![number; 50_000]));
                    break;
                }
            }
            if out.unsent() > 0 {
                break;
            }
        }
        assert!(!taken.is_empty());
        peer.stopped();
        peer.kill();
        out.abandon(|buffer, _| back.push(buffer[0]));
        while out.pending() > 0 {
            assert!(out.wait(TIMEOUT.unwrap(), |buffer, _| back.push(buffer[0])).unwrap() > 0, "{out:?}");
        }
        // What was not acknowledged and what was not sent are given up in either order.
        back.sort_unstable();
        assert_eq!(back, taken);
        // Told once as what it was, then as a stream that is closed.
        let errors = [(); 3].map(|()| out.send(vec![1; 10]).unwrap_err().error.raw_os_error().unwrap());
        assert!(matches!(errors[0], libc::ECONNRESET | libc::EPIPE) && errors[1..] == [libc::EPIPE; 2], "{errors:?}");
    });
}
