//! Waiting for the error queue.

use std::{
    io,
    os::fd::{AsFd, BorrowedFd},
    time::{Duration, Instant},
};

use nix::{
    poll::{PollFd, PollFlags, PollTimeout, poll},
    sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags},
};

/// Waits of which some are in vain. What is reported unasked and stays reported although there is nothing to read (a
/// connection that has failed or ended) would end every one of them: so after the first they go by edges.
pub(crate) struct Waits {
    start: Instant,
    timeout: Duration,
    woken: bool,
    edges: Option<Epoll>,
}

impl Waits {
    /// For so long in all.
    pub(crate) fn of(timeout: Duration) -> Self {
        Self { start: Instant::now(), timeout, woken: false, edges: None }
    }

    /// Waits until there may be something to read that was not there before; `false` when the time is over.
    pub(crate) fn next(&mut self, socket: BorrowedFd<'_>) -> io::Result<bool> {
        let left = self.timeout.saturating_sub(self.start.elapsed());
        if left.is_zero() {
            return Ok(false);
        }
        if !self.woken {
            self.woken = true;
            return wait(socket, left);
        }
        let edges = match &mut self.edges {
            Some(edges) => edges,
            None => {
                let edges = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?;
                edges.add(socket, EpollEvent::new(EpollFlags::EPOLLET, 0))?;
                self.edges.insert(edges)
            }
        };
        ready(left, |timeout| edges.wait(&mut [EpollEvent::empty()], timeout))
    }
}

/// poll(2) for what is reported unasked, at most so long.
pub(crate) fn wait(socket: BorrowedFd<'_>, timeout: Duration) -> io::Result<bool> {
    ready(timeout, |timeout| {
        let mut fds = [PollFd::new(socket.as_fd(), PollFlags::empty())];
        poll(&mut fds, timeout).map(|ready| ready.unsigned_abs() as usize)
    })
}

/// Whether the call says that something is ready; EINTR is retried.
fn ready(timeout: Duration, mut call: impl FnMut(PollTimeout) -> nix::Result<usize>) -> io::Result<bool> {
    let start = Instant::now();
    loop {
        let left = timeout.saturating_sub(start.elapsed());
        // Rounded up, or the last fraction of a millisecond would be spent spinning.
        let millis = i32::try_from(left.as_nanos().div_ceil(1_000_000)).unwrap_or(i32::MAX);
        match call(PollTimeout::try_from(millis).unwrap_or(PollTimeout::MAX)) {
            Ok(ready) => return Ok(ready > 0),
            Err(nix::Error::EINTR) => {}
            Err(errno) => return Err(errno.into()),
        }
    }
}
