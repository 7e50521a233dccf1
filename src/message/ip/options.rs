//! IPv4 options, received and sent.

use std::{fmt, iter::FusedIterator};

use nix::libc::{self, IPPROTO_IP};

use crate::{
    cmsg::{CmsgId, RawCmsg},
    error::{DecodeError, EncodeError},
    options::{Families, SocketOption},
    text::{debug_hex, hex},
};

/// The most that an IPv4 header has (`MAX_IPOPTLEN`): 60 bytes less the 20 without options.
const MAX: usize = 40;

// RFC 791 s. 3.1.
const END: u8 = 0;
const NO_OPERATION: u8 = 1;

/// IPv4 options of one received datagram, as they stand in its header (`IP_RECVOPTS`).
///
/// Received once enabled (`IP_RECVOPTS`, Linux 2.2), also on an IPv6 socket for IPv4 peers; absent where the header has
/// none. A record route or a timestamp option has this host's own entry already. No privilege. Not delivered by TCP.
/// To answer with them see [`IpRetOpts`].
///
/// ```
/// use ancillary::{ControlBuf, MsgHdr, SocketExt, message::{IpRecvOpts, IpRetOpts}};
/// use std::net::UdpSocket;
///
/// # fn main() -> std::io::Result<()> {
/// let socket = UdpSocket::bind("127.0.0.1:0")?;
/// socket.enable::<IpRecvOpts<'_>>()?;
/// let record_route = [7, 11, 4, 0, 0, 0, 0, 0, 0, 0, 0]; // room for two addresses
/// let options = IpRetOpts::new(&record_route)?;
/// MsgHdr::new().to(socket.local_addr()?).data(b"which way?").control(options).send(&socket)?;
///
/// let (mut data, mut control) = ([0; 16], ControlBuf::<IpRecvOpts<'_>>::new());
/// let message = socket.recv_msg(&mut data, &mut control)?;
/// let options = message.extract().expect("sent with some");
/// let (ty, route) = options.options().next().unwrap()?;
/// assert_eq!((ty, &route[1..5]), (7, &[127, 0, 0, 1][..])); // behind where the next one goes
/// # Ok(())
/// # }
/// ```
///
/// # Wire layout
///
/// ```text
///   0         4 to 40, a multiple of 4
///   +---------+
///   | options |   the bytes behind the fixed header
///   +---------+
/// ```
///
/// # References
///
/// [ip(7)](https://man7.org/linux/man-pages/man7/ip.7.html), `IP_RECVOPTS`; RFC 791 s. 3.1; net/ipv4/ip_sockglue.c,
/// `ip_cmsg_recv_opts`
#[doc(alias = "IP_RECVOPTS")]
#[derive(Clone, Copy, Eq, Hash, PartialEq)]
pub struct IpRecvOpts<'a>(&'a [u8]);

impl<'a> IpRecvOpts<'a> {
    pub(crate) const ID: CmsgId = CmsgId::new(IPPROTO_IP, libc::IP_RECVOPTS);

    /// All bytes, with padding.
    pub const fn as_bytes(self) -> &'a [u8] {
        self.0
    }

    /// The options one by one.
    pub const fn options(self) -> IpOptions<'a> {
        IpOptions { rest: self.0 }
    }
}

impl fmt::Debug for IpRecvOpts<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        debug_hex("IpRecvOpts", self.0, f)
    }
}

impl fmt::Display for IpRecvOpts<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        hex(self.0, f)
    }
}

receives!(
    view IpRecvOpts,
    Self::ID,
    MAX,
    |cmsg| whole_words(cmsg, 4).map(IpRecvOpts),
    SocketOption::new(Families::INET, IPPROTO_IP, libc::IP_RECVOPTS)
);

/// IPv4 options for an answer, and to send (`IP_RETOPTS`).
///
/// Received once enabled (`IP_RETOPTS`, Linux 2.2), also on an IPv6 socket for IPv4 peers: the options of the datagram
/// made ready to be sent back, a source route reversed, record route and timestamp to go on behind the entries that
/// they have. Most others are left out, so that it may be empty; absent where the header has none. When sent, it is what
/// stands in the header, instead of the socket's own (`IP_OPTIONS`): none of them with an empty one. Not delivered by
/// TCP.
///
/// Source routes and options that the kernel does not know need `CAP_NET_RAW`.
///
/// ```
/// use ancillary::message::IpRetOpts;
///
/// let record_route = [7, 7, 4, 0, 0, 0, 0]; // room for one address
/// let options = IpRetOpts::new(&record_route)?;
/// assert_eq!(options.options().next(), Some(Ok((7, &record_route[2..]))));
/// # Ok::<(), ancillary::EncodeError>(())
/// ```
///
/// # Wire layout
///
/// ```text
///   0         received: 0 to 40, a multiple of 4; sent: 0 to 40
///   +---------+
///   | options |   the kernel fills up to a multiple of 4
///   +---------+
/// ```
///
/// # Errors
///
/// More than 40 bytes are refused when it is made: the kernel would cut them off. Sending: EINVAL for options that make
/// no sense, EPERM without the privilege.
///
/// # References
///
/// [ip(7)](https://man7.org/linux/man-pages/man7/ip.7.html), `IP_RETOPTS`; RFC 791 s. 3.1; net/ipv4/ip_options.c,
/// `__ip_options_echo`, `ip_options_get`
#[doc(alias = "IP_RETOPTS")]
#[derive(Clone, Copy, Eq, Hash, PartialEq)]
pub struct IpRetOpts<'a>(&'a [u8]);

