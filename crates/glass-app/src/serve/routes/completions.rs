//! `POST /v1/completions`: texts and lists of ids, continued or scored.

use std::sync::Arc;

use axum::Extension;
use axum::extract::State;
use axum::response::Response;
use glass::generate::Finish;
use glass::scheduler::Event;
use serde_json::{Value, json};

use super::chat::StreamOptions;
use crate::serve::answer::{Answer, Told, Usage, collect, counted, tell_ids};
use crate::serve::body::json as body;
use crate::serve::card::{Card, Served};
use crate::serve::error::{Answered, Refusal};
use crate::serve::fields::Fields;
use crate::serve::generation::{Generation, answers, finish_reason, runners_up};
use crate::serve::log::Record;
use crate::serve::logprobs::OfCompletion;
use crate::serve::look::{Lens, Look};
use crate::serve::neutral::{self, Passes, Rule};
use crate::serve::prompt::Prompt;
use crate::serve::random;
use crate::serve::response_format::Format;
use crate::serve::sampled::sampled;
use crate::serve::sse::{Out, Writer, stream};
use crate::serve::state::Shared;

sampled! {
    /// Texts that are to be continued.
    CompletionRequest {
        /// The model's name, as in /v1/models.
        model: Option<String>,
        /// A text, a list of texts, a list of token ids, or a list of lists of ids.
        prompt: Option<Prompt>,
        /// The largest number of tokens of an answer [default: 16].
        max_tokens: Option<usize>,
        /// The number of answers to each prompt.
        #[schema(minimum = 1, maximum = 128)]
        n: Option<usize>,
        /// Only the same as n: all answers are returned.
        best_of: Option<usize>,
        /// Whether the answer begins with the prompt; with logprobs, the prompt's tokens are scored.
        echo: Option<bool>,
        /// Tokens are told with their log-probabilities, and this many runners-up.
        #[schema(minimum = 0, maximum = 20)]
        logprobs: Option<usize>,
        /// Whether the answer comes as server-sent events.
        stream: Option<bool>,
        /// `{"include_usage": true}`: one more event with the numbers of tokens.
        stream_options: Option<StreamOptions>,
        /// `{"type": "text" | "json_object" | "json_schema"}`; the answer keeps to it, token by token.
        response_format: Option<Format>,
        /// Prefixes of prompts are shared only with requests that have the same salt.
        cache_salt: Option<String>,
        /// Whether the ids of tokens are told, which of them were guessed ahead (`guessed`), and how many guesses were right.
        return_token_ids: Option<bool>,
        /// What to see and to change inside the model.
        look: Option<Look>,
        /// Only null or empty: a text is continued at its end.
        suffix: Option<Value>,
        /// Passes; changes nothing.
        user: Option<Value>,
    }
}

/// Fields of [`CompletionRequest`] that may only ask for nothing.
pub const NEUTRAL: &[Rule] = &[("suffix", Passes::These(&["\"\""])), ("user", Passes::Any)];

/// How answers are told.
struct Shape {
    service: Shared,
    served: Served,
    id: String,
    created: u64,
    seed: u64,
    n: usize,
    prompts: Vec<Vec<u32>>,
    /// The prompts' texts, if they are repeated.
    echo: Option<Vec<String>>,
    /// How many tokens of each prompt are not in its text, where it is scored.
    starts: Vec<usize>,
    logprobs: Option<usize>,
    ids: bool,
    lenses: Vec<Lens>,
    /// The last token may be one that ends a text: it is scored, and is not part of the text.
    last_ends: bool,
}

impl CompletionRequest {
    fn check(&self, card: &Card) -> Answered<()> {
        card.check_name(self.model.as_deref())?;
        neutral::check(NEUTRAL, &[&self.suffix, &self.user])?;
        if self.best_of.is_some_and(|best| best != self.n.unwrap_or(1)) {
            return Err(Refusal::field(
                "best_of",
                "only the same number as n is possible: all answers are returned",
            ));
        }
        if self.stream_options.is_some() && self.stream != Some(true) {
            return Err(Refusal::field("stream_options", "it is only for stream: true"));
        }
        self.stream_options.unwrap_or_default().check()?;
        let echo = self.echo == Some(true);
        if self.max_tokens == Some(0) && !echo {
            return Err(Refusal::field("max_tokens", "it is 0; at least 1 was expected, or echo: true"));
        }
        Ok(())
    }
}

/// Continues texts.
#[utoipa::path(post, path = "/v1/completions", tag = "OpenAI", request_body = CompletionRequest,
    responses((status = 200, description = "The answers; with stream, as server-sent events"),
              (status = "4XX", body = crate::serve::error::ErrorBody), (status = "5XX", body = crate::serve::error::ErrorBody)))]
