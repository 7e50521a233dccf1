//! The messages of RFC 2292, under their old numbers.

use std::{fmt, io, os::fd::BorrowedFd};

use nix::libc::{self, IPPROTO_IPV6, c_int};

use super::{Ipv6DstOpts, Ipv6HopLimit, Ipv6HopOpts, Ipv6PktInfo, Ipv6Rthdr};
use crate::{
    cmsg::{CmsgId, ControlOut, RawCmsg},
    error::{DecodeError, EncodeError},
    message::{RecvControl, SendControl},
    options::{Families, SocketOption},
};

/// A message in its obsolete form: the same payload under another number (`IPV6_2292PKTINFO`, `IPV6_2292HOPLIMIT`,
/// `IPV6_2292HOPOPTS`, `IPV6_2292DSTOPTS`, `IPV6_2292RTHDR`).
///
/// For [`Ipv6PktInfo`], [`Ipv6HopLimit`], [`Ipv6HopOpts`], [`Ipv6DstOpts`] and [`Ipv6Rthdr`], which new programs use:
/// these come from sockets of programs that have enabled the old options. Received once enabled (the option has the
/// number of the message; Linux 2.2, under these names since 2.6.14), next to the new form if that is enabled too; when
/// sent it does what the new form does, but twice `IPV6_2292DSTOPTS` is EINVAL. A list names the type within:
///
/// ```
/// use ancillary::{ControlBuf, message::{Ipv6HopLimit, Ipv6PktInfo, Rfc2292}};
///
/// let control = ControlBuf::<(Rfc2292<Ipv6PktInfo>, Rfc2292<Ipv6HopLimit>)>::new();
/// let (info, hops) = control.extract(); // Option<Rfc2292<Ipv6PktInfo>>, Option<Rfc2292<Ipv6HopLimit>>
/// # assert!(info.is_none() && hops.is_none());
/// ```
///
/// # Wire layout
///
/// That of the type within.
///
/// # Errors
///
/// Those of the type within.
///
/// # References
///
/// RFC 2292 s. 4; include/uapi/linux/in6.h; net/ipv6/datagram.c, `ip6_datagram_recv_specific_ctl`
#[doc(alias = "IPV6_2292PKTINFO")]
#[doc(alias = "IPV6_2292HOPLIMIT")]
#[doc(alias = "IPV6_2292HOPOPTS")]
#[doc(alias = "IPV6_2292DSTOPTS")]
#[doc(alias = "IPV6_2292RTHDR")]
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct Rfc2292<T>(pub T);

mod sealed {
    use nix::libc::c_int;

    /// What has an obsolete twin, and its payload, which is that of the twin.
    pub trait Twin {
        /// The number of the obsolete message.
        const MESSAGE: c_int;
        /// The option that asks for it.
        const OPTION: c_int = Self::MESSAGE;
        fn payload(&self) -> impl AsRef<[u8]>;
    }
}

use sealed::Twin;

macro_rules! twins {
    ($($type:ty: $number:path, |$message:ident| $payload:expr;)+) => {$(
        impl Twin for $type {
            const MESSAGE: c_int = $number;

            #[inline(always)]
            fn payload(&self) -> impl AsRef<[u8]> {
                let $message = self;
                $payload
            }
        }
    )+};
}

twins! {
    Ipv6PktInfo: libc::IPV6_2292PKTINFO, |info| info.to_wire();
    Ipv6HopLimit: libc::IPV6_2292HOPLIMIT, |hops| c_int::from(hops.0).to_ne_bytes();
    Ipv6HopOpts<'_>: libc::IPV6_2292HOPOPTS, |header| header.as_bytes();
    Ipv6DstOpts<'_>: libc::IPV6_2292DSTOPTS, |header| header.as_bytes();
    Ipv6Rthdr<'_>: libc::IPV6_2292RTHDR, |header| header.as_bytes();
}

impl<T: Twin> Rfc2292<T> {
    pub(crate) const ID: CmsgId = CmsgId::new(IPPROTO_IPV6, T::MESSAGE);
}

impl<T: fmt::Display> fmt::Display for Rfc2292<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl<T: Twin> SendControl<'_> for Rfc2292<T> {
    #[inline(always)]
    fn encode(&self, out: &mut ControlOut<'_, '_>) -> Result<(), EncodeError> {
        out.push(Self::ID, self.0.payload().as_ref())
    }
}

impl<T: Twin + RecvControl> RecvControl for Rfc2292<T> {
    type Value<'a> = Rfc2292<T::Value<'a>>;
    const PAYLOAD_LEN: usize = T::PAYLOAD_LEN;

    #[inline(always)]
    fn matches(id: CmsgId) -> bool {
        id == Self::ID
    }