impl<'a> IpRetOpts<'a> {
    pub(crate) const ID: CmsgId = CmsgId::new(IPPROTO_IP, libc::IP_RETOPTS);

    /// Options to send, as RFC 791 writes them.
    ///
    /// # Errors
    ///
    /// [`EncodeError::Value`] for more than 40 bytes.
    pub const fn new(options: &'a [u8]) -> Result<Self, EncodeError> {
        if options.len() > MAX {
            let found = options.len() as i64;
            return Err(EncodeError::Value { field: "IP_RETOPTS", expected: "at most 40 bytes", found });
        }
        Ok(Self(options))
    }

    /// All bytes, with padding.
    pub const fn as_bytes(self) -> &'a [u8] {
        self.0
    }

    /// The options one by one.
    pub const fn options(self) -> IpOptions<'a> {
        IpOptions { rest: self.0 }
    }
}

impl fmt::Debug for IpRetOpts<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        debug_hex("IpRetOpts", self.0, f)
    }
}

impl fmt::Display for IpRetOpts<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        hex(self.0, f)
    }
}

sends!(IpRetOpts<'_>, Self::ID, |options| options.0);
receives!(
    view IpRetOpts,
    Self::ID,
    MAX,
    |cmsg| whole_words(cmsg, 0).map(IpRetOpts),
    SocketOption::new(Families::INET, IPPROTO_IP, libc::IP_RETOPTS)
);

#[inline(always)]
fn whole_words(cmsg: RawCmsg<'_>, least: usize) -> Result<&[u8], DecodeError> {
    let found = cmsg.payload().len();
    if (least..=MAX).contains(&found) && found % 4 == 0 {
        return Ok(cmsg.payload());
    }
    Err(DecodeError::Length { expected: least, found })
}

/// Iterates over IPv4 options: type (copied flag, class and number in one byte) and data, without the length byte.
///
/// The no-operation is skipped; the end of the list ends it. An option that makes no sense comes out once, as an error,
/// and ends it too: [`DecodeError::Length`] for one longer than what is left, [`DecodeError::Value`] for one shorter
/// than its own two bytes.
///
/// ```
/// use ancillary::message::IpRetOpts;
///
/// // No operation, router alert (RFC 2113), no operation, end of the list.
/// let sent = IpRetOpts::new(&[1, 0x94, 4, 0, 0, 1, 0])?;
/// let found: Vec<_> = sent.options().collect::<Result<_, _>>()?;
/// assert_eq!(found, [(0x94, &[0, 0][..])]);
///
/// let cut = IpRetOpts::new(&[0x94, 4, 0])?;
/// assert_eq!(cut.options().next().unwrap().unwrap_err().to_string(), "expected 4 bytes, found 3");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// RFC 791 s. 3.1
#[derive(Clone)]
#[must_use = "iterators are lazy"]
pub struct IpOptions<'a> {
    rest: &'a [u8],
}

