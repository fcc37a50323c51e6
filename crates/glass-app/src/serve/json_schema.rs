//! Answers of a JSON schema: before each token, those that the schema allows. A schema of which any part could not be kept
//! to is refused before anything is generated.

use std::sync::{Arc, OnceLock};

use glass::Error;
use glass::scheduler::Constraint;
use glass::tokens::{Special, Tokenizer};
use llguidance::api::TopLevelGrammar;
use llguidance::{Matcher, ParserFactory};
use serde_json::{Value, json};
use toktrie::{TokRxInfo, TokTrie, TokenId, TokenizerEnv};

use super::card::{Card, aside};
use super::error::{Answered, Refusal};
use super::response_format::Format;

/// Where schemas become grammars. What they share is made once, at the first schema.
pub struct Grammars {
    tokenizer: Option<Tokenizer>,
    ends: Vec<u32>,
    vocabulary: usize,
    factory: OnceLock<Result<Arc<ParserFactory>, String>>,
}

/// A format that is ready for any number of answers.
pub struct Compiled(Option<(Arc<ParserFactory>, TopLevelGrammar)>);

impl Grammars {
    /// For this model.
    pub fn new(card: &Card) -> Grammars {
        let ends = card.chat.as_ref().map_or(&card.ends, |chat| &chat.ends).clone();
        let tokenizer = card.tokenizer().ok().cloned();
        Grammars { tokenizer, ends, vocabulary: card.config.vocabulary, factory: OnceLock::new() }
    }

    /// Makes a format ready.
    pub fn compile(&self, format: &Format) -> Answered<Compiled> {
        match format.schema() {
            None => Ok(Compiled(None)),
            Some(schema) => aside(true, || self.of_schema(schema)),
        }
    }

    fn of_schema(&self, mut schema: Value) -> Answered<Compiled> {
        bounded(&schema).map_err(refused)?;
        enforceable(&schema, "schema", 0).map_err(refused)?;
        if let Value::Bool(true) = schema {
            schema = json!({});
        }
        if let Value::Object(fields) = &mut schema {
            // Between two tokens of JSON a model could write white space for ever.
            fields.insert("x-guidance".into(), json!({"whitespace_pattern": " "}));
        }
        let factory = self.factory.get_or_init(|| self.factory().map(Arc::new));
        let factory = factory.clone().map_err(Refusal::fault)?;
        let grammar = TopLevelGrammar::from_json_schema(schema);
        let tried = deep(|| {
            let mut matcher = Matcher::new(factory.create_parser(grammar.clone()));
            // Some grammars fail only where the first token is looked for.
            let failed =
                matcher.get_error().or_else(|| Some(matcher.compute_mask_or_eos().err()?.to_string()));
            failed.or_else(|| matcher.grammar_warnings().first().cloned())
        });
        match tried {
            Some(error) => Err(refused(error.lines().next().unwrap_or_default())),
            None => Ok(Compiled(Some((factory, grammar)))),
        }
    }

    fn factory(&self) -> Result<ParserFactory, String> {
        let tokenizer = self.tokenizer.clone().ok_or("this model has no vocabulary")?;
        let (&end, all) =
            self.ends.last().zip(Some(&self.ends)).ok_or("this model has no token that ends an answer")?;
        let words: Vec<Vec<u8>> = (0..self.vocabulary as u32)
            .map(|id| match tokenizer.token(id) {
                Some(bytes) if tokenizer.is_special(id) => [&[TokTrie::SPECIAL_TOKEN_MARKER], bytes].concat(),
                Some(bytes) => bytes.to_vec(),
                None => Vec::new(),
            })
            .collect();
        let trie = TokTrie::from(&TokRxInfo::new(self.vocabulary as u32, end), &words).with_eos_tokens(all);
        let env: Arc<dyn TokenizerEnv + Sync> = Arc::new(Vocabulary { trie, tokenizer });
        let mut factory = ParserFactory::new_simple(&env).map_err(|error| error.to_string())?;
        factory.quiet();
        Ok(factory)
    }
}

impl Compiled {
    /// A restriction for one answer.
    pub fn constraint(&self) -> Answered<Option<Box<dyn Constraint + Send>>> {
        Ok(self.0.as_ref().map(|(factory, grammar)| {
            let matcher = deep(|| Matcher::new(factory.create_parser(grammar.clone())));
            Box::new(OfSchema(matcher)) as Box<dyn Constraint + Send>
        }))
    }
}

fn refused(why: impl std::fmt::Display) -> Refusal {
    Refusal::field("response_format", format!("the schema cannot be enforced: {why}"))
        .code("unsupported_schema")
}

/// The largest whole number that has no neighbour at less than 1 in an f64: the grammars count with those.
const MOST: f64 = 9_007_199_254_740_992.0;

