//! Bad input that the library refuses by itself: the typed error and its words, nothing sent, nothing left open.
#![cfg(target_os = "linux")]

mod common;

use std::{
    error::Error,
    fs::File,
    io::{self, ErrorKind, IoSlice, IoSliceMut, Read},
    iter::repeat_n,
    net::UdpSocket,
    os::fd::AsFd,
};

use ancillary::{
    AddrError, ControlBuf, ControlList, ControlOut, ControlVec, EncodeError, FdCountError, MsgHdr, MsgHdrMut, RawCmsg,
    RecvFlags, SendControl, SendFlags, SockAddr, SocketExt, TruncatedError,
    cmsg::{self, CmsgId},
    message::{Credentials, HopLimit, IpTtl, ScmRights},
};
use common::{
    has_descriptors, no_leak, open_count,
    pairs::{KINDS, pair},
    skipped,
};
use nix::{libc, sys::socket::SockType};

const WITH_BORDERS: [SockType; 2] = [SockType::Datagram, SockType::SeqPacket];
/// What a header holds itself.
const CONTROL: usize = 1280;
const TTL_ZERO: EncodeError = EncodeError::Value { field: "IP_TTL", expected: "1..=255", found: 0 };

fn null() -> File {
    File::open("/dev/null").unwrap()
}

fn nothing_arrived(peer: &impl AsFd) {
    let (mut data, mut control) = ([0; 1], ControlBuf::<()>::new());
    let result = MsgHdrMut::new().data(&mut data).flags(RecvFlags::DONTWAIT).recv(peer, &mut control).map(drop);
    assert_eq!(result.unwrap_err().kind(), ErrorKind::WouldBlock);
}

/// Bytes and descriptors of the next message.
fn next(peer: &impl AsFd) -> (Vec<u8>, usize) {
    let (mut data, mut control) = ([0; 2048], ControlBuf::<(), 2048>::new());
    let message = peer.recv_msg(&mut data, &mut control).unwrap();
    message.require_complete().unwrap();
    (message.data().to_vec(), message.fds().count())
}

/// It has this cause, which it repeats in these words, and no errno.
fn says<E: Error + PartialEq + 'static>(error: &io::Error, expected: E, text: &str) {
    assert_eq!(error.get_ref().and_then(|cause| cause.downcast_ref::<E>()), Some(&expected));
    assert_eq!(error.to_string(), text);
    assert_eq!((error.kind(), error.raw_os_error()), (ErrorKind::InvalidInput, None));
}

/// Both kinds of send refuse it, every time, and nothing arrives.
fn refuses_to_send(header: &mut MsgHdr<'_>, from: &impl AsFd, to: &impl AsFd, expected: EncodeError, text: &str) {
    for _ in 0..2 {
        says(&header.send(from).unwrap_err(), expected, text);
        says(&header.send_all(from).unwrap_err(), expected, text);
    }
    assert_eq!(header.sent(), 0);
    nothing_arrived(to);
}

/// The same, where the builder knew already: it tells everybody.
fn refuses(header: &mut MsgHdr<'_>, from: &impl AsFd, to: &impl AsFd, expected: EncodeError, text: &str) {
    refuses_to_send(header, from, to, expected, text);
    assert_eq!(header.with_raw(|_| ()), Err(expected));
    assert!(format!("{header:?}").contains(&format!("error: {text}")), "{header:?}");
}

#[test]
fn more_than_253_descriptors_are_refused() {
    no_leak(|| {
        let null = null();
        for (a, b) in KINDS.map(pair) {
            for found in [254, 1000] {
                let error = EncodeError::Descriptors { found, max: 253 };
                let text = format!("expected at most 253 descriptors in one message, found {found}");
                let rights = ScmRights::new(repeat_n(&null, found));
                refuses(MsgHdr::new().data(b"x").control(&rights), &a, &b, error, &text);
                says(&a.send_fds(b"x", repeat_n(&null, found)).unwrap_err(), error, &text);
                assert_eq!(ControlList::new(&rights).unwrap_err(), error);
                nothing_arrived(&b);
            }
        }
    });
}

