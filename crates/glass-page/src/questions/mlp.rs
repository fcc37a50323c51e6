//! The MLP: its neurons, what fires them, and what they add.

use glass::config::{Branches, NormKind};
use glass::inspect::Matrix;
use glass::inspect::attribute::Attribution;
use glass::inspect::linear_norm::{Behind, LinearNorm};
use glass::inspect::promoted::{Promoted, deviation};
use glass::probe::{Part, Site};
use glass::{Config, Error, Result};
use serde::Deserialize;
use serde_json::{Value, json};

use super::attention::check_block;
use super::heads::{behind, dot, length, nothing, promotes, told, toward};
use crate::Page;
use crate::json::{token_with, vector};
use crate::seen::{Change, Seen};

/// The strongest neurons of a block's MLP at a position.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Mlp {
    ids: Vec<u32>,
    #[serde(default)]
    edits: Vec<Change>,
    block: usize,
    position: Option<usize>,
    #[serde(default = "twelve")]
    top: usize,
}

/// One neuron over the text.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Neuron {
    ids: Vec<u32>,
    #[serde(default)]
    edits: Vec<Change>,
    block: usize,
    neuron: usize,
    #[serde(default = "twelve")]
    top: usize,
}

fn twelve() -> usize {
    12
}

/// How many tokens are told of each neuron in a list.
const OF_EACH: usize = 3;

impl Mlp {
    pub(crate) fn answer(&self, page: &mut Page<'_>) -> Result<Value> {
        let model = page.model;
        let seen = page.see(&self.ids, &self.edits)?;
        let config = seen.config();
        check_block(config, self.block)?;
        let position = seen.position(self.position)?;
        let site = |part| Site::Block(self.block, part);
        let (hidden, active) =
            (seen.row(site(Part::Hidden), position)?, seen.row(site(Part::Active), position)?);
        let out = seen.row(site(Part::MlpOut), position)?;
        let (token, along) = toward(seen, position)?;
        let down = seen.inspector.parameter(&format!("block.{}.mlp.down.weight", self.block))?;
        let behind = behind(seen, self.block, "mlp", position)?;
        let lengths = lengths(&down, &behind);
        let adds = |neuron: usize| f64::from(active[neuron]).abs() * lengths[neuron].sqrt();
        let mut order: Vec<usize> = (0..down.cols).collect();
        order.sort_by(|a, b| adds(*b).total_cmp(&adds(*a)).then(a.cmp(b)));
        order.truncate(self.top);
        let written = |neuron: &usize| written(&down, &behind, *neuron, active[*neuron]);
        let vectors: Vec<Vec<f32>> = order.iter().map(written).collect();
        let mut all = vectors.concat();
        all.extend_from_slice(&out);
        let found = promotes(seen, position, &all, self.top.max(OF_EACH))?;
        let neurons = order.iter().zip(&vectors).zip(&found).map(|((&neuron, vector), found)| {
            let (mut promoted, mut demoted) = told(model, found);
            promoted.truncate(OF_EACH);
            demoted.truncate(OF_EACH);
            json!({"neuron": neuron, "hidden": hidden[neuron], "active": active[neuron], "length": adds(neuron),
                   "logit": dot(vector, &along), "promoted": promoted, "demoted": demoted})
        });
        let neurons: Vec<Value> = neurons.collect();
        let (promoted, demoted) = told(model, found.last().ok_or_else(nothing)?);
        Ok(json!({
            "length": length(&out), "logit": dot(&out, &along), "token": crate::json::token(model, token), "neurons": neurons,
            "active": active.iter().filter(|&&x| x > 0.0).count(), "open": hidden.iter().filter(|&&x| x > 0.0).count(),
            "values": vector(&active),
            "promoted": promoted, "demoted": demoted,
        }))
    }
}

impl Neuron {
    pub(crate) fn answer(&self, page: &mut Page<'_>) -> Result<Value> {
        let model = page.model;
        let seen = page.see(&self.ids, &self.edits)?;
        let config = seen.config();
        check_block(config, self.block)?;
        if self.neuron >= config.mlp_width {
            let why =
                format!("{} is not among the {} of a block, counted from 0", self.neuron, config.mlp_width);
            return Err(Error::invalid_argument("neuron", why));
        }
        let mut over = |part| -> Result<Vec<f32>> {
            let all = seen.site(Site::Block(self.block, part))?;
            Ok((0..all.rows).map(|row| all.row(row)[self.neuron]).collect())
        };
        let (active, hidden) = (over(Part::Active)?, over(Part::Hidden)?);
        let driven = self.driven(seen)?;
        let down = seen.inspector.parameter(&format!("block.{}.mlp.down.weight", self.block))?;
        let behind = behind(seen, self.block, "mlp", self.ids.len() - 1)?;
        let writes = written(&down, &behind, self.neuron, 1.0);
        let found = promotes(seen, self.ids.len() - 1, &writes, self.top)?;
        let (promoted, demoted) = told(model, found.first().ok_or_else(nothing)?);
        let tokens = |list: &[(u32, f32)]| -> Vec<Value> {
            list.iter().map(|&(id, value)| token_with(model, id, "value", f64::from(value))).collect()
        };
        Ok(json!({
            "values": vector(&active), "hidden": vector(&hidden), "excited": tokens(&driven.up),
            "calmed": tokens(&driven.down), "promoted": promoted, "demoted": demoted,
        }))
    }

