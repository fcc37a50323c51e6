//! A run's folder, in which every checkpoint is either complete or absent.
//!
//! ```text
//! DIR/                      the model, openable at any time
//! DIR/train/lock            held while a run is going on
//! DIR/train/run.json        settings, model and data: which a resumed run must match
//! DIR/train/log.jsonl       one line per step
//! DIR/train/data.json       the data card
//! DIR/train/data/           token shards of the run's own text, if it is large (see `prepare`)
//! DIR/train/step-00000120/  state.json and the arenas weights.f32, first.f32, second.f32: little-endian, in the
//!                           plan's order
//! ```
//!
//! A checkpoint is written to `step-….part`, every file is synced, the folder is synced, renamed, and its parent is
//! synced: a folder without `.part` is complete, whenever the machine stops. A checkpoint to be removed is renamed
//! to `.part` first. Everything that ends in `.part` is a leftover and is removed when the run is opened again.

use std::fs::{self, File, TryLockError};
use std::path::{Path, PathBuf};

use crate::atomic_write;
use crate::backend::Backend;
use crate::train::checkpoint::{self, State};
use crate::train::json::{read_json, write_json};
use crate::train::learner::Learner;
use crate::train::learner::settings::{Change, Identity, Settings};
use crate::weights::adapter::file as adapter;
use crate::{Error, Result};

/// A run's folder, locked for this run as long as the value exists.
pub struct Folder {
    train: PathBuf,
    changes: Vec<Change>,
    before: Option<Settings>,
    _lock: File,
}

impl Folder {
    /// Begins a run in `dir`, which must not hold a run, nor a model that the run would replace.
    pub fn create(dir: &Path, identity: &Identity) -> Result<Folder> {
        Folder::is_free(dir)?;
        let folder = Folder::lock(dir)?;
        // Checked again: another run may have begun and ended in between.
        Folder::is_free(dir)?;
        folder.tidy()?;
        folder.set_identity(identity)?;
        Ok(folder)
    }

    /// Refuses a folder that holds a run, or a model that a run would replace.
    pub fn is_free(dir: &Path) -> Result<()> {
        if dir.join("train").join("run.json").exists() {
            let why = "this folder already holds a run; add `resume` to continue it, or choose another `out`";
            return Err(Error::invalid_argument(dir.display(), why));
        }
        if dir.join("config.json").exists() || adapter::is_in(dir) {
            let why = "this folder already holds a model, which the run would replace; choose another `out`";
            return Err(Error::invalid_argument(dir.display(), why));
        }
        Ok(())
    }

    /// Opens the run in `dir` again, if `identity` is allowed to continue it.
    pub fn open(dir: &Path, identity: &Identity) -> Result<Folder> {
        Folder::identity(dir)?;
        let mut folder = Folder::lock(dir)?;
        let began = Folder::identity(dir)?;
        folder.changes = began.continues(identity)?;
        if identity.settings.steps != began.settings.steps {
            Folder::can_end(dir, identity.settings.steps)?;
        }
        folder.tidy()?;
        // Where the weights at the start are the reference, they matter to the end.
        if folder.steps()?.is_empty() || identity.settings.has_reference() {
            began.starts(identity)?;
        }
        folder.set_identity(&Identity { start: began.start, ..identity.clone() })?;
        folder.before = Some(began.settings);
        Ok(folder)
    }

    /// The identity of the run in `dir`.
    pub fn identity(dir: &Path) -> Result<Identity> {
        let path = dir.join("train").join("run.json");
        if !path.exists() {
            let why = "this folder holds no run to resume; leave out `resume` to begin one";
            return Err(Error::invalid_argument(dir.display(), why));
        }
        read_json(&path)
    }

    /// Refuses to end the run in `dir` after `steps`, if as many were taken already and others were planned.
    pub fn can_end(dir: &Path, steps: u64) -> Result<()> {
        let planned = Folder::identity(dir)?.settings.steps;
        let taken = checkpoints(dir)?.last().map_or(0, |(step, _)| *step);
        if steps <= taken && steps != planned {
            let steps = if taken == 1 { "step was" } else { "steps were" };
            let why = format!("{taken} {steps} already taken; give more than {taken}");
            return Err(Error::invalid_argument("steps", why));
        }
        Ok(())
    }

    fn lock(dir: &Path) -> Result<Folder> {
        let train = dir.join("train");
        fs::create_dir_all(&train).map_err(|error| Error::io("cannot create the folder", &train, error))?;
        let path = train.join("lock");
        let lock = File::options().create(true).append(true).open(&path);
        let lock = lock.map_err(|error| Error::io("cannot open", &path, error))?;
        match lock.try_lock() {
            Ok(()) => Ok(Folder { train, changes: Vec::new(), before: None, _lock: lock }),
            Err(TryLockError::WouldBlock) => {
                let why = "another run is using this folder; wait until it ends, or choose another `out`";
                Err(Error::invalid_argument(dir.display(), why))
            }
            Err(TryLockError::Error(error)) => Err(Error::io("cannot lock", &path, error)),
        }
    }

