//! The inner kernel of mixed precision on the tile registers of AMX (Intel 64 and IA-32 Architectures Software Developer's Manual,
//! volume 1, chapter 18): a register holds 16 rows of 64 bytes, and one instruction multiplies 16 × 32 by 32 × 16 numbers.

use std::arch::asm;

use super::PANEL;
use super::tile::{AHEAD, Strip};
use crate::lanes::Lanes;
use crate::operands::Operands;

/// Rows of a tile, lanes of one of its rows, and steps of k of an instruction.
const SIDE: usize = super::pack::SQUARE;

/// Bytes of a row of a tile.
const ROW: usize = 4 * SIDE;

impl Strip {
    /// [`run`](Strip::run) for lanes of two bf16, with a in [`squares`](super::pack::squares).
    ///
    /// For every 32 values of k, those at even places and those at odd places are summed apart, each in ascending order, and the
    /// sum of both is added to y. Subnormal numbers are treated as zero.
    ///
    /// # Safety
    /// As of `run`, and the machine has [`Isa::Amx`](crate::Isa::Amx).
    #[inline(always)]
    pub(super) unsafe fn run_amx<V: Lanes, F: Operands<V>>(&self, v: V) {
        // SAFETY: by contract.
        unsafe { if self.rows == 1 { self.row_amx::<V, F>(v) } else { self.tiles_amx() } }
    }

    unsafe fn tiles_amx(&self) {
        let a_tile = self.a_tile.expect("a is packed in squares");
        assert!(self.b_tile.is_none_or(|tile| tile >= PANEL * self.depth));
        let mut outputs = [0.0; 2 * SIDE * PANEL];
        let (groups, rest) = (self.depth / SIDE, self.depth % SIDE);
        // A change of the shape of tiles clears them, so blocks of the same shape follow each other.
        for (first, rows, height) in shapes(self.rows) {
            let width = if height > SIDE { 2 * SIDE } else { PANEL };
            for (steps, count, done) in [(SIDE, groups, 0), (rest, usize::from(rest > 0), groups)] {
                // Without any step the sums are their start values.
                if count == 0 && (self.depth > 0 || steps > 0) {
                    continue;
                }
                // SAFETY: by contract.
                unsafe { configure(height, steps) };
                // The columns of b stay in the L1 cache for all rows.
                for column in (0..self.columns).step_by(width) {
                    let columns = column..self.columns.min(column + width);
                    for row in (first..first + rows).step_by(height) {
                        let y = self.y.wrapping_add(row * self.y_row + column);
                        // Blocks are whole tiles, which y may not be.
                        let whole = columns.len() == width;
                        let (to, to_row) =
                            if whole { (y, self.y_row) } else { (outputs.as_mut_ptr(), PANEL) };
                        let (from, from_row) = match &self.start {
                            Some(start) if done == 0 => (start.as_ptr().wrapping_add(column), 0),
                            _ => (to.cast_const(), to_row),
                        };
                        let block = Block {
                            from,
                            from_row: 4 * from_row,
                            a: self.a.wrapping_add(row / SIDE * a_tile + done * SIDE * SIDE),
                            a_lower: 4 * a_tile,
                            b: self.b.wrapping_add(done * SIDE * PANEL + column),
                            groups: count,
                            y: to,
                            y_row: 4 * to_row,
                        };
                        // SAFETY: by contract; what y does not have is computed in `outputs`.
                        unsafe {
                            if !whole && from_row > 0 {
                                copy(y, self.y_row, to, to_row, [height, columns.len()]);
                            }
                            if height > SIDE {
                                block.two_by_two()
                            } else {
                                block.one_by_four()
                            }
                            if !whole {
                                copy(to, to_row, y, self.y_row, [height, columns.len()]);
                            }
                        }
                    }
                }
            }
        }
        // SAFETY: by contract. Unused tiles make a change of threads cheaper.
        unsafe { asm!("tilerelease", options(nostack, nomem)) };
    }
}

impl Strip {
    /// A single row, with the same sums: vectors read the panel from memory faster than tiles do.
    #[inline(always)]
    unsafe fn row_amx<V: Lanes, F: Operands<V>>(&self, v: V) {
        let zeros = v.splat(0.0);
        for first in (0..self.columns).step_by(VECTORS * V::LEN) {
            let column = |c: usize| first + c * V::LEN;
            let count = |c: usize| self.columns.saturating_sub(column(c)).min(V::LEN);
            let mut sums = [zeros; VECTORS];
            // SAFETY: by contract of `run_amx`; columns beyond the last are neither read nor written.
            unsafe {
                for (c, sum) in sums.iter_mut().enumerate() {
                    *sum = match &self.start {
                        Some(start) => v.load_at(start.as_ptr().add(column(c))),
                        None => v.load_part_at(self.y.wrapping_add(column(c)), count(c)),
                    };
                }
                for some in (0..self.depth).step_by(SIDE) {
                    let (mut even, mut odd) = ([zeros; VECTORS], [zeros; VECTORS]);
                    for k in some..self.depth.min(some + SIDE) {
                        let pair = (*self.a.add(k / SIDE * SIDE * SIDE + k % SIDE)).to_bits();
                        let lower = v.splat(f32::from_bits(pair & 0xffff));
                        let upper = v.splat(f32::from_bits(pair & 0xffff_0000));
                        for c in 0..VECTORS {
                            let b = self.b.wrapping_add(k * PANEL + column(c));
                            v.prefetch(b.wrapping_add(AHEAD));
                            let b = v.load_at(b);
                            (even[c], odd[c]) = (F::mul_add(lower, b, even[c]), F::mul_add(upper, b, odd[c]));
                        }
                    }
                    for c in 0..VECTORS {
                        sums[c] = sums[c] + (even[c] + odd[c]);
                    }
                }
                for (c, sum) in sums.into_iter().enumerate() {
                    sum.store_part_at(self.y.wrapping_add(column(c)), count(c));
                }
            }
        }
    }
}

