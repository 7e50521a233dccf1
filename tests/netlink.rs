//! Control messages of netlink: the group of a multicast, the namespace of its sender.

#![cfg(target_os = "linux")]

mod common;

use std::os::fd::{AsFd, AsRawFd, OwnedFd};

use ancillary::{
    ControlBuf, FamilyError, MsgFlags, MsgHdr, SocketExt,
    message::{NetlinkListenAllNsid, NetlinkPktInfo, RecvList},
    set_option,
};
use common::{
    TIMEOUT, cause,
    namespace::{Namespace, powerless},
    skipped,
};
use nix::{
    libc,
    sys::{
        socket::{
            AddressFamily, NetlinkAddr, SockFlag, SockProtocol, SockType, bind, setsockopt, socket,
            sockopt::ReceiveTimeout,
        },
        time::{TimeVal, TimeValLike},
    },
};

// include/uapi/linux/rtnetlink.h
const RTNLGRP_LINK: u32 = 1;
const RTNLGRP_IPV4_IFADDR: u32 = 5;
const RTM_NEWLINK: u16 = 16;
const RTM_GETLINK: u16 = 18;
const RTM_NEWADDR: u16 = 20;
const RTM_NEWNSID: u16 = 88;

fn netlink() -> OwnedFd {
    let (ty, flags) = (SockType::Raw, SockFlag::SOCK_CLOEXEC);
    let socket = socket(AddressFamily::Netlink, ty, flags, SockProtocol::NetlinkRoute).unwrap();
    let timeout = TimeVal::seconds(TIMEOUT.unwrap().as_secs() as i64);
    setsockopt(&socket, ReceiveTimeout, &timeout).unwrap();
    bind(socket.as_raw_fd(), &NetlinkAddr::new(0, 0)).unwrap();
    socket
}

fn join(socket: &OwnedFd, group: u32) {
    set_option(socket, libc::SOL_NETLINK, libc::NETLINK_ADD_MEMBERSHIP, group as i32).unwrap();
}

/// Type, length and control messages of the next one.
fn next<O, L: for<'a> RecvList<Output<'a> = O>>(socket: &OwnedFd) -> (u16, usize, O) {
    let (mut data, mut control) = (vec![0; 32768], ControlBuf::<L>::new());
    let message = socket.recv_msg(&mut data, &mut control).unwrap();
    message.require_complete().unwrap();
    assert_eq!(message.cmsgs().count(), message.cmsgs().filter(|cmsg| cmsg.id().level() == libc::SOL_NETLINK).count());
    (u16::from_ne_bytes([message.data()[4], message.data()[5]]), message.len(), message.extract())
}

/// A request to the kernel (`struct nlmsghdr` before it).
fn request(ty: u16, flags: u16, body: &[u8]) -> Vec<u8> {
    let len = (16 + body.len()) as u32;
    let mut bytes = [&len.to_ne_bytes()[..], &ty.to_ne_bytes(), &flags.to_ne_bytes(), &[0; 8]].concat();
    bytes.extend(body);
    bytes
}

/// MX05
#[test]
fn an_answer_to_one_socket_has_no_group() {
    const IFINFOMSG: [u8; 16] = [0; 16];
    const NLM_F_REQUEST_DUMP: u16 = 0x301;
    let socket = netlink();
    let ask = || MsgHdr::new().data(&request(RTM_GETLINK, NLM_F_REQUEST_DUMP, &IFINFOMSG)).send(&socket).unwrap();
    let answers = |expected| loop {
        let (ty, _, info) = next::<_, NetlinkPktInfo>(&socket);
        assert_eq!(info, expected);
        if ty != RTM_NEWLINK {
            break assert_eq!(ty, 3, "NLMSG_DONE");
        }
    };
    ask();
    answers(None);
    socket.enable::<NetlinkPktInfo>().unwrap();
    ask();
    answers(Some(NetlinkPktInfo { group: 0 }));
    socket.disable::<NetlinkPktInfo>().unwrap();
    ask();
    answers(None);

    socket.enable::<NetlinkPktInfo>().unwrap();
    ask();
    let (mut data, mut control) = ([0; 16], ControlBuf::<NetlinkPktInfo>::new());
    let message = socket.recv_msg(&mut data, &mut control).unwrap();
    assert!(message.flags().contains(MsgFlags::TRUNC));
    assert_eq!(message.extract(), Some(NetlinkPktInfo { group: 0 }));
    assert_eq!(message.peer().unwrap().as_bytes().len(), 12);
    assert_eq!(message.peer().unwrap().family(), libc::AF_NETLINK);
}

