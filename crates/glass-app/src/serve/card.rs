//! What requests need to know of the model, without the model.

use std::fs::File;
use std::hash::Hasher as _;
use std::io::Read as _;
use std::path::Path;

use glass::Config;
use glass::tokens::chat::Template;
use glass::tokens::{Special, Tokenizer};
use glass::weights::generation::GenerationConfig;
use glass::{Error, built_in};
use xxhash_rust::xxh3::Xxh3;

use super::error::{Answered, Refusal};
use crate::chat::clock::local_time;
use crate::fail::Fail;
use crate::model_arg::{NamedModel, located};

/// The model's description.
pub struct Card {
    /// Its name in the API.
    pub id: String,
    /// Sizes.
    pub config: Config,
    /// Hash of its files.
    pub digest: String,
    /// The advice of its authors.
    pub advice: GenerationConfig,
    /// The token that begins a text.
    pub start: Option<u32>,
    /// The tokens that end a text.
    pub ends: Vec<u32>,
    /// What a chat needs, if the model can chat.
    pub chat: Option<Chat>,
    /// The adapters of the model, by their numbers.
    pub adapters: Vec<Tuned>,
    tokenizer: Option<Tokenizer>,
}

/// The model with an adapter.
#[derive(Clone, Debug)]
pub struct Tuned {
    /// Its name in the API.
    pub id: String,
    /// Hash of the adapter's files.
    pub digest: String,
}

/// What answers a request.
#[derive(Clone, Debug)]
pub struct Served {
    /// Its name in the API.
    pub id: String,
    /// Hash of its files.
    pub digest: String,
    /// The number of its adapter, if it has one.
    pub adapter: Option<usize>,
}

/// What a chat needs.
pub struct Chat {
    template: Template,
    /// The texts that end an answer, if no token does.
    pub stops: Vec<String>,
    /// The tokens that end an answer.
    pub ends: Vec<u32>,
}

impl Chat {
    /// The template, with the time of now.
    pub fn template(&self) -> Template {
        self.template.clone().with_time(local_time())
    }
}

/// A model's name for clients: where it is stored on this machine does not concern them.
pub fn id(path: Option<&str>) -> String {
    let Some(name) = path else { return "built-in".into() };
    let last = Path::new(name).file_name().and_then(|last| last.to_str());
    last.filter(|_| Path::new(name).exists()).unwrap_or(name).into()
}

impl Card {
    /// Describes an opened model; `path` is its argument.
    pub fn of(model: &NamedModel, path: Option<&str>) -> Result<Card, Fail> {
        let (tokenizer, ends) = (model.tokenizer.clone(), model.end_tokens());
        let chat = match (model.template()?, &tokenizer) {
            (Some(template), Some(tokenizer)) => {
                let closing = template.clone().with_time(local_time()).closing()?;
                let closes = tokenizer.special(&closing);
                let stops =
                    (closes.is_none() && !closing.is_empty()).then_some(closing).into_iter().collect();
                let ends = ends.iter().copied().chain(closes).collect();
                Some(Chat { template, stops, ends })
            }
            _ => None,
        };
        Ok(Card {
            id: id(path),
            config: model.config().clone(),
            digest: digest(path)?,
            advice: model.folder.generation().clone(),
            start: model.start(),
            ends,
            chat,
            adapters: Vec::new(),
            tokenizer,
        })
    }

    /// Whether a request means this model: by its name, or by the last component of it.
    pub fn is_named(&self, name: &str) -> bool {
        let last = Path::new(&self.id).file_name().and_then(|last| last.to_str());
        name == self.id || last == Some(name)
    }

    /// What a request means by this name: the model, or one of its adapters.
    ///
    /// # Errors
    /// If nothing has that name.
    pub fn served(&self, asked: Option<&str>) -> Answered<Served> {
        let adapter = asked.and_then(|name| self.adapters.iter().position(|tuned| tuned.id == name));
        match (adapter, asked) {
            (Some(number), _) => {
                let Tuned { id, digest } = self.adapters[number].clone();
                Ok(Served { id, digest: format!("{}-{digest}", self.digest), adapter })
            }
            (None, Some(name)) if !self.is_named(name) => Err(self.not_found(name)),
            (None, _) => Ok(Served { id: self.id.clone(), digest: self.digest.clone(), adapter }),
        }
    }

    /// The names that a request may have.
    pub fn names(&self) -> Vec<&str> {
        std::iter::once(&self.id)
            .chain(self.adapters.iter().map(|tuned| &tuned.id))
            .map(String::as_str)
            .collect()
    }

    /// Refuses a request for another model.
    pub fn check_name(&self, asked: Option<&str>) -> Answered<()> {
        self.served(asked).map(|_| ())
    }