pub async fn complete(
    State(service): State<Shared>,
    Extension(record): Extension<Arc<Record>>,
    Fields(mut request): Fields<CompletionRequest>,
) -> Answered<Response> {
    let card = &service.card;
    request.check(card)?;
    let served = card.served(request.model.as_deref())?;
    let echo = request.echo == Some(true);
    let tokens = request.max_tokens.unwrap_or(16);
    let mut generation = Generation::new(card, &request.sampled(), Some(tokens), service.lookup)?;
    generation.adapter = served.adapter;
    generation.n = answers(request.n)?;
    generation.logprobs = request.logprobs.is_some();
    generation.top = runners_up("logprobs", request.logprobs)?;
    generation.score_prompt = echo && request.logprobs.is_some();
    generation.salt = request.cache_salt.take();
    // A harness asks for one token that it cuts off: it must be there whatever it is.
    let last_ends = generation.score_prompt && tokens == 1;
    if last_ends {
        generation.options.ends.clear();
    }
    let prompt = request
        .prompt
        .take()
        .ok_or_else(|| Refusal::field("prompt", "it is missing").code("missing_field"))?;
    let texts = echo.then(|| prompt.texts(card));
    let prompts = prompt.ids(card)?;
    let starts = if generation.score_prompt { prompt.starts(card) } else { vec![0; prompts.len()] };
    record.prompt(prompts.iter().map(Vec::len).sum());
    if service.log_prompts {
        tracing::info!(id = record.id, prompts = ?prompt.texts(card), "prompt");
    }
    let look = request.look.take().unwrap_or_default();
    let watched = |prompt: &Vec<u32>| look.lens(&card.config, prompt);
    let lenses = prompts.iter().map(watched).collect::<Answered<Vec<Lens>>>()?;
    let lenses = if look.is_empty() { Vec::new() } else { lenses };
    let format = request.response_format.take().unwrap_or_default();
    let grammar = service.grammars.compile(&format)?;
    let mut requests = generation.requests(&prompts, &|| grammar.constraint())?;
    for (at, lens) in lenses.iter().enumerate() {
        let own = &mut requests[at * generation.n..(at + 1) * generation.n];
        own.iter_mut().for_each(|request| request.watch = Some(lens.watch()));
    }
    let shape = Shape {
        service: service.clone(),
        served,
        id: random::id("cmpl-"),
        created: random::now(),
        seed: generation.options.sampling.seed,
        n: generation.n,
        prompts,
        echo: texts,
        starts,
        logprobs: request.logprobs,
        ids: request.return_token_ids == Some(true),
        lenses,
        last_ends,
    };
    if request.stream == Some(true) {
        let include_usage = request.stream_options.and_then(|options| options.include_usage) == Some(true);
        return stream(&service, &record, requests, Chunks::new(shape, include_usage)).await;
    }
    let answers = collect(&service, &record, requests).await?;
    Ok(body(&shape.whole(answers)))
}

impl Shape {
    fn head(&self) -> Value {
        json!({
            "id": self.id, "object": "text_completion", "created": self.created, "model": self.served.id,
            "system_fingerprint": self.served.digest, "seed": self.seed,
        })
    }

    /// The prompt's text, if it is repeated.
    fn repeated(&self, choice: usize) -> &str {
        self.echo.as_ref().map_or("", |texts| &texts[choice / self.n])
    }

    /// Whether this token ends the text.
    fn ends(&self, id: u32) -> bool {
        self.last_ends && self.service.card.ends.contains(&id)
    }

    /// The text of a token, which may be one that ends it.
    fn text_of(&self, id: u32, text: String) -> String {
        if self.ends(id) { String::new() } else { text }
    }

    fn look(&self, choice: usize, answer: &Answer) -> Option<Value> {
        let (lens, seen) = (self.lenses.get(choice / self.n)?, answer.seen.as_ref()?);
        Some(lens.told(&self.service.card, seen))
    }

