//! Where a number comes from: its operands and the equation, one step back at a time, down to the weights.
//!
//! Every operand is a number that the pass computed, a weight, or a constant, and names what it is, so that it can be asked for
//! in turn. The equation is computed again from the operands in 64 bits. What is left of the value is the rounding of 32-bit
//! floats, since operands are shown as the kernels multiply them: rounded to 8 or 16 bits where a product rounds its inputs.

mod attention;
mod check;
mod edited;
mod ends;
mod norm;
mod product;
mod rotation;
mod softmax;
mod words;

use super::{Edit, Matrix, read_rows};
use crate::Result;
use crate::backend::{Backend, CacheType};
use crate::config::{Branches, Config};
use crate::model::Gpt;
use crate::plan::Plan;
use crate::probe::{Part, Site};
use crate::runtime::Model;

/// A number of a pass, or a weight. Everything is counted from 0.
#[derive(Clone, PartialEq, Debug)]
pub enum Number {
    /// At a site.
    At {
        /// The site.
        site: Site,
        /// The position; at a square site, of the query.
        position: usize,
        /// The head, at a square site and at the contributions of heads; otherwise 0.
        head: usize,
        /// The column; at a square site, the key.
        index: usize,
    },
    /// What a norm or a softmax computes of a whole row.
    Statistic {
        /// What it is.
        of: Statistic,
        /// The site that it is computed for: what a norm gives, a pattern or the logits.
        site: Site,
        /// The position.
        position: usize,
        /// The head of a pattern, or of a query or key that is normalised for itself; otherwise 0.
        head: usize,
    },
    /// The probability of a token after a position.
    Probability {
        /// The token.
        token: u32,
        /// The position.
        position: usize,
    },
    /// A weight.
    Weight {
        /// The parameter's name, as in `block.3.mlp.up.weight`.
        parameter: String,
        /// Its row: an output, an entry of a table; 0 in a vector.
        row: usize,
        /// Its column.
        column: usize,
    },
}

/// What is computed of a whole row.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Statistic {
    /// A LayerNorm's mean.
    Mean,
    /// A LayerNorm's variance.
    Variance,
    /// An RMSNorm's mean square.
    MeanSquare,
    /// What a norm multiplies by: 1 / √(variance + ε), or 1 / √(mean square + ε).
    InverseDeviation,
    /// The largest number that enters a softmax.
    Largest,
    /// The sum of a softmax's exponentials.
    Sum,
}

/// What a number is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// It flows: another text gives another number.
    Data,
    /// It was learned.
    Weight,
    /// It belongs to the architecture.
    Constant,
}

/// An operand, or one factor of it.
#[derive(Clone, PartialEq, Debug)]
pub struct Factor {
    /// What it is; `None` if there is nothing before it.
    pub number: Option<Number>,
    /// Data, weight or constant.
    pub kind: Kind,
    /// Its value.
    pub value: f64,
    /// Its value as it is multiplied, if the product rounds it.
    pub rounded: Option<f64>,
}

/// An operand.
#[derive(Clone, PartialEq, Debug)]
pub struct Input {
    /// What it is, in a few words.
    pub label: String,
    /// The number.
    pub factor: Factor,
    /// What it is multiplied by, in a sum of products.
    pub times: Option<Factor>,
    /// What it adds, if the equation is a sum.
    pub part: Option<f64>,
}

/// Where a number comes from.
#[derive(Clone, PartialEq, Debug)]
pub struct Origin {
    /// Its value.
    pub value: f64,
    /// How it is computed, in words.
    pub equation: String,
    /// Data or weight.
    pub kind: Kind,
    /// The operands; of a long sum those that add the most.
    pub inputs: Vec<Input>,
    /// The number of operands that are left out.
    pub more: usize,
    /// Their sum.
    pub more_sum: f64,
    /// The equation's result, computed again from all operands in 64 bits.
    pub sum: f64,
    /// What an edit did to the number, if one did.
    pub edited: Option<String>,
}

impl Origin {
    /// The value minus the equation's result: the rounding of 32-bit floats.
    pub fn rounding(&self) -> f64 {
        // Two infinities are the same number.
        if self.value == self.sum { 0.0 } else { self.value - self.sum }
    }
}

/// Gives the numbers of a pass: of a site, a head and a position. At a square site they are the head's row of keys, elsewhere
/// the position's row, whatever the head is.
pub type Rows<'a> = dyn FnMut(Site, usize, usize) -> Result<Vec<f32>> + 'a;

