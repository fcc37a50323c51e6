//! Every kernel once on small and odd sizes, for Miri, which is slow and checks for undefined behaviour
//! (`tools/miri`).

use glass_kernels::activate::{Activation, activate, activate_backward};
use glass_kernels::attend::*;
use glass_kernels::dropout::{Dropout, dropout};
use glass_kernels::embed::{embed, embed_backward};
use glass_kernels::format::f32_to_f16;
use glass_kernels::linear::*;
use glass_kernels::loss::loss;
use glass_kernels::norm::{Norm, norm, norm_backward};
use glass_kernels::packing::{Packing, Quants};
use glass_kernels::{Cores, InputScales, Isa, Precision, Write};

use crate::close::{assert_close, numbers};
use crate::naive::{self, wide};
use crate::packed::{as_packed, inputs};

fn plain(threads: usize) -> Cores {
    Cores::with(Isa::Plain, threads).expect("any machine has it")
}

/// A block of any numbers that a packing has; `Quants::of` would try many scales, which takes a long time in Miri.
fn quants(packing: Packing, row: usize, block: usize) -> Quants {
    let format = packing.format().unwrap();
    let least = if format.table.is_some() { 0 } else { -format.offset };
    let q = std::array::from_fn(|i| {
        (least + ((row * 7 + block * 5 + i * 3) % (1 << format.bits())) as i32) as i8
    });
    let (scale, minimum) = (f32_to_f16(1.0 / 128.0), if format.minimum { f32_to_f16(-0.5) } else { 0 });
    Quants { scales: [scale; 2], minima: [minimum; 2], q }
}

/// Inputs and outputs. Miri is slow: floats have the fewest inputs with a whole square of lanes and a rest, in two panels, the
/// second with one column. One packing of quantised weights has two panels too, another two blocks, the second with one
/// input. The others differ only in how a block is read, so they have one block of one column.
fn small_shape(packing: Packing) -> (usize, usize) {
    match packing {
        Packing::F32 | Packing::Bf16 => (9, 65),
        Packing::Q8 => (32, 65),
        Packing::Q6 => (33, 1),
        _ => (32, 1),
    }
}

/// One row with an activation, two without.
#[test]
fn products_with_packed_weights() {
    for packing in Packing::ALL {
        let (cols, outputs) = small_shape(packing);
        let (mut w, cores) = (numbers(outputs * cols, 1), plain(1));
        let mut panels = vec![0.0; packing.len(outputs, cols)];
        if packing.is_quantised() {
            let quants = |row: usize, block: usize| quants(packing, row, block);
            let read = |row: usize, into: &mut [Quants]| {
                into.iter_mut().enumerate().for_each(|(block, into)| *into = quants(row, block));
            };
            pack_quants(&cores, &mut panels, packing, &read, outputs, cols);
            let row = |row| (0..cols.div_ceil(32)).flat_map(move |block| quants(row, block).weights(packing));
            w = (0..outputs).flat_map(|at| row(at).take(cols)).collect();
        } else {
            pack(&cores, &mut panels, packing, &w, outputs, cols);
            w = as_packed(packing, &w, cols);
        }
        let matrix = Matrix { values: &panels, rows: outputs, cols, layout: Layout::Panels(packing) };
        for (rows, activation) in [(1, Some(Activation::GeluTanh)), (2, None)] {
            let x = numbers(rows * cols, 2);
            let mut y = vec![0.0; rows * outputs];
            linear(&cores, &mut y, &x, matrix, None, activation);
            let x = wide(&inputs(packing, InputScales::Exact, &x, cols));
            let mut expected = naive::linear(&x, &wide(&w), None, cols);
            if activation.is_some() {
                expected.iter_mut().for_each(|y| *y = naive::gelu_tanh(*y));
            }
            assert_close(&format!("{packing:?}"), &y, &expected, 1e-5);
        }
        let mut row = vec![0.0; cols];
        embed(&cores, &mut row, Write::Set, &[outputs as u32 - 1], matrix);
        assert_eq!(row, w[(outputs - 1) * cols..]);
    }
}

