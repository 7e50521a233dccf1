//! IPv6 addresses with their zone.

use std::{
    fmt,
    net::{Ipv6Addr, SocketAddrV6},
    str::FromStr,
};

use crate::{error::ScopeError, interface};

/// An IPv6 address and the zone it is of: `fe80::1%eth0`, or `fe80::1%2`.
///
/// A link-local address is the same on every link; its zone is the interface, which a [`SocketAddrV6`] knows by number
/// alone. Read, a name goes before a number (an interface may be called `2`), and a number is taken as it is. Printed,
/// the zone is the interface's name, or its number where there is no such interface, or where the address is of a larger
/// scope; 0 is no zone.
///
/// Without a zone connect(2) and bind(2) refuse a link-local address (EINVAL), but sendmsg(2) of Linux takes any link
/// that has a route.
///
/// ```
/// use ancillary::interface::{self, ScopedAddr};
/// # fn main() -> std::io::Result<()> {
/// # let list = interface::list()?;
/// # let Some(lo) = list.iter().find(|found| found.name == "lo") else { return Ok(()) };
/// let addr: ScopedAddr = "fe80::1%lo".parse()?;
/// assert_eq!(addr.scope_id, lo.index);
/// assert_eq!(addr.to_string(), "fe80::1%lo");
/// let to = addr.with_port(4711);                     // for bind, connect, MsgHdr::to
/// assert_eq!((to.port(), to.scope_id()), (4711, lo.index));
/// assert_eq!(ScopedAddr::from(to), addr);            // and what a receive tells is printed so
///
/// let error = "fe80::1%nowhere".parse::<ScopedAddr>().unwrap_err();
/// assert_eq!(error.to_string(), "expected an interface's name or number behind '%', found \"nowhere\"");
/// # Ok(())
/// # }
/// ```
///
/// With a port: [`ScopedSocketAddr`](crate::interface::ScopedSocketAddr).
///
/// RFC 4007 s. 11
#[doc(alias = "sin6_scope_id")]
#[doc(alias = "zone")]
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct ScopedAddr {
    /// The address.
    pub addr: Ipv6Addr,
    /// Its zone, which for a link-local address is the index of an interface; 0: none.
    pub scope_id: u32,
}

impl ScopedAddr {
    /// Of an address and its zone; 0: none.
    pub const fn new(addr: Ipv6Addr, scope_id: u32) -> Self {
        Self { addr, scope_id }
    }

    /// As a socket's address, with no flow information.
    #[must_use]
    pub const fn with_port(self, port: u16) -> SocketAddrV6 {
        SocketAddrV6::new(self.addr, port, 0, self.scope_id)
    }
}

impl From<SocketAddrV6> for ScopedAddr {
    fn from(addr: SocketAddrV6) -> Self {
        Self::new(*addr.ip(), addr.scope_id())
    }
}

impl From<Ipv6Addr> for ScopedAddr {
    fn from(addr: Ipv6Addr) -> Self {
        Self::new(addr, 0)
    }
}

/// A number without a sign, which Rust's integers may have.
pub(super) fn unsigned<T: FromStr>(text: &str) -> Option<T> {
    text.parse().ok().filter(|_| !text.starts_with('+'))
}

/// Whether the zone is an interface: link-local, and multicast that does not leave the interface or the link.
fn zone_is_interface(addr: &Ipv6Addr) -> bool {
    addr.is_unicast_link_local() || matches!(addr.octets(), [0xff, flags, ..] if matches!(flags & 0xf, 1 | 2))
}

impl FromStr for ScopedAddr {
    type Err = ScopeError;

    fn from_str(text: &str) -> Result<Self, ScopeError> {
        let (ip, zone) = match text.split_once('%') {
            Some((ip, zone)) => (ip, Some(zone)),
            None => (text, None),
        };
        let addr = ip.parse::<Ipv6Addr>().map_err(|_| ScopeError::Address { found: ip.to_owned() })?;
        let Some(zone) = zone else { return Ok(addr.into()) };
        if zone.is_empty() {
            return Err(ScopeError::EmptyZone { addr });
        }
        let named = zone_is_interface(&addr);
        if let Some(index) = named.then(|| interface::index(zone).ok()).flatten() {
            return Ok(Self::new(addr, index));
        }
        let found = || zone.to_owned();
        match unsigned(zone) {
            Some(number) => Ok(Self::new(addr, number)),
            _ if named => Err(ScopeError::Interface { found: found() }),
            _ => Err(ScopeError::NotLinkLocal { addr, found: found() }),
        }
    }
}

