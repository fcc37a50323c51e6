//! The next token compared with a plain reference, with `transformers`, and in edge cases.

use glass::next_token::{Sampler, Sampling, score, uniform};
use serde_json::Value;

/// Pseudo-random numbers, from the library's own counter.
struct Chance(u64);

impl Chance {
    fn unit(&mut self) -> f64 {
        self.0 += 1;
        uniform(0x5eed, 1, self.0)
    }

    fn below(&mut self, n: usize) -> usize {
        (self.unit() * n as f64) as usize
    }

    fn one_of<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[self.below(choices.len())]
    }

    /// Logits of which some are equal, and some impossible.
    fn logits(&mut self, vocabulary: usize) -> Vec<f32> {
        let logit = |chance: &mut Chance| match chance.below(20) {
            0 => f32::NEG_INFINITY,
            1..4 => chance.below(5) as f32,
            _ => (chance.unit() * 16.0 - 8.0) as f32,
        };
        let mut logits: Vec<f32> = (0..vocabulary).map(|_| logit(self)).collect();
        logits[self.below(vocabulary)] = 1.5;
        logits
    }

    fn sampling(&mut self, vocabulary: usize) -> Sampling {
        let bias = self.below(vocabulary) as u32;
        Sampling {
            temperature: self.one_of(&[0.0, 0.3, 1.0, 1.0, 1.7]),
            top_k: self.one_of(&[0, 0, 1, 7, 40, vocabulary, 9 * vocabulary]),
            top_p: self.one_of(&[1.0, 1.0, 0.0, 0.3, 0.9, 0.999]),
            min_p: self.one_of(&[0.0, 0.0, 0.02, 0.4, 1.0]),
            repetition_penalty: self.one_of(&[1.0, 1.0, 1.3, 0.8]),
            presence_penalty: self.one_of(&[0.0, 0.0, 0.7, -0.5]),
            frequency_penalty: self.one_of(&[0.0, 0.0, 0.4, -0.2]),
            logit_bias: self.one_of(&[&[][..], &[4.5], &[-100.0]]).iter().map(|&by| (bias, by)).collect(),
            suppressed: Vec::new(),
            seed: self.below(1000) as u64,
            hot: false,
        }
    }
}

/// Every step in f64, by sorting the whole vocabulary: tokens and probabilities, most probable first.
fn reference(sampling: &Sampling, logits: &[f32], prompt: &[u32], generated: &[u32]) -> Vec<(u32, f64)> {
    let mut scores: Vec<f64> = logits.iter().map(|&logit| f64::from(logit)).collect();
    for &(id, bias) in &sampling.logit_bias {
        scores[id as usize] += f64::from(bias);
    }
    for (id, score) in scores.iter_mut().enumerate() {
        let id = id as u32;
        let penalty = f64::from(sampling.repetition_penalty);
        if prompt.contains(&id) || generated.contains(&id) {
            *score = if *score < 0.0 { *score * penalty } else { *score / penalty };
        }
        let times = generated.iter().filter(|&&other| other == id).count() as f64;
        if times > 0.0 {
            *score -= f64::from(sampling.presence_penalty) + f64::from(sampling.frequency_penalty) * times;
        }
    }
    let mut order: Vec<(u32, f64)> = (0..).zip(scores).collect();
    order.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
    if sampling.temperature == 0.0 {
        return vec![(order[0].0, 1.0)];
    }
    let peak = order[0].1;
    for (_, score) in &mut order {
        *score = ((*score - peak) / f64::from(sampling.temperature)).exp();
    }
    if sampling.top_k > 0 {
        order.truncate(sampling.top_k);
    }
    let all: f64 = order.iter().map(|(_, weight)| weight).sum();
    let mut before = 0.0;
    let mut kept = 0;
    let enough = if sampling.top_p == 1.0 { f64::INFINITY } else { f64::from(sampling.top_p) * all };
    while kept < order.len() && (kept == 0 || before < enough) {
        before += order[kept].1;
        kept += 1;
    }
    order.truncate(kept);
    order.retain(|(_, weight)| *weight >= f64::from(sampling.min_p) && *weight > 0.0);
    let left: f64 = order.iter().map(|(_, weight)| weight).sum();
    order.into_iter().map(|(id, weight)| (id, weight / left)).collect()
}

fn sorted(mut probabilities: Vec<(u32, f64)>) -> Vec<(u32, f64)> {
    probabilities.sort_by_key(|(id, _)| *id);
    probabilities
}

fn agree(ours: Vec<(u32, f64)>, theirs: Vec<(u32, f64)>, tolerance: f64, what: &str) {
    let (ours, theirs) = (sorted(ours), sorted(theirs));
    let ids = |list: &[(u32, f64)]| list.iter().map(|(id, _)| *id).collect::<Vec<_>>();
    assert_eq!(ids(&ours), ids(&theirs), "{what}");
    for (ours, theirs) in ours.iter().zip(&theirs) {
        assert!((ours.1 - theirs.1).abs() <= tolerance, "{what}: {ours:?}, not {theirs:?}");
    }
}

