//! `--show-mask`: what a model would read, and what of it is learned.

use std::io::Write as _;

use glass::tokens::Tokenizer;
use glass::train::chats::{self, Entry, Fit};
use glass::train::learner::IGNORE;
use glass::train::order::evaluation;
use glass::train::set::Set;
use serde_json::{Value, json};

use super::data::Raw;
use super::sets::{self, Sets};
use super::subject::Subject;
use crate::args::TrainArgs;
use crate::fail::Fail;
use crate::out::{Out, count, number};
use crate::printable::{lines, lossy};

/// What stands around learned text where there are no colours.
const MARKS: [&str; 2] = ["⟦", "⟧"];

/// Shows the first samples, and counts all.
pub fn show(args: &TrainArgs, subject: &Subject, raw: Raw, most: usize) -> Result<(), Fail> {
    let mut shown = Shown { out: Out::new(), subject, json: args.run.json, samples: Vec::new() };
    shown.legend()?;
    let context = subject.config.context;
    let (totals, refused) = match &raw {
        Raw::Chats { train, .. } => {
            shown.conversations(train, most)?;
            let (set, cut) = chats::set(train, context, &sets::encoder(subject)?, None)?;
            let refused = sets::learns_nothing("--chat", &set, train.len(), cut, context);
            let mut said = format!(
                "{}: {}, {} of them learned",
                count(train.len(), "conversation"),
                count(set.tokens(), "token"),
                share(set.learned(), set.tokens())
            );
            said += &sets::cut_said(cut, context).map(|cut| format!("; {cut}")).unwrap_or_default();
            let totals = json!({"conversations": train.len(), "tokens": set.tokens(), "learned": set.learned(),
                                "shortened": cut.shortened, "left_out": cut.left_out, "beyond": cut.beyond});
            ((said, totals), refused)
        }
        _ => {
            if let Raw::Mix { sources, .. } = &raw {
                for (.., source) in sources {
                    if let Raw::Chats { train, .. } = source {
                        shown.conversations(train, most)?;
                    }
                }
            }
            let all = Sets::new(raw, args, subject)?;
            all.train.check("training data", context)?;
            // Conversations were shown as they are in their file.
            let windows = all.train.parts().into_iter().filter(|(_, set)| set.samples.stream().is_some());
            for (name, set) in windows {
                shown.windows(name, set, context, most)?;
            }
            let (tokens, learned) = (all.train.tokens(), all.train.learned());
            let said = format!("{}, {} of them learned", count(tokens, "token"), share(learned, tokens));
            ((said, json!({"tokens": tokens, "learned": learned})), None)
        }
    };
    shown.end(totals, context)?;
    refused.map_or(Ok(()), Err)
}

fn share(part: usize, of: usize) -> String {
    format!("{} ({:.0} %)", number(part as u64), 100.0 * part as f64 / of.max(1) as f64)
}

struct Shown<'a> {
    out: Out,
    subject: &'a Subject,
    json: bool,
    samples: Vec<Value>,
}

