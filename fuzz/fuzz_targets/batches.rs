//! Batches of any messages through a real kernel: every message arrives once and in order, with its data and descriptors
//! as far as there is room, and nothing is left open.

#![no_main]

use std::{
    fs::File,
    io::ErrorKind,
    os::{
        fd::{AsFd, OwnedFd},
        unix::net::UnixDatagram,
    },
    sync::OnceLock,
};

use ancillary::{
    MsgFlags,
    batch::{RecvBatch, SendBatch},
    message::{ScmRights, ScmRightsSpace},
};
use ancillary_fuzz::Open;
use arbitrary::Arbitrary;
use libfuzzer_sys::fuzz_target;
use nix::sys::socket::{AddressFamily, SockFlag, SockType, socketpair};

#[derive(Arbitrary, Debug)]
struct Input {
    kind: u8,
    room: u8,
    slices: u8,
    control_out: u8,
    capacity_in: u8,
    data_in: u8,
    control_in: u8,
    messages: Vec<Message>,
    steps: Vec<Step>,
}

#[derive(Arbitrary, Debug)]
struct Message {
    pieces: Vec<u8>,
    fds: u8,
}

#[derive(Arbitrary, Debug)]
enum Step {
    Send,
    Receive { look: u8, take: u8 },
    Again,
    Clear,
}

fn null() -> &'static File {
    static NULL: OnceLock<File> = OnceLock::new();
    NULL.get_or_init(|| File::open("/dev/null").unwrap())
}

fn run(input: &Input) {
    const BYTES: [u8; 255] = [0xd7; 255];
    let kind = [SockType::Stream, SockType::Datagram, SockType::SeqPacket][usize::from(input.kind % 3)];
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    let (a, b) = socketpair(AddressFamily::Unix, kind, None, flags).unwrap();
    let mut room = SendBatch::with_room(input.room.into(), input.slices.into(), input.control_out.into());
    let mut batch = room.begin();
    let mut expected = Vec::new();
    for message in &input.messages {
        let mut header = batch.message();
        for piece in &message.pieces {
            header.data(&BYTES[..usize::from(*piece)]);
        }
        let fds = usize::from(message.fds % 8);
        header.control(ScmRights::new((0..fds).map(|_| null().as_fd())));
        match header.queue() {
            Ok(()) => {
                let bytes = message.pieces.iter().map(|piece| usize::from(*piece)).sum::<usize>();
                expected.push((bytes, fds));
            }
            Err(error) => assert!(!error.to_string().is_empty()),
        }
    }
    assert_eq!((batch.len(), batch.sent()), (expected.len(), 0));
    assert!(batch.len() <= input.room.into() && !format!("{batch:?}").is_empty());

    let (capacity, data) = (usize::from(input.capacity_in % 16), usize::from(input.data_in) * 8);
    let mut incoming = RecvBatch::<ScmRightsSpace<0>>::with_control(capacity, data, input.control_in.into());
    let (mut held, mut came, mut bytes) = (Vec::<OwnedFd>::new(), 0, 0);
    let mut sender = Some(a);
    let steps = input.steps.iter().take(24);
    for step in steps.chain([&Step::Send, &Step::Receive { look: 255, take: 0 }, &Step::Clear]) {
        match step {
            Step::Send => {
                let Some(a) = &sender else { continue };
                let before = batch.sent();
                match batch.send(a) {
                    Ok(sent) => assert!(batch.sent() >= before && batch.sent() - before <= sent.max(1)),
                    Err(error) => {
                        let full = matches!(error.kind(), ErrorKind::WouldBlock);
                        assert!(full || error.raw_os_error() == Some(nix::libc::ETOOMANYREFS) || batch.skip());
                    }
                }
                if batch.sent() == batch.len() {
                    sender = None;
                }
            }
            Step::Receive { look, take } => {
                let Ok(messages) = incoming.recv(&b) else { continue };
                assert!(messages.len() <= capacity);
                let whole = input.kind % 3 != 0;
                for mut message in messages.take(usize::from(*look)) {
                    bytes += message.data().len();
                    let lent = message.fds().count();
                    if whole && came < batch.sent() && !message.is_eof() && *look == 255 {
                        assert!(message.flags().contains(MsgFlags::CMSG_CLOEXEC));
                    }
                    let before = held.len();
                    held.extend(message.take_fds().take(usize::from(*take)));
                    assert_eq!(held.len() - before, lent.min(usize::from(*take)));
                    came += 1;
                }
            }
            Step::Again => {
                for message in incoming.received() {
                    assert!(message.fds().all(|fd| fd.try_clone_to_owned().is_ok()));
                    assert!(message.data().iter().all(|byte| *byte == 0xd7));
                }
            }
            Step::Clear => {
                incoming.clear();
                assert_eq!(incoming.received().len(), 0);
            }
        }
    }
    assert!(bytes <= expected.iter().map(|(bytes, _)| bytes).sum());
    assert!(held.len() <= expected.iter().map(|(_, fds)| fds).sum());
    assert!(held.iter().all(|fd| fd.try_clone().is_ok()));
}

/// Every message of a batch that fits, received by a batch with room for it: the same lengths and counts, in order.
fn exact(input: &Input) {
    let (a, b) = UnixDatagram::pair().unwrap();
    b.set_nonblocking(true).unwrap();
    let messages: Vec<_> = input.messages.iter().take(4).collect();
    let mut room = SendBatch::with_room(4, 8, 4 * 64);
    let mut batch = room.begin();
    let bytes = [0xd7; 1024];
    let sizes: Vec<_> = messages.iter().map(|message| (message.pieces.len().min(1024), message.fds % 8)).collect();
    for (len, fds) in &sizes {
        let fds = ScmRights::new((0..*fds).map(|_| null().as_fd()));
        batch.message().data(&bytes[..*len]).control(fds).queue().unwrap();
    }
    assert_eq!(batch.send_all(&a).unwrap(), batch.sent());
    let mut incoming = RecvBatch::<ScmRightsSpace<8>>::new(4, 1024);
    let mut found = Vec::new();
    while found.len() < sizes.len() {
        for mut message in incoming.recv(&b).unwrap() {
            message.require_complete().unwrap();
            assert!(message.data().iter().all(|byte| *byte == 0xd7));
            found.push((message.len(), message.take_fds().count() as u8));
        }
    }
    assert_eq!(found, sizes);
}

fuzz_target!(|input: Input| {
    null();
    let before = Open::now();
    run(&input);
    exact(&input);
    assert!(before == Open::now(), "other descriptors are open than before");
});
