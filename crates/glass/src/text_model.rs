//! A model with its folder and its tokenizer, opened and ready to run.
//!
//! Generating:
//!
//! ```no_run
//! use std::ops::ControlFlow;
//!
//! use glass::backend::Cpu;
//! use glass::text_model::TextModel;
//! use glass::generate::{GenerateOptions, generate};
//! use glass::tokens::Special;
//!
//! # fn main() -> glass::Result<()> {
//! let model = TextModel::open(Cpu::new(2), "my-model".as_ref())?;
//! let tokenizer = model.tokenizer.as_ref().expect("a model with a tokenizer");
//! let mut runner = model.runner()?;
//! runner.prompt(&tokenizer.encode_prompt(b"Once upon a time", Special::Plain))?;
//! let options = GenerateOptions { tokens: 100, ends: model.end_tokens(), ..GenerateOptions::default() };
//! let story = generate(&mut runner, Some(tokenizer), &options, 0, &mut |token| {
//!     print!("{}", token.text);
//!     ControlFlow::Continue(())
//! })?;
//! println!("\n{} tokens, {:?}", story.ids.len(), story.finish);
//! # Ok(())
//! # }
//! ```
//!
//! Chatting:
//!
//! ```no_run
//! # use std::ops::ControlFlow;
//! # use glass::{backend::Cpu, text_model::TextModel, generate::{GenerateOptions, generate}};
//! use glass::conversation::Conversation;
//!
//! # fn main() -> glass::Result<()> {
//! # let model = TextModel::open(Cpu::new(2), "my-model".as_ref())?;
//! # let tokenizer = model.tokenizer.as_ref().expect("a model with a tokenizer");
//! # let mut runner = model.runner()?;
//! let template = model.folder.template()?.expect("a model that was made to chat");
//! let mut conversation = Conversation::new(Some("You tell short stories."));
//! conversation.ask("Tell me a story about a dog and a lost ball.");
//! // Room for 200 tokens of answer; if the context is full, the oldest turns are dropped first.
//! let prompt = conversation.prompt(&template, tokenizer, model.config().context, 200)?;
//! runner.prompt(&prompt.ids)?;
//! let options = GenerateOptions { tokens: 200, ends: model.end_tokens(), stop: vec![template.closing()?], ..GenerateOptions::default() };
//! let answer = generate(&mut runner, Some(tokenizer), &options, 0, &mut |_| ControlFlow::Continue(()))?;
//! conversation.answered(&answer.text);
//! # Ok(())
//! # }
//! ```

use std::ops::{Deref, DerefMut};
use std::path::Path;
use std::sync::Arc;

use crate::Result;
use crate::backend::{Backend, CacheType, Packing};
use crate::guess::{self, Draft};
use crate::model::Gpt;
use crate::plan::Spec;
use crate::runtime::{Model, cache_for};
use crate::stored::Stored;
use crate::tokens::Tokenizer;
use crate::weights::Frozen;
use crate::weights::adapter::Adapter;
use crate::weights::folder::Folder;

/// A loaded model with its folder and its tokenizer.
pub struct TextModel<B: Backend> {
    /// Its folder.
    pub folder: Folder,
    /// Its tokenizer, if it has one.
    pub tokenizer: Option<Tokenizer>,
    loaded: Model<B>,
}

impl<B: Backend> Deref for TextModel<B> {
    type Target = Model<B>;

    fn deref(&self) -> &Model<B> {
        &self.loaded
    }
}

impl<B: Backend> DerefMut for TextModel<B> {
    fn deref_mut(&mut self) -> &mut Model<B> {
        &mut self.loaded
    }
}

impl<B: Backend> TextModel<B> {
    /// Opens a model's folder.
    pub fn open(backend: B, path: &Path) -> Result<Self> {
        TextModel::new(backend, Folder::open(path)?)
    }

    /// Loads an opened model with the packing of its files, which are checked against each other first. If the packing has
    /// fewer bits than f32, keys and values are kept in 16 bits.
    pub fn new(backend: B, folder: Folder) -> Result<Self> {
        TextModel::of(backend, folder, None)
    }

