//! Where a model's files are: a directory, or data compiled into the program.

use std::path::{Path, PathBuf};

use crate::config::object::read;
use crate::stored::Bytes;
use crate::{Error, Result};

/// The largest text file in a model's directory, in bytes.
pub(super) const LONGEST_TEXT: u64 = 1 << 28;

/// Where a model's files are.
pub(crate) enum Source {
    /// A directory.
    Directory(PathBuf),
    /// Memory.
    Embedded {
        /// The model's name, for error messages.
        name: String,
        /// Files by name.
        files: Vec<(&'static str, &'static [u8])>,
    },
}

impl Source {
    /// The name of a file in error messages.
    pub fn name(&self, file: &str) -> String {
        match self {
            Source::Directory(path) => path.join(file).display().to_string(),
            Source::Embedded { name, .. } => format!("{name}/{file}"),
        }
    }

    /// A file's own name, of its name in error messages.
    pub fn plain(&self, name: &str) -> String {
        let own = match self {
            Source::Directory(path) => Path::new(name).strip_prefix(path).ok().and_then(Path::to_str),
            Source::Embedded { name: model, .. } => {
                name.strip_prefix(model.as_str()).and_then(|rest| rest.strip_prefix('/'))
            }
        };
        own.unwrap_or(name).into()
    }

    /// Whether a file exists.
    pub fn has(&self, file: &str) -> bool {
        match self {
            Source::Directory(path) => path.join(file).exists(),
            Source::Embedded { .. } => self.embedded(file).is_some(),
        }
    }

    /// Reads a small file; a file longer than `longest` bytes is an error; `None` if it is missing.
    pub fn small(&self, file: &str, longest: u64) -> Result<Option<Bytes>> {
        match self {
            Source::Directory(path) => match path.join(file) {
                path if !path.exists() => Ok(None),
                path => Ok(Some(Bytes::Owned(read(&path, longest)?))),
            },
            Source::Embedded { .. } => Ok(self.embedded(file)),
        }
    }

    /// Maps a large file; `None` if it is missing.
    pub fn large(&self, file: &str) -> Result<Option<Bytes>> {
        match self {
            Source::Directory(path) => match path.join(file) {
                path if !path.exists() => Ok(None),
                path => map(&path).map(Some),
            },
            Source::Embedded { .. } => Ok(self.embedded(file)),
        }
    }

    fn embedded(&self, file: &str) -> Option<Bytes> {
        let Source::Embedded { files, .. } = self else { return None };
        files.iter().find(|(name, _)| *name == file).map(|(_, bytes)| Bytes::Static(bytes))
    }
}

pub(crate) fn map(path: &Path) -> Result<Bytes> {
    if path.is_dir() {
        return Err(Error::invalid(path.display(), "is a directory; a file was expected"));
    }
    #[cfg(not(target_family = "wasm"))]
    let bytes = glass_kernels::map::Map::open(path).map(Bytes::Mapped);
    #[cfg(target_family = "wasm")]
    let bytes = std::fs::read(path).map(Bytes::Owned);
    bytes.map_err(|error| Error::io("cannot read", path, error))
}
