//! Tests that run in namespaces of their own: the test program runs itself again, with that one test.

use std::{
    env,
    io::ErrorKind,
    process::{Command, Stdio},
};

use nix::unistd::geteuid;

use super::skipped;

const INSIDE: &str = "ANCILLARY_TEST_INSIDE";

/// Where a test wants to be.
#[derive(Clone, Copy, Debug)]
pub enum Place {
    /// In a network of its own that it may change.
    Network,
    /// Without any privilege over the network it is in, even as root.
    Powerless,
}

/// Runs the test of this name in a namespace of its own, where this is `true`; outside it is `false`, and the test has
/// run. Says so where there can be none.
pub fn inside(test: &str, place: Place) -> bool {
    if env::var_os(INSIDE).is_some() {
        return true;
    }
    let option = match place {
        Place::Network if geteuid().is_root() => "-n",
        Place::Network => "-rn",
        Place::Powerless => "-U",
    };
    match Command::new("unshare").args([option, "true"]).stderr(Stdio::piped()).output() {
        Ok(output) if output.status.success() => {}
        Ok(output) => {
            let why = String::from_utf8_lossy(&output.stderr);
            skipped(format_args!("SKIPPED {test}: unshare {option}: {}", why.trim()));
            return false;
        }
        Err(error) => {
            skipped(format_args!("SKIPPED {test}: unshare(1): {error}"));
            return false;
        }
    }
    let output = Command::new("unshare")
        .arg(option)
        .arg(env::current_exe().unwrap())
        .args([test, "--exact", "--nocapture", "--test-threads=1"])
        .env(INSIDE, "1")
        .stderr(Stdio::inherit())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && said.contains("1 passed"), "{test} in {place:?}:\n{said}");
    false
}

/// Runs ip(8); `false`, and says so, where it is missing or refuses.
pub fn ip(test: &str, command: &str) -> bool {
    match Command::new("ip").args(command.split(' ')).output() {
        Ok(output) if output.status.success() => true,
        Ok(output) => {
            let why = String::from_utf8_lossy(&output.stderr);
            skipped(format_args!("SKIPPED {test}: ip {command}: {}", why.trim()));
            false
        }
        Err(error) => {
            assert_eq!(error.kind(), ErrorKind::NotFound, "ip {command}: {error}");
            skipped(format_args!("SKIPPED {test}: ip(8) is not installed"));
            false
        }
    }
}
