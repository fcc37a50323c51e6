//! Linear layers and their backward pass: compared with the reference, and the guarantees about bits.

use glass_kernels::activate::{Activation, activate};
use glass_kernels::format::{bf16_to_f32, f32_to_bf16};
use glass_kernels::linear::*;
use glass_kernels::packing::Packing;
use glass_kernels::{Cores, Isa, Precision, Write};

use crate::close::{assert_close, assert_same_bits, each_cut, each_isa, numbers};
use crate::naive::{self, wide};

/// Every instruction set of this machine in both precisions, with one thread.
fn each() -> impl Iterator<Item = Cores> {
    each_isa().chain(each_isa().map(|cores| cores.with_precision(Precision::Mixed)))
}

/// The operands of a product as used by the reference.
fn rounded(precision: Precision, x: &[f32]) -> Vec<f64> {
    match precision {
        Precision::F32 => wide(x),
        Precision::Mixed => x.iter().map(|&x| f64::from(bf16_to_f32(f32_to_bf16(x)))).collect(),
    }
}

fn name(cores: &Cores) -> String {
    format!("{:?} {:?}", cores.isa(), cores.precision())
}

/// Rows, inputs, outputs: small, odd, across tiles and panels.
const SHAPES: [[usize; 3]; 12] = [
    [1, 1, 1],
    [1, 5, 63],
    [1, 300, 130],
    [2, 64, 64],
    [3, 17, 65],
    [5, 33, 129],
    [6, 7, 200],
    [7, 130, 20],
    [13, 256, 64],
    [31, 1, 70],
    [64, 70, 3],
    [70, 48, 97],
];

struct Case {
    x: Vec<f32>,
    w: Vec<f32>,
    bias: Vec<f32>,
    dy: Vec<f32>,
    rows: usize,
    inputs: usize,
    outputs: usize,
}

impl Case {
    fn new([rows, inputs, outputs]: [usize; 3]) -> Self {
        let seed = (rows * 1000 + inputs * 10 + outputs) as u64;
        Self {
            x: numbers(rows * inputs, seed),
            w: numbers(outputs * inputs, seed + 1),
            bias: numbers(outputs, seed + 2),
            dy: numbers(rows * outputs, seed + 3),
            rows,
            inputs,
            outputs,
        }
    }

    fn matrix(&self) -> Matrix<'_> {
        Matrix { values: &self.w, rows: self.outputs, cols: self.inputs, layout: Layout::Rows }
    }

    fn packed(&self, cores: &Cores, packing: Packing) -> Vec<f32> {
        let mut panels = vec![f32::NAN; packing.len(self.outputs, self.inputs)];
        pack(cores, &mut panels, packing, &self.w, self.outputs, self.inputs);
        panels
    }

    fn forward(&self, cores: &Cores, layout: Layout, activation: Option<Activation>) -> Vec<f32> {
        match layout {
            Layout::Rows => self.product(cores, self.matrix(), activation),
            Layout::Panels(packing) => {
                let panels = self.packed(cores, packing);
                self.product(cores, Matrix { values: &panels, layout, ..self.matrix() }, activation)
            }
        }
    }

    fn product(&self, cores: &Cores, w: Matrix<'_>, activation: Option<Activation>) -> Vec<f32> {
        let mut y = vec![f32::NAN; self.rows * self.outputs];
        linear(cores, &mut y, &self.x, w, Some(&self.bias), activation);
        y
    }

    fn backward(&self, cores: &Cores, write: Write) -> [Vec<f32>; 3] {
        let mut dx = match write {
            Write::Set => vec![f32::NAN; self.x.len()],
            Write::Add => self.x.clone(),
        };
        let mut dw = match write {
            Write::Set => vec![f32::NAN; self.w.len()],
            Write::Add => self.w.clone(),
        };
        let mut dbias = self.bias.clone();
        linear_backward_input(cores, &mut dx, write, &self.dy, self.matrix());
        linear_backward_weight(cores, &mut dw, write, Some(&mut dbias), &self.dy, &self.x, self.rows);
        [dx, dw, dbias]
    }

    /// Finite differences of `Σ y dy` with respect to x, w and bias. In products all operands are rounded; the bias
    /// is not one of them, and its gradient is an unrounded sum of dy.
    fn gradients(&self, precision: Precision) -> [Vec<f64>; 3] {
        let operands = [rounded(precision, &self.x), rounded(precision, &self.w), wide(&self.bias)];
        let dy = rounded(precision, &self.dy);
        std::array::from_fn(|which| {
            let (mut o, dy) = (operands.clone(), if which == 2 { &wide(&self.dy) } else { &dy });
            let slope = |i: usize| {
                let mut moved = |by| {
                    o[which][i] = operands[which][i] + by;
                    let y = naive::linear(&o[0], &o[1], Some(&o[2]), self.inputs);
                    y.iter().zip(dy).map(|(y, dy)| y * dy).sum::<f64>()
                };
                let difference = (moved(1.0) - moved(-1.0)) / 2.0;
                moved(0.0);
                difference
            };
            (0..operands[which].len()).map(slope).collect()
        })
    }
}

