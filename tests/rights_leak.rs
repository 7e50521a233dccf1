//! No received descriptor is leaked, closed twice or inherited, whatever the caller does with it.
//!
//! Each test compares the process's open descriptors (numbers and targets) before and after.
#![cfg(target_os = "linux")]

mod common;

use std::{
    fs::File,
    io::ErrorKind,
    os::fd::AsFd,
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
};

use ancillary::{
    ControlBuf, ControlVec, FdCountError, MsgFlags, MsgHdr, MsgHdrMut, RecvExact, RecvFlags, SocketExt, cmsg,
    message::{Credentials, ScmRightsSpace},
    set_option,
};
use common::{
    no_leak, open_count, open_fds,
    pairs::{KINDS, pair, stream},
    pipes::{content, contents, is_cloexec, names, numbered},
    skipped,
};
use nix::{
    libc,
    sys::{
        resource::{Resource, getrlimit, setrlimit},
        socket::SockType,
    },
};

/// FD04
#[test]
fn a_buffer_without_room_for_padding_takes_one_descriptor() {
    no_leak(|| {
        let (a, b) = stream();
        a.send_fds(b"x", &numbered(1)).unwrap();
        let (mut data, mut control) = ([0; 1], ControlVec::<()>::with_capacity(cmsg::len(4).unwrap()));
        let mut message = b.recv_msg(&mut data, &mut control).unwrap();
        assert!(!message.flags().contains(MsgFlags::CTRUNC));
        assert_eq!(contents(message.take_fds()), ["0"]);
    });
}

#[test]
fn what_is_not_taken_of_a_message_is_closed() {
    no_leak(|| {
        for taken in 0..=5 {
            let (a, b) = stream();
            a.send_fds(b"x", &numbered(5)).unwrap();
            let before = open_count();
            let mut control = ControlBuf::<ScmRightsSpace<5>>::new();
            let kept: Vec<_>;
            {
                let mut data = [0; 1];
                let mut message = b.recv_msg(&mut data, &mut control).unwrap();
                kept = message.take_fds().take(taken).collect();
                assert_eq!(message.fds().count(), 5 - taken);
            }
            assert_eq!(open_count(), before + 5);
            drop(control);
            assert_eq!(open_count(), before + taken);
            assert_eq!(contents(kept.into_iter()), names(0..taken));
        }
    });
}

#[test]
fn taking_goes_on_where_it_stopped() {
    no_leak(|| {
        let (a, b) = stream();
        a.send_fds(b"x", &numbered(5)).unwrap();
        let (mut data, mut control) = ([0; 1], ControlBuf::<()>::new());
        let mut message = b.recv_msg(&mut data, &mut control).unwrap();
        assert_eq!(content(message.take_fds().next().unwrap()), "0");
        assert_eq!(contents(message.take_fds().take(2)), ["1", "2"]);
        drop(message.take_fds().nth(1)); // skips "3", which is closed
        assert!(message.take_fds().next().is_none());
        assert_eq!(message.control_bytes().len(), cmsg::space(20).unwrap());
    });
}

#[test]
fn an_exact_count_gives_all_or_nothing() {
    no_leak(|| {
        let (a, b) = stream();
        a.send_fds(b"x", &numbered(3)).unwrap();
        let (mut data, mut control) = ([0; 1], ControlBuf::<()>::new());
        let mut message = b.recv_msg(&mut data, &mut control).unwrap();
        let error = message.take_fds_exact::<2>().unwrap_err();
        assert_eq!((error.expected, error.found), (2, 3));
        let error: FdCountError = message.take_fds_exact::<4>().unwrap_err();
        assert_eq!((error.expected, error.found), (4, 3));
        assert_eq!(message.take_fds_exact::<0>().unwrap_err().found, 3);
        assert_eq!(message.take_fds_exact::<3>().unwrap().map(content), ["0", "1", "2"]);
        assert_eq!(message.take_fds_exact::<1>().unwrap_err().found, 0);
        assert!(message.take_fds_exact::<0>().is_ok());
    });
}

