//! Any control bytes through a real kernel: sent by sendmsg(2) itself with numbers of descriptors that are open, received by
//! the library in buffers of any size; afterwards exactly the same descriptors are open.

#![no_main]

use std::{
    fs::File,
    io,
    net::UdpSocket,
    os::{
        fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd},
        unix::net::{UnixDatagram, UnixStream},
    },
    sync::OnceLock,
};

use ancillary::{
    ControlVec, MsgHdrMut, RecvExact, RecvFlags, SocketExt,
    message::{Credentials, HopLimit, IpRecvOpts, PktInfo, ScmPidfd, ScmRightsSpace, Timestamp, TrafficClass},
    set_option,
};
use ancillary_fuzz::{Open, Part, control, reference};
use arbitrary::Arbitrary;
use libfuzzer_sys::fuzz_target;
use nix::{
    libc,
    sys::socket::{AddressFamily, SockFlag, SockType, socketpair},
};

#[derive(Arbitrary, Debug)]
struct Input {
    family: u8,
    sends: Vec<Send>,
    receives: Vec<Receive>,
}

#[derive(Arbitrary, Debug)]
struct Send {
    data: u8,
    /// Sent as they are, but for descriptors and credentials, which are made true where `honest`.
    control: Vec<Part>,
    cut: bool,
    honest: bool,
}

#[derive(Arbitrary, Debug)]
struct Receive {
    room: u8,
    control: u16,
    flags: u8,
    take: u8,
    exact: bool,
}

type Meta = (Credentials, Timestamp, PktInfo, HopLimit, TrafficClass, ScmPidfd, ScmRightsSpace<4>, IpRecvOpts<'static>);

fn pool() -> &'static [File] {
    static POOL: OnceLock<Vec<File>> = OnceLock::new();
    POOL.get_or_init(|| (0..3).map(|_| File::open("/dev/null").unwrap()).collect())
}

fn unix(kind: SockType) -> (OwnedFd, OwnedFd) {
    socketpair(AddressFamily::Unix, kind, None, SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK).unwrap()
}

fn udp(addr: &str) -> io::Result<(OwnedFd, OwnedFd)> {
    let (a, b) = (UdpSocket::bind(addr)?, UdpSocket::bind(addr)?);
    a.connect(b.local_addr()?)?;
    a.set_nonblocking(true)?;
    b.set_nonblocking(true)?;
    Ok((a.into(), b.into()))
}

/// What a kernel would refuse at once becomes what it takes: numbers of open descriptors, this process's credentials.
fn made_true(control: &mut [u8]) {
    let own = Credentials::own();
    for message in reference(control).messages {
        let payload = &mut control[message.payload];
        match message.id {
            (libc::SOL_SOCKET, libc::SCM_RIGHTS) => {
                for (slot, file) in payload.chunks_exact_mut(4).zip(pool().iter().cycle()) {
                    slot.copy_from_slice(&file.as_raw_fd().to_ne_bytes());
                }
            }
            (libc::SOL_SOCKET, libc::SCM_CREDENTIALS) if payload.len() >= 12 => {
                payload[..4].copy_from_slice(&own.pid.to_ne_bytes());
                payload[4..8].copy_from_slice(&own.uid.to_ne_bytes());
                payload[8..12].copy_from_slice(&own.gid.to_ne_bytes());
            }
            _ => {}
        }
    }
}

fn send(socket: BorrowedFd<'_>, data: usize, control: &mut [u8]) -> bool {
    let mut bytes = [0xd7u8; 256];
    let mut iov = libc::iovec { iov_base: bytes.as_mut_ptr().cast(), iov_len: data };
    // SAFETY: integers and pointers, for which zero is a value.
    let mut header: libc::msghdr = unsafe { std::mem::zeroed() };
    (header.msg_iov, header.msg_iovlen) = (&mut iov, 1);
    (header.msg_control, header.msg_controllen) = (control.as_mut_ptr().cast(), control.len());
    // SAFETY: the descriptor is borrowed, hence open; the header describes memory that lives until the call returns.
    unsafe { libc::sendmsg(socket.as_raw_fd(), &header, libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL) >= 0 }
}

fn run(input: Input) {
    let Input { family, sends, receives } = input;
    let (a, b) = match family % 5 {
        0 => unix(SockType::Stream),
        1 => unix(SockType::Datagram),
        2 => unix(SockType::SeqPacket),
        3 => udp("127.0.0.1:0").unwrap(),
        _ => match udp("[::1]:0") {
            Ok(pair) => pair,
            Err(_) => return,
        },
    };
    if family & 0x80 != 0 {
        let _ = b.enable::<Credentials>();
        let _ = b.enable::<ScmPidfd>();
    }
    if family & 0x40 != 0 {
        let _ = b.enable::<Timestamp>();
        let _ = b.enable::<PktInfo>();
        let _ = b.enable::<HopLimit>();
        let _ = b.enable::<TrafficClass>();
        let _ = b.enable::<IpRecvOpts<'_>>();
    }
    if family & 0x20 != 0 {
        let _ = set_option(&b, libc::SOL_SOCKET, 84, 1); // SO_INQ
    }
    for Send { data, control: parts, cut, honest } in sends.into_iter().take(4) {
        let mut control = control(&parts, cut);
        if honest {
            made_true(&mut control);
        }
        send(a.as_fd(), data.into(), &mut control);
    }
    drop(a);

    let (mut held, mut frame) = (Vec::new(), RecvExact::new());
    let mut control = ControlVec::<Meta>::with_capacity(0);
    for receive in receives.iter().take(8) {
        let mut data = vec![0; receive.room.into()];
        if control.capacity() != usize::from(receive.control % 600) && frame.received() == 0 {
            control = ControlVec::with_capacity(usize::from(receive.control % 600));
        }
        if receive.exact {
            data.resize(16 + data.len(), 0);
            if let Ok(mut message) = frame.recv(&b, &mut data, &mut control) {
                held.extend(message.take_fds().take(receive.take.into()));
            }
            continue;
        }
        frame = RecvExact::new();
        let mut header = MsgHdrMut::new();
        let flags = RecvFlags::from_bits_truncate(i32::from(receive.flags)) | RecvFlags::DONTWAIT;
        header.data(&mut data).flags(flags);
        let Ok(mut message) = header.recv(&b, &mut control) else { continue };
        let _ = (message.extract(), message.peer().map(ToString::to_string), message.try_get::<Credentials>());
        assert!(!format!("{message:?}").is_empty());
        let lent = message.fds().count();
        assert!(message.fds().all(|fd| fd.try_clone_to_owned().is_ok()));
        let _ = message.take_pidfd().map(|fd| held.extend(fd));
        let before = held.len();
        held.extend(message.take_fds().take(receive.take.into()));
        assert_eq!(held.len() - before, lent.min(receive.take.into()));
    }
    let _ = control.extract();
    assert!(held.iter().all(|fd| fd.try_clone().is_ok()), "what was taken is open");
}

fuzz_target!(|input: Input| {
    static READY: OnceLock<(UnixStream, UnixDatagram)> = OnceLock::new();
    READY.get_or_init(|| (UnixStream::pair().unwrap().0, UnixDatagram::unbound().unwrap()));
    pool();
    let before = Open::now();
    run(input);
    assert!(before == Open::now(), "other descriptors are open than before");
});