#[test]
fn probabilities_are_those_of_the_reference() {
    let mut chance = Chance(0);
    for round in 0..600 {
        let vocabulary = chance.one_of(&[1, 2, 9, 50, 700]);
        let sampling = chance.sampling(vocabulary);
        let prompt: Vec<u32> = (0..chance.below(9)).map(|_| chance.below(vocabulary) as u32).collect();
        let mut sampler = Sampler::new(&sampling, vocabulary, round).unwrap();
        sampler.see(&prompt);
        let mut generated = vec![];
        for _ in 0..4 {
            let logits = chance.logits(vocabulary);
            let expected = reference(&sampling, &logits, &prompt, &generated);
            let what = format!("{sampling:?} over {vocabulary}");
            agree(sampler.probabilities(&logits).unwrap(), expected.clone(), 2e-6, &what);
            let drawn = sampler.next(&logits).unwrap();
            assert!(expected.iter().any(|(id, _)| *id == drawn.id), "{what}");
            let raw = score(&logits, drawn.id).unwrap();
            assert!((drawn.logprob - raw.logprob).abs() < 1e-5, "{what}");
            generated.push(drawn.id);
        }
    }
}

#[test]
fn what_is_left_is_what_transformers_leaves() {
    let golden: Value = serde_json::from_str(include_str!("../golden/next_token.json")).unwrap();
    let prompt: Vec<u32> = serde_json::from_value(golden["prompt"].clone()).unwrap();
    for case in golden["cases"].as_array().unwrap() {
        let logits: Vec<f32> = serde_json::from_value(case["logits"].clone()).unwrap();
        let option =
            |name: &str, off: f64| case["options"].get(name).map_or(off, |value| value.as_f64().unwrap());
        let sampling = Sampling {
            temperature: option("temperature", 1.0) as f32,
            top_k: option("top_k", 0.0) as usize,
            top_p: option("top_p", 1.0) as f32,
            min_p: option("min_p", 0.0) as f32,
            repetition_penalty: option("repetition_penalty", 1.0) as f32,
            ..Sampling::default()
        };
        let mut sampler = Sampler::new(&sampling, logits.len(), 0).unwrap();
        sampler.see(&prompt);
        let theirs = case["probabilities"].as_object().unwrap();
        let theirs = theirs.iter().map(|(id, p)| (id.parse().unwrap(), p.as_f64().unwrap())).collect();
        agree(sampler.probabilities(&logits).unwrap(), theirs, 1e-6, &case["options"].to_string());
    }
}

#[test]
fn draws_are_as_frequent_as_they_are_probable() {
    let logits = [1.0, 0.0, -1.0, 2.0, 0.5, -3.0, 1.5, 0.2];
    for sampling in [
        Sampling::default(),
        Sampling { temperature: 1.6, top_k: 6, ..Sampling::default() },
        Sampling { top_p: 0.8, seed: 77, ..Sampling::default() },
    ] {
        let expected = Sampler::new(&sampling, 8, 0).unwrap().probabilities(&logits).unwrap();
        let draws = 40_000;
        let mut counts = [0.0; 8];
        for sample in 0..draws {
            counts[Sampler::new(&sampling, 8, sample).unwrap().next(&logits).unwrap().id as usize] += 1.0;
        }
        let chi_square: f64 = expected
            .iter()
            .map(|&(id, probability)| {
                let mean = probability * draws as f64;
                (counts[id as usize] - mean).powi(2) / mean
            })
            .sum();
        // With 7 degrees of freedom, one chi-square in a thousand is above 24.3.
        assert!(chi_square < 24.3, "{chi_square}: {counts:?} for {expected:?}");
        let drawn: f64 = expected.iter().map(|&(id, _)| counts[id as usize]).sum();
        assert_eq!(drawn, draws as f64);
    }
}

#[test]
fn a_draw_depends_on_seed_sample_and_position_alone() {
    let mut chance = Chance(9);
    let rows: Vec<Vec<f32>> = (0..30).map(|_| chance.logits(200)).collect();
    let run = |seed, sample, from: usize| -> Vec<u32> {
        let mut sampler = Sampler::new(&Sampling { seed, ..Sampling::default() }, 200, sample).unwrap();
        sampler.see(&vec![0; from]);
        rows[from..].iter().map(|row| sampler.next(row).unwrap().id).collect()
    };
    let whole = run(1, 0, 0);
    assert_eq!(whole, run(1, 0, 0));
    assert_eq!(whole[12..], run(1, 0, 12), "taken up again, a sequence goes on as it would have");
    assert_ne!(whole, run(2, 0, 0));
    assert_ne!(whole, run(1, 1, 0));
    // Seeds and samples are not interchangeable, nor are samples and positions.
    assert_ne!(uniform(1, 2, 3), uniform(2, 1, 3));
    assert_ne!(uniform(1, 2, 3), uniform(1, 3, 2));
    assert!((0..100_000).all(|position| (0.0..1.0).contains(&uniform(0, 0, position))));
}