#[test]
fn a_reused_buffer_closes_the_descriptors_of_the_last_message() {
    no_leak(|| {
        for kind in KINDS {
            let (a, b) = pair(kind);
            let fds = numbered(3);
            let mut control = ControlBuf::<ScmRightsSpace<3>>::new();
            let before = open_count();
            for _ in 0..50 {
                a.send_fds(b"x", &fds).unwrap();
                let mut data = [0; 1];
                assert_eq!(b.recv_msg(&mut data, &mut control).unwrap().fds().count(), 3);
                assert_eq!(open_count(), before + 3);
            }
            MsgHdr::new().data(b"y").send(&a).unwrap();
            assert_eq!(b.recv_msg(&mut [0; 1], &mut control).unwrap().fds().count(), 0);
            assert_eq!(open_count(), before);
        }
    });
}

#[test]
fn clearing_a_buffer_closes_and_forgets() {
    no_leak(|| {
        let (a, b) = stream();
        a.send_fds(b"x", &numbered(2)).unwrap();
        let before = open_count();
        let mut control = ControlVec::<()>::with_capacity(64);
        b.recv_msg(&mut [0; 1], &mut control).unwrap();
        assert_eq!((open_count(), control.cmsgs().count()), (before + 2, 1));
        control.clear();
        assert_eq!((open_count(), control.cmsgs().count()), (before, 0));
        control.clear();
    });
}

#[test]
fn a_buffer_may_be_moved_swapped_and_sent_to_a_thread_with_its_descriptors() {
    no_leak(|| {
        let (a, b) = stream();
        let (mut one, mut two) = (ControlBuf::<()>::new(), ControlBuf::<()>::new());
        a.send_fds(b"x", &numbered(1)).unwrap();
        b.recv_msg(&mut [0; 1], &mut one).unwrap();
        a.send_fds(b"x", &numbered(2)).unwrap();
        b.recv_msg(&mut [0; 1], &mut two).unwrap();
        std::mem::swap(&mut one, &mut two);
        let boxed = Box::new(one);
        std::thread::spawn(move || drop(boxed)).join().unwrap();
        let replaced = std::mem::take(&mut two);
        assert_eq!((replaced.cmsgs().count(), two.cmsgs().count()), (1, 0));
    });
}

/// TR01, TR02, TR03, TR04, TR05, TR06, TR07, TR08, TR09, FD30
#[test]
fn a_buffer_of_any_size_takes_the_descriptors_that_fit_and_leaks_none() {
    no_leak(|| {
        let header = cmsg::len(0).unwrap();
        for kind in KINDS {
            let (a, b) = pair(kind);
            for n in 1..=3 {
                for size in 0..=cmsg::space(4 * n).unwrap() + 8 {
                    let expected = if size >= header + 4 { n.min((size - header) / 4) } else { 0 };
                    a.send_fds(b"hello", &numbered(n)).unwrap();
                    let before = open_count();
                    let (mut data, mut control) = ([0; 5], ControlVec::<()>::with_capacity(size));
                    let mut message = b.recv_msg(&mut data, &mut control).unwrap();
                    let case = format!("{kind:?}, {n} descriptors, {size} bytes: {message:?}");
                    assert_eq!(message.data(), b"hello", "{case}");
                    assert_eq!(open_count(), before + expected, "{case}");
                    assert_eq!(message.flags().contains(MsgFlags::CTRUNC), expected < n, "{case}");
                    assert_eq!(message.require_complete().is_err(), expected < n, "{case}");
                    let control_len = if expected > 0 { size.min(cmsg::space(4 * expected).unwrap()) } else { 0 };
                    assert_eq!(message.control_bytes().len(), control_len, "{case}");
                    assert!(message.fds().all(is_cloexec), "{case}");
                    assert_eq!(contents(message.take_fds()), names(0..expected), "{case}");
                    drop(control);
                    assert_eq!(open_count(), before, "{case}");
                }
            }
        }
    });
}

