//! `docs/performance.md`, with its plots.

mod machine;
mod plots;
pub mod tables;

use std::{fs, path::Path, time::Instant};

use crate::{counts, questions, ratios, threshold};

/// Measures everything and writes it; what broke a bound.
///
/// # Panics
///
/// If something cannot be run or written.
pub fn write(allocated: impl Fn() -> u64) -> Vec<String> {
    let start = Instant::now();
    let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs");
    let machine = machine::describe();
    eprintln!("counting instructions and allocations");
    let counts = counts::count(questions::all(), allocated);
    eprintln!("measuring times");
    let measuring = Instant::now();
    let measured = ratios::measure(questions::all(), ratios::ROUNDS, ratios::RUN);
    let measuring = measuring.elapsed().as_secs();
    let threshold = threshold::measure().table();
    eprintln!("building small programs");
    let sizes = machine::sizes();

    let folder = docs.join("performance");
    fs::create_dir_all(&folder).expect("a folder for the plots");
    plots::draw(&folder, &counts, &measured);
    let text = [
        HEAD.to_owned(),
        machine,
        tables::method(&measured, measuring),
        tables::brief(&measured),
        IMAGES.to_owned(),
        "\n## Time, as a ratio\n\n".to_owned(),
        tables::ratios(&measured),
        tables::threshold(&threshold),
        "## Instructions and allocations\n\n".to_owned(),
        tables::counts(&counts),
        tables::sizes(&sizes),
    ];
    fs::write(docs.join("performance.md"), text.concat()).expect("docs/performance.md is written");
    eprintln!("docs/performance.md is written, after {} s", start.elapsed().as_secs());
    counts.broken
}

const HEAD: &str = "# Performance

`benches/report` measures all of this and writes this page, plots included: no figure was written by hand. The results are
ratios and counts; absolute times are this machine's.

";

const IMAGES: &str = "
## Plots

Thin lines on bars: the quartiles. Throughput is of this machine; both ends share one thread.

![Gathering: throughput over slices and sizes, ours and C](performance/gather.svg)

![Scattering: throughput over slices and sizes, ours and C](performance/scatter.svg)

![One message: time as a ratio to libc](performance/message-time.svg)

![One message: instructions for each library](performance/message-instructions.svg)

![Batches: time as a ratio to one call for each datagram](performance/batch.svg)

![Offload: throughput for each library](performance/offload.svg)
";
