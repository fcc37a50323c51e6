//! Chooses the samples of each step: a function of only the set, the settings and the number of the step, so that a
//! run can be resumed at any step.

use glass_kernels::loss::IGNORE;

use crate::random::Random;
use crate::train::data::set::{Chat, Pair, Samples, Set};
use crate::train::learner::Batch;
use crate::{Error, Result};

pub use crate::train::learner::settings::Arrangement;

/// The largest number of epochs: the cuts of all epochs are counted before a run begins.
pub const MOST_EPOCHS: f64 = 1e6;

/// Assigns samples to steps.
pub struct Order<'a> {
    set: &'a Set,
    context: usize,
    batch: usize,
    accumulate: usize,
    arrangement: Arrangement,
    seed: u64,
    epoch: Epoch,
}

/// One epoch: samples `first..first + sizes`, counted across all epochs.
#[derive(Default)]
struct Epoch {
    number: u64,
    first: u64,
    len: usize,
    offset: usize,
    permutation: Vec<usize>,
}

impl<'a> Order<'a> {
    /// For steps of `accumulate` batches of `batch` samples of at most `context` rows. The set must have passed its
    /// check.
    pub fn new(
        set: &'a Set,
        context: usize,
        batch: usize,
        accumulate: usize,
        arrangement: Arrangement,
        seed: u64,
    ) -> Self {
        let mut order = Order { set, context, batch, accumulate, arrangement, seed, epoch: Epoch::default() };
        order.enter(0, 0);
        order
    }

    /// The batches of step `step`, from 1.
    pub fn parts(&mut self, step: u64) -> Vec<Batch> {
        let size = (self.batch * self.accumulate) as u64;
        let mut next = (step - 1) * size;
        let mut parts = Vec::with_capacity(self.accumulate);
        for _ in 0..self.accumulate {
            let mut batch = Batch::default();
            for _ in 0..self.batch {
                self.sample(next, &mut batch);
                next += 1;
            }
            parts.push(batch);
        }
        parts
    }

    /// The smallest number of steps that sees `epochs` epochs, at most [`MOST_EPOCHS`].
    pub fn steps(&mut self, epochs: f64) -> Result<u64> {
        if !(epochs > 0.0 && epochs <= MOST_EPOCHS) {
            let why = format!("{epochs} was given, but a number above 0 and at most {MOST_EPOCHS} is needed");
            return Err(Error::invalid_argument("epochs", why));
        }
        self.enter(0, 0);
        let whole = epochs as u64;
        if matches!((&self.set.samples, self.arrangement), (Samples::Stream(_), Arrangement::Shuffled)) {
            // Every epoch is cut at a different offset, which can give one window more.
            while self.epoch.number < whole {
                self.enter(self.epoch.number + 1, self.epoch.first + self.epoch.len as u64);
            }
        } else {
            self.enter(whole, whole * self.epoch.len as u64);
        }
        let samples = self.epoch.first + (epochs.fract() * self.epoch.len as f64).ceil() as u64;
        Ok(samples.div_ceil((self.batch * self.accumulate) as u64).max(1))
    }

    /// The number of epochs that the steps up to `step` have seen.
    pub fn epochs(&mut self, step: u64) -> f64 {
        let samples = step * (self.batch * self.accumulate) as u64;
        self.seek(samples);
        self.epoch.number as f64 + (samples - self.epoch.first) as f64 / self.epoch.len as f64
    }

    fn sample(&mut self, index: u64, into: &mut Batch) {
        self.seek(index);
        let within = (index - self.epoch.first) as usize;
        if self.epoch.permutation.is_empty() && self.arrangement == Arrangement::Shuffled {
            let mut random = Random::new(self.seed, "order", self.epoch.number);
            self.epoch.permutation = random.permutation(self.epoch.len);
        }
        let place = self.epoch.permutation.get(within).copied().unwrap_or(within);
        sample(self.set, self.context, self.epoch.offset, place, into);
    }

