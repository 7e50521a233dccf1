//! Control messages of level `SOL_SOCKET` over real sockets: marks, priorities, drops, labels, what is left of a stream,
//! transmission times.

#![cfg(target_os = "linux")]

mod common;

use std::{
    fs,
    io::{self, Write},
    os::{
        fd::{AsFd, AsRawFd},
        unix::net::UnixDatagram,
    },
    thread,
    time::Instant,
};

use ancillary::{
    ControlBuf, ControlVec, FamilyError, MsgHdr, MsgHdrMut, RawCmsg, RecvFlags, SocketExt,
    cmsg::CmsgId,
    message::{
        IpTos, RecvList, ScmDevmemDmabuf, ScmDevmemLinear, ScmInq, ScmSecurity, ScmTxTime, ScmWifiStatus, SoMark,
        SoPriority, SoRxqOvfl, SockTxTime, TxTimeFlags,
    },
};
use common::{
    TIMEOUT, cause, has_v6,
    kinds::{let_ping, senders},
    namespace::{Namespace, powerless},
    pairs::{KINDS, V4, addrs, bound, datagrams, errno, pair, send, stream, tcp, udp},
    raw::is_on,
    skipped,
};
use nix::{
    libc,
    sys::socket::{AddressFamily, SockFlag, SockProtocol, SockType, setsockopt, socket, sockopt},
};

const PASSSEC: (i32, i32) = (libc::SOL_SOCKET, libc::SO_PASSSEC);
const IP_PASSSEC: (i32, i32) = (libc::IPPROTO_IP, libc::IP_PASSSEC);
const WIFI_STATUS: (i32, i32) = (libc::SOL_SOCKET, libc::SO_WIFI_STATUS);

/// How many messages arrive with the next datagram, and those that are asked for.
fn next<O, L: for<'a> RecvList<Output<'a> = O>>(socket: &impl AsFd) -> (usize, O) {
    let (mut data, mut control) = ([0; 64], ControlBuf::<L>::new());
    let message = socket.recv_msg(&mut data, &mut control).unwrap();
    message.require_complete().unwrap();
    assert_eq!(message.data(), b"data");
    (message.cmsgs().count(), message.extract())
}

/// I415
#[test]
fn a_sent_mark_arrives_once_it_is_asked_for() {
    let test = "a_sent_mark_arrives_once_it_is_asked_for";
    let Some(host) = Namespace::new(test) else { return };
    host.run(|| {
        for addr in addrs(test) {
            let (receiver, sender) = udp(addr);
            send(&sender, SoMark(1)).unwrap();
            assert_eq!(next::<_, SoMark>(&receiver), (0, None), "not enabled yet");
            if let Err(error) = receiver.enable::<SoMark>() {
                return skipped(format_args!("SKIPPED {test}: SO_RCVMARK: {error}"));
            }
            for mark in [0xdead_beef, 1, u32::MAX].map(SoMark) {
                send(&sender, mark).unwrap();
                assert_eq!(next::<_, SoMark>(&receiver), (1, Some(mark)));
            }
            send(&sender, ()).unwrap();
            assert_eq!(next::<_, SoMark>(&receiver), (1, Some(SoMark(0))), "the mark was for one message");
            setsockopt(&sender, sockopt::Mark, &77).unwrap();
            send(&sender, ()).unwrap();
            assert_eq!(next::<_, SoMark>(&receiver), (1, Some(SoMark(77))));
            send(&sender, SoMark(78)).unwrap();
            assert_eq!(next::<_, SoMark>(&receiver), (1, Some(SoMark(78))));
            receiver.disable::<SoMark>().unwrap();
            send(&sender, SoMark(79)).unwrap();
            assert_eq!(next::<_, SoMark>(&receiver), (0, None));
        }
    });
}

