//! The backward pass of attention, and dropout on its pattern: compared with the reference and its finite
//! differences, and the guarantees about bits.

use glass_kernels::Cores;
use glass_kernels::attend::*;
use glass_kernels::dropout::Dropout;

use crate::attend::{Case, WAYS, Ways};
use crate::close::{assert_close, assert_same_bits, each_cut, each_isa, numbers};
use crate::naive::{Sequence, wide};
use crate::slopes::{assert_slopes_of_each, dot};

type Mask<'a> = &'a dyn Fn(usize, usize, usize) -> f64;

/// Of queries, keys, values and sinks.
type Gradients = [Vec<f32>; 4];

fn gradients(cores: &Cores, case: &Case, dz: &[f32], dropout: Option<Dropout>) -> Gradients {
    let (z, sums) = case.attend(cores, dropout);
    let nan = |like: &[f32]| vec![f32::NAN; like.len()];
    let (mut dq, mut dk, mut dv) = (nan(&case.q), nan(&case.k), nan(&case.v));
    let (q, k, v, spans) = (&case.q, &case.k, &case.v, [Span { rows: 0..case.rows, slot: 0, past: 0 }]);
    let mut dsinks = vec![0.0; case.sinks.as_ref().map_or(0, Vec::len)];
    let sinks = case.sinks.as_deref().map(|sinks| (sinks, &mut dsinks[..]));
    attend_backward(
        cores, &mut dq, &mut dk, &mut dv, dz, q, k, v, &z, &sums, case.heads, sinks, &spans, dropout,
    );
    [dq, dk, dv, dsinks]
}

/// dq, dk, dv and those of the sinks, of every instruction set, against the slopes of `Σ z dz`.
fn assert_gradients(
    what: &str,
    oracle: &Sequence,
    dz: &[f32],
    gradients: &[(String, Gradients)],
    mask: Mask<'_>,
) {
    let dz = wide(dz);
    let f = |s: Sequence| dot(&s.attend(mask).0, &dz);
    let with_q = |q: &[f64]| f(Sequence { q: q.to_vec(), ..oracle.clone() });
    let with_k = |k: &[f64]| f(Sequence { k: k.to_vec(), ..oracle.clone() });
    let with_v = |v: &[f64]| f(Sequence { v: v.to_vec(), ..oracle.clone() });
    let with_sinks = |sinks: &[f64]| f(Sequence { sinks: Some(sinks.to_vec()), ..oracle.clone() });
    let each = |part: usize| -> Vec<(&str, &[f32])> {
        gradients.iter().map(|(isa, gradients)| (&isa[..], &gradients[part][..])).collect()
    };
    assert_slopes_of_each(&format!("dq {what}"), with_q, &oracle.q, &each(0), 2e-5);
    assert_slopes_of_each(&format!("dk {what}"), with_k, &oracle.k, &each(1), 1e-4);
    assert_slopes_of_each(&format!("dv {what}"), with_v, &oracle.v, &each(2), 2e-5);
    if let Some(sinks) = &oracle.sinks {
        assert_slopes_of_each(&format!("dsinks {what}"), with_sinks, sinks, &each(3), 2e-5);
    }
}

/// The gradients of every instruction set.
fn each_gradients(case: &Case, dz: &[f32], dropout: Option<Dropout>) -> Vec<(String, Gradients)> {
    each_isa().map(|cores| (format!("{:?}", cores.isa()), gradients(&cores, case, dz, dropout))).collect()
}

#[test]
fn gradients_are_slopes() {
    let shapes = [[1, 0, 1, 1, 4], [9, 0, 2, 1, 7], [66, 0, 2, 2, 16], [131, 0, 2, 1, 8], [50, 0, 3, 3, 33]];
    let plain = shapes.into_iter().map(|shape| (shape, WAYS[0]));
    let ways = WAYS[1..].iter().map(|&way| ([110, 0, 2, 1, 3], way));
    for (shape, way) in plain.chain(ways) {
        let (case, dz) = (Case::new(shape, 21).with(way), numbers(shape[0] * shape[2] * shape[4], 22));
        let gradients = each_gradients(&case, &dz, None);
        assert_gradients(&format!("{shape:?} {way:?}"), &case.oracle(), &dz, &gradients, &|_, _, _| 1.0);
    }
}

