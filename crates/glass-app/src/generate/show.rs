//! `--show`: each token with its probability and the most probable alternatives.

use std::io::Write as _;

use glass::generate::Token;
use glass::next_token::{Sampler, Sampling};
use serde_json::{Value, json};

use crate::draw::columns::{bar, fit, percent};
use crate::fail::Fail;
use crate::model_arg::NamedModel;
use crate::out::{Out, count, wrapped};
use crate::printable::{VISIBLE, lossy, visible};
use crate::stream::Stream;

/// How many of the most probable tokens are examined, whether or not the drawn one is among them.
const TOP: usize = 5;
/// The widths of the token, its bar, and an alternative, in columns.
const PIECE: usize = 18;
const BAR: usize = 12;
const OTHER: usize = 12;
/// Marks a token that was guessed ahead.
const GUESSED: char = '+';
/// The columns before the alternatives, and the width of one with its probability.
const BEFORE: usize = PIECE + 9 + BAR + 2;
const EACH: usize = OTHER + 10;

/// Shows tokens as they are drawn.
pub struct Show<'a> {
    sampler: Sampler,
    model: &'a NamedModel,
    /// How many alternatives fit on a line.
    others: usize,
    /// The number of tokens so far, and the sum of their log-probabilities.
    tokens: usize,
    sum: f64,
    /// Tokens that were guessed.
    guessed: usize,
}

impl Show<'_> {
    /// For lines of this many columns.
    pub fn new(model: &NamedModel, columns: usize) -> Result<Show<'_>, Fail> {
        let sampler = Sampler::new(&Sampling::default(), model.config().vocabulary, 0)?;
        let others = (columns.saturating_sub(BEFORE) / EACH).min(TOP - 1);
        Ok(Show { sampler, model, others, tokens: 0, sum: 0.0, guessed: 0 })
    }

    /// The heading.
    pub fn begin(&self, out: &mut Out) -> Result<(), Fail> {
        let others = if self.others > 0 { "alternatives" } else { "" };
        let heading = format!("{:<PIECE$}{:<width$}{others}", "token", "probability", width = BEFORE - PIECE);
        writeln!(out, "{}", out.bold(heading.trim_end()))?;
        out.show()
    }

    /// A token.
    pub fn line(&mut self, out: &mut Out, token: &Token<'_>) -> Result<(), Fail> {
        self.tokens += 1;
        self.sum += token.logprob();
        let top = self.sampler.top(token.logits, TOP)?;
        let share = token.logprob().exp();
        let is_first = top.first().is_none_or(|first| first.logprob <= token.logprob());
        let bar = bar(share, BAR);
        let bar = if is_first { out.green(&bar) } else { out.yellow(&bar) };
        self.guessed += usize::from(token.guessed);
        let mark = if token.guessed { GUESSED } else { ' ' };
        write!(out, "{}{} {bar}{mark} ", fit(&piece(self.model, token.id), PIECE), percent(share))?;
        let mut line = String::new();
        for drawn in top.iter().filter(|drawn| drawn.id != token.id).take(self.others) {
            let share = percent(drawn.logprob.exp());
            let text = format!("{}{share}  ", fit(&piece(self.model, drawn.id), OTHER));
            // Alternatives more probable than the drawn token are emphasised.
            line.push_str(&if drawn.logprob > token.logprob() { text } else { out.dim(&text) });
        }
        writeln!(out, "{}", line.trim_end())?;
        out.show()
    }

    /// The whole text, and its perplexity.
    pub fn end(&self, out: &mut Out, before: &str, text: &str) -> Result<(), Fail> {
        writeln!(out)?;
        let mut stream = Stream::fitting(out, false);
        stream.begin(out, before)?;
        stream.text(out, text)?;
        stream.close(out)?;
        writeln!(out)?;
        let perplexity = (-self.sum / self.tokens.max(1) as f64).exp();
        let mean = format!(
            "{}, perplexity {perplexity:.1}: on average as hard to guess as one of {perplexity:.1} equally probable tokens",
            count(self.tokens, "token")
        );
        let bars = if out.has_colours() {
            "a green bar: the most probable token was drawn; a yellow one: another; "
        } else {
            ""
        };
        let guessed = match self.guessed {
            0 => String::new(),
            _ => format!("{GUESSED} after the bar: guessed ahead, so that it took no pass of its own; "),
        };
        let [mean, legend] =
            [mean, format!("{bars}{guessed}{VISIBLE}")].map(|line| out.dim(&wrapped(&line, 0)));
        writeln!(out, "{mean}\n{legend}")?;
        out.show()
    }

    /// A token as JSON.
    pub fn json(&mut self, token: &Token<'_>) -> Result<Value, Fail> {
        let model = self.model;
        let entry =
            |id: u32, logprob: f64| json!({"id": id, "text": lossy(model.bytes(id)), "logprob": logprob});
        let top = self.sampler.top(token.logits, TOP)?;
        let top: Vec<Value> = top.iter().map(|drawn| entry(drawn.id, drawn.logprob)).collect();
        let mut own = entry(token.id, token.logprob());
        own["top"] = Value::Array(top);
        own["guessed"] = token.guessed.into();
        Ok(own)
    }
}

/// A token as text, or as its id if the model has no tokenizer.
fn piece(model: &NamedModel, id: u32) -> String {
    match &model.tokenizer {
        Some(_) => visible(model.bytes(id)),
        None => id.to_string(),
    }
}
