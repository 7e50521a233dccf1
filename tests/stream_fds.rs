//! Streams that carry descriptors: what leaves when, what is kept, what is closed, and what is told.

#![cfg(target_os = "linux")]

mod common;

use std::{
    fs::{self, File},
    io::{self, BufRead, ErrorKind, IoSlice, Read, Write},
    os::{
        fd::{AsFd, OwnedFd},
        unix::{net::UnixStream, process::CommandExt},
    },
    process::Command,
    thread,
};

use ancillary::{
    ControlBuf, EncodeError, FamilyError, FdCountError, MsgHdrMut, RecvFlags, SocketExt,
    message::Credentials,
    set_option,
    stream::{FdReader, FdStream, FdStreamError, FdWriter},
};
use common::{
    cause, no_leak, open_count, open_fds,
    pairs::{self, V4, errno, stream, would_block},
    pipes::{content, contents, is_cloexec, names, numbered},
    skipped,
    starting::{Start, gone},
};
use nix::{
    libc,
    sys::resource::{Resource, getrlimit, setrlimit},
};

const NONE: [OwnedFd; 0] = [];

/// Bytes and descriptors of each receive, until there is nothing more for now.
fn receives(socket: &UnixStream) -> Vec<(Vec<u8>, Vec<String>)> {
    let (mut all, mut data, mut control) = (Vec::new(), [0; 4096], ControlBuf::<(), 1536>::new());
    socket.set_nonblocking(true).unwrap();
    loop {
        match socket.recv_msg(&mut data, &mut control) {
            Ok(message) if message.is_eof() => break,
            Ok(mut message) => all.push((message.data().to_vec(), contents(message.take_fds()))),
            Err(error) => break assert_eq!(error.kind(), ErrorKind::WouldBlock, "{error}"),
        }
    }
    socket.set_nonblocking(false).unwrap();
    all
}

fn all_bytes(socket: &UnixStream) -> Vec<u8> {
    receives(socket).into_iter().flat_map(|(bytes, _)| bytes).collect()
}

fn counts(socket: &UnixStream) -> Vec<(usize, usize)> {
    receives(socket).iter().map(|(bytes, fds)| (bytes.len(), fds.len())).collect()
}

/// So full that not a byte more goes; the number of bytes in it.
fn fill_up(socket: &UnixStream) -> usize {
    set_option(socket, libc::SOL_SOCKET, libc::SO_SNDBUF, 1).unwrap();
    socket.set_nonblocking(true).unwrap();
    let mut filled = 0;
    while let Ok(len) = (&*socket).write(b"filler") {
        filled += len;
    }
    filled
}

#[test]
fn a_call_begins_at_every_byte_that_has_descriptors() {
    no_leak(|| {
        let ((a, b), mut out) = (stream(), FdWriter::new());
        out.queue(b"plain", NONE).unwrap();
        out.queue(b"one", numbered(1)).unwrap();
        out.push(b"behind");
        out.queue(b"two", numbered(2)).unwrap();
        assert_eq!((out.pending(), out.pending_fds()), (17, 3));
        out.flush(&a).unwrap();
        assert_eq!((out.pending(), out.pending_fds()), (0, 0));
        // What goes without descriptors is read with what follows; the receive ends behind those that come with some.
        let received = receives(&b);
        let seen: Vec<_> = received.iter().map(|(bytes, fds)| (bytes.as_slice(), fds.join(" "))).collect();
        let one = (&b"plainonebehind"[..], "0".to_string());
        assert_eq!(seen, [one, (&b"two"[..], "0 1".to_string())]);
    });
}

