//! A snapshot: the files of a commit under their own names, as links to the blobs.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use glass::Error;

use crate::fail::Fail;
use crate::hub_cache::{Repository, is_commit, is_on, root};

use super::files::create;
use super::transfer::Blob;

/// What marks a folder that backups may skip.
const TAG: &str = "\
Signature: 8a477f597d28d172789f06886806bc55
# This file is a cache directory tag, as described at https://bford.info/cachedir/
";

/// Gives a blob its name in the snapshot: as a relative link or, where links are impossible, as the file itself.
pub fn put(snapshot: &Path, name: &str, blob: &Blob) -> Result<(), Fail> {
    let place = snapshot.join(name);
    let folder = place.parent().unwrap_or(snapshot);
    create(folder)?;
    let wrong = |error| Error::io("cannot write", &place, error);
    let etag = blob.path.file_name().unwrap_or_default();
    let part = folder.join(format!(".{}.{}.part", etag.display(), std::process::id()));
    let _ = fs::remove_file(&part);
    let up = "../".repeat(2 + name.matches('/').count());
    let target = Path::new(&up).join("blobs").join(etag);
    if is_on("HF_HUB_DISABLE_SYMLINKS") || link(&target, &part).is_err() {
        // As Hugging Face's programs do: a new blob is moved, so that its bytes are on the disk once; to another one
        // there may be links.
        match blob.is_new {
            true => fs::rename(&blob.path, &part).map_err(wrong)?,
            false => fs::copy(&blob.path, &part).map(drop).map_err(wrong)?,
        }
    }
    fs::rename(&part, &place).map_err(wrong)?;
    Ok(())
}

#[cfg(unix)]
fn link(target: &Path, at: &Path) -> io::Result<()> {
    std::os::unix::fs::symlink(target, at)
}

#[cfg(windows)]
fn link(target: &Path, at: &Path) -> io::Result<()> {
    std::os::windows::fs::symlink_file(target, at)
}

#[cfg(not(any(unix, windows)))]
fn link(_: &Path, _: &Path) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

/// Writes down which commit a branch or a tag is; all at once, for a reader at the same moment.
pub fn refer(repository: &Repository, revision: &str, commit: &str) -> Result<(), Fail> {
    if is_commit(revision) {
        return Ok(());
    }
    let path = repository.folder().join("refs").join(revision);
    if fs::read_to_string(&path).is_ok_and(|before| before == commit) {
        return Ok(());
    }
    create(path.parent().unwrap_or(&path))?;
    let part = PathBuf::from(format!("{}.{}.tmp", path.display(), std::process::id()));
    fs::write(&part, commit).map_err(|error| Error::io("cannot write", &part, error))?;
    fs::rename(&part, &path).map_err(|error| Error::io("cannot write", &path, error))?;
    Ok(())
}

/// Marks the cache as one.
pub fn tag() {
    let path = root().join("CACHEDIR.TAG");
    if !path.exists() {
        // It is a courtesy: a cache without it works.
        let _ = fs::write(path, TAG);
    }
}
