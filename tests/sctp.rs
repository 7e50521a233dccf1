//! SCTP over real associations: what is said with a message and what is told about it.

#![cfg(target_os = "linux")]

mod common;

use std::{
    fs, io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket},
    time::Instant,
};

use ancillary::{
    ControlVec, FamilyError, MsgFlags, MsgHdr, RawCmsg, SendControl, SocketExt,
    cmsg::CmsgId,
    message::{
        RecvList, SctpAuthInfo, SctpDstAddrV4, SctpDstAddrV6, SctpFlags, SctpInit, SctpNxtInfo, SctpPrInfo,
        SctpPrPolicy, SctpRcvInfo, SctpSndInfo, SctpSndRcv,
    },
    set_option,
};
use common::{TIMEOUT, cause, has_v6, pairs::stream, skipped};
use nix::{
    getsockopt_impl, libc, setsockopt_impl, sockopt_impl,
    sys::socket::{getsockopt, setsockopt},
};
use socket2::{Domain, Protocol, Socket, Type};

// include/uapi/linux/sctp.h
const SCTP_NODELAY: i32 = 3;
const SCTP_EVENTS: i32 = 11;
const SCTP_AUTH_CHUNK: i32 = 21;
/// `msg_flags` of a notification (include/linux/socket.h).
const MSG_NOTIFICATION: i32 = 0x8000;

sockopt_impl!(
    /// The first two of `struct sctp_event_subscribe`: `sctp_data_io_event`, `sctp_association_event`.
    Events, Both, libc::IPPROTO_SCTP, SCTP_EVENTS, [u8; 2]
);
sockopt_impl!(
    /// A type of chunk that the peer has to authenticate.
    AuthChunk, SetOnly, libc::IPPROTO_SCTP, SCTP_AUTH_CHUNK, [u8; 1]
);

/// A socket with the limits that keep a test from hanging; nothing where this kernel has no SCTP.
fn socket(test: &str, domain: Domain, kind: Type) -> Option<Socket> {
    match Socket::new(domain, kind, Some(Protocol::SCTP)) {
        Ok(socket) => {
            for set in [Socket::set_read_timeout, Socket::set_write_timeout] {
                set(&socket, TIMEOUT).unwrap();
            }
            set_option(&socket, libc::IPPROTO_SCTP, SCTP_NODELAY, 1).unwrap();
            Some(socket)
        }
        Err(error) => {
            skipped(format_args!("SKIPPED {test}: no SCTP here (module sctp: {error})"));
            None
        }
    }
}

fn listener(test: &str, ip: impl Into<IpAddr>, kind: Type) -> Option<(Socket, SocketAddr)> {
    let addr = SocketAddr::from((ip.into(), 0));
    let listener = socket(test, Domain::for_address(addr), kind)?;
    listener.bind(&addr.into()).unwrap();
    listener.listen(4).unwrap();
    let addr = listener.local_addr().unwrap().as_socket().unwrap();
    Some((listener, addr))
}

/// A one-to-one association: who sends, who receives.
fn pair(test: &str) -> Option<(Socket, Socket)> {
    let (listener, addr) = listener(test, Ipv4Addr::LOCALHOST, Type::STREAM)?;
    let sender = socket(test, Domain::IPV4, Type::STREAM)?;
    sender.connect(&addr.into()).unwrap();
    let (receiver, _) = listener.accept().unwrap();
    receiver.set_read_timeout(TIMEOUT).unwrap();
    Some((sender, receiver))
}

fn send(socket: &Socket, data: &[u8], control: impl for<'fd> SendControl<'fd>) -> io::Result<usize> {
    MsgHdr::new().data(data).control(control).send(socket)
}

fn send_to(socket: &Socket, to: SocketAddr, data: &[u8], control: impl for<'fd> SendControl<'fd>) -> io::Result<usize> {
    MsgHdr::new().to(to).data(data).control(control).send(socket)
}

fn errno(result: io::Result<usize>) -> Option<i32> {
    result.unwrap_err().raw_os_error()
}

