//! Every question of the page is answered for a tiny model of every family, and the parts in the answers add up.

use std::path::{Path, PathBuf};

use glass::backend::Cpu;
use glass::text_model::TextModel;
use glass::weights::folder::Folder;
use glass_page::Page;
use serde_json::{Value, json};

use crate::asked::{ask_of, numbers, try_ask};

fn families() -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../glass/tests/golden/families");
    let mut all: Vec<PathBuf> = std::fs::read_dir(root).unwrap().map(|entry| entry.unwrap().path()).collect();
    all.sort();
    assert!(all.len() > 20, "{all:?}");
    all
}

/// Every question, each on its own words.
fn questions(ids: &[u32], layers: usize) -> Vec<Value> {
    let (block, last) = (layers - 1, ids.len() - 1);
    let with = |mut question: Value| {
        question["ids"] = json!(ids);
        question
    };
    let edits =
        json!([{"silence": "block.1.attention.head.0"}, {"cut": [1, 4]}, {"steer": 1, "along": [3, 4]}]);
    let mut all: Vec<Value> = [
        json!({"ask": "embedding"}),
        json!({"ask": "attention", "block": block, "head": 0}),
        json!({"ask": "patterns", "block": 0}),
        json!({"ask": "row"}),
        json!({"ask": "query_key", "block": 0, "head": 1, "query": last, "key": last - 1}),
        json!({"ask": "query_key", "block": 0, "head": 1, "query": last, "key": 0}),
        json!({"ask": "heads", "block": block}),
        json!({"ask": "head", "block": block, "head": 1}),
        json!({"ask": "mlp", "block": block, "top": 10}),
        json!({"ask": "neuron", "block": block, "neuron": 3}),
        json!({"ask": "stream"}),
        json!({"ask": "lens", "positions": "all"}),
        json!({"ask": "last"}),
        json!({"ask": "next"}),
        json!({"ask": "next", "edits": edits}),
        json!({"ask": "if", "edits": edits}),
        json!({"ask": "why"}),
        json!({"ask": "carried", "from": [0, 2], "to": [last, last + 1]}),
        json!({"ask": "generate", "tokens": 4}),
    ]
    .map(with)
    .into();
    all.extend([json!({"ask": "model"}), json!({"ask": "near", "id": 3}), json!({"ask": "kinds"})]);
    let word = json!({"ids": ids, "word": [last, last + 1]});
    all.push(json!({"ask": "drift", "a": word, "b": {"ids": &ids[1..], "word": [last - 1, last]}}));
    all.push(json!({"ask": "context", "tokens": 16}));
    all
}

/// What the answers say about a part adds up to what the model computed.
fn sums(page: &mut Page<'_>, ids: &[u32], layers: usize, bias: bool, name: &str) {
    let block = layers - 1;
    let close = |a: f64, b: f64, what: &str| {
        assert!((a - b).abs() <= 2e-3 * a.abs().max(b.abs()).max(0.1), "{name}: {what}: {a}, {b}");
    };
    let heads = ask_of(page, &json!({"ask": "heads", "ids": ids, "block": block}));
    let of = |one: &Value| one["logit"].as_f64().unwrap();
    let sum: f64 = heads["heads"].as_array().unwrap().iter().map(of).sum();
    close(sum + of(&heads["bias"]), of(&heads["sum"]), "heads and their bias");
    // A head's sources: with one word alone, its length is that of what the head adds.
    let alone = ask_of(page, &json!({"ask": "head", "ids": &ids[..1], "block": block, "head": 0}));
    let source = alone["sources"][0]["added_length"].as_f64().unwrap();
    close(source, alone["length"].as_f64().unwrap(), "the only source");
    let pair =
        ask_of(page, &json!({"ask": "query_key", "ids": ids, "block": 0, "head": 1, "query": 4, "key": 3}));
    let [query, key] = ["query", "key"].map(|of| numbers(&pair[of]));
    let product: f64 = query.iter().zip(key).map(|(q, k)| f64::from(q * k)).sum();
    close(product, pair["product"].as_f64().unwrap(), "query times key");
    let found = ask_of(page, &json!({"ask": "last", "ids": ids}));
    let parts = found["parts"].as_array().unwrap().iter().map(|part| part["value"].as_f64().unwrap());
    close(parts.sum::<f64>(), found["logit"].as_f64().unwrap(), "parts of the logit");
    let mlp = ask_of(page, &json!({"ask": "mlp", "ids": ids, "block": block, "top": 1000}));
    let neurons: f64 = mlp["neurons"].as_array().unwrap().iter().map(of).sum();
    // A bias of the last matrix, or of a norm behind it, belongs to no neuron.
    if !bias {
        close(neurons, of(&mlp), "neurons of the MLP");
    }
}

#[test]
fn every_question_is_answered_for_every_family() {
    for path in families() {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let folder = Folder::open(&path).unwrap();
        let model = TextModel::new(Cpu::new(2), folder).unwrap();
        let (ids, layers) = ([5, 9, 3, 14, 3, 9, 5, 1], model.config().layers);
        let mut page = Page::new(&model, &name);
        for question in questions(&ids, layers) {
            if let Err(error) = try_ask(&mut page, &question) {
                panic!("{name}: {question}: {error}");
            }
        }
        let bias = model.config().bias;
        sums(&mut page, &ids, layers, bias.mlp || bias.norm, &name);
    }
}
