//! `pinned::SendMsg` and `pinned::RecvMsg` through io_uring.
#![cfg(uring)]

mod common;

use std::{
    io::{ErrorKind, Read, Write},
    mem,
    os::{
        fd::AsFd,
        unix::net::{UnixDatagram, UnixStream},
    },
    sync::Arc,
    thread,
};

use ancillary::{
    EncodeError, MsgFlags, MsgHdr, PinnedError, RecvFlags, SocketExt,
    message::{Credentials, HopLimit, PktInfo, ScmRights, ScmRightsSpace},
    pinned::{RecvMsg, SendMsg},
};
use common::{
    again::{again, is_child, works},
    alone, cause, no_leak, open_count,
    pairs::{addrs, bound, datagrams, errno, send, stream, tcp},
    skipped,
    starting::{Start, gone},
    uring::{Ring, fd, text},
};
use io_uring::opcode;
use nix::{
    fcntl::{FcntlArg, FdFlag, fcntl},
    libc,
};

type Meta = (PktInfo, HopLimit);

#[test]
fn a_message_goes_out_gathered_and_comes_in_typed() {
    no_leak(|| {
        let test = "a_message_goes_out_gathered_and_comes_in_typed";
        let Some(mut ring) = Ring::new(test) else { return };
        for addr in addrs(test) {
            let (server, client) = (bound(addr), bound(addr));
            server.enable::<Meta>().unwrap();
            let (to, from) = (server.local_addr().unwrap(), client.local_addr().unwrap());
            let mut receive = RecvMsg::<Meta>::new(64);
            ring.recv(&server, &mut receive, 1);

            let mut message = SendMsg::new();
            let rest = [b"owned, ".to_vec(), Vec::new(), b"in pieces".to_vec()];
            {
                // What the header borrows is gone before the request is made.
                let (one, two) = (b"copied, ".to_vec(), b"too, ".to_vec());
                message.set(MsgHdr::new().to(to).data(&one).data(&two).control(HopLimit(9)), rest.clone()).unwrap();
            }
            ring.send(&client, &mut message, 2);
            for _ in 0..2 {
                let done = ring.next();
                match done.id {
                    1 => {
                        let message = receive.complete(done.result).unwrap();
                        assert_eq!(text(&message), "copied, too, owned, in pieces");
                        assert_eq!(message.peer().and_then(|peer| peer.as_inet()), Some(from));
                        let (info, hops) = message.extract();
                        assert_eq!((info.unwrap().addr(), hops), (to.ip(), Some(HopLimit(9))));
                        assert!(message.require_complete().is_ok() && !message.is_eof());
                    }
                    _ => assert_eq!(message.complete(done.result, done.flags).unwrap(), 29),
                }
            }
            assert_eq!(message.take_buffer(), Some(rest));
            assert_eq!(receive.received().unwrap().len(), 29);
        }
    });
}

/// One message of each kind, many times: what is left of an earlier one never shows.
#[test]
fn messages_are_used_again_and_again() {
    no_leak(|| {
        let Some(mut ring) = Ring::new("messages_are_used_again_and_again") else { return };
        let (a, b) = datagrams();
        b.enable::<Credentials>().unwrap();
        let (mut out, mut receive) = (SendMsg::new(), RecvMsg::<Credentials>::new(64));
        for round in 0..100_usize {
            let (head, rest) = (vec![1; round % 7], vec![2; round % 5]);
            if round == 50 {
                b.disable::<Credentials>().unwrap();
            }
            out.set(MsgHdr::new().data(&head), rest.clone()).unwrap();
            ring.send(&a, &mut out, 1);
            let done = ring.wait(1);
            assert_eq!(out.complete(done.result, done.flags).unwrap(), head.len() + rest.len());
            ring.recv(&b, &mut receive, 2);
            let message = receive.complete(ring.wait(2).result).unwrap();
            assert_eq!(message.data(), [head, rest].concat());
            assert_eq!(message.extract(), (round < 50).then(Credentials::own));
            assert_eq!(message.cmsgs().count(), usize::from(round < 50));
        }
    });
}

