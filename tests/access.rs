//! Who gets in, over what, how often; and that it is written down.

use crate::support::client::{ADMIN_TOKEN, As, READ_TOKEN, WRITE_KEY, path_segment};
use crate::support::runtime;
use crate::support::server::{Server, Site};
use crate::support::tool;
use crate::support::traffic::SHOP;
use crate::support::wait::{SOON, eventually};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use reqwest::{Certificate, Identity, Method};
use serde_json::{Value, json};
use std::fs;
use std::time::Duration;

fn hello(user: &str) -> Value {
    json!({ "type": "track", "userId": user, "event": "Hello" })
}

fn read_as(server: &Server, token: &str) -> u16 {
    server.client.request(Method::GET, "/v1/segments", As::Bearer(token), &[], Vec::new()).unwrap().status
}

/// A token is made, its hash put into the settings, the server told, and the old token taken out.
#[test]
fn tokens_change_without_a_restart() {
    let site = Site::new(SHOP);
    let server = site.start();
    let made = tool::run(&mut crate::support::server::program(&["token"]));
    let (token, hash) = made.trim().split_once('\n').unwrap();
    assert_eq!(read_as(&server, token), 401);
    let with = |role: &str| format!("[[auth.tokens]]\nname = \"anna\"\nrole = \"{role}\"\ntoken = \"{hash}\"\n");
    site.configure(&with("read"));
    server.signal("HUP");
    eventually("the new token is known", SOON, || match read_as(&server, token) {
        200 => Ok(()),
        status => Err(status),
    });
    assert_eq!(read_as(&server, READ_TOKEN), 200, "the others still are");
    // Whoever administers under a name of their own has their token in the environment of the command line.
    site.configure(&with("admin"));
    let mut check = site.command("check");
    let output = check.env("TRIBUTARY_ADMIN_TOKEN", token).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    // A mistake changes nothing.
    site.configure(&with("reader"));
    server.signal("HUP");
    eventually("the mistake is told", SOON, || match server.last_words().contains("`reader` is unknown") {
        true => Ok(()),
        false => Err("not yet"),
    });
    assert_eq!(read_as(&server, token), 200);
    site.configure("");
    server.signal("HUP");
    eventually("the token is known no more", SOON, || match read_as(&server, token) {
        401 => Ok(()),
        status => Err(status),
    });
}

#[test]
fn what_may_change_something_is_written_down() {
    let site = Site::new(SHOP);
    let server = site.start();
    server.client.batch(&[hello("u1")]);
    server.client.state("link", "user_id:u1", "user_id:u2");
    server.client.delete(&format!("/v1/identifiers/{}?reason=asked", path_segment("user_id:u1")));
    let refused = server.client.request(Method::DELETE, "/v1/segments/vip", As::Bearer(READ_TOKEN), &[], Vec::new());
    assert_eq!(refused.unwrap().error(403), "not_allowed");
    // Nobody known, and nothing that changes.
    server.client.request(Method::DELETE, "/v1/segments/vip", As::Bearer("guess"), &[], Vec::new()).unwrap().error(401);
    server.client.read_post("/v1/segments/preview", &json!({ "where": "true" }));
    server.client.get("/v1/audit").error(403);
    let audit = |server: &Server| {
        let answer = server.client.request(Method::GET, "/v1/audit", As::Bearer(ADMIN_TOKEN), &[], Vec::new());
        let entries = answer.unwrap().ok()["audit"].as_array().unwrap().clone();
        let line = |entry: &Value| {
            assert_eq!(entry["from"], "127.0.0.1");
            let word = |field: &str| entry[field].as_str().unwrap().to_owned();
            format!("{} {} {} {}", word("who"), word("method"), word("path"), entry["status"])
        };
        entries.iter().map(line).collect::<Vec<_>>()
    };
    let expected = [
        "read DELETE /v1/segments/vip 403",
        "admin DELETE /v1/identifiers/user_id:u1?reason=asked 200",
        "admin POST /v1/identity/link 200",
    ];
    assert_eq!(audit(&server), expected);
    // Which customer it was about stands there, and not in what is logged.
    let said = server.last_words();
    assert!(said.contains("/v1/identifiers/{identifier}") && !said.contains("user_id:u1"), "{said}");
    server.kill();
    let server = site.start();
    assert_eq!(audit(&server), expected, "it was on the disk before the answer");
    server.client.state("unlink", "user_id:u3", "user_id:u2");
    assert_eq!(audit(&server)[0], "admin POST /v1/identity/unlink 200");
}

#[test]
fn who_sends_too_much_is_told_when_to_come_again_and_nobody_else_is() {
    let site = Site::new(SHOP);
    site.configure("[auth]\nwrite_keys = [{ key = \"slow\", source = \"slow\", rate = 1 }, \"quick\"]\n");
    let site = site.without("TRIBUTARY_WRITE_KEYS");
    let server = site.start();
    let send = |key: &str, count: usize| {
        let events: Vec<Value> = (0..count).map(|n| hello(&format!("u{n}"))).collect();
        let body = json!({ "batch": events }).to_string().into_bytes();
        server.client.request(Method::POST, "/v1/batch", As::Basic(key), &[], body).unwrap()
    };
    send("slow", 2_500).ok();
    let refused = send("slow", 100);
    assert_eq!(refused.error(429), "rate_limited");
    let wait: u64 = refused.headers["retry-after"].to_str().unwrap().parse().unwrap();
    assert!((90..=100).contains(&wait), "{wait}");
    for _ in 0..3 {
        send("quick", 1_000).ok();
    }
    assert_eq!(server.client.metric("tributary_rate_limited_total", &["who=\"slow\""]), 1.0);
}

