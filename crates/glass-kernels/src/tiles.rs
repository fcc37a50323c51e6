//! How large the tiles and blocks of products are: what they cost on the machine at hand, by its registers and its caches.
//!
//! What is counted is loads to a multiply-add (Low et al. 2016, "Analytical modeling is enough for high-performance BLIS",
//! count the same way). No size changes a bit of any result: chains go on through memory where a block ends.

use crate::packing::PANEL;
use crate::second_level;

/// What the inner loop of a product keeps in registers.
pub(crate) struct Inner {
    /// Vectors there are registers for.
    pub registers: usize,
    /// Vectors that a vector of outputs is summed in.
    pub sums: usize,
    /// Vectors that a vector of the right operand is held in, as it is loaded and as it is multiplied.
    pub right: usize,
    /// Vectors that one multiply-add takes beside these: the left factor, and what it computes in between.
    pub between: usize,
}

/// Outputs that are summed at once, in registers.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Tile {
    pub rows: usize,
    /// Of columns.
    pub vectors: usize,
}

/// Rows of a tile, at most. Where they stand a power of two apart they meet in one set of the first-level cache, which holds
/// eight lines or more.
const MOST_ROWS: usize = 8;

const _: () = assert!(MOST_ROWS <= 8, "with_rows! knows no more");

impl Inner {
    /// The tile with the fewest loads, of its rows and its vectors, for `rows × vectors` multiply-adds. A panel is whole tiles
    /// wide, of vectors of `len` floats.
    pub(crate) const fn tile(&self, len: usize) -> Tile {
        let mut best = Tile { rows: 1, vectors: 1 };
        let mut vectors = 1;
        while vectors * len <= PANEL && self.rows(vectors) > 0 {
            let tile = Tile { rows: self.rows(vectors), vectors };
            if tile.loads() * best.outputs() < best.loads() * tile.outputs() {
                best = tile;
            }
            vectors *= 2;
        }
        best
    }

    /// Rows that there are registers for, of so many vectors.
    const fn rows(&self, vectors: usize) -> usize {
        let rows = self.registers.saturating_sub(self.between + self.right * vectors) / (self.sums * vectors);
        if rows < MOST_ROWS { rows } else { MOST_ROWS }
    }

    /// Vectors of columns of a single row: of its panel as many as there are sums for, since all of it is read only once.
    /// A vector of the right operand is held no longer than its one multiply-add.
    pub(crate) const fn row(&self, len: usize) -> usize {
        let mut vectors = PANEL / len;
        while vectors > 1 && self.sums * vectors + self.right + self.between > self.registers {
            vectors /= 2;
        }
        vectors
    }
}

impl Tile {
    /// A vector of the right operand counts twice: it comes from the second level, the panel being too large for the first.
    const fn loads(self) -> usize {
        self.rows + 2 * self.vectors
    }

    const fn outputs(self) -> usize {
        self.rows * self.vectors
    }
}

/// Runs `$call` with `$R`, a constant, being `$rows`: the compiler knows the rows of a tile, at most `$most`.
macro_rules! with_rows {
    ($R:ident = $rows:expr, at most $most:expr, $call:expr) => {{
        match $rows {
            8 if $most >= 8 => $crate::tiles::with_rows!(@ $R 8 $call),
            7 if $most >= 7 => $crate::tiles::with_rows!(@ $R 7 $call),
            6 if $most >= 6 => $crate::tiles::with_rows!(@ $R 6 $call),
            5 if $most >= 5 => $crate::tiles::with_rows!(@ $R 5 $call),
            4 if $most >= 4 => $crate::tiles::with_rows!(@ $R 4 $call),
            3 if $most >= 3 => $crate::tiles::with_rows!(@ $R 3 $call),
            2 if $most >= 2 => $crate::tiles::with_rows!(@ $R 2 $call),
            _ => $crate::tiles::with_rows!(@ $R 1 $call),
        }
    }};
    (@ $R:ident $rows:literal $call:expr) => {{
        const $R: usize = $rows;
        $call
    }};
}
pub(crate) use with_rows;

/// Some rows × some k of the left operand, which are multiplied with as much k of a panel before others are.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Block {
    /// Rows.
    pub rows: usize,
    /// Lanes of k, each of one or two factors.
    pub depth: usize,
}

/// Rows and depth of a block, at least: with fewer, panels would be read too often, and outputs.
const LEAST_ROWS: usize = 32;
const LEAST_DEPTH: usize = 64;

/// Tasks for each thread, at least, where rows suffice: so that none waits long for the last.
const TASKS: usize = 8;

/// Lines of queries that attention works on at once, at most; a few numbers of each stand on the stack.
pub(crate) const MOST_LINES: usize = 48;

/// Of these, lines that are worked on at once where the mask cuts through them: the rows of a tile of f32.
pub(crate) const STRIP: usize = 6;

/// What a task may keep in the second-level cache: half of it, since what is fetched ahead takes the other.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Room {
    /// Of 32 bits.
    lanes: usize,
    block: Block,
}

impl Room {
    /// In a cache of so many bytes that one thread has to itself.
    pub fn in_cache_of(bytes: usize) -> Self {
        let lanes = bytes / 2 / size_of::<f32>();
        Self { lanes, block: best_block(lanes) }
    }

