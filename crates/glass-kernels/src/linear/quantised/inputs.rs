//! Inputs of a quantised product: rows rounded to 8 bits, in blocks of 32 with a scale each.

use super::{EXTRA, ROUNDER, SCALE, START, lanes};
use crate::lanes::integers::Integers;
use crate::lanes::kernel;
use crate::packing::{BLOCK, Format};
use crate::precision::InputScales;

kernel!(pub(super) fn quantise(lanes: &mut [f32], x: &[f32], format: Format, scales: InputScales, folds: bool) = quantise_body);

/// Quantises a row of inputs in blocks; `folds`: whether scales become part of the start values.
#[inline(always)]
fn quantise_body<V: Integers>(
    v: V,
    to: &mut [f32],
    x: &[f32],
    format: Format,
    scales: InputScales,
    folds: bool,
) {
    let (whole, rest) = x.as_chunks();
    let mut last = [0.0; BLOCK];
    last[..rest.len()].copy_from_slice(rest);
    let (blocks, len) = (|| whole.iter().chain([&last]), lanes(format.scales, format.minimum));
    // In two passes: a block is one chain of dependent operations, and shorter chains overlap more.
    for (x, block) in blocks().zip(to.chunks_exact_mut(len)) {
        block[SCALE] = exact_scale(x);
    }
    for (x, block) in blocks().zip(to.chunks_exact_mut(len)) {
        quantise_block(v, block, x, format, scales, folds);
    }
}

/// The scale at which the largest magnitude is 127.
#[inline(always)]
fn exact_scale(x: &[f32]) -> f32 {
    // Magnitudes compare as their bits do, and NaN is above infinity.
    let most = x.iter().fold(0, |most, x| most.max(x.to_bits() & MAGNITUDE));
    f32::from_bits(most) * (1.0 / 127.0)
}

/// The scale of a block of inputs.
pub(in crate::linear) fn quantised_scale(x: &[f32], scales: InputScales) -> f32 {
    match scales {
        InputScales::Exact => exact_scale(x),
        InputScales::PowersOfTwo => power_of_two(exact_scale(x)),
    }
}

/// The bits of a float without its sign.
const MAGNITUDE: u32 = 0x7fff_ffff;

/// The input of largest magnitude becomes 127 or −127, without error. A NaN or infinite input makes the scale NaN, and
/// with it every output of the row.
#[inline(always)]
fn quantise_block<V: Integers>(
    v: V,
    lanes: &mut [f32],
    x: &[f32; BLOCK],
    format: Format,
    scales: InputScales,
    folds: bool,
) {
    let mut scale = lanes[SCALE];
    if scales == InputScales::PowersOfTwo {
        scale = power_of_two(scale);
    }
    let by = 1.0 / scale;
    // If all inputs are zero, or so small that the scale has no inverse, all are treated as zero.
    let (scale, by) = if by < f32::INFINITY { (scale, by) } else { (0.0, 0.0) };
    let (rounder, by) = (v.splat(ROUNDER), v.splat(by));
    let (mut bytes, mut sums) = ([0; BLOCK], [0.0; 2]);
    let halves = bytes.chunks_exact_mut(BLOCK / 2).zip(x.chunks_exact(BLOCK / 2));
    for (whole, (bytes, x)) in sums.iter_mut().zip(halves) {
        let mut sum = v;
        for (to, x) in bytes.chunks_exact_mut(V::LEN).zip(x.chunks_exact(V::LEN)) {
            let rounded = v.load(x) * by + rounder;
            rounded.store_bytes(to);
            sum = sum + (rounded - rounder);
        }
        *whole = sum.sum();
    }
    for (quad, bytes) in lanes.iter_mut().zip(bytes.as_chunks().0) {
        *quad = f32::from_bits(u32::from_le_bytes(*bytes));
    }
    // What follows are integers of at most 32 × 127 × 128, which floats represent exactly.
    if format.scales == 1 {
        sums = [sums[0] + sums[1], 0.0];
    }
    let offset = format.zero() as f32;
    let [start, second] = sums.map(|sum| ROUNDER - sum * offset);
    let (power, of_inputs) = match folds {
        false => (1.0, scale),
        // Without a scale every sum is zero.
        true if scale == 0.0 => (1.0, ROUNDER),
        true => (scale, ROUNDER * scale),
    };
    lanes[START] = start * power;
    lanes[SCALE] =
        if (sums[0] + sums[1]).is_finite() && lanes[START].is_finite() { of_inputs } else { f32::NAN };
    for (part, extra) in lanes[EXTRA..].iter_mut().enumerate() {
        *extra = if format.minimum { sums[part] * scale } else { second * power };
    }
}

/// The smallest power of two that is not less than a number, at least 2⁻¹²⁶; zero for zero.
#[inline(always)]
fn power_of_two(number: f32) -> f32 {
    const MANTISSA: u32 = (1 << 23) - 1;
    f32::from_bits(number.to_bits().wrapping_add(MANTISSA) & !MANTISSA)
}
