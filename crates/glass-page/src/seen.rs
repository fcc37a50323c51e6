//! A text in memory: one pass over it, recorded, for all questions about it.

use glass::backend::Cpu;
use glass::inspect::{Edit, Edits, Inspector, Matrix, Record};
use glass::next_token::{Drawn, Sampler, Sampling};
use glass::probe::{Part, Site};
use glass::runtime::Model;
use glass::{Config, Error, Result};
use serde::Deserialize;

use crate::Page;

/// Most numbers that are recorded of a whole text: 128 MiB. Of a longer text only the residual streams are, and one block at a
/// time is computed again from there.
const MOST_NUMBERS: usize = 1 << 25;

/// A change of the pass.
#[derive(Clone, PartialEq, Debug, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub struct Change {
    /// `block.3.attention.head.5`, `block.3.attention`, `block.3.mlp`, `block.3.mlp.neuron.17`.
    silence: Option<String>,
    /// A key, and the query that does not see it; `null` for all later ones.
    cut: Option<(usize, Option<usize>)>,
    /// The block of a cut; all, if it is left out.
    block: Option<usize>,
    /// A site whose numbers are those of the text `from`.
    patch: Option<String>,
    from: Option<Vec<u32>>,
    /// Only this head of the site.
    head: Option<usize>,
    /// The block before which `strength` times the direction of the text `along` is added.
    steer: Option<usize>,
    strength: Option<f32>,
    along: Option<Vec<u32>>,
    /// From this position to before that one; all, if it is left out.
    at: Option<(usize, usize)>,
}

/// A text that was read, with its changes.
pub(crate) struct Seen<'m> {
    pub(crate) ids: Vec<u32>,
    changes: Vec<Change>,
    pub(crate) edits: Vec<Edit>,
    pub(crate) inspector: Inspector<'m, Cpu>,
    record: Record,
    /// The block whose sites were computed again, if the record does not hold all.
    block: Option<(usize, Record)>,
}

impl<'m> Page<'m> {
    /// The pass over a text: the one in memory, if it is the same.
    pub(crate) fn see(&mut self, ids: &[u32], changes: &[Change]) -> Result<&mut Seen<'m>> {
        let same = self.seen.as_ref().is_some_and(|seen| seen.ids == ids && seen.changes == changes);
        if !same {
            let room = room(self.model, ids)?;
            let kept = self.seen.take().filter(|seen| seen.inspector.room().0 >= ids.len());
            let seen = match kept {
                Some(seen) => Seen::read(seen.inspector, ids, changes)?,
                None => Seen::read(Inspector::new(self.model, room, 1)?, ids, changes)?,
            };
            self.seen = Some(seen);
        }
        Ok(self.seen.as_mut().expect("it was just read"))
    }
}

/// Memory for a text, with some room for the next one.
pub(crate) fn inspector<'m>(model: &'m Model<Cpu>, ids: &[u32]) -> Result<Inspector<'m, Cpu>> {
    Inspector::new(model, room(model, ids)?, 1)
}

/// Positions of memory for a text that the model can read.
fn room(model: &Model<Cpu>, ids: &[u32]) -> Result<usize> {
    let context = model.config().context;
    match ids.len() {
        0 => Err(Error::invalid_argument("ids", "there are none; give at least one token")),
        len if len > context => {
            let why = format!("{len} tokens; the model's context holds {context}, so look at a part of it");
            Err(Error::invalid_argument("ids", why))
        }
        len => Ok(len.next_multiple_of(64).min(context)),
    }
}

/// The sites that are recorded: all that fit.
fn sites(config: &Config, len: usize) -> Vec<Site> {
    let all: Vec<Site> = Site::all(config).into_iter().filter(|site| *site != Site::Logits).collect();
    let numbers = |site: &Site| {
        let squares = if site.is_square() { config.heads.query } else { 1 };
        squares * len * site.cols(config, len)
    };
    match all.iter().map(numbers).sum::<usize>() <= MOST_NUMBERS {
        true => all,
        false => (all.into_iter())
            .filter(|site| matches!(site, Site::Block(_, Part::Residual)) || !matches!(site, Site::Block(..)))
            .collect(),
    }
}

