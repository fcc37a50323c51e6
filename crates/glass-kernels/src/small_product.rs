//! The product of small matrices that stay in the caches and are read in place: used by attention, forward and
//! backward. Large products, which are packed and cut into blocks, are in [`linear`](crate::linear).

use crate::Write;
use crate::lanes::Lanes;
use crate::operands::{Operands, inner, kernel_of_operands};
use crate::tiles::with_rows;

/// `out[r][c] = Σ_k left[r][k] right[k][c]`, k ascending in one chain of multiply-adds: the same bits for any
/// number of rows and columns. A step of k is a lane of one or two values, depending on the precision.
#[derive(Clone, Copy)]
pub(crate) struct SmallProduct<'a> {
    /// Rows of the result.
    pub rows: usize,
    /// Columns of the result: whole vectors, a multiple of 16.
    pub cols: usize,
    /// The length of the sums.
    pub depth: usize,
    /// Element `[r][k]` is at `r × left_row + k × left_step`.
    pub left: &'a [f32],
    pub left_row: usize,
    pub left_step: usize,
    /// Element `[k][c]` is at `k × right_row + c / 16 × right_step + c % 16`.
    pub right: &'a [f32],
    pub right_row: usize,
    pub right_step: usize,
}

kernel_of_operands!(
    /// Writes to rows of `out` that are `out_row` apart; [`Write::Add`] continues the sums stored there.
    pub(crate) fn multiply(out: &mut [f32], out_row: usize, write: Write, product: SmallProduct<'_>) = product_body
);

#[inline(always)]
#[allow(clippy::undocumented_unsafe_blocks)] // Every call stays within `p.cols` columns, inside the asserted bounds.
fn product_body<V: Lanes, F: Operands<V>>(
    v: V,
    out: &mut [f32],
    out_row: usize,
    write: Write,
    p: SmallProduct<'_>,
) {
    if p.rows == 0 || p.cols == 0 {
        return;
    }
    assert!(p.cols.is_multiple_of(16) && out.len() >= (p.rows - 1) * out_row + p.cols);
    if p.depth > 0 {
        assert!(p.left.len() > (p.rows - 1) * p.left_row + (p.depth - 1) * p.left_step);
        assert!(p.right.len() >= (p.depth - 1) * p.right_row + (p.cols / 16 - 1) * p.right_step + 16);
    }
    let (row, tile) = const { (inner::<V, F>().row(V::LEN), inner::<V, F>().tile(V::LEN)) };
    // A single row has no other rows to keep the multipliers busy.
    let most = if p.rows == 1 { row } else { tile.vectors };
    let (mut col, to) = (0, out.as_mut_ptr());
    while p.cols > col {
        let vectors = match ((p.cols - col) / V::LEN).min(most) {
            3 => 3,
            fewer => 1 << fewer.ilog2(),
        };
        match vectors {
            16 => unsafe { self::tile::<V, F, 1, 16>(v, to.add(col), out_row, write, p, 0, col) },
            8 => unsafe { self::tile::<V, F, 1, 8>(v, to.add(col), out_row, write, p, 0, col) },
            4 => unsafe { columns::<V, F, 4>(v, to, out_row, write, p, col) },
            3 => unsafe { columns::<V, F, 3>(v, to, out_row, write, p, col) },
            2 => unsafe { columns::<V, F, 2>(v, to, out_row, write, p, col) },
            _ => unsafe { columns::<V, F, 1>(v, to, out_row, write, p, col) },
        }
        col += vectors * V::LEN;
    }
}

/// All rows of `C` vectors of columns, in tiles of nearly equal height.
///
/// # Safety
/// The product's operands and `out` have `p.rows` rows, and `C` vectors from column `col` on.
#[inline(always)]
#[allow(clippy::undocumented_unsafe_blocks)] // Each call stays within the rows that this function may access.
unsafe fn columns<V: Lanes, F: Operands<V>, const C: usize>(
    v: V,
    out: *mut f32,
    out_row: usize,
    write: Write,
    p: SmallProduct<'_>,
    col: usize,
) {
    // Wider tiles have only one row.
    let tile = const { inner::<V, F>().tile(V::LEN) };
    let most = if C > tile.vectors { 1 } else { tile.rows };
    let tiles = p.rows.div_ceil(most);
    for t in 0..tiles {
        let (row, end) = (p.rows * t / tiles, p.rows * (t + 1) / tiles);
        unsafe {
            let to = out.add(row * out_row + col);
            with_rows!(R = end - row, at most most, self::tile::<V, F, R, C>(v, to, out_row, write, p, row, col));
        }
    }
}

/// `R` rows by `C` vectors in registers.
///
/// # Safety
/// As for [`columns`]; `to` is the address of row `row` and column `col`.
#[inline(always)]
unsafe fn tile<V: Lanes, F: Operands<V>, const R: usize, const C: usize>(
    v: V,
    to: *mut f32,
    out_row: usize,
    write: Write,
    p: SmallProduct<'_>,
    row: usize,
    col: usize,
) {
    let mut sums = [[v.splat(0.0); C]; R];
    let at: [usize; C] = std::array::from_fn(|c| {
        let col = col + c * V::LEN;
        col / 16 * p.right_step + col % 16
    });
    // SAFETY: `R` rows from `row` and `C` vectors from `col` exist, by contract.
    unsafe {
        if write == Write::Add {
            for (r, sums) in sums.iter_mut().enumerate() {
                for (c, sum) in sums.iter_mut().enumerate() {
                    *sum = v.load_at(to.add(r * out_row + c * V::LEN));
                }
            }
        }
        let mut left = p.left.as_ptr().add(row * p.left_row);
        let mut right = p.right.as_ptr();
        for _ in 0..p.depth {
            let mut line = [v; C];
            for (line, at) in line.iter_mut().zip(at) {
                *line = v.load_at(right.add(at));
            }
            for (r, sums) in sums.iter_mut().enumerate() {
                let x = v.splat(*left.add(r * p.left_row));
                for (sum, line) in sums.iter_mut().zip(line) {
                    *sum = F::mul_add(x, line, *sum);
                }
            }
            left = left.wrapping_add(p.left_step);
            right = right.wrapping_add(p.right_row);
        }
        for (r, sums) in sums.iter().enumerate() {
            for (c, sum) in sums.iter().enumerate() {
                sum.store_at(to.add(r * out_row + c * V::LEN));
            }
        }
    }
}

kernel_of_operands!(
    /// Packs rows of `size` floats, `stride` apart, into consecutive rows of lanes.
    pub(crate) fn shorten(to: &mut [f32], from: &[f32], size: usize, stride: usize) = shorten_body
);

#[inline(always)]
fn shorten_body<V: Lanes, F: Operands<V>>(v: V, to: &mut [f32], from: &[f32], size: usize, stride: usize) {
    for (to, from) in to.chunks_exact_mut(size.div_ceil(F::COUNT)).zip(from.chunks(stride)) {
        let from = &from[..size];
        let whole = size / (F::COUNT * V::LEN) * V::LEN;
        for at in (0..whole).step_by(V::LEN) {
            // SAFETY: this many floats follow, in whole vectors of lanes.
            unsafe { F::lanes_at(v, from.as_ptr().add(at * F::COUNT)) }.store(&mut to[at..]);
        }
        for (lane, values) in to[whole..].iter_mut().zip(from[whole * F::COUNT..].chunks(F::COUNT)) {
            *lane = F::lane(values[0], values.get(1).copied().unwrap_or(0.0));
        }
    }
}