#[test]
fn descriptors_wait_for_a_byte() {
    no_leak(|| {
        let ((a, b), mut out, before) = (stream(), FdWriter::new(), open_count());
        out.push_fds(numbered(2));
        for _ in 0..3 {
            out.flush(&a).unwrap();
            assert_eq!((out.pending_fds(), counts(&b), open_count()), (2, vec![], before + 2));
        }
        out.push(b"x");
        out.flush(&a).unwrap();
        assert_eq!((out.pending_fds(), open_count()), (0, before));
        assert_eq!(receives(&b), [(b"x".to_vec(), names(0..2))]);
        // Forgotten or dropped before one comes, they are closed.
        out.push_fds(numbered(3));
        out.clear();
        assert_eq!((out.pending_fds(), open_count()), (0, before));
        out.push(b"y");
        out.flush(&a).unwrap();
        assert_eq!(counts(&b), [(1, 0)]);
        out.push_fds(numbered(3));
        drop(out);
        assert_eq!(open_count(), before);
    });
}

#[test]
fn owned_descriptors_are_closed_when_their_first_byte_has_gone_and_not_before() {
    no_leak(|| {
        let ((a, b), borrowed) = (stream(), numbered(1));
        let (mut filled, mut out, before) = (fill_up(&a), FdWriter::new(), open_count());
        let mut fds = numbered(2).into_iter();
        out.queue(b"first", fds.next()).unwrap();
        out.queue(b"second", fds.next()).unwrap();
        out.queue(&[7; 100_000], &borrowed).unwrap();
        for _ in 0..3 {
            would_block(out.flush(&a));
            assert_eq!((out.pending(), out.pending_fds(), open_count()), (100_011, 3, before + 2));
        }
        let mut seen = Vec::new();
        for _ in 0..100_000 {
            for (bytes, fds) in receives(&b) {
                let skip = filled.min(bytes.len());
                filled -= skip;
                seen.extend(&bytes[skip..]);
                assert!(seen.len() >= [5, 11, 12][..fds.len()].last().copied().unwrap_or(0));
            }
            let done = out.flush(&a);
            assert_eq!(open_count(), before + out.pending_fds().saturating_sub(1));
            match done {
                Ok(()) => break,
                Err(error) => assert_eq!(error.kind(), ErrorKind::WouldBlock),
            }
        }
        seen.extend(all_bytes(&b));
        assert!(seen.starts_with(b"firstsecond\x07") && seen.len() == 100_011);
        drop(out);
        assert_eq!(open_count(), before, "what is borrowed stays open");
    });
}

#[test]
fn more_than_fit_into_one_call_go_with_the_bytes_behind() {
    no_leak(|| {
        let ((a, b), fd) = (stream(), numbered(1));
        let many = |count: usize| (0..count).map(|_| &fd[0]);
        let mut out = FdWriter::new();
        out.push(b"before");
        out.queue(b"four", many(600)).unwrap();
        out.queue(b"next", many(1)).unwrap();
        out.flush(&a).unwrap();
        assert_eq!(counts(&b), [(7, 253), (1, 253), (2, 94), (4, 1)]);

        // Wayland's library makes room for 28.
        let mut out = FdWriter::new().with_fds_per_message(28);
        out.queue(b"four", many(100)).unwrap();
        out.flush(&a).unwrap();
        assert_eq!(counts(&b), [(1, 28), (1, 28), (1, 28), (1, 16)]);
        // Beyond the bytes there are, they wait.
        out.push_fds(many(60));
        out.push(b"x");
        out.flush(&a).unwrap();
        assert_eq!((counts(&b), out.pending_fds()), (vec![(1, 28)], 32));
        assert_eq!(out.write(&a, b"yz").unwrap(), 2);
        out.flush(&a).unwrap();
        assert_eq!((counts(&b), out.pending_fds()), (vec![(1, 28), (1, 4)], 0));
    });
}

