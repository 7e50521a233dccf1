//! A transparent proxy for UDP, both families: clients talk to servers they chose, and do not know that it is there (Linux).
//!
//! `transparent_proxy PORT` takes datagrams that were going to any address, asks the server they were meant for in its own
//! name, and answers in that server's: for protocols of one question and one answer, such as DNS. It prints a line for
//! each question. It takes `CAP_NET_ADMIN` or `CAP_NET_RAW` (`IP_TRANSPARENT`), and, on a router, a route that brings the
//! datagrams to it instead of sending them on:
//!
//! ```text
//! ip rule add iif eth1 lookup 100
//! ip route add local default dev lo table 100
//! ```
//!
//! and the same with `ip -6`. That diverts whatever eth1 brings for PORT; with a rule of TPROXY (nftables, iptables) the
//! proxy may have another port than the servers. Without an argument it shows what it can without a router: a question
//! to this host's own 127.0.0.77, and which address it was for.
//!
//! Where a datagram was going, with the port, is [`OrigDst`]; an answer from there is [`PktInfo::source`], or, where the
//! port is another too, a socket bound there.

#[cfg(target_os = "linux")]
fn main() -> std::io::Result<()> {
    linux::main()
}

#[cfg(not(target_os = "linux"))]
fn main() {
    println!("IP_ORIGDSTADDR and IP_TRANSPARENT are Linux's");
}

#[cfg(target_os = "linux")]
mod linux {
    use std::{
        io,
        net::{Ipv6Addr, SocketAddr, UdpSocket},
        os::fd::AsFd,
        thread,
        time::Duration,
    };

    use ancillary::{
        ControlBuf, MsgHdr, SockAddr, SocketExt,
        message::{OrigDst, PktInfo},
        set_option,
    };
    use nix::libc;
    use socket2::{Domain, Socket, Type};

    const PATIENCE: Duration = Duration::from_secs(2);

    /// Lets a socket have addresses that are not this host's. Either option sets the same, on an IPv6 socket for both.
    fn make_transparent(socket: &impl AsFd, v6: bool) -> io::Result<()> {
        if v6 {
            set_option(socket, libc::IPPROTO_IPV6, libc::IPV6_TRANSPARENT, 1)
        } else {
            set_option(socket, libc::IPPROTO_IP, libc::IP_TRANSPARENT, 1)
        }
    }

    /// Asks the server in our own name, and answers in its.
    fn relay(proxy: &UdpSocket, client: &SockAddr, server: SocketAddr, question: &[u8]) -> io::Result<usize> {
        let upstream = UdpSocket::bind(if server.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" })?;
        upstream.set_read_timeout(Some(PATIENCE))?;
        upstream.connect(server)?;
        upstream.send(question)?;
        let mut answer = vec![0; 65536];
        let len = upstream.recv(&mut answer)?;
        if server.port() == proxy.local_addr()?.port() {
            MsgHdr::new().to(client).data(&answer[..len]).control(PktInfo::source(server.ip())).send(proxy)
        } else {
            // A control message chooses the address, not the port.
            let socket = Socket::new(Domain::for_address(server), Type::DGRAM, None)?;
            make_transparent(&socket, server.is_ipv6())?;
            socket.set_reuse_address(true)?;
            socket.bind(&server.into())?;
            MsgHdr::new().to(client.as_inet_canonical()).data(&answer[..len]).send(&socket)
        }
    }

    fn serve(proxy: &UdpSocket) -> io::Result<()> {
        let (mut data, mut control) = ([0; 65536], ControlBuf::<OrigDst>::new());
        loop {
            let message = proxy.recv_msg(&mut data, &mut control)?;
            let (Some(&client), Some(OrigDst(server))) = (message.peer(), message.extract()) else { continue };
            let (proxy, question) = (proxy.try_clone()?, message.data().to_vec());
            // One client's trouble is not that of the others.
            thread::spawn(move || {
                let outcome = match relay(&proxy, &client, server, &question) {
                    Ok(len) => format!("answered with {len}"),
                    Err(error) => error.to_string(),
                };
                let client = client.as_inet_canonical().map_or(client.to_string(), |client| client.to_string());
                println!("{client} asked {server}: {} bytes, {outcome}", question.len());
            });
        }
    }

    /// What any user may: the destination, of datagrams that were for this host anyway.
    fn show() -> io::Result<()> {
        let socket = UdpSocket::bind("0.0.0.0:0")?;
        socket.enable::<OrigDst>()?;
        socket.set_read_timeout(Some(PATIENCE))?;
        let client = UdpSocket::bind("127.0.0.1:0")?;
        client.send_to(b"who?", ("127.0.0.77", socket.local_addr()?.port()))?;
        let (mut data, mut control) = ([0; 64], ControlBuf::<OrigDst>::new());
        let message = socket.recv_msg(&mut data, &mut control)?;
        let OrigDst(to) = message.extract().expect("enabled above");
        println!("{:?} was for {}", message.data().escape_ascii().to_string(), to.ip());
        match make_transparent(&socket, false) {
            Ok(()) => println!("this user may run the proxy: transparent_proxy PORT"),
            Err(error) => println!("SKIPPED: the proxy takes CAP_NET_ADMIN or CAP_NET_RAW: {error}"),
        }
        Ok(())
    }

    pub(super) fn main() -> io::Result<()> {
        let Some(port) = std::env::args().nth(1) else { return show() };
        let port: u16 = port.parse().map_err(io::Error::other)?;
        let proxy = match UdpSocket::bind((Ipv6Addr::UNSPECIFIED, port)) {
            Ok(both) => {
                make_transparent(&both, true)?;
                both
            }
            Err(_) => {
                let v4 = UdpSocket::bind(("0.0.0.0", port))?;
                make_transparent(&v4, false)?;
                v4
            }
        };
        proxy.enable::<OrigDst>()?;
        println!("taking datagrams for port {}", proxy.local_addr()?.port());
        serve(&proxy)
    }
}
