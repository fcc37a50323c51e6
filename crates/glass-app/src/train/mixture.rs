//! Mixtures of data: which sources there are, and how often each will be seen.

use std::path::{Path, PathBuf};

use glass::tokens::{Learn, Tokenizer};
use glass::train::corpus::Seen;
use glass::train::mix::Amount;
use glass::train::order::Order;
use glass::train::set::{Samples, Set};
use glass::train::settings::Settings;

use super::data::{Raw, said};
use super::text::Text;
use crate::args::{DataArgs, DataPath, TrainArgs};
use crate::fail::Fail;
use crate::out::count;
use crate::tokenizer;

/// Up to so many epochs, repeated data are worth nearly as much as new ones (Muennighoff et al. 2023, "Scaling Data-Constrained
/// Language Models").
const EPOCHS: f64 = 4.0;

/// Whether the data are several sources: with amounts, or texts and conversations.
pub fn is_several(data: &DataArgs) -> bool {
    let has_amount = data.data.iter().chain(&data.chat).any(|path| path.amount.is_some());
    has_amount || !(data.data.is_empty() || data.chat.is_empty())
}

/// Reads the sources. Data without amounts are one source of their kind.
pub fn read(args: &TrainArgs) -> Result<Raw, Fail> {
    let data = &args.data;
    let all: Vec<&Path> = data.data.iter().chain(&data.chat).map(|data| data.path.as_path()).collect();
    let mut sources = Vec::new();
    let mut add = |paths: &[DataPath], is_chat: bool| {
        let (alone, together): (Vec<&DataPath>, Vec<&DataPath>) =
            paths.iter().partition(|path| path.amount.is_some());
        let alone = alone.into_iter().map(|path| vec![path]);
        for paths in alone.chain(Some(together)).filter(|paths| !paths.is_empty()) {
            let amount = paths[0].amount.unwrap_or_default();
            let more = if paths.len() > 1 { format!(" and {} more", paths.len() - 1) } else { String::new() };
            let name = format!("{}{more}", name(&paths[0].path, &all));
            let paths = paths.into_iter().map(|path| DataPath::from(path.path.clone())).collect();
            sources.push((name, amount, of_paths(args, paths, is_chat, data.val.is_empty())?));
        }
        Ok::<_, Fail>(())
    };
    add(&data.data, false)?;
    add(&data.chat, true)?;
    // Conversations among the validation data are told by their names, if there are both.
    let is_lines = |path: &Path| {
        let ending = path.extension().map(|ending| ending.to_string_lossy().to_lowercase());
        ending.is_some_and(|ending| ["jsonl", "ndjson"].contains(&&*ending))
    };
    let is_chat = |path: &&PathBuf| !data.chat.is_empty() && (data.data.is_empty() || is_lines(path));
    let (chats, texts): (Vec<&PathBuf>, Vec<&PathBuf>) = data.val.iter().partition(is_chat);
    let mut validation = Vec::new();
    for (paths, is_chat) in [(texts, false), (chats, true)] {
        if !paths.is_empty() {
            let paths = paths.into_iter().map(|path| DataPath::from(path.clone())).collect();
            validation.push(of_paths(args, paths, is_chat, false)?);
        }
    }
    let raws = validation.into_iter().map(|raw| (None, raw));
    let raws = raws.chain(sources.into_iter().map(|(name, amount, raw)| (Some((name, amount)), raw)));
    // No document is learned twice, or learned and validated on: each text comes after the ones before it.
    let mut all: Vec<(Option<(String, Amount)>, Raw)> = Vec::new();
    for (named, raw) in raws {
        let before = all.iter().rev().find_map(|(_, raw)| text_of(raw));
        let raw = match raw {
            Raw::Text(text) => Raw::Text(Box::new(text.after(before))),
            raw => raw,
        };
        all.push((named, raw));
    }
    let (mut sources, mut validation) = (Vec::new(), Vec::new());
    for (named, raw) in all {
        match named {
            Some((name, amount)) => sources.push((name, amount, raw)),
            None => validation.push(raw),
        }
    }
    Ok(Raw::Mix { sources, validation })
}

