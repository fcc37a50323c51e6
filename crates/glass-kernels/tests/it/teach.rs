//! Learning from a teacher's distributions: the oracle, slopes, and what it comes down to at its ends.

use glass_kernels::Cores;
use glass_kernels::cap::cap;
use glass_kernels::loss::{IGNORE, loss};
use glass_kernels::teach::{Teaching, teach};

use crate::close::{assert_close, assert_same_bits, each_isa, numbers};
use crate::naive::{self, wide};
use crate::slopes::assert_slopes;

const SHAPES: [[usize; 2]; 5] = [[1, 1], [4, 7], [3, 64], [9, 130], [2, 5003]];

fn case([rows, cols]: [usize; 2]) -> (Vec<f32>, Vec<f32>, Vec<u32>) {
    let logits = |seed| numbers(rows * cols, seed).iter().map(|x| 6.0 * x).collect();
    let target = |r: usize| if r % 4 == 3 { IGNORE } else { (r * 37 % cols) as u32 };
    (logits(31), logits(77), (0..rows).map(target).collect())
}

fn run(
    cores: &Cores,
    [logits, teacher]: [&[f32]; 2],
    targets: &[u32],
    teaching: Teaching,
    scale: Option<f32>,
    cap: Option<f32>,
) -> [Vec<f32>; 2] {
    let (mut logits, mut teacher) = (logits.to_vec(), teacher.to_vec());
    let (cols, mut losses) = (logits.len() / targets.len(), vec![f32::NAN; 2 * targets.len()]);
    teach(cores, &mut logits, &mut teacher, &mut losses, targets, cols, &teaching, scale, cap);
    [losses, logits]
}

/// Both losses of each row, as their definitions say.
fn oracle(x: &[f64], teacher: &[f32], targets: &[u32], teaching: Teaching) -> Vec<f64> {
    let cols = x.len() / targets.len();
    let t = f64::from(teaching.temperature);
    let softmax = |logits: &[f64]| -> Vec<f64> {
        let most = logits.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let powers: Vec<f64> = logits.iter().map(|x| ((x - most) / t).exp()).collect();
        let sum: f64 = powers.iter().sum();
        powers.iter().map(|power| power / sum).collect()
    };
    let of_row = |r: usize| {
        if targets[r] == IGNORE {
            return [0.0; 2];
        }
        let (x, y) = (&x[r * cols..][..cols], wide(&teacher[r * cols..][..cols]));
        let mut order: Vec<usize> = (0..cols).collect();
        order.sort_by(|&a, &b| y[b].total_cmp(&y[a]).then(a.cmp(&b)));
        let mut kept = vec![f64::NEG_INFINITY; cols];
        order.iter().take(teaching.top.unwrap_or(cols)).for_each(|&id| kept[id] = y[id]);
        let (q, p) = (softmax(x), softmax(&kept));
        let terms = p.iter().zip(&q).filter(|(p, _)| **p > 0.0);
        [naive::loss(x, &[Some(targets[r] as usize)], cols)[0], terms.map(|(p, q)| p * (p / q).ln()).sum()]
    };
    (0..targets.len()).flat_map(of_row).collect()
}

fn teachings() -> Vec<Teaching> {
    let of = |share, temperature, top| Teaching { share, temperature, top };
    vec![
        of(0.5, 1.0, None),
        of(0.3, 2.0, None),
        of(1.0, 0.7, Some(3)),
        of(0.8, 4.0, Some(40)),
        of(0.0, 2.0, None),
    ]
}

