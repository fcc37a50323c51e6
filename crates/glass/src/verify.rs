//! The promise "same seed, same bytes", proved on the machine at hand: one text is read in every way in which it may be
//! read, and all logits are compared bit for bit.

use std::fmt;
use std::ops::ControlFlow;
use std::rc::Rc;

use crate::backend::Backend;
use crate::generate::{Batch, Runner, Token, Wish, generate, generate_together};
use crate::loaded::Loaded;
use crate::next_token::Sampling;
use crate::random::mix;
use crate::{Error, Result};

/// Tokens that are read, where the context is as long: more than two blocks of attention.
const TOKENS: usize = 150;

/// Sequences in a batch.
const TOGETHER: usize = 16;

/// Tokens that each of them draws.
const DRAWN: usize = 8;

/// A way to read a text, or to go on from it, that must not matter.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Way {
    /// All in one pass: what the others are compared with.
    AtOnce,
    /// In one pass, on so many threads.
    Threads(usize),
    /// Token by token.
    OneByOne,
    /// In pieces of several lengths.
    Pieces,
    /// Behind a part that was read before, for another text.
    Prefix,
    /// Among fifteen other texts, each somewhere else in its own.
    Among,
    /// Going on from it by draws, sixteen times: one after the other, and then all together.
    Together,
    /// Going on from it by draws, with tokens guessed ahead.
    Guessed,
}

impl Way {
    /// All of them, the one they are compared with first.
    pub const ALL: [Way; 11] = [
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
        Way::Guessed,
    ];

    fn draws(self) -> bool {
        matches!(self, Way::Together | Way::Guessed)
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
            Way::Prefix => "behind a part read before",
            Way::Among => "among 15 other texts",
            Way::Together => "16 drawn together, and each alone",
            Way::Guessed => "drawn with tokens guessed ahead, and without",
        })
    }
}

/// What came of one comparison.
#[derive(Clone, PartialEq, Debug)]
pub struct Compared {
    /// How it was read.
    pub way: Way,
    /// Logits, or drawn tokens, that were compared.
    pub numbers: u64,
    /// The first that differs, in words; `None` where all are the same.
    pub differs: Option<String>,
}

/// Reads one text in [every way](Way::ALL) and tells `each` what came of it. `open` gives the model, on as many threads as the
/// way asks for.
///
/// # Errors
/// The model cannot be opened or run. That something differs is no error: [`Compared`] says it.
pub fn verify<B: Backend>(
    open: &mut dyn FnMut(Way) -> Result<Rc<Loaded<B>>>,
    each: &mut dyn FnMut(Compared),
) -> Result<()> {
    let loaded = open(Way::AtOnce)?;
    let config = loaded.config();
    if config.context < 4 {
        let why = format!("it is {}, too short for a text to be read in several ways", config.context);
        return Err(Error::asked("context", why));
    }
    let text = Text::new(config.vocabulary, config.context, 0);
    let mut expected = Vec::with_capacity(text.ids.len());
    loaded.runner()?.feed_each(&text.ids, &mut |_, logits| expected.push(logits.to_vec()))?;
    let alone = draws(&mut loaded.runner()?, &text, 0)?;
    for way in Way::ALL.into_iter().skip(1) {
        let mut compare = Comparison { way, expected: &expected, numbers: 0, differs: None };
        let loaded = open(way)?;
        match way.draws() {
            true => compare.draws(&loaded, &text, &alone)?,
            false => compare.reads(&loaded, &text)?,
        }
        each(Compared { way, numbers: compare.numbers, differs: compare.differs });
    }
    Ok(())
}

/// A text of ids that look random, and repeats itself towards its end.
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
        // What is drawn goes on behind a prompt that repeats itself, so that there is something to guess.
        let prompt = half.clamp(1, 40);
        ids.copy_within(0..prompt / 2, prompt - prompt / 2);
        Text { ids, prompt }
    }

    fn prompt(&self) -> &[u32] {
        &self.ids[..self.prompt]
    }
}

fn wish(sharp: bool, lookup: usize) -> Wish {
    // Sharp draws repeat themselves, and so are guessed; others go apart.
    let temperature = if sharp { 0.2 } else { 1.0 };
    Wish {
        tokens: DRAWN,
        sampling: Sampling { temperature, ..Sampling::default() },
        lookup,
        ..Wish::default()
    }
}

