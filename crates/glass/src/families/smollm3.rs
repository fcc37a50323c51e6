//! SmolLM3 (`SmolLM3Config`): in every fourth layer, nothing is rotated.

use serde_json::json;

use super::layers::{types, window};
use super::llama::{self, rotation};
use super::read::{DEFAULTS, Defaults, Fields};
use super::rotary::{HABITS, Habits};
use super::write::{sizes, with};
use super::{Family, Form};
use crate::config::LayerAttention;
use crate::{Config, Result};

pub(super) const SMOLLM3: Form = Form {
    family: Family::SmolLm3,
    name: "smollm3",
    model_type: "smollm3",
    architectures: &["SmolLM3ForCausalLM", "SmolLM3Model", "AutoModelForCausalLM"],
    usual: |config| {
        let mut attention = vec![config.attention[0].clone(); 4];
        attention[3].rotary = None;
        Config { attention, tied: true, family: Family::SmolLm3, ..config }
    },
    read,
    write: |config| {
        let rotates = |layer| usize::from(config.attention_of(layer).rotary.is_some());
        let more = json!({
            "attention_bias": config.bias.query_key_value,
            "layer_types": types(config),
            "mlp_bias": config.bias.mlp,
            "no_rope_layers": (0..config.layers).map(rotates).collect::<Vec<_>>(),
            "rope_parameters": rotation(config, OWN),
            "sliding_window": window(config),
            "use_sliding_window": window(config).is_some(),
        });
        with(sizes(config), more)
    },
    knows: &[
        "attention_bias",
        "layer_types",
        "mlp_bias",
        "no_rope_layers",
        "rope_parameters",
        "rope_scaling",
        "sliding_window",
        "use_sliding_window",
    ],
    names: &llama::NAMES,
    is_turned: false,
};

const OWN: Habits = Habits { base: 2_000_000.0, ..HABITS };

fn read(fields: &Fields<'_>) -> Result<Config> {
    let mut config = fields.sizes(&Defaults { keys: 4, tied: true, ..DEFAULTS })?;
    config.bias = fields.biases(true)?;
    let rotary = fields.rotary(&config, OWN)?;
    // In spite of its name, the list holds 1 for a layer that is rotated.
    let rotates: Vec<bool> = match fields.numbers("no_rope_layers")? {
        Some(list) if list.len() == config.layers => list.iter().map(|&one| one != 0.0).collect(),
        Some(list) => {
            let why =
                format!("no_rope_layers has {} layers, num_hidden_layers is {}", list.len(), config.layers);
            return Err(fields.error(why));
        }
        None => {
            let every = fields.size("no_rope_layer_interval")?.unwrap_or(4);
            (0..config.layers).map(|layer| (layer + 1) % every != 0).collect()
        }
    };
    let window = match fields.flag("use_sliding_window")?.unwrap_or(false) {
        true => fields.window(None)?,
        false => None,
    };
    let is_local = match fields.layer_types(config.layers)? {
        Some(is_local) => is_local,
        None => rotates.iter().map(|rotates| !rotates).collect(),
    };
    let layers = rotates.iter().zip(is_local).map(|(&rotates, is_local)| {
        LayerAttention::new(window.filter(|_| is_local), rotates.then(|| rotary.clone()))
    });
    config.attention = shortest(layers.collect());
    Ok(Config { family: Family::SmolLm3, ..config })
}

/// As few of the layers as repeat.
fn shortest(layers: Vec<LayerAttention>) -> Vec<LayerAttention> {
    let repeats = |period: &usize| layers.iter().enumerate().all(|(i, layer)| *layer == layers[i % period]);
    let period = (1..layers.len()).find(repeats).unwrap_or(layers.len());
    layers[..period].to_vec()
}
