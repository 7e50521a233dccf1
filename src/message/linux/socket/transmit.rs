//! When a packet shall leave, and whether it has arrived over the air; see
//! [socket(7)](https://man7.org/linux/man-pages/man7/socket.7.html).

use std::{fmt, io, os::fd::AsFd};

use bitflags::bitflags;
use nix::libc::{self, SOL_SOCKET};

use super::PacketOption;
use crate::{
    cmsg::{CmsgId, RawCmsg},
    error::DecodeError,
    message::rows::field,
    options::{by_arch, require_packets},
    sys,
};

// include/uapi/asm-generic/socket.h; libc lacks them on some systems. `SCM_TXTIME` and `SCM_WIFI_STATUS` are the same
// numbers.
pub(super) const SO_TXTIME: i32 = by_arch(61, 0x3f);
pub(super) const SO_WIFI_STATUS: i32 = by_arch(41, 0x25);

/// When the packets of this send shall leave (`SCM_TXTIME`; Linux 4.19): nanoseconds of the clock that the socket was
/// given by [`SockTxTime`]; 0: at once.
///
/// UDP, raw, ping, AF_PACKET and CAN sockets; TCP takes it without effect, AF_UNIX refuses it. The queueing disciplines
/// `fq` and `etf` alone keep to it; others send at once. No privilege.
///
/// ```
/// use ancillary::{MsgHdr, message::{ScmTxTime, SockTxTime}};
/// use std::net::UdpSocket;
///
/// # fn main() -> std::io::Result<()> {
/// # let socket = UdpSocket::bind("127.0.0.1:0")?;
/// # let (to, frame, start) = (socket.local_addr()?, [7; 3000], 1_000);
/// SockTxTime::MONOTONIC.set(&socket)?;
/// for (time, piece) in (start..).step_by(250_000).zip(frame.chunks(1200)) {
///     MsgHdr::new().to(to).data(piece).control(ScmTxTime(time)).send(&socket)?; // one each 250 µs
/// }
/// # let sizes = [(); 3].map(|()| socket.recv(&mut [0; 2000]).unwrap());
/// # assert_eq!(sizes, [1200, 1200, 600]);
/// # Ok(())
/// # }
/// ```
///
/// # Wire layout
///
/// ```text
///   0             8
///   +-------------+
///   | nanoseconds |   u64, host byte order
///   +-------------+
/// ```
///
/// # Errors
///
/// Sending: EINVAL if the socket has no clock yet. What `etf` drops is reported on the error queue if
/// [`TxTimeFlags::REPORT_ERRORS`] asks for it.
///
/// # References
///
/// [tc-etf(8)](https://man7.org/linux/man-pages/man8/tc-etf.8.html); net/core/sock.c, `__sock_cmsg_send`;
/// net/sched/sch_etf.c
#[doc(alias = "SCM_TXTIME")]
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct ScmTxTime(pub u64);

impl ScmTxTime {
    pub(crate) const ID: CmsgId = CmsgId::new(SOL_SOCKET, SO_TXTIME);
}

sends!(ScmTxTime, Self::ID, |time| time.0.to_ne_bytes());

bitflags! {
    /// How a socket keeps to its transmission times (`SOF_TXTIME_*`).
    ///
    /// The bits it does not know are kept; the kernel refuses those it does not know (EINVAL).
    ///
    /// ```
    /// use ancillary::message::{SockTxTime, TxTimeFlags};
    ///
    /// # fn main() -> std::io::Result<()> {
    /// let socket = std::net::UdpSocket::bind("127.0.0.1:0")?;
    /// let flags = TxTimeFlags::DEADLINE_MODE | TxTimeFlags::REPORT_ERRORS; // not later, and tell if it was
    /// SockTxTime { flags, ..SockTxTime::MONOTONIC }.set(&socket)?;
    /// assert!(SockTxTime::get(&socket)?.flags.contains(TxTimeFlags::DEADLINE_MODE));
    /// # Ok(())
    /// # }
    /// ```
    #[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
    pub struct TxTimeFlags: u32 {
        /// The time is the latest, not the earliest (`SOF_TXTIME_DEADLINE_MODE`; `etf`).
        #[doc(alias = "SOF_TXTIME_DEADLINE_MODE")]
        const DEADLINE_MODE = 1;
        /// Packets that are dropped are reported on the error queue (`SOF_TXTIME_REPORT_ERRORS`; `etf`).
        #[doc(alias = "SOF_TXTIME_REPORT_ERRORS")]
        const REPORT_ERRORS = 1 << 1;
        const _ = !0;
    }
}

