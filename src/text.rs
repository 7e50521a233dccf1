//! Words for what is printed.

use std::fmt;

use nix::libc;

/// The C name of the families that programs meet.
pub(crate) fn family_name(family: i32) -> Option<&'static str> {
    Some(match family {
        libc::AF_UNSPEC => "AF_UNSPEC",
        libc::AF_UNIX => "AF_UNIX",
        libc::AF_INET => "AF_INET",
        libc::AF_INET6 => "AF_INET6",
        #[cfg(linux_like)]
        libc::AF_NETLINK => "AF_NETLINK",
        #[cfg(linux_like)]
        libc::AF_PACKET => "AF_PACKET",
        #[cfg(linux_like)]
        libc::AF_VSOCK => "AF_VSOCK",
        _ => return None,
    })
}

/// Up to 32 bytes in hexadecimal.
pub(crate) fn hex(bytes: &[u8], f: &mut fmt::Formatter<'_>) -> fmt::Result {
    hex_up_to(32, bytes, f)
}

/// All bytes, as the one field of a structure.
pub(crate) fn debug_hex(name: &str, bytes: &[u8], f: &mut fmt::Formatter<'_>) -> fmt::Result {
    write!(f, "{name}(")?;
    hex_up_to(bytes.len(), bytes, f)?;
    f.write_str(")")
}

fn hex_up_to(most: usize, bytes: &[u8], f: &mut fmt::Formatter<'_>) -> fmt::Result {
    write!(f, "{} bytes", bytes.len())?;
    for (i, byte) in bytes.iter().take(most).enumerate() {
        write!(f, "{}{byte:02x}", if i == 0 { ": " } else { " " })?;
    }
    if bytes.len() > most { f.write_str(" ...") } else { Ok(()) }
}
