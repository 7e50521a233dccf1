//! Limits to the byte, defaults, and what is printed: what changes without anybody noticing.

#![cfg(target_os = "linux")]

mod common;

use std::{
    fs::File,
    io::Write,
    os::fd::{AsFd, AsRawFd},
};

use ancillary::{
    ControlBuf, MsgHdr, SendFlags, SocketExt,
    message::ScmRights,
    pinned::SendMsg,
    stream::{FdReader, FdStream, FdStreamError, FdWriter},
};
use common::{
    cause, no_leak,
    pairs::stream,
    pipes::{contents, names, numbered},
};

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
}

#[test]
fn a_buffer_that_is_not_consumed_doubles() {
    let (mut a, b) = stream();
    a.write_all(&[7; 1000]).unwrap();
    let mut incoming = FdReader::new().with_capacity(16);
    let came = [(); 5].map(|()| incoming.fill(&b).unwrap());
    assert_eq!((came, incoming.buffer()), ([16, 16, 32, 64, 128], &[7; 256][..]));
}

#[test]
fn a_message_for_io_uring_has_its_flags_and_says_what_was_copied() {
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
}
