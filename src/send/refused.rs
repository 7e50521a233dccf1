//! What is refused before it is sent, and what the kernel's refusal means.

use std::{
    io::{self, IoSlice},
    net::SocketAddrV4,
    os::fd::BorrowedFd,
};

use nix::libc;

use crate::{
    addr::SockAddr,
    cmsg::{CmsgId, Cmsgs},
    error::{EncodeError, FamilyError},
    flags::SendFlags,
    sys,
};

/// A flag that borrowed buffers cannot have.
#[inline]
pub(crate) fn flags(flags: SendFlags) -> Option<EncodeError> {
    let expected = "buffers owned until completion (ZeroCopy)";
    (flags.bits() & sys::MSG_ZEROCOPY != 0).then_some(EncodeError::Flag { flag: "MSG_ZEROCOPY", expected })
}

/// Control messages that a stream would drop, since no byte of data goes with them.
pub(crate) fn without_data(socket: BorrowedFd<'_>, slices: &[IoSlice<'_>], control: &[u8]) -> io::Result<()> {
    if control.is_empty() || !slices.iter().all(|slice| slice.is_empty()) || !sys::is_stream(socket)? {
        return Ok(());
    }
    let rights = Cmsgs::new(control).filter(|cmsg| cmsg.id() == CmsgId::RIGHTS);
    let descriptors = rights.map(|cmsg| cmsg.payload().len() / 4).sum();
    if descriptors > 0 {
        return Err(EncodeError::DescriptorsWithoutData { descriptors }.into());
    }
    if sys::domain(socket)? == libc::AF_UNIX {
        return Err(EncodeError::ControlWithoutData { found: control.len() }.into());
    }
    Ok(())
}

/// The kernel has refused a message of so many slices: looking first would cost every other message.
#[cold]
pub(crate) fn too_many_slices(needed: usize, error: io::Error) -> io::Error {
    match error.raw_os_error() {
        Some(libc::EMSGSIZE | libc::EINVAL) if needed > sys::MAX_SLICES => {
            EncodeError::Slices { needed, available: sys::MAX_SLICES }.into()
        }
        _ => error,
    }
}

/// What the socket's own family calls an address that it has refused; else the error, typed if the family is to blame.
pub(crate) fn other_name(
    socket: BorrowedFd<'_>,
    name: Option<&SockAddr>,
    error: io::Error,
) -> Result<SockAddr, io::Error> {
    if !matches!(error.raw_os_error(), Some(libc::EAFNOSUPPORT | libc::EINVAL)) {
        return Err(error);
    }
    let Some(name) = name else { return Err(error) };
    let (found, Ok(domain)) = (name.family(), sys::domain(socket)) else { return Err(error) };
    let expected = match domain {
        libc::AF_INET => "AF_INET",
        libc::AF_INET6 => "AF_INET6 or AF_INET",
        libc::AF_UNIX => "AF_UNIX",
        _ => return Err(error),
    };
    if found == domain || found == libc::AF_UNSPEC || (domain == libc::AF_INET6 && found == libc::AF_INET) {
        return Err(error);
    }
    // An IPv4 socket can reach an IPv4-mapped address under its own name.
    if let (libc::AF_INET, Some(std::net::SocketAddr::V6(mapped))) = (domain, name.as_inet()) {
        if let Some(ip) = mapped.ip().to_ipv4_mapped() {
            return Ok(SocketAddrV4::new(ip, mapped.port()).into());
        }
    }
    Err(FamilyError { what: "destination address", expected, found }.into())
}
