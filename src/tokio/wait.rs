//! Calls around readiness.

use std::{
    future::poll_fn,
    io,
    task::{Context, Poll, ready},
};

use ::tokio::io::Interest;

use super::AsyncSocket;

/// After so many calls in vain the others have their turn. tokio takes `EPOLLERR` for the end of writing and then calls
/// the socket writable for ever: one with an entry in its error queue and a full buffer would be asked without end.
const IN_VAIN: u32 = 4;

#[derive(Clone, Copy)]
pub(super) enum Direction {
    Read,
    Write,
}

/// Makes the call when the socket is ready, until it returns something else than `WouldBlock`. Behind the call nothing is
/// waited for, so what it has brought cannot be dropped with the future.
pub(super) async fn io<S: AsyncSocket + ?Sized, R: Send>(
    socket: &S,
    interest: Interest,
    mut call: impl FnMut() -> io::Result<R> + Send,
) -> io::Result<R> {
    loop {
        let mut in_vain = 0;
        let step = || match call() {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                in_vain += 1;
                if in_vain < IN_VAIN { Err(error) } else { Ok(None) }
            }
            result => result.map(Some),
        };
        if let Some(done) = socket.async_io(interest, step).await? {
            return Ok(done);
        }
        let mut yielded = false;
        poll_fn(|cx| {
            if std::mem::replace(&mut yielded, true) {
                return Poll::Ready(());
            }
            cx.waker().wake_by_ref();
            Poll::Pending
        })
        .await;
    }
}

/// The same for futures written by hand.
pub(super) fn poll_io<S: AsyncSocket + ?Sized, R>(
    socket: &S,
    cx: &mut Context<'_>,
    direction: Direction,
    mut call: impl FnMut() -> io::Result<R>,
) -> Poll<io::Result<R>> {
    for _ in 0..IN_VAIN {
        let interest = match direction {
            Direction::Read => ready!(socket.poll_readable(cx)).map(|()| Interest::READABLE)?,
            Direction::Write => ready!(socket.poll_writable(cx)).map(|()| Interest::WRITABLE)?,
        };
        match socket.try_io(interest, &mut call) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            result => return Poll::Ready(result),
        }
    }
    cx.waker().wake_by_ref();
    Poll::Pending
}
