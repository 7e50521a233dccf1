//! Stamps of what is sent, from the error queue: chosen by the socket or by a message, numbered, with statistics of TCP.

#![cfg(target_os = "linux")]

mod common;

use std::{
    io::{self, Read, Write},
    os::fd::AsFd,
};

use ancillary::{
    ControlVec, EncodeError, MsgFlags, MsgHdr, MsgHdrMut, RawCmsg, RecvControl, RecvFlags, SockAddr, SocketExt,
    cmsg::CmsgId,
    interface,
    message::{
        ScmTimestamping, ScmTimestampingOptStats, ScmTsOptId, SoTimestamping, TcpNla, TimestampingFlags as Flags,
    },
    set_option,
};
use common::{
    TIMEOUT, cause,
    kinds::{let_ping, senders},
    namespace::Namespace,
    pairs::{V4, addrs, errno, send, tcp, udp},
    skipped,
};
use nix::{
    libc,
    poll::{PollFd, PollFlags, PollTimeout, poll},
    sys::socket::{AddressFamily, SockFlag, SockType, socket},
};

/// What `SCM_TSTAMP_*` of include/uapi/linux/errqueue.h says that a stamp is of.
const SND: u32 = 0;
const SCHED: u32 = 1;
const ACK: u32 = 2;

/// The report of one stamp: what it is of, its number, the stamps, the bytes that came with it.
#[derive(Debug)]
struct Report {
    of: u32,
    id: u32,
    stamps: ScmTimestamping,
    level: i32,
    data: Vec<u8>,
}

/// The next report, if there is one.
fn report(socket: &impl AsFd) -> Option<Report> {
    let (mut data, mut control) = ([0; 512], ControlVec::<ScmTimestamping>::with_capacity(1024));
    let mut header = MsgHdrMut::new();
    let message = match header.data(&mut data).flags(RecvFlags::ERRQUEUE).recv(socket, &mut control) {
        Ok(message) => message,
        Err(error) => {
            assert_eq!(error.kind(), io::ErrorKind::WouldBlock);
            return None;
        }
    };
    message.require_complete().unwrap();
    assert!(message.flags().contains(MsgFlags::ERRQUEUE));
    let is_error = |id: CmsgId| {
        const PACKET_TX_TIMESTAMP: i32 = 16;
        let packet = (libc::SOL_PACKET, PACKET_TX_TIMESTAMP);
        let ids = [(libc::SOL_IP, libc::IP_RECVERR), (libc::SOL_IPV6, libc::IPV6_RECVERR), packet];
        ids.contains(&(id.level(), id.ty()))
    };
    let error = message.cmsgs().find(|cmsg| is_error(cmsg.id())).unwrap();
    let (level, error) = (error.id().level(), error.payload());
    let word = |at: usize| u32::from_ne_bytes(error[at..at + 4].try_into().unwrap());
    assert_eq!((word(0) as i32, error[4]), (libc::ENOMSG, libc::SO_EE_ORIGIN_TIMESTAMPING));
    let (of, id, len, stamps) = (word(8), word(12), message.len(), message.extract().unwrap());
    Some(Report { of, id, stamps, level, data: data[..len].to_vec() })
}

/// Waits until a report is there.
fn wait(socket: &impl AsFd) -> PollFlags {
    let mut polled = [PollFd::new(socket.as_fd(), PollFlags::empty())];
    assert_eq!(poll(&mut polled, PollTimeout::try_from(TIMEOUT.unwrap()).unwrap()).unwrap(), 1, "nothing reported");
    polled[0].revents().unwrap()
}

/// What all reports that are there are of, by their numbers.
fn reported(socket: &impl AsFd) -> Vec<(u32, u32)> {
    let mut found = Vec::new();
    while let Some(report) = report(socket) {
        assert!(report.stamps.software.is_some() && report.stamps.hardware.is_none(), "{report:?}");
        found.push((report.id, report.of));
    }
    found.sort_unstable();
    found
}

