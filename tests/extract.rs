//! Typed extraction reads what a walk over all messages reads, however it steps.

#![cfg(target_os = "linux")]

use ancillary::{
    DecodeError, RawCmsg,
    cmsg::{self, CmsgId},
    message::{
        AtMost, ExtendedError, HopLimit, IpPktInfo, IpTos, IpTtl, PktInfo, RecvControl, RecvList, Timestamp,
        TrafficClass,
    },
    parser,
};
use proptest::prelude::*;

/// The last of a type that can be read, by the walk that steps over every message as its header says.
fn last<T: for<'a> RecvControl<Value<'a> = T>>(bytes: &[u8]) -> Option<T> {
    let found = parser::cmsgs(bytes).filter(|cmsg| T::matches(cmsg.id())).filter_map(|cmsg| T::decode(cmsg).ok());
    found.fold(None, |earlier, later| match earlier {
        Some(earlier) => Some(T::merge(earlier, later)),
        None => Some(later),
    })
}

/// Messages of the types, of their length or nearly, with any `cmsg_len`, then cut anywhere.
fn buffer() -> impl Strategy<Value = Vec<u8>> {
    let id = prop::sample::select(vec![
        (0, 2),
        (0, 1),
        (0, 8),
        (0, 11),
        (41, 52),
        (41, 67),
        (41, 50),
        (1, 35),
        (1, 1),
        (9, 9),
    ]);
    let payload = prop_oneof![
        4 => prop::sample::select(vec![1usize, 4, 12, 16, 20]).prop_flat_map(|len| prop::collection::vec(0..3u8, len)),
        1 => prop::collection::vec(any::<u8>(), 0..40),
    ];
    let said = prop_oneof![8 => Just(None), 1 => any::<usize>().prop_map(Some), 1 => (0..80usize).prop_map(Some)];
    let message = (id, payload, said).prop_map(|((level, ty), payload, said): ((i32, i32), Vec<u8>, Option<usize>)| {
        let mut bytes = said.unwrap_or(cmsg::len(payload.len()).unwrap()).to_ne_bytes().to_vec();
        bytes.extend(level.to_ne_bytes());
        bytes.extend(ty.to_ne_bytes());
        bytes.extend(&payload);
        bytes.resize(cmsg::space(payload.len()).unwrap(), 0);
        bytes
    });
    (prop::collection::vec(message, 0..6), 0..24usize).prop_map(|(messages, cut)| {
        let mut bytes = messages.concat();
        bytes.truncate(bytes.len().saturating_sub(cut.saturating_sub(12)));
        bytes
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4000))]

    #[test]
    fn extraction_reads_what_the_walk_reads(bytes in buffer(), offset in 0..8usize) {
        // At every alignment.
        let mut memory = vec![0; offset];
        memory.extend(&bytes);
        let bytes = &memory[offset..];
        type Both = (HopLimit, TrafficClass, PktInfo);
        prop_assert_eq!(Both::extract(parser::cmsgs(bytes)), (last::<HopLimit>(bytes), last::<TrafficClass>(bytes), last::<PktInfo>(bytes)));
        // Types that overlap: a message goes to each.
        type Overlapping = (IpTtl, HopLimit, IpPktInfo, PktInfo, IpTos, Timestamp);
        let found = Overlapping::extract(parser::cmsgs(bytes));
        prop_assert_eq!((found.0, found.1), (last::<IpTtl>(bytes), last::<HopLimit>(bytes)));
        prop_assert_eq!((found.2, found.3), (last::<IpPktInfo>(bytes), last::<PktInfo>(bytes)));
        prop_assert_eq!((found.4, found.5), (last::<IpTos>(bytes), last::<Timestamp>(bytes)));
        type Any = (ExtendedError, AtMost<IpTtl, 0>);
        prop_assert_eq!(Any::extract(parser::cmsgs(bytes)), (last::<ExtendedError>(bytes), last::<IpTtl>(bytes)));
    }
}

/// A type of somebody else's that says nonsense of its length.
struct Odd<const LEN: usize>;

impl<const LEN: usize> RecvControl for Odd<LEN> {
    type Value<'a> = Vec<u8>;
    const PAYLOAD_LEN: usize = 8;
    fn matches(id: CmsgId) -> bool {
        id == CmsgId::new(9, 9)
    }
    fn usual_len(_: CmsgId) -> Option<usize> {
        Some(LEN)
    }
    fn decode(cmsg: RawCmsg<'_>) -> Result<Vec<u8>, DecodeError> {
        Ok(cmsg.payload().to_vec())
    }
}

#[test]
fn a_usual_length_that_no_message_has_changes_nothing() {
    let mut bytes = [0; 64];
    let (odd, payload) = (CmsgId::new(9, 9), [1, 2, 3]);
    let len = cmsg::encode(&(RawCmsg::new(odd, &payload), IpTtl(7)), &mut bytes).unwrap();
    for said in [None, Some(usize::MAX), Some(usize::MAX - 12), Some(1usize.wrapping_sub(16)), Some(0)] {
        if let Some(said) = said {
            bytes[..size_of::<usize>()].copy_from_slice(&said.to_ne_bytes());
        }
        let expected = parser::cmsgs(&bytes[..len]).next().map(|cmsg| cmsg.payload().to_vec());
        let ttl = parser::cmsgs(&bytes[..len]).nth(1).map(|_| IpTtl(7));
        let read = |found: (Option<Vec<u8>>, Option<IpTtl>)| assert_eq!(found, (expected.clone(), ttl), "{said:?}");
        read(<(Odd<0>, IpTtl)>::extract(parser::cmsgs(&bytes[..len])));
        read(<(Odd<3>, IpTtl)>::extract(parser::cmsgs(&bytes[..len])));
        read(<(Odd<{ usize::MAX }>, IpTtl)>::extract(parser::cmsgs(&bytes[..len])));
        read(<(Odd<{ usize::MAX - 15 }>, IpTtl)>::extract(parser::cmsgs(&bytes[..len])));
        read(<(Odd<{ usize::MAX - 28 }>, IpTtl)>::extract(parser::cmsgs(&bytes[..len])));
    }
}

#[test]
fn a_message_without_payload_is_read_at_the_end_too() {
    let mut bytes = [0; 64];
    let empty = RawCmsg::new(CmsgId::new(9, 9), &[]);
    let len = cmsg::encode(&(IpTtl(7), empty), &mut bytes).unwrap();
    let bytes = &bytes[..len];
    assert_eq!(<(IpTtl, Odd<0>)>::extract(parser::cmsgs(bytes)), (Some(IpTtl(7)), Some(vec![])));
    assert_eq!(<(Odd<0>, IpTtl)>::extract(parser::cmsgs(bytes)), (Some(vec![]), Some(IpTtl(7))));
    assert_eq!(<(IpTos, Odd<8>)>::extract(parser::cmsgs(bytes)), (None, Some(vec![])));
}
