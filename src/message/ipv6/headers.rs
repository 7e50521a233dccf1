//! Extension headers: options and routing, as views of their bytes.

use std::fmt;

use nix::libc::{self, IPPROTO_IPV6};

use super::{Ipv6Options, options::len_said};
use crate::{
    cmsg::{CmsgId, RawCmsg},
    error::{DecodeError, EncodeError},
    options::{Families, SocketOption},
    text::{debug_hex, hex},
};

/// The longest header, of length 255.
const MAX: usize = 2048;

/// How many bytes of a header's options are no whole option: those from the first that says more than there is.
const fn overrun(header: &[u8]) -> usize {
    let mut at = 2;
    while at < header.len() {
        // Pad1 is its type alone; all others have a length.
        let len = match (header[at], at + 1 < header.len()) {
            (0, _) => 1,
            (_, true) => 2 + header[at + 1] as usize,
            (_, false) => 2,
        };
        if len > header.len() - at {
            return header.len() - at;
        }
        at += len;
    }
    0
}

#[inline(always)]
fn whole(cmsg: RawCmsg<'_>) -> Result<&[u8], DecodeError> {
    let (expected, found) = (len_said(cmsg.payload()), cmsg.payload().len());
    if found == expected { Ok(cmsg.payload()) } else { Err(DecodeError::Length { expected, found }) }
}

/// What all headers have; `$check` refuses more when one is made to be sent, and `$refused` says so.
macro_rules! header {
    ($type:ident, $name:literal = $number:path, $refused:literal $(, $check:ident $expected:literal)?) => {
        impl<'a> $type<'a> {
            pub(crate) const ID: CmsgId = CmsgId::new(IPPROTO_IPV6, $number);

            /// A header to send: all its bytes.
            ///
            /// # Errors
            ///
            #[doc = $refused]
            pub const fn new(header: &'a [u8]) -> Result<Self, EncodeError> {
                if header.len() != len_said(header) {
                    let (expected, found) = ("8 * (length + 1) bytes", header.len() as i64);
                    return Err(EncodeError::Value { field: $name, expected, found });
                }
                $(
                    if $check(header) > 0 {
                        let found = $check(header) as i64;
                        return Err(EncodeError::Value { field: $name, expected: $expected, found });
                    }
                )?
                Ok(Self(header))
            }

            /// The whole header.
            pub const fn as_bytes(self) -> &'a [u8] {
                self.0
            }

            /// The protocol number of what follows it. When sent, the kernel overwrites it.
            pub const fn next_header(self) -> u8 {
                self.0[0]
            }
        }

        impl fmt::Debug for $type<'_> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                debug_hex(stringify!($type), self.0, f)
            }
        }

        sends!($type<'_>, Self::ID, |header| header.0);
    };
    (options $type:ident, $name:literal = $number:path) => {
        header!(
            $type,
            $name = $number,
            "[`EncodeError::Value`] if they are not as many as its own length says, or one of its options says more than \
             there is: the receiver's kernel would drop that packet, silently.",
            overrun "options that end with the header, none cut"
        );

        impl<'a> $type<'a> {
            /// The options one by one (`inet6_opt_next`).
            #[doc(alias = "inet6_opt_next")]
            pub fn options(self) -> Ipv6Options<'a> {
                Ipv6Options::new(&self.0[2..])
            }

            /// The data of the first option of this type (`inet6_opt_find`).
            ///
            /// # Errors
            ///
            /// [`DecodeError`] if a malformed option comes before it.
            #[doc(alias = "inet6_opt_find")]
            pub fn find(self, ty: u8) -> Result<Option<&'a [u8]>, DecodeError> {
                for option in self.options() {
                    match option? {
                        (found, data) if found == ty => return Ok(Some(data)),
                        _ => {}
                    }
                }
                Ok(None)
            }
        }

        impl fmt::Display for $type<'_> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                hex(self.0, f)
            }
        }
    };
}

