//! Muon: the iteration and the step.

use glass_kernels::Cores;
use glass_kernels::muon::{LIKE_ADAMW, Muon, Place, QUINTIC, muon, orthogonalise};

use crate::close::{assert_close, assert_same_bits, each_isa, numbers};
use crate::naive;

const SHAPES: [[usize; 2]; 5] = [[1, 7], [8, 8], [16, 64], [65, 20], [128, 96]];

/// Small singular values grow almost five-hundredfold, and so do their rounding errors in f32.
const BOUND: f64 = 2e-4;

fn expected(x: &[f64], [rows, cols]: [usize; 2]) -> Vec<f64> {
    naive::orthogonalise(x, rows, cols, QUINTIC.map(f64::from))
}

#[test]
fn orthogonal_is_the_oracle() {
    for cores in each_isa() {
        for [rows, cols] in SHAPES {
            let mut x = numbers(rows * cols, 3);
            let wide: Vec<f64> = x.iter().map(|&x| f64::from(x)).collect();
            orthogonalise(&cores, &mut x, rows, cols);
            assert_close(&format!("{rows} × {cols}"), &x, &expected(&wide, [rows, cols]), BOUND);
        }
    }
}

/// A vector of any direction keeps its length, within the remaining error of the singular values.
#[test]
fn singular_values_come_near_to_one() {
    let length = |x: &[f32]| x.iter().map(|x| x * x).sum::<f32>().sqrt();
    for cores in each_isa() {
        let (rows, cols) = (24, 96);
        let mut x = numbers(rows * cols, 4);
        orthogonalise(&cores, &mut x, rows, cols);
        for seed in 0..50 {
            let along = numbers(rows, 100 + seed);
            let through = |j: usize| along.iter().zip(x[j..].iter().step_by(cols)).map(|(a, x)| a * x).sum();
            let turned: Vec<f32> = (0..cols).map(through).collect();
            let ratio = length(&turned) / length(&along);
            assert!((0.65..1.25).contains(&ratio), "a vector becomes {ratio} times as long");
        }
    }
}

/// Three steps: weights and momentum.
fn three_steps(cores: &Cores, [rows, cols]: [usize; 2]) -> [Vec<f32>; 2] {
    let n = rows * cols;
    let (mut w, mut m) = (numbers(n, 1), vec![0.0; n]);
    for step in 0..3 {
        muon(cores, &mut w, &numbers(n, 10 + step), &mut m, &[Place { start: 0, rows, cols }], &STEP);
    }
    [w, m]
}

const STEP: Muon = Muon { rate: 1e-2, momentum: 0.95, decay: 0.1 };

#[test]
fn three_steps_are_the_oracle() {
    for cores in each_isa() {
        for shape @ [rows, cols] in SHAPES {
            let n = rows * cols;
            let (rate, momentum, decay) =
                (f64::from(STEP.rate), f64::from(STEP.momentum), f64::from(STEP.decay));
            let mut w: Vec<f64> = numbers(n, 1).iter().map(|&w| f64::from(w)).collect();
            let mut m = vec![0.0; n];
            for step in 0..3 {
                let g = numbers(n, 10 + step);
                let toward = |m: f64, g: f32| momentum * m + (1.0 - momentum) * f64::from(g);
                m.iter_mut().zip(&g).for_each(|(m, &g)| *m = toward(*m, g));
                let ahead: Vec<f64> = m.iter().zip(&g).map(|(&m, &g)| toward(m, g)).collect();
                let reach = f64::from(LIKE_ADAMW) * (rows.max(cols) as f64).sqrt();
                let steps = expected(&ahead, shape);
                w.iter_mut().zip(steps).for_each(|(w, x)| *w -= rate * (decay * *w + reach * x));
            }
            let [got_w, got_m] = three_steps(&cores, shape);
            assert_close(&format!("momentum of {rows} × {cols}"), &got_m, &m, 1e-6);
            assert_close(&format!("weights of {rows} × {cols}"), &got_w, &w, 1e-4);
        }
    }
}

#[test]
fn threads_change_no_bit() {
    for cores in each_isa() {
        let one = three_steps(&cores, [200, 320]).concat();
        for threads in 2..=4 {
            let more = Cores::with(cores.isa(), threads).expect("it is there");
            assert_same_bits("muon", &three_steps(&more, [200, 320]).concat(), &one);
        }
    }
}
