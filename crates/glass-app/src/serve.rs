//! `glass serve`: the HTTP service. `engine` owns the model, `routes` speak HTTP, and neither knows the other's side.

mod answer;
mod body;
mod card;
mod engine;
mod error;
mod explain;
mod fields;
mod generation;
mod gate;
mod guard;
#[cfg_attr(not(feature = "schema"), path = "serve/no_json_schema.rs")]
mod json_schema;
mod listen;
mod log;
mod logprobs;
mod look;
mod metrics;
mod neutral;
mod openapi;
mod page;
mod patient;
mod prompt;
mod random;
mod response_format;
mod router;
mod routes;
mod running;
mod sampled;
mod sse;
mod state;
mod tls;

use std::io::Write as _;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use glass::backend::{BLOCK, Cpu};
use glass::model::Gpt;
use glass::runtime::Model;
use glass::scheduler::{Settings, block_bytes};
use glass::weights::adapter::{Adapter, file};
use tokio::net::TcpListener;
use tokio::runtime::Builder;
use tokio::sync::watch;

use crate::args::ServeArgs;
use crate::fail::{Fail, say};
use crate::model_arg::NamedModel;
use crate::out::Out;
pub use card::{digest, id};
pub use routes::models::described;

use card::{Card, Tuned};
use engine::Engine;
use explain::Explainer;
use guard::Guard;
use json_schema::Grammars;
use listen::Limits;
use metrics::Metrics;
use state::{Phase, Service};

/// Memory for keys and values: `mib`, or enough for all answers that run together, within reason; for one in any case.
fn cache_bytes(model: &Model<Cpu>, mib: Option<u64>, answers: u64) -> Result<u64, Fail> {
    let context = model.config().context;
    let one = context.div_ceil(BLOCK) as u64 * block_bytes(model);
    match mib {
        None => Ok(answers.saturating_mul(one).clamp(256 << 20, 4 << 30).max(one)),
        Some(mib) if mib << 20 >= one => Ok(mib << 20),
        Some(mib) => Err(Fail::asked(format!(
            "--cache-memory: {mib} MiB is too little; one answer of the whole context ({context} tokens) takes {}",
            one.div_ceil(1 << 20)
        ))),
    }
}

/// Serves until it is told to stop.
pub fn run(args: &ServeArgs) -> Result<(), Fail> {
    let address = address(&args.host, args.port)?;
    let guard = Guard::new(&args.access, address.ip())?;
    let tls = tls::acceptor(&args.access)?;
    let runtime = Builder::new_multi_thread().worker_threads(2).enable_all().build();
    let runtime = runtime.map_err(|error| Fail::failed(format!("cannot start threads: {error}")))?;
    // The port first: a port in use is known before the model is loaded.
    let listener = runtime.block_on(TcpListener::bind(address)).map_err(|error| unbound(address, &error))?;
    let bound = listener.local_addr().map_err(|error| unbound(address, &error))?;
    let model = NamedModel::open(args.model.as_deref(), &args.machine, &args.running)?
        .starting(&args.start)?
        .guessing(&args.guess)?;
    let mut card = Card::of(&model, args.model.as_deref())?;
    let adapters = adapters(&args.adapter, &model, &mut card)?;
    log::begin(args.log);
    log::panics();
    let metrics = Metrics::new();
    let settings = Settings {
        slots: args.limits.batch.into(),
        cache_bytes: cache_bytes(&model, args.limits.cache_memory, args.limits.batch.into())?,
        ..Settings::default()
    };
    let model = Arc::new(model);
    let explainer = Explainer::start(model.clone(), card.id.clone(), watched(args)?)?;
    let engine = Engine::start(model, settings, args.limits.queue.into(), metrics.gauges.clone(), adapters)?;
    let service = Arc::new(Service {
        grammars: Grammars::new(&card),
        card,
        engine,
        explainer,
        metrics,
        guard,
        created: random::now(),
        timeout: Duration::from_secs(args.limits.timeout),
        lookup: args.guess.lookup.into(),
        log_prompts: args.log_prompts,
        phase: watch::Sender::new(Phase::Open),
        busy: Arc::default(),
    });
    let limits = Limits {
        body: usize::try_from(args.limits.max_body << 10).unwrap_or(usize::MAX),
        connections: args.limits.connections as usize,
        grace: Duration::from_secs(args.limits.grace),
    };
    tell(&args.host, bound, tls.is_some())?;
    runtime.block_on(listen::serve(listener, tls, service, limits));
    // The engine's thread may be in a long pass, which nobody waits for any more.
    runtime.shutdown_background();
    Ok(())
}

