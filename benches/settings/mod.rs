//! How long each benchmark takes: some 80 of them run in about three minutes.

use std::time::Duration;

use criterion::Criterion;

/// Criterion with these times, unless the command line says otherwise.
#[must_use]
#[allow(unreachable_pub, reason = "one module for several programs")]
pub fn criterion() -> Criterion {
    Criterion::default()
        .sample_size(20)
        .warm_up_time(Duration::from_millis(200))
        .measurement_time(Duration::from_secs(1))
        .configure_from_args()
}
