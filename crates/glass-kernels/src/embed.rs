//! Embed: a row of a table for every id.

use crate::linear::Matrix;
use crate::{Cores, Write};

/// `y[r] = table[ids[r]]`, or `+=` with [`Write::Add`]. y: `[ids, table.cols]`.
pub fn embed(cores: &Cores, y: &mut [f32], write: Write, ids: &[u32], table: Matrix<'_>) {
    let _ = (cores, y, write, ids, table);
    todo!()
}

/// `dtable[ids[r]] += dy[r]`, in row order. dtable is row-major, `cols` wide.
pub fn embed_backward(cores: &Cores, dtable: &mut [f32], dy: &[f32], ids: &[u32], cols: usize) {
    let _ = (cores, dtable, dy, ids, cols);
    todo!()
}
