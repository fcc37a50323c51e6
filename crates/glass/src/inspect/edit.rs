//! Interventions: numbers are changed during a pass, and everything after them follows from the change.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use crate::config::Config;
use crate::probe::{Ahead, Did, Part, Probe, Site, View, Want};
use crate::{Error, Result};

/// One change at one site of one sequence.
#[derive(Clone, Debug)]
pub struct Edit {
    /// Where.
    pub site: Site,
    /// Which positions (at a square site, queries); `None` for all.
    pub positions: Option<Range<usize>>,
    /// Which numbers of a row; `None` for all. At a square site, which heads.
    pub columns: Option<Range<usize>>,
    /// The change.
    pub change: Change,
}

/// A change of numbers.
#[derive(Clone, Debug)]
pub enum Change {
    /// Set to zero.
    Silence,
    /// Replaced by these: one row for all positions, or one row for each.
    Replace(Vec<f32>),
    /// Everything at the site is replaced by these, in the order of a [record](super::Record).
    ReplaceAll(Vec<f32>),
    /// These are added: one row for all positions, or one row for each.
    Add(Vec<f32>),
    /// At the masked scores: this key gets no attention; the others share its part.
    Cut(usize),
    /// At the masked scores: this key gets all attention. In a layer with a window, of queries that see the key alone.
    Force(usize),
}

impl Edit {
    /// Silences a head.
    pub fn silence_head(config: &Config, layer: usize, head: usize) -> Edit {
        Edit::of(Site::Block(layer, Part::Z), Change::Silence).columns(head_columns(config, head))
    }

    /// Silences a neuron of the MLP.
    pub fn silence_neuron(layer: usize, neuron: usize) -> Edit {
        Edit::of(Site::Block(layer, Part::Active), Change::Silence).columns(neuron..neuron + 1)
    }

    /// Silences a layer's attention.
    pub fn silence_attention(layer: usize) -> Edit {
        Edit::of(Site::Block(layer, Part::AttentionOut), Change::Silence)
    }

    /// Silences a layer's MLP.
    pub fn silence_mlp(layer: usize) -> Edit {
        Edit::of(Site::Block(layer, Part::MlpOut), Change::Silence)
    }

    /// Replaces the values of a site, everywhere or at [some](Edit::at) positions.
    pub fn replace(site: Site, values: Vec<f32>) -> Edit {
        Edit::of(site, Change::Replace(values))
    }

    /// Adds a direction to the residual stream that enters a block.
    pub fn steer(layer: usize, direction: Vec<f32>) -> Edit {
        Edit::of(Site::Block(layer, Part::Residual), Change::Add(direction))
    }

    /// Replaces the embedding of the token at a position.
    pub fn swap_embedding(position: usize, vector: Vec<f32>) -> Edit {
        Edit::of(Site::Token, Change::Replace(vector)).at(position..position + 1)
    }

    /// In a layer, keeps `queries` from attending to a key.
    pub fn cut(layer: usize, queries: Range<usize>, key: usize) -> Edit {
        Edit::of(Site::Block(layer, Part::Masked), Change::Cut(key)).at(queries)
    }

    /// In a layer, makes `queries` attend only to a key.
    pub fn force(layer: usize, queries: Range<usize>, key: usize) -> Edit {
        Edit::of(Site::Block(layer, Part::Masked), Change::Force(key)).at(queries)
    }

    /// A change everywhere at a site.
    pub fn of(site: Site, change: Change) -> Edit {
        Edit { site, positions: None, columns: None, change }
    }

    /// Restricts the change to these positions.
    pub fn at(self, positions: Range<usize>) -> Edit {
        Edit { positions: Some(positions), ..self }
    }

    /// Restricts the change to these columns; at a square site, to these heads.
    pub fn columns(self, columns: Range<usize>) -> Edit {
        Edit { columns: Some(columns), ..self }
    }

    /// The first block that it affects; `None` if it acts before the first block.
    pub fn layer(&self) -> Option<usize> {
        match self.site {
            Site::Block(layer, _) => Some(layer),
            Site::Token | Site::Position | Site::Embedding => None,
            Site::Residual | Site::Norm | Site::Logits => Some(usize::MAX),
        }
    }

