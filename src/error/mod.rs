//! Error types: what was expected and what was found.

mod address;
mod arrived;
mod build;
#[cfg(linux_like)]
mod pinned;

pub use address::{AddrError, FamilyError, ScopeError};
pub use arrived::{DecodeError, FdCountError, ShortReadError, TruncatedError};
pub use build::EncodeError;
#[cfg(linux_like)]
pub use pinned::PinnedError;

use std::{error::Error, io};

use address::fmt_family;

macro_rules! into_io_error {
    ($($(#[$attribute:meta])? $error:ty => $kind:ident,)+) => {$(
        $(#[$attribute])?
        impl Error for $error {}

        $(#[$attribute])?
        impl From<$error> for io::Error {
            #[cold]
            fn from(error: $error) -> Self {
                io::Error::new(io::ErrorKind::$kind, error)
            }
        }
    )+};
}

into_io_error! {
    EncodeError => InvalidInput,
    DecodeError => InvalidData,
    TruncatedError => InvalidData,
    FdCountError => InvalidData,
    FamilyError => InvalidInput,
    ShortReadError => UnexpectedEof,
    AddrError => InvalidInput,
    ScopeError => InvalidInput,
    #[cfg(linux_like)] PinnedError => InvalidInput,
}
