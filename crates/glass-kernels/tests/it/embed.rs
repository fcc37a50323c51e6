//! Embedding and its backward; adding.

use glass_kernels::add::add;
use glass_kernels::embed::{embed, embed_backward};
use glass_kernels::linear::{Layout, Matrix, pack};
use glass_kernels::packing::Packing;
use glass_kernels::{Cores, Write};

use crate::close::{assert_same_bits, each_isa, numbers};
use crate::packed::as_packed;

const IDS: [u32; 40] = {
    let mut ids = [0; 40];
    let mut i = 0;
    while i < 40 {
        ids[i] = (i * i * 7 % 131) as u32;
        i += 1;
    }
    ids
};

#[test]
fn rows_come_out_of_every_layout() {
    for cores in each_isa() {
        for cols in [1, 5, 64, 130] {
            let table = numbers(131 * cols, 1);
            come_out(&cores, &table, &table, Layout::Rows);
            for packing in Packing::ALL {
                let mut panels = vec![f32::NAN; packing.len(131, cols)];
                pack(&cores, &mut panels, packing, &table, 131, cols);
                come_out(&cores, &panels, &as_packed(packing, &table, cols), Layout::Panels(packing));
            }
        }
    }
}

fn come_out(cores: &Cores, values: &[f32], table: &[f32], layout: Layout) {
    let cols = table.len() / 131;
    let start = numbers(40 * cols, 2);
    let rows: Vec<f32> = IDS.iter().flat_map(|&id| table[id as usize * cols..][..cols].to_vec()).collect();
    let sums: Vec<f32> = rows.iter().zip(&start).map(|(a, b)| a + b).collect();
    let table = Matrix { values, rows: 131, cols, layout };
    let mut y = vec![f32::NAN; 40 * cols];
    embed(cores, &mut y, Write::Set, &IDS, table);
    assert_same_bits("set", &y, &rows);
    let mut y = start;
    embed(cores, &mut y, Write::Add, &IDS, table);
    assert_same_bits("added", &y, &sums);
}

#[test]
fn gradients_go_back_in_row_order_on_any_number_of_threads() {
    for cols in [1, 63, 200] {
        let (dy, start) = (numbers(40 * cols, 3), numbers(131 * cols, 4));
        let mut expected = start.clone();
        for (r, &id) in IDS.iter().enumerate() {
            for j in 0..cols {
                expected[id as usize * cols + j] += dy[r * cols + j];
            }
        }
        for threads in 1..=4 {
            let mut dtable = start.clone();
            embed_backward(&Cores::new(threads), &mut dtable, &dy, &IDS, cols);
            assert_same_bits("dtable", &dtable, &expected);
        }
    }
}

#[test]
#[should_panic(expected = "outside")]
fn an_id_outside_the_table_is_refused() {
    let table = Matrix { values: &[0.0; 64], rows: 3, cols: 1, layout: Layout::Panels(Packing::F32) };
    embed(&Cores::new(1), &mut [0.0], Write::Set, &[3], table);
}

#[test]
fn add_adds() {
    for cores in each_isa() {
        for n in [0, 1, 17, 70_001] {
            let (mut y, x) = (numbers(n, 1), numbers(n, 2));
            let expected: Vec<f32> = y.iter().zip(&x).map(|(y, x)| y + x).collect();
            add(&cores, &mut y, &x);
            assert_same_bits("sum", &y, &expected);
        }
    }
}
