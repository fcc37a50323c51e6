//! The last vector, and the probabilities of the next token.

use glass::Result;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::Page;
use crate::json::{drawn, vector};
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

fn ten() -> usize {
    10
}

impl Next {
    pub(crate) fn answer(&self, page: &mut Page<'_>) -> Result<Value> {
        let model = page.model;
        let seen = page.see(&self.ids, &self.edits)?;
        let logits = seen.logits(seen.position(self.position)?)?;
        let all = top(&logits, logits.len())?;
        let mut logprobs = vec![f32::NEG_INFINITY; logits.len()];
        all.iter().for_each(|drawn| logprobs[drawn.id as usize] = drawn.logprob as f32);
        let entropy: f64 = all.iter().map(|drawn| -drawn.logprob.exp() * drawn.logprob).filter(|x| x.is_finite()).sum();
        let most = self.top.min(all.len());
        Ok(json!({"top": drawn(model, &all[..most]), "logprobs": vector(&logprobs), "entropy": entropy}))
    }
}
