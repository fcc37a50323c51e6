//! The cache of keys and values of a model: what is kept between passes.

use std::ops::Range;

use crate::Result;
use crate::backend::{BLOCK, Backend, BlockTable, CacheType, Kv, KvShape};
use crate::config::Config;

/// Branches that a pass may have, in all its sequences together: ways in which one may go on, besides its first.
pub const BRANCHES: usize = 16;

/// Keys and values: one for each layer that has its own, or, if nothing is kept between passes, one that all layers use in
/// turn whose own nobody else reads.
pub struct Cache<B: Backend> {
    layers: Vec<Kv<B>>,
    /// For every layer, which of them it reads.
    places: Vec<usize>,
    positions: usize,
}

impl<B: Backend> Cache<B> {
    /// For `slots` sequences of at most `positions` positions, each with its own memory, to which a pass adds at most `rows`
    /// rows. A layer with a window keeps only what it sees.
    pub fn new(
        backend: &B,
        config: &Config,
        kind: CacheType,
        slots: usize,
        positions: usize,
        rows: usize,
    ) -> Result<Self> {
        let table = |layer| layer_table(config, layer, slots, positions, rows).with_branches(BRANCHES);
        Cache::of(backend, config, kind, with_keys(config).map(table), by_layer(config), positions)
    }

    /// For independent passes, of which nothing is kept, over `slots` sequences of at most `positions` positions.
    pub fn for_pass(
        backend: &B,
        config: &Config,
        kind: CacheType,
        slots: usize,
        positions: usize,
    ) -> Result<Self> {
        let places = in_turn(config);
        let tables = (0..count(&places)).map(|_| BlockTable::separate(slots, positions));
        Cache::of(backend, config, kind, tables, places, positions)
    }

    /// For independent passes, of which nothing is kept, over at most `slots` sequences of at most `positions` positions and
    /// `rows` rows in all. Every pass must be [laid out](Self::lay_out) first, so that memory is needed for its rows and not
    /// for as many sequences of full length.
    pub fn for_batch(
        backend: &B,
        config: &Config,
        kind: CacheType,
        slots: usize,
        positions: usize,
        rows: usize,
    ) -> Result<Self> {
        let (places, blocks) = (in_turn(config), blocks_of_batch(slots, positions, rows));
        let tables = (0..count(&places)).map(|_| BlockTable::shared(slots, positions, blocks));
        Cache::of(backend, config, kind, tables, places, positions)
    }

    /// Gives every sequence of a pass memory for its rows: sequence i, of `lengths[i]` rows, is that of slot i.
    pub fn lay_out(&mut self, lengths: &[usize]) {
        self.map(|table| {
            let blocks = lengths.iter().enumerate();
            let blocks = blocks.flat_map(|(slot, len)| (0..len.div_ceil(BLOCK)).map(move |at| (slot, at)));
            blocks.enumerate().for_each(|(block, (slot, at))| table.give(slot, at, block));
        });
    }

    /// For `slots` sequences of at most `positions` positions that share a memory of `blocks` blocks: a slot has none
    /// until one is [given](BlockTable::give) or [shared](BlockTable::share). Layers with windows keep all of them too, since
    /// another sequence may go on from any place.
    pub fn shared(
        backend: &B,
        config: &Config,
        kind: CacheType,
        slots: usize,
        positions: usize,
        blocks: usize,
    ) -> Result<Self> {
        let table = BlockTable::shared(slots, positions, blocks).with_branches(BRANCHES);
        let tables = with_keys(config).map(|_| table.clone());
        Cache::of(backend, config, kind, tables, by_layer(config), positions)
    }

    fn of(
        backend: &B,
        config: &Config,
        kind: CacheType,
        tables: impl IntoIterator<Item = BlockTable>,
        places: Vec<usize>,
        positions: usize,
    ) -> Result<Self> {
        let kv = |table: BlockTable| {
            let shape = kv_shape(config, kind, table.in_memory());
            let (keys, values) = (backend.zeros(shape.keys_len())?, backend.zeros(shape.values_len())?);
            Ok(Kv { keys, values, shape, table })
        };
        Ok(Cache { layers: tables.into_iter().map(kv).collect::<Result<_>>()?, places, positions })
    }

    /// Changes where the blocks of the slots are.
    pub fn map(&mut self, change: impl Fn(&mut BlockTable)) {
        self.layers.iter_mut().for_each(|kv| change(&mut kv.table));
    }