/// How many operands of a long sum are listed, if nothing else is said.
pub const LISTED: usize = 12;

/// Traces numbers of one pass.
pub struct Tracer<'a, B: Backend> {
    model: &'a Model<B>,
    plan: Plan,
    ids: &'a [u32],
    edits: &'a [Edit],
    /// How many operands of a sum are listed.
    pub listed: usize,
}

impl<'a, B: Backend> Tracer<'a, B> {
    /// For a pass over `ids`, edited in this way.
    pub fn new(model: &'a Model<B>, ids: &'a [u32], edits: &'a [Edit]) -> Self {
        Tracer { model, plan: Gpt::plan(model.config()).1, ids, edits, listed: LISTED }
    }

    fn config(&self) -> &'a Config {
        self.model.config()
    }

    /// Where a number comes from.
    ///
    /// # Errors
    /// If there is no such number, or `rows` fails.
    pub fn origin(&self, number: &Number, rows: &mut Rows<'_>) -> Result<Origin> {
        self.check(number)?;
        match number {
            Number::Weight { parameter, row, column } => self.weight_alone(parameter, *row, *column),
            Number::Probability { token, position } => self.probability(*token, *position, rows),
            Number::Statistic { of: Statistic::Largest | Statistic::Sum, .. } => {
                self.of_softmax(number, rows)
            }
            Number::Statistic { of, site, position, head } => {
                self.of_norm(*of, *site, *position, *head, rows)
            }
            Number::At { site, position, head, index } => {
                let origin = self.at(*site, *position, *head, *index, rows)?;
                Ok(self.with_edit(number, origin))
            }
        }
    }

    fn at(
        &self,
        site: Site,
        position: usize,
        head: usize,
        index: usize,
        rows: &mut Rows<'_>,
    ) -> Result<Origin> {
        let value = f64::from(rows(site, head, position)?[self.column(site, head, index)]);
        if self.norm(site).is_some() {
            return self.normed(value, site, position, index, rows);
        }
        let Site::Block(layer, part) = site else { return self.around(value, site, position, index, rows) };
        let mut sum = |parts: &[Part], equation: &str| {
            let parts: Vec<Site> = parts.iter().map(|&part| Site::Block(layer, part)).collect();
            self.added(value, &parts, position, index, equation, rows)
        };
        match part {
            Part::Residual => self.residual(value, layer, position, index, rows),
            Part::AttentionNorm => {
                sum(&[Part::Residual], "the residual stream: no norm stands before attention")
            }
            Part::MlpNorm => sum(&[self.read_by_mlp()], "the residual stream: no norm stands before the MLP"),
            Part::ResidualMiddle => sum(
                &[Part::Residual, Part::AttentionOut],
                "the residual stream before attention + what attention adds",
            ),
            Part::QueryRotated | Part::KeyRotated => self.rotated(value, layer, part, position, index, rows),
            Part::Active => self.activated(value, layer, position, index, rows),
            Part::Scores => self.score(value, layer, position, head, index, rows),
            Part::Masked => self.masked(value, layer, position, head, index, rows),
            Part::Pattern => self.share(value, layer, position, head, index, rows),
            Part::Z => self.z(value, layer, position, index, rows),
            Part::Contribution => self.contribution(value, layer, position, head, index, rows),
            _ => self.product(value, site, position, index, rows),
        }
    }

    /// Before and after the blocks.
    fn around(
        &self,
        value: f64,
        site: Site,
        position: usize,
        index: usize,
        rows: &mut Rows<'_>,
    ) -> Result<Origin> {
        match site {
            Site::Token => {
                let (row, equation) = (self.ids[position] as usize, "the token's row of the table of tokens");
                let origin = self.copied(value, "embedding.token.weight", row, index, equation)?;
                Ok(origin.times(self.config().factors.embedding))
            }
            Site::Position => {
                let equation = "the position's row of the table of positions";
                self.copied(value, "embedding.position.weight", position, index, equation)
            }
            Site::Embedding if !Site::Position.is_in(self.config()) => {
                self.added(value, &[Site::Token], position, index, "the token's vector", rows)
            }
            Site::Embedding => {
                let equation = "the token's vector + the position's vector";
                self.added(value, &[Site::Token, Site::Position], position, index, equation, rows)
            }
            Site::Residual => self.residual(value, self.config().layers, position, index, rows),
            _ => self.logit(value, position, index, rows),
        }
    }

    /// The residual stream that enters a block, or leaves the last one.
    fn residual(
        &self,
        value: f64,
        layer: usize,
        position: usize,
        index: usize,
        rows: &mut Rows<'_>,
    ) -> Result<Origin> {
        let Some(before) = layer.checked_sub(1) else {
            return self.added(value, &[Site::Embedding], position, index, "the embedding", rows);
        };
        let parts = [Part::ResidualMiddle, Part::MlpOut].map(|part| Site::Block(before, part));
        let equation = "the residual stream before the MLP + what the MLP adds";
        let aside = "the residual stream with what attention adds + what the MLP adds";
        let in_turn = self.config().branches == Branches::InTurn;
        self.added(value, &parts, position, index, if in_turn { equation } else { aside }, rows)
    }

    /// The residual stream that the MLP reads: with attention's output, or the block's input.
    fn read_by_mlp(&self) -> Part {
        match self.config().branches {
            Branches::InTurn => Part::ResidualMiddle,
            Branches::Together { .. } => Part::Residual,
        }
    }

    /// The column of a number in the row that the site has.
    fn column(&self, site: Site, head: usize, index: usize) -> usize {
        match site {
            Site::Block(_, Part::Contribution) => head * self.config().width + index,
            _ => index,
        }
    }

    /// A sum of numbers in the same column of other sites.
    fn added(
        &self,
        value: f64,
        parts: &[Site],
        position: usize,
        index: usize,
        equation: &str,
        rows: &mut Rows<'_>,
    ) -> Result<Origin> {
        let mut inputs = Vec::new();
        for &site in parts {
            let number = Number::At { site, position, head: 0, index };
            let part = f64::from(rows(site, 0, position)?[index]);
            inputs.push(Input { part: Some(part), ..self.input(number, Kind::Data, part) });
        }
        let sum = inputs.iter().filter_map(|input| input.part).sum();
        Ok(Origin { sum, inputs, ..Origin::of(value, equation.into()) })
    }

    /// A weight that flows on unchanged.
    fn copied(
        &self,
        value: f64,
        parameter: &str,
        row: usize,
        column: usize,
        equation: &str,
    ) -> Result<Origin> {
        let input = self.weight(parameter, row, column)?;
        let sum = input.factor.value;
        let inputs = vec![Input { part: Some(sum), ..input }];
        Ok(Origin { sum, inputs, ..Origin::of(value, equation.into()) })
    }

    fn weight_alone(&self, parameter: &str, row: usize, column: usize) -> Result<Origin> {
        let value = self.weight(parameter, row, column)?.factor.value;
        let equation = "a weight: learned in training, and stored in the model's file".into();
        Ok(Origin { kind: Kind::Weight, sum: value, ..Origin::of(value, equation) })
    }

    /// A weight as an operand.
    fn weight(&self, parameter: &str, row: usize, column: usize) -> Result<Input> {
        let number = Number::Weight { parameter: parameter.into(), row, column };
        let value = f64::from(self.rows(parameter, &[row as u32])?.values[column]);
        Ok(self.input(number, Kind::Weight, value))
    }

    fn rows(&self, parameter: &str, rows: &[u32]) -> Result<Matrix> {
        read_rows(self.model, &self.plan, parameter, rows)
    }

    /// An operand that names itself.
    fn input(&self, number: Number, kind: Kind, value: f64) -> Input {
        let label = number.short(self.config());
        let factor = Factor { number: Some(number), kind, value, rounded: None };
        Input { label, factor, times: None, part: None }
    }

    /// Whether keys and values are kept in 16 bits.
    fn short_cache(&self) -> bool {
        self.model.cache == CacheType::Bf16
    }
}

impl Origin {
    fn of(value: f64, equation: String) -> Origin {
        let (kind, inputs) = (Kind::Data, Vec::new());
        Origin { value, equation, kind, inputs, more: 0, more_sum: 0.0, sum: value, edited: None }
    }
}

/// The indices of the parts of a sum that are listed, largest first, and the number and the sum of the others.
fn largest(parts: &[f64], listed: usize) -> (Vec<usize>, usize, f64) {
    let mut order: Vec<usize> = (0..parts.len()).collect();
    order.sort_by(|&a, &b| parts[b].abs().total_cmp(&parts[a].abs()));
    let rest = order.split_off(listed.min(order.len()));
    let more_sum = rest.iter().map(|&at| parts[at]).sum();
    (order, rest.len(), more_sum)
}
