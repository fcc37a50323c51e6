//! A run's folder: checkpoints that are whole or not there.
//!
//! ```text
//! DIR/                      the model, openable at any time
//! DIR/train/lock            held while a run is going on
//! DIR/train/run.json        settings, model and data: what a resumed run must agree with
//! DIR/train/log.jsonl       one line per step
//! DIR/train/step-00000120/  state.json and the arenas weights.f32, first.f32, second.f32: little-endian, in the
//!                           plan's order
//! ```
//!
//! A checkpoint is written to `step-….part`, every file synced, the folder synced, renamed, and its parent synced: a
//! folder without `.part` is whole, whenever the machine stops. One that goes is renamed to `.part` first. Whatever
//! ends in `.part` is a leftover and removed when the run is opened again.

use std::fs::{self, File, TryLockError};
use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::learner::{Arena, Learner};
use super::settings::Identity;
use super::spikes::Spikes;
use crate::backend::Backend;
use crate::{Error, Result};

/// Where a run stands besides its arenas: all that the next step depends on, or that is decided by what went before.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct State {
    /// The last step taken.
    pub step: u64,
    /// Tokens seen so far.
    pub tokens: u64,
    /// The best evaluation so far.
    pub best: Option<Best>,
    /// Evaluations since.
    pub waited: u64,
    /// The recent losses.
    pub spikes: Spikes,
}

/// The best evaluation of a run.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Best {
    /// After which step.
    pub step: u64,
    /// Mean nats per token.
    pub loss: f64,
}

/// What `state.json` holds: the state, and the fingerprints of the arenas beside it.
#[derive(Serialize, Deserialize)]
struct Saved {
    #[serde(flatten)]
    state: State,
    weights: String,
    first: String,
    second: String,
}

const ARENAS: [(Arena, &str); 3] =
    [(Arena::Weights, "weights.f32"), (Arena::First, "first.f32"), (Arena::Second, "second.f32")];

/// A run's folder, locked for this run as long as the value lives.
pub struct Folder {
    train: PathBuf,
    _lock: File,
}

impl Folder {
    /// Begins a run in `dir`, which holds none yet.
    pub fn create(dir: &Path, identity: &Identity) -> Result<Folder> {
        let folder = Folder::lock(dir)?;
        if folder.train.join("run.json").exists() {
            let why =
                "this folder already holds a run; add --resume to go on with it, or choose another --out";
            return Err(Error::asked(dir.display(), why));
        }
        if dir.join("config.json").exists() {
            let why = "this folder already holds a model, which the run would replace; choose another --out";
            return Err(Error::asked(dir.display(), why));
        }
        folder.tidy()?;
        folder.set_identity(identity)?;
        Ok(folder)
    }

    /// Opens the run in `dir` again, if `identity` may go on with it.
    pub fn open(dir: &Path, identity: &Identity) -> Result<Folder> {
        Folder::identity(dir)?;
        let folder = Folder::lock(dir)?;
        Folder::identity(dir)?.continues(identity)?;
        folder.tidy()?;
        folder.set_identity(identity)?;
        Ok(folder)
    }

    /// What the run in `dir` was asked to do.
    pub fn identity(dir: &Path) -> Result<Identity> {
        let path = dir.join("train").join("run.json");
        if !path.exists() {
            let why = "this folder holds no run to resume; leave --resume out to begin one";
            return Err(Error::asked(dir.display(), why));
        }
        read_json(&path)
    }

    fn lock(dir: &Path) -> Result<Folder> {
        let train = dir.join("train");
        fs::create_dir_all(&train).map_err(|error| Error::io("cannot make the folder", &train, error))?;
        let path = train.join("lock");
        let lock = File::options().create(true).append(true).open(&path);
        let lock = lock.map_err(|error| Error::io("cannot open", &path, error))?;
        match lock.try_lock() {
            Ok(()) => Ok(Folder { train, _lock: lock }),
            Err(TryLockError::WouldBlock) => {
                let why =
                    "another run is going on in this folder; wait until it ends, or choose another --out";
                Err(Error::asked(dir.display(), why))
            }
            Err(TryLockError::Error(error)) => Err(Error::io("cannot lock", &path, error)),
        }
    }

