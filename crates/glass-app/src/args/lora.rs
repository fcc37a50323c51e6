//! `glass train --lora`.

use clap::{Args, ValueEnum};

/// A number above 0.
fn positive(text: &str) -> Result<f64, String> {
    let value = text.parse::<f64>().ok().filter(|value| *value > 0.0 && value.is_finite());
    value.ok_or_else(|| "a number above 0 is needed".to_string())
}

/// A share below 1.
fn share(text: &str) -> Result<f32, String> {
    let value = text.parse::<f32>().ok().filter(|value| (0.0..1.0).contains(value));
    value.ok_or_else(|| "a number from 0 to below 1 is needed".to_string())
}

/// What is learned in place of all weights.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Adapter")]
pub struct LoraArgs {
    /// Learn an adapter of this rank instead of all weights of --from, which may be packed (q8, q4, GGUF) and stays as it is: for
    /// every matrix a product of two small ones that is added to it (LoRA; Hu et al. 2021). OUT receives adapter_model.safetensors
    /// and adapter_config.json, as peft reads them; it is a MODEL as long as the model it changes is where it was
    #[arg(long, value_name = "RANK", requires = "from", value_parser = clap::value_parser!(u32).range(1..=4096))]
    #[arg(conflicts_with_all = ["look", "plan"])]
    pub lora: Option<u32>,

    /// What an adapter adds is multiplied by alpha / rank; default: twice the rank
    #[arg(long, value_name = "ALPHA", requires = "lora", value_parser = positive)]
    pub lora_alpha: Option<f64>,

    /// Share of a matrix's inputs that its adapter does not see, while training; default: 0
    #[arg(long, value_name = "R", requires = "lora", value_parser = share)]
    pub lora_dropout: Option<f32>,

    /// The matrices that get an adapter, separated by commas; default: all
    #[arg(long, value_enum, value_name = "LIST", requires = "lora", value_delimiter = ',')]
    pub lora_on: Vec<Matrices>,
}

/// Matrices of a block.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
#[value(rename_all = "snake_case")]
pub enum Matrices {
    /// Of queries (`q_proj`)
    Query,
    /// Of keys (`k_proj`)
    Key,
    /// Of values (`v_proj`)
    ValueDown,
    /// From the heads back to the width (`o_proj`)
    ValueUp,
    /// Of the MLP's gate
    Gate,
    /// From the width to the MLP
    Up,
    /// From the MLP back to the width
    Down,
}

impl Matrices {
    /// Whether a parameter of the model is one of them.
    pub fn is(self, parameter: &str) -> bool {
        let layer = parameter.strip_suffix(".weight").and_then(|name| name.rsplit('.').next());
        layer
            == Some(match self {
                Matrices::Query => "query",
                Matrices::Key => "key",
                Matrices::ValueDown => "value_down",
                Matrices::ValueUp => "value_up",
                Matrices::Gate => "gate",
                Matrices::Up => "up",
                Matrices::Down => "down",
            })
    }
}
