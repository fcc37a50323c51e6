//! `look`: what a request wants to see and to change inside the model, and how it is told.

use std::ops::Range;

use glass::Config;
use glass::inspect::Edit;
use glass::inspect::edit::Change;
use glass::probe::{Names, Part, Site};
use glass::scheduler::{Attribute, Seen, Watch};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use utoipa::ToSchema;

use super::card::Card;
use super::error::{Answered, Refusal};
use super::logprobs::finite;

/// What to see and to change inside.
#[derive(Clone, Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Look {
    /// Places in the pass whose numbers are wanted, as in `block.3.attention.pattern`.
    pub sites: Option<Vec<String>>,
    /// Positions of the prompt: "last" (the default), "all", or [from, to].
    pub positions: Option<Value>,
    /// The most probable tokens that the residual stream means after every block, this many.
    #[schema(minimum = 0, maximum = 100)]
    pub lens: Option<usize>,
    /// The attention pattern of all blocks.
    pub attention: Option<bool>,
    /// What every part adds to the logit of the next token (true), or of `{"token": id}`.
    pub attribution: Option<Value>,
    /// Changes of the pass.
    pub edits: Option<Vec<EditField>>,
}

/// A change of numbers in the pass.
#[derive(Clone, Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct EditField {
    /// Where.
    pub site: Option<String>,
    /// From this position to before that one; by default all.
    pub positions: Option<[usize; 2]>,
    /// From this number of a row to before that one; by default all.
    pub columns: Option<[usize; 2]>,
    /// Set to zero.
    pub silence: Option<bool>,
    /// These are added.
    pub add: Option<Vec<f32>>,
    /// Replaced by these.
    pub replace: Option<Vec<f32>>,
    /// This key gets no attention.
    pub cut: Option<usize>,
    /// This key gets all attention.
    pub force: Option<usize>,
    /// A head is silenced.
    pub ablate: Option<Head>,
}

/// A head.
#[derive(Clone, Copy, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Head {
    /// Its block.
    pub layer: usize,
    /// Its number in the block.
    pub head: usize,
}

/// A look that was checked.
#[derive(Clone)]
pub struct Lens {
    watch: Watch,
    layers: usize,
    /// Where the page shows the same text with the same changes.
    page: Option<String>,
}

impl Look {
    /// Whether nothing is asked for.
    pub fn is_empty(&self) -> bool {
        let Look { sites, positions, lens, attention, attribution, edits } = self;
        sites.is_none()
            && positions.is_none()
            && lens.is_none()
            && attention.is_none()
            && attribution.is_none()
            && edits.is_none()
    }

    /// Checks it for a prompt.
    pub fn lens(&self, config: &Config, ids: &[u32]) -> Answered<Lens> {
        let prompt = ids.len();
        let layers = config.layers;
        let mut sites = Vec::new();
        for (at, name) in self.sites.iter().flatten().enumerate() {
            sites.push(site(&format!("look.sites[{at}]"), name, layers)?);
        }
        if self.attention == Some(true) {
            sites.extend((0..layers).map(|layer| Site::Block(layer, Part::Pattern)));
        }
        sites.sort_unstable();
        sites.dedup();
        let positions = positions(self.positions.as_ref(), prompt)?;
        let lens = self.lens.unwrap_or(0);
        if lens > 100 {
            return Err(Refusal::field(
                "look.lens",
                format!("it is {lens}; a number from 0 to 100 was expected"),
            ));
        }
        let attribution = attribution(self.attribution.as_ref(), config.vocabulary)?;
        let mut edits = Vec::new();
        for (at, edit) in self.edits.iter().flatten().enumerate() {
            edits.push(edit.edit(&format!("look.edits[{at}]"), config)?);
        }
        let page = self.page(ids);
        Ok(Lens { watch: Watch { sites, positions, edits, lens, attribution }, layers, page })
    }

    /// The fragment with which the page opens this text and these changes; `None` where the page has no such change.
    fn page(&self, ids: &[u32]) -> Option<String> {
        let ids: Vec<String> = ids.iter().map(|&id| base36(id)).collect();
        let edits = self.edits.iter().flatten().map(EditField::in_page).collect::<Option<Vec<_>>>()?;
        let edits = match edits.is_empty() {
            true => String::new(),
            false => format!("&e={}", escaped(&Value::from(edits).to_string())),
        };
        Some(format!("#flow?i={}{edits}", ids.join(".")))
    }
}

/// A number in base 36.
fn base36(mut number: u32) -> String {
    let mut digits = Vec::new();
    loop {
        digits.push(char::from_digit(number % 36, 36).unwrap_or_default());
        number /= 36;
        if number == 0 {
            return digits.iter().rev().collect();
        }
    }
}

/// Text in a fragment: every byte but letters and digits as `%` and its value.
fn escaped(text: &str) -> String {
    let byte = |byte: u8| match byte.is_ascii_alphanumeric() {
        true => char::from(byte).to_string(),
        false => format!("%{byte:02X}"),
    };
    text.bytes().map(byte).collect()
}

fn site(param: &str, name: &str, layers: usize) -> Answered<Site> {
    Site::named(name, layers).map_err(|error| match error {
        glass::Error::InvalidArgument { why, .. } => Refusal::field(param, why),
        other => other.into(),
    })
}

