//! Interventions: what a pass computes is changed on the way, and everything behind it follows.

use std::ops::Range;

use crate::config::Config;
use crate::probe::{Did, Part, Probe, Site, View, Want};

/// One change, at one site, of one sequence.
#[derive(Clone, Debug)]
pub struct Edit {
    /// Where.
    pub site: Site,
    /// Of which positions (at a square site, queries); all of them without a range.
    pub positions: Option<Range<usize>>,
    /// Of which numbers of a row; all of them without a range. At a square site, of which heads.
    pub columns: Option<Range<usize>>,
    /// What happens to them.
    pub change: Change,
}

/// What happens to numbers.
#[derive(Clone, Debug)]
pub enum Change {
    /// They become zero.
    Silence,
    /// They become these: one row for all positions, or a row for each.
    Replace(Vec<f32>),
    /// All that stands there becomes these, in the order in which a [record](super::Record) keeps them.
    ReplaceAll(Vec<f32>),
    /// These are added: one row for all positions, or a row for each.
    Add(Vec<f32>),
    /// At the masked scores: nothing flows from this key; the others share its part.
    Cut(usize),
    /// At the masked scores: all flows from this key.
    Force(usize),
}

impl Edit {
    /// A head says nothing.
    pub fn silence_head(config: &Config, layer: usize, head: usize) -> Edit {
        Edit::of(Site::Block(layer, Part::Mixed), Change::Silence).columns(head_columns(config, head))
    }

    /// A neuron of the MLP does not fire.
    pub fn silence_neuron(layer: usize, neuron: usize) -> Edit {
        Edit::of(Site::Block(layer, Part::Active), Change::Silence).columns(neuron..neuron + 1)
    }

    /// A layer's attention adds nothing.
    pub fn silence_attention(layer: usize) -> Edit {
        Edit::of(Site::Block(layer, Part::AttentionOut), Change::Silence)
    }

    /// A layer's MLP adds nothing.
    pub fn silence_mlp(layer: usize) -> Edit {
        Edit::of(Site::Block(layer, Part::MlpOut), Change::Silence)
    }

    /// The value of a site becomes another, everywhere or at [some](Edit::at) positions.
    pub fn replace(site: Site, values: Vec<f32>) -> Edit {
        Edit::of(site, Change::Replace(values))
    }

    /// A direction is added to the residual stream that enters a block.
    pub fn steer(layer: usize, direction: Vec<f32>) -> Edit {
        Edit::of(Site::Block(layer, Part::Residual), Change::Add(direction))
    }

    /// A token's vector is swapped for another's.
    pub fn swap_embedding(position: usize, vector: Vec<f32>) -> Edit {
        Edit::of(Site::Token, Change::Replace(vector)).at(position..position + 1)
    }

    /// In a layer, nothing flows to `queries` from a key.
    pub fn cut(layer: usize, queries: Range<usize>, key: usize) -> Edit {
        Edit::of(Site::Block(layer, Part::Masked), Change::Cut(key)).at(queries)
    }

    /// In a layer, all that flows to `queries` comes from a key.
    pub fn force(layer: usize, queries: Range<usize>, key: usize) -> Edit {
        Edit::of(Site::Block(layer, Part::Masked), Change::Force(key)).at(queries)
    }

    /// Everywhere at a site.
    pub fn of(site: Site, change: Change) -> Edit {
        Edit { site, positions: None, columns: None, change }
    }

    /// The same at these positions only.
    pub fn at(self, positions: Range<usize>) -> Edit {
        Edit { positions: Some(positions), ..self }
    }

    /// The same in these columns only; at a square site, in these heads.
    pub fn columns(self, columns: Range<usize>) -> Edit {
        Edit { columns: Some(columns), ..self }
    }

    /// The first block that it changes anything in; `None` where that is before the first.
    pub fn layer(&self) -> Option<usize> {
        match self.site {
            Site::Block(layer, _) => Some(layer),
            Site::Token | Site::Position | Site::Embedding => None,
            Site::Residual | Site::Norm | Site::Logits => Some(usize::MAX),
        }
    }

    /// Changes what is there; whether anything is another number now.
    fn apply(&self, view: View, values: &mut [f32]) -> Did {
        if let Change::ReplaceAll(given) = &self.change {
            values.copy_from_slice(given);
            return Did::Edited;
        }
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
            // Rows of what is put there are counted from the first position that is changed.
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
                Change::Cut(key) if *key < values.len() => set(&mut values[*key], f32::NEG_INFINITY),
                Change::Force(key) if *key <= position => {
                    for (at, value) in values.iter_mut().enumerate() {
                        set(value, if at == *key { 0.0 } else { f32::NEG_INFINITY });
                    }
                }
                // A key that is not there yet.
                Change::Cut(_) | Change::Force(_) | Change::ReplaceAll(_) => {}
            }
        }
        did
    }
}

/// The columns of a head in queries and mixed values.
pub fn head_columns(config: &Config, head: usize) -> Range<usize> {
    head * config.heads.size..(head + 1) * config.heads.size
}

/// Several changes, each of one sequence.
#[derive(Clone, Debug, Default)]
pub struct Edits(pub Vec<(usize, Edit)>);

impl Edits {
    /// All of them of the sequence in slot 0.
    pub fn new(edits: impl IntoIterator<Item = Edit>) -> Edits {
        Edits(edits.into_iter().map(|edit| (0, edit)).collect())
    }

    fn at(&self, site: Site, slot: usize) -> impl Iterator<Item = &Edit> {
        self.0.iter().filter(move |(of, edit)| *of == slot && edit.site == site).map(|(_, edit)| edit)
    }
}

impl Probe for Edits {
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
