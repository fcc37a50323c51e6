//! Files next to a vocabulary that change its ids: `tokenizer_config.json`, `special_tokens_map.json`,
//! `added_tokens.json`. Each is used as in `transformers` 5:
//!
//! - `added_tokens_decoder` in the first file holds added tokens; the other two files are used only without it;
//! - every named special token (`bos_token`, `pad_token`, `additional_special_tokens` …) is an added token, and one
//!   that is not in the vocabulary gets the next id;
//! - `add_prefix_space` applies to GPT-2's own tokenizer class; `add_bos_token` and `add_eos_token` apply if there is
//!   no `tokenizer.json`, which expresses the same in its own way.

use serde_json::Value;

use super::ids::Ids;
use super::json::{self, Token, next_id};
use super::normalize::Normal;
use super::presplit::Step;
use super::split::Split;
use crate::config::object::Object;
use crate::{Error, Result};

/// The largest size of such a file, in bytes.
const LONGEST: usize = 1 << 26;

/// The files.
#[derive(Default)]
pub(crate) struct Beside {
    config: Option<Object>,
    map: Option<Object>,
    added: Option<Object>,
    /// Whether a model's `config.json` is there, which makes GPT-2's class the default.
    model: bool,
}

/// What they set, apart from added tokens.
#[derive(Default)]
pub struct Switches {
    /// Whether a space is put before a text, if these files decide it.
    pub prefix_space: Option<bool>,
    /// Whether `bos_token` is put before a text.
    pub start: bool,
    /// Whether `eos_token` is put after a text.
    pub end: bool,
    /// The roles of special tokens.
    pub roles: Vec<(Box<str>, u32)>,
}

/// The roles that every tokenizer of `transformers` has, in the order in which their tokens are added.
const ROLES: [&str; 7] =
    ["bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token", "mask_token"];
/// Lists of special tokens without a role.
const LISTS: [&str; 2] = ["additional_special_tokens", "extra_special_tokens"];

