//! The choice of the optimiser.

use serde::{Deserialize, Serialize};

/// The optimiser for the matrices of the blocks. Embeddings, positions, gains and biases always use AdamW.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Optimiser {
    /// AdamW (Loshchilov & Hutter 2019).
    #[default]
    AdamW,
    /// Muon (Jordan et al. 2024), with updates as large as AdamW's, so that learning rates and decays are
    /// comparable.
    Muon,
}

/// Decay of Muon's momentum, as in its reference implementation.
pub const MOMENTUM: f32 = 0.95;
