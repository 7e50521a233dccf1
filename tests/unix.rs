//! AF_UNIX sockets: credentials, timestamps, flags, truncation.
#![cfg(target_os = "linux")]

mod common;

use std::{
    io::{ErrorKind, Read},
    time::{Duration, SystemTime},
};

use ancillary::{
    ControlBuf, ControlVec, MsgFlags, MsgHdr, MsgHdrMut, RawCmsg, RecvFlags, SendFlags, SocketExt, TruncatedError,
    cmsg::CmsgId,
    message::{Credentials, ScmRights, ScmRightsSpace, Timestamp},
    parser::ControlMessage,
};
use common::{
    pairs::{KINDS, datagrams, pair},
    skipped,
};
use nix::{
    libc,
    sys::socket::{SockType, getsockopt, sockopt::PeerCredentials},
};

/// CR01, CR03
#[test]
fn credentials_arrive_whether_sent_or_not() {
    for kind in KINDS {
        let (a, b) = pair(kind);
        b.enable::<Credentials>().unwrap();
        let peer = getsockopt(&b, PeerCredentials).unwrap();
        let own = Credentials { pid: peer.pid(), uid: peer.uid(), gid: peer.gid() };
        assert_eq!(own, Credentials::own());
        for explicit in [Some(own), None] {
            MsgHdr::new().data(b"x").control(explicit).send(&a).unwrap();
            let (mut data, mut control) = ([0; 1], ControlBuf::<Credentials>::new());
            let message = b.recv_msg(&mut data, &mut control).unwrap();
            assert_eq!((message.extract(), message.cmsgs().count()), (Some(own), 1), "{kind:?}");
            assert!(message.require_complete().is_ok());
            assert_eq!(message.messages().next(), Some(ControlMessage::Credentials(own)));
        }
        b.disable::<Credentials>().unwrap();
        MsgHdr::new().data(b"x").send(&a).unwrap();
        let (mut data, mut control) = ([0; 1], ControlBuf::<Credentials>::new());
        assert_eq!(b.recv_msg(&mut data, &mut control).unwrap().extract(), None);
    }
}

/// CR02, TR30
#[test]
fn credentials_come_before_rights_whatever_the_order_sent() {
    for kind in KINDS {
        let (a, b) = pair(kind);
        b.enable::<Credentials>().unwrap();
        let (own, rights) = (Credentials::own(), ScmRights::new([&a]));
        for rights_first in [false, true] {
            let mut header = MsgHdr::new();
            header.data(b"x");
            if rights_first {
                header.control((&rights, own));
            } else {
                header.control((own, &rights));
            }
            header.send(&a).unwrap();
            let mut data = [0; 1];
            let mut control = ControlVec::<(Credentials, ScmRightsSpace<1>)>::with_capacity(1024);
            let mut message = b.recv_msg(&mut data, &mut control).unwrap();
            assert_eq!(message.extract(), (Some(own), Some(ScmRightsSpace { count: 1 })));
            let ids: Vec<_> = message.cmsgs().map(|cmsg| (cmsg.id().level(), cmsg.id().ty())).collect();
            let expected = [libc::SCM_CREDENTIALS, libc::SCM_RIGHTS].map(|ty| (libc::SOL_SOCKET, ty));
            assert_eq!(ids, expected, "{kind:?}, rights first: {rights_first}");
            assert!(message.require_complete().is_ok());
            assert!(message.take_fds_exact::<1>().is_ok());
        }
    }
}

/// CR06
#[test]
fn credentials_that_nobody_wants_are_dropped_silently() {
    for kind in KINDS {
        let (a, b) = pair(kind);
        MsgHdr::new().data(b"x").control(Credentials::own()).send(&a).unwrap();
        let (mut data, mut control) = ([0; 1], ControlBuf::<Credentials>::new());
        let message = b.recv_msg(&mut data, &mut control).unwrap();
        assert_eq!((message.extract(), message.control_bytes().len()), (None, 0));
        assert!(message.require_complete().is_ok());
    }
}

