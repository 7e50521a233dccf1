//! Network namespaces that a test makes for itself, links between them, and threads without capabilities. They last as
//! long as something in them is open, so nothing is left. An ordinary user has them inside a user namespace, in which
//! the test runs again.

use std::{
    env,
    fs::{self, File},
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6, UdpSocket},
    os::fd::{AsFd, AsRawFd, BorrowedFd},
    panic,
    process::{Command, Output, Stdio},
    thread,
    time::Duration,
};

use ancillary::{SockAddr, interface};
use nix::{
    libc,
    sched::{CloneFlags, setns, unshare},
};
use socket2::{Domain, Protocol, Socket, Type};

use super::{raw, skipped, starting::Start};

const AGAIN: &str = "ANCILLARY_TEST_AGAIN";

/// Under one's own number, since tcpdump gives up that of root.
const AS_USER: [&str; 4] = ["--user", "--map-current-user", "--keep-caps", "--"];

/// Runs `f` in a namespace of its own; where there is no ip(8) to set one up, on the loopback that there is: for what
/// needs no more, and changes nothing.
pub fn on_loopback(test: &str, f: impl FnOnce() + Send) {
    if Command::new("ip").arg("-V").finish().is_err() {
        return f();
    }
    if let Some(host) = Namespace::new(test) {
        host.run(f);
    }
}

/// A network namespace with its loopback up.
pub struct Namespace {
    net: File,
}

impl Namespace {
    /// `None` where there can be none, which is said, and where the test has run again with what it takes.
    pub fn new(test: &str) -> Option<Self> {
        if let Err(error) = Command::new("ip").arg("-V").finish() {
            skipped(format_args!("SKIPPED {test}: ip(8) of iproute2: {error}"));
            return None;
        }
        let made = thread::scope(|scope| scope.spawn(Self::open).join().unwrap());
        match made {
            Ok(made) => {
                made.ip("link set lo up");
                Some(made)
            }
            Err(error) => {
                again_as_user(test, &error);
                None
            }
        }
    }

    fn open() -> io::Result<Self> {
        unshare(CloneFlags::CLONE_NEWNET)?;
        Ok(Self { net: File::open("/proc/thread-self/ns/net")? })
    }

    /// Runs `f` in a thread that is inside; sockets and processes that it makes stay inside.
    pub fn run<R: Send>(&self, f: impl FnOnce() -> R + Send) -> R {
        in_a_thread(|| {
            setns(&self.net, CloneFlags::CLONE_NEWNET).unwrap();
            f()
        })
    }

    /// What ip(8) prints, or why it refuses.
    pub fn try_ip(&self, words: &str) -> Result<String, String> {
        let run = || Command::new("ip").args(words.split(' ')).finish().unwrap();
        let Output { status, stdout, stderr } = self.run(run);
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned();
        if status.success() { Ok(text(&stdout)) } else { Err(format!("ip {words}: {}", text(&stderr))) }
    }

    /// The same for what every kernel can.
    pub fn ip(&self, words: &str) -> String {
        self.try_ip(words).unwrap_or_else(|error| panic!("{error}"))
    }

    /// The same for what a kernel may lack: says so.
    pub fn ip_or_skip(&self, test: &str, words: &str) -> bool {
        let done = self.try_ip(words);
        if let Err(error) = &done {
            skipped(format_args!("SKIPPED {test}: {error}"));
        }
        done.is_ok()
    }

    /// Sets what stands in /proc/sys/net.
    pub fn set(&self, name: &str, value: &str) {
        let path = format!("/proc/sys/net/{name}");
        self.run(|| fs::write(&path, value)).unwrap_or_else(|error| panic!("{path}: {error}"));
    }

    /// Joins `a` here and `b` there by a cable (veth) that lets frames through both ways. `more` is for both ends, as
    /// in `mtu 1400`. Says so where the kernel has none.
    pub fn cable(&self, test: &str, a: &str, other: &Self, b: &str, more: &str) -> bool {
        // The path of a namespace, which ip(8) takes wherever it takes a name.
        let there = format!("/proc/{}/fd/{}", std::process::id(), other.net.as_raw_fd());
        let add = format!("link add {a} {more} type veth peer name {b} {more} netns {there}");
        if !self.ip_or_skip(test, add.replace("  ", " ").trim()) {
            return false;
        }
        for (end, name) in [(self, a), (other, b)] {
            end.ip(&format!("link set {name} addrgenmode none"));
            end.ip(&format!("link set {name} up"));
        }
        frames_pass(&self.run(|| frames(a)), &other.run(|| frames(b)));
        frames_pass(&other.run(|| frames(b)), &self.run(|| frames(a)));
        true
    }
}

impl AsFd for Namespace {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.net.as_fd()
    }
}

