//! The authors' sampling advice: llama.cpp's fields `general.sampling.*`, and one field of Glass for the rest.

use serde_json::Value;

use super::Fields;
use super::container::{F32, I32, TEXT};
use super::head::Head;
use crate::Result;
use crate::config::object::Object;
use crate::weights::generation::GenerationConfig;

/// The advice for which llama.cpp has no field, as in `generation_config.json`.
const REST: &str = "glass.generation_config";

/// Fields of llama.cpp's that are kept but not followed; `sequence` is a string, the others are numbers.
const NOT_FOLLOWED: [(&str, u32); 4] =
    [("mirostat", I32), ("penalty_last_n", I32), ("sequence", TEXT), ("xtc_probability", F32)];

/// Reads the advice in a file.
pub(super) fn read(fields: &Fields<'_>) -> Result<GenerationConfig> {
    let number = |name: &str| fields.number(&format!("general.sampling.{name}")).map(|n| n.map(|n| n as f32));
    let id = |name: &str| fields.number(&format!("tokenizer.ggml.{name}")).map(|id| id.map(|id| id as u32));
    let mut all = match fields.text(REST)? {
        Some(rest) => Object::parse(&format!("{}: {REST}", fields.name), rest.as_bytes())?,
        None => Object::parse(fields.name, b"{}")?,
    };
    for (name, kind) in NOT_FOLLOWED {
        let field = format!("general.sampling.{name}");
        let value = match kind {
            TEXT => fields.text(&field)?.map(Value::from),
            _ => fields.number(&field)?.map(Value::from),
        };
        value.into_iter().for_each(|value| all.set(name, value));
    }
    let mut advice = GenerationConfig::from_object(&all)?;
    advice.bos = id("bos_token_id")?.or(advice.bos);
    let ends = [id("eos_token_id")?, id("eot_token_id")?].into_iter().flatten();
    let mut eos: Vec<u32> = ends.collect();
    eos.extend(advice.eos.iter().filter(|end| !eos.contains(end)).copied().collect::<Vec<_>>());
    advice.eos = eos;
    // 0 means greedy sampling, as in Glass.
    let temperature = number("temp")?;
    advice.do_sample = temperature.map(|temperature| temperature > 0.0);
    advice.temperature = temperature.filter(|&temperature| temperature > 0.0);
    advice.top_k = number("top_k")?.filter(|&k| k >= 1.0).map(|k| k as u32);
    advice.top_p = number("top_p")?;
    advice.min_p = number("min_p")?;
    advice.repetition_penalty = number("penalty_repeat")?;
    Ok(advice)
}

/// Writes the advice, and the start and end tokens if the vocabulary's fields do not give them.
pub(super) fn write(head: &mut Head, advice: &GenerationConfig, has_vocabulary: bool) {
    let mut put = |name: &str, value: Option<f32>| {
        value.into_iter().for_each(|value| head.f32(&format!("general.sampling.{name}"), value));
    };
    let sampled = advice.do_sample == Some(true);
    put(
        "temp",
        match advice.do_sample {
            Some(false) => Some(0.0),
            _ => advice.temperature.or(sampled.then_some(1.0)),
        },
    );
    put("top_p", advice.top_p);
    put("min_p", advice.min_p);
    put("penalty_repeat", advice.repetition_penalty);
    advice.top_k.into_iter().for_each(|k| head.i32("general.sampling.top_k", k as i32));
    let mut rest = advice.beyond_sampling();
    if advice.repetition_penalty.is_some() {
        // Applies to the whole text, as in Glass; llama.cpp would use the last 64 tokens.
        rest.entry("penalty_last_n").or_insert((-1).into());
    }
    for (name, kind) in NOT_FOLLOWED {
        let (field, Some(value)) = (format!("general.sampling.{name}"), rest.remove(name)) else { continue };
        let number = value.as_f64().unwrap_or_default();
        match kind {
            TEXT => head.text(&field, value.as_str().unwrap_or_default()),
            I32 => head.i32(&field, number as i32),
            _ => head.f32(&field, number as f32),
        }
    }
    // A vocabulary's fields name at most two end tokens.
    if advice.eos.len() > 2 || !has_vocabulary && !advice.eos.is_empty() {
        rest.insert("eos_token_id".into(), advice.eos.clone().into());
    }
    if let Some(bos) = advice.bos.filter(|_| !has_vocabulary) {
        rest.insert("bos_token_id".into(), bos.into());
    }
    if !rest.is_empty() {
        head.text(REST, &Value::Object(rest).to_string());
    }
}
