//! Rotary positions.

use glass_kernels::Cores;
use glass_kernels::rotate::{Pairs, Rotation, angles, rotate, rotate_backward};

use crate::close::{assert_same_bits, each_isa, numbers};
use crate::naive::{self, wide};
use crate::slopes::{assert_slopes, dot};

/// Heads, their size, and how much of it is turned.
const SHAPES: [[usize; 3]; 9] = [
    [1, 2, 2],
    [3, 5, 4],
    [2, 12, 12],
    [9, 64, 64],
    [3, 64, 16],
    [2, 96, 90],
    [8, 80, 32],
    [4, 128, 128],
    [1, 256, 256],
];

const PAIRS: [Pairs; 2] = [Pairs::Halves, Pairs::Neighbours];

/// Positions in no order, one of them twice.
const POSITIONS: [usize; 6] = [103, 100, 111, 103, 107, 101];

/// Tables for rows at these positions, with a factor.
fn tables(width: usize, positions: &[usize]) -> (Vec<f32>, Vec<f32>) {
    let frequencies: Vec<f64> =
        (0..width / 2).map(|i| 10_000f64.powf(-2.0 * i as f64 / width as f64)).collect();
    let [mut cos, mut sin] = [0; 2].map(|_| vec![0.0; positions.len() * width / 2]);
    let rows = cos.chunks_exact_mut(width / 2).zip(sin.chunks_exact_mut(width / 2));
    for (&position, (cos, sin)) in positions.iter().zip(rows) {
        angles(cos, sin, position, &frequencies, 1.25);
    }
    (cos, sin)
}

/// The elements of a pair.
fn pair(pairs: Pairs, width: usize, i: usize) -> [usize; 2] {
    match pairs {
        Pairs::Halves => [i, i + width / 2],
        Pairs::Neighbours => [2 * i, 2 * i + 1],
    }
}

