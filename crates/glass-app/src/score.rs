//! `glass score`: measures how probable a text is to a model.

mod documents;
mod tasks;

use std::io::Write as _;

use glass::backend::Cpu;
use glass::generate::Runner;
use glass::next_token::Scored;
use glass::score::{Total, compare, score};
use serde_json::{Value, json};

use crate::args::ScoreArgs;
use crate::fail::Fail;
use crate::input;
use crate::model_arg::NamedModel;
use crate::out::{Out, change, count, percent};
use crate::printable::{lossy, quoted};

/// Runs `glass score`.
pub fn run(args: &ScoreArgs) -> Result<(), Fail> {
    let model =
        NamedModel::open(args.model.as_deref(), &args.machine, &args.running)?.starting(&args.start)?;
    let beside = args
        .against
        .as_deref()
        .map(|beside| NamedModel::open(Some(beside), &args.machine, &args.running))
        .transpose()?;
    let beside = beside.as_ref();
    let meant = args.text.as_deref().map(input::meant_file).transpose()?.flatten();
    if let Some(file) = args.file.as_deref().or(meant.as_deref()) {
        return documents::run(args, &model, beside, file);
    }
    if let Some(file) = &args.tasks {
        return tasks::run(args, &model, file);
    }
    let ids = match (&args.ids, &args.text) {
        (Some(ids), _) => input::ids("--ids", ids)?,
        (None, text) => {
            let text = input::text(text.as_deref().unwrap_or_default())?;
            if text.is_empty() {
                return Err(Fail::asked("TEXT: it is empty; give at least one token"));
            }
            model.ids(&text, args.special)?
        }
    };
    if ids.is_empty() {
        return Err(Fail::asked("--ids: the list is empty; give at least one id"));
    }
    // The last id is never read, only looked up, so the runner would not check it.
    let vocabulary = model.config().vocabulary;
    if let Some(id) = ids.iter().find(|&&id| id as usize >= vocabulary) {
        return Err(Fail::asked(format!(
            "ids: {id} is not in the model's vocabulary of {vocabulary} tokens"
        )));
    }
    let mut report = Report::new(args, &model, beside.is_none());
    // The first token has no context.
    report.token(ids[0], None)?;
    let mut beside = beside.map(|beside| beside.runner()).transpose()?;
    report.text(&mut model.runner()?, beside.as_mut(), &ids)?;
    report.end(None)
}

/// Prints scores, token by token, and their sum.
struct Report<'a> {
    out: Out,
    model: &'a NamedModel,
    json: bool,
    each: bool,
    tokens: Vec<Value>,
    total: Total,
    against: Option<Against>,
}

/// The comparison with another model.
#[derive(Default)]
struct Against {
    total: Total,
    same_top: u64,
    divergence: f64,
}

impl<'a> Report<'a> {
    fn new(args: &ScoreArgs, model: &'a NamedModel, each: bool) -> Report<'a> {
        let against = args.against.as_ref().map(|_| Against::default());
        Report {
            out: Out::new(),
            model,
            json: args.json,
            each,
            tokens: Vec::new(),
            total: Total::default(),
            against,
        }
    }

    /// Scores every id except the first.
    fn text(
        &mut self,
        runner: &mut Runner<'_, Cpu>,
        beside: Option<&mut Runner<'_, Cpu>>,
        ids: &[u32],
    ) -> Result<(), Fail> {
        let mut scores = Vec::with_capacity(ids.len());
        let (Some(beside), Some(against)) = (beside, &mut self.against) else {
            score(runner, ids, &mut |at, scored| scores.push((ids[at], scored)))?;
            return scores.into_iter().try_for_each(|(id, scored)| self.token(id, Some(scored)));
        };
        compare(beside, runner, ids, &mut |at, compared| {
            let bytes = self.model.bytes(ids[at]).len();
            self.total.add(compared.second.logprob, bytes);
            against.total.add(compared.first.logprob, bytes);
            against.same_top += u64::from(compared.same_top);
            against.divergence += compared.divergence;
        })?;
        Ok(())
    }

    fn token(&mut self, id: u32, scored: Option<Scored>) -> Result<(), Fail> {
        let bytes = self.model.bytes(id);
        if let Some(scored) = scored {
            self.total.add(scored.logprob, bytes.len());
        }
        let (logprob, rank) = (scored.map(|s| s.logprob), scored.map(|s| s.rank));
        if self.each && self.json {
            self.tokens.push(json!({"id": id, "text": lossy(bytes), "logprob": logprob, "rank": rank}));
        } else if self.each {
            let piece = if bytes.is_empty() { id.to_string() } else { quoted(bytes) };
            match scored {
                Some(Scored { logprob, rank }) => {
                    let percent = 100.0 * logprob.exp();
                    writeln!(self.out, "{piece:<20}{logprob:>9.3}{percent:>9.2} %  rank {rank}")?
                }
                None => writeln!(self.out, "{piece:<20}{:>9}", "–")?,
            }
        }
        Ok(())
    }

    fn end(mut self, documents: Option<usize>) -> Result<(), Fail> {
        let total = self.total;
        if self.json {
            let mut document = json!({
                "loss": total.loss(), "perplexity": total.perplexity(), "bits_per_byte": total.bits_per_byte(),
                "scored": total.tokens, "bytes": total.bytes,
            });
            if self.each {
                document["tokens"] = Value::Array(self.tokens);
            }
            if let Some(documents) = documents {
                document["documents"] = json!(documents);
            }
            if let Some(against) = self.against {
                let part = |sum: f64| (total.tokens > 0).then(|| sum / total.tokens as f64);
                document["against"] = json!({
                    "loss": against.total.loss(), "perplexity": against.total.perplexity(),
                    "bits_per_byte": against.total.bits_per_byte(),
                    "same_top": part(against.same_top as f64), "divergence": part(against.divergence),
                });
            }
            self.out.json(&document)?;
            return self.out.done();
        }
        let mut said = format!("{} scored", count(total.tokens as usize, "token"));
        if let Some(documents) = documents {
            said += &format!(" in {}", count(documents, "document"));
        }
        if let (Some(loss), Some(perplexity)) = (total.loss(), total.perplexity()) {
            said += &format!(", loss {loss:.4} nats per token, perplexity {perplexity:.2}");
        }
        if let Some(bits) = total.bits_per_byte() {
            said += &format!(", {bits:.4} bits per byte");
        }
        self.out.prose(&said)?;
        if let Some(Against { total: other, same_top, divergence }) = self.against
            && let (Some(ours), Some(theirs)) = (total.perplexity(), other.perplexity())
        {
            let tokens = total.tokens as f64;
            self.out.prose(&format!(
                "against perplexity {theirs:.4}: {}, the most probable token is the same at {}, divergence {:.5} nats",
                change(ours / theirs - 1.0, 2),
                percent(same_top as f64 / tokens, 2),
                divergence / tokens
            ))?;
        }
        self.out.done()
    }
}
