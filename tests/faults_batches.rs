//! Batches whose calls fail, or take a part of what they were given, at every position: with sendmmsg(2) and recvmmsg(2),
//! without them, and where each call is cut in the middle of a message.

#![cfg(all(target_os = "linux", target_env = "gnu", target_pointer_width = "64"))]

mod common;
mod faulty;

use std::io::IoSliceMut;

use ancillary::{
    SocketExt,
    batch::{RecvBatch, SendBatch},
    cmsg,
    message::{ScmRights, ScmRightsSpace},
};
use common::{
    again::until_ok,
    no_leak, open_count,
    pairs::{KINDS, pair},
    pipes::{contents, names, numbered},
};
use faulty::{Call, Fault, calm, everywhere_where, peer::Got, under};
use nix::{libc, sys::socket::SockType};

type Rights = ScmRightsSpace<4>;

const NONE: &[(Call, Fault)] =
    &[(Call::SendMmsg, Fault::Error(libc::ENOSYS)), (Call::RecvMmsg, Fault::Error(libc::ENOSYS))];

fn faults(more: &[Fault]) -> Vec<Fault> {
    let errors =
        [libc::EINTR, libc::EAGAIN, libc::ENOBUFS, libc::ENOMEM, libc::ECONNREFUSED, libc::EMSGSIZE, libc::EPIPE];
    errors.into_iter().map(Fault::Error).chain(more.iter().copied()).collect()
}

/// Messages of several slices, with descriptors, without, and one at the end that is longer than the others.
fn sends(kind: SockType) -> Vec<i32> {
    let ((a, b), fds) = (pair(kind), numbered(7));
    a.set_nonblocking(true).unwrap();
    let texts: Vec<String> =
        (0..8).map(|k| format!("message {k} {}", "x".repeat(if k == 7 { 500 } else { k }))).collect();
    let mut room = SendBatch::new(8);
    let mut batch = room.begin();
    for (k, text) in texts.iter().enumerate() {
        let (head, tail) = text.as_bytes().split_at(k);
        let mut message = batch.message();
        message.data(head).data(tail);
        if k != 4 {
            message.control(ScmRights::new([&fds[k - usize::from(k > 4)]]));
        }
        message.queue().unwrap();
    }
    let (mut errors, mut got) = (Vec::new(), Got::default());
    let mut turn = 0;
    until_ok(&mut errors, || {
        turn += 1;
        let result = if turn % 2 == 0 { batch.send_all(&a) } else { batch.send(&a) };
        got.more(&b);
        let mut expected = texts[..batch.sent()].concat();
        let mut begun = batch.sent();
        if batch.begun() > 0 {
            expected += &texts[batch.sent()][..batch.begun()];
            begun += 1;
        }
        let fds = (0..begun).filter(|k| *k != 4).count();
        assert!(got == Got { bytes: expected.into(), fds: names(0..fds) }, "{batch:?}: {got:?}");
        assert!(!matches!(result, Ok(0)), "nothing has gone, and nobody says why");
        match result {
            Ok(_) if batch.sent() < 8 => Err(std::io::Error::from_raw_os_error(0)),
            result => result,
        }
    });
    errors.retain(|error| *error != 0);
    errors
}

const SENDS: &[Call] = &[Call::SendMmsg, Call::SendMsg, Call::SendTo];

/// FI01
#[test]
fn of_a_batch_exactly_what_was_said_has_gone_whatever_call_fails() {
    for kind in KINDS {
        let mut some = vec![Fault::Few(1), Fault::Few(3)];
        if kind == SockType::Stream {
            some.extend([Fault::Cut(0, 1), Fault::Cut(0, 9), Fault::Cut(2, 1), Fault::Cut(7, 400), Fault::Short(1)]);
        }
        everywhere_where(&[], SENDS, &faults(&some), || sends(kind), |told| told.each_once());
        everywhere_where(NONE, SENDS, &faults(&[]), || sends(kind), |told| told.no_other());
    }
    let kind = SockType::Stream;
    everywhere_where(NONE, SENDS, &[Fault::Short(1), Fault::Short(9)], || sends(kind), |told| told.no_other());
}