    /// The settings that changed when the run was resumed, and all settings as they were before.
    pub fn changes(&self) -> Option<(&[Change], &Settings)> {
        self.before.as_ref().filter(|_| !self.changes.is_empty()).map(|before| (&self.changes[..], before))
    }

    fn set_identity(&self, identity: &Identity) -> Result<()> {
        write_json(&self.train.join("run.json"), identity)
    }

    /// Removes incomplete leftovers.
    fn tidy(&self) -> Result<()> {
        for path in entries(&self.train)? {
            if path.extension().is_some_and(|ending| ending == "part") {
                remove(&path)?;
            }
        }
        Ok(())
    }

    /// Where the log is.
    pub fn log(&self) -> PathBuf {
        self.train.join("log.jsonl")
    }

    /// Where the checkpoint after `step` is.
    pub fn at(&self, step: u64) -> PathBuf {
        in_train(&self.train, step)
    }

    /// The steps after which there is a checkpoint, ascending.
    pub fn steps(&self) -> Result<Vec<u64>> {
        steps_in(&self.train)
    }

    /// Saves a checkpoint. If that fails (a full disk), the incomplete one is removed and all others stay as they
    /// are.
    pub fn save<B: Backend>(&self, learner: &Learner<B>, state: &State) -> Result<()> {
        let path = self.at(state.step);
        let part = path.with_extension("part");
        remove(&part)?;
        let written = checkpoint::write(&part, learner, state).and_then(|()| {
            remove_atomically(&path)?;
            rename(&part, &path)
        });
        if written.is_err() {
            let _ = fs::remove_dir_all(&part);
        }
        written
    }

    /// Loads the checkpoint after `step` into `learner`.
    pub fn load<B: Backend>(&self, learner: &mut Learner<B>, step: u64) -> Result<State> {
        checkpoint::read(&self.at(step), learner)
    }

    /// Removes all checkpoints except the one just saved, the best, and the last `keep` of those that `scheduled`
    /// calls regular.
    pub fn prune(&self, state: &State, keep: usize, scheduled: impl Fn(u64) -> bool) -> Result<()> {
        let steps = self.steps()?;
        let mut kept: Vec<u64> =
            steps.iter().rev().copied().filter(|&step| scheduled(step)).take(keep).collect();
        kept.push(state.step);
        kept.extend(state.best.map(|best| best.step));
        steps
            .into_iter()
            .filter(|step| !kept.contains(step))
            .try_for_each(|step| remove_atomically(&self.at(step)))
    }
}

/// The checkpoints of the run in `dir`, even while it is running: step and folder, ascending.
///
/// # Errors
/// If the folder cannot be read, or holds no run.
pub fn checkpoints(dir: &Path) -> Result<Vec<(u64, PathBuf)>> {
    let train = dir.join("train");
    if !train.join("run.json").exists() {
        return Err(Error::invalid_argument(
            dir.display(),
            "this folder holds no run; name the folder that a training wrote (its `out`)",
        ));
    }
    Ok(steps_in(&train)?.into_iter().map(|step| (step, in_train(&train, step))).collect())
}

/// Where the checkpoint after `step` of the run in `dir` is.
pub fn step_folder(dir: &Path, step: u64) -> PathBuf {
    in_train(&dir.join("train"), step)
}

fn in_train(train: &Path, step: u64) -> PathBuf {
    train.join(format!("step-{step:08}"))
}

fn steps_in(train: &Path) -> Result<Vec<u64>> {
    let mut steps: Vec<u64> = entries(train)?
        .iter()
        .filter_map(|path| path.file_name()?.to_str()?.strip_prefix("step-")?.parse().ok())
        .collect();
    steps.sort_unstable();
    Ok(steps)
}

/// Removes a checkpoint such that it never exists in part under its name.
fn remove_atomically(path: &Path) -> Result<()> {
    if !path.exists() {
        return Ok(());
    }
    let part = path.with_extension("gone.part");
    remove(&part)?;
    rename(path, &part)?;
    remove(&part)
}

fn rename(from: &Path, to: &Path) -> Result<()> {
    atomic_write::rename(from, to).map_err(|error| Error::io("cannot replace", to, error))
}

fn remove(path: &Path) -> Result<()> {
    let removed = if path.is_dir() { fs::remove_dir_all(path) } else { fs::remove_file(path) };
    match removed {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(Error::io("cannot remove", path, error))
        }
        _ => Ok(()),
    }
}

/// The contents of a folder, sorted by name.
fn entries(folder: &Path) -> Result<Vec<PathBuf>> {
    let failed = |error| Error::io("cannot read", folder, error);
    let entries = fs::read_dir(folder).map_err(failed)?;
    let mut paths =
        entries.map(|entry| Ok(entry?.path())).collect::<std::io::Result<Vec<_>>>().map_err(failed)?;
    paths.sort();
    Ok(paths)
}
