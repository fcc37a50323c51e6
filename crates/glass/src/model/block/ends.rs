//! What stands between the residual and a branch (attention or MLP): the norm before it, and the norm and the factor on what it
//! gives.

use super::super::norm::Norm;
use super::super::{Back, Pass};
use crate::backend::{Backend, Tensor};
use crate::config::Config;
use crate::plan::Plan;
use crate::probe::Probe;

/// The norms and the factor of a branch.
#[derive(Clone, Debug)]
pub struct Ends {
    /// The norm before it.
    pub before: Option<Norm>,
    after: Option<Norm>,
    factor: f32,
}

impl Ends {
    /// The norm before a branch, which comes first in the plan.
    pub fn plan_before(plan: &mut Plan, config: &Config) -> Option<Norm> {
        config.placement.is_before().then(|| plan.within("norm", |p| Norm::plan(p, config)))
    }

    /// With this norm before the branch.
    pub fn plan(plan: &mut Plan, config: &Config, before: Option<Norm>) -> Self {
        let after = config.placement.is_after().then(|| plan.within("norm_after", |p| Norm::plan(p, config)));
        Ends { before, after, factor: config.factors.branch }
    }

    /// The residual → the branch's input; `stats` receives the norm's.
    pub fn enter<B: Backend, P: Probe>(
        &self,
        pass: &Pass<'_, B, P>,
        normed: &mut Tensor<B>,
        stats: &mut Tensor<B>,
        residual: &Tensor<B>,
    ) {
        match self.before {
            Some(norm) => norm.forward(pass, normed, stats, residual),
            None => pass.backend.copy(normed, residual),
        }
    }

    /// The branch's output, which is in `unnormed` if a norm stands on it → `branch`, which is added to the residual.
    pub fn leave<B: Backend, P: Probe>(
        &self,
        pass: &Pass<'_, B, P>,
        branch: &mut Tensor<B>,
        stats: &mut Tensor<B>,
        unnormed: Option<&Tensor<B>>,
    ) {
        if let (Some(norm), Some(unnormed)) = (self.after, unnormed) {
            norm.forward(pass, branch, stats, unnormed);
        }
        if self.factor != 1.0 {
            pass.backend.scale(branch, self.factor);
        }
    }

    /// The same for the parts that the output is the sum of, in place; `stats` are those of [`leave`](Self::leave), of which
    /// these `rows` are meant.
    pub fn leave_in_parts<B: Backend, P: Probe>(
        &self,
        pass: &Pass<'_, B, P>,
        parts: &mut Tensor<B>,
        count: usize,
        stats: &Tensor<B>,
        rows: &[u32],
    ) {
        if let Some(norm) = self.after {
            let own = Tensor::new(pass.backend, rows.len(), stats.cols);
            let mut own = own.expect("memory for the statistics of a few rows");
            pass.backend.take(&mut own, stats, rows);
            norm.forward_in_parts(pass, parts, count, &own);
        }
        if self.factor != 1.0 {
            pass.backend.scale(parts, self.factor);
        }
    }

    /// The gradient of what was added to the residual: that of the residual, or a copy where the forward dropped entries of it
    /// or multiplied it.
    pub fn branch<'t, B: Backend>(
        &self,
        back: &Back<'_, B>,
        dresidual: &'t Tensor<B>,
        copy: &'t mut Tensor<B>,
        dropout: u64,
    ) -> &'t Tensor<B> {
        if back.dropout(dropout).is_none() && self.factor == 1.0 {
            return dresidual;
        }
        back.backend.copy(copy, dresidual);
        back.drop(copy, dropout);
        if self.factor != 1.0 {
            back.backend.scale(copy, self.factor);
        }
        copy
    }

    /// Goes back through the norm on a branch, if there is one: its input and the memory for the gradient of that are in
    /// `unnormed`. Overwrites `normed` and `stats`.
    pub fn back_in<'t, B: Backend>(
        &self,
        back: &mut Back<'_, B>,
        dbranch: &'t Tensor<B>,
        unnormed: Option<(&Tensor<B>, &'t mut Tensor<B>)>,
        normed: &mut Tensor<B>,
        stats: &mut Tensor<B>,
    ) -> &'t Tensor<B> {
        let (Some(norm), Some((unnormed, d))) = (self.after, unnormed) else { return dbranch };
        norm.forward(&back.pass(), normed, stats, unnormed);
        d.use_rows(dbranch.rows);
        let len = d.len();
        back.backend.clear(&mut d.data, 0..len);
        norm.backward(back, d, dbranch, unnormed, stats);
        d
    }

    /// Goes back through the norm before a branch, whose input is `residual`.
    pub fn back_out<B: Backend>(
        &self,
        back: &mut Back<'_, B>,
        dresidual: &mut Tensor<B>,
        dnormed: &Tensor<B>,
        residual: &Tensor<B>,
        stats: &Tensor<B>,
    ) {
        match self.before {
            Some(norm) => norm.backward(back, dresidual, dnormed, residual, stats),
            None => back.backend.add(dresidual, dnormed),
        }
    }
}
