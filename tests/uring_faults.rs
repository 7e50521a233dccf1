//! Requests of io_uring that fail, that send a part, and that are cancelled at any moment: no descriptor is left or closed
//! twice, nothing goes twice, and the message can go again.

#![cfg(uring)]

mod common;

use std::{os::unix::net::UnixDatagram, sync::Arc};

use ancillary::{
    MsgHdr, PinnedError, SendFlags, SocketExt,
    message::{ScmRights, ScmRightsSpace},
    pinned::{RecvMsg, RecvMsgMulti, SendMsg},
    set_option,
};
use common::{
    no_leak, open_count,
    pairs::{datagrams, errno, pair, stream},
    pipes::{contents, names, numbered},
    uring::Ring,
};
use nix::{libc, sys::socket::SockType};

/// What is still there: the number in each message, and what its descriptors say.
fn take_rest(socket: &UnixDatagram, seen: &mut Vec<u8>, texts: &mut Vec<String>) {
    socket.set_nonblocking(true).unwrap();
    let mut data = [0; 8];
    while let Ok(message) = socket.recv_fds::<1>(&mut data) {
        seen.push(data[0]);
        texts.extend(contents(message));
    }
}

#[test]
fn a_request_that_fails_sends_nothing_and_can_go_again() {
    no_leak(|| {
        let Some(mut ring) = Ring::new("a_request_that_fails_sends_nothing_and_can_go_again") else { return };
        let fds = numbered(2);
        let mut out = SendMsg::new();
        let before = open_count();
        // Longer than the socket takes at all; a peer that is gone, of each kind.
        let (a, b) = datagrams();
        set_option(&a, libc::SOL_SOCKET, libc::SO_SNDBUF, 1).unwrap();
        for _ in 0..3 {
            out.set(MsgHdr::new().control(ScmRights::new(&fds)), vec![7; 100_000]).unwrap();
            ring.send(&a, &mut out, 1);
            let done = ring.wait(1);
            assert_eq!(errno(out.complete(done.result, done.flags)), libc::EMSGSIZE);
            // It is a message still, with its buffer and its descriptors.
            assert_eq!((out.buffer().map(Vec::len), open_count()), (Some(100_000), before + 4));
        }
        for (kind, expected) in [
            (SockType::Datagram, [libc::ECONNREFUSED, libc::ENOTCONN]),
            (SockType::Stream, [libc::EPIPE, libc::EPIPE]),
            (SockType::SeqPacket, [libc::EPIPE, libc::EPIPE]),
        ] {
            let (c, d) = pair(kind);
            drop(d);
            out.set(MsgHdr::new().control(ScmRights::new(&fds)), vec![kind as u8; 10]).unwrap();
            for _ in 0..2 {
                ring.send(&c, &mut out, 1);
                let done = ring.wait(1);
                assert!(expected.contains(&errno(out.complete(done.result, done.flags))), "{kind:?}");
                assert!(out.start().is_ok(), "it can be started again");
                out.withdraw();
            }
        }
        // The same message to a peer that is there.
        ring.send(&a, &mut out, 1);
        let done = ring.wait(1);
        assert_eq!(out.complete(done.result, done.flags).unwrap(), 10);
        assert_eq!((out.start(), open_count()), (Err(PinnedError::NotSet), before + 2));
        let mut data = [0; 20];
        assert_eq!(contents(b.recv_fds::<2>(&mut data).unwrap()), names(0..2));
        b.set_nonblocking(true).unwrap();
        assert!(b.recv(&mut data).is_err(), "once");
    });
}

#[test]
fn a_part_of_a_message_takes_its_descriptors_and_the_rest_none() {
    no_leak(|| {
        let test = "a_part_of_a_message_takes_its_descriptors_and_the_rest_none";
        let Some(mut ring) = Ring::new(test) else { return };
        let ((a, b), fds) = (stream(), numbered(2));
        let data: Arc<[u8]> = (0..1_000_000u32).map(|k| (k % 251) as u8).collect();
        let (mut out, before) = (SendMsg::<Vec<u8>>::new(), open_count());
        let (mut sent, mut received, mut found) = (0, Vec::new(), Vec::new());
        for _ in 0..1000 {
            if sent == data.len() {
                break;
            }
            let mut header = MsgHdr::new();
            header.flags(SendFlags::DONTWAIT);
            if sent == 0 {
                header.control(ScmRights::new(&fds));
            }
            out.set(&header, data[sent..].to_vec()).unwrap();
            ring.send(&a, &mut out, 1);
            let done = ring.wait(1);
            match out.complete(done.result, done.flags) {
                Ok(len) => sent += len,
                Err(error) => assert_eq!(error.raw_os_error(), Some(libc::EAGAIN)),
            }
            while received.len() < sent {
                let (mut room, mut control) = (vec![0; 65536], ancillary::ControlBuf::<ScmRightsSpace<2>>::new());
                let mut message = b.recv_msg(&mut room, &mut control).unwrap();
                received.extend_from_slice(message.data());
                found.extend(message.take_fds());
            }
            assert!(received == data[..sent]);
        }
        assert_eq!((sent, open_count()), (data.len(), before + 2));
        assert_eq!(contents(found), names(0..2));
    });
}

