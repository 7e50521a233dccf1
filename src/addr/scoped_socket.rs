//! IPv6 addresses with their zone and a port.

use std::{
    fmt, io,
    net::{SocketAddr, SocketAddrV6, ToSocketAddrs},
    option,
    str::FromStr,
};

use super::{ScopedAddr, scoped::unsigned};
use crate::error::ScopeError;

/// An IPv6 address with its zone, and a port: `[fe80::1%eth0]:80`.
///
/// A [`SocketAddrV6`] is the same to a socket, but reads and prints the zone by number alone. It is made into one, and goes
/// wherever one does: to bind(2) and connect(2) of the standard library ([`ToSocketAddrs`]), to
/// [`MsgHdr::to`](crate::MsgHdr::to).
///
/// ```
/// use ancillary::interface::{self, ScopedSocketAddr};
/// use std::net::{SocketAddrV6, UdpSocket};
/// # fn main() -> std::io::Result<()> {
/// # let list = interface::list()?;
/// # let Some(lo) = list.iter().find(|found| found.name == "lo") else { return Ok(()) };
/// let addr: ScopedSocketAddr = "[fe80::1%lo]:80".parse()?;
/// assert_eq!((addr.port, addr.addr.scope_id), (80, lo.index));
/// assert_eq!(addr.to_string(), "[fe80::1%lo]:80");
/// let to = SocketAddrV6::from(addr);
/// assert_eq!(ScopedSocketAddr::from(to), addr); // and what a receive tells is printed so
///
/// # let Ok(_) = UdpSocket::bind("[::1]:0") else { return Ok(()) }; // without IPv6
/// let socket = UdpSocket::bind("[::1]:0".parse::<ScopedSocketAddr>()?)?;
/// # drop(socket);
///
/// let error = "fe80::1%lo:80".parse::<ScopedSocketAddr>().unwrap_err();
/// assert_eq!(error.to_string(), "expected \"[address%zone]:port\", found \"fe80::1%lo:80\"");
/// # Ok(())
/// # }
/// ```
///
/// RFC 4007 s. 11; RFC 5952 s. 6
#[doc(alias = "sockaddr_in6")]
#[doc(alias = "zone")]
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct ScopedSocketAddr {
    /// The address and its zone.
    pub addr: ScopedAddr,
    /// The port, in this host's byte order.
    pub port: u16,
}

impl ScopedSocketAddr {
    /// Of an address with its zone, and a port.
    pub const fn new(addr: ScopedAddr, port: u16) -> Self {
        Self { addr, port }
    }
}

/// Without the flow information.
impl From<SocketAddrV6> for ScopedSocketAddr {
    fn from(addr: SocketAddrV6) -> Self {
        Self::new(addr.into(), addr.port())
    }
}

/// With no flow information.
impl From<ScopedSocketAddr> for SocketAddrV6 {
    fn from(addr: ScopedSocketAddr) -> Self {
        addr.addr.with_port(addr.port)
    }
}

impl From<ScopedSocketAddr> for SocketAddr {
    fn from(addr: ScopedSocketAddr) -> Self {
        Self::V6(addr.into())
    }
}

impl ToSocketAddrs for ScopedSocketAddr {
    type Iter = option::IntoIter<SocketAddr>;

    fn to_socket_addrs(&self) -> io::Result<Self::Iter> {
        SocketAddr::from(*self).to_socket_addrs()
    }
}

impl FromStr for ScopedSocketAddr {
    type Err = ScopeError;

    fn from_str(text: &str) -> Result<Self, ScopeError> {
        // The name of an interface may have brackets, but no colon.
        let Some((addr, port)) = text.strip_prefix('[').and_then(|text| text.rsplit_once("]:")) else {
            return Err(ScopeError::Form { found: text.to_owned() });
        };
        let addr = addr.parse()?;
        match unsigned(port) {
            Some(number) => Ok(Self::new(addr, number)),
            None => Err(ScopeError::Port { found: port.to_owned() }),
        }
    }
}

