//! What is said about a fetch, before and after.

use std::io::Write as _;
use std::path::PathBuf;

use serde_json::json;

use crate::args::FetchArgs;
use crate::fail::{Fail, say};
use crate::out::{Out, bytes, count};

use super::{Fetching, Planned};

/// What is said about a fetch.
pub struct Said<'a> {
    /// What was asked for.
    pub args: &'a FetchArgs,
    /// The repository.
    pub fetching: &'a Fetching,
    /// Its files.
    pub plan: &'a [Planned],
}

impl Said<'_> {
    /// The bytes that the cache does not have.
    pub fn missing(&self) -> u64 {
        self.plan.iter().filter(|file| !file.cached).map(|file| file.wanted.size).sum()
    }

    fn size(&self) -> u64 {
        self.plan.iter().map(|file| file.wanted.size).sum()
    }

    /// The model and its commit.
    fn name(&self) -> String {
        let Fetching { repository, listing, .. } = self.fetching;
        format!("{repository} ({}, {})", self.args.revision, &listing.commit[..7])
    }

    /// What is about to happen.
    pub fn beginning(&self) {
        let missing = self.plan.iter().filter(|file| !file.cached).count();
        let (name, files) = (self.name(), count(self.plan.len(), "file"));
        match missing {
            0 => say(&format!("{name}: the cache has all of it, {files}, {}", bytes(self.size()))),
            _ if missing == self.plan.len() => {
                say(&format!("{name}: fetching {files}, {}", bytes(self.missing())))
            }
            _ => say(&format!("{name}: fetching {missing} of {files}, {}", bytes(self.missing()))),
        }
    }

    /// The folder, or the file if it was named.
    fn path(&self) -> PathBuf {
        match &self.args.files[..] {
            [file] => self.fetching.snapshot.join(file),
            _ => self.fetching.snapshot.clone(),
        }
    }

    /// The result, on standard output.
    pub fn result(&self, fetched: u64, seconds: f64) -> Result<(), Fail> {
        let mut out = Out::new();
        let Fetching { repository, listing, .. } = self.fetching;
        if self.args.json {
            let file = |file: &Planned| json!({"name": file.wanted.name, "bytes": file.wanted.size, "cached": file.cached});
            out.json(&json!({
                "repository": repository.to_string(), "revision": self.args.revision, "commit": listing.commit,
                "path": self.path(), "files": self.plan.iter().map(file).collect::<Vec<_>>(),
                "bytes": self.size(), "fetched_bytes": fetched, "seconds": seconds,
            }))?;
        } else if self.args.dry_run {
            self.table(&mut out)?;
        } else {
            writeln!(out, "{}", self.path().display())?;
        }
        out.done()
    }

    fn table(&self, out: &mut Out) -> Result<(), Fail> {
        writeln!(out, "{}", self.name())?;
        for Planned { wanted, cached } in self.plan {
            let cached = if *cached { out.dim(" (in the cache)") } else { String::new() };
            writeln!(out, "{:>12}  {}{cached}", bytes(wanted.size), wanted.name)?;
        }
        writeln!(out, "{:>12}  in all, {} to fetch", bytes(self.size()), bytes(self.missing()))?;
        Ok(())
    }
}
