//! Streams: a whole message over as many calls as it takes, the descriptors once, exact lengths, and the end.

#![cfg(target_os = "linux")]

mod common;

use std::{
    io::{ErrorKind, IoSlice, Read, Write},
    net::UdpSocket,
    os::{
        fd::{AsFd, OwnedFd},
        linux::net::SocketAddrExt,
        unix::net::{SocketAddr, UnixDatagram, UnixStream},
    },
    thread,
};

use ancillary::{
    ControlBuf, ControlList, ControlVec, MsgFlags, MsgHdr, RecvExact, ShortReadError, SockAddr, SocketExt,
    message::{Credentials, ScmRights, ScmRightsSpace},
    set_option,
};
use common::{
    no_leak, open_count,
    pairs::{self, V4, bound, pair, would_block},
    pipes::{contents, numbered},
};
use nix::{
    libc,
    poll::{PollFd, PollFlags, poll},
    sys::socket::SockType,
};

const IOV_MAX: usize = 1024;

/// Any two ends; std's `UnixStream` does for all, what matters here is that they block or do not.
type Pair = (UnixStream, UnixStream);

fn unix() -> Pair {
    pair(SockType::Stream)
}

/// Of any sockets.
fn both(a: impl Into<OwnedFd>, b: impl Into<OwnedFd>) -> Pair {
    (UnixStream::from(a.into()), UnixStream::from(b.into()))
}

fn tcp() -> Pair {
    let (server, client) = pairs::tcp(V4);
    both(client, server)
}

fn nonblocking((a, b): Pair) -> Pair {
    a.set_nonblocking(true).unwrap();
    b.set_nonblocking(true).unwrap();
    (a, b)
}

/// With so little room that every message of some length takes many calls.
fn narrow((a, b): Pair) -> Pair {
    set_option(a.as_fd(), libc::SOL_SOCKET, libc::SO_SNDBUF, 4096).unwrap();
    (a, b)
}

/// Name, maker, and how many of two descriptors arrive: TCP ignores them.
type Transport = (&'static str, fn() -> Pair, usize);

const TRANSPORTS: [Transport; 2] = [("unix", unix, 2), ("tcp", tcp, 0)];

/// Waits until one of these can go on.
fn wait(on: &[(&UnixStream, PollFlags)]) {
    let mut fds: Vec<_> = on.iter().map(|(socket, flags)| PollFd::new(socket.as_fd(), *flags)).collect();
    assert!(poll(&mut fds, 20_000u16).unwrap() > 0, "neither end can go on");
}

fn pattern(len: usize) -> Vec<u8> {
    (0..len as u32).map(|i| (i.wrapping_mul(0x9e37_79b1) >> 23) as u8).collect()
}

/// Cuts `data` into slices of these lengths.
fn cut<'a>(data: &'a [u8], lens: &[usize]) -> Vec<IoSlice<'a>> {
    let mut at = 0;
    let next = |len: &usize| {
        at += len;
        IoSlice::new(&data[at - len..at])
    };
    lens.iter().map(next).collect()
}

/// Uneven lengths up to `most`, every fifth 0.
fn uneven(count: usize, most: usize) -> Vec<usize> {
    (0..count).map(|i| if i % 5 == 2 { 0 } else { 1 + i * 7919 % most }).collect()
}

/// Few and many slices, short and long, with empty ones between, before and behind them.
fn shapes() -> Vec<Vec<usize>> {
    let runs = [vec![0; 1100], vec![3], vec![0; 2000], vec![700; 30], vec![0; 1024], vec![1, 0], vec![0; 1100]];
    vec![
        vec![1],
        vec![0, 100_000, 0, 1, 200_000, 0],
        uneven(IOV_MAX, 300),
        uneven(IOV_MAX + 1, 5),
        uneven(IOV_MAX + 1, 900),
        uneven(3000, 5),
        uneven(3000, 300),
        runs.concat(),
    ]
}

