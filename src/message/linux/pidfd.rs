//! A descriptor of the sending process; see [unix(7)](https://man7.org/linux/man-pages/man7/unix.7.html).

use std::{fmt, io};

use nix::libc::SOL_SOCKET;

use crate::{
    cmsg::{CmsgId, RawCmsg},
    error::DecodeError,
    options::{Families, SocketOption, by_arch},
};

const SO_PASSPIDFD: i32 = by_arch(76, 0x55);

/// That a descriptor of the sender's process arrived (`SCM_PIDFD`; Linux 6.5, AF_UNIX), or why none did.
///
/// Received once enabled (`SO_PASSPIDFD`), with every message that is sent from then on. The descriptor itself, always
/// close-on-exec, belongs to the control buffer like those of `SCM_RIGHTS`, and is taken with
/// [`Received::take_pidfd`](crate::Received::take_pidfd). Unlike a process id it stays with the process: it becomes
/// readable when the process ends, and signals sent through it (pidfd_send_signal(2)) reach no other. No privilege.
///
/// A message sent before has none. A server enables it on the listening socket, so that accepted ones have it from their
/// first message on.
///
/// Enabling it makes the kernel bind an unnamed datagram socket to an abstract name at its next send or connect.
///
/// ```
/// use ancillary::{ControlBuf, SocketExt, message::{Credentials, ScmPidfd}};
/// use std::{io::Write, os::unix::net::UnixStream};
///
/// # fn main() -> std::io::Result<()> {
/// let (mut a, b) = UnixStream::pair()?;
/// # if !b.try_enable::<ScmPidfd>()? { return Ok(()) } // before Linux 6.5
/// b.enable::<(ScmPidfd, Credentials)>()?;
/// a.write_all(b"hello")?;
///
/// let (mut data, mut control) = ([0; 16], ControlBuf::<(ScmPidfd, Credentials)>::new());
/// let mut message = b.recv_msg(&mut data, &mut control)?;
/// let sender = message.take_pidfd()?.expect("one was asked for");
/// # assert_eq!(message.get::<Credentials>().unwrap().pid, std::process::id() as i32);
/// # drop(sender);
/// # Ok(())
/// # }
/// ```
///
/// # Wire layout
///
/// ```text
///   0       4
///   +-------+
///   | pidfd |   int, host byte order; negative: an error number
///   +-------+
/// ```
///
/// # References
///
/// unix(7), `SO_PASSPIDFD`; net/core/scm.c, `scm_pidfd_recv`
#[doc(alias = "SCM_PIDFD")]
#[doc(alias = "SO_PASSPIDFD")]
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct ScmPidfd {
    number: i32,
}

impl ScmPidfd {
    pub(crate) const ID: CmsgId = CmsgId::PIDFD;

    /// Why there is no descriptor: EMFILE if the receiver had no room for one, ESRCH if the process was gone (before
    /// Linux 6.16).
    pub fn error(&self) -> Option<io::Error> {
        (self.number < -1).then(|| io::Error::from_raw_os_error(self.number.wrapping_neg()))
    }

    #[inline]
    fn read(cmsg: RawCmsg<'_>) -> Result<Self, DecodeError> {
        Ok(Self { number: cmsg.int()? })
    }
}

/// Prints the number, -1 once it has been taken; or the error.
impl fmt::Display for ScmPidfd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.error() {
            Some(error) => error.fmt(f),
            None => self.number.fmt(f),
        }
    }
}

receives!(ScmPidfd, Self::ID, 4, |cmsg| Self::read(cmsg), SocketOption::new(Families::UNIX, SOL_SOCKET, SO_PASSPIDFD));

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::laws::{reads, refuses_lengths};

    #[test]
    fn a_negative_number_is_a_reason() {
        reads::<ScmPidfd>(ScmPidfd::ID, &7i32.to_ne_bytes(), "{SCM_PIDFD 7}", |pidfd| assert!(pidfd.error().is_none()));
        reads::<ScmPidfd>(ScmPidfd::ID, &(-1i32).to_ne_bytes(), "{SCM_PIDFD -1}", |pidfd| {
            assert!(pidfd.error().is_none());
        });
        let error = io::Error::from_raw_os_error(24);
        reads::<ScmPidfd>(ScmPidfd::ID, &(-24i32).to_ne_bytes(), &format!("{{SCM_PIDFD {error}}}"), |pidfd| {
            assert_eq!(pidfd.error().unwrap().raw_os_error(), Some(24));
        });
        reads::<ScmPidfd>(
            ScmPidfd::ID,
            &i32::MIN.to_ne_bytes(),
            &{ format!("{{SCM_PIDFD {}}}", io::Error::from_raw_os_error(i32::MIN)) },
            |pidfd| assert!(pidfd.error().is_some()),
        );
        refuses_lengths::<ScmPidfd>(ScmPidfd::ID, &[4], 4);
    }
}
