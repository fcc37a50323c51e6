//! Which tensor of a file holds which parameter: a table of names, and the sizes that a configuration gives.

use crate::Config;
use crate::config::{Gain, NormOver};
use crate::weights::names::{Place, RowMap, TensorKind, plain};

/// A parameter's layer and its name in the files. Layers with the same name there are joined, in the order of the table.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Named {
    /// Glass's name without `.weight`, with N for the block's number.
    pub ours: &'static str,
    /// The file's name, likewise.
    pub theirs: &'static str,
    /// The order of its rows there.
    pub rows: Rows,
}

/// The order of a parameter's rows in a file.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Rows {
    /// As in Glass.
    Straight,
    /// Joined layers take turns, head by head.
    ByHead,
    /// In every head the two halves take turns, so that neighbours are rotated together.
    Pairs,
}

/// A layer whose rows are in Glass's order.
pub(crate) const fn named(ours: &'static str, theirs: &'static str) -> Named {
    Named { ours, theirs, rows: Rows::Straight }
}

/// A parameter's layer, with N for the block's number; that number; and the last part of its name.
fn parts(parameter: &str) -> Option<(String, &str, &str)> {
    let (module, leaf) = match parameter.rsplit_once('.') {
        Some((module, leaf @ ("weight" | "bias"))) => (module, leaf),
        _ => (parameter, ""),
    };
    match module.strip_prefix("block.") {
        None => Some((module.to_string(), "", leaf)),
        Some(rest) => {
            let (layer, rest) = rest.split_once('.')?;
            layer.parse::<usize>().ok()?;
            Some((format!("block.N.{rest}"), layer, leaf))
        }
    }
}

/// Outputs and inputs of a layer: 1 input for a vector.
fn sizes(config: &Config, layer: &str) -> Option<[usize; 2]> {
    let Config { vocabulary, context, width, heads, mlp_width, .. } = *config;
    let (queries, keys) = (heads.query.checked_mul(heads.size)?, heads.key.checked_mul(heads.size)?);
    let over = |all: usize| match config.query_key_norm.map(|norm| norm.over) {
        Some(NormOver::Width) => all,
        _ => heads.size,
    };
    Some(match layer.strip_prefix("block.N.").unwrap_or(layer) {
        "embedding.token" | "unembedding" => [vocabulary, width],
        "embedding.position" => [context, width],
        "norm" | "attention.norm" | "attention.norm_after" | "mlp.norm" | "mlp.norm_after" => [width, 1],
        "attention.query" => [queries, width],
        "attention.key" | "attention.value_down" => [keys, width],
        "attention.value_up" => [width, queries],
        "attention.query_norm" => [over(queries), 1],
        "attention.key_norm" => [over(keys), 1],
        "attention.sinks" => [heads.query, 1],
        "mlp.gate" | "mlp.up" => [mlp_width, width],
        "mlp.down" => [width, mlp_width],
        _ => return None,
    })
}

/// Where `parameter` is in files with these names; `None` if they have no place for it.
pub(crate) fn place(names: &[Named], is_turned: bool, config: &Config, parameter: &str) -> Option<Place> {
    let (layer, number, leaf) = parts(parameter)?;
    let at = names.iter().position(|name| name.ours == layer)?;
    let name = names[at];
    let [outputs, inputs] = sizes(config, &layer)?;
    let inputs = if leaf == "bias" { 1 } else { inputs };
    let (mut first, mut of, mut joined) = (0, 0, 0);
    for (i, other) in names.iter().enumerate().filter(|(_, other)| other.theirs == name.theirs) {
        let [outputs, _] = sizes(config, other.ours)?;
        first += if i < at { outputs } else { 0 };
        of += outputs;
        joined += 1;
    }
    let size = config.heads.size;
    let rows = match name.rows {
        Rows::Straight => RowMap::Straight,
        Rows::Pairs => RowMap::Pairs { size },
        Rows::ByHead => {
            first = first / outputs * size;
            RowMap::Apart { size, stride: joined * size }
        }
    };
    let is_table = layer.starts_with("embedding") || layer == "unembedding";
    let kind = match inputs {
        1 if !is_table || leaf == "bias" => TensorKind::Vector,
        _ if is_turned && !is_table => TensorKind::Conv1d,
        _ => TensorKind::Table,
    };
    let written = match leaf {
        "" => name.theirs.replace(".N.", &format!(".{number}.")),
        leaf => format!("{}.{leaf}", name.theirs.replace(".N.", &format!(".{number}."))),
    };
    let tensor = plain(&written);
    Some(Place { tensor, written, kind, inputs, of, first, outputs, rows, is_one_more: false })
}

/// The same in files whose norms hold 1 + w.
pub(crate) fn with_ones(place: Place, config: &Config, parameter: &str) -> Place {
    let is_gain = parameter.ends_with("norm.weight") || parameter.ends_with("norm_after.weight");
    Place { is_one_more: is_gain && config.norm.gain == Gain::OnePlusWeight, ..place }
}

/// Whether a tensor is named in a table, with any block's number.
pub(crate) fn is_known(names: &[Named], tensor: &str) -> bool {
    let parts: Vec<&str> = tensor.split('.').collect();
    let module = match parts.last() {
        Some(&("weight" | "bias")) => &parts[..parts.len() - 1],
        _ => &parts[..],
    };
    names.iter().any(|name| {
        let theirs = plain(name.theirs);
        let mut left = theirs.split('.');
        let same = |part: &&str| match left.next() {
            Some("N") => part.parse::<usize>().is_ok(),
            Some(expected) => expected == *part,
            None => false,
        };
        module.iter().all(same) && left.next().is_none()
    })
}
