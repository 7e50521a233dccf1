//! Errors of every call that sends or receives one message, of every kind of socket: what failed has sent nothing and taken
//! nothing, what succeeded has gone and come once. Options that cannot be set, and descriptors that cannot be duplicated.

#![cfg(all(target_os = "linux", target_env = "gnu", target_pointer_width = "64"))]

mod common;
mod faulty;

use std::{
    io::{IoSlice, IoSliceMut},
    mem::MaybeUninit,
    os::unix::net::UnixStream,
    time::Duration,
};

use ancillary::{
    ControlBuf, MsgHdr, MsgHdrMut, SocketExt,
    message::{Credentials, ExtendedError, HopLimit, PktInfo, ScmRights, Timestamp, TrafficClass},
    pinned::SendMsg,
};
use common::{
    again::until_ok,
    cause, no_leak, open_count,
    pairs::{KINDS, V4, addrs, bound, closed, pair},
    pipes::{contents, names, numbered},
};
use faulty::{
    Call, Fault, calm, everywhere, once,
    peer::{Got, arrived},
    under,
};
use nix::{libc, sys::socket::SockType};

const SENDS: &[Call] = &[Call::SendTo, Call::SendMsg];

fn errors(numbers: &[i32]) -> Vec<Fault> {
    [libc::EINTR, libc::EAGAIN, libc::ENOBUFS, libc::ENOMEM].iter().chain(numbers).map(|n| Fault::Error(*n)).collect()
}

/// Lengths of the slices, and how many descriptors: one call for each way that a message takes.
const FORMS: [(&[usize], usize); 7] = [
    (&[9], 0),             // sendto
    (&[3, 3, 3], 0),       // copied
    (&[9], 2),             // sendmsg
    (&[3, 3, 3, 3, 3], 2), // copied beside control messages
    (&[3000, 3000], 0),    // gathered
    (&[3000, 3000], 1),
    (&[0, 5, 0], 1),
];

fn sends(kind: SockType) -> Vec<i32> {
    let mut errors = Vec::new();
    for (lens, count) in FORMS {
        let ((a, b), fds) = (pair(kind), numbered(count));
        let data: Vec<u8> = (0..lens.iter().sum::<usize>()).map(|k| k as u8).collect();
        let (mut slices, mut rest) = (Vec::new(), &data[..]);
        for len in lens {
            let (slice, behind) = rest.split_at(*len);
            slices.push(IoSlice::new(slice));
            rest = behind;
        }
        let mut header = MsgHdr::new();
        header.slices(&slices);
        if count > 0 {
            header.control(ScmRights::new(&fds));
        }
        let sent = until_ok(&mut errors, || {
            let result = header.send(&a);
            assert!(result.is_ok() || arrived(&b).is_empty());
            result
        });
        let mut got = Got::default();
        got.more(&b);
        assert!(sent == data.len() || kind == SockType::Stream);
        assert_eq!(got, Got { bytes: data[..sent].to_vec(), fds: names(0..count) });
    }
    // Descriptors alone, and borrowed twice.
    let ((a, b), fds) = (pair(kind), numbered(1));
    until_ok(&mut errors, || a.send_fds(b"xy", [&fds[0], &fds[0]]));
    let (bytes, names) = arrived(&b).remove(0);
    assert_eq!((&b"xy"[..bytes.len()], names), (&bytes[..], vec!["0".into(), String::new()]));
    errors
}

/// FI01
#[test]
fn a_send_that_fails_has_sent_nothing() {
    let more = [libc::EMSGSIZE, libc::ECONNREFUSED, libc::EPIPE, libc::ECONNRESET, libc::EINVAL, libc::ETOOMANYREFS];
    for kind in KINDS {
        let mut faults = errors(&more);
        if kind == SockType::Stream {
            faults.extend([Fault::Short(1), Fault::Short(4)]);
        }
        everywhere(SENDS, &faults, || sends(kind), |told| told.each_once());
    }
}

