//! Another implementation as peer: the socket module of CPython, in both directions.

#![cfg(target_os = "linux")]

mod common;

use std::{
    fs::File,
    io::{BufRead, BufReader, ErrorKind, Write},
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket},
    os::{
        fd::{AsFd, OwnedFd},
        unix::{fs::FileExt, net::UnixStream},
    },
    process::{Child, Command, Stdio},
    time::Duration,
};

use ancillary::{
    ControlBuf, MsgFlags, MsgHdr, SocketExt, interface,
    message::{HopLimit, PktInfo, RecvList, ScmRights, ScmRightsSpace, TrafficClass},
    stream::{FdReader, FdStream, FdWriter},
};
use common::{has_descriptors, skipped, starting::Start};
use nix::poll::{PollFd, PollFlags, poll};

const TIMEOUT: Option<Duration> = Some(Duration::from_secs(20));

/// A running peer, killed when it goes.
struct Peer {
    child: Child,
    socket: UnixStream,
    lines: BufReader<UnixStream>,
}

impl Peer {
    /// `None`, with a word about it, where there is no interpreter.
    fn start(name: &str, arguments: &[&str]) -> Option<Self> {
        let version =
            "import sys, socket, os; sys.exit(not (hasattr(socket, 'send_fds') and hasattr(os, 'memfd_create')))";
        match Command::new("python3").args(["-c", version]).stderr(Stdio::null()).end() {
            Ok(status) if status.success() => {}
            Ok(status) => {
                skipped(format_args!("SKIPPED {name}: python3 has no socket.send_fds ({status})"));
                return None;
            }
            Err(error) => {
                skipped(format_args!("SKIPPED {name}: python3: {error}"));
                return None;
            }
        }
        let (socket, theirs) = UnixStream::pair().unwrap();
        let (lines, output) = UnixStream::pair().unwrap();
        socket.set_read_timeout(TIMEOUT).unwrap();
        socket.set_write_timeout(TIMEOUT).unwrap();
        lines.set_read_timeout(TIMEOUT).unwrap();
        let child = Command::new("python3")
            .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/peer.py"))
            .args(arguments)
            .stdin(OwnedFd::from(theirs))
            .stdout(OwnedFd::from(output))
            .start()
            .unwrap();
        Some(Self { child, socket, lines: BufReader::new(lines) })
    }

    /// The words of the next line.
    fn words(&mut self) -> Vec<String> {
        let mut line = String::new();
        self.lines.read_line(&mut line).unwrap();
        line.split_whitespace().map(String::from).collect()
    }

