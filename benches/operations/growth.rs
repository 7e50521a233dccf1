//! How the cost grows: with descriptors, with messages in one buffer, with slices. How many there are is hidden from the
//! compiler.

use std::{
    fs::File,
    hint::black_box,
    io::{IoSlice, IoSliceMut},
    os::{
        fd::{AsFd, AsRawFd, BorrowedFd, RawFd},
        unix::net::{UnixDatagram, UnixStream},
    },
};

use ancillary::{
    ControlBuf, MsgHdr, MsgHdrMut, SocketExt, cmsg,
    message::{IpTtl, RecvList, ScmRights, ScmRightsSpace},
    parser::{self, ControlMessage},
};

use super::{TTL, batch, repeat, rights_expected};
use crate::{c, counting};

/// One thing with so many elements, so many times.
pub(crate) type Operation = fn(usize, u32);

/// What grows, ours, hand-written C, and how many elements: few, more, most.
pub(crate) type Row = (&'static str, Operation, Operation, [usize; 3]);

/// Ours: an element among many may take no more instructions than one among few.
pub(crate) const ROWS: &[Row] = &[
    ("build SCM_RIGHTS of descriptors", rights, rights_c, [1, 125, 253]),
    ("send, receive and close descriptors", pass, pass_c, [1, 125, 253]),
    ("build messages", build, build_c, [1, 32, 64]),
    ("parse messages, by type", parse, parse_c, [1, 32, 64]),
    ("parse messages, as an enum", walk, parse_c, [1, 32, 64]),
    ("send pieces, added one by one", data, send_few_c, [1, 32, 64]),
    ("send slices", send, send_c, [1, 512, 1024]),
    ("receive slices", receive, receive_c, [1, 512, 1024]),
    ("batch, received 128 at a time", batch::many, batch::many_c, [128, 512, 1024]),
];

pub(super) fn names() -> impl Iterator<Item = (String, u32)> {
    let of = |&(title, .., counts): &Row| {
        let iterations = if counts[0] > 1 { counting::FEW } else { counting::ITERATIONS };
        counts.map(|n| [true, false].map(|ours| (name(title, n, ours), iterations)))
    };
    ROWS.iter().flat_map(of).flatten()
}

/// The name under which this is counted.
pub(crate) fn name(title: &str, count: usize, ours: bool) -> String {
    format!("{title}: {count}{}", if ours { "" } else { " c" })
}

/// Instructions for each element beyond the fewest, and for each beyond the middle.
pub(crate) fn each(points: [(usize, f64); 3]) -> [f64; 2] {
    let each = |from: (usize, f64), to: (usize, f64)| (to.1 - from.1) / (to.0 - from.0) as f64;
    [each(points[0], points[1]), each(points[1], points[2])]
}

/// Whether the later elements take no more than the earlier ones.
///
/// Less one tenth of an instruction each: a copy of many bytes takes other loops than one of few.
pub(crate) fn is_linear(points: [(usize, f64); 3]) -> bool {
    let [earlier, later] = each(points);
    later <= earlier + 0.1
}

pub(super) fn find(wanted: &str) -> Option<Box<dyn Fn(u32)>> {
    for &(title, ours, by_hand, counts) in ROWS {
        for count in counts {
            for (operation, is_ours) in [(ours, true), (by_hand, false)] {
                if name(title, count, is_ours) == wanted {
                    return Some(Box::new(move |times| operation(count, times)));
                }
            }
        }
    }
    None
}

fn rights(count: usize, times: u32) {
    let file = File::open("/dev/null").unwrap();
    let (fds, mut bytes) = (vec![file.as_fd(); count], c::Aligned([0; 1040]));
    let len = cmsg::space(4 * count).unwrap();
    repeat(times, || {
        let (fds, bytes): (&[BorrowedFd<'_>], _) = black_box((&fds, &mut bytes.0[..len]));
        black_box(cmsg::encode(&ScmRights::new(fds), bytes).is_ok());
    });
    assert_eq!(bytes.0[..len], rights_expected(&vec![file.as_raw_fd(); count]));
}

fn rights_c(count: usize, times: u32) {
    let file = File::open("/dev/null").unwrap();
    let (fds, mut bytes) = (vec![file.as_raw_fd(); count], c::Aligned([0; 1040]));
    repeat(times, || {
        let mut header = c::header();
        let (fds, bytes): (&[RawFd], _) = black_box((&fds, &mut bytes.0));
        c::rights(bytes, &mut header, fds);
        black_box(header.msg_controllen);
    });
    let expected = rights_expected(&fds);
    assert_eq!(bytes.0[..expected.len()], expected);
}

fn pass(count: usize, times: u32) {
    type Fds = ScmRightsSpace<253>;
    let (a, b) = UnixStream::pair().unwrap();
    let file = File::open("/dev/null").unwrap();
    let (fds, mut arrived) = (vec![file.as_fd(); count], 0);
    let mut control = ControlBuf::<Fds, { <Fds as RecvList>::SPACE }>::new();
    repeat(times, || {
        let fds: &[BorrowedFd<'_>] = black_box(&fds);
        MsgHdr::new().data(b"x").control(ScmRights::new(fds)).send(&a).unwrap();
        arrived += b.recv_msg(&mut [0; 1], &mut control).unwrap().take_fds().map(drop).count();
    });
    assert_eq!(arrived, count * times as usize);
}

fn pass_c(count: usize, times: u32) {
    let (a, b) = UnixStream::pair().unwrap();
    let file = File::open("/dev/null").unwrap();
    let (fds, mut arrived) = (vec![file.as_raw_fd(); count], 0);
    repeat(times, || {
        c::send_fds(a.as_fd(), b"x", black_box(&fds));
        arrived += c::receive_and_close(b.as_fd(), &mut [0; 1]);
    });
    assert_eq!(arrived, count * times as usize);
}

/// Control data of so many times `IP_TTL`, by hand.
fn ttls(count: usize) -> Vec<u8> {
    let mut bytes = c::Aligned([0; 1536]);
    let len = c::build_ttls(&mut bytes, &mut c::header(), &vec![TTL; count]);
    assert_eq!(len, 24 * count);
    bytes.0[..len].to_vec()
}

fn build(count: usize, times: u32) {
    let (mut bytes, messages) = (c::Aligned([0; 1536]), vec![IpTtl(TTL); count]);
    repeat(times, || {
        let (messages, bytes): (&[IpTtl], _) = black_box((&messages, &mut bytes.0));
        black_box(cmsg::encode(&messages, bytes).unwrap_or(0));
    });
    assert_eq!(bytes.0[..24 * count], ttls(count));
}

fn build_c(count: usize, times: u32) {
    let (mut bytes, values) = (c::Aligned([0; 1536]), vec![TTL; count]);
    repeat(times, || {
        let (values, bytes): (&[u8], _) = black_box((&values, &mut bytes));
        black_box(c::build_ttls(bytes, &mut c::header(), values));
    });
    assert_eq!(bytes.0[..24 * count], ttls(count));
}

fn parse(count: usize, times: u32) {
    let bytes = ttls(count);
    let read = |bytes| IpTtl::extract(parser::cmsgs(bytes));
    repeat(times, || black_box(read(black_box(&bytes))));
    assert_eq!(read(&bytes), Some(IpTtl(TTL)));
}

fn walk(count: usize, times: u32) {
    let bytes = ttls(count);
    let read = |bytes| parser::parse(bytes).filter(|message| matches!(message, ControlMessage::IpTtl(_))).count();
    repeat(times, || black_box(read(black_box(&bytes))));
    assert_eq!(read(&bytes), count);
}

fn parse_c(count: usize, times: u32) {
    let mut bytes = ttls(count);
    let header = c::over(&mut bytes);
    repeat(times, || black_box(c::parse(black_box(&header))));
    assert_eq!(c::parse(&header).1, Some(TTL.into()));
}

/// Sends so many pieces of one byte each by `send`, and receives them in one.
#[inline(always)]
fn gather(count: usize, times: u32, send: impl Fn(&UnixDatagram, &[u8]) -> usize) {
    let (a, b) = UnixDatagram::pair().unwrap();
    let data: Vec<u8> = (0..count).map(|n| n as u8).collect();
    let mut arrived = vec![0; count];
    repeat(times, || {
        assert_eq!(send(&a, black_box(&data)), count);
        assert_eq!(b.recv(&mut arrived).unwrap(), count);
    });
    assert_eq!(arrived, data);
}

fn data(count: usize, times: u32) {
    gather(count, times, |socket, data| {
        let mut message = MsgHdr::new();
        for piece in data.chunks(1) {
            message.data(piece);
        }
        message.send(socket).unwrap()
    });
}

/// How many slices a message has at most; room is made for as many each time, so that it costs the same each time.
const SLICES: usize = 1024;

fn send(count: usize, times: u32) {
    gather(count, times, |socket, data| {
        let mut slices = Vec::with_capacity(SLICES);
        slices.extend(data.chunks(1).map(IoSlice::new));
        MsgHdr::new().slices(&slices).send(socket).unwrap()
    });
}

fn send_c(count: usize, times: u32) {
    gather(count, times, |socket, data| {
        let mut slices = Vec::with_capacity(SLICES);
        slices.extend(data.chunks(1).map(c::iovec));
        c::send(socket.as_fd(), &slices, &[])
    });
}

fn send_few_c(count: usize, times: u32) {
    gather(count, times, |socket, data| {
        let mut slices = [c::iovec(&[]); 64];
        for (slice, piece) in slices.iter_mut().zip(data.chunks(1)) {
            *slice = c::iovec(piece);
        }
        c::send(socket.as_fd(), &slices[..data.len()], &[])
    });
}

/// Receives so many pieces of one byte each by `receive`.
#[inline(always)]
fn scatter(count: usize, times: u32, mut receive: impl FnMut(&UnixDatagram, &mut [u8]) -> usize) {
    let (a, b) = UnixDatagram::pair().unwrap();
    let data: Vec<u8> = (0..count).map(|n| n as u8).collect();
    let mut arrived = vec![0; count];
    repeat(times, || {
        assert_eq!(a.send(&data).unwrap(), count);
        assert_eq!(receive(&b, black_box(&mut arrived)), count);
    });
    assert_eq!(arrived, data);
}

fn receive(count: usize, times: u32) {
    let mut control = ControlBuf::<()>::new();
    scatter(count, times, |socket, arrived| {
        let mut slices = Vec::with_capacity(SLICES);
        slices.extend(arrived.chunks_mut(1).map(IoSliceMut::new));
        MsgHdrMut::new().slices(&mut slices).recv(socket, &mut control).unwrap().len()
    });
}

fn receive_c(count: usize, times: u32) {
    let (mut control, mut name) = (c::Aligned([0; 256]), c::Aligned([0; 128]));
    scatter(count, times, |socket, arrived| {
        let mut slices = Vec::with_capacity(SLICES);
        slices.extend(arrived.chunks_mut(1).map(c::iovec_mut));
        // SAFETY: the entries describe distinct pieces of `arrived`.
        unsafe { c::receive(socket.as_fd(), &mut slices, &mut control.0, &mut name.0) }.0
    });
}