/// TS08
#[test]
fn a_message_chooses_its_own_stamps() {
    let test = "a_message_chooses_its_own_stamps";
    for addr in addrs(test) {
        let (_receiver, sender) = udp(addr);
        let reporting = Flags::SOFTWARE | Flags::OPT_TSONLY | Flags::OPT_ID;
        SoTimestamping(reporting).set(&sender).unwrap();
        let both = SoTimestamping(Flags::TX_SCHED | Flags::TX_SOFTWARE);
        send(&sender, ()).unwrap(); // 0
        assert_eq!(reported(&sender), []);
        send(&sender, both).unwrap(); // 0: only what is stamped is numbered
        let first = reported(&sender);
        let id = first[0].0;
        assert_eq!(first, [(id, SND), (id, SCHED)], "exactly two");
        send(&sender, ()).unwrap();
        assert_eq!(reported(&sender), [], "it was for one message");
        send(&sender, SoTimestamping(Flags::TX_ACK)).unwrap();
        assert_eq!(reported(&sender), [], "nothing acknowledges a datagram");

        // In place of the socket's own.
        SoTimestamping(reporting | Flags::TX_SCHED).set(&sender).unwrap();
        send(&sender, ()).unwrap();
        assert!(matches!(reported(&sender)[..], [(_, SCHED)]));
        send(&sender, SoTimestamping(Flags::TX_SOFTWARE)).unwrap();
        assert!(matches!(reported(&sender)[..], [(_, SND)]));
        send(&sender, SoTimestamping(Flags::empty())).unwrap();
        assert_eq!(reported(&sender), []);
        send(&sender, both).unwrap();
        assert!(matches!(reported(&sender)[..], [(a, SND), (b, SCHED)] if a == b));
    }
}

/// TS08
#[test]
fn a_message_chooses_its_own_stamps_on_every_kind_of_socket() {
    let test = "a_message_chooses_its_own_stamps_on_every_kind_of_socket";
    let Some(host) = Namespace::new(test) else { return };
    let_ping(&host);
    host.run(|| {
        for sender in senders(test) {
            SoTimestamping(Flags::SOFTWARE | Flags::OPT_TSONLY | Flags::OPT_ID).set(&sender.socket).unwrap();
            let data = sender.data(b"data");
            let send = |flags: Option<Flags>| {
                let control = flags.map(SoTimestamping);
                MsgHdr::new().to(sender.to).data(&data).control(control).send(&sender.socket).unwrap();
                reported(&sender.socket)
            };
            assert_eq!(send(None), [], "{sender:?}");
            assert_eq!(send(Some(Flags::empty())), [], "{sender:?}");
            let found = send(Some(Flags::TX_SCHED | Flags::TX_SOFTWARE));
            assert!(matches!(found[..], [(a, SND), (b, SCHED)] if a == b), "{sender:?} {found:?}");
            assert_eq!(send(None), [], "{sender:?}: it was for one packet");
        }
    });
}

/// TS14
#[test]
fn flags_that_a_message_cannot_choose_are_refused() {
    let (_receiver, sender) = udp(V4);
    let id = CmsgId::new(libc::SOL_SOCKET, libc::SO_TIMESTAMPING);
    let generates = |flag| Flags::TX.contains(flag);
    let mut refused = 0;
    for flag in Flags::all().iter().filter(|flag| flag.bits() < 1 << 19) {
        let kernel = send(&sender, RawCmsg::new(id, &flag.bits().to_ne_bytes()));
        let ours = send(&sender, SoTimestamping(flag));
        if generates(flag) {
            // The last of them is younger than the others.
            match kernel {
                Err(error) if flag == Flags::TX_COMPLETION && error.raw_os_error() == Some(libc::EINVAL) => {
                    skipped(
                        "SKIPPED flags_that_a_message_cannot_choose_are_refused: no SOF_TIMESTAMPING_TX_COMPLETION",
                    );
                }
                kernel => assert_eq!((kernel.unwrap(), ours.unwrap()), (4, 4), "{flag:?}"),
            }
            continue;
        }
        assert_eq!(errno(kernel), libc::EINVAL, "{flag:?}");
        let error: EncodeError = cause(&ours.unwrap_err()).unwrap();
        assert!(
            matches!(error, EncodeError::Value { field: "SO_TIMESTAMPING", found, .. } if found == flag.bits().into())
        );
        refused += 1;
    }
    assert_eq!(refused, 14);
    assert_eq!(errno(send(&sender, RawCmsg::new(id, &[0; 8]))), libc::EINVAL);
}

