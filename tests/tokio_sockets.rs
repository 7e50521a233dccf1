//! The sockets of tokio: every kind, both runtimes, one message and many, by reference and in tasks.

#![cfg(target_os = "linux")]

mod common;

use std::{
    future::poll_fn,
    io::{self, ErrorKind, IoSliceMut},
    mem::MaybeUninit,
    net::SocketAddr,
    os::fd::OwnedFd,
    pin::pin,
    sync::Arc,
    task::Poll,
};

use ancillary::{
    ControlBuf, EncodeError, MsgHdr, MsgHdrMut, RecvExact, SocketExt,
    batch::{RecvBatch, SendBatch},
    message::{HopLimit, IpTtl, PktInfo, ScmRights, ScmRightsSpace},
    set_option,
    tokio::AsyncSocket,
};
use bytes::BytesMut;
use common::{
    cause, has_v6,
    pairs::{V4, V6, pair},
    pipes::{contents, names, numbered},
    runtimes::{on_both, tcp, waits},
};
use nix::{libc, sys::socket::SockType};
use tokio::{
    io::unix::AsyncFd,
    net::{UdpSocket, UnixDatagram, UnixStream},
};

type Meta = (PktInfo, HopLimit);

/// A pair of sequential-packet sockets, for which tokio has no type.
fn seqpacket() -> (AsyncFd<OwnedFd>, AsyncFd<OwnedFd>) {
    let (a, b) = pair(SockType::SeqPacket);
    let watched = |socket: std::os::unix::net::UnixStream| {
        socket.set_nonblocking(true).unwrap();
        #[allow(deprecated, reason = "what replaces it is unsafe")]
        AsyncFd::new(OwnedFd::from(socket)).unwrap()
    };
    (watched(a), watched(b))
}

#[test]
fn udp_waits_for_a_question_and_answers_from_the_address_it_was_asked_on() {
    let v6 = has_v6("udp_waits_for_a_question_and_answers_from_the_address_it_was_asked_on");
    on_both(move || async move {
        for host in [V4, V6].into_iter().filter(|host| v6 || *host == V4) {
            let (server, client) = (UdpSocket::bind(host).await.unwrap(), UdpSocket::bind(host).await.unwrap());
            server.enable::<Meta>().unwrap();
            let to = server.local_addr().unwrap();
            let (mut data, mut control) = ([0; 64], ControlBuf::<Meta>::new());
            let mut received = pin!(server.recv_msg_async(&mut data, &mut control));
            assert!(waits(received.as_mut()));
            let mut question = MsgHdr::new();
            question.to(to).data(b"who are ").data(b"you?").control(HopLimit(9));
            assert_eq!(question.send_async(&client).await.unwrap(), 12);
            let message = received.await.unwrap();
            let (info, hops) = message.extract();
            assert_eq!((message.data(), hops), (&b"who are you?"[..], Some(HopLimit(9))));
            assert_eq!(message.peer().unwrap().as_inet(), Some(client.local_addr().unwrap()));
            let mut answer = MsgHdr::new();
            answer.to(message.peer()).data(message.data()).control(info.and_then(|info| info.reply()));
            assert_eq!(answer.send_async(&server).await.unwrap(), 12);
            let (len, from) = client.recv_from(&mut [0; 64]).await.unwrap();
            assert_eq!((len, from), (12, to));
        }
    });
}

/// Descriptors there, by the short forms, and back, by the long ones.
async fn exchange_fds(a: impl AsyncSocket, b: impl AsyncSocket) {
    let (mut data, fds) = ([0; 64], numbered(2));
    let mut received = pin!(b.recv_fds_async::<2>(&mut data));
    assert!(waits(received.as_mut()));
    assert_eq!(a.send_fds_async(b"two", &fds).await.unwrap(), 3);
    let message = received.await.unwrap();
    assert_eq!((message.len(), contents(message.exact().unwrap())), (3, names(0..2)));

    let (mut data, mut control, fds) = ([0; 64], ControlBuf::<ScmRightsSpace<8>>::new(), numbered(3));
    let mut received = pin!(a.recv_msg_async(&mut data, &mut control));
    assert!(waits(received.as_mut()));
    MsgHdr::new().data(b"and three").control(ScmRights::new(&fds)).send_async(&b).await.unwrap();
    let mut message = received.await.unwrap();
    assert_eq!((message.data(), contents(message.take_fds())), (&b"and three"[..], names(0..3)));
}

