//! The machine that a command runs on: the same options for every command.

use clap::{Args, ValueEnum};

/// The machine.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Machine")]
pub struct MachineArgs {
    /// Number of threads; default: one per core. The result does not depend on it
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub threads: Option<u16>,

    /// Device that computes
    #[arg(long, value_enum, default_value_t = Device::Cpu)]
    pub device: Device,
}

/// The available devices.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub enum Device {
    /// The processor
    Cpu,
}
