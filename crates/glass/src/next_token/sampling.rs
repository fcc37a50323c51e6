//! The settings of sampling, and their checks.

use crate::{Error, Result};

/// How the next token is drawn. The default draws from the model's own probabilities.
#[derive(Clone, PartialEq, Debug)]
pub struct Sampling {
    /// Divides the logits: 0 is greedy, 1 leaves the probabilities as they are; above 2 only with `hot`.
    pub temperature: f32,
    /// Only the k most probable tokens; 0 is off.
    pub top_k: usize,
    /// Only the fewest most probable tokens that together hold this much probability; 1 is off.
    pub top_p: f32,
    /// Only tokens at least this many times as probable as the most probable one; 0 is off.
    pub min_p: f32,
    /// Makes tokens that were seen less probable; 1 is off.
    pub repetition_penalty: f32,
    /// Subtracted from the logits of tokens that were generated; 0 is off.
    pub presence_penalty: f32,
    /// Subtracted from the logits of tokens for each time they were generated; 0 is off.
    pub frequency_penalty: f32,
    /// Added to the logits of these tokens; each at most once.
    pub logit_bias: Vec<(u32, f32)>,
    /// Tokens that are not drawn among the first n new ones: `(id, n)`; `usize::MAX` means never.
    pub suppressed: Vec<(u32, usize)>,
    /// The seed of all draws.
    pub seed: u64,
    /// Allows temperatures above 2.
    pub hot: bool,
}

impl Default for Sampling {
    fn default() -> Self {
        Sampling {
            temperature: 1.0,
            top_k: 0,
            top_p: 1.0,
            min_p: 0.0,
            repetition_penalty: 1.0,
            presence_penalty: 0.0,
            frequency_penalty: 0.0,
            logit_bias: Vec::new(),
            suppressed: Vec::new(),
            seed: 0,
            hot: false,
        }
    }
}

impl Sampling {
    /// Refuses impossible values, naming the field.
    pub fn check(&self, vocabulary: usize) -> Result<()> {
        let temperature = self.temperature;
        within("temperature", temperature, 0.0, f32::MAX, "a number from 0 (greedy) to 2")?;
        if temperature > 2.0 && !self.hot {
            let why = format!(
                "it is {temperature}; above 2 a model mostly produces noise; to use it anyway, allow `hot`"
            );
            return Err(Error::invalid_argument("temperature", why));
        }
        within("top_p", self.top_p, 0.0, 1.0, "a number from 0 to 1 (off)")?;
        within("min_p", self.min_p, 0.0, 1.0, "a number from 0 (off) to 1")?;
        let least = f32::MIN_POSITIVE;
        within("repetition_penalty", self.repetition_penalty, least, f32::MAX, "a number above 0; 1 is off")?;
        within("presence_penalty", self.presence_penalty, -2.0, 2.0, "a number from -2 to 2; 0 is off")?;
        within("frequency_penalty", self.frequency_penalty, -2.0, 2.0, "a number from -2 to 2; 0 is off")?;
        if let Some((id, _)) = self.suppressed.iter().find(|(id, _)| *id as usize >= vocabulary) {
            return Err(Error::invalid_argument("suppressed", outside(*id, vocabulary)));
        }
        self.check_bias(vocabulary)
    }

    fn check_bias(&self, vocabulary: usize) -> Result<()> {
        let refused = |why: String| Err(Error::invalid_argument("logit_bias", why));
        for &(id, bias) in &self.logit_bias {
            if id as usize >= vocabulary {
                return refused(outside(id, vocabulary));
            }
            if !bias.is_finite() {
                return refused(format!(
                    "the bias of token {id} is {bias}; give a number, such as -100 to forbid it"
                ));
            }
        }
        let mut ids: Vec<u32> = self.logit_bias.iter().map(|&(id, _)| id).collect();
        ids.sort_unstable();
        match ids.windows(2).find(|pair| pair[0] == pair[1]) {
            Some(twice) => refused(format!("token {} is given twice; give it one bias", twice[0])),
            None => Ok(()),
        }
    }
}

fn outside(id: u32, vocabulary: usize) -> String {
    format!("token {id} is not in the vocabulary, whose ids end at {}", vocabulary.max(1) - 1)
}

fn within(name: &str, value: f32, least: f32, most: f32, expected: &str) -> Result<()> {
    if (least..=most).contains(&value) {
        return Ok(());
    }
    Err(Error::invalid_argument(name, format!("it is {value}; {expected} was expected")))
}
