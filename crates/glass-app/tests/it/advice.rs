//! The advice in a model's generation_config.json is followed, or reported as ignored; GGUF preserves it.

use std::fs;

use serde_json::{Value, json};

use crate::program::{Scratch, glass, put_model};

/// The ids that the model in `m` generates when its file holds `advice` in addition; and the remarks.
fn ids(scratch: &Scratch, advice: &Value) -> (Vec<u64>, String) {
    fs::write(scratch.0.join("m/generation_config.json"), advice.to_string()).unwrap();
    drawn(scratch, "m")
}

fn drawn(scratch: &Scratch, model: &str) -> (Vec<u64>, String) {
    let done = glass(&scratch.0, &["generate", "-m", model, "--json", "--ids", "5,7,9", "--seed", "1"], b"");
    assert_eq!(done.status, 0, "{}", done.stderr);
    let ids = done.json()["ids"].as_array().unwrap().iter().map(|id| id.as_u64().unwrap()).collect();
    (ids, done.stderr)
}

#[test]
fn advice_is_followed_or_left_aside_by_name() {
    let scratch = Scratch::new("advice");
    put_model(&scratch.0, "m");
    let greedy = json!({"do_sample": false, "max_new_tokens": 6, "num_beams": 1, "typical_p": 1.0});
    let (plain, said) = ids(&scratch, &greedy);
    assert_eq!(plain.len(), 6);
    assert!(!said.contains("is ignored"), "{said}");

    let with = |more: Value| {
        let mut all = greedy.clone();
        all.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        all
    };
    let (never, _) = ids(&scratch, &with(json!({"suppress_tokens": plain})));
    assert!(never.len() == 6 && never.iter().all(|id| !plain.contains(id)), "{never:?}");
    let (later, _) = ids(&scratch, &with(json!({"begin_suppress_tokens": [plain[0], 999_999]})));
    assert!(later.len() == 6 && later[0] != plain[0], "{later:?}");
    let (ended, _) = ids(&scratch, &with(json!({"eos_token_id": plain[0]})));
    assert!(ended.is_empty(), "{ended:?}");
    let (least, _) = ids(&scratch, &with(json!({"eos_token_id": plain[0], "min_new_tokens": 3})));
    assert!(least.len() >= 3 && least[..3].iter().all(|id| *id != plain[0]), "{least:?}");
    let (whole, _) = ids(&scratch, &json!({"do_sample": false, "max_length": 5}));
    assert_eq!(whole, plain[..2]);

    let ignored = with(json!({"num_beams": 4, "typical_p": 0.9, "suppress_tokens": [plain[0]], "top_k": 3}));
    let expected = ids(&scratch, &ignored);
    assert!(
        expected.1.contains("num_beams, typical_p") && expected.1.contains("is ignored"),
        "{}",
        expected.1
    );
    assert!(!expected.0.contains(&plain[0]));
    for [from, to] in [["m", "m.gguf"], ["m.gguf", "again"]] {
        assert_eq!(glass(&scratch.0, &["convert", from, to], b"").status, 0);
        assert_eq!(drawn(&scratch, to), expected, "{to}");
    }
}
