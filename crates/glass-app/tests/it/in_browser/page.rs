//! The page of `glass serve`, used in headless Chromium as a reader uses it. Where Chromium or its driver is missing, the
//! tests say so and pass.

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Stdio};
use std::sync::{MutexGuard, PoisonError};

use crate::browser::{Browser, Screen, TURN, key};
use crate::program::{Scratch, command};
use crate::relay::{self, Relay};

/// A service, which ends with its value.
struct Service {
    child: Child,
    url: String,
    _folder: Scratch,
}

impl Service {
    /// On a free port if `port` is 0.
    fn start(name: &str, port: u16, more: &[&str]) -> Service {
        let folder = Scratch::new(name);
        let port = port.to_string();
        let mut command = command(&folder.0, &[&["serve", "--port", &port], more].concat());
        let mut child =
            command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().expect("the program starts");
        // The address is the first line of standard output.
        let mut url = String::new();
        BufReader::new(child.stdout.take().expect("piped")).read_line(&mut url).expect("an address");
        assert!(url.starts_with("http://"), "an address, not {url:?}");
        Service { child, url: url.trim().to_string(), _folder: folder }
    }

    fn port(&self) -> u16 {
        self.url.rsplit(':').next().and_then(|port| port.parse().ok()).expect("a port")
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A page of a new service in a new browser.
struct Opened {
    browser: Browser,
    service: Service,
    _turn: MutexGuard<'static, ()>,
}

fn opened(name: &str, screen: Screen, more: &[&str]) -> Option<Opened> {
    let turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let Some(browser) = Browser::start(screen) else {
        eprintln!("chromium or chromedriver is not installed: the page was not tested ({name})");
        return None;
    };
    let service = Service::start(name, 0, more);
    browser.open(&format!("{}/", service.url));
    browser.wait_for("#model", "context");
    Some(Opened { browser, service, _turn: turn })
}

const ANSWER: &str = ".message.assistant:last-child";

impl Opened {
    /// Sets numbers on the sheet of settings.
    fn set(&self, fields: &[(&str, &str)]) {
        self.browser.click_until("#settings", "document.querySelector('dialog .fields')");
        for (name, value) in fields {
            let id = format!("#set-{name}");
            self.browser.value(&format!("document.querySelector('{id}').select()"));
            self.browser.type_into(&id, value);
        }
        self.browser.click("dialog .primary");
    }

    fn send(&self, question: &str) {
        self.browser.type_into("#question", &format!("{question}{}", key::ENTER));
    }

    /// Asks, and waits for the end of the answer.
    fn ask(&self, question: &str) {
        self.send(question);
        self.browser.wait_for(&format!("{ANSWER} .status"), "seed");
    }

    /// The link to the last answer.
    fn link(&self) -> String {
        // Without a clipboard the link is shown.
        self.browser.value("Boolean(Object.defineProperty(navigator, 'clipboard', { value: undefined }))");
        self.browser.click(&format!("{ANSWER} [data-focus^=link-]"));
        self.browser.wait("document.getElementById('link')");
        let link = self.browser.value("document.getElementById('link').value");
        self.browser.click("dialog .primary");
        link.as_str().expect("a link").to_string()
    }

    /// Nothing went wrong in the page, and its policy refused nothing.
    fn assert_quiet(&self) {
        assert_eq!(self.browser.complaints(), Vec::<String>::new());
    }
}

#[test]
fn a_question_is_answered_edited_and_answered_again() {
    let Some(page) = opened("page-chat", Screen::Desktop, &[]) else { return };
    page.set(&[("max_tokens", "24")]);
    page.ask("Tell me a story about a café — please.");
    let browser = &page.browser;
    let status = browser.text(&format!("{ANSWER} .status"));
    for said in ["tokens/s", "first after", "seed"] {
        assert!(status.contains(said), "{said}: {status}");
    }
    browser.wait_for("#meter-text", "tokens, room for 24 more");
    // The tokens that are shown are the whole text, of the question as well, with its characters of several bytes.
    browser.wait("document.querySelector('.message.user .tokens')");
    assert_eq!(browser.text(".message.user .text"), "Tell me a story about a café — please.");

    browser.click(&format!("{ANSWER} [data-focus^=again-]"));
    browser.wait_for(".branches", "2/2");
    browser.wait_for(&format!("{ANSWER} .status"), "seed");
    browser.click("[data-focus^=back-]");
    browser.wait_for(".branches", "1/2");

    browser.click(".message.user [data-focus^=edit-]");
    browser.type_into("[data-edit]", " Now.");
    browser.click(".editor .primary");
    browser.wait_for(".message.user .branches", "2/2");
    browser.wait_for(&format!("{ANSWER} .status"), "seed");
    browser.wait_for(".message.user .text", "please. Now.");
    page.assert_quiet();
}

#[test]
fn an_answer_can_be_stopped() {
    let Some(page) = opened("page-stop", Screen::Phone, &[]) else { return };
    page.set(&[("temperature", "0"), ("max_tokens", "400")]);
    // The page gets five events and then waits: a whole answer may be quicker than a click.
    page.browser.run(
        "const whole = window.fetch; window.fetch = async (url, options) => {
           const answer = await whole(url, options);
           if (!answer.headers.get('content-type').includes('event-stream')) return answer;
           const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
           let events = '';
           while (events.split('\\n\\n').length <= 5) events += (await reader.read()).value;
           return new Response(new ReadableStream({ start(control) {
             options.signal.addEventListener('abort', () => control.error(options.signal.reason));
             control.enqueue(new TextEncoder().encode(events.split('\\n\\n').slice(0, 5).join('\\n\\n') + '\\n\\n'));
           } }), answer);
         }",
    );
    page.send("Tell me a long story.");
    page.browser.wait("document.querySelectorAll('.assistant .tokens span').length > 2");
    page.browser.click("#stop");
    page.browser.wait_for(&format!("{ANSWER} .status"), "stopped by you");
    assert!(page.browser.value("document.getElementById('stop').hidden") == true, "it can be asked again");
    page.assert_quiet();
}

/// How many tokens are guessed depends on the time that passes take, so here the page hears that all were.
#[test]
fn tokens_that_were_guessed_are_marked() {
    let Some(page) = opened("page-guessed", Screen::Desktop, &["--lookup", "0", "--draft", "none"]) else {
        return;
    };
    let browser = &page.browser;
    let marked = format!("document.querySelectorAll('{ANSWER} .tokens .guessed').length");
    page.set(&[("max_tokens", "24"), ("temperature", "0")]);
    page.ask("Tell me a story about a dog.");
    assert_eq!(browser.value(&marked), 0, "nothing was guessed");
    assert!(!browser.text(&format!("{ANSWER} .status")).contains("guess"));
    browser.run(
        "const whole = window.fetch; window.fetch = async (url, options) => {
           const answer = await whole(url, options);
           if (!answer.headers.get('content-type').includes('event-stream')) return answer;
           const text = (await answer.text()).replaceAll('\"guessed\":[false]', '\"guessed\":[true]');
           return new Response(text.replace('{\"all\":0,\"right\":0}', '{\"all\":30,\"right\":24}'), answer);
         };",
    );
    browser.click(&format!("{ANSWER} [data-focus^=again-]"));
    browser.wait_for(&format!("{ANSWER} .status"), "24 of 30 guesses right");
    assert_eq!(browser.value(&marked), 24);
    browser.click(&format!("{ANSWER} .tokens [data-i=\"4\"]"));
    browser.wait_for(".facts", "Guessed ahead");
    page.assert_quiet();
}