#[test]
fn descriptors_are_duplicated_and_closed_when_they_have_been_sent() {
    no_leak(|| {
        let Some(mut ring) = Ring::new("descriptors_are_duplicated_and_closed_when_they_have_been_sent") else {
            return;
        };
        let (a, b) = datagrams();
        let (mut near, far) = UnixStream::pair().unwrap();
        let mut out = SendMsg::new();
        let before = open_count();
        out.copy(MsgHdr::new().data(b"x").control((Credentials::own(), ScmRights::new([&far, &far])))).unwrap();
        assert_eq!(open_count(), before + 2);
        drop(far); // the duplicates are what goes
        ring.send(&a, &mut out, 1);
        let done = ring.wait(1);
        assert_eq!(out.complete(done.result, done.flags).unwrap(), 1);
        assert_eq!(open_count(), before - 1);
        // The numbers may be others' by now.
        assert_eq!(out.start(), Err(PinnedError::NotSet));

        let mut receive = RecvMsg::<ScmRightsSpace<2>>::new(8);
        ring.recv(&b, &mut receive, 2);
        let mut message = receive.complete(ring.wait(2).result).unwrap();
        let [first, _second] = message.take_fds_exact().unwrap();
        let flags = FdFlag::from_bits_retain(fcntl(&first, FcntlArg::F_GETFD).unwrap());
        assert!(flags.contains(FdFlag::FD_CLOEXEC) && message.flags().contains(MsgFlags::CMSG_CLOEXEC));
        UnixStream::from(first).write_all(b"through").unwrap();
        drop(_second);
        let mut all = String::new();
        near.read_to_string(&mut all).unwrap(); // to its end: no other end is open
        assert_eq!(all, "through");
    });
}

#[test]
fn received_descriptors_are_closed_unless_they_are_taken() {
    no_leak(|| {
        let Some(mut ring) = Ring::new("received_descriptors_are_closed_unless_they_are_taken") else { return };
        let (a, b) = datagrams();
        let mut receive = RecvMsg::<ScmRightsSpace<3>>::new(8);
        let before = open_count();
        for _ in 0..3 {
            send(&a, ScmRights::new([&a, &b, &a])).unwrap();
            ring.recv(&b, &mut receive, 1);
            let mut message = receive.complete(ring.wait(1).result).unwrap();
            assert_eq!((message.fds().count(), open_count()), (3, before + 3));
            drop(message.take_fds().next());
            // The others: closed by the next start, and at the end by dropping it.
            assert_eq!(open_count(), before + 2);
        }
        drop(receive);
        assert_eq!(open_count(), before);
        // Without room for them the kernel keeps them.
        send(&a, ScmRights::new([&a])).unwrap();
        let mut receive = RecvMsg::<()>::with_buffer(vec![0; 8], 0);
        ring.recv(&b, &mut receive, 1);
        let message = receive.complete(ring.wait(1).result).unwrap();
        assert!(message.flags().contains(MsgFlags::CTRUNC) && message.require_complete().is_err());
    });
}

#[test]
fn what_was_cut_is_told() {
    no_leak(|| {
        let Some(mut ring) = Ring::new("what_was_cut_is_told") else { return };
        let (a, b) = datagrams();
        let mut receive = RecvMsg::<()>::with_buffer(vec![0; 3], 24);
        for real in [false, true] {
            if real {
                receive.set_flags(RecvFlags::TRUNC);
            }
            send(&a, ScmRights::new([&a, &a, &a])).unwrap();
            ring.recv(&b, &mut receive, 1);
            let message = receive.complete(ring.wait(1).result).unwrap();
            assert_eq!((message.data(), message.full_len()), (&b"dat"[..], if real { 4 } else { 3 }));
            assert!(message.flags().contains(MsgFlags::TRUNC | MsgFlags::CTRUNC));
            // 24 bytes have room for two numbers.
            assert_eq!(message.fds().count(), 2);
            let error = message.require_complete().unwrap_err();
            assert!(error.data && error.control, "{error}");
        }
    });
}

