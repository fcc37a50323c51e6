//! The packed format of a matrix: panels of [`PANEL`] outputs (rows of the matrix), in lanes of 32 bits, with
//! inputs as the inner dimension. A panel is a sequence of *lines*, each of some inputs:
//!
//! | | inputs of a line | a line, lane by lane | bits a weight |
//! |---|---|---|---|
//! | f32 | 1 | 64 floats | 32 |
//! | bf16 | 2 | 64 pairs, the first input in the lower half | 16 |
//! | q8 | 32 | 8 × 64 quads of bytes `q + 128`, then 64 scales as f16 | 8.5 |
//! | q4 | 32 | 4 × 64 octets of nibbles `q + 8`, inputs 0 to 3 below 4 to 7, then 64 scales as f16 | 4.5 |
//!
//! A quantised weight is `q × scale`, with one scale for [`BLOCK`] inputs of an output; the values are those of
//! llama.cpp's `Q8_0` and `Q4_0`, so that either can be converted into the other.

use crate::format::{bf16_to_f32, f16_to_f32, f32_to_bf16, f32_to_f16};

/// Outputs in a panel.
pub const PANEL: usize = 64;

/// Inputs that share a scale.
pub const BLOCK: usize = 32;

/// The number format in a panel.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Packing {
    /// Unchanged f32.
    #[default]
    F32,
    /// bf16; the inputs are rounded to bf16 too.
    Bf16,
    /// 8 bits and a scale; the inputs are rounded to 8 bits in blocks too.
    Q8,
    /// 4 bits and a scale; the inputs are rounded to 8 bits in blocks.
    Q4,
}

impl Packing {
    /// All formats, widest first.
    pub const ALL: [Packing; 4] = [Packing::F32, Packing::Bf16, Packing::Q8, Packing::Q4];

    /// Its name in options and files.
    pub fn name(self) -> &'static str {
        match self {
            Packing::F32 => "f32",
            Packing::Bf16 => "bf16",
            Packing::Q8 => "q8",
            Packing::Q4 => "q4",
        }
    }

    /// Inputs of a line.
    fn inputs(self) -> usize {
        match self {
            Packing::F32 => 1,
            Packing::Bf16 => 2,
            Packing::Q8 | Packing::Q4 => BLOCK,
        }
    }

    /// Lanes of a line.
    pub(crate) fn line(self) -> usize {
        match self {
            Packing::F32 | Packing::Bf16 => PANEL,
            Packing::Q8 | Packing::Q4 => self.quants() + PANEL / 2,
        }
    }

    /// Lanes of a line that hold quantised weights; the others hold scales.
    fn quants(self) -> usize {
        let per_lane = if self == Packing::Q8 { 4 } else { 8 };
        PANEL * BLOCK / per_lane
    }

    /// What is added to a quantised weight to store it.
    pub fn offset(self) -> i32 {
        if self == Packing::Q8 { 128 } else { 8 }
    }

    /// Panels, lines of a panel and lanes of a line of a `rows` × `cols` matrix.
    pub fn shape(self, rows: usize, cols: usize) -> [usize; 3] {
        [rows.div_ceil(PANEL), cols.div_ceil(self.inputs()), self.line()]
    }

    /// Lanes of a panel with `cols` inputs.
    pub fn panel_len(self, cols: usize) -> usize {
        let [_, lines, line] = self.shape(0, cols);
        lines * line
    }

    /// Lanes of the panels of a `rows` × `cols` matrix.
    pub fn len(self, rows: usize, cols: usize) -> usize {
        rows.div_ceil(PANEL) * self.panel_len(cols)
    }
}

/// Where a weight is in the panels of a matrix, in bytes from their beginning.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Place {
    /// Its first byte.
    pub number: usize,
    /// Its bits: 32, 16, 8 or 4.
    pub bits: usize,
    /// Of 4 bits, whether they are the upper half of the byte.
    pub upper: bool,
    /// The first of the two bytes of its scale, if it has one.
    pub scale: Option<usize>,
}

impl Packing {
    /// Where weight `col` of output `row` is in the panels of a matrix with `cols` inputs.
    pub fn place(self, cols: usize, row: usize, col: usize) -> Place {
        let line = row / PANEL * self.panel_len(cols) + col / self.inputs() * self.line();
        let (column, i) = (row % PANEL, col % self.inputs());
        // The lane, and the byte in it.
        let (lane, byte, bits) = match self {
            Packing::F32 => (column, 0, 32),
            Packing::Bf16 => (column, 2 * i, 16),
            Packing::Q8 => (i / 4 * PANEL + column, i % 4, 8),
            Packing::Q4 => (i / 8 * PANEL + column, i % 4, 4),
        };
        let scale = || 4 * (line + self.quants() + column / 2) + 2 * (column % 2);
        Place {
            number: 4 * (line + lane) + byte,
            bits,
            upper: self == Packing::Q4 && i / 4 % 2 == 1,
            scale: matches!(self, Packing::Q8 | Packing::Q4).then(scale),
        }
    }
}

