//! The Advanced Sockets API for IPv6 ([RFC 3542](https://www.rfc-editor.org/rfc/rfc3542)): headers are built and taken
//! apart here; as control messages they go out and arrive as [`Ipv6HopOpts`](crate::message::Ipv6HopOpts),
//! [`Ipv6DstOpts`](crate::message::Ipv6DstOpts) and [`Ipv6Rthdr`](crate::message::Ipv6Rthdr).
//!
//! # Sticky options
//!
//! What a control message says of one datagram, a socket option of the same type says of all ("sticky"): methods of the
//! message's type set it, read it and clear it.
//!
//! | section | option | set by |
//! |---|---|---|
//! | 6.1 | `IPV6_PKTINFO` | [`Ipv6PktInfo::set_sticky_interface`](crate::message::Ipv6PktInfo::set_sticky_interface) |
//! | 6.3 | `IPV6_UNICAST_HOPS` | [`Ipv6HopLimit::set_sticky`](crate::message::Ipv6HopLimit::set_sticky) |
//! | 6.3 | `IPV6_MULTICAST_HOPS` | [`Ipv6HopLimit::set_sticky_multicast`](crate::message::Ipv6HopLimit::set_sticky_multicast) |
//! | 6.5 | `IPV6_TCLASS` | [`TClass::set_sticky`](crate::message::TClass::set_sticky) |
//! | 7 | `IPV6_RTHDR` | [`Ipv6Rthdr::set_sticky`](crate::message::Ipv6Rthdr::set_sticky) |
//! | 8 | `IPV6_HOPOPTS` | [`Ipv6HopOpts::set_sticky`](crate::message::Ipv6HopOpts::set_sticky) |
//! | 9 | `IPV6_DSTOPTS` | [`Ipv6DstOpts::set_sticky`](crate::message::Ipv6DstOpts::set_sticky) |
//! | 9 | `IPV6_RTHDRDSTOPTS` | [`Ipv6RthdrDstOpts::set_sticky`](crate::message::Ipv6RthdrDstOpts::set_sticky) |
//! | 11.2 | `IPV6_DONTFRAG` | [`Ipv6DontFrag::set_sticky`](crate::message::Ipv6DontFrag::set_sticky) |
//! | 11.4 | `IPV6_PATHMTU` | read alone: [`Ipv6PathMtu::mtu_of`](crate::message::Ipv6PathMtu::mtu_of), [`path_mtu`] |
//!
//! Linux has neither `IPV6_NEXTHOP` (section 6.4) nor `IPV6_USE_MIN_MTU` (11.1).

mod filter;
mod flow_label;
mod options;
mod path_mtu;
mod routing;
mod sticky;
mod values;

pub use filter::{Icmp6Filter, IcmpFilter};
pub use flow_label::{Ipv6AutoFlowLabel, Ipv6FlowInfoSend};
pub use options::{Alignment, OptionsBuilder};
pub use path_mtu::{PathMtuDiscovery, path_mtu};
pub use routing::{RoutingBuilder, RoutingHeader, RoutingType, reverse};
pub use values::{OptionValue, get_val, set_val};
