//! Errors and short calls at every position of what takes several: a long message, a frame, queues of a stream. After each,
//! the peer has exactly what the library said was sent, and nothing is lost of what arrives.

#![cfg(all(target_os = "linux", target_env = "gnu", target_pointer_width = "64"))]

mod common;
mod faulty;

use std::{
    fs::File,
    io::{IoSlice, Write},
    os::fd::{IntoRawFd, OwnedFd},
};

use ancillary::{
    ControlBuf, MsgHdr, RecvExact, SocketExt,
    message::{Credentials, ScmRights},
    stream::{FdReader, FdWriter},
};
use common::{
    again::until_ok,
    no_leak, open_count,
    pairs::stream,
    pipes::{contents, names, numbered},
};
use faulty::{
    Call, Fault, calm, everywhere,
    peer::{Got, arrived},
    under,
};
use nix::libc;

const ERRORS: [Fault; 7] = [
    Fault::Error(libc::EINTR),
    Fault::Error(libc::EAGAIN),
    Fault::Error(libc::ENOBUFS),
    Fault::Error(libc::ENOMEM),
    Fault::Error(libc::EMSGSIZE),
    Fault::Error(libc::ETOOMANYREFS),
    Fault::Error(libc::EPIPE),
];

fn faults(short: &[usize]) -> Vec<Fault> {
    ERRORS.into_iter().chain(short.iter().map(|most| Fault::Short(*most))).collect()
}

fn pattern(len: usize) -> Vec<u8> {
    (0..len as u32).map(|i| (i.wrapping_mul(0x9e37_79b1) >> 23) as u8).collect()
}

/// More slices than two calls take, in one header or in a new one for each attempt.
fn long_message(anew: bool) -> Vec<i32> {
    let ((a, b), fds, data) = (stream(), numbered(2), pattern(2_501));
    a.set_nonblocking(true).unwrap();
    let slices: Vec<_> = data.chunks(1).map(IoSlice::new).collect();
    let (mut errors, mut got, mut sent) = (Vec::new(), Got::default(), 0);
    let mut header = MsgHdr::new();
    header.slices(&slices).control(ScmRights::new(&fds));
    until_ok(&mut errors, || {
        if anew {
            header = MsgHdr::new();
            header.slices(&slices).control(ScmRights::new(&fds)).skip(sent);
        }
        let result = header.send_all(&a);
        sent = if result.is_ok() { data.len() } else { header.sent() };
        got.more(&b);
        assert!(got.bytes == data[..sent], "{} of {sent}", got.bytes.len());
        assert_eq!(got.fds, names(0..if sent > 0 { 2 } else { 0 }));
        result
    });
    assert_eq!((sent, header.sent()), (data.len(), 0));
    errors
}

/// FI01
#[test]
fn of_a_long_message_exactly_what_was_said_has_gone_whatever_call_fails() {
    for anew in [false, true] {
        everywhere(&[Call::SendMsg, Call::SendTo], &faults(&[1, 777]), || long_message(anew), |told| told.each_once());
    }
}

/// Looking at the socket may fail too, before anything goes and in the middle.
#[test]
fn what_cannot_be_known_of_the_socket_sends_nothing() {
    let fault = [Fault::Error(libc::ENOBUFS), Fault::Error(libc::ENOMEM)];
    everywhere(&[Call::GetSockOpt], &fault, || long_message(true), |told| told.no_other());
}

/// A frame of six sends with a descriptor each, and credentials with every call.
fn frame() -> Vec<i32> {
    let (a, b) = stream();
    b.enable::<Credentials>().unwrap();
    b.set_nonblocking(true).unwrap();
    for fd in numbered(6) {
        assert_eq!(calm(|| a.send_fds(b"abcd", [&fd])).unwrap(), 4);
    }
    let (mut errors, mut data, mut control) = (Vec::new(), [0; 24], ControlBuf::<Credentials>::new());
    let mut exact = RecvExact::new();
    let received = until_ok(&mut errors, || match exact.recv(&b, &mut data, &mut control) {
        Ok(mut message) => {
            assert_eq!(message.extract(), Some(Credentials::own()));
            Ok(contents(message.take_fds()))
        }
        Err(error) => {
            let whole = exact.received().div_ceil(4);
            assert_eq!(
                (control.fds().count(), open_count() - BEFORE.get()),
                (whole, whole),
                "one with each first byte"
            );
            assert!(data.iter().zip(b"abcd".iter().cycle()).take(exact.received()).all(|(a, b)| a == b));
            Err(error)
        }
    });
    assert_eq!((&data, received), (b"abcdabcdabcdabcdabcdabcd", names(0..6)));
    errors
}

