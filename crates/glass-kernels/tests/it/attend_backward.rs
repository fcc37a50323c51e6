//! The backward pass of attention, and dropout on its pattern: compared with the reference and its finite
//! differences, and the guarantees about bits.

use glass_kernels::Cores;
use glass_kernels::attend::*;
use glass_kernels::dropout::Dropout;

use crate::attend::Case;
use crate::close::{assert_close, assert_same_bits, each_cut, each_isa, numbers};
use crate::naive::{Sequence, wide};
use crate::slopes::{assert_slopes, dot};

type Mask<'a> = &'a dyn Fn(usize, usize, usize) -> f64;

fn gradients(cores: &Cores, case: &Case, dz: &[f32], dropout: Option<Dropout>) -> [Vec<f32>; 3] {
    let (z, sums) = case.attend(cores, dropout);
    let nan = |like: &[f32]| vec![f32::NAN; like.len()];
    let (mut dq, mut dk, mut dv) = (nan(&case.q), nan(&case.k), nan(&case.v));
    let (q, k, v, spans) = (&case.q, &case.k, &case.v, [Span { rows: 0..case.rows, slot: 0, past: 0 }]);
    attend_backward(cores, &mut dq, &mut dk, &mut dv, dz, q, k, v, &z, &sums, case.heads, &spans, dropout);
    [dq, dk, dv]
}

/// dq, dk and dv against the slopes of `Σ z dz`.
fn assert_gradients(what: &str, oracle: &Sequence, dz: &[f32], gradients: &[Vec<f32>; 3], mask: Mask<'_>) {
    let dz = wide(dz);
    let f = |s: Sequence| dot(&s.attend(mask).0, &dz);
    let [dq, dk, dv] = gradients;
    let with_q = |q: &[f64]| f(Sequence { q: q.to_vec(), ..oracle.clone() });
    let with_k = |k: &[f64]| f(Sequence { k: k.to_vec(), ..oracle.clone() });
    let with_v = |v: &[f64]| f(Sequence { v: v.to_vec(), ..oracle.clone() });
    assert_slopes(&format!("dq {what}"), with_q, &oracle.q, dq, 2e-5);
    assert_slopes(&format!("dk {what}"), with_k, &oracle.k, dk, 1e-4);
    assert_slopes(&format!("dv {what}"), with_v, &oracle.v, dv, 2e-5);
}

#[test]
fn gradients_are_slopes() {
    for cores in each_isa() {
        for shape in
            [[1, 0, 1, 1, 4], [9, 0, 2, 1, 7], [66, 0, 2, 2, 16], [131, 0, 2, 1, 8], [50, 0, 3, 3, 33]]
        {
            let (case, dz) = (Case::new(shape, 21), numbers(shape[0] * shape[2] * shape[4], 22));
            let gradients = gradients(&cores, &case, &dz, None);
            let what = format!("{shape:?} {:?}", cores.isa());
            assert_gradients(&what, &case.oracle(), &dz, &gradients, &|_, _, _| 1.0);
        }
    }
}

#[test]
fn dropout_falls_on_the_pattern_forward_and_backward() {
    let dropout = Dropout { rate: 0.3, key: Dropout::key(1, 2, 3), first_sample: 5 };
    let (rows, queries, size) = (70, 2, 72);
    for cores in each_isa() {
        let mut case = Case::new([rows, 0, queries, 1, size], 31);
        let random = case.v.clone();
        // If every value has a one in its own column, z is the dropped pattern itself.
        case.v = (0..rows * size).map(|i| if i / size == i % size { 1.0 } else { 0.0 }).collect();
        let dropped = case.attend(&cores, Some(dropout)).0;
        let kept = |row: usize, head: usize, j: usize| dropped[(row * queries + head) * size + j] > 0.0;
        let mask = |row: usize, head: usize, j: usize| if kept(row, head, j) { 1.0 / 0.7 } else { 0.0 };
        let seen = (0..rows).flat_map(|row| (0..=row).map(move |j| (row, j)));
        let (all, same) = seen.fold((0, 0), |(all, same), (row, j)| {
            (all + 2, same + usize::from(kept(row, 0, j)) + usize::from(kept(row, 1, j)))
        });
        let share = f64::from(same as u32) / f64::from(all);
        assert!((share - 0.7).abs() < 0.035, "{share} kept");

        case.v = random;
        let (z, sums) = case.attend(&cores, Some(dropout));
        let (expected, expected_sums) = case.oracle().attend(&mask);
        assert_close("z", &z, &expected, 4e-6);
        assert_close("sums are those without dropout", &sums, &expected_sums, 4e-6);
        let dz = numbers(z.len(), 32);
        let gradients = gradients(&cores, &case, &dz, Some(dropout));
        assert_gradients("dropped", &case.oracle(), &dz, &gradients, &mask);
    }
}

/// Three sequences in one batch: dq, dk, dv of all, and of each alone.
fn batch(cores: &Cores, dropout: Dropout) -> ([Vec<f32>; 3], [Vec<f32>; 3]) {
    let (mut spans, mut all) = (Vec::new(), <[Vec<f32>; 6]>::default());
    let mut alone = <[Vec<f32>; 3]>::default();
    let heads = Heads::new(4, 2, 20);
    for (slot, rows) in [70, 1, 130].into_iter().enumerate() {
        let case = Case::new([rows, 0, 4, 2, 20], 40 + slot as u64);
        let dz = numbers(case.q.len(), 50 + slot as u64);
        let here = Dropout { first_sample: slot as u32, ..dropout };
        let (z, sums) = case.attend(cores, Some(here));
        let own = gradients(cores, &case, &dz, Some(here));
        alone.iter_mut().zip(own).for_each(|(alone, own)| alone.extend(own));
        let start = all[0].len() / 80;
        spans.push(Span { rows: start..start + rows, slot, past: 0 });
        let parts = [case.q, case.k, case.v, dz, z, sums];
        all.iter_mut().zip(parts).for_each(|(all, part)| all.extend(part));
    }
    let [q, k, v, dz, z, sums] = &all;
    let (mut dq, mut dk, mut dv) = (q.clone(), k.clone(), v.clone());
    let dropout = Some(dropout);
    attend_backward(cores, &mut dq, &mut dk, &mut dv, dz, q, k, v, z, sums, heads, &spans, dropout);
    ([dq, dk, dv], alone)
}

#[test]
fn a_batch_is_each_alone_however_it_is_cut() {
    for dropout in [0.0, 0.2].map(|rate| Dropout { rate, key: 77, first_sample: 0 }) {
        for cores in each_isa() {
            let (one, alone) = batch(&cores, dropout);
            assert_same_bits("alone", &one.concat(), &alone.concat());
            for (what, cores) in each_cut(&cores) {
                assert_same_bits(&what, &batch(&cores, dropout).0.concat(), &one.concat());
            }
        }
    }
}
