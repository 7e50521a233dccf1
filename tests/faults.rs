//! Signals, errors in any call, peers that go, and descriptors for other processes.

#![cfg(target_os = "linux")]

mod common;

use std::{
    fs::{self, File},
    io::{self, ErrorKind, IoSlice, Read, Seek, Write},
    net::UdpSocket,
    os::{
        fd::{AsFd, AsRawFd, OwnedFd},
        unix::net::{UnixDatagram, UnixStream},
    },
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use ancillary::{
    ControlBuf, ControlVec, MsgHdr, MsgHdrMut, RecvExact, RecvFlags, SocketExt, cmsg,
    message::{HopLimit, ScmRights},
};
use common::{
    again::{again, is_child, until_ok, works},
    no_leak, open_count,
    pairs::{sigpipe_is_pending, stream as pair},
    pipes::{contents, numbered},
    starting::{Start, gone},
};
use nix::{
    fcntl::OFlag,
    libc,
    sys::{
        memfd::{MFdFlags, memfd_create},
        signal::{SigSet, Signal, kill},
        socket,
        wait::{WaitPidFlag, WaitStatus, waitpid},
    },
    unistd::{Pid, gettid, pipe2},
};

const TIMEOUT: Duration = Duration::from_secs(20);

/// Ended with the test, whatever happens.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The socket that the parent has made our standard input.
fn parent() -> UnixStream {
    io::stdin().as_fd().try_clone_to_owned().unwrap().into()
}

fn pattern(len: usize) -> Vec<u8> {
    (0..len as u32).map(|i| (i.wrapping_mul(0x9e37_79b1) >> 23) as u8).collect()
}

// Injected errors

/// A fixed number of calls that all succeed at once if nothing is lost: no end waits for the other.
fn exchange() -> Vec<i32> {
    let (mut errors, before) = (Vec::new(), open_count());
    {
        let ((a, b), (c, d), fds) = (pair(), UnixDatagram::pair().unwrap(), numbered(3));
        for (stream, datagram) in [(&a, &c), (&b, &d)] {
            stream.set_nonblocking(true).unwrap();
            datagram.set_nonblocking(true).unwrap();
        }
        let data = pattern(12_000);
        let slices: Vec<_> = data.chunks(4).map(IoSlice::new).collect();
        let (mut header, mut copy, mut control) = (MsgHdr::new(), vec![0; data.len()], ControlBuf::<()>::new());
        header.slices(&slices).control(ScmRights::new(&fds));
        let mut at = 0;
        let sent = until_ok(&mut errors, || {
            assert!(header.sent() >= at && header.sent() % 4096 == 0);
            at = header.sent();
            header.send_all(&a)
        });
        assert_eq!(sent, data.len());
        let mut exact = RecvExact::new();
        let mut recv = |data: &mut [u8]| exact.recv(&b, data, &mut control).map(|mut m| contents(m.take_fds()));
        let received = until_ok(&mut errors, || recv(&mut copy));
        assert!(copy == data && received == ["0", "1", "2"]);

        // Descriptors in each of the calls that one receive takes.
        let fds = numbered(6);
        for fd in &fds {
            assert_eq!(until_ok(&mut errors, || a.send_fds(b"abcd", [fd])), 4);
        }
        let mut copy = [0; 24];
        let received = until_ok(&mut errors, || recv(&mut copy));
        assert!(copy == *b"abcdabcdabcdabcdabcdabcd" && received == ["0", "1", "2", "3", "4", "5"]);

        // Datagrams into the same buffers each time: with a descriptor, plain, in pieces.
        let (fds, mut data) = (numbered(6), [0; 8]);
        for (k, fd) in fds.iter().enumerate() {
            let text = format!("number {k}");
            let (head, tail) = text.split_at(3);
            assert_eq!(until_ok(&mut errors, || c.send_fds(text.as_bytes(), [fd])), 8);
            assert_eq!(until_ok(&mut errors, || MsgHdr::new().data(text.as_bytes()).send(&c)), 8);
            assert_eq!(until_ok(&mut errors, || MsgHdr::new().data(head.as_bytes()).data(tail.as_bytes()).send(&c)), 8);
            for expected in [vec![k.to_string()], vec![], vec![]] {
                let number =
                    until_ok(&mut errors, || d.recv_msg(&mut data, &mut control).map(|mut m| contents(m.take_fds())));
                assert_eq!((number, &data[..]), (expected, text.as_bytes()));
            }
        }
    }
    assert_eq!(open_count(), before);
    errors
}

/// Runs the exchange under strace; what the library reported, how many calls there were, and how many it never made.
fn traced(name: &str, call: &str, inject: Option<&str>) -> (Vec<String>, usize, usize) {
    let (trace, inject) = (format!("trace={call}"), inject.map(|how| format!("inject={call}:{how}")));
    let mut under = vec!["strace", "-f", "-qq", "-e", "signal=none", "-e", &trace];
    under.extend(inject.iter().flat_map(|inject| ["-e", inject]));
    let output = again(name, &under).stdin(Stdio::null()).finish().unwrap();
    let (out, log) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{under:?}: {out}{log}");
    let (_, surfaced) = out.split_once("surfaced [").unwrap_or_else(|| panic!("{under:?}: {out}{log}"));
    let surfaced = surfaced.split_once(']').unwrap().0;
    let surfaced = surfaced.split(", ").filter(|errno| !errno.is_empty()).map(String::from).collect();
    (surfaced, log.matches(&format!("{call}(")).count(), log.matches("(INJECTED)").count())
}

/// FI01, FI02
#[test]
fn an_error_in_any_call_loses_and_doubles_nothing() {
    let name = "an_error_in_any_call_loses_and_doubles_nothing";
    if is_child() {
        return println!("surfaced {:?}", exchange());
    }
    if !works(name, "strace", &["-o", "/dev/null", "true"]) {
        return;
    }
    no_leak(|| {
        for call in ["sendmsg", "sendto", "recvmsg"] {
            let (surfaced, calls, injected) = traced(name, call, None);
            assert!(surfaced.is_empty() && injected == 0 && calls >= 12, "{surfaced:?} {calls} {injected}");
            for (error, errno) in [
                ("EINTR", None),
                ("EAGAIN", Some(libc::EAGAIN)),
                ("ENOBUFS", Some(libc::ENOBUFS)),
                ("ENOMEM", Some(libc::ENOMEM)),
            ] {
                for when in ["1+2", "2+2", "2+3", "1..4", "12"] {
                    let (surfaced, made, injected) = traced(name, call, Some(&format!("error={error}:when={when}")));
                    let case = format!("{call}, {error}, {when}: {surfaced:?}");
                    assert!(injected > 0, "{case}");
                    // Every call that was made was needed.
                    assert_eq!(made - injected, calls, "{case}");
                    let expected = errno.map_or(vec![], |errno| vec![errno.to_string(); injected]);
                    assert_eq!(surfaced, expected, "{case}");
                }
            }
        }
    });
}

// Signals

/// Stops and continues a process while its thread sleeps, as job control does. A call on a socket with a timeout ends
/// with EINTR then, without any handler (signal(7)).
fn interrupt(process: Pid, thread: i32) {
    let stat = format!("/proc/{process}/task/{thread}/stat");
    let start = Instant::now();
    while !fs::read_to_string(&stat).unwrap().rsplit_once(')').unwrap().1.starts_with(" S") {
        assert!(start.elapsed() < TIMEOUT, "it does not wait");
        thread::yield_now();
    }
    kill(process, Signal::SIGSTOP).unwrap();
    assert_eq!(waitpid(process, Some(WaitPidFlag::WUNTRACED)), Ok(WaitStatus::Stopped(process, Signal::SIGSTOP)));
    kill(process, Signal::SIGCONT).unwrap();
    assert_eq!(waitpid(process, Some(WaitPidFlag::WCONTINUED)), Ok(WaitStatus::Continued(process)));
}

/// A child at the other end of the socket, with the thread that runs the test.
fn start(name: &str) -> (UnixStream, Running, Pid, i32) {
    let (socket, theirs) = pair();
    let child = Running(again(name, &[]).stdin(OwnedFd::from(theirs)).stdout(Stdio::null()).start().unwrap());
    let (pid, thread) = (Pid::from_raw(child.0.id() as i32), read_int(&socket));
    (socket, child, pid, thread)
}

fn read_int(mut socket: &UnixStream) -> i32 {
    let mut int = [0; 4];
    socket.read_exact(&mut int).unwrap();
    i32::from_ne_bytes(int)
}

fn write_int(mut socket: &UnixStream, int: i32) {
    socket.write_all(&int.to_ne_bytes()).unwrap();
}

/// What a call that does not repeat itself says; the proof that there was an interruption.
fn errno<T>(result: nix::Result<T>) -> i32 {
    result.err().map_or(0, |errno| errno as i32)
}

/// NB03, NB05, NB08
#[test]
fn an_interrupted_receive_goes_on() {
    let name = "an_interrupted_receive_goes_on";
    if is_child() {
        let socket = parent();
        write_int(&socket, gettid().as_raw());
        write_int(&socket, errno(socket::recv(socket.as_raw_fd(), &mut [0; 3], socket::MsgFlags::empty())));
        let (mut data, mut control) = ([0; 3], ControlBuf::<()>::new());
        assert_eq!(socket.recv_msg(&mut data, &mut control).unwrap().data(), b"msg");
        let mut message = socket.recv_exact(&mut data, &mut control).unwrap();
        assert_eq!(contents(message.take_fds()), ["0", "1", "2"]);
        return assert_eq!(&data, b"xyz");
    }
    no_leak(|| {
        let (socket, mut child, pid, thread) = start(name);
        interrupt(pid, thread);
        assert_eq!(read_int(&socket), libc::EINTR);
        for _ in 0..3 {
            interrupt(pid, thread);
        }
        MsgHdr::new().data(b"msg").send_all(&socket).unwrap();
        for (text, fd) in [b"x", b"y", b"z"].into_iter().zip(numbered(3)) {
            interrupt(pid, thread);
            socket.send_fds(text, [&fd]).unwrap();
        }
        assert!(child.0.wait().unwrap().success());
    });
}

/// NB04, NB05, NB08
#[test]
fn an_interrupted_send_goes_on() {
    const LEN: usize = 4 << 20;
    let name = "an_interrupted_send_goes_on";
    if is_child() {
        let socket = parent();
        write_int(&socket, gettid().as_raw());
        let fd = socket.as_raw_fd();
        while socket::send(fd, &[0; 1000], socket::MsgFlags::MSG_DONTWAIT).is_ok() {}
        let errno = errno(socket::send(fd, &[0; 1000], socket::MsgFlags::empty()));
        let (data, fds) = (pattern(LEN), numbered(2));
        let mut header = MsgHdr::new();
        header.data(&data[..LEN / 2]).data(&data[LEN / 2..]).control(ScmRights::new(&fds));
        assert_eq!(header.send_all(&socket).unwrap(), LEN);
        return write_int(&socket, errno);
    }
    no_leak(|| {
        let (socket, mut child, pid, thread) = start(name);
        let (mut all, mut fds, mut room) = (Vec::new(), Vec::new(), vec![0; 100_000]);
        let mut read = || {
            let mut control = ControlBuf::<()>::new();
            let mut message = socket.recv_msg(&mut room, &mut control).unwrap();
            all.extend_from_slice(message.data());
            fds.extend(message.take_fds());
            !message.is_eof()
        };
        // Before its first byte, and then in the middle.
        for _ in 0..4 {
            interrupt(pid, thread);
        }
        for _ in 0..10 {
            assert!(read());
            interrupt(pid, thread);
        }
        while read() {}
        assert!(child.0.wait().unwrap().success());
        let (rest, errno) = all.split_at(all.len() - 4);
        assert_eq!(errno, libc::EINTR.to_ne_bytes());
        let (filler, data) = rest.split_at(rest.len() - LEN);
        assert!(filler.iter().all(|&byte| byte == 0) && data == pattern(LEN));
        assert_eq!(contents(fds), ["0", "1"]);
    });
}

#[test]
fn a_peer_that_goes_is_an_error_that_keeps_the_state_and_raises_no_signal() {
    no_leak(|| {
        let sigpipe: SigSet = [Signal::SIGPIPE].into_iter().collect();
        sigpipe.thread_block().unwrap();
        let (data, fds) = (pattern(1_000_000), numbered(1));
        for before in [0, 1, 40_000] {
            let (a, b) = pair();
            a.set_nonblocking(true).unwrap();
            let mut header = MsgHdr::new();
            header.data(&data).control(ScmRights::new(&fds));
            if before > 0 {
                assert_eq!(header.send_all(&a).unwrap_err().kind(), ErrorKind::WouldBlock);
                (&b).read_exact(&mut vec![0; before]).unwrap();
            }
            let sent = header.sent();
            assert!(sent >= before && sent < data.len());
            gone(b);
            for _ in 0..2 {
                assert_eq!(header.send_all(&a).unwrap_err().raw_os_error(), Some(libc::EPIPE));
                assert_eq!(header.sent(), sent);
                assert!(!sigpipe_is_pending());
            }
            // It goes on where it stopped; only what never went has its descriptors still to come.
            let ((a, b), mut control, mut rest) = (pair(), ControlBuf::<()>::new(), vec![0; data.len() - sent]);
            thread::scope(|scope| {
                scope.spawn(|| assert_eq!(header.send_all(&a).unwrap(), data.len()));
                assert_eq!(b.recv_exact(&mut rest, &mut control).unwrap().fds().count(), usize::from(sent == 0));
            });
            assert!(rest == data[sent..]);
        }
        // The check sees a signal where one is asked for.
        let (a, b) = pair();
        gone(b);
        assert_eq!(MsgHdr::new().data(b"x").raise_sigpipe().send_all(&a).unwrap_err().kind(), ErrorKind::BrokenPipe);
        assert!(sigpipe_is_pending());
        assert_eq!(sigpipe.wait(), Ok(Signal::SIGPIPE));
        sigpipe.thread_unblock().unwrap();
    });
}

/// NB07, FL08
#[test]
fn a_receive_that_finds_nothing_leaves_nothing_of_the_last_one() {
    no_leak(|| {
        let (receiver, sender) = (UdpSocket::bind("127.0.0.1:0").unwrap(), UdpSocket::bind("127.0.0.1:0").unwrap());
        receiver.enable::<HopLimit>().unwrap();
        let (to, from) = (receiver.local_addr().unwrap(), sender.local_addr().unwrap());
        let (mut data, mut control) = ([b'.'; 8], ControlBuf::<HopLimit>::new());
        for round in 0..3 {
            MsgHdr::new().to(to).data(b"text").control(HopLimit(9)).send(&sender).unwrap();
            receiver.set_nonblocking(false).unwrap();
            receiver.set_read_timeout(Some(TIMEOUT)).unwrap();
            let message = receiver.recv_msg(&mut data, &mut control).unwrap();
            assert_eq!((message.data(), message.extract()), (&b"text"[..], Some(HopLimit(9))));
            assert_eq!(message.peer().and_then(|peer| peer.as_inet()), Some(from));
            // A time that is over before it begins, in three ways.
            receiver.set_read_timeout(Some(Duration::from_micros(1))).unwrap();
            receiver.set_nonblocking(round == 1).unwrap();
            let flags = if round == 2 { RecvFlags::DONTWAIT } else { RecvFlags::empty() };
            let mut header = MsgHdrMut::new();
            let error = header.data(&mut data).flags(flags).recv(&receiver, &mut control).map(drop).unwrap_err();
            assert_eq!((error.kind(), error.raw_os_error()), (ErrorKind::WouldBlock, Some(libc::EAGAIN)));
            assert_eq!((header.filled().count(), control.cmsgs().count()), (0, 0));
            assert_eq!(&data, b"text....");
        }
    });
}

// Other processes

/// FD18
#[test]
fn a_child_sends_a_file_that_it_has_written() {
    const TEXT: &str = "written by the child\n";
    if is_child() {
        let mut file = File::from(memfd_create("child", MFdFlags::MFD_CLOEXEC).unwrap());
        file.write_all(TEXT.as_bytes()).unwrap();
        file.rewind().unwrap();
        return assert_eq!(io::stdin().send_fds(b"x", [&file]).unwrap(), 1);
    }
    no_leak(|| {
        let (socket, theirs) = pair();
        let output = again("a_child_sends_a_file_that_it_has_written", &[]).stdin(OwnedFd::from(theirs)).finish();
        assert!(output.unwrap().status.success());
        let (mut data, mut control) = ([0; 1], ControlVec::<()>::with_capacity(cmsg::space(4).unwrap()));
        let mut message = socket.recv_msg(&mut data, &mut control).unwrap();
        message.require_complete().unwrap();
        assert_eq!((message.control_bytes().len(), message.cmsgs().count()), (cmsg::space(4).unwrap(), 1));
        let [fd] = message.take_fds_exact().unwrap();
        let (mut file, mut text) = (File::from(fd), String::new());
        assert_eq!(file.stream_position().unwrap(), 0);
        file.read_to_string(&mut text).unwrap();
        assert_eq!(text, TEXT);
        assert!(socket.recv_msg(&mut data, &mut control).unwrap().is_eof());
    });
}

/// Takes one descriptor with its text from standard input, and does what the argument says with it.
const PEER: &str = "
import array, os, socket, sys
peer = socket.socket(fileno=os.dup(0))
peer.settimeout(20)
data, [(level, kind, payload)], flags, _ = peer.recvmsg(100, socket.CMSG_SPACE(4))
assert (level, kind, flags & socket.MSG_CTRUNC) == (socket.SOL_SOCKET, socket.SCM_RIGHTS, 0)
fd, = array.array('i', payload)
if sys.argv[1] == 'read':
    os.write(1, data + b': ' + os.read(fd, 100))
else:
    os.write(fd, data + b' line\\n')
";

/// What the peer prints once it has got the descriptor, of which no copy is left here.
fn python(what: &str, text: &[u8], fd: OwnedFd) -> Vec<u8> {
    let (socket, theirs) = pair();
    socket.send_fds(text, [&fd]).unwrap();
    drop(fd);
    let output = Command::new("python3").args(["-c", PEER, what]).stdin(OwnedFd::from(theirs)).finish().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    output.stdout
}

/// FD39, FD40
#[test]
fn a_descriptor_given_to_another_program_is_its_own() {
    if !works("a_descriptor_given_to_another_program_is_its_own", "python3", &["--version"]) {
        return;
    }
    no_leak(|| {
        let mut file = File::from(memfd_create("ours", MFdFlags::MFD_CLOEXEC).unwrap());
        file.write_all(b"test data").unwrap();
        file.rewind().unwrap();
        assert_eq!(python("read", b"fds", file.into()), b"fds: test data");

        let (reader, writer) = pipe2(OFlag::O_CLOEXEC | OFlag::O_NONBLOCK).unwrap();
        assert_eq!(python("write", b"one", writer), b"");
        // With a copy left open anywhere the end would be WouldBlock.
        let mut text = String::new();
        File::from(reader).read_to_string(&mut text).unwrap();
        assert_eq!(text, "one line\n");
    });
}
