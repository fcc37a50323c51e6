//! Files mapped into memory: opened at once, read when touched.

use std::fs::File;
use std::io;
use std::ops::Deref;
use std::path::Path;

/// A file's bytes, mapped for reading. An empty file is an empty slice.
///
/// The map keeps the file open, also when it is replaced by renaming another over it or removed. A file that another
/// program shortens in place while it is mapped ends this one at the next touch of what is gone; files of ours are
/// only ever replaced.
#[derive(Debug)]
pub struct Map(Option<memmap2::Mmap>);

impl Map {
    /// Maps a whole file.
    ///
    /// # Errors
    /// Where it cannot be opened or mapped (a folder, a pipe, no such file).
    pub fn open(path: &Path) -> io::Result<Self> {
        // Asked before it is opened: opening a pipe waits for whoever writes into it.
        let about = std::fs::metadata(path)?;
        if !about.is_file() {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "not a regular file"));
        }
        let file = File::open(path)?;
        if about.len() == 0 {
            return Ok(Self(None));
        }
        // SAFETY: the map is private to us and only read; that nobody writes into or shortens the file meanwhile is
        // what every mapped file asks of its neighbours, and is documented above.
        Ok(Self(Some(unsafe { memmap2::Mmap::map(&file)? })))
    }

    /// Gives back the memory of what was read so far; what is touched again is read again.
    pub fn forget(&self) {
        #[cfg(unix)]
        if let Some(map) = &self.0 {
            // SAFETY: nobody writes into the map, so that what is forgotten is what the file holds. Where the system
            // refuses, nothing has changed.
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
