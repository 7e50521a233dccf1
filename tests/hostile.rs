//! Careless callers, hostile implementations of the traits, and what a peer can do to both: nothing that is not ours is
//! touched, and nothing is lost without a word.
#![cfg(target_os = "linux")]

mod common;

use std::{
    cell::Cell,
    fs::{self, File},
    io::{ErrorKind, Write},
    net::{Shutdown, UdpSocket},
    os::{
        fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd},
        unix::{fs::MetadataExt, net::UnixStream},
    },
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
};

use ancillary::{
    AddrError, ControlBuf, ControlVec, EncodeError, FdCountError, MsgFlags, MsgHdr, MsgHdrMut, RawCmsg, RecvExact,
    ShortReadError, SockAddr, SocketExt,
    cmsg::{self, CmsgId},
    message::{Credentials, HopLimit, IpTtl, PktInfo, RecvList, ScmRights, ScmRightsSpace},
    parser::ControlMessage,
    set_option,
};
use common::{alone, cause, has_v6, no_leak, open_count, pairs::stream, skipped};
use nix::libc;

// include/uapi/asm-generic/socket.h
const SO_PASSPIDFD: i32 = 76;
const SO_INQ: i32 = 84;

/// Asks for everything that comes beside descriptors; says what this kernel lacks.
fn pass_all(socket: &UnixStream, test: &str) {
    socket.enable::<Credentials>().unwrap();
    for (name, option) in [("SO_PASSPIDFD (6.5)", SO_PASSPIDFD), ("SO_INQ (6.17)", SO_INQ)] {
        if let Err(error) = set_option(socket, libc::SOL_SOCKET, option, 1) {
            skipped(format_args!("SKIPPED in {test}: {name}: {error}"));
        }
    }
}

fn identity(fd: impl AsFd) -> (u64, u64) {
    let metadata = File::from(fd.as_fd().try_clone_to_owned().unwrap()).metadata().unwrap();
    (metadata.dev(), metadata.ino())
}

#[test]
fn an_iterator_that_has_ended_stays_at_its_end() {
    no_leak(|| {
        let (mut a, b) = stream();
        pass_all(&b, "an_iterator_that_has_ended_stays_at_its_end");
        let ours = File::open("/dev/null").unwrap();
        // The peer chooses what SO_INQ says: the number of a file of ours.
        a.write_all(&vec![0; 1 + ours.as_raw_fd() as usize]).unwrap();
        let (mut data, mut control) = ([0; 1], ControlBuf::<()>::new());
        let mut message = b.recv_msg(&mut data, &mut control).unwrap();
        assert!(message.cmsgs().count() > 0);
        let mut lent = message.fds();
        for _ in 0..6 {
            assert!(lent.next().is_none());
        }
        drop(lent);
        let mut taken = message.take_fds();
        for _ in 0..6 {
            assert!(taken.next().is_none());
        }
        assert!(ours.metadata().is_ok());
    });
}

#[test]
fn recv_fds_takes_nothing_but_descriptors() {
    no_leak(|| {
        let (mut a, b) = stream();
        pass_all(&b, "recv_fds_takes_nothing_but_descriptors");
        let ours = File::open("/dev/null").unwrap();
        a.write_all(&vec![0; 1 + ours.as_raw_fd() as usize]).unwrap();
        let message = b.recv_fds::<4>(&mut [0; 1]).unwrap();
        assert_eq!((message.len(), message.fds().count()), (1, 0));
        drop(message);
        assert!(ours.metadata().is_ok());
    });
}

/// FD43
#[test]
fn descriptors_arrive_beside_messages_that_nobody_declared() {
    no_leak(|| {
        let (a, b) = stream();
        pass_all(&b, "descriptors_arrive_beside_messages_that_nobody_declared");
        a.send_fds(b"xy", [&a, &b]).unwrap();
        let (mut data, mut control) = ([0; 1], ControlBuf::<(Credentials, ScmRightsSpace<2>)>::new());
        let mut message = b.recv_msg(&mut data, &mut control).unwrap();
        message.require_complete().unwrap();
        assert_eq!(message.extract(), (Some(Credentials::own()), Some(ScmRightsSpace { count: 2 })));
        let declared =
            |found: &ControlMessage<'_>| matches!(found, ControlMessage::Credentials(_) | ControlMessage::ScmRights(_));
        assert_eq!(message.messages().filter(declared).count(), 2, "{message:?}");
        let fds = message.take_fds_exact::<2>().unwrap();
        assert_eq!(fds.each_ref().map(identity), [identity(&a), identity(&b)]);
    });
}

