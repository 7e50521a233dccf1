//! A stream of messages, of which some carry a descriptor: written in pieces, read message by message.

use std::{
    collections::VecDeque,
    fs::{self, File},
    hint::black_box,
    io::{IoSlice, IoSliceMut, Read, Write},
    mem::MaybeUninit,
    os::{
        fd::{AsFd, AsRawFd, BorrowedFd, IntoRawFd, RawFd},
        unix::{fs::MetadataExt, net::UnixStream},
    },
    time::Duration,
};

use ancillary::stream::FdStream;
use arrayvec::ArrayVec;
use nix::sys::socket::{self as nix_socket, ControlMessage, ControlMessageOwned, MsgFlags};
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage, SendFlags,
};
use sendfd::{RecvWithFd, SendWithFd};

use super::{Case, pattern, time};
use crate::c;

/// Room for as many descriptors as a call can carry.
const SPACE: usize = 1040;
/// The length of the buffer to read into, which is that of ours.
const CAPACITY: usize = 8 * 1024;

/// So many messages of a head and two pieces of this size; each so manieth has a descriptor, or none.
#[derive(Clone, Copy)]
struct Shape {
    count: usize,
    size: usize,
    every: usize,
}

impl Shape {
    fn len(self) -> usize {
        8 + 2 * self.size
    }

    fn has_fd(self, number: usize) -> bool {
        number.checked_rem(self.every) == Some(0)
    }
}

/// A head, which says how long all of it is and how many descriptors come with it, and two pieces.
struct Message {
    pieces: [Vec<u8>; 3],
    has_fd: bool,
}

pub(super) fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for (count, size, every) in [(1, 16, 1), (32, 16, 0), (32, 16, 8), (32, 16, 1), (32, 512, 8)] {
        let shape = Shape { count, size, every };
        let fds = match every {
            0 => "none".to_owned(),
            1 => "each".to_owned(),
            every => format!("one in {every}"),
        };
        let name = format!("{count} of {} B, descriptor: {fds}", shape.len());
        let mut add = |who, run: fn(Shape, u32) -> Duration| {
            let case = Case::new("stream", name.clone(), who, move |times| run(shape, times));
            cases.push(case.elements(count).bytes(count * shape.len()));
        };
        add("libc", libc);
        add("libc, slices", libc_slices);
        add("ours", ours);
        add("nix", nix);
        add("rustix", rustix);
        add("sendfd", sendfd);
        if every == 0 {
            add("std", std);
        }
    }
    cases
}

/// What is told of each message: its bytes and its descriptor, which is closed afterwards.
type Each<'a> = dyn FnMut(&[u8], Option<RawFd>) + 'a;