/// The same with nobody taking what fits.
#[test]
fn truncated_descriptors_that_nobody_takes_are_closed() {
    no_leak(|| {
        for kind in KINDS {
            let (a, b) = pair(kind);
            let fds = numbered(3);
            for size in 0..=cmsg::space(12).unwrap() + 8 {
                a.send_fds(b"x", &fds).unwrap();
                let before = open_count();
                b.recv_msg(&mut [0; 1], &mut ControlVec::<()>::with_capacity(size)).unwrap();
                assert_eq!(open_count(), before, "{kind:?} {size}");
            }
        }
    });
}

/// TR29
#[test]
fn credentials_take_their_room_first_and_no_descriptor_leaks() {
    no_leak(|| {
        let (header, creds_len, creds_space) =
            (cmsg::len(0).unwrap(), cmsg::len(12).unwrap(), cmsg::space(12).unwrap());
        for kind in KINDS {
            let (a, b) = pair(kind);
            b.enable::<Credentials>().unwrap();
            for n in 1..=3 {
                for size in 0..=creds_space + cmsg::space(4 * n).unwrap() + 8 {
                    let left = if size < header { size } else { size.saturating_sub(creds_space) };
                    let expected = if left >= header + 4 { n.min((left - header) / 4) } else { 0 };
                    a.send_fds(b"x", &numbered(n)).unwrap();
                    let before = open_count();
                    let (mut data, mut control) = ([0; 1], ControlVec::<Credentials>::with_capacity(size));
                    let mut message = b.recv_msg(&mut data, &mut control).unwrap();
                    let case = format!("{kind:?}, {n} descriptors, {size} bytes: {message:?}");
                    assert_eq!(open_count(), before + expected, "{case}");
                    assert_eq!(message.extract().is_some(), size >= creds_len, "{case}");
                    let complete = expected == n && size >= creds_len;
                    assert_eq!(message.flags().contains(MsgFlags::CTRUNC), !complete, "{case}");
                    assert_eq!(contents(message.take_fds()), names(0..expected), "{case}");
                    drop(control);
                    assert_eq!(open_count(), before, "{case}");
                }
            }
        }
    });
}

#[test]
fn process_descriptors_that_somebody_enabled_are_closed() {
    const SO_PASSPIDFD: i32 = 76;
    no_leak(|| {
        for kind in KINDS {
            let (a, b) = pair(kind);
            if let Err(error) = set_option(b.as_fd(), libc::SOL_SOCKET, SO_PASSPIDFD, 1) {
                let test = "process_descriptors_that_somebody_enabled_are_closed";
                return skipped(format_args!("SKIPPED {test}: SO_PASSPIDFD (Linux 6.5): {error}"));
            }
            let fds = numbered(2);
            for size in 0..=cmsg::space(8).unwrap() + cmsg::space(4).unwrap() + 8 {
                a.send_fds(b"x", &fds).unwrap();
                let before = open_count();
                let (mut data, mut control) = ([0; 1], ControlVec::<()>::with_capacity(size));
                let mut message = b.recv_msg(&mut data, &mut control).unwrap();
                assert!(message.take_fds().count() <= 2);
                drop(control);
                assert_eq!(open_count(), before, "{kind:?} {size}");
            }
        }
    });
}

#[test]
fn descriptors_that_nobody_asked_for_are_closed() {
    no_leak(|| {
        for kind in KINDS {
            let (a, b) = pair(kind);
            let fds = numbered(2);
            a.send_fds(b"x", &fds).unwrap();
            b.recv_msg(&mut [0; 1], &mut ControlBuf::<()>::new()).unwrap();
            a.send_fds(b"x", &fds).unwrap();
            assert_eq!(b.recv_msg(&mut [0; 1], &mut ControlBuf::<Credentials>::new()).unwrap().extract(), None);
            a.send_fds(b"x", &fds).unwrap();
            MsgHdrMut::new().data(&mut [0; 1]).no_peer().recv(&b, &mut ControlBuf::<()>::new()).unwrap();
            a.send_fds(b"x", &fds).unwrap();
            let message = b.recv_msg(&mut [0; 1], &mut ControlBuf::<(), 0>::new()).unwrap().flags();
            assert!(message.contains(MsgFlags::CTRUNC));
        }
    });
}

