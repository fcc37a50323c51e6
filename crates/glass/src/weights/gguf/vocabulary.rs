//! The vocabulary of a GGUF file, read as llama.cpp reads it (`llama-vocab.cpp`) and written for it.

use super::Fields;
use super::container::{BOOL, F32, I32};
use super::head::Head;
use crate::tokens::{Frame, FromLists, GgufKind, Tokenizer, starts_by_default};
use crate::{Error, Result};

/// The kinds of vocabularies: byte-level BPE, and SentencePiece's BPE.
const MERGES: &str = "gpt2";
const SCORES: &str = "llama";

/// The vocabulary, if there is one.
pub(super) fn read(fields: &Fields<'_>) -> Result<Option<Tokenizer>> {
    let model = fields.text("tokenizer.ggml.model")?;
    let Some(model) = model.filter(|model| *model != NO_VOCABULARY) else { return Ok(None) };
    let wrong = |why: String| Error::invalid(fields.name, why);
    if ![MERGES, SCORES].contains(&model) {
        let why = format!(
            "tokenizer.ggml.model is {model:?}; gpt2 (byte-level BPE) or llama (SentencePiece's BPE) was expected"
        );
        return Err(wrong(why));
    }
    let by_scores = model == SCORES;
    let tokens = fields.texts("tokenizer.ggml.tokens")?;
    let tokens = tokens.ok_or_else(|| wrong("tokenizer.ggml.tokens is missing".into()))?;
    let types = fields.numbers("tokenizer.ggml.token_type")?;
    // An unused token can still be merged by scores; one that only fills a row has no text.
    let fills = |id: usize| !by_scores || *tokens[id] == unused(id);
    let kept = |id: usize| types.get(id).is_none_or(|kind| *kind != UNUSED || !fills(id));
    let is_control = |id: usize| CONTROL_TEXTS.contains(&tokens[id]);
    let is_added = |id: usize| {
        is_control(id) || types.get(id).is_some_and(|kind| [CONTROL, USER_DEFINED, UNKNOWN].contains(kind))
    };
    let added = (0..tokens.len()).filter(|&id| is_added(id));
    let mut roles: Vec<(Box<str>, u32)> = Vec::new();
    for (field, role) in ROLES {
        let id = fields.number(&format!("tokenizer.ggml.{field}_token_id"))?;
        // llama.cpp also ignores an id that has no token.
        roles.extend(
            id.filter(|id| (0.0..tokens.len() as f64).contains(id)).map(|id| (role.into(), id as u32)),
        );
    }
    let pre = fields.text("tokenizer.ggml.pre")?;
    let around = |switch: &str, role: &str, default: bool| {
        let field = format!("tokenizer.ggml.{switch}");
        let on = fields.number(&field)?.map(|on| on != 0.0);
        if !on.unwrap_or(default) || on.is_none() && !roles.iter().any(|(name, _)| **name == *role) {
            return Ok(Vec::new());
        }
        let found = roles.iter().find(|(name, _): &&(Box<str>, u32)| **name == *role);
        let missing = || wrong(format!("{field} is true, but the id of {role} is missing"));
        Ok(vec![found.ok_or_else(missing)?.1])
    };
    let starts = by_scores || starts_by_default(pre);
    let frame = Frame {
        start: around("add_bos_token", "bos_token", starts)?,
        end: around("add_eos_token", "eos_token", false)?,
    };
    let model_name = fields.text("general.name")?.unwrap_or_default().to_lowercase();
    let lists = FromLists {
        tokens: (0..tokens.len()).map(|id| kept(id).then_some(tokens[id])).collect(),
        merges: fields.texts("tokenizer.ggml.merges")?.unwrap_or_default(),
        added: added.map(|id| (id as u32, tokens[id], is_control(id) || types[id] != USER_DEFINED)).collect(),
        // llama.cpp knows these models by their names only.
        takes_space: ["phi-3", "phi3"].iter().any(|known| model_name.contains(known)),
        pre,
        frame,
        roles,
    };
    if !by_scores {
        // add_space_prefix has no effect: llama.cpp reads it only for other kinds of vocabularies.
        return Tokenizer::from_lists(fields.name, &lists).map(Some);
    }
    let scores = fields.numbers("tokenizer.ggml.scores")?;
    if scores.len() != tokens.len() {
        return Err(wrong("tokenizer.ggml.scores is missing; a score for every token was expected".into()));
    }
    let space = fields.number("tokenizer.ggml.add_space_prefix")?.is_none_or(|on| on != 0.0);
    Tokenizer::from_scores(fields.name, &lists, &scores, space).map(Some)
}

