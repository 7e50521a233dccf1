//! Stamps of software and hardware; see
//! [Documentation/networking/timestamping.rst](https://docs.kernel.org/networking/timestamping.html).

use std::fmt;

use nix::libc::{self, SOL_SOCKET};

use super::{
    Timestamp,
    flags::{SO_TIMESTAMPING_NEW, SO_TIMESTAMPING_OLD, Stamping, TimestampingFlags},
};
use crate::{
    cmsg::{CmsgId, RawCmsg},
    error::DecodeError,
    message::rows::field,
    options::by_arch,
};

// include/uapi/asm-generic/socket.h; libc lacks it.
const SCM_TS_OPT_ID: i32 = by_arch(81, 0x5a);

/// When a packet was received or sent, by the system's clock and by that of the device (`SCM_TIMESTAMPING`, `struct
/// scm_timestamping`; Linux 2.6.30, old and new width).
///
/// Enabling it adds `RX_SOFTWARE`, `SOFTWARE`, `RX_HARDWARE` and `RAW_HARDWARE` to the flags that the socket has
/// ([`SoTimestamping`](super::SoTimestamping)), disabling takes these four away and leaves the others: stamps of what is
/// sent are then reported no longer, either. It arrives with what is received, and, from the error queue
/// ([`RecvFlags::ERRQUEUE`](crate::RecvFlags::ERRQUEUE)), for what was sent with a `TX_*` flag. Internet sockets with
/// TCP, AF_PACKET, CAN, Bluetooth; for hardware a device that has a clock and was told to use it (`SIOCSHWTSTAMP`). No
/// privilege.
///
/// Linux switches stamping on asynchronously: the first packets after enabling have none. It comes beside a
/// [`Timestamp`] if both are enabled.
///
/// ```
/// use ancillary::{ControlBuf, MsgHdr, SocketExt};
/// use ancillary::message::{ExtendedError, ScmTimestamping, SoTimestamping, Timestamp, TimestampingFlags};
/// use std::net::UdpSocket;
///
/// # fn main() -> std::io::Result<()> {
/// let socket = UdpSocket::bind("127.0.0.1:0")?;
/// socket.enable::<ScmTimestamping>()?; // which reports; stamps of what is sent are asked for:
/// let stamped = SoTimestamping(TimestampingFlags::TX_SOFTWARE | TimestampingFlags::TX_HARDWARE);
/// MsgHdr::new().to(socket.local_addr()?).data(b"stamped").control(stamped).send(&socket)?;
///
/// let (mut data, mut control) = ([0; 256], ControlBuf::<(ExtendedError, ScmTimestamping)>::new());
/// let report = socket.recv_error(&mut data, &mut control)?;
/// let stamps = report.extract().1.expect("that of the kernel");
/// let left = stamps.software.and_then(Timestamp::to_system_time).expect("every machine has a clock");
/// println!("{:?} ago", left.elapsed());
/// assert_eq!(stamps.hardware, None); // loopback has no clock
/// # Ok(())
/// # }
/// ```
///
/// # Wire layout
///
/// ```text
///   0          16         32         48
///   +----------+----------+----------+
///   | software | (unused) | hardware |   each seconds and nanoseconds, two longs; host byte order; 0, 0: none
///   +----------+----------+----------+
/// ```
///
/// The old one is 24 bytes long on 32-bit systems; the new one (`SO_TIMESTAMPING_NEW`, Linux 5.1) is 48 everywhere.
///
/// # References
///
/// [Documentation/networking/timestamping.rst](https://docs.kernel.org/networking/timestamping.html), 2.1;
/// net/socket.c, `__sock_recv_timestamp`; net/core/scm.c, `put_cmsg_scm_timestamping64`
#[doc(alias = "SCM_TIMESTAMPING")]
#[doc(alias = "SO_TIMESTAMPING")]
#[doc(alias = "SO_TIMESTAMPING_NEW")]
#[doc(alias = "scm_timestamping")]
#[doc(alias = "scm_timestamping64")]
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct ScmTimestamping {
    /// By the system clock, `CLOCK_REALTIME` (`ts[0]`).
    pub software: Option<Timestamp>,
    /// By the device's clock converted to the system's (`ts[1]`): Linux does so no longer, it is always `None`.
    pub transformed: Option<Timestamp>,
    /// By the device's own clock (`ts[2]`).
    pub hardware: Option<Timestamp>,
}

