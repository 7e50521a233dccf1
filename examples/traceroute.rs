//! The routers on the way to an address, without raw sockets or privileges: UDP probes whose hop limit runs out, and the
//! answers from the error queue (Linux). `cargo run --example traceroute 192.0.2.1`; without an address, the loopback.

#[cfg(target_os = "linux")]
fn main() -> Result<(), Box<dyn std::error::Error>> {
    use ancillary::{
        ControlBuf, MsgHdr, SocketExt,
        message::{ExtendedError, HopLimit, Meaning},
    };
    use std::{
        net::{IpAddr, SocketAddr, UdpSocket},
        time::{Duration, Instant},
    };

    let target: IpAddr = std::env::args().nth(1).as_deref().unwrap_or("127.0.0.1").parse()?;
    let any = if target.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
    let socket = UdpSocket::bind(any)?;
    socket.enable::<ExtendedError>()?;
    let queue = socket.error_queue()?;

    for hop in 1..=30u8 {
        // A port of its own for each probe: the answer to a late one is not taken for this one's.
        let to = SocketAddr::from((target, 33434 + u16::from(hop)));
        let (start, mut answer) = (Instant::now(), None);
        let mut probe = MsgHdr::new();
        probe.to(to).data(b"probe").control(HopLimit(hop));
        // An answer that comes late fails the next send, once.
        if probe.send(&socket).is_err() {
            probe.send(&socket)?;
        }
        while answer.is_none() {
            let left = Duration::from_secs(1).saturating_sub(start.elapsed());
            let read = queue.drain_for(left, &mut [0; 64], &mut ControlBuf::<ExtendedError>::new(), |entry| {
                if entry.peer().and_then(|peer| peer.as_inet_canonical()) == Some(to) {
                    answer = Some(*entry.error());
                }
            })?;
            if read == 0 {
                break;
            }
        }
        match answer {
            Some(error) => println!("{hop:2}  {error} ({:?})", start.elapsed()),
            None => println!("{hop:2}  *"),
        }
        if answer.is_some_and(|error| error.meaning() != Meaning::HopLimitExceeded) {
            break;
        }
    }
    Ok(())
}

#[cfg(not(target_os = "linux"))]
fn main() {
    println!("the error queue is Linux's");
}
