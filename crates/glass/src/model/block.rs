//! A block: attention adds information from the context to the residual stream, then the MLP transforms each position.
//!
//! ```text
//! x += attention(norm x)
//! x += mlp(norm x)
//! ```
//!
//! Norms may also stand on what attention and MLP give, and both may read the same x.

pub mod attention;
mod ends;
pub mod mlp;
mod turned;

use attention::Attention;
use mlp::Mlp;

use super::{Back, Pass};
use crate::backend::{Backend, Kv, Span, Tensor};
use crate::config::Config;
use crate::memory::{BlockMemory, KeyMemory, Scratch};
use crate::plan::Plan;
use crate::probe::{Part, Probe, Site};

/// One block's layers.
#[derive(Clone, Debug)]
pub struct Block {
    layer: usize,
    attention: Attention,
    mlp: Mlp,
}

impl Block {
    /// Block number `layer`.
    pub fn plan(plan: &mut Plan, config: &Config, layer: usize) -> Self {
        let attention = plan.within("attention", |p| Attention::plan(p, config, layer));
        let mlp = plan.within("mlp", |p| Mlp::plan(p, config, layer, attention.norm()));
        Block { layer, attention, mlp }
    }

    /// Updates `residual`; with `output_rows`, only these rows are left afterwards ([`Pass::output_rows`]).
    pub fn forward<'a, B: Backend, P: Probe>(
        &self,
        pass: &mut Pass<'a, B, P>,
        residual: &mut Tensor<B>,
        scratch: &mut Scratch<B>,
        memory: &mut BlockMemory<B>,
        keys: &mut KeyMemory<B>,
        kv: &mut Kv<B>,
        output_rows: Option<&'a [Span]>,
    ) {
        self.attend(pass, residual, scratch, memory, keys, kv, output_rows);
        self.with_input(scratch, residual, |scratch, x| self.mlp.forward(pass, scratch, x, &mut memory.mlp));
        pass.drop(&mut scratch.branch, self.mlp_dropout());
        pass.backend.add(residual, &scratch.branch);
    }

    /// Recomputes `memory` from the block's input: a forward that stops after the last activation that is kept.
    pub fn recompute<B: Backend>(
        &self,
        pass: &mut Pass<'_, B, ()>,
        residual: &mut Tensor<B>,
        scratch: &mut Scratch<B>,
        memory: &mut BlockMemory<B>,
        keys: &mut KeyMemory<B>,
        kv: &mut Kv<B>,
    ) {
        self.attend(pass, residual, scratch, memory, keys, kv, None);
        self.with_input(scratch, residual, |scratch, x| {
            self.mlp.recompute(pass, scratch, x, &mut memory.mlp)
        });
    }

    /// Calls `work` with what the MLP reads: the residual, or the input of the block.
    fn with_input<B: Backend>(
        &self,
        scratch: &mut Scratch<B>,
        residual: &Tensor<B>,
        work: impl FnOnce(&mut Scratch<B>, &Tensor<B>),
    ) {
        match scratch.input.take() {
            None => work(scratch, residual),
            Some(input) => {
                work(scratch, &input);
                scratch.input = Some(input);
            }
        }
    }

    /// `x += attention(norm x)`. Every row has a key and a value; only the wanted rows have a query.
    fn attend<'a, B: Backend, P: Probe>(
        &self,
        pass: &mut Pass<'a, B, P>,
        residual: &mut Tensor<B>,
        scratch: &mut Scratch<B>,
        memory: &mut BlockMemory<B>,
        keys: &mut KeyMemory<B>,
        kv: &mut Kv<B>,
        output_rows: Option<&'a [Span]>,
    ) {
        self.attention.keys_and_values(pass, scratch, residual, &mut memory.attention, keys, kv);
        if let Some(rows) = output_rows {
            [&mut scratch.normed, &mut *residual]
                .into_iter()
                .for_each(|x| pass.backend.keep_last_rows(x, pass.spans, rows));
            scratch.use_rows(residual.rows);
            memory.use_rows(residual.rows);
            pass.spans = rows;
            scratch.angles.set(pass.backend, rows);
        }
        if let Some(input) = &mut scratch.input {
            pass.backend.copy(input, residual);
        }
        self.attention.forward(pass, scratch, &mut memory.attention, kv);
        pass.drop(&mut scratch.branch, self.attention_dropout());
        pass.backend.add(residual, &scratch.branch);
        pass.at(Site::Block(self.layer, Part::ResidualMiddle), residual);
        if let Some(middle) = &mut memory.middle {
            pass.backend.copy(middle, residual);
        }
    }

    /// Updates `dresidual`: each branch adds the gradient that flows back through it. `input` is the block's input, `memory`
    /// what the forward kept, with the keys and values that it read. Of their gradients, `d_keys` has memory for its own, and the sum of
    /// those of all layers that read them, if there are several.
    pub fn backward<B: Backend>(
        &self,
        back: &mut Back<'_, B>,
        dresidual: &mut Tensor<B>,
        dscratch: &mut Scratch<B>,
        d: &mut BlockMemory<B>,
        d_keys: (&mut KeyMemory<B>, Option<&mut KeyMemory<B>>),
        input: &Tensor<B>,
        scratch: &mut Scratch<B>,
        (memory, keys): (&BlockMemory<B>, &KeyMemory<B>),
    ) {
        if let Some(copy) = &mut dscratch.input {
            copy.use_rows(dresidual.rows);
            back.backend.copy(copy, dresidual);
        }
        let middle = memory.middle.as_ref().unwrap_or(input);
        let (dropout, d_mlp) = (self.mlp_dropout(), &mut d.mlp);
        self.mlp.backward(back, dresidual, dscratch, dropout, d_mlp, middle, scratch, &memory.mlp);
        let (kept, d, dropout) = ((&memory.attention, keys), &mut d.attention, self.attention_dropout());
        self.attention.backward(back, dresidual, dscratch, dropout, d, d_keys, input, scratch, kept);
    }

    // Dropout sites: 0 is the embedding, then three for each block: pattern, attention, MLP.
    fn attention_dropout(&self) -> u64 {
        2 + 3 * self.layer as u64
    }

    fn mlp_dropout(&self) -> u64 {
        3 + 3 * self.layer as u64
    }
}
