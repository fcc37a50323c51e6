//! The files of the page and of the description, which are inside the program.

use axum::http::header;
use axum::response::{IntoResponse as _, Response};

/// A page may load only what this service sends.
const POLICY: &str = "default-src 'self'; img-src 'self' data: blob:; style-src 'self' 'unsafe-inline'; object-src 'none'; \
                      base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

fn file(kind: &'static str, text: &'static str) -> Response {
    let headers = [
        (header::CONTENT_TYPE, kind),
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::CACHE_CONTROL, "no-cache"),
    ];
    (headers, text).into_response()
}

/// The page.
pub async fn index() -> Response {
    file("text/html; charset=utf-8", include_str!("page/index.html"))
}

/// Its program.
pub async fn script() -> Response {
    file("text/javascript; charset=utf-8", include_str!("page/page.js"))
}

/// Its style.
pub async fn style() -> Response {
    file("text/css; charset=utf-8", include_str!("page/page.css"))
}

/// The description of every request.
pub async fn docs() -> Response {
    file("text/html; charset=utf-8", include_str!("page/docs.html"))
}

/// Its program.
pub async fn docs_script() -> Response {
    file("text/javascript; charset=utf-8", include_str!("page/docs.js"))
}
