//! `pinned::RecvMsgMulti` and `pinned::RecvMsgOut`: one request, many messages.
#![cfg(uring)]

mod common;

use std::{
    collections::BTreeSet,
    os::unix::net::{UnixDatagram, UnixStream},
    thread,
};

use ancillary::{
    MsgFlags, MsgHdr, PinnedError, RecvFlags, SockAddr,
    message::{HopLimit, PktInfo, ScmRights, ScmRightsSpace, Timestamp},
    pinned::{RecvMsgMulti, RecvMsgOut},
};
use common::{
    again::{again, is_child, works},
    alone, cause, no_leak, open_count,
    pairs::{addrs, asked, datagrams, errno, send, stream},
    starting::Start,
    uring::{Ring, fd, goes_on, text},
};
use io_uring::opcode;
use nix::libc;
use proptest::prelude::*;

type Meta = (PktInfo, HopLimit, Timestamp);

/// Receives on a socket; `None`, said, where the kernel cannot.
fn receiving<L: ancillary::RecvList>(
    test: &str,
    ring: &mut Ring,
    socket: &UnixDatagram,
    mut messages: RecvMsgMulti<L>,
) -> Option<RecvMsgMulti<L>> {
    if !ring.register(test, &mut messages) {
        return None;
    }
    ring.recv_multi(socket, &mut messages, 1);
    if ring.is_quiet() {
        return Some(messages);
    }
    let done = ring.wait(1);
    assert!(!goes_on(test, done), "{done:?}");
    end(ring, &mut messages);
    None
}

/// Unregisters buffers that no request uses.
fn end<L: ancillary::RecvList>(ring: &Ring, messages: &mut RecvMsgMulti<L>) {
    if messages.requests() > 0 {
        messages.withdraw();
    }
    ring.unregister();
    messages.release().unwrap();
}

/// Cancels the request 1, and unregisters the buffers.
fn stop<L: ancillary::RecvList>(ring: &mut Ring, messages: &mut RecvMsgMulti<L>) {
    let done = ring.cancel(1);
    assert_eq!(errno(messages.complete(done.result, done.flags)), libc::ECANCELED);
    assert_eq!(messages.requests(), 0);
    end(ring, messages);
}

#[test]
fn one_request_brings_many_messages_each_typed() {
    no_leak(|| {
        let test = "one_request_brings_many_messages_each_typed";
        for addr in addrs(test) {
            let Some(mut ring) = Ring::new(test) else { return };
            let (server, client) = asked::<Meta>(addr);
            let mut messages = RecvMsgMulti::<Meta>::new(3, 64);
            assert_eq!(messages.capacity(), 4);
            if !ring.register(test, &mut messages) {
                return;
            }
            ring.recv_multi(&server, &mut messages, 1);
            // Many times round the ring of buffers.
            for number in 1..=200_u8 {
                MsgHdr::new()
                    .data(&vec![number; usize::from(number % 64)])
                    .control(HopLimit(number))
                    .send(&client)
                    .unwrap();
                let done = ring.wait(1);
                if !goes_on(test, done) {
                    return end(&ring, &mut messages);
                }
                let message = messages.complete(done.result, done.flags).unwrap();
                assert_eq!(message.data(), vec![number; usize::from(number % 64)]);
                assert_eq!(message.peer().and_then(|peer| peer.as_inet()), Some(client.local_addr().unwrap()));
                let (info, hops, stamp) = message.extract();
                assert_eq!((info.unwrap().addr(), hops), (server.local_addr().unwrap().ip(), Some(HopLimit(number))));
                assert!(stamp.is_some() && message.cmsgs().count() == 3);
                assert!(message.require_complete().is_ok() && message.flags().contains(MsgFlags::CMSG_CLOEXEC));
                // An empty message ends the request.
                assert_eq!(done.more(), number % 64 != 0);
                if !done.more() {
                    assert_eq!(messages.requests(), 0);
                    ring.recv_multi(&server, &mut messages, 1);
                }
            }
            stop(&mut ring, &mut messages);
        }
    });
}

