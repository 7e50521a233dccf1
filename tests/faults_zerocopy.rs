//! Sends without a copy, and readiness, whose calls fail: each buffer comes back once, when the kernel has done with it, and
//! what arrives is what was said to have gone. Futures that are dropped between two polls lose nothing either.

#![cfg(all(target_os = "linux", target_env = "gnu", target_pointer_width = "64"))]

mod common;
mod faulty;

use std::{collections::BTreeSet, error::Error, fs, io::Read, time::Duration};

use ancillary::{ControlBuf, MsgHdr, SocketExt, ZeroCopy, message::ExtendedError, set_option};
use common::{
    again::until_ok,
    namespace::Namespace,
    no_leak,
    pairs::{self, V4, addrs},
    skipped,
};
use faulty::{Call, Fault, calm, everywhere, once, peer::arrived, under};
use nix::libc;

const WAIT: Duration = Duration::from_secs(20);
const SENDS: &[Call] = &[Call::SendTo, Call::SendMsg];

fn errors(more: &[i32]) -> Vec<Fault> {
    [libc::EINTR, libc::EAGAIN, libc::ENOBUFS, libc::ENOMEM].iter().chain(more).map(|n| Fault::Error(*n)).collect()
}

/// A buffer that says which it is.
fn buffer(number: u8) -> Vec<u8> {
    vec![number; 700 + usize::from(number)]
}

/// A connection: every buffer comes back, those that were refused with the error.
fn stream() -> Vec<i32> {
    let (mut peer, socket) = calm(|| pairs::tcp(V4));
    let mut out = calm(|| ZeroCopy::new(&socket).unwrap());
    let (mut errors, mut back, mut expected) = (Vec::new(), BTreeSet::new(), Vec::new());
    let mut returned = |buffer: Vec<u8>| assert!(back.insert(buffer[0]) && buffer == self::buffer(buffer[0]));
    for number in 0..4 {
        let mut next = Some(buffer(number));
        until_ok(&mut errors, || {
            out.send(next.take().unwrap()).map_err(|error| {
                assert_eq!(error.buffer, Some(buffer(number)));
                next = error.buffer;
                error.error
            })
        });
        while out.unsent() > 0 {
            until_ok(&mut errors, || out.resume());
        }
        expected.extend(buffer(number));
        let mut data = vec![0; buffer(number).len()];
        calm(|| peer.read_exact(&mut data)).unwrap();
        assert_eq!(data, buffer(number));
        if number % 2 == 1 {
            until_ok(&mut errors, || out.complete(|buffer, _| returned(buffer)));
        }
    }
    while out.pending() > 0 {
        until_ok(&mut errors, || out.wait(WAIT, |buffer, _| returned(buffer)));
    }
    assert_eq!(back.len(), 4);
    drop(out);
    drop(socket);
    assert_eq!(peer.read(&mut [0]).unwrap(), 0, "nothing went twice");
    errors
}

/// FI01
#[test]
fn every_buffer_of_a_connection_comes_back_whatever_call_fails() {
    let mut faults = errors(&[libc::EMSGSIZE]);
    everywhere(SENDS, &faults, stream, |told| told.each_once());
    everywhere(SENDS, &[Fault::Short(1), Fault::Short(300)], stream, |told| told.each_once());
    // Of a queue that cannot be read, all comes at the next call. EAGAIN says that it is empty.
    faults.retain(|fault| *fault != Fault::Error(libc::EAGAIN));
    once(&[Call::RecvMsg, Call::Poll], &faults, stream, |told| told.each_once());
}

