//! The parser and the encoder on bytes alone: hostile, cut, unaligned; and against the C macros as an oracle.

#![cfg(target_os = "linux")]

use ancillary::{
    ControlList, ControlOut, DecodeError, EncodeError, RawCmsg, RecvControl, SendControl,
    cmsg::{self, CmsgId},
    message::{Credentials, HopLimit, IpPktInfo, IpTos, IpTtl, Ipv6HopLimit, Ipv6PktInfo, PktInfo, RecvList, TClass},
    parser::{self, ControlMessage},
};
use nix::libc;
use proptest::prelude::*;

const HEADER: usize = cmsg::len(0).unwrap();
const WORD: usize = size_of::<usize>();

/// A message with any `cmsg_len`.
fn header(len: usize, id: (i32, i32), payload: &[u8]) -> Vec<u8> {
    let mut bytes = len.to_ne_bytes().to_vec();
    bytes.extend(id.0.to_ne_bytes());
    bytes.extend(id.1.to_ne_bytes());
    bytes.extend(payload);
    bytes
}

/// PA02, PA03, ER17: `cmsg_len` of 0, short of a header, past the end, and where rounding up would wrap
#[test]
fn a_length_that_makes_no_sense_ends_the_walk_and_is_reported() {
    for len in [0, 1, HEADER - 1] {
        let bytes = header(len, (0, 2), &[0; 8]);
        let mut walk = parser::cmsgs(&bytes);
        assert_eq!((walk.next(), walk.next()), (None, None));
        assert_eq!(walk.error(), Some(DecodeError::Header { expected: HEADER, found: len }));
        let messages: Vec<_> = parser::parse(&bytes).collect();
        assert!(matches!(messages[..], [ControlMessage::Malformed(cut)] if cut.cmsg.payload() == bytes));
    }
    for len in [HEADER + 9, usize::MAX, usize::MAX - 1, usize::MAX - 6, usize::MAX - 15, 1 << (usize::BITS - 1)] {
        let bytes = header(len, (0, 2), &[7; 8]);
        let mut walk = parser::cmsgs(&bytes);
        let cmsg = walk.next().unwrap();
        assert_eq!((cmsg.payload(), cmsg.is_cut()), (&[7; 8][..], true));
        assert_eq!((walk.next(), walk.error()), (None, None));
    }
}

/// PA01, PA04: fewer bytes than a header are nothing, a header alone is an empty message
#[test]
fn every_prefix_of_a_good_buffer_is_read_as_far_as_it_goes() {
    let mut bytes = [0; 256];
    let all = (IpTtl(7), Ipv6PktInfo { addr: "::1".parse().unwrap(), ifindex: 3 }, IpTos(9));
    let len = cmsg::encode(&all, &mut bytes).unwrap();
    let whole: Vec<_> = parser::cmsgs(&bytes[..len]).collect();
    assert_eq!(whole.len(), 3);
    for end in 0..=len {
        let found: Vec<_> = parser::cmsgs(&bytes[..end]).collect();
        let mut start = 0;
        let mut expected = 0;
        for (i, cmsg) in whole.iter().enumerate() {
            if start + HEADER <= end {
                expected += 1;
                let have = cmsg.payload().len().min(end - start - HEADER);
                assert_eq!((found[i].id(), found[i].payload()), (cmsg.id(), &cmsg.payload()[..have]));
                assert_eq!(found[i].is_cut(), have < cmsg.payload().len());
            }
            start += cmsg::space(cmsg.payload().len()).unwrap();
        }
        assert_eq!(found.len(), expected, "prefix of {end}");
    }
    // A length that ends before the type, and no more bytes than that.
    let len = HEADER - 4;
    for level in [0x14, 0x1a] {
        let bytes = [&len.to_ne_bytes()[..], &[level; 8]].concat();
        assert_eq!(parser::parse(&bytes[..len]).count(), 0);
    }
}

