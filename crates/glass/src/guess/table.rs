//! A table of what usually follows: the likeliest tokens after the last few, learned from text. Where a longer context says hardly
//! more than a shorter one, it has no entry, so a small table knows much.
//!
//! Probabilities of a context are mixed with those of the context that is a token shorter (Witten and Bell 1991).

use std::collections::HashMap;

use super::Candidate;
use crate::{Error, Result};
use glass_kernels::random::mix;

/// The most tokens of a context.
pub const LONGEST: usize = 6;

/// Candidates of a context.
pub const MOST: usize = 3;

/// Bits of an entry: a step of probability, the token, and the rest to recognise the context.
const STEP_BITS: u32 = 5;

/// Steps of probability; no entry has the first, so that none is 0.
pub const STEPS: usize = 1 << STEP_BITS;

/// One text in so many says how often the steps are right.
const HELD_OUT: usize = 10;

/// The probability that a step stands for counts as much as this many times that it was right or not.
const PRIOR: f32 = 20.0;

/// Places of an entry after its own in which it may be.
const PROBES: usize = 8;

/// A text of which a model drew the ids from number `from` on.
#[derive(Clone, PartialEq, Debug)]
pub struct Drawn {
    /// All ids.
    pub ids: Vec<u32>,
    /// How many were given.
    pub from: usize,
    /// The vectors that each of them was drawn from, one after another, as bf16; empty if they are not known.
    pub vectors: Vec<u16>,
}

impl Drawn {
    /// A text whose vectors are not known.
    pub fn new(ids: Vec<u32>, from: usize) -> Drawn {
        Drawn { ids, from, vectors: Vec::new() }
    }
}

/// Contexts and the tokens after them, hashed.
#[derive(Clone, PartialEq, Debug)]
pub struct Table {
    entries: Vec<u32>,
    vocabulary: usize,
    /// At which its text was drawn.
    temperature: f32,
    /// How often a token of each step of probability came, in text that was not learned.
    chances: [f32; STEPS],
}

impl Table {
    /// A table from its stored entries.
    ///
    /// # Errors
    /// If there are none, or they name tokens that do not exist.
    pub fn new(
        entries: Vec<u32>,
        chances: [f32; STEPS],
        vocabulary: usize,
        temperature: f32,
    ) -> Result<Table> {
        let table = Table { entries, vocabulary, temperature, chances };
        let tokens = |entry: &u32| (entry >> STEP_BITS & table.token_mask()) as usize;
        let is_known = |entry: &u32| *entry == 0 || tokens(entry) < vocabulary;
        if table.entries.is_empty()
            || !table.entries.iter().all(is_known)
            || temperature.is_nan()
            || temperature <= 0.0
        {
            let why =
                format!("it is not a table for a vocabulary of {vocabulary} tokens; make the draft again");
            return Err(Error::invalid("the draft's table", why));
        }
        Ok(table)
    }

    /// Learns what was drawn in these texts, in at most `entries` entries.
    pub fn learn(texts: &[Drawn], entries: usize, vocabulary: usize, temperature: f32) -> Table {
        let each = |held_out: bool| {
            let texts = texts.iter().enumerate().filter(move |(at, _)| (at % HELD_OUT == 0) == held_out);
            texts.map(|(_, text)| text).collect::<Vec<_>>()
        };
        let uncertain = Table::of(&each(false), entries, vocabulary, temperature);
        let chances = uncertain.right(&each(true));
        Table { chances, ..Table::of(&texts.iter().collect::<Vec<_>>(), entries, vocabulary, temperature) }
    }

    /// How often each step's tokens come in texts.
    fn right(&self, texts: &[&Drawn]) -> [f32; STEPS] {
        let mut counts = [(0.0, 0.0); STEPS];
        let mut found = [Candidate { id: 0, probability: 0.0 }; MOST];
        for text in texts {
            for at in text.from.max(1)..text.ids.len() {
                let count = self.find(&text.ids[at.saturating_sub(LONGEST)..at], &mut found);
                for candidate in &found[..count] {
                    let (right, all) = &mut counts[step(candidate.probability)];
                    *all += 1.0;
                    *right += f32::from(u8::from(candidate.id == text.ids[at]));
                }
            }
        }
        chances(&counts)
    }

    /// The entries of what was drawn, without how often they are right.
    fn of(texts: &[&Drawn], entries: usize, vocabulary: usize, temperature: f32) -> Table {
        let chances = std::array::from_fn(probability);
        let mut table = Table { entries: vec![0; entries.max(1)], vocabulary, temperature, chances };
        let mut found = learn::entries(texts);
        // Some places stay free, so that searches end soon.
        let kept = found.len().min(entries / 10 * 9);
        if kept < found.len() {
            found.select_nth_unstable_by(kept, |a, b| b.gain.total_cmp(&a.gain).then(a.key.cmp(&b.key)));
            found.truncate(kept);
        }
        // What gains most has the first choice of a place.
        found.sort_by(|a, b| b.gain.total_cmp(&a.gain).then(a.key.cmp(&b.key)));
        found.iter().for_each(|entry| table.put(entry));
        table
    }

