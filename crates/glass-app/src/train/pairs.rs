//! Pairs of answers as tokens.

use glass::train::pairs::{self, PairEntry};
use glass::train::set::Set;

use super::sets::known;
use super::subject::Subject;
use crate::fail::{Fail, say};
use crate::out::count;

/// Pairs as a set.
pub struct Pairs {
    pub set: Set,
    /// How many are left out.
    pub left_out: usize,
}

/// Tokenises pairs for a model.
pub fn set(entries: &[PairEntry], subject: &Subject) -> Result<Pairs, Fail> {
    let (tokenizer, template) = (known(subject)?, subject.template.as_ref());
    let encode = |told: &pairs::ToldPair| told.tokens(template, tokenizer, subject.end_of_text());
    let (set, cut) = pairs::set(entries, subject.config.context, &encode)?;
    let remarks = [
        (cut.shortened, "longer than the context: cut off at the end"),
        (cut.left_out, "left out: an answer does not begin within the context, or is empty"),
        (cut.same, "left out: both answers are the same"),
    ];
    for (number, what) in remarks.into_iter().filter(|(number, _)| *number > 0) {
        say(&format!("{} {what}", count(number, "pair")));
    }
    Ok(Pairs { set, left_out: cut.left_out + cut.same })
}