/// The error bound of a sum of k products of numbers below one, with each step rounded.
fn bound(k: usize) -> f64 {
    f64::from(f32::EPSILON) * (k as f64 + 2.0)
}

#[test]
fn forward_is_the_textbook_loop() {
    for cores in each() {
        for shape in SHAPES {
            let case = Case::new(shape);
            let [x, w] = [&case.x, &case.w].map(|x| rounded(cores.precision(), x));
            let expected = naive::linear(&x, &w, Some(&wide(&case.bias)), case.inputs);
            let y = case.forward(&cores, Layout::Rows, None);
            assert_close(&format!("{} {shape:?}", name(&cores)), &y, &expected, bound(case.inputs));
        }
    }
}

#[test]
fn no_bias_is_a_bias_of_zeros() {
    for cores in each() {
        let mut case = Case::new([9, 40, 100]);
        let mut y = vec![f32::NAN; case.rows * case.outputs];
        linear(&cores, &mut y, &case.x, case.matrix(), None, None);
        case.bias.fill(0.0);
        assert_same_bits("no bias", &y, &case.forward(&cores, Layout::Rows, None));
    }
}

/// Each gradient is the change of the loss `Σ y dy` when one element changes. The loss is linear in each operand,
/// so a central difference over a whole unit is exact.
#[test]
fn backward_is_the_finite_difference() {
    for shape in SHAPES.into_iter().filter(|s| s.iter().product::<usize>() < 20_000) {
        let case = Case::new(shape);
        let gradients = [Precision::F32, Precision::Mixed].map(|precision| case.gradients(precision));
        let starts = [wide(&case.x), wide(&case.w), wide(&case.bias)];
        for cores in each() {
            let (what, gradients) =
                (format!("{} {shape:?}", name(&cores)), &gradients[cores.precision() as usize]);
            let [dx, dw, _] = case.backward(&cores, Write::Set);
            assert_close(&format!("dx {what}"), &dx, &gradients[0], bound(case.outputs));
            assert_close(&format!("dw {what}"), &dw, &gradients[1], bound(case.rows));
            for (which, got) in case.backward(&cores, Write::Add).iter().enumerate() {
                let both = gradients[which].iter().zip(&starts[which]);
                let expected: Vec<f64> = both.map(|(gradient, start)| start + gradient).collect();
                let name = format!("{} += {what}", ["dx", "dw", "dbias"][which]);
                assert_close(&name, got, &expected, bound(case.rows.max(case.outputs)));
            }
        }
    }
}

/// Longer, wider and deeper than one packed block; and with few outputs, whose gradient is computed of inputs in place.
#[test]
fn products_go_on_from_block_to_block() {
    for shape in [
        [3, 2100, 5],
        [300, 2100, 66],
        [300, 5, 4200],
        [2100, 3, 4300],
        [4300, 3, 70],
        [2100, 128, 16],
        [70, 192, 33],
        [1, 64, 7],
    ] {
        let case = Case::new(shape);
        let Case { rows, inputs, outputs, .. } = case;
        for precision in [Precision::F32, Precision::Mixed] {
            let [x, w, dy] = [&case.x, &case.w, &case.dy].map(|x| rounded(precision, x));
            let y = naive::linear(&x, &w, Some(&wide(&case.bias)), inputs);
            let expected_dx = naive::linear(&dy, &transposed(&w, inputs), None, outputs);
            let expected_dw = naive::linear(&transposed(&dy, outputs), &transposed(&x, inputs), None, rows);
            for cores in each().filter(|cores| cores.precision() == precision) {
                let what = format!("{} {shape:?}", name(&cores));
                assert_close(&what, &case.forward(&cores, Layout::Rows, None), &y, bound(inputs));
                assert_same_bits(
                    &what,
                    &case.forward(&cores, Layout::Rows, Some(Activation::GeluTanh)),
                    &activated(&cores, &case.forward(&cores, Layout::Panels(Packing::F32), None)),
                );
                let [dx, dw, _] = case.backward(&cores, Write::Set);
                assert_close(&format!("dx {what}"), &dx, &expected_dx, bound(outputs));
                assert_close(&format!("dw {what}"), &dw, &expected_dw, bound(rows));
            }
        }
    }
}

