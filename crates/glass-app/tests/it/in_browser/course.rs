//! The course: every chapter opens, asks for a guess, shows something after it and names its sources, on the reader's text.

use serde_json::{Value, json};

use crate::place::{Opened, both, number};
use crate::program::{Scratch, glass};

/// The chapters in their order.
pub const CHAPTERS: [&str; 16] = [
    "tokens",
    "embedding",
    "same-word",
    "queries",
    "mask",
    "softmax",
    "values",
    "heads",
    "mlp",
    "again",
    "last",
    "unembedding",
    "weights",
    "context",
    "chat",
    "learning",
];

impl Opened {
    /// Waits until a chapter has drawn all that it draws at first.
    pub fn until_chapter(&self, id: &str) {
        self.browser.wait(&format!("document.querySelector('article[data-chapter={id}] .sources a')"));
        self.until_figures(id);
    }

    fn until_figures(&self, id: &str) {
        self.eventually(|| {
            let busy = self.attributes("article.chapter [aria-busy]", "class").len();
            let waiting =
                self.texts("article.chapter [data-verdict]").iter().filter(|text| *text == "…").count();
            if busy + waiting == 0 {
                Ok(())
            } else {
                Err(format!("{id}: {busy} figures and {waiting} guesses wait"))
            }
        });
    }

    /// Opens everything that waits for a guess in the chapter, without guessing; but no training.
    pub fn open_guesses(&self, id: &str) {
        for name in self.attributes("article.chapter [data-skip]", "data-skip") {
            if name != "steps" {
                self.skip(&name);
            }
        }
        self.until_figures(id);
    }

    fn skip(&self, name: &str) {
        self.browser.value(&format!("document.querySelector('[data-skip={name}]').click()"));
        self.browser.wait(&format!(
            "!document.querySelector('[data-shown={name}]').hidden && document.querySelector('[data-shown={name}]').childElementCount"
        ));
    }

    /// Numbers with separators in a part of the page.
    fn holds(&self, css: &str, text: &str) {
        let shown = self.texts(css).join(" ");
        assert!(shown.contains(text), "{text} in {css}: {shown}");
    }
}

#[test]
fn every_chapter_asks_shows_and_names_its_sources() {
    both("course-chapters", |page| {
        let browser = &page.browser;
        page.go("#course/tokens");
        let mut guesses = 0;
        for (at, id) in CHAPTERS.into_iter().enumerate() {
            page.until_chapter(id);
            assert_eq!(
                page.texts(".chapter .eyebrow"),
                [format!("Chapter {} of {}", at + 1, CHAPTERS.len())]
            );
            page.open_guesses(id);
            guesses += page.attributes("article.chapter [data-guess]", "data-guess").len();
            let troubles = page.texts("article.chapter .trouble");
            assert_eq!(troubles, Vec::<String>::new(), "{id}");
            for name in page.attributes("article.chapter [data-guess]", "data-guess") {
                if name != "steps" {
                    assert!(!browser.text(&format!("[data-verdict={name}]")).is_empty(), "{id}: {name}");
                }
            }
            page.assert_quiet();
            // On by the button at the end.
            if let Some(next) = CHAPTERS.get(at + 1) {
                browser.click(&format!("[data-next={next}]"));
            }
        }
        assert!(guesses >= CHAPTERS.len(), "{guesses} guesses");
        // Back by the other button, by the list of chapters, and by a link with another text.
        browser.click("[data-previous=chat]");
        page.until_chapter("chat");
        browser.click("#course-contents [data-go=queries]");
        page.until_chapter("queries");
        page.go("#course/mask?t=The+cat+sat+on+the+mat");
        page.until_chapter("mask");
        assert_eq!(browser.value("document.querySelector('#course-text').value"), "The cat sat on the mat");
        let address = browser.value("location.hash");
        assert!(address.as_str().is_some_and(|hash| hash.starts_with("#course/mask?t=The")), "{address}");
        page.open(address.as_str().unwrap());
        page.until_chapter("mask");
        assert_eq!(browser.value("document.querySelector('#course-text').value"), "The cat sat on the mat");
    });
}

#[test]
fn numbers_of_the_chapters_are_those_of_the_program() {
    let folder = Scratch::new("course-numbers");
    let gpt3 = glass(&folder.0, &["weights", "gpt3-175b", "--json"], b"").json();
    let mine = glass(&folder.0, &["weights", "--json"], b"").json();
    let grouped = |value: &Value| grouped(value.as_u64().expect("a whole number"));
    assert_eq!(
        (grouped(&gpt3["weights"]).as_str(), grouped(&gpt3["matrices"]).as_str()),
        ("175,181,291,520", "27,938")
    );
    both("course-numbers", |page| {
        page.go("#course/weights");
        page.until_chapter("weights");
        page.open_guesses("weights");
        for of in [&gpt3, &mine] {
            page.holds("article.chapter", &grouped(&of["weights"]));
            for group in of["groups"].as_array().expect("groups") {
                page.holds("article.chapter td", &grouped(&group["weights"]));
            }
        }
        page.holds("article.chapter", &grouped(&gpt3["matrices"]));

        page.go("#course/unembedding");
        page.until_chapter("unembedding");
        page.open_guesses("unembedding");
        let text = page.browser.value("document.querySelector('#course-text').value");
        let ids = page.ids(text.as_str().expect("a text"));
        let next = page.ask(&json!({"ask": "next", "ids": ids, "top": 3}));
        let shares = page.texts("[data-figure=top] .bars .number");
        for (share, truth) in shares.iter().zip(next["top"].as_array().unwrap()) {
            page.shows(share, truth["logprob"].as_f64().unwrap().exp()).unwrap();
        }
        assert!(shares.len() > 3, "{shares:?}");
    });
}

/// 12288 as 12,288.
fn grouped(n: u64) -> String {
    let digits = n.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[test]
fn a_guess_is_judged() {
    both("course-guess", |page| {
        let browser = &page.browser;
        page.go("#course/weights");
        page.until_chapter("weights");
        browser.click("[data-guess=most] [data-choice=\"MLP\"]");
        browser.wait_for("[data-verdict=most]", "Right");
        page.go("#course/again");
        page.until_chapter("again");
        // What the lens says: from which block on the answer stays first.
        let text = browser.value("document.querySelector('#course-text').value");
        let ids = page.ids(text.as_str().expect("a text"));
        let lens = page.ask(&json!({"ask": "lens", "ids": ids, "top": 1}));
        let first: Vec<&Value> =
            lens["layers"].as_array().unwrap().iter().map(|layer| &layer[0][0]["id"]).collect();
        let answer = first.last().unwrap();
        let right = first.iter().rposition(|id| id != answer).map_or(0, |at| at + 1);
        let wrong = if right == 0 { 1 } else { 0 };
        browser.click(&format!("[data-guess=when] [data-choice=\"{wrong}\"]"));
        browser.wait_for("[data-verdict=when]", "Not so");
        browser.wait(&format!(
            "document.querySelector('[data-guess=when] .right')?.dataset.choice === '{right}'"
        ));
    });
}

#[test]
fn a_gpt_learns_while_the_reader_watches() {
    both("course-lesson", |page| {
        page.go("#course/learning");
        page.until_chapter("learning");
        page.skip("steps");
        page.browser.wait("document.querySelector('[data-lesson]').textContent.startsWith('Done')");
        let verdict = page.browser.text("[data-verdict=steps]");
        let (_, end) = verdict.rsplit_once("At the end ").expect("how it ends");
        assert!(number(end.trim_end_matches('.')).expect("a share").0 >= 0.999, "{verdict}");
    });
}
