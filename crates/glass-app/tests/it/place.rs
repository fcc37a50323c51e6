//! A place of the page in headless Chromium, as a service gives it and as a file of a disk without a network; and what it must
//! show. Where Chromium or its driver is missing, the tests say so and pass.

use std::collections::HashMap;
use std::path::Path;
use std::sync::{MutexGuard, PoisonError};
use std::thread::sleep;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::browser::{Browser, Screen, TURN};
use crate::program::{Scratch, glass};
use crate::service::Service;

/// How far a number of the page that stands alone may be from the program's, as a share of it, or of 1 if it is smaller: there,
/// inputs of quantised products can be rounded the other way (page_alone.rs).
const TOLERANCE: f64 = 0.2;

/// A page in a browser.
pub struct Opened {
    pub browser: Browser,
    /// Tells what is right, whoever answers in the page.
    pub service: Service,
    /// Whether the page is the one of a disk.
    pub alone: bool,
    /// The page's address, without a fragment.
    pub address: String,
    folder: Scratch,
    _turn: MutexGuard<'static, ()>,
}

/// The page of a new service.
pub fn served(name: &str, screen: Screen) -> Option<Opened> {
    let turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let Some(browser) = Browser::start(screen) else {
        eprintln!("chromium or chromedriver is not installed: the page was not tested ({name})");
        return None;
    };
    let service = Service::start(name, &[]);
    let address = format!("http://{}/", service.address);
    let folder = Scratch::new(&format!("{name}-page"));
    Some(Opened { browser, service, alone: false, address, folder, _turn: turn })
}

/// Tests the page of a service, then, without a network, the one of a disk.
pub fn both(name: &str, test: impl Fn(&Opened)) {
    let Some(mut page) = served(name, Screen::Desktop) else { return };
    println!("the page of a service");
    page.start();
    test(&page);
    page.assert_quiet();
    println!("the page of a disk");
    page.go_alone();
    page.start();
    test(&page);
    page.assert_quiet();
}

impl Opened {
    /// Writes the page to a disk, cuts the browser off from every network, and goes there.
    fn go_alone(&mut self) {
        let written = glass(&self.folder.0, &["page", "--out", "page.html", "--json"], b"");
        assert_eq!(written.json()["out"], "page.html");
        // The page from the service may still ask it something.
        self.browser.open("about:blank");
        self.browser.offline();
        self.address = format!("file://{}", self.folder.0.join("page.html").display());
        self.alone = true;
    }

    /// Opens the page anew.
    pub fn start(&self) {
        self.open("#chat");
    }

    /// Opens the page anew, with a fragment.
    pub fn open(&self, fragment: &str) {
        self.browser.open("about:blank");
        self.browser.open(&format!("{}{fragment}", self.address));
        self.browser.wait_for("#model", "context");
    }

    /// Follows a link within the page.
    pub fn go(&self, fragment: &str) {
        self.browser.value(&format!("location.hash = {}", json!(fragment)));
    }

    /// What the model answers.
    pub fn ask(&self, question: &Value) -> Value {
        let reply = self.service.post("/v1/explain", question);
        assert_eq!(reply.status, 200, "{question}: {}", reply.text());
        let last: Value = serde_json::from_str(reply.text().lines().last().expect("a line")).expect("JSON");
        assert!(last["answer"].is_object(), "{question}: {last}");
        last["answer"].clone()
    }

    pub fn ids(&self, text: &str) -> Vec<u32> {
        let tokens = self.ask(&json!({"ask": "tokens", "text": text}));
        serde_json::from_value(tokens["ids"].clone()).expect("ids")
    }

    /// Nothing went wrong in the page, and its policy refused nothing.
    pub fn assert_quiet(&self) {
        assert_eq!(self.browser.complaints(), Vec::<String>::new(), "alone: {}", self.alone);
    }

    /// Waits until `check` finds nothing wrong.
    pub fn eventually(&self, check: impl Fn() -> Result<(), String>) {
        let begin = Instant::now();
        while let Err(wrong) = check() {
            let said =
                || format!("{wrong}\nalone: {}\nthe console: {:?}", self.alone, self.browser.complaints());
            assert!(begin.elapsed() < Duration::from_secs(60), "{}", said());
            sleep(Duration::from_millis(20));
        }
    }

    /// The texts of all elements that are seen, without what only screen readers get.
    pub fn texts(&self, css: &str) -> Vec<String> {
        let found =
            self.browser.value(&format!("{SEEN}.map({PLAIN})").replace("CSS", &json!(css).to_string()));
        serde_json::from_value(found).expect("texts")
    }

    /// An attribute of all elements that are seen.
    pub fn attributes(&self, css: &str, name: &str) -> Vec<String> {
        let script = format!("{SEEN}.map((one) => one.getAttribute({}) ?? '')", json!(name));
        serde_json::from_value(self.browser.value(&script.replace("CSS", &json!(css).to_string())))
            .expect("texts")
    }

    /// The numbers that can be traced, as places and texts.
    pub fn numbers(&self, within: &str) -> Vec<(Value, String)> {
        let css = format!("{within} button.number[data-at]");
        let places =
            self.attributes(&css, "data-at").into_iter().map(|at| serde_json::from_str(&at).expect("JSON"));
        places.zip(self.texts(&css)).collect()
    }

