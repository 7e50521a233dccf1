//! Stamps of what is received, and the flags of `SO_TIMESTAMPING`.

#![cfg(target_os = "linux")]

mod common;

use std::{
    net::{SocketAddr, UdpSocket},
    os::fd::AsFd,
    time::{Duration, SystemTime},
};

use ancillary::{
    ControlBuf, FamilyError, MsgHdrMut, SocketExt,
    message::{
        RecvList, ScmTimestamping, ScmTimestampingOptStats, ScmTimestampingPktInfo, SoTimestamping, Timestamp,
        TimestampingFlags as Flags,
    },
    set_option, socket_family,
};
use common::{
    TIMEOUT, cause,
    namespace::Namespace,
    pairs::{V4, addrs, datagrams, errno, send, tcp, udp},
};
use nix::libc;
use socket2::{Domain, Protocol, SockRef, Socket, Type};

/// Stamping is switched on some time after it was asked for: so many packets are tried.
const TRIES: usize = 200_000;

fn flags_of(socket: &impl AsFd) -> Flags {
    SoTimestamping::get(socket).unwrap().0
}

fn is_raw(socket: &impl AsFd) -> bool {
    SockRef::from(socket).r#type().unwrap() == Type::RAW
}

/// What arrives with the next four bytes, and how many messages.
fn next<O, L: for<'a> RecvList<Output<'a> = O>>(socket: &impl AsFd) -> (usize, O) {
    // TCP has more than that perhaps, a raw socket the header of IPv4 before it.
    let room = if socket_family(socket).unwrap() == libc::AF_INET && is_raw(socket) { 24 } else { 4 };
    let (mut data, mut control) = ([0; 24], ControlBuf::<L>::new());
    let message = socket.recv_msg(&mut data[..room], &mut control).unwrap();
    message.require_complete().unwrap();
    assert!(message.data().ends_with(b"data"));
    (message.cmsgs().count(), message.extract())
}

/// A receiver that is stamped; while it is open, so is everything that arrives here.
fn stamped(addr: &str) -> (UdpSocket, UdpSocket) {
    let (receiver, sender) = udp(addr);
    receiver.enable::<ScmTimestamping>().unwrap();
    for _ in 0..TRIES {
        send(&sender, ()).unwrap();
        if next::<_, ScmTimestamping>(&receiver).1.is_some() {
            return (receiver, sender);
        }
    }
    panic!("no stamp with {TRIES} datagrams");
}

fn age(stamp: Timestamp) -> Duration {
    SystemTime::now().duration_since(stamp.to_system_time().unwrap()).expect("a stamp from the past")
}

/// TS04, TS17
#[test]
fn every_received_datagram_is_stamped_by_software_alone() {
    for addr in addrs("every_received_datagram_is_stamped_by_software_alone") {
        let (plain, to_plain) = udp(addr);
        let (receiver, sender) = stamped(addr);
        let mut last = None;
        for _ in 0..50 {
            let before = SystemTime::now();
            send(&sender, ()).unwrap();
            let (count, stamps) = next::<_, ScmTimestamping>(&receiver);
            let stamps = stamps.unwrap();
            assert_eq!((count, stamps.transformed, stamps.hardware), (1, None, None));
            let stamp = stamps.software.unwrap();
            assert!(stamp.to_system_time().unwrap() >= before && age(stamp) < Duration::from_secs(60));
            assert!(last <= Some(stamp), "{last:?} {stamp}");
            last = Some(stamp);
        }
        send(&to_plain, ()).unwrap();
        assert_eq!(next::<_, ScmTimestamping>(&plain), (0, None), "nobody asked for it");
        receiver.disable::<ScmTimestamping>().unwrap();
        send(&sender, ()).unwrap();
        assert_eq!(next::<_, ScmTimestamping>(&receiver), (0, None));
    }
}

/// TS01
#[test]
fn a_stamp_has_to_be_made_and_reported() {
    for addr in addrs("a_stamp_has_to_be_made_and_reported") {
        let _others = stamped(addr);
        made_and_reported(|| udp(addr));
    }
}

