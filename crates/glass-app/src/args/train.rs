//! `glass train`.

use std::path::PathBuf;

use clap::{ArgGroup, Args, ValueEnum};
use glass::backend::Precision;
use glass::memory::Keep;
use glass::train::optimiser::Optimiser;
use glass::train::order::Arrangement;
use glass::train::schedule::Schedule;
use glass::train::settings::Settings;
use glass::weights::dtype::Dtype;

use super::MachineArgs;

/// Learn from text
#[derive(Args, Debug)]
#[command(after_long_help = AFTER, group = ArgGroup::new("source").required(true).args(["data", "chat"]))]
pub struct TrainArgs {
    /// Where the model and the run are written
    #[arg(long, value_name = "DIR")]
    pub out: PathBuf,

    #[command(flatten)]
    #[allow(missing_docs)]
    pub data: DataArgs,

    #[command(flatten)]
    #[allow(missing_docs)]
    pub shape: ShapeArgs,

    #[command(flatten)]
    #[allow(missing_docs)]
    pub run: RunArgs,

    #[command(flatten)]
    #[allow(missing_docs)]
    pub machine: MachineArgs,
}

/// What is learned from.
#[derive(Args, Debug)]
#[command(next_help_heading = "Data")]
pub struct DataArgs {
    /// Text (.txt), JSON lines (.jsonl), folders of them, or shards of token ids (.bin, see --bin)
    #[arg(long, value_name = "PATH", num_args = 1..)]
    pub data: Vec<PathBuf>,

    /// Conversations, {"messages":[{"role","content"}]} a line; only what the assistant says is learned. Lines {"text"}
    /// among them are learned whole, so that a model keeps what it knew
    #[arg(long, value_name = "FILE.jsonl", num_args = 1..)]
    pub chat: Vec<PathBuf>,

    /// Stands between the documents of a text file
    #[arg(long, value_name = "TEXT", default_value = "<|endoftext|>")]
    pub separator: String,

    /// The field of a JSON line that holds the document
    #[arg(long, value_name = "NAME", default_value = "text")]
    pub field: String,

    /// The data are token ids of this width, taken as they are; shards with llm.c's header need no --bin
    #[arg(long, value_enum, value_name = "WIDTH", conflicts_with = "chat")]
    pub bin: Option<Width>,

    /// Where token shards of the text are kept, so that runs can share them: they are used again wherever the files, the
    /// vocabulary and the split are the same. Without it a run keeps its own in OUT/train/data, where there is a lot of
    /// text
    #[arg(long, value_name = "DIR", conflicts_with_all = ["chat", "bin"])]
    pub shards: Option<PathBuf>,

    /// Learn documents as often as they stand; without it one that stood before, byte for byte, is dropped
    #[arg(long, conflicts_with_all = ["chat", "bin"])]
    pub keep_duplicates: bool,

    /// Data to validate on, of the same kind; what validates is never learned
    #[arg(long, value_name = "PATH", num_args = 1.., conflicts_with = "val_fraction")]
    pub val: Vec<PathBuf>,

    /// Without --val: the share of the documents that validates; 0 for none
    #[arg(long, value_name = "F", default_value_t = 0.1)]
    pub val_fraction: f64,
}

/// Bytes of an id.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub enum Width {
    /// Two bytes
    U16,
    /// Four bytes
    U32,
}

/// What learns.
#[derive(Args, Debug)]
#[command(next_help_heading = "Model")]
pub struct ShapeArgs {
    /// A shape by name: gpt2, gpt2-medium, … (glass weights --help lists them, and says where they differ from the paper)
    #[arg(long, value_name = "NAME", conflicts_with_all = ["layers", "heads", "width", "from"])]
    pub preset: Option<String>,

    /// Blocks
    #[arg(long, value_name = "N", default_value_t = 6)]
    pub layers: usize,

    /// Attention heads of a block
    #[arg(long, value_name = "N", default_value_t = 6)]
    pub heads: usize,

    /// Width of the residual stream, a multiple of the heads
    #[arg(long, value_name = "N", default_value_t = 384)]
    pub width: usize,

    /// Positions in the context; 256, or the preset's own
    #[arg(long, value_name = "N")]
    pub context: Option<usize>,

    /// Tokens in the vocabulary: so many are learned from the data (4,096 where it is left out), or, with --tokenizer or
    /// --bin, so many rows has the embedding
    #[arg(long, value_name = "N")]
    pub vocab: Option<usize>,

    /// The vocabulary of another model: a directory, a tokenizer.json, vocab.json with merges.txt beside it, tiktoken's
    /// ranks (.tiktoken), or gpt2. Without it, one is learned from the
    /// data; a preset takes gpt2's
    #[arg(long, value_name = "MODEL")]
    pub tokenizer: Option<String>,

    /// Go on from this model's weights, with its shape and vocabulary
    #[arg(long, value_name = "MODEL", conflicts_with_all = ["layers", "heads", "width", "context", "vocab", "tokenizer"])]
    pub from: Option<String>,

    /// How the model's weights are stored
    #[arg(long, value_enum, value_name = "DTYPE", default_value_t = Stored::F32)]
    pub dtype: Stored,
}

