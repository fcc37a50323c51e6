//! The circuits of a head, from its weights alone: which tokens it attends to (queries by keys), and which tokens
//! it makes more probable (values through the unembedding). The products of two factors are never multiplied out
//! (Elhage et al. 2021).
//!
//! Where positions are rotary, query and key are at the same position, so that the angle between them is 0. Where queries and keys
//! are normalised, those of each token are. Where a norm stands behind attention, its gain is in what a token makes more probable,
//! but not its scale, which depends on the text, as that of the last norm.

use super::linear_norm::LinearNorm;
use super::{Inspector, Matrix};
use crate::backend::{Backend, Dense, Tensor, Weight};
use crate::config::{Config, Gain, NormOver};
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
    /// The score before the softmax; for `says`, what is added to the logit, without the scale of the last norm (and of one behind
    /// attention), and before the cap if logits have one.
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

/// The `n` strongest pairs of a head, over all tokens. Each token is represented by its embedding alone, as attention reads it,
/// without a position and without the output of other blocks: exact in the first block, approximate in others.
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
    let tokens = Tokens::of(inspector, layer)?;
    let size = config.heads.size;
    let mut looks = Strongest::new(n);
    let of_keys = Tokens::of(inspector, config.keys_of(layer))?;
    let (query, key) = (tokens.compared(inspector, true, head)?, of_keys.compared(inspector, false, head)?);
    looks.products(backend, &query, &key, config.heads_of(layer).scale)?;
    if let Some(cap) = config.scores.cap {
        // It keeps the order.
        looks.0.iter_mut().for_each(|pair| pair.strength = cap * (pair.strength / cap).tanh());
    }

    let from = head_of_keys(&config, head) * size;
    let value = of_keys.outputs(inspector, "value_down", from..from + size)?;
    let value_up = format!("block.{layer}.attention.value_up.weight");
    let up = inspector.parameter(&value_up)?;
    let columns = up.values.chunks_exact(up.cols).flat_map(|row| &row[head * size..(head + 1) * size]);
    let up = Operand::new(backend, &columns.copied().collect::<Vec<_>>(), config.width)?;
    let mut said = Tensor::new(backend, value.rows, config.width)?;
    backend.linear(&mut said, &value, up.get(), None, None);
    let mut says = Strongest::new(n);
    let reads = reads(inspector, layer)?;
    says.products(backend, &said, &reads, config.factors.branch * config.factors.logits)?;
    Ok(Circuits { looks: looks.0, says: says.0 })
}

/// The head of keys and values that a query head reads.
fn head_of_keys(config: &Config, head: usize) -> usize {
    head / (config.heads.query / config.heads.key)
}

/// The rows of the unembedding as they read what attention gives: with the gains of the norms in between.
fn reads<B: Backend>(inspector: &Inspector<'_, B>, layer: usize) -> Result<Tensor<B>> {
    let (backend, config) = (inspector.model().backend(), inspector.model().config());
    let table = if config.tied { "embedding.token.weight" } else { "unembedding.weight" };
    let unembedding = inspector.parameter(table)?;
    let gain = LinearNorm::of(inspector, "norm")?.gain;
    let behind = match config.placement.is_after() {
        true => Some(LinearNorm::of(inspector, &format!("block.{layer}.attention.norm_after"))?),
        false => None,
    };
    let mut reads = Tensor::new(backend, unembedding.rows, unembedding.cols)?;
    let row = |row: &[f32]| -> Vec<f32> {
        match &behind {
            None => row.iter().zip(&gain).map(|(x, gain)| x * *gain as f32).collect(),
            Some(behind) => {
                let read: Vec<f64> = row.iter().zip(&gain).map(|(&x, gain)| f64::from(x) * gain).collect();
                behind.along(&read, 1.0).into_iter().map(|x| x as f32).collect()
            }
        }
    };
    let read: Vec<f32> = unembedding.values.chunks_exact(config.width).flat_map(row).collect();
    backend.write(&mut reads.data, 0, &read);
    Ok(reads)
}

/// Every token, as attention of a block reads it.
struct Tokens<B: Backend> {
    layer: usize,
    read: Tensor<B>,
}

impl<B: Backend> Tokens<B> {
    fn of(inspector: &Inspector<'_, B>, layer: usize) -> Result<Tokens<B>> {
        let (backend, config) = (inspector.model().backend(), inspector.model().config());
        let table = inspector.parameter("embedding.token.weight")?;
        let factor = config.factors.embedding;
        let scaled: Vec<f32> = table.values.iter().map(|x| factor * x).collect();
        let mut read = Tensor::new(backend, table.rows, table.cols)?;
        backend.write(&mut read.data, 0, &scaled);
        if config.embedding_norm {
            read = normed(inspector, &read, None, false)?;
        }
        if config.placement.is_before() {
            let name = format!("block.{layer}.attention.norm");
            read = normed(inspector, &read, Some(&name), config.bias.norm)?;
        }
        Ok(Tokens { layer, read })
    }