#[test]
fn every_token_shows_what_it_was_drawn_from() {
    let Some(page) = opened("page-token", Screen::Desktop, &[]) else { return };
    let browser = &page.browser;
    page.set(&[("max_tokens", "24")]);
    page.ask("Tell me a story about a dog.");
    browser.click(&format!("{ANSWER} .tokens [data-i=\"4\"]"));
    browser.wait("document.querySelector('#runners tr.chosen')");
    // The panel's probability is the one that came with the answer.
    let text = browser.text(".facts");
    let reported = browser.value(
        "document.querySelector('.facts .note').textContent.replace('−', '-').replace(/[^-.0-9]/g, '') - 0",
    );
    assert!(reported.as_f64().is_some_and(|ln| ln <= 0.0), "{text}");
    for said in ["Id", "Bytes", "Rank"] {
        assert!(text.contains(said), "{said}: {text}");
    }
    // By keyboard: the arrows go on from there, and Enter leads into the panel.
    browser.value("document.querySelector('.message.assistant .tokens').focus()");
    browser.press(key::RIGHT);
    browser.wait_for(".token-head", "6 of ");
    browser.press(key::LEFT);
    browser.press(key::ENTER);
    browser.wait_for(".token-head", "5 of ");
    browser.wait("document.activeElement.closest('#inside')");

    // A typed token, and the first of all, which has nothing before it but the template.
    browser.wait("document.querySelector('.message.user .tokens')");
    browser.click(".message.user .tokens [data-i=\"2\"]");
    browser.wait_for(".facts", "typed");
    browser.wait("document.querySelector('#runners tr.chosen')");
    page.assert_quiet();
}