/// MC04, MC05
#[test]
fn lists_have_the_size_of_their_members() {
    type One = ScmRightsSpace<1>;
    const ONE: usize = One::SPACE;
    let exact = ControlBuf::<One, ONE>::new();
    assert_eq!(exact.capacity(), cmsg::space(4).unwrap());
    const { assert!(ScmRightsSpace::<0>::SPACE > 0 && One::SPACE >= ScmRightsSpace::<0>::SPACE) };
    const { assert!(<(One, ScmRightsSpace<0>)>::SPACE >= One::SPACE) };
    const { assert!(ScmRightsSpace::<2>::SPACE < <(One, One)>::SPACE && <(One, One)>::SPACE == 2 * One::SPACE) };
    assert_eq!(<(One, Credentials)>::SPACE, One::SPACE + cmsg::space(12).unwrap());
}

#[test]
fn the_end_of_a_stream_says_nothing_about_anybody() {
    no_leak(|| {
        let (mut a, b) = stream();
        pass_all(&b, "the_end_of_a_stream_says_nothing_about_anybody");
        a.write_all(b"x").unwrap();
        drop(a);
        let (mut data, mut control) = ([0; 8], ControlBuf::<Credentials>::new());
        let message = b.recv_msg(&mut data, &mut control).unwrap();
        assert_eq!((message.len(), message.is_eof(), message.extract()), (1, false, Some(Credentials::own())));
        for _ in 0..2 {
            let message = b.recv_msg(&mut data, &mut control).unwrap();
            assert_eq!((message.len(), message.is_eof(), message.extract()), (0, true, None));
            assert_eq!(message.control_bytes().len(), 0);
        }
    });
}

#[test]
fn a_frame_that_ends_short_keeps_the_credentials_of_its_sender() {
    no_leak(|| {
        let (mut a, b) = stream();
        b.enable::<Credentials>().unwrap();
        a.write_all(b"abc").unwrap();
        drop(a);
        let (mut data, mut control) = ([0; 6], ControlBuf::<Credentials>::new());
        let error = b.recv_exact(&mut data, &mut control).unwrap_err();
        let ShortReadError { expected, received, .. } = cause(&error).unwrap();
        assert_eq!((expected, received), (6, 3));
        assert_eq!((control.extract(), control.cmsgs().count()), (Some(Credentials::own()), 1));
    });
}

#[test]
fn credentials_with_every_piece_leave_room_for_the_descriptor_in_the_last() {
    no_leak(|| {
        let (mut a, b) = stream();
        b.set_nonblocking(true).unwrap();
        b.enable::<Credentials>().unwrap();
        let (mut frame, mut exact) = ([0; 40], RecvExact::new());
        let mut control = ControlBuf::<(Credentials, ScmRightsSpace<1>)>::new();
        for _ in 0..39 {
            a.write_all(b"x").unwrap();
            let error = exact.recv(&b, &mut frame, &mut control).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::WouldBlock);
        }
        a.send_fds(b"y", [&a]).unwrap();
        let mut message = exact.recv(&b, &mut frame, &mut control).unwrap();
        message.require_complete().unwrap();
        assert_eq!(message.extract(), (Some(Credentials::own()), Some(ScmRightsSpace { count: 1 })));
        let [fd] = message.take_fds_exact().unwrap();
        assert_eq!(identity(&fd), identity(&a));
    });
}

