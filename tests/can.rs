//! J1939 over a virtual CAN bus: to whom a message was sent, and how urgent it is.

#![cfg(target_os = "linux")]

mod common;

use std::{
    io,
    mem::offset_of,
    os::fd::{AsFd, OwnedFd},
    time::Instant,
};

use ancillary::{
    ControlBuf, FamilyError, MsgHdr, MsgHdrMut, SockAddr, SocketExt, interface,
    message::{J1939DestAddr, J1939DestName, J1939Prio},
    set_option,
};
use common::{TIMEOUT, cause, pairs::stream, raw, skipped};
use nix::{
    libc,
    sys::socket::{AddressFamily, SockFlag, SockProtocol, SockType, socket},
};
use socket2::{Domain, Protocol, Socket, Type};

// include/uapi/linux/can/j1939.h
const SOL_CAN_J1939: i32 = 107;
const SO_J1939_SEND_PRIO: i32 = 3;
const NO_ADDR: u8 = 0xff;
const NO_PGN: u32 = 0x40000;
const ADDRESS_CLAIMED: u32 = 0xee00;
/// A group for one receiver, and one for all.
const TO_ONE: u32 = 0x12300;
const TO_ALL: u32 = 0xf004;

type Meta = (J1939DestAddr, J1939DestName, J1939Prio);
type Found = (Option<J1939DestAddr>, Option<J1939DestName>, Option<J1939Prio>);

/// rtnetlink: makes and removes a link.
struct Bus {
    index: u32,
    netlink: OwnedFd,
}

impl Bus {
    fn new(name: &str) -> io::Result<Self> {
        let flags = SockFlag::SOCK_CLOEXEC;
        let netlink = socket(AddressFamily::Netlink, SockType::Raw, flags, SockProtocol::NetlinkRoute)?;
        // IFLA_IFNAME; IFLA_LINKINFO of IFLA_INFO_KIND; IFF_UP
        let attributes = [attribute(3, name.as_bytes()), attribute(18, &attribute(1, b"vcan"))].concat();
        // RTM_NEWLINK; NLM_F_CREATE, NLM_F_EXCL
        request(&netlink, 16, 0x600, 0, libc::IFF_UP, &attributes)?;
        Ok(Self { index: interface::index(name)?, netlink })
    }
}

impl Drop for Bus {
    fn drop(&mut self) {
        // RTM_DELLINK
        request(&self.netlink, 17, 0, self.index, 0, &[]).unwrap();
    }
}

fn attribute(kind: u16, payload: &[u8]) -> Vec<u8> {
    let mut bytes = [4 + payload.len() as u16, kind].map(u16::to_ne_bytes).concat();
    bytes.extend(payload);
    bytes.resize(bytes.len().next_multiple_of(4), 0);
    bytes
}

/// Sends `struct nlmsghdr`, `struct ifinfomsg` and attributes, and waits for the answer.
fn request(netlink: &OwnedFd, kind: u16, more: u16, index: u32, up: i32, attributes: &[u8]) -> io::Result<()> {
    let mut bytes = (32 + attributes.len() as u32).to_ne_bytes().to_vec();
    // NLM_F_REQUEST, NLM_F_ACK
    bytes.extend([kind, more | 5].map(u16::to_ne_bytes).concat());
    bytes.extend([1, 0, 0, index, up as u32, up as u32].map(u32::to_ne_bytes).concat());
    bytes.extend(attributes);
    let mut kernel = [0; 12];
    kernel[..2].copy_from_slice(&(libc::AF_NETLINK as u16).to_ne_bytes());
    let kernel = SockAddr::from_bytes(&kernel).unwrap();
    MsgHdr::new().to(kernel).data(&bytes).send(netlink)?;
    let (mut answer, mut control) = ([0; 256], ControlBuf::<()>::new());
    let answer = netlink.recv_msg(&mut answer, &mut control)?;
    // NLMSG_ERROR, 0 in it for none
    assert_eq!(answer.data()[4..6], 2u16.to_ne_bytes());
    match i32::from_ne_bytes(answer.data()[16..20].try_into().unwrap()) {
        0 => Ok(()),
        errno => Err(io::Error::from_raw_os_error(-errno)),
    }
}

/// `struct sockaddr_can` for J1939
fn address(bus: &Bus, name: u64, pgn: u32, addr: u8) -> SockAddr {
    let mut bytes = [0; 24];
    bytes[..2].copy_from_slice(&(libc::AF_CAN as u16).to_ne_bytes());
    bytes[4..8].copy_from_slice(&bus.index.to_ne_bytes());
    bytes[8..16].copy_from_slice(&name.to_ne_bytes());
    bytes[16..20].copy_from_slice(&pgn.to_ne_bytes());
    bytes[20] = addr;
    assert_eq!(offset_of!(libc::sockaddr_can, can_addr), 8);
    SockAddr::from_bytes(&bytes).unwrap()
}