thread_local! {
    /// Descriptors that are open while a frame is read, besides those of the frame.
    static BEFORE: std::cell::Cell<usize> = const { std::cell::Cell::new(0) };
}

/// FI02
#[test]
fn of_a_frame_nothing_is_lost_whatever_call_fails() {
    let story = || {
        BEFORE.set(open_count() + 2); // the sockets
        frame()
    };
    let faults = [Fault::Error(libc::ECONNRESET), Fault::Error(libc::ECONNREFUSED)];
    let faults: Vec<_> = ERRORS.into_iter().chain(faults).chain([Fault::Short(1), Fault::Short(3)]).collect();
    everywhere(&[Call::RecvMsg], &faults, story, |told| told.each_once());
}

/// Messages with lent and given descriptors, several at one byte, and more than go in one call.
fn queues() -> Vec<i32> {
    let ((a, b), fds) = (stream(), numbered(9));
    a.set_nonblocking(true).unwrap();
    let data = pattern(3_000);
    let mut fds = fds.into_iter();
    let lent: Vec<OwnedFd> = fds.by_ref().take(4).collect();
    let before = open_count();
    let mut out = FdWriter::new().with_fds_per_message(2);
    out.push(&data[..10]);
    out.queue(&data[10..500], &lent[..1]).unwrap();
    out.queue(&data[500..2000], &lent[1..]).unwrap();
    out.queue(&data[2000..2900], fds).unwrap();
    out.push(&data[2900..]);
    let (mut errors, mut got) = (Vec::new(), Got::default());
    until_ok(&mut errors, || {
        let result = out.flush(&a);
        got.more(&b);
        assert!(got.bytes == data[..data.len() - out.pending()], "{out:?}");
        assert_eq!(got.fds, names(0..9 - out.pending_fds()), "{out:?}");
        // Those that were given away are open as long as they wait.
        assert_eq!(open_count(), before - 5 + out.pending_fds().min(5));
        result
    });
    assert_eq!((out.pending(), out.pending_fds()), (0, 0));
    errors
}

/// FI01
#[test]
fn of_queues_exactly_what_was_said_has_gone_whatever_call_fails() {
    everywhere(&[Call::SendMsg, Call::SendTo], &faults(&[1, 100]), queues, |told| told.each_once());
    let fault = [Fault::Error(libc::ENOBUFS)];
    everywhere(&[Call::GetSockOpt], &fault, queues, |told| told.no_other());
}

/// Pieces that are gathered, and pieces that go from where they stand.
fn writes() -> Vec<i32> {
    let ((a, b), data) = (stream(), pattern(2_000));
    a.set_nonblocking(true).unwrap();
    let fds = numbered(3);
    let mut out = FdWriter::new().with_capacity(64);
    let (mut errors, mut got, mut taken, mut turn) = (Vec::new(), Got::default(), 0, 0);
    let mut given = 0;
    while taken < data.len() {
        turn += 1;
        if turn % 4 == 0 && given < 3 {
            out.push_fd(&fds[given]);
            given += 1;
        }
        let piece = &data[taken..data.len().min(taken + [7, 30, 300][turn % 3])];
        let (head, tail) = piece.split_at(piece.len() / 3);
        taken += until_ok(&mut errors, || {
            let result = out.write_vectored(&a, &[IoSlice::new(head), IoSlice::new(tail)]);
            got.more(&b);
            let gone = taken + *result.as_ref().unwrap_or(&0) - out.pending();
            assert!(got.bytes == data[..gone], "{} {gone}", got.bytes.len());
            result
        });
    }
    until_ok(&mut errors, || out.flush(&a));
    got.more(&b);
    assert_eq!((got.bytes == data, got.fds, out.pending_fds()), (true, names(0..3), 0));
    errors
}

/// FI01
#[test]
fn of_what_is_written_exactly_what_was_said_has_gone_whatever_call_fails() {
    // While there is room, that the socket takes nothing is not told.
    everywhere(&[Call::SendMsg, Call::SendTo], &faults(&[1, 50]), writes, |told| match told.fault {
        Fault::Error(libc::EAGAIN) => told.no_other(),
        _ => told.each_once(),
    });
}

