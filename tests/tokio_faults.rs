//! Futures whose calls fail or do a part, at every position, and that are dropped between two polls: the peer has exactly
//! what was said to have gone. (EAGAIN is not injected: a readiness that the system does not give again would be waited for.)

#![cfg(all(target_os = "linux", target_env = "gnu", target_pointer_width = "64"))]

mod common;
mod faulty;

use std::{future::Future, io, os::fd::AsFd, time::Duration};

use ancillary::{
    ControlBuf, MsgHdr, RecvExact,
    batch::SendBatch,
    message::{ScmRights, ScmRightsSpace},
    set_option,
    stream::FdWriter,
};
use common::{
    TIMEOUT,
    pipes::{contents, names, numbered},
    runtimes::hurried,
};
use faulty::{Call, Fault, calm, everywhere, peer::Got};
use nix::libc;
use tokio::{net::UnixStream, runtime::Builder, time::timeout};

const FAULTS: [Fault; 4] =
    [Fault::Error(libc::EINTR), Fault::Error(libc::ENOBUFS), Fault::Error(libc::ENOMEM), Fault::Short(700)];

/// Runs a story on a runtime of its own.
fn run(story: impl Future<Output = Vec<i32>>) -> Vec<i32> {
    let runtime = calm(|| Builder::new_current_thread().enable_all().build().unwrap());
    runtime.block_on(async { timeout(TIMEOUT.unwrap(), story).await.expect("it hangs") })
}

/// Gives a call up after a few polls, or a moment; notes its error. Whether it has succeeded.
async fn attempt<T>(turn: usize, errors: &mut Vec<i32>, call: impl Future<Output = io::Result<T>>) -> bool {
    let done = match turn % 4 {
        0 => timeout(Duration::from_millis(1), call).await.ok(),
        polls => hurried(call, polls).await,
    };
    match done {
        Some(Err(error)) => errors.push(error.raw_os_error().unwrap()),
        Some(Ok(_)) => return true,
        None => {}
    }
    false
}

fn pair() -> (UnixStream, UnixStream) {
    let (a, b) = UnixStream::pair().unwrap();
    set_option(&a, libc::SOL_SOCKET, libc::SO_SNDBUF, 1).unwrap();
    (a, b)
}

fn data() -> Vec<u8> {
    (0..9_000).map(|k| (k % 251) as u8).collect()
}

async fn long_message() -> Vec<i32> {
    let ((a, b), fds, data) = (pair(), numbered(2), data());
    let (mut errors, mut got, mut header) = (Vec::new(), Got::default(), MsgHdr::new());
    let (head, tail) = data.split_at(3_000);
    header.data(head).data(tail).control(ScmRights::new(&fds));
    for turn in 1..20_000 {
        let done = attempt(turn, &mut errors, header.send_all_async(&a)).await;
        let sent = if done { data.len() } else { header.sent() };
        got.more(&b);
        assert!(got.bytes == data[..sent], "{} of {sent}", got.bytes.len());
        assert_eq!(got.fds, names(0..if sent > 0 { 2 } else { 0 }));
        if done {
            return errors;
        }
    }
    panic!("{errors:?}");
}

async fn batch() -> Vec<i32> {
    let ((a, b), fds, data) = (pair(), numbered(9), data());
    let (mut errors, mut got, mut room) = (Vec::new(), Got::default(), SendBatch::new(9));
    let mut batch = room.begin();
    for (message, fd) in data.chunks(1_000).zip(&fds) {
        batch.message().data(message).control(ScmRights::new([fd])).queue().unwrap();
    }
    for turn in 1..20_000 {
        let done = attempt(turn, &mut errors, batch.send_all_async(&a)).await;
        let sent = 1_000 * batch.sent() + batch.begun();
        got.more(&b);
        assert!(got.bytes == data[..sent], "{} of {sent}", got.bytes.len());
        assert_eq!(got.fds, names(0..sent.div_ceil(1_000)));
        if done {
            assert_eq!(batch.sent(), 9);
            return errors;
        }
    }
    panic!("{errors:?}");
}

async fn queues() -> Vec<i32> {
    let ((a, b), data) = (pair(), data());
    let (mut errors, mut got, mut out) = (Vec::new(), Got::default(), FdWriter::new());
    for (message, fd) in data.chunks(1_000).zip(numbered(9)) {
        out.queue(message, [fd]).unwrap();
    }
    for turn in 1..20_000 {
        let done = attempt(turn, &mut errors, out.flush_async(&a)).await;
        let sent = data.len() - out.pending();
        got.more(&b);
        assert!(got.bytes == data[..sent], "{} of {sent}", got.bytes.len());
        assert_eq!((got.fds.len(), &got.fds), (9 - out.pending_fds(), &names(0..sent.div_ceil(1_000))));
        if done {
            return errors;
        }
    }
    panic!("{errors:?}");
}

/// FI01
#[test]
fn what_is_sent_goes_once_whatever_call_fails_and_whenever_it_is_given_up() {
    let calls = &[Call::SendTo, Call::SendMsg, Call::SendMmsg];
    everywhere(calls, &FAULTS, || run(long_message()), |told| told.no_other());
    everywhere(calls, &FAULTS, || run(queues()), |told| told.no_other());
    let faults = [FAULTS[0], FAULTS[1], FAULTS[2], Fault::Few(1), Fault::Cut(0, 1), Fault::Cut(1, 500)];
    everywhere(calls, &faults, || run(batch()), |told| told.no_other());
}

async fn frame() -> Vec<i32> {
    let ((a, b), data) = (UnixStream::pair().unwrap(), data());
    let (mut errors, mut copy) = (Vec::new(), vec![0; 9_000]);
    let (mut exact, mut control) = (RecvExact::new(), ControlBuf::<ScmRightsSpace<16>>::new());
    let fds = numbered(9);
    for turn in 1..20_000 {
        // One piece more each time, while there are some.
        if turn <= 9 {
            let (piece, fd) = (&data[1_000 * (turn - 1)..1_000 * turn], fds[turn - 1].as_fd());
            calm(|| assert_eq!(MsgHdr::new().data(piece).control(ScmRights::new([fd])).send(&a).unwrap(), 1_000));
        }
        let done = attempt(turn, &mut errors, exact.recv_async(&b, &mut copy, &mut control)).await;
        let received = if done { 9_000 } else { exact.received() };
        assert!(copy[..received] == data[..received]);
        assert_eq!(control.fds().count(), received.div_ceil(1_000), "{received}");
        if done {
            assert_eq!(contents(control.take_fds()), names(0..9));
            return errors;
        }
        assert!(turn < 9 || received > 0);
    }
    panic!("{errors:?}");
}

/// FI02
#[test]
fn what_is_received_comes_once_whatever_call_fails_and_whenever_it_is_given_up() {
    let faults = [FAULTS[0], FAULTS[1], FAULTS[2], Fault::Short(300)];
    everywhere(&[Call::RecvMsg], &faults, || run(frame()), |told| told.no_other());
}
