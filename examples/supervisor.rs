//! A small supervisor of one process: it is told (`NOTIFY_SOCKET`), checks who tells, and keeps descriptors (Linux).
//!
//! `supervisor COMMAND ...` runs a command and starts it again when it fails, three times at most; without a command it is
//! `notify`, the other half of this, from the same folder. Prints what it is told and by whom, what it stores, and how each
//! run ends.
//!
//! Anybody may write to the socket, so who sent counts: the kernel says the process ([`Credentials`]), and brings a descriptor
//! of it ([`ScmPidfd`], Linux 6.5), which, unlike a number, can never mean another process.

#[cfg(target_os = "linux")]
fn main() -> std::io::Result<()> {
    linux::main()
}

#[cfg(not(target_os = "linux"))]
fn main() {
    println!("SO_PASSCRED, pidfds and the abstract namespace are Linux's");
}

#[cfg(target_os = "linux")]
mod linux {
    use std::{
        fs, io,
        os::{
            fd::{AsFd, AsRawFd, OwnedFd},
            linux::net::SocketAddrExt,
            unix::net::{SocketAddr, UnixDatagram, UnixStream},
        },
        process::{Child, Command, Stdio},
        thread,
    };

    use ancillary::{
        ControlBuf, SocketExt,
        message::{Credentials, RecvList, ScmPidfd, ScmRightsSpace},
    };
    use nix::{
        poll::{PollFd, PollFlags, PollTimeout, poll},
        sys::wait::{Id, WaitPidFlag, waitid},
        unistd::Pid,
    };

    /// Descriptors in one message, and how many are kept.
    const MOST: usize = 16;
    type Meta = (Credentials, ScmPidfd, ScmRightsSpace<MOST>);

    struct Supervisor {
        socket: UnixDatagram,
        control: ControlBuf<Meta, { Meta::SPACE }>,
        store: Vec<(String, OwnedFd)>,
    }

    impl Supervisor {
        fn new(name: &str) -> io::Result<Self> {
            let socket = UnixDatagram::bind_addr(&SocketAddr::from_abstract_name(name)?)?;
            socket.set_nonblocking(true)?;
            socket.enable::<Credentials>()?;
            if !socket.try_enable::<ScmPidfd>()? {
                println!("no pidfds before Linux 6.5: the process's number alone is checked");
            }
            Ok(Self { socket, control: ControlBuf::new(), store: Vec::new() })
        }

        /// Reads all that is there.
        fn read(&mut self, child: u32) -> io::Result<()> {
            loop {
                // The descriptors that nobody took of the last message are closed first: BARRIER=1 waits for that.
                let mut data = [0; 4096];
                let mut message = match self.socket.recv_msg(&mut data, &mut self.control) {
                    Ok(message) => message,
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                    Err(error) => return Err(error),
                };
                let Some(sender) = message.get::<Credentials>() else { continue };
                // Two witnesses. Who has ended has a pidfd without a number, or before Linux 6.16 none (ESRCH).
                let process = message.take_pidfd().and_then(|pidfd| pidfd.as_ref().map(process_of).transpose());
                let is_child =
                    sender.pid as u32 == child && process.is_ok_and(|process| process.is_none_or(|pid| pid == child));
                if !is_child {
                    println!("ignored: {sender} is not the process {child}: {}", message.data().escape_ascii());
                    continue;
                }
                if let Err(cut) = message.require_complete() {
                    println!("ignored: {cut}");
                    continue;
                }
                let text = String::from_utf8_lossy(message.data()).into_owned();
                println!("told by {child}: {}", text.trim_end().replace('\n', ", "));
                let name = text.lines().find_map(|line| line.strip_prefix("FDNAME=")).unwrap_or("stored");
                if text.lines().any(|line| line == "FDSTOREREMOVE=1") {
                    self.store.retain(|(stored, _)| stored != name);
                }
                if text.lines().any(|line| line == "FDSTORE=1") {
                    for fd in message.take_fds().take(MOST - self.store.len()) {
                        self.store.push((name.to_owned(), fd));
                    }
                    println!("{} stored", self.store.len());
                }
            }
        }

        /// Starts the command, with what is stored.
        fn start(&self, name: &str, command: &[String]) -> io::Result<Child> {
            let (ours, theirs) = UnixStream::pair()?;
            let mut child = Command::new(&command[0]);
            child.args(&command[1..]).env("NOTIFY_SOCKET", format!("@{name}"));
            child.env("STORED_ON_STDIN", "1").stdin(Stdio::from(OwnedFd::from(theirs)));
            // What goes first is there before anybody looks.
            let names: Vec<_> = self.store.iter().map(|(name, _)| name.as_str()).collect();
            let names = names.join(":") + "\n";
            ours.send_fds(names.as_bytes(), self.store.iter().map(|(_, fd)| fd))?;
            child.spawn()
        }
    }

    /// The process of a pidfd; an error if it has ended, and has been waited for.
    fn process_of(pidfd: &OwnedFd) -> io::Result<u32> {
        let info = fs::read_to_string(format!("/proc/self/fdinfo/{}", pidfd.as_raw_fd()))?;
        let pid = info.lines().find_map(|line| line.strip_prefix("Pid:"));
        pid.and_then(|pid| pid.trim().parse().ok()).ok_or(io::ErrorKind::NotFound.into())
    }

    /// Hangs up when the process has ended. Nobody has waited for it then, so its number is still its own.
    fn end_of(child: &Child) -> io::Result<UnixStream> {
        let (ours, theirs) = UnixStream::pair()?;
        let process = Id::Pid(Pid::from_raw(child.id() as i32));
        thread::spawn(move || {
            let _ = waitid(process, WaitPidFlag::WEXITED | WaitPidFlag::WNOWAIT);
            drop(theirs);
        });
        Ok(ours)
    }

    pub(super) fn main() -> io::Result<()> {
        let mut command: Vec<String> = std::env::args().skip(1).collect();
        if command.is_empty() {
            command.push(std::env::current_exe()?.with_file_name("notify").to_string_lossy().into_owned());
        }
        let name = format!("supervisor.{}", std::process::id());
        let mut supervisor = Supervisor::new(&name)?;
        for _ in 0..3 {
            let mut child = supervisor.start(&name, &command)?;
            let end = end_of(&child)?;
            let mut ended = false;
            while !ended {
                let mut ready = [(supervisor.socket.as_fd(), PollFlags::POLLIN), (end.as_fd(), PollFlags::empty())]
                    .map(|(fd, flags)| PollFd::new(fd, flags));
                poll(&mut ready, PollTimeout::NONE)?;
                ended = ready[1].any() == Some(true);
                supervisor.read(child.id())?;
            }
            let status = child.wait()?;
            println!("process {} ends with {status}, {} descriptors stored", child.id(), supervisor.store.len());
            if status.success() {
                return Ok(());
            }
        }
        Err(io::Error::other("it has failed three times"))
    }
}
