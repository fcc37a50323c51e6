//! AdamW and the sum of squares.

use glass_kernels::Cores;
use glass_kernels::adamw::{AdamW, adamw, square_sum};

use crate::close::{assert_close, assert_same_bits, each_isa, numbers};
use crate::naive;

const STEP: AdamW =
    AdamW { rate: 1e-2, beta1: 0.9, beta2: 0.95, epsilon: 1e-8, decay: 0.1, step: 1, scale: 0.5 };

/// Ten steps: weights and both moments.
fn ten_steps(cores: &Cores, n: usize) -> [Vec<f32>; 3] {
    let (mut w, mut m, mut v) = (numbers(n, 1), vec![0.0; n], vec![0.0; n]);
    for step in 1..=10 {
        adamw(cores, &mut w, &numbers(n, 100 + step), &mut m, &mut v, &AdamW { step, ..STEP });
    }
    [w, m, v]
}

#[test]
fn ten_steps_are_the_oracle() {
    for cores in each_isa() {
        for n in [1, 15, 16, 100, 20_001] {
            let mut expected: Vec<[f64; 3]> =
                numbers(n, 1).iter().map(|&w| [f64::from(w), 0.0, 0.0]).collect();
            for step in 1..=10 {
                for ([w, m, v], g) in expected.iter_mut().zip(numbers(n, 100 + step)) {
                    let constants =
                        [STEP.rate, STEP.beta1, STEP.beta2, STEP.epsilon, STEP.decay].map(f64::from);
                    [*w, *m, *v] = naive::adamw(*w, f64::from(g) * 0.5, *m, *v, constants, step as i32);
                }
            }
            for (i, got) in ten_steps(&cores, n).iter().enumerate() {
                let expected: Vec<f64> = expected.iter().map(|e| e[i]).collect();
                assert_close(&format!("{i} of {n} {:?}", cores.isa()), got, &expected, 1e-6);
            }
        }
    }
}

#[test]
fn square_sum_is_exact_to_ten_digits() {
    for cores in each_isa() {
        for n in [0, 1, 17, 16_384, 50_001] {
            let g = numbers(n, 9);
            let expected: f64 = g.iter().map(|&g| f64::from(g) * f64::from(g)).sum();
            let sum = square_sum(&cores, &g);
            assert!((sum - expected).abs() <= 1e-10 * expected, "{sum}, expected {expected}");
        }
        let mut g = numbers(40_000, 9);
        g[39_999] = f32::NAN;
        assert!(square_sum(&cores, &g).is_nan());
        g[39_999] = f32::INFINITY;
        assert!(!square_sum(&cores, &g).is_finite());
        assert!(square_sum(&cores, &[f32::MAX]).is_finite());
    }
}

#[test]
fn threads_change_no_bit() {
    for cores in each_isa() {
        let (one, g) = (ten_steps(&cores, 70_001).concat(), numbers(70_001, 5));
        for threads in 2..=4 {
            let more = Cores::with(cores.isa(), threads).expect("it is there");
            assert_same_bits("adamw", &ten_steps(&more, 70_001).concat(), &one);
            assert_eq!(square_sum(&more, &g).to_bits(), square_sum(&cores, &g).to_bits());
        }
    }
}
