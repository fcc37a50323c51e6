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
//!
//! The other formats are for llama.cpp's other kinds of blocks, so that these stay about as small as they are in a
//! file. They differ in four ways ([`Format`]); after the lowest bits of a line come its further parts, each 64 wide:
//!
//! | | lowest bits | higher bits | scales | minima | bits a weight | holds |
//! |---|---|---|---|---|---|---|
//! | q6 | 4 | 2 | 2 | | 7 | `Q6_K` |
//! | q5m | 4 | 1 | 1 | 1 | 6 | `Q5_1`, `Q5_K` |
//! | q5 | 4 | 1 | 1 | | 5.5 | `Q5_0` |
//! | q4m | 4 | | 1 | 1 | 5 | `Q4_1`, `Q4_K` |
//! | iq4 | 4, which index a table | | 1 | | 4.5 | `IQ4_NL`, `IQ4_XS` |
//! | mxfp4 | the same with another table | | 1 | | 4.5 | `MXFP4` |
//! | q3 | 2 | 1 | 2 | | 4 | `Q3_K` |
//! | q2m | 2 | | 2 | 2 | 4 | `Q2_K` |
//!
//! Of two scales, the second is that of the last 16 inputs. With a minimum, a weight is `q × scale + minimum`. The
//! higher bits of inputs `4 k` to `4 k + 3` are next to those of the following four inputs, in the same four bytes.

mod quants;

use crate::format::{bf16_to_f32, f16_to_f32, f32_to_bf16};
pub(crate) use quants::put_panel;
pub use quants::{Quants, ReadQuants};

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
    /// 6 bits and two scales; the inputs of this format and of all that follow are rounded to 8 bits in blocks.
    Q6,
    /// 5 bits, a scale and a minimum.
    Q5m,
    /// 5 bits and a scale.
    Q5,
    /// 4 bits, a scale and a minimum.
    Q4m,
    /// 4 bits and a scale.
    Q4,
    /// One of sixteen values, and a scale.
    Iq4,
    /// A float of 4 bits (a sign, two bits of exponent, one of mantissa), and a scale.
    Mxfp4,
    /// 3 bits and two scales.
    Q3,
    /// 2 bits, two scales and two minima.
    Q2m,
}

/// The parts of a line of quantised weights.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Format {
    /// The lowest bits of a weight: 8, 4 or 2.
    pub low: usize,
    /// The bits above these, which are stored after them: 0, 1 or 2.
    pub high: usize,
    /// Scales of a block; with two, the second is that of the last 16 weights.
    pub scales: usize,
    /// Whether there is a minimum for every scale.
    pub minimum: bool,
    /// What is added to a weight to store it.
    pub offset: i32,
    /// The values of the sixteen numbers, if they are not the numbers themselves.
    pub table: Option<&'static [i8; 16]>,
}

/// The values of `IQ4_NL`.
const IQ4: [i8; 16] = [-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113];

/// Twice the values of a float of 4 bits: a sign, two bits of exponent, one of mantissa.
const E2M1: [i8; 16] = [0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12];

impl Packing {
    /// All formats, widest first.
    pub const ALL: [Packing; 12] = [
        Packing::F32,
        Packing::Bf16,
        Packing::Q8,
        Packing::Q6,
        Packing::Q5m,
        Packing::Q5,
        Packing::Q4m,
        Packing::Q4,
        Packing::Iq4,
        Packing::Mxfp4,
        Packing::Q3,
        Packing::Q2m,
    ];

    /// The formats that a model is converted to; the others are only for weights that a file holds in this form.
    pub const OFFERED: [Packing; 4] = [Packing::F32, Packing::Bf16, Packing::Q8, Packing::Q4];

