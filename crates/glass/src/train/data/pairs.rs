//! Reads pairs of answers, of which one is preferred, in the forms that `trl` takes, one a line:
//!
//! ```text
//! {"prompt": "…", "chosen": "…", "rejected": "…"}
//! {"prompt": [{"role", "content"}, …], "chosen": [{"role", "content"}, …], "rejected": [{"role", "content"}, …]}
//! {"chosen": …, "rejected": …}    both begin with the prompt, as texts or as messages
//! ```
//!
//! Lines of both kinds may be mixed. Conversations may have `tools`.

use std::fs;
use std::path::{Path, PathBuf};

use rayon::prelude::*;
use serde_json::{Map, Value};

use crate::tokens::chat::{Message, Template};
use crate::tokens::{Special, Tokenizer};
use crate::train::data::chats::turns;
use crate::train::data::set::{Chat, Pair, Samples, Set};
use crate::train::data::{Remark, utf8};
use crate::{Error, Result};

/// A line of the data and its position, `file:line`.
#[derive(Clone, Debug, PartialEq)]
pub struct PairEntry {
    /// The position, for error messages.
    pub place: String,
    /// The contents.
    pub told: ToldPair,
}

/// A prompt, and the chosen and the rejected answer to it.
#[derive(Clone, Debug, PartialEq)]
pub enum ToldPair {
    /// Texts. An answer follows its prompt without anything in between.
    Texts {
        /// The prompt.
        prompt: String,
        /// The answers.
        answers: [String; 2],
    },
    /// Messages.
    Messages {
        /// The conversation before the answers.
        prompt: Vec<Message>,
        /// The messages of the answers.
        answers: [Vec<Message>; 2],
        /// `tools`, if the line has them.
        variables: Map<String, Value>,
    },
}

/// The tokens of a prompt, and those of the prompt with each answer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PairTokens {
    /// Of the prompt alone, up to where the answer begins.
    pub prompt: Vec<u32>,
    /// Of the prompt with the chosen and with the rejected answer.
    pub sides: [Vec<u32>; 2],
}

impl ToldPair {
    /// The tokens as `trl` makes them: each of the three texts is tokenised as a whole. An answer that is a text ends with `end`, the
    /// token between documents; what closes a message is said by the template.
    ///
    /// # Errors
    /// If there are messages but no template, or the template refuses them.
    pub fn tokens(
        &self,
        template: Option<&Template>,
        tokenizer: &Tokenizer,
        end: Option<u32>,
    ) -> Result<PairTokens> {
        let (prompt, answers, variables) = match self {
            ToldPair::Texts { prompt, answers } => {
                let text = |text: &str| tokenizer.encode_prompt(text.as_bytes(), Special::Plain);
                let written = end.and_then(|end| tokenizer.token(end));
                let written = written.and_then(|bytes| std::str::from_utf8(bytes).ok());
                let side = |answer: &String| {
                    let answer = written.and_then(|end| answer.strip_suffix(end)).unwrap_or(answer);
                    text(&format!("{prompt}{answer}")).into_iter().chain(end).collect()
                };
                return Ok(PairTokens { prompt: text(prompt), sides: answers.each_ref().map(side) });
            }
            ToldPair::Messages { prompt, answers, variables } => (prompt, answers, variables),
        };
        let Some(template) = template else {
            return Err(Error::invalid_argument("messages", "the model has no chat template; give texts"));
        };
        let side =
            |answer: &[Message]| template.conversation_with(&[prompt, answer].concat(), variables, tokenizer);
        let sides = [side(&answers[0])?, side(&answers[1])?];
        Ok(PairTokens { prompt: template.prompt_with(prompt, variables, tokenizer)?, sides })
    }

    /// Whether it consists of messages.
    pub fn is_conversation(&self) -> bool {
        matches!(self, ToldPair::Messages { .. })
    }
}

/// Reads files of pairs.
///
/// # Errors
/// If a file cannot be read, or a line is no pair; the message names the line.
pub fn read(files: &[PathBuf]) -> Result<(Vec<PairEntry>, Vec<Remark>)> {
    let (mut pairs, mut remarks) = (Vec::new(), Vec::new());
    for path in files {
        let bytes = fs::read(path).map_err(|error| Error::io("cannot read", path, error))?;
        let before = pairs.len();
        add(&mut pairs, path, bytes)?;
        if pairs.len() == before {
            remarks.push(Remark::new(path, "empty, skipped"));
        }
    }
    Ok((pairs, remarks))
}

fn add(pairs: &mut Vec<PairEntry>, path: &Path, bytes: Vec<u8>) -> Result<()> {
    let text = utf8(path, bytes)?;
    let lines = text.trim_start_matches('\u{feff}').lines().enumerate();
    for (index, line) in lines.filter(|(_, line)| !line.trim().is_empty()) {
        let place = format!("{}:{}", path.display(), index + 1);
        let told = told(line).map_err(|why| Error::invalid(&place, why))?;
        pairs.push(PairEntry { place, told });
    }
    Ok(())
}

const FORM: &str =
    "a pair is {\"prompt\",\"chosen\",\"rejected\"}, each a text or a list of {\"role\",\"content\"}";

