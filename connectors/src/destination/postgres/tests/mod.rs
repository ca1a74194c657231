//! A table in a real PostgreSQL: what messages do to it, and that they do it once.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

mod server;

use super::*;
use crate::destination::transactions::{Progress, Topic};
use crate::destination::{Admission, Message, NullObserver, OutboxError, Settled, loopback};
use serde_json::{Value, json};
use server::{Case, Server, runtime};
use std::collections::BTreeMap;
use std::sync::{Condvar, Mutex};
use tokio::sync::watch;
use tributary_model::{ProfileId, Secret};

fn says(sequence: u64, profile: u128, body: &Value) -> Message {
    Message { sequence, id: format!("m{sequence}"), profile: ProfileId(profile), ..loopback::message(body) }
}

fn upsert(sequence: u64, profile: u128, columns: &Value) -> Message {
    says(sequence, profile, &json!({ "op": "upsert", "columns": columns }))
}

fn delete(sequence: u64, profile: u128) -> Message {
    says(sequence, profile, &json!({ "op": "delete" }))
}

fn progress(last: u64) -> Progress {
    Progress { last, id: format!("m{last}") }
}

/// Settles what was sent before, as the carrier does first, and sends these messages.
fn send(topic: &TableTopic<'_>, messages: &[Message]) -> Result<(), DeliveryError> {
    topic.progress()?;
    topic.publish(messages, &progress(messages.last().unwrap().sequence))
}

#[test]
fn rows_come_change_and_go_and_the_progress_with_them() {
    let case = Case::new("kept", &["email", "Full name"]);
    let topic = case.open().unwrap();
    assert_eq!(topic.progress().unwrap(), None);
    send(
        &topic,
        &[
            upsert(1, 1, &json!({ "email": "a@x", "Full name": "Ann \"A\" O'Hara" })),
            upsert(2, 2, &json!({ "email": null, "Full name": "Bob" })),
        ],
    )
    .unwrap();
    let all = "SELECT right(profile_id, 1), email, \"Full name\" FROM kept.people ORDER BY 1";
    assert_eq!(case.ask(all), ["1|a@x|Ann \"A\" O'Hara", "2||Bob"]);
    send(&topic, &[upsert(3, 1, &json!({ "email": "old" })), delete(4, 2), upsert(5, 1, &json!({ "email": "b@x" }))])
        .unwrap();
    assert_eq!(case.ask(all), ["1|b@x|"]);
    drop(topic);
    // A new process reads how far it got; its first words change nothing of what is there.
    let topic = case.open().unwrap();
    assert_eq!(topic.progress().unwrap(), Some(progress(5)));
    assert_eq!(case.ask("SELECT name, last, id FROM kept.tributary_progress"), ["tributary-state-crm|5|m5"]);
    assert_eq!(case.ask(all), ["1|b@x|"]);
}

#[test]
fn a_table_of_the_users_own_keeps_its_types_and_its_other_columns() {
    let case = Case::new("own", &["ltv", "since", "vip", "extra", "city"]);
    case.run(
        "CREATE TABLE own.people (profile_id varchar(40) PRIMARY KEY, ltv numeric(20, 12), since timestamptz, \
         vip boolean, extra jsonb, note text DEFAULT 'mine')",
    );
    let topic = case.open().unwrap();
    let columns = json!({
        "ltv": 12.5, "since": "2026-01-02T03:04:05Z", "vip": true, "extra": { "a": [1, "x"] }, "city": "Graz"
    });
    send(&topic, &[upsert(1, 1, &columns)]).unwrap();
    let typed = "SELECT ltv, since = '2026-01-02 03:04:05+00', NOT vip, extra -> 'a' ->> 1, city FROM own.people";
    assert_eq!(case.ask(typed), ["12.500000000000|t|f|x|Graz"]);
    case.run("UPDATE own.people SET note = 'called'");
    send(&topic, &[upsert(2, 1, &json!({ "ltv": 13, "extra": "text", "city": 7 }))]).unwrap();
    let row = "SELECT ltv + 1, since AT TIME ZONE 'UTC', vip, extra, city, note FROM own.people";
    assert_eq!(case.ask(row), ["14.000000000000|||\"text\"|7|called"]);
    let types = "SELECT string_agg(format_type(atttypid, atttypmod), ', ' ORDER BY attnum) FROM pg_attribute \
                 WHERE attrelid = 'own.people'::regclass AND attnum > 0";
    let expected = "character varying(40), numeric(20,12), timestamp with time zone, boolean, jsonb, text, text";
    assert_eq!(case.ask(types), [expected]);
}

