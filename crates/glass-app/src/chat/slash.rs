//! What begins with a slash.

use std::fs::File;
use std::io::{ErrorKind, Write as _};

use glass::Error;
use serde_json::json;

use super::talk::Talk;
use crate::fail::say;
use crate::out::count;

/// What follows from a line.
pub enum Then {
    /// The next line.
    Nothing,
    /// This question.
    Ask(String),
    /// The last question once more, in place of this answer.
    Retry(String),
    /// The end.
    Quit,
}

const HELP: [&str; 6] = [
    "  /system TEXT      another system prompt from here on; alone, it shows the one there is",
    "  /temperature T    how daring answers are: 0 takes the most probable token, 1 draws from the model's probabilities",
    "  /retry            another answer to the last question",
    "  /save FILE        writes the conversation as a line of JSON that glass train --chat reads",
    "  /help             this",
    "  /quit             ends; so does Ctrl-D. Ctrl-C ends an answer, or drops the line",
];

/// Obeys a line such as `/temperature 0.5`.
pub fn obey(talk: &mut Talk<'_>, line: &str) -> Then {
    let (command, rest) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
    let rest = rest.trim();
    match command {
        "/help" => help(),
        "/system" => system(talk, rest),
        "/temperature" => temperature(talk, rest),
        "/save" => save(talk, rest),
        "/retry" => match talk.conversation.retry() {
            Some(answer) => return Then::Retry(answer.content),
            None => say("/retry: nothing was answered yet"),
        },
        "/quit" => return Then::Quit,
        other => say(&format!("{other} is no command; /help shows those there are")),
    }
    Then::Nothing
}

fn help() {
    let _ = writeln!(std::io::stderr(), "{}", HELP.join("\n"));
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
        Err(Error::Asked { why, .. }) => {
            say(&format!("/temperature: {}", why.replace("allow `hot`", "start with --hot")));
        }
        Err(error) => say(&error.to_string()),
    }
}

fn save(talk: &Talk<'_>, file: &str) {
    if file.is_empty() {
        return say("/save: a file's name is needed, as in /save talk.jsonl");
    }
    let messages: Vec<_> = talk
        .conversation
        .messages()
        .iter()
        .map(|message| json!({"role": message.role, "content": message.content}))
        .collect();
    let line = format!("{}\n", json!({"messages": messages}));
    let written = File::create_new(file).and_then(|mut file| file.write_all(line.as_bytes()));
    match written {
        Ok(()) => say(&format!("{} written to {file}", count(messages.len(), "message"))),
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {
            say(&format!("/save: {file} is there already and would be replaced; choose another name"));
        }
        Err(error) => say(&format!("cannot write {file}: {error}")),
    }
}
