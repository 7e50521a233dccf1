//! What Linux alone has, a file or a folder for each family.

mod alg;
mod can;
mod error_queue;
mod netlink;
mod packet;
mod pidfd;
mod sctp;
mod socket;
mod tcp;
mod tls;
mod udp;

pub use alg::{AlgSetAeadAssocLen, AlgSetIv, AlgSetOp};
pub use can::{J1939DestAddr, J1939DestName, J1939Prio};
pub use error_queue::{ExtendedError, Meaning, Origin, TimestampPoint, ZeroCopied};
pub use netlink::{NetlinkListenAllNsid, NetlinkPktInfo};
pub use packet::{PacketAuxdata, TpStatus};
pub use pidfd::ScmPidfd;
pub use sctp::{
    SctpAuthInfo, SctpDstAddrV4, SctpDstAddrV6, SctpFlags, SctpInit, SctpNxtInfo, SctpPrInfo, SctpPrPolicy,
    SctpRcvInfo, SctpSndInfo, SctpSndRcv,
};
pub use socket::{
    Credentials, DmabufCmsg, ScmDevmemDmabuf, ScmDevmemLinear, ScmInq, ScmSecurity, ScmTxTime, ScmWifiStatus, SoMark,
    SoPriority, SoRxqOvfl, SockTxTime, TxTimeFlags,
};
pub use tcp::TcpCmInq;
pub use tls::TlsRecordType;
pub use udp::{UdpGro, UdpSegment};
