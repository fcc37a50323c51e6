//! The argument MODEL: a directory, or, where only the plan is needed, a preset; without it, the model inside.

use std::path::Path;

use glass::Config;
use glass::config::preset::{PRESETS, Preset};
use glass::tokens::Tokenizer;

use crate::fail::Fail;

/// A model's name and shape.
pub fn plan(model: Option<&str>) -> Result<(String, Config), Fail> {
    let Some(name) = model else { return Err(no_embedded()) };
    match Preset::named(name) {
        Some(preset) => Ok((name.into(), preset.config())),
        None => Err(unknown(name)),
    }
}

/// A model's tokenizer.
pub fn tokenizer(model: Option<&str>) -> Result<Tokenizer, Fail> {
    let Some(name) = model else { return Err(no_embedded()) };
    Ok(Tokenizer::open(&Path::new(name).join("tokenizer.json"))?)
}

/// A vocabulary: `gpt2`, a `tokenizer.json`, or a folder with one.
pub fn vocabulary(name: &str) -> Result<Tokenizer, Fail> {
    let path = Path::new(name);
    match (name, path.is_dir()) {
        (_, true) => Ok(Tokenizer::open(&path.join("tokenizer.json"))?),
        ("gpt2", _) => Ok(Tokenizer::gpt2()),
        _ if path.exists() => Ok(Tokenizer::open(path)?),
        _ => Err(Fail::asked(format!(
            "--vocab: {name:?} is not there; give gpt2, a tokenizer.json, or a folder with one"
        ))),
    }
}

fn no_embedded() -> Fail {
    Fail::asked("no MODEL was given, and this build has no model inside; name one")
}

fn unknown(name: &str) -> Fail {
    let presets: Vec<&str> = PRESETS.iter().map(|preset| preset.name).collect();
    Fail::asked(format!(
        "MODEL: {name:?} is neither a directory nor a preset; the presets are {}",
        presets.join(", ")
    ))
}
