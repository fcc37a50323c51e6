//! Joins the most frequent pair repeatedly, with counts that are updated instead of recounted.

use std::collections::{BinaryHeap, HashMap};
use std::rc::Rc;

use super::Progress;

/// Two neighbouring tokens.
type Pair = (u32, u32);

/// The result: the bytes of every token by id, and the merges in order (left, right, joined).
type Learned = (Vec<Rc<[u8]>>, Vec<[u32; 3]>);

/// How often a pair occurs, and in which words: all that hold it now, and possibly some that did before.
#[derive(Default)]
struct Seen {
    count: u64,
    words: Vec<u32>,
}

/// A pair in the queue: ordered by its count, then by the bytes of its tokens.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Candidate {
    count: u64,
    left: Rc<[u8]>,
    right: Rc<[u8]>,
    pair: Pair,
}

/// The words as tokens, the pairs in them, and what was learned.
struct Joiner {
    words: Vec<(Vec<u32>, u64)>,
    pairs: HashMap<Pair, Seen>,
    queue: BinaryHeap<Candidate>,
    tokens: Vec<Rc<[u8]>>,
    /// Tokens by their bytes: equal bytes are the same token, whichever pair they were joined from.
    ids: HashMap<Rc<[u8]>, u32>,
}

/// Joins pairs until there are `most` new tokens or no pair is left.
pub fn learn(words: Vec<(Box<[u8]>, u64)>, most: usize, progress: &mut dyn FnMut(Progress)) -> Learned {
    let mut joiner = Joiner::new(words);
    let mut merges = HashMap::new();
    let mut order = Vec::new();
    while joiner.tokens.len() < 256 + most
        && let Some((left, right)) = joiner.most_frequent()
    {
        let joined = joiner.token(left, right);
        // A joined pair can occur again if two pairs lead to the same token; it is one merge.
        merges.entry((left, right)).or_insert_with(|| order.push([left, right, joined]));
        joiner.join((left, right), joined);
        progress(Progress::Merged { done: joiner.tokens.len() - 256, of: most });
    }
    (joiner.tokens, order)
}

impl Joiner {
    fn new(words: Vec<(Box<[u8]>, u64)>) -> Joiner {
        let tokens: Vec<Rc<[u8]>> = (0..=255).map(|byte| Rc::from([byte])).collect();
        let ids = tokens.iter().cloned().zip(0..).collect();
        let words: Vec<(Vec<u32>, u64)> = words
            .into_iter()
            .filter(|(word, _)| word.len() > 1)
            .map(|(word, count)| (word.iter().map(|byte| u32::from(*byte)).collect(), count))
            .collect();
        let mut pairs = HashMap::<Pair, Seen>::new();
        for ((word, count), place) in words.iter().zip(0..) {
            word.windows(2).for_each(|pair| pairs.entry((pair[0], pair[1])).or_default().add(*count, place));
        }
        let mut joiner = Joiner { words, pairs, queue: BinaryHeap::new(), tokens, ids };
        joiner.queue = joiner.pairs.keys().filter_map(|pair| joiner.candidate(*pair)).collect();
        joiner
    }

    /// The queue entry of a pair; `None` if it no longer occurs.
    fn candidate(&self, pair: Pair) -> Option<Candidate> {
        let count = self.pairs.get(&pair).map(|seen| seen.count).filter(|count| *count > 0)?;
        let [left, right] = [pair.0, pair.1].map(|id| self.tokens[id as usize].clone());
        Some(Candidate { count, left, right, pair })
    }

    /// The pair to join next. An entry of the queue may still have an old, higher count: then it is put back with
    /// its current one. Increased counts are inserted at once, so nothing is missed.
    fn most_frequent(&mut self) -> Option<Pair> {
        while let Some(first) = self.queue.pop() {
            match self.candidate(first.pair) {
                Some(now) if now.count == first.count => return Some(first.pair),
                Some(now) if now.count < first.count => self.queue.push(now),
                _ => {}
            }
        }
        None
    }

    /// The token of two joined ones: a new one, unless a token with the same bytes exists.
    fn token(&mut self, left: u32, right: u32) -> u32 {
        let bytes: Rc<[u8]> = [left, right].map(|id| &*self.tokens[id as usize]).concat().into();
        *self.ids.entry(bytes).or_insert_with_key(|bytes| {
            self.tokens.push(bytes.clone());
            self.tokens.len() as u32 - 1
        })
    }

    /// Joins a pair wherever it occurs, and updates the counts of the pairs around it.
    fn join(&mut self, pair: Pair, joined: u32) {
        let places = self.pairs.remove(&pair).unwrap_or_default().words;
        let mut risen = Vec::new();
        for place in places {
            let (word, count) = &mut self.words[place as usize];
            join_in_word(word, pair, joined, |old, new| {
                if let Some(seen) = self.pairs.get_mut(&old) {
                    seen.count -= *count;
                }
                self.pairs.entry(new).or_default().add(*count, place);
                risen.push(new);
            });
        }
        risen.sort_unstable();
        risen.dedup();
        for pair in risen {
            self.queue.extend(self.candidate(pair));
        }
    }
}

/// Joins a pair in one word, from the left. `changed` is called for every changed neighbouring pair, with the old
/// and the new pair.
fn join_in_word(word: &mut Vec<u32>, pair: Pair, joined: u32, mut changed: impl FnMut(Pair, Pair)) {
    let (mut read, mut write) = (0, 0);
    while read < word.len() {
        if word.get(read + 1).is_none_or(|right| (word[read], *right) != pair) {
            word[write] = word[read];
            (read, write) = (read + 1, write + 1);
            continue;
        }
        if write > 0 {
            changed((word[write - 1], pair.0), (word[write - 1], joined));
        }
        if let Some(next) = word.get(read + 2) {
            changed((pair.1, *next), (joined, *next));
        }
        word[write] = joined;
        (read, write) = (read + 2, write + 1);
    }
    word.truncate(write);
}

impl Seen {
    fn add(&mut self, count: u64, place: u32) {
        self.count += count;
        if self.words.last() != Some(&place) {
            self.words.push(place);
        }
    }
}
