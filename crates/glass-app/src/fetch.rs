//! `glass fetch`: a model from the Hugging Face Hub, in the cache of Hugging Face's own programs.

mod answers;
mod files;
mod hash;
mod hub;
mod listing;
mod needed;
mod pace;
mod patience;
mod place;
mod said;
mod token;
mod transfer;

use std::fs;
use std::io::Write as _;
use std::path::PathBuf;
use std::time::Instant;

use serde_json::json;

use crate::args::FetchArgs;
use crate::fail::{Fail, say};
use crate::hub_cache::{self, Repository, is_on, stays_inside};
use crate::out::{Out, bytes, duration};

use hub::{Hub, encoded};
use listing::{Entry, Listing};
use needed::Weights;
use pace::Pace;
use patience::Patience;
use said::Said;
use transfer::Wanted;

/// No index of shards is longer.
const LONGEST_INDEX: u64 = 64 << 20;

/// Fetches a model.
pub fn run(args: &FetchArgs) -> Result<(), Fail> {
    let begun = Instant::now();
    let repository = repository(&args.repository)?;
    if !stays_inside(&args.revision) {
        return Err(Fail::asked(format!(
            "--revision: {:?} is not a branch, a tag or a commit",
            args.revision
        )));
    }
    if ["HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE"].into_iter().any(is_on) {
        return offline(args, &repository);
    }
    let hub = Hub::new()?;
    let listing = Listing::ask(&hub, &repository, &args.revision)?;
    let fetching = Fetching { snapshot: snapshot(&repository, &listing.commit), hub, repository, listing };
    let entries = fetching.entries(args)?;
    let plan = entries.into_iter().map(|entry| fetching.plan(entry)).collect::<Result<Vec<_>, _>>()?;
    let said = Said { args, fetching: &fetching, plan: &plan };
    let fetched = match args.dry_run {
        true => said.missing(),
        false => fetching.all(&args.revision, &plan, &said)?,
    };
    said.result(fetched, begun.elapsed().as_secs_f64())
}

/// The name, which may be the address of the model's page.
fn repository(text: &str) -> Result<Repository, Fail> {
    let name = ["https://huggingface.co/", "https://hf.co/", "hf://"]
        .into_iter()
        .find_map(|host| text.strip_prefix(host));
    let name = name.unwrap_or(text).trim_end_matches('/');
    Repository::parse(name).ok_or_else(|| {
        Fail::asked(format!(
            "OWNER/NAME: {text:?} is not the name of a model on the Hub, which has an owner, as in openai-community/gpt2"
        ))
    })
}

fn snapshot(repository: &Repository, commit: &str) -> PathBuf {
    repository.folder().join("snapshots").join(commit)
}

/// A file, and whether the cache has it.
struct Planned {
    wanted: Wanted,
    cached: bool,
}

/// A repository at a commit, on its server.
struct Fetching {
    hub: Hub,
    repository: Repository,
    listing: Listing,
    snapshot: PathBuf,
}

impl Fetching {
    /// The files to fetch, small ones first.
    fn entries(&self, args: &FetchArgs) -> Result<Vec<Entry>, Fail> {
        let (listing, repository) = (&self.listing, &self.repository);
        if !args.files.is_empty() {
            return needed::named(listing, &args.files, repository);
        }
        let weights = needed::weights(listing, repository)?;
        let mut entries = needed::small(listing);
        match weights {
            Weights::Files(files) => entries.extend(files),
            Weights::Index(index) => {
                let text = match fs::read(self.snapshot.join(&index.name)) {
                    Ok(text) => text,
                    Err(_) => self.hub.text(&index.name, &self.path(&index.name), LONGEST_INDEX)?,
                };
                let shards = hub_cache::shards(&text).ok_or_else(|| {
                    Fail::failed(format!(
                        "{}: it is not an index of shards, which has a weight_map",
                        index.name
                    ))
                })?;
                let shards = needed::shards(listing, &index, &shards)?;
                entries.push(index);
                entries.extend(shards);
            }
        }
        Ok(entries)
    }

    /// A file's path on the server, at the commit.
    fn path(&self, name: &str) -> String {
        format!("{}/resolve/{}/{}", self.repository, self.listing.commit, encoded(name, true))
    }

