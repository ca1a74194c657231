//! What may stand in `tributary.toml` and the environment, and what is said of a mistake.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

use super::*;
use tributary_connectors::log::OnTruncated;

fn read_with(toml: &str, variables: &Variables) -> Result<ServerConfig, Vec<String>> {
    let mistakes = Mistakes::default();
    let config = read(Some(&Source::file("t.toml", toml)), variables, &mistakes);
    let told: Vec<String> = mistakes.into_sorted().iter().map(ToString::to_string).collect();
    assert!(config.is_some() || !told.is_empty(), "nothing is said of what is wrong");
    if told.is_empty() { Ok(config.unwrap()) } else { Err(told) }
}

fn good(toml: &str) -> ServerConfig {
    read_with(toml, &Variables::default()).expect("no mistake")
}

#[track_caller]
fn check(toml: &str, expected: &[&str]) {
    assert_eq!(read_with(toml, &Variables::default()).err().unwrap_or_default(), expected);
}

#[track_caller]
fn check_environment<const N: usize>(variables: [(&str, &str); N], expected: &[&str]) {
    assert_eq!(read_with("", &variables.into()).err().unwrap_or_default(), expected);
}

#[test]
fn the_shipped_file_is_the_defaults() {
    let config = ServerConfig::defaults(&Variables::default()).unwrap();
    assert_eq!(config.http.addr, "127.0.0.1:8080".parse().unwrap());
    assert_eq!(config.data.dir, PathBuf::from("./data"));
    assert_eq!(config.data.block_cache, 256 << 20);
    assert_eq!(config.engine.dedupe_horizon, 7 * DAY);
    assert_eq!(config.log.kind, LogKind::Embedded);
    assert_eq!(config.log.kafka.topic, "tributary-events");
    assert_eq!(config.telemetry.level, tracing::Level::INFO);
    assert!(config.engine.workers >= 1);
}

#[test]
fn a_file_needs_only_what_it_changes() {
    let config = good("[http]\naddr = \"0.0.0.0:80\"\n[log]\nretention_age = \"2 days\"");
    assert_eq!(config.http.addr.port(), 80);
    assert_eq!(config.http.max_requests, 1024);
    assert_eq!(config.log.retention_age, 2 * DAY);
}

#[test]
fn customers_reach_the_server_at_an_address_of_its_own() {
    assert_eq!(good("").http.public_url, None);
    let config = good("[http]\npublic_url = \"https://cdp.example.com/tributary/\"");
    assert_eq!(config.http.public_url.as_deref(), Some("https://cdp.example.com/tributary"));
    for wrong in
        ["cdp.example.com", "ftp://cdp.example.com", "https://me@cdp.example.com", "https://cdp.example.com/?a=b"]
    {
        let told = format!(
            "t.toml:2:14: http.public_url: `{wrong}` is no address of this server; write one such as \
             https://cdp.example.com"
        );
        check(&format!("[http]\npublic_url = \"{wrong}\""), &[told.as_str()]);
    }
}

#[test]
fn the_environment_overrides_the_file() {
    let variables = Variables::from([
        ("TRIBUTARY_HTTP_ADDR", "[::1]:9000"),
        ("TRIBUTARY_DATA_DIR", "/var/lib/tributary"),
        ("TRIBUTARY_WORKERS", "3"),
        ("TRIBUTARY_LOG", "kafka"),
        ("TRIBUTARY_KAFKA_BOOTSTRAP_SERVERS", "a:9092,b:9092"),
        ("TRIBUTARY_KAFKA_TOPIC", "events"),
    ]);
    let config = read_with("[http]\naddr = \"127.0.0.1:1\"\n[engine]\nworkers = 1", &variables).unwrap();
    assert_eq!(config.http.addr, "[::1]:9000".parse().unwrap());
    assert_eq!(config.data.dir, PathBuf::from("/var/lib/tributary"));
    assert_eq!(config.engine.workers, 3);
    assert_eq!(config.log.kind, LogKind::Kafka);
    assert_eq!(config.log.kafka.bootstrap_servers.as_deref(), Some("a:9092,b:9092"));
    assert_eq!(config.log.kafka.topic, "events");
}

