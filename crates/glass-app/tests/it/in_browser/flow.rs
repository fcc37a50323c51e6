//! The flow: every view shows what the program computes, follows what is chosen and changed, and is found again by its link.

use serde_json::{Value, json};

use crate::browser::{Screen, key};
use crate::place::{Opened, Record, both, encoded, number, served};

const TEXT: &str = "Lily had a big red ball. She gave the ball to her";

/// The views in the order of the flow.
pub const VIEWS: [&str; 11] =
    ["tokens", "embedding", "attention", "head", "heads", "mlp", "lens", "last", "next", "change", "why"];

/// What is looked at.
#[derive(Clone, Copy)]
struct Choice {
    position: usize,
    block: usize,
    head: usize,
}

impl Opened {
    /// Opens a station by its link in the bar.
    pub fn station(&self, view: &str) {
        self.browser.click(&format!("[data-station={view}]"));
        self.until_drawn(view);
    }

    /// Waits until a view has drawn something, and no later drawing is on its way.
    pub fn until_drawn(&self, view: &str) {
        self.browser.wait(&format!(
            "(() => {{ const body = document.querySelector('#flow-views [data-view={view}] .view-body'); \
             return body?.checkVisibility() && body.childElementCount && !body.hasAttribute('aria-busy') }})()"
        ));
    }

    /// Chooses as a reader does: a token in the text, a block and a head in their lists.
    fn choose(&self, choice: Choice, view: &str) {
        self.browser.click(&format!("#flow-tokens [data-position=\"{}\"]", choice.position));
        for (name, value) in [("block", choice.block), ("head", choice.head)] {
            if !self.texts(&format!("[data-chooser={name}] select")).is_empty() {
                self.browser.type_into(&format!("#choose-{name}"), &value.to_string());
            }
        }
        self.until_drawn(view);
    }

    /// What the address says of the state.
    fn state(&self, name: &str) -> String {
        let script = format!("new URLSearchParams(location.hash.split('?')[1]).get('{name}') ?? ''");
        self.browser.value(&script).as_str().expect("text").to_string()
    }
}

fn inside(view: &str) -> String {
    format!("#flow-views [data-view={view}]")
}

/// Whether the numbers of a view that can be traced are those of the record, at this place.
fn numbers(page: &Opened, record: &Record, view: &str, choice: Choice) -> Result<(), String> {
    let found = page.numbers(&inside(view));
    let least = match view {
        "lens" if choice.block < 7 => 0,
        "tokens" | "change" | "why" => 0,
        "embedding" => 2,
        "attention" => 12,
        _ => 4,
    };
    if found.len() < least {
        return Err(format!("{view} has {} numbers", found.len()));
    }
    let Choice { position, block, head } = choice;
    // The file's numbers have tests of their own.
    for (at, text) in found.iter().filter(|(at, _)| at["weight"].is_null()) {
        let site = at["site"].as_str().unwrap_or_default();
        let wrong = |what: &str| Err(format!("{view}: {at} is of another {what}"));
        if site.starts_with("block.") && !site.starts_with(&format!("block.{block}.")) {
            return wrong("block");
        }
        // Columns of queries, keys, values and z count over all heads.
        let size = record.head_size();
        let of_head = at["head"].as_u64().or_else(|| Some(at["column"].as_u64()? / size as u64));
        let part = site.rsplit('.').next().unwrap_or_default();
        let key = part.starts_with("key");
        let has_head = key
            || part.starts_with("query")
            || ["value", "z", "scores", "masked", "pattern", "contribution"].contains(&part);
        if matches!(view, "attention" | "head") && has_head && of_head != Some(head as u64) {
            return wrong("head");
        }
        // The key of another word stands there, too, and where a neuron fires most.
        let elsewhere = key || part == "active";
        if !elsewhere && at["position"] != position {
            return wrong("position");
        }
        page.shows(text, record.at(at)).map_err(|wrong| format!("{view}: {at}: {wrong}"))?;
    }
    Ok(())
}

