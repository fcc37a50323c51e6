//! The data of a run: files are found, read and split.

use std::path::{Path, PathBuf};

use glass::Error;
use glass::tokens::{Learn, Tokenizer};
use glass::train::chats::{self, Entry};
use glass::train::corpus::Source;
use glass::train::data::{Reading, Remark};
use glass::train::mix::Amount;
use glass::train::pairs::{self, PairEntry};
use glass::train::{files, ids, llm_c};

use super::data_format::DataFormat;
use super::mixture;
use super::text::Text;
use crate::args::{DataArgs, SAMPLE, TrainArgs, Width};
use crate::fail::{Fail, say};
use crate::out::count;
use crate::tokenizer;

/// Data as it was read, split into training and validation, before tokenising.
pub enum Raw {
    /// Documents.
    Text(Box<Text>),
    /// Conversations.
    Chats {
        /// For training.
        train: Vec<Entry>,
        /// For validation.
        validation: Vec<Entry>,
        /// Whether the validation data came from separate files.
        own: bool,
        /// The number of files they came from.
        files: usize,
    },
    /// Pairs of answers.
    Pairs {
        /// For training.
        train: Vec<PairEntry>,
        /// For validation.
        validation: Vec<PairEntry>,
        /// Whether the validation data came from separate files.
        own: bool,
        /// The number of files they came from.
        files: usize,
    },
    /// Files of ids, read when the vocabulary is known.
    Shards {
        /// For training.
        train: Vec<PathBuf>,
        /// For validation.
        validation: Vec<PathBuf>,
        /// The size of an id.
        width: ids::Width,
    },
    /// Several of these.
    Mix {
        /// Each source, its name, and how much is to come from it.
        sources: Vec<(String, Amount, Raw)>,
        /// Data for validation that came from separate files.
        validation: Vec<Raw>,
    },
}

impl Raw {
    /// Reads the named data.
    pub fn read(args: &TrainArgs) -> Result<Raw, Fail> {
        let fraction = args.data.val_fraction;
        if !(0.0..1.0).contains(&fraction) {
            return Err(Fail::asked(format!(
                "--val-fraction: {fraction} was given, but a number of at least 0 and below 1 is needed"
            )));
        }
        if mixture::is_several(&args.data) { mixture::read(args) } else { Raw::of_one(args) }
    }

    /// Reads data that are not mixed.
    pub fn of_one(args: &TrainArgs) -> Result<Raw, Fail> {
        let data = &args.data;
        let fraction = data.val_fraction;
        let named = data.data.iter().chain(&data.chat).map(|data| &data.path);
        let named: Vec<PathBuf> = named.chain(&args.preference.preferences).cloned().collect();
        let width = width(data)?;
        let asked: Vec<&str> = data.ending.iter().map(|ending| ending.trim_start_matches('.')).collect();
        let is_pairs = args.preference.is_given();
        let endings: &[&str] = match (data.chat.is_empty() && !is_pairs, width) {
            (false, _) => &["jsonl", "ndjson"],
            (true, Some(_)) => &["bin"],
            (true, None) if !asked.is_empty() => &asked,
            (true, None) if files::find(&named, &TEXT).is_err() && files::find(&named, &TABLES).is_ok() => {
                &TABLES
            }
            (true, None) => &TEXT,
        };
        let (train, validation) = find(data, &named, endings)?;
        let seed = args.run.seed;
        if let Some(width) = width {
            return Ok(Raw::Shards { train, validation, width });
        }
        if is_pairs {
            let files = train.len() + validation.len();
            let own = !validation.is_empty();
            let all = told(pairs::read(&train)?);
            let (train, validation) = match own {
                true => (all, told(pairs::read(&validation)?)),
                false => chats::split(all, fraction, seed),
            };
            return Ok(Raw::Pairs { train, validation, own, files });
        }
        if !data.chat.is_empty() {
            let files = train.len() + validation.len();
            let own = !validation.is_empty();
            let all = told(chats::read(&train)?);
            let (train, validation) = match validation.is_empty() {
                true => chats::split(all, fraction, seed),
                false => (all, told(chats::read(&validation)?)),
            };
            return Ok(Raw::Chats { train, validation, own, files });
        }
        remark_kinds(&train, &data.field);
        remark_kinds(&validation, &data.field);
        let source = Source {
            validation,
            reading: Reading {
                separator: data.separator.clone(),
                field: data.field.clone(),
                any_bytes: false,
            },
            fraction,
            seed,
            keep_duplicates: data.keep_duplicates,
            near: data.near_duplicates.near(),
            ..Source::of(train)
        };
        let text = Text::open(source, data.shards.clone(), args.out.join("train").join("data"))?;
        Ok(Raw::Text(Box::new(text)))
    }

