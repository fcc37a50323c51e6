//! LayerNorm (Ba et al. 2016).

use crate::Cores;
use crate::lanes::{Lanes, kernel};
use crate::pool::Parts;

/// Rows per task.
const ROWS: usize = 16;

/// `y = (x - mean) / sqrt(variance + epsilon) * gain + bias`, row by row; `stats` receives mean and 1/std of every
/// row (`[rows, 2]`) for the backward pass. The width is `gain.len()`.
pub fn norm(
    cores: &Cores,
    y: &mut [f32],
    stats: &mut [f32],
    x: &[f32],
    gain: &[f32],
    bias: Option<&[f32]>,
    epsilon: f32,
) {
    let cols = gain.len();
    assert!(y.len() == x.len() && x.len().is_multiple_of(cols) && stats.len() == x.len() / cols * 2);
    assert!(bias.is_none_or(|bias| bias.len() == cols));
    let stats = Parts::new(stats);
    cores.run_parts(y, ROWS * cols, |task, y| {
        let first = task * ROWS;
        for (i, y) in y.chunks_exact_mut(cols).enumerate() {
            let r = first + i;
            // SAFETY: no other task uses row r.
            let stats = unsafe { stats.part(2 * r..2 * r + 2) };
            norm_row(cores, y, stats, &x[r * cols..][..cols], gain, bias, epsilon);
        }
    });
}

kernel!(
    fn norm_row(y: &mut [f32], stats: &mut [f32], x: &[f32], gain: &[f32], bias: Option<&[f32]>, epsilon: f32)
        = norm_body
);

#[inline(always)]
fn norm_body<V: Lanes>(
    v: V,
    y: &mut [f32],
    stats: &mut [f32],
    x: &[f32],
    gain: &[f32],
    bias: Option<&[f32]>,
    epsilon: f32,
) {
    let cols = x.len();
    let mean = sum(v, x) / cols as f32;
    let variance = square_distance(v, x, mean) / cols as f32;
    let inverse = 1.0 / (variance + epsilon).sqrt();
    stats.copy_from_slice(&[mean, inverse]);
    let (mean, inverse) = (v.splat(mean), v.splat(inverse));
    for at in (0..cols).step_by(V::LEN) {
        let to = at..cols.min(at + V::LEN);
        let bias = bias.map_or(v.splat(0.0), |bias| some(v, &bias[to.clone()]));
        let unit = (some(v, &x[to.clone()]) - mean) * inverse;
        put(unit.mul_add(some(v, &gain[to.clone()]), bias), &mut y[to]);
    }
}

/// `Σ x`, in four independent vectors.
#[inline(always)]
fn sum<V: Lanes>(v: V, x: &[f32]) -> f32 {
    let mut sums = [v.splat(0.0); 4];
    let mut chunks = x.chunks_exact(4 * V::LEN);
    for chunk in &mut chunks {
        for (i, sum) in sums.iter_mut().enumerate() {
            *sum = *sum + v.load(&chunk[i * V::LEN..]);
        }
    }
    for chunk in chunks.remainder().chunks(V::LEN) {
        sums[0] = sums[0] + some(v, chunk);
    }
    ((sums[0] + sums[1]) + (sums[2] + sums[3])).sum()
}

/// `Σ (x - mean)²`, in four independent vectors.
#[inline(always)]
fn square_distance<V: Lanes>(v: V, x: &[f32], mean: f32) -> f32 {
    let means = v.splat(mean);
    let mut sums = [v.splat(0.0); 4];
    let mut chunks = x.chunks_exact(4 * V::LEN);
    for chunk in &mut chunks {
        for (i, sum) in sums.iter_mut().enumerate() {
            let distance = v.load(&chunk[i * V::LEN..]) - means;
            *sum = distance.mul_add(distance, *sum);
        }
    }
    let mut rest = 0.0;
    for chunk in chunks.remainder().chunks(V::LEN) {
        if chunk.len() == V::LEN {
            let distance = v.load(chunk) - means;
            sums[0] = distance.mul_add(distance, sums[0]);
        } else {
            rest = chunk.iter().fold(rest, |rest, x| rest + (x - mean) * (x - mean));
        }
    }
    ((sums[0] + sums[1]) + (sums[2] + sums[3])).sum() + rest
}

/// Loads a vector, or the rest of one.
#[inline(always)]
fn some<V: Lanes>(v: V, x: &[f32]) -> V {
    if x.len() == V::LEN { v.load(x) } else { v.load_part(x) }
}

/// Stores a vector, or the rest of one.
#[inline(always)]
fn put<V: Lanes>(x: V, to: &mut [f32]) {
    if to.len() == V::LEN { x.store(to) } else { x.store_part(to) }
}

/// Rows per task in the backward pass. Their gain and bias gradients are summed separately, then added in order.
const BLOCK: usize = 32;