/// CR07
#[test]
fn credentials_of_nobody_are_refused_by_the_kernel() {
    let (a, b) = datagrams();
    let own = Credentials::own();
    for (forged, errno) in
        [(Credentials { pid: i32::MAX, ..own }, libc::ESRCH), (Credentials { uid: u32::MAX, ..own }, libc::EINVAL)]
    {
        let error = MsgHdr::new().data(b"x").control(forged).send(&a).unwrap_err();
        // Who lacks the privilege is told that first.
        assert!([errno, libc::EPERM].contains(&error.raw_os_error().unwrap()), "{error}");
    }
    for len in [0, 8, 16] {
        let raw = RawCmsg::new(CmsgId::new(libc::SOL_SOCKET, libc::SCM_CREDENTIALS), &[0; 16][..len]);
        let error = MsgHdr::new().data(b"x").control(raw).send(&a).unwrap_err();
        assert_eq!(error.raw_os_error(), Some(libc::EINVAL), "{len} bytes");
    }
    let error = MsgHdrMut::new().flags(RecvFlags::DONTWAIT).recv(&b, &mut ControlBuf::<()>::new()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::WouldBlock);
}

/// CR07
#[test]
fn whoever_may_speaks_for_others() {
    let (a, b) = datagrams();
    b.enable::<Credentials>().unwrap();
    let own = Credentials::own();
    for other in [Credentials { uid: 1234, gid: 5678, ..own }, Credentials { pid: 1, ..own }] {
        if let Err(error) = MsgHdr::new().data(b"x").control(other).send(&a) {
            // EINVAL: no such user in this user namespace.
            assert!(matches!(error.raw_os_error(), Some(libc::EPERM | libc::EINVAL)), "{error}");
            return skipped(format_args!("SKIPPED whoever_may_speaks_for_others: {error}"));
        }
        let (mut data, mut control) = ([0; 1], ControlBuf::<Credentials>::new());
        assert_eq!(b.recv_msg(&mut data, &mut control).unwrap().extract(), Some(other));
    }
    for pid in [0, i32::MAX] {
        let error = MsgHdr::new().data(b"x").control(Credentials { pid, ..own }).send(&a).unwrap_err();
        assert_eq!(error.raw_os_error(), Some(libc::ESRCH), "{pid}");
    }
}

#[test]
fn a_stream_read_does_not_mix_what_two_writers_sent() {
    // Messages with descriptors are borders in a stream: one read never passes one that it did not begin with.
    let (a, b) = pair(SockType::Stream);
    MsgHdr::new().data(b"plain").send(&a).unwrap();
    a.send_fds(b"fd", [&a]).unwrap();
    MsgHdr::new().data(b"after").send(&a).unwrap();
    let (mut data, mut control) = ([0; 64], ControlBuf::<()>::new());
    let mut seen = Vec::new();
    while seen.iter().map(|(len, _)| len).sum::<usize>() < 12 {
        let mut message = b.recv_msg(&mut data, &mut control).unwrap();
        seen.push((message.len(), message.take_fds().count()));
    }
    assert_eq!(seen, [(7, 1), (5, 0)]);
}

#[test]
fn a_timestamp_comes_with_datagrams_and_packets() {
    for kind in [SockType::Datagram, SockType::SeqPacket] {
        let (a, b) = pair(kind);
        b.enable::<Timestamp>().unwrap();
        for _ in 0..2 {
            MsgHdr::new().data(b"x").send(&a).unwrap();
            let (mut data, mut control) = ([0; 1], ControlBuf::<Timestamp>::new());
            let message = b.recv_msg(&mut data, &mut control).unwrap();
            let stamp = message.extract().unwrap();
            assert_eq!(message.get::<Timestamp>(), Some(stamp));
            let (now, then) = (SystemTime::now(), stamp.to_system_time().unwrap());
            let apart = now.duration_since(then).unwrap_or_else(|error| error.duration());
            assert!(apart < Duration::from_secs(60), "{stamp}");
            assert!(stamp.subsec_nanos() < 1_000_000_000);
        }
        b.disable::<Timestamp>().unwrap();
        MsgHdr::new().data(b"x").send(&a).unwrap();
        let (mut data, mut control) = ([0; 1], ControlBuf::<Timestamp>::new());
        assert_eq!(b.recv_msg(&mut data, &mut control).unwrap().extract(), None);
    }
}

/// FD51
#[test]
fn an_empty_packet_with_descriptors_is_not_the_end() {
    let (a, b) = pair(SockType::SeqPacket);
    a.send_fds(b"", [&a, &b]).unwrap();
    let (mut data, mut control) = ([0; 4], ControlBuf::<ScmRightsSpace<2>>::new());
    let mut message = b.recv_msg(&mut data, &mut control).unwrap();
    assert_eq!((message.len(), message.is_empty(), message.is_eof()), (0, true, false));
    assert_eq!((message.extract(), message.take_fds().count()), (Some(ScmRightsSpace { count: 2 }), 2));
}

