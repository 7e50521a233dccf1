//! Appending control messages to a buffer.

use std::{
    marker::PhantomData,
    os::fd::{AsRawFd, BorrowedFd},
};

use nix::libc;

use super::{CmsgId, Cmsgs};
use crate::{error::EncodeError, sys};

/// include/linux/socket.h; the arguments of remote memory access in it are addresses of this process.
#[cfg(linux_like)]
const SOL_RDS: i32 = 276;

/// Where control messages are written: the storage of a header, or any slice of bytes.
///
/// Headers, lengths and padding are its business; a message gives its identity and its payload. `'fd` is how long the
/// descriptors in it stay borrowed.
///
/// ```
/// use ancillary::{ControlList, ControlOut, EncodeError, SendControl, message::{IpTos, TClass}};
///
/// /// Expedited forwarding, in the form of the destination's family, or in both where it is not known.
/// struct Expedited;
///
/// impl SendControl<'_> for Expedited {
///     fn encode(&self, out: &mut ControlOut<'_, '_>) -> Result<(), EncodeError> {
///         match out.family() {
///             2 => IpTos(0xb8).encode(out), // AF_INET
///             0 => (IpTos(0xb8), TClass(0xb8)).encode(out),
///             _ => TClass(0xb8).encode(out),
///         }
///     }
/// }
/// # #[cfg(target_os = "linux")]
/// assert_eq!(format!("{:?}", ControlList::new(Expedited)?), "[{IP_TOS 0xb8}, {IPV6_TCLASS 0xb8}]");
/// # Ok::<(), EncodeError>(())
/// ```
pub struct ControlOut<'b, 'fd> {
    sink: sys::ByteSink<'b>,
    family: i32,
    // Invariant: a descriptor borrowed for less than 'fd cannot be smuggled in.
    fds: PhantomData<fn(&'fd ()) -> &'fd ()>,
}

impl<'b, 'fd> ControlOut<'b, 'fd> {
    #[inline(always)]
    pub(crate) fn new(sink: sys::ByteSink<'b>, family: i32) -> Self {
        Self { sink, family, fds: PhantomData }
    }

    /// Appends one message.
    ///
    /// # Errors
    ///
    /// [`EncodeError::ControlSpace`] without room, [`EncodeError::DescriptorNumbers`] for `SCM_RIGHTS`: use
    /// [`push_fds`](Self::push_fds); [`EncodeError::MemoryAddresses`] for RDS. Nothing is written then.
    #[inline(always)]
    pub fn push(&mut self, id: CmsgId, payload: &[u8]) -> Result<(), EncodeError> {
        if id == CmsgId::RIGHTS {
            return Err(EncodeError::DescriptorNumbers);
        }
        #[cfg(linux_like)]
        if id.level() == SOL_RDS {
            return Err(EncodeError::MemoryAddresses);
        }
        self.push_unchecked(id, payload)
    }

    #[inline(always)]
    fn push_unchecked(&mut self, id: CmsgId, payload: &[u8]) -> Result<(), EncodeError> {
        let max = sys::MAX_LEN - sys::HEADER - sys::ALIGN;
        if payload.len() > max {
            return Err(EncodeError::Payload { found: payload.len(), max });
        }
        match self.sink.push(id.level(), id.ty(), payload) {
            Ok(()) => Ok(()),
            Err(needed) => Err(self.no_room(needed)),
        }
    }

    // Not a call with `self`: the compiler would have to keep all of a message in memory for it.
    #[inline(always)]
    fn no_room(&self, needed: usize) -> EncodeError {
        EncodeError::ControlSpace { needed, available: self.sink.capacity() }
    }

