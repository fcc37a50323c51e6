//! LayerNorm, RMSNorm and their backward.

use glass_kernels::Cores;
use glass_kernels::norm::{Kind, Norm, norm, norm_backward};

use crate::close::{assert_close, assert_same_bits, each_isa, numbers};
use crate::naive::{self, wide};
use crate::slopes::{assert_slopes, dot};

const SHAPES: [[usize; 2]; 9] =
    [[1, 1], [3, 5], [2, 16], [17, 63], [40, 130], [5, 768], [33, 384], [500, 64], [70, 128]];
const EPSILON: f32 = 1e-5;

/// Every kind, with the gain as it is and with 1 more.
const NORMS: [Norm; 4] = [
    Norm { kind: Kind::Layer, epsilon: EPSILON, offset: 0.0 },
    Norm { kind: Kind::Rms, epsilon: EPSILON, offset: 0.0 },
    Norm { kind: Kind::Layer, epsilon: EPSILON, offset: 1.0 },
    Norm { kind: Kind::Rms, epsilon: EPSILON, offset: 1.0 },
];

#[derive(Clone)]
struct Case {
    x: Vec<f32>,
    dy: Vec<f32>,
    gain: Vec<f32>,
    bias: Vec<f32>,
    norm: Norm,
}

impl Case {
    fn new([rows, cols]: [usize; 2], norm: Norm) -> Self {
        let x = numbers(rows * cols, 1).iter().map(|x| 2.0 * x + 3.0).collect();
        Self { x, dy: numbers(rows * cols, 2), gain: numbers(cols, 3), bias: numbers(cols, 4), norm }
    }

    fn cols(&self) -> usize {
        self.gain.len()
    }

    fn forward(&self, cores: &Cores, gain: bool, bias: bool) -> (Vec<f32>, Vec<f32>) {
        let (mut y, mut stats) =
            (vec![f32::NAN; self.x.len()], vec![f32::NAN; self.x.len() / self.cols() * 2]);
        let (gain, bias) = (gain.then_some(&self.gain[..]), bias.then_some(&self.bias[..]));
        norm(cores, &mut y, &mut stats, &self.x, self.cols(), gain, bias, self.norm);
        (y, stats)
    }

    /// With the sums that are wanted; the others stay as they are.
    fn backward_with(&self, cores: &Cores, gain: bool, sums: [bool; 2]) -> [Vec<f32>; 3] {
        let (_, stats) = self.forward(cores, gain, true);
        let (mut dx, mut dgain, mut dbias) =
            (self.dy.clone(), vec![0.25; self.cols()], vec![0.5; self.cols()]);
        let (to_gain, to_bias) = (sums[0].then_some(&mut dgain[..]), sums[1].then_some(&mut dbias[..]));
        let gain = gain.then_some(&self.gain[..]);
        let (x, dy, cols) = (&self.x, &self.dy, self.cols());
        norm_backward(cores, &mut dx, to_gain, to_bias, dy, x, &stats, cols, gain, self.norm);
        [dx, dgain, dbias]
    }

    fn backward(&self, cores: &Cores) -> [Vec<f32>; 3] {
        self.backward_with(cores, true, [true; 2])
    }

    fn what(&self, cores: &Cores) -> String {
        format!("{:?} {} × {} {:?}", self.norm, self.x.len() / self.cols(), self.cols(), cores.isa())
    }
}

/// The oracle of a kind, for a stored gain.
fn oracle(norm: Norm, x: &[f64], gain: &[f64], bias: Option<&[f64]>) -> Vec<f64> {
    let gain: Vec<f64> = gain.iter().map(|gain| gain + f64::from(norm.offset)).collect();
    match norm.kind {
        Kind::Layer => naive::norm(x, &gain, bias, f64::from(norm.epsilon)),
        Kind::Rms => naive::rms_norm(x, &gain, bias, f64::from(norm.epsilon)),
    }
}

fn cases() -> impl Iterator<Item = Case> {
    SHAPES.into_iter().flat_map(|shape| NORMS.map(|norm| Case::new(shape, norm)))
}

#[test]
fn norm_is_the_oracle() {
    for cores in each_isa() {
        for case in cases() {
            for with in [false, true] {
                let (x, gain, bias) = (wide(&case.x), wide(&case.gain), wide(&case.bias));
                let expected = oracle(case.norm, &x, &gain, with.then_some(&bias));
                assert_close(&case.what(&cores), &case.forward(&cores, true, with).0, &expected, 5e-6);
            }
        }
    }
}

/// The only part of the error that grows with the width is that of the mean square, and it is small.
#[test]
fn a_root_mean_square_is_within_a_few_ulp() {
    for cores in each_isa() {
        for cols in [64, 576, 4096] {
            let case = Case::new([40, cols], NORMS[1]);
            let expected = naive::rms_norm(&wide(&case.x), &wide(&case.gain), None, f64::from(EPSILON));
            for (y, expected) in case.forward(&cores, true, false).0.iter().zip(expected) {
                let error = (f64::from(*y) - expected).abs() / expected.abs() * 16_777_216.0;
                assert!(error <= 6.0, "{error} × 2⁻²⁴ at {cols} ({:?})", cores.isa());
            }
        }
    }
}

