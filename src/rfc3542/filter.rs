//! Which types of ICMP messages a raw socket receives (section 3.2).

use std::{fmt, io, os::fd::AsFd};

use nix::libc;

use crate::{error::EncodeError, options::Families, sys};

// include/uapi/linux/icmpv6.h and icmp.h; the level of the latter is SOL_RAW of include/linux/socket.h.
const ICMPV6_FILTER: i32 = 1;
const ICMP_FILTER: i32 = 1;
const SOL_RAW: i32 = 255;

/// The types of ICMPv6 that a raw socket of that protocol receives (`struct icmp6_filter`, option `ICMP6_FILTER`).
///
/// A new socket lets all pass: without a filter it gets every ICMPv6 message of the host, neighbour discovery included.
/// What is blocked is dropped before it takes room in the socket's queue; what was queued before stays there. Making a
/// raw socket needs `CAP_NET_RAW`, the filter nothing. Linux 2.2.
///
/// ```
/// use ancillary::rfc3542::Icmp6Filter;
///
/// const ECHO_REPLY: u8 = 129;
/// let filter = Icmp6Filter::block_all().pass(ECHO_REPLY);
/// assert!(filter.will_pass(ECHO_REPLY) && filter.will_block(128));
/// assert!(Icmp6Filter::pass_all().block(135).will_block(135)); // all but neighbour solicitations
/// # use socket2::{Domain, Protocol, Socket, Type};
/// # // A raw socket needs a privilege.
/// # let Ok(socket) = Socket::new(Domain::IPV6, Type::RAW, Some(Protocol::ICMPV6)) else { return Ok(()) };
/// filter.set(&socket)?;
/// assert_eq!(Icmp6Filter::get(&socket)?, filter);
/// # Ok::<(), std::io::Error>(())
/// ```
///
/// # Wire layout
///
/// ```text
///   0        4        8                28       32
///   +--------+--------+-- ... --+--------+
///   | 0..=31 | 32.. 63|         | ..=255 |   eight u32, host byte order; type t is bit t % 32 of word t / 32
///   +--------+--------+-- ... --+--------+
/// ```
///
/// On Linux a bit that is set blocks (elsewhere it lets pass).
///
/// # References
///
/// RFC 3542 s. 3.2; net/ipv6/raw.c, `icmpv6_filter`
#[doc(alias = "icmp6_filter")]
#[doc(alias = "ICMP6_FILTER")]
#[doc(alias = "ICMPV6_FILTER")]
#[derive(Clone, Copy, Eq, Hash, PartialEq)]
pub struct Icmp6Filter {
    blocked: [u32; 8],
}

impl Icmp6Filter {
    /// Lets every type pass (`ICMP6_FILTER_SETPASSALL`).
    #[doc(alias = "ICMP6_FILTER_SETPASSALL")]
    pub const fn pass_all() -> Self {
        Self { blocked: [0; 8] }
    }

    /// Blocks every type (`ICMP6_FILTER_SETBLOCKALL`).
    #[doc(alias = "ICMP6_FILTER_SETBLOCKALL")]
    pub const fn block_all() -> Self {
        Self { blocked: [u32::MAX; 8] }
    }

    /// The same filter, but this type passes (`ICMP6_FILTER_SETPASS`).
    #[doc(alias = "ICMP6_FILTER_SETPASS")]
    #[must_use]
    pub const fn pass(mut self, ty: u8) -> Self {
        self.blocked[ty as usize >> 5] &= !(1 << (ty & 31));
        self
    }

    /// The same filter, but this type is blocked (`ICMP6_FILTER_SETBLOCK`).
    #[doc(alias = "ICMP6_FILTER_SETBLOCK")]
    #[must_use]
    pub const fn block(mut self, ty: u8) -> Self {
        self.blocked[ty as usize >> 5] |= 1 << (ty & 31);
        self
    }

    /// Whether this type passes (`ICMP6_FILTER_WILLPASS`).
    #[doc(alias = "ICMP6_FILTER_WILLPASS")]
    pub const fn will_pass(&self, ty: u8) -> bool {
        !self.will_block(ty)
    }

    /// Whether this type is blocked (`ICMP6_FILTER_WILLBLOCK`).
    #[doc(alias = "ICMP6_FILTER_WILLBLOCK")]
    pub const fn will_block(&self, ty: u8) -> bool {
        self.blocked[ty as usize >> 5] >> (ty & 31) & 1 != 0
    }

    /// Makes it the filter of this socket, from the next packet on.
    ///
    /// # Errors
    ///
    /// [`FamilyError`](crate::FamilyError) if the socket is not of AF_INET6; ENOPROTOOPT if it is no raw socket, EOPNOTSUPP if it is one of
    /// another protocol than ICMPv6.
    pub fn set(&self, socket: impl AsFd) -> io::Result<()> {
        let socket = socket.as_fd();
        Families::INET6.require(socket)?;
        sys::set_option_bytes(socket, libc::IPPROTO_ICMPV6, ICMPV6_FILTER, &self.to_wire())
    }

