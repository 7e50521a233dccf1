//! The programs that sendmsg(2) is usually introduced with, as tests: a question over a socket pair, a pipe that
//! travels, twelve descriptors, gathering over TCP, frames, scattering, and what a datagram says about itself.

mod common;

use std::{
    fmt::Debug,
    fs::{File, OpenOptions},
    io::{self, ErrorKind, IoSlice, IoSliceMut, Read, Write},
    net::{IpAddr, SocketAddr, TcpListener, TcpStream, UdpSocket},
    os::{
        fd::{AsFd, AsRawFd},
        unix::net::{UnixDatagram, UnixStream},
    },
    thread,
    time::Duration,
};

use ancillary::{
    ControlBuf, ControlVec, EncodeError, FamilyError, MsgFlags, MsgHdr, MsgHdrMut, RecvExact, SendControl,
    ShortReadError, SocketExt,
    message::{
        Ecn, HopLimit, IpTos, IpTtl, Ipv6HopLimit, Ipv6PktInfo, PktInfo, RecvList, ScmRights, ScmRightsSpace, TClass,
        TrafficClass,
    },
};
use common::{cause, has_v6};
use nix::{
    errno::Errno,
    fcntl::{FcntlArg, FdFlag, fcntl},
};

const MSG: &[u8] = b"This is a test";

// Howto programs

#[test]
fn question_and_answer_over_a_socket_pair() -> io::Result<()> {
    let (parent, child) = UnixStream::pair()?;
    let child = thread::spawn(move || -> io::Result<Vec<u8>> {
        let (mut data, mut control) = ([0; 1024], ControlBuf::<()>::new());
        let question = child.recv_msg(&mut data, &mut control)?.data().to_vec();
        MsgHdr::new().data(b"somebody ").data(b"is here").send(&child)?;
        Ok(question)
    });
    assert_eq!(MsgHdr::new().data(b"who there?").send(&parent)?, 10);
    let (mut data, mut control) = ([0; 1024], ControlBuf::<()>::new());
    let message = parent.recv_msg(&mut data, &mut control)?;
    assert_eq!(message.data(), b"somebody is here");
    assert!(message.peer().is_none() && !message.is_eof() && message.control_bytes().is_empty());
    assert_eq!(child.join().unwrap()?, b"who there?");

    let message = parent.recv_msg(&mut data, &mut control)?;
    assert_eq!((message.len(), message.is_eof(), message.data()), (0, true, &b""[..]));
    Ok(())
}

#[test]
fn a_pipe_travels_and_both_ends_read_half() -> io::Result<()> {
    let (a, b) = UnixStream::pair()?;
    let (reader, writer) = nix::unistd::pipe()?;
    let (mut reader, mut writer) = (File::from(reader), File::from(writer));
    assert_eq!(a.send_fds(b"!", [&reader])?, 1);

    let mut data = [0; 8];
    let message = b.recv_fds::<1>(&mut data)?;
    assert_eq!((message.len(), data[0]), (1, b'!'));
    assert!(!message.flags().contains(MsgFlags::CTRUNC));
    let mut fds = message.into_iter();
    let mut copy = File::from(fds.next().expect("one descriptor"));
    assert!(fds.next().is_none());
    assert_ne!(copy.as_raw_fd(), reader.as_raw_fd());
    let flags = fcntl(&copy, FcntlArg::F_GETFD)?;
    assert!(FdFlag::from_bits_retain(flags).contains(FdFlag::FD_CLOEXEC));

    writer.write_all(b"half and half")?;
    drop(writer);
    let (mut first, mut second) = ([0; 5], String::new());
    reader.read_exact(&mut first)?;
    copy.read_to_string(&mut second)?;
    assert_eq!((&first, second.as_str()), (b"half ", "and half"));
    Ok(())
}

// Twelve descriptors