/// I413
#[test]
fn routing_rules_look_at_a_sent_mark() {
    let test = "routing_rules_look_at_a_sent_mark";
    let Some(host) = Namespace::new(test) else { return };
    let_ping(&host);
    let versions = if has_v6(test) { &["-4", "-6"][..] } else { &["-4"] };
    for version in versions {
        // The rule for local addresses comes first otherwise.
        for rule in ["add pref 1 fwmark 1000 prohibit", "add pref 2 lookup local", "del pref 0"] {
            if !host.ip_or_skip(test, &format!("{version} rule {rule}")) {
                return;
            }
        }
    }
    host.run(|| {
        for sender in senders(test) {
            let data = sender.data(b"end");
            let send = |mark| MsgHdr::new().to(sender.to).data(&data).control(SoMark(mark)).send(&sender.socket);
            assert_eq!(errno(send(1000)), libc::EACCES, "{sender:?}");
            assert_eq!(send(1001).unwrap(), data.len(), "{sender:?}");
        }
    });
}

/// MX07
#[test]
fn a_sent_priority_arrives_once_it_is_asked_for() {
    let test = "a_sent_priority_arrives_once_it_is_asked_for";
    for addr in addrs(test) {
        let (receiver, sender) = udp(addr);
        if let Err(error) = receiver.enable::<SoPriority>() {
            return skipped(format_args!("SKIPPED {test}: SO_RCVPRIORITY: {error}"));
        }
        receiver.disable::<SoPriority>().unwrap();
        send(&sender, SoPriority(5)).unwrap();
        assert_eq!(next::<_, SoPriority>(&receiver), (0, None), "not enabled yet");
        receiver.enable::<SoPriority>().unwrap();
        for priority in [5, 6, 1].map(SoPriority) {
            send(&sender, priority).unwrap();
            assert_eq!(next::<_, SoPriority>(&receiver), (1, Some(priority)));
        }
        send(&sender, ()).unwrap();
        assert_eq!(next::<_, SoPriority>(&receiver), (1, Some(SoPriority(0))), "it was for one message");
    }
    // Of type of service and priority the later one counts.
    let (receiver, sender) = udp(V4);
    receiver.enable::<SoPriority>().unwrap();
    const LOW_DELAY: IpTos = IpTos(0x10);
    const INTERACTIVE: SoPriority = SoPriority(6);
    send(&sender, (LOW_DELAY, SoPriority(3))).unwrap();
    assert_eq!(next::<_, SoPriority>(&receiver), (1, Some(SoPriority(3))));
    send(&sender, (SoPriority(3), LOW_DELAY)).unwrap();
    assert_eq!(next::<_, SoPriority>(&receiver), (1, Some(INTERACTIVE)));
}

#[test]
fn marks_high_priorities_and_other_clocks_need_a_capability() {
    let test = "marks_high_priorities_and_other_clocks_need_a_capability";
    powerless(|| {
        let (receiver, sender) = udp(V4);
        assert_eq!(errno(send(&sender, SoMark(1))), libc::EPERM);
        for clock in [SockTxTime::REALTIME, SockTxTime::TAI] {
            assert_eq!(clock.set(&sender).unwrap_err().raw_os_error(), Some(libc::EPERM), "{clock:?}");
        }
        SockTxTime::MONOTONIC.set(&sender).unwrap();
        if let Err(error) = receiver.enable::<(SoMark, SoPriority)>() {
            return skipped(format_args!("SKIPPED {test}: SO_RCVMARK, SO_RCVPRIORITY: {error}"));
        }
        assert_eq!(errno(send(&sender, SoPriority(7))), libc::EPERM);
        send(&sender, SoPriority(6)).unwrap();
        assert_eq!(next::<_, (SoMark, SoPriority)>(&receiver), (2, (Some(SoMark(0)), Some(SoPriority(6)))));
    });
}

