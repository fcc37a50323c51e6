//! Which files are read.

use std::fs;
use std::path::{Path, PathBuf};

use super::data::Remark;
use crate::{Error, Result};

/// The files behind `paths`: a file as it is; of a folder and its folders, in sorted order, those that end in one of
/// `endings`. What a folder holds besides is remarked, except hidden files.
pub fn find(paths: &[PathBuf], endings: &[&str]) -> Result<(Vec<PathBuf>, Vec<Remark>)> {
    let (mut found, mut remarks) = (Vec::new(), Vec::new());
    for path in paths {
        let about = fs::metadata(path).map_err(|error| Error::io("cannot read", path, error))?;
        if about.is_dir() {
            let before = found.len();
            walk(path, endings, &mut found, &mut remarks)?;
            if found.len() == before {
                let why = format!("no file in this folder ends in .{}", endings.join(" or ."));
                return Err(Error::invalid(path.display(), why));
            }
        } else if about.is_file() {
            found.push(path.clone());
        } else {
            return Err(Error::invalid(
                path.display(),
                "neither a file nor a folder; data is read from these",
            ));
        }
    }
    Ok((found, remarks))
}

fn walk(folder: &Path, endings: &[&str], found: &mut Vec<PathBuf>, remarks: &mut Vec<Remark>) -> Result<()> {
    let refused = |error| Error::io("cannot read", folder, error);
    let entries = fs::read_dir(folder).map_err(refused)?;
    let mut entries = entries.collect::<std::io::Result<Vec<_>>>().map_err(refused)?;
    entries.sort_by_key(fs::DirEntry::file_name);
    let mut others = 0;
    for entry in entries {
        let path = entry.path();
        let linked = entry.file_type().map_err(refused)?.is_symlink();
        if entry.file_name().to_string_lossy().starts_with('.') {
            continue;
        } else if path.is_dir() && linked {
            remarks.push(Remark::new(&path, "a link to a folder, skipped"));
        } else if path.is_dir() {
            walk(&path, endings, found, remarks)?;
        } else if path.is_file()
            && endings.iter().any(|ending| path.extension().is_some_and(|e| e == *ending))
        {
            found.push(path);
        } else {
            others += 1;
        }
    }
    if others > 0 {
        let what = format!("{others} files that do not end in .{} skipped", endings.join(" or ."));
        remarks.push(Remark::new(folder, what));
    }
    Ok(())
}

/// `files` without those that are also among `others`, so that nothing is both learned and validated on.
pub fn without(files: Vec<PathBuf>, others: &[PathBuf]) -> (Vec<PathBuf>, Vec<Remark>) {
    let others: Vec<_> = others.iter().filter_map(|path| path.canonicalize().ok()).collect();
    let (removed, kept): (Vec<_>, Vec<_>) =
        files.into_iter().partition(|path| path.canonicalize().is_ok_and(|path| others.contains(&path)));
    let what = "validates, so it is not learned from";
    let remarks = removed.iter().map(|path| Remark::new(path, what)).collect();
    (kept, remarks)
}
