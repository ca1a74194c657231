package tributary.peers;

import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.ExecutionException;
import org.apache.flink.api.common.eventtime.WatermarkStrategy;
import org.apache.flink.api.common.serialization.SimpleStringSchema;
import org.apache.flink.api.common.state.MapStateDescriptor;
import org.apache.flink.api.common.typeinfo.Types;
import org.apache.flink.connector.base.DeliveryGuarantee;
import org.apache.flink.connector.kafka.sink.KafkaSink;
import org.apache.flink.connector.kafka.sink.TransactionNamingStrategy;
import org.apache.flink.connector.kafka.source.KafkaSource;
import org.apache.flink.connector.kafka.source.enumerator.initializer.OffsetsInitializer;
import org.apache.flink.core.execution.JobClient;
import org.apache.flink.runtime.client.JobCancellationException;
import org.apache.flink.streaming.api.datastream.BroadcastStream;
import org.apache.flink.streaming.api.environment.StreamExecutionEnvironment;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.clients.consumer.ConsumerConfig;
import org.apache.kafka.clients.consumer.OffsetResetStrategy;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerConfig;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.errors.TopicExistsException;
import org.apache.kafka.common.serialization.StringSerializer;

/** The job on Flink: two keyed steps in a cluster of this one process, exactly once. */
public final class FlinkPeer {
    static final int PARALLELISM = 2;

    private final Arguments arguments;

    private FlinkPeer(Arguments arguments) {
        this.arguments = arguments;
    }

    public static void main(String[] args) throws Exception {
        FlinkPeer peer = new FlinkPeer(new Arguments(args));
        peer.createControlTopic();
        JobClient job = peer.start();
        FlinkMembers.awaitOpened();
        try (KafkaProducer<String, String> control = peer.controlProducer()) {
            Commands.serve(path -> peer.members(control, path));
        }
        job.cancel().get();
        // Threads of the cluster may linger.
        System.exit(0);
    }

    private JobClient start() throws Exception {
        StreamExecutionEnvironment environment =
                StreamExecutionEnvironment.getExecutionEnvironment(FlinkConfig.of(arguments));
        environment.setParallelism(PARALLELISM);
        BroadcastStream<String> control = environment
                .fromSource(controlSource(), WatermarkStrategy.noWatermarks(), "control")
                .uid("control")
                .setParallelism(1)
                .broadcast(new MapStateDescriptor<>("nothing", Types.VOID, Types.VOID));
        environment
                .fromSource(eventSource(), WatermarkStrategy.noWatermarks(), "events")
                .uid("events")
                .keyBy(event -> event.device, Types.STRING)
                .process(new IdentifyFunction(), EventType.INSTANCE)
                .uid("identify")
                .keyBy(event -> event.customer, Types.STRING)
                .connect(control)
                .process(new AggregateFunction(), Types.POJO(Trigger.class))
                .uid("aggregate")
                .sinkTo(sink())
                .uid("triggers");
        JobClient job = environment.executeAsync("peer");
        job.getJobExecutionResult().whenComplete((result, error) -> {
            if (error != null && !isCancelled(error)) {
                error.printStackTrace();
                Runtime.getRuntime().halt(1);
            }
        });
        return job;
    }

    private static boolean isCancelled(Throwable error) {
        for (Throwable cause = error; cause != null; cause = cause.getCause()) {
            if (cause instanceof JobCancellationException) {
                return true;
            }
        }
        return false;
    }

    private KafkaSource<Event> eventSource() {
        return KafkaSource.<Event>builder()
                .setBootstrapServers(arguments.bootstrapServers())
                .setTopics(arguments.input())
                .setGroupId(arguments.group())
                .setStartingOffsets(OffsetsInitializer.committedOffsets(OffsetResetStrategy.EARLIEST))
                .setProperty(ConsumerConfig.MAX_POLL_RECORDS_CONFIG, "5000")
                .setProperty(ConsumerConfig.MAX_PARTITION_FETCH_BYTES_CONFIG, Integer.toString(4 << 20))
                .setDeserializer(new EventDeserializer())
                .build();
    }

    private KafkaSink<Trigger> sink() {
        return KafkaSink.<Trigger>builder()
                .setBootstrapServers(arguments.bootstrapServers())
                .setRecordSerializer(new TriggerSerializer(arguments.output()))
                .setDeliveryGuarantee(DeliveryGuarantee.EXACTLY_ONCE)
                .setTransactionalIdPrefix(arguments.group())
                // With a checkpoint each 100 ms, names that are used again spare the broker a new one each time.
                .setTransactionNamingStrategy(TransactionNamingStrategy.POOLING)
                .setProperty(ProducerConfig.TRANSACTION_TIMEOUT_CONFIG, "600000")
                .setProperty(ProducerConfig.LINGER_MS_CONFIG, "5")
                .setProperty(ProducerConfig.BATCH_SIZE_CONFIG, Integer.toString(256 << 10))
                .setProperty(ProducerConfig.COMPRESSION_TYPE_CONFIG, "lz4")
                .build();
    }

    /** Commands come through a topic, as is usual where the state of all keys has to be gone through. */
    private String controlTopic() {
        return arguments.input() + "-control";
    }

    private KafkaSource<String> controlSource() {
        return KafkaSource.<String>builder()
                .setBootstrapServers(arguments.bootstrapServers())
                .setTopics(controlTopic())
                .setGroupId(arguments.group() + "-control")
                .setStartingOffsets(OffsetsInitializer.latest())
                .setValueOnlyDeserializer(new SimpleStringSchema())
                .build();
    }

    private void createControlTopic() throws Exception {
        try (Admin admin = Admin.create(
                Map.of(ProducerConfig.BOOTSTRAP_SERVERS_CONFIG, arguments.bootstrapServers()))) {
            admin.createTopics(List.of(new NewTopic(controlTopic(), Optional.of(1), Optional.empty())))
                    .all()
                    .get();
        } catch (ExecutionException error) {
            if (!(error.getCause() instanceof TopicExistsException)) {
                throw error;
            }
        }
    }

    private KafkaProducer<String, String> controlProducer() {
        return new KafkaProducer<>(
                Map.of(ProducerConfig.BOOTSTRAP_SERVERS_CONFIG, arguments.bootstrapServers()),
                new StringSerializer(),
                new StringSerializer());
    }

    private void members(KafkaProducer<String, String> control, Path path) throws Exception {
        FlinkMembers.ask(path);
        control.send(new ProducerRecord<>(controlTopic(), path.toString())).get();
        FlinkMembers.collect(path);
    }
}
