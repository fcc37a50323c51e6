//! What would be said otherwise: the next token and the text that follows, without and with changes.

use glass::backend::Cpu;
use glass::inspect::{Edit, Edits};
use glass::next_token::most_probable;
use glass::text_model::TextModel;
use glass::{Error, Result};
use serde::Deserialize;
use serde_json::{Value, json};

use super::words::{distribution, ten};
use crate::Page;
use crate::seen::{Change, Seen};

/// The next token and the text that follows (the most probable tokens), without and with the changes.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct If {
    ids: Vec<u32>,
    #[serde(default)]
    edits: Vec<Change>,
    #[serde(default = "twelve")]
    tokens: usize,
    #[serde(default = "ten")]
    top: usize,
}

fn twelve() -> usize {
    12
}

/// Most tokens of a text that follows.
const MOST: usize = 64;

impl If {
    pub(crate) fn answer(&self, page: &mut Page<'_>) -> Result<Value> {
        let model = page.model;
        let context = model.config().context;
        if self.tokens > MOST {
            let why = format!("{}; at most {MOST} are told", self.tokens);
            return Err(Error::invalid_argument("tokens", why));
        }
        // The text as it is stays in memory, so what is changed begins from its residual stream.
        let last = self.ids.len().saturating_sub(1);
        let seen = page.see(&self.ids, &[])?;
        let before = distribution(model, &seen.logits(last)?, self.top)?;
        let mut edits = Vec::new();
        let mut lasting = Vec::new();
        for change in &self.edits {
            edits.extend(change.edits(&mut seen.inspector, &self.ids, self.ids.len())?);
            lasting.extend(change.edits(&mut seen.inspector, &self.ids, context)?);
        }
        let first = edits.iter().map(Edit::layer).min().flatten();
        let after = match (edits.is_empty(), first) {
            (true, _) => seen.logits(last)?,
            (false, first) => changed(seen, first, &edits)?,
        };
        let after = distribution(model, &after, self.top)?;
        let follow = |edits: Vec<Edit>| follows(model, &self.ids, edits, self.tokens);
        let (mut before, mut after) = (before, after);
        for (told, edits) in [(&mut before, Vec::new()), (&mut after, lasting)] {
            let (ids, text) = follow(edits)?;
            told["ids"] = json!(ids);
            told["text"] = json!(text);
        }
        Ok(json!({"before": before, "after": after, "from_block": first.unwrap_or(0)}))
    }
}

/// The logits after the last position with changes: only blocks from the first that is touched are computed.
pub(crate) fn changed(seen: &mut Seen<'_>, first: Option<usize>, edits: &[Edit]) -> Result<Vec<f32>> {
    let layers = seen.config().layers;
    let edits = Edits::new(edits.iter().cloned());
    let ids = seen.ids.clone();
    match first.filter(|&first| first > 0 && first < layers) {
        Some(first) => {
            let first = seen.config().begin_at(first);
            let residual = seen.site(glass::probe::Site::residual(first, layers))?.values.clone();
            seen.inspector.resume(first, &residual, &[ids.len()], edits)?;
        }
        None => seen.inspector.run(&[&ids], edits)?,
    }
    Ok(seen.inspector.next_logits())
}

/// The most probable tokens that follow, with changes that last.
pub(crate) fn follows(
    model: &TextModel<Cpu>,
    ids: &[u32],
    edits: Vec<Edit>,
    tokens: usize,
) -> Result<(Vec<u32>, String)> {
    let positions = (ids.len() + tokens).min(model.config().context);
    let (mut runner, ends) = (model.runner_within(positions)?, model.end_tokens());
    let mut edits = Edits::new(edits);
    let mut found = Vec::new();
    if tokens > 0 {
        runner.feed_watched(ids, &mut edits)?;
    }
    while found.len() < tokens {
        let next = most_probable(runner.logits()?);
        if ends.contains(&next) {
            break;
        }
        found.push(next);
        if runner.room() == 0 || found.len() == tokens {
            break;
        }
        runner.feed_watched(&[next], &mut edits)?;
    }
    let bytes: Vec<u8> = found.iter().flat_map(|&id| model.bytes(id)).copied().collect();
    Ok((found, String::from_utf8_lossy(&bytes).into_owned()))
}