#[test]
fn twelve_descriptors_here_you_go() -> io::Result<()> {
    let nulls = (0..12).map(|_| File::open("/dev/null")).collect::<io::Result<Vec<_>>>()?;
    let (a, b) = UnixDatagram::pair()?;
    let (c, d) = UnixStream::pair()?;
    for (from, to) in [(a.as_fd(), b.as_fd()), (c.as_fd(), d.as_fd())] {
        assert_eq!(MsgHdr::new().data(b"here you go!").control(ScmRights::new(&nulls)).send(from)?, 12);
        let (mut data, mut control) = ([0; 128], ControlBuf::<ScmRightsSpace<32>>::new());
        let mut message = to.recv_msg(&mut data, &mut control)?;
        assert_eq!(message.data(), b"here you go!");
        assert_eq!(message.extract().map(|rights| rights.count), Some(12));
        message.require_complete()?;
        let fds = message.take_fds_exact::<12>()?;
        for fd in fds {
            let stat = nix::sys::stat::fstat(&fd)?;
            assert_eq!(stat.st_rdev, nix::sys::stat::fstat(&nulls[0])?.st_rdev, "it is /dev/null");
            assert_eq!(File::from(fd).read(&mut [0; 1])?, 0);
        }
        assert_eq!(message.take_fds().count(), 0);
    }
    Ok(())
}

#[test]
fn another_number_of_descriptors_than_expected_is_a_clear_error() -> io::Result<()> {
    let (a, b) = UnixDatagram::pair()?;
    a.send_fds(b"x", [a.as_fd(), b.as_fd()])?;
    let (mut data, mut control) = ([0; 128], ControlBuf::<ScmRightsSpace<32>>::new());
    let mut message = b.recv_msg(&mut data, &mut control)?;
    assert_eq!(message.take_fds_exact::<3>().unwrap_err().to_string(), "expected 3 descriptor(s), found 2");
    assert_eq!(message.take_fds().count(), 2, "none was taken by the failure");
    Ok(())
}

#[test]
fn what_is_not_a_socket_says_so() -> io::Result<()> {
    let file = OpenOptions::new().read(true).write(true).open("/dev/null")?;
    let (mut data, mut control) = ([0; 8], ControlBuf::<()>::new());
    for error in [
        file.send_fds(b"here you go!", [&file]).unwrap_err(),
        MsgHdr::new().data(b"x").send(&file).unwrap_err(),
        MsgHdr::new().data(b"x").send_all(&file).unwrap_err(),
        MsgHdr::new().to(SocketAddr::from(([127, 0, 0, 1], 9))).data(b"x").send(&file).unwrap_err(),
        MsgHdr::new().control(ScmRights::new([&file])).send(&file).unwrap_err(),
        file.recv_msg(&mut data, &mut control).map(drop).unwrap_err(),
        file.recv_exact(&mut data, &mut control).map(drop).unwrap_err(),
        file.recv_fds::<1>(&mut data).map(drop).unwrap_err(),
        file.enable::<PktInfo>().unwrap_err(),
        file.enable::<HopLimit>().unwrap_err(),
    ] {
        assert_eq!(error.raw_os_error(), Some(Errno::ENOTSOCK as i32), "{error}");
    }
    Ok(())
}

#[test]
fn descriptors_without_data_are_refused_on_a_stream_and_go_in_a_datagram() -> io::Result<()> {
    let (a, b) = UnixStream::pair()?;
    let error = MsgHdr::new().control(ScmRights::new([&a, &b])).send(&a).unwrap_err();
    assert_eq!(cause(&error), Some(EncodeError::DescriptorsWithoutData { descriptors: 2 }));

    let (c, d) = UnixDatagram::pair()?;
    assert_eq!(c.send_fds(b"", [&a, &b])?, 0);
    assert_eq!(d.recv_fds::<2>(&mut [0; 1])?.into_iter().count(), 2);
    Ok(())
}

// TCP: many clients, gathered answers

