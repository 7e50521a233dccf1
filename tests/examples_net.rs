//! The examples that need a network: hosts with routers between them, in namespaces of their own.
#![cfg(target_os = "linux")]

mod common;

use std::{
    net::{IpAddr, SocketAddr, UdpSocket},
    process::Command,
    thread,
};

use common::{
    has_v6,
    kinds::let_ping,
    namespace::{Namespace, link, routed, v4, v6},
    pairs::bound,
    programs::{absent, example, run},
    running::Running,
    skipped,
};

/// The addresses of one end of a link, in the families that there are.
fn addrs(test: &str, net: u8, end: u8) -> Vec<IpAddr> {
    let v4 = IpAddr::from(v4(net, end));
    if has_v6(test) { vec![v4, v6(net, end).into()] } else { vec![v4] }
}

/// Two hosts with two routers between them: links 1, 2 and 3.
fn two_routers(test: &str) -> Option<[Namespace; 4]> {
    let hosts = [Namespace::new(test)?, Namespace::new(test)?, Namespace::new(test)?, Namespace::new(test)?];
    let [near, first, second, far] = &hosts;
    if !link(test, 1, 1500, near, first) || !link(test, 2, 1500, first, second) || !link(test, 3, 1500, second, far) {
        return None;
    }
    for router in [first, second] {
        router.set("ipv4/ip_forward", "1");
        if has_v6(test) {
            router.set("ipv6/conf/all/forwarding", "1");
        }
    }
    for (host, to, net, end) in
        [(near, "default", 1, 2), (first, "default", 2, 2), (far, "default", 3, 1), (second, "near", 2, 1)]
    {
        for via in addrs(test, net, end) {
            let to = match (to, via) {
                ("near", IpAddr::V4(_)) => format!("{}/24", v4(1, 0)),
                ("near", IpAddr::V6(_)) => format!("{}/64", v6(1, 0)),
                (to, _) => to.to_owned(),
            };
            host.ip(&format!("route add {to} via {via}"));
        }
    }
    Some(hosts)
}

/// A program without any capability, even as root; nothing where it cannot be had.
fn powerless(program: &str) -> Option<Command> {
    if absent("setpriv", "--version") {
        return None;
    }
    let mut command = Command::new("setpriv");
    command.args(["--ambient-caps", "-all", "--inh-caps", "-all", "--bounding-set", "-all"]).arg(example(program));
    Some(command)
}

/// Lines without the time at their end, which is in parentheses or behind a comma.
fn untimed(out: &str) -> Vec<&str> {
    out.lines().map(|line| line.rsplit_once(" (").or(line.rsplit_once(", ")).map_or(line, |(text, _)| text)).collect()
}

#[test]
fn traceroute_names_two_routers_in_both_families_without_a_capability() {
    let test = "traceroute_names_two_routers_in_both_families_without_a_capability";
    let Some([near, _first, _second, _far]) = two_routers(test) else { return };
    let routers = [addrs(test, 1, 2), addrs(test, 2, 2)];
    for (at, far) in addrs(test, 3, 2).into_iter().enumerate() {
        let Some(mut command) = powerless("traceroute") else { return };
        let (out, err, success) = near.run(|| run(command.arg(far.to_string())));
        assert!(success, "{out}{err}");
        let expected = [
            format!(" 1  hop limit exceeded, says {}", routers[0][at]),
            format!(" 2  hop limit exceeded, says {}", routers[1][at]),
            format!(" 3  port unreachable, says {far}"),
        ];
        assert_eq!(untimed(&out), expected);
    }
}