#[test]
fn products_and_their_gradients() {
    let (rows, cols, outputs) = (3, 5, 7);
    let [x, w, dy] = [rows * cols, outputs * cols, rows * outputs].map(|len| numbers(len, len as u64));
    for precision in [Precision::F32, Precision::Mixed] {
        let cores = plain(2).with_precision(precision);
        let matrix = Matrix { values: &w, rows: outputs, cols, layout: Layout::Rows };
        let mut y = vec![0.0; rows * outputs];
        linear(&cores, &mut y, &x, matrix, None, None);
        assert_close("y", &y, &naive::linear(&wide(&x), &wide(&w), None, cols), 1e-2);
        let (mut dx, mut dw, mut dbias) = (vec![0.0; x.len()], vec![0.0; w.len()], vec![0.0; outputs]);
        linear_backward_input(&cores, &mut dx, Write::Set, &dy, matrix);
        linear_backward_weight(&cores, &mut dw, Write::Set, Some(&mut dbias), &dy, &x, rows);
        let mut parts = vec![0.0; rows * 5 * outputs];
        linear_in_parts(&cores, &mut parts, &x, matrix, 5);
        let finite = [&dx, &dw, &dbias, &parts].map(|values| values.iter().all(|d| d.is_finite()));
        assert_eq!(finite, [true; 4]);
    }
}

#[test]
fn attention_both_ways_and_back() {
    let heads = Heads::new(2, 1, 6);
    let (rows, cores) = (5, plain(2));
    let (q, k, v) = (numbers(rows * 12, 1), numbers(rows * 6, 2), numbers(rows * 6, 3));
    let spans = [Span { rows: 0..2, slot: 1, past: 0 }, Span { rows: 2..5, slot: 0, past: 0 }];
    for kind in [CacheType::F32, CacheType::Bf16] {
        let shape = KvShape { heads: 1, size: 6, blocks: 2, kind };
        let table = BlockTable::separate(2, 4);
        let (mut keys, mut values) = (vec![0.0; shape.keys_len()], vec![0.0; shape.values_len()]);
        append(&cores, &mut keys, &mut values, shape, &table, &k, &v, &spans);
        let kv = Kv { keys: &keys, values: &values, shape, table: &table };
        let (mut z, mut sums) = (vec![0.0; q.len()], vec![0.0; rows * 2]);
        attend(&cores, &mut z, Some(&mut sums), &q, kv, heads, None, &spans, None);
        let mut p = vec![0.0; pattern_len(heads, &spans)];
        pattern(&cores, &mut p, &q, kv, heads, None, &spans);
        let mut visible = vec![0.0; q.len()];
        mix(&cores, &mut visible, &p, kv, heads, &spans);
        assert_close("both ways", &z, &wide(&visible), 2e-2);
        let (mut dq, mut dk, mut dv) = (vec![0.0; q.len()], vec![0.0; k.len()], vec![0.0; v.len()]);
        let drop = Some(Dropout { rate: 0.25, key: 1, first_sample: 0 });
        for drop in [None, drop] {
            attend_backward(
                &cores, &mut dq, &mut dk, &mut dv, &z, &q, &k, &v, &z, &sums, heads, None, &spans, drop,
            );
            assert!([&dq, &dk, &dv].iter().all(|d| d.iter().all(|d| d.is_finite())));
        }
    }
}

#[test]
fn rows_by_themselves() {
    let (rows, cols, cores) = (3, 7, plain(2));
    let (x, gain) = (numbers(rows * cols, 1), numbers(cols, 2));
    let (mut y, mut stats) = (vec![0.0; x.len()], vec![0.0; 2 * rows]);
    norm(&cores, &mut y, &mut stats, &x, cols, Some(&gain), Some(&gain), Norm::layer(1e-5));
    let (mut dx, mut dgain, mut dbias) = (vec![0.0; x.len()], vec![0.0; cols], vec![0.0; cols]);
    norm_backward(
        &cores,
        &mut dx,
        Some(&mut dgain),
        Some(&mut dbias),
        &y,
        &x,
        &stats,
        cols,
        Some(&gain),
        Norm::layer(1e-5),
    );
    for kind in [Activation::Gelu, Activation::GeluTanh] {
        activate(&cores, &mut y, &x, kind);
        activate_backward(&cores, &mut dx, &x, kind);
    }
    let spans = [Span { rows: 0..rows, slot: 0, past: 0 }];
    dropout(&cores, &mut dx, cols, &spans, Dropout { rate: 0.5, key: 1, first_sample: 0 });
    let mut losses = vec![0.0; rows];
    loss(&cores, &mut y, &mut losses, &[0, 3, 6], cols, Some(&[1.0; 3]), None);
    embed_backward(&cores, &mut dx, &x, &[2, 0, 2], cols);
    assert!([&dx, &y, &dgain, &dbias, &losses].iter().all(|values| values.iter().all(|x| x.is_finite())));
}
