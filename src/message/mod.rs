//! The cargo: a type for each control message, by protocol family; and the two traits that make one.
//!
//! A type named after a C constant is exactly that message ([`IpTtl`] is `IP_TTL`); the unified types serve both
//! internet families ([`HopLimit`], [`TrafficClass`], [`PktInfo`], [`Timestamp`]).
//!
//! # A message of your own
//!
//! ```
//! use ancillary::{DecodeError, RawCmsg, RecvControl, cmsg::CmsgId, set_option};
//! use std::{io, os::fd::BorrowedFd};
//!
//! /// Whether Bluetooth audio arrived intact (`BT_SCM_PKT_STATUS`).
//! #[derive(Debug, PartialEq)]
//! struct BtPktStatus(u8);
//!
//! impl RecvControl for BtPktStatus {
//!     type Value<'a> = Self;
//!     const PAYLOAD_LEN: usize = 1;
//!     fn matches(id: CmsgId) -> bool { id == CmsgId::new(274, 3) }
//!     fn decode(cmsg: RawCmsg<'_>) -> Result<Self, DecodeError> { cmsg.array().map(|[status]| Self(status)) }
//!     fn set_enabled(socket: BorrowedFd<'_>, on: bool) -> io::Result<()> { set_option(socket, 274, 16, on.into()) }
//! }
//! # assert_eq!(BtPktStatus::decode(RawCmsg::new(CmsgId::new(274, 3), &[2])), Ok(BtPktStatus(2)));
//! ```
//!
//! To send one, implement [`SendControl`] with [`ControlOut::push`](crate::ControlOut::push).
//!

#![forbid(unsafe_code)]
#![doc = include_str!("../../docs/messages.md")]

#[macro_use]
mod rows;

mod at_most;
#[cfg(any(test, not(linux_like)))]
mod foreign;
mod ip;
mod ipv6;
#[cfg(linux_like)]
mod linux;
mod rights;
mod timestamp;
mod unified;

pub use at_most::AtMost;
#[cfg(not(linux_like))]
pub use foreign::*;
pub use ip::*;
pub use ipv6::*;
#[cfg(linux_like)]
pub use linux::*;
pub use rights::{BorrowFd, ReceivedRights, ScmRights, ScmRightsSpace};
pub use timestamp::*;
pub use unified::*;

#[cfg(test)]
#[cfg_attr(not(linux_like), allow(dead_code, reason = "most tests have Linux's bytes"))]
mod laws;
#[cfg(test)]
#[cfg_attr(not(linux_like), allow(dead_code, unused_imports, reason = "most tests have Linux's bytes"))]
mod tests;

use std::{io, os::fd::BorrowedFd};

pub use crate::cmsg::SendControl;
use crate::{
    cmsg::{self, CmsgId, Cmsgs, ControlOut, RawCmsg},
    error::{DecodeError, EncodeError},
};

/// A message that can be received: what it is, how to read it, how to ask for it.
///
/// What it reads is most often itself: `type Value<'a> = Self`. A message of any length can be a view instead, of the
/// bytes in the control buffer, for `'a`.
///
/// ```
/// use ancillary::{ControlBuf, DecodeError, RawCmsg, RecvControl, SocketExt, cmsg::CmsgId, set_option};
/// use std::{io, net::UdpSocket, os::fd::BorrowedFd};
///
/// /// How many routers a datagram has passed at least (`IP_TTL`), of a sender that begins with 64.
/// #[derive(Debug, PartialEq)]
/// struct Routers(u8);
///
/// impl RecvControl for Routers {
///     type Value<'a> = Self;
///     const PAYLOAD_LEN: usize = 4;
///     fn matches(id: CmsgId) -> bool { id == CmsgId::new(0, 2) }
///     fn decode(cmsg: RawCmsg<'_>) -> Result<Self, DecodeError> { cmsg.int().map(|ttl| Self(64 - ttl as u8)) }
///     fn set_enabled(socket: BorrowedFd<'_>, on: bool) -> io::Result<()> { set_option(socket, 0, 12, on.into()) }
/// }
///
/// # fn main() -> io::Result<()> {
/// # #[cfg(target_os = "linux")] {
/// let socket = UdpSocket::bind("127.0.0.1:0")?;
/// socket.enable::<Routers>()?;
/// # let sent = ancillary::message::IpTtl(61);
/// # ancillary::MsgHdr::new().to(socket.local_addr()?).data(b"x").control(sent).send(&socket)?;
/// let (mut data, mut control) = ([0; 16], ControlBuf::<Routers>::new());
/// assert_eq!(socket.recv_msg(&mut data, &mut control)?.extract(), Some(Routers(3)));
/// # }
/// # Ok(())
/// # }
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a control message that can be received",
    note = "a list is one message, or a tuple of up to twelve, not nested; to receive descriptors: `ScmRightsSpace<N>`"
)]
pub trait RecvControl {
    /// What it is read as.
    type Value<'a>;

