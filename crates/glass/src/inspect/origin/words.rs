//! Names of numbers for readers.

use super::{Number, Statistic};
use crate::config::{Config, Gain, NormKind, NormOver};
use crate::probe::{Part, Site};

impl Number {
    /// A name that says everything.
    pub fn name(&self, config: &Config) -> String {
        match self {
            Number::At { site, position, .. } => {
                let place = match site {
                    Site::Block(layer, _) => format!("block {layer}, position {position}"),
                    _ => format!("position {position}"),
                };
                format!("{} · {place}", self.short(config))
            }
            Number::Statistic { site, position, .. } => {
                let place = match site {
                    Site::Block(layer, _) => format!("block {layer}, position {position}"),
                    _ => format!("position {position}"),
                };
                format!("{} · {place}", self.short(config))
            }
            Number::Probability { token, position } => {
                format!("the probability of token {token} · after position {position}")
            }
            Number::Weight { parameter, row, column } => format!("{parameter} · row {row}, column {column}"),
        }
    }

    /// A name beside others of the same step.
    pub fn short(&self, config: &Config) -> String {
        match self {
            &Number::At { site, head, index, .. } => at(config, site, head, index),
            Number::Statistic { of, site, head, .. } => match (of, site) {
                (Statistic::Mean, _) => of_part(config, "mean", *site, *head),
                (Statistic::Variance, _) => of_part(config, "variance", *site, *head),
                (Statistic::MeanSquare, _) => of_part(config, "mean square", *site, *head),
                (Statistic::InverseDeviation, _) if config.norm.kind == NormKind::Layer => {
                    of_part(config, "inverse deviation", *site, *head)
                }
                (Statistic::InverseDeviation, _) => {
                    of_part(config, "inverse root of the mean square", *site, *head)
                }
                (Statistic::Largest, Site::Logits) => "the largest logit".into(),
                (Statistic::Largest, _) => format!("the largest score, head {head}"),
                (Statistic::Sum, Site::Logits) => "the sum of the exponentials of all logits".into(),
                (Statistic::Sum, _) => format!("the sum of the exponentials, head {head}"),
            },
            Number::Probability { token, .. } => format!("the probability of token {token}"),
            Number::Weight { parameter, row, column } => {
                let leaf = parameter.rsplit('.').next().unwrap_or(parameter);
                let norm = parameter.rsplit('.').nth(1).is_some_and(|name| name.contains("norm"));
                match (leaf, norm) {
                    ("weight", true) if config.norm.gain == Gain::OnePlusWeight => {
                        format!("weight of gain {column}, to which 1 is added")
                    }
                    ("weight", true) => format!("gain {column}"),
                    ("sinks", _) => format!("sink of head {column}"),
                    ("bias", _) => format!("bias {column}"),
                    _ => format!("weight [{row}, {column}]"),
                }
            }
        }
    }
}

/// A statistic of a head that is normalised for itself says so.
fn of_part(config: &Config, what: &str, site: Site, head: usize) -> String {
    let apart = config.query_key_norm.is_some_and(|norm| norm.over == NormOver::Head);
    match site {
        Site::Block(_, Part::QueryNorm | Part::KeyNorm) if apart => format!("{what} of head {head}"),
        _ => what.into(),
    }
}

fn at(config: &Config, site: Site, head: usize, index: usize) -> String {
    let of_head = |what: &str| {
        let size = config.heads.size;
        format!("{what} {} of head {}", index % size, index / size)
    };
    match site {
        Site::Token => format!("token's vector {index}"),
        Site::Position => format!("position's vector {index}"),
        Site::Embedding => format!("embedding {index}"),
        Site::Residual => format!("residual stream after the last block {index}"),
        Site::Norm => format!("last norm {index}"),
        Site::Logits => format!("logit of token {index}"),
        Site::Block(_, part) => match part {
            Part::Residual => format!("residual stream {index}"),
            Part::AttentionNorm if !config.placement.is_before() => format!("input of attention {index}"),
            Part::AttentionNorm => format!("norm before attention {index}"),
            Part::Query => of_head("query"),
            Part::QueryNorm => of_head("query after its norm"),
            Part::QueryRotated => of_head("query after its rotation"),
            Part::Key => of_head("key"),
            Part::KeyNorm => of_head("key after its norm"),
            Part::KeyRotated => of_head("key after its rotation"),
            Part::Value => of_head("value"),
            Part::Scores => format!("score of key {index}, head {head}"),
            Part::Masked => format!("scaled score of key {index}, head {head}"),
            Part::Pattern => format!("share of key {index}, head {head}"),
            Part::Z => of_head("z"),
            Part::Contribution => format!("what head {head} adds, {index}"),
            Part::AttentionUnnormed => format!("what the heads give, {index}"),
            Part::AttentionOut => format!("what attention adds, {index}"),
            Part::ResidualMiddle => format!("residual stream after attention {index}"),
            Part::MlpNorm if !config.placement.is_before() => format!("input of the MLP {index}"),
            Part::MlpNorm => format!("norm before the MLP {index}"),
            Part::Hidden => format!("neuron {index} before its activation"),
            Part::Up => format!("factor of neuron {index}"),
            Part::Active => format!("neuron {index}"),
            Part::MlpUnnormed => format!("what the neurons give, {index}"),
            Part::MlpOut => format!("what the MLP adds, {index}"),
        },
    }
}