/// Normal forms and a split.
type Parts = (&'static [Normal], Split);

/// The classes of `transformers` 5 that make the normalizer and the pre-tokenizer of a tokenizer.json anew. For
/// byte-level ones that are known, their normal forms and their split; what the others do is not read here.
const MADE_ANEW: [(&str, Option<Parts>); 18] = [
    ("GPT2Tokenizer", Some((&[], Split::Gpt2))),
    ("CodeGenTokenizer", Some((&[], Split::Gpt2))),
    ("GPTNeoXTokenizer", Some((&[Normal::Nfc], Split::Gpt2))),
    ("Qwen2Tokenizer", Some((&[Normal::Nfc], Split::Gpt4 { digits: 1, tail: false }))),
    ("BartTokenizer", None),
    ("BlenderbotTokenizer", None),
    ("CLIPTokenizer", None),
    ("CohereTokenizer", None),
    ("DebertaTokenizer", None),
    ("LEDTokenizer", None),
    ("LayoutLMv3Tokenizer", None),
    ("LlamaTokenizer", None),
    ("LongformerTokenizer", None),
    ("LukeTokenizer", None),
    ("NougatTokenizer", None),
    ("Qwen3_5Tokenizer", None),
    ("RobertaTokenizer", None),
    ("WhisperTokenizer", None),
];

impl Beside {
    /// Reads the files; `read` gives a file's full name and bytes if it exists.
    pub fn read<B: AsRef<[u8]>>(read: impl Fn(&str) -> Result<Option<(String, B)>>) -> Result<Beside> {
        let object = |file: &str| {
            let Some((name, bytes)) = read(file)? else { return Ok(None) };
            match bytes.as_ref().len() {
                0..=LONGEST => Object::parse(&name, bytes.as_ref()).map(Some),
                long => {
                    Err(Error::invalid(name, format!("has {long} bytes; at most {LONGEST} were expected")))
                }
            }
        };
        Ok(Beside {
            config: object("tokenizer_config.json")?,
            map: object("special_tokens_map.json")?,
            added: object("added_tokens.json")?,
            model: read("config.json")?.is_some(),
        })
    }

    /// The class with which `transformers` opens a tokenizer.json, where it can give other ids than the file says.
    pub fn made_anew(&self, name: &str, file: &[u8]) -> Result<Option<&'static str>> {
        let class = self.config.as_ref().map(|config| config.text("tokenizer_class")).transpose()?.flatten();
        let class = class.or(self.model.then_some(MADE_ANEW[0].0));
        let is =
            |known: &str| class.is_some_and(|class| class.strip_suffix("Fast").unwrap_or(class) == known);
        if is("LlamaTokenizer") || is("GemmaTokenizer") {
            let (class, metaspace) =
                if is("GemmaTokenizer") { ("GemmaTokenizer", false) } else { ("LlamaTokenizer", true) };
            return Ok((!json::is_made_by(name, file, metaspace)?).then_some(class));
        }
        let Some((class, known)) = MADE_ANEW.into_iter().find(|(known, _)| is(known)) else {
            return Ok(None);
        };
        let (found, mut steps) = json::before(name, file)?;
        // A space before a text is for tokenizer_config.json to say.
        steps.retain(|step| *step != Step::PrefixSpace);
        let same = known.is_some_and(|(normals, split)| found == normals && steps == [Step::Words(split)]);
        Ok((!same).then_some(class))
    }

    /// Adds to `added` what the files add to a vocabulary; `pair` says that it is `vocab.json` and `merges.txt`.
    pub fn apply(&self, vocab: &Ids<'_>, added: &mut Vec<Token>, pair: bool) -> Result<Switches> {
        let class = self.config.as_ref().map(|config| config.text("tokenizer_class")).transpose()?.flatten();
        let is_gpt2 = match class {
            Some(class) => ["GPT2Tokenizer", "GPT2TokenizerFast"].contains(&class),
            None => pair || self.model,
        };
        if let Some(class) = class.filter(|_| pair && !is_gpt2) {
            let plain = ["PreTrainedTokenizerFast", "TokenizersBackend", "PreTrainedTokenizer"];
            if !plain.contains(&class) {
                let why = format!(
                    "tokenizer_class is {class:?}, and vocab.json with merges.txt does not say how its texts are split; \
                     save the tokenizer with transformers, which writes tokenizer.json"
                );
                return Err(self
                    .config
                    .as_ref()
                    .map_or(Error::invalid("tokenizer_config.json", &why), |c| c.error(&why)));
            }
        }
        let flag = |name: &str| self.config.as_ref().map_or(Ok(None), |config| config.flag(name));
        if let Some(config) = self.config.as_ref()
            && flag("split_special_tokens")? == Some(true)
        {
            return Err(config.error(
                "split_special_tokens is true, which is not supported; set it to false (plain text \
                 never yields special tokens unless they are allowed)",
            ));
        }
        let decoder =
            self.config.as_ref().map(|config| config.object("added_tokens_decoder")).transpose()?.flatten();
        let names = self.names(decoder.is_none(), is_gpt2.then_some(vocab))?;
        let mut list = List { vocab, added };
        match &decoder {
            Some(decoder) => list.decoder(decoder, is_gpt2)?,
            None => {
                if let Some(file) = &self.added {
                    list.file(file, &names)?;
                }
            }
        }
        let mut roles = Vec::new();
        for (role, token) in names {
            let id = list.special(token);
            roles.extend(role.map(|role| (role, id)));
        }
        let (start, end) = (flag("add_bos_token")?, flag("add_eos_token")?);
        Ok(Switches {
            prefix_space: if is_gpt2 { Some(flag("add_prefix_space")?.unwrap_or(false)) } else { None },
            start: pair && start == Some(true),
            end: pair && end == Some(true),
            roles,
        })
    }

    /// The named special tokens, with what they are for, in the order in which they are added. Where GPT-2's class opens
    /// `vocab`, three uses have a default, which `null` takes away.
    fn names(&self, with_map: bool, vocab: Option<&Ids<'_>>) -> Result<Vec<(Option<Box<str>>, Token)>> {
        // The map comes later, so its entries win.
        let files: Vec<&Object> = self.map.iter().filter(|_| with_map).chain(&self.config).collect();
        let field = |name: &str| files.iter().find_map(|file| Some((*file, file.get(name)?)));
        let mut names = Vec::new();
        for role in ROLES {
            if let Some((file, value)) = field(role) {
                names.push((Some(role.into()), token(file, role, value)?));
            } else if ROLES[..3].contains(&role)
                && !files.iter().any(|file| file.is_null(role))
                && vocab.is_some_and(|vocab| vocab.get(super::END_OF_TEXT).is_some())
            {
                names.push((
                    Some(role.into()),
                    Token { content: super::END_OF_TEXT.into(), special: true, ..Token::default() },
                ));
            }
        }
        // Roles that only this tokenizer has.
        let mut own: Vec<&str> = files.iter().flat_map(|file| file.names()).collect();
        own.retain(|name| name.ends_with("_token") && !ROLES.contains(name) && !name.starts_with("add_"));
        own.sort_unstable();
        own.dedup();
        for role in own {
            if let Some((file, value)) =
                field(role).filter(|(_, value)| value.is_string() || value.is_object())
            {
                names.push((Some(role.into()), token(file, role, value)?));
            }
        }
        for list in LISTS {
            match field(list) {
                Some((file, Value::Array(many))) => {
                    for value in many {
                        names.push((None, token(file, list, value)?));
                    }
                }
                Some((file, Value::Object(many))) => {
                    for (role, value) in many {
                        names.push((Some(role.as_str().into()), token(file, list, value)?));
                    }
                }
                Some((file, other)) => return Err(file.wrong(list, other, "a list of tokens")),
                None => {}
            }
        }
        Ok(names)
    }
}

