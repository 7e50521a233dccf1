//! docs/messages.md is true: every row's numbers, name, types and directions are those of the code, and no type and no
//! message of the code is missing.

#![cfg(all(target_os = "linux", not(any(target_arch = "sparc", target_arch = "sparc64", target_arch = "mips"))))]

mod common;

use std::{
    collections::{BTreeMap, BTreeSet},
    fs::{self, File},
    net::Ipv4Addr,
    path::Path,
};

use ancillary::{
    RawCmsg, RecvControl, SendControl, cmsg,
    cmsg::CmsgId,
    message::*,
    parser::{self, ControlMessage},
};
use common::skipped;

const DOCUMENT: &str = include_str!("../docs/messages.md");

/// A row of the document.
#[derive(Debug)]
struct Row {
    name: &'static str,
    id: CmsgId,
    types: Vec<&'static str>,
    sent: bool,
    received: bool,
    asked: &'static str,
    kernel: &'static str,
}

/// The rows of the tables of Linux that have numbers.
fn rows() -> Vec<Row> {
    let linux = DOCUMENT.split("## Linux").nth(1).unwrap().split("### Not typed").next().unwrap();
    let row = |line: &'static str| {
        let cells: Vec<&str> = line.trim_matches('|').split('|').map(str::trim).collect();
        let &[name, number, types, direction, asked, sockets, privilege, kernel] = &cells[..] else {
            panic!("eight columns: {line}");
        };
        assert!(!sockets.is_empty() && !privilege.is_empty() && !kernel.is_empty(), "{line}");
        let (level, ty) = number.split_once(", ").unwrap();
        let sent = direction.contains("sent");
        let received = direction.contains("received");
        assert!(sent || received, "{line}");
        assert!(!received || !asked.is_empty(), "how it is asked for: {line}");
        Row {
            name: name.trim_matches('`'),
            id: CmsgId::new(level.parse().unwrap(), ty.parse().unwrap()),
            types: types.split(", ").map(|ty| ty.trim_matches('`')).collect(),
            sent,
            received,
            asked,
            kernel,
        }
    };
    linux.lines().filter(|line| line.starts_with("| `")).map(row).collect()
}

/// What the code has: a type, whether a message is one, and what it sends.
struct Type {
    name: &'static str,
    matches: Option<fn(CmsgId) -> bool>,
    sends: Vec<CmsgId>,
}

fn receives<T: RecvControl>(name: &'static str) -> Type {
    Type { name, matches: Some(T::matches), sends: Vec::new() }
}

fn sends<'fd>(name: &'static str, message: impl SendControl<'fd>) -> Type {
    let mut bytes = [0; 512];
    let len = cmsg::encode(&message, &mut bytes).unwrap();
    Type { name, matches: None, sends: parser::cmsgs(&bytes[..len]).map(|found| found.id()).collect() }
}

fn both<'fd, T: RecvControl>(name: &'static str, message: impl SendControl<'fd>) -> Type {
    Type { matches: Some(T::matches), ..sends(name, message) }
}

/// A header of eight bytes, for every kind of extension header.
const HEADER: [u8; 8] = [0; 8];

