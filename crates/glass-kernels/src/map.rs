//! Files mapped into memory: opened at once, read on access.

use std::fs::File;
use std::io;
use std::ops::Deref;
use std::path::Path;

/// A file's bytes, mapped for reading. An empty file is an empty slice.
///
/// The map keeps the file open, even if another file is renamed over it or it is removed. If another program
/// truncates the file while it is mapped, the next access to the missing part ends this program; files written by
/// Glass are only ever replaced.
#[derive(Debug)]
pub struct Map(Option<memmap2::Mmap>);

impl Map {
    /// Maps a whole file.
    ///
    /// # Errors
    /// If it cannot be opened or mapped (a folder, a pipe, no such file).
    pub fn open(path: &Path) -> io::Result<Self> {
        // Checked before it is opened: opening a pipe would wait for its writer.
        let about = std::fs::metadata(path)?;
        if !about.is_file() {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "not a regular file"));
        }
        let file = File::open(path)?;
        if about.len() == 0 {
            return Ok(Self(None));
        }
        // SAFETY: the map is private and read-only; that nothing writes to or truncates the file meanwhile is
        // required of every mapped file, and is documented above.
        Ok(Self(Some(unsafe { memmap2::Mmap::map(&file)? })))
    }

    /// Releases the memory of everything read so far; it is read again on the next access.
    pub fn forget(&self) {
        #[cfg(unix)]
        if let Some(map) = &self.0 {
            // SAFETY: nothing writes into the map, so the released memory equals the file. If the system refuses,
            // nothing has changed.
            let _ = unsafe { map.unchecked_advise(memmap2::UncheckedAdvice::DontNeed) };
        }
    }
}

impl Deref for Map {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        self.0.as_deref().unwrap_or_default()
    }
}
