//! The peak performance of the machine, measured: synthetic work to compare kernels with.

use std::hint::black_box;

#[cfg(all(target_arch = "x86_64", target_os = "linux"))]
use crate::Isa;
use crate::lanes::integers::{Adds, Integers, kernel_of_adds};
use crate::lanes::{Lanes, kernel};
#[cfg(all(target_arch = "x86_64", target_os = "linux"))]
use crate::linear::amx;
use crate::operands::{Operands, kernel_of_operands};
use crate::scratch::with_scratch;
use crate::small_product::{SmallProduct, multiply};
use crate::{Cores, Precision, Write};

/// Multiply-adds in registers only, on all threads, in the operand format of the products of `cores`; returns the
/// number of floating-point operations. In plain Rust it is what the compiler makes of it, which may be less than
/// what it makes of a product.
pub fn multiply_add(cores: &Cores, rounds: usize) -> f64 {
    // Two tasks per thread, so that none waits long for a thread that started late.
    let tasks = 2 * cores.threads();
    #[cfg(all(target_arch = "x86_64", target_os = "linux"))]
    if cores.isa() == Isa::Amx && cores.precision() == Precision::Mixed {
        // A round of tiles takes about as long as twelve.
        let rounds = rounds.div_ceil(12).max(1);
        // SAFETY: `Cores` holds only an instruction set that this machine has.
        cores.run(tasks, &|_| unsafe { amx::chains(rounds) });
        return (tasks * rounds * amx::ROUND) as f64 * 2.0;
    }
    let lanes = tasks as f64 * rounds as f64 * lanes(cores) as f64;
    cores.run(tasks, &|_| chains(cores, cores.precision(), rounds));
    let per_lane = match cores.precision() {
        Precision::F32 => 1.0,
        Precision::Mixed => 2.0,
    };
    lanes * per_lane * CHAINS as f64 * 2.0
}

/// The same for bytes, four per lane, as in products with quantised weights.
pub fn multiply_add_quads(cores: &Cores, rounds: usize) -> f64 {
    let tasks = 2 * cores.threads();
    cores.run(tasks, &|_| chains_of_quads(cores, rounds));
    (tasks * rounds * lanes(cores) * CHAINS) as f64 * 4.0 * 2.0
}

/// Reads all of `x` from memory, on all threads; returns something that depends on it.
pub fn read(cores: &Cores, x: &[f32]) -> f32 {
    let mut sums = vec![0.0; x.len().div_ceil(PIECE)];
    cores.run_parts(&mut sums, 1, |i, sum| {
        sum[0] = add_up(cores, &x[i * PIECE..x.len().min((i + 1) * PIECE)])
    });
    sums.iter().sum()
}

/// `y = x`, on all threads. The processor reads memory before overwriting it, so this moves half as much again as
/// requested.
pub fn copy(cores: &Cores, y: &mut [f32], x: &[f32]) {
    assert_eq!(y.len(), x.len());
    cores.run_parts(y, PIECE, |i, y| y.copy_from_slice(&x[i * PIECE..][..y.len()]));
}

/// `y = −y` in place, on all threads: reads and writes without additional reading.
pub fn update(cores: &Cores, y: &mut [f32]) {
    cores.run_parts(y, PIECE, |_, y| negate(cores, y));
}

/// A product of 24 × 64 and 64 × 64 whose operands stay in the L1 cache, on all threads; returns the number of
/// floating-point operations.
pub fn small_product(cores: &Cores, rounds: usize) -> f64 {
    const ROWS: usize = 24;
    const SIDE: usize = 64;
    let tasks = 2 * cores.threads();
    cores.run(tasks, &|_| {
        with_scratch([ROWS * SIDE, SIDE * SIDE, ROWS * SIDE], |[left, right, out]| {
            left.fill(0.5);
            right.fill(0.5);
            for _ in 0..rounds {
                let (left, right) = (black_box(&*left), black_box(&*right));
                let (left_row, right_row, left_step) = (SIDE, SIDE, 1);
                let (rows, cols, depth) = (ROWS, SIDE, SIDE);
                let product = SmallProduct {
                    rows,
                    cols,
                    depth,
                    left,
                    left_row,
                    left_step,
                    right,
                    right_row,
                    right_step: 16,
                };
                multiply(cores, Precision::F32, out, SIDE, Write::Set, product);
            }
        });
    });
    tasks as f64 * rounds as f64 * (ROWS * SIDE * SIDE) as f64 * 2.0
}

/// Floats per task in memory tests.
const PIECE: usize = 256 * 1024;

/// Enough to hide the latency of a multiply-add, few enough for sixteen registers.
const CHAINS: usize = 10;

kernel!(fn lanes() -> usize = lanes_body);
kernel_of_operands!(fn chains(rounds: usize) = chains_body);
kernel_of_adds!(fn chains_of_quads(rounds: usize) = chains_of_quads_body);
kernel!(fn negate(y: &mut [f32]) = negate_body);
kernel!(fn add_up(x: &[f32]) -> f32 = add_up_body);

#[inline(always)]
fn lanes_body<V: Lanes>(_: V) -> usize {
    V::LEN
}

#[inline(always)]
fn chains_body<V: Lanes, F: Operands<V>>(v: V, rounds: usize) {
    let (by, plus) = (v.splat(black_box(0.5)), v.splat(black_box(1.0)));
    let mut sums = [v; CHAINS];
    for _ in 0..rounds {
        for sum in &mut sums {
            *sum = F::mul_add(*sum, by, plus);
        }
    }
    let mut total = v;
    for sum in sums {
        total = total + sum;
    }
    black_box(total.sum());
}

#[inline(always)]
fn chains_of_quads_body<V: Integers, A: Adds<V>>(v: V, rounds: usize) {
    let signed = v.splat(black_box(1.0));
    let mut sums = [v; CHAINS];
    for _ in 0..rounds {
        for sum in &mut sums {
            // Of the sum itself: products that stay the same would be computed once, before the loop.
            *sum = A::add_quads(*sum, *sum, signed);
        }
    }
    let total = sums.into_iter().fold(v, |total, sum| total + sum.to_floats());
    black_box(total.sum());
}

#[inline(always)]
fn add_up_body<V: Lanes>(v: V, x: &[f32]) -> f32 {
    let mut sums = [v; 8];
    let mut chunks = x.chunks_exact(8 * V::LEN);
    for chunk in &mut chunks {
        v.prefetch(chunk.as_ptr().wrapping_add(2048));
        for (i, sum) in sums.iter_mut().enumerate() {
            *sum = *sum + v.load(&chunk[i * V::LEN..]);
        }
    }
    let mut total = v;
    for sum in sums {
        total = total + sum;
    }
    total.sum() + chunks.remainder().iter().sum::<f32>()
}

#[inline(always)]
fn negate_body<V: Lanes>(v: V, y: &mut [f32]) {
    for y in y.chunks_exact_mut(V::LEN) {
        (-v.load(y)).store(y);
    }
}