impl fmt::Display for ScopedSocketAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&format!("[{}]:{}", self.addr, self.port))
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv6Addr;

    use proptest::prelude::*;

    use super::*;
    use crate::interface;

    const LINK_LOCAL: Ipv6Addr = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 1);

    fn read(text: &str) -> Result<ScopedSocketAddr, ScopeError> {
        text.parse()
    }

    #[test]
    fn an_address_with_zone_and_port_is_read_and_printed() {
        // Loopback is everywhere, under various names.
        let mut known = (1..100).filter_map(|index| Some((index, interface::name(index).ok()?)));
        let (index, name) = known.next().expect("an interface");
        let text = format!("[fe80::1%{name}]:80");
        let addr = ScopedSocketAddr::new(ScopedAddr::new(LINK_LOCAL, index), 80);
        assert_eq!((read(&text), addr.to_string()), (Ok(addr), text));
        assert_eq!(read(&format!("[fe80::1%{index}]:80")), Ok(addr));
        let expected = SocketAddrV6::new(LINK_LOCAL, 80, 0, index);
        assert_eq!((SocketAddrV6::from(addr), SocketAddr::from(addr)), (expected, expected.into()));
        assert_eq!(addr.to_socket_addrs().unwrap().collect::<Vec<_>>(), [expected.into()]);
        assert_eq!(ScopedSocketAddr::from(SocketAddrV6::new(LINK_LOCAL, 80, 7, index)), addr);

        for text in ["[::]:0", "[::1]:65535", "[2001:db8::1%7]:1", "[fe80::1%2147483632]:9"] {
            assert_eq!(read(text).unwrap().to_string(), text);
        }
        assert_eq!(format!("{:>9}|{:<9}|", read("[::]:80").unwrap(), read("[::]:80").unwrap()), "  [::]:80|[::]:80  |");
    }

    #[test]
    fn what_is_malformed_is_refused_by_its_part() {
        let refused = |text: &str, expected: ScopeError, printed: &str| {
            let error = read(text).unwrap_err();
            assert_eq!((&error, error.to_string().as_str()), (&expected, printed), "{text}");
        };
        for text in [
            "",
            "[",
            "]",
            "]:",
            "[]",
            "::1",
            "::1:80",
            "fe80::1%lo:80",
            "[fe80::1%lo]",
            "[fe80::1%lo]80",
            "[::1] :80",
            " [::1]:80",
            "(::1):80",
            "127.0.0.1:80",
            "[::1:80",
            "::1]:80",
            "localhost:80",
        ] {
            let printed = format!("expected \"[address%zone]:port\", found {text:?}");
            refused(text, ScopeError::Form { found: text.to_owned() }, &printed);
        }
        for port in ["", "+80", "-1", "65536", " 80", "80 ", "http", "0x50", "80:", "8\0"] {
            let printed = format!("expected a port of 0..=65535 behind \"]:\", found {port:?}");
            refused(&format!("[::1]:{port}"), ScopeError::Port { found: port.to_owned() }, &printed);
        }
        for addr in ["", "127.0.0.1", "[::1]", "::1]:80", "eth0", "fe80::1::"] {
            let found = addr.split('%').next().unwrap().to_owned();
            let printed = format!("expected an IPv6 address, found {found:?}");
            refused(&format!("[{addr}]:80"), ScopeError::Address { found }, &printed);
        }
        let printed = "expected an interface's name or number behind \"fe80::1%\", found nothing";
        refused("[fe80::1%]:80", ScopeError::EmptyZone { addr: LINK_LOCAL }, printed);
        for zone in ["no such", "[", "]", "]:1", "%lo"] {
            let printed = format!("expected an interface's name or number behind '%', found {zone:?}");
            refused(&format!("[fe80::1%{zone}]:80"), ScopeError::Interface { found: zone.to_owned() }, &printed);
        }
        let addr = "2001:db8::1".parse().unwrap();
        let printed = "expected a number behind \"2001:db8::1%\", which is not link-local, found \"eth0\"";
        refused("[2001:db8::1%eth0]:80", ScopeError::NotLinkLocal { addr, found: "eth0".into() }, printed);
    }

    proptest! {
        #[test]
        fn what_is_printed_is_read_back(
            bits in any::<u128>(), local in any::<bool>(), scope_id in prop_oneof![0..5u32, any::<u32>()], port: u16,
        ) {
            let bits = if local { 0xfe80 << 112 | bits >> 64 } else { bits };
            let addr = ScopedSocketAddr::new(ScopedAddr::new(bits.into(), scope_id), port);
            prop_assert_eq!(read(&addr.to_string()), Ok(addr));
        }

        /// As the standard library reads what it can read.
        #[test]
        fn no_text_panics(text in "[0-9a-f:.%+l o\\[\\]]{0,24}") {
            let text = format!("[{text}");
            for text in [&text, &format!("{text}]:80")] {
                if let Ok(addr) = read(text) {
                    prop_assert_eq!(read(&addr.to_string()), Ok(addr));
                }
                if let Ok(addr) = text.parse::<SocketAddrV6>() {
                    prop_assert_eq!(read(text), Ok(addr.into()));
                }
            }
        }
    }
}