    fn set_identity(&self, identity: &Identity) -> Result<()> {
        let path = self.train.join("run.json");
        let aside = self.train.join("run.json.part");
        write_json(&aside, identity)?;
        rename(&aside, &path)
    }

    /// Removes what was left half done.
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
        self.train.join(format!("step-{step:08}"))
    }

    /// The steps after which there is a checkpoint, ascending.
    pub fn steps(&self) -> Result<Vec<u64>> {
        let mut steps: Vec<u64> = entries(&self.train)?
            .iter()
            .filter_map(|path| path.file_name()?.to_str()?.strip_prefix("step-")?.parse().ok())
            .collect();
        steps.sort_unstable();
        Ok(steps)
    }

    /// Saves a checkpoint. Where that fails (a full disk), what was begun is removed and all others stay as they are.
    pub fn save<B: Backend>(&self, learner: &Learner<B>, state: &State) -> Result<()> {
        let path = self.at(state.step);
        let aside = path.with_extension("part");
        remove(&aside)?;
        let written = write_checkpoint(&aside, learner, state).and_then(|()| {
            remove_aside(&path)?;
            rename(&aside, &path)
        });
        if written.is_err() {
            let _ = fs::remove_dir_all(&aside);
        }
        written
    }

    /// Puts the checkpoint after `step` into `learner`.
    pub fn load<B: Backend>(&self, learner: &mut Learner<B>, step: u64) -> Result<State> {
        let folder = self.at(step);
        let saved: Saved = read_json(&folder.join("state.json"))?;
        for ((arena, name), expected) in ARENAS.into_iter().zip([&saved.weights, &saved.first, &saved.second])
        {
            let path = folder.join(name);
            let (values, found) = read_arena(&path, learner.plan().len())?;
            if found != *expected {
                let why = format!(
                    "its fingerprint is {found}, but {expected} was saved: it is damaged; remove the folder {} to \
                     resume from the checkpoint before",
                    folder.display()
                );
                return Err(Error::invalid(path.display(), why));
            }
            learner.set_arena(arena, &values);
        }
        Ok(saved.state)
    }

    /// Removes all checkpoints but the one just saved, the best, and the last `keep` of those that `scheduled` says
    /// are regular.
    pub fn prune(&self, state: &State, keep: usize, scheduled: impl Fn(u64) -> bool) -> Result<()> {
        let steps = self.steps()?;
        let mut kept: Vec<u64> =
            steps.iter().rev().copied().filter(|&step| scheduled(step)).take(keep).collect();
        kept.push(state.step);
        kept.extend(state.best.map(|best| best.step));
        steps
            .into_iter()
            .filter(|step| !kept.contains(step))
            .try_for_each(|step| remove_aside(&self.at(step)))
    }

    /// Replaces the model in `DIR` by what `write` puts into the folder it is given: whole files, aside and synced,
    /// renamed one by one.
    pub fn export(&self, write: impl FnOnce(&Path) -> Result<()>) -> Result<()> {
        let aside = self.train.join("model.part");
        remove(&aside)?;
        fs::create_dir(&aside).map_err(|error| Error::io("cannot make the folder", &aside, error))?;
        let dir = self.train.parent().unwrap_or(&self.train);
        let exported = write(&aside).and_then(|()| {
            let files = entries(&aside)?;
            files.iter().try_for_each(|path| sync(path))?;
            files.iter().try_for_each(|path| {
                let to = dir.join(path.file_name().unwrap_or_default());
                fs::rename(path, &to).map_err(|error| Error::io("cannot replace", &to, error))
            })?;
            sync(dir)
        });
        let _ = fs::remove_dir_all(&aside);
        exported
    }
}

fn write_checkpoint<B: Backend>(folder: &Path, learner: &Learner<B>, state: &State) -> Result<()> {
    fs::create_dir(folder).map_err(|error| Error::io("cannot make the folder", folder, error))?;
    let mut prints =
        ARENAS.iter().map(|(arena, name)| write_arena(&folder.join(name), &learner.arena(*arena)));
    let mut next = || prints.next().unwrap_or_else(|| Ok(String::new()));
    let saved = Saved { state: state.clone(), weights: next()?, first: next()?, second: next()? };
    write_json(&folder.join("state.json"), &saved)?;
    sync(folder)
}

/// Floats that are turned into bytes at once.
const CHUNK: usize = 1 << 16;

