//! A server's state as RocksDB has it, while no server works on it: for what only a disk or a defect does to it.

use super::server::Site;
use rocksdb::{ColumnFamilyDescriptor, DB, IteratorMode, Options};

/// A key and its value.
pub(crate) type Row = (Vec<u8>, Vec<u8>);

fn open(site: &Site) -> DB {
    let folder = site.path("data/state");
    let tables = DB::list_cf(&Options::default(), &folder).unwrap();
    // What merges facts is the program's own; nothing is merged here.
    let mut options = Options::default();
    options.set_merge_operator_associative("facts", |_, before, _| before.map(<[u8]>::to_vec));
    let tables = tables.into_iter().map(|table| ColumnFamilyDescriptor::new(table, options.clone()));
    DB::open_cf_descriptors(&options, &folder, tables).unwrap()
}

/// A row that is there.
pub(crate) fn row(site: &Site, table: &str, key: &[u8]) -> Vec<u8> {
    let state = open(site);
    state.get_cf(state.cf_handle(table).unwrap(), key).unwrap().unwrap()
}

/// Takes away the first row of a table.
pub(crate) fn take_first_row(site: &Site, table: &str) -> Row {
    let state = open(site);
    let table = state.cf_handle(table).unwrap();
    let (key, value) = state.iterator_cf(table, IteratorMode::Start).next().unwrap().unwrap();
    state.delete_cf(table, &key).unwrap();
    (key.into_vec(), value.into_vec())
}

/// Puts a row into a table.
pub(crate) fn put_row(site: &Site, table: &str, (key, value): &Row) {
    let state = open(site);
    state.put_cf(state.cf_handle(table).unwrap(), key, value).unwrap();
}
