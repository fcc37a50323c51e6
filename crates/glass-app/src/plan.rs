//! `glass plan`: what a training takes on many machines.

mod file;
mod report;

use glass::Config;
use glass::backend::Heads;
use glass::families::{self, Family};
use glass::model::parameter_count::ParameterCount;
use glass::train::machines::{self, Asked, Cluster, Training};

use crate::args::PlanArgs;
use crate::fail::Fail;
use crate::model_arg;
use crate::out::number;

/// Weights, and tokens of a step, of the eight GPT-3s (Brown et al. 2020, table 2.1).
const BATCHES: [(f64, f64); 8] = [
    (125e6, 0.5e6),
    (350e6, 0.5e6),
    (760e6, 0.5e6),
    (1.3e9, 1e6),
    (2.7e9, 1e6),
    (6.7e9, 2e6),
    (13e9, 2e6),
    (175e9, 3.2e6),
];

/// Tokens that GPT-3 learned from (the same table).
const GPT3_TOKENS: f64 = 300e9;

/// Tokens a weight with which a training is worth its operations most (Hoffmann et al. 2022).
const TOKENS_A_WEIGHT: f64 = 20.0;

/// The longest context of a model that is given by its sizes, if nothing is said.
const CONTEXT: usize = 2048;

/// Runs the command.
pub fn run(args: &PlanArgs) -> Result<(), Fail> {
    let (name, config) = model(args)?;
    let cluster = cluster(args)?;
    let weights = ParameterCount::of(&config).stored as f64;
    let context = args.context.unwrap_or(config.context);
    let config = match args.sizes.layers {
        Some(_) => Config { context, ..config },
        None => config,
    };
    let is_gpt3 = name.starts_with("gpt3");
    let tokens = args.tokens.unwrap_or(if is_gpt3 { GPT3_TOKENS } else { TOKENS_A_WEIGHT * weights });
    let training = Training {
        config: &config,
        context,
        batch: batch(args, weights, context)?,
        tokens,
        precision: args.precision.map_or_else(|| cluster.fastest(), |choice| choice.precision()),
    };
    let asked = asked(args);
    let plan = machines::plan(&training, &cluster, &asked).map_err(|error| explained(error, args))?;
    let equations = machines::equations(&plan, &training, &cluster)?;
    let report = report::Report {
        name: &name,
        training: &training,
        cluster: &cluster,
        plan: &plan,
        equations: &equations,
    };
    if args.json { report.json() } else { report.show(args.equations) }
}

fn model(args: &PlanArgs) -> Result<(String, Config), Fail> {
    let sizes = &args.sizes;
    let (Some(layers), Some(heads), Some(width), Some(vocabulary)) =
        (sizes.layers, sizes.heads, sizes.width, sizes.vocab)
    else {
        return model_arg::plan(args.model.as_deref());
    };
    let limits = [
        ("--layers", layers, 1024),
        ("--heads", heads, 1024),
        ("--width", width, 1 << 17),
        ("--vocab", vocabulary, 1 << 22),
        ("--key-heads", sizes.key_heads.unwrap_or(1), 1024),
        ("--mlp-width", sizes.mlp_width.unwrap_or(1), 1 << 20),
        ("--context", args.context.unwrap_or(CONTEXT), 1 << 24),
    ];
    for (option, value, most) in limits {
        if value == 0 || value > most {
            let most = number(most as u64);
            return Err(Fail::asked(format!("{option}: {value} was given, but it must be from 1 to {most}")));
        }
    }
    if !width.is_multiple_of(heads) {
        return Err(Fail::asked(format!(
            "--heads: a width of {width} cannot be divided by {heads} heads; choose a multiple of the heads"
        )));
    }
    let family = sizes.family.as_deref().unwrap_or("gpt2");
    let family = Family::named(family).ok_or_else(|| {
        let known: Vec<&str> = Family::all().map(Family::name).collect();
        Fail::asked(format!("--family: {family:?} is not one of {}", known.join(", ")))
    })?;
    let context = args.context.unwrap_or(CONTEXT);
    let mut config = families::config(family, vocabulary, context, width, layers, heads);
    let keys = sizes.key_heads.unwrap_or(heads);
    if !heads.is_multiple_of(keys) {
        return Err(Fail::asked(format!(
            "--key-heads: {heads} heads cannot share {keys} heads of keys evenly"
        )));
    }
    config.heads = Heads::new(heads, keys, width / heads);
    config.mlp_width = sizes.mlp_width.unwrap_or(config.mlp_width);
    Ok((format!("{layers} layers of width {}", number(width as u64)), config))
}

fn cluster(args: &PlanArgs) -> Result<Cluster, Fail> {
    let mut cluster = file::read(&args.machines)?;
    if let Some(nodes) = args.nodes {
        if nodes == 0 {
            return Err(Fail::asked("--nodes: 0 was given; give at least 1"));
        }
        cluster.nodes = nodes;
    }
    cluster.check().map_err(|error| file::placed(&args.machines, error))?;
    Ok(cluster)
}

/// Samples of a step.
fn batch(args: &PlanArgs, weights: f64, context: usize) -> Result<usize, Fail> {
    if let Some(batch) = args.batch {
        return Ok(batch);
    }
    if let Some(tokens) = args.batch_tokens {
        let samples = (tokens / context.max(1) as f64).round();
        if !(1.0..=1e12).contains(&samples) {
            return Err(Fail::asked(format!(
                "--batch-tokens: {tokens} was given, but a step has at least one sample of {context} tokens"
            )));
        }
        return Ok(samples as usize);
    }
    let known = BATCHES.iter().rev().find(|(least, _)| weights >= 0.9 * least).unwrap_or(&BATCHES[0]);
    Ok(round(known.1 / context.max(1) as f64))
}

/// The nearest number of the form 2ⁿ or 3 · 2ⁿ, which many numbers of devices divide.
fn round(samples: f64) -> usize {
    let forms = (0..40).flat_map(|power| [1usize << power, 3 << power]);
    forms.min_by_key(|&form| ((form as f64 / samples.max(1.0)).ln().abs() * 1e9) as u64).unwrap_or(1)
}

fn asked(args: &PlanArgs) -> Asked {
    let layout = &args.layout;
    Asked {
        devices: layout.devices,
        data: layout.data,
        tensor: layout.tensor,
        pipeline: layout.pipeline,
        interleave: layout.interleave,
        zero: layout.zero,
        micro_batch: layout.micro_batch,
        recompute: layout.recompute.map(|choice| choice.recompute()),
    }
}

/// An error of the library with the options of this command in place of its fields.
fn explained(error: glass::Error, args: &PlanArgs) -> Fail {
    match error {
        glass::Error::InvalidArgument { what, why } => match what.as_str() {
            "memory" | "layout" => Fail::asked(format!("{}: {why}", args.machines.display())),
            option => Fail::asked(format!("--{}: {why}", option.replace('_', "-"))),
        },
        other => file::placed(&args.machines, other),
    }
}
