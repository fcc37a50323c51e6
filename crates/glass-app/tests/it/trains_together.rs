//! Trainings that several processes share.

use std::fs;

use crate::program::{Scratch, TINY, book, command};

#[test]
#[cfg(not(feature = "mpi"))]
fn several_processes_without_mpi_are_refused_once() {
    let scratch = Scratch::new("together-refused");
    fs::write(scratch.0.join("book.txt"), book()).unwrap();
    let launchers = [
        ("mpirun", "OMPI_COMM_WORLD_SIZE", "OMPI_COMM_WORLD_RANK"),
        ("mpirun", "PMI_SIZE", "PMI_RANK"),
        ("srun", "SLURM_STEP_NUM_TASKS", "SLURM_PROCID"),
    ];
    for (by, size, rank) in launchers {
        for number in ["0", "1"] {
            let arguments = [&["train", "--data", "book.txt", "--out", "mine"], &TINY[..]].concat();
            let done = command(&scratch.0, &arguments).env(size, "3").env(rank, number).output().unwrap();
            let said = String::from_utf8_lossy(&done.stderr).into_owned();
            assert_eq!(done.status.code(), Some(2), "{said}");
            match number {
                "0" => assert!(
                    said.contains(&format!("{by} started this program 3 times"))
                        && said.contains("cargo build --release --features mpi"),
                    "{said}"
                ),
                _ => assert!(said.is_empty(), "{said}"),
            }
        }
    }
    assert!(!scratch.0.join("mine").exists());
    // One process is a training as any other.
    let arguments = [&["train", "--data", "book.txt", "--out", "mine", "--steps", "1"], &TINY[..]].concat();
    let mut one = command(&scratch.0, &arguments);
    one.env("OMPI_COMM_WORLD_SIZE", "1").env("OMPI_COMM_WORLD_RANK", "0");
    assert!(one.output().unwrap().status.success());
}

#[cfg(feature = "mpi")]
mod with_mpi {
    use std::path::Path;
    use std::process::Command;

    use super::*;

    /// `glass ARGUMENTS` as so many ranks; `None` where there is no mpirun.
    fn ranks(folder: &Path, number: usize, arguments: &[&str]) -> Option<(bool, String)> {
        let glass = command(folder, arguments);
        let mut mpirun = Command::new("mpirun");
        mpirun.args([
            "--allow-run-as-root",
            "--oversubscribe",
            "--bind-to",
            "none",
            "-n",
            &number.to_string(),
        ]);
        mpirun.arg(glass.get_program()).args(glass.get_args()).current_dir(folder);
        let Ok(done) = mpirun.output() else {
            eprintln!("there is no mpirun, so this is not tested");
            return None;
        };
        Some((done.status.success(), String::from_utf8_lossy(&done.stderr).into_owned()))
    }

    const RUN: [&str; 14] = [
        "train",
        "--data",
        "book.txt",
        "--steps",
        "6",
        "--accumulate",
        "3",
        "--checkpoint-every",
        "2",
        "--eval-every",
        "3",
        "--threads",
        "1",
        "--plain",
    ];

    #[test]
    fn ranks_write_the_same_bytes_and_say_things_once() {
        let scratch = Scratch::new("together");
        let folder = &scratch.0;
        fs::write(folder.join("book.txt"), book()).unwrap();
        let with = |out| [&RUN[..], &TINY, &["--out", out]].concat();
        assert!(command(folder, &with("alone")).output().unwrap().status.success());
        for (number, out) in [(2, "two"), (3, "three")] {
            let Some((succeeded, said)) = ranks(folder, number, &with(out)) else { return };
            assert!(succeeded, "{said}");
            assert_eq!(said.matches("for training").count(), 1, "{said}");
            assert!(said.contains(&format!("{number} ranks on 1 host")), "{said}");
            for name in
                ["model.safetensors", "train/step-00000006/second.f32", "train/step-00000006/state.json"]
            {
                let read = |run: &str| fs::read(folder.join(run).join(name)).unwrap();
                assert!(read("alone") == read(out), "{number} ranks: {name} differs");
            }
        }
        let (succeeded, said) = ranks(folder, 4, &with("four")).unwrap();
        assert!(!succeeded);
        assert_eq!(
            said.matches("give --batch 1 and --accumulate 6 for as many samples a step").count(),
            1,
            "{said}"
        );
        let (succeeded, said) = ranks(folder, 2, &with("two")).unwrap();
        assert!(!succeeded);
        assert_eq!(said.matches("add --resume").count(), 1, "{said}");
    }
}
