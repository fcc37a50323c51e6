//! LayerNorm (Ba et al. 2016).

use crate::Cores;

/// `y = (x - mean) / sqrt(variance + epsilon) * gain + bias`, row by row; `stats` keeps mean and 1/std of every row
/// (`[rows, 2]`) for the backward. The width is `gain.len()`.
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
    assert!(y.len() == x.len() && x.len() % cols == 0 && stats.len() == x.len() / cols * 2);
    let _ = cores;
    for ((y, x), stats) in y.chunks_exact_mut(cols).zip(x.chunks_exact(cols)).zip(stats.chunks_exact_mut(2)) {
        let mean = x.iter().sum::<f32>() / cols as f32;
        let variance = x.iter().map(|x| (x - mean) * (x - mean)).sum::<f32>() / cols as f32;
        let inverse = 1.0 / (variance + epsilon).sqrt();
        stats.copy_from_slice(&[mean, inverse]);
        for j in 0..cols {
            y[j] = (x[j] - mean) * inverse * gain[j] + bias.map_or(0.0, |b| b[j]);
        }
    }
}

/// `dx += …`; `dgain += …`; `dbias += …` (the last two where wanted), summed over rows in row order.
pub fn norm_backward(
    cores: &Cores,
    dx: &mut [f32],
    mut dgain: Option<&mut [f32]>,
    mut dbias: Option<&mut [f32]>,
    dy: &[f32],
    x: &[f32],
    stats: &[f32],
    gain: &[f32],
) {
    let cols = gain.len();
    assert!(dx.len() == x.len() && dy.len() == x.len() && stats.len() == x.len() / cols * 2);
    let _ = cores;
    for r in 0..x.len() / cols {
        let (x, dy, dx) = (&x[r * cols..][..cols], &dy[r * cols..][..cols], &mut dx[r * cols..][..cols]);
        let (mean, inverse) = (stats[2 * r], stats[2 * r + 1]);
        let (mut along, mut across) = (0.0, 0.0);
        for j in 0..cols {
            let (unit, d) = ((x[j] - mean) * inverse, dy[j] * gain[j]);
            along += d;
            across += d * unit;
            if let Some(dgain) = &mut dgain {
                dgain[j] += dy[j] * unit;
            }
            if let Some(dbias) = &mut dbias {
                dbias[j] += dy[j];
            }
        }
        let (along, across) = (along / cols as f32, across / cols as f32);
        for j in 0..cols {
            dx[j] += inverse * (dy[j] * gain[j] - along - (x[j] - mean) * inverse * across);
        }
    }
}
