//! Frames over a stream: a length, then so many bytes; blocking, non-blocking with poll(2), and cut off half-way.

use std::{io, os::fd::AsFd, os::unix::net::UnixStream, thread};

use ancillary::{ControlBuf, MsgHdr, RecvExact, ShortReadError};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

/// Calls `step` until it no longer would block, waits in poll(2) in between, and returns how often it did.
fn wait(on: &UnixStream, flags: PollFlags, mut step: impl FnMut() -> io::Result<()>) -> io::Result<u32> {
    let mut waits = 0;
    while let Err(error) = step() {
        if error.kind() != io::ErrorKind::WouldBlock {
            return Err(error);
        }
        poll(&mut [PollFd::new(on.as_fd(), flags)], PollTimeout::NONE)?;
        waits += 1;
    }
    Ok(waits)
}

/// The length goes in the same call as the frame. After `WouldBlock` the header knows how far it came.
fn send_frame(stream: &UnixStream, frame: &[u8]) -> io::Result<u32> {
    let (len, mut message) = ((frame.len() as u32).to_be_bytes(), MsgHdr::new());
    message.data(&len).data(frame);
    wait(stream, PollFlags::POLLOUT, || message.send_all(stream).map(drop))
}

fn recv_frame(stream: &UnixStream) -> io::Result<(Vec<u8>, u32)> {
    let (mut len, mut control, mut exact) = ([0; 4], ControlBuf::<()>::new(), RecvExact::new());
    let mut waits = wait(stream, PollFlags::POLLIN, || exact.recv(stream, &mut len, &mut control).map(drop))?;
    let mut frame = vec![0; u32::from_be_bytes(len) as usize]; // a real program checks the length first
    waits += wait(stream, PollFlags::POLLIN, || exact.recv(stream, &mut frame, &mut control).map(drop))?;
    Ok((frame, waits))
}

fn main() -> io::Result<()> {
    for nonblocking in [false, true] {
        let (a, b) = UnixStream::pair()?;
        a.set_nonblocking(nonblocking)?;
        b.set_nonblocking(nonblocking)?;
        let sender = thread::spawn(move || send_frame(&a, &[7; 1 << 20]));
        let (frame, received) = recv_frame(&b)?;
        assert_eq!(frame, [7; 1 << 20]);
        let sent = sender.join().expect("no panic")?;
        println!(
            "non-blocking {nonblocking}: a MiB arrived whole; the receiver waited {received} times, the sender {sent}"
        );
    }
    let (a, b) = UnixStream::pair()?;
    MsgHdr::new().data(&10u32.to_be_bytes()).data(b"half").send_all(&a)?;
    drop(a);
    let error = recv_frame(&b).unwrap_err();
    println!("the peer is gone half-way: {error}");
    let short = error.get_ref().and_then(|cause| cause.downcast_ref::<ShortReadError>()).expect("the cause");
    assert_eq!((short.expected, short.received), (10, 4));
    Ok(())
}