fn in_a_thread<R: Send>(f: impl FnOnce() -> R + Send) -> R {
    let result = thread::scope(|scope| scope.spawn(f).join());
    result.unwrap_or_else(|panic| panic::resume_unwind(panic))
}

/// Runs the test of this name in a process of its own, in a user namespace; says so where nobody may.
fn again_as_user(test: &str, why: &io::Error) {
    let skip =
        |error: &str| skipped(format_args!("SKIPPED {test}: no network namespaces ({why}; unshare(1): {error})"));
    if env::var_os(AGAIN).is_some() {
        return skip("not in a user namespace either");
    }
    match Command::new("unshare").args(AS_USER).arg("true").finish() {
        Ok(output) if output.status.success() => {}
        Ok(output) => return skip(String::from_utf8_lossy(&output.stderr).trim()),
        Err(error) => return skip(&error.to_string()),
    }
    let mut command = Command::new("unshare");
    command.args(AS_USER).arg(env::current_exe().unwrap()).args(["--exact", test, "--nocapture"]);
    let Output { status, stdout, .. } =
        command.env(AGAIN, "1").stdout(Stdio::piped()).start().unwrap().wait_with_output().unwrap();
    let stdout = String::from_utf8_lossy(&stdout);
    assert!(status.success() && stdout.contains("1 passed"), "{test} again: {status}\n{stdout}");
}

// capabilities(7)
const CAP_NET_RAW: u32 = 13;

/// Runs `f` in a thread without `CAP_NET_RAW`, even as root.
pub fn without_net_raw<R: Send>(f: impl FnOnce() -> R + Send) -> R {
    without(1 << CAP_NET_RAW, f)
}

/// Runs `f` in a thread without any capability, even as root.
pub fn powerless<R: Send>(f: impl FnOnce() -> R + Send) -> R {
    without(u64::MAX, f)
}

fn without<R: Send>(lost: u64, f: impl FnOnce() -> R + Send) -> R {
    in_a_thread(|| {
        give_up(lost).unwrap();
        let status = fs::read_to_string("/proc/thread-self/status").unwrap();
        let effective = status.lines().find_map(|line| line.strip_prefix("CapEff:")).unwrap();
        assert_eq!(u64::from_str_radix(effective.trim(), 16).unwrap() & lost, 0);
        f()
    })
}

/// capset(2) for this thread.
fn give_up(lost: u64) -> io::Result<()> {
    // struct __user_cap_header_struct: _LINUX_CAPABILITY_VERSION_3, this thread.
    let mut header = [0x2008_0522_u32, 0];
    // Two of struct __user_cap_data_struct: effective, permitted and inheritable, lower halves first.
    let mut sets = [[0u32; 3]; 2];
    let checked = |status| if status == 0 { Ok(()) } else { Err(io::Error::last_os_error()) };
    // SAFETY: both point to initialised memory of the size that this version says, and live until the call returns.
    checked(unsafe { libc::syscall(libc::SYS_capget, header.as_mut_ptr(), sets.as_mut_ptr()) })?;
    for (half, lost) in sets.iter_mut().zip([lost as u32, (lost >> 32) as u32]) {
        half.iter_mut().for_each(|set| *set &= !lost);
    }
    // SAFETY: as above.
    checked(unsafe { libc::syscall(libc::SYS_capset, header.as_mut_ptr(), sets.as_ptr()) })
}

/// How often something is sent before the link it is sent over counts as broken, and how long each is waited for.
const TRIES: u32 = 2000;
const WAIT: Duration = Duration::from_millis(10);

/// A socket for frames of no other protocol (local experimental EtherType 2) over this interface.
fn frames(interface: &str) -> Socket {
    let ethertype = 0x88b6_u16.to_be();
    let socket = Socket::new(Domain::PACKET, Type::RAW, Some(Protocol::from(i32::from(ethertype)))).unwrap();
    // struct sockaddr_ll: family, protocol, interface
    let mut name = [0; 20];
    name[..2].copy_from_slice(&(libc::AF_PACKET as u16).to_ne_bytes());
    name[2..4].copy_from_slice(&ethertype.to_ne_bytes());
    name[4..8].copy_from_slice(&interface::index(interface).unwrap().to_ne_bytes());
    raw::bind(&socket, &SockAddr::from_bytes(&name).unwrap()).unwrap();
    socket.set_read_timeout(Some(WAIT)).unwrap();
    socket
}

/// The kernel starts the queue of a link in its own time; frames sent before are lost.
fn frames_pass(sender: &Socket, receiver: &Socket) {
    let header = [&[0xff; 6][..], &[2, 0, 0, 0, 0, 1], &[0x88, 0xb6]].concat();
    passes(
        |number| sender.send(&[&header[..], &number[..], &[0; 46]].concat()).map(drop),
        |number| read(receiver).map(|frame| frame[14..18] == *number),
    );
}

