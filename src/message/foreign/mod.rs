//! What systems other than Linux have otherwise: their forms of the common messages, and messages of their own.
//!
//! How bytes are read is in `wire`, as functions that the tests compile everywhere; the types compile where the
//! messages are.

#[cfg(any(target_os = "freebsd", target_os = "dragonfly", target_os = "netbsd"))]
mod credentials;
#[cfg_attr(test, allow(unreachable_pub, reason = "the tests have it on systems that do not"))]
mod ipv6;
#[cfg(target_os = "freebsd")]
pub(super) mod monotonic;
#[cfg(not(any(linux_like, solarish)))]
mod pkt_info;
#[cfg(not(linux_like))]
mod recv_if;
#[cfg(test)]
mod tests;
pub(super) mod wire;

#[cfg(any(target_os = "freebsd", target_os = "dragonfly", target_os = "netbsd"))]
pub use credentials::Credentials;
#[cfg(any(apple, target_os = "freebsd", target_os = "dragonfly", target_os = "netbsd"))]
pub use ipv6::Ipv6PreferTempAddr;
#[cfg(not(linux_like))]
pub use ipv6::{Ipv6NextHop, Ipv6UseMinMtu};
#[cfg(target_os = "freebsd")]
pub use monotonic::ScmMonotonic;
#[cfg(not(linux_like))]
pub use recv_if::IpRecvIf;