#[test]
fn what_a_message_cannot_carry_is_refused_whole() {
    no_leak(|| {
        let (fd, mut out, before) = (numbered(1), FdWriter::new().with_fds_per_message(2), open_count());
        let owned = |count| (0..count).map(|_| fd[0].try_clone().unwrap());
        assert_eq!(out.queue(b"", owned(3)), Err(EncodeError::DescriptorsWithoutData { descriptors: 3 }));
        assert_eq!(out.queue(b"xy", owned(5)), Err(EncodeError::Descriptors { found: 5, max: 4 }));
        assert_eq!((out.pending(), out.pending_fds(), open_count()), (0, 0, before));
        out.queue(b"", NONE).unwrap();
        out.queue(b"xy", owned(4)).unwrap();
        assert_eq!((out.pending(), out.pending_fds(), open_count()), (2, 4, before + 4));
        assert_eq!(format!("{:?}", FdWriter::new().with_fds_per_message(0)), "FdWriter { 0 bytes, fds: [] }");
    });
}

#[test]
fn a_socket_that_carries_no_descriptors_is_told_and_gets_none_of_the_bytes() {
    no_leak(|| {
        let (mut server, client) = pairs::tcp(V4);
        let mut out = FdWriter::new();
        out.push(b"plain ");
        out.queue(b"with", numbered(1)).unwrap();
        for _ in 0..2 {
            let error = cause::<FamilyError>(&out.flush(&client).unwrap_err()).unwrap();
            assert_eq!((error.expected, error.found), ("AF_UNIX", libc::AF_INET));
            assert_eq!((out.pending(), out.pending_fds()), (4, 1));
        }
        out.clear();
        out.push(b"bytes");
        out.flush(&client).unwrap();
        drop(client);
        let mut text = String::new();
        server.read_to_string(&mut text).unwrap();
        assert_eq!(text, "plain bytes");
        // Read with the same reader as any stream.
        let ((server, client), mut incoming) = (pairs::tcp(V4), FdReader::new());
        (&client).write_all(b"tcp").unwrap();
        assert_eq!((incoming.fill(&server).unwrap(), incoming.buffer(), incoming.fds().len()), (3, &b"tcp"[..], 0));
    });
}

#[test]
fn a_peer_that_is_gone_is_told_every_time_and_what_is_left_stays() {
    no_leak(|| {
        let ((a, b), mut out) = (stream(), FdWriter::new());
        gone(b);
        out.queue(b"late", numbered(1)).unwrap();
        for _ in 0..3 {
            assert_eq!(errno(out.flush(&a)), libc::EPIPE);
            assert_eq!(errno(out.try_flush(&a)), libc::EPIPE);
            assert_eq!(errno(out.write(&a, &[0; 10_000])), libc::EPIPE);
            assert_eq!((out.pending(), out.pending_fds()), (4, 1));
        }
    });
}

#[test]
fn the_try_forms_never_wait_where_the_socket_would() {
    no_leak(|| {
        let (a, b) = stream();
        set_option(&a, libc::SOL_SOCKET, libc::SO_SNDBUF, 1).unwrap();
        let (mut a, mut b) = (FdStream::new(&a), FdStream::new(&b));
        would_block(b.try_fill());
        would_block(b.try_recv(&mut [0; 1]));
        a.queue(&[5; 50_000], numbered(1)).unwrap();
        let (mut got, mut stops) = (0, 0);
        while got < 50_000 {
            if let Err(error) = a.try_flush() {
                assert_eq!(error.kind(), ErrorKind::WouldBlock);
                stops += 1;
            }
            got += b.try_fill().unwrap();
            let len = b.buffer().len();
            assert!(b.buffer().iter().all(|&byte| byte == 5));
            b.consume(len);
        }
        assert!(stops > 1);
        would_block(b.try_fill());
        assert_eq!((a.writer().pending(), contents(b.pop_fd())), (0, names(0..1)));
    });
}

