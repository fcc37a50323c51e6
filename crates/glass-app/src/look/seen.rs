//! The results of a look at a text, collected once for the terminal, for JSON and for pictures.

use glass::backend::Cpu;
use glass::inspect::attribute::{Attribution, sites, trace};
use glass::inspect::jacobian::{JacobianLens, predict};
use glass::inspect::lens::{Reading, read};
use glass::inspect::{Edits, Inspector, Matrix, Record};
use glass::next_token::{Drawn, Sampler, Sampling};
use glass::probe::{Part, Site};
use glass::tokens::Special;

use super::changes;
use super::names::Names;
use crate::args::LookArgs;
use crate::fail::Fail;
use crate::model_arg::NamedModel;

/// Attention from the last position to another.
pub struct Link {
    /// The head's block.
    pub layer: usize,
    /// Its number in the block.
    pub head: usize,
    /// The position attended to.
    pub position: usize,
    /// The share of its attention.
    pub share: f64,
}

/// What the Jacobian lens reads after the last position.
pub struct Jacobian {
    /// The most probable tokens of every layer; `None` where the lens has no matrix.
    pub said: Vec<Option<Vec<Drawn>>>,
    /// The number of texts that it was fitted on.
    pub texts: u64,
}

/// The results for a text.
pub struct Seen<'a> {
    /// The model.
    pub model: &'a NamedModel,
    /// The text.
    pub ids: &'a [u32],
    /// The number of lines in every list.
    pub top: usize,
    /// The naming scheme of parts.
    pub names: Names,
    /// The strongest links from the last position.
    pub links: Vec<Link>,
    /// The prediction of every layer after every position, `[layers + 1][positions]`.
    pub everywhere: Vec<Vec<Reading>>,
    /// The same after the last position through the Jacobian lens, if it was asked for.
    pub jacobian: Option<Jacobian>,
    /// The unembedding's rows of the most probable next tokens.
    pub unembedding: Matrix,
    /// The record of the pass.
    pub record: Record,
    /// The logits after the last position.
    pub logits: Vec<f32>,
    /// The most probable next tokens.
    pub next: Vec<Drawn>,
    /// The same without the changes, if there were any.
    pub before: Option<Vec<Drawn>>,
    /// What was changed, in words.
    pub changes: Vec<String>,
    /// The token that is traced, and the one that it is measured against.
    pub traced: (u32, Option<u32>),
    /// The attribution of its logit.
    pub attribution: Attribution,
}

