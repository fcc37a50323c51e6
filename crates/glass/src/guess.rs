//! Guesses at the tokens ahead (speculative decoding, Leviathan et al. 2023). The model reads them in the same pass as the last
//! token and keeps what it would have drawn itself: the same bytes in fewer passes, since many rows give the same bits as one.
//!
//! ```text
//! the text itself         ─┐                        ┌─▶ one pass over the tree
//! a table                 ─┼─▶ candidates ─▶ tree ──┤
//! a head, a smaller model ─┘   with chances         └─◀ what was drawn: how often such guesses are right, what a pass costs
//! ```
//!
//! The tree grows by its likeliest candidate as long as that is expected to bring more tokens for the time of a pass.

mod chance;
mod cost;
mod draft;
mod drafter;
pub mod head;
mod lookup;
pub(crate) mod table;
mod tree;

use std::sync::Arc;

pub use chance::{Chances, Outlook};
pub use cost::{Clock, Costs};
pub use draft::{Draft, FILE};
pub use drafter::{Drafter, Drafting, likeliest};
pub use head::Head;
pub use table::{Drawn, MOST, Table};
pub use tree::{Chain, Rows, Tree};

use cost::WORTHWHILE;
use lookup::Lookup;
use table::LONGEST;

use crate::Result;

/// The largest number of tokens guessed for a sequence in a pass: with the token before them, as many as have logits at once.
pub const MOST_AHEAD: usize = 63;

/// Candidates that are less likely than this are not followed.
const LEAST: f32 = 0.02;

/// A token that may come next, and how likely that is.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Candidate {
    /// The token.
    pub id: u32,
    /// Its probability.
    pub probability: f32,
}

/// What a guess may be made from.
#[derive(Clone, Default)]
pub struct Sources<'a> {
    /// The largest number of tokens in a row from the text itself; 0 for none.
    pub lookup: usize,
    /// What was learned for the model.
    pub draft: Option<&'a Draft>,
    /// What has a state for the sequence.
    pub drafter: Option<Arc<dyn Drafter<'a> + 'a>>,
}

/// Guesses how one sequence goes on.
pub struct Guesser<'a> {
    lookup: Option<Lookup>,
    draft: Option<&'a Draft>,
    drafting: Option<Box<dyn Drafting + 'a>>,
    chances: Chances,
    /// The ids so far.
    ids: Vec<u32>,
    /// The last of them, and guessed ones after them.
    context: Vec<u32>,
    tree: Tree,
    /// Candidates that the tree may grow by, or did: of nodes that were looked at.
    grown: Vec<Grown>,
    /// Nodes whose candidates were not looked for yet, and how likely they are reached.
    waiting: Vec<(usize, f32)>,
    /// How the next tokens will be drawn.
    outlook: Outlook,
    /// The largest number of chains, and of guesses.
    limits: (usize, usize),
}

/// A candidate of a node.
#[derive(Clone, Copy, Debug)]
struct Grown {
    /// The node that it follows.
    after: usize,
    id: u32,
    /// What its chance was learned from.
    kind: usize,
    /// How likely it and everything before it is.
    chance: f32,
    /// Whether it is in the tree.
    taken: bool,
}

impl<'a> Guesser<'a> {
    /// Guesses from these sources; `earlier` says how often guesses were right in other texts.
    ///
    /// # Errors
    /// If there is too little memory.
    pub fn new(sources: Sources<'a>, earlier: &Chances) -> Result<Self> {
        Ok(Guesser {
            lookup: (sources.lookup > 0).then(|| Lookup::new(sources.lookup)),
            draft: sources.draft,
            drafting: sources.drafter.map(Drafter::begin).transpose()?,
            chances: earlier.of_earlier(),
            ids: Vec::new(),
            context: Vec::new(),
            tree: Tree::default(),
            grown: Vec::new(),
            waiting: Vec::new(),
            outlook: Outlook::default(),
            limits: (1, 0),
        })
    }

    /// Whether there is anything to guess from.
    pub fn is_active(&self) -> bool {
        self.lookup.is_some() || self.draft.is_some() || self.drafting.is_some()
    }