    /// The longest payload of it, which reserves its room in a [`ControlBuf`](crate::ControlBuf).
    const PAYLOAD_LEN: usize;

    /// Whether a message with this identity is one.
    fn matches(id: CmsgId) -> bool;

    /// Reads one.
    ///
    /// # Errors
    ///
    /// [`DecodeError`] with what was expected and what was found.
    fn decode(cmsg: RawCmsg<'_>) -> Result<Self::Value<'_>, DecodeError>;

    /// How long the payload of a message with this identity is, if it always has one length: a walk over messages that are
    /// so long is faster. What it reads is the same.
    #[inline(always)]
    fn usual_len(id: CmsgId) -> Option<usize> {
        let _ = id;
        None
    }

    /// Makes one value of two that came with the same data: the later one counts, unless a type says otherwise.
    ///
    /// For what a system delivers in parts, in any order (`IP_RECVDSTADDR` and `IP_RECVIF` on the BSDs).
    ///
    /// ```
    /// use ancillary::{DecodeError, RawCmsg, RecvControl, RecvList, cmsg::CmsgId, parser};
    ///
    /// /// A number whose halves come apart.
    /// #[derive(Debug, PartialEq)]
    /// struct Halves(u32);
    ///
    /// impl RecvControl for Halves {
    ///     type Value<'a> = Self;
    ///     const PAYLOAD_LEN: usize = 4;
    ///     fn matches(id: CmsgId) -> bool { id == CmsgId::new(9999, 1) || id == CmsgId::new(9999, 2) }
    ///     fn decode(cmsg: RawCmsg<'_>) -> Result<Self, DecodeError> { Ok(Self(cmsg.int()? as u32)) }
    ///     fn merge<'a>(earlier: Self::Value<'a>, later: Self::Value<'a>) -> Self::Value<'a> {
    ///         Self(earlier.0 | later.0)
    ///     }
    /// }
    /// # let (low, high) = (0x1234u32.to_ne_bytes(), 0x5678_0000u32.to_ne_bytes());
    /// # let [low, high] = [(1, &low), (2, &high)].map(|(ty, bytes)| RawCmsg::new(CmsgId::new(9999, ty), bytes));
    /// # let arrived = ancillary::ControlList::new([low, high])?;
    /// # let cmsgs = parser::cmsgs(arrived.as_bytes());
    /// assert_eq!(Halves::extract(cmsgs), Some(Halves(0x5678_1234)));
    /// # Ok::<(), ancillary::EncodeError>(())
    /// ```
    #[inline(always)]
    fn merge<'a>(earlier: Self::Value<'a>, later: Self::Value<'a>) -> Self::Value<'a> {
        let _ = earlier;
        later
    }

    /// Asks the kernel to deliver it with every message, or no longer to. Unless it is implemented there is nothing to set.
    ///
    /// # Errors
    ///
    /// That of setsockopt(2), or [`FamilyError`](crate::FamilyError) on a socket that never delivers it.
    fn set_enabled(socket: BorrowedFd<'_>, on: bool) -> io::Result<()> {
        let _ = (socket, on);
        Ok(())
    }
}

/// What is declared once: a message or a tuple of up to twelve; it sets the options, sizes the buffer and is extracted.
///
/// Types may overlap: a message goes to each that matches it. A struct of your own can implement it, to get named
/// fields.
///
/// ```
/// use ancillary::{ControlBuf, SocketExt, message::{HopLimit, PktInfo, RecvList}, parser::Cmsgs};
/// use std::{io, net::UdpSocket, os::fd::BorrowedFd};
///
/// struct Meta { info: Option<PktInfo>, hops: Option<HopLimit> }
///
/// impl RecvList for Meta {
///     type Output<'a> = Self;
///     const SPACE: usize = <(PktInfo, HopLimit)>::SPACE;
///     fn set_all_enabled(socket: BorrowedFd<'_>, on: bool) -> io::Result<()> {
///         <(PktInfo, HopLimit)>::set_all_enabled(socket, on)
///     }
///     fn extract(cmsgs: Cmsgs<'_>) -> Self {
///         let (info, hops) = <(PktInfo, HopLimit)>::extract(cmsgs);
///         Self { info, hops }
///     }
/// }
///
/// # fn main() -> io::Result<()> {
/// let socket = UdpSocket::bind("127.0.0.1:0")?;
/// socket.enable::<Meta>()?;
/// socket.send_to(b"x", socket.local_addr()?)?;
/// let mut control = ControlBuf::<Meta>::new();
/// let meta = socket.recv_msg(&mut [0; 8], &mut control)?.extract();
/// assert!(meta.info.is_some() && meta.hops.is_some());
/// # Ok(())
/// # }
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a list of control messages",
    note = "a list is one message that can be received, or a tuple of up to twelve, not nested; for descriptors: `ScmRightsSpace<N>`"
)]
pub trait RecvList {
    /// An `Option` for each message.
    type Output<'a>;

