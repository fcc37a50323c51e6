//! The single resident thread pool for all arithmetic: threads spin briefly, then sleep; the caller works too.

use std::any::Any;
use std::marker::PhantomData;
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::ptr::null_mut;
use std::sync::atomic::{AtomicBool, AtomicPtr, AtomicUsize, Ordering::*};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{JoinHandle, yield_now};

#[cfg(all(test, not(target_family = "wasm")))]
mod tests;

/// How often an idle thread looks for work before it sleeps: some tens of microseconds.
const SPINS: usize = 2_000;

/// A pool of threads with the lifetime of this value.
pub struct Pool {
    shared: Arc<Shared>,
    /// Held by the thread that runs a job: one job at a time.
    turn: Mutex<()>,
    workers: Vec<JoinHandle<()>>,
}

/// The state shared by the threads of a pool.
struct Shared {
    /// The number of tasks of the current job that no thread has taken. The thread that decrements it owns one
    /// task, and until that task is finished the job is not finished, so `job` stays valid.
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
    /// A pool of `threads` threads, including the caller; at least one. If the system gives fewer threads (or none,
    /// as in WebAssembly), fewer work.
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

    /// The number of threads, including the caller.
    pub fn threads(&self) -> usize {
        self.workers.len() + 1
    }

    /// Runs `task(0)`, …, `task(tasks - 1)`, handed out in this order to free threads; returns when all are done.
    /// If one panics, this call panics when the others are done. A task must not call this on its own pool: it
    /// would wait for itself.
    pub fn run(&self, tasks: usize, task: &(dyn Fn(usize) + Sync)) {
        if tasks <= 1 || self.workers.is_empty() {
            return (0..tasks).for_each(task);
        }
        let turn = guard(&self.turn);
        // SAFETY: only the lifetime is erased; `job` ends before `task` does, since all tasks finish below.
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
        // No thread passes before all have arrived, so no thread takes two tasks.
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
    /// The loop of a worker thread.
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
        // SAFETY: this thread owns an unfinished task of the job, so the job is still on its caller's stack.
        let job = unsafe { &*self.job.load(Acquire) };
        // SAFETY: as above, for the closure it points to.
        let task = unsafe { &*job.task };
        if let Err(panic) = catch_unwind(AssertUnwindSafe(|| task(job.tasks - waiting))) {
            guard(&job.panic).get_or_insert(panic);
        }
        // After this line the job may no longer exist.
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

/// Locks, even after a panic: the lock protects nothing that could be left inconsistent.
fn guard<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Waits a moment: briefly at first, then yielding the core.
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

// SAFETY: handing out parts is unsafe, and its caller guarantees that they do not overlap.
unsafe impl<T: Send> Sync for Parts<'_, T> {}
// SAFETY: it is a `&mut [T]`.
unsafe impl<T: Send> Send for Parts<'_, T> {}

impl<'a, T> Parts<'a, T> {
    /// Parts of all of `slice`.
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
        // SAFETY: inside the slice, and by contract not used by any other task.
        unsafe { std::slice::from_raw_parts_mut(self.start.add(range.start), range.len()) }
    }

    /// The start of the slice, for kernels that write columns. Different tasks must write different elements.
    pub(crate) fn start(&self) -> *mut T {
        self.start
    }
}
