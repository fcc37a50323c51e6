//! The gradient through two linear layers and the slopes between them.

use glass_kernels::Cores;
use glass_kernels::linear::{Layout, Matrix, linear_pair_backward_input};

use crate::close::{assert_close, assert_same_bits, each_cut, each_isa, numbers};
use crate::naive::{self, wide};

/// Rows, gradients of each, outputs, hidden, inputs.
const SHAPES: [[usize; 5]; 6] = [
    [1, 1, 1, 1, 1],
    [3, 2, 5, 7, 4],
    [2, 33, 33, 130, 33],
    [4, 64, 64, 256, 64],
    [1, 9, 70, 500, 300],
    [0, 3, 4, 5, 6],
];

fn run(cores: &Cores, [rows, each, outputs, hidden, inputs]: [usize; 5]) -> Vec<f32> {
    let [down, slopes, up, dy] = operands([rows, each, outputs, hidden, inputs]);
    let matrix = |values, rows, cols| Matrix { values, rows, cols, layout: Layout::Rows };
    let mut dx = vec![f32::NAN; rows * each * inputs];
    let (down, up) = (matrix(&down, outputs, hidden), matrix(&up, hidden, inputs));
    linear_pair_backward_input(cores, &mut dx, &dy, down, &slopes, up);
    dx
}

fn operands([rows, each, outputs, hidden, inputs]: [usize; 5]) -> [Vec<f32>; 4] {
    let lens = [outputs * hidden, rows * hidden, hidden * inputs, rows * each * outputs];
    std::array::from_fn(|i| numbers(lens[i], 61 + i as u64))
}

/// `[rows, depth]` times `[depth, columns]`, the textbook loop with the second matrix transposed.
fn product(a: &[f64], b: &[f64], depth: usize) -> Vec<f64> {
    let columns = b.len() / depth;
    let transposed: Vec<f64> = (0..b.len()).map(|i| b[i % depth * columns + i / depth]).collect();
    naive::linear(a, &transposed, None, depth)
}

#[test]
fn a_pair_is_one_layer_after_the_other() {
    for cores in each_isa() {
        for shape in SHAPES {
            let [_, each, outputs, hidden, inputs] = shape;
            let [down, slopes, up, dy] = operands(shape).map(|x| wide(&x));
            let mut expected = Vec::new();
            for (dy, slopes) in dy.chunks(each * outputs).zip(slopes.chunks(hidden)) {
                let mut active = product(dy, &down, outputs);
                active.iter_mut().zip(slopes.iter().cycle()).for_each(|(d, slope)| *d *= slope);
                expected.extend(product(&active, &up, hidden));
            }
            let what = format!("{shape:?} {:?}", cores.isa());
            let size = (outputs * hidden) as f64;
            assert_close(&what, &run(&cores, shape), &expected, 2e-7 * size.sqrt() * 4.0 + 1e-6);
            let _ = inputs;
        }
    }
}

#[test]
fn cuts_change_no_bit() {
    for cores in each_isa() {
        for shape in SHAPES {
            let one = run(&cores, shape);
            for (what, cores) in each_cut(&cores) {
                assert_same_bits(&what, &run(&cores, shape), &one);
            }
        }
    }
}
