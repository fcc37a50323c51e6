//! The model: a plan of layers, written once, run forward and then backward.
//!
//! ```text
//! ids ─▶ embedding ─▶ block × layers ─▶ norm ─▶ unembedding ─▶ logits
//! ```

pub mod block;
pub mod embedding;
pub mod footprint;
pub mod linear;
pub mod norm;
pub mod parameter_count;
mod pass;
mod taught;
mod unembedding;

pub use pass::{Back, DropoutState, Pass};
pub use taught::Lesson;
pub use unembedding::Learning;

use block::Block;
use embedding::Embedding;
use norm::Norm;
use unembedding::Unembedding;

use crate::backend::{Backend, Device, Tensor, Write};
use crate::config::Config;
use crate::memory::{Cache, Keep, KeyMemory, Memory};
use crate::plan::{Param, Plan};
use crate::probe::{Part, Probe, Site};

/// Observes a backward pass: called with the layer, the gradients of the weights so far, if they are wanted, the gradient of the
/// layer's input, and its input. The gradients of this layer's weights and of those after it are complete, except of weights
/// that the embedding shares.
pub type Watch<'a, B> = dyn FnMut(usize, Option<&mut <B as Device>::Buffer>, &Tensor<B>, &Tensor<B>) + 'a;

/// A GPT: layers and handles to named parameters, without numbers or type parameters. It can be printed, counted and drawn
/// before anything is allocated.
#[derive(Clone, Debug)]
pub struct Gpt {
    /// Its shape.
    pub config: Config,
    embedding: Embedding,
    blocks: Vec<Block>,
    norm: Norm,
    unembedding: Unembedding,
}

impl Gpt {
    /// The layers of `config` and the plan of their parameters.
    pub fn plan(config: &Config) -> (Gpt, Plan) {
        let mut plan = Plan::default();
        let p = &mut plan;
        let embedding = p.within("embedding", |p| Embedding::plan(p, config));
        let blocks = (0..config.layers)
            .map(|layer| p.within(&format!("block.{layer}"), |p| Block::plan(p, config, layer)))
            .collect();
        let norm = p.within("norm", |p| Norm::plan(p, config));
        // Weights are tied by copying the handle.
        let tied = config.tied.then_some(embedding.token);
        let unembedding = p.within("unembedding", |p| Unembedding::plan(p, config, tied));
        (Gpt { config: config.clone(), embedding, blocks, norm, unembedding }, plan)
    }

    /// The same model without the blocks from number `count` on: a pass leaves them out. Memory and parameters are those of the whole.
    pub fn first_blocks(&self, count: usize) -> Gpt {
        let mut first = self.clone();
        first.blocks.truncate(count);
        first
    }

    /// The number of blocks that a pass runs.
    pub fn depth(&self) -> usize {
        self.blocks.len()
    }

    /// The tables of which a token reads single rows only: positions, and tokens if they are not tied.
    pub fn tables(&self) -> impl Iterator<Item = Param> {
        let token = Some(self.embedding.token).filter(|_| !self.config.tied);
        token.into_iter().chain(self.embedding.position())
    }

    /// A row for every token.
    pub(crate) fn embedding_table(&self) -> Param {
        self.embedding.token
    }

    /// What turns its last vectors into logits.
    pub(crate) fn unembedding(&self) -> &Unembedding {
        &self.unembedding
    }

    /// Runs `ids` (one per row; the spans say which sequence and position each belongs to) through the blocks. The input of the
    /// unembedding is left in `memory.normed`; keys and values are appended to `cache`.
    pub fn forward<B: Backend, P: Probe>(
        &self,
        pass: &mut Pass<'_, B, P>,
        ids: &[u32],
        memory: &mut Memory<B>,
        cache: &mut Cache<B>,
    ) {
        self.forward_embedding(pass, ids, memory);
        self.forward_blocks(pass, 0, memory, cache);
    }

    /// The first part of [`forward`](Self::forward): `ids` become the residual in `memory`.
    pub(crate) fn forward_embedding<B: Backend, P: Probe>(
        &self,
        pass: &mut Pass<'_, B, P>,
        ids: &[u32],
        memory: &mut Memory<B>,
    ) {
        memory.use_rows(ids.len());
        self.embedding.forward(pass, ids, memory);
        memory.scratch.angles.set(pass.backend, pass.spans);
    }

