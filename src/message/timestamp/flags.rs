//! What is stamped, and what is reported of it: the option `SO_TIMESTAMPING`; see
//! [Documentation/networking/timestamping.rst](https://docs.kernel.org/networking/timestamping.html).

use std::{
    io,
    os::fd::{AsFd, BorrowedFd},
};

use bitflags::bitflags;
use nix::libc::SOL_SOCKET;

use crate::{
    cmsg::CmsgId,
    error::EncodeError,
    options::{by_arch, require_packets},
    sys,
};

// include/uapi/asm-generic/socket.h; libc's `SO_TIMESTAMPING` is the one or the other.
pub(super) const SO_TIMESTAMPING_OLD: i32 = by_arch(37, 0x23);
pub(super) const SO_TIMESTAMPING_NEW: i32 = by_arch(65, 0x43);

bitflags! {
    /// What the kernel stamps, what it reports of it, and how (`SOF_TIMESTAMPING_*`).
    ///
    /// A stamp arrives only if one flag makes it (`RX_*`, `TX_*`) and another reports it
    /// ([`SOFTWARE`](Self::SOFTWARE), [`RAW_HARDWARE`](Self::RAW_HARDWARE)). The bits it does not know are kept; the
    /// kernel refuses those it does not know (EINVAL).
    ///
    /// ```
    /// use ancillary::message::{SoTimestamping, TimestampingFlags as Flags};
    ///
    /// # fn main() -> std::io::Result<()> {
    /// let socket = std::net::UdpSocket::bind("127.0.0.1:0")?;
    /// // Stamps of what is sent and what arrives, by the system clock, the sent ones numbered and without the packet.
    /// let flags = Flags::TX_SOFTWARE | Flags::RX_SOFTWARE | Flags::SOFTWARE | Flags::OPT_ID | Flags::OPT_TSONLY;
    /// SoTimestamping(flags).set(&socket)?;
    /// assert_eq!(SoTimestamping::get(&socket)?.0, flags);
    /// assert_eq!(flags & Flags::TX, Flags::TX_SOFTWARE); // what a message can choose for itself
    /// # Ok(())
    /// # }
    /// ```
    #[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
    pub struct TimestampingFlags: u32 {
        /// Make one when the device sends (`SOF_TIMESTAMPING_TX_HARDWARE`).
        #[doc(alias = "SOF_TIMESTAMPING_TX_HARDWARE")]
        const TX_HARDWARE = 1;
        /// Make one when the driver gets the packet (`SOF_TIMESTAMPING_TX_SOFTWARE`).
        #[doc(alias = "SOF_TIMESTAMPING_TX_SOFTWARE")]
        const TX_SOFTWARE = 1 << 1;
        /// Make one when the device receives (`SOF_TIMESTAMPING_RX_HARDWARE`).
        #[doc(alias = "SOF_TIMESTAMPING_RX_HARDWARE")]
        const RX_HARDWARE = 1 << 2;
        /// Make one when the packet enters the kernel (`SOF_TIMESTAMPING_RX_SOFTWARE`).
        #[doc(alias = "SOF_TIMESTAMPING_RX_SOFTWARE")]
        const RX_SOFTWARE = 1 << 3;
        /// Report those of the system clock (`SOF_TIMESTAMPING_SOFTWARE`).
        #[doc(alias = "SOF_TIMESTAMPING_SOFTWARE")]
        const SOFTWARE = 1 << 4;
        /// Without effect (`SOF_TIMESTAMPING_SYS_HARDWARE`, deprecated).
        #[doc(alias = "SOF_TIMESTAMPING_SYS_HARDWARE")]
        const SYS_HARDWARE = 1 << 5;
        /// Report those of the device's clock (`SOF_TIMESTAMPING_RAW_HARDWARE`).
        #[doc(alias = "SOF_TIMESTAMPING_RAW_HARDWARE")]
        const RAW_HARDWARE = 1 << 6;
        /// Number the sends; the report of a stamp says the number (`SOF_TIMESTAMPING_OPT_ID`). EINVAL on a TCP
        /// socket that is not connected.
        #[doc(alias = "SOF_TIMESTAMPING_OPT_ID")]
        const OPT_ID = 1 << 7;
        /// Make one when the packet enters the queue of the device (`SOF_TIMESTAMPING_TX_SCHED`).
        #[doc(alias = "SOF_TIMESTAMPING_TX_SCHED")]
        const TX_SCHED = 1 << 8;
        /// Make one when all has been acknowledged (`SOF_TIMESTAMPING_TX_ACK`; TCP).
        #[doc(alias = "SOF_TIMESTAMPING_TX_ACK")]
        const TX_ACK = 1 << 9;
        /// Report the other control messages of the packet with its stamp (`SOF_TIMESTAMPING_OPT_CMSG`).
        #[doc(alias = "SOF_TIMESTAMPING_OPT_CMSG")]
        const OPT_CMSG = 1 << 10;
        /// Report the stamp without the packet (`SOF_TIMESTAMPING_OPT_TSONLY`).
        #[doc(alias = "SOF_TIMESTAMPING_OPT_TSONLY")]
        const OPT_TSONLY = 1 << 11;
        /// Report statistics of the connection with the stamp (`SOF_TIMESTAMPING_OPT_STATS`; TCP): EINVAL without
        /// [`OPT_TSONLY`](Self::OPT_TSONLY).
        #[doc(alias = "SOF_TIMESTAMPING_OPT_STATS")]
        const OPT_STATS = 1 << 12;
        /// Report the interface that made a receive stamp (`SOF_TIMESTAMPING_OPT_PKTINFO`).
        #[doc(alias = "SOF_TIMESTAMPING_OPT_PKTINFO")]
        const OPT_PKTINFO = 1 << 13;
        /// Make one of the system clock even if the device makes one (`SOF_TIMESTAMPING_OPT_TX_SWHW`).
        #[doc(alias = "SOF_TIMESTAMPING_OPT_TX_SWHW")]
        const OPT_TX_SWHW = 1 << 14;
        /// Use the virtual clock given by [`SoTimestamping::set_with_clock`] (`SOF_TIMESTAMPING_BIND_PHC`; Linux 5.14).
        #[doc(alias = "SOF_TIMESTAMPING_BIND_PHC")]
        const BIND_PHC = 1 << 15;
        /// Count from what has been written, not from what has been acknowledged (`SOF_TIMESTAMPING_OPT_ID_TCP`; TCP):
        /// EINVAL without [`OPT_ID`](Self::OPT_ID).
        #[doc(alias = "SOF_TIMESTAMPING_OPT_ID_TCP")]
        const OPT_ID_TCP = 1 << 16;
        /// Report receive stamps only if their `RX_*` flag is set here (`SOF_TIMESTAMPING_OPT_RX_FILTER`).
        #[doc(alias = "SOF_TIMESTAMPING_OPT_RX_FILTER")]
        const OPT_RX_FILTER = 1 << 17;
        /// Make one when the device says that the packet has left (`SOF_TIMESTAMPING_TX_COMPLETION`; Bluetooth).
        #[doc(alias = "SOF_TIMESTAMPING_TX_COMPLETION")]
        const TX_COMPLETION = 1 << 18;
        const _ = !0;
    }
}