/// FI01: What follows of a message that a stream took a part of, has errors of its own: told once, by this call or the next.
#[test]
fn the_rest_of_a_message_goes_once_whatever_call_fails() {
    const CUT: [&[(Call, Fault)]; 3] = [
        &[(Call::SendMmsg, Fault::Cut(0, 3))],
        &[(Call::SendMmsg, Fault::Cut(2, 1))],
        &[(Call::SendMmsg, Fault::Cut(5, 6))],
    ];
    for always in CUT {
        let faults = faults(&[Fault::Short(1), Fault::Short(4)]);
        everywhere_where(
            always,
            SENDS,
            &faults,
            || sends(SockType::Stream),
            |told| match told.fault {
                Fault::Error(libc::EAGAIN) => told.no_other(), // behind others it is not told
                _ => told.each_once(),
            },
        );
    }
}

/// Every other batch in buffers of the caller's; of every third one nobody looks at all.
fn receives(kind: SockType) -> Vec<i32> {
    let (a, b) = pair(kind);
    b.set_nonblocking(true).unwrap();
    let (mut errors, mut batch) = (Vec::new(), RecvBatch::<Rights>::new(3, 16));
    let before = open_count();
    for round in 0..3 {
        let text = |k: usize| format!("{round}: {k}");
        calm(|| (0..7).for_each(|k| assert_eq!(a.send_fds(text(k).as_bytes(), &numbered(1 + k % 2)).unwrap(), 4)));
        let (mut got, mut open, mut turn) = (Got::default(), 0, 0);
        while got.bytes.len() < 28 {
            turn += 1;
            let mut room = [[0; 16]; 2];
            let mut each = |bytes: &[u8], fds: &mut dyn Iterator<Item = std::os::fd::OwnedFd>| {
                got.bytes.extend(bytes);
                got.fds.extend(contents(fds));
            };
            until_ok(&mut errors, || {
                let result = if turn % 2 == 0 {
                    batch.recv(&b).map(|messages| {
                        // What is left in it is closed later.
                        messages.for_each(|mut m| each(m.data(), &mut m.take_fds().take(1)));
                    })
                } else {
                    let mut lens = Vec::new();
                    let mut slices = room.each_mut().map(|room| IoSliceMut::new(room));
                    let result = batch.recv_into(&b, &mut slices, 1).map(|messages| {
                        lens.extend(messages.map(|mut m| (m.len(), m.take_fds().collect::<Vec<_>>())));
                    });
                    for ((len, fds), room) in lens.into_iter().zip(room) {
                        each(&room[..len], &mut fds.into_iter().take(1));
                    }
                    result
                };
                open = open_count() - before;
                assert!(result.is_ok() || open == 0, "{open} of the messages before are open");
                result
            });
            assert!(open <= 3);
        }
        assert_eq!(String::from_utf8(got.bytes).unwrap(), (0..7).map(text).collect::<String>());
        assert_eq!(got.fds, ["0"; 7]);
    }
    // What nobody has looked at.
    calm(|| (0..3).for_each(|_| assert_eq!(a.send_fds(b"last", &numbered(2)).unwrap(), 4)));
    until_ok(&mut errors, || batch.recv(&b).map(drop));
    assert!(open_count() > before);
    until_ok(&mut errors, || match batch.recv(&b).map(|messages| messages.len()) {
        // It came in pieces.
        Ok(_) => Err(std::io::Error::from_raw_os_error(0)),
        Err(error) if error.raw_os_error() == Some(libc::EAGAIN) => Ok(()),
        Err(error) => Err(error),
    });
    assert_eq!(open_count(), before);
    errors.retain(|error| *error != 0);
    errors
}

