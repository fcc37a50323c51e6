//! Options of sampling, shared by several commands.

use clap::Args;
use glass::Error;
use glass::next_token::Sampling;
use glass::weights::generation::GenerationConfig;

use crate::fail::{Fail, say};

/// Applied in this order: logit bias, penalties, suppressed tokens, temperature, top-k, top-p, min-p, draw.
#[derive(Args, Debug)]
#[command(next_help_heading = "Sampling (defaults from the model's generation_config.json)")]
pub struct SamplingArgs {
    /// 0 always takes the most probable token, 1 draws from the model's own probabilities; at most 2
    #[arg(long, value_name = "T")]
    pub temperature: Option<f32>,

    /// Sample only from the K most probable tokens; 0 is off
    #[arg(long, value_name = "K")]
    pub top_k: Option<usize>,

    /// Sample only from the fewest tokens that together have this probability; 1 is off
    #[arg(long, value_name = "P")]
    pub top_p: Option<f32>,

    /// Sample only from tokens at least P times as probable as the most probable one; 0 is off
    #[arg(long, value_name = "P")]
    pub min_p: Option<f32>,

    /// Values above 1 make tokens that were seen less probable; 1 is off
    #[arg(long, value_name = "R")]
    pub repetition_penalty: Option<f32>,

    /// Subtracted once from the logit of a token already generated
    #[arg(long, value_name = "R")]
    pub presence_penalty: Option<f32>,

    /// Subtracted from a token's logit each time it was generated
    #[arg(long, value_name = "R")]
    pub frequency_penalty: Option<f32>,

    /// Adds B to the logit of token ID; may be given several times
    #[arg(long, value_name = "ID=B", value_parser = bias)]
    pub logit_bias: Vec<(u32, f32)>,

    /// The same seed gives the same tokens; default: a different seed each time
    #[arg(long, value_name = "N")]
    pub seed: Option<u64>,

    /// Allow temperatures above 2
    #[arg(long)]
    pub hot: bool,
}

impl SamplingArgs {
    /// The settings given, and for the rest those that the model's authors advise. Errors name the option.
    pub fn sampling(&self, advice: &GenerationConfig, vocabulary: usize) -> Result<Sampling, Fail> {
        let sampling = self.advised(advice, vocabulary);
        let aside: Vec<&str> = advice.left_aside.keys().map(String::as_str).collect();
        if !aside.is_empty() {
            say(&format!(
                "the model's generation_config.json sets {}, which is not supported and is ignored",
                aside.join(", ")
            ));
        }
        sampling.check(vocabulary).map_err(|error| self.refused(error))?;
        Ok(sampling)
    }

    /// The same without any check.
    pub fn advised(&self, advice: &GenerationConfig, vocabulary: usize) -> Sampling {
        let advised = advice.sampling(vocabulary, self.logit_bias.clone());
        Sampling {
            temperature: self.temperature.unwrap_or(advised.temperature),
            top_k: self.top_k.unwrap_or(advised.top_k),
            top_p: self.top_p.unwrap_or(advised.top_p),
            min_p: self.min_p.unwrap_or(advised.min_p),
            repetition_penalty: self.repetition_penalty.unwrap_or(advised.repetition_penalty),
            presence_penalty: self.presence_penalty.unwrap_or(advised.presence_penalty),
            frequency_penalty: self.frequency_penalty.unwrap_or(advised.frequency_penalty),
            seed: self.seed.unwrap_or_else(any_seed),
            hot: self.hot,
            ..advised
        }
    }

    /// Names the option for a field of the library, or the model's file if the value is from there.
    fn refused(&self, error: Error) -> Fail {
        let Error::InvalidArgument { what, why } = error else { return error.into() };
        let (option, why) = (what.replace('_', "-"), why.replace("allow `hot`", "give --hot"));
        let given = match what.as_str() {
            "temperature" => self.temperature.is_some(),
            "top_p" => self.top_p.is_some(),
            "min_p" => self.min_p.is_some(),
            "repetition_penalty" => self.repetition_penalty.is_some(),
            _ => true,
        };
        match given {
            true => Fail::asked(format!("--{option}: {why}")),
            false => Fail::failed(format!(
                "the model's generation_config.json: {what}: {why}; correct the file, or give --{option}"
            )),
        }
    }
}

/// `198=-100` → (198, -100).
fn bias(text: &str) -> Result<(u32, f32), String> {
    let parts = text.split_once('=').and_then(|(id, bias)| Some((id.parse().ok()?, bias.parse().ok()?)));
    parts.ok_or_else(|| "a token id and a number are needed, as in 198=-100".into())
}

/// A random seed, small enough to be typed.
fn any_seed() -> u64 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    (now.as_nanos() ^ u128::from(std::process::id())) as u64 % 1_000_000
}
