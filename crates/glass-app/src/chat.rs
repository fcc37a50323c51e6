//! `glass chat`: a conversation, line by line.

pub mod clock;
mod lines;
mod slash;
mod talk;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use glass::tokens::chat::Message;
use serde_json::json;

use crate::args::ChatArgs;
use crate::draw::columns::{fit, width};
use crate::fail::{Fail, say};
use crate::input;
use crate::model_arg::NamedModel;
use crate::out::Out;
use crate::printable::lossy;
use lines::Lines;
use slash::Action;
use talk::{Answer, Talk};

/// Answers questions until there are no more.
pub fn run(args: &ChatArgs) -> Result<(), Fail> {
    let model = NamedModel::open(args.model.as_deref(), &args.machine, &args.running)?
        .starting(&args.start)?
        .guessing(&args.guess)?;
    // While this is set, Ctrl-C ends the program. It is unset during an answer.
    let stop = Arc::new(AtomicBool::new(true));
    let mut talk = Talk::new(&model, args, stop.clone())?;
    if let Some(question) = &args.once {
        return once(args, &mut talk, lossy(&input::text(question)?).trim());
    }
    on_interrupt(stop);
    let mut lines = Lines::new()?;
    if lines.is_terminal() {
        say(&format!(
            "{}, context of {} tokens; /help lists the commands",
            model.name,
            model.config().context
        ));
    }
    while let Some(line) = lines.next()? {
        let then = match line.trim() {
            "" => Action::Nothing,
            line if line.starts_with("//") => Action::Ask(line[1..].into()),
            line if line.starts_with('/') => slash::execute(&mut talk, line),
            question => Action::Ask(question.into()),
        };
        let mut out = Out::new();
        let answer = match then {
            Action::Quit => break,
            Action::Nothing => continue,
            Action::Ask(question) => talk.ask(&question, &mut |token, stream| stream.token(&mut out, token)),
            Action::Retry(answer) => talk.retry(&answer, &mut |token, stream| stream.token(&mut out, token)),
        };
        match answer {
            Ok(mut answer) => {
                answer.stream.end(&mut out, &answer.done)?;
                report_usage(&talk, &answer);
            }
            // A refused question does not end the conversation.
            Err(Fail::Asked(sentence)) => say(&sentence),
            Err(other) => return Err(other),
        }
    }
    Ok(())
}

fn once(args: &ChatArgs, talk: &mut Talk<'_>, question: &str) -> Result<(), Fail> {
    if question.is_empty() {
        return Err(Fail::asked("--once: the question is empty; give a question"));
    }
    let mut out = Out::new();
    let mut answer = talk.ask(question, &mut |token, stream| match args.json {
        true => Ok(()),
        false => stream.token(&mut out, token),
    })?;
    if args.json {
        let context = talk.model.config().context;
        out.json(&json!({
            "answer": answer.done.text, "ids": answer.done.ids, "finish": crate::generate::finish(answer.done.finish),
            "seed": talk.sampling.seed, "prompt_tokens": answer.prompt, "context": context,
        }))?;
    } else {
        answer.stream.end(&mut out, &answer.done)?;
    }
    if let Some(why) = answer.cut(talk) {
        say(&why);
    }
    out.done()
}

/// Reports what the reader should know about an answer.
fn report_usage(talk: &Talk<'_>, answer: &Answer) {
    if let Some(sentence) = left_out(&answer.dropped) {
        say(&sentence);
    }
    if let Some(why) = answer.cut(talk) {
        say(&why);
    }
    let (used, context) = (answer.prompt + answer.done.ids.len(), talk.model.config().context);
    say(&format!("context {used} of {context} tokens ({} %)", 100 * used / context));
}

/// A remark that the oldest messages are left out, with the first words of their questions.
fn left_out(dropped: &[Message]) -> Option<String> {
    const SHOWN: usize = 3;
    let questions: Vec<String> =
        dropped.iter().filter(|one| one.role() == "user").map(|one| beginning(one.text())).collect();
    let more = match questions.len().saturating_sub(SHOWN) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    let shown = questions[..questions.len().min(SHOWN)].join(", ");
    let [what, are] = if questions.len() == 1 { ["question", "is"] } else { ["questions", "are"] };
    let sentence = || {
        format!(
            "the context is full; the oldest {what}, with the answers to them, {are} left out from here on: {shown}{more}"
        )
    };
    (!dropped.is_empty())
        .then(|| sentence().replace("question, with the answers to them,", "question, with its answer,"))
}

/// The first words of a text, in quotation marks.
fn beginning(text: &str) -> String {
    const LONGEST: usize = 30;
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    if width(&line) <= LONGEST {
        format!("\"{line}\"")
    } else {
        format!("\"{}\"", fit(&line, LONGEST).trim_end())
    }
}

/// Ctrl-C stops an answer that is being generated; at any other time, or twice, it ends the program.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_out_is_named() {
        let talk = |questions: &[&str]| -> Vec<Message> {
            questions
                .iter()
                .flat_map(|&one| [Message::new("user", one), Message::new("assistant", "yes")])
                .collect()
        };
        assert_eq!(left_out(&[]), None);
        assert_eq!(
            left_out(&talk(&["Who  is\nit?"])).unwrap(),
            "the context is full; the oldest question, with its answer, is left out from here on: \"Who is it?\""
        );
        let many = left_out(&talk(&["a", "b", "a question of many, many, many words", "d", "e"])).unwrap();
        assert!(many.ends_with("on: \"a\", \"b\", \"a question of many, many, man…\" and 2 more"), "{many}");
    }
}
