//! Files that outlast a power cut.

use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::{Error, Result};

pub(super) fn read_json<T: DeserializeOwned>(path: &Path) -> Result<T> {
    let text = fs::read(path).map_err(|error| Error::io("cannot read", path, error))?;
    serde_json::from_slice(&text).map_err(|error| Error::invalid(path.display(), format!("damaged: {error}")))
}

pub(super) fn write_json(path: &Path, value: &impl Serialize) -> Result<()> {
    let failed = |error| Error::io("cannot write", path, error);
    let mut text = serde_json::to_vec_pretty(value).map_err(|error| failed(error.into()))?;
    text.push(b'\n');
    let mut file = File::create(path).map_err(failed)?;
    file.write_all(&text).map_err(failed)?;
    file.sync_all().map_err(failed)
}

pub(super) fn entries(folder: &Path) -> Result<Vec<PathBuf>> {
    let failed = |error| Error::io("cannot read", folder, error);
    let entries = fs::read_dir(folder).map_err(failed)?;
    let mut paths =
        entries.map(|entry| Ok(entry?.path())).collect::<std::io::Result<Vec<_>>>().map_err(failed)?;
    paths.sort();
    Ok(paths)
}

/// Makes a file's content, or a folder's list of names, outlast a power cut.
pub(super) fn sync(path: &Path) -> Result<()> {
    // Only Unix lets a folder be opened to be synced.
    if path.is_dir() && !cfg!(unix) {
        return Ok(());
    }
    File::open(path).and_then(|file| file.sync_all()).map_err(|error| Error::io("cannot sync", path, error))
}

pub(super) fn rename(from: &Path, to: &Path) -> Result<()> {
    fs::rename(from, to).map_err(|error| Error::io("cannot replace", to, error))?;
    sync(to.parent().unwrap_or(to))
}

pub(super) fn remove(path: &Path) -> Result<()> {
    let removed = if path.is_dir() { fs::remove_dir_all(path) } else { fs::remove_file(path) };
    match removed {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(Error::io("cannot remove", path, error))
        }
        _ => Ok(()),
    }
}