type Turn = fn(&Cores, &mut [f32], usize, Rotation<'_>);

fn turned(cores: &Cores, turn: Turn, x: &[f32], [heads, size, width]: [usize; 3], pairs: Pairs) -> Vec<f32> {
    let ((cos, sin), mut x) = (tables(width, &POSITIONS), x.to_vec());
    turn(cores, &mut x, heads, Rotation { pairs, size, width, cos: &cos, sin: &sin });
    x
}

fn oracle(x: &[f64], shape: [usize; 3], pairs: Pairs) -> Vec<f64> {
    let (cos, sin) = tables(shape[2], &POSITIONS);
    naive::rotate(x, shape, |i| pair(pairs, shape[2], i), &wide(&cos), &wide(&sin))
}

fn each_case() -> impl Iterator<Item = (Cores, [usize; 3], Pairs, usize)> {
    let shapes = || SHAPES.into_iter().flat_map(|shape| PAIRS.map(|pairs| (shape, pairs)));
    let all = move || shapes().flat_map(|(shape, pairs)| [1, 4].map(|each| (shape, pairs, each)));
    each_isa().flat_map(move |cores| {
        let (isa, all) = (cores.isa(), all());
        all.map(move |(shape, pairs, each)| (Cores::with(isa, 1).expect("it is there"), shape, pairs, each))
    })
}

/// Within 2⁻²³ of the length of the pair, and untouched beyond the width.
#[test]
fn pairs_are_turned_as_in_the_oracle() {
    for (cores, shape, pairs, each) in each_case() {
        let [heads, size, width] = shape;
        let x = numbers(POSITIONS.len() * each * heads * size, 1);
        let (y, expected) = (turned(&cores, rotate, &x, shape, pairs), oracle(&wide(&x), shape, pairs));
        for (h, (y, expected)) in y.chunks(size).zip(expected.chunks(size)).enumerate() {
            let what = format!("{shape:?} {pairs:?} head {h} {:?}", cores.isa());
            assert_same_bits(&what, &y[width..], &x[h * size..][width..size]);
            for i in 0..width / 2 {
                let [a, b] = pair(pairs, width, i);
                let length = expected[a].hypot(expected[b]);
                for at in [a, b] {
                    let error = (f64::from(y[at]) - expected[at]).abs();
                    assert!(error <= length / 8_388_608.0, "{what}: {at} is off by {error} of {length}");
                }
            }
        }
    }
}

#[test]
fn the_gradient_is_the_slope() {
    for (cores, shape, pairs, each) in each_case() {
        let [x, dy] = [1, 2].map(|seed| numbers(POSITIONS.len() * each * shape[0] * shape[1], seed));
        let dx = turned(&cores, rotate_backward, &dy, shape, pairs);
        let f = |x: &[f64]| dot(&oracle(x, shape, pairs), &wide(&dy));
        assert_slopes(&format!("{shape:?} {pairs:?} {:?}", cores.isa()), f, &wide(&x), &dx, 1e-6);
    }
}

/// Rows that share a position are as those rows with a position each; both kinds of pairs, with elements in their order, are one.
#[test]
fn neighbouring_rows_and_both_kinds_of_pairs_have_the_same_bits() {
    for (cores, shape, pairs, each) in each_case() {
        let [heads, size, width] = shape;
        let x = numbers(POSITIONS.len() * each * heads * size, 3);
        let expected = turned(&cores, rotate, &x, shape, pairs);
        let mut y = x.clone();
        let positions: Vec<usize> = POSITIONS.iter().flat_map(|&position| vec![position; each]).collect();
        let (cos, sin) = tables(width, &positions);
        rotate(&cores, &mut y, heads, Rotation { pairs, size, width, cos: &cos, sin: &sin });
        assert_same_bits("each row its position", &y, &expected);

        let other = if pairs == Pairs::Halves { Pairs::Neighbours } else { Pairs::Halves };
        let permuted = |x: &[f32]| {
            let mut to = x.to_vec();
            for (to, x) in to.chunks_mut(size).zip(x.chunks(size)) {
                for (from, at) in
                    (0..width / 2).flat_map(|i| std::iter::zip(pair(pairs, width, i), pair(other, width, i)))
                {
                    to[at] = x[from];
                }
            }
            to
        };
        let got = turned(&cores, rotate, &permuted(&x), shape, other);
        assert_same_bits("the other order", &got, &permuted(&expected));
    }
}

#[test]
fn threads_change_no_bit() {
    let positions: Vec<usize> = (0..300).map(|i| i * 7 % 12).collect();
    let (cos, sin) = tables(64, &positions);
    for cores in each_isa() {
        for pairs in PAIRS {
            let run = |cores: &Cores| {
                let mut x = numbers(300 * 9 * 64, 5);
                let rotation = Rotation { pairs, size: 64, width: 64, cos: &cos, sin: &sin };
                rotate(cores, &mut x, 9, rotation);
                x
            };
            for threads in 2..=4 {
                let more = Cores::with(cores.isa(), threads).expect("it is there");
                assert_same_bits("threads", &run(&more), &run(&cores));
            }
        }
    }
}

#[test]
fn angles_are_rounded_once() {
    let frequencies = [1.0, 0.25, 1e-5];
    let of = |position, factor| {
        let (mut cos, mut sin) = ([0.0; 3], [0.0; 3]);
        angles(&mut cos, &mut sin, position, &frequencies, factor);
        [cos, sin]
    };
    for position in [7, 8] {
        let [cos, sin] =
            [f64::cos, f64::sin].map(|f| frequencies.map(|by| (1.5 * f(position as f64 * by)) as f32));
        assert_eq!(of(position, 1.5), [cos, sin]);
    }
    assert_eq!(of(0, 1.0), [[1.0; 3], [0.0; 3]]);
}

/// Not a number stays in its pair.
#[test]
fn not_a_number_stays() {
    for (cores, shape, pairs, _) in each_case() {
        let [heads, size, width] = shape;
        let mut x = numbers(POSITIONS.len() * heads * size, 6);
        let (hit, i) = (size * (heads + heads / 2), width / 4);
        x[hit + pair(pairs, width, i)[1]] = f32::NAN;
        let y = turned(&cores, rotate, &x, shape, pairs);
        for (at, y) in y.iter().enumerate() {
            let expected = pair(pairs, width, i).contains(&at.wrapping_sub(hit));
            assert_eq!(y.is_nan(), expected, "{shape:?} {pairs:?} {at} {:?}", cores.isa());
        }
    }
}

#[test]
#[should_panic(expected = "a row of the tables for each of x")]
fn rows_without_one_of_the_tables_are_refused() {
    let (cos, sin) = tables(4, &[0, 1]);
    let rotation = Rotation { pairs: Pairs::Halves, size: 4, width: 4, cos: &cos, sin: &sin };
    rotate(&Cores::new(1), &mut [0.0; 12], 1, rotation);
}
