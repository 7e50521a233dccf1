//! Calls around readiness.

use std::{
    future::{Future, poll_fn},
    io,
    os::{fd::AsFd, unix},
    pin::pin,
    sync::atomic::{AtomicU32, Ordering},
    task::{Context, Poll, ready},
};

use ::tokio::{io::Interest, net::UnixDatagram, runtime::Handle};

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
    let mut result = for_a_while(socket, interest, &mut call).await?;
    loop {
        if let Some(done) = result {
            return Ok(done);
        }
        give_way().await;
        // What tokio knows of a new descriptor is what the kernel says now.
        let anew = if interest.is_writable() { another(socket) } else { None };
        result = match anew {
            Some(anew) => for_a_while(&anew, interest, &mut call).await?,
            None => for_a_while(socket, interest, &mut call).await?,
        };
    }
}

/// The same; `None` after calls in vain without a wait in between.
async fn for_a_while<S: AsyncSocket + ?Sized, R: Send>(
    socket: &S,
    interest: Interest,
    mut call: impl FnMut() -> io::Result<R> + Send,
) -> io::Result<Option<R>> {
    let in_vain = AtomicU32::new(0);
    let step = || match call() {
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
            if in_vain.fetch_add(1, Ordering::Relaxed) + 1 < IN_VAIN { Err(error) } else { Ok(None) }
        }
        result => result.map(Some),
    };
    let mut waiting = pin!(socket.async_io(interest, step));
    poll_fn(|cx| {
        let result = waiting.as_mut().poll(cx);
        if result.is_pending() {
            in_vain.store(0, Ordering::Relaxed);
        }
        result
    })
    .await
}

/// A second descriptor of the socket, registered with the runtime, if there is one: a Unix socket by its type alone.
fn another<S: AsFd + ?Sized>(socket: &S) -> Option<UnixDatagram> {
    Handle::try_current().ok()?;
    // tokio takes no other; a socket of this kind may be asked by calls that do not wait (`MSG_DONTWAIT`).
    if !crate::sys::is_nonblocking(socket.as_fd()) {
        return None;
    }
    let duplicate = socket.as_fd().try_clone_to_owned().ok()?;
    UnixDatagram::from_std(unix::net::UnixDatagram::from(duplicate)).ok()
}

async fn give_way() {
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

/// The same for futures written by hand.
pub(super) fn poll_io<S: AsyncSocket + ?Sized, R>(
    socket: &S,
    cx: &mut Context<'_>,
    direction: Direction,
    call: impl FnMut() -> io::Result<R>,
) -> Poll<io::Result<R>> {
    match poll_for_a_while(socket, cx, direction, call) {
        Poll::Ready(Some(result)) => Poll::Ready(result),
        Poll::Ready(None) => {
            cx.waker().wake_by_ref();
            Poll::Pending
        }
        Poll::Pending => Poll::Pending,
    }
}

/// The same for what has a place for another descriptor, as [`io`] has.
#[cfg(linux_like)]
pub(super) fn poll_room<S: AsyncSocket + ?Sized, R>(
    socket: &S,
    cx: &mut Context<'_>,
    anew: &mut Option<(UnixDatagram, std::task::Waker)>,
    mut call: impl FnMut() -> io::Result<R>,
) -> Poll<io::Result<R>> {
    // Another task may be of another runtime: that of the one before may be asleep, or gone.
    if anew.take_if(|(_, waker)| !waker.will_wake(cx.waker())).is_some() {
        *anew = another(socket).map(|anew| (anew, cx.waker().clone()));
    }
    let seen = match anew {
        Some((anew, _)) => poll_for_a_while(anew, cx, Direction::Write, &mut call),
        None => poll_for_a_while(socket, cx, Direction::Write, &mut call),
    };
    let result = match seen {
        Poll::Ready(Some(result)) => Poll::Ready(result),
        Poll::Ready(None) => {
            *anew = another(socket).map(|anew| (anew, cx.waker().clone()));
            match anew {
                Some((anew, _)) => poll_io(anew, cx, Direction::Write, call),
                None => poll_io(socket, cx, Direction::Write, call),
            }
        }
        Poll::Pending => Poll::Pending,
    };
    if result.is_ready() {
        *anew = None;
    }
    result
}

/// `None` after calls in vain without a wait in between.
fn poll_for_a_while<S: AsyncSocket + ?Sized, R>(
    socket: &S,
    cx: &mut Context<'_>,
    direction: Direction,
    mut call: impl FnMut() -> io::Result<R>,
) -> Poll<Option<io::Result<R>>> {
    for _ in 0..IN_VAIN {
        let ready = match direction {
            Direction::Read => ready!(socket.poll_readable(cx)).map(|()| Interest::READABLE),
            Direction::Write => ready!(socket.poll_writable(cx)).map(|()| Interest::WRITABLE),
        };
        match ready.and_then(|interest| socket.try_io(interest, &mut call)) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            result => return Poll::Ready(Some(result)),
        }
    }
    Poll::Ready(None)
}
