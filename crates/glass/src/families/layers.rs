//! Layers whose attention differs: `layer_types` of `transformers`, and the fields that came before it.

use serde_json::{Map, Value, json};

use super::read::Fields;
use super::rotary::{HABITS, Habits, write};
use crate::config::object::Object;
use crate::config::{LayerAttention, Rotary};
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

    /// One layer in `every` sees everything, if `layer_types` says nothing else.
    pub fn alternate(
        &self,
        config: &mut Config,
        every: usize,
        local: Option<Rotary>,
        global: Option<Rotary>,
    ) -> Result<()> {
        let window = self.window(Some(4096))?;
        let is_local = match self.layer_types(config.layers)? {
            Some(is_local) => is_local,
            None => (0..config.layers).map(|layer| (layer + 1) % every != 0).collect(),
        };
        self.needs_window(&is_local, window)?;
        let local = LayerAttention::new(window, local);
        config.attention = pattern(&is_local, &local, &LayerAttention::new(None, global));
        Ok(())
    }

    /// The rotations of layers with a window and of those without, if `rope_parameters` has them by type.
    pub fn rotary_by_type(
        &self,
        config: &Config,
        local: Habits,
        global: Habits,
    ) -> Result<Option<[Rotary; 2]>> {
        let by_type = self.object("rope_parameters")?;
        let Some(by_type) = by_type.filter(|all| all.get(FULL).is_some()) else { return Ok(None) };
        let of = |name: &str, habits| {
            let inner = by_type.object(name)?.unwrap_or_else(|| Object::of(name, Map::new()));
            self.rotary_of(config, habits, &inner)
        };
        Ok(Some([of(SLIDING, local)?, of(FULL, global)?]))
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

/// The rotation of each kind of layer, as `rope_parameters` has it by type; a kind that no layer has gets the other's.
pub(super) fn rotations(config: &Config) -> Value {
    let of = |is_local: bool| {
        let layer = config.attention.iter().find(|layer| layer.window.is_some() == is_local);
        layer.and_then(|layer| layer.rotary.as_ref()).map(|rotary| write(rotary, config, HABITS))
    };
    let [local, global] = [of(true), of(false)];
    json!({
        FULL: global.clone().or(local.clone()),
        SLIDING: local.or(global),
    })
}

/// The window of the layers that have one.
pub(super) fn window(config: &Config) -> Option<usize> {
    config.attention.iter().find_map(|layer| layer.window)
}