/// A message in flight cannot be changed, looked at or started once more.
#[test]
fn in_flight_nothing_can_be_had() {
    no_leak(|| {
        let Some(mut ring) = Ring::new("in_flight_nothing_can_be_had") else { return };
        let (a, b) = datagrams();
        let mut receive = RecvMsg::<()>::new(8);
        ring.recv(&b, &mut receive, 1);
        assert!(receive.is_in_flight() && receive.received().is_none());
        assert_eq!(receive.start(), Err(PinnedError::InFlight));
        assert_eq!(receive.swap_buffer(vec![7]), Err(vec![7]));
        assert_eq!(format!("{receive:?}"), "RecvMsg { in flight }");

        a.set_nonblocking(true).unwrap();
        while a.send(&[0; 1000]).is_ok() {}
        a.set_nonblocking(false).unwrap();
        let mut out = SendMsg::new();
        out.set(&MsgHdr::new(), b"waits".to_vec()).unwrap();
        ring.send(&a, &mut out, 2);
        assert_eq!(out.start(), Err(PinnedError::InFlight));
        assert!(out.buffer().is_none() && out.take_buffer().is_none());
        let refused = out.set(&MsgHdr::new(), b"another".to_vec()).unwrap_err();
        assert_eq!(cause(&refused.error), Some(PinnedError::InFlight));
        assert_eq!(refused.buffer, Some(b"another".to_vec()));

        // The datagrams that fill the queue go first; then both end, in any order.
        let mut ends = 0;
        for _ in 0..1000 {
            let done = ring.next();
            match done.id {
                1 => {
                    let message = receive.complete(done.result).unwrap();
                    if message.data() == b"waits" {
                        ends += 1;
                    } else {
                        ring.recv(&b, &mut receive, 1);
                    }
                }
                _ => {
                    assert_eq!(out.complete(done.result, done.flags).unwrap(), 5);
                    ends += 1;
                }
            }
            if ends == 2 {
                assert_eq!(out.take_buffer(), Some(b"waits".to_vec()));
                return assert_eq!(&receive.swap_buffer(vec![]).unwrap()[..5], b"waits");
            }
        }
        panic!("{ends} of two have ended");
    });
}

#[test]
fn a_completion_of_nothing_is_refused() {
    no_leak(|| {
        let Some(mut ring) = Ring::new("a_completion_of_nothing_is_refused") else { return };
        let (a, b) = datagrams();
        let (mut out, mut receive) = (SendMsg::<Vec<u8>>::new(), RecvMsg::<()>::new(8));
        let not_in_flight = |error| assert_eq!(cause(&error), Some(PinnedError::NotInFlight));
        not_in_flight(out.complete(1, 0).unwrap_err());
        not_in_flight(receive.complete(1).unwrap_err());
        assert_eq!(out.start(), Err(PinnedError::NotSet));
        assert!(receive.received().unwrap().is_empty());

        // Twice.
        out.copy(MsgHdr::new().data(b"one")).unwrap();
        ring.send(&a, &mut out, 1);
        let done = ring.wait(1);
        assert_eq!(out.complete(done.result, done.flags).unwrap(), 3);
        not_in_flight(out.complete(done.result, done.flags).unwrap_err());
        ring.recv(&b, &mut receive, 2);
        let done = ring.wait(2);
        assert_eq!(receive.complete(done.result).unwrap().data(), b"one");
        not_in_flight(receive.complete(done.result).unwrap_err());
        assert_eq!(receive.received().unwrap().data(), b"one");

        // Started, and never submitted.
        assert!(receive.start().is_ok());
        let error = receive.complete(5).unwrap_err();
        assert_eq!(cause(&error), Some(PinnedError::NotCompleted));
        receive.withdraw();
        assert!(!receive.is_in_flight() && receive.received().unwrap().is_empty());
        out.copy(MsgHdr::new().data(b"two")).unwrap();
        assert!(out.start().is_ok());
        out.withdraw();
        ring.send(&a, &mut out, 1);
        assert_eq!(out.complete(ring.wait(1).result, 0).unwrap(), 3);
    });
}

/// The result of one receive, reported to another that has not ended: nothing is taken from that.
#[test]
fn anothers_completion_is_not_taken_for_ones_own() {
    no_leak(|| {
        let Some(mut ring) = Ring::new("anothers_completion_is_not_taken_for_ones_own") else { return };
        let ((a, b), (c, d)) = (datagrams(), datagrams());
        let mut receives = [RecvMsg::<ScmRightsSpace<1>>::new(8), RecvMsg::new(8)];
        ring.recv(&b, &mut receives[0], 0);
        ring.recv(&d, &mut receives[1], 1);
        send(&a, ScmRights::new([&a])).unwrap();
        let done = ring.wait(0);
        let error = receives[1].complete(done.result).unwrap_err();
        assert_eq!(cause(&error), Some(PinnedError::NotCompleted));
        assert!(receives[1].is_in_flight());
        assert_eq!(receives[0].complete(done.result).unwrap().fds().count(), 1);
        c.send(b"its own").unwrap();
        let message = receives[1].complete(ring.wait(1).result).unwrap();
        assert_eq!((message.data(), message.fds().count()), (&b"its own"[..], 0));
    });
}