/// The next message, which is no notification.
fn next<O, L: for<'a> RecvList<Output<'a> = O>>(socket: &Socket) -> (Vec<u8>, O) {
    let (mut data, mut control) = ([0; 64], ControlVec::<L>::with_capacity(256));
    let message = socket.recv_msg(&mut data, &mut control).unwrap();
    message.require_complete().unwrap();
    assert!(message.flags().contains(MsgFlags::EOR), "{message:?}");
    assert_eq!(message.flags().bits() & MSG_NOTIFICATION, 0, "{message:?}");
    (message.data().to_vec(), message.extract())
}

#[test]
fn stream_and_identifier_arrive_as_they_were_sent() {
    let Some((sender, receiver)) = pair("stream_and_identifier_arrive_as_they_were_sent") else { return };
    let info = SctpSndInfo { sid: 3, ppid: 46u32.to_be(), ..Default::default() };
    send(&sender, b"before", info).unwrap();
    assert_eq!(next::<_, SctpRcvInfo>(&receiver), (b"before".to_vec(), None), "nobody has asked");
    receiver.enable::<SctpRcvInfo>().unwrap();
    send(&sender, b"default", ()).unwrap();
    let (data, first) = next::<_, SctpRcvInfo>(&receiver);
    let first = first.unwrap();
    assert_eq!((&data[..], first.sid, first.ssn, first.ppid), (&b"default"[..], 0, 0, 0));
    assert_eq!(first.flags, SctpFlags::empty());
    send(&sender, b"third", info).unwrap();
    let (data, third) = next::<_, SctpRcvInfo>(&receiver);
    let expected = SctpRcvInfo { sid: 3, ssn: 1, ppid: info.ppid, tsn: first.tsn.wrapping_add(1), ..first };
    assert_eq!((&data[..], third), (&b"third"[..], Some(expected)));
    assert_eq!(u32::from_be(third.unwrap().ppid), 46);
    let flags = SctpFlags::UNORDERED | SctpFlags::SACK_IMMEDIATELY;
    send(&sender, b"fourth", SctpSndInfo { sid: 9, flags, ppid: u32::MAX, ..info }).unwrap();
    let (_, fourth) = next::<_, SctpRcvInfo>(&receiver);
    let fourth = fourth.unwrap();
    assert_eq!((fourth.sid, fourth.flags, fourth.ppid), (9, SctpFlags::UNORDERED, u32::MAX));
    receiver.disable::<SctpRcvInfo>().unwrap();
    send(&sender, b"fifth", info).unwrap();
    assert_eq!(next::<_, SctpRcvInfo>(&receiver), (b"fifth".to_vec(), None));
}

#[test]
fn a_stream_or_a_flag_that_there_is_not_is_refused() {
    let Some((sender, receiver)) = pair("a_stream_or_a_flag_that_there_is_not_is_refused") else { return };
    let info = SctpSndInfo::default();
    assert_eq!(errno(send(&sender, b"x", SctpSndInfo { sid: 0x7fff, ..info })), Some(libc::EINVAL));
    for flags in [SctpFlags::from_bits_retain(0x4000), SctpFlags::EOF, SctpFlags::ABORT, SctpFlags::ADDR_OVER] {
        assert_eq!(errno(send(&sender, b"x", SctpSndInfo { flags, ..info })), Some(libc::EINVAL), "{flags}");
        let old = SctpSndRcv { flags, ..Default::default() };
        assert_eq!(errno(send(&sender, b"x", old)), Some(libc::EINVAL), "{flags}");
    }
    let received = RawCmsg::new(CmsgId::new(libc::IPPROTO_SCTP, 3), &[0; 28]);
    assert_eq!(errno(MsgHdr::new().data(b"x").control(received).send(&sender)), Some(libc::EINVAL));
    send(&sender, b"y", info).unwrap();
    assert_eq!(next::<_, ()>(&receiver), (b"y".to_vec(), ()), "and nothing of those refused");
}

