//! What the message types have alike, so that a type says only what is its own: identity, payload, option.

#[cfg(linux_like)]
use std::net::{SocketAddrV4, SocketAddrV6};

#[cfg(linux_like)]
use nix::libc;

#[cfg(linux_like)]
use crate::addr::{v4_in, v6_in};
use crate::{
    cmsg::{RawCmsg, unlikely},
    error::DecodeError,
};

/// How a type is sent: its identity, and its payload as bytes (`?` may refuse a value).
macro_rules! sends {
    ($type:ty, $id:expr, |$message:ident| $payload:expr) => {
        impl $crate::cmsg::SendControl<'_> for $type {
            #[inline(always)]
            fn encode(&self, out: &mut $crate::cmsg::ControlOut<'_, '_>) -> Result<(), $crate::error::EncodeError> {
                let $message = self;
                out.push($id, &$payload)
            }
        }
    };
}

/// How a type is received: its identities, the length of its payload, how to read it, and the option that asks for it.
/// With `view`, the type has a lifetime and borrows the payload, which may be shorter; with `varying`, it may be shorter; with
/// `usually N`, this system delivers N bytes.
macro_rules! receives {
    ($type:ident, $id:path, $len:expr, |$cmsg:ident| $value:expr, $option:expr) => {
        receives!(@ [$type] [Self] [$id] $len, Some($len), |$cmsg| $value, $option);
    };
    ($type:ident, $($id:path)|+, $len:expr, |$cmsg:ident| $value:expr, $option:expr) => {
        receives!(@ [$type] [Self] [$($id)|+] $len, None, |$cmsg| $value, $option);
    };
    (usually $usual:literal, $type:ident, $($id:path)|+, $len:expr, |$cmsg:ident| $value:expr, $option:expr) => {
        receives!(@ [$type] [Self] [$($id)|+] $len, Some($usual), |$cmsg| $value, $option);
    };
    (varying $type:ident, $($id:path)|+, $len:expr, |$cmsg:ident| $value:expr, $option:expr) => {
        receives!(@ [$type] [Self] [$($id)|+] $len, None, |$cmsg| $value, $option);
    };
    (view $type:ident, $($id:path)|+, $len:expr, |$cmsg:ident| $value:expr, $option:expr) => {
        receives!(@ [$type<'_>] [$type<'a>] [$($id)|+] $len, None, |$cmsg| $value, $option);
    };
    (@ [$type:ty] [$as:ty] [$($id:path)|+] $len:expr, $usual:expr, |$cmsg:ident| $value:expr, $option:expr) => {
        impl $crate::message::RecvControl for $type {
            type Value<'a> = $as;
            const PAYLOAD_LEN: usize = $len;

            #[inline(always)]
            fn matches(id: $crate::cmsg::CmsgId) -> bool {
                $(id == $id)||+
            }

            #[inline(always)]
            fn usual_len(_: $crate::cmsg::CmsgId) -> Option<usize> {
                $usual
            }

            #[inline(always)]
            fn decode($cmsg: $crate::cmsg::RawCmsg<'_>) -> Result<Self::Value<'_>, $crate::error::DecodeError> {
                $value
            }

            fn set_enabled(socket: std::os::fd::BorrowedFd<'_>, on: bool) -> std::io::Result<()> {
                $option.set(socket, on)
            }
        }
    };
}

/// A type of one number or address is printed as that.
macro_rules! prints {
    ($type:ty) => {
        impl std::fmt::Display for $type {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                std::fmt::Display::fmt(&self.0, f)
            }
        }
    };
}

/// A payload that is an `int` in the range of a byte. One byte alone is none: it is what is left of an int that was
/// cut.
#[inline(always)]
pub(in crate::message) fn small_int(cmsg: RawCmsg<'_>, field: &'static str) -> Result<u8, DecodeError> {
    let int = cmsg.int()?;
    match u8::try_from(int) {
        Ok(byte) => Ok(byte),
        Err(_) => {
            unlikely();
            Err(DecodeError::Value { field, expected: "0..=255", found: int.into() })
        }
    }
}

/// A payload that is one byte, or an `int` in its range: the systems differ.
#[inline(always)]
pub(in crate::message) fn byte(cmsg: RawCmsg<'_>, field: &'static str) -> Result<u8, DecodeError> {
    match *cmsg.payload() {
        [byte] => Ok(byte),
        [] => Err(DecodeError::Length { expected: 1, found: 0 }),
        _ => small_int(cmsg, field),
    }
}

/// A payload that is an `int`, a count: not negative.
#[inline(always)]
#[cfg_attr(not(linux_like), allow(dead_code, reason = "Linux has them"))]
pub(in crate::message) fn count(cmsg: RawCmsg<'_>, field: &'static str) -> Result<u32, DecodeError> {
    let int = cmsg.int()?;
    u32::try_from(int).map_err(|_| DecodeError::Value { field, expected: "0..=2147483647", found: int.into() })
}

/// A payload that is a `u32` in host byte order.
#[inline(always)]
#[cfg_attr(not(linux_like), allow(dead_code, reason = "Linux has them"))]
pub(in crate::message) fn word(cmsg: RawCmsg<'_>) -> Result<u32, DecodeError> {
    cmsg.array().map(u32::from_ne_bytes)
}

/// The bytes of a field of a C structure. A field that is not inside it does not compile.
#[inline(always)]
pub(in crate::message) fn field<const AT: usize, const LEN: usize, const SIZE: usize>(bytes: &[u8; SIZE]) -> [u8; LEN] {
    const { assert!(AT + LEN <= SIZE, "a field of the structure") };
    let mut field = [0; LEN];
    field.copy_from_slice(&bytes[AT..AT + LEN]);
    field
}

/// The address in a `struct sockaddr_in` of Linux.
#[cfg(linux_like)]
pub(in crate::message) fn sockaddr_in(bytes: &[u8; 16]) -> Result<SocketAddrV4, DecodeError> {
    match u16::from_ne_bytes(field::<0, 2, 16>(bytes)).into() {
        libc::AF_INET => v4_in(bytes).ok_or(DecodeError::Length { expected: 16, found: bytes.len() }),
        found => Err(DecodeError::Value { field: "sin_family", expected: "AF_INET", found: found.into() }),
    }
}

/// The address in a `struct sockaddr_in6` of Linux.
#[cfg(linux_like)]
pub(in crate::message) fn sockaddr_in6(bytes: &[u8; 28]) -> Result<SocketAddrV6, DecodeError> {
    match u16::from_ne_bytes(field::<0, 2, 28>(bytes)).into() {
        libc::AF_INET6 => v6_in(bytes).ok_or(DecodeError::Length { expected: 28, found: bytes.len() }),
        found => Err(DecodeError::Value { field: "sin6_family", expected: "AF_INET6", found: found.into() }),
    }
}
