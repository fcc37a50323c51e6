//! How this process was started: alone, or by mpirun or srun as one of several.

/// What a launcher says in the environment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Launched {
    /// Its command.
    pub by: &'static str,
    /// The number of this process, from 0.
    pub rank: usize,
    /// How many it started.
    pub size: usize,
}

/// Launchers with the variables of the size and of the rank. A batch script of Slurm that runs this program without srun is no
/// step, and has no number of tasks of a step.
const LAUNCHERS: [(&str, &str, &str); 4] = [
    ("mpirun", "OMPI_COMM_WORLD_SIZE", "OMPI_COMM_WORLD_RANK"),
    ("mpirun", "MV2_COMM_WORLD_SIZE", "MV2_COMM_WORLD_RANK"),
    ("mpirun", "PMI_SIZE", "PMI_RANK"),
    ("srun", "SLURM_STEP_NUM_TASKS", "SLURM_PROCID"),
];

impl Launched {
    /// How this process was started.
    pub fn here() -> Option<Launched> {
        Launched::of(&|name| std::env::var(name).ok())
    }

    fn of(variable: &dyn Fn(&str) -> Option<String>) -> Option<Launched> {
        LAUNCHERS.into_iter().find_map(|(by, size, rank)| {
            let number = |name| variable(name)?.trim().parse().ok();
            Some(Launched { by, rank: number(rank)?, size: number(size)? })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(variables: &[(&str, &str)]) -> Option<Launched> {
        Launched::of(&|name| {
            let found = variables.iter().find(|(known, _)| *known == name);
            found.map(|(_, value)| value.to_string())
        })
    }

    #[test]
    fn launchers_are_known_by_what_they_say() {
        assert_eq!(of(&[]), None);
        let open_mpi = of(&[("OMPI_COMM_WORLD_SIZE", "4"), ("OMPI_COMM_WORLD_RANK", "3")]);
        assert_eq!(open_mpi, Some(Launched { by: "mpirun", rank: 3, size: 4 }));
        let slurm = of(&[("SLURM_STEP_NUM_TASKS", "2"), ("SLURM_PROCID", "1"), ("SLURM_NTASKS", "2")]);
        assert_eq!(slurm, Some(Launched { by: "srun", rank: 1, size: 2 }));
        let batch_script = of(&[("SLURM_NTASKS", "2"), ("SLURM_PROCID", "0")]);
        assert_eq!(batch_script, None);
    }
}
