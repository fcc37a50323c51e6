//! The processor: an instruction set, the precision of its matrix products, the room in its caches, and the threads.

use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;

use crate::blocks::Room;
use crate::isa::Isa;
use crate::pool::{Parts, Pool};
use crate::precision::{InputScales, Precision};
use crate::scratch;

/// Threads that are given neighbouring tasks, at most.
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
        Self { isa, precision: Precision::F32, input_scales: InputScales::Exact, room: Room::here(), pool }
    }

    /// The same, with products of this precision; [`Precision::gains`] says whether that is of use.
    pub fn with_precision(self, precision: Precision) -> Self {
        Self { precision, ..self }
    }

    /// The same, with these scales of the inputs of quantised products.
    pub fn with_input_scales(self, input_scales: InputScales) -> Self {
        Self { input_scales, ..self }
    }

    /// The same, with blocks for another room than this machine's.
    pub fn with_room(self, room: Room) -> Self {
        Self { room, ..self }
    }

    /// What a task may keep in the second-level cache.
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

    /// The number of threads, the caller included.
    pub fn threads(&self) -> usize {
        self.pool.threads()
    }

    /// Runs `task(0)`, …, `task(tasks - 1)`, to each thread neighbours: it reads on where it has read, what it fetches ahead
    /// is its own next, and what it wrote in one call it reads in the next. Who is done helps another, from the end of
    /// what that one still has.
    pub(crate) fn run(&self, tasks: usize, task: &(dyn Fn(usize) + Sync)) {
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
            // SAFETY: part i is task i's alone.
            task(i, unsafe { parts.part(i * size..((i + 1) * size).min(len)) });
        });
    }
}

/// Neighbouring tasks that nobody has taken: the first in the lower half, the end in the upper.
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

    /// `cut(first, end)`: the one that is taken, and what is left.
    fn take(&self, cut: impl Fn(u32, u32) -> (u32, u32, u32)) -> Option<usize> {
        let cut = |rest: u64| {
            let (first, end) = (rest as u32, (rest >> 32) as u32);
            (first < end).then(|| cut(first, end))
        };
        let left = |rest| cut(rest).map(|(_, first, end)| u64::from(first) | u64::from(end) << 32);
        // What tasks write is handed over by the pool; a number needs no order but its own.
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
                    // The first is slow: another thread takes what it leaves.
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
