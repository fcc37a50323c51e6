//! How much memory a learner needs: computed, not measured.

use crate::backend::{Backend, CacheType};
use crate::config::Config;
use crate::memory::{Cache, Keep, Memory};
use crate::model::Gpt;
use crate::plan::{Plan, Spec};
use crate::train::learner::LOGIT_ROWS;
use crate::train::learner::pieces::bucket;
use crate::train::learner::shared::BUCKETS;
use crate::train::learner::sums::{Reduce, Sums};
use crate::train::ranks::Divided;

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
    /// The weights of the largest part of the model whose gradients are complete at once, those outside the blocks, and those of the
    /// largest block; they are counted above already.
    parts: [u64; 3],
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
        let (_, plan) = Gpt::plan(config);
        let arena = bytes(plan.specs.iter().map(Spec::weights).sum());
        let parts = parts(&plan, config.layers).map(bytes);
        Needs {
            weights: arena,
            gradients: arena,
            moments: arena.saturating_mul(2),
            activations: bytes(passing(keep)),
            working: bytes(passing(Keep::Gradients).saturating_add(cache)),
            logits: bytes(chunk * config.vocabulary as u64),
            exchanged: 0,
            saving: bytes(saving(config)),
            parts,
        }
    }

    /// The memory if only so many weights are learned, of an adapter; those of the model itself are not counted.
    pub fn of_learned(self, weights: u64) -> Needs {
        let arena = weights.saturating_mul(NUMBER);
        let moments = arena.saturating_mul(2);
        Needs { weights: arena, gradients: arena, moments, saving: arena, parts: [arena; 3], ..self }
    }

    /// The memory of a rank for steps of `batches` that `ranks` share: sums of gradients are kept until they are added up.
    pub fn of_steps(self, reduce: Reduce, divided: Divided, batches: usize, ranks: usize) -> Needs {
        let part = |bytes: u64| bytes.div_ceil(ranks as u64);
        let (arena, moments) = (self.gradients, part(self.moments));
        if ranks == 1 || divided == Divided::Moments {
            let [arenas, nodes] = Sums::most(reduce, batches, ranks);
            // A rank sends of all sums what it does not own, and receives as much.
            let sent = (arena - arena / ranks as u64).saturating_mul(nodes as u64);
            let gradients = arena.saturating_mul(arenas as u64);
            return Needs { gradients, moments, exchanged: sent.saturating_mul(2), ..self };
        }
        let ([arenas, _], [largest, ends, block]) = (Sums::most(reduce, batches, 1), self.parts);
        // A batch's own gradients: a tied table's are there from the loss to the end.
        let passing = largest.max(ends).saturating_add(block).min(arena);
        let gradients = part(arena).saturating_mul(arenas as u64).saturating_add(passing);
        // Of some buckets, what others own, and what they send.
        let on_way = largest.saturating_add(block.saturating_mul(BUCKETS as u64)).min(arena);
        let called = ends.saturating_add(block.saturating_mul(2));
        let weights = match divided {
            Divided::Weights => part(self.weights).saturating_add(called).min(self.weights),
            _ => self.weights,
        };
        let exchanged = on_way.saturating_mul(2);
        Needs { weights, gradients, moments, exchanged, ..self }
    }

    /// The sum of all.
    pub fn total(&self) -> u64 {
        let Needs { weights, gradients, moments, activations, working, logits, exchanged, saving, .. } =
            *self;
        [weights, gradients, moments, activations, working, logits, exchanged, saving]
            .into_iter()
            .fold(0, u64::saturating_add)
    }
}

/// The weights of the largest bucket, of all that is outside the blocks, and of the largest block.
fn parts(plan: &Plan, layers: usize) -> [u64; 3] {
    let mut buckets = vec![0; layers + 2];
    plan.specs.iter().for_each(|spec| buckets[bucket(&spec.name, layers)] += spec.weights());
    let most = |buckets: &[u64]| buckets.iter().copied().max().unwrap_or(0);
    [most(&buckets), buckets[0] + buckets[layers + 1], most(&buckets[1..=layers])]
}

/// The floats of the largest matrices in a model's file: query, key and value may be joined there, or gate and up, and each of
/// them may be transposed for it. Tables are written some rows at a time.
fn saving(config: &Config) -> u64 {
    let (width, hidden) = (config.width as u64, config.mlp_width as u64);
    let joined = if config.gated { 2 * hidden } else { hidden };
    let heads = (config.heads.query + 2 * config.heads.key) as u64 * config.heads.size as u64;
    width * heads.max(joined) + width * hidden
}