/// MC06: two of a type, an empty one, the last without padding
#[test]
fn sequences_come_back_as_they_went_in() {
    let id = CmsgId::new(1, 77);
    let payloads: [&[u8]; 5] = [&[1, 2], &[], &[3, 4, 5, 6, 7, 8, 9, 10, 11], &[0; 8], &[1]];
    let messages = payloads.map(|payload| RawCmsg::new(id, payload));
    let mut bytes = [0xa5; 256];
    let len = cmsg::encode(&messages, &mut bytes).unwrap();
    for cut in 0..WORD - 1 {
        assert_eq!(parser::cmsgs(&bytes[..len - cut]).collect::<Vec<_>>(), messages, "without {cut} bytes of padding");
    }
    let mut one_at_a_time = &bytes[..len];
    for message in messages {
        assert_eq!(parser::cmsgs(one_at_a_time).next(), Some(message));
        one_at_a_time = &one_at_a_time[cmsg::space(message.payload().len()).unwrap()..];
    }
}

/// FD19: lists of descriptors as numbers, one after the other; an empty one stays a message
#[test]
fn lists_of_numbers_come_back_as_they_went_in() {
    let rights = (libc::SOL_SOCKET, libc::SCM_RIGHTS);
    let payload = |fds: &[i32]| fds.iter().flat_map(|fd| fd.to_ne_bytes()).collect::<Vec<_>>();
    let read = |bytes: &[u8]| -> Vec<Vec<i32>> {
        let list = |message| match message {
            ControlMessage::ScmRights(rights) => rights.iter().collect(),
            other => panic!("rights, not {other:?}"),
        };
        parser::parse(bytes).map(list).collect()
    };
    let cases: [&[&[i32]]; 5] = [&[&[42]], &[&[1, 2]], &[&[3, 4, 5]], &[&[]], &[&[1, 2], &[3, 4, 5], &[], &[7]]];
    for lists in cases {
        let mut bytes = Vec::new();
        for fds in lists {
            bytes.resize(bytes.len().next_multiple_of(WORD), 0);
            let start = bytes.len();
            let payload = payload(fds);
            bytes.extend(header(HEADER + payload.len(), rights, &payload));
            assert_eq!(read(&bytes[start..]), [*fds], "each alone");
        }
        assert_eq!(read(&bytes), lists, "the last without padding");
    }
}

/// MC06
#[test]
fn messages_written_one_by_one_and_together_are_the_same_bytes() {
    let whole = |messages: &[RawCmsg<'_>]| {
        let mut bytes = [0xa5; 256];
        let len = cmsg::encode(&messages, &mut bytes).unwrap();
        bytes[..len].to_vec()
    };
    // Below a hundred some are descriptors.
    let message = |n: i32, len: usize| RawCmsg::new(CmsgId::new(100 + n, 100 + n), &[1, 2, 3, 4, 5, 6, 7, 8][..len]);
    let (four, two) = (message(4, 8), message(2, 1));
    for messages in [&[message(1, 0)][..], &[two], &[message(3, 4)], &[four], &[four, two]] {
        let bytes = whole(messages);
        let mut by_hand = Vec::new();
        for message in messages {
            let payload = message.payload();
            by_hand.extend(header(HEADER + payload.len(), (message.id().level(), message.id().ty()), payload));
            by_hand.resize(by_hand.len().next_multiple_of(WORD), 0);
        }
        assert_eq!(bytes, by_hand);
        assert_eq!(ControlList::new(messages).unwrap().as_bytes(), bytes);
        let padding =
            messages.last().map_or(0, |last| last.payload().len().next_multiple_of(WORD) - last.payload().len());
        for cut in 0..=padding {
            assert_eq!(parser::cmsgs(&bytes[..bytes.len() - cut]).collect::<Vec<_>>(), messages);
        }
    }
}

/// PA08, PA09: numbers in bytes stay numbers; stray bytes behind the last whole one are no descriptor
#[test]
fn descriptors_in_arbitrary_bytes_are_never_owned() {
    let before = std::fs::read_dir("/proc/self/fd").unwrap().count();
    let mut payload = [0i32, 1, 2, -1, -24, i32::MIN].map(i32::to_ne_bytes).concat();
    payload.extend([9, 9, 9]);
    let bytes = header(HEADER + payload.len(), (libc::SOL_SOCKET, libc::SCM_RIGHTS), &payload);
    let Some(ControlMessage::ScmRights(rights)) = parser::parse(&bytes).next() else { panic!("a rights message") };
    assert_eq!(rights.iter().collect::<Vec<_>>(), [0, 1, 2, -1, -24, i32::MIN]);
    assert_eq!(std::fs::read_dir("/proc/self/fd").unwrap().count(), before);
}

