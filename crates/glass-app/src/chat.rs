//! `glass chat`: a conversation, line by line.

mod lines;
mod slash;
mod talk;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::json;

use crate::args::ChatArgs;
use crate::fail::{Fail, say};
use crate::input;
use crate::model_arg::Model;
use crate::out::Out;
use crate::tokens::lossy;
use lines::Lines;
use slash::Then;
use talk::{Heard, Talk};

/// Talks until nobody asks any more.
pub fn run(args: &ChatArgs) -> Result<(), Fail> {
    let model = Model::open(args.model.as_deref(), &args.machine, &args.cache)?;
    // Set: Ctrl-C ends the program. Only while an answer comes it is not.
    let stop = Arc::new(AtomicBool::new(true));
    let mut talk = Talk::new(&model, args, stop.clone())?;
    if let Some(question) = &args.once {
        return once(args, &mut talk, lossy(&input::text(question)?).trim());
    }
    on_interrupt(stop);
    let mut lines = Lines::new()?;
    if lines.is_terminal() {
        say(&format!(
            "{}, context {} tokens; /help shows what can be typed",
            model.name,
            model.config().context
        ));
    }
    while let Some(line) = lines.next()? {
        let then = match line.trim() {
            "" => Then::Nothing,
            line if line.starts_with('/') => slash::obey(&mut talk, line),
            question => Then::Ask(question.into()),
        };
        let mut out = Out::new();
        let heard = match then {
            Then::Quit => break,
            Then::Nothing => continue,
            Then::Ask(question) => talk.ask(&question, &mut |token, stream| stream.token(&mut out, token)),
            Then::Retry(answer) => talk.retry(&answer, &mut |token, stream| stream.token(&mut out, token)),
        };
        match heard {
            Ok(heard) => {
                heard.stream.end(&mut out, &heard.done)?;
                meter(&talk, &heard);
            }
            // What cannot be asked is no reason to end the conversation.
            Err(Fail::Asked(sentence)) => say(&sentence),
            Err(other) => return Err(other),
        }
    }
    Ok(())
}

fn once(args: &ChatArgs, talk: &mut Talk<'_>, question: &str) -> Result<(), Fail> {
    if question.is_empty() {
        return Err(Fail::asked("--once: the question is empty; ask something"));
    }
    let mut out = Out::new();
    let heard = talk.ask(question, &mut |token, stream| match args.json {
        true => Ok(()),
        false => stream.token(&mut out, token),
    })?;
    if args.json {
        let context = talk.model.config().context;
        out.json(&json!({
            "answer": heard.done.text, "ids": heard.done.ids, "finish": crate::generate::finish(heard.done.finish),
            "seed": talk.sampling.seed, "prompt_tokens": heard.prompt, "context": context,
        }))?;
    } else {
        heard.stream.end(&mut out, &heard.done)?;
    }
    if let Some(why) = heard.cut(talk) {
        say(&why);
    }
    out.done()
}

/// What the reader should know about an answer.
fn meter(talk: &Talk<'_>, heard: &Heard) {
    if heard.dropped > 0 {
        let left = if heard.dropped == 1 { "message is" } else { "messages are" };
        say(&format!("the context is full; the oldest {} {left} left out from here on", heard.dropped));
    }
    if let Some(why) = heard.cut(talk) {
        say(&why);
    }
    let (used, context) = (heard.prompt + heard.done.ids.len(), talk.model.config().context);
    say(&format!("context {used} of {context} tokens ({} %)", 100 * used / context));
}

/// Ctrl-C ends an answer under way; a second one, or one while nothing is said, ends the program.
fn on_interrupt(stop: Arc<AtomicBool>) {
    let handler = move || {
        if stop.swap(true, Ordering::Relaxed) {
            std::process::exit(130);
        }
    };
    if let Err(error) = ctrlc::set_handler(handler) {
        say(&format!("Ctrl-C will end the program at once: {error}"));
    }
}
