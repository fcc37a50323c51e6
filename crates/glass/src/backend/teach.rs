//! Learning from another model's distributions.

use super::{Device, Tensor};

pub use glass_kernels::teach::Teaching;

/// The loss of a model with a teacher. Shapes are those of the kernels.
pub trait Teach: Device {
    /// Cross-entropy of every row in nats, and the divergence of its distribution from the teacher's; with `scale`, logits are
    /// replaced by the gradient of what `teaching` makes of both, with `cap` by that of what was capped. The teacher's logits are
    /// lost.
    fn teach(
        &self,
        logits: &mut Tensor<Self>,
        teacher: &mut Tensor<Self>,
        losses: &mut [f32],
        targets: &[u32],
        teaching: &Teaching,
        scale: Option<f32>,
        cap: Option<f32>,
    );
}
