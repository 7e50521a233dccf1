//! Batches where the system has no call for them, where calls fail, and where an error stands behind messages.

#![cfg(target_os = "linux")]

mod common;

use std::{
    io::{self, Write},
    net::SocketAddr,
    process::{Output, Stdio},
};

use ancillary::{
    EncodeError, MsgHdr, RecvFlags, SendFlags,
    batch::{RecvBatch, SendBatch},
    message::{HopLimit, PktInfo, ScmRights, ScmRightsSpace, UdpSegment},
};
use common::{
    again::{again, is_child, until_ok, works},
    batches::{texts, wait},
    cause, no_leak, open_count,
    pairs::{V4, asked, bound, datagrams, pair, stream, tcp, udp},
    pipes::{contents, names, numbered},
    starting::Start,
};
use nix::{libc, poll::PollFlags, sys::socket::SockType};

type Rights = ScmRightsSpace<4>;

/// Runs the test again under strace, with these calls made to fail; what it printed, and how many did, by the name of
/// the error.
fn traced(name: &str, inject: &[&str], error: &str) -> (String, usize) {
    let mut under = vec!["strace", "-f", "-qq", "-e", "signal=none", "-e", CALLS];
    let inject: Vec<_> = inject.iter().map(|how| format!("inject={how}")).collect();
    under.extend(inject.iter().flat_map(|inject| ["-e", inject]));
    let Output { status, stdout, stderr } = again(name, &under).stdin(Stdio::null()).finish().unwrap();
    let (out, log) = (String::from_utf8_lossy(&stdout), String::from_utf8_lossy(&stderr));
    assert!(status.success(), "{under:?}: {out}{log}");
    let (_, said) = out.split_once("said [").unwrap_or_else(|| panic!("{under:?}: {out}{log}"));
    let injected = log.lines().filter(|line| line.contains("(INJECTED)") && line.contains(error)).count();
    (said.split_once("]\n").unwrap().0.to_owned(), injected)
}

/// The C library of a machine of 32 bits makes the second of recvmmsg's calls, and where that fails so the first.
const CALLS: &str = "trace=sendmmsg,recvmmsg,?recvmmsg_time64,sendmsg,recvmsg";
const NONE: &str = "sendmmsg,recvmmsg,?recvmmsg_time64:error=ENOSYS";
/// What it makes first.
const RECVMMSG: &str = if cfg!(target_pointer_width = "32") { "recvmmsg_time64" } else { "recvmmsg" };

/// What batches do, in words.
fn story() -> Vec<String> {
    let (mut said, mut room) = (Vec::new(), SendBatch::new(2000));
    // Destinations, control messages, sizes; a mapped address; segments.
    let (receiver, sender) = asked::<(HopLimit, PktInfo)>(V4);
    let sender = {
        drop(sender);
        bound(V4)
    };
    let to = receiver.local_addr().unwrap();
    let mapped: SocketAddr = format!("[::ffff:127.0.0.1]:{}", to.port()).parse().unwrap();
    let mut batch = room.begin();
    for (k, data) in (1..).zip([&b""[..], b"b", b"ccc"]) {
        batch.message().to(if k == 2 { mapped } else { to }).data(data).control(HopLimit(k)).queue().unwrap();
    }
    batch.message().to(to).data(b"dddd").control(UdpSegment(3)).queue().unwrap();
    said.push(format!("{:?} {}", batch.send_all(&sender).unwrap(), batch.sent()));
    let mut received = RecvBatch::<(HopLimit, PktInfo)>::new(9, 2);
    for m in received.recv(&receiver).unwrap() {
        let from = m.peer().unwrap().as_inet() == Some(sender.local_addr().unwrap());
        said.push(format!("{:?} {:?} {from} {:?} {}", m.data(), m.extract(), m.flags(), m.is_eof()));
    }
    // An error in the middle, and one that is first.
    let (receiver, sender) = udp(V4);
    let long = vec![0; 70_000];
    let mut batch = room.begin();
    for data in [&b"one"[..], &long, b"two", &long] {
        batch.message().data(data).queue().unwrap();
    }
    for _ in 0..3 {
        said.push(format!("{:?} {}", batch.send_all(&sender).map_err(|e| e.raw_os_error()), batch.sent()));
        batch.skip();
    }
    said.push(format!("{:?}", texts(&mut RecvBatch::<()>::new(4, 8), &receiver, 2)));
    // A queue that is full; one message where more would fit; none.
    let (a, b) = datagrams();
    let mut batch = room.begin();
    (0..600).for_each(|_| batch.message().data(b"x").queue().unwrap());
    let error = batch.flags(SendFlags::DONTWAIT).send_all(&a).unwrap_err();
    let sent = batch.sent();
    let mut received = RecvBatch::<()>::new(600, 4);
    said.push(format!("{:?} {sent} {}", error.kind(), received.recv(&b).unwrap().len()));
    a.send(b"").unwrap();
    said.push(format!("{:?}", received.recv(&b).unwrap().map(|m| (m.len(), m.is_eof())).collect::<Vec<_>>()));
    let nothing = received.flags(RecvFlags::DONTWAIT).recv(&b).map(|_| ());
    said.push(format!("{:?} {}", nothing.map_err(|e| e.kind()), received.received().len()));
    // A stream: more pieces than a call takes, its end, what it refuses.
    let (mut a, b) = stream();
    a.write_all(&[7; 2000]).unwrap();
    let mut received = RecvBatch::<()>::new(1100, 1);
    said.push(format!("{} {}", received.recv(&b).unwrap().len(), received.recv(&b).unwrap().len()));
    let mut batch = room.begin();
    let fds = numbered(3);
    (0..1500).for_each(|_| batch.message().data(b"y").queue().unwrap());
    said.push(format!("{:?} {}", batch.flags(SendFlags::DONTWAIT).send(&a).ok(), batch.sent()));
    let mut batch = room.begin();
    batch.message().data(b"first").control(ScmRights::new(&fds[..1])).queue().unwrap();
    batch.message().control(ScmRights::new(&fds[1..2])).queue().unwrap();
    batch.message().data(b"third").control(ScmRights::new(&fds[2..])).queue().unwrap();
    let (a, b) = stream();
    let error = batch.send_all(&a).unwrap_err();
    said.push(format!("{:?} {}", cause::<EncodeError>(&error), batch.sent()));
    batch.skip();
    batch.send_all(&a).unwrap();
    drop(a);
    let mut received = RecvBatch::<Rights>::new(9, 9);
    for mut m in received.recv(&b).unwrap() {
        said.push(format!("{:?} {:?} {}", m.data(), contents(m.take_fds()), m.is_eof()));
    }
    said
}

