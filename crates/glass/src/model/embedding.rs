//! Embedding: a token's id becomes its vector, and a position's vector is added.

use super::{Back, FIRST, Pass, THEN};
use crate::backend::{Backend, Tensor};
use crate::config::{self, Config};
use crate::plan::{Param, Plan, Start};
use crate::probe::{Probe, Site, Want};

/// The embedding's parameters.
#[derive(Clone, Copy, Debug)]
pub struct Embedding {
    /// One row per token.
    pub token: Param,
    positions: Positions,
}

#[derive(Clone, Copy, Debug)]
enum Positions {
    Learned(Param),
}

/// The embedding's dropout site.
const DROPOUT: u64 = 0;

impl Embedding {
    /// `vocabulary` tokens and `context` positions.
    pub fn plan(plan: &mut Plan, config: &Config) -> Self {
        let token =
            plan.within("token", |p| p.table("weight", config.vocabulary, config.width, Start::Normal));
        let positions = match config.positions {
            config::Positions::Learned => Positions::Learned(
                plan.within("position", |p| p.table("weight", config.context, config.width, Start::Normal)),
            ),
        };
        Embedding { token, positions }
    }

    /// The table of positions, one row each, if they are learned.
    pub fn position(&self) -> Option<Param> {
        let Positions::Learned(table) = self.positions;
        Some(table)
    }

    /// ids → residual `[rows, width]`; `at` receives every row's position.
    pub fn forward<B: Backend, P: Probe>(
        &self,
        pass: &mut Pass<'_, B, P>,
        ids: &[u32],
        at: &mut Vec<u32>,
        residual: &mut Tensor<B>,
    ) {
        at.clear();
        at.extend(
            pass.spans.iter().flat_map(|s| (s.past..s.past + s.rows.len()).map(|position| position as u32)),
        );
        assert_eq!(at.len(), ids.len(), "the spans cover every row");
        pass.backend.embed(residual, FIRST, ids, pass.weight(self.token));
        pass.at(Site::Token, residual);
        let Positions::Learned(table) = self.positions;
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
        pass.at(Site::Embedding, residual);
        pass.drop(residual, DROPOUT);
    }

    /// Adds the residual's gradient to the rows that were read.
    pub fn backward<B: Backend>(
        &self,
        back: &mut Back<'_, B>,
        dresidual: &mut Tensor<B>,
        ids: &[u32],
        at: &[u32],
    ) {
        back.drop(dresidual, DROPOUT);
        let (dtoken, dposition) = (
            back.span(self.token),
            match self.positions {
                Positions::Learned(table) => back.span(table),
            },
        );
        if let Some(grads) = &mut back.grads {
            back.backend.embed_backward(grads, dtoken, dresidual, ids);
            back.backend.embed_backward(grads, dposition, dresidual, at);
        }
    }
}
