//! The bytes of files: built into the program, read, or mapped.

use std::ops::{Deref, Range};
use std::sync::Arc;

/// A file's bytes.
pub(crate) enum Bytes {
    /// Part of the program.
    Static(&'static [u8]),
    /// Read into memory.
    Owned(Vec<u8>),
    /// Mapped into memory.
    #[cfg(not(target_family = "wasm"))]
    Mapped(glass_kernels::map::Map),
}

impl Bytes {
    /// Releases the memory of a mapped file that was read.
    pub(crate) fn forget(&self) {
        #[cfg(not(target_family = "wasm"))]
        if let Bytes::Mapped(map) = self {
            map.forget();
        }
    }
}

impl AsRef<[u8]> for Bytes {
    fn as_ref(&self) -> &[u8] {
        self
    }
}

impl Deref for Bytes {
    type Target = [u8];
    fn deref(&self) -> &[u8] {
        match self {
            Bytes::Static(bytes) => bytes,
            Bytes::Owned(bytes) => bytes,
            #[cfg(not(target_family = "wasm"))]
            Bytes::Mapped(map) => map,
        }
    }
}

/// A range of a file's bytes, which keeps the file open.
#[derive(Clone)]
pub struct Stored {
    pub(crate) file: Arc<Bytes>,
    pub(crate) range: Range<usize>,
}

impl Stored {
    /// A whole file.
    pub(crate) fn whole(file: Arc<Bytes>) -> Stored {
        let range = 0..file.len();
        Stored { file, range }
    }
}

impl Deref for Stored {
    type Target = [u8];
    fn deref(&self) -> &[u8] {
        &self.file[self.range.clone()]
    }
}
