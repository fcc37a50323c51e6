//! A head in a draft's file: matrices as bytes, with a scale for each row.

use safetensors::tensor::{Dtype, SafeTensors};

use super::{Head, Layers};
use crate::guess::draft::{Stored, floats};
use crate::guess::table::STEPS;

/// The largest byte.
const MOST: f32 = 127.0;

impl Head {
    /// Its tensors.
    pub(in crate::guess) fn store(&self) -> Vec<Stored> {
        let (_, plan) = Layers::plan(self.width, self.hidden);
        let mut tensors =
            vec![Stored::words("head.tokens", &self.tokens), Stored::floats("head.chances", &self.chances)];
        for spec in &plan.specs {
            let (mut bytes, mut scales) = (Vec::with_capacity(spec.rows * spec.cols), Vec::new());
            for row in self.values[spec.span.clone()].chunks(spec.cols) {
                let largest = row.iter().fold(0.0_f32, |most, x| most.max(x.abs()));
                let scale = if largest > 0.0 { largest / MOST } else { 1.0 };
                scales.push(scale);
                bytes.extend(row.iter().map(|x| (x / scale).round() as i8 as u8));
            }
            let scales_name = spec.name.replace("weight", "scales");
            tensors.push(Stored::bytes(&spec.name, vec![spec.rows, spec.cols], bytes));
            tensors.push(Stored::floats(&scales_name, &scales));
        }
        tensors
    }

    /// The head in a file, if there is one, for a vocabulary of so many tokens.
    ///
    /// # Errors
    /// What is wrong.
    pub(in crate::guess) fn restore(
        tensors: &SafeTensors<'_>,
        vocabulary: usize,
        temperature: f32,
    ) -> Result<Option<Head>, String> {
        let get = |name: &str| tensors.tensor(name).map_err(|_| format!("its head has no {name}"));
        let Ok(tokens) = tensors.tensor("head.tokens") else { return Ok(None) };
        let shape = |name: &str| match *get(name)?.shape() {
            [rows, cols] => Ok([rows, cols]),
            _ => Err(format!("{name} is no matrix")),
        };
        let [width, hidden] = shape("head.down.weight")?;
        let tokens: Vec<u32> =
            tokens.data().as_chunks().0.iter().map(|bytes| u32::from_le_bytes(*bytes)).collect();
        let ascending = tokens.windows(2).all(|pair| pair[0] < pair[1]);
        if !ascending || tokens.last().is_none_or(|&last| last as usize >= vocabulary) {
            return Err("its head names tokens that do not exist".to_string());
        }
        let (_, plan) = Layers::plan(width, hidden);
        let mut values = Vec::new();
        for spec in &plan.specs {
            let (matrix, name) = (get(&spec.name)?, spec.name.replace("weight", "scales"));
            let scales = floats(&get(&name)?);
            if matrix.dtype() != Dtype::I8
                || *matrix.shape() != [spec.rows, spec.cols]
                || scales.len() != spec.rows
                || scales.iter().any(|scale| !scale.is_finite())
            {
                return Err(format!("{} or {name} has another type or shape than it should", spec.name));
            }
            let rows = matrix.data().chunks(spec.cols.max(1)).zip(scales);
            values.extend(rows.flat_map(|(row, scale)| row.iter().map(move |&x| f32::from(x as i8) * scale)));
        }
        let chances = <[f32; STEPS]>::try_from(floats(&get("head.chances")?));
        let chances = chances.map_err(|_| "its head has too few or too many chances".to_string())?;
        Ok(Some(Head { values, width, hidden, tokens, temperature, chances }))
    }
}
