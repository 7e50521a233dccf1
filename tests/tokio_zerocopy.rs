//! Sends without a copy, awaited: what arrives is what was given, and every buffer comes back once, whoever gives up.

#![cfg(target_os = "linux")]

mod common;

use std::{
    future::poll_fn,
    io::{self, ErrorKind},
    net::Ipv4Addr,
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Poll, ready},
};

use ancillary::{
    Completion, ControlBuf, EncodeError, MsgHdr, SocketExt, ZeroCopy,
    message::{ExtendedError, HopLimit, Meaning, UdpSegment},
    set_option,
    tokio::{AsyncSocket, ErrorWait},
};
use common::{
    again::{again, is_child, works},
    cause,
    pairs::{self, V4, closed},
    runtimes::{Impatient, counted, on_both, others_work, tcp, waits},
    skipped,
    starting::Start,
};
use nix::{
    libc,
    sys::resource::{Resource, getrlimit, setrlimit},
};
use tokio::{
    io::AsyncReadExt,
    net::{TcpStream, UdpSocket},
};

/// More than fits between [`narrow`] sockets, and a fraction of what an ordinary user may lock (`RLIMIT_MEMLOCK`).
const LONG: usize = 1_500_000;

/// A connection that takes little at a time.
async fn narrow() -> (TcpStream, TcpStream) {
    let (socket, peer) = tcp().await;
    for socket in [&socket, &peer] {
        set_option(socket, libc::SOL_SOCKET, libc::SO_SNDBUF, 1 << 16).unwrap();
        set_option(socket, libc::SOL_SOCKET, libc::SO_RCVBUF, 1 << 16).unwrap();
    }
    (socket, peer)
}

/// How often a task that has come to rest is polled while others work.
async fn polls_while_nothing_happens(polls: &AtomicUsize) -> usize {
    for _ in 0..5 {
        others_work().await;
    }
    polls.store(0, Ordering::Relaxed);
    others_work().await;
    polls.load(Ordering::Relaxed)
}

fn udp() -> (UdpSocket, UdpSocket) {
    let (peer, socket) = pairs::udp(V4);
    [socket, peer]
        .map(|socket| {
            socket.set_nonblocking(true).unwrap();
            UdpSocket::from_std(socket).unwrap()
        })
        .into()
}

fn pattern(seed: usize, len: usize) -> Arc<[u8]> {
    (0..len).map(|k| ((k / 7) ^ seed) as u8).collect()
}

/// The buffers that nobody but the caller has.
fn all_back(buffers: &[Arc<[u8]>]) -> bool {
    buffers.iter().all(|buffer| Arc::strong_count(buffer) == 1)
}

/// ZC01, ZC02
#[test]
fn every_buffer_comes_back_from_a_stream() {
    on_both(|| async {
        let (socket, mut peer) = narrow().await;
        let mut out = ZeroCopy::new(socket).unwrap();
        let reads = tokio::spawn(async move {
            let mut data = Vec::new();
            peer.read_to_end(&mut data).await.map(|_| data)
        });
        let buffers: Vec<_> = (0..20).map(|i| pattern(i, 1 + i * 20_000)).collect();
        let mut back = Vec::new();
        for buffer in &buffers {
            let mut place = Some(Arc::clone(buffer));
            let len = out.send_all_async(&mut place, |buffer, _| back.push(buffer)).await.unwrap();
            assert_eq!((len, place.is_none(), out.unsent()), (buffer.len(), true, 0));
        }
        while out.wait_async(|buffer, _| back.push(buffer)).await.unwrap() > 0 {}
        assert_eq!((out.pending(), back.len()), (0, 20));
        back.clear();
        assert!(all_back(&buffers));
        drop(out);
        assert!(reads.await.unwrap().unwrap() == buffers.concat());
    });
}