/// Hop-by-hop options header of one IPv6 datagram (`IPV6_HOPOPTS`, `struct ip6_hbh`).
///
/// Received once enabled (`IPV6_RECVHOPOPTS`, Linux 2.6.14), absent where the packet has none; when sent it overrides all
/// the headers that the socket itself has ([`set_sticky`](Self::set_sticky)), of whichever kind. Sending needs `CAP_NET_RAW`, receiving nothing. Ignored to IPv4-mapped destinations.
///
/// A header has up to 2,048 bytes, which would have to be reserved for it: [`AtMost`](crate::message::AtMost) reserves
/// less. In a list of messages its lifetime is `'static`, whatever it borrows when it is extracted; an alias is shorter:
/// `type Options = AtMost<Ipv6HopOpts<'static>, 128>` ([`rfc3542`](crate::rfc3542#sent-received-filtered-linux) has it
/// whole).
///
/// ```
/// use ancillary::message::Ipv6HopOpts;
///
/// let header = [0, 0, 5, 2, 0, 0, 1, 0]; // router alert, two bytes of padding
/// let options = Ipv6HopOpts::new(&header)?;
/// assert_eq!(options.options().collect::<Vec<_>>(), [Ok((5, &[0, 0][..]))]);
/// assert_eq!(options.next_header(), 0); // of a received one the header that follows
/// # Ok::<(), ancillary::EncodeError>(())
/// ```
///
/// # Wire layout
///
/// ```text
///   0             1        2         8 * (length + 1)
///   +-------------+--------+---------+
///   | next header | length | options |   length: units of 8 bytes, without the first
///   +-------------+--------+---------+
/// ```
///
/// # Errors
///
/// A header that is not as long as it says is refused when it is made. Sending: EPERM without the privilege, EINVAL for
/// two of them, an obsolete one ([`Rfc2292`](crate::message::Rfc2292)) included.
///
/// # References
///
/// RFC 3542 s. 8; RFC 8200 s. 4.3; net/ipv6/datagram.c, `ip6_datagram_send_ctl`
#[doc(alias = "IPV6_HOPOPTS")]
#[doc(alias = "IPV6_RECVHOPOPTS")]
#[doc(alias = "ip6_hbh")]
#[derive(Clone, Copy, Eq, Hash, PartialEq)]
pub struct Ipv6HopOpts<'a>(&'a [u8]);

header!(options Ipv6HopOpts, "IPV6_HOPOPTS" = libc::IPV6_HOPOPTS);
receives!(
    view Ipv6HopOpts,
    Self::ID,
    MAX,
    |cmsg| whole(cmsg).map(Ipv6HopOpts),
    SocketOption::new(Families::INET6, IPPROTO_IPV6, libc::IPV6_RECVHOPOPTS)
);

/// Destination options header of one IPv6 datagram (`IPV6_DSTOPTS`, `struct ip6_dest`).
///
/// Received once enabled (`IPV6_RECVDSTOPTS`, Linux 2.6.14): one message for each such header, in the order of the
/// packet, so that one before a routing header and one behind it are two; extracted is the last. When sent it stands
/// behind the routing header, if there is one ([`Ipv6RthdrDstOpts`] before it); of several the last counts. Sending needs
/// `CAP_NET_RAW`, receiving nothing. Ignored to IPv4-mapped destinations.
///
/// ```
/// use ancillary::{message::Ipv6DstOpts, rfc3542::{OptionsBuilder, get_val}};
///
/// let mut buffer = [0; 64];
/// let mut options = OptionsBuilder::new(&mut buffer);
/// options.append_values(0x1e, 4, 7_u32); // for experiments (RFC 4727)
/// let header = Ipv6DstOpts::new(options.finish()?)?;
/// assert_eq!(get_val::<u32>(header.find(0x1e)?.unwrap(), 0)?, 7);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Wire layout
///
/// ```text
///   0             1        2         8 * (length + 1)
///   +-------------+--------+---------+
///   | next header | length | options |   length: units of 8 bytes, without the first
///   +-------------+--------+---------+
/// ```
///
/// # Errors
///
/// A header that is not as long as it says is refused when it is made. Sending: EPERM without the privilege.
///
/// # References
///
/// RFC 3542 s. 9; RFC 8200 s. 4.6; net/ipv6/datagram.c, `ip6_datagram_send_ctl`
#[doc(alias = "IPV6_DSTOPTS")]
#[doc(alias = "IPV6_RECVDSTOPTS")]
#[doc(alias = "ip6_dest")]
#[derive(Clone, Copy, Eq, Hash, PartialEq)]
pub struct Ipv6DstOpts<'a>(&'a [u8]);

