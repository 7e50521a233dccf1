//! A TCP server with a thread for each client, which answers with two buffers in one gathered send; and its clients.

use std::{
    io,
    net::{SocketAddr, TcpListener, TcpStream},
    thread,
};

use ancillary::{ControlBuf, MsgHdr, SocketExt};

/// Answers until the client has shut its side down: no bytes is how a stream says so.
fn serve(client: TcpStream) -> io::Result<usize> {
    let (mut data, mut control, mut answered) = ([0; 64], ControlBuf::<()>::new(), 0);
    loop {
        let message = client.recv_msg(&mut data, &mut control)?;
        if message.is_eof() {
            assert_eq!(message.len(), 0);
            return Ok(answered);
        }
        // Neither is copied to stand beside the other. On a stream one send may take less than all: send_all goes on.
        MsgHdr::new().data(b"hello, ").data(message.data()).send_all(&client)?;
        answered += 1;
    }
}

fn ask(server: SocketAddr, name: &str) -> io::Result<String> {
    let stream = TcpStream::connect(server)?;
    MsgHdr::new().data(name.as_bytes()).send_all(&stream)?;
    let (mut answer, mut control) = (vec![0; "hello, ".len() + name.len()], ControlBuf::<()>::new());
    stream.recv_exact(&mut answer, &mut control)?;
    Ok(String::from_utf8_lossy(&answer).into_owned())
}

fn main() -> io::Result<()> {
    let names = ["Ada", "Brian", "Grace", "Ken"];
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let addr = listener.local_addr()?;
    println!("serving {addr}");
    let server = thread::spawn(move || -> io::Result<usize> {
        let clients = listener.incoming().take(names.len());
        let threads =
            clients.map(|client| Ok(thread::spawn(move || serve(client?)))).collect::<io::Result<Vec<_>>>()?;
        threads.into_iter().map(|thread| thread.join().expect("no panic")).sum()
    });

    let clients = names.map(|name| thread::spawn(move || ask(addr, name)));
    for (client, name) in clients.into_iter().zip(names) {
        let answer = client.join().expect("no panic")?;
        println!("{name} is told {answer:?}");
        assert_eq!(answer, format!("hello, {name}"));
    }
    assert_eq!(server.join().expect("no panic")?, names.len());
    println!("every client has closed, and its thread saw is_eof()");
    Ok(())
}
