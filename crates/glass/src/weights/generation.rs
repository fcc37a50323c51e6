//! `generation_config.json`: where a text ends, and how the model's makers advise to sample.

use serde_json::{Map, Value, json};

use crate::Result;
use crate::config::object::Object;

/// What a model's makers advise. Fields that are absent give no advice.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct GenerationConfig {
    /// The token a text begins with.
    pub bos: Option<u32>,
    /// The tokens that end a text.
    pub eos: Vec<u32>,
    /// Whether to draw (`false`: always the likeliest token).
    pub do_sample: Option<bool>,
    /// Temperature.
    pub temperature: Option<f32>,
    /// How many of the likeliest tokens to draw from.
    pub top_k: Option<u32>,
    /// The share of probability to draw from.
    pub top_p: Option<f32>,
    /// The least share of the likeliest token's probability.
    pub min_p: Option<f32>,
    /// What repeated tokens' logits are divided by.
    pub repetition_penalty: Option<f32>,
}

impl GenerationConfig {
    /// Reads `generation_config.json`, or those of its fields that older checkpoints have in `config.json`.
    pub(crate) fn from_object(object: &Object) -> Result<GenerationConfig> {
        let number = |name| object.number(name).map(|n| n.map(|n| n as f32));
        Ok(GenerationConfig {
            bos: object.id("bos_token_id")?,
            eos: object.ids("eos_token_id")?.unwrap_or_default(),
            do_sample: object.flag("do_sample")?,
            temperature: number("temperature")?,
            // Written as 0 where there is no bound.
            top_k: object.id("top_k")?.filter(|&k| k > 0),
            top_p: number("top_p")?,
            min_p: number("min_p")?,
            repetition_penalty: number("repetition_penalty")?,
        })
    }

    /// As `generation_config.json`; what is not set is not written.
    pub fn to_json(&self) -> String {
        let mut all = Map::new();
        let number = |x: f32| x.to_string().parse::<f64>().map_or(Value::Null, |x| json!(x));
        let mut put = |name: &str, value: Option<Value>| {
            value.map(|value| all.insert(name.to_string(), value));
        };
        put("bos_token_id", self.bos.map(|id| json!(id)));
        put("do_sample", self.do_sample.map(|yes| json!(yes)));
        put(
            "eos_token_id",
            match self.eos[..] {
                [] => None,
                [one] => Some(json!(one)),
                _ => Some(json!(self.eos)),
            },
        );
        put("min_p", self.min_p.map(number));
        put("repetition_penalty", self.repetition_penalty.map(number));
        put("temperature", self.temperature.map(number));
        put("top_k", self.top_k.map(|k| json!(k)));
        put("top_p", self.top_p.map(number));
        format!("{:#}\n", Value::Object(all))
    }
}
