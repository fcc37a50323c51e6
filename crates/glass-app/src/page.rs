//! `glass page`: the page of `glass serve` as one file with the model inside, which needs no server.

mod pieces;
mod shell;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use glass::inspect::jacobian;
use glass::model::Gpt;
use glass::stored::Stored;
use glass::weights::folder::Folder;
use glass::{Error, atomic_write};
use serde_json::{Value, json};

use crate::args::PageArgs;
use crate::draw::file::ending;
use crate::fail::{Fail, say};
use crate::model_arg;
use crate::out::{Out, bytes};
use crate::serve::{described, digest, id};
use pieces::Pieces;

/// From this size on a remark says that a page is large, and a larger one than this is not written: a browser holds the model
/// several times while it opens it, in a memory of at most 4 GB.
const LARGE: u64 = 300_000_000;
const LARGEST: u64 = 1_500_000_000;

/// The header of the model, and each of its files, begin at a multiple of this (`glass_page`'s module reads them in place).
const LINE: usize = 64;

/// Writes the page, and tells its size.
pub fn run(args: &PageArgs) -> Result<(), Fail> {
    let name = args.model.as_deref();
    let folder = model_arg::folder(name)?;
    if folder.adapter().is_some() {
        let name = model_arg::name(name);
        return Err(Fail::asked(format!(
            "{name}: it is an adapter, and a page holds one model; merge it first: glass quantise {name} --to q8 --out MERGED"
        )));
    }
    check(&folder)?;
    let model = Packed::of(&folder, name)?;
    let size = model.len() as u64;
    if size > LARGEST {
        return Err(Fail::asked(format!(
            "{}: its files have {}, and a browser can open at most {} of a model in a page; make it smaller with `glass quantise`",
            model_arg::name(name),
            bytes(size),
            bytes(LARGEST)
        )));
    }
    if size > LARGE {
        say(&format!("the model has {}: browsers take a while to open such a page", bytes(size)));
    }
    let out = file(&args.out)?;
    let shell = shell::Shell::of(&card(&folder, name, &model)?);
    let written = atomic_write::replace_by(&out, |file| {
        file.write_all(shell.before.as_bytes())?;
        let mut module = Pieces::new(file, "module");
        module.add(shell::module())?;
        module.end()?;
        let mut pieces = Pieces::new(file, "model");
        model.write(&mut |bytes| pieces.add(bytes))?;
        pieces.end()?;
        file.write_all(shell.after.as_bytes())
    });
    written.map_err(|error| Error::io("cannot write", &out, error))?;
    report(args, &out, &model)
}

/// What the page could not open is refused here.
fn check(folder: &Folder) -> Result<(), Fail> {
    let (_, plan) = Gpt::plan(folder.config());
    folder.check(&plan)?;
    folder.tokenizer()?;
    folder.template()?;
    Ok(())
}

/// The file to write. A folder is made.
fn file(out: &Path) -> Result<PathBuf, Fail> {
    if matches!(ending(out).as_str(), "html" | "htm") && !out.is_dir() {
        return Ok(out.to_path_buf());
    }
    if out.is_file() {
        let why = "is a file that does not end in .html; name one that does, or a folder";
        return Err(Fail::asked(format!("--out: {} {why}", out.display())));
    }
    fs::create_dir_all(out).map_err(|error| Error::io("cannot make the folder", out, error))?;
    Ok(out.join("index.html"))
}

/// What the page knows of the model before it is opened: as `/v1/models` describes it.
fn card(folder: &Folder, name: Option<&str>, model: &Packed) -> Result<Value, Fail> {
    let config = folder.config();
    let advised = folder.generation().sampling(config.vocabulary, Vec::new());
    let mut card = described(&id(name), &digest(name)?, config, folder.template()?.is_some(), &advised);
    card["size"] = json!(model.len());
    Ok(card)
}

fn report(args: &PageArgs, out: &Path, model: &Packed) -> Result<(), Fail> {
    let size = fs::metadata(out).map_err(|error| Error::io("cannot read", out, error))?.len();
    let name = model_arg::name(args.model.as_deref());
    let mut told = Out::new();
    if args.json {
        let files = model.files.iter().map(|(name, bytes)| json!({"name": name, "bytes": bytes.len()}));
        told.json(&json!({"out": out, "bytes": size, "model": name, "model_bytes": model.len(),
                          "files": files.collect::<Vec<_>>()}))?;
    } else {
        let (page, model) = (bytes(size), bytes(model.len() as u64));
        told.prose(&format!(
            "{}: {page}, with {name} ({model}) inside; open it in a browser",
            out.display()
        ))?;
    }
    told.done()
}

/// A model in one piece, as `glass_page`'s module reads it: a header, then its files.
struct Packed {
    header: Vec<u8>,
    files: Vec<(String, Stored)>,
}

impl Packed {
    fn of(folder: &Folder, name: Option<&str>) -> Result<Packed, Fail> {
        let files = folder.files(&[jacobian::FILE])?;
        let sizes: Vec<Value> = files.iter().map(|(name, bytes)| json!([name, bytes.len()])).collect();
        let header = json!({"name": id(name), "checkpoint": folder.checkpoint(), "files": sizes}).to_string();
        Ok(Packed { header: header.into_bytes(), files })
    }

    fn len(&self) -> usize {
        let header = (4 + self.header.len()).next_multiple_of(LINE);
        header + self.files.iter().map(|(_, bytes)| bytes.len().next_multiple_of(LINE)).sum::<usize>()
    }

    fn write(&self, add: &mut dyn FnMut(&[u8]) -> io::Result<()>) -> io::Result<()> {
        let fill = |len: usize| &[0; LINE][..len.next_multiple_of(LINE) - len];
        add(&(self.header.len() as u32).to_le_bytes())?;
        add(&self.header)?;
        add(fill(4 + self.header.len()))?;
        for (_, bytes) in &self.files {
            add(bytes)?;
            add(fill(bytes.len()))?;
        }
        Ok(())
    }
}
