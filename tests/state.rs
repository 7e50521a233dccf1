//! What is carried from one call to the next: frames over many receives, messages over many sends, buffers in a loop.
#![cfg(target_os = "linux")]

mod common;

use std::{
    io::{ErrorKind, IoSlice, IoSliceMut, Read, Write},
    mem::MaybeUninit,
    net::{Shutdown, TcpListener, TcpStream},
    thread,
};

use ancillary::{
    ControlBuf, ControlList, ControlVec, EncodeError, MsgFlags, MsgHdr, MsgHdrMut, RecvExact, RecvFlags, SendFlags,
    SocketExt, cmsg,
    message::{Credentials, ScmRights, ScmRightsSpace},
    set_option,
};
use common::{
    cause, no_leak, open_count,
    pairs::{self, V4, bound, pair, stream},
    skipped,
};
use nix::{
    libc,
    sys::socket::{AddressFamily, SockFlag, SockType, socket},
};

const SO_PASSPIDFD: i32 = 76; // include/uapi/asm-generic/socket.h

fn tcp() -> (TcpStream, TcpStream) {
    let (server, client) = pairs::tcp(V4);
    (client, server)
}

#[test]
fn process_descriptors_with_every_piece_are_closed_and_push_nothing_out() {
    no_leak(|| {
        let (mut a, b) = stream();
        b.set_nonblocking(true).unwrap();
        if let Err(error) = set_option(&b, libc::SOL_SOCKET, SO_PASSPIDFD, 1) {
            return skipped(format_args!("SKIPPED process_descriptors_with_every_piece: SO_PASSPIDFD: {error}"));
        }
        let before = open_count();
        let (mut frame, mut exact) = ([0; 20], RecvExact::new());
        let mut control = ControlBuf::<ScmRightsSpace<1>>::new();
        for _ in 0..19 {
            a.write_all(b"x").unwrap();
            assert_eq!(exact.recv(&b, &mut frame, &mut control).unwrap_err().kind(), ErrorKind::WouldBlock);
            assert!(open_count() <= before + 2, "one of each piece, and one that the next replaces");
        }
        a.send_fds(b"y", [&a]).unwrap();
        let mut message = exact.recv(&b, &mut frame, &mut control).unwrap();
        message.require_complete().unwrap();
        assert_eq!((message.cmsgs().count(), message.take_fds().count()), (2, 1));
    });
}

#[test]
fn descriptors_that_have_been_taken_make_room() {
    no_leak(|| {
        let (a, b) = stream();
        b.set_nonblocking(true).unwrap();
        let (mut frame, mut exact, mut taken) = ([0; 40], RecvExact::new(), 0);
        let mut control = ControlBuf::<ScmRightsSpace<1>>::new();
        for piece in 1..=40 {
            a.send_fds(b"x", [&a]).unwrap();
            assert_eq!(exact.recv(&b, &mut frame, &mut control).is_ok(), piece == 40);
            taken += control.take_fds().count();
        }
        assert_eq!((taken, control.flags() & MsgFlags::CTRUNC), (40, MsgFlags::empty()));
    });
}

/// Of credentials with every piece one remains, whole, in a buffer of any size; what is cut replaces nothing.
#[test]
fn the_last_whole_one_of_each_kind_is_kept() {
    no_leak(|| {
        let whole = cmsg::len(12).unwrap();
        for capacity in whole..5 * whole {
            let (mut a, b) = stream();
            b.enable::<Credentials>().unwrap();
            b.set_nonblocking(true).unwrap();
            let (mut frame, mut exact) = ([0; 9], RecvExact::new());
            let mut control = ControlVec::<Credentials>::with_capacity(capacity);
            for _ in 0..8 {
                a.write_all(b"x").unwrap();
                assert!(exact.recv(&b, &mut frame, &mut control).is_err());
                assert_eq!(control.extract(), Some(Credentials::own()), "{capacity}: {control:?}");
            }
            a.send_fds(b"y", [&a]).unwrap();
            let message = exact.recv(&b, &mut frame, &mut control).unwrap();
            let credentials = message.cmsgs().filter(|cmsg| cmsg.id().name() == Some("SCM_CREDENTIALS")).count();
            assert_eq!((message.extract(), credentials), (Some(Credentials::own()), 1), "{capacity}: {message:?}");
            // Two of them for a moment, and the descriptor behind.
            let room = capacity >= 2 * cmsg::space(12).unwrap() + cmsg::len(4).unwrap();
            assert_eq!(message.fds().count(), usize::from(room), "{capacity}: {message:?}");
        }
    });
}

#[test]
fn one_frame_follows_another() {
    no_leak(|| {
        let (mut a, b) = stream();
        a.write_all(b"firstsecond").unwrap();
        a.shutdown(Shutdown::Write).unwrap();
        let (mut exact, mut control) = (RecvExact::new(), ControlBuf::<()>::new());
        let (mut one, mut two) = ([0; 5], [0; 6]);
        exact.recv(&b, &mut one, &mut control).unwrap();
        exact.recv(&b, &mut two, &mut control).unwrap();
        assert_eq!((&one, &two, exact.received()), (b"first", b"second", 6));
    });
}

