//! Layers whose queries see a window keep only that much of their keys and values.

use glass::Config;
use glass::backend::{CacheType, Cpu};
use glass::config::LayerAttention;
use glass::generate::{Batch, Room};
use glass::memory::{BRANCHES, Cache};
use glass::model::footprint::Footprint;
use glass::weights::Weights;

use crate::tiny;

/// More than a pass of 512 tokens, a window and a block.
const POSITIONS: usize = 1_000;

/// Two layers, of which the first sees 9 positions.
fn config() -> Config {
    let narrow = LayerAttention { window: Some(9), ..LayerAttention::default() };
    Config { attention: vec![narrow, LayerAttention::default()], ..Config::gpt2(31, POSITIONS, 24, 2, 3) }
}

fn with_batch<T>(config: &Config, cache: CacheType, work: impl FnOnce(Batch<'_, Cpu>) -> T) -> T {
    let learner = tiny::learner(config, 2, 1);
    let (frozen, backend) = (tiny::frozen(&learner), Cpu::new(2));
    let (gpt, _) = learner.model();
    let room = Room { slots: 1, positions: POSITIONS, cache };
    work(Batch::new(&backend, gpt, Weights::<Cpu>::Frozen(&frozen), room).unwrap())
}

fn logits(batch: &Batch<'_, Cpu>) -> Vec<u32> {
    let mut row = vec![0.0; 31];
    batch.logits(0, &mut row).unwrap();
    row.iter().map(|x: &f32| x.to_bits()).collect()
}

#[test]
fn memory_is_counted_as_it_is_allocated() {
    // Of the first layer ⌈(9 + 512 − 2) / 64⌉ + 1 = 10 blocks, of the second all 1,000 positions.
    assert_eq!(Cache::<Cpu>::kept_positions(&config(), POSITIONS, 512), 640 + 1_000);
    assert_eq!(Footprint::of(&config(), POSITIONS).kv_cache_bytes, 2 * 1_640 * 24 * 4);
    // Where everything fits, everything is kept.
    assert_eq!(Footprint::of(&config(), 300).kv_cache_bytes, 2 * 600 * 24 * 4);
    let cache =
        |config: &Config| Cache::new(&Cpu::new(1), config, CacheType::F32, 1, POSITIONS, 512).unwrap();
    let (mut narrow, mut wide) = (cache(&config()), cache(&Config::gpt2(31, POSITIONS, 24, 2, 3)));
    // Those of branches take memory once they are written.
    let blocks = |cache: &mut Cache<Cpu>, layer| cache.at(layer).shape.blocks - 2 * BRANCHES;
    assert_eq!([blocks(&mut narrow, 0), blocks(&mut narrow, 1)], [10, 16]);
    assert_eq!([blocks(&mut wide, 0), blocks(&mut wide, 1)], [16, 16]);
}

/// A layer whose keys others read keeps what the widest of their windows sees.
#[test]
fn keys_are_kept_for_all_that_read_them() {
    let own = config().attention[0].clone();
    let reads = |window| LayerAttention { window, keys_from: Some(1), ..LayerAttention::default() };
    for (window, blocks) in [(Some(200), 13), (None, 16)] {
        let config = Config { attention: vec![own.clone(), reads(window)], ..config() };
        let kept = Cache::<Cpu>::kept_positions(&config, POSITIONS, 512);
        assert_eq!(kept as usize, POSITIONS.min(64 * blocks));
        let mut cache = Cache::new(&Cpu::new(1), &config, CacheType::F32, 1, POSITIONS, 512).unwrap();
        assert_eq!([0, 1].map(|layer| cache.at(layer).shape.blocks - 2 * BRANCHES), [blocks; 2]);
        let ids = tiny::ids(POSITIONS, 31, 5);
        let whole = with_batch(&config, CacheType::F32, |mut batch| {
            batch.prompt(0, &ids).unwrap();
            logits(&batch)
        });
        with_batch(&config, CacheType::F32, |mut batch| {
            batch.prompt(0, &ids[..700]).unwrap();
            for at in 700..POSITIONS {
                batch.feed(&[(0, &ids[at..=at])], ()).unwrap();
            }
            assert!(logits(&batch) == whole, "{window:?}");
        });
    }
}

/// In whole passes, one by one, after a prompt that has a beginning in common, near or far back.
#[test]
fn the_same_bits_however_the_text_was_read() {
    for kind in [CacheType::F32, CacheType::Bf16] {
        with_batch(&config(), kind, |mut batch| {
            let (ids, other) = (tiny::ids(POSITIONS, 31, 5), tiny::ids(POSITIONS, 31, 6));
            let mut after = vec![Vec::new(); POSITIONS + 1];
            for at in 0..POSITIONS {
                batch.feed(&[(0, &ids[at..=at])], ()).unwrap();
                after[at + 1] = logits(&batch);
            }
            // What those that follow see is gone: all is read again.
            batch.truncate(0, 300);
            assert!(batch.ids(0).is_empty());
            for (own, rest) in
                [(1_000, 0), (940, 60), (700, 30), (300, 0), (0, 700), (650, 0), (660, 5), (200, 800)]
            {
                let text: Vec<u32> = ids[..own].iter().chain(&other[..rest]).copied().collect();
                batch.prompt(0, &text).unwrap();
                if rest == 0 {
                    assert!(logits(&batch) == after[own], "{own} ids, {kind:?}");
                }
            }
            batch.truncate(0, 0);
            batch.prompt(0, &ids[..600]).unwrap();
            batch.feed(&[(0, &other[..100])], ()).unwrap();
            batch.truncate(0, 600);
            assert_eq!(batch.ids(0).len(), 600, "as much as a pass may add is kept");
            for at in 600..700 {
                batch.feed(&[(0, &ids[at..=at])], ()).unwrap();
                assert!(logits(&batch) == after[at + 1], "{at}, {kind:?}");
            }
        });
    }
}
