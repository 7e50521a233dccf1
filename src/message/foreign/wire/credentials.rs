//! Who sent a message, as the BSDs write it.

#[cfg(any(linux_like, target_os = "freebsd", target_os = "dragonfly"))]
use crate::error::EncodeError;
use crate::{error::DecodeError, message::Credentials};

/// The words of a structure of credentials, all of whose fields are four bytes wide.
fn word(bytes: &[u8], index: usize) -> u32 {
    match bytes.get(4 * index..4 * index + 4) {
        Some(&[a, b, c, d]) => u32::from_ne_bytes([a, b, c, d]),
        _ => 0,
    }
}

/// That a structure which ends with as many groups as its word `count` says has the length that this makes.
#[cfg(any(linux_like, target_os = "freebsd", target_os = "netbsd"))]
fn has_groups(bytes: &[u8], count: usize) -> Result<(), DecodeError> {
    let (fixed, found) = (4 * (count + 1), bytes.len());
    if found < fixed {
        return Err(DecodeError::Length { expected: fixed, found });
    }
    match (word(bytes, count) as usize).checked_mul(4).and_then(|groups| groups.checked_add(fixed)) {
        Some(expected) if expected == found => Ok(()),
        Some(expected) => Err(DecodeError::Length { expected, found }),
        None => Err(DecodeError::Length { expected: usize::MAX, found }),
    }
}

/// The length of a `struct cmsgcred`: five words, and 16 groups.
#[cfg(any(linux_like, target_os = "freebsd", target_os = "dragonfly"))]
pub(in crate::message::foreign) const CMSGCRED: usize = 84;

/// `struct cmsgcred`: pid, real uid, effective uid, real gid, groups.
#[cfg(any(linux_like, target_os = "freebsd", target_os = "dragonfly"))]
pub(in crate::message::foreign) fn cmsgcred(bytes: &[u8]) -> Result<Credentials, DecodeError> {
    if bytes.len() != CMSGCRED {
        return Err(DecodeError::Length { expected: CMSGCRED, found: bytes.len() });
    }
    Ok(Credentials { pid: word(bytes, 0) as i32, uid: word(bytes, 1), gid: word(bytes, 3) })
}

/// FreeBSD's `SCM_CREDS`: a `struct cmsgcred`, or by its length a `struct sockcred` (`LOCAL_CREDS`), which says no
/// process: real and effective uid, real and effective gid, groups.
#[cfg(any(linux_like, target_os = "freebsd"))]
pub(in crate::message::foreign) fn freebsd_creds(bytes: &[u8]) -> Result<Credentials, DecodeError> {
    if bytes.len() == CMSGCRED {
        return cmsgcred(bytes);
    }
    has_groups(bytes, 4)?;
    Ok(Credentials { pid: 0, uid: word(bytes, 0), gid: word(bytes, 2) })
}

/// FreeBSD's `struct sockcred2`: version, pid, real and effective uid, real and effective gid, groups.
#[cfg(any(linux_like, target_os = "freebsd"))]
pub(in crate::message::foreign) fn sockcred2(bytes: &[u8]) -> Result<Credentials, DecodeError> {
    has_groups(bytes, 6)?;
    match word(bytes, 0) as i32 {
        0 => Ok(Credentials { pid: word(bytes, 1) as i32, uid: word(bytes, 2), gid: word(bytes, 4) }),
        version => Err(DecodeError::Value { field: "sc_version", expected: "0", found: version.into() }),
    }
}

/// NetBSD's `struct sockcred`: pid, real and effective uid, real and effective gid, groups.
#[cfg(any(linux_like, target_os = "netbsd"))]
pub(in crate::message::foreign) fn netbsd_sockcred(bytes: &[u8]) -> Result<Credentials, DecodeError> {
    has_groups(bytes, 5)?;
    Ok(Credentials { pid: word(bytes, 0) as i32, uid: word(bytes, 1), gid: word(bytes, 3) })
}

