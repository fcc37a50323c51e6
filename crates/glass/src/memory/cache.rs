//! The cache of keys and values of a model: what is kept between passes.

use crate::Result;
use crate::backend::{BLOCK, Backend, BlockTable, CacheType, Kv, KvShape};
use crate::config::Config;

/// Keys and values: one for each layer, or, if nothing is kept between passes, one that all layers use in turn.
pub struct Cache<B: Backend> {
    layers: Vec<Kv<B>>,
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
        let table = |layer| layer_table(config, layer, slots, positions, rows);
        Cache::of(backend, config, kind, (0..config.layers).map(table), positions)
    }

    /// For independent passes, of which nothing is kept, over `slots` sequences of at most `positions` positions.
    pub fn for_pass(
        backend: &B,
        config: &Config,
        kind: CacheType,
        slots: usize,
        positions: usize,
    ) -> Result<Self> {
        Cache::of(backend, config, kind, [BlockTable::separate(slots, positions)], positions)
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
        let table = BlockTable::shared(slots, positions, blocks);
        Cache::of(backend, config, kind, (0..config.layers).map(|_| table.clone()), positions)
    }

    fn of(
        backend: &B,
        config: &Config,
        kind: CacheType,
        tables: impl IntoIterator<Item = BlockTable>,
        positions: usize,
    ) -> Result<Self> {
        let kv = |table: BlockTable| {
            let shape = kv_shape(config, kind, table.in_memory());
            let (keys, values) = (backend.zeros(shape.keys_len())?, backend.zeros(shape.values_len())?);
            Ok(Kv { keys, values, shape, table })
        };
        Ok(Cache { layers: tables.into_iter().map(kv).collect::<Result<_>>()?, positions })
    }

    /// Changes where the blocks of the slots are.
    pub fn map(&mut self, change: impl Fn(&mut BlockTable)) {
        self.layers.iter_mut().for_each(|kv| change(&mut kv.table));
    }

    /// Whether a sequence that had `read` positions can go on after its first `len`: whether the next row's windows are still
    /// there.
    pub fn keeps(&self, config: &Config, len: usize, read: usize) -> bool {
        self.layers.iter().enumerate().all(|(layer, kv)| {
            let first = config.heads_of(layer).visible(len).first;
            kv.table.keeps(first / BLOCK, read)
        })
    }

    /// Positions that [`Cache::new`] keeps of a sequence, summed over all layers.
    pub fn kept_positions(config: &Config, positions: usize, rows: usize) -> u64 {
        let kept = |layer| positions.min(BLOCK * layer_table(config, layer, 1, positions, rows).in_memory());
        (0..config.layers).map(|layer| kept(layer) as u64).sum()
    }

    /// Lanes of 32 bits that [`Cache::for_pass`] allocates.
    pub fn floats_of_pass(config: &Config, kind: CacheType, slots: usize, positions: usize) -> u64 {
        // All slots have the same size. There may be more of them than fit in any memory, so the product saturates.
        (slots as u64)
            .saturating_mul(Self::block_floats(config, kind).saturating_mul(positions.div_ceil(BLOCK) as u64))
    }

    /// Lanes of 32 bits of a block of positions in each layer.
    pub fn block_floats(config: &Config, kind: CacheType) -> u64 {
        let one = kv_shape(config, kind, 1);
        (one.keys_len() + one.values_len()) as u64
    }

    /// The keys and values of a layer.
    pub fn at(&mut self, layer: usize) -> &mut Kv<B> {
        let at = if self.layers.len() == 1 { 0 } else { layer };
        &mut self.layers[at]
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

fn layer_table(config: &Config, layer: usize, slots: usize, positions: usize, rows: usize) -> BlockTable {
    BlockTable::windowed(slots, positions, config.attention_of(layer).window, rows)
}

fn kv_shape(config: &Config, kind: CacheType, blocks: usize) -> KvShape {
    KvShape { heads: config.heads.key, size: config.heads.size, blocks, kind }
}
