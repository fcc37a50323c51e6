//! Unembedding: a vector becomes one number for every token, its logit; and the loss of these logits.

use glass_kernels::loss::IGNORE;

use super::{Back, FIRST, Pass};
use crate::backend::{Backend, Tensor, Write};
use crate::config::Config;
use crate::memory::Memory;
use crate::plan::{Param, Plan, Start};
use crate::probe::Probe;

/// The unembedding's parameters: its own, or the embedding's.
#[derive(Clone, Copy, Debug)]
pub struct Unembedding {
    weight: Param,
    bias: Option<Param>,
    factor: f32,
    cap: Option<f32>,
}

/// Where a loss leaves its gradients: in those of weights and in a memory, that of each row times its scale.
pub type Learning<'a, 'b, B> = (&'a mut Back<'b, B>, &'a mut Memory<B>, &'a dyn Fn(usize) -> f32);

impl Unembedding {
    /// An unembedding of its own, or `tied`: the token embedding, used in the other direction (Press & Wolf 2017).
    pub fn plan(plan: &mut Plan, config: &Config, tied: Option<Param>) -> Self {
        let weight =
            tied.unwrap_or_else(|| plan.table("weight", config.vocabulary, config.width, Start::Normal));
        let bias = config.bias.unembedding.then(|| plan.vector("bias", config.vocabulary, Start::Zero));
        Unembedding { weight, bias, factor: config.factors.logits, cap: config.factors.logit_cap }
    }

    /// The matrix, and the bias if it has one.
    pub(crate) fn params(&self) -> (Param, Option<Param>) {
        (self.weight, self.bias)
    }

    /// What is multiplied with the logits of [`params`](Self::params).
    pub(crate) fn factor(&self) -> f32 {
        self.factor
    }

    /// The limit of logits.
    pub(crate) fn limit(&self) -> Option<f32> {
        self.cap
    }

    /// x `[rows, width]` → logits `[rows, vocabulary]`.
    pub fn forward<B: Backend, P: Probe>(
        &self,
        pass: &Pass<'_, B, P>,
        logits: &mut Tensor<B>,
        x: &Tensor<B>,
    ) {
        let bias = self.bias.map(|bias| pass.weight(bias));
        pass.backend.linear(logits, x, pass.weight(self.weight), bias, None);
        if self.factor != 1.0 {
            pass.backend.scale(logits, self.factor);
        }
        if let Some(cap) = self.cap {
            pass.backend.cap(logits, cap);
        }
    }

    /// Summed nats of the counted rows, and with `learn` their gradient: see [`Gpt::loss`](super::Gpt::loss).
    pub fn loss<B: Backend, P: Probe>(
        &self,
        pass: &Pass<'_, B, P>,
        memory: &mut Memory<B>,
        targets: &[u32],
        logits: &mut Tensor<B>,
        seen: &mut dyn FnMut(usize, f32),
        mut learn: Option<Learning<'_, '_, B>>,
    ) -> f64 {
        if let Some((back, d, _)) = &mut learn {
            d.use_rows(targets.len());
            let len = d.normed.len();
            back.backend.clear(&mut d.normed.data, 0..len);
        }
        let counted: Vec<u32> =
            (0..targets.len() as u32).filter(|&r| targets[r as usize] != IGNORE).collect();
        let chunk = logits.capacity().min(memory.wanted.capacity());
        let mut losses = vec![0.0; chunk];
        let mut sum = 0.0;
        for rows in counted.chunks(chunk) {
            let targets: Vec<u32> = rows.iter().map(|&row| targets[row as usize]).collect();
            memory.wanted.use_rows(rows.len());
            logits.use_rows(rows.len());
            pass.backend.take(&mut memory.wanted, &memory.normed, rows);
            self.forward(pass, logits, &memory.wanted);
            let scales = learn
                .as_ref()
                .map(|(_, _, scale)| -> Vec<f32> { rows.iter().map(|&row| scale(row as usize)).collect() });
            pass.backend.loss(logits, &mut losses[..rows.len()], &targets, scales.as_deref(), self.cap);
            rows.iter().zip(&losses).for_each(|(&row, &loss)| seen(row as usize, loss));
            sum += losses[..rows.len()].iter().map(|&loss| loss as f64).sum::<f64>();
            if let Some((back, d, _)) = &mut learn {
                self.backward(back, d, logits, &memory.wanted, rows);
            }
        }
        sum
    }

    /// A chunk's dlogits → its rows of `d.normed`, and the gradient of the weight.
    pub(super) fn backward<B: Backend>(
        &self,
        back: &mut Back<'_, B>,
        d: &mut Memory<B>,
        dlogits: &mut Tensor<B>,
        x: &Tensor<B>,
        rows: &[u32],
    ) {
        if self.factor != 1.0 {
            back.backend.scale(dlogits, self.factor);
        }
        d.wanted.use_rows(rows.len());
        back.backend.linear_backward_input(&mut d.wanted, FIRST, dlogits, back.weight(self.weight));
        let backend = back.backend;
        if let Some(grads) = back.grads(self.weight, self.bias) {
            // Added: every chunk contributes, and so does a tied embedding.
            backend.linear_backward_weight(grads, Write::Add, dlogits, x);
        }
        back.backend.put(&mut d.normed, &d.wanted, rows);
    }
}