impl<'a> Iterator for IpOptions<'a> {
    type Item = Result<(u8, &'a [u8]), DecodeError>;

    fn next(&mut self) -> Option<Self::Item> {
        let at = self.rest.iter().position(|&ty| ty != NO_OPERATION)?;
        let option = &self.rest[at..];
        // What follows an error or the end is nothing.
        self.rest = &[];
        match *option {
            [END, ..] | [] => None,
            [_] => Some(Err(DecodeError::Length { expected: 2, found: 1 })),
            [_, len @ (0 | 1), ..] => {
                Some(Err(DecodeError::Value { field: "IPv4 option length", expected: "2..=40", found: len.into() }))
            }
            [ty, len, ..] => match option.split_at_checked(len.into()) {
                Some((option, rest)) => {
                    self.rest = rest;
                    Some(Ok((ty, &option[2..])))
                }
                None => Some(Err(DecodeError::Length { expected: len.into(), found: option.len() })),
            },
        }
    }
}

impl FusedIterator for IpOptions<'_> {}

/// What is left.
impl fmt::Debug for IpOptions<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        debug_hex("IpOptions", self.rest, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::laws::{reads, refuses_lengths, sends};

    const RECORD_ROUTE: [u8; 8] = [7, 7, 8, 192, 0, 2, 1, 0];

    fn list(bytes: &[u8]) -> Vec<Result<(u8, &[u8]), DecodeError>> {
        IpOptions { rest: bytes }.collect()
    }

    #[test]
    fn options_arrive_as_they_are() {
        let printed = "8 bytes: 07 07 08 c0 00 02 01 00";
        reads::<IpRecvOpts>(IpRecvOpts::ID, &RECORD_ROUTE, &format!("{{IP_RECVOPTS {printed}}}"), |options| {
            assert_eq!(options.as_bytes(), RECORD_ROUTE);
            assert_eq!(options.options().collect::<Vec<_>>(), [Ok((7, &[8, 192, 0, 2, 1][..]))]);
        });
        reads::<IpRetOpts>(IpRetOpts::ID, &RECORD_ROUTE, &format!("{{IP_RETOPTS {printed}}}"), |options| {
            assert_eq!(options, IpRetOpts::new(&RECORD_ROUTE).unwrap());
            assert_eq!(options.options().collect::<Vec<_>>(), [Ok((7, &[8, 192, 0, 2, 1][..]))]);
        });
        reads::<IpRecvOpts>(
            IpRecvOpts::ID,
            &[1; 40],
            &format!("{{IP_RECVOPTS 40 bytes:{} ...}}", " 01".repeat(32)),
            |o| {
                assert_eq!(o.options().next(), None);
            },
        );
        reads::<IpRetOpts>(IpRetOpts::ID, &[], "{IP_RETOPTS 0 bytes}", |options| assert_eq!(options.as_bytes(), []));
    }

    #[test]
    fn only_whole_words_up_to_forty_bytes_are_options() {
        refuses_lengths::<IpRecvOpts>(IpRecvOpts::ID, &[4, 8, 12, 16, 20, 24, 28, 32, 36, 40], 4);
        refuses_lengths::<IpRetOpts>(IpRetOpts::ID, &[0, 4, 8, 12, 16, 20, 24, 28, 32, 36, 40], 0);
    }

    #[test]
    fn options_go_out_as_they_are_and_no_more_than_forty_bytes() {
        let bytes = [1; 41];
        for len in 0..=40 {
            sends(&IpRetOpts::new(&bytes[..len]).unwrap(), IpRetOpts::ID, &bytes[..len]);
        }
        let error = EncodeError::Value { field: "IP_RETOPTS", expected: "at most 40 bytes", found: 41 };
        assert_eq!(IpRetOpts::new(&bytes), Err(error));
    }

    #[test]
    fn padding_is_skipped_and_the_end_ends_it() {
        assert_eq!(list(&[1, 1, 0x94, 4, 0, 0, 1, 0x44, 3, 5]), [Ok((0x94, &[0, 0][..])), Ok((0x44, &[5][..]))]);
        assert_eq!(list(&[0x82, 2, 0, 0x94, 4, 0, 0]), [Ok((0x82, &[][..]))]);
        assert_eq!(list(&[]), []);
        assert_eq!(list(&[1, 1, 1]), []);
    }

    #[test]
    fn a_malformed_option_comes_out_once_and_is_the_last() {
        let short = |found| Err(DecodeError::Value { field: "IPv4 option length", expected: "2..=40", found });
        assert_eq!(
            list(&[0x94, 4, 0, 0, 7]),
            [Ok((0x94, &[0, 0][..])), Err(DecodeError::Length { expected: 2, found: 1 })]
        );
        assert_eq!(list(&[7, 0, 7, 3, 4]), [short(0)]);
        assert_eq!(list(&[1, 7, 1, 7, 3, 4]), [short(1)]);
        assert_eq!(list(&[7, 5, 4, 0]), [Err(DecodeError::Length { expected: 5, found: 4 })]);
        assert_eq!(list(&[7, 255]), [Err(DecodeError::Length { expected: 255, found: 2 })]);
    }

    #[test]
    fn any_two_bytes_before_a_whole_option_end_safely() {
        for first in 0..=u8::MAX {
            for second in 0..=u8::MAX {
                let bytes = [first, second, 7, 3, 4, 0, 0, 0];
                let found = list(&bytes);
                assert!(found.len() <= 2, "{bytes:?}");
                let said: usize = found.iter().flatten().map(|(_, data)| data.len() + 2).sum();
                assert!(said <= bytes.len(), "{bytes:?}");
                assert!(found.iter().rev().skip(1).all(Result::is_ok), "{bytes:?}: an error is the last");
            }
        }
    }
}
