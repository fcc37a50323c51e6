//! The most probable tokens without sorting all of them.
//!
//! A token is packed with its score into one integer with the wanted order: higher scores first, equal ones by
//! lower id. Selecting and sorting are then plain comparisons of `u64`.

/// Packs a token and its score, which is not NaN.
#[inline]
pub(super) fn key(score: f32, id: u32) -> u64 {
    let bits = (score + 0.0).to_bits(); // -0 and 0 are equal
    let ordered = if bits >> 31 == 1 { !bits } else { bits | 1 << 31 };
    u64::from(ordered) << 32 | u64::from(!id)
}

/// The token of a key.
#[inline]
pub(super) fn id_of(key: u64) -> u32 {
    !(key as u32)
}

/// The score of a key.
#[inline]
pub(super) fn score_of(key: u64) -> f32 {
    let ordered = (key >> 32) as u32;
    f32::from_bits(if ordered >> 31 == 1 { ordered ^ 1 << 31 } else { !ordered })
}

/// Sets `keys` to the keys of the `count` highest scores, in no order. One pass: scores below the lowest of the
/// `count` keys found so far are skipped, and the list is reduced whenever it has doubled.
pub(super) fn largest(scores: &[f32], count: usize, keys: &mut Vec<u64>) {
    keys.clear();
    if count == 0 {
        return;
    }
    let count = count.min(scores.len());
    let mut lowest = 0;
    for (&score, id) in scores.iter().zip(0..) {
        let key = key(score, id);
        if key >= lowest {
            keys.push(key);
            if keys.len() == 2 * count {
                lowest = thin(keys, count);
            }
        }
    }
    thin(keys, count);
}

/// Keeps the `count` largest keys, and returns the smallest of them.
fn thin(keys: &mut Vec<u64>, count: usize) -> u64 {
    if keys.len() <= count {
        return 0;
    }
    let (_, &mut lowest, _) = keys.select_nth_unstable_by(count - 1, |a, b| b.cmp(a));
    keys.truncate(count);
    lowest
}

/// How many of the largest keys to keep, which are moved to the front in descending order, and their weight: as few
/// as hold at least `enough`, and none that weighs less than `min_p` times the first. Always at least one.
///
/// Sorts only as far as necessary: the largest 64, then four times as many, and so on.
pub(super) fn nucleus(keys: &mut [u64], weights: &[f64], enough: f64, min_p: f64) -> (usize, f64) {
    let mut sum = 0.0;
    let (mut kept, mut sorted) = (0, 0);
    let mut floor = 0.0;
    while kept < keys.len() {
        if kept == sorted {
            sorted = (4 * sorted).max(64).min(keys.len());
            let rest = &mut keys[kept..];
            if sorted - kept < rest.len() {
                rest.select_nth_unstable_by(sorted - kept, |a, b| b.cmp(a));
            }
            rest[..sorted - kept].sort_unstable_by(|a, b| b.cmp(a));
        }
        let weight = weights[id_of(keys[kept]) as usize];
        if kept == 0 {
            floor = min_p * weight;
        } else if sum >= enough || weight < floor {
            break;
        }
        sum += weight;
        kept += 1;
    }
    (kept, sum)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_few_are_kept_as_hold_exactly_enough() {
        let weights = [0.5, 0.25, 0.125, 0.125];
        let kept = |enough, min_p| {
            let mut keys: Vec<u64> = (0..4).map(|id| key(weights[id as usize] as f32, id)).collect();
            nucleus(&mut keys, &weights, enough, min_p)
        };
        assert_eq!(kept(0.5, 0.0), (1, 0.5));
        assert_eq!(kept(0.75, 0.0), (2, 0.75));
        assert_eq!(kept(0.76, 0.0), (3, 0.875));
        assert_eq!(kept(f64::INFINITY, 0.25), (4, 1.0), "an eighth is a quarter of a half");
        assert_eq!(kept(f64::INFINITY, 0.5), (2, 0.75));
    }

    #[test]
    fn keys_order_by_score_then_by_lower_id() {
        let order = [(2.0, 7), (0.5, 0), (0.0, 1), (-0.0, 2), (-1e-30, 0), (-3.0, 4), (f32::NEG_INFINITY, 1)];
        for pair in order.windows(2) {
            assert!(key(pair[0].0, pair[0].1) > key(pair[1].0, pair[1].1), "{pair:?}");
        }
        for (score, id) in order {
            assert_eq!((score_of(key(score, id)), id_of(key(score, id))), (score, id));
        }
    }
}