    /// Its name in options and files.
    pub fn name(self) -> &'static str {
        match self {
            Packing::F32 => "f32",
            Packing::Bf16 => "bf16",
            Packing::Q8 => "q8",
            Packing::Q6 => "q6",
            Packing::Q5m => "q5m",
            Packing::Q5 => "q5",
            Packing::Q4m => "q4m",
            Packing::Q4 => "q4",
            Packing::Iq4 => "iq4",
            Packing::Mxfp4 => "mxfp4",
            Packing::Q3 => "q3",
            Packing::Q2m => "q2m",
        }
    }

    /// The parts of a line, if weights are quantised.
    pub const fn format(self) -> Option<Format> {
        const fn signed(low: usize, high: usize, scales: usize) -> Format {
            Format { low, high, scales, minimum: false, offset: 1 << (low + high - 1), table: None }
        }
        Some(match self {
            Packing::F32 | Packing::Bf16 => return None,
            Packing::Q8 => signed(8, 0, 1),
            Packing::Q6 => signed(4, 2, 2),
            Packing::Q5 => signed(4, 1, 1),
            Packing::Q4 => signed(4, 0, 1),
            Packing::Q3 => signed(2, 1, 2),
            Packing::Q5m => Format { minimum: true, offset: 0, ..signed(4, 1, 1) },
            Packing::Q4m => Format { minimum: true, offset: 0, ..signed(4, 0, 1) },
            Packing::Q2m => Format { minimum: true, offset: 0, ..signed(2, 0, 2) },
            Packing::Iq4 => Format { offset: 0, table: Some(&IQ4), ..signed(4, 0, 1) },
            Packing::Mxfp4 => Format { offset: 0, table: Some(&E2M1), ..signed(4, 0, 1) },
        })
    }

    /// Whether weights are integers with scales.
    pub fn is_quantised(self) -> bool {
        self.format().is_some()
    }

    /// Inputs of a line.
    fn inputs(self) -> usize {
        match self {
            Packing::F32 => 1,
            Packing::Bf16 => 2,
            _ => BLOCK,
        }
    }

    /// Lanes of a line.
    pub(crate) fn line(self) -> usize {
        self.format().map_or(PANEL, |format| format.minima() + format.halves(format.minimum))
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

impl Format {
    /// Bits of a weight.
    pub fn bits(&self) -> usize {
        self.low + self.high
    }

    /// The value of a stored number, without its scale.
    pub fn value(&self, stored: u8) -> i32 {
        match self.table {
            Some(table) => table[usize::from(stored)].into(),
            None => i32::from(stored) - self.offset,
        }
    }

    /// The number that stands for zero in a product: there, values of a table are stored 128 higher.
    pub(crate) fn zero(&self) -> i32 {
        if self.table.is_some() { TABLE_ZERO.into() } else { self.offset }
    }

    /// Of a line, the first lane of the higher bits.
    pub(crate) fn uppers(&self) -> usize {
        PANEL * BLOCK / 32 * self.low
    }

    /// The first lane of the scales.
    pub(crate) fn first_scale(&self) -> usize {
        PANEL * BLOCK / 32 * self.bits()
    }

    /// The first lane of the minima.
    pub(crate) fn minima(&self) -> usize {
        self.first_scale() + self.halves(true)
    }

    /// Lanes of the scales, or of the minima, if there are any.
    fn halves(&self, any: bool) -> usize {
        if any { self.scales * PANEL / 2 } else { 0 }
    }
}

/// What is added to the values of a table in a product.
const TABLE_ZERO: u8 = 128;

/// Sixteen bytes, again and again: as many lanes as the widest vector has.
const fn repeated(table: &[i8; 16]) -> [f32; 16] {
    let (mut lanes, mut lane) = ([0.0; 16], 0);
    while lane < 16 {
        let (mut bytes, mut byte) = ([0; 4], 0);
        while byte < 4 {
            bytes[byte] = (table[lane % 4 * 4 + byte] as u8).wrapping_add(TABLE_ZERO);
            byte += 1;
        }
        lanes[lane] = f32::from_bits(u32::from_le_bytes(bytes));
        lane += 1;
    }
    lanes
}

impl Packing {
    /// The table of a packing that has one, for [`look_up`](crate::lanes::integers::Integers::look_up).
    pub(crate) fn table_lanes(self) -> &'static [f32; 16] {
        static IQ4_LANES: [f32; 16] = repeated(&IQ4);
        static E2M1_LANES: [f32; 16] = repeated(&E2M1);
        if self == Packing::Mxfp4 { &E2M1_LANES } else { &IQ4_LANES }
    }
}

/// Where a weight is in the panels of a matrix, in bytes from their beginning.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Place {
    /// The byte of its lowest bits; of a float, its first byte.
    pub number: usize,
    /// How many bits these are: 32, 16, 8, 4 or 2.
    pub bits: usize,
    /// The first of these bits in the byte.
    pub shift: usize,
    /// The byte of its higher bits and the first of them in it, if there are any.
    pub upper: Option<(usize, usize)>,
    /// The first of the two bytes of its scale, if it has one.
    pub scale: Option<usize>,
    /// The first of the two bytes of its minimum, if it has one.
    pub minimum: Option<usize>,
}

