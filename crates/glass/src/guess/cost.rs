//! What a pass costs by the number of its rows: measured while passes are made.

/// Seconds since some moment.
pub type Clock = fn() -> f64;

/// Rows up to which costs are kept apart.
const MOST: usize = 128;

/// A later measurement counts as much as this many earlier ones, once there are so many.
const MEMORY: f64 = 32.0;

/// Measurements of a number of rows until it is trusted as such.
const TRUSTED: f64 = 3.0;

/// What a further row costs as a share of one row, before anything was measured.
const FURTHER: f64 = 0.15;

/// Guesses must bring this many times what none bring: estimates err.
pub(super) const WORTHWHILE: f64 = 1.04;

/// The seconds of a pass, by its rows.
#[derive(Clone, Debug)]
pub struct Costs {
    clock: Option<Clock>,
    /// When the pass began.
    begun: f64,
    /// Of every number of rows: the mean, and how many measurements it stands for.
    measured: Vec<(f64, f64)>,
    /// The best line through them: seconds without rows, and of each row.
    line: (f64, f64),
    /// As many guesses as there are, up to this many rows, whatever they cost.
    fixed: Option<usize>,
    /// Tokens and seconds of passes without and with a search for guesses, the later ones counting more.
    rates: [(f64, f64); 2],
    /// Passes so far, whether this one looks for guesses, its seconds, and those of the search.
    passes: u64,
    tries: bool,
    seconds: f64,
    search: f64,
    /// The share of a pass that searches take, the later ones counting more.
    share: f64,
}

/// Of so many passes, one does what seems to be slower, to see whether it still is.
const CHECKED: u64 = 24;

/// Passes that do so at the start.
const EARLY: [u64; 2] = [6, 12];

/// A search that takes no larger share of a pass is always made: what it costs is less than what times vary by.
const FREE: f64 = 0.03;

/// How much of a rate is kept with each pass.
const KEPT: f64 = 0.97;

impl Costs {
    /// Measured with this clock; without one, a further row always costs the same share.
    pub fn new(clock: Option<Clock>) -> Costs {
        Costs {
            clock,
            begun: 0.0,
            measured: vec![(0.0, 0.0); MOST + 1],
            line: (1.0 - FURTHER, FURTHER),
            fixed: None,
            rates: [(0.0, 0.0); 2],
            passes: 0,
            tries: true,
            seconds: 0.0,
            search: 0.0,
            share: 0.0,
        }
    }

    /// For measurements: a fixed number of guesses is worth making, whatever it costs.
    pub fn fixed(guesses: usize) -> Costs {
        Costs { fixed: Some(1 + guesses), ..Costs::new(None) }
    }

    /// The cost of a pass over this many rows in any unit, with this many branches besides the sequences themselves.
    pub fn of(&self, rows: usize, branches: usize) -> f64 {
        if let Some(most) = self.fixed {
            return if rows <= most { 1.0 } else { f64::INFINITY };
        }
        let rows = with(rows, branches);
        let line = self.line.0 + self.line.1 * rows as f64;
        match self.measured.get(rows) {
            // Between the line and what was measured, the more often it was.
            Some(&(mean, count)) => (mean * count + line * TRUSTED) / (count + TRUSTED),
            None => line,
        }
    }

    /// Whether a single sequence should look for guesses in this pass: the search takes time too, which it may not be worth.
    pub fn tries(&self) -> bool {
        self.tries
    }

    /// The last pass, of a single sequence, brought so many tokens.
    pub fn brought(&mut self, tokens: usize) {
        let (sum, seconds) = &mut self.rates[usize::from(self.tries)];
        (*sum, *seconds) = (*sum * KEPT + tokens as f64, *seconds * KEPT + self.seconds);
    }

    /// The search for guesses is over.
    pub fn searched(&mut self) {
        self.search = self.clock.map_or(0.0, |clock| clock() - self.begun);
    }

    /// Whether the search for guesses has brought more tokens for its time.
    fn is_worthwhile(&self) -> bool {
        let [(plain, plain_seconds), (tokens, seconds)] = self.rates;
        plain_seconds == 0.0 || tokens * plain_seconds >= plain * seconds
    }

    /// A pass begins.
    pub fn begin(&mut self) {
        self.passes += 1;
        let checked = self.passes.is_multiple_of(CHECKED) || EARLY.contains(&self.passes);
        let is_free = self.clock.is_none() || self.share < FREE;
        self.tries = is_free || self.is_worthwhile() != checked;
        self.begun = self.clock.map_or(0.0, |clock| clock());
    }