#[test]
fn a_process_without_free_descriptors_gets_those_that_fit() {
    struct Restore(nix::libc::rlim_t, nix::libc::rlim_t);
    impl Drop for Restore {
        fn drop(&mut self) {
            setrlimit(Resource::RLIMIT_NOFILE, self.0, self.1).unwrap();
        }
    }
    no_leak(|| {
        for kind in KINDS {
            for free in 0..=3 {
                let (a, b) = pair(kind);
                let fds = numbered(3);
                a.send_fds(b"x", &fds).unwrap();
                let used = open_fds();
                let limit = (0..).filter(|fd| !used.contains_key(fd)).nth(free).unwrap();
                let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
                let restore = Restore(soft, hard);
                setrlimit(Resource::RLIMIT_NOFILE, limit as nix::libc::rlim_t, hard).unwrap();
                let (mut data, mut control) = ([0; 1], ControlBuf::<()>::new());
                let result = b.recv_msg(&mut data, &mut control);
                drop(restore);
                let mut message = result.unwrap();
                assert_eq!(message.data(), b"x");
                assert_eq!(message.flags().contains(MsgFlags::CTRUNC), free < 3, "{message:?}");
                assert_eq!(open_count(), used.len() + free);
                drop(fds);
                assert_eq!(contents(message.take_fds().skip(1)), names(1.min(free)..free));
            }
        }
    });
}

/// FL03
#[test]
fn every_peek_brings_descriptors_of_its_own() {
    no_leak(|| {
        for kind in KINDS {
            let (a, b) = pair(kind);
            a.send_fds(b"peek", &numbered(2)).unwrap();
            let before = open_count();
            let (mut data, mut control) = ([0; 4], ControlBuf::<()>::new());
            for _ in 0..2 {
                let mut peek = MsgHdrMut::new();
                let message = peek.data(&mut data).flags(RecvFlags::PEEK).recv(&b, &mut control).unwrap();
                assert_eq!((message.len(), message.fds().count()), (4, 2));
                assert_eq!(open_count(), before + 2);
            }
            // One of a third peek is kept over the read.
            let mut peek = MsgHdrMut::new();
            let mut message = peek.data(&mut data).flags(RecvFlags::PEEK).recv(&b, &mut control).unwrap();
            let kept = message.take_fds().next().unwrap();
            let mut message = b.recv_msg(&mut data, &mut control).unwrap();
            assert_eq!(open_count(), before + 3);
            assert_eq!(contents(message.take_fds()), ["0", "1"]);
            assert_eq!(content(kept), "");
            assert_eq!(open_count(), before);
        }
    });
}

#[test]
fn a_failed_receive_closes_what_the_last_one_brought() {
    no_leak(|| {
        for kind in KINDS {
            let (a, b) = pair(kind);
            a.send_fds(b"x", &numbered(2)).unwrap();
            let before = open_count();
            let (mut data, mut control) = ([0; 1], ControlBuf::<()>::new());
            b.recv_msg(&mut data, &mut control).unwrap();
            let mut again = MsgHdrMut::new();
            let error = again.data(&mut data).flags(RecvFlags::DONTWAIT).recv(&b, &mut control).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::WouldBlock);
            assert_eq!((control.cmsgs().count(), open_count()), (0, before));
            // Not a socket at all.
            a.send_fds(b"x", &numbered(2)).unwrap();
            b.recv_msg(&mut data, &mut control).unwrap();
            let null = File::open("/dev/null").unwrap();
            assert_eq!(null.recv_msg(&mut data, &mut control).unwrap_err().raw_os_error(), Some(libc::ENOTSOCK));
        }
    });
}

#[test]
fn a_panic_closes_what_was_held() {
    no_leak(|| {
        let (a, b) = stream();
        a.send_fds(b"x", &numbered(3)).unwrap();
        let result = catch_unwind(AssertUnwindSafe(|| {
            let (mut data, mut control) = ([0; 1], ControlBuf::<()>::new());
            let mut message = b.recv_msg(&mut data, &mut control).unwrap();
            let mut fds = message.take_fds();
            let _first = fds.next().unwrap();
            resume_unwind(Box::new("held"));
        }));
        assert!(result.is_err());
    });
}

