//! The page of `glass page`, opened from a disk in headless Chromium without a network: it answers what the program answers.
//! Where Chromium or its driver is missing, the tests say so and pass.

use std::collections::BTreeSet;
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::{MutexGuard, PoisonError};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use glass::backend::Cpu;
use glass::text_model::TextModel;
use glass_kernels::{Cores, Isa};
use glass_page::{Page, read};
use serde_json::{Value, json};

use crate::browser::{Browser, Screen, TURN};
use crate::program::{Scratch, glass};

/// How far a number of the browser may be from that of plain Rust, as a share of it, or of 1 if it is smaller. The kernels have the
/// same bits; logarithms and roots in 64 bits are those of the system.
const PLAIN: f64 = 1e-7;

/// How far it may be from the program's. Most instruction sets round a multiplication and an addition together, so a number may be
/// rounded otherwise to the 8 bits in which the built-in model is multiplied, and that is one part in 254 of the largest of its block.
const PROGRAM: f64 = 0.1;

/// A page that was written and opened.
struct Opened {
    browser: Browser,
    _folder: Scratch,
    _turn: MutexGuard<'static, ()>,
}

fn opened(name: &str, arguments: &[&str]) -> Option<Opened> {
    let turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let Some(browser) = Browser::start(Screen::Desktop) else {
        eprintln!("chromium or chromedriver is not installed: the page was not tested ({name})");
        return None;
    };
    let folder = Scratch::new(name);
    let written = glass(&folder.0, &[&["page", "--out", "page.html", "--json"], arguments].concat(), b"");
    let told = written.json();
    assert_eq!(told["out"], "page.html");
    browser.offline();
    browser.open(&address(&folder.0.join("page.html")));
    browser.wait_for("#model", "context");
    Some(Opened { browser, _folder: folder, _turn: turn })
}

fn address(file: &Path) -> String {
    format!("file://{}", file.display())
}

impl Opened {
    /// The answer of the model in the page, or why there is none.
    fn ask(&self, question: &Value) -> Result<Value, String> {
        let answer = self.browser.settled(&format!("glassAlone.ask({question})"));
        match answer["refused"].as_str() {
            Some(error) => Err(error.into()),
            None => Ok(answer["value"].clone()),
        }
    }

    fn assert_quiet(&self) {
        assert_eq!(self.browser.complaints(), Vec::<String>::new());
    }
}

/// Most that two answers differ. Everything that is no float is the same; where places may change, an entry of a list may stand
/// elsewhere in it, or be as large as the last one.
fn distance(at: &str, page: &Value, program: &Value, places: Places) -> f64 {
    match (page, program) {
        (Value::Object(a), Value::Object(b)) => {
            let names = |of: &serde_json::Map<String, Value>| of.keys().cloned().collect::<BTreeSet<_>>();
            assert_eq!(names(a), names(b), "{at}");
            let of = |name: &String| match (name.as_str(), &a[name], &b[name]) {
                ("f32", Value::String(a), Value::String(b)) => far(at, &floats(a), &floats(b)),
                (_, a, b) => distance(&format!("{at}.{name}"), a, b, places),
            };
            a.keys().map(of).fold(0.0, f64::max)
        }
        (Value::Array(a), Value::Array(b)) => {
            assert_eq!(a.len(), b.len(), "{at}");
            let of = |(i, (one, other)): (usize, (&Value, &Value))| {
                let at = format!("{at}[{i}]");
                if places == Places::Same || named(one) == named(other) {
                    return distance(&at, one, other, places);
                }
                match b.iter().find(|other| named(one) == named(other)) {
                    Some(same) => distance(&at, one, same, places),
                    None => distance(&at, &floats_of(one), &floats_of(&b[b.len() - 1]), places),
                }
            };
            a.iter().zip(b).enumerate().map(of).fold(0.0, f64::max)
        }
        (Value::Number(a), Value::Number(b)) => {
            let (one, other) = (a.as_f64().expect("a number"), b.as_f64().expect("a number"));
            // The browser tells whole numbers as it likes.
            assert!(b.is_f64() || one == other, "{at}: {a} and {b}");
            far(at, &[one], &[other])
        }
        (a, b) => {
            assert_eq!(a, b, "{at}");
            0.0
        }
    }
}

