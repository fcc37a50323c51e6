//! Embed: a row of a table for every id.

use crate::linear::{Layout, Matrix, PANEL};
use crate::{Cores, Write};

/// `y[r] = table[ids[r]]`, or `+=` with [`Write::Add`]. y: `[ids, table.cols]`.
pub fn embed(cores: &Cores, y: &mut [f32], write: Write, ids: &[u32], table: Matrix<'_>) {
    let cols = table.cols;
    assert_eq!(y.len(), ids.len() * cols);
    let _ = cores;
    for (y, &id) in y.chunks_exact_mut(cols).zip(ids) {
        let id = id as usize;
        assert!(id < table.rows, "id {id} is outside a table of {} rows", table.rows);
        for (k, y) in y.iter_mut().enumerate() {
            let w = match table.layout {
                Layout::Rows => table.values[id * cols + k],
                Layout::Panels => table.values[(id / PANEL * cols + k) * PANEL + id % PANEL],
            };
            *y = if write == Write::Add { *y + w } else { w };
        }
    }
}

/// `dtable[ids[r]] += dy[r]`, in row order. dtable is row-major, `cols` wide.
pub fn embed_backward(cores: &Cores, dtable: &mut [f32], dy: &[f32], ids: &[u32], cols: usize) {
    assert_eq!(dy.len(), ids.len() * cols);
    let _ = cores;
    for (dy, &id) in dy.chunks_exact(cols).zip(ids) {
        let row = &mut dtable[id as usize * cols..][..cols];
        row.iter_mut().zip(dy).for_each(|(d, dy)| *d += dy);
    }
}
