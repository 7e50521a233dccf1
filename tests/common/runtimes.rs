//! Runtimes of tokio, and futures polled by hand.

use std::{
    future::Future,
    net::Ipv4Addr,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU32, AtomicUsize, Ordering},
    },
    task::{Context, Poll, Waker},
    time::Duration,
};

use tokio::{
    net::{TcpListener, TcpStream},
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

/// Calls that are given up, by turns at once, after a few polls and after a time; and how many were.
#[derive(Default)]
pub struct Impatient {
    turn: usize,
    pub given_up: Arc<AtomicU32>,
}

impl Impatient {
    /// One for each side. The receiver has given up before anything is sent.
    pub async fn pair<F: Future>(receive: F) -> (Self, Self) {
        let (sender, mut receiver) = (Self::default(), Self::default());
        assert!(receiver.call(receive).await.is_none());
        (sender, receiver)
    }

    /// Waits until the other side has given up, since nobody takes what it sends.
    pub async fn let_give_up(other: &AtomicU32) {
        while other.load(Ordering::Relaxed) == 0 {
            tokio::task::yield_now().await;
        }
    }

    pub async fn call<F: Future>(&mut self, future: F) -> Option<F::Output> {
        self.turn += 1;
        let output = match self.turn % 4 {
            0 => timeout(Duration::from_micros(1), future).await.ok(),
            polls => hurried(future, polls).await,
        };
        self.given_up.fetch_add(output.is_none().into(), Ordering::Relaxed);
        output
    }
}

/// Lets the other tasks and the reactor work for a while.
pub async fn others_work() {
    for _ in 0..2000 {
        tokio::task::yield_now().await;
    }
}

/// Both ends of a connection, the first one opened it.
pub async fn tcp() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    (client, listener.accept().await.unwrap().0)
}
