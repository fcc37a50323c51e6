//! The terminal while a display stands on it, and as it was before.
//!
//! Keys keep their meaning: Ctrl-C and Ctrl-Z are the signals they always are, only their echo is off. Whoever ends the
//! program calls [`close`] first.

use std::io::{self, Write};
use std::sync::{Mutex, MutexGuard, PoisonError};

use ratatui::crossterm::cursor::{Hide, Show};
use ratatui::crossterm::execute;
use ratatui::crossterm::terminal::{Clear, ClearType, EnterAlternateScreen, LeaveAlternateScreen};

enum Screen {
    /// As it was before.
    Off,
    /// The display's; with what to restore.
    On(keys::Before),
    /// As it was before, for good.
    Closed,
}

static SCREEN: Mutex<Screen> = Mutex::new(Screen::Off);

/// Held for moments in which nothing can panic.
fn screen() -> MutexGuard<'static, Screen> {
    SCREEN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Whether the display stands on it.
pub fn is_on() -> bool {
    matches!(*screen(), Screen::On(_))
}

/// Clears it for a display; whether it was not there already.
pub fn enter() -> bool {
    let mut screen = screen();
    let enters = matches!(*screen, Screen::Off);
    if enters {
        *screen = Screen::On(keys::hush());
        let _ = execute!(io::stderr(), EnterAlternateScreen, Clear(ClearType::All), Hide);
    }
    enters
}

/// Puts back what stood there before, until [`enter`] is called again.
pub fn leave() {
    put_back(Screen::Off);
}

/// Puts back what stood there before, for good.
pub fn close() {
    put_back(Screen::Closed);
}

fn put_back(then: Screen) {
    let mut screen = screen();
    if let Screen::On(before) = &*screen {
        let _ = execute!(io::stderr(), Show, LeaveAlternateScreen);
        keys::restore(before);
    }
    if !matches!(*screen, Screen::Closed) {
        *screen = then;
    }
}

pub use keys::is_ours;

/// Gathers what is written, and shows it at once, while the display stands.
#[derive(Default)]
pub struct Writer(Vec<u8>);

impl Write for Writer {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        let written = match &*screen() {
            Screen::On(_) => io::stderr().write_all(&self.0),
            _ => Ok(()),
        };
        self.0.clear();
        written
    }
}

#[cfg(unix)]
mod keys {
    use std::io::stderr;

    use rustix::process::getpgrp;
    use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcgetpgrp, tcsetattr};

    pub type Before = Option<Termios>;

    /// Whether the program is in the foreground: one in the background that touched the terminal would be stopped.
    pub fn is_ours() -> bool {
        tcgetpgrp(stderr()).is_ok_and(|group| group == getpgrp())
    }

    /// No echo of keys, nor of Ctrl-C as `^C`.
    pub fn hush() -> Before {
        let before = tcgetattr(stderr()).ok()?;
        let mut quiet = before.clone();
        quiet.local_modes -= LocalModes::ECHO | LocalModes::ICANON;
        tcsetattr(stderr(), OptionalActions::Now, &quiet).ok()?;
        Some(before)
    }

    /// As before; what was typed meanwhile is forgotten.
    pub fn restore(before: &Before) {
        if let Some(before) = before.as_ref().filter(|_| is_ours()) {
            let _ = tcsetattr(stderr(), OptionalActions::Flush, before);
        }
    }
}

#[cfg(not(unix))]
mod keys {
    pub type Before = ();

    pub fn is_ours() -> bool {
        true
    }

    pub fn hush() -> Before {}

    pub fn restore(_: &Before) {}
}
