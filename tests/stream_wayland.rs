//! Memory shared with a real Wayland compositor: Weston, without a screen.
//!
//! The messages are built by hand; see [the protocol](https://wayland.freedesktop.org/docs/html/).

#![cfg(target_os = "linux")]

mod common;

use std::{
    collections::BTreeMap,
    env,
    fs::{self, DirBuilder, File},
    os::{
        fd::{AsFd, OwnedFd},
        unix::{fs::DirBuilderExt, net::UnixStream},
    },
    path::PathBuf,
    process::Command,
};

use ancillary::{
    set_option,
    stream::{FdReader, FdStream, FdWriter},
};
use common::{TIMEOUT, no_leak, pipes::numbered, running::Running};
use nix::{
    libc,
    sys::memfd::{MFdFlags, memfd_create},
};

/// Of libwayland, which makes room for no more in one receive (`MAX_FDS_OUT`).
const FDS_PER_MESSAGE: usize = 28;

const DISPLAY: u32 = 1;
const REGISTRY: u32 = 2;
const FIRST_FREE: u32 = 3;

/// Of wl_shm: the descriptor cannot be mapped.
const INVALID_FD: u32 = 2;

struct Compositor {
    dir: PathBuf,
    weston: Option<Running>,
}

impl Compositor {
    fn start(test: &str) -> Option<Self> {
        let dir = env::temp_dir().join(format!("ancillary-wl-{}", std::process::id()));
        let _ = fs::remove_dir_all(&dir); // of a run that was killed
        DirBuilder::new().mode(0o700).create(&dir).unwrap();
        let mut this = Self { dir, weston: None };
        let mut command = Command::new("weston");
        // One that starts no programs of its own.
        command.args(["--backend=headless-backend.so", "--shell=kiosk-shell.so", "--no-config", "--idle-time=0"]);
        command.arg("--socket=ours").env("XDG_RUNTIME_DIR", &this.dir);
        for inherited in ["WAYLAND_DISPLAY", "WAYLAND_SOCKET", "DISPLAY", "NOTIFY_SOCKET"] {
            command.env_remove(inherited);
        }
        let weston = this.weston.insert(Running::here(test, command)?);
        // It listens before it loads the shell.
        weston.until("kiosk-shell.so'");
        Some(this)
    }

    fn connect(&self) -> Client {
        let socket = UnixStream::connect(self.dir.join("ours")).unwrap();
        socket.set_read_timeout(TIMEOUT).unwrap();
        socket.set_write_timeout(TIMEOUT).unwrap();
        let writer = FdWriter::new().with_fds_per_message(FDS_PER_MESSAGE);
        let stream = FdStream::from_parts(socket, FdReader::new().with_max_fds(FDS_PER_MESSAGE), writer);
        let mut client = Client { stream, next: FIRST_FREE, shm: 0 };
        client.request(DISPLAY, 1, &[Arg::Int(REGISTRY)], None::<OwnedFd>);
        let (globals, error) = client.roundtrip();
        assert_eq!(error, None);
        let &(name, version) = globals.get("wl_shm").unwrap_or_else(|| panic!("no wl_shm among {globals:?}"));
        assert!(version >= 1);
        client.shm = client.object();
        let bind = [Arg::Int(name), Arg::Text("wl_shm"), Arg::Int(1), Arg::Int(client.shm)];
        client.request(REGISTRY, 0, &bind, None::<OwnedFd>);
        client
    }

    /// How long the mappings of memory files are that the compositor has.
    fn mapped(&self) -> BTreeMap<String, usize> {
        let maps = fs::read_to_string(format!("/proc/{}/maps", self.weston.as_ref().unwrap().id())).unwrap();
        let ours = maps.lines().filter_map(|line| {
            let name = line.split_once("/memfd:ours-")?.1.split(' ').next()?;
            let (from, to) = line.split(' ').next()?.split_once('-')?;
            let addr = |hex| u64::from_str_radix(hex, 16).ok(); // of a program that may have more bits than we
            Some((name.to_string(), usize::try_from(addr(to)? - addr(from)?).ok()?))
        });
        ours.collect()
    }
}

impl Drop for Compositor {
    fn drop(&mut self) {
        drop(self.weston.take());
        let _ = fs::remove_dir_all(&self.dir);
    }
}

enum Arg<'a> {
    Int(u32),
    Text(&'a str),
}

struct Client {
    stream: FdStream<'static, UnixStream>,
    /// The next object.
    next: u32,
    shm: u32,
}

/// Object and code of a protocol error, and what it says.
type Refused = (u32, u32, String);

fn word(bytes: &[u8], at: usize) -> u32 {
    u32::from_ne_bytes(bytes[4 * at..4 * at + 4].try_into().unwrap())
}

fn text(bytes: &[u8], at: usize) -> &str {
    let len = word(bytes, at) as usize;
    std::str::from_utf8(&bytes[4 * at + 4..4 * at + 4 + len - 1]).unwrap()
}

impl Client {
    fn object(&mut self) -> u32 {
        self.next += 1;
        self.next - 1
    }

