//! A small supervisor of one process: it is told (`NOTIFY_SOCKET`), checks who tells, and keeps descriptors (Linux).
//!
//! `supervisor COMMAND ...` runs a command and starts it again when it fails, three times at most; without a command it is
//! `notify`, the other half of this, from the same folder. Prints what it is told and by whom, what it stores, and how each
//! run ends.
//!
//! Anybody may write to the socket, so who sent counts: the kernel says the process ([`Credentials`]), and brings a descriptor
//! of it ([`ScmPidfd`], Linux 6.5), which, unlike a number, can never mean another process. It shows readable when the
//! process has ended.

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
    };

    use ancillary::{
        ControlBuf, SocketExt,
        message::{Credentials, RecvList, ScmPidfd, ScmRightsSpace},
    };
    use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

    /// Descriptors in one message, and how many are kept.
    const MOST: usize = 16;
    type Meta = (Credentials, ScmPidfd, ScmRightsSpace<MOST>);

    struct Supervisor {
        socket: UnixDatagram,
        control: ControlBuf<Meta, { Meta::SPACE }>,
        store: Vec<(String, OwnedFd)>,
        process: Option<OwnedFd>,
    }

    impl Supervisor {
        fn new(name: &str) -> io::Result<Self> {
            let socket = UnixDatagram::bind_addr(&SocketAddr::from_abstract_name(name)?)?;
            socket.set_nonblocking(true)?;
            socket.enable::<Credentials>()?;
            if !socket.try_enable::<ScmPidfd>()? {
                println!("no pidfds before Linux 6.5: the process's number alone is checked");
            }
            Ok(Self { socket, control: ControlBuf::new(), store: Vec::new(), process: None })
        }

        /// Reads all that is there.
        fn read(&mut self, child: u32) -> io::Result<()> {
            loop {
                let mut data = [0; 4096];
                let mut message = match self.socket.recv_msg(&mut data, &mut self.control) {
                    Ok(message) => message,
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                    Err(error) => return Err(error),
                };
                let Some(sender) = message.get::<Credentials>() else { continue };
                // Two witnesses. A sender that has ended in between has no number any more.
                let pidfd = message.take_pidfd()?;
                let process = pidfd.as_ref().map(process_of).transpose()?;
                if sender.pid as u32 != child || process.is_some_and(|process| process != Some(child)) {
                    println!("ignored: {sender} is not the process {child}: {}", message.data().escape_ascii());
                    continue; // and with the next message its descriptors are closed
                }
                self.process = pidfd.or(self.process.take());
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
                // What nobody takes is closed now: BARRIER=1 waits for that.
                self.control.clear();
            }
        }

        /// Starts the command, with what is stored.
        fn start(&self, name: &str, command: &[String]) -> io::Result<(Child, UnixStream)> {
            let (ours, theirs) = UnixStream::pair()?;
            let mut child = Command::new(&command[0]);
            child.args(&command[1..]).env("NOTIFY_SOCKET", format!("@{name}"));
            child.env("STORED_ON_STDIN", "1").stdin(Stdio::from(OwnedFd::from(theirs)));
            // What goes first is there before anybody looks.
            let names: Vec<_> = self.store.iter().map(|(name, _)| name.as_str()).collect();
            let names = names.join(":") + "\n";
            ours.send_fds(names.as_bytes(), self.store.iter().map(|(_, fd)| fd))?;
            Ok((child.spawn()?, ours))
        }
    }

    /// The process of a pidfd; `None` if it has ended, and has been waited for.
    fn process_of(pidfd: &OwnedFd) -> io::Result<Option<u32>> {
        let info = fs::read_to_string(format!("/proc/self/fdinfo/{}", pidfd.as_raw_fd()))?;
        let pid = info.lines().find_map(|line| line.strip_prefix("Pid:"));
        Ok(pid.and_then(|pid| pid.trim().parse().ok()))
    }

    pub(super) fn main() -> io::Result<()> {
        let mut command: Vec<String> = std::env::args().skip(1).collect();
        if command.is_empty() {
            command.push(std::env::current_exe()?.with_file_name("notify").to_string_lossy().into_owned());
        }
        let name = format!("supervisor.{}", std::process::id());
        let mut supervisor = Supervisor::new(&name)?;
        for _ in 0..3 {
            let (mut child, lifeline) = supervisor.start(&name, &command)?;
            let mut ended = false;
            while !ended {
                let on = |fd, flags| PollFd::new(fd, flags);
                // Its end of the socket pair is closed when it ends, even if it has told nothing.
                let mut ready =
                    vec![on(supervisor.socket.as_fd(), PollFlags::POLLIN), on(lifeline.as_fd(), PollFlags::empty())];
                ready.extend(supervisor.process.as_ref().map(|process| on(process.as_fd(), PollFlags::POLLIN)));
                poll(&mut ready, PollTimeout::NONE)?;
                ended = ready[1..].iter().any(|end| end.any() == Some(true));
                // Before it is waited for: its number is its own until then.
                supervisor.read(child.id())?;
            }
            supervisor.process = None;
            let status = child.wait()?;
            println!("process {} ends with {status}, {} descriptors stored", child.id(), supervisor.store.len());
            if status.success() {
                return Ok(());
            }
        }
        Err(io::Error::other("it has failed three times"))
    }
}
