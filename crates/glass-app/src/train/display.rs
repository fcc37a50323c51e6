//! The run on a terminal: the curve, the rates, what comes next, the latest sample. It is drawn by its own thread a
//! few times per second, from a copy of the data, so that training never waits for it.

mod chart;
mod look;
mod numbers;
pub mod terminal;
mod view;

use std::io::IsTerminal as _;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{JoinHandle, spawn};
use std::time::{Duration, Instant};

use ratatui::Terminal;
use ratatui::backend::CrosstermBackend;

use super::seen::Seen;
use crate::args::RunArgs;
use crate::screen;
use terminal::Writer;

/// How often the terminal is checked (is the program in the foreground, was the window resized?), and the minimum
/// time between two pictures.
const LOOK: Duration = Duration::from_millis(100);
const PICTURE: Duration = Duration::from_millis(300);

/// A display that is shown until [`Display::end`].
pub struct Display {
    ends: Sender<()>,
    thread: Option<JoinHandle<()>>,
}

impl Display {
    /// Whether there is a suitable terminal, and plain lines were not requested.
    pub fn is_wanted(args: &RunArgs) -> bool {
        let lines_between = args.json && std::io::stdout().is_terminal();
        let has_terminal = std::io::stderr().is_terminal() && !screen::is_dumb() && terminal::is_ours();
        has_terminal && !args.plain && !lines_between
    }

    /// Starts the display; `stop` is set when the run is to stop.
    pub fn start(seen: Arc<Mutex<Seen>>, stop: Arc<AtomicBool>) -> Display {
        close_before_panics();
        let suspended = Arc::new(AtomicBool::new(false));
        suspend::register(&suspended);
        let (ends, ended) = channel();
        let thread = spawn(move || draw(&seen, &stop, &suspended, &ended));
        Display { ends, thread: Some(thread) }
    }

    /// Restores the terminal.
    pub fn end(&mut self) {
        let _ = self.ends.send(());
        let _ = self.thread.take().map(JoinHandle::join);
        terminal::close();
    }
}

impl Drop for Display {
    fn drop(&mut self) {
        self.end();
    }
}

/// Draws until it is told to end.
fn draw(seen: &Mutex<Seen>, stop: &AtomicBool, suspended: &AtomicBool, ended: &Receiver<()>) {
    let mut screen = None;
    let mut drawn: Option<Instant> = None;
    while ended.recv_timeout(LOOK).is_err_and(|error| error == std::sync::mpsc::RecvTimeoutError::Timeout) {
        if suspended.swap(false, Ordering::Relaxed) {
            terminal::leave();
            suspend::now();
        }
        if !terminal::is_ours() {
            continue;
        }
        if terminal::enter() {
            // Created again instead of cleared: clearing would ask the terminal for its cursor position through a
            // standard output that results are being written to.
            screen = Terminal::new(CrosstermBackend::new(Writer::default())).ok();
            drawn = None;
        }
        if drawn.is_some_and(|drawn| drawn.elapsed() < PICTURE) {
            continue;
        }
        drawn = Some(Instant::now());
        let seen = seen.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let stopping = stop.load(Ordering::Relaxed);
        let _ = screen.as_mut().map(|screen| screen.draw(|frame| view::draw(frame, &seen, stopping)));
    }
}

/// Restores the terminal before a panic's message is printed.
fn close_before_panics() {
    let says = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        terminal::close();
        says(panic);
    }));
}

/// Ctrl-Z: restores the terminal before the program is suspended.
mod suspend {
    use std::sync::Arc;
    use std::sync::atomic::AtomicBool;

    #[cfg(unix)]
    pub fn register(suspended: &Arc<AtomicBool>) {
        let _ = signal_hook::flag::register(signal_hook::consts::SIGTSTP, suspended.clone());
    }

    #[cfg(unix)]
    pub fn now() {
        let _ = signal_hook::low_level::emulate_default_handler(signal_hook::consts::SIGTSTP);
    }

    #[cfg(not(unix))]
    pub fn register(_: &Arc<AtomicBool>) {}

    #[cfg(not(unix))]
    pub fn now() {}
}
