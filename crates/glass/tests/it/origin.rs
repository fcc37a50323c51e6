//! Where numbers come from: every equation gives the number that the pass computed, but for the rounding of 32-bit floats.

use std::collections::{BTreeMap, BTreeSet};

use glass::Config;
use glass::backend::{Cpu, InputScales, Packing, Precision};
use glass::config::{NormKind, NormOver, Placement};
use glass::inspect::edit::Change;
use glass::inspect::origin::{Kind, LISTED, Number, Origin, Statistic, Tracer};
use glass::inspect::{Edit, Edits, Inspector, Record};
use glass::model::Gpt;
use glass::next_token;
use glass::probe::{Part, Site};
use glass::runtime::{Model, cache_for};
use glass::weights::Frozen;
use glass_kernels::Cores;

use crate::{switches, tiny};

/// Two heads of 24 numbers: scores are scaled by no power of two, and blocks of 32 inputs end within a head. More than one block of keys.
fn config() -> Config {
    Config::gpt2(70, 100, 48, 2, 2)
}

fn model(cpu: Cpu, config: &Config, packing: Packing) -> Model<Cpu> {
    let (gpt, plan) = Gpt::plan(config);
    let learner = tiny::learner(config, 1, 3);
    let read = |spec: &glass::plan::Spec, into: &mut [f32]| {
        learner.read(spec, into);
        // No bias of zero and no gain of one.
        if spec.is_vector() {
            into.iter_mut().enumerate().for_each(|(at, x)| *x += 0.1 * (at as f32 * 0.7).sin());
        }
        Ok(())
    };
    let weights = Frozen::load(&cpu, &plan, packing, &read).unwrap();
    Model::new(cpu, gpt, weights, cache_for(packing))
}

/// A pass that was recorded at all sites.
struct Seen<'m> {
    model: &'m Model<Cpu>,
    ids: Vec<u32>,
    edits: Vec<Edit>,
    record: Record,
}

