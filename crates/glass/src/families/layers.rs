//! Layers whose attention differs: `layer_types` of `transformers`, and the fields that came before it.

use serde_json::{Value, json};

use super::read::Fields;
use crate::config::LayerAttention;
use crate::{Config, Result};

const SLIDING: &str = "sliding_attention";
const FULL: &str = "full_attention";

/// Longer lists are kept as they are.
const LONGEST_PERIOD: usize = 64;

impl Fields<'_> {
    /// Which layers have a window, as `layer_types` says, if it is there.
    pub fn layer_types(&self, layers: usize) -> Result<Option<Vec<bool>>> {
        let Some(types) = self.texts("layer_types")? else { return Ok(None) };
        if let Some(other) = types.iter().find(|kind| ![SLIDING, FULL].contains(kind)) {
            return Err(self.wrong("layer_types", &json!(other), &format!("{FULL} or {SLIDING}")));
        }
        match types.len() == layers {
            true => Ok(Some(types.into_iter().map(|kind| kind == SLIDING).collect())),
            false => {
                let why = format!("layer_types has {} layers, num_hidden_layers is {layers}", types.len());
                Err(self.error(why))
            }
        }
    }

    /// The window, if the field holds one; `default` if the field is absent.
    pub fn window(&self, default: Option<usize>) -> Result<Option<usize>> {
        match self.size("sliding_window")? {
            None if self.is_null("sliding_window") => Ok(None),
            None => Ok(default),
            found => Ok(found),
        }
    }

    /// Refuses layers with a window whose width is not told.
    pub fn needs_window(&self, is_local: &[bool], window: Option<usize>) -> Result<()> {
        match is_local.contains(&true) && window.is_none() {
            true => {
                Err(self.error("sliding_window is null or not used, but layers with a window are asked for"))
            }
            false => Ok(()),
        }
    }
}

/// The choices of layers, where `is_local` says which of the two each has: as few as repeat.
pub(super) fn pattern(
    is_local: &[bool],
    local: &LayerAttention,
    global: &LayerAttention,
) -> Vec<LayerAttention> {
    if local == global {
        return vec![global.clone()];
    }
    let repeats =
        |period: &usize| is_local.iter().enumerate().all(|(i, local)| *local == is_local[i % period]);
    let period = (1..is_local.len().min(LONGEST_PERIOD)).find(repeats).unwrap_or(is_local.len());
    let choice = |local_here: &bool| if *local_here { local.clone() } else { global.clone() };
    is_local[..period].iter().map(choice).collect()
}

/// Each layer's kind, as `layer_types` has it.
pub(super) fn types(config: &Config) -> Value {
    let kind = |layer| if config.attention_of(layer).window.is_some() { SLIDING } else { FULL };
    json!((0..config.layers).map(kind).collect::<Vec<_>>())
}

/// The window of the layers that have one.
pub(super) fn window(config: &Config) -> Option<usize> {
    config.attention.iter().find_map(|layer| layer.window)
}
