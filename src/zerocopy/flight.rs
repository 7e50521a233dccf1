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
    /// Whether the kernel may never have counted it.
    doubtful: bool,
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
    /// Buffers that were copied and wait to be given back.
    copied: Vec<B>,
    /// Slots whose buffer is sure to come back.
    held: usize,
    next: u32,
    /// Whether more of the newest buffer is to be sent.
    open: bool,
    /// Whether the kernel has named a number that was not given: which buffer it means is not known any more.
    lost: bool,
    /// Whether a caller has panicked while buffers were handed out.
    interrupted: bool,
}

impl<B> Flight<B> {
    pub(super) fn new() -> Self {
        Self {
            slots: VecDeque::new(),
            copied: Vec::new(),
            held: 0,
            next: 0,
            open: false,
            lost: false,
            interrupted: false,
        }
    }

    /// Buffers that have not been given back, without one whose send failed.
    pub(super) fn len(&self) -> usize {
        self.copied.len() + if self.lost { 0 } else { self.held }
    }

    /// Whether completions give buffers back without a further send.
    #[cfg(feature = "tokio")]
    pub(super) fn will_release(&self) -> bool {
        !self.lost && self.held > usize::from(self.open)
    }

    /// Whether a completion is sure to come.
    #[cfg(feature = "tokio")]
    pub(super) fn will_complete(&self) -> bool {
        !self.lost && self.slots.iter().any(|slot| !slot.doubtful && !slot.is_complete())
    }

    /// A buffer of which one send was made; `open` if more of it follows.
    pub(super) fn begin(&mut self, buffer: B, open: bool) {
        self.push(buffer, false);
        self.held += 1;
        self.open = open;
    }

    /// A buffer whose send failed, after the kernel may have counted it. Nothing may be counted behind it.
    pub(super) fn doubt(&mut self, buffer: B) {
        self.push(buffer, true);
    }

    fn push(&mut self, buffer: B, doubtful: bool) {
        let (buffer, first) = (Some(buffer), self.next);
        self.slots.push_back(Slot { buffer, first, sends: 1, complete: 0, copied: false, doubtful });
        self.next = self.next.wrapping_add(1);
    }

    /// A buffer that the kernel has copied and not counted.
    pub(super) fn copied(&mut self, buffer: B) {
        self.copied.push(buffer);
    }

