//! [`IpPktInfo`] on systems where it is another structure, or two messages.

use super::wire;
use crate::message::IpPktInfo;

#[cfg(target_os = "netbsd")]
const _: () =
    assert!(size_of::<nix::libc::in_pktinfo>() == 8 && std::mem::offset_of!(nix::libc::in_pktinfo, ipi_ifindex) == 4);

#[cfg(target_os = "netbsd")]
impl IpPktInfo {
    pub(in crate::message) const WIRE: usize = 8;

    pub(in crate::message) fn to_wire(self) -> [u8; Self::WIRE] {
        wire::netbsd::to_wire(self)
    }

    pub(in crate::message) fn from_wire(bytes: [u8; Self::WIRE]) -> Self {
        wire::netbsd::from_wire(bytes)
    }
}

#[cfg(apple)]
impl IpPktInfo {
    /// As this system can send it.
    pub(in crate::message) fn sendable(self) -> Result<Self, crate::error::EncodeError> {
        wire::address_or_interface(self)
    }
}

#[cfg(any(target_os = "freebsd", target_os = "dragonfly", target_os = "openbsd"))]
mod halves {
    use std::{io, net::Ipv4Addr, os::fd::BorrowedFd};

    use nix::libc::{IP_RECVDSTADDR, IPPROTO_IP};

    use super::{IpPktInfo, wire};
    use crate::{
        cmsg::{self, CmsgId, RawCmsg},
        error::{DecodeError, EncodeError},
        message::{IpRecvIf, RecvControl},
        options::{Families, SocketOption},
    };

    // The same message in the other direction has a name of its own.
    const _: () = assert!(nix::libc::IP_SENDSRCADDR == IP_RECVDSTADDR);

    /// What leaves room for two messages, an address and a `struct sockaddr_dl`: the padded lengths of both, less the
    /// header that is reserved for one.
    const BOTH: usize = match (cmsg::space(4), cmsg::space(IpRecvIf::PAYLOAD_LEN), cmsg::len(0)) {
        (Some(address), Some(interface), Some(header)) => address + interface - header,
        _ => panic!("these are short"),
    };

    impl IpPktInfo {
        pub(in crate::message) fn to_wire(self) -> [u8; 4] {
            self.spec_dst.octets()
        }

        /// As this system can send it.
        pub(in crate::message) fn sendable(self) -> Result<Self, EncodeError> {
            wire::address_alone(self)
        }

        const fn of(ifindex: u32, addr: Ipv4Addr) -> Self {
            Self { ifindex, spec_dst: addr, addr }
        }
    }

    impl RecvControl for IpPktInfo {
        type Value<'a> = Self;
        const PAYLOAD_LEN: usize = BOTH;

        fn matches(id: CmsgId) -> bool {
            id == Self::ID || id == IpRecvIf::ID
        }

        fn decode(cmsg: RawCmsg<'_>) -> Result<Self, DecodeError> {
            if cmsg.id() == IpRecvIf::ID {
                return IpRecvIf::decode(cmsg).map(|IpRecvIf(index)| Self::of(index, Ipv4Addr::UNSPECIFIED));
            }
            cmsg.array().map(|octets: [u8; 4]| Self::of(0, octets.into()))
        }

        fn merge<'a>(earlier: Self::Value<'a>, later: Self::Value<'a>) -> Self::Value<'a> {
            wire::join(earlier, later)
        }

        fn set_enabled(socket: BorrowedFd<'_>, on: bool) -> io::Result<()> {
            SocketOption::new(Families::INET, IPPROTO_IP, IP_RECVDSTADDR).set(socket, on)?;
            IpRecvIf::set_enabled(socket, on)
        }
    }
}