    /// The entries, to be stored.
    pub fn entries(&self) -> &[u32] {
        &self.entries
    }

    /// How often a token of each step of probability came, to be stored.
    pub fn chances(&self) -> &[f32; STEPS] {
        &self.chances
    }

    /// The temperature at which its text was drawn.
    pub fn temperature(&self) -> f32 {
        self.temperature
    }

    /// The tokens that usually follow, most probable first; returns how many were found.
    pub fn find(&self, context: &[u32], found: &mut [Candidate; MOST]) -> usize {
        let mut count = 0;
        for len in (1..=LONGEST.min(context.len())).rev() {
            let key = key(&context[context.len() - len..]);
            // A longer context says all that a shorter one does, if it has an entry.
            while count < MOST
                && let Some(candidate) = self.get(key, count)
            {
                found[count] = candidate;
                count += 1;
            }
            if count > 0 {
                break;
            }
        }
        count
    }

    fn token_mask(&self) -> u32 {
        (self.vocabulary.max(2) as u32 - 1).checked_ilog2().map_or(1, |bits| (1 << (bits + 1)) - 1)
    }

    /// Where a context's candidate number `rank` may begin to be, and the bits that it is recognised by.
    fn place(&self, key: u64, rank: usize) -> (usize, u32) {
        let hash = mix(key.wrapping_add(rank as u64));
        let place = ((u128::from(hash) * self.entries.len() as u128) >> 64) as usize;
        let shift = STEP_BITS + self.token_mask().count_ones();
        (place, (mix(hash) as u32) << shift)
    }

    fn probes(&self, place: usize) -> impl Iterator<Item = usize> {
        let len = self.entries.len();
        (0..PROBES.min(len)).map(move |probe| (place + probe) % len)
    }

    fn get(&self, key: u64, rank: usize) -> Option<Candidate> {
        let (place, check) = self.place(key, rank);
        let low = STEP_BITS + self.token_mask().count_ones();
        for place in self.probes(place) {
            let entry = self.entries[place];
            if entry == 0 {
                return None;
            }
            if entry >> low << low == check {
                let probability = self.chances[entry as usize % STEPS];
                return Some(Candidate { id: entry >> STEP_BITS & self.token_mask(), probability });
            }
        }
        None
    }

    fn put(&mut self, entry: &learn::Entry) {
        let (place, check) = self.place(entry.key, entry.rank);
        let bits = check | entry.candidate.id << STEP_BITS | step(entry.candidate.probability) as u32;
        let free = self.probes(place).find(|&place| self.entries[place] == 0);
        if let Some(place) = free {
            self.entries[place] = bits;
        }
    }
}

/// How often each step's tokens come, from the right ones and all of each step.
pub fn chances(counts: &[(f32, f32); STEPS]) -> [f32; STEPS] {
    std::array::from_fn(|step| {
        let (right, all) = counts[step];
        (right + PRIOR * probability(step)) / (all + PRIOR)
    })
}

/// The step of a probability, and the probability of a step.
pub fn step(probability: f32) -> usize {
    let most = (STEPS - 1) as f32;
    (probability * most).round().clamp(1.0, most) as usize
}

fn probability(step: usize) -> f32 {
    step as f32 / (STEPS - 1) as f32
}

/// A context's key.
fn key(context: &[u32]) -> u64 {
    context.iter().fold(context.len() as u64, |key, &id| mix(key ^ (u64::from(id) << 8)))
}

/// Learning the entries.
mod learn {
    use super::*;

    /// A candidate of a context, and what it would be wrong without.
    pub struct Entry {
        pub key: u64,
        pub rank: usize,
        pub candidate: Candidate,
        pub gain: f32,
    }

    /// Candidates of a shorter context that longer ones are mixed with.
    const PASSED_ON: usize = 16;

    /// The candidates of every context that occurs.
    pub fn entries(texts: &[&Drawn]) -> Vec<Entry> {
        // Every place of every text, sorted by the tokens before it, last first: equal contexts stand together.
        let drawn = |(text, number): (&&Drawn, u32)| {
            let places = text.from.max(1) as u32..text.ids.len() as u32;
            places.map(move |at| (number, at))
        };
        let mut places: Vec<(u32, u32)> = texts.iter().zip(0..).flat_map(drawn).collect();
        let before = |&(text, at): &(u32, u32)| {
            let at = at as usize;
            texts[text as usize].ids[at.saturating_sub(LONGEST)..at].iter().rev()
        };
        places.sort_by(|a, b| before(a).cmp(before(b)).then(a.cmp(b)));
        let mut found = Vec::new();
        contexts(texts, &places, 1, &[], &mut found);
        found
    }

