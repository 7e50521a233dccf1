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
    write!(f, "{} bytes", bytes.len())?;
    for (i, byte) in bytes.iter().take(32).enumerate() {
        write!(f, "{}{byte:02x}", if i == 0 { ": " } else { " " })?;
    }
    if bytes.len() > 32 { f.write_str(" ...") } else { Ok(()) }
}
