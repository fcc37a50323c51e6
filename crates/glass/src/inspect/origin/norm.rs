//! The norms: what is done to each number, and what is computed of the whole row.

use super::{Factor, Input, Kind, Number, Origin, Rows, Statistic, Tracer, largest};
use crate::Result;
use crate::backend::{Backend, Tensor, Weight};
use crate::config::Norm;
use crate::probe::{Part, Site};

/// What a norm computes of a row.
struct Row {
    /// The site of its inputs.
    from: Site,
    x: Vec<f32>,
    mean: f64,
    /// 1 / √(variance + ε).
    inverse: f64,
}

impl<B: Backend> Tracer<'_, B> {
    /// A norm's name, and where its input comes from.
    fn norm(&self, site: Site) -> (String, Site) {
        match site {
            Site::Block(layer, Part::AttentionNorm) => {
                (format!("block.{layer}.attention.norm"), Site::Block(layer, Part::Residual))
            }
            Site::Block(layer, _) => {
                (format!("block.{layer}.mlp.norm"), Site::Block(layer, Part::ResidualMiddle))
            }
            _ => ("norm".into(), Site::Residual),
        }
    }

    /// The operation itself says what it computes of the row: the same bits as in the pass.
    fn row(&self, site: Site, position: usize, rows: &mut Rows<'_>) -> Result<Row> {
        let ((name, from), backend) = (self.norm(site), self.model.backend());
        let x = rows(from, 0, position)?;
        let parameter = |leaf: &str| {
            let name = format!("{name}.{leaf}");
            let index = self.plan.specs.iter().position(|spec| spec.name == name);
            index.map(|index| Weight::Packed(self.model.weights().get(index)))
        };
        let tensor = |cols| Tensor::new(backend, 1, cols);
        let (mut input, mut output, mut stats) = (tensor(x.len())?, tensor(x.len())?, tensor(2)?);
        backend.write(&mut input.data, 0, &x);
        let Norm { kind, epsilon, .. } = self.config().norm;
        let norm = crate::backend::Norm { kind, epsilon, offset: 0.0 };
        backend.norm(&mut output, &mut stats, &input, 1, parameter("weight"), parameter("bias"), norm);
        let stats = backend.view(&stats.data, 0..2);
        let (mean, inverse) = (stats[0].into(), stats[1].into());
        Ok(Row { from, x, mean, inverse })
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
        let (name, _) = self.norm(site);
        let Row { from, x, mean, inverse } = self.row(site, position, rows)?;
        let x = f64::from(x[index]);
        let statistic =
            |of, value| self.input(Number::Statistic { of, site, position, head: 0 }, Kind::Data, value);
        let gain = self.weight(&format!("{name}.weight"), 0, index)?;
        let mut sum = (x - mean) * inverse * gain.factor.value;
        let mut inputs = vec![
            self.input(Number::At { site: from, position, head: 0, index }, Kind::Data, x),
            statistic(Statistic::Mean, mean),
            statistic(Statistic::InverseDeviation, inverse),
            gain,
        ];
        let mut equation = "(x − mean) × inverse deviation × gain".to_string();
        if self.config().bias.norm {
            let bias = self.weight(&format!("{name}.bias"), 0, index)?;
            sum += bias.factor.value;
            inputs.push(bias);
            equation += " + bias";
        }
        Ok(Origin { sum, inputs, ..Origin::of(value, equation) })
    }

    /// What a norm computes of a row.
    pub(super) fn of_norm(
        &self,
        of: Statistic,
        site: Site,
        position: usize,
        rows: &mut Rows<'_>,
    ) -> Result<Origin> {
        let row = self.row(site, position, rows)?;
        let count = row.x.len() as f64;
        let squares: Vec<f64> = row.x.iter().map(|&x| (f64::from(x) - row.mean).powi(2) / count).collect();
        let variance: f64 = squares.iter().sum();
        let mean = Number::Statistic { of: Statistic::Mean, site, position, head: 0 };
        match of {
            Statistic::Mean => {
                let parts: Vec<f64> = row.x.iter().map(|&x| f64::from(x) / count).collect();
                let equation = format!("the sum of the row's {count} numbers, divided by {count}");
                Ok(Origin { equation, ..self.over_row(row.mean, &row, position, &parts) })
            }
            Statistic::Variance => {
                let mut origin = self.over_row(variance, &row, position, &squares);
                origin.inputs.insert(0, self.input(mean, Kind::Data, row.mean));
                let equation = format!(
                    "the sum of (x − mean)² over the row's {count} numbers, divided by {count}; computed here in 64 bits, \
                     since the pass keeps only the inverse deviation"
                );
                Ok(Origin { equation, ..origin })
            }
            _ => {
                let Norm { epsilon, .. } = self.config().norm;
                let epsilon = f64::from(epsilon);
                let number = Number::Statistic { of: Statistic::Variance, site, position, head: 0 };
                let constant = Factor { number: None, kind: Kind::Constant, value: epsilon, rounded: None };
                let inputs = vec![
                    self.input(number, Kind::Data, variance),
                    Input { label: "ε".into(), factor: constant, times: None, part: None },
                ];
                let sum = 1.0 / (variance + epsilon).sqrt();
                Ok(Origin { sum, inputs, ..Origin::of(row.inverse, "1 / √(variance + ε)".into()) })
            }
        }
    }

    /// A sum over the numbers of the row.
    fn over_row(&self, value: f64, row: &Row, position: usize, parts: &[f64]) -> Origin {
        let (listed, more, more_sum) = largest(parts, self.listed);
        let input = |index: usize| {
            let number = Number::At { site: row.from, position, head: 0, index };
            Input { part: Some(parts[index]), ..self.input(number, Kind::Data, row.x[index].into()) }
        };
        let (inputs, sum) = (listed.into_iter().map(input).collect(), parts.iter().sum());
        Origin { inputs, more, more_sum, sum, ..Origin::of(value, String::new()) }
    }
}