#[test]
fn a_clean_end_is_not_truncated() {
    no_leak(|| {
        let (mut a, b) = stream();
        b.enable::<Credentials>().unwrap();
        a.write_all(b"x").unwrap();
        drop(a);
        let (mut data, mut control) = ([0; 4], ControlVec::<()>::with_capacity(0));
        assert!(b.recv_msg(&mut data, &mut control).unwrap().require_complete().is_err());
        let message = b.recv_msg(&mut data, &mut control).unwrap();
        assert!(message.is_eof() && message.require_complete().is_ok());
    });
}

#[test]
fn a_buffer_that_is_cleared_or_refused_knows_no_peer_and_no_message() {
    no_leak(|| {
        let socket = bound(V4);
        socket.connect(socket.local_addr().unwrap()).unwrap();
        socket.enable::<ancillary::message::HopLimit>().unwrap();
        let mut control = ControlBuf::<ancillary::message::HopLimit>::new();
        for refused in [false, true] {
            socket.send(b"x").unwrap();
            socket.recv_msg(&mut [0; 4], &mut control).unwrap();
            assert!(control.peer().is_some() && control.extract().is_some());
            if refused {
                let (mut pieces, mut header) = ([[0; 1]; 65], MsgHdrMut::new());
                for piece in &mut pieces {
                    header.data(piece);
                }
                let error = header.recv(&socket, &mut control).unwrap_err();
                assert_eq!(cause(&error), Some(EncodeError::Slices { needed: 65, available: 64 }));
            } else {
                control.clear();
            }
            assert!(control.peer().is_none() && control.extract().is_none());
        }
    });
}

#[test]
fn control_messages_after_the_first_byte_are_told() {
    no_leak(|| {
        let (a, b) = stream();
        a.set_nonblocking(true).unwrap();
        let (data, mut header) = (vec![7; 4 << 20], MsgHdr::new());
        header.data(&data);
        assert_eq!(header.send_all(&a).unwrap_err().kind(), ErrorKind::WouldBlock);
        let (sent, list) = (header.sent(), ControlList::new(ScmRights::new([&a])).unwrap());
        assert!(sent > 0);
        header.control(ScmRights::new([&a]));
        assert_eq!(cause(&header.send_all(&a).unwrap_err()), Some(EncodeError::Begun { sent }));
        drop(b);
        // What was skipped was somebody else's: the same chain serves the first event and the later ones.
        let (a, b) = stream();
        let mut header = MsgHdr::new();
        assert_eq!(header.skip(1).data(b"ab").control_from(&list).send_all(&a).unwrap(), 2);
        assert_eq!(b.recv_fds::<1>(&mut [0; 2]).unwrap().fds().count(), 0);
    });
}

#[test]
fn a_message_with_borders_cannot_be_continued() {
    no_leak(|| {
        let (a, b) = pair(SockType::Datagram);
        let error = MsgHdr::new().data(b"ab").skip(1).send_all(&a).unwrap_err();
        assert!(matches!(cause(&error), Some(EncodeError::Value { field: "sent", found: 1, .. })), "{error}");
        b.set_nonblocking(true).unwrap();
        assert!(b.recv_msg(&mut [0; 1], &mut ControlBuf::<()>::new()).is_err());
    });
}

#[test]
fn many_empty_slices_with_credentials_are_refused_like_few() {
    no_leak(|| {
        let (a, _b) = stream();
        for count in [1, 1024, 1025] {
            let empty = vec![IoSlice::new(&[]); count];
            let error = MsgHdr::new().slices(&empty).control(Credentials::own()).send_all(&a).unwrap_err();
            assert!(matches!(cause(&error), Some(EncodeError::ControlWithoutData { .. })), "{count}: {error}");
        }
    });
}

#[test]
fn a_connection_is_opened_once_by_what_is_sent() {
    no_leak(|| {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let a = socket(AddressFamily::Inet, SockType::Stream, SockFlag::SOCK_CLOEXEC, None).unwrap();
        let (data, to) = (vec![5; 2000], listener.local_addr().unwrap());
        let slices: Vec<_> = data.chunks(1).map(IoSlice::new).collect();
        let reader = thread::spawn(move || {
            let mut all = Vec::new();
            listener.accept().unwrap().0.read_to_end(&mut all).unwrap();
            all
        });
        let mut header = MsgHdr::new();
        header.to(to).slices(&slices).flags(SendFlags::FASTOPEN);
        assert_eq!(header.send_all(&a).unwrap(), 2000);
        drop(a);
        assert_eq!(reader.join().unwrap(), data);
    });
}

