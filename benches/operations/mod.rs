//! The operations whose instructions are counted, each as often as asked.

mod batch;
mod catalogue;
pub(crate) mod growth;

use std::{
    fs::File,
    hint::black_box,
    net::{Ipv4Addr, SocketAddr, UdpSocket},
    os::{
        fd::{AsFd, AsRawFd, BorrowedFd, RawFd},
        unix::net::UnixStream,
    },
};

use ancillary::{
    ControlBuf, MsgHdr, SockAddr, SocketExt, cmsg,
    message::{IpPktInfo, IpTos, IpTtl, RecvList, ScmRights, ScmRightsSpace},
    parser::{self, ControlMessage},
};
use nix::libc;

use crate::{c, counting};

/// Does one thing so many times.
pub(crate) type Operation = fn(u32);

/// What must take no more than C: title, ours, hand-written C.
pub(crate) const BOUNDED: &[(&str, &str, &str)] = &[
    ("build TTL + PKTINFO", "build2", "build2 c"),
    ("build TTL + TOS + PKTINFO", "build3", "build3 c"),
    ("build SCM_RIGHTS of 1 descriptor", "rights1", "rights1 c"),
    ("build SCM_RIGHTS of 8 descriptors", "rights8", "rights8 c"),
    ("build SCM_RIGHTS of 253 descriptors", "rights253", "rights253 c"),
    ("parse TTL + PKTINFO, by type", "parse", "parse c"),
    ("build SEGMENT + TCLASS + PKTINFO (QUIC)", "build quic", "build quic c"),
];

/// What is shown beside: ours does more there (a movable header, errors, ownership, values in their ranges), or the two are
/// so close that which is less depends on how the compiler uses its registers.
pub(crate) const SHOWN: &[(&str, &str, &str)] = &[
    ("build a header: address, data, TTL + PKTINFO", "header", "header c"),
    ("parse TTL + PKTINFO, as an enum", "enum", "parse c"),
    ("parse GRO + TCLASS + PKTINFO + stamp (QUIC)", "parse quic", "parse quic c"),
    ("parse TIMESTAMPING + RECVERR", "parse error", "parse error c"),
    ("send and receive TTL + PKTINFO over UDP", "trip", "trip c"),
    ("send and receive 32 by sendmmsg, TTL+TOS+PKTINFO", "batch", "batch c"),
    ("send, receive and close 8 descriptors", "pass", "pass c"),
];

/// Every operation by name.
pub(crate) const ALL: &[(&str, Operation)] = &[
    ("empty", |times| repeat(times, || ())),
    ("build2", |times| build(times, false)),
    ("build2 c", |times| build_c(times, false)),
    ("build3", |times| build(times, true)),
    ("build3 c", |times| build_c(times, true)),
    ("header", header),
    ("header c", header_c),
    ("parse", parse),
    ("parse c", parse_c),
    ("enum", parse_enum),
    ("rights1", rights::<1>),
    ("rights1 c", rights_c::<1>),
    ("rights8", rights::<8>),
    ("rights8 c", rights_c::<8>),
    ("rights253", rights::<253>),
    ("rights253 c", rights_c::<253>),
    ("trip", trip),
    ("trip c", trip_c),
    ("batch", batch::batch),
    ("batch c", batch::batch_c),
    ("pass", pass),
    ("pass c", pass_c),
    ("build quic", catalogue::build),
    ("build quic c", catalogue::build_c),
    ("parse quic", catalogue::parse),
    ("parse quic c", catalogue::parse_c),
    ("parse error", catalogue::parse_error),
    ("parse error c", catalogue::parse_error_c),
];

/// The names of all that are counted, and how many iterations of each.
pub(crate) fn names() -> Vec<(String, u32)> {
    let rows = BOUNDED.iter().chain(SHOWN).flat_map(|&(_, ours, by_hand)| [ours.into(), by_hand.into()]);
    rows.map(|name: String| (name, counting::ITERATIONS)).chain(growth::names()).collect()
}

/// The operation of this name, to be called with a number of iterations.
pub(crate) fn find(name: &str) -> Option<Box<dyn Fn(u32)>> {
    match ALL.iter().find(|(known, _)| *known == name) {
        Some((_, operation)) => Some(Box::new(operation)),
        None => growth::find(name),
    }
}

const TTL: u8 = 64;
const TOS: u8 = 0xb8;
const SOURCE: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 9);

#[inline(always)]
fn repeat<R>(times: u32, mut f: impl FnMut() -> R) {
    for _ in 0..black_box(times) {
        f();
    }
}

/// The bytes that both sides must produce: two messages or three.
fn expected(three: bool) -> Vec<u8> {
    let mut bytes = c::Aligned([0; 80]);
    assert!(c::build(&mut bytes, &mut c::header(), TTL, three.then_some(TOS), SOURCE));
    bytes.0[..if three { 80 } else { 56 }].to_vec()
}