/// ZC01, ZC02
#[test]
fn every_buffer_comes_back_from_datagrams() {
    on_both(|| async {
        let (socket, peer) = udp();
        peer.enable::<HopLimit>().unwrap();
        let mut out = ZeroCopy::new(&socket).unwrap();
        assert_eq!(out.wait_async(|_, _| ()).await.unwrap(), 0, "none is pending");
        for i in 1..=30u8 {
            let mut place = Some(vec![i; 1000]);
            let header = |header: &mut MsgHdr<'_>| {
                header.control(HopLimit(i));
            };
            assert_eq!(out.send_with_async(&mut place, header).await.unwrap(), 1000);
            assert_eq!((place, out.send_async(&mut None).await.unwrap()), (None, 0));
            let (mut data, mut control) = ([0; 2000], ControlBuf::<HopLimit>::new());
            let message = peer.recv_msg_async(&mut data, &mut control).await.unwrap();
            assert_eq!((message.data(), message.extract()), (&[i; 1000][..], Some(HopLimit(i))));
        }
        let (mut count, mut copied) = (0, 0);
        while out.pending() > 0 {
            count += out.wait_async(|_, was| copied += u32::from(was)).await.unwrap();
        }
        assert_eq!((count, copied), (30, 30), "loopback copies");
    });
}

/// A sender that gives up again and again, in every call, while nobody reads and while somebody does.
#[test]
fn no_buffer_no_byte_and_no_completion_is_lost_or_doubled() {
    const COUNT: usize = 60;
    on_both(|| async {
        let (socket, mut peer) = narrow().await;
        let buffers: Vec<_> = (0..COUNT).map(|i| pattern(i, 1 + i % 7 * 30_000)).collect();
        let (expected, ours) = (buffers.concat(), buffers.clone());
        let mut theirs = Impatient::default();
        let given_up = Arc::clone(&theirs.given_up);
        let sends = tokio::spawn(async move {
            let mut out = ZeroCopy::new(socket).unwrap();
            let mut came = vec![0; COUNT];
            let place_of = |buffer: &Arc<[u8]>| buffers.iter().position(|ours| Arc::ptr_eq(ours, buffer)).unwrap();
            for (i, buffer) in buffers.iter().enumerate() {
                let mut place = Some(Arc::clone(buffer));
                for _ in 0..1_000_000 {
                    let was_there = place.is_some();
                    let done = match i % 3 {
                        0 => theirs.call(out.send_all_async(&mut place, |b, _| came[place_of(&b)] += 1)).await,
                        1 if was_there => theirs.call(out.send_async(&mut place)).await,
                        _ if out.unsent() > 0 => theirs.call(out.resume_async()).await,
                        _ if was_there => {
                            let sent = theirs.call(poll_fn(|cx| out.poll_send(cx, &mut place))).await;
                            match out.unsent() {
                                0 => sent,
                                _ => theirs.call(poll_fn(|cx| out.poll_resume(cx))).await,
                            }
                        }
                        _ => break,
                    };
                    match done {
                        Some(Ok(len)) => assert!(len <= buffer.len()),
                        Some(Err(error)) => {
                            assert_eq!(error.raw_os_error(), Some(libc::ENOBUFS), "{error}");
                            let wait = out.wait_async(|b, _| came[place_of(&b)] += 1);
                            theirs.call(wait).await.transpose().unwrap();
                        }
                        None => {}
                    }
                    assert!(place.is_none() || out.unsent() == 0, "it is in one place");
                    if place.is_none() && out.unsent() == 0 {
                        break;
                    }
                    theirs.call(out.wait_async(|b, _| came[place_of(&b)] += 1)).await.transpose().unwrap();
                }
                assert!(place.is_none() && out.unsent() == 0);
            }
            let mut left = 0..1_000_000;
            while out.pending() > 0 {
                assert!(left.next().is_some(), "{out:?}");
                theirs.call(out.wait_async(|b, _| came[place_of(&b)] += 1)).await.transpose().unwrap();
            }
            assert!(came.iter().all(|count| *count == 1), "{came:?}");
        });
        Impatient::let_give_up(&given_up).await;
        let mut data = vec![0; expected.len()];
        peer.read_exact(&mut data).await.unwrap();
        assert!(data == expected);
        sends.await.unwrap();
        assert!(all_back(&ours));
        assert_eq!(peer.read(&mut data).await.unwrap(), 0, "nothing twice");
    });
}

