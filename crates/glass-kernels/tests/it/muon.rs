//! Muon: the iteration and the step.

use glass_kernels::Cores;
use glass_kernels::muon::{LIKE_ADAMW, Muon, Place, QUINTICS, ROW_DECAY, muon, orthogonalise};

use crate::close::{assert_close, assert_same_bits, each_isa, numbers};
use crate::naive;

const SHAPES: [[usize; 2]; 6] = [[1, 7], [8, 8], [16, 64], [40, 70], [65, 20], [128, 96]];

/// Small singular values grow more than a hundredfold, and so do their rounding errors in f32.
const BOUND: f64 = 2e-4;

fn expected(x: &[f64], [rows, cols]: [usize; 2]) -> Vec<f64> {
    naive::orthogonalise(x, rows, cols, &QUINTICS)
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

/// Rows whose lengths are up to fifty times apart become almost equally long, as does a vector of any direction.
#[test]
fn singular_values_come_near_to_one() {
    let length = |x: &[f32]| x.iter().map(|x| x * x).sum::<f32>().sqrt();
    for cores in each_isa() {
        let (rows, cols) = (24, 96);
        let mut x = numbers(rows * cols, 4);
        for (i, x) in x.chunks_mut(cols).enumerate() {
            x.iter_mut().for_each(|x| *x *= 50f32.powf(-(i as f32) / 23.0));
        }
        let apart = |x: &[f32]| length(&x[..cols]) / length(&x[23 * cols..]);
        assert!(apart(&x) > 40.0);
        orthogonalise(&cores, &mut x, rows, cols);
        assert!((0.2..5.0).contains(&apart(&x)), "rows are {} apart", apart(&x));
        for seed in 0..50 {
            let along = numbers(rows, 100 + seed);
            let through = |j: usize| along.iter().zip(x[j..].iter().step_by(cols)).map(|(a, x)| a * x).sum();
            let turned: Vec<f32> = (0..cols).map(through).collect();
            let ratio = length(&turned) / length(&along);
            assert!((0.18..1.9).contains(&ratio), "a vector becomes {ratio} times as long");
        }
    }
}

#[test]
fn without_a_gradient_weights_only_decay() {
    for cores in each_isa() {
        let (before, mut m, mut v) = (numbers(6, 1), vec![0.0; 6], vec![0.0; 6]);
        let mut w = before.clone();
        muon(
            &cores,
            &mut w,
            &[0.0; 6],
            &mut m,
            &mut v,
            &[Place { start: 0, rows: 2, cols: 3, is_due: true }],
            &STEP,
        );
        let decayed: Vec<f64> = before.iter().map(|&w| f64::from(w) * (1.0 - 1e-3)).collect();
        assert_close("weights", &w, &decayed, 1e-6);
    }
}

/// Three steps: weights, momentum and the mean squares of rows.
fn three_steps(cores: &Cores, [rows, cols]: [usize; 2]) -> [Vec<f32>; 3] {
    let n = rows * cols;
    let (mut w, mut m, mut v) = (numbers(n, 1), vec![0.0; n], vec![0.0; n]);
    for step in 0..3 {
        muon(
            cores,
            &mut w,
            &numbers(n, 10 + step),
            &mut m,
            &mut v,
            &[Place { start: 0, rows, cols, is_due: true }],
            &STEP,
        );
    }
    v.truncate(rows);
    [w, m, v]
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
            let (mut m, mut v) = (vec![0.0; n], vec![0.0; rows]);
            for step in 0..3 {
                let g = numbers(n, 10 + step);
                let toward = |m: f64, g: f32| momentum * m + (1.0 - momentum) * f64::from(g);
                m.iter_mut().zip(&g).for_each(|(m, &g)| *m = toward(*m, g));
                let ahead: Vec<f64> = m.iter().zip(&g).map(|(&m, &g)| toward(m, g)).collect();
                let mut steps = expected(&ahead, shape);
                for (row, v) in steps.chunks_mut(cols).zip(&mut v) {
                    let mean = row.iter().map(|x| x * x).sum::<f64>() / cols as f64;
                    *v = f64::from(ROW_DECAY) * *v + (1.0 - f64::from(ROW_DECAY)) * mean;
                    row.iter_mut().for_each(|x| *x /= v.sqrt());
                }
                let squares: f64 = steps.iter().map(|x| x * x).sum();
                let reach = f64::from(LIKE_ADAMW) / (squares / n as f64).sqrt();
                w.iter_mut().zip(steps).for_each(|(w, x)| *w -= rate * (decay * *w + reach * x));
            }
            let [got_w, got_m, got_v] = three_steps(&cores, shape);
            assert_close(&format!("rows of {rows} × {cols}"), &got_v, &v, 2e-4);
            assert_close(&format!("momentum of {rows} × {cols}"), &got_m, &m, 1e-6);
            assert_close(&format!("weights of {rows} × {cols}"), &got_w, &w, 1e-4);
        }
    }
}

/// A matrix that is not due gathers momentum alone, as if its next step came later.
#[test]
fn what_is_not_due_gathers_momentum() {
    for cores in each_isa() {
        let (w, g) = (numbers(12, 1), numbers(12, 2));
        let (mut after, mut m, mut v) = (w.clone(), vec![0.0; 12], vec![0.0; 12]);
        let place = |start, is_due| Place { start, rows: 2, cols: 3, is_due };
        muon(&cores, &mut after, &g, &mut m, &mut v, &[place(0, false), place(6, true)], &STEP);
        assert_same_bits("weights", &after[..6], &w[..6]);
        assert!(after[6..].iter().zip(&w[6..]).all(|(after, before)| after != before));
        let expected: Vec<f64> = g.iter().map(|&g| 0.05 * f64::from(g)).collect();
        assert_close("momentum", &m, &expected, 1e-6);
        assert_eq!(v[..6], [0.0; 6]);
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
