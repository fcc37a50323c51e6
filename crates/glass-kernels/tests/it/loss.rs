//! The loss and its gradient.

use glass_kernels::Cores;
use glass_kernels::cap::cap;
use glass_kernels::loss::{IGNORE, distil, loss};

use crate::close::{assert_close, assert_same_bits, each_isa, numbers};
use crate::naive::{self, wide};
use crate::slopes::assert_slopes;

const SHAPES: [[usize; 2]; 6] = [[1, 1], [4, 7], [3, 64], [9, 130], [2, 5003], [20, 257]];

fn case([rows, cols]: [usize; 2]) -> (Vec<f32>, Vec<u32>) {
    let logits = numbers(rows * cols, 31).iter().map(|x| 8.0 * x).collect();
    let target = |r: usize| if r % 4 == 3 { IGNORE } else { (r * 37 % cols) as u32 };
    (logits, (0..rows).map(target).collect())
}

fn run(cores: &Cores, logits: &[f32], targets: &[u32], cols: usize, scale: Option<f32>) -> [Vec<f32>; 2] {
    run_capped(cores, logits, targets, cols, scale, None)
}

fn run_capped(
    cores: &Cores,
    logits: &[f32],
    targets: &[u32],
    cols: usize,
    scale: Option<f32>,
    cap: Option<f32>,
) -> [Vec<f32>; 2] {
    let (mut logits, mut losses) = (logits.to_vec(), vec![f32::NAN; targets.len()]);
    let scales = scale.map(|scale| vec![scale; targets.len()]);
    loss(cores, &mut logits, &mut losses, targets, cols, scales.as_deref(), cap);
    [losses, logits]
}

fn counted(targets: &[u32]) -> Vec<Option<usize>> {
    targets.iter().map(|&t| (t != IGNORE).then_some(t as usize)).collect()
}

#[test]
fn loss_is_the_oracle_with_and_without_gradient() {
    for cores in each_isa() {
        for shape in SHAPES {
            let (logits, targets) = case(shape);
            let expected = naive::loss(&wide(&logits), &counted(&targets), shape[1]);
            let [losses, after] = run(&cores, &logits, &targets, shape[1], None);
            assert_close(&format!("{shape:?} {:?}", cores.isa()), &losses, &expected, 4e-6);
            assert_same_bits("logits are left as they are", &after, &logits);
            assert_same_bits(
                "with gradient",
                &run(&cores, &logits, &targets, shape[1], Some(0.5))[0],
                &losses,
            );
        }
    }
}

#[test]
fn its_gradient_is_its_slope() {
    for cores in each_isa() {
        for shape in SHAPES {
            let (logits, targets) = case(shape);
            let [_, gradient] = run(&cores, &logits, &targets, shape[1], Some(0.5));
            let f = |x: &[f64]| 0.5 * naive::loss(x, &counted(&targets), shape[1]).iter().sum::<f64>();
            assert_slopes(&format!("{shape:?} {:?}", cores.isa()), f, &wide(&logits), &gradient, 1e-6);
            for (row, &target) in gradient.chunks(shape[1]).zip(&targets) {
                let sum: f32 = row.iter().sum();
                assert!(sum.abs() < 1e-5, "a gradient sums to zero, not {sum}");
                assert!(target != IGNORE || row.iter().all(|&x| x == 0.0), "an ignored row has none");
            }
        }
    }
}

#[test]
fn every_row_has_its_own_scale() {
    for cores in each_isa() {
        for cap in [None, Some(9.0)] {
            let (logits, targets) = case([9, 130]);
            let scales: Vec<f32> = (0..9).map(|r| [0.5, -2.0, 0.0][r % 3]).collect();
            let (mut gradient, mut losses) = (logits.clone(), vec![f32::NAN; 9]);
            loss(&cores, &mut gradient, &mut losses, &targets, 130, Some(&scales), cap);
            for (r, &scale) in scales.iter().enumerate() {
                let (row, target) = (r * 130..(r + 1) * 130, &targets[r..=r]);
                let [one, alone] = run_capped(&cores, &logits[row.clone()], target, 130, Some(scale), cap);
                assert_same_bits("its loss", &losses[r..=r], &one);
                assert_same_bits("its gradient", &gradient[row], &alone);
            }
        }
    }
}

