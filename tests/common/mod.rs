//! What several tests need: descriptors counted, causes taken out of errors, what is missing said; in the rooms below,
//! sockets with time limits, batches, pipes, namespaces, other programs.

#![allow(dead_code, reason = "each test uses a part")]
#![allow(unreachable_pub, reason = "one module for several programs")]

pub mod again;
pub mod batches;
#[cfg(target_os = "linux")]
pub mod kinds;
#[cfg(target_os = "linux")]
pub mod namespace;
pub mod pairs;
#[cfg(target_os = "linux")]
pub mod pipes;
pub mod programs;
#[cfg(target_os = "linux")]
pub mod raw;
#[cfg(target_os = "linux")]
pub mod running;
#[cfg(feature = "tokio")]
pub mod runtimes;
pub mod starting;
#[cfg(uring)]
pub mod uring;

use std::{
    collections::BTreeMap,
    error::Error,
    fs, io,
    net::UdpSocket,
    path::PathBuf,
    sync::{Mutex, OnceLock, PoisonError},
    time::Duration,
};

use nix::sys::resource::{Resource, getrlimit};

/// Says what cannot be tested here, past the harness, which would keep it to itself.
pub fn skipped(what: impl std::fmt::Display) {
    use std::io::Write;
    // In one piece: tests run side by side.
    let _ = io::stderr().write_all(format!("{what}\n").as_bytes());
}

/// Nothing here waits so long; a test that hangs fails instead.
pub const TIMEOUT: Option<Duration> = Some(Duration::from_secs(20));

static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

/// Numbers and targets of all open descriptors.
pub fn open_fds() -> BTreeMap<i32, PathBuf> {
    let own = PathBuf::from(format!("/proc/{}/fd", std::process::id()));
    let entry = |entry: io::Result<fs::DirEntry>| {
        let entry = entry.unwrap();
        let number = entry.file_name().to_str().unwrap().parse().unwrap();
        (number, fs::read_link(entry.path()).unwrap())
    };
    fs::read_dir("/proc/self/fd").unwrap().map(entry).filter(|(_, target)| *target != own).collect()
}

/// How many descriptors are open now.
pub fn open_count() -> usize {
    open_fds().len()
}

/// FI05: runs `f` alone in this process; afterwards exactly the same descriptors must be open.
pub fn no_leak(f: impl FnOnce()) {
    v6(); // which opens a socket once
    alone(|| {
        let before = open_fds();
        f();
        assert_eq!(open_fds(), before);
    });
}

/// Runs `f` while no descriptors are counted: for what opens some, but nothing that is counted.
pub fn alone<R>(f: impl FnOnce() -> R) -> R {
    let _alone = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    f()
}

/// The typed error in an [`io::Error`].
pub fn cause<E: Error + Copy + 'static>(error: &io::Error) -> Option<E> {
    error.get_ref().and_then(|cause| cause.downcast_ref()).copied()
}

fn v6() -> &'static Result<(), String> {
    static V6: OnceLock<Result<(), String>> = OnceLock::new();
    V6.get_or_init(|| UdpSocket::bind("[::1]:0").map(drop).map_err(|error| error.to_string()))
}

/// Whether this machine has IPv6; says so where it has not.
pub fn has_v6(test: &str) -> bool {
    if let Err(error) = v6() {
        skipped(format_args!("SKIPPED {test}: no IPv6 loopback ({error})"));
    }
    v6().is_ok()
}

/// Whether this process may open some hundreds of descriptors; says so where it may not.
pub fn has_descriptors(test: &str) -> bool {
    let (limit, _) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
    if limit < 600 {
        skipped(format_args!("SKIPPED {test}: only {limit} descriptors may be open"));
    }
    limit >= 600
}
