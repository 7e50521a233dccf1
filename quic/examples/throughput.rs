//! Throughput over loopback, as a ratio to quinn's own socket layer: more than 1 is faster. In under a minute:
//! `cargo run --release --example throughput`.
//!
//! The contenders take turns in short runs on one thread, so that what disturbs one disturbs all; the last is the first
//! again, and what differs there is noise. `check` as an argument runs each once.

#[path = "../tests/common/mod.rs"]
mod common;

use std::{
    net::{Ipv4Addr, UdpSocket},
    sync::Arc,
    time::{Duration, Instant},
};

use common::{
    Layer, connect_with,
    layer::{Room, send, transmit},
    pattern,
};
use quinn::{
    AsyncUdpSocket, Connection, Endpoint, TransportConfig,
    udp::{EcnCodepoint, Transmit},
};
use tokio::runtime::Runtime;

/// Who takes turns.
const CONTENDERS: [Layer; 3] = [Layer::Ours, Layer::Quinns, Layer::Ours];
/// How long one question may take, and how many rounds it has at most.
const LIMIT: (Duration, usize) = (Duration::from_secs(15), 2001);
const SEGMENT: usize = 1200;
const SENDS: usize = 100;
const BYTES: usize = 1 << 20;
const WINDOW: u32 = 80_000;

fn main() {
    let limit = match std::env::args().nth(1).as_deref() {
        Some("check") => (Duration::ZERO, 1),
        _ => LIMIT,
    };
    let tokio = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    println!("Throughput by that of quinn's own sockets, over loopback: median (quartiles).");
    let sockets = CONTENDERS.map(|layer| tokio.block_on(async { Sockets::new(layer) }));
    ask("sockets alone, ten datagrams in one send", limit, &tokio, &sockets);
    let transfers = CONTENDERS.map(|layer| tokio.block_on(Transfer::new(layer, true)));
    ask("a QUIC connection", limit, &tokio, &transfers);
    let transfers = CONTENDERS.map(|layer| tokio.block_on(Transfer::new(layer, false)));
    ask("a QUIC connection where the kernel does not cut datagrams", limit, &tokio, &transfers);
}

/// What one contender does in one run.
trait Case {
    async fn run(&self);
}

fn ask<C: Case>(question: &str, (time, most): (Duration, usize), tokio: &Runtime, cases: &[C; 3]) {
    let took = |case: &C| {
        let start = Instant::now();
        tokio.block_on(case.run());
        start.elapsed().as_secs_f64()
    };
    for case in cases {
        took(case);
    }
    let (start, mut ratios, mut noise) = (Instant::now(), Vec::new(), Vec::new());
    while ratios.is_empty() || (ratios.len() < most && start.elapsed() < time) {
        let mut times = [0.0; 3];
        for turn in 0..3 {
            let who = (turn + ratios.len()) % 3;
            times[who] = took(&cases[who]);
        }
        ratios.push(times[1] / times[0]);
        noise.push(times[2] / times[0]);
    }
    let rounds = ratios.len();
    if rounds == 1 {
        return println!("{question}: every byte arrived"); // one round measures nothing
    }
    println!("{question}: {}; noise: {}; {rounds} rounds", quartiles(ratios), quartiles(noise));
}

fn quartiles(mut figures: Vec<f64>) -> String {
    figures.sort_by(f64::total_cmp);
    let [low, median, high] = [1, 2, 3].map(|part| figures[(figures.len() - 1) * part / 4]);
    format!("{median:.2} ({low:.2} to {high:.2})")
}

fn bound() -> UdpSocket {
    UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).expect("a socket on loopback")
}

/// One sender, one receiver, some sends, each received.
struct Sockets {
    sender: Arc<dyn AsyncUdpSocket>,
    receiver: Arc<dyn AsyncUdpSocket>,
    contents: Vec<u8>,
}

impl Sockets {
    fn new(layer: Layer) -> Self {
        Self { sender: layer.wrap(bound()), receiver: layer.wrap(bound()), contents: pattern(10 * SEGMENT) }
    }
}

impl Case for Sockets {
    async fn run(&self) {
        let (to, mut room) = (self.receiver.local_addr().expect("an address"), Room::new());
        let transmit = transmit(to, &self.contents, Some(SEGMENT), Some(EcnCodepoint::Ect0));
        let transmit = Transmit { src_ip: Some(to.ip()), ..transmit };
        for _ in 0..SENDS {
            send(&self.sender, &transmit).await;
            let mut got = 0;
            while got < self.contents.len() {
                let count = room.recv(&*self.receiver).await.expect("a datagram");
                got += room.metas[..count].iter().map(|meta| meta.len).sum::<usize>();
            }
        }
    }
}

/// A connection that stays, and one stream for each run.
struct Transfer {
    _endpoints: [Endpoint; 2],
    server: Connection,
    client: Connection,
    bytes: Vec<u8>,
}

impl Transfer {
    async fn new(layer: Layer, cuts: bool) -> Self {
        let sockets = [bound(), bound()];
        if !cuts {
            // Without checksums the kernel refuses to.
            for socket in &sockets {
                ancillary::set_option(socket, libc::SOL_SOCKET, libc::SO_NO_CHECK, 1).expect("SO_NO_CHECK");
            }
        }
        let to = sockets[0].local_addr().expect("an address");
        let [server, client] = sockets.map(|socket| layer.wrap(socket));
        // No more on its way than a socket's buffer holds by default: a loss would measure quinn's timers.
        let mut transport = TransportConfig::default();
        transport.receive_window(WINDOW.into());
        let (one, server, other, client) = connect_with(transport, server, client, to).await;
        Self { _endpoints: [one, other], server, client, bytes: pattern(BYTES) }
    }
}

impl Case for Transfer {
    async fn run(&self) {
        let receive = async {
            let mut stream = self.server.accept_uni().await.expect("a stream");
            stream.read_to_end(BYTES).await.expect("its bytes").len()
        };
        let send = async {
            let mut stream = self.client.open_uni().await.expect("a stream");
            stream.write_all(&self.bytes).await.expect("a peer that reads");
            stream.finish().expect("an open stream");
        };
        assert_eq!(tokio::join!(receive, send).0, BYTES);
    }
}