#[test]
fn a_cut_is_remembered_while_a_frame_waits() {
    no_leak(|| {
        let (mut a, b) = stream();
        b.set_nonblocking(true).unwrap();
        a.send_fds(b"x", [&a, &a, &a]).unwrap();
        let (mut frame, mut exact) = ([0; 2], RecvExact::new());
        let mut control = ControlVec::<()>::with_capacity(cmsg::len(4).unwrap());
        assert_eq!(exact.recv(&b, &mut frame, &mut control).unwrap_err().kind(), ErrorKind::WouldBlock);
        a.write_all(b"y").unwrap();
        assert!(control.flags().contains(MsgFlags::CTRUNC));
        let mut message = exact.recv(&b, &mut frame, &mut control).unwrap();
        assert!(message.flags().contains(MsgFlags::CTRUNC));
        assert!(message.require_complete().unwrap_err().control);
        assert_eq!(message.take_fds().count(), 1);
    });
}

#[test]
fn a_frame_cannot_shrink_below_what_has_arrived() {
    no_leak(|| {
        let (mut a, b) = stream();
        b.set_nonblocking(true).unwrap();
        a.write_all(b"abcd").unwrap();
        let (mut control, mut exact) = (ControlBuf::<()>::new(), RecvExact::new());
        assert_eq!(exact.recv(&b, &mut [0; 6], &mut control).unwrap_err().kind(), ErrorKind::WouldBlock);
        let error = exact.recv(&b, &mut [0; 2], &mut control).unwrap_err();
        assert!(matches!(cause(&error), Some(EncodeError::Value { field: "iov_len", found: 2, .. })), "{error}");
    });
}

#[test]
fn what_arrived_before_an_error_can_be_taken_from_the_control_buffer() {
    no_leak(|| {
        let (a, b) = stream();
        a.send_fds(b"half", [&a, &a]).unwrap();
        a.shutdown(Shutdown::Write).unwrap();
        let (mut frame, mut control) = ([0; 8], ControlBuf::<ScmRightsSpace<2>>::new());
        let error = b.recv_exact(&mut frame, &mut control).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::UnexpectedEof);
        assert_eq!(control.extract(), Some(ScmRightsSpace { count: 2 }));
        assert_eq!((control.fds().count(), control.messages().count(), control.peer()), (2, 1, None));
        assert_eq!(control.get::<ScmRightsSpace<0>>(), Some(ScmRightsSpace { count: 2 }));
        assert_eq!(control.flags() & MsgFlags::CTRUNC, MsgFlags::empty());
        let FdCountError { expected, found, .. } = control.take_fds_exact::<1>().unwrap_err();
        assert_eq!((expected, found), (1, 2));
        let first = control.take_fds().next().unwrap();
        assert_eq!((identity(&first), control.fds().count()), (identity(&a), 1));
    });
}

#[test]
fn buffers_work_behind_references_and_boxes() {
    no_leak(|| {
        let (mut a, b) = stream();
        b.enable::<Credentials>().unwrap();
        let (mut boxed, mut plain, mut data) = (Box::new(ControlBuf::<Credentials>::new()), ControlVec::new(), [0; 1]);
        a.write_all(b"xy").unwrap();
        assert_eq!(b.recv_msg(&mut data, &mut boxed).unwrap().extract(), Some(Credentials::own()));
        let reference: &mut ControlVec<Credentials> = &mut plain;
        assert_eq!(b.recv_msg(&mut data, &mut { reference }).unwrap().extract(), Some(Credentials::own()));
        assert_eq!(plain.capacity(), 256);
    });
}

/// Gives `left` descriptors; panics at call number `at`, counted over all its clones.
#[derive(Clone)]
struct Panics<'a> {
    calls: &'a Cell<u32>,
    at: u32,
    left: u32,
    fd: BorrowedFd<'a>,
}

impl<'a> Iterator for Panics<'a> {
    type Item = BorrowedFd<'a>;

    fn next(&mut self) -> Option<BorrowedFd<'a>> {
        self.left = self.left.checked_sub(1)?;
        self.calls.set(self.calls.get() + 1);
        if self.calls.get() == self.at {
            resume_unwind(Box::new("the caller's own panic"));
        }
        Some(self.fd)
    }
}

