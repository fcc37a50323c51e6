//! Operations limited by memory, on buffers of 64 MB and more, beyond the caches. Bytes counted are those that an
//! operation must read and write once; data read twice counts once. Data written where it was read is not counted:
//! writing back overlaps with reading, as the peak of updating in place shows, which is as high as that of reading.

use std::hint::black_box;

use glass_kernels::Write;
use glass_kernels::activate::{Activation::GeluTanh, activate, activate_backward};
use glass_kernels::adamw::{AdamW, adamw, square_sum};
use glass_kernels::add::add;
use glass_kernels::attend::Span;
use glass_kernels::dropout::{Dropout, dropout};
use glass_kernels::embed::{embed, embed_backward};
use glass_kernels::linear::{Layout, Matrix};
use glass_kernels::loss::loss;
use glass_kernels::norm::{Norm, norm, norm_backward};

use super::{Add, Peak, Subject, VOCABULARY, WIDTH, bytes, numbers};

/// Rows of an activation.
const ROWS: usize = 32 * 1024;

/// Rows of logits.
const LOGITS: usize = 512;

pub fn subjects(add: Add<'_>) {
    add("embed".into(), &embedding);
    add("embed_backward".into(), &embedding_backward);
    add("norm".into(), &norming);
    add("norm_backward".into(), &norming_backward);
    add("activate gelu".into(), &activating);
    add("activate_backward gelu".into(), &activating_backward);
    add("add".into(), &adding);
    add("dropout".into(), &dropping);
    add("loss".into(), &losing);
    add("loss and gradient".into(), &|name| losing_backward(name, None));
    add("loss and gradient, capped".into(), &|name| losing_backward(name, Some(30.0)));
    add("square_sum".into(), &summing);
    add("adamw".into(), &learning);
}

fn ids() -> Vec<u32> {
    (0..ROWS).map(|i| (i * 7919 % VOCABULARY) as u32).collect()
}

fn embedding(name: String) -> Subject {
    let (ids, table, mut y) = (ids(), numbers(VOCABULARY * WIDTH), numbers(ROWS * WIDTH));
    Subject::new(name, Peak::Copying, bytes(2 * y.len()), move |cores| {
        let table = Matrix { values: &table, rows: VOCABULARY, cols: WIDTH, layout: Layout::Rows };
        embed(cores, &mut y, Write::Set, &ids, table);
    })
}

fn embedding_backward(name: String) -> Subject {
    let (ids, mut dtable, dy) = (ids(), numbers(VOCABULARY * WIDTH), numbers(ROWS * WIDTH));
    Subject::new(name, Peak::Updating, bytes(2 * dy.len()), move |cores| {
        embed_backward(cores, &mut dtable, &dy, &ids, WIDTH);
    })
}

fn norming(name: String) -> Subject {
    let (x, gain, mut y, mut stats) =
        (numbers(ROWS * WIDTH), numbers(WIDTH), numbers(ROWS * WIDTH), vec![0.0; ROWS * 2]);
    Subject::new(name, Peak::Copying, bytes(2 * x.len()), move |cores| {
        norm(cores, &mut y, &mut stats, &x, WIDTH, Some(&gain), Some(&gain), Norm::layer(1e-5));
    })
}

fn norming_backward(name: String) -> Subject {
    let (x, gain, dy, mut dx) =
        (numbers(ROWS * WIDTH), numbers(WIDTH), numbers(ROWS * WIDTH), vec![0.0; ROWS * WIDTH]);
    let (stats, mut dgain, mut dbias) = (vec![0.5; ROWS * 2], numbers(WIDTH), numbers(WIDTH));
    Subject::new(name, Peak::Updating, bytes(3 * x.len()), move |cores| {
        norm_backward(
            cores,
            &mut dx,
            Some(&mut dgain),
            Some(&mut dbias),
            &dy,
            &x,
            &stats,
            WIDTH,
            Some(&gain),
            Norm::layer(1e-5),
        );
    })
}

fn activating(name: String) -> Subject {
    let (x, mut y) = (numbers(ROWS * WIDTH), numbers(ROWS * WIDTH));
    Subject::new(name, Peak::Copying, bytes(2 * x.len()), move |cores| activate(cores, &mut y, &x, GeluTanh))
}

fn activating_backward(name: String) -> Subject {
    let (x, mut d) = (numbers(ROWS * WIDTH), numbers(ROWS * WIDTH));
    Subject::new(name, Peak::Updating, bytes(2 * x.len()), move |cores| {
        activate_backward(cores, &mut d, &x, GeluTanh);
    })
}

fn adding(name: String) -> Subject {
    let (x, mut y) = (numbers(ROWS * WIDTH), numbers(ROWS * WIDTH));
    Subject::new(name, Peak::Updating, bytes(2 * x.len()), move |cores| add(cores, &mut y, &x))
}

fn dropping(name: String) -> Subject {
    let mut y = vec![0.0; ROWS * WIDTH];
    Subject::new(name, Peak::Updating, bytes(y.len()), move |cores| {
        let drop = Dropout { rate: 0.1, key: 7, first_sample: 0 };
        dropout(cores, &mut y, WIDTH, &[Span { rows: 0..ROWS, slot: 0, past: 0 }], drop);
    })
}

fn targets() -> Vec<u32> {
    (0..LOGITS as u32).map(|r| r * 90).collect()
}

fn losing(name: String) -> Subject {
    let (mut logits, mut losses, targets) = (numbers(LOGITS * VOCABULARY), vec![0.0; LOGITS], targets());
    Subject::new(name, Peak::Reading, bytes(logits.len()), move |cores| {
        loss(cores, &mut logits, &mut losses, &targets, VOCABULARY, None, None);
    })
}

fn losing_backward(name: String, cap: Option<f32>) -> Subject {
    let (mut logits, mut losses, targets) = (numbers(LOGITS * VOCABULARY), vec![0.0; LOGITS], targets());
    let scales = [1e-3; LOGITS];
    Subject::new(name, Peak::Updating, bytes(logits.len()), move |cores| {
        loss(cores, &mut logits, &mut losses, &targets, VOCABULARY, Some(&scales), cap);
    })
}

/// Weights of one step of AdamW.
const WEIGHTS: usize = 16 << 20;

fn summing(name: String) -> Subject {
    let g = numbers(WEIGHTS);
    Subject::new(name, Peak::Reading, bytes(g.len()), move |cores| {
        black_box(square_sum(cores, &g));
    })
}

fn learning(name: String) -> Subject {
    let (mut w, g) = (numbers(WEIGHTS), numbers(WEIGHTS));
    let (mut m, mut v) = (vec![0.0; WEIGHTS], vec![0.0; WEIGHTS]);
    let step = AdamW { rate: 1e-6, beta1: 0.9, beta2: 0.95, epsilon: 1e-8, decay: 0.1, step: 3, scale: 1.0 };
    Subject::new(name, Peak::Updating, bytes(4 * WEIGHTS), move |cores| {
        adamw(cores, &mut w, &g, &mut m, &mut v, &step);
    })
}
