//! Gather and scatter over AF_UNIX: windows, lists, uninitialised memory, empty messages, the end.
#![cfg(target_os = "linux")]

mod common;

use std::{
    env, fs,
    io::{ErrorKind, IoSlice, IoSliceMut, Read, Write},
    mem::MaybeUninit,
    os::fd::{AsFd, AsRawFd},
    process::Command,
};

use ancillary::{
    ControlBuf, ControlVec, MsgFlags, MsgHdr, MsgHdrMut, RecvFlags, SendFlags, SocketExt, cmsg,
    message::{Credentials, ScmRights},
};
use common::{
    pairs::{KINDS, V4, pair, udp},
    skipped,
    starting::{Start, gone},
};
use nix::{
    libc,
    sys::{
        signal::{SigSet, Signal},
        socket::{SockType, send},
    },
};

/// TR32
#[test]
fn uninitialised_memory_is_initialised_as_far_as_bytes_arrived() {
    for kind in KINDS {
        for room in [5, 15, 30] {
            let (a, b) = pair(kind);
            let len = room.min(15);
            let (mut control, mut data) = (ControlBuf::<()>::new(), [MaybeUninit::uninit(); 30]);
            MsgHdr::new().data(b"fifteen letters").send(&a).unwrap();
            let message = b.recv_msg_uninit(&mut data[..room], &mut control).unwrap();
            assert_eq!((message.len(), message.data()), (len, &b"fifteen letters"[..len]));

            let (a, b) = pair(kind);
            MsgHdr::new().data(b"fifteen letters").send(&a).unwrap();
            let (mut head, mut tail) = ([MaybeUninit::uninit(); 2], [MaybeUninit::uninit(); 28]);
            let mut header = MsgHdrMut::new();
            header.uninit(&mut head).uninit(&mut tail[..room - 2]).flags(RecvFlags::TRUNC);
            let message = header.recv(&b, &mut control).unwrap();
            let full = if kind == SockType::Stream { len } else { 15 };
            assert_eq!((message.len(), message.full_len()), (len, full), "{kind:?}");
            let filled: Vec<u8> = header.filled().flatten().copied().collect();
            assert_eq!(filled, &b"fifteen letters"[..len]);
        }
    }
}

/// FI06: memcheck sees every byte that is read or handed to the kernel before it was written.
#[test]
fn valgrind_finds_no_use_of_uninitialised_memory() {
    let name = "valgrind_finds_no_use_of_uninitialised_memory";
    let own = env::current_exe().unwrap();
    let mut valgrind = Command::new("valgrind");
    valgrind.args(["-q", "--error-exitcode=9"]).arg(own).args(["--test-threads=1", "--skip", name]);
    let output = match valgrind.finish() {
        Ok(output) => output,
        Err(error) => return skipped(format_args!("SKIPPED {name}: valgrind: {error}")),
    };
    let errors = String::from_utf8_lossy(&output.stderr);
    // It is for one C library: where it cannot put its own functions in the place of that library's, it runs nothing.
    if errors.contains("a function redirection") || errors.contains("Error relocating") {
        return skipped(format_args!("SKIPPED {name}: {errors}"));
    }
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && text.contains("1 filtered out"), "{text}{errors}");
}

/// IO03
#[test]
fn windows_are_filled_and_nothing_else() {
    for kind in KINDS {
        let (a, b) = pair(kind);
        MsgHdr::new().data(b"0123456789abcdefghijkl").send(&a).unwrap();
        let (mut one, mut two, mut three) = ([b'.'; 4], [b'.'; 10], [b'.'; 14]);
        let mut control = ControlBuf::<()>::new();
        let mut header = MsgHdrMut::new();
        let message = header.data(&mut one).data(&mut two[2..9]).data(&mut three).recv(&b, &mut control).unwrap();
        assert_eq!(message.len(), 22);
        let pieces: Vec<_> = header.filled().map(<[u8]>::to_vec).collect();
        assert_eq!(pieces, [&b"0123"[..], b"456789a", b"bcdefghijkl"]);
        assert_eq!((&one, &two, &three), (b"0123", b"..456789a.", b"bcdefghijkl..."));
    }
}

