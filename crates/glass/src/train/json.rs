//! JSON files of a run.

use std::fs;
use std::path::Path;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::atomic_write::replace;
use crate::{Error, Result};

pub(super) fn read_json<T: DeserializeOwned>(path: &Path) -> Result<T> {
    let text = fs::read(path).map_err(|error| Error::io("cannot read", path, error))?;
    serde_json::from_slice(&text).map_err(|error| Error::invalid(path.display(), format!("damaged: {error}")))
}

/// Replaces the file atomically.
pub(super) fn write_json(path: &Path, value: &impl Serialize) -> Result<()> {
    let mut text =
        serde_json::to_vec_pretty(value).map_err(|error| Error::io("cannot write", path, error.into()))?;
    text.push(b'\n');
    replace(path, &text).map_err(|error| Error::io("cannot write", path, error))
}