/// FI02
#[test]
fn of_batches_that_arrive_nothing_is_lost_whatever_call_fails() {
    let calls = &[Call::RecvMmsg, Call::RecvMsg];
    for kind in KINDS {
        let some = faults(&[Fault::Few(1), Fault::Few(2)]);
        everywhere_where(&[], calls, &some, || receives(kind), |told| told.no_other());
        // One that is found behind messages is told by the next call; that there is nothing more is no error there.
        everywhere_where(
            NONE,
            calls,
            &faults(&[]),
            || receives(kind),
            |told| match told.fault {
                Fault::Error(libc::EAGAIN) => told.no_other(),
                _ => told.each_once(),
            },
        );
    }
    let kind = SockType::Stream;
    everywhere_where(NONE, calls, &[Fault::Short(1), Fault::Short(3)], || receives(kind), |told| told.no_other());
}

/// An error that was found behind messages belongs to their socket.
#[test]
fn an_error_behind_messages_is_told_by_its_own_socket() {
    no_leak(|| {
        let ((a, b), (c, d)) = (pair(SockType::Datagram), pair(SockType::Datagram));
        let mut batch = RecvBatch::<()>::new(4, 8);
        a.send_fds(b"one", &numbered(1)).unwrap();
        c.send_fds(b"another", &numbered(1)).unwrap();
        d.set_nonblocking(true).unwrap();
        let mut calls = 0;
        let plan = move |call| match call {
            Call::RecvMmsg => Some(Fault::Error(libc::ENOSYS)),
            _ => {
                calls += usize::from(call == Call::RecvMsg);
                (calls == 2).then_some(Fault::Error(libc::ENOBUFS))
            }
        };
        under(plan, || {
            assert_eq!(batch.recv(&b).unwrap().map(|m| m.len()).collect::<Vec<_>>(), [3]);
            assert_eq!(batch.recv(&d).unwrap().map(|m| m.len()).collect::<Vec<_>>(), [7]);
            assert_eq!(batch.recv(&b).unwrap_err().raw_os_error(), Some(libc::ENOBUFS));
            assert_eq!(batch.recv(&d).unwrap_err().raw_os_error(), Some(libc::EAGAIN), "told once");
        });
    });
}

/// The same as with single receives: a call that claims success and has written nothing.
#[test]
fn a_claim_of_success_brings_nothing_of_the_last_messages() {
    no_leak(|| {
        for (kind, room) in KINDS.into_iter().flat_map(|kind| [(kind, 256), (kind, cmsg::space(8).unwrap())]) {
            let (a, b) = pair(kind);
            let mut batch = RecvBatch::<Rights>::with_control(3, 16, room);
            for round in 0..3 {
                for _ in 0..3 {
                    a.send_fds(b"data", &numbered(2)).unwrap();
                }
                let mut came = 0;
                while came < 3 {
                    came += batch
                        .recv(&b)
                        .unwrap()
                        .map(|mut m| assert_eq!(m.take_fds().take(round).count(), round))
                        .count();
                }
                let plan = |call| (call == Call::RecvMmsg).then_some(Fault::Claims(3));
                let found = under(plan, || batch.recv(&b).map(Vec::from_iter)).unwrap();
                let found: Vec<_> = found.iter().map(|m| (m.data(), m.cmsgs().count(), m.fds().count())).collect();
                assert_eq!(found, [(&b""[..], 0, 0); 3]);

                a.send_fds(b"new", &numbered(1)).unwrap();
                let plan = |call| (call == Call::RecvMmsg).then_some(Fault::ClaimsMore(2));
                let found = under(plan, || batch.recv(&b).map(Vec::from_iter)).unwrap();
                let found: Vec<_> = found.iter().map(|m| (m.data(), m.cmsgs().count(), m.fds().count())).collect();
                assert_eq!(found, [(&b"new"[..], 1, 1), (&b""[..], 0, 0), (&b""[..], 0, 0)]);
            }
        }
    });
}