#[test]
fn tcp_server_gathers_its_answers() -> io::Result<()> {
    const CLIENTS: usize = 8;
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let addr = listener.local_addr()?;
    let server = thread::spawn(move || {
        let serve = |client: TcpStream| -> io::Result<usize> {
            let (mut data, mut control, mut count) = ([0; 4], ControlBuf::<()>::new(), 0);
            loop {
                match client.recv_exact(&mut data, &mut control) {
                    Ok(_) => {}
                    Err(error) => {
                        let short: ShortReadError = cause(&error).expect("a short read");
                        assert_eq!((short.expected, short.received), (4, 0));
                        return Ok(count);
                    }
                }
                assert_eq!(MsgHdr::new().data(b"hello, ").data(&data).send(&client)?, 11);
                count += 1;
            }
        };
        let threads: Vec<_> =
            (0..CLIENTS).map(|_| listener.accept().map(|(client, _)| thread::spawn(move || serve(client)))).collect();
        threads.into_iter().map(|thread| thread?.join().unwrap()).collect::<io::Result<Vec<usize>>>()
    });
    let clients = [(); CLIENTS].map(|()| {
        thread::spawn(move || -> io::Result<()> {
            let stream = TcpStream::connect(addr)?;
            for round in 0..20 {
                let question = format!("{round:04}");
                MsgHdr::new().data(question.as_bytes()).send_all(&stream)?;
                let (mut hello, mut echo, mut control) = ([0; 7], [0; 4], ControlBuf::<()>::new());
                stream.recv_exact(&mut hello, &mut control)?;
                stream.recv_exact(&mut echo, &mut control)?;
                assert_eq!((&hello, &echo[..]), (b"hello, ", question.as_bytes()));
            }
            Ok(())
        })
    });
    for client in clients {
        client.join().unwrap()?;
    }
    assert_eq!(server.join().unwrap()?, [20; CLIENTS]);
    Ok(())
}

#[test]
fn the_end_of_a_stream_is_no_bytes_and_an_empty_datagram_is_not_the_end() -> io::Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let client = TcpStream::connect(listener.local_addr()?)?;
    let (server, _) = listener.accept()?;
    MsgHdr::new().data(b"last words").send_all(&client)?;
    client.shutdown(std::net::Shutdown::Write)?;
    let (mut data, mut control) = ([0; 64], ControlBuf::<()>::new());
    let message = server.recv_msg(&mut data, &mut control)?;
    assert_eq!((message.data(), message.is_eof()), (&b"last words"[..], false));
    for _ in 0..2 {
        let message = server.recv_msg(&mut data, &mut control)?;
        assert_eq!((message.len(), message.is_eof()), (0, true));
    }
    // A buffer without room asks for nothing and learns nothing.
    assert!(!server.recv_msg(&mut [], &mut control)?.is_eof());

    let (a, b) = UnixDatagram::pair()?;
    assert_eq!(MsgHdr::new().send(&a)?, 0);
    let message = b.recv_msg(&mut data, &mut control)?;
    assert_eq!((message.len(), message.is_empty(), message.is_eof()), (0, true, false));
    let (a, b) = (UdpSocket::bind("127.0.0.1:0")?, UdpSocket::bind("127.0.0.1:0")?);
    assert_eq!(MsgHdr::new().to(b.local_addr()?).send(&a)?, 0);
    let message = b.recv_msg(&mut data, &mut control)?;
    assert_eq!((message.len(), message.is_eof()), (0, false));
    assert_eq!(message.peer().and_then(|peer| peer.as_inet()), Some(a.local_addr()?));
    Ok(())
}

// Frames

fn recv_frame(stream: &UnixStream) -> io::Result<Vec<u8>> {
    let (mut len, mut control) = ([0; 4], ControlBuf::<()>::new());
    stream.recv_exact(&mut len, &mut control)?;
    let mut frame = vec![0; u32::from_be_bytes(len) as usize];
    stream.recv_exact(&mut frame, &mut control)?;
    Ok(frame)
}

#[test]
fn frames_of_every_size_arrive_whole() -> io::Result<()> {
    const SIZES: [usize; 8] = [0, 1, 3, 4, 5, 4096, 65_537, 1 << 20];
    let (a, b) = UnixStream::pair()?;
    let sender = thread::spawn(move || {
        SIZES.iter().try_for_each(|&size| {
            let (len, frame) = ((size as u32).to_be_bytes(), vec![size as u8; size]);
            let sent = MsgHdr::new().data(&len).data(&frame).send_all(&a)?;
            assert_eq!(sent, size + 4);
            io::Result::Ok(())
        })
    });
    for size in SIZES {
        assert_eq!(recv_frame(&b)?, vec![size as u8; size]);
    }
    let error = recv_frame(&b).unwrap_err();
    assert_eq!(cause::<ShortReadError>(&error).map(|short| (short.expected, short.received)), Some((4, 0)));
    sender.join().unwrap()
}

