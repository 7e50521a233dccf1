//! Control messages of level `SOL_ALG`: what the kernel's ciphers shall do; see
//! [User Space Interface](https://docs.kernel.org/crypto/userspace-if.html).

use crate::message::SendControl;
use crate::{
    cmsg::{CmsgId, ControlOut},
    error::EncodeError,
};

// include/linux/socket.h and include/uapi/linux/if_alg.h
const SOL_ALG: i32 = 279;
const ALG_SET_IV: i32 = 2;
const ALG_SET_OP: i32 = 3;
const ALG_SET_AEAD_ASSOCLEN: i32 = 4;
const ALG_OP_DECRYPT: u32 = 0;
const ALG_OP_ENCRYPT: u32 = 1;

/// The longest that is sent; the kernel's ciphers have 32 bytes at most.
const IV_MAX: usize = 64;
const LEN: usize = size_of::<u32>();

/// Initialisation vector of a cipher (`ALG_SET_IV`, `struct af_alg_iv`; Linux 2.6.38, AF_ALG `skcipher` and `aead`).
///
/// Sent with the first piece of the data; it has the length that the cipher wants, none for one that wants none. No
/// privilege. Send [`AlgSetOp`] with it: a message with any control data and without that one decrypts.
///
/// ```
/// use ancillary::{ControlList, message::{AlgSetIv, AlgSetOp}, parser};
///
/// let iv = [7; 16]; // a block, for cbc(aes)
/// let encrypt = ControlList::new((AlgSetOp::Encrypt, AlgSetIv(&iv)))?;
/// // MsgHdr::new().data(text).control_from(&encrypt).send(&operation)?; and read(2) gives the cipher text
/// let payloads: Vec<&[u8]> = parser::cmsgs(encrypt.as_bytes()).map(|cmsg| cmsg.payload()).collect();
/// assert_eq!(payloads[0], 1u32.to_ne_bytes()); // ALG_OP_ENCRYPT
/// assert_eq!((&payloads[1][..4], &payloads[1][4..]), (&16u32.to_ne_bytes()[..], &iv[..]));
/// # Ok::<(), ancillary::EncodeError>(())
/// ```
///
/// # Wire layout
///
/// ```text
///   0       4
///   +-------+----...----+
///   | ivlen |    iv     |   ivlen: u32, host byte order
///   +-------+----...----+
/// ```
///
/// # Errors
///
/// More than 64 bytes are [`EncodeError::Value`]. The kernel says EINVAL for another length than the cipher's.
///
/// # References
///
/// [User Space Interface](https://docs.kernel.org/crypto/userspace-if.html); crypto/af_alg.c, `af_alg_cmsg_send`
#[doc(alias = "ALG_SET_IV")]
#[doc(alias = "af_alg_iv")]
#[doc(alias = "ivlen")]
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct AlgSetIv<'a>(pub &'a [u8]);

impl AlgSetIv<'_> {
    pub(crate) const ID: CmsgId = CmsgId::new(SOL_ALG, ALG_SET_IV);
}

impl SendControl<'_> for AlgSetIv<'_> {
    #[inline]
    fn encode(&self, out: &mut ControlOut<'_, '_>) -> Result<(), EncodeError> {
        let (iv, mut payload) = (self.0, [0; LEN + IV_MAX]);
        if iv.len() > IV_MAX {
            return Err(EncodeError::Value { field: "ivlen", expected: "0..=64", found: iv.len() as i64 });
        }
        payload[..LEN].copy_from_slice(&(iv.len() as u32).to_ne_bytes());
        payload[LEN..LEN + iv.len()].copy_from_slice(iv);
        out.push(Self::ID, &payload[..LEN + iv.len()])
    }
}

/// What a cipher does with the data (`ALG_SET_OP`; Linux 2.6.38, AF_ALG `skcipher` and `aead`).
///
/// Sent with the first piece of the data. No privilege. A message without any control data goes on with what is being
/// done; one with other control data alone decrypts.
///
/// ```
/// use ancillary::{ControlList, message::{AlgSetIv, AlgSetOp}, parser};
///
/// /// What goes with the first piece of the data.
/// fn begin(op: AlgSetOp, iv: &[u8; 16]) -> Result<ControlList<'_>, ancillary::EncodeError> {
///     ControlList::new((op, AlgSetIv(iv)))
/// }
/// for (op, number) in [(AlgSetOp::Decrypt, 0), (AlgSetOp::Encrypt, 1)] {
///     assert_eq!(parser::cmsgs(begin(op, &[0; 16])?.as_bytes()).next().unwrap().int(), Ok(number));
/// }
/// # Ok::<(), ancillary::EncodeError>(())
/// ```
///
/// # Wire layout
///
/// ```text
///   0           4
///   +-----------+
///   | operation |   u32, host byte order: 0 decrypt, 1 encrypt
///   +-----------+
/// ```
///
/// # Errors
///
/// Sending: EINVAL while data of the operation before, which ended without [`SendFlags::MORE`](crate::SendFlags::MORE),
/// has not been read.
///
/// # References
///
/// [User Space Interface](https://docs.kernel.org/crypto/userspace-if.html); crypto/af_alg.c, `af_alg_cmsg_send`
#[doc(alias = "ALG_SET_OP")]
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum AlgSetOp {
    /// `ALG_OP_DECRYPT`
    #[doc(alias = "ALG_OP_DECRYPT")]
    Decrypt,
    /// `ALG_OP_ENCRYPT`
    #[doc(alias = "ALG_OP_ENCRYPT")]
    Encrypt,
}