/// Vectors of columns of a single row at a time.
const VECTORS: usize = 4;

/// Some rows and columns, with their distance from row to row.
unsafe fn copy(from: *const f32, from_row: usize, to: *mut f32, to_row: usize, [rows, columns]: [usize; 2]) {
    for i in 0..rows {
        // SAFETY: by contract.
        unsafe { from.add(i * from_row).copy_to_nonoverlapping(to.add(i * to_row), columns) };
    }
}

/// Blocks of equal height: the first row, all rows, and the height; two tiles high but for the last rows.
fn shapes(rows: usize) -> impl Iterator<Item = (usize, usize, usize)> {
    let rest = rows % (2 * SIDE);
    [(0, rows - rest, 2 * SIDE), (rows - rest, rest, rest)].into_iter().filter(|&(_, rows, _)| rows > 0)
}

/// Sets the shapes of all tiles: sums in 0 to 3, the left operand in 4 and 5, the right one in 6 and 7. In blocks of more than 16 rows
/// the second row of tiles, 2, 3 and 5, has those above 16.
unsafe fn configure(rows: usize, steps: usize) {
    #[repr(C, align(64))]
    struct Shapes {
        palette: u8,
        start_row: u8,
        reserved: [u8; 14],
        bytes_of_row: [u16; 16],
        rows: [u8; 16],
    }
    let (upper, lower) = (rows.min(SIDE) as u8, if rows > SIDE { rows - SIDE } else { rows } as u8);
    // A shape is never empty; without steps nothing is multiplied.
    let steps = steps.max(1) as u8;
    let mut shapes =
        Shapes { palette: 1, start_row: 0, reserved: [0; 14], bytes_of_row: [0; 16], rows: [0; 16] };
    shapes.bytes_of_row[..8].fill(ROW as u16);
    shapes.bytes_of_row[4..6].fill(4 * u16::from(steps));
    shapes.rows[..8].copy_from_slice(&[upper, upper, lower, lower, upper, lower, steps, steps]);
    // SAFETY: by contract.
    unsafe { asm!("ldtilecfg [{}]", in(reg) &shapes, options(nostack, readonly)) };
}

/// Some rows and the columns of a panel; distances between rows are in bytes.
struct Block {
    /// The start values of the sums.
    from: *const f32,
    from_row: usize,
    a: *const f32,
    /// The distance to the next 16 rows; each lies in squares of a tile.
    a_lower: usize,
    b: *const f32,
    /// Steps of k in 16s, or in what the tiles are configured for.
    groups: usize,
    y: *mut f32,
    y_row: usize,
}

impl Block {
    /// A store that waits for its cache line would delay the following ones.
    fn prefetch_outputs(&self) {
        for i in 0..2 * SIDE {
            let y = self.y.wrapping_byte_add(i * self.y_row);
            // SAFETY: a prefetch of any address is allowed.
            unsafe { asm!("prefetchw [{y}]", "prefetchw [{y} + 64]", y = in(reg) y, options(nostack)) };
        }
    }

