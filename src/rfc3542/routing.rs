//! Routing headers (section 7), those of today's kernels too.

use std::{fmt, net::Ipv6Addr};

use crate::error::{DecodeError, EncodeError};
#[cfg(linux_like)]
use crate::message::Ipv6Rthdr;

/// Bytes before the first address, for all of these types.
const FIXED: usize = 8;
const ADDR: usize = 16;
/// What the length byte can count.
const MOST: usize = 127;

/// Kinds of routing header that this module knows.
///
/// ```
/// use ancillary::rfc3542::RoutingType;
///
/// assert_eq!(RoutingType::SegmentRouting.space(2), Some(40));
/// ```
///
/// RFC 3542 s. 7; RFC 6275 s. 6.4; RFC 8754 s. 2
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum RoutingType {
    /// Source routing (`IPV6_RTHDR_TYPE_0`), which RFC 3542 is about. RFC 5095 has abolished it: Linux sends none, forwards
    /// none, and delivers what has arrived with no segments left.
    #[doc(alias = "IPV6_RTHDR_TYPE_0")]
    Source,
    /// The home address of a mobile node (`IPV6_SRCRT_TYPE_2`, RFC 6275 s. 6.4): exactly one.
    #[doc(alias = "IPV6_SRCRT_TYPE_2")]
    HomeAddress,
    /// Segment routing (`IPV6_SRCRT_TYPE_4`, SRv6, RFC 8754): the segments, of which the last is the destination. Linux
    /// takes it as a sticky option alone, and writes over the last one where the datagram goes: `::` will do there. The nodes
    /// on the way have to be told to (`net.ipv6.conf.*.seg6_enabled`); one that is Linux loses packets in which other headers
    /// stand before this one (seen on Linux 6.18).
    #[doc(alias = "IPV6_SRCRT_TYPE_4")]
    SegmentRouting,
}

impl RoutingType {
    const fn number(self) -> u8 {
        match self {
            Self::Source => 0,
            Self::HomeAddress => 2,
            Self::SegmentRouting => 4,
        }
    }

    /// Bytes that a header with so many addresses takes (`inet6_rth_space`); `None` for more than 127, and for another
    /// number than the type has.
    ///
    /// RFC 3542 s. 7.1
    #[doc(alias = "inet6_rth_space")]
    #[must_use]
    pub const fn space(self, addresses: usize) -> Option<usize> {
        let possible = match self {
            Self::Source => addresses <= MOST,
            Self::HomeAddress => addresses == 1,
            Self::SegmentRouting => addresses >= 1 && addresses <= MOST,
        };
        if possible { Some(FIXED + ADDR * addresses) } else { None }
    }
}

/// Builds a routing header in a buffer of the caller's (`inet6_rth_init`, `inet6_rth_add`).
///
/// The first error of a method is remembered, and told by [`finish`](Self::finish).
///
/// ```
/// use ancillary::rfc3542::{RoutingBuilder, RoutingHeader, RoutingType};
///
/// let mut buffer = [0; 64];
/// let mut route = RoutingBuilder::new(&mut buffer, RoutingType::SegmentRouting);
/// route.add("2001:db8::1".parse()?).add("2001:db8::2".parse()?); // in the order of travel
/// let header = RoutingHeader::new(route.finish()?)?;
/// assert_eq!((header.segments(), header.segments_left()), (2, 1));
/// assert_eq!(header.addr(0), Some("2001:db8::1".parse()?));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// RFC 3542 s. 7.2 and 7.3; RFC 8754 s. 2
pub struct RoutingBuilder<'b> {
    bytes: &'b mut [u8],
    ty: RoutingType,
    added: usize,
}

impl<'b> RoutingBuilder<'b> {
    /// A header of this type without addresses, in `bytes`: what is not needed stays as it is (`inet6_rth_init`).
    ///
    /// RFC 3542 s. 7.2
    #[doc(alias = "inet6_rth_init")]
    pub fn new(bytes: &'b mut [u8], ty: RoutingType) -> Self {
        Self { bytes, ty, added: 0 }
    }

    /// One more address, in the order of travel (`inet6_rth_add`).
    ///
    /// RFC 3542 s. 7.3
    #[doc(alias = "inet6_rth_add")]
    pub fn add(&mut self, addr: Ipv6Addr) -> &mut Self {
        let at = FIXED.saturating_add(ADDR.saturating_mul(self.added));
        if let Some(room) = self.bytes.get_mut(at..at.saturating_add(ADDR)) {
            room.copy_from_slice(&addr.octets());
        }
        self.added += 1;
        self
    }