fn open() -> io::Result<Socket> {
    let j1939 = Protocol::from(libc::CAN_J1939);
    let socket = Socket::new(Domain::from(libc::AF_CAN), Type::DGRAM, Some(j1939))?;
    socket.set_read_timeout(TIMEOUT)?;
    socket.set_write_timeout(TIMEOUT)?;
    Ok(socket)
}

/// A bus of one's own; nothing where this kernel has none, or this process may not make one.
fn bus(test: &str, name: &str) -> Option<Bus> {
    if let Err(error) = open() {
        skipped(format_args!("SKIPPED {test}: no J1939 here (modules can, can-j1939: {error})"));
        return None;
    }
    match Bus::new(name) {
        Ok(bus) => Some(bus),
        Err(error) => {
            skipped(format_args!("SKIPPED {test}: no vcan link (module vcan, CAP_NET_ADMIN: {error})"));
            None
        }
    }
}

/// A socket of a control function on the bus.
fn member(bus: &Bus, name: u64, addr: u8) -> Socket {
    let socket = open().unwrap();
    socket.set_broadcast(true).unwrap();
    raw::bind(&socket, &address(bus, name, NO_PGN, addr)).unwrap();
    socket
}

fn send(socket: &Socket, to: &SockAddr, data: &[u8]) {
    assert_eq!(MsgHdr::new().to(to).data(data).send(socket).unwrap(), data.len());
}

/// What arrives with the next message of this group.
fn next(socket: &Socket, pgn: u32) -> (Vec<u8>, Found) {
    loop {
        let (mut data, mut control) = ([0; 64], ControlBuf::<Meta>::new());
        // J1939 knows few flags, and MSG_CMSG_CLOEXEC is not among them.
        let message = MsgHdrMut::new().data(&mut data).inheritable().recv(socket, &mut control).unwrap();
        message.require_complete().unwrap();
        let from = message.peer().unwrap().as_bytes();
        if from[16..20] == pgn.to_ne_bytes() {
            let (len, meta) = (message.len(), message.extract());
            return (data[..len].to_vec(), meta);
        }
    }
}

#[test]
fn address_and_priority_arrive_with_every_message() {
    let Some(bus) = bus("address_and_priority_arrive_with_every_message", "vcan-anc0") else { return };
    let (sender, receiver) = (member(&bus, 0, 0x30), member(&bus, 0, 0x20));
    receiver.enable::<Meta>().unwrap();
    let (one, all) = (address(&bus, 0, TO_ONE, 0x20), address(&bus, 0, TO_ALL, NO_ADDR));
    send(&sender, &one, b"default");
    let expected = (Some(J1939DestAddr(0x20)), None, Some(J1939Prio(6)));
    assert_eq!(next(&receiver, TO_ONE), (b"default".to_vec(), expected));
    set_option(&sender, SOL_CAN_J1939, SO_J1939_SEND_PRIO, 3).unwrap();
    send(&sender, &one, b"urgent");
    let expected = (Some(J1939DestAddr(0x20)), None, Some(J1939Prio(3)));
    assert_eq!(next(&receiver, TO_ONE), (b"urgent".to_vec(), expected));
    send(&sender, &all, b"to all");
    assert_eq!(next(&receiver, TO_ALL), (b"to all".to_vec(), (None, None, Some(J1939Prio(3)))), "to no address");
}

#[test]
fn a_name_arrives_once_its_address_is_claimed() {
    let Some(bus) = bus("a_name_arrives_once_its_address_is_claimed", "vcan-anc1") else { return };
    const NAME: u64 = 0x8102_0304_0506_0708;
    let (sender, receiver) = (member(&bus, 0, 0x31), member(&bus, NAME, 0x21));
    let one = address(&bus, 0, TO_ONE, 0x21);
    send(&sender, &one, b"before");
    let (data, (addr, name, _)) = next(&receiver, TO_ONE);
    assert_eq!((&data[..], addr, name), (&b"before"[..], Some(J1939DestAddr(0x21)), None));
    send(&receiver, &address(&bus, 0, ADDRESS_CLAIMED, NO_ADDR), &NAME.to_le_bytes());
    // The claim holds when nobody has objected for a quarter of a second.
    let deadline = Instant::now() + TIMEOUT.unwrap();
    loop {
        assert!(Instant::now() < deadline, "the address is never claimed");
        send(&sender, &one, b"after");
        let (_, (addr, name, priority)) = next(&receiver, TO_ONE);
        assert_eq!((addr, priority), (Some(J1939DestAddr(0x21)), Some(J1939Prio(6))));
        if let Some(name) = name {
            break assert_eq!(name, J1939DestName(NAME));
        }
    }
}

#[test]
fn sockets_of_other_families_refuse_it() {
    let refused = |result: io::Result<()>| {
        let expected = FamilyError::new("socket", "AF_CAN", libc::AF_UNIX);
        assert_eq!(cause(&result.unwrap_err()), Some(expected));
    };
    let (socket, _) = stream();
    let socket = socket.as_fd();
    refused(socket.enable::<J1939DestAddr>());
    refused(socket.enable::<J1939DestName>());
    refused(socket.enable::<J1939Prio>());
}
