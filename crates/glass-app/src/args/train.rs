//! `glass train`.

use std::path::PathBuf;

use clap::builder::{ArgPredicate, OsStringValueParser, TypedValueParser};
use clap::{ArgGroup, Args, ValueEnum};
use glass::backend::Precision;
use glass::memory::Keep;
use glass::train::order::Arrangement;
use glass::train::settings::Settings;

use super::config::RECIPES;
use super::{
    DataPath, DistilArgs, DraftArgs, GrowthArgs, LoraArgs, MachineArgs, Options, PreferenceArgs, RanksArgs,
    RuleArgs, Similar, Stored, Width,
};

/// What stands for --out where a plan is given none.
pub const NO_FOLDER: &str = ".";

/// Learn from text
#[derive(Args, Clone, Debug)]
#[command(after_long_help = AFTER, group = ArgGroup::new("source").required(true).multiple(true).args(["data", "chat", "preferences"]))]
pub struct TrainArgs {
    /// Where the model and the run are written; --plan and --show-mask need none
    #[arg(long, value_name = "DIR", required = false, required_unless_present_any = ["plan", "show_mask"])]
    #[arg(
        default_value_if("plan", "true", NO_FOLDER),
        default_value_if("show_mask", ArgPredicate::IsPresent, NO_FOLDER)
    )]
    #[arg(hide_default_value = true)]
    pub out: PathBuf,

    /// Options from a file in TOML, `steps = 1000`; those on the command line count more. Relative paths in it begin at the
    /// working folder, as on the command line. Every run writes its own to OUT/train/config.toml
    #[arg(long, value_name = "FILE.toml")]
    pub config: Option<PathBuf>,

    /// All options together.
    #[arg(skip)]
    pub options: Options,

    #[command(flatten)]
    #[allow(missing_docs)]
    pub data: DataArgs,

    #[command(flatten)]
    #[allow(missing_docs)]
    pub draft: DraftArgs,

    #[command(flatten)]
    #[allow(missing_docs)]
    pub shape: ShapeArgs,

    #[command(flatten)]
    #[allow(missing_docs)]
    pub lora: LoraArgs,

    #[command(flatten)]
    #[allow(missing_docs)]
    pub preference: PreferenceArgs,

    #[command(flatten)]
    #[allow(missing_docs)]
    pub distil: DistilArgs,

    #[command(flatten)]
    #[allow(missing_docs)]
    pub run: RunArgs,

    #[command(flatten)]
    #[allow(missing_docs)]
    pub machine: MachineArgs,
}

/// The training data.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Data")]
pub struct DataArgs {
    /// Text, JSON lines (.jsonl), JSON (.json), CSV or TSV; a folder of text and JSON lines (see --ending); shards
    /// of token ids (.bin, see --bin); - for standard input; `sample` for stories that come with the program. For a mixture, with
    /// amounts: stories.txt@0.7 is 70 % of the tokens, code.txt@x3 is seen three times while data without an amount is seen once
    #[arg(long, value_name = "PATH[@AMOUNT]", num_args = 1.., value_parser = data_path())]
    pub data: Vec<DataPath>,

    /// Conversations, one {"messages":[{"role","content"}]} per line; only the assistant's messages are learned.
    /// Lines with {"text"} are learned in full, so that a model keeps what it knew. With --data too, both are mixed
    #[arg(long, value_name = "FILE.jsonl[@AMOUNT]", num_args = 1.., value_parser = data_path())]
    pub chat: Vec<DataPath>,

    /// Fill every sample with as many whole conversations as fit into the context. They do not see each other, so the loss is the
    /// same as without; a step learns from more of them
    #[arg(long, requires = "chat")]
    pub pack: bool,

    /// Documents in one sample do not see each other, and their positions begin at 0. By default, a sample is a window of the text,
    /// whatever ends or begins in it
    #[arg(long, requires = "data")]
    pub mask_documents: bool,

    /// Separator between the documents of a text file
    #[arg(long, value_name = "TEXT", default_value = "<|endoftext|>")]
    pub separator: String,

    /// In folders, read the files with these extensions, as in `rs,md`: as text, or as csv, tsv, json or jsonl by
    /// their names. By default .txt, .jsonl and .ndjson; if there are none, .csv, .tsv and .json
    #[arg(long, value_name = "LIST", value_delimiter = ',', conflicts_with_all = ["chat", "bin"])]
    pub ending: Vec<String>,

    /// The field of a JSON object, or the column of a table, that holds the document
    #[arg(long, value_name = "NAME", default_value = "text")]
    pub field: String,

