//! The peak of this machine, measured.

use std::hint::black_box;
use std::time::Instant;

use glass::backend::{Cpu, Packing, Precision};
use glass_kernels::{Cores, peak};

/// Rounds of multiply-adds in one run, which takes some milliseconds.
const ROUNDS: usize = 1 << 19;

/// Floats read in one run: more than a cache holds.
const FLOATS: usize = 64 << 20;

/// Operations per second (a multiply-add is two), and bytes per second.
pub struct Peak {
    /// In f32.
    pub f32: f64,
    /// In pairs of bf16, if the processor has them.
    pub bf16: Option<f64>,
    /// In quads of bytes.
    pub bytes: f64,
    /// Reading memory.
    pub read: f64,
}

impl Peak {
    /// The best of several runs each.
    pub fn measured(cpu: &Cpu) -> Peak {
        let cores = cpu.cores();
        let pairs =
            Cores::with(cores.isa(), cores.threads()).filter(|cores| Precision::Mixed.gains(cores.isa()));
        let pairs = pairs.map(|cores| cores.with_precision(Precision::Mixed));
        let floats = vec![1.0f32; FLOATS];
        Peak {
            f32: best(|| peak::multiply_add(cores, ROUNDS)),
            bf16: pairs.map(|cores| best(|| peak::multiply_add(&cores, ROUNDS))),
            bytes: best(|| peak::multiply_add_quads(cores, ROUNDS)),
            read: best(|| {
                black_box(peak::read(cores, &floats));
                4.0 * FLOATS as f64
            }),
        }
    }

    /// The peak for products with weights of this packing, in operations per second.
    pub fn operations(&self, packing: Packing) -> f64 {
        match packing {
            Packing::F32 => self.f32,
            Packing::Bf16 => self.bf16.unwrap_or(self.f32),
            _ => self.bytes,
        }
    }
}

/// The highest rate of eight runs.
fn best(mut run: impl FnMut() -> f64) -> f64 {
    run();
    let rates = (0..8).map(|_| {
        let begun = Instant::now();
        run() / begun.elapsed().as_secs_f64()
    });
    rates.fold(0.0, f64::max)
}
