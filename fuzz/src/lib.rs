//! What the targets share: another walker to compare with, and descriptors counted.

use std::{io, ops::Range};

use arbitrary::Arbitrary;
use nix::libc;

/// Bytes of a header (64-bit Linux).
pub const HEADER: usize = 16;
/// What payloads are padded to.
pub const WORD: usize = 8;

/// Where a message stands, by the reference.
#[derive(Debug)]
pub struct Place {
    /// Level and type.
    pub id: (i32, i32),
    /// The payload's bytes.
    pub payload: Range<usize>,
    /// Whether the header said more than there is.
    pub cut: bool,
}

/// What the reference finds.
#[derive(Debug, Default)]
pub struct Walk {
    /// The messages in order.
    pub messages: Vec<Place>,
    /// Whether a header that says less than its own length ended the walk.
    pub malformed: bool,
    /// Bytes behind the last message.
    pub rest: usize,
}

/// The walk by offsets in wide integers, so that nothing can wrap; written from cmsg(3), not from the library.
pub fn reference(bytes: &[u8]) -> Walk {
    let (mut walk, mut at) = (Walk::default(), 0);
    while bytes.len() - at >= HEADER {
        let int = |from: usize| i32::from_ne_bytes(bytes[from..from + 4].try_into().unwrap());
        let said = u64::from_ne_bytes(bytes[at..at + 8].try_into().unwrap());
        if said < HEADER as u64 {
            walk.malformed = true;
            break;
        }
        let end = u128::from(said) + at as u128;
        let cut = end > bytes.len() as u128;
        let end = if cut { bytes.len() } else { end as usize };
        walk.messages.push(Place { id: (int(at + 8), int(at + 12)), payload: at + HEADER..end, cut });
        at = end.next_multiple_of(WORD).min(bytes.len());
    }
    walk.rest = bytes.len() - at;
    walk
}

/// A message as a kernel or a careless program lays it out, or bytes that are none.
#[derive(Arbitrary, Debug)]
pub enum Part {
    /// `SCM_RIGHTS`, with stray bytes behind the last number.
    Rights { count: u8, stray: u8 },
    /// `SCM_PIDFD`, or the error number in its place.
    Pidfd { error: bool },
    /// `SCM_CREDENTIALS`
    Credentials([u8; 12]),
    /// Any other.
    Other { level: u8, ty: u8, payload: Vec<u8> },
    /// A header that says any length.
    Header { said: u64, level: i32, ty: i32 },
    /// The same of few bytes.
    Short { said: u8, ty: u8 },
    /// Bytes.
    Raw(Vec<u8>),
}

/// All of them as control data; the last is not padded if `cut`.
pub fn control(parts: &[Part], cut: bool) -> Vec<u8> {
    let mut bytes = Vec::new();
    for part in parts.iter().take(12) {
        bytes.resize(bytes.len().next_multiple_of(WORD), 0);
        let (level, ty, payload) = match part {
            Part::Rights { count, stray } => {
                let mut payload: Vec<u8> = (0..i32::from(count % 9)).flat_map(i32::to_ne_bytes).collect();
                payload.resize(payload.len() + usize::from(stray % 4), 0);
                (libc::SOL_SOCKET, libc::SCM_RIGHTS, payload)
            }
            Part::Pidfd { error } => (libc::SOL_SOCKET, 4, if *error { -3i32 } else { 3 }.to_ne_bytes().to_vec()),
            Part::Credentials(who) => (libc::SOL_SOCKET, libc::SCM_CREDENTIALS, who.to_vec()),
            Part::Other { level, ty, payload } => (i32::from(*level), i32::from(*ty), payload.clone()),
            Part::Header { said, level, ty } => {
                bytes.extend(said.to_ne_bytes().into_iter().chain(level.to_ne_bytes()).chain(ty.to_ne_bytes()));
                continue;
            }
            Part::Short { said, ty } => {
                bytes.extend(u64::from(*said).to_ne_bytes().into_iter().chain(1i32.to_ne_bytes()));
                bytes.extend(i32::from(*ty).to_ne_bytes());
                continue;
            }
            Part::Raw(raw) => {
                bytes.extend(raw);
                continue;
            }
        };
        bytes.extend((HEADER + payload.len()).to_ne_bytes());
        bytes.extend(level.to_ne_bytes().into_iter().chain(ty.to_ne_bytes()).chain(payload));
    }
    if !cut {
        bytes.resize(bytes.len().next_multiple_of(WORD), 0);
    }
    bytes
}

/// Which numbers are open.
#[derive(Debug, Eq, PartialEq)]
pub struct Open(Vec<bool>);

impl Open {
    /// What is open now, among the numbers that a run can reach.
    pub fn now() -> Self {
        let mut all: Vec<_> = (0..1024).map(|fd| libc::pollfd { fd, events: 0, revents: 0 }).collect();
        // SAFETY: so many entries, borrowed exclusively until the call returns.
        let found = unsafe { libc::poll(all.as_mut_ptr(), all.len() as libc::nfds_t, 0) };
        assert!(found >= 0, "poll(2): {}", io::Error::last_os_error());
        Self(all.iter().map(|entry| entry.revents & libc::POLLNVAL == 0).collect())
    }
}