/// Writes an arena and syncs it. Its fingerprint.
fn write_arena(path: &Path, values: &[f32]) -> Result<String> {
    let failed = |error| Error::io("cannot write", path, error);
    let mut file = File::create(path).map_err(failed)?;
    let mut print = Fingerprint::default();
    let mut bytes = Vec::with_capacity(4 * CHUNK);
    for chunk in values.chunks(CHUNK) {
        bytes.clear();
        for value in chunk {
            print.add(value.to_bits());
            bytes.extend_from_slice(&value.to_le_bytes());
        }
        file.write_all(&bytes).map_err(failed)?;
    }
    file.sync_all().map_err(failed)?;
    Ok(print.to_string())
}

/// Reads an arena of `len` floats, and its fingerprint.
fn read_arena(path: &Path, len: usize) -> Result<(Vec<f32>, String)> {
    let failed = |error| Error::io("cannot read", path, error);
    let mut file = File::open(path).map_err(failed)?;
    let found = file.metadata().map_err(failed)?.len();
    if found != 4 * len as u64 {
        let why =
            format!("{found} bytes, but the model's {len} weights take {}; it is damaged", 4 * len as u64);
        return Err(Error::invalid(path.display(), why));
    }
    let mut print = Fingerprint::default();
    let mut values = Vec::with_capacity(len);
    let mut bytes = vec![0; 4 * CHUNK];
    while values.len() < len {
        let part = &mut bytes[..4 * CHUNK.min(len - values.len())];
        file.read_exact(part).map_err(failed)?;
        for word in part.chunks_exact(4) {
            let bits = word.iter().rev().fold(0, |bits, &byte| bits << 8 | u32::from(byte));
            print.add(bits);
            values.push(f32::from_bits(bits));
        }
    }
    Ok((values, print.to_string()))
}

/// A number that is another one for other words: FNV-1a over 32 bits at a time.
pub(super) struct Fingerprint(u64);

impl Default for Fingerprint {
    fn default() -> Self {
        Fingerprint(0xcbf2_9ce4_8422_2325)
    }
}

impl Fingerprint {
    pub(super) fn add(&mut self, word: u32) {
        self.0 = (self.0 ^ u64::from(word)).wrapping_mul(0x0100_0000_01b3);
    }
}

impl std::fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

fn read_json<T: DeserializeOwned>(path: &Path) -> Result<T> {
    let text = fs::read(path).map_err(|error| Error::io("cannot read", path, error))?;
    serde_json::from_slice(&text).map_err(|error| Error::invalid(path.display(), format!("damaged: {error}")))
}

fn write_json(path: &Path, value: &impl Serialize) -> Result<()> {
    let failed = |error| Error::io("cannot write", path, error);
    let mut text = serde_json::to_vec_pretty(value).map_err(|error| failed(error.into()))?;
    text.push(b'\n');
    let mut file = File::create(path).map_err(failed)?;
    file.write_all(&text).map_err(failed)?;
    file.sync_all().map_err(failed)
}

fn entries(folder: &Path) -> Result<Vec<PathBuf>> {
    let failed = |error| Error::io("cannot read", folder, error);
    let entries = fs::read_dir(folder).map_err(failed)?;
    let mut paths =
        entries.map(|entry| Ok(entry?.path())).collect::<std::io::Result<Vec<_>>>().map_err(failed)?;
    paths.sort();
    Ok(paths)
}

/// Makes a file's content, or a folder's list of names, outlast a power cut.
pub(super) fn sync(path: &Path) -> Result<()> {
    // Only Unix lets a folder be opened to be synced.
    if path.is_dir() && !cfg!(unix) {
        return Ok(());
    }
    File::open(path).and_then(|file| file.sync_all()).map_err(|error| Error::io("cannot sync", path, error))
}

fn rename(from: &Path, to: &Path) -> Result<()> {
    fs::rename(from, to).map_err(|error| Error::io("cannot replace", to, error))?;
    sync(to.parent().unwrap_or(to))
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

/// Removes a checkpoint so that it never stands there in part.
fn remove_aside(path: &Path) -> Result<()> {
    if !path.exists() {
        return Ok(());
    }
    let aside = path.with_extension("gone.part");
    remove(&aside)?;
    rename(path, &aside)?;
    remove(&aside)
}
