//! Checks on this machine that the same seed gives the same bits: a text is read in every supported way, and all
//! logits are compared bit for bit.

mod drawn;
pub mod served;

use std::fmt;
use std::rc::Rc;

use crate::backend::Backend;
use crate::generate::{Batch, Guesses};
use crate::guess::Draft;
use crate::runtime::Model;
use crate::{Error, Result};
use drawn::Drawn;
use glass_kernels::random::mix;
use served::{Beside, Served};

/// Tokens of the text, if the context is that long: more than two blocks of attention.
const TOKENS: usize = 150;

/// Sequences in a batch.
const TOGETHER: usize = 16;

/// A way to read a text, or to continue it. The result must not depend on it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Way {
    /// All in one pass: the reference for the others.
    AtOnce,
    /// In one pass, on this many threads.
    Threads(usize),
    /// Token by token.
    OneByOne,
    /// In pieces of several lengths.
    Pieces,
    /// After a prefix that was read before, as part of another text.
    Prefix,
    /// In a batch with fifteen other texts, each at a different position.
    Among,
    /// Sixteen samples that continue it: one after another, and then as a batch.
    Together,
    /// Samples that continue it, with tokens guessed ahead from this.
    Guessed(From),
    /// A request in the service on this many threads, in every combination of what may happen [beside](served::Beside) it.
    Served(usize),
}

/// What tokens are guessed from.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum From {
    /// The text itself.
    Text,
    /// A draft, made of what the model draws here.
    Draft,
    /// Both.
    Both,
    /// A smaller model, for which the model itself stands.
    Smaller,
    /// The model's own draft.
    Own,
}

impl Way {
    /// Samples with guesses from the draft that the model has.
    pub const OWN: Way = Way::Guessed(From::Own);

    /// All that every model has, the reference first.
    pub const ALL: [Way; 18] = [
        Way::AtOnce,
        Way::Threads(1),
        Way::Threads(2),
        Way::Threads(3),
        Way::Threads(4),
        Way::OneByOne,
        Way::Pieces,
        Way::Prefix,
        Way::Among,
        Way::Together,
        Way::Guessed(From::Text),
        Way::Guessed(From::Draft),
        Way::Guessed(From::Both),
        Way::Guessed(From::Smaller),
        Way::Served(1),
        Way::Served(2),
        Way::Served(3),
        Way::Served(4),
    ];

    fn draws(self) -> bool {
        matches!(self, Way::Together | Way::Guessed(_))
    }
}

impl fmt::Display for Way {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Way::AtOnce => "in one pass",
            Way::Threads(1) => "on 1 thread",
            Way::Threads(threads) => return write!(f, "on {threads} threads"),
            Way::OneByOne => "token by token",
            Way::Pieces => "in pieces",
            Way::Prefix => "after a cached prefix",
            Way::Among => "in a batch with 15 other texts",
            Way::Together => "16 samples together, and alone",
            Way::Guessed(From::Text) => "guessed from the text",
            Way::Guessed(From::Draft) => "guessed from a draft",
            Way::Guessed(From::Both) => "guessed from both",
            Way::Guessed(From::Smaller) => "guessed by a model, itself",
            Way::Guessed(From::Own) => "guessed from its own draft",
            Way::Served(1) => "served 32 ways, on 1 thread",
            Way::Served(threads) => return write!(f, "served 32 ways, on {threads} threads"),
        })
    }
}

/// The result of one comparison.
#[derive(Clone, PartialEq, Debug)]
pub struct Compared {
    /// How the text was read.
    pub way: Way,
    /// How many logits were compared, or tokens and their log-probabilities.
    pub numbers: u64,
    /// Where the first difference is, as a sentence; `None` if all are the same.
    pub differs: Option<String>,
    /// Tokens that were guessed.
    pub guesses: Guesses,
}

