//! A checkpoint: a folder with `state.json` and the three arenas, `weights.f32`, `first.f32` and `second.f32`,
//! little-endian, in the plan's order.

pub mod folder;

use std::fs::{self, File};
use std::io::{Read as _, Seek as _, SeekFrom, Write as _};
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::atomic_write::sync;
use crate::backend::{Backend, CacheType, Packing};
use crate::fingerprint::Fingerprint;
use crate::model::Gpt;
use crate::plan::Spec;
use crate::runtime::Model;
use crate::train::json::{read_json, write_json};
use crate::train::learner::spikes::Spikes;
use crate::train::learner::{Arena, Learner, PART};
use crate::weights::Frozen;
use crate::{Config, Error, Result};

/// The state of a run besides its arenas: everything that the next step depends on, or that depends on earlier
/// steps.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct State {
    /// The last step taken.
    pub step: u64,
    /// Tokens seen so far.
    pub tokens: u64,
    /// The best evaluation so far.
    pub best: Option<Best>,
    /// Evaluations since the best one.
    pub waited: u64,
    /// The recent losses.
    pub spikes: Spikes,
}

/// The best evaluation of a run.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Best {
    /// The step after which it was made.
    pub step: u64,
    /// Mean nats per token.
    pub loss: f64,
}

/// The contents of `state.json`: the state, and the fingerprints of the arenas.
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

/// Writes a checkpoint into `folder`, which is created, and syncs every file and the folder.
pub fn write<B: Backend>(folder: &Path, learner: &Learner<B>, state: &State) -> Result<()> {
    fs::create_dir(folder).map_err(|error| Error::io("cannot create the folder", folder, error))?;
    let mut prints = ARENAS.iter().map(|(arena, name)| write_arena(&folder.join(name), learner, *arena));
    let mut next = || prints.next().unwrap_or_else(|| Ok(String::new()));
    let saved = Saved { state: state.clone(), weights: next()?, first: next()?, second: next()? };
    write_json(&folder.join("state.json"), &saved)?;
    sync(folder).map_err(|error| Error::io("cannot sync", folder, error))
}

/// Loads the checkpoint in `folder` into `learner` and returns the state of the run. After an error, `learner` is
/// only partly loaded.
pub fn read<B: Backend>(folder: &Path, learner: &mut Learner<B>) -> Result<State> {
    let saved: Saved = read_json(&folder.join("state.json"))?;
    for ((arena, name), expected) in ARENAS.into_iter().zip([&saved.weights, &saved.first, &saved.second]) {
        let path = folder.join(name);
        let found = read_arena(&path, learner, arena)?;
        if found != *expected {
            let why = format!(
                "its fingerprint is {found}, but {expected} was saved: it is damaged; remove the folder {} to resume \
                 from the previous checkpoint",
                folder.display()
            );
            return Err(Error::invalid(path.display(), why));
        }
    }
    Ok(saved.state)
}

/// Does a rank's part while rank 0 writes a checkpoint: sends what this rank alone has.
pub fn follow_writing<B: Backend>(learner: &Learner<B>) -> Result<()> {
    let mut divided = ARENAS.iter().filter(|(arena, _)| learner.is_divided(*arena));
    divided.try_for_each(|(arena, _)| learner.arena_parts(*arena, &mut |_| Ok(())))
}

/// Reads weights, one parameter after another, as the checkpoint in `folder` holds them.
pub fn read_weights(folder: &Path) -> impl Fn(&Spec, &mut [f32]) -> Result<()> + use<> {
    let path = folder.join(ARENAS[0].1);
    move |spec: &Spec, into: &mut [f32]| {
        let failed = |error| Error::io("cannot read", &path, error);
        let mut file = File::open(&path).map_err(failed)?;
        file.seek(SeekFrom::Start(4 * spec.span.start as u64)).map_err(failed)?;
        let mut bytes = vec![0; 4 * into.len()];
        file.read_exact(&mut bytes).map_err(failed)?;
        for (value, word) in into.iter_mut().zip(bytes.as_chunks().0) {
            *value = f32::from_le_bytes(*word);
        }
        Ok(())
    }
}