fn types(file: &File) -> Vec<Type> {
    let (v4, v6) = (Ipv4Addr::LOCALHOST, Ipv4Addr::LOCALHOST.to_ipv6_compatible());
    let hop = Ipv6HopOpts::new(&HEADER).unwrap();
    let dst = Ipv6DstOpts::new(&HEADER).unwrap();
    let rthdr = Ipv6Rthdr::new(&HEADER).unwrap();
    let info = Ipv6PktInfo::source(v6);
    vec![
        sends("ScmRights", ScmRights::new([file])),
        receives::<ScmRightsSpace<1>>("ScmRightsSpace"),
        both::<Credentials>("Credentials", Credentials::own()),
        receives::<ScmSecurity<'_>>("ScmSecurity"),
        receives::<ScmPidfd>("ScmPidfd"),
        receives::<ScmInq>("ScmInq"),
        receives::<Timestamp>("Timestamp"),
        receives::<ScmTimestamping>("ScmTimestamping"),
        sends("SoTimestamping", SoTimestamping(TimestampingFlags::TX_SOFTWARE)),
        receives::<ScmTimestampingOptStats<'_>>("ScmTimestampingOptStats"),
        receives::<ScmTimestampingPktInfo>("ScmTimestampingPktInfo"),
        sends("ScmTsOptId", ScmTsOptId(1)),
        sends("ScmTxTime", ScmTxTime(1)),
        both::<SoMark>("SoMark", SoMark(1)),
        both::<SoPriority>("SoPriority", SoPriority(1)),
        receives::<SoRxqOvfl>("SoRxqOvfl"),
        receives::<ScmWifiStatus>("ScmWifiStatus"),
        receives::<ScmDevmemLinear>("ScmDevmemLinear"),
        receives::<ScmDevmemDmabuf>("ScmDevmemDmabuf"),
        receives::<ExtendedError>("ExtendedError"),
        both::<IpPktInfo>("IpPktInfo", IpPktInfo::source(v4)),
        both::<PktInfo>("PktInfo", (PktInfo::source(v4), PktInfo::source(v6))),
        both::<IpTtl>("IpTtl", IpTtl(1)),
        both::<HopLimit>("HopLimit", HopLimit(1)),
        both::<IpTos>("IpTos", IpTos(1)),
        both::<TrafficClass>("TrafficClass", TrafficClass(1)),
        receives::<IpRecvOpts<'_>>("IpRecvOpts"),
        both::<IpRetOpts<'_>>("IpRetOpts", IpRetOpts::new(&[1]).unwrap()),
        receives::<IpOrigDstAddr>("IpOrigDstAddr"),
        receives::<OrigDst>("OrigDst"),
        receives::<IpChecksum>("IpChecksum"),
        receives::<IpRecvFragSize>("IpRecvFragSize"),
        receives::<FragSize>("FragSize"),
        sends("IpProtocol", IpProtocol(1)),
        both::<Ipv6PktInfo>("Ipv6PktInfo", info),
        both::<Ipv6HopLimit>("Ipv6HopLimit", Ipv6HopLimit(1)),
        both::<TClass>("TClass", TClass(1)),
        both::<Ipv6FlowInfo>("Ipv6FlowInfo", Ipv6FlowInfo::new(0, 1).unwrap()),
        both::<Ipv6HopOpts<'_>>("Ipv6HopOpts", hop),
        both::<Ipv6DstOpts<'_>>("Ipv6DstOpts", dst),
        sends("Ipv6RthdrDstOpts", Ipv6RthdrDstOpts::new(&HEADER).unwrap()),
        both::<Ipv6Rthdr<'_>>("Ipv6Rthdr", rthdr),
        both::<Rfc2292<Ipv6PktInfo>>("Rfc2292<Ipv6PktInfo>", Rfc2292(info)),
        both::<Rfc2292<Ipv6HopLimit>>("Rfc2292<Ipv6HopLimit>", Rfc2292(Ipv6HopLimit(1))),
        both::<Rfc2292<Ipv6HopOpts<'_>>>("Rfc2292<Ipv6HopOpts>", Rfc2292(hop)),
        both::<Rfc2292<Ipv6DstOpts<'_>>>("Rfc2292<Ipv6DstOpts>", Rfc2292(dst)),
        both::<Rfc2292<Ipv6Rthdr<'_>>>("Rfc2292<Ipv6Rthdr>", Rfc2292(rthdr)),
        sends("Ipv6DontFrag", Ipv6DontFrag(true)),
        receives::<Ipv6PathMtu>("Ipv6PathMtu"),
        receives::<Ipv6OrigDstAddr>("Ipv6OrigDstAddr"),
        receives::<Ipv6RecvFragSize>("Ipv6RecvFragSize"),
        sends("UdpSegment", UdpSegment(1)),
        receives::<UdpGro>("UdpGro"),
        receives::<TcpCmInq>("TcpCmInq"),
        both::<TlsRecordType>("TlsRecordType", TlsRecordType::ALERT),
        sends("AlgSetIv", AlgSetIv(&[1])),
        sends("AlgSetOp", AlgSetOp::Encrypt),
        sends("AlgSetAeadAssocLen", AlgSetAeadAssocLen(1)),
        receives::<PacketAuxdata>("PacketAuxdata"),
        receives::<NetlinkPktInfo>("NetlinkPktInfo"),
        receives::<NetlinkListenAllNsid>("NetlinkListenAllNsid"),
        sends("SctpInit", SctpInit::default()),
        both::<SctpSndRcv>("SctpSndRcv", SctpSndRcv::default()),
        sends("SctpSndInfo", SctpSndInfo::default()),
        receives::<SctpRcvInfo>("SctpRcvInfo"),
        receives::<SctpNxtInfo>("SctpNxtInfo"),
        sends("SctpPrInfo", SctpPrInfo { policy: SctpPrPolicy::Ttl, value: 1 }),
        sends("SctpAuthInfo", SctpAuthInfo(1)),
        sends("SctpDstAddrV4", SctpDstAddrV4(v4)),
        sends("SctpDstAddrV6", SctpDstAddrV6(v6)),
        receives::<J1939DestAddr>("J1939DestAddr"),
        receives::<J1939DestName>("J1939DestName"),
        receives::<J1939Prio>("J1939Prio"),
    ]
}

