//! Headless Chromium, driven over the WebDriver protocol: JSON over HTTP, to the `chromedriver` that comes with it.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::Mutex;
use std::thread::sleep;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

/// One browser at a time: several are slow on few cores.
pub static TURN: Mutex<()> = Mutex::new(());

/// A browser with one empty page. It ends with its value.
pub struct Browser {
    driver: Child,
    port: u16,
    session: String,
    /// What the driver says: a closed pipe would end it.
    _said: BufReader<ChildStdout>,
}

/// How large the page is, in pixels of the style sheet.
#[derive(Clone, Copy)]
pub enum Screen {
    Desktop,
    Phone,
}

impl Browser {
    /// Starts one; `None` where Chromium or its driver is not installed.
    pub fn start(screen: Screen) -> Option<Browser> {
        let found = |name: &&&str| {
            Command::new(name).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok()
        };
        ["chromium", "chromium-browser", "google-chrome"].iter().find(found)?;
        // A driver that cannot start at once, as on a busy machine, is tried again.
        let (driver, port, said) = (0..3).find_map(|_| Browser::driver())?;
        let mut browser = Browser { driver, port, session: String::new(), _said: said };
        browser.open_session(screen);
        Some(browser)
    }

    /// The driver, and the port that it tells.
    fn driver() -> Option<(Child, u16, BufReader<ChildStdout>)> {
        let mut command = Command::new("chromedriver");
        let mut driver = command.arg("--port=0").stdout(Stdio::piped()).stderr(Stdio::null()).spawn().ok()?;
        let mut said = BufReader::new(driver.stdout.take().expect("piped"));
        // "ChromeDriver was started successfully on port 45678."
        let port_of =
            |line: &str| line.trim_end_matches('.').rsplit_once("successfully on port ")?.1.parse().ok();
        let port = said.by_ref().lines().map_while(Result::ok).find_map(|line| port_of(&line));
        if port.is_none() {
            let _ = driver.kill();
            let _ = driver.wait();
        }
        Some((driver, port?, said))
    }

    fn open_session(&mut self, screen: Screen) {
        // Root, as in a container, has no sandbox.
        let arguments = [
            "--headless=new",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-dev-shm-usage",
            "--hide-scrollbars",
        ];
        let options =
            json!({"goog:chromeOptions": {"args": arguments}, "goog:loggingPrefs": {"browser": "ALL"}});
        let made = self.ask("POST", "/session", &json!({"capabilities": {"alwaysMatch": options}}));
        self.session = format!("/session/{}", made["sessionId"].as_str().expect("a session"));
        self.set_screen(screen);
        self.dark(false);
    }

    /// Makes the page as large as on this screen.
    pub fn set_screen(&self, screen: Screen) {
        self.set_size(screen, 0);
    }

    /// As wide as this screen, and higher by so many pixels.
    pub fn set_size(&self, screen: Screen, more: u64) {
        let (width, height, scale, phone) = match screen {
            Screen::Desktop => (1280, 900, 1.0, false),
            Screen::Phone => (390, 844, 1.5, true),
        };
        let height = height + more;
        let metrics = json!({"width": width, "height": height, "deviceScaleFactor": scale, "mobile": phone});
        self.tell("Emulation.setDeviceMetricsOverride", &metrics);
    }