    /// The data is token ids of this width, used unchanged; shards with llm.c's header need no --bin
    #[arg(long, value_enum, value_name = "WIDTH", conflicts_with = "chat")]
    pub bin: Option<Width>,

    /// Folder for the text's token shards, so that runs can share them: they are reused if the files, the
    /// vocabulary and the split are the same. By default, a run with 64 MB of text or more keeps its own in
    /// OUT/train/data
    #[arg(long, value_name = "DIR", conflicts_with_all = ["chat", "bin"])]
    pub shards: Option<PathBuf>,

    /// Keep documents that occur more than once; by default, exact duplicates are dropped
    #[arg(long, conflicts_with_all = ["chat", "bin"])]
    pub keep_duplicates: bool,

    /// Documents and conversations that are nearly the same as others: report how many there are, above all as validation data;
    /// drop them; or keep them, without looking
    #[arg(long, value_enum, value_name = "WHAT", default_value_t = Similar::Report, conflicts_with = "bin")]
    pub near_duplicates: Similar,

    /// Validation data, of the same kind; it is never learned. By default, files of --data whose names contain
    /// `val`, `dev` or `test` are used
    #[arg(long, value_name = "PATH", num_args = 1.., conflicts_with = "val_fraction")]
    pub val: Vec<PathBuf>,

    /// Fraction of the documents used for validation if there are no files for it; 0 for none
    #[arg(long, value_name = "F", default_value_t = 0.1)]
    pub val_fraction: f64,
}

/// The model to train.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Model")]
pub struct ShapeArgs {
    /// A preset: gpt2, gpt2-medium, … (glass weights --help lists them, and says where they differ from the paper)
    #[arg(long, value_name = "NAME", conflicts_with_all = ["layers", "heads", "width", "from"])]
    pub preset: Option<String>,

    /// Options of model and optimiser that belong together; each of them may be given instead. fast, for a new model that is no
    /// preset: family qwen3, Muon in every second step, batch 4, lr 0.015, matrix-lr 0.0075, momentum 0.8, falling in a straight line
    /// to 0, two blocks in the first half of the steps. gpt2: the defaults that are shown here
    #[arg(long, value_name = "NAME", value_parser = RECIPES.map(|(name, _)| name), conflicts_with_all = ["preset", "from"])]
    pub recipe: Option<String>,

    #[command(flatten)]
    pub switches: super::switches::Switches,

    /// Blocks
    #[arg(long, value_name = "N", default_value_t = 6)]
    pub layers: usize,

    /// Attention heads of a block
    #[arg(long, value_name = "N", default_value_t = 6)]
    pub heads: usize,

    /// Width of the residual stream, a multiple of the heads
    #[arg(long, value_name = "N", default_value_t = 384)]
    pub width: usize,

    /// Positions in the context; default: 256, or the preset's own
    #[arg(long, value_name = "N")]
    pub context: Option<usize>,

    /// Size of the vocabulary that is learned from the data (default: 4,096); with --tokenizer or --bin, the number of rows of
    /// the embedding
    #[arg(long, value_name = "N")]
    pub vocab: Option<usize>,

    /// The vocabulary of another model: a folder, a tokenizer.json, a vocab.json with merges.txt in the same
    /// folder, tiktoken's ranks (.tiktoken), or gpt2. By default, one is learned from the data; a preset uses
    /// gpt2's
    #[arg(long, value_name = "MODEL")]
    pub tokenizer: Option<String>,

    /// Start from this model's weights, with its sizes and vocabulary
    #[arg(long, value_name = "MODEL", conflicts_with_all = ["layers", "heads", "width", "context", "vocab", "tokenizer"])]
    pub from: Option<String>,

    /// How the model's weights are stored
    #[arg(long, value_enum, value_name = "DTYPE", default_value_t = Stored::F32)]
    pub dtype: Stored,
}

/// The settings of the training.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Run")]
pub struct RunArgs {
    /// Number of steps; default: 1,000, unless --epochs or --minutes is given
    #[arg(long, value_name = "N", conflicts_with = "epochs")]
    pub steps: Option<u64>,

    /// Number of passes over the data
    #[arg(long, value_name = "X")]
    pub epochs: Option<f64>,

    /// Stop after this many minutes, counted from now; without --steps and --epochs, the number of steps is
    /// estimated from a few timed steps
    #[arg(long, value_name = "M")]
    pub minutes: Option<f64>,

    /// Samples of one batch, each as long as the context
    #[arg(long, value_name = "N", default_value_t = 12)]
    pub batch: usize,