/// By one of five ways into the buffer: bytes, and the texts of the descriptors.
fn receive(socket: &UnixStream, way: usize, control: &mut ControlBuf<()>) -> std::io::Result<(Vec<u8>, Vec<String>)> {
    let mut data = [0; 16];
    match way % 5 {
        0 => {
            let mut message = socket.recv_msg(&mut data, control)?;
            Ok((message.data().to_vec(), contents(message.take_fds())))
        }
        1 => {
            let message = socket.recv_fds::<4>(&mut data)?;
            let len = message.len();
            Ok((data[..len].to_vec(), contents(message)))
        }
        2 => {
            let mut room = [MaybeUninit::uninit(); 16];
            let mut message = socket.recv_msg_uninit(&mut room, control)?;
            Ok((message.data().to_vec(), contents(message.take_fds())))
        }
        3 => {
            let mut room = Vec::with_capacity(16);
            let fds = contents(socket.recv_msg_buf(&mut room, control)?.take_fds());
            Ok((room, fds))
        }
        _ => {
            let (head, tail) = data.split_at_mut(3);
            let mut slices = [IoSliceMut::new(head), IoSliceMut::new(tail)];
            let mut message = MsgHdrMut::new().slices(&mut slices).recv(socket, control)?;
            let (len, fds) = (message.len(), contents(message.take_fds()));
            Ok((data[..len].to_vec(), fds))
        }
    }
}

fn receives(kind: SockType) -> Vec<i32> {
    let ((a, b), mut control) = (pair(kind), ControlBuf::<()>::new());
    b.set_nonblocking(true).unwrap();
    let (mut errors, text) = (Vec::new(), b"a message");
    for way in 0..10 {
        control.clear();
        let idle = open_count();
        // What nobody takes is closed by the next receive, whether that fails or not.
        calm(|| {
            a.send_fds(b"left", [&a, &b]).unwrap();
            assert_eq!(b.recv_msg(&mut [0; 9], &mut control).unwrap().fds().count(), 2);
            a.send_fds(text, &numbered(3 * (way % 2))).unwrap();
        });
        let (mut got, mut at) = (Got::default(), 0);
        while at < text.len() {
            let (bytes, fds) = until_ok(&mut errors, || {
                let result = receive(&b, way, &mut control);
                if result.is_err() && way % 5 != 1 {
                    assert_eq!((control.fds().count(), control.cmsgs().count(), open_count()), (0, 0, idle));
                }
                result
            });
            at += bytes.len();
            got.bytes.extend(bytes);
            got.fds.extend(fds);
        }
        assert_eq!(got, Got { bytes: text.to_vec(), fds: names(0..3 * (way % 2)) });
    }
    errors
}

/// FI02
#[test]
fn a_receive_that_fails_has_taken_nothing() {
    for kind in KINDS {
        let mut faults = errors(&[libc::ECONNREFUSED, libc::ECONNRESET, libc::EINVAL]);
        if kind == SockType::Stream {
            faults.extend([Fault::Short(1), Fault::Short(4)]);
        }
        everywhere(&[Call::RecvMsg], &faults, || receives(kind), |told| told.each_once());
    }
}

/// Messages that several options enable: one that cannot be set is told, and may be set later.
fn options() -> Vec<i32> {
    type Meta = (PktInfo, HopLimit, TrafficClass, Timestamp);
    let mut errors = Vec::new();
    for addr in calm(|| addrs("an_option_that_cannot_be_set_is_told")) {
        let socket = calm(|| bound(addr));
        until_ok(&mut errors, || socket.enable::<Meta>());
        calm(|| {
            let sender = bound(addr);
            sender.send_to(b"x", socket.local_addr().unwrap()).unwrap();
            let mut control = ControlBuf::<Meta>::new();
            let (mut data, all) = ([0; 4], |(a, b, c, d): (Option<_>, Option<_>, Option<_>, Option<_>)| {
                (a.is_some(), b.is_some(), c.is_some(), d.is_some())
            });
            assert_eq!(all(socket.recv_msg(&mut data, &mut control).unwrap().extract()), (true, true, true, true));
        });
        until_ok(&mut errors, || socket.disable::<Meta>());
        until_ok(&mut errors, || socket.try_enable::<Meta>().map(|set| assert!(set)));
    }
    errors
}

#[test]
fn an_option_that_cannot_be_set_is_told() {
    let faults = [Fault::Error(libc::ENOBUFS), Fault::Error(libc::ENOMEM)];
    once(&[Call::GetSockOpt], &faults, options, |told| told.no_other());
    once(&[Call::SetSockOpt], &faults, options, |told| told.each_once());
}

