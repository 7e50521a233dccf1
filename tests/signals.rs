//! Signals with a handler, without `SA_RESTART`, during every call that waits: it goes on where it was.

#![cfg(target_os = "linux")]

mod common;

use std::{
    fs,
    io::Read,
    net::Shutdown,
    os::{fd::AsRawFd, unix::net::UnixStream},
    sync::atomic::{AtomicI32, Ordering},
    thread,
    time::{Duration, Instant},
};

use ancillary::{
    ControlBuf, MsgHdr, SocketExt, ZeroCopy,
    batch::{RecvBatch, SendBatch},
    message::{ExtendedError, ScmRights, ScmRightsSpace},
    stream::{FdReader, FdWriter},
};
use common::{
    TIMEOUT, no_leak,
    pairs::{V4, bound, closed, pair, stream, tcp},
    pipes::{contents, names, numbered},
    raw::{count_signals, signal_thread, signals},
};
use nix::{
    sys::socket::{self, SockType},
    unistd::{Pid, gettid},
};

/// How often each call is interrupted.
const TIMES: usize = 3;

/// Sends a signal to a thread whenever it sleeps, so often.
fn interrupt(thread: Pid) {
    let stat = format!("/proc/self/task/{thread}/stat");
    for _ in 0..TIMES {
        let (start, before) = (Instant::now(), signals());
        while !fs::read_to_string(&stat).unwrap().rsplit_once(')').unwrap().1.starts_with(" S") {
            assert!(start.elapsed() < TIMEOUT.unwrap(), "it does not wait");
            thread::yield_now();
        }
        signal_thread(thread);
        while signals() == before {
            assert!(start.elapsed() < TIMEOUT.unwrap(), "the handler does not run");
            thread::yield_now();
        }
    }
}

/// Runs a call that waits in a thread of its own, interrupts it, and then does what it waits for.
fn interrupted<R: Send>(call: impl FnOnce() -> R + Send, end: impl FnOnce()) -> R {
    count_signals();
    let id = AtomicI32::new(0);
    thread::scope(|scope| {
        let waits = scope.spawn(|| {
            id.store(gettid().as_raw(), Ordering::Release);
            call()
        });
        while id.load(Ordering::Acquire) == 0 {
            thread::yield_now();
        }
        interrupt(Pid::from_raw(id.load(Ordering::Relaxed)));
        end();
        waits.join().unwrap()
    })
}

/// So much that the next message has to wait.
fn fill_up(socket: &UnixStream) -> usize {
    let (mut sent, flags) = (0, socket::MsgFlags::MSG_DONTWAIT);
    while let Ok(len) = socket::send(socket.as_raw_fd(), &[b'.'; 1000], flags) {
        sent += len;
    }
    sent
}

/// The rest of a stream, behind so many bytes that filled it.
fn rest(mut socket: UnixStream, filled: usize) -> (Vec<u8>, Vec<String>) {
    let (mut all, mut fds, mut room) = (Vec::new(), Vec::new(), vec![0; 65536]);
    socket.read_exact(&mut vec![0; filled]).unwrap();
    loop {
        let mut control = ControlBuf::<()>::new();
        let mut message = socket.recv_msg(&mut room, &mut control).unwrap();
        if message.is_eof() {
            return (all, contents(fds));
        }
        all.extend_from_slice(message.data());
        fds.extend(message.take_fds());
    }
}

/// The proof: a call that does not repeat itself ends.
#[test]
fn a_call_of_nobody_ends_with_eintr() {
    no_leak(|| {
        let (a, b) = stream();
        let found = interrupted(
            || (0..TIMES).map(|_| socket::recv(b.as_raw_fd(), &mut [0], socket::MsgFlags::empty())).collect::<Vec<_>>(),
            || drop(a),
        );
        assert_eq!(found, [Err(nix::Error::EINTR); TIMES]);
    });
}

/// NB08
#[test]
fn receives_go_on() {
    no_leak(|| {
        // Without a time limit some kernels restart a call by themselves.
        for limit in [TIMEOUT, None] {
            let (a, b) = stream();
            b.set_read_timeout(limit).unwrap();
            let send = |text: &[u8]| assert_eq!(a.send_fds(text, &numbered(2)).unwrap(), text.len());
            let (mut data, mut control) = ([0; 9], ControlBuf::<()>::new());
            let fds =
                interrupted(|| contents(b.recv_msg(&mut data, &mut control).unwrap().take_fds()), || send(b"recv"));
            assert_eq!((fds, &data[..4]), (names(0..2), &b"recv"[..]));
            let fds = interrupted(|| contents(b.recv_fds::<2>(&mut data).unwrap()), || send(b"fds!"));
            assert_eq!((fds, &data[..4]), (names(0..2), &b"fds!"[..]));

            send(b"half a f"); // one byte less than it takes
            let fds =
                interrupted(|| contents(b.recv_exact(&mut data, &mut control).unwrap().take_fds()), || send(b"r"));
            assert_eq!((fds.len(), &data), (4, b"half a fr"));

            let mut incoming = FdReader::new();
            assert_eq!(interrupted(|| incoming.fill(&b).unwrap(), || send(b"queued")), 6);
            assert_eq!(incoming.buffer(), b"queued");
            assert_eq!(contents(incoming.pop_fds(2).unwrap()), names(0..2));

            let mut batch = RecvBatch::<ScmRightsSpace<2>>::new(3, 9);
            let found = interrupted(
                || {
                    let each = batch.recv(&b).unwrap().map(|mut m| (m.data().to_vec(), contents(m.take_fds())));
                    each.collect::<Vec<_>>()
                },
                || send(b"batch"),
            );
            assert_eq!(found, [(b"batch".to_vec(), names(0..2))]);
        }
    });
}

