//! Nothing is allocated for a datagram.

#![allow(unsafe_code, reason = "an allocator")]

mod common;

use std::{
    alloc::{GlobalAlloc, Layout, System},
    cell::Cell,
    net::UdpSocket,
};

use common::{
    Layer,
    layer::{Room, send, transmit},
    pattern, run,
};
use quinn::udp::{EcnCodepoint, Transmit};

thread_local! {
    static COUNT: Cell<usize> = const { Cell::new(0) };
}

struct Counting;

// SAFETY: the system's allocator does the work.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        COUNT.with(|count| count.set(count.get() + 1));
        // SAFETY: the caller's promise.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, data: *mut u8, layout: Layout) {
        // SAFETY: the caller's promise.
        unsafe { System.dealloc(data, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn bound() -> UdpSocket {
    UdpSocket::bind("127.0.0.1:0").unwrap()
}

/// One receive after each of so many sends; the pollers apart, of which quinn makes one for each connection.
fn allocations(sender: UdpSocket, segment: Option<usize>) -> usize {
    run(async {
        let (sender, receiver) = (Layer::Ours.wrap(sender), Layer::Ours.wrap(bound()));
        let (contents, mut room) = (pattern(5000), Room::new());
        let to = receiver.local_addr().unwrap();
        let transmit = Transmit { src_ip: Some(to.ip()), ..transmit(to, &contents, segment, Some(EcnCodepoint::Ect0)) };
        // The first makes what lasts.
        send(&sender, &transmit).await;
        let mut got = 0;
        while got < contents.len() {
            let count = room.recv(&*receiver).await.unwrap();
            got += room.metas[..count].iter().map(|meta| meta.len).sum::<usize>();
        }
        let before = COUNT.get();
        let mut got = 0;
        for round in 1..=100 {
            sender.try_send(&transmit).unwrap();
            while got < round * contents.len() {
                let count = room.recv(&*receiver).await.unwrap();
                got += room.metas[..count].iter().map(|meta| meta.len).sum::<usize>();
            }
        }
        COUNT.get() - before
    })
}

#[test]
fn no_datagram_allocates() {
    assert_eq!(allocations(bound(), None), 0);
    assert_eq!(allocations(bound(), Some(1200)), 0);
}

#[test]
fn no_datagram_allocates_where_the_kernel_does_not_cut() {
    let sender = bound();
    ancillary::set_option(&sender, libc::SOL_SOCKET, libc::SO_NO_CHECK, 1).unwrap();
    assert_eq!(allocations(sender, Some(1200)), 0);
}