    /// It ended, and had so many rows and branches.
    pub fn end(&mut self, rows: usize, branches: usize) {
        if let Some(clock) = self.clock {
            self.seconds = clock() - self.begun;
            if self.tries && self.seconds > 0.0 {
                self.share = KEPT * self.share + (1.0 - KEPT) * self.search / self.seconds;
            }
            self.learn(with(rows, branches), self.seconds);
        }
    }

    /// A pass over this many rows took so many seconds.
    fn learn(&mut self, rows: usize, seconds: f64) {
        let Some((mean, count)) = self.measured.get_mut(rows) else { return };
        if *count == 0.0 {
            (*mean, *count) = (seconds, 1.0);
        } else {
            // What interrupted a pass is not its cost.
            let seconds = seconds.min(2.0 * *mean);
            *count = (*count + 1.0).min(MEMORY);
            *mean += (seconds - *mean) / *count;
        }
        self.fit();
    }

    /// Least squares, with what is assumed of a further row as a few measurements.
    fn fit(&mut self) {
        let measured = self.measured.iter().zip(0_u32..).filter(|((_, count), _)| *count > 0.0);
        let all: Vec<(f64, f64, f64)> =
            measured.map(|(&(mean, count), rows)| (f64::from(rows), mean, count)).collect();
        let Some(&(rows, seconds, _)) = all.first() else { return };
        // The cost of one row, if further rows cost as much as is assumed.
        let one = seconds / (1.0 + FURTHER * (rows - 1.0));
        let assumed = [1.0, 8.0].map(|rows| (rows, one * (1.0 + FURTHER * (rows - 1.0)), 1.0));
        let (mut n, mut x, mut y, mut xx, mut xy) = (0.0, 0.0, 0.0, 0.0, 0.0);
        for (rows, seconds, count) in all.into_iter().chain(assumed) {
            n += count;
            x += count * rows;
            y += count * seconds;
            xx += count * rows * rows;
            xy += count * rows * seconds;
        }
        let slope = ((n * xy - x * y) / (n * xx - x * x)).max(0.0);
        self.line = ((y - slope * x) / n, slope);
    }
}

/// A branch copies what lies before it in its block, which takes about half as long as a row.
fn with(rows: usize, branches: usize) -> usize {
    rows + branches.div_ceil(2)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A clock that stands still: what passes take is set below.
    #[test]
    fn a_search_that_brings_nothing_is_seldom_made() {
        for (with, brings) in [(1.1, false), (0.5, true)] {
            let mut costs = Costs::new(Some(|| 0.0));
            costs.share = 0.1;
            let mut tried = 0;
            for pass in 0..240 {
                costs.begin();
                let (tries, seconds) = (costs.tries(), if costs.tries() { with } else { 1.0 });
                costs.end(1, 0);
                costs.seconds = seconds;
                costs.brought(1);
                tried += usize::from(tries && pass >= 48);
            }
            // Of the last 192 passes.
            assert_eq!(tried, if brings { 184 } else { 8 }, "{with}");
        }
        // One that takes hardly any time always is.
        let mut costs = Costs::new(Some(|| 0.0));
        for _ in 0..100 {
            costs.begin();
            assert!(costs.tries());
            costs.end(1, 0);
            costs.seconds = 1.1;
            costs.brought(1);
        }
        let mut still = Costs::new(None);
        (0..100).for_each(|_| {
            still.begin();
            assert!(still.tries());
            still.end(1, 0);
            still.brought(1);
        });
    }

    #[test]
    fn costs_are_those_that_were_measured() {
        let mut costs = Costs::new(None);
        assert!((costs.of(9, 0) / costs.of(1, 0) - (1.0 + 8.0 * FURTHER)).abs() < 1e-9);
        for _ in 0..40 {
            for rows in [1, 2, 4, 8] {
                costs.learn(rows, 0.010 + 0.001 * rows as f64);
            }
        }
        for rows in [1, 2, 3, 4, 6, 8, 16] {
            let expected = 0.010 + 0.001 * rows as f64;
            assert!((costs.of(rows, 0) / expected - 1.0).abs() < 0.02, "{rows}: {}", costs.of(rows, 0));
        }
        // A pass that was interrupted hardly counts; a lasting change does.
        let before = costs.of(4, 0);
        costs.learn(4, 10.0);
        assert!(costs.of(4, 0) < 1.05 * before);
        (0..200).for_each(|_| costs.learn(4, 0.028));
        assert!((costs.of(4, 0) / 0.028 - 1.0).abs() < 0.1, "{}", costs.of(4, 0));
    }
}