    /// Learns a vocabulary from the training data.
    pub fn vocabulary(&mut self, settings: Learn) -> Result<Tokenizer, Fail> {
        match self {
            Raw::Text(text) => text.vocabulary(settings),
            Raw::Chats { train, .. } => {
                let texts = said(train).map(|text| Ok(text.as_bytes().to_vec()));
                Ok(tokenizer::watched(texts, &settings)?.0)
            }
            // They are learned by a model that has a vocabulary.
            Raw::Pairs { .. } => Err(Fail::asked(
                "--preferences: the model has no tokenizer.json, so it cannot learn from text",
            )),
            Raw::Shards { .. } => Err(Fail::asked(
                "--bin: ids are not text, so no vocabulary can be learned from them; give the --tokenizer that they were made with",
            )),
            Raw::Mix { sources, validation } => mixture::vocabulary(sources, validation, settings),
        }
    }

    /// Whether there are separate files for validation.
    pub fn has_validation(&self) -> bool {
        match self {
            Raw::Text(text) => text.has_validation(),
            Raw::Chats { own, .. } | Raw::Pairs { own, .. } => *own,
            Raw::Shards { validation, .. } => !validation.is_empty(),
            Raw::Mix { validation, .. } => !validation.is_empty(),
        }
    }

    /// Whether messages are learned from, which a chat template writes.
    pub fn has_messages(&self) -> bool {
        match self {
            Raw::Chats { .. } => true,
            Raw::Pairs { train, validation, .. } => {
                train.iter().chain(validation).any(|pair| pair.told.is_conversation())
            }
            Raw::Text(_) | Raw::Shards { .. } => false,
            Raw::Mix { sources, validation } => {
                sources.iter().map(|(.., raw)| raw).chain(validation).any(Raw::has_messages)
            }
        }
    }

    /// Whether it is already ids.
    pub fn is_ids(&self) -> bool {
        match self {
            Raw::Mix { sources, .. } => sources.iter().all(|(.., raw)| raw.is_ids()),
            raw => matches!(raw, Raw::Shards { .. }),
        }
    }
}

/// Extensions of text files.
const TEXT: [&str; 3] = ["txt", "jsonl", "ndjson"];

/// Extensions of files that hold texts among other things.
const TABLES: [&str; 3] = ["csv", "tsv", "json"];

/// The first shard that a path names: itself, or one in a folder without text.
fn shard(path: &PathBuf) -> Option<PathBuf> {
    if !path.is_dir() {
        return path
            .extension()
            .is_some_and(|ending| ending.eq_ignore_ascii_case("bin"))
            .then(|| path.clone());
    }
    let holds = |endings| files::find(std::slice::from_ref(path), endings).ok().map(|(files, _)| files);
    match holds(&TEXT) {
        Some(_) => None,
        None => holds(&["bin"])?.into_iter().next(),
    }
}

/// The size of an id: from the option, or from the header of a named shard.
fn width(data: &DataArgs) -> Result<Option<ids::Width>, Fail> {
    let shard = |path: &PathBuf| if data.ending.is_empty() { shard(path) } else { None };
    match (data.bin, data.data.iter().map(|data| &data.path).find_map(shard)) {
        (Some(Width::U16), _) => Ok(Some(ids::Width::U16)),
        (Some(Width::U32), _) => Ok(Some(ids::Width::U32)),
        (None, None) => Ok(None),
        (None, Some(path)) => match llm_c::width(&path)? {
            Some(width) => Ok(Some(width)),
            None => Err(Fail::asked(format!(
                "--bin: {} has no header of llm.c's that gives the width of its ids; give --bin u16 or --bin u32",
                path.display()
            ))),
        },
    }
}

