//! Which tables there are, and how RocksDB keeps each: what is merged, what is compressed, what is dropped with age.

use super::{
    StoreOptions, audit, conflicts, counts, definitions, facts, groups, history, links, members, meta, mirrored, moves,
    outbox, owners, rejected, seen, sends, statements, suppressions, timers, waiting, wakes,
};
use rocksdb::{BlockBasedOptions, Cache, ColumnFamilyDescriptor, DBCompressionType, Options, compaction_filter};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use tributary_model::Millis;

const TABLES: [&str; 34] = [
    facts::TABLE,
    links::TABLE,
    links::LINKED_TO,
    statements::TABLE,
    statements::ALL,
    statements::DELETED,
    owners::TABLE,
    owners::IDENTIFIERS,
    groups::TABLE,
    groups::MEMBERS,
    groups::TRAITS,
    moves::TABLE,
    conflicts::TABLE,
    members::TABLE,
    members::BY_PROFILE,
    members::FORMER,
    counts::TABLE,
    timers::TABLE,
    wakes::TABLE,
    seen::TABLE,
    history::TABLE,
    history::TIMELINE,
    rejected::TABLE,
    outbox::TABLE,
    outbox::DEAD,
    outbox::MESSAGES,
    waiting::TABLE,
    sends::TABLE,
    suppressions::TABLE,
    mirrored::TABLE,
    audit::TABLE,
    definitions::TABLE,
    definitions::CHANGES,
    meta::TABLE,
];

/// How each table is kept; what is past its age by `clock` is dropped when it is next compacted.
pub(super) fn families(
    options: StoreOptions,
    clock: &Arc<AtomicI64>,
) -> Result<[ColumnFamilyDescriptor; TABLES.len()], rocksdb::Error> {
    let cache = Cache::new_lru_cache(options.block_cache_bytes);
    // Batches are sorted: the place of an entry is looked for from the last one's on, and not from the top.
    let sorted = Options::default().get_options_from_string("memtable_insert_with_hint_prefix_extractor=fixed:0")?;
    Ok(TABLES.map(|table| {
        let mut family = sorted.clone();
        let mut blocks = BlockBasedOptions::default();
        blocks.set_block_cache(&cache);
        blocks.set_bloom_filter(10.0, false);
        blocks.set_format_version(5);
        // Indexes and filters are within the cache's bound too: without that they grow with the state.
        blocks.set_cache_index_and_filter_blocks(true);
        blocks.set_pin_l0_filter_and_index_blocks_in_cache(true);
        family.set_block_based_table_factory(&blocks);
        family.set_compression_type(DBCompressionType::Lz4);
        // Small enough to stay near the processor, since every write looks for its place in one; and all tables' go to disk
        // when one is full.
        family.set_write_buffer_size(24 << 20);
        family.set_max_write_buffer_number(4);
        family.set_level_zero_file_num_compaction_trigger(12);
        family.set_level_zero_slowdown_writes_trigger(40);
        family.set_level_zero_stop_writes_trigger(60);
        let age = |age_ms: i64, at: fn(&[u8], &[u8]) -> Option<Millis>| {
            let clock = clock.clone();
            move |_level: u32, key: &[u8], value: &[u8]| {
                let old = at(key, value).is_some_and(|at| at < clock.load(Ordering::Relaxed).saturating_sub(age_ms));
                if old { compaction_filter::Decision::Remove } else { compaction_filter::Decision::Keep }
            }
        };
        if table == facts::TABLE {
            family.set_merge_operator_associative("facts", facts::merge);
        }
        if table == seen::TABLE {
            family.set_memtable_whole_key_filtering(true);
            family.set_memtable_prefix_bloom_ratio(0.05);
            family.set_compaction_filter("seen age", age(options.dedupe_horizon_ms, seen::stored_at));
        }
        if table == history::TABLE {
            // Its blocks come compressed, and few: their place is soon found.
            family.set_write_buffer_size(64 << 20);
            family.set_compression_type(DBCompressionType::None);
            family.set_compaction_filter("history age", age(options.history_retention_ms, history::latest_at));
        }
        if table == history::TIMELINE {
            family.set_compaction_filter("timeline age", age(options.history_retention_ms, history::happened_at));
        }
        if table == moves::TABLE {
            family.set_compaction_filter("moves age", age(options.history_retention_ms, moves::made_at));
        }
        if table == counts::TABLE {
            family.set_compaction_filter("segment history age", age(counts::KEPT_MS, counts::ages_at));
        }
        if table == rejected::TABLE {
            family.set_compaction_filter("rejected age", age(options.rejected_retention_ms, rejected::received_at));
        }
        if table == audit::TABLE {
            family.set_compaction_filter("audit age", age(audit::KEPT_MS, audit::asked_at));
        }
        if table == sends::TABLE {
            family.set_compaction_filter("sends age", age(sends::KEPT_MS, sends::sent_at));
        }
        if table == outbox::MESSAGES {
            family.set_compaction_filter("messages age", age(options.rejected_retention_ms, outbox::noted_at));
        }
        ColumnFamilyDescriptor::new(table, family)
    }))
}
