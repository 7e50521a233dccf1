//! Control messages of level `SOL_TLS`: records of the kernel's TLS; see
//! [tls](https://docs.kernel.org/networking/tls.html).

use std::fmt;

use crate::{
    cmsg::CmsgId,
    options::{Families, Unasked},
};

// include/linux/socket.h and include/uapi/linux/tls.h; libc lacks them on some systems.
const SOL_TLS: i32 = 282;
const TLS_SET_RECORD_TYPE: i32 = 1;
const TLS_GET_RECORD_TYPE: i32 = 2;

/// Content type of a TLS record, on a TCP socket whose records the kernel makes (`TLS_SET_RECORD_TYPE`, Linux 4.13) and
/// takes apart (`TLS_GET_RECORD_TYPE`, Linux 4.17).
///
/// Sent, it ends the record that is open, and the data goes out as a record of this type. Data sent without it is
/// [`APPLICATION_DATA`](Self::APPLICATION_DATA).
///
/// Received unasked, with every read, once the keys are set (`setsockopt(SOL_TLS, TLS_RX)`); the records of one read
/// are of one type. Always give room for it: a record of another type than application data cannot be read without
/// (EIO), and is still there for a read with room. No privilege.
///
/// ```
/// use ancillary::{ControlList, MsgHdr, message::{RecvList, TlsRecordType}, parser};
/// # use ancillary::{RawCmsg, cmsg::CmsgId};
///
/// // A close_notify, before the connection ends: level 1, description 0.
/// let mut close = MsgHdr::new();
/// close.data(&[1, 0]).control(TlsRecordType::ALERT); // and `send`
/// # let list = ControlList::new(TlsRecordType::ALERT)?;
/// # let sent = parser::cmsgs(list.as_bytes()).next().unwrap();
/// # assert_eq!((sent.id().ty(), sent.payload()), (1, &[21][..]));
///
/// # let arrived = ControlList::new(RawCmsg::new(CmsgId::new(282, 2), &[21]))?;
/// # let cmsgs = parser::cmsgs(arrived.as_bytes());
/// match TlsRecordType::extract(cmsgs) { // of what was read: `message.extract()`
///     None | Some(TlsRecordType::APPLICATION_DATA) => panic!("data"),
///     Some(other) => assert_eq!(other.to_string(), "alert"),
/// }
/// # Ok::<(), ancillary::EncodeError>(())
/// ```
///
/// # Wire layout
///
/// ```text
///   0      1
///   +------+
///   | type |   u8, in both directions
///   +------+
/// ```
///
/// # Errors
///
/// Sending: EINVAL with [`SendFlags::MORE`](crate::SendFlags::MORE), and for other control messages when this one is not
/// among them. A TCP socket without kernel TLS ignores it.
///
/// # References
///
/// [tls](https://docs.kernel.org/networking/tls.html), "Sending TLS control messages"; RFC 8446 section 5.1;
/// net/tls/tls_main.c, `tls_process_cmsg`; net/tls/tls_sw.c, `tls_record_content_type`
#[doc(alias = "TLS_SET_RECORD_TYPE")]
#[doc(alias = "TLS_GET_RECORD_TYPE")]
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct TlsRecordType(pub u8);

impl TlsRecordType {
    /// `change_cipher_spec`
    pub const CHANGE_CIPHER_SPEC: Self = Self(20);
    /// `alert`; the data is a level and a description.
    pub const ALERT: Self = Self(21);
    /// `handshake`
    pub const HANDSHAKE: Self = Self(22);
    /// `application_data`
    pub const APPLICATION_DATA: Self = Self(23);

    pub(crate) const SENT: CmsgId = CmsgId::new(SOL_TLS, TLS_SET_RECORD_TYPE);
    pub(crate) const RECEIVED: CmsgId = CmsgId::new(SOL_TLS, TLS_GET_RECORD_TYPE);
}

/// Prints the name in RFC 8446, or a number that has none there.
impl fmt::Display for TlsRecordType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::CHANGE_CIPHER_SPEC => f.write_str("change_cipher_spec"),
            Self::ALERT => f.write_str("alert"),
            Self::HANDSHAKE => f.write_str("handshake"),
            Self::APPLICATION_DATA => f.write_str("application_data"),
            Self(number) => number.fmt(f),
        }
    }
}

sends!(TlsRecordType, Self::SENT, |record| [record.0]);
receives!(TlsRecordType, Self::RECEIVED, 1, |cmsg| cmsg.array().map(|[number]| Self(number)), Unasked(Families::INET));

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::{
        RecvControl,
        laws::{reads, refuses_lengths, sends},
    };

    #[test]
    fn a_record_type_is_one_byte_in_both_directions() {
        for number in 0..=u8::MAX {
            let record = TlsRecordType(number);
            sends(&record, TlsRecordType::SENT, &[number]);
            let printed = format!("{{TLS_GET_RECORD_TYPE {record}}}");
            reads::<TlsRecordType>(TlsRecordType::RECEIVED, &[number], &printed, |found| assert_eq!(found, record));
        }
        refuses_lengths::<TlsRecordType>(TlsRecordType::RECEIVED, &[1], 1);
        assert!(!TlsRecordType::matches(TlsRecordType::SENT));
    }

    #[test]
    fn record_types_are_printed_by_their_names() {
        let printed: Vec<_> = (19..=24).map(|number| TlsRecordType(number).to_string()).collect();
        assert_eq!(printed, ["19", "change_cipher_spec", "alert", "handshake", "application_data", "24"]);
    }
}
