//! The library beside others: what each question costs, in instructions, allocations and time.

#[path = "../../c/mod.rs"]
mod c;
#[path = "../../counting/mod.rs"]
pub mod counting;
#[path = "../../operations/mod.rs"]
#[allow(dead_code, reason = "a part is used by the library's own bench alone")]
mod operations;
pub mod questions;
