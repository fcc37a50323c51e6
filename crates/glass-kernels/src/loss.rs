//! Loss: softmax with cross-entropy, and its gradient.

use crate::Cores;

/// A target that is not counted: its loss and its gradient are zero.
pub const IGNORE: u32 = u32::MAX;

/// `losses[r] = -log softmax(logits[r])[targets[r]]`, in nats. With `scale`, `logits` become their gradient
/// `scale × (softmax − one-hot)` in place; without, they are left as they are. logits: `[targets, cols]`.
pub fn loss(
    cores: &Cores, logits: &mut [f32], losses: &mut [f32], targets: &[u32], cols: usize, scale: Option<f32>,
) {
    let _ = (cores, logits, losses, targets, cols, scale);
    todo!()
}
