//! Where heads look: queries, keys, and the pattern.

use glass::inspect::heads;
use glass::probe::{Part, Site};
use glass::{Config, Error, Result};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::Page;
use crate::json::{matrix, vector};
use crate::seen::{Change, Seen};

/// Most positions whose squares are told whole.
const MOST: usize = 128;

/// A head's steps: products, scaled and masked, softmax. Of a longer text, only the row of one position.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Attention {
    ids: Vec<u32>,
    #[serde(default)]
    edits: Vec<Change>,
    block: usize,
    head: usize,
    position: Option<usize>,
}

/// The patterns of all heads of a block.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Patterns {
    ids: Vec<u32>,
    #[serde(default)]
    edits: Vec<Change>,
    block: usize,
}

/// Where every head looks from one position.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Row {
    ids: Vec<u32>,
    #[serde(default)]
    edits: Vec<Change>,
    position: Option<usize>,
}

/// One query and one key.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct QueryKey {
    ids: Vec<u32>,
    #[serde(default)]
    edits: Vec<Change>,
    block: usize,
    head: usize,
    query: usize,
    key: usize,
}

/// What heads do on a text, by default on random tokens that repeat.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Kinds {
    ids: Option<Vec<u32>>,
}

/// Refuses a head that does not exist.
pub(crate) fn check_head(config: &Config, block: usize, head: usize) -> Result<()> {
    if block < config.layers && head < config.heads.query {
        return Ok(());
    }
    let (layers, heads) = (config.layers, config.heads.query);
    let why =
        format!("there is no head {head} in block {block}; the model has {layers} blocks of {heads} heads");
    Err(Error::invalid_argument("head", why))
}

/// Refuses a block that does not exist.
pub(crate) fn check_block(config: &Config, block: usize) -> Result<()> {
    check_head(config, block, 0)
}

impl Attention {
    pub(crate) fn answer(&self, page: &mut Page<'_>) -> Result<Value> {
        let seen = page.see(&self.ids, &self.edits)?;
        check_head(seen.config(), self.block, self.head)?;
        let len = self.ids.len();
        let position = seen.position(self.position)?;
        let heads = seen.config().heads_of(self.block);
        let whole = len <= MOST && self.position.is_none();
        let rows = if whole { 0..len } else { position..position + 1 };
        let mut square = |part: Part, rows: std::ops::Range<usize>| -> Result<Value> {
            let first = self.head * len;
            let square = seen.site(Site::Block(self.block, part))?;
            let values = &square.values[(first + rows.start) * len..(first + rows.end) * len];
            Ok(matrix(rows.len(), len, values))
        };
        Ok(json!({
            "scores": square(Part::Scores, rows.clone())?, "masked": square(Part::Masked, rows.clone())?,
            "pattern": square(Part::Pattern, if len <= MOST { 0..len } else { rows })?,
            "scale": heads.scale, "cap": heads.cap, "window": heads.window, "from": if whole { 0 } else { position },
        }))
    }
}

impl Patterns {
    pub(crate) fn answer(&self, page: &mut Page<'_>) -> Result<Value> {
        if self.ids.len() > MOST {
            let why = format!("{} tokens; patterns of all heads are told for at most {MOST}", self.ids.len());
            return Err(Error::invalid_argument("ids", why));
        }
        let seen = page.see(&self.ids, &self.edits)?;
        check_block(seen.config(), self.block)?;
        let patterns = seen.site(Site::Block(self.block, Part::Pattern))?;
        Ok(json!({"patterns": crate::json::whole(patterns)}))
    }
}

impl Row {
    pub(crate) fn answer(&self, page: &mut Page<'_>) -> Result<Value> {
        let seen = page.see(&self.ids, &self.edits)?;
        let position = seen.position(self.position)?;
        let rows = rows(seen, position)?;
        Ok(json!({"rows": matrix(rows.len(), position + 1, &rows.concat()), "position": position}))
    }
}

/// The pattern of every head of the model at a position, over the positions that it sees.
pub(crate) fn rows(seen: &mut Seen<'_>, position: usize) -> Result<Vec<Vec<f32>>> {
    let (config, len) = (seen.config(), seen.ids.len());
    let mut rows = Vec::with_capacity(config.layers * config.heads.query);
    for block in 0..config.layers {
        let pattern = seen.site(Site::Block(block, Part::Pattern))?;
        let row = |head: usize| pattern.row(head * len + position)[..=position].to_vec();
        rows.extend((0..config.heads.query).map(row));
    }
    Ok(rows)
}

impl QueryKey {
    pub(crate) fn answer(&self, page: &mut Page<'_>) -> Result<Value> {
        let seen = page.see(&self.ids, &self.edits)?;
        let config = seen.config();
        check_head(config, self.block, self.head)?;
        let (query, key) = (seen.position(Some(self.query))?, seen.position(Some(self.key))?);
        let (size, len) = (config.heads.size, self.ids.len());
        let key_head = self.head / (config.heads.query / config.heads.key);
        let site = |part| Site::Block(self.block, part);
        // As they are multiplied: after their norm and rotation.
        let (asks, answers) = (Site::query(config, self.block), Site::key(config, self.block));
        let (query_site, key_site) = (asks.to_string(), answers.to_string());
        let asks = seen.row(asks, query)?[self.head * size..][..size].to_vec();
        let answers = seen.row(answers, key)?[key_head * size..][..size].to_vec();
        let at = |seen: &mut Seen<'_>, part| {
            Ok::<_, Error>(seen.site(site(part))?.row(self.head * len + query)[key])
        };
        let (product, scaled) = (at(seen, Part::Scores)?, at(seen, Part::Masked)?);
        Ok(json!({
            "query": vector(&asks), "key": vector(&answers), "query_site": query_site, "key_site": key_site,
            "product": product.is_finite().then_some(product),
            "scaled": scaled.is_finite().then_some(scaled), "share": at(seen, Part::Pattern)?,
        }))
    }
}

impl Kinds {
    pub(crate) fn answer(&self, page: &mut Page<'_>) -> Result<Value> {
        let config = page.model.config();
        let twice = || glass::inspect::growth::twice(config.vocabulary, config.context);
        let ids = self.ids.clone().unwrap_or_else(twice);
        let seen = page.see(&ids, &[])?;
        let of_block = |block| -> Result<Vec<heads::Head>> {
            let pattern = seen.site(Site::Block(block, Part::Pattern))?;
            Ok(pattern
                .values
                .chunks_exact(ids.len() * ids.len())
                .map(|square| heads::head(square, &ids))
                .collect())
        };
        let all = (0..config.layers).map(of_block).collect::<Result<Vec<_>>>()?;
        Ok(json!({"heads": all}))
    }
}
