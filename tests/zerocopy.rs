//! `MSG_ZEROCOPY`: what arrives is what was given, and every buffer comes back when the kernel has finished with it.

#![cfg(target_os = "linux")]

mod common;

use std::{
    io::{self, ErrorKind, Read},
    net::{IpAddr, Ipv4Addr, Shutdown, SocketAddr, TcpStream, UdpSocket},
    os::fd::AsFd,
    sync::Arc,
    time::Duration,
};

use ancillary::{
    Completion, ControlBuf, EncodeError, ErrorQueue, MsgHdr, SendFlags, SocketExt, ZeroCopy, ZeroCopyBuf,
    cmsg::CmsgId,
    message::{ExtendedError, HopLimit, Meaning, Origin, UdpSegment, ZeroCopied},
    set_option,
};
use common::{
    batches::wait_for_entry,
    cause,
    pairs::{self, V4, bound, closed, stream},
};
use nix::libc;

const WAIT: Duration = Duration::from_secs(20);

fn tcp(ip: IpAddr) -> (TcpStream, TcpStream) {
    let (peer, socket) = pairs::tcp((ip, 0));
    (socket, peer)
}

fn udp(ip: IpAddr) -> (UdpSocket, UdpSocket) {
    let (peer, socket) = pairs::udp((ip, 0));
    (socket, peer)
}

fn ips(test: &str) -> Vec<IpAddr> {
    pairs::addrs(test).iter().map(|addr| addr.parse::<SocketAddr>().unwrap().ip()).collect()
}

/// More than fits between [`narrow`] sockets, and a fraction of what an ordinary user may lock (`RLIMIT_MEMLOCK`).
const LONG: usize = 1_500_000;

/// A connection that takes little at a time and does not wait for room.
fn narrow() -> (TcpStream, TcpStream) {
    let (socket, peer) = tcp(Ipv4Addr::LOCALHOST.into());
    for socket in [&socket, &peer] {
        set_option(socket, libc::SOL_SOCKET, libc::SO_SNDBUF, 1 << 16).unwrap();
        set_option(socket, libc::SOL_SOCKET, libc::SO_RCVBUF, 1 << 16).unwrap();
    }
    socket.set_nonblocking(true).unwrap();
    (socket, peer)
}

/// Nothing more is taken before the peer has read, be it for the queue or for locked memory.
fn is_full(error: &io::Error) -> bool {
    error.kind() == ErrorKind::WouldBlock || error.raw_os_error() == Some(libc::ENOBUFS)
}

/// Collects until nothing is pending; a buffer that does not come back is a failure.
fn collect<S: AsFd, B: ZeroCopyBuf>(out: &mut ZeroCopy<S, B>) -> Vec<B> {
    let mut found = Vec::new();
    while out.pending() > 0 {
        let came = out.wait(WAIT, |buffer, _| found.push(buffer)).unwrap();
        assert!(came > 0, "{out:?}");
    }
    found
}

/// ZC01, ZC02
#[test]
fn every_buffer_comes_back_from_a_stream() {
    for ip in ips("every_buffer_comes_back_from_a_stream") {
        let (socket, mut peer) = tcp(ip);
        let mut out = ZeroCopy::new(socket).unwrap();
        let reader = std::thread::spawn(move || {
            let mut data = Vec::new();
            peer.read_to_end(&mut data).unwrap();
            data
        });
        let buffers: Vec<Vec<u8>> = (0..50u8).map(|i| vec![i; 1000 * usize::from(i) + 1]).collect();
        for buffer in &buffers {
            assert_eq!(out.send(buffer.clone()).unwrap(), buffer.len());
        }
        assert_eq!(collect(&mut out), buffers);
        drop(out);
        assert_eq!(reader.join().unwrap(), buffers.concat());
    }
}

