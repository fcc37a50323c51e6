//! The families of models: how their files are written, a table for each.

/// A family, named by the `model_type` of its `config.json`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub enum Family {
    /// GPT-2 and GPT-3.
    Gpt2,
    /// Llama 2 and 3, SmolLM2, and whatever else has this form.
    Llama,
    /// Every other plan, in Glass's own form.
    Glass,
}