impl TimestampingFlags {
    /// The flags that make stamps of what is sent: those that one message can choose.
    #[doc(alias = "SOF_TIMESTAMPING_TX_RECORD_MASK")]
    pub const TX: Self =
        Self::TX_HARDWARE.union(Self::TX_SOFTWARE).union(Self::TX_SCHED).union(Self::TX_ACK).union(Self::TX_COMPLETION);

    /// Bits up to this one have a name here.
    const NAMED: u32 = (Self::TX_COMPLETION.bits() << 1) - 1;
}

/// Which stamps are made of what is sent (`SO_TIMESTAMPING`; Linux 2.6.30, as a control message 4.6); as the socket's
/// option also which are made of what is received, and what is reported.
///
/// Sent with a message it takes the place of the socket's own [`TX`](TimestampingFlags::TX) flags for this message;
/// empty it makes no stamp. The stamps come from the error queue ([`SocketExt::recv_error`](crate::SocketExt::recv_error))
/// as [`ScmTimestamping`](super::ScmTimestamping), with an [`ExtendedError`](crate::message::ExtendedError) that says which
/// one it is; the socket's option has to name what is reported:
///
/// ```
/// use ancillary::{ControlBuf, MsgHdr, SocketExt};
/// use ancillary::message::{ExtendedError, Meaning, ScmTimestamping, SoTimestamping, TimestampingFlags};
/// use std::net::UdpSocket;
///
/// # fn main() -> std::io::Result<()> {
/// let socket = UdpSocket::bind("127.0.0.1:0")?;
/// type Report = (ExtendedError, ScmTimestamping);
/// let flags = TimestampingFlags::SOFTWARE | TimestampingFlags::OPT_ID | TimestampingFlags::OPT_TSONLY;
/// SoTimestamping(flags).set(&socket)?;
/// let control = SoTimestamping(TimestampingFlags::TX_SOFTWARE);
/// MsgHdr::new().to(socket.local_addr()?).data(b"stamped").control(control).send(&socket)?;
///
/// let mut control = ControlBuf::<Report>::new();
/// let report = socket.recv_error(&mut [], &mut control)?; // once the socket shows POLLERR
/// let (error, stamps) = report.extract();
/// if let Some(Meaning::Sent { id, .. }) = error.map(|error| error.meaning()) {
///     println!("datagram {id} left at {}", stamps.unwrap());
/// }
/// # assert!(stamps.unwrap().software.is_some());
/// # Ok(())
/// # }
/// ```
///
/// Internet sockets with TCP, AF_PACKET, CAN. No privilege. `TX_ACK` has no effect but on TCP.
///
/// # Wire layout
///
/// ```text
///   0       4
///   +-------+
///   | flags |   u32, host byte order
///   +-------+
/// ```
///
/// # Errors
///
/// Sending: [`EncodeError::Value`] for other flags than those of [`TX`](TimestampingFlags::TX) (the kernel's EINVAL);
/// EINVAL on AF_UNIX, and for those that the kernel does not know (`TX_COMPLETION` before Linux 6.15).
///
/// # References
///
/// [Documentation/networking/timestamping.rst](https://docs.kernel.org/networking/timestamping.html), 1.3;
/// net/core/sock.c, `__sock_cmsg_send`, `sock_set_timestamping`
#[doc(alias = "SO_TIMESTAMPING")]
#[doc(alias = "so_timestamping")]
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct SoTimestamping(pub TimestampingFlags);

