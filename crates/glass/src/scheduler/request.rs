//! What a client asks for, and what it is told.

use std::ops::Range;

use crate::generate::{Finish, GenerateOptions, Guesses};
use crate::inspect::Edit;
use crate::inspect::attribute::Attribution;
use crate::next_token::Drawn;
use crate::probe::Site;
use crate::{Error, Result};

/// A request's number.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Ticket(pub u64);

/// A text to continue.
#[derive(Default)]
pub struct Request {
    /// The prompt's ids; at least one.
    pub prompt: Vec<u32>,
    /// How many tokens, how they are drawn, and what ends them.
    pub options: GenerateOptions,
    /// The number of this continuation among several of one prompt: each draws other tokens from the same seed.
    pub sample: u64,
    /// Whether the log-probability of each new token is told.
    pub logprobs: bool,
    /// How many of the most probable tokens are told with each token.
    pub top: usize,
    /// Whether the prompt is scored: one [`Event::Scored`] for each of its tokens.
    pub score_prompt: bool,
    /// Keys and values are shared only with requests that have the same salt.
    pub salt: Option<String>,
    /// The number of the adapter that reads and continues it ([`Scheduler::adapters`](super::Scheduler::adapters)).
    pub adapter: Option<usize>,
    /// Which tokens may be drawn; `None` if any.
    pub constraint: Option<Box<dyn Constraint + Send>>,
    /// What is seen and changed inside.
    pub watch: Option<Watch>,
}

/// Restricts which tokens may be drawn, such as to a grammar.
pub trait Constraint {
    /// Sets `allowed[id]` of every token that may come next; all others are false when it is called.
    ///
    /// # Errors
    /// If nothing may follow. The request fails.
    fn allow(&mut self, allowed: &mut [bool]) -> Result<()>;

    /// A token was drawn. Returns whether the text is complete, so that nothing may follow.
    ///
    /// # Errors
    /// If it was not allowed. The request fails.
    fn take(&mut self, id: u32) -> Result<bool>;
}

/// What is seen and changed inside while a request runs.
#[derive(Clone, Debug, Default)]
pub struct Watch {
    /// Sites whose numbers are recorded.
    pub sites: Vec<Site>,
    /// The positions at which they are recorded, and at which the lens reads.
    pub positions: Range<usize>,
    /// Changes.
    pub edits: Vec<Edit>,
    /// Logit lens: how many of the most probable tokens are read from the residual stream that enters each block, and from
    /// the output of the last; 0 for none.
    pub lens: usize,
    /// The logit after the prompt that is attributed to heads, MLPs and positions.
    pub attribution: Option<Attribute>,
}

/// Whose logit is attributed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Attribute {
    /// The most probable token's.
    Likeliest,
    /// This token's.
    Token(u32),
}

/// What happens to a request: `Begun`, any `Scored`, any `Token`, and then `Ended` or `Failed`.
#[derive(Debug)]
pub enum Event {
    /// Its prompt was read.
    Begun {
        /// Its first positions, whose keys and values others had computed.
        cached: usize,
    },
    /// A token of the prompt.
    Scored {
        /// Its id.
        id: u32,
        /// Its log-probability and rank; the first token has none.
        scored: Option<crate::next_token::Scored>,
        /// The most probable tokens at its place.
        top: Vec<Drawn>,
    },
    /// A new token.
    Token {
        /// Its id.
        id: u32,
        /// Its log-probability, before any bias, penalty, temperature or constraint, if it was asked for.
        logprob: Option<f64>,
        /// The text that is now final: complete characters that cannot be part of a stop text.
        text: String,
        /// The most probable tokens at its place.
        top: Vec<Drawn>,
        /// Whether it was guessed, so that it took no pass of its own.
        guessed: bool,
    },
    /// It is done.
    Ended {
        /// Why.
        finish: Finish,
        /// Text that was held back until now.
        rest: String,
        /// Tokens that were guessed ahead.
        guesses: Guesses,
        /// What was seen inside, if it was watched.
        seen: Option<Box<Seen>>,
        /// The logits of the next token after the prompt, if no token was asked for.
        logits: Option<Vec<f32>>,
    },
    /// It could not go on.
    Failed(Error),
}

/// What was seen inside.
#[derive(Clone, Debug, Default)]
pub struct Seen {
    /// The numbers of the watched sites, by site and position.
    pub rows: Vec<SeenRow>,
    /// What the lens read.
    pub lens: Vec<LensRow>,
    /// The token whose logit was attributed, and its attribution.
    pub attribution: Option<(u32, Attribution)>,
}

/// The numbers of a site at a position.
#[derive(Clone, PartialEq, Debug)]
pub struct SeenRow {
    /// The site.
    pub site: Site,
    /// The position; at a [square](Site::is_square) site, that of the query.
    pub position: usize,
    /// Rows and columns: one row, or at a square site one row for each head.
    pub shape: [usize; 2],
    /// The numbers.
    pub values: Vec<f32>,
}

/// What the residual stream predicts as the next token.
#[derive(Clone, PartialEq, Debug)]
pub struct LensRow {
    /// The block that it enters; the number of blocks for the output of the last.
    pub layer: usize,
    /// The position.
    pub position: usize,
    /// The most probable tokens.
    pub top: Vec<Drawn>,
}