impl ScmTimestamping {
    pub(crate) const OLD: CmsgId = CmsgId::new(SOL_SOCKET, SO_TIMESTAMPING_OLD);
    pub(crate) const NEW: CmsgId = CmsgId::new(SOL_SOCKET, SO_TIMESTAMPING_NEW);
    const WIRE: usize = 48;

    const OPTION: Stamping = {
        use TimestampingFlags as Flags;
        let both = Flags::RX_SOFTWARE.union(Flags::SOFTWARE).union(Flags::RX_HARDWARE).union(Flags::RAW_HARDWARE);
        Stamping { on: both, off: both }
    };

    #[inline]
    fn read(cmsg: RawCmsg<'_>) -> Result<Self, DecodeError> {
        let bytes = wide(cmsg)?;
        Ok(Self {
            software: stamp(field::<0, 8, 48>(&bytes), field::<8, 8, 48>(&bytes))?,
            transformed: stamp(field::<16, 8, 48>(&bytes), field::<24, 8, 48>(&bytes))?,
            hardware: stamp(field::<32, 8, 48>(&bytes), field::<40, 8, 48>(&bytes))?,
        })
    }
}

/// The payload with numbers of 64 bits: the old one of 32-bit systems is widened.
#[inline]
fn wide(cmsg: RawCmsg<'_>) -> Result<[u8; ScmTimestamping::WIRE], DecodeError> {
    if cmsg.payload().len() != ScmTimestamping::WIRE / 2 || size_of::<libc::c_long>() != 4 {
        return cmsg.array();
    }
    let mut bytes = [0; ScmTimestamping::WIRE];
    for (wide, narrow) in bytes.chunks_exact_mut(8).zip(cmsg.payload().chunks_exact(4)) {
        let long = i32::from_ne_bytes(field::<0, 4, 4>(narrow.try_into().unwrap_or(&[0; 4])));
        wide.copy_from_slice(&i64::from(long).to_ne_bytes());
    }
    Ok(bytes)
}

#[inline]
fn stamp(secs: [u8; 8], nanos: [u8; 8]) -> Result<Option<Timestamp>, DecodeError> {
    let (secs, found) = (i64::from_ne_bytes(secs), i64::from_ne_bytes(nanos));
    if (secs, found) == (0, 0) {
        return Ok(None);
    }
    match u32::try_from(found).ok().and_then(|nanos| Timestamp::new(secs, nanos)) {
        Some(stamp) => Ok(Some(stamp)),
        None => Err(DecodeError::Value { field: "tv_nsec", expected: "0..=999999999", found }),
    }
}

/// Prints those that there are.
impl fmt::Display for ScmTimestamping {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let stamps = [("software", self.software), ("transformed", self.transformed), ("hardware", self.hardware)];
        let mut separator = "";
        for (name, stamp) in stamps {
            if let Some(stamp) = stamp {
                write!(f, "{separator}{name} {stamp}")?;
                separator = " ";
            }
        }
        if separator.is_empty() { f.write_str("none") } else { Ok(()) }
    }
}

receives!(ScmTimestamping, Self::OLD | Self::NEW, Self::WIRE, |cmsg| Self::read(cmsg), Self::OPTION);

