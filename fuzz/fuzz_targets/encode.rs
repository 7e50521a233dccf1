//! Messages of any values, into buffers of any size: what the encoder takes is read back as it was, what it refuses it
//! refuses for a reason, and all ways to build the same messages give the same bytes.

#![no_main]

use std::{
    net::{Ipv4Addr, Ipv6Addr, UdpSocket},
    os::fd::{AsFd, AsRawFd, BorrowedFd},
    slice,
    sync::OnceLock,
};

use ancillary::{
    ControlList, ControlOut, EncodeError, MsgHdr, RawCmsg, SendControl,
    cmsg::{self, CmsgId},
    message::*,
    parser::{self, ControlMessage},
};
use ancillary_fuzz::{HEADER, reference};
use arbitrary::Arbitrary;
use libfuzzer_sys::fuzz_target;
use nix::libc;

#[derive(Arbitrary, Debug)]
enum Message {
    IpTtl(u8),
    IpTos(u8),
    IpPktInfo([u8; 4], [u8; 4], u32),
    IpRetOpts(Vec<u8>),
    Ipv6HopLimit(u8),
    TClass(u8),
    Ipv6PktInfo([u8; 16], u32),
    Ipv6FlowInfo(u8, u32),
    Ipv6HopOpts(Vec<u8>),
    Ipv6Rthdr(Vec<u8>),
    Ipv6DontFrag(bool),
    HopLimit(u8),
    TrafficClass(u8),
    PktInfo(Result<[u8; 4], [u8; 16]>, u32),
    Credentials(i32, u32, u32),
    SoMark(u32),
    SoPriority(u32),
    UdpSegment(u16),
    TxTime(u64),
    TsOptId(u32),
    SndInfo(u16, u32, u32, u32),
    AlgSetIv(Vec<u8>),
    Tls(u8),
    Raw(i32, i32, Vec<u8>),
    Rights(u8),
    Nested(Vec<u8>),
}

fn socket() -> BorrowedFd<'static> {
    static SOCKET: OnceLock<UdpSocket> = OnceLock::new();
    SOCKET.get_or_init(|| UdpSocket::bind("127.0.0.1:0").unwrap()).as_fd()
}

impl SendControl<'static> for Message {
    fn encode(&self, out: &mut ControlOut<'_, 'static>) -> Result<(), EncodeError> {
        match self {
            Self::IpTtl(ttl) => IpTtl(*ttl).encode(out),
            Self::IpTos(tos) => IpTos(*tos).encode(out),
            Self::IpPktInfo(..) => self.ip_pkt_info().encode(out),
            Self::IpRetOpts(options) => IpRetOpts::new(options)?.encode(out),
            Self::Ipv6HopLimit(limit) => Ipv6HopLimit(*limit).encode(out),
            Self::TClass(class) => TClass(*class).encode(out),
            Self::Ipv6PktInfo(addr, ifindex) => Ipv6PktInfo { addr: (*addr).into(), ifindex: *ifindex }.encode(out),
            Self::Ipv6FlowInfo(class, label) => Ipv6FlowInfo::new(*class, *label)?.encode(out),
            Self::Ipv6HopOpts(header) => Ipv6HopOpts::new(header)?.encode(out),
            Self::Ipv6Rthdr(header) => Ipv6Rthdr::new(header)?.encode(out),
            Self::Ipv6DontFrag(on) => Ipv6DontFrag(*on).encode(out),
            Self::HopLimit(limit) => HopLimit(*limit).encode(out),
            Self::TrafficClass(class) => TrafficClass(*class).encode(out),
            Self::PktInfo(Ok(v4), index) => PktInfo::source(Ipv4Addr::from(*v4)).on_interface(*index).encode(out),
            Self::PktInfo(Err(v6), index) => PktInfo::source(Ipv6Addr::from(*v6)).on_interface(*index).encode(out),
            Self::Credentials(pid, uid, gid) => Credentials { pid: *pid, uid: *uid, gid: *gid }.encode(out),
            Self::SoMark(mark) => SoMark(*mark).encode(out),
            Self::SoPriority(priority) => SoPriority(*priority).encode(out),
            Self::UdpSegment(size) => UdpSegment(*size).encode(out),
            Self::TxTime(time) => ScmTxTime(*time).encode(out),
            Self::TsOptId(id) => ScmTsOptId(*id).encode(out),
            Self::SndInfo(..) => self.snd_info().encode(out),
            Self::AlgSetIv(iv) => AlgSetIv(iv).encode(out),
            Self::Tls(ty) => TlsRecordType(*ty).encode(out),
            Self::Raw(level, ty, payload) => out.push(CmsgId::new(*level, *ty), payload),
            Self::Rights(count) => ScmRights::new(vec![socket(); usize::from(*count)]).encode(out),
            Self::Nested(_) => (self.nested(), Some(SoMark(1)), ()).encode(out),
        }
    }
}

