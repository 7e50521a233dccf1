//! UDP's throughput: one datagram for each call, batches of them, and one call for many datagrams (GSO and GRO; Linux).
//!
//! `segments [MEGABYTES]` (64 by default) sends that much over loopback in datagrams of 1,200 bytes, in four ways, and prints
//! a line for each: calls, time, throughput. Sender and receiver take turns in one thread, so that nothing is lost and no
//! scheduler is measured.
//!
//! GSO: the data of one send is cut into datagrams by the kernel, or by the card ([`UdpSegment`]). GRO: datagrams of one
//! sender are merged on their way in, and [`Received::segments`](ancillary::Received::segments) takes them apart ([`UdpGro`]).

#[cfg(target_os = "linux")]
fn main() -> Result<(), Box<dyn std::error::Error>> {
    use std::{
        io,
        net::UdpSocket,
        time::{Duration, Instant},
    };

    use ancillary::{
        ControlBuf, MsgHdr, SocketExt,
        batch::{RecvBatch, SendBatch},
        message::{UdpGro, UdpSegment},
    };

    const SIZE: usize = 1200;
    /// Datagrams in one turn: the receiver's queue has room for them, and a send for their bytes.
    const TURN: usize = 32;

    /// Calls to send and to receive, and datagrams that came.
    #[derive(Default)]
    struct Counts {
        sends: u64,
        receives: u64,
        datagrams: u64,
    }

    fn report(name: &str, counts: &Counts, time: Duration) {
        let megabytes = counts.datagrams as f64 * SIZE as f64 / 1e6;
        let Counts { sends, receives, datagrams } = counts;
        let rate = megabytes / time.as_secs_f64();
        println!("{name:<10} {datagrams} datagrams, {sends} sends, {receives} receives, {time:.1?}, {rate:.0} MB/s");
    }

    let megabytes: usize = std::env::args().nth(1).as_deref().unwrap_or("64").parse()?;
    let turns = (megabytes * 1_000_000).div_ceil(SIZE * TURN);
    let datagram = [7u8; SIZE];
    let turn = [7u8; SIZE * TURN];

    let pair = || -> io::Result<(UdpSocket, UdpSocket)> {
        let (sender, receiver) = (UdpSocket::bind("127.0.0.1:0")?, UdpSocket::bind("127.0.0.1:0")?);
        receiver.set_read_timeout(Some(Duration::from_secs(5)))?;
        sender.connect(receiver.local_addr()?)?;
        Ok((sender, receiver))
    };

    let (sender, receiver) = pair()?;
    let (mut counts, start) = (Counts::default(), Instant::now());
    let (mut data, mut control) = ([0; 65536], ControlBuf::<UdpGro>::new());
    for _ in 0..turns {
        for _ in 0..TURN {
            MsgHdr::new().data(&datagram).send(&sender)?;
            counts.sends += 1;
        }
        for _ in 0..TURN {
            receiver.recv_msg(&mut data, &mut control)?;
            counts.receives += 1;
            counts.datagrams += 1;
        }
    }
    report("one by one", &counts, start.elapsed());

    let (sender, receiver) = pair()?;
    let (mut out, mut inbox) = (SendBatch::new(TURN), RecvBatch::<()>::new(TURN, SIZE));
    let (mut counts, start) = (Counts::default(), Instant::now());
    for number in 1..=turns as u64 {
        let mut batch = out.begin();
        for _ in 0..TURN {
            batch.message().data(&datagram).queue()?;
        }
        while batch.sent() < batch.len() {
            batch.send(&sender)?;
            counts.sends += 1;
        }
        while counts.datagrams < number * TURN as u64 {
            counts.datagrams += inbox.recv(&receiver)?.len() as u64;
            counts.receives += 1;
        }
    }
    report("batches", &counts, start.elapsed());

    for gro in [false, true] {
        let (sender, receiver) = pair()?;
        if !UdpSegment::is_supported(&sender) {
            println!("GSO        no UDP_SEGMENT before Linux 4.18"); // it would be ignored without a word
            break;
        }
        if gro && !receiver.try_enable::<UdpGro>()? {
            println!("GSO, GRO   no UDP_GRO before Linux 5.0");
            break;
        }
        let (mut counts, start) = (Counts::default(), Instant::now());
        for number in 1..=turns as u64 {
            let mut message = MsgHdr::new();
            message.data(&turn).control(UdpSegment(SIZE as u16));
            message.send(&sender)?;
            counts.sends += 1;
            while counts.datagrams < number * TURN as u64 {
                let message = receiver.recv_msg(&mut data, &mut control)?;
                counts.receives += 1;
                counts.datagrams +=
                    message.segments().inspect(|segment| assert_eq!(segment.len(), SIZE)).count() as u64;
            }
        }
        report(if gro { "GSO, GRO" } else { "GSO" }, &counts, start.elapsed());
    }
    Ok(())
}

#[cfg(not(target_os = "linux"))]
fn main() {
    println!("UDP_SEGMENT and UDP_GRO are Linux's");
}