    /// In this machine's; in a small one, where that does not say how large it is.
    pub fn here() -> Self {
        static HERE: std::sync::OnceLock<Room> = std::sync::OnceLock::new();
        *HERE.get_or_init(|| Self::in_cache_of(second_level::bytes().unwrap_or(256 << 10)))
    }

    /// Bytes of that cache.
    pub fn cache(self) -> usize {
        self.lanes * size_of::<f32>() * 2
    }

    /// The block of a product of floats.
    pub fn block(self) -> Block {
        self.block
    }

    /// Lines that a task of attention has, of `lanes` each: as many as stay in the cache, and leave tasks to all `threads` of
    /// the `all` lines that there are.
    pub(crate) fn lines(self, lanes: usize, all: usize, threads: usize) -> usize {
        let busy = if threads > 1 { all / (TASKS * threads) } else { all };
        let lines = (self.lanes / lanes.max(1)).min(busy).clamp(STRIP, MOST_LINES);
        lines - lines % STRIP
    }
}

/// The block with the fewest lanes moved: for `rows × PANEL × depth` multiply-adds its part of the panel is loaded once, and its
/// outputs are loaded and stored. Rows, panel and outputs together are no more than `lanes`.
fn best_block(lanes: usize) -> Block {
    let rows = |depth: usize| lanes.saturating_sub(PANEL * depth) / (depth + PANEL);
    let moved = |block: &Block| 1.0 / block.rows as f64 + 2.0 / block.depth as f64;
    let blocks = (LEAST_DEPTH..=4096).step_by(LEAST_DEPTH).map(|depth| Block { rows: rows(depth), depth });
    let best = blocks.filter(|block| block.rows >= LEAST_ROWS).min_by(|a, b| moved(a).total_cmp(&moved(b)));
    best.unwrap_or(Block { rows: LEAST_ROWS, depth: LEAST_DEPTH })
}

/// In how many tasks the rows of a product are cut, each of at most `most` rows × one of `panels`.
pub(crate) fn tasks(rows: usize, most: usize, panels: usize, threads: usize) -> usize {
    let busy = if threads > 1 { (TASKS * threads).div_ceil(panels.max(1)) } else { 1 };
    rows.div_ceil(most).max(busy.min(rows / LEAST_ROWS))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_other_tile_that_fits_loads_less() {
        for (registers, sums, right, between) in
            [(32, 1, 1, 1), (16, 1, 1, 1), (32, 2, 1, 1), (32, 2, 2, 1), (16, 2, 1, 4), (16, 2, 2, 4)]
        {
            for len in [4, 8, 16] {
                let inner = Inner { registers, sums, right, between };
                let best = inner.tile(len);
                let held = |rows, vectors| rows * vectors * sums + vectors * right + between;
                assert!(held(best.rows, best.vectors) <= registers, "{best:?} of {registers}");
                for vectors in [1, 2, 4, 8, 16].into_iter().filter(|vectors| vectors * len <= PANEL) {
                    for rows in (1..=MOST_ROWS).filter(|&rows| held(rows, vectors) <= registers) {
                        let loads = |tile: Tile| tile.loads() as f64 / tile.outputs() as f64;
                        assert!(loads(best) <= loads(Tile { rows, vectors }), "{rows} × {vectors}, {best:?}");
                    }
                }
                assert!(inner.row(len) == 1 || inner.row(len) * sums + right + between <= registers);
            }
        }
    }

    #[test]
    fn tiles_of_avx_512_and_avx2() {
        let tile = |registers, sums, len| Inner { registers, sums, right: 1, between: 1 }.tile(len);
        assert_eq!(tile(32, 1, 16), Tile { rows: 6, vectors: 4 });
        assert_eq!(tile(16, 1, 8), Tile { rows: 6, vectors: 2 });
        assert_eq!(tile(32, 2, 16), Tile { rows: 7, vectors: 2 });
    }

    #[test]
    fn blocks_grow_with_the_cache_and_stay_in_it() {
        let block = |bytes| Room::in_cache_of(bytes).block();
        for kibibytes in [256, 512, 1024, 2048, 4096] {
            let Block { rows, depth } = block(kibibytes << 10);
            assert!(4 * ((rows + PANEL) * depth + rows * PANEL) <= kibibytes << 9, "{rows} × {depth}");
            assert!(block(kibibytes << 11).rows >= rows && block(kibibytes << 11).depth >= depth);
        }
        assert_eq!(block(1 << 20), Block { rows: 237, depth: 384 });
        assert_eq!(block(0), Block { rows: LEAST_ROWS, depth: LEAST_DEPTH });
        assert!(block(usize::MAX).rows > 1 << 20);
    }

    #[test]
    fn tasks_are_enough_for_all_threads_where_rows_are() {
        assert_eq!(tasks(1, 237, 12, 2), 1);
        assert_eq!(tasks(256, 237, 12, 2), 2);
        assert_eq!(tasks(1024, 237, 48, 2), 5);
        assert_eq!(tasks(1024, 237, 12, 64), 32);
        assert_eq!(tasks(63, 237, 1, 64), 1);
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