    /// The header, to be sent as `Ipv6Rthdr`: all segments are left. The next header is 0: the kernel fills it in.
    ///
    /// # Errors
    ///
    /// [`EncodeError::Value`] for a number of addresses that the type does not have; else [`EncodeError::HeaderSpace`]
    /// with how many bytes are needed.
    pub fn finish(self) -> Result<&'b [u8], EncodeError> {
        let Some(needed) = self.ty.space(self.added) else {
            let expected = match self.ty {
                RoutingType::Source => "0..=127",
                RoutingType::HomeAddress => "1",
                RoutingType::SegmentRouting => "1..=127",
            };
            return Err(EncodeError::Value { field: "routing header: addresses", expected, found: self.added as i64 });
        };
        let available = self.bytes.len();
        let Some(header) = self.bytes.get_mut(..needed) else {
            return Err(EncodeError::HeaderSpace { needed, available });
        };
        let count = self.added as u8;
        // For segments: the last entry, no flags, no tag; for the others reserved.
        let (left, last) = if self.ty == RoutingType::SegmentRouting { (count - 1, count - 1) } else { (count, 0) };
        header[..FIXED].copy_from_slice(&[0, 2 * count, self.ty.number(), left, last, 0, 0, 0]);
        if self.ty == RoutingType::SegmentRouting {
            turn(&mut header[FIXED..]);
        }
        Ok(header)
    }
}

impl fmt::Debug for RoutingBuilder<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RoutingBuilder {{ {:?}, {} addresses in {} bytes }}", self.ty, self.added, self.bytes.len())
    }
}

/// Turns the order of addresses around.
fn turn(addresses: &mut [u8]) {
    // All bytes backwards, then each address forwards again.
    addresses.reverse();
    addresses.chunks_exact_mut(ADDR).for_each(<[u8]>::reverse);
}

/// The bytes of a routing header of a known type (`inet6_rth_segments`, `inet6_rth_getaddr`).
///
/// ```
/// use ancillary::rfc3542::RoutingHeader;
///
/// let mut header = [0; 24];
/// header[1..4].copy_from_slice(&[2, 4, 0]); // length, type, segments left
/// header[23] = 1;                           // one segment, ::1
/// let route = RoutingHeader::new(&header)?; // on Linux also RoutingHeader::try_from of a received Ipv6Rthdr
/// assert_eq!((route.segments(), route.addr(0)), (1, Some("::1".parse()?)));
/// assert_eq!(route.addrs().next(), route.addr(0));
/// assert_eq!(route.to_string(), "SegmentRouting left 0 [::1]");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// RFC 3542 s. 7.5 and 7.6; RFC 8754 s. 2; RFC 6275 s. 6.4
#[derive(Clone, Copy, Eq, PartialEq)]
pub struct RoutingHeader<'a> {
    // As long as its own length says, with so many addresses behind the first eight bytes.
    bytes: &'a [u8],
    ty: RoutingType,
    segments: usize,
}

impl<'a> RoutingHeader<'a> {
    /// The header in `bytes`, all of them.
    ///
    /// # Errors
    ///
    /// [`DecodeError::Length`] if they are not as many as its own length says, or hold fewer addresses than it says;
    /// [`DecodeError::Value`] for another type, a length that is no number of addresses, more segments left than it has.
    pub fn new(bytes: &'a [u8]) -> Result<Self, DecodeError> {
        let (ty, segments) = layout(bytes)?;
        Ok(Self { bytes, ty, segments })
    }

    /// Of which type it is.
    pub const fn routing_type(self) -> RoutingType {
        self.ty
    }

    /// How many addresses it has (`inet6_rth_segments`).
    ///
    /// RFC 3542 s. 7.5
    #[doc(alias = "inet6_rth_segments")]
    pub const fn segments(self) -> usize {
        self.segments
    }

    /// How many of them are still to be visited.
    pub const fn segments_left(self) -> u8 {
        self.bytes[3]
    }

    /// An address, counted in the order of travel (`inet6_rth_getaddr`).
    ///
    /// RFC 3542 s. 7.6
    #[doc(alias = "inet6_rth_getaddr")]
    pub fn addr(self, index: usize) -> Option<Ipv6Addr> {
        if index >= self.segments {
            return None;
        }
        let place = if self.ty == RoutingType::SegmentRouting { self.segments - 1 - index } else { index };
        let octets = self.bytes.get(FIXED + ADDR * place..)?.first_chunk::<ADDR>()?;
        Some(Ipv6Addr::from(*octets))
    }

    /// All addresses, in the order of travel.
    pub fn addrs(self) -> impl Iterator<Item = Ipv6Addr> + Clone + 'a {
        (0..self.segments).map_while(move |index| self.addr(index))
    }

    /// The whole header.
    pub const fn as_bytes(self) -> &'a [u8] {
        self.bytes
    }
}

#[cfg(linux_like)]
impl<'a> TryFrom<Ipv6Rthdr<'a>> for RoutingHeader<'a> {
    type Error = DecodeError;

    fn try_from(header: Ipv6Rthdr<'a>) -> Result<Self, DecodeError> {
        Self::new(header.as_bytes())
    }
}

impl fmt::Debug for RoutingHeader<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for RoutingHeader<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} left {} ", self.ty, self.segments_left())?;
        f.debug_list().entries(self.addrs()).finish()
    }
}

