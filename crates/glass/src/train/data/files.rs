//! Decides which files are read, and which of them are for validation.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};

use crate::train::data::Remark;
use crate::{Error, Result};

/// The files named by `paths`: a file itself; for a folder and its subfolders, in sorted order, those with one of
/// the extensions in `endings`. A remark reports what else a folder holds, except hidden files.
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
            && endings.iter().any(|ending| path.extension().is_some_and(|e| e.eq_ignore_ascii_case(ending)))
        {
            found.push(path);
        } else {
            others += 1;
        }
    }
    if others > 0 {
        let what = match others {
            1 => format!("1 file that does not end in .{} is skipped", endings.join(" or .")),
            _ => format!("{others} files that do not end in .{} are skipped", endings.join(" or .")),
        };
        remarks.push(Remark::new(folder, what));
    }
    Ok(())
}

/// Files by purpose.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Roles {
    /// For training.
    pub train: Vec<PathBuf>,
    /// For validation; never learned.
    pub validation: Vec<PathBuf>,
    /// Decisions that were made because of a file's name.
    pub remarks: Vec<Remark>,
}

/// The purpose of a file, by its name.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Role {
    Train,
    Validation,
    Test,
}

/// Sorts `files`, which [`find`] found under `paths`, by their names: `val.bin`, `fineweb_val_000000.bin`,
/// `validation.jsonl`, `dev.txt` and everything in a folder `valid` are for validation and never learned. Files
/// named `test` are used for validation if there are no others, and ignored otherwise. With `others`, validation
/// data is given elsewhere, and all of these are ignored.
///
/// A file that is named in `paths` itself, not through its folder, is sorted only if another file's name contains
/// `train`, as in `*.bin` for nanoGPT's `train.bin` and `val.bin`.
///
/// # Errors
/// If nothing is left to train on.
pub fn by_role(paths: &[PathBuf], files: Vec<PathBuf>, others: bool) -> Result<Roles> {
    let folders: Vec<&PathBuf> = paths.iter().filter(|path| path.is_dir()).collect();
    let role_of = |file: &PathBuf| match folders.iter().find_map(|folder| file.strip_prefix(folder).ok()) {
        Some(inside) => (role(inside), true),
        None => (role(Path::new(file.file_name().unwrap_or_default())), false),
    };
    let has_train = files.iter().any(|file| role_of(file).0 == Some(Role::Train));
    let (mut roles, mut tests) = (Roles::default(), Vec::new());
    for file in files {
        match role_of(&file) {
            (Some(Role::Validation), in_folder) if in_folder || has_train => roles.validation.push(file),
            (Some(Role::Test), in_folder) if in_folder || has_train => tests.push(file),
            _ => roles.train.push(file),
        }
    }
    if roles.train.is_empty()
        && let Some(first) = roles.validation.first().or(tests.first())
    {
        let why = "its name says that it is for validation, and there is no other file to train on; to train on \
                   it, name the file itself instead of its folder";
        return Err(Error::invalid(first.display(), why));
    }
    let told = |files: &[PathBuf], what: &str| {
        let first = files.first()?;
        let more = match files.len() {
            1 => String::new(),
            2 => " (and so is one more file)".into(),
            len => format!(" (and so are {} more files)", len - 1),
        };
        Some(Remark::new(first, format!("by its name it is {what}{more}")))
    };
    if others {
        roles.validation.append(&mut tests);
        let what = "for validation: it is not learned, and not validated on either";
        roles.remarks.extend(told(&std::mem::take(&mut roles.validation), what));
        return Ok(roles);
    }
    if roles.validation.is_empty() {
        roles.validation = std::mem::take(&mut tests);
    }
    roles.remarks.extend(told(&roles.validation, "for validation: it is validated on and not learned"));
    roles.remarks.extend(told(&tests, "a test: it is neither learned nor validated on"));
    Ok(roles)
}

/// The purpose given by a file's path: by the names of its folders, and by the words in its own name.
fn role(path: &Path) -> Option<Role> {
    let lower = |name: &OsStr| name.to_string_lossy().to_lowercase();
    let folders = path.parent().into_iter().flat_map(Path::iter);
    if let Some(role) = folders.map(lower).find_map(|folder| word(&folder)) {
        return Some(role);
    }
    let stem = lower(path.file_stem()?);
    let parts = stem.split(|c: char| !c.is_alphanumeric());
    // The numbers of shards are ignored: validation-00000-of-00001.
    let is_name = |part: &&str| part.contains(|c: char| !c.is_ascii_digit()) && *part != "of";
    let words: Vec<&str> =
        parts.filter(is_name).map(|part| part.trim_end_matches(|c: char| c.is_ascii_digit())).collect();
    let plain = words.iter().find(|part| ["val", "valid", "validation", "train", "training"].contains(part));
    let outer = [words.first(), words.last()].into_iter().flatten();
    plain.into_iter().chain(outer).find_map(|part| word(part))
}

fn word(word: &str) -> Option<Role> {
    match word {
        "train" | "training" => Some(Role::Train),
        "val" | "valid" | "validation" | "dev" | "eval" => Some(Role::Validation),
        "test" => Some(Role::Test),
        _ => None,
    }
}

/// `files` without those in `others`, so that nothing is both learned and validated on.
pub fn without(files: Vec<PathBuf>, others: &[PathBuf]) -> (Vec<PathBuf>, Vec<Remark>) {
    let others: Vec<_> = others.iter().filter_map(|path| path.canonicalize().ok()).collect();
    let (removed, kept): (Vec<_>, Vec<_>) =
        files.into_iter().partition(|path| path.canonicalize().is_ok_and(|path| others.contains(&path)));
    let what = "used for validation, so it is not learned from";
    let remarks = removed.iter().map(|path| Remark::new(path, what)).collect();
    (kept, remarks)
}
