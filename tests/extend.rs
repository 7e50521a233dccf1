//! A third party's message types, a few lines each, beside this crate's own; and what nobody knows.

#![cfg(target_os = "linux")]

mod common;

use std::{
    io,
    net::{Ipv4Addr, SocketAddr, SocketAddrV4, UdpSocket},
    os::fd::{AsFd, BorrowedFd, OwnedFd},
};

use ancillary::{
    ControlBuf, ControlList, ControlOut, ControlVec, DecodeError, EncodeError, MsgHdr, RawCmsg, RecvControl,
    SendControl, SocketExt,
    cmsg::{self, CmsgId},
    message::{HopLimit, PktInfo, RecvList, ScmRights, ScmRightsSpace, Timestamp, TrafficClass},
    parser::ControlMessage,
    set_option,
};
use common::{
    pairs::{bound, stream, udp},
    pipes::{contents, names, numbered},
    skipped,
};
use nix::libc;

const UDP_SEGMENT: i32 = 103;
const UDP_GRO: i32 = 104;
const SO_RCVMARK: i32 = 75;
const IP_RECVORIGDSTADDR: i32 = 20;
const IPV6_FLOWINFO: i32 = 11;
const GRO: CmsgId = CmsgId::new(libc::SOL_UDP, UDP_GRO);
const MARK: CmsgId = CmsgId::new(libc::SOL_SOCKET, libc::SO_MARK);
const ORIGINAL: CmsgId = CmsgId::new(libc::IPPROTO_IP, IP_RECVORIGDSTADDR);
const FLOW: CmsgId = CmsgId::new(libc::IPPROTO_IPV6, IPV6_FLOWINFO);

/// Cuts a long datagram into many (`UDP_SEGMENT`).
#[derive(Clone, Copy)]
struct UdpSegment(u16);

impl SendControl<'_> for UdpSegment {
    fn encode(&self, out: &mut ControlOut<'_, '_>) -> Result<(), EncodeError> {
        out.push(CmsgId::new(libc::SOL_UDP, UDP_SEGMENT), &self.0.to_ne_bytes())
    }
}

/// Size of the datagrams that were merged into one (`UDP_GRO`).
#[derive(Clone, Copy, Debug, PartialEq)]
struct UdpGro(i32);

impl RecvControl for UdpGro {
    type Value<'a> = Self;
    const PAYLOAD_LEN: usize = 4;
    fn matches(id: CmsgId) -> bool {
        id == GRO
    }
    fn decode(cmsg: RawCmsg<'_>) -> Result<Self, DecodeError> {
        cmsg.int().map(Self)
    }
    fn set_enabled(socket: BorrowedFd<'_>, on: bool) -> io::Result<()> {
        set_option(socket, GRO.level(), GRO.ty(), on.into())
    }
}

/// The mark of a packet (`SO_MARK`), both ways.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Mark(u32);

impl SendControl<'_> for Mark {
    fn encode(&self, out: &mut ControlOut<'_, '_>) -> Result<(), EncodeError> {
        out.push(MARK, &self.0.to_ne_bytes())
    }
}

impl RecvControl for Mark {
    type Value<'a> = Self;
    const PAYLOAD_LEN: usize = 4;
    fn matches(id: CmsgId) -> bool {
        id == MARK
    }
    fn decode(cmsg: RawCmsg<'_>) -> Result<Self, DecodeError> {
        cmsg.array().map(u32::from_ne_bytes).map(Self)
    }
    fn set_enabled(socket: BorrowedFd<'_>, on: bool) -> io::Result<()> {
        set_option(socket, libc::SOL_SOCKET, SO_RCVMARK, on.into())
    }
}

/// Destination before any redirection (`IP_RECVORIGDSTADDR`, `struct sockaddr_in`).
#[derive(Clone, Copy, Debug, PartialEq)]
struct OriginalDestination(SocketAddrV4);

