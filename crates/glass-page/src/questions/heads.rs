//! What heads add: values through their two halves.

use glass::backend::Cpu;
use glass::inspect::Matrix;
use glass::inspect::linear_norm::{Behind, LinearNorm};
use glass::inspect::promoted::{Promoted, deviation, promoted};
use glass::probe::{Part, Site};
use glass::text_model::TextModel;
use glass::{Error, Result};
use serde::Deserialize;
use serde_json::{Value, json};

use super::attention::{check_block, check_head};
use crate::Page;
use crate::json::{matrix, token_with, vector};
use crate::seen::{Change, Seen};

/// What every head of a block adds at a position, and their sum.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Heads {
    ids: Vec<u32>,
    #[serde(default)]
    edits: Vec<Change>,
    block: usize,
    position: Option<usize>,
    #[serde(default = "five")]
    top: usize,
}

/// What one head adds at a position, through its two value halves.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Head {
    ids: Vec<u32>,
    #[serde(default)]
    edits: Vec<Change>,
    block: usize,
    head: usize,
    position: Option<usize>,
    #[serde(default = "five")]
    top: usize,
}

pub(crate) fn five() -> usize {
    5
}

/// The length of a vector.
pub(crate) fn length(vector: &[f32]) -> f64 {
    vector.iter().map(|&x| f64::from(x).powi(2)).sum::<f64>().sqrt()
}

/// What vectors at a position promote, given the scale of the last norm there.
pub(crate) fn promotes(
    seen: &mut Seen<'_>,
    position: usize,
    vectors: &[f32],
    n: usize,
) -> Result<Vec<Promoted>> {
    let norm = seen.config().norm;
    let deviation = deviation(&seen.row(Site::Residual, position)?, norm);
    promoted(&seen.inspector, vectors, deviation, n)
}

/// `(promoted, demoted)` as JSON.
pub(crate) fn told(model: &TextModel<Cpu>, found: &Promoted) -> (Vec<Value>, Vec<Value>) {
    let all = |list: &[(u32, f32)]| {
        list.iter().map(|&(id, value)| token_with(model, id, "value", f64::from(value))).collect()
    };
    (all(&found.up), all(&found.down))
}

/// The vector whose product with what a part adds is what it adds to the logit of the most probable next token.
pub(crate) fn toward(seen: &mut Seen<'_>, position: usize) -> Result<(u32, Vec<f64>)> {
    let config = seen.config();
    let id = glass::next_token::most_probable(&seen.logits(position)?);
    let table = if config.tied { "embedding.token.weight" } else { "unembedding.weight" };
    let reads = seen.inspector.rows(table, &[id])?.values;
    let reads: Vec<f64> =
        reads.iter().map(|&read| f64::from(read) * f64::from(config.factors.logits)).collect();
    let norm = LinearNorm::of(&seen.inspector, "norm")?;
    Ok((id, norm.before(&reads, &seen.row(Site::Residual, position)?)))
}

pub(crate) fn dot(vector: &[f32], along: &[f64]) -> f64 {
    vector.iter().zip(along).map(|(x, along)| f64::from(*x) * along).sum()
}

/// The length of what a value adds through a head's value-up half, W_O v, and what stands behind attention.
fn added_length(up: &Matrix, behind: &Behind, columns: std::ops::Range<usize>, value: &[f32]) -> f64 {
    let product = |row: &[f32]| -> f64 {
        row[columns.clone()].iter().zip(value).map(|(w, v)| f64::from(*w) * f64::from(*v)).sum()
    };
    let product: Vec<f64> = up.values.chunks_exact(up.cols).map(product).collect();
    behind.added(&product).iter().map(|x| x.powi(2)).sum::<f64>().sqrt()
}

/// What stands behind attention or the MLP of a block at a position.
pub(crate) fn behind(seen: &mut Seen<'_>, block: usize, branch: &str, position: usize) -> Result<Behind> {
    let part = if branch == "mlp" { Part::MlpUnnormed } else { Part::AttentionUnnormed };
    let site = Site::Block(block, part);
    let unnormed = if site.is_in(seen.config()) { seen.row(site, position)? } else { Vec::new() };
    Behind::of(&seen.inspector, &format!("block.{block}.{branch}"), || Ok(unnormed))
}

