//! A dual-stack UDP server on a wildcard address that answers from the address it was asked on.
//!
//! `udp_server [PORT]` serves for ever; `udp_server --once` asks itself over IPv4 and IPv6, checks, and ends.

use std::{
    io,
    net::{IpAddr, SocketAddr, UdpSocket},
    thread,
};

use ancillary::{ControlBuf, MsgHdr, SocketExt, message::PktInfo};

/// Answers `count` datagrams. Without the control message the kernel would choose the source by route: a client that
/// asked 127.0.0.53 would hear from 127.0.0.1, and not listen.
fn serve(server: &UdpSocket, count: usize) -> io::Result<()> {
    let (mut data, mut control) = ([0; 65536], ControlBuf::<PktInfo>::new());
    for _ in 0..count {
        let message = server.recv_msg(&mut data, &mut control)?;
        println!("{message:?}");
        let source = message.extract().and_then(|info| info.reply()); // None: asked by multicast
        let mut answer = MsgHdr::new();
        answer.to(message.peer()).data(b"you said ").data(message.data()).control(source);
        if let Err(error) = answer.send(server) {
            eprintln!("{answer:?}: {error}"); // one client's trouble is not the server's
        }
    }
    Ok(())
}

/// A connected socket: the kernel drops every answer that does not come from `to`.
fn ask(to: SocketAddr) -> io::Result<()> {
    let client = UdpSocket::bind(if to.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" })?;
    client.set_read_timeout(Some(std::time::Duration::from_secs(5)))?;
    client.connect(to)?;
    client.send(b"ping")?;
    let mut answer = [0; 64];
    let len = client.recv(&mut answer)?;
    assert_eq!(&answer[..len], b"you said ping");
    println!("  {to} answered from its own address");
    Ok(())
}

fn main() -> io::Result<()> {
    let argument = std::env::args().nth(1);
    let once = argument.as_deref() == Some("--once");
    let Ok(port) = argument.as_deref().filter(|_| !once).map_or(Ok(0), str::parse) else {
        eprintln!("usage: udp_server [PORT | --once]");
        std::process::exit(2);
    };
    let server = UdpSocket::bind(("::", port))?;
    server.enable::<PktInfo>()?; // before the address is known to anybody
    let port = server.local_addr()?.port();
    println!("serving port {port}");
    if !once {
        return serve(&server, usize::MAX);
    }
    let mut asked: Vec<IpAddr> =
        ["127.0.0.1", "127.0.0.53", "127.1.2.3", "::1"].map(|addr| addr.parse().unwrap()).into();
    asked
        .retain(|&addr| UdpSocket::bind((addr, 0)).inspect_err(|error| println!("  {addr} left out: {error}")).is_ok());
    let count = asked.len();
    let server = thread::spawn(move || serve(&server, count));
    asked.iter().try_for_each(|&addr| ask((addr, port).into()))?;
    server.join().expect("no panic")
}
