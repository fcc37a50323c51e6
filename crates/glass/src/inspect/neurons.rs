//! The texts in which a neuron is most active, from any number of texts, in bounded memory.

use super::Inspector;
use crate::backend::Backend;
use crate::probe::{Part, Site};
use crate::{Error, Result};

/// How many ids before a position are kept with it.
const BEFORE: usize = 24;

/// A position where a neuron fired.
#[derive(Clone, PartialEq, Debug)]
pub struct Firing {
    /// The neuron's value after the activation.
    pub value: f32,
    /// The number of the text.
    pub text: usize,
    /// The position in the text.
    pub position: usize,
    /// The last ids up to this position.
    pub ids: Vec<u32>,
}

/// The positions where a neuron of a block's MLP is most active, at most one per text.
pub struct Firings {
    layer: usize,
    neuron: usize,
    most: usize,
    texts: usize,
    found: Vec<Firing>,
}

impl Firings {
    /// Before any text.
    pub fn new(layer: usize, neuron: usize, most: usize) -> Firings {
        Firings { layer, neuron, most, texts: 0, found: Vec::new() }
    }

    /// Reads a text, in windows of the inspector's size; each is read independently.
    ///
    /// # Errors
    /// If the model cannot read it.
    pub fn read<B: Backend>(&mut self, inspector: &mut Inspector<'_, B>, ids: &[u32]) -> Result<()> {
        let site = Site::Block(self.layer, Part::Active);
        let window = inspector.room().0.min(inspector.model().config().context);
        let width = inspector.model().config().mlp_width;
        if self.neuron >= width {
            let why = format!("neuron {} is not among the {width} of a block, counted from 0", self.neuron);
            return Err(Error::invalid_argument("neuron", why));
        }
        let mut best: Option<Firing> = None;
        for (number, part) in ids.chunks(window).enumerate() {
            let mut record = inspector.record([site]);
            inspector.run(&[part], &mut record)?;
            let active = record.get(site)?;
            for row in 0..part.len() {
                let value = active.row(row)[self.neuron];
                if best.as_ref().is_none_or(|best| value > best.value) {
                    let ids = part[(row + 1).saturating_sub(BEFORE)..=row].to_vec();
                    best = Some(Firing { value, text: self.texts, position: number * window + row, ids });
                }
            }
        }
        self.texts += 1;
        if let Some(best) = best {
            let at = self.found.partition_point(|other| other.value >= best.value);
            self.found.insert(at, best);
            self.found.truncate(self.most);
        }
        Ok(())
    }

    /// Strongest first.
    pub fn strongest(&self) -> &[Firing] {
        &self.found
    }
}