#[test]
fn waiting_for_room_or_for_completions_does_not_spin() {
    on_both(|| async {
        let (socket, mut peer) = narrow().await;
        let mut out = ZeroCopy::new(socket).unwrap();
        let polls = Arc::<AtomicUsize>::default();
        let sends = tokio::spawn(counted(polls.clone(), async move {
            let (mut place, mut back) = (Some(vec![7; LONG]), 0);
            let sent = out.send_all_async(&mut place, |_, _| back += 1).await.unwrap();
            while out.wait_async(|_, _| back += 1).await.unwrap() > 0 {}
            (sent, back, out.pending())
        }));
        // Until the window is full, with the beginning complete; then nothing happens any more.
        peer.read_exact(&mut vec![0; LONG / 3]).await.unwrap();
        let found = polls_while_nothing_happens(&polls).await;
        assert!(!sends.is_finished() && found <= 8, "{found} polls while nothing happened");
        peer.read_exact(&mut vec![0; LONG - LONG / 3]).await.unwrap();
        assert_eq!(sends.await.unwrap(), (LONG, 1, 0));
    });
}

/// The buffer is kept while its sends are made by hand, and completions are read beside them.
#[test]
fn waiting_for_room_by_hand_does_not_spin() {
    on_both(|| async {
        let (socket, mut peer) = narrow().await;
        let socket = Arc::new(socket);
        let (polls, mut errors) = (Arc::<AtomicUsize>::default(), ErrorWait::new(Arc::clone(&socket)));
        let sends = tokio::spawn(counted(polls.clone(), async move {
            let mut out = ZeroCopy::new(socket).unwrap();
            let (mut places, mut back) = (vec![Some(vec![7; 1000]), Some(vec![7; LONG])], 0);
            let all = poll_fn(|cx| {
                while let Some(place) = places.first_mut() {
                    match out.poll_wait(cx, &mut errors, |_, _| back += 1) {
                        Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                        Poll::Ready(Ok(_)) | Poll::Pending => {}
                    }
                    let sent = if out.unsent() > 0 { out.poll_resume(cx) } else { out.poll_send(cx, place) };
                    ready!(sent)?;
                    if place.is_none() && out.unsent() == 0 {
                        places.remove(0);
                    }
                }
                Poll::Ready(io::Result::Ok(()))
            });
            all.await.unwrap();
            while out.wait_async(|_, _| back += 1).await.unwrap() > 0 {}
            (back, out.pending())
        }));
        peer.read_exact(&mut vec![0; LONG / 3]).await.unwrap();
        let found = polls_while_nothing_happens(&polls).await;
        assert!(!sends.is_finished() && found <= 8, "{found} polls while nothing happened");
        peer.read_exact(&mut vec![0; 1000 + LONG - LONG / 3]).await.unwrap();
        assert_eq!(sends.await.unwrap(), (2, 0));
    });
}

#[test]
fn a_rest_that_nobody_sends_is_not_waited_for() {
    on_both(|| async {
        let (socket, peer) = narrow().await;
        let mut out = ZeroCopy::new(socket).unwrap();
        let mut place = Some(vec![7; LONG]);
        let first = out.send_async(&mut place).await.unwrap();
        assert!(first < LONG && place.is_none());
        assert_eq!(out.wait_async(|_, _| panic!("it is still needed")).await.unwrap(), 0);
        let mut other = Some(vec![1]);
        let refused = out.send_async(&mut other).await.unwrap_err();
        assert_eq!(cause(&refused), Some(EncodeError::Unfinished { unsent: LONG - first }));
        assert_eq!((other, out.pending()), (Some(vec![1]), 1));
        out.abandon(|_, _| panic!("the kernel has a part of it"));
        let mut back = 0;
        {
            let mut wait = pin!(out.wait_async(|_, _| back += 1));
            assert!(waits(wait.as_mut()));
            drop(peer); // with unread data: a reset, which ends everything
            assert_eq!(wait.await.unwrap(), 1);
        }
        assert_eq!((back, out.pending()), (1, 0));
    });
}

#[test]
fn a_connection_that_fails_gives_the_buffer_back() {
    on_both(|| async {
        let (socket, peer) = narrow().await;
        let mut out = ZeroCopy::new(socket).unwrap();
        let buffer = pattern(1, LONG);
        let (mut place, mut back) = (Some(Arc::clone(&buffer)), 0);
        let error = {
            let mut sends = pin!(out.send_all_async(&mut place, |_, _| back += 1));
            assert!(waits(sends.as_mut()));
            drop(peer);
            sends.await.unwrap_err()
        };
        assert!(matches!(error.kind(), ErrorKind::ConnectionReset | ErrorKind::BrokenPipe), "{error}");
        assert_eq!((place.is_none(), back), (true, 0));
        out.abandon(|_, _| back += 1);
        while out.wait_async(|_, _| back += 1).await.unwrap() > 0 {}
        assert_eq!((back, out.pending(), Arc::strong_count(&buffer)), (1, 0, 1));
        let mut next = Some(pattern(2, 9));
        assert!(out.send_async(&mut next).await.is_err());
        assert!(next.is_some(), "nothing of it went");
    });
}

