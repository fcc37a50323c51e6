//! Memory is a policy: training keeps every layer's activations, or only the input of each layer; inference keeps keys and
//! values only. The layers do not know which policy is in use.

mod angles;
mod cache;

pub(crate) use angles::turns_at;
pub use angles::{Angles, Turns};
pub use cache::{BRANCHES, Cache};

use std::collections::BTreeSet;

use crate::Result;
use crate::backend::{Backend, Tensor};
use crate::config::{Branches, Config, NormOver};

/// Most rows of a pass: longer texts are read in several. With more, products would not be faster, and activations would take
/// memory for the whole context.
pub const PASS_ROWS: usize = 512;

/// Which activations outlive their layer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Keep {
    /// Those of every layer, for a backward.
    All,
    /// The input of every layer, for a backward that recomputes each layer before it goes back through it (Chen et al.
    /// 2016). The bits are the same as with [`Keep::All`].
    Inputs,
    /// Those of one layer, overwritten by the next.
    One,
    /// Not activations but their gradients: of one layer, overwritten by the next, and the sums of those of keys and values that
    /// several layers read.
    Gradients,
}

/// The columns of each activation, in one place: what a [`Memory`] allocates, and what is counted without allocating it. 0
/// columns: a model of this shape does not have it.
#[derive(Clone, Copy, Debug)]
pub struct Columns {
    layers: usize,
    /// Layers with keys and values of their own, and places for those if only what other layers read is kept.
    with_keys: usize,
    in_turn: usize,
    /// Layers whose keys and values others read.
    read: usize,
    width: usize,
    queries: usize,
    keys: usize,
    heads: usize,
    hidden: usize,
    /// Of the MLP's second hidden layer, if it is gated.
    up: usize,
    /// Of queries and keys before their norm, and of its statistics.
    query_norm: [usize; 2],
    key_norm: [usize; 2],
    /// Of what attention and MLP give before the norm on it.
    unnormed: usize,
    /// Of a copy of the block's input, which attention and MLP both read.
    input: usize,
    angles: u64,
}

/// Mean and 1/std of a norm.
const STATS: usize = 2;

impl Columns {
    /// Of a model of this shape.
    pub fn of<B: Backend>(config: &Config) -> Columns {
        let heads = config.heads;
        let (queries, keys) = (heads.query * heads.size, heads.key * heads.size);
        let norm = |columns, heads| match config.query_key_norm.map(|norm| norm.over) {
            None => [0, 0],
            Some(NormOver::Head) => [columns, STATS * heads],
            Some(NormOver::Width) => [columns, STATS],
        };
        let if_ = |needed: bool, columns| if needed { columns } else { 0 };
        let read: BTreeSet<usize> = (0..config.layers)
            .filter(|&layer| !config.has_keys(layer))
            .map(|layer| config.keys_of(layer))
            .collect();
        Columns {
            layers: config.layers,
            with_keys: config.layers_with_keys(),
            in_turn: cache::count(&cache::in_turn(config)),
            read: read.len(),
            width: config.width,
            queries,
            keys,
            heads: heads.query,
            hidden: config.mlp_width,
            up: if_(config.gated, config.mlp_width),
            query_norm: norm(queries, heads.query),
            key_norm: norm(keys, heads.key),
            unnormed: if_(config.placement.is_after(), config.width),
            input: if_(config.branches != Branches::InTurn, config.width),
            angles: Angles::<B>::floats(config),
        }
    }

    /// Columns that outlive their layer, of a row: the last norm's, and those that a backward reads.
    pub fn kept(self, keep: Keep) -> u64 {
        let (inputs, blocks) = self.repeated(keep);
        let is_kept = matches!(keep, Keep::All | Keep::Inputs);
        let block = sum(self.block(true)) + if is_kept { sum(self.block_for_backward()) } else { 0 };
        let blocks = blocks as u64 * block;
        let reading = match keep {
            Keep::All => (self.layers - self.with_keys) as u64 * sum(self.key_norm),
            _ => 0,
        };
        let keys = self.places(keep) as u64 * sum([self.keys; 2]);
        sum(self.ends()) + inputs as u64 * self.width as u64 + blocks - reading + keys
    }

