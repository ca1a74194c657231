//! One session with the server: each batch of messages, and the progress after it, in one transaction.

use super::table::{self, Change, Table, Types};
use super::{PostgresTarget, connector};
use crate::crash::{self, Place};
use crate::destination::transactions::{Progress, Refused, Topic};
use crate::destination::{Message, OutboxError, SetupError};
use std::cell::RefCell;
use std::error::Error as _;
use std::time::Duration;
use tokio::runtime::Handle;
use tokio::task::JoinHandle;
use tokio_postgres::types::{ToSql, Type};
use tokio_postgres::{Client, Row};
use tokio_util::sync::CancellationToken;

/// The schema of a table, and the names and types of its columns; without their bounds, as `numeric` of `numeric(6,2)`.
const COLUMNS: &str = "SELECT n.nspname::text, a.attname::text, pg_catalog.format_type(a.atttypid, -1) \
    FROM pg_catalog.pg_class c \
    JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace \
    JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid \
    WHERE c.oid = pg_catalog.to_regclass($1) AND a.attnum > 0 AND NOT a.attisdropped";

/// Why a batch is not in the table, as far as is known.
#[derive(Debug, thiserror::Error)]
pub(super) enum DeliveryError {
    #[error("{}", words(.0))]
    Postgres(#[from] tokio_postgres::Error),
    #[error(transparent)]
    Setup(#[from] SetupError),
    #[error(transparent)]
    Outbox(#[from] OutboxError),
    #[error("the server has not answered within {} ms", .0.as_millis())]
    Late(Duration),
    #[error("the table has no column `{0}`")]
    NoColumn(String),
    #[error("the progress record has moved on without this process")]
    Fenced,
    #[error("somebody has deleted the progress record, which is made anew")]
    Forgotten,
    #[error("{} rows are not taken", .0.len())]
    Refused(Vec<Refused>),
    #[error("told to end")]
    Ended,
}

impl DeliveryError {
    /// Why the table does not take a row, where it is that: a value that the column's type has no place for (class 22),
    /// a constraint of the table (class 23), or a value too long for an index (54000).
    fn refusal(&self) -> Option<String> {
        let Self::Postgres(error) = self else { return None };
        let code = error.code()?.code();
        let is_of_row = matches!(code.get(..2), Some("22" | "23")) || code == "54000";
        is_of_row.then(|| words(error))
    }
}

/// In the server's words, or else with the innermost cause. The details are left out: they are of rows.
fn words(error: &tokio_postgres::Error) -> String {
    if let Some(said) = error.as_db_error() {
        return format!("{} (SQLSTATE {})", said.message(), said.code().code());
    }
    let Some(mut cause) = error.source() else { return error.to_string() };
    while let Some(source) = cause.source() {
        cause = source;
    }
    format!("{error}: {cause}")
}

/// How a step is taken: within a time, and no further once the end has come.
#[derive(Clone, Copy, Debug)]
pub(super) struct Steps<'a> {
    pub(super) runtime: &'a Handle,
    pub(super) end: &'a CancellationToken,
    pub(super) within: Duration,
}

impl Steps<'_> {
    fn take<T>(self, step: impl Future<Output = Result<T, tokio_postgres::Error>>) -> Result<T, DeliveryError> {
        self.runtime.block_on(async {
            tokio::select! {
                () = self.end.cancelled() => Err(DeliveryError::Ended),
                done = tokio::time::timeout(self.within, step) => match done {
                    Ok(done) => done.map_err(DeliveryError::from),
                    Err(_) => Err(DeliveryError::Late(self.within)),
                }
            }
        })
    }
}

type Parameter<'a> = (&'a (dyn ToSql + Sync), Type);

/// A connection. Nothing is prepared on it and nothing set for longer than a transaction, so that there may be a pool
/// of connections in between.
struct Session<'a> {
    steps: Steps<'a>,
    client: Client,
    driver: JoinHandle<()>,
}

impl Drop for Session<'_> {
    fn drop(&mut self) {
        // At once, whatever is still on its way: the server then undoes what is not committed.
        self.driver.abort();
    }
}

