//! LayerNorm and its backward.

use glass_kernels::Cores;
use glass_kernels::norm::{Norm, norm, norm_backward};

use crate::close::{assert_close, assert_same_bits, each_isa, numbers};
use crate::naive::{self, wide};
use crate::slopes::{assert_slopes, dot};

const SHAPES: [[usize; 2]; 7] = [[1, 1], [3, 5], [2, 16], [17, 63], [40, 130], [5, 768], [33, 384]];
const EPSILON: f32 = 1e-5;

struct Case {
    x: Vec<f32>,
    dy: Vec<f32>,
    gain: Vec<f32>,
    bias: Vec<f32>,
}

impl Case {
    fn new([rows, cols]: [usize; 2]) -> Self {
        let x = numbers(rows * cols, 1).iter().map(|x| 2.0 * x + 3.0).collect();
        Self { x, dy: numbers(rows * cols, 2), gain: numbers(cols, 3), bias: numbers(cols, 4) }
    }

    fn forward(&self, cores: &Cores, bias: bool) -> (Vec<f32>, Vec<f32>) {
        let (mut y, mut stats) =
            (vec![f32::NAN; self.x.len()], vec![f32::NAN; self.x.len() / self.gain.len() * 2]);
        norm(
            cores,
            &mut y,
            &mut stats,
            &self.x,
            self.gain.len(),
            Some(&self.gain),
            bias.then_some(&self.bias),
            Norm::layer(EPSILON),
        );
        (y, stats)
    }

    fn backward(&self, cores: &Cores) -> [Vec<f32>; 3] {
        let (_, stats) = self.forward(cores, true);
        let (mut dx, mut dgain, mut dbias) =
            (self.dy.clone(), vec![0.25; self.gain.len()], vec![0.5; self.gain.len()]);
        let (gain, bias) = (Some(&mut dgain[..]), Some(&mut dbias[..]));
        norm_backward(
            cores,
            &mut dx,
            gain,
            bias,
            &self.dy,
            &self.x,
            &stats,
            self.gain.len(),
            Some(&self.gain),
            Norm::layer(EPSILON),
        );
        [dx, dgain, dbias]
    }
}

#[test]
fn norm_is_the_oracle() {
    for cores in each_isa() {
        for shape in SHAPES {
            let (case, what) = (Case::new(shape), format!("{shape:?} {:?}", cores.isa()));
            for with in [false, true] {
                let (x, gain, bias) = (wide(&case.x), wide(&case.gain), wide(&case.bias));
                let expected = naive::norm(&x, &gain, with.then_some(&bias), f64::from(EPSILON));
                assert_close(&what, &case.forward(&cores, with).0, &expected, 5e-6);
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
        for shape in SHAPES {
            let (case, what) = (Case::new(shape), format!("{shape:?} {:?}", cores.isa()));
            let [mut dx, mut dgain, mut dbias] = case.backward(&cores);
            dx.iter_mut().zip(&case.dy).for_each(|(dx, was)| *dx -= was);
            dgain.iter_mut().for_each(|d| *d -= 0.25);
            dbias.iter_mut().for_each(|d| *d -= 0.5);
            let (x, dy, gain, bias) = (wide(&case.x), wide(&case.dy), wide(&case.gain), wide(&case.bias));
            let f = |x: &[f64], gain: &[f64], bias: &[f64]| {
                dot(&naive::norm(x, gain, Some(bias), f64::from(EPSILON)), &dy)
            };
            assert_slopes(&format!("dx {what}"), |x| f(x, &gain, &bias), &x, &dx, 1e-5);
            assert_slopes(&format!("dgain {what}"), |gain| f(&x, gain, &bias), &gain, &dgain, 1e-5);
            assert_slopes(&format!("dbias {what}"), |bias| f(&x, &gain, bias), &bias, &dbias, 1e-5);
        }
    }
}

#[test]
fn threads_and_neighbours_change_no_bit() {
    for cores in each_isa() {
        let case = Case::new([100, 130]);
        let (y, stats) = case.forward(&cores, true);
        let gradients = case.backward(&cores).concat();
        for threads in 2..=4 {
            let more = Cores::with(cores.isa(), threads).expect("it is there");
            assert_same_bits("y", &case.forward(&more, true).0, &y);
            assert_same_bits("stats", &case.forward(&more, true).1, &stats);
            assert_same_bits("gradients", &case.backward(&more).concat(), &gradients);
        }
        let alone = Case { x: case.x[130 * 41..][..130].to_vec(), ..Case::new([1, 130]) };
        assert_same_bits("alone", &alone.forward(&cores, true).0, &y[130 * 41..][..130]);
    }
}

#[test]
fn rows_of_x_serve_as_many_gradients_as_there_are() {
    for cores in each_isa() {
        for ([rows, cols], each) in [([1, 5], 3), ([7, 63], 12), ([3, 130], 40)] {
            let case = Case::new([rows, cols]);
            let (_, stats) = case.forward(&cores, true);
            let (dy, start) = (numbers(rows * each * cols, 8), numbers(rows * each * cols, 9));
            let repeat = |x: &[f32], width: usize| -> Vec<f32> {
                x.chunks(width).flat_map(|row| row.repeat(each)).collect()
            };
            let (mut dx, mut expected) = (start.clone(), start);
            norm_backward(
                &cores,
                &mut dx,
                None,
                None,
                &dy,
                &case.x,
                &stats,
                cols,
                Some(&case.gain),
                Norm::layer(EPSILON),
            );
            let (x, stats) = (repeat(&case.x, cols), repeat(&stats, 2));
            norm_backward(
                &cores,
                &mut expected,
                None,
                None,
                &dy,
                &x,
                &stats,
                cols,
                Some(&case.gain),
                Norm::layer(EPSILON),
            );
            assert_same_bits(&format!("{rows} × {cols}, {each} each"), &dx, &expected);
        }
    }
}