#[test]
fn more_than_253_descriptors_over_several_messages_are_refused() {
    if !has_descriptors("more_than_253_descriptors_over_several_messages_are_refused") {
        return;
    }
    no_leak(|| {
        let null = null();
        let (few, many) = (ScmRights::new(repeat_n(&null, 54)), ScmRights::new(repeat_n(&null, 200)));
        let (few_list, many_list) = (ControlList::new(&few).unwrap(), ControlList::new(&many).unwrap());
        let error = EncodeError::Descriptors { found: 254, max: 253 };
        let text = "expected at most 253 descriptors in one message, found 254";
        assert_eq!(ControlList::new((&few, Credentials::own(), &many)).unwrap_err(), error);
        for (a, b) in KINDS.map(pair) {
            refuses(MsgHdr::new().data(b"x").control(&few).control(&many), &a, &b, error, text);
            refuses(MsgHdr::new().data(b"x").control((&many, Credentials::own(), &few)), &a, &b, error, text);
            refuses(MsgHdr::new().data(b"x").control(&few).control_from(&many_list), &a, &b, error, text);
            refuses(MsgHdr::new().data(b"x").control_from(&many_list).control(&few), &a, &b, error, text);
            let mut header = MsgHdr::new();
            header.data(b"x").control_from(&many_list).control_from(&few_list).control(());
            refuses(&mut header, &a, &b, error, text);
            // One less is taken.
            let less = ScmRights::new(repeat_n(&null, 53));
            MsgHdr::new().data(b"x").control_from(&many_list).control(&less).send(&a).unwrap();
            assert_eq!(next(&b), (b"x".to_vec(), 253));
        }
    });
}

/// ER04: as many as fit are taken.
#[test]
fn more_control_data_than_a_header_holds_is_refused() {
    no_leak(|| {
        let (null, own, space) = (null(), Credentials::own(), cmsg::space(12).unwrap());
        let all = vec![own; CONTROL / space + 1];
        let fit = &all[1..];
        let one = ScmRights::new([&null]);
        for (a, b) in KINDS.map(pair) {
            let refused = |header: &mut MsgHdr<'_>, needed: usize| {
                let text = format!("control messages need {needed} bytes, the buffer has {CONTROL}");
                refuses(header, &a, &b, EncodeError::ControlSpace { needed, available: CONTROL }, &text);
            };
            MsgHdr::new().data(b"x").control(fit).send(&a).unwrap();
            assert_eq!(next(&b), (b"x".to_vec(), 0));
            refused(MsgHdr::new().data(b"x").control(&all[..]), all.len() * space);
            refused(MsgHdr::new().data(b"x").control(fit).control(own), all.len() * space);
            // A list may be longer, but not once it has to be copied.
            let list = ControlList::new(&all[..]).unwrap();
            MsgHdr::new().data(b"x").control_from(&list).send(&a).unwrap();
            assert_eq!(next(&b), (b"x".to_vec(), 0));
            refused(MsgHdr::new().data(b"x").control_from(&list).control(()), all.len() * space);
            // Descriptors that join others need room behind them.
            let rest = (CONTROL - cmsg::space(4).unwrap()) / space;
            let more = ScmRights::new(repeat_n(&null, 20));
            let needed = cmsg::space(84).unwrap() + rest * space;
            refused(MsgHdr::new().data(b"x").control(&one).control(&all[..rest]).control(more), needed);
        }
        let available = 16 * 1024;
        let too_many = vec![own; available / space + 1];
        let needed = too_many.len() * space;
        assert_eq!(ControlList::new(&too_many[1..]).unwrap().as_bytes().len(), needed - space);
        assert_eq!(ControlList::new(&too_many[..]).unwrap_err(), EncodeError::ControlSpace { needed, available });
    });
}