    /// Runs the blocks from number `first` on, and the last norm. The input is the residual in `memory`. With `first` = layers,
    /// only the norm. Blocks must not read keys and values of those before `first` ([`Config::begin_at`]).
    pub fn forward_from<B: Backend, P: Probe>(
        &self,
        pass: &mut Pass<'_, B, P>,
        first: usize,
        memory: &mut Memory<B>,
        cache: &mut Cache<B>,
    ) {
        assert_eq!(self.config.begin_at(first), first, "a pass begins after keys and values that it reads");
        memory.scratch.angles.set(pass.backend, pass.spans);
        self.forward_blocks(pass, first, memory, cache);
    }

    fn forward_blocks<B: Backend, P: Probe>(
        &self,
        pass: &mut Pass<'_, B, P>,
        first: usize,
        memory: &mut Memory<B>,
        cache: &mut Cache<B>,
    ) {
        for layer in first..self.blocks.len() {
            self.forward_block(pass, layer, memory, cache);
        }
        self.forward_norm(pass, memory);
    }

    /// Runs one block.
    pub(crate) fn forward_block<B: Backend, P: Probe>(
        &self,
        pass: &mut Pass<'_, B, P>,
        layer: usize,
        memory: &mut Memory<B>,
        cache: &mut Cache<B>,
    ) {
        let (at, keys) = (memory.at(layer), memory.keys_at(layer));
        let (residual, kept) = (&mut memory.residual, &mut memory.blocks[at]);
        let keys = &mut memory.keys[keys];
        pass.at(Site::Block(layer, Part::Residual), residual);
        if let Some(input) = memory.inputs.get_mut(layer) {
            pass.backend.copy(input, residual);
        }
        let output_rows = pass.output_rows.filter(|_| layer + 1 == self.blocks.len());
        let block = &self.blocks[layer];
        block.forward(pass, residual, &mut memory.scratch, kept, keys, cache.at(layer), output_rows);
    }

    /// The last part of [`forward`](Self::forward): the norm after the blocks.
    pub(crate) fn forward_norm<B: Backend, P: Probe>(
        &self,
        pass: &mut Pass<'_, B, P>,
        memory: &mut Memory<B>,
    ) {
        let rows = memory.residual.rows;
        memory.normed.use_rows(rows);
        memory.stats.use_rows(rows);
        pass.at(Site::Residual, &mut memory.residual);
        self.norm.forward(pass, &mut memory.normed, &mut memory.stats, &memory.residual);
        pass.at(Site::Norm, &mut memory.normed);
    }

    /// The logits of the next token of every span.
    ///
    /// Block by block, attention has moved into the last vector of a sequence what its context says about the next token.
    /// So only the last row of each span is multiplied by the unembedding.
    pub fn next<B: Backend, P: Probe>(
        &self,
        pass: &mut Pass<'_, B, P>,
        memory: &mut Memory<B>,
        logits: &mut Tensor<B>,
    ) {
        memory.wanted_rows.clear();
        memory.wanted_rows.extend(pass.spans.iter().map(|span| span.rows.end as u32 - 1));
        self.wanted(pass, memory, logits);
    }

    /// The logits after each of `rows`, in ascending order. Callers pass some rows at a time, so that the logits of all rows are
    /// never in memory at once.
    pub fn logits<B: Backend, P: Probe>(
        &self,
        pass: &mut Pass<'_, B, P>,
        rows: impl IntoIterator<Item = usize>,
        memory: &mut Memory<B>,
        logits: &mut Tensor<B>,
    ) {
        memory.wanted_rows.clear();
        memory.wanted_rows.extend(rows.into_iter().map(|row| row as u32));
        self.wanted(pass, memory, logits);
    }

    fn wanted<B: Backend, P: Probe>(
        &self,
        pass: &mut Pass<'_, B, P>,
        memory: &mut Memory<B>,
        logits: &mut Tensor<B>,
    ) {
        memory.wanted.use_rows(memory.wanted_rows.len());
        logits.use_rows(memory.wanted_rows.len());
        pass.backend.take(&mut memory.wanted, &memory.normed, &memory.wanted_rows);
        self.unembedding.forward(pass, logits, &memory.wanted);
        pass.at_rows(Site::Logits, logits, &memory.wanted_rows);
    }