/// ZC01, ZC02
#[test]
fn every_buffer_comes_back_from_datagrams() {
    for ip in ips("every_buffer_comes_back_from_datagrams") {
        let (socket, peer) = udp(ip);
        let mut out = ZeroCopy::new(socket).unwrap();
        let mut data = vec![0; 65536];
        let mut copied = 0;
        for i in 1..=30u8 {
            out.send(Arc::<[u8]>::from(vec![i; 1000])).unwrap();
            assert_eq!(peer.recv(&mut data).unwrap(), 1000);
            assert_eq!(data[..1000], [i; 1000]);
        }
        while out.pending() > 0 {
            assert!(out.wait(WAIT, |_, was| copied += u32::from(was)).unwrap() > 0);
        }
        assert_eq!(copied, 30, "loopback copies");
    }
}

/// The range of every entry that the queue has by and by, until four sends are told; they are all copied.
fn ranges(socket: &impl AsFd, id: CmsgId) -> Vec<(u32, u32)> {
    let (mut found, mut told) = (Vec::new(), 0);
    while told < 4 {
        wait_for_entry(socket);
        let mut control = ControlBuf::<ExtendedError>::new();
        let drained = socket.error_queue().unwrap().drain(&mut [], &mut control, |entry| {
            let error = entry.error();
            assert_eq!((error.errno, error.origin, error.offender), (0, Origin::ZeroCopy, None));
            assert_eq!(entry.cmsgs().map(|cmsg| cmsg.id()).collect::<Vec<_>>(), [id]);
            let Meaning::ZeroCopied(ZeroCopied { first, last, copied }) = error.meaning() else { panic!("{error}") };
            assert!(copied && first == told && last >= first, "without a gap: {error:?} after {found:?}");
            found.push((first, last));
            told = last + 1;
        });
        drained.unwrap();
    }
    assert_eq!(told, 4);
    found
}

/// ZC01, ZC02
#[test]
fn the_queue_tells_every_send_once_in_ranges() {
    for ip in ips("the_queue_tells_every_send_once_in_ranges") {
        let id = match ip {
            IpAddr::V4(_) => CmsgId::new(libc::IPPROTO_IP, libc::IP_RECVERR),
            IpAddr::V6(_) => CmsgId::new(libc::IPPROTO_IPV6, libc::IPV6_RECVERR),
        };
        // It owns the counter and gives the buffers to nobody, since the entries are read past it.
        let (socket, peer) = udp(ip);
        let mut out = ZeroCopy::new(&socket).unwrap();
        for i in 0..4 {
            out.send(vec![i; 1000]).unwrap();
            assert_eq!(peer.recv(&mut [0; 2000]).unwrap(), 1000);
        }
        assert_eq!(ranges(&socket, id), [(0, 3)], "one that grows while nobody reads it");

        let (socket, mut peer) = tcp(ip);
        let mut out = ZeroCopy::new(&socket).unwrap();
        for i in 0..4 {
            out.send(vec![i; 1000]).unwrap();
            peer.read_exact(&mut [0; 1000]).unwrap();
        }
        ranges(&socket, id);
    }
}

#[test]
fn pieces_destination_and_control_messages_go_together() {
    let (a, b) = (bound(V4), bound(V4));
    b.enable::<HopLimit>().unwrap();
    let to = b.local_addr().unwrap();
    let mut out = ZeroCopy::new(&a).unwrap();
    out.send_with([&b"head"[..], b"", b"body", b"tail"], |header| {
        header.to(to).control(HopLimit(9));
    })
    .unwrap();
    let (mut data, mut control) = ([0; 64], ControlBuf::<HopLimit>::new());
    let message = b.recv_msg(&mut data, &mut control).unwrap();
    assert_eq!((message.data(), message.extract()), (&b"headbodytail"[..], Some(HopLimit(9))));
    assert_eq!(collect(&mut out).len(), 1);
}

