//! Writing, so that `tokenizers` and `transformers` read it.

use serde_json::{Map, Value, json};

use super::Token;
use crate::tokens::Inner;
use crate::tokens::alphabet::Alphabet;

/// Writes a file. Added tokens stand in the vocabulary, too, as in GPT-2's own: so they keep their ids whoever reads it.
pub fn write(tokenizer: &Inner) -> String {
    let Inner { vocabulary, merges, added, work, .. } = tokenizer;
    let alphabet = Alphabet::new();
    let mut by_id: Vec<_> = added.iter().collect();
    by_id.sort_by_key(|token| token.id);
    let text = |id: u32| match by_id.binary_search_by_key(&id, |token| token.id) {
        Ok(place) => by_id[place].text.to_string(),
        Err(_) => alphabet.write(vocabulary.token(id).unwrap_or_default()),
    };
    let used = (0..vocabulary.len() as u32).filter(|id| vocabulary.token(*id).is_some());
    let vocab: Map<String, Value> = used.map(|id| (text(id), id.into())).collect();
    let pairs: Vec<String> = merges
        .in_order()
        .iter()
        .map(|[left, right, _]| format!("{} {}", text(*left), text(*right)))
        .collect();
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
            "merges": pairs,
        },
    });
    format!("{file:#}\n")
}
