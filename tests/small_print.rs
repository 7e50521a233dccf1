//! Limits to the byte, defaults, and what is printed: what changes without anybody noticing.

#![cfg(target_os = "linux")]

mod common;

use std::{
    fs::File,
    io::Write,
    os::fd::{AsFd, AsRawFd},
};

use ancillary::{
    ControlBuf, MsgFlags, MsgHdr, MsgHdrMut, RecvFlags, SendFlags, SocketExt,
    batch::RecvBatch,
    message::{Credentials, ScmPidfd, ScmRights, ScmRightsSpace},
    pinned::SendMsg,
    stream::{FdReader, FdStream, FdStreamError, FdWriter},
};
use common::{
    batches::wait,
    cause, no_leak, open_count,
    pairs::{V4, datagrams, stream, tcp},
    pipes::{contents, names, numbered},
    skipped,
};
use nix::poll::PollFlags;

/// How many bytes and descriptors can be received now.
fn arrived(socket: &impl AsFd) -> (usize, usize) {
    let (mut incoming, mut bytes) = (FdReader::new(), 0);
    while let Ok(len) = incoming.try_fill(socket) {
        bytes += len;
        incoming.consume(len);
    }
    (bytes, incoming.fds().len())
}

#[test]
fn descriptors_that_can_be_taken_are_printed() {
    no_leak(|| {
        let ((a, b), mut control) = (stream(), ControlBuf::<()>::new());
        a.send_fds(b"x", &numbered(2)).unwrap();
        b.recv_msg(&mut [0], &mut control).unwrap();
        let mut fds = control.take_fds();
        let first = fds.next().unwrap();
        let second = format!("{fds:?}");
        assert_eq!(second, format!("[{:?}]", fds.next().unwrap().as_fd()));
        assert_eq!(format!("{fds:?}"), "[]");
        drop(first);
    });
}

#[test]
fn a_stream_gives_its_halves_and_flushes_as_a_writer() {
    no_leak(|| {
        let (a, b) = stream();
        let mut out = FdStream::new(&a);
        out.writer_mut().push(b"four");
        out.writer_mut().push_fd(File::open("/dev/null").unwrap());
        assert_eq!((out.writer().pending(), out.writer().pending_fds(), arrived(&b)), (4, 1, (0, 0)));
        let number = a.as_raw_fd();
        assert!(format!("{out:?}").starts_with("FdStream { BorrowedFd"), "{out:?}");
        assert!(format!("{out:?}").contains(&number.to_string()) && format!("{out:?}").contains("FdWriter { 4 bytes"));
        out.push(b"!");
        Write::flush(&mut out).unwrap();
        assert_eq!((out.writer().pending(), arrived(&b)), (0, (5, 1)));

        let mut incoming = FdStream::from_parts(&b, FdReader::new().with_max_fds(1), FdWriter::new());
        a.send_fds(b"xy", &numbered(2)).unwrap();
        incoming.fill().unwrap();
        assert_eq!(incoming.reader_mut().fds().len(), 2);
        assert_eq!(incoming.reader().buffer(), b"xy");
        let error = incoming.fill().unwrap_err();
        assert_eq!(cause(&error), Some(FdStreamError::QueueFull { queued: 2, max: 1 }));
        assert_eq!(error.to_string(), "expected at most 1 descriptors that wait to be taken, found 2");
        assert!(FdStreamError::Lost.to_string().contains("MSG_CTRUNC"));
        assert_eq!(contents(incoming.pop_fds(2).unwrap()), names(0..2));
    });
}

#[test]
fn a_writer_gathers_up_to_its_capacity_and_no_byte_more() {
    no_leak(|| {
        let (a, b) = stream();
        for (mut out, capacity) in [(FdWriter::new(), 8192), (FdWriter::new().with_capacity(8), 8)] {
            // Full to the last byte: nothing has to go.
            assert_eq!(out.write(&a, &vec![1; capacity - 5]).unwrap(), capacity - 5);
            assert_eq!(out.write(&a, &[2; 5]).unwrap(), 5);
            assert_eq!((out.pending(), arrived(&b)), (capacity, (0, 0)));
            // One more: those go, and it waits.
            assert_eq!(out.write(&a, &[3]).unwrap(), 1);
            assert_eq!((out.pending(), arrived(&b)), (1, (capacity, 0)));
            out.flush(&a).unwrap();
            assert_eq!(arrived(&b), (1, 0));
            // As many at once: from where they stand.
            assert_eq!(out.write(&a, &vec![4; capacity]).unwrap(), capacity);
            assert_eq!((out.pending(), arrived(&b)), (0, (capacity, 0)));
        }
    });
}

#[test]
fn a_buffer_that_is_not_consumed_doubles() {
    no_leak(|| {
        let (mut a, b) = stream();
        a.write_all(&[7; 1000]).unwrap();
        let mut incoming = FdReader::new().with_capacity(16);
        let came = [(); 5].map(|()| incoming.fill(&b).unwrap());
        assert_eq!((came, incoming.buffer()), ([16, 16, 32, 64, 128], &[7; 256][..]));
    });
}

