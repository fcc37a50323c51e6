//! All words but linear. One-row attention goes through the caches of twelve layers in turn, as decoding does.

use std::hint::black_box;

use glass_kernels::activate::{Activation::GeluTanh, activate, activate_backward};
use glass_kernels::adamw::{AdamW, adamw, square_sum};
use glass_kernels::add::add;
use glass_kernels::attend::*;
use glass_kernels::dropout::{Dropout, dropout};
use glass_kernels::embed::{embed, embed_backward};
use glass_kernels::linear::{Layout, Matrix};
use glass_kernels::loss::loss;
use glass_kernels::norm::{norm, norm_backward};
use glass_kernels::{Cores, Write};

use super::{Subject, VOCABULARY, WIDTH, Work, numbers};

const HEADS: Heads = Heads { query: 12, key: 12, size: 64 };
const ROWS: usize = 1024;
const DROP: Dropout = Dropout { rate: 0.1, key: 7, first_sample: 0 };

/// Makes the subject of a name.
type Make<'a> = &'a dyn Fn(&str) -> Subject;

/// Every subject's name, and what makes it.
pub fn subjects(cores: &Cores, add: &mut dyn FnMut(String, Make<'_>)) {
    for context in [256, 1024] {
        add(format!("append {ROWS} in contexts of {context}"), &|name| appending(name, context));
        for rate in [0.0, 0.1] {
            let suffix = if rate > 0.0 { ", dropout" } else { "" };
            let dropped = (rate > 0.0).then_some(DROP);
            add(format!("attend {context}{suffix}"), &|name| attending(cores, name, context, dropped));
            add(format!("attend_backward {context}{suffix}"), &|name| {
                backward(cores, name, context, dropped)
            });
        }
    }
    for positions in [512, 1024] {
        add(format!("attend 1 over {positions}"), &|name| decoding(cores, name, positions));
    }
    add("embed".into(), &embedding);
    add("norm".into(), &norming);
    add("activate".into(), &activating);
    add("add, dropout".into(), &adding);
    add("loss".into(), &|name| losing(name, None));
    add("loss and gradient".into(), &|name| losing(name, Some(1e-3)));
    add("adamw".into(), &learning);
}

/// Bytes of `floats` floats read or written.
fn bytes(floats: usize) -> Work {
    Work::Bytes(4.0 * floats as f64)
}

/// `per_pair` operations for every query and key that see each other, over a batch of [`ROWS`] rows.
fn pairs(context: usize, per_pair: usize) -> Work {
    let pairs = ROWS / context * context * (context + 1) / 2 * HEADS.query;
    Work::Operations((pairs * per_pair * HEADS.size) as f64)
}

fn spans(context: usize) -> Vec<Span> {
    let span = |slot| Span { rows: slot * context..(slot + 1) * context, slot, past: 0 };
    (0..ROWS / context).map(span).collect()
}

/// A cache and what goes into it.
struct Cache {
    keys: Vec<f32>,
    values: Vec<f32>,
    shape: KvShape,
}

impl Cache {
    fn new(context: usize) -> Self {
        let shape = KvShape { heads: HEADS.key, size: HEADS.size, slots: ROWS / context, positions: context };
        Self { keys: vec![0.0; shape.keys_len()], values: vec![0.0; shape.values_len()], shape }
    }

    fn fill(&mut self, cores: &Cores, context: usize, k: &[f32], v: &[f32]) {
        append(cores, &mut self.keys, &mut self.values, self.shape, k, v, &spans(context));
    }

    fn kv(&self) -> Kv<'_> {
        Kv { keys: &self.keys, values: &self.values, shape: self.shape }
    }
}

fn appending(name: &str, context: usize) -> Subject {
    let (mut cache, k, v) = (Cache::new(context), numbers(ROWS * WIDTH), numbers(ROWS * WIDTH));
    Subject::new(name, bytes(4 * k.len()), move |cores| cache.fill(cores, context, &k, &v))
}

fn attending(cores: &Cores, name: &str, context: usize, dropout: Option<Dropout>) -> Subject {
    let (q, mut z, mut sums) =
        (numbers(ROWS * WIDTH), vec![0.0; ROWS * WIDTH], vec![0.0; ROWS * HEADS.query]);
    let mut cache = Cache::new(context);
    cache.fill(cores, context, &q, &q);
    Subject::new(name, pairs(context, 4), move |cores| {
        attend(cores, &mut z, Some(&mut sums), &q, cache.kv(), HEADS, &spans(context), dropout);
    })
}