/// The numbers that the kernel reports when it has finished with what was sent.
fn numbers(socket: &impl AsFd) -> Vec<(u32, u32)> {
    wait_for_entry(socket);
    let (mut seen, mut control) = (Vec::new(), ControlBuf::<ExtendedError>::new());
    let queue: ErrorQueue<'_> = socket.error_queue().unwrap();
    queue.drain(&mut [], &mut control, |entry| seen.push((entry.error().info, entry.error().data))).unwrap();
    seen
}

/// ZC03
#[test]
fn an_empty_buffer_has_no_number() {
    for ip in ips("an_empty_buffer_has_no_number") {
        let (socket, peer) = udp(ip);
        let mut out = ZeroCopy::new(socket).unwrap();
        for data in [vec![], vec![1; 100], vec![], vec![2; 100]] {
            assert_eq!(out.send(data.clone()).unwrap(), data.len());
            assert_eq!(peer.recv(&mut [0; 200]).unwrap(), data.len());
        }
        assert_eq!(out.pending(), 4);
        assert_eq!(numbers(&out).iter().map(|(first, last)| last - first + 1).sum::<u32>(), 2);
        let mut back = 0;
        assert_eq!(out.complete(|buffer: Vec<u8>, _| back += 1 + buffer.len()).unwrap(), 2, "the empty ones");
        assert_eq!((back, out.pending()), (2, 2));
    }
}

/// The kernel numbers a datagram whose segments do not fit, and fails afterwards.
#[test]
fn after_a_datagram_that_failed_too_late_the_kernel_copies() {
    for ip in ips("after_a_datagram_that_failed_too_late_the_kernel_copies") {
        let (socket, peer) = udp(ip);
        let mut out = ZeroCopy::new(socket).unwrap();
        let failed = out.send_with(vec![1; 1000], |header| {
            header.control(UdpSegment(1)); // more segments than a packet may have
        });
        let failed = failed.unwrap_err();
        assert_eq!((failed.error.raw_os_error(), failed.buffer), (Some(libc::EINVAL), None));
        assert!(out.is_copying());
        for i in 2..5u8 {
            assert_eq!(out.send(vec![i; 1000]).unwrap(), 1000);
            assert_eq!(peer.recv(&mut [0; 1000]).unwrap(), 1000);
        }
        assert_eq!(out.pending(), 3, "the one that failed is not waited for");
        let mut back = Vec::new();
        out.wait(WAIT, |buffer, _| back.push(buffer[0])).unwrap();
        back.sort_unstable();
        assert!(back == [2, 3, 4] || back == [1, 2, 3, 4], "{back:?}");
        assert_eq!(out.pending(), 0);
    }
}

/// A socket type of somebody's that lends another socket from the second time on.
struct Fickle([UdpSocket; 2], std::cell::Cell<usize>);

impl AsFd for Fickle {
    fn as_fd(&self) -> std::os::fd::BorrowedFd<'_> {
        self.0[self.1.replace(1)].as_fd()
    }
}

#[test]
fn the_socket_that_was_counted_is_the_one_that_sends_and_is_read() {
    let ((a, peer), (b, other)) = (udp(Ipv4Addr::LOCALHOST.into()), udp(Ipv4Addr::LOCALHOST.into()));
    let mut out = ZeroCopy::new(Fickle([a, b], Default::default())).unwrap();
    out.send(vec![1; 100]).unwrap();
    assert_eq!(peer.recv(&mut [0; 200]).unwrap(), 100);
    other.set_nonblocking(true).unwrap();
    assert!(other.recv(&mut [0; 200]).is_err());
    assert_eq!(collect(&mut out), [vec![1; 100]]);
    assert_eq!(out.into_inner().0.len(), 2);
}