    /// How often guesses were right.
    pub fn chances(&self) -> &Chances {
        &self.chances
    }

    /// Adds tokens to the text.
    pub fn see(&mut self, ids: &[u32]) {
        if !self.is_active() {
            return;
        }
        for &id in ids {
            self.ids.push(id);
            if let Some(lookup) = &mut self.lookup {
                lookup.see(&self.ids);
            }
        }
    }

    /// The vector that the next token is drawn from.
    pub fn see_vector(&mut self, vector: &[f32]) {
        if let Some(drafting) = &mut self.drafting {
            drafting.see(vector);
        }
    }

    /// Begins a tree after the last token: at most `most` guesses in at most `chains` chains.
    pub fn begin(&mut self, outlook: Outlook, most: usize, chains: usize) {
        self.tree.clear();
        self.grown.clear();
        self.waiting.clear();
        self.outlook = outlook;
        self.limits = (chains, most.min(MOST_AHEAD));
        if self.is_active() && !self.ids.is_empty() {
            self.waiting.push((0, 1.0));
        }
    }

    /// How likely the next guess is at most; 0 if there is none.
    pub fn likeliest(&self) -> f32 {
        let known = self.next().map_or(0.0, |at| self.grown[at].chance);
        self.waits().map_or(known, |(_, reached)| reached.max(known))
    }

    /// The likeliest candidate.
    fn next(&self) -> Option<usize> {
        let (chains, most) = self.limits;
        if self.tree.len() >= most {
            return None;
        }
        let fits = |grown: &Grown| !grown.taken && self.tree.chains_with(grown.after) <= chains;
        let open = self.grown.iter().enumerate().filter(|(_, grown)| grown.chance >= LEAST && fits(grown));
        // Of equal ones the first.
        open.rev().max_by(|(_, a), (_, b)| a.chance.total_cmp(&b.chance)).map(|(at, _)| at)
    }

    /// The likeliest node whose candidates are not known, and how likely it is.
    fn waits(&self) -> Option<(usize, f32)> {
        let waiting = self.waiting.iter().enumerate().map(|(at, (_, reached))| (at, *reached));
        waiting.filter(|_| self.tree.len() < self.limits.1).max_by(|a, b| a.1.total_cmp(&b.1))
    }

    /// The tree grows by the likeliest candidate, whose chance is returned; or, if a node may have a likelier one, its candidates
    /// are looked for.
    pub fn take(&mut self) -> Option<f32> {
        let next = self.next();
        let known = next.map_or(0.0, |at| self.grown[at].chance);
        if let Some((at, _)) = self.waits().filter(|(_, reached)| *reached >= known) {
            let (node, reached) = self.waiting.swap_remove(at);
            self.grow(node, reached);
            return None;
        }
        let at = next?;
        self.grown[at].taken = true;
        let Grown { after, id, chance, .. } = self.grown[at];
        let node = self.tree.add(after, id);
        self.waiting.push((node, chance));
        Some(chance)
    }

    /// Keeps the first `count` guesses.
    pub fn keep(&mut self, count: usize) {
        self.tree.truncate(count);
    }

    /// The guesses.
    pub fn tree(&self) -> &Tree {
        &self.tree
    }

    /// The token `drawn` came after a node: how often such candidates are right.
    pub fn learn(&mut self, node: usize, drawn: u32) {
        for grown in self.grown.iter().filter(|grown| grown.after == node) {
            self.chances.learn(grown.kind, grown.id == drawn);
        }
    }