    /// An error for another model's name.
    pub fn not_found(&self, name: &str) -> Refusal {
        let names = self.names().into_iter().map(|name| format!("{name:?}")).collect::<Vec<_>>().join(", ");
        let message = format!("model: {name:?} is not served here; this service has {names}");
        let status = axum::http::StatusCode::NOT_FOUND;
        let mut refusal = Refusal::status(status, "model_not_found", message);
        refusal.error.param = Some("model".into());
        refusal
    }

    /// The tokenizer.
    pub fn tokenizer(&self) -> Answered<&Tokenizer> {
        self.tokenizer.as_ref().ok_or_else(|| {
            Refusal::request(
                "this model has no vocabulary, so it works on ids only; give a list of token ids",
            )
            .code("no_tokenizer")
        })
    }

    /// What a chat needs.
    pub fn chat(&self) -> Answered<&Chat> {
        self.chat.as_ref().ok_or_else(|| {
            Refusal::request("this model has no chat template; use /v1/completions").code("no_chat_template")
        })
    }

    /// A text as a prompt: with its start token first, if the files ask for one. Special tokens spelled in it stay text.
    pub fn prompt(&self, text: &str) -> Answered<Vec<u32>> {
        let tokenizer = self.tokenizer()?;
        let ids = aside(text.len() > LONG, || tokenizer.encode_prompt(text.as_bytes(), Special::Plain));
        if ids.is_empty() { self.begin() } else { Ok(ids) }
    }

    /// The prompt of a text that has not begun.
    pub fn begin(&self) -> Answered<Vec<u32>> {
        let start = self.start.ok_or_else(|| {
            Refusal::field(
                "prompt",
                "it is empty, and this model has no token to begin a text with; give a text",
            )
        })?;
        Ok(vec![start])
    }

    /// A token's bytes; empty without a vocabulary.
    pub fn bytes(&self, id: u32) -> &[u8] {
        self.tokenizer.as_ref().and_then(|tokenizer| tokenizer.token(id)).unwrap_or_default()
    }

    /// A token as text.
    pub fn text(&self, id: u32) -> String {
        String::from_utf8_lossy(self.bytes(id)).into_owned()
    }

    /// Refuses a prompt that is empty, too long, or has ids that are not tokens.
    pub fn check_prompt(&self, param: &str, ids: &[u32]) -> Answered<()> {
        let (length, context, vocabulary) = (ids.len(), self.config.context, self.config.vocabulary);
        if let Some(id) = ids.iter().find(|&&id| id as usize >= vocabulary) {
            let why = format!("token {id} is not in the vocabulary, whose ids end at {}", vocabulary - 1);
            return Err(Refusal::field(param, why));
        }
        if ids.is_empty() {
            return Err(Refusal::field(param, "it has no tokens; give at least one"));
        }
        if length > context {
            let why = format!("it has {length} tokens, and the model's context has {context}; shorten it");
            return Err(Refusal::field(param, why).code("context_length_exceeded"));
        }
        Ok(())
    }
}

/// Bytes of text from which on tokenising takes more than a moment.
pub const LONG: usize = 64 << 10;

/// Does work that takes a while beside the other requests of this thread.
pub fn aside<T>(takes_long: bool, work: impl FnOnce() -> T) -> T {
    if takes_long { tokio::task::block_in_place(work) } else { work() }
}

/// A hash of the model's files: another model has another one.
pub fn digest(path: Option<&str>) -> Result<String, Fail> {
    let mut hash = Xxh3::new();
    let path = path.map(|name| located(name, false)).transpose()?;
    match path.as_deref() {
        None => built_in::FILES.iter().for_each(|(name, bytes)| {
            hash.write(name.as_bytes());
            hash.write(bytes);
        }),
        Some(path) if path.is_dir() => {
            let unread = |error| Fail::from(Error::io("cannot read", path, error));
            let mut files = Vec::new();
            for entry in std::fs::read_dir(path).map_err(unread)? {
                let file = entry.map_err(unread)?.path();
                let kind = file.extension().and_then(|kind| kind.to_str()).unwrap_or_default();
                if file.is_file() && !["md", "svg", "png", "log", "lock"].contains(&kind) {
                    files.push(file);
                }
            }
            files.sort();
            for file in files {
                hash.write(file.file_name().unwrap_or_default().as_encoded_bytes());
                read(&file, &mut hash)?;
            }
        }
        Some(file) => read(file, &mut hash)?,
    }
    Ok(format!("{:032x}", hash.digest128()))
}

fn read(path: &Path, hash: &mut Xxh3) -> Result<(), Fail> {
    let unread = |error| Fail::from(Error::io("cannot read", path, error));
    let mut file = File::open(path).map_err(unread)?;
    let mut buffer = vec![0; 1 << 20];
    loop {
        match file.read(&mut buffer).map_err(unread)? {
            0 => return Ok(()),
            read => hash.write(&buffer[..read]),
        }
    }
}