    /// Moves to the epoch that contains sample `index`.
    fn seek(&mut self, index: u64) {
        if index < self.epoch.first {
            self.enter(0, 0);
        }
        while index - self.epoch.first >= self.epoch.len as u64 {
            self.enter(self.epoch.number + 1, self.epoch.first + self.epoch.len as u64);
        }
    }

    fn enter(&mut self, number: u64, first: u64) {
        let (len, offset) = match (&self.set.samples, self.arrangement) {
            (Samples::Chats(chats), _) => (chats.len(), 0),
            (Samples::Pairs(pairs), _) => (pairs.len(), 0),
            (Samples::Stream(ids), Arrangement::Shuffled) => {
                let offset = Random::new(self.seed, "offset", number).below(self.context);
                (windows(ids.len() - 1, self.context, offset), offset)
            }
            (Samples::Stream(ids), Arrangement::Sequential) => {
                let whole = (ids.len() - 1) / self.context;
                (if whole < self.batch { whole } else { whole - whole % self.batch }, 0)
            }
        };
        self.epoch = Epoch { number, first, len, offset, permutation: Vec::new() };
    }
}

/// The batches of an evaluation: the set in order, every token once, in batches of at most `batch` samples. With
/// `most`, only that many samples, spread evenly over the set.
pub fn evaluation(
    set: &Set,
    context: usize,
    batch: usize,
    most: Option<usize>,
) -> impl Iterator<Item = Batch> {
    let all = match &set.samples {
        Samples::Stream(ids) => windows(ids.len().saturating_sub(1), context, 0),
        Samples::Chats(chats) => chats.len(),
        Samples::Pairs(pairs) => pairs.len(),
    };
    let count = most.map_or(all, |most| most.min(all));
    (0..count.div_ceil(batch)).map(move |number| {
        let mut into = Batch::default();
        for index in number * batch..((number + 1) * batch).min(count) {
            let place = (index as u128 * all as u128 / count as u128) as usize;
            sample(set, context, 0, place, &mut into);
        }
        into
    })
}

/// Adds the sample at `place`: a conversation, the two answers of a pair, or a window of a stream that is first cut at `offset`.
fn sample(set: &Set, context: usize, offset: usize, place: usize, into: &mut Batch) {
    match &set.samples {
        Samples::Chats(chats) => chat(&chats[place], into),
        Samples::Pairs(pairs) => pair(&pairs[place], into),
        Samples::Stream(ids) => {
            let (start, len) = window(ids.len() - 1, context, offset, place);
            ids.copy(start..start + len, &mut into.inputs);
            ids.copy(start + 1..start + len + 1, &mut into.targets);
            into.lengths.push(len);
        }
    }
}

/// The number of windows of `rows` rows if the first cut is at `offset` and the others follow every `context` rows.
fn windows(rows: usize, context: usize, offset: usize) -> usize {
    usize::from(offset > 0) + (rows - offset.min(rows)).div_ceil(context)
}

/// First row and length of window `place`.
fn window(rows: usize, context: usize, offset: usize, place: usize) -> (usize, usize) {
    match (offset, place) {
        (0, _) => (place * context, context.min(rows - place * context)),
        (_, 0) => (0, offset),
        _ => {
            let start = offset + (place - 1) * context;
            (start, context.min(rows - start))
        }
    }
}

fn chat(chat: &Chat, into: &mut Batch) {
    let rows = chat.ids.len() - 1;
    into.inputs.extend_from_slice(&chat.ids[..rows]);
    let learned = chat.ids.iter().zip(&chat.learned).skip(1);
    into.targets.extend(learned.map(|(&id, &learned)| if learned { id } else { IGNORE }));
    into.lengths.push(rows);
}

fn pair(pair: &Pair, into: &mut Batch) {
    pair.sides.iter().for_each(|side| chat(side, into));
    into.pairs.push(pair.reference);
}