#[test]
fn with_a_cap_the_gradient_is_that_of_what_was_capped() {
    for cores in each_isa() {
        for shape in SHAPES {
            for c in [30.0, 3.0] {
                let (raw, targets) = case(shape);
                let mut logits = raw.clone();
                cap(&cores, &mut logits, c);
                let what = format!("{shape:?} {c} {:?}", cores.isa());
                let capped = |scale, c| run_capped(&cores, &logits, &targets, shape[1], scale, c);
                let [losses, gradient] = capped(Some(0.5), Some(c));
                assert_same_bits("the loss is that of the logits", &losses, &capped(None, None)[0]);
                assert_same_bits("without a gradient they stay", &capped(None, Some(c))[1], &logits);
                let f = |x: &[f64]| {
                    let y: Vec<f64> = x.iter().map(|&x| naive::cap(x, f64::from(c))).collect();
                    0.5 * naive::loss(&y, &counted(&targets), shape[1]).iter().sum::<f64>()
                };
                assert_slopes(&what, f, &wide(&raw), &gradient, 1e-6);
            }
        }
    }
}

#[test]
fn what_is_not_finite_surfaces() {
    for cores in each_isa() {
        for bad in [f32::NAN, f32::INFINITY] {
            for at in [0, 40, 99] {
                let mut logits = numbers(100, 3);
                logits[at] = bad;
                for scale in [None, Some(1.0)] {
                    let [losses, _] = run(&cores, &logits, &[7], 100, scale);
                    assert!(!losses[0].is_finite(), "{bad} at {at} gave {}", losses[0]);
                }
            }
        }
        let mut logits = vec![-3e38; 50];
        logits[4] = 3e38;
        assert_eq!(run(&cores, &logits, &[4], 50, None)[0], [0.0], "huge and certain");
        assert!(!run(&cores, &logits, &[5], 50, None)[0][0].is_nan(), "huge and wrong");
    }
}

#[test]
#[should_panic(expected = "outside")]
fn a_target_outside_the_columns_is_refused() {
    run(&Cores::new(2), &[0.0; 10], &[2, 5], 5, None);
}

#[test]
fn threads_change_no_bit() {
    for cores in each_isa() {
        let (logits, targets) = case([33, 1001]);
        for cap in [None, Some(9.0)] {
            let gradient =
                |cores: &Cores| run_capped(cores, &logits, &targets, 1001, Some(0.1), cap).concat();
            for threads in 2..=4 {
                let more = Cores::with(cores.isa(), threads).expect("it is there");
                assert_same_bits("threads", &gradient(&more), &gradient(&cores));
            }
        }
    }
}

/// Distributions as targets, the last of which is empty.
fn distributions([rows, cols]: [usize; 2]) -> Vec<f32> {
    let mut targets: Vec<f32> = numbers(rows * cols, 77).iter().map(|x| (5.0 * x).exp()).collect();
    for (r, row) in targets.chunks_mut(cols).enumerate() {
        let sum: f32 = row.iter().sum();
        row.iter_mut().for_each(|x| *x *= if r + 1 == rows && rows > 1 { 0.0 } else { 1.0 / sum });
    }
    targets
}

#[test]
fn a_distribution_as_target_is_a_sum_over_its_tokens() {
    for cores in each_isa() {
        for shape in SHAPES {
            let (logits, targets) = (case(shape).0, distributions(shape));
            let f = |x: &[f64]| -> Vec<f64> {
                let of = |token: usize| naive::loss(x, &vec![Some(token); shape[0]], shape[1]);
                let mut losses = vec![0.0; shape[0]];
                for token in 0..shape[1] {
                    let each = of(token);
                    (0..shape[0]).for_each(|r| {
                        losses[r] += f64::from(targets[r * shape[1] + token]) * each[r];
                    });
                }
                losses
            };
            let what = format!("{shape:?} {:?}", cores.isa());
            let run = |scale| {
                let (mut x, mut losses) = (logits.clone(), vec![f32::NAN; shape[0]]);
                distil(&cores, &mut x, &mut losses, &targets, shape[1], scale);
                (x, losses)
            };
            let ((same, losses), (gradient, again)) = (run(None), run(Some(0.5)));
            assert_same_bits("logits are left as they are", &same, &logits);
            assert_same_bits("with gradient", &again, &losses);
            if shape[1] < 1000 {
                assert_close(&what, &losses, &f(&wide(&logits)), 1e-5);
                assert_slopes(&what, |x| 0.5 * f(x).iter().sum::<f64>(), &wide(&logits), &gradient, 1e-6);
            }
        }
    }
    // With one token alone it is the usual loss.
    let (logits, cores) = (case([3, 64]).0, Cores::new(1));
    let mut targets = vec![0.0; 3 * 64];
    [5, 9, 63].iter().enumerate().for_each(|(r, token)| targets[r * 64 + token] = 1.0);
    let (mut x, mut losses) = (logits.clone(), vec![0.0; 3]);
    distil(&cores, &mut x, &mut losses, &targets, 64, Some(1.0));
    let [expected, gradient] = run(&cores, &logits, &[5, 9, 63], 64, Some(1.0));
    assert_close("losses", &losses, &wide(&expected), 2e-6);
    assert_close("gradients", &x, &wide(&gradient), 2e-6);
}
