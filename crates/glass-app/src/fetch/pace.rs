//! The progress of a fetch: how much is there, how fast more comes, and when it will be done.

use std::time::Instant;

use crate::out::bytes;
use crate::progress::ProgressLine;

/// The progress over all files.
pub struct Pace {
    line: ProgressLine,
    /// Bytes to be had.
    total: u64,
    /// Bytes of complete files.
    before: u64,
    /// Bytes transferred.
    pub came: u64,
    /// When the current file began to come, and what had been transferred then.
    file: Option<(Instant, u64)>,
}

impl Pace {
    /// Nothing of `total` bytes is there.
    pub fn new(total: u64) -> Pace {
        Pace { line: ProgressLine::default(), total, before: 0, came: 0, file: None }
    }

    /// Seconds since the beginning.
    pub fn seconds(&self) -> f64 {
        self.line.seconds().max(1e-3)
    }

    /// Of a file, `have` bytes are there, `new` of which just came. Without new ones, a remark follows below the line.
    pub fn show(&mut self, name: &str, have: u64, new: u64) {
        if new == 0 {
            return self.line.end();
        }
        self.came += new;
        // The rate is the file's own: requests for small files would hide it.
        let (begun, then) = *self.file.get_or_insert_with(|| (Instant::now(), self.came));
        let seconds = begun.elapsed().as_secs_f64();
        if seconds < 0.5 || self.came == then {
            return;
        }
        let (done, rate) = (self.before + have, (self.came - then) as f64 / seconds);
        let text = format!("{name}: {} of {}, {}/s", bytes(done), bytes(self.total), bytes(rate as u64));
        self.line.show_left(&text, self.total.saturating_sub(done) as f64 / rate);
    }

    /// A file of this size is complete.
    pub fn file_done(&mut self, size: u64) {
        self.before += size;
        self.file = None;
    }

    /// Ends the line.
    pub fn end(&mut self) {
        self.line.end();
    }
}
