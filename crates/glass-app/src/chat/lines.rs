//! Where questions come from: an edited line on a terminal, plain lines otherwise.

use std::io::{self, BufRead as _, IsTerminal as _};

use rustyline::DefaultEditor;
use rustyline::error::ReadlineError;

use crate::fail::Fail;

/// Lines, one after another.
pub struct Lines {
    editor: Option<DefaultEditor>,
}

impl Lines {
    /// From a terminal with editing and history, or else from standard input as it is.
    pub fn new() -> Result<Lines, Fail> {
        let editor = match io::stdin().is_terminal() && io::stdout().is_terminal() {
            true => Some(DefaultEditor::new().map_err(unreadable)?),
            false => None,
        };
        Ok(Lines { editor })
    }

    /// Whether someone types.
    pub fn is_terminal(&self) -> bool {
        self.editor.is_some()
    }

    /// The next line; none at the end.
    pub fn next(&mut self) -> Result<Option<String>, Fail> {
        match &mut self.editor {
            Some(editor) => typed(editor),
            None => plain(),
        }
    }
}

fn typed(editor: &mut DefaultEditor) -> Result<Option<String>, Fail> {
    match editor.readline("> ") {
        Ok(line) => {
            // A line that is not remembered is still a line.
            let _ = editor.add_history_entry(line.as_str());
            Ok(Some(line))
        }
        Err(ReadlineError::Eof | ReadlineError::Interrupted) => Ok(None),
        Err(error) => Err(unreadable(error)),
    }
}

fn plain() -> Result<Option<String>, Fail> {
    let mut line = Vec::new();
    let read = io::stdin().lock().read_until(b'\n', &mut line).map_err(unreadable)?;
    Ok((read > 0).then(|| String::from_utf8_lossy(&line).into_owned()))
}

fn unreadable(error: impl std::fmt::Display) -> Fail {
    Fail::failed(format!("cannot read standard input: {error}"))
}
