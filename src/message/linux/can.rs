//! Control messages of level `SOL_CAN_J1939`: to whom a J1939 message was sent; see
//! [J1939](https://docs.kernel.org/networking/j1939.html).

use std::fmt;

use crate::{
    cmsg::CmsgId,
    options::{Families, Unasked},
};

// include/uapi/linux/can.h and include/uapi/linux/can/j1939.h; libc lacks them on some systems.
const SOL_CAN_J1939: i32 = 107;
const SCM_J1939_DEST_ADDR: i32 = 1;
const SCM_J1939_DEST_NAME: i32 = 2;
const SCM_J1939_PRIO: i32 = 3;

/// Address that a J1939 message was sent to (`SCM_J1939_DEST_ADDR`; Linux 5.4, CAN J1939).
///
/// Received unasked, with every message but a broadcast. No privilege.
///
/// ```
/// use ancillary::{message::{J1939DestAddr, J1939Prio, RecvList}, parser};
/// # use ancillary::{ControlList, RawCmsg, cmsg::CmsgId};
///
/// # let (addr, prio) = (RawCmsg::new(CmsgId::new(107, 1), &[0x20]), RawCmsg::new(CmsgId::new(107, 3), &[3]));
/// # let arrived = ControlList::new([addr, prio])?;
/// # let cmsgs = parser::cmsgs(arrived.as_bytes());
/// let (to, prio) = <(J1939DestAddr, J1939Prio)>::extract(cmsgs); // of a message: `message.extract()`
/// match to {
///     Some(J1939DestAddr(addr)) => println!("for {addr:#04x}, with priority {prio:?}"),
///     None => println!("for all"),
/// }
/// assert_eq!((to, prio), (Some(J1939DestAddr(0x20)), Some(J1939Prio(3))));
/// # Ok::<(), ancillary::EncodeError>(())
/// ```
///
/// # Wire layout
///
/// ```text
///   0      1
///   +------+
///   | addr |   u8
///   +------+
/// ```
///
/// # References
///
/// [J1939](https://docs.kernel.org/networking/j1939.html); net/can/j1939/socket.c, `j1939_sk_recvmsg`
#[doc(alias = "SCM_J1939_DEST_ADDR")]
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct J1939DestAddr(pub u8);

impl J1939DestAddr {
    pub(crate) const ID: CmsgId = CmsgId::new(SOL_CAN_J1939, SCM_J1939_DEST_ADDR);
}

/// Prints `0x20`.
impl fmt::Display for J1939DestAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#04x}", self.0)
    }
}

receives!(J1939DestAddr, Self::ID, 1, |cmsg| cmsg.array().map(|[addr]| Self(addr)), Unasked(Families::CAN));

/// Name of the control function that a J1939 message was sent to (`SCM_J1939_DEST_NAME`; Linux 5.4, CAN J1939).
///
/// Received unasked, where the destination address has been claimed for a name. No privilege.
///
/// ```
/// use ancillary::{message::{J1939DestName, RecvList}, parser};
/// # use ancillary::{ControlList, RawCmsg, cmsg::CmsgId};
///
/// # let arrived = ControlList::new(RawCmsg::new(CmsgId::new(107, 2), &0xa000_0000_0040_1234_u64.to_ne_bytes()))?;
/// # let cmsgs = parser::cmsgs(arrived.as_bytes());
/// let name = J1939DestName::extract(cmsgs).unwrap(); // of a message: `message.extract()`
/// let identity = name.0 & 0x1f_ffff; // its low 21 bits; a number of the manufacturer's
/// assert_eq!((identity, name.to_string()), (0x1234, "0xa000000000401234".into()));
/// # Ok::<(), ancillary::EncodeError>(())
/// ```
///
/// # Wire layout
///
/// ```text
///   0        8
///   +--------+
///   |  name  |   u64, host byte order (the bus has it the little end first)
///   +--------+
/// ```
///
/// # References
///
/// [J1939](https://docs.kernel.org/networking/j1939.html); net/can/j1939/socket.c, `j1939_sk_recvmsg`
#[doc(alias = "SCM_J1939_DEST_NAME")]
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct J1939DestName(pub u64);

