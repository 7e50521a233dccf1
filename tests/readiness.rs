//! Readiness as polling and mio tell it: what an entry in the error queue looks like in each mode, and until when.

#![cfg(target_os = "linux")]

mod common;

use std::{io::ErrorKind, net::UdpSocket, time::Duration};

use ancillary::{ControlBuf, MsgHdr, SocketExt, message::ExtendedError};
use common::{
    TIMEOUT,
    pairs::{V4, bound, closed},
};
use polling::{Event, Events, PollMode, Poller};

fn asker() -> UdpSocket {
    let socket = bound(V4);
    socket.set_nonblocking(true).unwrap();
    socket.enable::<ExtendedError>().unwrap();
    socket
}

/// Sends to a closed port, and takes the error that the next call would fail with.
fn ask(socket: &UdpSocket) {
    let (nobody, _closed) = closed([127, 0, 0, 1].into());
    MsgHdr::new().to(nobody).data(b"anyone?").send(socket).unwrap();
    assert!(socket.error_queue().unwrap().wait(TIMEOUT.unwrap()).unwrap());
    assert_eq!(socket.take_error().unwrap().unwrap().kind(), ErrorKind::ConnectionRefused);
}

fn drain(socket: &UdpSocket) -> usize {
    let mut control = ControlBuf::<ExtendedError>::new();
    socket
        .error_queue()
        .unwrap()
        .drain(&mut [0; 64], &mut control, |entry| assert_eq!(entry.data(), b"anyone?"))
        .unwrap()
}

/// How many events there are without waiting: errors all.
fn errors(poller: &Poller) -> usize {
    let mut events = Events::new();
    poller.wait(&mut events, Some(Duration::ZERO)).unwrap();
    assert!(events.iter().all(|event| event.is_err() == Some(true)));
    events.len()
}

/// Makes a poller that watches the socket for nothing: errors come unasked.
fn watched(socket: &UdpSocket, mode: PollMode, f: impl FnOnce(&Poller)) {
    let poller = Poller::new().unwrap();
    // SAFETY: the socket is borrowed, and deleted from the poller below; a panic ends with the poller, which is dropped
    // before the socket.
    unsafe { poller.add_with_mode(socket, Event::none(7), mode) }.unwrap();
    f(&poller);
    poller.delete(socket).unwrap();
}

#[test]
fn polling_by_level_tells_an_error_until_the_queue_is_empty() {
    let socket = asker();
    watched(&socket, PollMode::Level, |poller| {
        assert_eq!(errors(poller), 0);
        ask(&socket);
        ask(&socket);
        assert_eq!((errors(poller), errors(poller)), (1, 1));
        assert_eq!((drain(&socket), errors(poller)), (2, 0));
    });
}

#[test]
fn polling_by_edges_tells_an_error_once() {
    let socket = asker();
    watched(&socket, PollMode::Edge, |poller| {
        for _ in 0..3 {
            ask(&socket);
            assert_eq!((errors(poller), errors(poller)), (1, 0));
        }
        assert_eq!((drain(&socket), errors(poller)), (3, 0));
    });
}

#[test]
fn polling_once_tells_no_further_error_until_it_is_asked_again() {
    let socket = asker();
    watched(&socket, PollMode::Oneshot, |poller| {
        ask(&socket);
        assert_eq!(errors(poller), 1);
        ask(&socket);
        assert_eq!(errors(poller), 0);
        // What is still in the queue is told at once.
        poller.modify(&socket, Event::none(7)).unwrap();
        assert_eq!((errors(poller), drain(&socket)), (1, 2));
        poller.modify(&socket, Event::none(7)).unwrap();
        assert_eq!(errors(poller), 0);
    });
}

/// An error is no reading.
#[test]
fn mio_tells_an_error_apart_from_a_message() {
    let (mut poll, mut events) = (mio::Poll::new().unwrap(), mio::Events::with_capacity(8));
    let socket = asker();
    let mut ours = mio::net::UdpSocket::from_std(socket.try_clone().unwrap());
    poll.registry().register(&mut ours, mio::Token(1), mio::Interest::READABLE).unwrap();
    let mut seen = || {
        poll.poll(&mut events, Some(Duration::ZERO)).unwrap();
        events.iter().map(|event| (event.is_error(), event.is_readable())).collect::<Vec<_>>()
    };
    assert_eq!(seen(), []);
    ask(&socket);
    assert_eq!(seen(), [(true, false)]);
    assert_eq!(seen(), []);
    assert_eq!(drain(&socket), 1);
    MsgHdr::new().to(socket.local_addr().unwrap()).data(b"own").send(&ours).unwrap();
    let mut readable = Vec::new();
    for _ in 0..100_000 {
        readable.extend(seen());
        if !readable.is_empty() {
            break;
        }
    }
    assert_eq!(readable, [(false, true)]);
    let mut control = ControlBuf::<ExtendedError>::new();
    assert_eq!(ours.recv_msg(&mut [0; 9], &mut control).unwrap().data(), b"own");
    assert_eq!(ours.recv_msg(&mut [0; 9], &mut control).unwrap_err().kind(), ErrorKind::WouldBlock);
}
