//! Futures written by hand that several runtimes poll, and sockets that tokio would not take.

#![cfg(target_os = "linux")]

mod common;

use std::{
    future::{Future, poll_fn},
    io::Read,
    net::TcpStream,
    task::Poll,
    thread,
    time::Duration,
};

use ancillary::{SendFlags, ZeroCopy, set_option};
use common::{
    alone,
    pairs::{V4, tcp},
};
use nix::libc;
use tokio::{
    io::unix::AsyncFd,
    runtime::{Builder, Runtime},
    time::timeout,
};

const LONG: usize = 1_500_000;

/// A connection that takes little at a time.
fn narrow() -> (TcpStream, TcpStream) {
    let (peer, socket) = tcp(V4);
    for socket in [&socket, &peer] {
        set_option(socket, libc::SOL_SOCKET, libc::SO_SNDBUF, 1 << 16).unwrap();
        set_option(socket, libc::SOL_SOCKET, libc::SO_RCVBUF, 1 << 16).unwrap();
    }
    (socket, peer)
}

fn in_vain<F: Future>(runtime: &Runtime, future: F) {
    assert!(runtime.block_on(async { timeout(Duration::from_millis(200), future).await }).is_err(), "nobody reads");
}

/// What was registered with one runtime while it waited is not waited for with another, which may do nothing, or be gone.
fn moves_on(gone: bool) {
    alone(|| {
        let first = Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let second = Builder::new_current_thread().enable_all().build().unwrap();
        let (socket, mut peer) = narrow();
        socket.set_nonblocking(true).unwrap();
        let mut out = {
            let _entered = first.enter();
            ZeroCopy::new(tokio::net::TcpStream::from_std(socket).unwrap()).unwrap()
        };
        // Completions that wait to be read make the socket look ready.
        in_vain(&second, async {
            poll_fn(|cx| out.poll_send(cx, &mut Some(vec![7; 1000]))).await.unwrap();
            poll_fn(|cx| out.poll_send(cx, &mut Some(vec![7; LONG]))).await.unwrap();
            let mut polls = 0;
            poll_fn(|cx| {
                polls += 1;
                while let Poll::Ready(more) = out.poll_resume(cx) {
                    more.unwrap();
                }
                if polls > 3 {
                    out.complete(|_, _| ()).unwrap();
                }
                Poll::<()>::Pending
            })
            .await;
        });
        let second = (!gone).then_some(second);
        let reads = thread::spawn(move || peer.read_exact(&mut vec![0; LONG + 1000]).map(|()| peer));
        let rest = async {
            while out.unsent() > 0 {
                poll_fn(|cx| out.poll_resume(cx)).await.unwrap();
                out.complete(|_, _| ()).unwrap();
            }
        };
        first.block_on(async { timeout(common::TIMEOUT.unwrap(), rest).await }).expect("woken");
        reads.join().unwrap().unwrap();
        drop(second);
    });
}

#[test]
fn a_send_goes_on_in_another_runtime() {
    moves_on(false);
}

#[test]
fn a_send_goes_on_when_the_runtime_it_waited_in_is_gone() {
    moves_on(true);
}

/// tokio takes no blocking socket; one whose sends do not wait is none to it.
#[test]
fn a_blocking_socket_whose_sends_do_not_wait_is_waited_for() {
    alone(|| {
        let runtime = Builder::new_current_thread().enable_all().build().unwrap();
        let (socket, _peer) = narrow();
        in_vain(&runtime, async {
            #[allow(deprecated, reason = "what replaces it is unsafe")]
            let socket = AsyncFd::new(socket).unwrap();
            let mut out = ZeroCopy::new(socket).unwrap();
            for len in [1000, LONG] {
                let buffer = &mut Some(vec![7; len]);
                out.send_with_async(buffer, |header| {
                    header.flags(SendFlags::DONTWAIT);
                })
                .await
                .unwrap();
            }
            while out.unsent() > 0 {
                out.resume_async().await.unwrap();
            }
        });
    });
}
