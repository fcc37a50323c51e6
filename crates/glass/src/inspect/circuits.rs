//! The circuits of a head, from its weights alone: which tokens it attends to (queries by keys), and which tokens
//! it makes more probable (values through the unembedding). The products of two factors are never multiplied out
//! (Elhage et al. 2021). Where positions are rotary, query and key are at the same position: neither is rotated.

use super::Inspector;
use super::linear_norm::LinearNorm;
use crate::backend::{Backend, Dense, Tensor, Weight};
use crate::config::Gain;
use crate::{Error, Result};

/// Rows of a product that are in memory at once.
const ROWS: usize = 256;

/// Two tokens, and how strongly a head connects them.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Pair {
    /// The token of the query; for `says`, the token attended to.
    pub from: u32,
    /// The token of the key; for `says`, the token that becomes more probable.
    pub to: u32,
    /// The score before the softmax; for `says`, what is added to the logit, before the last norm.
    pub strength: f32,
}

/// A head's strongest pairs.
#[derive(Clone, PartialEq, Debug)]
pub struct Circuits {
    /// Query by key, scaled: which token attends to which, ignoring positions.
    pub looks: Vec<Pair>,
    /// Value through the unembedding: which token makes which more probable.
    pub says: Vec<Pair>,
}

/// The `n` strongest pairs of a head, over all tokens. Each token is represented by the block's norm of its
/// embedding alone, without a position and without the output of other blocks: exact in the first block,
/// approximate in others.
///
/// # Errors
/// If the model has no such head, or there is too little memory.
pub fn circuits<B: Backend>(
    inspector: &mut Inspector<'_, B>,
    layer: usize,
    head: usize,
    n: usize,
) -> Result<Circuits> {
    let (backend, config) = (inspector.model().backend(), inspector.model().config().clone());
    if layer >= config.layers || head >= config.heads.query {
        let why = format!(
            "there is no block {layer} head {head}; the model has {} blocks of {} heads",
            config.layers, config.heads.query
        );
        return Err(Error::invalid_argument("head", why));
    }
    // What a head compares is then no product of two matrices with the tokens.
    let bent = [
        (config.query_key_norm.is_some(), "queries and keys are normalised"),
        (!config.placement.is_before(), "no norm stands before attention"),
        (config.embedding_norm, "the embedding is normalised"),
    ];
    if let Some((_, why)) = bent.into_iter().find(|(is, _)| *is) {
        let why =
            format!("{why} in this model, so that what a head compares cannot be read from its matrices");
        return Err(Error::invalid_argument("circuits", why));
    }
    let (size, group) = (config.heads.size, config.heads.query / config.heads.key);
    let name = |part: &str| format!("block.{layer}.attention.{part}");
    let table = inspector.parameter("embedding.token.weight")?;
    // Every token, as the head reads it.
    let (mut tokens, mut stats) =
        (Tensor::new(backend, table.rows, table.cols)?, Tensor::new(backend, table.rows, 2)?);
    let mut vectors = Tensor::new(backend, table.rows, table.cols)?;
    let factor = config.factors.embedding;
    let scaled: Vec<f32> = table.values.iter().map(|x| factor * x).collect();
    backend.write(&mut vectors.data, 0, &scaled);
    let vector = |part: &str| Operand::new(backend, &inspector.parameter(&name(part))?.values, 1);
    let gain = (config.norm.gain != Gain::None).then(|| vector("norm.weight")).transpose()?;
    let bias = config.bias.norm.then(|| vector("norm.bias")).transpose()?;
    let offset = if config.norm.gain == Gain::OnePlusWeight { 1.0 } else { 0.0 };
    let norm = crate::backend::Norm { kind: config.norm.kind, epsilon: config.norm.epsilon, offset };
    let [gain, bias] = [&gain, &bias].map(|vector| vector.as_ref().map(Operand::get));
    backend.norm(&mut tokens, &mut stats, &vectors, 1, gain, bias, norm);
    // Some outputs of a linear layer, for every token.
    let part = |part: &str, from: usize| -> Result<Tensor<B>> {
        let rows: Vec<u32> = (from..from + size).map(|row| row as u32).collect();
        let weight = inspector.rows(&name(&format!("{part}.weight")), &rows)?.values;
        let bias = match config.bias.query_key_value {
            true => inspector.parameter(&name(&format!("{part}.bias")))?.values[from..from + size].to_vec(),
            false => vec![0.0; size],
        };
        let mut y = Tensor::new(backend, tokens.rows, size)?;
        let (weight, bias) = (Operand::new(backend, &weight, size)?, Operand::new(backend, &bias, 1)?);
        backend.linear(&mut y, &tokens, weight.get(), Some(bias.get()), None);
        Ok(y)
    };
    let (query, key) = (part("query", head * size)?, part("key", head / group * size)?);
    let mut looks = Strongest::new(n);
    looks.products(backend, &query, &key, config.heads_of(layer).scale)?;

    let value = part("value_down", head / group * size)?;
    let up = inspector.parameter(&name("value_up.weight"))?;
    let columns = up.values.chunks_exact(up.cols).flat_map(|row| &row[head * size..(head + 1) * size]);
    let up = Operand::new(backend, &columns.copied().collect::<Vec<_>>(), config.width)?;
    let mut said = Tensor::new(backend, value.rows, config.width)?;
    backend.linear(&mut said, &value, up.get(), None, None);
    let unembedding = match config.tied {
        true => table,
        false => inspector.parameter("unembedding.weight")?,
    };
    let gain = LinearNorm::of(inspector, "norm")?.gain;
    let mut reads = Tensor::new(backend, unembedding.rows, unembedding.cols)?;
    let rows = unembedding.values.chunks_exact(config.width);
    let read = rows.flat_map(|row| row.iter().zip(&gain).map(|(x, gain)| x * *gain as f32));
    backend.write(&mut reads.data, 0, &read.collect::<Vec<_>>());
    let mut says = Strongest::new(n);
    says.products(backend, &said, &reads, 1.0)?;
    Ok(Circuits { looks: looks.0, says: says.0 })
}