#[test]
fn a_panic_in_the_callers_iterator_sends_no_descriptor_of_others() {
    no_leak(|| {
        let file = File::open("/dev/null").unwrap();
        for before in [false, true] {
            for at in 1..=7 {
                let ((a, b), calls, mut header) = (stream(), Cell::new(0), MsgHdr::new());
                header.data(b"x");
                if before {
                    header.control((ScmRights::new([&file]), Credentials::own()));
                }
                let panics = Panics { calls: &calls, at, left: 3, fd: file.as_fd() };
                let result = catch_unwind(AssertUnwindSafe(|| {
                    header.control(ScmRights::new(panics));
                }));
                header.send(&a).unwrap();
                let message = b.recv_fds::<8>(&mut [0; 1]).unwrap();
                let expected = usize::from(before) + if result.is_ok() { 3 } else { 0 };
                assert_eq!((message.fds().count(), result.is_ok()), (expected, at == 7), "{before} {at}");
                assert!(message.fds().all(|fd| identity(fd) == identity(&file)));
            }
        }
    });
}

#[test]
fn descriptors_without_end_are_counted_no_further_than_needed() {
    no_leak(|| {
        let (a, _b) = stream();
        let error = a.send_fds(b"x", std::iter::repeat(&a)).unwrap_err();
        assert!(matches!(cause(&error), Some(EncodeError::Descriptors { found: 254.., max: 253 })), "{error}");
        let error = a.send_fds(b"x", std::iter::repeat(&a).filter(|_| true)).unwrap_err();
        assert_eq!(cause(&error), Some(EncodeError::Descriptors { found: 254, max: 253 }));
    });
}

#[test]
fn empty_buffers_among_others_hide_nothing() {
    no_leak(|| {
        let (mut a, b) = stream();
        a.write_all(b"hello world").unwrap();
        let (mut one, mut none, mut two, mut control) = ([0; 5], [0; 0], [0; 6], ControlBuf::<()>::new());
        let mut header = MsgHdrMut::new();
        header.data(&mut one).data(&mut none).data(&mut two);
        assert_eq!(header.recv(&b, &mut control).unwrap().len(), 11);
        assert_eq!(header.filled().collect::<Vec<_>>().concat(), b"hello world");
        b.set_nonblocking(true).unwrap();
        assert_eq!(header.recv(&b, &mut control).unwrap_err().kind(), ErrorKind::WouldBlock);
        assert_eq!(header.filled().count(), 0);
    });
}

#[test]
fn another_destination_after_the_control_messages_is_told() {
    no_leak(|| {
        if !has_v6("another_destination_after_the_control_messages_is_told") {
            return;
        }
        let socket = UdpSocket::bind("[::]:0").unwrap();
        let (receiver, mut control) = (UdpSocket::bind("[::1]:0").unwrap(), ControlBuf::<HopLimit>::new());
        let mut header = MsgHdr::new();
        header.to(("127.0.0.1".parse::<std::net::IpAddr>().unwrap(), 9)).data(b"q").control(HopLimit(7));
        header.to(receiver.local_addr().unwrap());
        let error = header.send(&socket).unwrap_err();
        let (expected, found) = (libc::AF_INET, libc::AF_INET6);
        assert_eq!(cause(&error), Some(EncodeError::Destination { expected, found }));
        let text = "expected a destination of AF_INET, which a control message is for, found AF_INET6";
        assert_eq!(error.to_string(), text);
        // Messages that were encoded for both, before there was a destination, serve any.
        receiver.enable::<HopLimit>().unwrap();
        let mut header = MsgHdr::new();
        header.data(b"q").control(HopLimit(7)).to(receiver.local_addr().unwrap());
        header.send(&socket).unwrap();
        assert_eq!(receiver.recv_msg(&mut [0; 1], &mut control).unwrap().extract(), Some(HopLimit(7)));
    });
}

