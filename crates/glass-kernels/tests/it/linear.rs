//! Linear and its backward: against the oracle, and the promises about bits.

use glass_kernels::activate::{Activation, activate};
use glass_kernels::linear::*;
use glass_kernels::{Cores, Isa, Write};

use crate::close::{assert_close, assert_same_bits, each_isa, numbers};
use crate::naive::{self, wide};

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

    fn forward(&self, cores: &Cores, layout: Layout, activation: Option<Activation>) -> Vec<f32> {
        let mut panels = vec![f32::NAN; panels_len(self.outputs, self.inputs)];
        let mut w = self.matrix();
        if layout == Layout::Panels {
            pack(cores, &mut panels, &self.w, self.outputs, self.inputs);
            w = Matrix { values: &panels, layout, ..w };
        }
        let mut y = vec![f32::NAN; self.rows * self.outputs];
        linear(cores, &mut y, &self.x, w, Some(&self.bias), activation);
        y
    }

    fn backward(&self, cores: &Cores, write: Write) -> [Vec<f32>; 3] {
        let mut dx = match write {
            Write::Set => vec![f32::NAN; self.x.len()],
            Write::Add => self.x.clone(),
        };
        let (mut dw, mut dbias) = (self.w.clone(), self.bias.clone());
        linear_backward_input(cores, &mut dx, write, &self.dy, self.matrix());
        linear_backward_weight(cores, &mut dw, Some(&mut dbias), &self.dy, &self.x, self.rows);
        [dx, dw, dbias]
    }
}

/// A sum of k products of numbers below one, each step rounded.
fn bound(k: usize) -> f64 {
    f64::from(f32::EPSILON) * (k as f64 + 2.0)
}

#[test]
fn forward_is_the_textbook_loop() {
    for cores in each_isa() {
        for shape in SHAPES {
            let case = Case::new(shape);
            let expected =
                naive::linear(&wide(&case.x), &wide(&case.w), Some(&wide(&case.bias)), case.inputs);
            let y = case.forward(&cores, Layout::Rows, None);
            assert_close(&format!("{:?} {shape:?}", cores.isa()), &y, &expected, bound(case.inputs));
        }
    }
}

#[test]
fn no_bias_is_a_bias_of_zeros() {
    for cores in each_isa() {
        let mut case = Case::new([9, 40, 100]);
        let mut y = vec![f32::NAN; case.rows * case.outputs];
        linear(&cores, &mut y, &case.x, case.matrix(), None, None);
        case.bias.fill(0.0);
        assert_same_bits("no bias", &y, &case.forward(&cores, Layout::Rows, None));
    }
}

/// Each gradient is what the loss `Σ y dy` changes by when one element moves. Linear in every one of its operands,
/// so a central difference over a whole unit is exact.
#[test]
fn backward_is_the_finite_difference() {
    for shape in SHAPES.into_iter().filter(|s| s.iter().product::<usize>() < 20_000) {
        let case = Case::new(shape);
        let operands = [wide(&case.x), wide(&case.w), wide(&case.bias)];
        let loss = |o: &[Vec<f64>; 3]| {
            let y = naive::linear(&o[0], &o[1], Some(&o[2]), case.inputs);
            y.iter().zip(&case.dy).map(|(y, &dy)| y * f64::from(dy)).sum::<f64>()
        };
        let gradients: [Vec<f64>; 3] = std::array::from_fn(|which| {
            let mut o = operands.clone();
            (0..o[which].len())
                .map(|i| {
                    let mut moved = |by| {
                        o[which][i] = operands[which][i] + by;
                        loss(&o)
                    };
                    let difference = (moved(1.0) - moved(-1.0)) / 2.0;
                    moved(0.0);
                    difference
                })
                .collect()
        });
        for cores in each_isa() {
            let what = format!("{:?} {shape:?}", cores.isa());
            let [dx, ..] = case.backward(&cores, Write::Set);
            assert_close(&format!("dx {what}"), &dx, &gradients[0], bound(case.outputs));
            for (which, got) in case.backward(&cores, Write::Add).iter().enumerate() {
                let expected: Vec<f64> = gradients[which]
                    .iter()
                    .zip(&operands[which])
                    .map(|(gradient, start)| start + gradient)
                    .collect();
                let name = format!("{} += {what}", ["dx", "dw", "dbias"][which]);
                assert_close(&name, got, &expected, bound(case.rows.max(case.outputs)));
            }
        }
    }
}

#[test]
fn one_row_is_many_rows_bit_for_bit() {
    for cores in each_isa() {
        for shape in SHAPES {
            let case = Case::new(shape);
            for layout in [Layout::Rows, Layout::Panels] {
                let together = case.forward(&cores, layout, Some(Activation::GeluTanh));
                for (r, y) in together.chunks(case.outputs).enumerate() {
                    let x = case.x[r * case.inputs..][..case.inputs].to_vec();
                    let (w, bias, dy) = (case.w.clone(), case.bias.clone(), Vec::new());
                    let alone = Case { x, w, bias, dy, rows: 1, ..case };
                    let alone = alone.forward(&cores, layout, Some(Activation::GeluTanh));
                    assert_same_bits(&format!("{:?} {shape:?} {layout:?} row {r}", cores.isa()), y, &alone);
                }
            }
        }
    }
}

#[test]
fn both_layouts_bit_for_bit() {
    for cores in each_isa() {
        for shape in SHAPES {
            let case = Case::new(shape);
            let rows = case.forward(&cores, Layout::Rows, None);
            let panels = case.forward(&cores, Layout::Panels, None);
            assert_same_bits(&format!("{:?} {shape:?}", cores.isa()), &rows, &panels);
        }
    }
}

#[test]
fn fused_activation_is_the_activation_afterwards() {
    for cores in each_isa() {
        for shape in SHAPES {
            let case = Case::new(shape);
            let fused = case.forward(&cores, Layout::Rows, Some(Activation::GeluTanh));
            let plain = case.forward(&cores, Layout::Rows, None);
            let mut after = vec![0.0; plain.len()];
            activate(&cores, &mut after, &plain, Activation::GeluTanh);
            assert_same_bits(&format!("{:?} {shape:?}", cores.isa()), &fused, &after);
        }
    }
}

#[test]
fn any_number_of_threads_bit_for_bit() {
    for isa in Isa::ALL.into_iter().filter(|isa| isa.available()) {
        for shape in SHAPES.into_iter().chain([[150, 90, 400]]) {
            let case = Case::new(shape);
            let run = |threads| {
                let cores = Cores::with(isa, threads).unwrap();
                let [dx, dw, dbias] = case.backward(&cores, Write::Add);
                let [rows, panels] = [Layout::Rows, Layout::Panels].map(|l| case.forward(&cores, l, None));
                [rows, panels, dx, dw, dbias]
            };
            let one = run(1);
            for threads in 2..=4 {
                for (a, b) in one.iter().zip(run(threads)) {
                    assert_same_bits(&format!("{isa:?} {shape:?} {threads} threads"), a, &b);
                }
            }
        }
    }
}

#[test]
fn no_rows_no_work() {
    for cores in each_isa() {
        let case = Case::new([0, 5, 9]);
        assert!(case.forward(&cores, Layout::Panels, None).is_empty());
        let [dx, dw, dbias] = case.backward(&cores, Write::Add);
        assert!(dx.is_empty());
        assert_same_bits("dw", &dw, &case.w);
        assert_same_bits("dbias", &dbias, &case.bias);
    }
}