fn backward(cores: &Cores, name: &str, context: usize, dropout: Option<Dropout>) -> Subject {
    let (q, mut z, mut sums) =
        (numbers(ROWS * WIDTH), vec![0.0; ROWS * WIDTH], vec![0.0; ROWS * HEADS.query]);
    let mut cache = Cache::new(context);
    cache.fill(cores, context, &q, &q);
    attend(cores, &mut z, Some(&mut sums), &q, cache.kv(), HEADS, &spans(context), dropout);
    let (dz, mut dq, mut dk, mut dv) = (numbers(q.len()), q.clone(), q.clone(), q.clone());
    Subject::new(name, pairs(context, 10), move |cores| {
        let (dq, dk, dv) = (&mut dq, &mut dk, &mut dv);
        attend_backward(cores, dq, dk, dv, &dz, &q, &q, &q, &z, &sums, HEADS, &spans(context), dropout);
    })
}

fn decoding(cores: &Cores, name: &str, positions: usize) -> Subject {
    const LAYERS: usize = 12;
    let x = numbers(ROWS * WIDTH);
    let mut layers: Vec<Cache> = (0..LAYERS).map(|_| Cache::new(ROWS)).collect();
    layers.iter_mut().for_each(|cache| cache.fill(cores, ROWS, &x, &x));
    let mut z = vec![0.0; WIDTH];
    Subject::new(name, bytes(LAYERS * 2 * positions * WIDTH), move |cores| {
        let span = [Span { rows: 0..1, slot: 0, past: positions - 1 }];
        for cache in &layers {
            attend(cores, &mut z, None, &x[..WIDTH], cache.kv(), HEADS, &span, None);
        }
    })
}

/// Forward, and back into the table.
fn embedding(name: &str) -> Subject {
    let ids: Vec<u32> = (0..ROWS).map(|i| (i * 7919 % VOCABULARY) as u32).collect();
    let (mut table, mut y) = (numbers(VOCABULARY * WIDTH), vec![0.0; ROWS * WIDTH]);
    Subject::new(name, bytes(5 * ROWS * WIDTH), move |cores| {
        let matrix = Matrix { values: &table, rows: VOCABULARY, cols: WIDTH, layout: Layout::Rows };
        embed(cores, &mut y, Write::Set, &ids, matrix);
        embed_backward(cores, &mut table, &y, &ids, WIDTH);
    })
}

/// Forward and backward.
fn norming(name: &str) -> Subject {
    let (x, gain, mut stats) = (numbers(ROWS * WIDTH), numbers(WIDTH), vec![0.0; ROWS * 2]);
    let (mut y, mut dx, mut dgain, mut dbias) = (x.clone(), x.clone(), gain.clone(), gain.clone());
    Subject::new(name, bytes(6 * x.len()), move |cores| {
        norm(cores, &mut y, &mut stats, &x, &gain, Some(&gain), 1e-5);
        norm_backward(cores, &mut dx, Some(&mut dgain), Some(&mut dbias), &y, &x, &stats, &gain);
    })
}

/// Forward and backward.
fn activating(name: &str) -> Subject {
    let (x, mut y) = (numbers(ROWS * 4 * WIDTH), vec![0.0; ROWS * 4 * WIDTH]);
    Subject::new(name, bytes(5 * x.len()), move |cores| {
        activate(cores, &mut y, &x, GeluTanh);
        activate_backward(cores, &mut y, &x, GeluTanh);
    })
}

fn adding(name: &str) -> Subject {
    let (x, mut y) = (vec![0.0; ROWS * WIDTH], numbers(ROWS * WIDTH));
    Subject::new(name, bytes(5 * x.len()), move |cores| {
        add(cores, &mut y, &x);
        dropout(cores, &mut y, WIDTH, &spans(ROWS), DROP);
    })
}

fn losing(name: &str, scale: Option<f32>) -> Subject {
    const CHUNK: usize = 64;
    let (mut logits, mut losses) = (numbers(CHUNK * VOCABULARY), vec![0.0; CHUNK]);
    let targets: Vec<u32> = (0..CHUNK as u32).map(|r| r * 700).collect();
    let passes = if scale.is_some() { 2 } else { 1 };
    Subject::new(name, bytes(passes * logits.len()), move |cores| {
        loss(cores, &mut logits, &mut losses, &targets, VOCABULARY, scale);
        black_box(&losses);
    })
}

/// The norm of the gradients, then the step.
fn learning(name: &str) -> Subject {
    let n = 16 << 20;
    let (mut w, g, mut m, mut v) = (numbers(n), numbers(n), vec![0.0; n], vec![0.0; n]);
    let step = AdamW { rate: 1e-6, beta1: 0.9, beta2: 0.95, epsilon: 1e-8, decay: 0.1, step: 3, scale: 1.0 };
    Subject::new(name, bytes(8 * n), move |cores| {
        black_box(square_sum(cores, &g));
        adamw(cores, &mut w, &g, &mut m, &mut v, &step);
    })
}