    /// Some outputs of a linear layer, for every token.
    fn outputs(
        &self,
        inspector: &Inspector<'_, B>,
        part: &str,
        of: std::ops::Range<usize>,
    ) -> Result<Tensor<B>> {
        let (backend, config) = (inspector.model().backend(), inspector.model().config());
        let name = |leaf: &str| format!("block.{}.attention.{part}.{leaf}", self.layer);
        let rows: Vec<u32> = of.clone().map(|row| row as u32).collect();
        let weight = inspector.rows(&name("weight"), &rows)?.values;
        let bias = match config.bias.query_key_value {
            true => inspector.parameter(&name("bias"))?.values[of].to_vec(),
            false => vec![0.0; rows.len()],
        };
        let mut y = Tensor::new(backend, self.read.rows, rows.len())?;
        let (weight, bias) = (Operand::new(backend, &weight, rows.len())?, Operand::new(backend, &bias, 1)?);
        backend.linear(&mut y, &self.read, weight.get(), Some(bias.get()), None);
        Ok(y)
    }

    /// Queries of a head, or the keys that it compares them with: after their norm, and with the amplitude of their rotation.
    fn compared(&self, inspector: &Inspector<'_, B>, is_query: bool, head: usize) -> Result<Tensor<B>> {
        let (backend, config) = (inspector.model().backend(), inspector.model().config());
        let (part, head, heads) = match is_query {
            true => ("query", head, config.heads.query),
            false => ("key", head_of_keys(config, head), config.heads.key),
        };
        let size = config.heads.size;
        let own = head * size..(head + 1) * size;
        let norm = config.query_key_norm;
        let over_width = norm.is_some_and(|norm| norm.over == NormOver::Width);
        let mut y = self.outputs(inspector, part, if over_width { 0..heads * size } else { own.clone() })?;
        let amplified = |y: &mut Tensor<B>| {
            let Some(rotary) = &config.attention_of(self.layer).rotary else { return };
            let (_, amplitude) = rotary.frequencies(config.context);
            if amplitude != 1.0 {
                let mut values = backend.view(&y.data, 0..y.len()).to_vec();
                let rotated = values.chunks_exact_mut(size).flat_map(|head| &mut head[..rotary.width]);
                rotated.for_each(|x| *x *= amplitude as f32);
                backend.write(&mut y.data, 0, &values);
            }
        };
        let Some(norm) = norm else {
            amplified(&mut y);
            return Ok(y);
        };
        if norm.after_rotation {
            amplified(&mut y);
        }
        y = normed(inspector, &y, Some(&format!("block.{}.attention.{part}_norm", self.layer)), false)?;
        if !norm.after_rotation {
            amplified(&mut y);
        }
        if over_width {
            let all = backend.view(&y.data, 0..y.len()).to_vec();
            let rows = all.chunks_exact(heads * size).flat_map(|row| row[own.clone()].to_vec());
            let of_head: Vec<f32> = rows.collect();
            y = Tensor::new(backend, y.rows, size)?;
            backend.write(&mut y.data, 0, &of_head);
        }
        Ok(y)
    }
}

/// Rows after the model's norm, with parameters of this name.
fn normed<B: Backend>(
    inspector: &Inspector<'_, B>,
    x: &Tensor<B>,
    name: Option<&str>,
    bias: bool,
) -> Result<Tensor<B>> {
    let (backend, config) = (inspector.model().backend(), inspector.model().config());
    let vector = |leaf: &str| -> Result<Option<Operand<B>>> {
        let Some(name) = name else { return Ok(None) };
        let Matrix { values, .. } = inspector.parameter(&format!("{name}.{leaf}"))?;
        Operand::new(backend, &values, 1).map(Some)
    };
    let gain = if config.norm.gain == Gain::None { None } else { vector("weight")? };
    let bias = if bias { vector("bias")? } else { None };
    let offset = if name.is_some() && config.norm.gain == Gain::OnePlusWeight { 1.0 } else { 0.0 };
    let norm = crate::backend::Norm { kind: config.norm.kind, epsilon: config.norm.epsilon, offset };
    let (mut y, mut stats) = (Tensor::new(backend, x.rows, x.cols)?, Tensor::new(backend, x.rows, 2)?);
    let [gain, bias] = [&gain, &bias].map(|vector| vector.as_ref().map(Operand::get));
    backend.norm(&mut y, &mut stats, x, 1, gain, bias, norm);
    Ok(y)
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