#[test]
fn printing_reads_like_strace() {
    let mut bytes = [0; 256];
    let info = IpPktInfo { ifindex: 2, spec_dst: [192, 0, 2, 7].into(), addr: [192, 0, 2, 7].into() };
    let unknown = RawCmsg::new(CmsgId::new(1, 999), &[1, 0, 0, 0]);
    let len = cmsg::encode(&(info, IpTtl(57), unknown), &mut bytes).unwrap();
    let expected = "[{IP_PKTINFO 192.0.2.7 if 2}, {IP_TTL 57}, {level 1 type 999, 4 bytes: 01 00 00 00}]";
    assert_eq!(format!("{:?}", parser::parse(&bytes[..len])), expected);
    let cut = RawCmsg::new(CmsgId::new(0, 2), &[1, 2, 3]);
    assert_eq!(format!("{cut:?}"), "{IP_TTL malformed: expected 4 bytes, found 3; 3 bytes: 01 02 03}");
}

/// The C macros, as a second encoder and a second walker, over buffers that are large enough and well formed.
#[allow(clippy::undocumented_unsafe_blocks, clippy::multiple_unsafe_ops_per_block, reason = "C as C programs write it")]
mod c {
    use super::libc::{CMSG_DATA, CMSG_FIRSTHDR, CMSG_LEN, CMSG_NXTHDR, CMSG_SPACE, cmsghdr, msghdr};

    fn header(bytes: &mut [u64], len: usize) -> msghdr {
        let mut header: msghdr = unsafe { std::mem::zeroed() };
        header.msg_control = bytes.as_mut_ptr().cast();
        // One more there: musl's CMSG_NXTHDR passes over a last message without payload that ends where the buffer does.
        header.msg_controllen = (len + usize::from(cfg!(target_env = "musl"))) as _;
        header
    }

    pub(super) fn encode(messages: &[((i32, i32), Vec<u8>)]) -> Vec<u8> {
        let mut words = [0u64; 512];
        let len = messages.iter().map(|(_, payload)| unsafe { CMSG_SPACE(payload.len() as u32) } as usize).sum();
        let msg = header(&mut words, len);
        let mut at: *mut cmsghdr = unsafe { CMSG_FIRSTHDR(&msg) };
        for ((level, ty), payload) in messages {
            unsafe {
                (*at).cmsg_len = CMSG_LEN(payload.len() as u32) as _;
                (*at).cmsg_level = *level;
                (*at).cmsg_type = *ty;
                std::ptr::copy_nonoverlapping(payload.as_ptr(), CMSG_DATA(at), payload.len());
                at = CMSG_NXTHDR(&msg, at);
            }
        }
        words.iter().flat_map(|word| word.to_ne_bytes()).take(len).collect()
    }

    pub(super) fn parse(bytes: &[u8]) -> Vec<((i32, i32), Vec<u8>)> {
        let mut words = [0u64; 512];
        for (word, chunk) in words.iter_mut().zip(bytes.chunks(8)) {
            let mut whole = [0; 8];
            whole[..chunk.len()].copy_from_slice(chunk);
            *word = u64::from_ne_bytes(whole);
        }
        let msg = header(&mut words, bytes.len());
        let mut found = Vec::new();
        let mut at: *mut cmsghdr = unsafe { CMSG_FIRSTHDR(&msg) };
        while !at.is_null() {
            unsafe {
                let len = (*at).cmsg_len as usize - CMSG_LEN(0) as usize;
                let payload = std::slice::from_raw_parts(CMSG_DATA(at), len).to_vec();
                found.push((((*at).cmsg_level, (*at).cmsg_type), payload));
                at = CMSG_NXTHDR(&msg, at);
            }
        }
        found
    }
}

