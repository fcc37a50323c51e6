//! `config.json`: which family wrote it, and what all families share. Their fields are in [`families`](crate::families).

use std::path::Path;

use serde_json::{Map, Value, json};

use super::Config;
use super::object::{Object, read};
use super::packings::Packings;
use crate::Result;
use crate::families::read::Fields;
use crate::families::{FORMS, Form};

/// The largest `config.json`, in bytes.
pub(crate) const LONGEST: u64 = 1 << 20;

impl Config {
    /// Reads the `config.json` at `path`.
    pub fn open(path: &Path) -> Result<Config> {
        let bytes = read(path, LONGEST)?;
        Config::from_json(&path.display().to_string(), &bytes)
    }

    /// Reads the configuration from a `config.json`; `what` names it in error messages.
    pub fn from_json(what: &str, bytes: &[u8]) -> Result<Config> {
        let whole = Object::parse(what, bytes)?;
        Packings::read(&whole)?;
        let object = text_part(&whole)?.unwrap_or(whole);
        let form = form(&object)?;
        let fields = Fields::new(&object);
        crate::families::refuse::unknown_choices(&fields, form.knows, form.model_type)?;
        let config = (form.read)(&fields)?;
        // Wrong sizes are an error in the file here, not in the caller's argument.
        config.check().map_err(|e| object.error(e))?;
        Ok(config)
    }

    /// The `config.json` of this configuration. `dtype` is `transformers`' name of the weights' dtype,
    /// `end_of_text` the token that begins and ends a text.
    pub fn to_json(&self, dtype: &str, end_of_text: Option<u32>) -> String {
        format!("{:#}\n", Value::Object(self.to_object(dtype, [end_of_text; 2])))
    }

    /// The same, to be added to; a text begins with the first token and ends with the second.
    pub(crate) fn to_object(&self, dtype: &str, [start, end]: [Option<u32>; 2]) -> Map<String, Value> {
        let form = self.form();
        let mut all = (form.write)(self);
        all.insert("architectures".into(), json!([form.architectures[0]]));
        all.insert("bos_token_id".into(), json!(start));
        all.insert("dtype".into(), json!(dtype));
        all.insert("eos_token_id".into(), json!(end));
        all.insert("model_type".into(), json!(form.model_type));
        all
    }
}

/// The form of the family that wrote a file; others are refused by name.
fn form(object: &Object) -> Result<&'static Form> {
    let families = || FORMS.map(|form| form.model_type).join(", ");
    let Some(kind) = object.text("model_type")? else {
        return Err(object.error(format!("model_type is missing; one of {} was expected", families())));
    };
    let Some(form) = FORMS.into_iter().find(|form| form.model_type == kind) else {
        return Err(object.wrong("model_type", &json!(kind), &format!("one of {}", families())));
    };
    // Before there were other families, plans that GPT-2's class cannot express had GPT-2's fields and names.
    let older = kind == "glass" && object.get("n_embd").is_some();
    architecture(object, form.architectures)?;
    Ok(if older { crate::config::Family::Gpt2.form() } else { form })
}

/// Refuses classes other than these.
fn architecture(object: &Object, expected: &[&str]) -> Result<()> {
    let Some(architectures) = object.get("architectures") else { return Ok(()) };
    match architectures.as_array().map(Vec::as_slice) {
        Some([]) => Ok(()),
        Some([Value::String(one)]) if expected.contains(&one.as_str()) => Ok(()),
        Some([Value::String(_)]) => {
            Err(object.wrong("architectures", architectures, &format!("one of {expected:?}")))
        }
        _ => Err(object.wrong("architectures", architectures, "one class in a list")),
    }
}

/// Models for texts and pictures: their `model_type`, their class, and the `model_type` of the part for texts where that does not
/// say its own.
const WITH_PICTURES: [(&str, &str, &str); 2] = [
    ("gemma3", "Gemma3ForConditionalGeneration", "gemma3_text"),
    ("mistral3", "Mistral3ForConditionalGeneration", "mistral"),
];

/// The configuration of the part for texts, in a model that reads pictures too.
fn text_part(whole: &Object) -> Result<Option<Object>> {
    let kind = whole.text("model_type")?;
    let Some((_, class, own)) = WITH_PICTURES.into_iter().find(|(name, ..)| kind == Some(*name)) else {
        return Ok(None);
    };
    architecture(whole, &[class])?;
    let Some(mut text) = whole.object("text_config")? else {
        return Err(
            whole.error("text_config is missing; the sizes of the part for texts were expected there")
        );
    };
    if text.get("model_type").is_none() {
        text.set("model_type", json!(own));
    }
    // The unembedding belongs to the whole model.
    if let Some(tied) = whole.get("tie_word_embeddings") {
        text.set("tie_word_embeddings", tied.clone());
    }
    Ok(Some(text))
}
