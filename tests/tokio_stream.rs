//! Streams that carry descriptors, as tokio reads and writes.

#![cfg(target_os = "linux")]

mod common;

use std::{
    future::poll_fn,
    io::{ErrorKind, IoSlice},
    os::fd::{AsFd, OwnedFd},
    pin::{Pin, pin},
};

use ancillary::{
    set_option,
    stream::{FdReader, FdStream, FdStreamError, FdWriter},
    tokio::AsyncSocket,
};
use common::{
    cause, no_leak,
    pairs::{V4, pair},
    pipes::{contents, names, numbered},
    runtimes::{on_both, waits},
};
use nix::{libc, sys::socket::SockType};
use tokio::{
    io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf, copy, copy_buf, unix::AsyncFd},
    net::{TcpListener, TcpStream, UnixStream},
};

const NONE: [OwnedFd; 0] = [];

fn streams() -> (FdStream<'static, UnixStream>, FdStream<'static, UnixStream>) {
    let (a, b) = UnixStream::pair().unwrap();
    (FdStream::new(a), FdStream::new(b))
}

/// So full that not a byte more goes; the number of bytes in it.
fn fill_up(socket: impl AsFd) -> usize {
    set_option(&socket, libc::SOL_SOCKET, libc::SO_SNDBUF, 1).unwrap();
    let mut out = FdWriter::new().with_capacity(1);
    (0..1_000_000).find(|_| out.write(&socket, b"f").is_err()).unwrap()
}

#[test]
fn lines_come_with_their_descriptors() {
    no_leak(|| {
        on_both(|| async {
            let (mut client, mut server) = streams();
            for round in 0..3 {
                let mut line = String::new();
                {
                    let mut reads = pin!(server.read_line(&mut line));
                    assert!(waits(reads.as_mut()));
                    client.queue(b"half ", numbered(round)).unwrap();
                    client.flush_async().await.unwrap();
                    assert!(waits(reads.as_mut()));
                    client.write_all(b"a line\n").await.unwrap();
                    AsyncWriteExt::flush(&mut client).await.unwrap();
                    assert_eq!(reads.await.unwrap(), 12);
                }
                assert_eq!(line, "half a line\n");
                assert_eq!(contents(server.pop_fds(round).unwrap()), names(0..round));
            }
        });
    });
}

#[test]
fn a_copy_through_it_is_whole_and_ends() {
    const LEN: usize = 3_000_000;
    no_leak(|| {
        on_both(|| async {
            let expected: Vec<u8> = (0..LEN).map(|k| (k % 251) as u8).collect();
            for buffered in [false, true] {
                let (mut client, mut server) = streams();
                let bytes = expected.clone();
                let sends = tokio::spawn(async move {
                    client.push_fd(numbered(1).remove(0));
                    copy(&mut &bytes[..], &mut client).await.unwrap();
                    AsyncWriteExt::shutdown(&mut client).await.unwrap();
                    client // the reading side is still open
                });
                let mut found = Vec::new();
                let len = match buffered {
                    true => copy_buf(&mut server, &mut found).await,
                    false => copy(&mut server, &mut found).await,
                };
                assert!(len.unwrap() == LEN as u64 && found == expected);
                assert!(server.reader().is_eof());
                assert_eq!(contents(server.pop_fds(1).unwrap()), names(0..1));
                let mut client = sends.await.unwrap();
                AsyncWriteExt::write_all(&mut server, b"answer").await.unwrap();
                AsyncWriteExt::shutdown(&mut server).await.unwrap();
                let mut answer = Vec::new();
                AsyncReadExt::read_to_end(&mut client, &mut answer).await.unwrap();
                assert_eq!(answer, b"answer");
            }
        });
    });
}

#[test]
fn a_write_gathers_and_waits_only_when_there_is_no_room() {
    no_leak(|| {
        on_both(|| async {
            let (a, b) = UnixStream::pair().unwrap();
            let filled = fill_up(&a);
            let mut out = FdStream::from_parts(&a, FdReader::new(), FdWriter::new().with_capacity(10));
            // As many bytes as go without being gathered: the socket takes none now.
            assert!(waits(pin!(AsyncWriteExt::write(&mut out, b"ten bytes."))));
            assert_eq!(AsyncWriteExt::write(&mut out, b"six by").await.unwrap(), 6);
            let slices = [IoSlice::new(b"t"), IoSlice::new(b"es")];
            assert_eq!(AsyncWriteExt::write_vectored(&mut out, &slices).await.unwrap(), 3);
            assert_eq!(AsyncWriteExt::write(&mut out, b"").await.unwrap(), 0);
            assert!(waits(pin!(AsyncWriteExt::flush(&mut out))));
            {
                let mut more = pin!(AsyncWriteExt::write_all(&mut out, b", and more than there is room for"));
                assert!(waits(more.as_mut()));
                let (mut reader, mut room) = (FdReader::new(), vec![0; filled]);
                for _ in 0..filled {
                    if room.is_empty() {
                        break;
                    }
                    let len = reader.recv_async(&b, &mut room).await.unwrap();
                    room.truncate(room.len() - len);
                }
                more.await.unwrap();
            }
            AsyncWriteExt::shutdown(&mut out).await.unwrap();
            let mut rest = String::new();
            FdStream::new(b).read_to_string(&mut rest).await.unwrap();
            assert_eq!(rest, "six bytes, and more than there is room for");
            assert!(AsyncWrite::is_write_vectored(&out));
        });
    });
}

