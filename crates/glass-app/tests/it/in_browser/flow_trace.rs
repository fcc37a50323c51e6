//! From a number on the page to the weights in the file: click by click, one step back at a time.

use std::path::Path;

use serde_json::{Value, json};

use crate::browser::key;
use crate::place::{Opened, Record, both, encoded};

const TEXT: &str = "Lily had a big red ball. She gave the ball to";

/// One step back ends at the file after this many clicks at most.
const STEPS: usize = 60;

impl Opened {
    /// Clicks a number, whether it is in sight or not, and waits for what the panel tells. Gives that number's place.
    fn trace(&self, css: &str) -> Value {
        let at = self.browser.value(&format!(
            "(() => {{ const found = Array.from(document.querySelectorAll({})).find((one) => one.checkVisibility()); \
             found.click(); return found.dataset.at; }})()",
            json!(css)
        ));
        let at: Value = serde_json::from_str(at.as_str().expect("a place")).expect("JSON");
        let truth = self.asked(&at);
        let name = truth["name"].as_str().or(truth["tensor"].as_str()).expect("a name");
        self.eventually(|| {
            let value = self.texts("#trace .trace-value");
            let told = self.browser.text("#trace .trace-name");
            if value.len() == 1 && told.contains(name) {
                Ok(())
            } else {
                Err(format!("{value:?}, {told}, not {at}"))
            }
        });
        let value =
            self.browser.value("document.querySelector('#trace .trace-value').firstChild.textContent");
        let value = value.as_str().expect("text");
        self.shows(value, float(&truth["value"])).unwrap_or_else(|wrong| panic!("{at}: {wrong}"));
        let equation = truth["equation"].as_str().expect("an equation");
        assert!(self.browser.text("#trace .equation").contains(equation) || self.alone, "{at}");
        at
    }

    fn asked(&self, at: &Value) -> Value {
        self.ask(&json!({"ask": "trace", "ids": self.ids(TEXT), "at": at}))
    }

    /// The bytes that the panel shows are those of the file.
    fn assert_bytes(&self) {
        let rows = "Array.from(document.querySelectorAll('#trace .in-file tbody tr')).map((row) => Array.from(row.cells).map((cell) => cell.textContent))";
        let rows: Vec<[String; 3]> = serde_json::from_value(self.browser.value(rows)).expect("rows");
        assert!(!rows.is_empty());
        let facts = self.texts("#trace .in-file dd");
        assert_eq!(facts[0], "model.safetensors");
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../models").join(&facts[0]);
        let file = std::fs::read(file).expect("the model's file");
        for [means, place, bytes] in rows {
            let offset: usize = place.replace("byte ", "").replace(',', "").parse().expect("a place");
            let bytes: Vec<u8> =
                bytes.split(' ').map(|byte| u8::from_str_radix(byte, 16).expect("a byte")).collect();
            assert_eq!(bytes, file[offset..][..bytes.len()], "{means} at byte {offset}");
        }
    }
}

fn float(value: &Value) -> f64 {
    value.as_f64().or_else(|| value.as_str()?.parse().ok()).expect("a number")
}

#[test]
fn from_a_probability_down_to_the_bytes_of_a_weight() {
    let record = Record::of(TEXT);
    both("flow-trace", |page| {
        let browser = &page.browser;
        page.go(&format!("#flow/next?t={}", encoded(TEXT)));
        page.until_drawn("next");
        // The shortest way: as soon as there is a weight among the operands, to it.
        let mut at = page.trace("[data-view=next] button.number[data-at*=probability]");
        let mut steps = 0;
        while at["weight"].is_null() {
            assert!(steps < STEPS, "no weight: {at}");
            page.shows(
                browser
                    .value("document.querySelector('#trace .trace-value').firstChild.textContent")
                    .as_str()
                    .unwrap(),
                known(page, &record, &at),
            )
            .unwrap();
            let weights = page.texts("#trace .operands button.number.weight").len();
            at = page.trace(if weights > 0 {
                "#trace .operands button.number.weight"
            } else {
                "#trace .operands button.number.data"
            });
            steps += 1;
        }
        page.assert_bytes();
        // Back to a number before, and the panel can be closed.
        browser.click("#trace .crumbs li:last-child button");
        browser.wait("!document.querySelector('#trace .in-file')");
        browser.press(key::ESCAPE);
        browser.wait("document.getElementById('trace').hidden");
        long_way(page);
    });
}

/// What `glass look` recorded for a number; what it does not record, such as a mean, as the model tells it.
fn known(page: &Opened, record: &Record, at: &Value) -> f64 {
    let recorded = at["statistic"].is_null() && (record.has(at["site"].as_str()) || at["site"].is_null());
    if recorded { record.at(at) } else { float(&page.asked(at)["value"]) }
}

/// From a share of attention in the last block through all blocks to the embedding, past every weight on the way.
fn long_way(page: &Opened) {
    page.go(&format!("#flow/attention?t={}&b=7", encoded(TEXT)));
    page.until_drawn("attention");
    page.browser.wait("document.querySelector('[data-view=attention] button.number[data-at*=pattern]')");
    page.trace("[data-view=attention] button.number[data-at*=pattern]");
    let mut blocks = Vec::new();
    for _ in 0..STEPS {
        let data = "#trace .operands button.number.data";
        let next = if page.texts(data).is_empty() { "#trace .operands button.number.weight" } else { data };
        let at = page.trace(next);
        let block =
            at["site"].as_str().and_then(|site| site.strip_prefix("block.")?.split('.').next()?.parse().ok());
        blocks.extend(block.filter(|block: &usize| blocks.last() != Some(block)));
        if at["weight"].is_string() {
            assert_eq!(blocks, [7, 6, 5, 4, 3, 2, 1, 0], "it went down block by block to {at}");
            return page.assert_bytes();
        }
    }
    panic!("no weight after {STEPS} steps; blocks {blocks:?}");
}
