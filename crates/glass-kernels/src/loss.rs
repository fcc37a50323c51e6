//! Loss: softmax with cross-entropy, and its gradient.

use crate::Cores;

/// A target that is not counted: its loss and its gradient are zero.
pub const IGNORE: u32 = u32::MAX;

/// `losses[r] = -log softmax(logits[r])[targets[r]]`, in nats. With `scale`, `logits` become their gradient
/// `scale × (softmax − one-hot)` in place; without, they are left as they are. logits: `[targets, cols]`.
pub fn loss(
    cores: &Cores,
    logits: &mut [f32],
    losses: &mut [f32],
    targets: &[u32],
    cols: usize,
    scale: Option<f32>,
) {
    assert_eq!(logits.len(), targets.len() * cols);
    assert_eq!(losses.len(), targets.len());
    let _ = cores;
    for ((row, loss), &target) in logits.chunks_exact_mut(cols).zip(losses).zip(targets) {
        if target == IGNORE {
            *loss = 0.0;
            if scale.is_some() {
                row.fill(0.0);
            }
            continue;
        }
        let target = target as usize;
        assert!(target < cols, "target {target} is outside {cols} logits");
        let max = row.iter().fold(f32::NEG_INFINITY, |m, &x| m.max(x));
        let sum: f32 = row.iter().map(|&x| (x - max).exp()).sum();
        *loss = sum.ln() + max - row[target];
        if let Some(scale) = scale {
            row.iter_mut().for_each(|x| *x = scale * (*x - max).exp() / sum);
            row[target] -= scale;
        }
    }
}