/// Bytes that wait in a socket, and datagrams it has dropped (`SO_MEMINFO`).
fn queued_and_dropped(socket: &impl AsFd) -> (u32, u32) {
    const SO_MEMINFO: i32 = 55;
    let (mut value, mut len) = ([0u32; 9], 36);
    let fd = socket.as_fd().as_raw_fd();
    // SAFETY: the descriptor is borrowed, hence open; `value` has the `len` bytes that are offered, and both live until
    // the call returns.
    let status = unsafe { libc::getsockopt(fd, libc::SOL_SOCKET, SO_MEMINFO, value.as_mut_ptr().cast(), &mut len) };
    assert_eq!((status, len), (0, 36), "{}", io::Error::last_os_error());
    (value[0], value[8])
}

/// I418
#[test]
fn dropped_datagrams_are_counted() {
    const SENT: u32 = 200;
    let (receiver, sender) = udp(V4);
    setsockopt(&receiver, sockopt::RcvBuf, &1).unwrap();
    // The network delivers in its own time: each is waited for.
    let fill = || {
        for _ in 0..SENT {
            let before = queued_and_dropped(&receiver);
            assert_eq!(send(&sender, ()).unwrap(), 4);
            let deadline = Instant::now() + TIMEOUT.unwrap();
            while queued_and_dropped(&receiver) == before {
                assert!(Instant::now() < deadline, "neither queued nor dropped");
                thread::yield_now();
            }
        }
    };
    let drain = || {
        let mut counts = Vec::new();
        loop {
            let (mut data, mut control) = ([0; 64], ControlBuf::<SoRxqOvfl>::new());
            let mut header = MsgHdrMut::new();
            match header.data(&mut data).flags(RecvFlags::DONTWAIT).recv(&receiver, &mut control) {
                Ok(message) => counts.push(message.extract()),
                Err(error) => break assert_eq!(error.kind(), io::ErrorKind::WouldBlock),
            }
        }
        counts
    };
    fill();
    let counts = drain();
    let before = SENT - counts.len() as u32;
    assert!(before > 0 && counts.iter().all(Option::is_none), "{before} dropped, not enabled yet");

    receiver.enable::<SoRxqOvfl>().unwrap();
    fill();
    let counts = drain();
    let all = before + SENT - counts.len() as u32;
    assert!(all > before && !counts.is_empty());
    assert!(counts.iter().all(|&count| count == Some(SoRxqOvfl(before))), "{counts:?}: when they were queued");
    send(&sender, ()).unwrap();
    assert_eq!(next::<_, SoRxqOvfl>(&receiver), (1, Some(SoRxqOvfl(all))));
    receiver.disable::<SoRxqOvfl>().unwrap();
    send(&sender, ()).unwrap();
    assert_eq!(next::<_, SoRxqOvfl>(&receiver), (0, None));
}

#[test]
fn without_a_drop_no_count_arrives() {
    let (receiver, sender) = udp(V4);
    receiver.enable::<SoRxqOvfl>().unwrap();
    send(&sender, ()).unwrap();
    assert_eq!(next::<_, SoRxqOvfl>(&receiver), (0, None));
}

/// MX01
#[test]
fn a_stream_says_how_much_is_left() {
    let test = "a_stream_says_how_much_is_left";
    let (mut a, b) = stream();
    let left = |room: usize| {
        let (mut data, mut control) = (vec![0; room], ControlBuf::<ScmInq>::new());
        let message = b.recv_msg(&mut data, &mut control).unwrap();
        assert_eq!(message.len(), room);
        message.extract()
    };
    a.write_all(&[1; 768]).unwrap();
    assert_eq!(left(256), None, "not enabled yet");
    if let Err(error) = b.enable::<ScmInq>() {
        return skipped(format_args!("SKIPPED {test}: SO_INQ: {error}"));
    }
    assert_eq!([left(256), left(256)], [Some(ScmInq(256)), Some(ScmInq(0))]);
    for _ in 0..100 {
        a.write_all(&[2; 256]).unwrap();
    }
    for i in 1..=100 {
        assert_eq!(left(256), Some(ScmInq(25_600 - i * 256)));
    }
    a.write_all(&[3; 768]).unwrap();
    assert_eq!([left(100), left(668)], [Some(ScmInq(668)), Some(ScmInq(0))]);
    b.disable::<ScmInq>().unwrap();
    a.write_all(&[4; 10]).unwrap();
    assert_eq!(left(5), None);

    for kind in KINDS {
        let result = pair(kind).0.enable::<ScmInq>();
        let expected = if kind == SockType::Stream { None } else { Some(libc::ENOPROTOOPT) };
        assert_eq!(result.err().and_then(|error| error.raw_os_error()), expected, "{kind:?}");
    }
}

