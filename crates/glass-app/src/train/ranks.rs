//! The processes that share a training, as mpirun or srun starts them.

#[cfg(feature = "mpi")]
mod heart;
mod launched;
#[cfg(feature = "mpi")]
mod mpi;
mod watch;

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};

use glass::train::ranks::{Alone, Ranks, as_first};

use crate::fail::{Fail, be_quiet, say};
use crate::out::count;
use launched::Launched;
pub use watch::Bystander;

/// How the run can be resumed, for whoever has to end it.
static RESUMES: Mutex<String> = Mutex::new(String::new());

/// Says how the run can be resumed from now on.
pub fn resumes(how: String) {
    *RESUMES.lock().unwrap_or_else(PoisonError::into_inner) = how;
}

/// How the run can be resumed.
#[cfg(feature = "mpi")]
fn how_to_resume() -> String {
    let how = RESUMES.lock().unwrap_or_else(PoisonError::into_inner).clone();
    if how.is_empty() { "there is no checkpoint yet".into() } else { how }
}

/// This process among those that share a training.
pub struct Joined {
    /// All of them.
    pub ranks: Arc<dyn Ranks>,
    /// The machine of each.
    pub hosts: Vec<String>,
    #[cfg(feature = "mpi")]
    world: Option<Arc<mpi::World>>,
}

impl Joined {
    /// Whether it is rank 0, which alone has the folder, the log and the display.
    pub fn is_first(&self) -> bool {
        self.ranks.rank() == 0
    }

    /// Whether there are others.
    pub fn has_others(&self) -> bool {
        self.ranks.size() > 1
    }

    /// How many ranks share this machine.
    pub fn here(&self) -> usize {
        let here = &self.hosts[self.ranks.rank()];
        self.hosts.iter().filter(|host| *host == here).count()
    }

    /// Remarks that ranks compute with different instruction sets, of which `own` is this rank's.
    pub fn remark_other_instructions(&self, own: &str) -> Result<(), Fail> {
        let all = self.ranks.gather(own.as_bytes())?;
        let names: BTreeSet<String> =
            all.iter().map(|name| String::from_utf8_lossy(name).into_owned()).collect();
        if names.len() > 1 {
            let names: Vec<String> = names.into_iter().collect();
            say(&format!(
                "the ranks compute with different instruction sets ({}), so the last bits depend on which rank computes what",
                names.join(", ")
            ));
        }
        Ok(())
    }

    /// The threads of this rank if none are given and the machine has so many cores: ranks on one machine share them. `None` for
    /// all of them.
    pub fn threads(&self, cores: usize) -> Option<u16> {
        let sharing = self.here();
        (sharing > 1).then(|| u16::try_from((cores / sharing).max(1)).unwrap_or(u16::MAX))
    }

    /// Runs `work` on rank 0 first, and then on all others.
    pub fn first_then_others<T>(&self, mut work: impl FnMut() -> Result<T, Fail>) -> Result<T, Fail> {
        let first = self.is_first().then(&mut work).transpose()?;
        as_first(&*self.ranks, &[])?;
        first.map_or_else(work, Ok)
    }

    /// What rank 0 says.
    pub fn first(&self, says: &[u8]) -> Result<Vec<u8>, Fail> {
        Ok(as_first(&*self.ranks, says)?)
    }

    /// A number that rank 0 says.
    pub fn number(&self, says: u64) -> Result<u64, Fail> {
        let told = self.first(&says.to_le_bytes())?;
        Ok(told.iter().rev().fold(0, |number, &byte| number << 8 | u64::from(byte)))
    }

    /// Who shares a step of so many batches.
    pub fn describe(&self, batches: usize) -> String {
        let size = self.ranks.size();
        let mut hosts = self.hosts.clone();
        hosts.sort();
        hosts.dedup();
        let (least, most) = (batches / size, batches.div_ceil(size));
        let each = if least == most { least.to_string() } else { format!("{least} or {most}") };
        format!(
            "{} on {}; each learns from {each} of the {batches} batches of a step",
            count(size, "rank"),
            count(hosts.len(), "host")
        )
    }

    /// Leaves the others. After a failure all of them end.
    pub fn leave(self, done: Result<(), Fail>) -> Result<(), Fail> {
        #[cfg(feature = "mpi")]
        if let Some(world) = self.world {
            drop(self.ranks);
            return world.leave(done);
        }
        done
    }
}

/// Joins the others, if there are any.
pub fn join() -> Result<Joined, Fail> {
    let Some(launched) = Launched::here().filter(|launched| launched.size > 1) else {
        return Ok(Joined {
            ranks: Arc::new(Alone),
            hosts: vec!["here".into()],
            #[cfg(feature = "mpi")]
            world: None,
        });
    };
    if launched.rank > 0 {
        be_quiet();
    }
    joined(&launched)
}

#[cfg(feature = "mpi")]
fn joined(launched: &Launched) -> Result<Joined, Fail> {
    let (world, hosts) = mpi::World::join()?;
    let Launched { by, size, .. } = launched;
    if world.size() != *size {
        return Err(Fail::asked(format!(
            "{by} started {size} processes, but MPI knows {} of them; start them with the mpirun of the MPI that this program \
             was built with, or with srun --mpi=pmix",
            world.size()
        )));
    }
    let world = Arc::new(world);
    Ok(Joined { ranks: world.clone(), hosts, world: Some(world) })
}

#[cfg(not(feature = "mpi"))]
fn joined(launched: &Launched) -> Result<Joined, Fail> {
    let Launched { by, size, .. } = launched;
    Err(Fail::asked(format!(
        "{by} started this program {size} times, but it was built without MPI, so each would train by itself and write the same \
         folder; build it with cargo build --release --features mpi, or start it once"
    )))
}
