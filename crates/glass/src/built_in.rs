//! The built-in model, and a text for a first training (feature `built-in`).
//!
//! The model was trained on TinyStories by this library (see `models/README.md`). The text consists of stories that
//! an earlier version of the model wrote, so it is free to use; `tools/sample_text.py` generates it.

use crate::Result;
use crate::weights::folder::Folder;

/// The files of `models/` when the library was built, by name.
pub static FILES: &[(&str, &[u8])] = include!(concat!(env!("OUT_DIR"), "/built_in.rs"));

/// The name of the built-in model in messages.
pub const NAME: &str = "the built-in model";

/// Stories, with `<|endoftext|>` between them.
pub const SAMPLE: &str = include_str!("built_in/sample.txt");

/// Opens the built-in model; `None` if the library was built without its files.
///
/// ```
/// # fn main() -> glass::Result<()> {
/// let folder = glass::built_in::model().expect("this build has a model")?;
/// assert_eq!(folder.config().context, 512);
/// # Ok(())
/// # }
/// ```
pub fn model() -> Option<Result<Folder>> {
    (!FILES.is_empty()).then(|| Folder::embedded(NAME, FILES))
}
