//! The backward pass of attention for many gradients at once: that of one gradient, again and again.

use glass_kernels::Cores;
use glass_kernels::attend::{Span, attend_backward, attend_backward_each};

use crate::attend::Case;
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

fn together(cores: &Cores, shape: [usize; 6]) -> [Vec<f32>; 3] {
    let [positions, first, each, queries, keys, size] = shape;
    let case = Case::new([positions, 0, queries, keys, size], 71);
    let ((z, sums), dz) = (case.attend(cores, None), gradient(shape));
    let nan = |width: usize| vec![f32::NAN; (positions - first) * each * width];
    let (mut dq, mut dk, mut dv) = (nan(queries * size), nan(keys * size), nan(keys * size));
    let (q, k, v, rows) = (&case.q, &case.k, &case.v, first..positions);
    attend_backward_each(cores, &mut dq, &mut dk, &mut dv, &dz, q, k, v, &z, &sums, case.heads, rows);
    [dq, dk, dv]
}

/// Gradient `number` of every row, with zeros for the rows before the first.
fn one(gradients: &[f32], width: usize, number: usize, each: usize, first: usize) -> Vec<f32> {
    let rows = gradients.chunks(width).skip(number).step_by(each).flatten().copied();
    std::iter::repeat_n(0.0, first * width).chain(rows).collect()
}

#[test]
fn together_is_each_alone() {
    for cores in each_isa() {
        for shape in SHAPES {
            let [positions, first, each, queries, keys, size] = shape;
            let [dq, dk, dv] = together(&cores, shape);
            let case = Case::new([positions, 0, queries, keys, size], 71);
            let ((z, sums), dz) = (case.attend(&cores, None), gradient(shape));
            let spans = [Span { rows: 0..positions, slot: 0, past: 0 }];
            for number in 0..each {
                let dz = one(&dz, queries * size, number, each, first);
                let (mut q, mut k, mut v) = (case.q.clone(), case.k.clone(), case.v.clone());
                attend_backward(
                    &cores, &mut q, &mut k, &mut v, &dz, &case.q, &case.k, &case.v, &z, &sums, case.heads,
                    &spans, None,
                );
                let what = format!("{shape:?}, gradient {number}, {:?}", cores.isa());
                for (name, got, expected, width) in
                    [("q", &dq, q, queries * size), ("k", &dk, k, keys * size), ("v", &dv, v, keys * size)]
                {
                    let (got, start) = (one(got, width, number, each, 0), first * width);
                    assert_close(&format!("d{name} {what}"), &got, &wide(&expected[start..]), 2e-5);
                }
            }
        }
    }
}

#[test]
fn cuts_change_no_bit() {
    for cores in each_isa() {
        for shape in SHAPES {
            let one = together(&cores, shape).concat();
            for (what, cores) in each_cut(&cores) {
                assert_same_bits(&what, &together(&cores, shape).concat(), &one);
            }
        }
    }
}