    /// Bytes of control buffer for one of each.
    const SPACE: usize;

    /// Asks for each ([`SocketExt::enable`](crate::SocketExt::enable)).
    ///
    /// # Errors
    ///
    /// The first one; what was set before it stays set.
    fn set_all_enabled(socket: BorrowedFd<'_>, on: bool) -> io::Result<()>;

    /// Reads each, in one walk. Of several of one type the last that can be read counts
    /// ([`RecvControl::merge`]).
    fn extract(cmsgs: Cmsgs<'_>) -> Self::Output<'_>;
}

const fn space_of<T: RecvControl>() -> usize {
    match cmsg::space(T::PAYLOAD_LEN) {
        Some(space) => space,
        None => panic!("PAYLOAD_LEN is longer than a cmsg_len can say"),
    }
}

impl<T: RecvControl> RecvList for T {
    type Output<'a> = Option<T::Value<'a>>;
    const SPACE: usize = space_of::<T>();

    fn set_all_enabled(socket: BorrowedFd<'_>, on: bool) -> io::Result<()> {
        <T as RecvControl>::set_enabled(socket, on)
    }

    #[inline(always)]
    fn extract(cmsgs: Cmsgs<'_>) -> <Self as RecvList>::Output<'_> {
        <(T,)>::extract(cmsgs).0
    }
}

impl RecvList for () {
    type Output<'a> = ();
    const SPACE: usize = 0;
    fn set_all_enabled(_: BorrowedFd<'_>, _: bool) -> io::Result<()> {
        Ok(())
    }
    fn extract(_: Cmsgs<'_>) {}
}

/// The next message, if it is a `T` that is as long as usual.
#[inline(always)]
fn usual<'a, T: RecvControl>(cmsgs: &mut Cmsgs<'a>) -> Option<RawCmsg<'a>> {
    let header = cmsgs.header()?;
    if !T::matches(header.id()) {
        return None;
    }
    cmsgs.next_of_len(header, T::usual_len(header.id())?)
}

/// A list that reads one message into the places of its types.
trait Read: RecvList {
    fn read<'a>(cmsg: RawCmsg<'a>, out: &mut Self::Output<'a>);
}

macro_rules! tuples {
    ($($name:ident $index:tt),+) => {
        impl<$($name: RecvControl),+> RecvList for ($($name,)+) {
            type Output<'a> = ($(Option<$name::Value<'a>>,)+);
            const SPACE: usize = 0 $(+ space_of::<$name>())+;

            fn set_all_enabled(socket: BorrowedFd<'_>, on: bool) -> io::Result<()> {
                $(<$name as RecvControl>::set_enabled(socket, on)?;)+
                Ok(())
            }

            #[inline(always)]
            fn extract(cmsgs: Cmsgs<'_>) -> Self::Output<'_> {
                let (mut cmsgs, mut out) = (cmsgs, ($(None::<$name::Value<'_>>,)+));
                loop {
                    let before = cmsgs.rest().len();
                    // Most often they come in the order of the list: one comparison each then.
                    $(if let Some(cmsg) = usual::<$name>(&mut cmsgs) {
                        <Self as Read>::read(cmsg, &mut out);
                    })+
                    if cmsgs.is_over() {
                        break;
                    }
                    if cmsgs.rest().len() != before {
                        continue;
                    }
                    let Some(cmsg) = cmsgs.next() else { break };
                    <Self as Read>::read(cmsg, &mut out);
                }
                out
            }
        }

        impl<$($name: RecvControl),+> Read for ($($name,)+) {
            #[inline(always)]
            fn read<'a>(cmsg: RawCmsg<'a>, out: &mut <Self as RecvList>::Output<'a>) {
                $(if $name::matches(cmsg.id()) {
                    if let Ok(message) = $name::decode(cmsg) {
                        out.$index = Some(match out.$index.take() {
                            Some(earlier) => $name::merge(earlier, message),
                            None => message,
                        });
                    }
                })+
            }
        }

        impl<'fd, $($name: SendControl<'fd>),+> SendControl<'fd> for ($($name,)+) {
            #[inline(always)]
            fn encode(&self, out: &mut ControlOut<'_, 'fd>) -> Result<(), EncodeError> {
                $(self.$index.encode(out)?;)+
                Ok(())
            }
        }
    };
}

tuples!(A 0);
tuples!(A 0, B 1);
tuples!(A 0, B 1, C 2);
tuples!(A 0, B 1, C 2, D 3);
tuples!(A 0, B 1, C 2, D 3, E 4);
tuples!(A 0, B 1, C 2, D 3, E 4, F 5);
tuples!(A 0, B 1, C 2, D 3, E 4, F 5, G 6);
tuples!(A 0, B 1, C 2, D 3, E 4, F 5, G 6, H 7);
tuples!(A 0, B 1, C 2, D 3, E 4, F 5, G 6, H 7, I 8);
tuples!(A 0, B 1, C 2, D 3, E 4, F 5, G 6, H 7, I 8, J 9);
tuples!(A 0, B 1, C 2, D 3, E 4, F 5, G 6, H 7, I 8, J 9, K 10);
tuples!(A 0, B 1, C 2, D 3, E 4, F 5, G 6, H 7, I 8, J 9, K 10, L 11);

impl SendControl<'_> for () {
    fn encode(&self, _: &mut ControlOut<'_, '_>) -> Result<(), EncodeError> {
        Ok(())
    }
}