/// FL03
#[test]
fn what_is_peeked_stays() {
    for kind in KINDS {
        let (a, b) = pair(kind);
        b.enable::<Credentials>().unwrap();
        MsgHdr::new().data(b"a message").send(&a).unwrap();
        let mut control = ControlBuf::<Credentials>::new();
        let mut part = [0; 6];
        let mut header = MsgHdrMut::new();
        let message = header.data(&mut part).flags(RecvFlags::PEEK).recv(&b, &mut control).unwrap();
        assert_eq!((message.len(), message.extract()), (6, Some(Credentials::own())));
        assert_eq!(message.flags().contains(MsgFlags::TRUNC), kind != SockType::Stream);
        assert_eq!(&part, b"a mess");
        let mut all = [0; 32];
        let mut header = MsgHdrMut::new();
        assert_eq!(header.data(&mut all).flags(RecvFlags::PEEK).recv(&b, &mut control).unwrap().len(), 9);
        let mut data = [0; 32];
        let message = b.recv_msg(&mut data, &mut control).unwrap();
        assert_eq!((message.data(), message.extract()), (&b"a message"[..], Some(Credentials::own())));
        let mut header = MsgHdrMut::new();
        let error = header.data(&mut all).flags(RecvFlags::DONTWAIT).recv(&b, &mut control).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::WouldBlock);
    }
}

/// FL06, FL07
#[test]
fn dontwait_does_not_wait() {
    for kind in KINDS {
        let (a, b) = pair(kind);
        let mut data = [0; 1];
        let mut header = MsgHdrMut::new();
        let mut control = ControlBuf::<()>::new();
        let error = header.data(&mut data).flags(RecvFlags::DONTWAIT).recv(&b, &mut control).unwrap_err();
        assert_eq!(error.raw_os_error(), Some(libc::EAGAIN));
        let big = vec![0; 4096];
        let mut header = MsgHdr::new();
        header.data(&big).flags(SendFlags::DONTWAIT);
        let (mut sent, error) = (
            0,
            loop {
                match header.send(&a) {
                    Ok(_) => {}
                    Err(error) => break error,
                }
            },
        );
        assert_eq!(error.raw_os_error(), Some(libc::EAGAIN));
        // All of it arrives.
        let mut room = vec![0; 8192];
        while let Ok(message) =
            MsgHdrMut::new().data(&mut room).flags(RecvFlags::DONTWAIT).recv(&b, &mut ControlBuf::<()>::new())
        {
            sent += message.len();
        }
        assert!(sent > 0 && sent % 4096 == 0 && sent < 8 << 20, "{kind:?} {sent}");
    }
}

/// NB01
#[test]
fn a_send_that_waits_too_long_ends_and_what_went_before_arrives() {
    let (a, mut b) = pair(SockType::Stream);
    a.set_write_timeout(Some(Duration::from_millis(30))).unwrap();
    let (data, mut sent) = (vec![b'x'; 65536], 0);
    let error = (0..10_000).find_map(|_| MsgHdr::new().data(&data).send(&a).map(|len| sent += len).err());
    let error = error.expect("the buffers of a socket are not endless");
    assert_eq!((error.kind(), error.raw_os_error()), (ErrorKind::WouldBlock, Some(libc::EAGAIN)));
    drop(a);
    let mut arrived = Vec::new();
    assert_eq!(b.read_to_end(&mut arrived).unwrap(), sent);
    assert!(sent > 0 && arrived.iter().all(|&byte| byte == b'x'));
}

/// NB02, NB09
#[test]
fn a_timeout_is_would_block() {
    for kind in KINDS {
        let (_a, b) = pair(kind);
        b.set_read_timeout(Some(Duration::from_millis(30))).unwrap();
        let error = b.recv_msg(&mut [0; 1], &mut ControlBuf::<()>::new()).unwrap_err();
        assert_eq!((error.kind(), error.raw_os_error()), (ErrorKind::WouldBlock, Some(libc::EAGAIN)));
    }
}

/// FL11
#[test]
fn end_of_record_is_accepted_and_not_delivered() {
    let (a, b) = pair(SockType::SeqPacket);
    MsgHdr::new().data(b"record").flags(SendFlags::EOR).send(&a).unwrap();
    let (mut data, mut control) = ([0; 16], ControlBuf::<()>::new());
    let message = b.recv_msg(&mut data, &mut control).unwrap();
    assert_eq!((message.data(), message.flags().contains(MsgFlags::EOR)), (&b"record"[..], false));
}