#[test]
fn every_view_shows_what_the_program_computes() {
    let record = Record::of(TEXT);
    let last = record.ids.len() - 1;
    both("flow-numbers", |page| {
        page.go(&format!("#flow/tokens?t={}&b=7&h=1", encoded(TEXT)));
        overview(page, &record);
        // Each choice changes one thing, and every view that depends on it.
        let choices = [(last, 7, 1), (6, 7, 1), (6, 3, 1), (6, 3, 2)];
        let choices = choices.map(|(position, block, head)| Choice { position, block, head });
        for view in VIEWS.into_iter().filter(|&view| view != "why") {
            page.station(view);
            // Who answers makes no difference to what a choice changes.
            for &choice in if page.alone { &choices[..1] } else { &choices[..] } {
                page.choose(choice, view);
                page.eventually(|| numbers(page, &record, view, choice));
            }
            page.choose(choices[0], view);
            page.eventually(|| of_look(page, &record, view));
        }
    });
}

/// What each head and each MLP adds to the logit, as the picture's titles say it, and the next words.
fn overview(page: &Opened, record: &Record) {
    let titles = "Array.from(document.querySelectorAll('#flow .overview g[data-block] > title')).map((one) => one.textContent)";
    let parts = record.look["traced"]["parts"].as_array().expect("parts");
    page.eventually(|| {
        let shown: Vec<String> = serde_json::from_value(page.browser.value(titles)).expect("texts");
        if shown.len() != 8 * 5 {
            return Err(format!("{} parts", shown.len()));
        }
        for title in &shown {
            let (name, value) = title.split_once(": ").expect("a name and a number");
            let site = match name.split_once(", head ") {
                Some((block, head)) => format!("{}.attention.head.{head}", block.replace(' ', ".")),
                None => format!("{}.mlp", name.trim_end_matches(", MLP").replace(' ', ".")),
            };
            let truth = parts.iter().find(|part| part["name"] == site.as_str()).expect("a part");
            page.shows(value, truth["value"].as_f64().unwrap())
                .map_err(|wrong| format!("{title}: {wrong}"))?;
        }
        let label =
            page.browser.value("document.querySelector('#flow .overview svg').getAttribute('aria-label')");
        let label = label.as_str().unwrap();
        let (_, top) = label.split_once("next comes ").expect("the next words");
        for (shown, truth) in top.split(", ").zip(record.look["next"].as_array().unwrap()) {
            let (_, share) = shown.split_once(' ').expect("a word and its probability");
            page.shows(share, truth["logprob"].as_f64().unwrap().exp())?;
        }
        Ok(())
    });
}

/// What `glass look` prints, and the view shows otherwise than as numbers that can be traced.
fn of_look(page: &Opened, record: &Record, view: &str) -> Result<(), String> {
    let look = &record.look;
    let last = record.ids.len() - 1;
    match view {
        "tokens" => {
            let ids: Vec<String> = record.ids.iter().map(|id| format!("id {id}")).collect();
            same(&page.texts(&format!("{} .cards .id", inside(view))), &ids)
        }
        "lens" => {
            for (layer, top) in look["lens"].as_array().unwrap().iter().enumerate() {
                let shares = page.attributes(&format!("[data-focus=lens-{layer}-{last}]"), "title");
                let share = shares.first().ok_or(format!("layer {layer} is not shown"))?;
                page.shows(share, top[0]["logprob"].as_f64().unwrap().exp())?;
            }
            Ok(())
        }
        "last" => {
            let logit = page.texts(&format!("{} [data-at*=logit]", inside(view)));
            page.shows(logit.first().ok_or("no logit")?, look["traced"]["logit"].as_f64().unwrap())
        }
        "next" => {
            let shares = page.texts(&format!("{} [data-at*=probability]", inside(view)));
            for (share, truth) in shares.iter().zip(look["next"].as_array().unwrap()) {
                page.shows(share, truth["logprob"].as_f64().unwrap().exp())?;
            }
            Ok(())
        }
        _ => Ok(()),
    }
}

fn same(shown: &[String], truth: &[String]) -> Result<(), String> {
    if shown == truth { Ok(()) } else { Err(format!("{shown:?}, not {truth:?}")) }
}

