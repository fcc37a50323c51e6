//! A repository's files at a commit, as the server lists them.

use serde_json::Value;

use crate::fail::Fail;
use crate::hub_cache::{Repository, is_commit};

use super::hub::{Hub, encoded};

/// No list of files is longer.
const LONGEST: u64 = 64 << 20;

/// A repository's files at a commit.
pub struct Listing {
    /// The commit.
    pub commit: String,
    /// Its files.
    pub files: Vec<Entry>,
}

/// A file as it is listed.
#[derive(Clone)]
pub struct Entry {
    /// Its path in the repository.
    pub name: String,
    /// Its size.
    pub size: Option<u64>,
    /// Its hash, under which it is stored: SHA-256 for a large file, Git's SHA-1 for a small one.
    pub hash: Option<String>,
}

impl Listing {
    /// Asks the server.
    pub fn ask(hub: &Hub, repository: &Repository, revision: &str) -> Result<Listing, Fail> {
        let path = format!("api/models/{repository}/revision/{}?blobs=true", encoded(revision, false));
        let what = format!("{repository} ({revision})");
        let text = hub.text(&what, &path, LONGEST)?;
        let answer: Value = serde_json::from_slice(&text).map_err(|error| {
            Fail::failed(format!(
                "{what}: {} answers with something other than a list of files ({error})",
                hub.host()
            ))
        })?;
        let commit = answer["sha"].as_str().filter(|commit| is_commit(commit));
        let files = answer["siblings"].as_array();
        let (Some(commit), Some(files)) = (commit, files) else {
            return Err(Fail::failed(format!(
                "{what}: the answer of {} names no commit and its files, so it is not a server like the Hub",
                hub.host()
            )));
        };
        Ok(Listing { commit: commit.into(), files: files.iter().filter_map(Entry::of).collect() })
    }

    /// A file by its name.
    pub fn find(&self, name: &str) -> Option<&Entry> {
        self.files.iter().find(|file| file.name == name)
    }
}

impl Entry {
    fn of(file: &Value) -> Option<Entry> {
        let large = &file["lfs"];
        let hash = large["sha256"].as_str().or_else(|| match large.is_object() {
            true => None,
            false => file["blobId"].as_str(),
        });
        let size = large["size"].as_u64().or_else(|| file["size"].as_u64());
        // A name that could steer the terminal is nothing that is needed.
        let name = file["rfilename"].as_str().filter(|name| !name.contains(char::is_control))?;
        Some(Entry { name: name.into(), size, hash: hash.map(String::from) })
    }
}