header!(options Ipv6DstOpts, "IPV6_DSTOPTS" = libc::IPV6_DSTOPTS);
receives!(
    view Ipv6DstOpts,
    Self::ID,
    MAX,
    |cmsg| whole(cmsg).map(Ipv6DstOpts),
    SocketOption::new(Families::INET6, IPPROTO_IPV6, libc::IPV6_RECVDSTOPTS)
);

/// Destination options header before the routing header of one IPv6 datagram (`IPV6_RTHDRDSTOPTS`, `struct ip6_dest`).
///
/// Sent with each message (Linux 2.6.14), next to an [`Ipv6Rthdr`]; without a routing header it has no effect. The
/// receiver gets it as [`Ipv6DstOpts`]. Needs `CAP_NET_RAW`.
///
/// ```
/// use ancillary::message::{Ipv6DstOpts, Ipv6Rthdr, Ipv6RthdrDstOpts};
///
/// /// What every packet of a socket gets.
/// fn route(way: &[u8], each_node: &[u8], last: &[u8], socket: &std::net::UdpSocket) -> std::io::Result<()> {
///     Ipv6RthdrDstOpts::new(each_node)?.set_sticky(socket)?;
///     Ipv6Rthdr::new(way)?.set_sticky(socket)?;
///     Ipv6DstOpts::new(last)?.set_sticky(socket)
/// }
/// # assert!(Ipv6RthdrDstOpts::new(&[0, 0, 1, 4, 0, 0, 0, 0]).is_ok());
/// ```
///
/// # Wire layout
///
/// ```text
///   0             1        2         8 * (length + 1)
///   +-------------+--------+---------+
///   | next header | length | options |   length: units of 8 bytes, without the first
///   +-------------+--------+---------+
/// ```
///
/// # Errors
///
/// As those of [`Ipv6DstOpts`].
///
/// # References
///
/// RFC 3542 s. 9; net/ipv6/datagram.c, `ip6_datagram_send_ctl`
#[doc(alias = "IPV6_RTHDRDSTOPTS")]
#[doc(alias = "ip6_dest")]
#[derive(Clone, Copy, Eq, Hash, PartialEq)]
pub struct Ipv6RthdrDstOpts<'a>(&'a [u8]);

header!(options Ipv6RthdrDstOpts, "IPV6_RTHDRDSTOPTS" = libc::IPV6_RTHDRDSTOPTS);

