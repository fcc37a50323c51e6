//! A tree of guesses: siblings share what is before them.

use std::ops::Range;

/// Guessed tokens. Node 0 is the token before all guesses; the others have the numbers of their order.
#[derive(Clone, Debug, Default)]
pub struct Tree {
    /// Of node 1 and the following.
    nodes: Vec<Node>,
    /// Nodes that are not the first to follow another: each begins a chain.
    others: usize,
}

#[derive(Clone, Copy, Debug)]
struct Node {
    id: u32,
    parent: usize,
    /// Tokens after node 0, with itself.
    depth: usize,
    /// Whether it was the first to follow its parent.
    is_first: bool,
}

impl Tree {
    /// No guesses.
    pub const EMPTY: Tree = Tree { nodes: Vec::new(), others: 0 };

    /// No guesses.
    pub fn clear(&mut self) {
        self.truncate(0);
    }

    /// The number of guesses.
    pub fn len(&self) -> usize {
        self.nodes.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.nodes.is_empty()
    }

    /// Adds a guess after node `parent`; returns its number.
    pub fn add(&mut self, parent: usize, id: u32) -> usize {
        assert!(parent <= self.len(), "node {parent} of {}", self.len());
        let is_first = self.children(parent).next().is_none();
        self.others += usize::from(!is_first);
        self.nodes.push(Node { id, parent, depth: self.depth(parent) + 1, is_first });
        self.len()
    }

    /// Keeps the first `count` guesses.
    pub fn truncate(&mut self, count: usize) {
        self.nodes.truncate(count);
        self.others = self.nodes.iter().filter(|node| !node.is_first).count();
    }

    /// A guess's token.
    pub fn id(&self, node: usize) -> u32 {
        self.nodes[node - 1].id
    }

    /// The node before a guess.
    pub fn parent(&self, node: usize) -> usize {
        self.nodes[node - 1].parent
    }

    /// How many tokens after node 0.
    pub fn depth(&self, node: usize) -> usize {
        if node == 0 { 0 } else { self.nodes[node - 1].depth }
    }

    /// The guess `id` after a node.
    pub fn child(&self, node: usize, id: u32) -> Option<usize> {
        self.children(node).find(|&child| self.id(child) == id)
    }

    fn children(&self, node: usize) -> impl Iterator<Item = usize> {
        let of = move |(at, child): (usize, &Node)| (child.parent == node).then_some(at + 1);
        self.nodes.iter().enumerate().filter_map(of)
    }

    /// The number of chains.
    pub fn chains(&self) -> usize {
        1 + self.others
    }

    /// The number of chains if a guess were added after a node.
    pub fn chains_with(&self, node: usize) -> usize {
        self.chains() + usize::from(self.children(node).next().is_some())
    }

    /// Adds the guesses up to a node to a text.
    pub fn path(&self, node: usize, text: &mut Vec<u32>) {
        let before = text.len();
        let mut at = node;
        while at > 0 {
            text.push(self.id(at));
            at = self.nodes[at - 1].parent;
        }
        text[before..].reverse();
    }

    /// The rows in which a pass reads it.
    pub fn rows(&self) -> Rows {
        let mut longest: Vec<usize> = (0..=self.len()).map(|node| self.depth(node)).collect();
        for node in (1..=self.len()).rev() {
            let parent = self.nodes[node - 1].parent;
            longest[parent] = longest[parent].max(longest[node]);
        }
        let mut rows = Rows { nodes: vec![0], chains: Vec::new() };
        let mut begin = vec![(0, 0)];
        // The chain that has the longest way goes on first, so that the first chain is the longest of all.
        while let Some((mut node, from)) = begin.pop() {
            let chain = rows.chains.len();
            let first = if chain == 0 {
                0
            } else {
                rows.nodes.push(node);
                rows.nodes.len() - 1
            };
            let depth = self.depth(node);
            let mut others = Vec::new();
            loop {
                let next = self.children(node).max_by_key(|&child| (longest[child], usize::MAX - child));
                let Some(next) = next else { break };
                others.extend(self.children(node).filter(|&child| child != next).map(|child| (child, chain)));
                rows.nodes.push(next);
                node = next;
            }
            rows.chains.push(Chain { rows: first..rows.nodes.len(), from, depth });
            begin.extend(others.into_iter().rev());
        }
        rows
    }
}

/// The rows of a tree: row 0 is node 0.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rows {
    /// The node of every row.
    pub nodes: Vec<usize>,
    /// The chains that they are cut into, each after what it goes on from.
    pub chains: Vec<Chain>,
}

