//! Many datagrams in one buffer, both ways: how they are cut, what cannot be cut, and how they arrive merged.

#![cfg(target_os = "linux")]

mod common;

use std::{
    net::{Ipv4Addr, SocketAddr, UdpSocket},
    os::fd::AsFd,
};

use ancillary::{
    ControlBuf, MsgFlags, MsgHdr, RawCmsg, SocketExt,
    cmsg::CmsgId,
    message::{HopLimit, UdpGro, UdpSegment},
    set_option,
};
use common::{
    has_v6,
    namespace::Namespace,
    pairs::{DUAL, V4, V6, bound, errno, udp},
    skipped,
};
use nix::libc;

// include/uapi/linux/udp.h
const UDP_NO_CHECK6_TX: i32 = 101;
const UDP_NO_CHECK6_RX: i32 = 102;
const UDP_SEGMENT: i32 = 103;

/// What one Ethernet packet carries: 1,500 bytes without headers.
const MSS_V4: usize = 1500 - 20 - 8;
const MSS_V6: usize = 1500 - 40 - 8;
/// The longest of UDP: 65,535 without headers, which IPv6 does not count.
const MOST_V4: usize = 65_507;
const MOST_V6: usize = 65_527;

/// A receiver, a sender connected to it, and what fits: IPv4, IPv6, and IPv4 between IPv6 sockets.
struct Case {
    receiver: UdpSocket,
    sender: UdpSocket,
    mss: usize,
    most: usize,
}

fn cases(test: &str) -> Vec<Case> {
    let case = |(receiver, sender), mss, most| Case { receiver, sender, mss, most };
    let mut cases = vec![case(udp(V4), MSS_V4, MOST_V4)];
    if has_v6(test) {
        cases.push(case(udp(V6), MSS_V6, MOST_V6));
        let (receiver, sender) = (bound(DUAL), bound(DUAL));
        let mapped = Ipv4Addr::LOCALHOST.to_ipv6_mapped();
        sender.connect(SocketAddr::from((mapped, receiver.local_addr().unwrap().port()))).unwrap();
        cases.push(case((receiver, sender), MSS_V4, MOST_V4));
    }
    cases
}

/// Runs `f` for each case where a packet has 1,500 bytes and nothing is fragmented.
fn on_ethernet(test: &str, f: fn(&Case)) {
    let Some(host) = Namespace::new(test) else { return };
    host.ip("link set lo mtu 1500");
    host.run(|| {
        for case in cases(test) {
            set_option(&case.sender, libc::IPPROTO_IP, libc::IP_MTU_DISCOVER, libc::IP_PMTUDISC_DO).unwrap();
            if case.sender.local_addr().unwrap().is_ipv6() {
                let (option, always) = (libc::IPV6_MTU_DISCOVER, libc::IPV6_PMTUDISC_DO);
                set_option(&case.sender, libc::IPPROTO_IPV6, option, always).unwrap();
            }
            f(&case);
        }
    });
}

fn bytes(len: usize) -> Vec<u8> {
    (0..len).map(|i| (i / 7) as u8).collect()
}

fn send(socket: &impl AsFd, data: &[u8], segment: impl Into<Option<u16>>) -> std::io::Result<usize> {
    MsgHdr::new().data(data).control(segment.into().map(UdpSegment)).send(socket)
}

/// Sends these bytes, which must arrive in datagrams of these lengths and no more.
#[track_caller]
fn arrives(case: &Case, data: &[u8], segment: impl Into<Option<u16>>, lens: &[usize]) {
    assert_eq!(lens.iter().sum::<usize>(), data.len());
    assert_eq!(send(&case.sender, data, segment).unwrap(), data.len());
    let (mut room, mut control, mut whole) = (vec![0; 65_536], ControlBuf::<UdpGro>::new(), Vec::new());
    for &len in lens {
        let message = case.receiver.recv_msg(&mut room, &mut control).unwrap();
        message.require_complete().unwrap();
        assert_eq!((message.len(), message.extract()), (len, None), "{} bytes before", whole.len());
        whole.extend_from_slice(message.data());
    }
    assert!(whole == data, "in order");
    // Nothing follows but what is sent next.
    send(&case.sender, b"end", None).unwrap();
    assert_eq!(case.receiver.recv_msg(&mut room, &mut control).unwrap().data(), b"end");
}

/// Datagrams of this length, and one of the rest.
fn cut(len: usize, segment: usize) -> Vec<usize> {
    let mut lens = vec![segment; len / segment];
    lens.extend(Some(len % segment).filter(|&rest| rest > 0));
    lens
}