#[test]
fn a_security_label_is_asked_for_by_the_option_of_the_family() {
    let test = "a_security_label_is_asked_for_by_the_option_of_the_family";
    let (a, b) = datagrams();
    let netlink = {
        let (ty, flags) = (SockType::Raw, SockFlag::SOCK_CLOEXEC);
        socket(AddressFamily::Netlink, ty, flags, SockProtocol::NetlinkRoute).unwrap()
    };
    for socket in [a.as_fd(), netlink.as_fd()] {
        assert!(!is_on(&socket, PASSSEC));
        socket.enable::<ScmSecurity<'_>>().unwrap();
        assert!(is_on(&socket, PASSSEC));
        socket.disable::<ScmSecurity<'_>>().unwrap();
        assert!(!is_on(&socket, PASSSEC));
    }
    for addr in addrs(test) {
        let socket = bound(addr);
        assert!(!is_on(&socket, IP_PASSSEC));
        socket.enable::<ScmSecurity<'_>>().unwrap();
        assert!(is_on(&socket, IP_PASSSEC));
        socket.disable::<ScmSecurity<'_>>().unwrap();
        assert!(!is_on(&socket, IP_PASSSEC));
    }

    let label = || {
        b.send(b"data").unwrap();
        let (mut data, mut control) = ([0; 8], ControlVec::<ScmSecurity<'_>>::with_capacity(8192));
        let message = a.recv_msg(&mut data, &mut control).unwrap();
        message.require_complete().unwrap();
        message.extract().map(|security| security.label().to_vec())
    };
    assert_eq!(label(), None, "not enabled");
    a.enable::<ScmSecurity<'_>>().unwrap();
    match label() {
        Some(label) => {
            // What a process may read of itself is what others are told of it.
            let own = fs::read("/proc/self/attr/current").unwrap();
            assert_eq!(own.trim_ascii_end(), label, "{}", label.escape_ascii());
        }
        None => skipped(format_args!("SKIPPED {test}: no security module gives labels")),
    }
}

/// TS14, TS15, TS16
#[test]
fn a_transmission_time_needs_a_clock() {
    let (receiver, sender) = udp(V4);
    assert_eq!(errno(send(&sender, ScmTxTime(1))), libc::EINVAL, "no clock yet");
    let option = SockTxTime { flags: TxTimeFlags::DEADLINE_MODE | TxTimeFlags::REPORT_ERRORS, ..SockTxTime::MONOTONIC };
    assert_ne!(SockTxTime::get(&sender).unwrap(), option);
    option.set(&sender).unwrap();
    assert_eq!(SockTxTime::get(&sender).unwrap(), option);
    for time in [0, 1, u64::MAX >> 1] {
        send(&sender, ScmTxTime(time)).unwrap();
        assert_eq!(next::<_, ()>(&receiver), (0, ()), "nothing here keeps to times");
    }

    let id = CmsgId::new(libc::SOL_SOCKET, libc::SCM_TXTIME);
    assert_eq!(errno(send(&sender, RawCmsg::new(id, &[0; 4]))), libc::EINVAL);
    let strange = SockTxTime { flags: TxTimeFlags::from_bits_retain(4), ..SockTxTime::MONOTONIC };
    assert_eq!(strange.set(&sender).unwrap_err().raw_os_error(), Some(libc::EINVAL));
    assert_eq!(SockTxTime::get(&sender).unwrap(), option, "as before");
    for clock in [99, -1, libc::CLOCK_MONOTONIC_RAW] {
        match (SockTxTime { clock, ..option }).set(&sender) {
            Ok(()) => skipped(format_args!("SKIPPED a_transmission_time_needs_a_clock: {clock} is one here")),
            Err(error) => {
                assert!(matches!(error.raw_os_error(), Some(libc::EINVAL | libc::EPERM)), "{clock}: {error}");
                assert_eq!(SockTxTime::get(&sender).unwrap(), option, "as before");
            }
        }
    }
    let error: FamilyError = cause(&option.set(UnixDatagram::unbound().unwrap()).unwrap_err()).unwrap();
    assert_eq!((error.what, error.found), ("socket", libc::AF_UNIX));
}

/// Without a wireless device no status comes; the option is set all the same.
#[test]
fn a_wireless_status_can_be_asked_for() {
    let (receiver, sender) = udp(V4);
    assert!(!is_on(&sender, WIFI_STATUS));
    sender.enable::<ScmWifiStatus>().unwrap();
    assert!(is_on(&sender, WIFI_STATUS));
    send(&sender, ()).unwrap();
    assert_eq!(next::<_, ()>(&receiver), (0, ()));
    let (mut data, mut control) = ([0; 64], ControlBuf::<ScmWifiStatus>::new());
    let mut header = MsgHdrMut::new();
    let status = header.data(&mut data).flags(RecvFlags::ERRQUEUE).recv(&sender, &mut control);
    assert_eq!(status.unwrap_err().kind(), io::ErrorKind::WouldBlock, "loopback is no wireless device");
    sender.disable::<ScmWifiStatus>().unwrap();
    assert!(!is_on(&sender, WIFI_STATUS));
}

/// Without a device that keeps data in its memory, the flag changes nothing.
#[test]
fn a_receive_may_allow_device_memory() {
    let (receiver, mut sender) = tcp(V4);
    sender.write_all(b"in memory").unwrap();
    receiver.enable::<(ScmDevmemLinear, ScmDevmemDmabuf)>().unwrap();
    let mut control = ControlBuf::<(ScmDevmemLinear, ScmDevmemDmabuf)>::new();
    let mut data = [0; 9];
    let mut header = MsgHdrMut::new();
    header.data(&mut data).flags(RecvFlags::SOCK_DEVMEM | RecvFlags::WAITALL);
    let message = header.recv(&receiver, &mut control).unwrap();
    assert_eq!((message.len(), message.extract()), (9, (None, None)));
    assert_eq!(&data, b"in memory");

    let error: FamilyError = cause(&stream().0.enable::<ScmDevmemDmabuf>().unwrap_err()).unwrap();
    assert_eq!(error.found, libc::AF_UNIX);
}

/// ER19: the options of packets are not set on sockets that would never deliver anything for them.
#[test]
fn messages_of_packets_are_refused_on_local_sockets() {
    let (unix, _) = stream();
    for error in [
        unix.enable::<SoMark>(),
        unix.enable::<SoPriority>(),
        unix.enable::<SoRxqOvfl>(),
        unix.enable::<ScmWifiStatus>(),
    ] {
        let error: FamilyError = cause(&error.unwrap_err()).unwrap();
        assert_eq!((error.what, error.found), ("socket", libc::AF_UNIX));
    }
    let udp = bound(V4);
    let error: FamilyError = cause(&udp.enable::<ScmInq>().unwrap_err()).unwrap();
    assert_eq!((error.expected, error.found), ("AF_UNIX", libc::AF_INET));

    assert_eq!(errno(send(&unix, SoMark(1))), libc::EINVAL);
    assert_eq!(errno(send(&unix, SoPriority(1))), libc::EINVAL);
    assert_eq!(errno(send(&unix, RawCmsg::new(CmsgId::new(libc::SOL_SOCKET, 3), b"label"))), libc::EINVAL);
}
