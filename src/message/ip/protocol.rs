//! The protocol by which raw datagrams are routed.

use nix::libc::{IPPROTO_IP, c_int};

use crate::{cmsg::CmsgId, error::EncodeError};

// include/uapi/linux/in.h; libc lacks it.
const IP_PROTOCOL: c_int = 52;

/// Protocol by which the route of one IPv4 datagram is looked up, on a raw socket that writes the header itself
/// (`IP_PROTOCOL`).
///
/// Such a socket (`IPPROTO_RAW`, `IP_HDRINCL`) has no protocol of its own by which rules and IPsec policies could know
/// the datagram; what the header says stays as it is. Other raw sockets and UDP ignore it. Linux 6.4, and some older
/// ones that got it afterwards. The message needs no privilege, the raw socket `CAP_NET_RAW`.
///
/// ```
/// use ancillary::{ControlList, message::IpProtocol, parser};
///
/// // The packet is written whole, header included; rules and policies shall treat it as UDP (17).
/// let control = ControlList::new(IpProtocol(17))?;
/// // MsgHdr::new().to(destination).data(packet).control_from(&control).send(&raw)?
/// assert_eq!(parser::cmsgs(control.as_bytes()).next().unwrap().int(), Ok(17));
/// assert!(ControlList::new(IpProtocol(0)).is_err());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Wire layout
///
/// ```text
///   0          4
///   +----------+
///   | protocol |   int, host byte order, 1..=255
///   +----------+
/// ```
///
/// # Errors
///
/// Sending 0 is [`EncodeError::Value`] (the kernel's EINVAL). A kernel that lacks it says EINVAL.
///
/// # References
///
/// net/ipv4/ip_sockglue.c, `ip_cmsg_send`; net/ipv4/raw.c, `raw_sendmsg`
#[doc(alias = "IP_PROTOCOL")]
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct IpProtocol(pub u8);

impl IpProtocol {
    pub(crate) const ID: CmsgId = CmsgId::new(IPPROTO_IP, IP_PROTOCOL);

    fn payload(self) -> Result<[u8; 4], EncodeError> {
        if self.0 == 0 {
            return Err(EncodeError::Value { field: "IP_PROTOCOL", expected: "1..=255", found: 0 });
        }
        Ok(c_int::from(self.0).to_ne_bytes())
    }
}

sends!(IpProtocol, Self::ID, |protocol| protocol.payload()?);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{cmsg, message::laws::sends};

    #[test]
    fn a_protocol_goes_out_as_int_and_zero_is_none() {
        for protocol in 1..=u8::MAX {
            sends(&IpProtocol(protocol), CmsgId::new(0, 52), &i32::from(protocol).to_ne_bytes());
        }
        let error = EncodeError::Value { field: "IP_PROTOCOL", expected: "1..=255", found: 0 };
        assert_eq!(cmsg::encode(&IpProtocol(0), &mut [0; 64]), Err(error));
    }
}
