//! Connections: their number, their time limits, and how the service ends.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::time::{Instant, sleep, timeout};
use tokio_rustls::TlsAcceptor;

use super::guard::HEAD_BYTES;
use super::patient::Patient;
use super::router::router;
use super::state::{Phase, Shared};
use crate::fail::say;

/// Limits that are not of the model.
#[derive(Clone, Copy)]
pub struct Limits {
    /// Bytes of a body.
    pub body: usize,
    /// Connections at the same time.
    pub connections: usize,
    /// How long running requests get at the end.
    pub grace: Duration,
}

/// How long the head of a request may take, and a TLS handshake.
const HEAD: Duration = Duration::from_secs(30);

/// How long answers that are ended may take to be written.
const LAST: Duration = Duration::from_secs(2);

/// Takes connections until the service has ended.
pub async fn serve(listener: TcpListener, tls: Option<TlsAcceptor>, service: Shared, limits: Limits) {
    let router = router(service.clone(), limits.body);
    let places = Arc::new(Semaphore::new(limits.connections));
    let (close, closing) = watch::channel(false);
    let mut ended = std::pin::pin!(drained(service, limits.grace));
    loop {
        let place = tokio::select! {
            place = places.clone().acquire_owned() => place,
            () = &mut ended => break,
        };
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = &mut ended => break,
        };
        let Ok((stream, _)) = accepted else {
            // Too many open files, or a client that left already.
            sleep(Duration::from_millis(20)).await;
            continue;
        };
        let (router, tls, closing) = (router.clone(), tls.clone(), closing.clone());
        tokio::spawn(async move {
            accept(stream, tls, router, closing).await;
            drop(place);
        });
    }
    // Answers are written to their ends; idle connections are closed.
    let _ = close.send(true);
    let all = places.acquire_many(limits.connections as u32);
    let _ = timeout(LAST, all).await;
}

async fn accept(stream: TcpStream, tls: Option<TlsAcceptor>, router: Router, closing: watch::Receiver<bool>) {
    // A token is sent when it is there.
    let _ = stream.set_nodelay(true);
    match tls {
        None => connection(stream, router, closing).await,
        Some(tls) => {
            if let Ok(Ok(stream)) = timeout(HEAD, tls.accept(stream)).await {
                connection(stream, router, closing).await;
            }
        }
    }
}

async fn connection<S: AsyncRead + AsyncWrite + Unpin>(
    stream: S,
    router: Router,
    mut closing: watch::Receiver<bool>,
) {
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(HEAD).max_buf_size(2 * HEAD_BYTES);
    let served = http.serve_connection(TokioIo::new(Patient::new(stream)), TowerToHyperService::new(router));
    let mut served = std::pin::pin!(served);
    tokio::select! {
        _ = served.as_mut() => return,
        _ = closing.wait_for(|closing| *closing) => {}
    }
    served.as_mut().graceful_shutdown();
    let _ = served.await;
}

/// Ends once the service was told to stop and its answers are done, or their time is over.
async fn drained(service: Shared, grace: Duration) {
    told_to_stop().await;
    let busy = || service.busy.load(Ordering::SeqCst);
    service.phase.send_replace(Phase::Draining);
    say(&format!("stopping: {} answers are being written; once more ends them at once", busy()));
    tokio::spawn(async {
        told_to_stop().await;
        std::process::exit(130);
    });
    let until = Instant::now() + grace;
    while busy() > 0 && Instant::now() < until {
        sleep(Duration::from_millis(20)).await;
    }
    service.phase.send_replace(Phase::Ending);
    let until = Instant::now() + LAST;
    while busy() > 0 && Instant::now() < until {
        sleep(Duration::from_millis(20)).await;
    }
}

/// Waits for Ctrl-C or SIGTERM.
async fn told_to_stop() {
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        if let Ok(mut terminate) = signal(SignalKind::terminate()) {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = tokio::signal::ctrl_c() => {}
            }
            return;
        }
    }
    let _ = tokio::signal::ctrl_c().await;
}
