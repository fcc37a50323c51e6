//! Normalisation of rows: LayerNorm (Ba et al. 2016) and RMSNorm (Zhang & Sennrich 2019).

use crate::Cores;
use crate::lanes::{Lanes, kernel};
use crate::pool::Parts;
use crate::scratch::with_scratch;

/// What a row is divided by, and whether its mean is subtracted first.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// LayerNorm: minus the mean, divided by the standard deviation.
    Layer,
    /// RMSNorm: divided by the root of the mean square.
    Rms,
}

/// A normalisation.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Norm {
    /// Its kind.
    pub kind: Kind,
    /// Added to the variance or to the mean square.
    pub epsilon: f32,
    /// Added to the stored gain: 1 where files hold the gain minus 1, otherwise 0.
    pub offset: f32,
}

impl Norm {
    /// LayerNorm with the gain as it is stored.
    pub fn layer(epsilon: f32) -> Self {
        Self { kind: Kind::Layer, epsilon, offset: 0.0 }
    }

    /// RMSNorm with the gain as it is stored.
    pub fn rms(epsilon: f32) -> Self {
        Self { kind: Kind::Rms, epsilon, offset: 0.0 }
    }
}

/// Floats per task: 16 rows of GPT-2, or more rows that are shorter.
const FLOATS: usize = 16 * 768;

/// `y = (x - mean) / sqrt(variance + norm.epsilon) * gain + bias`, row by row, or `y = x / sqrt(mean(x²) + epsilon) * gain +
/// bias`; `stats` receives the mean (0 in RMSNorm) and what a row is multiplied by (`[rows, 2]`) for the backward pass.
/// Rows are `cols` wide: with the size of a head, every head of every position is a row. Without a gain it is 1.
pub fn norm(
    cores: &Cores,
    y: &mut [f32],
    stats: &mut [f32],
    x: &[f32],
    cols: usize,
    gain: Option<&[f32]>,
    bias: Option<&[f32]>,
    norm: Norm,
) {
    assert!(y.len() == x.len() && x.len().is_multiple_of(cols) && stats.len() == x.len() / cols * 2);
    assert!(bias.is_none_or(|bias| bias.len() == cols));
    let rows = (FLOATS / cols).max(1);
    let stats = Parts::new(stats);
    with_gain(cols, gain, norm.offset, |gain| {
        cores.run_parts(y, rows * cols, |task, y| {
            let first = task * rows;
            // SAFETY: no other task uses these rows.
            let stats = unsafe { stats.part(2 * first..2 * (first + y.len() / cols)) };
            norm_rows(cores, y, stats, &x[first * cols..][..y.len()], gain, bias, norm);
        });
    });
}

/// What parts of a row add to the normalised row, without its bias, in place: x `[rows, parts × cols]`, where the parts of a row
/// add up to the row of which `stats` are (`[rows, 2]`). LayerNorm subtracts each part's own mean.
pub fn norm_in_parts(
    cores: &Cores,
    x: &mut [f32],
    parts: usize,
    stats: &[f32],
    cols: usize,
    gain: Option<&[f32]>,
    norm: Norm,
) {
    assert_eq!(x.len() * 2, stats.len() * parts * cols);
    with_gain(cols, gain, norm.offset, |gain| {
        cores.run_parts(x, parts * cols, |row, x| {
            let inverse = stats[2 * row + 1];
            for part in x.chunks_exact_mut(cols) {
                let mean = match norm.kind {
                    Kind::Layer => part.iter().sum::<f32>() / cols as f32,
                    Kind::Rms => 0.0,
                };
                part.iter_mut().zip(gain).for_each(|(x, gain)| *x = (*x - mean) * inverse * gain);
            }
        });
    });
}

/// Runs `work` with the gain that rows are multiplied by: the stored one, or one made from it.
fn with_gain<R>(cols: usize, stored: Option<&[f32]>, offset: f32, work: impl FnOnce(&[f32]) -> R) -> R {
    match stored {
        Some(stored) if offset == 0.0 => {
            assert_eq!(stored.len(), cols);
            work(stored)
        }
        _ => with_scratch([cols], |[gain]| {
            match stored {
                Some(stored) => {
                    assert_eq!(stored.len(), cols);
                    gain.iter_mut().zip(stored).for_each(|(gain, stored)| *gain = stored + offset);
                }
                None => gain.fill(1.0),
            }
            work(gain)
        }),
    }
}