    #[inline(always)]
    fn decode(cmsg: RawCmsg<'_>) -> Result<Self::Value<'_>, DecodeError> {
        T::decode(cmsg).map(Rfc2292)
    }

    fn set_enabled(socket: BorrowedFd<'_>, on: bool) -> io::Result<()> {
        SocketOption::new(Families::INET6, IPPROTO_IPV6, T::OPTION).set(socket, on)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::laws::{reads, refuses, refuses_lengths, sends};

    #[test]
    fn old_numbers_carry_the_same_payloads() {
        let info = Rfc2292(Ipv6PktInfo { addr: "2001:db8::7".parse().unwrap(), ifindex: 3 });
        let mut payload = [0; 20];
        payload[..16].copy_from_slice(&info.0.addr.octets());
        payload[16..].copy_from_slice(&3u32.to_ne_bytes());
        sends(&info, CmsgId::new(41, 2), &payload);
        let printed = "{IPV6_2292PKTINFO 2001:db8::7 if 3}";
        reads::<Rfc2292<Ipv6PktInfo>>(CmsgId::new(41, 2), &payload, printed, |found| assert_eq!(found, info));

        let (hops, payload) = (Rfc2292(Ipv6HopLimit(9)), 9i32.to_ne_bytes());
        sends(&hops, CmsgId::new(41, 8), &payload);
        let printed = "{IPV6_2292HOPLIMIT 9}";
        reads::<Rfc2292<Ipv6HopLimit>>(CmsgId::new(41, 8), &payload, printed, |found| assert_eq!(found, hops));

        let header = [17, 0, 5, 2, 0, 0, 1, 0];
        let options = Rfc2292(Ipv6HopOpts::new(&header).unwrap());
        sends(&options, CmsgId::new(41, 3), &header);
        let printed = "{IPV6_2292HOPOPTS 8 bytes: 11 00 05 02 00 00 01 00}";
        reads::<Rfc2292<Ipv6HopOpts>>(CmsgId::new(41, 3), &header, printed, |found| {
            assert_eq!(found.0.as_bytes(), header);
        });
        sends(&Rfc2292(Ipv6DstOpts::new(&header).unwrap()), CmsgId::new(41, 4), &header);
        let printed = "{IPV6_2292DSTOPTS 8 bytes: 11 00 05 02 00 00 01 00}";
        reads::<Rfc2292<Ipv6DstOpts>>(CmsgId::new(41, 4), &header, printed, |found| {
            assert_eq!(found.0.as_bytes(), header);
        });
        sends(&Rfc2292(Ipv6Rthdr::new(&header).unwrap()), CmsgId::new(41, 5), &header);
        let printed = "{IPV6_2292RTHDR type 5 left 2, 8 bytes: 11 00 05 02 00 00 01 00}";
        reads::<Rfc2292<Ipv6Rthdr>>(CmsgId::new(41, 5), &header, printed, |found| {
            assert_eq!(found.0.as_bytes(), header);
        });
    }

    #[test]
    fn the_old_forms_refuse_what_the_new_ones_refuse() {
        refuses_lengths::<Rfc2292<Ipv6PktInfo>>(CmsgId::new(41, 2), &[20], 20);
        refuses_lengths::<Rfc2292<Ipv6HopLimit>>(CmsgId::new(41, 8), &[4], 4);
        let error = DecodeError::Value { field: "IPV6_HOPLIMIT", expected: "0..=255", found: 256 };
        refuses::<Rfc2292<Ipv6HopLimit>>(RawCmsg::new(CmsgId::new(41, 8), &256i32.to_ne_bytes()), error);
        let error = DecodeError::Length { expected: 16, found: 8 };
        refuses::<Rfc2292<Ipv6HopOpts>>(RawCmsg::new(CmsgId::new(41, 3), &[1; 8]), error);
        refuses::<Rfc2292<Ipv6DstOpts>>(RawCmsg::new(CmsgId::new(41, 4), &[1; 8]), error);
        refuses::<Rfc2292<Ipv6Rthdr>>(RawCmsg::new(CmsgId::new(41, 5), &[1; 8]), error);
    }

    #[test]
    fn old_and_new_are_not_taken_for_each_other() {
        assert!(!Rfc2292::<Ipv6PktInfo>::matches(Ipv6PktInfo::ID) && !Ipv6PktInfo::matches(Rfc2292::<Ipv6PktInfo>::ID));
        assert!(!Rfc2292::<Ipv6HopOpts>::matches(Ipv6HopOpts::ID) && !Ipv6HopOpts::matches(Rfc2292::<Ipv6HopOpts>::ID));
    }
}