/// FL01, FL05
#[test]
fn only_messages_with_borders_are_truncated() {
    for kind in KINDS {
        let (a, b) = pair(kind);
        MsgHdr::new().data(b"message").send(&a).unwrap();
        let (mut data, mut control) = ([0; 4], ControlVec::<()>::with_capacity(1));
        let message = b.recv_msg(&mut data, &mut control).unwrap();
        assert_eq!((message.data(), message.len(), message.full_len()), (&b"mess"[..], 4, 4));
        assert!(!message.flags().contains(MsgFlags::CTRUNC));
        if kind == SockType::Stream {
            assert!(message.require_complete().is_ok());
            let (mut rest, mut control) = ([0; 4], ControlVec::<()>::with_capacity(10240));
            let message = b.recv_msg(&mut rest, &mut control).unwrap();
            assert_eq!((message.data(), message.flags().contains(MsgFlags::TRUNC)), (&b"age"[..], false));
        } else {
            assert!(message.flags().contains(MsgFlags::TRUNC));
            assert!(!message.flags().intersects(MsgFlags::EOR | MsgFlags::OOB | MsgFlags::ERRQUEUE));
            let error = message.require_complete().unwrap_err();
            assert_eq!((error.data, error.control, error.len, error.control_len), (true, false, 4, 0));
        }
    }
}

/// FL02
#[test]
fn control_buffers_of_any_size_stay_empty_where_nothing_comes() {
    for kind in KINDS {
        for size in [1, 10240] {
            let (a, b) = pair(kind);
            MsgHdr::new().data(b"message").send(&a).unwrap();
            let (mut data, mut control) = ([0; 64], ControlVec::<()>::with_capacity(size));
            let message = b.recv_msg(&mut data, &mut control).unwrap();
            assert_eq!((message.data(), message.cmsgs().count()), (&b"message"[..], 0));
            assert!(!message.flags().intersects(MsgFlags::TRUNC | MsgFlags::CTRUNC), "{kind:?} {size}");
        }
    }
}

/// TR29
#[test]
fn a_control_buffer_of_four_bytes_is_an_explicit_error() {
    for kind in KINDS {
        let (a, b) = pair(kind);
        b.enable::<Credentials>().unwrap();
        MsgHdr::new().data(b"x").control((Credentials::own(), ScmRights::new([&a]))).send(&a).unwrap();
        let (mut data, mut control) = ([0; 1], ControlVec::<Credentials>::with_capacity(4));
        let mut message = b.recv_msg(&mut data, &mut control).unwrap();
        let error: TruncatedError = message.require_complete().map(drop).unwrap_err();
        assert_eq!((error.data, error.control, error.len, error.control_len), (false, true, 1, 0));
        assert_eq!((message.extract(), message.fds().count(), message.messages().count()), (None, 0, 0));
        assert_eq!(message.take_fds_exact::<1>().unwrap_err().found, 0);
        assert!(format!("{error}").contains("control data truncated"), "{error}");
    }
}

/// TR31
#[test]
fn the_real_length_is_told_to_who_asks() {
    for kind in [SockType::Datagram, SockType::SeqPacket] {
        for (room, asked, full_len, truncated) in
            [(5, true, 15, true), (30, true, 15, false), (30, false, 15, false), (5, false, 5, true)]
        {
            let (a, b) = pair(kind);
            MsgHdr::new().data(b"fifteen letters").send(&a).unwrap();
            let flags = if asked { RecvFlags::TRUNC } else { RecvFlags::empty() };
            let (mut data, mut control) = (vec![b'.'; 30], ControlBuf::<()>::new());
            let mut header = MsgHdrMut::new();
            let message = header.data(&mut data[..room]).flags(flags).recv(&b, &mut control).unwrap();
            let len = room.min(15);
            assert_eq!((message.len(), message.full_len()), (len, full_len));
            assert_eq!(message.flags().contains(MsgFlags::TRUNC), truncated);
            assert_eq!(message.require_complete().is_err(), truncated);
            assert_eq!(header.filled().map(<[u8]>::len).sum::<usize>(), len);
            assert_eq!(&data[..len], &b"fifteen letters"[..len]);
            assert!(data[len..].iter().all(|&byte| byte == b'.' || asked && byte == 0));
        }
    }
}