#[test]
fn any_number_of_slices_arrives_whole_where_neither_end_blocks() {
    no_leak(|| {
        for (name, transport, count) in TRANSPORTS {
            let mut inside = 0;
            for (lens, anew) in shapes().into_iter().zip([true, false].into_iter().cycle()) {
                let ((a, b), data) = (narrow(nonblocking(transport())), pattern(lens.iter().sum()));
                let (slices, fds, mut copy) = (cut(&data, &lens), numbered(2), vec![0; data.len()]);
                let header_behind = |sent| {
                    let mut header = MsgHdr::new();
                    header.slices(&slices).control(ScmRights::new(&fds)).skip(sent);
                    header
                };
                let (mut header, mut exact, mut control) =
                    (header_behind(0), RecvExact::new(), ControlBuf::<()>::new());
                // By turns on one thread.
                let (mut stops, mut done) = (Vec::new(), false);
                let received: Vec<_> = loop {
                    if !done {
                        match header.send_all(&a) {
                            Ok(len) => done = len == data.len(),
                            Err(error) => {
                                assert_eq!(error.kind(), ErrorKind::WouldBlock);
                                stops.push(header.sent());
                                header = if anew { header_behind(header.sent()) } else { header };
                            }
                        }
                    }
                    match exact.recv(&b, &mut copy, &mut control) {
                        Ok(mut message) => break message.take_fds().collect(),
                        Err(error) => assert_eq!(error.kind(), ErrorKind::WouldBlock, "{error}"),
                    }
                    // What a unix stream has taken can be read at once.
                    assert!(done || exact.received() == header.sent() || name == "tcp");
                    let both = [(&b, PollFlags::POLLIN), (&a, PollFlags::POLLOUT)];
                    wait(if done { &both[..1] } else { &both });
                };
                let case = format!("{name}, {} slices, {} bytes, stops at {stops:?}", lens.len(), data.len());
                assert_eq!(contents(received), ["0", "1"][..count], "{case}");
                assert_eq!((done, exact.received(), header.sent()), (true, data.len(), 0), "{case}");
                assert!(copy == data, "{case}");
                assert!(stops.is_sorted() && stops.iter().all(|&stop| stop < data.len()), "{case}");
                let borders = (0..lens.len()).map(|end| lens[..end].iter().sum()).collect::<Vec<usize>>();
                inside += stops.iter().filter(|stop| !borders.contains(stop)).count();
            }
            assert!(inside > 0, "{name}: no stop in the middle of a slice");
        }
    });
}

#[test]
fn any_number_of_slices_arrives_whole_where_both_ends_block() {
    no_leak(|| {
        for (name, transport, count) in TRANSPORTS {
            for lens in shapes() {
                let ((a, b), data) = (narrow(transport()), pattern(lens.iter().sum()));
                let (slices, fds, mut copy) = (cut(&data, &lens), numbered(2), vec![0; data.len()]);
                thread::scope(|scope| {
                    scope.spawn(|| {
                        let mut header = MsgHdr::new();
                        header.slices(&slices).control(ScmRights::new(&fds));
                        assert_eq!((header.send_all(&a).unwrap(), header.sent()), (data.len(), 0));
                    });
                    let mut control = ControlBuf::<()>::new();
                    let mut message = b.recv_exact(&mut copy, &mut control).unwrap();
                    assert_eq!(contents(message.take_fds()), ["0", "1"][..count]);
                });
                assert!(copy == data, "{name}, {} slices", lens.len());
            }
        }
    });
}

/// How many bytes and descriptors each call brings, until there is nothing more for now.
fn calls(b: &UnixStream, room: usize) -> Vec<(usize, usize)> {
    let (mut calls, mut data, mut control) = (Vec::new(), vec![0; room], ControlBuf::<()>::new());
    loop {
        match b.recv_msg(&mut data, &mut control) {
            Ok(message) if !message.is_empty() => calls.push((message.len(), message.fds().count())),
            other => break would_block(other),
        }
    }
    calls
}