/// `dx += …`; `dgain += …`; `dbias += …` (the last two if given), summed in blocks of 32 rows that are added in order.
/// If x has fewer rows than dy, each of them belongs to equally many neighbouring rows of dy and dx.
pub fn norm_backward(
    cores: &Cores,
    dx: &mut [f32],
    dgain: Option<&mut [f32]>,
    dbias: Option<&mut [f32]>,
    dy: &[f32],
    x: &[f32],
    stats: &[f32],
    gain: &[f32],
) {
    let cols = gain.len();
    assert!(dx.len() == dy.len() && stats.len() == x.len() / cols * 2);
    assert!(dgain.as_deref().is_none_or(|dgain| dgain.len() == cols));
    assert!(dbias.as_deref().is_none_or(|dbias| dbias.len() == cols));
    let each = dy.len() / x.len().max(1);
    assert_eq!(dy.len(), x.len() * each);
    let (size, tasks) = (BLOCK * cols, dy.len().div_ceil(BLOCK * cols));
    // The sums of a block, if anyone wants them.
    let own = if dgain.is_some() || dbias.is_some() { 2 * cols } else { 0 };
    let mut sums = vec![0.0; tasks * own];
    let (dx, blocks) = (Parts::new(dx), Parts::new(&mut sums));
    cores.run(tasks, &|block| {
        let rows = block * size..dy.len().min((block + 1) * size);
        // SAFETY: no other task uses these rows and these sums.
        let (dx, sums) = unsafe { (dx.part(rows.clone()), blocks.part(block * own..(block + 1) * own)) };
        let rows = Rows { dy: &dy[rows], first: block * BLOCK, each, x, stats, gain };
        match own {
            0 => backward_rows(cores, dx, rows),
            _ => backward_rows_and_sums(cores, dx, sums, rows),
        }
    });
    for (d, first) in [(dgain, 0), (dbias, cols)] {
        let Some(d) = d else { continue };
        for sums in sums.chunks_exact(2 * cols) {
            d.iter_mut().zip(&sums[first..]).for_each(|(d, sum)| *d += sum);
        }
    }
}

/// Some rows of a backward pass.
#[derive(Clone, Copy)]
struct Rows<'a> {
    dy: &'a [f32],
    /// The number of the first of them, each of which has row `number / each` of `x` and `stats`.
    first: usize,
    each: usize,
    x: &'a [f32],
    stats: &'a [f32],
    gain: &'a [f32],
}

kernel!(fn backward_rows(dx: &mut [f32], rows: Rows<'_>) = backward_rows_alone);
kernel!(fn backward_rows_and_sums(dx: &mut [f32], sums: &mut [f32], rows: Rows<'_>) = backward_rows_body::<_, true>);

#[inline(always)]
fn backward_rows_alone<V: Lanes>(v: V, dx: &mut [f32], rows: Rows<'_>) {
    backward_rows_body::<V, false>(v, dx, &mut [], rows);
}

/// `dx += 1/std (d − mean(d) − unit · mean(d · unit))` with `d = dy · gain` and `unit = (x − mean) / std`, row by row;
/// with `SUMS`, `sums += [dy · unit, dy]`.
#[inline(always)]
fn backward_rows_body<V: Lanes, const SUMS: bool>(v: V, dx: &mut [f32], sums: &mut [f32], rows: Rows<'_>) {
    let Rows { dy, first, each, x, stats, gain } = rows;
    let cols = gain.len();
    let (gains, biases) = sums.split_at_mut(if SUMS { cols } else { 0 });
    for (i, (dx, dy)) in dx.chunks_exact_mut(cols).zip(dy.chunks_exact(cols)).enumerate() {
        let row = (first + i) / each;
        let (x, stats) = (&x[row * cols..][..cols], &stats[2 * row..][..2]);
        let (mean, inverse) = (v.splat(stats[0]), v.splat(stats[1]));
        let (mut along, mut across) = ([v.splat(0.0); 2], [v.splat(0.0); 2]);
        for at in (0..cols).step_by(V::LEN) {
            let to = at..cols.min(at + V::LEN);
            v.prefetch(dx[at..].as_ptr());
            // Beyond the end of the row dy is zero, so it adds nothing.
            let dy = some(v, &dy[to.clone()]);
            let d = dy * some(v, &gain[to.clone()]);
            let unit = (some(v, &x[to.clone()]) - mean) * inverse;
            let lane = at / V::LEN % 2;
            along[lane] = along[lane] + d;
            across[lane] = d.mul_add(unit, across[lane]);
            if SUMS {
                put(dy.mul_add(unit, some(v, &gains[to.clone()])), &mut gains[to.clone()]);
                put(dy + some(v, &biases[to.clone()]), &mut biases[to]);
            }
        }
        let along = v.splat((along[0] + along[1]).sum() / cols as f32);
        let across = v.splat((across[0] + across[1]).sum() / cols as f32);
        for at in (0..cols).step_by(V::LEN) {
            let to = at..cols.min(at + V::LEN);
            let d = some(v, &dy[to.clone()]) * some(v, &gain[to.clone()]);
            let unit = (some(v, &x[to.clone()]) - mean) * inverse;
            let d = (d - along) - unit * across;
            put(d.mul_add(inverse, some(v, &dx[to.clone()])), &mut dx[to]);
        }
    }
}
