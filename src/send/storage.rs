//! Where a message that is built keeps its parts.

use std::{io::IoSlice, mem::MaybeUninit};

use crate::sys;

/// Bytes of control data that a header holds itself: 253 descriptors (1,032) and as much again as most messages need.
const CONTROL: usize = 1280;

/// Parts in the [`MsgHdr`](crate::MsgHdr) itself: 64 buffers, 1,280 bytes of control messages.
pub struct Inline<'a> {
    pub(super) slices: sys::IoSlices<'a>,
    pub(super) control: sys::Outbox<sys::InlineBytes<CONTROL>>,
}

/// Parts in a batch, where the kernel reads them.
pub struct BatchSlot<'m, 'a>(pub(crate) sys::Slot<'m, 'a>);

/// Where a message that is built keeps its parts: [`Inline`], or [`BatchSlot`].
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
    type Slices = &'m mut [MaybeUninit<IoSlice<'a>>];
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
