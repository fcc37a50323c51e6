//! `glass weights`: the census of a plan as a table.

mod picture;

use std::fs;
use std::io::Write as _;

use glass::Config;
use glass::config::Mask;
use glass::weights::census::{Census, Value};
use glass::weights::footprint::Footprint;
use serde_json::json;

use crate::args::WeightsArgs;
use crate::fail::Fail;
use crate::model_arg;
use crate::out::{Out, bytes, number};

/// Counts, and shows.
pub fn run(args: &WeightsArgs) -> Result<(), Fail> {
    let (name, config) = model_arg::plan(args.model.as_deref())?;
    let tokens = args.context.unwrap_or(config.context);
    if tokens == 0 || tokens > config.context {
        let most = number(config.context as u64);
        return Err(Fail::asked(format!(
            "--context: {tokens} tokens were asked for, but {name} has positions for 1 to {most}; ask for at most {most}"
        )));
    }
    let census = Census::of(&config);
    let footprint = Footprint::of(&config, tokens);
    if let Some(path) = &args.svg {
        let drawn = picture::svg(&name, &config, &census, tokens);
        fs::write(path, drawn).map_err(|error| glass::Error::io("cannot write", path, error))?;
    }
    let mut out = Out::new();
    if args.json {
        out.json(&document(&name, &census, &footprint))?;
    } else {
        shape(&mut out, &name, &config)?;
        groups(&mut out, &census)?;
        reconciliation(&mut out, &census)?;
        value(&mut out, census.value)?;
        context(&mut out, &config, &footprint)?;
    }
    out.done()
}

fn document(name: &str, census: &Census, footprint: &Footprint) -> serde_json::Value {
    let groups: Vec<_> = census
        .groups
        .iter()
        .map(|group| {
            json!({"name": group.name, "rows": group.rows, "cols": group.cols, "matrices": group.matrices,
                   "weights": group.weights, "share": census.share(group.weights)})
        })
        .collect();
    let reconciliation: Vec<_> = census
        .reconciliation
        .iter()
        .map(|line| json!({"what": line.what, "weights": line.weights}))
        .collect();
    let Value { width, head } = census.value;
    let half = census.value.half();
    let f = footprint;
    json!({
        "model": name,
        "groups": groups,
        "matrices": census.matrices,
        "weights": census.weights,
        "attention": {"weights": census.attention(), "share": census.share(census.attention())},
        "reconciliation": reconciliation,
        "stored": census.stored,
        "value_matrix": {"rows": width, "cols": width, "weights": census.value.whole(), "halves": [
            {"name": "value_down", "rows": width, "cols": head, "weights": half},
            {"name": "value_up", "rows": head, "cols": width, "weights": half},
        ]},
        "context": {"tokens": f.tokens, "pattern": f.pattern, "patterns": f.patterns,
                    "kv_cache_bytes": f.kv_cache_bytes, "activation_bytes": f.activation_bytes,
                    "flops_per_token": f.flops_per_token},
    })
}

fn shape(out: &mut Out, name: &str, config: &Config) -> Result<(), Fail> {
    let n = |value: usize| number(value as u64);
    writeln!(
        out,
        "{}: {} layers of width {}, {} heads of {}, MLP {}, context {}, vocabulary {}{}\n",
        out.bold(name),
        config.layers,
        n(config.width),
        config.heads.query,
        config.heads.size,
        n(config.hidden),
        n(config.context),
        n(config.vocabulary),
        match config.mask {
            Mask::Dense => String::new(),
            Mask::Alternating { band } => format!(", dense and banded ({band}) attention in turn"),
        }
    )?;
    Ok(())
}

fn groups(out: &mut Out, census: &Census) -> Result<(), Fail> {
    let heading = format!(
        "{:<12}{:>10}   {:>8}{:>12}{:>19}{:>9}",
        "group", "rows", "cols", "matrices", "weights", "share"
    );
    writeln!(out, "{}", out.bold(&heading))?;
    for group in &census.groups {
        let share = 100.0 * census.share(group.weights);
        let [rows, cols, matrices, weights] =
            [group.rows, group.cols, group.matrices, group.weights].map(number);
        writeln!(out, "{:<12}{rows:>10} × {cols:>8}{matrices:>12}{weights:>19}{share:>7.1} %", group.name)?;
    }
    let total = number(census.weights);
    writeln!(out, "{:<12}{:>33}{total:>19}{:>7.1} %", "total", number(census.matrices), 100.0)?;
    let attention = census.attention();
    let share = 100.0 * census.share(attention);
    writeln!(out, "{:<45}{:>19}{share:>7.1} %\n", "  of which attention", number(attention))?;
    Ok(())
}

fn reconciliation(out: &mut Out, census: &Census) -> Result<(), Fail> {
    writeln!(out, "{}", out.bold("from this count to what a file stores"))?;
    writeln!(out, "  {:<43}{:>19}", "every matrix of the table", number(census.weights))?;
    for line in &census.reconciliation {
        let sign = if line.weights < 0 { '−' } else { '+' };
        writeln!(out, "{sign} {:<43}{:>19}", line.what, number(line.weights.unsigned_abs()))?;
    }
    writeln!(out, "= {:<43}{:>19}\n", "as stored", number(census.stored))?;
    Ok(())
}

fn value(out: &mut Out, value: Value) -> Result<(), Fail> {
    let (width, head) = (number(value.width), number(value.head));
    writeln!(out, "{}", out.bold("a head's value matrix"))?;
    let whole = format!("if it were whole: {width} × {width}");
    writeln!(out, "  {whole:<43}{:>19}", number(value.whole()))?;
    let halves = format!("as two halves: {width} × {head}, {head} × {width}");
    writeln!(out, "  {halves:<43}{:>19}\n", format!("2 × {}", number(value.half())))?;
    Ok(())
}

fn context(out: &mut Out, config: &Config, footprint: &Footprint) -> Result<(), Fail> {
    let f = footprint;
    let heading = format!("a context of {} tokens", number(f.tokens));
    writeln!(out, "{}", out.bold(&heading))?;
    let pattern = format!("pattern, T² ({} heads × {} layers)", config.heads.query, config.layers);
    writeln!(out, "  {pattern:<43}{:>19}", number(f.pattern))?;
    for (what, value) in
        [("keys and values kept", f.kv_cache_bytes), ("activations kept to learn", f.activation_bytes)]
    {
        let readable = format!("{what} ({})", bytes(value));
        writeln!(out, "  {readable:<43}{:>19} bytes", number(value))?;
    }
    writeln!(out, "  {:<43}{:>19} FLOPs", "one token forward", number(f.flops_per_token))?;
    Ok(())
}
