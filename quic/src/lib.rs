//! [quinn]'s UDP socket on [`ancillary`], for Linux.
//!
//! [`UdpSocket`] is an [`AsyncUdpSocket`](quinn::AsyncUdpSocket) around tokio's. Many datagrams go in one send
//! (`UDP_SEGMENT`), come in one receive (`UDP_GRO`, recvmmsg(2)), each with its ECN and the address that was asked, and
//! nothing is allocated for any of them. [`TokioRuntime`] makes one for every endpoint:
//!
//! ```
//! use quinn::{Endpoint, EndpointConfig};
//! use std::sync::Arc;
//!
//! # fn main() -> std::io::Result<()> {
//! # let tokio = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
//! # let _inside = tokio.enter();
//! let socket = std::net::UdpSocket::bind("127.0.0.1:0")?;
//! let endpoint = Endpoint::new(EndpointConfig::default(), None, socket, Arc::new(ancillary_quinn::TokioRuntime))?;
//! # drop(endpoint);
//! # Ok(())
//! # }
//! ```

mod poller;
mod runtime;
mod socket;

pub use runtime::TokioRuntime;
pub use socket::UdpSocket;