    /// The filter of this socket.
    ///
    /// # Errors
    ///
    /// As those of [`set`](Self::set).
    pub fn get(socket: impl AsFd) -> io::Result<Self> {
        let (socket, mut bytes) = (socket.as_fd(), [0; 32]);
        Families::INET6.require(socket)?;
        sys::option_bytes(socket, libc::IPPROTO_ICMPV6, ICMPV6_FILTER, &mut bytes)?;
        Ok(Self::from_wire(&bytes))
    }

    fn to_wire(self) -> [u8; 32] {
        let mut bytes = [0; 32];
        for (to, word) in bytes.chunks_exact_mut(4).zip(self.blocked) {
            to.copy_from_slice(&word.to_ne_bytes());
        }
        bytes
    }

    fn from_wire(bytes: &[u8; 32]) -> Self {
        let word = |at: usize| u32::from_ne_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]]);
        Self { blocked: std::array::from_fn(|index| word(4 * index)) }
    }
}

/// The types that pass.
impl fmt::Debug for Icmp6Filter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Icmp6Filter, passes ")?;
        passing(|ty| self.will_pass(ty), f)
    }
}

/// A new socket has no filter: all pass.
impl Default for Icmp6Filter {
    fn default() -> Self {
        Self::pass_all()
    }
}

/// The types of ICMP that a raw IPv4 socket of that protocol receives (`struct icmp_filter`, option `ICMP_FILTER`; Linux
/// alone).
///
/// The IPv4 twin of [`Icmp6Filter`], for types 0 to 31: all above pass, whatever the filter says. Linux 2.2.
///
/// ```
/// use ancillary::rfc3542::IcmpFilter;
///
/// const ECHO_REPLY: u8 = 0;
/// let filter = IcmpFilter::block_all().pass(ECHO_REPLY);
/// assert!(filter.will_pass(ECHO_REPLY) && filter.will_block(8) && filter.will_pass(42));
/// # use socket2::{Domain, Protocol, Socket, Type};
/// # // A raw socket needs a privilege.
/// # let Ok(socket) = Socket::new(Domain::IPV4, Type::RAW, Some(Protocol::ICMPV4)) else { return Ok(()) };
/// filter.set(&socket)?;
/// assert_eq!(IcmpFilter::get(&socket)?, filter);
/// # Ok::<(), std::io::Error>(())
/// ```
///
/// # Wire layout
///
/// ```text
///   0      4
///   +------+
///   | data |   u32, host byte order; a bit that is set blocks the type of that number
///   +------+
/// ```
///
/// # References
///
/// [raw(7)](https://man7.org/linux/man-pages/man7/raw.7.html); after the model of RFC 3542 s. 3.2; net/ipv4/raw.c,
/// `icmp_filter`
#[doc(alias = "icmp_filter")]
#[doc(alias = "ICMP_FILTER")]
#[derive(Clone, Copy, Eq, Hash, PartialEq)]
pub struct IcmpFilter {
    blocked: u32,
}

impl IcmpFilter {
    /// Lets every type pass.
    pub const fn pass_all() -> Self {
        Self { blocked: 0 }
    }

    /// Blocks every type from 0 to 31.
    pub const fn block_all() -> Self {
        Self { blocked: u32::MAX }
    }

    /// The same filter, but this type passes.
    #[must_use]
    pub const fn pass(mut self, ty: u8) -> Self {
        if ty < 32 {
            self.blocked &= !(1 << ty);
        }
        self
    }

    /// The same filter, but this type is blocked.
    ///
    /// # Errors
    ///
    /// [`EncodeError::Value`] for a type above 31, which the kernel lets pass.
    pub const fn block(mut self, ty: u8) -> Result<Self, EncodeError> {
        if ty > 31 {
            return Err(EncodeError::Value { field: "ICMP_FILTER", expected: "types 0..=31", found: ty as i64 });
        }
        self.blocked |= 1 << ty;
        Ok(self)
    }

    /// Whether this type passes.
    pub const fn will_pass(&self, ty: u8) -> bool {
        !self.will_block(ty)
    }

    /// Whether this type is blocked.
    pub const fn will_block(&self, ty: u8) -> bool {
        ty < 32 && self.blocked >> ty & 1 != 0
    }

    /// Makes it the filter of this socket, from the next packet on.
    ///
    /// # Errors
    ///
    /// [`FamilyError`](crate::FamilyError) if the socket is not of AF_INET; ENOPROTOOPT if it is no raw socket, EOPNOTSUPP if it is one of
    /// another protocol than ICMP.
    pub fn set(&self, socket: impl AsFd) -> io::Result<()> {
        let socket = socket.as_fd();
        Families::INET4.require(socket)?;
        sys::set_option_bytes(socket, SOL_RAW, ICMP_FILTER, &self.blocked.to_ne_bytes())
    }