impl<'m> Seen<'m> {
    fn of(model: &'m Model<Cpu>, edits: Vec<Edit>) -> Seen<'m> {
        let ids = tiny::ids(90, model.config().vocabulary, 5);
        let mut inspector = Inspector::new(model, ids.len(), 1).unwrap();
        let mut record = Record::of(Site::all(model.config()));
        inspector.run(&[&ids], (Edits::new(edits.clone()), &mut record)).unwrap();
        Seen { model, ids, edits, record }
    }

    fn origin(&self, number: &Number, listed: usize) -> Origin {
        let mut tracer = Tracer::new(self.model, &self.ids, &self.edits);
        tracer.listed = listed;
        let heads = self.model.config().heads.query;
        let rows = &mut |site, head, position| Ok(self.record.row(site, head, heads, position)?.to_vec());
        tracer.origin(number, rows).unwrap()
    }
}

/// Some numbers of a site.
fn numbers(config: &Config, site: Site, len: usize) -> Vec<Number> {
    let of_head = site.is_square() || matches!(site, Site::Block(_, Part::Contribution));
    let cols = match site {
        Site::Block(_, Part::Contribution) => config.width,
        _ => site.cols(config, len),
    };
    let mut numbers = Vec::new();
    for position in [0, 1, 63, 64, len - 1] {
        for head in 0..if of_head { config.heads.query } else { 1 } {
            // A step that passes by both halves of a head, and by every head.
            for index in (0..cols).step_by((cols / 7).max(1)) {
                numbers.push(Number::At { site, position, head, index });
            }
        }
    }
    numbers
}

/// How much a number may differ, as a share of its value and of what is summed: less than 50 roundings of a 32-bit float.
const TOLERANCE: f64 = 3e-6;

/// A float's rounding of the value, or of what is added.
fn close(number: &Number, origin: &Origin, name: &str) {
    let size = |x: f64| if x.is_finite() { x.abs() } else { 0.0 };
    let parts: f64 = origin.inputs.iter().map(|input| size(input.part.unwrap_or(input.factor.value))).sum();
    let allowed = TOLERANCE * (parts + size(origin.value));
    assert!(origin.rounding().abs() <= allowed, "{name}: {number:?} {origin:#?}");
}

/// Every operand that is named has the value that it is shown with.
fn operands_are_themselves(seen: &Seen<'_>, origin: &Origin) {
    for factor in origin.inputs.iter().flat_map(|input| input.times.iter().chain([&input.factor])) {
        let Some(number) = &factor.number else { continue };
        let own = seen.origin(number, LISTED);
        assert_eq!(own.value.to_bits(), factor.value.to_bits(), "{number:?}");
        assert_eq!(own.kind, factor.kind);
    }
}

/// What norms give, and how many parts of a row are normalised for themselves.
fn norms(config: &Config) -> Vec<(Site, usize)> {
    let apart = config.query_key_norm.is_some_and(|norm| norm.over == NormOver::Head);
    let heads = |heads| if apart { heads } else { 1 };
    let all = [
        (config.placement.is_before(), Part::AttentionNorm, 1),
        (config.placement.is_before(), Part::MlpNorm, 1),
        (config.placement.is_after(), Part::AttentionOut, 1),
        (config.placement.is_after(), Part::MlpOut, 1),
        (config.query_key_norm.is_some(), Part::QueryNorm, heads(config.heads.query)),
        (config.query_key_norm.is_some(), Part::KeyNorm, heads(config.heads.key)),
    ];
    let in_block = |layer| {
        let has = all.into_iter().filter(|(has, ..)| *has);
        let sites = has.map(move |(_, part, heads)| (Site::Block(layer, part), heads));
        sites.filter(|(site, _)| site.is_in(config))
    };
    let around = [(true, Site::Norm), (config.embedding_norm, Site::Embedding)];
    let around = around.into_iter().filter(|(has, _)| *has).map(|(_, site)| (site, 1));
    around.chain((0..config.layers).flat_map(in_block)).collect()
}

fn check_all(seen: &Seen<'_>, name: &str) {
    let config = seen.model.config();
    let mut asked: Vec<Number> =
        Site::all(config).into_iter().flat_map(|site| numbers(config, site, seen.ids.len())).collect();
    let of_norm: &[Statistic] = match config.norm.kind {
        NormKind::Layer => &[Statistic::Mean, Statistic::Variance, Statistic::InverseDeviation],
        NormKind::Rms => &[Statistic::MeanSquare, Statistic::InverseDeviation],
    };
    for (site, heads) in norms(config) {
        for (head, &of) in (0..heads).flat_map(|head| of_norm.iter().map(move |of| (head, of))) {
            asked.push(Number::Statistic { of, site, position: 70, head });
        }
    }
    for of in [Statistic::Largest, Statistic::Sum] {
        asked.push(Number::Statistic { of, site: Site::Block(1, Part::Pattern), position: 70, head: 1 });
        asked.push(Number::Statistic { of, site: Site::Logits, position: 70, head: 0 });
    }
    asked.extend([0, 9, 30].map(|token| Number::Probability { token, position: 80 }));
    for (at, number) in asked.iter().enumerate() {
        let all = seen.origin(number, usize::MAX);
        if all.edited.is_none() {
            close(number, &all, name);
        }
        assert_eq!((all.more, all.more_sum), (0, 0.0));
        let some = seen.origin(number, 3);
        assert_eq!((some.value.to_bits(), some.sum.to_bits()), (all.value.to_bits(), all.sum.to_bits()));
        if some.inputs.iter().all(|input| input.part.is_some())
            && !some.inputs.is_empty()
            && some.sum.is_finite()
        {
            let parts: f64 = some.inputs.iter().filter_map(|input| input.part).sum();
            assert!(
                (parts + some.more_sum - some.sum).abs() <= 1e-9 * some.sum.abs().max(1.0),
                "{number:?} {some:#?}"
            );
        }
        if at % 11 == 0 {
            operands_are_themselves(seen, &some);
        }
    }
}

#[test]
fn every_equation_gives_what_the_pass_computed() {
    for packing in Packing::ALL {
        let model = model(Cpu::new(1), &config(), packing);
        check_all(&Seen::of(&model, Vec::new()), packing.name());
    }
}

/// Every choice of the configuration, alone and together; as floats, and with 16 bits for keys and values.
#[test]
fn every_equation_gives_what_the_pass_computed_with_every_switch() {
    let learned = Config { embedding_norm: true, ..config() };
    let both = Config { placement: Placement::Both, ..config() };
    let more = [("norm of a token and a position", learned), ("LayerNorm on both sides", both)];
    for (name, config) in switches::all().into_iter().chain(more) {
        let config = Config { context: 100, ..config };
        for packing in [Packing::F32, Packing::Q8] {
            let model = model(Cpu::new(1), &config, packing);
            check_all(&Seen::of(&model, Vec::new()), &format!("{name}, {}", packing.name()));
        }
    }
}

#[test]
fn other_ways_to_round_inputs_and_other_activations() {
    let powers = Cpu::new(1).with_input_scales(InputScales::PowersOfTwo);
    check_all(&Seen::of(&model(powers, &config(), Packing::Q8), Vec::new()), "powers of two");
    let mixed = Cpu::on(Cores::new(1).with_precision(Precision::Mixed));
    check_all(&Seen::of(&model(mixed, &config(), Packing::F32), Vec::new()), "mixed");
    for activation in glass::backend::Activation::ALL {
        let config = Config { activation, bias: false.into(), tied: false, ..config() };
        let model = model(Cpu::new(1), &config, Packing::F32);
        check_all(&Seen::of(&model, Vec::new()), &format!("{activation:?}"));
    }
}

/// Without the roundings that a product makes of its inputs, the sums would be further off than the tolerance.
#[test]
fn the_roundings_of_products_are_needed() {
    let model = model(Cpu::new(1), &config(), Packing::Q8);
    let seen = Seen::of(&model, Vec::new());
    let mut worse = 0;
    for number in numbers(&config(), Site::Block(1, Part::MlpOut), 90) {
        let origin = seen.origin(&number, usize::MAX);
        let of = |input: &glass::inspect::origin::Input| match &input.times {
            Some(times) => input.factor.value * times.value,
            None => input.factor.value,
        };
        let unrounded: f64 = origin.inputs.iter().map(of).sum();
        let parts: f64 = origin.inputs.iter().filter_map(|input| input.part).map(f64::abs).sum();
        worse += usize::from((origin.value - unrounded).abs() > 10.0 * TOLERANCE * parts);
    }
    assert!(worse > 20, "{worse}");
}

#[test]
fn a_probability_is_that_of_sampling() {
    let model = model(Cpu::new(1), &config(), Packing::F32);
    let seen = Seen::of(&model, Vec::new());
    let logits = seen.record.get(Site::Logits).unwrap().row(40).to_vec();
    let origin = seen.origin(&Number::Probability { token: 3, position: 40 }, LISTED);
    assert_eq!(origin.value, next_token::logprob(&logits, 3).exp());
}

/// From a probability back to weights, by the operand that adds the most.
#[test]
fn steps_back_end_at_weights() {
    let model = model(Cpu::new(1), &config(), Packing::Q8);
    let seen = Seen::of(&model, Vec::new());
    let mut kinds = BTreeMap::new();
    let mut ahead = vec![Number::Probability { token: 3, position: 89 }];
    for _ in 0..4000 {
        let Some(number) = ahead.pop() else { break };
        let origin = seen.origin(&number, 2);
        if let Number::At { site, .. } = number {
            kinds.insert(site, ());
        }
        if let Kind::Weight = origin.kind {
            assert!(matches!(number, Number::Weight { .. }) && origin.inputs.is_empty());
        }
        ahead.extend(origin.inputs.into_iter().filter_map(|input| input.factor.number).rev());
    }
    // The way back passes by most kinds of sites.
    assert!(kinds.len() > 10 && kinds.contains_key(&Site::Token), "{kinds:?}");
}

/// What only some models have is refused by the others.
#[test]
fn numbers_of_other_models_are_refused() {
    let everything = switches::all().pop().unwrap().1;
    let ids = [1, 2, 3];
    let at = |site| Number::At { site, position: 0, head: 0, index: 0 };
    let statistic = |of, part, head| {
        let site = Site::Block(0, part);
        Number::Statistic { of, site, position: 0, head }
    };
    for (config, numbers) in [
        (
            config(),
            vec![
                at(Site::Block(0, Part::QueryRotated)),
                at(Site::Block(0, Part::KeyNorm)),
                at(Site::Block(0, Part::Up)),
                at(Site::Block(0, Part::MlpUnnormed)),
                statistic(Statistic::MeanSquare, Part::MlpNorm, 0),
                statistic(Statistic::InverseDeviation, Part::MlpOut, 0),
            ],
        ),
        (
            everything,
            vec![
                at(Site::Position),
                statistic(Statistic::Mean, Part::MlpNorm, 0),
                statistic(Statistic::Variance, Part::QueryNorm, 0),
                statistic(Statistic::MeanSquare, Part::QueryNorm, 4),
                statistic(Statistic::MeanSquare, Part::KeyNorm, 2),
                statistic(Statistic::MeanSquare, Part::MlpNorm, 1),
                statistic(Statistic::Sum, Part::QueryNorm, 0),
            ],
        ),
    ] {
        let model = model(Cpu::new(1), &config, Packing::F32);
        let tracer = Tracer::new(&model, &ids, &[]);
        for number in numbers {
            let refused = tracer.origin(&number, &mut |_, _, _| panic!("{number:?} was read"));
            assert!(refused.is_err(), "{number:?}");
        }
    }
}

/// Step by step back from a logit, every operand, with every choice at once: through rotation, norms, gates, sinks.
#[test]
fn steps_back_pass_by_every_site() {
    let everything = Config { context: 100, ..switches::all().pop().unwrap().1 };
    let model = model(Cpu::new(1), &everything, Packing::F32);
    let seen = Seen::of(&model, Vec::new());
    let mut ahead = vec![Number::Probability { token: 3, position: 30 }];
    let (mut sites, mut weights) = (BTreeSet::new(), BTreeSet::new());
    while let Some(number) = ahead.pop() {
        match &number {
            // One number of each site and head, so that the way ends.
            Number::At { site, head, .. } if !sites.insert((*site, *head)) => continue,
            Number::Weight { parameter, .. } if !weights.insert(parameter.clone()) => continue,
            Number::Statistic { of, site, .. } if !sites.insert((*site, usize::MAX - *of as usize)) => {
                continue;
            }
            _ => {}
        }
        let factors = seen.origin(&number, usize::MAX).inputs.into_iter();
        let numbers = factors.flat_map(|input| [Some(input.factor), input.times]).flatten();
        ahead.extend(numbers.filter_map(|factor| factor.number));
    }
    let missed: Vec<Site> = Site::all(&everything)
        .into_iter()
        .filter(|site| !sites.iter().any(|(seen, _)| seen == site))
        .collect();
    // What heads contribute lies beside the way.
    assert!(missed.iter().all(|site| matches!(site, Site::Block(_, Part::Contribution))), "{missed:?}");
    let (_, plan) = Gpt::plan(&everything);
    let unused: Vec<&String> =
        plan.specs.iter().map(|spec| &spec.name).filter(|name| !weights.contains(*name)).collect();
    assert!(unused.is_empty(), "{unused:?}");
}

#[test]
fn an_edited_number_says_so_and_the_others_follow() {
    let model = model(Cpu::new(1), &config(), Packing::Q8);
    let steer = Edit::steer(1, (0..48).map(|x| x as f32 * 0.1).collect()).at(5..90);
    let edits = vec![
        Edit::silence_head(&config(), 0, 1),
        Edit::silence_neuron(1, 54),
        steer,
        Edit::cut(1, 60..80, 3),
        Edit::replace(Site::Block(0, Part::MlpOut), vec![0.5; 48]).at(63..64),
        Edit::of(Site::Logits, Change::Silence).columns(10..11),
    ];
    let seen = Seen::of(&model, edits);
    check_all(&seen, "edited");
    let number = |site, position, head, index| Number::At { site, position, head, index };
    for (number, says) in [
        (number(Site::Block(0, Part::Z), 9, 0, 30), Some("set to 0")),
        (number(Site::Block(0, Part::Z), 9, 0, 3), None),
        (number(Site::Block(1, Part::Active), 9, 0, 54), Some("set to 0")),
        (number(Site::Block(1, Part::Residual), 9, 0, 7), Some("increased or decreased")),
        (number(Site::Block(1, Part::Residual), 4, 0, 7), None),
        (number(Site::Block(1, Part::Masked), 64, 0, 3), Some("does not see")),
        (number(Site::Block(1, Part::Masked), 64, 0, 4), None),
        (number(Site::Block(0, Part::MlpOut), 63, 0, 4), Some("another number")),
        (number(Site::Logits, 63, 0, 10), Some("set to 0")),
    ] {
        let origin = seen.origin(&number, LISTED);
        assert_eq!(origin.edited.is_some(), says.is_some(), "{number:?}");
        assert!(says.is_none_or(|says| origin.equation.contains(says)), "{}", origin.equation);
        assert_eq!(origin.rounding() == 0.0, says.is_some() || origin.rounding() == 0.0);
    }
    // The share that the hidden key lost.
    assert_eq!(seen.origin(&number(Site::Block(1, Part::Pattern), 64, 0, 3), LISTED).sum, 0.0);
}

#[test]
fn numbers_that_do_not_exist_are_refused() {
    let model = model(Cpu::new(1), &config(), Packing::F32);
    let ids = [1, 2, 3];
    let tracer = Tracer::new(&model, &ids, &[]);
    let at = |site, position, head, index| Number::At { site, position, head, index };
    let weight = |name: &str, row, column| Number::Weight { parameter: name.into(), row, column };
    for number in [
        at(Site::Block(2, Part::Z), 0, 0, 0),
        at(Site::Norm, 3, 0, 0),
        at(Site::Norm, 0, 1, 0),
        at(Site::Norm, 0, 0, 48),
        at(Site::Block(0, Part::Pattern), 0, 2, 0),
        at(Site::Block(0, Part::Pattern), 0, 0, 3),
        at(Site::Block(0, Part::Contribution), 0, 0, 48),
        Number::Probability { token: 70, position: 0 },
        Number::Probability { token: 0, position: 3 },
        Number::Statistic { of: Statistic::Mean, site: Site::Logits, position: 0, head: 0 },
        Number::Statistic { of: Statistic::Sum, site: Site::Norm, position: 0, head: 0 },
        weight("block.0.mlp.up", 0, 0),
        weight("block.0.mlp.up.weight", 192, 0),
        weight("block.0.mlp.up.bias", 1, 0),
        weight("norm.weight", 0, 48),
    ] {
        let refused = tracer.origin(&number, &mut |_, _, _| panic!("{number:?} was read"));
        assert!(refused.is_err(), "{number:?}");
    }
}
