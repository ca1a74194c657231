//! Clients that read profiles by the clock, over connections that stay open, with as little work of their own as can be.

use crate::support::events::{CUSTOMERS, user};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

/// Connections; each has its share of the requests.
const CONNECTIONS: usize = 32;
const LONGEST: Duration = Duration::from_secs(10);

/// Reads profiles at a rate for so long; gives what each took from when it was due, sorted.
pub(crate) fn run(base: &str, rate: f64, lasting: Duration) -> Vec<Duration> {
    let address = base.trim_start_matches("http://");
    let each = Duration::from_secs_f64(CONNECTIONS as f64 / rate);
    let start = Instant::now() + Duration::from_millis(100);
    let requests = (lasting.as_secs_f64() / each.as_secs_f64()) as usize;
    // Threads: the clock of an asynchronous runtime has a tick of a millisecond.
    let lane = |lane: usize| {
        let start = start + each.mul_f64(lane as f64 / CONNECTIONS as f64);
        let mut stream = TcpStream::connect(address).unwrap();
        stream.set_nodelay(true).unwrap();
        stream.set_read_timeout(Some(LONGEST)).unwrap();
        let mut answer = Vec::new();
        let read = |number: usize| {
            let due = start + each.mul_f64(number as f64);
            std::thread::sleep(due.saturating_duration_since(Instant::now()));
            // A stride that meets everybody, in no order that caches know.
            let customer = (number * CONNECTIONS + lane) * 48_271 % CUSTOMERS;
            let target = format!("/v1/profiles/user_id:{}", user(customer));
            write!(stream, "GET {target} HTTP/1.1\r\nhost: {address}\r\n\r\n").unwrap();
            take(&mut stream, &mut answer);
            due.elapsed()
        };
        (0..requests).map(read).collect::<Vec<_>>()
    };
    let mut times: Vec<Duration> = std::thread::scope(|scope| {
        let lanes: Vec<_> = (0..CONNECTIONS).map(|number| scope.spawn(move || lane(number))).collect();
        lanes.into_iter().flat_map(|lane| lane.join().unwrap()).collect()
    });
    times.sort_unstable();
    times
}

/// Takes one answer, which has to be a profile.
fn take(stream: &mut TcpStream, answer: &mut Vec<u8>) {
    answer.clear();
    let mut piece = [0; 16 << 10];
    loop {
        let read = stream.read(&mut piece).unwrap();
        assert!(read > 0, "the server has closed the connection");
        answer.extend_from_slice(&piece[..read]);
        let Some(head) = answer.windows(4).position(|bytes| bytes == b"\r\n\r\n") else { continue };
        let text = std::str::from_utf8(&answer[..head]).unwrap();
        assert!(text.starts_with("HTTP/1.1 200"), "{text}");
        let length = text.lines().find_map(|line| line.strip_prefix("content-length: ")).unwrap();
        if answer.len() >= head + 4 + length.parse::<usize>().unwrap() {
            return;
        }
    }
}
