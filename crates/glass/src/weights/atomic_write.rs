//! Files replaced as one: all are written aside and synced before the first is renamed into its place. Where the disk is
//! full or the program is stopped before that, every old file is still whole.

use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use crate::{Error, Result};

/// Files of one directory, written aside.
pub(crate) struct AtomicWrite {
    dir: PathBuf,
    /// Names that still stand aside.
    waiting: Vec<String>,
}

impl AtomicWrite {
    /// In `dir`, which is made where it is missing.
    pub fn new(dir: &Path) -> Result<AtomicWrite> {
        fs::create_dir_all(dir).map_err(|e| Error::io("cannot create the directory", dir, e))?;
        Ok(AtomicWrite { dir: dir.to_path_buf(), waiting: Vec::new() })
    }

    /// Writes `name` aside.
    pub fn write(
        &mut self,
        name: &str,
        write: impl FnOnce(&mut dyn FnMut(&[u8]) -> Result<()>) -> Result<()>,
    ) -> Result<()> {
        const DOING: &str = "cannot write (what was saved before is still whole)";
        let path = self.aside(name);
        let failed = |e| Error::io(DOING, &path, e);
        self.waiting.push(name.to_string());
        let mut file = BufWriter::with_capacity(1 << 20, File::create(&path).map_err(failed)?);
        write(&mut |bytes| file.write_all(bytes).map_err(failed))?;
        let file = file.into_inner().map_err(|e| failed(e.into_error()))?;
        file.sync_all().map_err(failed)
    }

    /// Renames all into place.
    pub fn commit(mut self) -> Result<()> {
        for name in std::mem::take(&mut self.waiting) {
            let path = self.dir.join(&name);
            fs::rename(self.aside(&name), &path).map_err(|e| Error::io("cannot replace", &path, e))?;
        }
        // A rename lasts once its directory is synced; where directories cannot be opened, they need no syncing.
        if let Ok(dir) = File::open(&self.dir) {
            dir.sync_all().map_err(|e| Error::io("cannot sync", &self.dir, e))?;
        }
        Ok(())
    }

    fn aside(&self, name: &str) -> PathBuf {
        self.dir.join(format!(".{name}.new"))
    }
}

impl Drop for AtomicWrite {
    fn drop(&mut self) {
        for name in &self.waiting {
            let _ = fs::remove_file(self.aside(name));
        }
    }
}
