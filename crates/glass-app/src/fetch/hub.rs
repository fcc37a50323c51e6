//! The server: where it is, who asks, and what its answers mean.

use std::cell::Cell;
use std::env;
use std::fs;
use std::io::Read as _;
use std::path::Path;
use std::time::Duration;

use ureq::http::{HeaderMap, Response, Uri};
use ureq::tls::{PemItem, RootCerts, TlsConfig, parse_pem};
use ureq::{Agent, Body};

use crate::fail::Fail;
use crate::hub_cache::variable;

use super::answers::{Asked, broken, refused, unreached};
use super::patience::{Patience, Trouble};
use super::token::Token;

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
                _ => {
                    let asked = Asked { uri: &uri, at_home, token: self.token.as_ref() };
                    return Err(refused(what, &asked, &response));
                }
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
