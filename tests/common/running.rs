//! Other programs, and what they say.

use std::{
    io::{BufRead, BufReader, Read},
    process::{Child, Command, Stdio},
    sync::mpsc::{Receiver, channel},
    thread,
};

use super::{TIMEOUT, namespace::Namespace, skipped};

/// A program that ends with the test, and what it says, line by line.
pub struct Running {
    child: Child,
    lines: Receiver<String>,
}

impl Running {
    /// Starts it in a namespace; says so where it is not installed.
    pub fn start(test: &str, host: &Namespace, program: &str, args: &[&str]) -> Option<Self> {
        let mut command = Command::new(program);
        // Nothing of the environment but where programs are: socat's own variables are looked at.
        command.env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default());
        command.args(args).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = match host.run(|| command.spawn()) {
            Ok(child) => child,
            Err(error) => {
                skipped(format_args!("SKIPPED {test}: {program}: {error}"));
                return None;
            }
        };
        let (sender, lines) = channel();
        let outputs: [Box<dyn Read + Send>; 2] =
            [Box::new(child.stdout.take().unwrap()), Box::new(child.stderr.take().unwrap())];
        for output in outputs {
            let sender = sender.clone();
            let lines = BufReader::new(output).lines().map_while(Result::ok);
            thread::spawn(move || lines.map(|line| sender.send(line)).take_while(Result::is_ok).count());
        }
        Some(Self { child, lines })
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
    }
}