    /// Residual, last norm, its statistics.
    fn ends(self) -> [usize; 3] {
        [self.width, self.width, STATS]
    }

    /// The fields of [`Scratch`], in their order.
    fn scratch(self) -> [usize; 6] {
        [self.width, STATS, self.hidden, self.up, self.width, self.input]
    }

    /// Query, z, queries and keys (if it has its own) before their norm and its statistics, and what attention and MLP give
    /// before the norm on it.
    fn block(self, has_keys: bool) -> [usize; 8] {
        let [query, query_stats] = self.query_norm;
        let [key, key_stats] = if has_keys { self.key_norm } else { [0, 0] };
        let Columns { queries, unnormed, .. } = self;
        [queries, queries, query, query_stats, key, key_stats, unnormed, unnormed]
    }

    /// Places for the keys and values of layers.
    fn places(self, keep: Keep) -> usize {
        match keep {
            Keep::All => self.with_keys,
            Keep::Inputs => self.in_turn,
            Keep::One => 1,
            Keep::Gradients => self.read + 1,
        }
    }

    /// What a block also keeps where a backward follows: log-sum-exp, the residual in the middle, the MLP's hidden layers.
    fn block_for_backward(self) -> [usize; 4] {
        [self.heads, if self.input == 0 { self.width } else { 0 }, self.hidden, self.up]
    }

    /// How many layer inputs, and how many blocks' activations, are kept.
    fn repeated(self, keep: Keep) -> (usize, usize) {
        match keep {
            Keep::All => (self.layers, self.layers),
            Keep::Inputs => (self.layers, 1),
            Keep::One | Keep::Gradients => (0, 1),
        }
    }
}

fn sum<const N: usize>(columns: [usize; N]) -> u64 {
    columns.iter().map(|&columns| columns as u64).sum()
}

/// A tensor for each of these columns.
fn each<B: Backend, const N: usize>(backend: &B, rows: usize, columns: [usize; N]) -> Result<[Tensor<B>; N]> {
    let tensors = columns.map(|columns| Tensor::new(backend, rows, columns));
    let mut failed = None;
    let tensors: Vec<Tensor<B>> =
        tensors.into_iter().filter_map(|tensor| tensor.map_err(|error| failed = Some(error)).ok()).collect();
    match (failed, tensors.try_into()) {
        (None, Ok(tensors)) => Ok(tensors),
        (Some(error), _) => Err(error),
        (None, Err(_)) => unreachable!("as many tensors as columns"),
    }
}

/// Activations of a pass over at most a given number of rows. Also the shape in which their gradients are kept.
pub struct Memory<B: Backend> {
    /// Which activations outlive their layer.
    pub keep: Keep,
    /// The residual stream.
    pub residual: Tensor<B>,
    /// Activations that no layer keeps.
    pub scratch: Scratch<B>,
    /// The input of each layer, if a backward follows.
    pub inputs: Vec<Tensor<B>>,
    /// One per layer, or one for all.
    pub blocks: Vec<BlockMemory<B>>,
    /// Keys and values: of every layer that has its own, or of those that other layers read, and at last one for all others. Of
    /// gradients, the sums of the former; the last is for those of any layer.
    pub keys: Vec<KeyMemory<B>>,
    /// For every layer, which of them it reads.
    places: Vec<usize>,
    /// The residual after the last block, normalised: what the unembedding reads.
    pub normed: Tensor<B>,
    /// The last norm's mean and 1/std per row.
    pub stats: Tensor<B>,
    /// The rows that want logits, copied from `normed`.
    pub wanted: Tensor<B>,
    /// Their row numbers.
    pub wanted_rows: Vec<u32>,
    /// Every row's position in its sequence.
    pub positions: Vec<u32>,
}