/// IO01, IO05
#[test]
fn empty_slices_may_stand_anywhere() {
    for kind in KINDS {
        let (a, b) = pair(kind);
        let sent = MsgHdr::new().data(b"abc").data(b"de").data(b"").data(b"fghi").data(b"j").send(&a).unwrap();
        assert_eq!(sent, 10);
        let (mut one, mut two, mut none, mut control) = ([0; 5], [0; 5], [0; 0], ControlBuf::<()>::new());
        let mut header = MsgHdrMut::new();
        let message = header.data(&mut one).data(&mut none).data(&mut two).recv(&b, &mut control).unwrap();
        assert_eq!((message.len(), message.control_bytes().len()), (10, 0));
        assert!(message.require_complete().is_ok());
        assert_eq!((&one, &two), (b"abcde", b"fghij"));
        // First and alone.
        assert_eq!(MsgHdr::new().data(b"").data(b"x").data(b"").send(&a).unwrap(), 1);
        let mut none = [0; 0];
        let mut header = MsgHdrMut::new();
        assert_eq!(header.data(&mut none).data(&mut one).recv(&b, &mut control).unwrap().len(), 1);
    }
}

/// IO02, IO04
#[test]
fn lists_of_slices_are_gathered_and_scattered() {
    for kind in KINDS {
        let (a, b) = pair(kind);
        let bytes: Vec<u8> = (0..200).collect();
        let list: Vec<_> = bytes.chunks(1).map(IoSlice::new).collect();
        assert_eq!(MsgHdr::new().slices(&list).send(&a).unwrap(), 200);
        let mut room = [0; 210];
        let mut list: Vec<_> = room.chunks_mut(2).map(IoSliceMut::new).collect();
        let mut control = ControlBuf::<()>::new();
        let mut header = MsgHdrMut::new();
        assert_eq!(header.slices(&mut list).recv(&b, &mut control).unwrap().len(), 200);
        assert_eq!(header.filled().flatten().copied().collect::<Vec<_>>(), bytes);
        // A short list may stand between other buffers.
        let (x, y) = ([IoSlice::new(b"b"), IoSlice::new(b"c")], [IoSlice::new(b"e")]);
        MsgHdr::new().data(b"a").slices(&x).data(b"d").slices(&y).send(&a).unwrap();
        let mut data = [0; 9];
        assert_eq!(b.recv_msg(&mut data, &mut control).unwrap().data(), b"abcde");
    }
}

/// IO10
#[test]
fn an_empty_datagram_is_a_message() {
    for kind in [SockType::Datagram, SockType::SeqPacket] {
        let (a, b) = pair(kind);
        assert_eq!(MsgHdr::new().send(&a).unwrap(), 0);
        assert_eq!(MsgHdr::new().data(b"").send(&a).unwrap(), 0);
        for _ in 0..2 {
            let (mut data, mut control) = ([0; 4], ControlBuf::<()>::new());
            let message = b.recv_msg(&mut data, &mut control).unwrap();
            assert_eq!((message.len(), message.is_eof(), message.data()), (0, false, &b""[..]));
            assert!(message.require_complete().is_ok());
        }
    }
}

/// IO11
#[test]
fn an_empty_buffer_truncates() {
    for kind in [SockType::Datagram, SockType::SeqPacket] {
        let (a, b) = pair(kind);
        for data in [b"x", b"y"] {
            MsgHdr::new().data(data).send(&a).unwrap();
        }
        let mut control = ControlBuf::<()>::new();
        let message = b.recv_msg(&mut [], &mut control).unwrap();
        assert_eq!((message.len(), message.is_eof()), (0, false));
        assert!(message.flags().contains(MsgFlags::TRUNC));
        let message = MsgHdrMut::new().recv(&b, &mut control).unwrap();
        assert_eq!((message.len(), message.flags().contains(MsgFlags::TRUNC)), (0, true));
    }
    let (receiver, sender) = udp(V4);
    sender.send(b"x").unwrap();
    let mut control = ControlBuf::<()>::new();
    let message = receiver.recv_msg(&mut [], &mut control).unwrap();
    assert_eq!((message.len(), message.flags().contains(MsgFlags::TRUNC)), (0, true));

    let (a, b) = pair(SockType::Stream);
    MsgHdr::new().data(b"x").send(&a).unwrap();
    assert!(!b.recv_msg(&mut [], &mut control).unwrap().is_eof());
}

/// IO07, IO12
#[test]
fn no_control_data_and_no_room_for_it_work() {
    for kind in KINDS {
        let (a, b) = pair(kind);
        let mut header = MsgHdr::new();
        header.data(b"x").control(()).control(None::<Credentials>);
        assert_eq!(header.with_raw(|raw| (raw.msg_control.is_null(), raw.msg_controllen == 0)).unwrap(), (true, true));
        assert_eq!(header.send(&a).unwrap(), 1);
        let (mut data, mut control) = ([0; 1], ControlVec::<()>::with_capacity(0));
        let message = b.recv_msg(&mut data, &mut control).unwrap();
        assert_eq!((message.data(), message.control_bytes().len(), message.cmsgs().count()), (&b"x"[..], 0, 0));
        assert!(message.require_complete().is_ok());
    }
}