/// tcp(7): the bytes are counted and discarded; nobody sees what lay in the buffer before.
#[test]
fn what_tcp_discards_is_not_received() {
    no_leak(|| {
        let (mut a, b) = tcp();
        let mut control = ControlBuf::<()>::new();
        a.write_all(b"hello").unwrap();
        let (mut data, mut header) = ([MaybeUninit::new(b'?'); 5], MsgHdrMut::new());
        header.uninit(&mut data).flags(RecvFlags::TRUNC);
        let message = header.recv(&b, &mut control).unwrap();
        assert_eq!((message.len(), message.full_len(), message.is_eof()), (0, 5, false));
        assert_eq!(header.filled().count(), 0);
        #[cfg(feature = "bytes")]
        {
            a.write_all(b"world").unwrap();
            let mut vec: Vec<u8> = Vec::with_capacity(64);
            let message =
                MsgHdrMut::new().flags(RecvFlags::TRUNC).recv_buf(&b, &mut vec, &mut control).map(|m| m.len());
            assert_eq!((message.unwrap(), vec.len()), (0, 0));
        }
    });
}

#[test]
fn what_a_cut_datagram_filled_is_no_more_than_there_was_room() {
    no_leak(|| {
        let socket = bound(V4);
        socket.connect(socket.local_addr().unwrap()).unwrap();
        socket.send(b"0123456789").unwrap();
        let (mut data, mut later, mut header) = ([0; 4], [MaybeUninit::new(b'?'); 4], MsgHdrMut::new());
        header.data(&mut data).flags(RecvFlags::TRUNC);
        assert_eq!(header.recv(&socket, &mut ControlBuf::<()>::new()).unwrap().full_len(), 10);
        header.uninit(&mut later);
        assert_eq!(header.filled().collect::<Vec<_>>().concat(), b"0123");
    });
}

#[test]
fn the_error_queue_is_not_the_end_of_a_connection() {
    no_leak(|| {
        let (mut a, _b) = tcp();
        // SO_TIMESTAMPING: SOF_TIMESTAMPING_TX_SOFTWARE, _SOFTWARE, _OPT_TSONLY
        set_option(&a, libc::SOL_SOCKET, libc::SO_TIMESTAMPING, 2 | 16 | 1 << 11).unwrap();
        a.write_all(b"hello").unwrap();
        let (mut data, mut header) = ([0; 9], MsgHdrMut::new());
        header.data(&mut data).flags(RecvFlags::ERRQUEUE);
        let message = header.recv(&a, &mut ControlVec::<()>::with_capacity(0)).map(|m| (m.len(), m.is_eof()));
        assert_eq!(message.unwrap(), (0, false));
    });
}

#[test]
fn padding_is_zero_over_whatever_was_there() {
    no_leak(|| {
        let (a, _b) = stream();
        let mut bytes = [0xff; 64];
        let len = cmsg::encode(&ScmRights::new([&a]), &mut bytes).unwrap();
        assert!(bytes[cmsg::len(4).unwrap()..len].iter().all(|&byte| byte == 0));
    });
}

/// `data` and `slices` in any order, up to 64 together; a list alone by reference.
#[test]
fn buffers_may_be_given_in_any_order() {
    no_leak(|| {
        let pool: Vec<Vec<u8>> = (0..200u8).map(|n| vec![n; usize::from(n % 4)]).collect();
        for (before, count, behind) in (0..3)
            .flat_map(|b| [0, 1, 2, 30, 62, 63, 64, 65].into_iter().flat_map(move |c| (0..3).map(move |d| (b, c, d))))
        {
            let case = format!("{before} {count} {behind}");
            let fits = before + count + behind <= 64 || (before == 0 && behind == 0);
            let ((a, b), mut pieces) = (stream(), pool.iter().map(Vec::as_slice));
            let list: Vec<_> = pool[100..100 + count].iter().map(|piece| IoSlice::new(piece)).collect();
            let (mut header, mut expected) = (MsgHdr::new(), Vec::new());
            for piece in pieces.by_ref().take(before) {
                header.data(piece);
                expected.extend_from_slice(piece);
            }
            header.slices(&list);
            expected.extend(pool[100..100 + count].concat());
            for piece in pieces.take(behind) {
                header.data(piece);
                expected.extend_from_slice(piece);
            }
            assert_eq!(header.send(&a).ok(), fits.then_some(expected.len()), "{case}");
            if !fits || expected.is_empty() {
                continue;
            }
            // The same on the other side, with one byte for each.
            let (mut first, mut many, mut last) = ([[0; 1]; 2], vec![[0; 9]; count], [[0; 1]; 2]);
            let mut windows: Vec<_> = many.iter_mut().map(|window| IoSliceMut::new(window)).collect();
            let mut header = MsgHdrMut::new();
            for window in first.iter_mut().take(before) {
                header.data(window);
            }
            header.slices(&mut windows);
            for window in last.iter_mut().take(behind) {
                header.data(window);
            }
            let room = before + 9 * count + behind;
            let len = header.recv(&b, &mut ControlBuf::<()>::new()).unwrap().len();
            assert_eq!(len, expected.len().min(room), "{case}");
            assert_eq!(header.filled().collect::<Vec<_>>().concat(), expected[..len], "{case}");
        }
    });
}