impl<'a> Seen<'a> {
    /// Runs the passes and collects the results.
    pub fn look(
        args: &LookArgs,
        model: &'a NamedModel,
        inspector: &mut Inspector<'_, Cpu>,
        ids: &'a [u32],
        changes: Edits,
    ) -> Result<Seen<'a>, Fail> {
        let config = model.config();
        let (layers, last, top) = (config.layers, ids.len() - 1, args.top.into());
        let mut sampler = Sampler::new(&Sampling::default(), config.vocabulary, 0)?;
        let mut most_probable = |logits: &[f32]| sampler.top(logits, top).map(<[Drawn]>::to_vec);
        let before = if changes.0.is_empty() {
            None
        } else {
            inspector.run(&[ids], ())?;
            Some(most_probable(&inspector.next_logits())?)
        };
        let residuals = (0..=layers).map(|layer| Site::residual(layer, layers));
        let pictured = pictured(layers);
        let mut record = inspector
            .record(sites(inspector.model().config()).into_iter().chain(residuals.clone()).chain(pictured));
        inspector.run(&[ids], (changes, &mut record))?;
        let logits = inspector.next_logits();
        let next = most_probable(&logits)?;
        let mut links = Vec::new();
        for layer in 0..layers {
            let pattern = record.get(Site::Block(layer, Part::Pattern))?;
            for head in 0..config.heads.query {
                let row = pattern.row(head * ids.len() + last);
                links.extend(row.iter().enumerate().map(|(position, share)| Link {
                    layer,
                    head,
                    position,
                    share: f64::from(*share),
                }));
            }
        }
        links.sort_by(|a, b| b.share.total_cmp(&a.share));
        links.truncate(top);
        let (token, against) = asked(args, model)?;
        let traced = (token.unwrap_or(next[0].id), against);
        let attribution = trace(inspector, &record, last, &logits, traced.0, traced.1)?;
        let everywhere = residuals
            .map(|site| Ok(read(inspector, &record.get(site)?.values, ids, top)?))
            .collect::<Result<Vec<_>, Fail>>()?;
        let table = if config.tied { "embedding.token.weight" } else { "unembedding.weight" };
        let unembedding = inspector.rows(table, &next.iter().map(|drawn| drawn.id).collect::<Vec<_>>())?;
        Ok(Seen {
            model,
            ids,
            top,
            names: args.names.into(),
            links,
            everywhere,
            jacobian: None,
            unembedding,
            record,
            logits,
            next,
            before,
            changes: changes::in_words(args),
            traced,
            attribution,
        })
    }

    /// Reads every layer after the last position through a Jacobian lens.
    pub fn read_through(
        &mut self,
        lens: &JacobianLens,
        inspector: &mut Inspector<'_, Cpu>,
    ) -> Result<(), Fail> {
        let layers = self.model.config().layers;
        let mut said = Vec::with_capacity(layers + 1);
        for layer in 0..=layers {
            let stream = self.record.get(Site::residual(layer, layers))?;
            let read = predict(inspector, lens, layer, stream.row(stream.rows - 1), self.top)?;
            said.push(read.and_then(|mut read| read.pop()));
        }
        self.jacobian = Some(Jacobian { said, texts: lens.about().texts });
        Ok(())
    }

    /// The part of the explained logit that the parts leave out, and its reason; `None` if it rounds to zero.
    pub fn rest(&self) -> Option<(&'static str, f64)> {
        let rest = self.attribution.rest();
        let why = match self.before.is_some() {
            true => "rest: changes, rounding",
            false => "rest: rounding",
        };
        (rest.abs() >= 0.005).then_some((why, rest))
    }

    /// Three temperatures, including the one that `generate` uses for this model, and the index of that one.
    pub fn temperatures(&self) -> ([f32; 3], usize) {
        let advice = self.model.folder.generation();
        let greedy = (advice.do_sample == Some(false)).then_some(0.0);
        let in_use = greedy.or(advice.temperature).unwrap_or(1.0);
        match in_use {
            0.0..1.0 => ([in_use, 1.0, 1.5], 0),
            1.0 => ([0.5, 1.0, 1.5], 1),
            _ => ([0.5, 1.0, in_use], 2),
        }
    }

    /// Every layer's prediction after the last position.
    pub fn lens(&self) -> impl Iterator<Item = &Reading> {
        self.everywhere.iter().filter_map(|layer| layer.last())
    }
}

/// The sites that pictures need besides those of the attribution.
fn pictured(layers: usize) -> Vec<Site> {
    let parts = [Part::Scores, Part::Masked, Part::Z];
    let blocks = (0..layers).flat_map(|layer| parts.map(|part| Site::Block(layer, part)));
    blocks.chain([Site::Norm]).collect()
}

/// The tokens given by --next and --against.
pub fn asked(args: &LookArgs, model: &NamedModel) -> Result<(Option<u32>, Option<u32>), Fail> {
    let named = |option: &str, text: &Option<String>| {
        text.as_deref().map(|text| token(model, option, text)).transpose()
    };
    Ok((named("--next", &args.next)?, named("--against", &args.against)?))
}

/// The single token of a text.
fn token(model: &NamedModel, option: &str, text: &str) -> Result<u32, Fail> {
    match model.tokenizer()?.encode(text, Special::Plain)[..] {
        [id] => Ok(id),
        ref ids => Err(Fail::asked(format!(
            "{option}: {text:?} is {} tokens; give one, with its space, as in \" ball\"",
            ids.len()
        ))),
    }
}