#[test]
fn all_mistakes_are_told_at_once_each_with_its_place_and_mend() {
    check(
        "[http]\nadr = \"x\"\naddr = \"localhost\"\nmax_requests = 0\n[engine]\nworkers = \"four\"\nepoch_records = \
         1.5\n\
         [log]\nkind = \"kafak\"\n[data]\ndir = 5\nhistory_retention = 90\nblock_cache = \"1 KB\"\n[nonsense]\n",
        &[
            "t.toml:2:1: http.adr: there is no such field; did you mean `addr`?",
            "t.toml:3:8: http.addr: `localhost` is no address; write an IP address and a port, such as \
             127.0.0.1:8080",
            "t.toml:4:16: http.max_requests: 0 is out of range; write a whole number from 1 to 1000000",
            "t.toml:6:11: engine.workers: write a number of threads without quotes, or \"auto\"",
            "t.toml:7:17: engine.epoch_records: this is a number; write a whole number from 1 to 1000000",
            "t.toml:9:8: log.kind: `kafak` is unknown; did you mean `kafka`?",
            "t.toml:11:7: data.dir: this is a number; a text is needed: put it in quotes",
            "t.toml:12:21: data.history_retention: this is a number; write a time with its unit, in quotes, such as \
             \"7 days\"",
            "t.toml:13:15: data.block_cache: 1 KB is out of range; write a size from 1 MiB to 1 TiB",
            "t.toml:14:2: nonsense: there is no such field; known are http, auth, data, engine, log, telemetry, \
             sources",
        ],
    );
}

#[test]
fn syntax_errors_have_a_line_and_hide_nothing_of_the_environment() {
    let told = read_with("[http]\naddr = \n", &[("TRIBUTARY_LOG", "disk")].into()).unwrap_err();
    assert_eq!(told[0], "environment variable TRIBUTARY_LOG: log.kind: `disk` is unknown; known are embedded, kafka");
    assert!(told[1].starts_with("t.toml:2:"), "{told:?}");
    assert!(told[1].contains("this is no valid TOML: "), "{told:?}");
    assert_eq!(told.len(), 2);
}

#[test]
fn a_mistaken_variable_is_named() {
    check_environment(
        [("TRIBUTARY_WORKERS", "0"), ("TRIBUTARY_KAFKA_BOOTSTRAP_SERVERS", "kafka")],
        &[
            "environment variable TRIBUTARY_KAFKA_BOOTSTRAP_SERVERS: log.kafka.bootstrap_servers: `kafka` is no list \
             of \
             servers; write host:port, several with commas between",
            "environment variable TRIBUTARY_WORKERS: engine.workers: 0 is out of range; write a whole number from 1 \
             to 256",
        ],
    );
}

#[test]
fn write_keys_are_plain_or_name_their_source() {
    let variables = Variables::from([("WEB_KEY", "w3b")]);
    let toml = "[auth]\nwrite_keys = [\"0123456789abcdef\", { key = \"env:WEB_KEY\", source = \"web\" }]";
    let keys = read_with(toml, &variables).unwrap().auth.write_keys;
    let shown: Vec<_> = keys.iter().map(|key| (key.hash, key.source.as_str())).collect();
    assert_eq!(shown, [(KeyHash::of(b"0123456789abcdef"), "0123…"), (KeyHash::of(b"w3b"), "web")]);

    let keys = read_with("", &[("TRIBUTARY_WRITE_KEYS", "one")].into()).unwrap().auth.write_keys;
    assert_eq!((keys[0].hash, keys[0].source.as_str()), (KeyHash::of(b"one"), "default"));
    let keys = read_with("", &[("TRIBUTARY_WRITE_KEYS", "one, two,")].into()).unwrap().auth.write_keys;
    assert_eq!(keys.len(), 2);
}

#[test]
fn secrets_come_from_the_environment_or_a_file_and_are_never_shown() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("token");
    std::fs::write(&path, "from-file\n").unwrap();
    let toml = format!("[auth]\nread_token = \"env:READ\"\nadmin_token = \"file:{}\"", path.display());
    let variables = Variables::from([("READ", "from-env"), ("TRIBUTARY_WRITE_KEYS", "hidden-key")]);
    let config = read_with(&toml, &variables).unwrap();
    let tokens: Vec<_> = config.auth.tokens.iter().map(|token| (token.hash, token.name.as_str())).collect();
    assert_eq!(tokens, [(KeyHash::of(b"from-env"), "read"), (KeyHash::of(b"from-file"), "admin")]);
    let printed = format!("{config:?} {variables:?}");
    assert!(!printed.contains("from-") && !printed.contains("hidden-key"), "{printed}");
}