impl Shown<'_> {
    fn legend(&mut self) -> Result<(), Fail> {
        if self.json {
            return Ok(());
        }
        let example = match self.out.has_colours() {
            true => self.out.green("green"),
            false => format!("between {} and {}", MARKS[0], MARKS[1]),
        };
        self.out.prose(&format!("What is learned is {example}; everything else is only read."))
    }

    /// The first conversations of the data, used or not.
    fn conversations(&mut self, all: &[Entry], most: usize) -> Result<(), Fail> {
        let encode = sets::encoder(self.subject)?;
        let context = self.subject.config.context;
        for Entry { place, told } in &all[..most.min(all.len())] {
            let (ids, learned) = encode(told).map_err(|error| Fail::failed(format!("{place}: {error}")))?;
            let (len, why) = match Fit::of(&learned, context) {
                Fit::Ids { len, .. } => (len, None),
                Fit::Silent => (0, Some("left out: nothing in it is to be learned")),
                Fit::Beyond => (0, Some("left out: what is to be learned in it begins after the context")),
            };
            // A conversation that is left out is shown as far as it would be read.
            let read = if len > 0 { len } else { ids.len().min(context + 1) };
            let (rest, lost) = (ids.len() - read, learned[read..].iter().filter(|learned| **learned).count());
            let cut = match (rest, lost) {
                (0, _) => None,
                (rest, 0) => {
                    Some(format!("then {} left out, after which nothing is learned", count(rest, "token")))
                }
                (rest, lost) => Some(format!(
                    "cut off at the context of {context}: {}, {lost} of which would be learned",
                    count(rest, "token")
                )),
            };
            self.sample(place, &ids[..read], &learned[..read], why, cut.as_deref())?;
        }
        Ok(())
    }

    /// The first samples of a set; each of their sequences, which do not see each other, is shown for itself.
    fn windows(&mut self, name: &str, set: &Set, context: usize, most: usize) -> Result<(), Fail> {
        for (number, window) in (1..).zip(evaluation(set, context, 1, None).take(most)) {
            let mut at = 0;
            for (part, len) in (1..).zip(&window.lengths) {
                let rows = at..at + len;
                at += len;
                // The last row's target is a token too.
                let mut ids = window.inputs[rows.clone()].to_vec();
                let targets = &window.targets[rows];
                let mut learned = vec![false];
                learned.extend(targets.iter().map(|target| *target != IGNORE));
                ids.extend(targets.last().filter(|target| **target != IGNORE));
                learned.truncate(ids.len());
                let of = if name.is_empty() { String::new() } else { format!("{name}, ") };
                let place = match window.lengths.len() {
                    1 => format!("{of}sample {number}"),
                    parts => format!("{of}sample {number}, {part} of {parts}"),
                };
                self.sample(&place, &ids, &learned, None, None)?;
            }
        }
        Ok(())
    }

    fn sample(
        &mut self,
        place: &str,
        ids: &[u32],
        learned: &[bool],
        left_out: Option<&str>,
        cut: Option<&str>,
    ) -> Result<(), Fail> {
        let counts = |at: usize| at > 0 && learned[at];
        let runs = runs(ids.len(), counts);
        let tokenizer = self.subject.tokenizer.as_ref();
        let learned = (0..ids.len()).filter(|at| counts(*at)).count();
        if self.json {
            let flags: Vec<bool> = (0..ids.len()).map(counts).collect();
            let text = runs.iter().map(|(rows, _)| text(tokenizer, &ids[rows.clone()])).collect::<String>();
            self.samples.push(json!({"place": place, "ids": ids, "learned": flags, "text": text,
                                     "left_out": left_out, "cut_off": cut}));
            return Ok(());
        }
        let of = format!("{place}: {}, {} learned", count(ids.len(), "token"), number(learned as u64));
        writeln!(self.out)?;
        self.out.prose(&self.out.bold(&of))?;
        left_out.map_or(Ok(()), |why| self.out.prose(&self.out.yellow(why)))?;
        for (rows, is_learned) in runs {
            let text = lines(&text(tokenizer, &ids[rows]));
            match (is_learned, self.out.has_colours()) {
                (true, true) => {
                    // Colours end with the line in some pagers.
                    let coloured: Vec<String> = text.split('\n').map(|line| self.out.green(line)).collect();
                    write!(self.out, "{}", coloured.join("\n"))?;
                }
                (true, false) => write!(self.out, "{}{text}{}", MARKS[0], MARKS[1])?,
                (false, _) => write!(self.out, "{text}")?,
            }
        }
        writeln!(self.out)?;
        cut.map_or(Ok(()), |cut| self.out.prose(&self.out.yellow(cut)))
    }

    fn end(mut self, (said, mut totals): (String, Value), context: usize) -> Result<(), Fail> {
        if self.json {
            totals["context"] = context.into();
            totals["samples"] = self.samples.into();
            self.out.json(&totals)?;
        } else {
            writeln!(self.out)?;
            self.out.prose(&said)?;
        }
        self.out.done()
    }
}

/// The longest stretches of learned and of other tokens, in order.
fn runs(len: usize, is_learned: impl Fn(usize) -> bool) -> Vec<(std::ops::Range<usize>, bool)> {
    let mut runs: Vec<(std::ops::Range<usize>, bool)> = Vec::new();
    for at in 0..len {
        match runs.last_mut() {
            Some((rows, learned)) if *learned == is_learned(at) => rows.end = at + 1,
            _ => runs.push((at..at + 1, is_learned(at))),
        }
    }
    runs
}

/// The text of tokens, or, without a vocabulary, their ids.
fn text(tokenizer: Option<&Tokenizer>, ids: &[u32]) -> String {
    let Some(tokenizer) = tokenizer else {
        return ids.iter().map(|id| format!(" {id}")).collect();
    };
    let bytes: Vec<u8> =
        ids.iter().flat_map(|&id| tokenizer.token(id).unwrap_or_default()).copied().collect();
    lossy(&bytes)
}

#[cfg(test)]
mod tests {
    #[test]
    fn runs_are_as_long_as_they_can_be() {
        let learned = [false, false, true, true, false, true];
        let runs = super::runs(6, |at| learned[at]);
        assert_eq!(runs, [(0..2, false), (2..4, true), (4..5, false), (5..6, true)]);
        assert!(super::runs(0, |_| true).is_empty());
    }
}
