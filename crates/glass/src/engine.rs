//! An engine: a model's folder, opened, packed for a machine and ready to run.
//!
//! Generating:
//!
//! ```no_run
//! use std::ops::ControlFlow;
//!
//! use glass::backend::Cpu;
//! use glass::engine::Engine;
//! use glass::generate::{Wish, generate};
//! use glass::tokens::Special;
//!
//! # fn main() -> glass::Result<()> {
//! let engine = Engine::open(Cpu::new(2), "my-model".as_ref())?;
//! let tokenizer = engine.tokenizer.as_ref().expect("a model with a tokenizer");
//! let mut runner = engine.runner()?;
//! runner.prompt(&tokenizer.encode("Once upon a time", Special::Plain))?;
//! let wish = Wish { tokens: 100, ends: engine.ends(), ..Wish::default() };
//! let story = generate(&mut runner, Some(tokenizer), &wish, 0, &mut |token| {
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
//! # use glass::{backend::Cpu, engine::Engine, generate::{Wish, generate}};
//! use glass::conversation::Conversation;
//!
//! # fn main() -> glass::Result<()> {
//! # let engine = Engine::open(Cpu::new(2), "my-model".as_ref())?;
//! # let tokenizer = engine.tokenizer.as_ref().expect("a model with a tokenizer");
//! # let mut runner = engine.runner()?;
//! let template = engine.folder.template()?.expect("a model that was made to chat");
//! let mut conversation = Conversation::new(Some("You tell short stories."));
//! conversation.ask("Tell me a story about a dog and a lost ball.");
//! // Room for 200 tokens of answer; where the context is full, the oldest turns go first.
//! let prompt = conversation.prompt(&template, tokenizer, engine.config().context, 200)?;
//! runner.prompt(&prompt.ids)?;
//! let wish = Wish { tokens: 200, ends: engine.ends(), stop: vec![template.closing()?], ..Wish::default() };
//! let answer = generate(&mut runner, Some(tokenizer), &wish, 0, &mut |_| ControlFlow::Continue(()))?;
//! conversation.answered(&answer.text);
//! # Ok(())
//! # }
//! ```

use std::ops::{Deref, DerefMut};
use std::path::Path;

use crate::backend::{Backend, CacheType, Packing};
use crate::loaded::{Loaded, cache_for};
use crate::model::Gpt;
use crate::plan::Spec;
use crate::tokens::Tokenizer;
use crate::weights::Frozen;
use crate::weights::folder::Folder;
use crate::{Error, Result};

/// A model on a machine, and what its folder says about it.
pub struct Engine<B: Backend> {
    /// Its folder.
    pub folder: Folder,
    /// Its tokenizer, where it has one.
    pub tokenizer: Option<Tokenizer>,
    loaded: Loaded<B>,
}

impl<B: Backend> Deref for Engine<B> {
    type Target = Loaded<B>;

    fn deref(&self) -> &Loaded<B> {
        &self.loaded
    }
}

impl<B: Backend> DerefMut for Engine<B> {
    fn deref_mut(&mut self) -> &mut Loaded<B> {
        &mut self.loaded
    }
}

impl<B: Backend> Engine<B> {
    /// Opens a model's folder.
    pub fn open(backend: B, path: &Path) -> Result<Self> {
        Engine::new(backend, Folder::open(path)?)
    }

    /// Packs an opened model, in as many bits as its files have; they are checked against each other before its weights
    /// are loaded. Where that is fewer than a float has, keys and values are kept in 16 bits too.
    pub fn new(backend: B, folder: Folder) -> Result<Self> {
        Engine::of(backend, folder, None)
    }

    /// The same with `packing`, whatever the files have.
    pub fn packed(backend: B, folder: Folder, packing: Packing) -> Result<Self> {
        Engine::of(backend, folder, Some(packing))
    }

    fn of(backend: B, folder: Folder, packing: Option<Packing>) -> Result<Self> {
        let (gpt, plan) = Gpt::plan(folder.config());
        gpt.can_run()?;
        folder.check(&plan)?;
        let tokenizer = folder.tokenizer()?;
        let tokens = tokenizer.as_ref().map_or(0, Tokenizer::vocabulary_size);
        let vocabulary = folder.config().vocabulary;
        if tokens > vocabulary {
            let why = format!(
                "has {tokens} tokens, but the model's vocabulary is too small, {vocabulary}; they do not belong together"
            );
            return Err(Error::invalid(folder.vocabulary_name(), why));
        }
        let (weights, cache) = match packing {
            None if folder.is_packed(&plan)? => (Frozen::open(&backend, &plan, &folder)?, CacheType::Bf16),
            None => (Frozen::open(&backend, &plan, &folder)?, CacheType::F32),
            Some(packing) => {
                let read = |spec: &Spec, into: &mut [f32]| folder.read(spec, into);
                (Frozen::load(&backend, &plan, packing, &read)?, cache_for(packing))
            }
        };
        Ok(Engine { folder, tokenizer, loaded: Loaded::new(backend, gpt, weights, cache) })
    }

    /// Only what running needs.
    pub fn into_loaded(self) -> Loaded<B> {
        self.loaded
    }

    /// The token that stands before a text.
    pub fn start(&self) -> Option<u32> {
        let advised = self.folder.generation().bos.filter(|&id| self.knows(id));
        advised.or(self.tokenizer.as_ref().and_then(Tokenizer::end_of_text))
    }

    /// The tokens that end a text.
    pub fn ends(&self) -> Vec<u32> {
        let mut ends = self.folder.generation().eos.clone();
        ends.retain(|&id| self.knows(id));
        ends.extend(self.tokenizer.as_ref().and_then(Tokenizer::end_of_text));
        ends
    }

    /// Small checkpoints often carry GPT-2's own end of text in their advice, which their vocabulary does not have.
    fn knows(&self, id: u32) -> bool {
        (id as usize) < self.config().vocabulary
    }

    /// A token's bytes; none where there is no tokenizer.
    pub fn bytes(&self, id: u32) -> &[u8] {
        self.tokenizer.as_ref().and_then(|tokenizer| tokenizer.token(id)).unwrap_or_default()
    }
}