/// Makes of a received header, in place, the one that leads back (`inet6_rth_reverse`): the nodes on the way in the other
/// order, and all segments left.
///
/// Of segments the last one stays, since it is no node on the way but the destination, over which Linux writes when it
/// sends. What stands behind the segments stays too: a code of authentication (HMAC) there is no longer true.
///
/// ```
/// use ancillary::rfc3542::{RoutingBuilder, RoutingHeader, RoutingType, reverse};
///
/// let nodes = ["2001:db8::1", "2001:db8::2"].map(|node| node.parse().unwrap());
/// let mut buffer = [0; 64];
/// let mut route = RoutingBuilder::new(&mut buffer, RoutingType::Source);
/// route.add(nodes[0]).add(nodes[1]);
/// let mut header = route.finish()?.to_vec();
/// header[3] = 0; // as it arrives, with no segments left
/// reverse(&mut header)?;
/// assert_eq!(RoutingHeader::new(&header)?.to_string(), "Source left 2 [2001:db8::2, 2001:db8::1]");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// Of SRv6 the way back is the socket's own (Linux), since the kernel refuses that type in a message (EINVAL); so it is every
/// datagram's until it is cleared:
///
/// ```
/// # #[cfg(target_os = "linux")] {
/// use ancillary::{ControlBuf, MsgHdr, SocketExt, message::{AtMost, Ipv6Rthdr}, rfc3542::reverse};
/// use std::{error::Error, net::UdpSocket};
///
/// type Route = AtMost<Ipv6Rthdr<'static>, 256>;
///
/// /// Answers one datagram, by the nodes on its way if it says them; `socket` has `Route` enabled.
/// fn answer(socket: &UdpSocket) -> Result<(), Box<dyn Error>> {
///     let (mut data, mut control) = ([0; 1500], ControlBuf::<Route, 512>::new());
///     let message = socket.recv_msg(&mut data, &mut control)?;
///     message.require_complete()?;
///     let mut answer = MsgHdr::new();
///     answer.to(message.peer()).data(message.data());
///     let Some(route) = message.extract().filter(|route| route.routing_type() == 4) else {
///         answer.send(socket)?;
///         return Ok(());
///     };
///     let mut back = route.as_bytes().to_vec(); // the control buffer only lends it
///     reverse(&mut back)?;
///     Ipv6Rthdr::new(&back)?.set_sticky(socket)?;
///     let sent = answer.send(socket);
///     Ipv6Rthdr::clear_sticky(socket)?;
///     sent?;
///     Ok(())
/// }
/// # let (Ok(server), Ok(client)) = (UdpSocket::bind("[::1]:0"), UdpSocket::bind("[::1]:0")) else { return }; // without IPv6
/// # server.enable::<Route>().unwrap();
/// # client.send_to(b"ping", server.local_addr().unwrap()).unwrap();
/// # answer(&server).unwrap();
/// # client.set_read_timeout(Some(std::time::Duration::from_secs(20))).unwrap();
/// # let mut data = [0; 8];
/// # assert_eq!(client.recv(&mut data).unwrap(), 4);
/// # }
/// ```
///
/// RFC 3542 s. 7.4; whether a route may be taken back is the application's to judge.
///
/// # Errors
///
/// Those of [`RoutingHeader::new`]; [`DecodeError::Value`] for a home address, which is no route. Nothing is changed then.
#[doc(alias = "inet6_rth_reverse")]
pub fn reverse(header: &mut [u8]) -> Result<(), DecodeError> {
    let (ty, segments) = layout(header)?;
    // The last segment is the first in the header.
    let (first, left) = match ty {
        RoutingType::Source => (0, segments),
        RoutingType::SegmentRouting => (1, segments - 1),
        RoutingType::HomeAddress => {
            return Err(DecodeError::Value { field: "routing type", expected: "0 or 4, which are routes", found: 2 });
        }
    };
    turn(&mut header[FIXED + ADDR * first..FIXED + ADDR * segments]);
    header[3] = left as u8;
    Ok(())
}

/// Type and number of addresses.
fn layout(bytes: &[u8]) -> Result<(RoutingType, usize), DecodeError> {
    let found = bytes.len();
    let [_, units, ty, left, last, ..] = *bytes else {
        return Err(DecodeError::Length { expected: FIXED, found });
    };
    let expected = (usize::from(units) + 1) * 8;
    if found != expected {
        return Err(DecodeError::Length { expected, found });
    }
    let value = |field, expected, found: u8| Err(DecodeError::Value { field, expected, found: found.into() });
    let (ty, segments) = match ty {
        0 if units % 2 != 0 => return value("routing header length", "an even number", units),
        0 => (RoutingType::Source, usize::from(units / 2)),
        2 if units != 2 => return value("routing header length", "2", units),
        2 => (RoutingType::HomeAddress, 1),
        // Behind the segments there may be other things.
        4 => (RoutingType::SegmentRouting, usize::from(last) + 1),
        _ => return value("routing type", "0, 2 or 4", ty),
    };
    let needed = FIXED + ADDR * segments;
    if found < needed {
        return Err(DecodeError::Length { expected: needed, found });
    }
    if usize::from(left) > segments {
        return value("segments left", "no more than there are", left);
    }
    Ok((ty, segments))
}

#[cfg(all(test, linux_like))]
mod tests;
