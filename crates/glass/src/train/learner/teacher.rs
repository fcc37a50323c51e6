//! Learning from another model: its distributions beside the text's next tokens.

mod kept;

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::backend::{Backend, CacheType, Span, Teaching, Tensor};
use crate::memory::{Cache, Keep, Memory};
use crate::model::{Gpt, Pass};
use crate::train::learner::{Batch, Learner};
use crate::weights::{Frozen, Weights};
use crate::{Error, Result};
use kept::{Kept, Large, Sample, Source, Taught};

/// How a teacher's distributions are learned (Hinton et al. 2015): the loss is (1 − share) × cross-entropy + share × T² × KL(teacher ‖
/// model), where the logits of both are divided by the temperature T in the divergence.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Distil {
    /// The teacher's share of the loss, from 0 to 1.
    #[serde(rename = "distil-share")]
    pub share: f32,
    /// The temperature.
    #[serde(rename = "distil-temperature")]
    pub temperature: f32,
    /// How many of the teacher's most probable tokens are its distribution; 0 for all.
    #[serde(rename = "distil-top")]
    pub top: usize,
}

impl Default for Distil {
    /// Half of the loss, at a temperature of 1, all tokens.
    fn default() -> Self {
        Distil { share: 0.5, temperature: 1.0, top: 0 }
    }
}

impl Distil {
    /// Refuses impossible constants.
    pub fn check(&self) -> Result<()> {
        let Distil { share, temperature, .. } = *self;
        let refused = |name: &str, value: f32, needed: &str| {
            Err(Error::invalid_argument(name, format!("{value} was given, but {needed}")))
        };
        if !(0.0..=1.0).contains(&share) {
            return refused("distil_share", share, "a number from 0 to 1 is needed");
        }
        if !(temperature > 0.0 && temperature.is_finite()) {
            return refused("distil_temperature", temperature, "a number above 0 is needed");
        }
        Ok(())
    }

    /// For the back end.
    pub(super) fn teaching(&self) -> Teaching {
        let Distil { share, temperature, top } = *self;
        Teaching { share, temperature, top: Some(top).filter(|top| *top > 0) }
    }

    /// The loss, of the sums of cross-entropy and divergence.
    pub(super) fn sums(&self, [entropy, divergence]: [f64; 2]) -> [f64; 3] {
        let [share, t] = [self.share, self.temperature].map(f64::from);
        [(1.0 - share) * entropy + share * t * t * divergence, entropy, divergence]
    }
}

/// A model that teaches, memory for its passes, and what it said before.
pub(super) struct Teacher<B: Backend> {
    pub gpt: Gpt,
    pub weights: Arc<Frozen<B>>,
    memory: Memory<B>,
    cache: Cache<B>,
    logits: Tensor<B>,
    kept: Kept,
}

impl<B: Backend> Teacher<B> {
    /// Goes forward over a batch, unless all that it says of it is known.
    pub fn lesson<'a>(
        &'a mut self,
        backend: &'a B,
        spans: &'a [Span],
        part: &Batch,
        distil: &Distil,
    ) -> Taught<'a, B> {
        let Teacher { gpt, weights, memory, cache, logits, kept } = self;
        let keeps = kept.room > 0 && (1..gpt.config.vocabulary).contains(&distil.top);
        let samples =
            if keeps { spans.iter().map(|span| Sample::of(part, span)).collect() } else { Vec::new() };
        let source = match kept.all(&samples) {
            Some(known) => Source::Kept { known, next: 0 },
            None => {
                let weights = Weights::Frozen(weights);
                let mut pass = Pass { backend, weights, spans, output_rows: None, dropout: None, probe: () };
                cache.lay_out(&part.lengths);
                gpt.forward(&mut pass, &part.inputs, memory, cache);
                Source::Pass { gpt, pass, memory, said: Vec::new() }
            }
        };
        Taught { backend, top: distil.top, samples, kept, logits, source }
    }
}

impl<B: Backend> Learner<B> {
    /// Gives it a teacher, for batches of at most `rows` rows in at most `samples` samples.
    ///
    /// # Errors
    /// If the teacher has another vocabulary or a shorter context, or there is too little memory.
    pub fn taught_by(
        mut self,
        gpt: Gpt,
        weights: Arc<Frozen<B>>,
        rows: usize,
        samples: usize,
    ) -> Result<Self> {
        let (own, config, chunk) = (self.config(), &gpt.config, self.logits.capacity());
        if config.vocabulary != own.vocabulary {
            let why = format!(
                "its vocabulary has {} tokens, but the model's has {}; take a teacher with the same vocabulary",
                config.vocabulary, own.vocabulary
            );
            return Err(Error::invalid_argument("teacher", why));
        }
        if config.context < own.context {
            let why = format!(
                "its context is {}, but the model's is {}; give `context` {} or less, or take another teacher",
                config.context, own.context, config.context
            );
            return Err(Error::invalid_argument("teacher", why));
        }
        let (b, positions) = (&*self.backend, own.context.min(rows));
        self.teacher = Some(Teacher {
            memory: Memory::new(b, config, Keep::One, rows, chunk)?,
            cache: Cache::for_batch(b, config, CacheType::F32, samples, positions, rows)?,
            logits: Tensor::new(b, chunk, config.vocabulary)?,
            kept: Kept::default(),
            gpt,
            weights,
        });
        Ok(self)
    }

    /// Keeps in at most so many bytes what its teacher says of a sample, so that the teacher does not read it again when it comes again;
    /// only for a [`Distil`] with a `top`. No bit of what is learned changes.
    pub fn keeping_lessons(mut self, bytes: usize) -> Self {
        if let Some(teacher) = &mut self.teacher {
            teacher.kept.room = bytes / size_of::<Large>();
        }
        self
    }

    /// The number of samples of which it is kept what the teacher said.
    pub fn kept_lessons(&self) -> usize {
        self.teacher.as_ref().map_or(0, |teacher| teacher.kept.samples.len())
    }

    /// The teacher's configuration and weights, if it has one.
    pub fn teacher(&self) -> Option<(&Gpt, &Frozen<B>)> {
        self.teacher.as_ref().map(|teacher| (&teacher.gpt, &*teacher.weights))
    }
}