/// How a weight is stored.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub enum Stored {
    /// 32 bits
    F32,
    /// IEEE half precision
    F16,
    /// The upper half of an f32
    Bf16,
}

impl Stored {
    /// As the library calls it.
    pub fn dtype(self) -> Dtype {
        match self {
            Stored::F32 => Dtype::F32,
            Stored::F16 => Dtype::F16,
            Stored::Bf16 => Dtype::Bf16,
        }
    }
}

/// How it learns.
#[derive(Args, Debug)]
#[command(next_help_heading = "Run")]
pub struct RunArgs {
    /// Steps in all; 1,000 where neither --epochs nor --minutes is given
    #[arg(long, value_name = "N", conflicts_with = "epochs")]
    pub steps: Option<u64>,

    /// So many times over the data
    #[arg(long, value_name = "X")]
    pub epochs: Option<f64>,

    /// At most so long; without --steps and --epochs, as many steps as a few timed ones promise
    #[arg(long, value_name = "M")]
    pub minutes: Option<f64>,

    /// Samples of one batch, each as long as the context
    #[arg(long, value_name = "N", default_value_t = 12)]
    pub batch: usize,

    /// Batches of one step
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub accumulate: usize,

    /// What steps the matrices of the blocks; all else is stepped by AdamW
    #[arg(long, value_enum, default_value_t = Rule::Adamw)]
    pub optimiser: Rule,

    /// The highest learning rate
    #[arg(long, value_name = "R", default_value_t = 1e-3)]
    pub lr: f32,

    /// The rate that the schedule falls to; a tenth of --lr where it is left out
    #[arg(long, value_name = "R")]
    pub min_lr: Option<f32>,

    /// Warm-up steps; a tenth of all, at most 100, where it is left out
    #[arg(long, value_name = "N")]
    pub warmup: Option<u64>,

    /// How the rate moves after warm-up
    #[arg(long, value_enum, default_value_t = Curve::Cosine)]
    pub schedule: Curve,

    /// Decoupled weight decay, of matrices only
    #[arg(long, value_name = "R", default_value_t = 0.1)]
    pub weight_decay: f32,

    /// AdamW's decay of the first moment
    #[arg(long, value_name = "R", default_value_t = 0.9)]
    pub beta1: f32,

    /// AdamW's decay of the second moment
    #[arg(long, value_name = "R", default_value_t = 0.95)]
    pub beta2: f32,

    /// The gradient's norm is held to this; 0 for no limit
    #[arg(long, value_name = "R", default_value_t = 1.0)]
    pub clip: f32,

    /// Share of activations dropped after the embedding, in attention and on the residuals
    #[arg(long, value_name = "R", default_value_t = 0.0)]
    pub dropout: f32,

    /// The order of samples; sequential takes consecutive windows
    #[arg(long, value_enum, default_value_t = Deal::Shuffled)]
    pub order: Deal,

    /// What the factors of matrix products are rounded to: not at all, or to 16 bits (bf16) on processors that are
    /// the faster for it. Weights, gradients and sums are f32 in either case
    #[arg(long, value_enum, default_value_t = Rounding::F32)]
    pub precision: Rounding,

    /// Seed of weights, order, split and dropout
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub seed: u64,

    /// Evaluate every N steps, and at the end
    #[arg(long, value_name = "N", default_value_t = 250)]
    pub eval_every: u64,

    /// Evaluate on so many samples, spread evenly over the validation data; all where it is left out
    #[arg(long, value_name = "N")]
    pub eval_samples: Option<usize>,

    /// Show what the model says every N steps; 0 for never
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub sample_every: u64,

    /// Save every N steps, and at the end
    #[arg(long, value_name = "N", default_value_t = 250)]
    pub checkpoint_every: u64,

    /// So many of the last checkpoints stay, and the best
    #[arg(long, value_name = "N", default_value_t = 2)]
    pub keep: usize,

    /// Look at every checkpoint: the loss of each layer's lens, what heads do, the norms; DIR/train/look.jsonl and look.svg
    #[arg(long)]
    pub look: bool,

    /// Stop after N evaluations without a better one; 0 for never
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub patience: u64,

    /// Learn the first batch again and again, to see that it can be learned
    #[arg(long)]
    pub overfit: bool,

    /// Keep only what enters each block and compute the block again on the way back: less memory, more time, the same
    /// result; may change when a run is resumed
    #[arg(long)]
    pub recompute: bool,

    /// Go on with the run in --out; give all other options as before
    #[arg(long)]
    pub resume: bool,

    /// Say what the run would take (memory, FLOPs, time), and stop
    #[arg(long)]
    pub plan: bool,

    /// Plain lines on a terminal too, no display
    #[arg(long)]
    pub plain: bool,

    /// JSON: a line for every step as in log.jsonl, and one at the end
    #[arg(long)]
    pub json: bool,
}

/// What steps the matrices.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub enum Rule {
    /// By running moments of every single weight
    Adamw,
    /// By the momentum of a matrix, made orthogonal: more arithmetic, fewer steps
    Muon,
}