/// TS09
#[test]
fn reports_say_which_send_they_are_of() {
    let flags = Flags::SOFTWARE | Flags::OPT_ID | Flags::TX_SOFTWARE;
    for (addr, headers) in addrs("reports_say_which_send_they_are_of").iter().zip([14 + 20 + 8, 14 + 40 + 8]) {
        let (_receiver, sender) = udp(addr);
        for (only, data) in [(Flags::empty(), headers + 4), (Flags::OPT_TSONLY, 0)] {
            SoTimestamping(Flags::empty()).set(&sender).unwrap();
            SoTimestamping(flags | only).set(&sender).unwrap();
            for id in 0..3 {
                send(&sender, ()).unwrap();
                let report = report(&sender).unwrap();
                assert_eq!((report.of, report.id, report.data.len()), (SND, id, data), "{addr}");
            }
        }
    }
    // TCP says the last byte.
    let (mut receiver, mut sender) = tcp(V4);
    SoTimestamping(flags | Flags::OPT_TSONLY | Flags::TX_ACK).set(&sender).unwrap();
    for (len, last) in [(10, 9), (5, 14)] {
        sender.write_all(&vec![0; len]).unwrap();
        receiver.read_exact(&mut vec![0; len]).unwrap();
        let mut found = Vec::new();
        while found.len() < 2 {
            assert!(wait(&sender).contains(PollFlags::POLLERR));
            found.extend(reported(&sender));
        }
        found.sort_unstable();
        assert_eq!(found, [(last, SND), (last, ACK)]);
    }
}

/// TS09
#[test]
fn reports_say_which_packet_they_are_of_on_every_kind_of_socket() {
    let test = "reports_say_which_packet_they_are_of_on_every_kind_of_socket";
    let Some(host) = Namespace::new(test) else { return };
    let_ping(&host);
    host.run(|| {
        for only in [Flags::empty(), Flags::OPT_TSONLY] {
            for sender in senders(test) {
                let flags = Flags::SOFTWARE | Flags::OPT_ID | Flags::TX_SOFTWARE | Flags::TX_SCHED | only;
                SoTimestamping(flags).set(&sender.socket).unwrap();
                let data = sender.data(b"the end of it");
                for id in 0..3 {
                    MsgHdr::new().to(sender.to).data(&data).send(&sender.socket).unwrap();
                    let mut found = [(); 2].map(|()| report(&sender.socket).unwrap());
                    found.sort_by_key(|report| report.of);
                    let case = format!("{sender:?} {found:?}");
                    assert_eq!(
                        found.each_ref().map(|report| (report.of, report.id)),
                        [(SND, id), (SCHED, id)],
                        "{case}"
                    );
                    // The packet comes back from the IP header on, or nothing of it.
                    for report in &found {
                        assert_eq!(report.data.ends_with(b"the end of it"), only.is_empty(), "{case}");
                        assert_eq!(report.data.is_empty(), !only.is_empty(), "{case}");
                    }
                    assert!(report(&sender.socket).is_none(), "{case}");
                }
            }
        }
    });
}