/// FD41
#[test]
fn descriptors_come_with_the_first_byte_and_never_again() {
    no_leak(|| {
        let (data, fds) = (pattern(300_000), numbered(3));
        let list = ControlList::new(ScmRights::new(&fds)).unwrap();
        let (mut typed, mut listed) = (MsgHdr::new(), MsgHdr::new());
        typed.data(&data[..1]).data(&data[1..]).control(ScmRights::new(&fds));
        listed.data(&data).control_from(&list);
        for header in [&mut typed, &mut listed] {
            // A header that has been sent starts afresh, descriptors included.
            for _ in 0..3 {
                let (a, b) = narrow(nonblocking(unix()));
                would_block(header.send_all(&a));
                assert!(header.sent() > 0 && header.sent() < data.len());
                let mut seen = Vec::new();
                let mut first = [0; 1];
                seen.push((1, b.recv_fds::<3>(&mut first).unwrap().fds().count()));
                assert_eq!((seen[0].1, first[0]), (3, data[0]));
                let mut sent = None;
                while seen.len() < data.len() && sent.is_none() {
                    seen.extend(calls(&b, 1000));
                    sent = header.send_all(&a).ok();
                }
                seen.extend(calls(&b, 1000));
                assert_eq!(sent, Some(data.len()));
                assert_eq!(seen.iter().map(|(len, _)| len).sum::<usize>(), data.len());
                assert_eq!(seen.iter().map(|(_, fds)| fds).sum::<usize>(), 3);
            }
        }
    });
}

#[test]
fn descriptors_that_could_not_go_yet_go_later() {
    no_leak(|| {
        let (a, b) = narrow(nonblocking(unix()));
        let (fds, mut filler, mut filled) = (numbered(2), MsgHdr::new(), 0);
        filler.data(b"filler");
        while let Ok(len) = filler.send(&a) {
            filled += len;
        }
        let mut header = MsgHdr::new();
        header.data(b"late").control(ScmRights::new(&fds));
        for _ in 0..3 {
            would_block(header.send_all(&a));
            assert_eq!(header.sent(), 0);
        }
        let before = calls(&b, 1 << 20);
        assert_eq!(before.into_iter().reduce(|x, y| (x.0 + y.0, x.1 + y.1)), Some((filled, 0)));
        assert_eq!(header.send_all(&a).unwrap(), 4);
        assert_eq!(calls(&b, 100), [(4, 2)]);
    });
}

#[test]
fn a_frame_is_filled_byte_by_byte() {
    no_leak(|| {
        for (name, transport, _) in TRANSPORTS {
            // A length, then so many bytes, each sent alone.
            let ((mut a, b), frame) = (transport(), pattern(3000));
            let whole = [&3000u32.to_be_bytes()[..], &frame].concat();
            let sender = thread::spawn(move || whole.iter().for_each(|byte| a.write_all(&[*byte]).unwrap()));
            let (mut len, mut control) = ([0; 4], ControlBuf::<()>::new());
            b.recv_exact(&mut len, &mut control).unwrap();
            let mut copy = vec![0; u32::from_be_bytes(len) as usize];
            assert_eq!(b.recv_exact(&mut copy, &mut control).unwrap().len(), 3000, "{name}");
            assert!(copy == frame, "{name}");
            sender.join().unwrap();

            let (mut a, b) = nonblocking(transport());
            let mut copy = [0; 100];
            let mut exact = RecvExact::new();
            for (k, byte) in frame[..100].iter().enumerate() {
                would_block(exact.recv(&b, &mut copy, &mut control));
                assert_eq!(exact.received(), k, "{name}");
                a.write_all(&[*byte]).unwrap();
                wait(&[(&b, PollFlags::POLLIN)]);
            }
            // What is behind the frame stays.
            a.write_all(b"next").unwrap();
            assert_eq!(exact.recv(&b, &mut copy, &mut control).unwrap().len(), 100);
            assert_eq!(copy, frame[..100]);
            wait(&[(&b, PollFlags::POLLIN)]);
            let mut next = [0; 4];
            b.recv_exact(&mut next, &mut control).unwrap();
            assert_eq!((&next, b.recv_exact(&mut [], &mut control).unwrap().is_eof()), (b"next", false));
        }
    });
}

#[test]
fn behind_the_last_byte_nothing_is_sent() {
    no_leak(|| {
        let (a, b) = unix();
        drop(b);
        let mut header = MsgHdr::new();
        header.data(b"all").data(b" of it");
        assert_eq!(header.skip(9).send_all(&a).unwrap(), 9, "whether the peer is there or not");
        assert_eq!(header.skip(8).send_all(&a).unwrap_err().raw_os_error(), Some(libc::EPIPE));
    });
}

