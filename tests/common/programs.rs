//! The programs in `examples/`, built and run to their end, in time.

use std::{
    env, fs,
    io::Read,
    path::PathBuf,
    process::{Child, Command, ExitStatus, Stdio},
    sync::OnceLock,
    thread,
    time::{Duration, Instant},
};

use super::{skipped, starting::Start};

/// Nothing here runs so long, on a machine that is none in a program.
pub const TIMEOUT: Duration = Duration::from_secs(30);

/// How often that: `ANCILLARY_PATIENCE`, for machines whose instructions are read by a program.
fn patience() -> u32 {
    env::var("ANCILLARY_PATIENCE").ok().and_then(|times| times.parse().ok()).unwrap_or(1)
}

/// A test in `target/<profile>/deps` has the examples in `target/<profile>/examples`. `cargo test` builds them,
/// `cargo test --test ...` does not: then they are built here, once.
pub fn example(name: &str) -> PathBuf {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    let dir = BUILT.get_or_init(|| {
        let exe = env::current_exe().expect("the test's own path");
        let profile = exe.ancestors().nth(2).expect("the profile's directory").to_owned();
        let dir = profile.join("examples");
        if names().iter().any(|name| !dir.join(name).exists()) {
            let mut cargo = Command::new(env!("CARGO"));
            cargo.args(["build", "--quiet", "--examples", "--manifest-path"]);
            cargo.arg(PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("Cargo.toml"));
            if cfg!(feature = "tokio") {
                cargo.args(["--features", "tokio"]);
            }
            let name = profile.file_name().and_then(|name| name.to_str()).expect("a profile's name");
            cargo.args(["--profile", if name == "debug" { "dev" } else { name }]);
            // <target>/<profile>, or <target>/<triple>/<profile> when cross-compiled.
            let mut target = profile.parent().expect("the target directory");
            let triple = env!("ANCILLARY_TARGET");
            if target.ends_with(triple) {
                cargo.args(["--target", triple]);
                target = target.parent().expect("the target directory");
            }
            let status = cargo.arg("--target-dir").arg(target).end().expect("cargo runs");
            assert!(status.success(), "the examples do not build: {status}");
        }
        dir
    });
    dir.join(name)
}

/// All of them.
pub fn names() -> Vec<String> {
    let dir = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("examples");
    let files = fs::read_dir(dir).expect("the examples' directory").map(|entry| entry.expect("an entry").path());
    let mut names: Vec<_> = files
        .filter(|path| path.extension().is_some_and(|ext| ext == "rs"))
        .map(|path| path.file_stem().expect("a stem").to_string_lossy().into_owned())
        .filter(|name| cfg!(feature = "tokio") || name != "over_tokio")
        .collect();
    names.sort();
    names
}

/// A process that ends with the test, whatever happens.
pub struct Program(pub Child);

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Program {
    /// Until it ends.
    pub fn wait(&mut self, what: &str) -> ExitStatus {
        let start = Instant::now();
        loop {
            if let Some(status) = self.0.try_wait().expect("wait") {
                return status;
            }
            let limit = TIMEOUT * patience();
            assert!(start.elapsed() < limit, "{what} did not end within {limit:?}");
            thread::sleep(Duration::from_millis(5));
        }
    }
}

/// What somebody writes, until the end.
pub fn drain(mut from: impl Read + Send + 'static) -> thread::JoinHandle<String> {
    thread::spawn(move || {
        let mut all = Vec::new();
        let _ = from.read_to_end(&mut all);
        String::from_utf8_lossy(&all).into_owned()
    })
}

/// Runs a command to its end: standard output, standard error, and whether it succeeded.
pub fn run(command: &mut Command) -> (String, String, bool) {
    let what = format!("{command:?}");
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut running = Program(command.start().unwrap_or_else(|error| panic!("{what}: {error}")));
    let out = drain(running.0.stdout.take().expect("piped"));
    let err = drain(running.0.stderr.take().expect("piped"));
    let status = running.wait(&what);
    (out.join().expect("no panic"), err.join().expect("no panic"), status.success())
}

/// Whether it is not installed; says so.
pub fn absent(program: &str, argument: &str) -> bool {
    let found = Command::new(program).arg(argument).stdout(Stdio::null()).stderr(Stdio::null()).end();
    if found.is_err() {
        skipped(format_args!("SKIPPED: {program} is not installed, nothing is tested with it"));
    }
    found.is_err()
}
