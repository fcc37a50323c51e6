//! Data that is not in a file yet, standard input and the sample: it is stored in the run's folder, so that the run
//! can be resumed. And the options of a run, which are kept for that too.

use std::fs;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use glass::Error;
use glass::train::settings::Settings;

use super::data_format::DataFormat;
use super::ranks::Joined;
use crate::args::{DataPath, SAMPLE, TrainArgs, is_sample};
use crate::fail::{Fail, say};

/// A temporary folder, removed when the program ends.
pub struct TemporaryFolder(Option<PathBuf>);

impl TemporaryFolder {
    /// A folder for what passes, which `out` then names.
    pub fn folder(out: &mut PathBuf) -> TemporaryFolder {
        *out = std::env::temp_dir().join(format!("glass-plan-{}", std::process::id()));
        TemporaryFolder(Some(out.clone()))
    }
}

impl Drop for TemporaryFolder {
    fn drop(&mut self) {
        if let Some(folder) = &self.0 {
            let _ = fs::remove_dir_all(folder);
        }
    }
}

/// Writes the data of `-` and `sample` to files, and names these instead. A plan writes nothing permanent, and other ranks than
/// the first one neither: what that one read from standard input, they are told.
pub fn keep(args: &mut TrainArgs, joined: &Joined) -> Result<TemporaryFolder, Fail> {
    let from_input = |path: &Path| path.as_os_str() == "-";
    let data = &args.data;
    let learned = data.data.iter().chain(&data.chat).map(|data| &data.path);
    let learned = learned.chain(&args.preference.preferences);
    let inputs = learned.chain(&data.val).filter(|path| from_input(path)).count();
    let samples = data.data.iter().filter(|data| is_sample(&data.path)).count();
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
    let (folder, passing) = match joined.is_first() && !args.run.only_shows() {
        true => (args.out.join("train"), TemporaryFolder(None)),
        false => {
            let folder = std::env::temp_dir().join(format!("glass-plan-data-{}", std::process::id()));
            (folder.clone(), TemporaryFolder(Some(folder)))
        }
    };
    let is_pairs = args.preference.is_given();
    let is_chat = !is_pairs && args.data.chat.iter().any(|data| from_input(&data.path));
    let field = &args.data.field;
    let (mut named, mut bytes) = (PathBuf::new(), Vec::new());
    if inputs > 0 {
        if joined.is_first() {
            let read = std::io::stdin().lock().read_to_end(&mut bytes);
            read.map_err(|error| Error::io("cannot read", Path::new("standard input"), error))?;
        }
        bytes = joined.first(&bytes)?;
        if bytes.trim_ascii().is_empty() {
            return Err(Fail::asked(
                "-: standard input holds no text; send it one, as in: glass train --data - < book.txt",
            ));
        }
        let kind = if is_chat || is_pairs { DataFormat::Lines } else { DataFormat::of(&bytes, field) };
        let what = match (is_chat, is_pairs) {
            (true, _) => "conversations",
            (_, true) => "pairs of answers",
            _ => kind.name(),
        };
        let ending = kind.ending();
        named = write(&folder, &format!("input.{ending}"), &bytes)?;
        if !args.run.only_shows() {
            let how = if kind == DataFormat::Text {
                ""
            } else {
                " (to have it read as text, give it as a .txt file)"
            };
            say(&format!("standard input is read as {what} and kept as {}{how}", named.display()));
        }
    }
    let sample = match samples {
        0 => PathBuf::new(),
        _ => write(&folder, &format!("{SAMPLE}.txt"), glass::built_in::SAMPLE.as_bytes())?,
    };
    let data = &mut args.data;
    let learned = data.data.iter_mut().chain(&mut data.chat).map(|data| &mut data.path);
    let learned = learned.chain(&mut args.preference.preferences);
    for path in learned.chain(&mut data.val) {
        if from_input(path) {
            path.clone_from(&named);
        } else if is_sample(path) {
            path.clone_from(&sample);
        }
    }
    Ok(passing)
}

fn write(folder: &Path, name: &str, bytes: &[u8]) -> Result<PathBuf, Fail> {
    let path = folder.join(name);
    fs::create_dir_all(folder).map_err(|error| Error::io("cannot create the folder", folder, error))?;
    fs::write(&path, bytes).map_err(|error| Error::io("cannot write", &path, error))?;
    Ok(path)
}

/// The options that repeat this run, as a file for `--config`.
pub fn options(args: &TrainArgs, settings: &Settings) -> String {
    let mut options = args.options.clone();
    let whole = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
    options.set("steps", whole(settings.steps), &["epochs"]);
    options.set("warmup", whole(settings.warmup), &[]);
    if args.run.growth.early_blocks.is_some() {
        options.set("early-steps", whole(settings.early_steps), &[]);
    }
    let data = &args.data;
    let plain = |paths: &[PathBuf]| paths.iter().cloned().map(DataPath::from).collect::<Vec<DataPath>>();
    let (val, pairs) = (plain(&data.val), plain(&args.preference.preferences));
    let named = [("data", &data.data), ("chat", &data.chat), ("preferences", &pairs), ("val", &val)];
    for (name, paths) in named {
        if !paths.is_empty() {
            let named = paths.iter().map(|path| path.absolute().to_string());
            options.set(name, named.collect::<Vec<_>>(), &[]);
        }
    }
    options.to_toml()
}
