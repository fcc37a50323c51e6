//! The backward pass of attention for many gradients at once: that of one gradient, again and again.

use glass_kernels::attend::{Span, attend_backward, attend_backward_each, attend_backward_each_apart};
use glass_kernels::linear::{Layout, Matrix, linear_backward_input};
use glass_kernels::{Cores, Write};

use crate::attend::{Case, WAYS, Ways};
use crate::close::{assert_close, assert_same_bits, each_cut, each_isa, numbers};
use crate::naive::wide;

/// Positions, the first with gradients, gradients of each, query heads, key heads, size.
const SHAPES: [[usize; 6]; 6] = [
    [1, 0, 1, 1, 1, 4],
    [9, 3, 5, 2, 1, 7],
    [66, 16, 13, 2, 2, 16],
    [131, 100, 3, 4, 2, 33],
    [47, 0, 30, 1, 1, 64],
    [5, 5, 2, 1, 1, 8],
];

/// `[rows][each, heads × size]` of numbers.
fn gradient([positions, first, each, queries, _, size]: [usize; 6]) -> Vec<f32> {
    numbers((positions - first) * each * queries * size, 77)
}

/// Numbers of attention's input.
const WIDTH: usize = 20;

/// The weights of queries and keys.
fn weights([_, _, _, queries, keys, size]: [usize; 6]) -> [Vec<f32>; 2] {
    [numbers(queries * size * WIDTH, 78), numbers(keys * size * WIDTH, 79)]
}

fn together(cores: &Cores, shape: [usize; 6], way: Ways) -> [Vec<f32>; 2] {
    let [positions, first, each, queries, keys, size] = shape;
    let case = Case::new([positions, 0, queries, keys, size], 71).with(way);
    let ((z, sums), dz, weights) = (case.attend(cores, None), gradient(shape), weights(shape));
    let nan = |width: usize| vec![f32::NAN; (positions - first) * each * width];
    let (mut dx, mut dv) = (nan(WIDTH), nan(keys * size));
    let (q, k, v, rows) = (&case.q, &case.k, &case.v, first..positions);
    let weights = weights.each_ref().map(|values| matrix(values));
    attend_backward_each(cores, &mut dx, &mut dv, &dz, q, k, v, &z, &sums, weights, case.heads, rows);
    [dx, dv]
}

/// dq, dk and dv.
fn apart(cores: &Cores, shape: [usize; 6], way: Ways) -> [Vec<f32>; 3] {
    let [positions, first, each, queries, keys, size] = shape;
    let case = Case::new([positions, 0, queries, keys, size], 71).with(way);
    let ((z, sums), dz) = (case.attend(cores, None), gradient(shape));
    let nan = |heads: usize| vec![f32::NAN; (positions - first) * each * heads * size];
    let (mut dq, mut dk, mut dv) = (nan(queries), nan(keys), nan(keys));
    let (q, k, v, rows) = (&case.q, &case.k, &case.v, first..positions);
    attend_backward_each_apart(cores, &mut dq, &mut dk, &mut dv, &dz, q, k, v, &z, &sums, case.heads, rows);
    [dq, dk, dv]
}

fn matrix(values: &[f32]) -> Matrix<'_> {
    Matrix { values, rows: values.len() / WIDTH, cols: WIDTH, layout: Layout::Rows }
}

/// Gradient `number` of every row, with zeros for the rows before the first.
fn one(gradients: &[f32], width: usize, number: usize, each: usize, first: usize) -> Vec<f32> {
    let rows = gradients.chunks(width).skip(number).step_by(each).flatten().copied();
    std::iter::repeat_n(0.0, first * width).chain(rows).collect()
}

#[test]
fn together_is_each_alone() {
    for cores in each_isa() {
        for (shape, way) in SHAPES.into_iter().flat_map(|shape| WAYS.map(|way| (shape, way))) {
            let [positions, first, each, queries, keys, size] = shape;
            let ([dx, dv], weights) = (together(&cores, shape, way), weights(shape));
            let apart = apart(&cores, shape, way);
            let case = Case::new([positions, 0, queries, keys, size], 71).with(way);
            let ((z, sums), dz) = (case.attend(&cores, None), gradient(shape));
            let spans = [Span { rows: 0..positions, slot: 0, past: 0 }];
            for number in 0..each {
                let dz = one(&dz, queries * size, number, each, first);
                let (mut q, mut k, mut v) = (case.q.clone(), case.k.clone(), case.v.clone());
                attend_backward(
                    &cores, &mut q, &mut k, &mut v, &dz, &case.q, &case.k, &case.v, &z, &sums, case.heads,
                    None, &spans, None,
                );
                let what = format!("{shape:?} {way:?}, gradient {number}, {:?}", cores.isa());
                let widths = [queries, keys, keys].map(|heads| heads * size);
                for ((got, expected), width) in apart.iter().zip([&q, &k, &v]).zip(widths) {
                    let got = one(got, width, number, each, 0);
                    assert_close(&what, &got, &wide(&expected[first * width..]), 5e-5);
                }
                let mut x = vec![0.0; positions * WIDTH];
                linear_backward_input(&cores, &mut x, Write::Set, &q, matrix(&weights[0]));
                linear_backward_input(&cores, &mut x, Write::Add, &k, matrix(&weights[1]));
                for (name, got, expected, width) in [("x", &dx, x, WIDTH), ("v", &dv, v, keys * size)] {
                    let (got, start) = (one(got, width, number, each, 0), first * width);
                    assert_close(&format!("d{name} {what}"), &got, &wide(&expected[start..]), 5e-5);
                }
            }
        }
    }
}

#[test]
fn cuts_change_no_bit() {
    for cores in each_isa() {
        for (shape, way) in SHAPES.into_iter().flat_map(|shape| WAYS.map(|way| (shape, way))) {
            let both = |cores: &Cores| {
                [together(cores, shape, way).concat(), apart(cores, shape, way).concat()].concat()
            };
            let one = both(&cores);
            for (what, cores) in each_cut(&cores) {
                assert_same_bits(&what, &both(&cores), &one);
            }
        }
    }
}