/// What this system puts into a message of credentials, whatever the sender writes: only that can be sent.
#[cfg(any(linux_like, target_os = "freebsd", target_os = "dragonfly"))]
pub(in crate::message::foreign) fn only_own(given: Credentials, own: Credentials) -> Result<(), EncodeError> {
    for (field, given, own) in [
        ("cmcred_pid", i64::from(given.pid), i64::from(own.pid)),
        ("cmcred_uid", given.uid.into(), own.uid.into()),
        ("cmcred_gid", given.gid.into(), own.gid.into()),
    ] {
        if given != own {
            return Err(EncodeError::Value {
                field,
                expected: "the sender's own (the kernel fills it in)",
                found: given,
            });
        }
    }
    Ok(())
}

#[cfg(all(test, linux_like))]
mod tests {
    use super::*;

    fn words(words: &[u32]) -> Vec<u8> {
        words.iter().flat_map(|word| word.to_ne_bytes()).collect()
    }

    fn length<T>(expected: usize, found: usize) -> Result<T, DecodeError> {
        Err(DecodeError::Length { expected, found })
    }

    #[test]
    fn sent_credentials_are_read_from_cmsgcred() {
        let mut bytes = words(&[4321, 1000, 1001, 100, 1]);
        bytes.resize(84, 0);
        let found = Credentials { pid: 4321, uid: 1000, gid: 100 };
        assert_eq!(cmsgcred(&bytes), Ok(found));
        assert_eq!(freebsd_creds(&bytes), Ok(found));
        for len in [0, 83, 85] {
            bytes.resize(len, 0);
            assert_eq!(cmsgcred(&bytes), length(84, len));
        }
    }

    #[test]
    fn freebsd_sockcred_says_no_process() {
        let found = Credentials { pid: 0, uid: 1000, gid: 100 };
        for groups in (0..=20).filter(|&groups| groups != 16) {
            let mut bytes = words(&[1000, 1001, 100, 101, groups]);
            bytes.resize(20 + 4 * groups as usize, 7);
            assert_eq!(freebsd_creds(&bytes), Ok(found));
            bytes.pop();
            assert_eq!(freebsd_creds(&bytes), length(20 + 4 * groups as usize, bytes.len()));
        }
        assert_eq!(freebsd_creds(&[0; 19]), length(20, 19));
    }

    #[test]
    fn freebsd_sockcred2_says_all() {
        let mut bytes = words(&[0, 4321, 1000, 1001, 100, 101, 2, 100, 5]);
        assert_eq!(bytes.len(), 36);
        assert_eq!(sockcred2(&bytes), Ok(Credentials { pid: 4321, uid: 1000, gid: 100 }));
        for found in (0..bytes.len()).rev() {
            assert_eq!(sockcred2(&bytes[..found]), length(if found < 28 { 28 } else { 36 }, found));
        }
        bytes[..4].copy_from_slice(&1i32.to_ne_bytes());
        let error = DecodeError::Value { field: "sc_version", expected: "0", found: 1 };
        assert_eq!(sockcred2(&bytes), Err(error));
    }

    #[test]
    fn netbsd_sockcred_says_all() {
        let bytes = words(&[4321, 1000, 1001, 100, 101, 1, 100]);
        assert_eq!(bytes.len(), 28);
        assert_eq!(netbsd_sockcred(&bytes), Ok(Credentials { pid: 4321, uid: 1000, gid: 100 }));
        for found in 0..bytes.len() {
            assert_eq!(netbsd_sockcred(&bytes[..found]), length(if found < 24 { 24 } else { 28 }, found));
        }
    }

    #[test]
    fn a_count_of_groups_beyond_the_message_is_refused() {
        for count in [2, u32::MAX] {
            let bytes = words(&[1, 2, 3, 4, 5, count, 6]);
            let error = netbsd_sockcred(&bytes).unwrap_err();
            assert!(matches!(error, DecodeError::Length { expected, found: 28 } if expected > 28), "{error}");
        }
    }

    #[test]
    fn credentials_of_another_are_refused_where_the_kernel_writes_them() {
        let own = Credentials { pid: 4321, uid: 1000, gid: 100 };
        assert_eq!(only_own(own, own), Ok(()));
        for (given, field, found) in [
            (Credentials { pid: 1, ..own }, "cmcred_pid", 1),
            (Credentials { uid: 0, ..own }, "cmcred_uid", 0),
            (Credentials { gid: 0, ..own }, "cmcred_gid", 0),
        ] {
            let expected = "the sender's own (the kernel fills it in)";
            assert_eq!(only_own(given, own), Err(EncodeError::Value { field, expected, found }));
        }
    }
}