/// What `message` exports beside messages.
const NO_MESSAGES: &[&str] = &[
    "AtMost",
    "BorrowFd",
    "DmabufCmsg",
    "Ecn",
    "IpOptions",
    "Ipv6Options",
    "Meaning",
    "Origin",
    "ReceivedRights",
    "RecvControl",
    "RecvList",
    "Rfc2292",
    "SctpFlags",
    "SctpPrPolicy",
    "SendControl",
    "SockTxTime",
    "TcpNla",
    "TcpNlas",
    "TimestampPoint",
    "TimestampingFlags",
    "TpStatus",
    "TxTimeFlags",
    "ZeroCopied",
];

#[test]
fn every_row_is_what_the_code_does() {
    let file = File::open("/dev/null").unwrap();
    let types = types(&file);
    for row in rows() {
        let mut by_some = (false, false);
        for name in &row.types {
            let found = types.iter().find(|ty| ty.name == *name);
            let found = found.unwrap_or_else(|| panic!("no type {name} for {row:?}"));
            let (reads, sends) = (found.matches.is_some_and(|matches| matches(row.id)), found.sends.contains(&row.id));
            assert!(reads || sends, "{name} has nothing to do with {row:?}");
            by_some = (by_some.0 | sends, by_some.1 | reads);
        }
        assert_eq!(by_some, (row.sent, row.received), "{row:?}");
        assert_eq!(row.id.name(), Some(row.name), "{row:?}");
    }
}

#[test]
fn no_message_of_the_parser_is_missing() {
    let rows = rows();
    let listed: BTreeSet<_> = rows.iter().filter(|row| row.received).map(|row| (row.id.level(), row.id.ty())).collect();
    assert_eq!(listed.len(), rows.iter().filter(|row| row.received).count(), "each once");
    let reads = |&(level, ty): &(i32, i32)| {
        let found = ControlMessage::decode(RawCmsg::new(CmsgId::new(level, ty), &[]));
        !matches!(found, ControlMessage::Unknown(_))
    };
    let known = |level| (-1..512).map(move |ty| (level, ty)).filter(reads);
    let known: BTreeSet<_> = (-1..512).flat_map(known).collect();
    assert_eq!(known, listed);
}

#[test]
fn no_type_is_missing() {
    let file = File::open("/dev/null").unwrap();
    let rows = rows();
    for ty in types(&file) {
        let own: Vec<_> = rows.iter().filter(|row| row.types.contains(&ty.name)).collect();
        assert!(!own.is_empty(), "{} has no row", ty.name);
        for sent in &ty.sends {
            assert!(own.iter().any(|row| row.sent && row.id == *sent), "{} sends {sent:?}", ty.name);
        }
    }
}