#[test]
fn a_peer_gone_after_any_number_of_bytes_is_a_short_read_of_that_number() {
    const LEN: usize = 9;
    no_leak(|| {
        for (name, transport, _) in TRANSPORTS {
            for block in [true, false] {
                for k in 0..LEN {
                    let (mut a, b) = if block { transport() } else { nonblocking(transport()) };
                    a.write_all(&pattern(k)).unwrap();
                    drop(a);
                    let (mut frame, mut control) = ([b'.'; LEN], ControlBuf::<()>::new());
                    let mut exact = RecvExact::new();
                    // Asking again says the same.
                    for _ in 0..2 {
                        let error = loop {
                            wait(&[(&b, PollFlags::POLLIN)]);
                            let error = exact.recv(&b, &mut frame, &mut control).unwrap_err();
                            if error.kind() != ErrorKind::WouldBlock {
                                break error;
                            }
                        };
                        assert_eq!(error.kind(), ErrorKind::UnexpectedEof);
                        let cause = error.get_ref().and_then(|cause| cause.downcast_ref::<ShortReadError>());
                        assert_eq!(cause.map(|short| (short.expected, short.received)), Some((LEN, k)), "{name}");
                        assert_eq!(exact.received(), k);
                    }
                    assert_eq!((&frame[..k], &frame[k..]), (&pattern(k)[..], &[b'.'; LEN][k..]));
                }
            }
        }
    });
}

#[test]
fn descriptors_of_all_calls_are_owned_taken_or_closed() {
    no_leak(|| {
        for (block, taken) in [(true, 6), (false, 6), (true, 4), (false, 1), (true, 0), (false, 0)] {
            let (a, b) = if block { unix() } else { nonblocking(unix()) };
            b.enable::<Credentials>().unwrap();
            let fds = numbered(6);
            for part in [&fds[..1], &[], &fds[1..3], &fds[3..]] {
                a.send_fds(b"abc", part).unwrap();
            }
            drop(fds);
            let before = open_count();
            let mut control = ControlVec::<(Credentials, ScmRightsSpace<6>)>::with_capacity(400);
            let mut frame = [0; 12];
            let mut message = RecvExact::new().recv(&b, &mut frame, &mut control).unwrap();
            assert_eq!((message.len(), message.flags().contains(MsgFlags::CTRUNC)), (12, false));
            assert_eq!((message.fds().count(), open_count()), (6, before + 6));
            assert_eq!(message.extract().0, Some(Credentials::own()));
            assert_eq!(contents(message.take_fds().take(taken)), ["0", "1", "2", "3", "4", "5"][..taken]);
            assert_eq!(open_count(), before + 6 - taken);
            drop(control);
            assert_eq!((open_count(), &frame), (before, b"abcabcabcabc"));
        }
    });
}

/// FL04
#[test]
fn the_end_is_the_end_whatever_the_kernel_says_about_it() {
    const TCP_INQ: i32 = 36;
    no_leak(|| {
        for (name, transport, _) in TRANSPORTS {
            let (a, b) = transport();
            match name {
                "unix" => b.enable::<Credentials>().unwrap(),
                _ => set_option(b.as_fd(), libc::IPPROTO_TCP, TCP_INQ, 1).unwrap(),
            }
            let (mut data, mut control) = ([0; 2], ControlBuf::<Credentials>::new());
            MsgHdr::new().data(b"x").send_all(&a).unwrap();
            drop(a);
            assert_eq!(b.recv_exact(&mut data, &mut control).unwrap_err().kind(), ErrorKind::UnexpectedEof);
            assert_eq!(control.extract(), (name == "unix").then(Credentials::own), "what the peer said stays");
            let message = b.recv_msg(&mut data, &mut control).unwrap();
            assert_eq!((message.len(), message.is_eof()), (0, true), "{name}: {message:?}");
        }
    });
}