/// `send` is given all messages and the descriptor that goes with some of them; `receive` hands on as many.
#[inline(always)]
fn trip<'fd>(
    shape: Shape,
    times: u32,
    file: &'fd File,
    mut send: impl FnMut(&[Message], BorrowedFd<'fd>),
    mut receive: impl FnMut(usize, &mut Each<'_>),
) -> Duration {
    let message = |number| {
        let (bytes, has_fd) = (pattern(2 * shape.size + number), shape.has_fd(number));
        let (first, second) = bytes[number..].split_at(shape.size);
        let head = [(shape.len() as u32).to_ne_bytes(), u32::from(has_fd).to_ne_bytes()].concat();
        Message { pieces: [head, first.to_vec(), second.to_vec()], has_fd }
    };
    let messages: Vec<Message> = (0..shape.count).map(message).collect();
    let open = || fs::read_dir("/proc/self/fd").unwrap().count();
    let before = open();
    // Each message arrives as it was sent, with its own descriptor, of the same file.
    send(&messages, file.as_fd());
    let mut number = 0;
    receive(shape.count, &mut |bytes, fd| {
        assert!(bytes == messages[number].pieces.concat());
        let inode = |fd: RawFd| fs::metadata(format!("/proc/self/fd/{fd}")).unwrap().ino();
        assert_eq!(fd.map(inode), messages[number].has_fd.then(|| inode(file.as_raw_fd())));
        number += 1;
    });
    assert_eq!((number, open()), (shape.count, before));
    let fds = messages.iter().filter(|message| message.has_fd).count();
    let time = time(times, || {
        send(black_box(&messages), file.as_fd());
        let mut came = (0, 0);
        receive(shape.count, &mut |bytes, fd| came = (came.0 + bytes.len(), came.1 + fd.iter().count()));
        assert_eq!(came, (shape.count * shape.len(), fds));
    });
    assert_eq!(open(), before);
    time
}

fn file() -> File {
    File::open("/dev/null").unwrap()
}

/// The length of the message at the front and how many descriptors it has, if all of it is there.
#[inline(always)]
fn whole(buffer: &[u8]) -> Option<(usize, usize)> {
    let (len, rest) = buffer.split_first_chunk()?;
    let (fds, _) = rest.split_first_chunk()?;
    let len = u32::from_ne_bytes(*len) as usize;
    (buffer.len() >= len).then_some((len, u32::from_ne_bytes(*fds) as usize))
}

fn ours(shape: Shape, times: u32) -> Duration {
    let ((a, b), file) = (UnixStream::pair().unwrap(), file());
    let (mut a, mut b) = (FdStream::new(a), FdStream::new(b));
    let send = |messages: &[Message], fd| {
        for Message { pieces: [head, first, second], has_fd } in messages {
            if *has_fd {
                a.push_fd(fd);
            }
            a.push(head);
            a.push(first);
            a.push(second);
        }
        a.flush().unwrap();
    };
    trip(shape, times, &file, send, |count, each| {
        for _ in 0..count {
            let (len, fds) = loop {
                match whole(b.buffer()) {
                    Some(found) => break found,
                    None => assert!(b.fill().unwrap() > 0),
                }
            };
            let (message, mut fds) = b.take_message(len, fds).unwrap();
            let fd = fds.next();
            each(message, fd.as_ref().map(AsRawFd::as_raw_fd));
        }
    })
}

/// What everybody else has to write: bytes are copied into a buffer, which is sent before each message that has a
/// descriptor, with the descriptor that waits; and what arrives is kept until a message is whole.
#[inline(always)]
fn by_hand(
    shape: Shape,
    times: u32,
    mut send: impl FnMut(&UnixStream, &[u8], &[BorrowedFd<'_>]) -> usize,
    receive: impl FnMut(&UnixStream, &mut [u8], &mut VecDeque<RawFd>) -> usize,
) -> Duration {
    let ((a, b), file) = (UnixStream::pair().unwrap(), file());
    let mut out = Vec::new();
    let send = |messages: &[Message], fd: BorrowedFd<'_>| {
        let mut fds = ArrayVec::<BorrowedFd<'_>, 1>::new();
        for message in messages {
            if message.has_fd {
                if !out.is_empty() {
                    assert_eq!(send(&a, &out, &fds), out.len());
                    out.clear();
                    fds.clear();
                }
                fds.push(fd);
            }
            message.pieces.iter().for_each(|piece| out.extend_from_slice(piece));
        }
        assert_eq!(send(&a, &out, &fds), out.len());
        out.clear();
    };
    trip(shape, times, &file, send, read_by_hand(&b, receive))
}

#[inline(always)]
fn read_by_hand(
    socket: &UnixStream,
    mut receive: impl FnMut(&UnixStream, &mut [u8], &mut VecDeque<RawFd>) -> usize,
) -> impl FnMut(usize, &mut Each<'_>) {
    let (mut buffer, mut fds) = (vec![0; CAPACITY], VecDeque::new());
    let (mut start, mut end) = (0, 0);
    move |count, each| {
        for _ in 0..count {
            let (len, has_fd) = loop {
                if let Some(found) = whole(&buffer[start..end]) {
                    break found;
                }
                if start > 0 {
                    buffer.copy_within(start..end, 0);
                    (start, end) = (0, end - start);
                }
                let came = receive(socket, &mut buffer[end..], &mut fds);
                assert!(came > 0);
                end += came;
            };
            let fd = if has_fd > 0 { Some(fds.pop_front().unwrap()) } else { None };
            each(&buffer[start..start + len], fd);
            if let Some(fd) = fd {
                nix::unistd::close(fd).unwrap();
            }
            start += len;
        }
    }
}

fn libc(shape: Shape, times: u32) -> Duration {
    let (mut out, mut control) = (c::Aligned([0; SPACE]), c::Aligned([0; SPACE]));
    let send = |socket: &UnixStream, bytes: &[u8], fds: &[BorrowedFd<'_>]| {
        let fds: ArrayVec<RawFd, 1> = fds.iter().map(AsRawFd::as_raw_fd).collect();
        c::stream::send(socket.as_fd(), &mut out, &[c::iovec(bytes)], &fds)
    };
    by_hand(shape, times, send, |socket, room, fds| {
        c::stream::receive(socket.as_fd(), &mut control, room, |fd| fds.push_back(fd))
    })
}

/// Pieces are not copied but listed.
fn libc_slices(shape: Shape, times: u32) -> Duration {
    let ((a, b), file) = (UnixStream::pair().unwrap(), file());
    let (mut out, mut control) = (c::Aligned([0; SPACE]), c::Aligned([0; SPACE]));
    let send = |messages: &[Message], fd: BorrowedFd<'_>| {
        let (mut iov, mut fds, mut len) = (ArrayVec::<_, 96>::new(), ArrayVec::<RawFd, 1>::new(), 0);
        for message in messages {
            if message.has_fd {
                if !iov.is_empty() {
                    assert_eq!(c::stream::send(a.as_fd(), &mut out, &iov, &fds), len);
                    (iov, fds, len) = (ArrayVec::new(), ArrayVec::new(), 0);
                }
                fds.push(fd.as_raw_fd());
            }
            for piece in &message.pieces {
                iov.push(c::iovec(piece));
                len += piece.len();
            }
        }
        assert_eq!(c::stream::send(a.as_fd(), &mut out, &iov, &fds), len);
    };
    let receive = |socket: &UnixStream, room: &mut [u8], fds: &mut VecDeque<RawFd>| {
        c::stream::receive(socket.as_fd(), &mut control, room, |fd| fds.push_back(fd))
    };
    trip(shape, times, &file, send, read_by_hand(&b, receive))
}

fn nix(shape: Shape, times: u32) -> Duration {
    let mut control = [0; SPACE];
    let send = |socket: &UnixStream, bytes: &[u8], fds: &[BorrowedFd<'_>]| {
        let fds: ArrayVec<RawFd, 1> = fds.iter().map(AsRawFd::as_raw_fd).collect();
        let rights = [ControlMessage::ScmRights(&fds)];
        let control = if fds.is_empty() { &[][..] } else { &rights };
        let flags = MsgFlags::MSG_NOSIGNAL;
        nix_socket::sendmsg::<()>(socket.as_raw_fd(), &[IoSlice::new(bytes)], control, flags, None).unwrap()
    };
    by_hand(shape, times, send, |socket, room, fds| {
        let (mut slices, flags) = ([IoSliceMut::new(room)], MsgFlags::MSG_CMSG_CLOEXEC);
        let message = nix_socket::recvmsg::<()>(socket.as_raw_fd(), &mut slices, Some(&mut control), flags).unwrap();
        for message in message.cmsgs().unwrap() {
            if let ControlMessageOwned::ScmRights(found) = message {
                fds.extend(found);
            }
        }
        message.bytes
    })
}

fn rustix(shape: Shape, times: u32) -> Duration {
    let (mut out, mut control) = ([MaybeUninit::uninit(); 64], [MaybeUninit::uninit(); SPACE]);
    let send = |socket: &UnixStream, bytes: &[u8], fds: &[BorrowedFd<'_>]| {
        let mut control = SendAncillaryBuffer::new(&mut out);
        assert!(fds.is_empty() || control.push(SendAncillaryMessage::ScmRights(fds)));
        rustix::net::sendmsg(socket, &[IoSlice::new(bytes)], &mut control, SendFlags::NOSIGNAL).unwrap()
    };
    by_hand(shape, times, send, |socket, room, fds| {
        let mut control = RecvAncillaryBuffer::new(&mut control);
        let flags = RecvFlags::CMSG_CLOEXEC;
        let message = rustix::net::recvmsg(socket, &mut [IoSliceMut::new(room)], &mut control, flags).unwrap();
        for message in control.drain() {
            if let RecvAncillaryMessage::ScmRights(found) = message {
                fds.extend(found.map(IntoRawFd::into_raw_fd));
            }
        }
        message.bytes
    })
}

fn sendfd(shape: Shape, times: u32) -> Duration {
    let mut arrived = [0; 253];
    let send = |socket: &UnixStream, bytes: &[u8], fds: &[BorrowedFd<'_>]| {
        let fds: ArrayVec<RawFd, 1> = fds.iter().map(AsRawFd::as_raw_fd).collect();
        socket.send_with_fd(bytes, &fds).unwrap()
    };
    by_hand(shape, times, send, |socket, room, fds| {
        let (len, count) = socket.recv_with_fd(room, &mut arrived).unwrap();
        fds.extend(&arrived[..count]);
        len
    })
}

/// It has no descriptors.
fn std(shape: Shape, times: u32) -> Duration {
    let send = |mut socket: &UnixStream, bytes: &[u8], _: &[BorrowedFd<'_>]| socket.write(bytes).unwrap();
    by_hand(shape, times, send, |mut socket, room, _| socket.read(room).unwrap())
}
