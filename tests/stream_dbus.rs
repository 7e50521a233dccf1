//! Descriptors through a real D-Bus daemon, from one connection to another.
//!
//! The messages are built by hand; see the [specification](https://dbus.freedesktop.org/doc/dbus-specification.html).

#![cfg(target_os = "linux")]

mod common;

use std::{
    env, fs,
    io::{self, BufRead, ErrorKind, Write},
    os::{
        fd::{AsFd, OwnedFd},
        unix::net::UnixStream,
    },
    path::PathBuf,
    process::Command,
};

use ancillary::{message::Credentials, set_option, stream::FdStream};
use common::{
    TIMEOUT, has_descriptors, no_leak,
    pipes::{contents, names, numbered},
    running::Running,
};
use nix::{
    libc,
    poll::{PollFd, PollFlags, poll},
};

const METHOD_CALL: u8 = 1;
const METHOD_RETURN: u8 = 2;

/// Header fields, by code.
const PATH: u8 = 1;
const INTERFACE: u8 = 2;
const MEMBER: u8 = 3;
const REPLY_SERIAL: u8 = 5;
const DESTINATION: u8 = 6;
const SENDER: u8 = 7;
const SIGNATURE: u8 = 8;
const UNIX_FDS: u8 = 9;

/// A daemon of this test's own.
struct Bus {
    path: PathBuf,
    _daemon: Running,
}

impl Bus {
    fn start(test: &str) -> Option<Self> {
        let path = env::temp_dir().join(format!("ancillary-bus-{}", std::process::id()));
        let mut command = Command::new("dbus-daemon");
        command.args(["--session", "--print-address", "--nofork", "--nopidfile", "--nosyslog"]);
        command.arg(format!("--address=unix:path={}", path.display()));
        let daemon = Running::here(test, command)?;
        daemon.until("unix:path=");
        Some(Self { path, _daemon: daemon })
    }

    /// A connection that may send and receive descriptors, and its name.
    fn connect(&self) -> Peer {
        let socket = UnixStream::connect(&self.path).unwrap();
        socket.set_read_timeout(TIMEOUT).unwrap();
        socket.set_write_timeout(TIMEOUT).unwrap();
        let mut peer = Peer { stream: FdStream::new(socket), name: String::new(), serial: 0 };
        let id: String = Credentials::own().uid.to_string().bytes().map(|digit| format!("{digit:02x}")).collect();
        assert!(peer.line(&format!("\0AUTH EXTERNAL {id}\r\n")).starts_with("OK "));
        assert_eq!(peer.line("NEGOTIATE_UNIX_FD\r\n"), "AGREE_UNIX_FD\r\n");
        peer.stream.write_all(b"BEGIN\r\n").unwrap();
        let bus = "org.freedesktop.DBus";
        let fields = [(PATH, "/org/freedesktop/DBus"), (INTERFACE, bus), (MEMBER, "Hello"), (DESTINATION, bus)];
        peer.queue(METHOD_CALL, &fields.map(|(code, text)| (code, Value::Text(text))), &[], numbered(0));
        peer.stream.flush().unwrap();
        let reply = peer.next(METHOD_RETURN);
        peer.name = String::from_utf8(reply.body[4..reply.body.len() - 1].to_vec()).unwrap();
        assert!(peer.name.starts_with(":1."), "{}", peer.name);
        peer
    }
}

impl Drop for Bus {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.path);
    }
}

struct Peer {
    stream: FdStream<'static, UnixStream>,
    name: String,
    serial: u32,
}

#[derive(Clone, Copy)]
enum Value<'v> {
    Text(&'v str),
    Number(u32),
}

#[derive(Debug, Default)]
struct Message {
    serial: u32,
    sender: String,
    member: String,
    reply_to: u32,
    body: Vec<u8>,
    fds: Vec<OwnedFd>,
}

fn pad(bytes: &mut Vec<u8>, to: usize) {
    bytes.resize(bytes.len().next_multiple_of(to), 0);
}

fn put_text(bytes: &mut Vec<u8>, text: &str) {
    pad(bytes, 4);
    bytes.extend((text.len() as u32).to_le_bytes());
    bytes.extend(text.as_bytes());
    bytes.push(0);
}

