//! From a probability back to the weights in the file, one click after the other.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fs;
use std::path::Path;

use glass::inspect::{Edit, Edits, Inspector, Record};
use glass::probe::{Part, Site};
use glass_page::Page;
use serde_json::{Value, json};

use crate::asked::{ask_of, ball, ids, model, page, try_ask};

const STORY: &str = "Once upon a time there was a little dog named Max. He had a red ball and he loved his";

/// How far the equation may be off, as a share of its value and of what it sums: some dozens of roundings of a 32-bit float.
const TOLERANCE: f64 = 3e-6;

fn trace(page: &mut Page<'_>, ids: &[u32], edits: &Value, at: &Value, list: usize) -> Value {
    ask_of(page, &json!({"ask": "trace", "ids": ids, "edits": edits, "at": at, "list": list}))
}

fn number(value: &Value) -> f64 {
    match value.as_str() {
        Some(text) => text.parse().unwrap(),
        None => value.as_f64().unwrap_or_else(|| panic!("{value} is a number")),
    }
}

/// What all operands add; the sum that is told is that of the operands.
fn check(found: &Value) {
    let inputs = found["inputs"].as_array().unwrap();
    let part = |input: &Value| number(input.get("product").unwrap_or(&input["value"]));
    let size: f64 = inputs.iter().map(|input| part(input).abs()).filter(|x| x.is_finite()).sum();
    let (value, sum, rounding) = (number(&found["value"]), number(&found["sum"]), number(&found["rounding"]));
    let size = if value.is_finite() { size + value.abs() } else { size };
    assert!(rounding.abs() <= TOLERANCE * size, "{found:#}");
    assert!(value == sum || value - sum == rounding, "{found:#}");
    for input in inputs {
        let Some(times) = input.get("times") else { continue };
        let used = |of: &Value| number(of.get("rounded").unwrap_or(&of["value"]));
        let product = used(input) * used(times);
        assert!((product - part(input)).abs() <= 1e-12 * product.abs(), "{input}");
    }
}

/// The bytes of the file at a weight's places; their number is the weight.
fn check_bytes(found: &Value, file: &[u8]) {
    assert_eq!((&found["file"], &found["value"]), (&json!("model.safetensors"), &found["stored"]));
    let bytes: Vec<&[u8]> = (found["places"].as_array().unwrap().iter())
        .map(|place| {
            let told: Vec<u8> = serde_json::from_value(place["bytes"].clone()).unwrap();
            let offset = place["offset"].as_u64().unwrap() as usize;
            assert_eq!(file[offset..offset + told.len()], told, "{found}");
            &file[offset..offset + told.len()]
        })
        .collect();
    let value = match bytes[..] {
        [float] => f64::from(f32::from_le_bytes(float.try_into().unwrap())),
        [q, scale] => {
            let half = u16::from_le_bytes(scale.try_into().unwrap());
            f64::from(f32::from(q[0]) - 128.0) * f64::from(glass_kernels::format::f16_to_f32(half))
        }
        _ => panic!("{found}"),
    };
    assert_eq!(number(&found["value"]), value, "{found}");
}

/// What kind of number this is.
fn kind(at: &Value) -> String {
    let name =
        ["site", "weight", "logit", "probability"].into_iter().find(|key| at.get(key).is_some()).unwrap();
    format!(
        "{name} {} {}",
        at[name].as_str().unwrap_or_default(),
        at["statistic"].as_str().unwrap_or_default()
    )
}