fn read(mut socket: &Socket) -> io::Result<[u8; 64]> {
    let mut data = [0; 64];
    io::Read::read(&mut socket, &mut data).map(|_| data)
}

/// Sends numbers until one arrives that nothing sent before can follow: the last.
fn passes(send: impl Fn(&[u8; 4]) -> io::Result<()>, receive: impl Fn(&[u8; 4]) -> io::Result<bool>) {
    for number in (0..TRIES).map(u32::to_ne_bytes) {
        send(&number).unwrap();
        loop {
            match receive(&number) {
                Ok(true) => return,
                Ok(false) => {}
                // A frozen process is interrupted, too.
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => break assert_eq!(error.kind(), io::ErrorKind::WouldBlock),
            }
        }
    }
    panic!("none of {TRIES} arrives");
}

/// An address on link `net`: end 1 or 2.
pub fn v4(net: u8, end: u8) -> Ipv4Addr {
    Ipv4Addr::new(10, 66, net, end)
}

/// Likewise.
pub fn v6(net: u8, end: u8) -> Ipv6Addr {
    Ipv6Addr::new(0xfd66, net.into(), 0, 0, 0, 0, 0, end.into())
}

/// Likewise, on any link.
pub fn link_local(end: u8) -> Ipv6Addr {
    Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, end.into())
}

/// A cable between two namespaces, addresses included: `veth<net>` is end 1 in `a` and end 2 in `b`. Says so where the
/// kernel has none.
pub fn link(test: &str, net: u8, mtu: u32, a: &Namespace, b: &Namespace) -> bool {
    let name = format!("veth{net}");
    if !a.cable(test, &name, b, &name, &format!("mtu {mtu}")) {
        return false;
    }
    let mut families: Vec<fn(u8, u8) -> IpAddr> = vec![|net, end| v4(net, end).into()];
    if super::v6().is_ok() {
        families.push(|net, end| v6(net, end).into());
        families.push(|_, end| link_local(end).into());
    }
    for addr in families {
        for (end, namespace) in [(1, a), (2, b)] {
            let options = if addr(net, end).is_ipv6() { "/64 nodad" } else { "/24" };
            namespace.ip(&format!("addr add {}{options} dev {name}", addr(net, end)));
        }
        let [one, two] = [(a, 1), (b, 2)].map(|(namespace, end)| namespace.run(|| bound(addr(net, end), &name)));
        for (from, to) in [(&one, &two), (&two, &one)] {
            // The zone is that of the sender's namespace.
            let mut at = to.local_addr().unwrap();
            if let (SocketAddr::V6(at), SocketAddr::V6(own)) = (&mut at, from.local_addr().unwrap()) {
                at.set_scope_id(own.scope_id());
            }
            passes(
                |number| from.send_to(number, at).map(drop),
                |number| {
                    let mut data = [0; 4];
                    to.recv(&mut data).map(|_| data == *number)
                },
            );
        }
    }
    true
}

/// Tried again while the address is not ready, which the kernel makes it in its own time.
fn bound(addr: IpAddr, interface: &str) -> UdpSocket {
    let addr = match addr {
        IpAddr::V6(ip) if ip.is_unicast_link_local() => {
            SocketAddrV6::new(ip, 0, 0, interface::index(interface).unwrap()).into()
        }
        ip => SocketAddr::new(ip, 0),
    };
    let mut error = None;
    for _ in 0..TRIES {
        match UdpSocket::bind(addr) {
            Ok(socket) => {
                socket.set_read_timeout(Some(WAIT)).unwrap();
                return socket;
            }
            Err(refused) => error = Some(refused),
        }
        thread::yield_now();
    }
    panic!("{addr}: {error:?}")
}

/// Two hosts with a router between them: links 1 and 2, `mtu` on the second.
pub fn routed(test: &str, mtu: u32) -> Option<[Namespace; 3]> {
    let hosts = [Namespace::new(test)?, Namespace::new(test)?, Namespace::new(test)?];
    let [near, router, far] = &hosts;
    if !link(test, 1, 1500, near, router) || !link(test, 2, mtu, router, far) {
        return None;
    }
    let with_v6 = super::v6().is_ok();
    router.set("ipv4/ip_forward", "1");
    if with_v6 {
        router.set("ipv6/conf/all/forwarding", "1");
    }
    for (host, net, end) in [(near, 1, 2), (far, 2, 1)] {
        host.ip(&format!("route add default via {}", v4(net, end)));
        if with_v6 {
            host.ip(&format!("route add default via {}", v6(net, end)));
        }
    }
    Some(hosts)
}
