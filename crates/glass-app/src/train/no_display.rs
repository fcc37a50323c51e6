//! The replacement of the display in a program built without it: a run is shown in plain lines.

use std::convert::Infallible;
use std::io::IsTerminal as _;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex};

use super::seen::Seen;
use crate::args::RunArgs;
use crate::fail::say;

/// A display that cannot exist.
pub struct Display(Infallible);

impl Display {
    /// Always false; a remark says so on a terminal that could show a display.
    pub fn is_wanted(args: &RunArgs) -> bool {
        if std::io::stderr().is_terminal() && !args.plain && !args.json {
            say("this program was built without its feature \"display\"; progress is shown in plain lines");
        }
        false
    }

    /// Cannot be called, since no display is ever wanted.
    pub fn start(_: Arc<Mutex<Seen>>, _: Arc<AtomicBool>) -> Display {
        unreachable!("no display is ever wanted")
    }

    /// Cannot be called, since there is no display.
    pub fn end(&mut self) {
        match self.0 {}
    }
}

/// The terminal, which no display uses.
pub mod terminal {
    /// Whether a display uses it.
    pub fn is_on() -> bool {
        false
    }

    /// Leaves it as it is.
    pub fn close() {}
}