#[test]
fn a_cancelled_receive_can_be_started_again() {
    no_leak(|| {
        let Some(mut ring) = Ring::new("a_cancelled_receive_can_be_started_again") else { return };
        let (a, b) = datagrams();
        let mut receive = RecvMsg::<()>::new(8);
        for _ in 0..3 {
            ring.recv(&b, &mut receive, 1);
            let done = ring.cancel(1);
            assert_eq!(errno(receive.complete(done.result)), libc::ECANCELED);
            assert!(!receive.is_in_flight());
        }
        ring.recv(&b, &mut receive, 1);
        a.send(b"after all").unwrap();
        assert_eq!(receive.complete(ring.wait(1).result).unwrap().data(), b"after al");
    });
}

type Bytes = Arc<[u8]>;

/// A message that waits for room in a stream.
fn stuck(ring: &mut Ring) -> (UnixStream, UnixStream, SendMsg<Bytes>, Bytes) {
    let (a, b) = stream();
    a.set_nonblocking(true).unwrap();
    while (&a).write(&[0; 4096]).is_ok() {}
    a.set_nonblocking(false).unwrap();
    let bytes = Bytes::from(&b"the end"[..]);
    let mut out = SendMsg::new();
    out.set(&MsgHdr::new(), Arc::clone(&bytes)).unwrap();
    ring.send(&a, &mut out, 1);
    assert!(ring.is_quiet());
    (a, b, out, bytes)
}

#[test]
fn what_is_dropped_in_flight_is_leaked() {
    no_leak(|| {
        let Some(mut ring) = Ring::new("what_is_dropped_in_flight_is_leaked") else { return };
        let (a, mut b, out, bytes) = stuck(&mut ring);
        drop(out);
        assert_eq!(Arc::strong_count(&bytes), 2);
        drop(a); // the request has the socket
        let mut all = Vec::new();
        b.read_to_end(&mut all).unwrap();
        assert!(all.ends_with(b"the end") && all.len() > 7);
        assert_eq!(ring.wait(1).result, 7);

        // A receive is written to after it has been dropped, or forgotten.
        let (a, b) = datagrams();
        for forget in [false, true] {
            let mut receive = RecvMsg::<()>::new(1 << 16);
            ring.recv(&b, &mut receive, 2);
            if forget {
                mem::forget(receive)
            } else {
                drop(receive)
            }
            // Memory that was freed would be had again here.
            let others = vec![vec![7_u8; 1 << 16]; 8];
            a.send(&[1; 1000]).unwrap();
            assert_eq!(ring.wait(2).result, 1000);
            assert!(others.iter().flatten().all(|byte| *byte == 7));
        }
    });
}

/// Requests end later than the ring's descriptor is closed.
#[test]
fn a_ring_that_is_closed_takes_nothing_with_it() {
    no_leak(|| {
        let Some(mut ring) = Ring::new("a_ring_that_is_closed_takes_nothing_with_it") else { return };
        let (a, b, mut out, bytes) = stuck(&mut ring);
        let (c, d) = datagrams();
        let mut receive = RecvMsg::<()>::new(8);
        ring.recv(&d, &mut receive, 2);
        drop(ring);
        assert!(out.is_in_flight() && receive.is_in_flight() && out.buffer().is_none());
        assert_eq!(out.start(), Err(PinnedError::InFlight));
        let _ = c.send(b"late");
        drop((out, receive, a, b, c, d));
        assert_eq!(Arc::strong_count(&bytes), 2);
    });
}

