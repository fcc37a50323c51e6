//! Looking inside: a probe is shown the numbers of every site it wants, on any pass, of any sequence.
//!
//! `()` is the probe that is not there; with it the lines in the model compile away.

mod site;

pub use site::{Part, Site};

/// Whose numbers a probe is shown.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct View {
    /// Where in the pass.
    pub site: Site,
    /// The sequence's slot.
    pub slot: usize,
    /// The position of the first row; of a [square](Site::is_square) site, of the first query.
    pub position: usize,
    /// Positions; of a square site, heads × queries.
    pub rows: usize,
    /// Numbers of a row; of a square site, keys.
    pub cols: usize,
}

impl View {
    /// Positions, at a square site too: its rows are those of every head.
    pub fn queries(&self) -> usize {
        if self.site.is_square() { self.cols - self.position } else { self.rows }
    }
}

/// What a probe wants of a site.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Want {
    /// Nothing.
    No,
    /// To see it. Looking never changes a bit of the result.
    Look,
    /// To see it and perhaps to change it.
    Edit,
}

/// What a probe did with numbers that it may change.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Did {
    /// They are as they were, and so is the result, to the bit.
    Looked,
    /// They were changed and count from here on.
    Edited,
}

/// Someone who looks.
pub trait Probe {
    /// False only for a probe that is never called.
    const ACTIVE: bool = true;

    /// What is wanted of a site of the sequence in a slot. Asked more than once, and always answered alike.
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

/// One after the other: what the first edits, the second sees.
impl<P: Probe, Q: Probe> Probe for (P, Q) {
    const ACTIVE: bool = P::ACTIVE || Q::ACTIVE;

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