/// FL04
#[test]
fn a_closed_stream_is_the_end() {
    let (mut a, b) = pair(SockType::Stream);
    a.write_all(b"last").unwrap();
    drop(a);
    let (mut data, mut control) = ([0; 8], ControlBuf::<()>::new());
    let message = b.recv_msg(&mut data, &mut control).unwrap();
    assert_eq!((message.data(), message.is_eof()), (&b"last"[..], false));
    for _ in 0..2 {
        let message = b.recv_msg(&mut data, &mut control).unwrap();
        assert_eq!((message.len(), message.is_eof(), message.cmsgs().count()), (0, true, 0));
        assert!(message.require_complete().is_ok());
    }
}

/// FL12
#[test]
fn out_of_band_data_is_a_byte_of_its_own() {
    let (a, b) = pair(SockType::Stream);
    let (mut data, mut control) = ([0; 8], ControlBuf::<()>::new());
    let mut header = MsgHdrMut::new();
    let error = header.data(&mut data).flags(RecvFlags::OOB).recv(&b, &mut control).unwrap_err();
    assert_eq!(error.raw_os_error(), Some(libc::EINVAL));
    // AF_UNIX has it since Linux 5.15, if configured.
    if let Err(error) = MsgHdr::new().data(b"ab").flags(SendFlags::OOB).send(&a) {
        return skipped(format_args!("SKIPPED out_of_band_data_is_a_byte_of_its_own: {error}"));
    }
    let mut header = MsgHdrMut::new();
    let message = header.data(&mut data).flags(RecvFlags::OOB).recv(&b, &mut control).unwrap();
    assert_eq!((message.len(), message.flags().contains(MsgFlags::OOB)), (1, true));
    assert_eq!(data[0], b'b');

    // An ordinary read passes it over and drops it.
    let (a, b) = pair(SockType::Stream);
    MsgHdr::new().data(b"x").flags(SendFlags::OOB).send(&a).unwrap();
    for (flags, errno) in [(RecvFlags::DONTWAIT, libc::EAGAIN), (RecvFlags::OOB, libc::EINVAL)] {
        let mut header = MsgHdrMut::new();
        let error = header.data(&mut data).flags(flags).recv(&b, &mut control).unwrap_err();
        assert_eq!(error.raw_os_error(), Some(errno));
    }
}

/// The kernel counts the byte though there is no room for it (net/unix/af_unix.c, `unix_stream_recv_urg`).
#[test]
fn out_of_band_data_without_room_is_no_byte() {
    let (a, b) = pair(SockType::Stream);
    if MsgHdr::new().data(b"b").flags(SendFlags::OOB).send(&a).is_err() {
        return;
    }
    let (mut memory, mut control) = ([MaybeUninit::uninit(); 8], ControlBuf::<()>::new());
    let mut header = MsgHdrMut::new();
    header.flags(RecvFlags::OOB);
    assert_eq!(header.recv(&b, &mut control).unwrap().len(), 0);
    assert_eq!(header.uninit(&mut memory).filled().count(), 0);
}

/// ER21
#[test]
fn a_closed_peer_is_an_error_without_a_signal() {
    for (kind, errno) in
        [(SockType::Stream, libc::EPIPE), (SockType::Datagram, libc::ECONNREFUSED), (SockType::SeqPacket, libc::EPIPE)]
    {
        let (a, b) = pair(kind);
        gone(b);
        let error = MsgHdr::new().data(b"x").send(&a).unwrap_err();
        assert_eq!(error.raw_os_error(), Some(errno), "{kind:?}");
    }
    // A blocked signal waits, even one that the process ignores.
    let waits = || {
        let status = fs::read_to_string("/proc/thread-self/status").unwrap();
        let pending = status.lines().find_map(|line| line.strip_prefix("SigPnd:")).unwrap();
        u64::from_str_radix(pending.trim(), 16).unwrap() & 1 << (libc::SIGPIPE - 1) != 0
    };
    let blocked = SigSet::from(Signal::SIGPIPE);
    blocked.thread_block().unwrap();
    for kind in [SockType::Stream, SockType::SeqPacket] {
        let (a, b) = pair(kind);
        gone(b);
        for _ in 0..2 {
            MsgHdr::new().data(b"x").send(&a).unwrap_err();
            MsgHdr::new().data(b"x").send_all(&a).unwrap_err();
            assert!(!waits(), "{kind:?}");
        }
        if kind == SockType::Stream {
            send(a.as_raw_fd(), b"x", nix::sys::socket::MsgFlags::empty()).unwrap_err();
            assert!(waits(), "without the flag");
            assert_eq!(blocked.wait(), Ok(Signal::SIGPIPE));
        }
    }
}

