//! The tensors of a model, from one file of safetensors or of PyTorch, or from shards with an index.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::{Component, Path};
use std::sync::Arc;

use serde::{Deserialize, Deserializer};

use super::names::{self, EMBEDDING, UNEMBEDDING};
use super::safetensors::{Tensor, header};
use super::source::Source;
use super::torch;
use crate::config::object::{Member, Unique, short};
use crate::stored::{Bytes, Stored};
use crate::{Error, Result};

/// The single file.
pub const FILE: &str = "model.safetensors";

/// A model's weights in a single file: of safetensors, or of `torch.save`. The first that exists is read.
const FILES: [&str; 2] = [FILE, "pytorch_model.bin"];

/// The index of shards for each.
const INDEXES: [&str; 2] = ["model.safetensors.index.json", "pytorch_model.bin.index.json"];

/// The largest index, in bytes.
const LONGEST_INDEX: u64 = 1 << 26;

/// A model's tensors by their names without the prefix `transformer.`.
pub(crate) struct Tensors {
    files: Vec<(String, Arc<Bytes>)>,
    tensors: HashMap<String, (usize, Tensor)>,
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
        let mut all = Tensors { files: Vec::new(), tensors: HashMap::new() };
        for (file, index) in [(FILES[0], INDEXES[0]), (FILES[1], INDEXES[1])] {
            if let Some(bytes) = source.large(file)? {
                all.add(source.name(file), bytes)?;
                return Ok(all);
            }
            if let Some(text) = source.small(index, LONGEST_INDEX)? {
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
    pub fn tie(&mut self) {
        if !self.tensors.contains_key(EMBEDDING)
            && let Some(tensor) = self.tensors.remove(UNEMBEDDING)
        {
            self.tensors.insert(EMBEDDING.into(), tensor);
        }
    }

    /// Releases the memory of mapped files that was read.
    pub fn forget(&self) {
        self.files.iter().for_each(|(_, bytes)| bytes.forget());
    }

    /// The tensors of one file whose header has been read.
    pub fn of_file(name: String, bytes: Bytes, tensors: Vec<(String, Tensor)>) -> Result<Tensors> {
        let mut all = Tensors { files: Vec::new(), tensors: HashMap::new() };
        all.insert(name, bytes, tensors)?;
        Ok(all)
    }

    /// A tensor by its name without prefix.
    pub fn get(&self, name: &str) -> Option<Found<'_>> {
        let (file, tensor) = self.tensors.get(name)?;
        let (file, bytes) = &self.files[*file];
        Some(Found { file, tensor, bytes: &bytes[tensor.bytes.clone()] })
    }

    /// A tensor's bytes, with ownership.
    pub fn stored(&self, name: &str) -> Option<Stored> {
        let (file, tensor) = self.tensors.get(name)?;
        Some(Stored { file: self.files[*file].1.clone(), range: tensor.bytes.clone() })
    }

    /// All names, in order.
    pub fn names(&self) -> BTreeSet<&str> {
        self.tensors.keys().map(String::as_str).collect()
    }

    /// The name of the weights in error messages.
    pub fn file(&self) -> &str {
        self.files.first().map_or(FILE, |(name, _)| name)
    }

    fn add(&mut self, name: String, bytes: Bytes) -> Result<Vec<String>> {
        let tensors = match torch::is_archive(&bytes) {
            true => torch::tensors(&name, &bytes)?,
            false => header(&name, &bytes)?,
        };
        self.insert(name, bytes, tensors)
    }

    /// Adds a file's tensors; returns their names as in the file.
    fn insert(&mut self, name: String, bytes: Bytes, tensors: Vec<(String, Tensor)>) -> Result<Vec<String>> {
        let mut written = Vec::with_capacity(tensors.len());
        for (tensor_name, tensor) in tensors {
            let key = names::plain(&tensor_name);
            if let Some((file, _)) = self.tensors.insert(key, (self.files.len(), tensor)) {
                let first = self.files.get(file).map_or("the same file", |(name, _)| name);
                let why = format!("tensor {} is duplicated (first in {first})", short(&tensor_name));
                return Err(Error::invalid(name, why));
            }
            written.push(tensor_name);
        }
        self.files.push((name, Arc::new(bytes)));
        Ok(written)
    }

    fn add_shards(&mut self, source: &Source, index: &str, text: &[u8]) -> Result<()> {
        let index_name = source.name(index);
        let wrong = |why: String| Error::invalid(&index_name, why);
        let shards = shards(text).map_err(wrong)?;
        for (shard, mut promised) in shards {
            if Path::new(&shard).components().any(|part| !matches!(part, Component::Normal(_)))
                || shard.contains(['/', '\\'])
            {
                let why =
                    format!("names the shard {}, which is not a file in the same folder", short(&shard));
                return Err(wrong(why));
            }
            let bytes = source
                .large(&shard)?
                .ok_or_else(|| wrong(format!("names the shard {}, which is missing", short(&shard))))?;
            for tensor in self.add(source.name(&shard), bytes)? {
                if !promised.remove(&tensor) {
                    let why = format!("does not name tensor {}, which shard {shard} holds", short(&tensor));
                    return Err(wrong(why));
                }
            }
            if let Some(tensor) = promised.first() {
                let why =
                    format!("says that shard {shard} holds tensor {}, which it does not", short(tensor));
                return Err(wrong(why));
            }
        }
        Ok(())
    }
}

/// The file name of the shard that holds a tensor.
struct Shard(String);

impl<'de> Member<'de> for Shard {
    fn read<D: Deserializer<'de>>(_: &str, from: D) -> std::result::Result<Self, D::Error> {
        String::deserialize(from).map(Shard)
    }
}

/// An entry of the index: the tensors' shards, or (as `metadata`) sizes, which are read from the shards instead.
enum Part {
    Map(Unique<Shard>),
    Other,
}

impl<'de> Member<'de> for Part {
    fn read<D: Deserializer<'de>>(key: &str, from: D) -> std::result::Result<Self, D::Error> {
        match key {
            "weight_map" => Unique::deserialize(from).map(Part::Map),
            _ => serde::de::IgnoredAny::deserialize(from).map(|_| Part::Other),
        }
    }
}

/// Every shard of an index with the tensors it should hold.
fn shards(index: &[u8]) -> std::result::Result<BTreeMap<String, BTreeSet<String>>, String> {
    let Unique(parts) =
        serde_json::from_slice::<Unique<Part>>(index).map_err(|e| format!("is not a valid index ({e})"))?;
    let mut shards: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for (_, part) in parts {
        if let Part::Map(Unique(map)) = part {
            map.into_iter().for_each(|(tensor, Shard(file))| {
                shards.entry(file).or_default().insert(tensor);
            });
        }
    }
    if shards.is_empty() {
        return Err("weight_map is missing or empty; tensors and their shards were expected".to_string());
    }
    Ok(shards)
}