#[test]
fn both_losses_are_the_oracle_and_their_gradient_is_the_slope() {
    for cores in each_isa() {
        for (shape, teaching) in
            SHAPES.into_iter().flat_map(|shape| teachings().into_iter().map(move |t| (shape, t)))
        {
            let (raw, teacher, targets) = case(shape);
            for c in [None, Some(5.0)] {
                let mut logits = raw.clone();
                c.into_iter().for_each(|c| cap(&cores, &mut logits, c));
                let what = format!("{shape:?} {teaching:?} {c:?} {:?}", cores.isa());
                let run = |scale| run(&cores, [&logits, &teacher], &targets, teaching, scale, c);
                let ([losses, same], [again, gradient]) = (run(None), run(Some(0.5)));
                assert_close(&what, &losses, &oracle(&wide(&logits), &teacher, &targets, teaching), 1e-5);
                assert_same_bits("logits are left as they are", &same, &logits);
                assert_same_bits("with gradient", &again, &losses);
                if shape[1] > 1000 {
                    continue;
                }
                let f = |x: &[f64]| {
                    let y: Vec<f64> = match c {
                        Some(c) => x.iter().map(|&x| naive::cap(x, f64::from(c))).collect(),
                        None => x.to_vec(),
                    };
                    let both = oracle(&y, &teacher, &targets, teaching);
                    let [share, t] = [teaching.share, teaching.temperature].map(f64::from);
                    let rows = both.chunks(2).map(|both| (1.0 - share) * both[0] + share * t * t * both[1]);
                    0.5 * rows.sum::<f64>()
                };
                assert_slopes(&what, f, &wide(&raw), &gradient, 2e-6);
            }
        }
    }
}

#[test]
fn without_a_share_it_is_the_plain_loss_to_the_bit() {
    for cores in each_isa() {
        for c in [None, Some(9.0)] {
            let (logits, teacher, targets) = case([9, 130]);
            let teaching = Teaching { share: 0.0, temperature: 2.0, top: None };
            let [losses, gradient] = run(&cores, [&logits, &teacher], &targets, teaching, Some(0.5), c);
            let (mut plain, mut expected) = (logits.clone(), vec![0.0; 9]);
            loss(&cores, &mut plain, &mut expected, &targets, 130, Some(&[0.5; 9]), c);
            assert_same_bits("gradient", &gradient, &plain);
            let losses: Vec<f32> = losses.chunks(2).map(|both| both[0]).collect();
            assert_same_bits("loss", &losses, &expected);
        }
    }
}

#[test]
fn the_largest_of_all_are_all_and_a_model_learns_nothing_from_itself() {
    for cores in each_isa() {
        let (logits, teacher, targets) = case([9, 130]);
        let of = |top| Teaching { share: 1.0, temperature: 2.0, top };
        let run = |teacher: &[f32], top| run(&cores, [&logits, teacher], &targets, of(top), Some(1.0), None);
        let whole = run(&teacher, None);
        for top in [130, 1000] {
            let same = run(&teacher, Some(top));
            assert_same_bits("losses", &same[0], &whole[0]);
            assert_same_bits("gradient", &same[1], &whole[1]);
        }
        assert!(whole[1] != run(&teacher, Some(129))[1], "one fewer is another distribution");
        let [losses, gradient] = run(&logits, None);
        assert!(losses.chunks(2).all(|both| both[1].abs() < 1e-6), "{losses:?}");
        assert!(gradient.iter().all(|slope| *slope == 0.0));
    }
}

#[test]
fn of_equal_logits_the_first_are_kept() {
    let (cores, teacher) = (Cores::new(1), [1.0, 2.0, 2.0, 2.0, 0.0]);
    let teaching = Teaching { share: 1.0, temperature: 1.0, top: Some(2) };
    let [_, gradient] = run(&cores, [&[0.0; 5], &teacher], &[0], teaching, Some(1.0), None);
    assert_close("q − p", &gradient, &[0.2, -0.3, -0.3, 0.2, 0.2], 1e-6);
}

#[test]
fn what_is_not_finite_surfaces_and_threads_change_no_bit() {
    for cores in each_isa() {
        let (logits, teacher, targets) = case([33, 1001]);
        for top in [None, Some(20)] {
            let teaching = Teaching { share: 0.5, temperature: 2.0, top };
            let all =
                |cores: &Cores| run(cores, [&logits, &teacher], &targets, teaching, Some(0.1), None).concat();
            for threads in 2..=4 {
                let more = Cores::with(cores.isa(), threads).expect("it is there");
                assert_same_bits("threads", &all(&more), &all(&cores));
            }
            for side in 0..2 {
                let mut sides = [logits.clone(), teacher.clone()];
                sides[side][1001 + 17] = f32::NAN;
                let [losses, _] = run(&cores, [&sides[0], &sides[1]], &targets, teaching, Some(0.1), None);
                assert!(losses[3].is_nan() && losses[1].is_finite(), "{:?}", &losses[..4]);
            }
        }
    }
}
