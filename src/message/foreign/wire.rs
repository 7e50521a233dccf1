//! The layouts of other systems, read from bytes.

#[cfg(any(all(test, linux_like), target_os = "freebsd", target_os = "dragonfly", target_os = "netbsd"))]
pub(super) mod credentials;

use std::ops::Range;
#[cfg(any(test, target_os = "freebsd"))]
use std::time::Duration;

use crate::error::DecodeError;
#[cfg(any(test, apple, target_os = "freebsd", target_os = "dragonfly", target_os = "openbsd"))]
use crate::error::EncodeError;
#[cfg(any(test, not(solarish)))]
use crate::message::IpPktInfo;

/// `AF_LINK` of the BSDs and macOS (sys/socket.h).
#[cfg(any(test, not(solarish)))]
const AF_LINK: u8 = 18;

/// `sdl_data`: what stands before it, a `struct sockaddr_dl` has at least.
#[cfg(any(test, not(solarish)))]
const LINK_LEN: usize = 8;

#[cfg(not(any(linux_like, solarish)))]
const _: () =
    assert!(AF_LINK as i32 == nix::libc::AF_LINK && std::mem::offset_of!(nix::libc::sockaddr_dl, sdl_data) == LINK_LEN);

/// The interface in a `struct sockaddr_dl`: length, family, index, and what is not read here.
#[cfg(any(test, not(solarish)))]
pub(super) fn link_index(bytes: &[u8]) -> Result<u32, DecodeError> {
    let &[len, family, i0, i1, _, _, _, _, ..] = bytes else {
        return Err(DecodeError::Length { expected: LINK_LEN, found: bytes.len() });
    };
    if bytes.len() < len.into() {
        return Err(DecodeError::Length { expected: len.into(), found: bytes.len() });
    }
    if family != AF_LINK {
        return Err(DecodeError::Value { field: "sdl_family", expected: "18 (AF_LINK)", found: family.into() });
    }
    Ok(u16::from_ne_bytes([i0, i1]).into())
}

/// The two halves of an [`IpPktInfo`], in either order; of several of one half the later counts.
#[cfg(any(test, target_os = "freebsd", target_os = "dragonfly", target_os = "openbsd"))]
pub(super) fn join(earlier: IpPktInfo, later: IpPktInfo) -> IpPktInfo {
    let ifindex = if later.ifindex == 0 { earlier.ifindex } else { later.ifindex };
    let addresses = if later.addr.is_unspecified() { earlier } else { later };
    IpPktInfo { ifindex, ..addresses }
}

/// A source address, on a system that takes no interface with it.
#[cfg(any(test, target_os = "freebsd", target_os = "dragonfly", target_os = "openbsd"))]
pub(super) fn address_alone(info: IpPktInfo) -> Result<IpPktInfo, EncodeError> {
    refuse_interface(info.ifindex, "0 (this system takes an address alone)")?;
    Ok(info)
}

/// A source address or an interface, on a system where an interface makes it overlook the address.
#[cfg(any(test, apple))]
pub(super) fn address_or_interface(info: IpPktInfo) -> Result<IpPktInfo, EncodeError> {
    if !info.spec_dst.is_unspecified() {
        refuse_interface(info.ifindex, "0 with a source address (this system takes one of them)")?;
    }
    Ok(info)
}

#[cfg(any(test, apple, target_os = "freebsd", target_os = "dragonfly", target_os = "openbsd"))]
fn refuse_interface(ifindex: u32, expected: &'static str) -> Result<(), EncodeError> {
    match ifindex {
        0 => Ok(()),
        _ => Err(EncodeError::Value { field: "ipi_ifindex", expected, found: ifindex.into() }),
    }
}

/// NetBSD's `struct in_pktinfo`: address, interface.
#[cfg(any(test, target_os = "netbsd"))]
pub(super) mod netbsd {
    use super::IpPktInfo;

    pub(in super::super) fn to_wire(info: IpPktInfo) -> [u8; 8] {
        let ([a0, a1, a2, a3], [i0, i1, i2, i3]) = (info.spec_dst.octets(), info.ifindex.to_ne_bytes());
        [a0, a1, a2, a3, i0, i1, i2, i3]
    }

    pub(in super::super) fn from_wire([a0, a1, a2, a3, i0, i1, i2, i3]: [u8; 8]) -> IpPktInfo {
        let addr = [a0, a1, a2, a3].into();
        IpPktInfo { ifindex: u32::from_ne_bytes([i0, i1, i2, i3]), spec_dst: addr, addr }
    }
}

/// Seconds and fraction of a `struct timeval` or `timespec` of `len` bytes; where the two stand, and how wide they
/// are, differs between the systems.
#[cfg_attr(linux_like, allow(dead_code, reason = "for the tests"))]
pub(in crate::message) fn pair(
    bytes: &[u8],
    len: usize,
    seconds: Range<usize>,
    fraction: Range<usize>,
) -> Result<(i64, i64), DecodeError> {
    let number = |at: Range<usize>| match *bytes.get(at)? {
        [a, b, c, d] => Some(i32::from_ne_bytes([a, b, c, d]).into()),
        [a, b, c, d, e, f, g, h] => Some(i64::from_ne_bytes([a, b, c, d, e, f, g, h])),
        _ => None,
    };
    match (number(seconds), number(fraction)) {
        (Some(seconds), Some(fraction)) if bytes.len() == len => Ok((seconds, fraction)),
        _ => Err(DecodeError::Length { expected: len, found: bytes.len() }),
    }
}

#[cfg(target_os = "freebsd")]
const _: () = {
    use nix::libc;
    assert!(std::mem::offset_of!(libc::bintime, frac) == size_of::<libc::time_t>());
    assert!(size_of::<libc::bintime>() == size_of::<libc::time_t>() + 8);
};

/// Seconds and nanoseconds of a `struct bintime`: a `time_t` of `width` bytes, and the fraction in units of 2^-64 s.
#[cfg(any(test, target_os = "freebsd"))]
pub(in crate::message) fn bintime(bytes: &[u8], width: usize) -> Result<(i64, i64), DecodeError> {
    let (seconds, fraction) = pair(bytes, width + 8, 0..width, width..width + 8)?;
    let upper = fraction as u64 >> 32;
    Ok((seconds, ((upper * 1_000_000_000) >> 32) as i64))
}

/// Seconds and nanoseconds since the system started.
#[cfg(any(test, target_os = "freebsd"))]
pub(super) fn since_start((seconds, nanos): (i64, i64)) -> Result<Duration, DecodeError> {
    let refused = |field, expected, found| DecodeError::Value { field, expected, found };
    let secs = u64::try_from(seconds).map_err(|_| refused("tv_sec", "0..", seconds))?;
    match u32::try_from(nanos) {
        Ok(nanos @ 0..1_000_000_000) => Ok(Duration::new(secs, nanos)),
        _ => Err(refused("tv_nsec", "0..=999999999", nanos)),
    }
}

#[cfg(test)]
mod tests;
