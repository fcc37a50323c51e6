//! Rotary positions (Su et al. 2021): pairs of a head's elements are turned by an angle that grows with the position.

use crate::Cores;
use crate::lanes::{Lanes, kernel};
use crate::scratch::with_scratch;

/// Which elements of a head are turned together.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Pairs {
    /// Element i of the first half and element i of the second half (GPT-NeoX, Llama).
    Halves,
    /// Elements 2i and 2i + 1 (the paper, GPT-J).
    Neighbours,
}

/// How heads are turned.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Rotation<'a> {
    /// Which elements form a pair.
    pub pairs: Pairs,
    /// Elements of a head.
    pub size: usize,
    /// How many of them, from the first, are turned: an even number. The others stay.
    pub width: usize,
    /// Cosines, `[rows, width / 2]`.
    pub cos: &'a [f32],
    /// Sines, of the same shape.
    pub sin: &'a [f32],
}

impl Rotation<'_> {
    /// The number of pairs.
    fn count(self) -> usize {
        self.width / 2
    }
}

/// Floats per task.
const FLOATS: usize = 16 * 1024;

/// Turns each pair `(a, b)` of each head in place: `(a cos − b sin, b cos + a sin)`, within 2⁻²³ of its length of what
/// these cosines and sines give. x: `[rows, heads × size]`; a row of the tables is for a row of x, or for equally many
/// neighbouring rows of it. Both kinds of pairs have the same bits.
pub fn rotate(cores: &Cores, x: &mut [f32], heads: usize, rotation: Rotation<'_>) {
    turn(cores, x, heads, rotation, 1.0);
}

/// The gradient in place: the transpose of [`rotate`], which turns back. It is the inverse only if the tables hold no factor.
pub fn rotate_backward(cores: &Cores, d: &mut [f32], heads: usize, rotation: Rotation<'_>) {
    turn(cores, d, heads, rotation, -1.0);
}

/// A row of the tables: cosines and sines of `position × frequency`, times `factor`, computed in f64 and rounded once.
pub fn angles(cos: &mut [f32], sin: &mut [f32], position: usize, frequencies: &[f64], factor: f64) {
    for ((cos, sin), frequency) in cos.iter_mut().zip(sin).zip(frequencies) {
        let (s, c) = (position as f64 * frequency).sin_cos();
        (*cos, *sin) = ((c * factor) as f32, (s * factor) as f32);
    }
}

/// [`rotate`] with the sines multiplied by `sign`.
fn turn(cores: &Cores, x: &mut [f32], heads: usize, rotation: Rotation<'_>, sign: f32) {
    let (cols, count) = (heads * rotation.size, rotation.count());
    assert!(rotation.width.is_multiple_of(2) && rotation.width <= rotation.size);
    assert!(rotation.cos.len() == rotation.sin.len());
    if x.is_empty() || count == 0 {
        return;
    }
    let table = rotation.cos.len() / count;
    let each = x.len() / (table * cols).max(1);
    assert_eq!(
        (x.len(), rotation.cos.len()),
        (each * table * cols, table * count),
        "a row of the tables for each of x"
    );
    let rows = (FLOATS / cols).max(1);
    cores.run_parts(x, rows * cols, |task, x| {
        let lines = match rotation.pairs {
            Pairs::Halves => 0,
            Pairs::Neighbours => rotation.width,
        };
        with_scratch([lines, lines], |lines| {
            let rows = Rows { x, cols, first: task * rows, each };
            turn_rows(cores, rows, lines, rotation, sign);
        });
    });
}

/// Rows that a task turns.
struct Rows<'a> {
    x: &'a mut [f32],
    cols: usize,
    /// The number of the first, each of which has row `number / each` of the tables.
    first: usize,
    each: usize,
}

kernel!(fn turn_rows(rows: Rows<'_>, lines: [&mut [f32]; 2], rotation: Rotation<'_>, sign: f32) = turn_rows_body);

#[inline(always)]
fn turn_rows_body<V: Lanes>(v: V, rows: Rows<'_>, lines: [&mut [f32]; 2], rotation: Rotation<'_>, sign: f32) {
    let Rows { x, cols, first, each } = rows;
    let (Rotation { size, width, .. }, count) = (rotation, rotation.count());
    let [wide_cos, wide_sin] = lines;
    for (i, row) in x.chunks_exact_mut(cols).enumerate() {
        let at = (first + i) / each * count;
        let (cos, sin) = (&rotation.cos[at..][..count], &rotation.sin[at..][..count]);
        match rotation.pairs {
            Pairs::Halves => {
                for head in row.chunks_exact_mut(size) {
                    turn_halves(v, &mut head[..width], cos, sin, sign);
                }
            }
            Pairs::Neighbours => {
                widen(wide_cos, cos, 1.0, 1.0);
                widen(wide_sin, sin, -sign, sign);
                for head in row.chunks_exact_mut(size) {
                    turn_neighbours(v, &mut head[..width], wide_cos, wide_sin);
                }
            }
        }
    }
}

/// One head, whose pairs are half its width apart.
#[inline(always)]
fn turn_halves<V: Lanes>(v: V, head: &mut [f32], cos: &[f32], sin: &[f32], sign: f32) {
    let (a, b) = head.split_at_mut(cos.len());
    let parts = a.chunks_mut(V::LEN).zip(b.chunks_mut(V::LEN));
    for ((a, b), (cos, sin)) in parts.zip(cos.chunks(V::LEN).zip(sin.chunks(V::LEN))) {
        let (cos, sin) = (v.load_some(cos), v.load_some(sin) * v.splat(sign));
        let (x, y) = (v.load_some(a), v.load_some(b));
        y.mul_add(-sin, x * cos).store_some(a);
        x.mul_add(sin, y * cos).store_some(b);
    }
}

/// One head, whose pairs are neighbours; each cosine and sine is there twice, the sine first negated.
#[inline(always)]
fn turn_neighbours<V: Lanes>(v: V, head: &mut [f32], cos: &[f32], sin: &[f32]) {
    for (x, (cos, sin)) in head.chunks_mut(V::LEN).zip(cos.chunks(V::LEN).zip(sin.chunks(V::LEN))) {
        let (cos, sin, pairs) = (v.load_some(cos), v.load_some(sin), v.load_some(x));
        pairs.swap_neighbours().mul_add(sin, pairs * cos).store_some(x);
    }
}

/// Every number twice, times one factor and times the other.
#[inline(always)]
fn widen(wide: &mut [f32], from: &[f32], first: f32, second: f32) {
    for (wide, x) in wide.chunks_exact_mut(2).zip(from) {
        wide[0] = x * first;
        wide[1] = x * second;
    }
}