/// FI01
#[test]
fn where_the_system_has_no_such_call_all_is_the_same() {
    let name = "where_the_system_has_no_such_call_all_is_the_same";
    if is_child() {
        let before = open_count();
        let said = story();
        assert_eq!(open_count(), before);
        return println!("said {said:?}");
    }
    if !works(name, "strace", &["-o", "/dev/null", "true"]) {
        return;
    }
    no_leak(|| {
        let (with, none) = traced(name, &[], "");
        let (without, injected) = traced(name, &[NONE], "ENOSYS");
        assert!(none == 0 && injected >= 15, "{none} {injected}");
        assert_eq!(with, without);
        // In words, so that the two are not wrong together.
        for part in [
            r#""4 4""#,
            r#""Err(Some(90)) 1", "Err(Some(90)) 3", "Ok(0) 4""#,
            r#"[(0, false)]"#,
            r#""Err(WouldBlock) 0", "1100 900""#,
            "DescriptorsWithoutData { descriptors: 1 }) 1",
        ] {
            assert!(with.contains(part), "{part} in {with}");
        }
    });
}

/// A fixed number of messages that all arrive: what the library reported on the way.
fn exchange() -> Vec<i32> {
    let (mut errors, before) = (Vec::new(), open_count());
    {
        let mut room = SendBatch::new(7);
        for kind in [SockType::Datagram, SockType::Stream] {
            let ((a, b), fds) = (pair(kind), numbered(7));
            a.set_nonblocking(true).unwrap();
            b.set_nonblocking(true).unwrap();
            let mut received = RecvBatch::<Rights>::new(3, 16);
            for round in 0..3 {
                let texts: Vec<_> = (0..7).map(|k| format!("{round}: {k}")).collect();
                let mut batch = room.begin();
                for (text, fd) in texts.iter().zip(&fds) {
                    batch.message().data(text.as_bytes()).control(ScmRights::new([fd])).queue().unwrap();
                }
                let mut at = 0;
                until_ok(&mut errors, || {
                    assert!(batch.sent() >= at);
                    at = batch.sent();
                    batch.send_all(&a)
                });
                assert_eq!(batch.sent(), 7);
                let mut found = Vec::new();
                while found.len() < 7 {
                    until_ok(&mut errors, || {
                        found.extend(received.recv(&b)?.map(|mut m| {
                            assert_eq!(m.fds().count(), 1);
                            let taken = if round == 2 { contents(m.take_fds()) } else { vec![] };
                            (String::from_utf8(m.data().to_vec()).unwrap(), taken)
                        }));
                        Ok(())
                    });
                }
                let names = |k: usize| if round == 2 { names(k..k + 1) } else { vec![] };
                assert_eq!(found, texts.into_iter().zip((0..7).map(names)).collect::<Vec<_>>());
            }
        }
    }
    assert_eq!(open_count(), before);
    errors
}