#[test]
fn the_data_is_the_buffers_alone() {
    let (socket, peer) = udp(Ipv4Addr::LOCALHOST.into());
    let mut out = ZeroCopy::new(socket).unwrap();
    let more = out.send_with(vec![1; 10], |header| {
        header.data(b"more");
    });
    let other = out.send_with(vec![2; 10], |header| {
        *header = MsgHdr::new();
        header.data(b"other");
    });
    for (failed, byte) in [(more, 1), (other, 2)] {
        let failed = failed.unwrap_err();
        assert_eq!((failed.error.kind(), failed.buffer), (ErrorKind::InvalidInput, Some(vec![byte; 10])));
    }
    peer.set_nonblocking(true).unwrap();
    assert!(peer.recv(&mut [0; 20]).is_err(), "nothing was sent");
    assert!(!out.is_copying());
}

/// ZC03
#[test]
fn one_socket_has_one_counter() {
    let (socket, _peer) = udp(Ipv4Addr::LOCALHOST.into());
    let clone = socket.try_clone().unwrap();
    let out = ZeroCopy::<_, Vec<u8>>::new(socket).unwrap();
    let error = ZeroCopy::<_, Vec<u8>>::new(clone).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::AlreadyExists);
    drop(out);
    let (stream, _other) = stream();
    assert!(ZeroCopy::<_, Vec<u8>>::new(stream).is_err());
}

#[test]
fn the_flag_on_borrowed_data_is_still_refused() {
    let (socket, peer) = udp(Ipv4Addr::LOCALHOST.into());
    let mut out = ZeroCopy::new(socket).unwrap();
    let flag = SendFlags::from_bits_retain(0x0400_0000);
    let refused = MsgHdr::new().data(b"borrowed").flags(flag).send(out.socket()).unwrap_err();
    assert!(matches!(cause(&refused), Some(EncodeError::Flag { flag: "MSG_ZEROCOPY", .. })));
    let failed = out
        .send_with(vec![1; 10], |header| {
            header.flags(flag);
        })
        .unwrap_err();
    assert_eq!(failed.buffer, Some(vec![1; 10]));
    peer.set_nonblocking(true).unwrap();
    assert!(peer.recv(&mut [0; 9]).is_err(), "nothing was sent");
}

#[test]
fn a_send_that_fails_gives_the_buffer_back_and_counts_nothing() {
    let (socket, peer) = udp(Ipv4Addr::LOCALHOST.into());
    let mut out = ZeroCopy::new(socket).unwrap();
    let failed = out.send(vec![7; 70_000]).unwrap_err();
    assert_eq!(failed.error.raw_os_error(), Some(libc::EMSGSIZE));
    assert_eq!((failed.buffer.map(|buffer| buffer.len()), out.pending()), (Some(70_000), 0));
    // The next one has the first number, or it would never come back.
    out.send(vec![8; 500]).unwrap();
    assert_eq!(peer.recv(&mut [0; 600]).unwrap(), 500);
    assert_eq!(collect(&mut out), [vec![8; 500]]);
    let error: io::Error = out.send(vec![7; 70_000]).unwrap_err().into();
    assert_eq!(error.raw_os_error(), Some(libc::EMSGSIZE));
}

/// Bytes that wait in the send queue are in the buffer, and nowhere else.
#[test]
fn a_buffer_stays_while_its_bytes_wait_to_be_sent_and_its_rest_can_follow() {
    let (socket, mut peer) = narrow();
    let data: Vec<u8> = (0..LONG as u32).map(|i| (i / 7) as u8).collect();
    let mut out = ZeroCopy::new(socket).unwrap();
    let first = out.send(data.clone()).unwrap();
    assert!(first < data.len(), "the queue is shorter than that");
    assert_eq!(out.unsent(), data.len() - first);
    let refused = out.send(vec![1]).unwrap_err();
    assert_eq!(cause(&refused.error), Some(EncodeError::Unfinished { unsent: data.len() - first }));

    let mut received = Vec::new();
    let mut chunk = vec![0; 1 << 16];
    let mut tries = 0..100_000;
    while out.unsent() > 0 {
        assert!(tries.next().is_some(), "{out:?}");
        assert_eq!(out.complete(|_, _| panic!("it is still needed")).unwrap(), 0);
        match out.resume() {
            Ok(_) => {}
            Err(error) if is_full(&error) => {
                if received.len() < data.len() - out.unsent() {
                    let len = peer.read(&mut chunk).unwrap();
                    received.extend_from_slice(&chunk[..len]);
                } else {
                    out.wait(Duration::from_millis(1), |_, _| panic!("it is still needed")).unwrap();
                }
            }
            Err(error) => panic!("{error}"),
        }
    }
    assert_eq!(out.resume().unwrap(), 0);
    assert_eq!(out.pending(), 1);
    while received.len() < data.len() {
        let len = peer.read(&mut chunk).unwrap();
        received.extend_from_slice(&chunk[..len]);
    }
    let back = collect(&mut out);
    assert!(received == data && back == [data]);
}

