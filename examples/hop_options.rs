//! Options for every router on the way (hop-by-hop, RFC 8200 s. 4.3), built, sent and shown (Linux).
//!
//! `hop_options` sends to itself over loopback. From host to host, or between two network namespaces: `hop_options listen`
//! on one, `hop_options fe80::2%eth0` on the other. To send takes `CAP_NET_RAW`: run it with sudo, or once
//! `sudo setcap cap_net_raw+ep hop_options`. To receive takes nothing.

#[cfg(target_os = "linux")]
fn main() -> Result<(), Box<dyn std::error::Error>> {
    use ancillary::message::{AtMost, Ipv6HopOpts};
    use ancillary::{ControlBuf, MsgHdr, SocketExt, interface::ScopedAddr, rfc3542::OptionsBuilder};
    use std::net::{SocketAddr, UdpSocket};

    let argument = std::env::args().nth(1);
    let listens = argument.as_deref() == Some("listen");
    let socket = match UdpSocket::bind(if listens { "[::]:4711" } else { "[::]:0" }) {
        Err(error) if !std::path::Path::new("/proc/net/if_inet6").exists() => {
            println!("these options are of IPv6, which is missing: {error}");
            return Ok(());
        }
        socket => socket?,
    };
    // A header may have 2,048 bytes; one longer than this would be cut, and said to be (CTRUNC).
    type Options = AtMost<Ipv6HopOpts<'static>, 128>;
    socket.enable::<Options>()?;

    if !listens {
        let port = if argument.is_some() { 4711 } else { socket.local_addr()?.port() };
        let to: ScopedAddr = argument.as_deref().unwrap_or("::1").parse()?;
        let mut buffer = [0; 64];
        let mut options = OptionsBuilder::new(&mut buffer);
        options.append(5, 2, &[0, 0]); // router alert (RFC 2711): two bytes, aligned to two
        options.append(0x1e, 4, b"for experiments"); // skipped by who does not know it, as the upper bits 00 say
        let header = Ipv6HopOpts::new(options.finish()?)?;
        match MsgHdr::new().to(to.with_port(port)).data(b"hello").control(header).send(&socket) {
            Err(error) if error.kind() == std::io::ErrorKind::PermissionDenied => {
                println!("to send options takes CAP_NET_RAW (sudo, or setcap cap_net_raw+ep): {error}");
                return Ok(());
            }
            sent => println!("{} bytes sent to {to}, with {header}", sent?),
        }
    }
    if listens || argument.is_none() {
        let (mut data, mut control) = ([0; 1500], ControlBuf::<Options>::new());
        let message = socket.recv_msg(&mut data, &mut control)?;
        let Some(SocketAddr::V6(from)) = message.peer().and_then(|peer| peer.as_inet()) else { return Ok(()) };
        println!("{} bytes from {}, with", message.data().len(), ScopedAddr::from(from));
        for option in message.extract().iter().flat_map(|header| header.options()) {
            let (ty, data) = option?;
            println!("  option {ty:#04x}: \"{}\"", data.escape_ascii());
        }
    }
    Ok(())
}

#[cfg(not(target_os = "linux"))]
fn main() {
    println!("the types of these headers are Linux's");
}