/// What a source is called: as its file, or, if another has the same name, as its path.
fn name(path: &Path, all: &[&Path]) -> String {
    let is_alone = all.iter().filter(|other| other.file_name() == path.file_name()).count() == 1;
    let name = path.file_name().filter(|_| is_alone).map(|name| name.to_string_lossy().into_owned());
    name.unwrap_or_else(|| path.display().to_string())
}

fn text_of(raw: &Raw) -> Option<&Text> {
    if let Raw::Text(text) = raw { Some(text) } else { None }
}

/// Reads one source. If it validates, a share of it is set aside.
fn of_paths(args: &TrainArgs, paths: Vec<DataPath>, is_chat: bool, validates: bool) -> Result<Raw, Fail> {
    let mut args = args.clone();
    let data = &mut args.data;
    (data.data, data.chat) = if is_chat { (Vec::new(), paths) } else { (paths, Vec::new()) };
    data.val = Vec::new();
    if !validates {
        data.val_fraction = 0.0;
    }
    Raw::of_one(&args)
}

/// Decides what happens to the documents of all texts, validation data first.
pub fn compare<'a>(
    sources: impl Iterator<Item = &'a mut Raw>,
    validation: impl Iterator<Item = &'a mut Raw>,
) -> Result<(), Fail> {
    let mut seen = Seen::default();
    for raw in validation {
        if let Raw::Text(text) = raw {
            text.compare(&mut seen)?;
        }
    }
    seen.hold_out();
    for raw in sources {
        if let Raw::Text(text) = raw {
            text.compare(&mut seen)?;
        }
    }
    Ok(())
}

/// Learns a vocabulary from all sources, each once.
pub fn vocabulary(
    sources: &mut [(String, Amount, Raw)],
    validation: &mut [Raw],
    settings: Learn,
) -> Result<Tokenizer, Fail> {
    compare(sources.iter_mut().map(|(.., raw)| raw), validation.iter_mut())?;
    if let Some((name, ..)) = sources.iter().find(|(.., raw)| raw.is_ids()) {
        return Err(Fail::asked(format!(
            "--data: {name} is ids, not text, so no vocabulary can be learned from it; give the --tokenizer that they were made with"
        )));
    }
    let settings = Learn { memory: super::text::MEMORY, ..settings };
    let texts = sources.iter().flat_map(|(.., raw)| -> Box<dyn Iterator<Item = glass::Result<Vec<u8>>>> {
        match raw {
            Raw::Text(text) => Box::new(text.pieces()),
            Raw::Chats { train, .. } => Box::new(said(train).map(|text| Ok(text.as_bytes().to_vec()))),
            Raw::Shards { .. } | Raw::Pairs { .. } | Raw::Mix { .. } => Box::new(std::iter::empty()),
        }
    });
    Ok(tokenizer::watched(texts, &settings)?.0)
}

/// What each source of a mixture is of what is learned, and how often it will be seen. Says which are repeated often.
pub fn describe(set: &Set, context: usize, settings: &Settings) -> Option<String> {
    let Samples::Mix(mix) = &set.samples else { return None };
    let s = settings;
    let mut order = Order::new(set, context, s.batch, s.accumulate, s.order, s.seed);
    let epochs = order.epochs_of_parts(s.steps);
    let parts = mix.parts().iter().zip(&epochs);
    let said: Vec<String> = parts
        .clone()
        .map(|(part, epochs)| format!("{} is {:.1} %, seen {epochs:.2} times", part.name, 100.0 * part.share))
        .collect();
    let often: Vec<&str> =
        parts.filter(|(_, epochs)| **epochs > EPOCHS).map(|(part, _)| part.name.as_str()).collect();
    let warning = match often.is_empty() {
        true => String::new(),
        false => format!(
            "; beyond {EPOCHS} times, repeated data teach less and less (Muennighoff et al. 2023): give less of {} or fewer steps",
            often.join(", ")
        ),
    };
    Some(format!("{} in the mixture: {}{warning}", count(epochs.len(), "source"), said.join("; ")))
}
