//! `check`: each case once, with its check of what arrives, in a second. `counts`: instructions and allocations; fails if a
//! bound is broken. `ratios`: times as ratios, or those of one question, `ratios gather`. `threshold`: from which size on
//! gathering is faster than a copy. `report`: all of it, size and compile time, written to docs/performance.md with plots;
//! `benches/report` calls it.

use std::{
    alloc::{GlobalAlloc, Layout, System},
    cell::Cell,
    env,
    process::ExitCode,
};

use compare::{counts, questions, ratios, report, threshold};

struct Counting;

thread_local! {
    // Without a destructor or lazy initialisation, so touching it never allocates.
    static ALLOCATIONS: Cell<u64> = const { Cell::new(0) };
}

fn allocated() -> u64 {
    ALLOCATIONS.get()
}

// SAFETY: every call goes to `System` unchanged.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.set(ALLOCATIONS.get() + 1);
        // SAFETY: the caller's promise is the one that `System` asks for.
        unsafe { System.alloc(layout) }
    }
    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.set(ALLOCATIONS.get() + 1);
        // SAFETY: as in `alloc`.
        unsafe { System.alloc_zeroed(layout) }
    }
    unsafe fn realloc(&self, at: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        ALLOCATIONS.set(ALLOCATIONS.get() + 1);
        // SAFETY: as in `alloc`.
        unsafe { System.realloc(at, layout, size) }
    }
    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        // SAFETY: as in `alloc`.
        unsafe { System.dealloc(at, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let broken = match words[..] {
        ["--run", name, times] => {
            counts::run(name, times.parse().expect("a number of iterations"));
            return ExitCode::SUCCESS;
        }
        ["counts"] => {
            let counts = counts::count(questions::all(), allocated);
            print!("{}", report::tables::counts(&counts));
            counts.broken
        }
        ["ratios", ref wanted @ ..] => {
            let mut cases = questions::all();
            cases.retain(|case| wanted.is_empty() || wanted.contains(&case.question));
            print!("{}", report::tables::ratios(&ratios::measure(cases, ratios::ROUNDS, ratios::RUN)));
            Vec::new()
        }
        ["threshold"] => {
            print!("{}", threshold::measure().table());
            Vec::new()
        }
        ["check"] => {
            let cases = questions::all();
            cases.iter().for_each(|case| _ = case.run(1));
            println!("{} cases: in each question every library delivers the same", cases.len());
            Vec::new()
        }
        ["report"] => report::write(allocated),
        _ => {
            eprintln!("compare check | counts | ratios [QUESTION ...] | threshold | report");
            return ExitCode::FAILURE;
        }
    };
    for what in &broken {
        eprintln!("{what}");
    }
    if broken.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
