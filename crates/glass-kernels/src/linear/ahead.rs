//! What is needed next is fetched from memory while tiles are computed.

use crate::lanes::Lanes;

/// Floats of a line of the cache.
const LINE: usize = 16;

/// A block of memory that is read soon: `rows` of `len` floats, `row` floats apart. Only hints are made of it, so it may
/// be any.
pub(super) struct Ahead {
    at: *const f32,
    row: usize,
    rows: usize,
    len: usize,
    /// Where in the first row the next hint is.
    column: usize,
}

impl Ahead {
    /// The block at `at`.
    pub(super) fn of(at: *const f32, row: usize, rows: usize, len: usize) -> Self {
        Ahead { at, row, rows, len, column: 0 }
    }

    /// Lines of the cache that it takes.
    pub(super) fn lines(&self) -> usize {
        self.rows * self.len.div_ceil(LINE)
    }

    /// Hints at the next `count` lines.
    #[inline(always)]
    pub(super) fn fetch<V: Lanes>(&mut self, v: V, count: usize) {
        for _ in 0..count {
            if self.rows == 0 {
                return;
            }
            v.prefetch(self.at.wrapping_add(self.column));
            self.column += LINE;
            if self.column >= self.len {
                (self.at, self.column) = (self.at.wrapping_add(self.row), 0);
                self.rows -= 1;
            }
        }
    }
}
