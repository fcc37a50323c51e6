//! The built-in model.

use glass::built_in;
use glass::weights::folder::Folder;

use crate::fail::Fail;

/// Its name in messages.
pub const NAME: &str = built_in::NAME;

/// Opens it.
pub fn open() -> Result<Folder, Fail> {
    match built_in::model() {
        Some(folder) => Ok(folder?),
        None => Err(Fail::asked(
            "no MODEL was given, and this program was built without a built-in model; name a model's folder",
        )),
    }
}

/// The same, for a model that was opened before.
pub fn folder() -> glass::Result<Folder> {
    Folder::embedded(NAME, built_in::FILES)
}