#[test]
fn a_peer_gone_half_way_is_a_short_read() -> io::Result<()> {
    let (a, b) = UnixStream::pair()?;
    MsgHdr::new().data(&10u32.to_be_bytes()).data(b"half").send_all(&a)?;
    drop(a);
    let error = recv_frame(&b).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::UnexpectedEof);
    assert_eq!(cause::<ShortReadError>(&error).map(|short| (short.expected, short.received)), Some((10, 4)));
    assert_eq!(error.to_string(), "expected 10 bytes, the peer closed after 4");
    Ok(())
}

#[test]
fn nothing_is_lost_or_doubled_where_both_sides_would_block() -> io::Result<()> {
    use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
    let (a, b) = UnixStream::pair()?;
    a.set_nonblocking(true)?;
    b.set_nonblocking(true)?;
    let data: Vec<u8> = (0..3usize << 20).map(|i| (i % 251) as u8).collect();
    let (head, tail) = data.split_at(1_000_001);
    let mut copy = vec![0; data.len()];
    let (mut message, mut exact, mut control) = (MsgHdr::new(), RecvExact::new(), ControlBuf::<()>::new());
    // Descriptors go once, with the first byte, however many calls the rest takes.
    message.data(head).data(tail).control(ScmRights::new([&a, &b, &a]));
    let (mut sent, mut blocked) = (false, 0);
    let fds = loop {
        if !sent {
            match message.send_all(&a) {
                Ok(all) => sent = all == data.len(),
                Err(error) => assert_eq!(error.kind(), ErrorKind::WouldBlock),
            }
        }
        match exact.recv(&b, &mut copy, &mut control) {
            Ok(mut received) => break received.take_fds().count(),
            Err(error) => assert_eq!(error.kind(), ErrorKind::WouldBlock),
        }
        blocked += 1;
        poll(&mut [PollFd::new(b.as_fd(), PollFlags::POLLIN)], PollTimeout::from(0u8))?;
    };
    assert!(sent && blocked > 0 && exact.received() == data.len());
    assert_eq!((fds, copy == data), (3, true));
    Ok(())
}

// Scatter and gather

#[test]
fn scatter_into_twelve_and_two() -> io::Result<()> {
    let (udp, unix, tcp) = (UdpSocket::bind("127.0.0.1:0")?, UnixDatagram::pair()?, UnixStream::pair()?);
    udp.connect(udp.local_addr()?)?;
    for (from, to) in [(udp.as_fd(), udp.as_fd()), (unix.0.as_fd(), unix.1.as_fd()), (tcp.0.as_fd(), tcp.1.as_fd())] {
        MsgHdr::new().data(MSG).send(from)?;
        let (mut head, mut tail, mut control) = ([0; 12], [0; 2], ControlBuf::<()>::new());
        let mut header = MsgHdrMut::new();
        let message = header.data(&mut head).data(&mut tail).recv(to, &mut control)?;
        assert_eq!(message.len(), 14);
        message.require_complete()?;
        assert_eq!(header.filled().collect::<Vec<_>>(), [&b"This is a te"[..], b"st"]);
        assert_eq!((&head, &tail), (b"This is a te", b"st"));

        // The same the other way round, by slices.
        MsgHdr::new().slices(&[IoSlice::new(b"This "), IoSlice::new(b""), IoSlice::new(b"is a test")]).send(from)?;
        let (mut head, mut tail) = ([0; 12], [0; 100]);
        let mut slices = [IoSliceMut::new(&mut head), IoSliceMut::new(&mut tail)];
        let mut header = MsgHdrMut::new();
        assert_eq!(header.slices(&mut slices).recv(to, &mut control)?.len(), 14);
        assert_eq!(header.filled().collect::<Vec<_>>().concat(), MSG);
        assert_eq!((&head, &tail[..3]), (b"This is a te", &b"st\0"[..]));
    }
    Ok(())
}

#[test]
fn scatter_with_too_little_room_is_told() -> io::Result<()> {
    let (a, b) = UnixDatagram::pair()?;
    a.send(MSG)?;
    let (mut head, mut tail, mut control) = ([0; 5], [0; 2], ControlBuf::<()>::new());
    let message = MsgHdrMut::new().data(&mut head).data(&mut tail).recv(&b, &mut control)?;
    assert_eq!(message.len(), 7);
    assert!(message.flags().contains(MsgFlags::TRUNC));
    let error = message.require_complete().unwrap_err();
    assert_eq!((error.data, error.control, error.len), (true, false, 7));
    assert_eq!((&head, &tail), (b"This ", b"is"));
    Ok(())
}

