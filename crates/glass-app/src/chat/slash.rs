//! Commands: lines that begin with a slash.

use std::fs::File;
use std::io::{ErrorKind, Write as _};

use glass::Error;
use serde_json::json;

use super::talk::Talk;
use crate::fail::say;
use crate::layout::wrap;
use crate::out::count;
use crate::screen;

/// What to do after a line.
pub enum Action {
    /// Read the next line.
    Nothing,
    /// Answer this question.
    Ask(String),
    /// Answer the last question again, in place of this answer.
    Retry(String),
    /// End the chat.
    Quit,
}

/// The commands with their descriptions.
const HELP: [(&str, &str); 7] = [
    ("/system TEXT", "sets the system prompt from here on; without TEXT, shows it"),
    ("/temperature T", "0 takes the most probable token, 1 samples from the model's probabilities"),
    ("/retry", "answers the last question again"),
    ("/save FILE", "writes the conversation as a line of JSON, which glass train --chat reads"),
    ("/help", "shows this list"),
    ("/quit", "ends the chat, as Ctrl-D does; Ctrl-C stops an answer or clears the line"),
    ("//TEXT", "asks a question that begins with a slash"),
];

/// Executes a line such as `/temperature 0.5`.
pub fn execute(talk: &mut Talk<'_>, line: &str) -> Action {
    let (command, rest) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
    let rest = rest.trim();
    match command {
        "/help" => help(),
        "/system" => system(talk, rest),
        "/temperature" => temperature(talk, rest),
        "/save" => save(talk, rest),
        "/retry" => match talk.conversation.retry() {
            Some(answer) => return Action::Retry(answer.text().to_string()),
            None => say("/retry: there is no answer yet"),
        },
        "/quit" => return Action::Quit,
        other => say(&format!(
            "{other} is not a command; /help lists them, and //{} asks it as a question",
            &line[1..]
        )),
    }
    Action::Nothing
}

fn help() {
    let columns = screen::columns_of_errors().unwrap_or(100);
    for (command, what) in HELP {
        let _ = writeln!(std::io::stderr(), "{}", wrap(&format!("  {command:<16} {what}"), columns, 19));
    }
}

fn system(talk: &mut Talk<'_>, text: &str) {
    if text.is_empty() {
        return say(talk.conversation.system().unwrap_or("there is no system prompt"));
    }
    match talk.fits(Some(text)) {
        Ok(()) => talk.conversation.set_system(Some(text)),
        Err(error) => say(&error.to_string()),
    }
}

fn temperature(talk: &mut Talk<'_>, text: &str) {
    let mut sampling = talk.sampling.clone();
    match text.parse() {
        Ok(temperature) => sampling.temperature = temperature,
        Err(_) => {
            let now = talk.sampling.temperature;
            return say(&format!("/temperature: a number is needed, as in /temperature 0.7; it is {now}"));
        }
    }
    match sampling.check(talk.model.config().vocabulary) {
        Ok(()) => talk.sampling = sampling,
        Err(Error::InvalidArgument { why, .. }) => {
            say(&format!("/temperature: {}", why.replace("allow `hot`", "start with --hot")));
        }
        Err(error) => say(&error.to_string()),
    }
}

fn save(talk: &Talk<'_>, file: &str) {
    if file.is_empty() {
        return say("/save: a file name is needed, as in /save talk.jsonl");
    }
    let messages = talk.conversation.messages();
    let line = format!("{}\n", json!({"messages": messages}));
    let written = File::create_new(file).and_then(|mut file| file.write_all(line.as_bytes()));
    match written {
        Ok(()) => say(&format!("{} written to {file}", count(messages.len(), "message"))),
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {
            say(&format!("/save: {file} exists already and is not replaced; choose another name"));
        }
        Err(error) => say(&format!("cannot write {file}: {}", glass::reason(&error))),
    }
}