/// What every sample draws by itself: first all of the plain draws, then the sharp ones.
fn draws<B: Backend>(runner: &mut Runner<'_, B>, text: &Text, lookup: usize) -> Result<Vec<Vec<u32>>> {
    let mut all = Vec::with_capacity(2 * TOGETHER);
    for sharp in [false, true] {
        for sample in 0..TOGETHER as u64 {
            runner.prompt(text.prompt())?;
            let mut each = |_: &Token<'_>| ControlFlow::Continue(());
            all.push(generate(runner, None, &wish(sharp, lookup), sample, &mut each)?.ids);
        }
    }
    Ok(all)
}

struct Comparison<'a> {
    way: Way,
    expected: &'a [Vec<f32>],
    numbers: u64,
    differs: Option<String>,
}

impl Comparison<'_> {
    fn reads<B: Backend>(&mut self, loaded: &Loaded<B>, text: &Text) -> Result<()> {
        let (ids, mut runner) = (&text.ids, loaded.runner()?);
        match self.way {
            Way::OneByOne => {
                for (row, id) in ids.iter().enumerate() {
                    runner.feed(&[*id])?;
                    self.row(row, runner.logits());
                }
            }
            Way::Pieces => {
                let mut rest = ids.as_slice();
                for piece in [1, 2, 3, 5, 6, 7, 12, 31, 64, 63].into_iter().cycle() {
                    let (piece, behind) = rest.split_at(rest.len().min(piece));
                    if piece.is_empty() {
                        break;
                    }
                    runner.feed(piece)?;
                    rest = behind;
                    self.row(runner.ids().len() - 1, runner.logits());
                }
            }
            Way::Prefix => {
                for shared in (1..ids.len()).step_by(ids.len().div_ceil(8)) {
                    let mut other = ids[..shared].to_vec();
                    other.extend(ids[shared..].iter().rev());
                    runner.prompt(&other)?;
                    runner.prompt(ids)?;
                    self.row(ids.len() - 1, runner.logits());
                }
            }
            Way::Among => self.among(loaded.batch(TOGETHER, loaded.config().context)?, ids)?,
            _ => runner.feed_each(ids, &mut |row, logits| self.row(row, logits))?,
        }
        Ok(())
    }

    /// Slot 11 reads the text, a piece and then token by token, while the others read texts of their own.
    fn among<B: Backend>(&mut self, mut batch: Batch<'_, B>, ids: &[u32]) -> Result<()> {
        const SLOT: usize = 11;
        let vocabulary = batch.gpt().config.vocabulary;
        let others: Vec<Text> =
            (1..TOGETHER as u64).map(|number| Text::new(vocabulary, ids.len(), number)).collect();
        let mut texts: Vec<&[u32]> = others.iter().map(|text| text.ids.as_slice()).collect();
        texts.insert(SLOT, ids);
        let mut logits = vec![0.0; vocabulary];
        let first = (ids.len() / TOGETHER).max(1);
        // Everybody begins somewhere else.
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
            batch.logits(row, &mut logits);
            self.row(batch.ids(SLOT).len() - 1, &logits);
        }
        Ok(())
    }

    fn draws<B: Backend>(&mut self, loaded: &Loaded<B>, text: &Text, alone: &[Vec<u32>]) -> Result<()> {
        let drawn = match self.way {
            Way::Guessed => draws(&mut loaded.runner()?, text, 8)?,
            _ => {
                let mut batch = loaded.batch(TOGETHER, loaded.config().context)?;
                let prompts = [text.prompt(); TOGETHER];
                let mut all = Vec::with_capacity(2 * TOGETHER);
                for sharp in [false, true] {
                    let mut each = |_: usize, _: &Token<'_>| ControlFlow::Continue(());
                    let drawn = generate_together(&mut batch, None, &wish(sharp, 0), 0, &prompts, &mut each)?;
                    all.extend(drawn.into_iter().map(|one| one.ids));
                }
                all
            }
        };
        for (sample, (expected, drawn)) in alone.iter().zip(&drawn).enumerate() {
            self.numbers += expected.len() as u64;
            if expected != drawn && self.differs.is_none() {
                let at = expected.iter().zip(drawn).take_while(|(a, b)| a == b).count();
                self.differs = Some(format!("draw {sample} goes apart at its token {at}"));
            }
        }
        Ok(())
    }

    fn row(&mut self, row: usize, logits: &[f32]) {
        let expected = &self.expected[row];
        self.numbers += expected.len() as u64;
        let other = |(a, b): (&f32, &f32)| a.to_bits() != b.to_bits();
        if self.differs.is_none()
            && let Some(at) = expected.iter().zip(logits).position(other)
        {
            self.differs =
                Some(format!("after token {row}, logit {at} is {:e} and was {:e}", logits[at], expected[at]));
        }
    }
}
