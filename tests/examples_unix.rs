//! The examples of several processes: descriptors passed, a server replaced, a supervisor told; and those of one machine's
//! sockets that need no network of their own.
#![cfg(target_os = "linux")]

mod common;

use std::{
    fs,
    io::{self, BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpStream},
    os::{
        fd::OwnedFd,
        unix::net::{UnixDatagram, UnixStream},
    },
    path::PathBuf,
    process::{self, Command, Stdio},
    sync::{
        Mutex,
        atomic::{AtomicBool, Ordering},
    },
    thread,
};

use ancillary::SocketExt;
use common::{
    TIMEOUT, has_descriptors,
    programs::{Program, absent, example, run},
    skipped,
    starting::Start,
};

#[test]
fn descriptors_are_passed_in_exact_numbers() {
    if !has_descriptors("descriptors_are_passed_in_exact_numbers") {
        return;
    }
    let (out, err, success) = run(&mut Command::new(example("pass_fds")));
    assert!(success && err.is_empty(), "{out}{err}");
    let expected = [
        "child: 253 descriptors with \"two hundred\" in one call",
        "child: expected 2 descriptor(s), found 3; all are closed",
        "child: 400 descriptors with \"400 descriptors\\n\" from a stream",
        "parent: the child ends with exit status: 0",
    ];
    assert_eq!(out.lines().collect::<Vec<_>>(), expected);
}

/// A server that runs, and what it said first.
struct Server {
    program: Program,
    out: BufReader<process::ChildStdout>,
    name: String,
    addr: SocketAddr,
}

impl Server {
    fn start(path: &str) -> Self {
        let mut command = Command::new(example("graceful_restart"));
        command.args(["serve", path]).stdin(Stdio::null()).stdout(Stdio::piped());
        let mut program = Program(command.start().unwrap());
        let (mut out, mut line) = (BufReader::new(program.0.stdout.take().unwrap()), String::new());
        out.read_line(&mut line).unwrap();
        let (name, addr) = line.trim_end().split_once(" serves ").unwrap_or_else(|| panic!("{line:?}"));
        Self { program, out, name: name.to_owned(), addr: addr.parse().unwrap() }
    }

    /// How many connections it has answered when it ends, which it does by itself.
    fn end(mut self) -> usize {
        assert!(self.program.wait(&self.name).success());
        let mut rest = String::new();
        self.out.read_to_string(&mut rest).unwrap();
        let count = rest.strip_prefix(&format!("{} ends after ", self.name));
        let count = count.and_then(|rest| rest.strip_suffix(" connections, 0 failed\n"));
        count.and_then(|count| count.parse().ok()).unwrap_or_else(|| panic!("{rest}"))
    }
}

/// Which process answers; there has to be one.
fn ask(server: SocketAddr) -> io::Result<String> {
    let mut connection = TcpStream::connect(server)?;
    connection.set_read_timeout(TIMEOUT)?;
    connection.write_all(b"me\n")?;
    let mut answer = String::new();
    connection.read_to_string(&mut answer)?;
    answer.strip_suffix(" answers me\n").map(str::to_owned).ok_or_else(|| io::Error::other(answer))
}

/// A path that no other test uses, and nothing at it.
fn path(test: &str) -> PathBuf {
    let path = std::env::temp_dir().join(format!("{}.{}", &test[..20], process::id()));
    let _ = fs::remove_file(&path);
    path
}

