//! Network interfaces by index and by name (RFC 3493 s. 4), and addresses with an interface (RFC 4007 s. 11).
//!
//! ```
//! use ancillary::interface;
//!
//! # fn main() -> std::io::Result<()> {
//! for found in interface::list()? {
//!     assert_eq!(interface::index(&found.name)?, found.index);
//!     assert_eq!(interface::name(found.index)?, found.name);
//! }
//! # Ok(())
//! # }
//! ```

use std::io;

#[cfg(not(target_os = "android"))]
use nix::net::if_::if_nameindex;
use nix::{
    libc,
    net::if_::{if_indextoname, if_nametoindex},
};

pub use crate::addr::{ScopedAddr, ScopedSocketAddr};

/// A network interface (`struct if_nameindex`; RFC 3493 s. 4.3).
///
/// ```
/// use ancillary::interface::{self, Interface};
///
/// # fn main() -> std::io::Result<()> {
/// for Interface { index, name } in interface::list()? {
///     println!("{index}: {name}");
///     assert_ne!(index, 0);
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Interface {
    /// Its index, never 0.
    pub index: u32,
    /// Its name; bytes that are not UTF-8 are replaced.
    pub name: String,
}

/// The index of the interface with this name (`if_nametoindex`).
///
/// ```
/// use ancillary::{interface, message::PktInfo};
/// use std::net::Ipv6Addr;
///
/// # fn main() -> std::io::Result<()> {
/// # let Some(found) = interface::list()?.pop() else { return Ok(()) };
/// # let name = &found.name;
/// // To send over the interface of this name, from whichever address it has.
/// let info = PktInfo::source(Ipv6Addr::UNSPECIFIED).on_interface(interface::index(name)?);
/// # assert_eq!(info.ifindex(), found.index);
/// assert!(interface::index("none-such").is_err());
/// # Ok(())
/// # }
/// ```
///
/// RFC 3493 s. 4.1
///
/// # Errors
///
/// ENODEV if there is none; EINVAL for a name with a NUL byte in it.
#[doc(alias = "if_nametoindex")]
pub fn index(name: &str) -> io::Result<u32> {
    // Some C libraries (musl) would look for the interface whose name it begins with.
    #[cfg(linux_like)]
    if name.len() >= libc::IFNAMSIZ {
        return Err(io::Error::from_raw_os_error(libc::ENODEV));
    }
    Ok(if_nametoindex(name)?)
}

/// The name of the interface with this index (`if_indextoname`).
///
/// ```
/// use ancillary::{ControlBuf, SocketExt, interface, message::PktInfo};
/// use std::net::UdpSocket;
///
/// # fn main() -> std::io::Result<()> {
/// let socket = UdpSocket::bind("127.0.0.1:0")?;
/// socket.enable::<PktInfo>()?;
/// socket.send_to(b"by which?", socket.local_addr()?)?;
/// let (mut data, mut control) = ([0; 16], ControlBuf::<PktInfo>::new());
/// let info = socket.recv_msg(&mut data, &mut control)?.extract().expect("enabled");
/// let name = interface::name(info.ifindex())?; // lo
/// # assert_eq!(interface::index(&name)?, info.ifindex());
/// # Ok(())
/// # }
/// ```
///
/// RFC 3493 s. 4.2
///
/// # Errors
///
/// ENXIO if there is none.
#[doc(alias = "if_indextoname")]
pub fn name(index: u32) -> io::Result<String> {
    let name = if_indextoname(index)?.to_string_lossy().into_owned();
    // nix 0.31 takes the null pointer that says "none" for a name.
    if name.is_empty() { Err(io::Error::from_raw_os_error(libc::ENXIO)) } else { Ok(name) }
}

/// All interfaces (`if_nameindex`). Not on Android before 7, so not on Android at all.
///
/// ```
/// use ancillary::interface;
///
/// # fn main() -> std::io::Result<()> {
/// let names: Vec<String> = interface::list()?.into_iter().map(|found| found.name).collect();
/// assert!(names.iter().all(|name| interface::index(name).is_ok()), "{names:?}");
/// # Ok(())
/// # }
/// ```
///
/// RFC 3493 s. 4.3
///
/// # Errors
///
/// That of if_nameindex(3).
#[doc(alias = "if_nameindex")]
#[cfg(not(target_os = "android"))]
pub fn list() -> io::Result<Vec<Interface>> {
    let found = if_nameindex()?;
    Ok(found
        .iter()
        .map(|entry| Interface { index: entry.index(), name: entry.name().to_string_lossy().into_owned() })
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_there_has_neither_name_nor_index() {
        for absent in [0, 999_999, u32::MAX] {
            assert_eq!(name(absent).unwrap_err().raw_os_error(), Some(libc::ENXIO), "{absent}");
        }
        for absent in ["", "no such", "a name longer than any"] {
            assert!(index(absent).is_err(), "{absent:?}");
        }
        for malformed in ["lo\0", "a\0b", "\0"] {
            assert_eq!(index(malformed).unwrap_err().raw_os_error(), Some(libc::EINVAL), "{malformed:?}");
        }
    }
}
