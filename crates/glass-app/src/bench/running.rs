//! The speed of a model: of prompts, of single tokens, of batches.

use glass::backend::Cpu;
use glass::runtime::Model;

use super::DECODED;
use super::timing::seconds;

/// Sizes of the batches that are measured.
const TOGETHER: [usize; 4] = [2, 4, 8, 16];

/// Positions that each sequence of a batch has read.
const READ: usize = 64;

/// Tokens per second.
pub struct Running {
    /// Bytes of weights read per token.
    pub bytes: usize,
    /// Bytes of keys and values read per token after the prompt.
    pub cache: usize,
    /// A prompt in one pass.
    pub prefill: f64,
    /// From an empty context.
    pub decode: f64,
    /// After the prompt.
    pub decode_after: f64,
    /// For each batch size, the rate of all its sequences together.
    pub batches: Vec<(usize, f64)>,
}

impl Running {
    /// With a prompt of `tokens`.
    pub fn measured(model: &Model<Cpu>, tokens: usize) -> glass::Result<Running> {
        let config = model.config();
        let id = |place: usize| (place * 7919 % config.vocabulary) as u32;
        let ids: Vec<u32> = (0..tokens + DECODED).map(id).collect();
        let mut runner = model.runner()?;
        let prefill = seconds(|| {
            runner.truncate(0);
            runner.feed(&ids[..tokens])
        })?;
        let mut decode = |from: usize| {
            seconds(|| {
                runner.truncate(from);
                ids[from..from + DECODED].iter().try_for_each(|&id| runner.feed(&[id]))
            })
        };
        let after = decode(tokens)?;
        let empty = decode(0)?;
        let per_position = 2 * config.layers * config.heads.key * config.heads.size;
        let width = if model.cache == glass::backend::CacheType::F32 { 4 } else { 2 };
        Ok(Running {
            bytes: model.read_bytes(),
            cache: (tokens + DECODED / 2) * per_position * width,
            prefill: tokens as f64 / prefill,
            decode: DECODED as f64 / empty,
            decode_after: DECODED as f64 / after,
            batches: batches(model, &ids)?,
        })
    }
}

fn batches(model: &Model<Cpu>, ids: &[u32]) -> glass::Result<Vec<(usize, f64)>> {
    let mut batch = model.batch(TOGETHER[TOGETHER.len() - 1], READ + DECODED)?;
    let (read, steps) = (READ.min(ids.len() - DECODED), DECODED / 2);
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