impl J1939DestName {
    pub(crate) const ID: CmsgId = CmsgId::new(SOL_CAN_J1939, SCM_J1939_DEST_NAME);
}

/// Prints all 16 digits.
impl fmt::Display for J1939DestName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#018x}", self.0)
    }
}

receives!(
    J1939DestName,
    Self::ID,
    8,
    |cmsg| cmsg.array().map(|name| Self(u64::from_ne_bytes(name))),
    Unasked(Families::CAN)
);

/// Priority of a J1939 message, 0 (the highest) to 7 (`SCM_J1939_PRIO`; Linux 5.4, CAN J1939).
///
/// Received unasked, with every message. No privilege. The sender's is 6 unless `SO_J1939_SEND_PRIO` says otherwise; it
/// cannot be sent as control data.
///
/// ```
/// use ancillary::{message::J1939Prio, parser::{self, ControlMessage}};
/// # use ancillary::{ControlList, RawCmsg, cmsg::CmsgId};
///
/// # let (addr, prio) = (RawCmsg::new(CmsgId::new(107, 1), &[0x20]), RawCmsg::new(CmsgId::new(107, 3), &[3]));
/// # let arrived = ControlList::new([addr, prio])?;
/// # let control = arrived.as_bytes();
/// let is_urgent = parser::parse(control).any(|found| match found { // of a message: `message.messages()`
///     ControlMessage::J1939Prio(J1939Prio(prio)) => prio < 4,
///     _ => false,
/// });
/// assert!(is_urgent);
/// # Ok::<(), ancillary::EncodeError>(())
/// ```
///
/// # Wire layout
///
/// ```text
///   0          1
///   +----------+
///   | priority |   u8
///   +----------+
/// ```
///
/// # References
///
/// [J1939](https://docs.kernel.org/networking/j1939.html); net/can/j1939/socket.c, `j1939_sk_recvmsg`
#[doc(alias = "SCM_J1939_PRIO")]
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct J1939Prio(pub u8);

impl J1939Prio {
    pub(crate) const ID: CmsgId = CmsgId::new(SOL_CAN_J1939, SCM_J1939_PRIO);
}

prints!(J1939Prio);

receives!(J1939Prio, Self::ID, 1, |cmsg| cmsg.array().map(|[priority]| Self(priority)), Unasked(Families::CAN));

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::laws::{reads, refuses_lengths};

    #[test]
    fn a_destination_address_arrives_in_one_byte() {
        for (addr, printed) in [(0, "{SCM_J1939_DEST_ADDR 0x00}"), (0xfd, "{SCM_J1939_DEST_ADDR 0xfd}")] {
            reads::<J1939DestAddr>(J1939DestAddr::ID, &[addr], printed, |it| assert_eq!(it, J1939DestAddr(addr)));
        }
        refuses_lengths::<J1939DestAddr>(J1939DestAddr::ID, &[1], 1);
    }

    #[test]
    fn a_destination_name_arrives_in_eight_bytes() {
        let name = 0x0102_0304_0506_0708u64;
        let printed = "{SCM_J1939_DEST_NAME 0x0102030405060708}";
        reads::<J1939DestName>(J1939DestName::ID, &name.to_ne_bytes(), printed, |it| {
            assert_eq!(it, J1939DestName(name));
        });
        refuses_lengths::<J1939DestName>(J1939DestName::ID, &[8], 8);
    }

    #[test]
    fn a_priority_arrives_in_one_byte() {
        for (priority, printed) in [(0, "{SCM_J1939_PRIO 0}"), (7, "{SCM_J1939_PRIO 7}")] {
            reads::<J1939Prio>(J1939Prio::ID, &[priority], printed, |it| assert_eq!(it, J1939Prio(priority)));
        }
        refuses_lengths::<J1939Prio>(J1939Prio::ID, &[1], 1);
    }
}