impl<'a> Session<'a> {
    fn open(target: &PostgresTarget, steps: Steps<'a>) -> Result<Self, DeliveryError> {
        let (config, tls) = connector(&target.postgres)?;
        let (client, connection) = steps.take(config.connect(tls))?;
        let destination = target.destination.clone();
        let driver = steps.runtime.spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!(destination, error = words(&error), "the connection has ended");
            }
        });
        Ok(Self { steps, client, driver })
    }

    fn run(&self, statements: &str) -> Result<(), DeliveryError> {
        self.steps.take(self.client.batch_execute(statements))
    }

    fn execute(&self, statement: &str, parameters: &[Parameter<'_>]) -> Result<u64, DeliveryError> {
        self.steps.take(self.client.execute_typed(statement, parameters))
    }

    fn rows(&self, statement: &str, parameters: &[Parameter<'_>]) -> Result<Vec<Row>, DeliveryError> {
        self.steps.take(self.client.query_typed(statement, parameters))
    }

    /// A table's schema and its columns' types; empty where there is no table.
    fn describe(&self, path: &str) -> Result<(String, Types), DeliveryError> {
        let (mut schema, mut types) = (String::new(), Types::new());
        for row in self.rows(COLUMNS, &[(&path, Type::TEXT)])? {
            schema = row.try_get(0)?;
            types.insert(row.try_get(1)?, row.try_get(2)?);
        }
        Ok((schema, types))
    }

    /// Begins a transaction that the server ends by itself, should this process be cut off from it: the lock on the
    /// progress would be held for hours. Whatever is wrong with a row shows before the commit, and what is committed
    /// stays, also where the server is told not to wait for its disk.
    fn begin(&self) -> Result<(), DeliveryError> {
        let ms = i32::try_from(self.steps.within.as_millis()).unwrap_or(i32::MAX);
        self.run(&format!(
            "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE; SET LOCAL statement_timeout = {ms}; \
             SET LOCAL idle_in_transaction_session_timeout = {ms}; SET CONSTRAINTS ALL IMMEDIATE; \
             SELECT pg_catalog.set_config('synchronous_commit', 'on', true) \
             WHERE pg_catalog.current_setting('synchronous_commit') = 'off'"
        ))
    }
}

/// A table, with the record of how far it is.
pub(super) struct TableTopic<'a> {
    session: Session<'a>,
    table: Table,
    /// The table of progress records.
    records: String,
    /// The record's name.
    name: String,
    /// What this process knows to be committed.
    known: RefCell<Option<Progress>>,
}

impl<'a> TableTopic<'a> {
    /// Connects, and looks whether the table is there.
    ///
    /// # Errors
    /// If the server is not there, or does not let us in.
    pub(super) fn is_there(target: &PostgresTarget, steps: Steps<'a>) -> Result<bool, DeliveryError> {
        let session = Session::open(target, steps)?;
        Ok(!session.describe(&table::quoted_path(&target.postgres.table))?.1.is_empty())
    }

    /// Connects, and makes what is not there yet.
    ///
    /// # Errors
    /// If the server is not there, does not let us in, or has not what is needed.
    pub(super) fn open(target: &PostgresTarget, steps: Steps<'a>) -> Result<Self, DeliveryError> {
        let session = Session::open(target, steps)?;
        let columns: Vec<&str> = target.postgres.columns.iter().map(|(name, _)| name.as_str()).collect();
        let path = table::quoted_path(&target.postgres.table);
        let (mut schema, mut types) = session.describe(&path)?;
        if let Some(amendment) = table::amendment(&path, &types, &columns) {
            session.run(&amendment)?;
            (schema, types) = session.describe(&path)?;
        }
        let table = Table::new(&path, &types, &columns).map_err(DeliveryError::NoColumn)?;
        let records = format!("{}.tributary_progress", table::quoted(&schema));
        // To ask first takes no right to make tables.
        if session.describe(&records)?.1.is_empty() {
            session.run(&format!(
                "CREATE TABLE IF NOT EXISTS {records} (name text PRIMARY KEY, last bigint NOT NULL, id text NOT NULL)"
            ))?;
        }
        let name = format!("tributary-{}-{}", target.state_id, target.destination);
        // There from the start, so that there is a row to lock.
        let first = format!("INSERT INTO {records} (name, last, id) VALUES ($1, -1, '') ON CONFLICT (name) DO NOTHING");
        session.execute(&first, &[(&name, Type::TEXT)])?;
        Ok(Self { session, table, records, name, known: RefCell::default() })
    }

