//! What repeats: instructions and heap allocations for one operation.

use crate::{
    counting,
    operations::{self, growth},
    questions::Case,
};

/// What one case costs.
pub struct Counted {
    /// The case.
    pub case: Case,
    /// User-space instructions for one operation; none without valgrind.
    pub instructions: Option<f64>,
    /// Heap allocations for one operation.
    pub allocations: f64,
}

/// Something that the library does beside hand-written C.
pub struct Row {
    /// What it is.
    pub title: String,
    /// Instructions in C.
    pub by_hand: f64,
    /// Ours.
    pub ours: f64,
    /// Instructions for each element more than in the row before: in C, ours.
    pub each: Option<(f64, f64)>,
}

/// Everything that is counted.
pub struct Counts {
    /// Each library.
    pub cases: Vec<Counted>,
    /// Without a socket, against C.
    pub alone: Vec<Row>,
    /// As it grows.
    pub growth: Vec<Row>,
    /// What broke a bound.
    pub broken: Vec<String>,
}

/// Runs one operation so many times: the part of the program that valgrind runs.
///
/// # Panics
///
/// If there is no operation of this name.
pub fn run(name: &str, times: u32) {
    match operations::find(name) {
        Some(operation) => operation(times),
        None => {
            let case = crate::questions::all().into_iter().find(|case| case.name() == name);
            case.expect("an operation's name").run(times);
        }
    }
}

/// Counts all; `allocated` says how often this thread has allocated so far.
///
/// Of slices, one size: the kernel copies, so that the others have the same counts.
pub fn count(mut cases: Vec<Case>, allocated: impl Fn() -> u64) -> Counts {
    cases.retain(|case| !["gather", "scatter"].contains(&case.question) || case.bytes == 4096);
    let mut names = operations::names();
    names.extend(cases.iter().map(|case| (case.name(), counting::ITERATIONS)));
    let instructions = counting::instructions(&names);
    let find = |name: &str| {
        let at = names.iter().position(|(known, _)| known == name).expect("a name that was counted");
        instructions.as_ref().map(|counts| counts[at])
    };

    let mut counts = Counts { cases: Vec::new(), alone: Vec::new(), growth: Vec::new(), broken: Vec::new() };
    for (rows, bounded) in [(operations::BOUNDED, true), (operations::SHOWN, false)] {
        for &(title, ours, by_hand) in rows {
            let (Some(ours), Some(by_hand)) = (find(ours), find(by_hand)) else { continue };
            if bounded && ours > by_hand + 0.5 {
                counts.broken.push(format!("{title}: more than C"));
            }
            counts.alone.push(Row { title: title.into(), by_hand, ours, each: None });
        }
    }
    for &(title, .., elements) in growth::ROWS {
        let points = |ours| elements.map(|n| Some((n, find(&growth::name(title, n, ours))?)));
        let ([Some(a), Some(b), Some(c)], [Some(x), Some(y), Some(z)]) = (points(true), points(false)) else {
            continue;
        };
        let (ours, by_hand) = ([a, b, c], [x, y, z]);
        if !growth::is_linear(ours) {
            counts.broken.push(format!("{title}: not linear"));
        }
        let (each, each_by_hand) = (growth::each(ours), growth::each(by_hand));
        for (at, n) in elements.into_iter().enumerate() {
            let each = at.checked_sub(1).map(|at| (each_by_hand[at], each[at]));
            counts.growth.push(Row { title: format!("{title}: {n}"), by_hand: by_hand[at].1, ours: ours[at].1, each });
        }
    }
    for case in cases {
        let allocations = |times| {
            let before = allocated();
            case.run(times);
            allocated() - before
        };
        allocations(1); // what a library keeps for ever
        let allocations = (allocations(300) as f64 - allocations(100) as f64) / 200.0;
        if case.who.starts_with("ours") && allocations > 0.0 {
            counts.broken.push(format!("{}: {allocations} allocations", case.name()));
        }
        let instructions = find(&case.name());
        counts.cases.push(Counted { case, instructions, allocations });
    }
    counts
}