/// How the rate moves.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub enum Curve {
    /// Half a cosine down
    Cosine,
    /// Stays, and falls over the last fifth
    Wsd,
    /// A straight line down
    Linear,
    /// Stays
    Constant,
}

/// The order of samples.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub enum Deal {
    /// Every epoch its own order
    Shuffled,
    /// As the data stands
    Sequential,
}

/// The precision of matrix products.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub enum Rounding {
    /// 32 bits
    F32,
    /// 16 bits that are multiplied, 32 that are added
    Mixed,
}

impl Rounding {
    /// As the library calls it.
    pub fn precision(self) -> Precision {
        match self {
            Rounding::F32 => Precision::F32,
            Rounding::Mixed => Precision::Mixed,
        }
    }
}

impl RunArgs {
    /// What a backward finds.
    pub fn keep(&self) -> Keep {
        if self.recompute { Keep::Inputs } else { Keep::All }
    }

    /// The settings of a run of `steps` steps.
    pub fn settings(&self, steps: u64) -> Settings {
        Settings {
            seed: self.seed,
            steps,
            batch: self.batch,
            accumulate: self.accumulate,
            optimiser: match self.optimiser {
                Rule::Adamw => Optimiser::AdamW,
                Rule::Muon => Optimiser::Muon,
            },
            lr: self.lr,
            min_lr: self.min_lr.unwrap_or(self.lr / 10.0),
            warmup: self.warmup.unwrap_or(100.min(steps / 10)),
            schedule: match self.schedule {
                Curve::Cosine => Schedule::Cosine,
                Curve::Wsd => Schedule::Wsd,
                Curve::Linear => Schedule::Linear,
                Curve::Constant => Schedule::Constant,
            },
            weight_decay: self.weight_decay,
            beta1: self.beta1,
            beta2: self.beta2,
            clip: self.clip,
            dropout: self.dropout,
            order: match self.order {
                Deal::Shuffled => Arrangement::Shuffled,
                Deal::Sequential => Arrangement::Sequential,
            },
            overfit: self.overfit,
            eval_every: self.eval_every,
            eval_samples: self.eval_samples,
            sample_every: self.sample_every,
            checkpoint_every: self.checkpoint_every,
            keep: self.keep,
            patience: self.patience,
            ..Settings::default()
        }
    }
}

const AFTER: &str = "\
DIR becomes a MODEL that glass and transformers open, at any time while the run goes on: the best by validation loss, or
without validation the last one saved. DIR/train holds the checkpoints and log.jsonl. Ctrl-C stops after the step under
way and saves first; a run killed at any moment resumes from its last checkpoint, with the same bytes as one that never
stopped. A folder that already holds a run is refused without --resume.

Text is read in portions and never held whole. Documents that stand twice are dropped and counted. From 64 MB of text on (and
with --shards) it is tokenised into shards (.bin, as --bin reads them), also by --plan; a preparation that was stopped goes
on after its last shard, and one that is done is used again. DIR/train/data.json is the data card: hash, files, documents,
bytes, tokens, bytes per token, what was dropped, the split.

On a terminal a display shows the loss (nats per token) over the steps, tokens per second, GFLOP/s reached and which share
that is of the multiply-adds this machine does in registers, measured at the start (mfu), the time left, the latest sample.
Elsewhere, with --plain, or with TERM=dumb a line says it now and then. DIR/train/curve.svg, drawn with every checkpoint,
shows how the run learned so far; DIR/train/events.out.tfevents.* are the same numbers for TensorBoard
(tensorboard --logdir DIR). With --look every checkpoint is looked at as glass look --train does, and a line of it stays
where the checkpoint goes; DIR/train/look.svg shows how the model grew.

JSON: a line for every step: {\"step\",\"loss\",\"val_loss\",\"bits_per_byte\",\"lr\",\"grad_norm\",\"tokens_per_second\",
\"mfu\",\"tokens\",\"seconds\"}, null where nothing was measured; at the end {\"out\",\"step\",\"tokens\",\"best\":{\"step\",\"loss\"},
\"why\"}, why one of done, asked, patience. With --plan: {\"weights\",\"memory_bytes\":{\"present\",\"weights\",\"gradients\",
\"moments\",\"activations\",\"working\",\"logits\",\"besides\",\"saving\",\"total\"},\"memory_limit\",\"fits\",\"instead\",
\"tokens_per_step\",\"steps\",\"tokens\",\"flops_per_step\",\"flops\",\"roof_flops\",\"seconds_at_roof\",\"seconds_per_step\",
\"tokens_per_second\",\"evaluations\",\"seconds_evaluating\",\"checkpoints\",\"seconds_saving\",\"seconds\",\"data\"}, null where nothing
tells; data is the data card. A plan measures a few steps of a smaller model (fewer layers, fewer samples), and saves it once beside --out.

Examples:
  glass train --data book.txt --out mine
  glass train --data stories --layers 4 --width 256 --heads 4 --minutes 10 --out mine
  glass train --from mine --chat talk.jsonl --epochs 2 --lr 2e-4 --out tuned
  glass train --data book.txt --out mine --resume";