impl Packing {
    /// Where weight `col` of output `row` is in the panels of a matrix with `cols` inputs.
    pub fn place(self, cols: usize, row: usize, col: usize) -> Place {
        let line = row / PANEL * self.panel_len(cols) + col / self.inputs() * self.line();
        let (column, i) = (row % PANEL, col % self.inputs());
        let float = |at: usize, bits| Place {
            number: 4 * (line + column) + at,
            bits,
            shift: 0,
            upper: None,
            scale: None,
            minimum: None,
        };
        let Some(format) = self.format() else {
            return if self == Packing::F32 { float(0, 32) } else { float(2 * i, 16) };
        };
        // The four inputs of a quad are in four bytes, the quads of a lane in the same bytes.
        let (quad, byte) = (i / 4, i % 4);
        let bits = |first: usize, bits: usize| {
            let lane = line + first + quad * bits / 8 * PANEL + column;
            (4 * lane + byte, quad * bits % 8)
        };
        let half = |first: usize| {
            let at = i * format.scales / BLOCK * PANEL + column;
            4 * (line + first) + 2 * at
        };
        let (number, shift) = bits(0, format.low);
        Place {
            number,
            bits: format.low,
            shift,
            upper: (format.high > 0).then(|| bits(format.uppers(), format.high)),
            scale: Some(half(format.first_scale())),
            minimum: format.minimum.then(|| half(format.minima())),
        }
    }
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

/// Passes output `row` of a matrix in panels to `each(to, weight)`; `to` is as long as the matrix has inputs.
pub(crate) fn read_row(
    panels: &[f32],
    packing: Packing,
    row: usize,
    to: &mut [f32],
    each: impl Fn(&mut f32, f32),
) {
    read_part(panels, packing, to.len(), row, 0, to, each);
}

/// The same for some inputs of output `row` of a matrix with `cols` inputs: those from `first` on, with which a line begins.
pub(crate) fn read_part(
    panels: &[f32],
    packing: Packing,
    cols: usize,
    row: usize,
    first: usize,
    to: &mut [f32],
    each: impl Fn(&mut f32, f32),
) {
    debug_assert!(first.is_multiple_of(packing.inputs()));
    let lines = first / packing.inputs()..;
    for (at, to) in lines.zip(to.chunks_mut(packing.inputs())) {
        match packing {
            Packing::F32 => each(&mut to[0], line(panels, packing, cols, row, at)[row % PANEL]),
            Packing::Bf16 => {
                let pair = line(panels, packing, cols, row, at)[row % PANEL].to_bits();
                for (to, half) in to.iter_mut().zip([pair as u16, (pair >> 16) as u16]) {
                    each(to, bf16_to_f32(half));
                }
            }
            // The formats that models are trained through most, without a general block in between: the same numbers.
            Packing::Q8 => some::<8>(line(panels, packing, cols, row, at), row % PANEL, to, &each),
            Packing::Q4 => some::<4>(line(panels, packing, cols, row, at), row % PANEL, to, &each),
            _ => {
                let weights = Quants::get(panels, packing, cols, row, at).weights(packing);
                to.iter_mut().zip(weights).for_each(|(to, w)| each(to, w));
            }
        }
    }
}

/// The weights of a column of a line of signed numbers of so many bits, with one scale and no minimum.
#[inline(always)]
fn some<const BITS: usize>(line: &[f32], column: usize, to: &mut [f32], each: &impl Fn(&mut f32, f32)) {
    let (in_lane, mask, offset) = (8 / BITS, u32::MAX / 255 * ((1 << BITS) - 1), 1i32 << (BITS - 1));
    let halves = line[PANEL * BLOCK / 32 * BITS + column / 2].to_bits();
    let scale = f16_to_f32((halves >> (16 * (column % 2))) as u16);
    let mut weights = [0.0f32; BLOCK];
    for (quad, weights) in weights.as_chunks_mut::<4>().0.iter_mut().enumerate() {
        let lane = line[quad / in_lane * PANEL + column].to_bits();
        let bytes = (lane >> (quad % in_lane * BITS) & mask).to_le_bytes();
        for (weight, byte) in weights.iter_mut().zip(bytes) {
            *weight = (i32::from(byte) - offset) as f32 * scale;
        }
    }
    to.iter_mut().zip(weights).for_each(|(to, w)| each(to, w));
}

/// Packs panel `p` of a row-major matrix, `cols` wide, in 16 bits or fewer.
pub(crate) fn pack_panel(panel: &mut [f32], packing: Packing, w: &[f32], cols: usize, p: usize) {
    let rows = w.chunks_exact(cols).skip(p * PANEL).take(PANEL);
    if packing.is_quantised() {
        let quants = rows.flat_map(|w| w.chunks(BLOCK)).map(|w| Quants::of(packing, w)).collect::<Vec<_>>();
        return put_panel(panel, packing, &quants, cols.div_ceil(BLOCK));
    }
    panel.fill(0.0);
    for (column, w) in rows.enumerate() {
        for (at, w) in w.chunks(2).enumerate() {
            let pair = [w[0], w.get(1).copied().unwrap_or(0.0)].map(|w| u32::from(f32_to_bf16(w)));
            panel[at * PANEL + column] = f32::from_bits(pair[0] | pair[1] << 16);
        }
    }
}
