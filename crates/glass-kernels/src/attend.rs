//! Attention: softmax(Q Kᵀ / √size) V under a causal mask, without storing the pattern (online softmax, Milakov &
//! Gimelshein 2018; Dao et al. 2022).
//!
//! Keys are cut into blocks of 64 at absolute positions. Each block gives its maximum, its sum and its weighted
//! values, starting from zero, and blocks are joined in order, so a row gets the same bits whichever rows are
//! computed with it, in prefill and in decoding.

mod backward;
mod backward_each;
mod block_table;
mod cache;
mod forward;
mod visible;

use std::ops::Range;

use crate::Cores;
use crate::blocks::STRIP;

pub use backward::attend_backward;
pub use backward_each::attend_backward_each;
pub use block_table::BlockTable;
pub use cache::{CacheType, Kv, KvShape, append};
pub use forward::attend;
pub use visible::{mask, mix, pattern, pattern_len, scores, softmax};

/// Keys in a block.
pub const BLOCK: usize = 64;

/// The heads of an attention layer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Heads {
    /// Query heads.
    pub query: usize,
    /// Key and value heads; fewer than `query` if groups of query heads share them.
    pub key: usize,
    /// Width of one head.
    pub size: usize,
    /// The scale of the scores.
    pub scale: ScoreScale,
}

/// The factor of scores (queries times keys) before the softmax.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ScoreScale {
    /// Whether they are divided by the square root of a head's width (Vaswani et al. 2017).
    pub by_size: bool,
    /// A further divisor.
    pub divisor: u32,
}

impl Default for ScoreScale {
    fn default() -> Self {
        ScoreScale { by_size: true, divisor: 1 }
    }
}

impl Heads {
    /// Heads whose scores are divided by the square root of their width.
    pub fn new(query: usize, key: usize, size: usize) -> Self {
        Heads { query, key, size, scale: ScoreScale::default() }
    }

    /// Query heads that share one key head.
    fn group(self) -> usize {
        assert!(self.key > 0 && self.query.is_multiple_of(self.key), "{self:?} do not divide");
        self.query / self.key
    }

    /// The factor of scores.
    pub fn scale(self) -> f32 {
        let root = if self.scale.by_size { (self.size as f64).sqrt() } else { 1.0 };
        (1.0 / (root * f64::from(self.scale.divisor))) as f32
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