/// FD41
#[test]
fn a_receive_ends_with_the_first_bytes_that_have_descriptors() {
    no_leak(|| {
        let ((a, b), fd) = (stream(), numbered(1));
        for (bytes, count) in [(&b"1234"[..], 0), (b"5", 1), (b"6789", 0), (b"a", 1), (b"b", 1)] {
            assert_eq!(a.send_fds(bytes, &fd[..count]).unwrap(), bytes.len());
        }
        let mut incoming = FdReader::new();
        for (len, fds) in [(5, 1), (5, 2), (1, 3)] {
            assert_eq!((incoming.fill(&b).unwrap(), incoming.fds().len()), (len, fds));
        }
        assert_eq!(incoming.buffer(), b"123456789ab");
        assert!(incoming.fds().all(is_cloexec));
    });
}

#[test]
fn descriptors_are_taken_by_count_or_not_at_all() {
    no_leak(|| {
        let ((a, b), mut incoming) = (stream(), FdReader::new());
        a.send_fds(b"messages", &numbered(6)).unwrap();
        incoming.fill(&b).unwrap();
        let open = open_count();
        assert_eq!(content(incoming.pop_fd().unwrap()), "0");
        let error: FdCountError = incoming.take_message(4, 6).unwrap_err();
        assert_eq!((error.expected, error.found), (6, 5));
        assert!(incoming.pop_fds_exact::<6>().is_err() && incoming.pop_fds(6).is_err());
        assert_eq!((incoming.buffer(), incoming.fds().len(), open_count()), (&b"messages"[..], 5, open - 1));
        let (bytes, mut fds) = incoming.take_message(4, 2).unwrap();
        assert_eq!((bytes, fds.len(), content(fds.next().unwrap())), (&b"mess"[..], 2, "1".into()));
        // Those of the message that nobody wanted are closed with it.
        drop(fds);
        assert_eq!(open_count(), open - 3);
        let [three, four] = incoming.pop_fds_exact().unwrap();
        assert_eq!(contents([three, four]), names(3..5));
        assert_eq!(contents(incoming.pop_fds(1).unwrap()), names(5..6));
        assert_eq!((incoming.pop_fd().is_none(), incoming.buffer()), (true, &b"ages"[..]));
        assert_eq!(incoming.take_message(9, 0).unwrap().0, b"ages");
        assert!(incoming.buffer().is_empty());
        assert_eq!(incoming.take_message(9, 0).unwrap().0, b"");
    });
}

/// Its destructor did not run; what it held is not the next message's.
#[test]
fn descriptors_of_an_iterator_that_was_forgotten_are_closed_and_nobody_elses() {
    no_leak(|| {
        let ((a, b), mut incoming) = (stream(), FdReader::new().with_max_fds(3));
        a.send_fds(b"messages", &numbered(6)).unwrap();
        incoming.fill(&b).unwrap();
        let open = open_count();
        for _ in 0..2 {
            let mut fds = incoming.pop_fds(2).unwrap();
            let taken = content(fds.next().unwrap());
            assert_eq!(format!("{fds:?}").matches("fd:").count(), 1, "{taken}");
            std::mem::forget(fds);
        }
        assert_eq!((incoming.fds().len(), incoming.fds().count(), incoming.error()), (2, 2, None));
        assert_eq!(open_count(), open - 3, "two were taken and one was given back; one is to be closed");
        assert_eq!((content(incoming.pop_fd().unwrap()), open_count()), ("4".into(), open - 5));
        assert!(incoming.pop_fds(2).is_err());
        std::mem::forget(incoming.take_message(8, 1).unwrap().1);
        assert!(incoming.fds().len() == 0 && incoming.pop_fd().is_none());
        assert_eq!(open_count(), open - 6);
    });
}