#[test]
fn dropout_falls_on_the_pattern_forward_and_backward() {
    let dropout = Dropout { rate: 0.3, key: Dropout::key(1, 2, 3), first_sample: 5 };
    let (rows, queries, size) = (70, 2, 72);
    for way in [WAYS[0], WAYS[8]] {
        let mut case = Case::new([rows, 0, queries, 1, size], 31).with(way);
        let random = case.v.clone();
        // If every value has a one in its own column, z is the dropped pattern itself.
        case.v = (0..rows * size).map(|i| if i / size == i % size { 1.0 } else { 0.0 }).collect();
        let kept = |cores: &Cores| -> Vec<bool> {
            case.attend(cores, Some(dropout)).0.iter().map(|dropped| *dropped > 0.0).collect()
        };
        let all_kept: Vec<_> = each_isa().map(|cores| kept(&cores)).collect();
        let same = &all_kept[0];
        all_kept.iter().for_each(|kept| assert!(kept == same, "the same with every instruction set"));
        let kept = |row: usize, head: usize, j: usize| same[(row * queries + head) * size + j];
        let mask = |row: usize, head: usize, j: usize| if kept(row, head, j) { 1.0 / 0.7 } else { 0.0 };
        let oracle = case.oracle();
        let pairs = (0..rows).flat_map(|row| (0..=row).map(move |j| (row, j)));
        let seen = pairs.filter(|&(row, j)| oracle.sees(row, j));
        let (all, same) = seen.fold((0, 0), |(all, same), (row, j)| {
            (all + 2, same + usize::from(kept(row, 0, j)) + usize::from(kept(row, 1, j)))
        });
        let share = f64::from(same as u32) / f64::from(all);
        assert!((share - 0.7).abs() < 1.7 / f64::from(all).sqrt() + 0.01, "{share} of {all} kept");

        case.v = random;
        let (expected, expected_sums) = case.oracle().attend(&mask);
        for cores in each_isa() {
            let (z, sums) = case.attend(&cores, Some(dropout));
            assert_close("z", &z, &expected, 4e-6);
            assert_close("sums are those without dropout", &sums, &expected_sums, 4e-6);
        }
        let dz = numbers(case.q.len(), 32);
        let gradients = each_gradients(&case, &dz, Some(dropout));
        assert_gradients("dropped", &case.oracle(), &dz, &gradients, &mask);
    }
}

/// Three sequences in one batch: the gradients of all, and of each alone.
fn batch(cores: &Cores, dropout: Dropout, way: Ways) -> (Gradients, Gradients) {
    let (mut spans, mut all) = (Vec::new(), <[Vec<f32>; 6]>::default());
    let mut alone = Gradients::default();
    let (mut heads, mut sinks) = (Heads::new(4, 2, 20), None);
    for (slot, rows) in [70, 1, 130].into_iter().enumerate() {
        let case = Case::new([rows, 0, 4, 2, 20], 40 + slot as u64).with(way);
        let dz = numbers(case.q.len(), 50 + slot as u64);
        let here = Dropout { first_sample: slot as u32, ..dropout };
        let (z, sums) = case.attend(cores, Some(here));
        let own = gradients(cores, &case, &dz, Some(here));
        alone.iter_mut().zip(own).for_each(|(alone, own)| alone.extend(own));
        let start = all[0].len() / 80;
        spans.push(Span { rows: start..start + rows, slot, past: 0 });
        (heads, sinks) = (case.heads, case.sinks);
        let parts = [case.q, case.k, case.v, dz, z, sums];
        all.iter_mut().zip(parts).for_each(|(all, part)| all.extend(part));
    }
    let [q, k, v, dz, z, sums] = &all;
    let (mut dq, mut dk, mut dv) = (q.clone(), k.clone(), v.clone());
    let mut dsinks = vec![0.0; sinks.as_ref().map_or(0, Vec::len)];
    let (dropout, own) = (Some(dropout), sinks.as_deref().map(|sinks| (sinks, &mut dsinks[..])));
    attend_backward(cores, &mut dq, &mut dk, &mut dv, dz, q, k, v, z, sums, heads, own, &spans, dropout);
    ([dq, dk, dv, dsinks], alone)
}

#[test]
fn a_batch_is_each_alone_however_it_is_cut() {
    let dropouts = [0.0, 0.2].map(|rate| Dropout { rate, key: 77, first_sample: 0 }).into_iter();
    for (dropout, way) in dropouts.flat_map(|dropout| WAYS.map(|way| (dropout, way))) {
        for cores in each_isa() {
            let (one, alone) = batch(&cores, dropout, way);
            assert_same_bits("alone", &one[..3].concat(), &alone[..3].concat());
            // A sink's gradient is summed over all sequences.
            for (head, sum) in one[3].iter().enumerate() {
                let parts: f64 = alone[3].iter().skip(head).step_by(4).map(|d| f64::from(*d)).sum();
                assert!((f64::from(*sum) - parts).abs() < 1e-6 * (1.0 + parts.abs()), "{sum} and {parts}");
            }
            for (what, cores) in each_cut(&cores) {
                assert_same_bits(&what, &batch(&cores, dropout, way).0.concat(), &one.concat());
            }
        }
    }
}

#[test]
fn gradients_of_sinks_are_added() {
    let cores = Cores::new(1);
    let case = Case::new([9, 0, 2, 1, 8], 3).with((None, None, true));
    let (dz, (z, sums), sinks) = (numbers(case.q.len(), 4), case.attend(&cores, None), case.sinks.as_deref());
    let [.., expected] = gradients(&cores, &case, &dz, None);
    let (mut q, mut k, mut v, mut dsinks) = (case.q.clone(), case.k.clone(), case.v.clone(), vec![10.0; 2]);
    let both = sinks.map(|sinks| (sinks, &mut dsinks[..]));
    let (spans, heads) = ([Span { rows: 0..9, slot: 0, past: 0 }], case.heads);
    attend_backward(
        &cores, &mut q, &mut k, &mut v, &dz, &case.q, &case.k, &case.v, &z, &sums, heads, both, &spans, None,
    );
    assert_eq!(dsinks, [10.0 + expected[0], 10.0 + expected[1]]);
}