    /// More than 16 rows: 32 columns.
    unsafe fn two_by_two(&self) {
        self.prefetch_outputs();
        // SAFETY: by contract of `run_amx`.
        unsafe {
            asm!(
                "tileloadd tmm0, [{from} + {from_row}]",
                "tileloadd tmm1, [{from} + {from_row} + 64]",
                "tileloadd tmm2, [{from_lower} + {from_row}]",
                "tileloadd tmm3, [{from_lower} + {from_row} + 64]",
                "test {groups}, {groups}",
                "jz 3f",
                "2:",
                "tileloadd tmm6, [{b} + {b_row}]",
                "tileloadd tmm4, [{a} + {a_row}]",
                "tdpbf16ps tmm0, tmm4, tmm6",
                "tileloadd tmm7, [{b} + {b_row} + 64]",
                "tdpbf16ps tmm1, tmm4, tmm7",
                "tileloadd tmm5, [{a_lower} + {a_row}]",
                "tdpbf16ps tmm2, tmm5, tmm6",
                "tdpbf16ps tmm3, tmm5, tmm7",
                "add {a}, 1024",
                "add {a_lower}, 1024",
                "add {b}, 4096",
                "dec {groups}",
                "jnz 2b",
                "3:",
                "tilestored [{y} + {y_row}], tmm0",
                "tilestored [{y} + {y_row} + 64], tmm1",
                "tilestored [{y_lower} + {y_row}], tmm2",
                "tilestored [{y_lower} + {y_row} + 64], tmm3",
                from = in(reg) self.from,
                from_lower = in(reg) self.from.wrapping_byte_add(SIDE * self.from_row),
                from_row = in(reg) self.from_row,
                a = inout(reg) self.a => _,
                a_lower = inout(reg) self.a.wrapping_byte_add(self.a_lower) => _,
                a_row = in(reg) ROW,
                b = inout(reg) self.b => _,
                b_row = in(reg) 4 * PANEL,
                groups = inout(reg) self.groups => _,
                y = in(reg) self.y,
                y_lower = in(reg) self.y.wrapping_byte_add(SIDE * self.y_row),
                y_row = in(reg) self.y_row,
                out("tmm0") _, out("tmm1") _, out("tmm2") _, out("tmm3") _,
                out("tmm4") _, out("tmm5") _, out("tmm6") _, out("tmm7") _,
                options(nostack),
            );
        }
    }

    /// At most 16 rows: the whole panel, which is read once.
    unsafe fn one_by_four(&self) {
        // SAFETY: by contract of `run_amx`.
        unsafe {
            asm!(
                "tileloadd tmm0, [{from} + {from_row}]",
                "tileloadd tmm1, [{from} + {from_row} + 64]",
                "tileloadd tmm2, [{from} + {from_row} + 128]",
                "tileloadd tmm3, [{from} + {from_row} + 192]",
                "test {groups}, {groups}",
                "jz 3f",
                "2:",
                ".irp line, 0, 1, 2, 3, 4, 5, 6, 7",
                ".irp row, 0, 1, 2, 3, 4, 5, 6, 7",
                "prefetcht0 [{b} + 12288 + 512 * \\line + 64 * \\row]",
                ".endr",
                ".endr",
                "tileloadd tmm4, [{a} + {a_row}]",
                "tileloadd tmm6, [{b} + {b_row}]",
                "tdpbf16ps tmm0, tmm4, tmm6",
                "tileloadd tmm7, [{b} + {b_row} + 64]",
                "tdpbf16ps tmm1, tmm4, tmm7",
                "tileloadd tmm6, [{b} + {b_row} + 128]",
                "tdpbf16ps tmm2, tmm4, tmm6",
                "tileloadd tmm7, [{b} + {b_row} + 192]",
                "tdpbf16ps tmm3, tmm4, tmm7",
                "add {a}, 1024",
                "add {b}, 4096",
                "dec {groups}",
                "jnz 2b",
                "3:",
                "tilestored [{y} + {y_row}], tmm0",
                "tilestored [{y} + {y_row} + 64], tmm1",
                "tilestored [{y} + {y_row} + 128], tmm2",
                "tilestored [{y} + {y_row} + 192], tmm3",
                from = in(reg) self.from,
                from_row = in(reg) self.from_row,
                a = inout(reg) self.a => _,
                a_row = in(reg) ROW,
                b = inout(reg) self.b => _,
                b_row = in(reg) 4 * PANEL,
                groups = inout(reg) self.groups => _,
                y = in(reg) self.y,
                y_row = in(reg) self.y_row,
                out("tmm0") _, out("tmm1") _, out("tmm2") _, out("tmm3") _,
                out("tmm4") _, out("tmm5") _, out("tmm6") _, out("tmm7") _,
                options(nostack),
            );
        }
    }
}

/// Multiply-adds of a round of [`chains`].
pub(crate) const ROUND: usize = 4 * SIDE * SIDE * 2 * SIDE;

/// Products in registers only, of four tiles a round, at least one.
///
/// # Safety
/// The machine has [`Isa::Amx`](crate::Isa::Amx).
pub(crate) unsafe fn chains(rounds: usize) {
    // SAFETY: by contract; tiles that are not loaded are zero.
    unsafe {
        configure(2 * SIDE, SIDE);
        asm!(
            "2:",
            "tdpbf16ps tmm0, tmm4, tmm6",
            "tdpbf16ps tmm1, tmm4, tmm7",
            "tdpbf16ps tmm2, tmm5, tmm6",
            "tdpbf16ps tmm3, tmm5, tmm7",
            "dec {rounds}",
            "jnz 2b",
            "tilerelease",
            rounds = inout(reg) rounds => _,
            out("tmm0") _, out("tmm1") _, out("tmm2") _, out("tmm3") _,
            out("tmm4") _, out("tmm5") _, out("tmm6") _, out("tmm7") _,
            options(nostack, nomem),
        );
    }
}
