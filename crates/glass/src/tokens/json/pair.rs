//! GPT-2's own pair of files: a vocabulary (`vocab.json`, formerly `encoder.json`) and its merges (`merges.txt`,
//! formerly `vocab.bpe`), one line each in the order they were learned.

use serde::Deserialize;

use super::build::{Build, build};
use super::model::{Model, Pair};
use crate::tokens::ids::Ids;
use crate::tokens::presplit::Step;
use crate::tokens::split::Split;
use crate::tokens::{Beside, Frame, Tokenizer};
use crate::{Error, Result};

/// Reads both files, the vocabulary first; the names are used in error messages. `<|endoftext|>` is special if it
/// exists, and so are the tokens that the files `beside` them name.
pub fn read(names: [&str; 2], [vocabulary, merges]: [&[u8]; 2], beside: &Beside) -> Result<Tokenizer> {
    let mut json = serde_json::Deserializer::from_slice(vocabulary);
    let vocab =
        Ids::deserialize(&mut json).and_then(|vocab| json.end().map(|()| vocab)).map_err(|error| {
            Error::invalid(names[0], format!("it is not a list of tokens with their ids: {error}"))
        })?;
    let merges = std::str::from_utf8(merges)
        .map_err(|error| Error::invalid(names[1], format!("is not a list of merges: {error}")))?;
    // The first line may hold the version.
    let lines = merges.lines().enumerate().filter(|(at, line)| *at > 0 || !line.starts_with("#version"));
    let lines = lines.map(|(_, line)| line).filter(|line| !line.is_empty());
    let model = Model { merges: lines.map(|line| Pair::Joined(line.into())).collect(), vocab };
    let mut added = Vec::new();
    let switches = beside.apply(&model.vocab, &mut added, true)?;
    let around = |wanted: bool, name: &str| {
        let role = switches.roles.iter().find(|(role, _)| &**role == name);
        role.filter(|_| wanted).map(|(_, id)| *id).into_iter().collect()
    };
    let frame = Frame { start: around(switches.start, "bos_token"), end: around(switches.end, "eos_token") };
    let mut steps = vec![Step::Words(Split::Gpt2)];
    if switches.prefix_space == Some(true) {
        steps.insert(0, Step::PrefixSpace);
    }
    build(&Build {
        names,
        model: &model,
        added: &added,
        steps,
        frame,
        roles: switches.roles,
        ..Build::default()
    })
}
