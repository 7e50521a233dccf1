//! Writes what this kernel delivers to `fuzz/seeds`: control data of real sockets, for the fuzzer to start from.
//!
//! `cargo run --manifest-path fuzz/Cargo.toml --example capture`

use std::{
    error::Error,
    fs,
    io::Write,
    net::UdpSocket,
    os::{
        fd::AsFd,
        unix::net::{UnixDatagram, UnixStream},
    },
    path::Path,
};

use ancillary::{
    ControlVec, MsgHdr, MsgHdrMut, RecvFlags, SendControl, SocketExt,
    message::{
        Credentials, FragSize, HopLimit, IpRecvOpts, IpRetOpts, Ipv6DstOpts, Ipv6FlowInfo, Ipv6HopOpts, Ipv6Rthdr,
        OrigDst, PktInfo, ScmPidfd, ScmRights, SoMark, SoPriority, SoRxqOvfl, Timestamp, TimestampingFlags,
        TrafficClass, UdpGro, UdpSegment,
    },
    rfc3542::{OptionsBuilder, RoutingBuilder, RoutingType},
    set_option,
};
use nix::libc;

type Any = Result<(), Box<dyn Error>>;

fn seeds(target: &str) -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("seeds").join(target)
}

fn write(target: &str, name: &str, bytes: &[u8]) -> Any {
    fs::create_dir_all(seeds(target))?;
    fs::write(seeds(target).join(name), bytes)?;
    println!("seeds/{target}/{name}: {} bytes", bytes.len());
    Ok(())
}

/// The control data of the next message.
fn keep(name: &str, socket: impl AsFd, flags: RecvFlags) -> Any {
    let (mut data, mut control) = ([0; 4096], ControlVec::<()>::with_capacity(4096));
    let message = MsgHdrMut::new().data(&mut data).flags(flags).recv(socket, &mut control)?;
    println!("{message:?}");
    write("parse", name, message.control_bytes())
}

fn internet(v6: bool) -> Any {
    let addr = if v6 { "[::1]:0" } else { "127.0.0.1:0" };
    let (a, b) = (UdpSocket::bind(addr)?, UdpSocket::bind(addr)?);
    a.connect(b.local_addr()?)?;
    let _ = b.enable::<(Timestamp, PktInfo, HopLimit, TrafficClass, OrigDst, FragSize, SoRxqOvfl)>();
    let _ = b.enable::<(SoMark, SoPriority)>();
    let family = if v6 { "v6" } else { "v4" };
    MsgHdr::new().data(b"one").control((HopLimit(9), TrafficClass(0xb8))).send(&a)?;
    keep(&format!("{family}-all"), &b, RecvFlags::empty())?;

    let _ = b.enable::<UdpGro>();
    MsgHdr::new().data(&[7; 21]).control(UdpSegment(7)).send(&a)?;
    keep(&format!("{family}-gro"), &b, RecvFlags::empty())?;

    b.set_nonblocking(true)?;
    let more = |name: &str, control: &dyn for<'fd> SendControl<'fd>| -> Any {
        match MsgHdr::new().data(b"options").control(control).send(&a) {
            Ok(_) => keep(&format!("{family}-{name}"), &b, RecvFlags::empty()),
            Err(error) => {
                println!("without {name}: {error}");
                Ok(())
            }
        }
    };
    if v6 {
        let _ = b.enable::<(Ipv6HopOpts<'_>, Ipv6DstOpts<'_>, Ipv6Rthdr<'_>, Ipv6FlowInfo)>();
        let (mut options, mut route) = ([0; 64], [0; 64]);
        let mut builder = OptionsBuilder::new(&mut options);
        builder.append(0x1e, (4, 2), &[1, 2, 3, 4]).append_values(0x3e, 4, 7u32);
        let options = builder.finish()?.to_vec();
        more("options", &(Ipv6HopOpts::new(&options)?, Ipv6DstOpts::new(&options)?))?;
        let mut builder = RoutingBuilder::new(&mut route, RoutingType::HomeAddress);
        builder.add("::1".parse()?);
        more("route", &Ipv6Rthdr::new(builder.finish()?)?)?;
        more("flow", &Ipv6FlowInfo::new(0, 0x12345)?)?;
    } else {
        let _ = b.enable::<(IpRecvOpts<'_>, IpRetOpts<'_>)>();
        // A record of the route with room for two, and a timestamp.
        more("options", &IpRetOpts::new(&[7, 11, 4, 0, 0, 0, 0, 0, 0, 0, 0, 1, 68, 8, 5, 0, 0, 0, 0, 0])?)?;
    }

    // Errors and stamps of what is sent.
    let _ = set_option(&a, if v6 { 41 } else { 0 }, if v6 { 25 } else { 11 }, 1);
    let stamps = TimestampingFlags::TX_SOFTWARE | TimestampingFlags::SOFTWARE;
    let _ = ancillary::message::SoTimestamping(stamps).set(&a);
    a.send(b"stamp")?;
    keep(&format!("{family}-stamped"), &a, RecvFlags::ERRQUEUE)?;
    drop(b);
    a.send(b"refused")?;
    let _ = keep(&format!("{family}-stamped-again"), &a, RecvFlags::ERRQUEUE);
    let _ = keep(&format!("{family}-refused"), &a, RecvFlags::ERRQUEUE);
    Ok(())
}

fn unix() -> Any {
    let (a, mut b) = UnixStream::pair()?;
    a.enable::<Credentials>()?;
    let _ = a.enable::<ScmPidfd>();
    let _ = set_option(&a, libc::SOL_SOCKET, 84, 1); // SO_INQ
    let fds = [b.as_fd(), a.as_fd(), b.as_fd()];
    MsgHdr::new().data(b"three").control(ScmRights::new(fds)).send(&b)?;
    keep("unix-all", &a, RecvFlags::empty())?;
    b.write_all(b"plain")?;
    keep("unix-plain", &a, RecvFlags::empty())?;

    let (a, b) = UnixDatagram::pair()?;
    MsgHdr::new().data(b"two").control(ScmRights::new([&a, &b])).send(&a)?;
    let (mut data, mut control) = ([0; 8], ControlVec::<()>::with_capacity(21));
    let message = MsgHdrMut::new().data(&mut data).recv(&b, &mut control)?;
    write("parse", "unix-cut", message.control_bytes())
}

fn main() -> Any {
    unix()?;
    internet(false)?;
    if let Err(error) = internet(true) {
        println!("without IPv6: {error}");
    }
    // The other targets read other things.
    let mut headers = Vec::new();
    let mut builder = OptionsBuilder::new(&mut []);
    builder.append(5, 2, &[0, 0]);
    headers.resize(builder.len().next_multiple_of(8), 0);
    let mut builder = OptionsBuilder::new(&mut headers);
    builder.append(5, 2, &[0, 0]);
    write("headers", "router-alert", builder.finish()?)?;
    for (name, text) in [
        ("zone", "fe80::1%lo"),
        ("zone-port", "[fe80::1%1]:80"),
        ("plain", "2001:db8::1"),
        ("mapped", "[::ffff:192.0.2.7]:65535"),
    ] {
        write("addresses", name, text.as_bytes())?;
    }
    let (udp, unix) = (UdpSocket::bind("127.0.0.1:0")?, ancillary::SockAddr::unix("/run/socket")?);
    write("addresses", "inet", ancillary::SockAddr::from(udp.local_addr()?).as_bytes())?;
    write("addresses", "unix", unix.as_bytes())
}
