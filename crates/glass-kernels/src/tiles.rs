//! Tiles: how many outputs a product sums at once in registers. The choice minimises loads per multiply-add (as in
//! Low et al. 2016, "Analytical modeling is enough for high-performance BLIS"). Blocks, which stay in a cache, are
//! in `blocks.rs`. No size changes a bit of any result.

use crate::packing::PANEL;

/// The registers that the inner loop of a product needs.
pub(crate) struct Inner {
    /// The number of vector registers.
    pub registers: usize,
    /// Vectors needed to sum one vector of outputs.
    pub sums: usize,
    /// Vectors needed for one vector of the right operand, as loaded and as multiplied.
    pub right: usize,
    /// Vectors needed for one multiply-add besides these: the left operand, and intermediate results.
    pub between: usize,
}

/// The outputs that are summed at once, in registers.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Tile {
    pub rows: usize,
    /// Vectors of columns.
    pub vectors: usize,
}

/// The maximum number of rows of a tile. Rows that are a power of two apart share a set of the L1 cache, which
/// holds eight lines or more.
pub(crate) const MOST_ROWS: usize = 8;

const _: () = assert!(MOST_ROWS <= 8, "with_rows! supports no more");

impl Inner {
    /// The tile with the fewest loads, of its rows and its vectors, for `rows × vectors` multiply-adds. A panel is
    /// a whole number of tiles wide, with vectors of `len` floats.
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

    /// How many rows fit in registers, with this many vectors.
    const fn rows(&self, vectors: usize) -> usize {
        let rows = self.registers.saturating_sub(self.between + self.right * vectors) / (self.sums * vectors);
        if rows < MOST_ROWS { rows } else { MOST_ROWS }
    }

    /// The vectors of columns for a single row: as many as there are registers for sums, since the panel is read
    /// only once. A vector of the right operand is only needed for one multiply-add.
    pub(crate) const fn row(&self, len: usize) -> usize {
        let mut vectors = PANEL / len;
        while vectors > 1 && self.sums * vectors + self.right + self.between > self.registers {
            vectors /= 2;
        }
        vectors
    }
}

impl Tile {
    /// A vector of the right operand counts twice: it is loaded from the L2 cache where the panel is too large for
    /// the L1 cache.
    const fn loads(self) -> usize {
        self.rows + 2 * self.vectors
    }

    const fn outputs(self) -> usize {
        self.rows * self.vectors
    }
}

/// Runs `$call` with `$R`, a constant equal to `$rows`: the compiler then knows the rows of a tile, at most
/// `$most`.
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
}