impl SoTimestamping {
    pub(crate) const ID: CmsgId = CmsgId::new(SOL_SOCKET, SO_TIMESTAMPING_OLD);

    /// Sets the socket's flags, all of them (setsockopt(2)). A clock bound before stays bound. What
    /// [`enable`](crate::SocketExt::enable) adds for [`ScmTimestamping`](super::ScmTimestamping) is among them, and goes
    /// with `disable`.
    ///
    /// It decides also whether *all* stamps of the socket arrive in the old or the new width; both are read alike.
    ///
    /// # Errors
    ///
    /// EINVAL for flags that the kernel does not know or that need others; [`FamilyError`](crate::FamilyError) on
    /// AF_UNIX and AF_NETLINK, which would take them and never stamp anything.
    #[doc(alias = "setsockopt")]
    pub fn set(self, socket: impl AsFd) -> io::Result<()> {
        let socket = socket.as_fd();
        require_packets(socket)?;
        Setting { flags: self.0, ..Setting::of(socket)? }.give(socket)
    }

    /// The same, and binds the virtual clock `index` (`bind_phc`; Linux 5.14) with
    /// [`BIND_PHC`](TimestampingFlags::BIND_PHC): hardware stamps are then those of this clock.
    ///
    /// ```
    /// use ancillary::message::{SoTimestamping, TimestampingFlags as Flags};
    /// use std::net::UdpSocket;
    ///
    /// # fn main() -> std::io::Result<()> {
    /// let socket = UdpSocket::bind("127.0.0.1:0")?;
    /// let hardware = SoTimestamping(Flags::RX_HARDWARE | Flags::RAW_HARDWARE);
    /// // Of /dev/ptp1, on a socket that is bound to a device; this one is not:
    /// assert!(hardware.set_with_clock(&socket, 1).is_err());
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// As [`set`](Self::set); EOPNOTSUPP or EINVAL if the socket is not bound to a device (`SO_BINDTODEVICE`) that has
    /// this clock.
    #[doc(alias = "bind_phc")]
    pub fn set_with_clock(self, socket: impl AsFd, index: i32) -> io::Result<()> {
        let socket = socket.as_fd();
        require_packets(socket)?;
        Setting { flags: self.0 | TimestampingFlags::BIND_PHC, clock: Some(index) }.give(socket)
    }

    /// The socket's flags (getsockopt(2)).
    ///
    /// # Errors
    ///
    /// That of getsockopt(2).
    #[doc(alias = "getsockopt")]
    pub fn get(socket: impl AsFd) -> io::Result<Self> {
        Ok(Self(Setting::of(socket.as_fd())?.flags))
    }

