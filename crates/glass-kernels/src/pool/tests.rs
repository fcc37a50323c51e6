use std::sync::atomic::{AtomicUsize, Ordering::*};

use super::{Parts, Pool};

#[test]
fn every_task_once() {
    for threads in 1..=4 {
        let pool = Pool::new(threads);
        assert_eq!(pool.threads(), threads);
        for tasks in (0..40).chain([1000]) {
            let counts: Vec<AtomicUsize> = (0..tasks).map(|_| AtomicUsize::new(0)).collect();
            pool.run(tasks, &|i| {
                counts[i].fetch_add(1, Relaxed);
            });
            assert!(counts.iter().all(|count| count.load(Relaxed) == 1), "{tasks} tasks, {threads} threads");
        }
    }
}

#[test]
fn threads_that_sleep_wake_up() {
    let pool = Pool::new(2);
    for _ in 0..3 {
        while pool.shared.sleepers.load(SeqCst) == 0 {
            std::thread::yield_now();
        }
        // Each of two tasks waits for the other, so a single thread would never finish.
        let here = std::sync::Barrier::new(2);
        pool.run(2, &|_| {
            here.wait();
        });
    }
}

#[test]
fn a_panic_comes_back_and_the_pool_goes_on() {
    let pool = Pool::new(3);
    let done = AtomicUsize::new(0);
    let caught = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        pool.run(50, &|i| {
            done.fetch_add(1, Relaxed);
            assert!(i != 17, "seventeen");
        });
    }));
    let what = *caught.unwrap_err().downcast::<&str>().unwrap();
    assert_eq!((what, done.load(Relaxed)), ("seventeen", 50));
    pool.run(50, &|_| {
        done.fetch_add(1, Relaxed);
    });
    assert_eq!(done.load(Relaxed), 100);
}

#[test]
fn callers_take_turns() {
    let pool = Pool::new(2);
    let sum = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..200 {
                    pool.run(7, &|i| {
                        sum.fetch_add(i, Relaxed);
                    });
                }
            });
        }
    });
    assert_eq!(sum.load(Relaxed), 4 * 200 * 21);
}

#[test]
#[should_panic]
fn parts_stay_inside_the_slice() {
    let mut numbers = [0; 5];
    let parts = Parts::new(&mut numbers);
    // SAFETY: one part only.
    unsafe { parts.part(3..6) };
}