/// Datagrams: what the kernel may have counted stays here; from then on it copies, and all that was promised comes back.
fn datagrams() -> Vec<i32> {
    let (peer, socket) = calm(|| pairs::udp(V4));
    let mut out = calm(|| ZeroCopy::new(&socket).unwrap());
    let (mut errors, mut back, mut kept, mut sent) = (Vec::new(), BTreeSet::new(), BTreeSet::new(), Vec::new());
    for number in 0..4 {
        let copying = out.is_copying();
        match out.send(buffer(number)) {
            Ok(len) => {
                assert_eq!(len, buffer(number).len());
                sent.push((buffer(number), vec![]));
            }
            Err(error) => {
                errors.push(error.error.raw_os_error().unwrap());
                match error.buffer {
                    Some(buffer) => assert!(back.insert(buffer[0])),
                    None => assert!(!copying && out.is_copying() && kept.insert(number)),
                }
            }
        }
    }
    assert_eq!(arrived(&peer), sent);
    while out.pending() > 0 {
        let mut returned = |buffer: Vec<u8>| assert!(back.insert(buffer[0]) && buffer == self::buffer(buffer[0]));
        until_ok(&mut errors, || out.wait(WAIT, |buffer, _| returned(buffer)));
    }
    assert!(kept.is_empty() || out.is_copying(), "for good");
    assert!(kept.len() <= 1 && back.is_disjoint(&kept) && back.len() + kept.len() == 4, "{back:?} {kept:?}");
    errors
}

/// FI01
#[test]
fn every_buffer_of_datagrams_comes_back_or_is_kept_whatever_call_fails() {
    everywhere(SENDS, &errors(&[libc::EMSGSIZE, libc::ECONNREFUSED, libc::EPERM]), datagrams, |told| told.each_once());
    let faults = [Fault::Error(libc::EINTR), Fault::Error(libc::ENOBUFS), Fault::Error(libc::ENOMEM)];
    once(&[Call::RecvMsg, Call::Poll], &faults, datagrams, |told| told.each_once());
    // Not knowing the socket's state is no reason to free what the kernel may have.
    once(&[Call::GetSockOpt], &[Fault::Error(libc::ENOBUFS)], datagrams, |told| told.no_other());
}

/// ENOBUFS of a datagram: the kernel had no memory for it, or, if it was asked to tell of full queues, may have counted it.
#[test]
fn a_datagram_without_room_comes_back_unless_full_queues_are_told() {
    const V4_ERRORS: (i32, i32) = (libc::IPPROTO_IP, libc::IP_RECVERR);
    const V6_ERRORS: (i32, i32) = (libc::IPPROTO_IPV6, libc::IPV6_RECVERR);
    no_leak(|| {
        for addr in addrs("a_datagram_without_room_comes_back_unless_full_queues_are_told") {
            let options: &[&[(i32, i32)]] = if *addr == V4 {
                &[&[], &[V4_ERRORS]]
            } else {
                &[&[], &[V4_ERRORS], &[V6_ERRORS], &[V4_ERRORS, V6_ERRORS]]
            };
            for told in options {
                let (peer, socket) = pairs::udp(addr);
                told.iter().for_each(|(level, name)| set_option(&socket, *level, *name, 1).unwrap());
                let mut out = ZeroCopy::new(socket).unwrap();
                let plan = |call| SENDS.contains(&call).then_some(Fault::Error(libc::ENOBUFS));
                let refused = under(plan, || out.send(buffer(1))).unwrap_err();
                assert!(refused.is_full());
                assert_eq!(
                    (refused.buffer.is_none(), out.is_copying()),
                    (!told.is_empty(), !told.is_empty()),
                    "{told:?}"
                );
                assert_eq!(out.send(buffer(2)).unwrap(), buffer(2).len());
                assert_eq!(arrived(&peer), [(buffer(2), vec![])]);
                let mut back = Vec::new();
                out.wait(WAIT, |buffer, _| back.push(buffer)).unwrap();
                assert_eq!((back, out.pending()), (vec![buffer(2)], 0));
            }
        }
    });
}

/// A rest whose call fails where it cannot be known whether it was counted: what is outstanding is not promised any more.
#[test]
fn a_rest_that_fails_in_doubt_is_kept() {
    no_leak(|| {
        let (_peer, socket) = pairs::tcp(V4);
        socket.set_nonblocking(true).unwrap();
        let mut out = ZeroCopy::new(socket).unwrap();
        let plan = |call| SENDS.contains(&call).then_some(Fault::Short(1000));
        assert_eq!(under(plan, || out.send(vec![7; 3000])).unwrap(), 1000);
        assert_eq!((out.unsent(), out.pending()), (2000, 1));
        // Alone it is a failure that TCP takes the number back of.
        let plan = |call| SENDS.contains(&call).then_some(Fault::Error(libc::ENOMEM));
        assert_eq!(under(plan, || out.resume()).unwrap_err().raw_os_error(), Some(libc::ENOMEM));
        assert_eq!((out.is_copying(), out.unsent(), out.pending()), (false, 2000, 1));
        let plan = |call| (SENDS.contains(&call) || call == Call::GetSockOpt).then_some(Fault::Error(libc::ENOMEM));
        assert_eq!(under(plan, || out.resume()).unwrap_err().raw_os_error(), Some(libc::ENOMEM));
        assert_eq!((out.is_copying(), out.pending()), (true, 0));
    });
}

