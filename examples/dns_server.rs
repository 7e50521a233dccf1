//! A name server on a wildcard address, both families, in batches: every name has the address that was asked.
//!
//! `dns_server PORT` serves for ever (0 picks a port, which the first line says): ask it `dig @127.0.0.53 -p PORT any.name` or
//! `dig @::1 -p PORT any.name AAAA`. `dns_server` asks itself, eight clients at once, prints what each is told and how many
//! questions one call brought, and ends.
//!
//! Without [`PktInfo`] the kernel would choose the source of an answer by route: who asked 127.0.0.53 would hear from
//! 127.0.0.1, and not listen. With batches, a busy server makes two system calls for up to 32 questions.

use std::{
    io,
    net::{IpAddr, SocketAddr, UdpSocket},
    time::Duration,
};

use ancillary::{
    SocketExt,
    batch::{RecvBatch, SendBatch},
    message::PktInfo,
};

/// What a question may ask for (RFC 1035 s. 3.2.2, RFC 3596).
const A: u16 = 1;
const AAAA: u16 = 28;

/// Bytes of a header (RFC 1035 s. 4.1.1), and the most of a datagram that nobody negotiated (s. 4.2.1).
const HEADER: usize = 12;
const MOST: usize = 512;

/// Where the one question of this query ends, and its type; `None` for what is no plain query.
fn question(query: &[u8]) -> Option<(usize, u16)> {
    let header = query.first_chunk::<HEADER>()?;
    // Not an answer, operation QUERY, one question.
    if header[2] & 0xf8 != 0 || header[4..6] != [0, 1] {
        return None;
    }
    let mut at = HEADER;
    loop {
        match *query.get(at)? {
            0 => break,
            label @ 1..=63 => at += 1 + usize::from(label),
            _ => return None,
        }
    }
    let ty: [u8; 2] = query.get(at + 1..at + 3)?.try_into().ok()?;
    (query.len() >= at + 5 && at < HEADER + 255).then_some((at + 5, u16::from_be_bytes(ty)))
}

/// Writes the answer: the question again, and the address, if it is of the type that was asked for.
fn answer(query: &[u8], asked: IpAddr, out: &mut [u8; MOST]) -> Option<usize> {
    let (end, ty) = question(query)?;
    out[..end].copy_from_slice(&query[..end]);
    // An answer, authoritative, recursion still desired if it was; no error.
    (out[2], out[3]) = (0x84 | query[2] & 1, 0);
    out[6..HEADER].fill(0);
    let (v4, v6);
    let data: &[u8] = match (ty, asked) {
        (A, IpAddr::V4(addr)) => {
            v4 = addr.octets();
            &v4
        }
        (AAAA, IpAddr::V6(addr)) => {
            v6 = addr.octets();
            &v6
        }
        _ => return Some(end), // the name is there, such an address is not
    };
    out[7] = 1;
    let (ty, len) = (ty.to_be_bytes(), data.len() as u8);
    // The name as a pointer to that of the question, type, class IN, one second, the length.
    let record = [0xc0, HEADER as u8, ty[0], ty[1], 0, 1, 0, 0, 0, 1, 0, len];
    out[end..end + 12].copy_from_slice(&record);
    out[end + 12..end + 12 + data.len()].copy_from_slice(data);
    Some(end + 12 + data.len())
}

/// Room for a batch each way, made once.
struct Server {
    questions: RecvBatch<PktInfo>,
    answers: SendBatch,
    data: Vec<[u8; MOST]>,
}

impl Server {
    fn new(most: usize) -> Self {
        let (questions, answers) = (RecvBatch::new(most, MOST), SendBatch::new(most));
        Self { questions, answers, data: vec![[0; MOST]; most] }
    }

    /// Answers what is there, and waits if nothing is; how many questions came and how many were answered.
    fn serve(&mut self, socket: &UdpSocket) -> io::Result<(usize, usize)> {
        let questions = self.questions.recv(socket)?;
        let came = questions.len();
        let mut answers = self.answers.begin();
        for (message, out) in questions.zip(&mut self.data) {
            // An IPv4 question's address is mapped on a socket of both families.
            let Some(info) = message.extract() else { continue };
            let Some(len) = answer(message.data(), info.addr().to_canonical(), out) else { continue };
            // No source for who asked by multicast: the route chooses then.
            answers.message().to(message.peer().copied()).data(&out[..len]).control(info.reply()).queue()?;
        }
        // One client's trouble is not the server's.
        let went = answers.send_each(socket, |_, error| eprintln!("an answer is left out: {error}"))?;
        Ok((came, went))
    }
}

/// A query of one name for an address of the server's family.
fn query(id: u8, server: SocketAddr) -> Vec<u8> {
    let ty = if server.is_ipv4() { A } else { AAAA };
    let header = [0, id, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
    [&header, &b"\x03who\x05asked\x00"[..], &ty.to_be_bytes(), &[0, 1]].concat()
}

/// Eight clients ask before the server looks: their questions are one batch.
fn ask_itself(socket: &UdpSocket, port: u16) -> io::Result<()> {
    let addrs = ["127.0.0.1", "127.0.0.53", "127.9.9.9", "::1"].map(|addr| addr.parse::<IpAddr>().unwrap());
    let mut clients = Vec::new();
    for (id, addr) in (1..).zip(addrs.iter().cycle().take(8)) {
        let client = match UdpSocket::bind((*addr, 0)) {
            Ok(client) => client,
            Err(error) => {
                println!("{addr} left out: {error}");
                continue;
            }
        };
        client.set_read_timeout(Some(Duration::from_secs(5)))?;
        client.connect((*addr, port))?; // hears nobody but the address it asks
        client.send(&query(id, (*addr, port).into()))?;
        clients.push((id, *addr, client));
    }

    let (mut server, mut answered) = (Server::new(32), 0);
    while answered < clients.len() {
        let (came, sent) = server.serve(socket)?;
        println!("{came} questions in one call, {sent} answers in another");
        answered += sent;
    }
    for (id, addr, client) in clients {
        let mut data = [0; MOST];
        let len = client.recv(&mut data)?;
        let told: IpAddr = match (data[1], &data[..len]) {
            (found, [.., a, b, c, d]) if found == id && addr.is_ipv4() => [*a, *b, *c, *d].into(),
            (found, data) if found == id => data.last_chunk::<16>().map_or(addr, |octets| (*octets).into()),
            _ => return Err(io::Error::other("the answer to another question")),
        };
        println!("{addr} says that it is {told}");
        assert_eq!(told, addr);
    }
    Ok(())
}

fn main() -> io::Result<()> {
    let Ok(port) = std::env::args().nth(1).map(|port| port.parse()).transpose() else {
        eprintln!("usage: dns_server [PORT]");
        std::process::exit(2);
    };
    // A socket of both families where there are two.
    let socket =
        UdpSocket::bind(("::", port.unwrap_or(0))).or_else(|_| UdpSocket::bind(("0.0.0.0", port.unwrap_or(0))))?;
    socket.enable::<PktInfo>()?; // before the address is known to anybody
    println!("serving port {}", socket.local_addr()?.port());
    if port.is_none() {
        let port = socket.local_addr()?.port();
        return ask_itself(&socket, port);
    }
    let mut server = Server::new(32);
    loop {
        server.serve(&socket)?;
    }
}