/// Which interface made a hardware stamp of a received packet (`SCM_TIMESTAMPING_PKTINFO`, `struct scm_ts_pktinfo`;
/// Linux 4.13): behind a bridge or a bond it is another than the one of
/// [`PktInfo`](crate::message::PktInfo).
///
/// Enabling it adds `OPT_PKTINFO`, `RX_HARDWARE` and `RAW_HARDWARE` to the flags that the socket has, disabling takes the
/// first away. It comes with an [`ScmTimestamping`] that has a hardware stamp, and with no other. Sockets as there. No
/// privilege.
///
/// ```
/// use ancillary::{message::{RecvList, ScmTimestampingPktInfo}, parser};
/// # use ancillary::{ControlList, RawCmsg, cmsg::CmsgId};
///
/// # let payload = [2, 60, 0, 0].map(u32::to_ne_bytes).concat();
/// # let id = CmsgId::new(nix::libc::SOL_SOCKET, nix::libc::SCM_TIMESTAMPING_PKTINFO);
/// # let arrived = ControlList::new(RawCmsg::new(id, &payload))?;
/// # let cmsgs = parser::cmsgs(arrived.as_bytes());
/// let info = ScmTimestampingPktInfo::extract(cmsgs).unwrap(); // of a message: `message.extract()`
/// // The clock is that of interface 2; a frame of 60 bytes took 4.8 µs at 100 Mbit/s.
/// assert_eq!((info.if_index, info.pkt_length * 8 * 10), (2, 4_800));
/// # Ok::<(), ancillary::EncodeError>(())
/// ```
///
/// # Wire layout
///
/// ```text
///   0          4            8          16
///   +----------+------------+----------+
///   | if_index | pkt_length | reserved |   u32 each, host byte order
///   +----------+------------+----------+
/// ```
///
/// # References
///
/// [Documentation/networking/timestamping.rst](https://docs.kernel.org/networking/timestamping.html), 1.3.4;
/// net/socket.c, `put_ts_pktinfo`
#[doc(alias = "SCM_TIMESTAMPING_PKTINFO")]
#[doc(alias = "scm_ts_pktinfo")]
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct ScmTimestampingPktInfo {
    /// Interface index (`if_index`; [`interface`](crate::interface)); 0 if it is not known.
    pub if_index: u32,
    /// Length of the packet with its link layer's header (`pkt_length`).
    pub pkt_length: u32,
}

impl ScmTimestampingPktInfo {
    pub(crate) const ID: CmsgId = CmsgId::new(SOL_SOCKET, libc::SCM_TIMESTAMPING_PKTINFO);

    const OPTION: Stamping = {
        use TimestampingFlags as Flags;
        let on = Flags::OPT_PKTINFO.union(Flags::RX_HARDWARE).union(Flags::RAW_HARDWARE);
        Stamping { on, off: Flags::OPT_PKTINFO }
    };

    #[inline(always)]
    fn read(cmsg: RawCmsg<'_>) -> Result<Self, DecodeError> {
        let bytes = cmsg.array()?;
        Ok(Self {
            if_index: u32::from_ne_bytes(field::<0, 4, 16>(&bytes)),
            pkt_length: u32::from_ne_bytes(field::<4, 4, 16>(&bytes)),
        })
    }
}

impl fmt::Display for ScmTimestampingPktInfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "if {} length {}", self.if_index, self.pkt_length)
    }
}

receives!(ScmTimestampingPktInfo, Self::ID, 16, |cmsg| Self::read(cmsg), Self::OPTION);

/// The number that the report of this message's stamp shall say (`SCM_TS_OPT_ID`; Linux 6.13), in place of the one
/// that the socket counts.
///
/// UDP and raw sockets that have [`OPT_ID`](TimestampingFlags::OPT_ID). No privilege.
///
/// ```
/// use ancillary::{ControlBuf, MsgHdr, SocketExt};
/// use ancillary::message::{ExtendedError, Meaning, ScmTsOptId, SoTimestamping, TimestampingFlags as Flags};
/// # use ancillary::{ControlList, parser};
/// use std::{io::ErrorKind, net::UdpSocket};
///
/// # fn main() -> std::io::Result<()> {
/// # let list = ControlList::new(ScmTsOptId(7001))?;
/// # assert_eq!(parser::cmsgs(list.as_bytes()).next().unwrap().payload(), 7001u32.to_ne_bytes());
/// let socket = UdpSocket::bind("127.0.0.1:0")?;
/// SoTimestamping(Flags::SOFTWARE | Flags::TX_SOFTWARE | Flags::OPT_ID | Flags::OPT_TSONLY).set(&socket)?;
/// # let to = socket.local_addr()?;
/// let mut tick = MsgHdr::new();
/// tick.to(to).data(b"tick").control(ScmTsOptId(7001));
/// if tick.send(&socket).is_err_and(|error| error.kind() == ErrorKind::InvalidInput) {
///     return Ok(()); // before Linux 6.13
/// }
///
/// let mut control = ControlBuf::<ExtendedError>::new();
/// let report = socket.recv_error(&mut [], &mut control)?;
/// assert!(matches!(report.error().meaning(), Meaning::Sent { id: 7001, .. }));
/// # Ok(())
/// # }
/// ```
///
/// # Wire layout
///
/// ```text
///   0    4
///   +----+
///   | id |   u32, host byte order
///   +----+
/// ```
///
/// # Errors
///
/// Sending: EINVAL on a socket without `OPT_ID`, on TCP, and before Linux 6.13.
///
/// # References
///
/// [Documentation/networking/timestamping.rst](https://docs.kernel.org/networking/timestamping.html), 1.3.4;
/// net/core/sock.c, `__sock_cmsg_send`
#[doc(alias = "SCM_TS_OPT_ID")]
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct ScmTsOptId(pub u32);