    /// The tokens whose own vectors, as the MLP's norm makes them, drive the neuron most and least.
    fn driven(&self, seen: &mut Seen<'_>) -> Result<Promoted> {
        let name = |part: &str| format!("block.{}.mlp.{part}", self.block);
        let row = seen
            .inspector
            .rows(
                &name(if seen.config().gated { "gate.weight" } else { "up.weight" }),
                &[self.neuron as u32],
            )?
            .values;
        let config = seen.config();
        // The norm that the MLP reads through, if there is one: its own, or that of attention.
        let shared = config.branches == (Branches::Together { one_norm: true });
        let of_norm = format!("block.{}.{}.norm", self.block, if shared { "attention" } else { "mlp" });
        let norm = match config.placement.is_before() {
            true => Some(LinearNorm::of(&seen.inspector, &of_norm)?),
            false => None,
        };
        let gain = |i: usize| norm.as_ref().map_or(1.0, |norm| norm.gain[i]);
        let reads: Vec<f64> = row.iter().enumerate().map(|(i, w)| f64::from(*w) * gain(i)).collect();
        let mut values = Vec::with_capacity(config.vocabulary);
        for first in (0..config.vocabulary).step_by(1024) {
            let ids: Vec<u32> = (first as u32..config.vocabulary.min(first + 1024) as u32).collect();
            let table = seen.inspector.rows("embedding.token.weight", &ids)?;
            values.extend(table.values.chunks_exact(config.width).zip(ids).map(|(vector, id)| {
                let vector = entering(vector, config);
                let [mean, deviation] = if norm.is_some() { scale(&vector, config) } else { [0.0, 1.0] };
                let pairs = vector.iter().zip(&reads);
                let drive: f64 = pairs.map(|(x, read)| (f64::from(*x) - mean) / deviation * read).sum();
                (id, drive as f32)
            }));
        }
        values.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
        let up = values.iter().take(self.top).copied().collect();
        let down = values.iter().rev().take(self.top).copied().collect();
        Ok(Promoted { up, down })
    }
}

/// A token's vector as it enters the first block, without a position.
fn entering(vector: &[f32], config: &Config) -> Vec<f32> {
    let vector: Vec<f32> = vector.iter().map(|x| x * config.factors.embedding).collect();
    if !config.embedding_norm {
        return vector;
    }
    let [mean, deviation] = scale(&vector, config);
    vector.into_iter().map(|x| ((f64::from(x) - mean) / deviation) as f32).collect()
}

/// What a norm subtracts from a vector, and what it divides by.
fn scale(vector: &[f32], config: &Config) -> [f64; 2] {
    let mean = match config.norm.kind {
        NormKind::Layer => vector.iter().map(|&x| f64::from(x)).sum::<f64>() / vector.len() as f64,
        NormKind::Rms => 0.0,
    };
    [mean, deviation(vector, config.norm)]
}

/// How long what each neuron writes is at an activation of 1: a column of the second matrix, as it is added to the residual.
fn lengths(down: &Matrix, behind: &Behind) -> Vec<f64> {
    let mut lengths = vec![0.0f64; down.cols];
    let mut means = vec![0.0f64; down.cols];
    let by = behind.gains(down.rows);
    for row in down.values.chunks_exact(down.cols).filter(|_| behind.subtracts_means()) {
        means.iter_mut().zip(row).for_each(|(mean, w)| *mean += f64::from(*w) / down.rows as f64);
    }
    for (row, by) in down.values.chunks_exact(down.cols).zip(by) {
        let squares = lengths.iter_mut().zip(row).zip(&means);
        squares.for_each(|((sum, w), mean)| *sum += ((f64::from(*w) - mean) * by).powi(2));
    }
    lengths
}

/// What a neuron adds to the residual at an activation.
fn written(down: &Matrix, behind: &Behind, neuron: usize, active: f32) -> Vec<f32> {
    let column = down.values.chunks_exact(down.cols).map(|row| f64::from(row[neuron] * active));
    behind.added(&column.collect::<Vec<_>>()).into_iter().map(|x| x as f32).collect()
}

/// The parts of an attribution as JSON.
pub(crate) fn parts(found: &Attribution) -> Vec<Value> {
    found.parts.iter().map(|(part, value)| json!({"name": part.to_string(), "value": value})).collect()
}
