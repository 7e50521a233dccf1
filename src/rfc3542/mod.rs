//! The Advanced Sockets API for IPv6 ([RFC 3542](https://www.rfc-editor.org/rfc/rfc3542)): headers are built and taken
//! apart here; as control messages they go out and arrive as [`Ipv6HopOpts`](crate::message::Ipv6HopOpts),
//! [`Ipv6DstOpts`](crate::message::Ipv6DstOpts) and [`Ipv6Rthdr`](crate::message::Ipv6Rthdr).

mod filter;
mod options;
mod routing;

pub use filter::{Icmp6Filter, IcmpFilter};
pub use options::OptionsBuilder;
pub use routing::{RoutingBuilder, RoutingHeader, RoutingType, reverse};
