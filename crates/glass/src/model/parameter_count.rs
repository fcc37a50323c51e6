//! The parameter count: every group of matrices, how many there are, and why a file stores a different number.
//!
//! Matrices are counted the way a transformer is explained: a query, key and value_down matrix for every head, a value_up
//! and two MLP matrices for every layer, the embedding and the unembedding. A file stores a tied unembedding once, and it
//! also stores positions, biases and norms. Everything is computed from the plan; nothing is allocated.

use super::Gpt;
use crate::config::Config;
use crate::plan::{Plan, Spec};

/// The groups in the order of the flow, and the endings of their parameters' names in the plan.
const GROUPS: [(&str, &str); 9] = [
    ("embedding", "embedding.token.weight"),
    ("query", "attention.query.weight"),
    ("key", "attention.key.weight"),
    ("value_down", "attention.value_down.weight"),
    ("value_up", "attention.value_up.weight"),
    ("mlp_gate", "mlp.gate.weight"),
    ("mlp_up", "mlp.up.weight"),
    ("mlp_down", "mlp.down.weight"),
    ("unembedding", "unembedding.weight"),
];

/// A group of matrices of one size.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Group {
    /// `query`, `mlp_up`, …
    pub name: &'static str,
    /// Inputs of one matrix: a row vector times the matrix.
    pub rows: u64,
    /// Outputs of one matrix.
    pub cols: u64,
    /// How many there are.
    pub matrices: u64,
    /// Weights in all of them.
    pub weights: u64,
}

/// A difference between the two counts.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Difference {
    /// What is added or subtracted.
    pub what: &'static str,
    /// How many weights.
    pub weights: i64,
}

/// A head's value matrix maps a vector to what it adds to another: width → width. It is stored as two factors, `value_down`
/// (W_V) and `value_up` (W_O).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ValueMatrix {
    /// Width of the residual stream.
    pub width: u64,
    /// Width of the head.
    pub head: u64,
}

/// Every weight of a plan.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ParameterCount {
    /// In the order of the flow.
    pub groups: Vec<Group>,
    /// Matrices in all groups.
    pub matrices: u64,
    /// Weights in all groups.
    pub weights: u64,
    /// From `weights` to `stored`, difference by difference.
    pub reconciliation: Vec<Difference>,
    /// Weights as a file stores them.
    pub stored: u64,
    /// A head's value matrix.
    pub value: ValueMatrix,
}

impl ValueMatrix {
    /// Weights if it were a single matrix, width × width.
    pub fn whole(self) -> u64 {
        self.width * self.width
    }

    /// Weights of each of its two factors, width × head and head × width.
    pub fn half(self) -> u64 {
        self.width * self.head
    }
}

impl ParameterCount {
    /// Counts the weights of `config`'s plan.
    pub fn of(config: &Config) -> ParameterCount {
        let (_, plan) = Gpt::plan(config);
        let groups: Vec<Group> =
            GROUPS.iter().filter_map(|&(name, ending)| group(name, ending, config, &plan)).collect();
        let weights = groups.iter().map(|group| group.weights).sum();
        let value = ValueMatrix { width: config.width as u64, head: config.heads.size as u64 };
        ParameterCount {
            matrices: groups.iter().map(|group| group.matrices).sum(),
            weights,
            reconciliation: reconciliation(config, &plan),
            stored: plan.specs.iter().map(Spec::weights).sum(),
            value,
            groups,
        }
    }

    /// Weights of the attention's four groups.
    pub fn attention(&self) -> u64 {
        let attention = ["query", "key", "value_down", "value_up"];
        self.groups.iter().filter(|group| attention.contains(&group.name)).map(|group| group.weights).sum()
    }

    /// These weights as a share of all counted ones, from 0 to 1.
    pub fn share(&self, weights: u64) -> f64 {
        weights as f64 / self.weights.max(1) as f64
    }
}

/// A group's matrices as the plan has them, split by head where heads are counted separately.
fn group(name: &'static str, ending: &str, config: &Config, plan: &Plan) -> Option<Group> {
    let ending = match name {
        "unembedding" if config.tied => "embedding.token.weight",
        _ => ending,
    };
    let specs: Vec<&Spec> = plan.specs.iter().filter(|spec| spec.name.ends_with(ending)).collect();
    let spec = specs.first()?;
    let heads = match name {
        "query" => config.heads.query,
        "key" | "value_down" => config.heads.key,
        _ => 1,
    };
    // A parameter is [outputs, inputs]; the embedding's table is [inputs, outputs] already.
    let (rows, cols) = match name {
        "embedding" => (spec.rows, spec.cols),
        _ => (spec.cols, spec.rows / heads.max(1)),
    };
    let weights = specs.iter().map(|spec| spec.weights()).sum();
    let matrices = (specs.len() * heads) as u64;
    Some(Group { name, rows: rows as u64, cols: cols as u64, matrices, weights })
}

/// The differences between the two counts: a tied unembedding is stored once; the rest belongs to no group.
fn reconciliation(config: &Config, plan: &Plan) -> Vec<Difference> {
    let sum = |belongs: &dyn Fn(&str) -> bool| {
        plan.specs.iter().filter(|spec| belongs(&spec.name)).map(|spec| spec.weights() as i64).sum::<i64>()
    };
    let is_norm = |name: &str| {
        let layer = name.rsplit_once('.').map_or("", |(layer, _)| layer);
        ["norm", "query_norm", "key_norm", "norm_after"]
            .contains(&layer.rsplit('.').next().unwrap_or_default())
    };
    let tied = if config.tied { sum(&|name| name == "embedding.token.weight") } else { 0 };
    let lines = [
        Difference { what: "unembedding, tied: it is the embedding", weights: -tied },
        Difference { what: "positions", weights: sum(&|name| name.contains(".position.")) },
        Difference { what: "biases", weights: sum(&|name| name.ends_with(".bias") && !is_norm(name)) },
        Difference { what: "norms", weights: sum(&is_norm) },
        Difference { what: "attention sinks", weights: sum(&|name| name.ends_with(".sinks")) },
    ];
    lines.into_iter().filter(|line| line.weights != 0).collect()
}
