//! Two messages as one writes them that the library lacks, each in a few lines: `UDP_SEGMENT` (sent) and `UDP_GRO`
//! (received). These two it has, too.
//!
//! One send of 25 bytes leaves as four datagrams; a receiver with `UDP_GRO` gets them merged, and is told their size.

use std::{io, net::UdpSocket, os::fd::BorrowedFd};

use ancillary::{
    ControlBuf, ControlOut, DecodeError, EncodeError, MsgHdr, RawCmsg, RecvControl, SendControl, SocketExt,
    cmsg::CmsgId, set_option,
};

/// Cut the data into datagrams of this size (level 17, type 103; Linux 4.18): a `u16`.
struct UdpSegment(u16);

impl SendControl<'_> for UdpSegment {
    fn encode(&self, out: &mut ControlOut<'_, '_>) -> Result<(), EncodeError> {
        out.push(CmsgId::new(17, 103), &self.0.to_ne_bytes())
    }
}

/// The size of the datagrams that were merged into one (level 17, type 104; Linux 5.0): an `int`.
#[derive(Debug, PartialEq)]
struct UdpGro(i32);

#[rustfmt::skip]
impl RecvControl for UdpGro {
    type Value<'a> = Self;
    const PAYLOAD_LEN: usize = 4;
    fn matches(id: CmsgId) -> bool { id == CmsgId::new(17, 104) }
    fn decode(cmsg: RawCmsg<'_>) -> Result<Self, DecodeError> { cmsg.int().map(Self) }
    fn set_enabled(socket: BorrowedFd<'_>, on: bool) -> io::Result<()> { set_option(socket, 17, 104, on.into()) }
}

fn main() -> io::Result<()> {
    if !cfg!(target_os = "linux") {
        println!("UDP_SEGMENT and UDP_GRO are Linux's");
        return Ok(());
    }
    let (sender, receiver) = (UdpSocket::bind("127.0.0.1:0")?, UdpSocket::bind("127.0.0.1:0")?);
    let to = receiver.local_addr()?;
    let (mut data, mut control) = ([0; 1500], ControlBuf::<UdpGro>::new());

    for (merge, lens) in [(false, &[7, 7, 7, 4][..]), (true, &[25])] {
        if merge {
            receiver.enable::<UdpGro>()?;
        }
        MsgHdr::new().to(to).data(b"seven..seven..seven..four").control(UdpSegment(7)).send(&sender)?;
        for &len in lens {
            let message = receiver.recv_msg(&mut data, &mut control)?;
            println!("{} bytes, {:?}; as the library prints it: {message:?}", message.len(), message.extract());
            assert_eq!((message.len(), message.extract()), (len, merge.then_some(UdpGro(7))));
        }
    }
    Ok(())
}
