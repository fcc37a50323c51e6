//! Locks, folders and files in the cache.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::path::Path;

use glass::Error;

use crate::fail::{Fail, say};
use crate::hub_cache::{Repository, root};

/// The lock that Hugging Face's programs take too. Where locks do not exist it is left out: a file is put in place
/// only after it was checked.
pub fn lock(
    repository: &Repository,
    name: &str,
    etag: &str,
    each: &mut dyn FnMut(u64, u64),
) -> Result<Option<File>, Fail> {
    let folder = root().join(".locks").join(repository.folder_name());
    create(&folder)?;
    let path = folder.join(format!("{etag}.lock"));
    let opened = OpenOptions::new().write(true).create(true).truncate(false).open(&path);
    let file = opened.map_err(|error| Error::io("cannot write", &path, error))?;
    match file.try_lock() {
        Ok(()) => Ok(Some(file)),
        Err(fs::TryLockError::WouldBlock) => {
            each(0, 0);
            say(&format!("{name}: another process is fetching it; waiting"));
            Ok(file.lock().is_ok().then_some(file))
        }
        Err(fs::TryLockError::Error(_)) => Ok(None),
    }
}

/// Creates a folder.
pub fn create(folder: &Path) -> Result<(), Fail> {
    Ok(fs::create_dir_all(folder).map_err(|error| Error::io("cannot create the folder", folder, error))?)
}

/// Removes a file, if it exists.
pub fn remove(path: &Path) -> Result<(), Fail> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(Error::io("cannot remove", path, error).into())
        }
        _ => Ok(()),
    }
}
