//! Muon (Jordan et al. 2024): a matrix is updated by its orthogonalised momentum, so that all directions move
//! equally; and rows that moved less so far move as far as others (NorMuon, Li et al. 2025).
//!
//! Of an m × n matrix X (m ≤ n), an iteration `X ← (a + b A + c A²) X` with `A = X Xᵀ` needs X itself only at its two ends: all
//! factors are polynomials of the first A, so they are multiplied with each other, as m × m matrices, and their product with X. All of these
//! are symmetric, so about half of each product is computed. A task is a whole matrix, in f32: small models have many small ones.

use crate::lanes::{Lanes, kernel};
use crate::pool::Parts;
use crate::scratch::with_scratch;
use crate::small_product::{SmallProduct, multiply};
use crate::{Cores, Precision, Write};

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

/// The place of a matrix in the arenas of weights, gradients and momentum.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Place {
    /// Its first number.
    pub start: usize,
    /// Its rows.
    pub rows: usize,
    /// Its columns.
    pub cols: usize,
    /// Whether its weights are updated in this step, or its momentum alone.
    pub is_due: bool,
}

/// The quintics `a x + b x³ + c x⁵` that move every singular value towards 1, one after another: the first three of the Polar Express
/// (Amsel et al. 2025, section 4.1), which are the best for singular values above a thousandth of the norm. More of them bring no lower loss.
pub const QUINTICS: [[f32; 3]; 3] = [
    [8.287_212, -23.595_887, 17.300_388],
    [4.107_059, -2.947_85, 0.544_843_1],
    [3.948_691, -2.908_902, 0.551_819_15],
];

/// The root mean square of AdamW's steps, so that its rates and decays can be used here too (Liu et al. 2025, "Muon
/// is scalable for LLM training", section 2.2).
pub const LIKE_ADAMW: f32 = 0.2;

/// The decay of the mean squares of rows (NorMuon, section 3).
pub const ROW_DECAY: f32 = 0.95;

/// Rows and columns of a block of a symmetric matrix.
const SIDE: usize = 16;

/// Updates matrices, their momenta m and the mean squares v of their rows in place, each `rows` × `cols`, of v only the first `rows`
/// numbers:
///
/// `m = μ m + (1 - μ) g; x = orthogonal(μ m + (1 - μ) g); v = 0.95 v + 0.05 mean(x²); w -= rate decay w; w -= rate s x / √v`, where s
/// is the number with which the root mean square of `s x / √v` is 0.2.
///
/// # Panics
/// If the places are not in ascending order, overlap, or leave the arenas.
pub fn muon(
    cores: &Cores,
    w: &mut [f32],
    g: &[f32],
    m: &mut [f32],
    v: &mut [f32],
    places: &[Place],
    step: &Muon,
) {
    let ends = places.iter().map(|place| place.start + place.rows * place.cols);
    let mut before = 0;
    for (place, end) in places.iter().zip(ends) {
        assert!(before <= place.start, "places overlap at {}", place.start);
        before = end;
    }
    assert!([g.len(), m.len(), v.len()] == [w.len(); 3] && before <= w.len());
    let (w, m, v) = (Parts::new(w), Parts::new(m), Parts::new(v));
    cores.run(places.len(), &|i| {
        let Place { start, rows, cols, is_due } = places[i];
        let span = start..start + rows * cols;
        // SAFETY: places do not overlap, so only task i uses these parts.
        let (w, m, v) = unsafe { (w.part(span.clone()), m.part(span.clone()), v.part(start..start + rows)) };
        blend(cores, m, step.momentum, &g[span.clone()], 1.0 - step.momentum);
        if is_due {
            update(cores, w, &g[span], m, v, [rows, cols], step);
        }
    });
}

/// The weights of one matrix, in a task.
fn update(
    cores: &Cores,
    w: &mut [f32],
    g: &[f32],
    m: &[f32],
    v: &mut [f32],
    [rows, cols]: [usize; 2],
    step: &Muon,
) {
    let mut x = m.to_vec();
    blend(cores, &mut x, step.momentum, g, 1.0 - step.momentum);
    orthogonalise(cores, &mut x, rows, cols);
    let squares = |x: &[f32]| x.iter().map(|&x| f64::from(x) * f64::from(x)).sum::<f64>();
    for (row, v) in x.chunks_exact_mut(cols).zip(v) {
        *v = ROW_DECAY.mul_add(*v, (1.0 - ROW_DECAY) * (squares(row) / cols as f64) as f32);
        if *v > 0.0 {
            let by = v.sqrt().recip();
            row.iter_mut().for_each(|x| *x *= by);
        }
    }
    let mean = (squares(&x) / x.len() as f64).sqrt() as f32;
    let reach = if mean > 0.0 { LIKE_ADAMW / mean } else { 0.0 };
    blend(cores, w, 1.0 - step.rate * step.decay, &x, -step.rate * reach);
}