/// Where a head takes what it adds at a position from: `[position, share, value length, added length]`, by position.
fn sources(
    seen: &mut Seen<'_>,
    (up, behind): (&Matrix, &Behind),
    block: usize,
    head: usize,
    position: usize,
) -> Result<Vec<(usize, f32, f64, f64)>> {
    let (config, len) = (seen.config(), seen.ids.len());
    let size = config.heads.size;
    let at = head / (config.heads.query / config.heads.key) * size;
    let shares =
        seen.site(Site::Block(block, Part::Pattern))?.row(head * len + position)[..=position].to_vec();
    let values = seen.site(Site::value(config, block))?;
    let one = |(key, share): (usize, &f32)| {
        let value = &values.row(key)[at..at + size];
        let added = f64::from(*share) * added_length(up, behind, head * size..(head + 1) * size, value);
        (key, *share, length(value), added)
    };
    Ok(shares.iter().enumerate().map(one).collect())
}

impl Heads {
    pub(crate) fn answer(&self, page: &mut Page<'_>) -> Result<Value> {
        let model = page.model;
        let seen = page.see(&self.ids, &self.edits)?;
        let config = seen.config();
        check_block(config, self.block)?;
        let position = seen.position(self.position)?;
        let site = |part| Site::Block(self.block, part);
        let added = seen.row(site(Part::Contribution), position)?;
        let sum = seen.row(site(Part::AttentionOut), position)?;
        let (token, along) = toward(seen, position)?;
        let found = promotes(seen, position, &[&added[..], &sum[..]].concat(), self.top)?;
        let up = seen.inspector.parameter(&format!("block.{}.attention.value_up.weight", self.block))?;
        let behind = behind(seen, self.block, "attention", position)?;
        let mut heads = Vec::new();
        for (head, vector) in added.chunks_exact(config.width).enumerate() {
            let mut sources = sources(seen, (&up, &behind), self.block, head, position)?;
            sources.sort_by(|a, b| b.3.total_cmp(&a.3));
            let sources = sources.iter().take(5);
            let (promoted, demoted) = told(model, &found[head]);
            heads.push(json!({
                "length": length(vector), "logit": dot(vector, &along), "promoted": promoted, "demoted": demoted,
                "sources": sources.map(|(at, share, _, added)| json!({"position": at, "share": share, "length": added})).collect::<Vec<_>>(),
            }));
        }
        let (promoted, demoted) = told(model, &found[heads.len()]);
        let mut bias = behind.bias(config.width);
        if config.bias.value_up {
            let own =
                seen.inspector.parameter(&format!("block.{}.attention.value_up.bias", self.block))?.values;
            let own: Vec<f64> = own.into_iter().map(f64::from).collect();
            bias.iter_mut().zip(behind.added(&own)).for_each(|(bias, own)| *bias += own);
        }
        let bias: Vec<f32> = bias.into_iter().map(|x| x as f32).collect();
        Ok(json!({
            "heads": heads, "token": crate::json::token(model, token),
            "bias": {"length": length(&bias), "logit": dot(&bias, &along)},
            "sum": {"length": length(&sum), "logit": dot(&sum, &along), "promoted": promoted, "demoted": demoted},
        }))
    }
}

impl Head {
    pub(crate) fn answer(&self, page: &mut Page<'_>) -> Result<Value> {
        let model = page.model;
        let seen = page.see(&self.ids, &self.edits)?;
        let config = seen.config();
        check_head(config, self.block, self.head)?;
        let position = seen.position(self.position)?;
        let (width, size) = (config.width, config.heads.size);
        let at = self.head / (config.heads.query / config.heads.key) * size;
        let site = |part| Site::Block(self.block, part);
        let added = seen.row(site(Part::Contribution), position)?[self.head * width..][..width].to_vec();
        let z = seen.row(site(Part::Z), position)?[self.head * size..][..size].to_vec();
        let values = seen.site(Site::value(config, self.block))?;
        let values: Vec<f32> =
            (0..=position).flat_map(|key| &values.row(key)[at..at + size]).copied().collect();
        let up = seen.inspector.parameter(&format!("block.{}.attention.value_up.weight", self.block))?;
        let behind = behind(seen, self.block, "attention", position)?;
        let sources = sources(seen, (&up, &behind), self.block, self.head, position)?;
        let found = promotes(seen, position, &added, self.top)?;
        let (promoted, demoted) = told(model, found.first().ok_or_else(nothing)?);
        let source = |(at, share, value, added): &(usize, f32, f64, f64)| json!({"position": at, "share": share, "value_length": value, "added_length": added});
        let half = |rows: usize, cols: usize| json!({"rows": rows, "cols": cols, "weights": rows * cols});
        Ok(json!({
            "sources": sources.iter().map(source).collect::<Vec<_>>(), "values": matrix(position + 1, size, &values),
            "z": vector(&z), "added": vector(&added), "length": length(&added), "promoted": promoted, "demoted": demoted,
            "value_down": half(width, size), "value_up": half(size, width), "whole": width * width,
        }))
    }
}

pub(crate) fn nothing() -> Error {
    Error::invalid_argument("ids", "nothing was computed")
}
