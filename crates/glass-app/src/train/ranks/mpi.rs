//! Ranks that are processes, by MPI.
//!
//! One thread makes all calls to MPI, so that exchanges go on while the others compute. It never blocks inside MPI, where Open
//! MPI would take a whole core: it tests, and sleeps for a moment in between.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use glass::train::ranks::{Exchange, Ranks};
use glass::{Error, Result};
use mpi::Threading;
use mpi::environment::processor_name;
use mpi::point_to_point::MatchedReceiveVec as _;
use mpi::topology::SimpleCommunicator;
use mpi::traits::*;

use super::heart::{EVERY, Heart};
use crate::fail::Fail;

/// The tags of messages.
const VALUES: i32 = 1;
const TOLD: i32 = 2;
pub const BEAT: i32 = 3;
pub const FAIL: i32 = 4;

/// The most floats of one message: MPI counts in 32 bits.
const MOST: usize = 1 << 28;

/// What the thread is asked to do.
enum Order {
    Exchange(Exchange),
    Gather(Vec<u8>),
    Fail(String),
    Leave,
}

/// All ranks, as one of them sees them.
pub struct World {
    rank: usize,
    size: usize,
    orders: Mutex<Sender<Order>>,
    exchanged: Mutex<Receiver<Exchange>>,
    told: Mutex<Receiver<Vec<Vec<u8>>>>,
    left: Mutex<Receiver<()>>,
    waited: Mutex<Duration>,
    is_awaited: Arc<AtomicBool>,
}

/// What the thread answers with.
struct Answers {
    exchanged: Sender<Exchange>,
    told: Sender<Vec<Vec<u8>>>,
    left: Sender<()>,
}

impl World {
    /// Initialises MPI. Also returns the machine of each rank.
    pub fn join() -> std::result::Result<(World, Vec<String>), Fail> {
        let terminated = Arc::new(AtomicBool::new(false));
        #[cfg(unix)]
        let _ = signal_hook::flag::register(signal_hook::consts::SIGTERM, terminated.clone());
        let (orders, ordered) = channel();
        let (exchanged, exchanges) = channel();
        let (told, tells) = channel();
        let (left, leaves) = channel();
        let (began, begins) = channel();
        let answers = Answers { exchanged, told, left };
        let is_awaited = Arc::new(AtomicBool::new(false));
        let awaited = is_awaited.clone();
        let spawned = thread::Builder::new().name("mpi".into()).spawn(move || {
            let Some((universe, _)) = mpi::initialize_with_threading(Threading::Funneled) else { return };
            let world = universe.world();
            let hosts = hosts(&world);
            let place = (world.rank() as usize, world.size() as usize, hosts.clone());
            if began.send(place).is_ok() {
                let mut post =
                    Post { heart: Heart::new(universe.world(), hosts, terminated), world, awaited };
                post.serve(&ordered, &answers);
                post.heart.rest();
            }
            drop(universe);
            let _ = answers.left.send(());
        });
        let failed = || Fail::failed("MPI could not be initialised");
        spawned.map_err(|_| failed())?;
        let (rank, size, hosts) = begins.recv().map_err(|_| failed())?;
        let world = World {
            rank,
            size,
            orders: Mutex::new(orders),
            exchanged: Mutex::new(exchanges),
            told: Mutex::new(tells),
            left: Mutex::new(leaves),
            waited: Mutex::default(),
            is_awaited,
        };
        Ok((world, hosts))
    }

    /// Leaves the others, when all of them do; after a failure all of them end.
    pub fn leave(&self, done: std::result::Result<(), Fail>) -> std::result::Result<(), Fail> {
        let order = match &done {
            Ok(()) | Err(Fail::Closed) => Order::Leave,
            Err(Fail::Asked(sentence) | Fail::Failed(sentence)) => Order::Fail(sentence.clone()),
        };
        if self.order(order).is_ok() {
            let _ = self.left.lock().unwrap_or_else(PoisonError::into_inner).recv();
        }
        done
    }

    fn order(&self, order: Order) -> Result<()> {
        let orders = self.orders.lock().unwrap_or_else(PoisonError::into_inner);
        orders.send(order).map_err(|_| ended())
    }

    fn answer<T>(&self, from: &Mutex<Receiver<T>>) -> Result<T> {
        let begun = Instant::now();
        self.is_awaited.store(true, Ordering::Relaxed);
        let answer = from.lock().unwrap_or_else(PoisonError::into_inner).recv();
        self.is_awaited.store(false, Ordering::Relaxed);
        *self.waited.lock().unwrap_or_else(PoisonError::into_inner) += begun.elapsed();
        answer.map_err(|_| ended())
    }
}

fn ended() -> Error {
    Error::invalid("MPI", "the thread that exchanges with other ranks has ended")
}

impl Ranks for World {
    fn rank(&self) -> usize {
        self.rank
    }

    fn size(&self) -> usize {
        self.size
    }

    fn begin(&self, exchange: Exchange) -> Result<()> {
        self.order(Order::Exchange(exchange))
    }

    fn end(&self) -> Result<Exchange> {
        self.answer(&self.exchanged)
    }

