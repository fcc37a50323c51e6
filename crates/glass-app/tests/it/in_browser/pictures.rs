//! Pictures of the flow and the course: those of the documents with `GLASS_BLESS=1`, and with `GLASS_PICTURES=FOLDER` one of every
//! view and chapter, on a desktop and a phone, light and dark, to be looked at.
//! `GLASS_BLESS=1 cargo test -p glass-app --test it in_browser::pictures::of_the_documents`

use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::course::CHAPTERS;
use super::flow::VIEWS;
use crate::browser::{Screen, key};
use crate::place::{Opened, encoded, served};

const TEXT: &str = "Lily had a big brown dog. Every day, she went to the park with her";

fn save(path: &Path, base64: &str) {
    std::fs::write(path, STANDARD.decode(base64).expect("base64")).expect("the picture is written");
}

fn settle(page: &Opened, view: &str) {
    page.until_drawn(view);
    if view == "why" {
        page.browser.wait("document.querySelector('#why-sentence')");
    }
    // Frames that a drawing asked for.
    page.browser.settled("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))");
}

#[test]
fn of_the_documents() {
    if std::env::var_os("GLASS_BLESS").is_none() {
        return;
    }
    let Some(page) = served("pictures", Screen::Desktop) else { return };
    let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs");
    let browser = &page.browser;
    let flow = |view: &str, state: &str| {
        page.open(&format!("#flow/{view}?t={}{state}", encoded(TEXT)));
        settle(&page, view);
    };
    flow("attention", "&b=6&h=0&s=0");
    save(&docs.join("flow.webp"), &browser.picture());
    flow("why", "");
    save(&docs.join("why.webp"), &browser.picture());
    page.open("#course/queries");
    page.until_chapter("queries");
    page.open_guesses("queries");
    save(&docs.join("course.webp"), &browser.picture());
    browser.set_screen(Screen::Phone);
    browser.dark(true);
    flow("lens", "&b=6");
    save(&docs.join("flow-phone.webp"), &browser.picture());
}

#[test]
fn of_everything() {
    let Some(folder) = std::env::var_os("GLASS_PICTURES") else { return };
    let Some(page) = served("pictures-all", Screen::Desktop) else { return };
    let browser = &page.browser;
    let folder = Path::new(&folder);
    std::fs::create_dir_all(folder).expect("a folder");
    for (screen, name) in [(Screen::Desktop, "desktop"), (Screen::Phone, "phone")] {
        browser.set_screen(screen);
        let take = |place: &str| {
            browser.set_size(screen, beyond(&page));
            for (dark, shade) in [(false, "light"), (true, "dark")] {
                browser.dark(dark);
                save(&folder.join(format!("{place}-{name}-{shade}.jpeg")), &browser.picture_as("jpeg"));
            }
            browser.set_screen(screen);
        };
        page.open(&format!("#flow/tokens?t={}&b=6", encoded(TEXT)));
        for view in VIEWS {
            page.station(view);
            if view == "change" {
                browser.click("[data-focus=silence-head]");
                browser.wait("document.querySelector('#flow [data-effect=before-after]')");
            }
            settle(&page, view);
            take(&format!("flow-{view}"));
            if view == "change" {
                browser.click("#flow-edits .edit-chip button");
            }
        }
        page.station("next");
        browser.value("document.querySelector('[data-view=next] button.number').click()");
        browser.wait("document.querySelector('#trace .operands')");
        take("flow-trace");
        browser.press(key::ESCAPE);
        for (at, chapter) in CHAPTERS.into_iter().enumerate() {
            page.go(&format!("#course/{chapter}"));
            page.until_chapter(chapter);
            page.open_guesses(chapter);
            take(&format!("course-{:02}-{chapter}", at + 1));
        }
    }
}

/// How far the place scrolls.
fn beyond(page: &Opened) -> u64 {
    let far = "Math.max(0, ...Array.from(document.querySelectorAll('html, main, main *')).filter((one) => one.checkVisibility() && \
        (one === document.documentElement || /auto|scroll/.test(getComputedStyle(one).overflowY))).map((one) => one.scrollHeight - one.clientHeight))";
    page.browser.value(far).as_f64().map_or(0, |far| far.min(6000.0) as u64)
}
