//! `cmsgdump [PORT] [--count N] [--svg]`: prints every datagram that arrives, with everything the kernel says about it.
//!
//! Listens on `[::]:PORT`, IPv4 and IPv6 (0, the default, picks a port), prints the port on the first line, and then
//! one line for each datagram, `N` of them or for ever. Ask it something: `nc -u ::1 PORT`, `dig @127.0.0.1 -p PORT`.
//! `--svg` draws the control buffer of the first one instead, byte by byte (`docs/control-buffer.svg`).

use std::{
    fmt::{self, Write},
    io,
    net::UdpSocket,
    process::ExitCode,
};

use ancillary::{
    ControlBuf, SocketExt, cmsg,
    message::{HopLimit, PktInfo, Timestamp, TrafficClass},
    parser,
};

/// What to ask the kernel for; the buffer leaves room for more.
type Everything = (PktInfo, HopLimit, TrafficClass, Timestamp);

fn dump(port: u16, count: usize) -> io::Result<()> {
    let socket = UdpSocket::bind(("::", port))?;
    socket.enable::<Everything>()?;
    println!("{}", socket.local_addr()?.port());

    let (mut data, mut control) = ([0; 65536], ControlBuf::<Everything>::new());
    for _ in 0..count {
        let message = socket.recv_msg(&mut data, &mut control)?;
        println!("{message:?} \"{}\"", message.data().escape_ascii());
    }
    Ok(())
}

/// The control buffer of the next datagram as a picture; the port goes to the errors, the picture alone to the output.
fn draw(port: u16) -> io::Result<()> {
    let socket = UdpSocket::bind(("::", port))?;
    socket.enable::<Everything>()?;
    eprintln!("{}", socket.local_addr()?.port());
    let (mut data, mut control) = ([0; 65536], ControlBuf::<Everything>::new());
    let capacity = control.capacity();
    let message = socket.recv_msg(&mut data, &mut control)?;
    print!("{}", Picture { bytes: message.control_bytes(), capacity });
    Ok(())
}

/// Control data as SVG: eight bytes in a row, with what they are beside them.
struct Picture<'a> {
    bytes: &'a [u8],
    capacity: usize,
}

const PER_ROW: usize = 8;
/// Pixels: of a byte, and where the bytes start.
const WIDE: usize = 30;
const HIGH: usize = 24;
const LEFT: usize = 44;
const TOP: usize = 34;
const LEN: (&str, &str) = ("cmsg_len", "#9ecae1");
const LEVEL: (&str, &str) = ("cmsg_level", "#a1d99b");
const TYPE: (&str, &str) = ("cmsg_type", "#fdd49e");
const PAYLOAD: (&str, &str) = ("payload", "#f2f2f2");
const PADDING: (&str, &str) = ("padding", "#ffffff");

impl fmt::Display for Picture<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let rows = self.bytes.len().div_ceil(PER_ROW);
        let (width, height) = (LEFT + PER_ROW * WIDE + 480, TOP + rows * HIGH + 12);
        writeln!(f, r#"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" font-size="13">"#)?;
        writeln!(f, r##"<rect width="100%" height="100%" fill="#ffffff"/><g font-family="monospace">"##)?;
        let title = format!("msg_controllen {} of {}", self.bytes.len(), self.capacity);
        text(f, LEFT, TOP - 14, &title)?;
        for (i, (kind, fill)) in [LEN, LEVEL, TYPE, PAYLOAD, PADDING].into_iter().enumerate() {
            let x = LEFT + PER_ROW * WIDE + 12 + i * 98;
            writeln!(f, r##"<path d="M{x} 11h10v10h-10z" fill="{fill}" stroke="#888888"/>"##)?;
            text(f, x + 14, TOP - 14, kind)?;
        }
        let (mut at, header) = (0, cmsg::len(0).unwrap_or(0));
        for cmsg in parser::cmsgs(self.bytes) {
            let (id, len) = (cmsg.id(), header + cmsg.payload().len());
            let end = cmsg::space(cmsg.payload().len()).unwrap_or(len).min(self.bytes.len() - at);
            note(f, at, &format!("cmsg_len {len}"))?;
            note(f, at + header - 8, &format!("cmsg_level {}, cmsg_type {}: {id:?}", id.level(), id.ty()))?;
            note(f, at + header, &format!("{cmsg:?}"))?;
            for i in 0..end {
                let fill = match i {
                    i if i >= len => PADDING,
                    i if i >= header => PAYLOAD,
                    i if i + 4 >= header => TYPE,
                    i if i + 8 >= header => LEVEL,
                    _ => LEN,
                };
                byte(f, at + i, self.bytes[at + i], fill.1)?;
            }
            at += end;
        }
        writeln!(f, "</g></svg>")
    }
}

fn byte(f: &mut fmt::Formatter<'_>, at: usize, byte: u8, fill: &str) -> fmt::Result {
    let (x, y) = (LEFT + at % PER_ROW * WIDE, TOP + at / PER_ROW * HIGH);
    if at % PER_ROW == 0 {
        text(f, 10, y + 17, &at.to_string())?;
    }
    writeln!(f, r##"<rect x="{x}" y="{y}" width="{WIDE}" height="{HIGH}" fill="{fill}" stroke="#888888"/>"##)?;
    text(f, x + 7, y + 17, &format!("{byte:02x}"))
}

fn note(f: &mut fmt::Formatter<'_>, at: usize, what: &str) -> fmt::Result {
    text(f, LEFT + PER_ROW * WIDE + 12, TOP + at / PER_ROW * HIGH + 17, what)
}

fn text(f: &mut fmt::Formatter<'_>, x: usize, y: usize, what: &str) -> fmt::Result {
    write!(f, r#"<text x="{x}" y="{y}">"#)?;
    for c in what.chars() {
        match c {
            '<' => f.write_str("&lt;")?,
            '&' => f.write_str("&amp;")?,
            c => f.write_char(c)?,
        }
    }
    writeln!(f, "</text>")
}

fn parse(mut arguments: impl Iterator<Item = String>) -> Option<(u16, usize, bool)> {
    let (mut port, mut count, mut svg) = (0, usize::MAX, false);
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--count" => count = arguments.next()?.parse().ok()?,
            "--svg" => svg = true,
            other => port = other.parse().ok()?,
        }
    }
    Some((port, count, svg))
}

fn main() -> ExitCode {
    let Some((port, count, svg)) = parse(std::env::args().skip(1)) else {
        eprintln!("usage: cmsgdump [PORT] [--count N] [--svg]");
        return ExitCode::from(2);
    };
    match if svg { draw(port) } else { dump(port, count) } {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("cmsgdump: {error}");
            ExitCode::FAILURE
        }
    }
}
