//! Making a draft: the model continues beginnings of texts as it would for a user, and what it draws is learned (distillation from
//! its own samples, as Zhou et al. 2024 do for draft models).

mod head;

use std::collections::HashMap;
use std::ops::ControlFlow;

pub use head::{HeadLearner, RATE};

use super::data::set::{Chat, Samples, Set};
use crate::backend::{BLOCK, Backend};
use crate::generate::{GenerateOptions, generate};
use crate::guess::Drawn;
use crate::probe::Site;
use crate::random::Random;
use crate::runtime::Model;
use crate::scheduler::{Chunk, Event, Request, Scheduler, Settings, Ticket, Watch, block_bytes};
use crate::{Error, Result};
use glass_kernels::format::f32_to_bf16;

/// Texts that are drawn together.
const TOGETHER: usize = 32;

/// Tokens of a text that are given, at least and at most.
const GIVEN: (usize, usize) = (2, 24);

/// Tokens that are drawn of each text.
const LONGEST: usize = 300;

/// Beginnings of the texts or conversations of a set, which the model is to continue: of a text a few tokens after `start`, of a
/// conversation everything before the first and before the last answer.
pub fn beginnings(set: &Set, start: &[u32], end: Option<u32>, context: usize, seed: u64) -> Vec<Vec<u32>> {
    let mut random = Random::new(seed, "draft", 0);
    let mut of_text = |before: &[u32], text: &[u32]| -> Vec<u32> {
        let most = GIVEN.1.min(text.len() - 1);
        let given = GIVEN.0 + random.below(most + 1 - GIVEN.0.min(most));
        before.iter().chain(&text[..given.min(most)]).copied().collect()
    };
    let mut all: Vec<Vec<u32>> = match &set.samples {
        Samples::Stream(ids) => {
            let ids = ids.to_vec();
            let texts = ids.split(|id| Some(*id) == end).filter(|text| text.len() > GIVEN.0);
            texts.map(|text| of_text(start, text)).collect()
        }
        Samples::Pairs(pairs) => {
            let answer = |chat: &Chat| (1..chat.ids.len()).find(|at| chat.learned[*at]);
            let chosen = pairs.iter().map(|pair| &pair.sides[0]);
            chosen.filter_map(|chat| answer(chat).map(|at| chat.ids[..at].to_vec())).collect()
        }
        Samples::Chats(chats) => {
            let mut all = Vec::with_capacity(chats.len());
            for Chat { ids, learned } in chats.iter().filter(|chat| chat.ids.len() > GIVEN.0) {
                let mut answers = (1..ids.len()).filter(|at| learned[*at] && !learned[*at - 1]);
                match (learned[0], answers.next(), answers.next_back()) {
                    (true, ..) => all.push(of_text(&ids[..1], &ids[1..])),
                    (_, first, last) => {
                        all.extend(first.into_iter().chain(last).map(|end| ids[..end].to_vec()))
                    }
                }
            }
            all
        }
    };
    all.retain(|prompt| !prompt.is_empty() && prompt.len() < context);
    let order = random.permutation(all.len());
    order.into_iter().map(|at| all[at].clone()).collect()
}

/// Continues prompts, many together, each with a seed of its own; from the first again once all were continued, until `each`, which
/// is told the number of tokens so far, ends it.
///
/// # Errors
/// If there are no prompts, or the model cannot be run.
pub fn draw<B: Backend>(
    model: &Model<B>,
    prompts: &[Vec<u32>],
    options: &GenerateOptions,
    each: &mut dyn FnMut(usize) -> ControlFlow<()>,
) -> Result<Vec<Drawn>> {
    if prompts.is_empty() {
        return Err(Error::invalid_argument("data", "there is no text that could be begun; give more"));
    }
    let context = model.config().context;
    let blocks = (TOGETHER * context.min(1024).div_ceil(BLOCK)).max(context.div_ceil(BLOCK)) as u64;
    let settings = Settings { slots: TOGETHER, cache_bytes: blocks * block_bytes(model), chunk: Chunk::Fair };
    let mut scheduler = Scheduler::new(model, None, settings)?;
    let (mut running, mut done) = (HashMap::<Ticket, Drawn>::new(), Vec::new());
    let (mut tokens, mut failed) = (0, None);
    for (seed, prompt) in (0..).zip(prompts.iter().cycle()) {
        let mut options = options.clone();
        options.tokens = LONGEST.min(context - prompt.len());
        options.sampling.seed = seed;
        // The last vector of each position is what its token is drawn from.
        let positions = prompt.len() - 1..context;
        let watch = Some(Watch { sites: vec![Site::Norm], positions, ..Watch::default() });
        let request = Request { prompt: prompt.clone(), options, watch, ..Request::default() };
        let ticket = scheduler.submit(request)?;
        running.insert(ticket, Drawn::new(prompt.clone(), prompt.len()));
        while running.len() >= TOGETHER {
            scheduler.pass(&mut |ticket, event| match event {
                Event::Token { id, .. } => {
                    running.get_mut(&ticket).expect("it runs").ids.push(id);
                    tokens += 1;
                }
                Event::Ended { seen, .. } => {
                    let mut text = running.remove(&ticket).expect("it runs");
                    let rows = seen.iter().flat_map(|seen| &seen.rows).flat_map(|row| &row.values);
                    text.vectors = rows.map(|x| f32_to_bf16(*x)).collect();
                    done.push(text);
                }
                Event::Failed(error) => {
                    running.remove(&ticket);
                    failed = Some(error);
                }
                _ => {}
            });
        }
        if let Some(error) = failed {
            return Err(error);
        }
        if each(tokens).is_break() {
            break;
        }
    }
    // Texts that are not at their end are true as far as they are; their vectors are not told.
    done.extend(running.into_values().filter(|text| text.ids.len() > text.from));
    done.sort_by(|a, b| a.ids.cmp(&b.ids));
    Ok(done)
}

/// Tokens that were drawn, and the passes that it took.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Passes {
    /// Tokens.
    pub tokens: usize,
    /// Passes.
    pub passes: usize,
    /// Guesses.
    pub guesses: usize,
}

impl Passes {
    /// Tokens a pass.
    pub fn rate(self) -> f64 {
        self.tokens as f64 / self.passes.max(1) as f64
    }
}

/// Continues a prompt by itself, with the guesses that `options` asks for.
///
/// # Errors
/// If the model cannot be run.
pub fn passes<B: Backend>(
    runner: &mut crate::generate::Runner<'_, B>,
    prompt: &[u32],
    options: &GenerateOptions,
) -> Result<Passes> {
    runner.prompt(prompt)?;
    let done = generate(runner, None, options, 0, &mut |_| ControlFlow::Continue(()))?;
    let (tokens, guesses) = (done.ids.len(), done.guesses);
    Ok(Passes { tokens, passes: tokens - guesses.right.min(tokens), guesses: guesses.all })
}