    /// The same with `packing`, whatever the packing of the files is.
    pub fn packed(backend: B, folder: Folder, packing: Packing) -> Result<Self> {
        TextModel::of(backend, folder, Some(packing))
    }

    fn of(backend: B, folder: Folder, packing: Option<Packing>) -> Result<Self> {
        let (gpt, plan) = Gpt::plan(folder.config());
        folder.check(&plan)?;
        let tokenizer = folder.tokenizer()?;
        let (weights, cache) = match packing {
            None if folder.is_packed(&plan)? => (Frozen::open(&backend, &plan, &folder)?, CacheType::Bf16),
            None => (Frozen::open(&backend, &plan, &folder)?, CacheType::F32),
            Some(packing) => {
                let read = |spec: &Spec, into: &mut [f32]| folder.read(spec, into);
                (Frozen::load(&backend, &plan, packing, &read)?, cache_for(packing))
            }
        };
        // In another packing, weights were read with what an adapter adds to them.
        let adapter = folder.adapter().filter(|_| packing.is_none());
        let adapter = adapter.map(|stored| Adapter::load(&backend, stored).map(Arc::new)).transpose()?;
        let mut loaded = Model::new(backend, gpt, weights, cache);
        loaded.adapt(adapter);
        Ok(TextModel { folder, tokenizer, loaded })
    }

    /// Reads the draft in the model's folder, if there is one. Its runners and schedulers guess from it.
    ///
    /// # Errors
    /// If it cannot be read, or is not one for this vocabulary.
    pub fn open_draft(&mut self) -> Result<()> {
        let (vocabulary, width) = (self.config().vocabulary, self.config().width);
        let read = |bytes: Stored| Draft::read(&bytes, guess::FILE, vocabulary, width);
        let draft = self.folder.extra(guess::FILE)?.map(read).transpose()?;
        self.guess_from(draft)
    }

    /// The loaded model alone.
    pub fn into_model(self) -> Model<B> {
        self.loaded
    }

    /// The token that begins a text: the last of its [start tokens](Tokenizer::start), or else the one that the
    /// model's authors advise, or the token between documents.
    pub fn start(&self) -> Option<u32> {
        let tokenizer = self.tokenizer.as_ref();
        let start = tokenizer.and_then(|tokenizer| tokenizer.start().last().copied());
        let named =
            || tokenizer.and_then(|tokenizer| tokenizer.role("bos_token").or(tokenizer.end_of_text()));
        let advised = || self.folder.generation().bos.filter(|&id| self.knows(id));
        start.or_else(advised).or_else(named).filter(|&id| self.knows(id))
    }

    /// The tokens that end a text.
    pub fn end_tokens(&self) -> Vec<u32> {
        let mut ends = self.folder.generation().eos.clone();
        ends.retain(|&id| self.knows(id));
        let end = self.tokenizer.as_ref().and_then(Tokenizer::end_of_text);
        ends.extend(end.filter(|&id| self.knows(id)));
        ends
    }

    /// Small checkpoints often name GPT-2's end-of-text token in generation_config.json, although their vocabulary
    /// does not have it.
    fn knows(&self, id: u32) -> bool {
        (id as usize) < self.config().vocabulary
    }

    /// The tokens before a text in which every token is to be scored: its [start tokens](Tokenizer::start), or else
    /// the one token that begins a text.
    pub fn start_tokens(&self) -> Vec<u32> {
        match self.tokenizer.as_ref().map(Tokenizer::start) {
            Some(start) if !start.is_empty() => start.to_vec(),
            _ => self.start().into_iter().collect(),
        }
    }

    /// A token's bytes; empty without a tokenizer.
    pub fn bytes(&self, id: u32) -> &[u8] {
        self.tokenizer.as_ref().and_then(|tokenizer| tokenizer.token(id)).unwrap_or_default()
    }
}