    fn whole(&self, answers: Vec<Answer>) -> Value {
        let card = &self.service.card;
        let mut usage = Usage { prompt: self.prompts.iter().map(Vec::len).sum(), ..Usage::default() };
        let mut choices = Vec::with_capacity(answers.len());
        for (index, answer) in answers.into_iter().enumerate() {
            usage.completion += answer.tokens.len();
            usage.cached += if index.is_multiple_of(self.n) { answer.cached } else { 0 };
            let ended = answer.tokens.last().is_some_and(|last| self.ends(last.id));
            let finish = if ended { Some(Finish::End) } else { answer.finish };
            let text = if ended { "" } else { &answer.text };
            let mut choice = json!({
                "index": index, "text": format!("{}{text}", self.repeated(index)), "logprobs": null,
                "finish_reason": finish.map(finish_reason),
            });
            if let Some(top) = self.logprobs {
                let mut told = OfCompletion::starting(self.starts[index / self.n]);
                answer.scored.iter().chain(&answer.tokens).for_each(|one| told.push(card, one, top));
                choice["logprobs"] = told.take();
            }
            if self.ids {
                choice["prompt_token_ids"] = self.prompts[index / self.n].clone().into();
                tell_ids(&mut choice, &answer.tokens);
                choice["guesses"] = counted(answer.guesses);
            }
            if let Some(look) = self.look(index, &answer) {
                choice["look"] = look;
            }
            choices.push(choice);
        }
        let mut whole = self.head();
        whole["choices"] = choices.into();
        whole["usage"] = usage.json();
        whole
    }
}

/// Answers as a stream of chunks.
struct Chunks {
    shape: Shape,
    include_usage: bool,
    usage: Usage,
    /// Log-probabilities that are not told yet, of each answer.
    told: Vec<OfCompletion>,
    first: Vec<Option<u32>>,
}

impl Chunks {
    fn new(shape: Shape, include_usage: bool) -> Chunks {
        let choices = shape.prompts.len() * shape.n;
        let prompt = shape.prompts.iter().map(Vec::len).sum();
        let usage = Usage { prompt, ..Usage::default() };
        let told =
            (0..choices).map(|choice| OfCompletion::starting(shape.starts[choice / shape.n])).collect();
        Chunks { shape, include_usage, usage, told, first: vec![None; choices] }
    }

    fn chunk(&mut self, choice: usize, text: &str, finish: Option<Finish>) -> Value {
        let logprobs = match (self.shape.logprobs, self.told[choice].is_empty()) {
            (Some(_), false) => self.told[choice].take(),
            _ => Value::Null,
        };
        json!({"index": choice, "text": text, "logprobs": logprobs, "finish_reason": finish.map(finish_reason)})
    }

    fn send(&self, choice: Option<Value>, usage: Value, out: &mut Out) {
        let mut chunk = self.shape.head();
        chunk["choices"] = choice.into_iter().collect();
        if self.include_usage {
            chunk["usage"] = usage;
        }
        out.data(&chunk);
    }

    fn tell(&mut self, choice: usize, one: &Told) {
        if let Some(top) = self.shape.logprobs {
            self.told[choice].push(&self.shape.service.card, one, top);
        }
    }
}

impl Writer for Chunks {
    fn event(&mut self, choice: usize, event: Event, out: &mut Out) {
        match event {
            Event::Begun { cached } => {
                self.usage.cached += if choice.is_multiple_of(self.shape.n) { cached } else { 0 };
                if self.shape.echo.is_some() {
                    let text = self.shape.repeated(choice).to_string();
                    let mut one = self.chunk(choice, &text, None);
                    if self.shape.ids {
                        one["prompt_token_ids"] = self.shape.prompts[choice / self.shape.n].clone().into();
                    }
                    self.send(Some(one), Value::Null, out);
                }
            }
            Event::Scored { id, scored, top } => {
                self.tell(
                    choice,
                    &Told { id, logprob: scored.map(|scored| scored.logprob), top, guessed: false },
                );
            }
            Event::Token { id, logprob, text, top, guessed } => {
                self.usage.completion += 1;
                self.first[choice].get_or_insert(id);
                let told = Told { id, logprob, top, guessed };
                self.tell(choice, &told);
                let text = self.shape.text_of(id, text);
                if text.is_empty() && self.shape.logprobs.is_none() && !self.shape.ids {
                    return;
                }
                let mut one = self.chunk(choice, &text, None);
                if self.shape.ids {
                    tell_ids(&mut one, &[told]);
                }
                self.send(Some(one), Value::Null, out);
            }
            Event::Ended { finish, rest, seen, guesses, .. } => {
                let first = self.first[choice];
                let ended = first.is_some_and(|id| self.shape.ends(id));
                let mut one = self.chunk(choice, &rest, Some(if ended { Finish::End } else { finish }));
                if let (Some(lens), Some(seen)) = (self.shape.lenses.get(choice / self.shape.n), &seen) {
                    one["look"] = lens.told(&self.shape.service.card, seen);
                }
                if self.shape.ids {
                    one["guesses"] = counted(guesses);
                }
                self.send(Some(one), Value::Null, out);
            }
            Event::Failed(_) => {}
        }
    }

    fn end(&mut self, out: &mut Out) {
        if self.include_usage {
            self.send(None, self.usage.json(), out);
        }
        out.done();
    }
}