/// Whether entries of a list that are about as large may have changed places.
#[derive(Clone, Copy, PartialEq)]
enum Places {
    Same,
    MayChange,
}

/// The token or neuron that an entry of a list is about.
fn named(entry: &Value) -> Option<f64> {
    ["id", "neuron"].iter().find_map(|name| entry.get(*name)?.as_f64())
}

/// The floats of such an entry.
fn floats_of(entry: &Value) -> Value {
    let entry = entry.as_object().expect("an entry with a name");
    entry.values().filter(|one| one.is_f64()).cloned().collect()
}

fn floats(base64: &str) -> Vec<f64> {
    let bytes = STANDARD.decode(base64).expect("base64");
    bytes.as_chunks::<4>().0.iter().map(|&bytes| f64::from(f32::from_le_bytes(bytes))).collect()
}

fn far(at: &str, a: &[f64], b: &[f64]) -> f64 {
    assert_eq!(a.len(), b.len(), "{at}");
    let far = |(a, b): (&f64, &f64)| if a == b { 0.0 } else { (a - b).abs() / b.abs().max(1.0) };
    a.iter().zip(b).map(far).fold(0.0, f64::max)
}

/// Questions of every kind.
fn questions(ids: &[u32]) -> Vec<Value> {
    let edits = json!([{"silence": "block.3.attention.head.1"}]);
    let other: Vec<u32> = ids.iter().rev().copied().collect();
    let mut all = vec![
        json!({"ask": "model"}),
        json!({"ask": "tokens", "text": "Once upon a time — a café."}),
        json!({"ask": "tokens", "messages": [{"role": "user", "content": "A story, please."}]}),
        json!({"ask": "pieces", "ids": ids}),
        json!({"ask": "merges", "text": "unhappily ever after"}),
        json!({"ask": "near", "id": ids[2], "n": 5}),
        json!({"ask": "context", "tokens": 100}),
        json!({"ask": "context", "tokens": 2048, "gpt3": true}),
        json!({"ask": "pass", "tokens": 8}),
        json!({"ask": "kinds"}),
        json!({"ask": "drift", "a": {"ids": ids, "word": [2, 3]}, "b": {"ids": other, "word": [2, 3]}}),
        json!({"ask": "carried", "ids": ids, "from": [1, 2], "to": [4, 6]}),
        json!({"ask": "generate", "ids": ids, "tokens": 24, "temperature": 0, "top": 3}),
        json!({"ask": "if", "ids": ids, "edits": edits, "tokens": 6}),
        json!({"ask": "why", "ids": ids}),
        json!({"ask": "trace", "ids": ids, "at": {"site": "block.3.attention.z", "position": 5, "column": 100}}),
        json!({"ask": "trace", "ids": ids, "at": {"weight": "block.3.mlp.up.weight", "row": 7, "column": 9}}),
        json!({"ask": "lesson", "task": "copy", "steps": 12}),
    ];
    let of_ids = [
        json!({"ask": "embedding", "position": 3}),
        json!({"ask": "stream"}),
        json!({"ask": "lens"}),
        json!({"ask": "attention", "block": 2, "head": 1}),
        json!({"ask": "patterns", "block": 2}),
        json!({"ask": "row"}),
        json!({"ask": "query_key", "block": 2, "head": 1, "query": 4, "key": 2}),
        json!({"ask": "heads", "block": 2, "position": 5}),
        json!({"ask": "head", "block": 2, "head": 1, "position": 5}),
        json!({"ask": "mlp", "block": 2, "position": 5}),
        json!({"ask": "neuron", "block": 2, "neuron": 17}),
        json!({"ask": "next"}),
        json!({"ask": "last"}),
    ];
    for mut question in of_ids {
        question["ids"] = json!(ids);
        all.push(question.clone());
        question["edits"] = edits.clone();
        all.push(question);
    }
    all
}

