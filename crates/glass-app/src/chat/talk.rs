//! A conversation with a model.

use std::io::IsTerminal as _;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use glass::backend::Cpu;
use glass::conversation::Conversation;
use glass::generate::{Finish, GenerateOptions, Generated, Runner, Token, generate};
use glass::next_token::Sampling;
use glass::tokens::Tokenizer;
use glass::tokens::chat::{Message, Template};

use super::clock::local_time;
use crate::args::ChatArgs;
use crate::fail::Fail;
use crate::model_arg::NamedModel;
use crate::out::count;
use crate::screen;
use crate::stream::Stream;

/// A model, the conversation, and how the next answer is drawn.
pub struct Talk<'a> {
    /// The model.
    pub model: &'a NamedModel,
    /// The conversation so far.
    pub conversation: Conversation,
    /// How answers are drawn.
    pub sampling: Sampling,
    runner: Runner<'a, Cpu>,
    tokenizer: &'a Tokenizer,
    template: Template,
    /// The maximum number of tokens in an answer.
    room: usize,
    lookup: usize,
    stops: Vec<String>,
    ends: Vec<u32>,
    /// The number of answers so far: each draws different tokens.
    answers: u64,
    dropped: usize,
    stop: Arc<AtomicBool>,
}

/// An answer.
pub struct Answer {
    /// The generated answer.
    pub done: Generated,
    /// The text that was not written yet.
    pub stream: Stream,
    /// The number of tokens in the prompt.
    pub prompt: usize,
    /// Messages that were left out for the first time.
    pub dropped: Vec<Message>,
}

/// Called for every token of an answer.
pub type Each<'e> = dyn FnMut(&Token<'_>, &mut Stream) -> Result<(), Fail> + 'e;

impl<'a> Talk<'a> {
    /// A new conversation. A system prompt that is too long is refused.
    pub fn new(model: &'a NamedModel, args: &ChatArgs, stop: Arc<AtomicBool>) -> Result<Talk<'a>, Fail> {
        let tokenizer = model.tokenizer()?;
        let template = model.template()?.ok_or_else(|| {
            Fail::asked(format!(
                "{}: it has no chat template, so it cannot chat; use glass generate, or tune it with \
                 glass train --from {0} --chat",
                model.name
            ))
        })?;
        let template = template.with_time(local_time());
        let sampling = args.sampling.sampling(model.folder.generation(), model.config().vocabulary)?;
        let context = model.config().context;
        let advised = model
            .folder
            .generation()
            .max_new_tokens
            .map(|most| (most as usize).min(context.saturating_sub(1)));
        let room = args.tokens.or(advised).unwrap_or((context / 2).max(1));
        if room == 0 {
            return Err(Fail::asked("--tokens: 0 was given; ask for at least 1"));
        }
        if room >= context {
            return Err(Fail::asked(format!(
                "--tokens: an answer of {} leaves no room for a question in a context of {context}; ask for fewer",
                count(room, "token")
            )));
        }
        let closing = template.closing()?;
        let mut ends = model.end_tokens();
        let closes = tokenizer.special(&closing);
        ends.extend(closes);
        let stops = (closes.is_none() && !closing.is_empty()).then_some(closing).into_iter().collect();
        let conversation = Conversation::new(args.system.as_deref());
        let runner = model.runner()?;
        let (answers, dropped) = (0, 0);
        let talk = Talk {
            model,
            conversation,
            sampling,
            runner,
            tokenizer,
            template,
            room,
            lookup: args.guess.lookup.into(),
            stops,
            ends,
            answers,
            dropped,
            stop,
        };
        talk.fits(args.system.as_deref())?;
        Ok(talk)
    }

    /// Refuses a system prompt that leaves no room for a question and an answer.
    pub fn fits(&self, system: Option<&str>) -> Result<(), Fail> {
        let mut first = Conversation::new(system);
        first.ask("");
        first.prompt(&self.template, self.tokenizer, self.model.config().context, self.room)?;
        Ok(())
    }

    /// Asks a question. A question that is refused is removed again.
    pub fn ask(&mut self, question: &str, each: &mut Each<'_>) -> Result<Answer, Fail> {
        self.conversation.ask(question);
        self.answer(each).inspect_err(|_| self.conversation.take_back())
    }

    /// Answers the last question again. If that fails, the previous `answer` is kept.
    pub fn retry(&mut self, answer: &str, each: &mut Each<'_>) -> Result<Answer, Fail> {
        self.answer(each).inspect_err(|_| self.conversation.answered(answer))
    }

    /// Answers the last question. Meanwhile Ctrl-C stops the answer; before and after, it ends the program.
    fn answer(&mut self, each: &mut Each<'_>) -> Result<Answer, Fail> {
        self.stop.store(false, Ordering::Relaxed);
        let heard = self.generate_answer(each);
        self.stop.store(true, Ordering::Relaxed);
        heard
    }

    fn generate_answer(&mut self, each: &mut Each<'_>) -> Result<Answer, Fail> {
        let context = self.model.config().context;
        let prompt = self.conversation.prompt(&self.template, self.tokenizer, context, self.room)?;
        let turns = self.conversation.turns();
        let dropped = turns.get(self.dropped..prompt.dropped).unwrap_or_default().to_vec();
        self.dropped = prompt.dropped;
        self.runner.prompt(&prompt.ids)?;
        let options = GenerateOptions {
            tokens: self.room,
            sampling: self.sampling.clone(),
            stop: self.stops.clone(),
            ends: self.ends.clone(),
            lookup: self.lookup,
            draft: true,
            ..GenerateOptions::default()
        };
        let (mut stream, mut failed) = (stream(), None);
        let stop = &self.stop;
        let mut hear = |token: &Token<'_>| {
            failed = each(token, &mut stream).err();
            let end = failed.is_some() || stop.load(Ordering::Relaxed);
            if end { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        };
        let done = generate(&mut self.runner, Some(self.tokenizer), &options, self.answers, &mut hear)?;
        self.answers += 1;
        if let Some(failed) = failed {
            return Err(failed);
        }
        self.conversation.answered(done.text.trim());
        Ok(Answer { done, stream, prompt: prompt.ids.len(), dropped })
    }
}

/// On a terminal, answers are wrapped at words.
fn stream() -> Stream {
    if std::io::stdout().is_terminal() { Stream::wrapped(screen::columns()) } else { Stream::new(false) }
}

impl Answer {
    /// Why the answer was cut, if it was.
    pub fn cut(&self, talk: &Talk<'_>) -> Option<String> {
        match self.done.finish {
            Finish::Length => {
                Some(format!("the answer was cut at {}; --tokens gives more", count(talk.room, "token")))
            }
            Finish::Context => Some("the answer was cut: the context is full".into()),
            Finish::Left => Some("the answer was cut by Ctrl-C".into()),
            Finish::Stop | Finish::End => None,
        }
    }
}
