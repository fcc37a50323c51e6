//! The server: where it is, who asks, and what its answers mean.

use std::cell::Cell;
use std::env;
use std::fs;
use std::io::{ErrorKind, Read as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use ureq::http::{HeaderMap, Response, Uri};
use ureq::tls::{PemItem, RootCerts, TlsConfig, parse_pem};
use ureq::{Agent, Body, Error};

use crate::fail::Fail;
use crate::hub_cache::{expanded, home, is_on, variable};

use super::patience::{Patience, Trouble, pause_asked_for};

const HUB: &str = "https://huggingface.co";

/// Redirects of one request.
const MOST_REDIRECTS: usize = 10;

/// A server with the Hub's interface.
pub struct Hub {
    agent: Agent,
    endpoint: String,
    token: Option<Token>,
    has_answered: Cell<bool>,
}

/// A token, and where it is from.
struct Token {
    text: String,
    source: String,
}

/// An answer with a body, and the headers of the redirect that led to it, or its own.
pub struct Answer {
    /// The answer.
    pub response: Response<Body>,
    /// The headers of the Hub itself, which names the file's hash and size.
    pub headers: HeaderMap,
}

impl Hub {
    /// The server that the environment names.
    pub fn new() -> Result<Hub, Fail> {
        let endpoint = env::var("HF_ENDPOINT").ok().filter(|text| !text.is_empty());
        let endpoint = endpoint.unwrap_or_else(|| HUB.into()).trim_end_matches('/').to_string();
        let is_address =
            |uri: Uri| matches!(uri.scheme_str(), Some("http" | "https")) && uri.host().is_some();
        if !endpoint.parse().is_ok_and(is_address) {
            return Err(Fail::asked(format!(
                "HF_ENDPOINT: {endpoint:?} is not a server's address; it begins with https:// or http://"
            )));
        }
        let seconds = env::var("HF_HUB_DOWNLOAD_TIMEOUT").ok().and_then(|text| text.parse().ok());
        let limit = Some(Duration::from_secs(seconds.filter(|seconds| *seconds > 0).unwrap_or(30)));
        let mut config = Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .max_redirects_will_error(false)
            .accept_encoding("identity")
            .user_agent(concat!("glass/", env!("CARGO_PKG_VERSION")))
            .timeout_resolve(limit)
            .timeout_connect(limit)
            .timeout_recv_response(limit)
            .timeout_per_read(limit);
        if let Some(file) = variable("SSL_CERT_FILE") {
            config = config.tls_config(trusted(Path::new(&file))?);
        }
        let (agent, has_answered) = (config.build().new_agent(), Cell::new(false));
        Ok(Hub { agent, endpoint, token: Token::find()?, has_answered })
    }

    /// Its name in messages.
    pub fn host(&self) -> &str {
        &self.endpoint
    }

    /// A short text at a path, with as many attempts as patience allows; `what` is asked about in error messages.
    pub fn text(&self, what: &str, path: &str, longest: u64) -> Result<Vec<u8>, Fail> {
        let mut patience = Patience::new();
        loop {
            match self.text_once(what, path, longest) {
                Ok(text) => return Ok(text),
                Err(trouble) => patience.wait(what, trouble)?,
            }
        }
    }

    fn text_once(&self, what: &str, path: &str, longest: u64) -> Result<Vec<u8>, Trouble> {
        let mut answer = self.get(what, path, 0)?;
        let mut text = Vec::new();
        let body = answer.response.body_mut().as_reader();
        body.take(longest + 1).read_to_end(&mut text).map_err(|error| Trouble::passing(broken(&error)))?;
        if text.len() as u64 > longest {
            return Err(Fail::failed(format!(
                "{what}: {} answers with more than {longest} bytes",
                self.host()
            ))
            .into());
        }
        Ok(text)
    }

    /// Asks for the bytes at a path, from `begin` on.
    pub fn get(&self, what: &str, path: &str, begin: u64) -> Result<Answer, Trouble> {
        self.follow(what, path, begin, false)
    }

    /// Asks only for the headers at a path; a redirect to another host is not followed.
    pub fn head(&self, what: &str, path: &str) -> Result<Answer, Trouble> {
        self.follow(what, path, 0, true)
    }

    fn follow(&self, what: &str, path: &str, begin: u64, is_head: bool) -> Result<Answer, Trouble> {
        let home = self.uri(&format!("{}/{path}", self.endpoint))?;
        let (mut uri, mut first) = (home.clone(), None);
        for _ in 0..=MOST_REDIRECTS {
            let at_home = is_same(&home, &uri);
            let response = self.ask(&uri, begin, is_head, at_home)?;
            let status = response.status().as_u16();
            // A repository that was renamed redirects on the same host; a large file to another one.
            if at_home {
                first = Some(response.headers().clone());
            }
            let headers = || first.clone().unwrap_or_default();
            match status {
                200 | 206 => return Ok(Answer { headers: headers(), response }),
                301 | 302 | 303 | 307 | 308 => {
                    let next = self.next(&uri, &response)?;
                    if is_head && !is_same(&home, &next) {
                        return Ok(Answer { headers: headers(), response });
                    }
                    uri = next;
                }
                _ => return Err(self.refused(what, &uri, at_home, &response)),
            }
        }
        Err(Fail::failed(format!("{what}: {} redirects more than {MOST_REDIRECTS} times", self.host()))
            .into())
    }

    /// One request. The token is sent to the server itself and to nobody else.
    fn ask(&self, uri: &Uri, begin: u64, is_head: bool, at_home: bool) -> Result<Response<Body>, Trouble> {
        let mut request = if is_head { self.agent.head(uri) } else { self.agent.get(uri) };
        if let Some(token) = self.token.as_ref().filter(|_| at_home) {
            request = request.header("Authorization", format!("Bearer {}", token.text));
        }
        if begin > 0 {
            request = request.header("Range", format!("bytes={begin}-"));
        }
        let answer = request.call().map_err(|error| unreached(uri, &error, self.has_answered.get()))?;
        self.has_answered.set(true);
        Ok(answer)
    }

    /// Where a redirect leads.
    fn next(&self, from: &Uri, response: &Response<Body>) -> Result<Uri, Trouble> {
        let place =
            response.headers().get("location").and_then(|place| place.to_str().ok()).unwrap_or_default();
        let (scheme, host) =
            (from.scheme_str().unwrap_or("https"), from.authority().map_or("", |host| host.as_str()));
        let next = match place {
            _ if place.starts_with("//") => format!("{scheme}:{place}"),
            _ if place.starts_with('/') => format!("{scheme}://{host}{place}"),
            _ => place.to_string(),
        };
        let next = self.uri(&next)?;
        match (scheme, next.scheme_str()) {
            ("https", Some("https")) | ("http", Some("http" | "https")) => Ok(next),
            _ => Err(Fail::failed(format!("{host} redirects to {next}, which is not a safe address")).into()),
        }
    }

    fn uri(&self, text: &str) -> Result<Uri, Trouble> {
        let wrong = |error| Fail::failed(format!("{}: {text:?} is not an address ({error})", self.host()));
        Ok(text.parse().map_err(wrong)?)
    }

    /// What an answer without a file means.
    fn refused(&self, what: &str, uri: &Uri, at_home: bool, response: &Response<Body>) -> Trouble {
        let (status, host) = (response.status().as_u16(), uri.host().unwrap_or_default());
        let detail = response.headers().get("x-error-message").and_then(|text| text.to_str().ok());
        let detail = detail.map(|text| format!("; it says: {text}")).unwrap_or_default();
        let token = match &self.token {
            None => "set HF_TOKEN to a token that may read it".into(),
            Some(token) => format!("use another token than {}, which may not read it", token.source),
        };
        match (status, at_home) {
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
                "{what}: the repository is gated or private (status 403); ask for access on its page at {}, and {token}{detail}",
                self.host()
            ))
            .into(),
            (404, true) => Fail::failed(format!(
                "{what}: {} has no such repository, or no such revision or file in it (status 404){detail}",
                self.host()
            ))
            .into(),
            _ => Fail::failed(format!("{what}: {host} answers with status {status}{detail}")).into(),
        }
    }
}

