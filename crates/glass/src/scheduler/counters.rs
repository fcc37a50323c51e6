//! What a scheduler counts.

/// What a scheduler did, since it was made, and does now.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Counters {
    /// Requests that wait for a slot or for memory.
    pub waiting: usize,
    /// Requests that run.
    pub running: usize,
    /// Passes.
    pub passes: u64,
    /// Rows of all passes.
    pub rows: u64,
    /// Positions of prompts that were computed.
    pub prompt: u64,
    /// Positions of prompts whose keys and values were computed before.
    pub cached: u64,
    /// Passes that read a part of a prompt.
    pub prompts: u64,
    /// Tokens that were drawn.
    pub drawn: u64,
    /// Tokens that were guessed.
    pub guessed: u64,
    /// Guesses that were right.
    pub right: u64,
    /// Passes in which something was watched.
    pub watched: u64,
    /// Blocks of 64 positions: of running sequences, kept for later ones, in all, and dropped so far.
    pub blocks: [u64; 4],
    /// Bytes of a block.
    pub block_bytes: u64,
}
