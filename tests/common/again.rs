//! Tests that run once more in a process of their own, under another program: strace(1), which makes calls fail.

use std::{env, ffi::OsString, io, process::Command};

use super::{alone, skipped, starting::Start};

/// Set in the process that a test starts to run itself again.
const CHILD: &str = "ANCILLARY_FAULTS_CHILD";

pub fn is_child() -> bool {
    env::var_os(CHILD).is_some()
}

/// This test again, in a process of its own, under another command if one is given.
pub fn again(name: &str, under: &[&str]) -> Command {
    let own = [env::current_exe().unwrap().into_os_string()].into_iter();
    let arguments = ["--exact", name, "--nocapture"].map(OsString::from);
    let mut words = under.iter().map(OsString::from).chain(own).chain(arguments);
    let mut command = Command::new(words.next().unwrap());
    command.args(words).env(CHILD, "1");
    command
}

/// Whether a command is there and may do its work; says so if not.
pub fn works(name: &str, command: &str, arguments: &[&str]) -> bool {
    match alone(|| Command::new(command).args(arguments).finish()) {
        Ok(output) if output.status.success() => return true,
        Ok(output) => skipped(format_args!("SKIPPED {name}: {command}: {}", String::from_utf8_lossy(&output.stderr))),
        Err(error) => skipped(format_args!("SKIPPED {name}: {command}: {error}")),
    }
    false
}

/// Repeats what fails, and notes why it did.
pub fn until_ok<T>(errors: &mut Vec<i32>, mut step: impl FnMut() -> io::Result<T>) -> T {
    for _ in 0..100 {
        match step() {
            Ok(value) => return value,
            Err(error) => errors.push(error.raw_os_error().unwrap()),
        }
    }
    panic!("still failing: {errors:?}");
}

/// Runs all other tests of this program again, where the system has no sendmmsg(2) and no recvmmsg(2).
pub fn without_batch_calls(name: &str) {
    const QUIET: [&str; 8] =
        ["-f", "-qq", "-s", "0", "-e", "signal=none", "-e", "trace=sendmmsg,recvmmsg,?recvmmsg_time64"];
    if is_child() || !works(name, "strace", &["-o", "/dev/null", "true"]) {
        return;
    }
    let mut command = Command::new("strace");
    command
        .args(QUIET)
        .args(["-e", "inject=sendmmsg,recvmmsg,?recvmmsg_time64:error=ENOSYS"])
        .arg(env::current_exe().unwrap());
    let output = alone(|| command.env(CHILD, "1").finish().unwrap());
    let (out, log) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success() && out.contains("test result: ok."), "{out}");
    assert!(log.contains("ENOSYS (Function not implemented) (INJECTED)"), "{out}");
}
