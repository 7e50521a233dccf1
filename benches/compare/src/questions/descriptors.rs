//! Descriptors: sent, received, closed.

use std::{
    fs::File,
    hint::black_box,
    io::{IoSlice, IoSliceMut},
    mem::MaybeUninit,
    os::{
        fd::{AsFd, AsRawFd, BorrowedFd, RawFd},
        unix::net::UnixStream,
    },
    time::Duration,
};

use ancillary::{
    ControlBuf, MsgHdr, SocketExt,
    message::{RecvList, ScmRights, ScmRightsSpace},
};
use nix::sys::socket::{self as nix_socket, ControlMessage, ControlMessageOwned, MsgFlags};
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage, SendFlags,
};

use super::{Case, time};
use crate::c;

/// Room for as many as a message can carry.
type Fds = ScmRightsSpace<253>;
const SPACE: usize = <Fds as RecvList>::SPACE;

pub(super) fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for count in [1, 8, 253] {
        let mut add = |who, run: fn(usize, u32) -> Duration| {
            let case = Case::new("descriptors", count.to_string(), who, move |times| run(count, times));
            cases.push(case.elements(count));
        };
        add("libc", libc);
        add("ours", ours);
        add("ours, recv_fds", ours_recv_fds);
        add("nix", nix);
        add("rustix", rustix);
    }
    cases
}

/// `receive` closes what arrives, and says how many there were.
#[inline(always)]
fn trip(
    count: usize,
    times: u32,
    mut send: impl FnMut(&UnixStream, &[BorrowedFd<'_>]),
    mut receive: impl FnMut(&UnixStream) -> usize,
) -> Duration {
    let (a, b) = UnixStream::pair().unwrap();
    let file = File::open("/dev/null").unwrap();
    let fds = vec![file.as_fd(); count];
    let open = || std::fs::read_dir("/proc/self/fd").unwrap().count();
    let before = open();
    // What arrives is what was sent: the same file.
    send(&a, &fds);
    let same = |fd: &std::os::fd::OwnedFd| {
        let stat = |fd| nix::sys::stat::fstat(fd).unwrap();
        stat(fd.as_fd()).st_ino == stat(file.as_fd()).st_ino
    };
    let mut control = ControlBuf::<Fds, SPACE>::new();
    assert_eq!(b.recv_msg(&mut [0; 1], &mut control).unwrap().take_fds().filter(same).count(), count);
    send(&a, &fds);
    assert_eq!(receive(&b), count);
    assert_eq!(open(), before);
    let time = time(times, || {
        send(&a, black_box(&fds));
        assert_eq!(receive(&b), count);
    });
    assert_eq!(open(), before);
    time
}

fn ours(count: usize, times: u32) -> Duration {
    let mut control = ControlBuf::<Fds, SPACE>::new();
    let send = |socket: &UnixStream, fds: &[BorrowedFd<'_>]| {
        MsgHdr::new().data(b"x").control(ScmRights::new(fds)).send(socket).unwrap();
    };
    trip(count, times, send, |socket| socket.recv_msg(&mut [0; 1], &mut control).unwrap().take_fds().map(drop).count())
}

fn ours_recv_fds(count: usize, times: u32) -> Duration {
    let send = |socket: &UnixStream, fds: &[BorrowedFd<'_>]| {
        socket.send_fds(b"x", fds).unwrap();
    };
    // Room for as many as are expected, as a program would have it.
    match count {
        1 => trip(count, times, send, |socket| socket.recv_fds::<1>(&mut [0; 1]).unwrap().fds().count()),
        8 => trip(count, times, send, |socket| socket.recv_fds::<8>(&mut [0; 1]).unwrap().fds().count()),
        _ => trip(count, times, send, |socket| socket.recv_fds::<253>(&mut [0; 1]).unwrap().fds().count()),
    }
}

/// A list of numbers, as nix and C want it.
#[inline(always)]
fn numbers(fds: &[BorrowedFd<'_>], room: &mut [RawFd; 253]) -> usize {
    for (number, fd) in room.iter_mut().zip(fds) {
        *number = fd.as_raw_fd();
    }
    fds.len()
}

fn libc(count: usize, times: u32) -> Duration {
    let mut room = [0; 253];
    let send = |socket: &UnixStream, fds: &[BorrowedFd<'_>]| {
        let count = numbers(fds, &mut room);
        c::send_fds(socket.as_fd(), b"x", &room[..count]);
    };
    trip(count, times, send, |socket| c::receive_and_close(socket.as_fd(), &mut [0; 1]))
}

fn nix(count: usize, times: u32) -> Duration {
    let (mut room, mut control) = ([0; 253], [0; SPACE]);
    let send = |socket: &UnixStream, fds: &[BorrowedFd<'_>]| {
        let count = numbers(fds, &mut room);
        let (control, flags) = ([ControlMessage::ScmRights(&room[..count])], MsgFlags::MSG_NOSIGNAL);
        nix_socket::sendmsg::<()>(socket.as_raw_fd(), &[IoSlice::new(b"x")], &control, flags, None).unwrap();
    };
    trip(count, times, send, |socket| {
        let (mut data, flags) = ([0; 1], MsgFlags::MSG_CMSG_CLOEXEC);
        let mut slices = [IoSliceMut::new(&mut data)];
        let message = nix_socket::recvmsg::<()>(socket.as_raw_fd(), &mut slices, Some(&mut control), flags).unwrap();
        let mut closed = 0;
        for message in message.cmsgs().unwrap() {
            if let ControlMessageOwned::ScmRights(fds) = message {
                closed += fds.len();
                for fd in fds {
                    nix::unistd::close(fd).unwrap();
                }
            }
        }
        closed
    })
}

fn rustix(count: usize, times: u32) -> Duration {
    let (mut room, mut control) = ([MaybeUninit::uninit(); SPACE], [MaybeUninit::uninit(); SPACE]);
    let send = |socket: &UnixStream, fds: &[BorrowedFd<'_>]| {
        let mut control = SendAncillaryBuffer::new(&mut room);
        assert!(control.push(SendAncillaryMessage::ScmRights(fds)));
        rustix::net::sendmsg(socket, &[IoSlice::new(b"x")], &mut control, SendFlags::NOSIGNAL).unwrap();
    };
    trip(count, times, send, |socket| {
        let (mut data, flags) = ([0; 1], RecvFlags::CMSG_CLOEXEC);
        let mut control = RecvAncillaryBuffer::new(&mut control);
        rustix::net::recvmsg(socket, &mut [IoSliceMut::new(&mut data)], &mut control, flags).unwrap();
        let fds = |message| match message {
            RecvAncillaryMessage::ScmRights(fds) => fds.map(drop).count(),
            _ => 0,
        };
        control.drain().map(fds).sum()
    })
}