fn positions(asked: Option<&Value>, prompt: usize) -> Answered<Range<usize>> {
    let wrong = || {
        let found = asked.cloned().unwrap_or_default();
        let why = format!(
            "it is {found}; \"last\", \"all\" or [from, to] within the prompt's {prompt} tokens was expected"
        );
        Refusal::field("look.positions", why)
    };
    match asked {
        None => Ok(prompt - 1..prompt),
        Some(Value::String(word)) if word == "last" => Ok(prompt - 1..prompt),
        Some(Value::String(word)) if word == "all" => Ok(0..prompt),
        Some(Value::Array(ends)) => {
            match ends.iter().map(Value::as_u64).collect::<Option<Vec<_>>>().as_deref() {
                Some(&[from, to]) if from < to && to <= prompt as u64 => Ok(from as usize..to as usize),
                _ => Err(wrong()),
            }
        }
        Some(_) => Err(wrong()),
    }
}

fn attribution(asked: Option<&Value>, vocabulary: usize) -> Answered<Option<Attribute>> {
    match asked {
        None | Some(Value::Bool(false)) => return Ok(None),
        Some(Value::Bool(true)) => return Ok(Some(Attribute::Likeliest)),
        Some(Value::Object(fields)) if fields.len() == 1 => {
            let id = fields.get("token").and_then(Value::as_u64).filter(|&id| id < vocabulary as u64);
            if let Some(id) = id {
                return Ok(Some(Attribute::Token(id as u32)));
            }
        }
        Some(_) => {}
    }
    let why = format!("true, or {{\"token\": id}} with an id below {vocabulary} was expected");
    Err(Refusal::field("look.attribution", why))
}

impl EditField {
    fn edit(&self, param: &str, config: &Config) -> Answered<Edit> {
        let mut changes = Vec::new();
        changes.extend(self.silence.filter(|&silence| silence).map(|_| Change::Silence));
        changes.extend(self.add.clone().map(Change::Add));
        changes.extend(self.replace.clone().map(Change::Replace));
        changes.extend(self.cut.map(Change::Cut));
        changes.extend(self.force.map(Change::Force));
        if let Some(Head { layer, head }) = self.ablate {
            if !changes.is_empty() || self.site.is_some() || self.columns.is_some() {
                return Err(Refusal::field(param, "beside ablate only positions may be given"));
            }
            let heads = if layer < config.layers { config.heads_of(layer).query } else { 0 };
            if head >= heads {
                let why = format!("the model has no head {head} in block {layer}");
                return Err(Refusal::field(format!("{param}.ablate"), why));
            }
            return Ok(self.placed(Edit::silence_head(config, layer, head)));
        }
        let Some(name) = &self.site else {
            return Err(Refusal::field(param, "it has no site; give a site and a change, or ablate"));
        };
        let site = site(&format!("{param}.site"), name, config.layers)?;
        match (changes.pop(), changes.is_empty()) {
            (Some(change), true) => Ok(self.placed(Edit::of(site, change))),
            _ => Err(Refusal::field(param, "one of silence, add, replace, cut and force was expected")),
        }
    }

    /// The same change as the page writes it, if it has it.
    fn in_page(&self) -> Option<Value> {
        let mut change = match self {
            EditField { ablate: Some(Head { layer, head }), .. } => {
                json!({"silence": format!("block.{layer}.attention.head.{head}")})
            }
            EditField { silence: Some(true), site: Some(site), columns: None, .. } => {
                let part = site.strip_suffix("attention.out").map(|block| format!("{block}attention"));
                json!({"silence": part.or_else(|| site.strip_suffix(".out").map(str::to_string))?})
            }
            _ => return None,
        };
        if let Some([from, to]) = self.positions {
            change["at"] = json!([from, to]);
        }
        Some(change)
    }

    fn placed(&self, edit: Edit) -> Edit {
        let edit = match self.positions {
            Some([from, to]) => edit.at(from..to),
            None => edit,
        };
        match self.columns {
            Some([from, to]) => edit.columns(from..to),
            None => edit,
        }
    }
}

impl Lens {
    /// For the engine.
    pub fn watch(&self) -> Watch {
        self.watch.clone()
    }

    /// What was seen, as JSON.
    pub fn told(&self, card: &Card, seen: &Seen) -> Value {
        let mut sites = Map::new();
        for row in &seen.rows {
            let name = row.site.name(Names::Glass, self.layers);
            let one = json!({"position": row.position, "shape": row.shape, "values": row.values});
            let rows = sites.entry(name).or_insert_with(|| json!([]));
            if let Value::Array(rows) = rows {
                rows.push(one);
            }
        }
        let top = |drawn: &glass::next_token::Drawn| json!({"id": drawn.id, "token": card.text(drawn.id), "logprob": finite(drawn.logprob)});
        let lens: Vec<Value> = (seen.lens.iter())
            .map(|row| json!({"layer": row.layer, "position": row.position, "top": row.top.iter().map(top).collect::<Vec<_>>()}))
            .collect();
        let attribution = seen.attribution.as_ref().map(|(token, found)| {
            let parts: Vec<Value> = (found.parts.iter())
                .map(|(part, value)| json!({"part": part.to_string().replace(".attention.head.", ".head."), "value": value}))
                .collect();
            json!({
                "token": token, "whole": found.whole, "parts": parts,
                "positions": found.by_position(), "rest": found.rest(),
            })
        });
        json!({"sites": sites, "lens": lens, "attribution": attribution, "page": self.page})
    }
}