fn transposed(x: &[f64], cols: usize) -> Vec<f64> {
    (0..cols).flat_map(|j| x.iter().skip(j).step_by(cols).copied()).collect()
}

fn activated(cores: &Cores, x: &[f32]) -> Vec<f32> {
    let mut y = vec![0.0; x.len()];
    activate(cores, &mut y, x, Activation::GeluTanh);
    y
}

#[test]
fn one_row_is_many_rows_bit_for_bit() {
    for cores in each() {
        for shape in SHAPES {
            let case = Case::new(shape);
            for layout in [Layout::Rows, Layout::Panels(Packing::F32)] {
                let together = case.forward(&cores, layout, Some(Activation::GeluTanh));
                for (r, y) in together.chunks(case.outputs).enumerate() {
                    let x = case.x[r * case.inputs..][..case.inputs].to_vec();
                    let (w, bias, dy) = (case.w.clone(), case.bias.clone(), Vec::new());
                    let alone = Case { x, w, bias, dy, rows: 1, ..case };
                    let alone = alone.forward(&cores, layout, Some(Activation::GeluTanh));
                    assert_same_bits(&format!("{} {shape:?} {layout:?} row {r}", name(&cores)), y, &alone);
                }
            }
        }
    }
}

#[test]
fn both_layouts_bit_for_bit() {
    for cores in each() {
        for shape in SHAPES {
            let case = Case::new(shape);
            let rows = case.forward(&cores, Layout::Rows, None);
            let panels = case.forward(&cores, Layout::Panels(Packing::F32), None);
            assert_same_bits(&format!("{} {shape:?}", name(&cores)), &rows, &panels);
        }
    }
}

#[test]
fn fused_activation_is_the_activation_afterwards() {
    for cores in each() {
        for shape in SHAPES {
            let case = Case::new(shape);
            let fused = case.forward(&cores, Layout::Rows, Some(Activation::GeluTanh));
            let after = activated(&cores, &case.forward(&cores, Layout::Rows, None));
            assert_same_bits(&format!("{} {shape:?}", name(&cores)), &fused, &after);
        }
    }
}

#[test]
fn however_it_is_cut_bit_for_bit() {
    for first in each() {
        for shape in SHAPES.into_iter().chain([[150, 90, 400], [70, 300, 130]]) {
            let case = Case::new(shape);
            // Panels are packed one by one; that threads do not matter is seen with the two quickest.
            let packed = Packing::ALL.map(|packing| (packing, case.packed(&first, packing)));
            let run = |cores: &Cores| {
                let [dx, dw, dbias] = case.backward(cores, Write::Add);
                let forward = |layout| case.forward(cores, layout, None);
                let quick =
                    [Layout::Rows, Layout::Panels(Packing::F32), Layout::Panels(Packing::Q8)].map(forward);
                let panels = packed.each_ref().map(|(packing, values)| {
                    let layout = Layout::Panels(*packing);
                    case.product(cores, Matrix { values, layout, ..case.matrix() }, None)
                });
                [quick.to_vec(), vec![dx, dw, dbias], panels.to_vec()].concat()
            };
            let one = run(&first);
            for (what, cores) in each_cut(&first) {
                for (a, b) in one.iter().zip(run(&cores)) {
                    assert_same_bits(&format!("{what}, {shape:?}"), a, &b);
                }
            }
        }
    }
}

