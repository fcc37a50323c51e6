//! Token ids, many of them: two bytes each where the vocabulary allows it.

use std::ops::Range;

/// A sequence of token ids.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ids {
    /// For vocabularies of up to 65,536 tokens.
    Short(Vec<u16>),
    /// For larger ones.
    Long(Vec<u32>),
}

impl Ids {
    /// None yet, of a vocabulary of this size.
    pub fn new(vocabulary: usize) -> Self {
        if vocabulary <= 1 << 16 { Ids::Short(Vec::new()) } else { Ids::Long(Vec::new()) }
    }

    /// How many.
    pub fn len(&self) -> usize {
        match self {
            Ids::Short(ids) => ids.len(),
            Ids::Long(ids) => ids.len(),
        }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Appends ids, which are below the vocabulary's size.
    pub fn extend(&mut self, more: &[u32]) {
        match self {
            Ids::Short(ids) => ids.extend(more.iter().map(|&id| id as u16)),
            Ids::Long(ids) => ids.extend_from_slice(more),
        }
    }

    /// Appends a copy of those in `range` to `into`.
    pub fn copy(&self, range: Range<usize>, into: &mut Vec<u32>) {
        match self {
            Ids::Short(ids) => into.extend(ids[range].iter().map(|&id| u32::from(id))),
            Ids::Long(ids) => into.extend_from_slice(&ids[range]),
        }
    }

    /// All of them.
    pub fn iter(&self) -> Box<dyn Iterator<Item = u32> + '_> {
        match self {
            Ids::Short(ids) => Box::new(ids.iter().map(|&id| u32::from(id))),
            Ids::Long(ids) => Box::new(ids.iter().copied()),
        }
    }

    /// Keeps the first `at`, returns the rest.
    pub fn split_off(&mut self, at: usize) -> Ids {
        match self {
            Ids::Short(ids) => Ids::Short(ids.split_off(at)),
            Ids::Long(ids) => Ids::Long(ids.split_off(at)),
        }
    }
}