#[test]
fn more_slices_than_a_header_holds_are_refused() {
    no_leak(|| {
        let (list, half) = ([IoSlice::new(b"x"); 1000], [IoSlice::new(b"x"); 40]);
        for (a, b) in KINDS.map(pair) {
            let refused = |header: &mut MsgHdr<'_>, needed: usize| {
                let text = format!("message needs {needed} slices, 64 fit");
                refuses(header, &a, &b, EncodeError::Slices { needed, available: 64 }, &text);
            };
            let mut header = MsgHdr::new();
            for _ in 0..64 {
                header.data(b"x");
            }
            assert_eq!(header.send(&a).unwrap(), 64);
            assert_eq!(next(&b).0, [b'x'; 64]);
            refused(header.data(b"x"), 65);
            // What stands behind or before a borrowed list is copied together with it.
            refused(MsgHdr::new().slices(&list).data(b"x"), 1001);
            refused(MsgHdr::new().data(b"x").slices(&list[..64]), 65);
            refused(MsgHdr::new().slices(&half).slices(&half), 80);
            MsgHdr::new().slices(&list).send(&a).unwrap();
            assert_eq!(next(&b).0, [b'x'; 1000]);
            MsgHdr::new().slices(&[]).data(b"y").slices(&half).slices(&[]).send(&a).unwrap();
            assert_eq!(next(&b).0, [&b"y"[..], &[b'x'; 40]].concat());
            for header in [
                MsgHdr::new().slices(&half).slices(&half[..24]),
                MsgHdr::new().slices(&list[..63]).data(b"x"),
                MsgHdr::new().data(b"x").slices(&list[..63]),
            ] {
                assert_eq!(header.send(&a).unwrap(), 64);
                assert_eq!(next(&b).0, [b'x'; 64]);
            }
        }
    });
}

/// IO08: no EMSGSIZE from the kernel, an error that says how many; a stream takes them in two calls
#[test]
fn more_slices_than_the_kernel_takes_are_refused() {
    no_leak(|| {
        let list = [IoSlice::new(b"x"); 1025];
        let (error, text) =
            (EncodeError::Slices { needed: 1025, available: 1024 }, "message needs 1025 slices, 1024 fit");
        for kind in KINDS {
            let (a, mut b) = pair(kind);
            MsgHdr::new().slices(&list[..1024]).send(&a).unwrap();
            assert_eq!(next(&b).0, [b'x'; 1024]);
            if kind == SockType::Stream {
                says(&MsgHdr::new().slices(&list).send(&a).unwrap_err(), error, text);
                nothing_arrived(&b);
                assert_eq!(MsgHdr::new().slices(&list).send_all(&a).unwrap(), 1025);
                b.read_exact(&mut [0; 1025]).unwrap();
                nothing_arrived(&b);
            } else {
                refuses_to_send(MsgHdr::new().slices(&list), &a, &b, error, text);
            }
        }
    });
}

/// ER13 (`iovlen`): refused before the call, so the message is still there
#[test]
fn more_buffers_than_fit_receive_nothing() {
    no_leak(|| {
        let null = null();
        for (a, b) in KINDS.map(pair) {
            a.send_fds(b"stays", [&null]).unwrap();
            let mut control = ControlBuf::<()>::new();
            let mut bytes = [0; 1025];
            let mut header = MsgHdrMut::new();
            for byte in bytes.chunks_mut(1).take(65) {
                header.data(byte);
            }
            let error = header.recv(&b, &mut control).map(drop).unwrap_err();
            says(&error, EncodeError::Slices { needed: 65, available: 64 }, "message needs 65 slices, 64 fit");
            let mut list: Vec<_> = bytes.chunks_mut(1).map(IoSliceMut::new).collect();
            let error = MsgHdrMut::new().slices(&mut list).recv(&b, &mut control).map(drop).unwrap_err();
            let expected = EncodeError::Slices { needed: 1025, available: 1024 };
            says(&error, expected, "message needs 1025 slices, 1024 fit");
            assert_eq!(next(&b), (b"stays".to_vec(), 1));
        }
    });
}

