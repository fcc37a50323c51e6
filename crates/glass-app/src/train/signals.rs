//! What stops a run: Ctrl-C and signals.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::display::terminal;
use crate::fail::say;

/// Ctrl-C stops the run after its step, with a checkpoint; a second one ends the program at once.
pub fn on_interrupt(stop: Arc<AtomicBool>) {
    on_signals(&stop);
    let handler = move || {
        if stop.swap(true, Ordering::Relaxed) {
            terminal::close();
            std::process::exit(130);
        }
        // A display shows this itself.
        if !terminal::is_on() {
            say("stopping after this step, with a checkpoint; Ctrl-C again stops at once");
        }
    };
    if let Err(error) = ctrlc::set_handler(handler) {
        say(&format!("Ctrl-C will stop the run without a checkpoint: {error}"));
    }
}

/// SIGTERM, as sent by `kill`, a container or a shutdown, does the same, and so does SIGUSR1: mpirun passes it on, and Slurm sends it
/// some time before a job has to end. SIGHUP is left alone, for `nohup`.
#[cfg(unix)]
fn on_signals(stop: &Arc<AtomicBool>) {
    use signal_hook::consts::{SIGTERM, SIGUSR1};
    for (signal, name) in [(SIGTERM, "SIGTERM"), (SIGUSR1, "SIGUSR1")] {
        if let Err(error) = signal_hook::flag::register(signal, stop.clone()) {
            say(&format!("{name} will end the run without a checkpoint: {error}"));
        }
    }
}

#[cfg(not(unix))]
fn on_signals(_: &Arc<AtomicBool>) {}
