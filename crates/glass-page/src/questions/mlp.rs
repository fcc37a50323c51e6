//! The MLP: its neurons, what fires them, and what they add.

use glass::inspect::attribute::Attribution;
use glass::inspect::linear_norm::LinearNorm;
use glass::inspect::promoted::Promoted;
use glass::probe::{Part, Site};
use glass::{Error, Result};
use serde::Deserialize;
use serde_json::{Value, json};

use super::attention::check_block;
use super::heads::{dot, length, nothing, promotes, told, toward};
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
        // How long what each neuron writes is: a column of the second matrix.
        let mut lengths = vec![0.0f64; down.cols];
        for row in down.values.chunks_exact(down.cols) {
            lengths.iter_mut().zip(row).for_each(|(sum, w)| *sum += f64::from(*w).powi(2));
        }
        let adds = |neuron: usize| f64::from(active[neuron]).abs() * lengths[neuron].sqrt();
        let mut order: Vec<usize> = (0..down.cols).collect();
        order.sort_by(|a, b| adds(*b).total_cmp(&adds(*a)).then(a.cmp(b)));
        order.truncate(self.top);
        let written = |neuron: &usize| -> Vec<f32> {
            down.values.chunks_exact(down.cols).map(|row| row[*neuron] * active[*neuron]).collect()
        };
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
            "active": active.iter().filter(|&&x| x > 0.0).count(), "values": vector(&active),
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
        let writes: Vec<f32> = down.values.chunks_exact(down.cols).map(|row| row[self.neuron]).collect();
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
        let norm = match seen.config().placement.is_before() {
            true => LinearNorm::of(&seen.inspector, &name("norm")).map(Some)?,
            false => None,
        };
        let gain = |i: usize| norm.as_ref().map_or(1.0, |norm| norm.gain[i]);
        let reads: Vec<f64> = row.iter().enumerate().map(|(i, w)| f64::from(*w) * gain(i)).collect();
        let (config, mut values) = (seen.config(), Vec::with_capacity(seen.config().vocabulary));
        for first in (0..config.vocabulary).step_by(1024) {
            let ids: Vec<u32> = (first as u32..config.vocabulary.min(first + 1024) as u32).collect();
            let table = seen.inspector.rows("embedding.token.weight", &ids)?;
            values.extend(table.values.chunks_exact(config.width).zip(ids).map(|(vector, id)| {
                let mean = match config.norm.kind {
                    glass::config::NormKind::Layer => {
                        vector.iter().map(|&x| f64::from(x)).sum::<f64>() / config.width as f64
                    }
                    glass::config::NormKind::Rms => 0.0,
                };
                let deviation = glass::inspect::promoted::deviation(vector, config.norm);
                let drive: f64 = vector
                    .iter()
                    .zip(&reads)
                    .map(|(x, read)| (f64::from(*x) - mean) / deviation * read)
                    .sum();
                (id, drive as f32)
            }));
        }
        values.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
        let up = values.iter().take(self.top).copied().collect();
        let down = values.iter().rev().take(self.top).copied().collect();
        Ok(Promoted { up, down })
    }
}

/// The parts of an attribution as JSON.
pub(crate) fn parts(found: &Attribution) -> Vec<Value> {
    found.parts.iter().map(|(part, value)| json!({"name": part.to_string(), "value": value})).collect()
}
