//! Network namespaces that end with the test, and links between them. An ordinary user has them inside a user
//! namespace, in which the test runs again.

use std::{
    any::Any,
    env, fs,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
    process::{Command, Output, Stdio},
    sync::mpsc::{Sender, channel},
    thread::{self, JoinHandle},
};

use nix::{
    sched::{CloneFlags, unshare},
    unistd::gettid,
};

use super::skipped;

const AGAIN: &str = "ANCILLARY_TEST_AGAIN";

/// Runs `f` where it may make namespaces and raw sockets in them; says so where nobody may.
pub fn isolated(test: &str, f: impl FnOnce()) {
    if !has_ip() {
        return skipped(format_args!("SKIPPED {test}: ip(8) of iproute2 is not installed"));
    }
    let Err(error) = Namespace::open() else { return f() };
    // Under its own number, since tcpdump gives up that of root.
    const USER: [&str; 5] = ["--user", "--map-current-user", "--keep-caps", "--net", "--"];
    const UP: [&str; 3] = ["sh", "-c", "ip link set lo up && exec \"$0\" \"$@\""];
    let unshare = || {
        let mut command = Command::new("unshare");
        command.args(USER).args(UP);
        command
    };
    if env::var_os(AGAIN).is_none() && succeeds(unshare().arg("true")) {
        again(test, &mut unshare());
    } else {
        skipped(format_args!("SKIPPED {test}: no network namespaces ({error})"));
    }
}

/// Runs `f` on a loopback where it may make raw sockets: that of a namespace, or the machine's where there is no ip(8).
pub fn on_loopback(test: &str, f: fn()) {
    if !has_ip() && has_net_raw() {
        f();
    } else {
        isolated(test, || Namespace::new().run(f));
    }
}

fn has_ip() -> bool {
    Command::new("ip").arg("-V").output().is_ok()
}

fn succeeds(command: &mut Command) -> bool {
    command.output().is_ok_and(|output| output.status.success())
}

/// Runs `f` without `CAP_NET_RAW`.
pub fn without_net_raw(test: &str, f: impl FnOnce()) {
    const DROP: [&str; 4] = ["--bounding-set", "-net_raw", "--inh-caps", "-net_raw"];
    if !has_net_raw() {
        f();
    } else if succeeds(Command::new("setpriv").args(DROP).arg("true")) {
        again(test, Command::new("setpriv").args(DROP));
    } else {
        skipped(format_args!("SKIPPED {test}: setpriv(1) cannot drop a capability here"));
    }
}

fn has_net_raw() -> bool {
    const CAP_NET_RAW: u32 = 13;
    let status = fs::read_to_string("/proc/thread-self/status").unwrap();
    let effective = status.lines().find_map(|line| line.strip_prefix("CapEff:")).unwrap();
    u64::from_str_radix(effective.trim(), 16).unwrap() >> CAP_NET_RAW & 1 == 1
}

/// Runs this test in a process of its own, through a program that changes what it may do.
fn again(test: &str, through: &mut Command) {
    let command = through.arg(env::current_exe().unwrap()).args(["--exact", test, "--nocapture"]);
    let Output { status, stdout, .. } = command.env(AGAIN, "1").stderr(Stdio::inherit()).output().unwrap();
    let stdout = String::from_utf8_lossy(&stdout);
    assert!(status.success() && stdout.contains("1 passed"), "{test} again: {status}\n{stdout}");
}

type Job = Box<dyn FnOnce() + Send>;

/// A network namespace with its loopback up: that of a thread, which does what it is told.
pub struct Namespace {
    jobs: Option<Sender<Job>>,
    thread: Option<JoinHandle<()>>,
    tid: i32,
}

impl Namespace {
    fn open() -> nix::Result<Self> {
        let (jobs, todo) = channel::<Job>();
        let (made, answer) = channel();
        let thread = thread::spawn(move || {
            made.send(unshare(CloneFlags::CLONE_NEWNET).map(|()| gettid().as_raw())).unwrap();
            todo.iter().for_each(|job| job());
        });
        let tid = answer.recv().unwrap()?;
        Ok(Self { jobs: Some(jobs), thread: Some(thread), tid })
    }

    /// A new one; inside [`isolated`].
    pub fn new() -> Self {
        let namespace = Self::open().unwrap();
        namespace.ip("link set lo up").unwrap();
        namespace
    }

