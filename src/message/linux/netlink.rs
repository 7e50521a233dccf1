//! Control messages of level `SOL_NETLINK`; see [netlink(7)](https://man7.org/linux/man-pages/man7/netlink.7.html).

use std::fmt;

use nix::libc::{NETLINK_LISTEN_ALL_NSID, NETLINK_PKTINFO, SOL_NETLINK};

use crate::message::rows::word;
use crate::{
    cmsg::CmsgId,
    options::{Families, SocketOption},
};

/// The multicast group that a netlink message was sent to (`NETLINK_PKTINFO`, `struct nl_pktinfo`; Linux 2.6.14).
///
/// Received once enabled (`NETLINK_PKTINFO`) with every message of an AF_NETLINK socket. No privilege.
///
/// ```
/// use ancillary::{ControlBuf, MsgHdr, SocketExt, message::NetlinkPktInfo};
/// use nix::sys::socket::{AddressFamily, SockFlag, SockProtocol, SockType, socket};
///
/// # fn main() -> std::io::Result<()> {
/// let netlink = socket(AddressFamily::Netlink, SockType::Raw, SockFlag::SOCK_CLOEXEC, SockProtocol::NetlinkRoute)?;
/// netlink.enable::<NetlinkPktInfo>()?;
/// # let (len, ty, flags) = (32u32.to_ne_bytes(), 18u16.to_ne_bytes(), 0x301u16.to_ne_bytes());
/// # let request = [&len[..], &ty, &flags, &[0; 24]].concat(); // RTM_GETLINK, NLM_F_REQUEST | NLM_F_DUMP
/// MsgHdr::new().data(&request).send(&netlink)?; // which interfaces are there?
///
/// let (mut data, mut control) = (vec![0; 32768], ControlBuf::<NetlinkPktInfo>::new());
/// let info = netlink.recv_msg(&mut data, &mut control)?.extract();
/// assert_eq!(info, Some(NetlinkPktInfo { group: 0 })); // an answer; RTNLGRP_LINK would be 1
/// # Ok(())
/// # }
/// ```
///
/// # Wire layout
///
/// ```text
///   0       4
///   +-------+
///   | group |   u32, host byte order
///   +-------+
/// ```
///
/// # References
///
/// [netlink(7)](https://man7.org/linux/man-pages/man7/netlink.7.html), `NETLINK_PKTINFO`; net/netlink/af_netlink.c,
/// `netlink_cmsg_recv_pktinfo`
#[doc(alias = "NETLINK_PKTINFO")]
#[doc(alias = "nl_pktinfo")]
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct NetlinkPktInfo {
    /// The group's number, such as `RTNLGRP_LINK`, and not a bit of a mask as in `sockaddr_nl`; 0: sent to this socket
    /// alone (`group`).
    pub group: u32,
}

impl NetlinkPktInfo {
    pub(crate) const ID: CmsgId = CmsgId::new(SOL_NETLINK, NETLINK_PKTINFO);
}

impl fmt::Display for NetlinkPktInfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "group {}", self.group)
    }
}

receives!(
    NetlinkPktInfo,
    Self::ID,
    4,
    |cmsg| word(cmsg).map(|group| Self { group }),
    SocketOption::new(Families::NETLINK, SOL_NETLINK, NETLINK_PKTINFO)
);

/// The network namespace that a netlink message comes from (`NETLINK_LISTEN_ALL_NSID`; Linux 4.2): its number in the
/// receiver's.
///
/// Received once enabled (`NETLINK_LISTEN_ALL_NSID`, which needs `CAP_NET_BROADCAST`): the socket then gets the
/// multicasts of all namespaces that have a number in its own (`ip netns set`), each with this message; those of its own
/// namespace come without.
///
/// ```
/// use ancillary::{message::{NetlinkListenAllNsid, RecvList}, parser};
/// # use ancillary::{ControlList, RawCmsg, cmsg::CmsgId};
///
/// # let arrived = ControlList::new(RawCmsg::new(CmsgId::new(270, 8), &42i32.to_ne_bytes()))?;
/// # let cmsgs = parser::cmsgs(arrived.as_bytes());
/// let whose = match NetlinkListenAllNsid::extract(cmsgs) { // of a message: `message.extract()`
///     Some(NetlinkListenAllNsid(nsid)) => format!("of namespace {nsid}"), // as in `ip netns list-id`
///     None => "of our own".into(),
/// };
/// assert_eq!(whose, "of namespace 42");
/// # Ok::<(), ancillary::EncodeError>(())
/// ```
///
/// # Wire layout
///
/// ```text
///   0      4
///   +------+
///   | nsid |   int, host byte order
///   +------+
/// ```
///
/// # Errors
///
/// Enabling: EPERM without the capability.
///
/// # References
///
/// [netlink(7)](https://man7.org/linux/man-pages/man7/netlink.7.html), `NETLINK_LISTEN_ALL_NSID`;
/// net/netlink/af_netlink.c, `netlink_cmsg_listen_all_nsid`
#[doc(alias = "NETLINK_LISTEN_ALL_NSID")]
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct NetlinkListenAllNsid(pub i32);

impl NetlinkListenAllNsid {
    pub(crate) const ID: CmsgId = CmsgId::new(SOL_NETLINK, NETLINK_LISTEN_ALL_NSID);
}

prints!(NetlinkListenAllNsid);

receives!(
    NetlinkListenAllNsid,
    Self::ID,
    4,
    |cmsg| cmsg.int().map(Self),
    SocketOption::new(Families::NETLINK, SOL_NETLINK, NETLINK_LISTEN_ALL_NSID)
);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::laws::{reads, refuses_lengths};

    #[test]
    fn a_group_is_any_word() {
        for group in [0, 1, 33, u32::MAX] {
            let printed = format!("{{NETLINK_PKTINFO group {group}}}");
            reads::<NetlinkPktInfo>(NetlinkPktInfo::ID, &group.to_ne_bytes(), &printed, |found| {
                assert_eq!(found, NetlinkPktInfo { group });
            });
        }
        refuses_lengths::<NetlinkPktInfo>(NetlinkPktInfo::ID, &[4], 4);
    }

    #[test]
    fn a_namespace_is_any_int() {
        for nsid in [0, 42, -1, i32::MIN, i32::MAX] {
            let printed = format!("{{NETLINK_LISTEN_ALL_NSID {nsid}}}");
            reads::<NetlinkListenAllNsid>(NetlinkListenAllNsid::ID, &nsid.to_ne_bytes(), &printed, |found| {
                assert_eq!(found, NetlinkListenAllNsid(nsid));
            });
        }
        refuses_lengths::<NetlinkListenAllNsid>(NetlinkListenAllNsid::ID, &[4], 4);
    }
}