#[test]
fn descriptors_without_data_are_refused_on_a_stream() {
    no_leak(|| {
        let null = null();
        let rights = ScmRights::new([&null, &null]);
        let list = ControlList::new((Credentials::own(), &rights)).unwrap();
        let (none, empty, many) = ([], [IoSlice::new(b""); 3], [IoSlice::new(b""); 1025]);
        let expected = EncodeError::DescriptorsWithoutData { descriptors: 2 };
        let text = "expected at least one byte of data with 2 descriptor(s) on a stream, found none";
        for kind in KINDS {
            let (a, b) = pair(kind);
            let check = |header: &mut MsgHdr<'_>| {
                if kind == SockType::Stream {
                    return refuses_to_send(header, &a, &b, expected, text);
                }
                for all in [false, true] {
                    let sent = if all { header.send_all(&a) } else { header.send(&a) };
                    assert_eq!((sent.unwrap(), next(&b)), (0, (vec![], 2)), "{kind:?}");
                }
            };
            check(MsgHdr::new().control(&rights));
            check(MsgHdr::new().control_from(&list));
            check(MsgHdr::new().control(ScmRights::new([&null])).control(ScmRights::new([&null])));
            check(MsgHdr::new().data(b"").control(&rights));
            check(MsgHdr::new().data(b"").data(b"").data(b"").control(&rights));
            check(MsgHdr::new().slices(&none).control(&rights));
            check(MsgHdr::new().slices(&empty).control(&rights));
            check(MsgHdr::new().slices(&many[..1024]).control(&rights));
            #[cfg(feature = "bytes")]
            check(MsgHdr::new().buf(&bytes::Bytes::new()).control(&rights));
            if kind == SockType::Stream {
                let result = MsgHdr::new().slices(&many).control(&rights).send_all(&a);
                says(&result.unwrap_err(), expected, text);
                nothing_arrived(&b);
            }
            // The error is of that message: with a byte the same header goes out.
            let mut header = MsgHdr::new();
            header.data(b"").control(&rights);
            match header.send(&a) {
                Ok(_) => assert_eq!(next(&b), (vec![], 2)),
                Err(error) => says(&error, expected, text),
            }
            header.data(b"x").send(&a).unwrap();
            assert_eq!(next(&b), (b"x".to_vec(), 2));
        }
        // Any number of empty slices in front of the first byte is passed over.
        let (a, b) = pair(SockType::Stream);
        let mut late = many.to_vec();
        late.push(IoSlice::new(b"x"));
        assert_eq!(MsgHdr::new().slices(&late).control(&rights).send_all(&a).unwrap(), 1);
        assert_eq!(next(&b), (b"x".to_vec(), 2));
    });
}

#[test]
fn a_ttl_of_zero_is_refused() {
    no_leak(|| {
        let (sender, receiver) = (UdpSocket::bind("127.0.0.1:0").unwrap(), UdpSocket::bind("127.0.0.1:0").unwrap());
        let to = receiver.local_addr().unwrap();
        let text = "IP_TTL: expected 1..=255, found 0";
        refuses(MsgHdr::new().to(to).data(b"x").control(IpTtl(0)), &sender, &receiver, TTL_ZERO, text);
        refuses(MsgHdr::new().to(to).control((IpTtl(1), IpTtl(0))), &sender, &receiver, TTL_ZERO, text);
        assert_eq!(ControlList::new(Some(IpTtl(0))).unwrap_err(), TTL_ZERO);
        let error = EncodeError::Value { field: "hop limit", expected: "1..=255", found: 0 };
        let text = "hop limit: expected 1..=255, found 0";
        refuses(MsgHdr::new().to(to).data(b"x").control(HopLimit(0)), &sender, &receiver, error, text);
        // An IPv6 destination makes no difference.
        let v6 = std::net::SocketAddr::from((std::net::Ipv6Addr::LOCALHOST, to.port()));
        refuses(MsgHdr::new().to(v6).data(b"x").control(HopLimit(0)), &sender, &receiver, error, text);
        assert_eq!(ControlList::new([HopLimit(0)]).unwrap_err(), error);
    });
}

