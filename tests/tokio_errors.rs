//! The error queue awaited: ICMP errors, timestamps of what was sent, and what comes of them for others that wait.

#![cfg(target_os = "linux")]

mod common;

use std::{
    future::poll_fn,
    io::{self, ErrorKind},
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    task::Poll,
};

use ancillary::{
    ControlBuf, ControlVec, EncodeError, FamilyError, MsgHdr, SocketExt,
    message::{ExtendedError, Meaning, ScmTimestamping, SoTimestamping, TimestampingFlags as Flags},
    tokio::{AsyncSocket, ErrorWait},
};
use common::{
    cause, has_v6,
    pairs::closed,
    runtimes::{counted, on_both, others_work, poll_once, tcp, waits},
};
use nix::libc;
use tokio::{
    io::Interest,
    net::{UdpSocket, UnixDatagram},
};

type Control = ControlBuf<(ExtendedError, ScmTimestamping)>;

async fn bound(ip: impl Into<IpAddr>) -> UdpSocket {
    let socket = UdpSocket::bind((ip.into(), 0)).await.unwrap();
    socket.enable::<ExtendedError>().unwrap();
    socket
}

/// EQ01, EQ02
#[test]
fn an_error_is_waited_for_and_comes_with_its_datagram() {
    let v6 = has_v6("an_error_is_waited_for_and_comes_with_its_datagram");
    on_both(move || async move {
        let ips = [IpAddr::from(Ipv4Addr::LOCALHOST), Ipv6Addr::LOCALHOST.into()];
        for ip in ips.into_iter().filter(|ip| v6 || ip.is_ipv4()) {
            let (socket, (nobody, _closed)) = (bound(ip).await, closed(ip));
            let (mut data, mut control) = ([0; 64], Control::new());
            let mut entry = pin!(socket.recv_error_async(&mut data, &mut control));
            assert!(waits(entry.as_mut()));
            MsgHdr::new().to(nobody).data(b"anyone?").send_async(&socket).await.unwrap();
            let entry = entry.await.unwrap();
            assert_eq!((entry.error().meaning(), entry.data()), (Meaning::PortUnreachable, &b"anyone?"[..]));
            assert_eq!(entry.peer().unwrap().as_inet(), Some(nobody));
        }
    });
}

#[test]
fn many_entries_of_one_event_are_all_read() {
    on_both(|| async {
        let (socket, (nobody, _closed)) = (bound(Ipv4Addr::LOCALHOST).await, closed(Ipv4Addr::LOCALHOST.into()));
        let mut sent = 0;
        while sent < 7 {
            // Each second one fails with the error of the one before, and is not sent.
            sent += u8::from(MsgHdr::new().to(nobody).data(&[sent]).send_async(&socket).await.is_ok());
        }
        let (mut data, mut control) = ([0; 9], Control::new());
        for expected in 0..sent {
            let entry = socket.recv_error_async(&mut data, &mut control).await.unwrap();
            assert_eq!(entry.data(), [expected]);
        }
        assert!(waits(pin!(socket.recv_error_async(&mut data, &mut control))));
    });
}

/// An entry that somebody else has read leaves the event behind.
#[test]
fn waiting_for_errors_does_not_spin() {
    on_both(|| async {
        let (socket, (nobody, _closed)) = (Arc::new(bound(Ipv4Addr::LOCALHOST).await), closed([127, 0, 0, 1].into()));
        let (polls, waiting) = (Arc::<AtomicUsize>::default(), socket.clone());
        let waits = tokio::spawn(counted(polls.clone(), async move {
            let (mut data, mut control) = ([0; 9], Control::new());
            waiting.recv_error_async(&mut data, &mut control).await.map(|entry| entry.data().to_vec())
        }));
        let (mut data, mut control) = ([0; 9], Control::new());
        others_work().await;
        for _ in 0..5 {
            socket.send_to(b"taken", nobody).await.unwrap();
            // Read before the reactor sees the event, most often; whoever is first has it.
            match socket.recv_error(&mut data, &mut control) {
                Ok(entry) => assert_eq!(entry.data(), b"taken"),
                Err(error) => assert_eq!(error.kind(), ErrorKind::WouldBlock),
            }
            others_work().await;
        }
        let polls = polls.load(Ordering::Relaxed);
        assert!(polls <= 12, "{polls} polls for 5 events");
        let _ = socket.take_error();
        let _ = socket.send_to(b"taken", nobody).await;
        assert_eq!(waits.await.unwrap().unwrap(), b"taken");
    });
}

