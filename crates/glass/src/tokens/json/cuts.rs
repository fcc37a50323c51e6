//! Every way to cut tokens into two tokens each. No half is looked up: in the order of their texts, a token comes after
//! those that it begins with; in the order of their texts read backward, after those that it ends with.

use crate::tokens::parallel::map;

/// How many tokens a thread takes at a time.
const SHARE: usize = 4096;

/// Every way to cut every token into two of those that `is_half`: left, right, token; in the order of the tokens, the
/// shortest left half first.
pub fn cuts(tokens: &[(&str, u32)], is_half: impl Fn(&str) -> bool + Send + Sync) -> Vec<[u32; 3]> {
    let both = map(&[false, true], |backward| Halves::new(tokens, *backward, &is_half));
    let shares: Vec<usize> = (0..tokens.len()).step_by(SHARE).collect();
    let share = |from: &usize| {
        let mut ways = Vec::new();
        for (at, (text, id)) in (*from..).zip(tokens[*from..].iter().take(SHARE)) {
            let mut rights = both[1].of(at).iter().rev().peekable();
            for &(left, len) in both[0].of(at) {
                let rest = text.len() as u32 - len;
                while rights.next_if(|(_, len)| *len > rest).is_some() {}
                if let Some((right, _)) = rights.next_if(|(_, len)| *len == rest) {
                    ways.push([left, *right, *id]);
                }
            }
        }
        ways
    };
    map(&shares, share).concat()
}

/// A token as it is sorted.
struct Sorted {
    /// Its first letters, or its last ones backward.
    key: u128,
    at: usize,
    len: usize,
}

/// The bytes in a key.
const KEY: usize = 16;

impl Sorted {
    fn new(at: usize, text: &str, backward: bool) -> Sorted {
        let (text, mut letters) = (text.as_bytes(), [0; KEY]);
        let (len, used) = (text.len(), text.len().min(KEY));
        let key = if backward {
            letters[KEY - used..].copy_from_slice(&text[len - used..]);
            u128::from_le_bytes(letters)
        } else {
            letters[..used].copy_from_slice(&text[..used]);
            u128::from_be_bytes(letters)
        };
        Sorted { key, at, len }
    }
}

/// What each token begins with, or ends with: ids and lengths, the shortest first.
struct Halves {
    all: Vec<(u32, u32)>,
    /// Where those of a token begin and end.
    places: Vec<[usize; 2]>,
}

impl Halves {
    fn new(tokens: &[(&str, u32)], backward: bool, is_half: &impl Fn(&str) -> bool) -> Halves {
        let text = |token: &Sorted| tokens[token.at].0;
        let sorted = tokens.iter().enumerate().map(|(at, (text, _))| Sorted::new(at, text, backward));
        let mut sorted: Vec<Sorted> = sorted.collect();
        // Nearly all are told apart by their keys, without a look at the texts.
        sorted.sort_unstable_by(|a, b| {
            a.key.cmp(&b.key).then_with(|| match backward {
                true => text(a).bytes().rev().cmp(text(b).bytes().rev()),
                false => text(a).cmp(text(b)),
            })
        });
        // A half comes before the token, so it is not longer if their keys agree as far as it goes.
        let begins = |token: &Sorted, half: &Sorted| match half.len {
            1..=KEY => (token.key ^ half.key) >> (8 * (KEY - half.len)) == 0,
            _ if backward => text(token).ends_with(text(half)),
            _ => text(token).starts_with(text(half)),
        };

        let mut halves = Halves { all: Vec::new(), places: vec![[0; 2]; tokens.len()] };
        let mut begun: Vec<(&Sorted, (u32, u32))> = Vec::new();
        for token in &sorted {
            while begun.pop_if(|(half, _)| !begins(token, half)).is_some() {}
            let from = halves.all.len();
            halves.all.extend(begun.iter().map(|(_, half)| *half));
            halves.places[token.at] = [from, halves.all.len()];
            let (text, id) = tokens[token.at];
            if is_half(text) {
                begun.push((token, (id, token.len as u32)));
            }
        }
        halves
    }

    fn of(&self, at: usize) -> &[(u32, u32)] {
        let [from, to] = self.places[at];
        &self.all[from..to]
    }
}

#[cfg(test)]
mod tests {
    use super::cuts;

    #[test]
    fn as_by_trying_every_cut() {
        let letters = ["a", "b", "é", "漢", "\0"];
        let mut seed = 1u64;
        let mut below = |n: usize| {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (seed >> 33) as usize % n
        };
        let mut texts: Vec<String> =
            (0..9_000).map(|_| (0..below(12)).map(|_| letters[below(5)]).collect()).collect();
        // Those that are longer than a key have halves that are.
        let joined = (0..3_000).map(|_| format!("{}{}", texts[below(9_000)], texts[below(9_000)]));
        let joined: Vec<String> = joined.collect();
        texts.extend((0..3_000).map(|_| format!("{}{}", joined[below(3_000)], joined[below(3_000)])));
        texts.extend(joined);
        texts.sort();
        texts.dedup();
        texts.sort_by_key(|text| (text.len() * 7 + text.matches('a').count() * 3) % 11);
        let tokens: Vec<(&str, u32)> = texts.iter().map(String::as_str).zip(100..).collect();
        let is_half = |text: &str| !text.starts_with("ba");
        let half = |text: &str| {
            let known = tokens.iter().find(|(token, _)| *token == text && is_half(token))?;
            Some(known.1)
        };
        let mut expected = Vec::new();
        for (text, id) in &tokens {
            for (at, _) in text.char_indices().skip(1) {
                if let (Some(left), Some(right)) = (half(&text[..at]), half(&text[at..])) {
                    expected.push([left, right, *id]);
                }
            }
        }
        assert!(expected.len() > 1_000);
        assert_eq!(cuts(&tokens, is_half), expected);
    }
}