impl<'m> Seen<'m> {
    fn read(mut inspector: Inspector<'m, Cpu>, ids: &[u32], changes: &[Change]) -> Result<Seen<'m>> {
        let config = inspector.model().config().clone();
        let mut edits = Vec::new();
        for change in changes {
            edits.extend(change.edits(&mut inspector, ids, ids.len())?);
        }
        let mut record = Record::of(sites(&config, ids.len()));
        inspector.run(&[ids], (Edits::new(edits.iter().cloned()), &mut record))?;
        Ok(Seen { ids: ids.to_vec(), changes: changes.to_vec(), edits, inspector, record, block: None })
    }

    /// The model's sizes.
    pub(crate) fn config(&self) -> &'m Config {
        self.inspector.model().config()
    }

    /// A position of the text; by default the last.
    pub(crate) fn position(&self, asked: Option<usize>) -> Result<usize> {
        let len = self.ids.len();
        match asked.unwrap_or(len - 1) {
            position if position < len => Ok(position),
            position => {
                let why = format!("{position} is not among the text's {len}, counted from 0");
                Err(Error::invalid_argument("position", why))
            }
        }
    }

    /// The numbers of a site.
    pub(crate) fn site(&mut self, site: Site) -> Result<&Matrix> {
        let Site::Block(block, _) = site else { return self.record.get(site) };
        if self.record.get(site).is_ok() {
            return self.record.get(site);
        }
        if self.block.as_ref().is_none_or(|(at, _)| *at != block) {
            let first = self.config().begin_at(block);
            let residual = self.record.get(Site::Block(first, Part::Residual))?.values.clone();
            let parts = Part::ALL.map(|part| Site::Block(block, part));
            let mut record = Record::of(parts.into_iter().filter(|site| site.is_in(self.config())));
            // The recorded residual is that after its own edits.
            let later = |edit: &&Edit| {
                edit.layer().is_some_and(|layer| layer >= first)
                    && edit.site != Site::Block(first, Part::Residual)
            };
            let edits = Edits::new(self.edits.iter().filter(later).cloned());
            self.inspector.resume(first, &residual, &[self.ids.len()], (edits, &mut record))?;
            self.block = Some((block, record));
        }
        self.block.as_ref().expect("it was just computed").1.get(site)
    }

    /// A row of a site.
    pub(crate) fn row(&mut self, site: Site, position: usize) -> Result<Vec<f32>> {
        Ok(self.site(site)?.row(position).to_vec())
    }

    /// The logits after a position.
    pub(crate) fn logits(&mut self, position: usize) -> Result<Vec<f32>> {
        let layers = self.config().layers;
        let residual = self.record.get(Site::Residual)?;
        let late = |edit: &&Edit| matches!(edit.site, Site::Norm | Site::Logits);
        let mut late = self.edits.iter().filter(late).cloned().peekable();
        if late.peek().is_none() {
            self.inspector.resume(layers, residual.row(position), &[1], ())?;
            return Ok(self.inspector.next_logits());
        }
        let edits = Edits::new(late);
        self.inspector.resume(layers, &residual.values, &[self.ids.len()], edits)?;
        let mut found = Vec::new();
        self.inspector.logits(&mut |row, logits| {
            if row == position {
                found.extend_from_slice(logits);
            }
        });
        Ok(found)
    }
}

/// The most probable tokens, most probable first.
pub(crate) fn top(logits: &[f32], n: usize) -> Result<Vec<Drawn>> {
    let mut sampler = Sampler::new(&Sampling::default(), logits.len(), 0)?;
    Ok(sampler.top(logits, n.min(logits.len()))?.to_vec())
}

