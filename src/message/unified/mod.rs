//! Messages that serve IPv4 and IPv6 together.

#[cfg(linux_like)]
mod frag_size;
mod hop_limit;
#[cfg(linux_like)]
mod orig_dst;
mod pkt_info;
mod traffic_class;

#[cfg(linux_like)]
pub use frag_size::FragSize;
pub use hop_limit::HopLimit;
#[cfg(linux_like)]
pub use orig_dst::OrigDst;
pub use pkt_info::PktInfo;
pub use traffic_class::{Ecn, TrafficClass};

use std::{io, os::fd::BorrowedFd};

use nix::libc;

use super::{RecvControl, SendControl};
use crate::{cmsg::ControlOut, error::EncodeError, options::Families};

/// Enables the IPv6 option and, at best effort, the IPv4 one for mapped peers; on an IPv4 socket that one alone.
fn set_both<V4: RecvControl, V6: RecvControl>(socket: BorrowedFd<'_>, on: bool) -> io::Result<()> {
    if Families::INET.require(socket)? == libc::AF_INET {
        return V4::set_enabled(socket, on);
    }
    V6::set_enabled(socket, on)?;
    match V4::set_enabled(socket, on) {
        // Any other failure would leave the messages of IPv4 out in silence.
        Err(error) if matches!(error.raw_os_error(), Some(libc::ENOMEM | libc::ENOBUFS)) => Err(error),
        // A system that refuses IPv4 options here has no IPv4 traffic on this socket either.
        _ => Ok(()),
    }
}

/// Encodes for the destination's family, or for both if it is not known: the other level is ignored.
#[inline(always)]
fn encode_either<'fd>(
    out: &mut ControlOut<'_, 'fd>,
    v4: impl SendControl<'fd>,
    v6: impl SendControl<'fd>,
) -> Result<(), EncodeError> {
    if out.family() != libc::AF_INET6 {
        v4.encode(out)?;
    }
    if out.family() != libc::AF_INET {
        v6.encode(out)?;
    }
    Ok(())
}
