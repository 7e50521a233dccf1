//! Sends without a copy, and readiness, whose calls fail: each buffer comes back once, when the kernel has done with it, and
//! what arrives is what was said to have gone. Futures that are dropped between two polls lose nothing either.

#![cfg(all(target_os = "linux", target_env = "gnu", target_pointer_width = "64"))]

mod common;
mod faulty;

use std::{collections::BTreeSet, fs, io::Read, time::Duration};

use ancillary::{MsgHdr, ZeroCopy};
use common::{
    again::until_ok,
    namespace::Namespace,
    no_leak,
    pairs::{self, V4},
    skipped,
};
use faulty::{Call, Fault, calm, everywhere, once, peer::arrived};
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
