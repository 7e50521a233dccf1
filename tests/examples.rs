//! Every example runs, by itself and in time; `cmsgdump` says what python3, nc and dig sent.

mod common;

use std::{
    io::{BufRead, BufReader, Write},
    net::UdpSocket,
    process::{Command, Stdio},
    sync::mpsc::{self, Receiver},
    thread,
    time::Instant,
};

use common::{
    has_v6,
    programs::{Program, TIMEOUT, absent, drain, example, names, run},
    skipped,
    starting::Start,
};

/// How a time of arrival begins: with a name of its own where an integer has 32 bits, and a time more.
const NANOSECONDS: &str = if cfg!(target_pointer_width = "32") { "{SO_TIMESTAMPNS_NEW " } else { "{SCM_TIMESTAMPNS " };

#[test]
fn every_example_runs() {
    // cmsgdump has the tests below.
    let names: Vec<_> = names().into_iter().filter(|name| name != "cmsgdump").collect();
    assert!(names.len() >= 8, "{names:?}");
    for name in names {
        let mut command = Command::new(example(&name));
        if matches!(&*name, "udp_server" | "uring_echo") {
            command.arg("--once");
        }
        let (out, err, success) = run(&mut command);
        assert!(success, "{name} failed:\n{out}\n{err}");
        assert!(!out.trim().is_empty(), "{name} printed nothing");
    }
}

/// Through a router, in namespaces of its own.
#[test]
#[cfg(target_os = "linux")]
fn traceroute_names_every_hop() {
    let Some([near, _router, _far]) = common::namespace::routed("traceroute_names_every_hop", 1500) else { return };
    let far = common::namespace::v4(2, 2).to_string();
    let program = example("traceroute");
    let (out, err, success) = near.run(|| run(Command::new(program).arg(&far)));
    assert!(success, "{err}");
    let hops: Vec<_> = out.lines().map(|line| line.split(" (").next().unwrap().trim()).collect();
    let router = common::namespace::v4(1, 2);
    let expected = [format!("1  hop limit exceeded, says {router}"), format!("2  port unreachable, says {far}")];
    assert_eq!(hops, expected);
}

#[test]
#[cfg(target_os = "linux")]
fn hop_options_says_which_privilege_is_missing() {
    let name = "hop_options_says_which_privilege_is_missing";
    if !has_v6(name) || absent("setpriv", "--version") {
        return;
    }
    let mut command = Command::new("setpriv");
    if nix::unistd::geteuid().is_root() {
        command.args(["--inh-caps", "-net_raw", "--bounding-set", "-net_raw"]);
    }
    let (out, err, success) = run(command.arg(example("hop_options")));
    assert!(success && err.is_empty(), "{out}{err}");
    assert!(out.starts_with("to send options takes CAP_NET_RAW") && out.lines().count() == 1, "{out}");
}

/// From one namespace to another, by a link-local address.
#[test]
#[cfg(target_os = "linux")]
fn hop_options_arrive_at_the_other_host() {
    use common::namespace::{Namespace, link, link_local};
    let name = "hop_options_arrive_at_the_other_host";
    if !has_v6(name) {
        return;
    }
    let (Some(near), Some(far)) = (Namespace::new(name), Namespace::new(name)) else { return };
    if !link(name, 1, 1500, &near, &far) {
        return;
    }
    let program = example("hop_options");
    let mut listener = Command::new(&program);
    listener.arg("listen").stdin(Stdio::null()).stdout(Stdio::piped());
    let mut listener = Program(far.run(|| listener.start()).expect("it starts"));
    let out = drain(listener.0.stdout.take().expect("piped"));
    let to = format!("{}%veth1", link_local(2));
    // Until it listens nothing arrives; one arrives at most.
    let start = Instant::now();
    while listener.0.try_wait().expect("wait").is_none() {
        let (sent, err, success) = near.run(|| run(Command::new(&program).arg(&to)));
        assert!(
            success && sent.starts_with(&format!("5 bytes sent to {to}, with 24 bytes: 00 02 05 02 ")),
            "{sent}{err}"
        );
        assert!(start.elapsed() < TIMEOUT, "nothing arrives");
    }
    let out = out.join().expect("no panic");
    let from = format!("5 bytes from {}%veth1, with", link_local(1));
    let expected = [&from, "  option 0x05: \"\\x00\\x00\"", "  option 0x1e: \"for experiments\""];
    assert_eq!(out.lines().collect::<Vec<_>>(), expected);
}