    /// The summed loss, in nats, of the counted rows of `memory.normed` (rows with the target
    /// [`IGNORE`](glass_kernels::loss::IGNORE) are not counted). Rows are taken in chunks as large as `logits` allows, and `seen`
    /// is told the loss of each. With `learn`, the gradient of each row (times its scale) is computed with it and left in
    /// `learn.d.normed`.
    pub fn loss<B: Backend, P: Probe>(
        &self,
        pass: &mut Pass<'_, B, P>,
        memory: &mut Memory<B>,
        targets: &[u32],
        logits: &mut Tensor<B>,
        seen: &mut dyn FnMut(usize, f32),
        learn: Option<Learning<'_, '_, B>>,
    ) -> f64 {
        self.unembedding.loss(pass, memory, targets, logits, seen, learn)
    }

    /// Goes back from the gradient in `d.normed` to the embedding. Gradients are added to `back.grads`; `memory` and `cache`
    /// are those of the forward, which kept every layer or the input of every layer. `each` sees the output of the last block
    /// (layer = layers) and the input of each block, from the last to the first.
    pub fn backward<B: Backend>(
        &self,
        back: &mut Back<'_, B>,
        ids: &[u32],
        memory: &mut Memory<B>,
        cache: &mut Cache<B>,
        d: &mut Memory<B>,
        each: &mut Watch<'_, B>,
    ) {
        self.backward_norm(back, memory, d);
        each(self.blocks.len(), back.grads.as_deref_mut(), &d.residual, &memory.residual);
        self.backward_to(back, 0, memory, cache, d, each);
        self.backward_embedding(back, ids, memory, d);
    }

    /// The first part of [`backward`](Self::backward): from the gradient in `d.normed` to that of the last block's output.
    pub(crate) fn backward_norm<B: Backend>(
        &self,
        back: &mut Back<'_, B>,
        memory: &Memory<B>,
        d: &mut Memory<B>,
    ) {
        let len = d.residual.len();
        back.backend.clear(&mut d.residual.data, 0..len);
        self.norm.backward(back, &mut d.residual, &d.normed, &memory.residual, &memory.stats);
    }

    /// Goes back from the gradient of the last block's output, in `d.residual`, to the input of block `first`.
    pub fn backward_to<B: Backend>(
        &self,
        back: &mut Back<'_, B>,
        first: usize,
        memory: &mut Memory<B>,
        cache: &mut Cache<B>,
        d: &mut Memory<B>,
        each: &mut Watch<'_, B>,
    ) {
        for layer in (first..self.blocks.len()).rev() {
            self.backward_block(back, layer, memory, cache, d);
            each(layer, back.grads.as_deref_mut(), &d.residual, &memory.inputs[layer]);
        }
    }

    /// Goes back through one block; the last block comes first.
    pub(crate) fn backward_block<B: Backend>(
        &self,
        back: &mut Back<'_, B>,
        layer: usize,
        memory: &mut Memory<B>,
        cache: &mut Cache<B>,
        d: &mut Memory<B>,
    ) {
        let place = d.keys_at(layer);
        let (d_keys, sums) = d.keys.split_last_mut().expect("gradients of one layer");
        if layer + 1 == self.blocks.len() {
            for KeyMemory { key, value } in sums.iter_mut() {
                for sum in [key, value] {
                    let len = sum.len();
                    back.backend.clear(&mut sum.data, 0..len);
                }
            }
        }
        let block = &self.blocks[layer];
        let (at, keys) = (memory.at(layer), memory.keys_at(layer));
        let (input, scratch, kept) = (&memory.inputs[layer], &mut memory.scratch, &mut memory.blocks[at]);
        let keys = &mut memory.keys[keys];
        if memory.keep == Keep::Inputs {
            back.backend.copy(&mut memory.residual, input);
            block.recompute(&mut back.pass(), &mut memory.residual, scratch, kept, keys, cache.at(layer));
        }
        let (d_scratch, d_block) = (&mut d.scratch, &mut d.blocks[0]);
        let d_keys = (d_keys, sums.get_mut(place));
        block.backward(back, &mut d.residual, d_scratch, d_block, d_keys, input, scratch, (kept, keys));
    }

    /// The last part of [`backward`](Self::backward): the gradients of the embedding.
    pub(crate) fn backward_embedding<B: Backend>(
        &self,
        back: &mut Back<'_, B>,
        ids: &[u32],
        memory: &mut Memory<B>,
        d: &mut Memory<B>,
    ) {
        self.embedding.backward(back, ids, memory, d);
    }
}

/// How a gradient that several paths contribute to is written: the first path sets it, the others add to it.
const FIRST: Write = Write::Set;
const THEN: Write = Write::Add;