#[test]
fn a_link_restores_a_view_and_back_goes_back() {
    both("flow-link", |page| {
        let browser = &page.browser;
        page.go(&format!("#flow/attention?t={}&p=6&b=3&h=2", encoded(TEXT)));
        page.until_drawn("attention");
        browser.click(&format!("{} [data-focus=step-scaled]", inside("attention")));
        browser.click(&format!("{} [data-focus=key-4]", inside("attention")));
        browser.click(&format!("{} [data-focus=sink]", inside("attention")));
        browser.click("[data-station=change]");
        browser.click("[data-focus=silence-mlp]");
        browser.wait_for("#flow-edits", "MLP of block 3 silenced");
        page.station("attention");
        browser.wait(&format!(
            "document.querySelector('{} [data-focus=key-4][aria-pressed=true]')",
            inside("attention")
        ));
        // Without a clipboard the link is shown.
        browser.value("Boolean(Object.defineProperty(navigator, 'clipboard', { value: undefined }))");
        browser.click(&format!("{} .keep button", inside("attention")));
        browser.wait("document.getElementById('view-link')");
        let link = browser.value("document.getElementById('view-link').value");
        browser.click("dialog .primary");
        let seen = || page.browser.text(&format!("{} .view-body", inside("attention")));
        let before = seen();

        let link = link.as_str().expect("a link").strip_prefix(&page.address).expect("this page").to_string();
        page.open(&link);
        page.until_drawn("attention");
        page.eventually(|| same(&[seen()], std::slice::from_ref(&before)));
        assert_eq!(
            ["p", "b", "h", "k", "g", "s"].map(|name| page.state(name)),
            ["6", "3", "2", "4", "scaled", "0"]
        );
        assert!(browser.text("#flow-edits").contains("MLP of block 3 silenced"));
        assert_eq!(browser.value("document.querySelector('#flow-text').value"), TEXT);

        // Steps back: another view, another text, another place.
        page.station("next");
        browser.value("(() => { const text = document.querySelector('#flow-text'); text.value = 'The cat'; text.dispatchEvent(new Event('input')); })()");
        browser.wait("document.querySelectorAll('#flow-tokens .chip').length === 3");
        browser.click("[data-place=course]");
        browser.wait("document.body.dataset.place === 'course'");
        browser.value("history.back()");
        browser.wait("document.body.dataset.place === 'flow'");
        browser.wait("document.querySelectorAll('#flow-tokens .chip').length === 3");
        browser.value("history.back()");
        page.eventually(|| same(&[page.state("t")], &[TEXT.into()]));
        browser.wait("document.querySelectorAll('#flow-tokens .chip').length > 3");
        page.until_drawn("next");
        browser.value("history.back()");
        page.until_drawn("attention");
        page.eventually(|| same(&[seen()], std::slice::from_ref(&before)));
    });
}

#[test]
fn a_silenced_head_changes_what_follows() {
    both("flow-change", |page| {
        let browser = &page.browser;
        let ids = page.ids(TEXT);
        let without = |head: usize| {
            let edits = json!([{"silence": format!("block.6.attention.head.{head}")}]);
            let question = json!({"ask": "if", "ids": ids, "edits": edits, "tokens": 16, "top": 8});
            // The page that stands alone rounds otherwise, so that of two words about as likely the other may follow: it shows what
            // its own module says (page_alone.rs compares that with the library).
            if page.alone {
                return browser.settled(&format!("glassAlone.ask({question})"))["value"].clone();
            }
            page.ask(&question)
        };
        let mut heads = (0..4).map(|head| (head, without(head)));
        let changes = |truth: &Value| truth["before"]["text"] != truth["after"]["text"];
        let (head, truth) = heads.find(|(_, truth)| changes(truth)).expect("a head that matters");
        page.go(&format!("#flow/change?t={}&b=6&h={head}", encoded(TEXT)));
        page.until_drawn("change");
        browser.click("[data-focus=silence-head]");
        browser.wait("document.querySelector('#flow [data-effect=before-after]')");
        page.eventually(|| effect(page, &truth));
        // All views hold with it: the next word is the changed one.
        page.station("next");
        let first = truth["after"]["top"][0]["logprob"].as_f64().unwrap().exp();
        let shares = || page.texts(&format!("{} [data-at*=probability]", inside("next")));
        page.eventually(|| page.shows(shares().first().ok_or("nothing")?, first));
        // It can be taken back.
        browser.click("#flow-edits .edit-chip button");
        let first = truth["before"]["top"][0]["logprob"].as_f64().unwrap().exp();
        page.eventually(|| page.shows(shares().first().ok_or("nothing")?, first));

        let why = page.ask(&json!({"ask": "why", "ids": ids}));
        page.station("why");
        browser.wait("document.querySelector('#why-sentence')");
        let (shown, truth) =
            (browser.text("#why-sentence"), why["sentence"].as_str().expect("a sentence").to_string());
        // The digits may differ in the page that stands alone.
        let words = |text: &str| text.replace(|c: char| c.is_ascii_digit(), "");
        assert!(shown == truth || (page.alone && words(&shown) == words(&truth)), "{shown} and {truth}");
    });
}

