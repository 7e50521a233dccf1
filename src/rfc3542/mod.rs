//! The Advanced Sockets API for IPv6 ([RFC 3542](https://www.rfc-editor.org/rfc/rfc3542)): headers of options and of
//! routing are built and taken apart here. Everywhere they are bytes; on Linux they also have types, as control messages
//! and as options of the socket (`Ipv6HopOpts`, `Ipv6DstOpts`, `Ipv6Rthdr` of [`message`](crate::message)).
//!
//! | C | section | here |
//! |---|---|---|
//! | `inet6_opt_init` | 10.1 | [`OptionsBuilder::new`] |
//! | `inet6_opt_append` | 10.2 | [`OptionsBuilder::append`], [`append_values`](OptionsBuilder::append_values), [`append_with`](OptionsBuilder::append_with) |
//! | `inet6_opt_finish` | 10.3 | [`OptionsBuilder::finish`] |
//! | `inet6_opt_set_val` | 10.4 | [`set_val`]; all values at once: [`OptionsBuilder::append_values`] |
//! | `inet6_opt_next` | 10.5 | [`Ipv6Options`](crate::message::Ipv6Options), an iterator |
//! | `inet6_opt_find` | 10.6 | the same, or `find` of a header on Linux |
//! | `inet6_opt_get_val` | 10.7 | [`get_val`] |
//! | `inet6_rth_space` | 7.1 | [`RoutingType::space`] |
//! | `inet6_rth_init` | 7.2 | [`RoutingBuilder::new`] |
//! | `inet6_rth_add` | 7.3 | [`RoutingBuilder::add`] |
//! | `inet6_rth_reverse` | 7.4 | [`reverse`] |
//! | `inet6_rth_segments` | 7.5 | [`RoutingHeader::segments`] |
//! | `inet6_rth_getaddr` | 7.6 | [`RoutingHeader::addr`] |
//!
//! Left out are the structures of packets (section 2) and the functions of remote shells (14).
//!

#![forbid(unsafe_code)]
#![cfg_attr(linux_like, doc = include_str!("linux.md"))]

#[cfg(linux_like)]
mod checksum;
#[cfg(linux_like)]
mod filter;
#[cfg(linux_like)]
mod flow_label;
mod options;
#[cfg(linux_like)]
mod path_mtu;
mod routing;
#[cfg(linux_like)]
mod sticky;
mod values;

#[cfg(linux_like)]
pub use checksum::Ipv6Checksum;
#[cfg(linux_like)]
pub use filter::{Icmp6Filter, IcmpFilter};
#[cfg(linux_like)]
pub use flow_label::{Ipv6AutoFlowLabel, Ipv6FlowInfoSend};
pub use options::{Alignment, OptionsBuilder};
#[cfg(linux_like)]
pub use path_mtu::{PathMtuDiscovery, path_mtu};
pub use routing::{RoutingBuilder, RoutingHeader, RoutingType, reverse};
pub use values::{OptionValue, get_val, set_val};