#[test]
fn a_source_of_another_family_than_the_destination_is_told() {
    no_leak(|| {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        let v4 = std::net::IpAddr::from([127, 0, 0, 1]);
        let (v6, mapped) = ("::1".parse().unwrap(), "::ffff:127.0.0.1".parse::<std::net::IpAddr>().unwrap());
        for (to, source, expected, found) in
            [(v4, v6, libc::AF_INET6, libc::AF_INET), (v6, v4, libc::AF_INET, libc::AF_INET6)]
        {
            let error =
                MsgHdr::new().to((to, 9)).data(b"x").control(PktInfo::source(source)).send(&socket).unwrap_err();
            assert_eq!(cause(&error), Some(EncodeError::Destination { expected, found }));
        }
        for (to, source) in [(v4, v4), (mapped, v4), (v4, mapped)] {
            MsgHdr::new().to((to, 9)).data(b"x").control(PktInfo::source(source)).send(&socket).unwrap();
        }
        // Without a destination nobody can tell.
        assert!(MsgHdr::new().data(b"x").control(PktInfo::source(v6)).with_raw(|_| ()).is_ok());
    });
}

#[test]
fn types_that_overlap_each_get_the_message() {
    let mut bytes = [0; 64];
    let len = cmsg::encode(&IpTtl(9), &mut bytes).unwrap();
    let found = <(HopLimit, IpTtl, PktInfo)>::extract(cmsg::Cmsgs::clone(&ancillary::parser::cmsgs(&bytes[..len])));
    assert_eq!(found, (Some(HopLimit(9)), Some(IpTtl(9)), None));
}

#[test]
fn credentials_without_data_are_refused_where_they_would_vanish() {
    no_leak(|| {
        let (a, b) = stream();
        let error = MsgHdr::new().control(Credentials::own()).send(&a).unwrap_err();
        assert_eq!(cause(&error), Some(EncodeError::ControlWithoutData { found: cmsg::space(12).unwrap() }));
        b.set_nonblocking(true).unwrap();
        let error = b.recv_msg(&mut [0; 1], &mut ControlBuf::<()>::new()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::WouldBlock);
    });
}

#[test]
fn safe_code_cannot_vouch_for_numbers_and_addresses() {
    no_leak(|| {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        for (level, option) in [(libc::SOL_SOCKET, 50), (libc::SOL_SOCKET, 52), (libc::SOL_PACKET, 22)] {
            let error = set_option(&socket, level, option, 0).unwrap_err();
            assert_eq!((error.kind(), error.raw_os_error()), (ErrorKind::InvalidInput, None));
        }
        let remote_memory = RawCmsg::new(CmsgId::new(276, 1), &[0; 48]);
        assert_eq!(cmsg::encode(&remote_memory, &mut [0; 128]), Err(EncodeError::MemoryAddresses));
        assert_eq!(SockAddr::unix(""), Err(AddrError::TooShort { found: 0, min: 1 }));
    });
}

#[test]
fn what_was_skipped_is_not_sent_again_and_brings_no_control_message() {
    no_leak(|| {
        let (a, b) = stream();
        let mut header = MsgHdr::new();
        header.data(b"fra").data(b"me").control(ScmRights::new([&a])).skip(4);
        assert_eq!((header.send_all(&a).unwrap(), header.sent()), (5, 0));
        let mut data = [0; 9];
        let message = b.recv_fds::<1>(&mut data).unwrap();
        assert_eq!((message.len(), data[0], message.fds().count()), (1, b'e', 0));
        // All of it skipped: nothing to send; more than all is an error. And afresh: all of it, with the descriptor.
        assert_eq!(header.skip(5).send_all(&a).unwrap(), 5);
        let error = header.skip(6).send_all(&a).unwrap_err();
        assert!(matches!(cause(&error), Some(EncodeError::Value { field: "sent", found: 6, .. })), "{error}");
        assert_eq!(header.skip(0).send_all(&a).unwrap(), 5);
        let before = open_count();
        let [fd] = b.recv_fds::<1>(&mut data).unwrap().exact().unwrap();
        assert_eq!((&data[..5], identity(&fd), open_count()), (&b"frame"[..], identity(&a), before + 1));
    });
}

