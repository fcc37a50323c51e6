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
        self.along(direction, self.deviation(row))
    }

    /// The same, given what the norm divides the row by.
    pub fn along(&self, direction: &[f64], deviation: f64) -> Vec<f64> {
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

    /// What the norm divides a row by.
    pub fn deviation(&self, row: &[f32]) -> f64 {
        deviation(row, self.norm)
    }

    /// A part of a row as the norm leaves it, without the bias, given what the norm divides the row by.
    pub fn part(&self, part: &[f64], deviation: f64) -> Vec<f64> {
        let mean = match self.norm.kind {
            NormKind::Layer => part.iter().sum::<f64>() / part.len() as f64,
            NormKind::Rms => 0.0,
        };
        part.iter().zip(&self.gain).map(|(x, gain)| (x - mean) / deviation * gain).collect()
    }
}

/// What stands behind attention or the MLP of a block: a norm, in models that have one there, and a factor. A part of what the
/// branch gives becomes what is added to the residual stream.
pub struct Behind {
    /// The norm, and what it divides the branch's row by.
    norm: Option<(LinearNorm, f64)>,
    factor: f64,
}

impl Behind {
    /// Behind a branch, as in `block.3.attention`; `unnormed` gives its row before the norm, and is called if there is one.
    ///
    /// # Errors
    /// If `unnormed` fails, or there is too little memory.
    pub fn of<B: Backend, R: AsRef<[f32]>>(
        inspector: &Inspector<'_, B>,
        branch: &str,
        unnormed: impl FnOnce() -> Result<R>,
    ) -> Result<Behind> {
        let config = inspector.model().config();
        let factor = f64::from(config.factors.branch);
        if !config.placement.is_after() {
            return Ok(Behind { norm: None, factor });
        }
        let norm = LinearNorm::of(inspector, &format!("{branch}.norm_after"))?;
        let deviation = norm.deviation(unnormed()?.as_ref());
        Ok(Behind { norm: Some((norm, deviation)), factor })
    }

    /// What a part of the branch's row adds to the residual stream.
    pub fn added(&self, part: &[f64]) -> Vec<f64> {
        let mut added = match &self.norm {
            Some((norm, deviation)) => norm.part(part, *deviation),
            None => part.to_vec(),
        };
        added.iter_mut().for_each(|x| *x *= self.factor);
        added
    }

    /// What each number of a part is multiplied by.
    pub fn gains(&self, width: usize) -> Vec<f64> {
        match &self.norm {
            Some((norm, deviation)) => norm.gain.iter().map(|gain| self.factor * gain / deviation).collect(),
            None => vec![self.factor; width],
        }
    }

    /// Whether a part's mean is subtracted from it first.
    pub fn subtracts_means(&self) -> bool {
        self.norm.as_ref().is_some_and(|(norm, _)| norm.norm.kind == NormKind::Layer)
    }

    /// The direction of the branch's row that a direction of the residual stream is.
    pub fn before(&self, direction: &[f64]) -> Vec<f64> {
        let direction = self.scaled(direction);
        match &self.norm {
            Some((norm, deviation)) => norm.along(&direction, *deviation),
            None => direction,
        }
    }

    /// The norm's bias along a direction of the residual stream.
    pub fn bias_along(&self, direction: &[f64]) -> f64 {
        self.norm.as_ref().map_or(0.0, |(norm, _)| norm.bias_along(&self.scaled(direction)))
    }

    /// What the norm's bias adds to the residual stream.
    pub fn bias(&self, width: usize) -> Vec<f64> {
        let bias = self.norm.as_ref().and_then(|(norm, _)| norm.bias.as_ref());
        bias.map_or_else(|| vec![0.0; width], |bias| self.scaled(bias))
    }

    fn scaled(&self, vector: &[f64]) -> Vec<f64> {
        vector.iter().map(|x| x * self.factor).collect()
    }
}
