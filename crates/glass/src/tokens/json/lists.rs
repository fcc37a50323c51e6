//! A vocabulary as a GGUF file stores it: lists, and llama.cpp's name of the pre-split.

use super::Token;
use super::build::{Build, build};
use super::model::{Model, Pair};
use crate::tokens::added::Overlap;
use crate::tokens::bpe::Unknown;
use crate::tokens::ids::Ids;
use crate::tokens::presplit::{LLAMA_CPP_DEFAULT, Step};
use crate::tokens::split::Split;
use crate::tokens::{Frame, Tokenizer};
use crate::{Error, Result};

/// A vocabulary as a GGUF file stores it.
#[derive(Default)]
pub struct FromLists<'a> {
    /// By id; `None` if an id has no token.
    pub tokens: Vec<Option<&'a str>>,
    /// Both halves with a space between them, in the order they were learned.
    pub merges: Vec<&'a str>,
    /// Added tokens: id, text, and whether it is special.
    pub added: Vec<(u32, &'a str, bool)>,
    /// White space after added tokens belongs to them, as llama.cpp has it for Phi-3.
    pub takes_space: bool,
    /// The pre-split (`tokenizer.ggml.pre`); `None` if the file does not name it.
    pub pre: Option<&'a str>,
    /// The tokens around a text.
    pub frame: Frame,
    /// The roles of special tokens.
    pub roles: Vec<(Box<str>, u32)>,
}

impl<'a> FromLists<'a> {
    /// Ids by token.
    pub fn ids(&self) -> Ids<'a> {
        self.tokens.iter().zip(0..).filter_map(|(text, id)| Some(((*text)?, id))).collect()
    }
}

/// A pre-split as llama.cpp knows it.
struct Pre {
    /// Its names; the first one is written.
    names: &'static [&'static str],
    steps: &'static [Step],
    /// Whether a word that is a token becomes that token.
    whole: bool,
}

const fn pre(names: &'static [&'static str], steps: &'static [Step]) -> Pre {
    Pre { names, steps, whole: false }
}

/// The pre-splits that Glass knows, by llama.cpp's names (`llama-vocab.cpp`).
const PRE: [Pre; 9] = [
    pre(
        &[
            "gpt-2",
            "phi-2",
            "mpt",
            "olmo",
            "jais",
            "jina-es",
            "jina-de",
            "gigachat",
            "mellum",
            "modern-bert",
            "exaone4",
        ],
        &[Step::Words(Split::Gpt2)],
    ),
    pre(&["smollm", "starcoder", "refact", "codeshell"], &[Step::Words(Split::Digits)]),
    pre(&["default"], &LLAMA_CPP_DEFAULT),
    Pre {
        names: &["llama-bpe", "llama3", "llama-v3", "falcon3", "falcon-h1", "pixtral", "lfm2"],
        steps: &[Step::Words(Split::Gpt4 { digits: 3, tail: false })],
        whole: true,
    },
    pre(&["dbrx", "smaug-bpe"], &[Step::Words(Split::Gpt4 { digits: 3, tail: false })]),
    pre(
        &["qwen2", "stablelm2", "deepseek-r1-qwen", "megrez"],
        &[Step::Words(Split::Gpt4 { digits: 1, tail: false })],
    ),
    pre(&["gpt-4o", "llama4"], &[Step::Words(Split::O200k { digits: 3, endings: true })]),
    Pre {
        names: &["tekken"],
        steps: &[Step::Words(Split::O200k { digits: 1, endings: false })],
        whole: true,
    },
    pre(&["deepseek-v3"], &[Step::Words(Split::DeepSeek)]),
];

/// llama.cpp's name of a pre-split.
pub fn pre_name(steps: &[Step], whole: bool) -> Option<&'static str> {
    PRE.iter().find(|pre| pre.steps == steps && pre.whole == whole).map(|pre| pre.names[0])
}

/// Whether llama.cpp puts a start token before texts if a file does not say.
pub fn starts_by_default(pre: Option<&str>) -> bool {
    PRE.iter().any(|known| known.whole && pre.is_some_and(|pre| known.names.contains(&pre)))
}

/// Builds a tokenizer from lists; `name` is used in error messages.
pub fn from_lists(name: &str, from: &FromLists<'_>) -> Result<Tokenizer> {
    // llama.cpp uses a default if the file does not name a pre-split.
    let wanted = from.pre.unwrap_or("default");
    let pre = PRE.iter().find(|pre| pre.names.contains(&wanted)).ok_or_else(|| {
        let known: Vec<&str> = PRE.iter().map(|pre| pre.names[0]).collect();
        let why = format!("tokenizer.ggml.pre is {wanted:?}; {} are known", known.join(", "));
        Error::invalid(name, why)
    })?;
    let merges = from.merges.iter().map(|pair| Pair::Joined((*pair).into())).collect();
    let model = Model { vocab: from.ids(), merges };
    build(&Build {
        names: [name, name],
        model: &model,
        added: &added(from),
        overlap: Overlap::Longest,
        steps: pre.steps.to_vec(),
        frame: from.frame.clone(),
        unknown: Unknown::Gap,
        ignore_merges: pre.whole,
        roles: from.roles.clone(),
        ..Build::default()
    })
}

/// The added tokens.
pub fn added(from: &FromLists<'_>) -> Vec<Token> {
    let token = |&(id, text, special): &(u32, &str, bool)| Token {
        id,
        content: text.to_string(),
        special,
        rstrip: from.takes_space && !["<unk>", "<s>", "<|endoftext|>"].contains(&text),
        ..Token::default()
    };
    from.added.iter().map(token).collect()
}
