//! Writing, so that `tokenizers` and `transformers` read it.

use serde_json::{Map, Value, json};

use super::Token;
use crate::tokens::Inner;
use crate::tokens::alphabet::Alphabet;

/// A vocabulary as lists of texts, in the byte-level alphabet.
pub struct Lists {
    /// By id; none where no token has it.
    pub tokens: Vec<Option<String>>,
    /// Both halves with a space between, in the order they were learned.
    pub merges: Vec<String>,
    /// Added tokens, and whether they are special.
    pub added: Vec<(u32, bool)>,
}

/// The lists of a vocabulary.
pub fn lists(tokenizer: &Inner) -> Lists {
    let Inner { vocabulary, merges, added, .. } = tokenizer;
    let alphabet = Alphabet::new();
    let is_added = |id: u32| added.iter().find(|token| token.id == id);
    let text = |id: u32| match is_added(id) {
        Some(token) => Some(token.text.to_string()),
        None => vocabulary.token(id).map(|bytes| alphabet.write(bytes)),
    };
    let tokens: Vec<Option<String>> = (0..vocabulary.len() as u32).map(text).collect();
    let half = |id: u32| tokens[id as usize].as_deref().unwrap_or_default();
    let pair = |[left, right, _]: [u32; 3]| format!("{} {}", half(left), half(right));
    let merges = merges.in_order().into_iter().map(pair).collect();
    Lists { added: added.iter().map(|token| (token.id, token.special)).collect(), tokens, merges }
}

/// Writes a file. Added tokens stand in the vocabulary, too, as in GPT-2's own: so they keep their ids whoever reads it.
pub fn write(tokenizer: &Inner) -> String {
    let Inner { added, work, .. } = tokenizer;
    let Lists { tokens, merges, .. } = lists(tokenizer);
    let used = tokens.into_iter().zip(0u32..).filter_map(|(text, id)| Some((text?, id)));
    let vocab: Map<String, Value> = used.map(|(text, id)| (text, id.into())).collect();
    let mut by_id: Vec<_> = added.iter().collect();
    by_id.sort_by_key(|token| token.id);
    let tokens: Vec<Token> = by_id
        .iter()
        .map(|token| Token {
            id: token.id,
            content: token.text.to_string(),
            special: token.special,
            ..Token::default()
        })
        .collect();
    let bytes = json!({"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": !work.unsplit});
    let file = json!({
        "version": "1.0",
        "truncation": null,
        "padding": null,
        "added_tokens": tokens,
        "normalizer": null,
        "pre_tokenizer": bytes,
        "post_processor": bytes,
        "decoder": bytes,
        "model": {
            "type": "BPE",
            "dropout": null,
            "unk_token": null,
            "continuing_subword_prefix": null,
            "end_of_word_suffix": null,
            "fuse_unk": false,
            "byte_fallback": false,
            "ignore_merges": work.whole.is_some(),
            "vocab": vocab,
            "merges": merges,
        },
    });
    format!("{file:#}\n")
}
