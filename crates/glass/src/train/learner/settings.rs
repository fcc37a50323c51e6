//! The settings of a run. The names are those of the command line's options.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::backend::Precision;
use crate::train::learner::objective::Objective;
use crate::train::learner::optimiser::{MOMENTUM, Optimiser};
use crate::train::learner::preference::Preference;
use crate::train::learner::schedule::{Rates, Schedule};
use crate::train::learner::teacher::Distil;
use crate::train::learner::{Early, Step};
use crate::{Error, Result};

/// The order of samples.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Arrangement {
    /// Every epoch has its own order, drawn from the seed. A stream is cut into windows from a different offset
    /// each time: the first and the last window of an epoch are shorter, and every token is learned exactly once.
    Shuffled,
    /// In the order of the data: consecutive windows, as nanoGPT and llm.c read shards. As in those programs, the
    /// end of a stream that does not fill a batch is left out, and the next batch starts from the beginning.
    Sequential,
}

/// The settings of a run. Values of fields named `…_every` are in steps; 0 means never.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Settings {
    /// The seed of the order and of dropout.
    pub seed: u64,
    /// The total number of steps.
    pub steps: u64,
    /// The samples of one batch.
    pub batch: usize,
    /// The batches of one step.
    pub accumulate: usize,
    /// The optimiser for the matrices of the blocks.
    pub optimiser: Optimiser,
    /// The highest learning rate.
    pub lr: f32,
    /// The highest learning rate of the matrices that Muon updates, which falls as the others' does; theirs if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub matrix_lr: Option<f32>,
    /// The rate that the schedule falls to.
    pub min_lr: f32,
    /// Warm-up steps.
    pub warmup: u64,
    /// How the rate changes after warm-up.
    pub schedule: Schedule,
    /// Decoupled weight decay, of matrices only.
    pub weight_decay: f32,
    /// Muon's decay of the momentum.
    #[serde(default = "usual_momentum")]
    pub momentum: f32,
    /// Muon updates a matrix in every so manyth step, in turn; its momentum is of all.
    #[serde(default = "every_step")]
    pub muon_every: u64,
    /// So many first blocks are computed and learned in the early steps, before all are; `None` for all from the beginning. The
    /// learner is then given weights by [`initialise_early`](crate::train::learner::Learner::initialise_early).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub early_blocks: Option<usize>,
    /// The number of early steps, if only some blocks are computed then.
    #[serde(default)]
    pub early_steps: u64,
    /// AdamW's decay of the first moment.
    pub beta1: f32,
    /// AdamW's decay of the second moment.
    pub beta2: f32,
    /// AdamW's epsilon.
    pub epsilon: f32,
    /// The limit of the gradient's norm; 0 for no limit.
    pub clip: f32,
    /// Share of activations dropped.
    pub dropout: f32,
    /// The order of samples.
    pub order: Arrangement,
    /// Whether every step uses the first step's batch.
    pub overfit: bool,
    /// How often the validation set is evaluated; it is also evaluated at the end.
    pub eval_every: u64,
    /// How many samples of the validation set an evaluation uses, spread evenly; `None` for all.
    pub eval_samples: Option<usize>,
    /// How often a sample of text is generated.
    pub sample_every: u64,
    /// How often a checkpoint is saved; one is also saved at the end.
    pub checkpoint_every: u64,
    /// How many of the last checkpoints are kept.
    pub keep: usize,
    /// Stops after this many evaluations without improvement; 0 for never.
    pub patience: u64,
    /// The loss of pairs of answers, if these are learned from.
    #[serde(flatten)]
    pub preference: Option<Preference>,
    /// How a teacher's distributions are learned, if there is a teacher.
    #[serde(flatten)]
    pub distil: Option<Distil>,
}

/// The settings that may change without notice when a run is resumed: they decide what is shown and kept and when
/// it ends early.
const FREE: [&str; 4] = ["sample-every", "checkpoint-every", "keep", "patience"];

/// Settings that may change too, but change the result of the run, which is reported.
const CHANGEABLE: [&str; 6] = ["steps", "lr", "matrix-lr", "min-lr", "warmup", "clip"];

impl Default for Settings {
    /// GPT-3's AdamW (Brown et al. 2020, appendix B) with a learning rate for small models.
    fn default() -> Self {
        Settings {
            seed: 1,
            steps: 1000,
            batch: 12,
            accumulate: 1,
            optimiser: Optimiser::AdamW,
            lr: 1e-3,
            matrix_lr: None,
            min_lr: 1e-4,
            warmup: 100,
            schedule: Schedule::Cosine,
            weight_decay: 0.1,
            momentum: MOMENTUM,
            muon_every: 1,
            early_blocks: None,
            early_steps: 0,
            beta1: 0.9,
            beta2: 0.95,
            epsilon: 1e-8,
            clip: 1.0,
            dropout: 0.0,
            order: Arrangement::Shuffled,
            overfit: false,
            eval_every: 250,
            eval_samples: None,
            sample_every: 0,
            checkpoint_every: 250,
            keep: 2,
            patience: 0,
            preference: None,
            distil: None,
        }
    }
}