/// ER12, ER17: neither numbers nor a `cmsg_len` of one's own can be sent.
#[test]
fn descriptors_as_numbers_are_refused() {
    struct Smuggled;
    impl SendControl<'_> for Smuggled {
        fn encode(&self, out: &mut ControlOut<'_, '_>) -> Result<(), EncodeError> {
            out.push(CmsgId::new(libc::SOL_SOCKET, libc::SCM_RIGHTS), &[0; 4])
        }
    }
    no_leak(|| {
        let (error, null) = (EncodeError::DescriptorNumbers, null());
        let text = "expected borrowed descriptors (ScmRights), found SCM_RIGHTS as plain numbers";
        for (a, b) in KINDS.map(pair) {
            for numbers in [&[][..], &[0, 0, 0, 0], &[0xff; 4], &[0; 3]] {
                let raw = RawCmsg::new(CmsgId::new(libc::SOL_SOCKET, libc::SCM_RIGHTS), numbers);
                refuses(MsgHdr::new().data(b"x").control(raw), &a, &b, error, text);
                assert_eq!(ControlList::new(raw).unwrap_err(), error);
            }
            refuses(MsgHdr::new().data(b"x").control((ScmRights::new([&null]), Smuggled)), &a, &b, error, text);
            // What was received is a view of numbers too.
            a.send_fds(b"x", [&null]).unwrap();
            let (mut data, mut control) = ([0; 1], ControlBuf::<()>::new());
            let message = b.recv_msg(&mut data, &mut control).unwrap();
            refuses(MsgHdr::new().data(b"x").control(message.cmsgs().next()), &a, &b, error, text);
        }
    });
}

#[test]
fn a_payload_longer_than_a_length_can_say_is_refused() {
    let max = i32::MAX as usize - cmsg::len(0).unwrap() - size_of::<usize>();
    if Vec::<u8>::new().try_reserve_exact(max + 1).is_err() {
        return skipped(format_args!(
            "SKIPPED a_payload_longer_than_a_length_can_say_is_refused: no {max} bytes of address space"
        ));
    }
    no_leak(|| {
        let bytes = vec![0; max + 1]; // zero pages, never touched
        let long = |len| RawCmsg::new(CmsgId::new(12345, 1), &bytes[..len]);
        let (a, b) = pair(SockType::Datagram);
        let error = EncodeError::Payload { found: max + 1, max };
        let text = format!("expected a payload of at most {max} bytes, found {}", max + 1);
        refuses(MsgHdr::new().data(b"x").control(long(max + 1)), &a, &b, error, &text);
        let needed = cmsg::space(max).unwrap();
        let error = EncodeError::ControlSpace { needed, available: CONTROL };
        let text = format!("control messages need {needed} bytes, the buffer has 1280");
        refuses(MsgHdr::new().data(b"x").control(long(max)), &a, &b, error, &text);
    });
}

#[test]
fn zero_copy_is_refused_as_an_unknown_bit_too() {
    const MSG_ZEROCOPY: i32 = 0x0400_0000;
    no_leak(|| {
        let error = EncodeError::Flag { flag: "MSG_ZEROCOPY", expected: "buffers owned until completion (ZeroCopy)" };
        let text = "MSG_ZEROCOPY needs buffers owned until completion (ZeroCopy)";
        for (a, b) in KINDS.map(pair) {
            for bits in [MSG_ZEROCOPY, MSG_ZEROCOPY | libc::MSG_DONTWAIT, -1] {
                let flags = SendFlags::from_bits_retain(bits);
                refuses(MsgHdr::new().data(b"x").flags(flags), &a, &b, error, text);
            }
            // A bit that nobody knows goes through.
            MsgHdr::new().data(b"x").flags(SendFlags::from_bits_retain(1 << 28)).send(&a).unwrap();
            assert_eq!(next(&b).0, b"x");
        }
    });
}