#[test]
fn ping_says_who_answers_and_who_says_why_not_without_a_capability() {
    let test = "ping_says_who_answers_and_who_says_why_not_without_a_capability";
    let Some([near, first, second, _far]) = two_routers(test) else { return };
    let ping = |arguments: &[&str], expected: &[String]| {
        let Some(mut command) = powerless("ping") else { return };
        let (out, err, success) = near.run(|| run(command.args(arguments)));
        assert!(success && err.is_empty(), "{out}{err}");
        // The last line has no time.
        let (lines, last) = out.trim_end().rsplit_once('\n').unwrap_or(("", out.trim_end()));
        let mut found = untimed(lines);
        found.push(last);
        assert_eq!(found, expected, "{arguments:?}");
    };
    let target = v4(3, 2).to_string();
    ping(&[&target], &["it takes a group in net.ipv4.ping_group_range: Permission denied (os error 13)".to_owned()]);
    let_ping(&near);
    for (at, far) in addrs(test, 3, 2).into_iter().enumerate() {
        let far = far.to_string();
        let answered = format!("16 bytes from {far}, 62 hops left");
        let all = [format!("1: {answered}"), format!("2: {answered}"), "2 sent, 2 answered".to_owned()];
        ping(&[&far, "2"], &all);
        for (hops, router) in [("1", addrs(test, 1, 2)[at]), ("2", addrs(test, 2, 2)[at])] {
            let said = format!("1: hop limit exceeded, says {router}");
            ping(&[&far, "1", hops], &[said, "1 sent, 0 answered".to_owned()]);
        }
    }
    // Where the second router has no route, and says so.
    let nowhere: [IpAddr; 2] = [[10, 99, 0, 1].into(), "fd99::1".parse().unwrap()];
    for (nowhere, router) in nowhere.into_iter().zip(addrs(test, 2, 2)) {
        let said = format!("1: network unreachable, says {router}");
        ping(&[&nowhere.to_string(), "1"], &[said, "1 sent, 0 answered".to_owned()]);
    }
    drop((first, second));
}

/// A port where a program listens that prints it behind these words.
fn port(running: &Running, words: &str) -> u16 {
    let said = running.until(words);
    said.trim().rsplit([' ', ':']).next().and_then(|port| port.parse().ok()).unwrap_or_else(|| panic!("{said}"))
}

/// A question for the address of a name, with an id.
fn query(id: u8, ty: u8) -> Vec<u8> {
    [&[0, id, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0][..], b"\x04some\x04name\x00", &[0, ty, 0, 1]].concat()
}

#[test]
fn a_name_server_answers_many_from_the_address_that_each_asked() {
    let test = "a_name_server_answers_many_from_the_address_that_each_asked";
    let mut command = Command::new(example("dns_server"));
    command.arg("0");
    let Some(server) = Running::here(test, command) else { return };
    let port = port(&server, "serving port ");
    let mut asked: Vec<IpAddr> = (1..=40).map(|host| [127, 0, 9, host].into()).collect();
    if has_v6(test) {
        asked.resize(50, "::1".parse().unwrap());
    }
    // What is no question gets no answer, and harms nobody.
    let stranger = bound("127.0.0.1:0");
    let plain = query(1, 1);
    let mut bad: Vec<Vec<u8>> = (0..plain.len()).map(|len| plain[..len].to_vec()).collect();
    bad.push([&plain[..2], &[0x80], &plain[3..]].concat()); // an answer
    bad.push([&plain[..12], &[63; 80]].concat()); // a name without an end
    bad.push([&plain[..12], &[0xc0, 12, 0, 1, 0, 1]].concat()); // a name that is itself
    for bad in &bad {
        stranger.send_to(bad, ("127.0.0.1", port)).unwrap();
    }

    let clients: Vec<_> = (0..)
        .zip(&asked)
        .map(|(id, &addr)| {
            let client = bound((addr, 0));
            client.connect((addr, port)).unwrap();
            client.send(&query(id, if addr.is_ipv4() { 1 } else { 28 })).unwrap();
            (id, addr, client)
        })
        .collect();
    for (id, addr, client) in clients {
        let mut data = [0; 512];
        let len = client.recv(&mut data).unwrap();
        let octets = match addr {
            IpAddr::V4(addr) => addr.octets().to_vec(),
            IpAddr::V6(addr) => addr.octets().to_vec(),
        };
        // One question, one answer, no error.
        assert_eq!(data[..8], [0, id, 0x85, 0, 0, 1, 0, 1]);
        assert!(data[..len].ends_with(&[&[0, octets.len() as u8], &octets[..]].concat()), "{:?}", &data[..len]);
    }
    stranger.set_nonblocking(true).unwrap();
    let answer = stranger.recv(&mut [0; 512]);
    assert_eq!(answer.unwrap_err().kind(), std::io::ErrorKind::WouldBlock);
}

