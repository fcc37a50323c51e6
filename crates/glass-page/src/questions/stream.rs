//! Embeddings, and the residual stream on its way through the blocks.

use std::rc::Rc;

use glass::inspect::drift::{Word, carried, cosine, drift};
use glass::inspect::jacobian::{self, JacobianLens};
use glass::inspect::nearest::nearest;
use glass::inspect::{Edits, lens};
use glass::probe::{Part, Site};
use glass::{Error, Result};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::heads::length;
use crate::Page;
use crate::json::{drawn, token_with, vector};
use crate::seen::{Change, inspector};

/// A token's vector, its position's, and their sum.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Embedding {
    ids: Vec<u32>,
    #[serde(default)]
    edits: Vec<Change>,
    position: Option<usize>,
}

/// The tokens whose vectors are nearest to a token's.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Near {
    id: u32,
    #[serde(default = "twelve")]
    n: usize,
}

/// The residual stream at a position, block by block.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Stream {
    ids: Vec<u32>,
    #[serde(default)]
    edits: Vec<Change>,
    position: Option<usize>,
}

/// What the residual stream predicts, block by block.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Lens {
    ids: Vec<u32>,
    #[serde(default)]
    edits: Vec<Change>,
    #[serde(default)]
    kind: Kind,
    positions: Option<Positions>,
    #[serde(default = "super::heads::five")]
    top: usize,
}

/// How a residual stream is read.
#[derive(Clone, Copy, PartialEq, Default, Debug, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// As if it were the model's output.
    #[default]
    Logit,
    /// Through the average Jacobian from there to the end.
    Jacobian,
}

/// Some positions; by default the last.
#[derive(Clone, Debug, Deserialize)]
#[serde(untagged, expecting = "\"last\", \"all\" or [from, to] was expected")]
pub enum Positions {
    /// `"last"` or `"all"`.
    Named(Named),
    /// From this position to before that one.
    Some((usize, usize)),
}

/// Positions with a name.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Named {
    /// The last.
    Last,
    /// All.
    All,
}

/// A word in a text.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct InText {
    ids: Vec<u32>,
    word: (usize, usize),
}

/// The same word in two texts.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Drift {
    a: InText,
    b: InText,
}

/// What heads move from some positions into others.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Carried {
    ids: Vec<u32>,
    from: Vec<usize>,
    to: (usize, usize),
}

fn twelve() -> usize {
    12
}

impl Embedding {
    pub(crate) fn answer(&self, page: &mut Page<'_>) -> Result<Value> {
        let model = page.model;
        let seen = page.see(&self.ids, &self.edits)?;
        let position = seen.position(self.position)?;
        let (token, sum) = (seen.row(Site::Token, position)?, seen.row(Site::Embedding, position)?);
        // A model with rotary positions adds none here.
        let place = match Site::Position.is_in(seen.config()) {
            true => Some(seen.row(Site::Position, position)?),
            false => None,
        };
        let near =
            nearest(&seen.inspector, &token, 13)?.into_iter().filter(|(id, _)| *id != self.ids[position]);
        Ok(json!({
            "token": vector(&token), "position": place.as_deref().map(vector), "sum": vector(&sum),
            "lengths": {"token": length(&token), "position": place.as_deref().map(length), "sum": length(&sum)},
            "near": near.take(12).map(|(id, cosine)| token_with(model, id, "cosine", cosine)).collect::<Vec<_>>(),
        }))
    }
}

impl Near {
    pub(crate) fn answer(&self, page: &mut Page<'_>) -> Result<Value> {
        let model = page.model;
        let inspector = inspector(model, &[self.id])?;
        let own = inspector.rows("embedding.token.weight", &[self.id])?.values;
        let near = nearest(&inspector, &own, self.n + 1)?.into_iter().filter(|(id, _)| *id != self.id);
        let near = near.take(self.n).map(|(id, cosine)| token_with(model, id, "cosine", cosine));
        Ok(json!({"near": near.collect::<Vec<_>>()}))
    }
}

