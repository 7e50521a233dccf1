//! Messages that came in batches, taken out of them.

use std::{fmt, os::fd::AsFd};

use ancillary::{Received, batch::RecvBatch, message::RecvList};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use super::TIMEOUT;

/// Waits for this, or an error, or a peer that has gone.
pub fn wait(socket: impl AsFd, what: PollFlags) {
    let mut fds = [PollFd::new(socket.as_fd(), what)];
    assert_eq!(poll(&mut fds, PollTimeout::try_from(TIMEOUT.unwrap()).unwrap()).unwrap(), 1);
}

/// Waits for an entry of the error queue, or another error: it is queued behind the call that caused it.
pub fn wait_for_entry(socket: impl AsFd) {
    wait(socket, PollFlags::empty());
}

/// Receives until so many messages have come, in as many batches as it takes: what `each` makes of them.
pub fn collect<L: RecvList, T: fmt::Debug>(
    batch: &mut RecvBatch<L>,
    socket: impl AsFd,
    count: usize,
    mut each: impl FnMut(Received<'_, L, &[u8]>) -> T,
) -> Vec<T> {
    let mut all = Vec::new();
    for _ in 0..count {
        if all.len() < count {
            all.extend(batch.recv(&socket).unwrap().map(&mut each));
        }
    }
    assert_eq!(all.len(), count, "{all:?}");
    all
}

/// Their data.
pub fn texts<L: RecvList>(batch: &mut RecvBatch<L>, socket: impl AsFd, count: usize) -> Vec<String> {
    collect(batch, socket, count, |message| String::from_utf8(message.data().to_vec()).unwrap())
}
