//! Control messages of level `SOL_SOCKET` that Linux has; see
//! [socket(7)](https://man7.org/linux/man-pages/man7/socket.7.html).

mod credentials;
mod devmem;
mod queue;
mod security;
mod tags;
mod transmit;

pub use credentials::Credentials;
pub use devmem::{DmabufCmsg, ScmDevmemDmabuf, ScmDevmemLinear};
pub use queue::{ScmInq, SoRxqOvfl};
pub use security::ScmSecurity;
pub use tags::{SoMark, SoPriority};
pub use transmit::{ScmTxTime, ScmWifiStatus, SockTxTime, TxTimeFlags};

use std::{io, os::fd::BorrowedFd};

use nix::libc::SOL_SOCKET;

use crate::options::{Families, SocketOption, require_packets};

/// An option of level `SOL_SOCKET` that every socket takes, but for which only those of network packets deliver.
#[derive(Clone, Copy)]
struct PacketOption(SocketOption);

impl PacketOption {
    const fn new(name: i32) -> Self {
        Self(SocketOption::new(Families::ANY, SOL_SOCKET, name))
    }

    fn set(self, socket: BorrowedFd<'_>, on: bool) -> io::Result<()> {
        require_packets(socket)?;
        self.0.set(socket, on)
    }
}

#[cfg(all(test, target_os = "linux", target_arch = "x86_64"))]
mod tests {
    use nix::libc;

    use super::*;

    #[test]
    fn numbers_are_those_of_the_c_library() {
        let ours = [
            tags::SO_RCVMARK,
            transmit::SO_TXTIME,
            transmit::SO_WIFI_STATUS,
            devmem::SO_DEVMEM_LINEAR,
            devmem::SO_DEVMEM_DMABUF,
        ];
        let theirs =
            [libc::SO_RCVMARK, libc::SO_TXTIME, libc::SO_WIFI_STATUS, libc::SCM_DEVMEM_LINEAR, libc::SCM_DEVMEM_DMABUF];
        assert_eq!(ours, theirs);
    }
}
