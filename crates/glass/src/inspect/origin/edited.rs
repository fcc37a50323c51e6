//! Numbers that an edit changed say so.

use super::{Factor, Input, Kind, Number, Origin, Tracer};
use crate::backend::Backend;
use crate::inspect::Edit;
use crate::inspect::edit::Change;
use crate::probe::{Part, Site};

impl<B: Backend> Tracer<'_, B> {
    /// Adds what an edit did to the number as an operand.
    pub(super) fn with_edit(&self, number: &Number, mut origin: Origin) -> Origin {
        let Some(words) = self.edit_of(number) else { return origin };
        let value = origin.rounding();
        let factor = Factor { number: None, kind: Kind::Constant, value, rounded: None };
        origin.inputs.push(Input {
            label: format!("the edit: {words}"),
            factor,
            times: None,
            part: Some(value),
        });
        origin.equation = format!("({}) + what an edit changes: it is {words}", origin.equation);
        origin.sum = origin.value;
        origin.edited = Some(words.to_string());
        origin
    }

    /// What the last edit of a number does.
    fn edit_of(&self, number: &Number) -> Option<&'static str> {
        let edits = self.edits.iter().rev().filter(|edit| covers(edit, number));
        edits.map(|edit| words(&edit.change)).next()
    }

    /// Whether an edit made a block continue with its pattern instead of the fused attention.
    pub(super) fn squares_are_edited(&self, layer: usize) -> bool {
        let square = |site| matches!(site, Site::Block(at, Part::Scores | Part::Masked | Part::Pattern) if at == layer);
        self.edits.iter().any(|edit| square(edit.site))
    }
}

fn covers(edit: &Edit, number: &Number) -> bool {
    let &Number::At { site, position, head, index } = number else { return false };
    let column = if site.is_square() { head } else { index };
    let here = edit.site == site
        && edit.positions.as_ref().is_none_or(|at| at.contains(&position))
        && edit.columns.as_ref().is_none_or(|of| of.contains(&column));
    here && match edit.change {
        Change::Cut(key) => key == index,
        Change::Force(key) => key <= position,
        _ => true,
    }
}

fn words(change: &Change) -> &'static str {
    match change {
        Change::Silence => "set to 0",
        Change::Replace(_) | Change::ReplaceAll(_) => "replaced by another number",
        Change::Add(_) => "increased or decreased by a given number",
        Change::Cut(_) => "set to −∞, so that the query does not see this key",
        Change::Force(_) => {
            "set to 0 for one key and to −∞ for all others, so that the query sees only that key"
        }
    }
}
