//! The processor: an instruction set, the precision of its matrix products, and the threads.

use crate::isa::Isa;
use crate::pool::{Parts, Pool};
use crate::precision::Precision;
use crate::scratch;

/// Runs of neighbouring tasks for a thread: enough that all end together.
const RUNS: usize = 4;

/// An instruction set, a precision and a resident pool of threads. Every kernel takes one first.
pub struct Cores {
    isa: Isa,
    precision: Precision,
    pool: Pool,
}

impl Cores {
    /// The best instruction set of this machine, with `threads` threads (the caller counts as one).
    pub fn new(threads: usize) -> Self {
        Self::on(Isa::best(), threads)
    }

    /// A given instruction set, or `None` where this machine lacks it.
    pub fn with(isa: Isa, threads: usize) -> Option<Self> {
        isa.available().then(|| Self::on(isa, threads))
    }

    fn on(isa: Isa, threads: usize) -> Self {
        let pool = Pool::new(threads);
        pool.everywhere(&scratch::reserve);
        Self { isa, precision: Precision::F32, pool }
    }

    /// The same, with products of this precision; [`Precision::gains`] says whether that is of use.
    pub fn with_precision(self, precision: Precision) -> Self {
        Self { precision, ..self }
    }

    /// The precision of matrix products.
    pub fn precision(&self) -> Precision {
        self.precision
    }

    /// The instruction set in use.
    pub fn isa(&self) -> Isa {
        self.isa
    }

    /// The number of threads, the caller included.
    pub fn threads(&self) -> usize {
        self.pool.threads()
    }

    /// Runs `task(0)`, …, `task(tasks - 1)`, handed out dynamically over the threads.
    pub(crate) fn run(&self, tasks: usize, task: &(dyn Fn(usize) + Sync)) {
        self.pool.run(tasks, task);
    }

    /// The same in runs of neighbours: a thread reads on where it has read, and what it fetches ahead is its own next.
    pub(crate) fn run_neighbours(&self, tasks: usize, task: &(dyn Fn(usize) + Sync)) {
        let run = tasks.div_ceil(RUNS * self.threads()).max(1);
        self.run(tasks.div_ceil(run), &|i| (i * run..tasks.min((i + 1) * run)).for_each(task));
    }

    /// Runs `task(i, part)` for every part of `slice`, `size` long (the last may be shorter).
    pub(crate) fn run_parts<T: Send>(
        &self,
        slice: &mut [T],
        size: usize,
        task: impl Fn(usize, &mut [T]) + Sync,
    ) {
        let len = slice.len();
        let parts = Parts::new(slice);
        self.run(len.div_ceil(size), &|i| {
            // SAFETY: part i is task i's alone.
            task(i, unsafe { parts.part(i * size..((i + 1) * size).min(len)) });
        });
    }
}
