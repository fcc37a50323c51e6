//! Tasks: which of several continuations a model finds most probable, and whether it would have said the right one.

use std::fs;
use std::io::Write as _;
use std::path::Path;

use glass::Error;
use glass::backend::Cpu;
use glass::generate::Runner;
use glass::score::{Total, score};
use glass::tokens::Special;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::args::ScoreArgs;
use crate::fail::Fail;
use crate::model_arg::Model;
use crate::out::Out;
use crate::progress::Line;

/// One line of a file of tasks.
#[derive(Deserialize)]
#[serde(untagged)]
enum Task {
    /// Which of these follows?
    Choices { query: String, choices: Vec<String>, gold: usize },
    /// After which of these does it follow?
    Contexts { context_options: Vec<String>, continuation: String, gold: usize },
    /// Would it have been said?
    LastWord { context: String, continuation: String },
}

/// Does the tasks and reports how many were right.
pub fn run(args: &ScoreArgs, model: &Model, file: &Path) -> Result<(), Fail> {
    let tasks = read(file)?;
    let mut runner = Judge { model, runner: model.runner()? };
    let (mut choice, mut last_word) = (Choice::default(), LastWord::default());
    let mut line = Line::default();
    for (done, task) in tasks.iter().enumerate() {
        runner.judge(task, &mut choice, &mut last_word)?;
        line.show_part(
            &format!("{} of {} tasks", done + 1, tasks.len()),
            (done + 1) as f64 / tasks.len() as f64,
        );
    }
    line.end();
    report(args, &choice, &last_word)
}

fn read(file: &Path) -> Result<Vec<Task>, Fail> {
    let text = fs::read_to_string(file).map_err(|error| Error::io("cannot read", file, error))?;
    let lines = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
    let tasks: Vec<Task> = lines
        .map(|(number, line)| {
            let place = format!("{}:{}", file.display(), number + 1);
            let wrong = |why: &str| {
                Fail::failed(format!("{place}: {why}; see glass score --help for the three kinds"))
            };
            let task: Task = serde_json::from_str(line).map_err(|_| wrong("this line is no task"))?;
            match &task {
                Task::Choices { choices: all, gold, .. }
                | Task::Contexts { context_options: all, gold, .. }
                    if *gold >= all.len() =>
                {
                    Err(wrong(&format!("gold is {gold}, but there are {} to choose from", all.len())))
                }
                _ => Ok(task),
            }
        })
        .collect::<Result<_, _>>()?;
    if tasks.is_empty() {
        return Err(Fail::failed(format!("{}: it is empty; there is nothing to score", file.display())));
    }
    Ok(tasks)
}

#[derive(Default)]
struct Choice {
    items: u64,
    right: u64,
    right_by_bytes: u64,
}

#[derive(Default)]
struct LastWord {
    items: u64,
    right: u64,
    total: Total,
}

struct Judge<'a> {
    model: &'a Model,
    runner: Runner<'a, Cpu>,
}

impl Judge<'_> {
    fn judge(&mut self, task: &Task, choice: &mut Choice, last_word: &mut LastWord) -> Result<(), Fail> {
        match task {
            Task::Choices { query, choices, gold } => {
                // The query ends where the choice begins, with a space between.
                let pairs = choices.iter().map(|one| (query.trim_end().to_string(), spaced(one)));
                self.choose(pairs.collect(), *gold, choice)
            }
            Task::Contexts { context_options, continuation, gold } => {
                let pairs =
                    context_options.iter().map(|one| (one.trim_end().to_string(), spaced(continuation)));
                self.choose(pairs.collect(), *gold, choice)
            }
            Task::LastWord { context, continuation } => {
                let (total, greedy) = self.continuation(context.trim_end(), &spaced(continuation))?;
                last_word.items += 1;
                last_word.right += u64::from(greedy);
                last_word.total.nats += total.nats;
                last_word.total.tokens += total.tokens;
                Ok(())
            }
        }
    }

    fn choose(&mut self, pairs: Vec<(String, String)>, gold: usize, choice: &mut Choice) -> Result<(), Fail> {
        let totals: Vec<Total> = pairs
            .iter()
            .map(|(context, continuation)| Ok(self.continuation(context, continuation)?.0))
            .collect::<Result<_, Fail>>()?;
        let least = |cost: &dyn Fn(&Total) -> f64| {
            (0..totals.len()).min_by(|&a, &b| cost(&totals[a]).total_cmp(&cost(&totals[b])))
        };
        choice.items += 1;
        choice.right += u64::from(least(&|total| total.nats) == Some(gold));
        choice.right_by_bytes +=
            u64::from(least(&|total| total.nats / total.bytes.max(1) as f64) == Some(gold));
        Ok(())
    }

    /// What the continuation costs behind its context, and whether its every token was the most probable one. What is
    /// longer than the model's context loses its beginning.
    fn continuation(&mut self, context: &str, continuation: &str) -> Result<(Total, bool), Fail> {
        let tokenizer = self.model.tokenizer()?;
        let mut ids: Vec<u32> = self.model.start().into_iter().collect();
        ids.extend(tokenizer.encode(context, Special::Plain));
        let first = ids.len();
        ids.extend(tokenizer.encode(continuation, Special::Plain));
        let cut = ids.len().saturating_sub(self.model.config().context + 1).min(first);
        let (ids, first) = (&ids[cut..], first - cut);
        let (mut total, mut greedy) = (Total::default(), true);
        score(&mut self.runner, ids, &mut |at, scored| {
            if at >= first {
                total.add(scored.logprob, self.model.bytes(ids[at]).len());
                greedy &= scored.rank == 1;
            }
        })?;
        Ok((total, greedy))
    }
}

fn spaced(continuation: &str) -> String {
    format!(" {}", continuation.trim_start())
}

fn report(args: &ScoreArgs, choice: &Choice, last_word: &LastWord) -> Result<(), Fail> {
    let share = |part: u64, of: u64| part as f64 / of.max(1) as f64;
    let (acc, acc_norm) = (share(choice.right, choice.items), share(choice.right_by_bytes, choice.items));
    let said = share(last_word.right, last_word.items);
    let mut out = Out::new();
    if args.json {
        let choice = json!({"items": choice.items, "acc": acc, "acc_norm": acc_norm});
        let words =
            json!({"items": last_word.items, "acc": said, "perplexity": last_word.total.perplexity()});
        let some = |items: u64, value: Value| if items > 0 { value } else { Value::Null };
        let items = choice["items"].as_u64().unwrap_or_default();
        out.json(&json!({"choice": some(items, choice), "last_word": some(last_word.items, words)}))?;
        return out.done();
    }
    if choice.items > 0 {
        let (items, acc, norm) = (choice.items, 100.0 * acc, 100.0 * acc_norm);
        writeln!(out, "{items} choices: {acc:.1} % right, by bytes {norm:.1} %")?;
    }
    if last_word.items > 0 {
        let perplexity = last_word.total.perplexity().unwrap_or(f64::NAN);
        let (items, said) = (last_word.items, 100.0 * said);
        writeln!(out, "{items} last words: {said:.1} % right, perplexity {perplexity:.2}")?;
    }
    out.done()
}
