//! The library on real sockets: gather, typed control over IPv4 and IPv6, descriptors, truncation, the enum.

use std::{
    fs::File,
    io::{self, Read, Write},
    net::{Ipv4Addr, SocketAddr, UdpSocket},
    os::unix::net::UnixStream,
};

use ancillary::{
    ControlBuf, ControlVec, MsgHdr, SocketExt,
    message::{Ecn, HopLimit, PktInfo, ScmRights, TrafficClass},
    parser::ControlMessage,
};

fn main() -> io::Result<()> {
    type Meta = (PktInfo, HopLimit, TrafficClass);

    println!("1. One dual-stack UDP server. It declares what it wants to know, once:");
    println!("   type Meta = (PktInfo, HopLimit, TrafficClass);");
    let server = UdpSocket::bind("[::]:0")?;
    server.enable::<Meta>()?;
    let port = server.local_addr()?.port();
    let (mut data, mut control) = ([0; 1500], ControlBuf::<Meta>::new());

    for (number, client, to) in [
        ("2", "127.0.0.1:0", SocketAddr::from(([127, 0, 0, 7], port))),
        ("2b", "[::1]:0", format!("[::1]:{port}").parse().unwrap()),
    ] {
        println!("\n{number}. {to} is asked, with two buffers gathered, hop limit 9 and DSCP 46 + ECT(0):");
        let client = match UdpSocket::bind(client) {
            Ok(client) => client,
            Err(error) => {
                println!("   left out: no IPv6 here ({error})");
                continue;
            }
        };
        let mut question = MsgHdr::new();
        question.to(to).data(b"who are ").data(b"you?");
        question.control((HopLimit(9), TrafficClass::new(46, Ecn::Ect0)));
        println!("   sends    {question:?}");
        question.send(&client)?;

        let message = server.recv_msg(&mut data, &mut control)?;
        println!("   receives {message:?}");
        let (info, hops, class) = message.extract();
        let info = info.expect("enabled above");
        println!("   asked at {}, {} hops left, ECN {:?}", info.addr(), hops.unwrap().0, class.unwrap().ecn());

        MsgHdr::new().to(message.peer()).data(b"this one").control(info.reply()).send(&server)?;
        let (_, from) = client.recv_from(&mut [0; 16])?;
        println!("   the answer comes from {from}, the address that was asked");
        assert_eq!(from.ip(), to.ip());
    }

    println!("\n3. Descriptors: a pipe's read end and a file travel with four bytes of data.");
    let (a, b) = UnixStream::pair()?;
    let (reader, writer) = nix::unistd::pipe()?;
    let (mut reader, mut writer) = (File::from(reader), File::from(writer));
    let file = File::open("/dev/null")?;
    use std::os::fd::AsFd;
    let mut parcel = MsgHdr::new();
    parcel.data(b"take").control(ScmRights::new([reader.as_fd(), file.as_fd()]));
    println!("   sends    {parcel:?}");
    parcel.send(&a)?;
    writer.write_all(b"half and half")?;
    drop(writer);

    let mut control = ControlVec::<()>::with_capacity(256);
    let mut message = b.recv_msg(&mut data, &mut control)?;
    println!("   receives {message:?}");
    println!("   (the numbers are this process's own, new at the receiver)");
    let [copy, _null] = message.take_fds_exact::<2>()?;
    let mut half = [0; 5];
    reader.read_exact(&mut half)?;
    let mut rest = String::new();
    File::from(copy).read_to_string(&mut rest)?;
    println!("   the original reads {:?}, the copy reads on: {rest:?}", String::from_utf8_lossy(&half));

    println!("\n4. Truncation is information. A buffer of 4 bytes, room for one control message of three:");
    let client = UdpSocket::bind("127.0.0.1:0")?;
    client.send_to(b"too long", (Ipv4Addr::LOCALHOST, port))?;
    let mut small = ControlVec::<Meta>::with_capacity(44);
    let message = server.recv_msg(&mut data[..4], &mut small)?;
    println!("   receives {message:?}");
    println!("   require_complete(): {}", message.require_complete().unwrap_err());

    println!("\n5. The enum, for who wants to see all of it:");
    for message in message.messages() {
        match message {
            ControlMessage::Ipv6PktInfo(info) => {
                println!("   packet info: {} on interface {}", info.addr, info.ifindex)
            }
            ControlMessage::Malformed(cut) => println!("   cut: {}", cut.error),
            ControlMessage::Unknown(raw) => println!("   unknown: {raw:?}"),
            other => println!("   {other:?}"),
        }
    }
    Ok(())
}