impl Message {
    fn ip_pkt_info(&self) -> IpPktInfo {
        let Self::IpPktInfo(spec_dst, addr, ifindex) = self else { panic!() };
        IpPktInfo { ifindex: *ifindex, spec_dst: (*spec_dst).into(), addr: (*addr).into() }
    }

    fn snd_info(&self) -> SctpSndInfo {
        let Self::SndInfo(stream, ppid, context, assoc) = self else { panic!() };
        SctpSndInfo { sid: *stream, ppid: *ppid, context: *context, assoc_id: *assoc as i32, ..SctpSndInfo::default() }
    }

    fn nested(&self) -> Vec<RawCmsg<'_>> {
        let Self::Nested(bytes) = self else { panic!() };
        bytes.chunks(5).map(|chunk| RawCmsg::new(CmsgId::new(1000, 7), chunk)).collect()
    }

    /// Whether this is what it came back as.
    fn is(&self, found: ControlMessage<'_>) -> bool {
        match (self, found) {
            (Self::IpTtl(ttl), ControlMessage::IpTtl(found)) => found.0 == *ttl,
            (Self::IpTos(tos), ControlMessage::IpTos(found)) => found.0 == *tos,
            (Self::IpPktInfo(..), ControlMessage::IpPktInfo(found)) => {
                let sent = self.ip_pkt_info();
                found.spec_dst == sent.spec_dst && found.ifindex == sent.ifindex
            }
            (Self::IpRetOpts(bytes), ControlMessage::IpRetOpts(found)) => found.as_bytes() == bytes,
            // The kernel fills them up to whole words, and delivers no others.
            (Self::IpRetOpts(bytes), ControlMessage::Malformed(found)) => {
                bytes.len() % 4 != 0 && found.cmsg.payload() == bytes
            }
            (Self::Ipv6HopLimit(limit), ControlMessage::Ipv6HopLimit(found)) => found.0 == *limit,
            (Self::TClass(class), ControlMessage::TClass(found)) => found.0 == *class,
            (Self::Ipv6PktInfo(addr, index), ControlMessage::Ipv6PktInfo(found)) => {
                found.addr.octets() == *addr && found.ifindex == *index
            }
            (Self::Ipv6FlowInfo(class, label), ControlMessage::Ipv6FlowInfo(found)) => {
                (found.traffic_class(), found.label()) == (*class, *label)
            }
            (Self::Ipv6HopOpts(bytes), ControlMessage::Ipv6HopOpts(found)) => found.as_bytes() == bytes,
            (Self::Ipv6Rthdr(bytes), ControlMessage::Ipv6Rthdr(found)) => found.as_bytes() == bytes,
            (Self::Credentials(pid, uid, gid), ControlMessage::Credentials(found)) => {
                (found.pid, found.uid, found.gid) == (*pid, *uid, *gid)
            }
            (Self::SoMark(mark), ControlMessage::SoMark(found)) => found.0 == *mark,
            (Self::SoPriority(priority), ControlMessage::SoPriority(found)) => found.0 == *priority,
            (Self::Rights(count), ControlMessage::ScmRights(found)) => {
                found.count() == usize::from(*count) && found.iter().all(|number| number == socket().as_raw_fd())
            }
            (Self::Raw(_, _, payload), _) => {
                let mut again = vec![0; cmsg::space(payload.len()).unwrap()];
                cmsg::encode(self, &mut again) == Ok(again.len())
            }
            // Only sent, or in several forms.
            (
                Self::HopLimit(_)
                | Self::TrafficClass(_)
                | Self::PktInfo(..)
                | Self::UdpSegment(_)
                | Self::TxTime(_)
                | Self::TsOptId(_)
                | Self::SndInfo(..)
                | Self::AlgSetIv(_)
                | Self::Tls(_)
                | Self::Ipv6DontFrag(_)
                | Self::Nested(_),
                _,
            ) => true,
            _ => false,
        }
    }
}

