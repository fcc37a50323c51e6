//! Who may use the service: keys, and the pages that requests come from.
//!
//! On this machine's own address there may be no key, and any web page that is open in a browser here can send requests to
//! it. Such requests carry the page's `Origin`; a page whose name was bound to this address (DNS rebinding) is recognised by
//! its `Host`.

use std::net::IpAddr;

use axum::extract::Request;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use subtle::ConstantTimeEq as _;

use super::error::{Answered, Refusal};
use crate::args::AccessArgs;
use crate::fail::Fail;

/// Who may use the service.
pub struct Guard {
    keys: Vec<String>,
    /// Origins of other pages that may use it.
    pub origins: Vec<String>,
    /// Whether it listens on this machine's own address.
    loopback: bool,
}

impl Guard {
    /// From the command line and GLASS_API_KEY. Listening on another address than this machine's own needs a key.
    pub fn new(args: &AccessArgs, address: IpAddr) -> Result<Guard, Fail> {
        let mut keys = args.api_key.clone();
        keys.extend(std::env::var("GLASS_API_KEY").ok().filter(|key| !key.is_empty()));
        if let Some(file) = &args.api_keys {
            let text = std::fs::read_to_string(file)
                .map_err(|error| Fail::from(glass::Error::io("cannot read", file, error)))?;
            let lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
            let before = keys.len();
            keys.extend(lines.map(str::to_string));
            if keys.len() == before {
                return Err(Fail::asked(format!(
                    "--api-keys: {} has no key; put one on each line",
                    file.display()
                )));
            }
        }
        if keys.iter().any(|key| key.is_empty() || !key.bytes().all(|b| b.is_ascii_graphic())) {
            return Err(Fail::asked("--api-key: a key is made of letters, digits and signs, without spaces"));
        }
        if !address.is_loopback() && keys.is_empty() {
            return Err(Fail::asked(format!(
                "--host: on {address} everybody who reaches this machine could use the service; give --api-key KEY \
                 (or set GLASS_API_KEY), or listen on 127.0.0.1"
            )));
        }
        for origin in &args.cors {
            let host = origin.strip_prefix("https://").or_else(|| origin.strip_prefix("http://"));
            if host.is_none_or(|host| {
                host.is_empty() || host.contains('/') || HeaderValue::from_str(origin).is_err()
            }) {
                return Err(Fail::asked(format!(
                    "--cors: {origin:?} is not an origin; give one as in https://example.org, without a path"
                )));
            }
        }
        Ok(Guard { keys, origins: args.cors.clone(), loopback: address.is_loopback() })
    }

    pub fn check_page(&self, headers: &HeaderMap) -> Answered<()> {
        let text = |name| headers.get(name).map(|value: &HeaderValue| value.to_str().unwrap_or("?"));
        let host = text(header::HOST);
        if let Some(host) = host.filter(|host| self.loopback && !is_local(host)) {
            let message = format!("the host {host:?} is not this machine; use localhost or 127.0.0.1");
            return Err(Refusal::status(StatusCode::FORBIDDEN, "foreign_host", message));
        }
        let Some(origin) = text(header::ORIGIN) else { return Ok(()) };
        let site = origin.split_once("://").map(|(_, site)| site);
        let own = site.is_some_and(|site| Some(site) == host || self.loopback && is_local(site));
        if own || self.origins.iter().any(|known| known == origin) {
            return Ok(());
        }
        let message = format!(
            "pages from {origin} may not use this service; its owner can allow it by --cors {origin}"
        );
        Err(Refusal::status(StatusCode::FORBIDDEN, "foreign_origin", message))
    }

    pub fn check_key(&self, headers: &HeaderMap) -> Answered<()> {
        if self.keys.is_empty() {
            return Ok(());
        }
        let sent = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
        let key = sent.and_then(|sent| {
            let (scheme, key) = sent.split_once(' ')?;
            scheme.eq_ignore_ascii_case("bearer").then_some(key.trim())
        });
        // Every key is compared, and each in a time that does not depend on where it differs.
        let known = |key: &str| {
            self.keys
                .iter()
                .fold(false, |known, own| known | bool::from(own.as_bytes().ct_eq(key.as_bytes())))
        };
        match key.filter(|key| !key.is_empty()) {
            Some(key) if known(key) => Ok(()),
            Some(_) => Err(unauthorised("the key is not known here")),
            None => Err(unauthorised("a key is needed: send the header Authorization: Bearer KEY")),
        }
    }
}

/// The largest head of a request, in bytes.
pub const HEAD_BYTES: usize = 64 << 10;

pub fn check_size(request: &Request) -> Answered<()> {
    let of_headers = request.headers().iter().map(|(name, value)| name.as_str().len() + value.len() + 4);
    let bytes = of_headers.sum::<usize>() + request.uri().to_string().len();
    if bytes <= HEAD_BYTES {
        return Ok(());
    }
    let message = format!("the head has {bytes} bytes; at most {HEAD_BYTES} are read");
    Err(Refusal::status(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE, "head_too_large", message))
}

fn unauthorised(message: &str) -> Refusal {
    let mut refusal = Refusal::status(StatusCode::UNAUTHORIZED, "invalid_api_key", message);
    refusal.error.r#type = "authentication_error";
    refusal
}

/// Whether a host, with or without a port, is this machine.
fn is_local(host: &str) -> bool {
    let port = |rest: &str| {
        rest.is_empty() || rest.strip_prefix(':').is_some_and(|port| port.parse::<u16>().is_ok())
    };
    ["localhost", "127.0.0.1", "[::1]"].iter().any(|name| {
        host.get(..name.len()).is_some_and(|start| start.eq_ignore_ascii_case(name))
            && port(&host[name.len()..])
    })
}

#[cfg(test)]
mod tests {
    use super::is_local;

    #[test]
    fn only_this_machine_is_local() {
        for host in ["localhost", "LOCALHOST:80", "127.0.0.1:8080", "[::1]:8080", "[::1]"] {
            assert!(is_local(host), "{host}");
        }
        for host in
            ["localhost.evil.org", "127.0.0.1.evil.org:80", "evil.org", "localhost:x", "127.0.0.2", ""]
        {
            assert!(!is_local(host), "{host}");
        }
    }
}