    /// Appends descriptors, to the `SCM_RIGHTS` that is there already if there is one: systems other than Linux take
    /// no more than one in a message. No descriptors at all emit no message.
    ///
    /// ```
    /// use ancillary::{ControlOut, EncodeError, MsgHdr, SendControl, SocketExt};
    /// use std::{fs::File, os::{fd::AsFd, unix::net::UnixStream}};
    ///
    /// /// The standard streams of a service.
    /// struct Streams<'fd> { input: &'fd File, output: &'fd File }
    ///
    /// impl<'fd> SendControl<'fd> for Streams<'fd> {
    ///     fn encode(&self, out: &mut ControlOut<'_, 'fd>) -> Result<(), EncodeError> {
    ///         out.push_fds([self.input.as_fd(), self.output.as_fd()].into_iter())
    ///     }
    /// }
    ///
    /// # fn main() -> std::io::Result<()> {
    /// let (a, b) = UnixStream::pair()?;
    /// let (input, output) = (File::open("/dev/zero")?, File::open("/dev/null")?);
    /// MsgHdr::new().data(b"run").control(Streams { input: &input, output: &output }).send(&a)?;
    /// let [input, output] = b.recv_fds(&mut [0; 3])?.exact()?;
    /// # drop((input, output));
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// [`EncodeError::Descriptors`] for more than 253 in all, [`EncodeError::ControlSpace`] without room.
    #[inline(always)]
    pub fn push_fds<I>(&mut self, fds: I) -> Result<(), EncodeError>
    where
        I: Iterator<Item = BorrowedFd<'fd>> + Clone,
    {
        self.push_rights(fds, None)
    }

    /// The same of descriptors whose numbers may lie together in memory.
    #[inline(always)]
    pub(crate) fn push_rights<I>(&mut self, fds: I, together: Option<&[i32]>) -> Result<(), EncodeError>
    where
        I: Iterator<Item = BorrowedFd<'fd>> + Clone,
    {
        // Counted no further than needed: an iterator may have no end.
        let count = match fds.size_hint().0 {
            least if least > sys::MAX_FDS => least,
            _ => fds.clone().take(sys::MAX_FDS + 1).count(),
        };
        if count == 0 {
            return Ok(());
        }
        if count > sys::MAX_FDS {
            return Err(EncodeError::Descriptors { found: count, max: sys::MAX_FDS });
        }
        self.push_numbers(count, fds.map(|fd| fd.as_raw_fd()), together)
    }

    #[inline(always)]
    fn push_numbers(
        &mut self,
        count: usize,
        numbers: impl Iterator<Item = i32>,
        together: Option<&[i32]>,
    ) -> Result<(), EncodeError> {
        if self.sink.len() > 0 {
            if let Some((message, payload)) = self.find_rights() {
                return self.grow_rights(message, payload, count, numbers);
            }
        }
        let (level, ty) = (CmsgId::RIGHTS.level(), CmsgId::RIGHTS.ty());
        let pushed = match together {
            Some(numbers) => self.sink.push_slice(level, ty, numbers),
            None => self.sink.push_ints(level, ty, count, numbers),
        };
        match pushed {
            Ok(()) => Ok(()),
            Err(needed) => Err(self.no_room(needed)),
        }
    }

    /// Where the `SCM_RIGHTS` among the messages starts, and how long its payload is.
    fn find_rights(&self) -> Option<(usize, usize)> {
        let bytes = self.sink.as_bytes();
        let mut walk = Cmsgs::new(bytes);
        loop {
            let start = bytes.len() - walk.rest().len();
            let cmsg = walk.next()?;
            if cmsg.id() == CmsgId::RIGHTS {
                return Some((start, cmsg.payload().len()));
            }
        }
    }

    #[cold]
    fn grow_rights(
        &mut self,
        message: usize,
        payload: usize,
        count: usize,
        numbers: impl Iterator<Item = i32>,
    ) -> Result<(), EncodeError> {
        let found = payload / 4 + count;
        if found > sys::MAX_FDS {
            return Err(EncodeError::Descriptors { found, max: sys::MAX_FDS });
        }
        // Those that there are: an iterator's clone may count differently, and 0 is a descriptor too.
        let (mut bytes, mut len) = ([0; 4 * sys::MAX_FDS], 0);
        for (slot, number) in bytes.chunks_exact_mut(4).zip(numbers.take(count)) {
            slot.copy_from_slice(&number.to_ne_bytes());
            len += 4;
        }
        let grown = payload + len;
        let old_end = message + sys::HEADER + sys::align_up(payload);
        let grow = sys::align_up(grown) - sys::align_up(payload);
        self.sink.insert_zeros(old_end, grow).map_err(|needed| self.no_room(needed))?;
        self.sink.overwrite(message, &((sys::HEADER + grown) as sys::CmsgLen).to_ne_bytes());
        self.sink.overwrite(message + sys::HEADER + payload, &bytes[..len]);
        Ok(())
    }

