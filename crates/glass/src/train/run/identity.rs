//! What a run trains, so that a resumed one trains the same.

use serde_json::{Value, json};

use crate::backend::Backend;
use crate::fingerprint::Fingerprint;
use crate::train::learner::{Arena, Learner};
use crate::weights::Frozen;
use crate::weights::adapter::file::LoraConfig;
use crate::{Error, Result};

/// What is trained: the configuration, and of an adapter how it is made and of which weights; and who teaches it.
pub(super) fn shape<B: Backend>(learner: &Learner<B>, about: Option<&LoraConfig>) -> Result<Value> {
    let text = learner.config().to_json("float32", None);
    let mut shape: Value = serde_json::from_str(&text).map_err(|error| Error::invalid("config", error))?;
    if let (Some((plan, base)), Some(about)) = (learner.adapter(), about) {
        let LoraConfig { rank, alpha, dropout, .. } = about;
        let matrices: Vec<usize> = plan.changed().collect();
        let of = print(&**learner.backend(), base);
        shape["adapter"] =
            json!({"rank": rank, "alpha": alpha, "dropout": dropout, "matrices": matrices, "of": of});
    }
    if let Some((_, weights)) = learner.teacher() {
        shape["teacher"] = json!(format!("weights {}", print(&**learner.backend(), weights)));
    }
    Ok(shape)
}

/// A fingerprint of weights.
fn print<B: Backend>(backend: &B, weights: &Frozen<B>) -> String {
    let mut print = Fingerprint::default();
    for index in 0..weights.len() {
        let (words, _) = backend.bytes(weights.get(index)).as_chunks();
        words.iter().for_each(|word| print.add(u32::from_le_bytes(*word)));
    }
    print.to_string()
}

/// A fingerprint of what is trained, as it is now; where ranks divide it, as it was when the learner was made.
pub(super) fn start<B: Backend>(learner: &Learner<B>) -> Result<String> {
    if learner.divides_weights() {
        return Ok(learner.start());
    }
    let mut print = Fingerprint::default();
    learner.arena_parts(Arena::Weights, &mut |part| {
        part.iter().for_each(|weight| print.add(weight.to_bits()));
        Ok(())
    })?;
    Ok(print.to_string())
}
