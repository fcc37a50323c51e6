//! Blocks of quantised weights: how they are found, stored and loaded.

use super::{BLOCK, Format, PANEL, Packing, line};
use crate::format::{f16_to_f32, f32_to_f16};

/// Weights that share a scale, if a block has two.
const HALF: usize = BLOCK / 2;

/// A block of inputs of one output, quantised: weight `i` is `q[i] × scale`, plus the minimum if the packing has one.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Quants {
    /// The scales of the first and the last 16 weights, as f16; the same if the packing has one for all.
    pub scales: [u16; 2],
    /// The minima of the first and the last 16 weights, as f16; zero if the packing has none.
    pub minima: [u16; 2],
    /// With its offset, as many bits as the packing has: with 4 bits from −8 to 7, with a minimum from 0 to 15. With a
    /// table, the place in it.
    pub q: [i8; BLOCK],
}

/// Reads the blocks of an output: of a row of the matrix.
pub type ReadQuants<'a> = dyn Fn(usize, &mut [Quants]) + Sync + 'a;

impl Quants {
    /// With one scale and no minimum.
    pub fn new(scale: u16, q: [i8; BLOCK]) -> Quants {
        Quants { scales: [scale; 2], minima: [0; 2], q }
    }

    /// The weights.
    pub fn weights(&self, packing: Packing) -> [f32; BLOCK] {
        let (scales, minima) = (self.scales.map(f16_to_f32), self.minima.map(f16_to_f32));
        let scaled = |number: i8, i: usize| f32::from(number) * scales[i / HALF];
        match packing.format() {
            Some(Format { table: Some(table), .. }) => {
                std::array::from_fn(|i| scaled(table[self.q[i] as usize % 16], i))
            }
            Some(Format { minimum: true, .. }) => {
                std::array::from_fn(|i| scaled(self.q[i], i) + minima[i / HALF])
            }
            // A minimum of zero would make −0 a 0.
            _ => std::array::from_fn(|i| scaled(self.q[i], i)),
        }
    }

    /// A good approximation of `weights` in this packing, which must be quantised; there are at most [`BLOCK`] weights.
    ///
    /// With 8 bits the largest weight is 127 or −127. With fewer that would waste the lowest number, and a scale that
    /// slightly clips the largest weight is often better for the others: the best of several scales is chosen, by the sum
    /// of squared errors. With a minimum, the numbers go from the least weight to the greatest.
    ///
    /// If a weight is NaN or infinite, the scale is NaN, and so is every product with the block.
    pub fn of(packing: Packing, weights: &[f32]) -> Quants {
        if weights.iter().any(|w| !w.is_finite()) {
            return Quants::new(f32_to_f16(f32::NAN), [0; BLOCK]);
        }
        let format = packing.format().expect("a quantised packing");
        let mut block = [0.0; BLOCK];
        block[..weights.len()].copy_from_slice(weights);
        if format.scales == 1 {
            return best(packing, &format, weights, &block);
        }
        // Each half alone; the other half of each result is discarded.
        let [first, last] = [0, HALF].map(|start| {
            let some = &weights[start.min(weights.len())..weights.len().min(start + HALF)];
            let mut alone = [0.0; BLOCK];
            alone[start..start + some.len()].copy_from_slice(some);
            best(packing, &format, some, &alone)
        });
        Quants {
            scales: [first.scales[0], last.scales[1]],
            minima: [first.minima[0], last.minima[1]],
            q: std::array::from_fn(|i| if i < HALF { first.q[i] } else { last.q[i] }),
        }
    }

    /// Quantises with this scale and minimum, rounded to f16; to the lowest numbers if the scale is zero or not finite.
    fn at(format: &Format, [scale, minimum]: [f32; 2], weights: &[f32; BLOCK]) -> Quants {
        let least = -(format.offset as f32);
        let most = least + ((1 << format.bits()) - 1) as f32;
        let [scale, minimum] = [scale, minimum].map(f32_to_f16);
        let (by, from) = (1.0 / f16_to_f32(scale), f16_to_f32(minimum));
        // Above this number floats are integers, so adding it rounds to nearest even, and the lowest byte is the
        // number.
        const WHOLE: f32 = 1.5 * (1 << 23) as f32;
        let q = match (by.is_finite(), format.table) {
            (true, None) => weights.map(|w| (((w - from) * by).clamp(least, most) + WHOLE).to_bits() as i8),
            (true, Some(table)) => weights.map(|w| nearest(table, w * by)),
            (false, _) => [0; BLOCK],
        };
        Quants { scales: [scale; 2], minima: [minimum; 2], q }
    }

    fn error(&self, packing: Packing, weights: &[f32; BLOCK]) -> f32 {
        let (mut errors, found) = ([0.0f32; 8], self.weights(packing));
        for (found, w) in found.chunks_exact(8).zip(weights.chunks_exact(8)) {
            for (error, (found, w)) in errors.iter_mut().zip(found.iter().zip(w)) {
                *error += (found - w).powi(2);
            }
        }
        errors.iter().sum()
    }

    /// Loads block `block` of output `row` from the panels of a matrix with `cols` inputs.
    pub fn get(panels: &[f32], packing: Packing, cols: usize, row: usize, block: usize) -> Quants {
        let format = packing.format().expect("a quantised packing");
        let line = line(panels, packing, cols, row, block);
        let column = row % PANEL;
        let bits = |first: usize, bits: usize, quad: usize| match bits {
            0 => 0,
            _ => {
                line[first + quad * bits / 8 * PANEL + column].to_bits() >> (quad * bits % 8)
                    & every_byte(bits)
            }
        };
        let mut q = [0; BLOCK];
        for (quad, q) in q.chunks_exact_mut(4).enumerate() {
            let stored = bits(0, format.low, quad) | bits(format.uppers(), format.high, quad) << format.low;
            let stored = stored.to_le_bytes().map(|stored| (i32::from(stored) - format.offset) as i8);
            q.copy_from_slice(&stored);
        }
        let halves = |first: usize| {
            [0, format.scales - 1].map(|part| {
                (line[first + part * PANEL / 2 + column / 2].to_bits() >> (16 * (column % 2))) as u16
            })
        };
        let minima = if format.minimum { halves(format.minima()) } else { [0; 2] };
        Quants { scales: halves(format.first_scale()), minima, q }
    }
}

