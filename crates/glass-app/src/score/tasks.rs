//! Tasks: which of several continuations a model finds most probable, and whether it would have predicted the right
//! one.
//!
//! Texts are joined, cut and counted as in EleutherAI's lm-evaluation-harness, so that the results are comparable.

mod judge;
mod read;
mod tally;

use std::io::Write as _;
use std::path::Path;

use serde_json::json;

use self::judge::{Judge, Verdict};
use self::read::tasks;
use self::tally::Tally;
use crate::args::ScoreArgs;
use crate::fail::{Fail, say};
use crate::model_arg::NamedModel;
use crate::out::{Out, count, number};
use crate::progress::ProgressLine;

/// Runs the tasks one by one and reports how many were right.
pub fn run(args: &ScoreArgs, model: &NamedModel, file: &Path) -> Result<(), Fail> {
    // The file is read twice: a broken line is found before the work begins, and only one task is in memory at a
    // time.
    let items = tasks(file)?.try_fold(0, |items, task| task.map(|_| items + 1))?;
    if items == 0 {
        return Err(Fail::failed(format!("{}: it is empty; give a file with tasks", file.display())));
    }
    let mut judge = Judge::new(model)?;
    let (mut tally, mut out, mut line) = (Tally::default(), Out::new(), ProgressLine::default());
    for (done, numbered) in tasks(file)?.enumerate() {
        let (place, task) = numbered?;
        let verdict = judge.judge(&task).map_err(|error| place.fail(&error.to_string()))?;
        tally.add(&verdict);
        if args.each {
            each(&mut out, place.line, &verdict, args.json)?;
        }
        let said = format!("{} of {} tasks", number(done as u64 + 1), number(items));
        line.show_part(&said, (done + 1) as f64 / items as f64);
    }
    line.end();
    if judge.cut > 0 {
        say(&format!(
            "{} did not fit in the model's context of {} tokens and lost {} beginning",
            count(judge.cut, "text"),
            model.config().context,
            if judge.cut == 1 { "its" } else { "their" }
        ));
    }
    tally.report(&mut out, args.json, judge.cut)?;
    out.done()
}

/// One task: whether it was right, and the log-probabilities, the right one in brackets.
fn each(out: &mut Out, line: usize, verdict: &Verdict, json: bool) -> Result<(), Fail> {
    if json {
        return out.json(&match verdict {
            Verdict::Choice { logprobs, gold, right, right_by_length } => json!({
                "line": line, "logprobs": logprobs, "gold": gold, "right": right, "right_by_length": right_by_length,
            }),
            Verdict::LastWord { logprob, right } => json!({"line": line, "logprob": logprob, "right": right}),
        });
    }
    let word = |right: &bool| if *right { "right" } else { "wrong" };
    match verdict {
        Verdict::Choice { logprobs, gold, right, .. } => {
            write!(out, "{line:>6}  {}", word(right))?;
            for (at, logprob) in logprobs.iter().enumerate() {
                let shown = if at == *gold { format!("[{logprob:.3}]") } else { format!("{logprob:.3} ") };
                write!(out, "  {shown:>10}")?;
            }
            writeln!(out)?;
        }
        Verdict::LastWord { logprob, right } => writeln!(out, "{line:>6}  {}  {logprob:>9.3}", word(right))?,
    }
    Ok(())
}