#[test]
fn a_message_for_io_uring_has_its_flags_and_says_what_was_copied() {
    no_leak(|| {
        let mut out = SendMsg::new();
        let mut header = MsgHdr::new();
        header.flags(SendFlags::DONTWAIT);
        // As many pieces as a call takes, and one more.
        out.set(&header, vec![vec![1u8]; 1024]).unwrap();
        let refused = out.set(&header, vec![vec![1u8]; 1025]).unwrap_err();
        assert_eq!((refused.buffer.map(|pieces| pieces.len()), out.start().is_err()), (Some(1025), true));
        assert_eq!(out.flags(), (SendFlags::NOSIGNAL | SendFlags::DONTWAIT).bits() as u32);
        // What the kernel says of a send without a copy: first its result, then whether it copied after all, in the sign.
        const MORE: u32 = 1 << 1; // IORING_CQE_F_MORE
        const NOTIF: u32 = 1 << 3;
        for (notified, copied) in [(0, false), (1, false), (i32::MIN, true)] {
            out.set(&header, vec![vec![1u8]; 3]).unwrap();
            assert!(!out.was_copied());
            // No request is made of it: the completions are this test's own.
            out.start().unwrap();
            assert_eq!((out.complete(3, MORE).unwrap(), out.is_in_flight()), (3, true));
            assert_eq!((out.complete(notified, NOTIF).unwrap(), out.is_in_flight()), (3, false));
            assert_eq!((out.was_copied(), out.buffer().map(Vec::len)), (copied, Some(3)));
        }
        let fds = numbered(1);
        assert!(out.set(MsgHdr::new().control(ScmRights::new(&fds)), vec![]).is_ok());
    });
}

/// The end of a stream is no message that was cut, though what Linux attaches to it did not fit.
#[test]
fn the_end_of_a_stream_is_not_cut() {
    no_leak(|| {
        let (a, b) = stream();
        b.enable::<Credentials>().unwrap();
        drop(a);
        let mut batch = RecvBatch::<()>::with_control(3, 8, 0);
        let found: Vec<_> = batch.recv(&b).unwrap().map(|m| (m.is_eof(), m.flags())).collect();
        assert_eq!(found, [(true, MsgFlags::CMSG_CLOEXEC)]);
    });
}

/// Under flags that let a system count what it has not written, nothing old shows (tcp(7): `MSG_TRUNC` throws bytes away).
#[test]
fn what_may_be_counted_and_not_written_is_zero() {
    no_leak(|| {
        let (b, mut a) = tcp(V4);
        let mut data = [7; 8];
        a.write_all(b"first").unwrap();
        assert_eq!(MsgHdrMut::new().data(&mut data).recv(&b, &mut ControlBuf::<()>::new()).unwrap().len(), 5);
        assert_eq!(&data, b"first\x07\x07\x07", "all of it has been written, and no more is touched");
        a.write_all(b"second").unwrap();
        let (mut header, mut control) = (MsgHdrMut::new(), ControlBuf::<()>::new());
        assert_eq!(header.data(&mut data).flags(RecvFlags::TRUNC).recv(&b, &mut control).unwrap().len(), 0);
        assert_eq!(header.filled().count(), 0);
        assert_eq!(data, [0; 8]);
    });
}

/// Out-of-band data is a byte like others, though it comes under a flag of that kind.
#[test]
fn urgent_data_is_there() {
    no_leak(|| {
        let (b, a) = tcp(V4);
        MsgHdr::new().data(b"!").flags(SendFlags::OOB).send(&a).unwrap();
        wait(&b, PollFlags::POLLPRI);
        let (mut data, mut control) = ([0; 3], ControlBuf::<()>::new());
        let mut header = MsgHdrMut::new();
        let len = header.data(&mut data).flags(RecvFlags::OOB).recv(&b, &mut control).unwrap().len();
        assert_eq!((len, header.filled().next()), (1, Some(&b"!"[..])));
    });
}

/// Of what comes with every call of a frame the last is kept, of each kind: none pushes out another.
#[test]
fn a_frame_keeps_the_last_of_each_kind() {
    no_leak(|| {
        let (a, b) = stream();
        b.enable::<Credentials>().unwrap();
        if !b.try_enable::<ScmPidfd>().unwrap() {
            return skipped("SKIPPED a_frame_keeps_the_last_of_each_kind: SO_PASSPIDFD");
        }
        let before = open_count();
        for _ in 0..3 {
            a.send_fds(b"ab", &numbered(1)).unwrap();
        }
        let (mut data, mut control) = ([0; 6], ControlBuf::<Credentials>::new());
        let mut message = b.recv_exact(&mut data, &mut control).unwrap();
        assert_eq!((message.extract(), message.cmsgs().count()), (Some(Credentials::own()), 5));
        let pidfd = message.take_pidfd().unwrap().expect("one of them");
        assert_eq!(open_count(), before + 4, "three that were sent, and one of three of the process");
        assert!(
            std::fs::read_link(format!("/proc/self/fd/{}", pidfd.as_raw_fd())).unwrap().ends_with("anon_inode:[pidfd]")
        );
        assert_eq!(contents(message.take_fds()), ["0"; 3]);
    });
}

/// What the end of a stream leaves is ready for another socket: all of its room.
#[test]
fn after_the_end_a_batch_has_all_its_room() {
    no_leak(|| {
        let mut batch = RecvBatch::<ScmRightsSpace<2>>::new(3, 8);
        for round in 0..3 {
            let ((a, b), (c, d)) = (stream(), datagrams());
            drop(a);
            let end: Vec<_> = batch.recv(&b).unwrap().map(|m| m.is_eof()).collect();
            assert_eq!(end, [true]);
            let before = open_count();
            for _ in 0..3 {
                assert_eq!(c.send_fds(&[round], &numbered(2)).unwrap(), 1);
            }
            let found: Vec<_> = batch.recv(&d).unwrap().map(|m| (m.data()[0], m.flags(), m.fds().count())).collect();
            assert_eq!((found, open_count()), (vec![(round, MsgFlags::CMSG_CLOEXEC, 2); 3], before + 6));
        }
    });
}
