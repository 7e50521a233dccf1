//! Data that stays in the memory of a device; see
//! [Documentation/networking/devmem.rst](https://docs.kernel.org/networking/devmem.html).

use std::fmt;

use nix::libc::SOL_SOCKET;

use crate::{
    cmsg::{CmsgId, RawCmsg},
    error::DecodeError,
    message::rows::field,
    options::{Families, Unasked, by_arch},
};

// include/uapi/asm-generic/socket.h; libc lacks them on some systems.
pub(super) const SO_DEVMEM_LINEAR: i32 = by_arch(78, 0x57);
pub(super) const SO_DEVMEM_DMABUF: i32 = by_arch(79, 0x58);

/// A piece of received data (`struct dmabuf_cmsg`): [`ScmDevmemDmabuf`] and [`ScmDevmemLinear`].
///
/// ```
/// use ancillary::{message::ScmDevmemDmabuf, parser::{self, ControlMessage}};
/// # use ancillary::{ControlList, RawCmsg, RecvControl, cmsg::CmsgId};
///
/// # let mut ids = (0..256).map(|ty| CmsgId::new(nix::libc::SOL_SOCKET, ty));
/// # let id = ids.find(|&id| ScmDevmemDmabuf::matches(id)).unwrap();
/// # let words = |token: u32| [4096, token, 3, 0].map(u32::to_ne_bytes).concat();
/// # let piece = |at: u64, token| [&at.to_ne_bytes()[..], &words(token)].concat();
/// # let (first, second) = (piece(8192, 7), piece(4096, 8));
/// # let arrived = ControlList::new([RawCmsg::new(id, &first), RawCmsg::new(id, &second)])?;
/// # let control = arrived.as_bytes();
/// let mut tokens = Vec::new();
/// for found in parser::parse(control) { // of a message: `message.messages()`
///     if let ControlMessage::ScmDevmemDmabuf(ScmDevmemDmabuf(piece)) = found {
///         println!("{} bytes at {} of buffer {}", piece.frag_size, piece.frag_offset, piece.dmabuf_id);
///         tokens.push(piece.frag_token);
///     }
/// }
/// assert_eq!(tokens, [7, 8]); // for SO_DEVMEM_DONTNEED, when the data has been used
/// # Ok::<(), ancillary::EncodeError>(())
/// ```
#[doc(alias = "dmabuf_cmsg")]
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct DmabufCmsg {
    /// Where the piece starts in the buffer (`frag_offset`).
    pub frag_offset: u64,
    /// How many bytes it has (`frag_size`).
    pub frag_size: u32,
    /// What the memory is given back by (`frag_token`).
    pub frag_token: u32,
    /// The buffer (`dmabuf_id`).
    pub dmabuf_id: u32,
    /// Flags (`flags`); none are defined.
    pub flags: u32,
}

impl DmabufCmsg {
    const WIRE: usize = 24;

    #[inline(always)]
    fn read(cmsg: RawCmsg<'_>) -> Result<Self, DecodeError> {
        let bytes: [u8; Self::WIRE] = cmsg.array()?;
        Ok(Self {
            frag_offset: u64::from_ne_bytes(field::<0, 8, 24>(&bytes)),
            frag_size: u32::from_ne_bytes(field::<8, 4, 24>(&bytes)),
            frag_token: u32::from_ne_bytes(field::<12, 4, 24>(&bytes)),
            dmabuf_id: u32::from_ne_bytes(field::<16, 4, 24>(&bytes)),
            flags: u32::from_ne_bytes(field::<20, 4, 24>(&bytes)),
        })
    }
}

/// Bytes of data that did not lie in device memory and have been copied to the buffers (`SCM_DEVMEM_LINEAR`,
/// `struct dmabuf_cmsg`; Linux 6.12): `frag_size` says how many, the other fields are 0.
///
/// Received as [`ScmDevmemDmabuf`] is, in the order of the stream.
///
/// ```
/// use ancillary::{message::{DmabufCmsg, ScmDevmemDmabuf, ScmDevmemLinear}, parser::{self, ControlMessage}};
/// # use ancillary::{ControlList, RawCmsg, RecvControl, cmsg::CmsgId};
///
/// # let ids = (0..256).map(|ty| CmsgId::new(nix::libc::SOL_SOCKET, ty));
/// # let linear = ids.clone().find(|&id| ScmDevmemLinear::matches(id)).unwrap();
/// # let dmabuf = ids.clone().find(|&id| ScmDevmemDmabuf::matches(id)).unwrap();
/// # let piece = |size: u32| [&[0; 8][..], &[size, 0, 0, 0].map(u32::to_ne_bytes).concat()].concat();
/// # let (head, body) = (piece(66), piece(4096));
/// # let arrived = ControlList::new([RawCmsg::new(linear, &head), RawCmsg::new(dmabuf, &body)])?;
/// # let control = arrived.as_bytes();
/// let (mut copied, mut on_device) = (0, 0);
/// for found in parser::parse(control) { // of a message: `message.messages()`
///     match found {
///         ControlMessage::ScmDevmemLinear(piece) => copied += piece.0.frag_size, // in the buffers
///         ControlMessage::ScmDevmemDmabuf(piece) => on_device += piece.0.frag_size,
///         _ => {}
///     }
/// }
/// assert_eq!((copied, on_device), (66, 4096));
/// # Ok::<(), ancillary::EncodeError>(())
/// ```
///
/// # References
///
/// [Documentation/networking/devmem.rst](https://docs.kernel.org/networking/devmem.html); net/ipv4/tcp.c,
/// `tcp_recvmsg_dmabuf`
#[doc(alias = "SCM_DEVMEM_LINEAR")]
#[doc(alias = "SO_DEVMEM_LINEAR")]
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct ScmDevmemLinear(pub DmabufCmsg);

