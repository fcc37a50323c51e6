//! Where a number came from, one step back; a weight, down to its bytes in the file.

use glass::backend::Cpu;
use glass::inspect::origin::{Factor, Input, Kind, LISTED, Number, Origin, Statistic, Tracer};
use glass::model::Gpt;
use glass::probe::{Part, Site};
use glass::text_model::TextModel;
use glass::{Config, Error, Result};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::Page;
use crate::seen::Change;

/// Where a number came from.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Trace {
    /// Not needed for a weight.
    #[serde(default)]
    ids: Vec<u32>,
    #[serde(default)]
    edits: Vec<Change>,
    at: At,
    /// How many operands of a long sum are listed.
    #[serde(default = "listed")]
    list: usize,
}

fn listed() -> usize {
    LISTED
}

/// A number: at a site with `position` and `column` (`head` and `key` at square sites), of a site with `statistic`, a `logit` or
/// the `probability` of a token with `position`, or a `weight` with `row` and `column`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct At {
    site: Option<String>,
    position: Option<usize>,
    column: Option<usize>,
    head: Option<usize>,
    key: Option<usize>,
    statistic: Option<String>,
    logit: Option<u32>,
    probability: Option<u32>,
    weight: Option<String>,
    row: Option<usize>,
}

/// What is computed of a whole row, and how a question calls it.
const STATISTICS: [(Statistic, &str); 6] = [
    (Statistic::Mean, "mean"),
    (Statistic::Variance, "variance"),
    (Statistic::MeanSquare, "mean_square"),
    (Statistic::InverseDeviation, "inverse_deviation"),
    (Statistic::Largest, "largest"),
    (Statistic::Sum, "sum"),
];

impl Trace {
    pub(crate) fn answer(&self, page: &mut Page<'_>) -> Result<Value> {
        let model = page.model;
        let number = self.at.number(model.config())?;
        if let Number::Weight { parameter, row, column } = &number {
            let origin = Tracer::new(model, &[], &[]).origin(&number, &mut |_, _, _| Ok(Vec::new()))?;
            return in_file(model, origin.value, parameter, *row, *column);
        }
        let seen = page.see(&self.ids, &self.edits)?;
        let edits = seen.edits.clone();
        let mut tracer = Tracer::new(model, &self.ids, &edits);
        tracer.listed = self.list;
        let queries = self.ids.len();
        let rows = &mut |site: Site, head: usize, position: usize| match site {
            Site::Logits => seen.logits(position),
            _ if site.is_square() => seen.row(site, head * queries + position),
            _ => seen.row(site, position),
        };
        let origin = tracer.origin(&number, rows)?;
        Ok(told(model, &number, &origin))
    }
}

impl At {
    fn number(&self, config: &Config) -> Result<Number> {
        let wrong = |why: &str| Error::invalid_argument("at", why);
        let need = |what: Option<usize>, why: &str| what.ok_or_else(|| wrong(why));
        let position = || need(self.position, "it names no position");
        match self {
            At { weight: Some(parameter), .. } => {
                let column = need(self.column, "a weight has a row and a column; in a vector, the row is 0")?;
                Ok(Number::Weight { parameter: parameter.clone(), row: self.row.unwrap_or(0), column })
            }
            At { logit: Some(token), .. } => {
                let (site, position) = (Site::Logits, position()?);
                Ok(Number::At { site, position, head: 0, index: *token as usize })
            }
            At { probability: Some(token), .. } => {
                Ok(Number::Probability { token: *token, position: position()? })
            }
            At { site: Some(site), .. } => {
                let site = Site::named(site, config.layers)?;
                self.at_site(site, position()?, config)
            }
            _ => Err(wrong("give a site, a logit, a probability or a weight")),
        }
    }

    fn at_site(&self, site: Site, position: usize, config: &Config) -> Result<Number> {
        let wrong = |why: String| Err(Error::invalid_argument("at", why));
        let head = self.head.unwrap_or(0);
        if let Some(name) = &self.statistic {
            let Some(&(of, _)) = STATISTICS.iter().find(|(_, known)| known == name) else {
                let known = STATISTICS.map(|(_, name)| name).join(", ");
                return wrong(format!("{name:?} is no statistic; there are {known}"));
            };
            return Ok(Number::Statistic { of, site, position, head });
        }
        let size = config.heads.size;
        match (site, self.key, self.column) {
            (_, Some(index), _) if site.is_square() => Ok(Number::At { site, position, head, index }),
            (_, None, _) if site.is_square() => wrong(format!("{site} has a head and a key")),
            (_, _, None) => wrong(format!("{site} has a column")),
            (Site::Block(_, Part::Contribution), _, Some(index)) => {
                let (head, index) =
                    self.head.map_or((index / config.width, index % config.width), |head| (head, index));
                Ok(Number::At { site, position, head, index })
            }
            // The columns of all heads are counted together.
            (Site::Block(_, part), _, Some(index))
                if part.is_of_heads() && self.head.is_some_and(|head| head != index / size) =>
            {
                wrong(format!(
                    "column {index} belongs to head {}, not {head}; columns are counted over all heads",
                    index / size
                ))
            }
            (_, _, Some(index)) => Ok(Number::At { site, position, head: 0, index }),
        }
    }
}

