//! A socket that is full: in a namespace of its own, whose loopback is slow.

mod common;

use std::{
    env,
    net::UdpSocket,
    process::{Command, Stdio},
};

use common::{
    Layer,
    layer::{recv_bytes, send, transmit},
    pattern, run, say,
};

const AGAIN: &str = "ANCILLARY_QUINN_AGAIN";
/// The shell says that it could not set up the link.
const NO_LINK: i32 = 77;
const SLOW: &str =
    "ip link set lo up && tc qdisc add dev lo root tbf rate 80mbit burst 64kb limit 1mb || exit 77; exec \"$@\"";

/// Runs the test again where loopback is slow; whether this is there.
fn on_a_slow_loopback(test: &str) -> bool {
    if env::var_os(AGAIN).is_some() {
        return true;
    }
    let mut command = Command::new("unshare");
    command.args(["--user", "--map-root-user", "--net", "--", "sh", "-c", SLOW, "sh"]);
    command.arg(env::current_exe().unwrap()).args([test, "--exact", "--nocapture"]);
    let output = match command.env(AGAIN, "1").stdin(Stdio::null()).output() {
        Ok(output) => output,
        Err(error) => {
            say(format_args!("SKIPPED {test}: unshare(1): {error}"));
            return false;
        }
    };
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    if !out.contains("running 1 test") {
        let why = if output.status.code() == Some(NO_LINK) { "no ip(8), no tc(8) or no tbf" } else { "no namespace" };
        say(format_args!("SKIPPED {test}: {why}: {}", err.trim()));
        return false;
    }
    assert!(output.status.success(), "{out}{err}");
    false
}

/// Two tasks wait for the same socket, each by a poller of its own.
#[test]
fn whoever_waits_for_a_full_socket_is_woken_when_it_takes_more() {
    const SENDS: usize = 40;
    const BYTES: usize = 12_000;
    if !on_a_slow_loopback("whoever_waits_for_a_full_socket_is_woken_when_it_takes_more") {
        return;
    }
    run(async {
        let (sender, receiver) = [(); 2].map(|()| UdpSocket::bind("127.0.0.1:0").unwrap()).into();
        socket2::SockRef::from(&sender).set_send_buffer_size(2000).unwrap();
        let (sender, receiver) = (Layer::Ours.wrap(sender), Layer::Ours.wrap(receiver));
        let (to, contents) = (receiver.local_addr().unwrap(), pattern(BYTES));
        let some = async || {
            let mut refused = 0;
            for _ in 0..SENDS {
                refused += send(&sender, &transmit(to, &contents, Some(1200), None)).await;
            }
            refused
        };
        let (one, other, (_, data)) = tokio::join!(some(), some(), recv_bytes(&*receiver, 2 * SENDS * BYTES));
        assert!(data.chunks(BYTES).all(|chunk| chunk == contents), "other bytes arrived");
        assert!(one + other > 0, "the socket was never full");
    });
}
