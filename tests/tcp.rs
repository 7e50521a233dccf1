//! How much is left to be read, over real streams: TCP and MPTCP.

#![cfg(target_os = "linux")]

mod common;

use std::{
    io::{self, Write},
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream, UdpSocket},
    time::Instant,
};

use ancillary::{
    ControlBuf, ControlVec, FamilyError, MsgFlags, MsgHdrMut, RecvFlags, SocketExt, cmsg,
    message::{TcpCmInq, Timestamp},
};
use common::{TIMEOUT, cause, pairs::stream, skipped};
use nix::libc;
use socket2::{Domain, Protocol, Socket, Type};

/// A connected pair; of MPTCP, where this kernel has it.
fn pair(protocol: Protocol) -> io::Result<(TcpStream, TcpStream)> {
    let socket = || Socket::new(Domain::IPV4, Type::STREAM, Some(protocol));
    let (listener, client) = (socket()?, socket()?);
    listener.bind(&SocketAddr::from((Ipv4Addr::LOCALHOST, 0)).into())?;
    listener.listen(1)?;
    let listener = TcpListener::from(listener);
    client.connect(&listener.local_addr()?.into())?;
    let client = TcpStream::from(client);
    let (server, _) = listener.accept()?;
    for end in [&client, &server] {
        end.set_read_timeout(TIMEOUT)?;
        end.set_write_timeout(TIMEOUT)?;
        end.set_nodelay(true)?;
    }
    Ok((client, server))
}

/// Both protocols, as far as they are here.
fn pairs(test: &str) -> Vec<(TcpStream, TcpStream)> {
    let mut pairs = vec![pair(Protocol::TCP).unwrap()];
    match pair(Protocol::MPTCP) {
        Ok(pair) => pairs.push(pair),
        Err(error) => skipped(format_args!("SKIPPED {test}, its second half: no MPTCP here ({error})")),
    }
    pairs
}

/// Waits until as many bytes have arrived, or until the end behind those that have.
fn arrived(socket: &TcpStream, len: usize) -> usize {
    let (mut room, mut control) = (vec![0; len], ControlBuf::<()>::new());
    let flags = RecvFlags::PEEK | RecvFlags::WAITALL;
    MsgHdrMut::new().data(&mut room).flags(flags).recv(socket, &mut control).unwrap().len()
}

/// What is left after reading `len` bytes.
fn left_after(socket: &TcpStream, len: usize) -> Option<TcpCmInq> {
    let (mut data, mut control) = (vec![0; len], ControlBuf::<TcpCmInq>::new());
    let message = socket.recv_msg(&mut data, &mut control).unwrap();
    message.require_complete().unwrap();
    assert_eq!(message.len(), len);
    message.extract()
}

#[test]
fn every_read_says_how_much_is_left() {
    for (mut sender, receiver) in pairs("every_read_says_how_much_is_left") {
        sender.write_all(&[7; 1000]).unwrap();
        assert_eq!(arrived(&receiver, 1000), 1000);
        assert_eq!(left_after(&receiver, 100), None, "nobody has asked");
        receiver.enable::<TcpCmInq>().unwrap();
        assert_eq!(left_after(&receiver, 200), Some(TcpCmInq(700)));
        assert_eq!(left_after(&receiver, 699), Some(TcpCmInq(1)));
        assert_eq!(left_after(&receiver, 1), Some(TcpCmInq(0)));
        sender.write_all(&[7; 30]).unwrap();
        assert_eq!(arrived(&receiver, 30), 30);
        assert_eq!(left_after(&receiver, 10), Some(TcpCmInq(20)));
        receiver.disable::<TcpCmInq>().unwrap();
        assert_eq!(left_after(&receiver, 10), None);
    }
}

#[test]
fn a_peek_counts_what_it_leaves() {
    let (mut sender, receiver) = pair(Protocol::TCP).unwrap();
    receiver.enable::<TcpCmInq>().unwrap();
    sender.write_all(&[7; 50]).unwrap();
    assert_eq!(arrived(&receiver, 50), 50);
    let (mut data, mut control) = ([0; 20], ControlBuf::<TcpCmInq>::new());
    let message = MsgHdrMut::new().data(&mut data).flags(RecvFlags::PEEK).recv(&receiver, &mut control).unwrap();
    assert_eq!((message.len(), message.extract()), (20, Some(TcpCmInq(50))));
    assert_eq!(left_after(&receiver, 20), Some(TcpCmInq(30)));
}

#[test]
fn the_end_counts_as_one_more_byte() {
    let (mut sender, receiver) = pair(Protocol::TCP).unwrap();
    receiver.enable::<TcpCmInq>().unwrap();
    sender.write_all(b"last").unwrap();
    drop(sender);
    assert_eq!(arrived(&receiver, 5), 4, "and the end");
    assert_eq!(left_after(&receiver, 1), Some(TcpCmInq(4)), "three bytes and the end");
    assert_eq!(left_after(&receiver, 3), Some(TcpCmInq(1)), "nothing but the end");
    let (mut data, mut control) = ([0; 8], ControlBuf::<TcpCmInq>::new());
    let message = receiver.recv_msg(&mut data, &mut control).unwrap();
    assert!(message.is_eof());
    assert_eq!((message.extract(), message.control_bytes()), (None, &[][..]), "the end carries nothing");
}

/// MX03
#[test]
fn the_message_is_the_last_and_goes_first_when_there_is_no_room() {
    let (mut sender, receiver) = pair(Protocol::TCP).unwrap();
    receiver.enable::<(Timestamp, TcpCmInq)>().unwrap();
    // Stamps are switched on behind the call: until the first one comes.
    let mut control = ControlVec::<(Timestamp, TcpCmInq)>::with_capacity(256);
    let deadline = Instant::now() + TIMEOUT.unwrap();
    loop {
        assert!(Instant::now() < deadline, "no timestamps");
        sender.write_all(b"12").unwrap();
        assert_eq!(arrived(&receiver, 2), 2);
        let mut data = [0; 1];
        let message = receiver.recv_msg(&mut data, &mut control).unwrap();
        assert_eq!(message.extract().1, Some(TcpCmInq(1)));
        if message.extract().0.is_some() {
            break;
        }
        left_after(&receiver, 1);
    }
    let mut small = ControlVec::<(Timestamp, TcpCmInq)>::with_capacity(cmsg::space(16).unwrap());
    let mut data = [0; 1];
    let message = receiver.recv_msg(&mut data, &mut small).unwrap();
    let (stamp, left) = message.extract();
    assert_eq!((stamp.is_some(), left), (true, None));
    assert!(message.flags().contains(MsgFlags::CTRUNC));
}

#[test]
fn sockets_that_have_no_queue_of_bytes_refuse_it() {
    let error = stream().0.enable::<TcpCmInq>().unwrap_err();
    assert_eq!(cause(&error), Some(FamilyError::new("socket", "AF_INET or AF_INET6", libc::AF_UNIX)));
    let udp = UdpSocket::bind("127.0.0.1:0").unwrap();
    assert_eq!(udp.enable::<TcpCmInq>().unwrap_err().raw_os_error(), Some(libc::ENOPROTOOPT));
}
