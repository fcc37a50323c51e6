//! The angles by which the rows of a pass are rotated, computed for each pass from the positions of its rows.

use glass_kernels::rotate::angles;

use crate::Result;
use crate::backend::{Backend, Pairs, Rotation, Span, Tensor};
use crate::config::{Config, PositionScale, Rotary};

/// Cosines and sines for every row of a pass, for every kind of rotation that the layers have.
pub struct Angles<B: Backend> {
    tables: Vec<Table<B>>,
}

struct Table<B: Backend> {
    pairs: Pairs,
    frequencies: Vec<f64>,
    amplitude: f64,
    /// A factor of queries, for a table that is used for them alone.
    scale: Option<PositionScale>,
    cos: Tensor<B>,
    sin: Tensor<B>,
    /// A row of each, on the host.
    row: [Vec<f32>; 2],
}

/// Which of the tables queries and keys of a layer use.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Turns {
    /// The table of queries.
    pub query: usize,
    /// The table of keys.
    pub key: usize,
}

/// The different kinds of rotation in the layers of a model.
fn kinds(config: &Config) -> Vec<&Rotary> {
    let mut kinds: Vec<&Rotary> = Vec::new();
    for rotary in config.attention.iter().filter_map(|layer| layer.rotary.as_ref()) {
        if !kinds.contains(&rotary) {
            kinds.push(rotary);
        }
    }
    kinds
}

impl Turns {
    /// Those of a layer, if it is rotated.
    pub fn of(config: &Config, layer: usize) -> Option<Turns> {
        let rotary = config.attention_of(layer).rotary.as_ref()?;
        let kinds = kinds(config);
        let key = kinds.iter().position(|kind| *kind == rotary)?;
        let query = if config.scores.by_position.is_some() { kinds.len() + key } else { key };
        Some(Turns { query, key })
    }
}

impl<B: Backend> Angles<B> {
    /// For passes of at most `rows` rows.
    pub fn new(backend: &B, config: &Config, rows: usize) -> Result<Self> {
        let kinds = kinds(config);
        let scaled = config.scores.by_position.map(Some);
        let scales = [None].into_iter().chain(scaled);
        let all = scales.flat_map(|scale| kinds.iter().map(move |rotary| (scale, rotary)));
        let table = |(scale, rotary): (Option<PositionScale>, &&Rotary)| {
            let (frequencies, amplitude) = rotary.frequencies(config.context);
            let [cos, sin] = [0, 1].map(|_| Tensor::new(backend, rows, frequencies.len()));
            let row = [0, 1].map(|_| vec![0.0; frequencies.len()]);
            Ok(Table { pairs: rotary.pairs, frequencies, amplitude, scale, cos: cos?, sin: sin?, row })
        };
        Ok(Angles { tables: all.map(table).collect::<Result<_>>()? })
    }

    /// Floats for each row.
    pub fn floats(config: &Config) -> u64 {
        let each = if config.scores.by_position.is_some() { 2 } else { 1 };
        kinds(config).iter().map(|rotary| each * rotary.width as u64).sum()
    }

    /// Sets the tables for the rows of `spans`.
    pub fn set(&mut self, backend: &B, spans: &[Span]) {
        let rows = spans.last().map_or(0, |span| span.rows.end);
        for Table { frequencies, amplitude, scale, cos, sin, row: [cosines, sines], .. } in &mut self.tables {
            cos.use_rows(rows);
            sin.use_rows(rows);
            for (row, position) in spans.iter().flat_map(|span| span.rows.clone().zip(span.past..)) {
                angles(cosines, sines, position, frequencies, amplitude_at(*amplitude, *scale, position));
                backend.write(&mut cos.data, row * frequencies.len(), cosines);
                backend.write(&mut sin.data, row * frequencies.len(), sines);
            }
        }
    }

    /// How the rows that were set are rotated by a table.
    pub fn rotation(&self, table: usize) -> Rotation<'_, B> {
        let Table { pairs, ref frequencies, ref cos, ref sin, .. } = self.tables[table];
        Rotation { pairs, width: 2 * frequencies.len(), cos, sin }
    }
}

fn amplitude_at(amplitude: f64, scale: Option<PositionScale>, position: usize) -> f64 {
    amplitude * scale.map_or(1.0, |scale| scale.at(position))
}

/// Cosine and sine of every pair at a position, as a pass computes them for queries or keys of a layer that rotates them.
pub(crate) fn turns_at(config: &Config, rotary: &Rotary, is_query: bool, position: usize) -> Vec<(f32, f32)> {
    let (frequencies, amplitude) = rotary.frequencies(config.context);
    let amplitude = amplitude_at(amplitude, config.scores.by_position.filter(|_| is_query), position);
    let [mut cos, mut sin] = [0, 1].map(|_| vec![0.0; frequencies.len()]);
    angles(&mut cos, &mut sin, position, &frequencies, amplitude);
    cos.into_iter().zip(sin).collect()
}
