//! Gradient × activation: how much a logit would change, to first order, if a vector of the residual stream were
//! zero (Simonyan et al. 2013; Shrikumar et al. 2016).

use std::sync::Arc;

use super::Inspector;
use super::attribute::answer;
use crate::Result;
use crate::backend::{Backend, CacheType, Span, Tensor, Write};
use crate::memory::{Cache, Keep, Memory};
use crate::model::{Back, Gpt, Pass};
use crate::weights::{Trainable, Weights};

/// For the logit of `token` after the last of `ids` (with `against`, for its difference from that token's logit):
/// the product of its gradient and the residual stream at every layer and position, `[layers + 1][positions]`. The
/// weights are converted to floats. A factor and a cap on the logits are part of the logit.
///
/// # Errors
/// If the model cannot read `ids`, has no such token, or there is too little memory.
pub fn gradient_by_activation<B: Backend>(
    inspector: &mut Inspector<'_, B>,
    ids: &[u32],
    token: u32,
    against: Option<u32>,
) -> Result<Vec<Vec<f64>>> {
    // Refuses ids that cannot be read.
    inspector.run(&[ids], ())?;
    let logits = inspector.next_logits();
    let answer = slope(inspector, &logits, token, against)?;
    let model = inspector.model();
    let (backend, config) = (model.backend(), model.config());
    let (gpt, weights) = (model.gpt(), trainable(inspector)?);
    let rows = ids.len();
    let mut memory = Memory::new(backend, config, Keep::All, rows, 1)?;
    let mut d = Memory::new(backend, config, Keep::Gradients, rows, 1)?;
    let mut cache = Cache::for_pass(backend, config, CacheType::F32, 1, rows)?;
    let spans = [Span { rows: 0..rows, slot: 0, past: 0 }];
    let (dropout, probe) = (None, ());
    let mut pass = Pass {
        backend,
        weights: Weights::Trainable(&weights),
        spans: &spans,
        output_rows: None,
        dropout,
        probe,
    };
    gpt.forward(&mut pass, ids, &mut memory, &mut cache);
    let (grads, gradient) = (None, Write::Set);
    let weights = Weights::Trainable(&weights);
    let mut back = Back { backend, weights, grads, gradient, spans: &spans, dropout, each: 1 };
    d.use_rows(rows);
    let last = (rows - 1) * config.width;
    backend.clear(&mut d.normed.data, 0..last);
    backend.write(&mut d.normed.data, last, &answer);
    let mut products = vec![Vec::new(); config.layers + 1];
    let mut each = |layer: usize, _: Option<&mut B::Buffer>, gradient: &Tensor<B>, stream: &Tensor<B>| {
        let [gradient, stream] = [gradient, stream].map(|t| backend.view(&t.data, 0..t.len()));
        let rows = gradient.chunks_exact(config.width).zip(stream.chunks_exact(config.width));
        let product =
            |(g, x): (&[f32], &[f32])| g.iter().zip(x).map(|(g, x)| f64::from(*g) * f64::from(*x)).sum();
        products[layer] = rows.map(product).collect();
    };
    gpt.backward(&mut back, ids, &mut memory, &mut cache, &mut d, &mut each);
    Ok(products)
}

/// The slope of the logit of `token`, minus that of `against`, along the normalised vector, given the logits.
fn slope<B: Backend>(
    inspector: &Inspector<'_, B>,
    logits: &[f32],
    token: u32,
    against: Option<u32>,
) -> Result<Vec<f32>> {
    let factors = &inspector.model().config().factors;
    let Some(cap) = factors.logit_cap else {
        let reads = answer(inspector, token, against)?;
        return Ok(reads.into_iter().map(|read| factors.logits * read).collect());
    };
    // The slope of cap × tanh(x / cap) is 1 − tanh².
    let capped = |id: u32| -> Result<Vec<f32>> {
        let reads = answer(inspector, id, None)?;
        let slope = factors.logits * (1.0 - (logits[id as usize] / cap).powi(2));
        Ok(reads.into_iter().map(|read| slope * read).collect())
    };
    let mut slope = capped(token)?;
    if let Some(against) = against {
        slope.iter_mut().zip(capped(against)?).for_each(|(slope, other)| *slope -= other);
    }
    Ok(slope)
}

/// The model's weights as floats, which a backward pass needs.
pub(super) fn trainable<B: Backend>(inspector: &Inspector<'_, B>) -> Result<Trainable<B>> {
    let (backend, config) = (inspector.model().backend(), inspector.model().config());
    let plan = Arc::new(Gpt::plan(config).1);
    let mut weights = Trainable::zeros(backend, plan.clone())?;
    for spec in &plan.specs {
        let values = inspector.parameter(&spec.name)?.values;
        backend.write(&mut weights.values, spec.span.start, &values);
    }
    Ok(weights)
}