/// Opens the adapters, and adds their names to the card.
fn adapters(
    named: &[(String, PathBuf)],
    model: &NamedModel,
    card: &mut Card,
) -> Result<Vec<Arc<Adapter<Cpu>>>, Fail> {
    let (_, plan) = Gpt::plan(model.config());
    let mut adapters = Vec::with_capacity(named.len());
    for (name, dir) in named {
        if card.names().contains(&name.as_str()) {
            return Err(Fail::asked(format!("--adapter: the name {name:?} is taken; give another one")));
        }
        let stored = file::open(dir, model.config(), &plan)?;
        adapters.push(Arc::new(Adapter::load(model.backend(), &stored)?));
        card.adapters.push(Tuned { id: name.clone(), digest: card::digest(dir.to_str())? });
    }
    Ok(adapters)
}

/// The run that the page shows: the one asked for, or the one that the model comes from.
fn watched(args: &ServeArgs) -> Result<Option<PathBuf>, Fail> {
    let is_run = |folder: &Path| folder.join("train").is_dir();
    match &args.run {
        Some(folder) if is_run(folder) => Ok(Some(folder.clone())),
        Some(folder) => Err(Fail::asked(format!(
            "--run: {} holds no run; name a folder that glass train --out writes",
            folder.display()
        ))),
        None => Ok(args.model.as_deref().map(PathBuf::from).filter(|folder| is_run(folder))),
    }
}

/// Where to listen.
fn address(host: &str, port: u16) -> Result<SocketAddr, Fail> {
    let name = host.trim_start_matches('[').trim_end_matches(']');
    if let Ok(ip) = name.parse::<IpAddr>() {
        return Ok((ip, port).into());
    }
    let found = (name, port).to_socket_addrs().ok().and_then(|mut found| found.next());
    found.ok_or_else(|| {
        Fail::asked(format!("--host: {host:?} is not an address of this machine; give one, as in 127.0.0.1"))
    })
}

fn unbound(address: SocketAddr, error: &std::io::Error) -> Fail {
    use std::io::ErrorKind;
    match error.kind() {
        ErrorKind::AddrInUse => Fail::asked(format!(
            "--port: {} is in use by another program; give another port, or 0 for a free one",
            address.port()
        )),
        ErrorKind::PermissionDenied => {
            Fail::asked(format!("--port: {} needs permission; give a port of at least 1024", address.port()))
        }
        ErrorKind::AddrNotAvailable => {
            Fail::asked(format!("--host: {} is not an address of this machine", address.ip()))
        }
        _ => Fail::failed(format!("cannot listen on {address}: {}", glass::reason(error))),
    }
}

/// The address on standard output, and what is there on standard error.
fn tell(host: &str, bound: SocketAddr, tls: bool) -> Result<(), Fail> {
    let scheme = if tls { "https" } else { "http" };
    let name = match host.parse::<IpAddr>() {
        Ok(ip) if ip.is_unspecified() => "localhost".to_string(),
        Ok(ip) if ip.is_ipv6() => format!("[{ip}]"),
        _ => host.to_string(),
    };
    let url = format!("{scheme}://{name}:{}", bound.port());
    say(&format!("ready: open {url}/ in a browser, or use {url}/v1 in a client; {url}/docs describes it"));
    let mut out = Out::new();
    writeln!(out, "{url}")?;
    out.done()
}
