//! What a command runs on; the same options everywhere.

use clap::{Args, ValueEnum};

/// The machine.
#[derive(Args, Debug)]
#[command(next_help_heading = "Machine")]
pub struct MachineArgs {
    /// Threads; as many as the machine has cores where it is left out. The result is the same for any number
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub threads: Option<u16>,

    /// What to compute on
    #[arg(long, value_enum, default_value_t = Device::Cpu)]
    pub device: Device,
}

/// Devices that can be computed on.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub enum Device {
    /// The processor
    Cpu,
}
