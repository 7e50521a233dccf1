//! Which machine it was, and what only other programs can tell.

use std::{env, fs, path::Path, process::Command, thread};

/// Runs a program of the package's folder and returns what it prints.
fn output(program: &str, arguments: &[&str]) -> String {
    let folder = env!("CARGO_MANIFEST_DIR");
    let output = Command::new(program).args(arguments).current_dir(folder).output();
    let output = output.unwrap_or_else(|error| panic!("{program}: {error}"));
    assert!(output.status.success(), "{program}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

fn first_line(text: &str) -> &str {
    text.lines().next().unwrap_or_default()
}

/// A table of the machine and of the versions.
pub(super) fn describe() -> String {
    let cpu = fs::read_to_string("/proc/cpuinfo").expect("Linux's description of the processor");
    let cpu = cpu.lines().find_map(|line| line.strip_prefix("model name")).unwrap_or("unknown");
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").expect("Linux's version");
    let load = fs::read_to_string("/proc/loadavg").expect("the load");
    let cargo = env::var("CARGO").unwrap_or_else(|_| "cargo".into());
    let tree = output(&cargo, &["tree", "--offline", "--quiet", "--prefix", "none", "--depth", "1"]);
    let version = |name: &str| {
        let line = tree.lines().find(|line| line.split(' ').next() == Some(name));
        line.and_then(|line| line.split(" v").nth(1)).unwrap_or("unknown").to_owned()
    };
    let contenders =
        ["nix", "rustix", "socket2", "quinn-udp", "sendfd"].map(|name| format!("{name} {}", version(name)));
    let rows = [
        ("date", output("date", &["-u", "+%Y-%m-%d"])),
        ("commit", output("git", &["rev-parse", "--short", "HEAD"])),
        ("processor", cpu.trim_start_matches([' ', '\t', ':']).into()),
        ("cores", thread::available_parallelism().map_or("unknown".into(), |cores| cores.to_string())),
        ("load before", load.split(' ').next().unwrap_or_default().into()),
        ("Linux", kernel.trim().into()),
        ("glibc", first_line(&output("ldd", &["--version"])).trim_start_matches("ldd ").into()),
        ("rustc", output("rustc", &["--version"]).trim_start_matches("rustc ").into()),
        ("valgrind", output("valgrind", &["--version"]).trim_start_matches("valgrind-").into()),
        ("contenders", contenders.join(", ")),
    ];
    let rows = rows.map(|(what, value)| format!("| {what} | {value} |\n"));
    format!("## Machine\n\n| | |\n|---|---|\n{}\n", rows.concat())
}

/// A small program with one library.
pub(super) struct Size {
    /// The library.
    pub(super) name: String,
    /// Bytes of the stripped program.
    pub(super) bytes: u64,
    /// Processor seconds of a cold build.
    pub(super) seconds: f64,
    /// Crates that it needs.
    pub(super) crates: u64,
}

/// What `benches/size` says.
pub(super) fn sizes() -> Vec<Size> {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../size");
    let text = output(script.to_str().expect("a path in UTF-8"), &[]);
    let line = |line: &str| {
        let [name, bytes, seconds, crates] = line.split('\t').collect::<Vec<_>>()[..] else {
            panic!("four fields: {line}");
        };
        let (bytes, crates) = (bytes.parse().expect("a size"), crates.parse().expect("a count"));
        Size { name: name.into(), bytes, seconds: seconds.parse().expect("seconds"), crates }
    };
    text.lines().map(line).collect()
}