/// GS01
#[test]
fn data_are_cut_into_datagrams_and_a_rest() {
    for case in cases("data_are_cut_into_datagrams_and_a_rest") {
        arrives(&case, b"thirteen byte", 2, &[2, 2, 2, 2, 2, 2, 1]);
        arrives(&case, b"thirteen byte", None, &[13]);
    }
}

/// GS04
#[test]
fn packets_are_filled_and_what_fits_none_is_refused() {
    on_ethernet("packets_are_filled_and_what_fits_none_is_refused", |case| {
        let &Case { mss, most, .. } = case;
        let segment = mss as u16;
        arrives(case, &bytes(1), None, &[1]);
        arrives(case, &bytes(mss), None, &[mss]);
        assert_eq!(errno(send(&case.sender, &bytes(mss + 1), None)), libc::EMSGSIZE);
        arrives(case, &bytes(mss), segment, &[mss]);
        arrives(case, &bytes(mss + 1), segment, &[mss, 1]);
        arrives(case, &bytes(2 * mss), segment, &[mss, mss]);
        arrives(case, &bytes(2 * mss + 1), segment, &[mss, mss, 1]);
        arrives(case, &bytes(most), segment, &cut(most, mss));
        assert_eq!(errno(send(&case.sender, &bytes(most + 1), segment)), libc::EMSGSIZE);
    });
}

/// GS05
#[test]
fn datagrams_of_one_byte_are_as_many_as_the_kernel_makes() {
    for case in cases("datagrams_of_one_byte_are_as_many_as_the_kernel_makes") {
        arrives(&case, &bytes(1), 1, &[1]);
        arrives(&case, &bytes(2), 1, &[1, 1]);
        arrives(&case, &bytes(5), 2, &[2, 2, 1]);
        let most = most_segments(&case);
        arrives(&case, &bytes(most), 1, &vec![1; most]);
        assert_eq!(errno(send(&case.sender, &bytes(most + 1), 1)), libc::EINVAL);
    }
}

/// 128, or 64 before Linux 6.9.
fn most_segments(case: &Case) -> usize {
    match send(&case.sender, &[0; 128], 1) {
        Ok(_) => {
            for _ in 0..128 {
                assert_eq!(case.receiver.recv(&mut [0; 8]).unwrap(), 1);
            }
            128
        }
        Err(error) => {
            assert_eq!(error.raw_os_error(), Some(libc::EINVAL));
            64
        }
    }
}

/// GS07
#[test]
fn what_is_not_longer_than_a_segment_is_one_datagram() {
    for case in cases("what_is_not_longer_than_a_segment_is_one_datagram") {
        arrives(&case, &bytes(50), 100, &[50]);
        arrives(&case, &bytes(100), 100, &[100]);
        arrives(&case, &[], 100, &[0]);
        // For one send, 0 takes back what the socket would do.
        set_option(&case.sender, libc::SOL_UDP, UDP_SEGMENT, 10).unwrap();
        arrives(&case, &bytes(25), 0, &[25]);
        arrives(&case, &bytes(25), 20, &[20, 5]);
        assert_eq!(send(&case.sender, &bytes(25), None).unwrap(), 25);
        let lens = [(); 3].map(|()| case.receiver.recv(&mut [0; 64]).unwrap());
        assert_eq!(lens, [10, 10, 5]);
    }
}

/// GS09
#[test]
fn a_segment_longer_than_the_path_takes_is_refused() {
    on_ethernet("a_segment_longer_than_the_path_takes_is_refused", |case| {
        let &Case { mss, most, .. } = case;
        let error = errno(send(&case.sender, &bytes(3 * mss), mss as u16 + 1));
        assert!(matches!(error, libc::EMSGSIZE | libc::EINVAL), "{error}: the second on old kernels");
        arrives(case, &bytes(3 * mss), mss as u16, &[mss; 3]);
        assert_eq!(errno(send(&case.sender, &bytes(most + 1), None)), libc::EMSGSIZE);
        assert_eq!(errno(send(&case.sender, &bytes(mss + 1), 0)), libc::EMSGSIZE, "nothing is cut");
    });
}

/// GS11
#[test]
fn borders_of_gathered_buffers_are_no_borders_of_datagrams() {
    for case in cases("borders_of_gathered_buffers_are_no_borders_of_datagrams") {
        let data = bytes(100);
        let mut header = MsgHdr::new();
        header.data(&data[..33]).data(&data[33..66]).data(&data[66..]).control((UdpSegment(10), HopLimit(9)));
        assert_eq!(header.send(&case.sender).unwrap(), 100);
        case.receiver.enable::<HopLimit>().unwrap();
        for piece in data.chunks(10) {
            let (mut room, mut control) = ([0; 64], ControlBuf::<HopLimit>::new());
            let message = case.receiver.recv_msg(&mut room, &mut control).unwrap();
            assert_eq!((message.data(), message.extract()), (piece, Some(HopLimit(9))), "in each");
        }
    }
}