fn put_field(bytes: &mut Vec<u8>, code: u8, value: Value<'_>) {
    pad(bytes, 8);
    let ty = match (code, value) {
        (PATH, _) => b'o',
        (SIGNATURE, _) => b'g',
        (_, Value::Text(_)) => b's',
        (_, Value::Number(_)) => b'u',
    };
    bytes.extend([code, 1, ty, 0]);
    match value {
        Value::Number(number) => bytes.extend(number.to_le_bytes()),
        Value::Text(text) if code == SIGNATURE => {
            bytes.push(text.len() as u8);
            bytes.extend(text.as_bytes());
            bytes.push(0);
        }
        Value::Text(text) => put_text(bytes, text),
    }
}

fn number(bytes: &[u8], at: usize) -> usize {
    u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap()) as usize
}

/// How long the first message is, its header fields included, if so much is there.
fn length(bytes: &[u8]) -> Option<(usize, usize)> {
    if bytes.len() < 16 {
        return None;
    }
    assert_eq!((bytes[0], bytes[3]), (b'l', 1));
    let head = (16 + number(bytes, 12)).next_multiple_of(8);
    let len = head + number(bytes, 4);
    (bytes.len() >= len).then_some((head, len))
}

/// The header fields with one number or one text.
fn fields(bytes: &[u8]) -> Vec<(u8, usize, String)> {
    let (mut at, end, mut all) = (16, 16 + number(bytes, 12), Vec::new());
    while at < end {
        at = at.next_multiple_of(8);
        let (code, ty) = (bytes[at], bytes[at + 2]);
        let len = if ty == b'g' { bytes[at + 4] as usize } else { number(bytes, at + 4) };
        let text = if ty == b'g' { at + 5 } else { at + 8 };
        at = match ty {
            b'u' => text,
            _ => text + len + 1,
        };
        let text = if ty == b'u' { "" } else { std::str::from_utf8(&bytes[text..text + len]).unwrap() };
        all.push((code, len, text.to_string()));
    }
    all
}

impl Peer {
    /// Says a line, and what is answered.
    fn line(&mut self, text: &str) -> String {
        self.stream.write_all(text.as_bytes()).unwrap();
        self.stream.flush().unwrap();
        let mut line = String::new();
        self.stream.read_line(&mut line).unwrap();
        line
    }

