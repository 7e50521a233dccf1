//! `SCM_PIDFD`: the descriptor of the sender's process is owned, taken once, and never leaked.

#![cfg(target_os = "linux")]

mod common;

use std::{
    fs,
    io::Write,
    os::{
        fd::{AsFd, AsRawFd, FromRawFd, OwnedFd},
        unix::net::UnixStream,
    },
    process,
};

use ancillary::{
    ControlBuf, MsgFlags, MsgHdr, MsgHdrMut, RecvFlags, SocketExt, cmsg,
    message::{Credentials, ScmPidfd, ScmRights, ScmRightsSpace},
};
use common::{
    no_leak,
    pairs::{KINDS, pair},
    pipes::is_cloexec,
    raw, skipped,
};
use nix::{
    libc,
    sys::{
        resource::{Resource, getrlimit, setrlimit},
        socket::{getsockopt, sockopt::PeerCredentials},
    },
};

// include/uapi/asm-generic/socket.h, include/linux/socket.h
const SO_PEERPIDFD: i32 = 77;
const SCM_PIDFD: i32 = 4;

type Control = ControlBuf<(ScmPidfd, ScmRightsSpace<2>, Credentials)>;

/// A pair whose second socket asks for pidfds, if this kernel has them.
fn asked(test: &str, kind: nix::sys::socket::SockType) -> Option<(UnixStream, UnixStream)> {
    let (a, b) = pair(kind);
    if b.try_enable::<ScmPidfd>().unwrap() {
        return Some((a, b));
    }
    skipped(format_args!("SKIPPED {test}: this kernel has no SO_PASSPIDFD (Linux 6.5)"));
    None
}

/// Which process a pidfd stands for, as the kernel says it.
fn process_of(pidfd: &OwnedFd) -> u32 {
    let info = fs::read_to_string(format!("/proc/self/fdinfo/{}", pidfd.as_raw_fd())).unwrap();
    let pid = info.lines().find_map(|line| line.strip_prefix("Pid:")).expect("it is a pidfd");
    pid.trim().parse().unwrap()
}

#[test]
fn it_stands_for_the_sender_and_is_given_once() {
    for kind in KINDS {
        no_leak(|| {
            let Some((mut a, b)) = asked("it_stands_for_the_sender_and_is_given_once", kind) else { return };
            a.write_all(b"x").unwrap();
            let (mut data, mut control) = ([0; 9], Control::new());
            let mut message = b.recv_msg(&mut data, &mut control).unwrap();
            assert!(message.get::<ScmPidfd>().unwrap().error().is_none());
            let pidfd = message.take_pidfd().unwrap().unwrap();
            assert_eq!(process_of(&pidfd), process::id());
            assert!(message.take_pidfd().unwrap().is_none());
            assert!(control.take_pidfd().unwrap().is_none());
            assert_eq!(format!("{control:?}"), "[{SCM_PIDFD -1}]");
        });
    }
}

#[test]
fn one_that_nobody_takes_is_closed() {
    for kind in KINDS {
        no_leak(|| {
            let Some((mut a, b)) = asked("one_that_nobody_takes_is_closed", kind) else { return };
            let mut control = Control::new();
            for _ in 0..5 {
                a.write_all(b"x").unwrap();
                b.recv_msg(&mut [0; 9], &mut control).unwrap();
                assert!(control.get::<ScmPidfd>().is_some());
            }
        });
    }
}

