//! Granite 3 and 4, dense (`GraniteConfig`): embedding, branches, scores and logits have factors.

use serde_json::json;

use super::llama::{self, rotate_all, rotation};
use super::read::{DEFAULTS, Fields};
use super::rotary::HABITS;
use super::write::{decimal, sizes, with};
use super::{Family, Form};
use crate::config::{Factors, ScoreFactor};
use crate::{Config, Result};

pub(super) const GRANITE: Form = Form {
    family: Family::Granite,
    name: "granite",
    model_type: "granite",
    architectures: &["GraniteForCausalLM", "GraniteModel", "AutoModelForCausalLM"],
    usual: |config| Config { family: Family::Granite, ..config },
    read,
    write: |config| {
        let scores = match config.scores.factor {
            ScoreFactor::RootOfSize => 1.0 / (config.heads.size as f64).sqrt(),
            ScoreFactor::Number(factor) => factor,
        };
        let Factors { embedding, branch, logits, .. } = config.factors;
        let more = json!({
            "attention_bias": config.bias.query_key_value,
            "attention_multiplier": scores,
            "embedding_multiplier": decimal(embedding),
            "logits_scaling": decimal(1.0 / logits),
            "mlp_bias": config.bias.mlp,
            "residual_multiplier": decimal(branch),
            "rope_parameters": rotation(config, HABITS),
        });
        with(sizes(config), more)
    },
    knows: &[
        "attention_bias",
        "attention_multiplier",
        "embedding_multiplier",
        "logits_scaling",
        "mlp_bias",
        "residual_multiplier",
        "rope_parameters",
        "rope_scaling",
    ],
    names: &llama::NAMES,
    is_turned: false,
};

fn read(fields: &Fields<'_>) -> Result<Config> {
    let mut config = fields.sizes(&DEFAULTS)?;
    config.bias = fields.biases(true)?;
    rotate_all(fields, &mut config, HABITS)?;
    let number = |name| Ok(fields.number(name)?.unwrap_or(1.0));
    let factor = number("attention_multiplier")?;
    // Where the factor is the usual one, the usual choice is meant.
    config.scores.factor = match factor == 1.0 / (config.heads.size as f64).sqrt() {
        true => ScoreFactor::RootOfSize,
        false => ScoreFactor::Number(factor),
    };
    config.factors = Factors {
        embedding: number("embedding_multiplier")? as f32,
        branch: number("residual_multiplier")? as f32,
        logits: (1.0 / number("logits_scaling")?) as f32,
        logit_cap: None,
    };
    Ok(Config { family: Family::Granite, ..config })
}