/// TS09
#[test]
fn reports_say_which_frame_they_are_of() {
    let test = "reports_say_which_frame_they_are_of";
    let Some(host) = Namespace::new(test) else { return };
    host.run(|| {
        // struct sockaddr_ll: family, protocol (local experimental), interface, length of the address, address
        let mut to = [0; 20];
        to[..2].copy_from_slice(&(libc::AF_PACKET as u16).to_ne_bytes());
        to[2..4].copy_from_slice(&[0x88, 0xb5]);
        to[4..8].copy_from_slice(&interface::index("lo").unwrap().to_ne_bytes());
        to[11] = 6;
        let to = SockAddr::from_bytes(&to).unwrap();
        let header = [&[0; 12][..], &[0x88, 0xb5]].concat();
        for (ty, before) in [(SockType::Raw, &header[..]), (SockType::Datagram, &[])] {
            let frame = [before, b"the end of it"].concat();
            for only in [Flags::empty(), Flags::OPT_TSONLY] {
                let packet = socket(AddressFamily::Packet, ty, SockFlag::SOCK_CLOEXEC, None).unwrap();
                let send = || assert_eq!(MsgHdr::new().to(to).data(&frame).send(&packet).unwrap(), frame.len());
                send();
                assert!(report(&packet).is_none(), "nobody asked for it");
                let flags = Flags::SOFTWARE | Flags::OPT_ID | Flags::TX_SOFTWARE | Flags::TX_SCHED | only;
                SoTimestamping(flags).set(&packet).unwrap();
                for id in 0..3 {
                    send();
                    let mut found = [(); 2].map(|()| report(&packet).unwrap());
                    found.sort_by_key(|report| report.of);
                    assert_eq!(found.each_ref().map(|report| (report.of, report.id)), [(SND, id), (SCHED, id)]);
                    for report in &found {
                        assert_eq!(report.level, libc::SOL_PACKET);
                        assert_eq!(report.data.ends_with(b"the end of it"), only.is_empty(), "{found:?}");
                        assert_eq!(report.data.is_empty(), !only.is_empty(), "{found:?}");
                    }
                    assert!(report(&packet).is_none());
                }
                // For one frame, in place of the socket's own.
                let chosen = SoTimestamping(Flags::TX_SCHED);
                MsgHdr::new().to(to).data(&frame).control(chosen).send(&packet).unwrap();
                assert_eq!(reported(&packet), [(3, SCHED)]);
            }
        }
    });
}

#[test]
fn a_message_chooses_the_number_of_its_stamp() {
    let test = "a_message_chooses_the_number_of_its_stamp";
    for addr in addrs(test) {
        let (_receiver, sender) = udp(addr);
        let flags = Flags::SOFTWARE | Flags::OPT_TSONLY | Flags::TX_SOFTWARE;
        SoTimestamping(flags).set(&sender).unwrap();
        assert_eq!(errno(send(&sender, ScmTsOptId(7))), libc::EINVAL, "nothing is numbered");
        SoTimestamping(flags | Flags::OPT_ID).set(&sender).unwrap();
        match send(&sender, ScmTsOptId(0xdead_beef)) {
            Err(error) if error.raw_os_error() == Some(libc::EINVAL) => {
                return skipped(format_args!("SKIPPED {test}: no SCM_TS_OPT_ID"));
            }
            sent => assert_eq!(sent.unwrap(), 4),
        }
        assert_eq!(reported(&sender), [(0xdead_beef, SND)]);
        send(&sender, ()).unwrap();
        assert_eq!(reported(&sender), [(0, SND)], "the socket's own count");
    }
    let (_receiver, sender) = tcp(V4);
    SoTimestamping(Flags::SOFTWARE | Flags::OPT_TSONLY | Flags::TX_SOFTWARE | Flags::OPT_ID).set(&sender).unwrap();
    assert_eq!(errno(send(&sender, ScmTsOptId(7))), libc::EINVAL);
}