fn build(times: u32, three: bool) {
    let mut bytes = c::Aligned([0; 80]);
    if three {
        repeat(times, || {
            let (bytes, ttl, tos, source) = black_box((&mut bytes.0, TTL, TOS, SOURCE));
            black_box(cmsg::encode(&(IpTtl(ttl), IpTos(tos), IpPktInfo::source(source)), bytes).unwrap_or(0));
        });
    } else {
        repeat(times, || {
            let (bytes, ttl, source) = black_box((&mut bytes.0, TTL, SOURCE));
            black_box(cmsg::encode(&(IpTtl(ttl), IpPktInfo::source(source)), bytes).unwrap_or(0));
        });
    }
    let expected = expected(three);
    assert_eq!(bytes.0[..expected.len()], expected);
}

fn build_c(times: u32, three: bool) {
    let mut bytes = c::Aligned([0; 80]);
    if three {
        repeat(times, || {
            let (bytes, ttl, tos, source) = black_box((&mut bytes, TTL, TOS, SOURCE));
            let mut header = c::header();
            let built = c::build(bytes, &mut header, ttl, Some(tos), source);
            black_box(if built { header.msg_controllen } else { 0 });
        });
    } else {
        repeat(times, || {
            let (bytes, ttl, source) = black_box((&mut bytes, TTL, SOURCE));
            let mut header = c::header();
            let built = c::build(bytes, &mut header, ttl, None, source);
            black_box(if built { header.msg_controllen } else { 0 });
        });
    }
    let expected = expected(three);
    assert_eq!(bytes.0[..expected.len()], expected);
}

/// What both headers must describe: an address of 16 bytes, one slice, both messages.
fn check(header: &libc::msghdr) {
    assert_eq!((header.msg_namelen, header.msg_iovlen, header.msg_controllen), (16, 1, 56));
}

fn header(times: u32) {
    let to = &black_box(SockAddr::from(SocketAddr::from(([127, 0, 0, 1], 9))));
    repeat(times, || {
        let (data, ttl, source) = black_box((b"data", TTL, SOURCE));
        let mut message = MsgHdr::new();
        message.to(to).data(data).control(IpTtl(ttl)).control(IpPktInfo::source(source));
        black_box(message.with_raw(|raw| _ = black_box(raw)).is_ok());
    });
    let mut message = MsgHdr::new();
    message.to(to).data(b"data").control((IpTtl(TTL), IpPktInfo::source(SOURCE))).with_raw(check).unwrap();
}

fn header_c(times: u32) {
    let to = &black_box(SockAddr::from(SocketAddr::from(([127, 0, 0, 1], 9))));
    let once = |f: fn(&libc::msghdr)| {
        let (data, ttl, source) = black_box((b"data", TTL, SOURCE));
        let (mut control, mut header, iov) = (c::Aligned([0; 56]), c::header(), c::iovec(data));
        c::to(&mut header, to.as_bytes());
        c::gather(&mut header, std::slice::from_ref(&iov));
        let built = c::build(&mut control, &mut header, ttl, None, source);
        if built {
            f(&header);
        }
    };
    repeat(times, || once(|header| _ = black_box(header)));
    once(check);
}

fn parse(times: u32) {
    let bytes = expected(false);
    let extract = |bytes| <(IpPktInfo, IpTtl)>::extract(parser::cmsgs(bytes));
    repeat(times, || black_box(extract(black_box(&bytes))));
    assert_eq!(extract(&bytes), (Some(IpPktInfo::source(SOURCE)), Some(IpTtl(TTL))));
}

fn parse_enum(times: u32) {
    let bytes = expected(false);
    let read = |bytes| {
        let mut found = (None, None);
        for message in parser::parse(bytes) {
            match message {
                ControlMessage::IpPktInfo(info) => found.0 = Some(info),
                ControlMessage::IpTtl(ttl) => found.1 = Some(ttl),
                _ => {}
            }
        }
        found
    };
    repeat(times, || black_box(read(black_box(&bytes))));
    assert_eq!(read(&bytes), (Some(IpPktInfo::source(SOURCE)), Some(IpTtl(TTL))));
}

fn parse_c(times: u32) {
    let mut bytes = expected(false);
    let header = c::over(&mut bytes);
    repeat(times, || black_box(c::parse(black_box(&header))));
    let (info, ttl) = c::parse(&header);
    assert_eq!((info.unwrap().ipi_spec_dst.s_addr.to_ne_bytes(), ttl), (SOURCE.octets(), Some(TTL.into())));
}

