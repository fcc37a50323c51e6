//! The tensors of a model, from one file of safetensors or of PyTorch, or from shards with an index.

use std::borrow::Cow;
use std::path::{Component, Path};
use std::sync::Arc;

use super::checkpoint::Writer;
use super::members::{Members, name};
use super::names;
use super::safetensors::{MOST_TENSORS, Tensor, header};
use super::source::Source;
use super::torch;
use crate::config::object::short;
use crate::stored::{Bytes, Stored};
use crate::{Error, Result};

/// The single file.
pub const FILE: &str = "model.safetensors";

/// A model's weights in a single file: of safetensors, or of `torch.save`. The first that exists is read.
const FILES: [&str; 2] = [FILE, "pytorch_model.bin"];

/// The index of shards for each.
pub(super) const INDEXES: [&str; 2] = ["model.safetensors.index.json", "pytorch_model.bin.index.json"];

/// No index is longer.
const LONGEST_INDEX: usize = 1 << 26;

/// A model's tensors by their names without the prefix `transformer.`.
#[derive(Default)]
pub(crate) struct Tensors {
    files: Vec<File>,
    /// Whether norms have the names of the first GPT-2 in TensorFlow.
    pub old_norms: bool,
}

/// A file and the tensors in it, in the order of their names.
struct File {
    name: String,
    bytes: Arc<Bytes>,
    tensors: Vec<(String, Tensor)>,
}

impl File {
    fn find(&self, name: &str) -> Option<&Tensor> {
        let at = self.tensors.binary_search_by(|(found, _)| found.as_str().cmp(name)).ok()?;
        Some(&self.tensors[at].1)
    }
}

/// A tensor with its bytes and its file.
#[derive(Clone, Copy)]
pub(crate) struct Found<'a> {
    /// The file, for error messages.
    pub file: &'a str,
    /// Its dtype, shape and position.
    pub tensor: &'a Tensor,
    /// Its bytes.
    pub bytes: &'a [u8],
}

impl Tensors {
    /// Opens the first of [`FILES`] that exists, or the shards that the first of the [indexes](INDEXES) names.
    pub fn open(source: &Source) -> Result<Tensors> {
        let mut all = Tensors::default();
        for (file, index) in [(FILES[0], INDEXES[0]), (FILES[1], INDEXES[1])] {
            if let Some(bytes) = source.large(file)? {
                all.add(source.name(file), bytes, &mut |_| Ok(()))?;
                return Ok(all);
            }
            if let Some(text) = source.large(index)? {
                all.add_shards(source, index, &text)?;
                return Ok(all);
            }
        }
        let why = format!(
            "is missing, and so are {}, {} and {}; a model's directory holds one of them",
            INDEXES[0], FILES[1], INDEXES[1]
        );
        Err(Error::invalid(source.name(FILE), why))
    }

    /// If only the unembedding of a tied model is stored, it is used as the embedding
    /// (`safetensors.torch.save_model` keeps the last of two names).
    pub fn tie(&mut self, embedding: &str, unembedding: &str) {
        if self.get(embedding).is_some() {
            return;
        }
        for file in &mut self.files {
            if let Some((name, _)) = file.tensors.iter_mut().find(|(name, _)| name == unembedding) {
                *name = embedding.into();
                file.tensors.sort_unstable_by(|a, b| a.0.cmp(&b.0));
            }
        }
    }

    /// Releases the memory of mapped files that was read.
    pub fn forget(&self) {
        self.files.iter().for_each(|file| file.bytes.forget());
    }

    /// The tensors of one file whose header has been read.
    pub fn of_file(name: String, bytes: Bytes, tensors: Vec<(String, Tensor)>) -> Result<Tensors> {
        let mut all = Tensors::default();
        all.insert(name, bytes, tensors, &mut |_| Ok(()))?;
        Ok(all)
    }

    fn find(&self, name: &str) -> Option<(&File, &Tensor)> {
        self.files.iter().find_map(|file| Some((file, file.find(name)?)))
    }

    /// The files, by their names in error messages.
    pub fn files(&self) -> impl Iterator<Item = (&str, Arc<Bytes>)> {
        self.files.iter().map(|file| (file.name.as_str(), file.bytes.clone()))
    }

