//! Muon (Jordan et al. 2024): a matrix is updated by its orthogonalised momentum, so that all directions move
//! equally. Its products have the precision of the cores, as all products do.

use crate::adamw::square_sum;
use crate::lanes::{Lanes, kernel};
use crate::linear::{Layout, Matrix, linear, linear_backward_input, linear_backward_weight};
use crate::{Cores, Write};

/// The constants of one step.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Muon {
    /// Learning rate of this step.
    pub rate: f32,
    /// Decay of the momentum.
    pub momentum: f32,
    /// Decoupled weight decay.
    pub decay: f32,
}

/// The quintic `a x + b x³ + c x⁵` that moves every singular value towards 1, from Jordan's reference
/// implementation.
pub const QUINTIC: [f32; 3] = [3.4445, -4.775, 2.0315];

/// The number of iterations.
pub const TIMES: usize = 5;

/// The root mean square of AdamW's steps, so that its rates and decays can be used here too (Liu et al. 2025, "Muon
/// is scalable for LLM training", section 2.2).
pub const LIKE_ADAMW: f32 = 0.2;

/// Updates a `rows` × `cols` matrix and its momentum in place:
/// `m = μ m + (1 - μ) g; w -= rate decay w; w -= rate 0.2 √max(rows, cols) orthogonal(μ m + (1 - μ) g)`.
pub fn muon(cores: &Cores, w: &mut [f32], g: &[f32], m: &mut [f32], [rows, cols]: [usize; 2], step: &Muon) {
    let n = rows * cols;
    assert_eq!((w.len(), g.len(), m.len()), (n, n, n));
    let ahead = step.momentum;
    blend(cores, m, ahead, g, 1.0 - ahead);
    let mut x = m.to_vec();
    blend(cores, &mut x, ahead, g, 1.0 - ahead);
    orthogonalise(cores, &mut x, rows, cols);
    let reach = LIKE_ADAMW * (rows.max(cols) as f32).sqrt();
    blend(cores, w, 1.0 - step.rate * step.decay, &x, -step.rate * reach);
}

/// Moves `x` towards the nearest matrix whose singular values are all 1 (they end between about 0.7 and 1.2), by
/// the Newton–Schulz iteration `X ← a X + (b A + c A²) X` with `A = X Xᵀ`, or from the other side if that A is
/// smaller.
pub fn orthogonalise(cores: &Cores, x: &mut [f32], rows: usize, cols: usize) {
    assert_eq!(x.len(), rows * cols);
    let [a, b, c] = QUINTIC;
    // Singular values are at most the norm, so none is above 1 at the start.
    let norm = square_sum(cores, x).sqrt() as f32 + 1e-7;
    x.iter_mut().for_each(|x| *x /= norm);
    let side = rows.min(cols);
    let (mut gram, mut next, mut y) = (vec![0.0; side * side], vec![0.0; side * side], vec![0.0; x.len()]);
    for _ in 0..TIMES {
        if rows <= cols {
            linear(cores, &mut gram, x, matrix(x, rows, cols), None, None);
        } else {
            linear_backward_weight(cores, &mut gram, Write::Set, None, x, x, rows);
        }
        // A is symmetric to the bit, so A² = A Aᵀ.
        linear(cores, &mut next, &gram, matrix(&gram, side, side), None, None);
        blend(cores, &mut next, c, &gram, b);
        if rows <= cols {
            linear_backward_input(cores, &mut y, Write::Set, &next, matrix(x, rows, cols));
        } else {
            linear_backward_input(cores, &mut y, Write::Set, x, matrix(&next, side, side));
        }
        blend(cores, x, a, &y, 1.0);
    }
}

fn matrix(values: &[f32], rows: usize, cols: usize) -> Matrix<'_> {
    Matrix { values, rows, cols, layout: Layout::Rows }
}

/// Elements per task.
const PIECE: usize = 16 * 1024;

/// `y = a y + b x`.
fn blend(cores: &Cores, y: &mut [f32], a: f32, x: &[f32], b: f32) {
    cores.run_parts(y, PIECE, |i, y| blend_piece(cores, y, a, &x[i * PIECE..][..y.len()], b));
}

kernel!(fn blend_piece(y: &mut [f32], a: f32, x: &[f32], b: f32) = blend_body);

#[inline(always)]
fn blend_body<V: Lanes>(v: V, y: &mut [f32], a: f32, x: &[f32], b: f32) {
    let (a, b) = (v.splat(a), v.splat(b));
    for (y, x) in y.chunks_mut(V::LEN).zip(x.chunks(V::LEN)) {
        if x.len() == V::LEN {
            a.mul_add(v.load(y), b * v.load(x)).store(y);
        } else {
            a.mul_add(v.load_part(y), b * v.load_part(x)).store_part(y);
        }
    }
}
