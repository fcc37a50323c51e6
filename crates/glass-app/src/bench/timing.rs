//! Medians of repeated runs.

use std::time::Instant;

/// Seconds after which no further run begins.
const ENOUGH: f64 = 0.4;

/// The smallest number of runs.
const LEAST: usize = 3;

/// Median seconds of a run, after a first one that is not counted.
pub fn seconds(mut run: impl FnMut() -> glass::Result<()>) -> glass::Result<f64> {
    run()?;
    let (begun, mut taken) = (Instant::now(), Vec::new());
    while taken.len() < LEAST || begun.elapsed().as_secs_f64() < ENOUGH {
        let started = Instant::now();
        run()?;
        taken.push(started.elapsed().as_secs_f64());
    }
    taken.sort_by(f64::total_cmp);
    Ok(taken[taken.len() / 2])
}
