//! The page at `GET /`, and the description of every request at `GET /docs`: their files are part of the program, and they
//! load nothing from elsewhere.

use axum::http::header;
use axum::response::{IntoResponse as _, Response};
use glass_page::files::{self, PageFile};

/// What the page may do, as `Content-Security-Policy`: load and ask this service alone, and never take text for markup. Pictures
/// that it makes of its own drawings are blobs.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' blob:; \
     base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'";

/// Files at the root of the service.
const AT_ROOT: [(&str, &str); 4] =
    [("/", "index.html"), ("/docs", "docs.html"), ("/docs.css", "docs.css"), ("/docs.js", "docs.js")];

/// Sends a file.
pub fn send(file: &PageFile) -> Response {
    let headers = [
        (header::CONTENT_TYPE, file.kind()),
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::CACHE_CONTROL, "no-cache"),
    ];
    (headers, file.bytes).into_response()
}

/// The file at `path`. None needs a key: the page asks for it.
pub fn file(path: &str) -> Option<PageFile> {
    let name = AT_ROOT.iter().find(|(at, _)| *at == path).map(|(_, name)| *name);
    let name = name.or_else(|| {
        let name = path.strip_prefix("/page/")?;
        AT_ROOT.iter().all(|(_, root)| *root != name).then_some(name)
    })?;
    files::file(name)
}
