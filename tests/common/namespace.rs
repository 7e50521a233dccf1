//! Network namespaces that a test makes for itself. They last as long as something in them is open, so nothing is left.

use std::{fs::File, os::fd::AsRawFd, process::Command, thread};

use nix::sched::{CloneFlags, setns, unshare};

use super::skipped;

/// A network namespace of its own, with a loopback that is up.
pub struct Namespace {
    net: File,
}

impl Namespace {
    /// `None`, and a word about it, where this process may not make one or `ip` is not installed.
    pub fn new(test: &str) -> Option<Self> {
        let made = thread::spawn(|| {
            unshare(CloneFlags::CLONE_NEWNET).map_err(|error| format!("unshare(CLONE_NEWNET): {error}"))?;
            Ok(Self { net: File::open("/proc/thread-self/ns/net").unwrap() })
        });
        let made: Result<Self, String> = made.join().unwrap();
        let made = made.and_then(|made| match Command::new("ip").arg("-V").output() {
            Ok(_) => Ok(made),
            Err(error) => Err(format!("ip(8): {error}")),
        });
        match made {
            Ok(made) => {
                made.ip("link set lo up");
                Some(made)
            }
            Err(error) => {
                skipped(format_args!("SKIPPED {test}: {error}"));
                None
            }
        }
    }

    /// Runs `f` in a thread that is inside; sockets that it makes stay inside.
    pub fn run<R: Send>(&self, f: impl FnOnce() -> R + Send) -> R {
        let inside = || {
            setns(&self.net, CloneFlags::CLONE_NEWNET).unwrap();
            f()
        };
        match thread::scope(|scope| scope.spawn(inside).join()) {
            Ok(result) => result,
            Err(panic) => std::panic::resume_unwind(panic),
        }
    }

    /// Runs `ip` with these words inside.
    pub fn ip(&self, words: &str) {
        let output = self.run(|| Command::new("ip").args(words.split(' ')).output().unwrap());
        assert!(output.status.success(), "ip {words}: {}", String::from_utf8_lossy(&output.stderr));
    }

    /// Joins `a` here and `b` in the other one by a cable (veth), both up.
    pub fn cable(&self, a: &str, other: &Self, b: &str) {
        // The path of a namespace, which `ip` takes wherever it takes a name.
        let there = format!("/proc/{}/fd/{}", std::process::id(), other.net.as_raw_fd());
        self.ip(&format!("link add name {a} type veth peer name {b} netns {there}"));
        self.ip(&format!("link set {a} up"));
        other.ip(&format!("link set {b} up"));
    }
}