    /// Refuses a change that is not possible in the sequence of a slot.
    fn check(&self, slot: usize, ahead: &Ahead<'_>) -> Result<()> {
        let refuse = |why: String| Err(Error::invalid_argument(self.site, why));
        ahead.check(self.site)?;
        let (config, square) = (ahead.config, self.site.is_square());
        let span = ahead.spans.iter().find(|span| span.slot == slot);
        if ahead.whole && span.is_none() {
            return refuse(format!(
                "the edit is in sequence {slot}, but the pass reads {}",
                ahead.spans.len()
            ));
        }
        let (past, read) = span.map_or((0, 0), |span| (span.past, span.rows.len()));
        let positions = if ahead.whole { past + read } else { config.context };
        let cols = self.site.cols(config, positions);
        if matches!(self.site, Site::Block(_, Part::Contribution)) {
            return refuse(
                "it is computed separately from the pass and cannot be changed; change attention.z".into(),
            );
        }
        if let Some(at) = self.positions.as_ref().filter(|at| at.is_empty() || at.end > positions) {
            return refuse(format!(
                "positions {}..{} are not among its {positions}, counted from 0",
                at.start, at.end
            ));
        }
        let (what, most) = if square { ("heads", config.heads.query) } else { ("columns", cols) };
        if let Some(of) = self.columns.as_ref().filter(|of| of.is_empty() || of.end > most) {
            return refuse(format!(
                "{what} {}..{} are not among its {most}, counted from 0",
                of.start, of.end
            ));
        }
        let row = if square { cols } else { self.columns.as_ref().map_or(cols, ExactSizeIterator::len) };
        let rows = self.positions.as_ref().map_or(positions, ExactSizeIterator::len);
        match &self.change {
            Change::Silence => Ok(()),
            Change::Cut(key) | Change::Force(key) => match self.site {
                Site::Block(layer, Part::Masked) if *key < positions => {
                    let last = self.positions.as_ref().map_or(positions, |at| at.end) - 1;
                    match config.attention_of(layer).window {
                        Some(window) if matches!(self.change, Change::Force(_)) && last >= key + window => {
                            refuse(format!(
                                "key {key} is outside the window of {window} positions of query {last}; force it at \
                                 positions {key}..{} at most",
                                key + window
                            ))
                        }
                        _ => Ok(()),
                    }
                }
                Site::Block(_, Part::Masked) => {
                    refuse(format!("key {key} is not among its {positions} positions, counted from 0"))
                }
                _ => refuse("a key can be cut or forced only at attention.masked".into()),
            },
            Change::ReplaceAll(_) if past > 0 || !ahead.whole || ahead.only_last && square => {
                refuse("all of it can be replaced only where a sequence is read whole".into())
            }
            Change::ReplaceAll(given) => {
                let all = if square { config.heads.query * rows * cols } else { positions * cols };
                match self.positions.is_none() && self.columns.is_none() && given.len() == all {
                    true => Ok(()),
                    false => {
                        refuse(format!("{} numbers replace all of its {all}; give as many", given.len()))
                    }
                }
            }
            Change::Replace(given) | Change::Add(given) => {
                match given.len() == row
                    || given.len() == rows * row && (ahead.whole || self.positions.is_some())
                {
                    true => Ok(()),
                    false => refuse(format!(
                        "{} numbers do not fit; give {row} for all positions, or {row} for each of {rows}",
                        given.len()
                    )),
                }
            }
        }
    }

