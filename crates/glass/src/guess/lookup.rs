//! Prompt lookup (Saxena 2023): a text often repeats itself, so what followed the same tokens before is a cheap guess at what
//! follows now.

use std::collections::HashMap;

/// The fewest tokens that must agree.
const LEAST: usize = 2;

/// As many that agree as make a difference.
const MOST: usize = 8;

/// Earlier places that are compared.
const PLACES: usize = 6;

/// Places in a text, by the two tokens before them.
pub struct Lookup {
    /// The largest number of tokens guessed in a row.
    most: usize,
    /// The latest place after each pair.
    latest: HashMap<(u32, u32), u32>,
    /// For every place, the one before it after the same pair; 0 for none.
    earlier: Vec<u32>,
}

impl Lookup {
    /// Guesses at most `most` tokens in a row.
    pub fn new(most: usize) -> Lookup {
        Lookup { most, latest: HashMap::new(), earlier: Vec::new() }
    }

    /// The text has one more token, its last one.
    pub fn see(&mut self, ids: &[u32]) {
        let place = ids.len();
        self.earlier.resize(place + 1, 0);
        if let [.., first, second] = *ids {
            let earlier = self.latest.insert((first, second), place as u32);
            self.earlier[place] = earlier.unwrap_or(0);
        }
    }

    /// Passes what followed the last tokens of `context` in `ids` to `each`, with the number of tokens that agree; `guessed` of the
    /// context are guesses themselves.
    pub fn find(&self, ids: &[u32], context: &[u32], guessed: usize, each: &mut dyn FnMut(u32, usize)) {
        let [.., first, second] = *context else { return };
        if guessed >= self.most {
            return;
        }
        let mut place = self.latest.get(&(first, second)).copied().unwrap_or(0) as usize;
        for _ in 0..PLACES {
            if place == 0 {
                return;
            }
            if let Some(&next) = ids.get(place) {
                let before = ids[..place].iter().rev().zip(context.iter().rev());
                let agreed = before.take(MOST).take_while(|(a, b)| a == b).count();
                debug_assert!(agreed >= LEAST, "the pair agrees");
                each(next, agreed);
            }
            place = self.earlier[place] as usize;
        }
    }

    /// How likely it is that a text goes on as it did after this many tokens that agree, where nothing else is known.
    pub fn probability(agreed: usize) -> f32 {
        const BY_AGREED: [f32; MOST + 1] = [0.0, 0.0, 0.2, 0.35, 0.5, 0.6, 0.68, 0.75, 0.85];
        BY_AGREED[agreed.min(MOST)]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(ids: &[u32], guesses: &[u32], most: usize) -> Vec<(u32, usize)> {
        let mut lookup = Lookup::new(most);
        (1..=ids.len()).for_each(|len| lookup.see(&ids[..len]));
        let (mut found, context) = (Vec::new(), [ids, guesses].concat());
        lookup.find(ids, &context, guesses.len(), &mut |id, agreed| found.push((id, agreed)));
        found
    }

    #[test]
    fn what_followed_is_found_latest_first() {
        assert_eq!(found(&[1, 2, 3, 4, 1, 2], &[], 9), [(3, 2)]);
        assert_eq!(found(&[9, 1, 2, 5, 1, 2, 7, 9, 1, 2], &[], 9), [(7, 2), (5, 3)]);
        assert_eq!(found(&[7, 7, 7], &[], 9), [(7, 2)]);
        assert_eq!(found(&[1, 2, 3, 4, 1, 2], &[3], 9), [(4, 3)], "a guess is part of the context");
        assert!(found(&[1, 2, 3], &[], 9).is_empty() && found(&[1], &[], 9).is_empty());
        assert!(found(&[1, 2, 3, 4, 1, 2], &[3], 1).is_empty() && found(&[1, 2, 1, 2], &[], 0).is_empty());
    }
}
