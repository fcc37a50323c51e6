//! Every number of an answer is the one that the library computes otherwise.

use glass::backend::CacheType;
use glass::inspect::{Edit, Edits, Inspector, attribute, lens};
use glass::next_token::{logprob, most_probable};
use glass::probe::{Part, Site};
use serde_json::{Value, json};

use crate::asked::{ask, ask_of, ball, ids, model, numbers, page, try_ask};

const STORY: &str = "Once upon a time there was a little dog named Max. He had a red ball and he loved his";

fn logits(ids: &[u32], edits: Vec<Edit>) -> Vec<f32> {
    let mut inspector = Inspector::new(model(), ids.len(), 1).unwrap();
    inspector.run(&[ids], Edits::new(edits)).unwrap();
    inspector.next_logits()
}

#[test]
fn next_is_the_distribution_of_a_pass() {
    let ids = ids(STORY);
    let logits = logits(&ids, Vec::new());
    let answer = ask(&json!({"ask": "next", "ids": ids, "top": 3}));
    let told = numbers(&answer["logprobs"]);
    for (id, told) in told.iter().enumerate() {
        assert_eq!(*told, logprob(&logits, id as u32) as f32, "token {id}");
    }
    assert_eq!(answer["top"][0]["id"], most_probable(&logits));
    // The entropy belongs to these probabilities.
    let entropy: f64 = told.iter().map(|&p| -f64::from(p) * f64::from(p).exp()).sum();
    assert!((answer["entropy"].as_f64().unwrap() - entropy).abs() < 1e-5);
}

#[test]
fn last_is_the_attribution_of_look() {
    let ids = ids(STORY);
    let mut inspector = Inspector::new(model(), ids.len(), 1).unwrap();
    let found = attribute::of_logit(&mut inspector, &ids, ball(), None).unwrap();
    let answer = ask(&json!({"ask": "last", "ids": ids, "token": ball()}));
    assert_eq!(answer["logit"], json!(found.whole));
    for ((part, value), told) in found.parts.iter().zip(answer["parts"].as_array().unwrap()) {
        assert_eq!(
            (told["name"].as_str(), told["value"].as_f64()),
            (Some(&part.to_string()[..]), Some(*value))
        );
    }
    assert_eq!(answer["positions"], json!(found.by_position()));
}

#[test]
fn lens_is_that_of_look() {
    let ids = ids(STORY);
    let mut inspector = Inspector::new(model(), ids.len(), 1).unwrap();
    let found = lens::lens(&mut inspector, &ids, 4).unwrap();
    let answer = ask(&json!({"ask": "lens", "ids": ids, "top": 4, "positions": [0, ids.len()]}));
    for (layer, readings) in found.iter().enumerate() {
        for (position, reading) in readings.iter().enumerate() {
            for (at, drawn) in reading.top.iter().enumerate() {
                let told = &answer["layers"][layer][position][at];
                assert_eq!(
                    (told["id"].as_u64(), told["logprob"].as_f64()),
                    (Some(drawn.id.into()), Some(drawn.logprob))
                );
            }
        }
    }
}

#[test]
fn long_texts_have_the_same_numbers() {
    // Too long to be recorded as a whole: blocks are computed again one by one.
    let long: Vec<u32> = ids(STORY).into_iter().cycle().take(480).collect();
    let site = Site::Block(5, Part::Pattern);
    let mut inspector = Inspector::new(model(), long.len(), 1).unwrap();
    let edits = vec![Edit::silence_head(model().config(), 2, 1), Edit::silence_mlp(6)];
    let mut record = inspector.record([site]);
    inspector.run(&[&long], (Edits::new(edits), &mut record)).unwrap();
    let square = record.get(site).unwrap();
    let changes = json!([{"silence": "block.2.attention.head.1"}, {"silence": "block.6.mlp"}]);
    let mut page = page();
    let asked =
        json!({"ask": "attention", "ids": long, "edits": changes, "block": 5, "head": 3, "position": 400});
    let answer = ask_of(&mut page, &asked);
    assert_eq!(numbers(&answer["pattern"]), square.row(3 * long.len() + 400));
    let next = ask_of(&mut page, &json!({"ask": "next", "ids": long, "edits": changes}));
    let logits = inspector.next_logits();
    assert_eq!(next["top"][0]["logprob"], json!(logprob(&logits, most_probable(&logits))));
    let refused = try_ask(&mut page, &json!({"ask": "patterns", "ids": long, "block": 0})).unwrap_err();
    assert!(refused.contains("480 tokens"), "{refused}");
}

