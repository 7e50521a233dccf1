//! Building control data alone: what a library lets one do without a socket.

use std::{
    fs::File,
    hint::black_box,
    mem::MaybeUninit,
    os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd},
    time::Duration,
};

use ancillary::{cmsg, message::ScmRights};
use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage};

use super::{Case, time};
use crate::c;

pub(super) fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for count in [1, 8, 253] {
        let mut add = |who, run: fn(usize, u32) -> Duration| {
            let shape = format!("SCM_RIGHTS of {count}");
            cases.push(Case::new("build", shape, who, move |times| run(count, times)).elements(count));
        };
        add("libc", libc);
        add("ours", ours);
        add("rustix", rustix);
    }
    cases
}

fn ours(count: usize, times: u32) -> Duration {
    let file = File::open("/dev/null").unwrap();
    let (fds, mut bytes) = (vec![file.as_fd(); count], c::Aligned([0; 1040]));
    let build = |fds: &[BorrowedFd<'_>], bytes: &mut [u8]| cmsg::encode(&ScmRights::new(fds), bytes).unwrap();
    assert_eq!(build(&fds, &mut bytes.0), cmsg::space(4 * count).unwrap());
    assert_eq!(bytes.0, by_hand(&vec![file.as_raw_fd(); count]));
    time(times, || _ = black_box(build(black_box(&fds), black_box(&mut bytes.0))))
}

fn libc(count: usize, times: u32) -> Duration {
    let file = File::open("/dev/null").unwrap();
    let (fds, mut bytes) = (vec![file.as_raw_fd(); count], c::Aligned([0; 1040]));
    time(times, || {
        let mut header = c::header();
        c::rights(black_box(&mut bytes.0), &mut header, black_box(&fds));
        black_box(header.msg_controllen);
    })
}

/// What hand-written C makes of them.
fn by_hand(fds: &[RawFd]) -> [u8; 1040] {
    let mut bytes = c::Aligned([0; 1040]);
    c::rights(&mut bytes.0, &mut c::header(), fds);
    bytes.0
}

/// It shows no bytes: that they arrive is checked where descriptors are passed.
fn rustix(count: usize, times: u32) -> Duration {
    let file = File::open("/dev/null").unwrap();
    let (fds, mut room) = (vec![file.as_fd(); count], [MaybeUninit::uninit(); 1040]);
    time(times, || {
        let mut control = SendAncillaryBuffer::new(black_box(&mut room));
        assert!(control.push(SendAncillaryMessage::ScmRights(black_box(&fds))));
        black_box(&control);
    })
}