/// The contents of a line, or the reason why it is not valid.
fn told(line: &str) -> std::result::Result<ToldPair, String> {
    let mut object = match serde_json::from_str(line) {
        Ok(Value::Object(object)) => object,
        Ok(_) => return Err(format!("not a JSON object; {FORM}")),
        Err(error) => return Err(format!("not JSON: {error}; each line must be one pair: {FORM}")),
    };
    let mut answer =
        |field: &str| object.remove(field).ok_or(format!("no field {field:?} in this line; {FORM}"));
    match (answer("chosen")?, answer("rejected")?) {
        (Value::String(chosen), Value::String(rejected)) => match object.remove("prompt") {
            Some(Value::String(prompt)) => Ok(ToldPair::Texts { prompt, answers: [chosen, rejected] }),
            None | Some(Value::Null) => Ok(apart(&chosen, &rejected)),
            Some(_) => Err(format!("the prompt is not a text as the answers are; {FORM}")),
        },
        (Value::Array(chosen), Value::Array(rejected)) => {
            let variables = tools(object.remove("tools"))?;
            let said =
                |field: &str, messages: Vec<Value>| turns(messages).map_err(|why| format!("{field}: {why}"));
            let [chosen, rejected] = [said("chosen", chosen)?, said("rejected", rejected)?];
            let prompt = match object.remove("prompt") {
                Some(Value::Array(prompt)) => Some(said("prompt", prompt)?),
                // A text next to whole conversations repeats what these begin with.
                None | Some(Value::Null | Value::String(_)) => None,
                Some(_) => {
                    return Err(format!("the prompt is not a list of messages as the answers are; {FORM}"));
                }
            };
            let (prompt, answers) = match prompt {
                Some(prompt) => (prompt, [chosen, rejected]),
                None => {
                    let len = common(&chosen, &rejected);
                    (chosen[..len].to_vec(), [chosen[len..].to_vec(), rejected[len..].to_vec()])
                }
            };
            if answers.iter().any(Vec::is_empty) {
                return Err(
                    "an answer has no message; both conversations must differ in their last messages".into(),
                );
            }
            Ok(ToldPair::Messages { prompt, answers, variables })
        }
        (Value::Array(_), Value::String(_)) | (Value::String(_), Value::Array(_)) => {
            Err(format!("one answer is a text and the other a list; {FORM}"))
        }
        _ => Err(format!("the answers are neither texts nor lists of messages; {FORM}")),
    }
}

/// `tools` as a list, or as one that is written in a text.
fn tools(tools: Option<Value>) -> std::result::Result<Map<String, Value>, String> {
    let tools = match tools {
        Some(Value::String(text)) => serde_json::from_str(&text).ok(),
        other => other,
    };
    match tools {
        None | Some(Value::Null) => Ok(Map::new()),
        Some(Value::Array(tools)) => Ok(Map::from_iter([("tools".to_string(), tools.into())])),
        Some(_) => Err("the field \"tools\" is not a list".into()),
    }
}

/// Two texts with a common beginning, which is the prompt. As in `trl`, a space before the first difference belongs to the answers.
fn apart(chosen: &str, rejected: &str) -> ToldPair {
    let same = chosen.char_indices().zip(rejected.chars()).take_while(|((_, c), r)| c == r);
    let mut at = same.last().map_or(0, |((at, c), _)| at + c.len_utf8());
    if chosen[..at].ends_with(' ') {
        at -= 1;
    }
    ToldPair::Texts { prompt: chosen[..at].into(), answers: [chosen[at..].into(), rejected[at..].into()] }
}

/// The length of the common beginning.
fn common<T: PartialEq>(one: &[T], other: &[T]) -> usize {
    one.iter().zip(other).take_while(|(one, other)| one == other).count()
}

/// Statistics of pairs that could not be used as they are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CutPairs {
    /// An answer is longer than the context: cut off at the end.
    pub shortened: usize,
    /// Left out, because nothing of an answer fits into the context.
    pub left_out: usize,
    /// Left out, because both answers are the same.
    pub same: usize,
}

/// Returns the tokens of a pair.
pub type EncodePair<'a> = dyn Fn(&ToldPair) -> Result<PairTokens> + Sync + 'a;

/// Makes two samples of each line, in parallel and in order. An answer begins where the tokens of the prompt with an answer are no
/// longer those of the prompt: as in `trl`, at the same place of both. Its first token is not counted if nothing comes before it.
///
/// # Errors
/// If `encode` fails; the message names the line.
pub fn set(entries: &[PairEntry], context: usize, encode: &EncodePair<'_>) -> Result<(Set, CutPairs)> {
    let encoded: Vec<PairTokens> = entries
        .par_iter()
        .map(|entry| encode(&entry.told).map_err(|error| Error::invalid(&entry.place, error)))
        .collect::<Result<_>>()?;
    let (mut cut, mut pairs) = (CutPairs::default(), Vec::new());
    for PairTokens { prompt, sides } in encoded {
        if sides[0] == sides[1] {
            cut.same += 1;
            continue;
        }
        let begins = common(&prompt, &sides[0]).min(common(&prompt, &sides[1]));
        let fits = |side: &Vec<u32>| side.len().min(context + 1);
        if sides.iter().any(|side| fits(side) <= begins.max(1)) {
            cut.left_out += 1;
            continue;
        }
        cut.shortened += usize::from(sides.iter().any(|side| fits(side) < side.len()));
        let sides = sides.map(|mut ids| {
            ids.truncate(context + 1);
            let learned = (0..ids.len()).map(|at| at >= begins).collect();
            Chat { ids, learned }
        });
        pairs.push(Pair { sides, reference: [0.0; 2] });
    }
    Ok((Set { documents: pairs.len(), samples: Samples::Pairs(pairs), bytes: None }, cut))
}