#[test]
fn a_rest_that_is_given_up_comes_back_with_the_part_that_went() {
    let (socket, peer) = narrow();
    let mut out = ZeroCopy::new(socket).unwrap();
    out.send(vec![7; LONG]).unwrap();
    assert!(out.unsent() > 0);
    out.abandon(|_, _| panic!("the kernel has a part of it"));
    assert_eq!((out.unsent(), out.pending()), (0, 1));
    drop(peer); // with unread data: a reset, which ends everything
    assert_eq!(collect(&mut out).len(), 1);
    assert_eq!(out.wait(Duration::ZERO, |_, _| ()).unwrap(), 0);
}

/// Writes over the part of the stack that calls have used.
#[inline(never)]
fn clobber() -> u8 {
    let mut memory = [b'S'; 60_000];
    std::hint::black_box(&mut memory)[7]
}

/// The kernel reads it when the call has long returned.
#[test]
fn what_follows_of_small_pieces_is_the_buffers_own_memory_too() {
    let (socket, mut peer) = narrow();
    peer.set_nonblocking(true).unwrap();
    let mut out: ZeroCopy<_, Vec<Vec<u8>>> = ZeroCopy::new(socket).unwrap();
    let (mut sent, mut arrived, mut rests, mut data) = (0, Vec::new(), 0, vec![0; 70_000]);
    for _ in 0..400 {
        if out.unsent() == 0 {
            match out.send((0..60).map(|_| vec![b'Z'; 250]).collect()) {
                Ok(len) => sent += len,
                Err(refused) => assert!(is_full(&refused.error), "{:?}", refused.error),
            }
        }
        if out.unsent() > 0 {
            match out.resume() {
                Ok(len) => (sent, rests) = (sent + len, rests + usize::from(len > 250)),
                Err(error) => {
                    assert!(is_full(&error), "{error}");
                    let len = peer.read(&mut data).unwrap_or(0);
                    arrived.extend_from_slice(&data[..len]);
                }
            }
            clobber();
        }
        out.complete(|_, _| ()).unwrap();
    }
    peer.set_nonblocking(false).unwrap();
    peer.set_read_timeout(common::TIMEOUT).unwrap();
    while arrived.len() < sent {
        let len = peer.read(&mut data).unwrap();
        arrived.extend_from_slice(&data[..len]);
    }
    assert!(rests > 0, "never more than a piece at once");
    assert_eq!((arrived.len(), arrived.iter().filter(|byte| **byte != b'Z').count()), (sent, 0));
}

#[test]
fn waiting_ends_with_the_time_if_nothing_comes_back() {
    let (socket, _peer) = narrow();
    let mut out = ZeroCopy::new(socket).unwrap();
    out.send(vec![7; LONG]).unwrap();
    assert_eq!(out.wait(Duration::from_millis(20), |_, _| panic!("its rest is not sent")).unwrap(), 0);
}