/// A certificate in PEM, its key in PEM, and what signs others with it.
struct Signed {
    certificate: String,
    key: String,
}

fn authority(name: &str) -> (Issuer<'static, KeyPair>, String) {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.distinguished_name.push(rcgen::DnType::CommonName, name);
    let key = KeyPair::generate().unwrap();
    let certificate = params.self_signed(&key).unwrap().pem();
    (Issuer::new(params, key), certificate)
}

fn sign(issuer: &Issuer<'static, KeyPair>, name: &str) -> Signed {
    let key = KeyPair::generate().unwrap();
    let params = CertificateParams::new(vec![name.to_owned(), "127.0.0.1".to_owned()]).unwrap();
    Signed { certificate: params.signed_by(&key, issuer).unwrap().pem(), key: key.serialize_pem() }
}

fn get(base: &str, trusts: &str, shows: Option<&Signed>) -> Result<u16, String> {
    let mut client = reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(10));
    client = client.tls_certs_only([Certificate::from_pem(trusts.as_bytes()).unwrap()]);
    if let Some(Signed { certificate, key }) = shows {
        client = client.identity(Identity::from_pkcs8_pem(certificate.as_bytes(), key.as_bytes()).unwrap());
    }
    let client = client.build().unwrap();
    let sent = runtime().block_on(async { client.get(format!("{base}/healthz")).send().await });
    sent.map(|answer| answer.status().as_u16()).map_err(|error| format!("{error:?}"))
}

#[test]
fn clients_come_over_tls_and_show_a_certificate_where_they_must() {
    let site = Site::new(SHOP);
    let (ours, our_ca) = authority("ours");
    let (theirs, their_ca) = authority("theirs");
    let server_certificate = sign(&ours, "localhost");
    let put = |name: &str, text: &str| fs::write(site.path(name), text).unwrap();
    put("tls.crt", &server_certificate.certificate);
    put("tls.key", &server_certificate.key);
    put("clients.crt", &their_ca);
    let settings = "[http.tls]\ncertificate = \"tls.crt\"\nkey = \"tls.key\"\n";
    site.configure(settings);
    let mut process = site.spawn();
    let base = process.listening_securely(SOON).unwrap();
    assert_eq!(get(&base, &our_ca, None), Ok(200));
    get(&base, &their_ca, None).expect_err("the server is nobody whom they trust");
    get(&base.replace("https", "http"), &our_ca, None).expect_err("nothing is said in the clear");
    // The browser's library is told to go on as it came.
    let client = reqwest::Client::builder().tls_certs_only([Certificate::from_pem(our_ca.as_bytes()).unwrap()]);
    let settings_of = format!("{base}/v1/projects/{WRITE_KEY}/settings");
    let told: Value = runtime().block_on(async {
        let answer = client.no_proxy().build().unwrap().get(settings_of).send().await.unwrap();
        serde_json::from_slice(&answer.bytes().await.unwrap()).unwrap()
    });
    assert_eq!(told["integrations"]["Segment.io"]["protocol"], "https");

    // A renewed certificate is taken over without a start.
    let renewed = sign(&theirs, "localhost");
    put("tls.crt", &renewed.certificate);
    put("tls.key", &renewed.key);
    process.signal("HUP");
    eventually("the renewed certificate is shown", SOON, || get(&base, &their_ca, None).map(drop));
    process.assert_alive();
    drop(process);

    site.configure(&format!("{settings}client_ca = \"clients.crt\"\n"));
    let process = site.spawn();
    let base = process.listening_securely(SOON).unwrap();
    assert_eq!(get(&base, &their_ca, Some(&sign(&theirs, "client"))), Ok(200));
    get(&base, &their_ca, None).expect_err("it shows none");
    get(&base, &their_ca, Some(&sign(&ours, "client"))).expect_err("it shows one of somebody else");
    drop(process);

    put("tls.key", &sign(&ours, "localhost").key);
    let process = site.spawn();
    process.listening_securely(SOON).expect_err("it must not serve");
    assert!(process.last_words().contains("do not go together"), "{}", process.last_words());
}

/// Over TLS too, a connection that says nothing is closed.
#[test]
fn a_handshake_must_come_soon() {
    use std::io::Read;
    let site = Site::new(SHOP);
    let (ours, _) = authority("ours");
    let Signed { certificate, key } = sign(&ours, "localhost");
    fs::write(site.path("tls.crt"), certificate).unwrap();
    fs::write(site.path("tls.key"), key).unwrap();
    site.configure("[http]\nrequest_timeout = \"300 ms\"\n[http.tls]\ncertificate = \"tls.crt\"\nkey = \"tls.key\"\n");
    let process = site.spawn();
    let base = process.listening_securely(SOON).unwrap();
    let mut socket = std::net::TcpStream::connect(base.strip_prefix("https://").unwrap()).unwrap();
    socket.set_read_timeout(Some(SOON)).unwrap();
    assert_eq!(socket.read(&mut [0; 16]).unwrap_or(0), 0, "it is closed");
}