/// What `printf secret | sha256sum` says.
const HASHED: &str = "sha256:2bb80d537b1da3e38bd30361aa855686bde0eacd7162fef6a25fe97bf527a25b";

#[test]
fn tokens_have_names_and_may_be_known_by_their_hash_alone() {
    let config = good(&format!(
        "[auth]\nread_token = \"{HASHED}\"\nwrite_keys = [{{ key = \"k\", source = \"web\", rate = 500 }}]\n\
         [[auth.tokens]]\nname = \"ops\"\nrole = \"admin\"\ntoken = \"{}\"\nrate = 9",
        KeyHash::of(b"other")
    ));
    let tokens: Vec<_> = config.auth.tokens.iter().map(|t| (t.hash, t.name.as_str(), t.administers, t.rate)).collect();
    let expected = [(KeyHash::of(b"other"), "ops", true, Some(9)), (KeyHash::of(b"secret"), "read", false, None)];
    assert_eq!(tokens, expected);
    assert_eq!(config.auth.write_keys[0].rate, Some(500));
    check(
        &format!(
            "[auth]\nread_token = \"sha256:12\"\nadmin_token = \"{HASHED}\"\n[[auth.tokens]]\nname = \"ops\"\n\
             role = \"root\"\ntoken = \"{HASHED}\"\n[[auth.tokens]]\nname = \"admin\"\nrole = \"read\"\n\
             token = \"{HASHED}\"\nrate = 0"
        ),
        &[
            "t.toml:2:14: auth.read_token: this is no hash; write sha256: and the 64 digits that `tributary token` prints",
            "t.toml:3:15: auth.admin_token: `admin` has the same name; choose another",
            "t.toml:6:8: auth.tokens[0].role: `root` is unknown; known are read, admin",
            "t.toml:12:8: auth.tokens[1].rate: 0 is out of range; write a whole number from 1 to 10000000",
        ],
    );
}

#[test]
fn files_for_tls_must_be_there() {
    check(
        "[http.tls]\ncertificate = \"/nowhere/tls.crt\"\ncert = 1",
        &[
            "t.toml:1:1: http.tls: `key` is missing; write for example `key = \"/etc/tributary/tls.key\"`",
            "t.toml:2:15: http.tls.certificate: /nowhere/tls.crt cannot be read: No such file or directory (os error 2)",
            "t.toml:3:1: http.tls.cert: there is no such field; known are certificate, key, client_ca",
        ],
    );
}

#[test]
fn secrets_that_cannot_be_had_are_mistakes_that_do_not_show_them() {
    check(
        "[auth]\nread_token = \"hunter2\"\nadmin_token = \"env:NOT_SET\"\nwrite_keys = [\"a b\", \"a:b\", 5, { \
         source = \"x\" }]",
        &[
            "t.toml:2:14: auth.read_token: a secret does not stand in a file; write where it is kept: env:NAME or \
             file:PATH",
            "t.toml:3:15: auth.admin_token: the environment variable NOT_SET is not set; set it, or name another \
             place",
            "t.toml:4:15: auth.write_keys[0]: white space cannot be sent in a header; choose a value without it",
            "t.toml:4:22: auth.write_keys[1]: a write key holds no colon: clients send it as the user name of Basic \
             authentication",
            "t.toml:4:29: auth.write_keys[2]: this is a number; a text is needed: put it in quotes",
            "t.toml:4:32: auth.write_keys[3]: `key` is missing; write for example `key = \"env:WEB_KEY\"`",
        ],
    );
    check_environment(
        [("TRIBUTARY_WRITE_KEYS", "k"), ("TRIBUTARY_READ_TOKEN", "k")],
        &["environment variable TRIBUTARY_READ_TOKEN: auth.read_token: this token is also a write key, which \
             everybody can \
           see; choose another"],
    );
}

