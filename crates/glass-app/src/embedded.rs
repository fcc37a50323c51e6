//! The small model that comes inside the program.

use glass::weights::folder::Folder;

use crate::fail::Fail;

/// The files of `models/` at build time, by name.
const FILES: &[(&str, &[u8])] = include!(concat!(env!("OUT_DIR"), "/embedded.rs"));

/// What it is called.
pub const NAME: &str = "the model inside";

/// Opens it.
pub fn open() -> Result<Folder, Fail> {
    if FILES.is_empty() {
        return Err(Fail::asked("no MODEL was given, and this build has no model inside; name a directory"));
    }
    Ok(folder()?)
}

/// The same, where it was opened before.
pub fn folder() -> glass::Result<Folder> {
    Folder::embedded(NAME, FILES)
}
