//! Waiting until a socket takes datagrams again.

use std::{
    fmt,
    future::Future,
    io,
    pin::Pin,
    task::{Context, Poll, ready},
};

use pin_project_lite::pin_project;
use quinn::UdpPoller;

pin_project! {
    /// Keeps the future of one wait in place, so that each task has its own waker and no wait allocates.
    pub(crate) struct Poller<F, W> {
        wait: F,
        #[pin]
        waiting: Option<W>,
    }
}

impl<F, W> Poller<F, W> {
    pub(crate) fn new(wait: F) -> Self {
        Self { wait, waiting: None }
    }
}

impl<F, W> UdpPoller for Poller<F, W>
where
    F: Fn() -> W + Send + Sync + 'static,
    W: Future<Output = io::Result<()>> + Send + Sync + 'static,
{
    fn poll_writable(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut this = self.project();
        if this.waiting.is_none() {
            let waiting = (this.wait)();
            this.waiting.set(Some(waiting));
        }
        let Some(waiting) = this.waiting.as_mut().as_pin_mut() else { return Poll::Ready(Ok(())) };
        let result = ready!(waiting.poll(cx));
        this.waiting.set(None);
        Poll::Ready(result)
    }
}

impl<F, W> fmt::Debug for Poller<F, W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Poller")
    }
}
