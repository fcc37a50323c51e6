//! The page at `GET /`, and the description of every request at `GET /docs`: their files are part of the program, and they
//! load nothing from elsewhere.

use axum::http::header;
use axum::response::{IntoResponse as _, Response};

/// A file of the page.
pub struct PageFile {
    /// Below the root of the service.
    pub path: &'static str,
    /// Its `Content-Type`.
    pub kind: &'static str,
    /// Its text.
    pub text: &'static str,
}

/// What the page may do, as `Content-Security-Policy`: load and ask this service alone, and never take text for markup.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self'; \
     base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'";

const HTML: &str = "text/html; charset=utf-8";
const STYLE: &str = "text/css; charset=utf-8";
const SCRIPT: &str = "text/javascript; charset=utf-8";

macro_rules! files {
    ($($path:literal: $kind:expr, $name:literal;)*) => {
        &[$(PageFile { path: $path, kind: $kind, text: include_str!(concat!("page/", $name)) }),*]
    };
}

/// All files. None needs a key: the page asks for it.
pub const FILES: &[PageFile] = files! {
    "/": HTML, "index.html";
    "/docs": HTML, "docs.html";
    "/docs.css": STYLE, "docs.css";
    "/docs.js": SCRIPT, "docs.js";
    "/page/answering.js": SCRIPT, "answering.js";
    "/page/api.js": SCRIPT, "api.js";
    "/page/app.js": SCRIPT, "app.js";
    "/page/choosing.js": SCRIPT, "choosing.js";
    "/page/composer.js": SCRIPT, "composer.js";
    "/page/controls.js": SCRIPT, "controls.js";
    "/page/curve.js": SCRIPT, "curve.js";
    "/page/distribution.js": SCRIPT, "distribution.js";
    "/page/dom.js": SCRIPT, "dom.js";
    "/page/files.js": SCRIPT, "files.js";
    "/page/fit.js": SCRIPT, "fit.js";
    "/page/inside.css": STYLE, "inside.css";
    "/page/inside.js": SCRIPT, "inside.js";
    "/page/keeping.js": SCRIPT, "keeping.js";
    "/page/link.js": SCRIPT, "link.js";
    "/page/main.js": SCRIPT, "main.js";
    "/page/mark.svg": "image/svg+xml", "mark.svg";
    "/page/page.css": STYLE, "page.css";
    "/page/pieces.js": SCRIPT, "pieces.js";
    "/page/replay.js": SCRIPT, "replay.js";
    "/page/settings.js": SCRIPT, "settings.js";
    "/page/settings_sheet.js": SCRIPT, "settings_sheet.js";
    "/page/sha256.js": SCRIPT, "sha256.js";
    "/page/sse.js": SCRIPT, "sse.js";
    "/page/store.js": SCRIPT, "store.js";
    "/page/talks.js": SCRIPT, "talks.js";
    "/page/thread.js": SCRIPT, "thread.js";
    "/page/token_view.js": SCRIPT, "token_view.js";
    "/page/tokens.js": SCRIPT, "tokens.js";
    "/page/tree.js": SCRIPT, "tree.js";
    "/page/vocabulary.js": SCRIPT, "vocabulary.js";
};

/// Sends a file.
pub fn send(file: &'static PageFile) -> Response {
    let headers = [
        (header::CONTENT_TYPE, file.kind),
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::CACHE_CONTROL, "no-cache"),
    ];
    (headers, file.text).into_response()
}

/// The file at `path`.
pub fn file(path: &str) -> Option<&'static PageFile> {
    FILES.iter().find(|file| file.path == path)
}

#[cfg(test)]
mod tests {
    use super::{FILES, file};

    #[test]
    fn every_file_that_is_named_is_there() {
        for of in FILES {
            for name in
                of.text.split(['"', '\'']).filter(|name| name.ends_with(".js") || name.ends_with(".css"))
            {
                let path = name.trim_start_matches("./").trim_start_matches("page/");
                let found = file(name).or_else(|| file(&format!("/page/{path}")));
                assert!(found.is_some(), "{name} in {}", of.path);
            }
        }
    }

    #[test]
    fn the_page_holds_no_code_that_its_policy_refuses() {
        for of in FILES {
            for word in [
                "innerHTML",
                "outerHTML",
                "insertAdjacentHTML",
                "document.write",
                "eval(",
                " style=\"",
                "<script>",
            ] {
                assert!(!of.text.contains(word), "{word} in {}", of.path);
            }
            for word in ["https://", "http://"] {
                let outside =
                    of.text.split(word).skip(1).filter(|rest| !rest.starts_with("www.w3.org/2000/svg"));
                assert_eq!(outside.count(), 0, "{word} in {}", of.path);
            }
        }
    }
}