impl Settings {
    /// Refuses impossible values, by the field's name.
    pub fn check(&self) -> Result<()> {
        let positive = |value: f32| value > 0.0 && value.is_finite();
        let share = |value: f32| (0.0..1.0).contains(&value);
        let least = |value: f32| value >= 0.0 && value.is_finite();
        let at_least_1 = "at least 1 is needed";
        let below_1 = "a number of at least 0 and below 1 is needed";
        let matrix_lr = self.matrix_lr.unwrap_or(self.lr);
        let wrong: [(bool, &str, String, &str); 20] = [
            (self.steps < 1, "steps", self.steps.to_string(), at_least_1),
            (self.batch < 1, "batch", self.batch.to_string(), at_least_1),
            (self.accumulate < 1, "accumulate", self.accumulate.to_string(), at_least_1),
            (self.muon_every < 1, "muon_every", self.muon_every.to_string(), at_least_1),
            (self.early_blocks == Some(0), "early_blocks", "0".into(), at_least_1),
            (
                self.early().is_some_and(|early| early.steps >= self.steps),
                "early_steps",
                self.early_steps.to_string(),
                "fewer than `steps` are needed, so that all blocks are learned",
            ),
            (self.keep < 1, "keep", self.keep.to_string(), at_least_1),
            (self.eval_samples == Some(0), "eval_samples", "0".into(), at_least_1),
            (!positive(self.lr), "lr", self.lr.to_string(), "a number above 0 is needed"),
            (!positive(matrix_lr), "matrix_lr", matrix_lr.to_string(), "a number above 0 is needed"),
            (
                !(least(self.min_lr) && self.min_lr <= self.lr),
                "min_lr",
                self.min_lr.to_string(),
                "a number from 0 to `lr` is needed",
            ),
            (self.warmup > self.steps, "warmup", self.warmup.to_string(), "it must not exceed `steps`"),
            (
                !least(self.weight_decay),
                "weight_decay",
                self.weight_decay.to_string(),
                "at least 0 is needed",
            ),
            (!share(self.momentum), "momentum", self.momentum.to_string(), below_1),
            (!share(self.beta1), "beta1", self.beta1.to_string(), below_1),
            (!share(self.beta2), "beta2", self.beta2.to_string(), below_1),
            (!positive(self.epsilon), "epsilon", self.epsilon.to_string(), "a number above 0 is needed"),
            (!least(self.clip), "clip", self.clip.to_string(), "at least 0 is needed; 0 is no limit"),
            (!share(self.dropout), "dropout", self.dropout.to_string(), below_1),
            (
                self.batch.checked_mul(self.accumulate).is_none_or(|samples| samples > 1 << 30),
                "batch",
                format!("{} × {}", self.batch, self.accumulate),
                "a step of at most 1,073,741,824 samples is possible",
            ),
        ];
        match wrong.into_iter().find(|(wrong, ..)| *wrong) {
            Some((_, name, value, needed)) => {
                Err(Error::invalid_argument(name, format!("{value} was given, but {needed}")))
            }
            None if self.preference.is_some() && self.distil.is_some() => {
                let why = "pairs are compared, so there is no teacher to learn from; choose one of both";
                Err(Error::invalid_argument("teacher", why))
            }
            None => {
                self.distil.map_or(Ok(()), |distil| distil.check())?;
                self.preference.map_or(Ok(()), |preference| preference.check())
            }
        }
    }

    /// What this run makes smaller.
    pub fn objective(&self) -> Objective {
        let distil = self.distil.map_or(Objective::NextToken, Objective::Distil);
        self.preference.map_or(distil, Objective::Preference)
    }

    /// Its early steps, if there are some.
    pub fn early(&self) -> Option<Early> {
        let early = self.early_blocks.map(|blocks| Early { blocks, steps: self.early_steps });
        early.filter(|early| early.steps > 0)
    }

    /// Whether what is learned is compared with the weights that the run starts from.
    pub fn has_reference(&self) -> bool {
        self.preference.is_some_and(|preference| preference.loss.has_reference())
    }

    /// The learning rates of this run.
    pub fn rates(&self) -> Rates {
        Rates {
            schedule: self.schedule,
            peak: self.lr,
            floor: self.min_lr,
            warmup: self.warmup,
            steps: self.steps,
        }
    }

    /// The constants of step `step`.
    pub fn step(&self, step: u64) -> Step {
        let rate = self.rates().at(step);
        Step {
            objective: self.objective(),
            optimiser: self.optimiser,
            rate,
            matrix_rate: self.matrix_lr.map_or(rate, |highest| rate / self.lr * highest),
            momentum: self.momentum,
            muon_every: self.muon_every,
            early: self.early(),
            beta1: self.beta1,
            beta2: self.beta2,
            epsilon: self.epsilon,
            decay: self.weight_decay,
            clip: self.clip,
            dropout: self.dropout,
            seed: self.seed,
            step,
        }
    }
}

/// A setting that changed when a run was resumed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// Its name.
    pub name: String,
    /// Its old value.
    pub then: String,
    /// Its new value.
    pub now: String,
}

