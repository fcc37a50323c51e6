//! The matrix products of a model's shapes, one by one.

use std::ops::Range;

use glass::Config;
use glass::backend::{Backend, Cpu, Device, Layout, Packing, Quants, Tensor, Weight};
use glass_kernels::packing::BLOCK;

use super::peak::Peak;
use super::timing::seconds;

/// The largest number of rows multiplied by the unembedding: a pass needs few logits.
const LOGIT_ROWS: usize = 64;

/// `rows` vectors times a matrix.
pub struct Product {
    /// Inputs of the matrix.
    pub inputs: usize,
    /// Outputs of the matrix.
    pub outputs: usize,
    /// Number of vectors.
    pub rows: usize,
    packing: Packing,
    seconds: f64,
}

impl Product {
    /// Operations per second.
    pub fn operations(&self) -> f64 {
        2.0 * (self.rows * self.inputs * self.outputs) as f64 / self.seconds
    }

    /// Bytes of weights per second.
    pub fn read(&self) -> f64 {
        4.0 * self.packing.len(self.outputs, self.inputs) as f64 / self.seconds
    }

    /// The share of the peak: of reading for one row, of multiply-adds for more.
    pub fn share(&self, peak: &Peak) -> f64 {
        match self.rows {
            1 => self.read() / peak.read,
            _ => self.operations() / peak.operations(self.packing),
        }
    }
}

/// The products of a block and of the unembedding, for one vector, for 16 and for a prompt of `tokens`.
pub fn measured(cpu: &Cpu, config: &Config, packing: Packing, tokens: usize) -> glass::Result<Vec<Product>> {
    let queries = config.heads.query * config.heads.size;
    let mut shapes = vec![
        (config.width, queries),
        (config.width, config.mlp_width),
        (config.mlp_width, config.width),
        (config.width, config.vocabulary),
    ];
    shapes.dedup();
    let mut products = Vec::new();
    for (inputs, outputs) in shapes {
        let weight = weight(cpu, inputs, outputs, packing)?;
        for rows in [1, 16, tokens] {
            let rows = if outputs == config.vocabulary { rows.min(LOGIT_ROWS) } else { rows };
            let mut x = Tensor::new(cpu, rows, inputs)?;
            cpu.write(&mut x.data, 0, &vec![0.5; rows * inputs]);
            let mut y = Tensor::new(cpu, rows, outputs)?;
            let seconds = seconds(|| {
                cpu.linear(&mut y, &x, Weight::Packed(&weight), None, None);
                Ok(())
            })?;
            products.push(Product { inputs, outputs, rows, packing, seconds });
        }
    }
    Ok(products)
}

fn weight(
    cpu: &Cpu,
    inputs: usize,
    outputs: usize,
    packing: Packing,
) -> glass::Result<<Cpu as Device>::Packed> {
    match packing {
        Packing::F32 | Packing::Bf16 => {
            let quarters = |_: Range<usize>, into: &mut [f32]| {
                into.fill(0.25);
                Ok(())
            };
            cpu.pack(&quarters, outputs, inputs, Layout::Panels(packing))
        }
        _ => {
            // A scale of one in f16, and weights that fit in two bits.
            let quants = |row: usize, into: &mut [Quants]| {
                into.fill(Quants::new(0x3c00, [(row % 2) as i8; BLOCK]));
            };
            cpu.pack_quants(&quants, outputs, inputs, packing)
        }
    }
}
