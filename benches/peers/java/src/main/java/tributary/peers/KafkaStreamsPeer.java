package tributary.peers;

import java.io.BufferedWriter;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.Arrays;
import java.util.Map;
import java.util.Properties;
import java.util.Set;
import java.util.concurrent.CountDownLatch;
import java.util.function.Supplier;
import java.util.stream.Collectors;
import org.apache.kafka.clients.consumer.ConsumerConfig;
import org.apache.kafka.clients.producer.ProducerConfig;
import org.apache.kafka.common.config.TopicConfig;
import org.apache.kafka.common.serialization.Serde;
import org.apache.kafka.common.serialization.Serdes;
import org.apache.kafka.streams.KafkaStreams;
import org.apache.kafka.streams.KeyValue;
import org.apache.kafka.streams.StoreQueryParameters;
import org.apache.kafka.streams.StreamsBuilder;
import org.apache.kafka.streams.StreamsConfig;
import org.apache.kafka.streams.Topology;
import org.apache.kafka.streams.errors.StreamsUncaughtExceptionHandler.StreamThreadExceptionResponse;
import org.apache.kafka.streams.kstream.Consumed;
import org.apache.kafka.streams.kstream.Named;
import org.apache.kafka.streams.kstream.Produced;
import org.apache.kafka.streams.kstream.Repartitioned;
import org.apache.kafka.streams.processor.api.Processor;
import org.apache.kafka.streams.processor.api.ProcessorSupplier;
import org.apache.kafka.streams.state.KeyValueIterator;
import org.apache.kafka.streams.state.QueryableStoreTypes;
import org.apache.kafka.streams.state.ReadOnlyKeyValueStore;
import org.apache.kafka.streams.state.StoreBuilder;
import org.apache.kafka.streams.state.Stores;

/** The job on Kafka Streams: two steps with a repartition topic between them, exactly once. */
public final class KafkaStreamsPeer {
    private static final int PARTITIONS = 4;
    private static final Serde<byte[]> BYTES = Serdes.ByteArray();

    private KafkaStreamsPeer() {}

    public static void main(String[] args) throws Exception {
        Arguments arguments = new Arguments(args);
        KafkaStreams streams = new KafkaStreams(topology(arguments), config(arguments));
        CountDownLatch running = new CountDownLatch(1);
        streams.setStateListener((state, before) -> {
            if (state == KafkaStreams.State.RUNNING) {
                running.countDown();
            } else if (state == KafkaStreams.State.ERROR) {
                Runtime.getRuntime().halt(1);
            }
        });
        streams.setUncaughtExceptionHandler(error -> {
            error.printStackTrace();
            return StreamThreadExceptionResponse.SHUTDOWN_CLIENT;
        });
        streams.start();
        running.await();
        Commands.serve(path -> members(streams, path));
        streams.close(Duration.ofSeconds(30));
    }

    private static Topology topology(Arguments arguments) {
        StreamsBuilder builder = new StreamsBuilder();
        builder.stream(arguments.input(), Consumed.with(BYTES, BYTES).withName("events"))
                .process(step(IdentifyProcessor::new, IdentifyProcessor.DEVICES), Named.as("identify"))
                .repartition(Repartitioned.with(BYTES, BYTES).withNumberOfPartitions(PARTITIONS).withName("identified"))
                .process(
                        step(AggregateProcessor::new, AggregateProcessor.CUSTOMERS, AggregateProcessor.TIMERS),
                        Named.as("aggregate"))
                .to(arguments.output(), Produced.with(BYTES, BYTES).withName("triggers"));
        return builder.build();
    }

    private static ProcessorSupplier<byte[], byte[], byte[], byte[]> step(
            Supplier<Processor<byte[], byte[], byte[], byte[]>> processor, String... stores) {
        return new ProcessorSupplier<>() {
            @Override
            public Processor<byte[], byte[], byte[], byte[]> get() {
                return processor.get();
            }

            @Override
            public Set<StoreBuilder<?>> stores() {
                return Arrays.stream(stores)
                        .map(KafkaStreamsPeer::store)
                        .collect(Collectors.toSet());
            }
        };
    }