impl Change {
    /// What is changed in the pass over `ids`; positions are cut up to `end`.
    pub(crate) fn edits(
        &self,
        inspector: &mut Inspector<'_, Cpu>,
        ids: &[u32],
        end: usize,
    ) -> Result<Vec<Edit>> {
        let config = inspector.model().config();
        let at = |edit: Edit| match self.at {
            Some((from, to)) => edit.at(from..to),
            None => edit,
        };
        match self {
            Change { silence: Some(part), .. } => Ok(vec![at(silence(config, part)?)]),
            Change { cut: Some((key, query)), block, .. } => {
                let blocks = block.map_or(0..config.layers, |block| block..block + 1);
                let queries = query.map_or(key + 1..end, |query| query..query + 1);
                if queries.is_empty() || queries.start <= *key {
                    let why = format!("no position after {key} is named, and a position always sees itself");
                    return Err(Error::invalid_argument("cut", why));
                }
                Ok(blocks.map(|block| Edit::cut(block, queries.clone(), *key)).collect())
            }
            Change { patch: Some(site), from: Some(from), head, .. } => {
                Ok(vec![patch(inspector, site, from, ids, self.at, *head)?])
            }
            Change { steer: Some(block), strength, along: Some(along), .. } => {
                Ok(vec![at(steer(inspector, *block, strength.unwrap_or(1.0), along)?)])
            }
            _ => Err(Error::invalid_argument(
                "edits",
                "give silence, cut, patch with from, or steer with along",
            )),
        }
    }
}

fn silence(config: &Config, part: &str) -> Result<Edit> {
    let words: Vec<&str> = part.split('.').collect();
    let number = |word: &str, most: usize| word.parse::<usize>().ok().filter(|&number| number < most);
    let edit = match words[..] {
        ["block", block, ref rest @ ..] => number(block, config.layers).and_then(|block| match *rest {
            ["attention"] => Some(Edit::silence_attention(block)),
            ["attention", "head", head] => {
                Some(Edit::silence_head(config, block, number(head, config.heads.query)?))
            }
            ["mlp"] => Some(Edit::silence_mlp(block)),
            ["mlp", "neuron", neuron] => Some(Edit::silence_neuron(block, number(neuron, config.mlp_width)?)),
            _ => None,
        }),
        _ => None,
    };
    edit.ok_or_else(|| {
        let why =
            format!("{part:?} is no part of this model; give one as block.3.attention.head.2 or block.3.mlp");
        Error::invalid_argument("silence", why)
    })
}

fn patch(
    inspector: &mut Inspector<'_, Cpu>,
    site: &str,
    from: &[u32],
    ids: &[u32],
    at: Option<(usize, usize)>,
    head: Option<usize>,
) -> Result<Edit> {
    let config = inspector.model().config();
    let site = Site::named(site, config.layers)?;
    if from.len() != ids.len() {
        let why = format!(
            "it has {} tokens, the text has {}; a patch is at the same position in both",
            from.len(),
            ids.len()
        );
        return Err(Error::invalid_argument("from", why));
    }
    if site.is_square() {
        return Err(Error::invalid_argument("patch", "scores and patterns cannot be patched here"));
    }
    let mut record = Record::of([site]);
    inspector.run(&[from], &mut record)?;
    let matrix = record.get(site)?;
    let columns = match head {
        None => 0..matrix.cols,
        Some(head) if head < config.heads.query && matches!(site, Site::Block(_, Part::Z)) => {
            head * config.heads.size..(head + 1) * config.heads.size
        }
        Some(_) => {
            return Err(Error::invalid_argument("head", "only attention.z has heads that can be patched"));
        }
    };
    let (first, end) = at.unwrap_or((0, ids.len()));
    if first >= end || end > ids.len() {
        let why = format!("{first}..{end} are not positions of the text's {}", ids.len());
        return Err(Error::invalid_argument("at", why));
    }
    let rows = (first..end).flat_map(|row| &matrix.row(row)[columns.clone()]).copied().collect();
    Ok(Edit::replace(site, rows).columns(columns).at(first..end))
}

fn steer(inspector: &mut Inspector<'_, Cpu>, block: usize, strength: f32, along: &[u32]) -> Result<Edit> {
    let layers = inspector.model().config().layers;
    if block >= layers || along.is_empty() || along.len() > inspector.room().0 {
        let why = format!("give a block below {layers} and a text that is no longer than this one");
        return Err(Error::invalid_argument("steer", why));
    }
    let site = Site::residual(block, layers);
    let mut record = Record::of([site]);
    inspector.run(&[along], &mut record)?;
    let vector = record.get(site)?.row(along.len() - 1);
    let length = vector.iter().map(|x| x * x).sum::<f32>().sqrt();
    Ok(Edit::steer(block, vector.iter().map(|x| x * strength / length).collect()))
}