/// IO10
#[test]
fn an_empty_datagram_is_neither_the_end_nor_nothing() {
    no_leak(|| {
        let name = SocketAddr::from_abstract_name(format!("ancillary-stream-{}", std::process::id())).unwrap();
        let (named, name) = (UnixDatagram::bind_addr(&name).unwrap(), SockAddr::from(&name));
        let [free, asked, one, two] = [(); 4].map(|()| bound(V4));
        let addr = |socket: &UdpSocket| SockAddr::from(socket.local_addr().unwrap());
        one.connect(two.local_addr().unwrap()).unwrap();
        two.connect(one.local_addr().unwrap()).unwrap();
        let (free_name, asked_name, one_name) = (addr(&free), addr(&asked), addr(&one));
        // Sender and receiver, where to send, and from whom it comes.
        let cases = [
            (pair(SockType::Datagram), None, None),
            (pair(SockType::SeqPacket), None, None),
            (both(named.try_clone().unwrap(), named), Some(name), Some(name)),
            (both(free, asked), Some(asked_name), Some(free_name)),
            (both(one, two), None, Some(one_name)),
        ];
        for (pair, to, from) in cases {
            let ((a, b), mut data, mut control) = (nonblocking(pair), [0; 4], ControlBuf::<()>::new());
            would_block(b.recv_msg(&mut data, &mut control));
            for text in [&b""[..], b"x", b""] {
                assert_eq!(MsgHdr::new().to(to).data(text).send_all(&a).unwrap(), text.len());
                wait(&[(&b, PollFlags::POLLIN)]);
                let message = b.recv_msg(&mut data, &mut control).unwrap();
                assert_eq!((message.data(), message.is_eof(), message.peer()), (text, false, from.as_ref()));
                would_block(b.recv_msg(&mut data, &mut control));
            }
        }
    });
}

#[test]
fn the_end_of_a_stream_is_neither_nothing_nor_an_error() {
    no_leak(|| {
        for (name, transport, _) in TRANSPORTS {
            let ((a, b), mut data, mut control) = (nonblocking(transport()), [0; 8], ControlBuf::<()>::new());
            would_block(b.recv_msg(&mut data, &mut control));
            assert_eq!(MsgHdr::new().send_all(&a).unwrap(), 0);
            would_block(b.recv_msg(&mut data, &mut control));
            MsgHdr::new().data(b"last").send_all(&a).unwrap();
            drop(a);
            for (text, eof) in [(&b"last"[..], false), (b"", true), (b"", true)] {
                wait(&[(&b, PollFlags::POLLIN)]);
                let message = b.recv_msg(&mut data, &mut control).unwrap();
                assert_eq!((message.data(), message.is_eof()), (text, eof), "{name}");
                assert!(message.require_complete().is_ok() && message.control_bytes().is_empty(), "{name}");
            }
        }
    });
}

/// NB06
#[test]
fn a_short_send_says_how_much_went() {
    no_leak(|| {
        let ((a, b), data) = (nonblocking(unix()), pattern(16 << 20));
        let sent = MsgHdr::new().data(&data).send(&a).unwrap();
        assert!(sent > 0 && sent < data.len());
        drop(a);
        let mut copy = Vec::new();
        (&b).read_to_end(&mut copy).unwrap();
        assert!(copy == data[..sent]);
    });
}

/// FD16
#[test]
fn gathered_bytes_bring_one_message_with_one_descriptor() {
    no_leak(|| {
        let ((a, b), fds) = (unix(), numbered(1));
        let slices = [IoSlice::new(&[1, 2, 3, 4]), IoSlice::new(&[5, 6, 7, 8])];
        assert_eq!(MsgHdr::new().slices(&slices).control(ScmRights::new(&fds)).send(&a).unwrap(), 8);
        let (mut data, mut control) = ([0; 8], ControlBuf::<(), 128>::new());
        let mut message = b.recv_msg(&mut data, &mut control).unwrap();
        let lens: Vec<_> = message.cmsgs().map(|cmsg| cmsg.payload().len()).collect();
        assert_eq!((message.data(), lens), (&[1, 2, 3, 4, 5, 6, 7, 8][..], vec![4]));
        assert_eq!(contents(message.take_fds()), ["0"]);
    });
}