/// Routing header of one IPv6 datagram (`IPV6_RTHDR`, `struct ip6_rthdr`).
///
/// Received once enabled (`IPV6_RECVRTHDR`, Linux 2.6.14), of every type that the kernel lets pass to this host: with no
/// segments left, types 0, 1 and 5 (seen on Linux 6.18 and 6.1), 4 where the host does segment routing
/// (`net.ipv6.conf.*.seg6_enabled`), and 2 where it was not built for Mobile IPv6 (`CONFIG_IPV6_MIP6`). Sent is type 2
/// alone, with one segment left, where the kernel was built for that; a segment routing header (type 4) can be given to
/// the socket alone ([`set_sticky`](Self::set_sticky)). No privilege.
///
/// ```
/// use ancillary::{message::Ipv6Rthdr, rfc3542::{RoutingBuilder, RoutingHeader, RoutingType}};
///
/// let mut buffer = [0; 64];
/// let mut route = RoutingBuilder::new(&mut buffer, RoutingType::SegmentRouting);
/// route.add("2001:db8::1".parse()?).add("2001:db8::2".parse()?);
/// let header = Ipv6Rthdr::new(route.finish()?)?; // for set_sticky
/// assert_eq!((header.routing_type(), header.segments_left()), (4, 1));
/// let route = RoutingHeader::try_from(header)?; // likewise of what was received
/// assert_eq!(route.to_string(), "SegmentRouting left 1 [2001:db8::1, 2001:db8::2]");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Wire layout
///
/// ```text
///   0             1        2      3               4      8 * (length + 1)
///   +-------------+--------+------+---------------+------+
///   | next header | length | type | segments left | data |   length: units of 8 bytes, without the first
///   +-------------+--------+------+---------------+------+
/// ```
///
/// # Errors
///
/// A header that is not as long as it says is refused when it is made. Sending: EINVAL for every other type.
///
/// # References
///
/// RFC 3542 s. 7; RFC 8200 s. 4.4; net/ipv6/datagram.c, `ip6_datagram_send_ctl`
#[doc(alias = "IPV6_RTHDR")]
#[doc(alias = "IPV6_RECVRTHDR")]
#[doc(alias = "ip6_rthdr")]
#[derive(Clone, Copy, Eq, Hash, PartialEq)]
pub struct Ipv6Rthdr<'a>(&'a [u8]);

header!(
    Ipv6Rthdr,
    "IPV6_RTHDR" = libc::IPV6_RTHDR,
    "[`EncodeError::Value`] if they are not as many as its own length says. Whether the rest is a route, \
     [`RoutingHeader::new`](crate::rfc3542::RoutingHeader::new) says, and the kernel when it is sent."
);
receives!(
    view Ipv6Rthdr,
    Self::ID,
    MAX,
    |cmsg| whole(cmsg).map(Ipv6Rthdr),
    SocketOption::new(Families::INET6, IPPROTO_IPV6, libc::IPV6_RECVRTHDR)
);

impl<'a> Ipv6Rthdr<'a> {
    /// The type of routing (`ip6r_type`).
    #[doc(alias = "ip6r_type")]
    pub const fn routing_type(self) -> u8 {
        self.0[2]
    }

    /// Nodes still to be visited (`ip6r_segleft`).
    #[doc(alias = "ip6r_segleft")]
    pub const fn segments_left(self) -> u8 {
        self.0[3]
    }

    /// What the type says: behind the first four bytes.
    pub fn data(self) -> &'a [u8] {
        &self.0[4..]
    }
}

