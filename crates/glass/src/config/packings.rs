//! How the matrices of a packed model are packed, as `config.json` says it:
//!
//! ```json
//! "quantization_config": {"packed_by": "glass", "packing": "q8"}
//! "quantization_config": {"packed_by": "glass", "packing": {"embedding.token.weight": "q6", …}}
//! ```

use std::collections::BTreeMap;

use glass_kernels::packing::Packing;
use serde_json::{Value, json};

use super::object::{Object, short};
use crate::Result;

/// How the matrices of a packed model are packed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Packings {
    /// The model in one packing.
    One(Packing),
    /// Every matrix in its own, by the parameter's name.
    Each(BTreeMap<String, Packing>),
}

impl Packings {
    /// The packing of the model, if it has one for all matrices.
    pub fn one(&self) -> Option<Packing> {
        match self {
            Packings::One(packing) => Some(*packing),
            Packings::Each(_) => None,
        }
    }

    /// Reads `quantization_config` in a `config.json`. What Glass did not write is refused.
    pub(crate) fn read(config: &Object) -> Result<Option<Packings>> {
        let Some(quantised) = config.object("quantization_config")? else { return Ok(None) };
        // Without quant_method, transformers refuses the folder. An unknown method would only cause a warning, and the
        // model would be opened with random weights; the first version of this format named one.
        let by = quantised.text("packed_by")?.or(quantised.text("quant_method")?);
        if by != Some("glass") {
            let why = "plain f32, f16 or bf16 weights, or those of `glass quantise`,";
            return Err(quantised.wrong("quant_method", &json!(by), why));
        }
        let names = format!("one of {:?}", Packing::ALL.map(Packing::name));
        if let Some(Value::Object(_)) = quantised.get("packing")
            && let Some(each) = quantised.object("packing")?
        {
            let read = |name: &str| match named(each.get(name)) {
                Some(packing) => Ok((name.to_string(), packing)),
                None => Err(each.wrong(&short(name), each.get(name).unwrap_or(&Value::Null), &names)),
            };
            return Ok(Some(Packings::Each(each.names().map(read).collect::<Result<_>>()?)));
        }
        match named(quantised.get("packing")) {
            Some(packing) => Ok(Some(Packings::One(packing))),
            None => Err(quantised.wrong("packing", quantised.get("packing").unwrap_or(&Value::Null), &names)),
        }
    }
}

fn named(value: Option<&Value>) -> Option<Packing> {
    let name = value?.as_str()?;
    Packing::ALL.into_iter().find(|packing| packing.name() == name)
}
