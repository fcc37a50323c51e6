//! `glass train --draft-for`.

use clap::Args;

/// A temperature at which tokens are drawn.
fn temperature(text: &str) -> Result<f32, String> {
    let value = text.parse::<f32>().ok().filter(|value| (0.05..=2.0).contains(value));
    value.ok_or_else(|| "a number from 0.05 to 2 is needed".to_string())
}

/// What is learned to guess a model's tokens.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Draft")]
pub struct DraftArgs {
    /// Make a draft for this model instead of a model: the model continues beginnings of the data's texts or conversations for
    /// half of --minutes (default: 10), and what it draws is learned in the rest, in a table and by a head on its last vectors:
    /// OUT/draft.safetensors, from which its tokens are guessed ahead. OUT may be the model's own folder. A tenth of the data
    /// (--val-fraction) says what it brings; if the table alone is faster, the head is left out
    #[arg(long, value_name = "MODEL", conflicts_with_all = ["resume", "plan", "preset", "from"])]
    pub draft_for: Option<String>,

    /// The size of a draft's table, in KB; default: 1,000
    #[arg(long, value_name = "KB", requires = "draft_for", value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub draft_size: Option<u32>,

    /// The temperature at which the model draws what a draft learns; default: what its generation_config.json advises, otherwise
    /// 0.5
    #[arg(long, value_name = "T", requires = "draft_for", value_parser = temperature)]
    pub draft_temperature: Option<f32>,
}
