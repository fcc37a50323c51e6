//! Golden files: results computed by other programs.

use std::collections::HashMap;
use std::path::Path;

use safetensors::SafeTensors;

/// A golden file: every tensor's shape, and its numbers as f64, integers too.
pub struct Golden(HashMap<String, (Vec<usize>, Vec<f64>)>);

impl Golden {
    /// Opens one by its name under `tests/golden`.
    pub fn open(name: &str) -> Self {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
        let bytes = std::fs::read(folder.join(format!("{name}.safetensors"))).unwrap();
        let tensors = SafeTensors::deserialize(&bytes).unwrap();
        let numbers = |view: safetensors::tensor::TensorView<'_>| {
            let words = view.data().chunks_exact(4).map(|bytes| bytes.try_into().unwrap());
            match view.dtype() {
                safetensors::Dtype::I32 => words.map(|w| i32::from_le_bytes(w) as f64).collect::<Vec<_>>(),
                _ => words.map(|w| f32::from_le_bytes(w) as f64).collect(),
            }
        };
        let tensor = |view: safetensors::tensor::TensorView<'_>| (view.shape().to_vec(), numbers(view));
        Golden(tensors.iter().map(|(name, view)| (name.to_string(), tensor(view))).collect())
    }

    /// The names of its tensors, sorted.
    pub fn names(&self) -> Vec<&str> {
        let mut names: Vec<&str> = self.0.keys().map(String::as_str).collect();
        names.sort_unstable();
        names
    }

    /// A tensor's numbers.
    pub fn get(&self, name: &str) -> &[f64] {
        &self.tensor(name).1
    }

    /// A tensor's shape.
    pub fn shape(&self, name: &str) -> &[usize] {
        &self.tensor(name).0
    }

    fn tensor(&self, name: &str) -> &(Vec<usize>, Vec<f64>) {
        self.0.get(name).unwrap_or_else(|| panic!("{name} is missing"))
    }

    /// Compares our numbers with theirs, relative to the tensor's largest number; returns the largest difference.
    pub fn hold(&self, name: &str, ours: impl IntoIterator<Item = f64>, tolerance: f64) -> f64 {
        let theirs = self.get(name);
        let largest = theirs.iter().fold(0.0, |m: f64, x| m.max(x.abs()));
        let (mut count, mut most) = (0, 0.0f64);
        for (i, (ours, theirs)) in ours.into_iter().zip(theirs).enumerate() {
            let error = (ours - theirs).abs() / largest;
            assert!(error <= tolerance, "{name}[{i}]: {ours}, golden {theirs}: {error:.1e} of the largest");
            count += 1;
            most = most.max(error);
        }
        assert_eq!(count, theirs.len(), "{name}");
        most
    }
}