/// Ended on both sides, it is reported at all times; completions come later, with the data that the peer reads.
#[test]
fn a_connection_that_has_ended_is_waited_for_until_its_buffers_come_back() {
    for _ in 0..20 {
        let (socket, mut peer) = narrow();
        let mut out = ZeroCopy::new(socket).unwrap();
        let len = out.send(vec![7; LONG]).unwrap() as u64;
        out.abandon(|_, _| panic!("the kernel has a part of it"));
        out.socket().shutdown(Shutdown::Write).unwrap();
        peer.shutdown(Shutdown::Write).unwrap();
        assert_eq!(out.wait(Duration::from_millis(3), |_, _| panic!("nobody has read it")).unwrap(), 0);
        let reader = std::thread::spawn(move || io::copy(&mut peer, &mut io::sink()).unwrap());
        assert_eq!(out.wait(WAIT, |_, _| ()).unwrap(), 1);
        assert_eq!(reader.join().unwrap(), len);
    }
}

#[test]
fn other_entries_of_the_queue_are_handed_on() {
    let (nobody, _closed) = closed(Ipv4Addr::LOCALHOST.into());
    let socket = bound(V4);
    socket.enable::<ExtendedError>().unwrap();
    let mut out = ZeroCopy::new(socket).unwrap();
    let to = |header: &mut MsgHdr<'_>| {
        header.to(nobody);
    };
    out.send_with(vec![1; 100], to).unwrap();
    let (mut released, mut errors) = (0, Vec::new());
    let mut control = ControlBuf::<ExtendedError>::new();
    while released == 0 || errors.is_empty() {
        wait_for_entry(out.socket());
        out.drain(&mut [0; 200], &mut control, |event| match event {
            Completion::Released { buffer, .. } => released += buffer.len(),
            Completion::Error(entry) => errors.push((entry.error().meaning(), entry.len())),
            other => panic!("{other:?}"),
        })
        .unwrap();
    }
    assert_eq!((released, errors), (100, vec![(Meaning::PortUnreachable, 100)]));

    assert!(!out.is_copying());
    out.send_with(vec![2; 100], to).unwrap();
    let error = loop {
        wait_for_entry(out.socket());
        if let Err(error) = out.complete(|_, _| ()) {
            break error;
        }
    };
    assert_eq!(cause::<ExtendedError>(&error).unwrap().meaning(), Meaning::PortUnreachable);
    assert_eq!(out.pending(), 0, "the buffer came back all the same");
}

/// Who reads the queue himself takes the completion away; the buffer is kept, not freed.
#[test]
fn a_completion_that_somebody_else_reads_frees_nothing() {
    let (socket, peer) = udp(Ipv4Addr::LOCALHOST.into());
    let mut out = ZeroCopy::new(socket).unwrap();
    let buffer: Arc<[u8]> = vec![1; 100].into();
    out.send(Arc::clone(&buffer)).unwrap();
    peer.recv(&mut [0; 100]).unwrap();
    assert_eq!(numbers(&out), [(0, 0)]);
    assert_eq!((out.complete(|_, _| ()).unwrap(), out.pending()), (0, 1));
    drop(out);
    assert_eq!(Arc::strong_count(&buffer), 2, "leaked rather than freed");
}

/// Whoever could switch it off and on again could have a second counter.
#[test]
fn the_option_cannot_be_set_otherwise() {
    let (socket, _peer) = udp(Ipv4Addr::LOCALHOST.into());
    let out = ZeroCopy::<_, Vec<u8>>::new(socket).unwrap();
    for value in [0, 1] {
        let error = set_option(out.socket(), libc::SOL_SOCKET, 60, value).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
    }
}

