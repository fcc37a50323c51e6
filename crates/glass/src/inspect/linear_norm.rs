//! A norm as a linear map: given the scale of the row that it divides by, it multiplies every number by its gain.

use super::Inspector;
use super::promoted::deviation;
use crate::Result;
use crate::backend::Backend;
use crate::config::{Gain, Norm, NormKind};

/// A norm's numbers.
pub struct LinearNorm {
    /// What every number is multiplied by.
    pub gain: Vec<f64>,
    /// What is added to every number, if anything is.
    pub bias: Option<Vec<f64>>,
    norm: Norm,
}

impl LinearNorm {
    /// The norm of this name, as in `block.3.attention.norm`; `norm` is the last one.
    ///
    /// # Errors
    /// If there is too little memory.
    pub fn of<B: Backend>(inspector: &Inspector<'_, B>, name: &str) -> Result<LinearNorm> {
        let config = inspector.model().config();
        let vector = |leaf: &str| -> Result<Vec<f64>> {
            let values = inspector.parameter(&format!("{name}.{leaf}"))?.values;
            Ok(values.into_iter().map(f64::from).collect())
        };
        let gain = match config.norm.gain {
            Gain::None => vec![1.0; config.width],
            Gain::Weight => vector("weight")?,
            Gain::OnePlusWeight => vector("weight")?.into_iter().map(|weight| weight + 1.0).collect(),
        };
        let bias = config.bias.norm.then(|| vector("bias")).transpose()?;
        Ok(LinearNorm { gain, bias, norm: config.norm })
    }

    /// The direction before the norm that a direction after it is, in a row whose numbers are given.
    pub fn before(&self, direction: &[f64], row: &[f32]) -> Vec<f64> {
        let deviation = deviation(row, self.norm);
        let mut along: Vec<f64> = direction.iter().zip(&self.gain).map(|(x, gain)| x * gain).collect();
        let mean = match self.norm.kind {
            NormKind::Layer => along.iter().sum::<f64>() / along.len() as f64,
            NormKind::Rms => 0.0,
        };
        along.iter_mut().for_each(|along| *along = (*along - mean) / deviation);
        along
    }

    /// The bias along a direction after the norm.
    pub fn bias_along(&self, direction: &[f64]) -> f64 {
        let bias = self.bias.iter().flatten();
        bias.zip(direction).map(|(bias, along)| bias * along).sum()
    }

    /// A part of a row as the norm leaves it, without the bias, given what the norm divides the row by.
    pub fn part(&self, part: &[f32], deviation: f64) -> Vec<f64> {
        let mean = match self.norm.kind {
            NormKind::Layer => part.iter().map(|&x| f64::from(x)).sum::<f64>() / part.len() as f64,
            NormKind::Rms => 0.0,
        };
        part.iter().zip(&self.gain).map(|(&x, gain)| (f64::from(x) - mean) / deviation * gain).collect()
    }
}
