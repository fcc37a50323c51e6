//! One pass: the rows of a plan are read, and tokens are drawn wherever their logits are wanted.

use std::sync::{Mutex, PoisonError};

use super::plan::Share;
use super::sequence::Sequence;
use super::watch::{Watched, Watching};
use crate::Result;
use crate::backend::Backend;
use crate::generate::Batch;
use crate::generate::batch::Part;
use crate::guess::{Rows, Tree};

/// Reads what was planned; `watching` counts passes in which something is watched.
pub(super) fn read<'a, B: Backend>(
    backend: &B,
    batch: &mut Batch<'a, B>,
    running: &mut [Sequence<'a>],
    shares: &[Share],
    watching: &mut u64,
) -> Result<()> {
    let (vocabulary, width) = (batch.gpt().config.vocabulary, batch.gpt().config.width);
    let mut ids = Vec::with_capacity(shares.iter().map(|share| share.rows).sum());
    for share in shares {
        let sequence = &running[share.at];
        ids.extend_from_slice(&sequence.ids[sequence.read..sequence.read + share.ids(sequence)]);
    }
    // Copies, since sequences change while their rows are read.
    let trees: Vec<Option<(Tree, Rows)>> = (shares.iter())
        .map(|share| {
            let sequence = &running[share.at];
            let tree = sequence.guesser.tree();
            (sequence.decodes() && !tree.is_empty()).then(|| (tree.clone(), sequence.rows.clone()))
        })
        .collect();
    let mut rest = ids.as_slice();
    let mut parts = Vec::with_capacity(shares.len());
    for (share, tree) in shares.iter().zip(&trees) {
        let sequence = &running[share.at];
        let (ids, after) = rest.split_at(share.ids(sequence));
        rest = after;
        let positions = sequence.positions(share.rows);
        let seen = sequence.watched.as_ref().is_some_and(|watched| watched.concerns(positions));
        let guesses = tree.as_ref().map(|(tree, rows)| (tree, rows));
        parts.push(Part { slot: sequence.slot, ids, guesses, wanted: share.wanted, seen });
    }
    // A watched sequence's probe sees its own rows, while its other half takes the logits.
    let mut watched: Vec<Option<Watched>> = (shares.iter())
        .map(|share| {
            let sequence = &mut running[share.at];
            let positions = sequence.positions(share.rows);
            sequence.watched.take_if(|watched| watched.concerns(positions))
        })
        .collect();
    let seen: Vec<&mut Watched> = watched.iter_mut().flatten().collect();
    *watching += u64::from(!seen.is_empty());
    let mut sequences: Vec<Mutex<&mut Sequence<'a>>> = Vec::with_capacity(shares.len());
    let mut places = shares.iter().map(|share| share.at).peekable();
    for (at, sequence) in running.iter_mut().enumerate() {
        if places.next_if_eq(&at).is_some() {
            sequences.push(Mutex::new(sequence));
        }
    }
    let mut draw = |rows: &[(usize, usize)], logits: &[f32], vectors: &[f32]| {
        let of = |(part, _): &(usize, usize)| *part;
        let starts: Vec<usize> =
            (0..rows.len()).filter(|&row| row == 0 || of(&rows[row - 1]) != of(&rows[row])).collect();
        backend.on_host(starts.len(), &|task| {
            let end = starts.get(task + 1).copied().unwrap_or(rows.len());
            let sequence = &sequences[of(&rows[starts[task]])];
            let mut sequence = sequence.lock().unwrap_or_else(PoisonError::into_inner);
            let first = shares[of(&rows[starts[task]])].rows - shares[of(&rows[starts[task]])].wanted;
            for row in starts[task]..end {
                let vector = &vectors[row * width..][..width];
                sequence.take(first + rows[row].1, &logits[row * vocabulary..][..vocabulary], vector);
            }
        });
    };
    let done = match seen.is_empty() {
        true => batch.read(&parts, (), &mut draw),
        false => batch.read(&parts, Watching(seen), &mut draw),
    };
    drop(sequences);
    for (share, watched) in shares.iter().zip(watched) {
        let sequence = &mut running[share.at];
        sequence.watched = sequence.watched.take().or(watched);
    }
    done
}