    fn queue(&mut self, ty: u8, named: &[(u8, Value<'_>)], body: &[u8], fds: Vec<OwnedFd>) -> u32 {
        self.serial += 1;
        let mut bytes = vec![b'l', ty, 0, 1];
        for part in [body.len() as u32, self.serial, 0] {
            bytes.extend(part.to_le_bytes());
        }
        for &(code, value) in named {
            put_field(&mut bytes, code, value);
        }
        if !fds.is_empty() {
            put_field(&mut bytes, UNIX_FDS, Value::Number(fds.len() as u32));
        }
        let len = bytes.len() - 16;
        bytes[12..16].copy_from_slice(&(len as u32).to_le_bytes());
        pad(&mut bytes, 8);
        bytes.extend(body);
        self.stream.queue(&bytes, fds).unwrap();
        self.serial
    }

    /// Queues a call to another connection: a text, and every descriptor by its index.
    fn call(&mut self, to: &str, member: &str, text: &str, fds: Vec<OwnedFd>) -> u32 {
        let (mut body, mut signature) = (Vec::new(), "s".to_string());
        put_text(&mut body, text);
        for index in 0..fds.len() as u32 {
            pad(&mut body, 4);
            body.extend(index.to_le_bytes());
            // A signature has 255 bytes at most.
            signature.push('h');
        }
        let texts = [
            (PATH, "/ancillary"),
            (INTERFACE, "org.ancillary.Test"),
            (MEMBER, member),
            (DESTINATION, to),
            (SIGNATURE, &signature),
        ];
        self.queue(METHOD_CALL, &texts.map(|(code, text)| (code, Value::Text(text))), &body, fds)
    }

    /// The next message of this type, if it has arrived; others are passed over.
    fn take(&mut self, wanted: u8) -> Option<Message> {
        while let Some((head, len)) = length(self.stream.buffer()) {
            let fields = fields(&self.stream.buffer()[..head]);
            let field = |code| fields.iter().find(|field| field.0 == code);
            let text = |code| field(code).map_or("", |field| &field.2).to_string();
            let number_of = |code| field(code).map_or(0, |field| field.1);
            let (bytes, fds) = self.stream.take_message(len, number_of(UNIX_FDS)).unwrap();
            if bytes[1] == wanted {
                return Some(Message {
                    serial: number(bytes, 8) as u32,
                    sender: text(SENDER),
                    member: text(MEMBER),
                    reply_to: number_of(REPLY_SERIAL) as u32,
                    body: bytes[head..].to_vec(),
                    fds: fds.collect(),
                });
            }
        }
        None
    }

    fn next(&mut self, wanted: u8) -> Message {
        loop {
            if let Some(message) = self.take(wanted) {
                return message;
            }
            assert!(self.stream.fill().unwrap() > 0, "the daemon has closed the connection");
        }
    }
}

#[test]
fn a_descriptor_goes_through_the_bus_and_back() {
    let test = "a_descriptor_goes_through_the_bus_and_back";
    no_leak(|| {
        let Some(bus) = Bus::start(test) else { return };
        let (mut a, mut b) = (bus.connect(), bus.connect());
        let call = a.call(&b.name, "Take", "a descriptor", numbered(1));
        assert_eq!(a.stream.writer().pending_fds(), 1);
        a.stream.flush().unwrap();

        let message = b.next(METHOD_CALL);
        assert_eq!((message.serial, message.sender, message.member), (call, a.name.clone(), "Take".into()));
        assert_eq!(&message.body[..17], b"\x0c\0\0\0a descriptor\0");
        assert_eq!(contents(message.fds), ["0"]);

        let reply = [
            (REPLY_SERIAL, Value::Number(message.serial)),
            (DESTINATION, Value::Text(&a.name)),
            (SIGNATURE, Value::Text("hh")),
        ];
        b.queue(METHOD_RETURN, &reply, &[0, 0, 0, 0, 1, 0, 0, 0], numbered(2));
        b.stream.flush().unwrap();
        let reply = a.next(METHOD_RETURN);
        assert_eq!((reply.reply_to, reply.sender, contents(reply.fds)), (call, b.name, names(0..2)));
    });
}

#[test]
fn many_messages_keep_their_descriptors_where_neither_end_blocks() {
    let test = "many_messages_keep_their_descriptors_where_neither_end_blocks";
    if !has_descriptors(test) {
        return;
    }
    // The daemon takes 16 with one message.
    const COUNTS: [usize; 8] = [0, 1, 3, 0, 16, 2, 15, 0];
    const ROUNDS: usize = 40;
    no_leak(|| {
        let Some(bus) = Bus::start(test) else { return };
        let (mut a, mut b) = (bus.connect(), bus.connect());
        for peer in [&a, &b] {
            peer.stream.get_ref().set_nonblocking(true).unwrap();
        }
        set_option(&a.stream, libc::SOL_SOCKET, libc::SO_SNDBUF, 1).unwrap();
        let text = |k: usize| format!("{k} {}", "x".repeat(k * 7919 % 9000));
        let (mut queued, mut received, mut stops) = (0, 0, 0);
        while received < ROUNDS * COUNTS.len() {
            while a.stream.writer().pending_fds() < 100 && queued < ROUNDS * COUNTS.len() {
                a.call(&b.name, "Take", &text(queued), numbered(COUNTS[queued % COUNTS.len()]));
                queued += 1;
            }
            let waiting = match a.stream.flush() {
                Ok(()) => PollFlags::empty(),
                Err(error) => {
                    assert_eq!(error.kind(), ErrorKind::WouldBlock, "{error}");
                    stops += 1;
                    PollFlags::POLLOUT
                }
            };
            match b.stream.fill() {
                Ok(len) => assert!(len > 0, "the daemon has closed the connection"),
                Err(error) => {
                    assert_eq!(error.kind(), ErrorKind::WouldBlock, "{error}");
                    wait(&a, waiting, &b).unwrap();
                }
            }
            while let Some(message) = b.take(METHOD_CALL) {
                let expected = text(received);
                assert_eq!(&message.body[4..4 + expected.len()], expected.as_bytes());
                assert_eq!(contents(message.fds), names(0..COUNTS[received % COUNTS.len()]), "message {received}");
                received += 1;
            }
        }
        assert!(stops > 0);
    });
}

fn wait(a: &Peer, flags: PollFlags, b: &Peer) -> io::Result<()> {
    let mut fds = [PollFd::new(b.stream.as_fd(), PollFlags::POLLIN), PollFd::new(a.stream.as_fd(), flags)];
    assert!(poll(&mut fds, 20_000u16)? > 0, "nothing comes from the daemon");
    Ok(())
}
