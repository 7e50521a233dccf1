//! What we send and receive, as somebody else's decoder reads it: strace prints control data of `SOL_SOCKET` and `SOL_IP`.

#![cfg(target_os = "linux")]

mod common;

use std::{env, net::Ipv4Addr, os::fd::AsFd, process::Command};

use ancillary::{
    ControlBuf, ControlVec, MsgHdr, SocketExt, cmsg,
    message::{Credentials, ExtendedError, IpPktInfo, IpRetOpts, IpTos, IpTtl, ScmRights, Timestamp},
};
use common::{
    TIMEOUT,
    pairs::{V4, bound, closed, datagrams},
    skipped,
    starting::Start,
};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

/// Set in the process that a test starts to run itself again.
const CHILD: &str = "ANCILLARY_STRACE_CHILD";

/// The calls of `scene` as strace prints them, one a line, descriptors with their paths; `None` where it cannot.
fn traced(test: &str, scene: impl FnOnce()) -> Option<String> {
    if env::var_os(CHILD).is_some() {
        scene();
        return None;
    }
    let own = env::current_exe().unwrap();
    let output = Command::new("strace")
        .args(["-f", "-qq", "-s", "64", "-e", "trace=sendmsg,recvmsg", "-e", "signal=none"])
        .arg(own)
        .args(["--exact", test, "--nocapture"])
        .env(CHILD, "1")
        .finish();
    let output = match output {
        Ok(output) => output,
        Err(error) => {
            skipped(format_args!("SKIPPED {test}: strace: {error}"));
            return None;
        }
    };
    let log = String::from_utf8_lossy(&output.stderr).into_owned();
    if !output.status.success() && log.contains("ptrace") {
        skipped(format_args!("SKIPPED {test}: {log}"));
        return None;
    }
    assert!(output.status.success(), "{log}");
    Some(log)
}

/// The line of this call that has these words.
fn line<'a>(log: &'a str, call: &str, word: &str) -> &'a str {
    let found = log.lines().find(|line| line.contains(call) && line.contains(word));
    found.unwrap_or_else(|| panic!("no {call} with {word} in:\n{log}"))
}

/// As strace prints the length of a message with so long a payload.
fn len(payload: usize) -> String {
    format!("cmsg_len={}", cmsg::len(payload).unwrap())
}

fn says(line: &str, what: &[&str]) {
    for what in what {
        assert!(line.contains(what), "{what:?} is not in {line}");
    }
}

/// PE18
#[test]
fn descriptors_and_credentials() {
    let scene = || {
        let (a, b) = datagrams();
        b.enable::<(Credentials, Timestamp)>().unwrap();
        let control = (ScmRights::new([a.as_fd(), b.as_fd()]), Credentials::own());
        MsgHdr::new().data(b"rights").control(control).send(&a).unwrap();
        b.recv_msg(&mut [0; 64], &mut ControlVec::<()>::with_capacity(512)).unwrap();
    };
    let Some(log) = traced("descriptors_and_credentials", scene) else { return };
    let sent = line(&log, "sendmsg", "rights");
    says(sent, &["cmsg_type=SCM_RIGHTS", "cmsg_type=SCM_CREDENTIALS", "MSG_NOSIGNAL"]);
    says(sent, &[&format!("{{{}, cmsg_level=SOL_SOCKET, cmsg_type=SCM_RIGHTS, cmsg_data=[", len(8))]);
    says(sent, &[&format!("{{{}, cmsg_level=SOL_SOCKET, cmsg_type=SCM_CREDENTIALS, cmsg_data={{pid=", len(12))]);
    let received = line(&log, "recvmsg", "rights");
    says(received, &["cmsg_type=SO_TIMESTAMPNS_", "cmsg_type=SCM_CREDENTIALS", "cmsg_type=SCM_RIGHTS"]);
    says(received, &["MSG_CMSG_CLOEXEC"]);
}

/// PE18
#[test]
fn time_to_live_service_and_packet_info() {
    let scene = || {
        let (a, b) = (bound("0.0.0.0:0"), bound(V4));
        b.enable::<(IpTtl, IpTos, IpPktInfo)>().unwrap();
        let source = IpPktInfo::source(Ipv4Addr::new(127, 0, 0, 9));
        let mut message = MsgHdr::new();
        message.to(b.local_addr().unwrap()).data(b"packet").control((IpTtl(57), IpTos(0xb8), source));
        message.control(IpRetOpts::new(&[1, 1, 1, 1]).unwrap());
        message.send(&a).unwrap();
        b.recv_msg(&mut [0; 64], &mut ControlBuf::<(IpTtl, IpTos, IpPktInfo)>::new()).unwrap();
    };
    let Some(log) = traced("time_to_live_service_and_packet_info", scene) else { return };
    let sent = line(&log, "sendmsg", "packet");
    says(sent, &[&format!("{}, cmsg_level=SOL_IP, cmsg_type=IP_TTL, cmsg_data=[57]", len(4))]);
    says(sent, &["cmsg_level=SOL_IP, cmsg_type=IP_TOS, cmsg_data=[0xb8"]);
    says(sent, &[&format!("{}, cmsg_level=SOL_IP, cmsg_type=IP_PKTINFO", len(12))]);
    says(sent, &["ipi_spec_dst=inet_addr(\"127.0.0.9\")"]);
    says(sent, &[&format!("{}, cmsg_level=SOL_IP, cmsg_type=IP_RETOPTS, cmsg_data=[0x1, 0x1, 0x1, 0x1]", len(4))]);
    let received = line(&log, "recvmsg", "packet");
    says(received, &["cmsg_type=IP_TTL, cmsg_data=[57]"]);
    says(received, &[&format!("{}, cmsg_level=SOL_IP, cmsg_type=IP_TOS", len(1))]);
    says(received, &["ipi_addr=inet_addr(\"127.0.0.1\")"]);
}

/// PE18
#[test]
fn an_entry_of_the_error_queue() {
    let scene = || {
        let (nobody, _closed) = closed(Ipv4Addr::LOCALHOST.into());
        let socket = bound(V4);
        socket.enable::<ExtendedError>().unwrap();
        MsgHdr::new().to(nobody).data(b"anyone").send(&socket).unwrap();
        let mut fds = [PollFd::new(socket.as_fd(), PollFlags::empty())];
        assert_eq!(poll(&mut fds, PollTimeout::try_from(TIMEOUT.unwrap()).unwrap()).unwrap(), 1);
        socket.recv_error(&mut [0; 64], &mut ControlBuf::<ExtendedError>::new()).unwrap();
    };
    let Some(log) = traced("an_entry_of_the_error_queue", scene) else { return };
    let received = line(&log, "recvmsg", "anyone");
    says(received, &[&format!("{}, cmsg_level=SOL_IP, cmsg_type=IP_RECVERR", len(32)), "ee_type=3, ee_code=3"]);
    says(received, &["offender={sa_family=AF_INET, sin_port=htons(0), sin_addr=inet_addr(\"127.0.0.1\")"]);
    says(received, &["MSG_ERRQUEUE", "MSG_DONTWAIT"]);
}
