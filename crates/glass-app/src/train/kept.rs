//! Data that is not in a file yet, standard input and the sample: it is stored in the run's folder, so that the run
//! can be resumed.

use std::fs;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use glass::Error;

use crate::args::{SAMPLE, TrainArgs, is_sample};
use crate::fail::{Fail, say};

/// A temporary folder, removed when the program ends.
pub struct TemporaryFolder(Option<PathBuf>);

impl Drop for TemporaryFolder {
    fn drop(&mut self) {
        if let Some(folder) = &self.0 {
            let _ = fs::remove_dir_all(folder);
        }
    }
}

/// Writes the data of `-` and `sample` to files, and names these instead. A plan writes nothing permanent.
pub fn keep(args: &mut TrainArgs) -> Result<TemporaryFolder, Fail> {
    let from_input = |path: &PathBuf| path.as_os_str() == "-";
    let data = &args.data;
    let inputs = data.data.iter().chain(&data.chat).chain(&data.val).filter(|path| from_input(path)).count();
    let samples = data.data.iter().filter(|path| is_sample(path)).count();
    if inputs + samples == 0 {
        return Ok(TemporaryFolder(None));
    }
    if inputs > 1 {
        return Err(Fail::asked("-: standard input was given more than once, but it can be read only once"));
    }
    if inputs > 0 && args.run.resume {
        return Err(Fail::asked(
            "-: the run keeps what it read from standard input; leave this option out to resume it",
        ));
    }
    let (folder, passing) = match args.run.plan {
        false => (args.out.join("train"), TemporaryFolder(None)),
        true => {
            let folder = std::env::temp_dir().join(format!("glass-plan-data-{}", std::process::id()));
            (folder.clone(), TemporaryFolder(Some(folder)))
        }
    };
    let is_chat = args.data.chat.iter().any(from_input);
    let field = &args.data.field;
    let (mut named, mut bytes) = (PathBuf::new(), Vec::new());
    if inputs > 0 {
        let read = std::io::stdin().lock().read_to_end(&mut bytes);
        read.map_err(|error| Error::io("cannot read", Path::new("standard input"), error))?;
        if bytes.trim_ascii().is_empty() {
            return Err(Fail::asked(
                "-: standard input holds no text; send it one, as in: glass train --data - < book.txt",
            ));
        }
        let (ending, what) = if is_chat { ("jsonl", "conversations") } else { kind(&bytes, field) };
        named = write(&folder, &format!("input.{ending}"), &bytes)?;
        if !args.run.plan {
            say(&format!("standard input is read as {what} and kept as {}", named.display()));
        }
    }
    let sample = match samples {
        0 => PathBuf::new(),
        _ => write(&folder, &format!("{SAMPLE}.txt"), glass::built_in::SAMPLE.as_bytes())?,
    };
    let data = &mut args.data;
    for path in data.data.iter_mut().chain(&mut data.chat).chain(&mut data.val) {
        if from_input(path) {
            path.clone_from(&named);
        } else if is_sample(path) {
            path.clone_from(&sample);
        }
    }
    Ok(passing)
}

/// The format of a text: its extension, and its name. For a table, a column must have the name of the field.
fn kind(bytes: &[u8], field: &str) -> (&'static str, &'static str) {
    let first = bytes.split(|byte| *byte == b'\n').next().unwrap_or_default().trim_ascii();
    let is_object = serde_json::from_slice::<serde_json::Map<String, serde_json::Value>>(first).is_ok();
    let has_column = |separator: u8| {
        let mut columns = first.split(|byte| *byte == separator);
        columns.clone().count() > 1 && columns.any(|name| name.trim_ascii() == field.as_bytes())
    };
    match () {
        () if is_object => ("jsonl", "JSON lines"),
        () if has_column(b',') || has_column(b';') => ("csv", "CSV"),
        () if has_column(b'\t') => ("tsv", "TSV"),
        () => ("txt", "text"),
    }
}

fn write(folder: &Path, name: &str, bytes: &[u8]) -> Result<PathBuf, Fail> {
    let path = folder.join(name);
    fs::create_dir_all(folder).map_err(|error| Error::io("cannot create the folder", folder, error))?;
    fs::write(&path, bytes).map_err(|error| Error::io("cannot write", &path, error))?;
    Ok(path)
}