    /// Applies the change; returns whether any number changed.
    fn apply(&self, view: View, values: &mut [f32]) -> Did {
        let mut did = Did::Looked;
        let mut set = |to: &mut f32, value: f32| {
            if to.to_bits() != value.to_bits() {
                (*to, did) = (value, Did::Edited);
            }
        };
        let square = view.site.is_square();
        let heads = self.columns.clone().filter(|_| square);
        let columns = self.columns.clone().filter(|_| !square).unwrap_or(0..view.cols);
        for (row, values) in values.chunks_exact_mut(view.cols.max(1)).enumerate() {
            let (head, position) = (row / view.queries(), view.position + row % view.queries());
            let here = self.positions.as_ref().is_none_or(|positions| positions.contains(&position));
            if !here || heads.as_ref().is_some_and(|heads| !heads.contains(&head)) {
                continue;
            }
            // Rows of the new values are counted from the first changed position.
            let first = self.positions.as_ref().map_or(0, |positions| positions.start);
            let line = |given: &[f32]| -> Range<usize> {
                let start = if given.len() == columns.len() { 0 } else { (position - first) * columns.len() };
                start..start + columns.len()
            };
            match &self.change {
                Change::Silence => values[columns.clone()].iter_mut().for_each(|value| set(value, 0.0)),
                Change::Replace(given) => {
                    let given = &given[line(given)];
                    values[columns.clone()].iter_mut().zip(given).for_each(|(value, to)| set(value, *to));
                }
                Change::Add(given) => {
                    let given = &given[line(given)];
                    let values = values[columns.clone()].iter_mut().zip(given);
                    values.for_each(|(value, add)| set(value, *value + add));
                }
                Change::ReplaceAll(given) => {
                    // In a square, the queries of a head are consecutive.
                    let row = if square { head * view.cols + position } else { position };
                    let given = &given[row * view.cols..][..view.cols];
                    values.iter_mut().zip(given).for_each(|(value, to)| set(value, *to));
                }
                Change::Cut(key) if *key < values.len() => set(&mut values[*key], f32::NEG_INFINITY),
                Change::Force(key) if *key <= position => {
                    for (at, value) in values.iter_mut().enumerate() {
                        set(value, if at == *key { 0.0 } else { f32::NEG_INFINITY });
                    }
                }
                // A key after the query.
                Change::Cut(_) | Change::Force(_) => {}
            }
        }
        did
    }
}

/// The columns of a head in queries and in `z`.
pub fn head_columns(config: &Config, head: usize) -> Range<usize> {
    head * config.heads.size..(head + 1) * config.heads.size
}

/// Several changes, each of one sequence.
#[derive(Clone, Debug, Default)]
pub struct Edits(pub Vec<(usize, Edit)>);

impl Edits {
    /// All edits in the sequence in slot 0.
    pub fn new(edits: impl IntoIterator<Item = Edit>) -> Edits {
        Edits(edits.into_iter().map(|edit| (0, edit)).collect())
    }

    fn at(&self, site: Site, slot: usize) -> impl Iterator<Item = &Edit> {
        self.0.iter().filter(move |(of, edit)| *of == slot && edit.site == site).map(|(_, edit)| edit)
    }
}

impl Edits {
    /// Refuses cuts that leave a query without any key: there would be no pattern.
    fn check_cuts(&self, config: &Config) -> Result<()> {
        let mut cut: BTreeMap<(usize, Site), Vec<(&Edit, usize)>> = BTreeMap::new();
        for (slot, edit) in &self.0 {
            if let Change::Cut(key) = edit.change {
                cut.entry((*slot, edit.site)).or_default().push((edit, key));
            }
        }
        for ((_, site), cuts) in cut {
            let window = match site {
                Site::Block(layer, _) => config.attention_of(layer).window.unwrap_or(usize::MAX),
                _ => usize::MAX,
            };
            // A query sees itself, so only queries whose own key is cut can be left without any.
            for &(_, query) in &cuts {
                let hidden: BTreeSet<usize> = (cuts.iter())
                    .filter(|(edit, key)| {
                        let here = edit.positions.as_ref().is_none_or(|at| at.contains(&query));
                        here && edit.columns.is_none() && *key <= query && query - *key < window
                    })
                    .map(|(_, key)| *key)
                    .collect();
                if hidden.len() >= window.min(query + 1) {
                    let why = format!("every key that position {query} sees is cut; leave one of them");
                    return Err(Error::invalid_argument(site, why));
                }
            }
        }
        Ok(())
    }
}

impl Probe for Edits {
    fn begin(&mut self, ahead: &Ahead<'_>) -> Result<()> {
        self.0.iter().try_for_each(|(slot, edit)| edit.check(*slot, ahead))?;
        self.check_cuts(ahead.config)
    }

    fn wants(&self, site: Site, slot: usize) -> Want {
        if self.at(site, slot).next().is_some() { Want::Edit } else { Want::No }
    }

    fn look(&mut self, _: View, _: &[f32]) {}

    fn edit(&mut self, view: View, values: &mut [f32]) -> Did {
        let mut did = Did::Looked;
        for edit in self.at(view.site, view.slot) {
            if edit.apply(view, values) == Did::Edited {
                did = Did::Edited;
            }
        }
        did
    }
}
