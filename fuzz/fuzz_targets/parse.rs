//! Any bytes, at any alignment, as control data: walked, decoded, extracted, printed, and encoded again. The walk is
//! compared with another one.

#![no_main]

use ancillary::{
    RawCmsg,
    cmsg::{self, CmsgId},
    message::*,
    parser::{self, ControlMessage},
};
use ancillary_fuzz::{HEADER, WORD, reference};
use libfuzzer_sys::fuzz_target;
use nix::libc;

/// Every list is extracted, and each of its values agrees with the last such message.
macro_rules! extracts {
    ($bytes:expr; $($type:ty),+ $(,)?) => {$(
        let found = <$type as RecvList>::extract(parser::cmsgs($bytes));
        let all = parser::cmsgs($bytes).filter(|cmsg| <$type>::matches(cmsg.id()));
        let last = all.filter_map(|cmsg| <$type>::decode(cmsg).ok()).last();
        assert_eq!(found, last, "{}", stringify!($type));
        let (pair, _) = <($type, IpTtl)>::extract(parser::cmsgs($bytes));
        assert_eq!(pair, last, "{}", stringify!($type));
    )+};
}

fn extract(bytes: &[u8]) {
    extracts!(
        bytes; IpTtl, IpTos, IpPktInfo, IpOrigDstAddr, IpChecksum, IpRecvFragSize, Ipv6HopLimit, TClass, Ipv6PktInfo,
        Ipv6FlowInfo, Ipv6PathMtu, Ipv6OrigDstAddr, Credentials, Timestamp, ScmTimestamping, SoMark, SoPriority,
        SoRxqOvfl, ScmInq, UdpGro, TcpCmInq, ExtendedError, PktInfo, HopLimit, TrafficClass, OrigDst, FragSize,
        SctpSndRcv, SctpRcvInfo, PacketAuxdata, NetlinkPktInfo, TlsRecordType, J1939Prio, IpRecvOpts<'static>,
        Ipv6HopOpts<'static>, Ipv6Rthdr<'static>, ScmSecurity<'static>, ScmTimestampingOptStats<'static>,
        AtMost<IpRetOpts<'static>, 8>, ScmRightsSpace<3>
    );
}

fn check(bytes: &[u8]) {
    let expected = reference(bytes);
    let mut walk = parser::cmsgs(bytes);
    for message in &expected.messages {
        let found = walk.next().expect("a message");
        let id = (found.id().level(), found.id().ty());
        assert_eq!((id, found.payload(), found.is_cut()), (message.id, &bytes[message.payload.clone()], message.cut));
    }
    assert_eq!((walk.next(), walk.next()), (None, None));
    assert_eq!((walk.error().is_some(), walk.rest().len()), (expected.malformed, expected.rest));
    let count = expected.messages.len() + usize::from(expected.malformed);
    assert_eq!(parser::parse(bytes).count(), count);

    let printed = format!("{:?}", parser::parse(bytes));
    assert!(printed.len() >= 2 + 4 * count && !printed.contains(['\n', '\0']), "{printed}");
    for message in parser::parse(bytes) {
        let one = format!("{message:?}");
        assert!(one.starts_with('{') && one.ends_with('}'), "{one}");
        match message {
            ControlMessage::ScmRights(rights) => assert_eq!(rights.iter().count(), rights.count()),
            ControlMessage::IpRecvOpts(options) => assert!(options.options().count() <= options.as_bytes().len()),
            ControlMessage::Ipv6HopOpts(header) => assert!(header.options().count() <= header.as_bytes().len()),
            ControlMessage::ScmTimestampingOptStats(stats) => {
                assert!(stats.stats().count() <= stats.as_bytes().len() / 4);
            }
            ControlMessage::ScmSecurity(label) => assert!(label.as_str().is_none_or(|text| text.len() < 4096)),
            ControlMessage::ExtendedError(error) => {
                assert!(!error.meaning().to_string().is_empty() && !error.to_string().is_empty());
            }
            ControlMessage::PacketAuxdata(data) => _ = data.vlan(),
            ControlMessage::Timestamp(time) => _ = time.to_system_time(),
            _ => {}
        }
    }

    // What may be sent comes out of the encoder as it went in.
    let sendable = |id: CmsgId| id != CmsgId::new(libc::SOL_SOCKET, libc::SCM_RIGHTS) && id.level() != 276;
    let raw: Vec<RawCmsg<'_>> =
        parser::cmsgs(bytes).filter(|cmsg| sendable(cmsg.id())).map(|c| RawCmsg::new(c.id(), c.payload())).collect();
    let space = raw.iter().map(|cmsg| cmsg::space(cmsg.payload().len()).unwrap()).sum::<usize>();
    let mut again = vec![0xa5; space];
    assert_eq!(cmsg::encode(&raw, &mut again), Ok(space));
    assert!(parser::cmsgs(&again).eq(raw.iter().copied()));
    let mut end = 0;
    for message in reference(&again).messages {
        assert_eq!(message.payload.start, end + HEADER);
        end = message.payload.end.next_multiple_of(WORD);
        assert!(again[message.payload.end..end].iter().all(|&byte| byte == 0), "padding is zeroed");
    }
}

fuzz_target!(|input: &[u8]| {
    check(input);
    // It takes long: some messages will do.
    extract(&input[..input.len().min(320)]);
    // The same bytes at another alignment.
    if let Some((offset, rest)) = input.split_first() {
        let start = usize::from(offset % 8);
        let mut moved = vec![0xa5; start];
        moved.extend_from_slice(rest);
        check(&moved[start..]);
    }
});
