//! Matrices in fewer bits: their contents, and products with them compared with the reference.

use glass_kernels::activate::{Activation, activate};
use glass_kernels::format::{bf16_to_f32, f16_to_f32, f32_to_bf16, f32_to_f16};
use glass_kernels::linear::*;
use glass_kernels::packing::{BLOCK, Packing, Quants};
use glass_kernels::{Cores, InputScales, Isa, Precision, Write};

use crate::close::{assert_close, assert_same_bits, each_isa, each_isa_with, numbers};
use crate::naive::{self, wide};

/// The weights of a matrix after packing.
pub fn as_packed(packing: Packing, w: &[f32], cols: usize) -> Vec<f32> {
    match packing {
        Packing::F32 => w.to_vec(),
        Packing::Bf16 => w.iter().map(|&w| bf16_to_f32(f32_to_bf16(w))).collect(),
        _ => {
            let blocks = w.chunks(cols).flat_map(|row| row.chunks(BLOCK));
            let of = |block: &[f32]| Quants::of(packing, block).weights(packing)[..block.len()].to_vec();
            blocks.flat_map(of).collect()
        }
    }
}

/// The inputs of a product after rounding for such weights.
pub fn inputs(packing: Packing, scales: InputScales, x: &[f32], cols: usize) -> Vec<f32> {
    match packing {
        Packing::F32 | Packing::Bf16 => as_packed(packing, x, cols),
        _ => {
            let rounded = |block: &[f32]| {
                let largest = block.iter().fold(0.0f32, |most, x| most.max(x.abs()));
                let exact = largest * (1.0 / 127.0);
                let scale = match scales {
                    InputScales::Exact => exact,
                    InputScales::PowersOfTwo if exact == 0.0 => 0.0,
                    InputScales::PowersOfTwo => {
                        let powers = (-126..=127).map(|power| 2f32.powi(power));
                        powers.into_iter().find(|&power| power >= exact).unwrap()
                    }
                };
                let by = if scale == 0.0 { 0.0 } else { 1.0 / scale };
                let round = |x: &f32| (x * by).round_ties_even() * scale;
                block.iter().map(round).collect::<Vec<_>>()
            };
            x.chunks(cols).flat_map(|row| row.chunks(BLOCK)).flat_map(rounded).collect()
        }
    }
}

/// Rows, inputs, outputs: small, odd, across tiles, blocks and panels.
const SHAPES: [[usize; 3]; 10] = [
    [1, 1, 1],
    [1, 32, 63],
    [1, 300, 130],
    [2, 64, 64],
    [3, 31, 65],
    [5, 33, 129],
    [7, 130, 20],
    [13, 256, 64],
    [64, 70, 3],
    [300, 96, 97],
];

