//! Replaces files and folders atomically: the new content is written under a temporary name in the same folder,
//! synced, and renamed into place. If the disk fills up or the program is stopped before that, the old content is
//! intact.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use crate::{Error, Result};

/// Replaces the file at `path`, or creates it. After a failure the temporary file is removed.
pub fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    replace_by(path, |file| file.write_all(bytes))
}

/// The same with what `write` writes.
pub fn replace_by(path: &Path, write: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> io::Result<()> {
    let part = temporary(path);
    let written = File::create(&part).and_then(|file| {
        let mut file = BufWriter::with_capacity(1 << 20, file);
        write(&mut file)?;
        file.into_inner().map_err(io::IntoInnerError::into_error)?.sync_all()
    });
    let done = written.and_then(|()| rename(&part, path));
    if done.is_err() {
        let _ = fs::remove_file(&part);
    }
    done
}

/// Renames a file or a folder in the same folder, so that the new name survives a power cut.
pub(crate) fn rename(from: &Path, to: &Path) -> io::Result<()> {
    fs::rename(from, to)?;
    sync(folder_of(to))
}

/// Makes a file's content, or a folder's list of names, survive a power cut.
pub(crate) fn sync(path: &Path) -> io::Result<()> {
    // Only Unix can open a folder to sync it; elsewhere a rename needs no syncing.
    if path.is_dir() && !cfg!(unix) {
        return Ok(());
    }
    File::open(path)?.sync_all()
}

/// The folder that a file is in.
fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if parent != Path::new("") => parent,
        _ => Path::new("."),
    }
}

/// The temporary name of `path`.
fn temporary(path: &Path) -> PathBuf {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    path.with_file_name(format!(".{name}.part"))
}

/// Several files of one folder: all are written before the first is renamed. Dropped without a
/// [`commit`](AtomicWrite::commit), it removes what it wrote.
pub(crate) struct AtomicWrite {
    folder: PathBuf,
    /// Files that are written but not renamed yet.
    waiting: Vec<PathBuf>,
}

impl AtomicWrite {
    /// For files in `folder`, which is created if it is missing.
    pub fn new(folder: &Path) -> Result<AtomicWrite> {
        fs::create_dir_all(folder).map_err(|e| Error::io("cannot create the directory", folder, e))?;
        Ok(AtomicWrite { folder: folder.to_path_buf(), waiting: Vec::new() })
    }

    /// Writes the file `name` under its temporary name; `write` gets a function that appends bytes.
    pub fn write(
        &mut self,
        name: &str,
        write: impl FnOnce(&mut dyn FnMut(&[u8]) -> Result<()>) -> Result<()>,
    ) -> Result<()> {
        let path = self.folder.join(name);
        let failed = |e| Error::io("cannot write (what was saved before is intact)", &path, e);
        self.waiting.push(path.clone());
        let file = File::create(temporary(&path)).map_err(failed)?;
        let mut file = BufWriter::with_capacity(1 << 20, file);
        write(&mut |bytes| file.write_all(bytes).map_err(failed))?;
        let file = file.into_inner().map_err(|e| failed(e.into_error()))?;
        file.sync_all().map_err(failed)
    }

    /// Renames all files into place.
    pub fn commit(mut self) -> Result<()> {
        for path in std::mem::take(&mut self.waiting) {
            fs::rename(temporary(&path), &path).map_err(|e| Error::io("cannot replace", &path, e))?;
        }
        sync(&self.folder).map_err(|e| Error::io("cannot sync", &self.folder, e))
    }
}

impl Drop for AtomicWrite {
    fn drop(&mut self) {
        for path in &self.waiting {
            let _ = fs::remove_file(temporary(path));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::{Path, PathBuf};

    use super::{AtomicWrite, folder_of, replace, temporary};

    fn folder(name: &str) -> PathBuf {
        let folder = std::env::temp_dir().join(format!("glass-atomic-{name}-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&folder);
        std::fs::create_dir_all(&folder).unwrap();
        folder
    }

    fn names(folder: &Path) -> Vec<String> {
        let names = std::fs::read_dir(folder).unwrap();
        let mut names: Vec<_> =
            names.map(|e| e.unwrap().file_name().to_string_lossy().into_owned()).collect();
        names.sort();
        names
    }

    #[test]
    fn a_file_is_replaced_and_nothing_is_left_beside_it() {
        let folder = folder("one");
        let file = folder.join("a.json");
        replace(&file, b"first").unwrap();
        replace(&file, b"second").unwrap();
        assert_eq!(std::fs::read(&file).unwrap(), b"second");
        assert_eq!(names(&folder), ["a.json"]);
        // A file cannot replace a folder of that name.
        std::fs::create_dir(folder.join("b")).unwrap();
        std::fs::write(folder.join("b").join("inside"), b"kept").unwrap();
        replace(&folder.join("b"), b"x").unwrap_err();
        assert_eq!(names(&folder), ["a.json", "b"]);
        std::fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn several_files_are_replaced_together_or_not_at_all() {
        let folder = folder("several");
        std::fs::write(folder.join("a"), b"old").unwrap();
        let mut files = AtomicWrite::new(&folder).unwrap();
        files.write("a", |put| put(b"new")).unwrap();
        let refused = files.write("b", |put| {
            put(b"part")?;
            Err(crate::Error::invalid("b", "stops here"))
        });
        assert!(refused.is_err());
        drop(files);
        assert_eq!(std::fs::read(folder.join("a")).unwrap(), b"old");
        assert_eq!(names(&folder), ["a"]);
        let mut files = AtomicWrite::new(&folder).unwrap();
        files.write("a", |put| put(b"new")).unwrap();
        files.write("b", |put| put(b"whole")).unwrap();
        assert_eq!(std::fs::read(folder.join("a")).unwrap(), b"old");
        files.commit().unwrap();
        assert_eq!(std::fs::read(folder.join("a")).unwrap(), b"new");
        assert_eq!(names(&folder), ["a", "b"]);
        std::fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn a_temporary_file_is_beside_the_file() {
        assert_eq!(temporary(Path::new("x/a.json")), Path::new("x/.a.json.part"));
        assert_eq!(temporary(Path::new("a")), Path::new(".a.part"));
        assert_eq!(
            (folder_of(Path::new("a")), folder_of(Path::new("x/a"))),
            (Path::new("."), Path::new("x"))
        );
    }
}