impl Rows {
    /// The row of a node.
    pub fn of(&self, node: usize) -> usize {
        self.nodes.iter().position(|&other| other == node).expect("a node of the tree")
    }

    /// The chain of a row.
    pub fn chain_of(&self, row: usize) -> usize {
        self.chains.iter().position(|chain| chain.rows.contains(&row)).expect("a row of the tree")
    }

    /// The nodes from node 0 to a row's.
    pub fn path(&self, row: usize) -> Vec<usize> {
        let (mut number, mut end, mut path) = (self.chain_of(row), row, Vec::new());
        loop {
            let chain = &self.chains[number];
            path.extend((chain.rows.start..=end).rev().map(|row| self.nodes[row]));
            if number == 0 {
                path.reverse();
                return path;
            }
            let from = &self.chains[chain.from];
            (number, end) = (chain.from, from.rows.start + chain.depth - 1 - from.depth);
        }
    }

    /// How many tokens after node 0 the way to a chain leaves the first chain.
    pub fn leaves_first(&self, chain: usize) -> usize {
        let mut number = chain;
        while self.chains[number].from > 0 {
            number = self.chains[number].from;
        }
        self.chains[number].depth
    }
}

/// Rows that follow one another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chain {
    /// Its rows.
    pub rows: Range<usize>,
    /// The chain that it goes on from.
    pub from: usize,
    /// How many tokens its first row is after node 0.
    pub depth: usize,
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 0 ─ 1 ─ 2 ─ 4 ─ 7; 3 after 0; 5 after 1; 6 after 5.
    fn tree() -> Tree {
        let mut tree = Tree::default();
        for (parent, id) in [(0, 10), (1, 20), (0, 30), (2, 40), (1, 50), (5, 60), (4, 70)] {
            tree.add(parent, id);
        }
        tree
    }

    #[test]
    fn rows_are_chains_after_what_they_go_on_from() {
        let rows = tree().rows();
        assert_eq!(rows.nodes, [0, 1, 2, 4, 7, 3, 5, 6]);
        let chain = |rows, from, depth| Chain { rows, from, depth };
        assert_eq!(rows.chains, [chain(0..5, 0, 0), chain(5..6, 0, 1), chain(6..8, 0, 2)]);
        assert_eq!(Tree::default().rows().chains, [chain(0..1, 0, 0)]);
        assert_eq!(
            (rows.path(7), rows.path(4), rows.path(5)),
            (vec![0, 1, 5, 6], vec![0, 1, 2, 4, 7], vec![0, 3])
        );
        assert_eq!((rows.chain_of(7), rows.leaves_first(2), rows.of(5)), (2, 2, 6));
    }

    #[test]
    fn a_path_is_the_text_and_the_guesses_before() {
        let (tree, mut context) = (tree(), vec![7, 8]);
        tree.path(6, &mut context);
        assert_eq!(context, [7, 8, 10, 50, 60]);
        assert_eq!((tree.child(1, 50), tree.child(1, 40), tree.child(0, 30)), (Some(5), None, Some(3)));
        assert_eq!((tree.chains_with(7), tree.chains_with(1), Tree::default().chains_with(0)), (3, 4, 1));
    }

    /// In any tree, a row's parent is the row before it, or the last one before its chain.
    #[test]
    fn every_row_follows_its_parent() {
        for seed in 0..200_usize {
            let mut tree = Tree::default();
            for node in 0..seed % 17 {
                tree.add((seed * 31 + node * node * 7) % (node + 1), (seed + node) as u32);
            }
            let rows = tree.rows();
            assert_eq!(rows.nodes.len(), tree.len() + 1);
            let deepest = (0..=tree.len()).map(|node| tree.depth(node)).max().unwrap();
            assert_eq!(rows.chains[0].rows, 0..deepest + 1);
            assert_eq!(rows.chains.len(), tree.chains_with(rows.nodes[deepest]));
            for (number, chain) in rows.chains.iter().enumerate() {
                for row in chain.rows.clone().skip(1) {
                    assert_eq!(tree.nodes[rows.nodes[row] - 1].parent, rows.nodes[row - 1]);
                }
                if number > 0 {
                    let parent = tree.nodes[rows.nodes[chain.rows.start] - 1].parent;
                    let from = &rows.chains[chain.from];
                    assert!(chain.from < number);
                    let row = rows.nodes.iter().position(|&node| node == parent).unwrap();
                    assert!(from.rows.contains(&row) && tree.depth(parent) + 1 == chain.depth);
                }
            }
        }
    }
}