/// What every layer computes and none keeps, `[rows, …]`: a backward recomputes it from what is kept, which takes far less
/// time than the matrix products and saves a third of the memory.
pub struct Scratch<B: Backend> {
    /// The input of a branch (attention or MLP): the normalised residual.
    pub normed: Tensor<B>,
    /// Mean and 1/std per row.
    pub stats: Tensor<B>,
    /// The MLP's hidden layer after the activation.
    pub active: Tensor<B>,
    /// What a gate multiplies, where none is kept.
    pub up: Tensor<B>,
    /// The output of a branch, which is added to the residual.
    pub branch: Tensor<B>,
    /// The input of the block, where attention and MLP both read it.
    pub input: Option<Tensor<B>>,
    /// How rows are rotated.
    pub angles: Angles<B>,
}

/// One block's activations.
pub struct BlockMemory<B: Backend> {
    /// Attention's.
    pub attention: AttentionMemory<B>,
    /// The residual between attention and MLP, if a backward follows.
    pub middle: Option<Tensor<B>>,
    /// The MLP's.
    pub mlp: MlpMemory<B>,
}

/// Attention's activations, all `[rows, …]`.
pub struct AttentionMemory<B: Backend> {
    /// Queries.
    pub query: Tensor<B>,
    /// The heads' outputs, before `value_up`.
    pub z: Tensor<B>,
    /// Log-sum-exp per row and head, if a backward follows.
    pub sums: Option<Tensor<B>>,
    /// Queries before their norm, if they have one.
    pub query_norm: Option<Unnormed<B>>,
    /// Keys before their norm, if they have one.
    pub key_norm: Option<Unnormed<B>>,
    /// What the heads give together, before a norm on it.
    pub unnormed: Option<Tensor<B>>,
}

/// A layer's keys and values, both `[rows, …]`.
pub struct KeyMemory<B: Backend> {
    /// Keys.
    pub key: Tensor<B>,
    /// Values.
    pub value: Tensor<B>,
}

/// The input of a norm, and its statistics.
pub struct Unnormed<B: Backend> {
    /// The input.
    pub x: Tensor<B>,
    /// Mean and 1/std per row, or per head of a row.
    pub stats: Tensor<B>,
}

/// The MLP's activations, all `[rows, …]`.
pub struct MlpMemory<B: Backend> {
    /// The hidden layer before the activation, if a backward follows.
    pub hidden: Option<Tensor<B>>,
    /// What the gate multiplies, if there is one and a backward follows.
    pub up: Option<Tensor<B>>,
    /// The MLP's output before a norm on it.
    pub unnormed: Option<Tensor<B>>,
}

impl<B: Backend> Memory<B> {
    /// For passes of at most `rows` rows, at most `wanted` of which want logits at once.
    pub fn new(backend: &B, config: &Config, keep: Keep, rows: usize, wanted: usize) -> Result<Self> {
        let columns = Columns::of::<B>(config);
        let (inputs, blocks) = columns.repeated(keep);
        let [residual, normed, stats] = each(backend, rows, columns.ends())?;
        Ok(Memory {
            keep,
            residual,
            scratch: Scratch::new(backend, config, columns, rows)?,
            inputs: (0..inputs).map(|_| Tensor::new(backend, rows, columns.width)).collect::<Result<_>>()?,
            blocks: (0..blocks)
                .map(|layer| BlockMemory::new(backend, columns, config.has_keys(layer), keep, rows))
                .collect::<Result<_>>()?,
            keys: (0..columns.places(keep))
                .map(|_| KeyMemory::new(backend, columns.keys, rows))
                .collect::<Result<_>>()?,
            places: match keep {
                Keep::All => cache::by_layer(config),
                Keep::Inputs | Keep::Gradients => cache::in_turn(config),
                Keep::One => vec![0; config.layers],
            },
            normed,
            stats,
            wanted: Tensor::new(backend, wanted, columns.width)?,
            wanted_rows: Vec::with_capacity(wanted),
            positions: Vec::with_capacity(rows),
        })
    }

