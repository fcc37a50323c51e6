//! `glass weights`: the parameter count of a model as a table.

mod picture;

use std::io::Write as _;

use glass::Config;
use glass::model::footprint::Footprint;
use glass::model::parameter_count::{ParameterCount, ValueMatrix};
use serde_json::json;

use crate::args::WeightsArgs;
use crate::draw::file;
use crate::fail::Fail;
use crate::layout::wrap;
use crate::model_arg;
use crate::out::{Out, bytes, count, number, percent};

/// Runs the command.
pub fn run(args: &WeightsArgs) -> Result<(), Fail> {
    let (name, config) = model_arg::plan(args.model.as_deref())?;
    let tokens = args.context.unwrap_or(config.context);
    if tokens == 0 || tokens > config.context {
        let most = number(config.context as u64);
        return Err(Fail::asked(format!(
            "--context: {tokens} was given, but {name} has contexts of 1 to {most} tokens; give 1 to {most}"
        )));
    }
    let parameter_count = ParameterCount::of(&config);
    let footprint = Footprint::of(&config, tokens);
    if let Some(path) = &args.svg {
        file::write("--svg", path, &picture::svg(&name, &config, &parameter_count, tokens))?;
    }
    let mut out = Out::new();
    if args.json {
        out.json(&document(&name, &parameter_count, &footprint))?;
    } else {
        shape(&mut out, &name, &config)?;
        groups(&mut out, &parameter_count)?;
        reconciliation(&mut out, &parameter_count)?;
        value(&mut out, parameter_count.value)?;
        context(&mut out, &config, &footprint)?;
    }
    out.done()
}

fn document(name: &str, parameter_count: &ParameterCount, footprint: &Footprint) -> serde_json::Value {
    let groups: Vec<_> = parameter_count
        .groups
        .iter()
        .map(|group| {
            json!({"name": group.name, "rows": group.rows, "cols": group.cols, "matrices": group.matrices,
                   "weights": group.weights, "share": parameter_count.share(group.weights)})
        })
        .collect();
    let reconciliation: Vec<_> = parameter_count
        .reconciliation
        .iter()
        .map(|line| json!({"what": line.what, "weights": line.weights}))
        .collect();
    let ValueMatrix { width, head } = parameter_count.value;
    let half = parameter_count.value.half();
    let f = footprint;
    json!({
        "model": name,
        "groups": groups,
        "matrices": parameter_count.matrices,
        "weights": parameter_count.weights,
        "attention": {"weights": parameter_count.attention(), "share": parameter_count.share(parameter_count.attention())},
        "reconciliation": reconciliation,
        "stored": parameter_count.stored,
        "value_matrix": {"rows": width, "cols": width, "weights": parameter_count.value.whole(), "halves": [
            {"name": "value_down", "rows": width, "cols": head, "weights": half},
            {"name": "value_up", "rows": head, "cols": width, "weights": half},
        ]},
        "context": {"tokens": f.tokens, "pattern": f.pattern, "patterns": f.patterns,
                    "kv_cache_bytes": f.kv_cache_bytes, "activation_bytes": f.activation_bytes,
                    "flops_per_token": f.flops_per_token},
    })
}

/// The widths of a label and of its number in columns: together they fit on a terminal of 60 columns.
const LABEL: usize = 41;
const NUMBER: usize = 17;

fn shape(out: &mut Out, name: &str, config: &Config) -> Result<(), Fail> {
    let n = |value: usize| number(value as u64);
    let windows: Vec<usize> = config.attention.iter().filter_map(|layer| layer.window).collect();
    let banded = match windows.first() {
        None => String::new(),
        Some(window) => {
            format!(", {} of {} layers see {window} positions", windows.len(), config.attention.len())
        }
    };
    let text = format!(
        "{}: {} of width {}, {} of {}, MLP {}, context {}, vocabulary {}{banded}",
        out.bold(name),
        count(config.layers, "layer"),
        n(config.width),
        count(config.heads.query, "head"),
        config.heads.size,
        n(config.mlp_width),
        n(config.context),
        n(config.vocabulary),
    );
    writeln!(out, "{}\n", wrap(&text, out.columns(), 2))?;
    Ok(())
}

fn groups(out: &mut Out, parameter_count: &ParameterCount) -> Result<(), Fail> {
    let heading = format!(
        "{:<11}{:>7}   {:<6}{:>8}{:>NUMBER$}{:>7}",
        "group", "rows", "cols", "matrices", "weights", "share"
    );
    writeln!(out, "{}", out.bold(&heading))?;
    for group in &parameter_count.groups {
        let share = percent(parameter_count.share(group.weights), 1);
        let [rows, cols, matrices, weights] =
            [group.rows, group.cols, group.matrices, group.weights].map(number);
        writeln!(out, "{:<11}{rows:>7} × {cols:<6}{matrices:>8}{weights:>NUMBER$}{share:>8}", group.name)?;
    }
    let (total, whole) = (number(parameter_count.weights), percent(1.0, 1));
    writeln!(out, "{:<27}{:>8}{total:>NUMBER$}{whole:>8}", "total", number(parameter_count.matrices))?;
    let attention = parameter_count.attention();
    let share = percent(parameter_count.share(attention), 1);
    writeln!(out, "{:<35}{:>NUMBER$}{share:>8}\n", "  of which attention", number(attention))?;
    Ok(())
}

fn reconciliation(out: &mut Out, parameter_count: &ParameterCount) -> Result<(), Fail> {
    writeln!(out, "{}", out.bold("from this count to what a file stores"))?;
    line(out, ' ', "all matrices of the table", number(parameter_count.weights))?;
    for step in &parameter_count.reconciliation {
        let sign = if step.weights < 0 { '−' } else { '+' };
        line(out, sign, step.what, number(step.weights.unsigned_abs()))?;
    }
    line(out, '=', "as stored", number(parameter_count.stored))?;
    Ok(writeln!(out)?)
}

fn value(out: &mut Out, value: ValueMatrix) -> Result<(), Fail> {
    let (width, head) = (number(value.width), number(value.head));
    writeln!(out, "{}", out.bold("a head's value matrix"))?;
    line(out, ' ', &format!("as one matrix: {width} × {width}"), number(value.whole()))?;
    let halves = format!("as two: {width} × {head}, {head} × {width}");
    line(out, ' ', &halves, format!("2 × {}", number(value.half())))?;
    Ok(writeln!(out)?)
}

fn context(out: &mut Out, config: &Config, footprint: &Footprint) -> Result<(), Fail> {
    let f = footprint;
    let heading =
        format!("a context of {} {}", number(f.tokens), if f.tokens == 1 { "token" } else { "tokens" });
    writeln!(out, "{}", out.bold(&heading))?;
    let (heads, layers) = (count(config.heads.query, "head"), count(config.layers, "layer"));
    line(out, ' ', &format!("pattern, T² ({heads} × {layers})"), number(f.pattern))?;
    for (what, value) in [("keys and values", f.kv_cache_bytes), ("activations to train", f.activation_bytes)]
    {
        line(out, ' ', &format!("{what}, bytes ({})", bytes(value)), number(value))?;
    }
    line(out, ' ', "one token forward, FLOPs", number(f.flops_per_token))
}

fn line(out: &mut Out, sign: char, what: &str, number: String) -> Result<(), Fail> {
    Ok(writeln!(out, "{sign} {what:<LABEL$}{number:>NUMBER$}")?)
}
