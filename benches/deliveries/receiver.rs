//! A receiver of webhooks and notifications with as little work of its own as can be: it finds the end of each request
//! and the number of its message, notes when that came first, and answers.

use memchr::memmem;
use std::io;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// Messages of all runs together.
const MOST: usize = 4_000_000;
/// What stands before a message's number, wherever its kind of destination has it.
pub(crate) const MARK: &str = "message-";
const TAKEN: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n";
/// Where FCM's access tokens come from.
const TOKENS: &[u8] = b"POST /token ";
const TOKEN: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 42\r\n\r\n\
    {\"access_token\":\"token\",\"expires_in\":3600}";
/// Past this something is broken.
const LONGEST: Duration = Duration::from_secs(240);
const POLL: Duration = Duration::from_millis(10);

/// The receiver; it serves until the bench ends.
#[derive(Clone, Debug)]
pub(crate) struct Receiver {
    /// `http://ADDR`.
    pub(crate) base: String,
    started: Instant,
    /// Nanoseconds since `started` at which each message came first; 0 for never.
    arrived: Arc<Vec<AtomicU64>>,
}

impl Receiver {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        let arrived = Arc::new((0..MOST).map(|_| AtomicU64::new(0)).collect());
        let receiver = Self { base, started: Instant::now(), arrived };
        let serving = receiver.clone();
        tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                let receiver = serving.clone();
                // A server that is killed hangs up.
                tokio::spawn(async move { receiver.serve(socket).await.ok() });
            }
        });
        receiver
    }

    /// A time as its clock tells it.
    pub(crate) fn at(&self, instant: Instant) -> u64 {
        instant.saturating_duration_since(self.started).as_nanos() as u64
    }

    /// When a message came, by its clock; 0 for not yet.
    pub(crate) fn arrived(&self, message: usize) -> u64 {
        self.arrived[message].load(Ordering::Relaxed)
    }

    /// Waits until messages are there; gives how many never came.
    pub(crate) async fn await_all(&self, messages: Range<usize>) -> usize {
        let deadline = Instant::now() + LONGEST;
        let mut missing: Vec<usize> = messages.collect();
        while !missing.is_empty() && Instant::now() < deadline {
            tokio::time::sleep(POLL).await;
            missing.retain(|message| self.arrived(*message) == 0);
        }
        missing.len()
    }

    async fn serve(&self, mut socket: TcpStream) -> io::Result<()> {
        socket.set_nodelay(true)?;
        let (mut held, mut answers) = (Vec::with_capacity(16 << 10), Vec::new());
        while socket.read_buf(&mut held).await? > 0 {
            let taken = self.take(&held, &mut answers);
            held.drain(..taken);
            socket.write_all(&answers).await?;
            answers.clear();
        }
        Ok(())
    }

    /// Takes the whole requests at the beginning of what has come; gives how long they are.
    fn take(&self, held: &[u8], answers: &mut Vec<u8>) -> usize {
        let mut taken = 0;
        while let Some(head) = memmem::find(&held[taken..], b"\r\n\r\n") {
            let body = taken + head + 4;
            let end = body + number_after(&held[taken..body], b"content-length: ").unwrap_or(0);
            let Some(request) = held.get(taken..end) else { break };
            if request.starts_with(TOKENS) {
                answers.extend_from_slice(TOKEN);
            } else {
                let message = number_after(request, MARK.as_bytes()).expect("each message has a number");
                let at = self.at(Instant::now());
                self.arrived[message].compare_exchange(0, at, Ordering::Relaxed, Ordering::Relaxed).ok();
                answers.extend_from_slice(TAKEN);
            }
            taken = end;
        }
        taken
    }
}

fn number_after(bytes: &[u8], mark: &[u8]) -> Option<usize> {
    let digits = &bytes[memmem::find(bytes, mark)? + mark.len()..];
    let digits = digits.iter().take_while(|byte| byte.is_ascii_digit());
    Some(digits.fold(0, |number, digit| number * 10 + usize::from(digit - b'0')))
}
