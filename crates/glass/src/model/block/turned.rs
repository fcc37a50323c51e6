//! Queries or keys: a linear layer, then a norm and a rotation where the model has them.

use super::super::linear::Linear;
use super::super::norm::Norm;
use super::super::{Back, Pass};
use crate::backend::{Backend, Tensor, Write};
use crate::config::Config;
use crate::memory::{Angles, Unnormed};
use crate::plan::Plan;
use crate::probe::{Probe, Site};

/// The layers of queries, or of keys.
#[derive(Clone, Debug)]
pub struct Turned {
    /// The linear layer.
    pub linear: Linear,
    heads: usize,
    norm: Option<Norm>,
    /// Whether the norm comes after the rotation.
    after_rotation: bool,
    /// The table of angles.
    turn: Option<usize>,
    /// Where a probe sees the output of the linear layer, of the norm and of the rotation.
    sites: [Site; 3],
}

impl Turned {
    /// A norm of this name after a linear layer, and a rotation by this table.
    pub fn plan(
        plan: &mut Plan,
        config: &Config,
        name: &str,
        linear: Linear,
        heads: usize,
        turn: Option<usize>,
    ) -> Self {
        let choice = config.query_key_norm;
        let norm = choice.map(|norm| plan.within(name, |p| Norm::of_heads(p, config, norm.over, heads)));
        let after_rotation = choice.is_some_and(|norm| norm.after_rotation);
        Turned { linear, heads, norm, after_rotation, turn, sites: [Site::Residual; 3] }
    }

    /// The same, seen at these sites.
    pub fn shown_at(self, sites: [Site; 3]) -> Self {
        Turned { sites, ..self }
    }

    /// Whether there is nothing but the linear layer.
    pub fn is_linear(&self) -> bool {
        self.norm.is_none() && self.turn.is_none()
    }

    /// x `[rows, width]` → y `[rows, heads × size]`; with a norm, its input and statistics are left in `unnormed`.
    pub fn forward<B: Backend, P: Probe>(
        &self,
        pass: &mut Pass<'_, B, P>,
        y: &mut Tensor<B>,
        mut unnormed: Option<&mut Unnormed<B>>,
        x: &Tensor<B>,
        angles: &Angles<B>,
    ) {
        self.linear.forward(pass, self.linear_output(y, &mut unnormed), x, None);
        self.turn(pass, y, unnormed, angles);
    }

    /// Where the linear layer's output is written.
    pub fn linear_output<'a, B: Backend>(
        &self,
        y: &'a mut Tensor<B>,
        unnormed: &'a mut Option<&mut Unnormed<B>>,
    ) -> &'a mut Tensor<B> {
        match unnormed {
            Some(unnormed) if self.norm.is_some() => &mut unnormed.x,
            _ => y,
        }
    }

    /// What comes after the linear layer.
    pub fn turn<B: Backend, P: Probe>(
        &self,
        pass: &mut Pass<'_, B, P>,
        y: &mut Tensor<B>,
        unnormed: Option<&mut Unnormed<B>>,
        angles: &Angles<B>,
    ) {
        let [linear, normed, rotated] = self.sites;
        let rotate = |pass: &mut Pass<'_, B, P>, x: &mut Tensor<B>| {
            if let Some(turn) = self.turn {
                pass.backend.rotate(x, self.heads, angles.rotation(turn));
                pass.at(rotated, x);
            }
        };
        let (Some(norm), Some(unnormed)) = (self.norm, unnormed) else {
            pass.at(linear, y);
            return rotate(pass, y);
        };
        pass.at(linear, &mut unnormed.x);
        if self.after_rotation {
            rotate(pass, &mut unnormed.x);
        }
        norm.forward(pass, y, &mut unnormed.stats, &unnormed.x);
        pass.at(normed, y);
        if !self.after_rotation {
            rotate(pass, y);
        }
    }

    /// dy → dx (overwritten or added to), and the gradients of the layers. dy is overwritten.
    pub fn backward<B: Backend>(
        &self,
        back: &mut Back<'_, B>,
        dx: &mut Tensor<B>,
        write: Write,
        dy: &mut Tensor<B>,
        dunnormed: Option<&mut Unnormed<B>>,
        unnormed: Option<&Unnormed<B>>,
        x: &Tensor<B>,
        angles: &Angles<B>,
    ) {
        let (backend, each) = (back.backend, back.each);
        let rotate = |d: &mut Tensor<B>| {
            if let Some(turn) = self.turn {
                backend.rotate_backward(d, self.heads, angles.rotation(turn), each);
            }
        };
        let (Some(norm), Some(d), Some(unnormed)) = (self.norm, dunnormed, unnormed) else {
            rotate(dy);
            return self.linear.backward(back, dx, write, dy, x);
        };
        if !self.after_rotation {
            rotate(dy);
        }
        d.x.use_rows(dy.rows);
        let len = d.x.len();
        backend.clear(&mut d.x.data, 0..len);
        norm.backward(back, &mut d.x, dy, &unnormed.x, &unnormed.stats);
        if self.after_rotation {
            rotate(&mut d.x);
        }
        self.linear.backward(back, dx, write, &d.x, x);
    }
}
