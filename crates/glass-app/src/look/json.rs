//! The results as JSON.

use glass::inspect::attribute::Component;
use glass::next_token::Drawn;
use serde_json::{Value, json};

use super::names;
use super::seen::Seen;
use crate::printable::lossy;

/// Everything.
pub fn document(seen: &Seen<'_>) -> Value {
    let token = |id: u32| json!({"id": id, "text": lossy(seen.model.bytes(id))});
    let drawn = |drawn: &Drawn| {
        let mut entry = token(drawn.id);
        entry["logprob"] = json!(drawn.logprob);
        entry
    };
    let list = |list: &[Drawn]| list.iter().map(drawn).collect::<Vec<_>>();
    let links = seen.links.iter().map(|link| {
        json!({"layer": link.layer, "head": link.head, "position": link.position, "share": link.share})
    });
    let found = &seen.attribution;
    let part = |(component, value): &(Component, f64)| {
        let name = names::component(seen.names, *component);
        json!({"name": name, "value": value})
    };
    let mut traced = token(seen.traced.0);
    traced["against"] = seen.traced.1.map_or(Value::Null, token);
    traced["logit"] = json!(found.whole);
    traced["parts"] = found.parts.iter().map(part).collect();
    traced["rest"] = json!(found.rest());
    traced["positions"] = json!(found.by_position());
    let mut document = json!({
        "tokens": seen.ids.iter().map(|&id| token(id)).collect::<Vec<_>>(),
        "attention": links.collect::<Vec<_>>(),
        "lens": seen.lens().map(|reading| list(&reading.top)).collect::<Vec<_>>(),
        "next": list(&seen.next),
        "traced": traced,
    });
    if let Some(jacobian) = &seen.jacobian {
        let said = jacobian.said.iter().map(|said| said.as_ref().map(|said| list(said)));
        document["jacobian"] = said.collect();
    }
    if let Some(before) = &seen.before {
        document["before"] = json!(list(before));
    }
    document
}
