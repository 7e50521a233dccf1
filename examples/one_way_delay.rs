//! How long a datagram takes, from the driver of one host to the kernel of the other, by their own timestamps (Linux).
//!
//! `one_way_delay serve [ADDRESS:PORT]` answers each datagram with the time it came at, as the kernel stamped it, and says where
//! it listens; `one_way_delay ADDRESS:PORT [COUNT]` sends until so many (1,000) are stamped twice, learns from the error queue when each left, and
//! prints a histogram of the differences. `one_way_delay` alone does both over loopback. Between two machines the difference
//! holds the difference of their clocks too.
//!
//! Neither stamp knows of the time the processes take to look: that is the point of asking the kernel.

#[cfg(target_os = "linux")]
fn main() -> Result<(), Box<dyn std::error::Error>> {
    linux::main()
}

#[cfg(not(target_os = "linux"))]
fn main() {
    println!("SO_TIMESTAMPING and the error queue are Linux's");
}

#[cfg(target_os = "linux")]
mod linux {
    use std::{
        error::Error,
        io,
        net::{SocketAddr, UdpSocket},
        thread,
        time::{Duration, Instant},
    };

    use ancillary::{
        ControlBuf, MsgHdr, SocketExt,
        message::{
            ExtendedError, Meaning, ScmTimestamping, SoTimestamping, Timestamp, TimestampPoint, TimestampingFlags,
        },
    };

    const WAIT: Duration = Duration::from_secs(1);
    const PATIENCE: Duration = Duration::from_secs(10);

    /// Nanoseconds since 1970, until 2262.
    fn nanos(stamp: Timestamp) -> i64 {
        stamp.as_nanos() as i64
    }

    /// Answers each number with itself and when it came; 0 if nobody stamped it.
    fn serve(socket: &UdpSocket) -> io::Result<()> {
        let (mut data, mut control) = ([0; 64], ControlBuf::<ScmTimestamping>::new());
        loop {
            let message = socket.recv_msg(&mut data, &mut control)?;
            let came = message.extract().and_then(|stamps| stamps.software).map_or(0, nanos).to_be_bytes();
            if let Err(error) = MsgHdr::new().to(message.peer()).data(message.data()).data(&came).send(socket) {
                eprintln!("{error}");
            }
            if message.data() == b"end" {
                return Ok(());
            }
        }
    }

    fn receiver(addr: &str) -> io::Result<UdpSocket> {
        let socket = UdpSocket::bind(addr)?;
        socket.enable::<ScmTimestamping>()?;
        Ok(socket)
    }

    /// When the datagram of this number left, if the error queue says so.
    fn left(socket: &UdpSocket, number: u32) -> io::Result<Option<i64>> {
        type Report = (ExtendedError, ScmTimestamping);
        let (queue, mut found) = (socket.error_queue()?, None);
        while found.is_none() && queue.wait(WAIT)? {
            let read = queue.drain(&mut [], &mut ControlBuf::<Report>::new(), |entry| {
                let stamps = entry.get::<ScmTimestamping>();
                match entry.error().meaning() {
                    Meaning::Sent { point: TimestampPoint::Sent, id } if id == number => {
                        found = stamps.and_then(|stamps| stamps.software);
                    }
                    _ => {} // of an earlier one
                }
            })?;
            if read == 0 {
                break; // an error of the socket, which the next send tells
            }
        }
        Ok(found.map(nanos))
    }

    /// Sends a number, and waits for both stamps; nothing if one is missing.
    fn probe(socket: &UdpSocket, number: u32) -> io::Result<Option<i64>> {
        MsgHdr::new().data(&number.to_be_bytes()).send(socket)?;
        let left = left(socket, number)?;
        let mut answer = [0; 12];
        let came = loop {
            match socket.recv(&mut answer) {
                Ok(12) if answer[..4] == number.to_be_bytes() => {
                    break answer.last_chunk().map_or(0, |nanos| i64::from_be_bytes(*nanos));
                }
                Ok(_) => {}                                                         // late
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break 0, // lost
                Err(error) => return Err(error),
            }
        };
        Ok(left.filter(|_| came != 0).map(|left| came - left))
    }

    /// How many were sent, and the delays of those that were stamped twice.
    fn measure(to: SocketAddr, count: u32) -> io::Result<(u32, Vec<i64>)> {
        let socket = UdpSocket::bind(if to.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" })?;
        socket.set_read_timeout(Some(WAIT))?;
        socket.connect(to)?;
        // Stamp what leaves, report it, number it, and spare the packet itself.
        let flags = TimestampingFlags::TX_SOFTWARE | TimestampingFlags::SOFTWARE;
        SoTimestamping(flags | TimestampingFlags::OPT_ID | TimestampingFlags::OPT_TSONLY).set(&socket)?;
        // The kernel counts from 0; so do we. It switches stamping on in its own time, so the first may have none.
        let (mut sent, mut delays, start) = (0, Vec::new(), Instant::now());
        while delays.len() < count as usize && start.elapsed() < PATIENCE {
            delays.extend(probe(&socket, sent)?);
            sent += 1;
        }
        Ok((sent, delays))
    }

    /// A line for each power of two, in nanoseconds.
    fn print((sent, mut delays): (u32, Vec<i64>)) {
        delays.sort_unstable();
        let [first, .., last] = *delays else { return println!("{sent} sent, too few stamped") };
        println!(
            "{sent} sent, {} stamped twice: {first} to {last} ns, median {} ns",
            delays.len(),
            delays[delays.len() / 2]
        );
        let below = |limit: i64| delays.partition_point(|&delay| delay < limit);
        if below(0) > 0 {
            println!("{:>10} before they were sent: the clocks differ", below(0));
        }
        for power in 0..40 {
            let (low, high) = (if power == 0 { 0 } else { 1i64 << power }, 2i64 << power);
            let many = below(high) - below(low);
            if many > 0 {
                println!("{low:>10} to {high:>10} ns {many:>6} {}", "#".repeat((many * 60).div_ceil(delays.len())));
            }
        }
    }

    pub(super) fn main() -> Result<(), Box<dyn Error>> {
        let arguments: Vec<_> = std::env::args().skip(1).collect();
        let arguments: Vec<_> = arguments.iter().map(String::as_str).collect();
        let (to, count) = match arguments[..] {
            [] => {
                let socket = receiver("127.0.0.1:0")?;
                let to = socket.local_addr()?;
                let server = thread::spawn(move || serve(&socket));
                print(measure(to, 1000)?);
                UdpSocket::bind("127.0.0.1:0")?.send_to(b"end", to)?;
                return Ok(server.join().expect("no panic")?);
            }
            ["serve", ref addr @ ..] => {
                let socket = receiver(addr.first().unwrap_or(&"[::]:0"))?;
                println!("listening at {}", socket.local_addr()?);
                return Ok(serve(&socket)?);
            }
            [to] => (to.parse()?, 1000),
            [to, count] => (to.parse()?, count.parse()?),
            _ => return Err("usage: one_way_delay [serve [ADDRESS:PORT] | ADDRESS:PORT [COUNT]]".into()),
        };
        print(measure(to, count)?);
        Ok(())
    }
}