#[test]
fn a_queue_that_is_too_long_stops_reading_and_loses_nothing() {
    no_leak(|| {
        let ((a, b), mut incoming) = (stream(), FdReader::new().with_max_fds(2));
        for (text, fds) in [(b"a", &numbered(1)), (b"b", &numbered(1)), (b"c", &numbered(3)), (b"d", &numbered(1))] {
            a.send_fds(text, fds).unwrap();
        }
        for len in [1, 1, 1] {
            assert_eq!((incoming.error(), incoming.fill(&b).unwrap()), (None, len));
        }
        let full = FdStreamError::QueueFull { queued: 5, max: 2 };
        for _ in 0..3 {
            assert_eq!(cause(&incoming.fill(&b).unwrap_err()), Some(full));
            assert_eq!((incoming.error(), incoming.buffer(), incoming.fds().len()), (Some(full), &b"abc"[..], 5));
        }
        // What is there already needs no receive.
        let mut two = [0; 2];
        assert_eq!((incoming.recv(&b, &mut two).unwrap(), &two), (2, b"ab"));
        assert_eq!(contents(incoming.pop_fds(3).unwrap()), ["0", "0", "0"]);
        assert_eq!((incoming.fill(&b).unwrap(), incoming.buffer()), (1, &b"cd"[..]));
        assert_eq!(contents(incoming.pop_fds(3).unwrap()), ["1", "2", "0"]);
        // With none allowed, plain bytes go through.
        let mut incoming = FdReader::new().with_max_fds(0);
        (&a).write_all(b"plain").unwrap();
        assert_eq!(incoming.fill(&b).unwrap(), 5);
        would_block(incoming.try_fill(&b));
    });
}

#[test]
fn lost_descriptors_end_the_reading_before_others_take_their_place() {
    struct Restore(libc::rlim_t, libc::rlim_t);
    impl Drop for Restore {
        fn drop(&mut self) {
            setrlimit(Resource::RLIMIT_NOFILE, self.0, self.1).unwrap();
        }
    }
    no_leak(|| {
        for free in 1..=3 {
            let ((a, b), fds) = (stream(), numbered(4));
            for part in [&fds[..1], &fds[1..3], &fds[3..]] {
                a.send_fds(b"xy", part).unwrap();
            }
            let (mut incoming, used) = (FdReader::new(), open_fds());
            let limit = (0..).filter(|fd| !used.contains_key(fd)).nth(free).unwrap();
            let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
            let restore = Restore(soft, hard);
            setrlimit(Resource::RLIMIT_NOFILE, limit as libc::rlim_t, hard).unwrap();
            let receives = [(); 4].map(|()| incoming.fill(&b));
            drop(restore);
            // Each brings its bytes, the one with the loss too; those behind it are refused.
            let came: Vec<_> = receives.iter().map_while(|received| received.as_ref().ok()).collect();
            assert_eq!(came, [&2; 3][..if free < 3 { 2 } else { 3 }], "{free}");
            for refused in &receives[came.len()..] {
                let error = refused.as_ref().unwrap_err();
                assert_eq!((cause(error), error.kind()), (Some(FdStreamError::Lost), ErrorKind::InvalidData));
            }
            assert_eq!(incoming.error(), Some(FdStreamError::Lost), "{free}");
            assert_eq!(cause(&incoming.try_fill(&b).unwrap_err()), Some(FdStreamError::Lost));
            assert_eq!(open_count(), used.len() + free);
            drop(fds);
            assert_eq!(contents(incoming.pop_fds(free).unwrap()), names(0..free), "in order up to the loss");
            assert!(incoming.pop_fd().is_none());
        }
    });
}

#[test]
fn at_the_end_bytes_and_descriptors_may_be_left() {
    no_leak(|| {
        let ((a, b), mut incoming) = (stream(), FdReader::new());
        b.enable::<Credentials>().unwrap();
        a.send_fds(b"cut o", &numbered(2)).unwrap();
        drop(a);
        assert_eq!((incoming.fill(&b).unwrap(), incoming.is_eof()), (5, false));
        assert_eq!(incoming.control().get::<Credentials>(), Some(Credentials::own()));
        for _ in 0..2 {
            assert_eq!((incoming.fill(&b).unwrap(), incoming.is_eof()), (0, true));
            assert_eq!((incoming.buffer(), incoming.fds().len(), incoming.error()), (&b"cut o"[..], 2, None));
        }
        assert_eq!(format!("{incoming:?}").matches("eof: true").count(), 1);
        let open = open_count();
        assert_eq!(content(incoming.pop_fd().unwrap()), "0");
        drop(incoming);
        assert_eq!(open_count(), open - 2);
    });
}