/// Through a router and to a neighbour, by a raw socket and by that of an ordinary user.
#[test]
#[cfg(target_os = "linux")]
fn ping6_says_who_answers_where_and_over_how_many_hops() {
    use common::{
        kinds::let_ping,
        namespace::{link_local, routed, v6},
    };
    let name = "ping6_says_who_answers_where_and_over_how_many_hops";
    if !has_v6(name) {
        return;
    }
    let Some([near, _router, _far]) = routed(name, 1500) else { return };
    let program = example("ping6");
    let user = || {
        let mut command = Command::new("setpriv");
        command.args(["--inh-caps", "-net_raw", "--bounding-set", "-net_raw"]).arg(&program);
        command
    };
    let by = |mut command: Command, to: &str| near.run(|| run(command.args([to, "2"])));
    let answered = |(out, err, success): (String, String, bool), expected: &str, kind: &str| {
        assert!(success && err.is_empty(), "{out}{err}");
        let found: Vec<_> = out.lines().map(|line| line.rsplit_once(", ").unwrap().0).collect();
        assert_eq!(found, [format!("1: {expected}"), format!("2: {expected}"), "2 sent, 2 answered".into()]);
        assert!(out.ends_with(&format!(", by a {kind} socket\n")), "{out}");
    };
    // What goes out with 64 comes back with one less for the router.
    let through = (v6(2, 2).to_string(), format!("16 bytes from {} to {} on veth1, 63 hops left", v6(2, 2), v6(1, 1)));
    let direct = format!("{}%veth1", link_local(2));
    let direct = (direct.clone(), format!("16 bytes from {direct} to {} on veth1, 64 hops left", link_local(1)));
    for (to, expected) in [&through, &direct] {
        answered(by(Command::new(&program), to), expected, "raw");
    }
    let (out, err, success) = by(Command::new(&program), &v6(1, 99).to_string());
    assert!(!success && out == "2 sent, 0 answered, by a raw socket\n" && err.contains("no answer"), "{out}{err}");

    if absent("setpriv", "--version") {
        return;
    }
    // In a new namespace no group may ping.
    let (out, err, success) = by(user(), &through.0);
    assert!(success && err.is_empty() && out.starts_with("it takes CAP_NET_RAW, or"), "{out}{err}");
    let_ping(&near);
    for (to, expected) in [&through, &direct] {
        answered(by(user(), to), expected, "ping");
    }
}

/// Many clients at once, each of which hears only the address that it asked; more than there are buffers.
#[test]
#[cfg(target_os = "linux")]
fn uring_echo_answers_everyone_from_the_address_asked() {
    use ancillary::{ControlBuf, MsgHdr, SocketExt, message::HopLimit};
    use common::pairs::bound;
    let name = "uring_echo_answers_everyone_from_the_address_asked";
    if !has_v6(name) {
        return;
    }
    let mut server = Command::new(example("uring_echo"));
    server.arg("0").stdin(Stdio::null()).stdout(Stdio::piped());
    let mut server = Program(server.start().expect("it starts"));
    let mut lines = BufReader::new(server.0.stdout.take().expect("piped")).lines();
    let mut line = || lines.next().map_or(String::new(), |line| line.expect("text"));
    let first = line();
    let Some(port) = first.strip_prefix("serving port ") else {
        return skipped(format_args!("SKIPPED {name}: {first}"));
    };
    let port: u16 = port.parse().expect("a port");
    // What it prints is read, or the pipe fills; if it ends, so does this.
    let printed = thread::spawn(move || lines.map_while(Result::ok).collect::<Vec<_>>());
    let clients = ["127.0.0.1", "127.0.0.53", "127.1.2.3", "::1"].map(|to| {
        thread::spawn(move || {
            let client = bound(if to == "::1" { "[::]:0" } else { "0.0.0.0:0" });
            client.connect((to, port)).unwrap();
            client.enable::<HopLimit>().unwrap();
            let mut control = ControlBuf::<HopLimit>::new();
            for hops in 1..=100 {
                let data = vec![hops; 13 * usize::from(hops)];
                MsgHdr::new().data(&data).control(HopLimit(hops)).send(&client).unwrap();
                let mut answer = [0; 2048];
                let answer = match client.recv_msg(&mut answer, &mut control) {
                    Ok(answer) => answer,
                    Err(error) => return Err(error.to_string()),
                };
                assert_eq!(answer.data(), [b"you said ", &*data].concat());
                assert_eq!(answer.extract(), Some(HopLimit(hops)));
            }
            Ok(())
        })
    });
    let done = clients.map(|client| client.join().expect("no panic"));
    let ended = server.0.try_wait().expect("wait").is_some();
    drop(server);
    let printed = printed.join().expect("no panic");
    if ended && done.iter().all(Result::is_err) {
        return skipped(format_args!("SKIPPED {name}: {printed:?}"));
    }
    assert_eq!(done, [const { Ok(()) }; 4]);
    let received = |addr: &str| printed.iter().filter(|line| line.contains(addr)).count();
    for (addr, limit) in [("::ffff:127.0.0.53 if ", "{IP_TTL "), ("{IPV6_PKTINFO ::1 if ", "{IPV6_HOPLIMIT ")] {
        assert_eq!(received(addr), 100, "{printed:?}");
        assert!(printed.iter().any(|line| line.contains(addr) && line.contains(limit)));
    }
}