#[test]
fn unix_sockets_and_any_async_fd_carry_descriptors() {
    on_both(|| async {
        let (a, b) = UnixStream::pair().unwrap();
        exchange_fds(&a, &b).await;
        let (a, b) = UnixDatagram::pair().unwrap();
        exchange_fds(Arc::new(a), b).await;
        let (a, b) = seqpacket();
        exchange_fds(a, &b).await;
    });
}

#[test]
fn tcp_gathers_and_scatters_and_says_the_end() {
    on_both(|| async {
        let (a, b) = tcp().await;
        let (mut head, mut tail, mut control) = ([0; 4], [MaybeUninit::uninit(); 64], ControlBuf::<()>::new());
        let mut room = MsgHdrMut::new();
        room.data(&mut head).uninit(&mut tail);
        {
            let mut received = pin!(room.recv_async(&b, &mut control));
            assert!(waits(received.as_mut()));
            MsgHdr::new().data(b"two ").data(b"pieces").send_async(&a).await.unwrap();
            assert_eq!(received.await.unwrap().len(), 10);
        }
        assert_eq!(room.filled().collect::<Vec<_>>(), [&b"two "[..], b"pieces"]);
        drop(a);
        assert!(b.recv_msg_async(&mut [0; 9], &mut control).await.unwrap().is_eof());
    });
}

#[test]
fn every_kind_of_room_is_filled_after_a_wait() {
    on_both(|| async {
        let (a, b) = UnixDatagram::pair().unwrap();
        let mut control = ControlBuf::<ScmRightsSpace<8>>::new();
        for number in 0..3 {
            let (text, fds) = (number.to_string(), numbered(1));
            let mut uninit = [MaybeUninit::uninit(); 32];
            let mut received = pin!(b.recv_msg_uninit_async(&mut uninit, &mut control));
            assert!(waits(received.as_mut()) && waits(received.as_mut()));
            a.send_fds_async(text.as_bytes(), &fds).await.unwrap();
            let mut message = received.await.unwrap();
            assert_eq!((message.data(), message.take_fds().count()), (text.as_bytes(), 1));
        }
        let mut buffer = BytesMut::with_capacity(64);
        for number in 0..3 {
            let text = number.to_string();
            let mut received = pin!(b.recv_msg_buf_async(&mut buffer, &mut control));
            assert!(waits(received.as_mut()));
            a.send(text.as_bytes()).await.unwrap();
            assert_eq!(received.await.unwrap().len(), 1);
        }
        assert_eq!(&buffer[..], b"012");
        // Longer than the room: that is told as by a receive that does not wait.
        a.send(b"too long").await.unwrap();
        let mut short = [MaybeUninit::uninit(); 3];
        let message = b.recv_msg_uninit_async(&mut short, &mut control).await.unwrap();
        assert_eq!((message.data(), message.require_complete().is_err()), (&b"too"[..], true));
    });
}