/// FD51
#[test]
fn a_message_without_data_keeps_its_descriptors_where_messages_have_borders() {
    no_leak(|| {
        for kind in [SockType::Datagram, SockType::SeqPacket] {
            let (a, b) = pair(kind);
            assert_eq!(a.send_fds(b"", &numbered(2)).unwrap(), 0);
            let (mut data, mut control) = ([0; 1], ControlBuf::<()>::new());
            let mut message = b.recv_msg(&mut data, &mut control).unwrap();
            assert_eq!((message.len(), message.is_eof()), (0, false));
            assert_eq!(contents(message.take_fds()), ["0", "1"]);
        }
    });
}

#[test]
fn a_datagram_that_is_cut_keeps_its_descriptors() {
    no_leak(|| {
        for kind in [SockType::Datagram, SockType::SeqPacket] {
            for room in [0, 1, 4] {
                let (a, b) = pair(kind);
                a.send_fds(b"hello", &numbered(2)).unwrap();
                let (mut data, mut control) = (vec![0; room], ControlBuf::<()>::new());
                let mut message = b.recv_msg(&mut data, &mut control).unwrap();
                assert_eq!(message.data(), &b"hello"[..room]);
                assert!(message.flags().contains(MsgFlags::TRUNC) && !message.flags().contains(MsgFlags::CTRUNC));
                assert_eq!(contents(message.take_fds()), ["0", "1"]);
            }
        }
    });
}

#[test]
fn descriptors_collected_over_several_calls_are_closed_when_reading_ends_early() {
    no_leak(|| {
        let (a, b) = stream();
        let mut control = ControlBuf::<()>::new();
        let before = open_count();
        for _ in 0..3 {
            a.send_fds(b"ab", &numbered(1)).unwrap();
            a.send_fds(b"cd", &numbered(2)).unwrap();
            b.set_nonblocking(true).unwrap();
            let mut frame = [0; 6];
            let mut exact = RecvExact::new();
            assert_eq!(exact.recv(&b, &mut frame, &mut control).unwrap_err().kind(), ErrorKind::WouldBlock);
            assert_eq!((exact.received(), open_count()), (4, before + 3));
        }
        drop(a);
        let mut frame = [0; 6];
        assert_eq!(b.recv_exact(&mut frame, &mut control).unwrap_err().kind(), ErrorKind::UnexpectedEof);
        assert_eq!(open_count(), before - 1);
    });
}

#[test]
fn an_uninitialised_or_scattered_receive_owns_its_descriptors_too() {
    use std::mem::MaybeUninit;
    no_leak(|| {
        let (a, b) = pair(SockType::Datagram);
        let fds = numbered(2);
        let mut control = ControlBuf::<()>::new();
        a.send_fds(b"abc", &fds).unwrap();
        let mut data = [MaybeUninit::uninit(); 8];
        assert_eq!(b.recv_msg_uninit(&mut data, &mut control).unwrap().fds().count(), 2);
        a.send_fds(b"abc", &fds).unwrap();
        let (mut one, mut two) = ([0; 1], [MaybeUninit::uninit(); 2]);
        let mut header = MsgHdrMut::new();
        assert_eq!(header.data(&mut one).uninit(&mut two).recv(&b, &mut control).unwrap().fds().count(), 2);
    });
}

/// FD51: on a stream the kernel would drop them without a word, so they are refused.
#[test]
fn a_refused_send_keeps_nothing() {
    no_leak(|| {
        let (a, b) = stream();
        let fds = numbered(2);
        drop(b);
        assert_eq!(a.send_fds(b"x", &fds).unwrap_err().raw_os_error(), Some(libc::EPIPE));
        let (a, _b) = stream();
        assert_eq!(a.send_fds(b"", &fds).unwrap_err().kind(), ErrorKind::InvalidInput);
    });
}