#[test]
fn a_server_is_replaced_under_load_and_every_connection_is_answered() {
    let path = path("a_server_is_replaced_under_load_and_every_connection_is_answered");
    let at = path.to_str().unwrap();
    let mut server = Server::start(at);
    let (addr, end, answers) = (server.addr, AtomicBool::new(false), Mutex::new(Vec::new()));
    let client = || {
        let mut own = Vec::new();
        while !end.load(Ordering::Relaxed) {
            own.push(ask(addr).map_err(|error| error.to_string()));
        }
        answers.lock().unwrap().extend(own);
    };
    let (mut names, mut ended) = (vec![server.name.clone()], 0);
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(client);
        }
        let replaced = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            for _ in 0..8 {
                let next = Server::start(at);
                assert_eq!(next.addr, addr, "the port stays");
                names.push(next.name.clone());
                ended += std::mem::replace(&mut server, next).end();
            }
        }));
        end.store(true, Ordering::Relaxed);
        replaced.unwrap();
    });
    let answers = answers.into_inner().unwrap();
    let lost: Vec<_> = answers.iter().filter_map(|answer| answer.as_ref().err()).collect();
    assert!(lost.is_empty(), "{lost:?} of {}", answers.len());
    assert!(answers.iter().flatten().all(|name| names.contains(name)), "{answers:?}");
    // Each connection was answered by one process: those that have ended, and the last.
    let by_last = answers.iter().flatten().filter(|name| **name == server.name).count();
    assert_eq!(ended + by_last, answers.len());
    drop(server);
    fs::remove_file(path).unwrap();
}

#[test]
fn a_server_whose_successor_fails_goes_on() {
    let path = path("a_server_whose_successor_fails_goes_on");
    let server = Server::start(path.to_str().unwrap());
    for take in [false, true] {
        let successor = UnixStream::connect(&path).unwrap();
        successor.set_read_timeout(TIMEOUT).unwrap();
        if take {
            let message = successor.recv_fds::<2>(&mut [0; 1]).unwrap();
            assert_eq!(message.exact().unwrap().len(), 2);
        }
        drop(successor); // without a word
        assert_eq!(ask(server.addr).unwrap(), server.name);
    }
    let next = Server::start(path.to_str().unwrap());
    assert_eq!(server.end(), 2);
    assert_eq!(ask(next.addr).unwrap(), next.name);
    drop(next);
    fs::remove_file(path).unwrap();
}

/// What the supervisor prints, `PID` for the numbers of the processes that it starts, and whether it succeeded.
fn supervised(command: &[&str]) -> (Vec<String>, bool) {
    let mut supervisor = Command::new(example("supervisor"));
    let (out, err, success) = run(supervisor.args(command));
    let mut pids: Vec<_> = out.lines().filter_map(|line| line.strip_prefix("process ")?.split(' ').next()).collect();
    pids.sort_by_key(|pid| std::cmp::Reverse(pid.len()));
    assert!(!pids.is_empty(), "{out}{err}");
    let plain = |line: &str| pids.iter().fold(line.to_owned(), |line, pid| line.replace(&format!(" {pid}"), " PID"));
    (out.lines().filter(|line| !line.starts_with("no pidfds")).map(plain).collect(), success)
}

#[test]
fn a_supervisor_keeps_a_descriptor_for_the_next_run() {
    let (lines, success) = supervised(&[]);
    let expected = [
        "told by PID: READY=1, STATUS=run 1",
        "told by PID: FDSTORE=1, FDNAME=counter",
        "1 stored",
        "told by PID: BARRIER=1",
        "process PID ends with exit status: 1, 1 descriptors stored",
        "told by PID: READY=1, STATUS=run 2",
        "told by PID: FDSTOREREMOVE=1, FDNAME=counter, STOPPING=1",
        "told by PID: BARRIER=1",
        "process PID ends with exit status: 0, 0 descriptors stored",
    ];
    assert_eq!(lines, expected);
    assert!(success);
}

/// A service as Python writes one: stores the read end of a pipe, and in the next run reads what it wrote into it.
const PYTHON: &str = r#"
import array, os, socket
manager = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
def tell(text, fds=[]):
    to = os.environ['NOTIFY_SOCKET'].replace('@', '\0', 1)
    manager.sendmsg([text], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array('i', fds))] if fds else [], 0, to)
names, fds, flags, _ = socket.recv_fds(socket.socket(fileno=0), 100, 4)
if not fds:
    ends = os.pipe()
    os.write(ends[1], b'kept')
    tell(b'FDSTORE=1\nFDNAME=pipe', [ends[0]])