/// Like `rights_c`: the compiler knows how many there are and how much room there is.
fn rights<const N: usize>(times: u32) {
    let file = File::open("/dev/null").unwrap();
    let (fds, mut bytes) = ([file.as_fd(); N], c::Aligned([0; 1040]));
    repeat(times, || {
        let (fds, bytes): (&[BorrowedFd<'_>; N], &mut [u8; 1040]) = black_box((&fds, &mut bytes.0));
        black_box(cmsg::encode(&ScmRights::new(fds), bytes).unwrap_or(0));
    });
    let expected = rights_expected(&[file.as_raw_fd(); N]);
    assert_eq!(bytes.0[..expected.len()], expected);
}

fn rights_c<const N: usize>(times: u32) {
    let file = File::open("/dev/null").unwrap();
    let (fds, mut bytes) = ([file.as_raw_fd(); N], c::Aligned([0; 1040]));
    repeat(times, || {
        let (fds, bytes): (&[RawFd; N], &mut [u8; 1040]) = black_box((&fds, &mut bytes.0));
        let mut header = c::header();
        c::rights(bytes, &mut header, fds);
        if N % 2 == 1 {
            bytes[16 + 4 * N..][..4].fill(0); // padding: the buffer may hold an earlier message
        }
        black_box(header.msg_controllen);
    });
    let expected = rights_expected(&fds);
    assert_eq!(bytes.0[..expected.len()], expected);
}

fn rights_expected(fds: &[i32]) -> Vec<u8> {
    let numbers: Vec<u8> = fds.iter().flat_map(|fd| fd.to_ne_bytes()).collect();
    let mut bytes =
        [&(16 + numbers.len()).to_ne_bytes()[..], &1i32.to_ne_bytes(), &1i32.to_ne_bytes(), &numbers].concat();
    bytes.resize(cmsg::space(numbers.len()).unwrap(), 0);
    bytes
}

fn sockets<L: RecvList>() -> (UdpSocket, UdpSocket, SockAddr) {
    let (sender, receiver) = (UdpSocket::bind("127.0.0.1:0").unwrap(), UdpSocket::bind("127.0.0.1:0").unwrap());
    receiver.enable::<L>().unwrap();
    let to = receiver.local_addr().unwrap().into();
    (sender, receiver, to)
}

fn trip(times: u32) {
    let (sender, receiver, to) = &sockets::<(IpPktInfo, IpTtl)>();
    let (mut data, mut control) = ([0; 64], ControlBuf::<(IpPktInfo, IpTtl)>::new());
    let mut arrived = 0;
    repeat(times, || {
        let (text, ttl, source) = black_box((b"data", TTL, SOURCE));
        let mut message = MsgHdr::new();
        message.to(to).data(text).control(IpTtl(ttl)).control(IpPktInfo::source(source));
        message.send(sender).unwrap();
        let message = receiver.recv_msg(&mut data, &mut control).unwrap();
        let (info, ttl) = message.extract();
        arrived += u32::from(message.data() == b"data" && ttl == Some(IpTtl(TTL)) && info.is_some());
    });
    assert_eq!(arrived, times);
}

fn trip_c(times: u32) {
    let (sender, receiver, to) = &sockets::<(IpPktInfo, IpTtl)>();
    let (mut data, mut arrived) = ([0; 64], 0);
    let (mut room, mut name) = (c::Aligned([0; 256]), c::Aligned([0; 128]));
    repeat(times, || {
        let (text, ttl, source) = black_box((b"data", TTL, SOURCE));
        let (mut control, mut header, iov) = (c::Aligned([0; 56]), c::header(), c::iovec(text));
        c::to(&mut header, to.as_bytes());
        c::gather(&mut header, std::slice::from_ref(&iov));
        assert!(c::build(&mut control, &mut header, ttl, None, source));
        c::sendmsg(sender.as_fd(), &header);
        // SAFETY: the entry describes `data`.
        let (len, header) =
            unsafe { c::receive(receiver.as_fd(), &mut [c::iovec_mut(&mut data)], &mut room.0, &mut name.0) };
        let (info, ttl) = c::parse(&header);
        arrived += u32::from(&data[..len] == b"data" && ttl == Some(TTL.into()) && info.is_some());
    });
    assert_eq!(arrived, times);
}

fn pass(times: u32) {
    let (a, b) = UnixStream::pair().unwrap();
    let file = File::open("/dev/null").unwrap();
    let (fds, mut control, mut arrived) = ([file.as_fd(); 8], ControlBuf::<ScmRightsSpace<8>>::new(), 0);
    repeat(times, || {
        let (text, fds) = black_box((b"x", fds));
        MsgHdr::new().data(text).control(ScmRights::new(fds)).send(&a).unwrap();
        let mut data = [0; 1];
        arrived += b.recv_msg(&mut data, &mut control).unwrap().take_fds().map(drop).count() as u32;
    });
    assert_eq!(arrived, 8 * times);
}

fn pass_c(times: u32) {
    let (a, b) = UnixStream::pair().unwrap();
    let file = File::open("/dev/null").unwrap();
    let (fds, mut arrived) = ([file.as_raw_fd(); 8], 0);
    repeat(times, || {
        let (text, fds) = black_box((b"x", fds));
        c::send_fds(a.as_fd(), text, &fds);
        arrived += c::receive_and_close(b.as_fd(), &mut [0; 1]) as u32;
    });
    assert_eq!(arrived, 8 * times);
}