/// TS01
#[test]
fn a_stamp_has_to_be_made_and_reported_on_raw_sockets() {
    const EXPERIMENT: i32 = 253; // RFC 3692
    let test = "a_stamp_has_to_be_made_and_reported_on_raw_sockets";
    let Some(host) = Namespace::new(test) else { return };
    host.run(|| {
        for addr in addrs(test) {
            let _others = stamped(addr);
            let to: SocketAddr = addr.parse().unwrap();
            let raw = || Socket::new(Domain::for_address(to), Type::RAW, Some(Protocol::from(EXPERIMENT))).unwrap();
            made_and_reported(|| {
                let (receiver, sender) = (raw(), raw());
                receiver.set_read_timeout(TIMEOUT).unwrap();
                // What the sender gets itself it does not read.
                sender.connect(&to.into()).unwrap();
                (receiver, sender)
            });
        }
    });
}

fn made_and_reported<S: AsFd>(pair: impl Fn() -> (S, S)) {
    for (flags, both) in [
        (Flags::empty(), false),
        (Flags::RX_SOFTWARE, false),
        (Flags::RX_HARDWARE, false),
        (Flags::RX_HARDWARE | Flags::RAW_HARDWARE, false),
        (Flags::RX_SOFTWARE | Flags::SOFTWARE, true),
    ] {
        let (receiver, sender) = pair();
        SoTimestamping(flags).set(&receiver).unwrap();
        send(&sender, ()).unwrap();
        let (count, stamps) = next::<_, ScmTimestamping>(&receiver);
        assert_eq!((count, stamps.is_some()), (both.into(), both), "{flags:?}");

        receiver.enable::<Timestamp>().unwrap();
        assert_eq!(flags_of(&receiver), flags, "the other option has its own place");
        send(&sender, ()).unwrap();
        let (count, (stamp, stamps)) = next::<_, (Timestamp, ScmTimestamping)>(&receiver);
        assert_eq!((count, stamps.is_some()), (1 + usize::from(both), both), "{flags:?}");
        assert!(stamp.is_some_and(|stamp| age(stamp) < Duration::from_secs(60)));
        assert!(stamps.is_none_or(|stamps| stamps.software == stamp), "{stamps:?} {stamp:?}");
    }
    // In microseconds, unless nanoseconds are asked for too (SO_TIMESTAMP, SO_TIMESTAMPNS).
    let (receiver, sender) = pair();
    for (option, expected) in [(libc::SO_TIMESTAMP, libc::SO_TIMESTAMP), (libc::SO_TIMESTAMPNS, libc::SO_TIMESTAMPNS)] {
        set_option(&receiver, libc::SOL_SOCKET, option, 1).unwrap();
        send(&sender, ()).unwrap();
        let (mut data, mut control) = ([0; 64], ControlBuf::<Timestamp>::new());
        let message = receiver.recv_msg(&mut data, &mut control).unwrap();
        let ids: Vec<_> = message.cmsgs().map(|cmsg| (cmsg.id().level(), cmsg.id().ty())).collect();
        assert_eq!(ids, [(libc::SOL_SOCKET, expected)]);
        assert!(age(message.extract().unwrap()) < Duration::from_secs(60));
    }
}

#[test]
fn stamps_are_read_in_the_width_that_the_socket_has() {
    let _others = stamped(V4);
    let (receiver, sender) = udp(V4);
    let flags = (Flags::RX_SOFTWARE | Flags::SOFTWARE).bits() as i32;
    for (option, other) in [(65, 37), (37, 65)] {
        set_option(&receiver, libc::SOL_SOCKET, option, flags).unwrap();
        send(&sender, ()).unwrap();
        let (mut data, mut control) = ([0; 64], ControlBuf::<ScmTimestamping>::new());
        let message = receiver.recv_msg(&mut data, &mut control).unwrap();
        let ids: Vec<_> = message.cmsgs().map(|cmsg| (cmsg.id().level(), cmsg.id().ty())).collect();
        assert_eq!(ids, [(libc::SOL_SOCKET, option)], "and not {other}");
        assert!(age(message.extract().unwrap().software.unwrap()) < Duration::from_secs(60));
        assert_eq!(flags_of(&receiver).bits() as i32, flags, "told in either");
    }
}

/// TS03
#[test]
fn a_scattered_datagram_is_stamped() {
    let (receiver, sender) = stamped(V4);
    let bytes: Vec<u8> = (0..400u16).map(|i| i as u8).collect();
    sender.send(&bytes).unwrap();
    let (mut head, mut tail, mut control) = ([0; 256], [0; 256], ControlBuf::<ScmTimestamping>::new());
    let message = MsgHdrMut::new().data(&mut head).data(&mut tail).recv(&receiver, &mut control).unwrap();
    let (len, stamps) = (message.len(), message.extract().unwrap());
    assert_eq!((len, &head[..], &tail[..144]), (400, &bytes[..256], &bytes[256..]));
    assert!(age(stamps.software.unwrap()) < Duration::from_secs(60));
}

