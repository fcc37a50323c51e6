//! A block: the residual stream takes in what attention finds in its context, then what the MLP makes of it.
//!
//! ```text
//! x += attention(norm x)
//! x += mlp(norm x)
//! ```

pub mod attention;
pub mod mlp;

use attention::Attention;
use mlp::Mlp;

use super::{Back, Pass};
use crate::backend::{Backend, Kv, Span, Tensor};
use crate::config::Config;
use crate::memory::{BlockMemory, Scratch};
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
        Block {
            layer,
            attention: plan.within("attention", |p| Attention::plan(p, config, layer)),
            mlp: plan.within("mlp", |p| Mlp::plan(p, config, layer)),
        }
    }

    /// `residual` in, `residual` out; with `ends`, only their rows come out ([`Pass::ends`]).
    pub fn forward<'a, B: Backend, P: Probe>(
        &self,
        pass: &mut Pass<'a, B, P>,
        residual: &mut Tensor<B>,
        scratch: &mut Scratch<B>,
        memory: &mut BlockMemory<B>,
        kv: &mut Kv<B>,
        ends: Option<&'a [Span]>,
    ) {
        self.attend(pass, residual, scratch, memory, kv, ends);
        self.mlp.forward(pass, scratch, residual, &mut memory.mlp);
        pass.drop(&mut scratch.branch, self.mlp_dropout());
        pass.backend.add(residual, &scratch.branch);
    }

    /// Fills `memory` once more from the residual that entered: a forward that ends where nothing more is kept.
    pub fn again<B: Backend>(
        &self,
        pass: &mut Pass<'_, B, ()>,
        residual: &mut Tensor<B>,
        scratch: &mut Scratch<B>,
        memory: &mut BlockMemory<B>,
        kv: &mut Kv<B>,
    ) {
        self.attend(pass, residual, scratch, memory, kv, None);
        self.mlp.again(pass, scratch, residual, &mut memory.mlp);
    }

    /// `x += attention(norm x)`
    fn attend<'a, B: Backend, P: Probe>(
        &self,
        pass: &mut Pass<'a, B, P>,
        residual: &mut Tensor<B>,
        scratch: &mut Scratch<B>,
        memory: &mut BlockMemory<B>,
        kv: &mut Kv<B>,
        ends: Option<&'a [Span]>,
    ) {
        self.attention.forward(pass, scratch, residual, &mut memory.attention, kv, ends);
        pass.drop(&mut scratch.branch, self.attention_dropout());
        pass.backend.add(residual, &scratch.branch);
        pass.at(Site::Block(self.layer, Part::ResidualMiddle), residual);
        if let Some(middle) = &mut memory.middle {
            pass.backend.copy(middle, residual);
        }
    }

    /// `dresidual` in, `dresidual` out: each branch adds what flows back through it. `input` is the residual that
    /// entered, `memory` what the forward kept of it.
    pub fn backward<B: Backend>(
        &self,
        back: &mut Back<'_, B>,
        dresidual: &mut Tensor<B>,
        dscratch: &mut Scratch<B>,
        d: &mut BlockMemory<B>,
        input: &Tensor<B>,
        scratch: &mut Scratch<B>,
        memory: &BlockMemory<B>,
    ) {
        let middle = memory.middle.as_ref().expect("a backward follows a forward that kept its activations");
        back.backend.copy(&mut dscratch.branch, dresidual);
        back.drop(&mut dscratch.branch, self.mlp_dropout());
        self.mlp.backward(back, dresidual, dscratch, middle, scratch, &memory.mlp);

        back.backend.copy(&mut dscratch.branch, dresidual);
        back.drop(&mut dscratch.branch, self.attention_dropout());
        let (kept, d) = (&memory.attention, &mut d.attention);
        self.attention.backward(back, dresidual, dscratch, d, input, scratch, kept);
    }

    // Dropout sites: 0 is the embedding's, then three to a block, the pattern's first.
    fn attention_dropout(&self) -> u64 {
        2 + 3 * self.layer as u64
    }

    fn mlp_dropout(&self) -> u64 {
        3 + 3 * self.layer as u64
    }
}
