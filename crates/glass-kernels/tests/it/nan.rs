//! NaN is never hidden: on every instruction set, in every format, at every place.

use glass_kernels::activate::{Activation, activate, activate_backward};
use glass_kernels::attend::*;
use glass_kernels::format::f32_to_f16;
use glass_kernels::linear::*;
use glass_kernels::loss::loss;
use glass_kernels::norm::{Norm, norm};
use glass_kernels::packing::{BLOCK, Packing, Quants};
use glass_kernels::{InputScales, Write};

use crate::close::{each_isa, each_isa_with, numbers};

const INVALID: [f32; 3] = [f32::NAN, f32::INFINITY, f32::NEG_INFINITY];

/// Rows, inputs (a whole block and part of another) and outputs of the products.
const SHAPE: [usize; 3] = [3, 40, 70];

/// Every output of the row with the invalid input is NaN, and no other. Infinite inputs of products of floats give
/// the same as ordinary float arithmetic.
#[test]
fn inputs_of_quantised_products() {
    let [rows, cols, outputs] = SHAPE;
    let (x, w) = (numbers(rows * cols, 1), numbers(outputs * cols, 2));
    for cores in InputScales::ALL.into_iter().flat_map(each_isa_with) {
        for packing in Packing::ALL {
            let mut panels = vec![0.0; packing.len(outputs, cols)];
            pack(&cores, &mut panels, packing, &w, outputs, cols);
            let w = Matrix { values: &panels, rows: outputs, cols, layout: Layout::Panels(packing) };
            for (at, invalid) in (0..cols).flat_map(|at| INVALID.map(|invalid| (at, invalid))) {
                for activation in [None, Some(Activation::GeluTanh)] {
                    let mut x = x.clone();
                    x[cols + at] = invalid;
                    let mut y = vec![0.0; rows * outputs];
                    linear(&cores, &mut y, &x, w, None, activation);
                    let what = format!("{:?} {packing:?} {invalid} at {at}", cores.isa());
                    let (hit, others) = (&y[outputs..2 * outputs], [&y[..outputs], &y[2 * outputs..]]);
                    if invalid.is_nan() || packing.is_quantised() {
                        assert!(hit.iter().all(|y| y.is_nan()), "{what}: {hit:?}");
                    }
                    assert!(others.iter().all(|row| row.iter().all(|y| y.is_finite())), "{what}");
                }
            }
        }
    }
}

#[test]
fn one_row_of_inputs() {
    let (cols, outputs) = (70, 65);
    let w = numbers(outputs * cols, 3);
    for cores in InputScales::ALL.into_iter().flat_map(each_isa_with) {
        for packing in Packing::ALL {
            let mut panels = vec![0.0; packing.len(outputs, cols)];
            pack(&cores, &mut panels, packing, &w, outputs, cols);
            let w = Matrix { values: &panels, rows: outputs, cols, layout: Layout::Panels(packing) };
            for at in 0..cols {
                let mut x = numbers(cols, 4);
                x[at] = f32::NAN;
                let mut y = vec![0.0; outputs];
                linear(&cores, &mut y, &x, w, None, None);
                assert!(y.iter().all(|y| y.is_nan()), "{:?} {packing:?} at {at}", cores.isa());
            }
        }
    }
}

/// An invalid weight makes its output NaN, whether packed by Glass or with a scale from a file.
#[test]
fn weights() {
    let [rows, cols, outputs] = SHAPE;
    let x = numbers(rows * cols, 1);
    for cores in each_isa() {
        for packing in Packing::ALL {
            // One for each input: three and the sizes of pairs, lanes and halves of a block have no divisor in common.
            for (at, invalid) in (0..cols).zip(INVALID.into_iter().cycle()) {
                let mut w = numbers(outputs * cols, 2);
                w[5 * cols + at] = invalid;
                let mut panels = vec![0.0; packing.len(outputs, cols)];
                pack(&cores, &mut panels, packing, &w, outputs, cols);
                let w = Matrix { values: &panels, rows: outputs, cols, layout: Layout::Panels(packing) };
                let mut y = vec![0.0; rows * outputs];
                linear(&cores, &mut y, &x, w, None, None);
                for (i, y) in y.iter().enumerate() {
                    let hit = i % outputs == 5;
                    // What infinity times another number is, floats say; in fewer bits it has no value.
                    let right = match hit {
                        true if invalid.is_nan() || packing.is_quantised() => y.is_nan(),
                        true => !y.is_finite(),
                        false => y.is_finite(),
                    };
                    let isa = cores.isa();
                    assert!(right, "{isa:?} {packing:?} {invalid} at {at}, output {i}: {y}");
                }
            }
        }
        for packing in Packing::ALL.into_iter().filter(|packing| packing.is_quantised()) {
            let mut panels = vec![0.0; packing.len(outputs, cols)];
            let scale = |row, block| f32_to_f16(if (row, block) == (5, 1) { f32::NAN } else { 0.5 });
            let quants = |row: usize, into: &mut [Quants]| {
                let quants = |block| Quants::new(scale(row, block), [1; BLOCK]);
                into.iter_mut().enumerate().for_each(|(block, into)| *into = quants(block));
            };
            pack_quants(&cores, &mut panels, packing, &quants, outputs, cols);
            let w = Matrix { values: &panels, rows: outputs, cols, layout: Layout::Panels(packing) };
            let mut y = vec![0.0; rows * outputs];
            linear(&cores, &mut y, &x, w, None, None);
            let right = y.iter().enumerate().all(|(i, y)| y.is_nan() == (i % outputs == 5));
            assert!(right, "{:?} {packing:?}: {y:?}", cores.isa());
        }
    }
}