impl RecvControl for OriginalDestination {
    type Value<'a> = Self;
    const PAYLOAD_LEN: usize = 16;
    fn matches(id: CmsgId) -> bool {
        id == ORIGINAL
    }
    fn decode(cmsg: RawCmsg<'_>) -> Result<Self, DecodeError> {
        let [_, _, p0, p1, a, b, c, d, ..]: [u8; 16] = cmsg.array()?;
        Ok(Self(SocketAddrV4::new(Ipv4Addr::new(a, b, c, d), u16::from_be_bytes([p0, p1]))))
    }
    fn set_enabled(socket: BorrowedFd<'_>, on: bool) -> io::Result<()> {
        set_option(socket, ORIGINAL.level(), ORIGINAL.ty(), on.into())
    }
}

/// Traffic class and flow label (`IPV6_FLOWINFO`), both ways, big-endian.
#[derive(Clone, Copy, Debug, PartialEq)]
struct FlowInfo(u32);

impl SendControl<'_> for FlowInfo {
    fn encode(&self, out: &mut ControlOut<'_, '_>) -> Result<(), EncodeError> {
        out.push(FLOW, &self.0.to_be_bytes())
    }
}

impl RecvControl for FlowInfo {
    type Value<'a> = Self;
    const PAYLOAD_LEN: usize = 4;
    fn matches(id: CmsgId) -> bool {
        id == FLOW
    }
    fn decode(cmsg: RawCmsg<'_>) -> Result<Self, DecodeError> {
        cmsg.array().map(u32::from_be_bytes).map(Self)
    }
    fn set_enabled(socket: BorrowedFd<'_>, on: bool) -> io::Result<()> {
        set_option(socket, FLOW.level(), FLOW.ty(), on.into())
    }
}

/// A receiver with these messages enabled and a sender connected to it; `None`, with a word about it, where this
/// kernel or this user cannot.
fn pair<L: RecvList>(addr: &str, name: &str) -> Option<(UdpSocket, UdpSocket)> {
    if let Err(error) = UdpSocket::bind(addr) {
        skipped(format_args!("SKIPPED {name}: {addr}: {error}"));
        return None;
    }
    let (receiver, sender) = udp(addr);
    match receiver.enable::<L>() {
        Ok(()) => {}
        Err(error) if matches!(error.raw_os_error(), Some(libc::ENOPROTOOPT | libc::EPERM)) => {
            skipped(format_args!("SKIPPED {name}: enable: {error}"));
            return None;
        }
        Err(error) => panic!("{error}"),
    }
    Some((receiver, sender))
}

/// Whether the socket may send a mark.
fn may_mark(sender: &UdpSocket, name: &str) -> bool {
    match MsgHdr::new().data(b"probe").control(Mark(1)).send(sender) {
        Ok(_) => true,
        Err(error) if error.raw_os_error() == Some(libc::EPERM) => {
            skipped(format_args!("SKIPPED {name}: SO_MARK as a control message: {error}"));
            false
        }
        Err(error) => panic!("{error}"),
    }
}

const LIST: [u8; 100] = {
    let mut bytes = [0; 100];
    let mut i = 0;
    while i < bytes.len() {
        bytes[i] = i as u8;
        i += 1;
    }
    bytes
};

/// GS11
#[test]
fn a_foreign_message_to_send_cuts_gathered_buffers_into_datagrams() {
    let name = "a_foreign_message_to_send_cuts_gathered_buffers_into_datagrams";
    let Some((receiver, sender)) = pair::<HopLimit>("127.0.0.1:0", name) else { return };
    let mut header = MsgHdr::new();
    header.data(&LIST[..33]).data(&LIST[33..66]).data(&LIST[66..]).control((UdpSegment(12), HopLimit(9)));
    match header.send(&sender) {
        Ok(sent) => assert_eq!(sent, 100),
        Err(error) if matches!(error.raw_os_error(), Some(libc::EINVAL | libc::EIO)) => {
            return skipped(format_args!("SKIPPED {name}: UDP_SEGMENT: {error}"));
        }
        Err(error) => panic!("{error}"),
    }
    let (mut data, mut control) = ([0; 64], ControlBuf::<HopLimit>::new());
    for chunk in LIST.chunks(12) {
        let message = receiver.recv_msg(&mut data, &mut control).unwrap();
        assert_eq!((message.data(), message.extract()), (chunk, Some(HopLimit(9))));
    }
}

