//! Programs started by one test while another closes a socket and looks at what its peer is told.
//!
//! Until it has become the program, a child has a copy of every descriptor: what is closed meanwhile is still open, and
//! the peer is told nothing. So the two take turns.

use std::{
    io,
    process::{Child, Command, ExitStatus, Output, Stdio},
    sync::{Mutex, PoisonError},
};

static ON_ITS_WAY: Mutex<()> = Mutex::new(());

/// Closes what nobody else has: its peer is told before this returns.
pub fn gone<T>(last: T) {
    let _none = ON_ITS_WAY.lock().unwrap_or_else(PoisonError::into_inner);
    drop(last);
}

/// [`Command`]'s own, but in turn.
pub trait Start {
    /// As `spawn`.
    fn start(&mut self) -> io::Result<Child>;
    /// As `output`, whatever was said of where it writes; it inherits its standard input unless it is given another.
    fn finish(&mut self) -> io::Result<Output>;
    /// As `status`.
    fn end(&mut self) -> io::Result<ExitStatus>;
}

impl Start for Command {
    fn start(&mut self) -> io::Result<Child> {
        let _alone = ON_ITS_WAY.lock().unwrap_or_else(PoisonError::into_inner);
        self.spawn() // returns when the child is the program
    }

    fn finish(&mut self) -> io::Result<Output> {
        self.stdout(Stdio::piped()).stderr(Stdio::piped()).start()?.wait_with_output()
    }

    fn end(&mut self) -> io::Result<ExitStatus> {
        self.start()?.wait()
    }
}
