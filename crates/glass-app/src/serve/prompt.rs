//! A prompt in the shapes that clients send: a text, texts, ids, lists of ids.

use serde::{Deserialize, Deserializer, de};
use serde_json::Value;
use utoipa::openapi::schema::OneOfBuilder;
use utoipa::openapi::{RefOr, Schema};
use utoipa::{PartialSchema, ToSchema};

use super::card::Card;
use super::error::{Answered, Refusal};

/// One or several prompts.
#[derive(Clone, Debug)]
pub struct Prompt(pub Vec<Piece>);

/// One prompt.
#[derive(Clone, Debug)]
pub enum Piece {
    /// A text.
    Text(String),
    /// Token ids.
    Ids(Vec<u32>),
}

impl Prompt {
    /// The tokens of each.
    pub fn ids(&self, card: &Card) -> Answered<Vec<Vec<u32>>> {
        let several = self.0.len() > 1;
        let mut all = Vec::with_capacity(self.0.len());
        for (at, piece) in self.0.iter().enumerate() {
            let param = if several { format!("prompt[{at}]") } else { "prompt".into() };
            let ids = match piece {
                Piece::Text(text) => card.prompt(text)?,
                Piece::Ids(ids) => ids.clone(),
            };
            card.check_prompt(&param, &ids)?;
            all.push(ids);
        }
        Ok(all)
    }

    /// How many tokens of each are not in its text: those that the model's files put before a text.
    pub fn starts(&self, card: &Card) -> Vec<usize> {
        let start = card.tokenizer().map_or(0, |tokenizer| tokenizer.start().len());
        self.0.iter().map(|piece| if matches!(piece, Piece::Text(_)) { start } else { 0 }).collect()
    }

    /// The text of each.
    pub fn texts(&self, card: &Card) -> Vec<String> {
        let text = |piece: &Piece| match piece {
            Piece::Text(text) => text.clone(),
            Piece::Ids(ids) => {
                let bytes: Vec<u8> = ids.iter().flat_map(|&id| card.bytes(id)).copied().collect();
                String::from_utf8_lossy(&bytes).into_owned()
            }
        };
        self.0.iter().map(text).collect()
    }

    /// The only one.
    pub fn single(self) -> Answered<Prompt> {
        match self.0.len() {
            1 => Ok(self),
            count => Err(Refusal::field("prompt", format!("it has {count} prompts; one was expected"))),
        }
    }
}

impl PartialSchema for Prompt {
    fn schema() -> RefOr<Schema> {
        let shapes = OneOfBuilder::new().item(String::schema()).item(Vec::<String>::schema());
        let shapes = shapes.item(Vec::<u32>::schema()).item(Vec::<Vec<u32>>::schema());
        shapes.description(Some("A text, a list of texts, a list of ids, or a list of lists of ids.")).into()
    }
}

impl ToSchema for Prompt {}

impl<'de> Deserialize<'de> for Prompt {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let value = Value::deserialize(from)?;
        match value {
            Value::String(text) => Ok(Prompt(vec![Piece::Text(text)])),
            Value::Array(items) => match items.first() {
                None => Err(de::Error::custom("it is an empty list; a text or token ids were expected")),
                Some(Value::Number(_)) => Ok(Prompt(vec![Piece::Ids(ids(items)?)])),
                Some(_) => items.into_iter().map(piece).collect::<Result<_, _>>().map(Prompt),
            },
            other => Err(wrong(&other)),
        }
    }
}

fn piece<E: de::Error>(value: Value) -> Result<Piece, E> {
    match value {
        Value::String(text) => Ok(Piece::Text(text)),
        Value::Array(items) => ids(items).map(Piece::Ids),
        other => Err(wrong(&other)),
    }
}

fn ids<E: de::Error>(items: Vec<Value>) -> Result<Vec<u32>, E> {
    let id = |item: Value| item.as_u64().and_then(|id| u32::try_from(id).ok()).ok_or_else(|| wrong(&item));
    items.into_iter().map(id).collect()
}

fn wrong<E: de::Error>(found: &Value) -> E {
    let found: String = found.to_string().chars().take(40).collect();
    E::custom(format!(
        "found {found}; a text, a list of texts, a list of ids, or a list of lists of ids was expected"
    ))
}
