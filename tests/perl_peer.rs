//! Another implementation as peer: Socket::MsgHdr of Perl, in both directions.

#![cfg(target_os = "linux")]

mod common;

use std::{
    fs::File,
    io::Read,
    os::fd::OwnedFd,
    process::{Command, Stdio},
};

use ancillary::{ControlBuf, SocketExt};
use common::{
    alone, no_leak,
    pairs::stream,
    pipes::{content, contents},
    skipped,
    starting::Start,
};
use nix::{fcntl::OFlag, unistd::pipe2};

/// PE04
#[test]
fn perl_and_we_pass_each_other_descriptors() {
    let name = "perl_and_we_pass_each_other_descriptors";
    let module = alone(|| Command::new("perl").args(["-MSocket::MsgHdr", "-e", "1"]).stderr(Stdio::piped()).finish());
    match module {
        Ok(output) if output.status.success() => {}
        Ok(_) => return skipped(format_args!("SKIPPED {name}: perl has no Socket::MsgHdr (libsocket-msghdr-perl)")),
        Err(error) => return skipped(format_args!("SKIPPED {name}: perl: {error}")),
    }
    no_leak(|| {
        let ((ours, theirs), (reader, writer)) = (stream(), pipe2(OFlag::O_CLOEXEC).unwrap());
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/peer.pl");
        let mut perl = Command::new("perl").arg(script).stdin(OwnedFd::from(theirs)).start().unwrap();
        ours.send_fds(b"hello", [&writer]).unwrap();
        drop(writer);
        assert_eq!(content(reader), "hello through perl");

        let (mut data, mut control) = ([0; 64], ControlBuf::<()>::new());
        let mut message = ours.recv_msg(&mut data, &mut control).unwrap();
        message.require_complete().unwrap();
        assert_eq!((message.data(), message.cmsgs().count()), (&b"two of perl"[..], 1));
        assert_eq!(contents(message.take_fds_exact::<2>().unwrap()), ["one", "two"]);
        assert!(perl.wait().unwrap().success());
        let mut rest = Vec::new();
        assert_eq!(File::from(OwnedFd::from(ours)).read_to_end(&mut rest).unwrap(), 0, "nobody else has the socket");
    });
}