/// The number as a question names it.
fn at(number: &Number) -> Value {
    match number {
        &Number::At { site: Site::Logits, position, index, .. } => {
            json!({"logit": index, "position": position})
        }
        &Number::At { site, position, head, index } => match site {
            _ if site.is_square() => {
                json!({"site": site.to_string(), "position": position, "head": head, "key": index})
            }
            Site::Block(_, Part::Contribution) => {
                json!({"site": site.to_string(), "position": position, "head": head, "column": index})
            }
            _ => json!({"site": site.to_string(), "position": position, "column": index}),
        },
        Number::Statistic { of, site, position, head } => {
            let name = STATISTICS.iter().find(|(known, _)| known == of).map(|(_, name)| name);
            let mut at = json!({"site": site.to_string(), "position": position, "statistic": name});
            if site.is_square() || matches!(site, Site::Block(_, Part::QueryNorm | Part::KeyNorm)) {
                at["head"] = json!(head);
            }
            at
        }
        Number::Probability { token, position } => json!({"probability": token, "position": position}),
        Number::Weight { parameter, row, column } => {
            json!({"weight": parameter, "row": row, "column": column})
        }
    }
}

/// A number in JSON, which has none for infinity.
fn value(value: f64) -> Value {
    match value {
        f64::INFINITY => json!("Infinity"),
        f64::NEG_INFINITY => json!("-Infinity"),
        value => json!(value),
    }
}

fn kind(kind: Kind) -> &'static str {
    match kind {
        Kind::Data => "data",
        Kind::Weight => "weight",
        Kind::Constant => "constant",
    }
}

fn factor(of: &Factor) -> Map<String, Value> {
    let mut told = Map::new();
    told.insert("at".into(), of.number.as_ref().map_or(Value::Null, at));
    told.insert("kind".into(), json!(kind(of.kind)));
    told.insert("value".into(), value(of.value));
    if let Some(rounded) = of.rounded {
        told.insert("rounded".into(), value(rounded));
    }
    told
}

fn input(model: &TextModel<Cpu>, of: &Input) -> Value {
    let mut told = factor(&of.factor);
    let label =
        of.factor.number.as_ref().map_or_else(|| of.label.clone(), |number| label(model, number, &of.label));
    told.insert("label".into(), json!(label));
    if let Some(times) = &of.times {
        told.insert("times".into(), Value::Object(factor(times)));
    }
    if let Some(part) = of.part {
        told.insert("product".into(), value(part));
    }
    Value::Object(told)
}

/// A name with the token that it is about.
fn label(model: &TextModel<Cpu>, number: &Number, name: &str) -> String {
    let token = match number {
        Number::At { site: Site::Logits, index, .. } => *index as u32,
        Number::Probability { token, .. } => *token,
        _ => return name.to_string(),
    };
    let text = String::from_utf8_lossy(model.bytes(token));
    name.replacen(&format!("token {token}"), &format!("token {token} ({text:?})"), 1)
}

fn told(model: &TextModel<Cpu>, number: &Number, origin: &Origin) -> Value {
    let mut told = json!({
        "name": label(model, number, &number.name(model.config())), "value": value(origin.value), "equation": origin.equation,
        "kind": kind(origin.kind), "inputs": origin.inputs.iter().map(|of| input(model, of)).collect::<Vec<_>>(),
        "more": origin.more, "more_sum": value(origin.more_sum), "sum": value(origin.sum), "rounding": value(origin.rounding()),
    });
    if let Some(edited) = &origin.edited {
        told["edited"] = json!(edited);
    }
    told
}

/// A weight, with the bytes of its file.
fn in_file(model: &TextModel<Cpu>, used: f64, parameter: &str, row: usize, column: usize) -> Result<Value> {
    let (_, plan) = Gpt::plan(model.config());
    let spec = plan.specs.iter().find(|spec| spec.name == parameter).expect("it was traced");
    let found = model.folder.in_file(spec, row, column)?;
    let places =
        found.bytes.iter().map(|one| json!({"offset": one.offset, "bytes": one.bytes, "means": one.means}));
    let stored = f64::from(found.value);
    let mut equation = format!("value = {}", found.equation);
    if stored.to_bits() != used.to_bits() {
        equation += &format!(
            " = {}; the model was loaded in fewer bits than the file has, and computes with {used}",
            found.value
        );
    }
    let number = Number::Weight { parameter: parameter.into(), row, column };
    Ok(json!({
        "kind": "weight", "name": number.name(model.config()), "value": value(used), "stored": value(stored),
        "tensor": found.tensor, "file": found.file, "dtype": found.dtype, "row": row, "column": column,
        "places": places.collect::<Vec<_>>(), "equation": equation,
    }))
}
