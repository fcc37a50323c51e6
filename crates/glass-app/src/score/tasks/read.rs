//! A file of tasks, line by line.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read as _};
use std::iter;
use std::path::Path;

use glass::Error;
use serde::Deserialize;

use crate::fail::Fail;

/// The maximum length of a task in bytes.
const LONGEST: u64 = 1 << 24;

/// One line of a file of tasks.
#[derive(Deserialize)]
#[serde(untagged)]
pub enum Task {
    /// Which of these choices follows?
    Choices { query: String, choices: Vec<String>, gold: usize },
    /// After which of these contexts does it follow?
    Contexts { context_options: Vec<String>, continuation: String, gold: usize },
    /// Would the model have predicted it?
    LastWord { context: String, continuation: String },
}

/// The position of a task.
pub struct Place<'a> {
    file: &'a Path,
    /// Its line, from 1.
    pub line: usize,
}

impl Place<'_> {
    /// An error at this position.
    pub fn fail(&self, why: &str) -> Fail {
        Fail::failed(format!("{}:{}: {why}", self.file.display(), self.line))
    }
}

/// The tasks of a file in order; one line is in memory at a time.
pub fn tasks(file: &Path) -> Result<impl Iterator<Item = Result<(Place<'_>, Task), Fail>>, Fail> {
    let open = || File::open(file).and_then(|open| Ok((open.metadata()?, open)));
    let (about, open) = open().map_err(|error| Error::io("cannot read", file, error))?;
    if !about.is_file() {
        let why = "it is not a regular file; tasks are read twice, so write them to one";
        return Err(Fail::failed(format!("{}: {why}", file.display())));
    }
    let (mut reader, mut line) = (BufReader::new(open), 0);
    Ok(iter::from_fn(move || {
        loop {
            let mut text = String::new();
            let read = reader.by_ref().take(LONGEST).read_line(&mut text);
            line += 1;
            let place = Place { file, line };
            return match read {
                Ok(0) => None,
                Ok(_) if text.trim().is_empty() => continue,
                Ok(_) => Some(task(&text).map_err(|why| place.fail(&why)).map(|task| (place, task))),
                Err(error) if error.kind() == io::ErrorKind::InvalidData => {
                    Some(Err(place.fail("this line is not UTF-8")))
                }
                Err(error) => Some(Err(Error::io("cannot read", file, error).into())),
            };
        }
    }))
}

fn task(line: &str) -> Result<Task, String> {
    let task = serde_json::from_str(line).map_err(|_| "this line is not a task".to_string());
    let task = task.and_then(|task| match &task {
        Task::Choices { choices: all, gold, .. } | Task::Contexts { context_options: all, gold, .. }
            if *gold >= all.len() =>
        {
            Err(format!("gold is {gold}, but there are {} to choose from, the first being 0", all.len()))
        }
        _ => Ok(task),
    });
    task.map_err(|why| format!("{why}; see glass score --help for the three kinds"))
}