#[test]
fn errors_are_waited_for_by_hand_and_no_entry_is_missed() {
    on_both(|| async {
        let socket = Arc::new(bound(Ipv4Addr::LOCALHOST).await);
        let (nobody, _closed) = closed(Ipv4Addr::LOCALHOST.into());
        let mut errors = ErrorWait::new(Arc::clone(&socket));
        let (mut data, mut control) = ([0; 9], Control::new());
        for round in 0..50 {
            let mut waiting = pin!(poll_fn(|cx| {
                let entry = socket.poll_recv_error(cx, &mut errors, &mut data, &mut control);
                entry.map_ok(|entry| (entry.error().meaning(), entry.data().to_vec()))
            }));
            // By turns there is an entry before it is asked, two for one event, and none that it does not read itself.
            if round % 3 != 0 {
                assert!(waits(waiting.as_mut()));
            }
            socket.send_to(&[round], nobody).await.unwrap();
            let _ = socket.take_error(); // which the next send would fail with
            if round % 3 == 1 {
                socket.send_to(&[100], nobody).await.unwrap();
                let _ = socket.take_error();
            }
            assert_eq!(waiting.as_mut().await.unwrap(), (Meaning::PortUnreachable, vec![round]));
            if round % 3 == 1 {
                assert_eq!(waiting.await.unwrap().1, [100]);
            }
        }
        let polls = Arc::<AtomicUsize>::default();
        let ours = socket.clone();
        let waits = tokio::spawn(counted(polls.clone(), async move {
            let read = poll_fn(|cx| {
                let entry = ours.poll_recv_error(cx, &mut errors, &mut data, &mut control);
                entry.map_ok(|entry| entry.data().to_vec())
            });
            read.await.map(|data| (data, format!("{errors:?}")))
        }));
        others_work().await;
        assert!(polls.load(Ordering::Relaxed) <= 3 && !waits.is_finished(), "{polls:?}");
        socket.send_to(b"last", nobody).await.unwrap();
        assert_eq!(waits.await.unwrap().unwrap(), (b"last".to_vec(), "ErrorWait { unread: true }".into()));
    });
}

/// What waits says so, and says it again.
#[test]
fn waiting_by_hand_ends_with_the_runtime() {
    for runtime in common::runtimes::runtimes() {
        let socket = Arc::new(runtime.block_on(bound(Ipv4Addr::LOCALHOST)));
        let mut errors = ErrorWait::new(Arc::clone(&socket));
        let (mut data, mut control) = ([0; 9], Control::new());
        let mut poll = || {
            let mut read = poll_fn(|cx| socket.poll_recv_error(cx, &mut errors, &mut data, &mut control).map_ok(drop));
            poll_once(pin!(&mut read))
        };
        assert!(poll().is_pending());
        drop(runtime);
        for _ in 0..2 {
            assert!(matches!(poll(), Poll::Ready(Err(error)) if error.kind() == ErrorKind::Other));
        }
    }
}

#[test]
fn a_reset_connection_leaves_no_entry_and_wakes_who_reads() {
    on_both(|| async {
        let (client, server) = tcp().await;
        let (polls, client) = (Arc::<AtomicUsize>::default(), Arc::new(client));
        let waiting = client.clone();
        let waits = tokio::spawn(counted(polls.clone(), async move {
            let _ = waiting.recv_error_async(&mut [0; 9], &mut Control::new()).await;
        }));
        others_work().await;
        socket2::SockRef::from(&server).set_linger(Some(std::time::Duration::ZERO)).unwrap();
        drop(server);
        let error = client.recv_msg_async(&mut [0; 9], &mut Control::new()).await.unwrap_err();
        assert_eq!(error.raw_os_error(), Some(libc::ECONNRESET));
        others_work().await;
        assert!(!waits.is_finished());
        assert!(polls.load(Ordering::Relaxed) <= 4, "{polls:?}");
        waits.abort();
    });
}

#[test]
fn errors_and_messages_are_waited_for_side_by_side() {
    on_both(|| async {
        let (socket, (nobody, _closed)) = (bound(Ipv4Addr::LOCALHOST).await, closed(Ipv4Addr::LOCALHOST.into()));
        let own = socket.local_addr().unwrap();
        let (mut messages, mut errors) = (0, 0);
        for (to, expected) in [(own, (1, 0)), (nobody, (1, 1)), (own, (2, 1)), (nobody, (2, 2))] {
            let (mut data, mut control) = ([0; 9], Control::new());
            let (mut queued, mut room) = ([0; 9], Control::new());
            let mut message = pin!(socket.recv_msg_async(&mut data, &mut control));
            let mut error = pin!(socket.recv_error_async(&mut queued, &mut room));
            assert!(waits(message.as_mut()) && waits(error.as_mut()));
            socket.send_to(b"x", to).await.unwrap();
            poll_fn(|cx| {
                if let Poll::Ready(message) = message.as_mut().poll(cx) {
                    messages += message.map(|message| message.len()).unwrap();
                } else if let Poll::Ready(error) = error.as_mut().poll(cx) {
                    errors += error.map(|error| error.len()).unwrap();
                } else {
                    return Poll::Pending;
                }
                Poll::Ready(())
            })
            .await;
            let _ = socket.take_error(); // which the next send would fail with
            assert_eq!((messages, errors), expected);
        }
    });
}

