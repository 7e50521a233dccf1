//! `send` and `recv` replaced: a question and its answer over a socket pair, by sendmsg(2) and recvmsg(2).

use std::{io, os::unix::net::UnixStream, thread};

use ancillary::{ControlBuf, MsgHdr, SocketExt};

const QUESTION: &[u8] = b"is anybody there?";
const ANSWER: &[u8] = b"yes, at the other end";

fn main() -> io::Result<()> {
    let (parent, child) = UnixStream::pair()?;

    let child = thread::spawn(move || -> io::Result<Vec<u8>> {
        let mut data = [0; 1024];
        // A receive always takes a place for control messages, even if none are expected: `()` declares none.
        let mut control = ControlBuf::<()>::new();
        let message = child.recv_msg(&mut data, &mut control)?;
        println!("child reads  {:?}", message.data().escape_ascii().to_string());
        MsgHdr::new().data(ANSWER).send(&child)?;
        Ok(message.data().to_vec())
    });

    let sent = MsgHdr::new().data(QUESTION).send(&parent)?;
    assert_eq!(sent, QUESTION.len());

    let (mut data, mut control) = ([0; 1024], ControlBuf::<()>::new());
    let message = parent.recv_msg(&mut data, &mut control)?;
    println!("parent reads {:?}", message.data().escape_ascii().to_string());
    println!("all of it:   {message:?}");
    assert_eq!(message.data(), ANSWER);
    assert!(message.peer().is_none(), "a socket of a pair has no name");

    assert_eq!(child.join().expect("the child does not panic")?, QUESTION);

    // The child's socket is closed now: no bytes, and that means the end.
    let message = parent.recv_msg(&mut data, &mut control)?;
    assert!(message.is_empty() && message.is_eof());
    println!("then the end: is_eof() is {}", message.is_eof());
    Ok(())
}