#[test]
fn a_name_server_is_understood_by_dig() {
    let test = "a_name_server_is_understood_by_dig";
    if absent("dig", "-v") {
        return;
    }
    let mut command = Command::new(example("dns_server"));
    command.arg("0");
    let Some(server) = Running::here(test, command) else { return };
    let port = port(&server, "serving port ").to_string();
    let mut cases = vec![("127.0.0.53", "A", "127.0.0.53\n"), ("127.0.0.53", "AAAA", "")];
    if has_v6(test) {
        cases.extend([("::1", "AAAA", "::1\n"), ("::1", "A", "")]);
    }
    for (addr, ty, expected) in cases {
        let mut dig = Command::new("dig");
        dig.args([&format!("@{addr}"), "-p", &port, "+tries=2", "+time=5", "+noedns", "+short", "any.example", ty]);
        let (out, err, success) = run(&mut dig);
        assert!(success, "{out}{err}");
        assert_eq!(out, expected, "{addr} {ty}");
    }
}

#[test]
fn one_way_delays_between_two_hosts_fill_a_histogram() {
    let test = "one_way_delays_between_two_hosts_fill_a_histogram";
    let (Some(near), Some(far)) = (Namespace::new(test), Namespace::new(test)) else { return };
    if !link(test, 1, 1500, &near, &far) {
        return;
    }
    let program = example("one_way_delay");
    for addr in addrs(test, 1, 2) {
        let addr = SocketAddr::from((addr, 0)).to_string();
        let Some(server) = Running::start(test, &far, program.to_str().unwrap(), &["serve", &addr]) else { return };
        let port = port(&server, "listening at ");
        let to = addr.replace(":0", &format!(":{port}")).replace("::2]:0", &format!("::2]:{port}"));
        let (out, err, success) = near.run(|| run(Command::new(&program).args([&to, "100"])));
        assert!(success && err.is_empty(), "{out}{err}");
        let mut lines = out.lines();
        let first = lines.next().unwrap();
        let stamped = first.split_once(" sent, ").and_then(|(_, rest)| rest.split(' ').next()?.parse().ok());
        let stamped: usize = stamped.unwrap_or_else(|| panic!("{out}"));
        assert_eq!(stamped, 100, "{out}");
        // Each is counted once.
        let counted = lines.map(|line| {
            let words: Vec<_> = line.split_whitespace().collect();
            let count = if line.contains("before they were sent") { words[0] } else { words[4] };
            count.parse::<usize>().unwrap()
        });
        assert_eq!(counted.sum::<usize>(), stamped, "{out}");
    }
}

#[test]
fn one_who_asks_for_hardware_stamps_is_told_that_there_are_none() {
    let test = "one_who_asks_for_hardware_stamps_is_told_that_there_are_none";
    let (Some(near), Some(far)) = (Namespace::new(test), Namespace::new(test)) else { return };
    if !link(test, 1, 1500, &near, &far) {
        return;
    }
    let Some(server) = Running::start(test, &far, example("udp_server").to_str().unwrap(), &["0"]) else { return };
    let port = port(&server, "serving port ");
    for addr in addrs(test, 1, 2) {
        let to = SocketAddr::from((addr, port)).to_string();
        let program = example("hardware_stamps");
        let (out, err, success) = near.run(|| run(Command::new(program).args(["veth1", &to])));
        assert!(success && err.is_empty(), "{out}{err}");
        let lines: Vec<_> = out.lines().collect();
        assert!(lines[0].starts_with("clocks of this machine: "), "{out}");
        for flag in ["TX_HARDWARE", "RX_HARDWARE", "RAW_HARDWARE", "TX_SOFTWARE", "OPT_TX_SWHW"] {
            assert!(lines[1].contains(flag), "{flag}: {out}");
        }
        // The stamps are those of the system, and no card's.
        assert!(lines[2].starts_with("sent: software "), "{out}");
        assert!(lines[2].ends_with(", no hardware"), "{out}");
        assert!(lines[3].starts_with("25 bytes received: software "), "{out}");
        assert!(lines[3].ends_with(", no hardware, by no card"), "{out}");
        assert!(lines[4].starts_with("clock 0 cannot be bound: ") && lines.len() == 5, "{out}");
    }
}