    /// The candidates after each context of `len` tokens, of places that agree in one token less.
    fn contexts(
        texts: &[&Drawn],
        places: &[(u32, u32)],
        len: usize,
        shorter: &[Candidate],
        found: &mut Vec<Entry>,
    ) {
        let context = |&(text, at): &(u32, u32)| {
            (at as usize).checked_sub(len).map(|from| &texts[text as usize].ids[from..at as usize])
        };
        for group in places.chunk_by(|a, b| context(a) == context(b)) {
            let Some(ids) = context(&group[0]) else { continue };
            let mixed = mixed(texts, group, shorter);
            let mixed = likeliest(&mixed, PASSED_ON);
            let top = &mixed[..mixed.len().min(MOST)];
            let of_shorter = &shorter[..shorter.len().min(MOST)];
            let expected = |id: u32| {
                let shown = of_shorter.iter().find(|candidate| candidate.id == id);
                shown.map_or(0.0, |candidate| candidate.probability)
            };
            let differs = |candidate: &Candidate| (candidate.probability - expected(candidate.id)).abs();
            let difference: f32 = top.iter().map(differs).sum();
            for (rank, candidate) in top.iter().enumerate() {
                // The first candidates bring most, and no candidate is found without those before it.
                let gain = group.len() as f32 * difference * candidate.probability
                    / top[0].probability
                    / (1 + rank) as f32;
                found.push(Entry { key: key(ids), rank, candidate: *candidate, gain });
            }
            if len < LONGEST && group.len() > 1 {
                contexts(texts, group, len + 1, &mixed, found);
            }
        }
    }

    /// Probabilities of what follows in these places, mixed with those of the shorter context.
    fn mixed(texts: &[&Drawn], group: &[(u32, u32)], shorter: &[Candidate]) -> HashMap<u32, f32> {
        let mut counts = HashMap::<u32, f32>::new();
        for &(text, at) in group {
            *counts.entry(texts[text as usize].ids[at as usize]).or_default() += 1.0;
        }
        let (all, distinct) = (group.len() as f32, counts.len() as f32);
        counts.values_mut().for_each(|count| *count /= all + distinct);
        let weight = distinct / (all + distinct);
        for candidate in shorter {
            *counts.entry(candidate.id).or_default() += weight * candidate.probability;
        }
        counts
    }

    /// The most probable tokens, most probable first.
    fn likeliest(probabilities: &HashMap<u32, f32>, count: usize) -> Vec<Candidate> {
        let mut all: Vec<Candidate> =
            probabilities.iter().map(|(&id, &probability)| Candidate { id, probability }).collect();
        let order =
            |a: &Candidate, b: &Candidate| b.probability.total_cmp(&a.probability).then(a.id.cmp(&b.id));
        if all.len() > count {
            all.select_nth_unstable_by(count, order);
            all.truncate(count);
        }
        all.sort_by(order);
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NONE: [Candidate; MOST] = [Candidate { id: 0, probability: 0.0 }; MOST];

    #[test]
    fn what_usually_follows_is_found() {
        // After 1 comes 2 or 5; after 9, 1 comes 5 alone.
        let text = vec![1, 2, 3, 1, 2, 4, 1, 2, 3, 9, 1, 5, 9, 1, 5, 9, 1, 5];
        let table = Table::learn(&[Drawn::new(text, 0)], 400, 10, 0.5);
        let find = |context: &[u32]| {
            let mut found = NONE;
            let count = table.find(context, &mut found);
            found[..count].iter().map(|candidate| candidate.id).collect::<Vec<_>>()
        };
        assert_eq!(find(&[7, 1])[..2], [2, 5], "as often, so the lower id");
        assert_eq!(find(&[9, 1])[0], 5);
        assert_eq!(find(&[4, 1])[0], 2);
        assert!(find(&[8]).is_empty() && find(&[]).is_empty());
        let stored = Table::new(table.entries().to_vec(), *table.chances(), 10, 0.5).unwrap();
        assert_eq!(stored, table);
        let new = |entries| Table::new(entries, *table.chances(), 10, 0.5);
        assert!(new(vec![u32::MAX]).is_err() && new(vec![]).is_err());
    }

    /// With fewer entries than contexts, what is kept is what gains most: most guesses stay right.
    #[test]
    fn a_small_table_knows_the_most_frequent() {
        let text: Vec<u32> =
            (0..20_000_u64).map(|i| (mix(mix(i / 7) % 40 * 8 + i % 7) % 50) as u32).collect();
        let right = |entries: usize| {
            let table = Table::learn(&[Drawn::new(text.clone(), 0)], entries, 50, 1.0);
            let mut found = NONE;
            let is_right =
                |at: &usize| table.find(&text[at - LONGEST..*at], &mut found) > 0 && found[0].id == text[*at];
            (LONGEST..text.len()).filter(is_right).count() as f64 / text.len() as f64
        };
        let (all, some, few) = (right(100_000), right(1_000), right(100));
        assert!(all > 0.8 && some > 0.75 * all && few < some, "{all} {some} {few}");
    }
}