#[test]
fn clicks_lead_from_a_probability_to_every_kind_of_weight_in_the_file() {
    let file =
        fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("../../models/model.safetensors")).unwrap();
    let (mut page, ids, edits) = (page(), ids(STORY), json!([]));
    let mut ahead = VecDeque::from([(json!({"probability": ball(), "position": ids.len() - 1}), None)]);
    // Each kind of number is looked into twice in each block.
    let mut kinds: BTreeMap<String, usize> = BTreeMap::new();
    while let Some((at, expected)) = ahead.pop_front() {
        let times = kinds.entry(kind(&at)).or_default();
        *times += 1;
        if *times > 2 {
            continue;
        }
        let found = trace(&mut page, &ids, &edits, &at, 100_000);
        assert!(expected.is_none_or(|expected| expected == found["value"]), "{at}: {found:#}");
        if found["kind"] == "weight" {
            check_bytes(&found, &file);
            continue;
        }
        check(&found);
        let short = trace(&mut page, &ids, &edits, &at, 3);
        assert_eq!((&short["value"], &short["sum"]), (&found["value"], &found["sum"]));
        for input in short["inputs"].as_array().unwrap() {
            let factors = [Some(input), input.get("times")].into_iter().flatten();
            let named = factors.filter(|factor| !factor["at"].is_null());
            ahead.extend(named.map(|factor| (factor["at"].clone(), Some(factor["value"].clone()))));
        }
    }
    let without_block = |kind: &String| {
        let words = kind.split('.').filter(|word| word.parse::<u32>().is_err());
        words.collect::<Vec<_>>().join(".")
    };
    let all: BTreeSet<String> = kinds.keys().map(without_block).collect();
    let count = |what: &str| all.iter().filter(|kind| kind.starts_with(what)).count();
    // All sites but the contributions of heads, which lie beside the way, and the statistics; all weights and norms.
    assert_eq!((count("site"), count("weight")), (38, 13), "{all:#?}");
    assert_eq!(kinds.keys().filter(|kind| kind.starts_with("site block.")).count(), 8 * 30, "{kinds:#?}");
}

#[test]
fn what_a_head_adds_and_a_key_that_is_not_seen() {
    let (mut page, ids, none) = (page(), ids(STORY), json!([]));
    let at = json!({"site": "block.2.attention.contribution", "position": 7, "head": 3, "column": 100});
    let found = trace(&mut page, &ids, &none, &at, 1000);
    check(&found);
    assert_eq!(found["inputs"].as_array().unwrap().len(), 64);
    let same = json!({"site": "block.2.attention.contribution", "position": 7, "column": 868});
    assert_eq!(trace(&mut page, &ids, &none, &same, 1000)["value"], found["value"]);
    let hidden = json!({"site": "block.2.attention.masked", "position": 3, "head": 1, "key": 5});
    let found = trace(&mut page, &ids, &none, &hidden, 12);
    assert_eq!((&found["value"], &found["rounding"]), (&json!("-Infinity"), &json!(0.0)));
}

#[test]
fn an_edit_is_told_and_followed() {
    let (mut page, ids) = (page(), ids(STORY));
    let edits = json!([{"silence": "block.3.attention.head.2"}, {"steer": 5, "strength": 3.0, "along": ids}]);
    let at = json!({"site": "block.3.attention.z", "position": 9, "head": 2, "column": 130});
    let found = trace(&mut page, &ids, &edits, &at, 12);
    assert_eq!((&found["value"], &found["edited"]), (&json!(0.0), &json!("set to 0")));
    for site in ["block.4.residual", "block.5.attention.norm", "block.6.mlp.out"] {
        let found =
            trace(&mut page, &ids, &edits, &json!({"site": site, "position": 9, "column": 3}), 100_000);
        assert!(found.get("edited").is_none());
        check(&found);
    }
    let steered = json!({"site": "block.5.residual", "position": 9, "column": 3});
    assert!(trace(&mut page, &ids, &edits, &steered, 12)["edited"].is_string());
}