/// The clock of a socket's transmission times (the option `SO_TXTIME`, `struct sock_txtime`; Linux 4.19), to be set
/// before an [`ScmTxTime`] is sent.
///
/// ```
/// use ancillary::{MsgHdr, message::{ScmTxTime, SockTxTime, TxTimeFlags}};
/// use std::net::UdpSocket;
///
/// # fn main() -> std::io::Result<()> {
/// let socket = UdpSocket::bind("127.0.0.1:0")?;
/// let option = SockTxTime { flags: TxTimeFlags::REPORT_ERRORS, ..SockTxTime::MONOTONIC };
/// option.set(&socket)?;
/// assert_eq!(SockTxTime::get(&socket)?, option);
/// MsgHdr::new().to(socket.local_addr()?).data(b"soon").control(ScmTxTime(1)).send(&socket)?;
/// # Ok(())
/// # }
/// ```
///
/// # Layout
///
/// ```text
///   0       4       8
///   +-------+-------+
///   | clock | flags |   int, u32; host byte order
///   +-------+-------+
/// ```
///
/// # References
///
/// [tc-etf(8)](https://man7.org/linux/man-pages/man8/tc-etf.8.html); include/uapi/linux/net_tstamp.h,
/// `struct sock_txtime`; net/core/sock.c, `sk_setsockopt`
#[doc(alias = "SO_TXTIME")]
#[doc(alias = "sock_txtime")]
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct SockTxTime {
    /// The clock (`clockid_t`): `CLOCK_MONOTONIC`, `CLOCK_REALTIME` or `CLOCK_TAI`.
    #[doc(alias = "clockid")]
    pub clock: i32,
    /// How the times are kept to.
    pub flags: TxTimeFlags,
}

impl SockTxTime {
    /// `CLOCK_MONOTONIC`, the one of `fq`; needs no privilege.
    #[doc(alias = "CLOCK_MONOTONIC")]
    pub const MONOTONIC: Self = Self { clock: libc::CLOCK_MONOTONIC, flags: TxTimeFlags::empty() };
    /// `CLOCK_TAI`, the usual one of `etf`; needs `CAP_NET_ADMIN`.
    #[doc(alias = "CLOCK_TAI")]
    pub const TAI: Self = Self { clock: libc::CLOCK_TAI, flags: TxTimeFlags::empty() };
    /// `CLOCK_REALTIME`; needs `CAP_NET_ADMIN`.
    #[doc(alias = "CLOCK_REALTIME")]
    pub const REALTIME: Self = Self { clock: libc::CLOCK_REALTIME, flags: TxTimeFlags::empty() };

    /// Gives them to a socket (setsockopt(2)). They cannot be taken away again.
    ///
    /// # Errors
    ///
    /// EPERM for another clock than `CLOCK_MONOTONIC` without `CAP_NET_ADMIN`, EINVAL for a clock or a flag that the
    /// kernel does not know (Linux 6.1 takes any clock); [`FamilyError`](crate::FamilyError) on AF_UNIX and AF_NETLINK,
    /// where nothing comes of it.
    #[doc(alias = "setsockopt")]
    pub fn set(self, socket: impl AsFd) -> io::Result<()> {
        let socket = socket.as_fd();
        require_packets(socket)?;
        sys::set_option_bytes(socket, SOL_SOCKET, SO_TXTIME, &self.to_wire())
    }

    /// Those of a socket (getsockopt(2)); all zero before they are set.
    ///
    /// # Errors
    ///
    /// That of getsockopt(2).
    #[doc(alias = "getsockopt")]
    pub fn get(socket: impl AsFd) -> io::Result<Self> {
        let mut bytes = [0; 8];
        sys::option_bytes(socket.as_fd(), SOL_SOCKET, SO_TXTIME, &mut bytes)?;
        Ok(Self::from_wire(bytes))
    }

    fn to_wire(self) -> [u8; 8] {
        let ([c0, c1, c2, c3], [f0, f1, f2, f3]) = (self.clock.to_ne_bytes(), self.flags.bits().to_ne_bytes());
        [c0, c1, c2, c3, f0, f1, f2, f3]
    }

    fn from_wire(bytes: [u8; 8]) -> Self {
        Self {
            clock: i32::from_ne_bytes(field::<0, 4, 8>(&bytes)),
            flags: TxTimeFlags::from_bits_retain(u32::from_ne_bytes(field::<4, 4, 8>(&bytes))),
        }
    }
}