/// The one that the kernel may have is not in its place.
#[test]
fn a_datagram_that_failed_is_in_its_place_unless_the_kernel_may_have_it() {
    on_both(|| async {
        let (socket, peer) = udp();
        let mut out = ZeroCopy::new(socket).unwrap();
        let mut place = Some(vec![7; 70_000]);
        let error = out.send_all_async(&mut place, |_, _| ()).await.unwrap_err();
        assert_eq!(error.raw_os_error(), Some(libc::EMSGSIZE));
        assert_eq!((place.take().map(|buffer| buffer.len()), out.pending()), (Some(70_000), 0));
        place = Some(vec![1; 1000]);
        let header = |header: &mut MsgHdr<'_>| {
            header.control(UdpSegment(1)); // more segments than a packet may have
        };
        let error = poll_fn(|cx| out.poll_send_with(cx, &mut place, header)).await.unwrap_err();
        assert_eq!((error.raw_os_error(), place.as_ref()), (Some(libc::EINVAL), None));
        assert!(out.is_copying());
        place = Some(vec![2; 10]);
        out.send_all_async(&mut place, |_, _| ()).await.unwrap();
        assert_eq!(peer.recv(&mut [0; 20]).await.unwrap(), 10);
        assert!(out.wait_async(|_, _| ()).await.unwrap() > 0, "copied, without an entry");
        assert_eq!(out.wait_async(|_, _| ()).await.unwrap(), 0);
    });
}

#[test]
fn errors_and_buffers_are_waited_for_together() {
    on_both(|| async {
        let (nobody, _closed) = closed(Ipv4Addr::LOCALHOST.into());
        let socket = UdpSocket::bind(V4).await.unwrap();
        socket.enable::<ExtendedError>().unwrap();
        let mut out = ZeroCopy::new(socket).unwrap();
        let to = |header: &mut MsgHdr<'_>| {
            header.to(nobody);
        };
        let (mut control, mut data) = (ControlBuf::<ExtendedError>::new(), [0; 200]);
        assert!(waits(pin!(out.drain_async(&mut data, &mut control, |event| panic!("{event:?}")))));
        out.send_with_async(&mut Some(vec![1; 100]), to).await.unwrap();
        let (mut released, mut errors) = (0, Vec::new());
        while released == 0 || errors.is_empty() {
            let event = |event: Completion<'_, Vec<u8>, ExtendedError>| match event {
                Completion::Released { buffer, .. } => released += buffer.len(),
                Completion::Error(entry) => errors.push((entry.error().meaning(), entry.len())),
                other => panic!("{other:?}"),
            };
            assert!(out.drain_async(&mut data, &mut control, event).await.unwrap() > 0);
        }
        assert_eq!((released, errors), (100, vec![(Meaning::PortUnreachable, 100)]));
    });
}

#[test]
fn buffers_are_waited_for_by_hand() {
    on_both(|| async {
        let (socket, mut peer) = narrow().await;
        let socket = Arc::new(socket);
        let mut errors = ErrorWait::new(Arc::clone(&socket));
        let mut out = ZeroCopy::new(socket).unwrap();
        let reads = tokio::spawn(async move { peer.read_exact(&mut vec![0; 500_000]).await.map(drop) });
        let mut back = 0;
        for i in 0..50 {
            let mut place = Some(vec![i; 10_000]);
            poll_fn(|cx| out.poll_send(cx, &mut place)).await.unwrap();
            while out.unsent() > 0 {
                poll_fn(|cx| out.poll_resume(cx)).await.unwrap();
            }
            if i % 10 == 9 {
                poll_fn(|cx| out.poll_wait(cx, &mut errors, |_, _| back += 1)).await.unwrap();
            }
        }
        while poll_fn(|cx| out.poll_wait(cx, &mut errors, |_, _| back += 1)).await.unwrap() > 0 {}
        assert_eq!((back, out.pending()), (50, 0));
        reads.await.unwrap().unwrap();
    });
}

