//! Other programs, and what they say.

use std::{
    io::{self, BufRead, BufReader, Read},
    process::{Child, Command, Stdio},
    sync::mpsc::{Receiver, channel},
    thread::{self, JoinHandle},
};

use super::{TIMEOUT, namespace::Namespace, skipped, starting::Start};

/// A program that ends with the test, and what it says, line by line.
pub struct Running {
    child: Child,
    lines: Receiver<String>,
    readers: Vec<JoinHandle<()>>,
}

impl Running {
    /// Starts it in a namespace; says so where it is not installed.
    pub fn start(test: &str, host: &Namespace, program: &str, args: &[&str]) -> Option<Self> {
        let mut command = Command::new(program);
        // Nothing of the environment but where programs are: socat's own variables are looked at.
        command.env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default());
        command.args(args);
        let mut running = Self::of(test, command, |command| host.run(|| command.start()))?;
        running.readers.clear(); // nobody waits for these
        Some(running)
    }

    /// Starts it here; says so where it is not installed. When it goes, so do the pipes to it: it must leave none to
    /// others.
    pub fn here(test: &str, command: Command) -> Option<Self> {
        Self::of(test, command, Start::start)
    }

    fn of(test: &str, mut command: Command, spawn: impl FnOnce(&mut Command) -> io::Result<Child>) -> Option<Self> {
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = match spawn(&mut command) {
            Ok(child) => child,
            Err(error) => {
                skipped(format_args!("SKIPPED {test}: {}: {error}", command.get_program().to_string_lossy()));
                return None;
            }
        };
        let ((sender, lines), mut readers) = (channel(), Vec::new());
        let outputs: [Box<dyn Read + Send>; 2] =
            [Box::new(child.stdout.take().unwrap()), Box::new(child.stderr.take().unwrap())];
        for output in outputs {
            let sender = sender.clone();
            let lines = BufReader::new(output).lines().map_while(Result::ok);
            readers.push(thread::spawn(move || {
                lines.map(|line| sender.send(line)).take_while(Result::is_ok).for_each(drop);
            }));
        }
        Some(Self { child, lines, readers })
    }

    /// Its process.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Everything up to the line that has this in it.
    pub fn until(&self, text: &str) -> String {
        let mut all = String::new();
        while let Ok(line) = self.lines.recv_timeout(TIMEOUT.unwrap()) {
            all = all + &line + "\n";
            if line.contains(text) {
                return all;
            }
        }
        panic!("{text:?} is not in:\n{all}")
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        self.readers.drain(..).for_each(|reader| drop(reader.join()));
    }
}
