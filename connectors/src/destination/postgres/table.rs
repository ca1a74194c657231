//! What a table is told: its statements, by the types that its columns have, and the rows that messages say.

use crate::destination::Message;
use crate::destination::transactions::Refused;
use serde::Deserialize;
use serde_json::value::RawValue;
use std::collections::{BTreeMap, HashSet};

/// The column that names the profile.
const KEY: &str = "profile_id";

/// A name as SQL takes it, whatever is in it. Capitals count.
pub(super) fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// A table's name, with its schema if it has one.
pub(super) fn quoted_path(table: &str) -> String {
    table.split('.').map(quoted).collect::<Vec<_>>().join(".")
}

/// The types of a table's columns, by their names.
pub(super) type Types = BTreeMap<String, String>;

/// The statement that makes the table, or adds the columns that it lacks; `None` where all is there.
pub(super) fn amendment(path: &str, types: &Types, columns: &[&str]) -> Option<String> {
    if types.is_empty() {
        let columns: String = columns.iter().map(|column| format!(", {} text", quoted(column))).collect();
        return Some(format!("CREATE TABLE IF NOT EXISTS {path} ({} text PRIMARY KEY{columns})", quoted(KEY)));
    }
    let missing = columns.iter().filter(|column| !types.contains_key(**column));
    let added: Vec<_> = missing.map(|column| format!("ADD COLUMN IF NOT EXISTS {} text", quoted(column))).collect();
    (!added.is_empty()).then(|| format!("ALTER TABLE {path} {}", added.join(", ")))
}

/// What a message does to the row of its profile.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Change {
    /// The message's number.
    pub(super) sequence: u64,
    /// The row's key.
    pub(super) profile: String,
    /// The columns' values, in their order; `None` where the row goes.
    pub(super) values: Option<Vec<Option<String>>>,
}

#[derive(Debug)]
struct Column {
    name: String,
    /// It holds JSON: a text in it has its quotes.
    is_json: bool,
}

/// A table as it is.
#[derive(Debug)]
pub(super) struct Table {
    columns: Vec<Column>,
    /// Makes and changes rows. Takes an array of texts for each column, the keys first.
    pub(super) upsert: String,
    /// Takes rows away. Takes an array of keys.
    pub(super) delete: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum Operation {
    Upsert,
    Delete,
}

/// A message's body. Values stay as they are written: a number keeps all its digits.
#[derive(Deserialize)]
struct Body<'a> {
    op: Operation,
    #[serde(borrow, default)]
    columns: BTreeMap<String, &'a RawValue>,
}

impl Table {
    /// A table of these types, of which these columns are written.
    ///
    /// # Errors
    /// The name of a column that it lacks.
    pub(super) fn new(path: &str, types: &Types, columns: &[&str]) -> Result<Self, String> {
        let named = [KEY].into_iter().chain(columns.iter().copied());
        let typed: Vec<(&str, &str)> = named
            .map(|name| types.get(name).map(|kind| (name, kind.as_str())).ok_or_else(|| name.to_owned()))
            .collect::<Result<_, _>>()?;
        let list = |item: &dyn Fn(usize, &str, &str) -> String| {
            let items = typed.iter().enumerate().map(|(at, &(name, kind))| item(at, name, kind));
            items.collect::<Vec<_>>().join(", ")
        };
        let key = quoted(KEY);
        let sets: Vec<_> =
            columns.iter().map(|name| quoted(name)).map(|name| format!("{name} = EXCLUDED.{name}")).collect();
        let on_conflict =
            if sets.is_empty() { "NOTHING".to_owned() } else { format!("UPDATE SET {}", sets.join(", ")) };
        // The column's own bound, as of varchar(10), is left to the assignment: a cast to it would cut silently.
        let upsert = format!(
            "INSERT INTO {path} ({}) SELECT {} FROM unnest({}) AS given ({}) ON CONFLICT ({key}) DO {on_conflict}",
            list(&|_, name, _| quoted(name)),
            list(&|at, _, kind| format!("c{at}::{kind}")),
            list(&|at, _, _| format!("${}", at + 1)),
            list(&|at, _, _| format!("c{at}")),
        );
        let key_type = typed.first().map_or("text", |&(_, kind)| kind);
        let delete = format!("DELETE FROM {path} WHERE {key} = ANY ($1::{key_type}[])");
        let column =
            |&(name, kind): &(&str, &str)| Column { name: name.to_owned(), is_json: matches!(kind, "json" | "jsonb") };
        Ok(Self { columns: typed.iter().skip(1).map(column).collect(), upsert, delete })
    }