#[test]
fn gradients() {
    let [rows, cols, outputs] = SHAPE;
    for cores in each_isa() {
        let (x, mut dy) = (numbers(rows * cols, 1), numbers(rows * outputs, 2));
        dy[outputs + 7] = f32::NAN;
        let w = numbers(outputs * cols, 3);
        let (mut dx, mut dw) = (vec![0.0; rows * cols], vec![0.0; outputs * cols]);
        let matrix = Matrix { values: &w, rows: outputs, cols, layout: Layout::Rows };
        linear_backward_input(&cores, &mut dx, Write::Set, &dy, matrix);
        linear_backward_weight(&cores, &mut dw, Write::Set, None, &dy, &x, rows);
        assert!(dx.iter().enumerate().all(|(i, d)| d.is_nan() == (i / cols == 1)), "{:?}", cores.isa());
        assert!(dw.iter().enumerate().all(|(i, d)| d.is_nan() == (i / cols == 7)), "{:?}", cores.isa());
    }
}

/// Both ways of attention: a NaN in a query, or in the key or value of the only position.
#[test]
fn attention() {
    let (size, rows) = (20, 70);
    let heads = Heads::new(2, 2, size);
    let width = 2 * size;
    for cores in each_isa() {
        for (kind, at) in [CacheType::F32, CacheType::Bf16]
            .into_iter()
            .flat_map(|kind| [0, 33, rows - 1].map(|at| (kind, at)))
        {
            let [mut q, k, v] = [1, 2, 3].map(|seed| numbers(rows * width, seed));
            q[at * width + 3] = f32::NAN;
            let shape = KvShape { heads: 2, size, blocks: rows.div_ceil(64), kind };
            let table = BlockTable::separate(1, rows);
            let (mut keys, mut values) = (vec![0.0; shape.keys_len()], vec![0.0; shape.values_len()]);
            let spans = [Span { rows: 0..rows, slot: 0, past: 0 }];
            append(&cores, &mut keys, &mut values, shape, &table, &k, &v, &spans);
            let kv = Kv { keys: &keys, values: &values, shape, table: &table };
            let mut z = vec![0.0; rows * width];
            attend(&cores, &mut z, None, &q, kv, heads, None, &spans, None);
            let mut p = vec![0.0; pattern_len(heads, &spans)];
            pattern(&cores, &mut p, &q, kv, heads, None, &spans);
            let mut visible = vec![0.0; rows * width];
            mix(&cores, &mut visible, &p, kv, heads, &spans);
            for (what, z) in [("fused", z), ("visible", visible)] {
                for (i, z) in z.iter().enumerate() {
                    let hit = i / width == at && i % width < size;
                    assert_eq!(z.is_nan(), hit, "{what} {:?} {kind:?} row {at}: {i}", cores.isa());
                }
            }
        }
    }
}

#[test]
fn activations_and_their_slopes() {
    for cores in each_isa() {
        for kind in [Activation::Gelu, Activation::GeluTanh] {
            for at in 0..33 {
                let mut x = numbers(33, 1);
                x[at] = f32::NAN;
                let (mut y, mut d) = (vec![0.0; 33], vec![1.0; 33]);
                activate(&cores, &mut y, &x, kind);
                activate_backward(&cores, &mut d, &x, kind);
                for y in [y, d] {
                    let right = y.iter().enumerate().all(|(i, y)| y.is_nan() == (i == at));
                    assert!(right, "{:?} {kind:?} {at}: {y:?}", cores.isa());
                }
            }
        }
    }
}

#[test]
fn norms_and_losses() {
    let (rows, cols) = (3, 35);
    for cores in each_isa() {
        for (at, invalid) in (0..cols).flat_map(|at| INVALID.map(|invalid| (at, invalid))) {
            let mut x = numbers(rows * cols, 1);
            x[cols + at] = invalid;
            let what = format!("{:?} {invalid} at {at}", cores.isa());
            let (mut y, mut stats) = (vec![0.0; rows * cols], vec![0.0; 2 * rows]);
            norm(&cores, &mut y, &mut stats, &x, cols, Some(&numbers(cols, 2)), None, Norm::layer(1e-5));
            assert!(y.iter().enumerate().all(|(i, y)| y.is_nan() == (i / cols == 1)), "norm: {what}");
            // Divided by an infinite root, other numbers are zero, and infinity has no value.
            norm(&cores, &mut y, &mut stats, &x, cols, Some(&numbers(cols, 2)), None, Norm::rms(1e-5));
            let hit = |i: usize| if invalid.is_nan() { i / cols == 1 } else { i == cols + at };
            assert!(y.iter().enumerate().all(|(i, y)| y.is_nan() == hit(i)), "norm: {what}");
            // A logit of −∞ is a probability of zero.
            if invalid != f32::NEG_INFINITY {
                for scales in [None, Some(&[1.0; 3][..])] {
                    let mut losses = vec![0.0; rows];
                    loss(&cores, &mut x.clone(), &mut losses, &[0, 1, 2], cols, scales, None);
                    assert!(
                        losses[1].is_nan() && losses[0].is_finite() && losses[2].is_finite(),
                        "loss: {what}"
                    );
                }
            }
        }
    }
}
