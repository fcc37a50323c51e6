//! `generation_config.json`: where a text ends, and the sampling settings that the model's authors advise.

use serde_json::{Map, Value, json};

use crate::Result;
use crate::config::object::Object;
use crate::next_token::Sampling;

/// The settings that a model's authors advise. Absent fields give no advice.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct GenerationConfig {
    /// The token that a text begins with.
    pub bos: Option<u32>,
    /// The tokens that end a text.
    pub eos: Vec<u32>,
    /// Whether to sample (`false`: always take the most probable token).
    pub do_sample: Option<bool>,
    /// Temperature.
    pub temperature: Option<f32>,
    /// How many of the most probable tokens to sample from.
    pub top_k: Option<u32>,
    /// The total probability of the tokens to sample from.
    pub top_p: Option<f32>,
    /// The smallest probability, as a share of the most probable token's.
    pub min_p: Option<f32>,
    /// What the logits of repeated tokens are divided by.
    pub repetition_penalty: Option<f32>,
    /// Tokens that are never drawn.
    pub suppress_tokens: Vec<u32>,
    /// Tokens that are never drawn first.
    pub begin_suppress_tokens: Vec<u32>,
    /// The smallest number of tokens after a prompt.
    pub min_new_tokens: Option<u32>,
    /// The largest number of tokens after a prompt.
    pub max_new_tokens: Option<u32>,
    /// The largest number of tokens including the prompt, if `max_new_tokens` is absent.
    pub max_length: Option<u32>,
    /// Advice that is kept but not followed, as in the file.
    pub left_aside: Map<String, Value>,
}

/// Fields that would change the sampling and are not followed, each with the values that change nothing. `null`
/// never changes anything. Four of them are llama.cpp's.
const NOT_FOLLOWED: [(&str, &[f64]); 30] = [
    ("bad_words_ids", &[]),
    ("constraints", &[]),
    ("diversity_penalty", &[0.0]),
    ("dola_layers", &[]),
    ("encoder_no_repeat_ngram_size", &[0.0]),
    ("encoder_repetition_penalty", &[1.0]),
    ("epsilon_cutoff", &[0.0, 1.0]),
    ("eta_cutoff", &[0.0, 1.0]),
    ("exponential_decay_length_penalty", &[]),
    ("force_words_ids", &[]),
    ("forced_bos_token_id", &[]),
    ("forced_eos_token_id", &[]),
    ("guidance_scale", &[1.0]),
    ("max_time", &[]),
    ("min_length", &[0.0]),
    ("mirostat", &[0.0]),
    ("no_repeat_ngram_size", &[0.0]),
    ("num_beam_groups", &[1.0]),
    ("num_beams", &[1.0]),
    ("penalty_alpha", &[0.0]),
    // -1 means the whole text, as in Glass.
    ("penalty_last_n", &[-1.0]),
    ("remove_invalid_values", &[]),
    ("sequence", &[]),
    ("sequence_bias", &[]),
    ("stop_strings", &[]),
    ("token_healing", &[]),
    ("top_h", &[1.0]),
    ("typical_p", &[1.0]),
    ("watermarking_config", &[]),
    ("xtc_probability", &[0.0]),
];

/// Whether a value of such a field changes the sampling.
fn matters(value: &Value, neutral: &[f64]) -> bool {
    match value {
        Value::Null | Value::Bool(false) => false,
        Value::Array(all) => !all.is_empty(),
        Value::Object(all) => !all.is_empty(),
        _ => value.as_f64().is_none_or(|value| !neutral.contains(&value)),
    }
}

