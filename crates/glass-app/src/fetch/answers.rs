//! What it means if a server answers with something other than a file, or not at all.

use std::io::ErrorKind;

use ureq::http::{Response, Uri};
use ureq::{Body, Error};

use crate::fail::Fail;

use super::patience::{Trouble, pause_asked_for};
use super::token::Token;

/// Who was asked, and by whom.
pub struct Asked<'a> {
    /// The address.
    pub uri: &'a Uri,
    /// Whether it is the Hub itself, which was told the token.
    pub at_home: bool,
    /// The token.
    pub token: Option<&'a Token>,
}

/// What an answer without a file means.
pub fn refused(what: &str, asked: &Asked<'_>, response: &Response<Body>) -> Trouble {
    let Asked { uri, at_home, token } = asked;
    let (status, host) = (response.status().as_u16(), uri.host().unwrap_or_default());
    let origin = format!(
        "{}://{}",
        uri.scheme_str().unwrap_or("https"),
        uri.authority().map_or("", |host| host.as_str())
    );
    let detail = response.headers().get("x-error-message").and_then(|text| text.to_str().ok());
    let detail = detail.map(|text| format!("; it says: {text}")).unwrap_or_default();
    let token = match token {
        None => "set HF_TOKEN to a token that may read it".into(),
        Some(token) => format!("use another token than {}, which may not read it", token.source),
    };
    match (status, *at_home) {
        (408 | 429 | 500 | 502 | 503 | 504, _) => {
            let why = if status == 429 { "asks for fewer requests" } else { "is in trouble" };
            let asked = pause_asked_for(response.headers());
            Trouble::Passing { why: format!("{host} {why} (status {status}){detail}"), pause: asked }
        }
        (401, true) => Fail::failed(format!(
            "{what}: the repository is private or gated, or does not exist (status 401); check the name, or {token}{detail}"
        ))
        .into(),
        (403, true) => Fail::failed(format!(
            "{what}: the repository is gated or private (status 403); ask for access on its page at {origin}, and {token}{detail}"
        ))
        .into(),
        (404, true) => Fail::failed(format!(
            "{what}: {origin} has no such repository, or no such revision or file in it (status 404){detail}"
        ))
        .into(),
        _ => Fail::failed(format!("{what}: {host} answers with status {status}{detail}")).into(),
    }
}

/// A server that does not answer. One that has never answered is not tried again where there is none.
pub fn unreached(uri: &Uri, error: &Error, has_answered: bool) -> Trouble {
    let host = uri.authority().map_or("", |host| host.as_str());
    let no_such = |error: &std::io::Error| error.to_string().contains("failed to lookup address");
    let why = match error {
        Error::Io(error) if error.kind() == ErrorKind::ConnectionRefused => {
            "no server answers there".to_string()
        }
        Error::Io(error) if no_such(error) => "there is no such server, or no network".into(),
        Error::HostNotFound => "there is no such server, or no network".into(),
        // What rustls refuses comes as invalid data.
        Error::Io(error) if error.kind() == ErrorKind::InvalidData => {
            return Fail::failed(format!(
                "{host}: no safe connection ({error}); behind a proxy that has its own certificates, name their file in \
                 SSL_CERT_FILE"
            ))
            .into();
        }
        Error::Timeout(_) => return Trouble::passing(format!("{host}: it does not answer")),
        Error::Io(error) => return Trouble::passing(format!("{host}: {}", broken(error))),
        other => return Trouble::passing(format!("{host}: {other}")),
    };
    match has_answered {
        true => Trouble::passing(format!("{host}: {why}")),
        false => {
            Fail::failed(format!("{host}: {why}; check the network, and HTTPS_PROXY and HF_ENDPOINT")).into()
        }
    }
}

/// A connection that ended too early.
pub fn broken(error: &std::io::Error) -> String {
    format!("the connection broke off ({error})")
}
