//! One file for each question; in it, every library that can do the job.

mod batch;
mod build;
pub(crate) mod copy_or_gather;
mod descriptors;
mod gather;
mod offload;
mod one_message;
mod plain;
mod scatter;
mod stream;

use std::{
    hint::black_box,
    mem::ManuallyDrop,
    time::{Duration, Instant},
};

use arrayvec::ArrayVec;

/// One library doing one thing.
pub struct Case {
    /// What is asked.
    pub question: &'static str,
    /// How large: `4096 B in 16`.
    pub shape: String,
    /// Who does it.
    pub who: &'static str,
    /// How many messages, or descriptors, one operation is.
    pub elements: usize,
    /// How many bytes of data one operation moves.
    pub bytes: usize,
    run: Box<dyn Fn(u32) -> Duration>,
}

impl Case {
    fn new(question: &'static str, shape: String, who: &'static str, run: impl Fn(u32) -> Duration + 'static) -> Self {
        Self { question, shape, who, elements: 1, bytes: 0, run: Box::new(run) }
    }

    fn elements(self, elements: usize) -> Self {
        Self { elements, ..self }
    }

    fn bytes(self, bytes: usize) -> Self {
        Self { bytes, ..self }
    }

    /// Checks once that everything arrives as it was sent, then does it so many times, and says how long that took.
    pub fn run(&self, times: u32) -> Duration {
        (self.run)(times)
    }

    /// The name under which it is counted.
    pub fn name(&self) -> String {
        format!("{}/{}/{}", self.question, self.shape, self.who)
    }
}

/// Every case; those of one question and shape stand together.
pub fn all() -> Vec<Case> {
    let questions = [
        gather::cases(),
        scatter::cases(),
        copy_or_gather::cases(),
        build::cases(),
        one_message::cases(),
        plain::cases(),
        descriptors::cases(),
        stream::cases(),
        batch::cases(),
        offload::cases(),
    ];
    questions.into_iter().flatten().collect()
}

/// The time that so many iterations take.
#[inline(always)]
fn time(times: u32, mut f: impl FnMut()) -> Duration {
    let start = Instant::now();
    for _ in 0..black_box(times) {
        f();
    }
    start.elapsed()
}

/// A list of slices or headers, made for each message: as in C, only what is used of it is written, and nothing happens when
/// it goes, so that it can be borrowed for as long as it lives.
type List<T> = ManuallyDrop<ArrayVec<T, 64>>;

#[inline(always)]
fn list<T>(items: impl Iterator<Item = T>) -> List<T> {
    ManuallyDrop::new(items.collect())
}

/// Bytes that differ from their neighbours.
fn pattern(len: usize) -> Vec<u8> {
    (0..len).map(|n| (n % 251) as u8).collect()
}
