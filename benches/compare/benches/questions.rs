//! Criterion's times for every case; `cargo bench -- one_message` for one question.

use std::time::Duration;

use criterion::{Criterion, Throughput};

fn main() {
    let mut criterion = Criterion::default()
        .sample_size(10)
        .warm_up_time(Duration::from_millis(100))
        .measurement_time(Duration::from_millis(500))
        .configure_from_args();
    for case in compare::questions::all() {
        let mut group = criterion.benchmark_group(format!("{}/{}", case.question, case.shape));
        group.throughput(match case.bytes {
            0 => Throughput::Elements(case.elements as u64),
            bytes => Throughput::Bytes(bytes as u64),
        });
        group.bench_function(case.who, |bench| {
            bench.iter_custom(|times| case.run(times.try_into().expect("fewer than four thousand million")));
        });
        group.finish();
    }
    criterion.final_summary();
}
