//! Gates.

use glass_kernels::Cores;
use glass_kernels::activate::{Activation, activate, activate_backward};
use glass_kernels::gate::{gate, gate_backward, gate_slopes};

use crate::close::{assert_close, assert_same_bits, each_isa, numbers};
use crate::naive::{gelu, gelu_sigmoid, gelu_tanh, relu, silu, squared_relu, wide};
use crate::slopes::{assert_slopes, dot};

/// Long enough for several tasks, and not a whole number of vectors.
const LEN: usize = 40_005;

fn oracle(kind: Activation, gate: &[f64], up: &[f64]) -> Vec<f64> {
    let f = match kind {
        Activation::Gelu => gelu,
        Activation::GeluTanh => gelu_tanh,
        Activation::GeluSigmoid => gelu_sigmoid,
        Activation::Silu => silu,
        Activation::Relu => relu,
        Activation::SquaredRelu => squared_relu,
    };
    gate.iter().zip(up).map(|(&gate, up)| f(gate) * up).collect()
}

/// Gate, up, and dy.
fn case() -> [Vec<f32>; 3] {
    [1, 2, 3].map(|seed| numbers(LEN, seed).iter().map(|x| 4.0 * x).collect())
}

fn forward(cores: &Cores, kind: Activation, by: &[f32], up: &[f32]) -> Vec<f32> {
    let mut y = vec![f32::NAN; up.len()];
    gate(cores, &mut y, by, up, kind);
    y
}

fn backward(cores: &Cores, kind: Activation, [by, up, dy]: [&[f32]; 3]) -> [Vec<f32>; 2] {
    let (mut dgate, mut d) = (vec![f32::NAN; up.len()], dy.to_vec());
    gate_backward(cores, &mut dgate, &mut d, by, up, kind);
    [dgate, d]
}

fn slopes(cores: &Cores, kind: Activation, by: &[f32], up: &[f32]) -> [Vec<f32>; 2] {
    let [mut dgate, mut dup] = [0, 1].map(|_| vec![f32::NAN; up.len()]);
    gate_slopes(cores, &mut dgate, &mut dup, by, up, kind);
    [dgate, dup]
}

#[test]
fn a_gate_is_the_oracle_and_an_activation_times_a_number() {
    let [by, up, _] = case();
    for cores in each_isa() {
        for kind in Activation::ALL {
            let (y, what) = (forward(&cores, kind, &by, &up), format!("{kind:?} {:?}", cores.isa()));
            assert_close(&what, &y, &oracle(kind, &wide(&by), &wide(&up)), 8e-6);
            let mut product = vec![0.0; LEN];
            activate(&cores, &mut product, &by, kind);
            product.iter_mut().zip(&up).for_each(|(y, up)| *y *= up);
            assert_same_bits(&what, &y, &product);
        }
    }
}

#[test]
fn gradients_are_slopes() {
    let [by, up, dy] = case();
    for cores in each_isa() {
        for kind in Activation::ALL {
            let [dgate, dup] = backward(&cores, kind, [&by, &up, &dy]);
            let (by, up, dy) = (wide(&by), wide(&up), wide(&dy));
            // Differences of sums of 40,005 numbers: those that do not depend on the element are left out.
            for (at, (dgate, dup)) in dgate.iter().zip(&dup).enumerate().step_by(997) {
                let one = at..at + 1;
                let f = |by: &[f64], up: &[f64]| dot(&oracle(kind, by, up), &dy[one.clone()]);
                let (by, up) = (&by[one.clone()], &up[one.clone()]);
                let what = format!("{kind:?} {at} {:?}", cores.isa());
                assert_slopes(&what, |by| f(by, up), by, &[*dgate], 4e-5);
                assert_slopes(&what, |up| f(by, up), up, &[*dup], 4e-5);
            }
        }
    }
}

/// The gradient is dy times the slopes; both are those of the activation, the value but for its last bits.
#[test]
fn slopes_are_those_of_the_activation() {
    let [by, up, _] = case();
    for cores in each_isa() {
        for kind in Activation::ALL {
            let what = format!("{kind:?} {:?}", cores.isa());
            let got = slopes(&cores, kind, &by, &up);
            for (got, y) in got[1].iter().zip(forward(&cores, kind, &by, &[1.0; LEN])) {
                assert!((got - y).abs() <= y.abs() * 2.4e-7, "{what}: {got}, forward {y}");
            }
            let mut d = up.clone();
            activate_backward(&cores, &mut d, &by, kind);
            assert_same_bits(&what, &got[0], &d);
            assert_same_bits(&what, &got.concat(), &backward(&cores, kind, [&by, &up, &[1.0; LEN]]).concat());
        }
    }
}

#[test]
fn threads_and_neighbours_change_no_bit() {
    let [by, up, dy] = case();
    for cores in each_isa() {
        for kind in [Activation::Silu, Activation::GeluTanh] {
            let all = |cores: &Cores, at: std::ops::Range<usize>| {
                let [by, up, dy] = [&by[at.clone()], &up[at.clone()], &dy[at]];
                let [a, b] = backward(cores, kind, [by, up, dy]);
                let [c, d] = slopes(cores, kind, by, up);
                [forward(cores, kind, by, up), a, b, c, d]
            };
            let one = all(&cores, 0..LEN);
            for threads in 2..=4 {
                let more = Cores::with(cores.isa(), threads).expect("it is there");
                assert_same_bits("threads", &all(&more, 0..LEN).concat(), &one.concat());
            }
            for at in 0..50 {
                let alone: Vec<f32> = one.iter().map(|all| all[at]).collect();
                assert_same_bits("alone", &all(&cores, at..at + 1).concat(), &alone);
            }
        }
    }
}

#[test]
fn what_is_not_a_number_stays_where_it_is() {
    for cores in each_isa() {
        for kind in Activation::ALL {
            for place in 0..3 {
                let mut case = [1, 2, 3]
                    .map(|seed| numbers(35, seed).iter().map(|x| x.abs() + 0.1).collect::<Vec<f32>>());
                case[place][20] = f32::NAN;
                let [by, up, dy] = &case;
                let [dgate, dup] = backward(&cores, kind, [by, up, dy]);
                let y = forward(&cores, kind, by, up);
                // What a result does not depend on leaves it a number.
                for (result, hit) in [(y, place < 2), (dgate, true), (dup, place != 1)] {
                    let right = result.iter().enumerate().all(|(i, x)| x.is_nan() == (hit && i == 20));
                    assert!(right, "{kind:?} {place} {:?}: {result:?}", cores.isa());
                }
            }
        }
    }
}

/// Far from zero f is x or 0 (squared ReLU: x² or 0), and nothing overflows on the way there.
#[test]
fn slopes_far_from_zero() {
    let by = [-1e38, -200.0, -95.0, 95.0, 200.0, 1e18, f32::INFINITY];
    for cores in each_isa() {
        for kind in Activation::ALL {
            let [dgate, dup] = slopes(&cores, kind, &by, &[1.0; 7]);
            let y = forward(&cores, kind, &by, &[1.0; 7]);
            let what = format!("{kind:?} {:?}: {dup:?} {dgate:?}", cores.isa());
            assert!(dup[..3].iter().all(|y| y.abs() < 1e-17), "{what}");
            assert_same_bits(&what, &dup[3..], &y[3..]);
            assert!(dgate[..3].iter().all(|d| d.abs() < 1e-17), "{what}");
            let squared = kind == Activation::SquaredRelu;
            assert!(
                by[3..].iter().zip(&dgate[3..]).all(|(x, d)| *d == if squared { 2.0 * x } else { 1.0 }),
                "{what}"
            );
        }
    }
}