    /// Adds the candidates of a node, which is reached with this chance.
    fn grow(&mut self, node: usize, reached: f32) {
        let mut found = Found::default();
        // As far back as any source looks.
        self.context.clear();
        self.context.extend_from_slice(&self.ids[self.ids.len().saturating_sub(LONGEST)..]);
        self.tree.path(node, &mut self.context);
        if let Some(lookup) = &self.lookup {
            lookup.find(&self.ids, &self.context, self.tree.depth(node), &mut |id, agreed| {
                found.add(Source::Text, Candidate { id, probability: Lookup::probability(agreed) });
            });
        }
        if let Some(table) = self.draft.and_then(Draft::table) {
            let mut from_table = [Candidate { id: 0, probability: 0.0 }; table::MOST];
            let count = table.find(&self.context, &mut from_table);
            let from_table = &mut from_table[..count];
            self.outlook.chances(self.tree.depth(node), table.temperature(), from_table);
            from_table.iter().for_each(|candidate| found.add(Source::Table, *candidate));
        }
        if let Some(drafting) = &mut self.drafting {
            let mut drafted = [Candidate { id: 0, probability: 0.0 }; table::MOST];
            let count = drafting.find(&self.ids, &self.tree, node, &mut drafted);
            let drafted = &mut drafted[..count];
            self.outlook.chances(self.tree.depth(node), drafting.temperature(), drafted);
            drafted.iter().for_each(|candidate| found.add(Source::Drafter, *candidate));
        }
        for (candidate, sources) in found.0 {
            let kind = Chances::kind(sources, candidate.probability);
            let chance = reached * self.chances.of(kind, candidate.probability);
            self.grown.push(Grown { after: node, id: candidate.id, kind, chance, taken: false });
        }
    }
}

/// Where a candidate is from.
#[derive(Clone, Copy)]
enum Source {
    Text = 1,
    Table = 2,
    Drafter = 4,
}

/// Candidates of all sources: of one that several name, the largest probability.
#[derive(Default)]
struct Found(Vec<(Candidate, usize)>);

impl Found {
    fn add(&mut self, source: Source, candidate: Candidate) {
        match self.0.iter_mut().find(|(other, _)| other.id == candidate.id) {
            None => self.0.push((candidate, source as usize)),
            Some((other, sources)) => {
                other.probability = other.probability.max(candidate.probability);
                *sources |= source as usize;
            }
        }
    }
}

/// Grows the trees of sequences that are read in one pass: always by the likeliest candidate of all, and as far as the pass then
/// gives the most tokens for its time. `rows` are read anyway, and every sequence gets a token anyway. Returns the number of guesses.
pub fn grow_together(guessers: &mut [&mut Guesser<'_>], rows: usize, room: usize, costs: &Costs) -> usize {
    let (mut tokens, mut taken) = (guessers.len() as f64, vec![0; guessers.len()]);
    let mut order = Vec::new();
    let mut branches = 0;
    // Estimates err, so the first guesses must be worth a little more than none.
    let (mut best, mut kept) = (WORTHWHILE * tokens / costs.of(rows, 0), 0);
    while order.len() < room {
        let likeliest = (0..guessers.len()).max_by(|&a, &b| {
            let [a, b] = [a, b].map(|at| guessers[at].likeliest());
            a.total_cmp(&b)
        });
        let Some(at) = likeliest.filter(|&at| guessers[at].likeliest() > 0.0) else { break };
        // Chances fall along the way: if some more guesses as likely as this one bring nothing, none will. Rows may be cheap only
        // in groups, so more than the next one are looked at.
        let most = f64::from(guessers[at].likeliest());
        let with =
            |more: usize| (tokens + more as f64 * most) / costs.of(rows + order.len() + more, branches);
        let reach = PATIENCE.min((kept + PATIENCE).saturating_sub(order.len()));
        if !(1..=reach).any(|more| with(more) > best) {
            break;
        }
        let chains = guessers[at].tree().chains();
        let Some(chance) = guessers[at].take() else { continue };
        tokens += f64::from(chance);
        branches += guessers[at].tree().chains() - chains;
        order.push(at);
        let gain = tokens / costs.of(rows + order.len(), branches);
        if gain > best {
            (best, kept) = (gain, order.len());
        }
    }
    order[..kept].iter().for_each(|&at| taken[at] += 1);
    for (guesser, taken) in guessers.iter_mut().zip(taken) {
        guesser.keep(taken);
    }
    kept
}

/// Guesses beyond the best number that are looked at.
const PATIENCE: usize = 6;