#[test]
fn ties_go_to_the_lower_id() {
    let logits = [0.0, 3.0, -0.0, 3.0, 3.0, 0.0];
    let ids = |sampling: Sampling| -> Vec<u32> {
        let left = Sampler::new(&sampling, 6, 0).unwrap().probabilities(&logits).unwrap();
        left.into_iter().map(|(id, _)| id).collect()
    };
    assert_eq!(ids(Sampling { temperature: 0.0, ..Sampling::default() }), [1]);
    assert_eq!(ids(Sampling { top_k: 2, ..Sampling::default() }), [1, 3]);
    assert_eq!(ids(Sampling { top_k: 4, ..Sampling::default() }), [1, 3, 4, 0]);
    assert_eq!(ids(Sampling { top_p: 0.5, ..Sampling::default() }), [1, 3]);
    let mut sampler = Sampler::new(&Sampling::default(), 6, 0).unwrap();
    let top: Vec<u32> = sampler.top(&logits, 5).unwrap().iter().map(|token| token.id).collect();
    assert_eq!(top, [1, 3, 4, 0, 2]);
    let ranks: Vec<usize> = (0..6).map(|id| score(&logits, id).unwrap().rank).collect();
    assert_eq!(ranks, [4, 1, 5, 2, 3, 6]);
}

#[test]
fn the_most_probable_are_shown_with_raw_probabilities() {
    let mut chance = Chance(4);
    let logits = chance.logits(3000);
    let hot = Sampling { temperature: 0.5, logit_bias: vec![(7, 50.0)], ..Sampling::default() };
    let mut sampler = Sampler::new(&hot, 3000, 0).unwrap();
    let expected = reference(&Sampling::default(), &logits, &[], &[]);
    for n in [0, 1, 20, 1500] {
        let top = sampler.top(&logits, n).unwrap();
        assert_eq!(top.len(), n);
        for (ours, theirs) in top.iter().zip(&expected) {
            assert_eq!(ours.id, theirs.0);
            assert!((ours.logprob - theirs.1.ln()).abs() < 1e-5);
        }
    }
    assert_eq!(sampler.top(&logits, 99_999).unwrap().len(), 3000);
    assert_eq!(sampler.next(&logits).unwrap().id, 7, "the bias counts in the draw");
    let all: f64 = (0..3000).map(|id| score(&logits, id).unwrap().logprob.exp()).sum();
    assert!((all - 1.0).abs() < 1e-12);
}

#[test]
fn edges_of_the_logits() {
    let draw = |logits: &[f32]| Sampler::new(&Sampling::default(), logits.len(), 0).unwrap().next(logits);
    let inf = f32::INFINITY;
    assert_eq!(draw(&[5.0]).unwrap().logprob, 0.0);
    assert_eq!(draw(&[-inf, -1e30, -inf]).unwrap().id, 1);
    assert_eq!(draw(&[f32::MAX, f32::MIN]).unwrap().id, 0);
    for sampling in [
        Sampling { top_p: 0.9, ..Sampling::default() },
        Sampling { top_k: 3, min_p: 0.1, ..Sampling::default() },
        Sampling { temperature: f32::MIN_POSITIVE, ..Sampling::default() },
        Sampling { temperature: f32::MAX, hot: true, ..Sampling::default() },
    ] {
        let mut sampler = Sampler::new(&sampling, 4, 0).unwrap();
        assert_eq!(sampler.next(&[-inf, -inf, 2.0, -inf]).unwrap().id, 2, "{sampling:?}");
    }
    let sentence = |logits: &[f32]| draw(logits).unwrap_err().to_string();
    assert_eq!(
        sentence(&[0.0, f32::NAN]),
        "logits: the logit of token 1 is NaN: the model's weights or activations are invalid"
    );
    assert_eq!(
        sentence(&[0.0, inf, 1.0]),
        "logits: a logit is infinite: the model's weights or activations are invalid"
    );
    assert_eq!(sentence(&[-inf, -inf]), "logits: no token is possible: every logit is -inf");
    let mut many = vec![0.0; 1003];
    many[517] = f32::NAN;
    assert!(sentence(&many).contains("token 517"));
    let mut sampler = Sampler::new(&Sampling::default(), 5, 0).unwrap();
    sampler.see(&[0, u32::MAX]);
    assert_eq!(sampler.next(&[0.0; 4]).unwrap_err().to_string(), "logits: 4 logits for a vocabulary of 5");
    let forced = Sampling { logit_bias: vec![(0, f32::MAX)], ..Sampling::default() };
    let beyond = Sampler::new(&forced, 2, 0).unwrap().next(&[f32::MAX, 0.0]).unwrap_err().to_string();
    assert!(beyond.starts_with("logits: after bias, penalties and suppressed tokens"), "{beyond}");
    assert!(
        score(&[0.0, 1.0], 2)
            .unwrap_err()
            .to_string()
            .starts_with("target: token 2 is not in the vocabulary")
    );
}