#[test]
fn cmsgdump_explains_its_arguments() {
    for arguments in [&["port"][..], &["--count"], &["--count", "many"], &["65536"], &["--png"]] {
        let (out, err, success) = run(Command::new(example("cmsgdump")).args(arguments));
        assert!(!success && out.is_empty() && err.starts_with("usage: "), "{arguments:?}: {out} {err}");
    }
}

struct Dump {
    process: Program,
    lines: Receiver<String>,
    port: String,
}

impl Dump {
    fn start(count: usize) -> Self {
        let mut command = Command::new(example("cmsgdump"));
        command.args(["0", "--count", &count.to_string()]).stdin(Stdio::null()).stdout(Stdio::piped());
        let mut process = Program(command.start().expect("cmsgdump starts"));
        let out = BufReader::new(process.0.stdout.take().expect("piped"));
        let (sender, lines) = mpsc::channel();
        thread::spawn(move || out.lines().map_while(Result::ok).try_for_each(|line| sender.send(line)));
        let mut dump = Self { process, lines, port: String::new() };
        dump.port = dump.line();
        assert!(dump.port.parse::<u16>().is_ok_and(|port| port > 0), "the first line is the port: {:?}", dump.port);
        dump
    }

    fn line(&self) -> String {
        self.lines.recv_timeout(TIMEOUT).unwrap_or_else(|error| panic!("no line from cmsgdump: {error}"))
    }

    fn end(mut self) {
        assert!(self.process.wait("cmsgdump").success());
        assert_eq!(self.lines.iter().next(), None, "more lines than datagrams");
    }
}

#[track_caller]
fn assert_all(line: &str, parts: &[&str]) {
    for part in parts {
        assert!(line.contains(part), "no {part:?} in {line}");
    }
}

/// Sends one datagram after another with options set; prints the port of each socket.
const PYTHON: &str = r#"
import socket, sys
port, data = int(sys.argv[1]), b'tab\there "quoted" \xff\x00'
def send(family, to, options):
    s = socket.socket(family, socket.SOCK_DGRAM)
    for option in options: s.setsockopt(*option)
    s.sendto(data, (to, port))
    print(s.getsockname()[1])
    s.close()
V4, V6 = socket.IPPROTO_IP, socket.IPPROTO_IPV6
send(socket.AF_INET, '127.0.0.1', [(V4, socket.IP_TTL, 77), (V4, socket.IP_TOS, 40)])
send(socket.AF_INET6, '::1', [(V6, socket.IPV6_UNICAST_HOPS, 33), (V6, socket.IPV6_TCLASS, 40)])
send(socket.AF_INET, '127.0.0.42', [(V4, socket.IP_TTL, 1), (V4, socket.IP_TOS, 0xb8)])
send(socket.AF_INET6, '::1', [(V6, socket.IPV6_UNICAST_HOPS, 255), (V6, socket.IPV6_TCLASS, 0xff)])
"#;