/// Whether the station at the other end of a wireless link has acknowledged a packet (`SCM_WIFI_STATUS`; Linux 3.3).
///
/// Received from the error queue ([`SocketExt::recv_error`](crate::SocketExt::recv_error)) of the socket that sent the
/// packet, once enabled (`SO_WIFI_STATUS`): internet and AF_PACKET sockets over a mac80211 device; with it comes an
/// extended error of ENOMSG, whose origin has the number of the one for timestamps: this message tells the two apart. No
/// privilege.
///
/// ```
/// use ancillary::{message::{ExtendedError, RecvList, ScmTimestamping, ScmWifiStatus}, parser};
/// # use ancillary::{ControlList, RawCmsg, RecvControl, cmsg::CmsgId};
///
/// # let mut ids = (0..256).map(|ty| CmsgId::new(nix::libc::SOL_SOCKET, ty));
/// # let id = ids.find(|&id| ScmWifiStatus::matches(id)).unwrap();
/// # let acked = 1i32.to_ne_bytes();
/// # let entry = [&42u32.to_ne_bytes()[..], &[4, 0, 0, 0], &[0; 8]].concat();
/// # let arrived = ControlList::new([RawCmsg::new(id, &acked), RawCmsg::new(CmsgId::new(0, 11), &entry)])?;
/// # let cmsgs = parser::cmsgs(arrived.as_bytes());
/// type Report = (ExtendedError, ScmWifiStatus, ScmTimestamping);
/// match Report::extract(cmsgs) { // of an entry of the error queue: `entry.extract()`
///     (_, Some(ScmWifiStatus(acked)), None) => assert!(acked, "the station did not hear it"),
///     (_, _, Some(stamps)) => println!("sent {stamps}"),
///     (error, ..) => println!("{error:?}"),
/// }
/// # Ok::<(), ancillary::EncodeError>(())
/// ```
///
/// # Wire layout
///
/// ```text
///   0       4
///   +-------+
///   | acked |   int, host byte order: 1 or 0
///   +-------+
/// ```
///
/// # References
///
/// [socket(7)](https://man7.org/linux/man-pages/man7/socket.7.html); net/socket.c, `__sock_recv_wifi_status`
#[doc(alias = "SCM_WIFI_STATUS")]
#[doc(alias = "SO_WIFI_STATUS")]
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct ScmWifiStatus(pub bool);

impl ScmWifiStatus {
    pub(crate) const ID: CmsgId = CmsgId::new(SOL_SOCKET, SO_WIFI_STATUS);

    #[inline(always)]
    fn read(cmsg: RawCmsg<'_>) -> Result<Self, DecodeError> {
        match cmsg.int()? {
            0 => Ok(Self(false)),
            1 => Ok(Self(true)),
            found => Err(DecodeError::Value { field: "SCM_WIFI_STATUS", expected: "0..=1", found: found.into() }),
        }
    }
}

impl fmt::Display for ScmWifiStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0 { "acked" } else { "not acked" })
    }
}

receives!(ScmWifiStatus, Self::ID, 4, |cmsg| Self::read(cmsg), PacketOption::new(SO_WIFI_STATUS));

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::laws::{reads, refuses, refuses_lengths, sends};

    #[test]
    fn a_transmission_time_goes_out_in_eight_bytes() {
        for time in [0, 1, 0x0102_0304_0506_0708, u64::MAX] {
            sends(&ScmTxTime(time), ScmTxTime::ID, &time.to_ne_bytes());
        }
    }

    #[test]
    fn a_clock_and_its_flags_are_two_words() {
        let option = SockTxTime { clock: 11, flags: TxTimeFlags::from_bits_retain(0x8000_0003) };
        let wire = [11i32.to_ne_bytes(), 0x8000_0003u32.to_ne_bytes()].concat();
        assert_eq!(option.to_wire(), *wire);
        assert_eq!(SockTxTime::from_wire(option.to_wire()), option);
        assert_eq!(
            [SockTxTime::REALTIME, SockTxTime::MONOTONIC, SockTxTime::TAI].map(|option| option.clock),
            [0, 1, 11]
        );
    }

    #[test]
    fn a_packet_was_acknowledged_or_not() {
        for (int, acked, printed) in [(0, false, "not acked"), (1, true, "acked")] {
            let printed = format!("{{SCM_WIFI_STATUS {printed}}}");
            reads::<ScmWifiStatus>(ScmWifiStatus::ID, &i32::to_ne_bytes(int), &printed, |status| {
                assert_eq!(status, ScmWifiStatus(acked));
            });
        }
        refuses_lengths::<ScmWifiStatus>(ScmWifiStatus::ID, &[4], 4);
        for found in [-1, 2, i32::MIN, i32::MAX] {
            let error = DecodeError::Value { field: "SCM_WIFI_STATUS", expected: "0..=1", found: found.into() };
            refuses::<ScmWifiStatus>(RawCmsg::new(ScmWifiStatus::ID, &found.to_ne_bytes()), error);
        }
    }
}
