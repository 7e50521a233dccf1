//! Ping without privileges, both families: a ping socket for the answers, its error queue for what routers say (Linux).
//!
//! `ping ADDRESS [COUNT] [HOPS]`; without an address, the loopback. Prints a line for each request: who answered, over how
//! many hops and when, or who says why not. A ping socket (`SOCK_DGRAM` of ICMP) needs no privilege, only that
//! `net.ipv4.ping_group_range` has the user's group. With HOPS of 1, 2, ... it is a traceroute; `ping6` is the one with a raw
//! socket, zones and a filter.

#[cfg(target_os = "linux")]
fn main() -> Result<(), Box<dyn std::error::Error>> {
    use std::{
        io::ErrorKind,
        net::{IpAddr, SocketAddr},
        os::fd::AsFd,
        time::{Duration, Instant},
    };

    use ancillary::{
        ControlBuf, MsgHdr, SocketExt,
        message::{ExtendedError, HopLimit},
    };
    use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
    use socket2::{Domain, Protocol, Socket, Type};

    const WAIT: Duration = Duration::from_secs(1);

    let mut arguments = std::env::args().skip(1);
    let to: IpAddr = arguments.next().as_deref().unwrap_or("127.0.0.1").parse()?;
    let count: u16 = arguments.next().as_deref().unwrap_or("3").parse()?;
    let hops: u8 = arguments.next().as_deref().unwrap_or("64").parse()?;

    let (domain, protocol, request, reply) = match to {
        IpAddr::V4(_) => (Domain::IPV4, Protocol::ICMPV4, 8, 0), // RFC 792
        IpAddr::V6(_) => (Domain::IPV6, Protocol::ICMPV6, 128, 129), // RFC 4443 s. 4
    };
    let socket = match Socket::new(domain, Type::DGRAM, Some(protocol)) {
        Err(error) if error.kind() == ErrorKind::PermissionDenied => {
            println!("it takes a group in net.ipv4.ping_group_range: {error}");
            return Ok(());
        }
        socket => socket?,
    };
    socket.set_nonblocking(true)?;
    // How many hops an answer has left, and what becomes of requests that get none.
    socket.enable::<(HopLimit, ExtendedError)>()?;
    let queue = socket.error_queue()?;

    let (mut data, mut control, mut answers) = ([0; 1500], ControlBuf::<(HopLimit, ExtendedError)>::new(), 0);
    for number in 1..=count {
        // The kernel writes checksum and identifier, and hands out nothing but the answers to this identifier.
        let [high, low] = number.to_be_bytes();
        let header = [request, 0, 0, 0, 0, 0, high, low];
        let start = Instant::now();
        let mut message = MsgHdr::new();
        message.to(SocketAddr::from((to, 0))).data(&header).data(b"any data").control(HopLimit(hops));
        // What is pending of an earlier request fails this one, once; what fails again is this host's.
        if let Err(error) = message.send(&socket).or_else(|_| message.send(&socket)) {
            println!("{number}: {error}");
            continue;
        }

        let mut outcome = None;
        while outcome.is_none() && start.elapsed() < WAIT {
            let left = (WAIT - start.elapsed().min(WAIT)).as_millis() as u16;
            // An entry of the error queue shows as POLLERR, without asking.
            poll(&mut [PollFd::new(socket.as_fd(), PollFlags::POLLIN)], PollTimeout::from(left))?;
            queue.drain(&mut data, &mut control, |entry| {
                // What could not be delivered comes back, from its header on.
                if entry.data().get(6..8) == Some(&[high, low]) {
                    outcome = Some(format!("{}", entry.error()));
                }
            })?;
            match socket.recv_msg(&mut data, &mut control) {
                Ok(message)
                    if message.data().first() == Some(&reply) && message.data().get(6..8) == Some(&[high, low]) =>
                {
                    let from = message.peer().and_then(|peer| peer.as_inet()).map_or(to, |from| from.ip());
                    let (left, _) = message.extract();
                    let left = left.map_or(0, |left| left.0);
                    outcome = Some(format!("{} bytes from {from}, {left} hops left", message.len()));
                    answers += 1;
                }
                Ok(_) => {} // late, of another number
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                Err(_) => {} // what the error queue has told already
            }
        }
        println!("{number}: {}, {:?}", outcome.as_deref().unwrap_or("no answer"), start.elapsed());
    }
    println!("{count} sent, {answers} answered");
    Ok(())
}

#[cfg(not(target_os = "linux"))]
fn main() {
    println!("ping sockets and the error queue are Linux's");
}