// Hop limit, traffic class, packet info

/// Receiver and sender in each of IPv4, IPv6, and IPv4 at a dual-stack receiver; with a destination of the receiver.
fn sockets() -> io::Result<Vec<(UdpSocket, UdpSocket, SocketAddr)>> {
    let cases = [("127.0.0.1:0", "127.0.0.1:0", "127.0.0.1"), ("[::1]:0", "[::1]:0", "::1")].into_iter().chain([
        ("[::]:0", "127.0.0.1:0", "127.0.0.5"),
        ("[::]:0", "[::1]:0", "::1"),
        ("0.0.0.0:0", "0.0.0.0:0", "127.0.0.9"),
    ]);
    let sockets = cases.map(|(receiver, sender, to)| {
        let (receiver, sender) = (UdpSocket::bind(receiver)?, UdpSocket::bind(sender)?);
        receiver.set_read_timeout(Some(Duration::from_secs(10)))?;
        let to = SocketAddr::new(to.parse().expect("an address"), receiver.local_addr()?.port());
        Ok((receiver, sender, to))
    });
    sockets.collect()
}

/// Enables `L`, sends `control`, and gives what arrives to `check` with the address that was asked.
fn exchange<L: RecvList, S>(control: S, check: impl Fn(L::Output<'_>, IpAddr)) -> io::Result<()>
where
    S: for<'a> SendControl<'a>,
{
    for (receiver, sender, to) in sockets()? {
        let (mut data, mut buf) = ([0; 64], ControlVec::<L>::with_capacity(L::SPACE));
        receiver.enable::<L>()?;
        assert_eq!(MsgHdr::new().to(to).data(MSG).control(&control).send(&sender)?, 14);
        let message = receiver.recv_msg(&mut data, &mut buf)?;
        message.require_complete().unwrap_or_else(|error| panic!("{to}: {error}: {message:?}"));
        assert_eq!(message.data(), MSG);
        assert_eq!(
            message.peer().and_then(|peer| peer.as_inet()).map(|peer| peer.port()),
            Some(sender.local_addr()?.port())
        );
        check(message.extract(), to.ip());

        // Not asked for any longer, none arrives.
        receiver.disable::<L>()?;
        MsgHdr::new().to(to).data(MSG).send(&sender)?;
        let message = receiver.recv_msg(&mut data, &mut buf)?;
        assert!(message.control_bytes().is_empty(), "{to}: {message:?}");
    }
    Ok(())
}

#[test]
fn hop_limit_alone() -> io::Result<()> {
    if !has_v6("hop_limit_alone") {
        return Ok(());
    }
    for hops in [1, 2, 64, 255] {
        exchange::<HopLimit, _>(HopLimit(hops), |found, _| assert_eq!(found, Some(HopLimit(hops))))?;
    }
    Ok(())
}

#[test]
fn hop_limit_nobody_sent_is_the_sockets_own() -> io::Result<()> {
    if !has_v6("hop_limit_nobody_sent_is_the_sockets_own") {
        return Ok(());
    }
    exchange::<HopLimit, _>((), |found, _| assert!(found.is_some_and(|hops| hops.0 > 0)))
}

#[test]
fn traffic_class_alone() -> io::Result<()> {
    if !has_v6("traffic_class_alone") {
        return Ok(());
    }
    // The kernel leaves all bits of a UDP datagram alone, congestion included.
    for class in [0, 0x20, 0x28, 0xb8, 0xfd, 0xff] {
        exchange::<TrafficClass, _>(TrafficClass(class), |found, _| assert_eq!(found, Some(TrafficClass(class))))?;
    }
    let class = TrafficClass::new(10, Ecn::Ect1);
    exchange::<TrafficClass, _>(class, |found, _| {
        let found = found.expect("enabled");
        assert_eq!((found.dscp(), found.ecn()), (10, Ecn::Ect1));
    })
}

#[test]
fn packet_info_alone() -> io::Result<()> {
    if !has_v6("packet_info_alone") {
        return Ok(());
    }
    let loopback = ancillary::interface::index("lo")?;
    exchange::<PktInfo, _>((), |found, asked| {
        let found = found.expect("enabled");
        assert_eq!((found.addr(), found.spec_dst(), found.ifindex()), (asked, asked, loopback));
        assert_eq!(found.reply().map(|info| info.spec_dst()), Some(asked));
    })
}

#[test]
fn two_together() -> io::Result<()> {
    if !has_v6("two_together") {
        return Ok(());
    }
    type HopsAndClass = (HopLimit, TrafficClass);
    exchange::<HopsAndClass, _>((HopLimit(7), TrafficClass(0x48)), |found, _| {
        assert_eq!(found, (Some(HopLimit(7)), Some(TrafficClass(0x48))));
    })?;
    exchange::<(PktInfo, HopLimit), _>(HopLimit(9), |(info, hops), asked| {
        assert_eq!((info.map(|info| info.addr()), hops), (Some(asked), Some(HopLimit(9))));
    })?;
    exchange::<(TrafficClass, PktInfo), _>(TrafficClass(4), |(class, info), asked| {
        assert_eq!((class, info.map(|info| info.addr())), (Some(TrafficClass(4)), Some(asked)));
    })?;
    exchange::<(PktInfo, HopLimit, TrafficClass), _>([Some(HopLimit(3)), None], |(info, hops, class), asked| {
        assert_eq!((info.map(|info| info.addr()), hops), (Some(asked), Some(HopLimit(3))));
        assert_eq!(class, Some(TrafficClass(0)));
    })
}

#[test]
fn the_messages_of_one_family_alone() -> io::Result<()> {
    if !has_v6("the_messages_of_one_family_alone") {
        return Ok(());
    }
    fn round<O: PartialEq + Debug, L: for<'a> RecvList<Output<'a> = O>>(
        host: &str,
        control: impl for<'a> SendControl<'a>,
        expected: O,
    ) -> io::Result<()> {
        let (receiver, sender) = (UdpSocket::bind((host, 0))?, UdpSocket::bind((host, 0))?);
        receiver.enable::<L>()?;
        MsgHdr::new().to(receiver.local_addr()?).data(MSG).control(control).send(&sender)?;
        let (mut data, mut buf) = ([0; 64], ControlVec::<L>::with_capacity(L::SPACE));
        let message = receiver.recv_msg(&mut data, &mut buf)?;
        assert_eq!(message.extract(), expected, "{message:?}");
        Ok(())
    }
    round::<_, (IpTtl, IpTos)>("127.0.0.1", (IpTtl(5), IpTos(8)), (Some(IpTtl(5)), Some(IpTos(8))))?;
    round::<_, (Ipv6HopLimit, TClass)>("::1", (Ipv6HopLimit(5), TClass(8)), (Some(Ipv6HopLimit(5)), Some(TClass(8))))?;
    // 0 is a hop limit in IPv6, if not one that leaves the machine.
    round::<_, Ipv6HopLimit>("::1", Ipv6HopLimit(0), Some(Ipv6HopLimit(0)))?;
    let error = UdpSocket::bind("127.0.0.1:0")?.enable::<Ipv6PktInfo>().unwrap_err();
    assert!(cause::<FamilyError>(&error).is_some(), "{error}");
    let error = round::<_, IpTtl>("127.0.0.1", HopLimit(0), None).unwrap_err();
    assert!(matches!(cause(&error), Some(EncodeError::Value { found: 0, .. })), "{error}");
    Ok(())
}

#[test]
fn answers_come_from_the_address_that_was_asked() -> io::Result<()> {
    if !has_v6("answers_come_from_the_address_that_was_asked") {
        return Ok(());
    }
    for (receiver, sender, to) in sockets()? {
        receiver.enable::<PktInfo>()?;
        sender.connect(to)?; // it hears that address alone
        sender.set_read_timeout(Some(Duration::from_secs(10)))?;
        MsgHdr::new().data(MSG).send(&sender)?;
        let (mut data, mut control) = ([0; 64], ControlBuf::<PktInfo>::new());
        let message = receiver.recv_msg(&mut data, &mut control)?;
        let source = message.extract().and_then(|info| info.reply());
        assert!(source.is_some());
        MsgHdr::new().to(message.peer()).data(message.data()).control(source).send(&receiver)?;
        assert_eq!(sender.recv(&mut [0; 64])?, 14, "{to}");
    }
    Ok(())
}