#[test]
fn rows_that_the_table_does_not_take_are_told_and_nothing_is_written() {
    let case = Case::new("refused", &["ltv", "code", "email"]);
    case.run(
        "CREATE TABLE refused.people (profile_id text PRIMARY KEY, ltv numeric CHECK (ltv >= 0), code varchar(3), \
         email text UNIQUE DEFERRABLE INITIALLY DEFERRED)",
    );
    let topic = case.open().unwrap();
    let mut messages: Vec<_> = (0..100).map(|n| upsert(n, n.into(), &json!({ "ltv": n, "email": n }))).collect();
    messages[7] = upsert(7, 7, &json!({ "ltv": "a lot" }));
    messages[50] = upsert(50, 50, &json!({ "ltv": -1 }));
    messages[51] = upsert(51, 51, &json!({ "code": "too long" }));
    messages[70] = upsert(70, 70, &json!({ "email": "3" }));
    messages[99] = upsert(99, 99, &json!({ "email": "nul\0" }));
    let error = send(&topic, &messages).unwrap_err();
    let refused: BTreeMap<u64, &str> =
        TableTopic::refused(&error).iter().map(|one| (one.sequence, one.reason.as_str())).collect();
    assert_eq!(refused.keys().copied().collect::<Vec<_>>(), [7, 50, 51, 70, 99]);
    assert_eq!(refused[&7], "invalid input syntax for type numeric: \"a lot\" (SQLSTATE 22P02)");
    assert!(refused[&50].contains("check constraint"), "{}", refused[&50]);
    assert!(refused[&51].contains("too long for type character varying(3)"), "{}", refused[&51]);
    assert!(refused[&70].contains("unique constraint"), "{}", refused[&70]);
    assert!(refused[&99].contains("SQLSTATE 22021"), "{}", refused[&99]);
    assert_eq!(case.ask("SELECT count(*) FROM refused.people"), ["0"]);
    assert_eq!(topic.progress().unwrap(), None, "and the connection is as good as before");
    messages.retain(|message| !refused.contains_key(&message.sequence));
    send(&topic, &messages).unwrap();
    assert_eq!(case.ask("SELECT count(*), sum(ltv) FROM refused.people"), ["95|4673"]);
}

#[test]
fn a_row_that_goes_makes_room_for_one_that_comes() {
    let case = Case::new("room", &["email"]);
    case.run("CREATE TABLE room.people (profile_id text PRIMARY KEY, email text UNIQUE)");
    let topic = case.open().unwrap();
    send(&topic, &[upsert(1, 1, &json!({ "email": "a@x" }))]).unwrap();
    // Two profiles have become one, under another name.
    send(&topic, &[upsert(2, 2, &json!({ "email": "a@x" })), delete(3, 1)]).unwrap();
    assert_eq!(case.ask("SELECT right(profile_id, 1), email FROM room.people"), ["2|a@x"]);
}

#[test]
fn a_second_process_on_a_copy_of_the_state_is_found_out() {
    let case = Case::new("copied", &["email"]);
    let (first, second) = (case.open().unwrap(), case.open().unwrap());
    send(&first, &[upsert(1, 1, &json!({ "email": "first" }))]).unwrap();
    send(&second, &[upsert(2, 1, &json!({ "email": "second" }))]).unwrap();
    let late = first.publish(&[upsert(2, 1, &json!({ "email": "first again" }))], &progress(2));
    assert!(matches!(late, Err(DeliveryError::Fenced)), "{late:?}");
    drop(first);
    assert_eq!(case.ask("SELECT email FROM copied.people"), ["second"]);
    // Nobody else delivers if somebody has only tidied up.
    case.run("DELETE FROM copied.tributary_progress");
    let next = second.publish(&[upsert(3, 1, &json!({}))], &progress(3));
    assert!(matches!(next, Err(DeliveryError::Forgotten)), "{next:?}");
    drop(second);
    send(&case.open().unwrap(), &[upsert(3, 1, &json!({ "email": "third" }))]).unwrap();
    assert_eq!(case.ask("SELECT email FROM copied.people"), ["third"]);
}

