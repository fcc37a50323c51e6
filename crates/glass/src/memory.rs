//! Memory is a policy: learning keeps every layer's activations, or only what entered each layer, running keeps keys and
//! values only. The layers do not know which is going on.

use crate::Result;
use crate::backend::{Backend, CacheType, Kv, KvShape, Tensor};
use crate::config::Config;

/// Which activations outlive their layer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Keep {
    /// Every layer's: a backward can follow.
    All,
    /// Every layer's input: a backward can follow, and computes each layer again before it goes back through it (Chen et
    /// al. 2016). The same bits as with [`Keep::All`].
    Inputs,
    /// One layer's, used by all in turn.
    One,
}

/// Activations of a pass over at most a given number of rows. Also the shape in which their gradients are kept.
pub struct Memory<B: Backend> {
    /// What outlives its layer.
    pub keep: Keep,
    /// The residual stream.
    pub residual: Tensor<B>,
    /// What no layer keeps.
    pub scratch: Scratch<B>,
    /// The residual that entered each layer, where a backward will want it.
    pub inputs: Vec<Tensor<B>>,
    /// One per layer, or one for all.
    pub blocks: Vec<BlockMemory<B>>,
    /// The residual after the last block, normalised: what the unembedding reads.
    pub normed: Tensor<B>,
    /// The last norm's mean and 1/std per row.
    pub stats: Tensor<B>,
    /// The rows that want logits, taken out of `normed`.
    pub wanted: Tensor<B>,
    /// Their places, as `u32` rows.
    pub wanted_rows: Vec<u32>,
    /// Every row's position in its sequence.
    pub positions: Vec<u32>,
}

/// What every layer computes on its way and none keeps, `[rows, …]`: a backward makes it anew from what is kept, which
/// costs far less time than the products around it, and saves a third of the memory.
pub struct Scratch<B: Backend> {
    /// What a branch (attention or MLP) reads: the residual, normalised.
    pub normed: Tensor<B>,
    /// Mean and 1/std per row.
    pub stats: Tensor<B>,
    /// The MLP's hidden layer after the activation.
    pub active: Tensor<B>,
    /// What a branch adds to the residual.
    pub branch: Tensor<B>,
}

/// One block's activations.
pub struct BlockMemory<B: Backend> {
    /// Attention's.
    pub attention: AttentionMemory<B>,
    /// The residual between attention and MLP, where a backward will want it.
    pub middle: Option<Tensor<B>>,
    /// The MLP's.
    pub mlp: MlpMemory<B>,
}

/// Attention's activations, all `[rows, …]`.
pub struct AttentionMemory<B: Backend> {
    /// Queries.
    pub query: Tensor<B>,
    /// Keys.
    pub key: Tensor<B>,
    /// Values.
    pub value: Tensor<B>,
    /// The heads' mixed values.
    pub mixed: Tensor<B>,
    /// Log-sum-exp per row and head, where a backward will want it.
    pub sums: Option<Tensor<B>>,
}

/// The MLP's activations, all `[rows, …]`.
pub struct MlpMemory<B: Backend> {
    /// The hidden layer before the activation, where a backward will want it.
    pub hidden: Option<Tensor<B>>,
}

impl<B: Backend> Memory<B> {
    /// For passes of at most `rows` rows, at most `wanted` of which want logits at once.
    pub fn new(backend: &B, config: &Config, keep: Keep, rows: usize, wanted: usize) -> Result<Self> {
        let tensor = |cols| Tensor::new(backend, rows, cols);
        let inputs = if keep == Keep::One { 0 } else { config.layers };
        let blocks = if keep == Keep::All { config.layers } else { 1 };
        Ok(Memory {
            keep,
            residual: tensor(config.width)?,
            scratch: Scratch {
                normed: tensor(config.width)?,
                stats: tensor(2)?,
                active: tensor(config.hidden)?,
                branch: tensor(config.width)?,
            },
            inputs: (0..inputs).map(|_| tensor(config.width)).collect::<Result<_>>()?,
            blocks: (0..blocks)
                .map(|_| BlockMemory::new(backend, config, keep, rows))
                .collect::<Result<_>>()?,
            normed: tensor(config.width)?,
            stats: tensor(2)?,
            wanted: Tensor::new(backend, wanted, config.width)?,
            wanted_rows: Vec::with_capacity(wanted),
            positions: Vec::with_capacity(rows),
        })
    }

