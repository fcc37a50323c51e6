//! Dropout: its rate, its independence, and that only an element's position determines its mask.

use glass_kernels::Cores;
use glass_kernels::attend::Span;
use glass_kernels::dropout::{Dropout, dropout};

use crate::close::{assert_same_bits, each_isa};

fn site(rate: f32, site: u64) -> Dropout {
    Dropout { rate, key: Dropout::key(1, 2, site), first_sample: 0 }
}

/// The mask over `rows` positions of sample 0, as applied to ones.
fn mask(cores: &Cores, rows: usize, cols: usize, which: Dropout) -> Vec<f32> {
    let mut y = vec![1.0; rows * cols];
    dropout(cores, &mut y, cols, &[Span { rows: 0..rows, slot: 0, past: 0 }], which);
    y
}

/// The share of places where both are kept.
fn both(a: &[f32], b: &[f32]) -> f64 {
    a.iter().zip(b).filter(|(a, b)| **a > 0.0 && **b > 0.0).count() as f64 / a.len() as f64
}

#[test]
fn the_share_and_the_scale() {
    for cores in each_isa() {
        for rate in [0.0, 0.1, 0.5, 0.9] {
            let y = mask(&cores, 500, 768, site(rate, 3));
            let scale = 1.0 / (1.0 - rate);
            assert!(y.iter().all(|&y| y == 0.0 || y == scale));
            let dropped = y.iter().filter(|y| **y == 0.0).count() as f64 / y.len() as f64;
            // Five standard deviations.
            let bound = 5.0 * (f64::from(rate) * (1.0 - f64::from(rate)) / y.len() as f64).sqrt();
            assert!((dropped - f64::from(rate)).abs() <= bound + 1e-7, "{dropped} dropped at {rate}");
        }
    }
}

#[test]
fn neighbours_sites_and_samples_are_independent() {
    let cores = Cores::new(1);
    let (rows, cols) = (400, 512);
    let a = mask(&cores, rows, cols, site(0.5, 1));
    let other_site = mask(&cores, rows, cols, site(0.5, 2));
    let other_sample = mask(&cores, rows, cols, Dropout { first_sample: 1, ..site(0.5, 1) });
    let other_step = mask(&cores, rows, cols, Dropout { key: Dropout::key(1, 3, 1), ..site(0.5, 1) });
    let bound = 5.0 * (0.25 * 0.75 / a.len() as f64).sqrt();
    for (what, b) in [
        ("the next column", &a[1..]),
        ("16 columns on", &a[16..]),
        ("the next row", &a[cols..]),
        ("another row's next column", &a[cols + 1..]),
        ("64 rows on", &a[64 * cols..]),
        ("another site", &other_site[..]),
        ("the next sample", &other_sample[..]),
        ("the next step", &other_step[..]),
    ] {
        let share = both(&a[..b.len()], b);
        assert!((share - 0.25).abs() <= bound * 1.2, "{what}: {share} kept in both, expected 0.25");
    }
}

#[test]
fn only_its_own_place_decides() {
    for cores in each_isa() {
        let (cols, which) = (100, site(0.3, 9));
        let whole = mask(&cores, 40, cols, which);
        let mut batch = vec![1.0; 33 * cols];
        let spans = [Span { rows: 0..3, slot: 2, past: 30 }, Span { rows: 3..33, slot: 0, past: 5 }];
        dropout(&cores, &mut batch, cols, &spans, which);
        assert_same_bits("a piece of sample 0", &batch[3 * cols..], &whole[5 * cols..35 * cols]);
        let third = mask(&cores, 40, cols, Dropout { first_sample: 2, ..which });
        assert_same_bits("sample 2 in slot 2", &batch[..3 * cols], &third[30 * cols..33 * cols]);
        for threads in 2..=4 {
            let more = Cores::with(cores.isa(), threads).expect("it is there");
            assert_same_bits("threads", &mask(&more, 40, cols, which), &whole);
        }
        assert_same_bits("instruction sets", &mask(&Cores::new(1), 40, cols, which), &whole);
    }
}
