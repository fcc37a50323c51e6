//! What a context costs.

use glass::Result;
use glass::config::preset::Preset;
use glass::model::footprint::Footprint;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::Page;
use crate::seen::inspector;

/// The numbers that a context of some tokens takes.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Context {
    tokens: usize,
    /// Of GPT-3 in place of the loaded model.
    #[serde(default)]
    gpt3: bool,
}

/// One pass over some tokens: the page takes the time.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pass {
    tokens: usize,
}

impl Context {
    pub(crate) fn answer(&self, page: &Page<'_>) -> Result<Value> {
        let large = self.gpt3.then(|| Preset::named("gpt3-175b")).flatten().map(|preset| preset.config());
        let config = large.as_ref().unwrap_or(page.model.config());
        let f = Footprint::of(config, self.tokens);
        Ok(json!({
            "tokens": f.tokens, "pattern": f.pattern, "patterns": f.patterns, "kv_cache_bytes": f.kv_cache_bytes,
            "activation_bytes": f.activation_bytes, "flops_per_token": f.flops_per_token,
            "vectors": self.tokens * config.width,
        }))
    }
}

impl Pass {
    pub(crate) fn answer(&self, page: &mut Page<'_>) -> Result<Value> {
        let ids: Vec<u32> = (0..self.tokens).map(|at| (at % page.model.config().vocabulary) as u32).collect();
        // The text in memory gives way: it is not what is timed.
        let fits = page.timed.as_ref().is_some_and(|inspector| inspector.room().0 >= ids.len());
        if !fits {
            page.timed = Some(inspector(page.model, &ids)?);
        }
        if let Some(inspector) = &mut page.timed {
            inspector.run(&[&ids], ())?;
        }
        Ok(json!({"tokens": self.tokens}))
    }
}
