//! Embedding: a row of a table for every id.

use crate::add::add_to;
use crate::lanes::{Lanes, kernel};
use crate::linear::{Layout, Matrix};
use crate::packing::read_row;
use crate::pool::Parts;
use crate::{Cores, Write};

/// Rows per task in the forward pass.
const ROWS: usize = 16;

/// The number of tasks in the backward pass: each takes the ids with the same remainder.
const SHARES: usize = 16;

/// `y[r] = table[ids[r]]`, or `+=` with [`Write::Add`]. y: `[ids, table.cols]`. Panics on an id outside the table.
pub fn embed(cores: &Cores, y: &mut [f32], write: Write, ids: &[u32], table: Matrix<'_>) {
    assert_eq!(y.len(), ids.len() * table.cols);
    cores.run_parts(y, (ROWS * table.cols).max(1), |task, y| {
        for (y, &id) in y.chunks_exact_mut(table.cols).zip(&ids[task * ROWS..]) {
            embed_row(y, write, id as usize, table);
        }
    });
}

fn embed_row(y: &mut [f32], write: Write, id: usize, table: Matrix<'_>) {
    assert!(id < table.rows, "id {id} is outside a table of {} rows", table.rows);
    match (table.layout, write) {
        (Layout::Rows, Write::Set) => y.copy_from_slice(&table.values[id * table.cols..][..table.cols]),
        (Layout::Rows, Write::Add) => {
            y.iter_mut().zip(&table.values[id * table.cols..]).for_each(|(y, w)| *y += w)
        }
        (Layout::Panels(packing), Write::Set) => read_row(table.values, packing, id, y, |y, w| *y = w),
        (Layout::Panels(packing), Write::Add) => read_row(table.values, packing, id, y, |y, w| *y += w),
    }
}

/// `dtable[ids[r]] += dy[r]`, in row order. dtable is row-major, `cols` wide.
pub fn embed_backward(cores: &Cores, dtable: &mut [f32], dy: &[f32], ids: &[u32], cols: usize) {
    assert_eq!(dy.len(), ids.len() * cols);
    let dtable = Parts::new(dtable);
    cores.run(SHARES, &|share| {
        let mut mine = (0..ids.len()).filter(|&r| ids[r] as usize % SHARES == share).peekable();
        while let Some(r) = mine.next() {
            let row = |r: usize| ids[r] as usize * cols;
            if let Some(&next) = mine.peek() {
                fetch(cores, &dy[next * cols..][..cols]);
                // SAFETY: no other task uses the ids of this share.
                fetch(cores, unsafe { dtable.part(row(next)..row(next) + cols) });
            }
            // SAFETY: as above.
            add_to(cores, unsafe { dtable.part(row(r)..row(r) + cols) }, &dy[r * cols..][..cols]);
        }
    });
}

kernel!(
    /// Prefetches a row while another one is being processed: the processor cannot predict which comes next.
    fn fetch(row: &[f32]) = fetch_body
);

#[inline(always)]
fn fetch_body<V: Lanes>(v: V, row: &[f32]) {
    for line in row.chunks(16) {
        v.prefetch(line.as_ptr());
    }
}
