//! Embedding: a token's id becomes its vector, and a position's vector is added where positions are learned.

use super::norm::Norm;
use super::{Back, FIRST, Pass, THEN};
use crate::backend::{Backend, Tensor};
use crate::config::{self, Config};
use crate::memory::Memory;
use crate::plan::{Param, Plan, Start};
use crate::probe::{Probe, Site, Want};

/// The embedding's parameters.
#[derive(Clone, Copy, Debug)]
pub struct Embedding {
    /// One row per token.
    pub token: Param,
    positions: Option<Param>,
    factor: f32,
    norm: Option<Norm>,
}

/// The embedding's dropout site.
const DROPOUT: u64 = 0;

impl Embedding {
    /// `vocabulary` tokens and `context` positions.
    pub fn plan(plan: &mut Plan, config: &Config) -> Self {
        let token =
            plan.within("token", |p| p.table("weight", config.vocabulary, config.width, Start::Normal));
        let positions = (config.positions == config::Positions::Learned).then(|| {
            plan.within("position", |p| p.table("weight", config.context, config.width, Start::Normal))
        });
        let norm = config.embedding_norm.then(|| Norm::plain(config));
        Embedding { token, positions, factor: config.factors.embedding, norm }
    }

    /// The table of positions, one row each, if they are learned.
    pub fn position(&self) -> Option<Param> {
        self.positions
    }

    /// ids → `memory.residual` `[rows, width]`; `memory.positions` receives every row's position.
    pub fn forward<B: Backend, P: Probe>(
        &self,
        pass: &mut Pass<'_, B, P>,
        ids: &[u32],
        memory: &mut Memory<B>,
    ) {
        let Memory { residual, normed, stats, positions: at, .. } = memory;
        at.clear();
        at.extend(
            pass.spans.iter().flat_map(|s| (s.past..s.past + s.rows.len()).map(|position| position as u32)),
        );
        assert_eq!(at.len(), ids.len(), "the spans cover every row");
        self.tokens(pass, residual, ids);
        pass.at(Site::Token, residual);
        if let Some(table) = self.positions {
            match pass.wants(Site::Position) {
                Want::No => pass.backend.embed(residual, THEN, at, pass.weight(table)),
                _ => {
                    let position = Tensor::new(pass.backend, residual.rows, residual.cols);
                    let mut position = position.expect("memory for positions that a probe reads");
                    pass.backend.embed(&mut position, FIRST, at, pass.weight(table));
                    pass.at(Site::Position, &mut position);
                    pass.backend.add(residual, &position);
                }
            }
        }
        if let Some(norm) = self.norm {
            pass.backend.copy(normed, residual);
            norm.forward(pass, residual, stats, normed);
        }
        pass.at(Site::Embedding, residual);
        pass.drop(residual, DROPOUT);
    }

    /// The vectors of tokens, with their factor.
    fn tokens<B: Backend, P: Probe>(&self, pass: &Pass<'_, B, P>, to: &mut Tensor<B>, ids: &[u32]) {
        pass.backend.embed(to, FIRST, ids, pass.weight(self.token));
        if self.factor != 1.0 {
            pass.backend.scale(to, self.factor);
        }
    }

    /// Adds the residual's gradient, in `d.residual`, to the rows that were read. Overwrites the last norm's memory.
    pub fn backward<B: Backend>(
        &self,
        back: &mut Back<'_, B>,
        ids: &[u32],
        memory: &mut Memory<B>,
        d: &mut Memory<B>,
    ) {
        back.drop(&mut d.residual, DROPOUT);
        if let Some(norm) = self.norm {
            let Memory { residual, normed, stats, positions, .. } = memory;
            let pass = back.pass();
            self.tokens(&pass, normed, ids);
            if let Some(table) = self.positions {
                pass.backend.embed(normed, THEN, positions, pass.weight(table));
            }
            norm.forward(&pass, residual, stats, normed);
            back.backend.copy(&mut d.normed, &d.residual);
            let len = d.residual.len();
            back.backend.clear(&mut d.residual.data, 0..len);
            norm.backward(back, &mut d.residual, &d.normed, normed, stats);
        }
        let backend = back.backend;
        if let Some(grads) = self.positions.and_then(|table| back.grads(table, None)) {
            backend.embed_backward(grads.arena, grads.weight, &d.residual, &memory.positions);
        }
        let Some(grads) = back.grads(self.token, None) else { return };
        if self.factor != 1.0 {
            backend.scale(&mut d.residual, self.factor);
        }
        backend.embed_backward(grads.arena, grads.weight, &d.residual, ids);
    }
}
