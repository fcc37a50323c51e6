//! The guarantee holds, and the check would notice a violation.

use std::rc::Rc;
use std::sync::Arc;

use glass::Config;
use glass::backend::{CacheType, Cpu, Packing};
use glass::generate::Guesses;
use glass::model::Gpt;
use glass::plan::Spec;
use glass::runtime::Model;
use glass::train::learner::Arena;
use glass::verify::{Compared, Way, verify};
use glass::weights::Frozen;

use crate::tiny;

/// Longer than two blocks of attention.
fn config() -> Config {
    Config { context: 160, ..tiny::config() }
}

/// The change in the model used for one of the ways.
#[derive(Clone, Copy, PartialEq)]
enum Changed {
    Nothing,
    /// Two neurons of a hidden layer are swapped: the same model, but one sum is taken in another order.
    Order,
}

fn loaded(threads: usize, packing: Packing, cache: CacheType, changed: Changed) -> Rc<Model<Cpu>> {
    let mut learner = tiny::learner(&config(), 1, 1);
    let plan = learner.plan().clone();
    if changed == Changed::Order {
        let mut values = learner.arena(Arena::Weights);
        let mut swap = |name: &str, stride: usize, of_rows: bool| {
            let spec = plan.specs.iter().find(|spec| spec.name == name).unwrap();
            let values = &mut values[spec.span.clone()];
            match of_rows {
                true => (0..stride).for_each(|i| values.swap(3 * stride + i, 70 * stride + i)),
                false => values.chunks_exact_mut(stride).for_each(|row| row.swap(3, 70)),
            }
        };
        swap("block.1.mlp.up.weight", 24, true);
        swap("block.1.mlp.up.bias", 1, true);
        swap("block.1.mlp.down.weight", 96, false);
        learner.set_arena(Arena::Weights, &values);
    }
    let cpu = Cpu::new(threads);
    let read = |spec: &Spec, into: &mut [f32]| {
        learner.read(spec, into);
        Ok(())
    };
    let weights = Frozen::load(&cpu, &Arc::new(plan.clone()), packing, &read).unwrap();
    Rc::new(Model::new(cpu, Gpt::plan(&config()).0, weights, cache))
}

/// All comparisons, where the ways in `other` use a changed model.
fn compared(
    ways: &[Way],
    packing: Packing,
    cache: CacheType,
    other: &[Way],
    changed: Changed,
) -> Vec<Compared> {
    let mut all = Vec::new();
    let mut open = |way: Way| {
        let threads = if let Way::Threads(threads) | Way::Served(threads) = way { threads } else { 2 };
        let changed = if other.contains(&way) { changed } else { Changed::Nothing };
        Ok(loaded(threads, packing, cache, changed))
    };
    verify(ways, &mut open, &mut |found| all.push(found)).unwrap();
    all
}

#[test]
fn every_way_gives_the_same_bits() {
    for (packing, cache) in
        Packing::ALL.into_iter().zip([CacheType::F32, CacheType::Bf16].into_iter().cycle())
    {
        let all = compared(&Way::ALL[1..], packing, cache, &[], Changed::Nothing);
        assert_eq!(all.len(), Way::ALL.len() - 1);
        for found in all {
            assert_eq!(found.differs, None, "{packing:?} {cache:?} {}", found.way);
            assert!(found.numbers > 100, "{}: {} numbers", found.way, found.numbers);
            // Right and wrong ones, so that both are compared; the service makes those alone that save time.
            let Guesses { all, right } = found.guesses;
            if let Way::Guessed(_) | Way::Served(_) = found.way {
                let wrong = if let Way::Guessed(_) = found.way { 50 } else { 0 };
                assert!(right > 50 && all > right + wrong, "{}: {right} of {all} guesses", found.way);
            }
        }
    }
}

/// Also where layers read the keys of one with a narrower window.
#[test]
fn every_way_gives_the_same_bits_where_layers_read_the_keys_of_others() {
    let (_, config) = crate::switches::all().pop().unwrap();
    let config = glass::Config { context: 160, ..config };
    let learner = tiny::learner(&config, 1, 1);
    let mut open = |way: Way| {
        let threads = if let Way::Threads(threads) | Way::Served(threads) = way { threads } else { 2 };
        let gpt = Gpt::plan(&config).0;
        Ok(Rc::new(Model::new(Cpu::new(threads), gpt, tiny::frozen(&learner), CacheType::F32)))
    };
    let mut each = |found: Compared| assert_eq!(found.differs, None, "{}", found.way);
    verify(&Way::ALL[1..], &mut open, &mut each).unwrap();
}

/// Where hardly anything is guessed, since there is no room or there are hardly any tokens.
#[test]
fn tiny_models_are_verified() {
    let sizes = [(4, 31), (5, 31), (7, 2), (23, 31), (31, 3), (32, 31), (41, 1), (63, 2), (65, 31)];
    for (context, vocabulary) in sizes {
        let config = Config { context, vocabulary, ..tiny::config() };
        let learner = tiny::learner(&config, 1, 1);
        let mut open = |_| {
            let gpt = Gpt::plan(&config).0;
            Ok(Rc::new(Model::new(Cpu::new(1), gpt, tiny::frozen(&learner), CacheType::F32)))
        };
        let mut each =
            |found: Compared| assert_eq!(found.differs, None, "{context} {vocabulary} {}", found.way);
        verify(&Way::ALL[5..15], &mut open, &mut each).unwrap();
    }
}

/// A way, and the others that are quick.
fn beside(way: Way) -> Vec<Way> {
    let quick = |other: &Way| *other == way || !matches!(other, Way::AtOnce | Way::Served(_));
    Way::ALL.into_iter().filter(quick).collect()
}

#[test]
fn one_sum_in_another_order_is_noticed_in_every_way() {
    for way in Way::ALL.into_iter().skip(1) {
        let all = compared(&beside(way), Packing::F32, CacheType::F32, &[way], Changed::Order);
        for found in all {
            assert_eq!(found.differs.is_some(), found.way == way, "{way} changed: {found:?}");
        }
    }
}
