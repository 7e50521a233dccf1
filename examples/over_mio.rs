//! mio: its sockets are `AsFd`. Events are edges: receive until `WouldBlock`, read the error queue until it is empty.

use std::{io, net::UdpSocket, time::Duration};

use ancillary::{
    ControlBuf, MsgHdr, SocketExt,
    message::{ExtendedError, HopLimit, PktInfo},
};
use mio::{Events, Interest, Poll, Token};

type Meta = (PktInfo, HopLimit, ExtendedError);

fn main() -> io::Result<()> {
    let (mut poll, mut events) = (Poll::new()?, Events::with_capacity(16));
    let mut server = mio::net::UdpSocket::bind(([127, 0, 0, 1], 0).into())?;
    server.enable::<Meta>()?;
    // EPOLLERR, which the error queue raises, needs no asking.
    poll.registry().register(&mut server, Token(0), Interest::READABLE)?;

    let client = UdpSocket::bind("127.0.0.1:0")?;
    for hops in [7, 8, 9] {
        MsgHdr::new().to(server.local_addr()?).data(b"question").control(HopLimit(hops)).send(&client)?;
    }
    let nobody = UdpSocket::bind("127.0.0.1:0")?.local_addr()?; // closed again at once
    MsgHdr::new().to(nobody).data(b"anyone?").send(&server)?;

    let (mut data, mut control) = ([0; 1500], ControlBuf::<Meta>::new());
    let (mut questions, mut errors) = (0, 0);
    while questions < 3 || errors < 1 {
        poll.poll(&mut events, Some(Duration::from_secs(10)))?;
        if events.is_empty() {
            return Err(io::ErrorKind::TimedOut.into());
        }
        for event in &events {
            if event.is_error() {
                errors += server.error_queue()?.drain(&mut data, &mut control, |entry| {
                    println!("error queue: {} for {:?}", entry.error(), entry.peer());
                })?;
            }
            loop {
                match server.recv_msg(&mut data, &mut control) {
                    Ok(message) => println!("{message:?}"),
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                    // An error that is in the queue fails one other call too, perhaps.
                    Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => continue,
                    Err(error) => return Err(error),
                }
                questions += 1;
            }
        }
    }
    println!("{questions} questions, {errors} error");
    Ok(())
}
