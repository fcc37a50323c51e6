//! Attention: softmax(Q Kᵀ / √size) V under a causal mask or a window, without storing the pattern (online softmax, Milakov &
//! Gimelshein 2018; Dao et al. 2022).
//!
//! Keys are cut into blocks of 64 at absolute positions. Each block gives its maximum, its sum and its weighted
//! values, starting from zero, and blocks are joined in order, so a row gets the same bits whichever rows are
//! computed with it, in prefill and in decoding. Blocks that end before a query's window are not read for it.
//!
//! A sink is a number for each query head that takes part in the softmax like the score of a key whose value is zero (gpt-oss,
//! OpenAI 2025).

mod backward;
mod backward_each;
mod block_table;
mod cache;
mod forward;
mod tile;
mod visible;

use std::ops::Range;

use crate::Cores;
use crate::blocks::STRIP;

pub use backward::attend_backward;
pub use backward_each::{attend_backward_each, attend_backward_each_apart};
pub use block_table::BlockTable;
pub use cache::{CacheType, Kv, KvShape, append, keep_branch};
pub use forward::attend;
pub use visible::{mask, mix, pattern, pattern_len, scores, softmax};

/// Keys in a block.
pub const BLOCK: usize = 64;

/// The heads of an attention layer, and what their scores go through.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Heads {
    /// Query heads.
    pub query: usize,
    /// Key and value heads; fewer than `query` if groups of query heads share them.
    pub key: usize,
    /// Width of one head.
    pub size: usize,
    /// The factor of scores (queries times keys).
    pub scale: f32,
    /// How many positions a query sees, its own included; `None`: all up to its own.
    pub window: Option<usize>,
    /// A scaled score s becomes `cap × tanh(s / cap)`, before the mask.
    pub cap: Option<f32>,
}

impl Heads {
    /// Heads whose scores are divided by the square root of their width (Vaswani et al. 2017), without a window or a cap.
    pub fn new(query: usize, key: usize, size: usize) -> Self {
        let scale = (1.0 / (size as f64).sqrt()) as f32;
        Heads { query, key, size, scale, window: None, cap: None }
    }

    /// Query heads that share one key head.
    fn group(self) -> usize {
        assert!(self.key > 0 && self.query.is_multiple_of(self.key), "{self:?} do not divide");
        assert!(self.window != Some(0), "a window of no positions");
        self.query / self.key
    }

    /// The keys that the query at `position` sees.
    pub fn visible(self, position: usize) -> Visible {
        let end = position + 1;
        Visible { first: self.window.map_or(0, |window| end.saturating_sub(window)), end }
    }

    /// The end of the positions whose queries see the key at `position`; they begin with its own.
    fn seen_until(self, position: usize) -> usize {
        self.window.map_or(usize::MAX, |window| position.saturating_add(window))
    }

    /// The elements of a query head in a matrix of rows.
    fn query_at(self, row: usize, head: usize) -> Range<usize> {
        (row * self.query + head) * self.size..(row * self.query + head + 1) * self.size
    }

    /// The elements of a key head in a matrix of rows.
    fn key_at(self, row: usize, head: usize) -> Range<usize> {
        (row * self.key + head) * self.size..(row * self.key + head + 1) * self.size
    }
}

/// Which keys a query sees: the causal mask, and the window if there is one.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Visible {
    /// The position of the first.
    pub first: usize,
    /// The position after the last.
    pub end: usize,
}

impl Visible {
    /// The block of the first key.
    fn first_block(self) -> usize {
        self.first / BLOCK
    }

    /// The blocks that hold them.
    fn blocks(self) -> Range<usize> {
        self.first_block()..self.end.div_ceil(BLOCK)
    }

    /// The visible ones of `count` keys from position `start` on, counted from `start`.
    fn within(self, start: usize, count: usize) -> Range<usize> {
        let [first, end] = [self.first, self.end].map(|key| key.saturating_sub(start).min(count));
        first..end
    }
}

/// The rows of a matrix that belong to one sequence, and how many keys it already has. The spans of a batch are in
/// the order of their rows, each in its own slot.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Span {
    /// Rows of the batch.
    pub rows: Range<usize>,
    /// The slot of the sequence in the cache.
    pub slot: usize,
    /// Positions already in the cache: row `rows.start` is position `past`.
    pub past: usize,
}

impl Span {
    /// The number of keys that its last row sees.
    fn keys(&self) -> usize {
        self.past + self.rows.len()
    }
}

/// Tasks write the rows of different spans at the same time.
fn assert_in_order(spans: &[Span]) {
    let forward = spans.iter().all(|span| span.rows.start <= span.rows.end);
    let ordered = spans.windows(2).all(|pair| pair[0].rows.end <= pair[1].rows.start);
    assert!(forward && ordered, "the spans of a batch are not in the order of their rows");
}

/// The width of a head in working memory: whole vectors of every instruction set, padded with zeros after `size`.
fn padded(size: usize) -> usize {
    size.next_multiple_of(16)
}

/// The number of query lines in a task, of `lanes` floats each.
fn most_lines(cores: &Cores, lanes: usize, heads: Heads, spans: &[Span]) -> usize {
    let rows: usize = spans.iter().map(|span| span.rows.len()).sum();
    cores.room().lines(lanes, rows * heads.query, cores.threads())
}

/// The rows of a tile, in strips if the mask cuts through them, so that few masked scores are computed.
fn strips(rows: Range<usize>, cut: bool) -> impl Iterator<Item = Range<usize>> {
    let step = if cut { STRIP } else { rows.len().max(1) };
    rows.clone().step_by(step).map(move |row| row..rows.end.min(row + step))
}

/// Finds task number `task` when every span has its own number of tasks: the span and the number within it.
fn locate(spans: &[Span], mut task: usize, tasks: impl Fn(&Span) -> usize) -> (&Span, usize) {
    for span in spans {
        let here = tasks(span);
        if task < here {
            return (span, task);
        }
        task -= here;
    }
    unreachable!("more tasks than the spans have")
}