/// The name of an id without a token.
fn unused(id: usize) -> String {
    format!("[UNUSED{id}]")
}

/// Writes one token for every row of the embedding; rows without a token get an unused name.
pub(super) fn write(head: &mut Head, tokenizer: &Tokenizer, kind: &GgufKind, rows: usize) {
    let lists = tokenizer.lists();
    let token = |id: usize| lists.tokens.get(id).cloned().flatten();
    let tokens: Vec<String> = (0..rows).map(|id| token(id).unwrap_or(unused(id))).collect();
    let added: std::collections::HashMap<u32, bool> = lists.added.iter().copied().collect();
    let by_scores = matches!(kind, GgufKind::Scores(..));
    let kind_of = |id: usize| match added.get(&(id as u32)) {
        Some(true) => CONTROL,
        Some(false) => USER_DEFINED,
        None if token(id).is_none() => UNUSED,
        None if by_scores && lists.bytes.contains(&(id as u32)) => BYTE,
        None => NORMAL,
    };
    let kinds: Vec<u8> = (0..rows).flat_map(|id| (kind_of(id) as i32).to_le_bytes()).collect();
    match kind {
        GgufKind::Merges(pre) => {
            head.text("tokenizer.ggml.model", MERGES);
            head.text("tokenizer.ggml.pre", pre);
        }
        GgufKind::Scores(..) => {
            head.text("tokenizer.ggml.model", SCORES);
            head.text("tokenizer.ggml.pre", "default");
        }
    }
    head.texts("tokenizer.ggml.tokens", &tokens);
    head.list("tokenizer.ggml.token_type", I32, rows, &kinds);
    match kind {
        GgufKind::Merges(_) => head.texts("tokenizer.ggml.merges", &lists.merges),
        GgufKind::Scores(scores, space) => {
            let score = |id: usize| scores.get(id).copied().unwrap_or_default();
            let scores: Vec<u8> = (0..rows).flat_map(|id| score(id).to_le_bytes()).collect();
            head.list("tokenizer.ggml.scores", F32, rows, &scores);
            head.field("tokenizer.ggml.add_space_prefix", BOOL, &[u8::from(*space)]);
        }
    }
}

/// Tokens that llama.cpp always treats as control tokens (`llama-vocab.cpp`).
const CONTROL_TEXTS: [&str; 24] = [
    "<|endoftext|>",
    "<|end_of_text|>",
    "<|eot_id|>",
    "<|eom_id|>",
    "<|im_end|>",
    "<|end|>",
    "<end_of_turn>",
    "</s>",
    "<eos>",
    "[EOS]",
    "<EOT>",
    "_<EOT>",
    "[EOT]",
    "<PAD>",
    "[PAD]",
    "<|fim_prefix|>",
    "<|fim_suffix|>",
    "<|fim_middle|>",
    "<|fim_pad|>",
    "<fim_prefix>",
    "<fim_suffix>",
    "<fim_middle>",
    "<|repo_name|>",
    "<|file_sep|>",
];

/// The roles of special tokens in llama.cpp, and in `transformers`.
pub(super) const ROLES: [(&str, &str); 6] = [
    ("bos", "bos_token"),
    ("eos", "eos_token"),
    ("unknown", "unk_token"),
    ("seperator", "sep_token"),
    ("padding", "pad_token"),
    ("mask", "mask_token"),
];

/// The kind of vocabulary in a file without one.
pub(super) const NO_VOCABULARY: &str = "none";

/// Kinds of tokens.
const NORMAL: f64 = 1.0;
const UNKNOWN: f64 = 2.0;
const CONTROL: f64 = 3.0;
const USER_DEFINED: f64 = 4.0;
const UNUSED: f64 = 5.0;
const BYTE: f64 = 6.0;
