//! Which of a repository's files are needed.

use crate::fail::Fail;
use crate::hub_cache::{Repository, WEIGHTS, stays_inside};
use crate::out::bytes;

use super::listing::{Entry, Listing};

/// Files that are taken if they exist.
const SMALL: [&str; 12] = [
    "config.json",
    "generation_config.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "vocab.json",
    "merges.txt",
    "encoder.json",
    "vocab.bpe",
    "special_tokens_map.json",
    "added_tokens.json",
    "chat_template.jinja",
    "meta.pkl",
];

/// Where the weights are.
pub enum Weights {
    /// In these files.
    Files(Vec<Entry>),
    /// In the files that this index names.
    Index(Entry),
}

/// The files that were asked for.
pub fn named(listing: &Listing, names: &[String], repository: &Repository) -> Result<Vec<Entry>, Fail> {
    let found = |name: &String| {
        listing.find(name).cloned().ok_or_else(|| {
            let files = listing.files.iter().map(|file| file.name.as_str());
            Fail::asked(format!("--file: {repository} has no {name:?}; it has {}", some(files)))
        })
    };
    names.iter().map(found).collect()
}

/// The configuration, the vocabulary and so on.
pub fn small(listing: &Listing) -> Vec<Entry> {
    let is_needed = |name: &str| SMALL.contains(&name) || name.ends_with(".tiktoken") && !name.contains('/');
    listing.files.iter().filter(|file| is_needed(&file.name)).cloned().collect()
}

/// The weights of a repository that holds a model.
pub fn weights(listing: &Listing, repository: &Repository) -> Result<Weights, Fail> {
    let has_config = listing.find("config.json").is_some();
    for (file, index) in WEIGHTS {
        if let Some(file) = listing.find(file).filter(|_| has_config) {
            return Ok(Weights::Files(vec![file.clone()]));
        }
        if let Some(index) = listing.find(index).filter(|_| has_config) {
            return Ok(Weights::Index(index.clone()));
        }
    }
    let gguf: Vec<&Entry> = listing.files.iter().filter(|file| file.name.ends_with(".gguf")).collect();
    Err(match gguf.first() {
        Some(first) => {
            let sized = |file: &&Entry| match file.size {
                Some(size) => format!("{} ({})", file.name, bytes(size)),
                None => file.name.clone(),
            };
            let all: Vec<String> = gguf.iter().map(sized).collect();
            Fail::asked(format!(
                "{repository}: it holds .gguf files only; choose one, as in --file {}: {}",
                first.name,
                all.join(", ")
            ))
        }
        None => {
            let files = listing.files.iter().map(|file| file.name.as_str());
            Fail::failed(format!(
                "{repository}: it holds no model that Glass can open, which is config.json with model.safetensors or \
                 pytorch_model.bin, or a .gguf file; it has {}",
                some(files)
            ))
        }
    })
}

/// The shards that an index names, in the repository.
pub fn shards(listing: &Listing, index: &Entry, names: &[String]) -> Result<Vec<Entry>, Fail> {
    let found = |name: &String| {
        if !stays_inside(name) {
            return Err(outside(name));
        }
        listing.find(name).cloned().ok_or_else(|| {
            Fail::failed(format!("{}: it names {name}, which the repository does not have", index.name))
        })
    };
    names.iter().map(found).collect()
}

/// A name that must not become a path.
pub fn outside(name: &str) -> Fail {
    Fail::failed(format!(
        "the server names a file {name:?}, which is not below the model's folder; nothing is written"
    ))
}

/// The first of some names.
fn some<'a>(names: impl Iterator<Item = &'a str>) -> String {
    const SHOWN: usize = 12;
    let names: Vec<&str> = names.collect();
    match names.len() {
        0 => "no files".into(),
        1..=SHOWN => names.join(", "),
        all => format!("{}, and {} more", names[..SHOWN].join(", "), all - SHOWN),
    }
}
