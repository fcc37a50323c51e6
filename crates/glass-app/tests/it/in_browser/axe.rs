//! What axe-core finds in the page that keeps readers out: contrast, names, roles, in every view and chapter. Its file is
//! `axe.min.js` of the package axe-core, named by `GLASS_AXE` or at `target/axe/axe.min.js`; where it is missing, the tests say
//! so and pass.

use std::path::{Path, PathBuf};

use super::course::CHAPTERS;
use super::flow::VIEWS;
use crate::browser::{Screen, key};
use crate::place::{Opened, encoded, served};

fn script() -> Option<String> {
    let known = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/axe/axe.min.js");
    let path = std::env::var_os("GLASS_AXE").map_or(known, PathBuf::from);
    let text = std::fs::read_to_string(&path).ok();
    if text.is_none() {
        eprintln!("{} is missing: the page was not tested with axe-core", path.display());
    }
    text
}

/// The rules that are broken by what is shown now, with the elements.
fn violations(page: &Opened) -> Vec<String> {
    let run = "axe.run(document, { resultTypes: ['violations'] }).then(({ violations }) => violations.map(({ id, nodes }) => [id, nodes.map(({ target, failureSummary }) => `${target}: ${failureSummary}`)]))";
    let found = page.browser.settled(run);
    let found: Vec<(String, Vec<String>)> =
        serde_json::from_value(found["value"].clone()).unwrap_or_else(|error| panic!("{error}: {found}"));
    found.into_iter().map(|(rule, nodes)| format!("{rule}, {} times: {}", nodes.len(), nodes[0])).collect()
}

/// What is wrong at each place, on a screen, in light and dark colours.
fn checked(page: &Opened, axe: &str, screen: Screen, name: &str) -> Vec<String> {
    let browser = &page.browser;
    browser.set_screen(screen);
    let text = "Lily had a big red ball. She gave the ball to her";
    page.open(&format!("#flow/tokens?t={}&b=3", encoded(text)));
    browser.run(axe);
    let mut wrong = Vec::new();
    let mut both = |place: &str| {
        for dark in [false, true] {
            browser.dark(dark);
            let shade = if dark { "dark" } else { "light" };
            wrong.extend(violations(page).into_iter().map(|one| format!("{name}, {shade}, {place}: {one}")));
        }
    };
    for view in VIEWS {
        page.station(view);
        if view == "why" {
            browser.wait("document.querySelector('#why-sentence')");
        }
        both(view);
    }
    browser.value("document.querySelector('[data-station=next]').click()");
    page.until_drawn("next");
    browser.value("document.querySelector('[data-view=next] button.number').click()");
    browser.wait("document.querySelector('#trace .operands')");
    both("trace");
    browser.press(key::ESCAPE);
    for chapter in CHAPTERS {
        page.go(&format!("#course/{chapter}"));
        page.until_chapter(chapter);
        page.open_guesses(chapter);
        both(chapter);
    }
    page.go("#chat");
    browser.wait("document.body.dataset.place === 'chat'");
    both("chat");
    wrong
}

#[test]
fn no_rule_is_broken() {
    let Some(axe) = script() else { return };
    let Some(page) = served("axe", Screen::Desktop) else { return };
    let mut wrong = checked(&page, &axe, Screen::Desktop, "desktop");
    wrong.extend(checked(&page, &axe, Screen::Phone, "phone"));
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
}