/// Moves `x` towards the nearest matrix whose singular values are all 1 (from a hundredth of the norm on they end
/// between 0.18 and 1.87). A matrix of zeros stays as it is.
pub fn orthogonalise(cores: &Cores, x: &mut [f32], rows: usize, cols: usize) {
    assert_eq!(x.len(), rows * cols);
    let largest = x.iter().fold(0.0f32, |most, x| most.max(x.abs()));
    if largest == 0.0 {
        return;
    }
    let (small, large) = (rows.min(cols), rows.max(cols));
    let (side, width) = (small.next_multiple_of(SIDE), cols.next_multiple_of(SIDE));
    let (square, all) = (side * side, rows * width);
    let lens = [all, all.max(side * large), square, square, square, square];
    with_scratch(lens, |[copy, out, gram, factor, product, spare]| {
        // Neither the largest number nor a column that fills a vector changes what is orthogonal.
        for (to, from) in copy.chunks_exact_mut(width).zip(x.chunks_exact(cols)) {
            to[cols..].fill(0.0);
            to.iter_mut().zip(from).for_each(|(to, from)| *to = from / largest);
        }
        let by_columns = &mut out[..side * large];
        panels(by_columns, copy, width, rows, rows <= cols, large);
        symmetric(cores, gram, side, large, by_columns, by_columns);
        let norm = trace(gram, side).sqrt() as f32;
        gram.iter_mut().for_each(|x| *x /= norm * norm);
        factors(cores, side, gram, factor, product, spare);
        let product = &product[..];
        for (row, out) in out[..all].chunks_mut(SIDE * width).enumerate().map(|(i, out)| (i * SIDE, out)) {
            let high = out.len() / width;
            let by_product = match rows <= cols {
                true => SmallProduct {
                    rows: high,
                    cols: width,
                    depth: rows,
                    left: &product[row * side..],
                    left_row: 1,
                    left_step: SIDE,
                    right: copy,
                    right_row: width,
                    right_step: 16,
                },
                false => SmallProduct {
                    rows: high,
                    cols: width,
                    depth: cols,
                    left: &copy[row * width..],
                    left_row: width,
                    left_step: 1,
                    right: product,
                    right_row: SIDE,
                    right_step: SIDE * side,
                },
            };
            multiply(cores, Precision::F32, out, width, Write::Set, by_product);
        }
        for (to, from) in x.chunks_exact_mut(cols).zip(out.chunks_exact(width)) {
            to.iter_mut().zip(from).for_each(|(to, from)| *to = from / norm);
        }
    });
}

/// The product of all iterations' factors `Z = a + b R + c R²`, where every one changes R to `Z R Z`.
fn factors(
    cores: &Cores,
    side: usize,
    gram: &mut [f32],
    factor: &mut [f32],
    product: &mut [f32],
    spare: &mut [f32],
) {
    for (time, [a, b, c]) in QUINTICS.into_iter().enumerate() {
        symmetric(cores, factor, side, side, gram, gram);
        blend(cores, factor, c, gram, b);
        (0..side).for_each(|i| factor[i / SIDE * SIDE * side + i * SIDE + i % SIDE] += a);
        if time == 0 {
            product.copy_from_slice(factor);
        } else {
            symmetric(cores, spare, side, side, product, factor);
            product.copy_from_slice(spare);
        }
        if time + 1 < QUINTICS.len() {
            symmetric(cores, spare, side, side, gram, factor);
            symmetric(cores, gram, side, side, spare, factor);
        }
    }
}

/// `out = left right`, which is symmetric, from panels of 16 columns, `depth` long. Of left, the panels are its rows. The
/// upper half is computed and copied to the lower one; two panels at a time, whose sums keep the multipliers busy.
fn symmetric(cores: &Cores, out: &mut [f32], side: usize, depth: usize, left: &[f32], right: &[f32]) {
    let (high, panel) = (SIDE * side, SIDE * depth);
    let mut block = [0.0; SIDE * 2 * SIDE];
    for col in (0..side / SIDE).step_by(2) {
        let wide = (side / SIDE - col).min(2);
        for row in 0..col + wide {
            let product = SmallProduct {
                rows: SIDE,
                cols: wide * SIDE,
                depth,
                left: &left[row * panel..][..panel],
                left_row: 1,
                left_step: SIDE,
                right: &right[col * panel..][..wide * panel],
                right_row: SIDE,
                right_step: panel,
            };
            multiply(cores, Precision::F32, &mut block, wide * SIDE, Write::Set, product);
            // From the last row on, so that the upper half counts on the diagonal too.
            for (i, line) in block.chunks_exact(wide * SIDE).take(SIDE).enumerate().rev() {
                let lines = line.chunks_exact(SIDE).enumerate().map(|(j, line)| (col + j, line));
                for (col, line) in lines.filter(|(col, _)| row <= *col) {
                    out[col * high + (row * SIDE + i) * SIDE..][..SIDE].copy_from_slice(line);
                    let across = out[row * high + col * SIDE * SIDE + i..].iter_mut().step_by(SIDE);
                    across.zip(line).for_each(|(to, from)| *to = *from);
                }
            }
        }
    }
}

/// Copies the columns of a tall matrix, or the rows of a wide one, to panels of 16 of them. `x` is `[rows, width]`; rows that are missing
/// are zeros.
fn panels(panels: &mut [f32], x: &[f32], width: usize, rows: usize, is_wide: bool, large: usize) {
    for (i, panel) in panels.chunks_exact_mut(SIDE * large).enumerate() {
        if is_wide {
            for j in 0..SIDE {
                let to = panel[j..].iter_mut().step_by(SIDE);
                match i * SIDE + j < rows {
                    true => to.zip(&x[(i * SIDE + j) * width..]).for_each(|(to, from)| *to = *from),
                    false => to.for_each(|to| *to = 0.0),
                }
            }
        } else {
            for (to, from) in panel.chunks_exact_mut(SIDE).zip(x.chunks_exact(width)) {
                to.copy_from_slice(&from[i * SIDE..][..SIDE]);
            }
        }
    }
}

/// The sum of the diagonal of a symmetric matrix in panels.
fn trace(x: &[f32], side: usize) -> f64 {
    (0..side).map(|i| f64::from(x[i / SIDE * SIDE * side + i * SIDE + i % SIDE])).sum()
}

kernel!(
    /// `y = a y + b x`.
    fn blend(y: &mut [f32], a: f32, x: &[f32], b: f32) = blend_body
);

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
