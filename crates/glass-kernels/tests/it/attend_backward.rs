//! The backward of attention: against finite differences of the oracle, and the promises about bits.

use glass_kernels::Cores;
use glass_kernels::attend::*;
use glass_kernels::dropout::Dropout;

use crate::attend::Case;
use crate::close::{assert_same_bits, each_isa, numbers};
use crate::naive::wide;
use crate::slopes::{assert_slopes, dot};

fn backward(cores: &Cores, case: &Case, dz: &[f32], slot: usize, dropout: Option<Dropout>) -> [Vec<f32>; 3] {
    let (z, sums) = case.attend(cores, dropout);
    let spans = [Span { rows: 0..case.rows, slot, past: 0 }];
    gradients(cores, case, dz, &z, &sums, &spans, dropout)
}

fn gradients(
    cores: &Cores,
    case: &Case,
    dz: &[f32],
    z: &[f32],
    sums: &[f32],
    spans: &[Span],
    dropout: Option<Dropout>,
) -> [Vec<f32>; 3] {
    let nan = |like: &[f32]| vec![f32::NAN; like.len()];
    let (mut dq, mut dk, mut dv) = (nan(&case.q), nan(&case.k), nan(&case.v));
    let (q, k, v) = (&case.q, &case.k, &case.v);
    attend_backward(cores, &mut dq, &mut dk, &mut dv, dz, q, k, v, z, sums, case.heads, spans, dropout);
    [dq, dk, dv]
}

#[test]
fn gradients_are_slopes() {
    for cores in each_isa() {
        for shape in
            [[1, 0, 1, 1, 4], [9, 0, 2, 1, 7], [66, 0, 2, 2, 16], [131, 0, 2, 1, 8], [50, 0, 3, 3, 33]]
        {
            let (case, what) = (Case::new(shape, 21), format!("{shape:?} {:?}", cores.isa()));
            let dz = numbers(case.q.len(), 22);
            let [dq, dk, dv] = backward(&cores, &case, &dz, 0, None);
            let (oracle, dz) = (case.oracle(), wide(&dz));
            let mut moved = oracle.clone();
            let z = |s: &crate::naive::Sequence| dot(&s.attend(&|_, _, _| 1.0).0, &dz);
            let moved = std::cell::RefCell::new(&mut moved);
            let f = |part: usize, x: &[f64]| {
                let mut s = moved.borrow_mut();
                let place = |s: &mut crate::naive::Sequence, x: &[f64]| match part {
                    0 => s.q.copy_from_slice(x),
                    1 => s.k.copy_from_slice(x),
                    _ => s.v.copy_from_slice(x),
                };
                place(*s, x);
                let y = z(*s);
                place(*s, [&oracle.q, &oracle.k, &oracle.v][part]);
                y
            };
            assert_slopes(&format!("dq {what}"), |x| f(0, x), &oracle.q, &dq, 2e-5);
            assert_slopes(&format!("dk {what}"), |x| f(1, x), &oracle.k, &dk, 1e-4);
            assert_slopes(&format!("dv {what}"), |x| f(2, x), &oracle.v, &dv, 2e-5);
        }
    }
}
