//! Control messages encoded once and sent many times.

use std::{fmt, marker::PhantomData};

use nix::libc;

use crate::{
    cmsg::{Cmsgs, ControlOut},
    error::EncodeError,
    message::SendControl,
    parser, sys,
};

/// A list of control messages in wire form, for [`MsgHdr::control_from`](crate::MsgHdr::control_from).
///
/// It allocates when it is made, and never again.
///
/// ```
/// use ancillary::{ControlList, MsgHdr, message::{HopLimit, TrafficClass}};
/// use std::net::UdpSocket;
///
/// # fn main() -> std::io::Result<()> {
/// let socket = UdpSocket::bind("127.0.0.1:0")?;
/// socket.connect(socket.local_addr()?)?;
/// let control = ControlList::new((HopLimit(9), TrafficClass(0x20)))?;
/// for _ in 0..3 {
///     MsgHdr::new().data(b"tick").control_from(&control).send(&socket)?;
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct ControlList<'fd> {
    bytes: Box<[u8]>,
    fds: PhantomData<&'fd ()>,
}

/// More than 253 descriptors and every other message that a kernel takes; Linux refuses 20 KiB before 6.12
/// (`net.core.optmem_max`).
const MOST: usize = 16 * 1024;

impl<'fd> ControlList<'fd> {
    /// Encodes these messages.
    ///
    /// # Errors
    ///
    /// What the messages say, and [`EncodeError::ControlSpace`] beyond 16 KiB.
    pub fn new(messages: impl SendControl<'fd>) -> Result<Self, EncodeError> {
        let (mut bytes, mut len) = (vec![0; MOST], 0);
        messages.encode(&mut ControlOut::new(sys::ByteSink::over(&mut bytes, &mut len), libc::AF_UNSPEC))?;
        bytes.truncate(len);
        Ok(Self { bytes: bytes.into_boxed_slice(), fds: PhantomData })
    }

    /// The messages as bytes.
    #[inline]
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }
}

/// Prints the messages.
impl fmt::Debug for ControlList<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        parser::fmt_list(Cmsgs::new(&self.bytes), f)
    }
}