#[test]
fn an_exact_count_closes_all_when_it_is_another() {
    no_leak(|| {
        let (a, b) = stream();
        for (sent, found) in [(1, 1), (3, 3)] {
            a.send_fds(b"x", &vec![&a; sent]).unwrap();
            let error = b.recv_fds::<2>(&mut [0; 1]).unwrap().exact().unwrap_err();
            assert_eq!((error.expected, error.found), (2, found));
        }
        a.send_fds(b"x", [&a, &b]).unwrap();
        let fds: [OwnedFd; 2] = b.recv_fds(&mut [0; 1]).unwrap().exact().unwrap();
        assert_eq!(fds.each_ref().map(identity), [identity(&a), identity(&b)]);
        drop(a);
        drop(fds);
        assert!(b.recv_fds::<2>(&mut [0; 1]).unwrap().is_eof());
    });
}

#[cfg(feature = "bytes")]
#[test]
fn a_gap_before_more_data_is_refused_and_a_gap_at_the_end_is_a_short_send() {
    no_leak(|| {
        struct Shows(&'static [u8], &'static [u8]);
        impl bytes::Buf for Shows {
            fn remaining(&self) -> usize {
                self.0.len() + self.1.len()
            }
            fn chunk(&self) -> &[u8] {
                self.0
            }
            fn advance(&mut self, _: usize) {}
        }
        let ((a, b), buf) = (stream(), &Shows(b"shown", b"hidden") as &dyn bytes::Buf);
        let gap = EncodeError::Gather { expected: 11, found: 5 };
        let error = MsgHdr::new().buf(buf).data(b"END").send(&a).unwrap_err();
        assert_eq!(cause(&error), Some(gap));
        assert_eq!(MsgHdr::new().buf(buf).with_raw(|_| ()), Err(gap));
        b.set_nonblocking(true).unwrap();
        assert!(b.recv_msg(&mut [0; 1], &mut ControlBuf::<()>::new()).is_err());
        assert_eq!(MsgHdr::new().data(b"HEAD").buf(buf).data(b"").send(&a).unwrap(), 9);
    });
}

#[test]
fn every_public_type_can_go_to_another_thread() {
    fn both<T: Send + Sync>() {}
    both::<ControlBuf<(PktInfo, HopLimit)>>();
    both::<ControlVec<Credentials>>();
    both::<ancillary::ControlList<'_>>();
    both::<ancillary::ControlOut<'_, '_>>();
    both::<MsgHdr<'_>>();
    both::<MsgHdrMut<'_>>();
    both::<ancillary::Received<'_, PktInfo, &[u8]>>();
    both::<ancillary::TakeFds<'_>>();
    both::<ancillary::FdMessage<2>>();
    both::<ancillary::IntoFds<2>>();
    both::<RecvExact>();
    both::<SockAddr>();
    both::<ancillary::parser::ControlMessage<'_>>();
    both::<ancillary::parser::Messages<'_>>();
    both::<cmsg::Cmsgs<'_>>();
    both::<ScmRights<std::slice::Iter<'_, OwnedFd>>>();
}

/// `unsafe` has one room, and where bytes are read and written it is forbidden.
#[test]
fn unsafe_stays_in_sys() {
    fn walk(dir: &std::path::Path, found: &mut Vec<String>) {
        for entry in fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                walk(&path, found);
                continue;
            }
            let text = fs::read_to_string(&path).unwrap();
            let lines = text.lines().filter(|line| line.contains("unsafe_code"));
            found.extend(lines.map(|line| format!("{}: {line}", path.display())));
        }
    }
    let (src, mut found) = (std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), Vec::new());
    if !src.is_dir() {
        return skipped(format_args!("SKIPPED unsafe_stays_in_sys: the source is not on this machine"));
    }
    alone(|| walk(&src, &mut found));
    found.sort();
    let expected = [
        ("cmsg/mod.rs", "forbid"),
        ("lib.rs", "deny"),
        ("message/mod.rs", "forbid"),
        ("parser/mod.rs", "forbid"),
        ("rfc3542/mod.rs", "forbid"),
        ("sys/mod.rs", "allow"),
    ];
    assert_eq!(found, expected.map(|(file, how)| format!("{}: #![{how}(unsafe_code)]", src.join(file).display())));
}
