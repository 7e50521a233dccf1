//! Twelve descriptors and a text in one call; and what happens on something that is not a socket.

use std::{
    fs::{File, OpenOptions},
    io::{self, Read},
    os::unix::net::UnixDatagram,
};

use ancillary::{
    ControlBuf, MsgHdr, SocketExt,
    message::{ScmRights, ScmRightsSpace},
};
use nix::errno::Errno;

fn main() -> io::Result<()> {
    let (sender, receiver) = UnixDatagram::pair()?;
    let nulls = (0..12).map(|_| File::open("/dev/null")).collect::<io::Result<Vec<_>>>()?;

    let mut message = MsgHdr::new();
    message.data(b"here you go!").control(ScmRights::new(&nulls));
    println!("sends    {message:?}");
    message.send(&sender)?;
    drop(nulls); // ours to close at any time; those on the way are others

    // Room for 128 bytes and 32 descriptors.
    let (mut data, mut control) = ([0; 128], ControlBuf::<ScmRightsSpace<32>>::new());
    let mut message = receiver.recv_msg(&mut data, &mut control)?;
    println!("receives {message:?}");
    assert_eq!(message.data(), b"here you go!");
    message.require_complete()?;

    let files: Vec<File> = message.take_fds().map(File::from).collect();
    assert_eq!(files.len(), 12);
    for mut file in files {
        assert_eq!(file.read(&mut [0; 1])?, 0, "/dev/null is empty");
    }
    println!("took 12 descriptors, new ones (the numbers of the first may be free again), each reads as /dev/null");

    let file = OpenOptions::new().write(true).open("/dev/null")?;
    let error = file.send_fds(b"here you go!", [&sender]).unwrap_err();
    println!("on a file: {error}");
    assert_eq!(error.raw_os_error(), Some(Errno::ENOTSOCK as i32));
    Ok(())
}
