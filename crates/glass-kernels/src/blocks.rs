//! Block sizes: how much of a product's operands a task works on at a time, so that it stays in the L2 cache; and
//! how many tasks there are. No size changes a bit of any result: sums continue through memory where a block ends.

use crate::l2_cache;
use crate::packing::PANEL;

/// Rows × k of the left operand, which are multiplied with the same k of a panel before the next block.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct BlockSize {
    /// Rows.
    pub rows: usize,
    /// Lanes of k, each of one or two values.
    pub depth: usize,
}

/// The minimum of rows and depth of a block: with less, panels and outputs would be read too often.
const LEAST_ROWS: usize = 32;
const LEAST_DEPTH: usize = 64;

/// The minimum of rows of a task, where there are too few panels for all threads to end together.
const LEAST_TASK_ROWS: usize = 8;

/// The minimum number of tasks per thread, if there are enough rows, so that no thread waits long for the last one.
const TASKS: usize = 8;

/// The maximum number of query lines that attention works on at once; a few numbers of each are on the stack.
pub(crate) const MOST_LINES: usize = 48;

/// How many of these are processed together where the mask cuts through them: the rows of a tile of f32.
pub(crate) const STRIP: usize = 6;

/// How much of the L2 cache a task may use: half of it, since prefetched data takes the other half.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Room {
    /// In lanes of 32 bits.
    lanes: usize,
    block: BlockSize,
}

impl Room {
    /// For a cache of this many bytes per thread.
    pub fn in_cache_of(bytes: usize) -> Self {
        let lanes = bytes / 2 / size_of::<f32>();
        Self { lanes, block: best_block(lanes) }
    }

    /// For this machine; if its cache size is unknown, for a small one.
    pub fn here() -> Self {
        static HERE: std::sync::OnceLock<Room> = std::sync::OnceLock::new();
        *HERE.get_or_init(|| Self::in_cache_of(l2_cache::bytes().unwrap_or(256 << 10)))
    }

    /// The size of that cache in bytes.
    pub fn cache(self) -> usize {
        self.lanes * size_of::<f32>() * 2
    }

    /// Lanes of 32 bits that a task may use.
    pub(crate) fn lanes(self) -> usize {
        self.lanes
    }

    /// The block of a product of floats.
    pub fn block(self) -> BlockSize {
        self.block
    }

    /// The number of attention lines per task, of `lanes` each: as many as stay in the cache and leave tasks for
    /// all `threads`, given `all` lines in total.
    pub(crate) fn lines(self, lanes: usize, all: usize, threads: usize) -> usize {
        let busy = if threads > 1 { all / (TASKS * threads) } else { all };
        let lines = (self.lanes / lanes.max(1)).min(busy).clamp(STRIP, MOST_LINES);
        lines - lines % STRIP
    }
}

/// The block that moves the fewest lanes: for `rows × PANEL × depth` multiply-adds, its part of the panel is loaded
/// once, and its outputs are loaded and stored. Rows, panel and outputs together take no more than `lanes`.
fn best_block(lanes: usize) -> BlockSize {
    let rows = |depth: usize| lanes.saturating_sub(PANEL * depth) / (depth + PANEL);
    let moved = |block: &BlockSize| 1.0 / block.rows as f64 + 2.0 / block.depth as f64;
    let blocks =
        (LEAST_DEPTH..=4096).step_by(LEAST_DEPTH).map(|depth| BlockSize { rows: rows(depth), depth });
    let best = blocks.filter(|block| block.rows >= LEAST_ROWS).min_by(|a, b| moved(a).total_cmp(&moved(b)));
    best.unwrap_or(BlockSize { rows: LEAST_ROWS, depth: LEAST_DEPTH })
}

/// The number of tasks into which the rows of a product are cut, each of at most `most` rows × one of `panels`.
pub(crate) fn tasks(rows: usize, most: usize, panels: usize, threads: usize) -> usize {
    let busy = if threads > 1 { (TASKS * threads).div_ceil(panels.max(1)) } else { 1 };
    rows.div_ceil(most).max(busy.min(rows / LEAST_TASK_ROWS))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_grow_with_the_cache_and_stay_in_it() {
        let block = |bytes| Room::in_cache_of(bytes).block();
        for kibibytes in [256, 512, 1024, 2048, 4096] {
            let BlockSize { rows, depth } = block(kibibytes << 10);
            assert!(4 * ((rows + PANEL) * depth + rows * PANEL) <= kibibytes << 9, "{rows} × {depth}");
            assert!(block(kibibytes << 11).rows >= rows && block(kibibytes << 11).depth >= depth);
        }
        assert_eq!(block(1 << 20), BlockSize { rows: 237, depth: 384 });
        assert_eq!(block(0), BlockSize { rows: LEAST_ROWS, depth: LEAST_DEPTH });
        assert!(block(usize::MAX).rows > block(1 << 28).rows);
    }

    #[test]
    fn tasks_are_enough_for_all_threads_where_rows_are() {
        assert_eq!(tasks(1, 237, 12, 2), 1);
        assert_eq!(tasks(256, 237, 12, 2), 2);
        assert_eq!(tasks(1024, 237, 48, 2), 5);
        assert_eq!(tasks(1024, 237, 12, 64), 43);
        assert_eq!((tasks(16, 237, 9, 2), tasks(16, 237, 24, 2)), (2, 1));
        assert_eq!(tasks(15, 237, 1, 64), 1);
        assert_eq!((tasks(0, 237, 12, 2), tasks(200, 237, 1, 1)), (0, 1));
    }

    #[test]
    fn lines_stay_in_the_cache_and_leave_tasks_to_all() {
        let room = Room::in_cache_of(1 << 20);
        assert_eq!(
            [room.lines(320, 6144, 1), room.lines(320, 6144, 2), room.lines(320, 6144, 16)],
            [48, 48, 48]
        );
        assert_eq!(
            [room.lines(320, 192, 2), room.lines(320, 12, 2), room.lines(1 << 20, 6144, 2)],
            [12, 6, 6]
        );
    }

    #[test]
    fn this_machine_has_room() {
        let Room { lanes, .. } = Room::here();
        assert!((1 << 10..1 << 28).contains(&lanes), "{lanes}");
    }
}