/// A receive that is cancelled while a message arrives: it has it, or the next one gets it.
#[test]
fn a_receive_cancelled_at_any_moment_loses_nothing() {
    no_leak(|| {
        let test = "a_receive_cancelled_at_any_moment_loses_nothing";
        let Some(mut ring) = Ring::new(test) else { return };
        let (a, b) = datagrams();
        let mut receive = RecvMsg::<ScmRightsSpace<1>>::new(8);
        let (mut seen, mut texts, before) = (Vec::new(), Vec::new(), open_count());
        for round in 0..60u8 {
            ring.recv(&b, &mut receive, 1);
            let fd = numbered(1);
            if round % 3 != 0 {
                assert_eq!(a.send_fds(&[round], &fd).unwrap(), 1);
            }
            drop(fd);
            // Its own completion, and that of the request to cancel it, which may come too late.
            ring.submit(io_uring::opcode::AsyncCancel::new(1).build(), 2);
            let mut both = [ring.next(), ring.next()];
            both.sort_by_key(|done| done.id);
            match receive.complete(both[0].result) {
                Ok(mut message) => {
                    seen.extend_from_slice(message.data());
                    texts.extend(contents(message.take_fds()));
                }
                Err(error) => assert_eq!(error.raw_os_error(), Some(libc::ECANCELED)),
            }
            assert_eq!(open_count(), before);
        }
        // What was there when it was cancelled.
        take_rest(&b, &mut seen, &mut texts);
        assert_eq!(seen, (0..60).filter(|round| round % 3 != 0).collect::<Vec<u8>>());
        assert_eq!(texts, vec!["0"; 40]);
    });
}

/// Of one receive for many messages, cancelled with messages behind it.
#[test]
fn many_messages_are_there_after_their_receive_was_cancelled() {
    no_leak(|| {
        let test = "many_messages_are_there_after_their_receive_was_cancelled";
        let Some(mut ring) = Ring::new(test) else { return };
        let (a, b) = datagrams();
        let mut messages = RecvMsgMulti::<ScmRightsSpace<1>>::new(2, 8);
        if !ring.register(test, &mut messages) {
            return;
        }
        let (mut seen, mut texts, mut sent, before) = (Vec::new(), Vec::new(), 0u8, open_count());
        for round in 0..20u8 {
            ring.recv_multi(&b, &mut messages, 1);
            for _ in 0..round % 4 {
                let fd = numbered(1);
                assert_eq!(a.send_fds(&[sent], &fd).unwrap(), 1);
                sent += 1;
            }
            ring.submit(io_uring::opcode::AsyncCancel::new(1).build(), 2);
            let (mut ended, mut cancelled) = (false, false);
            for _ in 0..100 {
                if ended && cancelled {
                    break;
                }
                let done = ring.next();
                if done.id == 2 {
                    cancelled = true;
                    continue;
                }
                ended |= !done.more();
                match messages.complete(done.result, done.flags) {
                    Ok(mut message) => {
                        seen.extend_from_slice(message.data());
                        texts.extend(contents(message.take_fds()));
                    }
                    Err(error) if error.raw_os_error() == Some(libc::EINVAL) && round == 0 => {
                        common::skipped(format_args!("SKIPPED {test}: receives that go on (multishot): EINVAL"));
                        return ring.unregister();
                    }
                    // Two buffers are fewer than three messages.
                    Err(error) => {
                        assert!(matches!(error.raw_os_error(), Some(libc::ECANCELED | libc::ENOBUFS)), "{error}");
                    }
                }
            }
            assert!(ended && cancelled);
            messages.recycle();
            assert_eq!(open_count(), before);
        }
        take_rest(&b, &mut seen, &mut texts);
        assert_eq!(seen, (0..sent).collect::<Vec<u8>>());
        assert_eq!(texts, vec!["0"; sent.into()]);
        ring.unregister();
        messages.release().unwrap();
    });
}

#[test]
fn a_receive_for_many_messages_is_taken_back() {
    no_leak(|| {
        let test = "a_receive_for_many_messages_is_taken_back";
        let Some(ring) = Ring::new(test) else { return };
        let mut messages = RecvMsgMulti::<()>::new(2, 8);
        if !ring.register(test, &mut messages) {
            return;
        }
        for _ in 0..2 {
            messages.start().unwrap();
            assert_eq!(messages.requests(), 1);
            // No request is made of it.
            messages.withdraw();
            assert_eq!(messages.requests(), 0);
        }
        ring.unregister();
        messages.release().unwrap();
    });
}

/// Buffers that the kernel does not have are freed with their owner.
#[test]
fn buffers_that_nobody_else_has_are_freed() {
    let size = || {
        let status = std::fs::read_to_string("/proc/self/status").unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmSize:")).unwrap();
        line.trim().trim_end_matches(" kB").parse::<usize>().unwrap()
    };
    no_leak(|| {
        let before = size();
        for _ in 0..1000 {
            let mut messages = RecvMsgMulti::<()>::new(16, 65_536);
            messages.recycle();
        }
        assert!(size() < before + 200_000, "of a gigabyte, in kB: {}", size() - before);
    });
}