    #[inline(always)]
    fn to_wire(self) -> Result<[u8; 4], EncodeError> {
        let bits = self.0.bits();
        if bits & TimestampingFlags::NAMED & !TimestampingFlags::TX.bits() != 0 {
            let expected = "TX_HARDWARE, TX_SOFTWARE, TX_SCHED, TX_ACK and TX_COMPLETION alone";
            return Err(EncodeError::Value { field: "SO_TIMESTAMPING", expected, found: bits.into() });
        }
        Ok(bits.to_ne_bytes())
    }
}

sends!(SoTimestamping, Self::ID, |flags| flags.to_wire()?);

/// The option as the kernel has it (`struct so_timestamping`); before Linux 5.14 the flags alone.
#[derive(Clone, Copy)]
struct Setting {
    flags: TimestampingFlags,
    clock: Option<i32>,
}

impl Setting {
    fn of(socket: BorrowedFd<'_>) -> io::Result<Self> {
        let mut bytes = [0; 8];
        // Under the old number alone it is told whichever has been set.
        let len = sys::option_bytes(socket, SOL_SOCKET, SO_TIMESTAMPING_OLD, &mut bytes)?;
        let [f0, f1, f2, f3, c0, c1, c2, c3] = bytes;
        Ok(Self {
            flags: TimestampingFlags::from_bits_retain(u32::from_ne_bytes([f0, f1, f2, f3])),
            clock: (len == bytes.len()).then_some(i32::from_ne_bytes([c0, c1, c2, c3])),
        })
    }

    fn give(self, socket: BorrowedFd<'_>) -> io::Result<()> {
        let [f0, f1, f2, f3] = self.flags.bits().to_ne_bytes();
        let [c0, c1, c2, c3] = self.clock.unwrap_or(0).to_ne_bytes();
        let both = [f0, f1, f2, f3, c0, c1, c2, c3];
        let bytes = if self.clock.is_some() { &both[..] } else { &both[..4] };
        // 32 bits of seconds end in 2038: the new one where there is one.
        #[cfg(target_pointer_width = "32")]
        match sys::set_option_bytes(socket, SOL_SOCKET, SO_TIMESTAMPING_NEW, bytes) {
            Err(error) if error.raw_os_error() == Some(nix::libc::ENOPROTOOPT) => {}
            result => return result,
        }
        sys::set_option_bytes(socket, SOL_SOCKET, SO_TIMESTAMPING_OLD, bytes)
    }
}

/// The flags that bring a message; others that the socket has stay as they are.
#[derive(Clone, Copy)]
pub(super) struct Stamping {
    /// Added when it is enabled.
    pub(super) on: TimestampingFlags,
    /// Taken away when it is disabled.
    pub(super) off: TimestampingFlags,
}

impl Stamping {
    pub(super) fn set(self, socket: BorrowedFd<'_>, on: bool) -> io::Result<()> {
        require_packets(socket)?;
        let setting = Setting::of(socket)?;
        let flags = if on { setting.flags | self.on } else { setting.flags - self.off };
        Setting { flags, ..setting }.give(socket)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{cmsg, message::laws::sends};

    #[test]
    fn every_choice_of_sent_stamps_goes_out_in_four_bytes() {
        let flags: Vec<_> = TimestampingFlags::TX.iter().collect();
        assert_eq!(flags.len(), 5);
        for choice in 0u32..1 << flags.len() {
            let chosen = flags.iter().enumerate().filter(|(i, _)| choice >> i & 1 == 1).map(|(_, flag)| *flag);
            let chosen: TimestampingFlags = chosen.collect();
            sends(&SoTimestamping(chosen), SoTimestamping::ID, &chosen.bits().to_ne_bytes());
        }
        // A flag of a later kernel is the kernel's to judge.
        sends(
            &SoTimestamping(TimestampingFlags::from_bits_retain(1 << 19)),
            SoTimestamping::ID,
            &(1u32 << 19).to_ne_bytes(),
        );
    }

    #[test]
    fn flags_that_one_message_cannot_choose_are_refused() {
        let mut refused = 0;
        for bit in (0..19).map(|bit| 1 << bit).filter(|bit| bit & TimestampingFlags::TX.bits() == 0) {
            for bits in [bit, bit | TimestampingFlags::TX_SOFTWARE.bits()] {
                let flags = TimestampingFlags::from_bits_retain(bits);
                let expected = "TX_HARDWARE, TX_SOFTWARE, TX_SCHED, TX_ACK and TX_COMPLETION alone";
                let error = EncodeError::Value { field: "SO_TIMESTAMPING", expected, found: bits.into() };
                assert_eq!(cmsg::encode(&SoTimestamping(flags), &mut [0; 64]), Err(error));
                refused += 1;
            }
        }
        assert_eq!(refused, 2 * 14);
    }
}