impl ScmDevmemLinear {
    pub(crate) const ID: CmsgId = CmsgId::new(SOL_SOCKET, SO_DEVMEM_LINEAR);
}

impl fmt::Display for ScmDevmemLinear {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.frag_size.fmt(f)
    }
}

receives!(
    ScmDevmemLinear,
    Self::ID,
    DmabufCmsg::WIRE,
    |cmsg| DmabufCmsg::read(cmsg).map(Self),
    Unasked(Families::INET)
);

/// Where a piece of received data lies in device memory (`SCM_DEVMEM_DMABUF`, `struct dmabuf_cmsg`; Linux 6.12).
///
/// Received from TCP sockets on queues that are bound to a dmabuf (`CAP_NET_ADMIN` to bind one), when the receive has
/// the flag [`RecvFlags::SOCK_DEVMEM`](crate::RecvFlags::SOCK_DEVMEM); no option asks for it. One receive brings many:
/// read them from [`Received::messages`](crate::Received::messages), since
/// [`extract`](crate::Received::extract) gives the last alone. A piece that finds no room in the control buffer stays in
/// the socket; with room for none at all the receive fails (errno 525). The memory has to be given back by its token
/// (`SO_DEVMEM_DONTNEED`), or the device runs out of it.
///
/// To send from device memory needs `MSG_ZEROCOPY` and buffers that are no memory of the process: it is not offered.
///
/// ```
/// use ancillary::{cmsg, message::{RecvList, ScmDevmemDmabuf, ScmDevmemLinear}};
///
/// // Room for 32 pieces, in one receive: `ControlVec::<Pieces>::with_capacity(ROOM)`.
/// type Pieces = (ScmDevmemDmabuf, ScmDevmemLinear);
/// const ROOM: usize = 32 * cmsg::space(24).unwrap();
/// assert!(ROOM >= 16 * Pieces::SPACE);
/// # let control = ancillary::ControlVec::<Pieces>::with_capacity(ROOM);
/// # assert!(control.capacity() >= ROOM);
/// ```
///
/// # Wire layout
///
/// ```text
///   0             8           12           16          20      24
///   +-------------+-----------+------------+-----------+-------+
///   | frag_offset | frag_size | frag_token | dmabuf_id | flags |   u64, four u32; host byte order
///   +-------------+-----------+------------+-----------+-------+
/// ```
///
/// # References
///
/// [Documentation/networking/devmem.rst](https://docs.kernel.org/networking/devmem.html); include/uapi/linux/uio.h,
/// `struct dmabuf_cmsg`; net/ipv4/tcp.c, `tcp_recvmsg_dmabuf`
#[doc(alias = "SCM_DEVMEM_DMABUF")]
#[doc(alias = "SO_DEVMEM_DMABUF")]
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct ScmDevmemDmabuf(pub DmabufCmsg);

impl ScmDevmemDmabuf {
    pub(crate) const ID: CmsgId = CmsgId::new(SOL_SOCKET, SO_DEVMEM_DMABUF);
}

impl fmt::Display for ScmDevmemDmabuf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let DmabufCmsg { frag_offset, frag_size, frag_token, dmabuf_id, flags } = self.0;
        write!(f, "{frag_size} at {frag_offset} of {dmabuf_id} token {frag_token}")?;
        if flags != 0 { write!(f, " flags {flags:#x}") } else { Ok(()) }
    }
}

receives!(
    ScmDevmemDmabuf,
    Self::ID,
    DmabufCmsg::WIRE,
    |cmsg| DmabufCmsg::read(cmsg).map(Self),
    Unasked(Families::INET)
);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::laws::{reads, refuses_lengths};

    fn wire(offset: u64, words: [u32; 4]) -> Vec<u8> {
        let mut bytes = offset.to_ne_bytes().to_vec();
        bytes.extend(words.iter().flat_map(|word| word.to_ne_bytes()));
        bytes
    }

    #[test]
    fn a_piece_of_device_memory_is_read() {
        let payload = wire(0x0102_0304_0506_0708, [4096, 7, 3, 0]);
        let printed = "{SCM_DEVMEM_DMABUF 4096 at 72623859790382856 of 3 token 7}";
        reads::<ScmDevmemDmabuf>(ScmDevmemDmabuf::ID, &payload, printed, |ScmDevmemDmabuf(piece)| {
            let expected = DmabufCmsg {
                frag_offset: 0x0102_0304_0506_0708,
                frag_size: 4096,
                frag_token: 7,
                dmabuf_id: 3,
                flags: 0,
            };
            assert_eq!(piece, expected);
        });
        let printed = "{SCM_DEVMEM_DMABUF 1 at 0 of 2 token 3 flags 0x4}";
        reads::<ScmDevmemDmabuf>(ScmDevmemDmabuf::ID, &wire(0, [1, 3, 2, 4]), printed, |piece| {
            assert_eq!(piece.0.flags, 4);
        });
        refuses_lengths::<ScmDevmemDmabuf>(ScmDevmemDmabuf::ID, &[24], 24);
    }

    #[test]
    fn copied_bytes_are_counted() {
        let payload = wire(0, [1500, 0, 0, 0]);
        reads::<ScmDevmemLinear>(
            ScmDevmemLinear::ID,
            &payload,
            "{SCM_DEVMEM_LINEAR 1500}",
            |ScmDevmemLinear(piece)| {
                assert_eq!((piece.frag_size, piece.frag_offset, piece.frag_token), (1500, 0, 0));
            },
        );
        refuses_lengths::<ScmDevmemLinear>(ScmDevmemLinear::ID, &[24], 24);
    }
}
