//! An HTTP endpoint that keeps what comes as it came, and has its moods: it fails, stalls, wants to be left alone, or
//! is not there at all.

use super::runtime;
use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex};
use std::time::Instant;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};

const ACCEPTED: &str = "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n";
const UNAVAILABLE: &str = "HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\n\r\n";
const TOO_MANY: &str = "HTTP/1.1 429 Too Many Requests\r\nretry-after: 1\r\ncontent-length: 0\r\n\r\n";
const RUBBISH: &[u8] = b"\x16\x03\x01 no HTTP at all\r\n\r\n\x00\xff";

/// How it answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mood {
    /// 200 to all.
    Accepts,
    /// Of ten calls three, at random: 503, a connection that is reset, or rubbish.
    Fails,
    /// It takes calls and never answers.
    Stalls,
    /// 429 to all: it is to be left alone for a second.
    Limits,
}

/// One call.
#[derive(Clone, Debug)]
pub(crate) struct Call {
    /// When all of it had come.
    pub(crate) at: Instant,
    /// With its query.
    pub(crate) path: String,
    /// By their names in small letters.
    pub(crate) headers: BTreeMap<String, String>,
    pub(crate) body: Vec<u8>,
    /// Whether it was answered 200.
    pub(crate) is_accepted: bool,
}

impl Call {
    /// A header that has to be there.
    #[track_caller]
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).unwrap_or_else(|| panic!("no {name} in {:?}", self.headers))
    }
}

#[derive(Debug)]
struct State {
    mood: Mood,
    calls: Vec<Call>,
}

/// What a call is answered.
#[derive(Clone, Copy)]
enum Answer {
    Text(&'static str),
    Rubbish,
    Reset,
    Nothing,
}

impl State {
    fn answer(&mut self, call: Call) -> Answer {
        let answer = match self.mood {
            Mood::Accepts => Answer::Text(ACCEPTED),
            Mood::Stalls => Answer::Nothing,
            Mood::Limits => Answer::Text(TOO_MANY),
            Mood::Fails => match rand::random_range(0..10) {
                0 => Answer::Text(UNAVAILABLE),
                1 => Answer::Reset,
                2 => Answer::Rubbish,
                _ => Answer::Text(ACCEPTED),
            },
        };
        let is_accepted = matches!(answer, Answer::Text(ACCEPTED));
        // Before it is answered: whatever comes because of the answer comes later.
        self.calls.push(Call { is_accepted, ..call });
        answer
    }
}

/// The endpoint; it serves until the test process ends.
#[derive(Debug)]
pub(crate) struct Endpoint {
    /// `http://127.0.0.1:PORT`.
    pub(crate) base: String,
    state: Arc<Mutex<State>>,
    /// Its address, for as long as nobody listens there.
    absent: Mutex<Option<TcpSocket>>,
}

impl Endpoint {
    /// One that is there.
    pub(crate) fn start(mood: Mood) -> Self {
        let endpoint = Self::absent();
        endpoint.set(mood);
        endpoint.arrive();
        endpoint
    }

    /// One whose address is taken, so that nobody else gets it; but nobody listens there, and connections are refused.
    pub(crate) fn absent() -> Self {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let base = format!("http://{}", socket.local_addr().unwrap());
        let state = Arc::new(Mutex::new(State { mood: Mood::Accepts, calls: Vec::new() }));
        Self { base, state, absent: Mutex::new(Some(socket)) }
    }

    /// From now on it is there.
    pub(crate) fn arrive(&self) {
        let socket = self.absent.lock().unwrap().take().expect("it was not there before");
        let _context = runtime().enter();
        let listener = socket.listen(1_024).unwrap();
        let state = self.state.clone();
        runtime().spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                let state = state.clone();
                // Clients hang up as they like.
                tokio::spawn(async move { serve(socket, &state).await.ok() });
            }
        });
    }

    /// Changes how it answers from now on.
    pub(crate) fn set(&self, mood: Mood) {
        self.state.lock().unwrap().mood = mood;
    }

    /// All calls so far, in the order in which they came.
    pub(crate) fn calls(&self) -> Vec<Call> {
        self.state.lock().unwrap().calls.clone()
    }
}

async fn serve(mut socket: TcpStream, state: &Mutex<State>) -> io::Result<()> {
    let mut held = Vec::with_capacity(4_096);
    loop {
        let Some(call) = cut(&mut held) else {
            match socket.read_buf(&mut held).await? {
                0 => return Ok(()),
                _ => continue,
            }
        };
        let answer = state.lock().unwrap().answer(call);
        match answer {
            Answer::Text(text) => socket.write_all(text.as_bytes()).await?,
            Answer::Rubbish => return socket.write_all(RUBBISH).await,
            Answer::Reset => return socket.set_zero_linger(),
            Answer::Nothing => {
                // Until the client has had enough.
                while socket.read_buf(&mut held).await? > 0 {}
                return Ok(());
            }
        }
    }
}

/// Takes a whole call from the beginning of what has come.
fn cut(held: &mut Vec<u8>) -> Option<Call> {
    let head = held.windows(4).position(|bytes| bytes == b"\r\n\r\n")?;
    let text = std::str::from_utf8(&held[..head]).unwrap();
    let mut lines = text.split("\r\n");
    let path = lines.next()?.split(' ').nth(1)?.to_owned();
    let headers = lines.filter_map(|line| line.split_once(':'));
    let headers: BTreeMap<_, _> =
        headers.map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned())).collect();
    let length: usize = headers.get("content-length").map_or(0, |length| length.parse().unwrap());
    let end = head + 4 + length;
    if held.len() < end {
        return None;
    }
    let body = held[head + 4..end].to_vec();
    held.drain(..end);
    Some(Call { at: Instant::now(), path, headers, body, is_accepted: false })
}