#[test]
fn the_old_information_goes_both_ways_and_the_new_one_wins() {
    let name = "the_old_information_goes_both_ways_and_the_new_one_wins";
    let Some((sender, receiver)) = pair(name) else { return };
    let old = SctpSndRcv { stream: 4, ppid: 7u32.to_be(), context: 99, timetolive: 60_000, ..Default::default() };
    send(&sender, b"before", old).unwrap();
    assert_eq!(next::<_, SctpSndRcv>(&receiver), (b"before".to_vec(), None), "nobody has asked");
    receiver.enable::<(SctpSndRcv, SctpRcvInfo)>().unwrap();
    send(&sender, b"old", old).unwrap();
    let (_, (both, new)) = next::<_, (SctpSndRcv, SctpRcvInfo)>(&receiver);
    let (both, new) = (both.unwrap(), new.unwrap());
    assert_eq!((both.stream, both.ssn, both.ppid), (4, 1, old.ppid));
    assert_eq!((both.context, both.timetolive), (0, 0), "the sender's own, which do not travel");
    assert_eq!((both.tsn, both.cumtsn, both.assoc_id), (new.tsn, new.cumtsn, new.assoc_id));
    assert_eq!((both.stream, both.ssn, both.flags, both.ppid), (new.sid, new.ssn, new.flags, new.ppid));
    send(&sender, b"new", (SctpSndInfo { sid: 5, ppid: 8, ..Default::default() }, old)).unwrap();
    let (_, found) = next::<_, SctpSndRcv>(&receiver);
    assert_eq!(found.map(|found| (found.stream, found.ppid)), Some((5, 8)));
    receiver.disable::<(SctpSndRcv, SctpRcvInfo)>().unwrap();
    send(&sender, b"after", old).unwrap();
    let nothing = (b"after".to_vec(), (None, None));
    assert_eq!(next::<_, (SctpSndRcv, SctpRcvInfo)>(&receiver), nothing);
}

#[test]
fn asking_for_the_old_information_leaves_the_other_events_alone() {
    let name = "asking_for_the_old_information_leaves_the_other_events_alone";
    let Some((receiver, addr)) = listener(name, Ipv4Addr::LOCALHOST, Type::SEQPACKET) else { return };
    let Some(sender) = socket(name, Domain::IPV4, Type::SEQPACKET) else { return };
    setsockopt(&receiver, Events, &[0, 1]).unwrap();
    receiver.enable::<SctpSndRcv>().unwrap();
    assert_eq!(getsockopt(&receiver, Events).unwrap(), [1, 1]);
    send_to(&sender, addr, b"data", SctpSndRcv { stream: 2, ..Default::default() }).unwrap();
    let (mut data, mut control) = ([0; 64], ControlVec::<SctpSndRcv>::with_capacity(256));
    let message = receiver.recv_msg(&mut data, &mut control).unwrap();
    assert_ne!(message.flags().bits() & MSG_NOTIFICATION, 0, "of the new association: {message:?}");
    assert_eq!(message.extract(), None, "it is no message");
    let (data, found) = next::<_, SctpSndRcv>(&receiver);
    assert_eq!((&data[..], found.map(|found| found.stream)), (&b"data"[..], Some(2)));
    receiver.disable::<SctpSndRcv>().unwrap();
    assert_eq!(getsockopt(&receiver, Events).unwrap(), [0, 1]);
}

#[test]
fn the_next_message_is_told_about_with_this_one() {
    let name = "the_next_message_is_told_about_with_this_one";
    let Some((sender, receiver)) = pair(name) else { return };
    let first = SctpSndInfo { sid: 1, ppid: 11, ..Default::default() };
    let second = SctpSndInfo { sid: 2, ppid: 22u32.to_be(), ..first };
    // The second has perhaps not arrived when the first is read: then once more.
    let deadline = Instant::now() + TIMEOUT.unwrap();
    let ask = |on: bool| {
        if on {
            receiver.enable::<(SctpNxtInfo, SctpRcvInfo)>().unwrap();
        }
        send(&sender, b"one", first).unwrap();
        send(&sender, b"two and more", second).unwrap();
        let (_, (next_info, _)) = next::<_, (SctpNxtInfo, SctpRcvInfo)>(&receiver);
        let (data, (last, info)) = next::<_, (SctpNxtInfo, SctpRcvInfo)>(&receiver);
        assert_eq!((&data[..], last, info.is_some()), (&b"two and more"[..], None, on), "nothing comes behind it");
        next_info
    };
    assert_eq!(ask(false), None, "nobody has asked");
    let found = loop {
        assert!(Instant::now() < deadline, "never the two together");
        if let Some(found) = ask(true) {
            break found;
        }
    };
    assert_eq!((found.sid, found.ppid, found.length), (2, second.ppid, 12));
    assert_eq!(found.flags, SctpFlags::empty());
}

