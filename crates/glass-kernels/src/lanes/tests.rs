//! Every operation on every instruction set, lane by lane against plain f32.

use super::{Lanes, kernel};
use crate::{Cores, Isa};

const X: [f32; 16] =
    [0.5, -0.5, 1.5, 2.5, -2.5, 0.0, -0.0, 3.7, -9.1, 1e-30, 1e30, 7.0, -126.0, 127.0, 1.0, -33.3];
const Y: [f32; 16] = [2.0, 3.0, -1.5, 0.25, 2.5, 1.0, 5.0, -3.7, 9.0, 1e-3, 1e3, 7.5, -1.0, 0.1, -1.0, -33.3];

/// `out[n]`: the result of operation n on 16 numbers.
type Results = [[f32; 16]; 13];

kernel!(fn all(x: &[f32; 16], y: &[f32; 16], out: &mut Results) = all_body);
kernel!(fn folds(x: &[f32; 16], sums: &mut Vec<f32>, largest: &mut Vec<f32>) = folds_body);
kernel!(fn parts(x: &[f32; 16], out: &mut Vec<[f32; 16]>) = parts_body);
kernel!(fn square(x: &[f32], out: &mut [f32]) -> usize = square_body);

#[inline(always)]
fn all_body<V: Lanes>(v: V, x: &[f32; 16], y: &[f32; 16], out: &mut Results) {
    for i in (0..16).step_by(V::LEN) {
        let (a, b) = (v.load(&x[i..]), v.load(&y[i..]));
        let (yes, no) = (v.splat(1.0), v.splat(2.0));
        let results = [
            a + b,
            a - b,
            a * b,
            a / b,
            -a,
            a.mul_add(b, yes),
            a.max(b),
            a.min(b),
            (a * a).sqrt(),
            a.bits_to_exponent(),
            a.if_less(b, yes, no),
            v,
            a.swap_neighbours(),
        ];
        for (out, result) in out.iter_mut().zip(results) {
            result.store(&mut out[i..]);
        }
    }
}

#[inline(always)]
fn folds_body<V: Lanes>(v: V, x: &[f32; 16], sums: &mut Vec<f32>, largest: &mut Vec<f32>) {
    for x in x.chunks(V::LEN) {
        sums.push(v.load(x).sum());
        largest.push(v.load(x).largest());
    }
}

#[inline(always)]
fn parts_body<V: Lanes>(v: V, x: &[f32; 16], out: &mut Vec<[f32; 16]>) {
    for count in 0..=V::LEN {
        let mut to = [9.0; 16];
        v.load_part(&x[..count]).store(&mut to);
        out.push(to);
        let mut to = [9.0; 16];
        v.load(x).store_part(&mut to[..count]);
        out.push(to);
    }
}

#[inline(always)]
fn square_body<V: Lanes>(v: V, x: &[f32], out: &mut [f32]) -> usize {
    assert!(x.len() >= 20 * V::LEN && out.len() >= 18 * V::LEN);
    // SAFETY: both hold LEN rows, 20 and 18 apart.
    unsafe { v.transpose_at(x.as_ptr(), 20, out.as_mut_ptr(), 18) };
    V::LEN
}

fn each_isa() -> impl Iterator<Item = Cores> {
    Isa::ALL.into_iter().filter_map(|isa| Cores::with(isa, 1))
}

#[test]
fn lane_by_lane() {
    for cores in each_isa() {
        let mut out = [[9.0; 16]; 13];
        all(&cores, &X, &Y, &mut out);
        for (i, (a, b)) in X.into_iter().zip(Y).enumerate() {
            let fused = if cores.isa().fuses() { a.mul_add(b, 1.0) } else { a * b + 1.0 };
            let less = if a < b { 1.0 } else { 2.0 };
            let expected = [
                a + b,
                a - b,
                a * b,
                a / b,
                -a,
                fused,
                a.max(b),
                a.min(b),
                (a * a).sqrt(),
                f32::from_bits(a.to_bits() << 23),
                less,
                0.0,
                X[i ^ 1],
            ];
            for (n, expected) in expected.into_iter().enumerate() {
                let got = out[n][i];
                let what =
                    format!("{:?}, operation {n} of {a} and {b}: {got}, expected {expected}", cores.isa());
                assert!(got.to_bits() == expected.to_bits(), "{what}");
            }
        }
    }
}

#[test]
fn not_a_number_is_not_less() {
    for cores in each_isa() {
        let mut out = [[9.0; 16]; 13];
        all(&cores, &[f32::NAN; 16], &Y, &mut out);
        assert_eq!(out[10], [2.0; 16]);
        all(&cores, &X, &[f32::NAN; 16], &mut out);
        assert_eq!(out[10], [2.0; 16]);
    }
}

#[test]
fn sums_and_maxima() {
    let x: [f32; 16] = std::array::from_fn(|i| ((i * 37) % 16) as f32 - 20.0);
    for cores in each_isa() {
        let (mut sums, mut largest) = (Vec::new(), Vec::new());
        folds(&cores, &x, &mut sums, &mut largest);
        let len = 16 / sums.len();
        let expected_sums: Vec<f32> = x.chunks(len).map(|x| x.iter().sum()).collect();
        let expected_largest: Vec<f32> =
            x.chunks(len).map(|x| x.iter().copied().fold(f32::MIN, f32::max)).collect();
        assert_eq!((sums, largest), (expected_sums, expected_largest), "{:?}", cores.isa());
    }
}

#[test]
fn parts_of_vectors() {
    for cores in each_isa() {
        let mut out = Vec::new();
        parts(&cores, &X, &mut out);
        let len = out.len() / 2 - 1;
        for (count, pair) in out.chunks(2).enumerate() {
            for i in 0..16 {
                let loaded = if i < count {
                    X[i]
                } else if i < len {
                    0.0
                } else {
                    9.0
                };
                let stored = if i < count { X[i] } else { 9.0 };
                assert_eq!((pair[0][i], pair[1][i]), (loaded, stored), "{:?} {count} {i}", cores.isa());
            }
        }
    }
}

#[test]
fn squares_are_transposed() {
    let x: Vec<f32> = (0..20 * 16).map(|i| i as f32).collect();
    for cores in each_isa() {
        let mut out = vec![-1.0; 18 * 16];
        let len = square(&cores, &x, &mut out);
        for (i, &got) in out.iter().enumerate() {
            let (row, column) = (i / 18, i % 18);
            let expected = if row < len && column < len { x[column * 20 + row] } else { -1.0 };
            assert_eq!(got, expected, "{:?} row {row} column {column}", cores.isa());
        }
    }
}
