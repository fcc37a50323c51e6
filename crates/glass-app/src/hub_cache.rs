//! The cache that Hugging Face's programs share: where it is, and the models in it.
//!
//! `models--OWNER--NAME/` holds `refs/main` (a commit), `snapshots/COMMIT/FILE`, usually links to `blobs/HASH`.

use std::env;
use std::ffi::OsString;
use std::fs;
use std::path::{Component, Path, PathBuf};

use serde_json::Value;

use crate::fail::Fail;

/// The revision of a model that is used if no other is named.
pub const MAIN: &str = "main";

/// A model's name on the Hub.
#[derive(Clone, Debug)]
pub struct Repository {
    owner: String,
    name: String,
}

impl Repository {
    /// `OWNER/NAME`, if it is a name that the Hub allows.
    pub fn parse(text: &str) -> Option<Repository> {
        let (owner, name) = text.split_once('/')?;
        let allowed = |part: &str| {
            let is_allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
            !part.is_empty()
                && part.len() <= 96
                && part.chars().all(is_allowed)
                && !part.starts_with(['-', '.'])
                && !part.ends_with(['-', '.'])
                && !part.contains("--")
                && !part.contains("..")
        };
        (allowed(owner) && allowed(name)).then(|| Repository { owner: owner.into(), name: name.into() })
    }

    /// The name of its folder.
    pub fn folder_name(&self) -> String {
        format!("models--{}--{}", self.owner, self.name)
    }

    /// Its folder in the cache.
    pub fn folder(&self) -> PathBuf {
        root().join(self.folder_name())
    }

    /// The snapshot of a revision, if the cache holds (some of) it.
    pub fn snapshot(&self, revision: &str) -> Option<PathBuf> {
        let folder = self.folder();
        let commit = match is_commit(revision) {
            true => revision.to_string(),
            false => fs::read_to_string(folder.join("refs").join(revision)).ok()?.trim().to_string(),
        };
        let inside = stays_inside(&commit);
        Some(folder.join("snapshots").join(commit)).filter(|path| inside && path.is_dir())
    }
}

impl std::fmt::Display for Repository {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.owner, self.name)
    }
}

