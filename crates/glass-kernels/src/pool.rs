//! One resident pool of threads for all arithmetic: spin a little, then sleep; the caller works too.

use std::any::Any;
use std::marker::PhantomData;
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::ptr::null_mut;
use std::sync::atomic::{AtomicBool, AtomicPtr, AtomicUsize, Ordering::*};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{JoinHandle, yield_now};

#[cfg(test)]
mod tests;

/// How often an idle thread looks for work before it sleeps: some tens of microseconds.
const SPINS: usize = 2_000;

/// A pool of threads that live as long as it does.
pub struct Pool {
    shared: Arc<Shared>,
    /// Held by whoever runs a job: one at a time.
    turn: Mutex<()>,
    workers: Vec<JoinHandle<()>>,
}

/// What the threads of a pool see of each other.
struct Shared {
    /// Tasks of the current job that nobody has taken. Who lowers it owns one, and until that one is finished the job is
    /// not, so that `job` stays good.
    waiting: AtomicUsize,
    job: AtomicPtr<Job>,
    sleepers: AtomicUsize,
    stop: AtomicBool,
    lock: Mutex<()>,
    wake: Condvar,
}

/// One call of [`Pool::run`], on its caller's stack.
struct Job {
    task: *const (dyn Fn(usize) + Sync),
    tasks: usize,
    unfinished: AtomicUsize,
    panic: Mutex<Option<Box<dyn Any + Send>>>,
}

impl Pool {
    /// A pool in which `threads` threads work, the caller included; at least one. Where the system gives fewer (or none,
    /// as WebAssembly), fewer work.
    pub fn new(threads: usize) -> Self {
        let shared = Arc::new(Shared {
            waiting: AtomicUsize::new(0),
            job: AtomicPtr::new(null_mut()),
            sleepers: AtomicUsize::new(0),
            stop: AtomicBool::new(false),
            lock: Mutex::new(()),
            wake: Condvar::new(),
        });
        let others = if cfg!(target_family = "wasm") { 0 } else { threads.saturating_sub(1) };
        let spawn = |i| {
            let shared = shared.clone();
            std::thread::Builder::new().name(format!("glass-{i}")).spawn(move || shared.work()).ok()
        };
        let workers = (1..=others).map_while(spawn).collect();
        Self { shared, turn: Mutex::new(()), workers }
    }

    /// The number of threads, the caller included.
    pub fn threads(&self) -> usize {
        self.workers.len() + 1
    }

    /// Runs `task(0)`, …, `task(tasks - 1)`, handed out in this order to whoever is free; returns when all are done. If
    /// one panics, so does this, when the others are done. A task must not call this on its own pool: it would
    /// wait for itself.
    pub fn run(&self, tasks: usize, task: &(dyn Fn(usize) + Sync)) {
        if tasks <= 1 || self.workers.is_empty() {
            return (0..tasks).for_each(task);
        }
        let turn = guard(&self.turn);
        // SAFETY: only the lifetime is forgotten; `job` is gone before `task` is, since all tasks finish below.
        let task = unsafe {
            std::mem::transmute::<*const (dyn Fn(usize) + Sync + '_), *const (dyn Fn(usize) + Sync + 'static)>(
                task,
            )
        };
        let job = Job { task, tasks, unfinished: AtomicUsize::new(tasks), panic: Mutex::new(None) };
        self.shared.job.store((&raw const job).cast_mut(), Release);
        self.shared.waiting.store(tasks, SeqCst);
        if self.shared.sleepers.load(SeqCst) > 0 {
            let _asleep = guard(&self.shared.lock);
            self.shared.wake.notify_all();
        }
        while self.shared.work_once() {}
        let mut spins = 0;
        while job.unfinished.load(Acquire) > 0 {
            relax(&mut spins);
        }
        drop(turn);
        if let Some(panic) = job.panic.into_inner().unwrap_or_else(PoisonError::into_inner) {
            resume_unwind(panic);
        }
    }

    /// Runs `work` once on every thread.
    pub fn everywhere(&self, work: &(dyn Fn() + Sync)) {
        // Nobody passes before all have come, so nobody takes two tasks.
        let all = std::sync::Barrier::new(self.threads());
        self.run(self.threads(), &|_| {
            work();
            all.wait();
        });
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        self.shared.stop.store(true, SeqCst);
        {
            let _asleep = guard(&self.shared.lock);
            self.shared.wake.notify_all();
        }
        for worker in self.workers.drain(..) {
            let _ = worker.join();
        }
    }
}

impl Shared {
    /// A worker's life.
    fn work(&self) {
        while !self.stop.load(SeqCst) {
            let mut spins = 0;
            while !self.work_once() && !self.stop.load(Relaxed) {
                spins += 1;
                std::hint::spin_loop();
                if spins == SPINS {
                    self.sleep();
                    break;
                }
            }
        }
    }

    /// Takes one task and runs it, if one waits.
    fn work_once(&self) -> bool {
        let Ok(waiting) = self.waiting.fetch_update(AcqRel, Acquire, |n| n.checked_sub(1)) else {
            return false;
        };
        // SAFETY: a task of the job is ours and not finished, so the job is on its caller's stack still.
        let job = unsafe { &*self.job.load(Acquire) };
        // SAFETY: as above, for the closure it points to.
        let task = unsafe { &*job.task };
        if let Err(panic) = catch_unwind(AssertUnwindSafe(|| task(job.tasks - waiting))) {
            guard(&job.panic).get_or_insert(panic);
        }
        // After this line the job may be gone.
        job.unfinished.fetch_sub(1, Release);
        true
    }

    fn sleep(&self) {
        let mut asleep = guard(&self.lock);
        self.sleepers.fetch_add(1, SeqCst);
        while self.waiting.load(SeqCst) == 0 && !self.stop.load(SeqCst) {
            asleep = self.wake.wait(asleep).unwrap_or_else(PoisonError::into_inner);
        }
        self.sleepers.fetch_sub(1, SeqCst);
    }
}

/// The lock, also after a panic: it guards nothing that could be left half done.
fn guard<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Waits a moment: briefly at first, then leaving the core to others.
fn relax(spins: &mut usize) {
    *spins += 1;
    if *spins < SPINS { std::hint::spin_loop() } else { yield_now() }
}

/// A slice whose parts are written by different tasks at the same time.
pub(crate) struct Parts<'a, T> {
    start: *mut T,
    len: usize,
    slice: PhantomData<&'a mut [T]>,
}

// SAFETY: handing out parts is unsafe, and whoever does it promises that they do not overlap.
unsafe impl<T: Send> Sync for Parts<'_, T> {}
// SAFETY: it is a `&mut [T]`.
unsafe impl<T: Send> Send for Parts<'_, T> {}

impl<'a, T> Parts<'a, T> {
    /// All of `slice`, to be handed out.
    pub(crate) fn new(slice: &'a mut [T]) -> Self {
        Self { start: slice.as_mut_ptr(), len: slice.len(), slice: PhantomData }
    }

    /// One part; panics outside the slice.
    ///
    /// # Safety
    /// Parts that live at the same time do not overlap.
    #[allow(clippy::mut_from_ref)]
    pub(crate) unsafe fn part(&self, range: Range<usize>) -> &mut [T] {
        assert!(range.start <= range.end && range.end <= self.len);
        // SAFETY: inside the slice, and by contract nobody else's.
        unsafe { std::slice::from_raw_parts_mut(self.start.add(range.start), range.len()) }
    }

    /// Where it starts, for kernels that write columns. Writes are for different elements in different tasks.
    pub(crate) fn start(&self) -> *mut T {
        self.start
    }
}
