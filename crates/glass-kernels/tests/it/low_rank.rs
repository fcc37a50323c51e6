//! Low-rank changes of linear layers.

use glass_kernels::attend::Span;
use glass_kernels::dropout::{Dropout, dropout};
use glass_kernels::low_rank::{InputDropout, LowRank, low_rank, low_rank_backward};
use glass_kernels::{Cores, Write};

use crate::close::{assert_close, assert_same_bits, each_cut, each_isa, numbers};
use crate::naive::{self, wide};

/// Rows, inputs, outputs, rank.
const SHAPES: [[usize; 4]; 5] =
    [[1, 1, 1, 1], [3, 40, 70, 4], [5, 33, 20, 8], [17, 96, 130, 3], [40, 64, 64, 16]];
const SCALE: f32 = 1.5;

struct Case {
    shape: [usize; 4],
    x: Vec<f32>,
    a: Vec<f32>,
    b: Vec<f32>,
    dy: Vec<f32>,
}

impl Case {
    fn new(shape: [usize; 4]) -> Self {
        let [rows, inputs, outputs, rank] = shape;
        let [x, a] = [rows * inputs, rank * inputs].map(|n| numbers(n, n as u64 + 1));
        let [b, dy] = [rank * outputs, rows * outputs].map(|n| numbers(n, n as u64 + 2));
        Case { shape, x, a, b, dy }
    }

    fn pair(&self) -> LowRank<'_> {
        LowRank { a: &self.a, b: &self.b, rank: self.shape[3], scale: SCALE }
    }

    fn forward(&self, cores: &Cores, x: &[f32], drops: InputDropout<'_>) -> Vec<f32> {
        let [_, inputs, outputs, _] = self.shape;
        let mut y = numbers(x.len() / inputs * outputs, 9);
        low_rank(cores, &mut y, x, self.pair(), drops);
        y
    }

    /// The gradients of x, a and b, each on top of what was there.
    fn backward(&self, cores: &Cores, write: Write, drops: InputDropout<'_>) -> [Vec<f32>; 3] {
        let mut grads = [&self.x, &self.a, &self.b].map(|of| numbers(of.len(), 10));
        let [dx, da, db] = &mut grads;
        low_rank_backward(cores, dx, [da, db], write, &self.dy, &self.x, self.pair(), drops);
        grads
    }

    /// `Σ y dy` changes by this for every element of x, a and b. It is linear in each of them, so differences are exact.
    fn slopes(&self, mask: &[f64]) -> [Vec<f64>; 3] {
        let [_, inputs, _, rank] = self.shape;
        let (own, dy) = ([&self.x, &self.a, &self.b].map(|of| wide(of)), wide(&self.dy));
        std::array::from_fn(|which| {
            let mut o = own.clone();
            let mut moved = |i: usize, by: f64| {
                o[which][i] = own[which][i] + by;
                let x: Vec<f64> = o[0].iter().zip(mask).map(|(x, kept)| x * kept).collect();
                let y = naive::low_rank(&x, &o[1], &o[2], [inputs, rank], f64::from(SCALE));
                o[which][i] = own[which][i];
                y.iter().zip(&dy).map(|(y, dy)| y * dy).sum::<f64>()
            };
            (0..own[which].len()).map(|i| (moved(i, 1.0) - moved(i, -1.0)) / 2.0).collect()
        })
    }
}

#[test]
fn it_is_the_textbook_product_of_two_products() {
    for case in SHAPES.map(Case::new) {
        let [rows, inputs, outputs, rank] = case.shape;
        let [x, a, b] = [&case.x, &case.a, &case.b].map(|of| wide(of));
        let before = wide(&numbers(rows * outputs, 9));
        let change = naive::low_rank(&x, &a, &b, [inputs, rank], f64::from(SCALE));
        let expected: Vec<f64> = before.iter().zip(&change).map(|(y, by)| y + by).collect();
        for cores in each_isa() {
            let y = case.forward(&cores, &case.x, None);
            assert_close(&format!("{:?} {:?}", cores.isa(), case.shape), &y, &expected, 1e-5);
        }
    }
}

#[test]
fn a_row_has_the_same_bits_alone_and_however_the_work_is_cut() {
    for case in SHAPES.map(Case::new) {
        for cores in each_isa() {
            let together = case.forward(&cores, &case.x, None);
            for (what, cut) in each_cut(&cores) {
                assert_same_bits(&what, &case.forward(&cut, &case.x, None), &together);
            }
            let outputs = case.shape[2];
            let first = case.forward(&cores, &case.x[..case.shape[1]], None);
            assert_same_bits("the first row alone", &first, &together[..outputs]);
        }
    }
}

#[test]
fn gradients_are_differences() {
    let drop = Dropout { rate: 0.3, key: Dropout::key(1, 2, 3), first_sample: 4 };
    for case in SHAPES.map(Case::new) {
        let [rows, inputs, ..] = case.shape;
        let spans = [Span { rows: 0..rows, slot: 0, past: 0 }];
        for drops in [None, Some((drop, &spans[..]))] {
            let mut mask = vec![1.0; case.x.len()];
            if let Some((drop, spans)) = drops {
                dropout(&Cores::new(1), &mut mask, inputs, spans, drop);
            }
            let slopes = case.slopes(&wide(&mask));
            for cores in each_isa() {
                for write in [Write::Set, Write::Add] {
                    let found = case.backward(&cores, write, drops);
                    for (which, (found, slopes)) in found.iter().zip(&slopes).enumerate() {
                        // The gradient of x is always added.
                        let adds = which == 0 || write == Write::Add;
                        let before = numbers(found.len(), 10);
                        let sum = |(slope, before): (&f64, &f32)| {
                            slope + if adds { f64::from(*before) } else { 0.0 }
                        };
                        let expected: Vec<f64> = slopes.iter().zip(&before).map(sum).collect();
                        let what = format!("{which} of {:?} {:?} {write:?}", case.shape, cores.isa());
                        assert_close(&what, found, &expected, 3e-5);
                    }
                }
            }
        }
    }
}