else:
    tell(b'STATUS=' + names.strip() + b' ' + os.read(fds[0], 100))
# Until it has been read: the supervisor looks at the process while it is there.
ours, theirs = os.pipe()
tell(b'BARRIER=1', [theirs])
os.close(theirs)
os.read(ours, 1)
os._exit(0 if fds else 3)
"#;

#[test]
fn a_supervisor_understands_another_service_and_is_understood() {
    if absent("python3", "--version") {
        return;
    }
    let (lines, success) = supervised(&["python3", "-c", PYTHON]);
    let expected = [
        "told by PID: FDSTORE=1, FDNAME=pipe",
        "1 stored",
        "told by PID: BARRIER=1",
        "process PID ends with exit status: 3, 1 descriptors stored",
        "told by PID: STATUS=pipe kept",
        "told by PID: BARRIER=1",
        "process PID ends with exit status: 0, 1 descriptors stored",
    ];
    assert_eq!(lines, expected);
    assert!(success);
}

/// A process that the service has started is another one; its descriptor is closed, not kept.
#[test]
fn a_supervisor_ignores_whom_it_has_not_started() {
    if absent("python3", "--version") {
        return;
    }
    let (lines, success) = supervised(&["sh", "-c", "python3 -c \"$0\"; exit 0", PYTHON]);
    assert!(success, "{lines:?}");
    assert_eq!(lines.len(), 3, "{lines:?}");
    for (line, text) in lines.iter().zip(["FDSTORE=1\\nFDNAME=pipe", "BARRIER=1"]) {
        assert!(line.starts_with("ignored: pid ") && line.ends_with(text), "{line}");
        assert!(line.contains(" is not the process PID: "), "{line}");
    }
    assert_eq!(lines[2], "process PID ends with exit status: 0, 0 descriptors stored");
}

/// One that may say what it likes of itself (systemd-notify, as root, speaks for its parent) is believed as the kernel
/// believes it.
#[test]
fn a_supervisor_hears_systemd_notify() {
    if absent("systemd-notify", "--version") {
        return;
    }
    let (lines, success) = supervised(&["sh", "-c", "systemd-notify --ready --status=up; exit 0"]);
    assert!(success, "{lines:?}");
    let told = lines.iter().filter(|line| line.starts_with("told by PID: READY=1, STATUS=up")).count();
    let ignored = lines.iter().filter(|line| line.starts_with("ignored: ")).count();
    let root = nix::unistd::geteuid().is_root();
    assert!(if root { told == 1 } else { told + ignored >= 1 }, "{lines:?}");
}

#[test]
fn a_notifier_whom_nobody_hears_says_so() {
    let (out, err, success) = run(Command::new(example("notify")).env_remove("NOTIFY_SOCKET"));
    assert!(success && err.is_empty(), "{out}{err}");
    assert_eq!(out, "NOTIFY_SOCKET is not set: nobody is there to tell\n");
}

/// What a manager hears, and the descriptors of each of these messages.
fn told(manager: &UnixDatagram, expected: &[(&str, usize)]) -> Vec<OwnedFd> {
    let (mut data, mut all) = ([0; 256], Vec::new());
    for (lines, fds) in expected {
        let message = manager.recv_fds::<4>(&mut data).unwrap();
        assert_eq!((&data[..message.len()], message.fds().count()), (lines.as_bytes(), *fds));
        // The end of a pipe that comes with BARRIER=1 is closed, when the message has been read.
        all.extend(message.into_iter().take(if *lines == "BARRIER=1" { 0 } else { *fds }));
    }
    all
}

