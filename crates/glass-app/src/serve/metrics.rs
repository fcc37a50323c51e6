//! Counters for monitoring. The engine's thread only stores into atomics; nothing it does waits for a reader.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use glass::scheduler::Counters;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::{Registry, Unit};

type Number = Gauge<u64, AtomicU64>;

/// What the engine's thread stores.
#[derive(Default)]
pub struct Gauges {
    up: Number,
    running: Number,
    waiting: Number,
    passes: Counter,
    rows: Counter,
    prompt_tokens: Counter,
    cached_tokens: Counter,
    generated_tokens: Counter,
    guesses: Counter,
    right_guesses: Counter,
    blocks_used: Number,
    blocks_cached: Number,
    blocks_all: Number,
    cache_bytes: Number,
}

impl Gauges {
    /// Whether tokens can be generated.
    pub fn set_up(&self, up: bool) {
        self.up.set(up.into());
    }

    /// Whether tokens can be generated.
    pub fn is_up(&self) -> bool {
        self.up.get() == 1
    }

    /// Stores the scheduler's counters.
    pub fn update(&self, now: &Counters) {
        let numbers = [
            (&self.running, now.running as u64),
            (&self.waiting, now.waiting as u64),
            (&self.blocks_used, now.blocks[0]),
            (&self.blocks_cached, now.blocks[1]),
            (&self.blocks_all, now.blocks[2]),
            (&self.cache_bytes, now.blocks[2] * now.block_bytes),
        ];
        numbers.iter().for_each(|(gauge, value)| {
            gauge.set(*value);
        });
        let counters = [
            (&self.passes, now.passes),
            (&self.rows, now.rows),
            (&self.prompt_tokens, now.prompt),
            (&self.cached_tokens, now.cached),
            (&self.generated_tokens, now.drawn),
            (&self.guesses, now.guessed),
            (&self.right_guesses, now.right),
        ];
        counters.iter().for_each(|(counter, value)| counter.inner().store(*value, Ordering::Relaxed));
    }
}

/// The labels of a request: its endpoint, and the status of its answer.
type Labels = Vec<(&'static str, String)>;

/// All metrics.
pub struct Metrics {
    /// What the engine's thread stores.
    pub gauges: Arc<Gauges>,
    /// Seconds from a request to its first token.
    pub first_token: Histogram,
    /// Seconds between two tokens of an answer.
    pub between_tokens: Histogram,
    requests: Family<Labels, Counter>,
    request_seconds: Histogram,
    memory: Number,
    registry: Registry,
}

impl Metrics {
    /// All of them, at zero.
    pub fn new() -> Metrics {
        let gauges = Arc::new(Gauges::default());
        let seconds = |first: f64, count| Histogram::new(exponential_buckets(first, 2.0, count));
        let mut registry = Registry::with_prefix("glass");
        let metrics = Metrics {
            gauges: gauges.clone(),
            first_token: seconds(0.001, 18),
            between_tokens: seconds(0.0005, 16),
            requests: Family::default(),
            request_seconds: seconds(0.001, 20),
            memory: Number::default(),
            registry: Registry::default(),
        };
        registry.register(
            "requests",
            "Requests that were answered, or whose client left (499)",
            metrics.requests.clone(),
        );
        let mut histogram = |name, help, histogram: &Histogram| {
            registry.register_with_unit(name, help, Unit::Seconds, histogram.clone());
        };
        histogram(
            "request",
            "Time of a request, until the last byte of its answer",
            &metrics.request_seconds,
        );
        histogram("time_to_first_token", "Time from a request to its first token", &metrics.first_token);
        histogram("time_between_tokens", "Time between two tokens of an answer", &metrics.between_tokens);
        let mut counter = |name, help, counter: &Counter| registry.register(name, help, counter.clone());
        counter("prompt_tokens", "Tokens of prompts that were read", &gauges.prompt_tokens);
        counter(
            "cached_prompt_tokens",
            "Tokens of prompts that came from the prefix cache",
            &gauges.cached_tokens,
        );
        counter("generated_tokens", "Tokens that were generated", &gauges.generated_tokens);
        counter("passes", "Passes through the model", &gauges.passes);
        counter(
            "batch_rows",
            "Rows of all passes; divided by passes, the mean size of a batch",
            &gauges.rows,
        );
        counter("guessed_tokens", "Tokens that were guessed ahead", &gauges.guesses);
        counter("right_guessed_tokens", "Guessed tokens that were right", &gauges.right_guesses);
        let mut number = |name, help, gauge: &Number| registry.register(name, help, gauge.clone());
        number("up", "1 while tokens can be generated", &gauges.up);
        number("requests_running", "Answers that are being generated", &gauges.running);
        number("requests_waiting", "Answers that wait for their place", &gauges.waiting);
        number("cache_blocks_used", "Blocks of keys and values in use", &gauges.blocks_used);
        number("cache_blocks_cached", "Blocks kept for later prompts", &gauges.blocks_cached);
        number("cache_blocks", "All blocks of keys and values", &gauges.blocks_all);
        registry.register_with_unit(
            "cache",
            "Memory of keys and values",
            Unit::Bytes,
            gauges.cache_bytes.clone(),
        );
        registry.register_with_unit(
            "process_resident_memory",
            "Memory of the process",
            Unit::Bytes,
            metrics.memory.clone(),
        );
        Metrics { registry, ..metrics }
    }

    /// Counts a request that ended.
    pub fn ended(&self, endpoint: &str, status: u16, seconds: f64) {
        let labels = vec![("endpoint", endpoint.to_string()), ("status", status.to_string())];
        self.requests.get_or_create(&labels).inc();
        self.request_seconds.observe(seconds);
    }

    /// In Prometheus's text format.
    pub fn text(&self) -> String {
        self.memory.set(resident_bytes().unwrap_or(0));
        let mut text = String::new();
        let _ = encode(&mut text, &self.registry);
        text
    }
}

/// Memory of this process, where the system tells.
fn resident_bytes() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kibibytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kibibytes * 1024)
}