/// Everything that determines the result of a run: its settings, the model's configuration, and its data.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Identity {
    /// The settings.
    pub settings: Settings,
    /// The precision of its matrix products, by name.
    #[serde(default = "f32")]
    pub precision: String,
    /// The model's configuration, as in its `config.json`.
    pub model: Value,
    /// Fingerprint of the initial weights.
    pub start: String,
    /// Fingerprint of the training set.
    pub data: String,
    /// Fingerprint of the validation set.
    pub validation: Option<String>,
}

impl Identity {
    /// Checks that `asked` can continue the run `self`, and returns the settings that changed. Anything that would
    /// change what was learned so far is refused: the data, the model, the order.
    pub fn continues(&self, asked: &Identity) -> Result<Vec<Change>> {
        let (then, now) = (fields(&self.settings), fields(&asked.settings));
        let mut changes = Vec::new();
        let shown = |value: Option<&Value>| value.map_or("none".into(), shown);
        let names = then.keys().chain(now.keys().filter(|name| !then.contains_key(*name)));
        for name in names {
            if FREE.contains(&name.as_str()) || now.get(name) == then.get(name) {
                continue;
            }
            let (value, asked) = (shown(then.get(name)), shown(now.get(name)));
            if !CHANGEABLE.contains(&name.as_str()) {
                return Err(changed(&name.replace('-', "_"), &value, &asked));
            }
            changes.push(Change { name: name.clone(), then: value, now: asked });
        }
        if self.precision != asked.precision {
            return Err(changed("precision", &self.precision, &asked.precision));
        }
        if let Some((name, then, now)) = differing(&self.model, &asked.model) {
            return Err(changed(&name, &then, &now));
        }
        if self.data != asked.data {
            return Err(changed("data", "other training data", "these"));
        }
        match (&self.validation, &asked.validation) {
            (then, now) if then == now => Ok(changes),
            (Some(_), Some(_)) => Err(changed("val", "other validation data", "these")),
            (Some(_), None) => Err(changed("val", "validation data", "none")),
            (None, _) => Err(changed("val", "no validation data", "these")),
        }
    }

    /// Refuses to start again from other weights than those the run `self` started from.
    pub fn starts(&self, asked: &Identity) -> Result<()> {
        if self.start != asked.start {
            let (then, now) = (format!("weights {}", self.start), format!("weights {}", asked.start));
            return Err(changed("from", &then, &now));
        }
        Ok(())
    }
}

/// The momentum of runs from before there was a choice.
fn usual_momentum() -> f32 {
    MOMENTUM
}

/// How often Muon updated a matrix before there was a choice.
fn every_step() -> u64 {
    1
}

/// The precision of runs from before there was a choice.
fn f32() -> String {
    Precision::F32.name().into()
}

/// The first field in which two configurations differ, if possible one that follows from an option: its name and both values.
fn differing(then: &Value, now: &Value) -> Option<(String, String, String)> {
    let none = serde_json::Map::new();
    let (old, new) = (then.as_object().unwrap_or(&none), now.as_object().unwrap_or(&none));
    let shown = |value: Option<&Value>| value.map_or("nothing".into(), shown);
    let names = || old.keys().chain(new.keys()).filter(|&name| old.get(name) != new.get(name));
    match names().find(|name| option(name).is_some()).or_else(|| names().next()) {
        Some(name) => {
            let said = option(name).map_or_else(|| format!("model's {name}"), String::from);
            Some((said, shown(old.get(name)), shown(new.get(name))))
        }
        None => (then != now).then(|| ("model".into(), "another one".into(), "this one".into())),
    }
}

/// The option that a field of `config.json` is the value of.
fn option(field: &str) -> Option<&'static str> {
    Some(match field {
        "n_layer" | "num_hidden_layers" => "layers",
        "n_head" | "num_attention_heads" => "heads",
        "n_embd" | "hidden_size" => "width",
        "n_positions" | "n_ctx" | "max_position_embeddings" => "context",
        "vocab_size" => "vocab",
        "teacher" => "teacher",
        _ => return None,
    })
}

/// A number of 32 bits, or what was computed from such, as one would write it: seven digits, no more.
pub(crate) fn plain(number: f64) -> f64 {
    format!("{number:.6e}").parse().unwrap_or(number)
}

/// A value as it is given on a command line: settings are numbers of 32 bits.
fn shown(value: &Value) -> String {
    match value {
        Value::Number(number) if number.is_f64() => {
            number.as_f64().map_or_else(|| number.to_string(), |number| plain(number).to_string())
        }
        other => other.to_string(),
    }
}

fn fields(settings: &Settings) -> serde_json::Map<String, Value> {
    match serde_json::to_value(settings) {
        Ok(Value::Object(fields)) => fields,
        _ => serde_json::Map::new(),
    }
}

fn changed(name: &str, then: &str, now: &str) -> Error {
    let why = format!(
        "this run began with {then}; {now} would change its result; keep the old value, or begin a new run in another folder"
    );
    Error::invalid_argument(name, why)
}