    /// What messages do: of each profile the last one counts, since the table is to be as that says.
    ///
    /// # Errors
    /// Those of them that cannot be read.
    pub(super) fn changes(&self, messages: &[Message]) -> Result<Vec<Change>, Vec<Refused>> {
        let mut seen = HashSet::new();
        let (mut changes, mut refused) = (Vec::new(), Vec::new());
        for message in messages.iter().rev().filter(|message| seen.insert(message.profile)) {
            match self.change(message) {
                Ok(change) => changes.push(change),
                Err(error) => refused.push(Refused {
                    sequence: message.sequence,
                    reason: format!("the message's columns cannot be read: {error}"),
                }),
            }
        }
        if !refused.is_empty() {
            return Err(refused);
        }
        // What goes makes room for what comes, where a column of the user's may hold nothing twice.
        changes.sort_by_key(|change| (change.values.is_some(), change.sequence));
        Ok(changes)
    }

    fn change(&self, message: &Message) -> Result<Change, serde_json::Error> {
        let body: Body<'_> = serde_json::from_slice(&message.body)?;
        let value = |column: &Column| match body.columns.get(&column.name) {
            Some(value) => column.text(value),
            None => Ok(None),
        };
        let values = match body.op {
            Operation::Upsert => Some(self.columns.iter().map(value).collect::<Result<_, _>>()?),
            Operation::Delete => None,
        };
        Ok(Change { sequence: message.sequence, profile: message.profile.to_string(), values })
    }

    /// What [`upsert`](Self::upsert) takes for rows that come or change.
    pub(super) fn arrays<'a>(&self, changes: &'a [Change]) -> Vec<Vec<Option<&'a str>>> {
        let keys: Vec<_> = changes.iter().map(|change| Some(change.profile.as_str())).collect();
        let values = |at: usize| {
            let value = |change: &'a Change| change.values.as_ref()?.get(at)?.as_deref();
            changes.iter().map(value).collect::<Vec<_>>()
        };
        [keys].into_iter().chain((0..self.columns.len()).map(values)).collect()
    }
}

