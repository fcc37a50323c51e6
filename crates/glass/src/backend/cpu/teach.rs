//! Learning from another model's distributions, on a CPU.

use glass_kernels::teach;

use super::Cpu;
use super::operands::used_mut;
use crate::backend::{Teach, Teaching, Tensor};

impl Teach for Cpu {
    fn teach(
        &self,
        logits: &mut Tensor<Self>,
        teacher: &mut Tensor<Self>,
        losses: &mut [f32],
        targets: &[u32],
        teaching: &Teaching,
        scale: Option<f32>,
        cap: Option<f32>,
    ) {
        let (cols, teacher) = (logits.cols, used_mut(teacher));
        teach::teach(&self.cores, used_mut(logits), teacher, losses, targets, cols, teaching, scale, cap);
    }
}
