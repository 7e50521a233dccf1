//! Waiting for errors in futures written by hand.

use std::{
    fmt,
    future::Future,
    io,
    pin::Pin,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, ready},
};

use ::tokio::io::Interest;

use super::AsyncSocket;

type Waiting<'s> = Pin<Box<dyn Future<Output = ()> + Send + 's>>;

/// What a future written by hand keeps between two polls to wait for errors: tokio has no other polled form of it.
///
/// It is made once for a socket (two allocations), of a reference or an `Arc`, and given to
/// [`poll_recv_error`](AsyncSocket::poll_recv_error) and [`ZeroCopy::poll_wait`](crate::ZeroCopy::poll_wait) with that
/// socket. The last task that polled with it is woken; several tasks take one each.
///
/// ```
/// use ancillary::{ControlBuf, SocketExt, message::{ExtendedError, Meaning}, tokio::{AsyncSocket, ErrorWait}};
/// use std::{future::poll_fn, sync::Arc};
/// use tokio::net::UdpSocket;
///
/// # fn main() -> std::io::Result<()> {
/// # tokio::runtime::Builder::new_current_thread().enable_io().build()?.block_on(async {
/// let socket = Arc::new(UdpSocket::bind("127.0.0.1:0").await?);
/// socket.enable::<ExtendedError>()?;
/// let nobody = UdpSocket::bind("127.0.0.1:0").await?.local_addr()?; // closed again at once
/// socket.send_to(b"anyone?", nobody).await?;
///
/// let mut errors = ErrorWait::new(Arc::clone(&socket));
/// let meaning = poll_fn(|cx| {
///     let (mut data, mut control) = ([0; 64], ControlBuf::<ExtendedError>::new());
///     socket
///         .poll_recv_error(cx, &mut errors, &mut data, &mut control)
///         .map_ok(|entry| entry.error().meaning())
/// })
/// .await?;
/// assert_eq!(meaning, Meaning::PortUnreachable);
/// # Ok(())
/// # })
/// # }
/// ```
#[doc(alias = "EPOLLERR")]
pub struct ErrorWait<'s> {
    /// Behind a lock, which is never taken, because the future need not be `Sync`. `None` once the runtime has gone.
    waiting: Mutex<Option<Waiting<'s>>>,
    /// Set by `waiting` with each event.
    seen: Arc<AtomicBool>,
    /// Whether there may be entries without a further event.
    unread: bool,
}

impl<'s> ErrorWait<'s> {
    /// For this socket. The queue is looked at before anything is waited for.
    pub fn new(socket: impl AsyncSocket + Send + 's) -> Self {
        let seen = Arc::<AtomicBool>::default();
        let set = Arc::clone(&seen);
        let waiting: Waiting<'s> = Box::pin(async move {
            // Cleared before the queue is read, so what comes meanwhile is an event of its own.
            let event = || {
                set.store(true, Ordering::Relaxed);
                Err::<(), _>(io::ErrorKind::WouldBlock.into())
            };
            let _ = socket.async_io(Interest::ERROR, event).await;
        });
        Self { waiting: Mutex::new(Some(waiting)), seen, unread: true }
    }

    /// Reads, after each event until it is in vain; `read` says so by `WouldBlock`.
    pub(super) fn poll_read<R>(
        &mut self,
        cx: &mut Context<'_>,
        mut read: impl FnMut() -> io::Result<R>,
    ) -> Poll<io::Result<R>> {
        loop {
            if self.unread {
                match read() {
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => self.unread = false,
                    result => return Poll::Ready(result),
                }
            }
            ready!(self.poll_event(cx))?;
            self.unread = true;
        }
    }

    fn poll_event(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let waiting = self.waiting.get_mut().unwrap_or_else(PoisonError::into_inner);
        match waiting.as_mut().map(|waiting| waiting.as_mut().poll(cx)) {
            Some(Poll::Pending) if self.seen.swap(false, Ordering::Relaxed) => Poll::Ready(Ok(())),
            Some(Poll::Pending) => Poll::Pending,
            Some(Poll::Ready(())) | None => {
                *waiting = None;
                Poll::Ready(Err(io::Error::other("expected a runtime that waits for errors, found one that has ended")))
            }
        }
    }
}

/// Prints whether entries may be there.
impl fmt::Debug for ErrorWait<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ErrorWait {{ unread: {} }}", self.unread || self.seen.load(Ordering::Relaxed))
    }
}