impl fmt::Display for ScopedAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { addr, scope_id } = *self;
        if scope_id == 0 {
            return fmt::Display::fmt(&addr, f);
        }
        // A name that does not lead back, since it is no UTF-8 or has just changed, would be another zone.
        let name = zone_is_interface(&addr).then(|| interface::name(scope_id).ok()).flatten();
        let text = match name.filter(|name| interface::index(name).is_ok_and(|index| index == scope_id)) {
            Some(name) => format!("{addr}%{name}"),
            None => format!("{addr}%{scope_id}"),
        };
        f.pad(&text)
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use proptest::prelude::*;

    use super::*;

    const LINK_LOCAL: Ipv6Addr = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 1);
    /// No interface has this number.
    const NOWHERE: u32 = 0x7fff_fff0;

    fn read(text: &str) -> Result<ScopedAddr, ScopeError> {
        text.parse()
    }

    #[test]
    fn a_zone_is_a_number_or_the_name_of_an_interface() {
        assert_eq!(read("fe80::1"), Ok(LINK_LOCAL.into()));
        assert_eq!(read("fe80::1%0"), Ok(LINK_LOCAL.into()));
        assert_eq!(read("fe80::1%2147483632"), Ok(ScopedAddr::new(LINK_LOCAL, NOWHERE)));
        assert_eq!(read("2001:db8::1%7"), Ok(ScopedAddr::new("2001:db8::1".parse().unwrap(), 7)));
        let (index, name) = an_interface();
        for (addr, named) in [
            ("fe80::1", true),
            ("febf::1", true),
            ("ff02::1", true),
            ("ff11::1", true),
            ("fec0::1", false),
            ("ff05::1", false),
            ("ff0e::1", false),
            ("::1", false),
        ] {
            let text = format!("{addr}%{name}");
            let ip = addr.parse().unwrap();
            if named {
                assert_eq!(read(&text), Ok(ScopedAddr::new(ip, index)));
                assert_eq!(ScopedAddr::new(ip, index).to_string(), text);
            } else {
                assert_eq!(read(&text), Err(ScopeError::NotLinkLocal { addr: ip, found: name.clone() }));
                assert_eq!(ScopedAddr::new(ip, index).to_string(), format!("{addr}%{index}"));
            }
        }
    }

    /// Loopback is everywhere, under various names.
    fn an_interface() -> (u32, String) {
        let mut known = (1..100).filter_map(|index| Some((index, interface::name(index).ok()?)));
        known.next().expect("an interface")
    }

    #[test]
    fn what_is_no_address_or_has_no_zone_is_refused() {
        let refused = |text: &str, expected: ScopeError, printed: &str| {
            let error = read(text).unwrap_err();
            assert_eq!((&error, error.to_string().as_str()), (&expected, printed), "{text}");
            let error = io::Error::from(error);
            assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
            assert_eq!(error.get_ref().and_then(|cause| cause.downcast_ref()), Some(&expected));
        };
        for text in ["", "fe80::1::", "127.0.0.1", "[fe80::1]", " fe80::1", "eth0"] {
            let found = text.to_owned();
            refused(text, ScopeError::Address { found }, &format!("expected an IPv6 address, found {text:?}"));
        }
        refused("%lo", ScopeError::Address { found: String::new() }, "expected an IPv6 address, found \"\"");
        let printed = "expected an interface's name or number behind \"fe80::1%\", found nothing";
        refused("fe80::1%", ScopeError::EmptyZone { addr: LINK_LOCAL }, printed);
        for zone in ["no such", "%2", "-1", "+1", "4294967296", "lo\0", "lo%lo", &"l".repeat(300)] {
            let printed = format!("expected an interface's name or number behind '%', found {zone:?}");
            refused(&format!("fe80::1%{zone}"), ScopeError::Interface { found: zone.to_owned() }, &printed);
        }
        let addr = "2001:db8::1".parse().unwrap();
        let printed = "expected a number behind \"2001:db8::1%\", which is not link-local, found \"eth0\"";
        refused("2001:db8::1%eth0", ScopeError::NotLinkLocal { addr, found: "eth0".into() }, printed);
    }

    #[test]
    fn where_there_is_no_interface_the_number_is_printed() {
        assert_eq!(ScopedAddr::new(LINK_LOCAL, NOWHERE).to_string(), "fe80::1%2147483632");
        assert_eq!(ScopedAddr::from(LINK_LOCAL).to_string(), "fe80::1");
        assert_eq!(format!("{:>9}|", ScopedAddr::from(LINK_LOCAL)), "  fe80::1|");
        assert_eq!(format!("{:<20}|", ScopedAddr::new(LINK_LOCAL, NOWHERE)), "fe80::1%2147483632  |");
    }

    #[test]
    fn a_port_is_added_and_taken_off() {
        let addr = ScopedAddr::new(LINK_LOCAL, 3);
        assert_eq!(addr.with_port(80), SocketAddrV6::new(LINK_LOCAL, 80, 0, 3));
        assert_eq!(ScopedAddr::from(SocketAddrV6::new(LINK_LOCAL, 80, 5, 3)), addr);
    }

    proptest! {
        #[test]
        fn what_is_printed_is_read_back(bits in any::<u128>(), local in any::<bool>(), scope_id in prop_oneof![0..5u32, any::<u32>()]) {
            let bits = if local { 0xfe80 << 112 | bits >> 64 } else { bits };
            let addr = ScopedAddr::new(bits.into(), scope_id);
            prop_assert_eq!(read(&addr.to_string()), Ok(addr));
        }

        #[test]
        fn no_text_panics(text in "[0-9a-f:.%+l o]{0,24}") {
            if let Ok(addr) = read(&text) {
                prop_assert_eq!(read(&addr.to_string()), Ok(addr));
            }
        }
    }
}
