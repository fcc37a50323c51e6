//! A low-rank change of a linear layer: `y += scale (x Aᵀ) B`, with A `[rank, inputs]` and B `[rank, outputs]`, the transpose of
//! what the paper calls B (Hu et al. 2021, "LoRA", section 4.1).

use crate::aligned::AlignedBuffer;
use crate::attend::Span;
use crate::dropout::{Dropout, dropout};
use crate::linear::{Layout, Matrix, linear, linear_backward_input, linear_backward_weight};
use crate::{Cores, Write, add};

/// The two matrices, row-major, and what their product is multiplied by.
#[derive(Clone, Copy, Debug)]
pub struct LowRank<'a> {
    /// A, `[rank, inputs]`.
    pub a: &'a [f32],
    /// B, `[rank, outputs]`.
    pub b: &'a [f32],
    /// The rank.
    pub rank: usize,
    /// alpha / rank, or alpha / √rank (Kalajdzievski 2023).
    pub scale: f32,
}

/// Dropout of the inputs, and the sequences that their rows belong to.
pub type InputDropout<'a> = Option<(Dropout, &'a [Span])>;

impl<'a> LowRank<'a> {
    fn matrix(&self, values: &'a [f32]) -> Matrix<'a> {
        let cols = values.len() / self.rank;
        Matrix { values, rows: self.rank, cols, layout: Layout::Rows }
    }

    fn inputs(&self) -> usize {
        self.a.len() / self.rank
    }

    /// Rows of x, and `t = scale x Aᵀ`, `[rows, rank]`.
    fn narrow(&self, cores: &Cores, x: &[f32]) -> (usize, AlignedBuffer) {
        let rows = x.len() / self.inputs().max(1);
        let mut t = memory(rows * self.rank);
        linear(cores, &mut t, x, self.matrix(self.a), None, None);
        add::scale(cores, &mut t, self.scale);
        (rows, t)
    }
}

fn memory(len: usize) -> AlignedBuffer {
    AlignedBuffer::zeros(len).expect("memory for a low-rank product")
}

/// The inputs after dropout, if there is any.
fn dropped(cores: &Cores, x: &[f32], cols: usize, drops: InputDropout<'_>) -> Option<AlignedBuffer> {
    let (rate, spans) = drops?;
    let mut kept = memory(x.len());
    kept.copy_from_slice(x);
    dropout(cores, &mut kept, cols, spans, rate);
    Some(kept)
}

/// `y += scale (x Aᵀ) B`; x: `[rows, inputs]`, y: `[rows, outputs]`. The bits of a row are the same whatever other rows there are.
pub fn low_rank(cores: &Cores, y: &mut [f32], x: &[f32], pair: LowRank<'_>, drops: InputDropout<'_>) {
    let kept = dropped(cores, x, pair.inputs(), drops);
    let (_, t) = pair.narrow(cores, kept.as_deref().unwrap_or(x));
    linear_backward_input(cores, y, Write::Add, &t, pair.matrix(pair.b));
}

/// `dx +=` the gradient that flows through the change; da and db are overwritten or added to.
pub fn low_rank_backward(
    cores: &Cores,
    dx: &mut [f32],
    [da, db]: [&mut [f32]; 2],
    write: Write,
    dy: &[f32],
    x: &[f32],
    pair: LowRank<'_>,
    drops: InputDropout<'_>,
) {
    let kept = dropped(cores, x, pair.inputs(), drops);
    let x = kept.as_deref().unwrap_or(x);
    let (rows, mut t) = pair.narrow(cores, x);
    linear_backward_weight(cores, db, write, None, &t, dy, rows);
    // dt = scale dy Bᵀ, in the memory of t.
    linear(cores, &mut t, dy, pair.matrix(pair.b), None, None);
    add::scale(cores, &mut t, pair.scale);
    linear_backward_weight(cores, da, write, None, &t, x, rows);
    match drops {
        None => linear_backward_input(cores, dx, Write::Add, &t, pair.matrix(pair.a)),
        Some((rate, spans)) => {
            let mut through = memory(dx.len());
            linear_backward_input(cores, &mut through, Write::Set, &t, pair.matrix(pair.a));
            dropout(cores, &mut through, pair.inputs(), spans, rate);
            add::add(cores, dx, &through);
        }
    }
}