#[derive(Arbitrary, Debug)]
struct Input {
    room: u16,
    messages: Vec<Message>,
}

fuzz_target!(|input: Input| {
    let Input { room, messages } = input;
    let mut large = vec![0xa5; 1 << 16];
    for message in &messages {
        match cmsg::encode(message, &mut large) {
            Ok(0) => assert!(matches!(message, Message::Rights(0))),
            Ok(len) => {
                let first = parser::parse(&large[..len]).next().unwrap();
                assert!(message.is(first), "{message:?} came back as {first:?}");
            }
            Err(EncodeError::ControlSpace { .. }) => panic!("{message:?} needs more than 64 KiB"),
            Err(error) => assert!(!error.to_string().is_empty()),
        }
    }

    let whole = cmsg::encode(&messages, &mut large);
    let mut small = vec![0xa5; usize::from(room)];
    let offset = usize::from(room % 8).min(small.len());
    let fitted = cmsg::encode(&messages, &mut small[offset..]);
    match (&whole, &fitted) {
        (Ok(len), Ok(found)) => {
            assert!(found == len && small[offset..offset + len] == large[..*len]);
            assert!(small[offset + len..].iter().all(|&byte| byte == 0xa5), "nothing behind is touched");
        }
        (Ok(len), Err(EncodeError::ControlSpace { needed, available })) => {
            assert!(available < needed && needed <= len && *available == small.len() - offset);
        }
        (Err(first), Err(EncodeError::ControlSpace { .. })) => assert!(!first.to_string().is_empty()),
        (Err(first), Err(second)) => assert_eq!(first, second),
        (whole, fitted) => panic!("{whole:?}, but {fitted:?}"),
    }
    assert!(small[..offset].iter().all(|&byte| byte == 0xa5), "nothing before is touched");
    let Ok(len) = whole else { return };
    let bytes = &large[..len];

    // One SCM_RIGHTS, all padding zero, nothing between the messages.
    let walk = reference(bytes);
    let rights = walk.messages.iter().filter(|message| message.id == (libc::SOL_SOCKET, libc::SCM_RIGHTS)).count();
    assert!(rights <= 1 && !walk.malformed && walk.rest == 0 && walk.messages.iter().all(|message| !message.cut));
    let mut end = 0;
    for message in &walk.messages {
        assert_eq!(message.payload.start, end + HEADER);
        end = message.payload.end.next_multiple_of(8);
        assert!(bytes[message.payload.end..end].iter().all(|&byte| byte == 0), "padding is zeroed");
    }
    assert_eq!(end, len);

    let list = ControlList::new(&messages).unwrap();
    assert_eq!(list.as_bytes(), bytes);
    let mut header = MsgHdr::new();
    header.data(b"data").control(&messages);
    let direct = header.with_raw(|raw| {
        if raw.msg_controllen == 0 {
            return Vec::new();
        }
        // SAFETY: the header is valid during this call, and so are the bytes that it describes.
        unsafe { slice::from_raw_parts(raw.msg_control.cast::<u8>(), raw.msg_controllen) }.to_vec()
    });
    match direct {
        Ok(direct) => assert_eq!(direct, bytes),
        Err(EncodeError::ControlSpace { needed, available }) => assert!(needed > available && needed <= len),
        Err(error) => panic!("{error}"),
    }
});