/// By the sources: what the folder of messages exports is a row's type, or known to be none.
#[test]
fn no_exported_name_is_missing() {
    let rows = rows();
    let sources = [
        include_str!("../src/message/mod.rs"),
        include_str!("../src/message/ip/mod.rs"),
        include_str!("../src/message/ipv6/mod.rs"),
        include_str!("../src/message/linux/mod.rs"),
        include_str!("../src/message/timestamp/mod.rs"),
        include_str!("../src/message/unified/mod.rs"),
    ];
    let mut names = BTreeSet::new();
    for source in sources {
        for item in source.split("\npub use ").skip(1).map(|item| item.split(';').next().unwrap()) {
            let list = item.rsplit("::").next().unwrap().trim_matches(['{', '}']);
            names.extend(list.split(',').map(str::trim).filter(|name| !name.is_empty() && *name != "*"));
        }
        for item in source.split("\npub struct ").chain(source.split("\npub trait ")).skip(1) {
            names.insert(item.split(|c: char| !c.is_alphanumeric()).next().unwrap());
        }
    }
    names.remove("");
    assert!(names.len() > 80, "{names:?}");
    let listed: BTreeSet<_> = rows.iter().flat_map(|row| row.types.iter().copied()).collect();
    let missing: Vec<_> = names.iter().filter(|name| !listed.contains(*name) && !NO_MESSAGES.contains(name)).collect();
    assert!(missing.is_empty(), "neither in a row nor known to be no message: {missing:?}");
}

#[test]
fn kernels_have_versions() {
    for row in rows() {
        let words = row.kernel.split([' ', ',']).filter(|word| !word.is_empty());
        let versions = words.filter(|word| !matches!(*word, "received" | "sent"));
        for version in versions {
            let parts: Vec<_> = version.split('.').collect();
            let is_version = (2..=3).contains(&parts.len()) && parts.iter().all(|part| part.parse::<u8>().is_ok());
            assert!(is_version, "{version:?} in {row:?}");
        }
        assert!(row.asked.is_empty() || row.asked.starts_with('`') || row.asked.starts_with("nothing"), "{row:?}");
    }
}

/// The documentation above every `pub struct` and `pub enum` of the folder of messages, by name.
fn documentation(folder: &Path, found: &mut BTreeMap<String, String>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            documentation(&path, found);
        } else {
            let mut above = String::new();
            for line in fs::read_to_string(&path).unwrap().lines() {
                match line.strip_prefix("pub struct ").or_else(|| line.strip_prefix("pub enum ")) {
                    Some(rest) => {
                        let name = rest.split(|c: char| !c.is_alphanumeric()).next().unwrap();
                        found.insert(name.to_owned(), std::mem::take(&mut above));
                    }
                    None if line.starts_with("///") || line.starts_with("#[") => above.extend([line, "\n"]),
                    None => above.clear(),
                }
            }
        }
    }
}

#[test]
fn every_type_has_its_wire_picture_and_its_sources() {
    // They point to the types whose layouts they share.
    const SHARED: &[&str] =
        &["FragSize", "HopLimit", "OrigDst", "PktInfo", "ScmDevmemLinear", "ScmRightsSpace", "TrafficClass"];
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/message");
    if !folder.is_dir() {
        return skipped("SKIPPED every_type_has_its_wire_picture_and_its_sources: the sources are not here");
    }
    let mut found = BTreeMap::new();
    documentation(&folder, &mut found);
    for row in rows() {
        for name in row.types.iter().map(|name| name.split('<').next().unwrap()).filter(|name| !SHARED.contains(name)) {
            let text = &found[name];
            for part in ["# Wire layout", "# References", "#[doc(alias = "] {
                assert!(text.contains(part), "{name} has no {part}");
            }
        }
    }
}
