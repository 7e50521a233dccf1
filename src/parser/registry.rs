//! The registry: what each message is read as, and its C name.

use std::fmt;

use super::Malformed;
use crate::{
    cmsg::{CmsgId, RawCmsg},
    error::DecodeError,
    message::*,
    text::hex,
};

macro_rules! control_messages {
    ($($(#[$cfg:meta])* $variant:ident($type:ty): $($name:literal = $id:path),+;)+) => {
        /// A received control message.
        ///
        /// A view: [`ScmRights`](Self::ScmRights) shows numbers and owns none. A type may be added to it in any
        /// release; what is not known is [`Unknown`](Self::Unknown), whole.
        ///
        /// ```
        /// use ancillary::{ControlList, RawCmsg, cmsg::CmsgId, message::HopLimit, parser::{self, ControlMessage}};
        ///
        /// let list = ControlList::new((HopLimit(9), RawCmsg::new(CmsgId::new(9999, 1), b"?")))?;
        /// for message in parser::parse(list.as_bytes()) {
        ///     match message {
        ///         ControlMessage::IpTtl(ttl) => assert_eq!(ttl.0, 9),
        ///         ControlMessage::Ipv6HopLimit(hops) => assert_eq!(hops.0, 9),
        ///         ControlMessage::Unknown(raw) => assert_eq!(raw.payload(), b"?"),
        ///         other => println!("{other:?}"),
        ///     }
        /// }
        /// # Ok::<(), ancillary::EncodeError>(())
        /// ```
        #[derive(Clone, Copy, Eq, PartialEq)]
        #[non_exhaustive]
        pub enum ControlMessage<'a> {
            $(
                $(#[$cfg])*
                #[doc = concat!("See [`", stringify!($variant), "`](crate::message::", stringify!($variant), ").")]
                $variant($type),
            )+
            /// A message of a type that this crate does not know.
            Unknown(RawCmsg<'a>),
            /// A message of a known type whose payload is not one, most often cut (`MSG_CTRUNC`); or a header that
            /// makes no sense.
            Malformed(Malformed<'a>),
        }

        impl<'a> ControlMessage<'a> {
            /// Reads one message.
            #[inline]
            pub fn decode(cmsg: RawCmsg<'a>) -> Self {
                let result = match cmsg.id() {
                    $($(#[$cfg])* $($id)|+ => <$type>::decode(cmsg).map(Self::$variant),)+
                    _ => return Self::Unknown(cmsg),
                };
                match result {
                    Ok(message) => message,
                    Err(error) => Self::Malformed(Malformed { cmsg, error }),
                }
            }

            /// Prints `{NAME value}`, with the C name of `id`.
            pub(super) fn fmt_with(&self, id: CmsgId, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                match self {
                    $($(#[$cfg])* Self::$variant(value) => write!(f, "{{{id:?} {value}}}"),)+
                    Self::Unknown(cmsg) => {
                        write!(f, "{{{id:?}, ")?;
                        hex(cmsg.payload(), f)?;
                        f.write_str("}")
                    }
                    Self::Malformed(Malformed { cmsg, error }) => {
                        if matches!(error, DecodeError::Header { .. }) {
                            return write!(f, "{{malformed: {error}}}");
                        }
                        write!(f, "{{{id:?} malformed: {error}; ")?;
                        hex(cmsg.payload(), f)?;
                        f.write_str("}")
                    }
                }
            }
        }

        /// Prints `{IP_TTL 57}`, like strace; a type that stands for several messages by its own name.
        impl fmt::Debug for ControlMessage<'_> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                match self {
                    $($(#[$cfg])* Self::$variant(value) => match &[$($id),+][..] {
                        &[id] => self.fmt_with(id, f),
                        _ => write!(f, concat!("{{", stringify!($variant), " {}}}"), value),
                    },)+
                    Self::Unknown(cmsg) | Self::Malformed(Malformed { cmsg, .. }) => self.fmt_with(cmsg.id(), f),
                }
            }
        }

        /// The C name of a message.
        pub(super) fn name(id: CmsgId) -> Option<&'static str> {
            $(
                $(#[$cfg])*
                {
                    $(if id == $id {
                        return Some($name);
                    })+
                }
            )+
            None
        }
    };
}

// The table: variant, type, and the messages that it stands for, by C name.
#[cfg(linux_like)]
control_messages! {
    ScmRights(ReceivedRights<'a>): "SCM_RIGHTS" = CmsgId::RIGHTS;
    ScmPidfd(ScmPidfd): "SCM_PIDFD" = ScmPidfd::ID;
    Credentials(Credentials): "SCM_CREDENTIALS" = Credentials::ID;
    Timestamp(Timestamp):
        "SCM_TIMESTAMPNS" = Timestamp::NANOS,
        "SCM_TIMESTAMP" = Timestamp::MICROS,
        "SO_TIMESTAMPNS_NEW" = Timestamp::NANOS_NEW,
        "SO_TIMESTAMP_NEW" = Timestamp::MICROS_NEW;
    ScmTimestamping(ScmTimestamping):
        "SCM_TIMESTAMPING" = ScmTimestamping::OLD,
        "SO_TIMESTAMPING_NEW" = ScmTimestamping::NEW;
    ScmTimestampingOptStats(ScmTimestampingOptStats<'a>): "SCM_TIMESTAMPING_OPT_STATS" = ScmTimestampingOptStats::ID;
    ScmTimestampingPktInfo(ScmTimestampingPktInfo): "SCM_TIMESTAMPING_PKTINFO" = ScmTimestampingPktInfo::ID;
    ScmSecurity(ScmSecurity<'a>): "SCM_SECURITY" = ScmSecurity::ID, "SCM_SECURITY" = ScmSecurity::IP;
    SoMark(SoMark): "SO_MARK" = SoMark::ID;
    SoPriority(SoPriority): "SO_PRIORITY" = SoPriority::ID;
    SoRxqOvfl(SoRxqOvfl): "SO_RXQ_OVFL" = SoRxqOvfl::ID;
    ScmInq(ScmInq): "SCM_INQ" = ScmInq::ID;
    ScmWifiStatus(ScmWifiStatus): "SCM_WIFI_STATUS" = ScmWifiStatus::ID;
    ScmDevmemLinear(ScmDevmemLinear): "SCM_DEVMEM_LINEAR" = ScmDevmemLinear::ID;
    ScmDevmemDmabuf(ScmDevmemDmabuf): "SCM_DEVMEM_DMABUF" = ScmDevmemDmabuf::ID;
    IpTtl(IpTtl): "IP_TTL" = IpTtl::RECEIVED;
    IpTos(IpTos): "IP_TOS" = IpTos::RECEIVED;
    IpPktInfo(IpPktInfo): "IP_PKTINFO" = IpPktInfo::ID;
    IpRecvOpts(IpRecvOpts<'a>): "IP_RECVOPTS" = IpRecvOpts::ID;
    IpRetOpts(IpRetOpts<'a>): "IP_RETOPTS" = IpRetOpts::ID;
    IpOrigDstAddr(IpOrigDstAddr): "IP_ORIGDSTADDR" = IpOrigDstAddr::ID;
    IpChecksum(IpChecksum): "IP_CHECKSUM" = IpChecksum::ID;
    IpRecvFragSize(IpRecvFragSize): "IP_RECVFRAGSIZE" = IpRecvFragSize::ID;
    Ipv6HopLimit(Ipv6HopLimit):
        "IPV6_HOPLIMIT" = Ipv6HopLimit::ID,
        "IPV6_2292HOPLIMIT" = Rfc2292::<Ipv6HopLimit>::ID;
    TClass(TClass): "IPV6_TCLASS" = TClass::ID;
    Ipv6PktInfo(Ipv6PktInfo):
        "IPV6_PKTINFO" = Ipv6PktInfo::ID,
        "IPV6_2292PKTINFO" = Rfc2292::<Ipv6PktInfo>::ID;
    Ipv6FlowInfo(Ipv6FlowInfo): "IPV6_FLOWINFO" = Ipv6FlowInfo::ID;
    Ipv6HopOpts(Ipv6HopOpts<'a>):
        "IPV6_HOPOPTS" = Ipv6HopOpts::ID,
        "IPV6_2292HOPOPTS" = Rfc2292::<Ipv6HopOpts<'_>>::ID;
    Ipv6DstOpts(Ipv6DstOpts<'a>):
        "IPV6_DSTOPTS" = Ipv6DstOpts::ID,
        "IPV6_2292DSTOPTS" = Rfc2292::<Ipv6DstOpts<'_>>::ID;
    Ipv6Rthdr(Ipv6Rthdr<'a>):
        "IPV6_RTHDR" = Ipv6Rthdr::ID,
        "IPV6_2292RTHDR" = Rfc2292::<Ipv6Rthdr<'_>>::ID;
    Ipv6PathMtu(Ipv6PathMtu): "IPV6_PATHMTU" = Ipv6PathMtu::ID;
    Ipv6OrigDstAddr(Ipv6OrigDstAddr): "IPV6_ORIGDSTADDR" = Ipv6OrigDstAddr::ID;
    Ipv6RecvFragSize(Ipv6RecvFragSize): "IPV6_RECVFRAGSIZE" = Ipv6RecvFragSize::ID;
    UdpGro(UdpGro): "UDP_GRO" = UdpGro::ID;
    ExtendedError(ExtendedError):
        "IP_RECVERR" = ExtendedError::IP,
        "IPV6_RECVERR" = ExtendedError::IPV6,
        "PACKET_TX_TIMESTAMP" = ExtendedError::PACKET,
        "VSOCK_RECVERR" = ExtendedError::VSOCK,
        "SCM_CAN_RAW_ERRQUEUE" = ExtendedError::CAN_RAW,
        "SCM_J1939_ERRQUEUE" = ExtendedError::J1939;
    TcpCmInq(TcpCmInq): "TCP_CM_INQ" = TcpCmInq::ID;
    TlsRecordType(TlsRecordType): "TLS_GET_RECORD_TYPE" = TlsRecordType::RECEIVED;
    SctpSndRcv(SctpSndRcv): "SCTP_SNDRCV" = SctpSndRcv::ID;
    SctpRcvInfo(SctpRcvInfo): "SCTP_RCVINFO" = SctpRcvInfo::ID;
    SctpNxtInfo(SctpNxtInfo): "SCTP_NXTINFO" = SctpNxtInfo::ID;
    J1939DestAddr(J1939DestAddr): "SCM_J1939_DEST_ADDR" = J1939DestAddr::ID;
    J1939DestName(J1939DestName): "SCM_J1939_DEST_NAME" = J1939DestName::ID;
    J1939Prio(J1939Prio): "SCM_J1939_PRIO" = J1939Prio::ID;
    PacketAuxdata(PacketAuxdata): "PACKET_AUXDATA" = PacketAuxdata::ID;
    NetlinkPktInfo(NetlinkPktInfo): "NETLINK_PKTINFO" = NetlinkPktInfo::ID;
    NetlinkListenAllNsid(NetlinkListenAllNsid): "NETLINK_LISTEN_ALL_NSID" = NetlinkListenAllNsid::ID;
}

#[cfg(target_os = "freebsd")]
control_messages! {
    ScmRights(ReceivedRights<'a>): "SCM_RIGHTS" = CmsgId::RIGHTS;
    Credentials(Credentials): "SCM_CREDS2" = Credentials::PERSISTENT, "SCM_CREDS" = Credentials::ID;
    Timestamp(Timestamp):
        "SCM_REALTIME" = Timestamp::REALTIME,
        "SCM_TIMESTAMP" = Timestamp::MICROS,
        "SCM_BINTIME" = Timestamp::BINTIME;
    ScmMonotonic(ScmMonotonic): "SCM_MONOTONIC" = ScmMonotonic::ID;
    IpTtl(IpTtl): "IP_RECVTTL" = IpTtl::RECEIVED;
    IpTos(IpTos): "IP_RECVTOS" = IpTos::RECEIVED;
    IpPktInfo(IpPktInfo): "IP_RECVDSTADDR" = IpPktInfo::ID;
    IpRecvIf(IpRecvIf): "IP_RECVIF" = IpRecvIf::ID;
    Ipv6HopLimit(Ipv6HopLimit): "IPV6_HOPLIMIT" = Ipv6HopLimit::ID;
    TClass(TClass): "IPV6_TCLASS" = TClass::ID;
    Ipv6PktInfo(Ipv6PktInfo): "IPV6_PKTINFO" = Ipv6PktInfo::ID;
}

#[cfg(not(any(linux_like, target_os = "freebsd")))]
control_messages! {
    ScmRights(ReceivedRights<'a>): "SCM_RIGHTS" = CmsgId::RIGHTS;
    #[cfg(any(target_os = "dragonfly", target_os = "netbsd"))]
    Credentials(Credentials): "SCM_CREDS" = Credentials::ID;
    Timestamp(Timestamp): "SCM_TIMESTAMP" = Timestamp::MICROS;
    IpTtl(IpTtl): "IP_RECVTTL" = IpTtl::RECEIVED;
    #[cfg(any(apple, target_os = "dragonfly"))]
    IpTos(IpTos): "IP_RECVTOS" = IpTos::RECEIVED;
    #[cfg(not(any(target_os = "dragonfly", target_os = "openbsd")))]
    IpPktInfo(IpPktInfo): "IP_PKTINFO" = IpPktInfo::ID;
    #[cfg(any(target_os = "dragonfly", target_os = "openbsd"))]
    IpPktInfo(IpPktInfo): "IP_RECVDSTADDR" = IpPktInfo::ID;
    IpRecvIf(IpRecvIf): "IP_RECVIF" = IpRecvIf::ID;
    Ipv6HopLimit(Ipv6HopLimit): "IPV6_HOPLIMIT" = Ipv6HopLimit::ID;
    TClass(TClass): "IPV6_TCLASS" = TClass::ID;
    Ipv6PktInfo(Ipv6PktInfo): "IPV6_PKTINFO" = Ipv6PktInfo::ID;
}

/// What is only sent, by C name. A stamp is asked for under the number it comes back under, in four bytes.
#[cfg(linux_like)]
pub(super) fn sent_name(id: CmsgId, len: usize) -> Option<&'static str> {
    let sent = [
        (UdpSegment::ID, "UDP_SEGMENT"),
        (ScmTxTime::ID, "SCM_TXTIME"),
        (ScmTsOptId::ID, "SCM_TS_OPT_ID"),
        (IpProtocol::ID, "IP_PROTOCOL"),
        (Ipv6DontFrag::ID, "IPV6_DONTFRAG"),
        (Ipv6RthdrDstOpts::ID, "IPV6_RTHDRDSTOPTS"),
        (TlsRecordType::SENT, "TLS_SET_RECORD_TYPE"),
        (AlgSetIv::ID, "ALG_SET_IV"),
        (AlgSetOp::ID, "ALG_SET_OP"),
        (AlgSetAeadAssocLen::ID, "ALG_SET_AEAD_ASSOCLEN"),
        (SctpInit::ID, "SCTP_INIT"),
        (SctpSndInfo::ID, "SCTP_SNDINFO"),
        (SctpPrInfo::ID, "SCTP_PRINFO"),
        (SctpAuthInfo::ID, "SCTP_AUTHINFO"),
        (SctpDstAddrV4::ID, "SCTP_DSTADDRV4"),
        (SctpDstAddrV6::ID, "SCTP_DSTADDRV6"),
    ];
    if id == SoTimestamping::ID && len == 4 {
        return Some("SO_TIMESTAMPING");
    }
    sent.iter().find(|(sent, _)| *sent == id).map(|(_, name)| *name)
}

#[cfg(not(linux_like))]
pub(super) fn sent_name(_: CmsgId, _: usize) -> Option<&'static str> {
    None
}
