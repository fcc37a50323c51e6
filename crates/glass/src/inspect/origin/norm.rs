//! The norms: what is done to each number, and what is computed of the whole row, or of the part of it that is normalised for
//! itself.

use super::{Factor, Input, Kind, Number, Origin, Rows, Statistic, Tracer, largest};
use crate::Result;
use crate::backend::{Backend, Tensor};
use crate::config::{Branches, Gain, Norm, NormKind, NormOver};
use crate::probe::{Part, Site};

/// A norm whose output a site is, perhaps times a constant.
pub(super) struct Normal {
    /// The name of its parameters, if it has any.
    name: Option<String>,
    /// The sites whose sum it reads: one, or token and position.
    from: Vec<Site>,
    /// How many numbers are normalised together, if not the whole row.
    apart: Option<usize>,
    /// What its output is multiplied by.
    factor: f32,
}

/// What a norm computes of a row.
struct Row {
    normal: Normal,
    /// The column of the first number.
    first: usize,
    x: Vec<f32>,
    mean: f64,
    /// 1 / √(variance + ε).
    inverse: f64,
}

impl<B: Backend> Tracer<'_, B> {
    /// The norm whose output a site is.
    pub(super) fn norm(&self, site: Site) -> Option<Normal> {
        let config = self.config();
        let normal = |name: String, from: Site| Normal {
            name: Some(name),
            from: vec![from],
            apart: None,
            factor: 1.0,
        };
        let Site::Block(layer, part) = site else {
            return match site {
                Site::Norm => Some(normal("norm".into(), Site::Residual)),
                Site::Embedding if config.embedding_norm => {
                    let from = [Site::Token, Site::Position].into_iter().filter(|site| site.is_in(config));
                    Some(Normal { name: None, from: from.collect(), apart: None, factor: 1.0 })
                }
                _ => None,
            };
        };
        let named =
            |name: &str, from: Part| normal(format!("block.{layer}.{name}"), Site::Block(layer, from));
        let (before, after) = (config.placement.is_before(), config.placement.is_after());
        let shared = config.branches == (Branches::Together { one_norm: true });
        let behind = |name, from| Normal { factor: config.factors.branch, ..named(name, from) };
        match part {
            Part::AttentionNorm => before.then(|| named("attention.norm", Part::Residual)),
            Part::MlpNorm => {
                let name = if shared { "attention.norm" } else { "mlp.norm" };
                before.then(|| named(name, self.read_by_mlp()))
            }
            Part::AttentionOut => after.then(|| behind("attention.norm_after", Part::AttentionUnnormed)),
            Part::MlpOut => after.then(|| behind("mlp.norm_after", Part::MlpUnnormed)),
            Part::QueryNorm | Part::KeyNorm => {
                let norm = config.query_key_norm?;
                let (name, linear, rotated) = match part {
                    Part::QueryNorm => ("attention.query_norm", Part::Query, Part::QueryRotated),
                    _ => ("attention.key_norm", Part::Key, Part::KeyRotated),
                };
                let is_rotated = Site::Block(layer, rotated).is_in(config);
                let from = if norm.after_rotation && is_rotated { rotated } else { linear };
                let apart = (norm.over == NormOver::Head).then_some(config.heads.size);
                Some(Normal { apart, ..named(name, from) })
            }
            _ => None,
        }
    }

    /// How many parts of a row are normalised for themselves.
    pub(super) fn normed_apart(&self, site: Site) -> usize {
        let apart = self.norm(site).and_then(|normal| normal.apart);
        apart.map_or(1, |size| site.cols(self.config(), 0) / size)
    }

    /// The operation itself says what it computes of the row: the same bits as in the pass.
    fn row(&self, site: Site, position: usize, part: usize, rows: &mut Rows<'_>) -> Result<Row> {
        let (normal, backend) = (self.norm(site).expect("what a norm gives"), self.model.backend());
        let mut x = rows(normal.from[0], 0, position)?;
        for &more in &normal.from[1..] {
            x.iter_mut().zip(rows(more, 0, position)?).for_each(|(x, more)| *x += more);
        }
        let mut first = 0;
        if let Some(size) = normal.apart {
            first = part * size;
            x = x[first..first + size].to_vec();
        }
        let tensor = |cols| Tensor::new(backend, 1, cols);
        let (mut input, mut output, mut stats) = (tensor(x.len())?, tensor(x.len())?, tensor(2)?);
        backend.write(&mut input.data, 0, &x);
        let Norm { kind, epsilon, .. } = self.config().norm;
        let norm = crate::backend::Norm { kind, epsilon, offset: 0.0 };
        backend.norm(&mut output, &mut stats, &input, 1, None, None, norm);
        let stats = backend.view(&stats.data, 0..2);
        let (mean, inverse) = (stats[0].into(), stats[1].into());
        Ok(Row { normal, first, x, mean, inverse })
    }

    /// What a norm multiplies by, and its gain, as operands; and the product of both with the factor behind it.
    pub(super) fn norm_as_factor(
        &self,
        site: Site,
        position: usize,
        index: usize,
        rows: &mut Rows<'_>,
    ) -> Result<(Vec<Input>, f64)> {
        let row = self.row(site, position, 0, rows)?;
        let number = Number::Statistic { of: Statistic::InverseDeviation, site, position, head: 0 };
        let gain = self.gain(&row.normal, index)?;
        let by = row.inverse * gain.as_ref().map_or(1.0, |(_, by)| *by) * f64::from(row.normal.factor);
        let inputs =
            [self.input(number, Kind::Data, row.inverse)].into_iter().chain(gain.map(|(gain, _)| gain));
        Ok((inputs.collect(), by))
    }

    /// The weight of a gain, and the gain that it gives.
    fn gain(&self, normal: &Normal, index: usize) -> Result<Option<(Input, f64)>> {
        let offset = match self.config().norm.gain {
            Gain::None => return Ok(None),
            Gain::Weight => 0.0,
            Gain::OnePlusWeight => 1.0,
        };
        let Some(name) = &normal.name else { return Ok(None) };
        let gain = self.weight(&format!("{name}.weight"), 0, index)?;
        let by = gain.factor.value + offset;
        Ok(Some((gain, by)))
    }

    /// A number after a norm.
    pub(super) fn normed(
        &self,
        value: f64,
        site: Site,
        position: usize,
        index: usize,
        rows: &mut Rows<'_>,
    ) -> Result<Origin> {
        let apart = self.norm(site).and_then(|normal| normal.apart);
        let head = apart.map_or(0, |size| index / size);
        let row = self.row(site, position, head, rows)?;
        let (within, is_layer) = (index - row.first, self.config().norm.kind == NormKind::Layer);
        let statistic =
            |of, value| self.input(Number::Statistic { of, site, position, head }, Kind::Data, value);
        let mut inputs = Vec::new();
        for &site in &row.normal.from {
            let x = f64::from(rows(site, 0, position)?[index]);
            inputs.push(self.input(Number::At { site, position, head: 0, index }, Kind::Data, x));
        }
        let mut sum = (f64::from(row.x[within]) - row.mean) * row.inverse;
        let mut equation = match is_layer {
            true => "(x − mean) × inverse deviation",
            false => "x × inverse root of the mean square",
        }
        .to_string();
        if is_layer {
            inputs.push(statistic(Statistic::Mean, row.mean));
        }
        inputs.push(statistic(Statistic::InverseDeviation, row.inverse));
        if let Some((weight, by)) = self.gain(&row.normal, within)? {
            sum *= by;
            equation += match self.config().norm.gain {
                Gain::OnePlusWeight => " × (1 + the gain's weight)",
                _ => " × gain",
            };
            inputs.push(weight);
        }
        if let Some(name) = row.normal.name.as_ref().filter(|_| self.has_bias(site)) {
            let bias = self.weight(&format!("{name}.bias"), 0, within)?;
            sum += bias.factor.value;
            inputs.push(bias);
            equation += " + bias";
        }
        if row.normal.from.len() > 1 {
            equation += ", where x is the token's vector + the position's vector";
        }
        Ok(Origin { sum, inputs, ..Origin::of(value, equation) }.times(row.normal.factor))
    }

    /// Norms of queries and keys have none.
    fn has_bias(&self, site: Site) -> bool {
        self.config().bias.norm && !matches!(site, Site::Block(_, Part::QueryNorm | Part::KeyNorm))
    }

    /// What a norm computes of a row.
    pub(super) fn of_norm(
        &self,
        of: Statistic,
        site: Site,
        position: usize,
        head: usize,
        rows: &mut Rows<'_>,
    ) -> Result<Origin> {
        let row = self.row(site, position, head, rows)?;
        let count = row.x.len() as f64;
        let squares: Vec<f64> = row.x.iter().map(|&x| (f64::from(x) - row.mean).powi(2) / count).collect();
        let variance: f64 = squares.iter().sum();
        let alone = "computed here in 64 bits, since the pass keeps only the inverse";
        match of {
            Statistic::Mean => {
                let parts: Vec<f64> = row.x.iter().map(|&x| f64::from(x) / count).collect();
                let equation = format!("the sum of the row's {count} numbers, divided by {count}");
                Ok(Origin { equation, ..self.over_row(row.mean, &row, position, &parts) })
            }
            Statistic::Variance => {
                let mut origin = self.over_row(variance, &row, position, &squares);
                let mean = Number::Statistic { of: Statistic::Mean, site, position, head };
                origin.inputs.insert(0, self.input(mean, Kind::Data, row.mean));
                let equation = format!(
                    "the sum of (x − mean)² over the row's {count} numbers, divided by {count}; {alone}"
                );
                Ok(Origin { equation, ..origin })
            }
            Statistic::MeanSquare => {
                let what = if row.normal.apart.is_some() { "the head's" } else { "the row's" };
                let equation =
                    format!("the sum of x² over {what} {count} numbers, divided by {count}; {alone}");
                Ok(Origin { equation, ..self.over_row(variance, &row, position, &squares) })
            }
            _ => Ok(self.inverse(&row, variance, site, position, head)),
        }
    }

    /// What a norm multiplies by.
    fn inverse(&self, row: &Row, variance: f64, site: Site, position: usize, head: usize) -> Origin {
        let Norm { kind, epsilon, .. } = self.config().norm;
        let (of, equation) = match kind {
            NormKind::Layer => (Statistic::Variance, "1 / √(variance + ε)"),
            NormKind::Rms => (Statistic::MeanSquare, "1 / √(mean square + ε)"),
        };
        let epsilon = f64::from(epsilon);
        let constant = Factor { number: None, kind: Kind::Constant, value: epsilon, rounded: None };
        let inputs = vec![
            self.input(Number::Statistic { of, site, position, head }, Kind::Data, variance),
            Input { label: "ε".into(), factor: constant, times: None, part: None },
        ];
        let sum = 1.0 / (variance + epsilon).sqrt();
        Origin { sum, inputs, ..Origin::of(row.inverse, equation.into()) }
    }

    /// A sum over the numbers of the row.
    fn over_row(&self, value: f64, row: &Row, position: usize, parts: &[f64]) -> Origin {
        let (listed, more, more_sum) = largest(parts, self.listed);
        let input = |at: usize| {
            let (x, part) = (row.x[at].into(), Some(parts[at]));
            match row.normal.from[..] {
                [site] => {
                    let number = Number::At { site, position, head: 0, index: row.first + at };
                    Input { part, ..self.input(number, Kind::Data, x) }
                }
                // Their sum is no site.
                _ => {
                    let factor = Factor { number: None, kind: Kind::Data, value: x, rounded: None };
                    Input { label: format!("token's + position's vector {at}"), factor, times: None, part }
                }
            }
        };
        let (inputs, sum) = (listed.into_iter().map(input).collect(), parts.iter().sum());
        Origin { inputs, more, more_sum, sum, ..Origin::of(value, String::new()) }
    }
}