/// The list of added tokens while it is built.
struct List<'a> {
    vocab: &'a Ids<'a>,
    added: &'a mut Vec<Token>,
}

impl List<'_> {
    fn find(&mut self, text: &str) -> Option<&mut Token> {
        self.added.iter_mut().find(|token| token.content == text)
    }

    /// The tokens of `added_tokens_decoder`, by id. If both files define a token, `wins` says whether this
    /// definition is used.
    fn decoder(&mut self, decoder: &Object, wins: bool) -> Result<()> {
        let mut tokens = Vec::new();
        for id in decoder.names() {
            let Some(value) = decoder.get(id) else { continue };
            let number = id.parse().map_err(|_| decoder.error(format!("{id:?} is not a token's id")))?;
            tokens.push(Token { id: number, ..token(decoder, id, value)? });
        }
        tokens.sort_by_key(|token| token.id);
        for token in tokens {
            match self.find(&token.content) {
                Some(other) if other.id != token.id => {
                    let why = format!(
                        "{:?} has id {} here and {} in tokenizer.json",
                        token.content, token.id, other.id
                    );
                    return Err(decoder.error(why));
                }
                Some(other) if wins => *other = token,
                Some(_) => {}
                None => self.added.push(token),
            }
        }
        Ok(())
    }

    /// The tokens of `added_tokens.json`.
    fn file(&mut self, file: &Object, names: &[(Option<Box<str>>, Token)]) -> Result<()> {
        let mut tokens = Vec::new();
        for text in file.names() {
            let id = file.id(text)?.ok_or_else(|| file.error(format!("{text:?} has no id")))?;
            let special = names.iter().any(|(_, token)| token.content == text);
            tokens.push(Token {
                id,
                content: text.into(),
                special,
                normalized: !special,
                ..Token::default()
            });
        }
        tokens.sort_by_key(|token| token.id);
        for token in tokens {
            if self.find(&token.content).is_none() {
                self.added.push(token);
            }
        }
        Ok(())
    }

    /// A named special token's id, found or added.
    fn special(&mut self, token: Token) -> u32 {
        if let Some(found) = self.find(&token.content) {
            found.special = true;
            return found.id;
        }
        let highest = self.added.iter().map(|token| token.id).max();
        let id = self.vocab.get(&token.content).unwrap_or(next_id(self.vocab.len(), highest));
        self.added.push(Token { id, special: true, ..token });
        id
    }
}

/// A token is given as its text, or as an object with the text and the search options. Its id is not given here.
fn token(file: &Object, name: &str, value: &Value) -> Result<Token> {
    if let Some(text) = value.as_str().filter(|text| !text.is_empty()) {
        return Ok(Token { content: text.into(), special: true, ..Token::default() });
    }
    let flag = |name: &str| value.get(name).and_then(Value::as_bool);
    let special = flag("special").unwrap_or(false);
    match value.get("content").and_then(Value::as_str) {
        Some(text) if !text.is_empty() => Ok(Token {
            id: 0,
            content: text.into(),
            single_word: flag("single_word") == Some(true),
            lstrip: flag("lstrip") == Some(true),
            rstrip: flag("rstrip") == Some(true),
            normalized: flag("normalized").unwrap_or(!special),
            special,
        }),
        _ => Err(file.wrong(name, value, "a token")),
    }
}