/// A pending ICMP error is told, and belongs to an earlier send.
#[test]
fn an_error_that_was_pending_gives_the_buffer_back() {
    let socket = bound(V4);
    let (to, _closed) = closed(Ipv4Addr::LOCALHOST.into());
    socket.connect(to).unwrap();
    let mut out = ZeroCopy::new(socket).unwrap();
    out.send(vec![1; 100]).unwrap();
    wait_for_entry(&out);
    let failed = (0..1000).find_map(|_| out.send(vec![2; 100]).err()).unwrap();
    assert_eq!((failed.error.kind(), failed.buffer), (ErrorKind::ConnectionRefused, Some(vec![2; 100])));
    assert!(!out.is_copying());
}

/// A second call for one send would be a second number.
#[test]
fn an_address_of_another_family_is_the_kernels_error() {
    let mut out = ZeroCopy::new(bound(V4)).unwrap();
    for to in ["[::1]:9", "[::ffff:127.0.0.1]:9"] {
        let to: SocketAddr = to.parse().unwrap();
        let failed = out.send_with(vec![1; 100], |header| {
            header.to(to);
        });
        assert_eq!(failed.unwrap_err().error.raw_os_error(), Some(libc::EAFNOSUPPORT));
        assert!(out.is_copying(), "it may come late");
    }
    assert_eq!(out.pending(), 0);
}

/// `MSG_PROBE` succeeds, sends nothing, and has no number.
#[test]
fn flags_without_a_name_are_refused() {
    let (socket, _peer) = udp(Ipv4Addr::LOCALHOST.into());
    let mut out = ZeroCopy::new(socket).unwrap();
    for bits in [0x10, 0x2000, 1 << 30] {
        let failed = out.send_with(vec![1; 10], |header| {
            header.flags(SendFlags::from_bits_retain(bits));
        });
        let failed = failed.unwrap_err();
        assert_eq!((failed.error.kind(), failed.buffer), (ErrorKind::InvalidInput, Some(vec![1; 10])), "{bits:#x}");
    }
    assert!(!out.is_copying());
}

/// Under repair TCP numbers sends that fail; nothing is known of the numbers then.
#[test]
fn a_connection_under_repair_is_given_up() {
    const TCP_REPAIR: i32 = 19;
    const TCP_REPAIR_QUEUE: i32 = 20;
    const TCP_RECV_QUEUE: i32 = 1;
    let (socket, _peer) = tcp(Ipv4Addr::LOCALHOST.into());
    if let Err(error) = set_option(&socket, libc::IPPROTO_TCP, TCP_REPAIR, 1) {
        let test = "a_connection_under_repair_is_given_up";
        return common::skipped(format_args!("SKIPPED {test}: TCP_REPAIR: {error}"));
    }
    set_option(&socket, libc::IPPROTO_TCP, TCP_REPAIR_QUEUE, TCP_RECV_QUEUE).unwrap();
    let mut out = ZeroCopy::new(socket).unwrap();
    let failed = (0..10_000).find_map(|_| out.send(vec![1; 60_000]).err()).expect("the queue has an end");
    assert_eq!(failed.buffer, None, "{failed}");
    let refused = out.send(vec![2; 10]).unwrap_err();
    assert_eq!((refused.error.kind(), refused.buffer), (ErrorKind::InvalidInput, Some(vec![2; 10])));
}

#[test]
fn the_rest_goes_under_the_flags_of_the_beginning() {
    let (socket, _peer) = tcp(Ipv4Addr::LOCALHOST.into());
    let mut out = ZeroCopy::new(socket).unwrap(); // a blocking one
    let sent = out.send_with(vec![7; 8_000_000], |header| {
        header.flags(SendFlags::DONTWAIT);
    });
    if sent.is_err_and(|error| error.is_full()) {
        return common::skipped("SKIPPED the_rest_goes_under_the_flags_of_the_beginning: RLIMIT_MEMLOCK is too small");
    }
    assert!(out.unsent() > 0);
    let error = (0..10_000).find_map(|_| out.resume().err()).unwrap();
    assert!(error.kind() == ErrorKind::WouldBlock || error.raw_os_error() == Some(libc::ENOBUFS), "{error}");
}