/// CR12
#[test]
fn it_comes_beside_descriptors_and_credentials() {
    no_leak(|| {
        let kind = nix::sys::socket::SockType::Datagram;
        let Some((a, b)) = asked("it_comes_beside_descriptors_and_credentials", kind) else { return };
        b.enable::<Credentials>().unwrap();
        for pidfd_first in [true, false] {
            MsgHdr::new().data(b"x").control(ScmRights::new([a.as_fd(), b.as_fd()])).send(&a).unwrap();
            let mut data = [0; 9];
            let mut control = Control::new();
            let mut message = b.recv_msg(&mut data, &mut control).unwrap();
            let (pidfd, rights, credentials) = message.extract();
            assert!(pidfd.is_some() && rights.unwrap().count == 2);
            assert_eq!(credentials.unwrap().pid as u32, process::id());
            assert!(!message.flags().intersects(MsgFlags::TRUNC | MsgFlags::CTRUNC));
            let kinds: Vec<_> = message.cmsgs().map(|cmsg| cmsg.id().ty()).collect();
            assert_eq!(kinds, [libc::SCM_CREDENTIALS, libc::SCM_RIGHTS, SCM_PIDFD]);
            let early = if pidfd_first { message.take_pidfd().unwrap() } else { None };
            let fds: [OwnedFd; 2] = message.take_fds_exact().unwrap();
            let pidfd = early.or_else(|| message.take_pidfd().unwrap()).unwrap();
            assert_eq!((process_of(&pidfd), fds.len()), (process::id(), 2));
        }
        let peer = raw::int_option(&b, (libc::SOL_SOCKET, SO_PEERPIDFD)).unwrap();
        // SAFETY: the call has just given it to us alone.
        let peer = unsafe { OwnedFd::from_raw_fd(peer) };
        assert_eq!(process_of(&peer), getsockopt(&b, PeerCredentials).unwrap().pid() as u32);
    });
}

/// CR13: the kernel does so without being asked
#[test]
fn it_is_close_on_exec() {
    no_leak(|| {
        let kind = nix::sys::socket::SockType::Stream;
        let Some((mut a, b)) = asked("it_is_close_on_exec", kind) else { return };
        for inheritable in [false, true] {
            a.write_all(b"x").unwrap();
            let (mut data, mut control, mut header) = ([0; 9], Control::new(), MsgHdrMut::new());
            header.data(&mut data);
            if inheritable {
                header.inheritable();
            }
            let pidfd = header.recv(&b, &mut control).unwrap().take_pidfd().unwrap().unwrap();
            assert!(is_cloexec(&pidfd));
        }
    });
}

/// Linux makes a new one at every peek.
#[test]
fn a_peek_brings_one_of_its_own() {
    no_leak(|| {
        let kind = nix::sys::socket::SockType::Stream;
        let Some((mut a, b)) = asked("a_peek_brings_one_of_its_own", kind) else { return };
        a.write_all(b"x").unwrap();
        let (mut data, mut control, mut peeked) = ([0; 9], Control::new(), Control::new());
        MsgHdrMut::new().data(&mut data).flags(RecvFlags::PEEK).recv(&b, &mut peeked).unwrap();
        b.recv_msg(&mut data, &mut control).unwrap();
        let (first, second) = (peeked.take_pidfd().unwrap().unwrap(), control.take_pidfd().unwrap().unwrap());
        assert_eq!((process_of(&first), process_of(&second)), (process::id(), process::id()));
    });
}

/// With the table full the kernel sends -EMFILE, and no flag.
#[test]
fn without_a_free_descriptor_the_reason_comes_instead() {
    no_leak(|| {
        let kind = nix::sys::socket::SockType::Stream;
        let Some((mut a, b)) = asked("without_a_free_descriptor_the_reason_comes_instead", kind) else { return };
        a.write_all(b"x").unwrap();
        let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
        let mut control = Control::new();
        setrlimit(Resource::RLIMIT_NOFILE, 0, hard).unwrap();
        let received = b.recv_msg(&mut [0; 9], &mut control).map(|message| message.flags());
        setrlimit(Resource::RLIMIT_NOFILE, soft, hard).unwrap();
        assert!(!received.unwrap().contains(MsgFlags::CTRUNC));
        assert_eq!(control.take_pidfd().unwrap_err().raw_os_error(), Some(libc::EMFILE));
        assert_eq!(control.get::<ScmPidfd>().unwrap().error().unwrap().raw_os_error(), Some(libc::EMFILE));
    });
}

#[test]
fn a_buffer_too_small_for_it_gets_none() {
    no_leak(|| {
        let kind = nix::sys::socket::SockType::Stream;
        let Some((mut a, b)) = asked("a_buffer_too_small_for_it_gets_none", kind) else { return };
        a.write_all(b"x").unwrap();
        let mut control = ControlBuf::<(), { cmsg::len(0).unwrap() }>::new();
        b.recv_msg(&mut [0; 9], &mut control).unwrap();
        assert!(control.flags().contains(MsgFlags::CTRUNC));
        assert!(control.take_pidfd().unwrap().is_none());
    });
}