/// The files for training and for validation; validation files are not learned.
fn find(data: &DataArgs, named: &[PathBuf], endings: &[&str]) -> Result<(Vec<PathBuf>, Vec<PathBuf>), Fail> {
    // Reported here, with the path, because a run starts with this.
    for path in named.iter().chain(&data.val) {
        std::fs::metadata(path).map_err(|error| not_there(path, error))?;
    }
    let found = |paths| files::find(paths, endings).map_err(|error| with_ending(data, paths, endings, error));
    let (train, mut validation) = (told(found(named)?), told(found(&data.val)?));
    let (mut train, twice) = files::without(train, &validation);
    if let Some(first) = twice.first().filter(|_| train.is_empty()) {
        let more = match twice.len() {
            1 => String::new(),
            len => format!(" (and {} more)", count(len - 1, "file")),
        };
        return Err(Fail::asked(format!(
            "--val: {}{more} is given to validate on and to learn from, so nothing is left to learn from; give other files, \
             or leave --val out to set a share of the data aside",
            first.path.display()
        )));
    }
    told(((), twice));
    // Who names the validation data, or wants none, has decided.
    let others = !data.val.is_empty() || data.val_fraction == 0.0;
    let roles = files::by_role(named, train, others)?;
    (train, validation) = match others {
        true => (roles.train, validation),
        false => (roles.train, roles.validation),
    };
    told(((), roles.remarks));
    Ok((train, validation))
}

/// A path to data that cannot be read. `sample` may have been meant.
fn not_there(path: &Path, error: std::io::Error) -> Fail {
    let is_close = path.to_str().is_some_and(|name| strsim::damerau_levenshtein(name, SAMPLE) <= 2);
    let hint = if is_close { format!("; did you mean {SAMPLE}?") } else { String::new() };
    Fail::failed(format!("{}{hint}", Error::io("cannot read", path, error)))
}

/// An error about a folder without files to read, with a hint at `--ending` if it holds others.
fn with_ending(data: &DataArgs, paths: &[PathBuf], endings: &[&str], error: Error) -> Fail {
    let can_name = !data.data.is_empty() && data.bin.is_none() && endings != ["bin"];
    let folders =
        paths.iter().filter(|path| can_name && files::find(std::slice::from_ref(*path), endings).is_err());
    let files = folders.filter_map(|folder| std::fs::read_dir(folder).ok()).flatten().flatten();
    let others = files.map(|file| file.path()).filter(|file| file.is_file());
    let mut others: Vec<String> =
        others.filter_map(|file| Some(file.extension()?.to_str()?.to_lowercase())).collect();
    others.sort();
    others.dedup();
    others.truncate(3);
    match others.is_empty() {
        true => error.into(),
        false => {
            Fail::failed(format!("{error}; to read its other files, give --ending {}", others.join(",")))
        }
    }
}

/// Says which file is read as text although it looks like something else.
fn remark_kinds(files: &[PathBuf], field: &str) {
    const LOOKED_AT: usize = 100;
    let is_text = |path: &&PathBuf| {
        let ending = path.extension().map(|ending| ending.to_string_lossy().to_lowercase());
        !ending.is_some_and(|ending| ["jsonl", "ndjson", "json", "csv", "tsv"].contains(&&*ending))
    };
    let seen =
        files.iter().filter(is_text).take(LOOKED_AT).map(|path| (path, DataFormat::of_file(path, field)));
    if let Some((path, kind)) = seen.into_iter().find(|(_, kind)| *kind != DataFormat::Text) {
        say(&format!(
            "{}: it looks like {}, but is read as text because of its name; to read its documents, let the name end in .{}",
            path.display(),
            kind.name(),
            kind.ending()
        ));
    }
}

/// Says the remarks.
pub fn told<T>((found, remarks): (T, Vec<Remark>)) -> T {
    remarks.iter().for_each(|remark| say(&remark.to_string()));
    found
}

/// All texts in conversations.
pub fn said(conversations: &[Entry]) -> impl Iterator<Item = &str> {
    conversations.iter().flat_map(|line| line.told.texts())
}
