//! `glass train --teacher`.

use clap::Args;
use glass::train::teacher::Distil;

/// Learning from a larger model.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Teacher")]
pub struct DistilArgs {
    /// Also learn the distributions of this model with the same vocabulary, in any packing: what it holds probable at every position
    /// of the data (Hinton et al. 2015). Without --from and --tokenizer, its vocabulary is taken
    #[arg(long, value_name = "MODEL", conflicts_with_all = ["plan", "preferences", "draft_for"])]
    pub teacher: Option<String>,

    /// The teacher's share of the loss, (1 - S) x cross-entropy + S x T^2 x KL(teacher || model); default: 0.5
    #[arg(long, value_name = "S", requires = "teacher")]
    pub distil_share: Option<f32>,

    /// What the logits of both are divided by before they are compared; default: 1
    #[arg(long, value_name = "T", requires = "teacher")]
    pub distil_temperature: Option<f32>,

    /// Take the teacher's K most probable tokens as its distribution; default: all
    #[arg(long, value_name = "K", requires = "teacher", value_parser = clap::value_parser!(u32).range(1..))]
    pub distil_top: Option<u32>,

    /// Keep what the teacher said of a sample in at most so many MiB, so that it reads conversations once and not in every epoch; windows
    /// of a text do not come again. The result is the same
    #[arg(long, value_name = "MIB", requires = "distil_top")]
    pub distil_keep: Option<u32>,
}

impl DistilArgs {
    /// Bytes in which what the teacher said is kept.
    pub fn kept(&self) -> usize {
        self.distil_keep.map_or(0, |mebibytes| (mebibytes as usize) << 20)
    }

    /// The library's value, if there is a teacher.
    pub fn distil(&self) -> Option<Distil> {
        let usual = Distil::default();
        self.teacher.is_some().then(|| Distil {
            share: self.distil_share.unwrap_or(usual.share),
            temperature: self.distil_temperature.unwrap_or(usual.temperature),
            top: self.distil_top.map_or(usual.top, |top| top as usize),
        })
    }
}