/// The queue of bytes wraps around behind its first one: what follows ends at the descriptor all the same.
#[test]
fn a_queue_in_two_pieces_ends_before_the_next_descriptor() {
    no_leak(|| {
        for left in 1..8 {
            let ((a, b), mut out) = (stream(), FdWriter::new());
            a.set_nonblocking(true).unwrap();
            out.push(b"01234567"); // all that there is room for at first
            let mut calls = 0;
            let plan = move |_| {
                calls += 1;
                Some(if calls == 1 { Fault::Short(8 - left) } else { Fault::Error(libc::EAGAIN) })
            };
            assert_eq!(under(plan, || out.flush(&a)).unwrap_err().raw_os_error(), Some(libc::EAGAIN));
            assert_eq!(out.pending(), left);
            out.push(&b"abcdefg"[..8 - left - 1]);
            out.queue(b"!", numbered(1)).unwrap();
            assert_eq!(arrived(&b), [(b"01234567"[..8 - left].to_vec(), vec![])]);
            let mut lens = Vec::new();
            while out.pending() > 0 {
                let pending = out.pending();
                let mut first = true;
                let plan = move |call| {
                    let again = call != Call::GetSockOpt && !std::mem::replace(&mut first, false);
                    again.then_some(Fault::Error(libc::EAGAIN))
                };
                let _ = under(plan, || out.flush(&a));
                lens.push((pending - out.pending(), out.pending_fds()));
                assert!(lens.len() < 9);
            }
            assert_eq!(lens, [(7, 1), (1, 0)], "{left}");
        }
    });
}

/// Every way to read, by turns.
fn reads() -> Vec<i32> {
    let ((a, b), data, mut at) = (stream(), pattern(400), 0);
    b.set_nonblocking(true).unwrap();
    for (k, fd) in numbered(8).iter().enumerate() {
        calm(|| (&a).write_all(&data[at..at + 10]).unwrap());
        assert_eq!(calm(|| a.send_fds(&data[at + 10..at + 50], &vec![fd; 1 + k % 2])).unwrap(), 40);
        at += 50;
    }
    let mut incoming = FdReader::new().with_capacity(32);
    let (mut errors, mut all, mut fds, mut turn) = (Vec::new(), Vec::new(), Vec::new(), 0);
    while all.len() < data.len() {
        turn += 1;
        let (len, mut room, mut spare) = (incoming.buffer().len(), [0; 17], Vec::with_capacity(23));
        match turn % 4 {
            0 => {
                let came = until_ok(&mut errors, || incoming.recv(&b, &mut room));
                all.extend(&room[..came]);
            }
            1 => {
                until_ok(&mut errors, || incoming.recv_buf(&b, &mut spare));
                all.extend(spare);
            }
            2 if len > 0 => {
                let (bytes, taken) = incoming.take_message(len.min(19), 0).unwrap();
                all.extend(bytes);
                drop(taken);
            }
            _ if all.len() + len < data.len() => {
                let came = until_ok(&mut errors, || incoming.fill(&b));
                assert_eq!(incoming.buffer().len(), len + came);
            }
            _ => {
                all.extend(incoming.buffer());
                incoming.consume(len);
            }
        }
        fds.extend(std::iter::from_fn(|| incoming.pop_fd()));
    }
    assert!(all == data);
    // The second of two is a copy, whose pipe is empty when the first has been read.
    let expected: Vec<_> = (0..8).flat_map(|k| [k.to_string(), String::new()].into_iter().take(1 + k % 2)).collect();
    assert_eq!(contents(fds), expected);
    errors
}

/// FI02
#[test]
fn of_what_is_read_nothing_is_lost_whatever_call_fails() {
    everywhere(&[Call::RecvMsg], &faults(&[1, 7]), reads, |told| told.each_once());
}

/// The watch over close(2) sees what it is for.
#[test]
fn a_number_that_is_closed_twice_is_seen() {
    no_leak(|| {
        let number = File::open("/dev/null").unwrap().into_raw_fd();
        nix::unistd::close(number).unwrap();
        assert_eq!(nix::unistd::close(number), Err(nix::Error::EBADF));
        assert_eq!(faulty::take_bad_closes(), 1);
    });
}