impl Token {
    /// From HF_TOKEN, or the file that `hf auth login` writes.
    fn find() -> Result<Option<Token>, Fail> {
        if is_on("HF_HUB_DISABLE_IMPLICIT_TOKEN") {
            return Ok(None);
        }
        for name in ["HF_TOKEN", "HUGGING_FACE_HUB_TOKEN"] {
            if let Some(text) = variable(name) {
                return Token::new(text.to_str().unwrap_or("\0"), format!("the token in {name}"));
            }
        }
        let file = variable("HF_TOKEN_PATH").map_or_else(|| home().join("token"), PathBuf::from);
        let file = expanded(file);
        match fs::read_to_string(&file) {
            Ok(text) => Token::new(&text, format!("the token in {}", file.display())),
            Err(_) => Ok(None),
        }
    }

    fn new(text: &str, source: String) -> Result<Option<Token>, Fail> {
        let text = text.trim();
        match text.bytes().all(|byte| byte.is_ascii_graphic()) {
            true => Ok(Some(Token { text: text.into(), source }).filter(|token| !token.text.is_empty())),
            false => {
                Err(Fail::asked(format!("{source} has characters that no token has; it begins with hf_")))
            }
        }
    }
}

/// The certificates in a file, instead of those that come with the program.
fn trusted(file: &Path) -> Result<TlsConfig, Fail> {
    let text = fs::read(file).map_err(|error| glass::Error::io("SSL_CERT_FILE: cannot read", file, error))?;
    let certificates: Vec<_> = parse_pem(&text)
        .filter_map(|item| match item {
            Ok(PemItem::Certificate(certificate)) => Some(certificate),
            _ => None,
        })
        .collect();
    match certificates.is_empty() {
        true => Err(Fail::asked(format!("SSL_CERT_FILE: {} holds no certificates", file.display()))),
        false => Ok(TlsConfig::builder().root_certs(RootCerts::from(certificates)).build()),
    }
}

/// Whether two addresses are the same server, to which the same secrets may be told.
fn is_same(a: &Uri, b: &Uri) -> bool {
    a.scheme() == b.scheme() && a.authority() == b.authority()
}

/// A server that does not answer. One that has never answered is not tried again where there is none.
fn unreached(uri: &Uri, error: &Error, has_answered: bool) -> Trouble {
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

/// Text as a part of an address.
pub fn encoded(text: &str, keeps_slashes: bool) -> String {
    let mut encoded = String::new();
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => encoded.push(byte.into()),
            b'/' if keeps_slashes => encoded.push('/'),
            _ => encoded.push_str(&format!("%{byte:02X}")),
        }
    }
    encoded
}
