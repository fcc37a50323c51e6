//! What was learned about a model's text, to guess it: one file, `draft.safetensors`.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use safetensors::tensor::{Dtype, SafeTensors, TensorView, serialize};

use super::table::STEPS;
use super::{Head, Table};
use crate::{Error, Result};

/// The name of the file, which may lie in the model's folder.
pub const FILE: &str = "draft.safetensors";

/// What was learned for a model.
#[derive(Clone, Debug, Default)]
pub struct Draft {
    table: Option<Table>,
    head: Option<Arc<Head>>,
}

impl Draft {
    /// With this table, and this head.
    pub fn of(table: Option<Table>, head: Option<Head>) -> Draft {
        Draft { table, head: head.map(Arc::new) }
    }

    /// A table of what usually follows.
    pub fn table(&self) -> Option<&Table> {
        self.table.as_ref()
    }

    /// A head on the model's last vector.
    pub fn head(&self) -> Option<&Arc<Head>> {
        self.head.as_ref()
    }

    /// Reads a draft for a model with this vocabulary and width; `name` is named in errors.
    ///
    /// # Errors
    /// If the bytes are not a draft, or one for another model.
    pub fn read(bytes: &[u8], name: &str, vocabulary: usize, width: usize) -> Result<Draft> {
        let wrong = |why: String| {
            Error::invalid(name, format!("{why}; make the draft again with `glass train --draft-for`"))
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
        if !(temperature > 0.0 && temperature.is_finite()) {
            return Err(wrong(format!("its temperature is {temperature}")));
        }
        let tensors = SafeTensors::deserialize(bytes).map_err(|error| wrong(error.to_string()))?;
        let table = match tensors.tensor("table") {
            Err(_) => None,
            Ok(view) if view.dtype() == Dtype::U32 => {
                let entries =
                    view.data().as_chunks().0.iter().map(|bytes| u32::from_le_bytes(*bytes)).collect();
                let chances = tensors.tensor("chances").map_or(Vec::new(), |view| floats(&view));
                let chances = <[f32; STEPS]>::try_from(chances)
                    .map_err(|_| wrong("it has a table without chances".to_string()))?;
                Some(Table::new(entries, chances, vocabulary, temperature)?)
            }
            Ok(view) => return Err(wrong(format!("its table has the type {:?}, not U32", view.dtype()))),
        };
        let head = Head::restore(&tensors, vocabulary, temperature).map_err(wrong)?;
        if let Some(head) = head.as_ref().filter(|head| head.width != width) {
            return Err(wrong(format!("it is for vectors of {}, and the model has {width}", head.width)));
        }
        Ok(Draft::of(table, head))
    }

    /// The bytes of its file.
    ///
    /// # Errors
    /// If it cannot be written as safetensors.
    pub fn bytes(&self, vocabulary: usize) -> Result<Vec<u8>> {
        let (mut tensors, mut temperature) = (Vec::new(), 1.0);
        if let Some(table) = &self.table {
            tensors.push(Stored::words("table", table.entries()));
            tensors.push(Stored::floats("chances", table.chances()));
            temperature = table.temperature();
        }
        if let Some(head) = &self.head {
            tensors.extend(head.store());
            temperature = head.temperature;
        }
        let failed = |error: safetensors::SafeTensorError| Error::invalid(FILE, error.to_string());
        let mut views = Vec::new();
        for Stored { name, dtype, shape, bytes } in &tensors {
            views.push((name, TensorView::new(*dtype, shape.clone(), bytes).map_err(failed)?));
        }
        let words = HashMap::from([
            ("vocabulary".to_string(), vocabulary.to_string()),
            ("temperature".to_string(), temperature.to_string()),
        ]);
        serialize(views, Some(words)).map_err(failed)
    }

    /// Reads the draft in a folder, or in a file; `None` if the folder has none.
    ///
    /// # Errors
    /// If it cannot be read.
    pub fn open(path: &Path, vocabulary: usize, width: usize) -> Result<Option<Draft>> {
        let file = if path.is_dir() { path.join(FILE) } else { path.to_path_buf() };
        match std::fs::read(&file) {
            Ok(bytes) => Draft::read(&bytes, &file.display().to_string(), vocabulary, width).map(Some),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound && path.is_dir() => Ok(None),
            Err(error) => Err(Error::io("cannot read", &file, error)),
        }
    }
}

/// A tensor to be written.
pub(super) struct Stored {
    name: String,
    dtype: Dtype,
    shape: Vec<usize>,
    bytes: Vec<u8>,
}

impl Stored {
    /// Of bytes with signs.
    pub fn bytes(name: &str, shape: Vec<usize>, bytes: Vec<u8>) -> Stored {
        Stored { name: name.to_string(), dtype: Dtype::I8, shape, bytes }
    }

    /// A list of floats.
    pub fn floats(name: &str, values: &[f32]) -> Stored {
        let bytes = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        Stored { name: name.to_string(), dtype: Dtype::F32, shape: vec![values.len()], bytes }
    }

    /// A list of whole numbers.
    pub fn words(name: &str, values: &[u32]) -> Stored {
        let bytes = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        Stored { name: name.to_string(), dtype: Dtype::U32, shape: vec![values.len()], bytes }
    }
}

/// The floats of a tensor; none if it has another type.
pub(super) fn floats(view: &TensorView<'_>) -> Vec<f32> {
    let numbers = view.data().as_chunks().0.iter().map(|bytes| f32::from_le_bytes(*bytes));
    if view.dtype() == Dtype::F32 { numbers.collect() } else { Vec::new() }
}
