//! Documents that are nearly the same, among those to train on and those for validation.

use serde::{Deserialize, Serialize};

use super::Fate;
use super::contents::Contents;
use crate::train::data::near::{self, Pairs, Role, Signature};

/// What is done about near-duplicates.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Near {
    /// They are not looked for.
    #[default]
    Keep,
    /// They are counted, and learned as all others.
    Report,
    /// Of those to train on, only the first is learned, and none that is nearly the same as a validation document.
    Drop,
}

/// How many documents to train on are nearly the same as others.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Twins {
    /// From this similarity on.
    pub threshold: f64,
    /// As an earlier one to train on.
    pub training: u64,
    /// As one for validation.
    pub validation: u64,
    /// The most similar pairs.
    pub examples: Vec<Twin>,
}

/// Two documents that are nearly the same.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Twin {
    /// Where the one to train on is.
    pub document: String,
    /// Where the other one is.
    pub other: String,
    /// Whether that one is for validation.
    pub validates: bool,
    /// How similar they are, from 0 to 1.
    pub similarity: f64,
}

/// How many pairs are named.
const EXAMPLES: usize = 5;

impl Twins {
    /// Of pairs, whose documents are at the places that `place` gives.
    pub(crate) fn of(pairs: &Pairs, roles: &[Role], place: &dyn Fn(usize) -> String) -> Twins {
        let example = |pair: near::Pair| Twin {
            document: place(pair.document),
            other: place(pair.other),
            validates: roles[pair.other] == Role::Validation,
            similarity: (pair.similarity * 100.0).round() / 100.0,
        };
        Twins {
            threshold: near::THRESHOLD,
            training: pairs.training.len() as u64,
            validation: pairs.validation.len() as u64,
            examples: pairs.examples(EXAMPLES).into_iter().map(example).collect(),
        }
    }

    /// Those of several corpora.
    pub(crate) fn and(mut self, other: Twins) -> Twins {
        self.training += other.training;
        self.validation += other.validation;
        self.examples.extend(other.examples);
        self.examples
            .sort_by(|a, b| b.validates.cmp(&a.validates).then(b.similarity.total_cmp(&a.similarity)));
        self.examples.truncate(EXAMPLES);
        self
    }
}

/// Finds them, and marks what is to be dropped. The document that is in both parts stays.
pub(super) fn find(
    train: &mut [Fate],
    validation: &[Fate],
    all: &Contents,
    held_out: &Contents,
    near: Near,
    tail: Option<(usize, u64)>,
) -> Twins {
    let role = |fate: &Fate| match fate {
        Fate::Train => Role::Train,
        Fate::Validation => Role::Validation,
        Fate::Duplicate | Fate::Validates | Fate::Near => Role::None,
    };
    let roles: Vec<Role> = train.iter().chain(validation).map(role).collect();
    let signatures: Vec<&Signature> = all.signatures.iter().chain(&held_out.signatures).collect();
    let pairs = near::find(&signatures, &roles);
    if near == Near::Drop {
        let dropped = pairs.training.iter().chain(&pairs.validation).map(|pair| pair.document);
        dropped.filter(|at| tail.is_none_or(|(tail, _)| tail != *at)).for_each(|at| train[at] = Fate::Near);
    }
    let count = train.len();
    Twins::of(&pairs, &roles, &|at| if at < count { all.place(at) } else { held_out.place(at - count) })
}
