//! The state of the terminal during and after a display.
//!
//! Keys keep their meaning: Ctrl-C and Ctrl-Z are signals as usual, only their echo is off. Code that ends the
//! program must call [`close`] first.

use std::io::{self, Write};
use std::sync::{Mutex, MutexGuard, PoisonError};

use ratatui::crossterm::cursor::{Hide, Show};
use ratatui::crossterm::execute;
use ratatui::crossterm::terminal::{Clear, ClearType, EnterAlternateScreen, LeaveAlternateScreen};

enum Screen {
    /// Normal.
    Off,
    /// Used by a display; with the settings to restore.
    On(keys::Before),
    /// Normal, permanently.
    Closed,
}

static SCREEN: Mutex<Screen> = Mutex::new(Screen::Off);

/// Held only while nothing can panic.
fn screen() -> MutexGuard<'static, Screen> {
    SCREEN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Whether a display is using it.
pub fn is_on() -> bool {
    matches!(*screen(), Screen::On(_))
}

/// Clears it for a display; returns whether no display was using it.
pub fn enter() -> bool {
    let mut screen = screen();
    let enters = matches!(*screen, Screen::Off);
    if enters {
        *screen = Screen::On(keys::disable_echo());
        let _ = execute!(io::stderr(), EnterAlternateScreen, Clear(ClearType::All), Hide);
    }
    enters
}

/// Restores the previous contents, until [`enter`] is called again.
pub fn leave() {
    put_back(Screen::Off);
}

/// Restores the previous contents permanently.
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

/// Collects what is written, and writes it all at once, while a display is shown.
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

    /// Whether the program is in the foreground: in the background, touching the terminal would suspend it.
    pub fn is_ours() -> bool {
        tcgetpgrp(stderr()).is_ok_and(|group| group == getpgrp())
    }

    /// Turns off the echo of keys, including that of Ctrl-C as `^C`.
    pub fn disable_echo() -> Before {
        let before = tcgetattr(stderr()).ok()?;
        let mut quiet = before.clone();
        quiet.local_modes -= LocalModes::ECHO | LocalModes::ICANON;
        tcsetattr(stderr(), OptionalActions::Now, &quiet).ok()?;
        Some(before)
    }

    /// Restores the settings; keys typed meanwhile are discarded.
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

    pub fn disable_echo() -> Before {}

    pub fn restore(_: &Before) {}
}
