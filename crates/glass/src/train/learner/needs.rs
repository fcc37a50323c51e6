//! How much memory a learner needs: computed, not measured.

use crate::backend::{Backend, CacheType};
use crate::config::Config;
use crate::memory::{Cache, Keep, Memory};
use crate::model::parameter_count::ParameterCount;
use crate::train::learner::LOGIT_ROWS;
use crate::train::learner::sums::{Reduce, Sums};

/// Bytes of a number: everything a learner holds is f32.
const NUMBER: u64 = 4;

/// The bytes that [`Learner::keeping`](crate::train::learner::Learner::keeping) allocates, and what its run needs
/// in addition. Numbers too large to represent are the largest possible.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Needs {
    /// The weights.
    pub weights: u64,
    /// Their gradients.
    pub gradients: u64,
    /// AdamW's two moments.
    pub moments: u64,
    /// The buffers of a forward pass, and what it keeps for the backward pass.
    pub activations: u64,
    /// The gradients of one layer's activations, its keys and values.
    pub working: u64,
    /// The logits of one chunk.
    pub logits: u64,
    /// What is on its way between ranks.
    pub exchanged: u64,
    /// The matrices in memory while a model is saved.
    pub saving: u64,
}

impl Needs {
    /// The memory for batches of `samples` samples of full context length.
    pub fn of<B: Backend>(config: &Config, keep: Keep, samples: usize) -> Needs {
        Needs::of_rows::<B>(config, keep, samples.saturating_mul(config.context), samples)
    }

    /// The memory for batches of at most `rows` rows in at most `samples` samples.
    pub fn of_rows<B: Backend>(config: &Config, keep: Keep, rows: usize, samples: usize) -> Needs {
        let cache = Cache::<B>::floats_of_batch(config, CacheType::F32, samples, config.context, rows);
        let rows = rows as u64;
        let chunk = rows.min(LOGIT_ROWS as u64);
        let bytes = |floats: u64| floats.saturating_mul(NUMBER);
        let passing = |keep| {
            let (row, wanted) = Memory::<B>::floats(config, keep);
            row.saturating_mul(rows).saturating_add(wanted * chunk)
        };
        let arena = bytes(ParameterCount::of(config).stored);
        Needs {
            weights: arena,
            gradients: arena,
            moments: arena.saturating_mul(2),
            activations: bytes(passing(keep)),
            working: bytes(passing(Keep::Gradients).saturating_add(cache)),
            logits: bytes(chunk * config.vocabulary as u64),
            exchanged: 0,
            saving: bytes(saving(config)),
        }
    }

    /// The memory if only so many weights are learned, of an adapter; those of the model itself are not counted.
    pub fn of_learned(self, weights: u64) -> Needs {
        let arena = weights.saturating_mul(NUMBER);
        Needs { weights: arena, gradients: arena, moments: arena.saturating_mul(2), saving: arena, ..self }
    }

    /// The memory of a rank for steps of `batches` that `ranks` share: sums of gradients are kept until they are added up.
    pub fn of_steps(self, reduce: Reduce, batches: usize, ranks: usize) -> Needs {
        let [arenas, nodes] = Sums::most(reduce, batches, ranks);
        let (arena, share) = (self.gradients, self.moments.div_ceil(ranks as u64));
        // A rank sends of all sums what it does not own, and receives as much.
        let sent = (arena - arena / ranks as u64).saturating_mul(nodes as u64);
        Needs {
            gradients: arena.saturating_mul(arenas as u64),
            moments: share,
            exchanged: sent.saturating_mul(2),
            ..self
        }
    }

    /// The sum of all.
    pub fn total(&self) -> u64 {
        let Needs { weights, gradients, moments, activations, working, logits, exchanged, saving } = *self;
        [weights, gradients, moments, activations, working, logits, exchanged, saving]
            .into_iter()
            .fold(0, u64::saturating_add)
    }
}

/// The floats of the largest matrices in a model's file: query, key and value may be joined there, or gate and up, and each of
/// them may be transposed for it. Tables are written some rows at a time.
fn saving(config: &Config) -> u64 {
    let (width, hidden) = (config.width as u64, config.mlp_width as u64);
    let joined = if config.gated { 2 * hidden } else { hidden };
    let heads = (config.heads.query + 2 * config.heads.key) as u64 * config.heads.size as u64;
    width * heads.max(joined) + width * hidden
}