#[test]
fn what_has_no_key_is_open_on_loopback_only() {
    let local = good("");
    assert!(local.auth.writes_are_open() && local.auth.reads_are_open());
    assert_eq!(local.warnings().len(), 2);
    assert!(local.warnings()[0].contains("whoever reaches 127.0.0.1:8080 may send events"));

    let public = good("[http]\naddr = \"0.0.0.0:8080\"");
    assert!(!public.auth.writes_are_open() && !public.auth.reads_are_open());
    assert!(public.warnings()[0].contains("every event is refused with 401"));

    let variables = Variables::from([("TRIBUTARY_WRITE_KEYS", "k"), ("TRIBUTARY_ADMIN_TOKEN", "a")]);
    let keyed = read_with("", &variables).unwrap();
    assert!(!keyed.auth.writes_are_open() && !keyed.auth.reads_are_open());
    assert_eq!(keyed.warnings(), [""; 0]);
}

#[test]
fn kafka_needs_a_cluster_and_leaves_delivery_to_tributary() {
    let mend = "a log in Kafka needs a cluster; set log.kafka.bootstrap_servers or \
     TRIBUTARY_KAFKA_BOOTSTRAP_SERVERS, for \
                example to localhost:9092";
    check("[log]\nkind = \"kafka\"", &[&format!("t.toml:2:8: log.kind: {mend}")]);
    check_environment(
        [("TRIBUTARY_LOG", "kafka")],
        &[&format!("environment variable TRIBUTARY_LOG: log.kind: {mend}")],
    );
    check(
        "[log.kafka]\ntopic = \"a b\"\npartitions = 0\n[log.kafka.properties]\nacks = 1",
        &[
            "t.toml:2:9: log.kafka.topic: `a b` is no topic's name; Kafka takes up to 249 letters, digits, dots, `_` \
             and `-`",
            "t.toml:3:14: log.kafka.partitions: 0 is out of range; write a whole number from 1 to 10000",
            "t.toml:5:1: log.kafka.properties.acks: Tributary sets this itself (it is always all); remove it",
        ],
    );
}

#[test]
fn kafka_properties_are_handed_through_and_may_be_secrets() {
    let toml = "[log.kafka.properties]\n\"sasl.password\" = \"env:PW\"\n\"linger.ms\" = 5\n\
                \"socket.keepalive.enable\" = true";
    let config = read_with(toml, &[("PW", "hunter2")].into()).unwrap();
    let properties: Vec<_> = config.log.kafka.properties.iter().collect();
    assert_eq!(properties, [("linger.ms", "5"), ("sasl.password", "hunter2"), ("socket.keepalive.enable", "true")]);
    assert!(!format!("{config:?}").contains("hunter2"));
    check(
        toml,
        &["t.toml:2:19: log.kafka.properties.\"sasl.password\": the environment variable PW is not set; set it, or \
             name \
           another place"],
    );
}

#[test]
fn topics_of_others_are_sources() {
    let config = good(
        "[[sources.kafka]]\ntopic = \"web\"\nbootstrap_servers = \"k:9092\"\n\
         [[sources.kafka]]\ntopic = \"app\"\nname = \"mobile\"\non_truncated = \"earliest\"\n[log.kafka]\nbootstrap_servers = \"l:9092\"",
    );
    let source = |name: &str, topic: &str, servers: Option<&str>| KafkaSource {
        name: name.into(),
        topic: topic.into(),
        bootstrap_servers: servers.map(Into::into),
        on_truncated: (name == "mobile").then_some(OnTruncated::Earliest),
    };
    assert_eq!(config.sources, [source("web", "web", Some("k:9092")), source("mobile", "app", None)]);
    check(
        "[[sources.kafka]]\ntopic = \"web\"\n[[sources.kafka]]\nbootstrap_servers = \"k:9092\"\ntopik = \"app\"",
        &[
            "t.toml:1:1: sources.kafka[0]: `bootstrap_servers` is missing, here and in [log.kafka]; write for \
             example \
             `bootstrap_servers = \"localhost:9092\"`",
            "t.toml:3:1: sources.kafka[1]: `topic` is missing; write for example `topic = \"web-events\"`",
            "t.toml:5:1: sources.kafka[1].topik: there is no such field; did you mean `topic`?",
        ],
    );
    check(
        "[log.kafka]\nbootstrap_servers = \"l:9092\"\n[[sources.kafka]]\ntopic = \"web\"\n[[sources.kafka]]\ntopic = \
         \"web\"",
        &["t.toml:5:1: sources.kafka[1]: two sources are named `web`; give one of them another `name`"],
    );
}