/// TS01
#[test]
fn a_stream_is_stamped() {
    let (receiver, sender) = tcp(V4);
    receiver.enable::<ScmTimestamping>().unwrap();
    for _ in 0..TRIES {
        send(&sender, ()).unwrap();
        if let (count, Some(stamps)) = next::<_, ScmTimestamping>(&receiver) {
            assert_eq!((count, stamps.hardware), (1, None));
            return assert!(age(stamps.software.unwrap()) < Duration::from_secs(60));
        }
    }
    panic!("no stamp");
}

#[test]
fn enabling_and_disabling_leave_other_flags_alone() {
    let (socket, _) = udp(V4);
    assert_eq!(flags_of(&socket), Flags::empty());
    let own = Flags::OPT_ID | Flags::TX_SOFTWARE | Flags::OPT_CMSG | Flags::TX_SCHED;
    SoTimestamping(own).set(&socket).unwrap();
    let received = Flags::RX_SOFTWARE | Flags::SOFTWARE | Flags::RX_HARDWARE | Flags::RAW_HARDWARE;
    socket.enable::<ScmTimestamping>().unwrap();
    assert_eq!(flags_of(&socket), own | received);
    socket.enable::<(ScmTimestampingPktInfo, ScmTimestampingOptStats<'_>)>().unwrap();
    let all = own | received | Flags::OPT_PKTINFO | Flags::OPT_STATS | Flags::OPT_TSONLY;
    assert_eq!(flags_of(&socket), all);
    socket.disable::<(ScmTimestampingPktInfo, ScmTimestampingOptStats<'_>)>().unwrap();
    assert_eq!(flags_of(&socket), own | received | Flags::OPT_TSONLY);
    socket.disable::<ScmTimestamping>().unwrap();
    assert_eq!(flags_of(&socket), own | Flags::OPT_TSONLY);
    SoTimestamping(Flags::empty()).set(&socket).unwrap();
    assert_eq!(flags_of(&socket), Flags::empty());

    // What the kernel refuses changes nothing.
    SoTimestamping(own).set(&socket).unwrap();
    for refused in [Flags::OPT_STATS, Flags::OPT_ID_TCP, Flags::from_bits_retain(1 << 30)] {
        let error = SoTimestamping(refused).set(&socket).unwrap_err();
        assert_eq!(error.raw_os_error(), Some(libc::EINVAL), "{refused:?}");
    }
    let error = SoTimestamping(own).set_with_clock(&socket, 0).unwrap_err().raw_os_error();
    assert!(matches!(error, Some(libc::EOPNOTSUPP | libc::EINVAL)), "bound to no device: {error:?}");
    assert_eq!(flags_of(&socket), own);
}

/// Software stamps come without the interface; those of hardware cannot be tested on loopback.
#[test]
fn the_stamping_interface_comes_with_hardware_stamps_alone() {
    let (receiver, sender) = stamped(V4);
    receiver.enable::<ScmTimestampingPktInfo>().unwrap();
    send(&sender, ()).unwrap();
    let (count, (stamps, info)) = next::<_, (ScmTimestamping, ScmTimestampingPktInfo)>(&receiver);
    assert_eq!((count, stamps.unwrap().hardware, info), (1, None, None));
}

#[test]
fn stamps_are_of_packets_alone() {
    let (unix, _) = datagrams();
    let stats = unix.enable::<ScmTimestampingOptStats<'_>>();
    let set = SoTimestamping(Flags::SOFTWARE).set(&unix);
    for result in [unix.enable::<ScmTimestamping>(), unix.enable::<ScmTimestampingPktInfo>(), stats, set] {
        let error: FamilyError = cause(&result.unwrap_err()).unwrap();
        assert_eq!((error.what, error.found), ("socket", libc::AF_UNIX));
    }
    assert_eq!(flags_of(&unix), Flags::empty());
    assert_eq!(errno(send(&unix, SoTimestamping(Flags::TX_SOFTWARE))), libc::EINVAL);
}