    /// Batches of one step
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub accumulate: usize,

    /// Share of activations dropped after the embedding, in attention and on the residuals
    #[arg(long, value_name = "R", default_value_t = 0.0)]
    pub dropout: f32,

    /// The order of samples; sequential takes consecutive windows
    #[arg(long, value_enum, default_value_t = Deal::Shuffled)]
    pub order: Deal,

    /// Precision of the operands of matrix products: f32, or bf16 on processors where that is faster. Weights, gradients and
    /// sums are f32 in either case
    #[arg(long, value_enum, default_value_t = Rounding::F32)]
    pub precision: Rounding,

    /// Seed of weights, order, split and dropout
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub seed: u64,

    /// Evaluate every N steps, and at the end, unless it is interrupted
    #[arg(long, value_name = "N", default_value_t = 250)]
    pub eval_every: u64,

    /// Evaluate on this many samples, spread evenly over the validation data; default: all
    #[arg(long, value_name = "N")]
    pub eval_samples: Option<usize>,

    /// Show a text that the model generates every N steps; 0 for never
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub sample_every: u64,

    /// Save every N steps, and at the end
    #[arg(long, value_name = "N", default_value_t = 250)]
    pub checkpoint_every: u64,

    /// Number of recent checkpoints to keep, besides the best
    #[arg(long, value_name = "N", default_value_t = 2)]
    pub keep: usize,

    /// Look inside at every checkpoint: the loss of each layer's lens, what heads do, the norms; writes DIR/train/look.jsonl
    /// and look.svg
    #[arg(long)]
    pub look: bool,

    /// Stop after N evaluations without a better one; 0 for never
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub patience: u64,

    /// Train on the first batch only, repeatedly, to check that it can be learned
    #[arg(long)]
    pub overfit: bool,

    /// Keep only the input of each block and compute the block again in the backward pass: less memory, more time, the same
    /// result; may change when a run is resumed
    #[arg(long)]
    pub recompute: bool,

    /// Go on with the run in --out, with its own options; --steps, --epochs, --minutes, --lr, --matrix-lr, --min-lr, --warmup and --clip
    /// may be given anew, as may what is only shown and kept
    #[arg(long, requires = "out")]
    pub resume: bool,

    /// Print what the run would need (memory, FLOPs, time), and stop
    #[arg(long)]
    pub plan: bool,

    /// Print the first N samples as the model would read them, with what is learned marked, what is cut off and what is left out
    /// and why, and stop
    #[arg(long, value_name = "N", num_args = 0..=1, default_missing_value = "3", conflicts_with = "plan")]
    #[arg(value_parser = clap::value_parser!(u32).range(1..))]
    pub show_mask: Option<u32>,

    /// Plain lines even on a terminal, without a display
    #[arg(long)]
    pub plain: bool,

    /// JSON: one line per step as in log.jsonl, and a final one
    #[arg(long)]
    pub json: bool,

    #[command(flatten)]
    pub growth: GrowthArgs,

    #[command(flatten)]
    pub rule: RuleArgs,

    #[command(flatten)]
    pub ranks: RanksArgs,
}

fn data_path() -> impl TypedValueParser<Value = DataPath> {
    OsStringValueParser::new().try_map(DataPath::parse)
}

/// The order of samples.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub enum Deal {
    /// A new order in every epoch
    Shuffled,
    /// In the order of the data
    Sequential,
}

/// The precision of matrix products.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub enum Rounding {
    /// 32 bits
    F32,
    /// Products of bf16, sums in f32
    Mixed,
}

impl Rounding {
    /// The library's value.
    pub fn precision(self) -> Precision {
        match self {
            Rounding::F32 => Precision::F32,
            Rounding::Mixed => Precision::Mixed,
        }
    }
}

impl TrainArgs {
    /// The settings of a run of `steps` steps.
    pub fn settings(&self, steps: u64) -> Settings {
        let (preference, distil) = (self.preference.preference(), self.distil.distil());
        Settings { preference, distil, ..self.run.settings(steps) }
    }
}

impl RunArgs {
    /// Which activations are kept for the backward pass.
    pub fn keep(&self) -> Keep {
        if self.recompute { Keep::Inputs } else { Keep::All }
    }

    /// Whether nothing is trained and kept.
    pub fn only_shows(&self) -> bool {
        self.plan || self.show_mask.is_some()
    }

