//! Ranks that are threads of one process, to try and to test what several processes would do.

use std::collections::VecDeque;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::{Exchange, Ranks};
use crate::{Error, Result};

/// One of several ranks in this process; each belongs to a thread of its own. When one is dropped, the others fail where they
/// wait for it.
pub struct Together {
    rank: usize,
    /// One for every rank.
    to: Vec<Sender<Message>>,
    from: Vec<Mutex<Inbox>>,
    begun: Mutex<VecDeque<Exchange>>,
}

enum Message {
    Values(Vec<f32>),
    Told(Vec<u8>),
}

struct Inbox {
    messages: Receiver<Message>,
    /// Values that came while others were awaited.
    values: VecDeque<Vec<f32>>,
}

/// `size` ranks that know each other.
pub fn together(size: usize) -> Vec<Together> {
    let mut senders: Vec<Vec<Sender<Message>>> = (0..size).map(|_| Vec::new()).collect();
    let mut receivers = Vec::new();
    for _ in 0..size {
        let from = (0..size).map(|rank| {
            let (to, messages) = channel();
            senders[rank].push(to);
            Mutex::new(Inbox { messages, values: VecDeque::new() })
        });
        receivers.push(from.collect());
    }
    let all = senders.into_iter().zip(receivers).enumerate();
    all.map(|(rank, (to, from))| Together { rank, to, from, begun: Mutex::default() }).collect()
}

fn held<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn ended(rank: usize) -> Error {
    Error::invalid(format!("rank {rank}"), "it has ended, so this one ends too")
}

impl Together {
    fn send(&self, rank: usize, message: Message) -> Result<()> {
        self.to[rank].send(message).map_err(|_| ended(rank))
    }

    fn values(&self, rank: usize) -> Result<Vec<f32>> {
        let mut from = held(&self.from[rank]);
        if let Some(values) = from.values.pop_front() {
            return Ok(values);
        }
        match from.messages.recv().map_err(|_| ended(rank))? {
            Message::Values(values) => Ok(values),
            Message::Told(_) => Err(Error::invalid(format!("rank {rank}"), "it is not at the same step")),
        }
    }

    fn told(&self, rank: usize) -> Result<Vec<u8>> {
        let mut from = held(&self.from[rank]);
        loop {
            match from.messages.recv().map_err(|_| ended(rank))? {
                Message::Told(told) => return Ok(told),
                Message::Values(values) => from.values.push_back(values),
            }
        }
    }
}

impl Ranks for Together {
    fn rank(&self) -> usize {
        self.rank
    }

    fn size(&self) -> usize {
        self.to.len()
    }

    fn begin(&self, exchange: Exchange) -> Result<()> {
        for parcel in &exchange.sends {
            parcel.to.iter().try_for_each(|&rank| self.send(rank, Message::Values(parcel.values.clone())))?;
        }
        held(&self.begun).push_back(exchange);
        Ok(())
    }

    fn end(&self) -> Result<Exchange> {
        let mut exchange = held(&self.begun).pop_front().unwrap_or_default();
        for (rank, into) in &mut exchange.receives {
            let values = self.values(*rank)?;
            if values.len() != into.len() {
                let why = format!("it sent {} numbers where {} were expected", values.len(), into.len());
                return Err(Error::invalid(format!("rank {rank}"), why));
            }
            *into = values;
        }
        Ok(exchange)
    }

    fn gather(&self, told: &[u8]) -> Result<Vec<Vec<u8>>> {
        (0..self.size()).try_for_each(|rank| self.send(rank, Message::Told(told.to_vec())))?;
        (0..self.size()).map(|rank| self.told(rank)).collect()
    }
}
