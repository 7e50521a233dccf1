//! Descriptors from one process to another, every one of them or none: counts that are exact.
//!
//! `pass_fds` starts itself as a child that has one end of a socket pair for its standard input, and sends it
//!
//! 1. 253 descriptors, the most of one message, with data, in one call;
//! 2. three where two are expected: an error, and nothing is left open;
//! 3. 400 in one message of a byte stream, in as many calls as that takes (`stream`).
//!
//! Each is a pipe with its number in it. The child prints what came; the parent its exit status.

use std::{
    fs::File,
    io::{self, BufRead, Read, Write},
    os::{
        fd::{AsFd, OwnedFd},
        unix::net::UnixStream,
    },
    process::{Command, Stdio},
};

use ancillary::{SocketExt, stream::FdStream};

/// The most descriptors of one message (`SCM_MAX_FD`).
const MOST: usize = 253;
const MANY: usize = 400;

/// Read ends of pipes that hold a number each.
fn numbered(count: usize) -> io::Result<Vec<OwnedFd>> {
    (0..count)
        .map(|number| {
            let (reader, writer) = nix::unistd::pipe()?;
            File::from(writer).write_all(number.to_string().as_bytes())?;
            Ok(reader)
        })
        .collect()
}

/// Whether these are they, in order.
fn check(fds: impl IntoIterator<Item = OwnedFd>) -> io::Result<usize> {
    let mut count = 0;
    for (number, fd) in fds.into_iter().enumerate() {
        let mut text = String::new();
        File::from(fd).read_to_string(&mut text)?;
        assert_eq!(text, number.to_string());
        count += 1;
    }
    Ok(count)
}

fn parent() -> io::Result<()> {
    let (ours, theirs) = UnixStream::pair()?;
    let mut child = Command::new(std::env::current_exe()?);
    // In the child it is the standard input: no number has to be told.
    let mut child = child.arg("child").stdin(Stdio::from(OwnedFd::from(theirs))).spawn()?;

    let sent = ours.send_fds(b"two hundred", &numbered(MOST)?)?;
    assert_eq!(sent, b"two hundred".len());
    // One byte of answer keeps the messages apart: it is a stream.
    let mut answer = [0; 1];
    (&ours).read_exact(&mut answer)?;

    ours.send_fds(b"three", &numbered(3)?)?;
    (&ours).read_exact(&mut answer)?;

    // More than a call takes: as many go with the first byte as may, the others with the bytes behind it.
    let mut stream = FdStream::new(ours);
    stream.queue(format!("{MANY} descriptors\n").as_bytes(), numbered(MANY)?)?;
    stream.flush()?;

    let status = child.wait()?;
    println!("parent: the child ends with {status}");
    if status.success() { Ok(()) } else { Err(io::Error::other("the child has failed")) }
}

fn child() -> io::Result<()> {
    let socket = UnixStream::from(io::stdin().as_fd().try_clone_to_owned()?);
    let mut data = [0; 64];
    let message = socket.recv_fds::<MOST>(&mut data)?;
    let len = message.len();
    let fds: [OwnedFd; MOST] = message.exact()?;
    println!("child: {} descriptors with {:?} in one call", check(fds)?, data[..len].escape_ascii().to_string());
    (&socket).write_all(b"!")?;

    let error = socket.recv_fds::<2>(&mut data)?.exact().unwrap_err();
    println!("child: {error}; all are closed");
    assert_eq!((error.expected, error.found), (2, 3));
    (&socket).write_all(b"!")?;

    let (mut stream, mut line) = (FdStream::new(socket), String::new());
    stream.read_line(&mut line)?;
    let count = line.split(' ').next().and_then(|count| count.parse().ok()).unwrap_or(0);
    let fds = stream.pop_fds(count)?;
    println!("child: {} descriptors with {line:?} from a stream", check(fds)?);
    Ok(())
}

fn main() -> io::Result<()> {
    match std::env::args().nth(1).as_deref() {
        Some("child") => child(),
        _ => parent(),
    }
}