fn faults(name: &str, call: &str, also: &[&str]) {
    if is_child() {
        return println!("said {:?}", exchange());
    }
    if !works(name, "strace", &["-o", "/dev/null", "true"]) {
        return;
    }
    no_leak(|| {
        let (surfaced, _) = traced(name, also, "");
        assert_eq!(surfaced, "");
        for (error, number) in [("EINTR", None), ("EAGAIN", Some(11)), ("ENOBUFS", Some(105)), ("ENOMEM", Some(12))] {
            for when in ["1", "2", "3", "4", "5", "6", "1+2", "2+2", "2+3", "1..4"] {
                // One that is hidden at every position, the others at those that differ.
                if number.is_some() && ["3", "4", "5", "6", "2+2"].contains(&when) {
                    continue;
                }
                let inject = format!("{call}:error={error}:when={when}");
                let (surfaced, injected) = traced(name, &[also, &[&inject]].concat(), error);
                let case = format!("{inject} {also:?}: {surfaced}, {injected}");
                let surfaced: Vec<_> = surfaced.split(", ").filter(|number| !number.is_empty()).collect();
                assert!(injected > 0, "{case}");
                let number = number.map(|number: i32| number.to_string());
                assert!(surfaced.iter().all(|found| Some(*found) == number.as_deref()), "{case}");
                let (least, most) = match (&number, call) {
                    (None, _) => (0, 0),
                    // Each is that of the first message.
                    (_, "sendmmsg" | RECVMMSG) => (injected, injected),
                    // Told by the next call, of which there is none behind the last message of a socket.
                    (Some(_), "recvmsg") if error != "EAGAIN" => (injected.saturating_sub(2), injected),
                    // Behind a message: what is not sent, or not there yet, is asked for again.
                    _ => (usize::from(when.starts_with('1')), injected),
                };
                assert!((least..=most).contains(&surfaced.len()), "{case}");
            }
        }
    });
}

/// FI01
#[test]
fn an_error_of_sendmmsg_loses_and_doubles_nothing() {
    faults("an_error_of_sendmmsg_loses_and_doubles_nothing", "sendmmsg", &[]);
}

/// FI02
#[test]
fn an_error_of_recvmmsg_loses_and_doubles_nothing() {
    faults("an_error_of_recvmmsg_loses_and_doubles_nothing", RECVMMSG, &[]);
}

/// FI01
#[test]
fn an_error_among_single_sends_loses_and_doubles_nothing() {
    faults("an_error_among_single_sends_loses_and_doubles_nothing", "sendmsg", &[NONE]);
}

/// FI02
#[test]
fn an_error_among_single_receives_loses_and_doubles_nothing() {
    faults("an_error_among_single_receives_loses_and_doubles_nothing", "recvmsg", &[NONE]);
}

/// Of a receive: what came, or the number of its error.
fn said(result: io::Result<ancillary::batch::ReceivedMessages<'_, ()>>) -> Result<Vec<(Vec<u8>, bool)>, i32> {
    result.map(|m| m.map(|m| (m.data().to_vec(), m.is_eof())).collect()).map_err(|e| e.raw_os_error().unwrap())
}

/// Out-of-band data is one byte, and what would be behind it an error.
fn urgent_bytes() {
    let (receiver, mut sender) = tcp(V4);
    let (mut urgent, mut batch) = (RecvBatch::<()>::new(4, 3), RecvBatch::<()>::new(4, 3));
    urgent.flags(RecvFlags::OOB);
    for byte in [b"!", b"?"] {
        sender.write_all(b"before").unwrap();
        MsgHdr::new().data(byte).flags(SendFlags::OOB).send(&sender).unwrap();
        sender.write_all(b"behind").unwrap();
        wait(&receiver, PollFlags::POLLPRI);
        assert_eq!(said(urgent.recv(&receiver)), Ok(vec![(byte.to_vec(), false)]));
        let mut all = Vec::new();
        while all.len() < 12 {
            all.extend(said(batch.recv(&receiver)).unwrap().into_iter().flat_map(|(data, _)| data));
        }
        assert_eq!(all, b"beforebehind");
    }
    assert_eq!(said(urgent.recv(&receiver)), Err(libc::EINVAL));
    assert_eq!(urgent.received().len(), 0);
}

/// A connection that was broken off: what came before, and the reason, once each, in whichever order.
fn broken_off() {
    let (receiver, mut sender) = tcp(V4);
    (&receiver).write_all(b"unread").unwrap();
    wait(&sender, PollFlags::POLLIN);
    sender.write_all(b"hello").unwrap();
    drop(sender);
    wait(&receiver, PollFlags::POLLPRI); // an error, which is always waited for
    let (mut data, mut errors, mut end) = (Vec::new(), Vec::new(), false);
    let mut batch = RecvBatch::<()>::new(4, 3);
    for _ in 0..9 {
        match said(batch.recv(&receiver)) {
            Ok(messages) => messages.into_iter().for_each(|(piece, eof)| {
                data.extend(piece);
                end |= eof;
            }),
            Err(error) => errors.push(error),
        }
    }
    assert_eq!((&data[..], errors, end), (&b"hello"[..], vec![libc::ECONNRESET], true));
}

/// FL12
#[test]
fn an_error_is_told_once_and_takes_no_message_with_it() {
    let name = "an_error_is_told_once_and_takes_no_message_with_it";
    urgent_bytes();
    broken_off();
    if is_child() {
        return println!("said []");
    }
    if works(name, "strace", &["-o", "/dev/null", "true"]) {
        no_leak(|| assert!(traced(name, &[NONE], "ENOSYS").1 > 0));
    }
}