#[test]
fn a_transaction_of_ours_whose_end_was_not_heard_of_is_waited_for() {
    let case = Case::new("unheard", &["email"]);
    let topic = case.open().unwrap();
    // The connection is lost, and the server is still at the commit.
    let lost = case.another();
    lost.run("BEGIN; UPDATE unheard.tributary_progress SET last = 9, id = 'm9'");
    std::thread::scope(|scope| {
        let asked = scope.spawn(move || topic.progress().unwrap());
        case.await_lock("unheard");
        lost.run("COMMIT");
        assert_eq!(asked.join().unwrap(), Some(progress(9)));
    });
}

#[test]
fn the_end_is_not_waited_for() {
    let case = Case::new("ending", &["email"]);
    let topic = case.open().unwrap();
    topic.progress().unwrap();
    let other = case.another();
    other.run("BEGIN; LOCK TABLE ending.people");
    std::thread::scope(|scope| {
        let sent = scope.spawn(move || topic.publish(&[upsert(1, 1, &json!({ "email": "a" }))], &progress(1)));
        case.await_lock("ending");
        case.end.cancel();
        assert!(matches!(sent.join().unwrap(), Err(DeliveryError::Ended)));
    });
    other.run("COMMIT");
    assert_eq!(case.ask("SELECT count(*) FROM ending.people"), ["0"]);
}

#[test]
fn what_keeps_us_out_is_told_in_the_servers_words_without_the_password() {
    let mut case = Case::new("refusing", &[]);
    let url = case.url();
    let tell = |case: &Case| case.open().err().unwrap().to_string();
    case.target.postgres.url = Secret::new(url.replace("pass-word", "wr0ng"));
    assert_eq!(tell(&case), "password authentication failed for user \"tributary\" (SQLSTATE 28P01)");
    case.target.postgres.url = Secret::new(url.replace("/postgres", "/nowhere"));
    assert_eq!(tell(&case), "database \"nowhere\" does not exist (SQLSTATE 3D000)");
    case.target.postgres.url = Secret::new("postgres://a:s3cret@127.0.0.1:1/b");
    assert!(tell(&case).contains("Connection refused"), "{}", tell(&case));
    case.target.postgres.url = Secret::new("postgres//a:s3cret@host/b?sslmode=never");
    assert!(tell(&case).starts_with("the URL of the database is not understood"), "{}", tell(&case));
    assert!(PostgresTarget::check(&case.target.postgres).is_err_and(|error| !error.to_string().contains("s3cret")));
    case.target.postgres.url = Secret::new(url);
    case.target.postgres.table = "nowhere.people".to_owned();
    assert_eq!(tell(&case), "schema \"nowhere\" does not exist (SQLSTATE 3F000)");
    assert!(!format!("{:?}", case.target).contains("pass-word"));
}

#[test]
fn tls_is_checked_where_it_is_required() {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let server = Server::start(|folder| {
        std::fs::write(folder.join("server.crt"), made.cert.pem()).unwrap();
        std::fs::write(folder.join("server.key"), made.signing_key.serialize_pem()).unwrap();
    });
    let mut case = Case::on(&server.url, "tls", &[]);
    let ca = Some(made.cert.pem().into_bytes());
    let mut tries = 0;
    // Whether the session is one over TLS.
    let mut try_with = |host: &str, options: &str, ca: Option<Vec<u8>>| {
        tries += 1;
        let url = server.url.replace("127.0.0.1", host);
        case.target.postgres.url = Secret::new(format!("{url}?application_name=try{tries}{options}"));
        case.target.postgres.ca = ca;
        let _topic = case.open().map_err(|error| error.to_string())?;
        let session = format!(
            "SELECT ssl FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) WHERE application_name = 'try{tries}'"
        );
        Ok::<_, String>(case.ask(&session) == ["t"])
    };
    for required in ["&sslmode=require", "&sslmode=verify-ca", "&sslmode=verify-full&connect_timeout=5"] {
        assert_eq!(try_with("localhost", required, ca.clone()), Ok(true));
        let unknown = try_with("localhost", required, None).unwrap_err();
        assert!(unknown.contains("certificate verify failed"), "{unknown}");
        let elsewhere = try_with("127.0.0.1", required, ca.clone()).unwrap_err();
        assert!(elsewhere.contains("certificate verify failed"), "{elsewhere}");
    }
    // A wish: nobody vouches for the certificate, and that is no reason to stay away.
    assert_eq!(try_with("127.0.0.1", "", None), Ok(true));
    assert_eq!(try_with("127.0.0.1", "&sslmode=disable", None), Ok(false));
}

