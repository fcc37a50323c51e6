//! Medians of turns.

use std::time::Instant;

/// Seconds after which no turn begins.
const ENOUGH: f64 = 0.4;

/// Turns that there are at least.
const LEAST: usize = 3;

/// Median seconds of a turn, after one that is not counted.
pub fn seconds(mut turn: impl FnMut() -> glass::Result<()>) -> glass::Result<f64> {
    turn()?;
    let (begun, mut taken) = (Instant::now(), Vec::new());
    while taken.len() < LEAST || begun.elapsed().as_secs_f64() < ENOUGH {
        let turned = Instant::now();
        turn()?;
        taken.push(turned.elapsed().as_secs_f64());
    }
    taken.sort_by(f64::total_cmp);
    Ok(taken[taken.len() / 2])
}
