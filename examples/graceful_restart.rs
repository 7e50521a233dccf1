//! A server that is replaced while it serves: the new process gets the listener from the old one, and no connection is lost.
//!
//! `graceful_restart serve PATH` listens on a port of its choice; a second one with the same PATH takes the port over, and the
//! first ends when it has answered what it has accepted. Every connection is told the process that answers: `nc ADDR PORT`.
//! `graceful_restart` alone shows it: a server, a client that connects all the time, and three successors.
//!
//! The listening socket itself travels (`SCM_RIGHTS`), and with it the queue of connections that nobody has accepted yet. The
//! old process goes on until the new one has said that it serves: if that one fails, nothing has happened. PATH admits whom
//! its directory's permissions admit.

use std::{
    fs,
    io::{self, BufRead, BufReader, ErrorKind, Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    os::{
        fd::AsFd,
        unix::net::{UnixListener, UnixStream},
    },
    process::{Child, Command, Stdio, id},
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::Duration,
};

use ancillary::SocketExt;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

const PATIENCE: Option<Duration> = Some(Duration::from_secs(5));

/// Where clients come, and where the next process does.
type Listeners = (TcpListener, UnixListener);

/// From the process that serves now, or new ones if there is none. The connection is there to say when we do.
fn listeners(path: &str) -> io::Result<(Listeners, Option<UnixStream>)> {
    let before = match UnixStream::connect(path) {
        Ok(before) => before,
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::ConnectionRefused) => {
            let _ = fs::remove_file(path); // of one that has not ended well
            let listeners = (TcpListener::bind("127.0.0.1:0")?, UnixListener::bind(path)?);
            // Two processes wait for the same connections for a while, and one finds nothing.
            listeners.0.set_nonblocking(true)?;
            listeners.1.set_nonblocking(true)?;
            return Ok((listeners, None));
        }
        Err(error) => return Err(error),
    };
    before.set_read_timeout(PATIENCE)?;
    // Two, or an error; whatever else came is closed.
    let [tcp, unix] = before.recv_fds::<2>(&mut [0; 1])?.exact()?;
    Ok(((tcp.into(), unix.into()), Some(before)))
}

/// Gives the listeners away; whether somebody serves with them now.
fn hand_over(to: &mut UnixStream, (tcp, unix): &Listeners) -> io::Result<()> {
    to.set_nonblocking(false)?;
    to.set_read_timeout(PATIENCE)?;
    to.send_fds(b"2", [tcp.as_fd(), unix.as_fd()])?;
    to.read_exact(&mut [0; 1])
}

fn answer(mut client: TcpStream) -> io::Result<()> {
    client.set_nonblocking(false)?;
    client.set_read_timeout(PATIENCE)?;
    let mut name = String::new();
    BufReader::new(&client).read_line(&mut name)?;
    client.write_all(format!("process {} answers {name}", id()).as_bytes())
}

fn serve(path: &str) -> io::Result<()> {
    let (listeners, before) = listeners(path)?;
    println!("process {} serves {}", id(), listeners.0.local_addr()?);
    if let Some(mut before) = before {
        before.write_all(b"!")?;
    }
    let mut clients = Vec::new();
    loop {
        let mut ready = [&listeners.0.as_fd(), &listeners.1.as_fd()].map(|fd| PollFd::new(*fd, PollFlags::POLLIN));
        poll(&mut ready, PollTimeout::NONE)?;
        match listeners.1.accept() {
            Ok((mut next, _)) => match hand_over(&mut next, &listeners) {
                Ok(()) => break,
                Err(error) => eprintln!("process {}: nobody takes over: {error}", id()),
            },
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
        match listeners.0.accept() {
            Ok((client, _)) => clients.push(thread::spawn(|| answer(client))),
            // The other process was faster, or the client has gone.
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::ConnectionAborted) => {}
            Err(error) => return Err(error),
        }
    }
    drop(listeners);
    let served = clients.len();
    let failed = clients.into_iter().filter_map(|client| client.join().expect("no panic").err()).count();
    println!("process {} ends after {served} connections, {failed} failed", id());
    Ok(())
}

/// Which process answers; an error if none does.
fn ask(server: SocketAddr) -> io::Result<String> {
    let mut connection = TcpStream::connect(server)?;
    connection.set_read_timeout(PATIENCE)?;
    connection.write_all(b"me\n")?;
    let mut answer = String::new();
    connection.read_to_string(&mut answer)?;
    answer.strip_suffix(" answers me\n").map(str::to_owned).ok_or(ErrorKind::UnexpectedEof.into())
}

fn start(path: &str) -> io::Result<(Child, String)> {
    let mut server = Command::new(std::env::current_exe()?);
    let mut server = server.args(["serve", path]).stdout(Stdio::piped()).spawn()?;
    let mut line = String::new();
    // One byte after the other: what comes behind the line is left for `drain`.
    for byte in server.stdout.as_mut().expect("piped").bytes() {
        match byte? {
            b'\n' => break,
            byte => line.push(byte.into()),
        }
    }
    println!("{line}");
    Ok((server, line))
}

/// Replaces the server three times; each time when the new one has answered.
fn replace(path: &str, first: Child, addr: SocketAddr) -> io::Result<Child> {
    let mut server = first;
    for _ in 0..3 {
        let (next, line) = start(path)?;
        let name = line.split(" serves").next().unwrap_or_default();
        // For a moment both answer, and then the new one alone.
        while ask(addr)? != name {}
        let mut before = std::mem::replace(&mut server, next);
        let mut rest = String::new();
        before.stdout.take().expect("piped").read_to_string(&mut rest)?;
        print!("{rest}");
        assert!(before.wait()?.success());
    }
    Ok(server)
}

fn show() -> io::Result<()> {
    let path = std::env::temp_dir().join(format!("graceful_restart.{}", id()));
    let path = path.to_str().ok_or(ErrorKind::InvalidInput)?;
    let (server, line) = start(path)?;
    let addr: SocketAddr = line.rsplit(' ').next().and_then(|addr| addr.parse().ok()).ok_or(ErrorKind::InvalidData)?;
    ask(addr)?;
    let end = AtomicBool::new(false);
    let client = || -> io::Result<u32> {
        let mut answered = 0;
        while !end.load(Ordering::Relaxed) {
            ask(addr)?;
            answered += 1;
        }
        Ok(answered)
    };
    thread::scope(|scope| {
        let clients = [scope.spawn(client), scope.spawn(client)];
        let last = replace(path, server, addr);
        end.store(true, Ordering::Relaxed);
        for client in clients {
            let answered = client.join().expect("no panic")?;
            println!("a client: {answered} connections, every one answered");
        }
        let mut last = last?;
        last.kill()?;
        last.wait().map(drop)
    })?;
    fs::remove_file(path)
}

fn main() -> io::Result<()> {
    match std::env::args().skip(1).collect::<Vec<_>>().as_slice() {
        [] => show(),
        [mode, path] if mode == "serve" => serve(path),
        _ => {
            eprintln!("usage: graceful_restart [serve PATH]");
            std::process::exit(2);
        }
    }
}
