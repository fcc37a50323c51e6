//! The library's error type. An error reads as one sentence: which file, field or tensor, what was found, what to do.

use std::fmt;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

/// The library's result.
pub type Result<T> = std::result::Result<T, Error>;

/// What can go wrong.
#[derive(Debug)]
pub enum Error {
    /// The operating system refused something about a file.
    Io {
        /// The operation that failed, as in "cannot read".
        doing: &'static str,
        /// The file.
        path: PathBuf,
        /// The system's error.
        source: std::io::Error,
    },
    /// A file, field or tensor is not what it should be.
    Invalid {
        /// Its path or name.
        what: String,
        /// What was found, what was expected, what to do.
        why: String,
    },
    /// An argument is not possible.
    InvalidArgument {
        /// The argument or field.
        what: String,
        /// Why it is not possible, and what to do.
        why: String,
    },
    /// Memory could not be allocated.
    Memory {
        /// What it was for.
        what: String,
        /// How many bytes.
        bytes: usize,
    },
}

impl Error {
    /// An error of the operating system about `path`.
    pub fn io(doing: &'static str, path: impl AsRef<Path>, source: std::io::Error) -> Self {
        Error::Io { doing, path: path.as_ref().to_path_buf(), source }
    }

    /// Something named `what` is not as it should be.
    pub fn invalid(what: impl fmt::Display, why: impl fmt::Display) -> Self {
        Error::Invalid { what: what.to_string(), why: why.to_string() }
    }

    /// An argument is not possible.
    pub fn invalid_argument(what: impl fmt::Display, why: impl fmt::Display) -> Self {
        Error::InvalidArgument { what: what.to_string(), why: why.to_string() }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::Io { doing, path, source } => {
                let is_missing = source.kind() == ErrorKind::NotFound;
                let why = match is_missing && (doing.contains("write") || doing.contains("make")) {
                    true => "its folder does not exist; make that first".into(),
                    false => reason(source),
                };
                write!(f, "{doing} {}: {why}", path.display())
            }
            Error::Invalid { what, why } | Error::InvalidArgument { what, why } => write!(f, "{what}: {why}"),
            Error::Memory { what, bytes } => {
                write!(f, "{what}: {bytes} bytes of memory could not be allocated")
            }
        }
    }
}

/// The operating system's refusal in words, without its number.
pub fn reason(error: &std::io::Error) -> String {
    match error.kind() {
        ErrorKind::NotFound => "there is no such file or folder".into(),
        ErrorKind::IsADirectory => "it is a folder, and a file is needed".into(),
        ErrorKind::NotADirectory => "a file is in the place of one of its folders".into(),
        ErrorKind::PermissionDenied => "permission is denied".into(),
        ErrorKind::StorageFull => "no space is left on the disk".into(),
        _ => {
            let text = error.to_string();
            text.split_once(" (os error").map_or(text.as_str(), |(text, _)| text).into()
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Error::Io { source, .. } => Some(source),
            _ => None,
        }
    }
}