#[test]
fn what_if_computes_only_from_the_block_that_is_touched_and_says_the_same() {
    let ids = ids(STORY);
    let config = model().config();
    let edit = Edit::silence_head(config, 4, 2);
    let mut page = page();
    let asked =
        json!({"ask": "if", "ids": ids, "edits": [{"silence": "block.4.attention.head.2"}], "tokens": 6});
    let answer = ask_of(&mut page, &asked);
    assert_eq!(answer["from_block"], 4);
    let changed = logits(&ids, vec![edit]);
    for (id, told) in numbers(&answer["after"]["logprobs"]).iter().enumerate() {
        assert_eq!(*told, logprob(&changed, id as u32) as f32);
    }
    // What follows is what whole passes say.
    let mut text = ids.clone();
    for told in answer["after"]["ids"].as_array().unwrap() {
        let next = most_probable(&logits(&text, vec![Edit::silence_head(config, 4, 2)]));
        assert_eq!(told.as_u64(), Some(next.into()));
        text.push(next);
    }
    // A word that is hidden stays hidden from what follows.
    let answer =
        ask_of(&mut page, &json!({"ask": "if", "ids": ids, "edits": [{"cut": [17, null]}], "tokens": 6}));
    let mut text = ids.clone();
    for told in answer["after"]["ids"].as_array().unwrap() {
        let cuts = (0..config.layers).map(|layer| Edit::cut(layer, 18..text.len(), 17)).collect();
        let next = most_probable(&logits(&text, cuts));
        assert_eq!(told.as_u64(), Some(next.into()));
        text.push(next);
    }
}

#[test]
fn patches_and_swaps_come_from_the_other_text() {
    let (text, other) = (ids("The cat sat on the"), ids("The dog sat on the"));
    assert_eq!(text.len(), other.len());
    let at = |edits: Value| {
        let answer = ask(&json!({"ask": "next", "ids": text, "edits": edits}));
        numbers(&answer["logprobs"])
    };
    // The whole stream of the other text gives the other text's prediction.
    let patched = at(json!([{"patch": "block.3.residual", "from": other}]));
    let logits = logits(&other, Vec::new());
    assert_eq!(patched[ball() as usize], logprob(&logits, ball()) as f32);
    assert_ne!(at(json!([]))[ball() as usize], patched[ball() as usize]);
    let refused = try_ask(
        &mut page(),
        &json!({"ask": "next", "ids": text, "edits": [{"patch": "block.3.residual", "from": [1]}]}),
    );
    assert!(refused.unwrap_err().contains("same position"));
}

#[test]
fn why_names_the_word_that_matters_and_its_numbers_are_those_of_hiding_it() {
    let ids = ids(STORY);
    let answer = ask(&json!({"ask": "why", "ids": ids}));
    let word = &answer["words"][0];
    assert_eq!(word["text"], " loved");
    let (from, to) = (word["from"].as_u64().unwrap() as usize, word["to"].as_u64().unwrap() as usize);
    let token = answer["token"]["id"].as_u64().unwrap() as u32;
    let cuts = (0..model().config().layers)
        .flat_map(|layer| (from..to).map(move |key| (layer, key)))
        .map(|(layer, key)| Edit::cut(layer, to..ids.len(), key))
        .collect();
    let hidden = logits(&ids, cuts);
    assert_eq!(word["without_logprob"], json!(logprob(&hidden, token)));
    let head = &answer["heads"][0];
    let (block, number) = (head["block"].as_u64().unwrap() as usize, head["head"].as_u64().unwrap() as usize);
    let cuts =
        (from..to).map(|key| Edit::cut(block, to..ids.len(), key).columns(number..number + 1)).collect();
    assert_eq!(head["without_logprob"], json!(logprob(&logits(&ids, cuts), token)));
    let sentence = answer["sentence"].as_str().unwrap();
    let percent = 100.0 * answer["logprob"].as_f64().unwrap().exp();
    let begin = format!("“ball” follows with {percent:.0} %");
    assert!(sentence.starts_with(&begin) && sentence.contains("“loved”"), "{sentence}, {percent}");
}

#[test]
fn heads_add_up_to_the_attention() {
    let ids = ids(STORY);
    let answer = ask(&json!({"ask": "heads", "ids": ids, "block": 5}));
    let heads = answer["heads"].as_array().unwrap();
    let sum: f64 = heads.iter().map(|head| head["logit"].as_f64().unwrap()).sum::<f64>();
    let bias = answer["bias"]["logit"].as_f64().unwrap();
    let whole = answer["sum"]["logit"].as_f64().unwrap();
    // The product of the sum rounds its inputs to 8 bits, those of the heads apart do so too.
    assert!((sum + bias - whole).abs() < 0.05, "{sum} + {bias} = {whole}");
    // What a head promotes most is what its vector adds to that logit.
    let head = ask(&json!({"ask": "head", "ids": ids, "block": 5, "head": 0, "top": 1}));
    assert_eq!(head["promoted"][0], heads[0]["promoted"][0]);
    let shares: f64 =
        head["sources"].as_array().unwrap().iter().map(|source| source["share"].as_f64().unwrap()).sum();
    assert!((shares - 1.0).abs() < 1e-5);
    assert_eq!(
        (head["whole"].as_u64(), head["value_down"]["weights"].as_u64()),
        (Some(256 * 256), Some(256 * 64))
    );
}