/// The table of probabilities and the texts, without and with the change.
fn effect(page: &Opened, truth: &Value) -> Result<(), String> {
    for (column, of) in [(3, "before"), (4, "after")] {
        let cells = page.texts(&format!("#flow [data-effect=before-after] tbody tr td:nth-child({column})"));
        let top = truth[of]["top"].as_array().unwrap();
        let most = top[0]["logprob"].as_f64().unwrap().exp();
        let largest =
            cells.iter().max_by(|a, b| f64::total_cmp(&number(a).unwrap().0, &number(b).unwrap().0));
        page.shows(largest.ok_or("no probabilities")?, most)?;
    }
    let texts = page.texts(&format!("{} .texts .goes-on", inside("change")));
    same(&texts, &["before", "after"].map(|of| format!("…{}", truth[of]["text"].as_str().unwrap())))?;
    if texts[0] == texts[1] { Err("the change changes nothing".into()) } else { Ok(()) }
}

#[test]
fn the_keyboard_chooses_a_token_and_a_head() {
    let Some(page) = served("flow-keys", Screen::Desktop) else { return };
    page.start();
    let browser = &page.browser;
    page.go(&format!("#flow/attention?t={}&p=6", encoded(TEXT)));
    page.until_drawn("attention");
    // Keys are for a picture that is drawn.
    let drawn = "document.querySelectorAll('#flow .overview g[data-block] > title').length === 40";
    browser.wait(drawn);
    // From the text, with the tabulator alone.
    browser.value("document.querySelector('#flow-text').focus()");
    browser.press(key::TAB);
    browser.wait("document.activeElement.closest('#flow-tokens')");
    browser.press(key::RIGHT);
    browser.press(key::RIGHT);
    page.eventually(|| same(&[page.state("p")], &["8".into()]));
    let picture = "document.activeElement.matches('.overview svg')";
    for _ in 0..8 {
        if browser.value(picture) != true {
            browser.press(key::TAB);
        }
    }
    browser.wait(picture);
    // It stays in the picture when that is drawn anew.
    browser.value("document.querySelector('.overview svg').dataset.old = 'yes'");
    page.go(&format!("#flow/attention?t={}&p=7", encoded(TEXT)));
    browser.wait("!document.querySelector('.overview svg').dataset.old");
    browser.wait(drawn);
    assert_eq!(browser.value(picture), true);
    for key in [key::RIGHT, key::RIGHT, key::RIGHT, key::DOWN, key::LEFT] {
        browser.press(key);
    }
    page.eventually(|| same(&["b", "h"].map(|name| page.state(name)), &["2".into(), "1".into()]));
    browser.press(key::ENTER);
    page.until_drawn("head");
    let choice = Choice { position: 7, block: 2, head: 1 };
    let record = Record::of(TEXT);
    page.eventually(|| numbers(&page, &record, "head", choice));
    page.assert_quiet();
}

/// Takes what the page would hand to the reader as a file.
const CATCH: &str = "(() => { globalThis.caught = []; const make = URL.createObjectURL; \
    URL.createObjectURL = (blob) => { caught.push(blob); return make.call(URL, blob); }; \
    HTMLAnchorElement.prototype.click = function () { caught.at(-1).file = this.download; }; return true; })()";