/// Of a long text, blocks are computed again from their residual; edits of that residual are in it already.
#[test]
fn a_long_text_has_the_numbers_of_one_pass() {
    let (mut page, words) = (page(), ids(STORY));
    let ids: Vec<u32> = words.iter().cycle().take(512).copied().collect();
    let steer = json!([{"steer": 5, "strength": 3.0, "along": words}]);
    let mut record = Record::of([Site::Block(5, Part::Query)]);
    let mut inspector = Inspector::new(model(), 512, 1).unwrap();
    let residual = Site::Block(5, Part::Residual);
    let mut along = Record::of([residual]);
    inspector.run(&[&words], &mut along).unwrap();
    let vector = along.get(residual).unwrap().row(words.len() - 1).to_vec();
    let length = vector.iter().map(|x| x * x).sum::<f32>().sqrt();
    let steered = Edit::steer(5, vector.iter().map(|x| x * 3.0 / length).collect());
    inspector.run(&[&ids], (Edits::new([steered]), &mut record)).unwrap();
    let at = json!({"site": "block.5.attention.query", "position": 500, "column": 17});
    let found = trace(&mut page, &ids, &steer, &at, 100_000);
    assert_eq!(
        number(&found["value"]),
        f64::from(record.get(Site::Block(5, Part::Query)).unwrap().row(500)[17])
    );
    check(&found);
}

/// A patch after the last block reaches the logits.
#[test]
fn late_patches_are_in_the_logits() {
    let (mut page, ids) = (page(), ids(STORY));
    let other: Vec<u32> = ids.iter().rev().copied().collect();
    let last = ids.len() - 1;
    let at = json!({"logit": ball(), "position": last});
    let patched = json!([{"patch": "norm", "from": other}]);
    let found = trace(&mut page, &ids, &patched, &at, 100_000);
    check(&found);
    assert_eq!(found["value"], trace(&mut page, &other, &json!([]), &at, 12)["value"]);
    assert_ne!(found["value"], trace(&mut page, &ids, &json!([]), &at, 12)["value"]);
}

#[test]
fn what_is_no_number_is_refused() {
    let (mut page, ids) = (page(), ids(STORY));
    for at in [
        json!({}),
        json!({"site": "block.0.mlp.out", "position": 0}),
        json!({"site": "block.0.mlp.out", "column": 0}),
        json!({"site": "block.8.mlp.out", "position": 0, "column": 0}),
        json!({"site": "block.0.attention.z", "position": 0, "column": 3, "head": 1}),
        json!({"site": "block.0.attention.pattern", "position": 0, "column": 3, "head": 1}),
        json!({"site": "norm", "position": 0, "statistic": "median"}),
        json!({"site": "norm", "position": 0, "statistic": "sum"}),
        json!({"logit": 9999, "position": 0}),
        json!({"probability": 5, "position": 1000}),
        json!({"weight": "block.0.mlp.up.weight", "row": 5000, "column": 0}),
        json!({"weight": "block.0.mlp.up.weight"}),
        json!({"weight": "nothing", "row": 0, "column": 0}),
    ] {
        let asked = json!({"ask": "trace", "ids": ids, "at": at});
        assert!(try_ask(&mut page, &asked).is_err(), "{at}");
    }
    // A weight needs no text.
    ask_of(&mut page, &json!({"ask": "trace", "at": {"weight": "norm.weight", "column": 7}}));
}

/// A model that is run in fewer bits than its file has says both numbers.
#[test]
fn a_weight_that_was_rounded_when_it_was_loaded_says_so() {
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("../glass/tests/golden/files/f32");
    let folder = glass::weights::folder::Folder::open(&golden).unwrap();
    let cpu = glass::backend::Cpu::new(1);
    let model = glass::text_model::TextModel::packed(cpu, folder, glass::backend::Packing::Q4).unwrap();
    let mut page = Page::new(&model, "golden");
    let at = json!({"weight": "block.0.mlp.up.weight", "row": 3, "column": 5});
    let found = ask_of(&mut page, &json!({"ask": "trace", "at": at}));
    assert_ne!(found["value"], found["stored"]);
    let equation = found["equation"].as_str().unwrap();
    assert!(equation.contains("fewer bits") && equation.contains(&found["value"].to_string()), "{equation}");
    assert_eq!(
        (&found["tensor"], &found["dtype"]),
        (&json!("transformer.h.0.mlp.c_fc.weight"), &json!("F32"))
    );
}