/// Reads a text in each of `ways` and passes each result to `each`. `open` returns the model, on as many threads as the
/// way names.
///
/// # Errors
/// The model cannot be opened or run. A difference is not an error; [`Compared`] reports it.
pub fn verify<B: Backend>(
    ways: &[Way],
    open: &mut dyn FnMut(Way) -> Result<Rc<Model<B>>>,
    each: &mut dyn FnMut(Compared),
) -> Result<()> {
    let model = open(Way::AtOnce)?;
    let config = model.config();
    if config.context < 4 {
        let why =
            format!("it is {}; at least 4 tokens are needed to read a text in several ways", config.context);
        return Err(Error::invalid_argument("the model's context", why));
    }
    let text = Text::new(config.vocabulary, config.context, 0);
    let mut expected = Vec::with_capacity(text.ids.len());
    model.runner()?.feed_each(&text.ids, &mut |_, logits| expected.push(logits.to_vec()))?;
    let (alone, _) = drawn::alone(&mut model.runner()?, &text, None)?;
    let requests = Served::new(config.vocabulary, config.context);
    let answers = requests.alone(&mut model.runner()?)?;
    let draft = drawn::draft(&text, &alone, requests.texts(&answers), config.vocabulary);
    for &way in ways {
        let guesses = Guesses::default();
        let mut compare = Comparison { way, expected: &expected, numbers: 0, differs: None, guesses };
        let model = open(way)?;
        match way {
            Way::Served(_) => compare.served(&model, &requests, &answers, &draft)?,
            _ if way.draws() => compare.draws(&model, &text, &alone, &draft)?,
            _ => compare.reads(&model, &text)?,
        }
        let Comparison { numbers, differs, guesses, .. } = compare;
        each(Compared { way, numbers, differs, guesses });
    }
    Ok(())
}

/// Pseudo-random ids, and a prompt within them that repeats itself.
struct Text {
    ids: Vec<u32>,
    prompt: usize,
}

impl Text {
    fn new(vocabulary: usize, context: usize, number: u64) -> Text {
        let len = TOKENS.min(context);
        let id = |place: usize| (mix(number << 32 | place as u64) % vocabulary as u64) as u32;
        let mut ids: Vec<u32> = (0..len).map(id).collect();
        let half = len / 2;
        // The prompt repeats itself, so that there is something to guess.
        let prompt = half.clamp(1, 40);
        ids.copy_within(0..prompt / 2, prompt - prompt / 2);
        Text { ids, prompt }
    }

    fn prompt(&self) -> &[u32] {
        &self.ids[..self.prompt]
    }
}

struct Comparison<'a> {
    way: Way,
    expected: &'a [Vec<f32>],
    numbers: u64,
    differs: Option<String>,
    guesses: Guesses,
}