/// What is refused; each error names its field.
#[test]
fn refusals() {
    let refusal = |sampling: Sampling| sampling.check(10).unwrap_err().to_string();
    let off = Sampling::default;
    let (nan, inf) = (f32::NAN, f32::INFINITY);
    for (temperature, found) in
        [(-1.0, "it is -1; "), (nan, "it is NaN; "), (inf, "it is inf; "), (3.0, "it is 3; above 2")]
    {
        let sentence = refusal(Sampling { temperature, ..off() });
        assert!(sentence.starts_with(&format!("temperature: {found}")), "{sentence}");
    }
    assert!(Sampling { temperature: 3.0, hot: true, ..off() }.check(10).is_ok());
    assert!(Sampling { temperature: 2.0, ..off() }.check(10).is_ok());
    for bad in [-0.1, 1.1, nan, inf, -inf] {
        assert!(refusal(Sampling { top_p: bad, ..off() }).starts_with("top_p: it is "));
        assert!(refusal(Sampling { min_p: bad, ..off() }).starts_with("min_p: it is "));
    }
    for bad in [0.0, -1.0, nan, inf] {
        assert!(
            refusal(Sampling { repetition_penalty: bad, ..off() }).starts_with("repetition_penalty: it is ")
        );
    }
    for bad in [-2.1, 2.1, nan, inf] {
        assert!(refusal(Sampling { presence_penalty: bad, ..off() }).starts_with("presence_penalty: it is "));
        assert!(
            refusal(Sampling { frequency_penalty: bad, ..off() }).starts_with("frequency_penalty: it is ")
        );
    }
    let bias = |logit_bias| refusal(Sampling { logit_bias, ..off() });
    assert!(bias(vec![(10, 1.0)]).starts_with("logit_bias: token 10 is not in the vocabulary"));
    assert!(bias(vec![(3, nan)]).starts_with("logit_bias: the bias of token 3 is NaN"));
    assert!(bias(vec![(3, 1.0), (4, 1.0), (3, 2.0)]).starts_with("logit_bias: token 3 is given twice"));
    assert!(matches!(Sampling { top_p: 7.0, ..off() }.check(10), Err(glass::Error::InvalidArgument { .. })));
}

#[test]
fn suppressed_tokens_are_not_drawn() {
    let logits = [2.0, 1.0, 0.5, 0.0];
    let suppressed = vec![(0, usize::MAX), (1, 1)];
    let greedy = Sampling { temperature: 0.0, suppressed: suppressed.clone(), ..Sampling::default() };
    let mut sampler = Sampler::new(&greedy, 4, 0).unwrap();
    // Prompts do not count: the second is free from the second new token on.
    sampler.see(&[3, 3, 3]);
    let drawn: Vec<_> = (0..3).map(|_| sampler.next(&logits).unwrap()).collect();
    assert_eq!(drawn.iter().map(|drawn| drawn.id).collect::<Vec<_>>(), [2, 1, 1]);
    let all: f64 = logits.iter().map(|&logit: &f32| f64::from(logit).exp()).sum();
    assert!((drawn[0].logprob - (0.5 - all.ln())).abs() < 1e-6, "of the raw logits");
    // No bias and no penalty brings one back; the remaining tokens share all probability.
    let pushed =
        Sampling { logit_bias: vec![(0, 100.0)], repetition_penalty: 0.5, suppressed, ..Sampling::default() };
    let mut sampler = Sampler::new(&pushed, 4, 0).unwrap();
    let left = sampler.probabilities(&logits).unwrap();
    let share = 0.5f64.exp() / (0.5f64.exp() + 1.0);
    assert!(left.len() == 2 && left[0].0 == 2 && (left[0].1 - share).abs() < 1e-9, "{left:?}");
    let none = Sampling { suppressed: (0..4).map(|id| (id, 1)).collect(), ..Sampling::default() };
    let mut sampler = Sampler::new(&none, 4, 0).unwrap();
    assert!(sampler.next(&logits).unwrap_err().to_string().contains("no token is left"));
    let outside = Sampling { suppressed: vec![(4, 1)], ..Sampling::default() };
    assert!(
        outside.check(4).unwrap_err().to_string().contains("suppressed: token 4 is not in the vocabulary")
    );
}