    /// The settings that are the same for every kind of data.
    pub fn settings(&self, steps: u64) -> Settings {
        let draft = Settings {
            seed: self.seed,
            steps,
            batch: self.batch,
            accumulate: self.accumulate,
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
        };
        self.growth.settings(self.rule.settings(draft))
    }
}

const AFTER: &str = "\
DIR becomes a MODEL that glass and transformers can open at any time during the run: the best by validation loss, or
without validation the last one saved. DIR/train holds the checkpoints, log.jsonl and config.toml, all options of the run.
Ctrl-C stops after the current step and saves a checkpoint first, but does not evaluate for it; when the time of --minutes is
over, the run ends as after its last step, with an evaluation and a checkpoint. A run that was killed resumes from its last checkpoint, with the same
bytes as one that never stopped. A folder that already holds a run is refused without --resume.

Files and folders named val, valid, validation, dev, eval or test are for validation and never learned; a remark names them.
Text is read in portions and never held in memory as a whole. Duplicate documents are dropped and counted. From 64 MB of text
on (and with --shards) it is tokenised into shards (.bin, as --bin reads them), also by --plan; an interrupted
preparation continues after its last shard, and a finished one is reused. DIR/train/data.json is the data card: hash, files, documents,
bytes, tokens, tokens learned, bytes per token, lengths of conversations, dropped documents, near-duplicates, the split, the sources.

In a mixture, each PATH@AMOUNT is a source of its own, and all others are one. Its shares hold in every step, and a remark says how
often each source will be seen; validation loss is reported for each too (val_losses in log.jsonl). Near-duplicates share at least
0.8 of their sets of five words in a row, by MinHash. docs/data.md tells more.

On a terminal a display shows the loss (nats per token) over the steps, tokens per second, GFLOP/s and its share of this
machine's peak of multiply-adds, measured at the start (mfu), the time left, the latest sample.
Elsewhere, with --plain, or with TERM=dumb, lines are printed from time to time. DIR/train/curve.svg, drawn with every
checkpoint, shows the learning curve; DIR/train/events.out.tfevents.* are the same numbers for TensorBoard
(tensorboard --logdir DIR). With --look, every checkpoint is measured as by glass look --train, and its line is kept even
if the checkpoint is deleted; DIR/train/look.svg shows how the model develops.

JSON: a line for every step: {\"step\",\"loss\",\"val_loss\",\"bits_per_byte\",\"lr\",\"grad_norm\",\"tokens_per_second\",
\"mfu\",\"tokens\",\"seconds\"}, null where nothing was measured; with
--preferences also {\"accuracy\",\"margin\"} and, where it was evaluated, {\"val_accuracy\"}; with --teacher {\"cross_entropy\",
\"divergence\"}; at the end {\"out\",\"step\",\"tokens\",\"best\":{\"step\",\"loss\"},
\"why\"}, why one of done, time (--minutes), patience, interrupted. With --plan: {\"weights\",\"memory_bytes\":{\"present\",\"weights\",\"gradients\",
\"moments\",\"activations\",\"working\",\"logits\",\"besides\",\"saving\",\"total\"},\"memory_limit\",\"fits\",\"instead\",
\"tokens_per_step\",\"steps\",\"tokens\",\"early\":{\"steps\",\"blocks\",\"work\"},\"flops_per_step\",\"flops\",\"roof_flops\",\"seconds_at_roof\",\"seconds_per_step\",
\"tokens_per_second\",\"evaluations\",\"seconds_evaluating\",\"checkpoints\",\"seconds_saving\",\"seconds\",\"data\"}, null if unknown; data is the data card. A plan measures a few steps of a smaller model (fewer layers, fewer samples), and saves it once in the folder of --out.

Examples:
  glass train --data book.txt --out mine
  glass train --data stories --layers 4 --width 256 --heads 4 --minutes 10 --out mine
  glass train --from mine --chat talk.jsonl --epochs 2 --lr 2e-4 --out tuned
  glass train --from big.gguf --lora 16 --chat talk.jsonl --epochs 2 --lr 2e-4 --out manner
  glass train --from mine --chat talk.jsonl --show-mask
  glass train --data stories@0.7 code.txt@0.3 --chat talk.jsonl@x2 --epochs 1 --out mixed
  glass train --from tuned --preferences pairs.jsonl --epochs 1 --lr 5e-6 --out preferred
  glass train --data stories --teacher large --layers 4 --width 256 --heads 4 --out small
  glass train --out mine --resume --steps 2000
  mpirun -n 4 glass train --data book.txt --batch 3 --accumulate 4 --out book
  glass train --data sample --out first";
