//! Control messages of AF_PACKET sockets: lengths, VLAN tags, and what every packet has.

#![cfg(target_os = "linux")]

mod common;

use std::os::fd::OwnedFd;

use ancillary::{
    ControlBuf, FamilyError, MsgHdr, SockAddr, SocketExt, interface,
    message::{PacketAuxdata, RecvList, ScmTimestamping, SoMark, TpStatus},
};
use common::{
    TIMEOUT, cause,
    namespace::Namespace,
    pairs::{V4, udp},
};
use nix::{
    libc,
    sys::{
        socket::{AddressFamily, SockFlag, SockProtocol, SockType, setsockopt, socket, sockopt::ReceiveTimeout},
        time::{TimeVal, TimeValLike},
    },
};

const HEADER: usize = 14;
const ETH_P_EXPERIMENT: [u8; 2] = [0x88, 0xb5];

fn packet(ty: SockType) -> OwnedFd {
    let socket = socket(AddressFamily::Packet, ty, SockFlag::SOCK_CLOEXEC, SockProtocol::EthAll).unwrap();
    setsockopt(&socket, ReceiveTimeout, &TimeVal::seconds(TIMEOUT.unwrap().as_secs() as i64)).unwrap();
    socket
}

/// What `struct sockaddr_ll` says of interface and kind of packet.
fn link(peer: &SockAddr) -> (u32, u8) {
    let bytes = peer.as_bytes();
    assert_eq!(bytes.len(), 20);
    (u32::from_ne_bytes(bytes[4..8].try_into().unwrap()), bytes[10])
}

/// The next packet that comes in over this interface and ends like this; data that fit in `room`, and its messages.
fn next<O, L: for<'a> RecvList<Output<'a> = O>>(
    socket: &OwnedFd,
    from: &str,
    end: &[u8],
    room: usize,
) -> (Vec<u8>, usize, O) {
    const PACKET_OUTGOING: u8 = 4;
    let index = interface::index(from).unwrap();
    for _ in 0..1000 {
        let (mut data, mut control) = (vec![0; 2000], ControlBuf::<L>::new());
        let message = socket.recv_msg(&mut data[..room], &mut control).unwrap();
        let (found, kind) = link(message.peer().unwrap());
        let data = message.data();
        if found == index && kind != PACKET_OUTGOING && data.ends_with(end) {
            return (data.to_vec(), message.cmsgs().count(), message.extract());
        }
    }
    panic!("1000 packets, and none of those expected");
}

/// MX04
#[test]
fn a_packet_says_its_lengths() {
    let test = "a_packet_says_its_lengths";
    let Some(host) = Namespace::new(test) else { return };
    host.run(|| {
        let (_receiver, sender) = udp(V4);
        for (ty, link_layer) in [(SockType::Raw, HEADER), (SockType::Datagram, 0)] {
            let socket = packet(ty);
            sender.send(b"before it is enabled").unwrap();
            let (_, count, info) = next::<_, PacketAuxdata>(&socket, "lo", b"enabled", 2000);
            assert_eq!((count, info), (0, None));

            socket.enable::<PacketAuxdata>().unwrap();
            for len in [0, 1, 100, 1000] {
                let mut payload = vec![b'x'; len];
                payload.extend(b"end");
                sender.send(&payload).unwrap();
                let (data, count, info) = next::<_, PacketAuxdata>(&socket, "lo", &payload, 2000);
                let (info, whole) = (info.unwrap(), link_layer + 20 + 8 + payload.len());
                assert_eq!((count, data.len()), (1, whole));
                assert_eq!((info.len, info.snaplen), (whole as u32, whole as u32));
                // The link layer's header is before the data of a datagram socket.
                assert_eq!((info.mac, usize::from(info.net)), (0, link_layer));
                assert!(info.status.contains(TpStatus::USER));
                assert_eq!(info.vlan(), None);
            }
            sender.send(b"cut").unwrap();
            let (data, _, info) = next::<_, PacketAuxdata>(&socket, "lo", b"", 10);
            assert_eq!((data.len(), info.unwrap().snaplen as usize), (10, link_layer + 20 + 8 + 3));

            socket.disable::<PacketAuxdata>().unwrap();
            sender.send(b"no longer").unwrap();
            let (_, count, info) = next::<_, PacketAuxdata>(&socket, "lo", b"longer", 2000);
            assert_eq!((count, info), (0, None));
        }
    });
}