/// Most definitions of a schema. They may refer to each other in a chain, and a grammar is made of them by recursion.
const DEFINITIONS: usize = 256;

/// Bytes of stack while a grammar is made.
const STACK: usize = 64 << 20;

/// Runs `work` with a large stack.
fn deep<T: Send>(work: impl FnOnce() -> T + Send) -> T {
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new().stack_size(STACK).spawn_scoped(scope, work);
        thread.expect("a thread").join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

/// Refuses numbers that cannot be kept to exactly, bounds without a number between them, and too many definitions.
fn bounded(schema: &Value) -> Result<(), String> {
    match schema {
        Value::Number(number) if number.as_f64().is_none_or(|number| number.abs() > MOST) => {
            Err(format!("{number} is beyond 2^53, up to which whole numbers are exact"))
        }
        Value::Array(inner) => inner.iter().try_for_each(bounded),
        Value::Object(fields) => {
            let number = |name: &str| fields.get(name).and_then(Value::as_f64);
            if let (Some(least), Some(most)) = (number("minimum"), number("maximum"))
                && least > most
            {
                return Err(format!("no number is at least {least} and at most {most}"));
            }
            for name in ["$defs", "definitions"] {
                let count = fields.get(name).and_then(Value::as_object).map_or(0, |all| all.len());
                if count > DEFINITIONS {
                    return Err(format!("{name} has {count} definitions; at most {DEFINITIONS} are taken"));
                }
            }
            fields.values().try_for_each(bounded)
        }
        _ => Ok(()),
    }
}

/// Refuses what would be left out silently.
fn enforceable(schema: &Value, place: &str, depth: usize) -> Result<(), String> {
    let Value::Object(fields) = schema else {
        return match (schema, depth) {
            (Value::Bool(_), _) => Ok(()),
            _ => Err(format!("{place} is {schema}; an object was expected")),
        };
    };
    for (name, value) in fields {
        let place = format!("{place}.{name}");
        match (name.as_str(), value) {
            ("nullable", Value::Bool(true)) => {
                return Err(format!("{place}: give \"type\": [..., \"null\"]"));
            }
            ("x-guidance", _) => return Err(format!("{place}: settings are not taken from a schema")),
            ("format", _) if is_number(fields.get("type")) => {
                return Err(format!(
                    "{place}: a format of numbers is not enforced; give minimum and maximum"
                ));
            }
            (
                "properties" | "$defs" | "definitions" | "patternProperties" | "dependentSchemas",
                Value::Object(inner),
            ) => {
                for (name, schema) in inner {
                    enforceable(schema, &format!("{place}.{name}"), depth + 1)?;
                }
            }
            (
                "items"
                | "additionalProperties"
                | "not"
                | "if"
                | "then"
                | "else"
                | "contains"
                | "propertyNames",
                inner,
            ) => {
                enforceable(inner, &place, depth + 1)?;
            }
            ("anyOf" | "oneOf" | "allOf" | "prefixItems", Value::Array(inner)) => {
                for (at, schema) in inner.iter().enumerate() {
                    enforceable(schema, &format!("{place}[{at}]"), depth + 1)?;
                }
            }
            _ => {}
        }
    }
    Ok(())
}

fn is_number(kind: Option<&Value>) -> bool {
    kind.and_then(Value::as_str).is_some_and(|kind| kind == "integer" || kind == "number")
}

/// The model's vocabulary, as the library of grammars wants it.
struct Vocabulary {
    trie: TokTrie,
    tokenizer: Tokenizer,
}

impl TokenizerEnv for Vocabulary {
    fn tok_trie(&self) -> &TokTrie {
        &self.trie
    }

    fn tokenize_bytes(&self, text: &[u8]) -> Vec<TokenId> {
        self.tokenizer.encode_bytes(text, Special::Plain)
    }
}

/// The restriction of one answer.
struct OfSchema(Matcher);

impl Constraint for OfSchema {
    fn allow(&mut self, allowed: &mut [bool]) -> glass::Result<()> {
        let mask = self.0.compute_mask_or_eos().map_err(stuck)?;
        mask.iter_set_entries(|id| {
            if let Some(allowed) = allowed.get_mut(id) {
                *allowed = true;
            }
        });
        Ok(())
    }

    fn take(&mut self, id: u32) -> glass::Result<bool> {
        if !self.0.is_stopped() {
            self.0.consume_token(id).map_err(stuck)?;
        }
        match self.0.get_error() {
            Some(error) => Err(stuck(error)),
            None => Ok(self.0.is_stopped()),
        }
    }
}

fn stuck(error: impl std::fmt::Display) -> Error {
    let error = error.to_string();
    Error::invalid("response_format", error.lines().next().unwrap_or_default())
}