/// Whether an answer holds what a small difference of numbers can change as a whole: a text, or an order.
fn has_text(question: &Value) -> bool {
    ["generate", "if", "why"].iter().any(|kind| question["ask"] == *kind)
}

/// Asks a page of this processor all questions that `are_asked`; returns the farthest number and its question.
fn compared(page: &Opened, cpu: Cpu, places: Places, are_asked: impl Fn(&Value) -> bool) -> (f64, String) {
    let folder = glass::built_in::model().expect("a model").expect("it opens");
    let model = TextModel::new(cpu, folder).expect("it loads");
    let mut program = Page::new(&model, "built-in");
    let mut ask = |question: &Value| {
        let question = read(question.to_string().as_bytes()).map_err(|error| error.to_string())?;
        program.answer(&question, &mut |_| ControlFlow::Continue(())).map_err(|error| error.to_string())
    };
    let tokens =
        ask(&json!({"ask": "tokens", "text": "Lily had a red ball. One day the dog took her"})).unwrap();
    let ids: Vec<u32> = serde_json::from_value(tokens["ids"].clone()).unwrap();
    let mut farthest = (0.0, String::new());
    for question in questions(&ids).into_iter().filter(are_asked) {
        let far = match (page.ask(&question), ask(&question)) {
            (Ok(of_page), Ok(of_program)) => distance(&question.to_string(), &of_page, &of_program, places),
            // Both refuse, in the same words.
            (of_page, of_program) => {
                assert_eq!(of_page, of_program, "{question}");
                0.0
            }
        };
        if far > farthest.0 {
            farthest = (far, question.to_string());
        }
    }
    farthest
}

#[test]
fn the_model_in_the_page_answers_as_the_program_does() {
    let Some(page) = opened("page-alone", &[]) else { return };
    let plain = Cores::with(Isa::Plain, 2).expect("any machine has it");
    let held = |what: &str, (far, question): (f64, String), most: f64| {
        println!("farthest from {what}: {far:.2e} in {question}");
        assert!(far <= most, "farthest from {what}: {far:.2e} in {question}");
    };
    held("plain Rust", compared(&page, Cpu::on(plain), Places::Same, |_| true), PLAIN);
    // Fused multiply-adds round otherwise, so that of two words about as likely the other may follow.
    let program = compared(&page, Cpu::new(2), Places::MayChange, |question| !has_text(question));
    held("the program", program, PROGRAM);
    page.assert_quiet();
}

#[test]
fn what_is_wrong_is_said_and_questions_can_be_ended() {
    let Some(page) = opened("page-alone-ended", &[]) else { return };
    let refused = page.ask(&json!({"ask": "next", "ids": []})).unwrap_err();
    assert!(refused.contains("at least one token"), "{refused}");
    // A long question that nobody waits for any more does not hold up the next one.
    let ended = "(async () => { const end = new AbortController(); const begun = performance.now(); \
        const long = glassAlone.ask({ ask: 'lesson', task: 'sort', steps: 3000 }, { signal: end.signal, onFrame: () => end.abort() }); \
        const why = await long.catch((error) => error.name); \
        const next = await glassAlone.ask({ ask: 'next', ids: [300], top: 1 }); \
        return [why, next.top.length, performance.now() - begun < 30000]; })()";
    assert_eq!(page.browser.settled(ended)["value"], json!(["AbortError", 1, true]));
    page.assert_quiet();
}

#[test]
fn the_page_of_a_disk_chats() {
    let Some(page) = opened("page-alone-chat", &[]) else { return };
    page.browser
        .type_into("#question", &format!("Tell me a story about a café.{}", crate::browser::key::ENTER));
    page.browser.wait_for(".message.assistant:last-child .status", "seed");
    page.browser.wait("document.querySelector('.message.assistant .text').textContent.length > 20");
    page.assert_quiet();
}
