//! Prompt lookup (Saxena 2023): a text often repeats itself, so what followed the last time is a cheap guess at
//! what follows now. The model reads the guess in the same pass as the last token, and keeps the part that it would
//! have drawn itself: the same bytes in fewer passes, since many rows give the same bits as one.

/// How many tokens must agree before a guess is made, longest first.
const AGREE: [usize; 3] = [4, 3, 2];

/// How many tokens are guessed: more after a right guess, fewer after a wrong one.
pub struct Lookup {
    most: usize,
    next: usize,
}

impl Lookup {
    /// Guesses at most `most` tokens at a time; with 0, none.
    pub fn new(most: usize) -> Lookup {
        Lookup { most, next: most.min(4) }
    }

    /// The tokens that followed the most recent earlier occurrence of the last tokens of `ids`; at most `room`
    /// tokens.
    pub fn guess<'a>(&self, ids: &'a [u32], room: usize) -> &'a [u32] {
        let most = self.next.min(room);
        if most == 0 {
            return &[];
        }
        let followed = AGREE.into_iter().find_map(|agree| {
            let last = ids.len().checked_sub(agree)?;
            let before = &ids[..ids.len() - 1];
            before.windows(agree).rposition(|window| *window == ids[last..]).map(|at| at + agree)
        });
        followed.map_or(&[], |at| &ids[at..ids.len().min(at + most)])
    }

    /// Records that `right` of `guessed` tokens were right.
    pub fn learn(&mut self, guessed: usize, right: usize) {
        if guessed == 0 {
            return;
        }
        self.next = if right == guessed { self.next * 2 } else { right.max(1) }.min(self.most);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_and_latest_agreement_is_followed() {
        let lookup = Lookup::new(8);
        assert_eq!(lookup.guess(&[1, 2, 3, 4, 1, 2], 9), [3, 4, 1, 2]);
        assert_eq!(lookup.guess(&[9, 1, 2, 5, 1, 2, 7, 9, 1, 2], 2), [5, 1], "three agree");
        assert_eq!(lookup.guess(&[1, 2, 5, 1, 2, 7, 1, 2], 1), [7], "the latest");
        assert_eq!(lookup.guess(&[7, 7, 7], 9), [7]);
        assert!(lookup.guess(&[1, 2, 3], 9).is_empty() && lookup.guess(&[1], 9).is_empty());
        assert!(
            lookup.guess(&[1, 2, 1, 2], 0).is_empty() && Lookup::new(0).guess(&[1, 2, 1, 2], 9).is_empty()
        );
    }

    #[test]
    fn right_guesses_make_longer_ones() {
        let mut lookup = Lookup::new(10);
        lookup.learn(4, 4);
        assert_eq!(lookup.next, 8);
        lookup.learn(8, 8);
        assert_eq!(lookup.next, 10);
        lookup.learn(10, 3);
        assert_eq!(lookup.next, 3);
        lookup.learn(3, 0);
        assert_eq!(lookup.next, 1);
        lookup.learn(0, 0);
        assert_eq!(lookup.next, 1);
    }
}
