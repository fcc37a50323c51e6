//! Token ids in large numbers: two bytes each if the vocabulary allows it, in memory or in mapped files.

use std::io::{self, Write};
use std::ops::Range;
use std::sync::Arc;

use glass_kernels::map::Map;

/// The size of an id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Width {
    /// Two bytes.
    U16,
    /// Four bytes.
    U32,
}

impl Width {
    /// The smallest width that holds every id of a vocabulary.
    pub fn of(vocabulary: usize) -> Width {
        if vocabulary <= 1 << 16 { Width::U16 } else { Width::U32 }
    }

    /// The number of bytes.
    pub fn bytes(self) -> usize {
        match self {
            Width::U16 => 2,
            Width::U32 => 4,
        }
    }
}

/// A sequence of token ids.
#[derive(Clone, Debug)]
pub enum Ids {
    /// For vocabularies of up to 65,536 tokens.
    Short(Vec<u16>),
    /// For larger ones.
    Long(Vec<u32>),
    /// In files, read on access: there can be more than fit into memory.
    Mapped(Mapped),
}

impl Ids {
    /// An empty sequence for a vocabulary of this size.
    pub fn new(vocabulary: usize) -> Self {
        match Width::of(vocabulary) {
            Width::U16 => Ids::Short(Vec::new()),
            Width::U32 => Ids::Long(Vec::new()),
        }
    }

    /// The number of ids.
    pub fn len(&self) -> usize {
        match self {
            Ids::Short(ids) => ids.len(),
            Ids::Long(ids) => ids.len(),
            Ids::Mapped(ids) => ids.range.len(),
        }
    }

    /// Whether there are no ids.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Appends ids, which must be below the vocabulary's size.
    ///
    /// # Panics
    /// If the ids are mapped.
    pub fn extend(&mut self, more: &[u32]) {
        match self {
            Ids::Short(ids) => ids.extend(more.iter().map(|&id| id as u16)),
            Ids::Long(ids) => ids.extend_from_slice(more),
            Ids::Mapped(_) => panic!("mapped ids are read-only"),
        }
    }

    /// Appends a copy of the ids in `range` to `into`.
    pub fn copy(&self, range: Range<usize>, into: &mut Vec<u32>) {
        match self {
            Ids::Short(ids) => into.extend(ids[range].iter().map(|&id| u32::from(id))),
            Ids::Long(ids) => into.extend_from_slice(&ids[range]),
            Ids::Mapped(ids) => ids.copy(range, into),
        }
    }

    /// Passes all ids to `see`, in order.
    pub fn each(&self, mut see: impl FnMut(u32)) {
        match self {
            Ids::Short(ids) => ids.iter().for_each(|&id| see(u32::from(id))),
            Ids::Long(ids) => ids.iter().for_each(|&id| see(id)),
            Ids::Mapped(ids) => ids.each(see),
        }
    }

    /// A copy of all ids.
    pub fn to_vec(&self) -> Vec<u32> {
        let mut all = Vec::with_capacity(self.len());
        self.copy(0..self.len(), &mut all);
        all
    }

    /// Keeps the first `at` ids and returns the rest.
    pub fn split_off(&mut self, at: usize) -> Ids {
        match self {
            Ids::Short(ids) => Ids::Short(ids.split_off(at)),
            Ids::Long(ids) => Ids::Long(ids.split_off(at)),
            Ids::Mapped(ids) => Ids::Mapped(ids.split_off(at)),
        }
    }

    /// Writes them as a shard without a header: little-endian, two or four bytes each.
    pub fn write(&self, to: &mut impl Write) -> io::Result<()> {
        match self {
            Ids::Short(ids) => ids.iter().try_for_each(|id| to.write_all(&id.to_le_bytes())),
            Ids::Long(ids) => ids.iter().try_for_each(|id| to.write_all(&id.to_le_bytes())),
            Ids::Mapped(ids) => {
                let mut written = Ok(());
                let width = ids.width;
                ids.each(|id| {
                    if written.is_ok() {
                        written = to.write_all(&id.to_le_bytes()[..width.bytes()]);
                    }
                });
                written
            }
        }
    }
}

/// Equal ids in the same order, wherever they are stored.
impl PartialEq for Ids {
    fn eq(&self, other: &Ids) -> bool {
        self.len() == other.len() && self.to_vec() == other.to_vec()
    }
}

impl Eq for Ids {}

/// Ids in mapped files, one after another.
#[derive(Clone, Debug)]
pub struct Mapped {
    shards: Arc<[Shard]>,
    width: Width,
    /// The range of these ids among all ids in the files.
    range: Range<usize>,
}

/// A mapped file that consists of a header of `header` bytes and ids.
#[derive(Debug)]
pub(super) struct Shard {
    pub map: Map,
    pub header: usize,
    /// The number of ids in the files before it.
    pub first: usize,
}

impl Mapped {
    /// The ids after the headers of files; each file must hold a whole number of ids.
    pub(super) fn new(files: Vec<(Map, usize)>, width: Width) -> Mapped {
        let mut first = 0;
        let shard = |(map, header): (Map, usize)| {
            let shard = Shard { map, header, first };
            first += shard.ids().len() / width.bytes();
            shard
        };
        let shards: Arc<[Shard]> = files.into_iter().map(shard).collect();
        Mapped { shards, width, range: 0..first }
    }

    fn copy(&self, range: Range<usize>, into: &mut Vec<u32>) {
        assert!(range.end <= self.range.len(), "{range:?} of {} ids", self.range.len());
        self.spans(self.range.start + range.start..self.range.start + range.end, |bytes| {
            decode(bytes, self.width, |id| into.push(id));
        });
    }

    fn each(&self, mut see: impl FnMut(u32)) {
        self.spans(self.range.clone(), |bytes| decode(bytes, self.width, &mut see));
    }

    /// Passes the bytes of a range to `see`, file by file.
    fn spans(&self, mut range: Range<usize>, mut see: impl FnMut(&[u8])) {
        let size = self.width.bytes();
        let place = self.shards.partition_point(|shard| shard.first <= range.start);
        for shard in &self.shards[place.saturating_sub(1)..] {
            let ids = shard.ids();
            let within = range.start - shard.first..(ids.len() / size).min(range.end - shard.first);
            if within.start < within.end {
                see(&ids[size * within.start..size * within.end]);
                range.start = shard.first + within.end;
            }
            if range.is_empty() {
                return;
            }
        }
    }

    fn split_off(&mut self, at: usize) -> Mapped {
        let middle = self.range.start + at;
        let rest = Mapped { range: middle..self.range.end, ..self.clone() };
        self.range.end = middle;
        rest
    }
}

impl Shard {
    fn ids(&self) -> &[u8] {
        &self.map[self.header..]
    }
}

/// Passes the ids in `bytes` to `see`.
pub(super) fn decode(bytes: &[u8], width: Width, mut see: impl FnMut(u32)) {
    match width {
        Width::U16 => bytes.as_chunks().0.iter().for_each(|&id| see(u32::from(u16::from_le_bytes(id)))),
        Width::U32 => bytes.as_chunks().0.iter().for_each(|&id| see(u32::from_le_bytes(id))),
    }
}
