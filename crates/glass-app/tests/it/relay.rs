//! Stands between the browser and a service, and breaks what comes from it: a service on this machine answers too quickly
//! for a test to end it in the middle of an answer.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::thread::{sleep, spawn};
use std::time::Duration;

/// Everything passes.
pub const WHOLE: u8 = 0;
/// Streams of events are held in the middle until the mode changes, and then cut.
pub const HOLDING: u8 = 1;
/// Nobody is there.
pub const GONE: u8 = 2;

/// A relay to a service. Its thread ends with the program.
pub struct Relay {
    pub url: String,
    mode: Arc<AtomicU8>,
}

impl Relay {
    pub fn to(service: u16) -> Relay {
        let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a free port");
        let url = format!("http://{}/", listener.local_addr().expect("it is bound"));
        let mode = Arc::new(AtomicU8::new(WHOLE));
        let ours = mode.clone();
        spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                let mode = ours.clone();
                // A connection that is dropped at once looks like a service that is not there.
                if mode.load(Ordering::SeqCst) != GONE
                    && let Ok(server) = TcpStream::connect(("127.0.0.1", service))
                {
                    spawn(move || join(&client, &server, &mode));
                }
            }
        });
        Relay { url, mode }
    }

    pub fn set(&self, mode: u8) {
        self.mode.store(mode, Ordering::SeqCst);
    }
}

/// Copies both ways until one side ends.
fn join(client: &TcpStream, server: &TcpStream, mode: &AtomicU8) {
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let _ = std::io::copy(&mut &*client, &mut &*server);
            let _ = server.shutdown(Shutdown::Both);
        });
        let mut piece = vec![0; 1024];
        let mut events = None;
        while let Ok(length @ 1..) = (&mut &*server).read(&mut piece) {
            if mode.load(Ordering::SeqCst) == GONE || (&mut &*client).write_all(&piece[..length]).is_err() {
                break;
            }
            let text = String::from_utf8_lossy(&piece[..length]);
            // The page's own files came over the same connection, and may speak of data too.
            if text.contains("text/event-stream") {
                events = Some(0);
            }
            let here = text.matches("data: ").count();
            events = events.map(|before: usize| before + here);
            if mode.load(Ordering::SeqCst) == HOLDING && events.is_some_and(|events| events > 3) {
                // A browser drops what the page has not read when a stream breaks off.
                while mode.load(Ordering::SeqCst) == HOLDING {
                    sleep(Duration::from_millis(10));
                }
                break;
            }
        }
        let _ = client.shutdown(Shutdown::Both);
        let _ = server.shutdown(Shutdown::Both);
    });
}