    /// Queues a request; a descriptor is no word of it.
    fn request(&mut self, object: u32, opcode: u32, args: &[Arg<'_>], fd: Option<impl Into<OwnedFd>>) {
        let mut body = Vec::new();
        for arg in args {
            match arg {
                Arg::Int(int) => body.extend(int.to_ne_bytes()),
                Arg::Text(text) => {
                    body.extend((text.len() as u32 + 1).to_ne_bytes());
                    body.extend(text.as_bytes());
                    body.resize((body.len() + 1).next_multiple_of(4), 0);
                }
            }
        }
        let mut bytes = object.to_ne_bytes().to_vec();
        bytes.extend(((8 + body.len() as u32) << 16 | opcode).to_ne_bytes());
        bytes.extend(body);
        self.stream.queue(&bytes, fd.map(Into::into)).unwrap();
    }

    /// A pool of so many bytes, and a buffer of 16 by 16 pixels in it.
    fn pool(&mut self, fd: impl Into<OwnedFd>, len: usize) -> (u32, u32) {
        let (pool, buffer) = (self.object(), self.object());
        self.request(self.shm, 0, &[Arg::Int(pool), Arg::Int(len as u32)], Some(fd));
        let geometry = [buffer, 0, 16, 16, 64, 0].map(Arg::Int);
        self.request(pool, 0, &geometry, None::<OwnedFd>);
        (pool, buffer)
    }

    /// Has everything done that was asked for; the globals that were named meanwhile, or the error.
    fn roundtrip(&mut self) -> (BTreeMap<String, (u32, u32)>, Option<Refused>) {
        let (callback, mut globals) = (self.object(), BTreeMap::new());
        self.request(DISPLAY, 0, &[Arg::Int(callback)], None::<OwnedFd>);
        self.stream.flush().unwrap();
        loop {
            let len = match self.stream.buffer() {
                head if head.len() >= 8 => (word(head, 1) >> 16) as usize,
                _ => usize::MAX,
            };
            if self.stream.buffer().len() < len {
                assert!(self.stream.fill().unwrap() > 0, "the compositor has closed the connection");
                continue;
            }
            let (event, _) = self.stream.take_message(len, 0).unwrap();
            let body = &event[8..];
            match (word(event, 0), word(event, 1) & 0xffff) {
                (DISPLAY, 0) => return (globals, Some((word(body, 0), word(body, 1), text(body, 2).to_string()))),
                (REGISTRY, 0) => {
                    let name = text(body, 1);
                    let version = word(body, 2 + (name.len() + 1).div_ceil(4));
                    globals.insert(name.to_string(), (word(body, 0), version));
                }
                (object, 0) if object == callback => return (globals, None),
                _ => {}
            }
        }
    }
}

fn memory(name: &str, len: usize) -> File {
    let file = File::from(memfd_create(name, MFdFlags::MFD_CLOEXEC).unwrap());
    file.set_len(len as u64).unwrap();
    file
}

#[test]
fn a_compositor_makes_a_buffer_in_our_memory() {
    no_leak(|| {
        let Some(compositor) = Compositor::start("a_compositor_makes_a_buffer_in_our_memory") else { return };
        let mut client = compositor.connect();
        let (pool, buffer) = client.pool(memory("ours-one", 4096), 4096);
        assert_eq!(client.stream.writer().pending_fds(), 1);
        assert_eq!(client.roundtrip().1, None);
        assert_eq!(client.stream.writer().pending_fds(), 0);
        assert_eq!(compositor.mapped(), BTreeMap::from([("one".to_string(), 4096)]));
        for (object, opcode) in [(buffer, 0), (pool, 1)] {
            client.request(object, opcode, &[], None::<OwnedFd>); // destroy
        }
        assert_eq!(client.roundtrip().1, None);
        assert_eq!(compositor.mapped(), BTreeMap::new());
    });
}

#[test]
fn each_pool_has_the_memory_that_was_sent_with_it() {
    const POOLS: usize = 150;
    no_leak(|| {
        let Some(compositor) = Compositor::start("each_pool_has_the_memory_that_was_sent_with_it") else { return };
        let mut client = compositor.connect();
        // All at once, through a socket that takes little.
        set_option(client.stream.as_fd(), libc::SOL_SOCKET, libc::SO_SNDBUF, 1).unwrap();
        let mut expected = BTreeMap::new();
        for k in 0..POOLS {
            let len = 4096 * (k + 1);
            client.pool(memory(&format!("ours-{k}"), len), len);
            expected.insert(k.to_string(), len);
        }
        assert_eq!((client.stream.writer().pending_fds(), client.roundtrip().1), (POOLS, None));
        assert_eq!(compositor.mapped(), expected);
    });
}

#[test]
fn a_compositor_refuses_what_it_cannot_map() {
    no_leak(|| {
        let Some(compositor) = Compositor::start("a_compositor_refuses_what_it_cannot_map") else { return };
        let mut client = compositor.connect();
        client.pool(memory("ours-good", 4096), 4096);
        let (pool, _) = client.pool(numbered(1).remove(0), 4096);
        let (object, code, text) = client.roundtrip().1.unwrap_or_else(|| panic!("it took a pipe for memory"));
        // Newer versions name the pool, older ones wl_shm.
        assert!(([client.shm, pool].contains(&object)) && code == INVALID_FD, "object {object}, code {code}: {text}");
    });
}
