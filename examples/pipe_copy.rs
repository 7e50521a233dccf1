//! A descriptor travels: the read end of a pipe is copied to the other side of a socket pair.
//!
//! What arrives is a new number for the same open pipe, so the original and the copy share what was written.

use std::{
    fs::File,
    io::{self, Read, Write},
    os::{
        fd::{AsFd, AsRawFd},
        unix::net::UnixStream,
    },
};

use ancillary::SocketExt;

fn main() -> io::Result<()> {
    let (here, there) = UnixStream::pair()?;
    let (reader, writer) = nix::unistd::pipe()?;
    let (mut original, mut writer) = (File::from(reader), File::from(writer));

    // At least one byte of data has to go with descriptors on a stream.
    here.send_fds(b"!", [original.as_fd()])?;

    let mut data = [0; 1];
    let message = there.recv_fds::<1>(&mut data)?;
    println!("received {} byte and {message:?}", message.len());
    let mut copy = File::from(message.into_iter().next().expect("one descriptor was sent"));
    assert_ne!(original.as_raw_fd(), copy.as_raw_fd());

    writer.write_all(b"first half, second half")?;
    drop(writer);

    let (mut first, mut second) = ([0; 12], String::new());
    original.read_exact(&mut first)?;
    copy.read_to_string(&mut second)?;
    println!("the original (descriptor {}) reads {:?}", original.as_raw_fd(), first.escape_ascii().to_string());
    println!("the copy (descriptor {}) reads {second:?}", copy.as_raw_fd());
    assert_eq!((&first, second.as_str()), (b"first half, ", "second half"));
    Ok(())
}