impl Stream {
    pub(crate) fn answer(&self, page: &mut Page<'_>) -> Result<Value> {
        let seen = page.see(&self.ids, &self.edits)?;
        let (layers, position) = (seen.config().layers, seen.position(self.position)?);
        let last = seen.row(Site::Residual, position)?;
        let (mut norms, mut cosines) = (Vec::new(), Vec::new());
        for layer in 0..=layers {
            let row = seen.row(Site::residual(layer, layers), position)?;
            norms.push(length(&row));
            cosines.push(cosine(&row, &last));
        }
        let mut added = |part| {
            (0..layers)
                .map(|block| Ok(length(&seen.row(Site::Block(block, part), position)?)))
                .collect::<Result<Vec<_>>>()
        };
        let (attention, mlp) = (added(Part::AttentionOut)?, added(Part::MlpOut)?);
        Ok(json!({"norms": norms, "attention": attention, "mlp": mlp, "cosines": cosines}))
    }
}

impl Lens {
    pub(crate) fn answer(&self, page: &mut Page<'_>) -> Result<Value> {
        let model = page.model;
        let jacobian = match self.kind {
            Kind::Logit => None,
            Kind::Jacobian => Some(fitted(page)?),
        };
        let seen = page.see(&self.ids, &self.edits)?;
        let (layers, last) = (seen.config().layers, self.ids.len() - 1);
        let (first, end) = match self.positions {
            None | Some(Positions::Named(Named::Last)) => (last, last + 1),
            Some(Positions::Named(Named::All)) => (0, last + 1),
            Some(Positions::Some(ends)) => ends,
        };
        if first >= end || end > last + 1 {
            let why = format!("{first} to {end} are not among the text's {}, counted from 0", last + 1);
            return Err(Error::invalid_argument("positions", why));
        }
        let mut told = Vec::new();
        for layer in 0..=layers {
            let stream = seen.site(Site::residual(layer, layers))?;
            let rows: Vec<f32> = (first..end).flat_map(|row| stream.row(row)).copied().collect();
            let inspector = &mut seen.inspector;
            let read = match &jacobian {
                Some(lens) => jacobian::predict(inspector, lens, layer, &rows, self.top)?,
                None => Some(lens::predict(inspector, &rows, self.top)?),
            };
            // The input of the first block has no Jacobian lens.
            told.push(read.map(|read| read.iter().map(|top| drawn(model, top)).collect::<Vec<_>>()));
        }
        Ok(json!({"layers": told, "from": first, "kind": self.kind}))
    }
}

/// The Jacobian lens beside the model, read once.
pub(crate) fn fitted(page: &mut Page<'_>) -> Result<Rc<JacobianLens>> {
    if page.jacobian.is_none() {
        let beside = JacobianLens::beside(&page.model.folder, &inspector(page.model, &[0])?)?;
        page.jacobian = Some(beside.map(Rc::new));
    }
    page.jacobian.clone().flatten().ok_or_else(|| {
        let why = "no Jacobian lens was fitted for this model; glass look --fit-lens fits one";
        Error::invalid_argument("kind", why)
    })
}

impl InText {
    fn word(&self) -> Word<'_> {
        Word { ids: &self.ids, positions: self.word.0..self.word.1 }
    }
}

impl Drift {
    pub(crate) fn answer(&self, page: &mut Page<'_>) -> Result<Value> {
        let longest = if self.a.ids.len() > self.b.ids.len() { &self.a.ids } else { &self.b.ids };
        let mut inspector = inspector(page.model, longest)?;
        let found = drift(&mut inspector, self.a.word(), self.b.word(), &Edits::default())?;
        let mut parts: Vec<(String, f64, f64)> = (found.first.parts.iter().zip(&found.second.parts))
            .map(|((part, a), (_, b))| (part.to_string(), *a, *b))
            .collect();
        parts.sort_by(|x, y| (y.1 - y.2).abs().total_cmp(&(x.1 - x.2).abs()));
        let parts = parts.iter().map(|(name, a, b)| json!({"name": name, "a": a, "b": b}));
        Ok(json!({"cosine": found.cosine, "distance": found.distance, "parts": parts.collect::<Vec<_>>()}))
    }
}

impl Carried {
    pub(crate) fn answer(&self, page: &mut Page<'_>) -> Result<Value> {
        let mut inspector = inspector(page.model, &self.ids)?;
        let found = carried(&mut inspector, &self.ids, &self.from, self.to.0..self.to.1)?;
        let one = |one: &glass::inspect::drift::Carried| {
            json!({"block": one.layer, "head": one.head, "from": one.from, "to": one.to, "share": one.share,
                   "length": one.length, "part": one.part})
        };
        Ok(json!({"carried": found.iter().map(one).collect::<Vec<_>>()}))
    }
}
