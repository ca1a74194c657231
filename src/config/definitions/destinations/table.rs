//! Destinations that are tables, kept in step with a segment.

use super::{Known, reach};
use crate::config::decode::Table;
use crate::config::definitions::template;
use crate::config::definitions::triggers::refer;
use crate::config::secret::{Variables, resolve_secret};
use tributary_model::PostgresDestination;

pub(super) fn postgres(table: &Table<'_>, variables: &Variables, known: Known<'_>) -> Option<PostgresDestination> {
    let url = table.require("url", "url: env:POSTGRES_URL").and_then(|field| resolve_secret(&field, variables));
    let name = table.require("table", "table: crm.vip_customers").and_then(|field| {
        let name = field.text()?;
        let is_name = name.split('.').count() <= 2 && name.split('.').all(|part| !part.is_empty() && part.len() < 64);
        if !is_name {
            field.wrong(format!("`{name}` is no name of a table; write vip_customers or crm.vip_customers"));
        }
        is_name.then(|| name.to_owned())
    });
    let segment = table.require("segment", "segment: vip");
    let segment = segment.and_then(|field| refer(&field, "segment", known.segments));
    let columns = table.get("columns").map_or(Some(Vec::new()), |field| {
        let column = |entry: crate::config::decode::Entry<'_>| {
            if matches!(entry.name, "profile_id") || entry.name.len() > 63 {
                entry.field.wrong("this column is Tributary's own; choose another name, of at most 63 bytes");
                return None;
            }
            let value = template::decode(&entry.field, known.templates)?;
            Some((entry.name.to_owned(), value))
        };
        field.entries().into_iter().map(column).collect()
    });
    let ca = table.get("ca").map_or(Some(None), |field| reach::read_certificates(&field).map(Some));
    Some(PostgresDestination { url: url?, table: name?, segment: segment?, columns: columns?, ca: ca? })
}
