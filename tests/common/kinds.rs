//! The kinds of internet sockets that take control messages, over the loopback of a namespace: UDP, ping and raw ones.

use std::net::SocketAddr;

use nix::unistd::getgid;
use socket2::{Domain, Protocol, Socket, Type};

use super::{TIMEOUT, namespace::Namespace, pairs::addrs, skipped};

/// A protocol for experiments (RFC 3692), which has no length or checksum of its own.
const EXPERIMENT: i32 = 253;

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Kind {
    Udp,
    /// Echo requests for everyone (`SOCK_DGRAM` of ICMP).
    Ping,
    /// Echo requests, with a privilege.
    RawIcmp,
    /// Of a protocol that the kernel does not know.
    RawOther,
}

/// A socket of one kind, and where it may send to: its own host, where nobody listens.
#[derive(Debug)]
pub struct Sender {
    pub kind: Kind,
    pub v6: bool,
    pub to: SocketAddr,
    pub socket: Socket,
}

impl Sender {
    /// Headers below IP.
    pub fn header(&self) -> Vec<u8> {
        match (self.kind, self.v6) {
            (Kind::Udp | Kind::RawOther, _) => Vec::new(),
            // Type and code, checksum, identity, number.
            (Kind::Ping | Kind::RawIcmp, v6) => vec![if v6 { 128 } else { 8 }, 0, 0, 0, 0, 0, 0, 0],
        }
    }

    /// What is sent so that these bytes are the packet's last.
    pub fn data(&self, end: &[u8]) -> Vec<u8> {
        [&self.header(), end].concat()
    }
}

/// Lets this user's group send pings in this namespace.
pub fn let_ping(host: &Namespace) {
    let group = getgid();
    host.set("ipv4/ping_group_range", &format!("{group} {group}"));
}

/// New sockets of all kinds in both families, as far as they are here. To be called inside, after [`let_ping`].
pub fn senders(test: &str) -> Vec<Sender> {
    let mut senders = Vec::new();
    for addr in addrs(test) {
        let mut to: SocketAddr = addr.parse().unwrap();
        let domain = Domain::for_address(to);
        let icmp = if to.is_ipv6() { Protocol::ICMPV6 } else { Protocol::ICMPV4 };
        for (kind, ty, protocol) in [
            (Kind::Udp, Type::DGRAM, Protocol::UDP),
            (Kind::Ping, Type::DGRAM, icmp),
            (Kind::RawIcmp, Type::RAW, icmp),
            (Kind::RawOther, Type::RAW, Protocol::from(EXPERIMENT)),
        ] {
            let socket = match Socket::new(domain, ty, Some(protocol)) {
                Ok(socket) => socket,
                Err(error) if kind == Kind::Ping => {
                    skipped(format_args!("SKIPPED {test}: ping sockets: {error}"));
                    continue;
                }
                Err(error) => panic!("{kind:?}: {error}"),
            };
            socket.set_read_timeout(TIMEOUT).unwrap();
            socket.set_write_timeout(TIMEOUT).unwrap();
            to.set_port(if kind == Kind::Udp { 9 } else { 0 });
            senders.push(Sender { kind, v6: to.is_ipv6(), to, socket });
        }
    }
    senders
}