/// GS02, GS13
#[test]
fn a_foreign_message_is_enabled_sized_and_extracted_beside_ours() {
    let name = "a_foreign_message_is_enabled_sized_and_extracted_beside_ours";
    type Meta = (PktInfo, UdpGro, HopLimit, TrafficClass);
    assert_eq!(Meta::SPACE, [20, 4, 4, 4].map(|len| cmsg::space(len).unwrap()).iter().sum::<usize>());
    for addr in ["127.0.0.1:0", "[::1]:0"] {
        let Some((receiver, sender)) = pair::<Meta>(addr, name) else { continue };
        for size in [50, 25, 10] {
            let control = (HopLimit(17), UdpSegment(size), TrafficClass(0x5c));
            match MsgHdr::new().data(&LIST).control(control).send(&sender) {
                Ok(sent) => assert_eq!(sent, 100),
                Err(error) => return skipped(format_args!("SKIPPED {name}: UDP_SEGMENT: {error}")),
            }
            let (mut data, mut control) = ([0; 1024], ControlBuf::<Meta, { Meta::SPACE }>::new());
            let mut whole = Vec::new();
            while whole.len() < LIST.len() {
                let message = receiver.recv_msg(&mut data, &mut control).unwrap();
                message.require_complete().unwrap();
                let (info, gro, hops, class) = message.extract();
                assert_eq!(info.unwrap().addr(), receiver.local_addr().unwrap().ip());
                assert_eq!((hops, class), (Some(HopLimit(17)), Some(TrafficClass(0x5c))));
                // Whether the loopback device merges is the kernel's choice; if it did, it says so.
                assert_eq!(gro, (message.len() > usize::from(size)).then_some(UdpGro(size.into())), "{message:?}");
                whole.extend_from_slice(message.data());
            }
            assert_eq!(whole, LIST);
        }
    }
}

/// GS12
#[test]
fn a_foreign_message_that_does_not_arrive_is_none() {
    let name = "a_foreign_message_that_does_not_arrive_is_none";
    let Some((receiver, sender)) = pair::<(UdpGro, HopLimit)>("127.0.0.1:0", name) else { return };
    for ttl in 1..=10 {
        MsgHdr::new().data(b"plain").control(HopLimit(ttl)).send(&sender).unwrap();
        let (mut data, mut control) = ([0; 64], ControlBuf::<(UdpGro, HopLimit)>::new());
        let message = receiver.recv_msg(&mut data, &mut control).unwrap();
        assert_eq!((message.data(), message.extract()), (&b"plain"[..], (None, Some(HopLimit(ttl)))));
    }
}

#[test]
fn a_mark_travels_both_ways_beside_ours() {
    let name = "a_mark_travels_both_ways_beside_ours";
    type Meta = (Timestamp, Mark, PktInfo);
    for addr in ["127.0.0.1:0", "[::1]:0"] {
        let Some((receiver, sender)) = pair::<Meta>(addr, name) else { continue };
        if !may_mark(&sender, name) {
            return;
        }
        let (mut data, mut control) = ([0; 64], ControlBuf::<Meta>::new());
        assert_eq!(receiver.recv_msg(&mut data, &mut control).unwrap().extract().1, Some(Mark(1)));
        for mark in [0x1234_5678, 7, u32::MAX] {
            // Alone, in a tuple, and encoded before.
            let list = ControlList::new((HopLimit(3), Mark(mark))).unwrap();
            MsgHdr::new().data(b"data").control(Mark(mark)).send(&sender).unwrap();
            MsgHdr::new().data(b"data").control((HopLimit(3), Some(Mark(mark)))).send(&sender).unwrap();
            MsgHdr::new().data(b"data").control_from(&list).send(&sender).unwrap();
            for _ in 0..3 {
                let message = receiver.recv_msg(&mut data, &mut control).unwrap();
                let (stamp, found, info) = message.extract();
                assert_eq!((found, info.unwrap().addr()), (Some(Mark(mark)), receiver.local_addr().unwrap().ip()));
                assert!(stamp.is_some());
                assert_eq!((message.get::<Mark>(), message.try_get::<Mark>()), (found, Ok(found)));
            }
        }
        receiver.disable::<Mark>().unwrap();
        MsgHdr::new().data(b"data").control(Mark(9)).send(&sender).unwrap();
        let message = receiver.recv_msg(&mut data, &mut control).unwrap();
        assert_eq!((message.extract().1, message.extract().2.is_some()), (None, true));
    }
}