#[test]
fn a_policy_decides_whether_the_message_arrives() {
    let Some((sender, receiver)) = pair("a_policy_decides_whether_the_message_arrives") else { return };
    receiver.enable::<SctpRcvInfo>().unwrap();
    let info = SctpSndInfo { sid: 1, ..Default::default() };
    let policies = [SctpPrPolicy::None, SctpPrPolicy::Ttl, SctpPrPolicy::Rtx, SctpPrPolicy::Prio];
    for policy in policies {
        send(&sender, b"by message", (info, SctpPrInfo { policy, value: 60_000 })).unwrap();
        let (data, found) = next::<_, SctpRcvInfo>(&receiver);
        assert_eq!((&data[..], found.map(|found| found.sid)), (&b"by message"[..], Some(1)), "{policy:?}");
        let old = SctpSndRcv { flags: policy.flags(), timetolive: 60_000, ..Default::default() };
        send(&sender, b"by flags", old).unwrap();
        assert_eq!(next::<_, SctpRcvInfo>(&receiver).0, b"by flags", "{policy:?}");
    }
    // No time at all: what comes is the one after it. The message beats the flags, which would let it live.
    let flags = SctpPrPolicy::Prio.flags();
    let dead = SctpPrInfo { policy: SctpPrPolicy::Ttl, value: 0 };
    assert_eq!(send(&sender, b"dead", (SctpSndInfo { flags, ..info }, dead)).unwrap(), 4);
    send(&sender, b"alive", info).unwrap();
    assert_eq!(next::<_, SctpRcvInfo>(&receiver).0, b"alive");
    // The kernel reads it where it is: another policy, and a policy for nothing, are refused.
    let mut unknown = [0; 8];
    unknown[..2].copy_from_slice(&0x40u16.to_ne_bytes());
    let unknown = RawCmsg::new(CmsgId::new(libc::IPPROTO_SCTP, 5), &unknown);
    assert_eq!(errno(MsgHdr::new().data(b"x").control(unknown).send(&sender)), Some(libc::EINVAL));
    let nothing = send(&sender, b"", SctpPrInfo { policy: SctpPrPolicy::Ttl, value: 1 });
    assert_eq!(errno(nothing), Some(libc::EINVAL));
}

#[test]
fn a_new_association_has_the_streams_that_were_asked_for() {
    let name = "a_new_association_has_the_streams_that_were_asked_for";
    let Some((receiver, addr)) = listener(name, Ipv4Addr::LOCALHOST, Type::SEQPACKET) else { return };
    receiver.enable::<SctpRcvInfo>().unwrap();
    for (init, last) in [(None, 9), (Some(SctpInit { num_ostreams: 3, ..Default::default() }), 2)] {
        let Some(sender) = socket(name, Domain::IPV4, Type::SEQPACKET) else { return };
        send_to(&sender, addr, b"first", init).unwrap();
        assert_eq!(next::<_, SctpRcvInfo>(&receiver).0, b"first");
        send_to(&sender, addr, b"last", SctpSndInfo { sid: last, ..Default::default() }).unwrap();
        let (data, found) = next::<_, SctpRcvInfo>(&receiver);
        assert_eq!((&data[..], found.map(|found| found.sid)), (&b"last"[..], Some(last)));
        let more = SctpSndInfo { sid: last + 1, ..Default::default() };
        assert_eq!(errno(send_to(&sender, addr, b"more", more)), Some(libc::EINVAL), "{init:?}");
    }
}

