//! Which buffers the kernel still has.

use std::{collections::VecDeque, mem};

use crate::message::ZeroCopied;

/// One buffer and the sends that were made of it, by their numbers.
struct Slot<B> {
    /// `None` once it has been given back.
    buffer: Option<B>,
    first: u32,
    sends: u32,
    complete: u32,
    copied: bool,
}

impl<B> Slot<B> {
    fn is_complete(&self) -> bool {
        self.complete >= self.sends
    }
}

/// Buffers in the order of their sends. Numbers count up and wrap around, as the kernel's do (net/core/skbuff.c,
/// `msg_zerocopy_realloc`).
pub(super) struct Flight<B> {
    slots: VecDeque<Slot<B>>,
    next: u32,
    /// Whether more of the newest buffer is to be sent.
    open: bool,
}

impl<B> Flight<B> {
    pub(super) fn new() -> Self {
        Self { slots: VecDeque::new(), next: 0, open: false }
    }

    /// Buffers that have not been given back.
    pub(super) fn len(&self) -> usize {
        self.slots.iter().filter(|slot| slot.buffer.is_some()).count()
    }

    /// A buffer of which one send was made; `open` if more of it follows.
    pub(super) fn begin(&mut self, buffer: B, open: bool) {
        let slot = Slot { buffer: Some(buffer), first: self.next, sends: 1, complete: 0, copied: false };
        self.slots.push_back(slot);
        self.next = self.next.wrapping_add(1);
        self.open = open;
    }

    /// The newest buffer, of which more is to be sent.
    pub(super) fn unfinished(&self) -> Option<&B> {
        self.slots.back().filter(|_| self.open)?.buffer.as_ref()
    }

    /// One more send of the newest buffer.
    pub(super) fn go_on(&mut self, open: bool) {
        if let Some(slot) = self.slots.back_mut() {
            slot.sends += 1;
            self.next = self.next.wrapping_add(1);
            self.open = open;
        }
    }

    /// No more of the newest buffer is to be sent.
    pub(super) fn give_up(&mut self, released: &mut impl FnMut(B, bool)) {
        self.open = false;
        self.release(self.slots.len().saturating_sub(1), self.slots.len(), released);
    }

    /// These sends are complete. Numbers that are not outstanding are ignored.
    pub(super) fn complete(&mut self, range: ZeroCopied, released: &mut impl FnMut(B, bool)) {
        let Some(oldest) = self.slots.front().map(|slot| slot.first) else { return };
        let since = |number: u32| number.wrapping_sub(oldest);
        let outstanding = since(self.next);
        let (first, last) = (since(range.first), since(range.last));
        if first > last || first >= outstanding {
            return;
        }
        let end = last.min(outstanding - 1) + 1;
        let from = self.slots.partition_point(|slot| since(slot.first) + slot.sends <= first);
        let to = self.slots.partition_point(|slot| since(slot.first) < end);
        for slot in self.slots.range_mut(from..to) {
            let start = since(slot.first);
            slot.complete += end.min(start + slot.sends) - first.max(start);
            slot.copied |= range.copied;
        }
        self.release(from, to, released);
    }

    fn release(&mut self, from: usize, to: usize, released: &mut impl FnMut(B, bool)) {
        let newest = self.slots.len().wrapping_sub(1);
        for (at, slot) in self.slots.iter_mut().enumerate().take(to).skip(from) {
            if slot.is_complete() && !(self.open && at == newest) {
                if let Some(buffer) = slot.buffer.take() {
                    released(buffer, slot.copied);
                }
            }
        }
        while self.slots.front().is_some_and(|slot| slot.buffer.is_none()) {
            self.slots.pop_front();
        }
    }
}

/// What the kernel may still read is never freed: its memory would be sent with other contents.
impl<B> Drop for Flight<B> {
    fn drop(&mut self) {
        for slot in self.slots.drain(..) {
            if !slot.is_complete() {
                mem::forget(slot.buffer);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn range(first: u32, last: u32) -> ZeroCopied {
        ZeroCopied { first, last, copied: false }
    }

    fn complete(flight: &mut Flight<char>, first: u32, last: u32) -> String {
        let mut released = String::new();
        flight.complete(range(first, last), &mut |buffer, _| released.push(buffer));
        released
    }

    fn flight(next: u32, buffers: &str) -> Flight<char> {
        let mut flight = Flight::new();
        flight.next = next;
        buffers.chars().for_each(|buffer| flight.begin(buffer, false));
        flight
    }

    #[test]
    fn a_buffer_is_given_back_when_its_send_is_complete_in_any_order() {
        let mut flight = flight(0, "abcd");
        assert_eq!(complete(&mut flight, 2, 2), "c");
        assert_eq!(complete(&mut flight, 0, 0), "a");
        assert_eq!(flight.len(), 2);
        assert_eq!(complete(&mut flight, 1, 3), "bd");
        assert_eq!(flight.len(), 0);
    }

    #[test]
    fn numbers_wrap_around() {
        let mut flight = flight(u32::MAX - 1, "abcd");
        assert_eq!(complete(&mut flight, u32::MAX, 0), "bc");
        assert_eq!(complete(&mut flight, u32::MAX - 1, u32::MAX - 1), "a");
        assert_eq!(complete(&mut flight, 1, 1), "d");
    }

    #[test]
    fn numbers_that_are_not_outstanding_give_nothing_back() {
        let mut flight = flight(10, "ab");
        for (first, last) in [(12, 12), (0, 9), (9, 8), (11, 10), (u32::MAX, u32::MAX), (12, 11)] {
            assert_eq!(complete(&mut flight, first, last), "", "{first}..={last}");
        }
        assert_eq!(complete(&mut flight, 10, 99), "ab");
        assert_eq!(complete(&mut flight, 10, 11), "", "once is enough");
    }

    #[test]
    fn a_buffer_sent_in_pieces_waits_for_all_of_them() {
        let mut flight = flight(0, "a");
        flight.begin('b', true);
        assert_eq!(complete(&mut flight, 0, 1), "a", "more of b is to be sent");
        assert_eq!(flight.unfinished(), Some(&'b'));
        flight.go_on(true);
        flight.go_on(false);
        flight.begin('c', false);
        assert_eq!(flight.unfinished(), None);
        assert_eq!(complete(&mut flight, 3, 3), "", "send 2 is outstanding");
        assert_eq!(complete(&mut flight, 2, 4), "bc");
    }

    #[test]
    fn a_buffer_that_is_given_up_waits_for_what_was_sent() {
        let mut flight = flight(0, "");
        flight.begin('a', true);
        let mut released = String::new();
        flight.give_up(&mut |buffer, _| released.push(buffer));
        assert_eq!(released, "", "its first piece is outstanding");
        assert_eq!(complete(&mut flight, 0, 0), "a");
        flight.begin('b', true);
        assert_eq!(complete(&mut flight, 1, 1), "");
        flight.give_up(&mut |buffer, _| released.push(buffer));
        assert_eq!(released, "b");
    }

    #[test]
    fn what_the_kernel_still_has_is_not_freed() {
        use std::sync::Arc;
        let buffers = [Arc::new(()), Arc::new(())];
        let mut flight = Flight::new();
        buffers.iter().for_each(|buffer| flight.begin(Arc::clone(buffer), false));
        flight.complete(range(0, 0), &mut |_, _| {});
        drop(flight);
        assert_eq!(buffers.each_ref().map(Arc::strong_count), [1, 2]);
    }
}