/// ER01, ER02: what has the wrong type, a negative size or a read-only buffer does not compile.
#[test]
fn the_first_error_counts_and_stays_and_a_new_header_is_free_of_it() {
    no_leak(|| {
        let null = null();
        let raw = RawCmsg::new(CmsgId::new(libc::SOL_SOCKET, libc::SCM_RIGHTS), &[0; 4]);
        let list = [IoSlice::new(b"x"); 100];
        for (a, b) in KINDS.map(pair) {
            let mut header = MsgHdr::new();
            header.data(b"x").control((ScmRights::new([&null]), IpTtl(0)));
            header.control(raw).slices(&list).flags(SendFlags::from_bits_retain(-1));
            refuses(&mut header, &a, &b, TTL_ZERO, "IP_TTL: expected 1..=255, found 0");
            // What is right does not mend it.
            header.control(IpTtl(1)).data(b"y").flags(SendFlags::DONTWAIT).to(None::<SockAddr>);
            refuses(&mut header, &a, &b, TTL_ZERO, "IP_TTL: expected 1..=255, found 0");

            let mut other = MsgHdr::new();
            other.data(b"x").slices(&list).control(IpTtl(0)).control(raw);
            let slices = EncodeError::Slices { needed: 101, available: 64 };
            refuses(&mut other, &a, &b, slices, "message needs 101 slices, 64 fit");

            header = MsgHdr::new();
            header.data(b"new").control(ScmRights::new([&null]));
            assert_eq!(header.with_raw(|raw| raw.msg_iovlen), Ok(1));
            for all in [false, true] {
                assert_eq!(if all { header.send_all(&a) } else { header.send(&a) }.unwrap(), 3);
                assert_eq!(next(&b), (b"new".to_vec(), 1));
            }
        }
    });
}

/// AD10, AD17, ER11 (a name of one byte)
#[test]
fn what_makes_no_address_is_refused() {
    let refused = |result: Result<SockAddr, AddrError>, expected: AddrError, text: &str| {
        assert_eq!(result, Err(expected));
        says(&expected.into(), expected, text);
    };
    let long = "x".repeat(110);
    for found in [109, 110] {
        let error = AddrError::TooLong { found, max: 108 };
        let text = format!("expected at most 108 bytes of address, found {found}");
        refused(SockAddr::unix(&long[..found]), error, &text);
    }
    let error = AddrError::TooLong { found: 108, max: 107 };
    refused(SockAddr::unix_abstract(&[b'x'; 108]), error, "expected at most 107 bytes of address, found 108");
    let error = AddrError::TooLong { found: 129, max: 128 };
    refused(SockAddr::from_bytes(&[2; 129]), error, "expected at most 128 bytes of address, found 129");
    for found in [0, 1] {
        let error = AddrError::TooShort { found, min: 2 };
        let text = format!("expected at least 2 bytes of address, found {found}");
        refused(SockAddr::from_bytes(&[2; 2][..found]), error, &text);
    }
    for (path, position) in [("\0", 0), ("\0abstract", 0), ("path\0", 4), (&format!("{long}\0"), 110)] {
        let error = AddrError::NulByte { position };
        refused(SockAddr::unix(path), error, &format!("expected a path without NUL, found one at byte {position}"));
    }
}

#[test]
fn another_number_of_descriptors_takes_none() {
    no_leak(|| {
        let null = null();
        for (a, b) in KINDS.map(pair) {
            a.send_fds(b"x", [&null, &null]).unwrap();
            let (mut data, mut control) = ([0; 1], ControlBuf::<()>::new());
            let mut message = b.recv_msg(&mut data, &mut control).unwrap();
            let before = open_count();
            let refused = |error: FdCountError, expected: usize| {
                assert_eq!((error.expected, error.found), (expected, 2));
                let error = io::Error::from(error);
                let cause = error.get_ref().and_then(|cause| cause.downcast_ref::<FdCountError>());
                assert_eq!(cause.map(|cause| (cause.expected, cause.found)), Some((expected, 2)));
                assert_eq!(error.kind(), ErrorKind::InvalidData);
                assert_eq!(error.to_string(), format!("expected {expected} descriptor(s), found 2"));
            };
            refused(message.take_fds_exact::<0>().unwrap_err(), 0);
            refused(message.take_fds_exact::<1>().unwrap_err(), 1);
            refused(message.take_fds_exact::<3>().unwrap_err(), 3);
            refused(message.take_fds_exact::<254>().unwrap_err(), 254);
            assert_eq!(open_count(), before);
            assert!(message.take_fds_exact::<2>().is_ok());
        }
    });
}