/// As who may lock little memory, which root may not be asked for.
#[test]
fn who_can_pin_no_more_waits_for_completions() {
    const NAME: &str = "who_can_pin_no_more_waits_for_completions";
    const LOCKED: libc::rlim_t = 400 << 10;
    const LEN: usize = 30_000;
    let drops = ["--bounding-set=-ipc_lock", "--inh-caps=-ipc_lock", "true"];
    if !is_child() {
        let under = ["setpriv", drops[0], drops[1]];
        let root = nix::unistd::geteuid().is_root();
        if root && !works(NAME, "setpriv", &drops) {
            return;
        }
        let output = common::alone(|| again(NAME, if root { &under } else { &[] }).finish()).unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        return skipped_in(&output.stderr);
    }
    let (_, hard) = getrlimit(Resource::RLIMIT_MEMLOCK).unwrap();
    setrlimit(Resource::RLIMIT_MEMLOCK, LOCKED.min(hard), hard).unwrap();
    on_both(|| async {
        let (socket, mut peer) = tcp().await;
        set_option(&peer, libc::SOL_SOCKET, libc::SO_RCVBUF, 1 << 16).unwrap();
        set_option(&socket, libc::SOL_SOCKET, libc::SO_SNDBUF, 8 << 20).unwrap();
        let mut out = ZeroCopy::new(socket).unwrap();
        let mut len = 0;
        let failed = (0..1000).find_map(|_| match out.send(vec![7; LEN]) {
            Ok(sent) => {
                len += sent;
                None
            }
            Err(failed) => Some(failed),
        });
        let Some(failed) = failed.filter(|failed| failed.is_full() && out.pending() > 0) else {
            return skipped(format_args!("SKIPPED {NAME}: as much can be pinned as is sent: {out:?}"));
        };
        let mut place = failed.buffer;
        let mut back = 0;
        let refused = out.send_async(&mut place).await.unwrap_err();
        assert_eq!((refused.raw_os_error(), place.is_some()), (Some(libc::ENOBUFS), true));
        {
            let mut sends = pin!(out.send_all_async(&mut place, |_, _| back += 1));
            assert!(waits(sends.as_mut()));
            let reads = tokio::spawn(async move {
                let mut data = vec![0; len + LEN];
                peer.read_exact(&mut data).await.map(|_| data)
            });
            let (sent, data) = (sends.await, reads.await.unwrap());
            assert_eq!(sent.unwrap(), LEN);
            assert!(data.unwrap().iter().all(|byte| *byte == 7));
        }
        assert!(place.is_none() && back > 0);
        while out.wait_async(|_, _| back += 1).await.unwrap() > 0 {}
        assert_eq!((out.pending(), back * LEN), (0, len + LEN));
    });
}

/// What a test said of itself in another process.
fn skipped_in(said: &[u8]) {
    String::from_utf8_lossy(said).lines().filter(|line| line.starts_with("SKIPPED")).for_each(skipped);
}

/// Sent by a runtime of its own that is gone, it still counts.
#[test]
fn a_runtime_that_is_dropped_takes_nothing_with_it() {
    for runtime in common::runtimes::runtimes() {
        let (peer, socket) = pairs::udp(V4);
        socket.set_nonblocking(true).unwrap();
        let guard = runtime.enter();
        let mut out = ZeroCopy::new(UdpSocket::from_std(socket).unwrap()).unwrap();
        drop(guard);
        let buffer = pattern(3, 1000);
        let mut place = Some(Arc::clone(&buffer));
        runtime.block_on(out.send_all_async(&mut place, |_, _| ())).unwrap();
        drop(runtime);
        let gone: io::Result<usize> = tokio::runtime::Builder::new_current_thread()
            .build()
            .unwrap()
            .block_on(out.send_async(&mut Some(pattern(4, 9))));
        assert!(gone.is_err());
        assert_eq!(peer.recv(&mut [0; 2000]).unwrap(), 1000);
        let mut back = 0;
        while out.pending() > 0 {
            assert!(out.wait(common::TIMEOUT.unwrap(), |_, _| back += 1).unwrap() > 0);
        }
        assert_eq!((back, Arc::strong_count(&buffer)), (1, 1));
    }
}