/// Any message but `SCM_RIGHTS`, which cannot be built from bytes.
fn any_message() -> impl Strategy<Value = ((i32, i32), Vec<u8>)> {
    let level =
        prop_oneof![Just(0), Just(41), Just(17), any::<i32>().prop_filter("SOL_SOCKET", |&l| l != libc::SOL_SOCKET)];
    ((level, any::<i32>()), proptest::collection::vec(any::<u8>(), 0..80))
}

struct All<'a>(&'a [((i32, i32), Vec<u8>)]);

impl SendControl<'_> for All<'_> {
    fn encode(&self, out: &mut ControlOut<'_, '_>) -> Result<(), EncodeError> {
        self.0.iter().try_for_each(|((level, ty), payload)| out.push(CmsgId::new(*level, *ty), payload))
    }
}

proptest! {
    /// PA10, and our bytes are those of the C macros
    #[test]
    fn encoding_and_parsing_agree_with_the_c_macros(messages in proptest::collection::vec(any_message(), 0..10), offset in 0..8usize) {
        let mut bytes = vec![0xa5; 4096];
        let len = cmsg::encode(&All(&messages), &mut bytes[offset..]).unwrap();
        let bytes = &bytes[offset..offset + len];
        prop_assert_eq!(bytes, &c::encode(&messages)[..]);
        let ours: Vec<_> =
            parser::cmsgs(bytes).map(|cmsg| ((cmsg.id().level(), cmsg.id().ty()), cmsg.payload().to_vec())).collect();
        prop_assert_eq!(&ours, &messages);
        prop_assert_eq!(c::parse(bytes), messages);
    }

    /// PA05, PA11: any bytes at any offset: no panic, every payload inside the buffer, an end
    #[test]
    fn any_bytes_are_safe_to_read(bytes in proptest::collection::vec(any::<u8>(), 0..600), small in any::<bool>(), offset in 0..8usize) {
        let mut bytes = bytes;
        if small {
            // Lengths that make sense reach deeper.
            for chunk in bytes.chunks_mut(24).filter(|chunk| chunk.len() >= WORD) {
                let len = usize::from(chunk[0] % 40);
                chunk[..WORD].copy_from_slice(&len.to_ne_bytes());
            }
        }
        let bytes = bytes.get(offset..).unwrap_or(&[]);
        let mut seen = 0;
        for cmsg in parser::cmsgs(bytes) {
            prop_assert!(bytes.as_ptr_range().contains(&cmsg.payload().as_ptr()) || cmsg.payload().is_empty());
            seen += HEADER;
        }
        prop_assert!(seen <= bytes.len());
        let _ = format!("{:?}", parser::parse(bytes));
        prop_assert!(parser::parse(bytes).count() <= bytes.len() / HEADER + 1);
    }

    #[test]
    fn typed_messages_round_trip_in_any_company(ttl in 1..=255u8, tos: u8, class: u8, hops: u8, v4: [u8; 4], v6: [u8; 16], ifindex: u32, pid: i32, uid: u32) {
        let v4 = IpPktInfo { ifindex, spec_dst: v4.into(), addr: [v4[3], v4[2], v4[1], v4[0]].into() };
        let v6 = Ipv6PktInfo { addr: v6.into(), ifindex };
        let credentials = Credentials { pid, uid, gid: !uid };
        let all = (IpTtl(ttl), IpTos(tos), v4, Ipv6HopLimit(hops), TClass(class), v6, credentials);
        let mut bytes = [0xa5; 512];
        let len = cmsg::encode(&all, &mut bytes).unwrap();
        let found: Vec<_> = parser::parse(&bytes[..len]).collect();
        prop_assert_eq!(found, vec![
            ControlMessage::IpTtl(all.0), ControlMessage::IpTos(all.1), ControlMessage::IpPktInfo(v4),
            ControlMessage::Ipv6HopLimit(all.3), ControlMessage::TClass(all.4), ControlMessage::Ipv6PktInfo(v6),
            ControlMessage::Credentials(credentials),
        ]);
        let unified = <(PktInfo, HopLimit) as ancillary::message::RecvList>::extract(parser::cmsgs(&bytes[..len]));
        prop_assert_eq!(unified, (Some(PktInfo::V6(v6)), Some(HopLimit(hops)))); // the last of each counts
    }
}

