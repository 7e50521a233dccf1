//! socket2 sets what it has names for, this library sends and receives with control messages, poll(2) waits.

use std::{io, net::SocketAddr, os::fd::AsFd};

use ancillary::{
    ControlBuf, MsgHdr, SocketExt,
    message::{HopLimit, PktInfo, TrafficClass},
};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use socket2::{Domain, Protocol, SockRef, Socket, Type};

type Meta = (PktInfo, HopLimit, TrafficClass);

fn main() -> io::Result<()> {
    let server = Socket::new(Domain::IPV4, Type::DGRAM, Some(Protocol::UDP))?;
    server.set_reuse_address(true)?;
    server.set_recv_buffer_size(1 << 20)?;
    server.set_nonblocking(true)?;
    server.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into())?;
    server.enable::<Meta>()?;

    let client = std::net::UdpSocket::bind("127.0.0.1:0")?;
    SockRef::from(&client).set_ttl_v4(33)?; // for every datagram; HopLimit is for one
    let to = server.local_addr()?.as_socket().expect("an internet address");
    MsgHdr::new().to(to).data(b"the socket's hop limit").send(&client)?;
    MsgHdr::new().to(to).data(b"one of its own").control(HopLimit(9)).send(&client)?;

    let (mut data, mut control) = ([0; 1500], ControlBuf::<Meta>::new());
    for expected in [33, 9].map(HopLimit) {
        let message = loop {
            match server.recv_msg(&mut data, &mut control) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    poll(&mut [PollFd::new(server.as_fd(), PollFlags::POLLIN)], PollTimeout::NONE)?;
                }
                received => break received?,
            }
        };
        println!("{message:?} {:?}", String::from_utf8_lossy(message.data()));
        assert_eq!(message.extract().1, Some(expected));
    }
    Ok(())
}
