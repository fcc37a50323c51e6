//! The processor: an instruction set, the precision of its matrix products, its cache, and the threads.

use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;

use crate::blocks::Room;
use crate::isa::Isa;
use crate::pool::{Parts, Pool};
use crate::precision::{InputScales, Precision};
use crate::scratch;

/// The largest number of threads that are given neighbouring tasks.
const MOST_THREADS: usize = 256;

/// An instruction set, a precision and a resident pool of threads. Every kernel takes one first.
pub struct Cores {
    isa: Isa,
    precision: Precision,
    input_scales: InputScales,
    room: Room,
    pool: Pool,
}

impl Cores {
    /// The best instruction set of this machine, with `threads` threads (including the caller).
    pub fn new(threads: usize) -> Self {
        Self::on(Isa::best(), threads)
    }

    /// A given instruction set, or `None` if this machine does not have it.
    pub fn with(isa: Isa, threads: usize) -> Option<Self> {
        isa.available().then(|| Self::on(isa, threads))
    }

    fn on(isa: Isa, threads: usize) -> Self {
        let pool = Pool::new(threads);
        pool.everywhere(&scratch::reserve);
        Self { isa, precision: Precision::F32, input_scales: InputScales::Exact, room: Room::here(), pool }
    }

    /// The same with products of this precision; [`Precision::gains`] says whether it is faster.
    pub fn with_precision(self, precision: Precision) -> Self {
        Self { precision, ..self }
    }

    /// The same with these scales of the inputs of quantised products.
    pub fn with_input_scales(self, input_scales: InputScales) -> Self {
        Self { input_scales, ..self }
    }

    /// The same with blocks for another cache size.
    pub fn with_room(self, room: Room) -> Self {
        Self { room, ..self }
    }

    /// How much of the L2 cache a task may use.
    pub fn room(&self) -> Room {
        self.room
    }

    /// The precision of matrix products.
    pub fn precision(&self) -> Precision {
        self.precision
    }

    /// The scales of the inputs of quantised products.
    pub fn input_scales(&self) -> InputScales {
        self.input_scales
    }

    /// The instruction set in use.
    pub fn isa(&self) -> Isa {
        self.isa
    }

    /// The number of threads, including the caller.
    pub fn threads(&self) -> usize {
        self.pool.threads()
    }

    /// Runs `task(0)`, …, `task(tasks - 1)`. Each thread gets neighbouring tasks: it continues where it has read,
    /// it prefetches for itself, and in the next call it reads what it wrote in this one. A thread that is done
    /// takes tasks from the end of another thread's range.
    pub fn run(&self, tasks: usize, task: &(dyn Fn(usize) + Sync)) {
        let threads = self.threads().min(tasks).min(MOST_THREADS);
        if threads <= 1 {
            return (0..tasks).for_each(task);
        }
        let at = |thread: usize| if thread < threads { tasks * thread / threads } else { tasks };
        let rests: [Rest; MOST_THREADS] = std::array::from_fn(|i| Rest::new(at(i), at(i + 1)));
        self.pool.run(threads, &|own| {
            while let Some(i) = rests[own].take_first() {
                task(i);
            }
            for other in (own + 1..threads).chain(0..own) {
                while let Some(i) = rests[other].take_last() {
                    task(i);
                }
            }
        });
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
            // SAFETY: only task i uses part i.
            task(i, unsafe { parts.part(i * size..((i + 1) * size).min(len)) });
        });
    }
}

/// Neighbouring tasks that no thread has taken: the first one in the lower half, the end in the upper half.
struct Rest(AtomicU64);

impl Rest {
    fn new(first: usize, end: usize) -> Self {
        let [first, end] = [first, end].map(|i| u32::try_from(i).expect("fewer tasks than 2³²"));
        Self(AtomicU64::new(u64::from(first) | u64::from(end) << 32))
    }

    fn take_first(&self) -> Option<usize> {
        self.take(|first, end| (first, first + 1, end))
    }

    fn take_last(&self) -> Option<usize> {
        self.take(|first, end| (end - 1, first, end - 1))
    }

    /// `cut(first, end)` returns the task that is taken, and the remaining range.
    fn take(&self, cut: impl Fn(u32, u32) -> (u32, u32, u32)) -> Option<usize> {
        let cut = |rest: u64| {
            let (first, end) = (rest as u32, (rest >> 32) as u32);
            (first < end).then(|| cut(first, end))
        };
        let left = |rest| cut(rest).map(|(_, first, end)| u64::from(first) | u64::from(end) << 32);
        // The pool synchronises what tasks write; this number needs no ordering beyond its own.
        let before = self.0.fetch_update(Relaxed, Relaxed, left).ok()?;
        cut(before).map(|(taken, ..)| taken as usize)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicUsize;

    use super::*;

    #[test]
    fn every_task_comes_once() {
        for threads in 1..=5 {
            let cores = Cores::new(threads);
            for tasks in [0, 1, 2, 3, 7, 64, 1000] {
                let times: Vec<AtomicUsize> = (0..tasks).map(|_| AtomicUsize::new(0)).collect();
                cores.run(tasks, &|i| {
                    // The first task is slow: another thread takes the rest.
                    if i == 0 {
                        std::thread::sleep(std::time::Duration::from_millis(2));
                    }
                    times[i].fetch_add(1, Relaxed);
                });
                assert!(
                    times.iter().all(|times| times.load(Relaxed) == 1),
                    "{tasks} tasks, {threads} threads"
                );
            }
        }
    }
}