#[test]
fn the_controls_move_the_distribution() {
    let Some(page) = opened("page-controls", Screen::Desktop, &[]) else { return };
    let browser = &page.browser;
    page.set(&[("max_tokens", "24"), ("temperature", "1"), ("top_p", "1")]);
    page.ask("Tell me a story about a dog.");
    browser.click(&format!("{ANSWER} .tokens [data-i=\"9\"]"));
    browser.wait("document.querySelector('#runners tr.chosen')");
    let first = || {
        let number =
            "Number.parseFloat(document.querySelector('#runners tbody tr td:nth-child(4)').textContent)";
        browser.value(number).as_f64().expect("a probability")
    };
    // Everything remains, and is as the model gives it.
    browser.wait_for("#remain", "5,352 tokens of 5,352 remain");
    let raw = first();
    browser.type_into("#control-temperature", key::END);
    browser.wait_for(".controls output", "2.00");
    browser.wait(&format!(
        "Number.parseFloat(document.querySelector('#runners tbody td:nth-child(4)').textContent) < {raw}"
    ));
    browser.type_into("#control-temperature", key::HOME);
    browser.wait_for("#remain", "1 token of 5,352 remains");
    assert!((first() - 100.0).abs() < 1e-9, "temperature 0 is greedy");
    browser.click("#as-raw");
    browser.wait_for("#remain", "5,352 tokens of 5,352 remain");
    // At its lowest each keeps one token.
    for control in ["top_k", "top_p"] {
        browser.type_into(&format!("#control-{control}"), key::HOME);
        browser.wait_for("#remain", "1 token of 5,352 remains");
        browser.click("#as-raw");
        browser.wait_for("#remain", "5,352 tokens of 5,352 remain");
    }
    page.assert_quiet();
}

#[test]
fn a_link_restores_an_answer_or_says_why_not() {
    let Some(page) = opened("page-link", Screen::Desktop, &[]) else { return };
    let browser = &page.browser;
    browser.click("[data-focus=edit-system]");
    browser.type_into("[data-edit=system]", "The hero is a cat named Mia.");
    browser.click(".editor .primary");
    page.set(&[("max_tokens", "30"), ("temperature", "0.9")]);
    page.ask("Tell me a story.");
    let answer = browser.text(&format!("{ANSWER} .text"));
    let link = page.link();
    assert!(link.len() < 1000, "{} characters: {link}", link.len());

    browser.open("about:blank");
    browser.open(&link);
    browser.wait_for(".verdict", "the same bytes");
    assert_eq!(browser.text(&format!("{ANSWER} .text")), answer);
    assert!(browser.text("#system").contains("The hero is a cat named Mia."));

    // The same link with another answer's hash, then with another model.
    let changed = |what: &str| {
        browser.value(&format!(
            "import('./page/link.js').then(async ({{ encode }}) => {{ \
               const {{ app }} = await import('./page/app.js'); const {{ path }} = await import('./page/tree.js'); \
               const [question, answer] = path(app.talk); const tokens = answer.tokens.slice(); let content = answer.content; \
               let model = answer.model; {what}; \
               location.hash = await encode({{ ...answer, model, tokens, content, messages: [{{ role: 'user', content: question.content }}] }}); }})"
        ));
    };
    changed("content += '!'; tokens[7] = { ...tokens[7], id: tokens[7].id + 1 }");
    browser.wait_for(".verdict", "Another answer than in the link");
    changed("model = { id: 'another', digest: '0123456789abcdef' }");
    browser.wait_for(".message.user .trouble", "made by another (0123456789ab)");
    page.assert_quiet();
}

