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
use crate::backend::{Backend, Kv, Tensor};
use crate::config::Config;
use crate::memory::BlockMemory;
use crate::plan::Plan;
use crate::probe::{Probe, Site};

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

    /// `residual` in, `residual` out; `branch` is scratch.
    pub fn forward<B: Backend, P: Probe>(
        &self,
        pass: &mut Pass<'_, B, P>,
        residual: &mut Tensor<B>,
        branch: &mut Tensor<B>,
        memory: &mut BlockMemory<B>,
        kv: &mut Kv<B>,
    ) {
        pass.at(Site::Residual(self.layer), residual);
        keep(pass.backend, &mut memory.input, residual);
        self.attention.forward(pass, branch, residual, &mut memory.attention, kv);
        pass.drop(branch, self.attention_dropout());
        pass.backend.add(residual, branch);

        pass.at(Site::ResidualMiddle(self.layer), residual);
        keep(pass.backend, &mut memory.middle, residual);
        self.mlp.forward(pass, branch, residual, &mut memory.mlp);
        pass.drop(branch, self.mlp_dropout());
        pass.backend.add(residual, branch);
    }

    /// `dresidual` in, `dresidual` out: each branch adds what flows back through it; `dbranch` is scratch.
    pub fn backward<B: Backend>(
        &self,
        back: &mut Back<'_, B>,
        dresidual: &mut Tensor<B>,
        dbranch: &mut Tensor<B>,
        memory: &BlockMemory<B>,
        d: &mut BlockMemory<B>,
    ) {
        back.backend.copy(dbranch, dresidual);
        back.drop(dbranch, self.mlp_dropout());
        self.mlp.backward(back, dresidual, dbranch, kept(&memory.middle), &memory.mlp, &mut d.mlp);

        back.backend.copy(dbranch, dresidual);
        back.drop(dbranch, self.attention_dropout());
        self.attention.backward(
            back,
            dresidual,
            dbranch,
            kept(&memory.input),
            &memory.attention,
            &mut d.attention,
        );
    }

    // Dropout sites: 0 is the embedding's, then three to a block, the pattern's first.
    fn attention_dropout(&self) -> u64 {
        2 + 3 * self.layer as u64
    }

    fn mlp_dropout(&self) -> u64 {
        3 + 3 * self.layer as u64
    }
}

fn keep<B: Backend>(backend: &B, kept: &mut Option<Tensor<B>>, x: &Tensor<B>) {
    if let Some(kept) = kept {
        backend.copy(kept, x);
    }
}

fn kept<B: Backend>(kept: &Option<Tensor<B>>) -> &Tensor<B> {
    kept.as_ref().expect("a backward follows a forward that kept every layer")
}