/// One buffer is back, another has a rest to be sent: that is told at once.
#[test]
fn waiting_ends_with_the_first_that_comes_back() {
    no_leak(|| {
        let (mut peer, socket) = pairs::tcp(V4);
        let mut out = ZeroCopy::new(socket).unwrap();
        assert_eq!(out.send(buffer(1)).unwrap(), buffer(1).len());
        peer.read_exact(&mut buffer(1)).unwrap();
        let plan = |call| SENDS.contains(&call).then_some(Fault::Short(1000));
        assert_eq!(under(plan, || out.send(vec![7; 3000])).unwrap(), 1000);
        let mut back = Vec::new();
        assert_eq!(out.wait(WAIT, |buffer, _| back.push(buffer)).unwrap(), 1);
        assert_eq!((back, out.pending()), (vec![buffer(1)], 1));
        let start = format!("{out:?}");
        assert!(start.ends_with("pending: 1, a rest behind 1000 bytes }"), "{start}");
        let refused = out.send(buffer(2)).unwrap_err();
        assert!(!refused.is_full() && refused.source().is_some());
        assert_eq!(refused.to_string(), refused.error.to_string());
        assert_eq!(format!("{refused:?}"), format!("{:?}", refused.error));
        assert_eq!(out.resume().unwrap(), 2000);
        assert!(format!("{out:?}").ends_with("pending: 1 }"), "{out:?}");
        peer.read_exact(&mut [0; 3000]).unwrap();
        let mut control = ControlBuf::<ExtendedError>::new();
        while out.pending() > 0 {
            assert!(out.error_queue().unwrap().wait(WAIT).unwrap());
            out.drain(&mut [], &mut control, |done| {
                let text = format!("{done:?}");
                assert!(text.starts_with("Released { copied: "), "{text}");
            })
            .unwrap();
        }
    });
}

/// No memory for completions, for real (`net.core.optmem_max`): ENOBUFS, and the buffer back.
#[test]
fn without_memory_for_completions_the_buffer_comes_back() {
    const TEST: &str = "without_memory_for_completions_the_buffer_comes_back";
    no_leak(|| {
        let Some(host) = Namespace::new(TEST) else { return };
        host.run(|| {
            let limit = "/proc/sys/net/core/optmem_max";
            if let Err(error) = fs::write(limit, "1") {
                return skipped(format_args!("SKIPPED {TEST}: optmem_max of a namespace: {error}"));
            }
            let (mut peer, socket) = pairs::tcp(V4);
            let mut out = ZeroCopy::new(&socket).unwrap();
            for round in 0..3 {
                let refused = out.send(buffer(round)).unwrap_err();
                assert!(refused.is_full() && refused.buffer == Some(buffer(round)), "{refused}");
                assert_eq!((out.pending(), out.unsent()), (0, 0));
                // The usual way.
                MsgHdr::new().data(&buffer(round)).send_all(out.socket()).unwrap();
            }
            fs::write(limit, "100000").unwrap();
            assert_eq!(out.send(buffer(3)).unwrap(), buffer(3).len());
            let expected: Vec<u8> = (0..4).flat_map(buffer).collect();
            let mut data = vec![0; expected.len()];
            peer.read_exact(&mut data).unwrap();
            assert!(data == expected);
            let mut back = Vec::new();
            while out.pending() > 0 {
                assert!(out.wait(WAIT, |buffer, _| back.push(buffer)).unwrap() > 0);
            }
            assert_eq!(back, [buffer(3)]);
        });
    });
}