    /// Hands out what needs no completion any more.
    pub(super) fn release_ready(&mut self, released: &mut impl FnMut(B, bool)) {
        if self.interrupted {
            self.release(0, self.slots.len(), released);
        }
        while let Some(buffer) = self.copied.pop() {
            released(buffer, true);
        }
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

    /// The kernel's numbers are known no longer: what is outstanding is kept for good.
    pub(super) fn lose_count(&mut self) {
        self.lost = true;
    }

    /// These sends are complete. A number that is not outstanding says that the kernel counts otherwise: then nothing is
    /// handed out any more, and it is `false`.
    pub(super) fn complete(&mut self, range: ZeroCopied, released: &mut impl FnMut(B, bool)) -> bool {
        let oldest = self.slots.front().map_or(self.next, |slot| slot.first);
        let since = |number: u32| number.wrapping_sub(oldest);
        let outstanding = since(self.next);
        let (first, last) = (since(range.first), since(range.last));
        self.lost |= first > last || last >= outstanding;
        if self.lost {
            return false;
        }
        let end = last + 1;
        let from = self.slots.partition_point(|slot| since(slot.first) + slot.sends <= first);
        let to = self.slots.partition_point(|slot| since(slot.first) < end);
        for slot in self.slots.range_mut(from..to) {
            let start = since(slot.first);
            slot.complete += end.min(start + slot.sends) - first.max(start);
            slot.copied |= range.copied;
        }
        self.release(from, to, released);
        true
    }

    fn release(&mut self, from: usize, to: usize, released: &mut impl FnMut(B, bool)) {
        let newest = self.slots.len().wrapping_sub(1);
        self.interrupted = true;
        for at in from..to {
            if !(self.open && at == newest) {
                self.release_one(at, released);
            }
        }
        self.interrupted = false;
        while self.slots.front().is_some_and(|slot| slot.buffer.is_none()) {
            self.slots.pop_front();
        }
        // One whose completion never comes must not keep those behind it.
        if self.slots.len() > 64 + 4 * self.held {
            self.slots.retain(|slot| slot.buffer.is_some());
        }
    }

    fn release_one(&mut self, at: usize, released: &mut impl FnMut(B, bool)) {
        let Some(slot) = self.slots.get_mut(at).filter(|slot| slot.is_complete()) else { return };
        if let Some(buffer) = slot.buffer.take() {
            self.held -= usize::from(!slot.doubtful);
            released(buffer, slot.copied);
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
        let known = flight.complete(range(first, last), &mut |buffer, _| released.push(buffer));
        if known { released } else { format!("lost {released}") }
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
    fn after_a_number_that_is_not_outstanding_nothing_is_given_back() {
        for (first, last) in [(12, 12), (10, 12), (0, 9), (9, 8), (9, 10), (11, 10), (u32::MAX, u32::MAX), (12, 11)] {
            let mut flight = flight(10, "ab");
            assert_eq!(complete(&mut flight, first, last), "lost ", "{first}..={last}");
            assert_eq!((flight.len(), complete(&mut flight, 10, 11).as_str()), (0, "lost "), "{first}..={last}");
        }
        let mut none = flight(10, "");
        assert_eq!(complete(&mut none, 10, 10), "lost ");
        let mut twice = flight(10, "ab");
        assert_eq!(complete(&mut twice, 10, 10), "a");
        assert_eq!(complete(&mut twice, 10, 10), "lost ");
    }

    #[test]
    fn a_completion_that_never_comes_does_not_make_it_grow() {
        let mut flight = flight(0, "a");
        for number in 1..10_000 {
            flight.begin('b', false);
            assert_eq!(complete(&mut flight, number, number), "b");
        }
        assert!(flight.slots.len() <= 70, "{}", flight.slots.len());
        assert_eq!((flight.len(), complete(&mut flight, 0, 0).as_str()), (1, "a"));
        flight.begin('c', false);
        assert_eq!(complete(&mut flight, 10_000, 10_000), "c");
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
    fn a_buffer_that_was_copied_waits_for_nothing_and_moves_no_number() {
        let mut flight = flight(0, "a");
        flight.copied('b');
        assert_eq!(flight.len(), 2);
        let mut released = String::new();
        flight.release_ready(&mut |buffer, _| released.push(buffer));
        assert_eq!((released.as_str(), flight.len()), ("b", 1));
        assert_eq!(complete(&mut flight, 0, 0), "a");
    }

    #[test]
    fn a_buffer_whose_send_failed_comes_back_if_it_was_counted_and_is_not_waited_for() {
        let mut flight = flight(0, "a");
        flight.doubt('b');
        assert_eq!(flight.len(), 1);
        assert_eq!(complete(&mut flight, 0, 1), "ab");
        assert_eq!(flight.len(), 0);
        let mut flight = Flight::new();
        flight.doubt('a');
        assert_eq!((flight.len(), complete(&mut flight, 1, 1).as_str()), (0, "lost "));
    }

    #[test]
    fn what_was_copied_is_said_of_those_in_the_range_alone() {
        let (mut flight, mut said) = (flight(0, "abc"), Vec::new());
        for (number, copied) in [(1, true), (0, true), (2, false)] {
            let range = ZeroCopied { first: number, last: number, copied };
            assert!(flight.complete(range, &mut |buffer, copied| said.push((buffer, copied))));
        }
        assert_eq!(said, [('b', true), ('a', true), ('c', false)]);
    }

    #[test]
    fn what_a_panic_left_behind_is_handed_out_later() {
        let mut flight = flight(0, "abc");
        let panics = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            flight.complete(range(0, 1), &mut |_, _| panic!("the caller's own"));
        }));
        assert!(panics.is_err());
        let mut released = String::new();
        flight.release_ready(&mut |buffer, _| released.push(buffer));
        assert_eq!((released.as_str(), flight.len()), ("b", 1), "a is the caller's, who panicked with it");
        assert_eq!(complete(&mut flight, 2, 2), "c");
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
