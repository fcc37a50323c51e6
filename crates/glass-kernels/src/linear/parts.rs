//! The contribution of each part of the inputs to the outputs.

use super::{Layout, Matrix, PANEL};
use crate::blocks::MOST_LINES;
use crate::packing::{Packing, unpack};
use crate::pool::Parts;
use crate::scratch::with_scratch;
use crate::small_product::{SmallProduct, multiply};
use crate::{Cores, Precision, Write};

/// `y[r][p] = x[r, part p of the inputs] Wᵀ`, with the inputs cut into `parts` of equal length; x: `[rows,
/// w.cols]`, y: `[rows, parts, w.rows]`. The sum of the parts is the result of [`linear`](super::linear) without a
/// bias, except for rounding; inputs and sums are f32 whatever the format of the weights.
pub fn linear_in_parts(cores: &Cores, y: &mut [f32], x: &[f32], w: Matrix<'_>, parts: usize) {
    let rows = x.len() / w.cols.max(1);
    assert!(parts > 0 && w.cols.is_multiple_of(parts), "{} inputs in {parts} parts", w.cols);
    assert_eq!((x.len(), y.len()), (rows * w.cols, rows * parts * w.rows));
    w.assert_whole();
    let (y, depth) = (Parts::new(y), w.cols / parts);
    cores.run(w.rows.div_ceil(PANEL), &|panel| {
        let columns = panel * PANEL..w.rows.min((panel + 1) * PANEL);
        with_scratch([w.cols * PANEL, w.cols * PANEL, MOST_LINES * PANEL], |[lines, unpacked, sums]| {
            let lines = lines_of(lines, unpacked, w, columns.clone());
            for first in (0..rows).step_by(MOST_LINES) {
                let tile = first..rows.min(first + MOST_LINES);
                for part in 0..parts {
                    let product = SmallProduct {
                        rows: tile.len(),
                        cols: PANEL,
                        depth,
                        left: &x[first * w.cols + part * depth..],
                        left_row: w.cols,
                        left_step: 1,
                        right: &lines[part * depth * PANEL..],
                        right_row: PANEL,
                        right_step: 16,
                    };
                    multiply(cores, Precision::F32, sums, PANEL, Write::Set, product);
                    for (row, sums) in tile.clone().zip(sums.chunks_exact(PANEL)) {
                        let line = (row * parts + part) * w.rows;
                        // SAFETY: no other task uses these columns.
                        let y = unsafe { y.part(line + columns.start..line + columns.end) };
                        y.copy_from_slice(&sums[..columns.len()]);
                    }
                }
            }
        });
    });
}

/// Some outputs of a matrix as floats, `[inputs, PANEL]`: in place, or copied into `lines`.
fn lines_of<'a>(
    lines: &'a mut [f32],
    unpacked: &mut [f32],
    w: Matrix<'a>,
    columns: std::ops::Range<usize>,
) -> &'a [f32] {
    let rows = match w.layout {
        Layout::Panels(Packing::F32) => return &w.values[columns.start * w.cols..][..w.cols * PANEL],
        Layout::Rows => &w.values[columns.start * w.cols..columns.end * w.cols],
        Layout::Panels(packing) => {
            let rows = &mut unpacked[..columns.len() * w.cols];
            unpack(rows, w.values, packing, w.cols, columns.start);
            rows
        }
    };
    lines.fill(0.0);
    for (column, row) in rows.chunks_exact(w.cols).enumerate() {
        lines[column..].iter_mut().step_by(PANEL).zip(row).for_each(|(to, w)| *to = *w);
    }
    lines
}