    /** Small segments let the broker compact the changelog early, which is what a restore has to read. */
    private static StoreBuilder<?> store(String name) {
        return Stores.keyValueStoreBuilder(Stores.persistentKeyValueStore(name), BYTES, BYTES)
                .withCachingEnabled()
                .withLoggingEnabled(Map.of(TopicConfig.SEGMENT_BYTES_CONFIG, Integer.toString(64 << 20)));
    }

    private static Properties config(Arguments arguments) {
        Properties config = new Properties();
        config.put(StreamsConfig.APPLICATION_ID_CONFIG, arguments.group());
        config.put(StreamsConfig.BOOTSTRAP_SERVERS_CONFIG, arguments.bootstrapServers());
        config.put(StreamsConfig.STATE_DIR_CONFIG, arguments.state());
        config.put(StreamsConfig.PROCESSING_GUARANTEE_CONFIG, StreamsConfig.EXACTLY_ONCE_V2);
        config.put(StreamsConfig.COMMIT_INTERVAL_MS_CONFIG, 100);
        config.put(StreamsConfig.NUM_STREAM_THREADS_CONFIG, 2);
        config.put(StreamsConfig.NUM_STANDBY_REPLICAS_CONFIG, 0);
        config.put(StreamsConfig.REPLICATION_FACTOR_CONFIG, 1);
        config.put(StreamsConfig.STATESTORE_CACHE_MAX_BYTES_CONFIG, 256L << 20);
        config.put(StreamsConfig.ROCKSDB_CONFIG_SETTER_CLASS_CONFIG, BoundedRocksDb.class);
        config.put(StreamsConfig.BUFFERED_RECORDS_PER_PARTITION_CONFIG, 5000);
        config.put(StreamsConfig.ENABLE_METRICS_PUSH_CONFIG, false);
        // Whoever comes back under the same name after a crash takes its partitions over at once.
        config.put(StreamsConfig.mainConsumerPrefix(ConsumerConfig.GROUP_INSTANCE_ID_CONFIG), arguments.group());
        config.put(StreamsConfig.consumerPrefix(ConsumerConfig.SESSION_TIMEOUT_MS_CONFIG), 10_000);
        config.put(StreamsConfig.consumerPrefix(ConsumerConfig.HEARTBEAT_INTERVAL_MS_CONFIG), 3_000);
        config.put(StreamsConfig.consumerPrefix(ConsumerConfig.AUTO_OFFSET_RESET_CONFIG), "earliest");
        config.put(StreamsConfig.consumerPrefix(ConsumerConfig.MAX_POLL_RECORDS_CONFIG), 5000);
        config.put(StreamsConfig.consumerPrefix(ConsumerConfig.MAX_PARTITION_FETCH_BYTES_CONFIG), 4 << 20);
        config.put(StreamsConfig.restoreConsumerPrefix(ConsumerConfig.MAX_POLL_RECORDS_CONFIG), 20_000);
        config.put(StreamsConfig.producerPrefix(ProducerConfig.LINGER_MS_CONFIG), 20);
        config.put(StreamsConfig.producerPrefix(ProducerConfig.BATCH_SIZE_CONFIG), 256 << 10);
        config.put(StreamsConfig.producerPrefix(ProducerConfig.BUFFER_MEMORY_CONFIG), 64L << 20);
        config.put(StreamsConfig.producerPrefix(ProducerConfig.COMPRESSION_TYPE_CONFIG), "lz4");
        return config;
    }

    private static void members(KafkaStreams streams, Path path) throws Exception {
        ReadOnlyKeyValueStore<byte[], byte[]> customers = streams.store(StoreQueryParameters.fromNameAndType(
                AggregateProcessor.CUSTOMERS, QueryableStoreTypes.keyValueStore()));
        try (KeyValueIterator<byte[], byte[]> all = customers.all();
                BufferedWriter lines = Files.newBufferedWriter(path)) {
            while (all.hasNext()) {
                KeyValue<byte[], byte[]> customer = all.next();
                lines.write(new String(customer.key, StandardCharsets.UTF_8));
                lines.write("\t" + Customer.segments(customer.value) + "\n");
            }
        }
    }
}
