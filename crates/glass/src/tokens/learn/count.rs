//! Counts how often each word occurs, on several threads and within a memory limit.

use std::collections::HashMap;

use super::Progress;
use crate::Result;
use crate::tokens::Special;
use crate::tokens::added::{Added, Piece};
use crate::tokens::parallel::{map, parts};
use crate::tokens::split::{Split, safe_cut};

/// Distinct words with their counts.
pub type Counts = HashMap<Box<[u8]>, u64>;

/// Text is counted in batches of at most this many bytes, each divided among the threads.
const BATCH: usize = 1 << 21;
const SHARES: usize = 16;

/// Counts the words of all texts. When words are dropped depends on the texts and on `memory`, not on the threads.
pub fn words<Text: AsRef<[u8]>>(
    texts: impl IntoIterator<Item = Result<Text>>,
    specials: &Added,
    memory: usize,
    progress: &mut dyn FnMut(Progress),
) -> Result<Vec<(Box<[u8]>, u64)>> {
    // The tables of a batch take at most about twelve times its text.
    let batch = (memory / 32).min(BATCH);
    let mut table = Table { counts: Counts::new(), size: 0, most: memory / 2, bytes: 0 };
    let (mut waiting, mut size) = (Vec::new(), 0);
    for text in texts {
        let text = text?;
        size += text.as_ref().len();
        waiting.push(text);
        if size >= batch {
            table.add(&waiting, specials, batch, progress);
            waiting.clear();
            size = 0;
        }
    }
    table.add(&waiting, specials, batch, progress);
    Ok(table.counts.into_iter().collect())
}

struct Table {
    counts: Counts,
    /// About how many bytes `counts` takes now, and the limit.
    size: usize,
    most: usize,
    /// How much text was read.
    bytes: u64,
}

/// About how much memory a word takes, here and when its pairs are counted.
fn size(word: &[u8]) -> usize {
    64 + 32 * word.len()
}

impl Table {
    fn add<Text: AsRef<[u8]>>(
        &mut self,
        texts: &[Text],
        specials: &Added,
        batch: usize,
        progress: &mut dyn FnMut(Progress),
    ) {
        let share = (batch / SHARES).max(1);
        let parts =
            texts.iter().flat_map(|text| parts(specials, &safe_cut, text.as_ref(), Special::Allowed, share));
        let mut parts = parts.peekable();
        while parts.peek().is_some() {
            // How many pieces make a batch, and how many make a thread's share.
            let (mut shares, mut all) = (Vec::new(), 0);
            while all < batch
                && let Some(part) = parts.next()
            {
                let length = length(&part);
                match shares.last_mut() {
                    Some((held, share_of)) if *held < share => {
                        *held += length;
                        Vec::push(share_of, part);
                    }
                    _ => shares.push((length, vec![part])),
                }
                all += length;
            }
            for counts in map(&shares, |(_, parts)| count(parts)) {
                self.join(counts);
            }
            self.bytes += all as u64;
            while self.size > self.most {
                progress(self.forget());
            }
            progress(Progress::Counted { bytes: self.bytes, words: self.counts.len() });
        }
    }

    fn join(&mut self, counts: HashMap<&[u8], u64>) {
        for (word, count) in counts {
            match self.counts.get_mut(word) {
                Some(total) => *total += count,
                None => {
                    self.size += size(word);
                    self.counts.insert(word.into(), count);
                }
            }
        }
    }

    /// Drops the least frequent words: all those up to the count that reduces the table to half of its limit.
    fn forget(&mut self) -> Progress {
        let mut by_count = std::collections::BTreeMap::<u64, usize>::new();
        for (word, count) in &self.counts {
            *by_count.entry(*count).or_default() += size(word);
        }
        let (mut left, mut seen) = (self.size, 0);
        for (count, bytes) in by_count {
            if left <= self.most / 2 {
                break;
            }
            (left, seen) = (left - bytes, count);
        }
        let before = self.counts.len();
        self.counts.retain(|_, count| *count > seen);
        self.size = left;
        Progress::Forgot { words: before - self.counts.len(), seen }
    }
}

fn length(part: &[Piece]) -> usize {
    part.iter().map(|piece| if let Piece::Text(text) = piece { text.len() } else { 0 }).sum()
}

/// The words of one share.
fn count<'t>(parts: &[Vec<Piece<'t>>]) -> HashMap<&'t [u8], u64> {
    let mut counts = HashMap::new();
    for piece in parts.iter().flatten() {
        if let Piece::Text(text) = *piece {
            Split::Gpt2.each_range(text, |start, end| *counts.entry(&text[start..end]).or_default() += 1);
        }
    }
    counts
}
