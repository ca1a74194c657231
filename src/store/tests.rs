//! The state while somebody else works on it.
#![allow(clippy::unwrap_used)]

use super::{Store, StoreOptions, audit};
use tributary_model::Millis;

/// A state that forgets nothing with age.
pub(super) const OPTIONS: StoreOptions = StoreOptions {
    block_cache_bytes: 1 << 20,
    history_retention_ms: Millis::MAX,
    dedupe_horizon_ms: Millis::MAX,
    rejected_retention_ms: Millis::MAX,
};

#[test]
fn it_is_read_beside_a_server_that_puts_other_files_in_the_place_of_those_it_names() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path(), OPTIONS).unwrap();
    let (begin, begun) = std::sync::mpsc::sync_channel(0);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let family = store.family(audit::TABLE).unwrap();
            for file in begun {
                store.db.put_cf(family, [file], b"later").unwrap();
                store.db.flush_cf(family).unwrap();
                store.db.compact_range_cf(family, None::<&[u8]>, None::<&[u8]>);
            }
        });
        for file in 0..60 {
            begin.send(file).unwrap();
            Store::open_read_only(folder.path(), OPTIONS).map(drop).unwrap();
        }
        drop(begin);
    });
}
