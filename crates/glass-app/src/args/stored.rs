//! How a model's weights are stored.

use clap::ValueEnum;
use glass::weights::dtype::Dtype;

/// How a weight is stored.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub enum Stored {
    /// 32 bits
    #[value(aliases = ["fp32", "float32"])]
    F32,
    /// IEEE half precision
    #[value(aliases = ["fp16", "float16"])]
    F16,
    /// The upper half of an f32
    #[value(alias = "bfloat16")]
    Bf16,
}

impl Stored {
    /// The library's value.
    pub fn dtype(self) -> Dtype {
        match self {
            Stored::F32 => Dtype::F32,
            Stored::F16 => Dtype::F16,
            Stored::Bf16 => Dtype::Bf16,
        }
    }
}