/// The formats of integers with scales.
const QUANTISED: [Packing; 10] = [
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

struct Case {
    x: Vec<f32>,
    w: Vec<f32>,
    bias: Vec<f32>,
    shape: [usize; 3],
}

impl Case {
    fn new(shape: [usize; 3]) -> Self {
        let [rows, inputs, outputs] = shape;
        let seed = (rows * 1000 + inputs * 10 + outputs) as u64;
        let (x, w) = (numbers(rows * inputs, seed), numbers(outputs * inputs, seed + 1));
        Self { x, w, bias: numbers(outputs, seed + 2), shape }
    }

    fn packed(&self, cores: &Cores, packing: Packing) -> Vec<f32> {
        let [_, cols, outputs] = self.shape;
        let mut panels = vec![f32::NAN; packing.len(outputs, cols)];
        pack(cores, &mut panels, packing, &self.w, outputs, cols);
        panels
    }

    /// The product with a matrix that was packed, for these inputs.
    fn product(
        &self,
        cores: &Cores,
        packing: Packing,
        panels: &[f32],
        x: &[f32],
        activation: Option<Activation>,
    ) -> Vec<f32> {
        let [_, cols, outputs] = self.shape;
        let w = Matrix { values: panels, rows: outputs, cols, layout: Layout::Panels(packing) };
        let mut y = vec![f32::NAN; x.len() / cols * outputs];
        linear(cores, &mut y, x, w, Some(&self.bias), activation);
        y
    }

    fn forward(&self, cores: &Cores, packing: Packing, activation: Option<Activation>) -> Vec<f32> {
        self.product(cores, packing, &self.packed(cores, packing), &self.x, activation)
    }
}

#[test]
fn products_are_the_textbook_loop_over_what_was_packed() {
    for (shape, packing) in SHAPES.into_iter().flat_map(|shape| Packing::ALL.map(|packing| (shape, packing)))
    {
        let case = Case::new(shape);
        let w = wide(&as_packed(packing, &case.w, shape[1]));
        let packed: Vec<_> = each_isa().map(|cores| case.packed(&cores, packing)).collect();
        for scales in InputScales::ALL {
            let x = wide(&inputs(packing, scales, &case.x, shape[1]));
            let expected = naive::linear(&x, &w, Some(&wide(&case.bias)), shape[1]);
            for (cores, panels) in each_isa_with(scales).zip(&packed) {
                let what = format!("{:?} {packing:?} {scales:?} {shape:?}", cores.isa());
                let bound = f64::from(f32::EPSILON) * (shape[1] as f64 + 2.0);
                let y = case.product(&cores, packing, panels, &case.x, None);
                assert_close(&what, &y, &expected, bound);
            }
        }
    }
}

#[test]
fn blocks_of_inputs_may_differ_by_any_power() {
    let [rows, cols, outputs] = [7, 40 * BLOCK, 65];
    let mut case = Case::new([rows, cols, outputs]);
    for (i, x) in case.x.iter_mut().enumerate() {
        let block = i % cols / BLOCK;
        *x *= if block % 7 == 3 { 0.0 } else { 0.5f32.powi(block as i32) };
    }
    case.x[cols..2 * cols].fill(0.0);
    for packing in QUANTISED {
        let w = wide(&as_packed(packing, &case.w, cols));
        let packed: Vec<_> = each_isa().map(|cores| case.packed(&cores, packing)).collect();
        for scales in InputScales::ALL {
            let x = wide(&inputs(packing, scales, &case.x, cols));
            let expected = naive::linear(&x, &w, Some(&wide(&case.bias)), cols);
            for (cores, panels) in each_isa_with(scales).zip(&packed) {
                let y = case.product(&cores, packing, panels, &case.x, None);
                let what = format!("{:?} {packing:?} {scales:?}", cores.isa());
                assert_same_bits(&what, &y[outputs..2 * outputs], &case.bias);
                assert_close(&what, &y, &expected, f64::from(f32::EPSILON) * cols as f64);
            }
        }
    }
}

#[test]
fn one_row_is_many_rows_bit_for_bit() {
    let gelu = Some(Activation::GeluTanh);
    for (shape, packing) in SHAPES.iter().flat_map(|&s| Packing::ALL.map(|packing| (s, packing))) {
        let case = Case::new(shape);
        let panels = case.packed(&Cores::new(1), packing);
        for cores in InputScales::ALL.into_iter().flat_map(each_isa_with) {
            let together = case.product(&cores, packing, &panels, &case.x, gelu);
            let rows = case.x.chunks(shape[1]).take(20);
            let alone: Vec<f32> =
                rows.flat_map(|x| case.product(&cores, packing, &panels, x, gelu)).collect();
            let what = format!("{:?} {packing:?} {shape:?}", cores.isa());
            assert_same_bits(&what, &together[..alone.len()], &alone);
        }
    }
}

/// Packed alike or not, one row or many.
#[test]
fn layers_of_the_same_inputs_have_the_bits_of_each_alone() {
    let gelu = Some(Activation::GeluTanh);
    let pairs = [
        [Packing::Q8; 2],
        [Packing::Q4m; 2],
        [Packing::Q4m, Packing::Q6],
        [Packing::F32, Packing::Q8],
        [Packing::Bf16; 2],
    ];
    for (rows, packings) in [1, 13].into_iter().flat_map(|rows| pairs.map(|packings| (rows, packings))) {
        let [first, second] = [130, 97].map(|outputs| Case::new([rows, 96, outputs]));
        let panels = [(&first, 0), (&second, 1)].map(|(case, i)| case.packed(&Cores::new(1), packings[i]));
        for cores in each_isa().flat_map(|cores| [1, 3].map(|threads| Cores::with(cores.isa(), threads))) {
            let cores = cores.expect("it is there");
            let (mut one, mut two) = (vec![f32::NAN; rows * 130], vec![f32::NAN; rows * 97]);
            let matrix = |i: usize, rows: usize| Matrix {
                values: &panels[i],
                rows,
                cols: 96,
                layout: Layout::Panels(packings[i]),
            };
            let layers = [
                Layer { y: &mut one, w: matrix(0, 130), bias: Some(&first.bias), activation: gelu },
                Layer { y: &mut two, w: matrix(1, 97), bias: Some(&second.bias), activation: None },
            ];
            linear_each(&cores, &first.x, layers);
            let what = format!("{:?} {packings:?} {rows} rows", cores.isa());
            let alone = first.product(&cores, packings[0], &panels[0], &first.x, gelu);
            assert_same_bits(&what, &one, &alone);
            let alone = second.product(&cores, packings[1], &panels[1], &first.x, None);
            assert_same_bits(&what, &two, &alone);
        }
    }
}

#[test]
fn threads_and_activation_change_no_bit() {
    for first in each_isa() {
        for packing in Packing::ALL {
            let case = Case::new([300, 96, 97]);
            let plain = case.forward(&first, packing, None);
            let mut after = vec![0.0; plain.len()];
            activate(&first, &mut after, &plain, Activation::GeluTanh);
            for threads in 1..=4 {
                let cores = Cores::with(first.isa(), threads).unwrap();
                let what = format!("{:?} {packing:?} {threads} threads", first.isa());
                assert_same_bits(&what, &case.forward(&cores, packing, None), &plain);
                assert_same_bits(&what, &case.forward(&cores, packing, Some(Activation::GeluTanh)), &after);
            }
        }
    }
}

/// Integers are multiplied exactly by any instruction.
#[test]
fn vnni_changes_no_bit() {
    let each = |scales| {
        [Isa::Avx512, Isa::Avx512Vnni, Isa::Avx512Bf16, Isa::Amx]
            .map(|isa| Cores::with(isa, 1).map(|cores| cores.with_input_scales(scales)))
    };
    for (shape, packing) in SHAPES.iter().flat_map(|&s| QUANTISED.map(|packing| (s, packing))) {
        let case = Case::new(shape);
        for each in InputScales::ALL.map(each) {
            let results = each.iter().flatten().map(|cores| case.forward(cores, packing, None));
            let results: Vec<_> = results.collect();
            for y in results.iter().skip(1) {
                assert_same_bits(&format!("{packing:?} {shape:?}"), y, &results[0]);
            }
        }
    }
}

#[test]
fn quants_come_back_from_their_panels() {
    let (rows, cols) = (70, 100);
    let w = numbers(rows * cols, 5);
    for packing in QUANTISED {
        let mut panels = vec![0.0; packing.len(rows, cols)];
        pack(&Cores::new(1), &mut panels, packing, &w, rows, cols);
        for (row, w) in w.chunks(cols).enumerate() {
            for (block, w) in w.chunks(BLOCK).enumerate() {
                assert_eq!(Quants::get(&panels, packing, cols, row, block), Quants::of(packing, w));
            }
        }
    }
}

#[test]
fn quantised_weights_are_the_nearest() {
    for (i, block) in numbers(100 * BLOCK, 6).chunks(BLOCK).enumerate() {
        let errors = |packing| {
            let packed = as_packed(packing, block, BLOCK);
            packed.iter().zip(block).map(|(a, b)| f64::from(a - b).powi(2)).sum::<f64>()
        };
        let greatest = block.iter().fold(0.0f32, |most, &w| if w.abs() > most.abs() { w } else { most });
        // Half a step of 8 bits, plus the rounding of the scale to f16.
        let packed = as_packed(Packing::Q8, block, BLOCK);
        let worst = packed.iter().zip(block).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        assert!(worst <= greatest.abs() / 127.0 * 0.57, "block {i}: off by {worst} of {greatest}");
        // Not worse than the usual method: the largest weight becomes −8.
        let scale = f16_to_f32(f32_to_f16(greatest / -8.0));
        let usual = block.iter().map(|w| (w / scale).round().clamp(-8.0, 7.0) * scale - w);
        let usual: f64 = usual.map(|error| f64::from(error).powi(2)).sum();
        assert!(errors(Packing::Q4) <= usual * 1.0001, "block {i}: {} for {usual}", errors(Packing::Q4));
    }
}

#[test]
fn what_has_no_scale_is_zero() {
    for packing in QUANTISED {
        for weights in [[0.0; BLOCK], [1e-30; BLOCK]] {
            let quants = Quants::of(packing, &weights);
            let signless = quants.scales.map(|scale| scale & 0x7fff);
            assert_eq!((quants.q, signless), ([0; BLOCK], [0; 2]), "{packing:?} {}", weights[0]);
            assert_eq!(quants.weights(packing), [0.0; BLOCK], "{packing:?}");
        }
    }
    for cores in InputScales::ALL.into_iter().flat_map(each_isa_with) {
        for tiny in [0.0, 1e-45, 1e-38] {
            let mut case = Case::new([2, 40, 3]);
            case.x.fill(tiny);
            for packing in QUANTISED {
                let y = case.forward(&cores, packing, None);
                assert_same_bits("no input", &y, &case.bias.repeat(2));
            }
        }
    }
}

#[test]
fn a_product_in_parts_is_the_oracle_part_by_part() {
    for cores in each_isa() {
        for (seed, [rows, inputs, outputs, parts]) in
            [[1, 1, 1, 1], [3, 64, 65, 2], [30, 96, 130, 3], [5, 36, 20, 6]].into_iter().enumerate()
        {
            let (x, w) = (numbers(rows * inputs, seed as u64), numbers(outputs * inputs, 50 + seed as u64));
            let mut cases = vec![(Layout::Rows, w.clone(), w.clone())];
            for packing in Packing::ALL {
                let mut panels = vec![0.0; packing.len(outputs, inputs)];
                pack(&cores, &mut panels, packing, &w, outputs, inputs);
                cases.push((Layout::Panels(packing), panels, as_packed(packing, &w, inputs)));
            }
            for (layout, values, w) in cases {
                let mut y = vec![f32::NAN; rows * parts * outputs];
                let matrix = Matrix { values: &values, rows: outputs, cols: inputs, layout };
                linear_in_parts(&cores, &mut y, &x, matrix, parts);
                let depth = inputs / parts;
                let expected: Vec<f64> = (0..rows * parts * outputs)
                    .map(|i| {
                        let (row, part, output) = (i / outputs / parts, i / outputs % parts, i % outputs);
                        let k = part * depth..(part + 1) * depth;
                        k.map(|k| f64::from(x[row * inputs + k]) * f64::from(w[output * inputs + k])).sum()
                    })
                    .collect();
                assert_close(&format!("{layout:?} {inputs} {:?}", cores.isa()), &y, &expected, 1e-5);
            }
        }
    }
}

/// What explains a product says the same of its inputs as what computes it.
#[test]
fn the_rounding_of_inputs_is_that_of_the_reference() {
    let x = [numbers(300, 5), vec![0.0; 40], numbers(333, 6)].concat();
    for scales in InputScales::ALL {
        let cores = Cores::new(1).with_input_scales(scales);
        for packing in Packing::ALL {
            let rounded = InputRounding::of(&cores, Layout::Panels(packing)).rounded(&x);
            let rounded: Vec<f32> = rounded.iter().map(|&x| x as f32).collect();
            assert_eq!(rounded, inputs(packing, scales, &x, x.len()), "{packing:?} {scales:?}");
        }
    }
    let block = InputRounding::Blocks(InputScales::Exact);
    assert!(block.rounded(&[1.0, f32::INFINITY]).iter().all(|x| x.is_nan()));
    assert_eq!(block.rounded(&[1e-42; 3]), [0.0; 3]);
}

/// Every weight, from the bytes that its place names.
#[test]
fn a_weight_is_where_its_place_says() {
    let (rows, cols) = (131, 75);
    let w = numbers(rows * cols, 4);
    for packing in Packing::ALL {
        let mut panels = vec![0.0; packing.len(rows, cols)];
        pack(&Cores::new(1), &mut panels, packing, &w, rows, cols);
        let bytes: Vec<u8> = panels.iter().flat_map(|lane| lane.to_bits().to_le_bytes()).collect();
        let half = |at: usize| u16::from_le_bytes([bytes[at], bytes[at + 1]]);
        let expected = as_packed(packing, &w, cols);
        for (row, col) in (0..rows).flat_map(|row| (0..cols).map(move |col| (row, col))) {
            let place = packing.place(cols, row, col);
            let at = place.number;
            let found = match (place.bits, packing.format()) {
                (32, None) => f32::from_le_bytes(bytes[at..at + 4].try_into().unwrap()),
                (16, None) => bf16_to_f32(half(at)),
                (_, Some(format)) => {
                    let of =
                        |byte: usize, shift: usize, bits: usize| bytes[byte] >> shift & (255 >> (8 - bits));
                    let high =
                        place.upper.map_or(0, |(byte, shift)| of(byte, shift, format.high) << format.low);
                    let value = format.value(of(at, place.shift, format.low) | high) as f32;
                    let minimum = place.minimum.map_or(0.0, |at| f16_to_f32(half(at)));
                    value * f16_to_f32(half(place.scale.unwrap())) + minimum
                }
                other => panic!("{other:?}"),
            };
            assert_eq!(found, expected[row * cols + col], "{packing:?} {row} {col}");
        }
    }
}

/// A line holds what the table of formats says: `bits` a weight, and every bit of a block's numbers.
#[test]
fn formats_take_the_bits_they_name() {
    let bits = [8.5, 7.0, 6.0, 5.5, 5.0, 4.5, 4.5, 4.5, 4.0, 4.0];
    for (packing, bits) in QUANTISED.into_iter().zip(bits) {
        assert_eq!(packing.len(64, BLOCK) as f64 * 32.0 / (64 * BLOCK) as f64, bits, "{packing:?}");
        let format = packing.format().unwrap();
        let (least, most) = (-format.offset, (1 << format.bits()) - 1 - format.offset);
        let mut panels = vec![1.0; packing.len(70, 2 * BLOCK)];
        let quants = |row: usize, block: usize| {
            let half = |part: usize| (row * 4 + block * 2 + part) as u16;
            let numbers = (least..=most).cycle().skip(row * 7 + block);
            let q: Vec<i8> = numbers.take(BLOCK).map(|q| q as i8).collect();
            let (scales, minima) = ([half(0), half(format.scales - 1)], [half(0), half(format.scales - 1)]);
            let minima = if format.minimum { minima.map(|half| half + 1000) } else { [0; 2] };
            Quants { scales, minima, q: q.try_into().unwrap() }
        };
        let row = |row: usize, into: &mut [Quants]| {
            into.iter_mut().enumerate().for_each(|(block, into)| *into = quants(row, block));
        };
        pack_quants(&Cores::new(1), &mut panels, packing, &row, 70, 2 * BLOCK);
        for (row, block) in (0..70).flat_map(|row| [(row, 0), (row, 1)]) {
            let found = Quants::get(&panels, packing, 2 * BLOCK, row, block);
            assert_eq!(found, quants(row, block), "{packing:?} {row} {block}");
        }
        // Columns without an output are zeros.
        let zeros = Quants { q: [-format.offset as i8; BLOCK], ..Quants::default() };
        for (row, block) in (70..128).flat_map(|row| [(row, 0), (row, 1)]) {
            assert_eq!(Quants::get(&panels, packing, 2 * BLOCK, row, block), zeros, "{packing:?} {row}");
        }
    }
}

/// The error of every format, as a share of the weights' deviation, is about a step of its numbers.
#[test]
fn more_bits_have_less_error() {
    let w = numbers(400 * BLOCK, 8);
    let square = |of: &mut dyn Iterator<Item = f64>| of.map(|x| x * x).sum::<f64>();
    let all = square(&mut w.iter().map(|&w| f64::from(w)));
    let shares = [0.006, 0.02, 0.03, 0.04, 0.07, 0.08, 0.09, 0.13, 0.15, 0.3];
    for (packing, most) in QUANTISED.into_iter().zip(shares) {
        let packed = as_packed(packing, &w, BLOCK);
        let error = square(&mut packed.iter().zip(&w).map(|(a, b)| f64::from(a - b)));
        let share = (error / all).sqrt();
        assert!(share < most && share > most / 3.0, "{packing:?}: {share}");
    }
}

#[test]
fn gradients_of_inputs_are_those_of_the_floats_that_were_packed() {
    for (shape, packing) in SHAPES.into_iter().flat_map(|shape| Packing::ALL.map(|packing| (shape, packing)))
    {
        let [rows, cols, outputs] = shape;
        let case = Case::new(shape);
        let (dy, before) = (numbers(rows * outputs, 7), numbers(rows * cols, 8));
        let floats = as_packed(packing, &case.w, cols);
        for cores in each_isa().chain(each_isa().map(|cores| cores.with_precision(Precision::Mixed))) {
            let panels = case.packed(&cores, packing);
            for write in [Write::Set, Write::Add] {
                let product = |values: &[f32], layout| {
                    let mut dx = before.clone();
                    let w = Matrix { values, rows: outputs, cols, layout };
                    linear_backward_input(&cores, &mut dx, write, &dy, w);
                    dx
                };
                let what = format!("{:?} {packing:?} {shape:?} {write:?}", cores.isa());
                let expected = product(&floats, Layout::Rows);
                assert_same_bits(&what, &product(&panels, Layout::Panels(packing)), &expected);
            }
        }
    }
}
