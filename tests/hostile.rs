//! Clients that hold connections and give nothing: they are closed, and shut nobody else out meanwhile.

use crate::support::client::{As, Client, WRITE_KEY};
use crate::support::server::{Server, Site};
use crate::support::traffic::SHOP;
use crate::support::wait::{SOON, equal, eventually};
use reqwest::Method;
use serde_json::json;
use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

fn site(settings: &str) -> (Site, Server) {
    let site = Site::new(SHOP);
    site.configure(&format!("[http]\n{settings}\n"));
    let server = site.start();
    (site, server)
}

/// Opens a connection and sends so much.
fn open(client: &Client, said: &[u8]) -> TcpStream {
    let address = client.base().strip_prefix("http://").unwrap();
    let mut socket = TcpStream::connect(address).unwrap();
    socket.write_all(said).unwrap();
    socket
}

/// An honest client sends an event, and is answered in good time.
#[track_caller]
fn assert_served(client: &Client, within: Duration) {
    let started = Instant::now();
    let event = json!({ "userId": "u1", "event": "Order Completed", "properties": { "total": 1 } }).to_string();
    let answer = client.request(Method::POST, "/v1/track", As::Basic(WRITE_KEY), &[], event.into_bytes()).unwrap();
    answer.ok();
    assert!(started.elapsed() < within, "it took {:?}", started.elapsed());
}

/// What a server still says to a connection before it closes it.
#[track_caller]
fn rest(socket: &mut TcpStream) -> String {
    socket.set_read_timeout(Some(SOON)).unwrap();
    let mut said = Vec::new();
    match socket.read_to_end(&mut said) {
        Ok(_) => {}
        Err(error) if error.kind() == ErrorKind::ConnectionReset => {}
        Err(error) => panic!("it is not closed: {error}"),
    }
    String::from_utf8_lossy(&said).into_owned()
}

#[test]
fn a_connection_that_says_nothing_is_closed_whatever_it_began_with() {
    let (_site, server) = site("idle_timeout = \"300 ms\"\nrequest_timeout = \"500 ms\"");
    let beginnings: [&[u8]; 4] = [
        b"",
        b"POST /v1/track HTTP/1.1\r\nhost: x\r\nauthoriza",
        b"POST /v1/batch HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n",
        b"GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n",
    ];
    for beginning in beginnings {
        let said = rest(&mut open(&server.client, beginning));
        let is_answered = beginning.ends_with(b"\r\n\r\n");
        assert_eq!(said.starts_with("HTTP/1.1 "), is_answered, "{said}");
    }
}

#[test]
fn more_connections_than_there_may_be_wait_and_are_served_in_their_turn() {
    let (_site, server) = site("idle_timeout = \"500 ms\"\nmax_connections = 20");
    let silent: Vec<TcpStream> = (0..60).map(|_| open(&server.client, b"")).collect();
    // Three times as many as there may be are before it.
    assert_served(&server.client, SOON);
    drop(silent);
    eventually("the places are free again", SOON, || {
        let connections = server.client.metric("tributary_http_connections", &[]);
        if connections <= 2.0 { Ok(()) } else { Err(connections) }
    });
}

#[test]
fn a_connection_must_bring_a_first_request_soon() {
    let (_site, server) = site("idle_timeout = \"60 min\"\nrequest_timeout = \"300 ms\"");
    assert_eq!(rest(&mut open(&server.client, b"GET /hea")), "");
    // One that has brought a request may take its time until the next.
    let mut used = open(&server.client, b"GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n");
    used.set_read_timeout(Some(Duration::from_secs(1))).unwrap();
    let mut answer = [0; 1_000];
    assert!(used.read(&mut answer).unwrap() > 0);
    let error = used.read(&mut answer).unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut), "it stays open: {error}");
}

#[test]
fn bodies_that_do_not_come_take_no_place_from_those_that_do() {
    let (_site, server) = site("max_requests = 4");
    let heads: [&[u8]; 2] = [
        b"POST /v1/batch HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n",
        b"POST /v1/track HTTP/1.1\r\nhost: x\r\ncontent-length: 9\r\n\r\n",
    ];
    let silent: Vec<TcpStream> = (0..300).map(|number| open(&server.client, heads[number % 2])).collect();
    for _ in 0..20 {
        assert_served(&server.client, SOON);
    }
    drop(silent);
}

#[test]
fn who_does_not_read_the_answers_is_cut_off() {
    let (_site, server) = site("idle_timeout = \"300 ms\"");
    let mut socket = open(&server.client, b"");
    socket.set_write_timeout(Some(Duration::from_secs(5))).unwrap();
    // Far more answers than buffers between the two can hold.
    let request = b"GET /openapi.json HTTP/1.1\r\nhost: x\r\n\r\n".repeat(100);
    let cut_off = (0..10_000).any(|_| socket.write_all(&request).is_err());
    assert!(cut_off, "it may ask without end");
    eventually("its connection is closed", SOON, || {
        equal(&server.client.metric("tributary_http_connections", &[]), &1.0)
    });
    assert_served(&server.client, SOON);
}

#[test]
fn headers_have_a_size_and_a_number() {
    let (_site, server) = site("");
    let long = format!("GET /healthz HTTP/1.1\r\nhost: x\r\nx: {}\r\n\r\n", "y".repeat(100_000));
    let many = format!("GET /healthz HTTP/1.1\r\nhost: x\r\n{}\r\n", "x: y\r\n".repeat(101));
    for request in [long, many] {
        let said = rest(&mut open(&server.client, request.as_bytes()));
        assert!(said.is_empty() || said.starts_with("HTTP/1.1 431 "), "{said}");
    }
    let usual = format!("GET /healthz HTTP/1.1\r\nhost: x\r\nconnection: close\r\nx: {}\r\n\r\n", "y".repeat(30_000));
    assert!(rest(&mut open(&server.client, usual.as_bytes())).starts_with("HTTP/1.1 200 "));
}

#[test]
fn a_stop_waits_for_no_half_request() {
    let (_site, server) = site("");
    let _half: Vec<TcpStream> =
        (0..5).map(|_| open(&server.client, b"POST /v1/track HTTP/1.1\r\nhost: x\r\n")).collect();
    server.stop();
}

/// The state must be able to open its files, whoever holds connections.
#[test]
fn connections_leave_files_for_the_state() {
    let site = Site::new(SHOP).with_open_files(600);
    let server = site.start();
    // More than are accepted; the others wait with the system.
    let silent: Vec<TcpStream> = (0..380).map(|_| open(&server.client, b"")).collect();
    let events: Vec<_> = (0..2_000)
        .map(|number| json!({ "type": "track", "userId": format!("u{number}"), "event": "Order Completed", "properties": { "total": 1 } }))
        .collect();
    drop(silent);
    let position = server.client.batches(&events);
    assert_eq!(server.client.count_at("buyers", &position), 2_000);
}