#[test]
#[cfg(all(target_os = "linux", target_endian = "little"))]
fn what_is_only_sent_is_printed_by_its_name() {
    use ancillary::{
        MsgHdr,
        message::{SoTimestamping, TimestampingFlags, TlsRecordType, UdpSegment},
    };
    let control = (UdpSegment(1200), SoTimestamping(TimestampingFlags::TX_SOFTWARE), TlsRecordType::ALERT);
    let printed = format!("{:?}", MsgHdr::new().control(control));
    for part in ["{UDP_SEGMENT, 2 bytes: b0 04}", "{SO_TIMESTAMPING, 4 bytes: 02 00 00 00}"] {
        assert!(printed.contains(part), "{printed}");
    }
    assert!(printed.contains("{TLS_SET_RECORD_TYPE, 1 bytes: 15}") && !printed.contains("malformed"), "{printed}");
}

/// A message that looks at what stands there already.
struct Watching(usize, &'static str);

impl SendControl<'_> for Watching {
    fn encode(&self, out: &mut ControlOut<'_, '_>) -> Result<(), EncodeError> {
        assert_eq!((out.len(), format!("{out:?}")), (self.0, self.1.to_owned()));
        IpTtl(9).encode(out)
    }
}

#[test]
fn who_encodes_sees_what_is_written() {
    let mut bytes = [0; 256];
    let space = cmsg::space(4).unwrap();
    let watching = [Watching(0, "[]"), Watching(space, "[{IP_TTL 9}]")];
    let len = cmsg::encode(&watching, &mut bytes).unwrap();
    assert_eq!(len, 2 * space);
    assert_eq!(format!("{:?}", parser::cmsgs(&bytes[..len])), "[{IP_TTL 9}, {IP_TTL 9}]");
}

#[test]
fn a_message_of_another_length_is_no_value_and_hides_none_behind_it() {
    let mut bytes = [0; 256];
    for found in (0..=64).filter(|found| *found != 4) {
        let odd = RawCmsg::new(CmsgId::new(libc::IPPROTO_IP, libc::IP_TTL), &[9; 64][..found]);
        let len =
            cmsg::encode(&(odd, RawCmsg::new(CmsgId::new(libc::IPPROTO_IP, libc::IP_TOS), &[5])), &mut bytes).unwrap();
        let cmsgs = parser::cmsgs(&bytes[..len]);
        assert_eq!(<(IpTtl, IpTos)>::extract(cmsgs), (None, Some(IpTos(5))), "{found}");
    }
}

/// Says that it is usually longer than anything.
#[derive(Debug, PartialEq)]
struct Endless<const LEN: usize>(usize);

impl<const LEN: usize> RecvControl for Endless<LEN> {
    type Value<'a> = Self;
    const PAYLOAD_LEN: usize = 4;

    fn matches(id: CmsgId) -> bool {
        id == CmsgId::new(1000, 1)
    }

    fn usual_len(_: CmsgId) -> Option<usize> {
        Some(LEN)
    }

    fn decode(cmsg: RawCmsg<'_>) -> Result<Self, DecodeError> {
        Ok(Self(cmsg.payload().len()))
    }
}

#[test]
fn a_usual_length_that_nothing_has_changes_nothing() {
    let mut bytes = [0; 64];
    let len = cmsg::encode(&RawCmsg::new(CmsgId::new(1000, 1), &[1; 5]), &mut bytes).unwrap();
    let walk = || parser::cmsgs(&bytes[..len]);
    assert_eq!(<(Endless<{ usize::MAX }>,)>::extract(walk()), (Some(Endless(5)),));
    assert_eq!(<(Endless<{ usize::MAX - 10 }>,)>::extract(walk()), (Some(Endless(5)),));
    assert_eq!(<(Endless<{ usize::MAX - 15 }>,)>::extract(walk()), (Some(Endless(5)),));
    assert_eq!(<(Endless<{ isize::MAX as usize }>,)>::extract(walk()), (Some(Endless(5)),));
}