#[test]
fn the_stamp_of_a_datagram_is_waited_for() {
    on_both(|| async {
        let (socket, peer) = (bound(Ipv4Addr::LOCALHOST).await, bound(Ipv4Addr::LOCALHOST).await);
        SoTimestamping(Flags::SOFTWARE | Flags::TX_SOFTWARE | Flags::OPT_TSONLY | Flags::OPT_ID).set(&socket).unwrap();
        for number in 0..3 {
            MsgHdr::new().to(peer.local_addr().unwrap()).data(b"x").send_async(&socket).await.unwrap();
            let (mut data, mut control) = ([0; 9], Control::new());
            let entry = socket.recv_error_async(&mut data, &mut control).await.unwrap();
            let (_, stamps) = entry.extract();
            assert_eq!((entry.error().data, stamps.is_some()), (number, true));
        }
    });
}

/// tokio takes an entry for the end of writing: from then on the socket seems writable.
#[test]
fn a_full_socket_that_had_an_entry_lets_its_reader_run() {
    const LEN: usize = 8 << 20;
    for polled in [false, true] {
        on_both(move || async move {
            let (client, server) = tcp().await;
            SoTimestamping(Flags::SOFTWARE | Flags::TX_SOFTWARE | Flags::OPT_TSONLY).set(&client).unwrap();
            MsgHdr::new().data(b"stamped").send_async(&client).await.unwrap();
            client.recv_error_async(&mut [0; 9], &mut Control::new()).await.unwrap();
            SoTimestamping(Flags::empty()).set(&client).unwrap();
            let full = Arc::new(AtomicBool::new(false));
            let reader = full.clone();
            let reads = tokio::spawn(async move {
                let mut data = vec![0; 1 << 20];
                for _ in 0..1000 {
                    if reader.load(Ordering::Relaxed) {
                        break;
                    }
                    tokio::task::yield_now().await;
                }
                let (mut len, mut control) = (0, Control::new());
                while len < LEN + 7 {
                    len += server.recv_msg_async(&mut data, &mut control).await.unwrap().len();
                }
                len
            });
            let data = vec![7; LEN];
            let mut message = MsgHdr::new();
            message.data(&data);
            let early = client.try_io(Interest::WRITABLE, || message.send_all(&client));
            assert_eq!(early.unwrap_err().kind(), ErrorKind::WouldBlock);
            full.store(true, Ordering::Relaxed);
            let sent = match polled {
                false => message.send_all_async(&client).await,
                true => poll_fn(|cx| message.poll_send_all(cx, &client)).await,
            };
            assert_eq!((sent.unwrap(), reads.await.unwrap()), (LEN, LEN + 7));
        });
    }
}

/// Another descriptor of it is registered, which has had no entry.
#[test]
fn a_full_socket_that_had_an_entry_is_not_asked_all_the_time() {
    on_both(|| async {
        let (client, server) = tcp().await;
        SoTimestamping(Flags::SOFTWARE | Flags::TX_SOFTWARE | Flags::OPT_TSONLY).set(&client).unwrap();
        let mut len = MsgHdr::new().data(b"stamped").send_async(&client).await.unwrap();
        client.recv_error_async(&mut [0; 9], &mut Control::new()).await.unwrap();
        SoTimestamping(Flags::empty()).set(&client).unwrap();
        let data = vec![7; 1 << 20];
        let mut message = MsgHdr::new();
        message.data(&data);
        while let Ok(sent) = message.send(&client) {
            len += sent;
        }
        let polls = Arc::<AtomicUsize>::default();
        let sends = tokio::spawn(counted(polls.clone(), async move {
            MsgHdr::new().data(b"the last").send_async(&client).await.map(|sent| (sent, client))
        }));
        others_work().await;
        assert!(!sends.is_finished() && polls.load(Ordering::Relaxed) <= 8, "{polls:?}");
        let (mut received, mut room, mut control) = (0, vec![0; 1 << 20], Control::new());
        while received < len + 8 {
            received += server.recv_msg_async(&mut room, &mut control).await.unwrap().len();
        }
        assert_eq!(sends.await.unwrap().unwrap().0, 8);
    });
}

#[test]
fn who_has_no_error_queue_does_not_wait_for_it() {
    on_both(|| async {
        let (socket, _other) = UnixDatagram::pair().unwrap();
        let mut room = [0; 9];
        let error = |result: io::Result<()>| result.unwrap_err();
        let family = error(socket.recv_error_async(&mut room, &mut Control::new()).await.map(drop));
        assert!(cause::<FamilyError>(&family).is_some(), "{family}");
        // Without room for an entry an event is needed to say so; none is read.
        let (socket, (nobody, _closed)) = (bound(Ipv4Addr::LOCALHOST).await, closed(Ipv4Addr::LOCALHOST.into()));
        socket.send_to(b"x", nobody).await.unwrap();
        let mut small = ControlVec::<()>::with_capacity(8);
        let small = error(socket.recv_error_async(&mut room, &mut small).await.map(drop));
        assert!(matches!(cause(&small), Some(EncodeError::ControlSpace { available: 8, .. })), "{small}");
        assert_eq!(socket.recv_error_async(&mut room, &mut Control::new()).await.unwrap().data(), b"x");
    });
}