/// Whether a revision is a commit's full hash.
pub fn is_commit(revision: &str) -> bool {
    revision.len() == 40 && revision.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

/// Whether a relative path with `/` names something below the folder that it is joined to, on every system.
pub fn stays_inside(path: &str) -> bool {
    let is_plain = |part: Component<'_>| matches!(part, Component::Normal(_));
    let is_harmful = |c: char| c.is_control() || matches!(c, '\\' | ':');
    !path.is_empty()
        && !path.contains(is_harmful)
        && path.split('/').all(|part| !matches!(part, "" | "." | ".."))
        && Path::new(path).components().all(is_plain)
}

/// An environment variable that is set to something.
pub fn variable(name: &str) -> Option<OsString> {
    env::var_os(name).filter(|value| !value.is_empty())
}

/// Whether an environment variable says yes, as Hugging Face's programs read it.
#[cfg(feature = "fetch")]
pub fn is_on(name: &str) -> bool {
    let value = env::var(name).unwrap_or_default().to_ascii_uppercase();
    matches!(value.as_str(), "1" | "ON" | "YES" | "TRUE")
}

/// The folder of Hugging Face's programs: HF_HOME, or `huggingface` in XDG_CACHE_HOME or `~/.cache`.
pub fn home() -> PathBuf {
    let cache = || match variable("XDG_CACHE_HOME") {
        Some(path) => PathBuf::from(path),
        None => Path::new("~").join(".cache"),
    };
    expanded(variable("HF_HOME").map_or_else(|| cache().join("huggingface"), PathBuf::from))
}

/// The folder of the cache: HF_HUB_CACHE, or `hub` in [`home`].
pub fn root() -> PathBuf {
    let named = variable("HF_HUB_CACHE").or_else(|| variable("HUGGINGFACE_HUB_CACHE"));
    named.map_or_else(|| home().join("hub"), |path| expanded(path.into()))
}

/// The path with the user's home for a leading `~`.
pub fn expanded(path: PathBuf) -> PathBuf {
    match (path.strip_prefix("~"), env::home_dir()) {
        (Ok(rest), Some(home)) => home.join(rest),
        _ => path,
    }
}

/// What `OWNER/NAME`, or `OWNER/NAME/FILE`, means as a model: a folder or a file in the cache. `None` if it is not such
/// a name.
pub fn model(name: &str) -> Option<Result<PathBuf, Fail>> {
    let mut parts = name.splitn(3, '/');
    let (owner, second) = (parts.next()?, parts.next()?);
    let repository = Repository::parse(&format!("{owner}/{second}"))?;
    let file = parts.next().filter(|file| stays_inside(file));
    let Some(folder) = repository.snapshot(MAIN) else {
        return Some(Err(absent(name, &repository)));
    };
    Some(match file {
        Some(file) if folder.join(file).exists() => Ok(folder.join(file)),
        Some(file) => Err(Fail::asked(format!(
            "MODEL: there is no file or folder {name:?}, and the cache has no {file} of {repository}; \
             `glass fetch {repository} --file {file}` gets it"
        ))),
        None => whole(&folder, &repository),
    })
}

fn absent(name: &str, repository: &Repository) -> Fail {
    let cache = root();
    Fail::asked(format!(
        "MODEL: there is no file or folder {name:?}, and no model of that name in {}; `glass fetch {repository}` gets it",
        cache.display()
    ))
}

/// The snapshot itself, or the only .gguf file in it.
fn whole(folder: &Path, repository: &Repository) -> Result<PathBuf, Fail> {
    if is_complete(folder) {
        return Ok(folder.to_path_buf());
    }
    let files = gguf_files(folder);
    match &files[..] {
        [file] => Ok(folder.join(file)),
        [] => Err(Fail::failed(format!(
            "{}: the model is not complete there; `glass fetch {repository}` gets the rest",
            folder.display()
        ))),
        [first, ..] => Err(Fail::asked(format!(
            "MODEL: the cache has several files of {repository}: {}; name one, as in {repository}/{first}",
            files.join(", ")
        ))),
    }
}

/// The .gguf files in a folder.
fn gguf_files(folder: &Path) -> Vec<String> {
    let names = fs::read_dir(folder).into_iter().flatten().flatten();
    let names = names.map(|entry| entry.file_name().to_string_lossy().into_owned());
    let mut files: Vec<String> = names.filter(|name| name.ends_with(".gguf")).collect();
    files.sort();
    files
}

/// A model's weights: in one file, or in shards by an index. The first that exists is used.
pub const WEIGHTS: [(&str, &str); 2] = [
    ("model.safetensors", "model.safetensors.index.json"),
    ("pytorch_model.bin", "pytorch_model.bin.index.json"),
];

/// Whether a folder holds a configuration and all weights.
pub fn is_complete(folder: &Path) -> bool {
    let has = |name: &str| folder.join(name).is_file();
    let has_shards = |index: &str| {
        let shards = fs::read(folder.join(index)).ok().and_then(|text| shards(&text));
        shards.is_some_and(|shards| shards.iter().all(|shard| stays_inside(shard) && has(shard)))
    };
    has("config.json") && WEIGHTS.iter().any(|(file, index)| has(file) || has(index) && has_shards(index))
}

/// The files that an index names.
pub fn shards(index: &[u8]) -> Option<Vec<String>> {
    let index: Value = serde_json::from_slice(index).ok()?;
    let files = index["weight_map"].as_object()?.values();
    let mut files = files.map(|file| file.as_str().map(String::from)).collect::<Option<Vec<_>>>()?;
    files.sort();
    files.dedup();
    Some(files).filter(|files| !files.is_empty())
}