impl ScmTsOptId {
    pub(crate) const ID: CmsgId = CmsgId::new(SOL_SOCKET, SCM_TS_OPT_ID);
}

sends!(ScmTsOptId, Self::ID, |id| id.0.to_ne_bytes());

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::laws::{reads, refuses, refuses_lengths, sends};

    fn wire(numbers: [i64; 6]) -> Vec<u8> {
        numbers.iter().flat_map(|number| number.to_ne_bytes()).collect()
    }

    #[test]
    fn stamps_are_read_in_both_forms_and_zeros_are_none() {
        let at = |secs, nanos| Some(Timestamp::new(secs, nanos).unwrap());
        let cases = [
            ([0; 6], [None; 3], "none"),
            ([1_700_000_000, 999_999_999, 0, 0, 0, 0], [at(1_700_000_000, 999_999_999), None, None], {
                "software 1700000000.999999999"
            }),
            ([0, 0, 0, 0, 7, 0], [None, None, at(7, 0)], "hardware 7.000000000"),
            ([0, 1, 2, 3, -4, 5], [at(0, 1), at(2, 3), at(-4, 5)], {
                "software 0.000000001 transformed 2.000000003 hardware -4.000000005"
            }),
        ];
        for id in [ScmTimestamping::OLD, ScmTimestamping::NEW] {
            for (numbers, [software, transformed, hardware], printed) in cases {
                let name = if id == ScmTimestamping::OLD { "SCM_TIMESTAMPING" } else { "SO_TIMESTAMPING_NEW" };
                let printed = format!("{{{name} {printed}}}");
                reads::<ScmTimestamping>(id, &wire(numbers), &printed, |stamps| {
                    assert_eq!(stamps, ScmTimestamping { software, transformed, hardware });
                });
            }
            let narrow = if size_of::<libc::c_long>() == 4 { 24 } else { 48 };
            refuses_lengths::<ScmTimestamping>(id, &[narrow, 48], 48);
        }
    }

    #[test]
    #[cfg(target_pointer_width = "32")]
    fn stamps_of_32_bits_are_read() {
        let payload: Vec<u8> = [-1i32, 1, 0, 0, i32::MAX, 999_999_999].iter().flat_map(|n| n.to_ne_bytes()).collect();
        let stamps = ScmTimestamping::read(RawCmsg::new(ScmTimestamping::OLD, &payload)).unwrap();
        assert_eq!(stamps.software, Timestamp::new(-1, 1));
        assert_eq!(stamps.transformed, None);
        assert_eq!(stamps.hardware, Timestamp::new(i32::MAX.into(), 999_999_999));
    }

    #[test]
    fn nanoseconds_outside_a_second_are_refused() {
        for (at, found) in [(1, 1_000_000_000), (3, -1), (5, i64::MIN), (5, i64::MAX), (1, 1 << 32)] {
            let mut numbers = [0; 6];
            numbers[at] = found;
            let error = DecodeError::Value { field: "tv_nsec", expected: "0..=999999999", found };
            refuses::<ScmTimestamping>(RawCmsg::new(ScmTimestamping::OLD, &wire(numbers)), error);
        }
    }

    #[test]
    fn the_stamping_interface_is_read() {
        let payload: Vec<u8> = [2u32, 1514, 0xffff_ffff, 9].iter().flat_map(|word| word.to_ne_bytes()).collect();
        let printed = "{SCM_TIMESTAMPING_PKTINFO if 2 length 1514}";
        reads::<ScmTimestampingPktInfo>(ScmTimestampingPktInfo::ID, &payload, printed, |info| {
            assert_eq!(info, ScmTimestampingPktInfo { if_index: 2, pkt_length: 1514 });
        });
        refuses_lengths::<ScmTimestampingPktInfo>(ScmTimestampingPktInfo::ID, &[16], 16);
    }

    #[test]
    fn an_id_goes_out_in_four_bytes() {
        for id in [0, 0xdead_beef, u32::MAX] {
            sends(&ScmTsOptId(id), ScmTsOptId::ID, &id.to_ne_bytes());
        }
    }
}
