//! Attention: whole sequences as in training, and one row as in decoding.

use glass_kernels::Cores;
use glass_kernels::attend::*;
use glass_kernels::dropout::Dropout;

use super::{Add, Peak, Subject, bytes, numbers};

/// A batch of sequences.
#[derive(Clone, Copy)]
struct Batch {
    sequences: usize,
    context: usize,
    heads: Heads,
    dropout: Option<Dropout>,
}

const DROP: Dropout = Dropout { rate: 0.1, key: 7, first_sample: 0 };

pub fn subjects(cores: &Cores, add: Add<'_>) {
    let shapes = [
        [4, 256, 12, 64],
        [1, 256, 12, 64],
        [4, 1024, 12, 64],
        [1, 1024, 12, 64],
        [12, 256, 6, 64],
        [12, 64, 4, 32],
    ];
    for [sequences, context, heads, size] in shapes {
        let heads = Heads::new(heads, heads, size);
        let plain = Batch { sequences, context, heads, dropout: None };
        let shape = format!("{sequences} × {context}, {} heads of {size}", heads.query);
        add(format!("append {shape}"), &|name| plain.append(name));
        let batches = [("", plain), (", dropout", Batch { dropout: Some(DROP), ..plain })];
        for (suffix, batch) in batches.into_iter().take(if sequences == 4 { 2 } else { 1 }) {
            add(format!("attend {shape}{suffix}"), &|name| batch.forward(cores, name));
            add(format!("attend_backward {shape}{suffix}"), &|name| batch.backward(cores, name));
        }
    }
    for positions in [512, 1024] {
        add(format!("attend 1 over {positions}, 12 heads of 64"), &|name| decoding(cores, name, positions));
    }
}

/// Keys and values.
struct Cache {
    keys: Vec<f32>,
    values: Vec<f32>,
    shape: KvShape,
    table: BlockTable,
}

impl Cache {
    fn kv(&self) -> Kv<'_> {
        Kv { keys: &self.keys, values: &self.values, shape: self.shape, table: &self.table }
    }
}

impl Batch {
    fn rows(&self) -> usize {
        self.sequences * self.context
    }

    fn width(&self) -> usize {
        self.heads.query * self.heads.size
    }

    fn spans(&self) -> Vec<Span> {
        let rows = |slot| slot * self.context..(slot + 1) * self.context;
        (0..self.sequences).map(|slot| Span { rows: rows(slot), slot, past: 0 }).collect()
    }

    /// The number of operations, with `per_pair` per column of a head for every query and every key that it sees.
    fn operations(&self, per_pair: usize) -> f64 {
        let pairs = self.sequences * self.context * (self.context + 1) / 2;
        (pairs * self.width() * per_pair) as f64
    }

    fn empty(&self) -> Cache {
        let Heads { key: heads, size, .. } = self.heads;
        let table = BlockTable::separate(self.sequences, self.context);
        let shape = KvShape { heads, size, blocks: table.in_memory(), kind: CacheType::F32 };
        Cache { keys: vec![0.0; shape.keys_len()], values: vec![0.0; shape.values_len()], shape, table }
    }

    fn fill(&self, cores: &Cores, cache: &mut Cache, x: &[f32]) {
        append(cores, &mut cache.keys, &mut cache.values, cache.shape, &cache.table, x, x, &self.spans());
    }

    fn append(self, name: String) -> Subject {
        let (mut cache, x) = (self.empty(), numbers(self.rows() * self.width()));
        Subject::new(name, Peak::Copying, bytes(4 * x.len()), move |cores| self.fill(cores, &mut cache, &x))
    }

    fn forward(self, cores: &Cores, name: String) -> Subject {
        let (q, spans, mut cache) = (numbers(self.rows() * self.width()), self.spans(), self.empty());
        self.fill(cores, &mut cache, &q);
        let (mut z, mut sums) = (q.clone(), vec![0.0; self.rows() * self.heads.query]);
        Subject::new(name, Peak::Multiplying, self.operations(4), move |cores| {
            attend(cores, &mut z, Some(&mut sums), &q, cache.kv(), self.heads, None, &spans, self.dropout);
        })
    }

    fn backward(self, cores: &Cores, name: String) -> Subject {
        let (q, spans, mut cache) = (numbers(self.rows() * self.width()), self.spans(), self.empty());
        self.fill(cores, &mut cache, &q);
        let (mut z, mut sums) = (q.clone(), vec![0.0; self.rows() * self.heads.query]);
        attend(cores, &mut z, Some(&mut sums), &q, cache.kv(), self.heads, None, &spans, self.dropout);
        let (mut dq, mut dk, mut dv, dz) = (q.clone(), q.clone(), q.clone(), q.clone());
        Subject::new(name, Peak::Multiplying, self.operations(10), move |cores| {
            let (dq, dk, dv) = (&mut dq, &mut dk, &mut dv);
            let (heads, drop) = (self.heads, self.dropout);
            attend_backward(cores, dq, dk, dv, &dz, &q, &q, &q, &z, &sums, heads, None, &spans, drop);
        })
    }
}

/// One row uses the caches of twelve layers in turn, so that the data is no longer in the processor's cache.
fn decoding(cores: &Cores, name: String, positions: usize) -> Subject {
    const LAYERS: usize = 12;
    let heads = Heads::new(12, 12, 64);
    let batch = Batch { sequences: 1, context: 1024, heads, dropout: None };
    let (x, width) = (numbers(batch.rows() * batch.width()), batch.width());
    let mut layers: Vec<Cache> = (0..LAYERS).map(|_| batch.empty()).collect();
    layers.iter_mut().for_each(|cache| batch.fill(cores, cache, &x));
    let mut z = vec![0.0; width];
    Subject::new(name, Peak::Reading, bytes(LAYERS * 2 * positions * width), move |cores| {
        let span = [Span { rows: 0..1, slot: 0, past: positions - 1 }];
        for cache in &layers {
            attend(cores, &mut z, None, &x[..width], cache.kv(), heads, None, &span, None);
        }
    })
}
