//! async-io, the reactor of smol: every `Async<T>` is `AsFd`. A call is tried first and waits when it would block.

use std::{io, net::UdpSocket};

use ancillary::{
    ControlBuf, MsgHdr, SocketExt,
    message::{ExtendedError, HopLimit, PktInfo},
};
use async_io::Async;

type Meta = (PktInfo, HopLimit, ExtendedError);

/// Receives one message. No closure stands between the call and its result, so the message can be lent.
async fn hops(socket: &Async<UdpSocket>, control: &mut ControlBuf<Meta>) -> io::Result<Option<HopLimit>> {
    let mut data = [0; 1500];
    loop {
        match socket.recv_msg(&mut data, control) {
            Ok(message) => {
                println!("{message:?}");
                return Ok(message.extract().1);
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => println!("a send failed: {error}"),
        }
        // An entry in the error queue ends the wait as well, until it has been read.
        socket.error_queue()?.drain(&mut data, control, |entry| {
            println!("error queue: {} for {:?}", entry.error(), entry.peer());
        })?;
        socket.readable().await?;
    }
}

fn main() -> io::Result<()> {
    async_io::block_on(async {
        let server = Async::<UdpSocket>::bind(([127, 0, 0, 1], 0))?;
        server.enable::<Meta>()?;
        let client = Async::<UdpSocket>::bind(([127, 0, 0, 1], 0))?;
        let nobody = UdpSocket::bind("127.0.0.1:0")?.local_addr()?; // closed again at once
        MsgHdr::new().to(nobody).data(b"anyone?").send(&server)?;

        let mut control = ControlBuf::new();
        for expected in [7, 8, 9].map(HopLimit) {
            let mut question = MsgHdr::new();
            question.to(server.get_ref().local_addr()?).data(b"question").control(expected);
            client.write_with(|socket| question.send(socket)).await?;
            assert_eq!(hops(&server, &mut control).await?, Some(expected));
        }
        Ok(())
    })
}