#[test]
fn a_cut_message_says_what_was_cut() {
    no_leak(|| {
        let whole = cmsg::space(12).unwrap();
        for (a, b) in WITH_BORDERS.map(pair) {
            b.enable::<Credentials>().unwrap();
            let cut = cmsg::len(4).unwrap();
            for (room, capacity, what) in
                [(5, whole, ""), (2, whole, "data"), (5, cut, "control data"), (4, cut, "data and control data")]
            {
                MsgHdr::new().data(b"whole").send(&a).unwrap();
                let (mut data, mut control) = ([0; 5], ControlVec::<Credentials>::with_capacity(capacity));
                let message = b.recv_msg(&mut data[..room], &mut control).unwrap();
                assert_eq!((message.data(), message.control_bytes().len()), (&b"whole"[..room], capacity));
                assert_eq!(message.extract().is_some(), capacity == whole);
                let Err(error) = message.require_complete() else {
                    assert_eq!(what, "");
                    continue;
                };
                let fields = |error: &TruncatedError| (error.data, error.control, error.len, error.control_len);
                assert_eq!(fields(&error), (room < 5, capacity < whole, room, capacity));
                let error = io::Error::from(error);
                let cause = error.get_ref().and_then(|cause| cause.downcast_ref::<TruncatedError>());
                assert_eq!(cause.map(fields), Some((room < 5, capacity < whole, room, capacity)));
                let text = format!(
                    "expected a whole message, found {what} truncated ({room} bytes of data and {capacity} of control \
                     data delivered)"
                );
                assert_eq!((error.to_string(), error.kind()), (text, ErrorKind::InvalidData));
                nothing_arrived(&b);
            }
        }
    });
}

/// FD15
#[test]
fn no_room_at_all_takes_no_descriptor_and_gives_none() {
    no_leak(|| {
        let (null, needed) = (null(), cmsg::space(4).unwrap());
        let rights = ScmRights::new([&null]);
        for available in 0..needed {
            let mut bytes = vec![0xa5; available];
            assert_eq!(cmsg::encode(&rights, &mut bytes), Err(EncodeError::ControlSpace { needed, available }));
            assert!(bytes.iter().all(|&byte| byte == 0xa5));
        }
        assert_eq!(ControlVec::<()>::with_capacity(0).cmsgs().count(), 0);
        assert_eq!(ControlBuf::<(), 0>::new().cmsgs().count(), 0);
        let (a, b) = pair(SockType::Stream);
        a.send_fds(b"x", [&null]).unwrap();
        let (mut data, mut control) = ([0; 1], ControlBuf::<(), 0>::new());
        let mut message = b.recv_msg(&mut data, &mut control).unwrap();
        assert!(message.take_fds().next().is_none());
        assert!(message.require_complete().is_err_and(|error| error.control && error.control_len == 0));
    });
}

/// MC05
#[test]
fn sizes_are_constants() {
    const SPACE: usize = cmsg::space(1).unwrap();
    const LEN: usize = cmsg::len(1).unwrap();
    let mut bytes = [0; SPACE];
    let raw = RawCmsg::new(CmsgId::new(12345, 1), &[7]);
    assert_eq!(cmsg::encode(&raw, &mut bytes), Ok(SPACE));
    assert_eq!((bytes[LEN - 1], LEN < SPACE), (7, true));
}

/// ER18: a length shorter than a header, and bytes behind the last message, cannot be sent: the length is what was
/// written.
#[test]
fn the_control_length_is_that_of_whole_messages() {
    no_leak(|| {
        let null = null();
        let mut header = MsgHdr::new();
        let is = |header: &MsgHdr<'_>, len: usize| header.with_raw(|raw| raw.msg_controllen == len as _).unwrap();
        assert!(is(&header, 0));
        assert!(header.with_raw(|raw| raw.msg_control.is_null()).unwrap());
        header.control(ScmRights::new([&null]));
        assert!(is(&header, cmsg::space(4).unwrap()));
        header.control(IpTtl(1)).control(());
        assert!(is(&header, 2 * cmsg::space(4).unwrap()));
        header.control(ScmRights::new([&null]));
        assert!(is(&header, cmsg::space(8).unwrap() + cmsg::space(4).unwrap()));
    });
}

#[cfg(feature = "bytes")]
mod with_bytes {
    use super::*;
    use bytes::{Buf, Bytes};
    use std::collections::VecDeque;

