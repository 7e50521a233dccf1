//! Counting user-space instructions with callgrind.
//!
//! Each figure is the difference between a long and a short run of this program under `valgrind --tool=callgrind`, divided
//! by the iterations in between: exact to the fraction that the rest of the program varies by.

#![allow(unreachable_pub, reason = "one module for several programs")]

use std::{
    env,
    process::Command,
    sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};

/// Over how many iterations a figure is taken.
pub const ITERATIONS: u32 = 400;

/// Of what takes long, and is so large that a fraction of an instruction is nothing.
pub const FEW: u32 = 20;

/// Instructions for one iteration of each operation, less an empty loop; as many at a time as there are processors. With
/// each name stands the number of iterations.
///
/// The program that calls this runs `empty` and every other name so many times when it is called with `--run NAME TIMES`.
/// `None`: there is no valgrind, which is said.
pub fn instructions(names: &[(String, u32)]) -> Option<Vec<f64>> {
    if let Err(error) = Command::new("valgrind").arg("--version").output() {
        eprintln!("SKIPPED: valgrind counts the instructions, and it is not here: {error}");
        return None;
    }
    let empty = count("empty", ITERATIONS);
    let (next, counts) = (AtomicUsize::new(0), Mutex::new(vec![f64::NAN; names.len()]));
    thread::scope(|scope| {
        for _ in 0..thread::available_parallelism().map_or(1, usize::from) {
            scope.spawn(|| {
                while let Some((n, (name, iterations))) = {
                    let n = next.fetch_add(1, Ordering::Relaxed);
                    names.get(n).map(|name| (n, name))
                } {
                    let count = count(name, *iterations) - empty;
                    counts.lock().expect("no other thread has panicked")[n] = count;
                }
            });
        }
    });
    Some(counts.into_inner().expect("no thread has panicked"))
}

fn count(name: &str, iterations: u32) -> f64 {
    let short = iterations / 4;
    (total(name, short + iterations) - total(name, short)) / f64::from(iterations)
}

fn total(name: &str, times: u32) -> f64 {
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
        .arg(env::current_exe().expect("the path of this program"))
        .args(["--run", name, &times.to_string()])
        .output()
        .expect("valgrind runs");
    let log = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{name}: {log}");
    let collected = log.lines().find_map(|line| line.split("Collected : ").nth(1)).expect("a count in the log");
    collected.trim().parse().expect("a number")
}