#[test]
fn a_buffer_grows_for_a_long_message_and_is_used_again() {
    no_leak(|| {
        let ((a, b), mut incoming) = (stream(), FdReader::new().with_capacity(10));
        let (mut seen, mut longest) = (Vec::new(), 0);
        for round in 0..200u8 {
            (&a).write_all(&[round; 37]).unwrap();
            while incoming.buffer().len() < 37 {
                assert!(incoming.fill(&b).unwrap() > 0);
                longest = longest.max(incoming.buffer().len());
            }
            seen.extend_from_slice(&incoming.buffer()[..30]);
            incoming.consume(30);
            seen.extend_from_slice(incoming.take_message(7, 0).unwrap().0);
        }
        assert!(seen.iter().copied().eq((0..200).flat_map(|round| [round; 37])) && longest == 37);
        incoming.consume(usize::MAX);
        assert!(incoming.buffer().is_empty());
        assert_eq!((incoming.recv(&b, &mut []).unwrap(), incoming.is_eof()), (0, false));
    });
}

#[test]
fn a_buffer_that_is_never_empty_does_not_grow() {
    no_leak(|| {
        let ((a, b), mut incoming) = (stream(), FdReader::new().with_capacity(64));
        (&a).write_all(&[1; 50_000]).unwrap();
        let (mut seen, mut most) = (0, 0);
        while seen < 50_000 - 10 {
            most = most.max(incoming.fill(&b).unwrap());
            let len = incoming.buffer().len().saturating_sub(10);
            seen += incoming.take_message(len, 0).unwrap().0.len();
        }
        assert!(incoming.buffer() == [1; 10] && most <= 64, "{most}");
    });
}

#[test]
fn std_reads_and_writes_it() {
    no_leak(|| {
        let (a, b) = stream();
        let sender = thread::spawn(move || {
            let mut out: FdStream<'static, _> = FdStream::new(a);
            for k in 0..2000usize {
                if k % 10 == 0 {
                    out.push_fd(numbered(1).remove(0));
                }
                let text = format!("line {k}\n");
                match k % 3 {
                    0 => out.write_all(text.as_bytes()).unwrap(),
                    1 => assert!(out.write_vectored(&[IoSlice::new(text.as_bytes())]).unwrap() == text.len()),
                    _ => writeln!(out, "line {k}").unwrap(),
                }
            }
            // Longer than what is gathered: from where it stands.
            out.write_all(&[b'.'; 100_000]).unwrap();
            assert!(out.writer().pending() < 8192);
            Write::flush(&mut out).unwrap();
            assert_eq!(out.writer().pending(), 0);
        });
        let mut b = FdStream::new(b);
        for k in 0..2000usize {
            let mut line = String::new();
            b.read_line(&mut line).unwrap();
            assert_eq!(line, format!("line {k}\n"));
            if k % 10 == 0 {
                assert_eq!(contents(b.pop_fds_exact::<1>().unwrap()), ["0"]);
            }
        }
        let mut rest = Vec::new();
        b.read_to_end(&mut rest).unwrap();
        assert_eq!((rest, b.reader().is_eof(), b.pop_fd().is_none()), (vec![b'.'; 100_000], true, true));
        sender.join().unwrap();
    });
}

