//! The fields that chat, completion and other requests share: how tokens are drawn, and those that ask for nothing.

use std::collections::BTreeMap;

use glass::next_token::Sampling;
use serde::{Deserialize, Deserializer};
use serde_json::Value;
use utoipa::openapi::schema::OneOfBuilder;
use utoipa::openapi::{RefOr, Schema};
use utoipa::{PartialSchema, ToSchema};

use super::card::Card;
use super::error::{Answered, Refusal};
use super::random;
use crate::args::SamplingArgs;

/// A request's body: its own fields, and those of sampling.
macro_rules! sampled {
    ($(#[$doc:meta])* $name:ident { $($(#[$own:meta])* $field:ident: $kind:ty),* $(,)? }) => {
        $(#[$doc])*
        #[derive(Debug, serde::Deserialize, utoipa::ToSchema)]
        #[serde(deny_unknown_fields)]
        pub struct $name {
            $($(#[$own])* pub $field: $kind,)*
            /// 0 always takes the most probable token, 1 draws from the model's own probabilities.
            #[schema(minimum = 0, maximum = 2)]
            pub temperature: Option<f32>,
            /// Only the fewest tokens that together have this probability; 1 is off.
            #[schema(minimum = 0, maximum = 1)]
            pub top_p: Option<f32>,
            /// Only the K most probable tokens; 0 is off.
            pub top_k: Option<u32>,
            /// Only tokens at least this many times as probable as the most probable one; 0 is off.
            #[schema(minimum = 0, maximum = 1)]
            pub min_p: Option<f32>,
            /// Above 1, tokens that were seen become less probable; 1 is off.
            pub repetition_penalty: Option<f32>,
            /// Subtracted once from the logit of a token already generated.
            #[schema(minimum = -2, maximum = 2)]
            pub presence_penalty: Option<f32>,
            /// Subtracted from a token's logit each time it was generated.
            #[schema(minimum = -2, maximum = 2)]
            pub frequency_penalty: Option<f32>,
            /// Added to the logits of these tokens: ids as text, numbers from -100 to 100.
            pub logit_bias: Option<std::collections::BTreeMap<String, f32>>,
            /// The same seed gives the same tokens; without it, one is drawn and told.
            pub seed: Option<crate::serve::sampled::Seed>,
            /// Texts that end the answer; they are not part of it.
            pub stop: Option<crate::serve::sampled::Texts>,
        }

        impl $name {
            /// The fields of sampling.
            pub fn sampled(&mut self) -> crate::serve::sampled::Sampled {
                crate::serve::sampled::Sampled {
                    temperature: self.temperature,
                    top_p: self.top_p,
                    top_k: self.top_k,
                    min_p: self.min_p,
                    repetition_penalty: self.repetition_penalty,
                    presence_penalty: self.presence_penalty,
                    frequency_penalty: self.frequency_penalty,
                    logit_bias: self.logit_bias.take(),
                    seed: self.seed,
                    stop: self.stop.take(),
                }
            }
        }
    };
}

pub(super) use sampled;

/// How tokens are drawn, as asked for.
#[derive(Default)]
#[allow(missing_docs)]
pub struct Sampled {
    pub temperature: Option<f32>,
    pub top_p: Option<f32>,
    pub top_k: Option<u32>,
    pub min_p: Option<f32>,
    pub repetition_penalty: Option<f32>,
    pub presence_penalty: Option<f32>,
    pub frequency_penalty: Option<f32>,
    pub logit_bias: Option<BTreeMap<String, f32>>,
    pub seed: Option<Seed>,
    pub stop: Option<Texts>,
}

impl Sampled {
    /// With the advice of the model's authors for what was not asked for.
    pub fn sampling(&self, card: &Card) -> Answered<Sampling> {
        let mut logit_bias = Vec::new();
        for (id, bias) in self.logit_bias.iter().flatten() {
            let id: u32 = id.parse().map_err(|_| {
                Refusal::field(
                    "logit_bias",
                    format!("{id:?} is not a token id; the names are ids, as in {{\"198\": -100}}"),
                )
            })?;
            if !(-100.0..=100.0).contains(bias) {
                let why = format!("the bias of token {id} is {bias}; a number from -100 to 100 was expected");
                return Err(Refusal::field("logit_bias", why));
            }
            logit_bias.push((id, *bias));
        }
        let args = SamplingArgs {
            temperature: self.temperature,
            top_k: self.top_k.map(|k| k as usize),
            top_p: self.top_p,
            min_p: self.min_p,
            repetition_penalty: self.repetition_penalty,
            presence_penalty: self.presence_penalty,
            frequency_penalty: self.frequency_penalty,
            logit_bias,
            seed: Some(self.seed.map_or_else(random::seed, |seed| seed.0)),
            hot: false,
        };
        let sampling = args.advised(&card.advice, card.config.vocabulary);
        sampling.check(card.config.vocabulary).map_err(|error| match error {
            glass::Error::InvalidArgument { what, .. } if what == "temperature" => {
                let found = sampling.temperature;
                Refusal::field(what, format!("it is {found}; a number from 0 (greedy) to 2 was expected"))
            }
            other => other.into(),
        })?;
        Ok(sampling)
    }

    /// The texts that end an answer.
    pub fn stops(&self) -> Answered<Vec<String>> {
        const MOST: usize = 16;
        const LONGEST: usize = 1024;
        let stops = self.stop.as_ref().map(|Texts(texts)| texts.clone()).unwrap_or_default();
        if stops.len() > MOST {
            return Err(Refusal::field(
                "stop",
                format!("it has {} texts; at most {MOST} were expected", stops.len()),
            ));
        }
        match stops.iter().find(|stop| stop.is_empty() || stop.len() > LONGEST) {
            Some(stop) if stop.is_empty() => Err(Refusal::field("stop", "a text is empty; leave it out")),
            Some(_) => Err(Refusal::field("stop", format!("a text is longer than {LONGEST} bytes"))),
            None => Ok(stops),
        }
    }
}

/// A seed: any whole number of 64 bits; a negative one is read as its two's complement.
#[derive(Clone, Copy, Debug, ToSchema)]
#[schema(value_type = i64)]
pub struct Seed(pub u64);

impl<'de> Deserialize<'de> for Seed {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let value = Value::deserialize(from)?;
        let seed = value.as_u64().or_else(|| value.as_i64().map(|seed| seed as u64));
        seed.map(Seed)
            .ok_or_else(|| serde::de::Error::custom(format!("found {value}, a whole number was expected")))
    }
}

/// A text, or a list of texts.
#[derive(Clone, Debug)]
pub struct Texts(pub Vec<String>);

impl PartialSchema for Texts {
    fn schema() -> RefOr<Schema> {
        let shapes = OneOfBuilder::new().item(String::schema()).item(Vec::<String>::schema());
        shapes.description(Some("A text, or a list of texts.")).into()
    }
}

impl ToSchema for Texts {}

impl<'de> Deserialize<'de> for Texts {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = |value: Value| match value {
            Value::String(text) => Ok(text),
            other => Err(wrong(&other)),
        };
        match Value::deserialize(from)? {
            Value::String(text) => Ok(Texts(vec![text])),
            Value::Array(texts) => Ok(Texts(texts.into_iter().map(text).collect::<Result<_, _>>()?)),
            other => Err(wrong(&other)),
        }
    }
}

fn wrong<E: serde::de::Error>(found: &Value) -> E {
    let found: String = found.to_string().chars().take(40).collect();
    E::custom(format!("found {found}, a text or a list of texts was expected"))
}