    /// A tensor by its name without prefix.
    pub fn get(&self, name: &str) -> Option<Found<'_>> {
        let (file, tensor) = self.find(name)?;
        Some(Found { file: &file.name, tensor, bytes: &file.bytes[tensor.bytes.clone()] })
    }

    /// A tensor, and all bytes of its file.
    pub fn with_file(&self, name: &str) -> Option<(&[u8], Found<'_>)> {
        let (file, _) = self.find(name)?;
        Some((&file.bytes, self.get(name)?))
    }

    /// A tensor's name as its file has it. Names are not kept, so the file's header is read again.
    pub(super) fn written(&self, name: &str, writer: Writer) -> Option<String> {
        if writer == Writer::Gguf {
            return Some(name.to_string());
        }
        let (file, tensor) = self.find(name)?;
        let all = match torch::is_archive(&file.bytes) {
            true => torch::tensors(&file.name, &file.bytes),
            false => header(&file.name, &file.bytes),
        };
        let all = all.ok()?;
        // Two names may share their bytes.
        let mut same = all.iter().filter(|(_, other)| other.bytes == tensor.bytes);
        let named = same.clone().find(|(written, _)| names::plain(written) == name);
        named.or_else(|| same.next()).map(|(written, _)| written.clone())
    }

    /// A tensor's bytes, with ownership.
    pub fn stored(&self, name: &str) -> Option<Stored> {
        let (file, tensor) = self.find(name)?;
        Some(Stored { file: file.bytes.clone(), range: tensor.bytes.clone() })
    }

    /// All names, file by file.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.files.iter().flat_map(|file| file.tensors.iter().map(|(name, _)| name.as_str()))
    }

    /// The name of the weights in error messages.
    pub fn file(&self) -> &str {
        self.files.first().map_or(FILE, |file| &file.name)
    }

    /// Adds a file's tensors; `each` is told their names as the file has them.
    fn add(&mut self, name: String, bytes: Bytes, each: &mut dyn FnMut(&str) -> Result<()>) -> Result<()> {
        let tensors = match torch::is_archive(&bytes) {
            true => torch::tensors(&name, &bytes)?,
            false if torch::is_legacy(&bytes) => return Err(Error::invalid(name, torch::LEGACY)),
            false => header(&name, &bytes)?,
        };
        self.insert(name, bytes, tensors, each)
    }

    fn insert(
        &mut self,
        name: String,
        bytes: Bytes,
        mut tensors: Vec<(String, Tensor)>,
        each: &mut dyn FnMut(&str) -> Result<()>,
    ) -> Result<()> {
        let again = |tensor: &str, first: &str| {
            let why = format!("tensor {} is duplicated (first in {first})", short(tensor));
            Err(Error::invalid(&name, why))
        };
        let mut old_norms = false;
        for (tensor, _) in &mut tensors {
            let plain = names::plain(tensor);
            if let Some((first, _)) = self.find(&plain) {
                return again(tensor, &first.name);
            }
            each(tensor)?;
            old_norms |= names::is_old_norm(tensor);
            *tensor = plain;
        }
        tensors.sort_unstable_by(|a, b| a.0.cmp(&b.0));
        if let Some(pair) = tensors.windows(2).find(|pair| pair[0].0 == pair[1].0) {
            return again(&pair[0].0, "the same file");
        }
        self.old_norms |= old_norms;
        self.files.push(File { name, bytes: Arc::new(bytes), tensors });
        Ok(())
    }

    fn add_shards(&mut self, source: &Source, index: &str, text: &[u8]) -> Result<()> {
        let index_name = source.name(index);
        let wrong = |why: String| Error::invalid(&index_name, why);
        let index = Index::read(text).map_err(wrong)?;
        for entries in index.shards() {
            let shard = index.shard(entries[0]);
            if Path::new(&*shard).components().any(|part| !matches!(part, Component::Normal(_)))
                || shard.contains(['/', '\\'])
            {
                let why =
                    format!("names the shard {}, which is not a file in the same folder", short(&shard));
                return Err(wrong(why));
            }
            let bytes = source
                .large(&shard)?
                .ok_or_else(|| wrong(format!("names the shard {}, which is missing", short(&shard))))?;
            let mut held = vec![false; entries.len()];
            self.add(source.name(&shard), bytes, &mut |tensor| {
                match entries.binary_search_by(|entry| index.tensor(*entry).as_ref().cmp(tensor)) {
                    Ok(at) => held[at] = true,
                    Err(_) => {
                        let why =
                            format!("does not name tensor {}, which shard {shard} holds", short(tensor));
                        return Err(wrong(why));
                    }
                }
                Ok(())
            })?;
            if let Some(at) = held.iter().position(|held| !held) {
                let tensor = short(&index.tensor(entries[at])).to_string();
                return Err(wrong(format!(
                    "says that shard {shard} holds tensor {tensor}, which it does not"
                )));
            }
        }
        Ok(())
    }
}

