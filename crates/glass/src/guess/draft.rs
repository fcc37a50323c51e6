//! What was learned about a model's text, to guess it: one file, `draft.safetensors`.

use std::collections::HashMap;
use std::path::Path;

use safetensors::tensor::{Dtype, SafeTensors, TensorView, serialize};

use super::Table;
use super::table::STEPS;
use crate::{Error, Result};

/// How often the table's tokens are right, by the step of their probability.
fn chances(tensors: &SafeTensors<'_>) -> Result<[f32; STEPS]> {
    let of = |view: &TensorView<'_>| {
        let numbers = view.data().as_chunks().0.iter().map(|bytes| f32::from_le_bytes(*bytes));
        <[f32; STEPS]>::try_from(numbers.collect::<Vec<_>>()).ok().filter(|_| view.dtype() == Dtype::F32)
    };
    let found = tensors.tensor("chances").ok().and_then(|view| of(&view));
    found.ok_or_else(|| Error::invalid(FILE, "it has a table without chances; make the draft again"))
}

/// The name of the file, which may lie in the model's folder.
pub const FILE: &str = "draft.safetensors";

/// What was learned for a model.
#[derive(Clone, Debug, Default)]
pub struct Draft {
    table: Option<Table>,
}

impl Draft {
    /// With this table.
    pub fn of(table: Table) -> Draft {
        Draft { table: Some(table) }
    }

    /// A table of what usually follows.
    pub fn table(&self) -> Option<&Table> {
        self.table.as_ref()
    }

    /// Reads a draft for a model with this vocabulary.
    ///
    /// # Errors
    /// If the bytes are not a draft, or one of another vocabulary.
    pub fn read(bytes: &[u8], vocabulary: usize) -> Result<Draft> {
        let wrong = |why: String| {
            Error::invalid(FILE, format!("{why}; make the draft again with `glass train --draft-for`"))
        };
        let (_, head) = SafeTensors::read_metadata(bytes).map_err(|error| wrong(error.to_string()))?;
        let empty = HashMap::new();
        let words = head.metadata().as_ref().unwrap_or(&empty);
        let number = |name: &str| words.get(name).and_then(|word| word.parse::<f32>().ok());
        let (Some(of), Some(temperature)) = (number("vocabulary"), number("temperature")) else {
            return Err(wrong("it says no vocabulary and temperature".to_string()));
        };
        if of as usize != vocabulary {
            return Err(wrong(format!("it is for {of} tokens, and the model has {vocabulary}")));
        }
        let tensors = SafeTensors::deserialize(bytes).map_err(|error| wrong(error.to_string()))?;
        let table = match tensors.tensor("table") {
            Err(_) => None,
            Ok(view) if view.dtype() == Dtype::U32 => {
                let entries =
                    view.data().as_chunks().0.iter().map(|bytes| u32::from_le_bytes(*bytes)).collect();
                Some(Table::new(entries, chances(&tensors)?, vocabulary, temperature)?)
            }
            Ok(view) => return Err(wrong(format!("its table has the type {:?}, not U32", view.dtype()))),
        };
        Ok(Draft { table })
    }

    /// The bytes of its file.
    ///
    /// # Errors
    /// If it cannot be written as safetensors.
    pub fn bytes(&self, vocabulary: usize) -> Result<Vec<u8>> {
        let mut tensors = Vec::new();
        let (mut entries, mut temperature, mut chances) = (Vec::new(), 1.0, Vec::new());
        if let Some(table) = &self.table {
            chances = table.chances().iter().flat_map(|chance| chance.to_le_bytes()).collect();
            entries = table.entries().iter().flat_map(|entry| entry.to_le_bytes()).collect();
            temperature = table.temperature();
        }
        let shape = vec![entries.len() / 4];
        let failed = |error: safetensors::SafeTensorError| Error::invalid(FILE, error.to_string());
        if self.table.is_some() {
            tensors.push(("table", TensorView::new(Dtype::U32, shape, &entries).map_err(failed)?));
            tensors.push(("chances", TensorView::new(Dtype::F32, vec![STEPS], &chances).map_err(failed)?));
        }
        let words = HashMap::from([
            ("vocabulary".to_string(), vocabulary.to_string()),
            ("temperature".to_string(), temperature.to_string()),
        ]);
        serialize(tensors, Some(words)).map_err(failed)
    }

    /// Reads the draft in a folder, or in a file; `None` if the folder has none.
    ///
    /// # Errors
    /// If it cannot be read.
    pub fn open(path: &Path, vocabulary: usize) -> Result<Option<Draft>> {
        let file = if path.is_dir() { path.join(FILE) } else { path.to_path_buf() };
        match std::fs::read(&file) {
            Ok(bytes) => Draft::read(&bytes, vocabulary).map(Some),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound && path.is_dir() => Ok(None),
            Err(error) => Err(Error::io("cannot read", &file, error)),
        }
    }
}
