//! Matrix products at GPT-2 124M's shapes.

use glass_kernels::linear::{
    Layout, Matrix, linear, linear_backward_input, linear_backward_weight, pack, pack_quants,
};
use glass_kernels::packing::{BLOCK, Packing, Quants};
use glass_kernels::{Cores, Write};

use super::{Add, Peak, Subject, VOCABULARY, WIDTH, bytes, numbers};

pub fn subjects(cores: &Cores, add: Add<'_>) {
    let products = [(WIDTH, 4 * WIDTH), (4 * WIDTH, WIDTH), (WIDTH, WIDTH), (WIDTH, VOCABULARY)];
    for (inputs, outputs) in products {
        let shape = format!("{inputs} → {outputs}");
        for rows in [1, 16, 256, 1024] {
            let forward = |layout| move |name| forward(cores, name, layout, [rows, inputs, outputs]);
            for packing in Packing::ALL {
                let name = format!("linear {rows} × {shape} {}", packing.name());
                add(name, &forward(Layout::Panels(packing)));
            }
            if rows > 16 {
                add(format!("linear {rows} × {shape} rows"), &forward(Layout::Rows));
                add(format!("linear_backward_input {rows} × {shape}"), &|name| {
                    backward_input(name, [rows, inputs, outputs])
                });
                add(format!("linear_backward_weight {rows} × {shape}"), &|name| {
                    backward_weight(name, [rows, inputs, outputs])
                });
            }
        }
    }
}

/// Products of SmolLM2 135M and Gemma 3 270M with quantised weights, whose formats files of llama.cpp mix.
pub fn quantised(cores: &Cores, add: Add<'_>) {
    for (inputs, outputs) in [(576, 576), (576, 1536), (576, 49152), (2048, 640), (640, 262_144)] {
        for rows in [1, 2, 4, 16, 512] {
            for packing in Packing::ALL.into_iter().filter(|packing| packing.is_quantised()) {
                let name = format!("linear of formats {rows} × {inputs} → {outputs} {}", packing.name());
                // A pass needs few logits.
                if rows <= 16 || outputs < 10_000 {
                    add(name, &|name| {
                        let mut panels = vec![0.0; packing.len(outputs, inputs)];
                        let quants = |row: usize, into: &mut [Quants]| {
                            into.fill(Quants::new(0x2000, [(row % 2) as i8; BLOCK]));
                        };
                        pack_quants(cores, &mut panels, packing, &quants, outputs, inputs);
                        product_of(name, Layout::Panels(packing), panels, [rows, inputs, outputs])
                    });
                }
            }
        }
    }
}

fn forward(cores: &Cores, name: String, layout: Layout, [rows, inputs, outputs]: [usize; 3]) -> Subject {
    let mut values = numbers(outputs * inputs);
    if let Layout::Panels(packing) = layout {
        let mut panels = vec![0.0; packing.len(outputs, inputs)];
        pack(cores, &mut panels, packing, &values, outputs, inputs);
        values = panels;
    }
    product_of(name, layout, values, [rows, inputs, outputs])
}

fn product_of(
    name: String,
    layout: Layout,
    values: Vec<f32>,
    [rows, inputs, outputs]: [usize; 3],
) -> Subject {
    let (x, bias, mut y) = (numbers(rows * inputs), numbers(outputs), vec![0.0; rows * outputs]);
    // One row is repeated with other weights in between, as in decoding: the data is no longer in the caches.
    let (peak, work) = match (rows, layout) {
        (1, _) => (Peak::Reading, bytes(values.len())),
        (_, Layout::Panels(packing)) if packing.is_quantised() => {
            (Peak::MultiplyingQuads, product([rows, inputs, outputs]))
        }
        _ => (Peak::Multiplying, product([rows, inputs, outputs])),
    };
    Subject::new(name, peak, work, move |cores| {
        let w = Matrix { values: &values, rows: outputs, cols: inputs, layout };
        linear(cores, &mut y, &x, w, Some(&bias), None);
    })
}

fn backward_input(name: String, [rows, inputs, outputs]: [usize; 3]) -> Subject {
    let (dy, w, mut dx) = (numbers(rows * outputs), numbers(outputs * inputs), vec![0.0; rows * inputs]);
    Subject::new(name, Peak::Multiplying, product([rows, inputs, outputs]), move |cores| {
        let w = Matrix { values: &w, rows: outputs, cols: inputs, layout: Layout::Rows };
        linear_backward_input(cores, &mut dx, Write::Set, &dy, w);
    })
}

fn backward_weight(name: String, [rows, inputs, outputs]: [usize; 3]) -> Subject {
    let (dy, x) = (numbers(rows * outputs), numbers(rows * inputs));
    let (mut dw, mut dbias) = (vec![0.0; outputs * inputs], vec![0.0; outputs]);
    // As in training: the first part of a step overwrites a hidden matrix's gradient, chunks of logits add to the
    // unembedding's.
    let write = if outputs == VOCABULARY { Write::Add } else { Write::Set };
    Subject::new(name, Peak::Multiplying, product([rows, inputs, outputs]), move |cores| {
        linear_backward_weight(cores, &mut dw, write, Some(&mut dbias), &dy, &x, rows);
    })
}

fn product([rows, inputs, outputs]: [usize; 3]) -> f64 {
    2.0 * rows as f64 * inputs as f64 * outputs as f64
}
