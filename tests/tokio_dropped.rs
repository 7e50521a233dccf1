//! Futures that are dropped before they are ready: no message and no descriptor is lost, none goes or comes twice.

#![cfg(target_os = "linux")]

mod common;

use std::{
    fs::File,
    os::fd::{AsFd, OwnedFd},
    time::Duration,
};

use ancillary::{
    ControlBuf, MsgHdr, MsgHdrMut, RecvExact,
    batch::{RecvBatch, SendBatch},
    message::{ScmRights, ScmRightsSpace},
    set_option,
    stream::{FdReader, FdWriter},
    tokio::AsyncSocket,
};
use common::{
    no_leak, open_count,
    pipes::{contents, names, numbered},
    runtimes::{Impatient, on_both, others_work, waits},
};
use nix::libc;
use tokio::net::{UnixDatagram, UnixStream};

const MESSAGES: u32 = 600;

/// Makes the call again and again, until it is done.
macro_rules! until_done {
    ($impatient:expr, $call:expr) => {
        loop {
            if let Some(result) = $impatient.call($call).await {
                break result.unwrap();
            }
        }
    };
}

/// So little room that both sides have to wait.
fn tight<S: AsFd>(socket: S) -> S {
    set_option(&socket, libc::SOL_SOCKET, libc::SO_SNDBUF, 1).unwrap();
    socket
}

async fn send_numbers(socket: UnixDatagram, fd: OwnedFd, mut impatient: Impatient) {
    for number in 0..MESSAGES {
        let bytes = number.to_ne_bytes();
        let mut message = MsgHdr::new();
        message.data(&bytes).control(ScmRights::new([&fd]));
        assert_eq!(until_done!(impatient, message.send_async(&socket)), 4);
    }
}

fn number(data: &[u8]) -> u32 {
    u32::from_ne_bytes(data.try_into().unwrap())
}

/// Every form of receiving, and what it received: a number and how many descriptors.
async fn receive(socket: &UnixDatagram, impatient: &mut Impatient, form: usize) -> Option<(u32, usize)> {
    let (mut data, mut control) = ([0; 4], ControlBuf::<ScmRightsSpace<4>>::new());
    match form {
        0 => {
            let mut message = impatient.call(socket.recv_msg_async(&mut data, &mut control)).await?.unwrap();
            Some((number(message.data()), message.take_fds().count()))
        }
        1 => {
            let message = impatient.call(socket.recv_fds_async::<4>(&mut data)).await?.unwrap();
            let (len, count) = (message.len(), message.into_iter().count());
            Some((number(&data[..len]), count))
        }
        2 => {
            let mut room = [const { std::mem::MaybeUninit::uninit() }; 4];
            let mut message = impatient.call(socket.recv_msg_uninit_async(&mut room, &mut control)).await?.unwrap();
            Some((number(message.data()), message.take_fds().count()))
        }
        3 => {
            let mut room = Vec::with_capacity(4);
            impatient.call(socket.recv_msg_buf_async(&mut room, &mut control)).await?.unwrap();
            Some((number(&room), control.take_fds().count()))
        }
        4 => {
            let mut header = MsgHdrMut::new();
            impatient.call(header.data(&mut data).recv_async(socket, &mut control)).await?.unwrap();
            Some((number(&data), control.take_fds().count()))
        }
        _ => {
            let mut batch = RecvBatch::<ScmRightsSpace<4>>::new(1, 4);
            let mut messages = impatient.call(batch.recv_async(socket)).await?.unwrap();
            let mut message = messages.next().unwrap();
            Some((number(message.data()), message.take_fds().count()))
        }
    }
}

#[test]
fn no_datagram_and_no_descriptor_is_lost_or_doubled() {
    no_leak(|| {
        on_both(|| async {
            let (a, b) = UnixDatagram::pair().unwrap();
            let null = OwnedFd::from(File::open("/dev/null").unwrap());
            let (theirs, mut impatient) = Impatient::pair(b.recv_fds_async::<1>(&mut [0; 4])).await;
            let given_up = theirs.given_up.clone();
            let sends = tokio::spawn(send_numbers(tight(a), null, theirs));
            Impatient::let_give_up(&given_up).await;
            let (mut expected, mut form) = (0, 0);
            while expected < MESSAGES {
                form += 1;
                if let Some(found) = receive(&b, &mut impatient, form % 6).await {
                    assert_eq!(found, (expected, 1));
                    expected += 1;
                }
            }
            sends.await.unwrap();
            assert!(waits(std::pin::pin!(b.recv_msg_async(&mut [0; 4], &mut ControlBuf::<()>::new()))));
        });
    });
}

#[test]
fn a_long_message_goes_on_where_it_was_given_up() {
    const LEN: usize = 1 << 19;
    no_leak(|| {
        on_both(|| async {
            let (a, b) = UnixStream::pair().unwrap();
            let a = tight(a);
            let bytes: Vec<u8> = (0..LEN).map(|k| (k % 251) as u8).collect();
            let (expected, mut data) = (bytes.clone(), vec![0; LEN]);
            let (mut control, mut exact) = (ControlBuf::<ScmRightsSpace<4>>::new(), RecvExact::new());
            let (mut theirs, mut impatient) = Impatient::pair(exact.recv_async(&b, &mut data, &mut control)).await;
            let given_up = theirs.given_up.clone();
            let sends = tokio::spawn(async move {
                let (fds, mut message) = (numbered(2), MsgHdr::new());
                let (head, tail) = bytes.split_at(LEN / 3);
                message.data(head).data(tail).control(ScmRights::new(&fds));
                assert_eq!(until_done!(theirs, message.send_all_async(&a)), LEN);
            });
            Impatient::let_give_up(&given_up).await;
            let (fds, len) = loop {
                let call = exact.recv_async(&b, &mut data, &mut control);
                if let Some(message) = impatient.call(call).await {
                    let mut message = message.unwrap();
                    break (contents(message.take_fds()), message.len());
                }
            };
            assert!(len == LEN && data == expected);
            assert_eq!(fds, names(0..2));
            sends.await.unwrap();
        });
    });
}