/// FD13
#[test]
fn a_descriptor_rides_on_the_last_packet() {
    let (a, b) = pair(SockType::SeqPacket);
    let (reader, writer) = nix::unistd::pipe().unwrap();
    for text in [&b"one"[..], b"two"] {
        MsgHdr::new().data(text).send(&a).unwrap();
    }
    MsgHdr::new().data(b"three").control(ScmRights::new([writer.as_fd()])).flags(SendFlags::EOR).send(&a).unwrap();
    drop((writer, a));
    let (mut control, mut counts) = (ControlBuf::<()>::new(), Vec::new());
    let mut last = None;
    for _ in 0..3 {
        let mut data = [0; 8];
        let mut message = b.recv_msg(&mut data, &mut control).unwrap();
        assert!(!message.flags().intersects(MsgFlags::TRUNC | MsgFlags::CTRUNC | MsgFlags::EOR | MsgFlags::OOB));
        counts.push((message.len(), message.fds().count()));
        last = message.take_fds().next().or(last);
    }
    assert_eq!(counts, [(3, 0), (3, 0), (5, 1)]);
    fs::File::from(last.unwrap()).write_all(b"after the end").unwrap();
    let mut text = String::new();
    fs::File::from(reader).read_to_string(&mut text).unwrap();
    assert_eq!(text, "after the end");
}

#[test]
fn what_arrived_prints_in_one_line() {
    let (a, b) = pair(SockType::Datagram);
    b.enable::<Credentials>().unwrap();
    MsgHdr::new().data(b"x").send(&a).unwrap();
    let (mut data, mut control) = ([0; 1], ControlBuf::<Credentials>::new());
    let message = b.recv_msg(&mut data, &mut control).unwrap();
    let own = Credentials::own();
    let text = format!("{message:?}");
    assert!(text.contains(&format!("control: [{{SCM_CREDENTIALS {own}}}]")), "{text}");
    assert_eq!(message.control_bytes().len(), cmsg::space(12).unwrap());
}

#[cfg(feature = "bytes")]
mod with_bytes {
    use super::*;
    use bytes::{Buf, BufMut, Bytes, BytesMut};

    #[test]
    fn a_chain_of_buffers_is_one_message() {
        for kind in KINDS {
            let (a, b) = pair(kind);
            let mut head = Bytes::from_static(b"head-tail");
            let tail = head.split_off(5);
            let chain = head.chain(Bytes::new()).chain(tail).chain(&b"!"[..]);
            let sent = MsgHdr::new().data(b"<").buf(&chain).data(b">").send(&a).unwrap();
            assert_eq!((sent, chain.remaining()), (12, 10));
            let (mut data, mut control) = ([0; 32], ControlBuf::<()>::new());
            assert_eq!(b.recv_msg(&mut data, &mut control).unwrap().data(), b"<head-tail!>");
        }
    }

    #[test]
    fn a_growable_buffer_grows_by_what_arrived() {
        for kind in KINDS {
            let (a, b) = pair(kind);
            b.enable::<Credentials>().unwrap();
            let mut buffer = BytesMut::with_capacity(64);
            let mut control = ControlBuf::<Credentials>::new();
            for text in [&b"one "[..], b"two "] {
                MsgHdr::new().data(text).send(&a).unwrap();
                let message = b.recv_msg_buf(&mut buffer, &mut control).unwrap();
                assert_eq!((message.len(), message.extract()), (4, Some(Credentials::own())));
            }
            assert_eq!((&buffer[..], buffer.capacity()), (&b"one two "[..], 64));
        }
    }

    /// TR31
    #[test]
    fn a_full_buffer_truncates_and_a_failed_receive_adds_nothing() {
        let (a, b) = pair(SockType::Datagram);
        MsgHdr::new().data(b"too long").send(&a).unwrap();
        let mut control = ControlBuf::<()>::new();
        let mut buffer = BytesMut::with_capacity(16).limit(3);
        let message = b.recv_msg_buf(&mut buffer, &mut control).unwrap();
        assert_eq!((message.len(), message.flags().contains(MsgFlags::TRUNC)), (3, true));
        let mut buffer = buffer.into_inner();
        assert_eq!(&buffer[..], b"too");
        b.set_nonblocking(true).unwrap();
        assert_eq!(b.recv_msg_buf(&mut buffer, &mut control).unwrap_err().kind(), ErrorKind::WouldBlock);
        assert_eq!(&buffer[..], b"too");
        let mut vec = vec![1, 2];
        vec.reserve(8);
        MsgHdr::new().data(&[3, 4]).send(&a).unwrap();
        b.recv_msg_buf(&mut vec, &mut control).unwrap();
        assert_eq!(vec, [1, 2, 3, 4]);
    }
}