impl AlgSetOp {
    pub(crate) const ID: CmsgId = CmsgId::new(SOL_ALG, ALG_SET_OP);

    #[inline(always)]
    fn to_wire(self) -> [u8; 4] {
        match self {
            Self::Decrypt => ALG_OP_DECRYPT,
            Self::Encrypt => ALG_OP_ENCRYPT,
        }
        .to_ne_bytes()
    }
}

sends!(AlgSetOp, Self::ID, |op| op.to_wire());

/// How many bytes at the start of the data are authenticated and not encrypted (`ALG_SET_AEAD_ASSOCLEN`; Linux 4.0,
/// AF_ALG `aead`).
///
/// Sent with the first piece of the data. No privilege. What is read has as many bytes in front of the text.
///
/// ```
/// use ancillary::{ControlList, MsgHdr, message::{AlgSetAeadAssocLen, AlgSetIv, AlgSetOp}};
/// # use ancillary::parser;
///
/// let (header, text) = (b"in clear", b"in secret"); // both are authenticated
/// let encrypt = ControlList::new((AlgSetOp::Encrypt, AlgSetIv(&[7; 12]), AlgSetAeadAssocLen(header.len() as u32)))?;
/// let mut message = MsgHdr::new();
/// message.data(header).data(text).control_from(&encrypt); // and `send`, on a socket of gcm(aes)
/// # assert_eq!(parser::cmsgs(encrypt.as_bytes()).last().unwrap().int(), Ok(8));
/// # assert!(format!("{message:?}").contains("{ALG_SET_AEAD_ASSOCLEN, 4 bytes: "), "{message:?}");
///
/// let too_long = ControlList::new(AlgSetAeadAssocLen(1 << 31)).unwrap_err();
/// assert_eq!(too_long.to_string(), "ALG_SET_AEAD_ASSOCLEN: expected 0..=2147483647, found 2147483648");
/// # Ok::<(), ancillary::EncodeError>(())
/// ```
///
/// # Wire layout
///
/// ```text
///   0        4
///   +--------+
///   | length |   u32, host byte order
///   +--------+
/// ```
///
/// # Errors
///
/// More than 2,147,483,647 is [`EncodeError::Value`] (the kernel's EINVAL, since Linux 7.3; before, reading fails).
/// Reading says EINVAL for more than the data has.
///
/// # References
///
/// [User Space Interface](https://docs.kernel.org/crypto/userspace-if.html); crypto/af_alg.c, `af_alg_cmsg_send`
#[doc(alias = "ALG_SET_AEAD_ASSOCLEN")]
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct AlgSetAeadAssocLen(pub u32);

impl AlgSetAeadAssocLen {
    pub(crate) const ID: CmsgId = CmsgId::new(SOL_ALG, ALG_SET_AEAD_ASSOCLEN);

    #[inline(always)]
    fn to_wire(self) -> Result<[u8; 4], EncodeError> {
        if i32::try_from(self.0).is_err() {
            let found = self.0.into();
            return Err(EncodeError::Value { field: "ALG_SET_AEAD_ASSOCLEN", expected: "0..=2147483647", found });
        }
        Ok(self.0.to_ne_bytes())
    }
}

sends!(AlgSetAeadAssocLen, Self::ID, |len| len.to_wire()?);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{cmsg, message::laws::sends};

    #[test]
    fn a_vector_of_any_length_goes_out_behind_its_length() {
        let iv: Vec<u8> = (1..=65).collect();
        for len in 0..=64 {
            let payload = [&(len as u32).to_ne_bytes(), &iv[..len]].concat();
            sends(&AlgSetIv(&iv[..len]), AlgSetIv::ID, &payload);
        }
        let error = EncodeError::Value { field: "ivlen", expected: "0..=64", found: 65 };
        assert_eq!(cmsg::encode(&AlgSetIv(&iv), &mut [0; 256]), Err(error));
    }

    #[test]
    fn operations_go_out_by_their_numbers() {
        sends(&AlgSetOp::Decrypt, AlgSetOp::ID, &0u32.to_ne_bytes());
        sends(&AlgSetOp::Encrypt, AlgSetOp::ID, &1u32.to_ne_bytes());
    }

    #[test]
    fn a_length_goes_out_in_four_bytes() {
        for len in [0, 20, 0x0102_0304, 0x7fff_ffff] {
            sends(&AlgSetAeadAssocLen(len), AlgSetAeadAssocLen::ID, &len.to_ne_bytes());
        }
        for len in [0x8000_0000, u32::MAX] {
            let (field, expected) = ("ALG_SET_AEAD_ASSOCLEN", "0..=2147483647");
            let error = EncodeError::Value { field, expected, found: len.into() };
            assert_eq!(cmsg::encode(&AlgSetAeadAssocLen(len), &mut [0; 64]), Err(error));
        }
    }
}
