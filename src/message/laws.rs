//! One shared law for every message: golden bytes into a poisoned buffer and back, at every offset; every other length
//! refused with the exact error, and the raw message still there.

use std::fmt::Debug;

use super::*;
use crate::{
    cmsg::{self, CmsgId},
    parser::{self, ControlMessage},
    sys,
};

/// What is sent is `payload` under `id`, at every start offset, with zeroed padding, and nothing beside it is touched.
pub(super) fn sends<T>(value: &T, id: CmsgId, payload: &[u8])
where
    T: for<'fd> SendControl<'fd> + Debug,
{
    let space = cmsg::space(payload.len()).unwrap();
    for offset in 0..8 {
        let mut bytes = vec![0xa5; offset + space + 8];
        let len = cmsg::encode(value, &mut bytes[offset..]).unwrap();
        assert_eq!(len, space, "{value:?}");
        assert!(bytes[..offset].iter().chain(&bytes[offset + len..]).all(|&byte| byte == 0xa5), "{value:?}");
        let found = parser::cmsgs(&bytes[offset..offset + len]).collect::<Vec<_>>();
        assert_eq!(found, [RawCmsg::new(id, payload)], "{value:?}");
        let padding = offset + sys::HEADER + payload.len()..offset + len;
        assert!(bytes[padding].iter().all(|&byte| byte == 0), "padding is zeroed");
    }
    for room in 0..space {
        let error = cmsg::encode(value, &mut vec![0; room]).unwrap_err();
        assert_eq!(error, EncodeError::ControlSpace { needed: space, available: room });
    }
}

/// `payload` under `id` is read by `T`, also without the padding behind it and at every offset, and by the table, which
/// prints it as `printed`.
pub(super) fn reads<T>(id: CmsgId, payload: &[u8], printed: &str, check: impl Fn(T::Value<'_>))
where
    T: RecvControl,
{
    assert!(T::matches(id), "{id:?}");
    assert!(payload.len() <= T::PAYLOAD_LEN, "{id:?}: {} bytes are reserved", T::PAYLOAD_LEN);
    let mut aligned = vec![0; sys::HEADER + payload.len() + sys::ALIGN];
    let len = (sys::HEADER + payload.len()) as sys::CmsgLen;
    aligned[..size_of_val(&len)].copy_from_slice(&len.to_ne_bytes());
    aligned[sys::LEVEL_AT..][..4].copy_from_slice(&id.level().to_ne_bytes());
    aligned[sys::LEVEL_AT + 4..][..4].copy_from_slice(&id.ty().to_ne_bytes());
    aligned[sys::HEADER..][..payload.len()].copy_from_slice(payload);
    for offset in 0..8 {
        let mut bytes = vec![0xa5; offset];
        bytes.extend(&aligned[..sys::HEADER + payload.len()]);
        let found = parser::cmsgs(&bytes[offset..]).next().unwrap();
        match T::decode(found) {
            Ok(value) => check(value),
            Err(error) => panic!("{id:?}: {error}"),
        }
        assert_eq!(format!("{found:?}"), printed);
        assert!(!matches!(ControlMessage::decode(found), ControlMessage::Unknown(_) | ControlMessage::Malformed(_)));
    }
}

/// `decode(encode(x)) == x`, for what goes both ways in one form.
pub(super) fn round_trips<T>(value: T, id: CmsgId, payload: &[u8])
where
    T: for<'fd> SendControl<'fd> + for<'a> RecvControl<Value<'a> = T> + Debug + PartialEq,
{
    sends(&value, id, payload);
    assert!(T::matches(id));
    assert_eq!(T::decode(RawCmsg::new(id, payload)).unwrap(), value);
}

/// Every length but these is refused; `expected` is the one that the error names (nothing at all is too short even for
/// a byte, where that is a form).
pub(super) fn refuses_lengths<T: RecvControl>(id: CmsgId, lengths: &[usize], expected: usize) {
    let bytes = vec![1; 64.max(T::PAYLOAD_LEN + 1)];
    for found in (0..bytes.len()).filter(|found| !lengths.contains(found)) {
        let expected = if found == 0 && lengths.contains(&1) { 1 } else { expected };
        refuses::<T>(RawCmsg::new(id, &bytes[..found]), DecodeError::Length { expected, found });
    }
}

/// This is refused with this error, by the type and by the table, which keeps the raw message.
pub(super) fn refuses<T: RecvControl>(cmsg: RawCmsg<'_>, error: DecodeError) {
    assert_eq!(T::decode(cmsg).err(), Some(error), "{:?}, {} bytes", cmsg.id(), cmsg.payload().len());
    match ControlMessage::decode(cmsg) {
        ControlMessage::Malformed(found) => assert_eq!((found.cmsg, found.error), (cmsg, error)),
        found => panic!("expected a malformed message, found {found:?}"),
    }
}
