//! Scoring: every token once, with the numbers that one window at a time gives.

use glass::generate::Runner;
use glass::next_token;
use glass::score::{Total, Window, score, windows};
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
            assert_eq!(next_token::score(runner.logits(), ids[row + 1]).unwrap(), scores[row], "row {row}");
        }
    }
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