/// A block of inputs of one output, quantised: weight `i` is `q[i] × scale`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Quants {
    /// The scale as f16.
    pub scale: u16,
    /// From −128 to 127, in 4 bits from −8 to 7.
    pub q: [i8; BLOCK],
}

impl Quants {
    /// The best approximation of `weights` in 8 or 4 bits; there are at most [`BLOCK`] weights.
    ///
    /// With 8 bits the largest weight is 127 or −127. With 4 bits that would waste the −8, and a scale that
    /// slightly clips the largest weight is often better for the others: the best of several scales is chosen, by
    /// the sum of squared errors.
    ///
    /// If a weight is NaN or infinite, the scale is NaN, and so is every product with the block.
    pub fn of(packing: Packing, weights: &[f32]) -> Quants {
        if weights.iter().any(|w| !w.is_finite()) {
            return Quants { scale: f32_to_f16(f32::NAN), q: [0; BLOCK] };
        }
        let mut block = [0.0; BLOCK];
        block[..weights.len()].copy_from_slice(weights);
        let greatest = weights.iter().fold(0.0f32, |most, &w| if w.abs() > most.abs() { w } else { most });
        if packing == Packing::Q8 {
            return Quants::at(packing, greatest.abs() / 127.0, &block);
        }
        let tried = (0..SCALES).flat_map(|i| {
            let end = 6.5 + i as f32 * (9.0 - 6.5) / (SCALES - 1) as f32;
            [greatest / end, -greatest / end].map(|scale| Quants::at(packing, scale, &block))
        });
        let (_, best) = tried
            .map(|quants| (quants.error(&block), quants))
            .min_by(|a, b| a.0.total_cmp(&b.0))
            .expect("some scales are tried");
        best
    }

    /// The best approximation in 8 bits of weights that are multiples of one of these steps plus a common offset, as in
    /// the blocks of other formats. If the scale is a step divided by an integer, only the offset is rounded, equally for
    /// all weights: the best of such scales, and of [`of`](Quants::of), is chosen by the sum of squared errors.
    pub fn on_steps(weights: &[f32; BLOCK], steps: &[f32]) -> Quants {
        let usual = Quants::of(Packing::Q8, weights);
        let greatest = weights.iter().fold(0.0f32, |most, w| most.max(w.abs()));
        let (mut best, mut least) = (usual, usual.error(weights));
        for (_, step) in steps.iter().enumerate().filter(|(at, step)| !steps[..*at].contains(step)) {
            // As many parts as keep the largest weight at 127 or less.
            let most = (127.0 * step.abs() / greatest) as u32;
            for parts in most.saturating_sub(TRIED_PARTS).max(1)..=most.min(127) {
                let tried = Quants::at(Packing::Q8, step / parts as f32, weights);
                let error = tried.error(weights);
                if error < least {
                    (best, least) = (tried, error);
                }
            }
        }
        best
    }

    /// Quantises with this scale, rounded to f16; to zeros if that is zero or not finite.
    fn at(packing: Packing, scale: f32, weights: &[f32; BLOCK]) -> Quants {
        let least = -(packing.offset() as f32);
        let scale = f32_to_f16(scale);
        let by = 1.0 / f16_to_f32(scale);
        // Above this number floats are integers, so adding it rounds to nearest even, and the lowest byte is the
        // number.
        const WHOLE: f32 = 1.5 * (1 << 23) as f32;
        let q = match by.is_finite() {
            true => weights.map(|w| ((w * by).clamp(least, -least - 1.0) + WHOLE).to_bits() as i8),
            false => [0; BLOCK],
        };
        Quants { scale, q }
    }

    fn error(&self, weights: &[f32; BLOCK]) -> f32 {
        let (scale, mut errors) = (f16_to_f32(self.scale), [0.0f32; 8]);
        for (q, w) in self.q.chunks_exact(8).zip(weights.chunks_exact(8)) {
            for (error, (&q, w)) in errors.iter_mut().zip(q.iter().zip(w)) {
                *error += (f32::from(q) * scale - w).powi(2);
            }
        }
        errors.iter().sum()
    }

    /// Stores it in the panels of a matrix with `cols` inputs, as block `block` of output `row`.
    pub fn put(&self, panels: &mut [f32], packing: Packing, cols: usize, row: usize, block: usize) {
        let line = line_mut(panels, packing, cols, row, block);
        let (offset, column) = (packing.offset(), row % PANEL);
        let stored = |i: usize| (i32::from(self.q[i]) + offset) as u32;
        match packing {
            Packing::Q8 => {
                for (number, at) in (column..).step_by(PANEL).take(BLOCK / 4).enumerate() {
                    line[at] = quad(|byte| stored(4 * number + byte));
                }
            }
            _ => {
                for (octet, at) in (column..).step_by(PANEL).take(BLOCK / 8).enumerate() {
                    line[at] = quad(|byte| stored(8 * octet + byte) | stored(8 * octet + 4 + byte) << 4);
                }
            }
        }
        let scales = &mut line[packing.quants() + column / 2];
        let (other, shift) = (scales.to_bits() & !(0xffff << (16 * (column % 2))), 16 * (column % 2));
        *scales = f32::from_bits(other | u32::from(self.scale) << shift);
    }

