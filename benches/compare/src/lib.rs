//! The library beside others: what each question costs, in instructions, allocations and time.

#[path = "../../c/mod.rs"]
mod c;
#[path = "../../counting/mod.rs"]
mod counting;
#[path = "../../operations/mod.rs"]
mod operations;

pub mod counts;
pub mod questions;
pub mod ratios;
pub mod report;
pub mod threshold;