#[test]
fn what_cannot_succeed_does_not_wait() {
    no_leak(|| {
        on_both(|| async {
            let (a, b) = UnixStream::pair().unwrap();
            let mut reader = FdReader::new().with_max_fds(1);
            let mut out = FdWriter::new();
            out.flush_async(&a).await.unwrap();
            out.queue(b"many", numbered(3)).unwrap();
            out.flush_async(&a).await.unwrap();
            assert_eq!(reader.recv_async(&b, &mut []).await.unwrap(), 0);
            assert_eq!(reader.fill_async(&b).await.unwrap(), 4);
            // Nothing more comes, and it says why.
            let full = Some(FdStreamError::QueueFull { queued: 3, max: 1 });
            assert_eq!(cause(&reader.fill_async(&b).await.unwrap_err()), full);
            assert_eq!(cause(&poll_fn(|cx| reader.poll_fill(cx, &b)).await.unwrap_err()), full);
            let mut data = [0; 9];
            // What is in the buffer is given out before.
            assert_eq!(poll_fn(|cx| reader.poll_recv(cx, &b, &mut data)).await.unwrap(), 4);
            assert_eq!(cause(&reader.recv_async(&b, &mut data).await.unwrap_err()), full);
            assert_eq!(contents(reader.pop_fds(2).unwrap()), names(0..2));
            assert!(waits(pin!(reader.fill_async(&b))));
            assert!(waits(pin!(poll_fn(|cx| reader.poll_recv(cx, &b, &mut data)))));
        });
    });
}

/// Both halves wait side by side, on one socket.
#[test]
fn halves_work_at_the_same_time() {
    const LEN: usize = 1 << 20;
    async fn both(socket: UnixStream) -> (usize, Vec<String>) {
        let (mut out, mut incoming) = (FdWriter::new(), FdReader::new());
        out.queue(&vec![7; LEN], numbered(2)).unwrap();
        let (mut received, mut fds) = (0, Vec::new());
        let mut sent = false;
        poll_fn(|cx| {
            sent = sent || out.poll_flush(cx, &socket).map(Result::unwrap).is_ready();
            while received < LEN {
                let std::task::Poll::Ready(len) = incoming.poll_fill(cx, &socket) else { break };
                received += len.unwrap();
                incoming.consume(usize::MAX);
                fds.extend(incoming.pop_fd());
                fds.extend(incoming.pop_fd());
            }
            if sent && received == LEN { std::task::Poll::Ready(()) } else { std::task::Poll::Pending }
        })
        .await;
        (received, contents(fds))
    }
    no_leak(|| {
        on_both(|| async {
            let (a, b) = UnixStream::pair().unwrap();
            let other = tokio::spawn(both(a));
            assert_eq!(both(b).await, (LEN, names(0..2)));
            assert_eq!(other.await.unwrap(), (LEN, names(0..2)));
        });
    });
}

async fn greet<A: AsyncSocket + Unpin, B: AsyncSocket + Unpin>(a: A, b: B) {
    let (mut a, mut b) = (FdStream::new(a), FdStream::new(b));
    a.queue(b"hello", NONE).unwrap();
    a.flush_async().await.unwrap();
    let mut data = [0; 5];
    b.read_exact(&mut data).await.unwrap();
    assert_eq!(&data, b"hello");
    // Memory that is not initialised is, before it is lent.
    a.write_all(b"again").await.unwrap();
    a.flush_async().await.unwrap();
    let mut room = [std::mem::MaybeUninit::uninit(); 9];
    let mut room = ReadBuf::uninit(&mut room);
    poll_fn(|cx| Pin::new(&mut b).poll_read(cx, &mut room)).await.unwrap();
    assert_eq!(room.filled(), b"again");
    a.write_all(b"once more").await.unwrap();
    a.flush_async().await.unwrap();
    let mut room = [0; 64];
    assert_eq!(b.recv_async(&mut room).await.unwrap(), 9);
}

#[test]
fn every_stream_is_one_by_value_and_by_reference() {
    no_leak(|| {
        on_both(|| async {
            let listener = TcpListener::bind(V4).await.unwrap();
            let client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
            let server = listener.accept().await.unwrap().0;
            greet(&client, &server).await;
            greet(server, client).await;
            let (a, b) = pair(SockType::Stream);
            let [a, b] = [a, b].map(|socket| {
                socket.set_nonblocking(true).unwrap();
                #[allow(deprecated, reason = "what replaces it is unsafe")]
                AsyncFd::new(socket).unwrap()
            });
            greet(&a, b).await;
            // The other end has been dropped.
            let mut a = FdStream::new(a);
            a.push(b"late");
            assert_eq!(a.flush_async().await.unwrap_err().kind(), ErrorKind::BrokenPipe);
            let mut end = Vec::new();
            assert_eq!(AsyncReadExt::read_to_end(&mut a, &mut end).await.unwrap(), 0);
        });
    });
}