#[test]
fn few_bytes_are_gathered_and_no_more_than_there_is_room_for() {
    no_leak(|| {
        let (a, b) = stream();
        let filled = fill_up(&a);
        let mut out = FdWriter::new().with_capacity(10);
        assert_eq!(out.write(&a, b"1234567").unwrap(), 7);
        assert_eq!(out.write(&a, b"abcdef").unwrap(), 3, "as many as there is room for");
        for _ in 0..3 {
            would_block(out.write(&a, b"def"));
            would_block(out.write(&a, &[0; 50]));
            assert_eq!(out.pending(), 10);
        }
        assert_eq!(out.write(&a, b"").unwrap(), 0);
        assert_eq!(all_bytes(&b).len(), filled);
        assert_eq!(out.write(&a, b"def").unwrap(), 3);
        assert_eq!(out.pending(), 3, "those before have gone");
        out.push(b"no limit for this one");
        out.flush(&a).unwrap();
        assert_eq!(all_bytes(&b), b"1234567abcdefno limit for this one");
    });
}

#[test]
fn halves_work_on_two_threads() {
    no_leak(|| {
        let (a, b) = stream();
        let echo = thread::spawn(move || {
            let mut b: FdStream<'static, _> = FdStream::new(b);
            while b.fill().unwrap() > 0 {
                let bytes = b.buffer().to_vec();
                b.consume(bytes.len());
                let fds: Vec<_> = std::iter::from_fn(|| b.pop_fd()).collect();
                b.queue(&bytes, fds).unwrap();
                b.flush().unwrap();
            }
        });
        let (socket, mut incoming, mut out) = FdStream::<&UnixStream>::new(&a).into_parts();
        thread::scope(|scope| {
            scope.spawn(|| {
                for _ in 0..300 {
                    out.queue(&[3; 1000], numbered(2)).unwrap();
                    out.flush(socket).unwrap();
                }
            });
            let (mut bytes, mut fds, mut data) = (0, 0, [0; 700]);
            while bytes < 300_000 {
                bytes += incoming.recv(socket, &mut data).unwrap();
                for (k, fd) in (fds..).zip(std::iter::from_fn(|| incoming.pop_fd())) {
                    assert_eq!(content(fd), (k % 2).to_string());
                    fds += 1;
                }
            }
            assert_eq!((bytes, fds), (300_000, 600));
        });
        drop(a);
        echo.join().unwrap();
    });
}

#[cfg(feature = "bytes")]
#[test]
fn bytes_go_where_bytes_has_room() {
    use bytes::{Buf, BufMut, BytesMut};
    no_leak(|| {
        let ((a, b), mut room) = (stream(), BytesMut::with_capacity(100));
        let mut b = FdStream::new(&b);
        a.send_fds(b"into the buffer", &numbered(1)).unwrap();
        a.send_fds(b" and out", &numbered(1)).unwrap();
        b.fill().unwrap();
        b.consume(5);
        assert_eq!((b.recv_buf(&mut room).unwrap(), &room[..]), (10, &b"the buffer"[..]));
        assert_eq!((b.recv_buf(&mut room).unwrap(), &room[..]), (8, &b"the buffer and out"[..]));
        assert_eq!(contents(b.pop_fds_exact::<2>().unwrap()), ["0", "0"]);
        // One without room takes nothing, and is no end.
        assert_eq!((b.recv_buf(&mut Vec::new().limit(0)).unwrap(), b.reader().is_eof()), (0, false));
        room.advance(18);
        drop(a);
        assert_eq!((b.recv_buf(&mut room).unwrap(), b.reader().is_eof()), (0, true));
    });
}

