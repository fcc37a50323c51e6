//! Looking inside: a probe sees the numbers of every site it wants, on any pass, of any sequence.
//!
//! `()` is the empty probe; with it the lines in the model compile away.

mod site;

pub use site::{Names, Part, Site};

use crate::backend::Span;
use crate::config::Config;
use crate::{Error, Result};

/// The pass that a probe is about to see.
#[derive(Clone, Copy, Debug)]
pub struct Ahead<'a> {
    /// The model's shape.
    pub config: &'a Config,
    /// The sequences to be read, and how many positions of each were read before.
    pub spans: &'a [Span],
    /// The first block that is computed; 0 for a whole pass, which begins at the embedding.
    pub first: usize,
    /// Whether every sequence is read as a whole in this pass. Otherwise more may follow, and other slots may hold
    /// other sequences.
    pub whole: bool,
    /// Whether only the last row of each sequence is computed after the keys and values of the last block.
    pub only_last: bool,
}

impl Ahead<'_> {
    /// Checks that this pass computes a site.
    ///
    /// # Errors
    /// If the model has no such block or no such site, or the pass begins after it.
    pub fn check(&self, site: Site) -> Result<()> {
        let (layers, first) = (self.config.layers, self.first);
        let why = match site {
            Site::Block(layer, _) if layer >= layers => {
                let blocks = if layers == 1 { "block" } else { "blocks" };
                format!("no such site; the model has {layers} {blocks}, counted from 0")
            }
            Site::Block(layer, _) if layer < first => {
                format!("it is not computed; this pass begins with block {first}")
            }
            Site::Token | Site::Position | Site::Embedding if self.first > 0 => {
                format!("it is not computed; this pass begins with block {first}")
            }
            _ if !site.is_in(self.config) => missing(site, self.config),
            _ => return Ok(()),
        };
        Err(Error::invalid_argument(site, why))
    }
}

/// Why a model does not have a site, with the sites that it has there.
fn missing(site: Site, config: &Config) -> String {
    let beside = |other: &Site| match (site, other) {
        (Site::Block(layer, _), Site::Block(of, _)) => layer == *of,
        (Site::Block(..), _) | (_, Site::Block(..)) => false,
        _ => true,
    };
    let has: Vec<String> =
        Site::all(config).iter().filter(|other| beside(other)).map(Site::to_string).collect();
    format!("this model does not have it; it has {}", has.join(", "))
}

/// Which numbers a probe is shown.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct View {
    /// Where in the pass.
    pub site: Site,
    /// The sequence's slot.
    pub slot: usize,
    /// The position of the first row; at a [square](Site::is_square) site, of the first query.
    pub position: usize,
    /// Positions; at a square site, heads × queries.
    pub rows: usize,
    /// The length of a row; at a square site, the number of keys.
    pub cols: usize,
}

impl View {
    /// The number of positions, also at a square site, whose rows are those of every head.
    pub fn queries(&self) -> usize {
        if self.site.is_square() { self.cols - self.position } else { self.rows }
    }
}

/// What a probe wants to do at a site.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Want {
    /// Nothing.
    No,
    /// To see it. Looking never changes a bit of the result.
    Look,
    /// To see it and possibly change it.
    Edit,
}

/// What a probe did with numbers that it was allowed to change.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Did {
    /// It left them unchanged, so the result is unchanged to the bit.
    Looked,
    /// It changed them; the pass continues with the new numbers.
    Edited,
}

/// Sees, and possibly changes, the numbers of a pass.
pub trait Probe {
    /// False only for a probe that is never called.
    const ACTIVE: bool = true;

    /// Called once before a pass. An error refuses the pass before any number is computed.
    ///
    /// # Errors
    /// If the probe wants a site, a position or a number that the pass does not have.
    fn begin(&mut self, _: &Ahead<'_>) -> Result<()> {
        Ok(())
    }

    /// What the probe wants at a site of the sequence in a slot. It may be called more than once and must always
    /// give the same answer.
    fn wants(&self, site: Site, slot: usize) -> Want;

    /// The numbers of a site that it wants to [look](Want::Look) at, row-major.
    fn look(&mut self, view: View, values: &[f32]);

    /// The numbers of a site that it wants to [edit](Want::Edit), row-major.
    fn edit(&mut self, view: View, values: &mut [f32]) -> Did {
        self.look(view, values);
        Did::Looked
    }
}

impl Probe for () {
    const ACTIVE: bool = false;

    fn wants(&self, _: Site, _: usize) -> Want {
        Want::No
    }

    fn look(&mut self, _: View, _: &[f32]) {}
}

impl<P: Probe + ?Sized> Probe for &mut P {
    const ACTIVE: bool = true;

    fn begin(&mut self, ahead: &Ahead<'_>) -> Result<()> {
        (**self).begin(ahead)
    }

    fn wants(&self, site: Site, slot: usize) -> Want {
        (**self).wants(site, slot)
    }

    fn look(&mut self, view: View, values: &[f32]) {
        (**self).look(view, values);
    }

    fn edit(&mut self, view: View, values: &mut [f32]) -> Did {
        (**self).edit(view, values)
    }
}

/// Both probes, one after the other: the second sees the edits of the first.
impl<P: Probe, Q: Probe> Probe for (P, Q) {
    const ACTIVE: bool = P::ACTIVE || Q::ACTIVE;

    fn begin(&mut self, ahead: &Ahead<'_>) -> Result<()> {
        self.0.begin(ahead)?;
        self.1.begin(ahead)
    }

    fn wants(&self, site: Site, slot: usize) -> Want {
        match (self.0.wants(site, slot), self.1.wants(site, slot)) {
            (Want::Edit, _) | (_, Want::Edit) => Want::Edit,
            (Want::No, Want::No) => Want::No,
            _ => Want::Look,
        }
    }

    fn look(&mut self, view: View, values: &[f32]) {
        for_each(&mut self.0, view, &mut |probe| probe.look(view, values));
        for_each(&mut self.1, view, &mut |probe| probe.look(view, values));
    }

    fn edit(&mut self, view: View, values: &mut [f32]) -> Did {
        let first = edited(&mut self.0, view, values);
        let second = edited(&mut self.1, view, values);
        if first == Did::Edited { first } else { second }
    }
}

fn for_each<P: Probe>(probe: &mut P, view: View, call: &mut dyn FnMut(&mut P)) {
    if probe.wants(view.site, view.slot) != Want::No {
        call(probe);
    }
}

fn edited<P: Probe>(probe: &mut P, view: View, values: &mut [f32]) -> Did {
    match probe.wants(view.site, view.slot) {
        Want::No => Did::Looked,
        Want::Look => {
            probe.look(view, values);
            Did::Looked
        }
        Want::Edit => probe.edit(view, values),
    }
}