#[test]
fn a_size_has_two_bytes_and_needs_checksums() {
    for case in cases("a_size_has_two_bytes_and_needs_checksums") {
        let id = CmsgId::new(libc::SOL_UDP, UDP_SEGMENT);
        for payload in [&[2u8, 0, 0, 0][..], &[2], &[]] {
            let sent = MsgHdr::new().data(b"four").control(RawCmsg::new(id, payload)).send(&case.sender);
            assert_eq!(errno(sent), libc::EINVAL, "{payload:?}");
        }
        set_option(&case.sender, libc::SOL_SOCKET, libc::SO_NO_CHECK, 1).unwrap();
        if case.mss == MSS_V6 {
            set_option(&case.sender, libc::SOL_UDP, UDP_NO_CHECK6_TX, 1).unwrap();
            set_option(&case.receiver, libc::SOL_UDP, UDP_NO_CHECK6_RX, 1).unwrap();
        }
        assert_eq!(errno(send(&case.sender, b"four", 2)), libc::EINVAL);
        arrives(&case, b"four", None, &[4]);
    }
}

/// Data and message of the next receive, with room for so many bytes, and whether it was cut.
fn merged(receiver: &UdpSocket, room: usize) -> (Vec<u8>, Option<UdpGro>, bool) {
    let (mut room, mut control) = (vec![0; room], ControlBuf::<UdpGro>::new());
    let message = receiver.recv_msg(&mut room, &mut control).unwrap();
    assert!(!message.flags().contains(MsgFlags::CTRUNC));
    (message.data().to_vec(), message.extract(), message.flags().contains(MsgFlags::TRUNC))
}

/// GS02, GS03, GS13
#[test]
fn what_was_cut_arrives_merged_and_says_where() {
    let test = "what_was_cut_arrives_merged_and_says_where";
    for case in cases(test) {
        let most = most_segments(&case);
        case.receiver.enable::<UdpGro>().unwrap();
        for (len, segment) in [(14_720, 1472), (14_720, 500), (128 * most, 128), (25, 10)] {
            let data = bytes(len);
            assert_eq!(send(&case.sender, &data, segment).unwrap(), len);
            let (found, gro, cut) = merged(&case.receiver, 65_536);
            if found.len() == usize::from(segment) {
                return skipped(format_args!("SKIPPED {test}: this kernel's loopback merges nothing"));
            }
            assert!(found == data, "{} of {len} bytes", found.len());
            assert_eq!((gro, cut), (Some(UdpGro(segment.into())), false));
        }
        // What does not fit is gone, and the size is that of before.
        send(&case.sender, &bytes(14_720), 1472).unwrap();
        assert_eq!(merged(&case.receiver, 2000), (bytes(2000), Some(UdpGro(1472)), true));
        case.receiver.disable::<UdpGro>().unwrap();
        arrives(&case, &bytes(25), 10, &[10, 10, 5]);
    }
}

#[test]
fn segments_are_the_datagrams_that_were_sent() {
    let test = "segments_are_the_datagrams_that_were_sent";
    for case in cases(test) {
        case.receiver.enable::<UdpGro>().unwrap();
        for (len, segment, expected) in
            [(25, Some(10), &[10, 10, 5][..]), (20, Some(10), &[10, 10]), (7, None, &[7]), (0, None, &[0])]
        {
            let data = bytes(len);
            send(&case.sender, &data, segment).unwrap();
            let (mut room, mut found) = ([0; 64], Vec::new());
            while found.len() < expected.len() {
                let mut control = ControlBuf::<UdpGro>::new();
                let message = case.receiver.recv_msg(&mut room, &mut control).unwrap();
                found.extend(message.segments().map(<[u8]>::to_vec));
            }
            assert_eq!(found.iter().map(Vec::len).collect::<Vec<_>>(), expected);
            assert_eq!(found.concat(), data);
        }
    }
}

/// GS12
#[test]
fn datagrams_that_were_not_cut_arrive_as_they_are() {
    for case in cases("datagrams_that_were_not_cut_arrive_as_they_are") {
        case.receiver.enable::<UdpGro>().unwrap();
        for len in 1..=10 {
            assert_eq!(send(&case.sender, &bytes(len), None).unwrap(), len);
            assert_eq!(send(&case.sender, &bytes(len), 10).unwrap(), len);
        }
        for len in (1..=10).flat_map(|len| [len, len]) {
            assert_eq!(merged(&case.receiver, 64), (bytes(len), None, false));
        }
    }
}