/// Answers with who asks, as it sees him.
fn answer_with_the_peer(socket: UdpSocket) {
    thread::spawn(move || {
        let mut data = [0; 64];
        while let Ok((_, from)) = socket.recv_from(&mut data) {
            let _ = socket.send_to(from.ip().to_string().as_bytes(), from);
        }
    });
}

/// A client at one end asks a server at the other, which sees the router; the client hears the server.
fn through_the_proxy(test: &str, [near, router, far]: &[Namespace; 3], proxy: &Running, port: u16) {
    let _ = router;
    for ((server, seen), client) in addrs(test, 2, 2).into_iter().zip(addrs(test, 2, 1)).zip(addrs(test, 1, 1)) {
        let there = far.run(|| bound((server, port)));
        let to = there.local_addr().unwrap();
        answer_with_the_peer(there);
        let here = near.run(|| bound((client, 0)));
        // It hears nobody but whom it asks.
        here.connect(to).unwrap();
        here.send(b"question").unwrap();
        let mut data = [0; 64];
        let len = here.recv(&mut data).unwrap();
        assert_eq!(String::from_utf8_lossy(&data[..len]), seen.to_string(), "the proxy asks in its own name");
        let asked = format!("{} asked {to}: 8 bytes, answered with {len}", here.local_addr().unwrap());
        proxy.until(&asked);
    }
}

/// What brings to the router's own sockets whatever comes over link 1.
fn divert(test: &str, router: &Namespace, selector: &str) -> bool {
    let families = if has_v6(test) { &["", "-6 "][..] } else { &[""] };
    families.iter().all(|family| {
        router.ip_or_skip(test, &format!("{family}rule add {selector} lookup 100"))
            && router.ip_or_skip(test, &format!("{family}route add local default dev lo table 100"))
    })
}

#[test]
fn a_transparent_proxy_answers_in_the_name_of_the_server() {
    let test = "a_transparent_proxy_answers_in_the_name_of_the_server";
    let Some(hosts) = routed(test, 1500) else { return };
    if !divert(test, &hosts[1], "iif veth1") {
        return;
    }
    let program = example("transparent_proxy");
    let Some(proxy) = Running::start(test, &hosts[1], program.to_str().unwrap(), &["5353"]) else { return };
    assert_eq!(port(&proxy, "taking datagrams for port "), 5353);
    through_the_proxy(test, &hosts, &proxy, 5353);
}

/// By a rule of the firewall, to a port of the proxy's own.
#[test]
fn a_transparent_proxy_may_have_another_port_than_the_servers() {
    let test = "a_transparent_proxy_may_have_another_port_than_the_servers";
    if absent("nft", "--version") {
        return;
    }
    let Some(hosts) = routed(test, 1500) else { return };
    if !divert(test, &hosts[1], "fwmark 1") {
        return;
    }
    let rules = ["ip", "ip6"].map(|family| {
        let of = if family == "ip" { "ipv4" } else { "ipv6" };
        format!("meta nfproto {of} iifname \"veth1\" udp dport 5353 tproxy {family} to :5454 meta mark set 1 accept")
    });
    let hook = "type filter hook prerouting priority mangle;";
    let table = format!("table inet proxy {{ chain divert {{ {hook} {}\n{}\n}}\n}}", rules[0], rules[1]);
    let (out, err, success) = hosts[1].run(|| run(Command::new("nft").arg(&table)));
    if !success {
        return skipped(format_args!("SKIPPED {test}: no rules of TPROXY: {out}{err}"));
    }
    let program = example("transparent_proxy");
    let Some(proxy) = Running::start(test, &hosts[1], program.to_str().unwrap(), &["5454"]) else { return };
    assert_eq!(port(&proxy, "taking datagrams for port "), 5454);
    through_the_proxy(test, &hosts, &proxy, 5353);
}