#[test]
fn a_reload_keeps_everything() {
    let Some(page) = opened("page-reload", Screen::Phone, &[]) else { return };
    let browser = &page.browser;
    page.set(&[("max_tokens", "16")]);
    page.ask("Tell me a story about a ball.");
    let answer = browser.text(&format!("{ANSWER} .text"));
    browser.type_into("#question", "Not sent yet");
    browser.open(&format!("{}/", page.service.url));
    browser.wait_for("#title", "Tell me a story about a ball.");
    browser.wait(&format!("document.querySelector('{ANSWER} .tokens')"));
    assert_eq!(browser.text(&format!("{ANSWER} .text")), answer);
    assert_eq!(browser.value("document.getElementById('question').value"), "Not sent yet");
    browser.wait_for("#summary", "at most 16 tokens");
    page.assert_quiet();
}

#[test]
fn a_server_that_goes_away_is_said() {
    let Some(page) = opened("page-away", Screen::Desktop, &[]) else { return };
    let relay = Relay::to(page.service.port());
    page.browser.open(&relay.url);
    page.browser.wait_for("#model", "context");
    page.set(&[("max_tokens", "200")]);
    relay.set(relay::HOLDING);
    page.send("Tell me a long story.");
    page.browser.wait(&format!("document.querySelector('{ANSWER} .tokens')?.textContent"));
    relay.set(relay::GONE);
    let trouble = "went away in the middle of the answer. What came is kept.";
    page.browser.wait_for(&format!("{ANSWER} .trouble"), trouble);
    page.browser.wait_for("#notice", "cannot be reached");
    assert!(!page.browser.text(&format!("{ANSWER} .tokens")).is_empty());
    // A question that nobody hears is kept, and can be asked again.
    page.send("Are you there?");
    page.browser.wait_for(".message.user:last-child .trouble", "cannot be reached");
    relay.set(relay::WHOLE);
    page.browser.wait_for("#notice", "The server is back.");
    page.browser.click(".message.user:last-child .trouble button");
    page.browser.wait_for(&format!("{ANSWER} .status"), "seed");
}

#[test]
fn the_key_is_asked_for() {
    let turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let Some(browser) = Browser::start(Screen::Desktop) else { return };
    let service = Service::start("page-key", 0, &["--api-key", "sesame"]);
    browser.open(&format!("{}/", service.url));
    browser.type_into("#key", &format!("wrong{}", key::ENTER));
    browser.wait_for("dialog", "refused this key");
    browser.type_into("#key", &format!("sesame{}", key::ENTER));
    browser.wait_for("#model", "context");
    // Kept for this tab.
    browser.open(&format!("{}/", service.url));
    browser.wait_for("#model", "context");
    drop((browser, service, turn));
}

/// The pictures of the README: `GLASS_BLESS=1 cargo test -p glass-app --test it in_browser::page::pictures`.
#[test]
fn pictures() {
    if std::env::var_os("GLASS_BLESS").is_none() {
        return;
    }
    for (screen, name) in [(Screen::Desktop, "page.webp"), (Screen::Phone, "page-phone.webp")] {
        let Some(page) = opened("page-picture", screen, &[]) else { return };
        let browser = &page.browser;
        browser.dark(matches!(screen, Screen::Phone));
        page.set(&[("seed", "7")]);
        page.ask("Tell me a story about a dog and a lost ball.");
        browser.wait("document.querySelector('.message.user .tokens')");
        browser.click("#shade");
        browser.click(&format!("{ANSWER} .tokens [data-i=\"11\"]"));
        browser.wait("document.querySelector('#runners tr.chosen') && !document.querySelector('#runners').textContent.includes('…')");
        let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs");
        std::fs::write(docs.join(name), unbase64(&browser.picture())).expect("the picture is written");
    }
}

/// Base64 as the driver sends pictures.
fn unbase64(text: &str) -> Vec<u8> {
    let digit = |c: u8| {
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
            .bytes()
            .position(|known| known == c)
    };
    let digits: Vec<u32> = text.bytes().filter_map(digit).map(|digit| digit as u32).collect();
    let of = |four: &[u32]| {
        let bits = four.iter().fold(0, |bits, digit| bits << 6 | digit) << (6 * (4 - four.len()));
        bits.to_be_bytes()[1..four.len()].to_vec()
    };
    digits.chunks(4).flat_map(of).collect()
}
