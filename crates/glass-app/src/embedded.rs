//! The small model that is built in.

use glass::weights::folder::Folder;

use crate::fail::Fail;

/// The files of `models/` at build time, by name.
const FILES: &[(&str, &[u8])] = include!(concat!(env!("OUT_DIR"), "/embedded.rs"));

/// Its name in messages.
pub const NAME: &str = "the built-in model";

/// Opens it; an error if the program was built without one.
pub fn open() -> Result<Folder, Fail> {
    if FILES.is_empty() {
        return Err(Fail::asked(
            "no MODEL was given, and this program was built without a model; name a model's folder",
        ));
    }
    Ok(folder()?)
}

/// Opens it, where [`open`] has succeeded before.
pub fn folder() -> glass::Result<Folder> {
    Folder::embedded(NAME, FILES)
}
