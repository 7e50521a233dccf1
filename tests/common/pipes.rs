//! Descriptors that say which they are: read ends of pipes, each with a text in it.

use std::{
    fs::File,
    io::{Read, Write},
    os::{
        fd::{AsFd, OwnedFd},
        unix::fs::MetadataExt,
    },
};

use nix::{
    fcntl::{FcntlArg, FdFlag, OFlag, fcntl},
    unistd::pipe2,
};

/// Read ends of pipes that hold the texts "0", "1", ... and whose other end is closed.
pub fn numbered(count: usize) -> Vec<OwnedFd> {
    let one = |k: usize| {
        let (reader, writer) = pipe2(OFlag::O_CLOEXEC).unwrap();
        File::from(writer).write_all(k.to_string().as_bytes()).unwrap();
        reader
    };
    (0..count).map(one).collect()
}

/// What is left in a pipe; proves that the descriptor is usable and which one it is.
pub fn content(fd: OwnedFd) -> String {
    let mut text = String::new();
    File::from(fd).read_to_string(&mut text).unwrap();
    text
}

/// The same of each.
pub fn contents(fds: impl IntoIterator<Item = OwnedFd>) -> Vec<String> {
    fds.into_iter().map(content).collect()
}

/// What [`numbered`] pipes hold.
pub fn names(range: std::ops::Range<usize>) -> Vec<String> {
    range.map(|k| k.to_string()).collect()
}

/// Whether execve(2) closes it.
pub fn is_cloexec(fd: impl AsFd) -> bool {
    FdFlag::from_bits_retain(fcntl(fd.as_fd(), FcntlArg::F_GETFD).unwrap()).contains(FdFlag::FD_CLOEXEC)
}

/// [`numbered`] pipes to send again and again, and how to know them again.
pub struct Marks {
    pub fds: Vec<OwnedFd>,
    pub inos: Vec<u64>,
}

impl Marks {
    pub fn new(count: usize) -> Self {
        let fds = numbered(count);
        let inos = fds.iter().map(ino).collect();
        Self { fds, inos }
    }
}

/// The inode, which two descriptors of one file have in common.
pub fn ino(fd: impl AsFd) -> u64 {
    File::from(fd.as_fd().try_clone_to_owned().unwrap()).metadata().unwrap().ino()
}