#[test]
fn generate_is_what_generate_says() {
    let ids = ids("Once upon a time");
    let mut runner = model().runner().unwrap();
    runner.prompt(&ids).unwrap();
    let mut sampling = model().folder.generation().sampling(model().config().vocabulary, Vec::new());
    sampling.seed = 7;
    let options = glass::generate::GenerateOptions {
        tokens: 30,
        sampling,
        ends: model().end_tokens(),
        ..Default::default()
    };
    let tokenizer = model().tokenizer.as_ref();
    let said = glass::generate::generate(&mut runner, tokenizer, &options, 0, &mut |_| {
        std::ops::ControlFlow::Continue(())
    })
    .unwrap();
    let answer = ask(&json!({"ask": "generate", "ids": ids, "tokens": 30, "seed": 7}));
    assert_eq!((answer["text"].as_str(), &answer["ids"]), (Some(&said.text[..]), &json!(said.ids)));
    assert_eq!(model().cache, CacheType::Bf16, "what is generated reads keys and values as they are kept");
}

#[test]
fn a_lesson_is_learned() {
    let mut frames = Vec::new();
    let question =
        glass_page::read(br#"{"ask": "lesson", "task": "reverse", "steps": 300, "every": 100}"#).unwrap();
    let mut page = page();
    let mut tell = |frame| {
        frames.push(frame);
        std::ops::ControlFlow::Continue(())
    };
    let answer = page.answer(&question, &mut tell).unwrap();
    assert_eq!(frames.len(), 4);
    assert!(frames[0]["accuracy"].as_f64().unwrap() < 0.1);
    assert!(frames[3]["accuracy"].as_f64().unwrap() > 0.9, "{}", frames[3]["accuracy"]);
    assert_eq!((answer["weights"].as_u64(), answer["curve"].as_array().unwrap().len()), (Some(6896), 300));
}

#[test]
fn a_reader_who_leaves_ends_the_question() {
    let question =
        glass_page::read(br#"{"ask": "lesson", "task": "copy", "steps": 4000, "every": 1}"#).unwrap();
    let mut told = 0;
    let answer = page().answer(&question, &mut |_| {
        told += 1;
        if told == 3 { std::ops::ControlFlow::Break(()) } else { std::ops::ControlFlow::Continue(()) }
    });
    assert!(told == 3 && answer.is_ok());
}

#[test]
fn wrong_questions_are_refused_in_words() {
    let mut page = page();
    for (question, words) in [
        (json!({"ask": "next", "ids": []}), "at least one token"),
        (json!({"ask": "next", "ids": [9999]}), "not in the model's vocabulary"),
        (json!({"ask": "next", "ids": vec![1; 600]}), "600 tokens"),
        (json!({"ask": "next", "ids": [1, 2], "position": 2}), "not among the text's 2"),
        (json!({"ask": "attention", "ids": [1, 2], "block": 8, "head": 0}), "no head 0 in block 8"),
        (json!({"ask": "neuron", "ids": [1, 2], "block": 0, "neuron": 640}), "640"),
        (json!({"ask": "lens", "ids": [1, 2], "positions": [2, 1]}), "positions"),
        (json!({"ask": "lens", "ids": [1, 2], "positions": [0, 3]}), "not among"),
        (
            json!({"ask": "next", "ids": [1, 2], "edits": [{"silence": "block.9.mlp"}]}),
            "no part of this model",
        ),
        (json!({"ask": "next", "ids": [1, 2], "edits": [{"cut": [1, 1]}]}), "always sees itself"),
        (json!({"ask": "next", "ids": [1, 2], "edits": [{}]}), "give silence"),
        (json!({"ask": "why", "ids": [1, 2], "token": 9999}), "vocabulary"),
        (json!({"ask": "why", "ids": []}), "at least one token"),
        (json!({"ask": "pieces", "ids": [1], "more": 1}), "unknown field"),
        (json!({"ask": "lesson", "task": "copy", "steps": 0}), "0 steps"),
        (json!({"ask": "pass", "tokens": 100_000}), "context"),
        (json!({"ask": "near", "id": 9999}), "9999"),
        (json!({"ask": "run"}), "no run is watched"),
        (json!({"ask": "if", "ids": [1, 2], "tokens": 1000}), "at most 64"),
        (json!({"ask": "if", "ids": [], "tokens": 10}), "at least one token"),
        (
            json!({"ask": "drift", "a": {"ids": [1], "word": [0, 2]}, "b": {"ids": [1], "word": [0, 1]}}),
            "positions",
        ),
        (json!({"ask": "carried", "ids": [1], "from": [7], "to": [0, 1]}), "7"),
        (json!({"ask": "query_key", "ids": [1, 2], "block": 0, "head": 0, "query": 0, "key": 5}), "5"),
        (json!({"ask": "generate", "ids": [1], "tokens": 3, "temperature": 3.0}), "above 2"),
    ] {
        let refused = try_ask(&mut page, &question).expect_err(&question.to_string());
        assert!(refused.contains(words), "{question}: {refused}");
    }
}
