//! Reads a request's body: strict JSON, in which every field is known and wrong ones are named.

use std::time::Duration;

use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{FromRequest, Request};
use axum::http::{HeaderMap, StatusCode, header};
use serde::de::DeserializeOwned;
use tokio::time::timeout;

use super::error::{Answered, Refusal};

/// A request's body, read from strict JSON.
pub struct Fields<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for Fields<T> {
    type Rejection = Refusal;

    async fn from_request(request: Request, state: &S) -> Answered<Self> {
        is_json(request.headers())?;
        let read = timeout(PATIENCE, Bytes::from_request(request, state)).await;
        let body = read.map_err(|_| too_slow())?.map_err(unread)?;
        parse(&body).map(Fields)
    }
}

/// A page of another site can send texts and forms unasked, but not JSON.
fn is_json(headers: &HeaderMap) -> Answered<()> {
    let kind = headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    let essence = kind.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    if essence == "application/json" || essence.starts_with("application/") && essence.ends_with("+json") {
        return Ok(());
    }
    let found = if kind.is_empty() { "none".into() } else { format!("{kind:?}") };
    Err(Refusal::status(
        StatusCode::UNSUPPORTED_MEDIA_TYPE,
        "unsupported_media_type",
        format!("the content type is {found}; send JSON with the header Content-Type: application/json"),
    ))
}

fn unread(rejection: BytesRejection) -> Refusal {
    match rejection.status() {
        StatusCode::PAYLOAD_TOO_LARGE => too_large(),
        _ => Refusal::request("the body could not be read to its end"),
    }
}

/// How long a body may take.
const PATIENCE: Duration = Duration::from_secs(60);

fn too_slow() -> Refusal {
    let message = format!("the body did not arrive within {} seconds", PATIENCE.as_secs());
    Refusal::status(StatusCode::REQUEST_TIMEOUT, "body_too_slow", message)
}

/// A body is over the limit.
pub fn too_large() -> Refusal {
    let message = "the body is larger than this service accepts (--max-body)";
    Refusal::status(StatusCode::PAYLOAD_TOO_LARGE, "body_too_large", message)
}

/// Reads a body.
pub fn parse<T: DeserializeOwned>(body: &[u8]) -> Answered<T> {
    if body.is_empty() {
        return Err(Refusal::request("the body is empty; a JSON object was expected"));
    }
    // Serde would read a list as an object's fields in their order.
    if body.trim_ascii_start().first() == Some(&b'[') {
        return Err(Refusal::request("the body is a list; a JSON object was expected"));
    }
    let mut reader = serde_json::Deserializer::from_slice(body);
    let read = serde_path_to_error::deserialize(&mut reader).map_err(|error| {
        let path = error.path().to_string();
        refused(path, error.inner())
    })?;
    reader.end().map_err(|_| Refusal::request("after the JSON object the body goes on; send one object"))?;
    Ok(read)
}

fn refused(path: String, error: &serde_json::Error) -> Refusal {
    let said = error.to_string();
    let said = said.split(" at line ").next().unwrap_or_default();
    if !error.is_data() {
        let place = format!("line {}, column {}", error.line(), error.column());
        return Refusal::request(format!("the body is not JSON ({place}: {said})"));
    }
    for (kind, code) in [("unknown field `", "unknown_field"), ("missing field `", "missing_field")] {
        let name = said.strip_prefix(kind).and_then(|rest| rest.split('`').next());
        if let Some(name) = name {
            let whole = match path.strip_suffix(name).map_or(&path[..], |path| path.trim_end_matches('.')) {
                "" | "." => name.to_string(),
                parent => format!("{parent}.{name}"),
            };
            let known = said.split_once(", ").map(|(_, known)| format!("; {known}")).unwrap_or_default();
            let what = if code == "unknown_field" { "this field is not known here" } else { "it is missing" };
            return Refusal::field(whole, format!("{what}{known}").replace('`', "")).code(code);
        }
    }
    let said = plain(said);
    match path.as_str() {
        "" | "." => Refusal::request(format!("the body: {said}")),
        _ => Refusal::field(path, said),
    }
}

/// Serde's words for types as words for people.
fn plain(said: &str) -> String {
    let words = [
        ("invalid type: ", "found "),
        ("invalid value: ", "found "),
        (", expected a sequence", ", a list was expected"),
        (", expected a map", ", an object was expected"),
        (", expected a string", ", a text was expected"),
        (", expected a boolean", ", true or false was expected"),
        (", expected usize", ", a whole number of at least 0 was expected"),
        (", expected u64", ", a whole number of at least 0 was expected"),
        (", expected u32", ", a whole number from 0 to 4294967295 was expected"),
        (", expected i64", ", a whole number was expected"),
        (", expected f32", ", a number was expected"),
        (", expected f64", ", a number was expected"),
        (", expected struct", ", an object was expected:"),
        ("found map", "found an object"),
        ("found sequence", "found a list"),
        ("found string", "found the text"),
        ("found integer", "found the number"),
        ("found floating point", "found the number"),
        ("found boolean", "found"),
    ];
    words.iter().fold(said.replace('`', ""), |said, (theirs, ours)| said.replace(theirs, ours))
}