/// More messages than buffers: the request ends with ENOBUFS, and goes on once it is started again. Nothing is lost.
#[test]
fn without_buffers_a_request_ends_and_nothing_is_lost() {
    no_leak(|| {
        let test = "without_buffers_a_request_ends_and_nothing_is_lost";
        let Some(mut ring) = Ring::new(test) else { return };
        let (a, b) = datagrams();
        let Some(mut messages) = receiving(test, &mut ring, &b, RecvMsgMulti::<()>::new(2, 8)) else { return };
        for number in 0..10 {
            a.send(&[number]).unwrap();
        }
        let (mut seen, mut ends) = (Vec::new(), 0);
        for _ in 0..100 {
            let done = ring.wait(1);
            match messages.complete(done.result, done.flags) {
                Ok(message) => seen.extend_from_slice(message.data()),
                Err(error) => {
                    assert_eq!((error.raw_os_error(), done.more()), (Some(libc::ENOBUFS), false));
                    ends += 1;
                    messages.recycle();
                    ring.recv_multi(&b, &mut messages, 1);
                }
            }
            if seen.len() == 10 {
                break;
            }
        }
        assert_eq!(seen, [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
        assert!(ends > 0);
        // Whether the last buffers were enough is seen later.
        a.send(b"end").unwrap();
        let mut done = ring.wait(1);
        if done.result == -libc::ENOBUFS {
            assert!(messages.complete(done.result, done.flags).is_err());
            ring.recv_multi(&b, &mut messages, 1);
            done = ring.wait(1);
        }
        assert_eq!(messages.complete(done.result, done.flags).unwrap().data(), b"end");
        stop(&mut ring, &mut messages);
    });
}

#[test]
fn descriptors_are_owned_by_their_message() {
    no_leak(|| {
        let test = "descriptors_are_owned_by_their_message";
        let Some(mut ring) = Ring::new(test) else { return };
        let (a, b) = datagrams();
        let messages = RecvMsgMulti::<ScmRightsSpace<2>>::new(4, 8);
        let Some(mut messages) = receiving(test, &mut ring, &b, messages) else { return };
        let before = open_count();
        let (near, far) = UnixStream::pair().unwrap();
        drop(near);
        for round in 0..20 {
            send(&a, ScmRights::new([&far, &far])).unwrap();
            let done = ring.wait(1);
            let mut message = messages.complete(done.result, done.flags).unwrap();
            assert_eq!((text(&message), message.fds().count()), ("data".into(), 2));
            match round % 4 {
                // Taken, all or one; the next message closes the others, or giving the buffer back.
                0 => drop(message.take_fds_exact::<2>().unwrap()),
                1 => drop(message.take_fds().next().unwrap()),
                2 => messages.recycle(),
                _ => {
                    // Forgotten messages are only a view.
                    let _ = message;
                    assert_eq!(messages.received().unwrap().fds().count(), 2);
                }
            }
            let left = [0, 1, 0, 2][round % 4];
            assert_eq!(open_count(), before + 2 - 1 + left, "{round}");
        }
        drop(far);
        // Cancelling closes what the last message had.
        stop(&mut ring, &mut messages);
        assert_eq!(open_count(), before);

        // Dropped with a message, and while the kernel has the buffers.
        let messages = RecvMsgMulti::<ScmRightsSpace<2>>::new(4, 8);
        let Some(mut messages) = receiving(test, &mut ring, &b, messages) else { return };
        send(&a, ScmRights::new([&a])).unwrap();
        let done = ring.wait(1);
        assert_eq!(messages.complete(done.result, done.flags).unwrap().fds().count(), 1);
        assert_eq!(open_count(), before + 1);
        drop(messages);
        assert_eq!(open_count(), before);
        // The kernel writes to them still.
        a.send(b"nobody").unwrap();
        assert!(ring.wait(1).result > 0);
        ring.cancel(1);
        ring.unregister();
    });
}

#[test]
fn what_was_cut_is_told() {
    no_leak(|| {
        let test = "what_was_cut_is_told";
        let Some(mut ring) = Ring::new(test) else { return };
        let (a, b) = datagrams();
        for real in [false, true] {
            let mut messages = RecvMsgMulti::<()>::with_control(4, 3, 24);
            if real {
                messages.set_flags(RecvFlags::TRUNC);
            }
            let Some(mut messages) = receiving(test, &mut ring, &b, messages) else { return };
            send(&a, ScmRights::new([&a, &a, &a])).unwrap();
            let done = ring.wait(1);
            let message = messages.complete(done.result, done.flags).unwrap();
            assert_eq!((message.data(), message.full_len()), (&b"dat"[..], if real { 4 } else { 3 }));
            assert!(message.flags().contains(MsgFlags::TRUNC | MsgFlags::CTRUNC));
            assert_eq!(message.fds().count(), 2);
            let error = message.require_complete().unwrap_err();
            assert!(error.data && error.control, "{error}");
            stop(&mut ring, &mut messages);
        }
    });
}

#[test]
fn a_completion_that_is_none_of_its_own_is_refused() {
    no_leak(|| {
        let test = "a_completion_that_is_none_of_its_own_is_refused";
        let Some(mut ring) = Ring::new(test) else { return };
        const BUFFER: u32 = 1;
        const MORE: u32 = 2;
        let (a, b) = datagrams();
        let mut messages = RecvMsgMulti::<ScmRightsSpace<1>>::new(4, 8);
        let refused = |result: std::io::Result<_>| cause::<PinnedError>(&result.map(|_: ()| ()).unwrap_err()).unwrap();
        let told = |messages: &mut RecvMsgMulti<ScmRightsSpace<1>>, result, flags| {
            refused(messages.complete(result, flags).map(|message| panic!("{message:?}")))
        };
        assert_eq!(told(&mut messages, 500, BUFFER | MORE), PinnedError::NotInFlight);
        assert_eq!(messages.start(), Err(PinnedError::NotRegistered));
        assert!(messages.received().is_none());
        let Some(mut messages) = receiving(test, &mut ring, &b, messages) else { return };
        assert_eq!(messages.register(), Err(PinnedError::InFlight));
        assert_eq!(messages.release(), Err(PinnedError::InFlight));

        // Of a buffer that the kernel has, and of one that is not there.
        for bid in 0..4 {
            assert_eq!(told(&mut messages, 500, BUFFER | MORE | bid << 16), PinnedError::NotCompleted);
        }
        let flags = BUFFER | MORE | 4 << 16;
        assert_eq!(told(&mut messages, 500, flags), PinnedError::Buffer { flags });
        assert_eq!(told(&mut messages, 500, MORE), PinnedError::Buffer { flags: MORE });
        // Twice: the buffer has gone back with the first of the two.
        send(&a, ScmRights::new([&a])).unwrap();
        let done = ring.wait(1);
        assert_eq!(messages.complete(done.result, done.flags).unwrap().fds().count(), 1);
        assert_eq!(told(&mut messages, done.result, done.flags), PinnedError::NotCompleted);
        // Nothing of that has gone wrong for the others.
        for number in 0..5 {
            a.send(&[number]).unwrap();
            let done = ring.wait(1);
            assert_eq!(messages.complete(done.result, done.flags).unwrap().data(), [number]);
        }
        stop(&mut ring, &mut messages);
        assert_eq!(told(&mut messages, 500, BUFFER), PinnedError::NotInFlight);
    });
}

#[test]
fn several_sockets_share_the_buffers() {
    no_leak(|| {
        let test = "several_sockets_share_the_buffers";
        let Some(mut ring) = Ring::new(test) else { return };
        let pairs: Vec<_> = (0..5).map(|_| datagrams()).collect();
        let Some(mut messages) = receiving(test, &mut ring, &pairs[0].1, RecvMsgMulti::<()>::new(16, 8)) else {
            return;
        };
        for (pair, id) in pairs.iter().zip(1..).skip(1) {
            ring.recv_multi(&pair.1, &mut messages, id);
        }
        assert_eq!(messages.requests(), 5);
        for _ in 0..3 {
            for (pair, id) in pairs.iter().zip(1_u8..) {
                pair.0.send(&[id]).unwrap();
            }
            let mut seen = BTreeSet::new();
            for _ in 0..5 {
                let done = ring.next();
                let message = messages.complete(done.result, done.flags).unwrap();
                assert_eq!(message.data(), [u8::try_from(done.id).unwrap()]);
                seen.insert(done.id);
            }
            assert_eq!(seen, BTreeSet::from([1, 2, 3, 4, 5]));
        }
        for id in 2..=5 {
            let done = ring.cancel(id);
            assert!(messages.complete(done.result, done.flags).is_err());
        }
        stop(&mut ring, &mut messages);
        assert_eq!(
            format!("{messages:?}"),
            "RecvMsgMulti { buffers: 16, data: 8 bytes, control: 256 bytes, requests: 0 }"
        );
    });
}

/// Registered once more, the ring of buffers starts from its beginning.
#[test]
fn buffers_can_be_registered_again() {
    no_leak(|| {
        let test = "buffers_can_be_registered_again";
        let Some(mut ring) = Ring::new(test) else { return };
        let (a, b) = datagrams();
        let mut messages = RecvMsgMulti::<()>::new(4, 8);
        for rounds in [3, 5, 4, 1] {
            let Some(registered) = receiving(test, &mut ring, &b, messages) else { return };
            messages = registered;
            for number in 0..rounds {
                a.send(&[number]).unwrap();
                let done = ring.wait(1);
                assert_eq!(messages.complete(done.result, done.flags).unwrap().data(), [number]);
            }
            stop(&mut ring, &mut messages);
        }
    });
}

#[test]
fn a_ring_that_is_closed_leaves_the_buffers() {
    no_leak(|| {
        let test = "a_ring_that_is_closed_leaves_the_buffers";
        let Some(mut ring) = Ring::new(test) else { return };
        let (a, b) = datagrams();
        let Some(mut messages) = receiving(test, &mut ring, &b, RecvMsgMulti::<()>::new(4, 1000)) else { return };
        drop(ring);
        assert_eq!((messages.release(), messages.requests()), (Err(PinnedError::InFlight), 1));
        drop(messages);
        let others = vec![vec![7_u8; 1400]; 64];
        let _ = a.send(&[1; 1000]);
        assert!(others.iter().flatten().all(|byte| *byte == 7));
    });
}

#[test]
fn buffers_move_between_threads_in_flight() {
    no_leak(|| {
        let test = "buffers_move_between_threads_in_flight";
        let Some(mut ring) = Ring::new(test) else { return };
        let (a, b) = datagrams();
        let Some(mut messages) = receiving(test, &mut ring, &b, RecvMsgMulti::<()>::new(8, 8)) else { return };
        for number in 0..4 {
            a.send(&[number]).unwrap();
        }
        let seen = thread::spawn(move || {
            let mut seen = Vec::new();
            for _ in 0..4 {
                let done = ring.wait(1);
                seen.extend_from_slice(messages.complete(done.result, done.flags).unwrap().data());
            }
            stop(&mut ring, &mut messages);
            seen
        });
        assert_eq!(seen.join().unwrap(), [0, 1, 2, 3]);
    });
}

#[test]
fn a_stream_ends_with_an_empty_message() {
    no_leak(|| {
        let test = "a_stream_ends_with_an_empty_message";
        let Some(mut ring) = Ring::new(test) else { return };
        let (a, b) = stream();
        let mut messages = RecvMsgMulti::<()>::new(4, 8);
        if !ring.register(test, &mut messages) {
            return;
        }
        ring.recv_multi(&b, &mut messages, 1);
        send(&a, ()).unwrap();
        let done = ring.wait(1);
        if !goes_on(test, done) {
            return end(&ring, &mut messages);
        }
        assert_eq!(messages.complete(done.result, done.flags).unwrap().data(), b"data");
        drop(a);
        let done = ring.wait(1);
        let message = messages.complete(done.result, done.flags).unwrap();
        assert!(message.is_empty() && message.peer().is_none() && !done.more());
        end(&ring, &mut messages);
    });
}

/// The kernel's own bytes, at every alignment: buffers of the test's, provided one by one.
#[test]
fn buffers_of_others_are_read_at_any_alignment() {
    no_leak(|| {
        let test = "buffers_of_others_are_read_at_any_alignment";
        type Out<'a> = RecvMsgOut<'a, Meta>;
        const GROUP: u16 = 7;
        for addr in addrs(test) {
            let Some(mut ring) = Ring::new(test) else { return };
            let (server, client) = asked::<Meta>(addr);
            let room = Out::room(16);
            let mut memory = vec![0_u8; room + 8];
            for shift in 0..8 {
                let at = memory[shift..].as_mut_ptr();
                ring.submit(opcode::ProvideBuffers::new(at, room as i32, 1, GROUP, 0).build(), 2);
                assert!(ring.wait(2).result >= 0);
                ring.submit(opcode::RecvMsgMulti::new(fd(&server), Out::header(), GROUP).build(), 1);
                MsgHdr::new().data(b"hello").control(HopLimit(9)).send(&client).unwrap();
                let done = ring.wait(1);
                if !goes_on(test, done) {
                    return;
                }
                // There is no other buffer: looking for one ends the request.
                assert!(done.more() && ring.wait(1).result == -libc::ENOBUFS);
                // SAFETY: the kernel has given the buffer back, and the request has ended.
                let buffer = unsafe { std::slice::from_raw_parts(at, usize::try_from(done.result).unwrap()) };
                let message = Out::parse(buffer).unwrap();
                let (info, hops, stamp) = message.extract();
                assert_eq!((message.data(), message.full_len(), hops), (&b"hello"[..], 5, Some(HopLimit(9))));
                assert_eq!(info.unwrap().addr(), server.local_addr().unwrap().ip());
                assert!(stamp.is_some() && message.messages().count() == 3 && message.get::<HopLimit>() == hops);
                assert_eq!(message.peer(), Some(SockAddr::from(client.local_addr().unwrap())));
                assert!(message.require_complete().is_ok());
                assert!(format!("{message:?}").starts_with("RecvMsgOut { 5 bytes, from: "), "{message:?}");
            }
            memory.clear();
        }
    });
}

#[test]
fn a_buffer_that_is_too_short_is_refused() {
    type Out<'a> = RecvMsgOut<'a, (), 24>;
    let room = 16 + 128 + 24;
    assert_eq!((Out::room(0), Out::room(5)), (room, room + 5));
    for len in 0..room {
        let error = Out::parse(&vec![0xff; len]).unwrap_err();
        assert_eq!(error, PinnedError::Short { needed: room, found: len });
    }
    let message = vec![0xff; room];
    let message = Out::parse(&message).unwrap();
    assert_eq!((message.data().len(), message.control_bytes().len()), (0, 24));
    assert!(message.flags().contains(MsgFlags::TRUNC | MsgFlags::CTRUNC));
    assert!(message.require_complete().is_err());
}

/// A kernel without rings of buffers.
#[test]
fn where_buffers_cannot_be_registered_it_is_said() {
    let name = "where_buffers_cannot_be_registered_it_is_said";
    if is_child() || !works(name, "strace", &["-o", "/dev/null", "true"]) {
        return;
    }
    let inject = "inject=io_uring_register:error=EINVAL";
    let quiet = ["strace", "-f", "-qq", "-o", "/dev/null", "-e", "trace=io_uring_register", "-e", inject];
    let test = "a_stream_ends_with_an_empty_message";
    let output = alone(|| again(test, &quiet).finish().unwrap());
    let (out, log) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success() && out.contains("1 passed"), "{out}{log}");
    // Where there are no rings at all, that is said.
    let said = ["rings of buffers: Invalid argument", "io_uring: "].map(|text| format!("SKIPPED {test}: {text}"));
    assert!(said.iter().any(|text| log.contains(text)), "{out}{log}");
}

proptest! {
    /// Whatever stands there, nothing panics and nothing is read that is not there.
    #[test]
    fn any_bytes_are_a_message_or_too_short(bytes: Vec<u8>, head: [u32; 4], fill: u8) {
        type Out<'a> = RecvMsgOut<'a, (PktInfo, HopLimit), 96>;
        let mut buffer: Vec<u8> = head.iter().flat_map(|number| number.to_ne_bytes()).collect();
        buffer.resize(16 + 128, fill);
        buffer.extend(&bytes);
        match Out::parse(&buffer) {
            Ok(message) => {
                let _ = (message.extract(), message.peer(), message.messages().count(), format!("{message:?}"));
                prop_assert_eq!(message.control_bytes().len(), 96.min(head[1] as usize));
                prop_assert_eq!(message.data().len(), (bytes.len() - 96).min(head[2] as usize));
            }
            Err(error) => prop_assert!(bytes.len() < 96, "{}", error),
        }
    }
}

fn _assert_send_and_sync() {
    fn both<T: Send + Sync>() {}
    both::<RecvMsgMulti<Meta>>();
    both::<ancillary::pinned::RecvMsg<Meta>>();
    both::<ancillary::pinned::SendMsg<std::sync::Arc<[u8]>>>();
}