#[test]
fn a_foreign_structure_is_decoded_beside_ours() {
    type Meta = (HopLimit, OriginalDestination, PktInfo);
    let Some((receiver, sender)) = pair::<Meta>("127.0.0.1:0", "a_foreign_structure_is_decoded_beside_ours") else {
        return;
    };
    MsgHdr::new().data(b"data").control(HopLimit(5)).send(&sender).unwrap();
    let (mut data, mut control) = ([0; 64], ControlBuf::<Meta, { Meta::SPACE }>::new());
    let message = receiver.recv_msg(&mut data, &mut control).unwrap();
    message.require_complete().unwrap();
    let (hops, original, info) = message.extract();
    assert_eq!((hops, info.map(|info| info.addr())), (Some(HopLimit(5)), Some(Ipv4Addr::LOCALHOST.into())));
    assert_eq!(original.map(|original| SocketAddr::V4(original.0)), receiver.local_addr().ok());
}

/// R614: an unprivileged message of a third party, both ways.
#[test]
fn a_foreign_ipv6_message_is_sent_and_received() {
    type Meta = (HopLimit, FlowInfo, TrafficClass);
    let Some((receiver, sender)) = pair::<Meta>("[::1]:0", "a_foreign_ipv6_message_is_sent_and_received") else {
        return;
    };
    for label in [0x12345, 0x00001, 0xfffff] {
        let control = (TrafficClass(0x2c), HopLimit(8), FlowInfo(label));
        MsgHdr::new().data(b"data").control(control).send(&sender).unwrap();
        let (mut data, mut control) = ([0; 64], ControlBuf::<Meta>::new());
        let message = receiver.recv_msg(&mut data, &mut control).unwrap();
        let (hops, flow, class) = message.extract();
        assert_eq!((hops, class), (Some(HopLimit(8)), Some(TrafficClass(0x2c))));
        assert_eq!(flow.map(|flow| flow.0 & 0xfffff), Some(label), "{message:?}");
    }
}

/// A type of one's own for a message that the crate knows too is read beside the crate's.
#[test]
fn a_message_of_ones_own_does_not_hide_the_crates() {
    let name = "a_message_of_ones_own_does_not_hide_the_crates";
    type Meta = (UdpGro, OriginalDestination, PktInfo, HopLimit);
    let Some((receiver, sender)) = pair::<Meta>("127.0.0.1:0", name) else { return };
    match MsgHdr::new().data(&LIST).control((UdpSegment(20), HopLimit(6))).send(&sender) {
        Ok(sent) => assert_eq!(sent, 100),
        Err(error) => return skipped(format_args!("SKIPPED {name}: UDP_SEGMENT: {error}")),
    }
    let (mut data, mut control) = ([0; 256], ControlVec::<()>::with_capacity(256));
    let message = receiver.recv_msg(&mut data, &mut control).unwrap();
    message.require_complete().unwrap();
    let original = receiver.local_addr().unwrap();
    if message.len() <= 20 {
        skipped(format_args!("SKIPPED {name}, UDP_GRO: the loopback device merged nothing"));
    } else {
        assert_eq!(message.get::<UdpGro>().map(|gro| gro.0), Some(20));
        assert_eq!(message.get::<ancillary::message::UdpGro>().map(|gro| gro.0), Some(20));
    }
    assert_eq!(message.get::<OriginalDestination>().map(|found| SocketAddr::V4(found.0)), Some(original));
    assert_eq!(message.get::<ancillary::message::OrigDst>().map(|found| found.0), Some(original));
    assert!(!message.messages().any(|found| matches!(found, ControlMessage::Unknown(_))), "{message:?}");
}