#[test]
fn a_message_that_has_ended_is_freed() {
    no_leak(|| {
        let Some(mut ring) = Ring::new("a_message_that_has_ended_is_freed") else { return };
        let (a, b, mut out, bytes) = stuck(&mut ring);
        let done = ring.cancel(1);
        assert_eq!(errno(out.complete(done.result, done.flags)), libc::ECANCELED);
        assert_eq!((out.buffer(), Arc::strong_count(&bytes)), (Some(&bytes), 2));
        // It can go again, as it is.
        gone(b);
        ring.send(&a, &mut out, 1);
        let done = ring.wait(1);
        let error = out.complete(done.result, done.flags).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::BrokenPipe);
        drop(out);
        assert_eq!(Arc::strong_count(&bytes), 1);
    });
}

#[test]
fn messages_move_between_threads_in_flight() {
    no_leak(|| {
        let Some(mut ring) = Ring::new("messages_move_between_threads_in_flight") else { return };
        let (a, b) = datagrams();
        let mut all: Vec<_> = (0..8).map(|_| RecvMsg::<()>::new(8)).collect();
        for (receive, id) in all.iter_mut().zip(0..) {
            ring.recv(&b, receive, id);
        }
        // To other places, and to another thread, with the ring.
        all.reserve(1000);
        let mut all: Vec<_> = all.into_iter().map(Some).rev().collect();
        all.reverse();
        for number in 0..8_u8 {
            a.send(&[number]).unwrap();
        }
        let mut seen = thread::spawn(move || {
            let mut seen = Vec::new();
            for _ in 0..8 {
                let done = ring.next();
                let mut receive = all[done.id as usize].take().expect("each once");
                seen.extend_from_slice(receive.complete(done.result).unwrap().data());
            }
            seen
        })
        .join()
        .unwrap();
        seen.sort_unstable();
        assert_eq!(seen, [0, 1, 2, 3, 4, 5, 6, 7]);
    });
}

/// `IORING_OP_SENDMSG_ZC` ends twice: the buffer is the kernel's until the second completion.
#[test]
fn without_a_copy_the_buffer_comes_back_with_the_notification() {
    no_leak(|| {
        let test = "without_a_copy_the_buffer_comes_back_with_the_notification";
        let Some(mut ring) = Ring::new(test) else { return };
        const REPORT_USAGE: u16 = 1 << 3;
        let (mut receiver, sender) = tcp("127.0.0.1:0");
        let data = vec![7; 30_000];
        let mut out = SendMsg::new();
        for fails in [false, true] {
            out.set(MsgHdr::new().data(b"head"), data.clone()).unwrap();
            let header = out.start().unwrap();
            if fails {
                sender.shutdown(std::net::Shutdown::Write).unwrap();
            }
            let entry = opcode::SendMsgZc::new(fd(&sender), header).flags(out.flags()).ioprio(REPORT_USAGE).build();
            ring.submit(entry, 1);
            let done = ring.wait(1);
            if done.result == -libc::EINVAL {
                assert!(out.complete(done.result, done.flags).is_err());
                return skipped(format_args!("SKIPPED {test}: IORING_OP_SENDMSG_ZC: EINVAL"));
            }
            let first = out.complete(done.result, done.flags).map_err(|error| error.raw_os_error().unwrap());
            assert_eq!(first, if fails { Err(libc::EPIPE) } else { Ok(30_004) });
            if done.more() {
                assert!(out.is_in_flight() && out.take_buffer().is_none());
                if !fails {
                    let mut all = vec![0; 30_004];
                    receiver.read_exact(&mut all).unwrap();
                    assert_eq!(all, [&b"head"[..], &data].concat());
                }
                let done = ring.wait(1);
                assert!(io_uring::cqueue::notif(done.flags));
                let second = out.complete(done.result, done.flags).map_err(|error| error.raw_os_error().unwrap());
                assert_eq!(second, first);
                // Loopback has no card to read the buffer.
                assert!(fails || out.was_copied());
            }
            assert_eq!((out.is_in_flight(), out.take_buffer()), (false, Some(data.clone())));
        }
    });
}