/// Three entries of the error queue, of closed ports.
fn queue() -> Vec<i32> {
    let mut errors = Vec::new();
    let (socket, (to, _keeps)) = calm(|| (bound(V4), closed(std::net::Ipv4Addr::LOCALHOST.into())));
    until_ok(&mut errors, || socket.enable::<ExtendedError>());
    let mut control = ControlBuf::<ExtendedError>::new();
    let mut data = [0; 8];
    for number in 0..3 {
        let text = [number; 3];
        calm(|| socket.send_to(&text, to)).unwrap();
        assert!(until_ok(&mut errors, || socket.error_queue()?.wait(Duration::from_secs(20))));
        let entry = until_ok(&mut errors, || {
            let entry = socket.recv_error(&mut data, &mut control)?;
            Ok((*entry.error(), entry.data().to_vec()))
        });
        assert_eq!((entry.0.errno, entry.1), (libc::ECONNREFUSED as u32, text.to_vec()));
    }
    // A drain says what it has seen so far to its closure, and goes on when it is called again.
    for number in 0..3 {
        calm(|| {
            let _ = socket.send_to(&[number], to); // may be told of the one before
            let _ = socket.send_to(&[number], to);
            let entry = socket.error_queue().unwrap();
            assert!(entry.wait(Duration::from_secs(20)).unwrap());
        });
        let mut seen = 0;
        while seen == 0 {
            until_ok(&mut errors, || {
                socket.error_queue()?.drain(&mut data, &mut control, |entry| {
                    assert_eq!(entry.error().errno, libc::ECONNREFUSED as u32);
                    seen += 1;
                })
            });
        }
        assert_eq!(seen, 1);
    }
    errors
}

/// FI02
#[test]
fn an_entry_of_the_error_queue_is_read_once_whatever_call_fails() {
    let faults = errors(&[]);
    let calls = &[Call::RecvMsg, Call::Poll];
    // That there is nothing ends a drain.
    everywhere(calls, &faults, queue, |told| told.no_other());
    let faults = [Fault::Error(libc::ENOBUFS)];
    once(&[Call::GetSockOpt, Call::SetSockOpt], &faults, queue, |told| told.no_other());
}

/// A message for io_uring has descriptors of its own.
fn duplicates() -> Vec<i32> {
    let (fds, mut errors) = (numbered(3), Vec::new());
    let before = open_count();
    let mut out = SendMsg::new();
    for round in 0..3 {
        let kept = out.buffer().cloned();
        until_ok(&mut errors, || {
            let result = out.set(MsgHdr::new().data(b"x").control(ScmRights::new(&fds)), vec![round]);
            if let Err(error) = &result {
                assert_eq!((error.buffer.as_ref(), open_count()), (Some(&vec![round]), before), "{kept:?}");
                assert!(out.start().is_err() && out.buffer().is_none(), "nothing is left of the last one");
            }
            Ok(result?)
        });
        assert_eq!((out.buffer(), open_count()), (Some(&vec![round]), before + 3));
    }
    drop(out);
    assert_eq!((open_count(), contents(fds)), (before, names(0..3)));
    errors
}

#[test]
fn descriptors_that_cannot_be_duplicated_leave_nothing() {
    let faults = [Fault::Error(libc::EMFILE), Fault::Error(libc::ENOMEM)];
    once(&[Call::Fcntl], &faults, duplicates, |told| told.each_once());
}

/// The cause that this crate adds to an error must not hide its number.
#[test]
fn an_error_that_is_looked_into_keeps_its_number() {
    let faults: Vec<_> = [libc::EINVAL, libc::EAFNOSUPPORT, libc::EADDRNOTAVAIL].map(Fault::Error).to_vec();
    let story = || {
        let mut errors = Vec::new();
        let (a, b) = calm(|| (bound(V4), bound(V4)));
        let to = b.local_addr().unwrap();
        until_ok(&mut errors, || MsgHdr::new().to(to).data(b"x").control(HopLimit(9)).send(&a));
        until_ok(&mut errors, || {
            MsgHdr::new().to(to).data(b"x").send_all(&a).inspect_err(|error| {
                assert_eq!(cause::<ancillary::FamilyError>(error), None);
            })
        });
        assert_eq!(arrived(&b).len(), 2);
        errors
    };
    everywhere(SENDS, &faults, story, |told| told.each_once());
}

/// A receive that claims success and has written nothing: what the buffer held before does not look new.
#[test]
fn a_claim_of_success_brings_nothing_of_the_last_message() {
    no_leak(|| {
        for kind in KINDS {
            let ((a, b), mut control) = (pair(kind), ControlBuf::<Credentials>::new());
            b.enable::<Credentials>().unwrap();
            let mut data = [0; 4];
            for round in 0..3 {
                a.send_fds(b"data", &numbered(2)).unwrap();
                let mut message = b.recv_msg(&mut data, &mut control).unwrap();
                assert_eq!(message.extract(), Some(Credentials::own()));
                assert_eq!(message.take_fds().take(round).count(), round);
                let plan = |call| (call == Call::RecvMsg).then_some(Fault::Claims(0));
                let message = under(plan, || b.recv_msg(&mut data, &mut control)).unwrap();
                assert_eq!((message.cmsgs().count(), message.fds().count(), message.extract()), (0, 0, None));
            }
        }
    });
}