impl Comparison<'_> {
    fn reads<B: Backend>(&mut self, model: &Model<B>, text: &Text) -> Result<()> {
        let (ids, mut runner) = (&text.ids, model.runner()?);
        match self.way {
            Way::OneByOne => {
                for (row, id) in ids.iter().enumerate() {
                    runner.feed(&[*id])?;
                    self.row(row, runner.logits()?);
                }
            }
            Way::Pieces => {
                let mut rest = ids.as_slice();
                for piece in [1, 2, 3, 5, 6, 7, 12, 31, 64, 63].into_iter().cycle() {
                    let (piece, after) = rest.split_at(rest.len().min(piece));
                    if piece.is_empty() {
                        break;
                    }
                    runner.feed(piece)?;
                    rest = after;
                    self.row(runner.ids().len() - 1, runner.logits()?);
                }
            }
            Way::Prefix => {
                for shared in (1..ids.len()).step_by(ids.len().div_ceil(8)) {
                    let mut other = ids[..shared].to_vec();
                    other.extend(ids[shared..].iter().rev());
                    runner.prompt(&other)?;
                    runner.prompt(ids)?;
                    self.row(ids.len() - 1, runner.logits()?);
                }
            }
            Way::Among => self.among(model.batch(TOGETHER, model.config().context)?, ids)?,
            _ => runner.feed_each(ids, &mut |row, logits| self.row(row, logits))?,
        }
        Ok(())
    }

    /// Slot 11 reads the text, first a piece and then token by token, while the others read other texts.
    fn among<B: Backend>(&mut self, mut batch: Batch<'_, B>, ids: &[u32]) -> Result<()> {
        const SLOT: usize = 11;
        let vocabulary = batch.gpt().config.vocabulary;
        let others: Vec<Text> =
            (1..TOGETHER as u64).map(|number| Text::new(vocabulary, ids.len(), number)).collect();
        let mut texts: Vec<&[u32]> = others.iter().map(|text| text.ids.as_slice()).collect();
        texts.insert(SLOT, ids);
        let mut logits = vec![0.0; vocabulary];
        let first = (ids.len() / TOGETHER).max(1);
        // Every sequence begins at a different position.
        for (slot, text) in texts.iter().enumerate() {
            batch.feed(&[(slot, &text[..(1 + slot % first).min(text.len() - 1)])], ())?;
        }
        while batch.room(SLOT) > 0 && batch.ids(SLOT).len() < ids.len() {
            let parts: Vec<(usize, &[u32])> = (texts.iter().enumerate())
                .map(|(slot, text)| (slot, batch.ids(slot).len(), text))
                .filter(|&(_, read, text)| read < text.len())
                .map(|(slot, read, text)| {
                    (slot, &text[read..read + 1 + usize::from(read == first && batch.rows() >= 2 * TOGETHER)])
                })
                .map(|(slot, part)| (slot, &part[..part.len().min(batch.room(slot))]))
                .collect();
            batch.feed(&parts, ())?;
            let row = parts.iter().position(|&(slot, _)| slot == SLOT).expect("it has not ended");
            batch.logits(row, &mut logits)?;
            self.row(batch.ids(SLOT).len() - 1, &logits);
        }
        Ok(())
    }

    fn draws<B: Backend>(
        &mut self,
        model: &Model<B>,
        text: &Text,
        alone: &[Drawn],
        draft: &Draft,
    ) -> Result<()> {
        let context = model.config().context;
        let drawn = match self.way {
            Way::Guessed(from) => {
                let mut runner = model.runner()?;
                match from {
                    From::Text | From::Draft | From::Both => {
                        (runner.draft, runner.drafter) = (Some(draft), None);
                    }
                    From::Smaller => (runner.draft, runner.drafter) = (None, Some(model.as_smaller())),
                    From::Own => {}
                }
                let (drawn, guesses) = drawn::alone(&mut runner, text, Some(from))?;
                self.guesses = guesses;
                // How good the model's own draft is, is not asked here.
                if guesses.right == 0 && from != From::Own && drawn::is_guessed(text, context) {
                    let why = format!("none of {} was right, so nothing was compared", guesses.all);
                    return Err(Error::invalid(self.way.to_string(), why));
                }
                drawn
            }
            _ => drawn::together(model.batch(TOGETHER, context)?, text)?,
        };
        for (sample, (expected, drawn)) in alone.iter().zip(&drawn).enumerate() {
            self.same(expected, drawn, &|at| format!("sample {sample} differs from its token {at} on"));
        }
        Ok(())
    }

    fn served<B: Backend>(
        &mut self,
        model: &Model<B>,
        requests: &Served,
        answers: &[Drawn; 2],
        draft: &Draft,
    ) -> Result<()> {
        for beside in Beside::all() {
            let (drawn, guesses) = requests.run(model, beside, draft)?;
            self.guesses.all += guesses.all;
            self.guesses.right += guesses.right;
            for (expected, drawn) in answers.iter().zip(&drawn) {
                let differs = |at| format!("the answer differs from its token {at} on: {beside:?}");
                self.same(expected, drawn, &differs);
            }
        }
        Ok(())
    }

    /// Tokens and log-probabilities must be those that were drawn before.
    fn same(&mut self, expected: &Drawn, drawn: &Drawn, differs: &dyn Fn(usize) -> String) {
        self.numbers += 2 * expected.len() as u64;
        if expected != drawn && self.differs.is_none() {
            let at = expected.iter().zip(drawn).take_while(|(a, b)| a == b).count();
            self.differs = Some(differs(at));
        }
    }

    fn row(&mut self, row: usize, logits: &[f32]) {
        let expected = &self.expected[row];
        self.numbers += expected.len() as u64;
        let other = |(a, b): (&f32, &f32)| a.to_bits() != b.to_bits();
        if self.differs.is_none()
            && let Some(at) = expected.iter().zip(logits).position(other)
        {
            self.differs = Some(format!(
                "after token {row}, logit {at} is {:e}; it was {:e} in one pass",
                logits[at], expected[at]
            ));
        }
    }
}
