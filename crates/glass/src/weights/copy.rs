//! Copies a file's bytes into a matrix `[outputs, inputs]`: converted to f32, and transposed if the file holds it
//! as `[inputs, outputs]`.

use super::dtype::Dtype;

/// Outputs and inputs of a tile: 4 KiB as f32, so that both sides of a transposition stay in the L1 cache.
const TILE: usize = 32;

/// `into[r, c] = from[c, first + r]`: the outputs from `first` on of a matrix that the file stores as `[inputs,
/// of]` (`transformers`' `Conv1D`). `into` is `[outputs, inputs]`.
pub(crate) fn turned(into: &mut [f32], inputs: usize, from: &[u8], dtype: Dtype, first: usize, of: usize) {
    assert_eq!(from.len(), inputs * of * dtype.bytes());
    assert!(into.len().is_multiple_of(inputs) && first + into.len() / inputs <= of);
    each_band(into, inputs * TILE, |band, into| {
        turn_band(into, inputs, from, dtype, first + band * TILE, of);
    });
}

/// Up to [`TILE`] outputs, tile by tile.
fn turn_band(into: &mut [f32], inputs: usize, from: &[u8], dtype: Dtype, first: usize, of: usize) {
    let outputs = into.len() / inputs;
    let mut tile = [0.0; TILE * TILE];
    for c0 in (0..inputs).step_by(TILE) {
        let width = TILE.min(inputs - c0);
        for c in 0..width {
            let at = (c0 + c) * of + first;
            let bytes = &from[at * dtype.bytes()..(at + outputs) * dtype.bytes()];
            dtype.widen(&mut tile[c * TILE..c * TILE + outputs], bytes);
        }
        for r in 0..outputs {
            let row = &mut into[r * inputs + c0..r * inputs + c0 + width];
            for (c, x) in row.iter_mut().enumerate() {
                *x = tile[c * TILE + r];
            }
        }
    }
}

/// `into = from`, in the order of the file.
pub(crate) fn straight(into: &mut [f32], from: &[u8], dtype: Dtype) {
    const BAND: usize = 1 << 16;
    each_band(into, BAND, |band, into| {
        let at = band * BAND;
        dtype.widen(into, &from[at * dtype.bytes()..(at + into.len()) * dtype.bytes()]);
    });
}

/// The inverse: `into[c, first + r] = from[r, c]`, where `into` is `[inputs, of]`.
pub(crate) fn turned_back(into: &mut [f32], inputs: usize, from: &[f32], first: usize, of: usize) {
    let outputs = from.len() / inputs;
    for r0 in (0..outputs).step_by(TILE) {
        for c0 in (0..inputs).step_by(TILE) {
            for c in c0..inputs.min(c0 + TILE) {
                for r in r0..outputs.min(r0 + TILE) {
                    into[c * of + first + r] = from[r * inputs + c];
                }
            }
        }
    }
}

/// `work(number, band)` for every band of `len` values, on all cores.
fn each_band(into: &mut [f32], len: usize, work: impl Fn(usize, &mut [f32]) + Sync) {
    #[cfg(not(target_family = "wasm"))]
    if into.len() > 1 << 16 {
        use rayon::prelude::*;
        return into.par_chunks_mut(len).enumerate().for_each(|(band, into)| work(band, into));
    }
    into.chunks_mut(len).enumerate().for_each(|(band, into)| work(band, into));
}
