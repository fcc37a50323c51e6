//! Chooses the samples of each step: a function of only the set, the settings and the number of the step, so that a
//! run can be resumed at any step.

use glass_kernels::loss::IGNORE;

use crate::random::Random;
use crate::train::data::ids::Ids;
use crate::train::data::mix::Mix;
use crate::train::data::set::{Chat, Pair, Samples, Set, windows};
use crate::train::learner::Batch;
use crate::{Error, Result};

pub use crate::train::learner::settings::Arrangement;

/// The largest number of epochs: the cuts of all epochs are counted before a run begins.
pub const MOST_EPOCHS: f64 = 1e6;

/// Assigns samples to steps.
pub struct Order<'a> {
    /// One for a set, or one for each set of a mixture.
    lanes: Vec<Lane<'a>>,
    mix: Option<&'a Mix>,
    batch: usize,
    accumulate: usize,
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
        let mix = if let Samples::Mix(mix) = &set.samples { Some(mix) } else { None };
        let sets = set.parts().into_iter().zip(0..);
        let lane = |((_, set), turn)| Lane::new(set, context, batch, arrangement, (seed, turn));
        Order { lanes: sets.map(lane).collect(), mix, batch, accumulate }
    }

    /// The batches of step `step`, from 1.
    pub fn parts(&mut self, step: u64) -> Vec<Batch> {
        let mut next = (step - 1) * self.size();
        let mut parts = Vec::with_capacity(self.accumulate);
        for _ in 0..self.accumulate {
            let mut batch = Batch::default();
            for _ in 0..self.batch {
                let (lane, index) = self.mix.map_or((0, next), |mix| mix.place(next));
                self.lanes[lane].sample(index, &mut batch);
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
        let samples = match self.mix {
            Some(mix) => (epochs * mix.epoch() as f64).ceil() as u64,
            None => self.lanes[0].samples(epochs),
        };
        Ok(samples.div_ceil(self.size()).max(1))
    }

    /// The number of epochs that the steps up to `step` have seen.
    pub fn epochs(&mut self, step: u64) -> f64 {
        let samples = step * self.size();
        match self.mix {
            Some(mix) => samples as f64 / mix.epoch() as f64,
            None => self.lanes[0].epochs(samples),
        }
    }

    /// The number of epochs that these steps have seen of each set of a mixture; of another set, of itself.
    pub fn epochs_of_parts(&mut self, step: u64) -> Vec<f64> {
        let samples = step * self.size();
        let counts = self.mix.map_or_else(|| vec![samples], |mix| mix.counts(samples));
        self.lanes.iter_mut().zip(counts).map(|(lane, count)| lane.epochs(count)).collect()
    }

    /// The samples of a step.
    fn size(&self) -> u64 {
        (self.batch * self.accumulate) as u64
    }
}

/// The order of the samples of one set.
struct Lane<'a> {
    set: &'a Set,
    context: usize,
    batch: usize,
    arrangement: Arrangement,
    /// The seed, and which set of a mixture it is.
    seed: (u64, u64),
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

impl<'a> Lane<'a> {
    fn new(set: &'a Set, context: usize, batch: usize, arrangement: Arrangement, seed: (u64, u64)) -> Self {
        let mut lane = Lane { set, context, batch, arrangement, seed, epoch: Epoch::default() };
        lane.enter(0, 0);
        lane
    }

    /// The samples of so many epochs.
    fn samples(&mut self, epochs: f64) -> u64 {
        self.enter(0, 0);
        let whole = epochs as u64;
        if self.set.samples.stream().is_some() && self.arrangement == Arrangement::Shuffled {
            // Every epoch is cut at a different offset, which can give one window more.
            while self.epoch.number < whole {
                self.enter(self.epoch.number + 1, self.epoch.first + self.epoch.len as u64);
            }
        } else {
            self.enter(whole, whole * self.epoch.len as u64);
        }
        self.epoch.first + (epochs.fract() * self.epoch.len as f64).ceil() as u64
    }

    /// The epochs of so many samples.
    fn epochs(&mut self, samples: u64) -> f64 {
        self.seek(samples);
        self.epoch.number as f64 + (samples - self.epoch.first) as f64 / self.epoch.len as f64
    }

    fn sample(&mut self, index: u64, into: &mut Batch) {
        self.seek(index);
        let within = (index - self.epoch.first) as usize;
        if self.epoch.permutation.is_empty() && self.arrangement == Arrangement::Shuffled {
            let mut random = self.random("order", self.epoch.number);
            self.epoch.permutation = random.permutation(self.epoch.len);
        }
        let place = self.epoch.permutation.get(within).copied().unwrap_or(within);
        sample(self.set, self.context, self.epoch.offset, place, into);
    }

    /// The first set of a mixture has the same numbers as a set alone.
    fn random(&self, purpose: &str, epoch: u64) -> Random {
        match self.seed {
            (seed, 0) => Random::new(seed, purpose, epoch),
            (seed, turn) => Random::new(seed, &format!("{purpose} {turn}"), epoch),
        }
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
        let (len, offset) = match (self.set.samples.stream(), self.arrangement) {
            (None, _) => (self.set.samples_in(self.context), 0),
            (Some(ids), Arrangement::Shuffled) => {
                let offset = self.random("offset", number).below(self.context);
                (windows(ids.len() - 1, self.context, offset), offset)
            }
            (Some(ids), Arrangement::Sequential) => {
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
    let all = set.samples_in(context);
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

/// Adds the sample at `place`: a conversation, several in a window, the two answers of a pair, or a window of a stream that is first cut
/// at `offset`. Of a mixture, the samples of its sets follow each other.
fn sample(set: &Set, context: usize, offset: usize, place: usize, into: &mut Batch) {
    match &set.samples {
        Samples::Chats(chats) => chat(&chats[place], into),
        Samples::Packed(packed) => packed.window(place).for_each(|one| chat(one, into)),
        Samples::Pairs(pairs) => pair(&pairs[place], into),
        Samples::Stream(ids) => {
            let len = of_stream(ids, context, offset, place, into);
            into.lengths.push(len);
        }
        Samples::Documents { ids, start } => {
            let begin = into.inputs.len();
            let len = of_stream(ids, context, offset, place, into);
            let mut from = begin;
            for at in begin + 1..begin + len {
                if into.inputs[at] == *start {
                    into.lengths.push(at - from);
                    from = at;
                }
            }
            into.lengths.push(begin + len - from);
        }
        Samples::Mix(mix) => {
            let mut place = place;
            for part in mix.parts() {
                let count = part.set.samples_in(context);
                if place < count {
                    return sample(&part.set, context, offset, place, into);
                }
                place -= count;
            }
        }
    }
}

/// Adds the ids of a window, and returns how many rows it has.
fn of_stream(ids: &Ids, context: usize, offset: usize, place: usize, into: &mut Batch) -> usize {
    let (start, len) = window(ids.len() - 1, context, offset, place);
    ids.copy(start..start + len, &mut into.inputs);
    ids.copy(start + 1..start + len + 1, &mut into.targets);
    len
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
