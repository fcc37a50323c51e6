//! What comes with the library: a small model, and a text that a first training can learn from (feature `built-in`).
//!
//! The model was trained on TinyStories by this library; `models/README.md` says how. The text is stories that this model
//! wrote, so it is ours; `tools/sample_text.py` writes it anew.

use crate::Result;
use crate::weights::folder::Folder;

/// The files of `models/` when the library was built, by name.
pub const FILES: &[(&str, &[u8])] = include!(concat!(env!("OUT_DIR"), "/built_in.rs"));

/// What the built-in model is called.
pub const NAME: &str = "the built-in model";

/// Stories, with `<|endoftext|>` between them.
pub const SAMPLE: &str = include_str!("built_in/sample.txt");

/// Opens the built-in model; `None` where the library was built without the files of one.
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