impl fmt::Display for Ipv6Rthdr<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "type {} left {}, ", self.routing_type(), self.segments_left())?;
        hex(self.0, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::{
        RecvControl,
        laws::{reads, refuses, sends},
    };

    const ALERT: [u8; 8] = [17, 0, 5, 2, 0, 0, 1, 0];

    #[test]
    fn option_headers_go_both_ways_as_they_are() {
        let printed = "8 bytes: 11 00 05 02 00 00 01 00";
        let expected = [Ok((5, &[0, 0][..]))];
        reads::<Ipv6HopOpts>(CmsgId::new(41, 54), &ALERT, &format!("{{IPV6_HOPOPTS {printed}}}"), |header| {
            assert_eq!((header.as_bytes(), header.next_header()), (&ALERT[..], 17));
            assert_eq!(header.options().collect::<Vec<_>>(), expected);
            sends(&Ipv6HopOpts::new(header.as_bytes()).unwrap(), CmsgId::new(41, 54), &ALERT);
        });
        reads::<Ipv6DstOpts>(CmsgId::new(41, 59), &ALERT, &format!("{{IPV6_DSTOPTS {printed}}}"), |header| {
            assert_eq!((header.as_bytes(), header.next_header()), (&ALERT[..], 17));
            assert_eq!(header.options().collect::<Vec<_>>(), expected);
            sends(&Ipv6DstOpts::new(header.as_bytes()).unwrap(), CmsgId::new(41, 59), &ALERT);
        });
        sends(&Ipv6RthdrDstOpts::new(&ALERT).unwrap(), CmsgId::new(41, 55), &ALERT);
    }

    #[test]
    fn a_header_and_its_options_are_shown_in_hexadecimal_to_the_last_byte() {
        let header = Ipv6HopOpts::new(&ALERT).unwrap();
        assert_eq!(format!("{header:?}"), "Ipv6HopOpts(8 bytes: 11 00 05 02 00 00 01 00)");
        assert_eq!(format!("{:?}", header.options()), "Ipv6Options(6 bytes: 05 02 00 00 01 00)");
        assert_eq!(format!("{:?}", Ipv6RthdrDstOpts(&ALERT)), "Ipv6RthdrDstOpts(8 bytes: 11 00 05 02 00 00 01 00)");
        let mut long = [0; 48];
        (long[1], long[47]) = (5, 0xff);
        let shown = format!("{:?}", Ipv6Rthdr::new(&long).unwrap());
        assert!(shown.starts_with("Ipv6Rthdr(48 bytes: 00 05 00 ") && shown.ends_with(" 00 ff)"), "{shown}");
    }

    #[test]
    fn a_routing_header_says_type_and_segments() {
        let mut header = [0; 24];
        header[..4].copy_from_slice(&[17, 2, 2, 1]);
        header[23] = 9;
        let printed =
            "type 2 left 1, 24 bytes: 11 02 02 01 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 09";
        reads::<Ipv6Rthdr>(CmsgId::new(41, 57), &header, &format!("{{IPV6_RTHDR {printed}}}"), |found| {
            assert_eq!((found.next_header(), found.routing_type(), found.segments_left()), (17, 2, 1));
            assert_eq!((found.data(), found.as_bytes()), (&header[4..], &header[..]));
            sends(&Ipv6Rthdr::new(&header).unwrap(), CmsgId::new(41, 57), &header);
        });
    }

    #[test]
    fn the_longest_header_goes_both_ways() {
        let mut header = [1; MAX];
        header[1] = 255;
        assert_eq!(
            Ipv6HopOpts::decode(RawCmsg::new(Ipv6HopOpts::ID, &header)),
            Ipv6HopOpts::new(&header).map_err(|_| unreachable!())
        );
        assert_eq!(<Ipv6Rthdr<'_> as RecvControl>::PAYLOAD_LEN, header.len());
        sends(&Ipv6HopOpts::new(&header).unwrap(), Ipv6HopOpts::ID, &header);
    }

    /// Of a header of every length, every other number of bytes.
    #[test]
    fn a_header_is_exactly_as_long_as_it_says() {
        for units in [0, 1, 2, 7, 254, 255] {
            let mut header = vec![units; MAX + 9];
            let said = 8 * (usize::from(units) + 1);
            for found in (0..header.len()).filter(|&found| found != said) {
                let expected = if found < 2 { 8 } else { said };
                let error = DecodeError::Length { expected, found };
                refuses::<Ipv6HopOpts>(RawCmsg::new(Ipv6HopOpts::ID, &header[..found]), error);
                refuses::<Ipv6DstOpts>(RawCmsg::new(Ipv6DstOpts::ID, &header[..found]), error);
                refuses::<Ipv6Rthdr>(RawCmsg::new(Ipv6Rthdr::ID, &header[..found]), error);
                let refused =
                    |field| EncodeError::Value { field, expected: "8 * (length + 1) bytes", found: found as i64 };
                let header = &header[..found];
                assert_eq!(Ipv6HopOpts::new(header), Err(refused("IPV6_HOPOPTS")));
                assert_eq!(Ipv6DstOpts::new(header), Err(refused("IPV6_DSTOPTS")));
                assert_eq!(Ipv6RthdrDstOpts::new(header), Err(refused("IPV6_RTHDRDSTOPTS")));
                assert_eq!(Ipv6Rthdr::new(header), Err(refused("IPV6_RTHDR")));
            }
            header.truncate(said);
            assert_eq!(Ipv6Rthdr::new(&header).unwrap().as_bytes(), header);
        }
    }
}