    /// Whether a text shows a number, to the digits it has. The page that stands alone may differ a little.
    pub fn shows(&self, text: &str, truth: f64) -> Result<(), String> {
        let (value, half) = number(text).ok_or_else(|| format!("{text:?} is no number"))?;
        if value == truth {
            return Ok(());
        }
        // A probability is as exact as its logarithm.
        let size = if text.contains('%') { truth.abs() } else { truth.abs().max(1.0) };
        // Numbers in JavaScript and here are added in other orders.
        let more = size * if self.alone { TOLERANCE } else { 1e-9 };
        let far = (value - truth).abs();
        if far <= half * 1.000_001 + more { Ok(()) } else { Err(format!("{text:?} is shown for {truth}")) }
    }
}

const SEEN: &str = "Array.from(document.querySelectorAll(CSS)).filter((one) => one.checkVisibility())";
const PLAIN: &str = "(one) => Array.from(one.childNodes).filter((part) => !part.classList?.contains('hidden')).map((part) => part.textContent).join('')";

/// A number as the page writes it, and half a unit of its last digit.
pub fn number(text: &str) -> Option<(f64, f64)> {
    let text = text.trim().replace('−', "-").replace([',', '+'], "");
    let (text, scale) = match text.strip_suffix('%') {
        Some(front) => (front.trim(), 0.01),
        None => (text.as_str(), 1.0),
    };
    if text == "-∞" {
        return Some((f64::NEG_INFINITY, 0.0));
    }
    let (front, power) = text.split_once("·10").unwrap_or((text, "⁰"));
    let digit = |c: char| "⁻⁰¹²³⁴⁵⁶⁷⁸⁹".chars().position(|known| known == c);
    let mut plain = String::new();
    for c in power.chars() {
        plain.push(char::from(b"-0123456789"[digit(c)?]));
    }
    let power = 10f64.powi(plain.parse().ok()?) * scale;
    let value: f64 = front.parse().ok()?;
    let decimals = front.split_once('.').map_or(0, |(_, decimals)| decimals.len());
    // Only nothing is written as 0.
    let half = if front == "0" { 0.0 } else { 0.5 * 10f64.powi(-i32::try_from(decimals).ok()?) };
    Some((value * power, half * power))
}

/// What `glass look --record` writes about a text: every number that flows.
pub struct Record {
    pub ids: Vec<u32>,
    /// The output of `--json`.
    pub look: Value,
    sites: HashMap<String, (Vec<usize>, Vec<f64>)>,
}

impl Record {
    pub fn of(text: &str) -> Record {
        let folder = Scratch::new("record");
        let arguments = ["look", text, "--json", "--record", "*", "--out", "r.safetensors"];
        let look = glass(&folder.0, &arguments, b"").json();
        let ids = look["tokens"]
            .as_array()
            .expect("tokens")
            .iter()
            .map(|token| token["id"].as_u64().unwrap() as u32);
        Record { ids: ids.collect(), sites: sites(&folder.0.join("r.safetensors")), look }
    }

    pub fn has(&self, site: Option<&str>) -> bool {
        site.is_some_and(|site| self.sites.contains_key(site))
    }

    /// The number at a place, as the page names places.
    pub fn at(&self, at: &Value) -> f64 {
        let of = |name: &str| at[name].as_u64().map(|n| n as usize);
        let position = of("position").expect("a position");
        if let Some(token) = of("logit") {
            return self.row("logits", position)[token];
        }
        if let Some(token) = of("probability") {
            let logits = self.row("logits", position);
            let most = logits.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            let sum: f64 = logits.iter().map(|logit| (logit - most).exp()).sum();
            return (logits[token] - most).exp() / sum;
        }
        let site = at["site"].as_str().expect("a site");
        let (shape, values) = &self.sites[site];
        match (of("key"), of("column"), of("head")) {
            (Some(key), _, head) => values[(head.expect("a head") * shape[1] + position) * shape[2] + key],
            // What each head adds stands side by side.
            (_, Some(column), Some(head)) if site.ends_with(".contribution") => {
                self.row(site, position)[head * shape[1] / self.heads() + column]
            }
            (_, column, _) => self.row(site, position)[column.expect("a column")],
        }
    }

    /// Numbers of a head's queries.
    pub fn head_size(&self) -> usize {
        self.sites["block.0.attention.query"].0[1] / self.heads()
    }

    fn heads(&self) -> usize {
        self.sites["block.0.attention.pattern"].0[0]
    }

    pub fn row(&self, site: &str, position: usize) -> &[f64] {
        let (shape, values) = &self.sites[site];
        &values[position * shape[1]..][..shape[1]]
    }
}

/// A safetensors file of 32-bit floats.
fn sites(file: &Path) -> HashMap<String, (Vec<usize>, Vec<f64>)> {
    let bytes = std::fs::read(file).expect("a record");
    let (length, rest) = bytes.split_first_chunk::<8>().expect("a length");
    let (head, data) = rest.split_at(u64::from_le_bytes(*length) as usize);
    let head: HashMap<String, Value> = serde_json::from_slice(head).expect("JSON");
    let of = |tensor: &Value| {
        let numbers =
            |name: &str| -> Vec<usize> { serde_json::from_value(tensor[name].clone()).expect("numbers") };
        let at = numbers("data_offsets");
        let values =
            data[at[0]..at[1]].as_chunks::<4>().0.iter().map(|&bytes| f64::from(f32::from_le_bytes(bytes)));
        (numbers("shape"), values.collect())
    };
    head.iter()
        .filter(|(name, _)| *name != "__metadata__")
        .map(|(name, tensor)| (name.clone(), of(tensor)))
        .collect()
}

/// A text as a part of a link.
pub fn encoded(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric();
    text.bytes()
        .map(|byte| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") })
        .collect()
}