#[test]
fn cmsgdump_says_what_python_set() {
    if absent("python3", "--version") || !has_v6("cmsgdump_says_what_python_set") {
        return;
    }
    let dump = Dump::start(4);
    let (out, err, success) = run(Command::new("python3").args(["-c", PYTHON, &dump.port]));
    assert!(success, "{err}");
    let ports: Vec<&str> = out.lines().collect();
    assert_eq!(ports.len(), 4, "{out}");
    for (port, (host, parts)) in ports.into_iter().zip([
        ("[::ffff:127.0.0.1]", ["{IPV6_PKTINFO ::ffff:127.0.0.1 if ", "{IP_TTL 77}", "{IP_TOS 0x28}"]),
        ("[::1]", ["{IPV6_PKTINFO ::1 if ", "{IPV6_HOPLIMIT 33}", "{IPV6_TCLASS 0x28}"]),
        ("[::ffff:127.0.0.1]", ["{IPV6_PKTINFO ::ffff:127.0.0.42 if ", "{IP_TTL 1}", "{IP_TOS 0xb8}"]),
        ("[::1]", ["{IPV6_PKTINFO ::1 if ", "{IPV6_HOPLIMIT 255}", "{IPV6_TCLASS 0xff}"]),
    ]) {
        let line = dump.line();
        assert_all(&line, &parts);
        assert_all(&line, &["Received { 20 bytes, ", &format!("from: {host}:{port}, "), NANOSECONDS]);
        assert!(line.ends_with("\"tab\\there \\\"quoted\\\" \\xff\\x00\""), "{line}");
        assert!(!line.contains("TRUNC"), "{line}");
        assert_eq!(line.matches('{').count(), 5, "each message once: {line}");
    }
    dump.end();
}

/// Every byte is drawn once, and every message named.
#[test]
fn cmsgdump_draws_the_control_buffer() {
    if !has_v6("cmsgdump_draws_the_control_buffer") {
        return;
    }
    let mut command = Command::new(example("cmsgdump"));
    command.args(["0", "--svg"]).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut process = Program(command.start().expect("cmsgdump starts"));
    let out = drain(process.0.stdout.take().expect("piped"));
    let mut port = String::new();
    BufReader::new(process.0.stderr.take().expect("piped")).read_line(&mut port).expect("a line");
    let client = UdpSocket::bind("127.0.0.1:0").expect("a socket");
    client.set_ttl(9).expect("a time to live");
    client.send_to(b"drawn", format!("127.0.0.1:{}", port.trim())).expect("sent");
    assert!(process.wait("cmsgdump").success());

    let drawn = out.join().expect("no panic");
    assert!(drawn.starts_with("<svg ") && drawn.trim_end().ends_with("</svg>"), "{drawn}");
    let parts = [NANOSECONDS, "{IPV6_PKTINFO ::ffff:127.0.0.1 if ", "{IP_TTL 9}", "{IP_TOS 0x00}"];
    assert_all(&drawn, &parts);
    let title = drawn.split("msg_controllen ").nth(1).and_then(|rest| rest.split(' ').next()).expect("a length");
    let (background, bytes) = (1, title.parse::<usize>().expect("a number"));
    assert_eq!(drawn.matches("<rect ").count(), background + bytes, "{drawn}");
}

#[test]
fn cmsgdump_hears_nc() {
    if absent("nc", "-h") || !has_v6("cmsgdump_hears_nc") {
        return;
    }
    let dump = Dump::start(2);
    for (to, parts) in [
        ("127.0.0.1", ["{IPV6_PKTINFO ::ffff:127.0.0.1 if ", "{IP_TTL ", "{IP_TOS 0x00}"]),
        ("::1", ["{IPV6_PKTINFO ::1 if ", "{IPV6_HOPLIMIT ", "{IPV6_TCLASS 0x00}"]),
    ] {
        let mut nc = Command::new("nc");
        nc.args(["-u", to, &dump.port]).stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
        let mut nc = Program(nc.start().expect("nc starts"));
        nc.0.stdin.as_mut().expect("piped").write_all(b"hello from nc\n").expect("nc reads");
        let line = dump.line();
        assert_all(&line, &parts);
        assert_all(&line, &["Received { 14 bytes, ", "\"hello from nc\\n\""]);
    }
    dump.end();
}

#[test]
fn cmsgdump_hears_dig() {
    if absent("dig", "-v") || !has_v6("cmsgdump_hears_dig") {
        return;
    }
    let dump = Dump::start(2);
    for (to, parts) in [("127.0.0.1", ["::ffff:127.0.0.1 if ", "{IP_TTL "]), ("::1", ["::1 if ", "{IPV6_HOPLIMIT "])] {
        let mut dig = Command::new("dig");
        dig.args([&format!("@{to}"), "-p", &dump.port, "+tries=1", "+time=1", "+noedns", "cmsg.example", "TXT"]);
        dig.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        // It waits in vain for an answer.
        let _dig = Program(dig.start().expect("dig starts"));
        let line = dump.line();
        assert_all(&line, &parts);
        // Header of 12 bytes, name of 14, type TXT (16), class IN.
        assert_all(&line, &["Received { 30 bytes, ", "\\x04cmsg\\x07example\\x00\\x00\\x10\\x00\\x01\""]);
    }
    dump.end();
}