impl Column {
    /// A JSON value as the column's type reads it from text.
    fn text(&self, value: &RawValue) -> Result<Option<String>, serde_json::Error> {
        let text = value.get();
        match text.as_bytes().first() {
            Some(b'n') => Ok(None),
            Some(b'"') if !self.is_json => serde_json::from_str(text).map(Some),
            _ => Ok(Some(text.to_owned())),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]
    use super::*;
    use crate::destination::loopback::message;
    use serde_json::{Value, json};
    use tributary_model::ProfileId;

    fn types(columns: &[(&str, &str)]) -> Types {
        columns.iter().map(|(name, kind)| ((*name).to_owned(), (*kind).to_owned())).collect()
    }

    fn table(columns: &[(&str, &str)]) -> Table {
        let names: Vec<&str> = columns.iter().map(|(name, _)| *name).collect();
        let mut types = types(columns);
        types.insert(KEY.to_owned(), "text".to_owned());
        Table::new("\"people\"", &types, &names).unwrap()
    }

    fn says(sequence: u64, profile: u128, body: &Value) -> Message {
        Message { sequence, profile: ProfileId(profile), ..message(body) }
    }

    #[test]
    fn names_are_quoted_whatever_is_in_them() {
        assert_eq!(quoted_path("crm.Vip"), r#""crm"."Vip""#);
        assert_eq!(quoted_path(r#"a"; DROP TABLE b; --"#), r#""a""; DROP TABLE b; --""#);
    }

    #[test]
    fn a_table_is_made_or_gets_the_columns_that_it_lacks() {
        assert_eq!(
            amendment("\"t\"", &Types::new(), &["email", "Full name"]).unwrap(),
            r#"CREATE TABLE IF NOT EXISTS "t" ("profile_id" text PRIMARY KEY, "email" text, "Full name" text)"#
        );
        let found = types(&[("profile_id", "text"), ("email", "text")]);
        assert_eq!(
            amendment("\"t\"", &found, &["email", "ltv", "city"]).unwrap(),
            r#"ALTER TABLE "t" ADD COLUMN IF NOT EXISTS "ltv" text, ADD COLUMN IF NOT EXISTS "city" text"#
        );
        assert_eq!(amendment("\"t\"", &found, &["email"]), None);
    }

    #[test]
    fn a_batch_is_one_statement_that_casts_to_the_columns_types() {
        let table = table(&[("email", "text"), ("ltv", "numeric")]);
        assert_eq!(
            table.upsert,
            "INSERT INTO \"people\" (\"profile_id\", \"email\", \"ltv\") \
             SELECT c0::text, c1::text, c2::numeric FROM unnest($1, $2, $3) AS given (c0, c1, c2) \
             ON CONFLICT (\"profile_id\") DO UPDATE SET \"email\" = EXCLUDED.\"email\", \"ltv\" = EXCLUDED.\"ltv\""
        );
        assert_eq!(table.delete, "DELETE FROM \"people\" WHERE \"profile_id\" = ANY ($1::text[])");
    }

    #[test]
    fn a_table_of_keys_alone_is_one_too() {
        assert!(table(&[]).upsert.ends_with("DO NOTHING"));
        let keyless = Table::new("\"t\"", &types(&[("email", "text")]), &["email"]);
        assert_eq!(keyless.unwrap_err(), "profile_id");
    }

    #[test]
    fn of_each_profile_the_last_message_counts_and_what_goes_goes_first() {
        let table = table(&[("email", "text")]);
        let upsert = |email: &str| json!({ "op": "upsert", "columns": { "email": email } });
        let delete = json!({ "op": "delete" });
        let messages =
            [says(1, 1, &upsert("a")), says(2, 2, &upsert("b")), says(3, 1, &upsert("c")), says(4, 3, &delete)];
        let changes = table.changes(&messages).unwrap();
        assert_eq!(changes.iter().map(|change| change.sequence).collect::<Vec<_>>(), [4, 2, 3]);
        assert_eq!(changes[0].values, None);
        let key = |profile: u128| ProfileId(profile).to_string();
        let (two, one) = (key(2), key(1));
        assert_eq!(table.arrays(&changes[1..]), [[Some(two.as_str()), Some(one.as_str())], [Some("b"), Some("c")]]);
    }

    #[test]
    fn values_are_json_and_keep_all_their_digits() {
        let table = table(&[("a", "text"), ("b", "numeric"), ("c", "boolean"), ("d", "text"), ("e", "jsonb")]);
        let body = r#"{"op": "upsert", "columns":
            {"a": "x\n\"y\"", "b": 0.10000000000000000001, "c": true, "d": [1, {"k": null}], "e": "x", "old": 1}}"#;
        let message = Message { body: body.into(), ..message(&json!({})) };
        let changes = table.changes(&[message]).unwrap();
        let expected = ["x\n\"y\"", "0.10000000000000000001", "true", r#"[1, {"k": null}]"#, "\"x\""];
        assert_eq!(changes[0].values, Some(expected.map(|text| Some(text.to_owned())).to_vec()));
        let nothing = table.changes(&[says(1, 1, &json!({ "op": "upsert", "columns": { "b": null } }))]).unwrap();
        assert_eq!(nothing[0].values, Some(vec![None; 5]));
    }

    #[test]
    fn what_cannot_be_read_is_told_by_its_number() {
        let table = table(&[("email", "text")]);
        let messages = [
            says(1, 1, &json!({ "op": "upsert", "columns": {} })),
            says(2, 2, &json!({ "op": "truncate" })),
            says(3, 3, &json!({ "columns": {} })),
        ];
        let refused = table.changes(&messages).unwrap_err();
        assert_eq!(refused.iter().map(|one| one.sequence).collect::<Vec<_>>(), [3, 2]);
        assert!(refused[1].reason.contains("truncate"), "{}", refused[1].reason);
    }
}
