//! What was sent, as other programs see it: tcpdump on the link, socat at the other end; and a descriptor from nc.

#![cfg(target_os = "linux")]

mod common;

use std::{
    fs::File,
    io::{Read, Write},
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener},
    os::fd::OwnedFd,
    process::{Command, Stdio},
};

use ancillary::{
    ControlBuf, ControlList, MsgHdr, SendControl, SocketExt,
    message::{
        Ecn, HopLimit, IpRetOpts, IpTos, IpTtl, Ipv6DstOpts, Ipv6FlowInfo, Ipv6HopLimit, Ipv6HopOpts, PktInfo, TClass,
        TrafficClass,
    },
};
use common::{
    TIMEOUT, has_v6,
    namespace::{Namespace, link, v4, v6},
    pairs::{V4, bound, stream},
    running::Running,
    skipped,
    starting::Start,
};

const PORT: u16 = 4711;

fn list<'a>(control: impl SendControl<'a>) -> ControlList<'a> {
    ControlList::new(control).unwrap()
}

/// PE17
#[test]
fn tcpdump_sees_what_was_sent() {
    let name = "tcpdump_sees_what_was_sent";
    if !has_v6(name) {
        return;
    }
    let (Some(near), Some(far)) = (Namespace::new(name), Namespace::new(name)) else { return };
    if !link(name, 1, 1500, &near, &far) {
        return;
    }
    let args = ["-i", "veth1", "-n", "-v", "-l", "--immediate-mode", "-Z", "root", "-Q", "in", "ip or ip6"];
    let Some(tcpdump) = Running::start(name, &far, "tcpdump", &args) else { return };
    tcpdump.until("listening on veth1");
    let senders = [Ipv4Addr::UNSPECIFIED.into(), Ipv6Addr::UNSPECIFIED.into()];
    let [four, six] = senders.map(|addr: IpAddr| near.run(|| bound((addr, 0))));
    let (to_four, to_six) = (IpAddr::from(v4(1, 2)), IpAddr::from(v6(1, 2)));

    let alert = [0, 0, 5, 2, 0, 0, 1, 0];
    let options = [0, 0, 0x1e, 4, 0xa, 0xb, 0xc, 0xd];
    let headers = (Ipv6HopOpts::new(&alert).unwrap(), Ipv6DstOpts::new(&options).unwrap());
    let route = [7, 11, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    let label = Ipv6FlowInfo::new(0, 0x12345).unwrap();
    let cases: [(IpAddr, ControlList<'_>, &[&str]); 8] = [
        (to_four, list((IpTtl(7), IpTos(0xb9))), &["tos 0xb9,ECT(1), ttl 7,"]),
        (to_four, list((HopLimit(9), TrafficClass::new(46, Ecn::Ce))), &["tos 0xbb,CE, ttl 9,"]),
        (to_four, list(IpRetOpts::new(&route).unwrap()), &["options (RR 10.66.1.1, 0.0.0.0"]),
        (to_four, list(()), &["tos 0x0, ttl 64,"]),
        (to_six, list((Ipv6HopLimit(6), TClass(0x2e))), &["class 0x2e,", "hlim 6,"]),
        (to_six, list((HopLimit(3), TrafficClass::new(10, Ecn::Ect0))), &["class 0x2a,", "hlim 3,"]),
        (to_six, list(label), &["flowlabel 0x12345,", "hlim 64,"]),
        (to_six, list(headers), &["HBH (rtalert: 0x0000)", "DSTOPT (opt_type 0x1e: len=4)"]),
    ];
    for (port, (to, control, expected)) in (5001u16..).zip(&cases) {
        let from = if to.is_ipv4() { &four } else { &six };
        // The port tells the packets from each other.
        MsgHdr::new().to(SocketAddr::from((*to, port))).data(b"data").control_from(control).send(from).unwrap();
        let seen = tcpdump.until(&format!("{port}: "));
        for text in *expected {
            assert!(seen.contains(text), "{text:?} is not in:\n{seen}");
        }
    }
}

/// The values of the variables that socat gives to a program, for one datagram sent to it.
fn socat(test: &str, to: IpAddr, options: &str, control: ControlList<'_>) -> Option<Vec<String>> {
    let host = Namespace::new(test)?;
    let (kind, any): (_, IpAddr) =
        if to.is_ipv4() { (4, Ipv4Addr::UNSPECIFIED.into()) } else { (6, Ipv6Addr::UNSPECIFIED.into()) };
    let address = format!("UDP{kind}-RECVFROM:{PORT},{options}");
    let socat =
        Running::start(test, &host, "socat", &["-d", "-d", "-t", "20", &address, "SYSTEM:cat >/dev/null; env"])?;
    socat.until("receiving on");
    // It answers with what the program prints, once that has read everything.
    let client = host.run(|| bound((any, 0)));
    MsgHdr::new().to(SocketAddr::from((to, PORT))).data(b"data").control_from(&control).send(&client).unwrap();
    let mut answer = [0; 8192];
    let len = client.recv(&mut answer).unwrap();
    let text = String::from_utf8_lossy(&answer[..len]).into_owned();
    Some(text.lines().filter(|line| line.starts_with("SOCAT_")).map(str::to_owned).collect())
}

/// PE15
#[test]
fn socat_reads_what_was_sent() {
    let name = "socat_reads_what_was_sent";
    let source = PktInfo::source(Ipv4Addr::new(127, 0, 0, 3));
    let control = list((IpTtl(77), IpTos(40), source));
    let to = Ipv4Addr::new(127, 0, 0, 9).into();
    let Some(found) = socat(name, to, "ip-recvttl,ip-recvtos,ip-pktinfo", control) else { return };
    for expected in [
        "SOCAT_IP_TTL=77",
        "SOCAT_IP_TOS=40",
        "SOCAT_PEERADDR=127.0.0.3",
        "SOCAT_IP_DSTADDR=127.0.0.9",
        "SOCAT_IP_IF=lo",
    ] {
        assert!(found.iter().any(|line| line == expected), "{expected} is not in {found:?}");
    }
    if !has_v6(name) {
        return;
    }
    let header = [0, 0, 5, 2, 0, 0, 1, 0];
    let control = list((Ipv6HopLimit(9), TClass(0xb8), Ipv6HopOpts::new(&header).unwrap()));
    let options = "ipv6-recvhoplimit,ipv6-recvtclass,ipv6-recvhopopts,ipv6-recvpktinfo";
    let Some(found) = socat(name, Ipv6Addr::LOCALHOST.into(), options, control) else { return };
    for expected in [
        "SOCAT_IPV6_HOPLIMIT=9",
        "SOCAT_IPV6_TCLASS=x000000b8",
        "SOCAT_IPV6_HOPOPTS=x1100050200000100",
        "SOCAT_IPV6_DSTADDR=[0000:0000:0000:0000:0000:0000:0000:0001]",
    ] {
        assert!(found.iter().any(|line| line == expected), "{expected} is not in {found:?}");
    }
}

/// PE19: a server of somebody else that is bound to no address answers from the one that we asked.
#[test]
fn dnsmasq_answers_from_the_address_that_was_asked() {
    let name = "dnsmasq_answers_from_the_address_that_was_asked";
    let Some(host) = Namespace::new(name) else { return };
    // Without -z it listens on the wildcard address alone. Questions for this name it answers itself.
    let port = format!("--port={PORT}");
    let args = [
        &port,
        "--no-daemon",
        "--conf-file=/dev/null",
        "--no-resolv",
        "--no-hosts",
        "--user=root",
        "--address=/name.test/192.0.2.7",
    ];
    let Some(dnsmasq) = Running::start(name, &host, "dnsmasq", &args) else { return };
    dnsmasq.until("started");
    // Header: id, recursion desired, one question; the name; type A, class IN.
    let question = [&b"\x12\x34\x01\0\0\x01\0\0\0\0\0\0"[..], b"\x04name\x04test\0", &[0, 1, 0, 1]].concat();
    let client = host.run(|| bound("0.0.0.0:0"));
    client.enable::<PktInfo>().unwrap();
    for (last, source) in [(11, 5), (9, 6), (1, 7)] {
        let [asked, source] = [last, source].map(|last| Ipv4Addr::new(127, 0, 0, last));
        let mut header = MsgHdr::new();
        header.to(SocketAddr::from((asked, PORT))).data(&question).control(PktInfo::source(source));
        header.send(&client).unwrap();
        let (mut data, mut control) = ([0; 512], ControlBuf::<PktInfo>::new());
        let answer = client.recv_msg(&mut data, &mut control).unwrap();
        assert_eq!(answer.peer().unwrap().as_inet(), Some(SocketAddr::from((asked, PORT))));
        assert_eq!(answer.extract().unwrap().addr(), source, "and to the address we asked from");
        assert!(answer.data().starts_with(b"\x12\x34") && answer.data().ends_with(&[192, 0, 2, 7]), "{answer:?}");
    }
}

/// PE10
#[test]
fn a_connection_that_nc_passes_on_arrives() {
    let name = "a_connection_that_nc_passes_on_arrives";
    let usage = match Command::new("nc").arg("-h").finish() {
        Ok(output) => String::from_utf8_lossy(&output.stderr).into_owned(),
        Err(error) => return skipped(format_args!("SKIPPED {name}: nc: {error}")),
    };
    if !usage.lines().any(|line| line.contains("-F") && line.contains("fd")) {
        return skipped(format_args!("SKIPPED {name}: this nc passes no descriptors (OpenBSD's does)"));
    }
    let listener = TcpListener::bind(V4).unwrap();
    let addr = listener.local_addr().unwrap();
    let (ours, theirs) = stream();
    let mut nc = Command::new("nc");
    nc.args(["-F", &addr.ip().to_string(), &addr.port().to_string()]);
    nc.stdin(Stdio::null()).stdout(OwnedFd::from(theirs));
    let mut nc = nc.start().unwrap();
    let mut data = [b'?'; 8];
    let message = ours.recv_fds::<1>(&mut data).unwrap();
    assert_eq!(message.len(), 1);
    let [fd] = message.exact().unwrap();
    assert_eq!(data[0], 0, "one byte of zero");
    assert!(nc.wait().unwrap().success(), "it ends, and the connection stays");
    let (server, _) = listener.accept().unwrap();
    server.set_read_timeout(TIMEOUT).unwrap();
    File::from(fd).write_all(b"through it").unwrap();
    let mut text = String::new();
    (&server).read_to_string(&mut text).unwrap();
    assert_eq!(text, "through it");
}