/// Does a rank's part while rank 0 reads a checkpoint: receives what this rank needs. The state is rank 0's.
pub fn follow_reading<B: Backend>(learner: &mut Learner<B>) -> Result<State> {
    ARENAS.iter().try_for_each(|(arena, _)| learner.set_arena_parts(*arena, &mut |_| Ok(())))?;
    Ok(State::default())
}

/// The weights of the checkpoint in `folder`, which must be of a model of this configuration, packed for running.
///
/// # Errors
/// If it is not a checkpoint of this model, or is damaged.
pub fn open<B: Backend>(backend: B, config: &Config, folder: &Path) -> Result<Model<B>> {
    let saved: Saved = read_json(&folder.join("state.json"))?;
    let (gpt, plan) = Gpt::plan(config);
    let path = folder.join(ARENAS[0].1);
    let bytes = fs::read(&path).map_err(|error| Error::io("cannot read", &path, error))?;
    let mut print = Fingerprint::default();
    let words = bytes
        .chunks_exact(4)
        .map(|word| word.iter().rev().fold(0, |bits, &byte| bits << 8 | u32::from(byte)));
    let values: Vec<f32> = words
        .map(|bits| {
            print.add(bits);
            f32::from_bits(bits)
        })
        .collect();
    if bytes.len() != 4 * plan.len() || print.to_string() != saved.weights {
        let why = format!(
            "{} bytes that are not the {} weights that were saved: it is damaged",
            bytes.len(),
            plan.len()
        );
        return Err(Error::invalid(path.display(), why));
    }
    let weights = Frozen::load(&backend, &plan, Packing::F32, &|spec, into| {
        into.copy_from_slice(&values[spec.span.clone()]);
        Ok(())
    })?;
    Ok(Model::new(backend, gpt, weights, CacheType::F32))
}

/// Writes an arena and syncs it. Returns its fingerprint.
fn write_arena<B: Backend>(path: &Path, learner: &Learner<B>, arena: Arena) -> Result<String> {
    let failed = |error| Error::io("cannot write", path, error);
    let mut file = File::create(path).map_err(failed)?;
    let mut print = Fingerprint::default();
    let mut bytes = Vec::with_capacity(4 * PART);
    learner.arena_parts(arena, &mut |part| {
        bytes.clear();
        for value in part {
            print.add(value.to_bits());
            bytes.extend_from_slice(&value.to_le_bytes());
        }
        file.write_all(&bytes).map_err(failed)
    })?;
    file.sync_all().map_err(failed)?;
    Ok(print.to_string())
}

/// Reads an arena. Returns its fingerprint.
fn read_arena<B: Backend>(path: &Path, learner: &mut Learner<B>, arena: Arena) -> Result<String> {
    let len = learner.plan().len();
    let failed = |error| Error::io("cannot read", path, error);
    let mut file = File::open(path).map_err(failed)?;
    let found = file.metadata().map_err(failed)?.len();
    if found != 4 * len as u64 {
        let why =
            format!("{found} bytes, but the model's {len} weights take {}; it is damaged", 4 * len as u64);
        return Err(Error::invalid(path.display(), why));
    }
    let mut print = Fingerprint::default();
    let mut bytes = vec![0; 4 * PART];
    learner.set_arena_parts(arena, &mut |values| {
        for values in values.chunks_mut(PART) {
            let part = &mut bytes[..4 * values.len()];
            file.read_exact(part).map_err(failed)?;
            for (value, word) in values.iter_mut().zip(part.chunks_exact(4)) {
                let bits = word.iter().rev().fold(0, |bits, &byte| bits << 8 | u32::from(byte));
                print.add(bits);
                *value = f32::from_bits(bits);
            }
        }
        Ok(())
    })?;
    Ok(print.to_string())
}
