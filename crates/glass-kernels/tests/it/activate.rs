//! The non-linearities, and the exponential in them.

use glass_kernels::Cores;
use glass_kernels::activate::Activation::{self, Gelu, GeluSigmoid, GeluTanh, Relu, Silu, SquaredRelu};
use glass_kernels::activate::{activate, activate_backward};

use crate::close::{assert_same_bits, each_isa};
use crate::naive::{gelu, gelu_sigmoid, gelu_tanh, relu, silu, squared_relu};

/// Every non-linearity with its reference function, and its error in 2⁻²⁴ × |x|.
const KINDS: [(Activation, Oracle, f64); 6] = [
    (Gelu, gelu, 8.0),
    (GeluTanh, gelu_tanh, 4.0),
    (GeluSigmoid, gelu_sigmoid, 4.0),
    (Silu, silu, 4.0),
    (Relu, relu, 0.0),
    (SquaredRelu, squared_relu, 0.0),
];

type Oracle = fn(f64) -> f64;

/// Numbers of every magnitude, both signs, densest between -20 and 20.
fn everywhere() -> Vec<f32> {
    let small = (-40_000..=40_000).map(|i| i as f32 / 2_000.0);
    let all = (0..=0x7f7f).map(|bits| f32::from_bits(bits << 16));
    small.chain(all.flat_map(|x| [x, -x])).collect()
}

fn slopes(cores: &Cores, x: &[f32], kind: Activation) -> Vec<f32> {
    let mut d = vec![1.0; x.len()];
    activate_backward(cores, &mut d, x, kind);
    d
}

fn values(cores: &Cores, x: &[f32], kind: Activation) -> Vec<f32> {
    let mut y = vec![f32::NAN; x.len()];
    activate(cores, &mut y, x, kind);
    y
}

#[test]
fn forward_is_the_oracle_everywhere() {
    let x = everywhere();
    for cores in each_isa() {
        for (kind, oracle, error) in KINDS {
            for (&x, y) in x.iter().zip(values(&cores, &x, kind)) {
                let (wide, y) = (f64::from(x), f64::from(y));
                // A square is rounded once, and beyond f32's range it is infinite.
                if kind == SquaredRelu {
                    assert_eq!(y, f64::from(oracle(wide) as f32), "{kind:?}({x}) ({:?})", cores.isa());
                    continue;
                }
                let expected = if wide.abs() > 1e6 { wide.max(0.0) } else { oracle(wide) };
                let bound = wide.abs() * error / 16_777_216.0 + 1e-45;
                let what = format!("{kind:?}({x}) = {y}, expected {expected} ({:?})", cores.isa());
                assert!((y - expected).abs() <= bound, "{what}");
            }
        }
    }
}

#[test]
fn backward_is_the_slope() {
    let x = everywhere();
    for cores in each_isa() {
        for (kind, oracle, _) in KINDS {
            for (&x, d) in x.iter().zip(slopes(&cores, &x, kind)) {
                let (wide, d, h) = (f64::from(x), f64::from(d), 1e-5);
                let flat = if wide > 0.0 { 1.0 } else { 0.0 };
                let difference = (oracle(wide + h) - oracle(wide - h)) / (2.0 * h);
                let expected = match kind {
                    // Not smooth at 0, where a difference means nothing; the derivative is 0 there, as in PyTorch.
                    Relu => flat,
                    SquaredRelu => {
                        assert_eq!(d, f64::from((2.0 * wide.max(0.0)) as f32), "slope at {x}");
                        continue;
                    }
                    _ if wide.abs() > 40.0 => flat,
                    _ => difference,
                };
                let what =
                    format!("slope of {kind:?} at {x} is {d}, expected {expected} ({:?})", cores.isa());
                assert!((d - expected).abs() <= 2e-6, "{what}");
            }
        }
    }
}

#[test]
fn not_a_number_stays_and_infinity_does_not_spread() {
    for cores in each_isa() {
        for (kind, ..) in KINDS {
            let x = [f32::NAN, f32::INFINITY, -1e38, 0.0, -0.0, 1.0, 2.0];
            let (y, d) = (values(&cores, &x, kind), slopes(&cores, &x, kind));
            assert!(y[0].is_nan() && d[0].is_nan());
            let expected = if kind == SquaredRelu { f32::INFINITY } else { 1.0 };
            assert!(y[1] == f32::INFINITY && d[1] == expected);
            assert!(y[2..].iter().chain(&d[2..]).all(|y| y.is_finite()));
        }
    }
}

#[test]
fn lanes_tails_and_threads_give_the_same_bits() {
    let x: Vec<f32> = everywhere().into_iter().take(50_001).collect();
    for cores in each_isa() {
        for (kind, ..) in KINDS {
            let (y, d) = (values(&cores, &x, kind), slopes(&cores, &x, kind));
            for threads in 2..=4 {
                let more = Cores::with(cores.isa(), threads).expect("it is there");
                assert_same_bits("y", &values(&more, &x, kind), &y);
                assert_same_bits("dx", &slopes(&more, &x, kind), &d);
            }
            for (i, x) in x.iter().enumerate().take(200) {
                assert_same_bits("one alone", &values(&cores, &[*x], kind), &y[i..=i]);
                assert_same_bits("one slope alone", &slopes(&cores, &[*x], kind), &d[i..=i]);
            }
        }
    }
}