    /// Floats that [`Memory::new`] asks for: for every row, and for every row that wants logits.
    pub fn floats(config: &Config, keep: Keep) -> (u64, u64) {
        let (width, hidden) = (config.width as u64, config.hidden as u64);
        let heads = config.heads;
        let (queries, keys) = ((heads.query * heads.size) as u64, (heads.key * heads.size) as u64);
        let kept = if keep == Keep::One { 0 } else { heads.query as u64 + width + hidden };
        let block = 2 * queries + 2 * keys + kept;
        let scratch = 2 * width + 2 + hidden;
        let layers = config.layers as u64;
        let inputs = if keep == Keep::One { 0 } else { layers * width };
        let blocks = if keep == Keep::All { layers * block } else { block };
        (2 * width + 2 + scratch + inputs + blocks, width)
    }

    /// The block memory of a layer.
    pub fn at(&self, layer: usize) -> usize {
        if self.blocks.len() == 1 { 0 } else { layer }
    }

    /// Uses `rows` rows of everything.
    pub fn use_rows(&mut self, rows: usize) {
        self.scratch.use_rows(rows);
        let one_each = [&mut self.residual, &mut self.normed, &mut self.stats];
        for tensor in one_each.into_iter().chain(&mut self.inputs) {
            tensor.use_rows(rows);
        }
        for block in &mut self.blocks {
            block.use_rows(rows);
        }
    }
}

impl<B: Backend> Scratch<B> {
    /// Uses `rows` rows of everything.
    pub fn use_rows(&mut self, rows: usize) {
        let all = [&mut self.normed, &mut self.stats, &mut self.active, &mut self.branch];
        all.into_iter().for_each(|tensor| tensor.use_rows(rows));
    }
}

impl<B: Backend> AttentionMemory<B> {
    /// Uses `rows` rows of everything.
    pub fn use_rows(&mut self, rows: usize) {
        let always = [&mut self.query, &mut self.key, &mut self.value, &mut self.mixed];
        always.into_iter().chain(&mut self.sums).for_each(|tensor| tensor.use_rows(rows));
    }
}

impl<B: Backend> BlockMemory<B> {
    fn new(backend: &B, config: &Config, keep: Keep, rows: usize) -> Result<Self> {
        let tensor = |cols| Tensor::new(backend, rows, cols);
        let kept = |cols| (keep != Keep::One).then(|| tensor(cols)).transpose();
        let heads = config.heads;
        Ok(BlockMemory {
            attention: AttentionMemory {
                query: tensor(heads.query * heads.size)?,
                key: tensor(heads.key * heads.size)?,
                value: tensor(heads.key * heads.size)?,
                mixed: tensor(heads.query * heads.size)?,
                sums: kept(heads.query)?,
            },
            middle: kept(config.width)?,
            mlp: MlpMemory { hidden: kept(config.hidden)? },
        })
    }

    fn use_rows(&mut self, rows: usize) {
        self.attention.use_rows(rows);
        self.middle.iter_mut().chain(&mut self.mlp.hidden).for_each(|tensor| tensor.use_rows(rows));
    }
}

/// Keys and values: one layer's each, or, where nothing is remembered between passes, one for all layers in turn.
pub struct Cache<B: Backend> {
    layers: Vec<Kv<B>>,
}

impl<B: Backend> Cache<B> {
    /// For `slots` sequences of at most `positions` positions; [`Keep::One`] for passes that each stand alone.
    pub fn new(
        backend: &B,
        config: &Config,
        keep: Keep,
        kind: CacheType,
        slots: usize,
        positions: usize,
    ) -> Result<Self> {
        let shape = kv_shape(config, kind, slots, positions);
        let kv = || {
            let (keys, values) = (backend.zeros(shape.keys_len())?, backend.zeros(shape.values_len())?);
            Ok(Kv { keys, values, shape })
        };
        let layers = if keep == Keep::All { config.layers } else { 1 };
        Ok(Cache { layers: (0..layers).map(|_| kv()).collect::<Result<_>>()? })
    }

    /// Lanes of 32 bits that [`Cache::new`] asks for, for each layer that remembers.
    pub fn floats(config: &Config, kind: CacheType, slots: usize, positions: usize) -> u64 {
        // Slots are equal, and there may be more of them than any machine holds.
        let one = kv_shape(config, kind, 1, positions);
        (slots as u64).saturating_mul((one.keys_len() + one.values_len()) as u64)
    }

    /// The keys and values of a layer.
    pub fn at(&mut self, layer: usize) -> &mut Kv<B> {
        let at = if self.layers.len() == 1 { 0 } else { layer };
        &mut self.layers[at]
    }

    /// Sequences.
    pub fn slots(&self) -> usize {
        self.layers[0].shape.slots
    }

    /// Positions a sequence can hold.
    pub fn positions(&self) -> usize {
        self.layers[0].shape.positions
    }
}

fn kv_shape(config: &Config, kind: CacheType, slots: usize, positions: usize) -> KvShape {
    KvShape { heads: config.heads.key, size: config.heads.size, slots, positions, kind }
}
