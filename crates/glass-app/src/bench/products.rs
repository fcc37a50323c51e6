//! The products of a model's shapes, one by one.

use std::ops::Range;

use glass::Config;
use glass::backend::{Backend, Cpu, Layout, Packing, Quants, Tensor, Weight};
use glass_kernels::packing::BLOCK;

use super::roof::Roof;
use super::timing::seconds;

/// Most rows that meet the unembedding, as few do in a pass.
const LOGIT_ROWS: usize = 64;

/// `rows` vectors through a matrix.
pub struct Product {
    /// Its inputs.
    pub inputs: usize,
    /// Its outputs.
    pub outputs: usize,
    /// Vectors.
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

    /// One row is compared with reading, many with multiply-adds.
    pub fn share(&self, roof: &Roof) -> f64 {
        match self.rows {
            1 => self.read() / roof.read,
            _ => self.operations() / roof.operations(self.packing),
        }
    }
}

/// Those of a block and the unembedding, for one vector, for sixteen and for a prompt of `tokens`.
pub fn measured(cpu: &Cpu, config: &Config, packing: Packing, tokens: usize) -> glass::Result<Vec<Product>> {
    let queries = config.heads.query * config.heads.size;
    let mut shapes = vec![
        (config.width, queries),
        (config.width, config.hidden),
        (config.hidden, config.width),
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
) -> glass::Result<<Cpu as Backend>::Packed> {
    match packing {
        Packing::F32 | Packing::Bf16 => {
            let quarters = |_: Range<usize>, into: &mut [f32]| {
                into.fill(0.25);
                Ok(())
            };
            cpu.pack(&quarters, outputs, inputs, Layout::Panels(packing))
        }
        Packing::Q8 | Packing::Q4 => {
            // One as f16, and weights that four bits hold.
            let quants = |row: usize, _: usize| Quants { scale: 0x3c00, q: [(row % 8) as i8; BLOCK] };
            cpu.pack_quants(&quants, outputs, inputs, packing)
        }
    }
}
