//! A model at work: prompts, tokens one after another, sequences together.

use glass::backend::Cpu;
use glass::loaded::Loaded;

use super::BEHIND;
use super::timing::seconds;

/// Sequences that are decoded together.
const TOGETHER: [usize; 4] = [2, 4, 8, 16];

/// Positions that each of them has read.
const READ: usize = 64;

/// Tokens per second.
pub struct Running {
    /// Bytes of weights that a token reads.
    pub bytes: usize,
    /// Bytes of keys and values that a token behind the prompt reads.
    pub cache: usize,
    /// A prompt in one pass.
    pub prefill: f64,
    /// From an empty context.
    pub decode: f64,
    /// Behind the prompt.
    pub decode_behind: f64,
    /// So many sequences, each a token a pass: all their tokens.
    pub batches: Vec<(usize, f64)>,
}

impl Running {
    /// With a prompt of `tokens`.
    pub fn measured(loaded: &Loaded<Cpu>, tokens: usize) -> glass::Result<Running> {
        let config = loaded.config();
        let id = |place: usize| (place * 7919 % config.vocabulary) as u32;
        let ids: Vec<u32> = (0..tokens + BEHIND).map(id).collect();
        let mut runner = loaded.runner()?;
        let prefill = seconds(|| {
            runner.truncate(0);
            runner.feed(&ids[..tokens])
        })?;
        let mut decode = |from: usize| {
            seconds(|| {
                runner.truncate(from);
                ids[from..from + BEHIND].iter().try_for_each(|&id| runner.feed(&[id]))
            })
        };
        let behind = decode(tokens)?;
        let empty = decode(0)?;
        let per_position = 2 * config.layers * config.heads.key * config.heads.size;
        let width = if loaded.cache == glass::backend::CacheType::F32 { 4 } else { 2 };
        Ok(Running {
            bytes: loaded.read_bytes(),
            cache: (tokens + BEHIND / 2) * per_position * width,
            prefill: tokens as f64 / prefill,
            decode: BEHIND as f64 / empty,
            decode_behind: BEHIND as f64 / behind,
            batches: batches(loaded, &ids)?,
        })
    }
}

fn batches(loaded: &Loaded<Cpu>, ids: &[u32]) -> glass::Result<Vec<(usize, f64)>> {
    let mut batch = loaded.batch(TOGETHER[TOGETHER.len() - 1], READ + BEHIND)?;
    let (read, steps) = (READ.min(ids.len() - BEHIND), BEHIND / 2);
    let mut rates = Vec::new();
    for sequences in TOGETHER {
        for slot in 0..sequences {
            batch.prompt(slot, &ids[..read])?;
        }
        let taken = seconds(|| {
            (0..sequences).for_each(|slot| batch.truncate(slot, read));
            (read..read + steps).try_for_each(|place| {
                let parts: Vec<(usize, &[u32])> =
                    (0..sequences).map(|slot| (slot, &ids[place..=place])).collect();
                batch.feed(&parts, ())
            })
        })?;
        rates.push((sequences, (sequences * steps) as f64 / taken));
    }
    Ok(rates)
}