    /// One command of the protocol.
    fn ask(&self, method: &str, path: &str, body: &Value) -> Value {
        let body = if method == "POST" { body.to_string() } else { String::new() };
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).expect("the driver listens");
        let head = format!(
            "{method} {path} HTTP/1.1\r\nHost: 127.0.0.1:{}\r\nContent-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
            self.port,
            body.len()
        );
        stream
            .write_all(head.as_bytes())
            .and_then(|()| stream.write_all(body.as_bytes()))
            .expect("the driver reads");
        let answer = body_of(stream).expect("the driver answers");
        let answer: Value = serde_json::from_slice(&answer).expect("JSON");
        assert!(answer["value"]["error"].is_null(), "{path} {body}: {}", answer["value"]["message"]);
        answer["value"].clone()
    }

    fn of_page(&self, path: &str, body: &Value) -> Value {
        self.ask("POST", &format!("{}{path}", self.session), body)
    }

    /// A command of Chromium's own protocol.
    fn tell(&self, command: &str, parameters: &Value) -> Value {
        self.of_page("/goog/cdp/execute", &json!({"cmd": command, "params": parameters}))
    }

    /// Whether the system is set to dark colours.
    pub fn dark(&self, dark: bool) {
        let value = if dark { "dark" } else { "light" };
        self.tell(
            "Emulation.setEmulatedMedia",
            &json!({"features": [{"name": "prefers-color-scheme", "value": value},
                                 // What is on its way between two colours is neither.
                                 {"name": "prefers-reduced-motion", "value": "reduce"}]}),
        );
    }

    pub fn open(&self, url: &str) {
        self.of_page("/url", &json!({"url": url}));
    }

    /// The value of a JavaScript expression.
    pub fn value(&self, expression: &str) -> Value {
        self.of_page("/execute/sync", &json!({"script": format!("return ({expression})"), "args": []}))
    }

    /// Runs a script of its own.
    pub fn run(&self, script: &str) {
        self.of_page("/execute/sync", &json!({"script": script, "args": []}));
    }

    /// How a JavaScript promise ends: `{"value"}` or `{"refused"}`.
    pub fn settled(&self, promise: &str) -> Value {
        let script = format!(
            "const done = arguments[0]; ({promise}).then((value) => done({{ value }}), (error) => done({{ refused: error.message }}))"
        );
        self.of_page("/execute/async", &json!({"script": script, "args": []}))
    }

    /// Cuts the page off from every network.
    pub fn offline(&self) {
        self.tell("Network.enable", &json!({}));
        let none = json!({"offline": true, "latency": 0, "downloadThroughput": 0, "uploadThroughput": 0});
        self.tell("Network.emulateNetworkConditions", &none);
    }

    /// The text of an element; empty if there is none.
    pub fn text(&self, css: &str) -> String {
        self.value(&format!("document.querySelector('{css}')?.textContent ?? ''"))
            .as_str()
            .expect("text")
            .to_string()
    }

    /// Waits until a JavaScript expression is true.
    pub fn wait(&self, expression: &str) {
        if !self.becomes(expression, Duration::from_secs(60)) {
            let (text, complaints) = (self.text("body"), self.complaints());
            panic!("never true: {expression}\nthe page: {text}\nthe console: {complaints:?}");
        }
    }

    /// Whether a JavaScript expression becomes true in this time.
    fn becomes(&self, expression: &str, within: Duration) -> bool {
        let begin = Instant::now();
        while self.value(&format!("Boolean({expression})")) != true {
            if begin.elapsed() > within {
                return false;
            }
            sleep(Duration::from_millis(20));
        }
        true
    }

    /// Clicks an element until an expression is true: a click may come while the page is laid out anew, and miss.
    pub fn click_until(&self, css: &str, expression: &str) {
        for _ in 0..5 {
            self.click(css);
            if self.becomes(expression, Duration::from_secs(5)) {
                return;
            }
        }
        self.wait(expression);
    }

    /// Waits until an element's text contains `text`.
    pub fn wait_for(&self, css: &str, text: &str) {
        self.wait(&format!("document.querySelector('{css}')?.textContent.includes({})", json!(text)));
    }

    fn element(&self, css: &str) -> String {
        self.wait(&format!("document.querySelector('{css}')"));
        let found = self.of_page("/element", &json!({"using": "css selector", "value": css}));
        let id = found.as_object().and_then(|found| found.values().next()).and_then(Value::as_str);
        format!("/element/{}", id.expect("an element"))
    }

    pub fn click(&self, css: &str) {
        self.of_page(&format!("{}/click", self.element(css)), &json!({}));
    }

    /// Types into an element. Keys without a character have private ones: see [`key`].
    pub fn type_into(&self, css: &str, text: &str) {
        self.of_page(&format!("{}/value", self.element(css)), &json!({"text": text}));
    }

    /// Presses a key where the focus is.
    pub fn press(&self, key: &str) {
        let pressed = ["keyDown", "keyUp"].map(|kind| json!({"type": kind, "value": key}));
        self.of_page(
            "/actions",
            &json!({"actions": [{"type": "key", "id": "keyboard", "actions": pressed}]}),
        );
    }

    /// What the page complained of in the console: errors of scripts, refused loads, broken rules.
    pub fn complaints(&self) -> Vec<String> {
        let log = self.of_page("/se/log", &json!({"type": "browser"}));
        let log = log.as_array().into_iter().flatten().filter(|line| line["level"] == "SEVERE");
        log.map(|line| line["message"].as_str().unwrap_or_default().to_string()).collect()
    }

    /// What is on the screen, as the base64 of a WebP file.
    pub fn picture(&self) -> String {
        self.picture_as("webp")
    }

    /// The same in another format: "webp", "jpeg".
    pub fn picture_as(&self, format: &str) -> String {
        let taken = self.tell("Page.captureScreenshot", &json!({"format": format, "quality": 88}));
        taken["data"].as_str().expect("base64").to_string()
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // After a failed command the driver may be gone already.
        if !std::thread::panicking() {
            self.ask("DELETE", &self.session, &Value::Null);
        } else if let Ok(mut stream) = TcpStream::connect(("127.0.0.1", self.port)) {
            let _ = write!(
                stream,
                "DELETE {} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n",
                self.session
            );
            let _ = body_of(stream);
        }
        let _ = self.driver.kill();
        let _ = self.driver.wait();
    }
}

/// The body of an HTTP answer. The driver leaves the connection open, whatever it is asked.
fn body_of(stream: TcpStream) -> std::io::Result<Vec<u8>> {
    stream.set_read_timeout(Some(Duration::from_secs(120)))?;
    let mut stream = BufReader::new(stream);
    let mut length = 0;
    loop {
        let mut line = String::new();
        stream.read_line(&mut line)?;
        if line.trim().is_empty() {
            break;
        }
        if let Some((name, value)) = line.split_once(':')
            && name.eq_ignore_ascii_case("content-length")
        {
            length = value.trim().parse().unwrap_or(0);
        }
    }
    let mut body = vec![0; length];
    stream.read_exact(&mut body)?;
    Ok(body)
}

/// Keys of the protocol.
pub mod key {
    pub const ENTER: &str = "\u{e007}";
    pub const TAB: &str = "\u{e004}";
    pub const LEFT: &str = "\u{e012}";
    pub const RIGHT: &str = "\u{e014}";
    pub const DOWN: &str = "\u{e015}";
    pub const ESCAPE: &str = "\u{e00c}";
    pub const HOME: &str = "\u{e011}";
    pub const END: &str = "\u{e010}";
}