#[test]
fn the_polled_forms_wait_and_go_on() {
    on_both(|| async {
        let (a, b) = UnixStream::pair().unwrap();
        let sends = tokio::spawn(async move {
            let data = vec![7; 1 << 20];
            let mut message = MsgHdr::new();
            message.data(&data);
            assert_eq!(poll_fn(|cx| message.poll_send_all(cx, &a)).await.unwrap(), 1 << 20);
            let datagram = MsgHdr::new();
            assert_eq!(poll_fn(|cx| datagram.poll_send(cx, &a)).await.unwrap(), 0);
            assert_eq!(poll_fn(|cx| MsgHdr::new().data(b"end").poll_send(cx, &a)).await.unwrap(), 3);
            let mut room = SendBatch::new(2);
            let mut batch = room.begin();
            batch.message().data(b"of all").queue().unwrap();
            assert_eq!(poll_fn(|cx| batch.poll_send(cx, &a)).await.unwrap(), 1);
            assert_eq!(poll_fn(|cx| batch.poll_send(cx, &a)).await.unwrap(), 0);
        });
        let (mut data, mut control, mut exact) = (vec![0; 1 << 20], ControlBuf::<()>::new(), RecvExact::new());
        let len = poll_fn(|cx| exact.poll_recv(cx, &b, &mut data, &mut control).map_ok(|m| m.len())).await.unwrap();
        assert!(len == 1 << 20 && data.iter().all(|byte| *byte == 7));
        let mut text = BytesMut::with_capacity(64);
        while text.len() < 5 {
            // Three of them one by one.
            let mut room = [0; 1];
            poll_fn(|cx| b.poll_recv_msg(cx, &mut room, &mut control).map_ok(|m| m.len())).await.unwrap();
            text.extend_from_slice(&room);
            let mut room = [0; 1];
            let len = poll_fn(|cx| {
                let mut header = MsgHdrMut::new();
                header.data(&mut room).poll_recv(cx, &b, &mut control).map_ok(|m| m.len())
            });
            assert_eq!(len.await.unwrap(), 1);
            text.extend_from_slice(&room);
        }
        let mut batch = RecvBatch::<()>::new(4, 2);
        let first = poll_fn(|cx| batch.poll_recv(cx, &b).map_ok(|mut all| all.next().unwrap().data().to_vec())).await;
        text.extend_from_slice(&first.unwrap());
        text.extend(batch.received().flat_map(|message| message.data().to_vec()));
        sends.await.unwrap();
        let mut rest = BytesMut::with_capacity(64);
        while text.len() + rest.len() < 9 {
            poll_fn(|cx| b.poll_recv_msg_buf(cx, &mut rest, &mut control).map_ok(|m| m.len())).await.unwrap();
        }
        text.extend_from_slice(&rest);
        assert_eq!(&text[..], b"endof all");
        assert!(poll_fn(|cx| b.poll_recv_msg(cx, &mut [0; 9], &mut control).map_ok(|m| m.is_eof())).await.unwrap());
    });
}

