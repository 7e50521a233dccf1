//! AF_VSOCK, whose addresses are given as bytes.

#![cfg(target_os = "linux")]

mod common;

use std::io;

use ancillary::{ControlBuf, MsgHdr, SockAddr, SocketExt};
use common::{TIMEOUT, raw, skipped};
use nix::libc;
use socket2::{Domain, Socket, Type};

/// `VMADDR_CID_LOCAL`: this machine, through the module vsock_loopback.
const LOCAL: u32 = 1;

/// `struct sockaddr_vm`
fn address(port: u32) -> SockAddr {
    let mut bytes = [0; 16];
    bytes[..2].copy_from_slice(&(libc::AF_VSOCK as u16).to_ne_bytes());
    bytes[4..8].copy_from_slice(&port.to_ne_bytes());
    bytes[8..12].copy_from_slice(&LOCAL.to_ne_bytes());
    SockAddr::from_bytes(&bytes).unwrap()
}

fn open(kind: Type) -> io::Result<Socket> {
    let socket = Socket::new(Domain::VSOCK, kind, None)?;
    socket.set_read_timeout(TIMEOUT)?;
    socket.set_write_timeout(TIMEOUT)?;
    Ok(socket)
}

/// Who sends, who receives, and where he listens; nothing where this kernel has no vsock to itself.
fn pair(test: &str, kind: Type) -> Option<(Socket, Socket, SockAddr)> {
    let connect = || {
        let (listener, sender) = (open(kind)?, open(kind)?);
        raw::bind(&listener, &address(libc::VMADDR_PORT_ANY))?;
        listener.listen(1)?;
        let name = raw::own_name(&listener)?;
        raw::connect(&sender, &name)?;
        Ok((sender, Socket::from(raw::accept(&listener)?), name))
    };
    match connect() {
        Ok((sender, receiver, name)) => {
            receiver.set_read_timeout(TIMEOUT).unwrap();
            Some((sender, receiver, name))
        }
        Err::<_, io::Error>(error) => {
            skipped(format_args!("SKIPPED {test}: no vsock to this machine (module vsock_loopback: {error})"));
            None
        }
    }
}

fn errno(result: io::Result<usize>) -> Option<i32> {
    result.unwrap_err().raw_os_error()
}

#[test]
fn a_byte_arrives_at_the_address_that_was_given_as_bytes() {
    for kind in [Type::STREAM, Type::SEQPACKET] {
        let name = "a_byte_arrives_at_the_address_that_was_given_as_bytes";
        let Some((sender, receiver, to)) = pair(name, kind) else { return };
        let port = u32::from_ne_bytes(to.as_bytes()[4..8].try_into().unwrap());
        assert_eq!((to, to.family()), (address(port), libc::AF_VSOCK));
        assert_eq!(MsgHdr::new().data(b"v").send(&sender).unwrap(), 1);
        let (mut data, mut control) = ([0; 8], ControlBuf::<()>::new());
        let message = receiver.recv_msg(&mut data, &mut control).unwrap();
        assert_eq!((message.data(), message.control_bytes(), message.is_eof()), (&b"v"[..], &[][..], false));
        assert_eq!(message.peer(), None, "a connection does not say whose");
    }
}

#[test]
fn a_connected_socket_takes_no_other_destination() {
    let name = "a_connected_socket_takes_no_other_destination";
    let Some((sender, _receiver, to)) = pair(name, Type::STREAM) else { return };
    assert_eq!(errno(MsgHdr::new().to(to).data(b"v").send(&sender)), Some(libc::EISCONN));
    let unconnected = open(Type::STREAM).unwrap();
    assert_eq!(errno(MsgHdr::new().to(to).data(b"v").send(&unconnected)), Some(libc::EOPNOTSUPP));
}

#[test]
fn the_end_of_a_connection_is_an_end() {
    let Some((sender, receiver, _)) = pair("the_end_of_a_connection_is_an_end", Type::STREAM) else { return };
    drop(sender);
    let (mut data, mut control) = ([0; 8], ControlBuf::<()>::new());
    let message = receiver.recv_msg(&mut data, &mut control).unwrap();
    assert_eq!((message.len(), message.is_eof()), (0, true));
}