    /// Moves the progress on, and holds it until the transaction ends. That it is where this process has left it says
    /// that nobody else delivers.
    fn advance(&self, to: &Progress) -> Result<(), DeliveryError> {
        let known = self.known.borrow();
        let (last, id) = known.as_ref().map_or((-1, ""), |known| (stored(known.last), known.id.as_str()));
        let next = stored(to.last);
        let statement =
            format!("UPDATE {} SET last = $2, id = $3 WHERE name = $1 AND last = $4 AND id = $5", self.records);
        let (text, number) = (Type::TEXT, Type::INT8);
        let parameters: [Parameter<'_>; 5] =
            [(&self.name, text.clone()), (&next, number.clone()), (&to.id, text.clone()), (&last, number), (&id, text)];
        if self.session.execute(&statement, &parameters)? == 1 {
            return Ok(());
        }
        let is_there = format!("SELECT 1 FROM {} WHERE name = $1", self.records);
        let found = self.session.rows(&is_there, &[(&self.name, Type::TEXT)])?;
        Err(if found.is_empty() { DeliveryError::Forgotten } else { DeliveryError::Fenced })
    }

    /// Two round trips for any number of rows. Those that go come first.
    fn write(&self, changes: &[Change]) -> Result<(), DeliveryError> {
        let (going, staying) = changes.split_at(changes.partition_point(|change| change.values.is_none()));
        if !going.is_empty() {
            let keys: Vec<&str> = going.iter().map(|change| change.profile.as_str()).collect();
            self.session.execute(&self.table.delete, &[(&keys, Type::TEXT_ARRAY)])?;
        }
        if !staying.is_empty() {
            let arrays = self.table.arrays(staying);
            let parameters: Vec<Parameter<'_>> =
                arrays.iter().map(|array| (array as &(dyn ToSql + Sync), Type::TEXT_ARRAY)).collect();
            self.session.execute(&self.table.upsert, &parameters)?;
        }
        Ok(())
    }

    /// Which rows the table does not take: halves are tried in a transaction that is undone.
    fn find_refused(&self, changes: &[Change]) -> Result<Vec<Refused>, DeliveryError> {
        self.session.begin()?;
        self.session.run("SAVEPOINT part")?;
        let mut refused = Vec::new();
        let mut parts = vec![changes];
        while let Some(part) = parts.pop() {
            let Err(error) = self.write(part) else {
                self.session.run("RELEASE SAVEPOINT part; SAVEPOINT part")?;
                continue;
            };
            let Some(reason) = error.refusal() else { return Err(error) };
            self.session.run("ROLLBACK TO SAVEPOINT part")?;
            match part {
                [change] => refused.push(Refused { sequence: change.sequence, reason }),
                _ => {
                    let (first, second) = part.split_at(part.len() / 2);
                    parts.extend([second, first]);
                }
            }
        }
        self.session.run("ROLLBACK")?;
        Ok(refused)
    }
}

/// A number of the outbox as the record has it.
fn stored(sequence: u64) -> i64 {
    i64::try_from(sequence).unwrap_or(i64::MAX)
}

impl Topic for TableTopic<'_> {
    type Error = DeliveryError;

    fn progress(&self) -> Result<Option<Progress>, DeliveryError> {
        // With the lock: a transaction of ours whose end was not heard of may still be at its commit.
        let statement = format!("SELECT last, id FROM {} WHERE name = $1 FOR UPDATE", self.records);
        self.session.begin()?;
        let rows = self.session.rows(&statement, &[(&self.name, Type::TEXT)])?;
        self.session.run("COMMIT")?;
        let Some(row) = rows.first() else { return Err(DeliveryError::Forgotten) };
        let id = row.try_get(1)?;
        let progress = u64::try_from(row.try_get::<_, i64>(0)?).ok().map(|last| Progress { last, id });
        self.known.replace(progress.clone());
        Ok(progress)
    }

    fn publish(&self, messages: &[Message], progress: &Progress) -> Result<(), DeliveryError> {
        let changes = self.table.changes(messages).map_err(DeliveryError::Refused)?;
        self.session.begin()?;
        self.advance(progress)?;
        if let Err(error) = self.write(&changes) {
            if error.refusal().is_none() {
                return Err(error);
            }
            self.session.run("ROLLBACK")?;
            let refused = self.find_refused(&changes)?;
            return Err(if refused.is_empty() { error } else { DeliveryError::Refused(refused) });
        }
        crash::at(Place::TransactionOpen);
        self.session.run("COMMIT")?;
        self.known.replace(Some(progress.clone()));
        Ok(())
    }

    /// Rows may be as large as messages are.
    fn is_too_large(_: &DeliveryError) -> bool {
        false
    }

    fn refused(error: &DeliveryError) -> &[Refused] {
        match error {
            DeliveryError::Refused(refused) => refused,
            _ => &[],
        }
    }
}
