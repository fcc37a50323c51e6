//! Passes in which the weights of a block are there only while it is computed, where ranks divide weights (ZeRO, stage 3; Rajbhandari
//! et al. 2020, section 5.3). Those of the next block come meanwhile. Those of the embedding, the last norm and the unembedding stay
//! for the whole pass.
//!
//! All ranks send what they own of every bucket, also those that have no batch.

use super::{Taken, learn};
use crate::Result;
use crate::backend::{Backend, Write};
use crate::model::{Back, DropoutState, Gpt, Pass};
use crate::train::learner::objective::Sums3;
use crate::train::learner::sums::Leaf;
use crate::train::learner::{Batch, Learner, all};

impl<B: Backend> Learner<B> {
    /// Forward and backward pass over a batch, if this rank has one in this round. Gradients go to their owners.
    pub(super) fn gradients_in_turn(
        &mut self,
        taken: &Taken<'_>,
        batch: Option<usize>,
        round: usize,
        leaves: &[Leaf],
    ) -> Result<Option<Sums3>> {
        let part = batch.map(|batch| &taken.parts[batch]);
        let dropout = batch.and_then(|batch| taken.dropout(batch));
        let spans = part.map(Batch::spans).unwrap_or_default();
        let layers = self.gpt.config.layers;
        let gpt = taken.computed(&self.gpt);
        self.forward_in_turn(&gpt, part, dropout, leaves)?;
        let mut told = None;
        for bucket in 0..layers + 2 {
            let is_block = (1..=layers).contains(&bucket);
            if bucket < layers {
                self.call(bucket + 1)?;
            }
            self.awaited(leaves, bucket)?;
            if let Some(part) = part {
                let (backend, weights) = (&*self.backend, all(&self.base, &self.weights));
                let (memory, d, cache) = (&mut self.memory, &mut self.d, &mut self.cache);
                let grads = self.passing.as_mut();
                let mut back =
                    Back { backend, weights, grads, gradient: Write::Set, spans: &spans, dropout, each: 1 };
                match layers.checked_sub(bucket) {
                    Some(layer) if is_block && layer >= gpt.depth() => {}
                    Some(layer) if is_block => gpt.backward_block(&mut back, layer, memory, cache, d),
                    Some(_) => {
                        let mut pass = back.pass();
                        let (memories, teacher) =
                            ((&mut *memory, &mut *d, &mut self.logits), self.teacher.as_mut());
                        told = Some(learn(&gpt, &mut pass, &mut back, memories, teacher, part, taken));
                        gpt.backward_norm(&mut back, memory, d);
                    }
                    None => gpt.backward_embedding(&mut back, &part.inputs, memory, d),
                }
            }
            let mut passing = self.passing.take();
            let (mut arrival, shared) = self.arrival(leaves);
            shared.forget_weights(&mut arrival, bucket);
            let gradients = passing.as_mut().filter(|_| part.is_some());
            let sent = shared.divide(&mut arrival, gradients, round, bucket);
            self.passing = passing;
            sent?;
        }
        Ok(told)
    }

    /// Goes forward, if this rank has a batch. The weights that a loss needs are still there afterwards.
    fn forward_in_turn(
        &mut self,
        gpt: &Gpt,
        part: Option<&Batch>,
        dropout: Option<DropoutState>,
        leaves: &[Leaf],
    ) -> Result<()> {
        let spans = part.map(Batch::spans).unwrap_or_default();
        let layers = self.gpt.config.layers;
        if let Some(part) = part {
            self.cache.lay_out(&part.lengths);
        }
        self.call(layers + 1)?;
        for bucket in (0..layers + 2).rev() {
            if bucket > 0 {
                self.call(bucket - 1)?;
            }
            self.awaited(leaves, bucket)?;
            if let Some(part) = part {
                let (backend, weights) = (&*self.backend, all(&self.base, &self.weights));
                let (memory, cache) = (&mut self.memory, &mut self.cache);
                let mut pass =
                    Pass { backend, weights, spans: &spans, output_rows: None, dropout, probe: () };
                match layers.checked_sub(bucket) {
                    None => gpt.forward_embedding(&mut pass, &part.inputs, memory),
                    Some(layer) if layer < gpt.depth() => gpt.forward_block(&mut pass, layer, memory, cache),
                    Some(layer) if layer == layers => gpt.forward_norm(&mut pass, memory),
                    Some(_) => {}
                }
            }
            if (1..=layers).contains(&bucket) {
                self.forget(bucket);
            }
        }
        Ok(())
    }

    /// The sum of nats and the number of counted tokens of a batch, if this rank has one; nothing is learned. Where ranks share
    /// the work, all of them must call it.
    ///
    /// # Errors
    /// If another rank has ended.
    pub fn evaluate_among(&mut self, batch: Option<&Batch>) -> Result<Option<(f64, usize)>> {
        if !self.shared.divides_weights() {
            return Ok(batch.map(|batch| self.evaluate(batch)));
        }
        let gpt = self.gpt.clone();
        self.forward_in_turn(&gpt, batch, None, &[])?;
        let told = batch.map(|batch| {
            let spans = batch.spans();
            let (mut pass, gpt, memory, _, logits) = self.looking(&spans);
            let nats = gpt.loss(&mut pass, memory, &batch.targets, logits, &mut |_, _| {}, None);
            (nats, batch.counted())
        });
        [0, self.gpt.config.layers + 1].into_iter().for_each(|bucket| self.forget(bucket));
        Ok(told)
    }

    /// Has all weights in rank 0, until [`forget_others`](Self::forget_others); where ranks divide them, all must call it.
    ///
    /// # Errors
    /// If another rank has ended.
    pub fn call_all(&mut self) -> Result<()> {
        if self.shared.divides_weights() {
            for bucket in 0..self.gpt.config.layers + 2 {
                self.call(bucket)?;
                self.awaited(&[], bucket)?;
                if self.shared.ranks.rank() > 0 {
                    self.forget(bucket);
                }
            }
        }
        Ok(())
    }

    /// Gives the memory of weights back that other ranks own, where they are divided.
    pub fn forget_others(&mut self) {
        if self.shared.divides_weights() {
            (0..self.gpt.config.layers + 2).for_each(|bucket| self.forget(bucket));
        }
    }

    fn call(&mut self, bucket: usize) -> Result<()> {
        let (arrival, shared) = self.arrival(&[]);
        shared.call_weights(&arrival, bucket)
    }

    fn awaited(&mut self, leaves: &[Leaf], bucket: usize) -> Result<()> {
        let (mut arrival, shared) = self.arrival(leaves);
        shared.await_weights(&mut arrival, bucket)
    }

    fn forget(&mut self, bucket: usize) {
        let (mut arrival, shared) = self.arrival(&[]);
        shared.forget_weights(&mut arrival, bucket);
    }
}
