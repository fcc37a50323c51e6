//! Sets a buffer to zero, before sums are added to it.

use crate::Cores;

/// Elements per task: a single thread does not reach the memory's speed.
const PIECE: usize = 256 * 1024;

/// `y = 0`.
pub fn clear(cores: &Cores, y: &mut [f32]) {
    cores.run_parts(y, PIECE, |_, y| y.fill(0.0));
}