kernel!(
    fn norm_rows(
        y: &mut [f32],
        stats: &mut [f32],
        x: &[f32],
        gain: &[f32],
        bias: Option<&[f32]>,
        norm: Norm,
    ) = norm_rows_body
);

#[inline(always)]
fn norm_rows_body<V: Lanes>(
    v: V,
    y: &mut [f32],
    stats: &mut [f32],
    x: &[f32],
    gain: &[f32],
    bias: Option<&[f32]>,
    norm: Norm,
) {
    let cols = gain.len();
    let rows = y.chunks_exact_mut(cols).zip(x.chunks_exact(cols));
    for ((y, x), stats) in rows.zip(stats.chunks_exact_mut(2)) {
        norm_row(v, y, stats, x, gain, bias, norm);
    }
}

#[inline(always)]
fn norm_row<V: Lanes>(
    v: V,
    y: &mut [f32],
    stats: &mut [f32],
    x: &[f32],
    gain: &[f32],
    bias: Option<&[f32]>,
    norm: Norm,
) {
    let cols = x.len();
    let mean = match norm.kind {
        Kind::Layer => sum(v, x) / cols as f32,
        Kind::Rms => 0.0,
    };
    let variance = square_distance(v, x, mean) / cols as f32;
    let inverse = 1.0 / (variance + norm.epsilon).sqrt();
    stats.copy_from_slice(&[mean, inverse]);
    let (mean, inverse) = (v.splat(mean), v.splat(inverse));
    let parts = y.chunks_mut(V::LEN).zip(x.chunks(V::LEN).zip(gain.chunks(V::LEN)));
    match bias {
        Some(bias) => {
            for ((y, (x, gain)), bias) in parts.zip(bias.chunks(V::LEN)) {
                let unit = (v.load_some(x) - mean) * inverse;
                unit.mul_add(v.load_some(gain), v.load_some(bias)).store_some(y);
            }
        }
        None => {
            for (y, (x, gain)) in parts {
                let unit = (v.load_some(x) - mean) * inverse;
                unit.mul_add(v.load_some(gain), v.splat(0.0)).store_some(y);
            }
        }
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
        sums[0] = sums[0] + v.load_some(chunk);
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

/// Rows whose gain and bias gradients are summed before they are added, in order, to those of others.
const BLOCK: usize = 32;

/// `dx += …`; `dgain += …`; `dbias += …` (the last two if given), summed in blocks of 32 rows that are added in order.
/// `dgain` is the gradient of the stored gain. If x has fewer rows than dy, each of them belongs to equally many
/// neighbouring rows of dy and dx.
pub fn norm_backward(
    cores: &Cores,
    dx: &mut [f32],
    dgain: Option<&mut [f32]>,
    dbias: Option<&mut [f32]>,
    dy: &[f32],
    x: &[f32],
    stats: &[f32],
    cols: usize,
    gain: Option<&[f32]>,
    norm: Norm,
) {
    assert!(dx.len() == dy.len() && x.len().is_multiple_of(cols) && stats.len() == x.len() / cols * 2);
    assert!(dgain.as_deref().is_none_or(|dgain| dgain.len() == cols));
    assert!(dbias.as_deref().is_none_or(|dbias| dbias.len() == cols));
    let each = dy.len() / x.len().max(1);
    assert_eq!(dy.len(), x.len() * each);
    let (size, blocks) = (BLOCK * cols, dy.len().div_ceil(BLOCK * cols));
    // The sums of a block, if anyone wants them: for the gain, and behind them for the bias.
    let own = if dbias.is_some() { 2 * cols } else { usize::from(dgain.is_some()) * cols };
    let mut sums = vec![0.0; blocks * own];
    let (dx, parts) = (Parts::new(dx), Parts::new(&mut sums));
    let per_task = (2 * FLOATS / size).max(1);
    with_gain(cols, gain, norm.offset, |gain| {
        cores.run(blocks.div_ceil(per_task), &|task| {
            for block in task * per_task..blocks.min((task + 1) * per_task) {
                let rows = block * size..dy.len().min((block + 1) * size);
                // SAFETY: no other task uses these rows and these sums.
                let (dx, sums) =
                    unsafe { (dx.part(rows.clone()), parts.part(block * own..(block + 1) * own)) };
                let rows =
                    Rows { dy: &dy[rows], first: block * BLOCK, each, x, stats, gain, kind: norm.kind };
                backward_rows(cores, dx, sums, rows);
            }
        });
    });
    for (d, first) in [(dgain, 0), (dbias, cols)] {
        let Some(d) = d else { continue };
        for sums in sums.chunks_exact(own) {
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
    kind: Kind,
}

kernel!(fn backward_rows(dx: &mut [f32], sums: &mut [f32], rows: Rows<'_>) = backward_rows_body);

#[inline(always)]
fn backward_rows_body<V: Lanes>(v: V, dx: &mut [f32], sums: &mut [f32], rows: Rows<'_>) {
    match sums.len() / rows.gain.len() {
        0 => backward_rows_with::<V, 0>(v, dx, sums, rows),
        1 => backward_rows_with::<V, 1>(v, dx, sums, rows),
        _ => backward_rows_with::<V, 2>(v, dx, sums, rows),
    }
}

/// `dx += 1/std (d − mean(d) − unit · mean(d · unit))` with `d = dy · gain` and `unit = (x − mean) / std`, row by row;
/// in RMSNorm without `mean(d)`. `sums += dy · unit` if there is one sum; with two, the second `+= dy`.
#[inline(always)]
fn backward_rows_with<V: Lanes, const SUMS: usize>(v: V, dx: &mut [f32], sums: &mut [f32], rows: Rows<'_>) {
    let Rows { dy, first, each, x, stats, gain, kind } = rows;
    let cols = gain.len();
    let (gains, biases) = sums.split_at_mut(if SUMS > 0 { cols } else { 0 });
    for (i, (dx, dy)) in dx.chunks_exact_mut(cols).zip(dy.chunks_exact(cols)).enumerate() {
        let row = (first + i) / each;
        let (x, stats) = (&x[row * cols..][..cols], &stats[2 * row..][..2]);
        let (mean, inverse) = (v.splat(stats[0]), v.splat(stats[1]));
        let (mut along, mut across) = ([v.splat(0.0); 2], [v.splat(0.0); 2]);
        for at in (0..cols).step_by(V::LEN) {
            let to = at..cols.min(at + V::LEN);
            v.prefetch(dx[at..].as_ptr());
            // Beyond the end of the row dy is zero, so it adds nothing.
            let dy = v.load_some(&dy[to.clone()]);
            let d = dy * v.load_some(&gain[to.clone()]);
            let unit = (v.load_some(&x[to.clone()]) - mean) * inverse;
            let lane = at / V::LEN % 2;
            along[lane] = along[lane] + d;
            across[lane] = d.mul_add(unit, across[lane]);
            if SUMS > 0 {
                dy.mul_add(unit, v.load_some(&gains[to.clone()])).store_some(&mut gains[to.clone()]);
            }
            if SUMS > 1 {
                (dy + v.load_some(&biases[to.clone()])).store_some(&mut biases[to]);
            }
        }
        let along = match kind {
            Kind::Layer => v.splat((along[0] + along[1]).sum() / cols as f32),
            Kind::Rms => v.splat(0.0),
        };
        let across = v.splat((across[0] + across[1]).sum() / cols as f32);
        for at in (0..cols).step_by(V::LEN) {
            let to = at..cols.min(at + V::LEN);
            let d = v.load_some(&dy[to.clone()]) * v.load_some(&gain[to.clone()]);
            let unit = (v.load_some(&x[to.clone()]) - mean) * inverse;
            let d = (d - along) - unit * across;
            d.mul_add(inverse, v.load_some(&dx[to.clone()])).store_some(&mut dx[to]);
        }
    }
}
