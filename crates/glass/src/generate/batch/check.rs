//! What a batch refuses to read.

use super::Batch;
use crate::backend::Backend;
use crate::{Error, Result};

impl<B: Backend> Batch<'_, B> {
    /// Refuses parts that the model cannot read.
    pub(super) fn check<'p>(
        &self,
        parts: impl IntoIterator<Item = (usize, &'p [u32])> + Clone,
    ) -> Result<()> {
        let (vocabulary, context) = (self.gpt.config.vocabulary, self.positions());
        for (number, (slot, ids)) in parts.clone().into_iter().enumerate() {
            let given = parts.clone().into_iter().take(number).any(|(other, _)| other == slot);
            if slot >= self.slots() || given {
                let why = match slot >= self.slots() {
                    true => format!("there are {}, counted from 0", self.slots()),
                    false => "it is given twice; a pass extends each slot once".to_string(),
                };
                return Err(Error::invalid_argument(format!("slot {slot}"), why));
            }
            if ids.is_empty() {
                return Err(Error::invalid_argument(
                    "prompt",
                    "it is empty; a model needs at least one token to continue from",
                ));
            }
            if let Some(id) = ids.iter().find(|&&id| id as usize >= vocabulary) {
                return Err(Error::invalid_argument(
                    "ids",
                    format!("{id} is not in the model's vocabulary of {vocabulary} tokens"),
                ));
            }
            if ids.len() > self.room(slot) {
                let all = self.ids[slot].len() + ids.len();
                return Err(Error::invalid_argument(
                    "context",
                    format!(
                        "{all} tokens do not fit in the model's context of {context}; give a shorter text"
                    ),
                ));
            }
        }
        Ok(())
    }
}