#[test]
fn the_polled_forms_of_many_messages_and_of_descriptors_wait_and_go_on() {
    on_both(|| async {
        let (a, b) = UnixDatagram::pair().unwrap();
        let (filled, mut room) = (fill_up(&a), SendBatch::new(3));
        let mut batch = room.begin();
        for text in [b"one", b"two", b"six"] {
            batch.message().data(text).queue().unwrap();
        }
        {
            let mut sends = pin!(poll_fn(|cx| batch.poll_send_all(cx, &a)));
            assert!(waits(sends.as_mut()));
            for _ in 0..filled {
                assert_eq!(b.recv(&mut [0; 9]).await.unwrap(), 6);
            }
            assert_eq!(sends.await.unwrap(), 3);
        }
        assert_eq!(poll_fn(|cx| batch.poll_send_all(cx, &a)).await.unwrap(), 3, "none twice");
        let (mut batch, mut texts) = (RecvBatch::<()>::new(2, 0), Vec::new());
        while texts.len() < 3 {
            let mut rooms = [[0; 3]; 2];
            let mut slices = rooms.each_mut().map(|room| IoSliceMut::new(room));
            let all = poll_fn(|cx| batch.poll_recv_into(cx, &b, &mut slices, 1).map_ok(|all| all.len()));
            let count = all.await.unwrap();
            texts.extend(rooms.into_iter().take(count));
        }
        assert_eq!(texts, [*b"one", *b"two", *b"six"]);
        let nothing = poll_fn(|cx| batch.poll_recv_into(cx, &b, &mut [], 1).map_ok(drop)).await;
        assert_eq!(nothing.unwrap_err().kind(), ErrorKind::InvalidInput);

        let (mut data, mut control) = ([MaybeUninit::uninit(); 9], ControlBuf::<ScmRightsSpace<3>>::new());
        {
            let mut waiting = pin!(poll_fn(|cx| {
                let message = b.poll_recv_msg_uninit(cx, &mut data, &mut control);
                message.map_ok(|mut message| (message.data().to_vec(), contents(message.take_fds())))
            }));
            assert!(waits(waiting.as_mut()));
            let fds = numbered(3);
            assert_eq!(poll_fn(|cx| a.poll_send_fds(cx, b"three", &fds)).await.unwrap(), 5);
            assert_eq!(waiting.await.unwrap(), (b"three".to_vec(), names(0..3)));
        }
        let (fds, mut data) = (numbered(2), [0; 9]);
        let mut waiting = pin!(poll_fn(|cx| b.poll_recv_fds::<2>(cx, &mut data)));
        assert!(waits(waiting.as_mut()));
        poll_fn(|cx| a.poll_send_fds(cx, b"two", &fds)).await.unwrap();
        assert_eq!(contents(waiting.await.unwrap().exact().unwrap()), names(0..2));
    });
}

/// Makes the socket's buffers small, and fills them.
fn fill_up(socket: &impl AsyncSocket) -> usize {
    set_option(socket, libc::SOL_SOCKET, libc::SO_SNDBUF, 1).unwrap();
    (0..100_000).find(|_| MsgHdr::new().data(b"filler").send(socket).is_err()).unwrap()
}

#[test]
fn a_full_socket_is_waited_for() {
    on_both(|| async {
        let (a, b) = UnixDatagram::pair().unwrap();
        let (filled, mut room) = (fill_up(&a), SendBatch::new(3));
        assert!(waits(pin!(MsgHdr::new().data(b"dropped").send_async(&a))));
        let mut batch = room.begin();
        for text in [b"one", b"two", b"six"] {
            batch.message().data(text).queue().unwrap();
        }
        {
            let mut sent = pin!(batch.send_all_async(&a));
            assert!(waits(sent.as_mut()));
            for _ in 0..filled {
                assert_eq!(b.recv(&mut [0; 9]).await.unwrap(), 6);
            }
            assert_eq!(sent.await.unwrap(), 3);
        }
        let (mut batch, mut texts) = (RecvBatch::<()>::new(2, 9), Vec::new());
        while texts.len() < 3 {
            texts.extend(batch.recv_async(&b).await.unwrap().map(|message| message.data().to_vec()));
        }
        assert_eq!(texts, [b"one", b"two", b"six"]);
    });
}

#[test]
fn batches_go_and_come() {
    on_both(|| async {
        let (a, b) = (UdpSocket::bind(V4).await.unwrap(), UdpSocket::bind(V4).await.unwrap());
        b.enable::<Meta>().unwrap();
        let (to, mut room, mut batch) = (b.local_addr().unwrap(), SendBatch::new(16), RecvBatch::<Meta>::new(16, 64));
        let own = |addr: Option<SocketAddr>| addr == Some(a.local_addr().unwrap());
        for round in 1..4 {
            {
                let mut received = pin!(batch.recv_async(&b));
                assert!(waits(received.as_mut()));
            }
            let bytes: Vec<_> = (0..10).map(|number| [round, number]).collect();
            let mut out = room.begin();
            for data in &bytes {
                out.message().to(to).data(data).control(IpTtl(data[1] + 1)).queue().unwrap();
            }
            assert_eq!(out.send_async(&a).await.unwrap(), 10);
            let mut numbers = 0..10;
            while !numbers.is_empty() {
                for (message, number) in batch.recv_async(&b).await.unwrap().zip(&mut numbers) {
                    assert_eq!(
                        (message.data(), message.get::<HopLimit>()),
                        (&[round, number][..], Some(HopLimit(number + 1)))
                    );
                    assert!(own(message.peer().and_then(|peer| peer.as_inet())));
                }
            }
        }
        // Into buffers of the caller's.
        let mut buffers = [[0; 4]; 3];
        a.send_to(b"mine", to).await.unwrap();
        {
            let [x, y, z] = &mut buffers;
            let mut slices = [IoSliceMut::new(x), IoSliceMut::new(y), IoSliceMut::new(z)];
            assert_eq!(batch.recv_into_async(&b, &mut slices, 1).await.unwrap().next().unwrap().len(), 4);
        }
        assert_eq!(&buffers[0], b"mine");
    });
}