    /// Shows only its first piece, as the default `chunks_vectored` does.
    struct Pieces(VecDeque<&'static [u8]>);

    impl Buf for Pieces {
        fn remaining(&self) -> usize {
            self.0.iter().map(|piece| piece.len()).sum()
        }
        fn chunk(&self) -> &[u8] {
            self.0.front().unwrap_or(&&b""[..])
        }
        fn advance(&mut self, mut count: usize) {
            while count > 0 {
                let first = self.0.front_mut().unwrap();
                let step = count.min(first.len());
                *first = &first[step..];
                count -= step;
                if first.is_empty() {
                    self.0.pop_front();
                }
            }
        }
    }

    /// Says `holds`, shows `shows`, and counts as it likes.
    struct Liar {
        holds: usize,
        shows: &'static [u8],
        counts: usize,
    }

    impl Buf for Liar {
        fn remaining(&self) -> usize {
            self.holds
        }
        fn chunk(&self) -> &[u8] {
            self.shows
        }
        fn advance(&mut self, _: usize) {}
        fn chunks_vectored<'a>(&'a self, to: &mut [IoSlice<'a>]) -> usize {
            to[0] = IoSlice::new(self.shows);
            self.counts
        }
    }

    /// So many chunks of one byte.
    fn chain(count: usize) -> Box<dyn Buf> {
        let one = |chain: Box<dyn Buf>, _| -> Box<dyn Buf> { Box::new(chain.chain(Bytes::from_static(b"x"))) };
        (0..count).fold(Box::new(Bytes::new()), one)
    }

    fn gather(expected: usize, found: usize) -> (EncodeError, String) {
        let text = format!("expected to gather {expected} bytes, the buffer's chunks gave {found}");
        (EncodeError::Gather { expected, found }, text)
    }

    #[test]
    fn a_datagram_with_a_gap_is_refused() {
        no_leak(|| {
            let (pieces, long) = (Pieces([&b"shown"[..], b"hidden"].into()), chain(65));
            let most = chain(64);
            let (more, less) =
                (Liar { holds: 3, shows: b"12345", counts: 1 }, Liar { holds: 9, shows: b"1", counts: 0 });
            for (a, b) in WITH_BORDERS.map(pair) {
                let refused = |header: &mut MsgHdr<'_>, expected: usize, found: usize| {
                    let (error, text) = gather(expected, found);
                    refuses_to_send(header, &a, &b, error, &text);
                };
                refused(MsgHdr::new().buf(&pieces), 11, 5);
                refused(MsgHdr::new().buf(&long), 65, 64);
                refused(MsgHdr::new().buf(&more), 3, 5);
                refused(MsgHdr::new().buf(&less), 9, 0);
                // The first gap is told, and room that others took is missing.
                refused(MsgHdr::new().data(b"x").buf(&pieces).buf(&more), 11, 5);
                refused(MsgHdr::new().data(b"x").buf(&most), 64, 63);
                MsgHdr::new().buf(&most).send(&a).unwrap();
                assert_eq!(next(&b).0, [b'x'; 64]);
                // A count beyond the room is none of the others' business.
                let count = Liar { holds: 2, shows: b"ab", counts: usize::MAX };
                MsgHdr::new().buf(&count).send(&a).unwrap();
                assert_eq!(next(&b).0, b"ab");
            }
        });
    }

    #[test]
    fn a_stream_takes_what_is_shown_and_the_rest_can_follow() {
        no_leak(|| {
            let (a, b) = pair(SockType::Stream);
            for (mut buf, total, first) in
                [(Box::new(Pieces([&b"shown"[..], b"hidden"].into())) as Box<dyn Buf>, 11, 5), (chain(65), 65, 64)]
            {
                let (error, text) = gather(total, first);
                says(&MsgHdr::new().buf(&buf).send_all(&a).unwrap_err(), error, &text);
                nothing_arrived(&b);
                let sent = MsgHdr::new().buf(&buf).send(&a).unwrap();
                assert_eq!((sent, buf.remaining()), (first, total));
                buf.advance(sent);
                assert_eq!(MsgHdr::new().buf(&buf).send_all(&a).unwrap(), total - first);
                let (text, fds) = next(&b);
                assert_eq!((text.len(), fds, text[first]), (total, 0, if total == 11 { b'h' } else { b'x' }));
            }
        });
    }
}