    fn gather(&self, told: &[u8]) -> Result<Vec<Vec<u8>>> {
        self.order(Order::Gather(told.to_vec()))?;
        self.answer(&self.told)
    }

    fn waited(&self) -> Option<f64> {
        let mut waited = self.waited.lock().unwrap_or_else(PoisonError::into_inner);
        Some(std::mem::take(&mut *waited).as_secs_f64())
    }
}

/// The machine of each rank.
fn hosts(world: &SimpleCommunicator) -> Vec<String> {
    let own = processor_name().unwrap_or_else(|_| "an unknown machine".into());
    let mut names = vec![0; 256 * world.size() as usize];
    let mut name = own.into_bytes();
    name.resize(256, 0);
    world.all_gather_into(&name[..], &mut names[..]);
    let text = |name: &[u8]| String::from_utf8_lossy(name).trim_end_matches('\0').to_string();
    names.chunks(256).map(text).collect()
}

/// Pauses between tests: longer and longer ones while the others compute, so that their core is left to them.
struct Pause(Duration);

impl Pause {
    const LEAST: Duration = Duration::from_micros(20);
    const MOST: Duration = Duration::from_micros(300);

    fn new() -> Pause {
        Pause(Pause::LEAST)
    }

    fn sleep(&mut self, awaited: &AtomicBool) {
        if awaited.load(Ordering::Relaxed) {
            self.0 = Pause::LEAST;
        }
        thread::sleep(self.0);
        self.0 = (self.0 * 9 / 8).min(Pause::MOST);
    }
}

/// What the thread has.
struct Post {
    heart: Heart,
    world: SimpleCommunicator,
    /// Whether the other threads wait for an answer.
    awaited: Arc<AtomicBool>,
}

impl Post {
    /// Does what it is asked to, in order, until it leaves. Exchanges that were asked for meanwhile begin together.
    fn serve(&mut self, orders: &Receiver<Order>, answers: &Answers) {
        let mut waiting: VecDeque<Order> = VecDeque::new();
        loop {
            match orders.recv_timeout(EVERY / 4) {
                Ok(order) => waiting.push_back(order),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return,
            }
            self.heart.beat();
            while !waiting.is_empty() {
                waiting.extend(orders.try_iter());
                let mut exchanges = Vec::new();
                while let Some(Order::Exchange(exchange)) =
                    waiting.pop_front_if(|order| matches!(order, Order::Exchange(_)))
                {
                    exchanges.push(exchange);
                }
                self.exchange(&mut exchanges);
                exchanges.into_iter().for_each(|exchange| {
                    let _ = answers.exchanged.send(exchange);
                });
                match waiting.pop_front_if(|order| !matches!(order, Order::Exchange(_))) {
                    Some(Order::Gather(told)) => {
                        let _ = answers.told.send(self.gather(&told));
                    }
                    Some(Order::Fail(sentence)) => self.heart.fail(&sentence),
                    Some(Order::Leave) => {
                        self.gather(&[]);
                        return;
                    }
                    Some(Order::Exchange(_)) | None => {}
                }
            }
        }
    }

    fn exchange(&mut self, exchanges: &mut [Exchange]) {
        let (world, heart) = (&self.world, &mut self.heart);
        mpi::request::multiple_scope(2 * exchanges.len(), |scope, requests| {
            for Exchange { sends, receives } in exchanges {
                for (from, into) in receives {
                    let from = world.process_at_rank(*from as i32);
                    for part in into.chunks_mut(MOST) {
                        requests.add(from.immediate_receive_into_with_tag(scope, part, VALUES));
                    }
                }
                for parcel in sends {
                    for &to in &parcel.to {
                        let to = world.process_at_rank(to as i32);
                        for part in parcel.values.chunks(MOST) {
                            requests.add(to.immediate_send_with_tag(scope, part, VALUES));
                        }
                    }
                }
            }
            let (mut pause, mut done) = (Pause::new(), Vec::new());
            while requests.incomplete() > 0 && !requests.test_all(&mut done) {
                heart.beat();
                pause.sleep(&self.awaited);
            }
        });
    }

    fn gather(&mut self, told: &[u8]) -> Vec<Vec<u8>> {
        let (world, heart) = (&self.world, &mut self.heart);
        let (rank, size) = (world.rank(), world.size());
        let mut all = vec![None; size as usize];
        all[rank as usize] = Some(told.to_vec());
        mpi::request::multiple_scope(size as usize, |scope, requests| {
            for to in (0..size).filter(|to| *to != rank) {
                requests.add(world.process_at_rank(to).immediate_send_with_tag(scope, told, TOLD));
            }
            let (mut pause, mut done) = (Pause::new(), Vec::new());
            loop {
                for from in 0..size {
                    if all[from as usize].is_none() {
                        let message = world.process_at_rank(from).immediate_matched_probe_with_tag(TOLD);
                        all[from as usize] = message.map(|message| message.matched_receive_vec().0);
                    }
                }
                let is_sent = requests.incomplete() == 0 || requests.test_all(&mut done);
                if is_sent && all.iter().all(Option::is_some) {
                    break;
                }
                heart.beat();
                pause.sleep(&self.awaited);
            }
        });
        all.into_iter().flatten().collect()
    }
}
