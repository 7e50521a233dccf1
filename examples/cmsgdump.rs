//! `cmsgdump [PORT] [--count N]`: prints every datagram that arrives, with everything the kernel says about it.
//!
//! Listens on `[::]:PORT`, IPv4 and IPv6 (0, the default, picks a port), prints the port on the first line, and then
//! one line for each datagram, `N` of them or for ever. Ask it something: `nc -u ::1 PORT`, `dig @127.0.0.1 -p PORT`.

use std::{io, net::UdpSocket, process::ExitCode};

use ancillary::{
    ControlBuf, SocketExt,
    message::{HopLimit, PktInfo, Timestamp, TrafficClass},
};

/// What to ask the kernel for; the buffer leaves room for more.
type Everything = (PktInfo, HopLimit, TrafficClass, Timestamp);

fn dump(port: u16, count: usize) -> io::Result<()> {
    let socket = UdpSocket::bind(("::", port))?;
    socket.enable::<Everything>()?;
    println!("{}", socket.local_addr()?.port());

    let (mut data, mut control) = ([0; 65536], ControlBuf::<Everything>::new());
    for _ in 0..count {
        let message = socket.recv_msg(&mut data, &mut control)?;
        println!("{message:?} \"{}\"", message.data().escape_ascii());
    }
    Ok(())
}

fn parse(mut arguments: impl Iterator<Item = String>) -> Option<(u16, usize)> {
    let (mut port, mut count) = (0, usize::MAX);
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--count" => count = arguments.next()?.parse().ok()?,
            other => port = other.parse().ok()?,
        }
    }
    Some((port, count))
}

fn main() -> ExitCode {
    let Some((port, count)) = parse(std::env::args().skip(1)) else {
        eprintln!("usage: cmsgdump [PORT] [--count N]");
        return ExitCode::from(2);
    };
    match dump(port, count) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("cmsgdump: {error}");
            ExitCode::FAILURE
        }
    }
}