    /// Appends all messages of a list that was encoded before with descriptors that live as long.
    pub(crate) fn push_list(&mut self, list: &[u8]) -> Result<(), EncodeError> {
        for cmsg in Cmsgs::new(list) {
            if cmsg.id() == CmsgId::RIGHTS {
                let numbers = cmsg.payload().chunks_exact(4);
                let int = |bytes: &[u8]| i32::from_ne_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]);
                self.push_numbers(numbers.len(), numbers.map(int), None)?;
            } else {
                self.push_unchecked(cmsg.id(), cmsg.payload())?;
            }
        }
        Ok(())
    }

    /// The family of the destination, if [`to`](crate::MsgHdr::to) came first: `AF_INET` also for an IPv4-mapped
    /// IPv6 address. `AF_UNSPEC` (0) if it is not known; then a message for both families goes out in both forms.
    #[inline(always)]
    pub fn family(&self) -> i32 {
        self.family
    }

    pub(crate) fn as_bytes(&self) -> &[u8] {
        self.sink.as_bytes()
    }

    /// Bytes written so far.
    #[inline]
    #[expect(clippy::len_without_is_empty, reason = "a count of bytes, not a collection")]
    pub fn len(&self) -> usize {
        self.sink.len()
    }
}

/// What can be sent as control data: a message, several in a tuple or slice, or none (`Option`).
///
/// `'fd` is how long the descriptors in it stay borrowed; a message without descriptors implements it for any.
///
/// ```
/// use ancillary::{ControlList, ControlOut, EncodeError, SendControl, cmsg::CmsgId};
///
/// /// The priority of one packet (`SO_PRIORITY`), from 0 to 6.
/// struct Priority(u32);
///
/// impl SendControl<'_> for Priority {
///     fn encode(&self, out: &mut ControlOut<'_, '_>) -> Result<(), EncodeError> {
///         out.push(CmsgId::new(1, 12), &self.0.to_ne_bytes())
///     }
/// }
///
/// # #[cfg(all(target_os = "linux", not(any(target_arch = "mips", target_arch = "mips64", target_arch = "sparc64"))))]
/// assert_eq!(format!("{:?}", ControlList::new(Priority(6))?), "[{SO_PRIORITY 6}]");
/// # Ok::<(), EncodeError>(())
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be sent as control data",
    note = "a message, a tuple of up to twelve, a slice, a `Vec`, an `Option`, or a reference to one of these can"
)]
pub trait SendControl<'fd> {
    /// Appends the messages to `out`.
    ///
    /// # Errors
    ///
    /// What [`ControlOut::push`] says, or [`EncodeError::Value`] for a value that the kernel would refuse.
    fn encode(&self, out: &mut ControlOut<'_, 'fd>) -> Result<(), EncodeError>;
}

/// Encodes control messages into any bytes and returns how many were written (`msg_controllen`).
///
/// ```
/// use ancillary::{cmsg, message::IpTtl, parser};
///
/// let mut bytes = [0; 64];
/// let len = cmsg::encode(&IpTtl(64), &mut bytes)?;
/// let first = parser::parse(&bytes[..len]).next().unwrap();
/// assert_eq!(format!("{first:?}"), "{IP_TTL 64}");
/// # Ok::<(), ancillary::EncodeError>(())
/// ```
///
/// # Errors
///
/// What the messages say; the bytes behind the last whole message are then unspecified.
#[inline(always)]
pub fn encode<'fd>(messages: &(impl SendControl<'fd> + ?Sized), bytes: &mut [u8]) -> Result<usize, EncodeError> {
    let mut len = 0;
    let mut out = ControlOut::new(sys::ByteSink::over(bytes, &mut len), libc::AF_UNSPEC);
    messages.encode(&mut out)?;
    Ok(len)
}
