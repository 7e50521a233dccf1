//! Nothing is allocated per message: a counting allocator under every way to send, receive and decode.

mod common;

use std::{
    alloc::{GlobalAlloc, Layout, System},
    cell::Cell,
    fs::File,
    io::{ErrorKind, IoSlice, IoSliceMut, Write},
    mem::MaybeUninit,
    net::{IpAddr, SocketAddr, UdpSocket},
    os::{
        fd::AsFd,
        unix::net::{UnixDatagram, UnixStream},
    },
};

use ancillary::{
    ControlBuf, ControlList, ControlVec, MsgHdr, MsgHdrMut, RecvExact, RecvFlags, SocketExt,
    batch::{RecvBatch, SendBatch},
    cmsg,
    message::{Ecn, HopLimit, PktInfo, RecvList, ScmRights, ScmRightsSpace, TrafficClass},
    parser::{self, ControlMessage},
    stream::FdStream,
};
use common::skipped;

struct Counting;

thread_local! {
    // Without a destructor or lazy initialisation, so touching it never allocates.
    static COUNT: Cell<u64> = const { Cell::new(0) };
}

fn note() {
    COUNT.set(COUNT.get() + 1);
}

// SAFETY: every call goes to `System` unchanged.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        note();
        // SAFETY: the caller's promise is the one that `System` asks for.
        unsafe { System.alloc(layout) }
    }
    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        note();
        // SAFETY: as in `alloc`.
        unsafe { System.alloc_zeroed(layout) }
    }
    unsafe fn realloc(&self, at: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        note();
        // SAFETY: as in `alloc`.
        unsafe { System.realloc(at, layout, size) }
    }
    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        // SAFETY: as in `alloc`.
        unsafe { System.dealloc(at, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

const TIMES: u64 = 1000;

/// Allocations in [`TIMES`] calls, the first included.
fn count(mut f: impl FnMut()) -> u64 {
    let before = COUNT.get();
    for _ in 0..TIMES {
        f();
    }
    COUNT.get() - before
}

#[track_caller]
fn none(what: &str, f: impl FnMut()) {
    assert_eq!(count(f), 0, "allocations in {TIMES} times: {what}");
}

// One test, so that it is plain what runs; the counter is this thread's alone.
#[test]
fn nothing_is_allocated_per_message() {
    #[cfg(target_os = "linux")]
    {
        linux::decoding();
        linux::offload();
        linux::error_queue();
        linux::zerocopy();
    }
    assert_eq!(count(|| drop(std::hint::black_box(Vec::<u8>::with_capacity(9)))), TIMES, "the counter counts");
    assert_eq!(count(|| drop(std::hint::black_box(vec![0u8; 9]))), TIMES, "the counter counts zeroed memory");
    bytes_alone();
    udp("127.0.0.1");
    match UdpSocket::bind("[::1]:0") {
        Ok(_) => udp("::1"),
        Err(error) => skipped(format_args!("SKIPPED, no IPv6 here: {error}")),
    }
    unix_datagram();
    unix_stream();
    descriptors();
    stream_of_descriptors();
    batches();
    #[cfg(feature = "tokio")]
    awaited();
    #[cfg(uring)]
    uring();
}

#[cfg(feature = "tokio")]
fn awaited() {
    use ancillary::{
        stream::{FdReader, FdWriter},
        tokio::AsyncSocket,
    };
    use tokio::net::{UnixDatagram, UnixStream};

    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build().unwrap();
    runtime.block_on(async {
        let (a, b) = UnixDatagram::pair().unwrap();
        let (mut data, mut control) = ([0; 16], ControlBuf::<ScmRightsSpace<4>>::new());
        let (mut room, mut batch) = (SendBatch::new(4), RecvBatch::<ScmRightsSpace<4>>::new(4, 16));
        let ((c, d), mut out, mut incoming) = (UnixStream::pair().unwrap(), FdWriter::new(), FdReader::new());
        // What is made once: queues of the stream, and whatever tokio keeps.
        for made in [false, true] {
            let before = COUNT.get();
            for _ in 0..TIMES {
                let mut received = std::pin::pin!(b.recv_msg_async(&mut data, &mut control));
                std::future::poll_fn(|cx| {
                    assert!(received.as_mut().poll(cx).is_pending());
                    std::task::Poll::Ready(())
                })
                .await;
                a.send_fds_async(b"data", &[&a, &b]).await.unwrap();
                let mut message = received.await.unwrap();
                assert_eq!((message.data(), message.take_fds().count()), (&b"data"[..], 2));

                let mut messages = room.begin();
                for data in [b"one", b"two"] {
                    messages.message().data(data).queue().unwrap();
                }
                assert_eq!(messages.send_all_async(&a).await.unwrap(), 2);
                assert_eq!(batch.recv_async(&b).await.unwrap().map(|message| message.len()).sum::<usize>(), 6);

                out.queue(b"message", [&a]).unwrap();
                out.flush_async(&c).await.unwrap();
                assert_eq!(incoming.fill_async(&d).await.unwrap(), 7);
                incoming.consume(7);
                assert!(incoming.pop_fd().is_some());
            }
            assert!(!made || COUNT.get() == before, "{} allocations in {TIMES} times", COUNT.get() - before);
        }
    });
}

#[cfg(uring)]
fn uring() {
    use ancillary::pinned::{RecvMsg, RecvMsgMulti, SendMsg};
    use common::uring::Ring;
    type Meta = (PktInfo, HopLimit);
    let Some(mut ring) = Ring::new("nothing_is_allocated_per_message, io_uring") else { return };
    let (a, b) = (UdpSocket::bind("127.0.0.1:0").unwrap(), UdpSocket::bind("127.0.0.1:0").unwrap());
    b.enable::<Meta>().unwrap();
    let to = b.local_addr().unwrap();
    let (mut out, mut receive) = (SendMsg::new(), RecvMsg::<Meta>::new(64));
    let mut spare = Some([vec![7; 9], vec![8; 9]]);
    let mut round = |receive: &mut dyn FnMut(&mut Ring)| {
        out.set(MsgHdr::new().to(to).data(b"head").control(HopLimit(9)), spare.take().unwrap()).unwrap();
        ring.send(&a, &mut out, 1);
        let done = ring.wait(1);
        assert_eq!(out.complete(done.result, done.flags).unwrap(), 22);
        spare = out.take_buffer();
        receive(&mut ring);
    };
    let mut single = |ring: &mut Ring| {
        ring.recv(&b, &mut receive, 2);
        let message = receive.complete(ring.wait(2).result).unwrap();
        assert_eq!((message.len(), message.extract().1), (22, Some(HopLimit(9))));
    };
    round(&mut single); // lists get their room once
    none("io_uring", || round(&mut single));

    let mut messages = RecvMsgMulti::<Meta>::new(4, 64);
    let mut started = false;
    let mut multi = |ring: &mut Ring| {
        if !started {
            started = ring.register("nothing_is_allocated_per_message, multishot", &mut messages);
            ring.recv_multi(&b, &mut messages, 2);
        }
        let done = ring.wait(2);
        let message = messages.complete(done.result, done.flags).unwrap();
        assert_eq!((message.len(), message.extract().1), (22, Some(HopLimit(9))));
    };
    none("io_uring, multishot", || round(&mut multi));
}

fn bytes_alone() {
    let mut bytes = [0; 256];
    none("encode, parse", || {
        let messages = (HopLimit(9), TrafficClass::new(46, Ecn::Ect0), PktInfo::source([127, 0, 0, 1]));
        let len = cmsg::encode(&messages, &mut bytes).unwrap();
        assert_eq!(parser::parse(&bytes[..len]).count(), 5);
        let (hops, class) = <(HopLimit, TrafficClass)>::extract(parser::cmsgs(&bytes[..len]));
        assert_eq!((hops, class), (Some(HopLimit(9)), Some(TrafficClass(0xba))));
    });
    none("parse garbage", || {
        assert!(matches!(
            parser::parse(&[7; 99]).next(),
            Some(ControlMessage::Malformed(_) | ControlMessage::Unknown(_))
        ));
        assert!(matches!(parser::parse(&[0; 99]).next(), Some(ControlMessage::Malformed(_))));
    });
    none("an error of the builder", || {
        let too_many = [IoSlice::new(b"x"); 65];
        let mut message = MsgHdr::new();
        message.data(b"x").slices(&too_many).control(HopLimit(0));
        assert!(message.with_raw(|_| ()).is_err());
    });
}

fn udp(ip: &str) {
    type Meta = (PktInfo, HopLimit, TrafficClass);
    let ip: IpAddr = ip.parse().unwrap();
    let server = UdpSocket::bind((ip, 0)).unwrap();
    server.enable::<Meta>().unwrap();
    let client = UdpSocket::bind((ip, 0)).unwrap();
    let to: SocketAddr = server.local_addr().unwrap();
    let from = client.local_addr().unwrap();
    let (mut data, mut control) = ([0; 64], ControlBuf::<Meta>::new());
    let mut heap = ControlVec::<Meta>::with_capacity(256);
    let list = ControlList::new((HopLimit(9), TrafficClass(0x20))).unwrap();

    none("send with control, receive, extract", || {
        let mut message = MsgHdr::new();
        message.to(to).data(b"hel").data(b"lo").control(HopLimit(9)).control(PktInfo::source(ip));
        assert_eq!(message.send(&client).unwrap(), 5);
        let message = server.recv_msg(&mut data, &mut control).unwrap();
        let (info, hops, class) = message.extract();
        assert_eq!((message.data(), info.unwrap().addr()), (&b"hello"[..], ip));
        // Not every system delivers all of them.
        #[cfg(target_os = "linux")]
        assert_eq!((hops, class), (Some(HopLimit(9)), Some(TrafficClass(0))));
        let _ = (hops, class);
        assert_eq!(message.peer().unwrap().as_inet(), Some(from));
        assert!(message.require_complete().is_ok());
        assert_eq!(message.get::<PktInfo>().map(|info| info.addr()), Some(ip));
        assert!(message.try_get::<PktInfo>().unwrap().is_some());
    });
    none("reply from the address that was asked", || {
        MsgHdr::new().to(to).data(b"ping").send(&client).unwrap();
        let message = server.recv_msg(&mut data, &mut control).unwrap();
        let source = message.extract().0.and_then(|info| info.reply());
        MsgHdr::new().to(message.peer()).data(message.data()).control(source).send(&server).unwrap();
        let mut reply = ControlBuf::<()>::new();
        assert_eq!(client.recv_msg(&mut [0; 16], &mut reply).unwrap().data(), b"ping");
    });
    none("a control buffer made for each message; the enum", || {
        MsgHdr::new().to(to).data(b"x").control(TrafficClass(0x20)).send(&client).unwrap();
        let mut control = ControlBuf::<Meta>::new();
        let message = server.recv_msg(&mut data, &mut control).unwrap();
        let seen = message
            .messages()
            .filter(|message| !matches!(message, ControlMessage::Unknown(_) | ControlMessage::Malformed(_)));
        assert!(seen.count() >= 1);
    });
    none("a list encoded before, a control buffer on the heap", || {
        MsgHdr::new().to(to).data(b"x").control_from(&list).send(&client).unwrap();
        MsgHdr::new().to(to).data(b"x").control_from(&list).control(PktInfo::source(ip)).send(&client).unwrap();
        for _ in 0..2 {
            let message = server.recv_msg(&mut data, &mut heap).unwrap();
            assert!(message.extract().0.is_some());
        }
    });
    none("scatter and gather, 64 slices", || {
        let slices = [IoSlice::new(b"ab"); 64];
        assert_eq!(MsgHdr::new().to(to).slices(&slices).send(&client).unwrap(), 128);
        let (mut head, mut tail) = ([0; 100], [MaybeUninit::uninit(); 100]);
        let mut header = MsgHdrMut::new();
        let message = header.data(&mut head).uninit(&mut tail).recv(&server, &mut control).unwrap();
        assert_eq!(message.len(), 128);
        assert_eq!(header.filled().map(<[u8]>::len).sum::<usize>(), 128);

        let mut message = MsgHdr::new();
        message.to(to);
        for _ in 0..64 {
            message.data(b"ab");
        }
        assert_eq!(message.send(&client).unwrap(), 128);
        let (mut head, mut tail) = ([0; 100], [0; 100]);
        let mut slices = [IoSliceMut::new(&mut head), IoSliceMut::new(&mut tail)];
        assert_eq!(MsgHdrMut::new().slices(&mut slices).recv(&server, &mut control).unwrap().len(), 128);
    });
    none("truncation", || {
        MsgHdr::new().to(to).data(b"longer").send(&client).unwrap();
        let mut small = ControlBuf::<()>::new();
        let mut cut = [0; 2];
        let mut header = MsgHdrMut::new();
        let message = header.data(&mut cut).flags(RecvFlags::TRUNC).recv(&server, &mut small).unwrap();
        assert_eq!((message.len(), message.require_complete().is_err()), (2, true));
    });
    none("uninitialised memory", || {
        MsgHdr::new().to(to).data(b"x").send(&client).unwrap();
        let mut data = [MaybeUninit::uninit(); 16];
        assert_eq!(server.recv_msg_uninit(&mut data, &mut control).unwrap().data(), b"x");
    });
    server.set_nonblocking(true).unwrap();
    none("WouldBlock", || {
        let error = server.recv_msg(&mut data, &mut control).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::WouldBlock);
    });
}

fn unix_datagram() {
    let (a, b) = UnixDatagram::pair().unwrap();
    let (mut data, mut control) = ([0; 64], ControlBuf::<()>::new());
    none("unix datagram", || {
        MsgHdr::new().data(b"hel").data(b"lo").send(&a).unwrap();
        let message = b.recv_msg(&mut data, &mut control).unwrap();
        assert_eq!((message.data(), message.messages().count()), (&b"hello"[..], 0));
    });
    #[cfg(target_os = "linux")]
    {
        use ancillary::message::Credentials;
        b.enable::<Credentials>().unwrap();
        let mut control = ControlBuf::<Credentials>::new();
        none("credentials", || {
            MsgHdr::new().data(b"x").control(Credentials::own()).send(&a).unwrap();
            assert_eq!(b.recv_msg(&mut data, &mut control).unwrap().extract(), Some(Credentials::own()));
        });
    }
    #[cfg(feature = "bytes")]
    {
        use bytes::{Buf, BytesMut};
        let (a, b) = UnixDatagram::pair().unwrap();
        let mut room = BytesMut::with_capacity(64);
        none("bytes", || {
            MsgHdr::new().buf(&Buf::chain(&b"hel"[..], &b"lo"[..])).send(&a).unwrap();
            room.clear();
            b.recv_msg_buf(&mut room, &mut control).unwrap();
            assert_eq!(&room[..], b"hello");
        });
    }
}

fn unix_stream() {
    let (a, b) = UnixStream::pair().unwrap();
    let mut control = ControlBuf::<ScmRightsSpace<1>>::new();
    let file = File::open("/dev/null").unwrap();
    none("send_all, recv_exact", || {
        let mut frame = [0; 8];
        MsgHdr::new().data(b"fra").control(ScmRights::new([&file])).data(b"me of").send_all(&a).unwrap();
        let message = b.recv_exact(&mut frame, &mut control).unwrap();
        assert_eq!((message.extract().unwrap().count, message.fds().count()), (1, 1));
        assert_eq!(&frame, b"frame of");
    });
    let (a, b) = UnixStream::pair().unwrap();
    b.set_nonblocking(true).unwrap();
    none("RecvExact in two steps", || {
        let mut frame = [0; 6];
        let mut exact = RecvExact::new();
        MsgHdr::new().data(b"fra").send(&a).unwrap();
        assert_eq!(exact.recv(&b, &mut frame, &mut control).unwrap_err().kind(), ErrorKind::WouldBlock);
        MsgHdr::new().data(b"me!").send(&a).unwrap();
        exact.recv(&b, &mut frame, &mut control).unwrap();
        assert_eq!(&frame, b"frame!");
    });
}

fn descriptors() {
    let (a, b) = UnixStream::pair().unwrap();
    let file = File::open("/dev/null").unwrap();
    let mut data = [0; 8];
    let mut control = ControlBuf::<ScmRightsSpace<16>>::new();
    none("send_fds, recv_fds", || {
        a.send_fds(b"x", [&file, &file]).unwrap();
        let message = b.recv_fds::<2>(&mut data).unwrap();
        assert_eq!((message.len(), message.fds().count()), (1, 2));
        assert_eq!(message.into_iter().count(), 2);
    });
    none("take_fds", || {
        let mut message = MsgHdr::new();
        message.data(b"x").control(ScmRights::new([file.as_fd(), a.as_fd()])).control(ScmRights::new([&b]));
        message.send(&a).unwrap();
        let mut message = b.recv_msg(&mut data, &mut control).unwrap();
        assert_eq!(message.fds().count(), 3);
        assert_eq!(message.take_fds().count(), 3);
    });
    none("take_fds_exact", || {
        a.send_fds(b"x", [&file; 3]).unwrap();
        let mut message = b.recv_msg(&mut data, &mut control).unwrap();
        assert!(message.take_fds_exact::<2>().is_err());
        let [_one, _two, _three] = message.take_fds_exact::<3>().unwrap();
    });
    none("descriptors that nobody takes", || {
        a.send_fds(b"x", [&file; 16]).unwrap();
        assert_eq!(b.recv_msg(&mut data, &mut control).unwrap().extract().unwrap().count, 16);
    });
    let list = ControlList::new(ScmRights::new([&file; 8])).unwrap();
    none("a list of descriptors", || {
        MsgHdr::new().data(b"x").control_from(&list).send(&a).unwrap();
        MsgHdr::new().data(b"x").control_from(&list).control(ScmRights::new([&file])).send(&a).unwrap();
        let mut message = b.recv_msg(&mut data, &mut control).unwrap();
        assert_eq!(message.take_fds().count(), 8);
        let message = b.recv_msg(&mut data, &mut control).unwrap();
        assert_eq!(message.fds().count(), 9);
    });
}

fn stream_of_descriptors() {
    let (a, b) = UnixStream::pair().unwrap();
    for socket in [&a, &b] {
        socket.set_nonblocking(true).unwrap();
    }
    let (mut a, mut b) = (FdStream::new(a), FdStream::new(b));
    let file = File::open("/dev/null").unwrap();
    let body = [7; 20_000];
    let mut round = || {
        a.push_fd(&file);
        a.write_all(b"written").unwrap();
        a.queue(b"queued", [file.as_fd(), file.as_fd()]).unwrap();
        a.queue(&body, [file.try_clone().unwrap()]).unwrap();
        Write::flush(&mut a).unwrap();
        let (mut len, mut data) = (0, [0; 100]);
        while len < 20_000 {
            b.fill().unwrap();
            len += b.recv(&mut data).unwrap();
            len += b.take_message(usize::MAX, 0).unwrap().0.len();
        }
        assert_eq!((len, b.pop_fds(3).unwrap().count()), (20_013, 3));
        drop(b.pop_fds_exact::<1>().unwrap());
        assert_eq!(b.fill().unwrap_err().kind(), ErrorKind::WouldBlock);
    };
    round(); // the queues get their room once
    none("a stream of descriptors", round);
}

fn batches() {
    type Meta = (HopLimit, PktInfo);
    let (a, b) = (UdpSocket::bind("127.0.0.1:0").unwrap(), UdpSocket::bind("127.0.0.1:0").unwrap());
    b.enable::<Meta>().unwrap();
    let to = b.local_addr().unwrap();
    let (mut room, mut received) = (SendBatch::new(8), RecvBatch::<Meta>::new(8, 64));
    let mapped: SocketAddr = format!("[::ffff:127.0.0.1]:{}", to.port()).parse().unwrap();
    let (list, slices) = (ControlList::new(HopLimit(9)).unwrap(), [IoSlice::new(b"ab"); 16]);
    none("a batch of datagrams", || {
        let mut batch = room.begin();
        batch.message().to(to).data(b"1").data(b"2").control(HopLimit(9)).queue().unwrap();
        batch.message().to(to).control(HopLimit(9)).control(PktInfo::source([127, 0, 0, 9])).queue().unwrap();
        batch.message().to(to).slices(&slices).control_from(&list).queue().unwrap();
        assert!(batch.message().to(to).control([HopLimit(9); 100]).queue().is_err());
        batch.message().to(mapped).control(HopLimit(9)).queue().unwrap();
        assert_eq!(batch.send_all(&a).unwrap(), 4);
        let mut count = 0;
        while count < 4 {
            for message in received.recv(&b).unwrap() {
                assert_eq!(message.extract().0, Some(HopLimit(9)));
                count += 1;
            }
        }
    });
    let too_long = vec![0; 70_000];
    none("an error in the middle, buffers of the caller", || {
        let mut batch = room.begin();
        for data in [&b"1"[..], &too_long, b"3"] {
            batch.message().to(to).data(data).queue().unwrap();
        }
        assert!(batch.send_all(&a).is_err());
        assert!(batch.skip() && batch.send_all(&a).is_ok());
        let mut count = 0;
        while count < 2 {
            let mut data = [[0; 4]; 4];
            let [one, two, three, four] = data.each_mut().map(|data| IoSliceMut::new(data));
            count += received.recv_into(&b, &mut [one, two, three, four], 2).unwrap().len();
        }
    });
    let (a, b) = UnixDatagram::pair().unwrap();
    b.set_nonblocking(true).unwrap();
    let file = File::open("/dev/null").unwrap();
    none("descriptors in a batch, and nothing there", || {
        let mut batch = room.begin();
        for _ in 0..4 {
            batch.message().data(b"x").control(ScmRights::new([&file, &file])).queue().unwrap();
        }
        assert_eq!(batch.send_all(&a).unwrap(), 4);
        let taken: usize = received.recv(&b).unwrap().map(|mut message| message.take_fds().take(1).count()).sum();
        assert_eq!(taken, 4);
        assert_eq!(received.recv(&b).unwrap_err().kind(), ErrorKind::WouldBlock);
    });
}

#[cfg(target_os = "linux")]
mod linux {
    use ancillary::{
        RawCmsg, ZeroCopy,
        cmsg::CmsgId,
        message::{
            ExtendedError, Ipv6FlowInfo, Ipv6HopOpts, Meaning, OrigDst, ScmTimestamping, SctpSndInfo, SoMark,
            SoRxqOvfl, Timestamp, UdpGro, UdpSegment,
        },
    };

    use super::*;

    /// Every message that the parser knows, of every length up to 64 bytes.
    pub(super) fn decoding() {
        let ids = (0..300).flat_map(|level| (0..256).map(move |ty| CmsgId::new(level, ty)));
        let known: Vec<_> = ids.filter(|id| id.name().is_some()).collect();
        assert!(known.len() > 60);
        let payload = [1; 64];
        none("every message of every length", || {
            let mut read = 0;
            for &id in &known {
                for len in 0..payload.len() {
                    let found = ControlMessage::decode(RawCmsg::new(id, &payload[..len]));
                    read += usize::from(!matches!(found, ControlMessage::Unknown(_) | ControlMessage::Malformed(_)));
                }
            }
            assert!(read > 100, "{read}");
        });
        let (header, mut bytes) = ([0; 8], [0; 512]);
        none("messages of other families", || {
            let options = Ipv6HopOpts::new(&header).unwrap();
            let label = Ipv6FlowInfo::new(0, 9).unwrap();
            let messages = (options, label, SctpSndInfo::default(), SoMark(1), UdpSegment(100));
            let spaces = [8, 4, 16, 4, 2].map(|len| cmsg::space(len).unwrap());
            assert_eq!(cmsg::encode(&messages, &mut bytes).unwrap(), spaces.iter().sum());
        });
    }

    pub(super) fn offload() {
        type Meta = (UdpGro, Timestamp, OrigDst, SoRxqOvfl);
        let (a, b) = (UdpSocket::bind("127.0.0.1:0").unwrap(), UdpSocket::bind("127.0.0.1:0").unwrap());
        b.enable::<Meta>().unwrap();
        let to = b.local_addr().unwrap();
        let (mut data, mut control) = ([0; 1024], ControlBuf::<Meta>::new());
        none("segments sent and merged, stamps, destinations", || {
            MsgHdr::new().to(to).data(&[7; 300]).control(UdpSegment(100)).send(&a).unwrap();
            let mut len = 0;
            while len < 300 {
                let message = b.recv_msg(&mut data, &mut control).unwrap();
                len += message.len();
                let (_, stamp, destination, _) = message.extract();
                assert_eq!((stamp.is_some(), destination), (true, Some(OrigDst(to))));
            }
        });
    }

    pub(super) fn error_queue() {
        let nobody = UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        socket.enable::<(ExtendedError, ScmTimestamping)>().unwrap();
        let (mut data, mut control) = ([0; 64], ControlBuf::<(ExtendedError, ScmTimestamping)>::new());
        none("the error queue", || {
            MsgHdr::new().to(nobody).data(b"anyone?").send(&socket).unwrap();
            let entry = socket.recv_error(&mut data, &mut control).unwrap();
            assert_eq!(entry.error().meaning(), Meaning::PortUnreachable);
        });
    }

    pub(super) fn zerocopy() {
        let peer = UdpSocket::bind("127.0.0.1:0").unwrap();
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        socket.connect(peer.local_addr().unwrap()).unwrap();
        let mut out = ZeroCopy::new(socket).unwrap();
        let (mut spare, mut data) = (Some(vec![7; 1000]), [0; 1000]);
        let mut round = || {
            out.send(spare.take().unwrap()).unwrap();
            assert_eq!(peer.recv(&mut data).unwrap(), 1000);
            while spare.is_none() {
                out.wait(std::time::Duration::from_secs(9), |buffer, _| spare = Some(buffer)).unwrap();
            }
        };
        round(); // the queue of buffers gets its room once
        none("zerocopy", round);
    }
}
