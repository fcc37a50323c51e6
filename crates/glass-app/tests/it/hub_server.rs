//! A server like the Hugging Face Hub, in this process: it can also break off, lie and refuse.

use std::collections::HashMap;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread::{sleep, spawn};
use std::time::Duration;

use ring::digest::{SHA1_FOR_LEGACY_USE_ONLY, SHA256, digest};
use serde_json::json;

/// The commit of every repository here.
pub const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";

/// What a client asks for.
#[derive(Clone, Debug)]
pub struct Request {
    pub method: String,
    /// With the query.
    pub path: String,
    pub headers: HashMap<String, String>,
    /// How often this path was asked for before.
    pub before: usize,
}

impl Request {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(String::as_str)
    }

    /// The first byte that is asked for.
    pub fn begin(&self) -> usize {
        let range = self.header("range").and_then(|range| range.strip_prefix("bytes=")?.strip_suffix('-'));
        range.map_or(0, |begin| begin.parse().unwrap())
    }

    /// Whether it is for the content of a file.
    pub fn is_for(&self, file: &str) -> bool {
        self.method == "GET" && self.path.ends_with(&format!("/{file}")) && self.path.contains("/resolve/")
    }
}

/// What the server says.
#[derive(Clone)]
pub struct Reply {
    pub status: u16,
    pub headers: Vec<(&'static str, String)>,
    pub body: Vec<u8>,
    /// After how many bytes of the body it breaks off.
    pub ends: Option<usize>,
    /// How long it then keeps the connection.
    pub stalls: Duration,
}

impl Reply {
    pub fn status(status: u16) -> Reply {
        let headers = vec![];
        Reply { status, headers, body: b"{\"error\":\"no\"}".to_vec(), ends: None, stalls: Duration::ZERO }
    }

    pub fn with(mut self, name: &'static str, value: impl ToString) -> Reply {
        self.headers.push((name, value.to_string()));
        self
    }

    pub fn ending_after(mut self, bytes: usize) -> Reply {
        self.ends = Some(bytes);
        self
    }

    fn has(&self, name: &str) -> bool {
        self.headers.iter().any(|(found, _)| *found == name)
    }

    fn send(&self, to: &mut TcpStream, with_body: bool) -> std::io::Result<()> {
        let mut head = format!("HTTP/1.1 {} Some\r\nConnection: close\r\n", self.status);
        if !self.has("Content-Length") && !self.has("Transfer-Encoding") {
            head.push_str(&format!("Content-Length: {}\r\n", self.body.len()));
        }
        for (name, value) in &self.headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        to.write_all(format!("{head}\r\n").as_bytes())?;
        if with_body {
            to.write_all(&self.body[..self.ends.unwrap_or(self.body.len())])?;
        }
        to.flush()?;
        sleep(self.stalls);
        Ok(())
    }
}

/// A repository's files: name, content, and whether they are large (stored by SHA-256).
#[derive(Clone, Default)]
pub struct Files(pub Vec<(String, Vec<u8>, bool)>);

impl Files {
    pub fn with(mut self, name: &str, content: &[u8], is_large: bool) -> Files {
        self.0.push((name.into(), content.to_vec(), is_large));
        self
    }

    fn find(&self, name: &str) -> Option<&(String, Vec<u8>, bool)> {
        self.0.iter().find(|(found, _, _)| found == name)
    }

    /// The name of a file's blob.
    pub fn etag(&self, name: &str) -> String {
        let (_, content, is_large) = self.find(name).unwrap();
        let hash = match is_large {
            true => digest(&SHA256, content),
            false => {
                let blob = [format!("blob {}\0", content.len()).as_bytes(), content].concat();
                digest(&SHA1_FOR_LEGACY_USE_ONLY, &blob)
            }
        };
        hash.as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
    }

    pub fn content(&self, name: &str) -> &[u8] {
        &self.find(name).unwrap().1
    }

    /// What an honest server answers.
    pub fn answer(&self, request: &Request) -> Reply {
        if request.path.starts_with("/api/models/") {
            let of = |(name, content, is_large): &(String, Vec<u8>, bool)| match is_large {
                true => json!({"rfilename": name, "size": content.len(), "blobId": "00",
                               "lfs": {"sha256": self.etag(name), "size": content.len(), "pointerSize": 134}}),
                false => json!({"rfilename": name, "size": content.len(), "blobId": self.etag(name)}),
            };
            let files: Vec<_> = self.0.iter().map(of).collect();
            return Reply {
                body: json!({"sha": COMMIT, "siblings": files}).to_string().into(),
                ..Reply::status(200)
            };
        }
        let at = format!("/resolve/{COMMIT}/");
        let file = request.path.split_once(&at).and_then(|(_, name)| self.find(name));
        let Some((name, content, _)) = file else {
            return Reply::status(404).with("X-Error-Code", "EntryNotFound");
        };
        let begin = request.begin();
        let reply =
            Reply { body: content[begin..].to_vec(), ..Reply::status(if begin > 0 { 206 } else { 200 }) };
        let reply = reply.with("ETag", format!("\"{}\"", self.etag(name))).with("X-Repo-Commit", COMMIT);
        match begin {
            0 => reply,
            _ => {
                let (last, all) = (content.len() - 1, content.len());
                reply.with("Content-Range", format!("bytes {begin}-{last}/{all}"))
            }
        }
    }
}

/// A running server. Its threads end with the tests.
pub struct Server {
    pub address: String,
    seen: Arc<Mutex<Vec<Request>>>,
}

impl Server {
    pub fn new(answer: impl Fn(&Request) -> Reply + Send + Sync + 'static) -> Server {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let seen = Arc::new(Mutex::new(Vec::new()));
        let (answer, shared) = (Arc::new(answer), seen.clone());
        spawn(move || {
            for stream in listener.incoming().flatten() {
                let (answer, seen) = (answer.clone(), shared.clone());
                spawn(move || serve(stream, &*answer, &seen));
            }
        });
        Server { address, seen }
    }

    /// An honest server.
    pub fn of(files: &Files) -> Server {
        let files = files.clone();
        Server::new(move |request| files.answer(request))
    }

    /// What was asked for so far.
    pub fn seen(&self) -> Vec<Request> {
        self.seen.lock().unwrap().clone()
    }

    /// The requests for a file's content.
    pub fn seen_for(&self, file: &str) -> Vec<Request> {
        self.seen().into_iter().filter(|request| request.is_for(file)).collect()
    }
}

fn serve(mut stream: TcpStream, answer: &(dyn Fn(&Request) -> Reply + Sync), seen: &Mutex<Vec<Request>>) {
    let mut lines = BufReader::new(stream.try_clone().unwrap()).lines().map_while(Result::ok);
    let Some(first) = lines.next() else { return };
    let mut words = first.split(' ').map(String::from);
    let (method, path) = (words.next().unwrap(), words.next().unwrap());
    let headers = lines.take_while(|line| !line.is_empty());
    let headers = headers.filter_map(|line| {
        line.split_once(": ").map(|(name, value)| (name.to_ascii_lowercase(), value.to_string()))
    });
    let headers = headers.collect();
    let request = {
        let mut seen = seen.lock().unwrap();
        let before = seen.iter().filter(|request| request.path == path && request.method == method).count();
        let request = Request { method, path, headers, before };
        seen.push(request.clone());
        request
    };
    // A client that has read enough may have gone.
    let _ = answer(&request).send(&mut stream, request.method != "HEAD");
}
