//! A dual-stack UDP echo on io_uring: one request receives all datagrams, each into a buffer that the kernel chooses, with
//! destination and hop limit as types; it answers from the address it was asked on, with the hop limit it was asked with.
//!
//! `uring_echo [PORT]` serves for ever; `uring_echo --once` asks itself over IPv4 and IPv6, checks, and ends.

#[cfg(uring)]
fn main() -> std::io::Result<()> {
    use ancillary::SocketExt;
    use std::{
        net::{IpAddr, UdpSocket},
        thread,
    };

    let argument = std::env::args().nth(1);
    let once = argument.as_deref() == Some("--once");
    let Ok(port) = argument.as_deref().filter(|_| !once).map_or(Ok(0), str::parse) else {
        eprintln!("usage: uring_echo [PORT | --once]");
        std::process::exit(2);
    };
    let mut ring = match io_uring::IoUring::new(256) {
        Ok(ring) => ring,
        Err(error) => {
            println!("io_uring is not to be had here (containers forbid it): {error}");
            return Ok(());
        }
    };
    let server = UdpSocket::bind(("::", port))?;
    server.enable::<echo::Meta>()?; // before the address is known to anybody
    let port = server.local_addr()?.port();
    println!("serving port {port}");
    if !once {
        return echo::serve(&mut ring, &server, usize::MAX);
    }
    let mut asked = vec!["127.0.0.1", "127.0.0.53", "127.1.2.3", "::1"];
    asked.retain(|addr| UdpSocket::bind((*addr, 0)).is_ok());
    let count = 10 * asked.len();
    let server = thread::spawn(move || echo::serve(&mut ring, &server, count));
    for addr in asked {
        let to = (addr.parse::<IpAddr>().expect("an address"), port);
        match echo::ask(to.into()) {
            // It has said why.
            Err(_) if server.is_finished() => break,
            done => done?,
        }
    }
    server.join().expect("no panic")
}

#[cfg(uring)]
mod echo {
    use ancillary::{
        ControlBuf, MsgHdr, SocketExt,
        message::{HopLimit, PktInfo},
        pinned::{RecvMsgMulti, SendMsg},
    };
    use io_uring::{IoUring, cqueue, opcode, squeue::Entry, types};
    use nix::libc;
    use std::{
        io,
        net::{SocketAddr, UdpSocket},
        os::fd::AsRawFd,
        time::Duration,
    };

    pub(crate) type Meta = (PktInfo, HopLimit);

    /// The group of buffers, and the number of the request that receives; those of answers count from 0.
    const GROUP: u16 = 0;
    const RECEIVE: u64 = u64::MAX;

    /// Answers `count` datagrams.
    pub(crate) fn serve(ring: &mut IoUring, server: &UdpSocket, count: usize) -> io::Result<()> {
        let mut receive = RecvMsgMulti::<Meta>::new(256, 1500);
        let (address, entries) = receive.register()?;
        // SAFETY: the buffers stay where they are until `release` below, or for ever.
        if let Err(error) = unsafe { ring.submitter().register_buf_ring_with_flags(address, entries, GROUP, 0) } {
            println!("buffers in a ring (Linux 5.19): {error}");
            return Ok(());
        }
        let mut answers: Vec<SendMsg> = (0..128).map(|_| SendMsg::new()).collect();
        let mut free: Vec<usize> = (0..answers.len()).collect();
        let socket = types::Fd(server.as_raw_fd());
        let mut left = count;
        while left > 0 {
            if receive.requests() == 0 {
                let entry = opcode::RecvMsgMulti::new(socket, receive.start()?, GROUP).flags(receive.flags());
                push(ring, entry.build().user_data(RECEIVE))?;
            }
            ring.submit_and_wait(1)?;
            while let Some(done) = next(ring) {
                if let Some(answer) = usize::try_from(done.user_data()).ok().and_then(|slot| answers.get_mut(slot)) {
                    if let Err(error) = answer.complete(done.result(), done.flags()) {
                        eprintln!("{error}"); // one client's trouble is not the server's
                    }
                    free.push(done.user_data() as usize);
                    left -= 1;
                    continue;
                }
                let message = match receive.complete(done.result(), done.flags()) {
                    Ok(message) => message,
                    // All buffers are in use: it starts again.
                    Err(error) if error.raw_os_error() == Some(libc::ENOBUFS) => continue,
                    Err(error) if error.raw_os_error() == Some(libc::EINVAL) => {
                        println!("receives that go on (Linux 6.0): {error}");
                        return Ok(());
                    }
                    Err(error) => return Err(error),
                };
                println!("{message:?}");
                let (info, hops) = message.extract();
                let control = (info.and_then(|info| info.reply()), hops.filter(|hops| hops.0 > 0));
                let mut answer = MsgHdr::new();
                answer.to(message.peer()).data(b"you said ").data(message.data()).control(control);
                let Some(slot) = free.pop() else {
                    // More than there are slots: this one goes at once.
                    answer.send(server)?;
                    left -= 1;
                    continue;
                };
                answers[slot].copy(&answer)?;
                let entry = opcode::SendMsg::new(socket, answers[slot].start()?).flags(answers[slot].flags());
                push(ring, entry.build().user_data(slot as u64))?;
            }
        }
        // What is in flight when the ring is closed would be leaked.
        ring.submitter().register_sync_cancel(None, types::CancelBuilder::user_data(RECEIVE))?;
        while receive.requests() > 0 {
            ring.submit_and_wait(1)?;
            while let Some(done) = next(ring) {
                let _ = receive.complete(done.result(), done.flags());
            }
        }
        ring.submitter().unregister_buf_ring(GROUP)?;
        receive.release()?;
        Ok(())
    }

    fn next(ring: &mut IoUring) -> Option<cqueue::Entry> {
        ring.completion().next()
    }

    /// One request of one start. Its completions are reported to that message, by its number, and no others.
    fn push(ring: &mut IoUring, entry: Entry) -> io::Result<()> {
        // SAFETY: as above; the messages keep what the entry names where it is until then, and the socket is borrowed by
        // `serve`, which the kernel has taken before it returns.
        if unsafe { ring.submission().push(&entry) }.is_ok() {
            return Ok(());
        }
        ring.submit()?;
        // SAFETY: likewise.
        unsafe { ring.submission().push(&entry) }.map_err(io::Error::other)
    }

    /// A connected socket: the kernel drops every answer that does not come from `to`.
    pub(crate) fn ask(to: SocketAddr) -> io::Result<()> {
        let client = UdpSocket::bind(if to.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" })?;
        client.set_read_timeout(Some(Duration::from_secs(5)))?;
        client.connect(to)?;
        client.enable::<HopLimit>()?;
        let (mut data, mut control) = ([0; 64], ControlBuf::<HopLimit>::new());
        for hops in 1..=10 {
            MsgHdr::new().data(b"ping").control(HopLimit(hops)).send(&client)?;
            let answer = client.recv_msg(&mut data, &mut control)?;
            assert_eq!((answer.data(), answer.extract()), (&b"you said ping"[..], Some(HopLimit(hops))));
        }
        println!("  {to} answered from its own address, as far as it was asked");
        Ok(())
    }
}

#[cfg(not(uring))]
fn main() {
    println!("io_uring is Linux's, and the crate io-uring knows some machines alone");
}