#[test]
fn a_batch_goes_on_where_it_was_given_up() {
    no_leak(|| {
        on_both(|| async {
            let (a, b) = UnixDatagram::pair().unwrap();
            let (a, mut batch) = (tight(a), RecvBatch::<ScmRightsSpace<4>>::new(16, 4));
            let (mut theirs, mut impatient) = Impatient::pair(batch.recv_async(&b)).await;
            let given_up = theirs.given_up.clone();
            let sends = tokio::spawn(async move {
                let (fds, mut room) = (numbered(1), SendBatch::new(64));
                let bytes: Vec<_> = (0..MESSAGES).map(u32::to_ne_bytes).collect();
                for some in bytes.chunks(64) {
                    let mut batch = room.begin();
                    for data in some {
                        batch.message().data(data).control(ScmRights::new(&fds)).queue().unwrap();
                    }
                    until_done!(theirs, batch.send_all_async(&a));
                    assert_eq!(batch.sent(), some.len());
                }
            });
            Impatient::let_give_up(&given_up).await;
            let mut expected = 0;
            while expected < MESSAGES {
                let Some(messages) = impatient.call(batch.recv_async(&b)).await else { continue };
                for mut message in messages.unwrap() {
                    assert_eq!((number(message.data()), message.take_fds().count()), (expected, 1));
                    expected += 1;
                }
            }
            sends.await.unwrap();
        });
    });
}

#[test]
fn queues_of_a_stream_go_on_where_they_were_given_up() {
    const LEN: usize = 700;
    no_leak(|| {
        on_both(|| async {
            let (a, b) = UnixStream::pair().unwrap();
            let (a, mut incoming, mut out) = (tight(a), FdReader::new(), FdWriter::new());
            let (mut theirs, mut impatient) = Impatient::pair(incoming.fill_async(&b)).await;
            let given_up = theirs.given_up.clone();
            let sends = tokio::spawn(async move {
                for number in 0..MESSAGES {
                    let mut message = vec![number as u8; LEN];
                    message[..4].copy_from_slice(&number.to_ne_bytes());
                    out.queue(&message, numbered(2)).unwrap();
                    until_done!(theirs, out.flush_async(&a));
                }
            });
            Impatient::let_give_up(&given_up).await;
            for expected in 0..MESSAGES {
                while incoming.buffer().len() < LEN {
                    assert!(until_done!(impatient, incoming.fill_async(&b)) > 0);
                }
                let (message, fds) = incoming.take_message(LEN, 2).unwrap();
                assert_eq!(number(&message[..4]), expected);
                assert!(message[4..].iter().all(|byte| *byte == expected as u8));
                assert_eq!(contents(fds), names(0..2));
            }
            sends.await.unwrap();
        });
    });
}

/// What nobody looks at stays in the control buffer, until the next receive.
#[test]
fn a_message_that_is_dropped_leaves_its_descriptors_where_they_are_closed() {
    no_leak(|| {
        on_both(|| async {
            let (a, b) = UnixDatagram::pair().unwrap();
            let (mut data, mut control) = ([0; 4], ControlBuf::<ScmRightsSpace<4>>::new());
            let before = open_count();
            a.send_fds_async(b"one", &[&a, &a]).await.unwrap();
            b.recv_msg_async(&mut data, &mut control).await.unwrap();
            assert_eq!((control.fds().count(), open_count()), (2, before + 2));
            a.send_fds_async(b"two", &[&a]).await.unwrap();
            b.recv_msg_async(&mut data, &mut control).await.unwrap();
            assert_eq!((control.fds().count(), open_count()), (1, before + 1));
            control.clear();
            assert_eq!(open_count(), before);
        });
    });
}

/// With a runtime go its tasks, wherever they wait.
#[test]
fn a_runtime_that_is_dropped_takes_nothing_with_it() {
    no_leak(|| {
        for runtime in common::runtimes::runtimes() {
            let (ours, theirs) = common::pairs::datagrams();
            theirs.set_nonblocking(true).unwrap();
            let kept = theirs.try_clone().unwrap();
            let guard = runtime.enter();
            let theirs = UnixDatagram::from_std(theirs).unwrap();
            drop(guard);
            let task = runtime.spawn(async move {
                let (mut data, mut control) = ([0; 9], ControlBuf::<ScmRightsSpace<4>>::new());
                for _ in 0..2 {
                    theirs.recv_msg_async(&mut data, &mut control).await.unwrap();
                }
            });
            MsgHdr::new().data(b"first").control(ScmRights::new([&ours])).send(&ours).unwrap();
            runtime.block_on(others_work());
            assert!(!task.is_finished());
            drop(runtime);
            MsgHdr::new().data(b"second").control(ScmRights::new([&ours])).send(&ours).unwrap();
            kept.set_nonblocking(false).unwrap();
            let (mut data, mut left) = ([0; 9], Vec::new());
            kept.set_read_timeout(Some(Duration::from_millis(1))).unwrap();
            while let Ok(message) = ancillary::SocketExt::recv_fds::<1>(&kept, &mut data) {
                left.push((data[..message.len()].to_vec(), message.into_iter().count()));
            }
            assert_eq!(left.last(), Some(&(b"second".to_vec(), 1)), "{left:?}");
            assert!(left.len() <= 2);
        }
    });
}
