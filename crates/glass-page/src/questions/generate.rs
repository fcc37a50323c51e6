//! The text goes on, token by token.

use std::collections::BTreeMap;
use std::ops::ControlFlow;

use glass::generate::{Finish, GenerateOptions, generate};
use glass::next_token::{Sampler, Sampling};
use glass::{Error, Result};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::json::{drawn, token_with};
use crate::{Page, Tell};

/// Draws tokens, exactly as `glass generate` and the service do. What is not given is the advice of the model's authors.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Generate {
    ids: Vec<u32>,
    tokens: usize,
    temperature: Option<f32>,
    top_k: Option<usize>,
    top_p: Option<f32>,
    min_p: Option<f32>,
    repetition_penalty: Option<f32>,
    presence_penalty: Option<f32>,
    frequency_penalty: Option<f32>,
    #[serde(default)]
    logit_bias: BTreeMap<String, f32>,
    #[serde(default)]
    seed: u64,
    #[serde(default)]
    stop: Vec<String>,
    /// Whether the answer ends where the chat template ends one.
    #[serde(default)]
    chat: bool,
    /// The number of most probable tokens told with each one.
    #[serde(default)]
    top: usize,
}

impl Generate {
    pub(crate) fn answer(&self, page: &mut Page<'_>, tell: &mut Tell<'_>) -> Result<Value> {
        let model = page.model;
        let mut options = GenerateOptions {
            tokens: self.tokens,
            sampling: self.sampling(page)?,
            stop: self.stop.clone(),
            ends: model.end_tokens(),
            ..GenerateOptions::default()
        };
        if let (true, Some(template), Some(tokenizer)) =
            (self.chat, model.folder.template()?, &model.tokenizer)
        {
            let closing = template.closing()?;
            match tokenizer.special(&closing) {
                Some(id) => options.ends.push(id),
                None if closing.is_empty() => {}
                None => options.stop.push(closing),
            }
        }
        let positions = (self.ids.len() + self.tokens).min(model.config().context);
        let mut runner = model.runner_within(positions)?;
        runner.prompt(&self.ids)?;
        let mut ranks = Sampler::new(&Sampling::default(), model.config().vocabulary, 0)?;
        let mut failed = None;
        let generated = generate(&mut runner, model.tokenizer.as_ref(), &options, 0, &mut |next| {
            let mut frame = token_with(model, next.id, "logprob", next.logprob());
            frame["said"] = json!(next.text);
            match ranks.top(next.logits, self.top) {
                Ok(top) => frame["top"] = json!(drawn(model, top)),
                Err(error) => failed = Some(error),
            }
            if failed.is_some() { ControlFlow::Break(()) } else { tell(frame) }
        })?;
        if let Some(error) = failed {
            return Err(error);
        }
        let finish = match generated.finish {
            Finish::Length | Finish::Context => "length",
            Finish::Stop | Finish::End => "stop",
            Finish::Left => "left",
        };
        Ok(json!({"text": generated.text, "ids": generated.ids, "finish": finish}))
    }

    fn sampling(&self, page: &Page<'_>) -> Result<Sampling> {
        let vocabulary = page.model.config().vocabulary;
        let bias = |(id, bias): (&String, &f32)| match id.parse() {
            Ok(id) => Ok((id, *bias)),
            Err(_) => Err(Error::invalid_argument("logit_bias", format!("{id:?} is not a token id"))),
        };
        let biases = self.logit_bias.iter().map(bias).collect::<Result<_>>()?;
        let advised = page.model.folder.generation().sampling(vocabulary, biases);
        let sampling = Sampling {
            temperature: self.temperature.unwrap_or(advised.temperature),
            top_k: self.top_k.unwrap_or(advised.top_k),
            top_p: self.top_p.unwrap_or(advised.top_p),
            min_p: self.min_p.unwrap_or(advised.min_p),
            repetition_penalty: self.repetition_penalty.unwrap_or(advised.repetition_penalty),
            presence_penalty: self.presence_penalty.unwrap_or(advised.presence_penalty),
            frequency_penalty: self.frequency_penalty.unwrap_or(advised.frequency_penalty),
            seed: self.seed,
            ..advised
        };
        sampling.check(vocabulary)?;
        Ok(sampling)
    }
}
