//! What a clock protocol (PTP) asks of a network card, and what the kernel answers where the card has no clock (Linux).
//!
//! `hardware_stamps` asks over loopback; `hardware_stamps INTERFACE ADDRESS:PORT` sends over an interface to somebody who
//! answers (`udp_server` does). It asks for stamps of the card and of the system, both ways, and prints for each which
//! it got. A card that has a clock also has to be told to use it (`SIOCSHWTSTAMP`: `hwstamp_ctl -i INTERFACE -t 1 -r 1`).
//!
//! The flags are taken whatever the card can: it is in the stamps that the answer lies. So a program asks for both, and
//! looks which it has: [`ScmTimestamping`] says each as an `Option`.

#[cfg(target_os = "linux")]
fn main() -> Result<(), Box<dyn std::error::Error>> {
    linux::main()
}

#[cfg(not(target_os = "linux"))]
fn main() {
    println!("SO_TIMESTAMPING is Linux's");
}

#[cfg(target_os = "linux")]
mod linux {
    use std::{
        error::Error,
        fmt, fs, io,
        net::{SocketAddr, UdpSocket},
        time::{Duration, Instant},
    };

    use ancillary::{
        ControlBuf, MsgHdr, SocketExt, interface,
        message::{
            ExtendedError, Meaning, ScmTimestamping, ScmTimestampingPktInfo, SoTimestamping, Timestamp,
            TimestampingFlags,
        },
    };
    use socket2::SockRef;

    const WAIT: Duration = Duration::from_secs(1);
    const PATIENCE: Duration = Duration::from_secs(10);

    /// Whose stamp a packet has.
    #[derive(Debug)]
    enum Stamp {
        Hardware(Timestamp),
        /// The card has no clock, or was not told to use it.
        Software(Timestamp),
        Missing,
    }

    impl From<Option<ScmTimestamping>> for Stamp {
        fn from(stamps: Option<ScmTimestamping>) -> Self {
            match stamps {
                Some(ScmTimestamping { hardware: Some(stamp), .. }) => Self::Hardware(stamp),
                Some(ScmTimestamping { software: Some(stamp), .. }) => Self::Software(stamp),
                _ => Self::Missing,
            }
        }
    }

    impl fmt::Display for Stamp {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            match self {
                Self::Hardware(stamp) => write!(f, "hardware {stamp}"),
                Self::Software(stamp) => write!(f, "software {stamp}, no hardware"),
                Self::Missing => f.write_str("no stamp"),
            }
        }
    }

    /// The card that has the clock, whose it is behind a bond or a bridge.
    fn card(info: Option<ScmTimestampingPktInfo>) -> String {
        match info {
            Some(info) => interface::name(info.if_index).unwrap_or_else(|error| error.to_string()),
            None => "no card".to_owned(),
        }
    }

    /// The stamps of the datagram that has just been sent; one that is missing, if the driver makes none.
    fn sent(socket: &UdpSocket) -> io::Result<Vec<Stamp>> {
        let (queue, mut stamps) = (socket.error_queue()?, Vec::new());
        let mut control = ControlBuf::<(ExtendedError, ScmTimestamping)>::new();
        queue.drain_for(WAIT, &mut [], &mut control, |entry| {
            if let Meaning::Sent { .. } = entry.error().meaning() {
                stamps.push(entry.get::<ScmTimestamping>().into());
            }
        })?;
        if stamps.is_empty() {
            stamps.push(Stamp::Missing);
        }
        Ok(stamps)
    }

    /// Length, stamp and card of an answer, if there is one.
    fn received(socket: &UdpSocket) -> io::Result<Option<(usize, Stamp, String)>> {
        let (mut data, mut control) = ([0; 64], ControlBuf::<(ScmTimestamping, ScmTimestampingPktInfo)>::new());
        match socket.recv_msg(&mut data, &mut control) {
            Ok(message) => {
                let (stamps, info) = message.extract();
                Ok(Some((message.len(), stamps.into(), card(info))))
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(None),
            Err(error) => Err(error),
        }
    }

    pub(super) fn main() -> Result<(), Box<dyn Error>> {
        let arguments: Vec<_> = std::env::args().skip(1).collect();
        let (socket, to) = match arguments.as_slice() {
            [] => {
                let socket = UdpSocket::bind("127.0.0.1:0")?;
                let to = socket.local_addr()?;
                (socket, to)
            }
            [interface, to] => {
                let to: SocketAddr = to.parse()?;
                let socket = UdpSocket::bind(if to.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" })?;
                SockRef::from(&socket).bind_device(Some(interface.as_bytes()))?;
                (socket, to)
            }
            _ => return Err("usage: hardware_stamps [INTERFACE ADDRESS:PORT]".into()),
        };
        socket.set_read_timeout(Some(WAIT))?;

        let clocks = fs::read_dir("/sys/class/ptp").into_iter().flatten().flatten();
        let clocks: Vec<_> = clocks.map(|clock| clock.file_name().to_string_lossy().into_owned()).collect();
        println!("clocks of this machine: {}", if clocks.is_empty() { "none".to_owned() } else { clocks.join(" ") });

        use TimestampingFlags as Flags;
        let make = Flags::TX_HARDWARE | Flags::RX_HARDWARE | Flags::TX_SOFTWARE | Flags::RX_SOFTWARE;
        let report = Flags::RAW_HARDWARE | Flags::SOFTWARE;
        // Number them; a stamp of the system even if the card makes one; which card it was; without the packet.
        let how = Flags::OPT_ID | Flags::OPT_TX_SWHW | Flags::OPT_PKTINFO | Flags::OPT_TSONLY;
        SoTimestamping(make | report | how).set(&socket)?;
        println!("asked for: {:?}", SoTimestamping::get(&socket)?.0);

        // The kernel switches stamping on in its own time: what comes first may have none.
        let start = Instant::now();
        let (sent, received) = loop {
            MsgHdr::new().to(to).data(b"what time is it?").send(&socket)?;
            let (sent, received) = (sent(&socket)?, received(&socket)?);
            let missing = received.as_ref().is_some_and(|(_, stamp, _)| matches!(stamp, Stamp::Missing));
            if !missing || start.elapsed() > PATIENCE {
                break (sent, received);
            }
        };
        // One for each stamp: of the system and of the card.
        sent.iter().for_each(|stamp| println!("sent: {stamp}"));
        match received {
            Some((len, stamp, card)) => println!("{len} bytes received: {stamp}, by {card}"),
            None => println!("no answer from {to}"),
        }

        // A virtual clock of the card's (Linux 5.14), as several PTP domains need.
        match SoTimestamping(report | Flags::RX_HARDWARE).set_with_clock(&socket, 0) {
            Ok(()) => println!("clock 0 is bound"),
            Err(error) => println!("clock 0 cannot be bound: {error}"),
        }
        Ok(())
    }
}
