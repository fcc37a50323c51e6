//! Signs of life between ranks, and how a failure of one ends all.
//!
//! Every rank tells rank 0 once a second that it is there, and rank 0 tells all. One that is not heard of for some seconds has
//! died, or cannot be reached: the others then end too. mpirun notices earlier when a process dies, but not every launcher does.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use mpi::point_to_point::MatchedReceiveVec as _;
use mpi::request::{Request, StaticScope};
use mpi::topology::SimpleCommunicator;
use mpi::traits::*;

use super::how_to_resume;
use super::mpi::{BEAT, FAIL};
use crate::fail::say_aloud;

/// Between two signs of life.
pub const EVERY: Duration = Duration::from_millis(1000);

/// A rank is given up after so long.
const PATIENCE: Duration = Duration::from_secs(10);

/// A rank that was itself held up for so long knows nothing about the others.
const HELD_UP: Duration = Duration::from_secs(3);

/// Between two looks at what came.
const LOOK: Duration = Duration::from_millis(20);

/// How long a rank that failed waits for rank 0, which may have the same failure and says it then.
const COURTESY: Duration = Duration::from_millis(1500);

static SIGN: u8 = 1;

/// Signs of life of all ranks, as one of them sees them.
pub struct Heart {
    world: SimpleCommunicator,
    hosts: Vec<String>,
    heard: Vec<Instant>,
    looked: Instant,
    told: Option<Instant>,
    telling: Vec<Request<'static, u8, StaticScope>>,
    /// Set by SIGTERM.
    terminated: Arc<AtomicBool>,
    has_said: bool,
}

impl Heart {
    pub fn new(world: SimpleCommunicator, hosts: Vec<String>, terminated: Arc<AtomicBool>) -> Heart {
        let now = Instant::now();
        Heart {
            heard: vec![now; world.size() as usize],
            world,
            hosts,
            looked: now,
            told: None,
            telling: Vec::new(),
            terminated,
            has_said: false,
        }
    }

    fn is_first(&self) -> bool {
        self.world.rank() == 0
    }

    /// Tells the others that this rank is there, and looks for them. Called often, by whoever waits.
    pub fn beat(&mut self) {
        if self.looked.elapsed() < LOOK {
            return;
        }
        let now = Instant::now();
        if now - self.looked > HELD_UP {
            self.heard.fill(now);
        }
        self.looked = now;
        self.listen(now);
        if self.told.is_none_or(|told| now - told >= EVERY) {
            self.told = Some(now);
            self.tell();
        }
        self.say_that_it_is_terminated();
        let ranks = if self.is_first() { 1..self.heard.len() } else { 0..1 };
        if let Some(rank) = ranks.into_iter().find(|rank| now - self.heard[*rank] > PATIENCE) {
            say_aloud(&format!(
                "rank {rank} on {} has not answered for {} seconds, so the run ends on all ranks; {}",
                self.hosts[rank],
                PATIENCE.as_secs(),
                how_to_resume()
            ));
            self.world.abort(1);
        }
    }

    fn listen(&mut self, now: Instant) {
        while let Some((message, status)) = self.world.any_process().immediate_matched_probe_with_tag(BEAT) {
            let _: (u8, _) = message.matched_receive();
            self.heard[status.source_rank() as usize] = now;
        }
        if let Some(failed) = self.world.any_process().immediate_matched_probe_with_tag(FAIL) {
            let (text, status): (Vec<u8>, _) = failed.matched_receive_vec();
            self.end(status.source_rank() as usize, &String::from_utf8_lossy(&text));
        }
    }

    fn tell(&mut self) {
        self.telling = self.telling.drain(..).filter_map(|request| request.test().err()).collect();
        let ranks = if self.is_first() { 1..self.world.size() } else { 0..1 };
        for rank in ranks {
            let to = self.world.process_at_rank(rank);
            self.telling.push(to.immediate_send_with_tag(StaticScope, &SIGN, BEAT));
        }
    }

    /// Sends no more signs of life: all ranks leave.
    pub fn rest(mut self) {
        let begun = Instant::now();
        while !self.telling.is_empty() && begun.elapsed() < EVERY {
            self.telling = self.telling.drain(..).filter_map(|request| request.test().err()).collect();
            std::thread::sleep(LOOK);
        }
        // What nobody receives any more ends with the process.
        self.telling.drain(..).for_each(std::mem::forget);
    }

    /// mpirun kills all processes a second after this signal, which is too short for most checkpoints.
    fn say_that_it_is_terminated(&mut self) {
        if self.is_first() && !self.has_said && self.terminated.load(Ordering::Relaxed) {
            self.has_said = true;
            say_aloud(&format!(
                "told to end: by mpirun, because another rank ended or it was interrupted, or by a signal; stopping after this \
                 step, with a checkpoint, if there is time for it; otherwise {}",
                how_to_resume()
            ));
        }
    }

    /// Ends all ranks because one has failed.
    fn end(&self, rank: usize, sentence: &str) -> ! {
        let who = if rank == 0 { String::new() } else { format!("rank {rank} on {}: ", self.hosts[rank]) };
        say_aloud(&format!("{who}{sentence}"));
        self.world.abort(1);
    }

    /// Ends all ranks because this one has failed. Rank 0 says why.
    pub fn fail(&mut self, sentence: &str) -> ! {
        let rank = self.world.rank() as usize;
        if rank == 0 {
            self.end(0, sentence);
        }
        self.wait(COURTESY);
        // It ends with the process.
        let text: &'static [u8] = sentence.as_bytes().to_vec().leak();
        let _told = self.world.process_at_rank(0).immediate_send_with_tag(StaticScope, text, FAIL);
        self.wait(PATIENCE / 2);
        self.end(rank, sentence);
    }

    fn wait(&mut self, time: Duration) {
        let begun = Instant::now();
        while begun.elapsed() < time {
            std::thread::sleep(LOOK);
            self.beat();
        }
    }
}