/// The lowest bits of every byte.
const fn every_byte(bits: usize) -> u32 {
    ((1 << bits) - 1) * 0x0101_0101
}

/// Stores a panel: `quants` are the blocks of one output after another. There may be fewer outputs than columns.
pub(crate) fn put_panel(panel: &mut [f32], packing: Packing, quants: &[Quants], blocks: usize) {
    let format = packing.format().expect("a quantised packing");
    for (block, line) in panel.chunks_exact_mut(packing.line()).enumerate() {
        // Columns without an output stay zero.
        let (mut quads, mut scales, mut minima) = ([[0; BLOCK / 4]; PANEL], [[0; PANEL]; 2], [[0; PANEL]; 2]);
        for (column, quants) in quants.iter().skip(block).step_by(blocks).enumerate() {
            let stored = quants.q.map(|q| q.wrapping_add(format.offset as i8) as u8);
            let (bytes, _) = stored.as_chunks();
            quads[column].iter_mut().zip(bytes).for_each(|(quad, bytes)| *quad = u32::from_le_bytes(*bytes));
            for part in 0..2 {
                scales[part][column] = quants.scales[part];
                minima[part][column] = quants.minima[part];
            }
        }
        put_bits(line, &quads, format.low, 0);
        put_bits(&mut line[format.uppers()..], &quads, format.high, format.low);
        for part in 0..format.scales {
            let at = part * PANEL / 2;
            put_halves(&mut line[format.first_scale() + at..], &scales[part]);
            if format.minimum {
                put_halves(&mut line[format.minima() + at..], &minima[part]);
            }
        }
    }
}

/// Stores some bits of each byte of every column's quads, from bit `from` on: in a lane, as many quads as fit.
fn put_bits(line: &mut [f32], quads: &[[u32; BLOCK / 4]; PANEL], bits: usize, from: usize) {
    match bits {
        0 => {}
        1 => put_some::<1>(line, quads, from),
        2 => put_some::<2>(line, quads, from),
        4 => put_some::<4>(line, quads, from),
        _ => put_some::<8>(line, quads, from),
    }
}

fn put_some<const BITS: usize>(line: &mut [f32], quads: &[[u32; BLOCK / 4]; PANEL], from: usize) {
    let in_lane = 8 / BITS;
    for (at, lanes) in line.as_chunks_mut::<PANEL>().0.iter_mut().take(BITS).enumerate() {
        for (lane, quads) in lanes.iter_mut().zip(quads) {
            let some = |k: usize| (quads[at * in_lane + k] >> from & every_byte(BITS)) << (k * BITS);
            *lane = f32::from_bits((0..in_lane).fold(0, |lane, k| lane | some(k)));
        }
    }
}

/// Stores numbers of 16 bits, two in a lane.
fn put_halves(line: &mut [f32], halves: &[u16; PANEL]) {
    for (lane, [first, second]) in line.iter_mut().zip(halves.as_chunks().0) {
        *lane = f32::from_bits(u32::from(*first) | u32::from(*second) << 16);
    }
}

/// The best approximation with one scale; `weights` are those of `block` that count.
fn best(packing: Packing, format: &Format, weights: &[f32], block: &[f32; BLOCK]) -> Quants {
    if format.minimum {
        let (least, most) =
            weights.iter().fold((f32::MAX, f32::MIN), |(least, most), &w| (least.min(w), most.max(w)));
        let (least, most) = if weights.is_empty() { (0.0, 0.0) } else { (least, most) };
        let steps = ((1 << format.bits()) - 1) as f32;
        // Rounded to f16 first, so that the greatest weight is still reached.
        let least = f16_to_f32(f32_to_f16(least));
        return Quants::at(format, [(most - least) / steps, least], block);
    }
    let greatest = weights.iter().fold(0.0f32, |most, &w| if w.abs() > most.abs() { w } else { most });
    if packing == Packing::Q8 {
        return Quants::at(format, [greatest.abs() / 127.0, 0.0], block);
    }
    // The number of largest magnitude; with a table, the ends tried are as far from it in proportion.
    let (end, unit) = match format.table {
        None => (format.offset as f32, 1.0),
        Some(table) => (8.0, table.iter().map(|value| f32::from(value.abs())).fold(0.0, f32::max) / 8.0),
    };
    let tried = (0..SCALES).flat_map(|i| {
        let end = (end - 1.5 + i as f32 * 2.5 / (SCALES - 1) as f32) * unit;
        [greatest / end, -greatest / end].map(|scale| Quants::at(format, [scale, 0.0], block))
    });
    let (_, best) = tried
        .map(|quants| (quants.error(packing, block), quants))
        .min_by(|a, b| a.0.total_cmp(&b.0))
        .expect("some scales are tried");
    best
}

/// The place in a table of the value nearest to a number.
fn nearest(table: &[i8; 16], number: f32) -> i8 {
    let far = |at: &usize| (f32::from(table[*at]) - number).abs();
    (0..16).min_by(|a, b| far(a).total_cmp(&far(b))).expect("sixteen values") as i8
}

/// The number of scales tried, of either sign.
const SCALES: usize = 16;
