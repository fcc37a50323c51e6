//! Reads a `tokenizer.json`: every known field is obeyed, anything else is refused by name.

use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::Value;

use super::Token;
use super::build::{Build, build};
use super::model::{Model, Pair};
use super::parts::{self, refuse};
use super::sentence;
use crate::tokens::bpe::Unknown;
use crate::tokens::ids::Ids;
use crate::tokens::normalize::Normal;
use crate::tokens::presplit::Step;
use crate::tokens::{Beside, Tokenizer};
use crate::{Error, Result};

/// A file.
#[derive(Deserialize)]
struct File<M> {
    #[serde(default)]
    added_tokens: Vec<Token>,
    normalizer: Option<Value>,
    pre_tokenizer: Option<Value>,
    post_processor: Option<Value>,
    decoder: Option<Value>,
    model: M,
}

/// Its model, with the lists.
type Whole<'a> = Kind<Ids<'a>, Vec<Pair<'a>>>;
/// The same without them: another kind of model has others.
type Head = Kind<Option<IgnoredAny>, Option<IgnoredAny>>;

#[derive(Deserialize)]
struct Kind<V, M> {
    r#type: Option<String>,
    dropout: Option<f64>,
    unk_token: Option<String>,
    #[serde(default)]
    fuse_unk: bool,
    continuing_subword_prefix: Option<String>,
    end_of_word_suffix: Option<String>,
    #[serde(default)]
    byte_fallback: bool,
    #[serde(default)]
    ignore_merges: bool,
    vocab: V,
    merges: M,
}

/// What a file does to a text before its model.
#[derive(Deserialize)]
struct Before {
    normalizer: Option<Value>,
    pre_tokenizer: Option<Value>,
}

/// Whether a file has the normalizer and the pre-tokenizer that the class LlamaTokenizer of `transformers` 5 makes
/// (`metaspace`), or GemmaTokenizer.
pub fn is_made_by(name: &str, bytes: &[u8], metaspace: bool) -> Result<bool> {
    let Before { normalizer, pre_tokenizer } = serde_json::from_slice(bytes).map_err(|error| {
        Error::invalid(name, format!("it is not a tokenizer.json that can be read: {error}"))
    })?;
    Ok(sentence::is_made_by(normalizer.as_ref(), pre_tokenizer.as_ref(), metaspace))
}

/// The normal forms and the pre-split of a file; `name` is used in errors.
pub fn before(name: &str, bytes: &[u8]) -> Result<(Vec<Normal>, Vec<Step>)> {
    let Before { normalizer, pre_tokenizer } = serde_json::from_slice(bytes).map_err(|error| {
        Error::invalid(name, format!("it is not a tokenizer.json that can be read: {error}"))
    })?;
    Ok((parts::normals(name, normalizer.as_ref())?, parts::steps(name, pre_tokenizer.as_ref(), None)?))
}

/// Reads a file; `name` is used in errors, `beside` is what was found in the files beside it.
pub fn read(name: &str, bytes: &[u8], beside: &Beside) -> Result<Tokenizer> {
    let broken = |error| Error::invalid(name, format!("is not a readable tokenizer.json: {error}"));
    let read = serde_json::from_slice::<File<Whole<'_>>>(bytes);
    if read.is_err() {
        // The kind of model says more than what its lists are not.
        let file: File<Head> = serde_json::from_slice(bytes).map_err(broken)?;
        check_model(name, &file.model)?;
        parts::around(name, file.post_processor.as_ref())?;
    }
    let frame = read.map_err(broken)?;
    check_model(name, &frame.model)?;
    let around = parts::around(name, frame.post_processor.as_ref())?;
    let Kind { vocab, merges, byte_fallback, unk_token, fuse_unk, ignore_merges, .. } = frame.model;
    let model = Model { vocab, merges };

    let mut added = frame.added_tokens;
    let switches = beside.apply(&model.vocab, &mut added, false)?;
    let (normalizer, splitter, decoder) =
        (frame.normalizer.as_ref(), frame.pre_tokenizer.as_ref(), frame.decoder.as_ref());
    let (normals, steps, sentence) = match sentence::is_one(normalizer, splitter, decoder, byte_fallback) {
        true => {
            let found = sentence::read(name, normalizer, splitter, decoder, byte_fallback)?;
            (found.normals, found.steps, Some(found.sentence))
        }
        false if byte_fallback => {
            return refuse(name, "model.byte_fallback", &true, "false, beside ByteLevel,");
        }
        false => {
            parts::check_decoder(name, decoder)?;
            let steps = match splitter.is_none() && is_of_characters(&model, &added) {
                true => vec![Step::Characters],
                false => parts::steps(name, splitter, switches.prefix_space)?,
            };
            (parts::normals(name, normalizer)?, steps, None)
        }
    };
    let unknown = match &unk_token {
        None => Unknown::Dropped,
        Some(text) => match model.vocab.get(text) {
            Some(id) => Unknown::Token { id, fuse: fuse_unk },
            None => {
                return refuse(
                    name,
                    "model.unk_token",
                    &format!("{text:?}, which is not in the vocabulary"),
                    "a token",
                );
            }
        },
    };
    build(&Build {
        names: [name, name],
        model: &model,
        added: &added,
        normals,
        steps,
        frame: around,
        unknown,
        ignore_merges,
        roles: switches.roles,
        sentence,
        ..Build::default()
    })
}

/// Whether the vocabulary holds plain characters, and nothing is merged.
fn is_of_characters(model: &Model<'_>, added: &[Token]) -> bool {
    let is_added = |text: &str| added.iter().any(|token| token.content == text);
    let mut texts = model.vocab.iter();
    model.merges.is_empty() && texts.all(|(text, _)| text.chars().count() == 1 || is_added(text))
}

/// Refuses a model that gives other ids than byte-pair merging does.
fn check_model<V, M>(name: &str, model: &Kind<V, M>) -> Result<()> {
    match model.r#type.as_deref() {
        None | Some("BPE") => {}
        Some(other) => return refuse(name, "model.type", &other, "BPE"),
    }
    if let Some(chance) = model.dropout.filter(|chance| *chance != 0.0) {
        return refuse(name, "model.dropout", &chance, "none");
    }
    for (field, affix) in [
        ("model.continuing_subword_prefix", &model.continuing_subword_prefix),
        ("model.end_of_word_suffix", &model.end_of_word_suffix),
    ] {
        if let Some(affix) = affix.as_deref().filter(|affix| !affix.is_empty()) {
            return refuse(name, field, &format!("{affix:?}"), "none");
        }
    }
    Ok(())
}
