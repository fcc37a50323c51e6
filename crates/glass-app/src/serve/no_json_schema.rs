//! Without the feature `schema`: every format but plain text is refused.

use glass::scheduler::Constraint;

use super::card::Card;
use super::error::{Answered, Refusal};
use super::response_format::Format;

/// Makes formats ready.
pub struct Grammars;

/// A format that is ready.
pub struct Compiled;

impl Grammars {
    /// For this model.
    pub fn new(_card: &Card) -> Grammars {
        Grammars
    }

    /// Refuses what would need a grammar.
    pub fn compile(&self, format: &Format) -> Answered<Compiled> {
        match format.schema() {
            None => Ok(Compiled),
            Some(_) => Err(Refusal::field("response_format", "this program was built without JSON schemas")),
        }
    }
}

impl Compiled {
    /// No restriction.
    pub fn constraint(&self) -> Answered<Option<Box<dyn Constraint + Send>>> {
        Ok(None)
    }
}
