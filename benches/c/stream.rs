//! A stream that carries descriptors.

use std::os::fd::{AsRawFd, BorrowedFd};

use nix::libc::{self, CMSG_DATA, CMSG_FIRSTHDR, CMSG_LEN, CMSG_NXTHDR};

use super::{Aligned, RECV_FLAGS, gather, header, iovec_mut, retry, rights, sendmsg};

/// sendmsg(2) of these buffers, with descriptors if there are any.
#[inline(always)]
pub fn send(socket: BorrowedFd<'_>, control: &mut Aligned<1040>, iov: &[libc::iovec], fds: &[libc::c_int]) -> usize {
    let mut header = header();
    gather(&mut header, iov);
    if !fds.is_empty() {
        rights(&mut control.0, &mut header, fds);
    }
    sendmsg(socket, &header)
}

/// recvmsg(2) into a buffer; each descriptor is handed over. How many bytes came.
#[inline(always)]
pub fn receive(
    socket: BorrowedFd<'_>,
    control: &mut Aligned<1040>,
    data: &mut [u8],
    mut each: impl FnMut(libc::c_int),
) -> usize {
    let (mut header, mut iov) = (header(), iovec_mut(data));
    header.msg_iov = &mut iov;
    header.msg_iovlen = 1;
    header.msg_control = control.0.as_mut_ptr().cast();
    header.msg_controllen = control.0.len() as _;
    let received = loop {
        // SAFETY: the header describes `data` and `control`, which are borrowed exclusively.
        let received = unsafe { libc::recvmsg(socket.as_raw_fd(), &mut header, RECV_FLAGS) };
        if received >= 0 {
            break received as usize;
        }
        retry();
    };
    assert_eq!(header.msg_flags & libc::MSG_CTRUNC, 0);
    // SAFETY: the header describes what the kernel wrote.
    unsafe {
        let mut at = CMSG_FIRSTHDR(&header);
        while !at.is_null() {
            if (*at).cmsg_level == libc::SOL_SOCKET && (*at).cmsg_type == libc::SCM_RIGHTS {
                let fds = CMSG_DATA(at).cast::<libc::c_int>();
                let here = ((*at).cmsg_len as usize - CMSG_LEN(0) as usize) / size_of::<libc::c_int>();
                (0..here).for_each(|n| each(fds.add(n).read_unaligned()));
            }
            at = CMSG_NXTHDR(&header, at);
        }
    }
    received
}