/// An index: for every tensor the shard it is in. Of a text of any size only places are kept.
struct Index<'a> {
    text: &'a str,
    /// Where the names of a tensor and of its shard begin, in the order of the shards and then of the tensors.
    entries: Vec<[u32; 2]>,
}

impl<'a> Index<'a> {
    fn read(text: &'a [u8]) -> std::result::Result<Index<'a>, String> {
        if text.len() > LONGEST_INDEX {
            return Err(format!("has {} bytes; at most {LONGEST_INDEX} were expected", text.len()));
        }
        let not_expected = |why: String| format!("is not as expected ({why})");
        let text = std::str::from_utf8(text).map_err(|error| not_expected(error.to_string()))?;
        let mut index = Index { text, entries: Vec::new() };
        let mut maps = 0;
        let mut members = Members::new(text);
        let read = members.object(&mut |name, value| match name {
            "\"weight_map\"" => {
                maps += 1;
                match maps {
                    1 => index.map(value),
                    _ => Err("weight_map is duplicated".into()),
                }
            }
            // Sizes, which the shards know better.
            _ => Ok(()),
        });
        read.and_then(|()| members.end()).map_err(not_expected)?;
        if index.entries.is_empty() {
            return Err("weight_map is missing or empty; tensors and their shards were expected".to_string());
        }
        let mut entries = std::mem::take(&mut index.entries);
        entries.sort_unstable_by(|a, b| index.tensor(*a).cmp(&index.tensor(*b)));
        let twice = entries.windows(2).find(|pair| index.tensor(pair[0]) == index.tensor(pair[1]));
        if let Some(twice) = twice {
            return Err(not_expected(format!("{} is duplicated", short(&index.tensor(twice[0])))));
        }
        entries.sort_unstable_by(|a, b| {
            let key = |entry| (index.shard(entry), index.tensor(entry));
            key(*a).cmp(&key(*b))
        });
        index.entries = entries;
        Ok(index)
    }

    fn map(&mut self, map: &'a str) -> std::result::Result<(), String> {
        let mut count = 0;
        Members::new(map).object(&mut |_, _| {
            count += 1;
            match count {
                0..=MOST_TENSORS => Ok(()),
                _ => Err(format!("weight_map names more than {MOST_TENSORS} tensors, which no GPT has")),
            }
        })?;
        self.entries.reserve_exact(count);
        Members::new(map).object(&mut |tensor, shard| {
            if !shard.starts_with('"') {
                return Err(format!("{}: the name of a shard was expected", short(&name(tensor)?)));
            }
            name(tensor).and(name(shard))?;
            // Both are parts of the text, which is shorter than 2³² bytes.
            let place = |part: &str| (part.as_ptr() as usize - self.text.as_ptr() as usize) as u32;
            self.entries.push([tensor, shard].map(place));
            Ok(())
        })
    }

    /// The entries of every shard.
    fn shards(&self) -> impl Iterator<Item = &[[u32; 2]]> {
        self.entries.chunk_by(|a, b| self.shard(*a) == self.shard(*b))
    }

    fn tensor(&self, [tensor, _]: [u32; 2]) -> Cow<'a, str> {
        self.name(tensor)
    }

    fn shard(&self, [_, shard]: [u32; 2]) -> Cow<'a, str> {
        self.name(shard)
    }

    /// A name that was read before.
    fn name(&self, at: u32) -> Cow<'a, str> {
        let quoted = Members::new(&self.text[at as usize..]).string();
        quoted.and_then(name).unwrap_or_default()
    }
}