#[test]
fn norm_far_from_zero() {
    for cores in each_isa() {
        let x: Vec<f32> = numbers(1000, 5).iter().map(|x| x + 1000.0).collect();
        let (mut y, mut stats, gain) = ([0.0; 1000], [0.0; 2], [1.0; 1000]);
        norm(&cores, &mut y, &mut stats, &x, 1000, Some(&gain), None, Norm::layer(EPSILON));
        let expected = naive::norm(&wide(&x), &[1.0; 1000], None, f64::from(EPSILON));
        assert_close("mean 1000, deviation 0.6", &y, &expected, 3e-4);
    }
}

#[test]
fn gradients_are_slopes() {
    for cores in each_isa() {
        for case in cases() {
            let what = case.what(&cores);
            let [mut dx, mut dgain, mut dbias] = case.backward(&cores);
            dx.iter_mut().zip(&case.dy).for_each(|(dx, was)| *dx -= was);
            dgain.iter_mut().for_each(|d| *d -= 0.25);
            dbias.iter_mut().for_each(|d| *d -= 0.5);
            let (x, dy, gain, bias) = (wide(&case.x), wide(&case.dy), wide(&case.gain), wide(&case.bias));
            let f = |x: &[f64], gain: &[f64], bias: &[f64]| dot(&oracle(case.norm, x, gain, Some(bias)), &dy);
            // A sum over 500 rows is rounded 500 times.
            assert_slopes(&format!("dx {what}"), |x| f(x, &gain, &bias), &x, &dx, 1e-5);
            assert_slopes(&format!("dgain {what}"), |gain| f(&x, gain, &bias), &gain, &dgain, 2e-5);
            assert_slopes(&format!("dbias {what}"), |bias| f(&x, &gain, bias), &bias, &dbias, 2e-5);
        }
    }
}

#[test]
fn no_gain_is_a_gain_of_one_and_an_offset_is_added_to_it() {
    for cores in each_isa() {
        for case in cases() {
            let what = case.what(&cores);
            let ones = Case {
                gain: vec![1.0; case.cols()],
                norm: Norm { offset: 0.0, ..case.norm },
                ..case.clone()
            };
            let none = case;
            assert_same_bits(
                &what,
                &none.forward(&cores, false, true).0,
                &ones.forward(&cores, true, true).0,
            );
            let [without, with] = [none.backward_with(&cores, false, [true; 2]), ones.backward(&cores)];
            assert_same_bits(&what, &without.concat(), &with.concat());
        }
        let case = Case::new([9, 70], NORMS[3]);
        let whole = case.gain.iter().map(|gain| gain + 1.0).collect();
        let stored = Case { gain: whole, ..Case::new([9, 70], NORMS[1]) };
        assert_same_bits(
            "offset",
            &case.forward(&cores, true, true).0,
            &stored.forward(&cores, true, true).0,
        );
        assert_same_bits("offset", &case.backward(&cores).concat(), &stored.backward(&cores).concat());
    }
}

#[test]
fn sums_that_are_not_wanted_change_no_bit_of_the_others() {
    for cores in each_isa() {
        for case in cases() {
            let (all, what) = (case.backward(&cores), case.what(&cores));
            let start = [&vec![0.25; case.cols()], &vec![0.5; case.cols()]];
            for sums in [[false, false], [true, false], [false, true]] {
                let got = case.backward_with(&cores, true, sums);
                assert_same_bits(&what, &got[0], &all[0]);
                for i in 0..2 {
                    assert_same_bits(&what, &got[i + 1], if sums[i] { &all[i + 1] } else { start[i] });
                }
            }
        }
    }
}

#[test]
fn threads_and_neighbours_change_no_bit() {
    for cores in each_isa() {
        for (norm, [rows, cols]) in
            NORMS.into_iter().flat_map(|norm| [(norm, [300, 130]), (norm, [1000, 64])])
        {
            let case = Case::new([rows, cols], norm);
            let (y, stats) = case.forward(&cores, true, true);
            let gradients = case.backward(&cores).concat();
            for threads in 2..=4 {
                let more = Cores::with(cores.isa(), threads).expect("it is there");
                assert_same_bits("y", &case.forward(&more, true, true).0, &y);
                assert_same_bits("stats", &case.forward(&more, true, true).1, &stats);
                assert_same_bits("gradients", &case.backward(&more).concat(), &gradients);
            }
            let alone = Case { x: case.x[cols * 41..][..cols].to_vec(), ..Case::new([1, cols], norm) };
            assert_same_bits("alone", &alone.forward(&cores, true, true).0, &y[cols * 41..][..cols]);
        }
    }
}

#[test]
fn rows_of_x_serve_as_many_gradients_as_there_are() {
    for cores in each_isa() {
        for ([rows, cols], each) in [([1, 5], 3), ([7, 63], 12), ([3, 130], 40)] {
            for norm in NORMS {
                let case = Case::new([rows, cols], norm);
                let (_, stats) = case.forward(&cores, true, true);
                let (dy, start) = (numbers(rows * each * cols, 8), numbers(rows * each * cols, 9));
                let repeat = |x: &[f32], width: usize| -> Vec<f32> {
                    x.chunks(width).flat_map(|row| row.repeat(each)).collect()
                };
                let back = |x: &[f32], stats: &[f32]| {
                    let mut dx = start.clone();
                    norm_backward(&cores, &mut dx, None, None, &dy, x, stats, cols, Some(&case.gain), norm);
                    dx
                };
                let got = back(&case.x, &stats);
                let expected = back(&repeat(&case.x, cols), &repeat(&stats, 2));
                assert_same_bits(&format!("{rows} × {cols}, {each} each"), &got, &expected);
            }
        }
    }
}
