//! A message in a buffer of somebody else's.

use std::{fmt, marker::PhantomData};

use nix::libc;

use crate::{
    addr::SockAddr,
    cmsg::Cmsgs,
    error::{PinnedError, TruncatedError},
    flags::MsgFlags,
    message::{RecvControl, RecvList},
    parser::{self, Messages},
    sys,
};

/// A message of a multishot receive, in a buffer of the caller's (`struct io_uring_recvmsg_out`): where another library
/// provides the buffers. It is only read.
///
/// Descriptors in it are numbers, and nobody's: that the kernel wrote these bytes only
/// [`RecvMsgMulti`](super::RecvMsgMulti) knows, whose buffers nobody else can write. So this is for sockets that carry none,
/// those of the internet among them.
///
/// ```
/// use ancillary::{message::HopLimit, pinned::RecvMsgOut};
///
/// type Out<'a> = RecvMsgOut<'a, HopLimit>;
/// let header = Out::header(); // for the request
/// let room = Out::room(1500); // how long each buffer has to be
/// # let mut buffer = vec![0; room];
/// # let controllen = ancillary::cmsg::encode(&HopLimit(9), &mut buffer[144..400])?;
/// # buffer[4..8].copy_from_slice(&u32::try_from(controllen).unwrap().to_ne_bytes());
/// # buffer[8..12].copy_from_slice(&5_u32.to_ne_bytes());
/// # buffer[400..405].copy_from_slice(b"hello");
/// # let buffer = &buffer[..405];
/// let message = Out::parse(buffer)?; // as many bytes of it as the completion says
/// assert_eq!((message.data(), message.extract()), (&b"hello"[..], Some(HopLimit(9))));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[doc(alias = "io_uring_recvmsg_out")]
#[derive(Clone, Copy)]
pub struct RecvMsgOut<'b, L = (), const N: usize = 256> {
    out: sys::Out,
    name: &'b [u8],
    control: &'b [u8],
    data: &'b [u8],
    list: PhantomData<fn() -> L>,
}

impl<'b, L: RecvList, const N: usize> RecvMsgOut<'b, L, N> {
    const TEMPLATE: &'static sys::Template = &{
        assert!(L::SPACE <= N, "the messages need more than N bytes: give L::SPACE as N");
        sys::Template::new(N)
    };

    /// The header for the request: room for an address of any family and `N` bytes of control data. It is static.
    pub const fn header() -> *const libc::msghdr {
        Self::TEMPLATE.as_ptr()
    }

    /// How long a buffer is for a message of so many bytes.
    #[must_use]
    pub const fn room(payload: usize) -> usize {
        (sys::CONTROL_AT + N).saturating_add(payload)
    }

    /// Reads a message: as many bytes of the buffer as the completion's result says.
    ///
    /// # Errors
    ///
    /// [`PinnedError::Short`] if the buffer has not even room for an empty message.
    pub fn parse(buffer: &'b [u8]) -> Result<Self, PinnedError> {
        let short = PinnedError::Short { needed: Self::room(0), found: buffer.len() };
        let (head, rest) = buffer.split_first_chunk().ok_or(short)?;
        let (name, rest) = rest.split_at_checked(SockAddr::CAPACITY).ok_or(short)?;
        let (control, data) = rest.split_at_checked(N).ok_or(short)?;
        let out = sys::Out::from_bytes(*head);
        Ok(Self {
            out,
            name: &name[..(out.namelen as usize).min(name.len())],
            control: &control[..(out.controllen as usize).min(N)],
            data: &data[..(out.payloadlen as usize).min(data.len())],
            list: PhantomData,
        })
    }

    /// The data.
    #[must_use]
    pub fn data(&self) -> &'b [u8] {
        self.data
    }

    /// The real length of a datagram that was cut, if [`RecvFlags::TRUNC`](crate::RecvFlags::TRUNC) asked for it.
    #[must_use]
    pub fn full_len(&self) -> usize {
        (self.out.payloadlen as usize).max(self.data.len())
    }

    /// Where it came from.
    #[must_use]
    pub fn peer(&self) -> Option<SockAddr> {
        SockAddr::from_bytes(self.name).ok()
    }

    /// What the kernel reported.
    #[must_use]
    pub fn flags(&self) -> MsgFlags {
        MsgFlags::from_bits_retain(i32::from_ne_bytes(self.out.flags.to_ne_bytes()))
    }

    /// The control data as bytes.
    #[must_use]
    pub fn control_bytes(&self) -> &'b [u8] {
        self.control
    }

    /// The raw control messages.
    pub fn cmsgs(&self) -> Cmsgs<'b> {
        parser::cmsgs(self.control)
    }

    /// The control messages as an enum.
    pub fn messages(&self) -> Messages<'b> {
        parser::parse(self.control)
    }

    /// The declared messages; see [`Received::extract`](crate::Received::extract).
    #[must_use]
    pub fn extract(&self) -> L::Output<'b> {
        L::extract(self.cmsgs())
    }

    /// The message of this type, declared or not; see [`Received::get`](crate::Received::get).
    #[must_use]
    pub fn get<T: RecvControl>(&self) -> Option<T::Value<'b>> {
        <T as RecvList>::extract(self.cmsgs())
    }

    /// The message itself, unless data or control data were cut.
    ///
    /// # Errors
    ///
    /// [`TruncatedError`] says which.
    pub fn require_complete(&self) -> Result<&Self, TruncatedError> {
        let len = self.data.len();
        let data = self.flags().contains(MsgFlags::TRUNC) || self.full_len() > len;
        let control = self.flags().contains(MsgFlags::CTRUNC);
        if data || control {
            return Err(TruncatedError { data, control, len, control_len: self.control.len() });
        }
        Ok(self)
    }
}

/// Prints length, peer, flags and control messages in one line.
impl<L: RecvList, const N: usize> fmt::Debug for RecvMsgOut<'_, L, N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RecvMsgOut {{ {} bytes", self.data.len())?;
        if let Some(peer) = self.peer() {
            write!(f, ", from: {peer:?}")?;
        }
        f.write_str(", control: ")?;
        parser::fmt_list(self.cmsgs(), f)?;
        f.write_str(", flags: ")?;
        bitflags::parser::to_writer(&self.flags(), &mut *f)?;
        f.write_str(" }")
    }
}
