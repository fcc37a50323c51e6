//! Scoring: every token once, with the same numbers as one window at a time.

use glass::generate::Runner;
use glass::next_token;
use glass::score::{Compared, Total, Window, compare, score, windows};
use glass::weights::Weights;

use crate::tiny;

#[test]
fn windows_count_every_row_once_behind_half_a_context() {
    for rows in 0..60 {
        for context in 1..12 {
            let mut next = 0;
            for window in windows(rows, context) {
                assert_eq!(window.counted, next, "{rows} rows, context {context}");
                assert!(window.rows.len() <= context && window.rows.end > next);
                let before = window.counted - window.rows.start;
                assert!(window.rows.start == 0 || before + 1 > context / 2 || before >= context.div_ceil(2));
                next = window.rows.end;
            }
            assert_eq!(next, rows);
        }
    }
    let three: Vec<Window> = windows(7, 4).collect();
    let window = |rows, counted| Window { rows, counted };
    assert_eq!(three, [window(0..4, 0), window(2..6, 4), window(4..7, 6)]);
}

#[test]
fn a_score_is_the_next_tokens_logprob_in_its_window() {
    let config = tiny::config();
    let learner = tiny::learner(&config, 2, 3);
    let frozen = tiny::frozen(&learner);
    let (gpt, _) = learner.model();
    let mut runner = Runner::new(&**learner.backend(), gpt, Weights::Frozen(&frozen)).unwrap();
    let ids = tiny::ids(60, config.vocabulary, 9);
    let mut scores = Vec::new();
    score(&mut runner, &ids, &mut |at, scored| {
        assert_eq!(at, scores.len() + 1);
        scores.push(scored);
    })
    .unwrap();
    assert_eq!(scores.len(), 59);
    for Window { rows, counted } in windows(59, config.context) {
        for row in counted..rows.end {
            runner.truncate(0);
            runner.feed(&ids[rows.start..=row]).unwrap();
            assert_eq!(
                next_token::score(runner.logits().unwrap(), ids[row + 1]).unwrap(),
                scores[row],
                "row {row}"
            );
        }
    }
}

#[test]
fn two_models_are_compared_token_by_token() {
    let config = tiny::config();
    let [one, other] = [3, 4].map(|seed| tiny::learner(&config, 2, seed));
    let [frozen, others] = [&one, &other].map(tiny::frozen);
    let (gpt, _) = one.model();
    let mut first = Runner::new(&**one.backend(), gpt, Weights::Frozen(&frozen)).unwrap();
    let mut second = Runner::new(&**one.backend(), gpt, Weights::Frozen(&others)).unwrap();
    let ids = tiny::ids(60, config.vocabulary, 9);
    let mut scores = [vec![], vec![]];
    score(&mut first, &ids, &mut |_, scored| scores[0].push(scored)).unwrap();
    score(&mut second, &ids, &mut |_, scored| scores[1].push(scored)).unwrap();
    let mut compared: Vec<Compared> = Vec::new();
    compare(&mut first, &mut second, &ids, &mut |at, found| {
        assert_eq!(at, compared.len() + 1);
        compared.push(found);
    })
    .unwrap();
    assert_eq!(compared.iter().map(|found| found.first).collect::<Vec<_>>(), scores[0]);
    assert_eq!(compared.iter().map(|found| found.second).collect::<Vec<_>>(), scores[1]);
    // The first window again, with a plain reference.
    for runner in [&mut first, &mut second] {
        runner.truncate(0);
    }
    for (row, found) in compared.iter().enumerate().take(config.context) {
        let probabilities = [&mut first, &mut second].map(|runner| {
            runner.feed(&ids[row..=row]).unwrap();
            let exp: Vec<f64> =
                runner.logits().unwrap().iter().map(|&logit| f64::from(logit).exp()).collect();
            let sum: f64 = exp.iter().sum();
            exp.into_iter().map(|exp| exp / sum).collect::<Vec<f64>>()
        });
        let [p, q] = &probabilities;
        let divergence: f64 = p.iter().zip(q).map(|(p, q)| p * (p / q).ln()).sum();
        assert!((found.divergence - divergence).abs() < 1e-6 * divergence.max(1.0), "row {row}");
        let top = |p: &[f64]| (0..p.len()).max_by(|&a, &b| p[a].total_cmp(&p[b])).unwrap();
        assert_eq!(found.same_top, top(p) == top(q), "row {row}");
    }
    assert!(compared.iter().any(|found| found.same_top) && compared.iter().any(|found| !found.same_top));
    let mut again = Runner::new(&**one.backend(), gpt, Weights::Frozen(&frozen)).unwrap();
    compare(&mut first, &mut again, &ids, &mut |_, found| {
        assert!(found.same_top && found.divergence == 0.0 && found.first == found.second);
    })
    .unwrap();
}

#[test]
fn nothing_to_score_is_no_number() {
    let total = Total::default();
    assert_eq!((total.loss(), total.perplexity(), total.bits_per_byte()), (None, None, None));
    let mut total = Total::default();
    total.add(-std::f64::consts::LN_2, 2);
    total.add(-3.0 * std::f64::consts::LN_2, 2);
    assert_eq!(total.bits_per_byte(), Some(1.0));
    assert!((total.perplexity().unwrap() - 4.0).abs() < 1e-12);
}