/// A matrix that is multiplied but is not a parameter.
struct Operand<B: Backend> {
    values: B::Buffer,
    rows: usize,
    cols: usize,
}

impl<B: Backend> Operand<B> {
    fn new(backend: &B, values: &[f32], rows: usize) -> Result<Self> {
        let mut buffer = backend.zeros(values.len())?;
        backend.write(&mut buffer, 0, values);
        Ok(Operand { values: buffer, rows, cols: values.len() / rows })
    }

    fn get(&self) -> Weight<'_, B> {
        let span = 0..self.rows * self.cols;
        Weight::Dense(Dense { arena: &self.values, span, rows: self.rows, cols: self.cols })
    }
}

/// The strongest pairs so far, strongest first.
struct Strongest(Vec<Pair>, usize);

impl Strongest {
    fn new(n: usize) -> Self {
        Strongest(Vec::with_capacity(n + 1), n)
    }

    /// Multiplies every row of `a` by every row of `b`, some rows at a time.
    fn products<B: Backend>(&mut self, backend: &B, a: &Tensor<B>, b: &Tensor<B>, scale: f32) -> Result<()> {
        let right = || Dense { arena: &b.data, span: 0..b.len(), rows: b.rows, cols: b.cols };
        for first in (0..a.rows).step_by(ROWS) {
            let rows: Vec<u32> = (first as u32..a.rows.min(first + ROWS) as u32).collect();
            let (mut x, mut y) =
                (Tensor::new(backend, rows.len(), a.cols)?, Tensor::new(backend, rows.len(), b.rows)?);
            backend.take(&mut x, a, &rows);
            backend.linear(&mut y, &x, Weight::Dense(right()), None, None);
            let products = backend.view(&y.data, 0..y.len());
            for (&from, row) in rows.iter().zip(products.chunks_exact(b.rows)) {
                for (to, product) in row.iter().enumerate() {
                    self.offer(Pair { from, to: to as u32, strength: product * scale });
                }
            }
        }
        Ok(())
    }

    fn offer(&mut self, pair: Pair) {
        let full = self.0.len() == self.1;
        if self.1 == 0 || full && self.0.last().is_some_and(|last| last.strength >= pair.strength) {
            return;
        }
        let at = self.0.partition_point(|other| other.strength >= pair.strength);
        self.0.insert(at, pair);
        self.0.truncate(self.1);
    }
}