/// The whole of it, or `WouldBlock`, as readiness says.
#[allow(deprecated, reason = "what tokio has instead is younger than the oldest tokio that these tests take")]
#[test]
fn tokio_drives_it_through_a_descriptor_of_its_own() {
    use tokio::io::unix::AsyncFd;
    const MESSAGES: usize = 200;
    no_leak(|| {
        let (a, b) = stream();
        set_option(&a, libc::SOL_SOCKET, libc::SO_SNDBUF, 20_000).unwrap();
        a.set_nonblocking(true).unwrap();
        b.set_nonblocking(true).unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build().unwrap();
        runtime.block_on(async {
            let sender = tokio::spawn(async move {
                let mut a: AsyncFd<FdStream<'static, UnixStream>> = AsyncFd::new(FdStream::new(a)).unwrap();
                for k in 0..MESSAGES {
                    a.get_mut().queue(&[k as u8; 1000], numbered(3)).unwrap();
                }
                let mut waits = 0;
                loop {
                    let mut ready = a.writable_mut().await.unwrap();
                    match ready.try_io(|a| a.get_mut().flush()) {
                        Ok(done) => break done.unwrap(),
                        Err(_) => waits += 1,
                    }
                }
                assert!(waits > 1);
            });
            let mut b = AsyncFd::new(FdStream::new(b)).unwrap();
            for k in 0..MESSAGES {
                while b.get_ref().buffer().len() < 1000 {
                    let mut ready = b.readable_mut().await.unwrap();
                    if let Ok(received) = ready.try_io(|b| b.get_mut().fill()) {
                        assert!(received.unwrap() > 0);
                    }
                }
                let (bytes, fds) = b.get_mut().take_message(1000, 3).unwrap();
                assert_eq!((bytes, contents(fds)), (&[k as u8; 1000][..], names(0..3)));
            }
            sender.await.unwrap();
        });
    });
}

/// Whether this process has any capability.
fn privileged() -> bool {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("CapEff:")).unwrap();
    line.trim().bytes().any(|digit| digit != b'0')
}

/// Whoever may have any number in flight runs it again as nobody.
#[test]
fn too_many_in_flight_is_told_and_nothing_is_lost() {
    const NAME: &str = "too_many_in_flight_is_told_and_nothing_is_lost";
    const NOBODY: u32 = 65534;
    no_leak(|| {
        if !privileged() {
            return too_many();
        }
        if Credentials::own().uid == NOBODY {
            return skipped(format_args!("SKIPPED {NAME}: an ordinary user with capabilities"));
        }
        let mut again = Command::new("/proc/self/exe");
        again.args(["--exact", NAME, "--nocapture", "--test-threads=1"]).uid(NOBODY).gid(NOBODY);
        let output = match again.finish() {
            Ok(output) => output,
            Err(error) => return skipped(format_args!("SKIPPED {NAME}: as user {NOBODY}: {error}")),
        };
        let (text, errors) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        if errors.contains("SKIPPED") {
            return eprint!("{errors}");
        }
        assert!(output.status.success() && text.contains("1 passed"), "{text}{errors}");
    });
}

fn too_many() {
    let ((a, b), fd, mut out) = (stream(), File::open("/dev/null").unwrap(), FdWriter::new());
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
    setrlimit(Resource::RLIMIT_NOFILE, 64, hard).unwrap();
    for _ in 0..20 {
        out.queue(b"ten", [fd.as_fd(); 10]).unwrap();
    }
    let (mut control, mut told, mut seen) = (ControlBuf::<(), 1536>::new(), 0, (0, 0));
    for _ in 0..1000 {
        let done = out.flush(&a);
        if let Err(error) = &done {
            assert_eq!(error.raw_os_error(), Some(libc::ETOOMANYREFS), "{error}");
            told += 1;
            assert!(out.pending_fds() > 0 && out.pending() % 3 == 0);
        }
        // Read so that some are free.
        while let Ok(message) = receive_now(&b, &mut control) {
            seen = (seen.0 + message.0, seen.1 + message.1);
        }
        if done.is_ok() {
            break;
        }
    }
    setrlimit(Resource::RLIMIT_NOFILE, soft, hard).unwrap();
    assert_eq!((seen, out.pending(), out.pending_fds()), ((60, 200), 0, 0));
    assert!(told > 1);
}

fn receive_now(socket: &UnixStream, control: &mut ControlBuf<(), 1536>) -> io::Result<(usize, usize)> {
    let mut message = MsgHdrMut::new().data(&mut [0; 64]).flags(RecvFlags::DONTWAIT).recv(socket, control)?;
    Ok((message.len(), message.take_fds().count()))
}