    /// Gives a slot what a branch of it has at these positions.
    pub fn keep_branch(&mut self, backend: &B, branch: usize, slot: usize, positions: Range<usize>) {
        self.layers.iter_mut().for_each(|kv| backend.keep_branch(kv, branch, slot, positions.clone()));
    }

    /// Whether a sequence that had `read` positions can go on after its first `len`: whether the next row's windows are still
    /// there.
    pub fn keeps(&self, config: &Config, len: usize, read: usize) -> bool {
        self.places.iter().enumerate().all(|(layer, &place)| {
            let first = config.heads_of(layer).visible(len).first;
            self.layers[place].table.keeps(first / BLOCK, read)
        })
    }

    /// Positions that [`Cache::new`] keeps of a sequence, summed over all layers.
    pub fn kept_positions(config: &Config, positions: usize, rows: usize) -> u64 {
        let kept = |layer| positions.min(BLOCK * layer_table(config, layer, 1, positions, rows).in_memory());
        with_keys(config).map(|layer| kept(layer) as u64).sum()
    }

    /// Lanes of 32 bits that [`Cache::for_batch`] allocates. There may be more of them than fit in any memory, so products
    /// saturate.
    pub fn floats_of_batch(
        config: &Config,
        kind: CacheType,
        slots: usize,
        positions: usize,
        rows: usize,
    ) -> u64 {
        (blocks_of_batch(slots, positions, rows) as u64)
            .saturating_mul(count(&in_turn(config)) as u64)
            .saturating_mul(Self::block_floats(config, kind))
    }

    /// Lanes of 32 bits of a block of positions in each layer that has keys and values.
    pub fn block_floats(config: &Config, kind: CacheType) -> u64 {
        let one = kv_shape(config, kind, 1);
        (one.keys_len() + one.values_len()) as u64
    }

    /// The keys and values that a layer reads.
    pub fn at(&mut self, layer: usize) -> &mut Kv<B> {
        &mut self.layers[self.places[layer]]
    }

    /// Sequences.
    pub fn slots(&self) -> usize {
        self.layers[0].table.slots()
    }

    /// Positions a sequence can hold.
    pub fn positions(&self) -> usize {
        self.positions
    }
}

/// The layers that have keys and values of their own.
fn with_keys(config: &Config) -> impl Iterator<Item = usize> {
    (0..config.layers).filter(|&layer| config.has_keys(layer))
}

/// For every layer, the place of the keys and values that it reads, if each layer that has its own has a place for them.
pub(super) fn by_layer(config: &Config) -> Vec<usize> {
    let mut places = Vec::with_capacity(config.layers);
    let mut next = 0;
    for layer in 0..config.layers {
        if config.has_keys(layer) {
            places.push(next);
            next += 1;
        } else {
            places.push(places[config.keys_of(layer)]);
        }
    }
    places
}

/// The same if only those have one that other layers read; all others share the last place in turn.
pub(super) fn in_turn(config: &Config) -> Vec<usize> {
    let mut of_layer = vec![None; config.layers];
    for layer in (0..config.layers).filter(|&layer| !config.has_keys(layer)) {
        of_layer[config.keys_of(layer)] = Some(0);
    }
    let read = of_layer.iter_mut().flatten().zip(0..).map(|(place, next)| *place = next).count();
    (0..config.layers).map(|layer| of_layer[config.keys_of(layer)].unwrap_or(read)).collect()
}

/// How many places there are.
pub(super) fn count(places: &[usize]) -> usize {
    places.iter().max().map_or(0, |last| last + 1)
}

/// Blocks that are enough for any `slots` sequences of at most `positions` positions and `rows` rows in all: the last block of
/// each may be almost empty.
fn blocks_of_batch(slots: usize, positions: usize, rows: usize) -> usize {
    let full = slots.saturating_mul(positions.div_ceil(BLOCK));
    full.min(rows.saturating_add(slots.saturating_mul(BLOCK - 1)) / BLOCK)
}

/// It keeps what the widest window sees of the layers that read it.
fn layer_table(config: &Config, layer: usize, slots: usize, positions: usize, rows: usize) -> BlockTable {
    let windows = config.readers_of(layer).map(|reader| config.attention_of(reader).window);
    let widest = windows.map(|window| window.unwrap_or(usize::MAX)).max();
    BlockTable::windowed(slots, positions, widest.filter(|&window| window < usize::MAX), rows)
}

fn kv_shape(config: &Config, kind: CacheType, blocks: usize) -> KvShape {
    KvShape { heads: config.heads.key, size: config.heads.size, blocks, kind }
}