/// NB08
#[test]
fn sends_go_on() {
    no_leak(|| {
        let data: Vec<u8> = (0..300_000).map(|k| (k % 251) as u8).collect();
        // One message, all of a long one, a queue of descriptors, a batch.
        for way in 0..4 {
            let ((a, b), fds) = (stream(), numbered(2));
            let filled = fill_up(&a);
            let (head, tail) = data.split_at(data.len() / 3);
            let call = || match way {
                0 => {
                    let sent = MsgHdr::new().data(head).data(tail).control(ScmRights::new(&fds)).send(&a).unwrap();
                    assert_eq!(sent, data.len(), "a stream that waits takes all");
                }
                1 => {
                    let mut header = MsgHdr::new();
                    let sent = header.data(head).data(tail).control(ScmRights::new(&fds)).send_all(&a).unwrap();
                    assert_eq!(sent, data.len());
                }
                2 => {
                    let mut out = FdWriter::new();
                    out.queue(head, &fds[..1]).unwrap();
                    out.queue(tail, &fds[1..]).unwrap();
                    out.flush(&a).unwrap();
                }
                _ => {
                    let mut room = SendBatch::new(2);
                    let mut batch = room.begin();
                    batch.message().data(head).control(ScmRights::new(&fds[..1])).queue().unwrap();
                    batch.message().data(tail).control(ScmRights::new(&fds[1..])).queue().unwrap();
                    assert_eq!(batch.send_all(&a).unwrap(), 2);
                }
            };
            thread::scope(|scope| {
                let mut reader = None;
                interrupted(call, || reader = Some(scope.spawn(|| rest(b, filled))));
                a.shutdown(Shutdown::Write).unwrap();
                let (all, fds) = reader.unwrap().join().unwrap();
                assert!(all == data, "{way}");
                assert_eq!(fds, names(0..2), "{way}");
            });
        }
    });
}

/// Messages that have borders wait for room as a whole.
#[test]
fn a_batch_of_messages_goes_on() {
    no_leak(|| {
        for kind in [SockType::Datagram, SockType::SeqPacket] {
            let ((a, b), fds) = (pair(kind), numbered(40));
            let mut room = SendBatch::new(40);
            let mut batch = room.begin();
            for fd in &fds {
                batch.message().data(&[7; 5000]).control(ScmRights::new([fd])).queue().unwrap();
            }
            let (mut received, mut found) = (RecvBatch::<ScmRightsSpace<1>>::new(8, 6000), Vec::new());
            thread::scope(|scope| {
                let mut reader = None;
                let read = || {
                    while found.len() < 40 {
                        found.extend(received.recv(&b).unwrap().map(|mut m| {
                            assert_eq!(m.data(), [7; 5000]);
                            contents(m.take_fds())
                        }));
                    }
                };
                interrupted(|| assert_eq!(batch.send_all(&a).unwrap(), 40), || reader = Some(scope.spawn(read)));
                reader.unwrap().join().unwrap();
            });
            assert_eq!(found.concat(), names(0..40));
        }
    });
}

/// Those that wait in poll(2).
#[test]
fn waits_go_on_for_the_time_that_is_left() {
    no_leak(|| {
        let (socket, (to, _keeps)) = (bound(V4), closed(std::net::Ipv4Addr::LOCALHOST.into()));
        socket.enable::<ExtendedError>().unwrap();
        let queue = socket.error_queue().unwrap();
        let found = interrupted(|| queue.wait(TIMEOUT.unwrap()), || assert_eq!(socket.send_to(b"x", to).unwrap(), 1));
        assert!(found.unwrap());

        let (mut peer, socket) = tcp(V4);
        let mut out = ZeroCopy::new(&socket).unwrap();
        // The whole window is in flight, and its completion has to wait until it is read.
        socket.set_nonblocking(true).unwrap();
        let mut sent = 0;
        while let Ok(len) = out.send(vec![1; 100_000]) {
            sent += len;
            if out.unsent() > 0 {
                break;
            }
        }
        out.abandon(|_, _| ());
        while out.complete(|_, _| ()).unwrap() > 0 {}
        if out.pending() == 0 {
            return common::skipped("SKIPPED waits_go_on_for_the_time_that_is_left: all is complete at once");
        }
        let back = interrupted(
            || out.wait(Duration::from_secs(20), |buffer, _| assert_eq!(buffer.len(), 100_000)).unwrap(),
            || peer.read_exact(&mut vec![0; sent]).unwrap(),
        );
        assert!(back > 0);
    });
}
