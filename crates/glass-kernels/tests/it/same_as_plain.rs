//! An instruction set that rounds multiply and add separately, with as many lanes as plain Rust, has the bits of plain Rust:
//! SIMD of WebAssembly. So what a browser shows does not depend on whether its module was compiled with SIMD.

use glass_kernels::activate::Activation;
use glass_kernels::attend::*;
use glass_kernels::cap::cap;
use glass_kernels::gate::{gate, gate_backward};
use glass_kernels::linear::*;
use glass_kernels::norm::{Norm, norm};
use glass_kernels::packing::Packing;
use glass_kernels::rotate::{Pairs, Rotation, angles, rotate};
use glass_kernels::{Cores, Isa};

use crate::close::{assert_same_bits, numbers};

/// Compares what `run` gives on every such instruction set with plain Rust.
fn same(name: &str, run: impl Fn(&Cores) -> Vec<f32>) {
    let plain = run(&Cores::with(Isa::Plain, 1).expect("any machine has it"));
    for isa in Isa::ALL.into_iter().filter(|isa| !isa.fuses()) {
        let Some(cores) = Cores::with(isa, 1) else { continue };
        assert_same_bits(&format!("{name} on {isa:?}"), &run(&cores), &plain);
    }
}

#[test]
fn products() {
    let (cols, outputs) = (101, 130);
    let w = numbers(outputs * cols, 1);
    for packing in Packing::ALL {
        for rows in [1, 2, 7, 33] {
            let x = numbers(rows * cols, 2);
            same(&format!("{packing:?}, {rows} rows"), |cores| {
                let mut panels = vec![0.0; packing.len(outputs, cols)];
                pack(cores, &mut panels, packing, &w, outputs, cols);
                let matrix = Matrix { values: &panels, rows: outputs, cols, layout: Layout::Panels(packing) };
                let mut y = vec![0.0; rows * outputs];
                linear(cores, &mut y, &x, matrix, None, Some(Activation::GeluTanh));
                y
            });
        }
    }
}

#[test]
fn attention() {
    let rows = 70;
    let plain = Heads::new(2, 2, 24);
    let limited = Heads { window: Some(20), cap: Some(0.7), ..plain };
    let (sinks, ways) = ([0.5, -1.0], [(plain, false), (limited, true)]);
    let [q, k, v] = [1, 2, 3].map(|seed| numbers(rows * 48, seed));
    let spans = [Span { rows: 0..rows, slot: 0, past: 0 }];
    let kinds = [CacheType::F32, CacheType::Bf16].into_iter();
    for (kind, (heads, has_sinks)) in kinds.flat_map(|kind| ways.map(|way| (kind, way))) {
        let sinks = has_sinks.then_some(&sinks[..]);
        let shape = KvShape { heads: 2, size: 24, blocks: 2, kind };
        let table = BlockTable::separate(1, 2 * 64);
        same(&format!("{kind:?}"), |cores| {
            let (mut keys, mut values) = (vec![0.0; shape.keys_len()], vec![0.0; shape.values_len()]);
            append(cores, &mut keys, &mut values, shape, &table, &k, &v, &spans);
            let kv = Kv { keys: &keys, values: &values, shape, table: &table };
            let mut seen = vec![0.0; q.len()];
            attend(cores, &mut seen, None, &q, kv, heads, sinks, &spans, None);
            let mut p = vec![0.0; pattern_len(heads, &spans)];
            pattern(cores, &mut p, &q, kv, heads, sinks, &spans);
            seen.extend(p);
            seen
        });
    }
}

#[test]
fn norms() {
    let (rows, cols) = (3, 131);
    let (x, gain) = (numbers(rows * cols, 1), numbers(cols, 2));
    for kind in [Norm::layer(1e-5), Norm { offset: 1.0, ..Norm::rms(1e-5) }] {
        same(&format!("{kind:?}"), |cores| {
            let (mut y, mut stats) = (vec![0.0; x.len()], vec![0.0; 2 * rows]);
            norm(cores, &mut y, &mut stats, &x, cols, Some(&gain), Some(&gain), kind);
            y
        });
    }
}

#[test]
fn rotations_gates_and_caps() {
    let (heads, size, width) = (3, 37, 26);
    let (x, up) = (numbers(2 * heads * size, 1), numbers(2 * heads * size, 2));
    let frequencies: Vec<f64> = (1..=width / 2).map(|i| 1.0 / i as f64).collect();
    let [mut cos, mut sin] = [0; 2].map(|_| vec![0.0; 2 * frequencies.len()]);
    let rows = cos.chunks_exact_mut(width / 2).zip(sin.chunks_exact_mut(width / 2));
    for (position, (cos, sin)) in [8, 3].into_iter().zip(rows) {
        angles(cos, sin, position, &frequencies, 1.0);
    }
    for pairs in [Pairs::Halves, Pairs::Neighbours] {
        same(&format!("{pairs:?}"), |cores| {
            let mut y = x.clone();
            rotate(cores, &mut y, heads, Rotation { pairs, size, width, cos: &cos, sin: &sin });
            y
        });
    }
    for kind in Activation::ALL {
        same(&format!("{kind:?}"), |cores| {
            let (mut y, mut dgate, mut d) = (vec![0.0; x.len()], vec![0.0; x.len()], up.clone());
            gate(cores, &mut y, &x, &up, kind);
            gate_backward(cores, &mut dgate, &mut d, &x, &up, kind);
            [y, dgate, d].concat()
        });
    }
    same("cap", |cores| {
        let mut y = x.clone();
        cap(cores, &mut y, 0.5);
        y
    });
}