/// Earlier kernels receive in parts, and say of the last part alone what control data it brought.
#[test]
fn all_of_a_stream_comes_with_the_descriptors_of_its_start() {
    no_leak(|| {
        let Some(mut ring) = Ring::new("all_of_a_stream_comes_with_the_descriptors_of_its_start") else { return };
        let (a, b) = stream();
        let mut receive = RecvMsg::<ScmRightsSpace<2>>::new(8);
        receive.set_flags(RecvFlags::WAITALL).no_peer();
        ring.recv(&b, &mut receive, 1);
        send(&a, ScmRights::new([&b, &b])).unwrap();
        // Whether it waits for the rest is the kernel's choice.
        let _ = MsgHdr::new().data(b"more").send(&a);
        let message = receive.complete(ring.wait(1).result).unwrap();
        assert!(message.data() == b"datamore" || message.data() == b"data", "{message:?}");
        assert_eq!(message.fds().count(), 2);
        // The end of a stream: no bytes.
        drop(a);
        let mut receive = RecvMsg::<()>::new(64);
        let mut len = usize::MAX;
        for _ in 0..2 {
            if len > 0 {
                ring.recv(&b, &mut receive, 1);
                len = receive.complete(ring.wait(1).result).unwrap().len();
            }
        }
        assert_eq!(len, 0);
    });
}

#[test]
fn what_cannot_be_sent_is_refused_and_the_buffer_comes_back() {
    let mut out = SendMsg::new();
    let refused = out.set(MsgHdr::new().control(ancillary::message::IpTtl(0)), vec![1]).unwrap_err();
    assert!(matches!(cause(&refused.error), Some(EncodeError::Value { field: "IP_TTL", .. })), "{refused:?}");
    assert_eq!(refused.buffer, Some(vec![1]));
    assert_eq!(out.start(), Err(PinnedError::NotSet));

    let mut out = SendMsg::new();
    let many = vec![vec![1]; 1025];
    let refused = out.set(&MsgHdr::new(), many).unwrap_err();
    assert_eq!(cause(&refused.error), Some(EncodeError::Slices { needed: 1025, available: 1024 }));
    assert_eq!(refused.buffer.map(|many| many.len()), Some(1025));
    assert_eq!(out.start(), Err(PinnedError::NotSet));
    assert_eq!(format!("{out:?}"), "SendMsg { in flight: false }");
}

/// The address of the kernel's choice, by name.
#[test]
fn unnamed_peers_have_no_address() {
    no_leak(|| {
        let Some(mut ring) = Ring::new("unnamed_peers_have_no_address") else { return };
        let dir = std::env::temp_dir().join(format!("ancillary-uring-{}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        let (path, other) = (dir.join("a"), dir.join("b"));
        let (named, sender) = (UnixDatagram::bind(&path).unwrap(), UnixDatagram::bind(&other).unwrap());
        let mut receive = RecvMsg::<()>::new(8);
        for (from, expected) in [(&sender, Some(other.as_path())), (&UnixDatagram::unbound().unwrap(), None)] {
            let mut out = SendMsg::new();
            out.set(MsgHdr::new().to(ancillary::SockAddr::unix(&path).unwrap()), b"x".to_vec()).unwrap();
            ring.send(from, &mut out, 1);
            let done = ring.wait(1);
            assert_eq!(out.complete(done.result, done.flags).unwrap(), 1);
            ring.recv(named.as_fd(), &mut receive, 2);
            let message = receive.complete(ring.wait(2).result).unwrap();
            assert_eq!(message.peer().and_then(|peer| peer.as_pathname()), expected);
        }
        std::fs::remove_dir_all(&dir).unwrap();
    });
}

/// Containers forbid io_uring by EPERM, kernels without it by ENOSYS: that is said, and nothing fails.
#[test]
fn where_io_uring_is_forbidden_it_is_said() {
    let name = "where_io_uring_is_forbidden_it_is_said";
    if is_child() || !works(name, "strace", &["-o", "/dev/null", "true"]) {
        return;
    }
    for (error, text) in [("EPERM", "Operation not permitted"), ("ENOSYS", "Function not implemented")] {
        let inject = format!("inject=io_uring_setup:error={error}");
        let quiet = ["strace", "-f", "-qq", "-o", "/dev/null", "-e", "trace=io_uring_setup", "-e", &inject];
        let test = "a_cancelled_receive_can_be_started_again";
        let output = alone(|| again(test, &quiet).finish().unwrap());
        let (out, log) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert!(output.status.success() && out.contains("1 passed"), "{out}{log}");
        assert!(log.contains(&format!("SKIPPED {test}: io_uring: {text}")), "{out}{log}");
    }
}
