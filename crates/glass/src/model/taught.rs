//! The loss of a model with a teacher: another model with the same vocabulary, which reads the same rows.

use glass_kernels::loss::IGNORE;

use super::{Back, Gpt, Pass};
use crate::backend::{Backend, Teaching, Tensor};
use crate::memory::Memory;

/// What a teacher says of the rows of a pass.
pub trait Lesson<B: Backend> {
    /// Its logits of some rows, at most as many as the other model has memory for; they may be overwritten. All counted rows are asked for
    /// once, in ascending order.
    fn logits(&mut self, rows: &[u32]) -> &mut Tensor<B>;
}

impl Gpt {
    /// The summed cross-entropy of the counted rows of `memory.normed`, and the summed divergence of their distributions from the
    /// teacher's, in nats. Rows are taken in chunks as in [`loss`](Gpt::loss), so the logits of all rows are never in memory at
    /// once. With `learn`, the gradient of what `teaching` makes of both (times the scale) is left in `learn.d.normed`.
    pub fn taught_loss<B: Backend>(
        &self,
        pass: &mut Pass<'_, B, ()>,
        memory: &mut Memory<B>,
        targets: &[u32],
        logits: &mut Tensor<B>,
        lesson: &mut impl Lesson<B>,
        teaching: &Teaching,
        mut learn: Option<(&mut Back<'_, B>, &mut Memory<B>, f32)>,
    ) -> [f64; 2] {
        if let Some((back, d, _)) = &mut learn {
            d.use_rows(targets.len());
            let len = d.normed.len();
            back.backend.clear(&mut d.normed.data, 0..len);
        }
        let counted: Vec<u32> =
            (0..targets.len() as u32).filter(|&r| targets[r as usize] != IGNORE).collect();
        let chunk = logits.capacity().min(memory.wanted.capacity());
        let (mut losses, mut sums) = (vec![0.0; 2 * chunk], [0.0; 2]);
        for rows in counted.chunks(chunk) {
            let targets: Vec<u32> = rows.iter().map(|&row| targets[row as usize]).collect();
            memory.wanted.use_rows(rows.len());
            logits.use_rows(rows.len());
            pass.backend.take(&mut memory.wanted, &memory.normed, rows);
            self.unembedding.forward(pass, logits, &memory.wanted);
            let others = lesson.logits(rows);
            let (losses, scale) = (&mut losses[..2 * rows.len()], learn.as_ref().map(|(_, _, scale)| *scale));
            pass.backend.teach(logits, others, losses, &targets, teaching, scale, self.unembedding.limit());
            for both in losses.as_chunks::<2>().0 {
                sums.iter_mut().zip(both).for_each(|(sum, loss)| *sum += f64::from(*loss));
            }
            if let Some((back, d, _)) = &mut learn {
                self.unembedding.backward(back, d, logits, &memory.wanted, rows);
            }
        }
        sums
    }
}