#[test]
fn no_rows_no_work() {
    for cores in each() {
        let case = Case::new([0, 5, 9]);
        assert!(case.forward(&cores, Layout::Panels(Packing::F32), None).is_empty());
        let [dx, dw, dbias] = case.backward(&cores, Write::Add);
        assert!(dx.is_empty());
        assert_same_bits("dw", &dw, &case.w);
        assert_same_bits("dbias", &dbias, &case.bias);
    }
}

/// Products of two bf16 are exact, so it does not matter whether a machine fuses; AMX sums in another order.
#[test]
fn mixed_products_are_the_same_on_every_instruction_set_but_amx() {
    for shape in SHAPES.into_iter().chain([[20, 1100, 90]]) {
        let case = Case::new(shape);
        let run = |cores: &Cores| {
            let [dx, dw, dbias] = case.backward(cores, Write::Add);
            [case.forward(cores, Layout::Rows, None), dx, dw, dbias]
        };
        let plain = run(&Cores::with(Isa::Plain, 1).unwrap().with_precision(Precision::Mixed));
        let others = each().filter(|cores| cores.precision() == Precision::Mixed && cores.isa() != Isa::Amx);
        for cores in others {
            for (a, b) in plain.iter().zip(run(&cores)) {
                assert_same_bits(&format!("{} {shape:?}", name(&cores)), a, &b);
            }
        }
    }
}

/// The order of the manual: of every 32 products those at even places and those at odd places are summed apart, and both together are
/// added to the sum.
#[test]
fn amx_sums_in_the_order_of_its_manual() {
    let Some(cores) = Cores::with(Isa::Amx, 2).map(|cores| cores.with_precision(Precision::Mixed)) else {
        return;
    };
    for [rows, inputs, outputs] in SHAPES.into_iter().chain([[33, 1100, 90], [70, 2100, 65]]) {
        let case = Case::new([rows, inputs, outputs]);
        let rounded = |x: &[f32]| -> Vec<f32> { x.iter().map(|&x| bf16_to_f32(f32_to_bf16(x))).collect() };
        let (x, w) = (rounded(&case.x), rounded(&case.w));
        let mut expected = vec![0.0; rows * outputs];
        for (at, y) in expected.iter_mut().enumerate() {
            let (row, output) =
                (&x[at / outputs * inputs..][..inputs], &w[at % outputs * inputs..][..inputs]);
            *y = case.bias[at % outputs];
            for (a, b) in row.chunks(32).zip(output.chunks(32)) {
                let [even, odd] = [0, 1].map(|place| {
                    let places = a.iter().zip(b).skip(place).step_by(2);
                    places.fold(0.0f32, |sum, (a, b)| a.mul_add(*b, sum))
                });
                *y += even + odd;
            }
        }
        assert_same_bits(
            &format!("{rows} × {inputs} × {outputs}"),
            &case.forward(&cores, Layout::Rows, None),
            &expected,
        );
    }
}

/// The loss of mixed precision: a factor is wrong by at most one part in 256, and errors of both signs partly
/// cancel.
#[test]
fn mixed_products_are_close_to_f32() {
    let case = Case::new([64, 768, 96]);
    let [f32, mixed] = [Precision::F32, Precision::Mixed]
        .map(|precision| case.forward(&Cores::new(1).with_precision(precision), Layout::Rows, None));
    let length = |x: &[f32]| x.iter().map(|x| f64::from(*x).powi(2)).sum::<f64>().sqrt();
    let error: Vec<f32> = f32.iter().zip(&mixed).map(|(a, b)| a - b).collect();
    let relative = length(&error) / length(&f32);
    assert!((1e-4..4e-3).contains(&relative), "{relative}");
}

#[test]
fn every_column_of_a_wide_bias_has_its_own_gradient() {
    // More outputs than one task sums.
    let (rows, inputs, outputs) = (3, 2, 600);
    let (x, dy) = (numbers(rows * inputs, 1), numbers(rows * outputs, 2));
    let sums: Vec<f64> =
        (0..outputs).map(|j| (0..rows).map(|row| f64::from(dy[row * outputs + j])).sum()).collect();
    for cores in each_isa() {
        let (mut dw, mut dbias) = (vec![0.0; outputs * inputs], vec![0.0; outputs]);
        linear_backward_weight(&cores, &mut dw, Write::Set, Some(&mut dbias), &dy, &x, rows);
        assert_close(&name(&cores), &dbias, &sums, 1e-6);
    }
}