#[test]
fn pictures_can_be_kept() {
    // The page of a disk has the same code, and no part of it asks who answers.
    let Some(page) = served("flow-keep", Screen::Desktop) else { return };
    let browser = &page.browser;
    page.open(&format!("#flow/tokens?t={}&b=3", encoded(TEXT)));
    browser.value(CATCH);
    for view in VIEWS {
        page.station(view);
        let button = |name: &str| format!("{} .keep [aria-label='Keep the picture as {name}']", inside(view));
        browser.value("(() => { caught.length = 0; return true; })()");
        browser.value(&format!("document.querySelector({}).click()", json!(button("SVG"))));
        browser.wait("caught.at(-1)?.file");
        // A browser shows an SVG image only if it is well-formed.
        let svg = "(async () => { const blob = caught.at(-1); const image = new Image(); image.src = URL.createObjectURL(blob); \
                await image.decode(); const text = await blob.text(); return [caught[0].file, image.width, text]; })()";
        let svg = &browser.settled(svg)["value"];
        assert_eq!(svg[0], format!("glass-{view}.svg"));
        assert!(svg[1].as_f64().is_some_and(|width| width > 300.0), "{view}: {}", svg[1]);
        let text = svg[2].as_str().expect("a text");
        assert!(
            text.starts_with("<svg") && text.contains("<text") && !text.contains("var("),
            "{view}: {text:.200}"
        );
        browser.value(&format!("document.querySelector({}).click()", json!(button("PNG"))));
        browser.wait("caught.at(-1)?.file?.endsWith('.png')");
        let png = "createImageBitmap(caught.at(-1)).then((image) => { const canvas = new OffscreenCanvas(image.width, image.height); \
                const pen = canvas.getContext('2d'); pen.drawImage(image, 0, 0); \
                const words = new Uint32Array(pen.getImageData(0, 0, image.width, image.height).data.buffer); \
                return [image.width, image.height, new Set(words.subarray(0, 4e6)).size]; })";
        let png = &browser.settled(png)["value"];
        let most = |at: usize, least: f64| png[at].as_f64().is_some_and(|value| value > least);
        assert!(most(0, 600.0) && most(1, 200.0) && most(2, 8.0), "{view}: {png}");
    }
    page.assert_quiet();
}

#[test]
fn texts_of_two_tokens_and_of_hundreds() {
    both("flow-lengths", |page| {
        let long = "The dog ran to the park and saw a big red ball. ".repeat(36);
        let long = long.trim_end();
        let tokens = page.ids(long).len();
        assert!((400..500).contains(&tokens), "{tokens}");
        for (text, tokens) in [("The", 2), (long, tokens)] {
            page.go(&format!("#flow/tokens?t={}", encoded(text)));
            page.browser
                .wait(&format!("Array.from(document.querySelectorAll('#flow-tokens [data-position]')).at(-1)?.dataset.position === '{}'", tokens - 1));
            for view in VIEWS {
                page.station(view);
                assert_eq!(page.texts(&format!("{} .view-remark", inside(view))).concat(), "", "{view}");
                assert!(!page.browser.text(&format!("{} .view-body", inside(view))).is_empty(), "{view}");
            }
        }
    });
}

#[test]
fn a_served_look_opens_with_its_change() {
    let Some(page) = served("flow-look", Screen::Desktop) else { return };
    let look = json!({"lens": 1, "edits": [{"ablate": {"layer": 3, "head": 1}}]});
    let reply = page.service.ask("/v1/look", &json!({"prompt": TEXT, "look": look}));
    page.open(reply["look"]["page"].as_str().expect("a fragment"));
    page.browser.wait_for("#flow-edits", "head 1 of block 3 silenced");
    page.station("next");
    let first = reply["next"][0]["logprob"].as_f64().expect("a number").exp();
    let shares = || page.texts(&format!("{} [data-at*=probability]", inside("next")));
    page.eventually(|| page.shows(shares().first().ok_or("nothing")?, first));
    page.assert_quiet();
}
