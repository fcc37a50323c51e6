//! The operations of low-rank adapters on a CPU.

use std::ops::Range;

use glass_kernels::aligned::AlignedBuffer;
use glass_kernels::{activate, low_rank};

use super::Cpu;
use super::operands::{dense, used, used_mut};
use crate::backend::{Activation, Adapt, Dropout, LowRank, Span, Tensor, Write};

fn pair<'a>(change: &LowRank<'a, Cpu>) -> low_rank::LowRank<'a> {
    let LowRank { a, b, scale } = change;
    low_rank::LowRank { a: dense(a).values, b: dense(b).values, rank: a.rows, scale: *scale }
}

impl Adapt for Cpu {
    fn low_rank(
        &self,
        y: &mut Tensor<Self>,
        x: &Tensor<Self>,
        rows: Range<usize>,
        change: LowRank<'_, Self>,
        dropout: Option<(Dropout, &[Span])>,
    ) {
        assert!(dropout.is_none() || rows == (0..x.rows), "dropout of all rows");
        let y_span = rows.start * y.cols..rows.end * y.cols;
        let x = &used(x)[rows.start * x.cols..rows.end * x.cols];
        low_rank::low_rank(&self.cores, &mut used_mut(y)[y_span], x, pair(&change), dropout);
    }

    fn low_rank_backward(
        &self,
        dx: &mut Tensor<Self>,
        (grads, write): (&mut AlignedBuffer, Write),
        dy: &Tensor<Self>,
        x: &Tensor<Self>,
        change: LowRank<'_, Self>,
        dropout: Option<(Dropout, &[Span])>,
    ) {
        let spans = [change.a.span.clone(), change.b.span.clone()];
        let pairs = grads.get_disjoint_mut(spans).expect("parameters do not overlap");
        let (dx, dy, x) = (used_mut(dx), used(dy), used(x));
        low_rank::low_rank_backward(&self.cores, dx, pairs, write, dy, x, pair(&change), dropout);
    }

    fn activate_in_place(&self, y: &mut Tensor<Self>, kind: Activation) {
        activate::activate_all(&self.cores, used_mut(y), kind);
    }
}