impl GenerationConfig {
    /// How the authors advise to draw, beside these biases. Of the tokens that they suppress, those with a bias of their own are
    /// not suppressed, and ids outside the vocabulary are ignored.
    pub fn sampling(&self, vocabulary: usize, logit_bias: Vec<(u32, f32)>) -> Sampling {
        let off = Sampling::default();
        let greedy = (self.do_sample == Some(false)).then_some(0.0);
        let never = self.suppress_tokens.iter().map(|&id| (id, usize::MAX));
        let first = self.begin_suppress_tokens.iter().map(|&id| (id, 1));
        let least = self.min_new_tokens.unwrap_or(0) as usize;
        let ends = self.eos.iter().filter(|_| least > 0).map(|&id| (id, least));
        let biased = |id: u32| logit_bias.iter().any(|(biased, _)| *biased == id);
        let suppressed = never.chain(first).chain(ends);
        let suppressed = suppressed.filter(|&(id, _)| (id as usize) < vocabulary && !biased(id)).collect();
        Sampling {
            temperature: greedy.or(self.temperature).unwrap_or(off.temperature),
            top_k: self.top_k.map_or(off.top_k, |k| k as usize),
            top_p: self.top_p.unwrap_or(off.top_p),
            min_p: self.min_p.unwrap_or(off.min_p),
            repetition_penalty: self.repetition_penalty.unwrap_or(off.repetition_penalty),
            logit_bias,
            suppressed,
            ..off
        }
    }

    /// Reads `generation_config.json`, or the same fields from `config.json` in older checkpoints.
    pub(crate) fn from_object(object: &Object) -> Result<GenerationConfig> {
        let number = |name| object.number(name).map(|n| n.map(|n| n as f32));
        let ids = |name| object.ids(name).map(Option::unwrap_or_default);
        let mut left_aside = Map::new();
        for (name, neutral) in NOT_FOLLOWED {
            let value = object.get(name).filter(|value| matters(value, neutral));
            left_aside.extend(value.map(|value| (name.to_string(), value.clone())));
        }
        Ok(GenerationConfig {
            bos: object.id("bos_token_id")?,
            eos: ids("eos_token_id")?,
            do_sample: object.flag("do_sample")?,
            temperature: number("temperature")?,
            // 0 means no bound.
            top_k: object.id("top_k")?.filter(|&k| k > 0),
            top_p: number("top_p")?,
            min_p: number("min_p")?,
            repetition_penalty: number("repetition_penalty")?,
            suppress_tokens: ids("suppress_tokens")?,
            begin_suppress_tokens: ids("begin_suppress_tokens")?,
            min_new_tokens: object.id("min_new_tokens")?.filter(|&n| n > 0),
            max_new_tokens: object.id("max_new_tokens")?,
            max_length: object.id("max_length")?,
            left_aside,
        })
    }

    /// The `generation_config.json`; absent fields are not written.
    pub fn to_json(&self) -> String {
        let number = |x: f32| x.to_string().parse::<f64>().map_or(Value::Null, |x| json!(x));
        let id = |id: u32| json!(id);
        let list = |ids: &[u32]| (!ids.is_empty()).then(|| json!(ids));
        let eos = match self.eos[..] {
            [one] => Some(json!(one)),
            _ => list(&self.eos),
        };
        let mut all = self.beyond_sampling();
        let mut put = |name: &str, value: Option<Value>| {
            value.map(|value| all.insert(name.to_string(), value));
        };
        put("bos_token_id", self.bos.map(id));
        put("do_sample", self.do_sample.map(|yes| json!(yes)));
        put("eos_token_id", eos);
        put("min_p", self.min_p.map(number));
        put("repetition_penalty", self.repetition_penalty.map(number));
        put("temperature", self.temperature.map(number));
        put("top_k", self.top_k.map(id));
        put("top_p", self.top_p.map(number));
        format!("{:#}\n", Value::Object(all))
    }

    /// The fields that have no names of their own in GGUF.
    pub(super) fn beyond_sampling(&self) -> Map<String, Value> {
        let mut all = self.left_aside.clone();
        let list = |ids: &[u32]| (!ids.is_empty()).then(|| json!(ids));
        let fields = [
            ("suppress_tokens", list(&self.suppress_tokens)),
            ("begin_suppress_tokens", list(&self.begin_suppress_tokens)),
            ("min_new_tokens", self.min_new_tokens.map(|n| json!(n))),
            ("max_new_tokens", self.max_new_tokens.map(|n| json!(n))),
            ("max_length", self.max_length.map(|n| json!(n))),
        ];
        all.extend(fields.into_iter().filter_map(|(name, value)| Some((name.to_string(), value?))));
        all
    }
}
