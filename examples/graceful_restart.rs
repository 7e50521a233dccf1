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
    process::{Child, ChildStdout, Command, Stdio, id},
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

/// A server that another process is.
struct Server {
    process: Child,
    out: BufReader<ChildStdout>,
    name: String,
    addr: SocketAddr,
}

impl Server {
    fn start(path: &str) -> io::Result<Self> {
        let mut command = Command::new(std::env::current_exe()?);
        let mut process = command.args(["serve", path]).stdout(Stdio::piped()).spawn()?;
        let (mut out, mut line) = (BufReader::new(process.stdout.take().expect("piped")), String::new());
        out.read_line(&mut line)?;
        print!("{line}");
        let parts = line.trim_end().split_once(" serves ").and_then(|(name, addr)| Some((name, addr.parse().ok()?)));
        let (name, addr) = parts.ok_or(ErrorKind::InvalidData)?;
        Ok(Self { process, out, name: name.to_owned(), addr })
    }

    /// Waits until it ends, which it does by itself when it has been replaced.
    fn end(mut self) -> io::Result<()> {
        let mut rest = String::new();
        let said = self.out.read_to_string(&mut rest);
        let status = self.process.wait()?;
        said?;
        print!("{rest}");
        if status.success() { Ok(()) } else { Err(io::Error::other(status.to_string())) }
    }
}

/// Replaces the server three times; each time when the new one has answered.
fn replace(mut server: Server, path: &str) -> io::Result<Server> {
    for _ in 0..3 {
        let next = Server::start(path)?;
        // For a moment both answer, and then the new one alone.
        while ask(next.addr)? != next.name {}
        std::mem::replace(&mut server, next).end()?;
    }
    Ok(server)
}

fn show() -> io::Result<()> {
    let path = std::env::temp_dir().join(format!("graceful_restart.{}", id()));
    let path = path.to_str().ok_or(ErrorKind::InvalidInput)?;
    let server = Server::start(path)?;
    let addr = server.addr;
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
        let last = replace(server, path);
        end.store(true, Ordering::Relaxed);
        let answered = clients.map(|client| client.join().expect("no panic"));
        let mut last = last?;
        last.process.kill()?;
        last.process.wait()?;
        for answered in answered {
            println!("a client: {} connections, every one answered", answered?);
        }
        Ok(())
    })
    .and_then(|()| fs::remove_file(path))
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