    /// The filter of this socket.
    ///
    /// # Errors
    ///
    /// As those of [`set`](Self::set), with EOPNOTSUPP for both of the latter (seen on Linux 6.18).
    pub fn get(socket: impl AsFd) -> io::Result<Self> {
        let (socket, mut bytes) = (socket.as_fd(), [0; 4]);
        Families::INET4.require(socket)?;
        sys::option_bytes(socket, SOL_RAW, ICMP_FILTER, &mut bytes)?;
        Ok(Self { blocked: u32::from_ne_bytes(bytes) })
    }
}

/// The types that pass.
impl fmt::Debug for IcmpFilter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("IcmpFilter, passes ")?;
        passing(|ty| self.will_pass(ty), f)
    }
}

/// A new socket has no filter: all pass.
impl Default for IcmpFilter {
    fn default() -> Self {
        Self::pass_all()
    }
}

/// Ranges of types.
fn passing(pass: impl Fn(u8) -> bool, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let mut list = f.debug_list();
    let mut types = (0..=u8::MAX).filter(|&ty| pass(ty)).peekable();
    while let Some(first) = types.next() {
        let mut last = first;
        while let Some(next) = types.next_if(|&next| next == last + 1) {
            last = next;
        }
        if first == last {
            list.entry(&first)
        } else {
            list.entry(&(first..=last))
        };
    }
    list.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_type_of_icmpv6_has_a_bit_of_its_own_that_blocks_it() {
        assert_eq!(Icmp6Filter::pass_all().to_wire(), [0; 32]);
        assert_eq!(Icmp6Filter::block_all().to_wire(), [0xff; 32]);
        assert_eq!(Icmp6Filter::default(), Icmp6Filter::pass_all());
        for ty in 0..=u8::MAX {
            let (one, all_but_one) = (Icmp6Filter::block_all().pass(ty), Icmp6Filter::pass_all().block(ty));
            for other in 0..=u8::MAX {
                assert_eq!((one.will_pass(other), one.will_block(other)), (ty == other, ty != other));
                assert_eq!((all_but_one.will_pass(other), all_but_one.will_block(other)), (ty != other, ty == other));
            }
            // As the kernel reads it: u32 by u32.
            let mut words = [0u32; 8];
            words[usize::from(ty) / 32] = 1 << (ty % 32);
            assert_eq!(all_but_one.to_wire(), *words.map(u32::to_ne_bytes).as_flattened());
            assert_eq!(Icmp6Filter::from_wire(&all_but_one.to_wire()), all_but_one);
            assert_eq!(one.block(ty), Icmp6Filter::block_all());
            assert_eq!(all_but_one.pass(ty), Icmp6Filter::pass_all());
        }
    }

    #[test]
    fn every_type_of_icmp_up_to_31_has_a_bit_of_its_own_and_those_above_pass() {
        assert_eq!((IcmpFilter::pass_all().blocked, IcmpFilter::block_all().blocked), (0, u32::MAX));
        assert_eq!(IcmpFilter::default(), IcmpFilter::pass_all());
        for ty in 0..32 {
            let (one, all_but_one) = (IcmpFilter::block_all().pass(ty), IcmpFilter::pass_all().block(ty).unwrap());
            assert_eq!(all_but_one.blocked, 1 << ty);
            for other in 0..=u8::MAX {
                assert_eq!(one.will_pass(other), ty == other || other > 31);
                assert_eq!(all_but_one.will_block(other), ty == other);
            }
            assert_eq!((one.block(ty), all_but_one.pass(ty)), (Ok(IcmpFilter::block_all()), IcmpFilter::pass_all()));
        }
        for ty in 32..=u8::MAX {
            let error = EncodeError::Value { field: "ICMP_FILTER", expected: "types 0..=31", found: ty.into() };
            assert_eq!(IcmpFilter::pass_all().block(ty), Err(error));
            assert_eq!(IcmpFilter::block_all().pass(ty), IcmpFilter::block_all());
            assert!(IcmpFilter::block_all().will_pass(ty) && !IcmpFilter::block_all().will_block(ty));
        }
    }

    #[test]
    fn the_types_that_pass_are_shown_in_ranges() {
        let shown = |filter: Icmp6Filter| format!("{filter:?}");
        assert_eq!(shown(Icmp6Filter::block_all()), "Icmp6Filter, passes []");
        assert_eq!(shown(Icmp6Filter::pass_all()), "Icmp6Filter, passes [0..=255]");
        assert_eq!(shown(Icmp6Filter::block_all().pass(129).pass(1).pass(2)), "Icmp6Filter, passes [1..=2, 129]");
        assert_eq!(format!("{:?}", IcmpFilter::block_all().pass(0)), "IcmpFilter, passes [0, 32..=255]");
    }
}