#[test]
fn addresses_of_the_peer_are_taken_in_network_order() {
    let name = "addresses_of_the_peer_are_taken_in_network_order";
    let Some((receiver, addr)) = listener(name, Ipv4Addr::LOCALHOST, Type::SEQPACKET) else { return };
    let Some(sender) = socket(name, Domain::IPV4, Type::SEQPACKET) else { return };
    // One is a multicast address, and the other would be if it were turned round.
    let multicast = SctpDstAddrV4(Ipv4Addr::new(224, 0, 0, 127));
    let other = SctpDstAddrV4(Ipv4Addr::new(127, 0, 0, 224));
    assert_eq!(errno(send_to(&sender, addr, b"x", (other, multicast))), Some(libc::EINVAL));
    send_to(&sender, addr, b"4", (other, SctpDstAddrV4(Ipv4Addr::new(127, 0, 0, 2)))).unwrap();
    assert_eq!(next::<_, ()>(&receiver).0, b"4");
    send_to(&sender, addr, b"now it is there", multicast).unwrap();
    assert_eq!(next::<_, ()>(&receiver).0, b"now it is there");

    if !has_v6(name) {
        return;
    }
    let Some((receiver, addr)) = listener(name, Ipv6Addr::LOCALHOST, Type::SEQPACKET) else { return };
    let Some(sender) = socket(name, Domain::IPV6, Type::SEQPACKET) else { return };
    let multicast = SctpDstAddrV6("ff02::fb".parse().unwrap());
    let other = SctpDstAddrV6("2001:db8::ff".parse().unwrap());
    assert_eq!(errno(send_to(&sender, addr, b"x", (other, multicast))), Some(libc::EINVAL));
    send_to(&sender, addr, b"6", other).unwrap();
    assert_eq!(next::<_, ()>(&receiver).0, b"6");
    let Some(v4) = socket(name, Domain::IPV4, Type::SEQPACKET) else { return };
    let Some((_listener, addr)) = listener(name, Ipv4Addr::LOCALHOST, Type::SEQPACKET) else { return };
    assert_eq!(errno(send_to(&v4, addr, b"x", other)), Some(libc::EINVAL), "on an IPv4 socket");
}

/// Sockets made while it lives know how to authenticate.
struct Authentication(String);

impl Authentication {
    const PATH: &str = "/proc/sys/net/sctp/auth_enable";

    fn on() -> io::Result<Self> {
        let before = fs::read_to_string(Self::PATH)?;
        fs::write(Self::PATH, "1")?;
        Ok(Self(before))
    }
}

impl Drop for Authentication {
    fn drop(&mut self) {
        let _ = fs::write(Self::PATH, &self.0);
    }
}

#[test]
fn a_key_that_there_is_not_is_refused_where_data_is_authenticated() {
    let name = "a_key_that_there_is_not_is_refused_where_data_is_authenticated";
    let Some((sender, receiver)) = pair(name) else { return };
    send(&sender, b"any key", SctpAuthInfo(7)).unwrap();
    assert_eq!(next::<_, ()>(&receiver).0, b"any key", "nothing is authenticated");

    let _on = match Authentication::on() {
        Ok(on) => on,
        Err(error) => {
            return skipped(format_args!("SKIPPED {name}, its second half: {}: {error}", Authentication::PATH));
        }
    };
    let Some((receiver, addr)) = listener(name, Ipv4Addr::LOCALHOST, Type::STREAM) else { return };
    setsockopt(&receiver, AuthChunk, &[0]).unwrap(); // chunks of data
    let Some(sender) = socket(name, Domain::IPV4, Type::STREAM) else { return };
    sender.connect(&addr.into()).unwrap();
    let (receiver, _) = receiver.accept().unwrap();
    receiver.set_read_timeout(TIMEOUT).unwrap();
    assert_eq!(errno(send(&sender, b"x", SctpAuthInfo(7))), Some(libc::EINVAL));
    assert_eq!(errno(send(&sender, b"x", SctpAuthInfo(0x0100))), Some(libc::EINVAL));
    send(&sender, b"key 0", SctpAuthInfo(0)).unwrap();
    assert_eq!(next::<_, ()>(&receiver).0, b"key 0");
}

#[test]
fn sockets_of_other_protocols_refuse_it() {
    let error = stream().0.enable::<SctpSndRcv>().unwrap_err();
    assert_eq!(cause(&error), Some(FamilyError::new("socket", "AF_INET or AF_INET6", libc::AF_UNIX)));
    let udp = UdpSocket::bind("127.0.0.1:0").unwrap();
    for error in [udp.enable::<SctpSndRcv>(), udp.enable::<SctpRcvInfo>(), udp.enable::<SctpNxtInfo>()] {
        assert_eq!(error.unwrap_err().raw_os_error(), Some(libc::ENOPROTOOPT));
    }
}
