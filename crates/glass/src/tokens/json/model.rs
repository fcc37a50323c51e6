//! A vocabulary and its merges, as files write them.

use std::borrow::Cow;
use std::fmt;

use serde::de::{Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};

use crate::tokens::bpe::MOST_TOKENS;
use crate::tokens::ids::Ids;

/// A vocabulary and its merges.
#[derive(Default)]
pub struct Model<'a> {
    /// Ids by token, each in the byte-level alphabet.
    pub vocab: Ids<'a>,
    /// In the order they were learned.
    pub merges: Vec<Pair<'a>>,
}

/// A merge: older files join its halves by a space.
pub enum Pair<'a> {
    /// As two strings.
    Two(Cow<'a, str>, Cow<'a, str>),
    /// As one string with a space between the halves.
    Joined(Cow<'a, str>),
}

/// A string that stays in the file unless it is escaped there.
struct Text<'a>(Cow<'a, str>);

impl<'de> Deserialize<'de> for Text<'de> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Found;
        impl<'de> Visitor<'de> for Found {
            type Value = Text<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string")
            }
            fn visit_borrowed_str<E: Error>(self, text: &'de str) -> Result<Text<'de>, E> {
                Ok(Text(text.into()))
            }
            fn visit_str<E: Error>(self, text: &str) -> Result<Text<'de>, E> {
                Ok(Text(text.to_string().into()))
            }
        }
        from.deserialize_str(Found)
    }
}

/// Reads no more of a vocabulary than there can be: in memory it is larger than in its file.
impl<'de> Deserialize<'de> for Ids<'de> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Tokens;
        impl<'de> Visitor<'de> for Tokens {
            type Value = Ids<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("tokens and their ids")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Ids<'de>, A::Error> {
                let mut all = Ids::default();
                while let Some((Text(text), id)) = map.next_entry()? {
                    all.insert(text, id);
                    if all.len() > MOST_TOKENS {
                        return Err(A::Error::custom(format!("it has more than {MOST_TOKENS} tokens")));
                    }
                }
                Ok(all)
            }
        }
        from.deserialize_map(Tokens)
    }
}

impl<'de> Deserialize<'de> for Pair<'de> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Merge;
        impl<'de> Visitor<'de> for Merge {
            type Value = Pair<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("the two tokens of a merge")
            }
            fn visit_borrowed_str<E: Error>(self, both: &'de str) -> Result<Pair<'de>, E> {
                Ok(Pair::Joined(both.into()))
            }
            fn visit_str<E: Error>(self, both: &str) -> Result<Pair<'de>, E> {
                Ok(Pair::Joined(both.to_string().into()))
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut halves: A) -> Result<Pair<'de>, A::Error> {
                let left: Option<Text<'_>> = halves.next_element()?;
                let right: Option<Text<'_>> = halves.next_element()?;
                match (left, right, halves.next_element::<IgnoredAny>()?) {
                    (Some(Text(left)), Some(Text(right)), None) => Ok(Pair::Two(left, right)),
                    _ => Err(A::Error::custom("a merge has two tokens")),
                }
            }
        }
        from.deserialize_any(Merge)
    }
}
