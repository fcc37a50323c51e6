//! What this machine can do at most.

use std::hint::black_box;
use std::time::Instant;

use glass::backend::{Cpu, Packing, Precision};
use glass_kernels::{Cores, roof};

/// Rounds of multiply-adds in a turn: some milliseconds.
const ROUNDS: usize = 1 << 19;

/// Floats that are read in a turn: more than a cache holds.
const FLOATS: usize = 64 << 20;

/// Operations per second (two to a multiply-add), and bytes per second.
pub struct Roof {
    /// Of f32.
    pub f32: f64,
    /// Of pairs of bf16, where the machine has them.
    pub bf16: Option<f64>,
    /// Of quads of bytes.
    pub bytes: f64,
    /// Reading memory.
    pub read: f64,
}

impl Roof {
    /// Some turns of each.
    pub fn measured(cpu: &Cpu) -> Roof {
        let cores = cpu.cores();
        let pairs =
            Cores::with(cores.isa(), cores.threads()).filter(|cores| Precision::Mixed.gains(cores.isa()));
        let pairs = pairs.map(|cores| cores.with_precision(Precision::Mixed));
        let floats = vec![1.0f32; FLOATS];
        Roof {
            f32: best(|| roof::multiply_add(cores, ROUNDS)),
            bf16: pairs.map(|cores| best(|| roof::multiply_add(&cores, ROUNDS))),
            bytes: best(|| roof::multiply_add_quads(cores, ROUNDS)),
            read: best(|| {
                black_box(roof::read(cores, &floats));
                4.0 * FLOATS as f64
            }),
        }
    }

    /// Operations per second of products with weights kept so.
    pub fn operations(&self, packing: Packing) -> f64 {
        match packing {
            Packing::F32 => self.f32,
            Packing::Bf16 => self.bf16.unwrap_or(self.f32),
            Packing::Q8 | Packing::Q4 => self.bytes,
        }
    }
}

/// The most per second that any of some turns did.
fn best(mut turn: impl FnMut() -> f64) -> f64 {
    turn();
    let turns = (0..8).map(|_| {
        let begun = Instant::now();
        turn() / begun.elapsed().as_secs_f64()
    });
    turns.fold(0.0, f64::max)
}
