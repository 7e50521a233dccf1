//! ICMPv6 echo (RFC 4443 s. 4): hop limit and interface of what is sent and of what comes back (Linux).
//!
//! `ping6` asks this host's loopback, `ping6 fe80::2%eth0 5` a neighbour five times. With `CAP_NET_RAW` by a raw socket, whose
//! filter lets nothing pass but the answers; without it by a ping socket, which gets no more than its own answers, where
//! `net.ipv4.ping_group_range` has the user's group.

#[cfg(target_os = "linux")]
fn main() -> Result<(), Box<dyn std::error::Error>> {
    use ancillary::message::{Ipv6HopLimit, Ipv6PktInfo};
    use ancillary::rfc3542::Icmp6Filter;
    use ancillary::{ControlBuf, MsgHdr, SocketExt, interface, interface::ScopedAddr};
    use socket2::{Domain, Protocol, Socket, Type};
    use std::{
        io::ErrorKind,
        net::{Ipv6Addr, SocketAddr, UdpSocket},
        time::{Duration, Instant},
    };

    const REQUEST: u8 = 128;
    const REPLY: u8 = 129;
    const WAIT: Duration = Duration::from_secs(1);
    type Meta = (Ipv6HopLimit, Ipv6PktInfo);

    let mut arguments = std::env::args().skip(1);
    let to: ScopedAddr = arguments.next().as_deref().unwrap_or("::1").parse()?;
    let count: u16 = arguments.next().as_deref().unwrap_or("3").parse()?;
    if let Err(error) = UdpSocket::bind("[::1]:0") {
        println!("this is a ping of IPv6, which is missing: {error}");
        return Ok(());
    }

    let open = |ty| Socket::new(Domain::IPV6, ty, Some(Protocol::ICMPV6));
    let (socket, raw) = match open(Type::RAW) {
        Err(error) if error.kind() == ErrorKind::PermissionDenied => match open(Type::DGRAM) {
            Err(error) => {
                println!("it takes CAP_NET_RAW, or a group in net.ipv4.ping_group_range: {error}");
                return Ok(());
            }
            Ok(socket) => (socket, false),
        },
        socket => (socket?, true),
    };
    if raw {
        // First of all: what arrives before, stays. The kernel writes and checks the checksum.
        Icmp6Filter::block_all().pass(REPLY).set(&socket)?;
    }
    socket.enable::<Meta>()?;
    socket.set_read_timeout(Some(WAIT))?;

    let identifier = (std::process::id() as u16).to_be_bytes();
    let (mut data, mut control, mut answers) = ([0; 1500], ControlBuf::<Meta>::new(), 0);
    for number in 1..=count {
        let sequence = number.to_be_bytes();
        let header = [REQUEST, 0, 0, 0, identifier[0], identifier[1], sequence[0], sequence[1]];
        // The source is left to the route; the interface, 0 for any, is that of a link-local address.
        let info = Ipv6PktInfo { addr: Ipv6Addr::UNSPECIFIED, ifindex: to.scope_id };
        let mut request = MsgHdr::new();
        request.to(to.with_port(0)).data(&header).data(b"any data").control((Ipv6HopLimit(64), info));
        let start = Instant::now();
        request.send(&socket)?;

        while start.elapsed() < WAIT {
            let message = match socket.recv_msg(&mut data, &mut control) {
                // As a time limit that passes is told.
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                message => message?,
            };
            // Others are pinging, too; of a ping socket the kernel chooses the identifier, and looks at it.
            let [REPLY, 0, _, _, id @ .., high, low] = *message.data().first_chunk::<8>().unwrap_or(&[0; 8]) else {
                continue;
            };
            if [high, low] != sequence || raw && id != identifier {
                continue;
            }
            let (Some(hops), Some(info)) = message.extract() else { return Err("enabled above".into()) };
            let Some(SocketAddr::V6(from)) = message.peer().and_then(|peer| peer.as_inet()) else { continue };
            let (from, len) = (ScopedAddr::from(from), message.data().len());
            let interface = interface::name(info.ifindex)?;
            println!(
                "{number}: {len} bytes from {from} to {} on {interface}, {} hops left, {:?}",
                info.addr,
                hops.0,
                start.elapsed()
            );
            answers += 1;
            break;
        }
    }
    println!("{count} sent, {answers} answered, by a {} socket", if raw { "raw" } else { "ping" });
    if answers < count { Err("some have no answer".into()) } else { Ok(()) }
}

#[cfg(not(target_os = "linux"))]
fn main() {
    println!("the filter of the raw socket is Linux's");
}
