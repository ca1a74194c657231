package tributary.peers;

import java.util.Map;
import org.apache.kafka.streams.state.RocksDBConfigSetter;
import org.rocksdb.BlockBasedTableConfig;
import org.rocksdb.BloomFilter;
import org.rocksdb.Cache;
import org.rocksdb.LRUCache;
import org.rocksdb.Options;
import org.rocksdb.WriteBufferManager;

/** One cache, and one budget of memtables in it, for all stores of Kafka Streams: by default each has its own. */
public final class BoundedRocksDb implements RocksDBConfigSetter {
    private static final long CACHE_BYTES = 256L << 20;
    private static final long MEMTABLES_BYTES = 128L << 20;
    private static final Cache CACHE = new LRUCache(CACHE_BYTES);
    private static final WriteBufferManager MEMTABLES = new WriteBufferManager(MEMTABLES_BYTES, CACHE);
    private static final BloomFilter FILTER = new BloomFilter(10);

    @Override
    public void setConfig(String store, Options options, Map<String, Object> configs) {
        BlockBasedTableConfig table = (BlockBasedTableConfig) options.tableFormatConfig();
        table.setBlockCache(CACHE);
        table.setCacheIndexAndFilterBlocks(true);
        table.setPinTopLevelIndexAndFilter(true);
        table.setFilterPolicy(FILTER);
        options.setWriteBufferManager(MEMTABLES);
        options.setTableFormatConfig(table);
    }

    @Override
    public void close(String store, Options options) {
        // What all stores share stays open as long as the process.
    }
}