    fn finish(mut self) {
        assert_eq!(self.words(), ["done"]);
        assert!(self.child.wait().unwrap().success());
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn file_with(text: &str) -> File {
    let file = nix::sys::memfd::memfd_create("ours", nix::sys::memfd::MFdFlags::MFD_CLOEXEC).unwrap();
    let mut file = File::from(file);
    file.write_all(text.as_bytes()).unwrap();
    file
}

fn text_of(fd: OwnedFd) -> String {
    let mut bytes = [0; 100];
    let len = File::from(fd).read_at(&mut bytes, 0).unwrap();
    String::from_utf8(bytes[..len].to_vec()).unwrap()
}

const COUNTS: [usize; 3] = [1, 12, 253];

/// PE03
#[test]
fn python_receives_our_descriptors() {
    if !has_descriptors("python_receives_our_descriptors") {
        return;
    }
    let Some(mut peer) = Peer::start("python_receives_our_descriptors", &["receive_fds", "253"]) else { return };
    for count in COUNTS {
        let files: Vec<_> = (0..count).map(|i| file_with(&format!("file-{i}"))).collect();
        let sent = match count {
            1 => peer.socket.send_fds(b"data", &files),
            _ => MsgHdr::new().data(b"da").data(b"ta").control(ScmRights::new(&files)).send(&peer.socket),
        };
        assert_eq!(sent.unwrap(), 4);
        let words = peer.words();
        assert_eq!(words[..3], ["fds", "data", "0"], "{words:?}");
        assert!(words[3..].iter().cloned().eq((0..count).map(|i| format!("file-{i}"))), "{words:?}");
    }
    // None, and several lists that become one.
    MsgHdr::new().data(b"none").control(ScmRights::new([] as [&File; 0])).send(&peer.socket).unwrap();
    assert_eq!(peer.words(), ["fds", "none", "0"]);
    let (a, b) = (file_with("a"), file_with("b"));
    let lists = (ScmRights::new([&a]), ScmRights::new([&b, &a]));
    MsgHdr::new().data(b"lists").control(lists).send(&peer.socket).unwrap();
    assert_eq!(peer.words(), ["fds", "lists", "0", "a", "b", "a"]);
    peer.socket.shutdown(std::net::Shutdown::Write).unwrap();
    peer.finish();
}

/// PE03
#[test]
fn python_that_makes_no_room_sees_our_descriptors_cut() {
    let name = "python_that_makes_no_room_sees_our_descriptors_cut";
    let Some(mut peer) = Peer::start(name, &["receive_fds", "2"]) else { return };
    let files = ["a", "b", "c", "d", "e"].map(file_with);
    peer.socket.send_fds(b"five", &files).unwrap();
    let ctrunc = MsgFlags::CTRUNC.bits().to_string();
    assert_eq!(peer.words(), ["fds", "five", &ctrunc, "a", "b"]);
    peer.socket.shutdown(std::net::Shutdown::Write).unwrap();
    peer.finish();
}

/// PE03
#[test]
fn we_receive_the_descriptors_of_python() {
    if !has_descriptors("we_receive_the_descriptors_of_python") {
        return;
    }
    let name = "we_receive_the_descriptors_of_python";
    let Some(mut peer) = Peer::start(name, &["send_fds", "1", "12", "253", "12", "0"]) else { return };
    let expected = |count: usize| (0..count).map(move |i| format!("python {i} of {count}"));
    let mut data = [0; 64];
    type Most = ScmRightsSpace<253>;
    let mut control = ControlBuf::<Most, { Most::SPACE }>::new();
    for count in COUNTS {
        let mut message = peer.socket.recv_msg(&mut data, &mut control).unwrap();
        message.require_complete().unwrap();
        assert_eq!(message.data(), format!("take {count}").as_bytes());
        assert_eq!(message.extract(), Some(ScmRightsSpace { count }));
        assert!(message.take_fds().map(text_of).eq(expected(count)));
        peer.socket.write_all(b".").unwrap();
    }
    let message = peer.socket.recv_fds::<12>(&mut data).unwrap();
    assert_eq!((message.len(), message.flags() & MsgFlags::CTRUNC), (7, MsgFlags::empty()));
    assert!(message.into_iter().map(text_of).eq(expected(12)));
    peer.socket.write_all(b".").unwrap();

    // An SCM_RIGHTS of no descriptors is what send_fds makes of an empty list.
    let mut message = peer.socket.recv_msg(&mut data, &mut control).unwrap();
    assert_eq!((message.data(), message.take_fds().count()), (&b"take 0"[..], 0));
    peer.socket.write_all(b".").unwrap();

    let mut message = peer.socket.recv_msg(&mut data, &mut control).unwrap();
    assert_eq!(message.data(), b"two lists");
    assert!(message.take_fds().map(text_of).eq(["raw", "raw", "raw"]));
    peer.socket.write_all(b".").unwrap();
    peer.finish();
}

/// PE03
#[test]
fn python_and_we_carry_descriptors_in_a_stream() {
    let name = "python_and_we_carry_descriptors_in_a_stream";
    if !has_descriptors(name) {
        return;
    }
    const COUNTS: [usize; 6] = [1, 0, 3, 0, 40, 2];
    for (room, piece) in [(1, 3), (7, 10_000), (100_000, 50)] {
        let Some(peer) = Peer::start(name, &["stream", &room.to_string(), &piece.to_string()]) else { return };
        peer.socket.set_nonblocking(true).unwrap();
        let mut stream = FdStream::from_parts(&peer.socket, FdReader::new(), FdWriter::new().with_fds_per_message(28));
        let (mut queued, mut returned) = (0, 0);
        while returned < 60 {
            while queued < 60 && stream.writer().pending() < 5000 {
                let (len, count) = (queued * 37 % 500, COUNTS[queued % COUNTS.len()]);
                let head = [len as u32, count as u32].map(u32::to_be_bytes).concat();
                let files = (0..count).map(|i| file_with(&format!("{queued}.{i}")));
                stream.queue(&[head, vec![queued as u8; len]].concat(), files).unwrap();
                queued += 1;
            }
            let writable = match stream.flush() {
                Ok(()) => PollFlags::empty(),
                Err(error) if error.kind() == ErrorKind::WouldBlock => PollFlags::POLLOUT,
                Err(error) => panic!("{error}"),
            };
            match stream.fill() {
                Ok(len) => assert!(len > 0, "python has closed the stream"),
                Err(error) => {
                    assert_eq!(error.kind(), ErrorKind::WouldBlock);
                    let mut fds = [PollFd::new(stream.as_fd(), PollFlags::POLLIN | writable)];
                    assert!(poll(&mut fds, 20_000u16).unwrap() > 0, "neither side goes on");
                }
            }
            while let Some((head, _)) = stream.buffer().split_first_chunk::<8>() {
                let [len, count] = [0, 4].map(|at| u32::from_be_bytes(head[at..at + 4].try_into().unwrap()) as usize);
                if stream.buffer().len() < 8 + len {
                    break;
                }
                assert_eq!((len, count), (returned * 37 % 500, COUNTS[returned % COUNTS.len()]));
                let (frame, fds) = stream.take_message(8 + len, count).unwrap();
                assert_eq!(frame[8..], vec![returned as u8; len]);
                assert!(fds.map(text_of).eq((0..count).map(|i| format!("{returned}.{i}"))), "frame {returned}");
                returned += 1;
            }
        }
        peer.socket.shutdown(std::net::Shutdown::Write).unwrap();
        peer.finish();
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn unhex(text: &str) -> Vec<u8> {
    (0..text.len()).step_by(2).map(|i| u8::from_str_radix(&text[i..i + 2], 16).unwrap()).collect()
}

/// One message that the peer printed: its identity and its payload.
fn printed(word: &str) -> (i32, i32, Vec<u8>) {
    let parts: Vec<_> = word.split('/').collect();
    (parts[0].parse().unwrap(), parts[1].parse().unwrap(), unhex(parts[2]))
}

fn int(value: i32) -> Vec<u8> {
    value.to_ne_bytes().to_vec()
}

fn in_pktinfo(ifindex: u32, spec_dst: Ipv4Addr, addr: Ipv4Addr) -> Vec<u8> {
    [ifindex.to_ne_bytes(), spec_dst.octets(), addr.octets()].concat()
}

fn in6_pktinfo(addr: Ipv6Addr, ifindex: u32) -> Vec<u8> {
    [&addr.octets()[..], &ifindex.to_ne_bytes()].concat()
}

type Meta = (PktInfo, HopLimit, TrafficClass);

struct Case {
    client: &'static str,
    to: IpAddr,
    /// Our source, hop limit and traffic class.
    ours: (IpAddr, u8, u8),
    /// What python is to receive.
    received: Vec<(i32, i32, Vec<u8>)>,
    /// What python is asked to send: hop limit, traffic class, and source as it is to come back to us.
    asked: Vec<(i32, i32, Vec<u8>)>,
    theirs: (IpAddr, u8, u8),
}

fn talk(name: &str, family: &str, cases: impl IntoIterator<Item = Case>) {
    let Some(mut peer) = Peer::start(name, &["internet", family]) else { return };
    let words = peer.words();
    assert_eq!(words[0], "port");
    let port: u16 = words[1].parse().unwrap();
    let mut last = None;
    for case in cases {
        let client = UdpSocket::bind(case.client).unwrap();
        client.set_read_timeout(TIMEOUT).unwrap();
        client.enable::<Meta>().unwrap();
        let to = SocketAddr::from((case.to, port));
        let (source, hops, class) = case.ours;
        let request: Vec<_> =
            case.asked.iter().map(|(level, ty, bytes)| format!("{level}/{ty}/{}", hex(bytes))).collect();
        let request = request.join(" ");
        let mut header = MsgHdr::new();
        header.to(to).data(request.as_bytes());
        header.control((HopLimit(hops), TrafficClass(class))).control(PktInfo::source(source));
        assert_eq!(header.send(&client).unwrap(), request.len(), "{header:?}");

        let words = peer.words();
        assert_eq!(words[..3], ["message", &request.replace(' ', "_"), "0"]);
        assert_eq!(words[3].parse::<IpAddr>().unwrap().to_canonical(), source);
        let found: Vec<_> = words[4..].iter().map(|word| printed(word)).collect();
        assert_eq!(found, case.received);

        let (mut data, mut control) = ([0; 64], ControlBuf::<Meta>::new());
        let message = client.recv_msg(&mut data, &mut control).unwrap();
        message.require_complete().unwrap();
        let (info, hops, class) = message.extract();
        let (from, their_hops, their_class) = case.theirs;
        assert_eq!(message.data(), b"answer");
        assert_eq!((hops, class), (Some(HopLimit(their_hops)), Some(TrafficClass(their_class))));
        let info = info.unwrap();
        assert_eq!((info.addr(), info.ifindex()), (source, interface::index("lo").unwrap()));
        let peer = message.peer().unwrap().as_inet().unwrap();
        assert_eq!((peer.ip().to_canonical(), peer.port()), (from, port));
        last = Some(to);
    }
    UdpSocket::bind(if family == "6" { "[::]:0" } else { "0.0.0.0:0" })
        .unwrap()
        .send_to(b"end", last.unwrap())
        .unwrap();
    peer.finish();
}

const IP: i32 = 0;
const IPV6: i32 = 41;

fn v4_case(client: &'static str, hops: u8, class: u8) -> Case {
    let [ours, asked, theirs] = [5, 9, 33].map(|last| Ipv4Addr::new(127, 0, 0, last));
    let lo = interface::index("lo").unwrap();
    Case {
        client,
        to: asked.into(),
        ours: (ours.into(), hops, class),
        received: vec![(IP, 8, in_pktinfo(lo, asked, asked)), (IP, 2, int(hops.into())), (IP, 1, vec![class])],
        asked: vec![
            (IP, 2, int(i32::from(hops) + 1)),
            (IP, 1, int((class ^ 0xff).into())),
            (IP, 8, in_pktinfo(0, theirs, Ipv4Addr::UNSPECIFIED)),
        ],
        theirs: (theirs.into(), hops + 1, class ^ 0xff),
    }
}

fn v6_case(client: &'static str, hops: u8, class: u8) -> Case {
    let (ours, lo) = (Ipv6Addr::LOCALHOST, interface::index("lo").unwrap());
    Case {
        client,
        to: ours.into(),
        ours: (ours.into(), hops, class),
        received: vec![(IPV6, 50, in6_pktinfo(ours, lo)), (IPV6, 52, int(hops.into())), (IPV6, 67, int(class.into()))],
        asked: vec![
            (IPV6, 67, int((class ^ 0xff).into())),
            (IPV6, 50, in6_pktinfo(ours, lo)),
            (IPV6, 52, int(i32::from(hops) + 1)),
        ],
        theirs: (ours.into(), hops + 1, class ^ 0xff),
    }
}

/// PE05
#[test]
fn python_and_we_agree_on_ipv4_control() {
    let cases = [(42, 0x5c), (1, 0xff), (254, 0), (17, 0x2c)];
    let cases = cases.map(|(hops, class)| v4_case("0.0.0.0:0", hops, class));
    talk("python_and_we_agree_on_ipv4_control", "4", cases);
}

/// PE05
#[test]
fn python_and_we_agree_on_ipv6_and_mapped_control() {
    let name = "python_and_we_agree_on_ipv6_and_mapped_control";
    if let Err(error) = UdpSocket::bind("[::1]:0") {
        return skipped(format_args!("SKIPPED {name}: no IPv6 loopback ({error})"));
    }
    let mut cases: Vec<_> = [(42, 0x5c), (1, 0xff), (254, 0), (17, 0x2c)]
        .into_iter()
        .map(|(hops, class)| v6_case("[::]:0", hops, class))
        .collect();
    // IPv4 to its dual-stack socket, from both kinds of ours: it sees a mapped packet info.
    for client in ["0.0.0.0:0", "[::]:0"] {
        let mut case = v4_case(client, 21, 0x2d);
        let IpAddr::V4(asked) = case.to else { unreachable!() };
        case.received[0] = (IPV6, 50, in6_pktinfo(asked.to_ipv6_mapped(), interface::index("lo").unwrap()));
        cases.push(case);
    }
    talk(name, "6", cases);
}