/// TS12
#[test]
fn a_waiting_report_is_an_error_to_poll() {
    const SO_SELECT_ERR_QUEUE: i32 = 45;
    let (_receiver, sender) = udp(V4);
    SoTimestamping(Flags::SOFTWARE | Flags::OPT_TSONLY).set(&sender).unwrap();
    send(&sender, SoTimestamping(Flags::TX_SOFTWARE)).unwrap();
    assert_eq!(wait(&sender), PollFlags::POLLERR);
    set_option(&sender, libc::SOL_SOCKET, SO_SELECT_ERR_QUEUE, 1).unwrap();
    let mut polled = [PollFd::new(sender.as_fd(), PollFlags::POLLPRI)];
    assert_eq!(poll(&mut polled, PollTimeout::ZERO).unwrap(), 1);
    assert_eq!(polled[0].revents(), Some(PollFlags::POLLERR | PollFlags::POLLPRI));
    assert_eq!(reported(&sender).len(), 1);
    let mut polled = [PollFd::new(sender.as_fd(), PollFlags::POLLPRI)];
    assert_eq!(poll(&mut polled, PollTimeout::ZERO).unwrap(), 0);
}

#[test]
fn tcp_reports_what_it_knows_of_the_connection() {
    type Stats<'a> = (ScmTimestamping, ScmTimestampingOptStats<'a>);
    let (mut receiver, sender) = tcp(V4);
    let next = || {
        wait(&sender);
        let (mut data, mut control) = ([0; 1024], ControlVec::<Stats<'_>>::with_capacity(2048));
        let mut header = MsgHdrMut::new();
        let message = header.data(&mut data).flags(RecvFlags::ERRQUEUE).recv(&sender, &mut control).unwrap();
        message.require_complete().unwrap();
        let (stamps, stats) = message.extract();
        assert!(stamps.unwrap().software.is_some());
        let stats = stats.map(|stats| stats.as_bytes().to_vec());
        let len = message.len();
        (data[..len].to_vec(), stats)
    };
    SoTimestamping(Flags::SOFTWARE | Flags::OPT_TSONLY).set(&sender).unwrap();
    send(&sender, SoTimestamping(Flags::TX_ACK)).unwrap();
    receiver.read_exact(&mut [0; 4]).unwrap();
    assert_eq!(next(), (Vec::new(), None), "not enabled yet");

    sender.enable::<ScmTimestampingOptStats<'_>>().unwrap();
    send(&sender, SoTimestamping(Flags::TX_ACK)).unwrap();
    receiver.read_exact(&mut [0; 4]).unwrap();
    let (data, bytes) = next();
    let bytes = bytes.unwrap();
    assert_eq!(data, bytes, "the same bytes are the data");

    // Read again as if they had just arrived.
    let id = CmsgId::new(libc::SOL_SOCKET, libc::SCM_TIMESTAMPING_OPT_STATS);
    let stats = ScmTimestampingOptStats::decode(RawCmsg::new(id, &bytes)).unwrap();
    let found: Vec<_> = stats.stats().collect();
    for expected in [
        TcpNla::BytesSent(8),
        TcpNla::DataSegsOut(2),
        TcpNla::BytesRetrans(0),
        TcpNla::TotalRetrans(0),
        TcpNla::SndqSize(0),
        TcpNla::CaState(0),
        TcpNla::Delivered(3), // the handshake is one
        TcpNla::BytesNotsent(0),
    ] {
        assert!(found.contains(&expected), "{expected:?} in {stats}");
    }
    assert!(found.iter().any(|stat| matches!(stat, TcpNla::SndCwnd(1..))), "{stats}");
    assert!(found.iter().any(|stat| matches!(stat, TcpNla::Srtt(_))), "{stats}");
    if let Some(ttl) = found.iter().find(|stat| matches!(stat, TcpNla::Ttl(_))) {
        assert_eq!(*ttl, TcpNla::Ttl(64));
    }
    let total: usize = stats.attributes().map(|(_, value)| 4 + value.len().next_multiple_of(4)).sum();
    assert_eq!(total, bytes.len(), "nothing is left over");
    assert!(!format!("{stats}").contains("malformed"));
}