    /// Does something in it; sockets and processes that are made there stay there.
    pub fn run<R: Send + 'static>(&self, f: impl FnOnce() -> R + Send + 'static) -> R {
        let (done, answer) = channel::<Result<R, Box<dyn Any + Send>>>();
        let job = Box::new(move || drop(done.send(catch_unwind(AssertUnwindSafe(f)))));
        self.jobs.as_ref().unwrap().send(job).unwrap();
        answer.recv().unwrap().unwrap_or_else(|panic| resume_unwind(panic))
    }

    /// ip(8)
    pub fn ip(&self, args: &str) -> Result<String, String> {
        let words: Vec<String> = args.split(' ').map(str::to_owned).collect();
        let Output { status, stdout, stderr } = self.run(move || Command::new("ip").args(words).output().unwrap());
        let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
        if status.success() { Ok(text(&stdout)) } else { Err(format!("ip {args}: {}", text(&stderr).trim())) }
    }

    /// Sets what stands in /proc/sys/net.
    pub fn set(&self, name: &str, value: &str) {
        let (path, value) = (format!("/proc/sys/net/{name}"), value.to_owned());
        self.run(move || fs::write(&path, value).unwrap_or_else(|error| panic!("{path}: {error}")));
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        drop(self.jobs.take());
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

/// An address on link `net`: end 1 or 2.
pub fn v4(net: u8, end: u8) -> Ipv4Addr {
    Ipv4Addr::new(10, 66, net, end)
}

/// Likewise.
pub fn v6(net: u8, end: u8) -> Ipv6Addr {
    Ipv6Addr::new(0xfd66, net.into(), 0, 0, 0, 0, 0, end.into())
}

/// A veth pair between two namespaces, addresses included: `veth<net>` is end 1 in `a` and end 2 in `b`. Says so where
/// the kernel has none.
pub fn link(test: &str, net: u8, mtu: u32, a: &Namespace, b: &Namespace) -> bool {
    let name = format!("veth{net}");
    let add = format!("link add {name} mtu {mtu} type veth peer name {name} mtu {mtu} netns {}", b.tid);
    if let Err(error) = a.ip(&add) {
        skipped(format_args!("SKIPPED {test}: {error}"));
        return false;
    }
    for (end, namespace) in [(1, a), (2, b)] {
        let addrs: [(IpAddr, u8); 3] = [
            (v4(net, end).into(), 24),
            (v6(net, end).into(), 64),
            (Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, end.into()).into(), 64),
        ];
        namespace.ip(&format!("link set {name} addrgenmode none")).unwrap();
        for (addr, prefix) in addrs {
            let nodad = if addr.is_ipv6() { " nodad" } else { "" };
            namespace.ip(&format!("addr add {addr}/{prefix} dev {name}{nodad}")).unwrap();
        }
        namespace.ip(&format!("link set {name} up")).unwrap();
    }
    // The kernel starts queues and addresses in its own time; before, packets are lost.
    for (end, namespace) in [(1, a), (2, b)] {
        let up = || namespace.ip(&format!("-o link show {name}")).unwrap().contains("state UP");
        let routes = || namespace.ip("-6 route show table local").unwrap();
        let addrs = [v6(net, end), Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, end.into())];
        let local = |routes: &str| addrs.iter().all(|addr| routes.contains(&format!("local {addr} dev {name} ")));
        assert!((0..5000).any(|_| up() && local(&routes())), "{name} does not come up");
    }
    true
}

/// Two hosts with a router between them: links 1 and 2, `mtu` on the second.
pub fn routed(test: &str, mtu: u32) -> Option<[Namespace; 3]> {
    let hosts = [(); 3].map(|()| Namespace::new());
    let [near, router, far] = &hosts;
    if !link(test, 1, 1500, near, router) || !link(test, 2, mtu, router, far) {
        return None;
    }
    router.set("ipv4/ip_forward", "1");
    router.set("ipv6/conf/all/forwarding", "1");
    for (host, net, end) in [(near, 1, 2), (far, 2, 1)] {
        host.ip(&format!("route add default via {}", v4(net, end))).unwrap();
        host.ip(&format!("route add default via {}", v6(net, end))).unwrap();
    }
    Some(hosts)
}