#[test]
fn netlink_messages_are_of_netlink_sockets_alone() {
    let udp = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    for error in [udp.enable::<NetlinkPktInfo>(), udp.enable::<NetlinkListenAllNsid>()] {
        let error: FamilyError = cause(&error.unwrap_err()).unwrap();
        assert_eq!((error.expected, error.found), ("AF_NETLINK", libc::AF_INET));
    }
}

#[test]
fn a_multicast_says_its_group() {
    let test = "a_multicast_says_its_group";
    let Some(host) = Namespace::new(test) else { return };
    let socket = host.run(netlink);
    join(&socket, RTNLGRP_LINK);
    join(&socket, RTNLGRP_IPV4_IFADDR);
    host.ip("link set lo mtu 1400");
    let (ty, _, info) = next::<_, NetlinkPktInfo>(&socket);
    assert_eq!((ty, info), (RTM_NEWLINK, None), "not enabled yet");

    socket.enable::<NetlinkPktInfo>().unwrap();
    host.ip("link set lo mtu 1500");
    host.ip("address add 192.0.2.1/32 dev lo");
    let (ty, _, info) = next::<_, NetlinkPktInfo>(&socket);
    assert_eq!((ty, info), (RTM_NEWLINK, Some(NetlinkPktInfo { group: RTNLGRP_LINK })));
    let (ty, _, info) = next::<_, NetlinkPktInfo>(&socket);
    assert_eq!((ty, info), (RTM_NEWADDR, Some(NetlinkPktInfo { group: RTNLGRP_IPV4_IFADDR })));
}

#[test]
fn a_multicast_from_another_namespace_says_which() {
    let test = "a_multicast_from_another_namespace_says_which";
    let (Some(host), Some(peer)) = (Namespace::new(test), Namespace::new(test)) else { return };
    const NSID: i32 = 42;
    let socket = host.run(netlink);
    // Gives the namespace of the peer a number in this one (NETNSA_NSID, NETNSA_FD).
    let attribute = |ty: u16, value: [u8; 4]| [&8u16.to_ne_bytes()[..], &ty.to_ne_bytes(), &value].concat();
    let body =
        [vec![0; 4], attribute(1, NSID.to_ne_bytes()), attribute(3, peer.as_fd().as_raw_fd().to_ne_bytes())].concat();
    const NLM_F_REQUEST_ACK: u16 = 5;
    MsgHdr::new().data(&request(RTM_NEWNSID, NLM_F_REQUEST_ACK, &body)).send(&socket).unwrap();
    let (mut data, mut control) = ([0; 1024], ControlBuf::<()>::new());
    let answer = socket.recv_msg(&mut data, &mut control).unwrap();
    assert_eq!(answer.data()[16..20], [0; 4], "the error in it: {:?}", answer.data());

    join(&socket, RTNLGRP_LINK);
    peer.ip("link set lo mtu 1401");
    host.ip("link set lo mtu 1402");
    let (_, len, nsid) = next::<_, NetlinkListenAllNsid>(&socket);
    assert_eq!(nsid, None, "its own, and the peer's was not heard");
    assert!(len > 16);

    match socket.enable::<NetlinkListenAllNsid>() {
        Ok(()) => {}
        Err(error) => return skipped(format_args!("SKIPPED {test}: NETLINK_LISTEN_ALL_NSID: {error}")),
    }
    peer.ip("link set lo mtu 1403");
    host.ip("link set lo mtu 1404");
    let (ty, _, nsid) = next::<_, NetlinkListenAllNsid>(&socket);
    assert_eq!((ty, nsid), (RTM_NEWLINK, Some(NetlinkListenAllNsid(NSID))));
    let (ty, _, nsid) = next::<_, NetlinkListenAllNsid>(&socket);
    assert_eq!((ty, nsid), (RTM_NEWLINK, None), "its own");

    socket.enable::<NetlinkPktInfo>().unwrap();
    peer.ip("link set lo mtu 1405");
    let (_, _, both) = next::<_, (NetlinkListenAllNsid, NetlinkPktInfo)>(&socket);
    assert_eq!(both, (Some(NetlinkListenAllNsid(NSID)), Some(NetlinkPktInfo { group: RTNLGRP_LINK })));
}

#[test]
fn listening_to_all_namespaces_needs_a_capability() {
    let error = powerless(|| netlink().enable::<NetlinkListenAllNsid>().unwrap_err());
    assert_eq!(error.raw_os_error(), Some(libc::EPERM));
}