#[test]
fn a_vlan_tag_is_taken_out_of_the_packet_and_told() {
    let test = "a_vlan_tag_is_taken_out_of_the_packet_and_told";
    let Some(host) = Namespace::new(test) else { return };
    if !host.cable(test, "va", &host, "vb", "") {
        return;
    }
    host.run(|| {
        let socket = packet(SockType::Raw);
        socket.enable::<PacketAuxdata>().unwrap();
        let mut to = [0; 20];
        to[..2].copy_from_slice(&(libc::AF_PACKET as u16).to_ne_bytes());
        to[4..8].copy_from_slice(&interface::index("va").unwrap().to_ne_bytes());
        let to = SockAddr::from_bytes(&to).unwrap();
        let addresses = [[0xff; 6], [2, 0, 0, 0, 0, 1]].concat();
        let payload = [&[b'x'; 60][..], b"end of a frame"].concat();

        for (tag, vlan) in [
            (&[][..], None),
            (&[0x81, 0x00, 0x20, 0x07][..], Some((0x2007, 0x8100))),
            (&[0x88, 0xa8, 0x0f, 0xff], Some((0x0fff, 0x88a8))),
            (&[0x81, 0x00, 0x00, 0x00], Some((0, 0x8100))),
        ] {
            let frame = [&addresses[..], tag, &ETH_P_EXPERIMENT, &payload].concat();
            assert_eq!(MsgHdr::new().to(to).data(&frame).send(&socket).unwrap(), frame.len());
            let (data, _, info) = next::<_, PacketAuxdata>(&socket, "vb", &payload, 2000);
            let info = info.unwrap();
            assert_eq!(info.vlan(), vlan, "{info}");
            let untagged = [&addresses[..], &ETH_P_EXPERIMENT, &payload].concat();
            assert_eq!((data.len(), &data), (untagged.len(), &untagged), "without the tag");
            assert_eq!((info.len as usize, usize::from(info.net)), (untagged.len(), HEADER));
            let valid = TpStatus::VLAN_VALID | TpStatus::VLAN_TPID_VALID;
            assert_eq!(info.status & valid, if vlan.is_some() { valid } else { TpStatus::empty() });
        }
    });
}

#[test]
fn a_packet_has_its_mark_and_its_stamp() {
    let test = "a_packet_has_its_mark_and_its_stamp";
    let Some(host) = Namespace::new(test) else { return };
    host.run(|| {
        type Meta = (PacketAuxdata, SoMark, ScmTimestamping);
        let socket = packet(SockType::Raw);
        socket.enable::<Meta>().unwrap();
        let (_receiver, sender) = udp(V4);
        // Stamping is switched on some time after it was asked for.
        for mark in (1..100_000).map(SoMark) {
            MsgHdr::new().data(b"marked").control(mark).send(&sender).unwrap();
            let (_, _, (info, found, stamps)) = next::<_, Meta>(&socket, "lo", b"marked", 2000);
            assert_eq!((info.unwrap().len as usize, found), (HEADER + 28 + 6, Some(mark)));
            if let Some(stamps) = stamps {
                assert!(stamps.software.is_some() && stamps.hardware.is_none(), "{stamps}");
                return;
            }
        }
        panic!("no stamp");
    });
}

#[test]
fn auxiliary_data_is_of_packet_sockets_alone() {
    let (udp, _) = udp(V4);
    let error: FamilyError = cause(&udp.enable::<PacketAuxdata>().unwrap_err()).unwrap();
    assert_eq!((error.expected, error.found), ("AF_PACKET", libc::AF_INET));
}