    /// What is to be done about a file.
    fn plan(&self, entry: Entry) -> Result<Planned, Fail> {
        let Entry { name, size, hash } = entry;
        if !stays_inside(&name) {
            return Err(needed::outside(&name));
        }
        let path = self.path(&name);
        let (size, etag) = match (size, hash) {
            (Some(size), Some(hash)) => (size, hash),
            (size, hash) => self.described(&name, &path, size, hash)?,
        };
        if !stays_inside(&etag) || etag.contains('/') {
            return Err(needed::outside(&etag));
        }
        let cached = fs::metadata(self.snapshot.join(&name)).is_ok_and(|file| file.len() == size);
        Ok(Planned { wanted: Wanted { name, size, etag, path }, cached })
    }

    /// Size and hash of a file that the list does not have, from the headers of the file itself.
    fn described(
        &self,
        name: &str,
        path: &str,
        size: Option<u64>,
        hash: Option<String>,
    ) -> Result<(u64, String), Fail> {
        let mut patience = Patience::new();
        let headers = loop {
            match self.hub.head(name, path) {
                Ok(answer) => break answer.headers,
                Err(trouble) => patience.wait(name, trouble)?,
            }
        };
        let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
        let length = || if headers.contains_key("location") { None } else { text("content-length") };
        let size = size.or_else(|| text("x-linked-size").or_else(length)?.parse().ok());
        let etag = || text("x-linked-etag").or_else(|| text("etag"));
        let hash = hash.or_else(|| Some(etag()?.trim_start_matches("W/").trim_matches('"').to_string()));
        match (size, hash) {
            (Some(size), Some(hash)) => Ok((size, hash)),
            _ => Err(Fail::failed(format!(
                "{name}: {} names no size and no hash of it, so it cannot be checked",
                self.hub.host()
            ))),
        }
    }

    /// Fetches what is missing; the number of bytes that came.
    fn all(&self, revision: &str, plan: &[Planned], said: &Said<'_>) -> Result<u64, Fail> {
        let total = said.missing();
        said.beginning();
        let mut pace = Pace::new(total);
        for Planned { wanted, .. } in plan.iter().filter(|file| !file.cached) {
            let place = self.snapshot.join(&wanted.name);
            let mut each = |have: u64, new: u64| pace.show(&wanted.name, have, new);
            let fetched = transfer::fetch(&self.hub, &self.repository, wanted, &place, &mut each);
            if fetched.is_err() {
                pace.end();
            }
            if let Some(blob) = fetched? {
                place::put(&self.snapshot, &wanted.name, &blob)?;
            }
            pace.file_done(wanted.size);
        }
        pace.end();
        place::tag();
        place::refer(&self.repository, revision, &self.listing.commit)?;
        if total > 0 {
            let (came, seconds) = (pace.came, pace.seconds());
            let rate = bytes((came as f64 / seconds) as u64);
            say(&format!("{}: {} in {}, {rate}/s", self.repository, bytes(came), duration(seconds)));
        }
        Ok(pace.came)
    }
}

/// Without a network: what the cache has.
fn offline(args: &FetchArgs, repository: &Repository) -> Result<(), Fail> {
    let Some(folder) = repository.snapshot(&args.revision) else {
        return Err(Fail::failed(format!(
            "{repository} ({}): HF_HUB_OFFLINE is set, so nothing is fetched, and it is not in {}; unset it to fetch it",
            args.revision,
            hub_cache::root().display()
        )));
    };
    let missing = match &args.files[..] {
        [] if hub_cache::is_complete(&folder) => None,
        [] => Some("some of its files".to_string()),
        files => files.iter().find(|file| !folder.join(file).is_file()).cloned(),
    };
    if let Some(missing) = missing {
        return Err(Fail::failed(format!(
            "{repository} ({}): HF_HUB_OFFLINE is set, so nothing is fetched, and {} lacks {missing}; unset it to fetch the rest",
            args.revision,
            folder.display()
        )));
    }
    say(&format!("{repository} ({}): HF_HUB_OFFLINE is set; the cache has it", args.revision));
    let path = match &args.files[..] {
        [file] => folder.join(file),
        _ => folder,
    };
    let mut out = Out::new();
    match args.json {
        true => out.json(&json!({"repository": repository.to_string(), "revision": args.revision, "path": path, "fetched_bytes": 0}))?,
        false => writeln!(out, "{}", path.display())?,
    }
    out.done()
}
