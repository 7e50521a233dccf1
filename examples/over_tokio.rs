//! tokio (feature `tokio`): a UDP server that answers from the address it was asked on and hears of errors meanwhile, and
//! a descriptor that is handed over in a stream.

use std::{fs::File, future::poll_fn, io, pin::pin, task::Poll};

use ancillary::{
    ControlBuf, MsgHdr, SocketExt,
    message::{ExtendedError, PktInfo},
    stream::FdStream,
    tokio::AsyncSocket,
};
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt},
    net::{UdpSocket, UnixStream},
};

type Meta = (PktInfo, ExtendedError);

async fn serve(server: &UdpSocket) -> io::Result<()> {
    let (mut data, mut control) = ([0; 1500], ControlBuf::<Meta>::new());
    loop {
        let message = server.recv_msg_async(&mut data, &mut control).await?;
        println!("asked: {message:?}");
        let mut answer = MsgHdr::new();
        answer.to(message.peer()).data(message.data()).control(message.extract().0.and_then(|info| info.reply()));
        answer.send_async(server).await?;
    }
}

async fn watch(server: &UdpSocket) -> io::Result<()> {
    let (mut data, mut control) = ([0; 1500], ControlBuf::<Meta>::new());
    let entry = server.recv_error_async(&mut data, &mut control).await?;
    println!("error queue: {} for {:?}", entry.error(), entry.peer());
    Ok(())
}

async fn run() -> io::Result<()> {
    let server = UdpSocket::bind("0.0.0.0:0").await?;
    server.enable::<Meta>()?;
    let client = UdpSocket::bind("127.0.0.1:0").await?;
    client.connect(("127.0.0.7", server.local_addr()?.port())).await?; // hears that address alone
    let nobody = UdpSocket::bind("127.0.0.1:0").await?.local_addr()?; // closed again at once
    MsgHdr::new().to(nobody).data(b"anyone?").send_async(&server).await?;
    watch(&server).await?;
    let _ = server.take_error(); // which is told twice

    client.send(b"where are you?").await?;
    let (mut serves, mut data) = (pin!(serve(&server)), [0; 64]);
    let mut answered = pin!(client.recv(&mut data));
    // As `select!` does: the server ends with the answer.
    let len = poll_fn(|cx| match serves.as_mut().poll(cx) {
        Poll::Ready(result) => Poll::Ready(result.map(|()| 0)),
        Poll::Pending => answered.as_mut().poll(cx),
    });
    println!("the answer has {} bytes and came from 127.0.0.7", len.await?);

    let (a, b) = UnixStream::pair()?;
    let (mut a, mut b) = (FdStream::new(a), FdStream::new(b));
    a.push_fd(File::open("/dev/null")?); // goes with the next byte
    a.write_all(b"a file\n").await?;
    a.flush_async().await?;
    let mut line = String::new();
    b.read_line(&mut line).await?;
    let [file] = b.pop_fds_exact()?;
    println!("{line:?} came with {file:?}");
    Ok(())
}

fn main() -> io::Result<()> {
    tokio::runtime::Builder::new_current_thread().enable_io().build()?.block_on(run())
}