/// As systemd does it, with `LISTEN_FDS`; what goes to another process, or under another name, is left alone.
#[test]
fn a_notifier_restores_what_the_manager_kept() {
    let path = path("a_notifier_restores_what_the_manager_kept");
    let manager = UnixDatagram::bind(&path).unwrap();
    manager.set_read_timeout(TIMEOUT).unwrap();
    let start = |mut command: Command| {
        command.env("NOTIFY_SOCKET", &path).stdout(Stdio::null()).stderr(Stdio::null());
        Program(command.start().unwrap())
    };
    // Becomes the number 3 of the process that this shell turns into.
    const GIVES: &str = r#"export LISTEN_PID=$(($$ + OTHER)); exec "$0" 3<&0 </dev/null"#;
    let given = |kept: &OwnedFd, names: &str, other: &str| {
        let mut command = Command::new("sh");
        command.args(["-c", GIVES]).arg(example("notify")).stdin(kept.try_clone().unwrap());
        command.envs([("LISTEN_FDS", "1"), ("LISTEN_FDNAMES", names), ("OTHER", other)]);
        command
    };
    let first = [("READY=1\nSTATUS=run 1", 0), ("FDSTORE=1\nFDNAME=counter", 1), ("BARRIER=1", 1)];
    let mut nothing = Command::new(example("notify"));
    nothing.stdin(Stdio::null());
    let mut notify = start(nothing);
    let kept = told(&manager, &first);
    assert!(!notify.wait("notify").success(), "the first run fails");
    for (names, other) in [("counter", "1"), ("other:counter", "0")] {
        let mut notify = start(given(&kept[0], names, other));
        assert_eq!(told(&manager, &first).len(), 1);
        assert!(!notify.wait("notify").success(), "one that was given nothing is the first");
    }
    for run in 2..5 {
        let mut notify = start(given(&kept[0], "counter", "0"));
        let ready = format!("READY=1\nSTATUS=run {run}");
        told(&manager, &[(&ready, 0), ("FDSTOREREMOVE=1\nFDNAME=counter\nSTOPPING=1", 0), ("BARRIER=1", 1)]);
        assert!(notify.wait("notify").success());
    }
    fs::remove_file(path).unwrap();
}

/// Calls and datagrams in a line of `segments`.
fn counts(line: &str) -> [u64; 3] {
    let numbers: Vec<_> = line.split([' ', ',']).filter_map(|word| word.parse().ok()).collect();
    [numbers[0], numbers[1], numbers[2]]
}

#[test]
fn segments_take_fewer_calls_for_as_many_datagrams() {
    let (out, err, success) = run(Command::new(example("segments")).arg("4"));
    assert!(success && err.is_empty(), "{out}{err}");
    let lines: Vec<_> = out.lines().collect();
    if lines.get(3).is_none_or(|line| line.contains("before Linux")) {
        return skipped("SKIPPED segments_take_fewer_calls_for_as_many_datagrams: no UDP_GRO");
    }
    let names = lines.iter().zip(["one by one ", "batches ", "GSO ", "GSO, GRO "]);
    assert!(names.clone().count() == 4 && names.clone().all(|(line, name)| line.starts_with(name)), "{out}");
    let [single, batches, gso, gro] = [0, 1, 2, 3].map(|at| counts(lines[at]));
    let all = single[0];
    assert!(all * 1200 >= 4_000_000 && all % 32 == 0, "{out}");
    assert_eq!(single, [all; 3], "{out}");
    assert_eq!([batches[0], gso[0], gro[0]], [all; 3], "{out}");
    assert_eq!([batches[1], gso[1], gro[1]], [all / 32; 3], "{out}");
    assert_eq!(gso[2], all, "without GRO each arrives alone: {out}");
    assert!(gro[2] < all / 8, "{out}");
}

#[test]
fn an_alert_of_tls_is_told_from_data() {
    let (out, err, success) = run(&mut Command::new(example("tls_alert")));
    assert!(success && err.is_empty(), "{out}{err}");
    if out.starts_with("SKIPPED: no TLS in this kernel") {
        return skipped(format_args!("SKIPPED an_alert_of_tls_is_told_from_data: {}", out.trim_end()));
    }
    assert_eq!(out, "application_data: \"the last words\"\nalert: warning, close_notify (0)\n");
}