/// An unknown message can be sent as it is.
#[test]
fn a_raw_message_goes_out_as_it_is() {
    let Some((receiver, sender)) = pair::<HopLimit>("127.0.0.1:0", "a_raw_message_goes_out_as_it_is") else { return };
    let ttl = 77i32.to_ne_bytes();
    let raw = RawCmsg::new(CmsgId::new(libc::IPPROTO_IP, libc::IP_TTL), &ttl);
    MsgHdr::new().data(b"data").control(raw).send(&sender).unwrap();
    let (mut data, mut control) = ([0; 64], ControlBuf::<HopLimit>::new());
    assert_eq!(receiver.recv_msg(&mut data, &mut control).unwrap().extract(), Some(HopLimit(77)));
    // A level that an internet socket does not know is ignored by the kernel, a type it does not know refused.
    let foreign = RawCmsg::new(CmsgId::new(12345, 1), &ttl);
    MsgHdr::new().data(b"data").control((foreign, HopLimit(78))).send(&sender).unwrap();
    assert_eq!(receiver.recv_msg(&mut data, &mut control).unwrap().extract(), Some(HopLimit(78)));
    let refused = RawCmsg::new(CmsgId::new(libc::IPPROTO_IP, 12345), &ttl);
    let error = MsgHdr::new().data(b"data").control(refused).send(&sender).unwrap_err();
    assert_eq!(error.raw_os_error(), Some(libc::EINVAL));
}

/// An option that the kernel does not have is its error, from `enable`.
#[test]
fn enabling_what_the_kernel_lacks_is_its_error() {
    struct Nothing;
    impl RecvControl for Nothing {
        type Value<'a> = Self;
        const PAYLOAD_LEN: usize = 4;
        fn matches(_: CmsgId) -> bool {
            false
        }
        fn decode(_: RawCmsg<'_>) -> Result<Self, DecodeError> {
            Ok(Self)
        }
        fn set_enabled(socket: BorrowedFd<'_>, on: bool) -> io::Result<()> {
            set_option(socket, libc::SOL_UDP, 9999, on.into())
        }
    }
    let socket = bound("127.0.0.1:0");
    let error = socket.enable::<(HopLimit, Nothing)>().unwrap_err();
    assert_eq!(error.raw_os_error(), Some(libc::ENOPROTOOPT));
    let error = set_option(socket.as_fd(), 9999, 1, 1).unwrap_err();
    assert!(matches!(error.raw_os_error(), Some(libc::ENOPROTOOPT | libc::EOPNOTSUPP)), "{error}");
}

/// Descriptors, as a third party sends them.
struct Lent<'fd>(&'fd [OwnedFd]);

impl<'fd> SendControl<'fd> for Lent<'fd> {
    fn encode(&self, out: &mut ControlOut<'_, 'fd>) -> Result<(), EncodeError> {
        out.push_fds(self.0.iter().map(AsFd::as_fd))
    }
}

#[test]
fn a_foreign_message_of_descriptors_joins_the_others() {
    let ((a, b), fds) = (stream(), numbered(5));
    let control = (ScmRights::new(&fds[..1]), Lent(&fds[1..3]), Lent(&[]), ScmRights::new(&fds[3..]));
    MsgHdr::new().data(b"x").control(control).send(&a).unwrap();
    let (mut data, mut control) = ([0; 1], ControlBuf::<ScmRightsSpace<5>>::new());
    let mut message = b.recv_msg(&mut data, &mut control).unwrap();
    assert_eq!(message.cmsgs().count(), 1);
    assert_eq!(contents(message.take_fds()), names(0..5));
    assert!(ControlList::new(Lent(&[])).unwrap().as_bytes().is_empty());
}
