//! The last vector, and the probabilities of the next token.

use glass::Result;
use glass::inspect::attribute::{sites, trace};
use glass::inspect::{Edits, Record};
use glass::probe::Site;
use serde::Deserialize;
use serde_json::{Value, json};

use super::mlp::parts;
use crate::Page;
use crate::json::{drawn, matrix, token, vector};
use crate::seen::{Change, top};

/// The distribution of the token after a position, by default the last.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Next {
    ids: Vec<u32>,
    #[serde(default)]
    edits: Vec<Change>,
    position: Option<usize>,
    #[serde(default = "ten")]
    top: usize,
}

/// The last vector, and which parts of the model and which words decided a token's logit.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Last {
    ids: Vec<u32>,
    #[serde(default)]
    edits: Vec<Change>,
    token: Option<u32>,
    against: Option<u32>,
    #[serde(default = "ten")]
    top: usize,
}

pub(crate) fn ten() -> usize {
    10
}

/// A distribution as JSON: the most probable tokens, and all log-probabilities.
pub(crate) fn distribution(
    page: &glass::text_model::TextModel<glass::backend::Cpu>,
    logits: &[f32],
    n: usize,
) -> Result<Value> {
    let all = top(logits, logits.len())?;
    let mut logprobs = vec![f32::NEG_INFINITY; logits.len()];
    all.iter().for_each(|drawn| logprobs[drawn.id as usize] = drawn.logprob as f32);
    let nats = all.iter().map(|drawn| -drawn.logprob.exp() * drawn.logprob).filter(|nats| nats.is_finite());
    let entropy: f64 = nats.sum();
    Ok(
        json!({"top": drawn(page, &all[..n.min(all.len())]), "logprobs": vector(&logprobs), "entropy": entropy}),
    )
}

impl Next {
    pub(crate) fn answer(&self, page: &mut Page<'_>) -> Result<Value> {
        let model = page.model;
        let seen = page.see(&self.ids, &self.edits)?;
        let position = seen.position(self.position)?;
        distribution(model, &seen.logits(position)?, self.top)
    }
}

impl Last {
    pub(crate) fn answer(&self, page: &mut Page<'_>) -> Result<Value> {
        let model = page.model;
        let seen = page.see(&self.ids, &self.edits)?;
        let (config, last) = (seen.config(), self.ids.len() - 1);
        let logits = seen.logits(last)?;
        let likeliest = top(&logits, self.top.max(1))?;
        let token_id = self.token.unwrap_or(likeliest[0].id);
        // The attribution needs all blocks at once, and of a long text only some numbers.
        let of_last = |site: &Site| !matches!(site, Site::Block(_, glass::probe::Part::Value));
        let mut record = Record::of(sites(config)).since(last, of_last);
        seen.inspector.run(&[&self.ids], (Edits::new(seen.edits.iter().cloned()), &mut record))?;
        let found = trace(&seen.inspector, &record, last, &logits, token_id, self.against)?;
        let residual = seen.row(Site::Residual, last)?;
        let normed = seen.row(Site::Norm, last)?;
        let table = if config.tied { "embedding.token.weight" } else { "unembedding.weight" };
        let read = seen.inspector.rows(table, &[token_id])?.values;
        let flat: Vec<f32> = found.sources.iter().flatten().map(|&x| x as f32).collect();
        Ok(json!({
            "token": token(model, token_id), "against": self.against.map(|id| token(model, id)), "logit": found.whole,
            "parts": parts(&found), "rest": found.rest(), "positions": found.by_position(),
            "sources": matrix(found.sources.len(), last + 1, &flat), "vector": vector(&residual),
            "normed": vector(&normed), "unembedding": vector(&read), "top": drawn(model, &likeliest),
        }))
    }
}