impl<'fd, T: SendControl<'fd> + ?Sized> SendControl<'fd> for &T {
    #[inline(always)]
    fn encode(&self, out: &mut ControlOut<'_, 'fd>) -> Result<(), EncodeError> {
        (**self).encode(out)
    }
}

impl<'fd, T: SendControl<'fd>> SendControl<'fd> for Option<T> {
    #[inline(always)]
    fn encode(&self, out: &mut ControlOut<'_, 'fd>) -> Result<(), EncodeError> {
        self.iter().try_for_each(|message| message.encode(out))
    }
}

impl<'fd, T: SendControl<'fd> + ?Sized> SendControl<'fd> for Box<T> {
    fn encode(&self, out: &mut ControlOut<'_, 'fd>) -> Result<(), EncodeError> {
        (**self).encode(out)
    }
}

impl<'fd, T: SendControl<'fd>> SendControl<'fd> for Vec<T> {
    fn encode(&self, out: &mut ControlOut<'_, 'fd>) -> Result<(), EncodeError> {
        self.as_slice().encode(out)
    }
}

impl<'fd, T: SendControl<'fd>> SendControl<'fd> for [T] {
    fn encode(&self, out: &mut ControlOut<'_, 'fd>) -> Result<(), EncodeError> {
        self.iter().try_for_each(|message| message.encode(out))
    }
}

impl<'fd, T: SendControl<'fd>, const N: usize> SendControl<'fd> for [T; N] {
    fn encode(&self, out: &mut ControlOut<'_, 'fd>) -> Result<(), EncodeError> {
        self.as_slice().encode(out)
    }
}
