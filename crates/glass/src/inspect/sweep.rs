//! Sweeps: the same change tried at every place, many places per pass (Meng et al. 2022; Wang et al. 2022).

use std::ops::Range;

use super::edit::{Edit, Edits, head_columns};
use super::{Inspector, Record};
use crate::backend::Backend;
use crate::probe::{Part, Site};
use crate::{Error, Result};

/// A measure of the logits after the last position.
pub type Metric<'a> = dyn Fn(&[f32]) -> f64 + 'a;

/// The effect of a change, place by place.
#[derive(Clone, PartialEq, Debug)]
pub struct Sweep {
    /// The metric without a change.
    pub before: f64,
    /// The metric of the text that patches are taken from.
    pub clean: f64,
    /// The metric with the change, `[layers][places]`.
    pub after: Vec<Vec<f64>>,
}

/// Every head of every layer, at all positions, gets in `corrupted` the output it has in `clean`:
/// `[layers][heads]`. The texts must have the same length.
///
/// # Errors
/// If the model cannot read them, or their lengths differ.
pub fn patch_heads<B: Backend>(
    inspector: &mut Inspector<'_, B>,
    clean: &[u32],
    corrupted: &[u32],
    metric: &Metric<'_>,
) -> Result<Sweep> {
    let config = inspector.model().config().clone();
    let mut sweep = Sweeper::new(inspector, clean, corrupted, &[Part::Z], metric)?;
    for layer in 0..config.layers {
        let site = Site::Block(layer, Part::Z);
        let z = sweep.clean.get(site)?;
        let edit = |head: usize| {
            let columns = head_columns(&config, head);
            let rows = z.values.chunks_exact(z.cols);
            let said = rows.flat_map(|row| &row[columns.clone()]).copied().collect();
            vec![Edit::replace(site, said).columns(columns).at(0..clean.len())]
        };
        let edits: Vec<_> = (0..config.heads.query).map(edit).collect();
        sweep.layer(layer, edits)?;
    }
    Ok(sweep.done())
}

/// The residual stream that enters every block, at one position at a time, is replaced in `corrupted` by the one in
/// `clean`: `[layers][positions]`.
///
/// # Errors
/// If the model cannot read them, or their lengths differ.
pub fn patch_residual<B: Backend>(
    inspector: &mut Inspector<'_, B>,
    clean: &[u32],
    corrupted: &[u32],
    metric: &Metric<'_>,
) -> Result<Sweep> {
    let layers = inspector.model().config().layers;
    let mut sweep = Sweeper::new(inspector, clean, corrupted, &[Part::Residual], metric)?;
    for layer in 0..layers {
        let site = Site::Block(layer, Part::Residual);
        let stream = sweep.clean.get(site)?;
        let edit = |position: usize| {
            let was = stream.row(position).to_vec();
            vec![Edit::replace(site, was).at(position..position + 1)]
        };
        let edits: Vec<_> = (0..clean.len()).map(edit).collect();
        sweep.layer(layer, edits)?;
    }
    Ok(sweep.done())
}

/// Every position except the last is hidden from later ones, in every layer: the metric without it, by position,
/// and with nothing hidden. How much depends on a word is shown by how much the metric falls.
///
/// # Errors
/// If the model cannot read `ids`.
pub fn hide_positions<B: Backend>(
    inspector: &mut Inspector<'_, B>,
    ids: &[u32],
    metric: &Metric<'_>,
) -> Result<(f64, Vec<f64>)> {
    let layers = inspector.model().config().layers;
    inspector.run(&[ids], ())?;
    let before = metric(&inspector.next_logits());
    let hidden = |position: usize| -> Vec<Edit> {
        (0..layers).map(|layer| Edit::cut(layer, position + 1..ids.len(), position)).collect()
    };
    let mut after = Vec::new();
    for places in chunks(0..ids.len().saturating_sub(1), ids.len(), inspector.room())? {
        let edits = places.clone().zip(0..).flat_map(|(place, slot)| {
            hidden(place).into_iter().map(move |edit| (slot, edit)).collect::<Vec<_>>()
        });
        inspector.run(&vec![ids; places.len()], &mut Edits(edits.collect()))?;
        after.extend(inspector.next_logits().chunks_exact(inspector.model().config().vocabulary).map(metric));
    }
    Ok((before, after))
}

/// Both texts recorded, and the results so far.
struct Sweeper<'s, 'a, B: Backend> {
    inspector: &'s mut Inspector<'a, B>,
    clean: Record,
    corrupted: Record,
    len: usize,
    metric: &'s Metric<'s>,
    sweep: Sweep,
}

impl<'s, 'a, B: Backend> Sweeper<'s, 'a, B> {
    fn new(
        inspector: &'s mut Inspector<'a, B>,
        clean: &[u32],
        corrupted: &[u32],
        parts: &[Part],
        metric: &'s Metric<'s>,
    ) -> Result<Self> {
        if clean.len() != corrupted.len() {
            let why = format!(
                "one has {} tokens, the other {}; a patch is at the same position in both",
                clean.len(),
                corrupted.len()
            );
            return Err(Error::invalid_argument("texts", why));
        }
        let layers = inspector.model().config().layers;
        let sites = |parts: &[Part]| -> Vec<Site> {
            (0..layers).flat_map(|layer| parts.iter().map(move |&part| Site::Block(layer, part))).collect()
        };
        let mut from = inspector.record(sites(parts));
        inspector.run(&[clean], &mut from)?;
        let clean_metric = metric(&inspector.next_logits());
        let mut to = inspector.record(sites(&[Part::Residual]));
        inspector.run(&[corrupted], &mut to)?;
        let sweep =
            Sweep { before: metric(&inspector.next_logits()), clean: clean_metric, after: Vec::new() };
        Ok(Sweeper { inspector, clean: from, corrupted: to, len: clean.len(), metric, sweep })
    }

    /// Tries the edits of every place in one block: only this block and the following ones are computed, and those
    /// before it whose keys and values they read.
    fn layer(&mut self, layer: usize, edits: Vec<Vec<Edit>>) -> Result<()> {
        let vocabulary = self.inspector.model().config().vocabulary;
        let layer = self.inspector.model().config().begin_at(layer);
        let residual = &self.corrupted.get(Site::Block(layer, Part::Residual))?.values;
        let mut after = Vec::with_capacity(edits.len());
        for places in chunks(0..edits.len(), self.len, self.inspector.room())? {
            let lengths = vec![self.len; places.len()];
            let edits = edits[places.clone()].iter().zip(0..);
            let edits = edits.flat_map(|(edits, slot)| edits.iter().map(move |edit| (slot, edit.clone())));
            let mut edits = Edits(edits.collect());
            self.inspector.resume_to_ends(layer, &residual.repeat(places.len()), &lengths, &mut edits)?;
            after.extend(self.inspector.next_logits().chunks_exact(vocabulary).map(self.metric));
        }
        self.sweep.after.push(after);
        Ok(())
    }

    fn done(self) -> Sweep {
        self.sweep
    }
}

/// Groups places, as many per pass as there is room for sequences of `len` positions.
fn chunks(
    places: Range<usize>,
    len: usize,
    (rows, slots): (usize, usize),
) -> Result<impl Iterator<Item = Range<usize>>> {
    let together = slots.min(rows / len.max(1));
    if together == 0 {
        let why = format!("{len} tokens; there is room for {rows} positions of {slots} sequences");
        return Err(Error::invalid_argument("sequence", why));
    }
    Ok(places.clone().step_by(together).map(move |first| first..places.end.min(first + together)))
}