/// An outbox in memory.
#[derive(Default)]
struct Memory {
    pending: Mutex<BTreeMap<u64, Message>>,
    dead: Mutex<Vec<(u64, String)>>,
    changed: Condvar,
}

impl Memory {
    fn put(&self, messages: impl IntoIterator<Item = Message>) {
        self.pending.lock().unwrap().extend(messages.into_iter().map(|message| (message.sequence, message)));
    }

    /// Waits until no more than so many wait.
    fn await_left(&self, most: usize) {
        drop(self.changed.wait_while(self.pending.lock().unwrap(), |pending| pending.len() > most).unwrap());
    }
}

impl Outbox for Memory {
    fn pending(&self, _: &str, after: Option<u64>, limit: usize) -> Result<Vec<Message>, OutboxError> {
        let pending = self.pending.lock().unwrap();
        let from = after.map_or(0, |after| after + 1);
        Ok(pending.range(from..).take(limit).map(|(_, message)| message.clone()).collect())
    }
    fn admit(&self, messages: &[Message], _: Millis) -> Result<Vec<Admission>, OutboxError> {
        Ok(vec![Admission::Send; messages.len()])
    }
    fn settle(&self, settled: &[(Message, Settled)], _: Millis) -> Result<(), OutboxError> {
        for (message, settled) in settled {
            let Settled::Dead(reason) = settled else { panic!("{settled:?}") };
            self.dead.lock().unwrap().push((message.sequence, reason.clone()));
            self.pending.lock().unwrap().remove(&message.sequence);
        }
        self.changed.notify_all();
        Ok(())
    }
    fn delivered_through(&self, _: &str, _: Option<u64>, sequence: u64, _: Millis) -> Result<(), OutboxError> {
        self.pending.lock().unwrap().retain(|waiting, _| *waiting > sequence);
        self.changed.notify_all();
        Ok(())
    }
}

#[test]
fn a_server_that_was_killed_gets_all_that_waits_once_but_for_what_it_does_not_take() {
    let mut server = Server::start(|_| {});
    let case = Case::on(&server.url, "away", &["n"]);
    // Counts how often a row is written.
    case.run(
        "CREATE TABLE away.people (profile_id text PRIMARY KEY, n int, times int DEFAULT 1);
         CREATE FUNCTION away.count() RETURNS trigger LANGUAGE plpgsql AS
             'BEGIN NEW.times = OLD.times + 1; RETURN NEW; END';
         CREATE TRIGGER count BEFORE UPDATE ON away.people FOR EACH ROW EXECUTE FUNCTION away.count()",
    );
    let outbox = Arc::new(Memory::default());
    let delivery = PostgresDelivery {
        target: case.target.clone(),
        outbox: outbox.clone(),
        next_at_start: 0,
        observer: Arc::new(NullObserver),
        clock: || 0,
    };
    let (grown, wake) = watch::channel(0);
    let row = |n: u64| {
        let value = if n % 1_000 == 17 { json!("none") } else { json!(n) };
        upsert(n, n.into(), &json!({ "n": value }))
    };
    std::thread::scope(|scope| {
        let running = scope.spawn(|| delivery.run(runtime().handle(), wake, &case.end));
        outbox.put((0..5_000).map(row));
        grown.send_modify(|count| *count += 1);
        // In the middle of a transaction, as likely as not at its commit.
        outbox.await_left(4_000);
        server.kill();
        server.start_again();
        outbox.await_left(0);
        case.end.cancel();
        running.join().unwrap();
    });
    let dead: Vec<u64> = outbox.dead.lock().unwrap().iter().map(|(sequence, _)| *sequence).collect();
    assert_eq!(dead, [17, 1_017, 2_017, 3_017, 4_017]);
    let sums = case.another().ask("SELECT count(*), sum(n), max(times) FROM away.people");
    let sum: u64 = (0..5_000).filter(|n| n % 1_000 != 17).sum();
    assert_eq!(sums, [format!("4995|{sum}|1")]);
}
