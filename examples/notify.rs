//! What a service tells its manager (sd_notify(3)): that it is ready, its state in words, and a descriptor to keep for it
//! (Linux).
//!
//! Run it under `supervisor`, which is also here, or as a systemd service of `Type=notify` with `FileDescriptorStoreMax=1`
//! and `Restart=on-failure`. The first run stores a file in memory (memfd_create(2)) that counts its runs, and fails; the
//! next one is given the file, counts on, and is content. Without `NOTIFY_SOCKET` there is nobody to tell: it says so.
//!
//! The protocol: datagrams of lines `NAME=value` to the AF_UNIX address in `NOTIFY_SOCKET`, descriptors beside them. Stored
//! ones come back in one of two ways. systemd gives the numbers from 3 on, with `LISTEN_FDS` and `LISTEN_FDNAMES`
//! (sd_listen_fds(3)): a file is opened anew by its number, any other one has to be adopted, which only `unsafe` can vouch
//! for. `supervisor` sends them to standard input, where they arrive owned.

#[cfg(target_os = "linux")]
fn main() -> Result<(), Box<dyn std::error::Error>> {
    use std::{
        fs::File,
        io::{self, Read, Seek, Write},
        os::{
            fd::{AsFd, OwnedFd},
            unix::net::UnixDatagram,
        },
    };

    use ancillary::{MsgHdr, SockAddr, SocketExt, message::ScmRights};
    use nix::{
        poll::{PollFd, PollFlags, PollTimeout, poll},
        sys::memfd::{MFdFlags, memfd_create},
    };

    /// A datagram to the manager; `@` stands for the NUL of the abstract namespace.
    fn notify<'fd>(lines: &'fd str, fds: &'fd [OwnedFd]) -> io::Result<bool> {
        let Ok(name) = std::env::var("NOTIFY_SOCKET") else { return Ok(false) };
        let to = match name.strip_prefix('@') {
            Some(name) => SockAddr::unix_abstract(name.as_bytes()),
            None => SockAddr::unix(&name),
        };
        let to = to.map_err(io::Error::other)?;
        // Without descriptors there is no control message.
        MsgHdr::new().to(to).data(lines.as_bytes()).control(ScmRights::new(fds)).send(&UnixDatagram::unbound()?)?;
        Ok(true)
    }

    /// Waits until the manager has read all (`BARRIER=1`): then it has closed its copy of a pipe's end.
    fn barrier() -> io::Result<()> {
        let (reader, writer) = nix::unistd::pipe()?;
        notify("BARRIER=1", &[writer])?; // which closes ours
        let mut ends = [PollFd::new(reader.as_fd(), PollFlags::empty())];
        if poll(&mut ends, PollTimeout::from(5000u16))? == 0 {
            return Err(io::ErrorKind::TimedOut.into());
        }
        Ok(())
    }

    /// The file of this name among the descriptors that were given to this process, as systemd gives them.
    fn listen_fd(wanted: &str) -> io::Result<Option<File>> {
        let variable = |name| std::env::var(name).unwrap_or_default();
        if variable("LISTEN_PID") != std::process::id().to_string() {
            return Ok(None); // none, or another's, whose environment was inherited
        }
        let (count, names) = (variable("LISTEN_FDS").parse().unwrap_or(0), variable("LISTEN_FDNAMES"));
        let Some(at) = names.split(':').take(count).position(|name| name == wanted) else { return Ok(None) };
        File::options().read(true).write(true).open(format!("/proc/self/fd/{}", 3 + at)).map(Some)
    }

    // What has been stored: from systemd, or if standard input is the socket of `supervisor`.
    let mut stored = listen_fd("counter")?;
    if stored.is_none() && std::env::var_os("STORED_ON_STDIN").is_some() {
        stored = io::stdin().recv_fds::<1>(&mut [0; 64])?.into_iter().next().map(File::from);
    }
    let first = stored.is_none();
    let mut counter = match stored {
        Some(counter) => counter,
        None => File::from(memfd_create("counter", MFdFlags::MFD_CLOEXEC)?),
    };
    counter.rewind()?;
    let mut text = String::new();
    counter.read_to_string(&mut text)?;
    let runs = text.parse().unwrap_or(0) + 1;
    counter.rewind()?;
    counter.write_all(runs.to_string().as_bytes())?;

    if !notify(&format!("READY=1\nSTATUS=run {runs}"), &[])? {
        println!("NOTIFY_SOCKET is not set: nobody is there to tell");
        return Ok(());
    }
    if first {
        notify("FDSTORE=1\nFDNAME=counter", &[counter.into()])?;
        barrier()?;
        return Err("the first run fails, to be started again".into());
    }
    notify("FDSTOREREMOVE=1\nFDNAME=counter\nSTOPPING=1", &[])?;
    barrier()?;
    Ok(())
}

#[cfg(not(target_os = "linux"))]
fn main() {
    println!("memfd_create(2) and the abstract namespace are Linux's");
}