#[test]
fn what_cannot_succeed_does_not_wait() {
    on_both(|| async {
        let (a, _b) = UnixDatagram::pair().unwrap();
        fill_up(&a);
        let refused = |error: io::Error| {
            assert!(cause::<EncodeError>(&error).is_some(), "{error}");
            assert_ne!(error.kind(), ErrorKind::WouldBlock);
        };
        let mut message = MsgHdr::new();
        message.data(b"x").control(IpTtl(0));
        refused(message.send_async(&a).await.unwrap_err());
        refused(poll_fn(|cx| message.poll_send(cx, &a)).await.unwrap_err());
        refused(message.send_all_async(&a).await.unwrap_err());
        refused(poll_fn(|cx| message.poll_send_all(cx, &a)).await.unwrap_err());
        assert_eq!(SendBatch::new(1).begin().send_all_async(&a).await.unwrap(), 0);

        let mut control = ControlBuf::<()>::new();
        refused(RecvBatch::<()>::new(0, 9).recv_async(&a).await.map(drop).unwrap_err());
        refused(RecvBatch::<()>::new(1, 9).recv_into_async(&a, &mut [], 0).await.map(drop).unwrap_err());
        assert_eq!(RecvExact::new().recv_async(&a, &mut [], &mut control).await.unwrap().len(), 0);
        let mut bytes = [[0; 1]; 65];
        let mut header = MsgHdrMut::new();
        for byte in &mut bytes {
            header.data(byte);
        }
        refused(header.recv_async(&a, &mut control).await.map(drop).unwrap_err());
        let polled = poll_fn(|cx| Poll::Ready(header.poll_recv(cx, &a, &mut control).map_ok(drop)));
        let Poll::Ready(Err(error)) = polled.await else { panic!("it waits") };
        refused(error);
    });
}

/// Several tasks wait on one socket, and each message wakes one that gets it.
#[test]
fn many_tasks_receive_from_one_socket() {
    const TASKS: usize = 8;
    const EACH: usize = 50;
    on_both(|| async {
        let (a, b) = UnixDatagram::pair().unwrap();
        let b = Arc::new(b);
        let tasks: Vec<_> = (0..TASKS)
            .map(|_| {
                let b = b.clone();
                tokio::spawn(async move {
                    let (mut data, mut control, mut numbers) = ([0; 8], ControlBuf::<()>::new(), Vec::new());
                    for _ in 0..EACH {
                        let message = b.recv_msg_async(&mut data, &mut control).await.unwrap();
                        numbers.push(u64::from_ne_bytes(message.data().try_into().unwrap()));
                    }
                    numbers
                })
            })
            .collect();
        for number in 0..(TASKS * EACH) as u64 {
            MsgHdr::new().data(&number.to_ne_bytes()).send_async(&a).await.unwrap();
        }
        let mut all = Vec::new();
        for task in tasks {
            all.extend(task.await.unwrap());
        }
        all.sort();
        assert!(all.into_iter().eq(0..(TASKS * EACH) as u64));
    });
}
