//! Runtimes of tokio, and futures polled by hand.

use std::{
    future::Future,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll, Waker},
};

use tokio::{
    runtime::{Builder, Runtime},
    time::timeout,
};

use super::TIMEOUT;

/// One thread for everything, and two that take work from each other.
pub fn runtimes() -> [Runtime; 2] {
    let (mut one, mut many) = (Builder::new_current_thread(), Builder::new_multi_thread());
    [one.enable_all().build().unwrap(), many.worker_threads(2).enable_all().build().unwrap()]
}

/// Runs a task on each of them; what hangs fails.
pub fn on_both<F: Future<Output = ()> + Send + 'static>(task: impl Fn() -> F) {
    for runtime in runtimes() {
        let task = task();
        let task = runtime.spawn(async { timeout(TIMEOUT.unwrap(), task).await.expect("it hangs") });
        if let Err(error) = runtime.block_on(task) {
            std::panic::resume_unwind(error.into_panic());
        }
    }
}

/// Polls once, on behalf of nobody.
pub fn poll_once<F: Future>(future: Pin<&mut F>) -> Poll<F::Output> {
    future.poll(&mut Context::from_waker(Waker::noop()))
}

/// Whether it waits.
pub fn waits<F: Future>(future: Pin<&mut F>) -> bool {
    poll_once(future).is_pending()
}

/// The same future, which counts its polls.
pub fn counted<F: Future>(polls: Arc<AtomicUsize>, future: F) -> impl Future<Output = F::Output> {
    let mut future = Box::pin(future);
    std::future::poll_fn(move |cx| {
        polls.fetch_add(1, Ordering::Relaxed);
        future.as_mut().poll(cx)
    })
}

/// A future that is dropped after so many polls, with the others' turns in between.
pub async fn hurried<F: Future>(future: F, polls: usize) -> Option<F::Output> {
    let mut future = std::pin::pin!(future);
    for _ in 0..polls {
        if let Poll::Ready(output) = std::future::poll_fn(|cx| Poll::Ready(future.as_mut().poll(cx))).await {
            return Some(output);
        }
        tokio::task::yield_now().await;
    }
    None
}

/// Lets the other tasks and the reactor work for a while.
pub async fn others_work() {
    for _ in 0..2000 {
        tokio::task::yield_now().await;
    }
}
