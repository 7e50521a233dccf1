//! Where a message that is built keeps its parts.

use std::mem::MaybeUninit;

use crate::sys;

/// Bytes of control data that a header holds itself: 253 descriptors (1,032) and as much again as most messages need.
const CONTROL: usize = 1280;

/// Parts in the [`MsgHdr`](crate::MsgHdr) itself: 64 buffers, 1,280 bytes of control messages.
///
/// ```
/// use ancillary::{MsgHdr, batch::Inline};
///
/// /// A message on its own: `MsgHdr<'a>` says the same.
/// fn greeting<'a>(name: &'a [u8]) -> MsgHdr<'a, Inline<'a>> {
///     let mut message = MsgHdr::new();
///     message.data(b"hello, ").data(name);
///     message
/// }
/// # fn main() -> std::io::Result<()> {
/// # let (a, b) = std::os::unix::net::UnixDatagram::pair()?;
/// assert_eq!(greeting(b"you").send(&a)?, 10);
/// # Ok(())
/// # }
/// ```
pub struct Inline<'a> {
    pub(super) slices: sys::IoSlices<'a>,
    pub(super) control: sys::Outbox<sys::InlineBytes<CONTROL>>,
}

/// Parts in a batch, where the kernel reads them.
///
/// ```
/// use ancillary::{MsgHdr, batch::{BatchSlot, SendBatch}};
///
/// /// A message of a batch: `BatchMessage<'_, 'a>` says the same.
/// fn greet<'a>(mut message: MsgHdr<'a, BatchSlot<'_, 'a>>, name: &'a [u8]) -> Result<(), ancillary::EncodeError> {
///     message.data(b"hello, ").data(name).queue()
/// }
/// let mut room = SendBatch::new(2);
/// let mut batch = room.begin();
/// greet(batch.message(), b"you")?;
/// assert_eq!(format!("{batch:?}"), "Batch { sent: 0 of 1, messages: [10 bytes] }");
/// # Ok::<(), ancillary::EncodeError>(())
/// ```
pub struct BatchSlot<'m, 'a>(pub(crate) sys::Slot<'m, 'a>);

/// Where a message that is built keeps its parts: [`Inline`], or [`BatchSlot`].
///
/// ```
/// use ancillary::{MsgHdr, batch::{SendBatch, Storage}, message::HopLimit};
///
/// /// What all messages have alike, sent one by one or in a batch.
/// fn to_neighbours<'a, S: Storage<'a>>(message: &mut MsgHdr<'a, S>) {
///     message.to(([224, 0, 0, 251], 5353)).control(HopLimit(255));
/// }
///
/// let mut single = MsgHdr::new();
/// to_neighbours(single.data(b"one"));
/// let (mut room, also) = (SendBatch::new(8), "[3 bytes to 224.0.0.251:5353 with [{IP_TTL 255}]]");
/// let mut batch = room.begin();
/// let mut message = batch.message();
/// to_neighbours(message.data(b"two"));
/// message.queue()?;
/// # #[cfg(target_os = "linux")]
/// assert_eq!(format!("{batch:?}"), format!("Batch {{ sent: 0 of 1, messages: {also} }}"));
/// # Ok::<(), ancillary::EncodeError>(())
/// ```
pub trait Storage<'a>: sealed::Parts<'a> {}

impl<'a, S: sealed::Parts<'a>> Storage<'a> for S {}

pub(crate) mod sealed {
    use crate::sys::{ByteRoom, IoSlices, Outbox, SliceRoom};

    /// The list of buffers and the control messages, which every method of the builder needs.
    pub trait Parts<'a> {
        type Slices: SliceRoom<'a>;
        type Control: ByteRoom;
        /// Whether other messages use the same room, so that its size is not known beforehand.
        const SHARED: bool;
        fn slices(&self) -> &IoSlices<'a, Self::Slices>;
        fn slices_mut(&mut self) -> &mut IoSlices<'a, Self::Slices>;
        fn control(&self) -> &Outbox<Self::Control>;
        fn control_mut(&mut self) -> &mut Outbox<Self::Control>;
    }
}

impl<'a> sealed::Parts<'a> for Inline<'a> {
    type Slices = sys::InlineSlices<'a>;
    type Control = sys::InlineBytes<CONTROL>;
    const SHARED: bool = false;

    #[inline(always)]
    fn slices(&self) -> &sys::IoSlices<'a> {
        &self.slices
    }

    #[inline(always)]
    fn slices_mut(&mut self) -> &mut sys::IoSlices<'a> {
        &mut self.slices
    }

    #[inline(always)]
    fn control(&self) -> &sys::Outbox<Self::Control> {
        &self.control
    }

    #[inline(always)]
    fn control_mut(&mut self) -> &mut sys::Outbox<Self::Control> {
        &mut self.control
    }
}

impl<'m, 'a> sealed::Parts<'a> for BatchSlot<'m, 'a> {
    type Slices = sys::SharedSlices<'m, 'a>;
    type Control = &'m mut [MaybeUninit<u8>];
    const SHARED: bool = true;

    #[inline(always)]
    fn slices(&self) -> &sys::IoSlices<'a, Self::Slices> {
        &self.0.slices
    }

    #[inline(always)]
    fn slices_mut(&mut self) -> &mut sys::IoSlices<'a, Self::Slices> {
        &mut self.0.slices
    }

    #[inline(always)]
    fn control(&self) -> &sys::Outbox<Self::Control> {
        &self.0.control
    }

    #[inline(always)]
    fn control_mut(&mut self) -> &mut sys::Outbox<Self::Control> {
        &mut self.0.control
    }
}