    /// Floats that [`Memory::new`] allocates: for every row, and for every row that wants logits.
    pub fn floats(config: &Config, keep: Keep) -> (u64, u64) {
        let columns = Columns::of::<B>(config);
        (columns.kept(keep) + sum(columns.scratch()) + columns.angles, columns.width as u64)
    }

    /// The block memory of a layer.
    pub fn at(&self, layer: usize) -> usize {
        if self.blocks.len() == 1 { 0 } else { layer }
    }

    /// The place of the keys and values that a layer reads.
    pub fn keys_at(&self, layer: usize) -> usize {
        self.places[layer]
    }

    /// Uses `rows` rows of everything.
    pub fn use_rows(&mut self, rows: usize) {
        self.scratch.use_rows(rows);
        for KeyMemory { key, value } in &mut self.keys {
            key.use_rows(rows);
            value.use_rows(rows);
        }
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
    fn new(backend: &B, config: &Config, columns: Columns, rows: usize) -> Result<Self> {
        let [normed, stats, active, up, branch, input] = each(backend, rows, columns.scratch())?;
        let (input, angles) =
            (Some(input).filter(|input| input.cols > 0), Angles::new(backend, config, rows)?);
        Ok(Scratch { normed, stats, active, up, branch, input, angles })
    }

    /// Uses `rows` rows of everything.
    pub fn use_rows(&mut self, rows: usize) {
        let Scratch { normed, stats, active, up, branch, input, .. } = self;
        let all = [normed, stats, active, up, branch].into_iter().chain(input);
        all.for_each(|tensor| tensor.use_rows(rows));
    }
}

impl<B: Backend> AttentionMemory<B> {
    /// Uses `rows` rows of everything.
    pub fn use_rows(&mut self, rows: usize) {
        let always = [&mut self.query, &mut self.z];
        let maybe = [&mut self.sums, &mut self.unnormed].into_iter().flatten();
        always.into_iter().chain(maybe).for_each(|tensor| tensor.use_rows(rows));
        for Unnormed { x, stats } in [&mut self.query_norm, &mut self.key_norm].into_iter().flatten() {
            x.use_rows(rows);
            stats.use_rows(rows);
        }
    }
}

impl<B: Backend> KeyMemory<B> {
    fn new(backend: &B, columns: usize, rows: usize) -> Result<Self> {
        let [key, value] = each(backend, rows, [columns; 2])?;
        Ok(KeyMemory { key, value })
    }
}

impl<B: Backend> BlockMemory<B> {
    fn new(backend: &B, columns: Columns, has_keys: bool, keep: Keep, rows: usize) -> Result<Self> {
        let tensors = each(backend, rows, columns.block(has_keys))?;
        let [query, z, q, q_stats, k, k_stats, after_attention, after_mlp] = tensors;
        let some = |tensor: Tensor<B>| Some(tensor).filter(|tensor| tensor.cols > 0);
        let [query_norm, key_norm] =
            [(q, q_stats), (k, k_stats)].map(|(x, stats)| Some(Unnormed { x: some(x)?, stats }));
        let mut backward = [const { None }; 4];
        if matches!(keep, Keep::All | Keep::Inputs) {
            backward = each(backend, rows, columns.block_for_backward())?.map(some);
        }
        let [sums, middle, hidden, up] = backward;
        let unnormed = some(after_attention);
        Ok(BlockMemory {
            attention: AttentionMemory { query, z, sums, query_norm, key_norm, unnormed },
            middle,
            mlp: MlpMemory { hidden, up, unnormed: some(after_mlp) },
        })
    }

    /// Uses `rows` rows of everything.
    pub fn use_rows(&mut self, rows: usize) {
        self.attention.use_rows(rows);
        let MlpMemory { hidden, up, unnormed } = &mut self.mlp;
        let all = [&mut self.middle, hidden, up, unnormed].into_iter().flatten();
        all.for_each(|tensor| tensor.use_rows(rows));
    }
}