    /// Loads block `block` of output `row` from the panels of a matrix with `cols` inputs.
    pub fn get(panels: &[f32], packing: Packing, cols: usize, row: usize, block: usize) -> Quants {
        let line = line(panels, packing, cols, row, block);
        let column = row % PANEL;
        let lane = |i: usize| line[i * PANEL + column].to_bits();
        let stored = |i: usize| match packing {
            Packing::Q8 => lane(i / 4) >> (8 * (i % 4)) & 0xff,
            _ => lane(i / 8) >> (8 * (i % 4) + i / 4 % 2 * 4) & 0xf,
        };
        let scales = line[packing.quants() + column / 2].to_bits();
        Quants {
            scale: (scales >> (16 * (column % 2))) as u16,
            q: std::array::from_fn(|i| (stored(i) as i32 - packing.offset()) as i8),
        }
    }
}

/// The number of scales tried for 4 bits, of either sign.
const SCALES: usize = 16;

/// How many divisors of a step are tried.
const TRIED_PARTS: u32 = 8;

/// A lane of four bytes.
fn quad(byte: impl Fn(usize) -> u32) -> f32 {
    f32::from_bits((0..4).fold(0, |lane, i| lane | byte(i) << (8 * i)))
}

/// A file's bytes as lanes, if they are aligned for floats; lanes in files are little-endian.
pub fn lanes(bytes: &[u8]) -> Option<&[f32]> {
    // SAFETY: any four bytes are an f32.
    let (before, lanes, after) = unsafe { bytes.align_to::<f32>() };
    (before.is_empty() && after.is_empty() && cfg!(target_endian = "little")).then_some(lanes)
}

/// `lanes = bytes`, for any alignment.
pub fn copy_lanes(lanes: &mut [f32], bytes: &[u8]) {
    let (quads, _) = bytes.as_chunks();
    assert_eq!(lanes.len(), quads.len());
    lanes.iter_mut().zip(quads).for_each(|(lane, quad)| *lane = f32::from_le_bytes(*quad));
}

/// Lanes as a file's bytes.
pub fn bytes(lanes: &[f32]) -> &[u8] {
    const { assert!(cfg!(target_endian = "little"), "files are little-endian") };
    // SAFETY: an f32 is four bytes.
    unsafe { lanes.align_to::<u8>().1 }
}

/// Rows of a matrix in panels, from row `first` on: `to[row, col]`.
pub fn unpack(to: &mut [f32], panels: &[f32], packing: Packing, cols: usize, first: usize) {
    for (row, to) in to.chunks_exact_mut(cols.max(1)).enumerate() {
        read_row(panels, packing, first + row, to, |to, w| *to = w);
    }
}

fn line(panels: &[f32], packing: Packing, cols: usize, row: usize, line: usize) -> &[f32] {
    &panels[row / PANEL * packing.panel_len(cols) + line * packing.line()..][..packing.line()]
}

fn line_mut(panels: &mut [f32], packing: Packing, cols: usize, row: usize, line: usize) -> &mut [f32] {
    &mut panels[row / PANEL * packing.panel_len(cols) + line * packing.line()..][..packing.line()]
}

/// Passes output `row` of a matrix in panels to `each(to, weight)`; `to` is as long as the matrix has inputs.
pub(crate) fn read_row(
    panels: &[f32],
    packing: Packing,
    row: usize,
    to: &mut [f32],
    each: impl Fn(&mut f32, f32),
) {
    let cols = to.len();
    for (at, to) in to.chunks_mut(packing.inputs()).enumerate() {
        match packing {
            Packing::F32 => each(&mut to[0], line(panels, packing, cols, row, at)[row % PANEL]),
            Packing::Bf16 => {
                let pair = line(panels, packing, cols, row, at)[row % PANEL].to_bits();
                for (to, half) in to.iter_mut().zip([pair as u16, (pair >> 16) as u16]) {
                    each(to, bf16_to_f32(half));
                }
            }
            Packing::Q8 | Packing::Q4 => {
                let Quants { scale, q } = Quants::get(panels, packing, cols, row, at);
                for (to, q) in to.iter_mut().zip(q) {
                    each(to, f32::from(q) * f16_to_f32(scale));
                }
            }
        }
    }
}

/// Packs panel `p` of a row-major matrix, `cols` wide, in 16 bits or fewer.
pub(crate) fn pack_panel(panel: &mut [f32], packing: Packing, w: &[f32], cols: usize, p: usize) {
    panel.fill(0.0);
    for (column, w) in w.chunks_exact(cols).skip(p * PANEL).take(PANEL).enumerate() {
        for (at, w) in w.chunks(packing.inputs()).enumerate() {
            match packing {
                Packing::F32 => panel[at * PANEL + column] = w[0],
                Packing::Bf16 => {
                    let pair = [w[0], w.get(1).copied().unwrap_or(0.0)].map(|w| u32::from(f32_to_bf16(w)));
                    panel[at * PANEL + column] = f32::from_bits(pair[0] | pair[1] << 16);
                }
                Packing::Q8 | Packing::Q4 => Quants::of(packing, w).put(panel, packing, cols, column, at),
            }
        }
    }
}
